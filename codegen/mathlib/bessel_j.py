"""Bessel functions J0, J1, Y0, Y1.

Below 7: pieces over x of J, and of what Y has besides its logarithm (and 1/x). Beyond:

    J + iY = sqrt(2 / (pi x)) (P + iQ) exp(i (x - order pi/2 - pi/4))

with tables of P and x Q over 1/x, and the exponential from sin x and cos x, whose argument is reduced exactly: the phase is right for
every x. The error is a few units of the last place of the amplitude.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.bessel_i import tabled
from graphc.codegen.mathlib.bessel_k import GAMMA_LESS_LOG2
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import j0 as j0_values
from graphc.codegen.mathlib.tables import j1 as j1_values
from graphc.codegen.mathlib.tables import y0 as y0_values
from graphc.codegen.mathlib.tables import y1 as y1_values
from graphc.codegen.mathlib.trigonometric import cos, sin
from graphc.dtypes import float32, float64
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

LAST = 7.0  # of the pieces over x
PER_ROOT_PI = 0.5641895835477563
TWO_PER_PI = 0.6366197723675814
INF = math.inf


def _parts(order: int, size: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """(J near or P, the rest of Y near or x Q, whether far, 1/x)"""
    j, beyond, inverse = tabled(table((j0_values, j1_values)[order], size), size, LAST)
    y, _, _ = tabled(table((y0_values, y1_values)[order], size), size, LAST)
    return j, y, beyond, inverse


def _far(p: Scalar, q: Scalar, turn: int, size: Scalar, target: Target) -> Scalar:
    """sqrt(2 / (pi x)) (p cos a - q sin a) with a = x - pi/4 - turn pi/2; 0 at inf"""
    s, c = sin(size, target), cos(size, target)
    plus, minus = c + s, s - c  # sqrt(2) times the cosine and the sine of x - pi/4
    cosine, sine = ((plus, minus), (minus, -plus), (-plus, -minus), (-minus, plus))[turn % 4]
    value = fma(p, cosine, -(q * sine)) * (PER_ROOT_PI / sqrt(size))
    return select(size.eq(INF), 0.0, value)


def j0(x: Scalar, target: Target) -> Scalar:
    """J0(x)"""
    size = abs(x)
    j, y, beyond, inverse = _parts(0, size)
    return select(beyond, _far(j, y * inverse, 0, size, target), j)


def j1(x: Scalar, target: Target) -> Scalar:
    """J1(x)"""
    size = abs(x)
    j, y, beyond, inverse = _parts(1, size)
    far = _far(j, y * inverse, 1, size, target)
    return select(beyond, select(x < 0.0, -far, far), x * j)


def _guard(x: Scalar, y: Scalar) -> Scalar:
    """y, completed: -inf at 0, nan below."""
    return select(x.eq(0.0), -INF, select(x < 0.0, math.nan, y))


def y0(x: Scalar, target: Target) -> Scalar:
    """Y0(x): the table and 2/pi (log(x / 2) + gamma) J0(x) near 0"""
    j, y, beyond, inverse = _parts(0, x)
    near = fma((log(x, target) + GAMMA_LESS_LOG2) * TWO_PER_PI, j, y)
    return _guard(x, select(beyond, _far(j, y * inverse, 1, x, target), near))


def y1(x: Scalar, target: Target) -> Scalar:
    """Y1(x): the table, 2/pi ((log(x / 2) + gamma) J1(x) - 1/x) near 0"""
    j, y, beyond, inverse = _parts(1, x)
    near = fma(x, fma((log(x, target) + GAMMA_LESS_LOG2) * TWO_PER_PI, j, y), -(TWO_PER_PI / x))
    return _guard(x, select(beyond, _far(j, y * inverse, 2, x, target), near))


def jn(x: Scalar, target: Target, n: int) -> Scalar:
    """J_n(x), n >= 2. Beyond n + 4 by J_(k+1) = 2k/x J_k - J_(k-1). Else J_n = (x/2)**n / n! g_n with
    g_(k-1) = g_k - (x/2)**2 / (k (k+1)) g_(k+1) from far above, whose scale is known from J_0 and J_1 together: they are not both 0.
    """
    if x.dtype == float32 and n > 12:  # for the range of g
        return jn(x.cast(float64), target, n).cast(float32)
    size, last = abs(x), n + 4.0
    before, known = j0(size, target), j1(size, target)
    value = _by_series(size, last, n, before, known)
    for k in range(1, n):
        before, known = known, fma(known * (2.0 * k), 1.0 / size, -before)
    value = select(size > last, known, value)
    return value if n % 2 == 0 else select(x < 0.0, -value, value)


def _by_series(size: Scalar, last: float, n: int, zeroth: Scalar, first: Scalar) -> Scalar:
    """J_n(x) for 0 <= x <= last"""
    half = select(size > last, 0.0, size) * 0.5
    square = half * half
    upper = lower = half.like(1.0)
    wanted = upper
    for k in range(n + 22 + math.ceil(6 * math.sqrt(n)), 0, -1):
        upper, lower = lower, fma(square * (-1 / (k * (k + 1))), upper, lower)
        wanted = lower if k == n + 1 else wanted
    other = half * upper
    value = wanted * (fma(zeroth, lower, first * other) / fma(lower, lower, other * other))
    for k in range(1, n + 1):
        value = value * (half * (1 / k))
    return value


BOUNDS: dict[str, tuple[float, float]] = {"j0": (4, 4), "j1": (4, 4), "y0": (4, 4), "y1": (4, 4)}
