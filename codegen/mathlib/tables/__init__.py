"""The tables of `graphc.codegen.mathlib.piecewise`, written by `python -m tests.fit_piecewise`."""
