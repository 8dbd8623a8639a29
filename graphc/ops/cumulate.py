"""Reductions to a position, running reductions, and the linear recurrence that closes their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.compare import zeros_as
from graphc.ops.registry import structural
from graphc.ops.spread import astype, broadcast, broadcast_to, filled, reduce
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type

Axes = tuple[int, ...]
Nodes = Sequence[Node]
Tangents = Sequence[Node | None]


# -- arg_reduce ---------------------------------------------------------------------------------------------------
def arg_reduce_type(x: TensorType, axes: Axes, combine: str) -> TensorType:
    if not all(filled(x.shape[a]) for a in axes):
        fail(ShapeError, f"{combine}: an empty axis has no extreme: {x}")
    return tensor_type(int64, tuple(s for k, s in enumerate(x.shape) if k not in axes))


def arg_reduce_ref(x: np.ndarray, axes: Axes, combine: str) -> np.ndarray:
    kept = [k for k in range(x.ndim) if k not in axes]
    merged = x.transpose(*kept, *axes).reshape(*[x.shape[k] for k in kept], int(np.prod([x.shape[a] for a in axes], dtype=np.int64)))
    return np.asarray((np.argmax if combine == "argmax" else np.argmin)(merged, axis=-1), np.int64)


def _arg_loop(node: Node) -> LoopForm:
    (x,) = node.inputs
    axes: Axes = node.params[0]

    def body(read: Read, at: tuple[Size, ...], r: tuple[Size, ...]) -> Scalar:
        kept, reduced = iter(at), iter(r)
        return read(0, [next(reduced) if k in axes else next(kept) for k in range(x.ndim)])

    return LoopForm(body, tuple(x.shape[a] for a in axes), str(node.params[1]))


ARG_REDUCE = structural(
    "arg_reduce", 1, "The row-major position, in `axes`, of the first maximum or minimum; nan wins. combine: argmax | argmin.",
    params=("axes", "combine"), type_rule=arg_reduce_type, ref=arg_reduce_ref, vjp=lambda g, out, x, axes, combine: (None,), loop=_arg_loop,
    batch=lambda inputs, mapped, axes, combine: arg_reduce(inputs[0], tuple(a + 1 for a in axes), combine), traits=Traits(reduces=True),
)  # fmt: skip


def arg_reduce(x: Node, axes: Axes, combine: str) -> Node:
    """The primitive: the int64 position of the first extreme over sorted, distinct axes, which disappear."""
    return make(ARG_REDUCE, (x,), (axes, combine))


# -- cumulate -----------------------------------------------------------------------------------------------------
_RUNNING: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "max": np.maximum}


def identity_of(combine: str, dtype: np.dtype) -> float | int | bool:
    """What `combine` of nothing is: 0, 1, or the lowest value of the dtype."""
    if combine != "max":
        return 0 if combine == "sum" else 1
    if dtype == bool_:
        return False
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _cumulate_type(x: TensorType, axis: int, combine: str, reverse: bool, exclusive: bool) -> TensorType:
    if x.dtype == bool_ and combine != "max":
        fail(DTypeError, f"cumulate {combine}: needs numbers, got {x}")
    return x


def _cumulate_ref(x: np.ndarray, axis: int, combine: str, reverse: bool, exclusive: bool) -> np.ndarray:
    rows = np.moveaxis(x, axis, 0)[:: -1 if reverse else 1]
    with np.errstate(all="ignore"):
        result = _RUNNING[combine].accumulate(rows, axis=0, dtype=x.dtype)
    if combine == "sum" and x.dtype.kind == "f":
        result = result + x.dtype.type(0)  # it starts from 0: 0.0 for -0.0 alone
    if exclusive and len(rows):
        result = np.concatenate([np.full_like(result[:1], identity_of(combine, x.dtype)), result[:-1]])
    return np.moveaxis(result[:: -1 if reverse else 1], 0, axis)


def _cumulate_vjp(g: Node, out: Node, x: Node, axis: int, combine: str, reverse: bool, exclusive: bool) -> tuple[Node | None]:
    if combine == "sum":
        return (cumulate(g, axis, "sum", not reverse, exclusive),)
    if combine == "prod":
        # d out[i] / d x[j] = (product before j) * (product of what lies between j and i): the second factor, summed
        # over i with weights g, obeys r[j] = g[j] + x[j+1] * r[j+1]. No division: right with any number of zeros.
        before = cumulate(x, axis, "prod", reverse, True)
        if exclusive:
            return (before * recur(x, g, axis, not reverse, True),)
        return (before * (g + recur(x, x * g, axis, not reverse, True)),)
    return (_running_max_vjp(g, out, x, axis, reverse, exclusive),)


def _running_max_vjp(g: Node, out: Node, x: Node, axis: int, reverse: bool, exclusive: bool) -> Node:
    """Each output gives its cotangent to the elements that equal it so far, in even parts."""
    if exclusive:  # the same with everything one place later
        g = recur(zeros_as(g), g, axis, not reverse, True)
        out = cumulate(x, axis, "max", reverse, False)
    record = astype(x == out, x.dtype)
    same = astype(out == cumulate(x, axis, "max", reverse, True), x.dtype)  # 1 inside a run of equal outputs
    share = g / recur(same, record, axis, reverse, False)
    return record * (share + recur(same, same * share, axis, not reverse, True))


def _cumulate_jvp(out: Node, inputs: Nodes, tangents: Tangents, axis: int, combine: str, reverse: bool, exclusive: bool) -> Node | None:
    (x,), (t,) = inputs, tangents
    if t is None:
        return None
    if combine == "sum":
        return cumulate(t, axis, "sum", reverse, exclusive)
    if combine == "prod":  # out[i] = x[i] * out[i-1], so t_out[i] = x[i] * t_out[i-1] + t[i] * out[i-1]
        before = out if exclusive else cumulate(x, axis, "prod", reverse, True)
        return recur(x, t * before, axis, reverse, exclusive)
    running = cumulate(x, axis, "max", reverse, False)
    record = astype(x == running, x.dtype)
    same = astype(running == cumulate(x, axis, "max", reverse, True), x.dtype)
    moved = recur(same, record * t, axis, reverse, False) / recur(same, record, axis, reverse, False)
    return recur(zeros_as(moved), moved, axis, reverse, True) if exclusive else moved


def _cumulate_batch(inputs: Sequence[Node], mapped: Sequence[bool], axis: int, combine: str, reverse: bool, exclusive: bool) -> Node:
    return cumulate(inputs[0], axis + 1, combine, reverse, exclusive)


def _cumulate_mask(out: Node, x: Node, axis: int, combine: str, reverse: bool, exclusive: bool) -> list[Node | None]:
    return [x == out if combine == "max" and not exclusive else None]


CUMULATE = structural(
    "cumulate", 1, "The running sum (from 0.0), prod or max along `axis`; `exclusive`: of what lies before; `reverse`: from the end.",
    params=("axis", "combine", "reverse", "exclusive"), type_rule=_cumulate_type, ref=_cumulate_ref, vjp=_cumulate_vjp,
    jvp=_cumulate_jvp, batch=_cumulate_batch, traits=Traits(kernel="scan", masks=_cumulate_mask),
)  # fmt: skip


def cumulate(x: Node, axis: int, combine: str, reverse: bool = False, exclusive: bool = False) -> Node:
    """The primitive: out[i] = x[0] + .. + x[i] along axis (sum | prod | max); exclusive: up to x[i-1]; reverse: from the other end."""
    return make(CUMULATE, (x,), (axis, combine, reverse, exclusive))


# -- recur --------------------------------------------------------------------------------------------------------
def _recur_type(a: TensorType, b: TensorType, axis: int, reverse: bool, exclusive: bool) -> TensorType:
    if a.dtype != b.dtype or a.dtype == bool_:
        fail(DTypeError, f"recur: needs two arrays of one number dtype, got {a} and {b}")
    if a.ndim != b.ndim or not all(map(same_size, a.shape, b.shape)):
        fail(ShapeError, f"recur: shapes {a} and {b} differ")
    return a


def _recur_ref(a: np.ndarray, b: np.ndarray, axis: int, reverse: bool, exclusive: bool) -> np.ndarray:
    out = np.zeros(a.shape, a.dtype)
    factors, terms, results = (np.moveaxis(v, axis, 0)[:: -1 if reverse else 1] for v in (a, b, out))
    state = np.zeros(factors.shape[1:], a.dtype)
    with np.errstate(all="ignore"):
        for i in range(len(factors)):
            before, state = state, (factors[i] * state + terms[i] if i else terms[i] + a.dtype.type(0))
            results[i] = before if exclusive else state
    return out


def _recur_vjp(g: Node, out: Node, a: Node, b: Node, axis: int, reverse: bool, exclusive: bool) -> tuple[Node, Node]:
    if exclusive:
        through = recur(a, g, axis, not reverse, True)
        return through * out, through
    through = g + recur(a, a * g, axis, not reverse, True)
    return through * recur(a, b, axis, reverse, True), through


def _recur_jvp(out: Node, inputs: Nodes, tangents: Tangents, axis: int, reverse: bool, exclusive: bool) -> Node | None:
    (a, b), (ta, tb) = inputs, tangents
    if ta is None:
        return None if tb is None else recur(a, tb, axis, reverse, exclusive)
    moved = ta * (out if exclusive else recur(a, b, axis, reverse, True))
    return recur(a, moved if tb is None else moved + tb, axis, reverse, exclusive)


def _recur_batch(inputs: Sequence[Node], mapped: Sequence[bool], axis: int, reverse: bool, exclusive: bool) -> Node:
    lead = next(x.shape[0] for x, is_mapped in zip(inputs, mapped) if is_mapped)
    a, b = (x if is_mapped else broadcast_to(x, (lead, *x.shape)) for x, is_mapped in zip(inputs, mapped))
    return recur(a, b, axis + 1, reverse, exclusive)


RECUR = structural(
    "recur", 2, "out[i] = a[i] * out[i-1] + b[i], out[-1] = 0, along `axis`; `exclusive`: out[i-1] in place i; `reverse`: from the end.",
    params=("axis", "reverse", "exclusive"), type_rule=_recur_type, ref=_recur_ref, vjp=_recur_vjp, jvp=_recur_jvp, batch=_recur_batch,
    linear_in=(1,), traits=Traits(kernel="scan"),
)  # fmt: skip


def recur(a: Node, b: Node, axis: int, reverse: bool = False, exclusive: bool = False) -> Node:
    """The primitive: out[i] = a[i] * out[i-1] + b[i] along axis, starting from out[-1] = 0 (the first a is not used).

    It is its own adjoint up to elementwise factors, so it closes the derivatives of the running products in O(n)
    at every order.
    """
    return make(RECUR, (a, b), (axis, reverse, exclusive))


# -- the derivative of a product ----------------------------------------------------------------------------------
def prod_vjp(g: Node, out: Node, x: Node, axes: Axes) -> Node:
    """g spread over x times the product of the other elements: of those before and of those after, never out / x.

    Several axes are taken one by one, the last first, so nothing is reshaped. Right for any number of zeros, at every order.
    """
    levels = [x]
    for axis in axes[:0:-1]:
        levels.append(reduce(levels[-1], (axis,), "prod"))
    for level, axis in zip(levels[::-1], axes):
        others = cumulate(level, axis, "prod", False, True) * cumulate(level, axis, "prod", True, True)
        g = broadcast(g, level.shape, tuple(k for k in range(level.ndim) if k != axis)) * others
    return g


FUNCTIONS["prod_vjp"] = prod_vjp
