"""Arrays with elements or diagonals replaced. What NumPy does in place gives the changed array here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.errors import ArgumentError, IndexOutOfRange, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.at import at, fitted
from graphc.ops.compare import where
from graphc.ops.create import iota
from graphc.ops.indexing import as_index, gather, scatter, wrap
from graphc.ops.joining import concatenate
from graphc.ops.reductions import cumsum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import fit
from graphc.ops.shape import moveaxis, ravel, reshape
from graphc.ops.spread import astype, broadcast_to
from graphc.types import normal_axis, same_size


def put_along_axis(arr: ArrayLike, indices: ArrayLike, values: ArrayLike, axis: int | None) -> Node:
    """`arr` with the elements that `take_along_axis(arr, indices, axis)` takes replaced by `values`, which broadcast to these.

    axis=None: of the raveled array, whose shape is kept. NumPy's function changes its argument; this one gives the changed array.
    Of several values for one place the last counts. Raises ShapeError, DTypeError, IndexOutOfRange.
    """
    node, index = asarray(arr), as_index(indices, "put_along_axis")
    if axis is None:
        return reshape(put_along_axis(ravel(node), ravel(index), values, 0), node.shape)
    if node.ndim != index.ndim:
        fail(ShapeError, f"put_along_axis: {node.ndim} and {index.ndim} axes", node, index, hint="give the indices axes: indices[:, None]")
    place, last = normal_axis(axis, node.ndim, "put_along_axis", node), node.ndim - 1
    part = broadcast_to(fitted(values, node, "put_along_axis"), index.shape)
    shape = tuple([index.shape[k] if k == place else n for k, n in enumerate(node.shape)])
    index, part = broadcast_to(index, shape), broadcast_to(part, shape)
    index = wrap(moveaxis(index, place, last), node.shape[place], "put_along_axis", place, node)
    done = scatter(moveaxis(node, place, last), moveaxis(part, place, last), index, axes=(last,), batch=last, mode="set")
    return moveaxis(done, last, place)


def put(a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str = "raise") -> Node:
    """`a` with the elements at positions `ind` of a.ravel() replaced by `v`, repeated as often as needed.

    mode: what happens out of range, "raise", "clip" or "wrap", as in `take`. NumPy's function changes its argument; this one gives the
    changed array. Raises IndexOutOfRange, DTypeError, ArgumentError.
    """
    node, index = asarray(a), ravel(as_index(ind, "put"))
    if mode not in ("raise", "clip", "wrap"):
        fail(ArgumentError, f"put: mode is 'raise', 'clip' or 'wrap', got {mode!r:.60}", node)
    if mode != "raise":
        index = astype(index, int64) % asarray(node.size) if mode == "wrap" else FUNCTIONS["clip"](astype(index, int64), 0, node.size - 1)
    values = _cycled(fitted(v, node, "put"), iota(index.shape, 0), index.shape[0], "put")
    return reshape(at(ravel(node))[index].set(values), node.shape)


def putmask(a: ArrayLike, mask: ArrayLike, values: ArrayLike) -> Node:
    """`a` with the elements where `mask`, of the same shape, is true replaced by those of `values` at the same position.

    values: repeated as often as needed, as if raveled. NumPy's function changes its argument; this one gives the changed array.
    """
    node, flags = _of_one_shape(a, mask, "putmask")
    new = fitted(values, node, "putmask")
    spread = new if new.shape == node.shape else reshape(_cycled(new, iota((node.size,), 0), node.size, "putmask"), node.shape)
    return where(flags, spread, node)


def place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike) -> Node:
    """`arr` with the elements where `mask`, of the same shape, is true replaced by those of `vals`, in their order, then from the first.

    NumPy's function changes its argument; this one gives the changed array. Raises ShapeError, DTypeError.
    """
    node, flags = _of_one_shape(arr, mask, "place")
    rank = cumsum(astype(ravel(flags), int64)) - 1
    new = _cycled(fitted(vals, node, "place"), where(rank < 0, 0, rank), node.size, "place")
    return where(flags, reshape(new, node.shape), node)


def _of_one_shape(a: ArrayLike, mask: ArrayLike, what: str) -> tuple[Node, Node]:
    node, flags = asarray(a), asarray(mask)
    if node.ndim != flags.ndim or not all(map(same_size, node.shape, flags.shape)):
        fail(ShapeError, f"{what}: the shapes of the array and of the mask differ", node, flags)
    return node, flags if flags.dtype == bool_ else flags != 0


def _cycled(values: Node, positions: Node, count: Size, what: str) -> Node:
    """The raveled values at positions taken modulo their number."""
    flat = ravel(values)
    if flat.shape[0] == 1:
        return broadcast_to(flat, positions.shape)
    if dims.equal(flat.shape[0], count) is True and positions.op.name == "iota":
        return flat
    if flat.shape[0] == 0:
        fail(ShapeError, f"{what}: there are no values", values)
    return gather(flat, positions % asarray(flat.shape[0]), axes=(0,))


def fill_diagonal(a: ArrayLike, val: ArrayLike, wrap: bool = False) -> Node:
    """`a` with a[i, i, ...] replaced by `val`, whose elements, raveled, are repeated as often as needed.

    wrap: of a matrix of more rows than columns the diagonal begins again below, after a row that is left out. Arrays of more than two
    axes must have equal sizes. NumPy's function changes its argument; this one gives the changed array. Raises ShapeError.
    """
    node = asarray(a)
    if node.ndim < 2 or (node.ndim > 2 and any([dims.equal(s, node.shape[0]) is not True for s in node.shape])):
        fail(ShapeError, "fill_diagonal needs two axes, or more of one size", node)
    row, column = iota(node.shape, 0), iota(node.shape, 1)
    hit, number = row == column, row
    for k in range(2, node.ndim):
        hit = hit & (row == iota(node.shape, k))
    if wrap and node.ndim == 2:
        columns = asarray(node.shape[1])
        flat = row * columns + column
        hit, number = flat % (columns + 1) == 0, flat // (columns + 1)
    value = fitted(val, node, "fill_diagonal")
    return where(
        hit, broadcast_to(value, node.shape) if value.size == 1 and value.ndim <= 1 else _cycled(value, number, -1, "fill_diagonal"), node
    )


def choose(a: ArrayLike, choices: Sequence[ArrayLike] | ArrayLike, mode: str = "raise") -> Node:
    """out[i] = choices[a[i]][i]: of several arrays, which broadcast against each other and `a`, the element of the one that `a` numbers.

    mode: "raise" IndexOutOfRange outside of [0, number of choices), "clip" or "wrap". Raises ShapeError, DTypeError, ArgumentError.
    """
    index = as_index(a, "choose")
    listed = list(choices) if isinstance(choices, (tuple, list)) else list(asarray(choices))
    if not listed:
        fail(ArgumentError, "choose: there are no choices", index)
    if mode not in ("raise", "clip", "wrap"):
        fail(ArgumentError, f"choose: mode is 'raise', 'clip' or 'wrap', got {mode!r:.60}", index)
    n = len(listed)
    if mode == "raise" and index.op.name == "constant":
        known: np.ndarray = index.params[0].array
        if (bad := known[(known < 0) | (known >= n)]).size:
            fail(IndexOutOfRange, f"choose: {bad.flat[0]} is none of {n} choices", index)
    index = astype(index, int64)
    if mode != "raise":
        index = index % n if mode == "wrap" else FUNCTIONS["clip"](index, 0, n - 1)
    dtype = np.result_type(*[asarray(c).dtype for c in listed])
    index, *nodes = fit([index, *[astype(c, dtype) for c in listed]], None, "choose")
    rows = concatenate([reshape(c, (*c.shape, 1)) for c in nodes], -1)
    last = index.ndim
    return reshape(gather(rows, reshape(index, (*index.shape, 1)), axes=(last,), batch=last), index.shape)


__all__ = ["choose", "fill_diagonal", "place", "put", "put_along_axis", "putmask"]
