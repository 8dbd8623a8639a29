"""Quotients f(x) / x and differences f(x) - x at 0, where both parts vanish: by their power series there.

    sin(x) / x       ->  where(|x| < 1, 1 - x**2 / 6 + .., sin(x) / x)
    tan(x) - x       ->  where(|x| < 1/2, x**3 / 3 + .., tan(x) - x)

The value at 0 is the limit, and the derivatives of every order, which divide by higher powers of x, are those of the series. A function
is a row: its series and how far it is used. The number of terms follows from the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from graphc.ir import Node, Op, make
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import reciprocal, square
from graphc.ops.compare import SELECT, where
from graphc.ops.elementwise import arcsin, arcsinh, arctan, arctanh, erf, expm1, log1p, sin, sinh, tan, tanh
from graphc.ops.registry import OPS
from graphc.ops.special.hyperbolic import over_expm1
from graphc.passes.rewriting.match import hole
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.forms import linear, ratio_of

DIVIDE, MULTIPLY, SUBTRACT = (OPS[name] for name in ("divide", "multiply", "subtract"))
MORE = 2  # orders of derivatives that the series has all digits for
x = hole("x")


@lru_cache(maxsize=256)
def bernoulli(n: int) -> Fraction:
    """The number B_n, by its recurrence."""
    total = Fraction(0)
    for k in range(n):
        total -= Fraction(math.comb(n + 1, k), n + 1) * bernoulli(k)
    return total if n else Fraction(1)


def _tangent(k: int) -> Fraction:
    """The coefficient of x**(2k + 1) of tan(x)."""
    n = k + 1
    return Fraction(abs(bernoulli(2 * n)) * 4**n * (4**n - 1), math.factorial(2 * n))


def _arc(k: int) -> Fraction:
    """The coefficient of x**(2k + 1) of arcsin(x)."""
    return Fraction(math.factorial(2 * k), 4**k * math.factorial(k) ** 2 * (2 * k + 1))


@dataclass(frozen=True)
class Series:
    """f(x) = x sum(coefficient(k) * x**(step k)), used for |x| < radius; the terms shrink by `ratio` of (x / its radius)**step at least."""

    coefficient: Callable[[int], Fraction]
    radius: float
    step: int = 2

    def terms(self, dtype: np.dtype) -> list[float]:
        """Coefficients up to where they, and those of the next derivatives, are below a rounding of the first that is not 0."""
        eps, found, k = float(np.finfo(dtype).eps) / 8, list[float](), 0
        while True:
            c = float(self.coefficient(k))
            found.append(c)
            k += 1
            weight = float(self.step * k + 4) ** MORE
            if k > 2 and math.fabs(c) * weight * self.radius ** (self.step * (k - 2)) < eps:
                return found


ALTERNATING: Callable[[int], int] = lambda k: -1 if k % 2 else 1
SERIES: dict[Op, Series] = {
    sin(0.0).op: Series(lambda k: Fraction(ALTERNATING(k), math.factorial(2 * k + 1)), 1.0),
    sinh(0.0).op: Series(lambda k: Fraction(1, math.factorial(2 * k + 1)), 1.0),
    tan(0.0).op: Series(_tangent, 0.5),
    tanh(0.0).op: Series(lambda k: ALTERNATING(k) * _tangent(k), 0.5),
    arctan(0.0).op: Series(lambda k: Fraction(ALTERNATING(k), 2 * k + 1), 0.3),
    arctanh(0.0).op: Series(lambda k: Fraction(1, 2 * k + 1), 0.3),
    arcsin(0.0).op: Series(_arc, 0.3),
    arcsinh(0.0).op: Series(lambda k: ALTERNATING(k) * _arc(k), 0.3),
    erf(0.0).op: Series(lambda k: Fraction(2 / math.sqrt(math.pi)) * Fraction(ALTERNATING(k), math.factorial(k) * (2 * k + 1)), 0.7),
    expm1(0.0).op: Series(lambda k: Fraction(1, math.factorial(k + 1)), 0.5, 1),
    log1p(0.0).op: Series(lambda k: Fraction(ALTERNATING(k), k + 1), 0.2, 1),
}


def _polynomial(terms: list[float], at: Node) -> Node:
    """By Horner's scheme."""
    made: Node | None = None
    for c in reversed(terms):
        made = at * 0.0 + c if made is None else made * at + c
    assert made is not None
    return made


