"""erf and erfc."""

from __future__ import annotations

from functools import cache
from math import isqrt, pi, sqrt

from graphc.codegen.mathlib.coefficients import ERF_FAR_F32, ERF_LEAST_F32, ERF_NEAR_F32, ERF_NEAR_F64, ERFC_F64
from graphc.codegen.mathlib.exponential import exp_of_negative, exp_of_square
from graphc.codegen.mathlib.kit import bits, clamp, poly, scale
from graphc.codegen.mathlib.tables import erf as erf_table
from graphc.codegen.mathlib.tables import erfc as erfc_table
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, lookup, select
from graphc.target import Target

LAST = 3.96875  # in the last piece of the table of f32; erf is 1 there
STEPS, END = 128, 6  # the table: points 1/128 apart up to 6, from where erf is 1


def erf(x: Scalar, target: Target) -> Scalar:
    """2 / sqrt(pi) times the integral of exp(-t^2) over t from 0 to x"""
    if x.dtype != float32:
        return _erf_by_table(x)
    return _erf_in_pieces(x) if target.has_permute else _erf_short(x, target)


def _erf_in_pieces(x: Scalar) -> Scalar:
    """Where a lookup is an instruction, half the work of an exponential."""
    a = clamp(abs(x), high=LAST)
    i = erf_table.F32.index(a)
    y = erf_table.F32.polynomial(erf_table.F32.local(a, i), i)
    return select(a < 0.25, fma(x, poly(x * x, ERF_LEAST_F32), x), copysign(y, x))


def _erf_short(x: Scalar, target: Target) -> Scalar:
    size = abs(x)
    far = 1.0 - exp_of_negative(-poly(clamp(size, high=4.0), ERF_FAR_F32), target)
    return select(size < 1.0, fma(x, poly(x * x, ERF_NEAR_F32), x), copysign(far, x))


def _erf_by_table(x: Scalar) -> Scalar:
    """erf(r + d) = erf(r) + erf'(r) (d + d^2 sum of c_k d^(k-1)), r the nearest point; c_k are Hermite polynomials of r over factorials."""
    size = select(x.eq(x), clamp(abs(x), high=float(END)), 0.0)
    t = size + 1.5 * 2.0**52 / STEPS
    i = bits(t) - bits(t.like(1.5 * 2.0**52 / STEPS))
    near = i < 2  # around 0, where the value is 0 and slopes are stored less 1: the step itself is added without error
    r = select(near, 0.0, t - 1.5 * 2.0**52 / STEPS)
    d = size - r
    z = r * r
    c2, c3 = fma(z, 2 / 3, -1 / 3), r * fma(z, -1 / 3, 1 / 2)
    c4, c5 = fma(fma(z, 2 / 15, -2 / 5), z, 1 / 10), r * fma(fma(z, -2 / 45, 2 / 9), z, -1 / 6)
    c6 = fma(fma(fma(z, 4 / 315, -2 / 21), z, 1 / 7), z, -1 / 42)
    step = fma(d * d, poly(d, [-r, c2, c3, c4, c5, c6]), d)
    values, slopes = tables()
    value = select(near, step, lookup(values, i, float64))
    slope = select(near, slopes[0], lookup(slopes, i, float64) + 1.0)
    y = fma(slope, step, value)
    return select(x.eq(x), copysign(y, x), x)


@cache
def tables() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """erf(i/128), and 2/sqrt(pi) exp(-(i/128)^2) - 1, correctly rounded: from point to point by Taylor series in integers of 192 bits.

    With g = erf' and h = 1/128 the terms b_n = g^(n) h^n / n! obey b_(n+1) = -(2 x h b_n + 2 h^2 b_(n-1)) / (n+1).
    """
    unit = 1 << 192
    value, gauss = 0, 2 * unit * unit // isqrt(_pi(unit) * unit)
    values, slopes = [], []
    for i in range(STEPS * END + 1):
        values.append(value / unit)
        slopes.append((gauss - unit) / unit)
        before, term, n = 0, gauss, 0
        area = total = 0
        while abs(term) + abs(before) > 1 << 10:
            total += term
            n += 1
            area += term // n
            before, term = term, -2 * (i * term + before) // (STEPS * STEPS * n)
        value, gauss = value + area // STEPS, total
    return tuple(values), tuple(slopes)


def _pi(unit: int) -> int:
    """pi * unit by Machin's formula"""

    def arctan_inverse(n: int) -> int:
        term, total, k = unit // n, 0, 0
        while term:
            total += (-term if k % 2 else term) // (2 * k + 1)
            term //= n * n
            k += 1
        return total

    return 16 * arctan_inverse(5) - 4 * arctan_inverse(239)


def erf_slope(x: Scalar, target: Target) -> Scalar:
    """2 / sqrt(pi) exp(-x^2)"""
    c = x.like(2 / sqrt(pi))
    g, n, whole = exp_of_square(_size(x), -1.0, target)
    return scale(fma(c, g, c), n, target, whole)


def _size(x: Scalar) -> Scalar:
    """|x|, bounded where exp(-x^2) is 0"""
    return clamp(abs(x), high=10.5 if x.dtype == float32 else 28.0)


def erfc(x: Scalar, target: Target) -> Scalar:
    """1 - erf(x), accurate in its tail"""
    return _erfc_short(x, target) if x.dtype == float32 else _erfc_wide(x, target)


def _erfc_wide(x: Scalar, target: Target) -> Scalar:
    """1 - erf(x) near 0; exp(-a^2) P(q) / (1 + 2a), a = |x|, q = (a - 4)/(a + 4) elsewhere; 2 less that for x < 0"""
    a = _size(x)
    g, n, whole = exp_of_square(a, -1.0, target)
    c = poly((a - 4.0) / (a + 4.0), ERFC_F64) / fma(a, 2.0, 1.0)
    y = scale(fma(c, g, c), n, target, whole)
    near = 1.0 - fma(x, poly(x * x, ERF_NEAR_F64), x)
    return select(a < 0.5, near, select(x < 0.0, 2.0 - y, y))


def _erfc_short(x: Scalar, target: Target) -> Scalar:
    """A table of exp(a^2) erfc(a) = c + d, times exp(-a^2) = 2**n (1 + g): c + (d + (c + d) g) loses the least, in its last sum."""
    a = _size(x)
    i = erfc_table.F32.index(a)
    u = erfc_table.F32.local(a, i)
    c, d = lookup(erfc_table.F32.rows[0], i, float32), u * erfc_table.F32.polynomial(u, i, start=1)
    g, n, whole = exp_of_square(a, -1.0, target)
    y = scale(c + fma(c + d, g, d), n, target, whole)
    return select(x < 0.0, 2.0 - y, y)
