"""Bessel functions in decimals: power series where they have digits left, asymptotic series beyond."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from graphc.extended.functions import INFINITY, NAN, ONE, ZERO, cos, more, pi, sin
from graphc.extended.steady import digits, euler, steady, summed

Function = Callable[[Decimal], Decimal]


def _far(order: int = 0) -> Decimal:
    """From here on the asymptotic series have all digits: they err by exp(-2x) or so, once x is beyond the square of the order."""
    return Decimal("1.2") * digits() + 20 + order * order


def _power_series(n: int, x: Decimal, sign: int) -> Decimal:
    """I_n (sign 1) or J_n (sign -1) of x >= 0"""
    half = x / 2
    first = half**n / math.factorial(n) if x else Decimal(int(n == 0))
    return summed(first, lambda k: sign * half * half / (k * (k + n)))


def _logarithmic_series(order: int, x: Decimal, sign: int) -> Decimal:
    """K of order 0 or 1 for sign 1; what belongs to J as K to I for sign -1: -pi/2 Y. Of x > 0."""
    z, harmonic = sign * x * x / 4, [ZERO]

    def coefficient(k: int) -> Decimal:
        harmonic.append(harmonic[-1] + ONE / (k + 1))
        return harmonic[k] if order == 0 else harmonic[k] + harmonic[k + 1]

    total = summed(ONE, lambda k: z / (k * (k + order)), coefficient)
    logarithm = (x / 2).ln() + euler(digits())
    own = _power_series(order, x, sign)
    return total - logarithm * own if order == 0 else 1 / x + sign * (logarithm * own - x / 4 * total)


def _near(f: Callable[..., Decimal], order: int, x: Decimal, sign: int) -> Decimal:
    """A series of terms up to exp(x) with digits for what they cancel"""
    with more(int(x)):
        return f(order, x, sign)


# -- the modified ones -------------------------------------------------------------------------------------------------------------------
def _scaled(n: int, x: Decimal, sign: int) -> Decimal:
    """exp(-x) I_n(x) sqrt(2 pi x) (sign -1) or exp(x) K_n(x) sqrt(2 x / pi) (1), far"""
    return summed(ONE, lambda k: sign * Decimal(4 * n * n - (2 * k - 1) ** 2) / (8 * k * x))


def _ive(n: int, x: Decimal) -> Decimal:
    a = abs(x)
    if a.is_infinite():
        return ZERO
    value = (-a).exp() * _power_series(n, a, 1) if a < _far(n) else _scaled(n, a, -1) / (2 * pi(digits()) * a).sqrt()
    return value.copy_sign(x) if n % 2 else value


def _kve(order: int, x: Decimal) -> Decimal:
    if x <= 0 or x.is_infinite():
        return INFINITY if not x else ZERO if x > 0 else NAN
    return x.exp() * _near(_logarithmic_series, order, x, 1) if x < _far() else _scaled(order, x, 1) * (pi(digits()) / (2 * x)).sqrt()


def ive(n: int) -> Function:
    return steady(lambda x: _ive(n, x))


def _times_exp(value: Decimal, a: Decimal) -> Decimal:
    return value * a.exp() if value else value


def iv(n: int) -> Function:
    return steady(lambda x: x.copy_abs() * (-1 if n % 2 and x < 0 else 1) if x.is_infinite() else _times_exp(_ive(n, x), abs(x)))


def kv(order: int) -> Function:
    return steady(lambda x: _times_exp(_kve(order, x), -x))


def kve(order: int) -> Function:
    return steady(lambda x: _kve(order, x))


def _far_slope(n: int, x: Decimal, sign: int) -> Decimal:
    """The integral of exp(-x s) s**(n - 1/2) (2 + sign s)**(-1/2) over s from 0 on, by the binomial series"""
    first = (pi(digits()) / 2).sqrt() * math.prod(range(1, 2 * n, 2)) / 2**n
    total = summed(first, lambda k: -sign * Decimal((2 * k - 1) * (2 * (n + k) - 1)) / (8 * k * x))
    return total / (x**n * x.sqrt())


def i0e_slope(n: int) -> Function:
    """(-1)**n times the derivative n of exp(-x) I0(x), of |x|"""

    def f(x: Decimal) -> Decimal:
        a = abs(x)
        if a >= _far(n):
            return _far_slope(n, a, -1) / pi(digits()) if a.is_finite() else ZERO
        first = Decimal(math.prod(range(1, 2 * n, 2))) / math.factorial(n)
        return (-2 * a).exp() * summed(first, lambda k: Decimal(2 * k - 1) / (n + k) * a / k)

    return steady(f)


def k0e_slope(n: int) -> Function:
    """(-1)**n times the derivative n of exp(x) K0(x)"""

    def f(x: Decimal) -> Decimal:
        if x <= 0 or x.is_infinite():
            return INFINITY if not x else ZERO if x > 0 else NAN
        if x >= _far(n):
            return _far_slope(n, x, 1)
        before, last = _kve(0, x), _kve(1, x) - _kve(0, x)
        for m in range(n):
            before, last = last, ((m + 1 - 2 * x) * last + (2 * m + 1) * before) / x
        return before

    return steady(f)


# -- the oscillating ones ------------------------------------------------------------------------------------------------------------------
def _oscillation(order: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """J and Y of orders 0 and 1 far from 0, as real and imaginary part"""
    sums, term, k = [ZERO, ZERO], ONE, 0
    while abs(term) > Decimal(1).scaleb(-digits() - 3):
        sums[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term *= Decimal(4 * order * order - (2 * k - 1) ** 2) / (8 * k * x)
    (p, q), s, c = sums, sin(x), cos(x)
    cosine, sine = (c + s, s - c) if order == 0 else (s - c, -c - s)  # of x - pi/4 or x - 3 pi/4, times sqrt(2)
    size = 1 / (pi(digits()) * x).sqrt()
    return size * (p * cosine - q * sine), size * (p * sine + q * cosine)


def _jn(n: int, x: Decimal) -> Decimal:
    a = abs(x)
    if a < _far() or a <= n:
        value = _near(_power_series, n, a, -1)
    elif a.is_infinite():
        return ZERO
    else:
        before, value = _oscillation(0, a)[0], _oscillation(1, a)[0]
        for k in range(1, n):
            before, value = value, 2 * k / a * value - before
        value = value if n else before
    return -value if n % 2 and x < 0 else value


def jn(n: int) -> Function:
    return steady(lambda x: _jn(n, x))


def yn(order: int) -> Function:
    def f(x: Decimal) -> Decimal:
        if x <= 0 or x.is_infinite():
            return -INFINITY if not x else ZERO if x > 0 else NAN
        return -2 / pi(digits()) * _near(_logarithmic_series, order, x, -1) if x < _far() else _oscillation(order, x)[1]

    return steady(f)


BESSEL: dict[str, Function] = {
    "i0": iv(0), "i1": iv(1), "i0e": ive(0), "i1e": ive(1), "k0": kv(0), "k1": kv(1), "k0e": kve(0), "k1e": kve(1),
    "j0": jn(0), "j1": jn(1), "y0": yn(0), "y1": yn(1),
}  # fmt: skip
BESSEL_FAMILIES: dict[str, Callable[[int], Function]] = {"iv": iv, "ive": ive, "jn": jn, "i0e_slope": i0e_slope, "k0e_slope": k0e_slope}
