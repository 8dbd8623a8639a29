"""Exact values of the Bessel functions, for `tests.ulp`."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
from tests.piecewise_bessel import amplitude, i0e, k0e
from tests.ulp_reference import Reference, numpy_of

Real = Callable[..., mp.mpf]
TOP = mp.mpf(10) ** 4000  # beyond what any type holds


def _above(f: Real, at_zero: mp.mpf = mp.inf) -> Real:
    """f for x > 0, nan below"""
    return lambda x: f(x) if x > 0 else mp.nan if x else at_zero


def _even(f: Real) -> Real:
    return lambda x: f(abs(x))


def _odd(f: Real) -> Real:
    return lambda x: mp.sign(x) * f(abs(x))


def _i(n: int) -> Real:
    return lambda x: TOP if x > 3000 else mp.besseli(n, x)


def _k(n: int) -> Real:
    return lambda x: mp.mpf(0) if x > 3000 else mp.besselk(n, x)


def _i1e(x: mp.mpf) -> mp.mpf:
    return mp.exp(-x) * mp.besseli(1, x) if x < 200 else i0e(0)(x) - i0e(1)(x)


def _k1e(x: mp.mpf) -> mp.mpf:
    return mp.exp(x) * mp.besselk(1, x) if x < 200 else k0e(0)(x) + k0e(1)(x)


def oscillating(kind: str, order: int) -> Real:
    """J or Y; for large x by the phase, with as many digits as its reduction takes"""

    def f(x: mp.mpf) -> mp.mpf:
        if x < 500:
            return mp.besselj(order, x) if kind == "j" else mp.bessely(order, x)
        p, q = amplitude(order, 0)(x), amplitude(order, 1)(x)
        with mp.workprec(1400 if x > 1e6 else mp.mp.prec):
            phase = x - order * mp.pi / 2 - mp.pi / 4
            c, s = mp.cos(phase), mp.sin(phase)
        return mp.sqrt(2 / (mp.pi * x)) * (p * c - q * s if kind == "j" else p * s + q * c)

    return f


def _size(kind: str, order: int) -> Real:
    """The larger of |f| and |x f'|, or what is about as large where x is"""
    f, other = oscillating(kind, order), oscillating(kind, 1 - order)

    def g(x: mp.mpf) -> mp.mpf:
        x = abs(x)
        if x > 500:
            return mp.sqrt(2 / (mp.pi * x))
        slope = -other(x) if order == 0 else other(x) - f(x) / x
        return max(abs(f(x)), abs(x * slope))

    return g


def _bessel(exact: Real, *ranges: tuple[float, float], scale: Real | None = None, odd: bool = False) -> Reference:
    return Reference(exact, numpy_of(exact, odd), ranges, scale, share=6)


NEAR, WIDE = (0.0, 3.0), (0.0, 20.0)
REFERENCES: dict[str, Reference] = {
    "i0": _bessel(_even(_i(0)), (-9, 9), (80, 95), (700, 720)),
    "i1": _bessel(_odd(_i(1)), (-9, 9), (80, 95), (700, 720), odd=True),
    "i0e": _bessel(_even(i0e(0)), (-9, 9), (-100, 100)),
    "i1e": _bessel(_odd(_i1e), (-9, 9), (-100, 100), odd=True),
    "k0": _bessel(_above(_k(0)), NEAR, WIDE, (80, 110), (650, 745)),
    "k1": _bessel(_above(_k(1)), NEAR, WIDE, (80, 110), (650, 745)),
    "k0e": _bessel(_above(k0e(0)), NEAR, WIDE, (0, 200)),
    "k1e": _bessel(_above(_k1e), NEAR, WIDE, (0, 200)),
    **{f"i0e_{n}": _bessel(_even(i0e(n)), (-9, 9), (-100, 100)) for n in (1, 2, 3, 4)},
    **{f"k0e_{n}": _bessel(_above(k0e(n)), NEAR, WIDE, (0, 200)) for n in (1, 2, 3, 4)},
    "j0": _bessel(_even(oscillating("j", 0)), (-8, 8), (-60, 60), (1e3, 1e9), scale=_size("j", 0)),
    "j1": _bessel(_odd(oscillating("j", 1)), (-8, 8), (-60, 60), (1e3, 1e9), scale=_size("j", 1), odd=True),
    "y0": _bessel(_above(oscillating("y", 0), -mp.inf), (0, 8), (0, 60), (1e3, 1e9), scale=_size("y", 0)),
    "y1": _bessel(_above(oscillating("y", 1), -mp.inf), (0, 8), (0, 60), (1e3, 1e9), scale=_size("y", 1)),
}  # fmt: skip
