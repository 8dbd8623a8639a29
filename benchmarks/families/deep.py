"""Deep chains and their gradients, where what is saved and what is recomputed decides: time, and the arena among the facts.

elementwise: y <- sin(1.01 y + 0.1), 200 and 1000 deep; rows: a softmax of each row between the steps; residual: y <- y + tanh(y w_k);
normed: y <- y + gelu(norm(y) w_k) v_k; attention: y <- y + attention(y) of 4 heads. Nets have their value and all their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.row import FLOPS, Arrays, Row, normal

N = 1_000_000
ROWS, WIDTH, LAYERS, BLOCKS, BATCH = 4096, 256, 100, 50, 256
WIDE, NORMED, SEQUENCES, TIME, HEADS = 512, 8, 4, 256, 4


def elementwise(depth: int) -> Callable[..., Any]:
    def deep(xp: Any, y: Any) -> Any:
        for _ in range(depth):
            y = xp.sin(1.01 * y + 0.1)
        return y

    return deep


def gradient(depth: int) -> Callable[[np.ndarray], np.ndarray]:
    """In blocks that stay in the cache, as a careful user would."""

    def by_hand(y: np.ndarray) -> np.ndarray:
        g = np.ones_like(y)
        for first in range(0, len(y), 4096):
            part, saved = y[first : first + 4096], []
            for _ in range(depth):
                part = 1.01 * part + 0.1
                saved.append(part)
                part = np.sin(part)
            for s in reversed(saved):
                g[first : first + 4096] *= 1.01 * np.cos(s)
        return g

    return by_hand


def softmaxes(xp: Any, y: Any) -> Any:
    for _ in range(LAYERS):
        y = xp.softmax(3.0 * xp.sin(1.01 * y + 0.1))
    return y * y


def residual(xp: Any, *arrays: Any) -> Any:
    *weights, y = arrays
    for w in weights:
        y = y + xp.tanh(y @ w)
    return xp.sum(y * y)


def residual_data() -> Arrays:
    return (*square(BLOCKS, WIDTH), normal("y", BATCH, WIDTH, dtype="f32"))


def normed(xp: Any, *arrays: Any) -> Any:
    *weights, one, zero, y = arrays
    for w, v in zip(weights[::2], weights[1::2]):
        y = y + xp.gelu(xp.layer_norm(y, one, zero) @ w) @ v
    return xp.sum(y * y)


def attention(xp: Any, *arrays: Any) -> Any:
    *weights, y = arrays
    size = WIDTH // HEADS
    for wq, wk, wv, wo in zip(*(weights[k::4] for k in range(4))):
        q, k, v = (xp.swap(xp.reshape(y @ w, (SEQUENCES, TIME, HEADS, size))) for w in (wq, wk, wv))
        y = y + xp.reshape(xp.swap(xp.attention(q, k, v, False)), (SEQUENCES, TIME, WIDTH)) @ wo
    return xp.sum(y * y)


def square(count: int, width: int) -> Arrays:
    return tuple(normal(f"w{k}", width, width, dtype="f32", scale=0.1 * width**-0.5) for k in range(count))


def normed_data() -> Arrays:
    return (*square(2 * NORMED, WIDE), np.ones(WIDE, "f"), np.zeros(WIDE, "f"), normal("y", WIDE, WIDE, dtype="f32"))


def attention_data() -> Arrays:
    return (*square(4 * NORMED, WIDTH), normal("y", SEQUENCES, TIME, WIDTH, dtype="f32"))


def rows() -> Iterator[Row]:
    for depth in (200, 1000):
        slow = {"pytensor": "compiles for minutes"} | ({"torch.compile": "compiles for minutes"} if depth == 1000 else {})
        flops = N * depth * (2 * FLOPS["f32"]["sin"] + 4)
        data = lambda: (normal("y", N, dtype="f32"),)
        common = {"want": "gradient", "by_hand": {"numpy": gradient(depth)}, "skip": slow, "tolerance": 2.5e-5 * depth}
        both = {"want": "value_and_gradient", "only": ("graphc", "graphc-before", "jax"), "tolerance": 2.5e-5 * depth}
        yield Row(f"deep/value-and-gradient/f32/{depth}x1e6", elementwise(depth), data, flops=flops, nbytes=8 * N, **both)
        yield Row(f"deep/gradient/f32/{depth}x1e6", elementwise(depth), data, flops=flops, nbytes=8 * N, **common)
    few = ("graphc", "graphc-before", "jax", "torch")
    size = ROWS * WIDTH
    flops = size * LAYERS * (2 * FLOPS["f32"]["sin"] + FLOPS["f32"]["exp"] + 14)
    data = lambda: (normal("y", ROWS, WIDTH, dtype="f32"),)
    yield Row(f"deep/softmaxes/f32/{LAYERS}x{ROWS}x{WIDTH}", softmaxes, data, "gradient", flops=flops, nbytes=8 * size, only=few)
    flops = BLOCKS * BATCH * WIDTH * (6 * WIDTH + FLOPS["f32"]["tanh"])
    nbytes = 8 * BLOCKS * WIDTH * WIDTH
    name = f"deep/residual/f32/{BLOCKS}x{BATCH}x{WIDTH}"
    yield Row(name, residual, residual_data, "value_and_gradient", BLOCKS, flops=flops, nbytes=nbytes, only=few, tolerance=1e-3)
    nets = {"want": "value_and_gradient", "only": few, "tolerance": 1e-3}
    flops, nbytes = NORMED * WIDE * WIDE * (12 * WIDE + 2 * FLOPS["f32"]["erf"]), 16 * NORMED * WIDE * WIDE
    yield Row(f"deep/normed/f32/{NORMED}x{WIDE}x{WIDE}", normed, normed_data, wrt=2 * NORMED, flops=flops, nbytes=nbytes, **nets)
    tokens = SEQUENCES * TIME
    flops, nbytes = NORMED * tokens * WIDTH * (24 * WIDTH + 12 * TIME), 32 * NORMED * WIDTH * WIDTH
    yield Row(
        f"deep/attention/f32/{NORMED}x{tokens}x{WIDTH}", attention, attention_data, wrt=4 * NORMED, flops=flops, nbytes=nbytes, **nets
    )
