"""Averages with weights, ranges, covariances and correlations."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import as_dtype, float64, is_float, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import clip, maximum, sqrt
from graphc.ops.diagonals import diag
from graphc.ops.joining import concatenate
from graphc.ops.products import matmul
from graphc.ops.reductions import Axis, max, mean, min, nonempty, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, reshape, transpose
from graphc.ops.spread import astype, broadcast, broadcast_to
from graphc.types import normal_axes, normal_axis, same_size


def average(
    a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None, returned: bool = False, *, keepdims: bool = False
) -> Node | tuple[Node, Node]:
    """sum(weights * a) / sum(weights) over `axis` (None: all); without weights the mean.

    weights: of the shape of a, or of the axes that `axis` names. returned: (average, sum of the weights), the latter in the shape of the
    first. Weights that sum to 0 give nan or an infinity, where NumPy raises. Integers give float64. Raises ShapeError.
    """
    node = asarray(a)
    axes = normal_axes(axis, node.ndim, "average", node)
    if weights is None:
        result = mean(node, axes, keepdims=keepdims)
        count = asarray(dims.product([node.shape[k] for k in axes]), result.dtype)
        return (result, broadcast_to(count, result.shape)) if returned else result
    w = _weights(asarray(weights), node, axis)
    dtype = promote(node.dtype, w.dtype, *([] if is_float(node.dtype) else [float64]))
    w = astype(w, dtype)
    scale = sum(w, axes, keepdims=keepdims)
    result = sum(astype(node, dtype) * w, axes, keepdims=keepdims) / scale
    return (result, scale) if returned else result


def _weights(w: Node, a: Node, axis: Axis) -> Node:
    """The weights in the shape of a."""
    listed = [] if axis is None else [normal_axis(k, a.ndim, "average", a) for k in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if axis is None or w.shape == a.shape or (w.ndim == a.ndim and len(listed) < a.ndim):
        if w.ndim != a.ndim or not all(map(same_size, w.shape, a.shape)):
            fail(ShapeError, "average: weights need the shape of the array, or that of its axes which are named", w, a)
        return w
    if w.ndim != len(listed) or not all(same_size(n, a.shape[k]) for n, k in zip(w.shape, listed)):
        fail(ShapeError, f"average: weights of the axes {tuple(listed)} do not have their sizes", w, a)
    order = sorted(range(len(listed)), key=listed.__getitem__)
    return broadcast(transpose(w, order) if w.ndim else w, a.shape, tuple(sorted(listed)))


def ptp(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """max(a) - min(a) over `axis` (None: all); nan wins. Integers wrap. Raises ShapeError, for an empty axis too."""
    node = asarray(a)
    nonempty(node, axis, "ptp")
    return max(node, axis, keepdims=keepdims) - min(node, axis, keepdims=keepdims)


# -- covariances --------------------------------------------------------------------------------------------------------
def cov(
    m: ArrayLike,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
    *,
    dtype: object = None,
) -> Node:
    """The matrix of covariances of the variables, the rows of m (columns where not rowvar) and of y: sum(w (x - mean x)(y - mean y)) / n.

    n is the number of observations less ddof (1; 0 with `bias`), not below 0. fweights: how often each was made; aweights: how much each
    counts, as NumPy takes them. One variable gives a 0-d result. float64 unless `dtype` says otherwise. Raises ShapeError, ArgumentError.
    """
    freedom = 1 - bool(bias) if ddof is None else ddof
    if isinstance(freedom, bool) or not isinstance(freedom, (int, float, np.integer)) or freedom % 1 != 0:
        fail(ArgumentError, f"cov: ddof must be an integer, got {ddof!r:.60}")
    given = [asarray(v) for v in (m, y) if v is not None]
    wanted = as_dtype(dtype) if dtype is not None else promote(*[v.dtype for v in given], float64)
    rows = [_variables(v, rowvar, wanted, k) for k, v in enumerate(given)]
    x = rows[0] if len(rows) == 1 else concatenate(rows, 0)
    w, n = _frequencies(x, fweights, aweights, int(freedom))
    total: Node | Size = x.shape[1] if w is None else sum(w)
    centred = x - expand_dims(sum(x if w is None else x * w, 1) / total, 1)
    result = matmul(centred, (centred if w is None else centred * w).T) * (1.0 / _positive(n, x.dtype))
    return reshape(result, ()) if x.shape[0] == 1 else result


def _variables(v: Node, rowvar: bool, dtype: np.dtype, second: int) -> Node:
    if v.ndim > 2:
        fail(ShapeError, "cov: an array of variables has at most 2 axes", v)
    wide = reshape(v, (1,) * (2 - v.ndim) + v.shape) if v.ndim < 2 else v
    turned = not rowvar and (wide.shape[0] != 1 if second else v.ndim != 1)
    return astype(wide.T if turned else wide, dtype)


def _positive(n: Node | Size, dtype: np.dtype) -> Node:
    return asarray(dims.maximum(n, 0), dtype) if isinstance(n, (int, Dim)) else maximum(n, 0.0)


def _frequencies(x: Node, fweights: ArrayLike | None, aweights: ArrayLike | None, less: int) -> tuple[Node | None, Node | Size]:
    """The weight of each observation, and what the sums are divided by."""
    f, a = [None if v is None else _one_each(astype(asarray(v), x.dtype), x) for v in (fweights, aweights)]
    if f is None and a is None:
        return None, x.shape[1] - less
    w = f if a is None else a if f is None else f * a
    assert w is not None
    if less == 0:
        return w, sum(w)
    return w, sum(w) - (less if a is None else less * sum(w * a) / sum(w))


def _one_each(w: Node, x: Node) -> Node:
    if w.ndim != 1 or not same_size(w.shape[0], x.shape[1]):
        fail(ShapeError, f"cov: weights must be a vector with one for each of the {x.shape[1]} observations", w, x)
    return w


def corrcoef(x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, *, dtype: object = None) -> Node:
    """The matrix of correlations c[i, j] / sqrt(c[i, i] c[j, j]) of the variables, c = cov(x, y, rowvar), clipped to [-1, 1].

    nan for a variable that is constant. One variable gives a 0-d 1. Raises ShapeError.
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviation = sqrt(diag(c))
    return clip(c / expand_dims(deviation, 1) / deviation, -1, 1)


__all__ = ["average", "corrcoef", "cov", "ptp"]
