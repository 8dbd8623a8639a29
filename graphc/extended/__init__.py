"""Graphs in higher precision: decimal floats of any length, by Python's standard library alone."""
