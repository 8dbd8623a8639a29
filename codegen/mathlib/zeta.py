"""The zeta functions of Riemann and Hurwitz.

(s - 1) zeta(s) is entire: by tables from -1 on, up to where zeta is 1 but for rounding. Below, of s = -a, with L = log(2 pi),

    zeta(-a) = -2 sin(pi a / 2) gamma(a) e**-((a - 1/2) L + 3/2 L) (s - 1) zeta(s) at s = 1 + a

the exponent with Stirling's in pairs, for it is large, and the sine of the exact distance from the nearest zero.

Hurwitz's is ten terms (q + k)**-s and the Euler-Maclaurin formula for the rest, powers by logarithms in pairs. For q < 0, where s is
whole and r is the distance of q from the nearest whole number, f = r or 1 + r in 0..1,

    zeta(s, q) = zeta(s, f) + (-1)**s (zeta(s, 1 - f) - zeta(s, 1 - q)).

f32 is computed in f64.
"""

from __future__ import annotations

import math
from fractions import Fraction

from graphc.codegen.mathlib.gamma import FAR, sin_cos_pi
from graphc.codegen.mathlib.hurwitz import BERNOULLI, TERMS
from graphc.codegen.mathlib.kit import Pair, clamp, detour, fast_two_sum, outlined, scale, summed, two_product, two_sum
from graphc.codegen.mathlib.pairs import exp_of_pair, log_pair
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.power import exp_of_product
from graphc.codegen.mathlib.tables import gamma as gammas
from graphc.codegen.mathlib.tables import zeta as tables
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select, unary
from graphc.target import Target

INF, NAN = math.inf, math.nan
LEAST, END = -1.0, 54.0  # where the tables begin and end
LOG_2PI = (1.8378770664093456, -7.756588316134483e-17)
FACTOR = (-2.756815599614018, -2.1671808264552972e-16)  # the logarithm of (2 pi)**(-3/2)
LARGEST = 300.0  # zeta(-a) has overflowed, but for even numbers, with room for the sine beside them
STEEP = 1e4  # for s from here on nothing is left of the rest of the sum
COUNTS = tuple([float(k) for k in range(TERMS - 1, -1, -1)])
MACLAURIN = [float(b / math.factorial(2 * j + 2)) for j, b in enumerate(BERNOULLI + [Fraction(43867, 798)])]


# -- Riemann's ----------------------------------------------------------------------------------------------------------------------
def _without_pole(s: Scalar) -> Scalar:
    """(s - 1) zeta(s) for s >= LEAST"""
    return select(s >= END, s - 1.0, tables.F64.value(clamp(s, LEAST, END)))


def riemann_zeta(s: Scalar, target: Target) -> Scalar:
    """zeta(s), by reflection below -1; inf at 1"""
    if s.dtype == float32:
        return riemann_zeta(s.cast(float64), target).cast(float32)
    usual = select(s >= END, 1.0, _without_pole(s) / (s - 1.0))
    return detour(s < LEAST, usual, lambda v: _reflected(v, target), s)


def _reflected(s: Scalar, target: Target) -> Scalar:
    """For s <= -1; 0 at even numbers, nan at -inf"""
    a = clamp(-s, 1.0, LARGEST)
    far = a >= FAR
    high, low = log_pair(a, target)
    first, second = LOG_2PI
    high, rest = two_sum(high, s.like(-1.0))
    high, rest_2 = two_sum(select(far, high, 0.0), s.like(-first))
    low = select(far, low + rest, 0.0) + (rest_2 - second)
    product, part = two_product(a - 0.5, high, target)
    near = table(gammas, a).value_or(a, far, 1.0 / a)
    high, rest = two_sum(product, s.like(FACTOR[0]))
    high, rest_2 = two_sum(high, select(far, near, 0.0))
    y, n, whole = exp_of_pair((high, rest + (rest_2 + (fma(a - 0.5, low, part) + FACTOR[1]))))
    (sine, _), _ = sin_cos_pi(s * -0.5, target)
    found = scale(sine * -2.0 * y * select(far, 1.0, near) * _without_pole(a + 1.0), n, target, whole)
    return select(s.eq(-INF), NAN, select(sine.eq(0.0), 0.0, found))


