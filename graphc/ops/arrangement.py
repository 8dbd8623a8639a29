"""Functions that only arrange: flips and quarter turns, at least so many axes, pieces side by side and in blocks, cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim
from graphc.dtypes import as_dtype, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.diagonals import diag
from graphc.ops.joining import concatenate, split, stack
from graphc.ops.registry import ArrayLike, asarray, flat
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import expand_dims, in_dtype, known_shape, moveaxis, ravel, reshape, swapaxes
from graphc.ops.slicing import flip
from graphc.ops.spread import broadcast_to
from graphc.types import normal_axis, whole_number


# -- flips and turns --------------------------------------------------------------------------------------------------
def flipud(m: ArrayLike) -> Node:
    """m[::-1]: the first axis reversed. Raises ShapeError for a 0-d m."""
    return flip(_at_least(m, 1, "flipud"), 0)


def fliplr(m: ArrayLike) -> Node:
    """m[:, ::-1]: the second axis reversed. Raises ShapeError for an m of fewer than 2 axes."""
    return flip(_at_least(m, 2, "fliplr"), 1)


def _at_least(m: ArrayLike, count: int, what: str) -> Node:
    node = asarray(m)
    if node.ndim < count:
        fail(ShapeError, f"{what} needs at least {count} ax{'i' if count == 1 else 'e'}s", node)
    return node


def rot90(m: ArrayLike, k: int = 1, axes: Sequence[int] = (0, 1)) -> Node:
    """m turned k times by 90 degrees in the plane of `axes`, from the first towards the second.

    rot90([[1, 2], [3, 4]]) = [[2, 4], [1, 3]]. Raises ShapeError, ArgumentError.
    """
    node = asarray(m)
    if not isinstance(axes, (tuple, list)):
        fail(ArgumentError, f"rot90: axes must be two different ones, got {axes!r:.60}", node)
    listed = tuple([normal_axis(a, node.ndim, "rot90", node) for a in axes])
    if len(listed) != 2 or listed[0] == listed[1]:
        fail(ShapeError, f"rot90: axes must be two different ones, got {tuple(axes)}", node)
    turns = whole_number(k, "rot90: k", node) % 4
    if turns == 0:
        return node
    if turns == 2:
        return flip(node, listed)
    return swapaxes(flip(node, listed[1]), *listed) if turns == 1 else flip(swapaxes(node, *listed), listed[1])


def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Node:
    """a with `axis` moved to before the axis `start`, which may be the number of axes. Raises ShapeError. See `moveaxis`."""
    node = asarray(a)
    place = normal_axis(axis, node.ndim, "rollaxis", node)
    before = whole_number(start, "rollaxis: start", node)
    if not -node.ndim <= before <= node.ndim:
        fail(ShapeError, f"rollaxis: start={before} is out of range for {node.ndim} dimensions", node)
    before = before + node.ndim if before < 0 else before
    return moveaxis(node, place, before - (place < before))


def matrix_transpose(x: ArrayLike) -> Node:
    """x with its last two axes exchanged. Raises ShapeError for fewer than 2 axes."""
    return swapaxes(_at_least(x, 2, "matrix_transpose"), -1, -2)


# -- at least so many axes --------------------------------------------------------------------------------------------
def _each(arys: Sequence[ArrayLike], made: list[Node]) -> Node | tuple[Node, ...]:
    """NumPy's way: one for one, a tuple for several."""
    return made[0] if len(arys) == 1 else tuple(made)


def atleast_1d(*arys: ArrayLike) -> Node | tuple[Node, ...]:
    """Each array, a number as an array of one element: shapes () -> (1,). One for one argument, a tuple for several."""
    return _each(arys, [_wide(a, 1) for a in arys])


def atleast_2d(*arys: ArrayLike) -> Node | tuple[Node, ...]:
    """Each array with axes of size 1 put in front until it has two: (n,) -> (1, n). One for one argument, a tuple for several."""
    return _each(arys, [_wide(a, 2) for a in arys])


def atleast_3d(*arys: ArrayLike) -> Node | tuple[Node, ...]:
    """Each array with at least three axes: () -> (1, 1, 1), (n,) -> (1, n, 1), (n, m) -> (n, m, 1)."""
    return _each(arys, [_deep(a) for a in arys])


def _wide(a: ArrayLike, rank: int) -> Node:
    node = asarray(a)
    return reshape(node, (1,) * (rank - node.ndim) + node.shape) if node.ndim < rank else node


def _deep(a: ArrayLike) -> Node:
    node = _wide(a, 1)
    return expand_dims(node, (0, 2)) if node.ndim == 1 else expand_dims(node, 2) if node.ndim == 2 else node


# -- pieces together --------------------------------------------------------------------------------------------------
def dstack(arrays: Sequence[ArrayLike] | Node) -> Node:
    """Arrays behind each other: `concatenate` along axis 2, after `atleast_3d`. Raises ShapeError."""
    if not isinstance(arrays, (tuple, list)):
        arrays = list(asarray(arrays))
    return concatenate([_deep(a) for a in arrays], 2)


