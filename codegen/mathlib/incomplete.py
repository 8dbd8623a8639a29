"""What the incomplete gamma and beta functions share: logarithms of ratios, and powers of them, in pairs that do not cancel."""

from __future__ import annotations

import math

from graphc.codegen.mathlib.coefficients import LOG_TAIL
from graphc.codegen.mathlib.exponential import above_one, reduce, square_part
from graphc.codegen.mathlib.kit import Pair, add_pairs, fast_two_sum, multiply_pairs, poly, power_of_two, remainder, two_product, two_sum
from graphc.codegen.mathlib.logarithm import log
from graphc.codegen.mathlib.piecewise import table
from graphc.codegen.mathlib.power import THIRD, log_pair
from graphc.codegen.mathlib.tables import digamma as digammas
from graphc.codegen.mathlib.tables import gamma as gammas
from graphc.codegen.mathlib.tables import legendre
from graphc.scalars import Operand, Scalar, fma, select, sqrt
from graphc.target import Target

NODES = {True: (legendre.POINTS_16, legendre.WEIGHTS_16), False: (legendre.POINTS_28, legendre.WEIGHTS_28)}  # enough for f32, for f64
INF = math.inf
REACH = {True: 21.0, False: 38.0}  # the integrals end where the integrand is e**-REACH
BEYOND = 1400.0  # e**-BEYOND is nothing, also over the least x
LEAST_QUOTIENT = 2.0**-960
STIRLING = 4.0  # from where on the remainder of Stirling's formula has a polynomial
EXP_REST = [1 / math.factorial(k + 2) for k in range(13)]  # of (e**r - 1 - r) / r**2 for |r| <= log(2) / 2, to 2**-54 of itself
ROOT_2PI = math.sqrt(2.0 * math.pi)
HALF_LOG_2PI_LESS = 0.4189385332046727  # log(2 pi) / 2 - 1/2, which the table has besides the remainder


def scaled(a: Pair, factor: float) -> Pair:
    """a times a power of two"""
    return a[0] * factor, a[1] * factor


def sum_of_pairs(a: Pair, b: Pair) -> Pair:
    """a + b, whichever is larger"""
    high, low = two_sum(a[0], b[0])
    return fast_two_sum(high, low + (a[1] + b[1]))


def times(a: Scalar, p: Pair, target: Target) -> Pair:
    """a p"""
    high, low = two_product(a, p[0], target)
    return fast_two_sum(high, fma(a, p[1], low))


def quotient(a: Pair, b: Pair, target: Target) -> Pair:
    """a / b"""
    q = a[0] / b[0]
    return q, (remainder(a[0], b[0], q, target) + fma(-q, b[1], a[1])) / b[0]


def log_ratio(x: Scalar, a: Scalar, target: Target) -> tuple[Pair, Scalar]:
    """(x - a - a log(x / a), log(x / a)) for x > 0 and a >= STIRLING, the first as a pair"""
    return log_ratio_of((x, x.like(0.0)), a, two_sum(x, -a), target)


def log_ratio_of(x: Pair, a: Scalar, gap: Pair, target: Target) -> tuple[Pair, Scalar]:
    """The same of a pair x with x - a, to 2**-62: with s = (x - a) / (x + a) and z = s**2

    log(x / a) = 2s (1 + z T),   x - a - a log(x / a) = s (x - a - 2a z T),   T = 1/3 + z/5 + ..

    The first is inf where x / a is next to nothing.
    """
    s = quotient(scaled(gap, 0.5), sum_of_pairs((a, a.like(0.0)), scaled(gap, 0.5)), target)
    near = (abs(s[0]) < 0.1716) & (abs(gap[0]) <= a)
    s = select(near, s[0], 0.0), select(near, s[1], 0.0)
    z = multiply_pairs(s, s, target)
    series = add_pairs((a.like(THIRD[0]), a.like(THIRD[1])), (z[0] * poly(z[0], LOG_TAIL), a.like(0.0)))
    product = multiply_pairs(z, series, target)
    rest = sum_of_pairs(gap, scaled(times(a, product, target), -2.0))
    close = multiply_pairs(s, rest, target)
    q = quotient(x, (a, a.like(0.0)), target)
    lost = q[0] < LEAST_QUOTIENT
    high, low = log_pair(select(near | lost, 1.0, q[0]), target)
    apart = fast_two_sum(high, low + q[1] / q[0])
    far = sum_of_pairs(gap, scaled(times(a, apart, target), -1.0))
    far = select(lost, INF, far[0]), far[1]
    gap_log = select(near, 2.0 * fma(s[0], product[0], s[0]), select(lost, log(x[0], target) - log(a, target), apart[0]))
    return (select(near, close[0], far[0]), select(near, close[1], far[1])), gap_log


