"""Order statistics of whole rows: median, quantile, percentile, and those that leave nan out.

s = sort(x), v = (n - 1) q for "linear"          quantile = s[floor(v)] + (s[floor(v) + 1] - s[floor(v)]) (v - floor(v))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import float64, int64, to_mean
from graphc.errors import ArgumentError, DTypeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import ceil, clip, floor, mod, round
from graphc.ops.compare import isinf, isnan, where
from graphc.ops.indexing import take_along_axis
from graphc.ops.reductions import Axis, any, kept, nonempty, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, moveaxis, ravel, reshape, transpose
from graphc.ops.sorting import ordered
from graphc.ops.spread import astype, broadcast_to

Index = Callable[[Node, Node], Node]


def _fitted(alpha: float, beta: float) -> Index:
    """The place n q + alpha + q (1 - alpha - beta) - 1, as Hyndman and Fan number them."""
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _stepped(place: Node, stays: Node) -> Node:
    """The place below where `stays`, else the one above it."""
    return floor(place) + where(stays, 0.0, 1.0)


def _inverted(n: Node, q: Node) -> Node:
    v = n * q - 1
    return _stepped(v, v == floor(v))


def _closest(n: Node, q: Node) -> Node:
    v = n * q - 1.5
    return _stepped(v, (v == floor(v)) & (mod(floor(v), 2.0) == 1.0))


METHODS: dict[str, Index] = {
    "linear": lambda n, q: (n - 1) * q,
    "interpolated_inverted_cdf": _fitted(0, 1),
    "hazen": _fitted(0.5, 0.5),
    "weibull": _fitted(0, 0),
    "median_unbiased": _fitted(1 / 3, 1 / 3),
    "normal_unbiased": _fitted(3 / 8, 3 / 8),
    # the rest jump with q: their derivative in q is 0, in x that of the elements that they take
    "inverted_cdf": _inverted,
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "closest_observation": _closest,
    "lower": lambda n, q: floor((n - 1) * q),
    "higher": lambda n, q: ceil((n - 1) * q),
    "nearest": lambda n, q: round((n - 1) * q),
    "midpoint": lambda n, q: 0.5 * (floor((n - 1) * q) + ceil((n - 1) * q)),
}


def _between(low: Node, high: Node, t: Node) -> Node:
    """low + (high - low) t, t < 1, from the nearer end; an infinity that has a part in it."""
    step = where(t == 0, 0.0, high - low)
    return where(isinf(low), low, where((t < 0.5) | isinf(high), low + step * t, high - step * (1 - t)))


def _part(v: Node, method: str) -> Node:
    """How far from the lower element towards the upper one."""
    t = v - floor(v)
    return where(t == 0, 0.5, 1.0) if method == "averaged_inverted_cdf" else t


def _known_q(q: ArrayLike, scale: float, what: str) -> Node:
    node = asarray(q)
    if node.dtype.kind == "b":
        fail(DTypeError, f"{what}: q must be a number", node)
    if node.op.name == "constant":
        given = node.attrs["value"].array
        if not ((given >= 0) & (given <= scale)).all():
            fail(ArgumentError, f"{what}: q must lie in [0, {scale:g}], got {given}", node)
    node = astype(node, float64)
    return node if scale == 1 else node / scale


def _rows(node: Node, axis: Axis, what: str) -> tuple[Node, tuple[int, ...], Size]:
    """The array with all that an order runs over as its last axis, the axes, and the size of a row."""
    axes = nonempty(node, axis, what)
    rest = tuple([k for k in range(node.ndim) if k not in axes])
    n = dims.product([node.shape[a] for a in axes])
    return reshape(transpose(node, (*rest, *axes)), (*[node.shape[k] for k in rest], n)), axes, n


def _wanted(q: Node, scale: float, n: Size, method: str) -> tuple[Size, Size]:
    """(start, count): the places in the order that a quantile may take, few of them where they are known; all otherwise."""
    if method != "linear" or q.op.name != "constant" or q.size != 1:
        return 0, n
    part = float(q.attrs["value"].array.flat[0]) / scale
    if part == 0.5:
        return dims.floordiv(dims.maximum(n, 1) - 1, 2), dims.minimum(n, 2)
    if not isinstance(n, int) or n < 2:
        return 0, n
    return min(int(np.floor((n - 1) * part)), n - 2), 2


def _quantile(x: ArrayLike, q: ArrayLike, axis: Axis, method: str, keepdims: bool, what: str, scale: float = 1.0) -> Node:
    node, without = asarray(x), what.startswith("nan")
    if not isinstance(method, str) or method not in METHODS:
        fail(ArgumentError, f"{what}: the method is one of {', '.join(METHODS)}, got {method!r}", node)
    if node.dtype.kind == "b":
        fail(DTypeError, f"{what}: not defined for truth values", node, hint="cast with .astype")
    node = astype(node, to_mean(node.dtype))
    given = _known_q(q, scale, what)
    rows, axes, n = _rows(node, axis, what)
    lead = rows.shape[:-1]
    start, some = (0, n) if without else _wanted(asarray(q), scale, n, method)
    order = ordered(rows, rows.ndim - 1, some, start=start)[0]
    flat = ravel(given)
    count: Node = astype(asarray(n), float64)
    if without:
        count = expand_dims(astype(sum(astype(~isnan(rows), int64), axis=-1), float64), -1)
    shape = (*lead, flat.shape[0])
    v = broadcast_to(METHODS[method](count, flat), shape)  # of each row the places for all q
    last = broadcast_to(count - 1, shape)
    ends = (v < 0) | (v >= last)
    v = clip(v, 0.0, where(last < 0, 0.0, last))
    below = astype(floor(v), int64)
    low, high = (take_along_axis(order, clip(i, 0, astype(asarray(some), int64) - 1), axis=-1) for i in (below - start, below + 1 - start))
    high = where(ends, low, high)
    found = _between(low, high, astype(_part(v, method), node.dtype))
    spoilt = last < 0 if without else broadcast_to(any(isnan(rows), axis=-1, keepdims=True), shape)
    result = reshape(moveaxis(where(spoilt, np.nan, found), -1, 0), (*given.shape, *lead))
    return kept(result, tuple([a + given.ndim for a in axes]), keepdims)


def quantile(x: ArrayLike, q: ArrayLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Node:
    """What a part q, in [0, 1], of the elements over `axis` (None: all) lies below; an array of q adds its axes in front.

    With s = sort(x) and v = (n - 1) q: s[floor(v)] + (s[floor(v) + 1] - s[floor(v)]) (v - floor(v)). `method`: any of NumPy's, of which
    linear, interpolated_inverted_cdf, hazen, weibull, median_unbiased and normal_unbiased are continuous in q, with a derivative in it.
    That in x goes to the elements taken. Integers are taken as float64. nan where an element is nan. Raises ShapeError, for an empty
    axis too, ArgumentError for a constant q outside and for other methods, DTypeError. A symbolic q is moved into [0, 1].

        quantile(asarray([3.0, 1.0, 2.0]), 0.25)    1.5
    """
    return _quantile(x, q, axis, method, keepdims, "quantile")


def percentile(x: ArrayLike, q: ArrayLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Node:
    """quantile(x, q / 100). Raises ShapeError, ArgumentError, DTypeError."""
    return _quantile(x, q, axis, method, keepdims, "percentile", 100.0)


def median(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Node:
    """The middle element in the order over `axis` (None: all), or the mean of the two: quantile(x, 0.5). nan where one is nan.

    The derivative goes to the one, or half to each of the two. Raises ShapeError, for an empty axis too, DTypeError.
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, "median")


def nanquantile(x: ArrayLike, q: ArrayLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Node:
    """`quantile` of the elements that are not nan; nan where all are. Raises ShapeError, ArgumentError, DTypeError."""
    return _quantile(x, q, axis, method, keepdims, "nanquantile")


def nanpercentile(x: ArrayLike, q: ArrayLike, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Node:
    """`percentile` of the elements that are not nan; nan where all are. Raises ShapeError, ArgumentError, DTypeError."""
    return _quantile(x, q, axis, method, keepdims, "nanpercentile", 100.0)


def nanmedian(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Node:
    """`median` of the elements that are not nan; nan where all are. Raises ShapeError, DTypeError."""
    return _quantile(x, 0.5, axis, "linear", keepdims, "nanmedian")


__all__ = ["median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile"]
