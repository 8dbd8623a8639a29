"""`implicit`: a minimum as a function of what its cost depends on, with derivatives of both modes (the implicit function theorem)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import ArgumentError, fail
from graphc.ops.compare import stop_gradient
from graphc.ops.linalg.systems import solve
from graphc.ops.shape import reshape
from graphc.optim.problem import cost_of
from graphc.tree import Tree


def implicit(fun: Callable[[Tree], Any], x: Tree, *, steps: int = 2) -> Tree:
    """The minimum of fun at which x already is, as a function of the nodes that fun captures: dx / dc = -H^-1 d(grad fun) / dc.

    x, a tree of nodes such as `minimize(fun, x0).x`, is held fixed, and so many full Newton steps are made from it, which move it by
    rounding alone; each doubles how many orders of derivatives are right: 1 gives the first, 2 (the default) the first three. No gradient
    runs through the minimisation. Takes the whole Hessian, n * n numbers. Raises what `minimize` raises; LinAlgError at the call where the
    Hessian is singular.

        best = gx.optim.implicit(fun, gx.optim.minimize(fun, x0).x)        fun = lambda w: training_loss(w, penalty)
        slope = gx.grad(validation_loss(best), penalty)
    """
    if steps < 1:
        fail(ArgumentError, f"implicit: steps={steps}", hint="at least one Newton step")
    cost = cost_of("implicit", fun, x)
    at = stop_gradient(cost.start)
    for _ in range(steps):
        at = at - solve(cost.hessian(at), cost.at(at).g)
    return cost.unravel(reshape(at, cost.start.shape))
