"""Straight-line code: math functions as lanes of one call have the bits they have alone; the order by level is an order."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node, toposort
from graphc.passes.fusion.math_order import by_level

UNARY = ("sin", "cos", "exp", "tanh", "log1p", "erf")
EDGES = (0.0, -0.0, 1.0, -0.25, 1e-310, 30.0, 1e6, 1e18, np.inf, -np.inf, np.nan)  # 1e18: one lane takes the rare way


def picks(x: Node, count: int) -> list[Node]:
    return [x[k] for k in range(count)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_lanes_have_the_bits_of_calls_of_their_own(name: str, dtype: str) -> None:
    f = getattr(gx, name)
    for count in (1, 2, 3, 5, 8, 11):
        x = gx.tensor("x", (count,), dtype)
        value = np.array(EDGES[:count], dtype)
        together = gx.function([x], [f(v) for v in picks(x, count)])
        z = gx.scalar("z", dtype)
        alone = gx.function([z], f(z))
        for got, v in zip(together(value), value):
            np.testing.assert_array_equal(got, alone(v))


def test_independent_calls_are_one() -> None:
    x = gx.vector("x", 8)
    f = gx.function([x], [gx.sin(v) * gx.cos(v) for v in picks(x, 8)])
    calls = re.findall(r"call .*@(m\.\S+?)\(", f.llvm)
    assert len(calls) <= 2 and all(c.startswith("m.cos.sin.float64") for c in calls)  # vectors of 4 lanes or more


def test_functions_of_functions_and_of_two_arguments() -> None:
    x = gx.vector("x", 6)
    a = picks(x, 6)
    values = [gx.exp(gx.sin(v)) for v in a] + [gx.arctan2(u, gx.exp(v)) for u, v in pairwise(a)] + [gx.sin(a[0]) ** 1.5]
    f = gx.function([x], values)
    at = np.linspace(0.1, 2, 6)
    want = [*np.exp(np.sin(at)), *np.arctan2(at[:-1], np.exp(at[1:])), np.sin(at[0]) ** 1.5]
    np.testing.assert_allclose([float(v) for v in f(at)], want, rtol=1e-15)


def test_long_scalar_code_with_gradient() -> None:
    x = gx.vector("x", 4)
    values = picks(x, 4)
    rng = np.random.default_rng(0)
    for _ in range(400):
        i, j = rng.integers(max(0, len(values) - 20), len(values), 2)
        a, b = values[i], values[j]
        values.append([gx.sin(a + b), gx.cos(a - b), gx.exp(-a * a) * b, a / (2 + b * b), gx.where(a > b, gx.tanh(a), b)][rng.integers(5)])
    total = values[-1] + values[-2] * values[-7]
    value, slope = gx.value_and_grad(total, x)
    at = rng.standard_normal(4)
    got = gx.function([x], (value, {"slope": slope}))(at)
    slow = gx.function([x], (value, slope), mode="interpret")(at)
    np.testing.assert_allclose(got[0], slow[0], rtol=1e-11)
    np.testing.assert_allclose(got[1]["slope"], slow[1], rtol=1e-9, atol=1e-12)


def test_the_order_by_level() -> None:
    x = gx.vector("x", "n")
    a, b, c = picks(x, 3)
    s = gx.sum(x)
    last = gx.exp(gx.sin(a)) + gx.exp(gx.sin(b)) * gx.sin(c + s) + gx.mean(x * gx.sin(s))
    order = toposort([last])
    made = by_level(order)
    assert sorted(map(id, made)) == sorted(map(id, order))
    place = {node: k for k, node in enumerate(made)}
    assert all(place[i] < place[node] for node in made for i in node.inputs)
    names = [node.op.name for node in made if node.op.name in ("sin", "exp") and node.ndim == 0]
    assert "sin exp sin exp" not in " ".join(names)
