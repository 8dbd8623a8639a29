"""What Bessel functions mean, a number at a time: power series in decimals with digits enough, asymptotic ones beyond x = 60.

Native code works otherwise, by tables and recurrences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

from graphc.ops.special.decimals import DIGITS, GAMMA, PI, precisely, terms
from graphc.ops.special.reference import each

FAR = 60


def _bessel_series(n: int, x: Decimal, sign: int) -> Decimal:
    """I_n (sign 1) or J_n (sign -1) of x >= 0"""
    half = x / 2
    first = half**n / math.factorial(n) if x else Decimal(n == 0)
    return terms(first, lambda k: sign * half * half / (k * (k + n)))


def _k_series(order: int, x: Decimal, sign: int) -> Decimal:
    """K of order 0 or 1 for sign 1; what belongs to J as K to I for sign -1: -pi/2 Y."""
    z, harmonic, total = sign * x * x / 4, Decimal(0), Decimal(0)
    term, k = Decimal(1), 0
    while k < 4 or abs(term) > abs(total) * Decimal(10) ** -(DIGITS + 60) or k < x:
        both = harmonic if order == 0 else 2 * harmonic + Decimal(1) / (k + 1)
        total += term * both
        k += 1
        harmonic += Decimal(1) / k
        term *= z / (k * (k + order))
    logarithm = (x / 2).ln() + GAMMA
    own = _bessel_series(order, x, sign)
    if order == 0:
        return total - logarithm * own
    return 1 / x + sign * (logarithm * own - x / 4 * total)


def _hankel(order: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """P and Q of J + iY = sqrt(2 / (pi x)) (P + iQ) exp(i (x - order pi/2 - pi/4)), x >= 60"""
    sums, a = [Decimal(0), Decimal(0)], Decimal(1)
    for k in range(60):
        sums[k % 2] += a if k % 4 < 2 else -a
        a *= Decimal(4 * order * order - (2 * k + 1) ** 2) / (8 * (k + 1) * x)
    return sums[0], sums[1]


# -- the modified functions, scaled -----------------------------------------------------------------------------------------
def _far_slope(n: int, x: Decimal, sign: int) -> Decimal:
    """The integral of exp(-x s) s**(n - 1/2) (2 + sign s)**(-1/2) over s from 0 on, by the binomial series"""
    first = Decimal(1) / Decimal(2).sqrt() * PI.sqrt() * math.prod(range(1, 2 * n, 2)) / 2**n
    total, term = Decimal(0), first
    for k in range(40):
        total += term
        term *= -sign * (Decimal(2 * k + 1) / 2) * (Decimal(2 * (n + k) + 1) / 2) / (2 * (k + 1) * x)
    return total / (x**n * x.sqrt())


def i0e_slope(n: int) -> Callable[[float], float]:
    def of(x: Decimal) -> Decimal:
        x = abs(x)
        if x > FAR:
            return _far_slope(n, x, -1) / PI if x.is_finite() else Decimal(0)
        first = Decimal(math.prod(range(1, 2 * n, 2))) / math.factorial(n)
        return (-2 * x).exp() * terms(first, lambda k: (Decimal(2 * k - 1) / 2) / (n + k) * 2 * x / k)

    return precisely(of)


def k0e_slope(n: int) -> Callable[[float], float]:
    def of(x: Decimal) -> Decimal:
        if x <= 0:
            return Decimal("nan") if x else Decimal("inf")
        if x > FAR:
            return _far_slope(n, x, 1) if x.is_finite() else Decimal(0)
        zeroth = x.exp() * _k_series(0, x, 1)
        values = [zeroth, x.exp() * _k_series(1, x, 1) - zeroth]
        for m in range(n):
            values.append(((m + 1 - 2 * x) * values[-1] + (2 * m + 1) * values[-2]) / x)
        return values[n]

    return precisely(of)


def ive(n: int) -> Callable[[float], float]:
    """exp(-|x|) I_n(x)"""

    def of(x: Decimal) -> Decimal:
        size = abs(x)
        if size.is_infinite():
            return Decimal(0).copy_sign(x if n % 2 else size)
        if size > max(FAR, 4 * n * n):
            total, term = Decimal(0), Decimal(1)
            for k in range(60):
                total += term
                term *= Decimal((2 * k + 1) ** 2 - 4 * n * n) / (8 * (k + 1) * size)
            value = total / (2 * PI * size).sqrt()
        else:
            value = (-size).exp() * _bessel_series(n, size, 1)
        return value.copy_sign(x) if n % 2 else value

    return precisely(of)


def k_scaled(order: int) -> Callable[[float], float]:
    """exp(x) K0(x) or exp(x) K1(x)"""
    zeroth, slope = k0e_slope(0), k0e_slope(1)
    return zeroth if order == 0 else lambda x: zeroth(x) + slope(x)


def _times_exp(f: Callable[[float], float], sign: int) -> Callable[[float], float]:
    """f(x) exp(|x|) or f(x) exp(-x), the exponential in three parts, as it leaves the range first"""

    def at(x: float) -> float:
        size = abs(x)
        if sign > 0 and size == math.inf:
            return math.copysign(size, f(x))
        if sign > 0 and size > 800:
            return math.copysign(math.inf, f(x))
        if size > 800:
            return f(x) * 0.0
        with localcontext() as context:
            context.prec = 40
            value = f(x)
            return float(Decimal(value) * (sign * Decimal(size)).exp()) if math.isfinite(value) else value

    return at


def iv(n: int) -> Callable[[float], float]:
    return _times_exp(ive(n), 1)


def kv(order: int) -> Callable[[float], float]:
    return _times_exp(k_scaled(order), -1)


# -- the oscillating ones -----------------------------------------------------------------------------------------------------
def _oscillation(order: int, x: float) -> tuple[float, float]:
    """J and Y for large x"""
    if x == math.inf:
        return 0.0, 0.0
    p, q = map(float, _hankel(order, Decimal(x)))
    s, c = math.sin(x), math.cos(x)
    plus, minus = (c + s) * math.sqrt(0.5), (s - c) * math.sqrt(0.5)
    cosine, sine = ((plus, minus), (minus, -plus), (-plus, -minus), (-minus, plus))[order % 4]
    size = math.sqrt(2 / math.pi) / math.sqrt(x)
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def jn(n: int) -> Callable[[float], float]:
    near = precisely(lambda x: _bessel_series(n, x, -1))

    def far(x: float) -> float:
        """Upwards from the orders 0 and 1"""
        before, last = _oscillation(0, x)[0], _oscillation(1, x)[0]
        for k in range(1, n):
            before, last = last, 2 * k / x * last - before
        return last if n else before

    def at(x: float) -> float:
        size = abs(x)
        value = far(size) if size > max(FAR, n) else near(size)
        return -value if n % 2 and math.copysign(1, x) < 0 else value

    return at


def yn(order: int) -> Callable[[float], float]:
    near = precisely(lambda x: -2 / PI * _k_series(order, x, -1))

    def at(x: float) -> float:
        if x <= 0:
            return math.nan if x else -math.inf
        return _oscillation(order, x)[1] if x > FAR else near(x)

    return at


def over(f: Callable[[int], Callable[[float], float]]) -> Callable[[int], Callable[..., Any]]:
    """A family of functions of numbers as one of functions of arrays."""
    return lambda n: each(f(n))
