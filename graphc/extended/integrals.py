"""Exponential, sine, cosine and elliptic integrals, Lambert's W and Spence's function in decimals, with their derivatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import Decimal

from graphc.extended.functions import HALF, INFINITY, NAN, ONE, ZERO, cos, log1p, more, pi, sin, size
from graphc.extended.steady import digits, euler, sine_and_cosine_of_pi, steady, summed

Function = Callable[[Decimal], Decimal]


def _is_far(x: Decimal) -> bool:
    """Whether the asymptotic series, which err by exp(-|x|), have all digits."""
    return abs(x) > Decimal("2.4") * digits() + 20


# -- exponential integrals ----------------------------------------------------------------------------------------------------------
def _ei(x: Decimal) -> Decimal:
    if not x or x.is_infinite():
        return -INFINITY if not x else x if x > 0 else ZERO
    if _is_far(x):
        return x.exp() / x * summed(ONE, lambda k: k / x)
    with more(int(abs(x)) if x < 0 else 0):
        return euler(digits()) + abs(x).ln() + summed(x, lambda k: x / (k + 1), lambda k: ONE / (k + 1))


def expi_slope(n: int) -> Function:
    """The derivative n of exp(x) / x"""

    def f(x: Decimal) -> Decimal:
        if not x or x.is_infinite():
            return (INFINITY.copy_sign(x) if n % 2 == 0 else -INFINITY) if not x else x if x > 0 else ZERO
        total = ONE
        for k in range(1, n + 1):
            total = 1 - k * total / x
        return x.exp() / x * total

    return steady(f)


# -- sine and cosine integrals -----------------------------------------------------------------------------------------------------
def _auxiliary(x: Decimal) -> tuple[Decimal, Decimal]:
    """f and g with Si = pi/2 - f cos - g sin, Ci = f sin - g cos, of x far from 0"""
    z = -1 / (x * x)
    return summed(ONE, lambda k: z * (2 * k) * (2 * k - 1)) / x, summed(ONE, lambda k: z * (2 * k + 1) * (2 * k)) / (x * x)


def _si(x: Decimal) -> Decimal:
    a = abs(x)
    if not x or x.is_infinite():
        return (pi(digits()) / 2).copy_sign(x) if x else x
    if _is_far(x):
        f, g = _auxiliary(a)
        return (pi(digits()) / 2 - f * cos(a) - g * sin(a)).copy_sign(x)
    with more(int(a)):
        return summed(x, lambda k: -x * x / (2 * k * (2 * k + 1)), lambda k: ONE / (2 * k + 1))


def _ci(x: Decimal) -> Decimal:
    a = abs(x)
    if not a or a.is_infinite():
        return ZERO if a else -INFINITY
    if _is_far(a):
        f, g = _auxiliary(a)
        return f * sin(a) - g * cos(a)
    with more(int(a)):
        z = a * a
        return euler(digits()) + a.ln() + summed(-z / 2, lambda k: -z / ((2 * k + 1) * (2 * k + 2)), lambda k: ONE / (2 * k + 2))


def _quotient_series(n: int, which: int, x: Decimal) -> Decimal:
    """The derivative n of the sum of (-1)**k x**(2k - which) / (2k + 1 - which)!"""
    total = ZERO
    for power in itertools.count(-which, 2):
        factor = (-1) ** ((power + which) // 2) * math.prod(range(power - n + 1, power + 1))
        part = Decimal(factor) / math.factorial(power + 1) * x ** (power - n)
        total += part
        if power > n + 2 and size(part) < size(total) - digits() - 3:
            break
    return total


def quotient(cosine: bool) -> Callable[[int], Function]:
    """The derivative n of sin(x) / x or cos(x) / x: by its series near 0, by q_n = (t^(n) - n q_(n-1)) / x elsewhere"""

    def family(n: int) -> Function:
        def f(x: Decimal) -> Decimal:
            if x.is_infinite():
                return ZERO
            if not x and cosine:
                return INFINITY.copy_sign(x) if n % 2 == 0 else -INFINITY
            if not x:
                return ZERO if n % 2 else Decimal(-1 if n % 4 else 1) / (n + 1)
            if abs(x) < n + 2:
                return _quotient_series(n, int(cosine), x)
            s, c = sin(x), cos(x)
            values = (c, -s, -c, s) if cosine else (s, c, -s, -c)
            q = values[0] / x
            for k in range(1, n + 1):
                q = (values[k % 4] - k * q) / x
            return q

        return steady(f)

    return family


def sinc(n: int) -> Function:
    """The derivative n of sin(pi x) / (pi x), with its exact zeros"""
    plain = quotient(False)(n)

    def f(x: Decimal) -> Decimal:
        if x.is_infinite():
            return NAN
        if n or not x:
            return pi(digits()) ** n * plain(pi(digits()) * x)
        return sine_and_cosine_of_pi(x)[0] / (pi(digits()) * x)

    return steady(f)


# -- elliptic integrals ----------------------------------------------------------------------------------------------------------------
def _means(t: Decimal) -> tuple[Decimal, Decimal]:
    """K and E of m = 1 - t by arithmetic and geometric means"""
    a, b, power, total = ONE, t.sqrt(), HALF, (1 - t) / 2
    while True:
        c = (a - b) / 2
        a, b, power = (a + b) / 2, (a * b).sqrt(), power * 2
        total += power * c * c
        if abs(c) <= abs(a).scaleb(-digits() // 2 - 2):
            k = pi(digits()) / (2 * a)
            return k, k * (1 - total)


def elliptic(kind: str) -> Callable[[int], Function]:
    """The derivative n of K or E: by the hypergeometric series near 0, elsewhere by their differential equations"""
    first = -HALF if kind == "e" else HALF

    def family(n: int) -> Function:
        def f(m: Decimal) -> Decimal:
            if m >= 1:
                return NAN if m > 1 else INFINITY if kind == "k" else ONE if n == 0 else -INFINITY
            if m.is_infinite():
                return INFINITY if kind == "e" and n == 0 else ZERO
            if abs(m) < Decimal("0.4"):
                start = pi(digits()) / 2
                for j in range(n):
                    start *= (first + j) * (HALF + j) / (j + 1)
                return summed(start, lambda k: (first + n + k - 1) * (HALF + n + k - 1) / (n + k) * m / k)
            k0, e0 = _means(1 - m)
            k, e = [k0, (e0 / (1 - m) - k0) / m / 2], [e0, (e0 - k0) / m / 2]
            for j in range(n - 1):
                k.append(((2 * m - 1) * (j + 1) * k[-1] + Decimal((2 * j + 1) ** 2) * k[-2] / 4) / (1 - m) / m)
                e.append(-((2 * j + 1) * e[-1] + k[j + 1]) / m / 2)
            return (k if kind == "k" else e)[n]

        return steady(f)

    return family


# -- Lambert's W -----------------------------------------------------------------------------------------------------------------------
def _start(z: Decimal, lower: bool) -> Decimal:
    """Near W, from where Newton's method gets there"""
    if not lower and z > 1:
        return z.ln() if z < 3 else z.ln() - z.ln().ln()
    if lower and z > Decimal("-0.2"):
        return (-z).ln() - (-(-z).ln()).ln()
    root = (2 * (1 + z * ONE.exp())).sqrt() * (-1 if lower else 1)
    return -1 + root - root**2 / 3 if abs(root) < 1 else z * (1 - z) if abs(z) < Decimal("0.3") else Decimal("0.4")


