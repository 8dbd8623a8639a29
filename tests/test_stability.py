"""Formulas as users write them, against mpmath: value, first and second derivative, at ordinary and at extreme points.

Each goes the whole way: the naive graph, `grad` of it, `grad` of that, all through `simplify`, evaluated by the interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Graph, Node
from graphc.passes.simplify import simplify

DIGITS = 720  # sigmoid(700) is 1 - 1e-304, and a second difference with steps of 1e-100 takes 200 digits
STEP = mp.mpf(10) ** -100
WIDE = [-700.0, -90.0, -20.0, -5.0, -0.3, -1e-5, -1e-20, 0.0, 1e-20, 1e-5, 0.3, 5.0, 20.0, 90.0, 700.0]
LEFT = [p for p in WIDE if p < 0]
TAIL = [p for p in WIDE if abs(p) < 25]  # where erf and its relatives are in the range of f64
RIGHT_ANGLES = [1.57, -1.5707, 1.5707963, 0.3, 11.0]  # near odd multiples of pi / 2 and elsewhere
SMALL = [1e-18, -1e-8, 1e-3, 0.3]
SQUARES = [-1e200, -1e-200, -5.0, 1e-20, 3.0, 1e200]


def s(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


def log_cosh(x: Any) -> Any:
    return mp.log(mp.cosh(x))


Case = tuple[Callable[[Node], Node], Callable[[Any], Any], list[float]]
CASES: dict[str, Case] = {
    # log(1 + exp)
    "log(1 + exp(x))": (lambda x: gx.log(1 + gx.exp(x)), softplus, WIDE),
    "log(exp(x) + 1)": (lambda x: gx.log(gx.exp(x) + 1), softplus, WIDE),
    "log1p(exp(x))": (lambda x: gx.log1p(gx.exp(x)), softplus, WIDE),
    "log(1 + exp(-x))": (lambda x: gx.log(1 + gx.exp(-x)), lambda x: softplus(-x), WIDE),
    "log(1 + 1 / exp(x))": (lambda x: gx.log(1 + 1 / gx.exp(x)), lambda x: softplus(-x), WIDE),
    "log(exp(x) + exp(-2x))": (lambda x: gx.log(gx.exp(x) + gx.exp(-2 * x)), lambda x: mp.log(mp.exp(x) + mp.exp(-2 * x)), WIDE),
    # sigmoids
    "exp(x) / (1 + exp(x))": (lambda x: gx.exp(x) / (1 + gx.exp(x)), s, WIDE),
    "1 / (1 + exp(-x))": (lambda x: 1 / (1 + gx.exp(-x)), s, WIDE),
    "(1 + exp(-x))**-1": (lambda x: (1 + gx.exp(-x)) ** -1, s, WIDE),
    "1 / (1 + 1 / exp(x))": (lambda x: 1 / (1 + 1 / gx.exp(x)), s, WIDE),
    "1 - sigmoid(x)": (lambda x: 1 - gx.sigmoid(x), lambda x: s(-x), WIDE),
    "x / (1 + exp(-x))": (lambda x: x / (1 + gx.exp(-x)), lambda x: x * s(x), WIDE),
    # their logarithms
    "log(sigmoid(x))": (lambda x: gx.log(gx.sigmoid(x)), lambda x: -softplus(-x), WIDE),
    "log(1 / (1 + exp(-x)))": (lambda x: gx.log(1 / (1 + gx.exp(-x))), lambda x: -softplus(-x), WIDE),
    "log(exp(x) / (1 + exp(x)))": (lambda x: gx.log(gx.exp(x) / (1 + gx.exp(x))), lambda x: -softplus(-x), WIDE),
    "log(exp(x) / (exp(x) + 1))": (lambda x: gx.log(gx.exp(x) / (gx.exp(x) + 1)), lambda x: -softplus(-x), WIDE),
    "-log(1 + exp(-x))": (lambda x: -gx.log(1 + gx.exp(-x)), lambda x: -softplus(-x), WIDE),
    "log(1 - sigmoid(x))": (lambda x: gx.log(1 - gx.sigmoid(x)), lambda x: -softplus(x), WIDE),
    "log1p(-sigmoid(x))": (lambda x: gx.log1p(-gx.sigmoid(x)), lambda x: -softplus(x), WIDE),
    "log(1 - 1 / (1 + exp(-x)))": (lambda x: gx.log(1 - 1 / (1 + gx.exp(-x))), lambda x: -softplus(x), WIDE),
    "log(1 - exp(x) / (1 + exp(x)))": (lambda x: gx.log(1 - gx.exp(x) / (1 + gx.exp(x))), lambda x: -softplus(x), WIDE),
    # near 0 and 1
    "exp(x) - 1": (lambda x: gx.exp(x) - 1, mp.expm1, WIDE),
    "exp(x) + -1": (lambda x: gx.exp(x) + -1, mp.expm1, WIDE),
    "-1 + exp(x)": (lambda x: -1 + gx.exp(x), mp.expm1, WIDE),
    "1 - exp(-x)": (lambda x: 1 - gx.exp(-x), lambda x: -mp.expm1(-x), WIDE),
    "log(1 + x)": (lambda x: gx.log(1 + x), mp.log1p, [p for p in WIDE if p > -1]),
    "log(1 - x)": (lambda x: gx.log(1 - x), lambda x: mp.log1p(-x), [p for p in WIDE if p < 1]),
    "log(1 - exp(x))": (lambda x: gx.log(1 - gx.exp(x)), lambda x: mp.log(-mp.expm1(x)), LEFT),
    "sqrt(1 + x) - 1": (lambda x: gx.sqrt(1 + x) - 1, lambda x: x / (mp.sqrt(1 + x) + 1), [p for p in WIDE if p > -1]),
    "1 - cos(x)": (lambda x: 1 - gx.cos(x), lambda x: 2 * mp.sin(x / 2) ** 2, TAIL),
    "1 - erf(x)": (lambda x: 1 - gx.erf(x), mp.erfc, TAIL),
    "1 + erf(x)": (lambda x: 1 + gx.erf(x), lambda x: mp.erfc(-x), TAIL),
    "1 - erfc(x)": (lambda x: 1 - gx.erfc(x), mp.erf, TAIL),
    # logarithms of exponentials
    "log(exp(x))": (lambda x: gx.log(gx.exp(x)), lambda x: x, WIDE),
    "log(exp(x) * exp(2x))": (lambda x: gx.log(gx.exp(x) * gx.exp(2 * x)), lambda x: 3 * x, WIDE),
    "log(exp(x) / exp(2x))": (lambda x: gx.log(gx.exp(x) / gx.exp(2 * x)), lambda x: -x, WIDE),
    "log(3 * exp(x))": (lambda x: gx.log(3 * gx.exp(x)), lambda x: x + mp.log(3), WIDE),
    "log(exp(x) / 3)": (lambda x: gx.log(gx.exp(x) / 3), lambda x: x - mp.log(3), WIDE),
    "log(exp(x)**2)": (lambda x: gx.log(gx.exp(x) ** 2), lambda x: 2 * x, WIDE),
    # hyperbolic functions
    "tanh by exp": (lambda x: (gx.exp(x) - gx.exp(-x)) / (gx.exp(x) + gx.exp(-x)), mp.tanh, WIDE),
    "tanh by exp(2x)": (lambda x: (gx.exp(2 * x) - 1) / (gx.exp(2 * x) + 1), mp.tanh, WIDE),
    "tanh by exp(-2x)": (lambda x: (1 - gx.exp(-2 * x)) / (1 + gx.exp(-2 * x)), mp.tanh, WIDE),
    "tanh by sigmoid": (lambda x: 2 / (1 + gx.exp(-2 * x)) - 1, mp.tanh, WIDE),
    "tanh by 1 - sigmoid": (lambda x: 1 - 2 / (1 + gx.exp(2 * x)), mp.tanh, WIDE),
    "1 + tanh(x)": (lambda x: 1 + gx.tanh(x), lambda x: 2 * s(2 * x), WIDE),
    "sinh by exp": (lambda x: (gx.exp(x) - gx.exp(-x)) / 2, mp.sinh, WIDE),
    "sinh by 0.5 exp": (lambda x: 0.5 * (gx.exp(x) - gx.exp(-x)), mp.sinh, WIDE),
    "log(cosh(x))": (lambda x: gx.log(gx.cosh(x)), log_cosh, WIDE),
    "log((exp(x) + exp(-x)) / 2)": (lambda x: gx.log((gx.exp(x) + gx.exp(-x)) / 2), log_cosh, [p for p in WIDE if abs(p) > 1e-4]),
    "log(1 - tanh(x)**2)": (lambda x: gx.log(1 - gx.tanh(x) ** 2), lambda x: -2 * log_cosh(x), WIDE),
    # slopes written by hand (the names avoid what ABSOLUTE looks for: here each derivative is exact relative to its own value)
    "1 - th(x)**2": (lambda x: 1 - gx.tanh(x) ** 2, lambda x: mp.sech(x) ** 2, WIDE),
    "1 - th(x) * th(x)": (lambda x: 1 - gx.tanh(x) * gx.tanh(x), lambda x: mp.sech(x) ** 2, WIDE),
    "th(x)**2 - 1": (lambda x: gx.tanh(x) ** 2 - 1, lambda x: -(mp.sech(x) ** 2), WIDE),
    "1 / ch(x)**2": (lambda x: 1 / gx.cosh(x) ** 2, lambda x: mp.sech(x) ** 2, WIDE),
    "3 / ch(x)**2": (lambda x: 3 / gx.cosh(x) ** 2, lambda x: 3 * mp.sech(x) ** 2, WIDE),
    "ch(x)**-2": (lambda x: gx.cosh(x) ** -2, lambda x: mp.sech(x) ** 2, WIDE),
    "th(x) - 1": (lambda x: gx.tanh(x) - 1, lambda x: -2 * s(-2 * x), WIDE),
    "-1 - th(x)": (lambda x: -1 - gx.tanh(x), lambda x: -2 * s(2 * x), WIDE),
    "s(x) * (1 - s(x))": (lambda x: gx.sigmoid(x) * (1 - gx.sigmoid(x)), lambda x: s(x) * s(-x), WIDE),
    "s(x) - s(x)**2": (lambda x: gx.sigmoid(x) - gx.sigmoid(x) ** 2, lambda x: s(x) * s(-x), WIDE),
    "s(x)**2 - s(x)": (lambda x: gx.sigmoid(x) ** 2 - gx.sigmoid(x), lambda x: -s(x) * s(-x), WIDE),
    "log(s(x) * (1 - s(x)))": (
        lambda x: gx.log(gx.sigmoid(x) * (1 - gx.sigmoid(x))),
        lambda x: -softplus(x) - softplus(-x),
        [p for p in WIDE if abs(p) > 1e-4],
    ),
    "-1 - erf(x)": (lambda x: -1 - gx.erf(x), lambda x: -mp.erfc(-x), TAIL),
    "ch(x) - 1": (lambda x: gx.cosh(x) - 1, lambda x: 2 * mp.sinh(x / 2) ** 2, WIDE),
    "1 - ch(x)": (lambda x: 1 - gx.cosh(x), lambda x: -2 * mp.sinh(x / 2) ** 2, WIDE),
    "ch(x)**2 - 1": (lambda x: gx.cosh(x) ** 2 - 1, lambda x: mp.sinh(x) ** 2, [p for p in WIDE if abs(p) < 350]),
    "1 - ch(x)**2": (lambda x: 1 - gx.cosh(x) ** 2, lambda x: -(mp.sinh(x) ** 2), [p for p in WIDE if abs(p) < 350]),
    "1 - sin(x)**2": (lambda x: 1 - gx.sin(x) ** 2, lambda x: mp.cos(x) ** 2, RIGHT_ANGLES),
    "sin(x)**2 - 1": (lambda x: gx.sin(x) ** 2 - 1, lambda x: -(mp.cos(x) ** 2), RIGHT_ANGLES),
    "1 - cos(x)**2": (lambda x: 1 - gx.cos(x) ** 2, lambda x: mp.sin(x) ** 2, SMALL),
    "cos(x)**2 - 1": (lambda x: gx.cos(x) ** 2 - 1, lambda x: -(mp.sin(x) ** 2), SMALL),
    "exp(x)**2 - 1": (lambda x: gx.exp(x) ** 2 - 1, lambda x: mp.expm1(2 * x), WIDE),
    "1 - exp(-x)**2": (lambda x: 1 - gx.exp(-x) ** 2, lambda x: -mp.expm1(-2 * x), WIDE),
    "1 - sqrt(1 + x)": (lambda x: 1 - gx.sqrt(1 + x), lambda x: -x / (mp.sqrt(1 + x) + 1), [p for p in WIDE if p > -1]),
    "1 - sqrt(1 - x)": (lambda x: 1 - gx.sqrt(1 - x), lambda x: x / (mp.sqrt(1 - x) + 1), [p for p in WIDE if p < 1]),
    "sqrt(1 - x) - 1": (lambda x: gx.sqrt(1 - x) - 1, lambda x: -x / (mp.sqrt(1 - x) + 1), [p for p in WIDE if p < 1]),
    "sqrt(x + 1) - sqrt(x)": (
        lambda x: gx.sqrt(x + 1) - gx.sqrt(x),
        lambda x: 1 / (mp.sqrt(x + 1) + mp.sqrt(x)),
        [1e-300, 1e-20, 0.3, 5.0, 90.0, 1e10, 1e20],
    ),
    # roots of squares
    "sqrt(x * x)": (lambda x: gx.sqrt(x * x), abs, SQUARES),
    "sqrt(x**2)": (lambda x: gx.sqrt(x**2), abs, SQUARES),
    "(x**2)**0.5": (lambda x: (x**2) ** 0.5, abs, SQUARES),
    "sqrt(square(x))": (lambda x: gx.sqrt(gx.square(x)), abs, SQUARES),
}
# Sums of terms of size 1 that cancel, which no rule of one op can help: the error of a derivative is relative to 1 here, not to its value.
ABSOLUTE = ("tanh", "x / (1 + exp(-x))", "cosh", "/ 2)")


def exact(f: Callable[[Any], Any], x: float, order: int) -> Any:
    """f, f' or f'' at the float x, by differences in high precision."""
    with mp.workdps(DIGITS):
        at = mp.mpf(x)
        h = STEP * (abs(at) or mp.mpf(10) ** -30)
        if order == 0:
            return f(at)
        if order == 1:
            return (f(at + h) - f(at - h)) / (2 * h)
        return (f(at + h) - 2 * f(at) + f(at - h)) / (h * h)


