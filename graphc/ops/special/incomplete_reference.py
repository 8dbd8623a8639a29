"""What the incomplete gamma functions mean, a number at a time: series in decimals, and elsewhere integrals with many points."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np

from graphc.ops.special.decimals import PI
from graphc.ops.special.integrals_reference import e1
from graphc.ops.special.polygamma_reference import bernoulli

INF, NAN = math.inf, math.nan
FAR = 30  # from where on Stirling's series has 40 digits
STEP = 1 / 32


def log_gamma(a: Decimal) -> Decimal:
    """log(gamma(a)), a > 0"""
    product = Decimal(1)
    while a < FAR:
        product, a = product * a, a + 1
    total = (a - Decimal("0.5")) * a.ln() - a + (2 * PI).ln() / 2
    for j, b in enumerate(bernoulli(24)[2::2], 1):
        total += Decimal(b.numerator) / b.denominator / (2 * j * (2 * j - 1) * a ** (2 * j - 1))
    return total - product.ln()


def digamma(a: Decimal) -> Decimal:
    """a > 0"""
    total = Decimal(0)
    while a < FAR:
        total, a = total - 1 / a, a + 1
    total += a.ln() - 1 / (2 * a)
    for j, b in enumerate(bernoulli(24)[2::2], 1):
        total -= Decimal(b.numerator) / b.denominator / (2 * j * a ** (2 * j))
    return total


def moments(exponent: Callable[[np.ndarray], np.ndarray], scale: float) -> tuple[float, np.ndarray, np.ndarray]:
    """(the integral of e**-exponent(v) over v > 0, points, their shares of it); `exponent` rises from about 0, over `scale` at first.

    The trapezoidal rule in s, v = scale e**(s - e**-s), whose error falls off faster than any power of the step.
    """
    s = np.arange(-4.0, 9.0, STEP)
    v = scale * np.exp(s - np.exp(-s))
    with np.errstate(all="ignore"):
        shares = STEP * v * (1 + np.exp(-s)) * np.exp(-np.minimum(exponent(v), 1e3))
    return math.fsum(shares.tolist()), v, shares


def exp_less(w: np.ndarray) -> np.ndarray:
    """e**w - 1 - w"""
    near = np.abs(w) < 0.5
    total = np.zeros_like(w)
    for k in range(18, 1, -1):
        total = 1 / math.factorial(k) + total * np.where(near, w, 0.0)
    found: np.ndarray = np.where(near, w * w * total, np.expm1(w) - w)
    return found


def _parts(a: float, x: float) -> tuple[Decimal, Decimal, Decimal]:
    """(gammainc, gammaincc, the derivative of gammainc by a), 0 <= a and 0 < x finite"""
    n, z = Decimal(a), Decimal(x)
    score = z.ln() - (digamma(n + 1) if a < 100 else digamma(n) + 1 / n)
    if x < max(0.3, a - 1 / 3) and a < 100:
        factor = (n * z.ln() - z - log_gamma(n + 1)).exp()
        total, slope, term, harmonic, k = Decimal(1), Decimal(0), Decimal(1), Decimal(0), 0
        while term > total * Decimal("1e-60"):
            k += 1
            term, harmonic = term * z / (n + k), harmonic + 1 / (n + k)
            total, slope = total + term, slope - term * harmonic
        lower = factor * total
        upper = 1 - lower if a > 1e-20 else n * Decimal(e1(x))
        return lower, upper, factor * (slope + score * total)
    sign = 1.0 if x >= a - 1 / 3 else -1.0
    linear = sign * float(z - n)
    start = 1 / math.sqrt(x) if linear <= 0 else min(1 / math.sqrt(x), 1 / linear)
    size, v, shares = moments(lambda v: x * exp_less(sign * v) + linear * v, start)
    first = math.fsum((v * shares).tolist())
    factor = (n * z.ln() - z - log_gamma(n + 1)).exp()
    tail = factor * n * Decimal(size) if n else Decimal(0)
    slope = factor * (n * Decimal(sign * first) + (1 + n * score) * Decimal(size))
    return (1 - tail, tail, -slope) if sign > 0 else (tail, 1 - tail, slope)


def _in_decimals(f: Callable[[], Decimal], largest: float) -> float:
    """f() with 80 digits more than those before the point of what cancels"""
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 80 + round(math.log10(largest + 1)), -(10**12), 10**12
        value = f()
        return float(value) if abs(value) < Decimal("1e308") else math.copysign(INF, value)


def _gamma(which: int, at_0: float, at_inf: float) -> Callable[[float, float], float]:
    def at(a: float, x: float) -> float:
        if not (a >= 0 and x >= 0) or (a == 0 == x) or (a == x == INF):
            return NAN
        if x == 0 or a == INF:
            return at_0
        if x == INF or (a == 0 and which < 2):
            return at_inf
        return _in_decimals(lambda: _parts(a, x)[which], max(a, x))

    return at


gammainc, gammaincc, gammainc_slope = _gamma(0, 0.0, 1.0), _gamma(1, 1.0, 0.0), _gamma(2, -0.0, -0.0)


def gamma_density(a: float, x: float) -> float:
    if not (a >= 0 and x >= 0) or (a == x == INF):
        return NAN
    if x == 0:
        return 0.0 if a == 0 or a > 1 else 1.0 if a == 1 else INF
    if x == INF or a == INF or a == 0:
        return 0.0
    return _in_decimals(lambda: ((Decimal(a) - 1) * Decimal(x).ln() - Decimal(x) - log_gamma(Decimal(a))).exp(), max(a, x))


def log_less_digamma(a: float, x: float) -> float:
    if not (a >= 0 and x >= 0) or a == x == INF or a == x == 0:
        return NAN
    if x in (0, INF) or a in (0, INF):
        return -INF if x == 0 or a == INF else INF
    return _in_decimals(lambda: Decimal(x).ln() - digamma(Decimal(a)), 1.0)
