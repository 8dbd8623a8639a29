"""sin, cos, tan.

x = q pi/2 + r with r as a pair, and two polynomials; sin and cos of one x are made of the same Scalars, so that where both
are wanted they cost little more than one. Without FMA, f32 goes by f64, where subtracting n pi twice leaves more than
enough, and one polynomial on |r| <= pi/2 needs no choice between sine and cosine; tan of f32 always does.
f32 beyond `LIMIT_F32` goes by f64 too, and what is huge gets its quotient from `reduction`, both out of line.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.codegen.mathlib.coefficients import COS_F32, COS_F64, COS_SHORT, SIN_F32, SIN_F64, SIN_SHORT, SIN_WIDE
from graphc.codegen.mathlib.kit import Pair, bits, detour, fast_two_sum, nearest, poly, rare, two_product
from graphc.codegen.mathlib.reduction import PIO2, reduce_huge
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select
from graphc.target import Target

PI = (3.141592653589793, 1.2246467991473532e-16)
PER_PI = 0.3183098861837907
PER_PIO2 = 0.6366197723675814
# Without FMA multiples must be exact: parts of 27 and 33 bits, for quotients below 2**26 and 2**20.
SHORT_PI = (3.141592651605606, 1.9841871479187034e-09, 1.1442377452219664e-17)
SHORT_PIO2 = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)


PIO2_F32 = (1.5707963705062866, -4.371395334601402e-08, 2.5633440682570896e-12)  # parts of 24, 12 and 24 bits
# Below 2**12 both the difference from a multiple of the first part and what a multiple of the second rounds away are exact,
# and one of the third is less than the smallest r.
LIMIT_F32 = 2.0**12


def sin(x: Scalar, target: Target) -> Scalar:
    if x.dtype == float32 and target.has_fma:
        return detour(abs(x) > LIMIT_F32, _sin_f32(x), lambda v: _periodic(v, target, _sin_short, _sin_huge), x)
    return _periodic(x, target, _sin_short if x.dtype == float32 else _sin_wide, _sin_huge)


def cos(x: Scalar, target: Target) -> Scalar:
    if x.dtype == float32 and target.has_fma:
        return detour(abs(x) > LIMIT_F32, _cos_f32(x), lambda v: _periodic(v, target, _cos_short, _cos_huge), x)
    return _periodic(x, target, _cos_short if x.dtype == float32 else _cos_wide, _cos_huge)


def tan(x: Scalar, target: Target) -> Scalar:
    return _periodic(x, target, _tan_short if x.dtype == float32 else _tan_wide, _tan_huge)


def _periodic(x: Scalar, target: Target, usual: Callable[..., Scalar], huge: Callable[..., Scalar]) -> Scalar:
    limit = 2.0**40 if target.has_fma else 2.0**24 if x.dtype == float32 else 2.0**20
    size = abs(x)
    wanted = (size > limit) & (size < float("inf"))  # the usual way makes inf and nan nan
    return rare(wanted, usual(x, target), lambda v: huge(v.cast(float64), target).cast(x.dtype), x)


# -- f32 -------------------------------------------------------------------------------------------------------------
def _sin_cos_f32(size: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(q, sin r, cos r) with size = q pi/2 + r, |r| <= pi/4"""
    q, whole = nearest(size, PER_PIO2)
    first, second, third = PIO2_F32
    exact = fma(whole, -first, size)
    r = fma(whole, -second, exact)
    low = fma(whole, -third, fma(whole, -second, exact - r))
    z = r * r
    s = r + fma(r * z, poly(z, SIN_F32), low)
    return q, s, fma(z, fma(z, poly(z, COS_F32), -0.5), 1.0)  # a low part would add less than 0.3 ulp: cos r >= 0.7


def _sin_f32(x: Scalar) -> Scalar:
    q, s, c = _sin_cos_f32(abs(x))
    y = select((q & 1).ne(0), c, s)
    return (bits(y) ^ (((q << 30) ^ bits(x)) & (-1 << 31))).bitcast(float32)


def _cos_f32(x: Scalar) -> Scalar:
    q, s, c = _sin_cos_f32(abs(x))
    y = select((q & 1).ne(0), s, c)
    return (bits(y) ^ (((q + 1) << 30) & (-1 << 31))).bitcast(float32)


# -- f32 in f64 ------------------------------------------------------------------------------------------------------
def _minus_multiple(wide: Scalar, n: Scalar, target: Target) -> Scalar:
    """wide - n pi"""
    for part in PI if target.has_fma else SHORT_PI:
        wide = fma(n, -part, wide)
    return wide


def _sin_of_half_turn(r: Scalar, n: Scalar) -> Scalar:
    """(-1)**n sin(r), |r| <= pi/2, as f32"""
    y = r * fma(r * r, poly(r * r, SIN_WIDE), 1.0)
    return (bits(y) ^ (n << 63)).bitcast(float64).cast(float32)


