"""The first three derivatives of digamma: the polygamma functions of orders 1 to 3, by tables as digamma itself.

Near 0 by the recurrence f(x) = f(1 + x) + (-1)**(n + 1) n! / x**(n + 1), below -1/2 by the derivatives of the reflection with pi cot(pi x).
"""

from __future__ import annotations

import math
from types import ModuleType

from graphc.codegen.mathlib.gamma import FAR, PI, sin_cos_pi
from graphc.codegen.mathlib.kit import detour, remainder
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import digamma_curve as curves
from graphc.codegen.mathlib.tables import digamma_slope as slopes
from graphc.codegen.mathlib.tables import digamma_third as thirds
from graphc.scalars import Scalar, fma, select
from graphc.target import Target

INF, NAN = math.inf, math.nan


def _above(x: Scalar, module: ModuleType, n: int, target: Target) -> Scalar:
    """For x > -1/2; the n-th power of 1 / x has the error of the quotient n times, which is taken out"""
    small = x < 0.5
    t = select(small, x + 1.0, x)
    far = t >= FAR
    inverse = 1.0 / t
    y = table(module, t).value_or(t, far, inverse)
    power = select(far, inverse, 1.0)
    for _ in range(n):
        y = y * power
    error = select(far & (t < INF), remainder(t.like(1.0), t, inverse, target), 0.0)
    y = fma(y, n * error, y)
    factor, divisor = (-1.0) ** (n + 1) * math.factorial(n), select(small, x, 1.0)
    part = factor / divisor
    for _ in range(n):
        part = part / divisor
    return select(small, y + part, y)


def _inverse_sine(x: Scalar, target: Target) -> tuple[Scalar, Scalar, Scalar]:
    """(q, cos(pi x), e) with pi / sin(pi x) = q (1 + e): the powers of q would have its error several times"""
    (s, low), (c, _) = sin_cos_pi(x, target)
    first, second = PI[x.dtype]
    q = first / s
    rest = (remainder(x.like(first), s, q, target) + second) * (1 / first) - low / s
    return q, c, select(s.eq(0.0), 0.0, rest)


def digamma_slope(x: Scalar, target: Target) -> Scalar:
    """Below: pi^2 / sin(pi a)^2 - f(1 + a) of x = -a; inf at negative integers"""

    def below(v: Scalar) -> Scalar:
        q, _, e = _inverse_sine(v, target)
        y = fma(q, q, fma(q * q, 2.0 * e, -_above(1.0 - v, slopes, 1, target)))
        return _ended(v, select(abs(q) < INF, y, INF))

    return detour(x <= -0.5, _above(x, slopes, 1, target), below, x)


def digamma_curve(x: Scalar, target: Target) -> Scalar:
    """Below: 2 pi^3 cos(pi a) / sin(pi a)^3 + f(1 + a) of x = -a; nan at negative integers"""

    def below(v: Scalar) -> Scalar:
        q, c, _ = _inverse_sine(-v, target)
        y = fma(2.0 * (c * q), q * q, _above(1.0 - v, curves, 2, target))
        return _ended(v, select(abs(q) < INF, y, NAN))

    return detour(x <= -0.5, _above(x, curves, 2, target), below, x)


def digamma_third(x: Scalar, target: Target) -> Scalar:
    """Below: 2 pi^4 (1 + 2 cos(pi a)^2) / sin(pi a)^4 - f(1 + a) of x = -a; inf at negative integers"""

    def below(v: Scalar) -> Scalar:
        q, c, e = _inverse_sine(v, target)
        square = q * q
        first = square * fma(c * c, 4.0, 2.0)
        lost = remainder(square, q, q, target)  # what square is more than q q, twice in the product
        less = fma(-2.0 * first, select(square < INF, lost, 0.0), -_above(1.0 - v, thirds, 3, target))
        y = fma(first, square, fma(first * square, 4.0 * e, less))
        return _ended(v, select(abs(q) < INF, y, INF))

    return detour(x <= -0.5, _above(x, thirds, 3, target), below, x)


def _ended(x: Scalar, y: Scalar) -> Scalar:
    """y, nan at -inf"""
    return select(x > -INF, y, NAN)
