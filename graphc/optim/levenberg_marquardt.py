"""Levenberg and Marquardt: Gauss-Newton steps that are damped as far as the model is wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import maximum
from graphc.ops.compare import isfinite, where
from graphc.ops.create import eye
from graphc.ops.diagonals import diagonal
from graphc.ops.linalg.systems import cho_solve, cholesky
from graphc.ops.products import dot
from graphc.ops.reductions import max as largest
from graphc.ops.registry import asarray
from graphc.optim.problem import RUNNING, Cost, Point, Result, Status, Turn, chosen, iterate, norm, whole
from graphc.optim.trust_region import trusted


class Damping(NamedTuple):
    """What is added to the diagonal: `size` times `scale`; by how much it grows when the next step fails."""

    size: Node
    growth: Node
    scale: Node


def levenberg_marquardt(cost: Cost, tol: Any, max_iterations: Any, damping: float = 1e-3) -> Result:
    """(J'J + a D) s = -J'r: Levenberg 1944, Marquardt 1963. a shrinks and grows by how well the model foretold the decrease (Nielsen 1999);
    D is the diagonal of J'J, its largest so far (More 1978), so that the units of the parameters do not matter."""
    if not damping > 0:
        fail(ArgumentError, f"levenberg_marquardt: damping={damping}", hint="what the diagonal is multiplied by at first, above 0")
    one = asarray(1.0, cost.x.dtype)

    def turn(point: Point, memory: Damping, turns: Node) -> Turn:
        a = cost.normal(point.x)
        scale = maximum(memory.scale, diagonal(a))
        top = largest(scale)
        shift = memory.size * maximum(scale, cost.eps * where(top > 0, top, 1.0))
        factor = cholesky(a + shift * eye(a.shape[0], dtype=a.dtype), symmetrize_input=False, on_error="nan")
        s = cho_solve((factor, True), -point.g, on_error="nan")
        there = cost.at(point.x + s)
        predicted = 0.5 * dot(s, shift * s - point.g)
        ratio = trusted(point.f - there.f, predicted, point.f, cost.eps, norm(there.g) > norm(point.g))
        taken = whole(there) & (ratio > 1e-4)
        better = Damping(memory.size * maximum(1 / 3, 1 - (2 * ratio - 1) ** 3), 2.0 * one, scale)
        worse = Damping(memory.size * memory.growth, 2.0 * memory.growth, scale)
        idle = isfinite(dot(s, s)) & (norm(s) <= cost.eps * maximum(norm(point.x), cost.eps))
        spent = (idle | (memory.size > 1e100 ** (one.dtype.itemsize / 8))) & (ratio <= 1e-4)
        verdict = where(spent, int(Status.NO_DECREASE), RUNNING)
        return Turn(chosen(taken, there, point), chosen(taken, better, worse), 1, 1, verdict)

    return iterate(cost, lambda point: Damping(damping * one, 2.0 * one, 0.0 * point.g), turn, tol, max_iterations)
