"""The ops that every row needs: cast, and the transposed pair broadcast and reduce."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import as_dtype, bool_, is_float
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import Shape, TensorType, as_shape, same_size, tensor_type


def _astype_vjp(g: Node, out: Node, x: Node, dtype: np.dtype) -> list[Node | None]:
    return [astype(g, x.dtype) if is_float(x.dtype) and is_float(dtype) else None]


CAST = structural(
    "cast", 1, "The values converted to another dtype: floats to integers truncate, saturate, and take nan to 0.", params=("dtype",),
    type_rule=lambda x, dtype: tensor_type(dtype, x.shape), vjp=_astype_vjp, elementwise=True, linear_in=(0,),
    ref=lambda x, dtype: cast_array(x, dtype), traits=Traits(keeps_zeros=True),
    loop=lambda node: LoopForm(lambda read, at, r: read(0, at).cast(node.dtype)),
    batch=lambda inputs, mapped, dtype: astype(inputs[0], dtype),
)  # fmt: skip


def cast_array(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`x.astype(dtype)`, with float to integer saturating and nan giving 0 on every machine."""
    if x.dtype.kind == "f" and dtype.kind in "iu":
        info = np.iinfo(dtype)
        with np.errstate(invalid="ignore"):
            inside = np.where(np.isnan(x), 0, np.trunc(x))
            result = np.where((inside >= info.min) & (inside < float(info.max)), inside, 0).astype(dtype)
        return np.where(inside >= float(info.max), info.max, np.where(inside < info.min, info.min, result)).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(dtype)


def astype(x: ArrayLike, dtype: object) -> Node:
    """x converted to `dtype`. Float to integer truncates, saturates at the ends, and takes nan to 0."""
    node, wanted = asarray(x), as_dtype(dtype)
    return node if node.dtype == wanted else make(CAST, (node,), (wanted,))


def _broadcast_type(x: TensorType, shape: Shape, axes: tuple[int, ...]) -> TensorType:
    for size, axis in zip(x.shape, axes, strict=True):
        if size != 1 and not same_size(size, shape[axis]):
            fail(ShapeError, f"broadcast: size {size} of {x} does not stretch to {shape[axis]}")
    return tensor_type(x.dtype, shape)


def _broadcast_loop(node: Node) -> LoopForm:
    (x,), (_, axes) = node.inputs, node.params

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return read(0, [0 if size == 1 and node.shape[a] != 1 else at[a] for size, a in zip(x.shape, axes, strict=True)])

    return LoopForm(body, view=True)


