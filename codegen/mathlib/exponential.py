"""exp and what is made of it.

x = n log(2) + r with an integer n and |r| <= log(2)/2, so exp(x) = 2**n exp(r) and exp(r) = 1 + r + r^2 P(r).
"""

from __future__ import annotations

from graphc.codegen.mathlib.coefficients import EXP_F32, EXP_F64, EXP_SHORT
from graphc.codegen.mathlib.kit import clamp, nearest, negative_size, poly, power_of_two, scale, twice, two_product
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, maximum, select
from graphc.target import Target

LOG2 = {  # high + low; the high part has few enough bits that n * high is exact
    float32: (0.693145751953125, 1.4286068203094173e-06),
    float64: (0.693147180559663, 2.8235290563031577e-13),
}
LEAST = {float32: -106.0, float64: -748.0}  # 4 exp(x) is 0 from here down
PER_LOG2 = 1.4426950408889634  # 1 / log(2)


def _coefficients(x: Scalar) -> tuple[float, ...]:
    return EXP_F32 if x.dtype == float32 else EXP_F64


def reduce(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(r, n, n as a float)"""
    n, whole = nearest(x.args[0], -PER_LOG2) if x.op == "neg" else nearest(x, PER_LOG2)
    high, low = LOG2[x.dtype]
    return fma(whole, -low, fma(whole, -high, x)), n, whole


def above_one(r: Scalar, coefficients: tuple[float, ...] | None = None) -> Scalar:
    """exp(r) - 1 = r + r^2 P(r)"""
    return fma(r * r, poly(r, coefficients or _coefficients(r)), r)


def square_part(r: Scalar) -> Scalar:
    """exp(r) - 1 - r"""
    return r * r * poly(r, _coefficients(r))


def exp(x: Scalar, target: Target) -> Scalar:
    """e**x"""
    r, n, whole = reduce(_in_range(x))
    return scale(above_one(r) + 1.0, n, target, whole)


def _in_range(x: Scalar) -> Scalar:
    """Bounds beyond which exp is 0 or inf, and within which n is small enough for `scale`."""
    return clamp(x, LEAST[x.dtype], 89.0 if x.dtype == float32 else 710.0)


def _reduced_negative(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """`reduce` for x <= 0, bounded where exp(x) is 0"""
    return reduce(clamp(x, LEAST[x.dtype]))


def exp_of_negative(x: Scalar, target: Target) -> Scalar:
    """exp(x) for x <= 0"""
    r, n, whole = _reduced_negative(x)
    return scale(above_one(r) + 1.0, n, target, whole)


def exp_scaled(y: Scalar, x: Scalar, target: Target) -> Scalar:
    """y exp(x), rounded once more than exp, for |x| up to 1.6 times where exp leaves the range, within which y exp(x) may stay.

    Beyond, the power of two would be more than the square of one that there is.
    """
    r, n, whole = reduce(clamp(x, 1.6 * LEAST[x.dtype], -1.6 * LEAST[x.dtype]))
    return scale(y * (above_one(r) + 1.0), n, target, whole)


def exp_of_square(a: Scalar, factor: float, target: Target) -> tuple[Scalar, Scalar, Scalar]:
    """(g, n, n as a float) with exp(factor a^2) = 2**n (1 + g), factor = -1 or -1/2, with what a^2 loses in rounding.

    The square is reduced as it is, by multiples of log(2) / factor: its product with the factor would be an operation more.
    """
    high, low = two_product(a, a, target)
    n, whole = nearest(high, factor * PER_LOG2)
    most, rest = LOG2[a.dtype]
    r = fma(whole, -rest / factor, fma(whole, -most / factor, high)) + low
    scaled = [c * factor ** (k + 2) for k, c in enumerate(_coefficients(a))]
    return fma(poly(r, scaled), r, factor) * r, n, whole


def exp_short(x: Scalar) -> Scalar:
    """exp(x) for f64 and |x| < 700, to 2**-34: enough for an f32 result."""
    r, n, _ = reduce(x)
    return (above_one(r, EXP_SHORT) + 1.0) * power_of_two(n)


def exp2(x: Scalar, target: Target) -> Scalar:
    """2**x: r = (x - n) log(2)"""
    x = clamp(x, -151.0, 129.0) if x.dtype == float32 else clamp(x, -1076.0, 1025.0)
    n, whole = nearest(x, 1.0)
    return scale(above_one((x - whole) * 0.6931471805599453) + 1.0, n, target, whole)


def expm1(x: Scalar, target: Target) -> Scalar:
    """e**x - 1, accurate near 0"""
    r, n, _ = reduce(_in_range(x))
    return _tiny_itself(x, _quarter_expm1(r, n) * 4.0)


def _tiny_itself(x: Scalar, y: Scalar) -> Scalar:
    """x where it is so small that f(x) rounds to it; keeps -0.0 and subnormals."""
    return select(abs(x) < (2.0**-30 if x.dtype == float32 else 2.0**-60), x, y)


def _quarter_expm1(r: Scalar, n: Scalar) -> Scalar:
    """(exp(x) - 1) / 4 of a reduced x: 2**(n-2) stays finite where sinh still is; from n = -64 down exp(x) is nothing beside 1."""
    power = power_of_two(maximum(n, -64) - 2)
    return fma(power, above_one(r), power - 0.25)


def _reduced_size(x: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """`reduce` of |x|, bounded where exp(|x|) / 2 is inf"""
    return reduce(clamp(abs(x), high=89.6 if x.dtype == float32 else 710.6))


def sinh(x: Scalar, target: Target) -> Scalar:
    """h + h / (2h + 1) with h = expm1(|x|) / 2; h may be inf, the divisor not"""
    r, n, _ = _reduced_size(x)
    h = _quarter_expm1(r, n) * 2.0
    return _tiny_itself(x, copysign(h + h / fma(clamp(h, high=2.0**100), 2.0, 1.0), x))


def cosh(x: Scalar, target: Target) -> Scalar:
    """h + 1 / 4h with h = exp(|x|) / 2"""
    r, n, whole = _reduced_size(x)
    h = scale(above_one(r) + 1.0, n - 1, target, whole - 1.0)
    return h + 0.25 / h


# -- sigmoids: functions of e = exp(-|x|), or of exp(-2|x|), and of one quotient of it, which value and slope of an argument share --
def _tanh_parts(x: Scalar) -> tuple[Scalar, Scalar]:
    """(m, m / (2 + m) = -tanh|x| but for roundings) with m = exp(-2|x|) - 1"""
    r, n, _ = _reduced_negative(negative_size(twice(x)))
    power = power_of_two(maximum(n, -64))  # beyond, m is -1
    m = fma(power, above_one(r), power - 1.0)
    return m, m / (m + 2.0)


def tanh(x: Scalar, target: Target) -> Scalar:
    """-t for t = m / (2 + m), and what is missing to m = t (2 + m), where m - 2t is exact, times 1 / (2 + m) = (1 - t) / 2"""
    m, t = _tanh_parts(x)
    return copysign(fma(fma(-t, m, fma(t, -2.0, m)), fma(t, -0.5, 0.5), t), x)


def tanh_slope(x: Scalar, target: Target) -> Scalar:
    """4 e / (1 + e)**2 = e (1 - t)**2 with e = exp(-2|x|) and t as above"""
    e, (_, t) = exp_of_negative(negative_size(twice(x)), target), _tanh_parts(x)
    q = fma(e, -t, e)
    return fma(q, -t, q)


def _smaller_sigmoid(x: Scalar, target: Target) -> Scalar:
    """sigmoid(-|x|) = e / (1 + e)"""
    e = exp_of_negative(negative_size(x), target)
    return e / (1.0 + e)


def sigmoid(x: Scalar, target: Target) -> Scalar:
    """p = sigmoid(-|x|), which keeps small results, or 1 - p"""
    p = _smaller_sigmoid(x, target)
    return select(x < 0.0, p, 1.0 - p)


def sigmoid_slope(x: Scalar, target: Target) -> Scalar:
    """p (1 - p)"""
    p = _smaller_sigmoid(x, target)
    return fma(p, -p, p)
