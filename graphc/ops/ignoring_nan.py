"""NumPy's reductions that leave nan out: each is the reduction over the elements that are none. Integers have none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from graphc.dtypes import bool_, is_float
from graphc.ir import Node
from graphc.ops import reductions
from graphc.ops.compare import isnan, where
from graphc.ops.reductions import Axis
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.spread import astype, broadcast_to


def _numbers(x: Node, mask: ArrayLike) -> ArrayLike:
    """Where x is to count: no nan, and chosen."""
    if not is_float(x.dtype):
        return mask
    return ~isnan(x) if mask is True else ~isnan(x) & broadcast_to(astype(asarray(mask), bool_), x.shape)


def nansum(
    x: ArrayLike,
    axis: Axis = None,
    dtype: object = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike = True,
) -> Node:
    """The sum over `axis` (None: all) of what is not nan, 0 for nothing; the derivative by a nan is 0. See `sum`. Raises ShapeError."""
    node = asarray(x)
    return reductions.sum(node, axis, dtype, keepdims=keepdims, initial=initial, where=_numbers(node, where))


def nanprod(
    x: ArrayLike,
    axis: Axis = None,
    dtype: object = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike = True,
) -> Node:
    """The product over `axis` (None: all) of what is not nan, 1 for nothing. See `prod`. Raises ShapeError."""
    node = asarray(x)
    return reductions.prod(node, axis, dtype, keepdims=keepdims, initial=initial, where=_numbers(node, where))


def nanmean(x: ArrayLike, axis: Axis = None, dtype: object = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
    """The mean over `axis` (None: all) of what is not nan, nan of nothing. Integers and bool give float64. Raises ShapeError."""
    node = asarray(x)
    return reductions.mean(node, axis, dtype, keepdims=keepdims, where=_numbers(node, where))


def nanvar(
    x: ArrayLike, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True
) -> Node:
    """The variance over `axis` (None: all) of the n elements that are not nan, by n - ddof; nan where n <= ddof. Raises ShapeError."""
    node = asarray(x)
    result = reductions.var(node, axis, dtype, ddof=ddof, keepdims=keepdims, where=_numbers(node, where))
    return _enough(node, result, axis, ddof, keepdims, where)


def nanstd(
    x: ArrayLike, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True
) -> Node:
    """sqrt(nanvar(x)), whose derivatives are 0 where what is not nan is constant. Raises ShapeError."""
    node = asarray(x)
    result = reductions.std(node, axis, dtype, ddof=ddof, keepdims=keepdims, where=_numbers(node, where))
    return _enough(node, result, axis, ddof, keepdims, where)


def _enough(x: Node, result: Node, axis: Axis, ddof: float, keepdims: bool, mask: ArrayLike) -> Node:
    """The result, nan where fewer than ddof + 1 elements count."""
    count = reductions.sum(_counted(x, mask), axis, keepdims=keepdims)
    return where(count > ddof, result, np.nan)


def _counted(x: Node, mask: ArrayLike) -> Node:
    chosen = _numbers(x, mask)
    return broadcast_to(astype(asarray(chosen), bool_), x.shape)


def nanmax(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
    """The largest element over `axis` (None: all) that is not nan, nan where all are; ties share the derivative. See `max`.

    Raises ShapeError, for an empty axis too.
    """
    return _extreme(x, axis, keepdims, initial, where, "max")


def nanmin(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
    """The smallest element over `axis` (None: all) that is not nan, nan where all are; ties share the derivative. See `min`.

    Raises ShapeError, for an empty axis too.
    """
    return _extreme(x, axis, keepdims, initial, where, "min")


def _extreme(x: ArrayLike, axis: Axis, keepdims: bool, initial: ArrayLike | None, mask: ArrayLike, combine: Literal["max", "min"]) -> Node:
    node = asarray(x)
    of = reductions.max if combine == "max" else reductions.min
    if not is_float(node.dtype) or initial is not None or mask is not True:
        if is_float(node.dtype) and initial is not None:
            mask = _numbers(node, mask)
        return of(node, axis, keepdims=keepdims, initial=initial, where=mask)
    none = isnan(node)
    best = of(where(none, -np.inf if combine == "max" else np.inf, node), axis, keepdims=keepdims)
    return where(reductions.all(none, axis, keepdims=keepdims), np.nan, best)


def nanargmax(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """The int64 position of the first largest element along `axis` that is not nan; -1 where all are, for which NumPy raises.

    Raises ShapeError, for an empty axis too.
    """
    return _position(x, axis, keepdims, "max")


def nanargmin(x: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Node:
    """The int64 position of the first smallest element along `axis` that is not nan; -1 where all are, for which NumPy raises.

    Raises ShapeError, for an empty axis too.
    """
    return _position(x, axis, keepdims, "min")


def _position(x: ArrayLike, axis: Axis, keepdims: bool, combine: Literal["max", "min"]) -> Node:
    """nan counts as the worst infinity; where the best is that too, the first that is no nan is meant."""
    node = asarray(x)
    of = reductions.argmax if combine == "max" else reductions.argmin
    if not is_float(node.dtype):
        return of(node, axis, keepdims=keepdims)
    none, worst = isnan(node), -np.inf if combine == "max" else np.inf
    filled = where(none, worst, node)
    best = (reductions.max if combine == "max" else reductions.min)(filled, axis, keepdims=keepdims)
    place = where(best == worst, reductions.argmin(none, axis, keepdims=keepdims), of(filled, axis, keepdims=keepdims))
    return where(reductions.all(none, axis, keepdims=keepdims), -1, place)


def nancumsum(x: ArrayLike, axis: int | None = None, dtype: object = None) -> Node:
    """The running sum along `axis` (None: of all elements), nan as 0. See `cumsum`. Raises ShapeError."""
    node = asarray(x)
    return reductions.cumsum(where(isnan(node), 0, node) if is_float(node.dtype) else node, axis, dtype)


def nancumprod(x: ArrayLike, axis: int | None = None, dtype: object = None) -> Node:
    """The running product along `axis` (None: of all elements), nan as 1. See `cumprod`. Raises ShapeError."""
    node = asarray(x)
    return reductions.cumprod(where(isnan(node), 1, node) if is_float(node.dtype) else node, axis, dtype)


__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar",
]  # fmt: skip
