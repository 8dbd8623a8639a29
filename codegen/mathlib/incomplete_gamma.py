"""The incomplete gamma functions and their derivatives.

With x**a e**-x before it, each is an integral of a smooth positive function that falls off from its first point on: of t = x e**(s v),
s = 1 for the upper and -1 for the lower one,

    upper = x**a e**-x M(1),   lower = x**a e**-x M(-1),   M(s) = integral of e**-(x (e**(s v) - 1 - s v) + s (x - a) v) over v from 0 on

by Gauss's rule on 0..V, where the exponent is -REACH: as good for a = 1e10 as for a = 1, and the derivative by a is the same with s v
beside. Below the median the lower one is computed, elsewhere the upper; the other is 1 less that. Where a < LEAST the lower integral has
a long tail, so it is taken of a + SHIFT, after the first terms of the series 1/a + x/(a (a+1)) + .. . Near x = 0 the upper is 1 less the
lower, by expm1.

x**a e**-x / gamma(a + 1) = e**-(x - a - a log(x/a)) / sqrt(2 pi a) but for Stirling's remainder, the exponent in pairs. f32 is computed
in f64.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.exponential import expm1
from graphc.codegen.mathlib.gamma import digamma
from graphc.codegen.mathlib.incomplete import (
    NODES,
    REACH,
    STIRLING,
    digamma_less_log,
    exp_near,
    exp_of_minus,
    expm1_less,
    log_ratio,
    over_gamma,
    over_gamma_parts,
    power_exponent,
)
from graphc.codegen.mathlib.kit import Pair, clamp, detour, outlined, scale, summed, two_sum
from graphc.codegen.mathlib.logarithm import log, log1p_of_finite
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import gammaln as logarithms
from graphc.dtypes import float32, float64
from graphc.records import dataclass
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

INF, NAN = math.inf, math.nan
LEAST, SHIFT = 12.0, 12  # from where on the lower integral is short
SMALL = 0.3  # below, the upper integral is long
MEDIAN = 1 / 3  # the median is about a - 1/3
SERIES = 13  # terms at SMALL


def _power_exponent(x: Scalar, a: Scalar, target: Target, less: float = 0.0) -> tuple[Pair, Scalar]:
    """(e, c) with x**a e**-x = e**-e, see `power_exponent`; c = log(x) - digamma(a + 1)"""
    far = a >= STIRLING
    e, logarithm = power_exponent((x, x.like(0.0)), a, two_sum(x, -a), target, less)
    return e, logarithm - select(far, (1.0 + digamma_less_log(a)) / a, digamma(select(far, 1.0, a) + 1.0, target))


def _end(x: Scalar, b: Scalar, upper: Scalar, linear: Scalar, reach: float) -> Scalar:
    """V: where x (e**(s v) - 1 - s v) + linear v is about `reach`, from above by Newton's method on a convex function"""
    t = reach / x
    size = t + sqrt(t * 2.0)
    v = select(upper, log1p_of_finite(clamp(size, high=1e9)), size)
    ahead = linear > 0.0
    line = reach / select(ahead, linear, 1.0)
    v = select(ahead & (line < v), line, v)
    for _ in range(2):
        less, whole = expm1_less(select(upper, v, -v))
        value = fma(x, less, linear * v)
        slope = fma(x, select(upper, whole, -whole), linear)
        v = v - (value - reach) / slope
    return v


def _integral(x: Scalar, b: Scalar, upper: Scalar, alpha: Scalar, beta: Scalar, short: bool) -> Scalar:
    """The integral of (alpha + beta v) e**-(..) of x and b"""
    sign = select(upper, x.like(1.0), -1.0)
    linear = select(upper, x - b, b - x)
    v = _end(x, b, upper, linear, REACH[short])

    def term(x: Scalar, sign: Scalar, linear: Scalar, v: Scalar, alpha: Scalar, beta: Scalar, point: Scalar, weight: Scalar) -> Scalar:
        u = v * point
        less, _ = expm1_less(sign * u)
        return weight * fma(beta, u, alpha) * exp_near(-fma(x, less, linear * u))

    return summed(NODES[short], term, x, sign, linear, v, alpha, beta) * v