def derivatives(f: Callable[[Node], Node], dtype: str, points: np.ndarray) -> list[np.ndarray]:
    """f, f', f'' at the points, as compiled."""
    x = gx.tensor("x", ("n",), dtype)
    value = f(x)
    first = gx.grad(gx.sum(value), x)
    second = gx.grad(gx.sum(first), x, disconnected="zero")
    return evaluate(simplify(Graph((x,), (value, first, second))).outputs, {x: points})


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name: str, dtype: str) -> None:
    f, reference, listed = CASES[name]
    info = np.finfo(dtype)
    points = np.array([p for p in listed if float(info.tiny) < abs(p) < float(info.max) or p == 0], dtype)
    floor = 1.0 if any(part in name for part in ABSOLUTE) else 0.0
    for order, values in enumerate(derivatives(f, dtype, points)):
        for x, got in zip(points, values):
            true = exact(reference, float(x), order)
            where = f"{name}, derivative {order} at {x!r}: {got!r}, not {mp.nstr(true, 8)}"
            if abs(true) > info.max:
                assert not math.isnan(got) and abs(got) > info.max / 4, where
            else:
                room = 32 * float(info.eps) * max(abs(true), mp.mpf(floor if order else 0)) + 4 * float(info.tiny)
                assert math.isfinite(got) and abs(mp.mpf(float(got)) - true) <= room, where


