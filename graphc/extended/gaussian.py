"""The error functions, Dawson's integral, the normal distribution and their inverses in decimals."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from graphc.extended.functions import HALF, INFINITY, NAN, ONE, TWO, ZERO, erf, erf_slope, erfc, log1p, more, pi, size
from graphc.extended.steady import digits, steady, summed

Function = Callable[[Decimal], Decimal]


def root_pi() -> Decimal:
    return pi(digits()).sqrt()


def _is_far(x: Decimal) -> bool:
    """Whether the asymptotic series in 1 / (2 x**2) have all digits."""
    return x * x > Decimal("2.4") * digits() + 10


def _asymptotic(order: int, x: Decimal, sign: int) -> Decimal:
    """A derivative of the sum of (sign / (2 x**2))**k (2k - 1)!! / x over k, whose recurrences cancel all there is"""
    first = (-1) ** order * Decimal(math.factorial(order)) / x ** (order + 1)
    return summed(first, lambda k: sign * Decimal((2 * k + order) * (2 * k + order - 1)) / (4 * k * x * x))


# -- exp(x**2) erfc(x) and Dawson's integral, and their derivatives --------------------------------------------------------------
def _erfcx(x: Decimal, order: int = 0) -> Decimal:
    """By f' = 2x f - 2 / sqrt(pi) and f^(k+1) = 2x f^(k) + 2k f^(k-1)"""
    if x > 0 and _is_far(x):
        return _asymptotic(order, x, -1) / root_pi()
    before, last = 2 / root_pi(), (x * x).exp() * erfc(x)
    for k in range(order):
        before, last = last, 2 * x * last + (2 * k * before if k else -before)
    return last


def _dawsn(x: Decimal, order: int = 0) -> Decimal:
    """By f' = 1 - 2x f and f^(k+1) = -2x f^(k) - 2k f^(k-1)"""
    if _is_far(x):
        return _asymptotic(order, x, 1) / 2
    before, last = ONE, (-x * x).exp() * summed(x, lambda k: x * x / k, lambda k: ONE / (2 * k + 1))
    for k in range(order):
        before, last = last, -2 * x * last + (-2 * k * before if k else before)
    return last


def erfcx(order: int) -> Function:
    """A derivative of it"""
    return steady(lambda x: _erfcx(x, order) if x.is_finite() else ZERO if x > 0 else (-1) ** order * INFINITY)


def dawsn(order: int) -> Function:
    """A derivative of it"""
    return steady(lambda x: _dawsn(x, order) if x.is_finite() and (x or order % 2) else ZERO)


@steady
def erfi(x: Decimal) -> Decimal:
    if not x or x.is_infinite():
        return x
    return 2 / root_pi() * (x * x).exp() * _dawsn(x)


@steady
def erfi_slope(x: Decimal) -> Decimal:
    return 2 / root_pi() * (x * x).exp()


# -- inverses ----------------------------------------------------------------------------------------------------------------------
def _newton(y: Decimal, step: Function) -> Decimal:
    """y less steps, until they are below its digits."""
    for _ in range(200):
        d = step(y)
        y -= d
        if abs(d) <= abs(y).scaleb(-(digits() * 2) // 3):
            return y - step(y)
    return y


def _inverse_small(x: Decimal) -> Decimal:
    """y with erf(y) = x, |x| <= 1/2"""
    return _newton(x * root_pi() / 2, lambda y: (erf(y) - x) / erf_slope(y)) if x else x


def _inverse_tail(q: Decimal) -> Decimal:
    """y with erfc(y) = q <= 1/2: Newton's method for the logarithm, which is concave."""
    wanted = q.ln()
    return _newton((-wanted).sqrt(), lambda y: -(erfc(y).ln() - wanted) * _erfcx(y) * root_pi() / 2)


def _erfinv(x: Decimal) -> Decimal:
    if abs(x) >= 1:
        return INFINITY.copy_sign(x) if abs(x) == 1 else NAN
    return _inverse_small(x) if abs(x) <= HALF else _inverse_tail(1 - abs(x)).copy_sign(x)


def _erfcinv(x: Decimal) -> Decimal:
    if x <= 0 or x >= 2:
        return INFINITY if not x else -INFINITY if x == 2 else NAN
    return _inverse_tail(x) if x < HALF else -_inverse_tail(2 - x) if x > ONE + HALF else _inverse_small(1 - x)


def _ndtri(x: Decimal) -> Decimal:
    return -TWO.sqrt() * _erfcinv(2 * x)


def _exp_of_square(y: Decimal) -> Decimal:
    return (y * y).exp()


# -- the normal distribution ----------------------------------------------------------------------------------------------------------
@steady
def ndtr(x: Decimal) -> Decimal:
    return erfc(-x / TWO.sqrt()) / 2


@steady
def ndtr_slope(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * pi(digits())).sqrt()


@steady
def log_ndtr(x: Decimal) -> Decimal:
    if x.is_infinite():
        return x if x < 0 else ZERO
    y = x / TWO.sqrt()
    return log1p(-erfc(y) / 2) if x > -1 else (_erfcx(-y) / 2).ln() - y * y


def log_ndtr_derivative(order: int) -> Function:
    """m = density / ndtr, -m (x + m), m ((x + m) (x + 2m) - 1)"""

    def f(x: Decimal) -> Decimal:
        if x.is_infinite():
            return ZERO if x > 0 or order == 3 else INFINITY if order == 1 else -ONE
        with more(6 * size(x)):  # x + m is as small as 1 / x
            m = (2 / pi(digits())).sqrt() / _erfcx(-x / TWO.sqrt())
            return (m, -m * (x + m), m * ((x + m) * (x + 2 * m) - 1))[order - 1]

    return steady(f)


NAMES = ("", "_slope", "_curve", "_third")
GAUSSIAN: dict[str, Callable[..., Decimal]] = {
    **{f"erfcx{name}": erfcx(k) for k, name in enumerate(NAMES)},
    **{f"dawsn{name}": dawsn(k) for k, name in enumerate(NAMES)},
    **{f"log_ndtr{name}": log_ndtr_derivative(k) for k, name in enumerate(NAMES) if k},
    "erfi": erfi, "erfi_slope": erfi_slope, "erfinv": steady(_erfinv), "erfcinv": steady(_erfcinv), "ndtri": steady(_ndtri),
    "erfcinv_slope": steady(lambda x: -root_pi() / 2 * _exp_of_square(_erfcinv(x))),
    "ndtri_slope": steady(lambda x: (2 * pi(digits())).sqrt() * _exp_of_square(_erfcinv(2 * x))),
    "ndtr": ndtr, "ndtr_slope": ndtr_slope, "log_ndtr": log_ndtr,
}  # fmt: skip