@dataclass(frozen=True)
class _Terms:
    """a M(-1; a) = value + factor M(-1; b), where b = a + SHIFT if a < LEAST, else a; `slope`, `factor_slope`: their derivatives by a."""

    value: Scalar
    factor: Scalar
    slope: Scalar
    factor_slope: Scalar
    b: Scalar


def _terms(x: Scalar, a: Scalar) -> _Terms:
    """The first terms of 1 + x / (a + 1) + x**2 / ((a + 1) (a + 2)) + .., the least ones first"""
    total, slope, harmonic, term = x.like(1.0), x.like(0.0), x.like(0.0), x.like(1.0)
    for k in range(SHIFT - 1, 0, -1):
        inverse = 1.0 / (a + float(k))
        ratio = x * inverse
        total, slope = fma(ratio, total, 1.0), ratio * fma(-inverse, total, slope)
        term, harmonic = term * ratio, harmonic + inverse
    few = a < LEAST
    factor = term * x
    return _Terms(select(few, total, 0.0), select(few, factor, a), select(few, slope, 0.0), select(few, -factor * harmonic, 1.0),
                  select(few, a + float(SHIFT), a))  # fmt: skip


def _tail(a: Scalar, x: Scalar, target: Target, short: bool) -> tuple[Scalar, Scalar]:
    """(the smaller one of the two for x >= SMALL, the lower one below; whether it is the upper), for 0 < x < inf and 0 <= a < inf"""
    upper = (x >= SMALL) & (x >= a - MEDIAN)
    first = _terms(x, a)
    e, _ = _power_exponent(x, a, target)
    y, n, whole = exp_of_minus(e)
    integral = _integral(x, select(upper, a, first.b), upper, select(upper, 1.0, first.factor), x.like(0.0), short)
    m = integral + select(upper, 0.0, first.value)
    above, below = over_gamma_parts(a, upper)
    return select(y > 0.0, scale(y * m * above / below, n, target, whole), 0.0), upper


