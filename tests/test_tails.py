"""The derivative of every elementwise row, orders 1 to 3, against mpmath over the whole range of its dtype, as compiled.

Points: every power of ten that the dtype has, of both signs, numbers between, and numbers close to each singularity. The bound is

    |got - exact| <= ULPS * eps * (|f^(k)(x)| + |x f^(k+1)(x)|) + tiny:

the value itself and what an argument off by a rounding makes of it, times a few units; `tiny`, the smallest normal number, for
results that underflow. So a derivative may not be 0, inf or nan where it is a number, and keeps its digits in both tails.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests import special_rows
from tests.special_functions import SPECIAL

DIGITS = 60
ULPS = {1: 8, 2: 16, 3: 32}
Exact = Callable[..., Any]
LN2, LN10, C = (lambda: mp.log(2)), (lambda: mp.log(10)), (lambda: 2 / mp.sqrt(mp.pi))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _slope(x: Any) -> Any:
    return 1 / (2 + mp.exp(x) + mp.exp(-x))


def slope_derivatives(x: Any) -> tuple[Any, ...]:
    p, t = _slope(x), mp.tanh(x / 2)
    return -p * t, p * (t * t - 2 * p), p * t * (12 * p - 1), p * (1 - 30 * p + 120 * p * p)


def _sech2(x: Any) -> tuple[Any, ...]:
    s, t = mp.sech(x) ** 2, mp.tanh(x)
    return s, -2 * s * t, 4 * s * t * t - 2 * s * s, 8 * s * t * (2 * s - t * t)


def _unit_root(x: Any, u: Any, sign: int) -> tuple[Any, ...]:
    """The derivatives of the antiderivative of u**-1/2, u = 1 + sign x**2 or its negative, with du/dx = 2 side x."""
    side = sign
    f1 = u ** mp.mpf(-0.5)
    return f1, -side * x * f1**3, -side * f1**3 + 3 * x * x * f1**5, side * 9 * x * f1**5 - 15 * side * x**3 * f1**7


def _cauchy(x: Any, u: Any, side: int) -> tuple[Any, ...]:
    """The derivatives of the antiderivative of 1 / u, u = 1 + side x**2."""
    q = 1 / u
    return q, -2 * side * x * q * q, -2 * side * q * q + 8 * x * x * q**3, 24 * side * x * q**3 - 48 * side * x**3 * q**4


def _cube_root(x: Any, first: int) -> tuple[Any, ...]:
    """From the order first + 1 on: x**(1/3 - k) times the falling product."""
    roots = [mp.cbrt(abs(x)) * mp.sign(x) / x**k * mp.fprod(mp.mpf(1) / 3 - i for i in range(k)) for k in range(first + 1, 5)]
    return tuple(roots)


def _bose(x: Any) -> tuple[Any, ...]:
    """b = 1 / (e**x - 1) at x and at -x, and the derivatives of b, in which nothing cancels."""
    b, c = 1 / mp.expm1(x), 1 / mp.expm1(-x)
    p, d = b * c, c - b
    return b, c, p, p * d, p * (d * d - 2 * p), p * d * (d * d - 8 * p)


# name -> the derivatives of orders 1 to 4 (the fourth for the conditioning of the third), written so that they do not cancel
DERIVATIVES: dict[str, Exact] = {
    "negative": lambda x: (-1, 0, 0, 0), "square": lambda x: (2 * x, 2, 0, 0),
    "abs": lambda x: (mp.sign(x), 0, 0, 0), "relu": lambda x: (mp.mpf(x > 0), 0, 0, 0),
    **dict.fromkeys(("sign", "floor", "ceil", "trunc", "round"), lambda x: (0, 0, 0, 0)),
    "reciprocal": lambda x: (-(x**-2), 2 * x**-3, -6 * x**-4, 24 * x**-5),
    "sqrt": lambda x: (x**-0.5 / 2, -(x**-1.5) / 4, x**-2.5 * 3 / 8, -(x**-3.5) * 15 / 16),
    "cbrt": lambda x: _cube_root(x, 0), "cbrt_slope": lambda x: _cube_root(x, 1),
    "rsqrt": lambda x: (-(x**-1.5) / 2, x**-2.5 * 3 / 4, -(x**-3.5) * 15 / 8, x**-4.5 * 105 / 16),
    **dict.fromkeys(("exp", "expm1"), lambda x: (mp.exp(x),) * 4),
    "exp2": lambda x: tuple(mp.mpf(2) ** x * LN2() ** k for k in (1, 2, 3, 4)),
    "log": lambda x: (1 / x, -1 / x**2, 2 / x**3, -6 / x**4),
    "log1p": lambda x: (1 / (1 + x), -((1 + x) ** -2), 2 * (1 + x) ** -3, -6 * (1 + x) ** -4),
    "log2": lambda x: tuple(v / LN2() for v in (1 / x, -1 / x**2, 2 / x**3, -6 / x**4)),
    "log10": lambda x: tuple(v / LN10() for v in (1 / x, -1 / x**2, 2 / x**3, -6 / x**4)),
    "sin": lambda x: (mp.cos(x), -mp.sin(x), -mp.cos(x), mp.sin(x)), "cos": lambda x: (-mp.sin(x), -mp.cos(x), mp.sin(x), mp.cos(x)),
    "tan": lambda x: (s := 1 + mp.tan(x) ** 2, 2 * s * mp.tan(x), 2 * s * (3 * s - 2), 8 * s * mp.tan(x) * (3 * s - 1)),
    "arcsin": lambda x: _unit_root(x, (1 - x) * (1 + x), -1),
    "arccos": lambda x: tuple(-v for v in _unit_root(x, (1 - x) * (1 + x), -1)),
    "arctan": lambda x: _cauchy(x, 1 + x * x, 1), "arctanh": lambda x: _cauchy(x, (1 - x) * (1 + x), -1),
    "sinh": lambda x: (mp.cosh(x), mp.sinh(x), mp.cosh(x), mp.sinh(x)), "cosh": lambda x: (mp.sinh(x), mp.cosh(x), mp.sinh(x), mp.cosh(x)),
    "tanh": _sech2, "arcsinh": lambda x: _unit_root(x, 1 + x * x, 1), "arccosh": lambda x: _unit_root(x, (x - 1) * (x + 1), 1),
    "sigmoid": lambda x: (_slope(x), *slope_derivatives(x)[:3]),
    "softplus": lambda x: (_sigmoid(x), _slope(x), *slope_derivatives(x)[:2]),
    "log_sigmoid": lambda x: (_sigmoid(-x), -_slope(x), *[-v for v in slope_derivatives(x)[:2]]),
    "root_one_plus": lambda x: (x * (r := 1 / mp.sqrt(1 + x * x)), r**3, -3 * x * r**5, (12 * x * x - 3) * r**7),
    "over_root_one_plus": lambda x: DERIVATIVES["root_one_plus"](x)[1:] + ((45 * x - 60 * x**3) / (1 + x * x) ** mp.mpf(4.5),),
    "log_cosh": lambda x: (mp.tanh(x), *_sech2(x)[:3]), "over_expm1": lambda x: _bose(x)[2:],
    "log1mexp": lambda x: (-_bose(x)[1], *_bose(x)[2:5]),
    "csch": lambda x: (-(s := mp.csch(x)) * (c := mp.coth(x)), s * (1 + 2 * s * s), -s * c * (1 + 6 * s * s),
                       s * (1 + 20 * s**2 + 24 * s**4)),
    "sech": lambda x: (-(s := mp.sech(x)) * mp.tanh(x), s * (1 - 2 * s * s), -s * mp.tanh(x) * (1 - 6 * s * s),
                       s * (1 - 20 * s**2 + 24 * s**4)),
    "tanh_slope": lambda x: _sech2(x)[1:], "sigmoid_slope": slope_derivatives,
    "erf": lambda x: (g := C() * mp.exp(-x * x), -2 * x * g, (4 * x * x - 2) * g, (12 - 8 * x * x) * x * g),
    "erfc": lambda x: tuple(-v for v in DERIVATIVES["erf"](x)),
    "erf_slope": lambda x: (*DERIVATIVES["erf"](x)[1:], (24 * x * x - 12 - 8 * (x * x - 1.5) * 2 * x * x) * C() * mp.exp(-x * x)),
}  # fmt: skip
DERIVATIVES |= {name: f.derivatives for name, f in SPECIAL.items() if f.derivatives is not None}
DERIVATIVES |= special_rows.DERIVATIVES
for _name in ("arcsin", "arctan", "arctanh", "arcsinh", "arccosh"):  # two orders: the third is the fourth of the function itself
    DERIVATIVES[f"{_name}_slope"] = lambda x, f=DERIVATIVES[_name]: f(x)[1:]
SINGULAR: dict[str, Sequence[float]] = {
    "arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-1, 1), "arccosh": (1,), "log1p": (-1,), "log": (1,), "log2": (1,), "log10": (1,),

    **{f"{n}_slope": (-1, 1) for n in ("arcsin", "arctanh", "arccosh")}, "tan": (np.pi / 2, -np.pi / 2, np.pi),
    "sin": (np.pi,), "cos": (np.pi / 2,), **special_rows.SINGULAR,
}  # fmt: skip
LOWEST: dict[str, float] = {
    "sqrt": 0, "rsqrt": 0, "log": 0, "log2": 0, "log10": 0, "log1p": -1, "arccosh": 1, "arccosh_slope": 1,
}  # fmt: skip
UNIT = ("arcsin", "arccos", "arctanh", "arcsin_slope", "arctanh_slope")
UNARY = [n for n, op in OPS.items() if op.elementwise and op.arity == 1 and n in PUBLIC and op.vjp is not None and op.row is not None]


def domain(name: str) -> tuple[float, float]:
    if name in SPECIAL:
        return SPECIAL[name].domain
    if name in special_rows.DOMAINS:
        return special_rows.DOMAINS[name]
    return LOWEST.get(name, -1 if name in UNIT else -np.inf), 1 if name in UNIT else 0 if name == "log1mexp" else np.inf


def points(name: str, dtype: np.dtype) -> np.ndarray:
    """Of every order of magnitude, and near the singularities, inside the domain; no kinks."""
    info = np.finfo(dtype)
    exponents = np.arange(np.log10(float(info.smallest_subnormal)) + 0.3, np.log10(float(info.max)), 7 if dtype == np.float64 else 2.5)
    sizes = [
        *10.0**exponents,
        float(info.tiny),
        float(info.max),
        1e-3,
        0.1,
        0.3,
        0.7,
        1.3,
        2.2,
        3.7,
        6.1,
        9.9,
        19.3,
        27.0,
        40.0,
        88.0,
        350.0,
        700.0,
    ]
    ends = [v for v in domain(name) if np.isfinite(v)] if name in SPECIAL else []
    near = [s + d * np.exp2(-k) for s in (*SINGULAR.get(name, ()), *ends) for d in (-1, 1) for k in (3, 9, 17, info.nmant - 1)]
    with np.errstate(over="ignore", under="ignore"):
        found = np.unique(np.array([*sizes, *[-s for s in sizes], *near]).astype(dtype))
    low, high = domain(name)
    return found[(found > low) & (found < high) & np.isfinite(found)]


@functools.cache
def exact(name: str, dtype: str) -> list[tuple[Any, ...]]:
    with mp.workdps(DIGITS):
        result = []
        for x in points(name, np.dtype(dtype)):
            at = mp.mpf(float(x))
            with mp.workdps(DIGITS if abs(at) < 1e6 or name not in ("sin", "cos", "tan") else 400):
                result.append(tuple(map(mp.mpf, DERIVATIVES[name](at))))
        return result


def derivatives(f: Callable[[Any], Any], dtype: str, at: np.ndarray) -> list[np.ndarray]:
    x = gx.tensor("x", ("n",), dtype)
    out, orders = f(x), []
    for _ in range(3):
        out = gx.grad(gx.sum(out), x, disconnected="zero")
        orders.append(out)
    return gx.function([x], orders)(at)


def surely(got: float, true: float, info: np.finfo, order: int) -> bool:
    """Whether `check` has nothing against a result, seen in doubles: within half its room for a true value of any conditioning."""
    return abs(true) < float(info.max) / 2 and abs(got - true) <= ULPS[order] / 2 * float(info.eps) * abs(true)


def check(got: float, true: Any, moved: Any, dtype: np.dtype, order: int) -> str:
    info = np.finfo(dtype)
    if surely(got, float(true), info, order):
        return ""
    if mp.isnan(true):  # at a pole
        return "" if np.isnan(got) else f"{got!r}, not nan"
    if abs(true) > info.max:
        return "" if abs(got) > float(info.max) / 4 and not np.isnan(got) else f"{got!r}, not {mp.nstr(true, 8)}"
    room = ULPS[order] * float(info.eps) * (abs(true) + abs(moved)) + float(info.tiny)
    if room > info.max:
        return ""
    if np.isfinite(got) and abs(mp.mpf(float(got)) - true) <= room:
        return ""
    if np.isinf(got) and abs(true) + room > info.max:
        return ""
    return f"{got!r}, not {mp.nstr(true, 17)} (room {mp.nstr(room / (abs(true) or 1), 3)})"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_rows(name: str, dtype: str) -> None:
    assert name in DERIVATIVES, f"add the derivatives of {name!r} to tests/test_tails.py"
    kind, at = np.dtype(dtype), points(name, np.dtype(dtype))
    faults = []
    for order, values in enumerate(derivatives(PUBLIC[name], dtype, at), start=1):
        if name in SPECIAL and order > SPECIAL[name].orders:
            break
        for x, got, true in zip(at, values, exact(name, dtype)):
            if order == len(true):
                break
            with mp.workdps(DIGITS):
                fault = check(float(got), true[order - 1], mp.mpf(float(x)) * true[order], kind, order)
            faults += [f"derivative {order} of {name} at {x!r}: {fault}"] * bool(fault)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_at_infinity_a_derivative_is_its_limit(dtype: str) -> None:
    """By what it is at 1e40: nearly nothing, a number, or beyond all bounds. Circular functions and those with poles have none."""
    without = ("sin", "cos", "tan", "entr")  # the derivative of entr grows too slowly
    names = [n for n in UNARY if domain(n)[1] == np.inf and n not in without and "gamma" not in n]
    x = gx.tensor("x", ("n",), dtype)
    orders: list[gx.Node] = []
    for out in [PUBLIC[n](x) for n in names]:
        for _ in range(3):
            orders.append(out := gx.grad(gx.sum(out), x, disconnected="zero"))
    got = iter(gx.function([x], orders)(np.array([np.inf, -np.inf], dtype)))
    for name in names:
        for order, values in zip((1, 2, 3), got):
            for side, value in zip((1, -1), values):
                if side > 0 or domain(name)[0] == -np.inf:
                    with mp.workdps(DIGITS):
                        far = mp.mpf(DERIVATIVES[name](side * mp.mpf(10) ** 40)[order - 1])
                        limit = 0 if abs(far) < 1e-15 else mp.sign(far) * mp.inf if abs(far) > 1e15 else far
                    assert float(value) == float(limit), f"derivative {order} of {name} at {side * np.inf}: {value}, not {limit}"
