"""polygamma(n, x), the derivative n of digamma, n >= 1: (-1)**(n + 1) n! times the sum of (x + k)**-(n + 1) over k >= 0.

Ten terms and the Euler-Maclaurin formula for the rest; powers in pairs, so that none of their squarings shows, of (x + k) 2**-m, so that n!
leaves nothing out of range. For x < -1/2 by the reflection

    polygamma(n, x) = (-1)**n polygamma(n, 1 - x) - pi d**n/dx**n cot(pi x).

f32 is computed in f64, whose range the factorials and powers need.
"""

from __future__ import annotations

import math
from fractions import Fraction

from graphc.codegen.mathlib.kit import Pair, fast_two_sum, multiply_pairs, poly, remainder, two_sum
from graphc.codegen.mathlib.trigonometric import cos, sin
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select, unary
from graphc.target import Target

TERMS = 10
BERNOULLI = [Fraction(*v) for v in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))]
INF = math.inf


def _inverse(y: Pair, target: Target) -> Pair:
    """1 / y"""
    r = 1.0 / y[0]
    return r, fma(-r, y[1], remainder(r.like(1.0), y[0], r, target)) * r


def _power(y: Pair, s: int, target: Target) -> Pair:
    """y**s by squaring"""
    result: Pair | None = None
    while s:
        if s & 1:
            result = y if result is None else fast_two_sum(*multiply_pairs(result, y, target))
        s >>= 1
        y = fast_two_sum(*multiply_pairs(y, y, target)) if s else y
    assert result is not None
    return result


def _sum(y: Pair, n: int, target: Target) -> Scalar:
    """n! times the sum of (y + k)**-(n + 1), y > -1/2"""
    s = n + 1
    shift = round(math.log2(math.factorial(n)) / s)
    factor = float(Fraction(math.factorial(n)) / Fraction(2) ** (shift * s))
    scale = 2.0**-shift
    rest: Scalar | None = None
    total: Pair | None = None
    for k in range(TERMS, -1, -1):
        high, low = two_sum(y[0], y[0].like(float(k)))
        base = fast_two_sum(high, low + y[1])
        power = _power(_inverse((base[0] * scale, base[1] * scale), target), s, target)
        if total is None:
            w = 1.0 / base[0]
            coefficients = [float(b * math.prod(range(s, s + 2 * j + 1)) / math.factorial(2 * j + 2)) for j, b in enumerate(BERNOULLI)]
            rest = fma(w, poly(w * w, coefficients), 0.5) + base[0] * (1 / n)
            total = fast_two_sum(power[0] * rest, power[1] * rest)
        else:
            high, low = two_sum(power[0], total[0])
            total = high, low + (power[1] + total[1])
    assert total is not None
    return (total[0] + total[1]) * factor


def cotangent_polynomial(n: int) -> list[int]:
    """q with d**n/dx**n cot(x) = q(cot x): q_(n+1)(c) = -(1 + c**2) q_n'(c)"""
    q = [0, 1]
    for _ in range(n):
        d = [j * c for j, c in enumerate(q)][1:]
        q = [-((d[j] if j < len(d) else 0) + (d[j - 2] if 0 <= j - 2 < len(d) else 0)) for j in range(len(d) + 2)]
    return q


def _reflected(x: Scalar, n: int, target: Target) -> Scalar:
    """pi d**n/dx**n cot(pi x), of x less the nearest whole number"""
    f = (x - unary("rint", x)) * math.pi
    c = cos(f, target) / sin(f, target)
    q = [float(v) * math.pi ** (n + 1) for v in cotangent_polynomial(n)]
    odd = (n + 1) % 2
    value = poly(c * c, q[odd::2])
    return value * c if odd else value


def polygamma(x: Scalar, target: Target, n: int) -> Scalar:
    """polygamma(n, x); infinite at 0 and the negative integers"""
    if x.dtype == float32:
        return polygamma(x.cast(float64), target, n).cast(float32)
    far = x < -0.5
    high, low = two_sum(x.like(1.0), -x)
    total = _sum((select(far, high, x), select(far, low, 0.0)), n, target)
    total = select(abs(x).eq(INF), 0.0, total)
    sign = 1.0 if n % 2 else -1.0
    value = select(far, -total - _reflected(x, n, target), total * sign)
    return select((x <= 0.0) & (x > -INF) & unary("rint", x).eq(x), sign * INF, value)