def _small_upper(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """1 - x**a / gamma(a + 1) (1 - a x / (a + 1) + a x**2 / (2! (a + 2)) - ..) for x < SMALL"""
    u = fma(a, log(x, target), -(a * (a - 1.0) * table(logarithms, a).value(a + 1.0)))
    total = x.like(0.0)
    factorial = math.factorial(SERIES)
    for k in range(SERIES, 0, -1):
        total = 1.0 / ((a + float(k)) * float(factorial)) - x * total
        factorial //= k
    power = expm1(u, target)
    return fma(power + 1.0, a * x * total, -power)


def _both(a: Scalar, x: Scalar, target: Target, short: bool, wanted: bool) -> Scalar:
    """gammaincc if `wanted`, else gammainc, in f64"""
    tail, upper = _tail(a, x, target, short)
    value = select(upper, tail, 1.0 - tail) if wanted else select(upper, 1.0 - tail, tail)
    small = (x < SMALL) & (a < 1.0)
    if not wanted:  # 1 less the upper one is no worse where that is the smaller one
        small = small & (a * log(select(x > 0.0, x, 1.0), target) > -0.4)

    def other(a: Scalar, x: Scalar) -> Scalar:
        found = _small_upper(a, x, target)
        return found if wanted else 1.0 - found

    value = detour(small, value, other, a, x)
    at_0, at_inf = (1.0, 0.0) if wanted else (0.0, 1.0)
    value = select(x.eq(0.0), at_0, select(x.eq(INF), at_inf, value))
    value = select(a.eq(0.0), select(x > 0.0, x.like(at_inf), NAN), value)
    value = select(a.eq(INF), select(x < INF, x.like(at_0), NAN), value)
    return select((a >= 0.0) & (x >= 0.0), value, NAN)


@outlined
def gammainc(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """The regularised lower incomplete gamma function"""
    short = x.dtype == float32
    return _both(a.cast(float64), x.cast(float64), target, short, False).cast(x.dtype)


@outlined
def gammaincc(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """The regularised upper incomplete gamma function"""
    short = x.dtype == float32
    return _both(a.cast(float64), x.cast(float64), target, short, True).cast(x.dtype)


@outlined
def gammainc_slope(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """The derivative of gammainc by a, <= 0: the prefactor's logarithm and the integral fall together, so that nothing cancels"""
    short, dtype = x.dtype == float32, x.dtype
    a, x = a.cast(float64), x.cast(float64)
    upper = (x >= SMALL) & (x >= a - MEDIAN)
    first = _terms(x, a)
    e, c = _power_exponent(x, a, target)
    y, n, whole = exp_of_minus(e)
    alpha = select(upper, fma(a, c, 1.0), fma(c, first.factor, first.factor_slope))
    beta = select(upper, a, -first.factor)
    integral = _integral(x, select(upper, a, first.b), upper, alpha, beta, short)
    m = select(upper, -integral, integral + fma(c, first.value, first.slope))
    value = scale(y * over_gamma(a) * m, n, target, whole)
    value = select(x.eq(0.0) | x.eq(INF) | a.eq(INF) | y.eq(0.0), -0.0, value)
    value = select((a.eq(0.0) & x.eq(0.0)) | (a.eq(INF) & x.eq(INF)), NAN, value)
    return select((a >= 0.0) & (x >= 0.0), value, NAN).cast(dtype)


@outlined
def gamma_density(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """x**(a - 1) e**-x / gamma(a), the derivative of gammainc by x"""
    dtype = x.dtype
    a, x = a.cast(float64), x.cast(float64)
    e, _ = _power_exponent(x, a, target, less=1.0)
    y, n, whole = exp_of_minus(e)
    tiny = a < 2.0**-500  # it may be subnormal, the density not
    above, below = over_gamma_parts(a, True)
    factor = select(tiny, a * 2.0**500, above) / (below * select(a >= STIRLING, x, 1.0))
    value = scale(y * factor, n, target, whole) * select(tiny, a.like(2.0**-500), 1.0)
    at_0 = select(a < 1.0, select(a.eq(0.0), a.like(0.0), INF), select(a.eq(1.0), a.like(1.0), 0.0))
    value = select(x.eq(0.0), at_0, select(x.eq(INF) | a.eq(INF) | a.eq(0.0) | y.eq(0.0), 0.0, value))
    value = select(a.eq(INF) & x.eq(INF), NAN, value)
    return select((a >= 0.0) & (x >= 0.0), value, NAN).cast(dtype)


@outlined
def log_less_digamma(a: Scalar, x: Scalar, target: Target) -> Scalar:
    """log(x) - digamma(a), the logarithmic derivative of the density by a: of large a by log(x / a), where the two would cancel"""
    dtype = x.dtype
    a, x = a.cast(float64), x.cast(float64)
    far = a >= STIRLING
    _, gap = log_ratio(x, select(far, a, STIRLING), target)
    value = select(far, gap - digamma_less_log(a) / a, log(x, target) - digamma(select(far, 1.0, a), target))
    value = select(x.eq(0.0) | a.eq(INF), -INF, select(x.eq(INF) | a.eq(0.0), INF, value))
    value = select((x.eq(0.0) & a.eq(0.0)) | (x.eq(INF) & a.eq(INF)), NAN, value)
    return select((a >= 0.0) & (x >= 0.0), value, NAN).cast(dtype)


BOUNDS: dict[str, tuple[float, float]] = {
    "gammainc": (0.6, 5.0), "gammaincc": (0.6, 5.0), "gammainc_slope": (0.6, 6.0), "gamma_density": (0.6, 3.0),
    "log_less_digamma": (0.6, 4.0),
}  # fmt: skip
