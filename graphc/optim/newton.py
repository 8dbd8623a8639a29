"""Newton's method with the whole Hessian, its variants for Hessians with negative eigenvalues, and without a Hessian (Newton-CG)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.control.while_loop import while_loop
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as magnitude
from graphc.ops.arithmetic import maximum, minimum, sqrt
from graphc.ops.compare import isfinite, logical_not, where
from graphc.ops.create import eye
from graphc.ops.diagonals import diagonal
from graphc.ops.linalg.eigen import eigh
from graphc.ops.linalg.systems import cho_solve, cholesky, solve
from graphc.ops.products import dot
from graphc.ops.reductions import max as largest
from graphc.ops.reductions import min as smallest
from graphc.ops.reductions import sum as total
from graphc.ops.registry import asarray
from graphc.optim.cg import conjugate_gradients
from graphc.optim.directions import Aim, Descent
from graphc.optim.problem import Cost, Point, norm

SHIFT = 1e-3  # of the diagonal: what is added first to a Hessian that is not positive definite
FLOOR = 1e-8  # of the largest element: no less is an element of the diagonal taken to be
LARGEST_SHIFT = 1e14  # with it the diagonal outweighs all else in matrices of up to a million rows


def _damping(name: str, damping: float) -> None:
    if not damping >= 0:
        fail(ArgumentError, f"{name}: damping={damping}", hint="what is added to the diagonal, 0 or more")


def newton(damping: float = 0.0) -> Descent:
    """d = -(H + damping I)^-1 g with the whole Hessian. Goodfellow et al., equations 8.27 and 8.28.

    With a line search (`armijo` unless told otherwise) what is added to the diagonal grows until a Cholesky factor exists, so that d
    descends: Nocedal and Wright, algorithm 3.3. With line_search="full_step" the equations are solved as they are, and saddle points
    and maxima attract it as minima do; a singular Hessian ends it as NOT_FINITE.
    """
    _damping("newton", damping)
    return _by_matrix(lambda cost, x: cost.hessian(x), damping)


def gauss_newton(damping: float = 0.0) -> Descent:
    """As `newton`, with J'J of the residuals in place of the Hessian: no second derivatives. For `least_squares` only."""
    _damping("gauss_newton", damping)
    return _by_matrix(lambda cost, x: cost.normal(x), damping)


def _by_matrix(matrix: Callable[[Cost, Node], Node], damping: float) -> Descent:
    def aim(solved: Callable[[Node, Node], Node]) -> Callable[[Cost, Point, Any], Aim]:
        def aimed(cost: Cost, point: Point, memory: Any) -> Aim:
            h = matrix(cost, point.x)
            h = h + damping * eye(h.shape[0], dtype=h.dtype) if damping else h
            return Aim(solved(h, -point.g), asarray(1.0, h.dtype), 1)

        return aimed

    return Descent("armijo", lambda point: (), aim(positive_solve), undamped=aim(lambda h, b: solve(h, b, on_error="nan")))


def positive_solve(h: Node, b: Node) -> Node:
    """(h + t D)^-1 b with D = |diagonal of h| and the first t for which a Cholesky factor exists, of 0 (or what makes the diagonal
    positive) and ten times more each time; nan where none does. So the units of the variables do not matter."""
    scale, main = largest(magnitude(h)), diagonal(h)
    d = maximum(magnitude(main), FLOOR * where(scale > 0, scale, 1.0))

    def unsolved(state: tuple[Node, Node]) -> Node:
        t, x = state
        return logical_not(isfinite(total(x * 0.0))) & (t < LARGEST_SHIFT)

    def turn(state: tuple[Node, Node]) -> tuple[Node, Node]:
        t = state[0]
        factor = cholesky(h + t * d * eye(h.shape[0], dtype=h.dtype), symmetrize_input=False, on_error="nan")
        x = cho_solve((factor, True), b, on_error="nan")
        return where(isfinite(total(x * 0.0)), t, maximum(10.0 * t, SHIFT)), x

    least = smallest(main / d)
    begin = where(least > 0, 0.0, SHIFT - least), float("nan") * b
    return while_loop(unsolved, turn, begin)[1]  # type: ignore[no-any-return]


def saddle_free_newton(floor: float = 1e-8) -> Descent:
    """d = -|H|^-1 g, where |H| has the absolute eigenvalues of H, none below `floor` times the largest: away from saddle points along
    directions of negative curvature, as far as Newton's method would go towards them. Dauphin et al. 2014. Line search: `armijo`."""
    if not 0 < floor <= 1:
        fail(ArgumentError, f"saddle_free_newton: floor={floor}", hint="a part of the largest eigenvalue, above 0")

    def aim(cost: Cost, point: Point, memory: Any) -> Aim:
        values, vectors = eigh(cost.hessian(point.x), symmetrize_input=False, on_error="nan")
        size = magnitude(values)
        top = largest(size)
        size = maximum(size, floor * where(top > 0, top, 1.0))
        return Aim(-(vectors @ ((vectors.T @ point.g) / size)), asarray(1.0, values.dtype), 1)

    return Descent("armijo", lambda point: (), aim)


def newton_cg(inner: int | None = None) -> Descent:
    """d solves H d = -g roughly by conjugate gradients on Hessian-vector products, so that no Hessian is made: up to a residual of
    min(1/2, sqrt|g|) |g|, or to a direction of negative curvature, whose predecessor is taken (-g at first). Nocedal and Wright, algorithm
    7.1. inner: products a turn at most, n if left out. Line search: `armijo`."""
    if inner is not None and inner < 1:
        fail(ArgumentError, f"newton_cg: inner={inner}", hint="at least one product a turn")

    def aim(cost: Cost, point: Point, memory: Any) -> Aim:
        found = conjugate_gradients(cost.product(point.x), -point.g, forcing(point), inner)
        d = where(dot(found.x, found.x) > 0, found.x, -point.g)
        return Aim(d, asarray(1.0, d.dtype), found.products)

    return Descent("armijo", lambda point: (), aim)


def forcing(point: Point) -> Node:
    """How small the residual of a Newton equation must be, beside |g|, so that the whole converges superlinearly."""
    size = norm(point.g)
    return minimum(0.5, sqrt(size)) * size
