"""The rest of NumPy's ufuncs that are rows: roots, the truncated remainder, signs and neighbours of floats, divisors of integers.

Each derivative is finite wherever its function's is: all those of hypot at the origin are 0; that of cbrt at 0 is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphc.dtypes import bool_, float64, int32, int64, uint8
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import round as nearest
from graphc.ops.arithmetic import sign
from graphc.ops.compare import where, zeros_as
from graphc.ops.elementwise import sigmoid
from graphc.ops.rows import DTYPE_RULES, elementwise
from graphc.scalars import Scalar

DTYPE_RULES["count"] = lambda d: (d, uint8)
LN2 = math.log(2.0)
_APART = ((0.3, 3.0), (0.3, 3.0))


# -- roots ------------------------------------------------------------------------------------------------------------
def _emit_cbrt_slope(s: ModuleType, x: Scalar) -> Scalar:
    root = s.math("cbrt", x)
    return 1.0 / (root * root * 3.0)  # type: ignore[no-any-return]


cbrt: Callable[..., Node] = elementwise(
    "cbrt", 1, "The cube root, with the sign of x; exact for cubes. Its derivative at 0 is inf.", ref=np.cbrt,
    vjp=lambda g, out, x: (g * cbrt_slope(x),), emit=lambda s, x: s.math("cbrt", x), costly=True, domain=(0.2, 4.0),
)  # fmt: skip
cbrt_slope: Callable[..., Node] = elementwise(
    "cbrt_slope", 1, "The derivative of cbrt, 1 / (3 cbrt(x)**2).", ref=lambda x: 1 / (3 * np.square(np.cbrt(x))), emit=_emit_cbrt_slope,
    vjp=lambda g, out, x: (g * (out / x * (-2 / 3)),), costly=True, domain=(0.2, 4.0),
)  # fmt: skip


def _size(s: ModuleType, x: Scalar) -> tuple[Scalar, Scalar]:
    """|x| and whether it is infinite."""
    size = s.unary("abs", x)
    return size, size.eq(math.inf)


def _emit_hypot_slope(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    """By the larger operand, as the hypotenuse may overflow; of two infinities as of two equal numbers."""
    (a, far_x), (b, far_y) = _size(s, x), _size(s, y)
    m = s.maximum(a, b)
    far = far_x | far_y
    unit = s.select(m > 0.0, m, 1.0)
    u = s.select(far, s.select(far_x, x.like(1.0), 0.0), a / unit)
    v = s.select(far, s.select(far_y, x.like(1.0), 0.0), b / unit)
    r = s.sqrt(u * u + v * v)
    slope = s.copysign(u / s.select(r > 0.0, r, 1.0), x)
    return s.select(x.ne(x) | y.ne(y), x + y, slope)  # type: ignore[no-any-return]


def _hypot_slope_ref(x: np.ndarray, y: np.ndarray) -> Any:
    far, (a, b) = np.isinf(x) | np.isinf(y), (np.abs(x), np.abs(y))
    unit = np.where(np.maximum(a, b) > 0, np.maximum(a, b), x.dtype.type(1))
    u = np.where(far, np.isinf(x).astype(x.dtype), a / unit)
    v = np.where(far, np.isinf(y).astype(x.dtype), b / unit)
    r = np.sqrt(u * u + v * v)
    return np.where(np.isnan(x) | np.isnan(y), x + y, np.copysign(u / np.where(r > 0, r, x.dtype.type(1)), x))


def _hypot_slope_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """With c = x/h and s = y/h: (s**2/h, -c s/h), all 0 at the origin."""
    h, s = hypot(x, y), hypot_slope(y, x)
    turn = s / where(h == 0, 1.0, h)
    return g * (s * turn), -(g * (out * turn))


hypot: Callable[..., Node] = elementwise(
    "hypot", 2, "sqrt(x**2 + y**2), which does not overflow on the way; inf where x or y is, even beside nan. Its derivatives at 0 are 0.",
    ref=np.hypot, vjp=lambda g, out, x, y: (g * hypot_slope(x, y), g * hypot_slope(y, x)), emit=lambda s, x, y: s.math("hypot", x, y),
    commutative=True, costly=True, domain=_APART,
)  # fmt: skip
hypot_slope: Callable[..., Node] = elementwise(
    "hypot_slope", 2, "The derivative of hypot(x, y) by x, x / hypot(x, y); 0 at (0, 0).", ref=_hypot_slope_ref, vjp=_hypot_slope_vjp,
    emit=_emit_hypot_slope, costly=True, instruction=True, domain=_APART,
)  # fmt: skip


# -- sums of powers of two ----------------------------------------------------------------------------------------------
def _logaddexp2_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """g / (1 + 2**(y - x)), g / (1 + 2**(x - y)); 1/2 each where both are the same infinity."""
    gap = where((x == y) & (size_of(x) == math.inf), 0.0, x - y) * LN2
    return g * sigmoid(gap), g * sigmoid(-gap)


logaddexp2 = elementwise(
    "logaddexp2", 2, "log2(2**x + 2**y), never overflowing.", ref=np.logaddexp2, vjp=_logaddexp2_vjp, commutative=True, costly=True,
    emit=lambda s, x, y: s.math("logaddexp2", x, y),
)  # fmt: skip


# -- the truncated remainder --------------------------------------------------------------------------------------------
def _emit_fmod(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    if x.dtype.kind == "f":
        return s.math("fmod", x, y)  # type: ignore[no-any-return]
    r = x % y
    return r if x.dtype.kind == "u" else s.select(r.ne(0) & ((x < 0) ^ (y < 0)), r - y, r)


def _fmod_ref(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind != "i":
        return np.fmod(x, y)
    safe = np.where(y == 0, 1, y).astype(x.dtype)
    return np.where((y == 0) | (y == -1), 0, np.fmod(x, safe)).astype(x.dtype)  # by -1 the smallest integer traps on some machines


fmod = elementwise(
    "fmod", 2, "x - y * trunc(x / y), exact, with the sign of x; by 0 it is 0 for integers, nan for floats. See `mod` for the sign of y.",
    ref=_fmod_ref, vjp=lambda g, out, x, y: (g, -(g * nearest((x - out) / y))), emit=_emit_fmod, dtype="number", costly=True,
    instruction=True, domain=((-4.0, 4.0), (0.5, 4.0)),
)  # fmt: skip


# -- signs and neighbours -----------------------------------------------------------------------------------------------
copysign: Callable[..., Node] = elementwise(
    "copysign", 2, "|x| with the sign of y, -0.0 and nan counting; the derivative by x is 0 at 0, that by y everywhere.", ref=np.copysign,
    vjp=lambda g, out, x, y: (g * (sign(x) * copysign(1.0, y)), zeros_as(y)), emit=lambda s, x, y: s.copysign(x, y),
)  # fmt: skip


def _emit_nextafter(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    """Of their bits: away from 0 is up. From 0 it is the smallest number with the sign of y."""
    whole = int64 if x.dtype == float64 else int32
    least = float(np.finfo(x.dtype).smallest_subnormal)
    step = s.select((y > x) ^ (x < 0.0), s.const(1, whole), -1)
    moved = s.select(x.eq(0.0), s.copysign(x.like(least), y), (x.bitcast(whole) + step).bitcast(x.dtype))
    return s.select(x.ne(x) | y.ne(y), x + y, s.select(x.eq(y), y, moved))  # type: ignore[no-any-return]


nextafter = elementwise(
    "nextafter", 2, "The float next to x on the way to y; y where they are equal. The derivative by x is 1, that by y is 0.",
    ref=np.nextafter, vjp=lambda g, out, x, y: (g, zeros_as(y)), emit=_emit_nextafter,
)  # fmt: skip


# -- integers -----------------------------------------------------------------------------------------------------------
def _unsigned(s: ModuleType, x: Scalar) -> Scalar:
    """|x| in the unsigned dtype of the same width, which holds that of the smallest integer too."""
    return (x if x.dtype.kind == "u" else s.unary("abs", x)).bitcast(np.dtype(f"u{x.dtype.itemsize}"))


def _emit_gcd(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    """Stein's way, in multiples of the common power of two: a odd, b halved, or after a subtraction halved, until nothing is left of b.

    Each step takes a bit from a or b at least, of which the two have twice the width.
    """
    a: Scalar = _unsigned(s, x)
    b: Scalar = _unsigned(s, y)
    both = a | b
    unit = both & (~both + 1)  # the lowest bit that is set
    even = (a & unit).eq(0)
    a, b = s.select(even, b, a), s.select(even, a, b)
    for _ in range(2 * 8 * a.dtype.itemsize - 1):
        odd, less = (b & unit).ne(0), b < a
        gap = s.select(less, a - b, b - a)
        a, b = s.select(odd & less, b, a), s.shift_right(s.select(odd, gap, b), 1, arithmetic=False)
    return a.bitcast(x.dtype)


gcd = elementwise(
    "gcd", 2, "The greatest common divisor of |x| and |y|; of 0 and y it is |y|.", ref=np.gcd, vjp=None, emit=_emit_gcd, dtype="same",
    kinds="iu", commutative=True, costly=True, instruction=True, domain=((-40, 40), (-40, 40)),
)  # fmt: skip


def _emit_count(s: ModuleType, x: Scalar) -> Scalar:
    """Sums of neighbouring bits, pairs of bits, halves of bytes, and of the bytes by a product."""
    if x.dtype == bool_:
        return x.cast(uint8)
    v, width = _unsigned(s, x), 8 * x.dtype.itemsize
    pairs, halves, digits, ones = [int.from_bytes(bytes([byte]) * (width // 8), "little") for byte in (0x55, 0x33, 0x0F, 0x01)]
    v = v - (s.shift_right(v, 1, arithmetic=False) & pairs)
    v = (v & halves) + (s.shift_right(v, 2, arithmetic=False) & halves)
    v = (v + s.shift_right(v, 4, arithmetic=False)) & digits
    total: Scalar = s.shift_right(v * ones, width - 8, arithmetic=False) if width > 8 else v
    return total.cast(uint8)


bitwise_count = elementwise(
    "bitwise_count", 1, "The number of bits set in |x|, as uint8.", ref=np.bitwise_count, vjp=None, emit=_emit_count, dtype="count",
    kinds="iub",
)  # fmt: skip

__all__ = [
    "bitwise_count", "cbrt", "copysign", "fmod", "gcd", "hypot", "logaddexp2", "nextafter",
]  # fmt: skip
