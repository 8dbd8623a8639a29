"""What the incomplete gamma and beta functions mean, a number at a time: by series and fractions in decimals, or by integrals."""

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


# -- beta ----------------------------------------------------------------------------------------------------------------------
def _log_factor(a: Decimal, b: Decimal, x: Decimal, y: Decimal) -> Decimal:
    """log(x**a y**b / B(a, b)), a, b > 0"""
    return a * x.ln() + b * y.ln() + log_gamma(a + b) - log_gamma(a) - log_gamma(b)


def _by_fraction(a: Decimal, b: Decimal, x: Decimal, y: Decimal) -> Decimal:
    """betainc(a, b, x), x at most about the mean, by the continued fraction 8.17.22 of DLMF, after Lentz"""
    value, c, d, step, k = Decimal(1), Decimal(1), Decimal(0), Decimal(2), 0
    while abs(step - 1) > Decimal("1e-70"):
        m, odd = divmod(k, 2)
        term = -(a + m) * (a + b + m) * x / ((a + k) * (a + k + 1)) if not odd else (m + 1) * (b - m - 1) * x / ((a + k) * (a + k + 1))
        c, d, k = 1 + term / c, 1 / (1 + term * d), k + 1
        step = c * d
        value *= step
    return _log_factor(a, b, x, y).exp() / (a * value)


def _beta_side(a: Decimal, b: Decimal, x: Decimal, y: Decimal, which: int) -> Decimal:
    """betainc(a, b, x) or its derivative by a (1) or b (2), x at most about the mean"""
    if max(a, b) > 10**6:  # the fraction would take long
        return _by_integrals(a, b, x, y)[which]
    if which == 0:
        return _by_fraction(a, b, x, y)
    h, k = (a * Decimal("1e-14"), Decimal(0)) if which == 1 else (Decimal(0), b * Decimal("1e-14"))
    return (_by_fraction(a + h, b + k, x, y) - _by_fraction(a - h, b - k, x, y)) / (2 * (h + k))


def _by_integrals(a: Decimal, b: Decimal, x: Decimal, y: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """The same, of large parameters; to 11 digits of small ones"""
    p, q, u, w = (np.longdouble(str(v)) for v in (a, b, x, y))
    slope, n = np.longdouble(str(a * y - b * x)), p + q

    def curve(v: np.ndarray) -> np.ndarray:
        """log(w + u e**-v) + u v"""
        c, s = (u, -v) if u <= 0.5 else (w, np.minimum(v, 40))
        z = c * np.expm1(s)
        found: np.ndarray = np.where(v < 40, c * (np.expm1(s) - s) - (z - np.log1p(z)), np.log(w + u * np.exp(-v)) + u * v)
        return found

    size = float(n * u * w)
    start = 1 / max(float(slope), math.sqrt(size)) if size > 1 else 1 / float(p) if p < 1 else 1.0
    _, v, shares = moments(lambda v: (slope * v + n * curve(v)).astype(float), start)
    k = curve(v)
    total, by_p, by_q = (Decimal(math.fsum((shares * f).astype(float).tolist())) for f in (1 + 0 * v, -(k + w * v), u * v - k))
    with_n = digamma(a + b)
    factor = _log_factor(a, b, x, y).exp()
    return (
        factor * total,
        factor * (by_p + total * (x.ln() - digamma(a) + with_n)),
        factor * (by_q + total * (y.ln() - digamma(b) + with_n)),
    )


def _beta(which: int) -> Callable[[float, float, float], float]:
    def at(a: float, b: float, x: float) -> float:
        top, bottom = a == 0 or b == INF, b == 0 or a == INF
        if not (a >= 0 and b >= 0 and 0 <= x <= 1) or (top and bottom):
            return NAN
        if x in (0, 1) or top or bottom:
            return 0.0 if which or not (x == 1 or (top and x > 0)) else 1.0

        def of() -> Decimal:
            p, q, u = Decimal(a), Decimal(b), Decimal(x)
            if p * (1 - u) >= q * u:
                return _beta_side(p, q, u, 1 - u, which)
            return (0 if which else 1) - _beta_side(q, p, 1 - u, u, (0, 2, 1)[which])

        return _in_decimals(of, max(a, b))

    return at


betainc, betainc_slope_a, betainc_slope_b = _beta(0), _beta(1), _beta(2)


def beta_density(a: float, b: float, x: float) -> float:
    if not (a >= 0 and b >= 0 and 0 <= x <= 1):
        return NAN
    if a in (0, INF) or b in (0, INF):
        return 0.0
    if x in (0, 1):
        p, other = (a, b) if x == 0 else (b, a)
        return INF if p < 1 else other if p == 1 else 0.0

    def of() -> Decimal:
        p, q, u = Decimal(a), Decimal(b), Decimal(x)
        return (_log_factor(p, q, u, 1 - u) - u.ln() - (1 - u).ln()).exp()

    return _in_decimals(of, max(a, b))


def beta_large(a: float, b: float) -> float:
    if not (a > 0 and b > 0 and 4 <= a + b < INF):
        return NAN
    return _in_decimals(lambda: (log_gamma(Decimal(a)) + log_gamma(Decimal(b)) - log_gamma(Decimal(a) + Decimal(b))).exp(), max(a, b))
