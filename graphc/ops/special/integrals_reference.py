"""What the integrals, Lambert's W and Spence's function mean, a number at a time, in decimals: series, means and Newton's method.

Native code works otherwise, by tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal

from graphc.ops.special.decimals import GAMMA, PI, precisely, terms

FAR = 60
Number = Callable[[float], float]


# -- exponential integrals ----------------------------------------------------------------------------------------------------
def _ei(x: Decimal) -> Decimal:
    size = abs(x)
    if size > FAR:
        if size.is_infinite():
            return x if x > 0 else Decimal("-0")
        total, term = Decimal(0), Decimal(1)
        for k in range(55):
            total += term
            term *= (k + 1) / x
        return (min(x, Decimal(5000))).exp() / x * total if x > -5000 else Decimal("-0")
    if not x:
        return Decimal("-inf")
    total, term, k = Decimal(0), Decimal(1), 0
    while k < 200:
        k += 1
        term *= x / k
        total += term / k
    return GAMMA + size.ln() + total


def ei(x: float) -> float:
    return precisely(_ei)(x)


def e1(x: float) -> float:
    if x <= 0:
        return math.inf if x == 0 else math.nan
    return -ei(-x)


def quotient_of_exp(n: int) -> Number:
    """The derivative n of e**x / x"""

    def of(x: Decimal) -> Decimal:
        if x.is_infinite():
            return x if x > 0 else Decimal("-0")
        if not x:
            return Decimal("inf").copy_sign(x) if n % 2 == 0 else Decimal("-inf")
        total = Decimal(1)
        for k in range(1, n + 1):
            total = 1 - k * total / x
        return max(min(x, Decimal(5000)), Decimal(-5000)).exp() / x * total

    return precisely(of)


# -- sine and cosine integrals ----------------------------------------------------------------------------------------------------
def _far(x: float) -> tuple[float, float]:
    """Si and Ci for x > 60 by the auxiliary functions"""
    if x == math.inf:
        return math.pi / 2, 0.0
    sums, term = [Decimal(0), Decimal(0)], Decimal(1)
    for k in range(55):
        sums[k % 2] += term if k % 4 < 2 else -term
        term *= (k + 1) / Decimal(x)
    f, g = (float(v / Decimal(x)) for v in sums)
    return math.pi / 2 - f * math.cos(x) - g * math.sin(x), f * math.sin(x) - g * math.cos(x)


def si(x: float) -> float:
    size = abs(x)
    if size > FAR:
        return math.copysign(_far(size)[0], x)

    def of(v: Decimal) -> Decimal:
        total, term = Decimal(0), v
        for k in range(120):
            total += term / (2 * k + 1)
            term *= -v * v / ((2 * k + 2) * (2 * k + 3))
        return total if v else v

    return precisely(of)(x)


def ci(x: float) -> float:
    size = abs(x)
    if size > FAR:
        return _far(size)[1]
    if size == 0:
        return -math.inf

    def of(v: Decimal) -> Decimal:
        total, term = Decimal(0), Decimal(1)
        for k in range(1, 120):
            term *= -v * v / ((2 * k - 1) * (2 * k))
            total += term / (2 * k)
        return GAMMA + v.ln() + total

    return precisely(of)(size)


def quotient(n: int, which: int) -> Number:
    """The derivative n of sin(x) / x (which = 0) or cos(x) / x (1)"""

    def near(x: Decimal) -> Decimal:
        if not x:
            k = (n + which) // 2  # of the term that is left
            return Decimal((-1) ** k) / (n + 1) if not which and n % 2 == 0 else Decimal(0) if not which else Decimal("inf").copy_sign(x)
        total = Decimal(0)
        for k in range(110):
            power = 2 * k - which
            total += (-1) ** k * math.prod(range(power - n + 1, power + 1)) * x ** (power - n) / math.factorial(2 * k + 1 - which)
        return total

    def at(x: float) -> float:
        if math.isinf(x):
            return 0.0
        if abs(x) <= FAR or x != x:
            return precisely(near)(x)
        s, c = math.sin(x), math.cos(x)
        values = ([s, c, -s, -c], [c, -s, -c, s])[which]
        q = values[0] / x
        for k in range(1, n + 1):
            q = (values[k % 4] - k * q) / x
        return q

    return at


# -- elliptic integrals -------------------------------------------------------------------------------------------------------------
def _means(t: Decimal) -> tuple[Decimal, Decimal]:
    """K and E of m = 1 - t by arithmetic and geometric means"""
    a, b, power, total = Decimal(1), t.sqrt(), Decimal(1) / 2, (1 - t) / 2
    for _ in range(60):
        c = (a - b) / 2
        a, b, power = (a + b) / 2, (a * b).sqrt(), power * 2
        total += power * c * c
        if abs(c) < abs(a) * Decimal(10) ** -45:
            break
    k = PI / (2 * a)
    return k, k * (1 - total)


def _taylor(kind: str, n: int, m: Decimal) -> Decimal:
    """The hypergeometric series of the derivative n"""
    a, b = Decimal(1 if kind == "k" else -1) / 2, Decimal("0.5")
    first = PI / 2
    for j in range(n):
        first *= (a + j) * (b + j) / (j + 1)
    return terms(first, lambda k: (a + n + k - 1) * (b + n + k - 1) / (n + k) * m / k)


def elliptic(kind: str, n: int) -> Number:
    """The derivative n of K or E"""

    def of(m: Decimal) -> Decimal:
        if m >= 1:
            return Decimal("nan") if m > 1 else Decimal("inf") if kind == "k" else Decimal(1) if n == 0 else Decimal("-inf")
        if m.is_infinite():
            return Decimal("inf") if kind == "e" and n == 0 else Decimal(0)
        if abs(m) < Decimal("0.4"):
            return _taylor(kind, n, m)
        k0, e0 = _means(1 - m)
        k, e = [k0, (e0 / (1 - m) - k0) / m / 2], [e0, (e0 - k0) / m / 2]
        for j in range(n - 1):
            k.append(((2 * m - 1) * (j + 1) * k[-1] + (2 * j + 1) ** 2 * k[-2] / 4) / (1 - m) / m)
            e.append(-((2 * j + 1) * e[-1] + k[j + 1]) / m / 2)
        return (k if kind == "k" else e)[n]

    return precisely(of)


# -- W and Li2 --------------------------------------------------------------------------------------------------------------------------
def _w(z: Decimal, branch: int) -> Decimal:
    """By Newton's method for the logarithm of the equation, or around the branch point for the equation"""
    if branch and not z:
        return Decimal("-inf")
    if z.is_infinite():
        return z if z > 0 and branch == 0 else Decimal("nan")
    if not z:
        return z
    rest = 2 * (1 + z * Decimal(1).exp())
    if rest < 0 or (branch and z > 0):
        return Decimal("nan")
    root = rest.sqrt() * (-1 if branch else 1)
    if branch == 0 and z > 1:
        w = z.ln() if z < 3 else z.ln() - z.ln().ln()
    elif branch and z > Decimal("-0.2"):
        w = (-z).ln() - (-(-z).ln()).ln()
    else:
        w = -1 + root - root**2 / 3 if abs(root) < 1 else z * (1 - z) if abs(z) < Decimal("0.3") else Decimal("0.4")
    for _ in range(80):
        step = (
            (w + (w / z).ln()) / (1 + 1 / w) if abs(w) > 1 and abs(root) > 1 else (w - z * (-w).exp()) / (1 + w) if w != -1 else Decimal(0)
        )
        w -= step
        if abs(step) <= abs(w) * Decimal(10) ** -50:
            break
    return w


