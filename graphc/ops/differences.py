"""Differences of neighbours and what is made of them: diff, gradient, trapezoid, unwrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from graphc.dtypes import bool_, float64, is_float, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import mod
from graphc.ops.compare import where
from graphc.ops.joining import concatenate
from graphc.ops.reductions import cumsum
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import at_most, in_dtype, ravel, reshape
from graphc.ops.spread import astype, broadcast_to
from graphc.types import normal_axes, normal_axis, same_size, whole_number


def part(x: Node, axis: int, start: int | None, stop: int | None) -> Node:
    """x[.., start:stop, ..] along `axis`."""
    return FUNCTIONS["getitem"](x, (slice(None),) * axis + (slice(start, stop),))  # type: ignore[no-any-return]


# -- differences --------------------------------------------------------------------------------------------------------
def diff(a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None, append: ArrayLike | None = None) -> Node:
    """a[1:] - a[:-1] along `axis`, n times; of bool a[1:] != a[:-1]. The size becomes smaller by n, down to 0.

    prepend, append: what is put before and after a first; a number is one element in the dtype of a. Raises ShapeError, ArgumentError.
    """
    node = asarray(a)
    if node.ndim == 0:
        fail(ShapeError, "diff needs at least one axis", node)
    place = normal_axis(axis, node.ndim, "diff", node)
    times = whole_number(n, "diff: n", node)
    if times < 0:
        fail(ArgumentError, f"diff: n must not be negative, got {times}", node)
    if times == 0:
        return node
    pieces = [_whole(v, node, place) for v in (prepend, None, append)]
    pieces[1] = node
    node = concatenate([p for p in pieces if p is not None], place) if prepend is not None or append is not None else node
    for _ in range(times):
        after, before = part(node, place, 1, None), part(node, place, None, -1)
        node = after != before if node.dtype == bool_ else after - before
    return node


def _whole(value: ArrayLike | None, like: Node, axis: int) -> Node | None:
    """What is put beside `like`: a number as one slice."""
    if value is None:
        return None
    node = in_dtype(value, promote(like.dtype, weak_dtype(value, "diff")))
    return node if node.ndim else broadcast_to(node, (*like.shape[:axis], 1, *like.shape[axis + 1 :]))


def ediff1d(ary: ArrayLike, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None) -> Node:
    """The differences of neighbours of the raveled array, with `to_begin` before and `to_end` after them. In the dtype of `ary`."""
    node = ravel(ary)
    middle = part(node, 0, 1, None) - part(node, 0, None, -1)
    ends = [None if v is None else ravel(in_dtype(v, node.dtype)) for v in (to_begin, to_end)]
    return concatenate([p for p in (ends[0], middle, ends[1]) if p is not None])


# -- gradient -------------------------------------------------------------------------------------------------------------
def gradient(f: ArrayLike, *varargs: ArrayLike, axis: int | Sequence[int] | None = None, edge_order: int = 1) -> Node | tuple[Node, ...]:
    """The derivative of samples f along each axis, to second order inside, to order `edge_order` (1 or 2) at the two ends.

    varargs: nothing (distances of 1), one distance for all axes, or for each axis a distance or the coordinates, 1-d, of its samples.
    Inside, with distances h before and k after a sample: (h**2 f[i+1] + (k**2 - h**2) f[i] - k**2 f[i-1]) / (h k (h + k)).
    One axis gives one array, several a tuple. Integers give float64. Each axis needs edge_order + 1 samples. Raises ShapeError.
    """
    node = asarray(f)
    node = node if is_float(node.dtype) else astype(node, float64)
    axes = tuple(range(node.ndim)) if axis is None else _listed_axes(axis, node)
    if edge_order not in (1, 2):
        fail(ArgumentError, f"gradient: edge_order is 1 or 2, got {edge_order!r}", node)
    if len(varargs) not in (0, 1, len(axes)) or (len(varargs) == 1 and len(axes) != 1 and asarray(varargs[0]).ndim):
        fail(ArgumentError, f"gradient: {len(varargs)} spacings for {len(axes)} axes", node)
    spacings = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    parts = tuple([_slope(node, a, h, edge_order) for a, h in zip(axes, spacings)])
    return parts[0] if len(parts) == 1 else parts


def _listed_axes(axis: int | Sequence[int], node: Node) -> tuple[int, ...]:
    normal_axes(axis, node.ndim, "gradient", node)  # no axis twice
    return tuple([normal_axis(a, node.ndim, "gradient", node) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))])


def _slope(f: Node, axis: int, spacing: ArrayLike, edge: int) -> Node:
    n = f.shape[axis]
    if not at_most(edge + 1, n):
        fail(ShapeError, f"gradient: axis {axis} has size {n}, and needs {edge + 1} samples for edge_order={edge}", f)
    h = in_dtype(spacing, f.dtype)
    if h.ndim > 1:
        fail(ShapeError, "gradient: a spacing is a number or the 1-d coordinates", h)
    steps = _distances(f, axis, h) if h.ndim else None
    if steps is None:
        inside = (part(f, axis, 2, None) - part(f, axis, None, -2)) / (2.0 * h)
    else:
        inside = _uneven(f, axis, part(steps, axis, None, -1), part(steps, axis, 1, None))
    first, last = _ends(f, axis, lambda start, stop: h if steps is None else part(steps, axis, start, stop), edge)
    return concatenate([first, inside, last], axis)


def _distances(f: Node, axis: int, coordinates: Node) -> Node:
    """The differences of the coordinates along the axis of f."""
    n, m = f.shape[axis], coordinates.shape[0]
    if not same_size(n, m):
        fail(ShapeError, f"gradient: {m} coordinates for {n} samples of axis {axis}", coordinates, f)
    d = diff(coordinates)
    return reshape(d, tuple([d.shape[0] if k == axis else 1 for k in range(f.ndim)]))


def _ends(f: Node, axis: int, near: Callable[[int, int | None], Node], edge: int) -> tuple[Node, Node]:
    """The derivatives at the first and the last sample, `near` giving distances."""
    first, second, last, before = part(f, axis, 0, 1), part(f, axis, 1, 2), part(f, axis, -1, None), part(f, axis, -2, -1)
    if edge == 1:
        return (second - first) / near(0, 1), (last - before) / near(-1, None)
    a, b, c = _edge(near(0, 1), near(1, 2))
    begin = -(a * first) + b * second - c * part(f, axis, 2, 3)
    a, b, c = _edge(near(-1, None), near(-2, -1))
    return begin, a * last - b * before + c * part(f, axis, -3, -2)


def _uneven(f: Node, axis: int, h: Node, k: Node) -> Node:
    before, at, after = part(f, axis, None, -2), part(f, axis, 1, -1), part(f, axis, 2, None)
    return -(k / (h * (h + k))) * before + (k - h) / (h * k) * at + h / (k * (h + k)) * after


def _edge(h: Node, k: Node) -> tuple[Node, Node, Node]:
    """The weights at an end, and of its two neighbours at the distances h and h + k."""
    return (2.0 * h + k) / (h * (h + k)), (h + k) / (h * k), h / (k * (h + k))


# -- integration ----------------------------------------------------------------------------------------------------------
def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1) -> Node:
    """The integral of samples by trapezoids: sum of d[i] (y[i] + y[i+1]) / 2 along `axis`.

    d is dx, or the differences of the coordinates x, 1-d or of the shape of y. 0 for one sample. Raises ShapeError.
    """
    node = asarray(y)
    if node.ndim == 0:
        fail(ShapeError, "trapezoid needs at least one axis", node)
    place = normal_axis(axis, node.ndim, "trapezoid", node)
    d: ArrayLike = dx
    if x is not None:
        at = asarray(x)
        if at.ndim == 1:
            steps = diff(at)
            d = reshape(steps, tuple([steps.shape[0] if k == place else 1 for k in range(node.ndim)]))
        else:
            d = diff(at, axis=axis)
    return total(d * (part(node, place, 1, None) + part(node, place, None, -1)) / 2.0, place)


# -- unwrap -----------------------------------------------------------------------------------------------------------------
def unwrap(p: ArrayLike, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi) -> Node:
    """p with multiples of `period` added, so that neighbours along `axis` differ by half a period at most.

    Only jumps of at least `discont` (None: half a period) are changed. The derivative by p is 1. Raises ShapeError.
    """
    node = asarray(p)
    if node.ndim == 0:
        fail(ShapeError, "unwrap needs at least one axis", node)
    if not isinstance(period, (int, float)) or not isinstance(discont, (int, float, type(None))):
        fail(ArgumentError, "unwrap: period and discont are numbers", node)
    place = normal_axis(axis, node.ndim, "unwrap", node)
    dtype = promote(node.dtype if node.dtype != bool_ else np.dtype("int64"), weak_dtype(period))
    node = astype(node, dtype)
    whole = not is_float(dtype)
    high, odd = divmod(int(period), 2) if whole else (period / 2, 0)
    step = diff(node, axis=place)
    wrapped = mod(step + high, period) - high
    if not odd:
        wrapped = where((wrapped == -high) & (step > 0), high, wrapped)
    change = where(size_of(step) < (period / 2 if discont is None else discont), 0, wrapped - step)
    later = part(node, place, 1, None) + astype(cumsum(change, place), dtype)
    return concatenate([part(node, place, 0, 1), later], place)


__all__ = ["diff", "ediff1d", "gradient", "trapezoid", "unwrap"]
