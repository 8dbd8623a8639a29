"""Lambert's W, the real solutions of w exp(w) = z, and Spence's function.

W: tables over the logarithm of z, where an error of it shows no more than in the logarithm itself, and around the branch point -1/e over
p = sqrt(2 (e z + 1)), of which W is a smooth function; e z + 1 is computed without cancelling.
"""

from __future__ import annotations

import math
from functools import cache

from graphc.codegen.mathlib.exponential import exp
from graphc.codegen.mathlib.kit import poly, two_product
from graphc.codegen.mathlib.logarithm import log, log1p
from graphc.codegen.mathlib.piecewise import Table, table
from graphc.codegen.mathlib.tables import lambertw as upper
from graphc.codegen.mathlib.tables import lambertw_lower as lower
from graphc.codegen.mathlib.tables import spence_0, spence_1, spence_2, spence_3, spence_4
from graphc.dtypes import float32
from graphc.scalars import Scalar, fma, select, sqrt
from graphc.target import Target

E = {True: (2.71828174591064453125, 8.254840066411930e-08), False: (2.718281828459045, 1.4456468917292502e-16)}  # of f32, f64
INF, NAN = math.inf, math.nan
PI2_6 = 1.6449340668482264
SPENCE = (spence_0, spence_1, spence_2, spence_3, spence_4)


def _root(z: Scalar, target: Target) -> tuple[Scalar, Scalar]:
    """(e z + 1, p)"""
    high, low = E[z.dtype == float32]
    product, error = two_product(z, z.like(high), target)
    rest = (product + 1.0) + fma(z, low, error)
    return rest, sqrt(rest * 2.0)


def _piece(held: Table, x: Scalar, p: Scalar, by_root: Scalar, step: float, count: int) -> Scalar:
    """The table at x, but where `by_root` at p, whose pieces are `step` long"""
    i = held.index(x)
    extra = i.like(held.near)
    for k in range(1, count):
        extra = select(p >= step * k, i.like(held.near + k), extra)
    i = select(by_root, extra, i)
    return held.polynomial(held.local(select(by_root, p, x), i), i)


def lambertw(z: Scalar, target: Target) -> Scalar:
    """W_0(z) >= -1; nan for z < -1/e, inf at inf"""
    rest, p = _root(z, target)
    near = z < 1.25
    value = _piece(table(upper, z), log(select(near, 1.0, z), target), p, near, 0.5, 6)
    value = select(near, z * value, value)
    return select(rest < 0.0, NAN, select(z.eq(INF), INF, value))


def lambertw_lower(z: Scalar, target: Target) -> Scalar:
    """W_-1(z) <= -1 for -1/e <= z < 0, -inf at 0, else nan"""
    rest, p = _root(z, target)
    near = z < -0.081
    value = _piece(table(lower, z), -log(select(near, 0.05, -z), target), p, near, 0.25, 5)
    return select(z.eq(0.0), -INF, select((rest < 0.0) | (z > 0.0), NAN, value))


@cache
def _slope_polynomial(n: int) -> tuple[int, ...]:
    """c with W^(n) = W'**n sum of c_j (1 + w)**(j + 1 - n): p_(n+1) = (1 + w) p_n' - (n (1 + w) + 2n - 1) p_n, in powers of 1 + w"""
    p = [1]
    for k in range(1, n):
        p = [(j * p[j] - (2 * k - 1) * p[j] if j < len(p) else 0) - (k * p[j - 1] if j else 0) for j in range(len(p) + 1)]
    return tuple(p)


def _slope(w: Scalar, z: Scalar, n: int, target: Target) -> Scalar:
    """The derivative n >= 1 of W. W' = 1 / (e**w (1 + w)), as (1 - 1 / (1 + w)) / z where e**w would show the rounding of w."""
    inverse = 1.0 / (w + 1.0)
    first = select(abs(w) < 1.0, exp(-w, target) * inverse, (1.0 - inverse) / z)
    value = first * poly(inverse, [float(c) for c in _slope_polynomial(n)[::-1]])
    for _ in range(n - 1):
        value = value * first
    return value


def lambertw_slope(z: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of W_0; 0 at inf"""
    return select(z.eq(INF), 0.0, _slope(lambertw(z, target), z, n, target))


def lambertw_lower_slope(z: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of W_-1"""
    return _slope(lambertw_lower(z, target), z, n, target)


def spence(z: Scalar, target: Target) -> Scalar:
    """-(the integral of log(t) / (t - 1) over t from 1 to z) = Li2(1 - z); below 1/2 and above 2 by the reflections of Li2"""
    low, high, inverse = z < 0.5, z >= 2.0, 1.0 / z
    inside = select(low, 1.0 - z, select(high, 1.0 - inverse, z))  # in 1/2..2
    own = table(spence_0, z).value(inside) * (1.0 - inside)
    logarithm, other = log(z, target), log1p(-select(high, inverse, z), target)
    below = (PI2_6 - select(z.eq(0.0), 0.0, logarithm * other)) - own
    above = own - fma(logarithm, fma(logarithm, 0.5, other), PI2_6)
    y = select(low, below, select(high, above, own))
    return select(z < 0.0, NAN, select(z.eq(INF), -INF, y))


def spence_slope(z: Scalar, target: Target, n: int) -> Scalar:
    """The derivative n of it, 1 <= n <= 4: log(z) / (1 - z) and its derivatives, (1 - z) s_(n+1) = n s_n + log^(n)(z)"""
    inside = (z >= 0.25) & (z < 4.0)
    value = table(SPENCE[n], z).value(select(inside, z, 1.0))
    rest, inverse = 1.0 - z, 1.0 / z
    outside, power = log(z, target) / rest, inverse
    for k in range(1, n):
        outside = fma(select(z < 2.0**-70, 0.0, outside), float(k), power) / rest  # nothing beside the power there, but of the other sign
        power = power * inverse * float(-k)
    ends = select(z.eq(INF), -0.0 if n % 2 else 0.0, select(z.eq(0.0), -INF if n % 2 else INF, outside))
    return select(inside, value, select(z < 0.0, NAN, ends))


BOUNDS: dict[str, tuple[float, float]] = {"lambertw": (4, 4), "lambertw_lower": (4, 4), "spence": (4, 4)}
