"""Conjugate gradients on products with a matrix: to a solution, to a direction of negative curvature, or to the boundary of a ball."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc.control.while_loop import while_loop
from graphc.dims import Size
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import isfinite, logical_not, where
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.operators import RUNNING, Solution, Status, operator_of
from graphc.optim.problem import integer, norm
from graphc.tree import Tree


def cg(A: Callable[[Tree], Tree], b: Tree, *, tol: float = 1e-6, max_iterations: int | None = None, radius: Any = None) -> Solution:
    """x with A x = b for symmetric positive definite A, by conjugate gradients from 0; Hestenes and Stiefel 1952.

    A: a function v -> A v of trees like b. It ends at |b - A x| <= tol |b|, after max_iterations products (n if left out), or where
    p.A p <= 0 shows that A is not positive definite: status NEGATIVE_CURVATURE, p in `direction`. radius: x stays in the ball |x| <= radius
    and ends on its boundary where the path leaves it or meets negative curvature, as a trust region wants (Steihaug 1983).
    Raises ArgumentError, ShapeError, DTypeError.

        step = gx.optim.krylov.cg(lambda v: gx.hvp(cost, w, v), gx.grad(cost, w))       x of it: H^-1 g
    """
    op = operator_of("cg", A, b)
    found = conjugate_gradients(op.apply, op.start, tol * norm(op.start), max_iterations, radius)
    return Solution(op.unravel(found.x), norm(found.r), op.unravel(found.p), found.curvature, found.products, found.status)


class Path(NamedTuple):
    """How far conjugate gradients have come: x, the residual, the direction to go next (in the end, the last one), its curvature."""

    x: Node
    r: Node
    p: Node
    curvature: Node
    products: Node
    status: Node


def conjugate_gradients(apply: Callable[[Node], Node], b: Node, enough: Node, limit: Size | None = None, radius: Any = None) -> Path:
    """A x = b from x = 0 up to a residual of `enough`; see `cg`."""
    most = integer(b.size if limit is None else limit)

    def turn(s: Path) -> Path:
        ap = apply(s.p)
        curvature, rr = dot(s.p, ap), dot(s.r, s.r)
        finite = isfinite(curvature)
        bent = logical_not(curvature > 0)
        a = rr / where(bent, 1.0, curvature)
        x = s.x + a * s.p
        ended = where(bent, integer(Status.NEGATIVE_CURVATURE), integer(RUNNING))
        stay = bent
        if radius is not None:
            leaves = bent | (dot(x, x) >= radius * radius)
            ended = where(leaves & logical_not(bent), integer(Status.BOUNDARY), ended)
            a = where(leaves, _to_boundary(s.x, s.p, radius), a)
            stay = asarray(False)
        stay = stay | logical_not(finite)
        a = where(stay, 0.0, a)
        x, r = s.x + where(stay, 0.0, a * s.p), s.r - where(stay, 0.0, a * ap)
        ended = where(finite, ended, integer(Status.NOT_FINITE))
        small = norm(r) <= enough
        out = s.products + 1 >= most
        ended = where(ended != RUNNING, ended, where(small, integer(Status.CONVERGED), where(out, integer(Status.ITERATIONS), ended)))
        p = where(ended == RUNNING, r + dot(r, r) / where(rr > 0, rr, 1.0) * s.p, s.p)
        return Path(x, r, p, curvature, s.products + 1, ended)

    begun = where(norm(b) <= enough, integer(Status.CONVERGED), where(most > 0, integer(RUNNING), integer(Status.ITERATIONS)))
    begun = where(isfinite(norm(b)), begun, integer(Status.NOT_FINITE))
    zero = asarray(0.0, b.dtype)
    first = Path(b * 0.0, b, b, zero, integer(0), begun)
    return while_loop(lambda s: s.status == RUNNING, turn, first)  # type: ignore[no-any-return]


def _to_boundary(x: Node, p: Node, radius: Any) -> Node:
    """The a > 0 with |x + a p| = radius."""
    pp, xp = dot(p, p), dot(x, p)
    inside = radius * radius - dot(x, x)
    root = sqrt(xp * xp + pp * where(inside > 0, inside, 0.0))
    pp = where(pp > 0, pp, 1.0)
    return where(xp > 0, inside / where(xp > 0, xp + root, 1.0), (root - xp) / pp)