def _w(z: Decimal, lower: bool) -> Decimal:
    """By Newton's method for w exp(w) = z, or where |w| > 1 and is not the branch point for its logarithm"""
    if not z or z.is_infinite():
        return (-INFINITY if lower else z) if not z else z if z > 0 and not lower else NAN
    if 1 + z * ONE.exp() < 0 or (lower and z > 0):
        return NAN
    w, by_logarithm = _start(z, lower), z > 3 or (lower and z > Decimal("-0.2"))
    for _ in range(200):
        d = (w + (w / z).ln()) / (1 + 1 / w) if by_logarithm else (w - z * (-w).exp()) / (1 + w)
        w -= d
        if abs(d) <= abs(w).scaleb(-digits() + 4):
            break
    return w


def lambertw(lower: bool) -> Function:
    return steady(lambda z: _w(z, lower))


def lambertw_slope(lower: bool) -> Callable[[int], Function]:
    """The derivative n >= 1, W'**n p_n(w) / (1 + w)**(n - 1), p_(n+1) = (1 + w) p_n' - (n w + 3n - 1) p_n"""

    def family(n: int) -> Function:
        p = [1]
        for k in range(1, n):
            slopes = [j * c for j, c in enumerate(p)][1:] + [0, 0]
            p = [slopes[j] + (slopes[j - 1] if j else 0) - (3 * k - 1) * (p + [0])[j] - (k * p[j - 1] if j else 0) for j in range(k + 1)]

        def f(z: Decimal) -> Decimal:
            if z.is_infinite() and not lower and z > 0:
                return ZERO
            if not z and lower:
                return -INFINITY
            w = _w(z, lower)
            if w.is_nan():
                return w
            first, total = (w / z if z else ONE) / (1 + w), ZERO
            for c in reversed(p):
                total = total * w + c
            return first**n * total / (1 + w) ** (n - 1)

        return steady(f)

    return family