def _sin_short(x: Scalar, target: Target) -> Scalar:
    wide = x.cast(float64)
    n, whole = nearest(wide, PER_PI)
    return _sin_of_half_turn(_minus_multiple(wide, whole, target), n)


def _cos_short(x: Scalar, target: Target) -> Scalar:
    """cos(x) = (-1)**n sin(x - (n - 1/2) pi)"""
    wide = x.cast(float64)
    n, whole = nearest(fma(wide, PER_PI, 0.5), 1.0)
    return _sin_of_half_turn(_minus_multiple(wide, whole - 0.5, target), n)


def _tan_short(x: Scalar, target: Target) -> Scalar:
    wide = x.cast(float64)
    q, whole = nearest(wide, PER_PIO2)
    r = wide
    for part in PIO2[:2] if target.has_fma else [p / 2 for p in SHORT_PI]:
        r = fma(whole, -part, r)
    z = r * r
    s, c = r * fma(z, poly(z, SIN_SHORT), 1.0), fma(z * z, poly(z, COS_SHORT), fma(z, -0.5, 1.0))
    return _quotient(s, c, q).cast(float32)


def _quotient(s: Scalar, c: Scalar, q: Scalar) -> Scalar:
    """tan(r + q pi/2) of s = sin(r), c = cos(r)"""
    odd = (q & 1).ne(0)
    t = select(odd, c, s) / select(odd, s, c)
    return (bits(t) ^ (q << 63)).bitcast(t.dtype)


# -- f64 -------------------------------------------------------------------------------------------------------------
def _reduce(x: Scalar, target: Target) -> tuple[Scalar, Pair]:
    """(q, r): the first difference is exact; what follows it keeps its rounding errors, as r may be as small as 2**-60."""
    q, whole = nearest(x, PER_PIO2)
    if target.has_fma:
        r = fma(whole, -PIO2[0], x)
        product, error = two_product(whole, whole.like(PIO2[1]), target)
        r, low = _difference(r, product)
        return q, fast_two_sum(r, fma(whole, -PIO2[2], low - error))
    r = x - whole * SHORT_PIO2[0]
    r, low = _difference(r, whole * SHORT_PIO2[1])
    r, lower = _difference(r, whole * SHORT_PIO2[2])
    return q, fast_two_sum(r, (low + lower) - whole * SHORT_PIO2[3])


def _difference(a: Scalar, b: Scalar) -> Pair:
    """a - b exactly."""
    total = a - b
    part = total - a
    return total, (a - (total - part)) - (b + part)


def _sin_near(r: Pair) -> Scalar:
    """sin of a pair, |r| <= pi/4"""
    high, low = r
    z = high * high
    return high + fma(high * z, poly(z, SIN_F64), low)


def _cos_near(r: Pair) -> Scalar:
    high, low = r
    z = high * high
    half = z * 0.5
    w = 1.0 - half
    return w + (((1.0 - w) - half) + fma(z * z, poly(z, COS_F64), -(high * low)))


def _turned(s: Scalar, c: Scalar, q: Scalar) -> Scalar:
    """sin(r + q pi/2)"""
    y = select((q & 1).ne(0), c, s)
    return (bits(y) ^ ((q & 2) << 62)).bitcast(y.dtype)


def _sin_wide(x: Scalar, target: Target) -> Scalar:
    q, r = _reduce(x, target)
    return select(x.eq(0.0), x, _turned(_sin_near(r), _cos_near(r), q))


def _cos_wide(x: Scalar, target: Target) -> Scalar:
    q, r = _reduce(x, target)
    return _turned(_sin_near(r), _cos_near(r), q + 1)


def _tan_wide(x: Scalar, target: Target) -> Scalar:
    q, r = _reduce(x, target)
    return select(x.eq(0.0), x, _quotient(_sin_near(r), _cos_near(r), q))


# -- |x| beyond the limit, f32 and f64 -------------------------------------------------------------------------------
def _with_sign(y: Scalar, x: Scalar) -> Scalar:
    return (bits(y) ^ (bits(x) & (-1 << 63))).bitcast(y.dtype)


def _sin_huge(x: Scalar, target: Target) -> Scalar:
    q, r = reduce_huge(abs(x), target)
    return _with_sign(_turned(_sin_near(r), _cos_near(r), q), x)


def _cos_huge(x: Scalar, target: Target) -> Scalar:
    q, r = reduce_huge(abs(x), target)
    return _turned(_sin_near(r), _cos_near(r), q + 1)


def _tan_huge(x: Scalar, target: Target) -> Scalar:
    q, r = reduce_huge(abs(x), target)
    return _with_sign(_quotient(_sin_near(r), _cos_near(r), q), x)
