"""Coordinate descent: one coordinate after the other."""

from __future__ import annotations

from typing import Any

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as magnitude
from graphc.ops.compare import where
from graphc.ops.create import arange
from graphc.ops.products import dot
from graphc.ops.reductions import argmax, argmin
from graphc.ops.registry import asarray
from graphc.optim.directions import Aim, Descent, Move
from graphc.optim.problem import Cost, Point


def coordinate_descent(rule: str = "cyclic") -> Descent:
    """Newton's step along one coordinate i a turn: x_i <- x_i - g_i / H_ii, which is its minimum where the cost is quadratic in x_i, by one
    Hessian-vector product; -g_i where H_ii <= 0. Goodfellow et al., section 8.7.2.

    rule: "cyclic", one after the other (those whose slope is 0 are passed over), or "greedy", the one of the largest |g_i| (Gauss and
    Southwell). max_iterations counts coordinates, not rounds. Line search: `armijo`. Raises ArgumentError.
    """
    if rule not in ("cyclic", "greedy"):
        fail(ArgumentError, f"coordinate_descent: rule={rule!r}", hint='it is "cyclic" or "greedy"')

    def chosen(g: Node, last: Node) -> Node:
        n, k = asarray(g.size, "int64"), arange(g.size)
        if rule == "greedy":
            return argmax(magnitude(g))
        return argmin(where(g == 0, n, 0) + (k - last - 1) % n)

    def aim(cost: Cost, point: Point, last: Node) -> Aim:
        unit = (arange(point.g.size) == chosen(point.g, last)).astype(point.g.dtype)
        slope, curvature = dot(unit, point.g), dot(unit, cost.product(point.x)(unit))
        convex = curvature > 0
        d = -slope / where(convex, curvature, 1.0) * unit
        size = magnitude(slope)
        return Aim(d, where(convex | (size <= 1), 1.0, 1.0 / where(size > 0, size, 1.0)), 1)

    def learn(last: Node, move: Move) -> Any:
        return chosen(move.before.g, last)

    patience = (lambda point: asarray(point.x.size, "int64")) if rule == "cyclic" else (lambda point: 1)
    return Descent("armijo", lambda point: asarray(-1, "int64"), aim, learn, patience=patience)
