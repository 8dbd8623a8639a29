"""What a machine does not say of itself: probes that measure it, and the decisions at the first use and by `python -m graphc.calibrate`."""
