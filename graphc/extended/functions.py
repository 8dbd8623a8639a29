"""The functions of the scalar language on decimal floats, to the precision of the decimal context.

Each works with a few digits more than it is asked for, and with as many more as its formula cancels. Where a function has no value the
result is nan; nothing raises: the context of `graphc.extended.evaluate` traps nothing.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache

ZERO, ONE, TWO, HALF = Decimal(0), Decimal(1), Decimal(2), Decimal("0.5")
INFINITY, NAN = Decimal("Infinity"), Decimal("NaN")
GUARD = 10  # digits more, for a few hundred roundings


@contextmanager
def more(extra: int = 0) -> Iterator[int]:
    """A context with GUARD + extra digits more; gives the number of digits."""
    with decimal.localcontext() as context:
        context.prec += GUARD + max(extra, 0)
        yield context.prec


def size(x: Decimal) -> int:
    """The decimal exponent of the leading digit: 0 for 1 <= |x| < 10; 0 for what has none."""
    return x.adjusted() if x.is_finite() and x else 0


def working(f: Callable[..., Decimal]) -> Callable[..., Decimal]:
    """f with GUARD digits more on the way, rounded at the end; nan of nan."""

    def rounded(*args: Decimal) -> Decimal:
        if any(a.is_nan() for a in args):
            return NAN
        with more():
            found = f(*args)
        return +found

    return rounded


# -- exponentials and logarithms ----------------------------------------------------------------------------------------------
@working
def expm1(x: Decimal) -> Decimal:
    if not x or x == INFINITY:
        return x
    with more(-size(x)) as digits:
        return x + x * x / 2 if -size(x) > digits // 2 else x.exp() - 1


@working
def log1p(x: Decimal) -> Decimal:
    if not x:
        return x
    with more(-size(x)) as digits:
        return x - x * x / 2 if -size(x) > digits // 2 else (1 + x).ln()


def exp2(x: Decimal) -> Decimal:
    return power(TWO, x)


@working
def log2(x: Decimal) -> Decimal:
    return x.ln() / TWO.ln()


@working
def power(x: Decimal, y: Decimal) -> Decimal:
    """x**y as floats have it: x**0 = 1, 0**-y = inf, 1 and -1 to an infinite power 1."""
    if not y or x == 1 or (y.is_infinite() and abs(x) == 1):
        return ONE
    if y.is_infinite():
        return ZERO if (abs(x) < 1) == (y > 0) else INFINITY
    if not x:
        odd = y == y.to_integral_value() and y % 2 != 0
        found = ZERO if y > 0 else INFINITY
        return found.copy_sign(x) if odd else found
    return x**y


@working
def logaddexp(x: Decimal, y: Decimal) -> Decimal:
    high, low = (x, y) if x >= y else (y, x)
    return high if high == low and high.is_infinite() else high + log1p((low - high).exp())


@working
def logaddexp2(x: Decimal, y: Decimal) -> Decimal:
    high, low = (x, y) if x >= y else (y, x)
    return high if high == low and high.is_infinite() else high + log1p(exp2(low - high)) / TWO.ln()


@working
def cbrt(x: Decimal) -> Decimal:
    return (abs(x) ** (ONE / 3)).copy_sign(x) if x and x.is_finite() else x


@working
def hypot(x: Decimal, y: Decimal) -> Decimal:
    return (x * x + y * y).sqrt()


# -- sigmoids and hyperbolic functions ----------------------------------------------------------------------------------------
@working
def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp()) if x >= 0 else x.exp() / (1 + x.exp())


@working
def softplus(x: Decimal) -> Decimal:
    return log1p(x.exp()) if x <= 0 else x + log1p((-x).exp())


def log_sigmoid(x: Decimal) -> Decimal:
    return -softplus(-x)


@working
def sigmoid_slope(x: Decimal) -> Decimal:
    e = (-abs(x)).exp()
    return e / ((1 + e) * (1 + e))


def tanh_slope(x: Decimal) -> Decimal:
    return 4 * sigmoid_slope(2 * x)


@working
def sinh(x: Decimal) -> Decimal:
    e = expm1(abs(x))
    return ((e + e / (e + 1)) / 2 if e.is_finite() else e).copy_sign(x)


@working
def cosh(x: Decimal) -> Decimal:
    e = abs(x).exp()
    return (e + 1 / e) / 2


@working
def tanh(x: Decimal) -> Decimal:
    e = expm1(-2 * abs(x))
    return (-e / (2 + e)).copy_sign(x)


@working
def asinh(x: Decimal) -> Decimal:
    a = abs(x)
    return (log1p(a + a * a / (1 + (1 + a * a).sqrt())) if a.is_finite() else a).copy_sign(x)


@working
def acosh(x: Decimal) -> Decimal:
    t = x - 1
    return log1p(t + (t * (t + 2)).sqrt()) if t >= 0 else NAN


@working
def atanh(x: Decimal) -> Decimal:
    a = abs(x)
    return (log1p(2 * a / (1 - a)) / 2 if a <= 1 else NAN).copy_sign(x)


# -- circular functions ---------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=64)
def pi(digits: int) -> Decimal:
    """By Machin: 16 arctan(1/5) - 4 arctan(1/239), in whole numbers."""
    unit = int(10 ** (digits + GUARD))

    def inverse(n: int) -> int:
        term = total = unit // n
        k = 1
        while term:
            term //= -n * n
            k += 2
            total += term // k
        return total

    with decimal.localcontext() as context:
        context.prec = digits + GUARD
        return Decimal(4 * (4 * inverse(5) - inverse(239))) / Decimal(unit)


def _turned(x: Decimal) -> tuple[Decimal, Decimal, int]:
    """sin(r), cos(r), k for x = r + k pi/2, |r| <= pi/4."""
    with more(size(x)) as digits:
        right = pi(digits) / 2
        k = (x / right).to_integral_value()
    with more(size(x) + 320) as digits:  # doubles come within 1e-20 of a multiple of pi/2, their sums nearer
        r = x - k * (pi(digits) / 2)
    small = r / 256
    term, total, n, s = small, small, 1, small * small
    while term and size(term) > size(total) - decimal.getcontext().prec - 1:
        term = -term * s / ((n + 1) * (n + 2))
        n += 2
        total += term
    sine, versine = total, 2 * _half_sine(total)  # versine = 1 - cos, which does not cancel
    for _ in range(8):
        sine, versine = 2 * sine * (1 - versine), 2 * sine * sine
    return sine, 1 - versine, int(k) % 4


def _half_sine(sine: Decimal) -> Decimal:
    """sin(r/2)**2 of a small sin(r)."""
    s = sine * sine
    return s / (2 * (1 + (1 - s).sqrt()))


@working
def sin(x: Decimal) -> Decimal:
    if not x or x.is_infinite():
        return x if not x else NAN
    sine, cosine, k = _turned(x)
    return (sine, cosine, -sine, -cosine)[k]


@working
def cos(x: Decimal) -> Decimal:
    if x.is_infinite():
        return NAN
    sine, cosine, k = _turned(x)
    return (cosine, -sine, -cosine, sine)[k]


@working
def tan(x: Decimal) -> Decimal:
    return sin(x) / cos(x)


@working
def atan(x: Decimal) -> Decimal:
    if not x:
        return x
    if abs(x) > 1:
        return (pi(decimal.getcontext().prec) / 2 - atan(1 / abs(x))).copy_sign(x)
    for _ in range(6):  # atan(x) = 2 atan(x / (1 + sqrt(1 + x**2)))
        x = x / (1 + (1 + x * x).sqrt())
    term, total, n, s = x, x, 1, x * x
    while term and size(term) > size(total) - decimal.getcontext().prec - 1:
        term = -term * s
        n += 2
        total += term / n
    return 64 * total


@working
def asin(x: Decimal) -> Decimal:
    if abs(x) > 1:
        return NAN
    root = ((1 - x) * (1 + x)).sqrt()
    return atan(x / root) if root else (pi(decimal.getcontext().prec) / 2).copy_sign(x)


@working
def acos(x: Decimal) -> Decimal:
    if abs(x) > 1:
        return NAN
    return 2 * atan(((1 - x) / (1 + x)).sqrt()) if x != -1 else pi(decimal.getcontext().prec)


@working
def atan2(y: Decimal, x: Decimal) -> Decimal:
    straight = pi(decimal.getcontext().prec)
    if x.is_infinite() and y.is_infinite():
        angle = straight / 4
    elif not y and not x:
        angle = ZERO
    else:
        angle = straight / 2 if not x else atan(abs(y / x))
    return (straight - angle if x.is_signed() else angle).copy_sign(y)


@working
def fmod(x: Decimal, y: Decimal) -> Decimal:
    if x.is_infinite() or not y:
        return NAN
    with more(size(x) - size(y)):
        return x % y


# -- the error function ---------------------------------------------------------------------------------------------------------
FAR = 30  # from here on the asymptotic series of erfc has more than 300 digits


@working
def erf_slope(x: Decimal) -> Decimal:
    return 2 / pi(decimal.getcontext().prec).sqrt() * (-x * x).exp()


@working
def erf(x: Decimal) -> Decimal:
    """2 / sqrt(pi) e**-x**2 (x + 2x**3/3 + 4x**5/15 + ..): no term is negative."""
    if abs(x) > FAR:
        return (1 - erfc(abs(x))).copy_sign(x)
    term, total, n, s = x, x, 1, 2 * x * x
    while term and size(term) > size(total) - decimal.getcontext().prec - 1:
        n += 2
        term = term * s / n
        total += term
    return total * erf_slope(x)


@working
def erfc(x: Decimal) -> Decimal:
    if x <= FAR:
        with more(int(x * x / 2) if x > 0 else 0):
            return 1 - erf(x)
    if x.is_infinite():
        return ZERO
    term, total, n, s = ONE, ONE, 1, 2 * x * x
    while size(term) > -decimal.getcontext().prec and n < s:
        term = -term * n / s
        n += 2
        total += term
    return total * erf_slope(x) / (2 * x)


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "exp": lambda x: x.exp(), "exp2": exp2, "expm1": expm1, "log": lambda x: x.ln(), "log1p": log1p, "log2": log2,
    "log10": lambda x: x.log10(), "pow": power, "logaddexp": logaddexp, "sigmoid": sigmoid, "softplus": softplus,
    "log_sigmoid": log_sigmoid, "sigmoid_slope": sigmoid_slope, "tanh_slope": tanh_slope, "sinh": sinh, "cosh": cosh, "tanh": tanh,
    "asinh": asinh, "acosh": acosh, "atanh": atanh, "sin": sin, "cos": cos, "tan": tan, "asin": asin, "acos": acos, "atan": atan,
    "cbrt": cbrt, "hypot": hypot, "logaddexp2": logaddexp2, "atan2": atan2, "fmod": fmod, "erf": erf, "erfc": erfc, "erf_slope": erf_slope,
}  # fmt: skip