def block(arrays: Any) -> Node:
    """A matrix (or array) from nested lists of pieces: the innermost lists join along the last axis, the next ones along the one before.

    block([[A, B], [C, D]]) = concatenate([concatenate([A, B], 1), concatenate([C, D], 1)], 0). Raises ArgumentError where the lists are
    nested unevenly or are empty, ShapeError where pieces do not fit.
    """
    depth = _depth(arrays)
    pieces = list(_leaves(arrays))
    rank = max([depth, *[asarray(p).ndim for p in pieces]])
    dtype = promote(*[weak_dtype(p, "block") for p in pieces])
    return _joined(arrays, depth, rank, dtype)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        if isinstance(arrays, tuple):
            fail(ArgumentError, "block takes nested lists, no tuples")
        return 0
    if not arrays:
        fail(ArgumentError, "block: a list is empty")
    depths = {_depth(a) for a in arrays}
    if len(depths) > 1:
        fail(ArgumentError, f"block: lists nested to different depths, {min(depths) + 1} and {max(depths) + 1}")
    return depths.pop() + 1


def _leaves(arrays: Any) -> Any:
    if isinstance(arrays, list):
        for a in arrays:
            yield from _leaves(a)
    else:
        yield arrays


def _joined(arrays: Any, depth: int, rank: int, dtype: np.dtype) -> Node:
    if depth == 0:
        return _wide(in_dtype(arrays, dtype), rank)
    return concatenate([_joined(a, depth - 1, rank, dtype) for a in arrays], rank - depth)


def diagflat(v: ArrayLike, k: int = 0) -> Node:
    """The matrix with the raveled v on diagonal k, zeros elsewhere. Raises ArgumentError."""
    return diag(ravel(v), k)


# -- cuts -------------------------------------------------------------------------------------------------------------
def hsplit(ary: ArrayLike, indices_or_sections: object) -> list[Node]:
    """`split` along axis 1, of a vector along axis 0. Raises ShapeError."""
    node = _at_least(ary, 1, "hsplit")
    return split(node, indices_or_sections, 0 if node.ndim == 1 else 1)


def vsplit(ary: ArrayLike, indices_or_sections: object) -> list[Node]:
    """`split` along axis 0 of an array of at least 2 axes. Raises ShapeError."""
    return split(_at_least(ary, 2, "vsplit"), indices_or_sections, 0)


def dsplit(ary: ArrayLike, indices_or_sections: object) -> list[Node]:
    """`split` along axis 2 of an array of at least 3 axes. Raises ShapeError."""
    return split(_at_least(ary, 3, "dsplit"), indices_or_sections, 2)


def unstack(x: ArrayLike, *, axis: int = 0) -> tuple[Node, ...]:
    """The parts x[.., k, ..] along `axis`, whose size must be known: what `stack` undoes. Raises ShapeError."""
    node = _at_least(x, 1, "unstack")
    first = moveaxis(node, normal_axis(axis, node.ndim, "unstack", node), 0)
    if not isinstance(first.shape[0], int):
        fail(ShapeError, f"unstack: the size {first.shape[0]} of axis {axis} is symbolic", node, hint="gx.vmap, or index the axis")
    return tuple(first)


# -- copies -----------------------------------------------------------------------------------------------------------
def resize(a: ArrayLike, new_shape: object) -> Node:
    """The elements of a in row-major order, over and over, in another shape, cut where it is full; zeros of an empty a.

    resize([1, 2, 3], (2, 2)) = [[1, 2], [3, 1]]. Sizes may be symbolic. Raises ShapeError.
    """
    node, shape = ravel(a), known_shape(new_shape, "resize")
    if node.size == 0:
        return broadcast_to(asarray(0, node.dtype), shape)
    total = dims.product(shape)
    places = FUNCTIONS["mod"](FUNCTIONS["arange"](total), dims.maximum(node.size, 1))
    return reshape(FUNCTIONS["take"](node, places, axis=0), shape)


def array(object: Any, dtype: Any = None, *, copy: bool = True, ndmin: int = 0) -> Node:
    """A node from anything array-like, and of nested lists that hold nodes: array([[x, 1.0], [0.0, y]]) stacks them.

    ndmin: as many axes at least, those of size 1 put in front. Raises ShapeError where the items of a list have different shapes.
    """
    node = _stacked(object)
    return _wide(node if dtype is None else in_dtype(node, as_dtype(dtype)), whole_number(ndmin, "array: ndmin"))


def _stacked(value: Any) -> Node:
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Node, Dim)) for v in flat(value)):
        return stack([_stacked(v) if isinstance(v, (list, tuple)) else v for v in value])
    return asarray(value)


def asanyarray(a: ArrayLike, dtype: Any = None) -> Node:
    """As `asarray`: there is one class of nodes."""
    return asarray(a, dtype)


def ascontiguousarray(a: ArrayLike, dtype: Any = None) -> Node:
    """a with one axis at least: how it lies in memory is for the compiler to say."""
    return _wide(asarray(a, dtype), 1)


def asfortranarray(a: ArrayLike, dtype: Any = None) -> Node:
    """a with one axis at least, as `ascontiguousarray`."""
    return ascontiguousarray(a, dtype)


def copy(a: ArrayLike, order: str = "K") -> Node:
    """a itself: nodes are never written to. `order` has no meaning for them."""
    return asarray(a)


__all__ = [
    "array", "asanyarray", "ascontiguousarray", "asfortranarray", "atleast_1d", "atleast_2d", "atleast_3d", "block", "copy", "diagflat",
    "dsplit", "dstack", "fliplr", "flipud", "hsplit", "matrix_transpose", "resize", "rollaxis", "rot90", "unstack", "vsplit",
]  # fmt: skip
