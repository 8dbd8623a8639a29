"""Save or recompute: the cut against networkx, memory and bits of nets with and without it."""

import math
import random

import networkx as nx
import numpy as np
import pytest

import graphc as gx
from graphc.passes import recompute as pass_of
from graphc.passes.cuts import minimum_cut


@pytest.mark.parametrize("seed", range(4))
def test_cuts_are_those_of_networkx(seed):
    drawn = random.Random(seed)
    for _ in range(100):
        count = drawn.randint(2, 9)
        arcs = {tuple(drawn.sample(range(count), 2)): drawn.choice([0, 1, 1, 2, 3, math.inf]) for _ in range(drawn.randint(1, 24))}
        network = nx.DiGraph()
        network.add_nodes_from(range(count))
        for (a, b), capacity in arcs.items():
            network.add_edge(a, b, **({} if capacity == math.inf else {"capacity": capacity}))
        listed = [(a, b, capacity) for (a, b), capacity in arcs.items()]
        try:
            least = nx.minimum_cut_value(network, 0, 1)
        except nx.NetworkXUnbounded:
            with pytest.raises(ValueError, match="no cut"):
                minimum_cut(listed, 0, 1)
            continue
        side = minimum_cut(listed, 0, 1)
        assert 0 in side and 1 not in side
        assert sum(c for a, b, c in listed if a in side and b not in side) == least


def _net(activation, layers=6, n=32, dtype="float32"):
    x, ws = gx.tensor("x", (n, n), dtype), [gx.tensor(f"w{k}", (n, n), dtype) for k in range(layers)]
    h = x
    for w in ws:
        h = activation(h @ w)
    loss = gx.mean(h * h)
    return [x, *ws], [loss, *gx.grad(loss, ws)[::-1]]


@pytest.mark.parametrize("activation", [gx.nn.gelu, gx.nn.silu])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nets_keep_less_and_give_the_same_bits(activation, dtype, monkeypatch):
    inputs, outputs = _net(activation, dtype=dtype)
    whole = gx.function(inputs, outputs)
    monkeypatch.setattr(pass_of, "ROOM", 0)
    less = gx.function(inputs, outputs)
    assert less.memory()["arena"] < 0.6 * whole.memory()["arena"]
    drawn = np.random.default_rng(3)
    arrays = [drawn.standard_normal((32, 32)).astype(dtype) * 0.3 for _ in inputs]
    for a, b in zip(whole(*arrays), less(*arrays), strict=True):
        assert np.array_equal(a, b)


def test_what_is_little_is_left_alone():
    inputs, outputs = _net(gx.nn.gelu)
    f = gx.function(inputs, outputs)
    assert "again" not in f.graph and "again" not in f.program


def test_values_of_the_first_half_alone_are_not_touched(monkeypatch):
    monkeypatch.setattr(pass_of, "ROOM", 0)
    x = gx.tensor("x", (64, 64), "float32")
    f = gx.function([x], gx.sum(gx.exp(gx.sin(x @ x)) @ x))
    x0 = np.random.default_rng(0).standard_normal((64, 64)).astype("float32") * 0.1
    np.testing.assert_allclose(f(x0), np.sum(np.exp(np.sin(x0 @ x0)) @ x0), rtol=1e-4)
