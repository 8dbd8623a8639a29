"""Exact values and derivatives of the Bessel functions, in mpmath, for every test that walks the rows."""

from __future__ import annotations

import functools
from collections.abc import Callable

import mpmath as mp

from tests.piecewise_bessel import amplitude, i0e, k0e, k_series
from tests.special_reference import Reference, numpy_of

Real = Callable[..., mp.mpf]
TOP = mp.mpf(10) ** 4000  # beyond what any type holds
FAR = 500  # where asymptotic series are exact


def _above(f: Real, at_zero: mp.mpf = mp.inf) -> Real:
    """f for x > 0, nan below"""
    return lambda x: f(x) if x > 0 else mp.nan if x else at_zero


def _i(n: int, x: mp.mpf) -> mp.mpf:
    if abs(x) > 3000:
        return TOP * mp.sign(x) ** n
    return mp.besseli(n, x)


def _k(n: int, x: mp.mpf) -> mp.mpf:
    if x > 3000:
        return mp.mpf(0)
    with mp.workprec(mp.mp.prec + 30):
        before, last = (mp.exp(-x) * k0e(0)(x), mp.exp(-x) * (k0e(0)(x) + k0e(1)(x))) if x > 70 else k_series(x)
        for k in range(1, n):
            before, last = last, before + 2 * k / x * last
        return last if n else before


def _i1e(x: mp.mpf, order: int = 0) -> mp.mpf:
    """exp(-x) I1(x) = h(x) for x > 0, extended as an odd function, or a derivative of it"""
    size = abs(x)
    if size < 200 and order == 0:
        return mp.exp(-size) * mp.besseli(1, x)
    h = (-1) ** order * (i0e(order)(size) - i0e(order + 1)(size))
    return h if x >= 0 or order % 2 else -h


def _k1e(x: mp.mpf) -> mp.mpf:
    return k0e(0)(x) + k0e(1)(x)


@functools.cache
def _phase(order: int, x: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    with mp.workprec(1400 if x > 1e6 else mp.mp.prec):
        phase = x - order * mp.pi / 2 - mp.pi / 4
        return mp.cos(phase), mp.sin(phase)


def oscillating(kind: str, n: int, x: mp.mpf) -> mp.mpf:
    """J_n or Y_n, kept: derivatives need neighbours again and again."""
    return _oscillating(kind, n, x, mp.mp.prec)


@functools.lru_cache(maxsize=4096)
def _oscillating(kind: str, n: int, x: mp.mpf, precision: int) -> mp.mpf:
    """J_n or Y_n; for large x by the phase, with as many digits as its reduction takes, and by the recurrence"""
    if n < 0:
        return (-1) ** n * oscillating(kind, -n, x)
    if x < 0:
        return (-1) ** n * oscillating(kind, n, -x)
    if x < FAR:
        return mp.besselj(n, x) if kind == "j" else mp.bessely(n, x)
    if n > 1:
        return 2 * (n - 1) / x * oscillating(kind, n - 1, x) - oscillating(kind, n - 2, x)
    p, q = amplitude(n, 0)(x), amplitude(n, 1)(x)
    c, s = _phase(n, x)
    return mp.sqrt(2 / (mp.pi * x)) * (p * c - q * s if kind == "j" else p * s + q * c)


def _size(kind: str, order: int) -> Real:
    """The larger of |f| and |x f'|, or what is smaller where x is large"""

    def g(x: mp.mpf) -> mp.mpf:
        if abs(x) > FAR:
            return mp.sqrt(2 / (mp.pi * abs(x)))
        slope = (oscillating(kind, order - 1, x) - oscillating(kind, order + 1, x)) / 2
        return max(abs(oscillating(kind, order, x)), abs(x * slope))

    return g


EXACT: dict[str, Real] = {
    "i0": lambda x: _i(0, x), "i1": lambda x: _i(1, x), "i0e": lambda x: i0e(0)(abs(x)), "i1e": _i1e,
    "k0": _above(lambda x: _k(0, x)), "k1": _above(lambda x: _k(1, x)), "k0e": _above(k0e(0)), "k1e": _above(_k1e),
    "j0": lambda x: oscillating("j", 0, x), "j1": lambda x: oscillating("j", 1, x),
    "y0": _above(lambda x: oscillating("y", 0, x), -mp.inf), "y1": _above(lambda x: oscillating("y", 1, x), -mp.inf),
}  # fmt: skip
ODD = ("i1", "i1e", "j1")
NUMPY = {name: numpy_of(f, name in ODD) for name, f in EXACT.items()}
POSITIVE = [name for name in EXACT if name[0] in "ky"]
_SCALE = {name: _size(name[0], int(name[1])) for name in ("j0", "j1", "y0", "y1")}
_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    **dict.fromkeys(("i0", "i1"), ((-9, 9), (80, 95), (700, 720))), **dict.fromkeys(("i0e", "i1e"), ((-9, 9), (-100, 100))),
    **dict.fromkeys(("k0", "k1"), ((0, 3), (0, 20), (80, 110), (650, 745))), **dict.fromkeys(("k0e", "k1e"), ((0, 3), (0, 20), (0, 200))),
    **dict.fromkeys(("j0", "j1", "y0", "y1"), ((-8, 8), (0, 60), (1e3, 1e9))),
}  # fmt: skip
REFERENCES = {name: Reference(f, NUMPY[name], _RANGES[name], _SCALE.get(name), share=6) for name, f in EXACT.items()}


def _neighbours(f: Callable[[int, mp.mpf], mp.mpf], n: int, sign: int, all_signs: int = 1) -> Real:
    """The derivatives of order 1 to 4 of C_n by C' = all_signs (C_(n-1) + sign C_(n+1)) / 2."""

    def derivative(x: mp.mpf, k: int) -> mp.mpf:
        total = mp.fsum(sign**j * mp.binomial(k, j) * f(n - k + 2 * j, x) for j in range(k + 1))
        return all_signs**k * total / 2**k

    return lambda x: tuple(derivative(x, k) for k in (1, 2, 3, 4))


def _scaled(f: Real, even: bool) -> Real:
    """Of f(k, x), the derivatives for x > 0 with the sign (-1)**k left out, of an even function if `even`"""
    return lambda x: tuple((-mp.sign(x) if even else -1) ** k * f(k)(abs(x)) for k in (1, 2, 3, 4))


DERIVATIVES: dict[str, Real] = {
    **{f"i{n}": _neighbours(lambda n, x: _i(abs(n), x), n, 1) for n in (0, 1)},
    **{f"k{n}": _neighbours(lambda n, x: _k(abs(n), x), n, 1, -1) for n in (0, 1)},
    **{f"{kind}{n}": _neighbours(functools.partial(oscillating, kind), n, -1) for n in (0, 1) for kind in "jy"},
    "i0e": _scaled(i0e, True), "k0e": _scaled(k0e, False), "i1e": lambda x: tuple(_i1e(x, k) for k in (1, 2, 3, 4)),
    "k1e": _scaled(lambda k: lambda x: k0e(k)(x) + k0e(k + 1)(x), False),
}  # fmt: skip
DOMAINS = dict.fromkeys(POSITIVE, (0, float("inf")))
SINGULAR: dict[str, tuple[float, ...]] = {}
