"""`scan(checkpoint=)`: the same derivatives, of which less is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.control.blocks import block_length
from graphc.control.scan import SCAN
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.passes.prepare import prepare
from tests.twins import check, total

RNG = np.random.default_rng(8)
W = RNG.normal(size=(3, 3)) * 0.6
H = RNG.normal(size=3)
KINDS = ["full", "sqrt", 0, 10_000]


def rows(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(size=(length, 3))


def net(L: Any, h: Any, xs: Any, w: Any, checkpoint: Any = None, reverse: bool = False) -> Any:
    """A recurrent net whose body reads its turn."""

    def step(h: Any, x: Any) -> Any:
        h = gx.tanh(w @ h + x * gx.cos(L.turn_index() * 0.7)) * gx.exp(-h * h)
        return h, gx.sum(h * x)

    return L.scan(step, h, xs, reverse=reverse, checkpoint=checkpoint)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("checkpoint", KINDS)
def test_equals_its_twin(checkpoint: Any, reverse: bool) -> None:
    check(lambda L, *args: net(L, *args, checkpoint=checkpoint, reverse=reverse), H, rows(5), W)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 9, 12])
def test_every_length(length: int) -> None:
    """Also of a length that is known only at the call: blocks that divide it, that do not, and none."""
    h, w, known = gx.tensor("h", (3,)), gx.tensor("w", (3, 3)), gx.tensor("xs", (length, 3))
    unknown = gx.tensor("xs", ("n", 3))
    v = gx.tensor("v", (3,))

    def numbers(xs: Node, checkpoint: Any, reverse: bool) -> list[np.ndarray]:
        carry, ys = net(gx, h, xs, w, checkpoint, reverse)
        cost = gx.sum(carry * carry) + gx.sum(gx.sin(ys))
        found = [carry, ys, *gx.grad(cost, [h, xs, w], disconnected="zero"), gx.hvp(cost, h, v)]
        return evaluate(found, {h: H, xs: rows(length), w: W, v: np.array([1.0, -0.5, 2.0])})

    for reverse in (False, True):
        plain = numbers(known, None, reverse)
        for checkpoint in KINDS:
            for xs in (known, unknown):
                for ours, theirs in zip(numbers(xs, checkpoint, reverse), plain):
                    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def kept_bytes(length: int, checkpoint: Any) -> int:
    """The most bytes of rows that loops of a gradient have at one time: those of outer loops, and of one run of an inner loop."""
    h, xs, w = gx.tensor("h", (3,)), gx.tensor("xs", (length, 3)), gx.tensor("w", (3, 3))
    carry, _ = net(gx, h, xs, w, checkpoint)
    return _rows(prepare(gx.grad(gx.sum(carry), [h, w])))


def _rows(roots: list[Node]) -> int:
    bytes_of = 0
    within = 0
    for node in toposort(roots):
        if node.op is SCAN:
            stacked = node.type[node.attrs["carries"] :]
            bytes_of += sum(t.dtype.itemsize * int(t.size) for t in stacked)
            within = max(within, _rows(list(node.attrs["body"].outputs)))
    return bytes_of + within


def test_memory() -> None:
    """Linear in the length; of "sqrt" with its root; a budget is held where it can be."""
    plain, full, blocks = (kept_bytes(10_000, c) for c in (None, "full", "sqrt"))
    assert full < plain and blocks <= 0.05 * plain
    assert kept_bytes(20_000, None) <= 2.01 * plain
    assert kept_bytes(40_000, "sqrt") <= 2.1 * blocks
    everything = kept_bytes(10_000, 10**9)
    assert full < everything <= plain  # without a budget, products leave the loop, and keep their operands
    assert kept_bytes(10_000, everything + 80_000) == everything  # and the cosines of the turns, which a pass computes before the loop
    assert kept_bytes(10_000, everything - 1) == full == kept_bytes(10_000, full)
    assert kept_bytes(10_000, full - 1) < full // 10


@pytest.mark.parametrize("length", [0, 1, 7, 8, 63, 64, 65, 1000, 10_000, 10**6, 10**8])
def test_blocks_are_about_the_root(length: int) -> None:
    n = dims.dim("n")
    for block in (block_length(length), dims.evaluate(block_length(n), {dims.as_symbol(n): length})):
        assert isinstance(block, int) and block >= 1
        if length >= 64:
            assert block + length / block <= 3.3 * length**0.5


def test_what_is_no_checkpoint() -> None:
    x = gx.tensor("x", (3,))
    for wrong in ("sqr", True, -1, 2.0):
        with pytest.raises(gx.ArgumentError, match="scan: checkpoint="):
            gx.scan(lambda c, x: (c + x, None), 0.0, x, checkpoint=wrong)  # type: ignore[arg-type]


def test_total_counts_every_element() -> None:
    """The cost of these tests: no element may be dropped unseen."""
    x = gx.tensor("x", (2, 2))
    (g,) = evaluate([gx.grad(total({"a": x}), x)], {x: np.ones((2, 2))})
    assert len(set(np.round(g.ravel(), 12))) == 4 and np.all(g != 0)


@pytest.mark.parametrize("length", [10_000, "T", 10_007])
def test_memory_of_native_code(length: Any) -> None:
    """A recurrent net of 10,000 turns: with "sqrt" the gradient takes at most 5 % of the memory; rows that it reads are not copied."""

    def arena(checkpoint: Any) -> int:
        xs, w = gx.tensor("xs", (length, 4, 16), "float32"), gx.tensor("w", (16, 16), "float32")
        last, _ = gx.scan(lambda h, x: (gx.tanh(h @ w + x), None), gx.zeros((4, 16), "float32"), xs, checkpoint=checkpoint)
        f = gx.function([xs, w], gx.grad(gx.sum(last**2), w))
        return (f.memory(T=10_000) if length == "T" else f.memory())["arena"]

    plain = arena(None)
    assert plain >= 2 * 10_000 * 4 * 16 * 4 and arena("sqrt") <= 0.05 * plain


def test_native_code_of_every_length_to_order_2() -> None:
    """One compiled function, unknown sizes, blocks that divide the length and that do not."""
    h, xs, w = gx.tensor("h", ("k",)), gx.tensor("xs", ("n", "k")), gx.tensor("w", ("k", "k"))

    def numbers(checkpoint: Any) -> list[Node]:
        last, ys = net(gx, h, xs, w, checkpoint)
        first = gx.grad(gx.sum(last) + gx.sum(ys), [h, xs, w])
        return [*first, *gx.grad(gx.sum(gx.sin(first[0])), [h, xs, w])]

    f, plain = gx.function([h, xs, w], numbers("sqrt")), numbers(None)
    for length in (0, 1, 2, 3, 64, 70):
        for k in (1, 3):
            env = {h: H[:k], xs: rows(length)[:, :k], w: W[:k, :k]}
            for ours, theirs in zip(f(*env.values()), evaluate(plain, env)):
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
