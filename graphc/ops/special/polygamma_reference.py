"""What polygamma means, a number at a time: the formula of Euler and Maclaurin far from 0, in decimals."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

from graphc.ops.special.decimals import PI, terms

SHIFT, FAR_BELOW = 60, -2000


@cache
def bernoulli(count: int) -> list[Fraction]:
    """B_0 to B_(2 count)"""
    b = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        b.append(-sum((math.comb(m + 1, k) * b[k] for k in range(m)), Fraction(0)) / (m + 1))
    return b


def _zeta(s: int, a: Decimal) -> Decimal:
    """The sum of (a + k)**-s, a >= 60"""
    total = a ** (1 - s) / (s - 1) + a**-s / 2
    numbers = bernoulli(24)
    for j in range(1, 24):
        b = numbers[2 * j] * math.prod(range(s, s + 2 * j - 1)) / math.factorial(2 * j)
        total += Decimal(b.numerator) / b.denominator * a ** -(s + 2 * j - 1)
    return total


def _cotangent(f: Decimal) -> Decimal:
    """cot(pi f), |f| <= 1/2"""
    z = -((PI * f) ** 2)
    return terms(Decimal(1), lambda k: z / (2 * k * (2 * k - 1))) / terms(PI * f, lambda k: z / (2 * k * (2 * k + 1)))


def polygamma(n: int) -> Callable[[float], float]:
    sign = 1 if n % 2 else -1

    def direct(x: Decimal) -> Decimal:
        count = max(0, math.ceil(SHIFT - x))
        total = _zeta(n + 1, x + count)
        for k in range(count):
            total += (x + k) ** -(n + 1)
        return sign * math.factorial(n) * total

    def reflected(x: Decimal) -> Decimal:
        c, q = _cotangent(x - x.to_integral_value()), [0, 1]
        for _ in range(n):
            d = [*[j * v for j, v in enumerate(q)][1:], 0, 0]
            q = [-(d[j] + (d[j - 2] if j > 1 else 0)) for j in range(len(d))]
        return -sign * direct(1 - x) - PI ** (n + 1) * sum((v * c**j if j else Decimal(v) for j, v in enumerate(q)), Decimal(0))

    def at(x: float) -> float:
        if -math.inf < x <= 0 and x == math.floor(x):
            return sign * math.inf
        if x != x or math.isinf(x):
            return x if x != x else sign * 0.0 if x > 0 else math.nan
        with localcontext() as context:
            context.prec, context.Emin, context.Emax = 90, -(10**9), 10**9
            return float(direct(Decimal(x)) if x > FAR_BELOW else reflected(Decimal(x)))

    return at
