"""The incomplete gamma functions as mpmath can have them over the whole range: series, continued fraction, quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special

from graphc.ops.special import incomplete_reference as reference
from tests.special_reference import Reference

INF = math.inf


def _exponent(a: Any, x: Any) -> Any:
    """-log(x**a e**-x / gamma(a + 1)), with the digits that cancel"""
    with mp.workprec(mp.mp.prec + max(0, mp.mag(a), mp.mag(x))):
        if a < 1000:
            return x - a * mp.log(x) + mp.loggamma(a + 1)
        rest = mp.fsum(mp.bernoulli(2 * j) / (2 * j * (2 * j - 1) * a ** (2 * j - 1)) for j in range(1, 14))
        return (x - a) - a * mp.log(x / a) + mp.log(2 * mp.pi * a) / 2 + rest


def _integral(a: Any, x: Any, sign: int, power: int = 0) -> Any:
    """The integral of v**power e**-(x (e**(s v) - 1 - s v) + s (x - a) v), for a large a"""
    more = 2 * max(0, mp.mag(a), mp.mag(x))
    with mp.workprec(120 + more):
        linear, width = sign * (x - a), 14 / mp.sqrt(x)
        end = min(width, 90 / linear) if linear > 0 else width

    def f(v: Any) -> Any:
        with mp.workprec(120 + more):
            return v**power * mp.exp(-(x * (mp.expm1(sign * v) - sign * v) + linear * v))

    with mp.workprec(120):
        return mp.quad(f, [end * k / 4 for k in range(5)], maxdegree=5)


def _series(a: Any, x: Any) -> tuple[Any, Any]:
    """(1 + x / (a + 1) + .., its derivative by a)"""
    total, slope, term, harmonic, k = mp.mpf(1), mp.mpf(0), mp.mpf(1), mp.mpf(0), 0
    while term > total * mp.mpf(2) ** -mp.mp.prec:
        k += 1
        term, harmonic = term * x / (a + k), harmonic + 1 / (a + k)
        total, slope = total + term, slope - term * harmonic
    return total, slope


def lower_upper_slope(a: Any, x: Any) -> tuple[Any, Any, Any]:
    """(gammainc, gammaincc, the derivative of gammainc by a), for a >= 0 and x > 0"""
    e = _exponent(a, x)
    if e > 3000:
        return (mp.mpf(1), mp.mpf(0), mp.mpf(0)) if x > a else (mp.mpf(0), mp.mpf(1), mp.mpf(0))
    factor = mp.exp(-e)
    if a < 3000:
        with mp.workprec(mp.mp.prec + int(e * 1.5) * (x > a) + 20 - min(0, mp.mag(a))):
            factor, score = mp.exp(-_exponent(a, x)), mp.log(x) - mp.digamma(a + 1)
            total, slope = _series(a, x)
            return factor * total, 1 - factor * total, factor * (slope + score * total)
    sign = 1 if x > a else -1
    with mp.workprec(mp.mp.prec + mp.mag(a)):
        score = 1 + a * (mp.log(x) - mp.digamma(a + 1))
    tail = factor * a * _integral(a, x, sign)
    slope = factor * (sign * a * _integral(a, x, sign, 1) + score * _integral(a, x, sign))
    return (1 - tail, tail, -slope) if sign > 0 else (tail, 1 - tail, slope)


def _of(which: int) -> Callable[..., Any]:
    return lambda a, x: mp.nan if a < 0 or x < 0 else lower_upper_slope(a, x)[which]


def density(a: Any, x: Any) -> Any:
    return mp.nan if a < 0 or x < 0 else mp.exp(-_exponent(a, x)) * a / x


def log_less_digamma(a: Any, x: Any) -> Any:
    if a < 0 or x < 0:
        return mp.nan
    with mp.workprec(mp.mp.prec + max(0, mp.mag(a))):
        return mp.log(x) - mp.digamma(a)


def beta(a: Any, b: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """(betainc, its derivatives by a and b, and by x), of moderate parameters; beyond the mean of the other side, which has the digits"""
    with mp.workprec(260):
        if x * (a + b) > a:
            value, by_b, by_a, density = _below_mean(b, a, 1 - x)
            return 1 - value, -by_a, -by_b, density
        return _below_mean(a, b, x)


def _below_mean(a: Any, b: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    with mp.workprec(260):
        f = lambda a, b: mp.betainc(a, b, 0, x, regularized=True)
        h = mp.mpf(2) ** -70
        by_a, by_b = (f(a * (1 + h), b) - f(a * (1 - h), b)) / (2 * a * h), (f(a, b * (1 + h)) - f(a, b * (1 - h))) / (2 * b * h)
        return f(a, b), by_a, by_b, x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b)


def _of_beta(which: int) -> Callable[..., Any]:
    names = ("betainc", "betainc_slope_a", "betainc_slope_b", "beta_density")

    def at(a: Any, b: Any, x: Any) -> Any:
        if 1e-3 < a < 1e3 and 1e-3 < b < 1e3 and 0 < x < 1:
            return beta(a, b, x)[which]
        return mp.mpf(getattr(reference, names[which])(float(a), float(b), float(x)))  # outside, at its ends, and where it is 0 or 1

    return at


def beta_large(a: Any, b: Any) -> Any:
    if a <= 0 or b <= 0 or a + b < 4:
        return mp.nan
    with mp.workprec(120 + 2 * max(0, mp.mag(a), mp.mag(b)) - min(0, mp.mag(a), mp.mag(b))):
        e = _exponent(a, a + b) + _exponent(b, a + b) - _exponent(a + b, a + b)  # of powers of a + b, which cancel
        return mp.exp(e - (a + b)) * (a + b) / a / b if e - (a + b) > -3000 else mp.mpf(0)


EXACT = {
    "beta_large": beta_large,
    "betainc": _of_beta(0), "betainc_slope_a": _of_beta(1), "betainc_slope_b": _of_beta(2), "beta_density": _of_beta(3),
    "gammainc": _of(0), "gammaincc": _of(1), "gammainc_slope": _of(2), "gamma_density": density, "log_less_digamma": log_less_digamma,
}  # fmt: skip


def _arrays(name: str) -> Callable[..., np.ndarray]:
    """At zeros, infinities and nan: SciPy's, where it has the function"""
    ufunc = getattr(scipy.special, name, None)
    return ufunc if ufunc is not None else np.vectorize(getattr(reference, name), otypes=[np.float64])  # type: ignore[return-value]


NUMPY = {name: _arrays(name) for name in EXACT}
_OF_GAMMA = ((0, 20), (0, 1), (90, 130), (0, 0.3))
RANGES = {name: ((0, 1), (0, 1), (0, 1)) if name.startswith("beta") else _OF_GAMMA for name in EXACT}
RANGES["beta_large"] = ((0, 9), (0, 60), (0, 1))
SHARES = {name: 3000 if name.startswith("beta") else 12 for name in EXACT} | {"beta_large": 12}
SCALE = {"log_less_digamma": lambda a, x: max(abs(log_less_digamma(a, x)), 1, abs(a * mp.psi(1, a)) if a > 0 else 1)}
REFERENCES = {name: Reference(EXACT[name], NUMPY[name], RANGES[name], SCALE.get(name), SHARES[name]) for name in EXACT}
DERIVATIVES: dict[str, Any] = {}
DOMAINS: dict[str, Any] = {}
SINGULAR: dict[str, Any] = {}
