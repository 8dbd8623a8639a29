"""`gx.optim.krylov`: what can be done with a symmetric matrix by its products with vectors alone, as loops of the graph.

    H = lambda v: gx.hvp(cost, w, v)                      # any function v -> A v of trees of nodes; A symmetric
    step = gx.optim.krylov.cg(H, g).x                     # also minres, lanczos, power_iteration, hutchinson_trace, ...

The function is called once, on variables; what in it does not depend on them (a forward pass, say) is computed once, outside of the loop.
"""

from graphc.optim.cg import cg
from graphc.optim.hutchinson import Estimate, hutchinson_diagonal, hutchinson_trace, probes
from graphc.optim.lanczos import Eigenpair, Lanczos, lanczos, power_iteration
from graphc.optim.minres import minres
from graphc.optim.operators import Solution, Status

__all__ = [
    "Eigenpair", "Estimate", "Lanczos", "Solution", "Status", "cg", "hutchinson_diagonal", "hutchinson_trace", "lanczos", "minres",
    "power_iteration", "probes",
]  # fmt: skip
