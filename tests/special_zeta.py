"""The zeta functions in mpmath, with the digits that it loses far from 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

from graphc.ops.special import zeta_reference as reference
from tests.special_reference import Reference


def riemann(s: Any) -> Any:
    if s < -500:
        return mp.mpf(0) if s % 2 == 0 else mp.inf if s % 4 < 2 else -mp.inf
    return mp.inf if s == 1 else mp.mpf(1) if s > 300 else mp.zeta(s)


def _sum(s: Any, q: Any) -> Any:
    """The sum of (q + k)**-s, q > 0"""
    with mp.workprec(mp.mp.prec + max(0, mp.mag(s)) + 10):
        a, total = q + 80, mp.fsum((q + k) ** -s for k in range(80))
        rest, before = a ** (1 - s) / (s - 1) + a**-s / 2, mp.inf
        for j in range(1, 40):
            term = mp.bernoulli(2 * j) / mp.factorial(2 * j) * mp.rf(s, 2 * j - 1) * a ** (1 - s - 2 * j)
            if abs(term) >= before or not term:
                break
            rest, before = rest + term, abs(term)
        return total + rest


def parts(s: Any, q: Any) -> tuple[Any, Any]:
    """(zeta(s, q), the size of what cancels in it)"""
    if s <= 1 or (q <= 0 and q == mp.floor(q)):
        return (mp.inf,) * 2 if s >= 1 else (mp.nan,) * 2
    if q < 0 and s != mp.floor(s):
        return mp.nan, mp.nan
    if s * mp.log(abs(q) if q > 0 else max(abs(q - mp.nint(q)), 1e-300)) > 3000:
        return mp.mpf(0), mp.mpf(0)
    if q > 0:
        return (_sum(s, q) if s * mp.log(q) > -3000 else mp.inf,) * 2
    with mp.workprec(1000):
        f = q - mp.floor(q)
        if s * mp.log(min(f, 1 - f)) < -3000:
            sign = 1 if f < 0.5 or s % 2 == 0 else -1
            return (sign * mp.inf,) * 2 if f != 0.5 or s % 2 == 0 else (_sum(s, 1 - q), mp.inf)
        above, below, beyond = _sum(s, f), _sum(s, 1 - f), _sum(s, 1 - q)
        return above + (-1) ** int(s % 2) * (below - beyond), max(above, below)


def hurwitz(s: Any, q: Any) -> Any:
    return parts(s, q)[0]


def _size(s: Any, q: Any) -> Any:
    size = parts(s, q)[1]
    return size if mp.isfinite(size) else 0


def _arrays(f: Callable[..., float]) -> Callable[..., np.ndarray]:
    return np.vectorize(f, otypes=[np.float64])  # type: ignore[return-value]


EXACT = {"riemann_zeta": riemann, "hurwitz_zeta": hurwitz}
NUMPY = {name: _arrays(getattr(reference, name)) for name in EXACT}
RANGES = {"riemann_zeta": ((-5, 5), (0, 30), (-40, 0), (-280, 60)), "hurwitz_zeta": ((1, 6), (1, 40), (0, 1), (-4, 4))}
REFERENCES = {
    "riemann_zeta": Reference(riemann, NUMPY["riemann_zeta"], RANGES["riemann_zeta"]),
    "hurwitz_zeta": Reference(hurwitz, NUMPY["hurwitz_zeta"], RANGES["hurwitz_zeta"], _size, 12),
}
DERIVATIVES: dict[str, Any] = {}
DOMAINS: dict[str, Any] = {}
SINGULAR: dict[str, Any] = {}
