"""Reductions, NumPy's names: sums and moments, extremes and their positions, norms, log-sum-exp and softmax, running sums.

All are compositions of `reduce`, `arg_reduce` and `cumulate`, written so that value and derivatives of every order
stay finite where the function is. A size that enters a formula, such as the n of a mean, may be symbolic.

Over an axis of size 0, whether the size is known when the graph is built or when it is called, as in NumPy and SciPy: sum 0, prod 1,
any False, all True, norm 0, mean, var and std nan, logsumexp -inf, softmax empty; max, min, argmax, argmin and the norms of
order inf and -inf, which have no value there, raise ShapeError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, float64, int64, is_float, promote, to_float, uint64
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import maximum, minimum, sqrt
from graphc.ops.compare import isfinite, stop_gradient, where
from graphc.ops.cumulate import arg_reduce, cumulate
from graphc.ops.elementwise import exp, log, power
from graphc.ops.joining import concat
from graphc.ops.masked import reduces
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import expand_dims, in_dtype, ravel
from graphc.ops.spread import astype, broadcast, broadcast_to, reduce, stretched
from graphc.types import normal_axes, normal_axis

Axis = int | Sequence[int] | None
Axes = tuple[int, ...]


def kept(result: Node, axes: Axes, keepdims: object) -> Node:
    """A reduction over `axes` with these as axes of size 1 where `keepdims` says so."""
    if not isinstance(keepdims, (bool, np.bool_, int)):
        fail(ArgumentError, f"keepdims must be True or False, got {type(keepdims).__name__} {keepdims!r:.40}", result)
    return expand_dims(result, axes) if keepdims and axes else result


def _spread(result: Node, x: Node, axes: Axes) -> Node:
    """A reduction of x over `axes`, repeated along them."""
    return broadcast(result, x.shape, tuple([k for k in range(x.ndim) if k not in axes]))


def _count(x: Node, axes: Axes) -> Size:
    return dims.product([x.shape[a] for a in axes])


def _accumulator(dtype: np.dtype) -> np.dtype:
    """NumPy's dtype of a sum: bool and small signed integers int64, small unsigned ones uint64."""
    return dtype if is_float(dtype) else uint64 if dtype.kind == "u" else int64


def _inexact(x: ArrayLike, axis: Axis, dtype: object, what: str) -> tuple[Node, Axes]:
    """x as the floats in which its mean is taken, integers and bool as float64; the axes."""
    node = asarray(x)
    axes = normal_axes(axis, node.ndim, what, node)
    return astype(node, dtype if dtype is not None else node.dtype if is_float(node.dtype) else float64), axes


# -- sums and moments ---------------------------------------------------------------------------------------------
@reduces
def sum(
    x: ArrayLike,
    axis: Axis = None,
    dtype: object = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike = True,
) -> Node:
    """initial + the sum over `axis` (None: all) of the elements where `where` is true. Integers narrower than 64 bits and bool add up in
    64 bits. Raises ShapeError.

    The terms may be added in any order, the same for each size. Where all are -0.0 it is 0.0, as in NumPy, but -0.0 over an axis that is
    declared as 1 and where sum(-x) has become -sum(x).
    """
    return _total(x, axis, dtype, keepdims, initial, where, "sum")


@reduces
def prod(
    x: ArrayLike,
    axis: Axis = None,
    dtype: object = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike = True,
) -> Node:
    """initial times the product over `axis` (None: all) of the elements where `where` is true, 1 for none. Raises ShapeError.

    Derivatives are right with any number of zeros.
    """
    return _total(x, axis, dtype, keepdims, initial, where, "prod")


def _total(
    x: ArrayLike, axis: Axis, dtype: object, keepdims: bool, initial: ArrayLike | None, where: ArrayLike, combine: Literal["sum", "prod"]
) -> Node:
    node = asarray(x)
    axes = normal_axes(axis, node.ndim, combine, node)
    node = _only(astype(node, _accumulator(node.dtype) if dtype is None else dtype), where, 0 if combine == "sum" else 1)
    total = reduce(node, axes, combine)
    if initial is not None:
        first = in_dtype(initial, node.dtype)
        total = total + first if combine == "sum" else total * first
    return kept(total, axes, keepdims)


