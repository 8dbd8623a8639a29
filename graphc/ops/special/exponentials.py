"""logsumexp, softmax and log_softmax with SciPy's arguments: weights, signs, and all axes where none is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.dtypes import to_float
from graphc.ir import Node
from graphc.ops import reductions
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import minimum, sign
from graphc.ops.compare import isfinite, stop_gradient, where
from graphc.ops.elementwise import exp, log
from graphc.ops.reductions import kept
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import fit
from graphc.ops.shape import expand_dims
from graphc.ops.spread import astype, reduce
from graphc.types import normal_axes

Axis = int | Sequence[int] | None


def logsumexp(
    a: ArrayLike, axis: Axis = None, b: ArrayLike | None = None, keepdims: bool = False, return_sign: bool = False
) -> Node | tuple[Node, Node]:
    """log(sum(b * e**a)) over `axis` (None: all), without overflow; b = 1 if there is none. Raises ShapeError.

    Terms of weight 0 count for nothing, whatever a is. -inf where the sum is 0, with derivative 0 there; nan where it is negative, unless
    return_sign: then the result is (log(|sum|), the sign of the sum). Its derivatives are b e**a / sum and e**a / sum, at every order.

        gx.special.logsumexp(a, axis=-1, b=weights)
    """
    if b is None:
        value = reductions.logsumexp(a, axis, keepdims)
        return (value, where(value == -np.inf, 0.0, 1.0).astype(value.dtype)) if return_sign else value
    terms, weights = asarray(a), asarray(b)
    dtype = to_float(np.promote_types(terms.dtype, weights.dtype))
    terms, weights = fit([terms, weights], dtype, "logsumexp")
    axes = normal_axes(axis, terms.ndim, "logsumexp", terms)
    unused = weights == 0
    top = reduce(where(unused, -np.inf, terms), axes, "sup")
    top = stop_gradient(where(isfinite(top), top, 0.0))
    shifted = terms - expand_dims(top, axes)
    most = 0.99 * float(np.log(np.finfo(dtype).max))  # what weighs nothing may be larger than the largest that counts
    total = reduce(weights * exp(where(unused, minimum(shifted, most), shifted)), axes, "sum")
    nothing = total == 0
    size = size_of(total) if return_sign else total
    value = kept(top + where(nothing, -np.inf, log(where(nothing, 1.0, size))), axes, keepdims)
    return (value, kept(astype(sign(total), dtype), axes, keepdims)) if return_sign else value


def softmax(x: ArrayLike, axis: Axis = None) -> Node:
    """e / sum(e) over `axis` (None: all), e = exp(x - max(x)): as `gx.softmax`, whose axis is the last. Raises ShapeError."""
    return reductions.softmax(x, axis)


def log_softmax(x: ArrayLike, axis: Axis = None) -> Node:
    """log(softmax(x)) over `axis` (None: all): as `gx.log_softmax`, whose axis is the last. Raises ShapeError."""
    return reductions.log_softmax(x, axis)


__all__ = ["log_softmax", "logsumexp", "softmax"]
