"""log and what is made of it.

x = 2**e (1 + f) with 1 + f between 2/3 and 4/3 (f32) or sqrt(1/2) and sqrt(2) (f64), so log(x) = e log(2) + log(1 + f).
Functions of f32 that are not hot are computed in f64 and rounded: simpler, and half an ulp.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import LOG_F32, LOG_F64, LOG_SHORT
from graphc.codegen.mathlib.exponential import LOG2, exp2, exp_of_negative
from graphc.codegen.mathlib.kit import bits, fast_two_sum, format_of, negative_size, poly, two_sum
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, select, shift_right, sqrt
from graphc.target import Target

INF, NAN = math.inf, math.nan
LN2 = 0.6931471805599453
_LOWEST = {float32: 0x3F2AAAAB, float64: 0x3FE6A09E667F3BCD}  # the bits of the smallest 1 + f: 2/3, sqrt(1/2)
_LOWEST_SHORT = 0x3FE5555555555555  # 2/3 in f64


def split(x: Scalar) -> tuple[Scalar, Scalar]:
    """(1 + f, e as a float) for x > 0, subnormal numbers too."""
    f = format_of(x)
    small = x < f.tiny
    whole, e = split_normal(select(small, x * 2.0**f.bits, x))
    return whole, select(small, e - float(f.bits), e)


def split_normal(x: Scalar, lowest: int | None = None) -> tuple[Scalar, Scalar]:
    """(1 + f, e as a float) for a normal x > 0."""
    f = format_of(x)
    e = shift_right(bits(x) - (lowest or _LOWEST[x.dtype]), f.bits)
    return (bits(x) - (e << f.bits)).bitcast(x.dtype), e.cast(x.dtype)


def from_parts(f: Scalar, e: Scalar) -> Scalar:
    """log(1 + f) + e log(2)"""
    high, low = LOG2[f.dtype]
    if f.dtype == float32:
        return fma(e, high, fma(e, low, _series(f)) + f)
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    tail = fma(s, fma(z, poly(z, LOG_F64), half_square), e * low)
    return fma(e, high, f - (half_square - tail))


def log_short(x: Scalar, per: float = 1.0, two: float = LN2) -> Scalar:
    """per log(x) for f32 x > 0, in f64 (where no f32 is subnormal), to 2**-33; `two` is per log(2)"""
    whole, e = split_normal(x.cast(float64), _LOWEST_SHORT)
    f = whole - 1.0
    return fma(e, two, _series_short(f) * per if per != 1.0 else _series_short(f))


def _series_short(f: Scalar) -> Scalar:
    """log(1 + f) in f64, to 2**-33 and without a division"""
    return fma(f * f, poly(f, LOG_SHORT), f)


def _series(f: Scalar) -> Scalar:
    """log(1 + f) - f for f32"""
    square = f * f
    return fma(square * f, poly(f, LOG_F32), square * -0.5)


def guard(x: Scalar, y: Scalar) -> Scalar:
    """y, a logarithm of positive finite numbers, completed: log(0) = -inf, nan below, inf and nan themselves."""
    y = select(x < INF, y, x)
    return select(x.eq(0.0), -INF, select(x < 0.0, NAN, y))


def log(x: Scalar, target: Target) -> Scalar:
    whole, e = split(x)
    return guard(x, from_parts(whole - 1.0, e))


def log1p(x: Scalar, target: Target) -> Scalar:
    y = select(x < INF, log1p_of_finite(x), x)
    y = select(x.eq(0.0), x, y)
    return select(x.eq(-1.0), -INF, select(x < -1.0, NAN, y))


def log1p_of_finite(x: Scalar, short: bool = False) -> Scalar:
    """log(1 + x) for finite x > -1: f = x 2**-e + (2**-e - 1) is rounded once. 2**(2-e) is never subnormal. `short`: see `log_short`."""
    layout = format_of(x)
    k = shift_right(bits(x + 1.0) - (_LOWEST_SHORT if short else _LOWEST[x.dtype]), layout.bits)
    power = ((k.like(layout.bias + 2) - k) << layout.bits).bitcast(x.dtype)
    e, scaled, less = k.cast(x.dtype), x * power * 0.25, fma(power, 0.25, -1.0)
    if short:
        return fma(e, LN2, _series_short(scaled + less))
    if x.dtype == float64:
        return from_parts(scaled + less, e)
    f, rest = two_sum(less, scaled)  # without the rest of f the error reaches 1.52 ulp
    high, low = LOG2[x.dtype]
    return fma(e, high, (fma(e, low, rest) + _series(f)) + f)


def log1p_of_fraction(x: Scalar) -> Scalar:
    """log(1 + x) for 0 <= x <= 1."""
    far = x > (1 / 3 if x.dtype == float32 else 0.41421356)
    f = select(far, fma(x, 0.5, -0.5), x)
    return from_parts(f, select(far, x.like(1.0), 0.0))


def _log_to_base(x: Scalar, per: tuple[float, float], two: tuple[float, float]) -> Scalar:
    """e log_b(2) + log(1 + f) / log(b), `two` = log_b(2), `per` = 1 / log(b), each as a short high part and the rest."""
    whole, e = split(x)
    f = whole - 1.0
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    tail = s * fma(z, poly(z, LOG_F64), half_square)
    rough = f - half_square
    high = (bits(rough) & -(1 << 32)).bitcast(x.dtype)  # high * per[0] is exact
    low = ((f - high) - half_square) + tail
    total, rest = fast_two_sum(e * two[0], high * per[0])
    small = fma(e, two[1], fma(low + high, per[1], low * per[0]))
    return guard(x, total + (rest + small))


def log2(x: Scalar, target: Target) -> Scalar:
    if x.dtype == float32:
        return guard(x, log_short(x, 1.4426950408889634, 1.0).cast(float32))
    return _log_to_base(x, (1.4426950216293335, 1.9259629911266175e-08), (1.0, 0.0))


def log10(x: Scalar, target: Target) -> Scalar:
    if x.dtype == float32:
        return guard(x, log_short(x, 0.4342944819032518, 0.3010299956639812).cast(float32))
    return _log_to_base(x, (0.4342944771051407, 4.798111141615973e-09), (0.30102999566383914, 1.42050232272661e-13))


def softplus(x: Scalar, target: Target) -> Scalar:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))"""
    return select(x < 0.0, 0.0, x) + _log1p_exp(negative_size(x), target)


