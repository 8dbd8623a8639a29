"""Bessel functions K0 and K1, plain and scaled by exp(x), and the derivatives of the scaled K0.

Below the first piece of a table: series around 0, with c = gamma - log(2) and harmonic numbers h,

    K0(x) = sum (z/4)**k / k!**2 h_k - (log x + c) I0(x),    z = x**2
    K1(x) = 1/x + (log x + c) I1(x) - x/4 sum (z/4)**k / (k! (k + 1)!) (h_k + h_(k+1)).
"""

from __future__ import annotations

import math
from fractions import Fraction
from types import ModuleType

from graphc.codegen.mathlib.bessel_i import over_power, tabled
from graphc.codegen.mathlib.exponential import exp, exp_scaled
from graphc.codegen.mathlib.kit import poly
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import k0e_0, k0e_1, k0e_2, k0e_3, k0e_4
from graphc.codegen.mathlib.tables import k1e as k1e_values
from graphc.dtypes import float32
from graphc.scalars import Scalar, fma, select
from graphc.target import Target

GAMMA_LESS_LOG2 = -0.11593151565841245
SLOPES = (k0e_0, k0e_1, k0e_2, k0e_3, k0e_4)
LAST = 8.0  # of the pieces over x
INF = math.inf


def harmonic(k: int) -> Fraction:
    """1 + 1/2 + .. + 1/k"""
    return sum((Fraction(1, j) for j in range(1, k + 1)), Fraction(0))


def _term(k: int, order: int) -> Fraction:
    return Fraction(1, 4**k * math.factorial(k) * math.factorial(k + order))


I0 = [float(_term(k, 0)) for k in range(11)]  # I0(x) of z; on z < 1 the 11th term is 2**-63
I1 = [float(_term(k, 1) / 2) for k in range(11)]  # I1(x) / x
K0 = [float(_term(k, 0) * harmonic(k)) for k in range(11)]
K1 = [float(_term(k, 1) * (harmonic(k) + harmonic(k + 1)) / -4) for k in range(11)]


def _near(x: Scalar, target: Target) -> tuple[Scalar, Scalar]:
    """(z, log x + c)"""
    return x * x, log(x, target) + GAMMA_LESS_LOG2


def _series(z: Scalar, terms: list[float]) -> Scalar:
    return poly(z, terms[:6] if z.dtype == float32 else terms)


def _k0_near(x: Scalar, target: Target) -> Scalar:
    z, logarithm = _near(x, target)
    return fma(-logarithm, _series(z, I0), _series(z, K0))


def _k1_near(x: Scalar, target: Target) -> Scalar:
    z, logarithm = _near(x, target)
    return fma(x, fma(logarithm, _series(z, I1), _series(z, K1)), 1.0 / x)


def _far(module: ModuleType, x: Scalar, power: int) -> Scalar:
    """The function times exp(x), from the first piece of its table on."""
    value, beyond, _ = tabled(table(module, x), x, LAST)
    return select(beyond, over_power(value, x, power), value)


def _guard(x: Scalar, y: Scalar) -> Scalar:
    """y, completed: inf at 0, nan below, 0 at inf."""
    y = select(x.eq(0.0), INF, select(x < 0.0, math.nan, y))
    return select(x.eq(INF), 0.0, y)


def k0e(x: Scalar, target: Target) -> Scalar:
    """exp(x) K0(x)"""
    return _guard(x, select(x < 1.0, _k0_near(x, target) * exp(x, target), _far(SLOPES[0], x, 0)))


def k1e(x: Scalar, target: Target) -> Scalar:
    """exp(x) K1(x)"""
    return _guard(x, select(x < 1.0, _k1_near(x, target) * exp(x, target), _far(k1e_values, x, 0)))


def _unscaled(near: Scalar, far: Scalar, x: Scalar, target: Target) -> Scalar:
    return _guard(x, select(x < 1.0, near, exp_scaled(far, -x, target)))


def k0(x: Scalar, target: Target) -> Scalar:
    """K0(x)"""
    return _unscaled(_k0_near(x, target), _far(SLOPES[0], x, 0), x, target)


def k1(x: Scalar, target: Target) -> Scalar:
    """K1(x)"""
    return _unscaled(_k1_near(x, target), _far(k1e_values, x, 0), x, target)


def k0e_slope(x: Scalar, target: Target, n: int) -> Scalar:
    """(-1)**n times the derivative n of exp(x) K0(x), 1 <= n <= 4.

    Near 0 by x g_(n+2) = (n + 1 - 2x) g_(n+1) + (2n + 1) g_n, which does not cancel there.
    """
    near = _k0_near(x, target)
    before, last = near, _k1_near(x, target) - near
    for m in range(n - 1):
        before, last = last, fma(m + 1.0 - 2.0 * x, last, before * (2.0 * m + 1.0)) / x
    return _guard(x, select(x < 0.5, last * exp(x, target), _far(SLOPES[n], x, n)))


BOUNDS: dict[str, tuple[float, float]] = {"k0": (3, 3), "k1": (3, 3), "k0e": (3, 3), "k1e": (3, 3)}
