"""pow and fmod."""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import EXP_F64, LOG_TAIL
from graphc.codegen.mathlib.exponential import PER_LOG2, exp_short
from graphc.codegen.mathlib.kit import (
    Pair,
    add_pairs,
    bits,
    clamp,
    fast_two_sum,
    multiply_pairs,
    nearest,
    poly,
    power_of_two,
    rare,
    remainder,
    scale,
    sign_of,
    two_product,
    two_sum,
)
from graphc.codegen.mathlib.logarithm import log_short, split
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, copysign, fma, minimum, select, shift_right, unary
from graphc.target import Target

INF, NAN = math.inf, math.nan
THIRD = (0.3333333333333333, 1.850371707708594e-17)
LOG2_PAIR = (0.693147180559663, 2.8235290563031577e-13)  # the first part is short: e times it is exact


def pow(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """exp(y log|x|), then the sign and the cases of IEEE 754 (pow(x, 0) = pow(1, y) = 1)."""
    size = abs(x)
    if x.dtype == float32:
        result = exp_short(clamp(log_short(size) * y.cast(float64), -200.0, 200.0)).cast(float32)
    else:
        result = exp_of_product(y, log_pair(size, target), target)
    rising = y > 0.0
    result = select(size.eq(0.0), select(rising, x.like(0.0), INF), result)
    result = select(size.eq(INF), select(rising, x.like(INF), 0.0), result)
    limit = select(size.eq(1.0), x.like(1.0), select((size > 1.0) ^ rising, x.like(0.0), INF))
    result = select(abs(y).eq(INF), limit, result)
    integer = unary("rint", y).eq(y)
    odd = integer & unary("rint", y * 0.5).ne(y * 0.5)
    result = select(sign_of(x) & odd, -result, result)
    result = select((x < 0.0) & ~integer & (size < INF), NAN, result)
    result = select(x.ne(x) | y.ne(y), x + y, result)
    return select(x.eq(1.0) | y.eq(0.0), 1.0, result)


def log_pair(x: Scalar, target: Target) -> Pair:
    """log(x) for finite x > 0, to 2**-66: log(1 + f) = 2 atanh(s) = 2s (1 + z/3 + z^2 P(z)), s = f / (2 + f), z = s^2"""
    whole, e = split(x)
    f = whole - 1.0
    below, below_low = fast_two_sum(x.like(1.0), whole)
    inverse = 1.0 / below
    quotient = f * inverse
    s = quotient, fma(quotient, -below_low, remainder(f, below, quotient, target)) * inverse
    z = multiply_pairs(s, s, target)
    inner = add_pairs((x.like(THIRD[0]), x.like(THIRD[1])), (z[0] * poly(z[0], LOG_TAIL), x.like(0.0)))
    high, low = add_pairs(s, multiply_pairs(s, multiply_pairs(z, inner, target), target))
    return add_pairs((e * LOG2_PAIR[0], e * LOG2_PAIR[1]), (high * 2.0, low * 2.0))


def exp_of_product(y: Scalar, p: Pair, target: Target) -> Scalar:
    """exp(y p)"""
    return _exp_of_pair(_times(y, p, target), target)


def _times(y: Scalar, p: Pair, target: Target) -> Pair:
    """y p, bounded so that its exponential overflows or vanishes."""
    high, low = two_product(y, p[0], target)
    inside = abs(high) < 800.0
    return select(inside, high, copysign(y.like(800.0), high)), select(inside, fma(y, p[1], low), 0.0)


def _exp_of_pair(p: Pair, target: Target) -> Scalar:
    """exp of a pair, with the rounding error of 1 + r put back"""
    high, low = p
    n, whole = nearest(high, PER_LOG2)
    head, tail = LOG2_PAIR
    r = fma(whole, -head, high)
    r, r_low = two_sum(r, fma(whole, -tail, low))
    total, rest = fast_two_sum(r.like(1.0), r)
    y = total + (rest + fma(r * r, poly(r, EXP_F64), fma(r_low, r, r_low)))
    return scale(y, n, target, whole)


def fmod(x: Scalar, y: Scalar, target: Target) -> Scalar:
    """x - trunc(x / y) y, exactly; the sign is that of x. nan for x = inf or y = 0."""
    a, b = abs(x), abs(y)
    limit = 2.0 ** (22 if x.dtype == float32 else 51)
    usual = _one_step(a, b, target)
    size = rare((a / b > limit) & (a < INF) & (b > 0.0), usual, lambda p, q: _many_steps(p, q, target), a, b)
    size = select(a < b, a, size)
    return select((a < INF) & b.ne(0.0) & y.eq(y), copysign(size, x), NAN)


def _one_step(a: Scalar, b: Scalar, target: Target) -> Scalar:
    """a mod b for a / b < 2**51 (2**22): the quotient is right or one too large, so the remainder is exact"""
    quotient = unary("trunc", a / b)
    rest = remainder(a, b, quotient, target)
    return select(rest < 0.0, rest + b, rest)


def _many_steps(a: Scalar, b: Scalar, target: Target) -> Scalar:
    """a mod b for any quotient: on fractions in 1..2, up to 50 bits of the quotient at a time"""
    steps = 6 if a.dtype == float32 else 42  # 50 bits each, for exponents up to 277 or 2098 apart
    rest, exponent = _fraction(a.cast(float64))
    by, unit = _fraction(b.cast(float64))
    rest = select(rest < by, rest, rest - by)
    left = exponent - unit
    for _ in range(steps):
        now = minimum(left, 50)
        left = left - now
        rest = _one_step(rest * power_of_two(now), by, target)
    return scale(rest, unit, target).cast(a.dtype)


def _fraction(x: Scalar) -> tuple[Scalar, Scalar]:
    """(m, k) with x = m 2**k and 1 <= m < 2, for finite x > 0 in f64"""
    small = x < 2.0**-1022
    pattern = bits(select(small, x * 2.0**52, x))
    k = shift_right(pattern, 52) - select(small, pattern.like(1023 + 52), 1023)
    return ((pattern & ((1 << 52) - 1)) | (1023 << 52)).bitcast(float64), k
