"""The exponential integrals E1 and Ei, the sine and cosine integrals, and the quotients that are their derivatives.

Tables over x, and over 1/x beyond the last piece; around 0 the series of what is left beside a logarithm.
"""

from __future__ import annotations

import math

from graphc.codegen.mathlib.bessel_i import tabled
from graphc.codegen.mathlib.exponential import exp_scaled
from graphc.codegen.mathlib.kit import poly
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.tables import ci as ci_values
from graphc.codegen.mathlib.tables import e1 as e1_values
from graphc.codegen.mathlib.tables import ei as ei_values
from graphc.codegen.mathlib.tables import si as si_values
from graphc.codegen.mathlib.trigonometric import cos, sin
from graphc.dtypes import float32
from graphc.scalars import Scalar, copysign, fma, select
from graphc.target import Target

INF, NAN = math.inf, math.nan
GAMMA = 0.5772156649015329
HALF_PI = 1.5707963267948966
ENTIRE = [1 / (k * math.factorial(k)) for k in range(1, 20)]  # (Ei(x) - log|x| - gamma) / x
COSINE = [(-1) ** k / (2 * k * math.factorial(2 * k)) for k in range(1, 10)]  # (Ci(x) - log x - gamma) / x**2


def _entire(x: Scalar, terms: list[float]) -> Scalar:
    """The series on |x| < 1, as far as the type shows it"""
    return poly(x, terms[: len(terms) * 5 // 9] if x.dtype == float32 else terms)


def _overflow(x: Scalar) -> float:
    """From where exp(x) / x is inf"""
    return 100.0 if x.dtype == float32 else 800.0


def exp1(x: Scalar, target: Target) -> Scalar:
    """E1(x), the integral of exp(-t) / t over t from x on; nan for x < 0"""
    near = fma(x, _entire(-x, ENTIRE), -(log(x, target) + GAMMA))
    value, beyond, inverse = tabled(table(e1_values, x), x, 8.0)
    far = exp_scaled(select(beyond, value * inverse, value), -x, target)
    y = select(x < 0.5, near, select(x.eq(INF), 0.0, far))
    return select(x.eq(0.0), INF, select(x < 0.0, NAN, y))


def expi(x: Scalar, target: Target) -> Scalar:
    """Ei(x), for x < 0 -E1(-x)"""
    near = fma(x, _entire(x, ENTIRE), log(x, target) + GAMMA)
    value, beyond, inverse = tabled(table(ei_values, x), x, 32.0)
    far = exp_scaled(select(beyond, value * inverse, value), x, target)
    y = select(x < 1.0, near, select(x > _overflow(x), INF, far))
    return select(x.eq(0.0), -INF, select(x < 0.0, -exp1(-x, target), y))


def expi_slope(x: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of exp(x) / x: exp(x) / x (1 - n/x (1 - (n-1)/x (..)))"""
    inverse = 1.0 / x
    total = x.like(1.0)
    for k in range(1, n + 1):
        total = fma(total * inverse, -float(k), 1.0)
    return select(x > _overflow(x), INF, select(x.eq(-INF), -0.0, exp_scaled(total * inverse, x, target)))


def _auxiliary(size: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """(Si(x) / x, Ci(x), whether x > 7, f, g): the first two below, the last two beyond"""
    s, beyond, inverse = tabled(table(si_values, size), size, 7.0)
    c, _, _ = tabled(table(ci_values, size), size, 7.0)
    return s, c, beyond, c * inverse, s * inverse * inverse


def si(x: Scalar, target: Target) -> Scalar:
    """The integral of sin(t) / t over t from 0 to x; +-pi/2 at +-inf"""
    size = abs(x)
    s, _, beyond, f, g = _auxiliary(size)
    far = HALF_PI - fma(f, cos(size, target), g * sin(size, target))
    return select(beyond, copysign(select(size.eq(INF), HALF_PI, far), x), x * s)


def ci(x: Scalar, target: Target) -> Scalar:
    """gamma + log x + the integral of (cos(t) - 1) / t over t from 0 to x; of |x|, as SciPy has the real part"""
    size = abs(x)
    z = size * size
    _, c, beyond, f, g = _auxiliary(size)
    near = fma(z, _entire(z, COSINE), log(size, target) + GAMMA)
    far = fma(f, sin(size, target), -(g * cos(size, target)))
    y = select(size < 1.0, near, select(beyond, far, c))
    return select(size.eq(INF), 0.0, select(size.eq(0.0), -INF, y))


def _by_recurrence(x: Scalar, n: int, values: list[Scalar]) -> Scalar:
    """The derivative n of t(x) / x by x q_n = t^(n) - n q_(n-1), where `values` are t and its first three derivatives"""
    q = values[0] / x
    for k in range(1, n + 1):
        q = (values[k % 4] - q * float(k)) / x
    return q


def sinc_slope(x: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of sin(x) / x; by Taylor's series where the recurrence would cancel"""
    last = 0.5 * n + 1.5
    size = abs(x)
    inner = select(size > last, 0.0, x)
    first = (n + 1) // 2
    count = 12 + 2 * n + (0 if x.dtype == float32 else 6)
    terms = [(-1) ** k / ((2 * k + 1) * math.factorial(2 * k - n)) for k in range(first, first + count)]
    near = poly(inner * inner, terms)
    near = near * inner if n % 2 else near
    s, c = sin(x, target), cos(x, target)
    return select(size.eq(INF), 0.0, select(size > last, _by_recurrence(x, n, [s, c, -s, -c]), near))


def cosc_slope(x: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of cos(x) / x"""
    s, c = sin(x, target), cos(x, target)
    return select(abs(x).eq(INF), 0.0, _by_recurrence(x, n, [c, -s, -c, s]))


BOUNDS: dict[str, tuple[float, float]] = {"exp1": (4, 4), "expi": (4, 4), "si": (4, 4), "ci": (4, 4)}