@reduces
def mean(x: ArrayLike, axis: Axis = None, dtype: object = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """sum(x) / n over the n elements of `axis` (None: all) where `where` is true, nan for n = 0. Integers and bool give float64.

    Raises ShapeError.
    """
    node, axes = _inexact(x, axis, dtype, "mean")
    return kept(_mean(node, axes, where), axes, keepdims)


def _mean(node: Node, axes: Axes, where: ArrayLike) -> Node:
    return reduce(_only(node, where, 0), axes, "sum") / _number(node, axes, where)


@reduces
def var(x: ArrayLike, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """sum((x - mean(x))**2) / (n - ddof) over the n elements of `axis` (None: all) where `where` is true, in two passes.

    Integers and bool give float64. Raises ShapeError.
    """
    node, axes = _inexact(x, axis, dtype, "var")
    return kept(_variance(node, axes, ddof, where), axes, keepdims)


@reduces
def std(x: ArrayLike, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """sqrt(var(x)), a norm: its derivatives where x is constant are 0. Integers and bool give float64. Raises ShapeError."""
    node, axes = _inexact(x, axis, dtype, "std")
    return kept(_root(_variance(node, axes, ddof, where)), axes, keepdims)


def _only(node: Node, mask: ArrayLike, other: ArrayLike) -> Node:
    """node where the mask is true, a value without influence elsewhere; its derivative there is 0."""
    if mask is True:
        return node
    return where(stretched(astype(asarray(mask), bool_), node.shape, "where="), node, in_dtype(other, node.dtype))


def _number(node: Node, axes: Axes, mask: ArrayLike) -> Size | Node:
    """How many elements there are, or where the mask is true."""
    if mask is True:
        return _count(node, axes)
    return reduce(astype(stretched(astype(asarray(mask), bool_), node.shape, "where="), node.dtype), axes, "sum")


def _variance(node: Node, axes: Axes, ddof: float, mask: ArrayLike) -> Node:
    centred = _only(node - _spread(_mean(node, axes, mask), node, axes), mask, 0)
    squares = reduce(centred * centred, axes, "sum")
    n = _number(node, axes, mask)
    if isinstance(n, Node):
        return squares / maximum(n - ddof, 0)
    if ddof == int(ddof):
        return squares / dims.maximum(n - int(ddof), 0)
    return squares / maximum(asarray(n, node.dtype) - ddof, 0)


def _root(square: Node, root: Callable[[Node], Node] = sqrt) -> Node:
    """sqrt(square), or another root, with all derivatives 0 where it is 0: the infinite one there is never computed."""
    zero = square == 0
    return where(zero, 0.0, root(where(zero, 1.0, square)))


# -- extremes -----------------------------------------------------------------------------------------------------
@reduces
def max(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
    """The largest element over `axis` (None: all); nan wins; ties share the derivative. Raises ShapeError, for an empty axis too.

    With `initial` it is at least that, and that of nothing; only then can `where` say which elements count.
    """
    return _extreme(x, axis, keepdims, initial, where, "max")


@reduces
def min(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
    """The smallest element over `axis` (None: all); nan wins; ties share the derivative. Raises ShapeError, for an empty axis too.

    With `initial` it is at most that, and that of nothing; only then can `where` say which elements count.
    """
    return _extreme(x, axis, keepdims, initial, where, "min")


amax, amin = max, min


def _extreme(x: ArrayLike, axis: Axis, keepdims: bool, initial: ArrayLike | None, where: ArrayLike, combine: Literal["max", "min"]) -> Node:
    node = asarray(x)
    if initial is None:
        if where is not True:
            fail(ArgumentError, f"{combine}: `where` needs `initial`, the {combine} of nothing", node)
        axes = nonempty(node, axis, combine)
        return kept(reduce(node, axes, combine), axes, keepdims)
    axes = normal_axes(axis, node.ndim, combine, node)
    dtype = promote(node.dtype, weak_dtype(initial, combine))
    first = in_dtype(initial, dtype)
    node = _only(astype(node, dtype), where, first)
    for a in axes[::-1]:  # as one more element of each axis, so that there is something to take the extreme of
        row = broadcast_to(first, (*node.shape[:a], 1, *node.shape[a + 1 :]))
        node = reduce(concat([row, node], a), (a,), combine)
    return kept(node if axes else (maximum if combine == "max" else minimum)(node, first), axes, keepdims)


def nonempty(node: Node, axis: Axis, what: str) -> Axes:
    """The axes, sorted; ShapeError where they are known to hold nothing."""
    axes = normal_axes(axis, node.ndim, what, node)
    if _count(node, axes) == 0:
        fail(ShapeError, f"{what}: nothing to take it of, the axes {axes} are empty", node)
    return axes


def argmax(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """The int64 position of the first largest element along `axis` (None, or several axes: row-major); nan wins. Raises ShapeError."""
    return _position(x, axis, keepdims, "argmax")


def argmin(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """The int64 position of the first smallest element along `axis` (None, or several axes: row-major); nan wins. Raises ShapeError."""
    return _position(x, axis, keepdims, "argmin")


def _position(x: ArrayLike, axis: Axis, keepdims: bool, combine: str) -> Node:
    node = asarray(x)
    axes = nonempty(node, axis, combine)
    return kept(arg_reduce(node, axes, combine), axes, keepdims)


# -- truth --------------------------------------------------------------------------------------------------------
@reduces
def any(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """True where some element over `axis` (None: all) for which `where` is true is nonzero, False for none. Raises ShapeError."""
    return _truth(x, axis, keepdims, where, "any")


@reduces
def all(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """True where every element over `axis` (None: all) for which `where` is true is nonzero, True for none. Raises ShapeError."""
    return _truth(x, axis, keepdims, where, "all")


def _truth(x: ArrayLike, axis: Axis, keepdims: bool, where: ArrayLike, combine: Literal["any", "all"]) -> Node:
    node = asarray(x)
    axes = normal_axes(axis, node.ndim, combine, node)
    return kept(reduce(_only(_nonzero(node), where, combine == "all"), axes, combine), axes, keepdims)


def _nonzero(x: Node) -> Node:
    return x if x.dtype == bool_ else x != 0


@reduces
def count_nonzero(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """The int64 number of nonzero elements over `axis` (None: all). Raises ShapeError."""
    node = asarray(x)
    axes = normal_axes(axis, node.ndim, "count_nonzero", node)
    return kept(reduce(astype(_nonzero(node), int64), axes, "sum"), axes, keepdims)


# -- exponentials -------------------------------------------------------------------------------------------------
def _shifted(x: ArrayLike, axis: Axis, what: str, finite: bool) -> tuple[Node, Axes, Node]:
    """x as floats, the axes, and a constant m, their maximum (-inf of nothing): exp(x - m) <= 1. `finite`: 0 for an m that is not."""
    node = asarray(x)
    axes = normal_axes(axis, node.ndim, what, node)
    node = astype(node, to_float(node.dtype))
    m = reduce(node, axes, "sup")
    return node, axes, stop_gradient(where(isfinite(m), m, 0.0) if finite else m)


@reduces
def logsumexp(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Node:
    """m + log(sum(exp(x - m))) over `axis` (None: all), m = max(x) held constant: no overflow. Raises ShapeError.

    -inf where all x are -inf or there are none, with derivative 0 there; inf where some x is inf.
    """
    node, axes, m = _shifted(x, axis, "logsumexp", finite=True)
    total = reduce(exp(node - _spread(m, node, axes)), axes, "sum")
    nothing = total == 0
    return kept(m + where(nothing, -np.inf, log(where(nothing, 1.0, total))), axes, keepdims)


def softmax(x: ArrayLike, axis: Axis = -1) -> Node:
    """e / sum(e) over `axis`, e = exp(x - max(x)): positive, adding up to 1; nan where all x are -inf. Raises ShapeError."""
    node, axes, m = _shifted(x, axis, "softmax", finite=False)
    e = exp(node - _spread(m, node, axes))
    return e / _spread(reduce(e, axes, "sum"), node, axes)


def log_softmax(x: ArrayLike, axis: Axis = -1) -> Node:
    """log(softmax(x)) = (x - m) - log(sum(exp(x - m))) over `axis`, m = max(x). Raises ShapeError.

    Its derivative is g - softmax(x) * sum(g). nan where some x is inf or all are -inf.
    """
    node, axes, m = _shifted(x, axis, "log_softmax", finite=False)
    below = node - _spread(m, node, axes)
    return below - _spread(log(reduce(exp(below), axes, "sum")), node, axes)


def supremum(x: Node) -> Node:
    """The largest of all elements of x, floats; -inf of none: what rules write for the shift of their exponentials."""
    return reduce(x, tuple(range(x.ndim)), "sup")


# -- norms --------------------------------------------------------------------------------------------------------
def norm(x: ArrayLike, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Node:
    """The vector norm sum(|x|**ord)**(1/ord) over `axis`, or a matrix norm where `axis` is a pair of axes.

    ord None: the 2-norm of all elements. Vectors: any p, inf, -inf, 0 (the number of nonzero elements). Matrices (2-d x,
    or a pair of axes): "fro", 1, -1 (columns), inf, -inf (rows). Every derivative at the origin is 0. Raises ShapeError,
    ArgumentError.
    """
    given = asarray(x)
    if axis is None:
        if ord is not None and given.ndim not in (1, 2):
            fail(ShapeError, f"norm: ord={ord!r} without axis needs a vector or a matrix", given, hint="name the axes")
        axes = tuple(range(given.ndim))
    else:
        axes = tuple([normal_axis(a, given.ndim, "norm", given) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))])
    node, sorted_axes = _inexact(given, axes, None, "norm")
    if ord is None or (isinstance(ord, str) and ord == "fro" and len(axes) == 2):
        result = _vector_norm(node, sorted_axes, 2.0)
    elif not isinstance(ord, (int, float, np.integer, np.floating)) or len(axes) > 2:
        fail(ArgumentError, f"norm: ord={ord!r} is no norm over {len(axes)} axes", given)
    elif len(axes) == 2:
        result = _matrix_norm(node, axes, ord)
    else:
        result = _vector_norm(node, axes, float(ord))
    return kept(result, sorted_axes, keepdims)


def _vector_norm(x: Node, axes: Axes, p: float) -> Node:
    if p == 2:
        return _root(reduce(x * x, axes, "sum"))
    if p in (np.inf, -np.inf):
        return reduce(size_of(x), axes, "max" if p > 0 else "min")
    if p == 1:
        return reduce(size_of(x), axes, "sum")
    if p == 0:
        return reduce(astype(x != 0, x.dtype), axes, "sum")
    if p < 0:
        return power(reduce(power(size_of(x), p), axes, "sum"), 1 / p)
    return _root(reduce(_root(size_of(x), lambda v: power(v, p)), axes, "sum"), lambda v: power(v, 1 / p))


def _matrix_norm(x: Node, axes: Axes, p: float) -> Node:
    row, column = axes
    if abs(p) not in (1, np.inf):
        fail(ArgumentError, f"norm: ord={p!r} of a matrix needs singular values", x, hint='ord="fro", 1, -1, inf or -inf')
    inner, over = (row, column) if abs(p) == 1 else (column, row)
    sums = reduce(size_of(x), (inner,), "sum")
    return reduce(sums, (over - (over > inner),), "max" if p > 0 else "min")


# -- running sums -------------------------------------------------------------------------------------------------
def cumsum(x: ArrayLike, axis: int | None = None, dtype: object = None) -> Node:
    """out[i] = x[0] + ... + x[i] along `axis`; None: of all elements in row-major order. dtypes as in `sum`. Raises ShapeError.

    It starts from 0.0, and so is 0.0 where all x so far are -0.0, for which NumPy's is -0.0.
    """
    return _running(x, axis, dtype, "sum", "cumsum")


def cumprod(x: ArrayLike, axis: int | None = None, dtype: object = None) -> Node:
    """out[i] = x[0] * ... * x[i] along `axis`; None: of all elements in row-major order. Raises ShapeError.

    Derivatives are right with any number of zeros.
    """
    return _running(x, axis, dtype, "prod", "cumprod")


def _running(x: ArrayLike, axis: int | None, dtype: object, combine: str, what: str) -> Node:
    node = asarray(x)
    place = 0 if axis is None else normal_axis(axis, node.ndim, what, node)
    node = astype(node, _accumulator(node.dtype) if dtype is None else dtype)
    return cumulate(ravel(node) if axis is None else node, place, combine)


__all__ = ["all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "log_softmax", "logsumexp", "max",
           "mean", "min", "prod", "softmax", "std", "sum", "var"]  # fmt: skip
