"""What boolean masks select: `x[mask]` of a boolean node, updates of it, and the positions of True elements as arrays of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, int64
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.at import Pair, fitted
from graphc.ops.compare import where
from graphc.ops.create import full, iota
from graphc.ops.indexing import gather, scatter
from graphc.ops.joining import stack
from graphc.ops.keys import apply, select
from graphc.ops.masked import Masked, beside
from graphc.ops.reductions import cumsum
from graphc.ops.registry import ArrayLike, asarray, constant, number
from graphc.ops.shape import moveaxis, permute, ravel, reshape
from graphc.ops.slicing import along
from graphc.ops.spread import astype, broadcast_to
from graphc.types import normal_axis, same_size


# -- boolean nodes as keys --------------------------------------------------------------------------------------------------
class _Place(NamedTuple):
    """A key with one boolean node, as a key that slices only, and where the axes of the mask are in what that gives."""

    key: tuple[Any, ...]
    mask: Node
    place: int
    front: bool  # the result has the selected elements first, as NumPy has it where the key separates the mask from integers


def _placed(x: Node, key: Any) -> _Place:
    listed = list(key) if isinstance(key, tuple) else [key]
    masks = [k for k, e in enumerate(listed) if isinstance(e, Node) and e.dtype == bool_ and e.op.name != "constant"]
    if len(masks) > 1:
        fail(ArgumentError, "getitem: one boolean node can be part of a key", x, hint="mask1[:, None] & mask2 selects by rows and columns")
    (k,) = masks
    mask: Node = listed[k]
    for e in listed:
        if e is not mask and e is not None and e is not Ellipsis and not isinstance(e, (slice, int, np.integer, Dim)):
            fail(ArgumentError, "getitem: a boolean node goes with integers, slices, None and ..., not with arrays", x, mask)
    if mask.ndim == 0:
        fail(ArgumentError, "getitem: a 0-d boolean node selects all or nothing", x, mask, hint="gx.where(mask, x, 0)")
    dots = [j for j, e in enumerate(listed) if e is Ellipsis]
    plain = (*listed[:k], *[slice(None)] * mask.ndim, *listed[k + 1 :])
    missing = x.ndim - sum([e is not None and e is not Ellipsis for e in plain])
    axes_before = sum([e is not None and e is not Ellipsis for e in listed[:k]]) + missing * bool(dots and dots[0] < k)
    sizes = x.shape[axes_before : axes_before + mask.ndim]
    if len(sizes) < mask.ndim or not all(map(same_size, sizes, mask.shape)):
        fail(ShapeError, f"getitem: a boolean mask for axes of sizes ({dims.format_shape(sizes)})", mask, x)
    place = sum([e is None or isinstance(e, slice) for e in listed[:k]]) + missing * bool(dots and dots[0] < k)
    points = [j for j, e in enumerate(listed) if isinstance(e, (int, np.integer, Dim)) or j == k]
    return _Place(plain, mask, place, points[-1] - points[0] + 1 != len(points))


def _brought(values: Node, p: _Place, back: bool = False) -> Node:
    """The axes of the mask first, where they belong there, or back."""
    order = list(range(values.ndim))
    moved = order[p.place : p.place + p.mask.ndim]
    turned = (*moved, *[k for k in order if k not in moved])
    return permute(values, tuple([turned.index(k) for k in order]) if back else turned)


def masked(x: Node, key: Any) -> Masked:
    """`x[key]` with a boolean node in the key."""
    p = _placed(x, key)
    values = apply(x, select(x, p.key))
    return Masked(_brought(values, p), p.mask, 0) if p.front else Masked(values, p.mask, p.place)


def update_masked(x: Node, key: Any, value: ArrayLike, combine: Pair, what: str) -> Node:
    """`x.at[key].<what>(value)` with a boolean node in the key. The value is one for all True elements, or a selection by the same mask."""
    p = _placed(x, key)
    m = masked(x, key)
    if isinstance(value, Masked):
        if value.mask is not m.mask or value.place != m.place or value.ndim > m.ndim:
            fail(ArgumentError, f"at[mask].{what}: a selection by another mask, or along other axes", m, value)
        new = fitted(value.values, x, what)
    else:
        node = fitted(value, x, what)
        if node.ndim > m.ndim:
            fail(ShapeError, f"at[mask].{what}: a value of {node.ndim} axes for a part of {m.ndim}", x, node)
        new = beside(node, m)
    done = where(m.shown(), combine(m.values, broadcast_to(new, m.values.shape)), m.values)
    done = _brought(done, p, back=True) if p.front else done
    if all([e is Ellipsis or e == slice(None) for e in p.key]):
        return done
    return FUNCTIONS["at"](x)[p.key].set(done)  # type: ignore[no-any-return]


FUNCTIONS["masked"], FUNCTIONS["update_masked"] = masked, update_masked


# -- positions, as many as there is room for ------------------------------------------------------------------------------------
def _flags(a: ArrayLike) -> Node:
    node = asarray(a)
    return node if node.dtype == bool_ else node != 0


def _static(node: Node) -> np.ndarray | None:
    return node.attrs["value"].array if node.op.name == "constant" else None


def _room(size: Size | None, node: Node, what: str) -> Size:
    if size is None:
        fail(ArgumentError, f"{what}: how many elements are selected only values tell", node,
             hint="size=n makes room for n of them, fill_value= stands in what is left; gx.where(mask, x, 0) keeps the shape")  # fmt: skip
    if isinstance(size, bool) or not isinstance(size, (int, np.integer, Dim)) or (not isinstance(size, Dim) and size < 0):
        fail(ArgumentError, f"{what}: size is an integer or a Dim, got {size!r:.60}", node)
    return size if isinstance(size, Dim) else int(size)


def _positions(flags: Node, size: Size) -> tuple[Node, Node]:
    """The positions of the first `size` True elements of the raveled flags, and which of them there are."""
    flat = ravel(flags)
    rank = cumsum(astype(flat, int64)) - 1
    board = broadcast_to(number(0, int64), (size + 1,))
    found = scatter(board, iota(flat.shape, 0), where(flat & (rank < size), rank, asarray(size)), axes=(0,), mode="set")
    count = FUNCTIONS["sum"](astype(flat, int64))
    return along(found, 0, 0, size), iota((size,), 0) < count


def flatnonzero(a: ArrayLike, *, size: Size | None = None, fill_value: ArrayLike = 0) -> Node:
    """The positions of the elements of a.ravel() that are not 0, in order, an int64 vector; nan counts as not 0.

    size: how many there are room for, a number or a size that may be symbolic: the first ones, then `fill_value`. It may be left out
    where `a` is a constant. Raises ArgumentError.

        gx.flatnonzero(x > 0, size=3, fill_value=-1)
    """
    flags = _flags(a)
    known = _static(asarray(a))
    if known is not None and size is None:
        return constant(np.flatnonzero(known), int64)
    n = _room(size, flags, "flatnonzero")
    at, there = _positions(flags, n)
    return where(there, at, astype(asarray(fill_value), int64))


def nonzero(a: ArrayLike, *, size: Size | None = None, fill_value: ArrayLike | Sequence[ArrayLike] = 0) -> tuple[Node, ...]:
    """The positions of the elements of `a` that are not 0, in order: an int64 vector for each axis, so that a[nonzero(a)] are these.

    size: how many there are room for, as in `flatnonzero`; fill_value: one for all axes, or one for each. Raises ArgumentError.
    """
    node = asarray(a)
    if not node.ndim:
        fail(ShapeError, "nonzero: an array of no axes has no positions", node, hint="gx.atleast_1d, or .reshape(1)")
    known = _static(node)
    if known is not None and size is None:
        return tuple([constant(k, int64) for k in np.nonzero(known)])
    n = _room(size, node, "nonzero")
    at, there = _positions(_flags(node), n)
    fills = list(fill_value) if isinstance(fill_value, (tuple, list)) else [fill_value] * node.ndim
    if len(fills) != node.ndim:
        fail(ShapeError, f"nonzero: {len(fills)} fill values for {node.ndim} axes", node)
    found: list[Node] = []
    for k, fill in enumerate(fills):
        below = asarray(dims.product(node.shape[k + 1 :]))
        place = (at // below) % asarray(node.shape[k])
        found.append(where(there, place, astype(asarray(fill), int64)))
    return tuple(found)


def argwhere(a: ArrayLike, *, size: Size | None = None, fill_value: ArrayLike | Sequence[ArrayLike] = 0) -> Node:
    """The positions of the elements of `a` that are not 0, a row for each: `stack(nonzero(a), axis=1)`. Raises ArgumentError."""
    return stack(nonzero(a, size=size, fill_value=fill_value), axis=1)


def compress(condition: ArrayLike, a: ArrayLike, axis: int | None = None, *, size: Size | None = None, fill_value: ArrayLike = 0) -> Node:
    """The slices of `a` along `axis` (None: the elements of a.ravel()) for which the vector `condition` is true, in order.

    size: how many there are room for: the first ones, then slices of `fill_value`. It may be left out where `condition` is a constant.
    The derivative of what is selected is 1, of the rest 0. Raises ArgumentError, ShapeError, IndexOutOfRange.
    """
    node, flags = asarray(a), asarray(condition)
    if flags.ndim != 1:
        fail(ShapeError, "compress: the condition is a vector", flags)
    node, place = (ravel(node), 0) if axis is None else (node, normal_axis(axis, node.ndim, "compress", node))
    known = _static(flags)
    if known is not None and size is None:
        return FUNCTIONS["take"](node, np.flatnonzero(known), axis=place)  # type: ignore[no-any-return]
    n = _room(size, flags, "compress")
    length, total = flags.shape[0], node.shape[place]
    if not same_size(dims.minimum(length, total), length):
        fail(ShapeError, f"compress: a condition of {length} elements for an axis of size {total}", flags, node)
    at, there = _positions(_flags(flags), n)
    first = moveaxis(node, place, 0)
    room = FUNCTIONS["concatenate"]([first, full((1, *first.shape[1:]), number(0, node.dtype))], 0)
    taken = gather(room, where(there, at, asarray(total)), axes=(0,))
    mask = reshape(there, (n, *[1] * (node.ndim - 1)))
    return moveaxis(where(mask, taken, astype(asarray(fill_value), node.dtype)), 0, place)


def extract(condition: ArrayLike, arr: ArrayLike, *, size: Size | None = None, fill_value: ArrayLike = 0) -> Node:
    """The elements of `arr` where `condition`, of the same shape, is true: `compress(condition.ravel(), arr.ravel())`."""
    flags = asarray(condition)
    known = _static(flags)
    return compress(ravel(flags) if known is None else known.ravel(), ravel(arr), size=size, fill_value=fill_value)


def where_or_nonzero(condition: ArrayLike, *branches: ArrayLike) -> Node | tuple[Node, ...]:
    """NumPy's `where`, which without branches is `nonzero`."""
    return where(condition, *branches) if branches else nonzero(condition)


__all__ = ["argwhere", "compress", "extract", "flatnonzero", "nonzero"]
