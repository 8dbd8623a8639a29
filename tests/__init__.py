"""The tests of graphc, a mirror of the source tree; a package, so that `python -m tests.fuzz` runs."""
