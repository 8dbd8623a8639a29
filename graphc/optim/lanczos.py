"""Extreme eigenvalues from products with a symmetric matrix: the Lanczos process and power iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from graphc.control.scan import scan
from graphc.control.tracing import turn_index
from graphc.control.while_loop import while_loop
from graphc.derivatives.batch import vmap
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as magnitude
from graphc.ops.compare import isfinite, where
from graphc.ops.create import arange, zeros
from graphc.ops.products import dot
from graphc.ops.reductions import sum as total
from graphc.ops.registry import asarray
from graphc.optim.operators import RUNNING, Status, operator_of
from graphc.optim.problem import integer, norm
from graphc.tree import Tree


class Lanczos(NamedTuple):
    """What `lanczos` gives: nodes. V' A V is tridiagonal, and its extreme eigenvalues are near those of A."""

    diagonal: Node
    """(k,)"""
    off_diagonal: Node
    """(k - 1,)"""
    tridiagonal: Node
    """(k, k): for `gx.linalg.eigh`."""
    vectors: Tree
    """The orthonormal vectors as rows: a tree like v0 with k in front of every shape."""
    rank: Node
    """How many rows hold: fewer than k where the space that v0 spans under A is smaller, int64."""


class _Row(NamedTuple):
    vector: Node
    diagonal: Node
    beyond: Node  # the off-diagonal element to the next row


def lanczos(A: Callable[[Tree], Tree], v0: Tree, k: int, *, reorthogonalise: bool = True) -> Lanczos:
    """k turns of the Lanczos process on a symmetric A from v0: A v_j = b_(j-1) v_(j-1) + a_j v_j + b_j v_(j+1).

    Its Ritz values, `gx.linalg.eigvalsh(found.tridiagonal)`, find the top and the bottom of the spectrum first. reorthogonalise: every
    vector is made orthogonal to all before it, twice, for 8 k n operations a turn; without it orthogonality is lost as Ritz values
    converge, and copies of them appear. Where the process ends early (v0 is a sum of few eigenvectors) `rank` < k: the rows beyond have
    vectors 0 and repeat the first diagonal element, which lies between the extreme eigenvalues, so that these stay right.
    Lanczos 1950; Golub and Van Loan, section 10.1. Raises ArgumentError, ShapeError, DTypeError.

        found = gx.optim.krylov.lanczos(lambda v: gx.hvp(cost, w, v), v0, 30)
        bottom, top = gx.linalg.eigvalsh(found.tridiagonal)[[0, -1]]
    """
    if k < 1:
        fail(ArgumentError, f"lanczos: k={k}", hint="at least one turn")
    op = operator_of("lanczos", A, v0)
    n, dtype = op.start.size, op.start.dtype
    size = norm(op.start)
    first = op.start / where(size > 0, size, 1.0)

    def turn(carry: tuple[Node, Node, Node, Node, Node, Node], _: None) -> tuple[tuple[Node, Node, Node, Node, Node, Node], _Row]:
        rows, v, before, b, bound, alive = carry
        rows = rows.at[turn_index()].set(v) if reorthogonalise else rows
        w = op.apply(v) - b * before
        a = dot(v, w)
        w = w - a * v
        for _turn in range(2 if reorthogonalise else 0):
            w = w - rows.T @ (rows @ w)
        longer = norm(w)
        bound = bound + magnitude(a) + longer
        goes_on = alive & (longer > 10 * op.eps * bound)
        after = where(goes_on, w / where(goes_on, longer, 1.0), 0.0)
        b = where(goes_on, longer, 0.0)
        return (rows, after, v, b, bound, goes_on), _Row(v, where(alive, a, 0.0), b)

    zero = asarray(0.0, dtype)
    begin = (zeros((k if reorthogonalise else 0, n), dtype), first, 0.0 * first, zero, zero, size > 0)
    made: _Row = scan(turn, begin, None, k)[1]
    rank = total((total(made.vector**2, axis=1) > 0.5).astype("int64"))
    diagonal = where(arange(k) < rank, made.diagonal, made.diagonal[0])
    off = made.beyond[:-1]
    i, j = arange(k)[:, None], arange(k)[None, :]
    full = where(i == j, diagonal[:, None], 0.0)
    if k > 1:
        full = full + where(j == i + 1, made.beyond[:, None], 0.0) + where(i == j + 1, made.beyond[None, :], 0.0)
    return Lanczos(diagonal, off, full, vmap(op.unravel)(made.vector), rank)


class Eigenpair(NamedTuple):
    """What `power_iteration` gives: nodes; `vector` a tree like v0, of length 1."""

    value: Node
    vector: Tree
    residual_norm: Node
    """|A v - value v|"""
    iterations: Node
    """Products with A, int64."""
    status: Node
    """A `Status`, int64."""


class _Power(NamedTuple):
    v: Node
    value: Node
    residual: Node
    products: Node
    status: Node


def power_iteration(A: Callable[[Tree], Tree], v0: Tree, *, tol: float = 1e-6, max_iterations: int = 1000) -> Eigenpair:
    """The eigenvalue of largest absolute value of a symmetric A and its eigenvector: v <- A v / |A v| from v0, until
    |A v - value v| <= tol |value| with value = v.A v, whose error is then at most that residual.

    Slow where the next largest is near; two of opposite signs keep it from converging. `lanczos` needs fewer products. Goodfellow et al.,
    section 8.2.5. Raises ArgumentError, ShapeError, DTypeError.

        top = gx.optim.krylov.power_iteration(lambda v: x.T @ (x @ v) / n, v0).value        of a covariance
    """
    op = operator_of("power_iteration", A, v0)
    size = norm(op.start)
    zero = asarray(0.0, op.start.dtype)

    def turn(s: _Power) -> _Power:
        w = op.apply(s.v)
        value = dot(s.v, w)
        residual, length = norm(w - value * s.v), norm(w)
        finite = isfinite(length)
        ended = where(s.products + 1 >= max_iterations, integer(Status.ITERATIONS), integer(RUNNING))
        ended = where(residual <= tol * magnitude(value), integer(Status.CONVERGED), ended)
        ended = where(finite, ended, integer(Status.NOT_FINITE))
        v = where((ended == RUNNING) & (length > 0), w / where(length > 0, length, 1.0), s.v)
        return _Power(v, value, residual, s.products + 1, ended)

    fine = isfinite(size) & (size > 0) & (max_iterations > 0)
    begun = where(fine, integer(RUNNING), integer(Status.ITERATIONS if max_iterations <= 0 else Status.NOT_FINITE))
    first = _Power(op.start / where(size > 0, size, 1.0), zero, zero, integer(0), begun)
    end = while_loop(lambda s: s.status == RUNNING, turn, first)
    return Eigenpair(end.value, op.unravel(end.v), end.residual, end.products, end.status)
