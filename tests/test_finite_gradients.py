"""Gradients are finite where the function is: untaken branches, norms at 0, powers of 0, products with zeros, masks of -inf, removable 0/0.

Each row gives the value and the first two derivatives of sum(f(x)) (the second of g @ [1, 2, ..]), by hand; the third shall be no nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Graph, Node
from graphc.passes.simplify import simplify

INF, Z2 = math.inf, [0.0, 0.0]
S = lambda t: 1 / (1 + math.exp(-t))
SLOPE, STEEP = S(0.2) * S(-0.2), S(2.0) * S(-2.0)
Row = tuple[Callable[[Node], Node], Any, Any, Any, Any]  # f, x, the value, first and second derivatives
CASES: dict[str, Row] = {
    # a branch that is not taken
    "where, sqrt": (lambda x: gx.where(x > 0, gx.sqrt(x), 0.0), 0.0, 0, 0, 0),
    "where, log": (lambda x: gx.where(x > 0, gx.log(x), 0.0), 0.0, 0, 0, 0),
    "where, quotient": (lambda x: gx.where(x != 0, gx.cos(x) / x, 1.0), 0.0, 1, 0, 0),
    "where of where": (lambda x: gx.where(x > 1, gx.log(x - 1), gx.where(x > 0, gx.log(x), x)), 0.0, 0, 1, 0),
    "where, entropy": (lambda x: gx.where(x > 0, -x * gx.log(x), 0.0), 0.0, 0, 0, 0),
    "maximum": (lambda x: gx.maximum(gx.sqrt(x), 1.0), 0.0, 1, 0, 0),
    "minimum": (lambda x: gx.minimum(1 / x, 2.0), 0.0, 2, 0, 0),
    "clip": (lambda x: gx.clip(gx.sqrt(x), 0.5, 2.0), 0.0, 0.5, 0, 0),
    "cond": (lambda x: gx.cond(x > 0, lambda v: gx.log(v), lambda v: v * 2, x), 0.0, 0, 2, 0),
    "where over a sum": (lambda x: gx.where(gx.cumsum(x) > 0, gx.sqrt(gx.cumsum(x)), 0.0), [0.0, 4.0], 2, [0.25, 0.25], [-0.09375] * 2),
    # norms at the origin, powers, 0 log 0
    "norm": (lambda x: gx.norm(x), Z2, 0, Z2, Z2),
    "norm by hand": (lambda x: gx.sqrt(gx.sum(x * x)), Z2, 0, Z2, Z2),
    "hypot": (lambda x: gx.hypot(x[0], x[1]), Z2, 0, Z2, Z2),
    "hypot by hand": (lambda x: gx.sqrt(x[0] ** 2 + x[1] ** 2), Z2, 0, Z2, Z2),
    "direction, guarded": (lambda x: gx.where(gx.norm(x) > 0, x / gx.norm(x), 0.0), Z2, 0, Z2, Z2),
    "standard deviation": (lambda x: gx.std(x), [1.0, 1.0], 0, Z2, Z2),
    "0**y": (lambda x: gx.power(0.0, x), [2.0, 0.5, 0.0], 1, [0, 0, 0], [0, 0, 0]),
    "x**0": (lambda x: x**0, 0.0, 1, 0, 0),
    "x**y": (lambda x: gx.power(x, np.array([0.0, 1.0, 2.0])), [0.0] * 3, 1, [0, 1, 0], [0, 0, 6]),
    "0 log 0": (lambda x: gx.xlogy(0.0, x), 0.0, 0, 0, 0),
    "sqrt(x**4)": (lambda x: gx.sqrt(x**4), 0.0, 0, 0, 2),
    "sqrt(x)**2": (lambda x: gx.sqrt(x) ** 2, 0.0, 0, 1, 0),
    "sqrt|x|": (lambda x: gx.sqrt(gx.abs(x)), 0.0, 0, 0, 0),
    "|x|**0.3": (lambda x: gx.abs(x) ** 0.3, 0.0, 0, 0, 0),
    "|x|**1.5": (lambda x: gx.abs(x) ** 1.5, [0.0, 4.0], 8, [0, 3], [0, 0.75]),
    "x**1.5": (lambda x: x**1.5, 0.0, 0, 0, INF),
    "expectation under softmax": (lambda x: gx.sum(gx.exp(x) * np.array([1.0, 3.0], x.dtype)) / gx.sum(gx.exp(x)), [1000.0, 1000.0], 2,
                                  [-0.5, 0.5], None),
    "log of cumsum of exp": (lambda x: gx.log(gx.cumsum(gx.exp(x)))[1], [-1000.0, -1000.0], -1000 + math.log(2), [0.5, 0.5], None),
    "|x|**3": (lambda x: gx.abs(x) ** 3, 0.0, 0, 0, 0),
    # products with zeros
    "prod, one 0": (lambda x: gx.prod(x), [0.0, 2.0, 3.0], 0, [6, 0, 0], [12, 3, 2]),
    "prod, two 0": (lambda x: gx.prod(x), [0.0, 0.0, 3.0], 0, [0, 0, 0], [6, 3, 0]),
    "cumprod": (lambda x: gx.cumprod(x), [0.0, 2.0, 0.0], 0, [3, 0, 0], [8, 1, 2]),
    # masks of -inf
    "softmax, masked": (lambda x: gx.softmax(gx.where(np.array([True, False, True]), x, -INF))[0], [3.0, 9.0, 1.0], S(2.0),
                        [STEEP, 0, -STEEP], [2 * STEEP * math.tanh(1.0), 0, -2 * STEEP * math.tanh(1.0)]),
    "softmax, -inf": (lambda x: gx.softmax(x)[1], [-INF, 0.3, 0.1], S(0.2), [0, SLOPE, -SLOPE], None),
    "logsumexp, one": (lambda x: gx.logsumexp(x), [-INF, 1.0], 1, [0, 1], Z2),
    "logsumexp, all": (lambda x: gx.logsumexp(x), [-INF, -INF], -INF, Z2, Z2),
    "logsumexp by hand": (lambda x: gx.log(gx.sum(gx.exp(x))), [-INF, -INF], -INF, Z2, Z2),
    "log_softmax": (lambda x: gx.log_softmax(x)[1], [-INF, 0.0, 0.0], -math.log(2), [0, 0.5, -0.5], None),
    "logaddexp": (lambda x: gx.logaddexp(x[0], x[1]), [-INF, -INF], -INF, [0.5, 0.5], Z2),
    # removable 0/0
    "sinc": (lambda x: gx.sinc(x), 0.0, 1, 0, -(math.pi**2) / 3),
    "sin(x) / x": (lambda x: gx.sin(x) / x, 0.0, 1, 0, -1 / 3),
    "tan(2x) / x": (lambda x: gx.tan(2 * x) / x, 0.0, 2, 0, 16 / 3),
    "(1 - cos x) / x**2": (lambda x: (1 - gx.cos(x)) / x**2, 0.0, 0.5, 0, -1 / 12),
    "(exp x - 1) / x": (lambda x: (gx.exp(x) - 1) / x, 0.0, 1, 0.5, 1 / 3),
    "x / (exp x - 1)": (lambda x: x / (gx.exp(x) - 1), 0.0, 1, -0.5, 1 / 6),
    "log1p(x) / x": (lambda x: gx.log1p(x) / x, 0.0, 1, -0.5, 2 / 3),
    # tails
    "1 / cosh(x)": (lambda x: 1 / gx.cosh(x), [800.0, -INF], 0, Z2, Z2),
    "softplus": (lambda x: gx.softplus(x), [1000.0, -INF], 1000, [1, 0], Z2),
    # honest infinities
    "sqrt": (lambda x: gx.sqrt(x), 0.0, 0, INF, -INF),
    "log": (lambda x: gx.log(x), 0.0, -INF, INF, -INF),
    "arccos": (lambda x: gx.arccos(x), 1.0, 0, -INF, -INF),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name: str, dtype: str) -> None:
    f, at, *expected = CASES[name]
    point = np.asarray(at, dtype)
    x = gx.tensor("x", point.shape, dtype)
    found = [gx.sum(f(x))]
    weights = np.arange(1, point.size + 1).reshape(point.shape).astype(dtype)
    for _ in range(3):
        cost = found[0] if len(found) == 1 else gx.sum(found[-1] * weights)
        found.append(gx.grad(cost, x, disconnected="zero"))
    values = evaluate(simplify(Graph((x,), tuple(found))).outputs, {x: point})
    for order, (got, true) in enumerate(zip(values, expected)):
        if true is not None:
            np.testing.assert_allclose(got, np.asarray(true, dtype), rtol=20 * np.finfo(dtype).eps, atol=1e-30, err_msg=f"order {order}")
    assert not np.isnan(values[-1]).any() and not np.isnan(values[2]).any()


@pytest.mark.parametrize("f", [lambda x: x * gx.log(x), lambda x: x / x, lambda x: x - x + 1 / x, lambda x: 0 * (1 / x)])
def test_what_is_nan_stays_nan(f: Callable[[Node], Node]) -> None:
    """0 log 0, 0/0, inf - inf and 0 inf as the user wrote them are IEEE's."""
    x = gx.tensor("x", (2,))
    values = np.array([0.0, math.inf])
    with np.errstate(all="ignore"):
        plain = evaluate([f(x)], {x: values})[0]
    compiled = evaluate(simplify(Graph((x,), (f(x),))).outputs, {x: values})[0]
    np.testing.assert_array_equal(compiled, plain)
