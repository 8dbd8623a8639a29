"""Determinants from the factors of a, and their derivatives, which are polynomials: those of a singular matrix exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import scalars
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm, Read
from graphc.ops.compare import where
from graphc.ops.create import eye
from graphc.ops.diagonals import diagonal
from graphc.ops.host import host_op, lanes_in_front
from graphc.ops.linalg.common import float_square, guarded, product, transposed
from graphc.ops.linalg.lu import factored, inverse, inverse_of, solved
from graphc.ops.reductions import prod, sum
from graphc.ops.registry import structural
from graphc.ops.spread import reduce
from graphc.scalars import Scalar
from graphc.types import Shape, TensorType, tensor_type

SMALL = {8: 2.0**-400, 4: 2.0**-50}  # stands for a pivot that is zero, times the largest: far below what a rounding can tell


def _diagonal_type(a: TensorType, packed: TensorType) -> TensorType:
    float_square("det", a, packed)
    return tensor_type(a.dtype, a.shape[:-2])


def _diagonal_loop(combine: str, change: Any) -> Any:
    def loop(node: Node) -> LoopForm:
        def body(read: Read, at: Shape, r: Shape) -> Scalar:
            return change(read(1, (*at, r[0], r[0])))  # type: ignore[no-any-return]

        return LoopForm(body, (node.inputs[0].shape[-1],), combine)

    return loop


def _diagonal(packed: np.ndarray) -> np.ndarray:
    return np.diagonal(packed, axis1=-2, axis2=-1)


def _log_vjp(g: Node, out: Node, a: Node, packed: Node) -> list[Node | None]:
    return [inverse(a, trans=True) * g[..., None, None], None]


def _det_vjp(g: Node, out: Node, a: Node, packed: Node) -> list[Node | None]:
    """The cofactors, times the sign of the permutation that `out` leaves out."""
    return [cofactors(a) * (g * factored(a)[2])[..., None, None], None]


LOG_DET: Op = structural(
    "log_abs_det", 2, "log |det a| from the factors of a, of which it is a function through a alone.", type_rule=_diagonal_type,
    ref=lambda a, packed: np.log(np.abs(_diagonal(packed))).sum(-1), vjp=_log_vjp, batch=lanes_in_front(lambda: LOG_DET),
    loop=_diagonal_loop("sum", lambda x: scalars.math("log", abs(x))),
)  # fmt: skip

DIAGONAL_PRODUCT: Op = structural(
    "product_of_pivots", 2, "det a but for its sign, from the factors of a, of which it is a function through a alone.",
    type_rule=_diagonal_type, ref=lambda a, packed: _diagonal(packed).prod(-1), vjp=_det_vjp,
    batch=lanes_in_front(lambda: DIAGONAL_PRODUCT), loop=_diagonal_loop("prod", lambda x: x),
)  # fmt: skip


# -- cofactors --------------------------------------------------------------------------------------------------------------
def cofactors(a: Node) -> Node:
    """The derivative of det a, det(a) a'^-1: from its factors, with something small for pivots that are zero."""
    packed, perm, parity = factored(a)
    pivots = diagonal(packed, axis1=-2, axis2=-1)
    largest = reduce(abs(pivots), (pivots.ndim - 1,), "sup")[..., None]
    small = where(largest > 0, largest, 1.0) * SMALL[a.dtype.itemsize]
    full = where(pivots == 0, small, pivots)
    whole = where(eye(a.shape[-1], dtype="bool"), full[..., None, :], packed)
    return make(COFACTORS, (a, inverse_of(a, whole, perm, trans=True) * (parity * prod(full, axis=-1))[..., None, None]))


def _value_type(a: TensorType, value: TensorType) -> TensorType:
    float_square("cofactors", a, value)
    return value


def _cofactors_vjp(g: Node, out: Node, a: Node, value: Node) -> list[Node | None]:
    return [make(SLOPE, (a, g)), None]


COFACTORS: Op = structural(
    "cofactors", 2, "The cofactors of a, which are given: a function of a alone.", type_rule=_value_type, ref=lambda a, value: value,
    vjp=_cofactors_vjp, batch=lanes_in_front(lambda: COFACTORS), loop=lambda node: LoopForm(lambda read, at, r: read(1, at)),
)  # fmt: skip


