"""The incomplete beta function and its derivatives.

With x**a y**b before it, y = 1 - x, it is an integral of a smooth positive function: of t / (1 - t) = x / y e**-v,

    x**a y**b M,   M = integral over v > 0 of e**-(l v + n K(v)),   n = a + b,  l = a - n x,  K(v) = log(y + x e**-v) + x v

by Gauss's rule on 0..V as for the incomplete gamma functions, and its derivatives are integrals of the same with v and K beside. Beyond the
mean, x > a / n, it is 1 less that with a and b, x and y exchanged. Where a < LEAST it is taken of a + SHIFT, after as many terms of
1/a + x n / (a (a + 1)) + ... K is c (e**w - 1 - w) - (z - log(1 + z)), z = c (e**w - 1), of c = x and w = -v where x is the smaller, of
c = y and w = v where y is. Powers and gamma functions are taken together in pairs: (n x)**a e**-(n x) and (n y)**b e**-(n y).
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import LOG_TAIL
from graphc.codegen.mathlib.gamma import digamma
from graphc.codegen.mathlib.incomplete import (
    NODES,
    REACH,
    ROOT_2PI,
    STIRLING,
    digamma_less_log,
    exp_near,
    exp_of_minus,
    expm1_less,
    gamma_parts,
    over_gamma,
    power_exponent,
    quotient,
    scaled,
    sum_of_pairs,
    times,
)
from graphc.codegen.mathlib.kit import Pair, fast_two_sum, multiply_pairs, outlined, poly, scale, summed, two_sum
from graphc.codegen.mathlib.logarithm import log, log1p_of_finite
from graphc.codegen.mathlib.power import log_pair
from graphc.dtypes import float32, float64
from graphc.records import dataclass
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

INF, NAN = math.inf, math.nan
LEAST, SHIFT = 12.0, 12


@dataclass(frozen=True)
class _Side:
    """The integral from 0 to u with the parameters p of u and q of w = 1 - u; `swapped`: it is 1 less the one that is wanted."""

    p: Scalar
    q: Scalar
    u: Pair
    w: Pair
    n: Pair
    swapped: Scalar


def _side(a: Scalar, b: Scalar, x: Scalar) -> _Side:
    y, zero = two_sum(x.like(1.0), -x), x.like(0.0)
    swapped = a * y[0] < b * x
    u = select(swapped, y[0], x), select(swapped, y[1], zero)
    w = select(swapped, x, y[0]), select(swapped, zero, y[1])
    return _Side(select(swapped, b, a), select(swapped, a, b), u, w, two_sum(a, b), swapped)


def _chosen(c: Scalar, a: Pair, b: Pair) -> Pair:
    return select(c, a[0], b[0]), select(c, a[1], b[1])


@dataclass(frozen=True)
class _Factor:
    """u**p w**q / (p B(p, q)) = value y 2**whole, and its logarithm's derivatives by p and q"""

    value: Scalar
    y: Scalar
    n: Scalar
    whole: Scalar
    by_p: Scalar
    by_q: Scalar


def _factor(s: _Side, target: Target, less: float = 0.0) -> _Factor:
    """With u**-less w**-less beside where p and q are below STIRLING."""
    large = s.n[0] >= STIRLING
    size = _chosen(large, s.n, (s.n[0].like(1.0), s.n[0].like(0.0)))
    gap = sum_of_pairs(times(s.q, s.u, target), scaled(times(s.p, s.w, target), -1.0))
    first, log_u = power_exponent(fast_two_sum(*multiply_pairs(size, s.u, target)), s.p, gap, target, less)
    second, log_w = power_exponent(fast_two_sum(*multiply_pairs(size, s.w, target)), s.q, scaled(gap, -1.0), target, less)
    e = sum_of_pairs(first, second)
    e = sum_of_pairs(e, (select(large, e[0].like(0.0), -1.0), e[0].like(0.0)))
    y, n, whole = exp_of_minus(e)
    n0 = s.n[0]
    value = over_gamma(s.p) * over_gamma(s.q) / over_gamma(n0) * (s.q / n0)
    of_n = select(large, digamma_less_log(n0) / n0, digamma(select(large, 1.0, n0) + 1.0, target))  # of n < STIRLING 1 / n more
    far_p, far_q = s.p >= STIRLING, s.q >= STIRLING
    of_p = select(far_p, (1.0 + digamma_less_log(s.p)) / s.p, digamma(select(far_p, 1.0, s.p) + 1.0, target))
    of_q = select(far_q, digamma_less_log(s.q) / s.q, digamma(select(far_q, 1.0, s.q) + 1.0, target))
    by_p = (log_u - of_p + of_n) - select(large, 0.0, 1.0 / n0)
    more = select(far_q, 0.0, select(large, 1.0 / s.q, s.p / n0 / s.q))
    return _Factor(value, y, n, whole, by_p, (log_w - of_q + of_n) + more)


