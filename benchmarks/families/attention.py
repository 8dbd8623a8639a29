"""Attention: loss and gradients of heads alone, causal heads, and a layer with its four products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Row, normal

BATCH, HEADS, TIME, SIZE = 4, 4, 128, 64
WIDTH = HEADS * SIZE


def heads(xp: Any, q: Any, k: Any, v: Any, g: Any) -> Any:
    return xp.sum(xp.attention(q, k, v, False) * g)


def causal(xp: Any, q: Any, k: Any, v: Any, g: Any) -> Any:
    return xp.sum(xp.attention(q, k, v, True) * g)


def layer(xp: Any, wq: Any, wk: Any, wv: Any, wo: Any, x: Any, g: Any) -> Any:
    """x: (batch, time, width)."""
    q, k, v = (xp.swap(xp.reshape(x @ w, (BATCH, TIME, HEADS, SIZE))) for w in (wq, wk, wv))
    return xp.sum((xp.reshape(xp.swap(xp.attention(q, k, v, False)), (BATCH, TIME, WIDTH)) @ wo) * g)


def head_data() -> Arrays:
    return tuple(normal(name, BATCH, HEADS, TIME, SIZE, dtype="f32") for name in "qkvg")


def layer_data() -> Arrays:
    weights = [normal(name, WIDTH, WIDTH, dtype="f32", scale=WIDTH**-0.5) for name in ("wq", "wk", "wv", "wo")]
    return (*weights, *(normal(name, BATCH, TIME, WIDTH, dtype="f32") for name in "xg"))


def rows() -> Iterator[Row]:
    """Six products of (time, size, time) a head; the scores need a pass of exponentials besides."""
    product = 2 * BATCH * HEADS * TIME * TIME * SIZE
    common = {"want": "value_and_gradient", "only": ("graphc", "graphc-before", "jax", "torch", "torch.compile"), "tolerance": 1e-3}
    nbytes = 4 * 7 * BATCH * HEADS * TIME * SIZE
    shape = f"f32/{BATCH}x{HEADS}x{TIME}x{SIZE}"
    yield Row(f"attention/heads/{shape}", heads, head_data, wrt=3, flops=6 * product, nbytes=nbytes, **common)
    yield Row(f"attention/causal/{shape}", causal, head_data, wrt=3, flops=6 * product, nbytes=nbytes, **common)
    products = 9 * 2 * BATCH * TIME * WIDTH * WIDTH  # four forward, their weights, and what the heads give
    nbytes = 4 * (8 * WIDTH * WIDTH + 2 * int(np.prod((BATCH, TIME, WIDTH))))
    yield Row(f"attention/layer/{shape}", layer, layer_data, wrt=4, flops=6 * product + products, nbytes=nbytes, **common)
