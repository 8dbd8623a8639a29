"""Dawson's integral exp(-x**2) integral of exp(t**2) from 0 to x, its first derivatives, each by a table of its own, and erfi.

The recurrence of the derivatives cancels where x is large. The odd ones hold x as a factor, so that small values keep their digits.
"""

from __future__ import annotations

import math
from types import ModuleType

from graphc.codegen.mathlib.exponential import exp
from graphc.codegen.mathlib.kit import clamp, remainder, two_product
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.scaled_error import exp_of_square
from graphc.codegen.mathlib.tables import dawsn as values
from graphc.codegen.mathlib.tables import dawsn_curve as curves
from graphc.codegen.mathlib.tables import dawsn_slope as slopes
from graphc.codegen.mathlib.tables import dawsn_third as thirds
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, select
from graphc.target import Target

INF = math.inf
_FACTORS = {  # 2 / sqrt(pi), and exp(4) times that
    float32: ((1.128379225730896, -5.8635382771399236e-08), (61.60741424560547, 8.137496365634433e-07)),
    float64: ((1.1283791670955126, 1.533545961316588e-17), (61.60741505935513, 2.0917157455188227e-15)),
}


def _of_size(x: Scalar, module: ModuleType, order: int, target: Target) -> Scalar:
    """The derivative of this order for |x|; what 1 / a loses in rounding is put back, as its powers would have it several times."""
    a = abs(x)
    t = table(module, a)
    far = a >= t.end
    b = a if order == 0 else clamp(a, high=2.0**80 if a.dtype == float32 else 2.0**600)  # from there on the powers are 0
    inverse = 1.0 / b
    square = inverse * inverse
    y = t.value_or(b, far, square)
    near = b.like(1.0) if order % 2 else b
    if order == 0:
        return y * select(far, inverse, near)
    y = select(far, fma(y, remainder(b.like(1.0), b, inverse, target) * (order + 1.0), y), y)
    y = y * select(far, square, near)
    return y if order == 1 else y * select(far, inverse if order == 2 else square, 1.0)


def dawsn(x: Scalar, target: Target) -> Scalar:
    """exp(-x^2) times the integral of exp(t^2) over t from 0 to x"""
    return copysign(_of_size(x, values, 0, target), x)


def dawsn_slope(x: Scalar, target: Target) -> Scalar:
    """1 - 2x dawsn(x)"""
    return _of_size(x, slopes, 1, target)


def dawsn_curve(x: Scalar, target: Target) -> Scalar:
    """The second derivative of dawsn"""
    y = _of_size(x, curves, 2, target)
    return select(x < 0.0, -y, select(x.eq(0.0), -x, y))


def dawsn_third(x: Scalar, target: Target) -> Scalar:
    """The third derivative of dawsn"""
    return _of_size(x, thirds, 3, target)


def erfi(x: Scalar, target: Target) -> Scalar:
    """2 / sqrt(pi) exp(a^2) dawsn(a): of exp(a^2 - 4) where exp(a^2) would overflow first; the constant as a pair"""
    a = abs(x)
    b = clamp(a, high=9.6 if x.dtype == float32 else 26.9)
    high, low = two_product(b, b, target)
    large = high > (80.0 if x.dtype == float32 else 700.0)
    less = select(large, high - 4.0, high)  # exact
    e = exp(less, target)
    e = select(e < INF, fma(e, low, e), e)
    (one, one_low), (two, two_low) = _FACTORS[x.dtype]
    first, second = select(large, x.like(two), one), select(large, x.like(two_low), one_low)
    d = _of_size(b, values, 0, target)
    y = e * fma(d, first, d * second)
    return copysign(select(a.eq(INF), a, y), x)


def erfi_slope(x: Scalar, target: Target) -> Scalar:
    """2 / sqrt(pi) exp(x^2)"""
    return exp_of_square(abs(x), target) * (2 / math.sqrt(math.pi))