def _broadcast_ref(x: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    expanded = [1] * len(shape)
    for size, axis in zip(x.shape, axes, strict=True):
        expanded[axis] = size
    return np.broadcast_to(x.reshape(expanded), shape)


def _unbroadcast(g: Node, x: Node, axes: tuple[int, ...]) -> Node:
    """The sum of g over what the broadcast added or stretched, in the shape of x."""
    stretched = [a for size, a in zip(x.shape, axes, strict=True) if size == 1 and g.shape[a] != 1]
    summed = reduce(g, tuple(sorted(set(range(g.ndim)) - set(axes) | set(stretched))), "sum")
    if not stretched:
        return summed
    kept = [k for k, a in enumerate(axes) if a not in stretched]
    return broadcast(summed, x.shape, tuple(kept))


def _broadcast_batch(x: Node, shape: Shape, axes: tuple[int, ...]) -> Node:
    return broadcast(x, (x.shape[0], *shape), (0, *(a + 1 for a in axes)))


BROADCAST = structural(
    "broadcast", 1, "Input axis k becomes axis axes[k] of `shape`, stretched there if it is a literal 1; axes not named are new.",
    params=("shape", "axes"), type_rule=_broadcast_type, ref=_broadcast_ref, loop=_broadcast_loop, linear_in=(0,),
    vjp=lambda g, out, x, shape, axes: (_unbroadcast(g, x, axes),),
    batch=lambda inputs, mapped, shape, axes: _broadcast_batch(inputs[0], shape, axes),
    traits=Traits(moves="view", permutes=True, repeats=True),
)  # fmt: skip


def broadcast(x: Node, shape: Shape, axes: tuple[int, ...]) -> Node:
    """The primitive: input axis k is axis axes[k] (increasing) of the result."""
    return x if axes == tuple(range(len(shape))) and x.shape == shape else make(BROADCAST, (x,), (shape, axes))


def broadcast_to(x: ArrayLike, shape: Hashable) -> Node:
    """x stretched to `shape` by NumPy's rules; only a literal 1 stretches. Raises ShapeError."""
    node = asarray(x)
    wanted = as_shape(shape)
    if node.shape == wanted:
        return node
    return broadcast(stretched(node, wanted, "broadcast_to"), wanted, tuple(range(len(wanted))))


def stretched(node: Node, shape: Shape, what: str) -> Node:
    """The node beside others of `shape`. Sizes that are equal by assumption stay: the op that follows checks them."""
    if node.shape is shape or node.shape == shape:
        return node
    extra = len(shape) - node.ndim
    if extra < 0 or not all(a == 1 or same_size(a, b) for a, b in zip(node.shape, shape[extra:], strict=True)):
        fail(ShapeError, f"{what}: cannot stretch to ({dims.format_shape(shape)})", node)
    if extra == 0 and not any(a == 1 and b != 1 for a, b in zip(node.shape, shape, strict=True)):
        return node
    return broadcast(node, shape, tuple(range(extra, len(shape))))


# -- reduce -----------------------------------------------------------------------------------------------------
COMBINES: dict[str, Any] = {
    "sum": np.add.reduce, "prod": np.multiply.reduce, "max": np.maximum.reduce, "min": np.minimum.reduce,
    "any": np.logical_or.reduce, "all": np.logical_and.reduce, "sup": functools.partial(np.maximum.reduce, initial=-np.inf),
}  # fmt: skip
EXTREMES = ("max", "min", "sup")


def filled(size: Size) -> bool:
    """False where an axis is known to be empty; where that is open, it is checked when the function is called."""
    return same_size(dims.maximum(size, 1), size)


def _reduce_type(x: TensorType, axes: tuple[int, ...], combine: str) -> TensorType:
    if combine in ("any", "all") and x.dtype != bool_:
        fail(DTypeError, f"reduce {combine}: needs bool, got {x}")
    if combine == "sup" and x.dtype.kind != "f":
        fail(DTypeError, f"reduce sup: needs floats, which have a lowest value, got {x}")
    if combine in ("max", "min") and not all(filled(x.shape[a]) for a in axes):
        fail(ShapeError, f"reduce {combine}: an empty axis has no {combine}imum: {x}")
    return tensor_type(x.dtype, tuple(s for k, s in enumerate(x.shape) if k not in axes))


def _reduce_loop(node: Node) -> LoopForm:
    (x,), (axes, combine) = node.inputs, node.params

    def body(read: Read, at: tuple[Size, ...], r: tuple[Size, ...]) -> Scalar:
        kept, reduced = iter(at), iter(r)
        return read(0, [next(reduced) if k in axes else next(kept) for k in range(x.ndim)])

    return LoopForm(body, tuple(x.shape[a] for a in axes), "max" if combine == "sup" else str(combine))


def _reduce_vjp(g: Node, out: Node, x: Node, axes: tuple[int, ...], combine: str) -> tuple[Node | None]:
    spread = functools.partial(_spread, x=x, axes=axes)
    if combine == "sum":
        return (spread(g),)
    if combine in EXTREMES:
        ties = astype(x == spread(out), x.dtype)  # evenly split among ties
        return (spread(g / reduce(ties, axes, "sum")) * ties,)
    if combine == "prod":
        return (FUNCTIONS["prod_vjp"](g, out, x, axes),)
    return (None,)


def _reduce_batch(inputs: Sequence[Node], mapped: Sequence[bool], axes: tuple[int, ...], combine: str) -> Node:
    return reduce(inputs[0], tuple(a + 1 for a in axes), combine)


REDUCE = structural(
    "reduce", 1, "The sum, prod, max, min, any or all over `axes`, which disappear; sup is max, but -inf of nothing; nan wins.",
    params=("axes", "combine"), type_rule=_reduce_type,
    ref=lambda x, axes, combine: COMBINES[combine](x, axis=axes, dtype=x.dtype if combine in ("sum", "prod") else None),
    vjp=_reduce_vjp, batch=_reduce_batch, loop=_reduce_loop,
    jvp=lambda out, inputs, tangents, axes, combine: _reduce_jvp(out, inputs[0], tangents[0], axes, combine),
    traits=Traits(reduces=True, masks=lambda out, x, axes, combine: (x == _spread(out, x, axes) if combine in EXTREMES else None,)),
)  # fmt: skip


def _spread(out: Node, x: Node, axes: tuple[int, ...]) -> Node:
    """The result of a reduction beside every element it came from."""
    return broadcast(out, x.shape, tuple(k for k in range(x.ndim) if k not in axes))


def _reduce_jvp(out: Node, x: Node, t: Node, axes: tuple[int, ...], combine: str) -> Node | None:
    if combine == "sum":
        return reduce(t, axes, "sum")
    (weights,) = _reduce_vjp(astype(broadcast_to(asarray(1.0), out.shape), x.dtype), out, x, axes, combine)
    return None if weights is None else reduce(weights * t, axes, "sum")


def reduce(x: Node, axes: tuple[int, ...], combine: str) -> Node:
    """The primitive: combine over sorted, distinct, non-negative axes, which disappear. A sup over what is never empty is a max."""
    if combine == "sup" and all([dims.less_equal(1, x.shape[a]) is True for a in axes]):
        combine = "max"
    return x if not axes else make(REDUCE, (x,), (axes, combine))


__all__ = ["astype", "broadcast_to"]
