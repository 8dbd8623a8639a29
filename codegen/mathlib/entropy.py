"""logit, and what entropies are made of: x log(x), x log(x / y)."""

from __future__ import annotations

import math

from graphc.codegen.mathlib.kit import clamp, format_of
from graphc.codegen.mathlib.logarithm import LN2, log, log1p, log1p_of_finite
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import divergence as tables
from graphc.dtypes import float32
from graphc.scalars import Scalar, copysign, fma, select
from graphc.target import Target

INF, NAN = math.inf, math.nan


def logit(x: Scalar, target: Target) -> Scalar:
    """log1p((1 - 2r) / r) of the distance r from the nearer end, with the sign of x - 1/2; r is scaled up where 1 / r would overflow"""
    other = 1.0 - x
    r = select(x < other, x, other)
    limit, shift = (60, 32) if x.dtype == float32 else (500, 100)
    tiny = r < 2.0**-limit
    y = log1p_of_finite(fma(r, -2.0, 1.0) / select(tiny, r * 2.0**shift, r)) + select(tiny, x.like(shift * LN2), 0.0)
    return copysign(select(r > 0.0, y, select(r.eq(0.0), x.like(INF), NAN)), fma(x, 2.0, -1.0))


def _ratio(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """log(x / y) for positive finite x, y: log1p((x - y) / y) where x is nearly y; by two logarithms where x / y leaves the range"""
    f = format_of(x)
    quotient = x / y
    usual = (quotient > f.tiny) & (quotient < INF)
    near = (quotient > 0.5) & (quotient < 2.0)
    value = log1p(select(near, x - y, 0.0) / y, target)
    far = log(select(usual, quotient, x), target) - select(usual, 0.0, log(y, target))
    return select(near, value, far)


def log_ratio(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """log(x) - log(y), for positive finite x, y by their quotient"""
    usual = (x > 0.0) & (x < INF) & (y > 0.0) & (y < INF)
    found = _ratio(select(usual, x, 1.0), select(usual, y, 1.0), target)
    return select(usual, found, log(x, target) - log(y, target))


def rel_entr(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """x log(x / y); 0 for x = 0 <= y, inf outside"""
    usual = (x > 0.0) & (y > 0.0)
    other = select(x.eq(0.0) & (y >= 0.0), 0.0, select(x.eq(x) & y.eq(y), x.like(INF), NAN))
    return select(usual, x * log_ratio(select(usual, x, 1.0), select(usual, y, 1.0), target), other)


def kl_div(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """y d^2 P(d), d = (x - y) / y, where x is nearly y; else x log(x / y) - x + y"""
    usual = (x > 0.0) & (y > 0.0)
    a, b = select(usual, x, 1.0), select(usual, y, 1.0)
    d = (a - b) / b
    near = (d > -0.5) & (d < 2.5)
    c = clamp(select(near, d, 0.0), -0.5, 2.5)
    close = b * (c * c * table(tables, c).value(c))
    far = fma(a, log_ratio(a, b, target), b - a)
    other = select(x.eq(0.0) & (y >= 0.0), y, select(x.eq(x) & y.eq(y), x.like(INF), NAN))
    return select(usual, select(near, close, far), other)
