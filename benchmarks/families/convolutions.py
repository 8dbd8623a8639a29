"""Convolutions: forward and both gradients, depthwise, and a training step of a small network of convolutions and pooling."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Row, normal

PEERS = ("graphc", "graphc-1", "graphc-before", "jax", "torch", "torch.compile")
SHAPES = ((16, 1, 5, 5), (16,), (32, 16, 5, 5), (32,), (512, 10), (10,))  # of the network
FORWARD = 24 * 24 * 16 * 25 + 8 * 8 * 32 * 400 + 5120  # multiply-adds of an image


def forward(xp: Any, x: Any, w: Any) -> Any:
    return xp.conv2d(x, w, 1)


def depthwise(xp: Any, x: Any, w: Any) -> Any:
    return xp.conv2d(x, w, 1, w.shape[0])


def gradient(which: int, xp: Any, x: Any, w: Any, g: Any) -> Any:
    """Of sum(conv2d(x, w) * g), with respect to x or w alone."""
    return xp.conv2d_gradient(x, w, g, which)


def network_loss(xp: Any, *args: Any) -> Any:
    """Convolution 5 x 5 x 16, pooling, convolution 5 x 5 x 32, pooling, 10 units; mean cross-entropy."""
    w1, b1, w2, b2, w3, b3, h, y = args
    for w, b in ((w1, b1), (w2, b2)):
        h = xp.max_pool(xp.relu(xp.conv2d(h, w, 0) + b.reshape((1, b.shape[0], 1, 1))), 2)
    return xp.cross_entropy(h.reshape((-1, 512)) @ w3 + b3, y)


def images(batch: int) -> Arrays:
    params = tuple(
        normal(f"c{k}", *s, dtype="f32", scale=float(np.prod(s[1:]) ** -0.5) if len(s) > 1 else 0.1) for k, s in enumerate(SHAPES)
    )
    return (*params, normal("images", batch, 1, 28, 28, dtype="f32"), np.random.default_rng(batch).integers(0, 10, batch))


def wide() -> np.ndarray:
    return normal("w", 64, 64, 3, 3, dtype="f32", scale=1 / 24)


def thin() -> np.ndarray:
    return normal("w", 64, 1, 3, 3, dtype="f32", scale=1 / 3)


def maps(batch: int, name: str = "x") -> np.ndarray:
    return normal(name, batch, 64, 56, 56, dtype="f32")


def rows() -> Iterator[Row]:
    common: dict[str, Any] = {"only": PEERS, "tolerance": 2e-3}
    for batch in (1, 32):
        work = {"flops": 2 * batch * 64 * 64 * 9 * 56 * 56, "nbytes": 8 * batch * 64 * 56 * 56}
        name = f"f32/{batch}x64x56x56"
        yield Row(f"convolutions/3x3/{name}", forward, lambda batch=batch: (maps(batch), wide()), **work, **common)
        for which, what in enumerate(("input", "kernel")):
            data = lambda batch=batch: (maps(batch), wide(), maps(batch, "g"))
            yield Row(f"convolutions/3x3-{what}-gradient/{name}", partial(gradient, which), data, **work, **common)
        few = work | {"flops": 2 * batch * 64 * 9 * 56 * 56}
        yield Row(f"convolutions/depthwise/{name}", depthwise, lambda batch=batch: (maps(batch), thin()), **few, **common)
    whole = {"want": "sgd_step", "wrt": len(SHAPES), "flops": 6 * 32 * FORWARD}
    yield Row("convolutions/cnn-sgd/f32/32", network_loss, partial(images, 32), **whole, **common)
