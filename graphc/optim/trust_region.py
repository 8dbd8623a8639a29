"""The trust region: steps from a quadratic model, within a ball that grows where the model is right and shrinks where it is not."""

from __future__ import annotations

import math
from typing import Any

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as magnitude
from graphc.ops.arithmetic import maximum, minimum
from graphc.ops.compare import where
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.cg import conjugate_gradients
from graphc.optim.line_search import NOISE
from graphc.optim.newton import forcing
from graphc.optim.problem import RUNNING, Cost, Point, Result, Status, Turn, chosen, integer, iterate, norm, whole


def trusted(actual: Node, predicted: Node, f: Node, eps: float, steeper: Node) -> Node:
    """The decrease over the predicted one. Where both are lost in the rounding of f, the gradient decides: 1 if it got no larger."""
    noise = NOISE * eps * magnitude(f)
    lost = (magnitude(actual) <= noise) & (magnitude(predicted) <= noise)
    ratio = actual / where(predicted > 0, predicted, 1.0)
    return where(lost, where(steeper, -1.0, 1.0), where(predicted > 0, ratio, -1.0))


def trust_region(
    cost: Cost, tol: Any, max_iterations: Any, radius: float = 1.0, max_radius: float = math.inf, inner: int | None = None
) -> Result:
    """x <- x + s, where s lowers the model g.s + s.H s / 2 in the ball |s| <= radius by conjugate gradients on Hessian-vector products,
    which follow negative curvature to the boundary (Steihaug 1983; Nocedal and Wright, algorithms 4.1 and 7.2).

    radius and max_radius: of the ball, at first and at most; inner: products a turn at most, n if left out. A step that lowers the cost by
    less than 1e-4 of what the model says is not taken; NO_DECREASE where the ball shrinks to the rounding of x.
    """
    if not 0 < radius <= max_radius:
        fail(ArgumentError, f"trust_region: radius={radius}, max_radius={max_radius}", hint="0 < radius <= max_radius")
    if inner is not None and inner < 1:
        fail(ArgumentError, f"trust_region: inner={inner}", hint="at least one product a turn")

    def turn(point: Point, ball: Node, turns: Node) -> Turn:
        product = cost.product(point.x)
        path = conjugate_gradients(product, -point.g, forcing(point), inner, ball)
        there = cost.at(point.x + path.x)
        # the model at s: r = -g - H s, so s.H s = -s.(g + r)
        predicted = 0.5 * dot(path.x, path.r - point.g)
        steeper = norm(there.g) > norm(point.g)
        ratio = where(whole(there), trusted(point.f - there.f, predicted, point.f, cost.eps, steeper), -1.0)
        length = norm(path.x)
        grown = where((ratio > 0.75) & (length >= 0.99 * ball), minimum(2.0 * ball, max_radius), ball)
        after = where(ratio < 0.25, 0.25 * minimum(length, ball), grown)
        taken = ratio > 1e-4
        spent = after <= cost.eps * maximum(norm(point.x), cost.eps)
        verdict = where(spent & (ratio <= 1e-4), integer(Status.NO_DECREASE), integer(RUNNING))
        verdict = where(length > 0, verdict, integer(Status.NOT_FINITE))  # the first product was not
        return Turn(chosen(taken, there, point), after, 1, path.products, verdict)

    return iterate(cost, lambda point: asarray(radius, cost.x.dtype), turn, tol, max_iterations)
