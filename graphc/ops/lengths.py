"""Arrays with elements put in or left out along an axis, at positions that are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dims import Dim
from graphc.dtypes import bool_
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError, fail
from graphc.ir import Node
from graphc.ops.at import fitted
from graphc.ops.indexing import take
from graphc.ops.joining import concatenate
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis, ravel, reshape
from graphc.ops.slicing import along
from graphc.ops.spread import broadcast_to
from graphc.types import normal_axis


def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Node:
    """`values` after `arr` along `axis`; None: both raveled. Raises ShapeError."""
    return concatenate([arr, values], axis)


def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Node:
    """`arr` with `values`, in its dtype, put in before the positions `obj` along `axis`; None: of the raveled array.

    obj: an integer, a slice, or several positions in the array as it is, all known when the graph is built; where the size of the axis
    is symbolic, an integer. values broadcast against what is put in; an integer `obj` may take several of them.
    Raises IndexOutOfRange, ShapeError, ArgumentError.
    """
    node, place = _along(arr, axis, "insert")
    at_, n, new = _static(obj, "insert", node), node.shape[place], fitted(values, node, "insert")
    new = reshape(new, (*[1] * (node.ndim - new.ndim), *new.shape)) if new.ndim < node.ndim else new
    if isinstance(at_, int):
        new = moveaxis(new, 0, place)  # NumPy's rule: the first axis of the values is the one that is put in
    if isinstance(n, int):
        positions = np.arange(n)[at_] if isinstance(at_, slice) else at_
        count = int(np.size(positions)) if np.size(positions) != 1 else new.shape[place]
        if not isinstance(count, int):
            fail(ShapeError, "insert: the number of values is symbolic", new)
        marks = n + np.arange(count)
        try:
            order = np.insert(np.arange(n), positions, marks)
        except IndexError:
            fail(IndexOutOfRange, f"insert: position {at_!r:.60} is out of range for axis {place} of size {n}", node)
        shape = (*node.shape[:place], count, *node.shape[place + 1 :])
        return take(concatenate([node, broadcast_to(new, shape)], place), order, place)
    if not isinstance(at_, int):
        fail(ArgumentError, f"insert: positions along an axis of size {n} are an integer", node, hint="declare the size as a number")
    shape = (*node.shape[:place], new.shape[place], *node.shape[place + 1 :])
    first = at_ if at_ >= 0 else n + at_
    return concatenate([along(node, place, 0, first), broadcast_to(new, shape), along(node, place, first, n - first)], place)


def delete(arr: ArrayLike, obj: Any, axis: int | None = None) -> Node:
    """`arr` without the positions `obj` along `axis`; None: of the raveled array.

    obj: an integer, a slice, several positions or a boolean vector, all known when the graph is built; where the size of the axis is
    symbolic, an integer. Raises IndexOutOfRange, ArgumentError.
    """
    node, place = _along(arr, axis, "delete")
    at_, n = _static(obj, "delete", node), node.shape[place]
    if isinstance(n, int):
        try:
            left = np.delete(np.arange(n), at_)
        except (IndexError, ValueError):
            fail(IndexOutOfRange, f"delete: position {at_!r:.60} is out of range for axis {place} of size {n}", node)
        return take(node, left, place)
    if not isinstance(at_, int):
        fail(ArgumentError, f"delete: positions along an axis of size {n} are an integer", node, hint="declare the size as a number")
    first = at_ if at_ >= 0 else n + at_
    return concatenate([along(node, place, 0, first), along(node, place, first + 1, n - first - 1)], place)


def _along(arr: ArrayLike, axis: int | None, what: str) -> tuple[Node, int]:
    node = asarray(arr)
    return (ravel(node), 0) if axis is None else (node, normal_axis(axis, node.ndim, what, node))


def _static(obj: Any, what: str, node: Node) -> int | slice | np.ndarray:
    """Positions that are known: an integer, a slice, or an array of integers or bool."""
    if isinstance(obj, Node) and obj.op.name == "constant":
        obj = obj.params[0].array
    if isinstance(obj, (Node, Dim)):
        hint = "x.at[i].set(v), gx.where or gx.dynamic_slice take positions that a call gives"
        fail(ArgumentError, f"{what}: the positions must be known when the graph is built", node, obj, hint=hint)
    if isinstance(obj, slice):
        return obj
    array = np.asarray(obj, np.int64) if isinstance(obj, (list, tuple)) and not len(obj) else np.asarray(obj)
    if array.dtype.kind not in "iub":
        fail(DTypeError, f"{what}: positions are integers, got {array.dtype}", node)
    return int(array) if array.ndim == 0 and array.dtype != bool_ else array


__all__ = ["append", "delete", "insert"]
