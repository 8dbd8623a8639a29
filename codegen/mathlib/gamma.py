"""gamma, gammaln and digamma.

From 1/2 to 4 by tables, gammaln and digamma over what vanishes with them. Beyond, gamma(x) = exp((x - 1/2)(log(x) - 1) + R(1 / x)) with the
logarithm as a pair, for it is large. Near 0 by gamma(x) = gamma(1 + x) / x, and below -1/2 by reflection, where sin(pi x) is of the exact
distance from the nearest integer.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import COS_F32, COS_F64, GAMMALN_LOW_F32, GAMMALN_LOW_F64, SIN_F32, SIN_F64
from graphc.codegen.mathlib.kit import Pair, clamp, detour, fast_two_sum, poly, scale, two_product
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.pairs import exp_of_pair, log_pair
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import digamma as digammas
from graphc.codegen.mathlib.tables import gamma as gammas
from graphc.codegen.mathlib.tables import gammaln as logarithms
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select, unary
from graphc.target import Target

INF, NAN = math.inf, math.nan
PI = {float32: (3.1415927410125732, -8.742277657347586e-08), float64: (math.pi, 1.2246467991473532e-16)}
ZERO = {float32: (1.4616321325302124, 1.243815006546356e-08), float64: (1.4616321449683622, 9.549995429965697e-17)}  # of digamma
LOW = {  # where gamma's size is least between -3 and -2, as a pair; the logarithm there, and its polynomial
    float32: (-2.6107208728790283, 4.434883571491355e-09, -0.11862999200820923, GAMMALN_LOW_F32),
    float64: (-2.6107208684441447, 9.881960746978353e-17, -0.11862999102044386, GAMMALN_LOW_F64),
}
LARGEST = {float32: 50.0, float64: 190.0}  # from where on gamma is inf, and gamma(-x) 0
FAR = 4.0  # the end of the pieces


def _stirling(x: Scalar, target: Target) -> Pair:
    """(x - 1/2)(log(x) - 1) for x >= 4, as a pair; inf where it overflows"""
    high, low = log_pair(x, target)
    high, rest = fast_two_sum(high, x.like(-1.0))
    low = low + rest
    factor = x - 0.5
    product, part = two_product(factor, high, target)
    return product, select(product < INF, fma(factor, low, part), 0.0)


def sin_cos_pi(x: Scalar, target: Target) -> tuple[Pair, Pair]:
    """sin(pi x) and cos(pi x) of finite x as pairs: of the distance r from the nearest half of an integer, which is exact"""
    x = clamp(x, -(2.0**60), 2.0**60)
    whole = unary("rint", x * 2.0)
    r = fma(whole, -0.5, x)
    first, second = PI[x.dtype]
    angle, low = two_product(r, r.like(first), target)
    low = fma(r, second, low)
    z = angle * angle
    sines, cosines = (SIN_F32, COS_F32) if x.dtype == float32 else (SIN_F64, COS_F64)
    s = fast_two_sum(angle, fma(angle * z, poly(z, sines), low))
    c = fast_two_sum(x.like(1.0), z * fma(z, poly(z, cosines), -0.5))
    quarter = whole * 0.5
    odd = unary("rint", quarter).ne(quarter)  # the nearest is no integer: sine and cosine change places
    half = unary("floor", quarter) * 0.5
    negative = unary("rint", half).ne(half)

    def chosen(a: Pair, b: Pair, sign: float) -> Pair:
        parts = [select(odd, v * sign, w) for v, w in zip(a, b)]
        return select(negative, -parts[0], parts[0]), select(negative, -parts[1], parts[1])

    return chosen(c, s, 1.0), chosen(s, c, -1.0)


# -- gamma --------------------------------------------------------------------------------------------------------------------------
def gamma(x: Scalar, target: Target) -> Scalar:
    """gamma(x), by reflection below -1/2"""
    y, n, whole = _gamma_parts(x, target)
    usual = scale(y, n, target, whole)
    return detour((x < -0.5) | x.eq(0.0), usual, lambda v: _gamma_below(v, target), x)


def _gamma_parts(x: Scalar, target: Target) -> tuple[Scalar, Scalar, Scalar]:
    """(y, n, n as a float) with gamma(x) = y 2**n for x > -1/2, not 0"""
    small = x < 0.5
    t = clamp(select(small, x + 1.0, x), high=LARGEST[x.dtype])
    far = t >= FAR
    near = table(gammas, t).value_or(t, far, 1.0 / t)
    high, low = _stirling(select(far, t, FAR), target)
    high, rest = fast_two_sum(high, select(far, near, 0.0))
    y, n, whole = exp_of_pair((high, rest + low))
    y = select(far, y, near) / select(small, x, 1.0)
    return select(x.eq(x), y, x), select(far, n, 0), select(far, whole, 0.0)


def _gamma_below(x: Scalar, target: Target) -> Scalar:
    """-pi / (a sin(pi a) gamma(a)) of x = -a; nan at negative integers, an infinity with the sign of x at 0"""
    a = clamp(-x, high=LARGEST[x.dtype])
    y, n, whole = _gamma_parts(a, target)
    (s, _), _ = sin_cos_pi(-x, target)
    found = scale(-math.pi / (a * s * y), -n, target, -whole)
    return select(x.eq(0.0), 1.0 / x, select(s.eq(0.0) | (x <= -INF), NAN, found))


# -- gammaln ------------------------------------------------------------------------------------------------------------------------
def gammaln(x: Scalar, target: Target) -> Scalar:
    """log|gamma(x)|, by reflection below -1/2"""
    return detour(x <= -0.5, _gammaln_above(x, target), lambda v: _gammaln_below(v, target), x)


def _gammaln_above(x: Scalar, target: Target) -> Scalar:
    """For x > -1/2: near 0 log(gamma(1 + x)) - log|x|"""
    small = x < 0.5
    t = select(small, x + 1.0, x)
    far = t >= FAR
    part = table(logarithms, t).value_or(t, far, 1.0 / t)
    high, low = _stirling(select(far & (t < INF), t, FAR), target)
    near = (t - 1.0) * (t - 2.0) * part + select(small, -log(select(small, abs(x), 1.0), target), 0.0)  # + 0 for -0
    y = select(far, high + (low + part), near)
    return select(t < INF, y, t)


def _gammaln_below(x: Scalar, target: Target) -> Scalar:
    """log(pi / |a sin(pi a)|) - log(gamma(a)) of x = -a, but where the two are nearly the same and what is left hardly changes with x"""
    a = -x
    first, second, least, curve = LOW[x.dtype]
    d = (x - first) - second
    (s, _), _ = sin_cos_pi(a, target)
    s = abs(s)
    y = log(math.pi / a / select(s > 0.0, s, 1.0), target) - _gammaln_above(a, target)
    y = select(abs(d) <= 1 / 32, fma(d * d, poly(d, curve), least), y)
    return select(a < INF, select(s.eq(0.0), INF, y), -INF)


# -- digamma ------------------------------------------------------------------------------------------------------------------------
def digamma(x: Scalar, target: Target) -> Scalar:
    """The derivative of gammaln, by reflection below -1/2"""
    return detour(x <= -0.5, _digamma_above(x, target), lambda v: _digamma_below(v, target), x)


def _digamma_above(x: Scalar, target: Target) -> Scalar:
    """For x > -1/2: near 0 digamma(1 + x) - 1 / x"""
    small = x < 0.5
    t = select(small, x + 1.0, x)
    far = t >= FAR
    inverse = 1.0 / t
    part = table(digammas, t).value_or(t, far, inverse)
    first, second = ZERO[x.dtype]
    near = ((t - first) - second) * part - select(small, 1.0 / select(small, x, 1.0), 0.0)
    return select(far, fma(inverse, part, log(t, target)), near)


def _digamma_below(x: Scalar, target: Target) -> Scalar:
    """digamma(a) + 1 / a + pi cot(pi a) of x = -a; nan at negative integers"""
    a = -x
    (s, _), (c, _) = sin_cos_pi(a, target)
    y = _digamma_above(a, target) + (1.0 / a + math.pi * (c / select(s.eq(0.0), 1.0, s)))
    return select(s.eq(0.0) | (a >= INF), NAN, y)
