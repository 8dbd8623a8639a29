"""MINRES: the least residual over a Krylov space, for symmetric matrices that need not be definite."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from graphc.control.while_loop import while_loop
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import isfinite, logical_not, where
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.operators import RUNNING, Solution, Status, operator_of
from graphc.optim.problem import integer, norm
from graphc.tree import Tree


class _State(NamedTuple):
    """Lanczos vectors v (this one) and r1, r2 (those before, not scaled), the rotation (c, s) and what it leaves (dbar, epsilon, phibar),
    the directions w of the last two turns."""

    x: Node
    v: Node
    curvature: Node
    r1: Node
    r2: Node
    w: Node
    w_before: Node
    beta: Node
    beta_before: Node
    c: Node
    s: Node
    dbar: Node
    epsilon: Node
    phibar: Node
    extent: Node  # an estimate of |A|, squared
    products: Node
    status: Node


def minres(A: Callable[[Tree], Tree], b: Tree, *, shift: float = 0.0, tol: float = 1e-6, max_iterations: int | None = None) -> Solution:
    """x with (A - shift I) x = b for symmetric A, definite or not, from 0: the iterates have the least residuals of their Krylov spaces.

    It ends at |b - A x| <= tol |b|, where the residual is as orthogonal to the range of A as tol asks (a singular A: x is then a
    least-squares solution, the residual stays), or after max_iterations products (5 n if left out). Paige and Saunders 1975, by a Lanczos
    process without reorthogonalisation. Raises ArgumentError, ShapeError, DTypeError.

        step = gx.optim.krylov.minres(lambda v: gx.hvp(cost, w, v), gx.grad(cost, w)).x
    """
    op = operator_of("minres", A, b)
    b0 = op.start
    size = norm(b0)
    most = integer(5 * b0.size if max_iterations is None else max_iterations)
    enough, eps = tol * size, op.eps
    zero, one = asarray(0.0, b0.dtype), asarray(1.0, b0.dtype)

    def turn(s: _State) -> _State:
        v = s.r2 / where(s.beta > 0, s.beta, 1.0)
        y = op.apply(v) - shift * v
        y = y - where(s.products > 0, s.beta / where(s.beta_before > 0, s.beta_before, 1.0), 0.0) * s.r1
        alfa = dot(v, y)
        y = y - alfa / where(s.beta > 0, s.beta, 1.0) * s.r2
        beta = norm(y)
        delta, gbar = s.c * s.dbar + s.s * alfa, s.s * s.dbar - s.c * alfa
        epsilon, dbar = s.s * beta, -s.c * beta
        root = sqrt(gbar**2 + dbar**2)  # |A r| is phibar times this
        gamma = sqrt(gbar**2 + beta**2)
        gamma = where(gamma > 0, gamma, 1.0)
        c, sn = gbar / gamma, beta / gamma
        w = (v - s.epsilon * s.w_before - delta * s.w) / gamma
        total = s.extent + alfa**2 + beta**2 + where(s.products > 0, s.beta**2, 0.0)
        finite = isfinite(alfa) & isfinite(beta)
        orthogonal = root <= tol * sqrt(total)  # A maps the residual of x to nothing: it cannot be made smaller
        better = finite & logical_not(orthogonal)
        phibar = where(better, sn * s.phibar, s.phibar)
        ended = where(s.products + 1 >= most, integer(Status.ITERATIONS), integer(RUNNING))
        ended = where((phibar <= enough) | orthogonal | (beta <= eps * sqrt(total)), integer(Status.CONVERGED), ended)
        ended = where(finite, ended, integer(Status.NOT_FINITE))
        x = s.x + where(better, c * s.phibar * w, 0.0)
        return _State(x, v, alfa, s.r2, y, w, s.w, beta, s.beta, c, sn, dbar, epsilon, phibar, total, s.products + 1, ended)

    begun = where(size > 0, where(most > 0, integer(RUNNING), integer(Status.ITERATIONS)), integer(Status.CONVERGED))
    begun = where(isfinite(size), begun, integer(Status.NOT_FINITE))
    none = b0 * 0.0
    first = _State(none, b0, zero, b0, b0, none, none, size, zero, -one, zero, zero, zero, size, zero, integer(0), begun)
    end = while_loop(lambda s: s.status == RUNNING, turn, first)
    return Solution(op.unravel(end.x), end.phibar, op.unravel(end.v), end.curvature, end.products, end.status)
