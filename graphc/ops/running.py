"""Running extremes, the running logarithm of a sum of exponentials, and the array API's cumulative sums and products."""

from __future__ import annotations

import numpy as np

from graphc.dtypes import to_float
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.compare import invert, isfinite, isinf, stop_gradient, where
from graphc.ops.create import full
from graphc.ops.cumulate import cumulate, recur
from graphc.ops.elementwise import exp, log
from graphc.ops.joining import concatenate
from graphc.ops.reductions import cumprod, cumsum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import ravel
from graphc.ops.spread import astype
from graphc.types import normal_axis


def _row(x: ArrayLike, axis: int | None, what: str) -> tuple[Node, int]:
    node = ravel(x) if axis is None else asarray(x)
    return node, normal_axis(0 if axis is None else axis, node.ndim, what, node)


def cummax(x: ArrayLike, axis: int | None = 0, reverse: bool = False) -> Node:
    """out[i] = max(x[0], .., x[i]) along `axis` (None: of the raveled x); `reverse`: of x[i] to the last. nan from the first one on.

    The derivative of out[i] is shared by those of x[0], .., x[i] that equal it. Raises ShapeError.

        cummax(asarray([1.0, 3.0, 2.0]))    [1.0, 3.0, 3.0]
    """
    node, place = _row(x, axis, "cummax")
    return cumulate(node, place, "max", bool(reverse))


def cummin(x: ArrayLike, axis: int | None = 0, reverse: bool = False) -> Node:
    """out[i] = min(x[0], .., x[i]) along `axis`, see `cummax`. Raises ShapeError."""
    node, place = _row(x, axis, "cummin")
    other = (lambda v: -v) if node.dtype.kind == "f" else invert  # ~ turns the order of integers round, and none overflows
    return other(cumulate(other(node), place, "max", bool(reverse)))


def logcumsumexp(x: ArrayLike, axis: int | None = 0, reverse: bool = False) -> Node:
    """out[i] = log(exp(x[0]) + .. + exp(x[i])) along `axis` (None: of the raveled x); `reverse`: from x[i] to the last.

    With m[i] = max(x[0], .., x[i]) held constant, out[i] = m[i] + log(s[i]), s[i] = exp(m[i-1] - m[i]) s[i-1] + exp(x[i] - m[i]): nothing
    overflows, and no derivative of any order loses its tail. -inf while all x are -inf, with derivative 0. Raises ShapeError.
    """
    node, place = _row(x, axis, "logcumsumexp")
    node = astype(node, to_float(node.dtype))
    most = stop_gradient(cumulate(node, place, "max", bool(reverse)))
    before = stop_gradient(cumulate(node, place, "max", bool(reverse), True))
    m = where(isfinite(most), most, 0.0)
    nothing = isinf(before) & (before < 0)  # before the first, and behind -inf alone
    kept = where(nothing, 0.0, exp(where(nothing, 0.0, where(isfinite(before), before, 0.0) - m)))
    total = recur(kept, exp(node - m), place, bool(reverse))
    none = total == 0
    return m + where(none, -np.inf, log(where(none, 1.0, total)))


def cumulative_sum(x: ArrayLike, /, *, axis: int | None = None, dtype: object = None, include_initial: bool = False) -> Node:
    """`cumsum`, where `axis` may be left out of a vector alone; `include_initial`: a 0 before, and so one more element.

    Raises ShapeError.
    """
    return _cumulative(x, axis, dtype, include_initial, "cumulative_sum")


def cumulative_prod(x: ArrayLike, /, *, axis: int | None = None, dtype: object = None, include_initial: bool = False) -> Node:
    """`cumprod`, where `axis` may be left out of a vector alone; `include_initial`: a 1 before, and so one more element.

    Raises ShapeError.
    """
    return _cumulative(x, axis, dtype, include_initial, "cumulative_prod")


def _cumulative(x: ArrayLike, axis: int | None, dtype: object, include_initial: bool, what: str) -> Node:
    node = asarray(x)
    if axis is None and node.ndim != 1:
        fail(ShapeError, f"{what}: the axis must be named of {node.ndim} axes", node, hint="axis=0")
    place = normal_axis(0 if axis is None else axis, node.ndim, what, node)
    result = (cumsum if what == "cumulative_sum" else cumprod)(node, place, dtype)
    if not include_initial:
        return result
    shape = (*node.shape[:place], 1, *node.shape[place + 1 :])
    return concatenate([full(shape, what == "cumulative_prod", result.dtype), result], place)


__all__ = ["cummax", "cummin", "cumulative_prod", "cumulative_sum", "logcumsumexp"]
