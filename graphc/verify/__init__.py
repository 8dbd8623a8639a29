"""Invariants of graphs, scalars, kernels and programs, each stated again with a message that shows the neighbourhood."""
