"""exp and what is made of it.

x = n log(2) + r with an integer n and |r| <= log(2)/2, so exp(x) = 2**n exp(r) and exp(r) = 1 + r + r^2 P(r).
"""

from __future__ import annotations

from graphc.codegen.mathlib.coefficients import EXP_F32, EXP_F64, EXP_SHORT
from graphc.codegen.mathlib.kit import clamp, fast_two_sum, nearest, negative_size, poly, power_of_two, scale
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, maximum, select
from graphc.target import Target

LOG2 = {  # high + low; the high part has few enough bits that n * high is exact
    float32: (0.693145751953125, 1.4286068203094173e-06),
    float64: (0.693147180559663, 2.8235290563031577e-13),
}
PER_LOG2 = 1.4426950408889634  # 1 / log(2)


def _coefficients(x: Scalar) -> tuple[float, ...]:
    return EXP_F32 if x.dtype == float32 else EXP_F64


def reduce(x: Scalar) -> tuple[Scalar, Scalar]:
    """(r, n)"""
    n, whole = nearest(x, PER_LOG2)
    high, low = LOG2[x.dtype]
    return fma(whole, -low, fma(whole, -high, x)), n


def _above_one(r: Scalar, coefficients: tuple[float, ...] | None = None) -> Scalar:
    """exp(r) - 1 = r + r^2 P(r)"""
    return fma(r * r, poly(r, coefficients or _coefficients(r)), r)


def exp(x: Scalar, target: Target) -> Scalar:
    r, n = reduce(_in_range(x))
    return scale(_above_one(r) + 1.0, n, target)


def _in_range(x: Scalar) -> Scalar:
    """Bounds beyond which exp is 0 or inf, and within which n is small enough for `scale`."""
    return clamp(x, -104.0, 89.0) if x.dtype == float32 else clamp(x, -746.0, 710.0)


def _reduced_negative(x: Scalar) -> tuple[Scalar, Scalar]:
    """`reduce` for x <= 0, bounded where exp(x) is 0"""
    return reduce(clamp(x, -104.0 if x.dtype == float32 else -746.0))


def exp_of_negative(x: Scalar, target: Target) -> Scalar:
    """exp(x) for x <= 0"""
    r, n = _reduced_negative(x)
    return scale(_above_one(r) + 1.0, n, target)


def exp_short(x: Scalar) -> Scalar:
    """exp(x) for f64 and |x| < 700, to 2**-34: enough for an f32 result."""
    r, n = reduce(x)
    return (_above_one(r, EXP_SHORT) + 1.0) * power_of_two(n)


def exp2(x: Scalar, target: Target) -> Scalar:
    """2**x: r = (x - n) log(2)"""
    x = clamp(x, -151.0, 129.0) if x.dtype == float32 else clamp(x, -1076.0, 1025.0)
    n, whole = nearest(x, 1.0)
    return scale(_above_one((x - whole) * 0.6931471805599453) + 1.0, n, target)


def expm1(x: Scalar, target: Target) -> Scalar:
    return _tiny_itself(x, _quarter_expm1(x) * 4.0)


def _tiny_itself(x: Scalar, y: Scalar) -> Scalar:
    """x where it is so small that f(x) rounds to it; keeps -0.0 and subnormals."""
    return select(abs(x) < (2.0**-30 if x.dtype == float32 else 2.0**-60), x, y)


def _quarter_expm1(x: Scalar) -> Scalar:
    """(exp(x) - 1) / 4: 2**(n-2) stays finite where sinh still is."""
    r, n = reduce(clamp(x, -25.0, 89.6) if x.dtype == float32 else clamp(x, -50.0, 710.6))
    power = power_of_two(n - 2)
    return fma(power, _above_one(r), power - 0.25)


def sinh(x: Scalar, target: Target) -> Scalar:
    """h + h / (2h + 1) with h = expm1(|x|) / 2; h may be inf, the divisor not"""
    h = _quarter_expm1(abs(x)) * 2.0
    return _tiny_itself(x, copysign(h + h / fma(clamp(h, high=2.0**100), 2.0, 1.0), x))


def cosh(x: Scalar, target: Target) -> Scalar:
    """h + 1 / 4h with h = exp(|x|) / 2"""
    r, n = reduce(clamp(abs(x), high=89.6 if x.dtype == float32 else 710.6))
    h = scale(_above_one(r) + 1.0, n - 1, target)
    return h + 0.25 / h


def tanh(x: Scalar, target: Target) -> Scalar:
    """t = (1 - e) / (1 + e) with e = exp(-2|x|), taken apart as in the derivative 4 e / (1 + e)**2, which so shares it

    1 - e is taken from exp(r) - 1 and keeps its digits where x is small. t is corrected by what 1 + e lost in rounding, and in f64 1 - e,
    over 1 + e: 1 / (1 + e) = (1 + t) / 2.
    """
    r, n = _reduced_negative(negative_size(2.0 * x))
    above = _above_one(r)
    power = power_of_two(maximum(n, -64))  # beyond, 1 - e and 1 + e are 1
    below, lost = fast_two_sum(x.like(1.0), fma(power, above, power))
    if x.dtype == float32:
        t = fma(-power, above, 1.0 - power) / below
        lost = t * -lost
    else:
        top, rest = fast_two_sum(1.0 - power, -(power * above))
        t = top / below
        lost = fma(t, -lost, rest)
    return copysign(fma(lost, fma(t, 0.5, 0.5), t), x)


def sigmoid(x: Scalar, target: Target) -> Scalar:
    """1 / (1 + exp(-x)); for x < 0 as exp(x) / (1 + exp(x)), which keeps small results"""
    e = exp_of_negative(negative_size(x), target)
    top = select(x < 0.0, e, 1.0)
    return top / (1.0 + e)


def sigmoid_slope(x: Scalar, target: Target) -> Scalar:
    """e / (1 + e)**2 with e = exp(-|x|), which the sigmoid beside it needs too"""
    e = exp_of_negative(negative_size(x), target)
    below = 1.0 + e
    return e / (below * below)
