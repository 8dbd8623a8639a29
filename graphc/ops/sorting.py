"""Sorting: one op whose outputs are the sorted values and where they came from; sort, argsort, topk, partition, lexsort.

    values, positions = ordered(x, axis, count, descending, start)      values[.., i, ..] = x[.., positions[.., i, ..], ..]

The order is stable: equal elements stay in the order of their positions, and -0.0 equals 0.0. nan counts as larger than every
number, as for `max`. Derivatives go by position: the i-th value is the element at positions[i], of equal ones the one that the
stable order puts there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import int64
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.ops.create import zeros
from graphc.ops.indexing import gather, scatter, take_along_axis
from graphc.ops.outputs import outputs
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.shape import at_most, moveaxis, ravel
from graphc.ops.spread import broadcast
from graphc.traits import Traits
from graphc.types import TensorType, normal_axis, tensor_type

KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")
MOST = 2**32 - 1  # elements of a row: positions are kept in 32 bits while they are sorted
Cotangents = tuple["Node | None", ...]
Pair = tuple[Node, Node]


def _sort_type(x: TensorType, axis: int, count: Size, descending: bool, start: Size) -> tuple[TensorType, TensorType]:
    n = x.shape[axis]
    if not at_most(0, start) or not at_most(start + count, n):
        fail(ShapeError, f"sort: {start + count} elements of an axis of size {n}: {x}", hint="ask for as many as there are, or fewer")
    if not at_most(n, MOST):
        fail(ShapeError, f"sort: a row of {n} elements, of which there may be {MOST}: {x}")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return tensor_type(x.dtype, shape), tensor_type(int64, shape)


def _sort_ref(x: np.ndarray, axis: int, count: int, descending: bool, start: int) -> tuple[np.ndarray, np.ndarray]:
    if descending:  # the reverse of a stable order of the reversed row
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    first = np.take(order, np.arange(start, start + count), axis).astype(np.int64)
    return np.take_along_axis(x, first, axis), first


def _spread_back(g: Node, positions: Node, x: Node, axis: int, mode: str) -> Node:
    """g at the positions that it belongs to, 0 elsewhere."""
    last = x.ndim - 1
    lead = tuple([n for k, n in enumerate(x.shape) if k != axis])
    empty = zeros((*lead, x.shape[axis]), g.dtype)
    moved, index = moveaxis(g, axis, last), moveaxis(positions, axis, last)
    return moveaxis(scatter(empty, moved, index, axes=(last,), batch=last, mode=mode), last, axis)


def _sort_vjp(g: Cotangents, out: Pair, x: Node, axis: int, count: Size, descending: bool, start: Size) -> tuple[Node]:
    return (zeros(x.shape, x.dtype) if g[0] is None else _spread_back(g[0], out[1], x, axis, "add"),)


def _sort_jvp(
    out: Pair, inputs: Sequence[Node], tangents: Sequence[Node | None], axis: int, count: Size, descending: bool, start: Size
) -> tuple[Node | None, Node | None]:
    (t,) = tangents
    if t is None:
        return None, None
    last = t.ndim - 1
    taken = gather(moveaxis(t, axis, last), moveaxis(out[1], axis, last), axes=(last,), batch=last)
    return moveaxis(taken, last, axis), None


def _sort_masks(out: Pair, x: Node, axis: int, count: Size, descending: bool, start: Size) -> tuple[Node | None]:
    """What is not among the first gets nothing, however infinite its derivative is."""
    if dims.equal(count, x.shape[axis]) is True:
        return (None,)
    chosen = broadcast(asarray(True), out[1].shape, ())
    return (_spread_back(chosen, out[1], x, axis, "set"),)


def _sort_batch(inputs: Sequence[Node], mapped: Sequence[bool], axis: int, count: Size, descending: bool, start: Size) -> tuple[Node, ...]:
    return outputs(make(SORT, (inputs[0],), (axis + 1, count, descending, start)))


SORT: Op = structural(
    "sort", 1, "`count` elements along `axis` in stable order from place `start` on, and their positions; nan counts as the largest.",
    params=("axis", "count", "descending", "start"), type_rule=_sort_type, ref=_sort_ref, vjp=_sort_vjp, jvp=_sort_jvp, batch=_sort_batch,
    traits=Traits(kernel="sort", masks=_sort_masks),
)  # fmt: skip


def ordered(x: Node, axis: int, count: Size | None = None, descending: bool = False, start: Size = 0) -> Pair:
    """The primitive: (values, int64 positions) of `count` elements, None: all, along `axis` in stable order, from place `start` on."""
    values, positions = outputs(make(SORT, (x,), (axis, x.shape[axis] if count is None else count, descending, start)))
    return values, positions


# -- as users call it -----------------------------------------------------------------------------------------------
def _row(x: ArrayLike, axis: int | None, what: str) -> tuple[Node, int]:
    """The array, raveled for None, and the axis."""
    node = ravel(x) if axis is None else asarray(x)
    if node.ndim == 0:
        fail(ShapeError, f"{what}: a 0-d array has no axis", node, hint="use axis=None")
    return node, normal_axis(0 if axis is None else axis, node.ndim, what, node)


def _known_kind(kind: str | None, stable: bool | None, what: str) -> None:
    if not isinstance(kind, (str, type(None))) or kind not in KINDS:
        fail(ArgumentError, f"{what}: kind is {', '.join(map(repr, KINDS[1:]))} or None, got {kind!r}")
    if not isinstance(stable, (bool, type(None))):
        fail(ArgumentError, f"{what}: stable is a bool, got {stable!r}")


def sort(x: ArrayLike, axis: int | None = -1, kind: str | None = None, *, descending: bool = False, stable: bool | None = None) -> Node:
    """x in order along `axis` (None: the raveled x): out[0] <= out[1] <= ..; `descending`: out[0] >= out[1] >= ...

    Every dtype, which the result has too. nan counts as larger than every number: last, or first where `descending`. Always stable, so
    `kind` and `stable` change nothing: -0.0 and 0.0 are equal and stay as they were. The payload of a nan is not kept. The derivative
    of out[i] is 1 at its position. Raises ShapeError, ArgumentError.

        sort(asarray([3.0, 1.0, 2.0]))    [1.0, 2.0, 3.0]
    """
    _known_kind(kind, stable, "sort")
    node, place = _row(x, axis, "sort")
    return ordered(node, place, None, bool(descending))[0]


def argsort(x: ArrayLike, axis: int | None = -1, kind: str | None = None, *, descending: bool = False, stable: bool | None = None) -> Node:
    """The int64 positions of `sort` along `axis`: take_along_axis(x, argsort(x), axis) is sort(x). Equal elements keep their order.

    Raises ShapeError, ArgumentError.

        argsort(asarray([3.0, 1.0, 2.0]))    [1, 2, 0]
    """
    _known_kind(kind, stable, "argsort")
    node, place = _row(x, axis, "argsort")
    return ordered(node, place, None, bool(descending))[1]


def topk(x: ArrayLike, k: int | Dim, axis: int = -1, *, largest: bool = True) -> Pair:
    """(values, positions) of the k largest elements along `axis`, the largest first; `largest=False`: of the smallest, that first.

    values[.., i, ..] = x[.., positions[.., i, ..], ..]; of equal elements the first ones. k is an int or a size, at most that of the
    axis; nan counts as larger than every number. Raises ShapeError, ArgumentError.

        topk(asarray([3.0, 1.0, 2.0]), 2)    ([3.0, 2.0], [0, 2])
    """
    node, place = _row(x, axis, "topk")
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer, Dim)):
        fail(ArgumentError, f"topk: k must be an int or a size, got {k!r}", node)
    count = k if isinstance(k, Dim) else int(k)
    if isinstance(count, int) and count < 0:
        fail(ArgumentError, f"topk: k must not be negative, got {count}", node)
    if not at_most(count, node.shape[place]):
        what = f"topk: k = {count} elements of an axis of size {node.shape[place]}"
        fail(ShapeError, what, node, hint="k is at most the size of the axis")
    return ordered(node, place, count, bool(largest))


def _known_places(kth: object, node: Node, axis: int, what: str) -> None:
    """`IndexOutOfRange`, here or at the call, for a place that the axis has not."""
    n = node.shape[axis]
    for k in np.ravel(np.asarray(kth)).tolist():
        if isinstance(k, bool) or not isinstance(k, int):
            fail(ArgumentError, f"{what}: kth must be an int or several, got {kth!r}", node)
        if not at_most(k + 1 if k >= 0 else -k, n):
            fail(ShapeError, f"{what}: kth = {k} is out of range for an axis of size {n}", node)


def partition(x: ArrayLike, kth: int | Sequence[int], axis: int | None = -1, kind: str | None = None) -> Node:
    """x with the elements `kth` along `axis` where sorting puts them, none before them larger, none behind them smaller.

    That holds of the sorted array, which this is. Raises ShapeError, also for a kth outside [-n, n), and ArgumentError.
    """
    node, place = _row(x, axis, "partition")
    _known_places(kth, node, place, "partition")
    return ordered(node, place)[0]


def argpartition(x: ArrayLike, kth: int | Sequence[int], axis: int | None = -1, kind: str | None = None) -> Node:
    """The int64 positions of `partition`. Raises ShapeError, ArgumentError."""
    node, place = _row(x, axis, "argpartition")
    _known_places(kth, node, place, "argpartition")
    return ordered(node, place)[1]


def lexsort(keys: Sequence[ArrayLike], axis: int = -1) -> Node:
    """The int64 positions that sort by the last of `keys`, equal ones by the one before it, and so on, along `axis`.

    keys: arrays of one shape, as a sequence or along the first axis. Raises ShapeError, ArgumentError.

        lexsort([asarray([2, 1, 3]), asarray([0, 1, 0])])    [0, 2, 1]
    """
    if isinstance(keys, Node) and keys.ndim and isinstance(keys.shape[0], int):
        rows: list[ArrayLike] = [keys[k] for k in range(keys.shape[0])]
    elif isinstance(keys, (list, tuple)) or (isinstance(keys, np.ndarray) and keys.ndim):
        rows = list(keys)
    else:
        fail(ArgumentError, f"lexsort: the keys are a sequence of arrays, got {type(keys).__name__}")
    if not rows:
        fail(ArgumentError, "lexsort: needs at least one key")
    nodes = [asarray(row) for row in rows]
    order = argsort(nodes[0], axis)
    for node in nodes[1:]:
        order = take_along_axis(order, argsort(take_along_axis(node, order, axis), axis), axis)
    return order


def unique(x: ArrayLike, *args: object, **kwargs: object) -> Node:
    """Not supported: how many elements are distinct only the values tell, and shapes are known before. Raises ArgumentError."""
    hint = "gx.sort(x) brings equal elements together; apply numpy.unique to the result of a function"
    fail(ArgumentError, "unique: the shape of the result would depend on the values", asarray(x), hint=hint)


__all__ = ["argpartition", "argsort", "lexsort", "partition", "sort", "topk", "unique"]
