"""Places among sorted numbers, and what is counted or read off there: searchsorted, digitize, interp, bincount, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, float64, int8, int64, promote, to_mean
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.ops.arithmetic import clip, mod
from graphc.ops.compare import where
from graphc.ops.create import linspace, zeros
from graphc.ops.indexing import scatter, take
from graphc.ops.joining import concatenate
from graphc.ops.reductions import max as largest
from graphc.ops.reductions import min as smallest
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray, constant, structural
from graphc.ops.shape import at_most, lift, ravel, reshape
from graphc.ops.sorting import argsort
from graphc.ops.spread import astype, broadcast_to
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type

SIDES = ("left", "right")


# -- the primitive --------------------------------------------------------------------------------------------------
def _search_type(a: TensorType, v: TensorType, batch: int, side: str) -> TensorType:
    if a.dtype != v.dtype:
        fail(DTypeError, f"searchsorted: dtypes {a.dtype} and {v.dtype} differ")
    if a.ndim != batch + 1 or v.ndim < batch or not all(map(same_size, a.shape[:batch], v.shape[:batch])):
        fail(ShapeError, f"searchsorted: {a} is not one row for each of the first {batch} axes of {v}")
    return tensor_type(int64, v.shape)


def _search_ref(a: np.ndarray, v: np.ndarray, batch: int, side: Any) -> np.ndarray:
    if not v.size:
        return np.zeros(v.shape, np.int64)
    count = int(np.prod(v.shape[:batch]))
    rows, wanted = a.reshape(count, a.shape[-1]), v.reshape(count, -1)
    found = [np.searchsorted(row, some, side) for row, some in zip(rows, wanted, strict=True)]
    return np.asarray(found, np.int64).reshape(v.shape)


def _search_loop(node: Node) -> LoopForm:
    """The elements of the row that stand before v; nan behind all numbers, equal to nan."""
    a, (batch, side) = node.inputs[0], node.params

    def body(read: Read, at: tuple[Size, ...], r: tuple[Size, ...]) -> Scalar:
        x, key = read(0, [*at[:batch], r[0]]), read(1, at)
        if side == "left":
            before = x < key
            return (before if x.dtype.kind != "f" else before | (key.ne(key) & x.eq(x))).cast(int64)
        behind = key < x
        return (~(behind if x.dtype.kind != "f" else behind | (x.ne(x) & key.eq(key)))).cast(int64)

    return LoopForm(body, (a.shape[-1],), "sum")


def _search_batch(inputs: Sequence[Node], mapped: Sequence[bool], batch: int, side: str) -> Node:
    if not batch and not mapped[0]:
        return make(SEARCH, tuple(inputs), (0, side))
    return make(SEARCH, tuple(lift(inputs, mapped)), (batch + 1, side))


SEARCH = structural(
    "search", 2, "How many elements of the sorted row a are smaller than v (left) or not larger (right); a and v share `batch` axes.",
    params=("batch", "side"), type_rule=_search_type, ref=_search_ref, loop=_search_loop, batch=_search_batch,
    vjp=lambda g, out, a, v, batch, side: (None, None), traits=Traits(kernel="search", by_address=(0,)),
)  # fmt: skip


def searchsorted(a: ArrayLike, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None) -> Node:
    """The int64 place of each v in the ascending vector a: a[i-1] < v <= a[i] for side "left", a[i-1] <= v < a[i] for "right".

    a may be symbolic, of any size; `sorter` holds the positions that sort it, as of argsort. nan stands behind all numbers. Of a vector
    that is not ascending the result is some place. Derivatives are 0. Raises ShapeError, DTypeError, ArgumentError.

        searchsorted(asarray([1.0, 2.0, 4.0]), 3.0)    2
    """
    if not isinstance(side, str) or side not in SIDES:
        fail(ArgumentError, f"searchsorted: side is 'left' or 'right', got {side!r}")
    row, wanted = asarray(a), asarray(v)
    if row.ndim != 1:
        fail(ShapeError, "searchsorted: needs a vector to search", row)
    if sorter is not None:
        row = take(row, sorter)
    dtype = promote(row.dtype, wanted.dtype)
    dtype = int8 if dtype == bool_ else dtype
    return make(SEARCH, (astype(row, dtype), astype(wanted, dtype)), (0, side))


def _constant(node: Node) -> np.ndarray | None:
    return node.attrs["value"].array if node.op.name == "constant" else None


def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False) -> Node:
    """The int64 bin of each x: i with bins[i-1] <= x < bins[i], with `right` bins[i-1] < x <= bins[i]; 0 before all, len(bins) behind.

    bins is an ascending vector; a constant one may descend, then bins[i-1] > x >= bins[i] (`right`: >= x >). Raises ShapeError, and
    ArgumentError for constant bins in no order.
    """
    row, known = asarray(bins), _constant(asarray(bins))
    if row.ndim != 1:
        fail(ShapeError, "digitize: bins must be a vector", row)
    if known is not None and not (known[:-1] <= known[1:]).all():
        if not (known[:-1] >= known[1:]).all():
            fail(ArgumentError, "digitize: bins must ascend or descend", row)
        return row.shape[0] - searchsorted(constant(known[::-1]), x, "left" if right else "right")
    return searchsorted(row, x, "left" if right else "right")


# -- interpolation --------------------------------------------------------------------------------------------------
def interp(
    x: ArrayLike, xp: ArrayLike, fp: ArrayLike, left: ArrayLike | None = None, right: ArrayLike | None = None, period: float | None = None
) -> Node:
    """Linear interpolation: fp[j] + (fp[j+1] - fp[j]) (x - xp[j]) / (xp[j+1] - xp[j]), xp[j] <= x < xp[j+1], xp an ascending vector.

    Before xp[0] it is `left`, by default fp[0], behind xp[-1] `right`, by default fp[-1]; with `period` xp is taken modulo it, in any
    order, and there are no ends. The derivative at a point of xp is that to the right of it. Raises ShapeError, ArgumentError.

        interp(2.5, asarray([1.0, 2.0, 3.0]), asarray([3.0, 2.0, 0.0]))    1.0
    """
    nodes = [asarray(v) for v in (x, xp, fp)]
    dtype = to_mean(promote(*[n.dtype for n in nodes]))
    at, knots, values = [astype(n, dtype) for n in nodes]
    if knots.ndim != 1 or values.ndim != 1 or not same_size(knots.shape[0], values.shape[0]):
        fail(ShapeError, "interp: xp and fp must be vectors of one size", knots, values)
    if knots.shape[0] == 0:
        fail(ShapeError, "interp: needs at least one point", knots)
    if period is not None:
        if not isinstance(period, (int, float)) or period == 0:
            fail(ArgumentError, f"interp: the period must be a number other than 0, got {period!r}", at)
        at, knots, values = _periodic(at, knots, values, abs(float(period)))
    n = knots.shape[0]
    last = astype(asarray(n), int64) - 1
    j = clip(searchsorted(knots, at, "right") - 1, 0, last)
    k = clip(j + 1, 0, last)
    x0, x1, f0, f1 = (take(row, i) for row, i in ((knots, j), (knots, k), (values, j), (values, k)))
    apart = x1 != x0
    slope = where(apart, (f1 - f0) / where(apart, x1 - x0, 1.0), 0.0)
    found = where(at == x0, f0 + where(apart, slope * (at - x0), 0.0), slope * (at - x0) + f0)
    if period is not None:
        return found
    before = take(values, 0) if left is None else astype(asarray(left), dtype)
    behind = take(values, last) if right is None else astype(asarray(right), dtype)
    return where(at < take(knots, 0), before, where(at > take(knots, last), behind, found))


def _periodic(x: Node, knots: Node, values: Node, period: float) -> tuple[Node, Node, Node]:
    """All within a period, in order, with a point of the one before and of the one behind."""
    x, knots = mod(x, period), mod(knots, period)
    order = argsort(knots)
    knots, values = take(knots, order), take(values, order)
    ends = asarray(knots.shape[0]) - 1, 0
    (last, first), (end, start) = [[reshape(take(row, i), (1,)) for i in ends] for row in (knots, values)]
    return x, concatenate([last - period, knots, first + period]), concatenate([end, values, start])


# -- counting -------------------------------------------------------------------------------------------------------
def _dropped_into(places: Node, size: Size, weights: Node | None) -> Node:
    """Sums of the weights, or counts, at the places in [0, size]: those at `size` are left out."""
    flat = ravel(places)
    given = broadcast_to(asarray(1, int64), flat.shape) if weights is None else ravel(weights)
    return scatter(zeros((size + 1,), given.dtype), given, flat, axes=(0,))[:size]


def bincount(x: ArrayLike, weights: ArrayLike | None = None, minlength: Size = 0, *, length: Size | None = None) -> Node:
    """out[k] = how many elements of the vector x are k, or the sum of their `weights`; int64, or the float dtype of the weights.

    A constant x gives max(minlength, max(x) + 1) elements, as NumPy. Of any other only the values tell: name the `length`, an int or a
    size (or `minlength`, which is taken for it); an x outside [0, length) is IndexOutOfRange at the call. Raises ShapeError, DTypeError,
    ArgumentError.

        bincount(asarray([0, 2, 2]))    [1, 0, 2]
    """
    node = asarray(x)
    if node.ndim != 1:
        fail(ShapeError, "bincount: needs a vector", node)
    if node.dtype.kind not in "iub":
        fail(DTypeError, "bincount: needs integers", node, hint="cast with .astype('int64')")
    known = _constant(node)
    if length is None:
        if known is None and (isinstance(minlength, int) and minlength == 0):
            fail(ArgumentError, "bincount: how many bins there are only the values tell", node, hint="name them: length=n")
        length = minlength if known is None or not known.size else dims.maximum(minlength, int(known.max()) + 1)
    if isinstance(length, bool) or not isinstance(length, (int, np.integer, Dim)) or not at_most(0, length):
        fail(ArgumentError, f"bincount: the length must be an int or a size, not negative, got {length!r}", node)
    given = broadcast_to(asarray(1, int64), node.shape)
    if weights is not None:
        given = asarray(weights)
        given = astype(given, to_mean(given.dtype))
        if given.ndim != 1 or not same_size(given.shape[0], node.shape[0]):
            fail(ShapeError, "bincount: weights and x differ in shape", node, given)
    size = length if isinstance(length, Dim) else int(length)
    return scatter(zeros((size,), given.dtype), given, astype(node, int64), axes=(0,))


def _edges(x: Node, bins: int | ArrayLike, limits: Sequence[ArrayLike] | None, what: str) -> Node:
    """The edges of the bins, ascending."""
    if isinstance(bins, str):
        fail(ArgumentError, f"{what}: the rule {bins!r} chooses a number of bins by the values", x, hint="give the number, or the edges")
    if not isinstance(bins, (int, np.integer)) or isinstance(bins, bool):
        row = asarray(bins)
        if row.ndim != 1 or row.shape[0] == 0:
            fail(ShapeError, f"{what}: bins must be a number of bins, or a vector of edges", row)
        known = _constant(row)
        if known is not None and not (known[:-1] <= known[1:]).all():
            fail(ArgumentError, f"{what}: the edges must ascend", row)
        return row
    if bins < 1:
        fail(ArgumentError, f"{what}: needs at least one bin, got {bins}", x)
    dtype = to_mean(x.dtype)
    if limits is not None and not (isinstance(limits, (list, tuple, np.ndarray)) and len(limits) == 2):
        fail(ArgumentError, f"{what}: the range is a pair (low, high), got {limits!r:.40}", x)
    low, high = (smallest(x), largest(x)) if limits is None else limits
    first, last = _constant(asarray(low)), _constant(asarray(high))
    if first is not None and last is not None and not (np.isfinite(first) and np.isfinite(last) and first <= last):
        fail(ArgumentError, f"{what}: the range must be finite and ascend, got {first} and {last}", x)
    low, high = astype(asarray(low), dtype), astype(asarray(high), dtype)
    same = low == high
    return astype(linspace(where(same, low - 0.5, low), where(same, high + 0.5, high), int(bins) + 1), dtype)


def _bin_of(x: Node, edges: Node) -> Node:
    """The bin of each x, the number of bins for what lies in none: each holds its lower edge, the last both."""
    count = edges.shape[0] - 1
    dtype = promote(x.dtype, edges.dtype)
    x, edges = astype(x, dtype), astype(edges, dtype)
    place = searchsorted(edges, x, "right") - 1
    place = where(x == edges[-1], asarray(count) - 1, place)
    return clip(where(place < 0, asarray(count), place), 0, asarray(count))


def histogram(
    x: ArrayLike,
    bins: int | ArrayLike = 10,
    range: Sequence[ArrayLike] | None = None,
    density: bool | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Node, Node]:
    """(counts, edges): counts[k] of x lie in [edges[k], edges[k+1]), of the last bin in [.., ..]; or the sums of their `weights`.

    bins: a number of equal bins over `range`, by default from the least x to the greatest, or the edges, ascending, which may be symbolic.
    `density` divides by the sum and the widths of the bins. What lies outside, and nan, is not counted. The derivative is that in the
    weights. Raises ShapeError, ArgumentError.
    """
    counts, (edges,) = histogramdd([ravel(x)], [bins], None if range is None else [range], density, weights)
    return counts, edges


def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Sequence[Sequence[ArrayLike] | None] | None = None,
    density: bool | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Node, Node, Node]:
    """(counts, edges of x, edges of y): `histogram` of pairs. bins: for both, or a pair of what `histogram` takes.

    Raises ShapeError, ArgumentError.
    """
    pair = bins if isinstance(bins, (tuple, list)) and len(bins) == 2 else (bins, bins)
    counts, (first, second) = histogramdd([ravel(x), ravel(y)], pair, range, density, weights)
    return counts, first, second


def histogramdd(
    sample: Sequence[ArrayLike] | Node,
    bins: Any = 10,
    range: Sequence[Sequence[ArrayLike] | None] | None = None,
    density: bool | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Node, list[Node]]:
    """(counts, [edges]): `histogram` of points: an array (points, axes), or a sequence of vectors, one for each axis.

    bins: for every axis, or a sequence of what `histogram` takes. Counts are int64, or have the dtype of the weights. Raises ShapeError,
    ArgumentError.
    """
    if isinstance(sample, (tuple, list)):
        columns = [ravel(column) for column in sample]
    else:
        points = asarray(sample)
        if points.ndim != 2 or not isinstance(points.shape[1], int):
            fail(ShapeError, "histogramdd: needs an array of (points, axes), with a fixed number of axes", points)
        columns = [points[:, k] for k in np.arange(points.shape[1]).tolist()]
    if not columns:
        fail(ArgumentError, "histogramdd: needs at least one vector")
    many = list(bins) if isinstance(bins, (tuple, list)) else [bins] * len(columns)
    if range is not None and not isinstance(range, (list, tuple, np.ndarray)):
        fail(ArgumentError, f"histogramdd: the range is a pair for each axis, got {range!r:.40}", *columns[:1])
    limits = [None] * len(columns) if range is None else list(range)
    if len(many) != len(columns) or len(limits) != len(columns):
        fail(ArgumentError, f"histogramdd: bins and range must be for {len(columns)} axes", *columns[:1])
    edges = [_edges(x, some, limit, "histogram") for x, some, limit in zip(columns, many, limits)]
    sizes = [e.shape[0] - 1 for e in edges]
    for x in columns[1:]:
        if not same_size(x.shape[0], columns[0].shape[0]):
            fail(ShapeError, "histogramdd: the vectors differ in size", columns[0], x)
    given = None if weights is None else ravel(weights)
    if given is not None and not same_size(given.shape[0], columns[0].shape[0]):
        fail(ShapeError, "histogram: weights and x differ in shape", columns[0], given)
    if given is not None and given.dtype == bool_:
        given = astype(given, int64)
    places = [_bin_of(x, e) for x, e in zip(columns, edges)]
    flat, inside = places[0], places[0] < asarray(sizes[0])
    for place, size in zip(places[1:], sizes[1:]):
        flat, inside = flat * asarray(size) + place, inside & (place < asarray(size))
    volume = dims.product(sizes)
    flat = clip(where(inside, flat, asarray(volume)), 0, asarray(volume))
    counts = reshape(_dropped_into(flat, volume, given), tuple(sizes))
    return _dense(counts, edges) if density else counts, edges


def _dense(counts: Node, edges: Sequence[Node]) -> Node:
    """Divided by their sum and by the volume of each bin."""
    result = astype(counts, promote(counts.dtype, float64) if counts.dtype.kind != "f" else counts.dtype)
    result = result / total(result)
    for k, e in enumerate(edges):
        width = e[1:] - e[:-1]
        result = result / reshape(width, tuple([width.shape[0] if j == k else 1 for j in np.arange(counts.ndim).tolist()]))
    return result


__all__ = ["bincount", "digitize", "histogram", "histogram2d", "histogramdd", "interp", "searchsorted"]