def power_exponent(x: Pair, a: Scalar, gap: Pair, target: Target, less: float = 0.0) -> tuple[Pair, Scalar]:
    """(e, l): x**a e**-x = e**-e, but for a >= STIRLING e**-e a**a e**-a; l = log(x), log(x / a) there. With x**(a - less) below."""
    far = a >= STIRLING
    above, gap_log = log_ratio_of(x, select(far, a, STIRLING), gap, target)
    high, low = log_pair(x[0], target)
    logarithm = fast_two_sum(high, low + select(x[0] > 0.0, x[1] / x[0], 0.0))
    power = two_sum(a, a.like(-less)) if less else (a, a.like(0.0))
    product = times(power[0], logarithm, target)
    product = sum_of_pairs(product, (power[1] * logarithm[0], a.like(0.0))) if less else product
    below = sum_of_pairs(x, (-product[0], -product[1]))
    return (select(far, above[0], below[0]), select(far, above[1], below[1])), select(far, gap_log, logarithm[0])


def exp_of_minus(e: Pair) -> tuple[Scalar, Scalar, Scalar]:
    """(y, n, n as a float) with e**-(high + low) = y 2**n; of more than BEYOND y is 0"""
    inside = (e[0] < BEYOND) & (e[0] > -BEYOND)
    high = select(inside, -e[0], 0.0)
    low = select(inside, -e[1], 0.0)
    r, n, whole = reduce(high)
    total, rest = fast_two_sum(r.like(1.0), r)
    square = square_part(r)
    return select(inside, total + (rest + fma(low, total + square, square)), 0.0), n, whole


def exp_near(x: Scalar) -> Scalar:
    """e**x for |x| < 700"""
    r, n, _ = reduce(x)
    return (above_one(r) + 1.0) * power_of_two(n)


def expm1_less(x: Scalar) -> tuple[Scalar, Scalar]:
    """(e**x - 1 - x, e**x - 1) for |x| < 700, the first without a lost digit: its parts are added where they do not cancel"""
    r, n, _ = reduce(x)
    power = power_of_two(n)
    part = r * r * poly(r, EXP_REST)
    whole = fma(power, r + part, power - 1.0)
    return select(n.eq(0), part, fma(power, r + part, (power - 1.0) - x)), whole


def _gamma_table(a: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(v, b, c) where v is the remainder of Stirling's formula + log(2 pi) / 2 - 1/2 for a >= STIRLING; below, gamma(a + 1) = v b and
    gamma(a) = v / c, of b and c one is a and the other 1
    """
    small = a < 0.5
    t = select(small, a + 1.0, a)
    value = table(gammas, t).value_or(t, a >= STIRLING, 1.0 / t)
    return value, select(small, 1.0, a), select(small, a, 1.0)


def gamma_parts(a: Scalar) -> tuple[Scalar, Scalar]:
    """(minus the remainder of Stirling's formula for a >= STIRLING, else 0; gamma(a + 1) for a < STIRLING, else something)"""
    value, factor, _ = _gamma_table(a)
    return select(a >= STIRLING, HALF_LOG_2PI_LESS - value, 0.0), value * factor


def over_gamma(a: Scalar) -> Scalar:
    """a**a e**-a / gamma(a + 1) for a >= STIRLING, 1 / gamma(a + 1) below: the factor beside `log_ratio` and beside a log(x) - x"""
    above, below = over_gamma_parts(a, False)
    return above / below


def over_gamma_parts(a: Scalar, times: Scalar | bool) -> tuple[Scalar, Scalar]:
    """(p, q) with p / q = `over_gamma(a)`, where `times` a times that: a result has fewer roundings if it divides by q last"""
    value, factor, other = _gamma_table(a)
    far, power, root = a >= STIRLING, exp_near(-(value + 0.5)), sqrt(a)

    def either(yes: Operand, no: Operand) -> Operand:
        return (yes if times else no) if isinstance(times, bool) else select(times, yes, no)

    return select(far, either(power * root, power), either(other, 1.0)), select(far, either(1.0, root), value * either(1.0, factor))


def digamma_less_log(a: Scalar) -> Scalar:
    """a (digamma(a) - log(a)) for a >= STIRLING"""
    return table(digammas, a).value_or(a, a >= STIRLING, 1.0 / a)
