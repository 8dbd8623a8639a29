"""What the zeta functions mean, a number at a time: the formula of Euler and Maclaurin far from 0, in decimals."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

from graphc.ops.special.decimals import PI, terms
from graphc.ops.special.incomplete_reference import log_gamma
from graphc.ops.special.polygamma_reference import bernoulli

INF, NAN = math.inf, math.nan
COUNT = 60


def _sum(s: Decimal, q: Decimal) -> Decimal:
    """The sum of (q + k)**-s over k >= 0, continued to s > -2 but 1, for q > 0"""
    a = q + COUNT
    part = (-s * a.ln()).exp()
    total = part * a / (s - 1) + part / 2
    before = abs(total)
    for j, b in enumerate(bernoulli(24)[2::2], 1):
        part *= (s if j == 1 else (s + 2 * j - 3) * (s + 2 * j - 2)) / (a if j == 1 else a * a)
        term = part * b.numerator / b.denominator / math.factorial(2 * j)
        if abs(term) > before:  # of a large s, of which nothing is left here
            break
        total, before = total + term, abs(term)
    for k in range(COUNT):
        total += (-s * (q + k).ln()).exp()
    return total


def _sine(f: Decimal) -> Decimal:
    """sin(pi f), |f| <= 1/2"""
    z = -((PI * f) ** 2)
    return terms(PI * f, lambda k: z / (2 * k * (2 * k + 1)))


def riemann_zeta(x: float) -> float:
    if x != x or math.isinf(x):
        return 1.0 if x > 0 else NAN
    if x == 1 or (x < 0 and x % 2 == 0):
        return INF if x == 1 else 0.0
    if x > 60 or x < -500:
        return 1.0 if x > 0 else INF if x % 4 < 2 else -INF
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 90, -(10**9), 10**9
        s = Decimal(x)
        if x > -1:
            return float(_sum(s, Decimal(1)))
        half = s / 2
        whole = half.to_integral_value()
        sine = _sine(half - whole) * (-1 if whole % 2 else 1)
        return float(2 * ((s - 1) * (2 * PI).ln() + log_gamma(1 - s)).exp() * sine * _sum(1 - s, Decimal(1)))


def hurwitz_zeta(s: float, q: float) -> float:
    if s == 1 or s < 1:
        return INF if s == 1 else NAN
    if q <= 0 and (q == -INF or q == math.floor(q)):
        return INF
    if s != s or q != q or (q < 0 and s < INF and s != math.floor(s)):
        return NAN
    if s == INF:
        return 0.0 if q > 1 else 1.0 if q == 1 else INF
    if q == INF:
        return 0.0
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 60 if q > 0 else 400, -(10**15), 10**15
        if q > 0:
            return _finite(_sum(Decimal(s), Decimal(q)))
        x, exponent = Decimal(q), Decimal(s)
        f = x - x.to_integral_value(rounding="ROUND_FLOOR")
        sign = -1 if exponent % 2 else 1
        return _finite(_sum(exponent, f) + sign * (_sum(exponent, 1 - f) - _sum(exponent, 1 - x)))


def _finite(value: Decimal) -> float:
    return float(value) if abs(value) < Decimal("1e309") else math.copysign(INF, value)
