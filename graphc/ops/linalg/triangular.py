"""Triangular systems a x = b, and the Cholesky factor l with l l' = a."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import dims
from graphc.errors import ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import Routine
from graphc.ops.create import eye, tril, triu
from graphc.ops.host import host_op
from graphc.ops.linalg.common import (
    Parts,
    counts,
    eliminated,
    float_square,
    guarded,
    nan_where,
    on_batch,
    product,
    raises,
    routine_of,
    symmetric_part,
    to_read,
    transposed,
)
from graphc.ops.outputs import outputs
from graphc.traits import Traits
from graphc.types import TensorType, same_size

BLOCK = 64  # rows of a block: its own system is solved by elimination, which takes no steps in a triangle; the rest are products


# -- triangular systems ---------------------------------------------------------------------------------------------------
def substituted(a: np.ndarray, b: np.ndarray, *, lower: bool, trans: bool = False, unit: bool = False) -> np.ndarray:
    """x with a x = b, or a' x = b, of which one triangle of `a` is read; a zero on the diagonal gives infinities and nan."""
    if trans:
        a, lower = a.swapaxes(-1, -2), not lower
    if lower:  # with rows and columns in reverse order it is an upper triangle
        a, b = a[..., ::-1, ::-1], b[..., ::-1, :]
    x = np.array(b)
    n = a.shape[-1]
    for first in range((n - 1) // BLOCK * BLOCK, -1, -BLOCK) if n else ():
        rows = slice(first, min(first + BLOCK, n))
        behind = x[..., rows, :] - a[..., rows, rows.stop :] @ x[..., rows.stop :, :]
        x[..., rows, :] = _block(np.triu(a[..., rows, rows], 1 if unit else 0), behind, unit)
    return x[..., ::-1, :] if lower else x


def _block(a: np.ndarray, b: np.ndarray, unit: bool) -> np.ndarray:
    if unit:
        a = a + np.eye(a.shape[-1], dtype=a.dtype)
    if np.isfinite(a).all() and np.isfinite(b).all() and (np.diagonal(a, axis1=-2, axis2=-1) != 0).all():
        return np.linalg.solve(a, b)
    x = np.array(b)  # elimination would take 0 * nan from other rows
    for i in range(a.shape[-1] - 1, -1, -1):
        x[..., i, :] /= a[..., i, i, None]
        x[..., :i, :] -= a[..., :i, i, None] * x[..., None, i, :]
    return x


def _solve_type(a: TensorType, b: TensorType, **_: Any) -> tuple[TensorType, TensorType]:
    float_square("solve_triangular", a, b)
    systems("solve_triangular", a, b)
    return b, counts(a)


def systems(what: str, a: TensorType, b: TensorType, *operands: Node) -> None:
    """Raise unless a x = b has fitting sizes."""
    from_a, from_b = a.shape[-1], b.shape[-2]
    if not same_size(from_a, from_b):
        fail(ShapeError, f"{what}: the matrix is {a.shape[-2]} x {from_a}, the right-hand side has {from_b} rows", *operands)


def _solve_ref(a: np.ndarray, b: np.ndarray, lower: bool, trans: bool, unit: bool, on_error: str) -> Any:
    singular = np.zeros(a.shape[:-2], np.int64) if unit else (np.diagonal(a, axis1=-2, axis2=-1) == 0).any(-1).astype(np.int64)
    return nan_where(singular, substituted(a, b, lower=lower, trans=trans, unit=unit)), singular


def _solve_vjp(g: Parts, out: Any, a: Node, b: Node, lower: bool, trans: bool, unit: bool, on_error: str) -> list[Node | None]:
    """gb = a'^-1 g, ga = -gb x' in the triangle."""
    if g[0] is None:
        return [None, None]
    back = triangular(a, g[0], lower, not trans, unit, on_error)
    x = out[0]
    slope = -product(x, transposed(back)) if trans else -product(back, transposed(x))
    edge = 1 if unit else 0
    return [tril(slope, -edge) if lower else triu(slope, edge), back]


def _solve_routine(node: Node) -> Routine:
    (n, k), a = node.inputs[1].shape[-2:], node.attrs
    return eliminated(routine_of(node, "solve_triangular", (a["lower"], a["trans"], a["unit"]), (n, k), (0, 1), n * n * k))


TRIANGULAR = host_op(
    "solve_triangular", 2, "x with a x = b for a triangle of a, and 1 where its diagonal has a zero.",
    params=("lower", "trans", "unit", "on_error"), type_rule=_solve_type, ref=_solve_ref, vjp=_solve_vjp,
    traits=Traits(
        refusal=lambda node: (1, "is singular: its diagonal has a zero") if node.attrs["on_error"] == "raise" else None,
        routine=_solve_routine,
    ),
)  # fmt: skip


def triangular(a: Node, b: Node, lower: bool, trans: bool = False, unit: bool = False, on_error: str = "nan") -> Node:
    """The primitive: x with a x = b, or a' x = b, over one batch."""
    return outputs(make(TRIANGULAR, tuple(on_batch("solve_triangular", a, b)), (lower, trans, unit, on_error)))[0]


# -- Cholesky ---------------------------------------------------------------------------------------------------------------
def _cholesky_type(a: TensorType, reads: str, on_error: str) -> tuple[TensorType, ...]:
    float_square("cholesky", a)
    return a, counts(a)


def _cholesky_ref(a: np.ndarray, reads: str, on_error: str) -> Any:
    n = a.shape[-1]
    return guarded(np.linalg.cholesky, [symmetric_part(a, reads)], [(n, n)])


def _cholesky_vjp(g: Parts, out: Any, a: Node, reads: str, on_error: str) -> list[Node | None]:
    """l'^-1 P(l' g) l^-1 with P the lower triangle, its diagonal halved (Murray 2016)."""
    if g[0] is None:
        return [None]
    l = out[0]  # noqa: E741 - as in the formula
    inner = tril(product(transposed(l), g[0])) * (1 - 0.5 * eye(a.shape[-1], dtype=a.dtype))
    left = triangular(l, inner, lower=True, trans=True)
    return [to_read(transposed(triangular(l, transposed(left), lower=True, trans=True)), reads)]


def _cholesky_routine(node: Node) -> Routine:
    n = node.inputs[0].shape[-1]
    return eliminated(routine_of(node, "cholesky", (node.attrs["reads"],), (n,), (0,), dims.floordiv(n * n * n, 3) + n))


CHOLESKY = host_op(
    "cholesky", 1, "The lower triangle l with l l' = a, and 1 where there is none.", params=("reads", "on_error"),
    type_rule=_cholesky_type, ref=_cholesky_ref, vjp=_cholesky_vjp,
    traits=Traits(
        refusal=lambda node: (1, "is not positive definite") if node.attrs["on_error"] == "raise" else None, routine=_cholesky_routine,
    ),
)  # fmt: skip


def cholesky_factor(a: Node, reads: str = "both", on_error: str = "raise") -> Node:
    """The primitive: the lower factor."""
    raises("cholesky", on_error)
    return outputs(make(CHOLESKY, (a,), (reads, on_error)))[0]
