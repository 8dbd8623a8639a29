"""erfcx(x) = exp(x**2) erfc(x) and its first derivatives, each by a table of its own: their recurrence cancels where x is large."""

from __future__ import annotations

import math
from types import ModuleType

from graphc.codegen.mathlib.exponential import exp
from graphc.codegen.mathlib.kit import clamp, remainder, two_product
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import erfcx as values
from graphc.codegen.mathlib.tables import erfcx_curve as curves
from graphc.codegen.mathlib.tables import erfcx_slope as slopes
from graphc.codegen.mathlib.tables import erfcx_third as thirds
from graphc.dtypes import float32
from graphc.scalars import Scalar, fma, select
from graphc.target import Target

INF = math.inf


def of_size(a: Scalar) -> Scalar:
    """erfcx(a) for a >= 0: beyond the pieces a series in 1 / a^2, over a"""
    t = table(values, a)
    far, inverse = a >= t.end, 1.0 / a
    return t.value_or(a, far, inverse * inverse) * select(far, inverse, 1.0)


def _derivative_of_size(a: Scalar, module: ModuleType, order: int, target: Target) -> Scalar:
    """The same over a^(order + 1); what 1 / a loses in rounding is put back, as its powers would have it several times."""
    t = table(module, a)
    far = a >= t.end
    a = clamp(a, high=2.0**80 if a.dtype == float32 else 2.0**600)  # from there on the powers are 0
    inverse = 1.0 / a
    square = inverse * inverse
    y = t.value_or(a, far, square)
    y = select(far, fma(y, remainder(a.like(1.0), a, inverse, target) * (order + 1.0), y), y)
    for power in ((square,), (square, inverse), (square, square))[order - 1]:
        y = y * select(far, power, 1.0)
    return y


def exp_of_square(a: Scalar, target: Target) -> Scalar:
    """exp(a^2), with what the square loses in rounding; inf from where it overflows"""
    a = clamp(a, high=9.5 if a.dtype == float32 else 26.7)
    high, low = two_product(a, a, target)
    e = exp(high, target)
    return select(e < INF, fma(e, low, e), e)


def erfcx(x: Scalar, target: Target) -> Scalar:
    """Of -a it is 2 exp(a^2) - erfcx(a)."""
    a = abs(x)
    y = of_size(a)
    return select(x < 0.0, fma(exp_of_square(a, target), 2.0, -y), y)


def erfcx_slope(x: Scalar, target: Target) -> Scalar:
    """Of -a it is -4a exp(a^2) less what it is of a, in size."""
    a = abs(x)
    y = _derivative_of_size(a, slopes, 1, target)
    return select(x < 0.0, fma(exp_of_square(a, target), a * -4.0, y), y)


def erfcx_curve(x: Scalar, target: Target) -> Scalar:
    """Of -a it is (8a^2 + 4) exp(a^2) less what it is of a."""
    a = abs(x)
    y = _derivative_of_size(a, curves, 2, target)
    return select(x < 0.0, fma(exp_of_square(a, target), fma(a * a, 8.0, 4.0), -y), y)


def erfcx_third(x: Scalar, target: Target) -> Scalar:
    """Of -a it is -(16a^3 + 24a) exp(a^2) less what it is of a, in size."""
    a = abs(x)
    y = _derivative_of_size(a, thirds, 3, target)
    return select(x < 0.0, fma(exp_of_square(a, target), -(a * fma(a * a, 16.0, 24.0)), y), y)
