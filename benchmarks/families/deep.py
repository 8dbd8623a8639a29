"""Deep chains and their gradients, where what is saved and what is recomputed decides: time, and the arena among the facts.

elementwise: y <- sin(1.01 y + 0.1), 200 and 1000 deep; rows: a softmax of each row between the steps; residual: y <- y + tanh(y w_k).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.row import FLOPS, Arrays, Row, normal

N = 1_000_000
ROWS, WIDTH, LAYERS, BLOCKS, BATCH = 4096, 256, 100, 50, 256


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
    weights = [normal(f"w{k}", WIDTH, WIDTH, dtype="f32", scale=0.1 * WIDTH**-0.5) for k in range(BLOCKS)]
    return (*weights, normal("y", BATCH, WIDTH, dtype="f32"))


def rows() -> Iterator[Row]:
    for depth in (200, 1000):
        slow = {"pytensor": "compiles for minutes"} | ({"torch.compile": "compiles for minutes"} if depth == 1000 else {})
        flops = N * depth * (2 * FLOPS["f32"]["sin"] + 4)
        data = lambda: (normal("y", N, dtype="f32"),)
        common = {"want": "gradient", "by_hand": {"numpy": gradient(depth)}, "skip": slow, "tolerance": 2.5e-5 * depth}
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
