"""Ops with bodies (`graphc.region`): above `grad` and `batch`, because their rules differentiate and batch the bodies."""
