"""Who shares a kernel with whom: convolution, groups, tiles, no sharing at all.

    python examples/gallery/convolution_sharing.py

Five first layers with the same three-pixel view of the rows of real digits, each followed by the same classifier. They form a ladder: a
tiled layer with one tile is a convolution, with as many tiles as places it is a locally connected one, and weights grow from rung to
rung. (Goodfellow et al. 9.5, equations 9.7 to 9.10)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

MAPS, PLACES = 16, 6  # 8 rows as channels, 8 pixels along a row, a view of 3
Layer = Callable[[Any, Any], Any]


def tiled(x: Any, w: Any) -> Any:
    """Equation 9.10: place j takes the kernel j modulo t; w is (maps, t, channels, width)."""
    return gx.nn.locally_connected(x, gx.take(w, gx.arange(PLACES) % w.shape[1], axis=1))


LAYERS: dict[str, tuple[tuple[int, ...], Layer]] = {
    "depthwise": ((MAPS, 1, 3), lambda x, w: gx.nn.conv1d(x, w, groups=8)),
    "two groups": ((MAPS, 4, 3), lambda x, w: gx.nn.conv1d(x, w, groups=2)),
    "convolution": ((MAPS, 8, 3), lambda x, w: gx.nn.conv1d(x, w)),
    "three tiles": ((MAPS, 3, 8, 3), tiled),
    "locally connected": ((MAPS, PLACES, 8, 3), gx.nn.locally_connected),
}


def ladder() -> dict[str, float]:
    """One tile is a convolution, a tile a place is no sharing, groups are a kernel with blocks of zeros (figures 9.14 to 9.16)."""
    rng = np.random.default_rng(0)
    x, w = gx.tensor("x", ("n", 8, 8)), gx.tensor("w", (MAPS, PLACES, 8, 3))
    shared, halves = w[:, 0], w[:, 0, :4]
    blocks = gx.concatenate([gx.pad(halves[:8], ((0, 0), (0, 4), (0, 0))), gx.pad(halves[8:], ((0, 0), (4, 0), (0, 0)))])
    pairs = [
        (tiled(x, w[:, :1]), gx.nn.conv1d(x, shared)),
        (tiled(x, w), gx.nn.locally_connected(x, w)),
        (gx.nn.conv1d(x, halves, groups=2), gx.nn.conv1d(x, blocks)),
    ]
    cost = gx.sum(gx.nn.locally_connected(x, w) ** 2)
    one = gx.nn.conv1d(x, k := gx.tensor("k", (MAPS, 8, 3)))
    f = gx.function([x, w, k], [pairs, gx.grad(cost, w), gx.grad(gx.sum(one**2), k)], mode="interpret")
    X, W = rng.normal(size=(5, 8, 8)), rng.normal(size=(MAPS, PLACES, 8, 3))
    worst = max(float(np.abs(a - b).max()) for a, b in f(X, W, W[:, 0])[0])
    _, of_copies, total = f(X, np.repeat(W[:, :1], PLACES, axis=1), W[:, 0])
    np.testing.assert_allclose(of_copies.sum(axis=1), total, rtol=1e-10)  # a shared weight gets the sum of what its copies would get
    assert worst < 1e-13
    return {"largest difference on the ladder": worst}


def train(name: str, epochs: int, seed: int = 0) -> tuple[int, float]:
    """(weights of the first layer, accuracy on held-out digits) with that layer, rectified, and a linear classifier."""
    shape, layer = LAYERS[name]
    images, labels, test_images, test_labels = digits()
    images, test_images = images.reshape(-1, 8, 8), test_images.reshape(-1, 8, 8)
    rng = np.random.default_rng(seed)
    p = {
        "w": (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[-2:]))).astype("float32"),
        "b": np.zeros((MAPS, 1), "float32"),
        "v": (rng.normal(size=(MAPS * PLACES, 10)) / 10).astype("float32"),
    }
    params = gx.shared(p)
    x, y = gx.tensor("x", ("n", 8, 8), "float32"), gx.tensor("y", ("n",), "int64")
    scores = gx.relu(layer(x, params["w"]) + params["b"]).reshape((x.shape[0], MAPS * PLACES)) @ params["v"]
    loss = gx.nn.cross_entropy(scores, y)
    step = gx.function([x, y], loss, updates=gx.optim.momentum(0.05).updates(loss, params))
    for _ in range(epochs):
        for part in stage.minibatches(rng, len(images), 64):
            step(images[part], labels[part])
    return p["w"].size, float(np.mean(gx.argmax(scores, axis=1).eval({x: test_images}) == test_labels))


def main(short: bool = False) -> dict[str, float]:
    """The ladder of identities, then the ladder trained (when short, one rung for three epochs)."""
    found = ladder()
    print("first layer           weights   test accuracy")
    for name in ["convolution"] if short else LAYERS:
        weights, accuracy = train(name, epochs=3 if short else 25)
        print(f"{name:20} {weights:8d}   {accuracy:.2%}")
        assert accuracy > (0.7 if short else 0.9)
        found[f"{name}: accuracy"] = accuracy
    return found


if __name__ == "__main__":
    stage.run(main)