NEAR_MISSES: dict[str, Callable[[Node, Node], Node]] = {
    "two unknowns": lambda x, y: 1 - gx.tanh(x) * gx.tanh(y), "another number": lambda x, y: 2 - gx.tanh(x) ** 2 + 0 * y,
    "not negated": lambda x, y: gx.sigmoid(x) * gx.sigmoid(x + y), "negated twice": lambda x, y: gx.sigmoid(-x) * gx.sigmoid(-y),
    "another argument": lambda x, y: gx.sigmoid(x) - gx.sigmoid(y) ** 2, "another power": lambda x, y: 1 / gx.cosh(x) ** 3 + y,
    "roots of two": lambda x, y: gx.sqrt(1 + x * x) - gx.sqrt(y * y + 2), "sum": lambda x, y: 1 + gx.sin(x) ** 2 - gx.cos(y) ** 2,
    "another root": lambda x, y: 1 - gx.sqrt(2 + x * x) + y, "cube": lambda x, y: gx.exp(x) ** 3 - 1 + y,
}  # fmt: skip


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_misses_keep_their_meaning(name: str) -> None:
    """What looks like a slope written by hand and is none."""
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (3,))
    out, at = NEAR_MISSES[name](x, y), {x: np.array([-1.3, 0.4, 2.1]), y: np.array([0.7, -0.2, 1.9])}
    graph = simplify(Graph((x, y), (out, *gx.grad(gx.sum(out), [x, y], disconnected="zero"))))
    plain = lambda a, b: evaluate([out], {x: a, y: b})[0]
    np.testing.assert_allclose(evaluate(graph.outputs[:1], at)[0], plain(*at.values()), rtol=1e-14)
    for k, got in enumerate(evaluate(graph.outputs[1:], at)):
        h = 1e-5 * np.array([k == 0, k == 1])
        wanted = (plain(at[x] + h[0], at[y] + h[1]) - plain(at[x] - h[0], at[y] - h[1])) / 2e-5
        np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-9)


