"""The exponential, trigonometric and elliptic integrals, Lambert's W and Spence's function as mpmath has them."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp

from tests import piecewise_integrals as exact
from tests.special_reference import Reference, numpy_of

INF = math.inf


def e1(x: Any) -> Any:
    if x <= 0:
        return mp.inf if x == 0 else mp.nan
    return mp.exp(-x) * exact.e1_scaled(x) if x > 20 else mp.e1(x)


def ei(x: Any) -> Any:
    if x == 0:
        return -mp.inf
    if x < 0:
        return -e1(-x)
    return mp.exp(min(x, mp.mpf(10) ** 5)) * exact.ei_scaled(x) if x > 20 else mp.ei(x)


def quotient_e(n: int, x: Any) -> Any:
    """The derivative n of e**x / x"""
    total = mp.fsum((-1) ** k * mp.factorial(n) / mp.factorial(n - k) / x**k for k in range(n + 1))
    return mp.exp(min(x, mp.mpf(10) ** 5)) / x * total


def _sin_cos(x: Any) -> tuple[Any, Any]:
    with mp.workprec(1400 if x > 1e6 else mp.mp.prec):
        return mp.sin(x), mp.cos(x)


def si(x: Any) -> Any:
    size = abs(x)
    if size < 60:
        return mp.si(x)
    s, c = _sin_cos(size)
    return mp.sign(x) * (mp.pi / 2 - exact.auxiliary(size, 0) * c - exact.auxiliary(size, 1) * s)


def ci(x: Any) -> Any:
    size = abs(x)
    if size == 0:
        return -mp.inf
    if size < 60:
        return mp.ci(size)
    s, c = _sin_cos(size)
    return exact.auxiliary(size, 0) * s - exact.auxiliary(size, 1) * c


def _quotients(x: Any, count: int, which: int) -> list[Any]:
    """Derivatives 0 to count - 1 of sin(x) / x or cos(x) / x; of the first by its series where the recurrence would cancel"""
    if which == 0 and abs(x) < 1:
        return [
            mp.fsum((-1) ** k * mp.ff(2 * k, n) * x ** (2 * k - n) / mp.factorial(2 * k + 1) for k in range((n + 1) // 2, 40))
            for n in range(count)
        ]
    s, c = _sin_cos(abs(x))
    s = s * mp.sign(x)
    values = ([s, c, -s, -c], [c, -s, -c, s])[which]
    q = [values[0] / x]
    for k in range(1, count):
        q.append((values[k % 4] - k * q[-1]) / x)
    return q


def elliptic(kind: str, n: int, m: Any) -> Any:
    if m >= 1:
        return mp.nan if m > 1 else (mp.inf if kind == "k" else mp.mpf(1) if n == 0 else -mp.inf)
    if n == 0:
        return (mp.ellipk if kind == "k" else mp.ellipe)(m)
    if abs(m) < 0.5:
        return exact.elliptic(kind, n, m)
    k, e = [mp.ellipk(m)], [mp.ellipe(m)]
    k.append((e[0] / (1 - m) - k[0]) / m / 2)
    e.append((e[0] - k[0]) / m / 2)
    for j in range(n - 1):
        k.append(((2 * m - 1) * (j + 1) * k[-1] + (j + mp.mpf(0.5)) ** 2 * k[-2]) / (1 - m) / m)
        e.append(-((2 * j + 1) * e[-1] + k[j + 1]) / m / 2)
    return (k if kind == "k" else e)[n]


def lambert(k: int, z: Any) -> Any:
    if z < -1 / mp.e or (k and z >= 0):
        return -mp.inf if k and z == 0 else mp.nan
    if k == 0 and z == 0:
        return mp.mpf(0)
    if k and z > -(mp.mpf(10) ** -30):
        return exact._w_of_log(-1)(-mp.log(-z))
    with mp.workprec(mp.mp.prec + 40):
        return exact.lambertw(z, k)


def lambert_slopes(k: int, z: Any) -> tuple[Any, ...]:
    """Orders 1 to 5"""
    w = lambert(k, z)
    if mp.isnan(w) or mp.isinf(w):
        return (-mp.inf if z == 0 else mp.nan,) * 5
    s = w / (z * (1 + w)) if z else mp.mpf(1)
    u = 1 + w
    second = -s * s * (2 + w) / u
    third = s**3 * (2 * w * w + 8 * w + 9) / u**2
    fourth = -(s**4) * (6 * w**3 + 36 * w * w + 79 * w + 64) / u**3
    fifth = s**5 * (24 * w**4 + 192 * w**3 + 622 * w * w + 974 * w + 625) / u**4
    return s, second, third, fourth, fifth


def spence(n: int, z: Any) -> Any:
    if z < 0:
        return mp.nan
    if z == 0:
        return mp.pi**2 / 6 if n == 0 else -mp.inf
    return exact.spence(n, z)


def _w_size(k: int, z: Any) -> Any:
    w = lambert(k, z)
    return max(abs(w), abs(w / (1 + w))) if w > -mp.inf and w != -1 else abs(w)


EXACT = {
    "exp1": e1, "expi": ei, "si": si, "ci": ci, "ellipk": lambda m: elliptic("k", 0, m), "ellipe": lambda m: elliptic("e", 0, m),
    "lambertw": lambda z: lambert(0, z), "lambertw_lower": lambda z: lambert(-1, z), "spence": lambda z: spence(0, z),
}  # fmt: skip
LIMITS = {
    "expi": {-INF: -0.0}, "ellipe": {-INF: INF}, "lambertw": {INF: INF}, "spence": {INF: -INF},
}  # fmt: skip
NUMPY = {name: numpy_of(f, name in ("si", "lambertw"), LIMITS.get(name)) for name, f in EXACT.items()}
SCALE = {
    "expi": lambda x: max(abs(ei(x)), mp.exp(min(x, 10**5))),
    "ci": lambda x: max(abs(ci(x)), abs(mp.cos(x)) if abs(x) < 60 else 1 / abs(x)),
    "lambertw": lambda z: _w_size(0, z), "lambertw_lower": lambda z: _w_size(-1, z),
}  # fmt: skip
RANGES = {
    "exp1": ((0, 1), (0, 12), (600, 745)), "expi": ((-2, 2), (-40, 40), (650, 720)), "si": ((-8, 8), (-90, 90)), "ci": ((0, 8), (-90, 90)),
    "ellipk": ((-3, 1), (0.8, 1), (-1e3, 1)), "ellipe": ((-3, 1), (0.8, 1), (-1e3, 1)), "spence": ((0, 1), (0.4, 2.2), (0, 100)),
    "lambertw": ((-0.367, 1.5), (-0.3678, -0.36), (0, 1e3)), "lambertw_lower": ((-0.3678, 0), (-0.3678, -0.36), (-0.1, -0.05)),
}  # fmt: skip
REFERENCES = {name: Reference(EXACT[name], NUMPY[name], ranges, SCALE.get(name), share=6) for name, ranges in RANGES.items()}


def _orders(f: Any) -> Any:
    """x -> f(1, x), .., f(4, x)"""
    return lambda x: tuple(f(n, x) for n in (1, 2, 3, 4))


DERIVATIVES = {
    "exp1": _orders(lambda n, x: (-1) ** (n - 1) * quotient_e(n - 1, -x)), "expi": _orders(lambda n, x: quotient_e(n - 1, x)),
    "si": lambda x: tuple(_quotients(x, 4, 0)), "ci": lambda x: tuple(_quotients(x, 4, 1)),
    "ellipk": _orders(lambda n, m: elliptic("k", n, m)), "ellipe": _orders(lambda n, m: elliptic("e", n, m)),
    "lambertw": lambda z: lambert_slopes(0, z)[:4],
    "lambertw_lower": lambda z: lambert_slopes(-1, z)[:4],
    "spence": _orders(spence),
}  # fmt: skip
_BRANCH = -math.exp(-1)
DOMAINS = {
    "exp1": (0, INF), "spence": (0, INF), "ellipk": (-INF, 1), "ellipe": (-INF, 1),
    "lambertw": (_BRANCH, INF), "lambertw_lower": (_BRANCH, 0),
}  # fmt: skip
SINGULAR = {
    "ellipk": (1,), "ellipe": (1,), "spence": (1,),
    "lambertw": (_BRANCH,), "lambertw_lower": (_BRANCH,),
}  # fmt: skip