# -- Spence's function ---------------------------------------------------------------------------------------------------------------------
def _dilogarithm(y: Decimal) -> Decimal:
    """Li2(y), |y| <= 1/2"""
    return summed(y, lambda k: y, lambda k: ONE / (k + 1) ** 2)


def _spence(z: Decimal) -> Decimal:
    if z < 0 or not z or z.is_infinite():
        return pi(digits()) ** 2 / 6 if not z else -INFINITY if z > 0 else NAN
    if z > Decimal("1.5"):
        return -(z.ln() ** 2) / 2 - _spence(1 / z)
    return _dilogarithm(1 - z) if z > HALF else pi(digits()) ** 2 / 6 - z.ln() * log1p(-z) - _dilogarithm(z)


def spence_slope(n: int) -> Function:
    """The derivative n >= 1: log(z) / (1 - z) and its derivatives"""

    def f(z: Decimal) -> Decimal:
        if z < 0 or not z or z.is_infinite():
            return NAN if z < 0 else ZERO if z else -INFINITY if n % 2 else INFINITY
        y = 1 - z
        if abs(y) < Decimal("0.3"):
            return summed((-1) ** n * Decimal(math.factorial(n - 1)) / n, lambda k: y * (n + k - 1) ** 2 / (k * (n + k)))
        found = z.ln() / y
        for k in range(1, n):
            found = (k * found + (-1) ** (k - 1) * math.factorial(k - 1) / z**k) / y
        return found

    return steady(f)


INTEGRALS: dict[str, Function] = {
    "exp1": steady(lambda x: -_ei(-x) if x >= 0 else NAN), "expi": steady(_ei), "si": steady(_si), "ci": steady(_ci),
    "ellipk": elliptic("k")(0), "ellipe": elliptic("e")(0), "lambertw": lambertw(False), "lambertw_lower": lambertw(True),
    "spence": steady(_spence),
}  # fmt: skip
INTEGRAL_FAMILIES: dict[str, Callable[[int], Function]] = {
    "expi_slope": expi_slope, "sinc_slope": quotient(False), "cosc_slope": quotient(True), "sinc": sinc, "ellipk_slope": elliptic("k"),
    "ellipe_slope": elliptic("e"), "lambertw_slope": lambertw_slope(False), "lambertw_lower_slope": lambertw_slope(True),
    "spence_slope": spence_slope,
}  # fmt: skip
