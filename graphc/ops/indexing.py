"""Gather and scatter, the data-dependent index maps and each other's transpose; take, take_along_axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.create import iota, zeros
from graphc.ops.ranges import never_negative, origin, within
from graphc.ops.registry import ArrayLike, asarray, constant, number, structural
from graphc.ops.shape import at_most, lift, moveaxis, permute, ravel, reshape
from graphc.ops.spread import astype, broadcast, broadcast_to
from graphc.scalars import Scalar
from graphc.traits import Selects, Traits
from graphc.types import Shape, TensorType, broadcast_shapes, normal_axis, same_size, tensor_type

Axes = tuple[int, ...]


# -- what gather and scatter share: `indices` of shape lead + where select along `axes` of x, whose first `batch` axes are lead ---------
def _check(name: str, x: TensorType, indices: Sequence[TensorType], axes: Axes, batch: int) -> Shape:
    """The shape lead + where + rest of what is selected."""
    first = indices[0]
    for i in indices:
        if i.dtype.kind not in "iu":
            fail(DTypeError, f"{name}: an index must be integer, got {i}")
        if i.ndim != first.ndim or not all(map(same_size, i.shape, first.shape)):
            fail(ShapeError, f"{name}: the shapes of the indices {first} and {i} differ")
    if not all(map(same_size, first.shape[:batch], x.shape[:batch])):
        fail(ShapeError, f"{name}: the first {batch} axes of {x} and of the index {first} differ")
    return first.shape + tuple([n for k, n in enumerate(x.shape) if k >= batch and k not in axes])


def checked_from(axes_at: int) -> Any:
    """The indices that the compiler must check before the kernel runs; the first of them is operand `axes_at`."""

    def checked(node: Node) -> list[Selects]:
        x, axes = node.inputs[0], node.params[0]
        return [origin(i, a, x.shape[a]) for i, a in zip(node.inputs[axes_at:], axes) if not within(i, x.shape[a])]

    return checked


def _place(x: np.ndarray, indices: Sequence[np.ndarray], axes: Axes, batch: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """(view, key) such that view[key] is the selection, in the order lead, where, rest. Raises IndexOutOfRange."""
    for i, a in zip(indices, axes):
        outside = (i < 0) | (i >= x.shape[a])
        if outside.any():
            fail(IndexOutOfRange, f"index {i[outside].flat[0]} is out of range for axis {a} of size {x.shape[a]}")
    view = np.moveaxis(x, axes, range(batch, batch + len(axes)))
    grids = [np.arange(x.shape[k]).reshape([-1 if j == k else 1 for j in range(indices[0].ndim)]) for k in range(batch)]
    return view, (*grids, *indices)


# -- gather -----------------------------------------------------------------------------------------------------------
def _gather_loop(node: Node) -> LoopForm:
    (x, *indices), (axes, batch) = node.inputs, node.params
    assert isinstance(axes, tuple) and isinstance(batch, int)

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        where = at[: indices[0].ndim]
        chosen = {a: read(k, where).cast(int64) for k, a in enumerate(axes, start=1)}
        rest = iter(at[indices[0].ndim :])
        return read(0, [at[k] if k < batch else chosen[k] if k in chosen else next(rest) for k in range(x.ndim)])

    return LoopForm(body)


def _gather_ref(x: np.ndarray, *indices: np.ndarray, axes: Axes, batch: int) -> np.ndarray:
    view, key = _place(x, indices, axes, batch)
    return view[key]  # type: ignore[no-any-return]


def _gather_vjp(g: Node, out: Node, x: Node, *indices: Node, axes: Axes, batch: int) -> list[Node | None]:
    lead, none = x.shape[:batch], [None] * len(indices)
    if len(axes) == 1 and all([n == 1 for n in indices[0].shape[batch:]]):
        # one element of each row: a comparison instead of a scatter, so that it fuses with what comes before and after
        rest = tuple([k for k in range(x.ndim) if k != axes[0]])
        spread = broadcast(reshape(g, tuple([x.shape[k] for k in rest])), x.shape, rest)
        hit = iota(x.shape, axes[0]) == broadcast(astype(reshape(indices[0], lead), int64), x.shape, tuple(range(batch)))
        return [FUNCTIONS["where"](hit, spread, number(0, g.dtype)), *none]
    return [scatter(zeros(x.shape, x.dtype), g, *indices, axes=axes, batch=batch), *none]


def _gather_batch(inputs: Sequence[Node], mapped: Sequence[bool], axes: Axes, batch: int) -> Node:
    x, indices = inputs[0], inputs[1:]
    up = tuple([a + 1 for a in axes])
    if not any(mapped[1:]):  # x only: the mapped axis is one more that is kept
        taken = gather(moveaxis(x, 0, batch), *indices, axes=up, batch=batch)
        return moveaxis(taken, indices[0].ndim, 0)
    indices = lift(indices, mapped[1:])
    if mapped[0]:
        return gather(x, *indices, axes=up, batch=batch + 1)
    taken = gather(x, *[moveaxis(i, 0, batch) for i in indices], axes=axes, batch=batch)
    return moveaxis(taken, batch, 0)


def _gather_type(x: TensorType, *indices: TensorType, axes: Axes, batch: int) -> TensorType:
    return tensor_type(x.dtype, _check("gather", x, indices, axes, batch))


GATHER = structural(
    "gather", None, "out[b, i, r] = x[b, indices[b, i] along axes, r]: integer arrays of one shape b + i select along `axes` of x, whose "
    "first `batch` axes are b; the axes not named, r, come last.",
    params=("axes", "batch"), type_rule=_gather_type, ref=_gather_ref, loop=_gather_loop, vjp=_gather_vjp, batch=_gather_batch,
    linear_in=(0,), traits=Traits(moves="data", by_data=(0,), checked=checked_from(1)),
)  # fmt: skip


def gather(x: Node, *indices: Node, axes: Axes, batch: int = 0) -> Node:
    """The primitive: 0 <= indices select along `axes` (each >= batch) of x. Negative indices do not wrap here, see `wrap`."""
    return make(GATHER, (x, *indices), (axes, batch))


# -- scatter ----------------------------------------------------------------------------------------------------------
def updated_type(x: TensorType, updates: TensorType, *indices: TensorType, axes: Axes, batch: int, mode: str) -> TensorType:
    """The type of x, if the updates fit."""
    selected = _check("scatter", x, indices, axes, batch)
    if updates.dtype != x.dtype:
        fail(DTypeError, f"scatter: dtypes {x.dtype} and {updates.dtype} differ")
    if mode == "add" and x.dtype == bool_:
        fail(DTypeError, "scatter: bool has no sum")
    if len(selected) != updates.ndim or not all(map(same_size, selected, updates.shape)):
        fail(ShapeError, f"scatter: updates of ({dims.format_shape(selected)}) are needed, got {updates}")
    return x


def _scatter_ref(x: np.ndarray, updates: np.ndarray, *indices: np.ndarray, axes: Axes, batch: int, mode: str) -> np.ndarray:
    if mode == "add":
        return updated(np.add, x, updates, indices, axes, batch)
    out = x.copy()
    view, key = _place(out, indices, axes, batch)
    view[key] = updates
    return out


def updated(combine: np.ufunc, x: np.ndarray, updates: np.ndarray, indices: Sequence[np.ndarray], axes: Axes, batch: int) -> np.ndarray:
    """x with the selected elements combined with the updates, one after the other. Raises IndexOutOfRange."""
    out = x.copy()
    view, key = _place(out, indices, axes, batch)
    with np.errstate(all="ignore"):
        combine.at(view, key, updates)
    return out


def _scatter_vjp(g: Node, out: Node, x: Node, updates: Node, *indices: Node, axes: Axes, batch: int, mode: str) -> list[Node | None]:
    none: list[Node | None] = [None] * len(indices)
    taken = gather(g, *indices, axes=axes, batch=batch)
    if mode == "add":
        return [g, taken, *none]
    kept = scatter(g, zeros(updates.shape, g.dtype), *indices, axes=axes, batch=batch, mode="set")
    if not distinct(indices, batch):
        seen = broadcast(_winners(x, indices, axes, batch), updates.shape, tuple(range(indices[0].ndim)))
        taken = FUNCTIONS["where"](seen, taken, number(0, g.dtype))
    return [kept, taken, *none]


def _winners(x: Node, indices: Sequence[Node], axes: Axes, batch: int) -> Node:
    """True for the updates that are seen in the result: of several to one place, the last."""
    where = indices[0].shape
    serial = reshape(iota((dims.product(where),), 0), where)
    board = zeros((*x.shape[:batch], *[x.shape[a] for a in axes]), int64)
    places = tuple(range(batch, batch + len(axes)))
    board = scatter(board, serial, *indices, axes=places, batch=batch, mode="set")
    return gather(board, *indices, axes=places, batch=batch) == serial


def distinct(indices: Sequence[Node], batch: int) -> bool:
    """True where no two updates of one example provably have the same place."""
    if all([n == 1 for n in indices[0].shape[batch:]]):
        return True
    if any([i.op.name == "iota" and i.ndim == batch + 1 and i.params[1] == batch for i in indices]):
        return True
    if not batch and {_ascends(i) for i in indices}.issuperset([k for k, n in enumerate(indices[0].shape) if n != 1]):
        return True
    if batch or not all([i.op.name == "constant" for i in indices]):
        return False
    rows = np.stack([i.params[0].array.ravel() for i in indices])
    return bool(np.unique(rows, axis=1).shape == rows.shape)


def _ascends(index: Node) -> int | None:
    """The one axis along which an index counts up, start + 0, 1, 2, .., if it does nothing else."""
    axes = list(range(index.ndim))
    if index.op.name == "broadcast":
        axes = [a for n, a in zip(index.inputs[0].shape, index.params[1]) if n != 1]
        index = index.inputs[0]
    index = index.inputs[0] if index.op.name == "reshape" else index
    if index.ndim != 1 or len(axes) != 1:
        return None
    still = [i.op.name == "broadcast" and i.inputs[0].ndim == 0 for i in index.inputs]
    counts = index.op.name == "iota" or (index.op.name == "add" and any(still) and any([i.op.name == "iota" for i in index.inputs]))
    return axes[0] if counts else None


def _scatter_jvp(out: Node, inputs: Sequence[Node], tangents: Sequence[Node | None], axes: Axes, batch: int, mode: str) -> Node | None:
    filled = [zeros(x.shape, x.dtype) if t is None else t for x, t in zip(inputs[:2], tangents[:2])]
    return scatter(*filled, *inputs[2:], axes=axes, batch=batch, mode=mode)


def update_batch(op: Op, inputs: Sequence[Node], mapped: Sequence[bool], axes: Axes, batch: int, mode: str) -> Node:
    """The batch rule of `op`, which has the operands and parameters of a scatter."""
    up = tuple([a + 1 for a in axes])
    if any(mapped[2:]):
        return make(op, tuple(lift(inputs, mapped)), (up, batch + 1, mode))
    x, updates = lift(inputs[:2], mapped[:2])
    indices = inputs[2:]  # the mapped axis is one more that is kept
    done = make(op, (moveaxis(x, 0, batch), moveaxis(updates, 0, indices[0].ndim), *indices), (up, batch, mode))
    return moveaxis(done, batch, 0)


def _scatter_batch(inputs: Sequence[Node], mapped: Sequence[bool], axes: Axes, batch: int, mode: str) -> Node:
    return update_batch(SCATTER, inputs, mapped, axes, batch, mode)


def _scatter_masks(out: Node, x: Node, updates: Node, *indices: Node, axes: Axes, batch: int, mode: str) -> list[Node | None]:
    """Nothing of what is replaced reaches the result."""
    none: list[Node | None] = [None] * len(indices)
    if mode == "add":
        return [None, None, *none]
    always, never = broadcast_to(asarray(True), x.shape), broadcast_to(asarray(False), updates.shape)
    return [scatter(always, never, *indices, axes=axes, batch=batch, mode="set"), None, *none]


SCATTER = structural(
    "scatter", None, "x with the elements that `gather` would select replaced by `updates` (set: of several updates to one place the last "
    "counts) or increased by them (add: all count).",
    params=("axes", "batch", "mode"), type_rule=updated_type, ref=_scatter_ref, vjp=_scatter_vjp, jvp=_scatter_jvp, batch=_scatter_batch,
    traits=Traits(kernel="scatter", by_address=(0, 1), checked=checked_from(2), masks=_scatter_masks),
)  # fmt: skip


def scatter(x: Node, updates: Node, *indices: Node, axes: Axes, batch: int = 0, mode: str = "add") -> Node:
    """The primitive counterpart of `gather`, mode "add" or "set"."""
    return make(SCATTER, (x, updates, *indices), (axes, batch, mode))


# -- indices as users write them ------------------------------------------------------------------------------------
def as_index(value: ArrayLike, what: str) -> Node:
    """An integer array from anything array-like; `DTypeError` for others."""
    node = asarray(np.asarray(value, np.int64) if isinstance(value, (list, tuple)) and not len(value) else value)
    if node.dtype == bool_:
        fail(DTypeError, f"{what}: a boolean mask selects a number of elements that only its values tell", node,
             hint="gx.where(mask, x, 0) keeps the shape; or index with integers")  # fmt: skip
    if node.dtype.kind not in "iu":
        fail(DTypeError, f"{what}: an index must be an integer", node, hint="cast with .astype('int64')")
    return node


def wrap(value: Node, n: Size, what: str, axis: int, x: Node) -> Node:
    """The index as int64, counted from the end where it is negative. Constants are checked here, others when the function runs."""
    if value.op.name == "constant":
        array: np.ndarray = value.params[0].array
        if not array.size:
            return constant(array, int64)
        low, high = int(array.min()), int(array.max())
        for bad in [high] * (not at_most(high + 1, n)) + [low] * (not at_most(-low, n)):
            fail(IndexOutOfRange, f"{what}: index {bad} is out of range for axis {axis} of size {n}", x)
        if low >= 0 or isinstance(n, int):
            return constant(np.where(array < 0, array.astype(int64) + (n if low < 0 else 0), array), int64)
    index = astype(value, int64)
    return index if never_negative(value, n) else FUNCTIONS["where"](index < 0, index + n, index)


def reached(value: Node, n: Size) -> tuple[Node, Node]:
    """The index, counted from the end where it is negative, moved to the nearest one inside; and where it was inside already."""
    if value.op.name == "constant" and isinstance(n, int):
        array = value.params[0].array.astype(int64)
        array = np.where(array < 0, array + n, array)
        return constant(np.clip(array, 0, n - 1), int64), constant((array >= 0) & (array < n))
    index = astype(value, int64)
    index = index if never_negative(value, n) else FUNCTIONS["where"](index < 0, index + n, index)
    return FUNCTIONS["clip"](index, 0, n - 1), (index >= 0) & (index < n)


def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None, mode: str = "raise") -> Node:
    """The elements of x at integer `indices` along `axis` (None: of the raveled x): out[a, i, b] = x[a, indices[i], b].

    mode: "raise" counts negative indices from the end and raises IndexOutOfRange outside [-n, n), at build or at the call;
    "clip" moves indices to the nearest of 0 and n - 1, "wrap" takes them modulo n. Its derivative adds up over equal indices.
    """
    node = ravel(x) if axis is None else asarray(x)
    place = normal_axis(0 if axis is None else axis, node.ndim, "take", node)
    index, n = as_index(indices, "take"), node.shape[place]
    if mode == "raise":
        index = wrap(index, n, "take", place, node)
    elif mode == "clip":
        index = FUNCTIONS["clip"](astype(index, int64), 0, n - 1)
    elif mode == "wrap":
        index = FUNCTIONS["mod"](astype(index, int64), n)
    else:
        fail(ArgumentError, f"take: mode is 'raise', 'clip' or 'wrap', got {mode!r}", node)
    taken = gather(node, index, axes=(place,))
    k = index.ndim
    return permute(taken, (*range(k, k + place), *range(k), *range(k + place, taken.ndim)))


def take_along_axis(x: ArrayLike, indices: ArrayLike, axis: int | None = -1) -> Node:
    """One element per index along `axis`, row by row: out[a, i, b] = x[a, indices[a, i, b], b]. axis=None: of the raveled x.

    x and indices have the same number of axes and broadcast against each other on all but `axis`.
    """
    node, index = asarray(x), as_index(indices, "take_along_axis")
    if axis is None:
        node, axis = ravel(node), 0
    if node.ndim != index.ndim:
        fail(ShapeError, f"take_along_axis: {node.ndim} and {index.ndim} axes", node, index, hint="give the indices axes: indices[:, None]")
    place, last = normal_axis(axis, node.ndim, "take_along_axis", node), node.ndim - 1
    node, index = moveaxis(node, place, last), moveaxis(index, place, last)
    lead = broadcast_shapes([node.shape[:-1], index.shape[:-1]], "take_along_axis", [node, index])
    node, index = broadcast_to(node, (*lead, node.shape[-1])), broadcast_to(index, (*lead, index.shape[-1]))
    index = wrap(index, node.shape[-1], "take_along_axis", place, node)
    return moveaxis(gather(node, index, axes=(last,), batch=last), last, place)


__all__ = ["take", "take_along_axis"]
