"""cbrt and hypot, to little more than half an ulp: a last step corrects each by its own residual, so that exact results are exact."""

from __future__ import annotations

import math

from graphc.codegen.mathlib.kit import bits, format_of, multiply_pairs, nearest, poly, power_of_two, two_product
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, maximum, minimum, select, shift_right, sqrt
from graphc.target import Target

INF = math.inf
# t**(-1/3) for 1/2 <= t <= 4 with a relative error below 0.017, which two steps of order four make less than 2**-60
INVERSE_CBRT = (1.5586, -0.749, 0.2313, -0.0257)


def cbrt(x: Scalar, target: Target) -> Scalar:
    """2**q t**(1/3) for |x| = 2**(3q) t with 1/2 <= t <= 4; the sign is that of x."""
    wide = abs(x.cast(float64))
    small = wide < 2.0**-1022
    layout = format_of(wide)
    pattern = bits(select(small, wide * 2.0**54, wide))
    exponent = shift_right(pattern, layout.bits) - layout.bias
    q, _ = nearest(exponent.cast(float64), 1 / 3)
    t = (pattern - ((q * 3) << layout.bits)).bitcast(float64)
    y = poly(t, INVERSE_CBRT)
    for _ in range(2):  # 1 - t y**3 = e: y (1 - e)**(-1/3) to order three
        e = fma(-t * y, y * y, 1.0)
        y = fma(y * e, poly(e, (1 / 3, 2 / 9, 14 / 81)), y)
    root = t * (y * y)
    if x.dtype == float64:
        cube = multiply_pairs(two_product(root, root, target), (root, root.like(0.0)), target)
        root = fma((t - cube[0]) - cube[1], y * y * (1 / 3), root)
    root = root * power_of_two(q)
    root = select(small, root * 2.0**-18, root)
    return copysign(select((wide < INF) & wide.ne(0.0), root, wide).cast(x.dtype), x)


def hypot(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """sqrt(x**2 + y**2) without overflow on the way; inf where x or y is, even beside nan."""
    size = _hypot_short(x, y).cast(x.dtype) if x.dtype == float32 else _hypot_wide(x, y, target)
    return select(abs(x).eq(INF) | abs(y).eq(INF), INF, size)


def _hypot_short(x: Scalar, y: Scalar) -> Scalar:
    a, b = x.cast(float64), y.cast(float64)
    return sqrt(a * a + b * b)


def _hypot_wide(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """By the larger operand brought near 1, and one step of Newton's on the residual."""
    top, low = maximum(abs(x), abs(y)), minimum(abs(x), abs(y))
    large, small = top > 2.0**500, top < 2.0**-500
    unit = select(large, top.like(2.0**-600), select(small, top.like(2.0**600), 1.0))
    a, b = top * unit, low * unit
    h = sqrt(a * a + b * b)
    (a2, a_low), (b2, b_low), (h2, h_low) = [two_product(v, v, target) for v in (a, b, h)]
    rest = ((a2 - h2) + b2) + ((a_low - h_low) + b_low)
    corrected = select(h > 0.0, h + rest / (h + h), h)
    return corrected * select(large, top.like(2.0**600), select(small, top.like(2.0**-600), 1.0))
