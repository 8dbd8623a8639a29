"""What the special functions mean, in Python's doubles, a number at a time: slow, and by other methods than native code."""

from __future__ import annotations

import decimal
import functools
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

ROOT_PI = math.sqrt(math.pi)
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211707")
PRECISE = decimal.Context(prec=80, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def each(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of numbers on every element of arrays, computed in double; an overflow is an infinity as the function says.

    A number costs up to a millisecond, so the last ones are kept, by their bits: -0.0 is not 0.0.
    """

    @functools.lru_cache(maxsize=1 << 11)
    def of_bits(*bits: int) -> float:
        return function(*struct.unpack(f"{len(bits)}d", struct.pack(f"{len(bits)}q", *bits)))

    def of_arrays(*arrays: np.ndarray) -> Any:
        whole = np.broadcast_arrays(*arrays)
        rows = zip(*[a.astype(np.float64).ravel().view(np.int64).tolist() for a in whole])
        return np.array([of_bits(*row) for row in rows], np.float64).astype(whole[0].dtype).reshape(whole[0].shape)

    return of_arrays


def exp_of_square(x: float) -> float:
    """e**x**2, the square without its rounding error."""
    if abs(x) > 27:
        return math.inf
    high = float(np.float32(x))
    root = math.exp(high * high / 2)  # its square may be inf, which `math.exp` would raise for
    return root * (root * math.exp((x - high) * (x + high)))


def erfcx_derivative(k: int) -> Callable[[float], float]:
    """The k-th derivative of e**x**2 erfc(x)."""

    def at(x: float) -> float:
        if x != x or x < -40:
            return x if x != x else (-1.0) ** k * math.inf
        with decimal.localcontext(PRECISE):
            return float(_erfcx(Decimal(x), k)) if x < 1e300 else (-1.0) ** k * (1 / x / ROOT_PI if k == 0 else 0.0)

    return at


def _erfcx(x: Decimal, k: int) -> Decimal:
    """(-2)**k k! e_k(x): beyond 2 by the ratios r_n = e_n / e_(n-1), e_(-1) = 2 / sqrt(pi), and their continued fraction
    r_n = 1 / (2x + 2 (n + 1) r_(n+1)); elsewhere by the series of erf and the recurrence f'' = 2x f' + 2f of the derivatives."""
    slope = 2 / PI.sqrt()
    if x > 2:
        ratio, total = Decimal(0), Decimal((-2) ** k * math.factorial(k)) * slope
        for n in range(20 + int(500 / (x * x)), -1, -1):
            ratio = 1 / (2 * x + 2 * (n + 1) * ratio)
            if n <= k:
                total *= ratio
        return total
    term, total, n = x, x, 0
    while abs(term) > abs(total) * Decimal(10) ** -78:
        n += 1
        term = term * 2 * x * x / (2 * n + 1)
        total += term
    before = (x * x).exp() - slope * total
    last = 2 * x * before - slope
    for n in range(1, k):
        before, last = last, 2 * n * before + 2 * x * last
    return last if k else before


def dawsn_derivative(k: int) -> Callable[[float], float]:
    """The k-th derivative of e**-x**2 times the integral of e**t**2: in decimal floats, as a series or beyond 16 as the asymptotic one."""

    def at(x: float) -> float:
        if not math.isfinite(x):
            return x if x != x else (-1.0) ** k * math.copysign(0.0, x ** (k + 1))
        with decimal.localcontext(PRECISE):
            return float(_dawsn(Decimal(x), k)) if x else (x, 1.0, -4 * x, -4.0)[k]

    return at


def _dawsn(x: Decimal, k: int) -> Decimal:
    if abs(x) >= 16:
        total, term = Decimal(0), Decimal(1) / 2
        for n in range(60):
            total += term
            term = term * (2 * n + k + 1) * (2 * n + k + 2) / ((2 * n + 2) * 2 * x * x)
        return Decimal((-1) ** k * math.factorial(k)) * total / x ** (k + 1)
    term, total, n = x, x, 0
    while abs(term) > abs(total) * Decimal(10) ** -78:
        n += 1
        term = term * x * x / n
        total += term / (2 * n + 1)
    before = (-x * x).exp() * total
    last = 1 - 2 * x * before
    for n in range(1, k):
        before, last = last, -2 * x * last - 2 * n * before
    return last if k else before


def erfi(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) > 27 else 2 / ROOT_PI * exp_of_square(x) * dawsn_derivative(0)(x)


def erfcinv(x: float) -> float:
    """Newton's method, relative to erfc(y) = x."""
    if not 0 < x < 2:
        return math.inf if x == 0 else -math.inf if x == 2 else math.nan
    if x > 1:
        return -erfcinv(2 - x)
    if x > 0.5:
        return erfinv(1 - x)
    y = math.sqrt(max(-math.log(x), 0.5))
    for _ in range(50):
        scaled = erfcx_derivative(0)(y)
        step = (math.log(scaled) - y * y - math.log(x)) * scaled * ROOT_PI / 2
        y += step
        if abs(step) < 1e-16 * y:
            break
    return y


def erfinv(x: float) -> float:
    if abs(x) >= 0.5:
        return math.copysign(erfcinv(1 - abs(x)), x) if abs(x) <= 1 else math.nan
    y = x * ROOT_PI / 2
    for _ in range(30):
        y -= (math.erf(y) - x) * ROOT_PI / 2 * math.exp(y * y)
    return y


def ndtri(x: float) -> float:
    return math.sqrt(2.0) * (erfinv(2 * x - 1) if 0.25 < x < 0.75 else erfcinv(2 * (1 - x)) if x > 0.5 else -erfcinv(2 * x))


def _inverse_slope(y: float, t: float, factor: float) -> float:
    """factor e**y**2 where erfc(|y|) = t: of 0 infinite, of less nan."""
    return factor * erfcx_derivative(0)(abs(y)) / t if t > 0 else factor * math.inf if t == 0 else math.nan


def erfcinv_slope(x: float) -> float:
    return _inverse_slope(erfcinv(x), min(x, 2 - x), -ROOT_PI / 2)


def ndtri_slope(x: float) -> float:
    t = min(x, 1 - x)
    return _inverse_slope(erfcinv(2 * t), t, math.sqrt(math.pi / 2))


def normal_density(x: float) -> float:
    """e**(-x**2 / 2) / sqrt(2 pi), the square without its rounding error."""
    if not abs(x) <= 40:
        return 0.0 if x == x else x
    high = float(np.float32(x))
    return math.exp(-high * high / 2) * math.exp(-(x - high) * (x + high) / 2) / math.sqrt(2 * math.pi)


def _mills(a: Decimal, k: int = 0) -> Decimal:
    """The k-th derivative of Mills' ratio ndtr(-a) e**(a**2 / 2)"""
    return _erfcx(a / Decimal(2).sqrt(), k) / 2 / Decimal(2).sqrt() ** k


def _lower(a: Decimal) -> Decimal:
    """ndtr(-a) for a >= 0"""
    return _mills(a) * (-a * a / 2).exp()


def ndtr(x: float) -> float:
    if abs(x) > 50 or x != x:
        return x if x != x else float(x > 0)
    with decimal.localcontext(PRECISE):
        below = _lower(abs(Decimal(x)))
        return float(1 - below if x > 0 else below)


def log_ndtr(x: float) -> float:
    if x > 0:
        return math.log1p(-ndtr(-x))
    if x != x or x < -1e150:
        return x if x != x else -x * x / 2
    with decimal.localcontext(PRECISE):
        return float(-(Decimal(x) ** 2) / 2 + _mills(-Decimal(x)).ln())


def log_ndtr_derivative(k: int) -> Callable[[float], float]:
    """m = density / ndtr, -m (x + m) and m ((x + m)(x + 2m) - 1); for x < 0 by the derivatives of Mills' ratio."""

    def at(x: float) -> float:
        if x != x or x > 1e9 or x < -1e100:
            return x if x != x else (0.0 if k != 2 else -0.0) if x > 0 else (-x, -1.0, -2 / x / x / x)[k - 1]
        with decimal.localcontext(PRECISE):
            y = Decimal(x)
            if x > 0:
                m = (-y * y / 2).exp() / (2 * PI).sqrt() / (1 - _lower(y))
                return float((m, -m * (y + m), m * ((y + m) * (y + 2 * m) - 1))[k - 1])
            r = [_mills(-y, n) for n in range(4)]
            one, two, three = (v / r[0] for v in r[1:])
            return float((-y - one, two - one * one - 1, 3 * two * one - three - 2 * one**3)[k - 1])

    return at


def log_ratio(x: float, y: float) -> float:
    """log(x / y)"""
    if x > 0 and y > 0 and math.isfinite(x) and math.isfinite(y):
        with decimal.localcontext() as context:
            context.prec = 40
            return float((Decimal(x) / Decimal(y)).ln())
    return _log(x) - _log(y)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def rel_entr(x: float, y: float) -> float:
    if x != x or y != y:
        return math.nan
    if x > 0 and y > 0:
        return x * log_ratio(x, y)
    return 0.0 if x == 0 and y >= 0 else math.inf


def kl_div(x: float, y: float) -> float:
    if x != x or y != y:
        return math.nan
    if not (x > 0 and y > 0):
        return y if x == 0 and y >= 0 else math.inf
    if x == y < math.inf:
        return 0.0
    if not (math.isfinite(x) and math.isfinite(y)):
        return x * log_ratio(x, y) - x + y
    with decimal.localcontext() as context:
        context.prec = 80
        a, b = Decimal(x), Decimal(y)
        return float(a * (a / b).ln() - a + b)


# -- the gamma function -----------------------------------------------------------------------------------------------------------
_BERNOULLI = tuple(Decimal(p) / q for p, q in (
    (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798), (-174611, 330)))  # fmt: skip


LAST_GAMMA = 171.62437695630272  # beyond, gamma is above the largest double


def _is_pole(x: float) -> bool:
    """Whether gamma has a pole at x, 0 or a negative integer."""
    return x == 0 or (-math.inf < x < 0 and x == math.floor(x))


def gamma(x: float) -> float:
    if x != x or x == -math.inf or (_is_pole(x) and x):
        return math.nan
    if abs(x) < 1e-300:
        return 1 / x if abs(x) > 1e-308 else math.copysign(math.inf, x)
    return 0.0 if x < -190 else math.inf if x > LAST_GAMMA else math.gamma(x)


def gammaln(x: float) -> float:
    if x != x or math.isinf(x) or _is_pole(x):
        return x if not _is_pole(x) else math.inf
    if x in (1.0, 2.0):
        return 0.0
    if -1e-17 < x < 0:
        return -math.log(-x)
    if x < 0:
        return math.log(math.pi / abs(math.sin(math.pi * (x - round(x))))) - gammaln(1 - x)
    with decimal.localcontext(PRECISE):
        y, product = Decimal(x), Decimal(1)
        while y < 40:
            product *= y
            y += 1
        series = sum(b / (2 * k * (2 * k - 1) * y ** (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1))
        return float((y - Decimal("0.5")) * y.ln() - y + (2 * PI).ln() / 2 + series - product.ln())


def digamma(x: float) -> float:
    """By the recurrence to 40 and Stirling's series there; reflected below 0."""
    if x != x or x == math.inf or x == 0:
        return -math.copysign(math.inf, x) if x == 0 else x
    if x == -math.inf or _is_pole(x):
        return math.nan
    if x < 0:
        r = x - round(x)
        return digamma(1 - x) - (math.pi / math.tan(math.pi * r) if abs(r) < 0.5 else 0.0)
    with decimal.localcontext(PRECISE):
        y, total = Decimal(x), Decimal(0)
        while y < 40:
            total += 1 / y
            y += 1
        series = sum(b / (2 * k * y ** (2 * k)) for k, b in enumerate(_BERNOULLI, start=1))
        return float(y.ln() - 1 / (2 * y) - series - total)


def polygamma(n: int) -> Callable[[float], float]:
    """The n-th derivative of digamma, 1 <= n <= 3: by the recurrence and the series, reflected below 0."""

    def above(x: float) -> float:
        sign = (-1) ** (n + 1)
        if x == 0 or x == math.inf:
            return sign * 0.0 if x else math.inf if n % 2 else -math.copysign(math.inf, x)
        with decimal.localcontext(PRECISE):
            y, total = Decimal(x), Decimal(0)
            while y < 40:
                total += math.factorial(n) / y ** (n + 1)
                y += 1
            total += math.factorial(n - 1) / y**n + math.factorial(n) / (2 * y ** (n + 1))
            for k, b in enumerate(_BERNOULLI, start=1):
                total += b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) / y ** (2 * k + n)
            return float(sign * total)

    def at(x: float) -> float:
        if not x < 0:
            return above(x)
        if x == -math.inf or _is_pole(x):
            return math.nan if n == 2 or x == -math.inf else math.inf
        r = x - round(x)
        s, c = math.sin(math.pi * r), math.cos(math.pi * r) if abs(r) < 0.5 else 0.0
        if abs(s) < 1e-60:
            return math.inf if n % 2 else -math.copysign(math.inf, s)
        turned = ((math.pi / s) ** 2, -2 * math.pi**3 * c / s**3, 2 * math.pi**4 * (1 + 2 * c * c) / s**4)[n - 1]
        return turned + (-1.0) ** n * above(1 - x)

    return lambda x: x if x != x else at(x)
