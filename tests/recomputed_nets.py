"""Nets drawn at random, with their gradients: the same bits, whatever of them is computed again.

python -m tests.recomputed_nets 200 7        200 of them, from seed 7 on
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

import graphc as gx
from graphc.ir import Node
from graphc.passes import recompute

ROWS, WIDTH = 6, 8
ACTIVATIONS: tuple[Callable[[Node], Node], ...] = (gx.nn.gelu, gx.nn.silu, gx.tanh, gx.nn.relu, gx.nn.softplus, gx.sin)


@contextmanager
def pressed(room: float, slower: float = np.inf, largest: int = 1000, worth: float = 1.0) -> Iterator[None]:
    """Functions made in here compute again what they can, where `room` is 0; with infinite room, nothing."""
    names = {"ROOM": room, "SLOWER": slower, "LARGEST": largest, "WORTH": worth}
    before = {name: getattr(recompute, name) for name in names}
    try:
        for name, value in names.items():
            setattr(recompute, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(recompute, name, value)


def normed(h: Node, axis: int) -> Node:
    centred = h - gx.mean(h, axis=axis, keepdims=True)
    return centred / gx.sqrt(gx.mean(centred**2, axis=axis, keepdims=True) + 1e-5)


def attention(h: Node, w: Node) -> Node:
    q, k, v = [(h @ w[i]).reshape(ROWS, 2, WIDTH // 2).transpose(1, 0, 2) for i in range(3)]
    mixed = gx.nn.softmax(q @ k.transpose(0, 2, 1) / 2.0) @ v
    return mixed.transpose(1, 0, 2).reshape(ROWS, WIDTH) @ w[3]


def layer(rng: random.Random, h: Node, w: Node, b: Node) -> Node:
    f = rng.choice(ACTIVATIONS)
    kinds: list[Callable[[], Node]] = [
        lambda: f(h @ w[0] + b),
        lambda: h + f(h @ w[0] + b) @ w[1],
        lambda: h + f(normed(h, 1) @ w[0]) @ w[1] * b,
        lambda: f(normed(h @ w[0], 0) * b),
        lambda: normed(h + attention(h, w), 1),
        lambda: f(h) * gx.nn.sigmoid(h @ w[0]) + b,
        lambda: gx.nn.softmax(h @ w[0]) * f(h),
    ]
    return rng.choice(kinds)()


def net(seed: int) -> tuple[list[Node], list[Node], list[np.ndarray]]:
    """Inputs, outputs and arguments: a loss, its gradients, perhaps products of its second derivative."""
    rng = random.Random(seed)
    dtype, data = rng.choice(["float32", "float64"]), np.random.default_rng(seed)
    x, t = gx.tensor("x", (ROWS, WIDTH), dtype), gx.tensor("t", (ROWS, WIDTH), dtype)
    leaves: list[Node] = []
    h = x
    for k in range(rng.randint(2, 4)):
        leaves += [gx.tensor(f"w{k}", (4, WIDTH, WIDTH), dtype), gx.tensor(f"b{k}", (WIDTH,), dtype)]
        h = layer(rng, h, *leaves[-2:])
    losses: list[Callable[[], Node]] = [
        lambda: gx.mean((h - t) ** 2),
        lambda: -gx.mean(t * gx.log(gx.nn.softmax(h))),
        lambda: gx.sum(gx.tanh(h) * t),
    ]
    loss = rng.choice(losses)()
    found = list(gx.grad(loss, leaves, disconnected="zero"))
    if rng.random() < 0.3:
        found += gx.grad(sum([gx.sum(g * g) for g in found], gx.zeros((), dtype)), leaves[:2], disconnected="zero")
    inputs = [x, t, *leaves]
    return inputs, [loss, *rng.choice([found, found[::-1]])], [(0.7 * data.standard_normal(v.shape)).astype(dtype) for v in inputs]


def check(seed: int) -> bool:
    """Compare bits; whether anything was computed again."""
    inputs, outputs, arguments = net(seed)
    with pressed(np.inf):
        whole = gx.function(inputs, outputs, mode="verify")
        wanted = whole(*arguments)
    with pressed(0, largest=random.Random(seed).choice([0, 1000, 1000]), worth=np.inf):
        less = gx.function(inputs, outputs, mode="verify")
        got = less(*arguments)
    for k, (a, b) in enumerate(zip(wanted, got, strict=True)):
        assert np.array_equal(a, b, equal_nan=True), f"seed {seed}: result {k} of {len(wanted)} differs by {np.abs(a - b).max()}"
    assert less._program is not None and whole._program is not None
    return len(less._program.steps) > len(whole._program.steps)


if __name__ == "__main__":
    count, first = [*map(int, sys.argv[1:]), 20, 0][:2] if len(sys.argv) > 2 else (int(sys.argv[1]) if sys.argv[1:] else 20, 0)
    acted = sum([check(seed) for seed in range(first, first + count)])
    print(f"{count} nets with the same bits, {acted} of which compute something again")
