"""atan, atan2, asin, acos."""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import ASIN_F32, ASIN_F64, ATAN_F32, ATAN_F64
from graphc.codegen.mathlib.kit import poly, sign_of
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, select, sqrt
from graphc.target import Target

TAN_EIGHTH = math.sqrt(2.0) - 1.0  # tan(pi/8)
# multiples of pi as a number of the type and what it lacks
PIO2 = {float32: (1.5707963705062866, -4.371138828673793e-08), float64: (1.5707963267948966, 6.123233995736766e-17)}


def _from_multiple(x: Scalar, multiple: float, y: Scalar) -> Scalar:
    """multiple * pi/2 - y"""
    high, low = PIO2[x.dtype]
    return high * multiple - (y - low * multiple)


def atan(x: Scalar, target: Target) -> Scalar:
    """of the smaller of |x| and 1/|x|"""
    size = abs(x)
    steep = size > 1.0
    r = _atan_of_ratio(select(steep, 1.0, size), select(steep, size, 1.0), safe=True)
    return copysign(select(steep, _from_multiple(x, 1.0, r), r), x)


def _atan_of_ratio(a: Scalar, b: Scalar, safe: bool) -> Scalar:
    """atan(a / b) for 0 <= a <= b; `safe`: a + b is finite where a > b / 4"""
    if a.dtype == float32:
        t = a / b
        z = t * t
        return fma(t * z, poly(z, ATAN_F32), t)
    high, low = PIO2[float64]
    far = a > b * TAN_EIGHTH  # atan(t) = pi/4 + atan((t - 1) / (t + 1))
    half = a.like(1.0) if safe else select(b > 1.0, b.like(0.5), 1.0)
    t = select(far, a * half - b * half, a) / select(far, a * half + b * half, b)
    z = t * t
    tail = fma(t * z, poly(z, ATAN_F64), select(far, a.like(low * 0.5), 0.0))
    return select(far, a.like(high * 0.5), 0.0) + (t + tail)


def atan2(y: Scalar, x: Scalar, target: Target) -> Scalar:
    """The angle of (x, y), in -pi to pi"""
    a, b = abs(y), abs(x)
    steep = a > b
    smaller, larger = select(steep, b, a), select(steep, a, b)
    equal = smaller.eq(larger)  # among them inf / inf and 0 / 0
    zero = larger.eq(0.0)
    r = _atan_of_ratio(select(equal, select(zero, smaller, 1.0), smaller), select(equal, smaller.like(1.0), larger), safe=False)
    r = select(steep, _from_multiple(x, 1.0, r), r)
    r = copysign(select(sign_of(x), _from_multiple(x, 2.0, r), r), y)
    unordered = x.ne(x) | y.ne(y)
    return select(unordered, x + y, r)


def _asin_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """(near, p): p = asin(|x|) if near (|x| <= 1/2), else asin(sqrt((1 - |x|) / 2)); nan for |x| > 1"""
    size = abs(x)
    near = size <= 0.5
    z = select(near, size * size, (1.0 - size) * 0.5)
    t = select(near, size, sqrt(z))
    return near, fma(t * z, poly(z, ASIN_F32 if x.dtype == float32 else ASIN_F64), t)


def asin(x: Scalar, target: Target) -> Scalar:
    """asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)) above 1/2"""
    near, p = _asin_parts(x)
    return copysign(select(near, p, _from_multiple(x, 1.0, p + p)), x)


def acos(x: Scalar, target: Target) -> Scalar:
    """pi/2 - asin(x) near 0; 2 asin(sqrt((1 - x) / 2)) above 1/2; pi less that of -x below -1/2"""
    near, p = _asin_parts(x)
    twice = p + p
    far = select(x < 0.0, _from_multiple(x, 2.0, twice), twice)
    return select(near, _from_multiple(x, 1.0, copysign(p, x)), far)
