"""Fits to data that NumPy has beside its linear algebra: the polynomial of least squares, and the edges of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dtypes import is_float, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import where
from graphc.ops.create import linspace
from graphc.ops.linalg.systems import lstsq
from graphc.ops.polynomials import vander
from graphc.ops.reductions import max, min, nonempty, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims
from graphc.ops.spread import astype
from graphc.types import same_size, whole_number


def polyfit(
    x: ArrayLike, y: ArrayLike, deg: int, rcond: float | None = None, full: bool = False, w: ArrayLike | None = None, cov: bool = False
) -> Node:
    """The polynomial p of degree `deg`, the highest power first, with the least sum of (w (p(x) - y))**2.

    x: (m,), y: (m,) or (m, k), w: (m,), result: (deg + 1,) or (deg + 1, k), by `linalg.lstsq` of the matrix `vander(x, deg + 1)` with
    columns of length 1. `full` and `cov` are not supported. Raises ShapeError, ArgumentError.
    """
    if full or cov:
        fail(ArgumentError, "polyfit: full and cov are not supported", hint="gx.linalg.lstsq(gx.vander(x, deg + 1), y) gives all parts")
    count = whole_number(deg, "polyfit: deg") + 1
    if count < 1:
        fail(ArgumentError, f"polyfit: deg must not be negative, got {deg}")
    at, right = asarray(x), asarray(y)
    if at.ndim != 1 or right.ndim not in (1, 2) or not same_size(at.shape[0], right.shape[0]):
        fail(ShapeError, "polyfit: x is a vector, y has one row for each of its elements", at, right)
    at, right = [v if is_float(v.dtype) else astype(v, promote(v.dtype, 1.0)) for v in (at, right)]
    left = vander(at, count)
    if w is not None:
        weights = asarray(w)
        if weights.ndim != 1 or not same_size(weights.shape[0], at.shape[0]):
            fail(ShapeError, "polyfit: w is a vector with one weight for each element of x", weights, at)
        left, right = left * expand_dims(weights, 1), right * (weights if right.ndim == 1 else expand_dims(weights, 1))
    length = sqrt(sum(left * left, 0))
    solution = lstsq(left / length, right, rcond)[0]
    return solution / (length if right.ndim == 1 else expand_dims(length, 1))


def histogram_bin_edges(a: ArrayLike, bins: ArrayLike = 10, range: Sequence[float] | None = None, weights: ArrayLike | None = None) -> Node:
    """The edges of `bins` equal bins from min(a) to max(a), or over `range`; of a vector of edges, these. One value gets 1/2 on each side.

    `weights` have no meaning here. Raises ArgumentError for the name of a rule, by which the number of bins would depend on values.
    """
    if isinstance(bins, str):
        fail(
            ArgumentError, f"histogram_bin_edges: bins={bins!r} makes a number of bins from values", hint="give a number of bins, or edges"
        )
    edges = asarray(bins)
    if edges.ndim:
        return edges
    node = asarray(a)
    count = whole_number(bins, "histogram_bin_edges: bins", node)
    if count < 1:
        fail(ArgumentError, f"histogram_bin_edges: bins must be at least 1, got {count}", node)
    if range is None:
        nonempty(node, None, "histogram_bin_edges")
    elif not isinstance(range, (tuple, list)) or len(range) != 2:
        fail(ArgumentError, f"histogram_bin_edges: range is a pair, got {range!r:.60}", node)
    low, high = (min(node), max(node)) if range is None else (asarray(range[0]), asarray(range[1]))
    low, high = [v if is_float(v.dtype) else astype(v, "float64") for v in (low, high)]
    single = low == high
    return linspace(where(single, low - 0.5, low), where(single, high + 0.5, high), count + 1)


__all__ = ["histogram_bin_edges", "polyfit"]