# -- Hurwitz's ----------------------------------------------------------------------------------------------------------------------
def _power(base: Pair, exponent: Scalar, target: Target) -> Scalar:
    """base**exponent"""
    high, low = log_pair(base[0], target)
    return exp_of_product(exponent, fast_two_sum(high, low + base[1] / base[0]), target)


def _moved(q: Scalar, q_low: Scalar, k: Scalar) -> Pair:
    """q + k"""
    high, low = two_sum(q, k)
    return fast_two_sum(high, low + q_low)


def _sum(s: Scalar, q: Pair, target: Target) -> Scalar:
    """The sum of (q + k)**-s over k >= 0 for finite q > 0 and s > 1"""
    terms = summed((COUNTS,), lambda s, q, q_low, k: _power(_moved(q, q_low, k), -s, target), s, *q)
    a = _moved(*q, s.like(float(TERMS)))
    w, c = 1.0 / a[0], clamp(s, high=STEEP)
    total = s.like(MACLAURIN[-1])
    for j in range(len(MACLAURIN) - 2, -1, -1):
        total = fma((c + float(2 * j + 1)) * (c + float(2 * j + 2)) * (w * w), total, MACLAURIN[j])
    rest = fma(w, fma(c * w, total, 0.5), 1.0 / (s - 1.0))
    return fma(_power(a, 1.0 - s, target), rest, terms)


def _sum_below(s: Scalar, q: Scalar, target: Target) -> Scalar:
    """For a whole s and q < 0, no whole number"""
    r = q - unary("rint", q)
    left = r < 0.0
    size = abs(r)
    one, zero = two_sum(q.like(1.0), -size), q.like(0.0)
    f = select(left, one[0], size), select(left, one[1], zero)
    g = select(left, size, one[0]), select(left, zero, one[1])
    half = s * 0.5
    sign = select(unary("rint", half).eq(half), s.like(1.0), -1.0)
    above, below, beyond = _sum(s, f, target), _sum(s, g, target), _sum(s, two_sum(q.like(1.0), -q), target)
    overflow = select(left, sign * INF, INF)
    overflow = select(size.eq(0.5) & (sign < 0.0), beyond, overflow)
    return select(above.eq(INF) & below.eq(INF), overflow, (above + sign * below) - sign * beyond)


@outlined
def hurwitz_zeta(s: Scalar, q: Scalar, target: Target) -> Scalar:
    """zeta(s, q): inf for s = 1 and at 0, -1, .., nan for s < 1 and at other q < 0 of an s that is not whole"""
    dtype = s.dtype
    s, q = s.cast(float64), q.cast(float64)
    pole = (q <= 0.0) & unary("rint", q).eq(q)
    regular = (s > 1.0) & (s < INF) & (abs(q) < INF) & ~pole
    exponent = select(regular, s, 2.0)
    usual = _sum(exponent, (select(regular & (q > 0.0), q, 1.0), q.like(0.0)), target)
    value = detour(regular & (q < 0.0), usual, lambda s, q: _sum_below(s, q, target), exponent, select(regular & (q < 0.0), q, -0.5))
    value = select(q.eq(INF), 0.0, value)
    steep = select(q > 1.0, q.like(0.0), select(q.eq(1.0), q.like(1.0), INF))
    value = select(s.eq(INF), steep, value)
    value = select((q < 0.0) & unary("rint", s).ne(s), NAN, value)
    value = select((s.ne(s) | q.ne(q)) & ~pole, NAN, select(pole, INF, value))
    return select(s.eq(1.0), INF, select(s < 1.0, NAN, value)).cast(dtype)
