"""The normal distribution: ndtr, its density, the logarithm of ndtr and its derivatives.

With Mills' ratio R(a) = exp(a**2 / 2) ndtr(-a) for a >= 0 the tails keep their digits: the square comes with its rounding error. The
derivatives of log(ndtr) cancel where x << 0, so there they have tables of their own; where x > 0 they are made of the density and R.
"""

from __future__ import annotations

import math
from types import ModuleType

from graphc.codegen.mathlib.exponential import exp_of_square
from graphc.codegen.mathlib.kit import clamp, scale
from graphc.codegen.mathlib.logarithm import log, log1p
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import log_ndtr_curve as curves
from graphc.codegen.mathlib.tables import log_ndtr_slope as slopes
from graphc.codegen.mathlib.tables import log_ndtr_third as thirds
from graphc.codegen.mathlib.tables import mills as ratios
from graphc.codegen.mathlib.tables import ndtr as ratios_short
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select
from graphc.target import Target

INF = math.inf
PER_ROOT_2PI = 1 / math.sqrt(2 * math.pi)
_NOTHING = {float32: 17.0, float64: 41.0}  # where the density, also times a few powers of a, is 0
_NONE = {float32: 14.9, float64: 41.0}  # where the density alone is 0, within the table of f32


def _gauss(a: Scalar, target: Target, *factors: Scalar) -> Scalar:
    """exp(-a^2 / 2) times the factors for a bounded a >= 0; the power of two in it comes last, so that small results are rounded once"""
    g, n, whole = exp_of_square(a, -0.5, target)
    first, *rest = factors
    y = fma(first, g, first)
    for factor in rest:
        y = y * factor
    return scale(y, n, target, whole)


def _of_size(a: Scalar, module: ModuleType) -> tuple[Scalar, Scalar, Scalar]:
    """The table at a, where a is beyond its pieces, and 1 / a"""
    t = table(module, a)
    far, inverse = a >= t.end, 1.0 / a
    return t.value_or(a, far, inverse * inverse), far, inverse


def _mills(a: Scalar) -> Scalar:
    y, far, inverse = _of_size(a, ratios)
    return y * select(far, inverse, 1.0)


def ndtr(x: Scalar, target: Target) -> Scalar:
    """exp(-a^2 / 2) R(a) of x = -a, R Mills' ratio over sqrt(2 pi); 1 less that of x = a"""
    a = clamp(abs(x), high=_NONE[x.dtype])
    y = _gauss(a, target, ratios_short.F32.value(a) if x.dtype == float32 else _mills(a))
    return select(x > 0.0, 1.0 - y, y)


def ndtr_slope(x: Scalar, target: Target) -> Scalar:
    """exp(-x^2 / 2) / sqrt(2 pi)"""
    return _gauss(clamp(abs(x), high=_NONE[x.dtype]), target, x.like(PER_ROOT_2PI))


def log_ndtr(x: Scalar, target: Target) -> Scalar:
    """-a^2 / 2 + log(R(a)) of x = -a; log1p(-ndtr(-a)) of x = a"""
    a = abs(x)
    ratio = _mills(a)
    below = fma(a * -0.5, a, log(select(ratio > 0.0, ratio, 1.0), target))
    return select(x > 0.0, log1p(-_gauss(clamp(a, high=_NOTHING[x.dtype]), target, ratio), target), below)


def _above(a: Scalar, target: Target) -> tuple[Scalar, Scalar]:
    """(m, c) with m = density / ndtr = exp(-a^2 / 2) c at a >= 0"""
    c = PER_ROOT_2PI / (1.0 - _gauss(a, target, _mills(a)))
    return _gauss(a, target, c), c


# The tables are of a = -x, from -2 on.
def log_ndtr_slope(x: Scalar, target: Target) -> Scalar:
    """m = density / ndtr"""
    y, far, _ = _of_size(-x, slopes)
    m, _ = _above(clamp(abs(x), high=_NOTHING[x.dtype]), target)
    return select(x >= 2.0, m, y * select(far, -x, 1.0))


def log_ndtr_curve(x: Scalar, target: Target) -> Scalar:
    """-m (x + m)"""
    a = clamp(abs(x), high=_NOTHING[x.dtype])
    m, c = _above(a, target)
    y, _, _ = _of_size(-x, curves)
    return select(x >= 2.0, _gauss(a, target, c, -(a + m)), y)


def log_ndtr_third(x: Scalar, target: Target) -> Scalar:
    """m ((x + m)(x + 2m) - 1)"""
    a = clamp(abs(x), high=_NOTHING[x.dtype])
    m, c = _above(a, target)
    y, far, inverse = _of_size(-x, thirds)
    power = select(far, inverse, 1.0)
    return select(x >= 2.0, _gauss(a, target, c, fma(a + m, fma(m, 2.0, a), -1.0)), y * power * power * power)