def _parts(series: Series, x: Node) -> tuple[Node, Node, Node]:
    """Where the series is used, its variable there, and x elsewhere, each a harmless number where the other is used."""
    near = size_of(x) < series.radius
    inside = where(near, x, 0.0)
    return near, square(inside) if series.step == 2 else inside, where(near, 1.0, x)


def quotient_at_0(node: Node) -> Node | None:
    """f(c x) / x -> c where(|c x| < r, the series of f(u) / u, f(c x) / (c x)), x / f(c x) the reciprocal of that."""
    top, bottom = node.inputs
    upside = top.op in SERIES
    f, v = (top, bottom) if upside else (bottom, top)
    times = _multiple(f, v) if f.op in SERIES else None
    if times is None:
        return None
    series, u = SERIES[f.op], f.inputs[0]
    near, at, beyond = _parts(series, u)
    value = _polynomial(series.terms(u.dtype), at)
    far = make(f.op, (beyond,))
    made = where(near, value, far / beyond) if upside else where(near, reciprocal(value), beyond / far)
    return _times(made, times if upside else 1 / times)


def _multiple(f: Node, v: Node) -> Fraction | None:
    """c for f(c v)."""
    u = f.inputs[0]
    return None if u.op is SELECT else Fraction(1) if u is v else ratio_of(linear(u), linear(v))


def _times(x: Node, c: Fraction) -> Node:
    return x if c == 1 else -x if c == -1 else x * float(c)


def product_at_0(node: Node) -> Node | None:
    """x * over_expm1(c x), which is x / (e**(c x) - 1), as `quotient_at_0`."""
    a, b = node.inputs
    f, v = (a, b) if a.op is OVER else (b, a)
    times = _multiple(f, v) if f.op is OVER else None
    if times is None:
        return None
    series, u = SERIES[expm1(0.0).op], f.inputs[0]
    near, at, beyond = _parts(series, u)
    made = where(near, reciprocal(_polynomial(series.terms(u.dtype), at)), beyond * over_expm1(beyond))
    return _times(made, 1 / times)


def difference_at_0(node: Node) -> Node | None:
    """f(x) - x -> where(|x| < r, its series from the second term on, f(x) - x), and the same for x - f(x)."""
    first, second = node.inputs
    upside = first.op in SERIES and first.inputs[0] is second
    if not upside and not (second.op in SERIES and second.inputs[0] is first):
        return None
    f, x = (first, second) if upside else (second, first)
    if x.op is SELECT or SERIES[f.op].coefficient(0) != 1:
        return None
    series = SERIES[f.op]
    near, at, beyond = _parts(series, x)
    rest = (where(near, x, 0.0) * at) * _polynomial(series.terms(x.dtype)[1:], at)
    far = make(f.op, (beyond,)) - beyond
    made = where(near, rest, far)
    return made if upside else -made


OVER = over_expm1(1.0).op
_NAMES = tuple(op.name for op in SERIES)

QUOTIENTS: tuple[AnyRule, ...] = (
    Rule("1 - cos over x**2", (2 * square(sin(0.5 * x))) / square(x), 0.5 * square(sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cos - 1 over x**2", (-2 * square(sin(0.5 * x))) / square(x), -0.5 * square(sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cosh - 1 over x**2", (2 * square(sinh(0.5 * x))) / square(x), 0.5 * square(sinh(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("1 - cos over x", (2 * square(sin(0.5 * x))) / x, sin(0.5 * x) * (sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cos - 1 over x", (-2 * square(sin(0.5 * x))) / x, -(sin(0.5 * x) * (sin(0.5 * x) / (0.5 * x))), floats="stable"),
    Rule("cosh - 1 over x", (2 * square(sinh(0.5 * x))) / x, sinh(0.5 * x) * (sinh(0.5 * x) / (0.5 * x)), floats="stable"),
    Local("quotient that is 0 / 0 at 0", "divide", quotient_at_0, floats="stable", inputs=_NAMES),
    Local("product that is 0 inf at 0", "multiply", product_at_0, floats="stable", inputs=("over_expm1",)),
    Local("difference that vanishes at 0", "subtract", difference_at_0, floats="stable", inputs=_NAMES),
)  # fmt: skip
