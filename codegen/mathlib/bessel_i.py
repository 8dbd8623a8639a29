"""Bessel functions I0 and I1, plain and scaled by exp(-|x|), and the derivatives of the scaled I0 for x > 0.

One table each: pieces over x below 7, over 1/x beyond, where f(x) x**(n + 1/2) has a limit.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.exponential import exp_scaled
from graphc.codegen.mathlib.piecewise import Table, table
from graphc.codegen.mathlib.tables import i0e_0, i0e_1, i0e_2, i0e_3, i0e_4
from graphc.codegen.mathlib.tables import i1e as i1e_values
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, select, sqrt
from graphc.target import Target

SLOPES = (i0e_0, i0e_1, i0e_2, i0e_3, i0e_4)
LAST = 7.0  # of the pieces over x


def tabled(held: Table, size: Scalar, last: float) -> tuple[Scalar, Scalar, Scalar]:
    """(value of the table, size > last, 1 / size): beyond `last` there are two pieces over 1 / size, of equal length.

    `last` less what the sum of an index may be rounded by: pieces reach a little further than their ends.
    """
    beyond, inverse = size > last * (1 - 2.0**-17), 1.0 / size
    i = held.index(size)
    i = select(beyond, select(inverse > 0.5 / last, i.like(held.near + 1), held.near), i)
    return held.polynomial(held.local(select(beyond, inverse, size), i), i), beyond, inverse


def over_power(value: Scalar, size: Scalar, power: int) -> Scalar:
    """value / size**(power + 1/2), where no step underflows before the result."""
    value = value / sqrt(size)
    for _ in range(power // 2):
        value = value / (size * size)
    return value / size if power % 2 else value


def i0e_slope(x: Scalar, target: Target, n: int) -> Scalar:
    """(-1)**n times the derivative n of exp(-x) I0(x) for x > 0, n <= 4; of |x|"""
    size = abs(x)
    value, beyond, _ = tabled(table(SLOPES[n], size), size, LAST)
    return select(beyond, over_power(value, size, n), value)


def i0e(x: Scalar, target: Target) -> Scalar:
    """exp(-|x|) I0(x)"""
    return i0e_slope(x, target, 0)


def i1e(x: Scalar, target: Target) -> Scalar:
    """exp(-|x|) I1(x); the table has it over x"""
    size = abs(x)
    value, beyond, _ = tabled(table(i1e_values, size), size, LAST)
    return select(beyond, copysign(value / sqrt(size), x), x * value)


def i0(x: Scalar, target: Target) -> Scalar:
    """I0(x)"""
    return _unscaled(i0e(x, target), x, target)


def i1(x: Scalar, target: Target) -> Scalar:
    """I1(x)"""
    return _unscaled(i1e(x, target), x, target)


def _unscaled(value: Scalar, x: Scalar, target: Target) -> Scalar:
    """value exp(|x|), which is finite longer than the exponential; 0 and inf for inf"""
    size = abs(x)
    return select(size.eq(math.inf), copysign(size, value), exp_scaled(value, size, target))


def iv(x: Scalar, target: Target, n: int, scaled: bool = False) -> Scalar:
    """I_n(x), n >= 2. Up to about n**2 / 2 by I_n = (x/2)**n / n! g_n with g_(k-1) = g_k + (x/2)**2 / (k (k+1)) g_(k+1), whose scale
    is known from I_0; beyond by I_(k+1) = I_(k-1) - 2k/x I_k, which loses little there. f32 from order 9 on in f64, whose range g needs.
    """
    if x.dtype == float32 and n > 8:
        return iv(x.cast(float64), target, n, scaled).cast(float32)
    size, last = abs(x), n * n / 2 + 10.0
    value = _by_series(size, last, n, target)
    before, known = i0e(size, target), i1e(size, target)
    for k in range(1, n):
        before, known = known, fma(known * (-2.0 * k), 1.0 / size, before)
    value = select(size > last, known, value)
    value = value if n % 2 == 0 else copysign(value, x)
    return value if scaled else _unscaled(value, x, target)


def _by_series(size: Scalar, last: float, n: int, target: Target) -> Scalar:
    """exp(-x) I_n(x) for 0 <= x <= last"""
    half = select(size > last, 0.0, size) * 0.5
    square = half * half
    upper = lower = half.like(1.0)
    wanted = upper
    for k in range(n + 4 + math.ceil(math.sqrt(40 * last)), 0, -1):
        upper, lower = lower, fma(square * (1 / (k * (k + 1))), upper, lower)
        wanted = lower if k == n + 1 else wanted
    value = i0e(size, target) * (wanted / lower)
    for k in range(1, n + 1):
        value = value * (half * (1 / k))
    return value


def ive(x: Scalar, target: Target, n: int) -> Scalar:
    """exp(-|x|) I_n(x)"""
    return iv(x, target, n, scaled=True)


BOUNDS: dict[str, tuple[float, float]] = {"i0": (3, 3), "i1": (3, 3), "i0e": (3, 3), "i1e": (3, 3)}
