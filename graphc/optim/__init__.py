"""`gx.optim`: minimisers as loops of the graph, line searches, and Krylov methods."""

from graphc.optim import krylov
from graphc.optim.line_search import LineSearch, Step, armijo, exact, full_step, line_search, strong_wolfe
from graphc.optim.minimize import least_squares, minimize
from graphc.optim.problem import Result, Status

__all__ = [
    "LineSearch", "Result", "Status", "Step", "armijo", "exact", "full_step", "krylov", "least_squares", "line_search", "minimize",
    "strong_wolfe",
]  # fmt: skip