@dataclass(frozen=True)
class _Terms:
    """p M(p) = value + factor M(r), r = p + SHIFT where p < LEAST, else p; and the derivatives of both by p and by q"""

    value: Scalar
    factor: Scalar
    value_p: Scalar
    factor_p: Scalar
    value_q: Scalar
    factor_q: Scalar
    r: Scalar


def _terms(s: _Side) -> _Terms:
    p, u, n = s.p, s.u[0], s.n[0]
    one, zero = p.like(1.0), p.like(0.0)
    term, term_p, term_q = one, zero, zero
    total, total_p, total_q = one, zero, zero
    for k in range(1, SHIFT + 1):
        ratio = u / (p + float(k)) if k < SHIFT else u
        step = ratio * (n + float(k - 1))
        slope = ratio - step / (p + float(k)) if k < SHIFT else ratio
        term, term_p, term_q = term * step, fma(term_p, step, term * slope), fma(term_q, step, term * ratio)
        if k < SHIFT:
            total, total_p, total_q = total + term, total_p + term_p, total_q + term_q
    few = p < LEAST
    return _Terms(select(few, total, 0.0), select(few, term, p), select(few, total_p, 0.0), select(few, term_p, 1.0),
                  select(few, total_q, 0.0), select(few, term_q, 0.0), select(few, p + float(SHIFT), p))  # fmt: skip


def _less_log1p(z: Scalar) -> Scalar:
    """z - log(1 + z), without a lost digit near 0"""
    s = z / (z + 2.0)
    near = abs(s) < 0.1716
    t = s * s
    close = s * (z - 2.0 * (t * fma(t, poly(t, LOG_TAIL), 1 / 3)))
    return select(near, close, z - log1p_of_finite(select(near, 1.0, z)))


def _curve(c: Scalar, sign: Scalar, v: Scalar) -> tuple[Scalar, Scalar]:
    """(K(v), z)"""
    less, whole = expm1_less(sign * v)
    z = c * whole
    return fma(c, less, -_less_log1p(z)), z


def _integral(s: _Side, r: Scalar, weights: tuple[Scalar, Scalar, Scalar], target: Target, short: bool) -> Scalar:
    """The integral of (w0 + w1 v + w2 K) e**-(l v + n K) with the parameters r and q"""
    u, w, size = s.u[0], s.w[0], r + s.q
    linear = sum_of_pairs(times(r, s.w, target), scaled(times(s.q, s.u, target), -1.0))
    slope, reach = linear[0] + linear[1], REACH[short]
    lower = u <= 0.5
    c, sign = select(lower, u, w), select(lower, u.like(-1.0), 1.0)
    t = reach / (size * u * w)
    v = t + sqrt(t * 2.0)
    end = (reach - size * log(w, target)) / r
    v = select(end < v, end, v)
    line = reach / select(slope > 0.0, slope, 1.0)
    v = select((slope > 0.0) & (line < v), line, v)
    for _ in range(3):
        value, z = _curve(c, sign, v)
        v = v - (fma(size, value, slope * v) - reach) / fma(size, sign * (1.0 - c) * z / (z + 1.0), slope)

    def term(c: Scalar, sign: Scalar, slope: Scalar, size: Scalar, v: Scalar, w0: Scalar, w1: Scalar, w2: Scalar,
             point: Scalar, weight: Scalar) -> Scalar:  # fmt: skip
        at = v * point
        k, _ = _curve(c, sign, at)
        return weight * fma(w2, k, fma(w1, at, w0)) * exp_near(-fma(size, k, slope * at))

    return summed(NODES[short], term, c, sign, slope, size, v, *weights) * v


def _ended(a: Scalar, b: Scalar, x: Scalar, value: Scalar, at_0: float, at_1: float) -> Scalar:
    """SciPy's values at the ends: of a = 0 or b = inf as of x = 1, of b = 0 or a = inf as of x = 0; nan of two that disagree"""
    top, bottom = a.eq(0.0) | b.eq(INF), b.eq(0.0) | a.eq(INF)
    value = select(top, at_1, select(bottom, at_0, value))
    value = select(x.eq(0.0), at_0, select(x.eq(1.0), at_1, value))
    inside = (a >= 0.0) & (b >= 0.0) & (x >= 0.0) & (x <= 1.0) & ~(top & bottom)
    return select(inside, value, NAN)


@outlined
def betainc(a: Scalar, b: Scalar, x: Scalar, target: Target) -> Scalar:
    """The regularised incomplete beta function"""
    short, dtype = x.dtype == float32, x.dtype
    a, b, x = a.cast(float64), b.cast(float64), x.cast(float64)
    s = _side(a, b, x)
    first, f = _terms(s), _factor(s, target)
    zero = x.like(0.0)
    m = _integral(s, first.r, (first.factor, zero, zero), target, short) + first.value
    tail = select(f.y > 0.0, scale(f.y * f.value * m, f.n, target, f.whole), 0.0)
    return _ended(a, b, x, select(s.swapped, 1.0 - tail, tail), 0.0, 1.0).cast(dtype)


