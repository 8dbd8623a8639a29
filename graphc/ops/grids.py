"""More arrays from sizes and numbers: geometric ranges, grids of indices, functions of them, windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import float64, int64
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import maximum, sign, sqrt
from graphc.ops.compare import where
from graphc.ops.create import full, iota, linspace, zeros, zeros_like
from graphc.ops.elementwise import cos, log10, power
from graphc.ops.joining import stack
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import known_shape, moveaxis, one_size
from graphc.ops.special.bessel import i0
from graphc.ops.spread import astype
from graphc.types import Shape
from graphc.types import broadcast_shapes as common_shape


# -- ranges -------------------------------------------------------------------------------------------------------------
def logspace(
    start: ArrayLike, stop: ArrayLike, num: object = 50, endpoint: bool = True, base: ArrayLike = 10.0, dtype: object = None, axis: int = 0
) -> Node:
    """base**linspace(start, stop, num, endpoint): numbers from base**start to base**stop with a constant ratio. See `linspace`."""
    result = power(base, linspace(start, stop, num, endpoint))
    result = moveaxis(result, 0, axis) if axis != 0 else result
    return result if dtype is None else astype(result, dtype)


def geomspace(start: ArrayLike, stop: ArrayLike, num: object = 50, endpoint: bool = True, dtype: object = None, axis: int = 0) -> Node:
    """`num` numbers from `start` to `stop` with a constant ratio, both ends exact; of two negative numbers as of their sizes.

    nan where one is 0 or the signs differ, for which NumPy raises or turns complex. Raises ShapeError.
    """
    first, last = [asarray(v, float64) if isinstance(v, (int, float)) else asarray(v) for v in (start, stop)]
    first, last = [v if v.dtype.kind == "f" else astype(v, float64) for v in (first, last)]
    side = sign(first)
    inner = power(10.0, linspace(log10(size_of(first)), log10(last * side), num, endpoint)) * side
    whole = inner.shape
    place, count = iota(whole, 0), whole[0]
    if endpoint:
        inner = where(place == dims.maximum(count - 1, 0), last, inner)
    result = where(place == 0, first, inner)
    result = moveaxis(result, 0, axis) if axis != 0 else result
    return astype(result, dtype) if dtype is not None else result


# -- grids --------------------------------------------------------------------------------------------------------------
def indices(dimensions: Sequence[Size], dtype: object = int64, sparse: bool = False) -> Node | tuple[Node, ...]:
    """The index along each axis of an array of these sizes, which may be symbolic: shape (number of axes, *dimensions).

    sparse: a tuple of one array for each axis, of size 1 along the others. Raises ShapeError.
    """
    shape = known_shape(dimensions, "indices")
    if sparse:
        rank = len(shape)
        thin: list[Shape] = [tuple([n if j == k else 1 for j in range(rank)]) for k, n in enumerate(shape)]
        return tuple([astype(iota(t, k), dtype) for k, t in enumerate(thin)])
    parts = [astype(iota(shape, k), dtype) for k in range(len(shape))]
    return stack(parts) if parts else zeros((0,), dtype)


def fromfunction(function: Callable[..., Any], shape: Sequence[Size], *, dtype: object = float64, **kwargs: Any) -> Any:
    """function(*indices(shape)), called once with a node for each axis: fromfunction(lambda i, j: i + j, (2, "n"))."""
    if not callable(function):
        fail(ArgumentError, f"fromfunction takes a function of indices, got {function!r:.60}")
    return function(*indices(shape, dtype), **kwargs)


def empty(shape: object, dtype: object = float64) -> Node:
    """Zeros: nodes have no memory whose contents could be left open. `shape`: sizes, which may be symbolic."""
    return zeros(shape, dtype)


def empty_like(prototype: ArrayLike, dtype: object = None) -> Node:
    """Zeros in the shape of an array, and its dtype unless `dtype` is given."""
    return zeros_like(prototype, dtype)


def broadcast_shapes(*shapes: object) -> Shape:
    """The shape to which arrays of these shapes broadcast: broadcast_shapes((3, 1), ("n",)) is (3, n). Sizes may be symbolic.

    Raises ShapeError.
    """
    return common_shape([known_shape(s, "broadcast_shapes") for s in shapes], "broadcast_shapes")


# -- windows --------------------------------------------------------------------------------------------------------------
def _steps(M: object, what: str) -> tuple[Node, Size]:
    """1 - M, 3 - M, .., M - 1, and M, which may be symbolic."""
    if isinstance(M, float) and M.is_integer():
        M = int(M)
    count = one_size(M, f"{what}: M")
    if isinstance(count, int) and count < 1:
        return zeros((0,)), count
    return iota((count,), 0, float64) * 2.0 + asarray(1 - count, float64), count


def _cosines(M: object, weights: Sequence[float], what: str) -> Node:
    """The sum of weights[k] cos(pi k n / (M - 1)); ones for M = 1."""
    n, count = _steps(M, what)
    turns = n * (math.pi / asarray(dims.maximum(count - 1, 1), float64))
    result = full(n.shape, weights[0])
    for k, w in enumerate(weights[1:], start=1):
        result = result + w * cos(turns * float(k))
    return where(count == 1, 1.0, result) if isinstance(count, Dim) else full((1,), 1.0) if count == 1 else result


def hanning(M: object) -> Node:
    """0.5 + 0.5 cos(pi n / (M - 1)) for n = 1 - M, 3 - M, .., M - 1: the Hann window of M points, which may be symbolic."""
    return _cosines(M, (0.5, 0.5), "hanning")


def hamming(M: object) -> Node:
    """0.54 + 0.46 cos(pi n / (M - 1)): the Hamming window of M points, see `hanning`."""
    return _cosines(M, (0.54, 0.46), "hamming")


def blackman(M: object) -> Node:
    """0.42 + 0.5 cos(pi n / (M - 1)) + 0.08 cos(2 pi n / (M - 1)): the Blackman window of M points, see `hanning`."""
    return _cosines(M, (0.42, 0.5, 0.08), "blackman")


def bartlett(M: object) -> Node:
    """1 - |n| / (M - 1): the triangle of M points, see `hanning`."""
    n, count = _steps(M, "bartlett")
    below = size_of(n) / asarray(dims.maximum(count - 1, 1), float64)
    return 1.0 - below


def kaiser(M: object, beta: ArrayLike) -> Node:
    """i0(beta sqrt(1 - (n / (M - 1))**2)) / i0(beta): the Kaiser window of M points, see `hanning`; 1 for M = 1."""
    n, count = _steps(M, "kaiser")
    b = asarray(beta)
    part = n / asarray(dims.maximum(count - 1, 1), float64)
    return i0(b * sqrt(maximum(1.0 - part * part, 0.0))) / i0(b)


__all__ = [
    "bartlett", "blackman", "broadcast_shapes", "empty", "empty_like", "fromfunction", "geomspace", "hamming", "hanning", "indices",
    "kaiser", "logspace",
]  # fmt: skip