# -- their derivatives --------------------------------------------------------------------------------------------------------
def _slope_type(a: TensorType, *directions: TensorType) -> TensorType:
    float_square("cofactors", a, *directions)
    return a


def _slope_ref(a: np.ndarray, *directions: np.ndarray) -> np.ndarray:
    return guarded(_slope, [a, *directions], [a.shape[-2:]])[0]


def _slope(a: np.ndarray, *directions: np.ndarray) -> np.ndarray:
    """With u s v' = a it is det(u v') u d v', d the same of the diagonal matrix s: sums over its minors."""
    u, s, vt = np.linalg.svd(a)
    turned = [u.swapaxes(-1, -2) @ x @ vt.swapaxes(-1, -2) for x in directions]
    made = _once(s, *turned) if len(turned) == 1 else _twice(s, *turned)
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    return np.asarray(sign[..., None, None] * (u @ made @ vt))


def _others(s: np.ndarray) -> np.ndarray:
    """p[i, j]: the product of all s but s[i] and s[j], 0 for i = j."""
    n = s.shape[-1]
    own = np.eye(n, dtype=bool)
    left_out = own[:, None, :] | own[None, :, :]
    return np.asarray(np.where(left_out, 1, s[..., None, None, :]).prod(-1) * ~own)


def _once(s: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Of the sum of p[i, j] (h[i, i] x[j, j] - h[i, j] x[j, i]) the factors of x."""
    p = _others(s)
    return np.asarray(_on_diagonal((p @ _diagonal(h)[..., None])[..., 0]) - p * h.swapaxes(-1, -2))


def _on_diagonal(d: np.ndarray) -> np.ndarray:
    return np.asarray(d[..., None] * np.eye(d.shape[-1], dtype=d.dtype))


def _twice(s: np.ndarray, h: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of the sum over the six permutations of three places, with the product of all s but those three, the factors of x."""
    n = s.shape[-1]
    made = np.zeros(h.shape, h.dtype)
    for c in range(n):  # x[c, .]
        rest = np.where(np.arange(n) == c, 1, s)
        p = _others(rest) * (np.arange(n) != c) * (np.arange(n) != c)[:, None]
        dh, dk = _diagonal(h), _diagonal(k)
        made[..., c, c] += np.einsum("...ij,...i,...j->...", p, dh, dk) - np.einsum("...ij,...ij,...ji->...", p, h, k)
        made[..., c, :] -= h[..., :, c] * np.einsum("...ij,...j->...i", p, dk) + k[..., :, c] * np.einsum("...ij,...i->...j", p, dh)
        made[..., c, :] += np.einsum("...ij,...ij,...j->...i", p, h, k[..., :, c]) + np.einsum("...ij,...ji,...i->...j", p, k, h[..., :, c])
    return made


def _slope_vjp(g: Node, out: Node, a: Node, *directions: Node) -> list[Node]:
    """det is symmetric in its directions, so that the derivative towards one puts g in its place, and towards a adds g to them."""
    towards = [make(SLOPE, (a, *directions[:k], g, *directions[k + 1 :])) for k in range(len(directions))]
    among = [*directions, g]
    return [make(SLOPE, (a, *among)) if len(among) < 3 else _beyond(a, among), *towards]


def _beyond(a: Node, directions: Sequence[Node]) -> Node:
    """The third derivative of the cofactors c, from that of a'c = det(a): it takes an inverse, so that a singular a has none."""
    first, second, last = directions
    det = sum(make(SLOPE, (a, first, second)) * last, axis=(-2, -1))[..., None, None]
    pairs = ((first, second, last), (second, first, last), (last, first, second))
    less = [product(transposed(x), make(SLOPE, (a, y, z))) for x, y, z in pairs]
    return solved(transposed(a), eye(a.shape[-1], dtype=a.dtype) * det - less[0] - less[1] - less[2], on_error="nan")


SLOPE = host_op(
    "cofactors_slope", None, "The derivative of the cofactors of a towards one matrix, or towards two.", type_rule=_slope_type,
    ref=_slope_ref, vjp=_slope_vjp,
)  # fmt: skip
