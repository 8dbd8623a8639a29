"""Arithmetic with NumPy's meaning: the four operations, integer division, signs, roots, rounding, extremes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from graphc.dtypes import bool_, float64, promote
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.compare import where, zeros_as
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import DTYPE_RULES, PUBLIC, elementwise, weak_dtype
from graphc.ops.spread import astype
from graphc.scalars import Scalar

DTYPE_RULES["quotient"] = lambda d: (d, d) if d.kind == "f" else (float64, float64)  # NumPy's true division of integers
_POSITIVE = (0.1, 4.0)
_NOT_ZERO = ((-4.0, 4.0), (0.5, 4.0))


def _rounded(emit_float: str) -> Any:
    return lambda s, x: s.unary(emit_float, x) if x.dtype.kind == "f" else x  # integers are round already


def _whole(ref: Any) -> Any:
    return lambda x: ref(x) if x.dtype.kind == "f" else x  # NumPy 2.0 made floats of integers


# -- the four operations ----------------------------------------------------------------------------------------------
add = elementwise(
    "add", 2, "x + y; `or` for bool.", ref=np.add, vjp=lambda g, out, x, y: (g, g), dtype="same", commutative=True, keeps_zeros=True,
    emit=lambda s, x, y: x | y if x.dtype == bool_ else x + y,
)  # fmt: skip
subtract = elementwise(
    "subtract", 2, "x - y.", ref=np.subtract, vjp=lambda g, out, x, y: (g, -g), dtype="same", kinds="fiu", keeps_zeros=True,
    emit=lambda s, x, y: x - y,
)  # fmt: skip
multiply = elementwise(
    "multiply", 2, "x * y; `and` for bool.", ref=np.multiply, vjp=lambda g, out, x, y: (g * y, g * x), dtype="same", commutative=True,
    emit=lambda s, x, y: x & y if x.dtype == bool_ else x * y,
)  # fmt: skip
# The derivative by y is g * out / y: x / (y * y) overflows and underflows long before it, and so do the derivatives of (g / y) * out.
divide = elementwise(
    "divide", 2, "x / y; integers give float64.", ref=np.true_divide, dtype="quotient", costly=True, instruction=True, domain=_NOT_ZERO,
    vjp=lambda g, out, x, y: (g / y, -((g * out) / y)), emit=lambda s, x, y: x / y,
)  # fmt: skip


# -- floor division and its remainder ---------------------------------------------------------------------------------
def _remainder(s: ModuleType, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """fmod(x, y), the floored remainder, and where the two differ: where fmod is not 0 and has not the sign of y."""
    r: Scalar = s.math("fmod", x, y)
    moved = r.ne(0.0) & ((y < 0.0) ^ (r < 0.0))
    return r, s.select(moved, r + y, s.select(r.eq(0.0), s.copysign(x.like(0.0), y), r)), moved


def _emit_mod(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    return _remainder(s, x, y)[1] if x.dtype.kind == "f" else x % y


def _emit_floor_divide(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    return remainder_parts(s, x, y)[0] if x.dtype.kind == "f" else x // y


def remainder_parts(s: ModuleType, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """The floored quotient of two floats, and the remainder."""
    r, remainder, moved = _remainder(s, x, y)
    exact = (x - r) / y  # an integer up to rounding
    q = exact - s.select(moved, x.like(1.0), 0.0)
    low = s.unary("floor", q)
    nearest = low + s.select((q - low) > 0.5, x.like(1.0), 0.0)
    whole = s.select(q.eq(0.0), s.copysign(x.like(0.0), x / y), nearest)
    return s.select(y.eq(0.0), x / y, whole), remainder


floor_divide = elementwise(
    "floor_divide", 2, "floor(x / y); x // 0 is 0 for integers, x / 0 for floats. Its derivative is 0.", ref=np.floor_divide,
    vjp=lambda g, out, x, y: (zeros_as(x), zeros_as(y)), emit=_emit_floor_divide, dtype="number", costly=True, instruction=True,
    domain=_NOT_ZERO, keeps_zeros=True,
)  # fmt: skip
mod = elementwise(
    "mod", 2, "x - y * floor(x / y), with the sign of y; x % 0 is 0 for integers, nan for floats.", ref=np.remainder,
    vjp=lambda g, out, x, y: (g, -(g * floor_divide(x, y))), emit=_emit_mod, dtype="number", costly=True, instruction=True,
    domain=_NOT_ZERO,
)  # fmt: skip


# -- signs ------------------------------------------------------------------------------------------------------------
def _emit_sign(s: ModuleType, x: Scalar) -> Scalar:
    if x.dtype.kind == "u":
        return s.select(x.ne(0), x.like(1), 0)  # type: ignore[no-any-return]
    return s.select(x > 0, x.like(1), s.select(x < 0, x.like(-1), s.unary("abs", x)))  # type: ignore[no-any-return]  # abs: 0 of -0, nan of nan


negative = elementwise(
    "negative", 1, "-x.", ref=np.negative, vjp=lambda g, out, x: (-g,), emit=lambda s, x: -x, dtype="same", kinds="fiu", keeps_zeros=True,
)  # fmt: skip
sign = elementwise(
    "sign", 1, "-1, 0 or 1 as x < 0, x = 0, x > 0; nan for nan. Its derivative is 0.", ref=np.sign, vjp=lambda g, out, x: (zeros_as(x),),
    emit=_emit_sign, dtype="same", kinds="fiu", keeps_zeros=True,
)  # fmt: skip
abs = elementwise(
    "abs", 1, "|x|; its derivative at 0 is 0.", ref=np.abs, vjp=lambda g, out, x: (g * sign(x),), dtype="same",
    emit=lambda s, x: s.unary("abs", x) if x.dtype.kind in "fi" else x,
)  # fmt: skip


# -- powers and roots that need no series -------------------------------------------------------------------------------
def _reciprocal_ref(x: np.ndarray) -> Any:
    return np.reciprocal(x) if x.dtype.kind == "f" else np.where((x == 1) | (x == -1), x, 0).astype(x.dtype)


def _emit_reciprocal(s: ModuleType, x: Scalar) -> Scalar:
    if x.dtype.kind == "f":
        return 1.0 / x
    unit = x.eq(1) if x.dtype.kind == "u" else x.eq(1) | x.eq(-1)
    return s.select(unit, x, 0)  # type: ignore[no-any-return]


reciprocal = elementwise(
    "reciprocal", 1, "1 / x, towards zero for integers, where 1 / 0 is 0.", ref=_reciprocal_ref, vjp=lambda g, out, x: (-(g * out) * out,),
    emit=_emit_reciprocal, dtype="number", costly=True, instruction=True, domain=(0.5, 4.0),
)  # fmt: skip
square = elementwise("square", 1, "x * x.", ref=np.square, vjp=lambda g, out, x: (g * (x + x),), emit=lambda s, x: x * x, dtype="number")
sqrt = elementwise(
    "sqrt", 1, "The square root; nan for x < 0. Its derivative at 0 is inf.", ref=np.sqrt, vjp=lambda g, out, x: (g / (out + out),),
    emit=lambda s, x: s.sqrt(x), costly=True, instruction=True, domain=_POSITIVE,
)  # fmt: skip
rsqrt = elementwise(
    "rsqrt", 1, "1 / sqrt(x).", ref=lambda x: 1 / np.sqrt(x), vjp=lambda g, out, x: (-0.5 * (g * out) * (out * out),),
    emit=lambda s, x: 1.0 / s.sqrt(x), costly=True, instruction=True, domain=_POSITIVE,
)  # fmt: skip

# -- rounding -------------------------------------------------------------------------------------------------------------
floor = elementwise(
    "floor", 1, "The largest integer <= x, in the dtype of x. Its derivative is 0.", ref=_whole(np.floor),
    vjp=lambda g, out, x: (zeros_as(x),), emit=_rounded("floor"), dtype="same", keeps_zeros=True,
)  # fmt: skip
ceil = elementwise(
    "ceil", 1, "The smallest integer >= x, in the dtype of x. Its derivative is 0.", ref=_whole(np.ceil),
    vjp=lambda g, out, x: (zeros_as(x),), emit=_rounded("ceil"), dtype="same", keeps_zeros=True,
)  # fmt: skip
trunc = elementwise(
    "trunc", 1, "x without its fraction, in the dtype of x. Its derivative is 0.", ref=_whole(np.trunc),
    vjp=lambda g, out, x: (zeros_as(x),), emit=_rounded("trunc"), dtype="same", keeps_zeros=True,
)  # fmt: skip
_round = elementwise(
    "round", 1, "The nearest integer, half to even, in the dtype of x. Its derivative is 0.",
    ref=_whole(np.rint), vjp=lambda g, out, x: (zeros_as(x),), emit=_rounded("rint"), dtype="same",
    keeps_zeros=True,
)  # fmt: skip


def round(x: ArrayLike, decimals: int = 0) -> Node:
    """x to `decimals` places after the point, half to even (before it, where negative), in the dtype of x. Its derivative is 0."""
    if isinstance(decimals, bool) or not isinstance(decimals, (int, np.integer)):
        fail(ArgumentError, f"round: decimals must be an int, got {decimals!r}")
    node = asarray(x)
    if decimals == 0 or (decimals > 0 and node.dtype.kind != "f"):
        return _round(node)
    unit = 10.0 ** int(decimals if decimals > 0 else -decimals)
    if node.dtype.kind != "f":
        return astype(_round(node / unit) * unit, node.dtype)
    return _round(node * unit) / unit if decimals > 0 else _round(node / unit) * unit


# -- extremes: nan propagates ---------------------------------------------------------------------------------------------
maximum = elementwise(
    "maximum", 2, "The larger of x and y, nan if either is; a tie splits the derivative evenly.", ref=np.maximum,
    vjp=lambda g, out, x, y: _extreme_vjp(g, x, y), emit=lambda s, x, y: x | y if x.dtype == bool_ else s.maximum(x, y),
    masks=lambda out, x, y: (x >= y, y >= x), dtype="same", commutative=True, keeps_zeros=True,
)  # fmt: skip
minimum = elementwise(
    "minimum", 2, "The smaller of x and y, nan if either is; a tie splits the derivative evenly.", ref=np.minimum,
    vjp=lambda g, out, x, y: _extreme_vjp(g, y, x), emit=lambda s, x, y: x & y if x.dtype == bool_ else s.minimum(x, y),
    masks=lambda out, x, y: (x <= y, y <= x), dtype="same", commutative=True, keeps_zeros=True,
)  # fmt: skip


def _extreme_vjp(g: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """(g where x > y, g where y > x), and half of it each where they are equal."""
    tie = where(x == y, 0.5 * g, 0.0)
    return where(x > y, g, tie), where(y > x, g, tie)


relu = elementwise(
    "relu", 1, "max(x, 0); its derivative at 0 is 0.", ref=lambda x: np.maximum(x, 0), vjp=lambda g, out, x: (where(out > 0, g, 0.0),),
    emit=lambda s, x: s.maximum(x, 0), masks=lambda out, x: (out > 0,), dtype="number", keeps_zeros=True,
)  # fmt: skip
_clip = elementwise(
    "clip", 3, "min(max(x, low), high); the derivative with respect to x is 1 on the closed interval.",
    ref=lambda x, low, high: np.minimum(np.maximum(x, low), high), dtype="same", keeps_zeros=True,
    domain=((-4.0, 4.0), (-2.0, -1.0), (1.0, 2.0)),
    vjp=lambda g, out, x, low, high: tuple(where(m, g, 0.0) for m in _clip_masks(out, x, low, high)),
    emit=lambda s, x, low, high: (x | low) & high if x.dtype == bool_ else s.minimum(s.maximum(x, low), high),
    masks=lambda out, x, low, high: _clip_masks(out, x, low, high),
)  # fmt: skip


def _clip_masks(out: Node, x: Node, low: Node, high: Node) -> tuple[Node, Node, Node]:
    """Where the result is x, low, high: one of the three everywhere but at nan."""
    return (x >= low) & (x <= high), (x < low) & (low <= high), maximum(x, low) > high


def clip(
    x: ArrayLike,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Node:
    """min(max(x, a_min), a_max); a bound that is None does not bind. NumPy's broadcasting and promotion.

    The derivative with respect to x is 1 on the closed interval. `min` and `max` are other names of the bounds.
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        fail(ArgumentError, "clip: a bound is given twice")
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is None and high is None:
        return asarray(x)
    dtype = promote(*[weak_dtype(v, "clip") for v in (x, low, high) if v is not None])
    return _clip(x, _limit(dtype, -1) if low is None else low, _limit(dtype, 1) if high is None else high)


def _limit(dtype: np.dtype, side: int) -> np.generic:
    """The value of `dtype` beyond which there is none."""
    if dtype.kind == "i" or dtype.kind == "u":
        return dtype.type(np.iinfo(dtype).max if side > 0 else np.iinfo(dtype).min)  # type: ignore[no-any-return]
    return dtype.type(side > 0 if dtype == bool_ else side * np.inf)  # type: ignore[no-any-return]


PUBLIC |= {"round": round, "clip": clip}

__all__ = [
    "abs", "add", "ceil", "clip", "divide", "floor", "floor_divide", "maximum", "minimum", "mod", "multiply", "negative", "reciprocal",
    "relu", "round", "rsqrt", "sign", "sqrt", "square", "subtract", "trunc",
]  # fmt: skip