def lambertw(branch: int) -> Number:
    return precisely(lambda z: _w(z, branch))


def lambertw_slope(branch: int, n: int) -> Number:
    """The derivative n >= 1, W'**n p_n(w) / (1 + w)**(n - 1), p_(n+1) = (1 + w) p_n' - (n w + 3n - 1) p_n"""

    def of(z: Decimal) -> Decimal:
        if z.is_infinite() and branch == 0 and z > 0:
            return Decimal(0)
        if not z and branch:
            return Decimal("-inf")
        w = _w(z, branch)
        if w.is_nan():
            return w
        if w == -1:
            return Decimal("inf")
        p = [1]
        for k in range(1, n):
            slopes = [j * c for j, c in enumerate(p)][1:] + [0, 0]
            p = [slopes[j] + (slopes[j - 1] if j else 0) - (3 * k - 1) * (p + [0])[j] - (k * p[j - 1] if j else 0) for j in range(k + 1)]
        first = (w / z if z else Decimal(1)) / (1 + w)
        return first**n * sum((c * w**j if j else Decimal(c) for j, c in enumerate(p)), Decimal(0)) / (1 + w) ** (n - 1)

    return precisely(of)


def _dilogarithm(y: Decimal) -> Decimal:
    """Li2(y) for |y| <= 1/2 or so"""
    total, term, k = Decimal(0), y, 1
    while abs(term) > abs(total) * Decimal(10) ** -60 and term:
        total += term / k**2
        term *= y
        k += 1
    return total


def spence(n: int) -> Number:
    """Li2(1 - z), or its derivative n"""

    def value(z: Decimal) -> Decimal:
        if z > Decimal("1.5"):
            return -(z.ln() ** 2) / 2 - value(1 / z)
        if z < Decimal("0.5"):
            return PI**2 / 6 - z.ln() * (1 - z).ln() - _dilogarithm(z)
        return _dilogarithm(1 - z)

    def of(z: Decimal) -> Decimal:
        if z < 0:
            return Decimal("nan")
        if not z:
            return PI**2 / 6 if n == 0 else Decimal("-inf") if n % 2 else Decimal("inf")
        if z.is_infinite():
            return Decimal("-inf") if n == 0 else Decimal("-0") if n % 2 else Decimal(0)
        if n == 0:
            return value(z)
        y = 1 - z
        if abs(y) < Decimal("0.3"):
            first = (-1) ** n * Decimal(math.factorial(n - 1)) / n
            return terms(first, lambda k: y * (n + k - 1) ** 2 / (k * (n + k)))
        found = z.ln() / y
        for k in range(1, n):
            found = (k * found + (-1) ** (k - 1) * math.factorial(k - 1) / z**k) / y
        return found

    return precisely(of)
