"""The gamma function, its logarithm and the derivatives of that in decimals, and what entropies are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

from graphc.extended.functions import HALF, INFINITY, NAN, ONE, ZERO, log1p, pi, size
from graphc.extended.steady import bernoulli, digits, sine_and_cosine_of_pi, steady


def _is_pole(x: Decimal) -> bool:
    return x <= 0 and x == x.to_integral_value()


def _shift(x: Decimal, orders: int = 0) -> int:
    """How many steps of 1 bring x >= 1/2 to where the series in 1 / x**2 have all digits."""
    return max(0, int((digits() + orders - x).to_integral_value(ROUND_CEILING))) if x < digits() + orders else 0


def _stirling(x: Decimal) -> Decimal:
    """log(gamma(x)) for x beyond the digits"""
    total, power = (x - HALF) * x.ln() - x + (2 * pi(digits())).ln() / 2, x
    for k, b in enumerate(bernoulli(), 1):
        term = b / (2 * k * (2 * k - 1) * power)
        total += term
        power *= x * x
        if size(term) < size(total) - digits() - 3:
            return total
    raise AssertionError("there are Bernoulli numbers enough")


def _product(x: Decimal, count: int) -> Decimal:
    """x (x + 1) .. (x + count - 1)"""
    total = ONE
    for k in range(count):
        total *= x + k
    return total


def _gamma(x: Decimal) -> Decimal:
    if x.is_infinite() or _is_pole(x):
        return (x if x > 0 else NAN) if x else INFINITY.copy_sign(x)
    if x < HALF:
        return pi(digits()) / (sine_and_cosine_of_pi(x)[0] * _gamma(1 - x))
    n = _shift(x)
    return _stirling(x + n).exp() / _product(x, n)


def _gammaln(x: Decimal) -> Decimal:
    if x.is_infinite() or _is_pole(x):
        return INFINITY
    if x in (1, 2):
        return ZERO
    if x < HALF:
        return (pi(digits()) / abs(sine_and_cosine_of_pi(x)[0])).ln() - _gammaln(1 - x)
    n = _shift(x)
    return _stirling(x + n) - _product(x, n).ln()


def _digamma(x: Decimal) -> Decimal:
    if x.is_infinite() or _is_pole(x):
        return (x if x > 0 else NAN) if x else INFINITY.copy_sign(-x)
    if x < HALF:
        sine, cosine = sine_and_cosine_of_pi(x)
        return _digamma(1 - x) - pi(digits()) * cosine / sine
    n = _shift(x)
    a = x + n
    total = a.ln() - 1 / (2 * a) - sum((1 / (x + k) for k in range(n)), ZERO)
    power = a * a
    for k, b in enumerate(bernoulli(), 1):
        term = b / (2 * k * power)
        total -= term
        power *= a * a
        if size(term) < size(total) - digits() - 3:
            break
    return total


def _hurwitz(s: int, x: Decimal) -> Decimal:
    """The sum of (x + k)**-s over k >= 0, by Euler and Maclaurin"""
    n = _shift(x, s)
    a = x + n
    total = sum(((x + k) ** -s for k in range(n)), ZERO) + a ** (1 - s) / (s - 1) + a**-s / 2
    factor = s * a ** (-s - 1) / 2  # s (s + 1) .. (s + 2j - 2) / (2j)! a**-(s + 2j - 1)
    for j, b in enumerate(bernoulli(), 1):
        term = b * factor
        total += term
        factor *= (s + 2 * j - 1) * (s + 2 * j) / (a * a * (2 * j + 1) * (2 * j + 2))
        if size(term) < size(total) - digits() - 3:
            break
    return total


def _cotangent_derivative(n: int, x: Decimal) -> Decimal:
    """pi d**n/dx**n cot(pi x): d/dx of a polynomial q of the cotangent is -pi (1 + c**2) q'(c)"""
    q = [0, 1]
    for _ in range(n):
        slopes = [j * v for j, v in enumerate(q)][1:]
        q = [-((slopes[j] if j < len(slopes) else 0) + (slopes[j - 2] if j > 1 else 0)) for j in range(len(slopes) + 2)]
    sine, cosine = sine_and_cosine_of_pi(x)
    c, total = cosine / sine, ZERO
    for v in reversed(q):
        total = total * c + v
    return pi(digits()) ** (n + 1) * total


def polygamma(n: int) -> Callable[[Decimal], Decimal]:
    """The derivative n of digamma"""
    sign = 1 if n % 2 else -1

    def f(x: Decimal) -> Decimal:
        if _is_pole(x):
            return INFINITY if n % 2 else INFINITY.copy_sign(-x) if not x else NAN
        if x.is_infinite():
            return ZERO if x > 0 else NAN
        if x < HALF:
            return f(1 - x) * (-1 if n % 2 else 1) - _cotangent_derivative(n, x)
        return sign * math.factorial(n) * _hurwitz(n + 1, x)

    return steady(f) if n else steady(_digamma)


# -- entropies ----------------------------------------------------------------------------------------------------------------------
@steady
def logit(x: Decimal) -> Decimal:
    if x <= 0 or x >= 1:
        return -INFINITY if not x else INFINITY if x == 1 else NAN
    return x.ln() - log1p(-x) if x != HALF else ZERO


@steady
def log_ratio(x: Decimal, y: Decimal) -> Decimal:
    return x.ln() - y.ln() if x >= 0 and y >= 0 else NAN


@steady
def rel_entr(x: Decimal, y: Decimal) -> Decimal:
    if x > 0 and y > 0:
        return x * (x.ln() - y.ln()) if x != y else ZERO
    return ZERO if not x and y >= 0 else INFINITY


@steady
def kl_div(x: Decimal, y: Decimal) -> Decimal:
    if x > 0 and y > 0:
        return x * (x.ln() - y.ln()) - x + y if x != y else ZERO
    return y if not x and y >= 0 else INFINITY


# -- beta ---------------------------------------------------------------------------------------------------------------------------
@steady
def beta_large(a: Decimal, b: Decimal) -> Decimal:
    return (_gammaln(a) + _gammaln(b) - _gammaln(a + b)).exp() if a > 0 and b > 0 and a + b >= 4 else NAN


GAMMA: dict[str, Callable[..., Decimal]] = {
    "gamma": steady(_gamma), "gammaln": steady(_gammaln), "digamma": polygamma(0), "digamma_slope": polygamma(1),
    "digamma_curve": polygamma(2), "digamma_third": polygamma(3), "logit": logit, "log_ratio": log_ratio, "rel_entr": rel_entr,
    "kl_div": kl_div, "beta_large": beta_large,
}  # fmt: skip
