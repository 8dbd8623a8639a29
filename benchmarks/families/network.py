"""The 784-256-128-10 network that training, derivatives and compiling share, with its gradient by hand in NumPy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.row import Arrays, normal

SIZES = (784, 256, 128, 10)
WEIGHTS = sum(n * m for n, m in pairwise(SIZES))
LEAVES = 2 * (len(SIZES) - 1)
SHAPES = tuple(s for n, m in pairwise(SIZES) for s in ((n, m), (m,)))


def relu_loss(xp: Any, *args: Any) -> Any:
    """Mean cross-entropy of a network with relu layers; args: W1, b1, W2, b2, W3, b3, x, y."""
    return _loss(xp, xp.relu, *args)


def tanh_loss(xp: Any, *args: Any) -> Any:
    return _loss(xp, xp.tanh, *args)


def _loss(xp: Any, activation: Any, *args: Any) -> Any:
    *params, h, y = args
    for k in range(0, LEAVES, 2):
        h = h @ params[k] + params[k + 1]
        if k < LEAVES - 2:
            h = activation(h)
    return xp.cross_entropy(h, y)


def arguments(batch: int, dtype: str, directions: bool = False) -> Arrays:
    """Parameters, inputs in [0, 1], labels, and directions of the parameters' shapes."""
    params = tuple(normal(f"p{k}", *s, dtype=dtype, scale=(2 / s[0]) ** 0.5 if len(s) == 2 else 0.1) for k, s in enumerate(SHAPES))
    x = np.abs(np.tanh(normal("x", batch, SIZES[0], dtype=dtype)))
    y = np.random.default_rng(batch).integers(0, SIZES[-1], batch)
    return (*params, x, y, *(normal(f"v{k}", *s, dtype=dtype) for k, s in enumerate(SHAPES) if directions))


def _by_hand(slope: Any, activation: Any, *args: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    *params, x, y = args
    layers = [x]
    for k in range(0, LEAVES, 2):
        h = layers[-1] @ params[k]
        h += params[k + 1]
        layers.append(activation(h) if k < LEAVES - 2 else h)
    logits = layers.pop()
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    total = p.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = np.mean(np.log(total[:, 0]) - logits[rows, y])
    p /= total
    p[rows, y] -= 1
    g = p * x.dtype.type(1 / len(y))
    grads: list[np.ndarray] = []
    for k in range(LEAVES - 2, -1, -2):
        h = layers.pop()
        grads += [g.sum(axis=0), h.T @ g]
        if k:
            g = (g @ params[k].T) * slope(h)
    return loss, grads[::-1]


def relu_by_hand(*args: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Loss and gradients."""
    return _by_hand(lambda h: h > 0, lambda h: np.maximum(h, 0), *args)


def tanh_by_hand(*args: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    return _by_hand(lambda h: 1 - h * h, np.tanh, *args)
