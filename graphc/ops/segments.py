"""Sums, extremes and means of the rows that have one number: what `jax.ops` calls segments.

segment_sum(data, ids, 3)[k] = sum of data[i] over ids[i] == k
"""

from __future__ import annotations

import numpy as np

from graphc.dims import Dim, Size
from graphc.dtypes import bool_, int64, to_mean
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import clip
from graphc.ops.compare import where
from graphc.ops.create import full, zeros
from graphc.ops.indexing import scatter
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import at_most, reshape
from graphc.ops.spread import astype, broadcast_to
from graphc.ops.updates import update
from graphc.types import same_size


def _segments(data: ArrayLike, ids: ArrayLike, num_segments: Size | None, what: str) -> tuple[Node, Node, Size]:
    """The rows, the segment of each, the number of segments for those that are in none, and that number."""
    rows, numbers = asarray(data), asarray(ids)
    if numbers.dtype.kind not in "iu":
        fail(DTypeError, f"{what}: the numbers of segments must be integers", numbers)
    if rows.ndim == 0 or numbers.ndim != 1 or not same_size(rows.shape[0], numbers.shape[0]):
        fail(ShapeError, f"{what}: needs a number for each row of the data", rows, numbers)
    if num_segments is None:
        if numbers.op.name != "constant":
            fail(ArgumentError, f"{what}: how many segments there are only the values tell", numbers, hint="name them: num_segments=n")
        known = numbers.attrs["value"].array
        num_segments = int(known.max()) + 1 if known.size else 0
    if isinstance(num_segments, bool) or not isinstance(num_segments, (int, np.integer, Dim)) or not at_most(0, num_segments):
        fail(ArgumentError, f"{what}: num_segments must be an int or a size, not negative, got {num_segments!r}", rows)
    count = num_segments if isinstance(num_segments, Dim) else int(num_segments)
    limit = asarray(count)
    place = astype(numbers, int64)
    return rows, clip(where((place < 0) | (place >= limit), limit, place), 0, limit), count


def _added(rows: Node, places: Node, count: Size) -> Node:
    return scatter(zeros((count + 1, *rows.shape[1:]), rows.dtype), rows, places, axes=(0,))[:count]


def segment_sum(data: ArrayLike, segment_ids: ArrayLike, num_segments: Size | None = None, indices_are_sorted: bool = False) -> Node:
    """out[k] = sum of the rows data[i] with segment_ids[i] == k, in the order of i; 0 where there are none; truth values are counted.

    num_segments is an int or a size; None: one more than the greatest of constant ids. Rows whose id lies outside of [0, num_segments)
    are in no segment. `indices_are_sorted` changes nothing. Raises ShapeError, DTypeError, ArgumentError.

        segment_sum(asarray([1.0, 2.0, 4.0]), [0, 2, 0])    [5.0, 0.0, 2.0]
    """
    rows, places, count = _segments(data, segment_ids, num_segments, "segment_sum")
    return _added(astype(rows, int64) if rows.dtype == bool_ else rows, places, count)


def segment_mean(data: ArrayLike, segment_ids: ArrayLike, num_segments: Size | None = None, indices_are_sorted: bool = False) -> Node:
    """segment_sum by the number of rows of each segment, as floats; nan where there are none. See `segment_sum`.

    Raises ShapeError, DTypeError, ArgumentError.
    """
    rows, places, count = _segments(data, segment_ids, num_segments, "segment_mean")
    rows = astype(rows, to_mean(rows.dtype))
    many = _added(broadcast_to(asarray(1.0, rows.dtype), rows.shape[:1]), places, count)
    return _added(rows, places, count) / reshape(many, (count, *[1] * (rows.ndim - 1)))


def _extreme(data: ArrayLike, ids: ArrayLike, num_segments: Size | None, mode: str) -> Node:
    rows, places, count = _segments(data, ids, num_segments, f"segment_{mode}")
    sign, kind = -1 if mode == "max" else 1, rows.dtype.kind
    if kind == "b":
        worst: bool | int | float = mode == "min"
    else:
        worst = sign * np.inf if kind == "f" else int(np.iinfo(rows.dtype).min if mode == "max" else np.iinfo(rows.dtype).max)
    return update(full((count + 1, *rows.shape[1:]), worst, rows.dtype), rows, places, axes=(0,), mode=mode)[:count]


def segment_max(data: ArrayLike, segment_ids: ArrayLike, num_segments: Size | None = None, indices_are_sorted: bool = False) -> Node:
    """out[k] = the maximum of the rows data[i] with segment_ids[i] == k, nan where one is; -inf, or the least integer, of none.

    The derivative is shared by those that equal the maximum, as for `max`. See `segment_sum`. Raises ShapeError, DTypeError,
    ArgumentError.
    """
    return _extreme(data, segment_ids, num_segments, "max")


def segment_min(data: ArrayLike, segment_ids: ArrayLike, num_segments: Size | None = None, indices_are_sorted: bool = False) -> Node:
    """out[k] = the minimum of the rows data[i] with segment_ids[i] == k; inf, or the greatest integer, of none. See `segment_max`.

    Raises ShapeError, DTypeError, ArgumentError.
    """
    return _extreme(data, segment_ids, num_segments, "min")


__all__ = ["segment_max", "segment_mean", "segment_min", "segment_sum"]
