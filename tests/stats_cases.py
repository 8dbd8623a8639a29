"""The families of gx.stats as SciPy and mpmath have them: shape parameters, where they are looked at, exact densities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp


@dataclass(frozen=True)
class Family:
    """One continuous family: shape parameters that are valid, points of the standard variable inside the support, density there."""

    shapes: tuple[float, ...]
    points: tuple[float, ...]
    density: Callable[..., Any]


def _normal(z: Any) -> Any:
    return mp.npdf(z)


def _truncated(z: Any, a: Any, b: Any) -> Any:
    return mp.npdf(z) / (mp.ncdf(b) - mp.ncdf(a))


CONTINUOUS: dict[str, Family] = {
    "norm": Family((), (-1.3, 0.4, 2.2), _normal),
    "uniform": Family((), (0.1, 0.5, 0.9), lambda z: mp.mpf(1) + 0 * z),
    "expon": Family((), (0.1, 1.0, 4.0), lambda z: mp.exp(-z)),
    "gamma": Family((2.5,), (0.3, 1.9, 6.0), lambda z, a: z ** (a - 1) * mp.exp(-z) / mp.gamma(a)),
    "invgamma": Family((3.25,), (0.2, 0.5, 2.0), lambda z, a: z ** (-a - 1) * mp.exp(-1 / z) / mp.gamma(a)),
    "beta": Family((2.0, 0.75), (0.1, 0.5, 0.8), lambda z, a, b: z ** (a - 1) * (1 - z) ** (b - 1) / mp.beta(a, b)),
    "laplace": Family((), (-1.5, 0.25, 3.0), lambda z: mp.exp(-abs(z)) / 2),
    "cauchy": Family((), (-2.0, 0.0, 1.0), lambda z: 1 / (mp.pi * (1 + z * z))),
    "logistic": Family((), (-2.0, 0.0, 3.0), lambda z: mp.exp(-z) / (1 + mp.exp(-z)) ** 2),
    "t": Family((3.5,), (-2.0, 0.0, 0.75), lambda z, n: (1 + z * z / n) ** (-(n + 1) / 2) / (mp.sqrt(n) * mp.beta(0.5, n / 2))),
    "chi2": Family((5.0,), (0.5, 3.0, 9.0), lambda z, n: z ** (n / 2 - 1) * mp.exp(-z / 2) / (2 ** (n / 2) * mp.gamma(n / 2))),
    "lognorm": Family((0.75,), (0.2, 1.0, 3.0), lambda z, s: mp.npdf(mp.log(z) / s) / (s * z)),
    "truncnorm": Family((-1.0, 2.0), (-0.75, 0.25, 1.5), _truncated),
    "gumbel_r": Family((), (-1.5, 0.0, 3.0), lambda z: mp.exp(-z - mp.exp(-z))),
    "halfnorm": Family((), (0.1, 1.0, 2.5), lambda z: 2 * mp.npdf(z)),
    "halfcauchy": Family((), (0.1, 1.0, 4.0), lambda z: 2 / (mp.pi * (1 + z * z))),
    "weibull_min": Family((1.75,), (0.1, 1.0, 2.0), lambda z, c: c * z ** (c - 1) * mp.exp(-(z**c))),
    "pareto": Family((3.25,), (1.1, 2.0, 9.0), lambda z, b: b * z ** (-b - 1)),
}
DISCRETE: dict[str, tuple[float, ...]] = {"bernoulli": (0.3,), "binom": (7.0, 0.3), "poisson": (3.4,), "geom": (0.3,)}