# -- over axes ----------------------------------------------------------------------------------------------------------------
def _lse(row: list[Any]) -> Any:
    return mp.log(mp.fsum(mp.exp(v) for v in row))


ROWS = np.array([[0.1, -0.4, 2.0], [1000.0, 1000.0, 0.0], [-2000.0, -2001.0, -2000.5], [800.0, -800.0, 0.0], [5.0, 5.0, 5.0]])
AXES: dict[str, tuple[Callable[[Node], Node], Callable[[list[Any]], list[Any]]]] = {
    "log(sum(exp))": (lambda x: gx.log(gx.sum(gx.exp(x), axis=1)), lambda r: [_lse(r)]),
    "log(sum(exp)), kept": (lambda x: gx.log(gx.sum(gx.exp(x), axis=1, keepdims=True)), lambda r: [_lse(r)]),
    "log(sum(exp.T))": (lambda x: gx.log(gx.sum(gx.exp(x.T), axis=0)), lambda r: [_lse(r)]),
    "log(mean(exp))": (lambda x: gx.log(gx.mean(gx.exp(x), axis=1)), lambda r: [_lse(r) - mp.log(3)]),
    "log(sum(exp) / 3)": (lambda x: gx.log(gx.sum(gx.exp(x), axis=1) / 3), lambda r: [_lse(r) - mp.log(3)]),
    "log(2 * sum(exp))": (lambda x: gx.log(2 * gx.sum(gx.exp(x), axis=1)), lambda r: [_lse(r) + mp.log(2)]),
    "log(1 + sum(exp))": (lambda x: gx.log(1 + gx.sum(gx.exp(x), axis=1)), lambda r: [_lse([*r, mp.mpf(0)])]),
    "exp / sum(exp)": (lambda x: gx.exp(x) / gx.sum(gx.exp(x), axis=1, keepdims=True), lambda r: [mp.exp(v - _lse(r)) for v in r]),
    "exp * (1 / sum(exp))": (lambda x: gx.exp(x) * (1 / gx.sum(gx.exp(x), axis=1))[:, None], lambda r: [mp.exp(v - _lse(r)) for v in r]),
    "exp(-) / sum(exp(-))": (
        lambda x: gx.exp(-x) / gx.sum(gx.exp(-x), axis=1)[:, None],
        lambda r: [mp.exp(-v - _lse([-w for w in r])) for v in r],
    ),
    "log(softmax)": (lambda x: gx.log(gx.softmax(x)), lambda r: [v - _lse(r) for v in r]),
    "log(exp / sum(exp))": (lambda x: gx.log(gx.exp(x) / gx.sum(gx.exp(x), axis=1, keepdims=True)), lambda r: [v - _lse(r) for v in r]),
    "x - log(sum(exp))": (lambda x: x - gx.log(gx.sum(gx.exp(x), axis=1, keepdims=True)), lambda r: [v - _lse(r) for v in r]),
    "log(sum(w * exp))": (
        lambda x: gx.log(gx.sum(np.array([0.5, 2.0, 0.125], x.dtype) * gx.exp(x), axis=1)),
        lambda r: [_lse([v + mp.log(w) for v, w in zip(r, (0.5, 2, 0.125))])],
    ),
    "log(softmax[1])": (lambda x: gx.log(gx.softmax(x)[:, 1]), lambda r: [r[1] - _lse(r)]),
    "log(take(softmax))": (
        lambda x: gx.log(gx.take_along_axis(gx.softmax(x), np.full((len(ROWS), 1), 2), axis=1)),
        lambda r: [r[2] - _lse(r)],
    ),
    "log of prod of exp": (lambda x: gx.log(gx.prod(gx.exp(x), axis=1)), lambda r: [mp.fsum(r)]),
    "mean(x**2) - mean(x)**2": (
        lambda x: gx.mean(x**2, axis=1) - gx.mean(x, axis=1) ** 2,
        lambda r: [mp.fsum(v * v for v in r) / 3 - (mp.fsum(r) / 3) ** 2],
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", AXES)
def test_over_axes(name: str, dtype: str) -> None:
    """Values, and the derivatives of a weighted sum of them: relative to the largest of the row."""
    f, reference = AXES[name]
    x = gx.tensor("x", ROWS.shape, dtype)
    value = f(x)
    rows = ROWS.astype(dtype)
    weights = np.linspace(0.5, 1.5, max(1, int(np.prod(value.shape)) // len(ROWS))).astype(dtype)
    cost = gx.sum(gx.reshape(value, (len(ROWS), -1)) * weights)
    first = gx.grad(cost, x)
    second = gx.grad(gx.sum(first * np.array([1.0, -0.5, 0.25], dtype)), x, disconnected="zero")
    got = evaluate(simplify(Graph((x,), (gx.reshape(value, (len(ROWS), -1)), first, second))).outputs, {x: rows})

    def total(row: list[Any]) -> Any:
        return mp.fsum(float(w) * v for w, v in zip(weights, reference(row)))

    def moved(row: list[Any], k: int, h: Any) -> list[Any]:
        return [v + h if j == k else v for j, v in enumerate(row)]

    def slope(row: list[Any]) -> list[Any]:
        return [(total(moved(row, k, h)) - total(moved(row, k, -h))) / (2 * h) for k in range(3)]

    def mixed(row: list[Any]) -> Any:
        return mp.fsum(w * g for w, g in zip((1.0, -0.5, 0.25), slope(row)))

    h = mp.mpf(10) ** -60
    with mp.workdps(250):
        for n, row in enumerate(rows):
            exact_row = [mp.mpf(float(v)) for v in row]
            bend = [(mixed(moved(exact_row, k, h)) - mixed(moved(exact_row, k, -h))) / (2 * h) for k in range(3)]
            for order, true in enumerate((reference(exact_row), slope(exact_row), bend)):
                size = max([abs(v) for v in true] + [mp.mpf(1)] + ([max(map(abs, exact_row))] if order == 0 else []))
                for k, (a, b) in enumerate(zip(got[order][n], true)):
                    assert math.isfinite(a), f"{name}, derivative {order}, row {n}: {a}"
                    assert abs(mp.mpf(float(a)) - b) <= 64 * float(np.finfo(dtype).eps) * size, (name, order, n, k, a, mp.nstr(b, 8))


# -- the probes of the literature ------------------------------------------------------------------------------------------------
def at(f: Callable[[Node], Node], value: Any) -> Any:
    x = gx.tensor("x", np.shape(value))
    return evaluate(simplify(Graph((x,), (f(x),))).outputs, {x: np.array(value)})[0]


def slope_at(f: Callable[[Node], Node], value: Any) -> Any:
    x = gx.tensor("x", np.shape(value))
    return evaluate(simplify(Graph((x,), (gx.grad(f(x), x),))).outputs, {x: np.array(value)})[0]


def test_probes() -> None:
    assert at(lambda x: gx.log(gx.sum(gx.exp(x))), [1000.0, 1000.0]) == pytest.approx(1000 + math.log(2))
    assert at(lambda x: gx.log(1 + gx.exp(x)), 800.0) == 800
    assert at(lambda x: gx.log(1 - gx.exp(x)), -1e-20) == pytest.approx(math.log(1e-20))
    assert at(lambda x: gx.log(1 / (1 + gx.exp(x))), 800.0) == -800
    np.testing.assert_array_equal(at(lambda x: gx.log(gx.softmax(x)), [1000.0, 0.0]), [0, -1000])
    assert at(lambda x: gx.exp(x) - 1, 1e-20) == 1e-20
    assert at(lambda x: gx.sqrt(1 + x) - 1, 1e-20) == 5e-21
    np.testing.assert_array_equal(slope_at(lambda x: gx.sqrt(gx.sum(x * x)), [0.0, 0.0]), [0, 0])
    assert slope_at(lambda x: gx.where(x > 0, gx.log(x), 0.0), 0.0) == 0


# -- smooth where its parts are not ----------------------------------------------------------------------------------------------
SMOOTH: dict[str, tuple[Callable[[Node], Node], Callable[[Any], Any], float, tuple[float, float, float]]] = {
    # the formula; the same for mpmath; the lowest number it is real at; value, slope and second derivative at 0 (from the right)
    "sqrt(x**4)": (lambda x: gx.sqrt(x**4), lambda x: x * x, -math.inf, (0, 0, 2)),
    "sqrt(x**6)": (lambda x: gx.sqrt(x**6), lambda x: abs(x) ** 3, -math.inf, (0, 0, 0)),
    "(x**4)**0.5": (lambda x: (x**4) ** 0.5, lambda x: x * x, -math.inf, (0, 0, 2)),
    "(x**4)**0.75": (lambda x: (x**4) ** 0.75, lambda x: abs(x) ** 3, -math.inf, (0, 0, 0)),
    "(x**2)**1.5": (lambda x: (x**2) ** 1.5, lambda x: abs(x) ** 3, -math.inf, (0, 0, 0)),
    "sqrt(x)**2": (lambda x: gx.sqrt(x) ** 2, lambda x: x, 0, (0, 1, 0)),
    "sqrt(x) * sqrt(x)": (lambda x: gx.sqrt(x) * gx.sqrt(x), lambda x: x, 0, (0, 1, 0)),
    "sqrt(x)**4": (lambda x: gx.sqrt(x) ** 4, lambda x: x * x, 0, (0, 0, 2)),
    "sqrt(x)**3": (lambda x: gx.sqrt(x) ** 3, lambda x: x ** mp.mpf(1.5), 0, (0, 0, math.inf)),
    "sqrt(x**3)": (lambda x: gx.sqrt(x**3), lambda x: x ** mp.mpf(1.5), 0, (0, 0, math.inf)),
    "(x**0.5)**2": (lambda x: (x**0.5) ** 2, lambda x: x, 0, (0, 1, 0)),
    "exp(log(x))": (lambda x: gx.exp(gx.log(x)), lambda x: x, 0, (0, 1, 0)),
    "exp(2 log(x))": (lambda x: gx.exp(2 * gx.log(x)), lambda x: x * x, 0, (0, 0, 2)),
    "exp(log(x * x))": (lambda x: gx.exp(gx.log(x * x)), lambda x: x * x, -math.inf, (0, 0, 2)),
    "abs(x)**2": (lambda x: gx.abs(x) ** 2, lambda x: x * x, -math.inf, (0, 0, 2)),
    "norm squared": (lambda x: gx.norm(x[:, None], axis=1) ** 2, lambda x: x * x, -math.inf, (0, 0, 2)),
    "rms squared": (lambda x: gx.sqrt(gx.mean(gx.stack([x, x], 1) ** 2, axis=1)) ** 2, lambda x: x * x, -math.inf, (0, 0, 2)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SMOOTH)
def test_compositions_that_are_smooth_at_0(name: str, dtype: str) -> None:
    """Value, slope and second derivative at 0 and -0 where parts have infinite slopes; nan, not a number, left of the domain."""
    f, reference, low, at_zero = SMOOTH[name]
    points = np.array([0.0, -0.0, 1e-3, 0.7, 3.0, -0.7, -3.0, math.inf, -math.inf, math.nan], dtype)
    got = derivatives(f, dtype, points)
    for k, x in enumerate(map(float, points)):
        values = [float(g[k]) for g in got]
        if x == 0:
            assert values == list(at_zero), (name, x, values)
        elif math.isnan(x) or x < low:
            assert math.isnan(values[0]) or (x == -math.inf and values[0] == math.inf and name == "(x**0.5)**2"), (name, x, values)
        elif math.isinf(x):
            assert values[0] == math.inf, (name, x, values)
        else:
            true = [exact(reference, x, order) for order in (0, 1, 2)]
            for a, b in zip(values, true):
                assert abs(a - b) <= 64 * np.finfo(dtype).eps * max(abs(b), 1e-3), (name, x, values, true)


def test_a_shift_by_hand_carries_no_derivative() -> None:
    """exp(z - max(z)) / sum(...) is a softmax: no choice among ties in its gradient, no derivative goes through the maximum."""
    z = gx.tensor("z", ("n", 3))
    e = gx.exp(z - gx.max(z, axis=1, keepdims=True))
    g = gx.grad(gx.sum((e / gx.sum(e, axis=1, keepdims=True)) ** 2), z)
    made = simplify(Graph((z,), (g,)))
    assert not any(n.op.name in ("equal", "select") for n in made.order)
    at = np.array([[1000.0, 1000.0, 0.0], [0.1, 0.1, 0.1]])
    plain = gx.grad(gx.sum(gx.softmax(z) ** 2), z)
    np.testing.assert_allclose(*evaluate([*made.outputs, plain], {z: at}), atol=1e-16)
