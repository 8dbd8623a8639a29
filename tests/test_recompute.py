"""Save or recompute: the cut against networkx; memory and bits of nets with and without; what must be kept is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

import graphc as gx
from graphc import scalars as sc
from graphc.ir import Node
from graphc.passes.cuts import minimum_cut
from graphc.passes.storage.taken_out import closure_of, homes_of, same_roundings, taken_out, uses_of
from graphc.program import Axis, Kernel, Launch, Operand, Stage, Store, loop_index
from tests.recomputed_nets import check, normed, pressed


@pytest.mark.parametrize("seed", range(4))
def test_cuts_are_those_of_networkx(seed: int) -> None:
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


@pytest.mark.parametrize("seed", [2, 5, 6, 9, 11, 13, 14, 18])
def test_drawn_nets_have_the_same_bits(seed: int) -> None:
    assert check(seed)


def arena(f: gx.Function, **sizes: int) -> int:
    return f.memory(**sizes)["arena"]


def _net(block: Callable[[Node, Any], Node], layers: int = 6, n: Any = 32, dtype: str = "float32") -> tuple[list[Node], list[Node]]:
    x, ws = gx.tensor("x", (n, 32), dtype), [gx.tensor(f"w{k}", (32, 32), dtype) for k in range(layers)]
    h = x
    for w in ws:
        h = block(h, w)
    loss = gx.mean(h * h)
    return [x, *ws], [loss, *gx.grad(loss, ws)[::-1]]


BLOCKS: dict[str, tuple[Callable[[Node, Any], Node], float]] = {  # and the part of the arena that is left
    "gelu": (lambda h, w: gx.nn.gelu(h @ w), 0.6),
    "silu": (lambda h, w: gx.nn.silu(h @ w), 0.6),
    "residual": (lambda h, w: h + gx.nn.gelu(normed(h, 1) @ w) @ w.T, 0.6),
}


@pytest.mark.parametrize("name", list(BLOCKS))
def test_nets_keep_less(name: str) -> None:
    block, part = BLOCKS[name]
    inputs, outputs = _net(block)
    whole, of_any_size = (gx.function(*_net(block, n=n)) for n in (32, "n"))
    with pressed(0):
        in_order = gx.function(inputs, [outputs[0], *outputs[:0:-1]])
        less, less_of_any_size = (gx.function(*_net(block, n=n)) for n in (32, "n"))
    with pressed(0, largest=0):
        by_greed = gx.function(inputs, outputs)
    with pressed(0, slower=0):
        in_no_time = gx.function(inputs, outputs)
    assert arena(less) < part * arena(whole)
    assert arena(in_order) <= 1.1 * arena(less)  # gradients of the first layer first
    assert arena(less_of_any_size, n=4096) < part * arena(of_any_size, n=4096)
    assert arena(by_greed) < (1 + part) / 2 * arena(whole)
    assert arena(in_no_time) == arena(whole)


def test_what_is_little_is_left_alone() -> None:
    inputs, outputs = _net(BLOCKS["gelu"][0])
    with pressed(np.inf):
        never = gx.function(inputs, outputs).program
    assert gx.function(inputs, outputs).program == never


@pytest.mark.parametrize("decay", [False, True])
def test_state_that_is_updated_on_the_way_back(decay: bool) -> None:
    """What is computed again reads biases, which are replaced as early as they can be; those that decay before the way back begins."""
    results = []
    for room in (np.inf, 0):
        data = np.random.default_rng(0)
        ws = [gx.shared(0.3 * data.standard_normal((16, 16))) for _ in range(5)]
        bs = [gx.shared(0.3 * data.standard_normal(16)) for _ in range(5)]
        x = gx.tensor("x", (16, 16), "float64")
        h = x
        for w, b in zip(ws, bs, strict=True):
            h = gx.nn.gelu((normed(h, 1) + b) @ w if decay else h @ w + b)
        loss = gx.mean(h * h)
        with pressed(room, worth=np.inf if decay else 1.0):
            updates = [(v, v - 0.1 * g) for v, g in zip([*ws, *bs], gx.grad(loss, [*ws, *bs]), strict=True)]
            updates = [(v, 0.5 * v if decay and v.ndim == 1 else new) for v, new in updates]
            step = gx.function([x], loss, updates=updates)
            losses = [step(data.standard_normal((16, 16))) for _ in range(3)]
        results.append(([*losses, *[v.value for v in (*ws, *bs)]], step.memory()["arena"]))
    (wanted, whole), (got, less) = results
    assert decay or less < 0.7 * whole
    assert all(np.array_equal(a, b) for a, b in zip(wanted, got, strict=True))


def test_products_and_sums_are_not_computed_again() -> None:
    x = gx.tensor("x", (64, 64), "float32")
    outputs = [y := gx.sum(gx.exp(gx.sin(x @ x)) @ x), gx.grad(y, x)]
    with pressed(np.inf):
        whole = gx.function([x], outputs)
    with pressed(0):
        less = gx.function([x], outputs)
    assert less.program.count("sum[") == whole.program.count("sum[")
    x0 = np.random.default_rng(0).standard_normal((64, 64)).astype("float32") * 0.1
    np.testing.assert_allclose(less(x0)[0], np.sum(np.exp(np.sin(x0 @ x0)) @ x0), rtol=1e-4)


def test_a_product_that_others_read_as_well_is_rounded_by_itself() -> None:
    """a*b + c in one rounding, but not beside (a*b) * d: by itself it would not be what it was."""
    f32 = np.dtype("float32")
    at = (sc.index(loop_index(0)),)
    a, b, c, d = (sc.load(k, at, f32) for k in range(4))

    def launch(*bodies: sc.Scalar) -> Launch:
        stages = [Stage((), body, f32, stores=(Store(4 + k, at),)) for k, body in enumerate(bodies)]
        operands = [Operand(f32, (7,), k >= 4) for k in range(4 + len(bodies))]
        return Launch(Kernel((Axis(loop_index(0), 7),), tuple(stages), tuple(operands)), tuple(range(4 + len(bodies))))

    both, alone = launch(a * b + c, (a * b) * d), launch(a * b + c, b * d)
    for made, alike in ((both, False), (alone, True)):
        assert closure_of(made.kernel, [0], homes_of(made).keys() - {0}) == [0]
        assert same_roundings(uses_of(made.kernel), taken_out(made, [0])) is alike