def _slope(a: Scalar, b: Scalar, x: Scalar, target: Target, by_a: bool) -> Scalar:
    """The derivative of betainc by a, <= 0, or by b, >= 0"""
    short, dtype = x.dtype == float32, x.dtype
    a, b, x = a.cast(float64), b.cast(float64), x.cast(float64)
    s = _side(a, b, x)
    t, f = _terms(s), _factor(s, target)
    by_p = ~s.swapped if by_a else s.swapped
    c = select(by_p, f.by_p, f.by_q)
    w0 = fma(c, t.factor, select(by_p, t.factor_p, t.factor_q))
    w1 = t.factor * select(by_p, -s.w[0], s.u[0])
    m = _integral(s, t.r, (w0, w1, -t.factor), target, short) + fma(c, t.value, select(by_p, t.value_p, t.value_q))
    tail = select(f.y > 0.0, scale(f.y * f.value * m, f.n, target, f.whole), 0.0)
    return _ended(a, b, x, select(s.swapped, -tail, tail), 0.0, 0.0).cast(dtype)


@outlined
def betainc_slope_a(a: Scalar, b: Scalar, x: Scalar, target: Target) -> Scalar:
    """Its derivative by a"""
    return _slope(a, b, x, target, True)


@outlined
def betainc_slope_b(a: Scalar, b: Scalar, x: Scalar, target: Target) -> Scalar:
    """Its derivative by b"""
    return _slope(a, b, x, target, False)


@outlined
def beta_density(a: Scalar, b: Scalar, x: Scalar, target: Target) -> Scalar:
    """x**(a - 1) (1 - x)**(b - 1) / B(a, b), the derivative of betainc by x"""
    dtype = x.dtype
    a, b, x = a.cast(float64), b.cast(float64), x.cast(float64)
    s = _side(a, b, x)
    f = _factor(s, target, less=1.0)
    size = select(s.n[0] >= STIRLING, s.n[0], 1.0)
    over_u = select(s.p >= STIRLING, 1.0 / s.u[0], size)
    over_w = select(s.q >= STIRLING, 1.0 / s.w[0], size)
    value = select(f.y > 0.0, scale(f.y * (f.value * s.p * over_u * over_w), f.n, target, f.whole), 0.0)
    ends = [select(v < 1.0, v.like(INF), select(v.eq(1.0), other, 0.0)) for v, other in ((a, b), (b, a))]
    flat = a.eq(0.0) | b.eq(0.0) | a.eq(INF) | b.eq(INF)
    value = select(x.eq(0.0), ends[0], select(x.eq(1.0), ends[1], value))
    inside = (a >= 0.0) & (b >= 0.0) & (x >= 0.0) & (x <= 1.0)
    return select(inside, select(flat, 0.0, value), NAN).cast(dtype)


@outlined
def beta_large(a: Scalar, b: Scalar, target: Target) -> Scalar:
    """B(a, b) of a > 0 and b > 0 with a + b >= STIRLING, else nan: (a / n)**a (b / n)**b in pairs, beside what gamma has besides powers"""
    dtype = a.dtype
    a, b = a.cast(float64), b.cast(float64)
    n, zero = two_sum(a, b), a.like(0.0)
    total, under, factor = (-gamma_parts(n[0])[0], zero), n[0], a.like(1 / ROOT_2PI)
    for p in (a, b):
        far, (rest, near) = p >= STIRLING, gamma_parts(p)
        ratio = quotient(n, (p, zero), target)
        lost = ratio[0].eq(INF)
        high, low = log_pair(select(lost, 1.0, ratio[0]), target)
        high, low = select(lost, log(n[0], target) - log(p, target), high), select(lost, 0.0, low + ratio[1] / ratio[0])
        total = sum_of_pairs(total, times(p, fast_two_sum(high, low), target))
        below = sum_of_pairs(times(p, log_pair(p, target), target), (-p, zero))
        total = sum_of_pairs(total, _chosen(far, (rest, zero), below))
        under = under / select(far, p, 1.0)
        factor = factor * select(far, ROOT_2PI, near / p)
    y, whole, k = exp_of_minus(total)
    value = scale(y * (factor * sqrt(under)), whole, target, k)
    value = select(y > 0.0, value, 0.0)
    return select((a > 0.0) & (b > 0.0) & (n[0] >= STIRLING) & (n[0] < INF), value, NAN).cast(dtype)


BOUNDS: dict[str, tuple[float, float]] = {
    "betainc": (0.6, 8.0), "betainc_slope_a": (0.6, 16.0), "betainc_slope_b": (0.6, 16.0), "beta_density": (0.6, 8.0),
}  # fmt: skip
