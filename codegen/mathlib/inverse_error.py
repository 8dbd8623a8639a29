"""erfinv, erfcinv, ndtri and the slopes of the last two.

erfinv(x) = x P(v) with v = sqrt(-log((1 - x)(1 + x))), smooth from 0 to the ends. Near the ends the distance from them is exact.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib import scaled_error
from graphc.codegen.mathlib.kit import clamp
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import erfinv as tables
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

INF, NAN = math.inf, math.nan


def _over_x(product: Scalar, target: Target) -> Scalar:
    """erfinv(x) / x of (1 - x)(1 + x) > 0"""
    return table(tables, product).value(sqrt(clamp(-log(product, target), low=0.0)))


def erfinv(x: Scalar, target: Target) -> Scalar:
    """The inverse of erf: x times a table over the distance of |x| from 1"""
    a = abs(x)
    inside = (1.0 - a) * (1.0 + a)
    y = x * _over_x(select(inside > 0.0, inside, 1.0), target)
    return select(a < 1.0, y, select(a.eq(1.0), x * INF, NAN))


def _of_distance(t: Scalar, other: Scalar, middle: Scalar, target: Target) -> Scalar:
    """erfinv(middle) of the distances t from 1 and `other` from -1, t <= other"""
    usual = t > 0.0
    y = middle * _over_x(select(usual, t, 1.0) * select(usual, other, 1.0), target)
    return select(usual, y, select(t.eq(0.0), middle * INF, NAN))


def erfcinv(x: Scalar, target: Target) -> Scalar:
    """The inverse of erfc, of the distance of x from the nearer of 0 and 2"""
    other = 2.0 - x
    return _of_distance(select(x < other, x, other), select(x < other, other, x), 1.0 - x, target)


def ndtri(x: Scalar, target: Target) -> Scalar:
    """-sqrt(2) erfcinv(2x)"""
    other = 1.0 - x
    smaller, larger = select(x < other, x, other), select(x < other, other, x)
    return _of_distance(smaller * 2.0, larger * 2.0, fma(x, 2.0, -1.0) * math.sqrt(2.0), target)


def _slope(y: Scalar, t: Scalar, factor: float) -> Scalar:
    """factor exp(y^2), by t = erfc(|y|), of which exp(-y^2) is the t / erfcx(|y|)"""
    found = scaled_error.of_size(abs(y)) * factor / t
    return select(t > 0.0, found, select(t.eq(0.0), t.like(math.copysign(INF, factor)), NAN))


def erfcinv_slope(x: Scalar, target: Target) -> Scalar:
    """-sqrt(pi) / 2 exp(erfcinv(x)^2)"""
    other = 2.0 - x
    return _slope(erfcinv(x, target), select(x < other, x, other), -math.sqrt(math.pi) / 2)


def ndtri_slope(x: Scalar, target: Target) -> Scalar:
    """sqrt(2 pi) exp(ndtri(x)^2 / 2), ndtri(x)^2 / 2 = erfcinv(2x)^2"""
    other = 1.0 - x
    t = select(x < other, x, other)
    return _slope(erfcinv(t * 2.0, target), t, math.sqrt(math.pi / 2))
