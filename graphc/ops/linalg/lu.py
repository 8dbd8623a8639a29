"""a[perm] = l u with partial pivoting, and what is solved with it: one factorisation for solve, inverse and determinant."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Size, maximum
from graphc.dtypes import int64
from graphc.errors import ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import Routine
from graphc.ops.create import arange, eye, tril, triu, zeros
from graphc.ops.host import host_op
from graphc.ops.joining import concatenate
from graphc.ops.linalg.common import (
    Parts,
    alike,
    counts,
    eliminated,
    float_matrix,
    float_square,
    least,
    nan_where,
    on_batch,
    product,
    routine_of,
    spread_batch,
    transposed,
)
from graphc.ops.linalg.triangular import substituted, systems, triangular
from graphc.ops.outputs import outputs
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type

PANEL = 32  # columns that are eliminated one by one before the rest is updated by a product


# -- the factorisation --------------------------------------------------------------------------------------------------------
def _type(a: TensorType) -> tuple[TensorType, ...]:
    float_matrix("lu", a)
    return a, tensor_type(int64, a.shape[:-1]), tensor_type(a.dtype, a.shape[:-2])


def _ref(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, n = a.shape[-2:]
    batch = a.shape[:-2]
    x = np.array(a).reshape(int(np.prod(batch)), m, n)
    perm = np.tile(np.arange(m), (len(x), 1))
    parity = np.ones(len(x), a.dtype)
    lanes = np.arange(len(x))
    for first in range(0, min(m, n), PANEL):
        last = min(first + PANEL, m, n)
        for k in range(first, last):
            sizes = np.abs(x[:, k:, k])
            p = k + np.argmax(np.where(np.isnan(sizes), -1, sizes), axis=1)
            x[lanes, k], x[lanes, p] = x[lanes, p], x[lanes, k].copy()
            perm[lanes, k], perm[lanes, p] = perm[lanes, p], perm[lanes, k].copy()
            parity[p != k] *= -1
            pivot = x[:, k, k, None]
            x[:, k + 1 :, k] = np.where(pivot == 0, x[:, k + 1 :, k], x[:, k + 1 :, k] / np.where(pivot == 0, 1, pivot))
            x[:, k + 1 :, k + 1 : last] -= x[:, k + 1 :, k, None] * x[:, None, k, k + 1 : last]
        if last < n:
            x[:, first:last, last:] = substituted(x[:, first:last, first:last], x[:, first:last, last:], lower=True, unit=True)
            x[:, last:, last:] -= x[:, last:, first:last] @ x[:, first:last, last:]
    return x.reshape(a.shape), perm.reshape(*batch, m), parity.reshape(batch)


def lower_of(packed: Node) -> Node:
    """l: (m, m), its columns beyond those of `packed` those of the identity."""
    m, n = packed.shape[-2:]
    return tril(_wide(packed, m), -1) * (arange(m) < least(m, n)) + eye(m, dtype=packed.dtype)


def upper_of(packed: Node) -> Node:
    """u: (n, n), its rows beyond those of `packed` those of the identity."""
    m, n = packed.shape[-2:]
    own = triu(transposed(_wide(transposed(packed), n)))
    return own + eye(n, dtype=packed.dtype) * (arange(n) >= least(m, n))


def _wide(x: Node, columns: Size) -> Node:
    """x with that many columns, zeros behind its own."""
    n = x.shape[-1]
    if alike(n, columns):
        return x
    behind = zeros((*x.shape[:-1], maximum(columns - n, 0)), x.dtype)
    return concatenate([x, behind], axis=-1)[..., :columns]


def permutation(perm: Node, dtype: np.dtype) -> Node:
    """p with p l u = a."""
    return (arange(perm.shape[-1])[:, None] == perm[..., None, :]).astype(dtype)


def _vjp(g: Parts, out: Any, a: Node) -> list[Node | None]:
    """p l'^-1 (lower(l' g) + upper(g u')) u'^-1."""
    if g[0] is None:
        return [None]
    packed, perm, _ = out
    lower, upper = lower_of(packed), upper_of(packed)
    inner = tril(product(transposed(lower), tril(g[0], -1)), -1) + triu(product(triu(g[0]), transposed(upper)))
    left = triangular(lower, inner, lower=True, trans=True, unit=True)
    both = transposed(triangular(upper, transposed(left), lower=False))
    return [product(permutation(perm, a.dtype), both)]


def _routine(node: Node) -> Routine:
    m, n = node.inputs[0].shape[-2:]
    return eliminated(routine_of(node, "lu", (), (m, n), (0,), m * n * dims.minimum(m, n)))


LU = host_op(
    "lu", 1, "l (below the diagonal) and u in one matrix, the permutation of rows, and its sign: a[perm] = l u.",
    type_rule=_type, ref=_ref, vjp=_vjp, traits=Traits(routine=_routine),
)  # fmt: skip


def factored(a: Node) -> tuple[Node, ...]:
    """(packed, perm, sign of the permutation)."""
    return outputs(make(LU, (a,)))


# -- systems -------------------------------------------------------------------------------------------------------------------
def _solve_type(a: TensorType, packed: TensorType, perm: TensorType, b: TensorType, trans: bool, on_error: str) -> tuple[TensorType, ...]:
    float_square("solve", a, packed, b)
    systems("solve", a, b)
    if perm.dtype != int64 or not all(map(same_size, perm.shape, a.shape[:-1])):
        fail(ShapeError, f"solve: a permutation of the rows of {a} is needed, got {perm}")
    return b, counts(a)


def _solve_ref(a: np.ndarray, packed: np.ndarray, perm: np.ndarray, b: np.ndarray, trans: bool, on_error: str) -> Any:
    singular = (np.diagonal(packed, axis1=-2, axis2=-1) == 0).any(-1).astype(np.int64)
    if trans:
        y = substituted(packed, substituted(packed, b, lower=False, trans=True), lower=True, trans=True, unit=True)
        x = np.empty_like(y)
        np.put_along_axis(x, np.broadcast_to(perm[..., None], y.shape), y, -2)
    else:
        moved = np.take_along_axis(b, np.broadcast_to(perm[..., None], b.shape), -2)
        x = substituted(packed, substituted(packed, moved, lower=True, unit=True), lower=False)
    return nan_where(singular, x), singular


def _solve_vjp(g: Parts, out: Any, a: Node, packed: Node, perm: Node, b: Node, trans: bool, on_error: str) -> list[Node | None]:
    """gb = a'^-1 g, ga = -gb x'; of the factors x is no function but through a."""
    if g[0] is None:
        return [None] * 4
    back, x = lu_solve(a, packed, perm, g[0], not trans, on_error), out[0]
    slope = -product(x, transposed(back)) if trans else -product(back, transposed(x))
    return [slope, None, None, back]


def _solve_routine(node: Node) -> Routine:
    n, k = node.inputs[3].shape[-2:]
    return eliminated(routine_of(node, "solve", (node.attrs["trans"],), (n, k), (1, 2, 3), 2 * n * n * k))


LU_SOLVE = host_op(
    "solve", 4, "x with a x = b from the factors of a, and 1 where a is singular. Its derivative is taken of a, not of the factors.",
    params=("trans", "on_error"), type_rule=_solve_type, ref=_solve_ref, vjp=_solve_vjp,
    traits=Traits(refusal=lambda node: (1, "is singular") if node.attrs["on_error"] == "raise" else None, routine=_solve_routine),
)  # fmt: skip


def lu_solve(a: Node, packed: Node, perm: Node, b: Node, trans: bool = False, on_error: str = "nan") -> Node:
    """x with a x = b, or a' x = b, over one batch."""
    batched_a, batched_packed, batched_b = on_batch("solve", a, packed, b)
    batched_perm = spread_batch(perm, batched_a.shape[:-2], 1)
    return outputs(make(LU_SOLVE, (batched_a, batched_packed, batched_perm, batched_b), (trans, on_error)))[0]


def solved(a: Node, b: Node, on_error: str = "raise") -> Node:
    """x with a x = b, for matrices b: a is factored once, whatever is solved with it."""
    packed, perm, _ = factored(a)
    return lu_solve(a, packed, perm, b, on_error=on_error)


# -- the inverse ------------------------------------------------------------------------------------------------------------------
def _inverse_type(a: TensorType, packed: TensorType, perm: TensorType, trans: bool, on_error: str) -> tuple[TensorType, ...]:
    return _solve_type(a, packed, perm, a, trans, on_error)


def _inverse_ref(a: np.ndarray, packed: np.ndarray, perm: np.ndarray, trans: bool, on_error: str) -> Any:
    unit = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return _solve_ref(a, packed, perm, unit, trans, on_error)


def _inverse_vjp(g: Parts, out: Any, a: Node, packed: Node, perm: Node, trans: bool, on_error: str) -> list[Node | None]:
    """-x'g x' for x = a^-1, -x g'x for x = a'^-1."""
    if g[0] is None:
        return [None] * 3
    x = out[0]
    return [-product(x, transposed(g[0]), x) if trans else -product(transposed(x), g[0], transposed(x)), None, None]


def _inverse_routine(node: Node) -> Routine:
    n = node.inputs[0].shape[-1]
    return eliminated(routine_of(node, "inv", (node.attrs["trans"],), (n,), (1, 2), 2 * n * n * n))


INVERSE = host_op(
    "inv", 3, "a^-1 or a'^-1 from the factors of a, and 1 where a is singular. Its derivative is taken of a, not of the factors.",
    params=("trans", "on_error"), type_rule=_inverse_type, ref=_inverse_ref, vjp=_inverse_vjp,
    traits=Traits(refusal=lambda node: (1, "is singular") if node.attrs["on_error"] == "raise" else None, routine=_inverse_routine),
)  # fmt: skip


def inverse(a: Node, trans: bool = False, on_error: str = "nan") -> Node:
    """a^-1, or a'^-1."""
    packed, perm, _ = factored(a)
    return inverse_of(a, packed, perm, trans, on_error)


def inverse_of(a: Node, packed: Node, perm: Node, trans: bool = False, on_error: str = "nan") -> Node:
    """The same from these factors."""
    return outputs(make(INVERSE, (a, packed, perm), (trans, on_error)))[0]
