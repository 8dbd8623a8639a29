"""spec/002-004.md, R19, and the chains of 100,000 nodes: no recursion, nothing that grows faster than the graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.printer import format_graph
from graphc.verify.graph import verify
from tests.spec.kit import close, nodes, optimised

LONG = 100_000


@pytest.fixture(autouse=True)
def shallow() -> Iterator[None]:
    """Python's stack is left as it is by default: nobody raises its limit."""
    limit = sys.getrecursionlimit()
    yield
    assert sys.getrecursionlimit() == limit


def test_R19_ladder_of_1000_rungs() -> None:
    """2**1000 paths: the values of F4, and a second derivative, from a graph that is linear in the rungs."""
    start = gx.scalar("u")
    u = start
    for _ in range(1000):
        u = gx.sin(u) * gx.cos(u)
    slope = gx.grad(u, start)
    curvature = gx.grad(slope, start)
    assert nodes(u) == 3001 and nodes(u, slope) <= 10_000 and nodes(u, slope, curvature) <= 40_000
    f = gx.function([start], [u, slope])
    close(f(0.5), [np.asarray(0.0272964857550925), np.asarray(0.000124363811358476)], rtol=2e-14)
    e = 1e-6
    step = (f(0.5 + e)[1] - f(0.5 - e)[1]) / (2 * e)
    np.testing.assert_allclose(evaluate([curvature], {start: 0.5})[0], step, rtol=1e-6)


def test_R19_chain_without_recursion() -> None:
    """100,000 sines: built, differentiated, simplified, verified, printed, interpreted."""
    x = gx.tensor("x", (2,))
    u = x
    for _ in range(LONG):
        u = gx.sin(u)
    g = gx.grad(gx.sum(u), x)
    assert nodes(u) == LONG + 1 and nodes(u, g) <= 3 * LONG + 4
    graph = optimised([x], [u, g])
    assert len(graph.order) <= 3 * LONG + 4
    assert len(format_graph(graph).splitlines()) > 3 * LONG - 4
    assert len(repr(g)) < 200
    at, slope = np.array([0.5, -1.0]), np.ones(2)
    values = evaluate(graph.outputs, {x: at})
    for _ in range(LONG):
        slope, at = slope * np.cos(at), np.sin(at)
    close(values, [at, slope], rtol=1e-9)
    verify(u)


@pytest.mark.parametrize(("kind", "length"), [("scalar", LONG), ("array", 25_000)])
def test_R19_chain_compiled(kind: str, length: int) -> None:
    """The value of 100,000 nodes as native code."""
    x = gx.tensor("x", () if kind == "scalar" else ("n",))
    u = x
    for _ in range(length):
        u = gx.sin(u)
    f = gx.function([x], u)
    at = np.asarray(0.5) if kind == "scalar" else np.array([0.5, -1.0, 0.0])
    want = at
    for _ in range(length):
        want = np.sin(want)
    close(f(at), want, rtol=1e-9)


def test_R19_chain_and_gradient_compiled() -> None:
    """25,000 tanh, whose value and gradient are 75,000 nodes: each has a value, a slope, a product."""
    x = gx.scalar("x")
    u = x
    for _ in range(25_000):
        u = gx.tanh(u)
    g = gx.grad(u, x)
    assert nodes(u, g) > 75_000
    f = gx.function([x], [u, g])
    want, slope = 0.5, 1.0
    for _ in range(25_000):
        want = np.tanh(want)
        slope *= 1 - want * want
    close(f(0.5), [np.asarray(want), np.asarray(slope)], rtol=1e-9)