def log_sigmoid(x: Scalar, target: Target) -> Scalar:
    """-log(1 + exp(-x)) = -(max(-x, 0) + log1p(exp(-|x|)))"""
    return -(select(x > 0.0, 0.0, -x) + _log1p_exp(negative_size(x), target))


def _log1p_exp(x: Scalar, target: Target) -> Scalar:
    """log(1 + exp(x)) for x <= 0"""
    return log1p_of_fraction(exp_of_negative(x, target))


def logaddexp(a: Scalar, b: Scalar, target: Target) -> Scalar:
    """log(exp(a) + exp(b)) = max + log1p(exp(-|a - b|))"""
    difference = select(a.eq(b) & abs(a).eq(INF), 0.0, a - b)  # inf - inf; as in the derivative, which shares the exponential
    top = select(a > b, a, b)
    return select(difference.eq(difference), top, difference) + _log1p_exp(negative_size(difference), target)


def logaddexp2(a: Scalar, b: Scalar, target: Target) -> Scalar:
    """log2(2**a + 2**b) = max + log1p(2**-|a - b|) / log(2); no FMA, for then it is 0 for a = b = -1"""
    if a.dtype == float32:
        return logaddexp2(a.cast(float64), b.cast(float64), target).cast(float32)
    difference = select(a.eq(b) & abs(a).eq(INF), 0.0, a - b)
    top = select(a > b, a, b)
    return select(difference.eq(difference), top, difference) + log1p_of_fraction(exp2(negative_size(difference), target)) * (1 / LN2)


def asinh(x: Scalar, target: Target) -> Scalar:
    """log1p(a + a^2 / (1 + sqrt(1 + a^2))), a = |x|; log(a) + log(2) where a^2 would overflow"""
    a = abs(x.cast(float64))
    far = a > 2.0**54
    near = select(far, 1.0, a)
    square = near * near
    inner = near + square / (1.0 + sqrt(square + 1.0))
    return copysign(_log1p_or_log(a, inner, far, x.dtype == float32), x.cast(float64)).cast(x.dtype)


def acosh(x: Scalar, target: Target) -> Scalar:
    """log1p(t + sqrt(2t + t^2)), t = x - 1; log(x) + log(2) where t^2 would overflow"""
    wide = x.cast(float64)
    far = wide > 2.0**54
    t = select(far, 1.0, wide) - 1.0
    inner = t + sqrt(fma(t, t, t + t))
    return select(wide < 1.0, NAN, _log1p_or_log(wide, inner, far, x.dtype == float32)).cast(x.dtype)


def _log1p_or_log(a: Scalar, inner: Scalar, far: Scalar, short: bool) -> Scalar:
    """log1p(inner), or log(2a) where far"""
    y = log1p_of_finite(select(far, a, inner), short) + select(far, a.like(LN2), 0.0)
    return select(a < INF, y, a)


def atanh(x: Scalar, target: Target) -> Scalar:
    """log1p(2a / (1 - a)) / 2, a = |x|"""
    a = abs(x.cast(float64))
    inner = (a + a) / (1.0 - a)
    y = select(a < 1.0, log1p_of_finite(inner, x.dtype == float32) * 0.5, select(a.eq(1.0), a.like(INF), NAN))
    return copysign(y, x.cast(float64)).cast(x.dtype)
