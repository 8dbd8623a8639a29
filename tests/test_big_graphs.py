"""Graphs of 30,000 nodes: built, differentiated, optimised, compiled and run without recursion; wide graphs; many paths.

Of 100,000 nodes: tests/spec/test_002_004_scale.py.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, toposort

NODES = 30_000


@pytest.fixture(autouse=True)
def shallow() -> Iterator[None]:
    """Little room for recursion: a walk that recurses over a graph fails at once."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    yield
    sys.setrecursionlimit(limit)


def chain(x: Node, steps: int) -> Node:
    """tanh, products, sums and differences by turns: four nodes a round, of which none can be simplified away."""
    y = x
    for k in range(steps):
        y = gx.tanh(y * 0.75 + x) if k % 2 else y * x - 0.5
    return y


def chain_value(x: np.ndarray, steps: int) -> np.ndarray:
    y = x
    for k in range(steps):
        y = np.tanh(y * 0.75 + x) if k % 2 else y * x - 0.5
    return y


@pytest.mark.parametrize("shape", [(), ("n",)])
def test_a_chain(shape: tuple[str, ...]) -> None:
    x = gx.tensor("x", shape)
    nodes = NODES // 2 if shape else NODES
    steps = nodes * 2 // 5
    y = chain(x, steps)
    assert len(toposort([y])) > nodes * 0.9
    f = gx.function([x], y)
    X = np.float64(0.3) if not shape else np.linspace(-0.5, 0.5, 11)
    np.testing.assert_allclose(f(X), chain_value(X, steps), rtol=1e-9)
    assert len(repr(y)) < 100 and f"inline: {len(toposort([y]))} -> " in f.explain()


@pytest.mark.parametrize("shape", [(), ("n",)])
def test_the_derivative_of_a_chain(shape: tuple[str, ...]) -> None:
    x = gx.tensor("x", shape)
    nodes = NODES // 2 if shape else NODES
    steps = nodes // 10
    y = chain(x, steps)
    g = gx.grad(gx.sum(y), x)
    assert len(toposort([g])) > nodes * 0.5
    f = gx.function([x], [y, g])
    X = np.array(0.3) if not shape else np.linspace(-0.5, 0.5, 11)
    value, slope = f(X)
    h = 1e-6
    np.testing.assert_allclose(value, chain_value(X, steps), rtol=1e-9)
    np.testing.assert_allclose(slope, (chain_value(X + h, steps) - chain_value(X - h, steps)) / (2 * h), rtol=1e-6)


def test_the_interpreter_of_a_chain() -> None:
    x = gx.scalar("x")
    y = chain(x, 5_000)
    assert float(evaluate([y], {x: 0.3})[0]) == pytest.approx(float(chain_value(np.float64(0.3), 5_000)))
    z = gx.substitute(y, {x: x + 0.1})
    assert gx.function([x], z)(0.2) == pytest.approx(float(chain_value(np.float64(0.2) + 0.1, 5_000)))


def test_a_ladder_of_1000_rungs() -> None:
    """2**1000 paths: y <- y + sin(y) twice over; each rung is built, and differentiated, once."""
    x = gx.scalar("x")
    y = x
    for _ in range(1000):
        y = (y * y + gx.sin(y)) / 2
    g = gx.grad(y, x)
    h = gx.grad(g, x)
    assert len(toposort([y, g, h])) < 40_000
    v, d, dd = 0.9, 1.0, 0.0
    for _ in range(1000):
        slope, curve = (2 * v + math.cos(v)) / 2, (2 - math.sin(v)) / 2
        v, d, dd = (v * v + math.sin(v)) / 2, slope * d, curve * d * d + slope * dd
    got = gx.function([x], [y, g, h])(0.9)
    np.testing.assert_allclose([float(a) for a in got], [v, d, dd], rtol=1e-9)


def test_a_product_of_paths() -> None:
    """y <- y * y, 1000 times, near 1: the derivative 2**1000 x**(2**1000 - 1) at x = 1."""
    x = gx.scalar("x")
    y = x
    for _ in range(1000):
        y = y * y
    value, slope = gx.function([x], gx.value_and_grad(y, x))(1.0)
    assert value == 1 and slope == 2.0**1000


def test_a_thousand_outputs() -> None:
    x, s = gx.vector("x", "n"), gx.scalar("s")
    outputs = [gx.sin(x * (k + 1)) + s for k in range(500)] + [gx.sum(x * k) * s for k in range(300)] + [s * k + 1 for k in range(200)]
    f = gx.function([x, s], outputs)
    X = np.linspace(0, 1, 37)
    for got, want in zip(
        f(X, 2.0),
        [np.sin(X * (k + 1)) + 2 for k in range(500)] + [np.sum(X * k) * 2 for k in range(300)] + [2.0 * k + 1 for k in range(200)],
    ):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)


def test_a_thousand_inputs_and_states() -> None:
    xs = [gx.scalar(f"x{k}") for k in range(500)]
    states = [gx.shared(float(k), f"s{k}") for k in range(500)]
    total = sum(xs[1:], xs[0] * 1.0)
    grads = gx.grad(total * total, xs)
    f = gx.function(xs, [total], updates=[(s, s + g) for s, g in zip(states, grads)])
    assert f(*[1.0] * 500)[0] == 500
    assert [float(s.get_value()) for s in states] == [k + 1000.0 for k in range(500)]


def test_a_value_with_many_users() -> None:
    x = gx.vector("x", "n")
    y = gx.exp(x)
    total = y * 0.0
    for k in range(3000):
        total = total + gx.tanh(y + k % 7)
    f = gx.function([x], [gx.sum(total), gx.grad(gx.sum(total), x)])
    X = np.linspace(-1, 0, 9)
    values = np.exp(X)
    np.testing.assert_allclose(f(X)[0], sum(np.tanh(values + k % 7).sum() for k in range(3000)), rtol=1e-10)
    np.testing.assert_allclose(f(X)[1], sum((1 - np.tanh(values + k % 7) ** 2) * values for k in range(3000)), rtol=1e-9)
    tree = [gx.sin(x + 0.001 * k) for k in range(256)]
    while len(tree) > 1:
        tree = [a + b for a, b in zip(tree[::2], tree[1::2])]
    np.testing.assert_allclose(gx.function([x], tree[0])(X), sum(np.sin(X + 0.001 * k) for k in range(256)), rtol=1e-9)


def test_straight_line_code_is_cut() -> None:
    """10,000 scalar operations on 40 inputs, all different: no function of the module is long."""
    xs = [gx.scalar(f"x{k}") for k in range(40)]
    live = list(xs)
    rng = np.random.default_rng(0)
    for k in range(5000):
        i, j = rng.integers(0, 40, 2)
        live[i] = live[i] * 0.5 + live[j] * float(k % 13)
        if k % 10 == 0:
            live[i] = gx.tanh(live[i])
    f = gx.function(xs, live)
    values = np.linspace(-1, 1, 40).tolist()
    rng = np.random.default_rng(0)
    want = list(values)
    for k in range(5000):
        i, j = rng.integers(0, 40, 2)
        want[i] = want[i] * 0.5 + want[j] * float(k % 13)
        if k % 10 == 0:
            want[i] = math.tanh(want[i])
    np.testing.assert_allclose([float(v) for v in f(*values)], want, rtol=1e-9)
    longest = max(part.count("\n") for part in f.llvm.split("\ndefine "))
    assert longest < 1500, longest
