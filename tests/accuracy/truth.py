"""Value and derivatives of order 1, 2, 3 of a tree at a point, by the chain rule; in mpmath as exactly as it takes, in NumPy as it comes.

    derivatives(("exp", "x"), 0.5)   ->  [exp(0.5)] * 4       in mpmath, right to 20 digits at least
    in_floats(("exp", "x"), array)   ->  four arrays          as plain chain rule in the dtype of the array

A row is its first four derivatives as functions of the operand, over either library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import mpmath as mp
import numpy as np

from tests.accuracy.expressions import Tree

Jet = list[Any]  # value and derivatives by x
DIGITS = (60, 130, 480, 1100, 2000)  # tried until two agree, from those on that hold 1 + x**2
AGREE = mp.mpf(10) ** -20
FAR = 300
LIMIT = mp.mpf(10) ** 1500  # of operands of functions: nothing in f64 needs more


class Undefined(ArithmeticError):
    """Not a real number here."""


def _exp(x: Any) -> Any:
    """mpmath takes whole powers of e where x is whole, which is slow for a large one."""
    if abs(x) <= FAR:
        return mp.exp(x)
    with mp.workprec(mp.mp.prec + int(mp.log(abs(x), 2)) + 20):
        n = mp.nint(x / mp.ln2)
        rest = mp.exp(x - n * mp.ln2)
    return mp.ldexp(+rest, int(n))


class _Mpmath(SimpleNamespace):
    """The names of NumPy for real numbers in mpmath."""

    def __init__(self) -> None:
        names = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc")
        table = {name: getattr(mp, name) for name in names}
        table |= {f"arc{name}": getattr(mp, f"a{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
        table |= {"exp": _exp, "expm1": lambda x: _exp(x) - 1 if abs(x) > FAR else mp.expm1(x)}
        table["sinh"] = lambda x: mp.sign(x) * (_exp(abs(x)) - _exp(-abs(x))) / 2 if abs(x) > FAR else mp.sinh(x)
        table["cosh"] = lambda x: (_exp(abs(x)) + _exp(-abs(x))) / 2 if abs(x) > FAR else mp.cosh(x)
        super().__init__(**{name: self._real(f) for name, f in table.items()}, sign=mp.sign, abs=abs)
        self.power = lambda x, c: self._real(lambda v: mp.power(v, c))(x)

    @staticmethod
    def _real(f: Callable[..., Any]) -> Callable[..., Any]:
        def real(x: Any) -> Any:
            if abs(x) > LIMIT:
                raise Undefined
            made = f(x)
            if isinstance(made, mp.mpc) or mp.isnan(made) or mp.isinf(made):
                raise Undefined
            return made

        return real


def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.array([function(v) for v in x.tolist()], x.dtype)


EXACT = _Mpmath()
FLOATS = SimpleNamespace(**{n: getattr(np, n) for n in dir(np) if not n.startswith("_")}, erf=_each(math.erf), erfc=_each(math.erfc))


def _sigmoid(m: Any, x: Any) -> Jet:
    s = 1 / (1 + m.exp(-x))
    return _of_sigmoid(s)


def _of_sigmoid(s: Any) -> Jet:
    d = s * (1 - s)
    return [s, d, d * (1 - 2 * s), d * (1 - 6 * d)]


def _tanh(m: Any, x: Any) -> Jet:
    t = m.tanh(x)
    d = 1 - t * t
    return [t, d, -2 * t * d, d * (6 * t * t - 2)]


def _tan(m: Any, x: Any) -> Jet:
    t = m.tan(x)
    d = 1 + t * t
    return [t, d, 2 * t * d, d * (6 * t * t + 2)]


def _gauss(m: Any, x: Any, value: Any, sign: int) -> Jet:
    g = sign * 2 / m.sqrt(0 * x + _pi(x)) * m.exp(-x * x)
    return [value, g, -2 * x * g, (4 * x * x - 2) * g]


def _pi(x: Any) -> Any:
    return mp.pi if isinstance(x, mp.mpf) else x.dtype.type(np.pi)


def _power(m: Any, x: Any, c: float) -> Jet:
    made, factor = [], 1.0
    for k in range(4):
        made.append(factor * m.power(x, c - k) if factor else 0 * x)
        factor *= c - k
    return made


ROWS: dict[str, Callable[[Any, Any], Jet]] = {
    "exp": lambda m, x: [m.exp(x)] * 4,
    "expm1": lambda m, x: [m.expm1(x), *[m.exp(x)] * 3],
    "log": lambda m, x: [m.log(x), 1 / x, -1 / (x * x), 2 / (x * x * x)],
    "log1p": lambda m, x: [m.log1p(x), 1 / (1 + x), -1 / (1 + x) ** 2, 2 / (1 + x) ** 3],
    "sqrt": lambda m, x: [m.sqrt(x), 0.5 / m.sqrt(x), -0.25 / (x * m.sqrt(x)), 0.375 / (x * x * m.sqrt(x))],
    "square": lambda m, x: [x * x, 2 * x, 0 * x + 2, 0 * x],
    "reciprocal": lambda m, x: [1 / x, -1 / x**2, 2 / x**3, -6 / x**4],
    "sin": lambda m, x: [m.sin(x), m.cos(x), -m.sin(x), -m.cos(x)],
    "cos": lambda m, x: [m.cos(x), -m.sin(x), -m.cos(x), m.sin(x)],
    "tan": _tan,
    "sinh": lambda m, x: [m.sinh(x), m.cosh(x), m.sinh(x), m.cosh(x)],
    "cosh": lambda m, x: [m.cosh(x), m.sinh(x), m.cosh(x), m.sinh(x)],
    "tanh": _tanh,
    "arcsin": lambda m, x: [m.arcsin(x), (r := 1 / m.sqrt((1 - x) * (1 + x))), x * r**3, (1 + 2 * x * x) * r**5],
    "arccos": lambda m, x: [m.arccos(x), -(r := 1 / m.sqrt((1 - x) * (1 + x))), -x * r**3, -(1 + 2 * x * x) * r**5],
    "arctan": lambda m, x: [m.arctan(x), (r := 1 / (1 + x * x)), -2 * x * r * r, (6 * x * x - 2) * r**3],
    "arcsinh": lambda m, x: [m.arcsinh(x), (r := 1 / m.sqrt(1 + x * x)), -x * r**3, (2 * x * x - 1) * r**5],
    "arccosh": lambda m, x: [m.arccosh(x), (r := 1 / m.sqrt((x - 1) * (x + 1))), -x * r**3, (2 * x * x + 1) * r**5],
    "arctanh": lambda m, x: [m.arctanh(x), (r := 1 / ((1 - x) * (1 + x))), 2 * x * r * r, (6 * x * x + 2) * r**3],
    "sigmoid": _sigmoid,
    "softplus": lambda m, x: [m.log1p(m.exp(x)), *_sigmoid(m, x)[:3]],
    "erf": lambda m, x: _gauss(m, x, m.erf(x), 1),
    "erfc": lambda m, x: _gauss(m, x, m.erfc(x), -1),
    "abs": lambda m, x: [m.abs(x), m.sign(x), 0 * x, 0 * x],
    "negative": lambda m, x: [-x, 0 * x - 1, 0 * x, 0 * x],
}  # fmt: skip


def _chain(f: Jet, g: Jet) -> Jet:
    """The derivatives of f(g(x))."""
    return [f[0], f[1] * g[1], f[2] * g[1] * g[1] + f[1] * g[2], f[3] * g[1] ** 3 + 3 * f[2] * g[1] * g[2] + f[1] * g[3]]


def _product(a: Jet, b: Jet) -> Jet:
    return [a[0] * b[0], a[1] * b[0] + a[0] * b[1], a[2] * b[0] + 2 * a[1] * b[1] + a[0] * b[2],
            a[3] * b[0] + 3 * a[2] * b[1] + 3 * a[1] * b[2] + a[0] * b[3]]  # fmt: skip


def jet(m: Any, tree: Tree, x: Any) -> Jet:
    """Value and derivatives over the library m."""
    zero = 0 * x
    if tree == "x":
        return [x, zero + 1, zero, zero]
    if isinstance(tree, float):
        return [zero + tree, zero, zero, zero]
    row, *args = tree
    if row == "**" and isinstance(args[1], float):
        g = jet(m, args[0], x)
        return _chain(_power(m, g[0], args[1]), g)
    if row == "**":
        base, exponent = jet(m, args[0], x), jet(m, args[1], x)
        inner = _product(exponent, _chain(ROWS["log"](m, base[0]), base))
        return _chain(ROWS["exp"](m, inner[0]), inner)
    a = jet(m, args[0], x)
    if len(args) == 1:
        return _chain(ROWS[row](m, a[0]), a)
    b = jet(m, args[1], x)
    match row:
        case "+":
            return [u + v for u, v in zip(a, b)]
        case "-":
            return [u - v for u, v in zip(a, b)]
        case "*":
            return _product(a, b)
        case _:
            quotient = _product(a, _chain(ROWS["reciprocal"](m, b[0]), b))
            return [a[0] / b[0], *quotient[1:]]


def derivatives(tree: Tree, x: float) -> Sequence[Any] | None:
    """The four in mpmath; None where one is not a real number, or where no precision tried is enough."""
    last: Jet | None = None
    width = 2 * abs(math.log10(abs(x))) + 30 if x else 0
    for digits in [d for d in DIGITS if d > width]:
        with mp.workdps(digits):
            try:
                now = jet(EXACT, tree, mp.mpf(x))
            except (Undefined, ZeroDivisionError, ValueError, OverflowError):
                if digits >= DIGITS[1]:
                    return None
                continue  # a cancellation to 0 may have done it
            if last is not None and all(abs(a - b) <= AGREE * abs(a) for a, b in zip(now, last)) and (all(now[:3]) or digits == DIGITS[-1]):
                return now
            last = now
    return None


def in_floats(tree: Tree, x: np.ndarray) -> list[np.ndarray]:
    """Value, first and second derivative in plain floats, as the formulas are written."""
    with np.errstate(all="ignore"):
        return [np.broadcast_to(np.asarray(v, x.dtype), x.shape) for v in jet(FLOATS, tree, x)[:3]]
