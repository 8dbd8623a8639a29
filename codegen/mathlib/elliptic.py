"""The complete elliptic integrals K(m) and E(m), m <= 1, and their derivatives.

With t = 1 - m: tables on 1/8 <= t <= 1, below f(t) - g(t) log t with a table of f and the series of g. For m < 0 by
K(m) = sqrt(t') K(1 - t') and E(m) = E(1 - t') / sqrt(t'), t' = 1 / (1 - m).
"""

from __future__ import annotations

import math
from fractions import Fraction

from graphc.codegen.mathlib.kit import poly
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import ellipe as ellipe_0
from graphc.codegen.mathlib.tables import ellipe_1, ellipe_2, ellipe_3, ellipe_4, ellipk_1, ellipk_2, ellipk_3, ellipk_4
from graphc.codegen.mathlib.tables import ellipk as ellipk_0
from graphc.dtypes import float32
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

SLOPES = {"k": (ellipk_0, ellipk_1, ellipk_2, ellipk_3, ellipk_4), "e": (ellipe_0, ellipe_1, ellipe_2, ellipe_3, ellipe_4)}
INF, NAN = math.inf, math.nan
_K = [Fraction(math.comb(2 * k, k), 4**k) ** 2 / 2 for k in range(19)]  # K(t) / pi
_E = [-c / (2 * k - 1) for k, c in enumerate(_K)]
LOGARITHM = {"k": [float(c) for c in _K], "e": [float(a - b) for a, b in zip(_K, _E)]}  # t < 1/8: the 19th is 2**-57


def _of_complement(t: Scalar, kind: str, target: Target) -> Scalar:
    """K(1 - t) or E(1 - t), 0 < t <= 1"""
    held = table(SLOPES[kind][0], t)
    small = t < 0.125
    i = select(small, held.near, held.index(select(small, 0.5, t)))
    i = select(t < 1.0, i, i.like(held.near - 1))
    value = held.polynomial(held.local(t, i), i)
    terms = LOGARITHM[kind][: 8 if t.dtype == float32 else 19]
    return select(small, fma(-log(t, target), poly(t, terms), value), value)


def _complement(m: Scalar) -> tuple[Scalar, Scalar]:
    """(t, 1 - m): t that of the integral to which that of m < 0 leads"""
    rest = 1.0 - m
    return select(m < 0.0, 1.0 / rest, rest), rest


def ellipk(m: Scalar, target: Target) -> Scalar:
    """K(m), the integral of 1 / sqrt(1 - m sin**2); inf at 1, nan beyond, 0 at -inf"""
    t, rest = _complement(m)
    value = _of_complement(select(t <= 0.0, 1.0, t), "k", target)
    value = select(m < 0.0, value / sqrt(rest), value)
    return select(rest.eq(0.0), INF, select(rest < 0.0, NAN, select(rest.eq(INF), 0.0, value)))


def ellipe(m: Scalar, target: Target) -> Scalar:
    """E(m), the integral of sqrt(1 - m sin**2); 1 at 1, nan beyond, inf at -inf"""
    t, rest = _complement(m)
    value = _of_complement(select(t <= 0.0, 1.0, t), "e", target)
    value = select(m < 0.0, value * sqrt(rest), value)
    return select(rest.eq(0.0), 1.0, select(rest < 0.0, NAN, select(rest.eq(INF), INF, value)))


def _outside(m: Scalar, n: int, target: Target) -> tuple[list[Scalar], list[Scalar]]:
    """Derivatives 0 to n of K and E from their differential equations, where these do not cancel: away from 0"""
    rest = 1.0 - m
    k, e = [ellipk(m, target)], [ellipe(m, target)]
    k.append((e[0] / rest - k[0]) / m * 0.5)
    e.append((e[0] - k[0]) / m * 0.5)
    for j in range(n - 1):
        k.append(fma((m - 0.5) * k[-1], 2.0 * (j + 1), k[-2] * (j + 0.5) ** 2) / rest / m)
        e.append(fma(e[-1], -(2.0 * j + 1.0), -k[j + 1]) / m * 0.5)
    return k, e


def _slope(m: Scalar, n: int, kind: str, target: Target) -> Scalar:
    inside = (m < 0.5) & (m >= -1.0)
    held = table(SLOPES[kind][n], m)
    value = held.value(select(inside, m, 0.0))
    return select(inside, value, _outside(m, n, target)[kind == "e"][n])


def ellipk_slope(m: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of K, 1 <= n <= 4; inf at 1, 0 at -inf"""
    value = _slope(m, n, "k", target)
    return select(m.eq(1.0), INF, select(m.eq(-INF), 0.0, value))


def ellipe_slope(m: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of E, 1 <= n <= 4; -inf at 1, 0 at -inf"""
    value = _slope(m, n, "e", target)
    return select(m.eq(1.0), -INF, select(m.eq(-INF), 0.0, value))


BOUNDS: dict[str, tuple[float, float]] = {"ellipk": (4, 4), "ellipe": (4, 4)}
