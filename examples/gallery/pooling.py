"""Pooling: maximum, average, L2, to a fixed grid, across channels.

    python examples/gallery/pooling.py

The figures' numbers; invariance to a shift, and by pooling over turned copies of a filter, exactly to quarter turns; then classifiers of
real digits that differ in their pooling alone, the last of which reads images of any size. (Goodfellow et al. 9.3, figures 9.8 to 9.11)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

CHANNELS = 24
POOLS: dict[str, Callable[[Any], Any]] = {  # maps (n, channels, 8, 8) -> (n, channels, 2, 2)
    "max": lambda maps: gx.nn.max_pool2d(maps, 4),
    "average": lambda maps: gx.nn.avg_pool2d(maps, 4),
    "L2": lambda maps: gx.nn.lp_pool(maps, 2.0, 4),
    "overlapping max": lambda maps: gx.nn.max_pool2d(maps, 5, stride=3),
    "adaptive max": lambda maps: gx.nn.adaptive_max_pool2d(maps, 2),
}


def printed_numbers() -> dict[str, float]:
    """Figures 9.8 and 9.10, and the slope of the L2 norm, which is 0 where the norm is 0."""
    row = lambda values: gx.asarray(np.float64(values)[None, None])
    before, after = np.float64([0.1, 1, 0.2, 0.1]), np.float64([0.3, 0.1, 1, 0.2])
    one, two = (gx.nn.max_pool1d(row(x), 3, stride=1, padding=1).eval()[0, 0] for x in (before, after))
    assert one.tolist() == [1, 1, 1, 0.2] and two.tolist() == [0.3, 1, 1, 1]
    assert (before != after).all() and np.mean(one != two) == 0.5, "every input has changed, half of the pooled values have"
    last = gx.nn.max_pool1d(row([0.1, 1, 0.2, 0.1, 0, 0.1]), 3, stride=2, ceil_mode=True).eval()[0, 0]
    assert last.tolist() == [1, 0.2, 0.1], "the last region is smaller, and included"
    x = gx.tensor("x", (1, 1, 4))
    norms = gx.nn.lp_pool(x, 2.0, 2)
    value, slope = gx.function([x], [norms, gx.grad(gx.sum(norms), x)], mode="interpret")(np.float64([[[3, 4, 0, 0]]]))
    assert value.tolist() == [[[5, 0]]]
    np.testing.assert_allclose(slope, [[[0.6, 0.8, 0, 0]]], rtol=1e-15)
    return {"pooled values that a shift changes": float(np.mean(one != two))}


def turned(images: np.ndarray) -> dict[str, float]:
    """Figure 9.9: the maximum over a filter and its three turned copies, and over all places, does not see a quarter turn."""
    kernel = np.random.default_rng(0).normal(size=(3, 3))
    x = gx.tensor("x", ("n", 8, 8))
    maps = gx.nn.conv2d(x[:, None], np.stack([np.rot90(kernel, k) for k in range(4)])[:, None])
    alone, together = gx.max(maps[:, 0], axis=(1, 2)), gx.max(gx.max(maps, axis=1), axis=(1, 2))
    f = gx.function([x], [alone, together], mode="interpret")
    one, other = f(images), f(np.rot90(images, axes=(1, 2)))
    blind, seeing = float(np.abs(one[1] - other[1]).max()), float(np.abs(one[0] - other[0]).mean())
    assert blind < 1e-14 and seeing > 0.1
    return {"response of one filter moves by": seeing, "of the four together by": blind}


def classifier(name: str) -> tuple[gx.Function, gx.Function]:
    """(a step of training, the classifier of images of any size) of convolution, rectifier, pooling and a linear layer."""
    rng = np.random.default_rng(1)
    p = {"k": rng.normal(size=(CHANNELS, 1, 3, 3)) / 2, "b": np.zeros((CHANNELS, 1, 1)), "w": rng.normal(size=(4 * CHANNELS, 10)) / 10}
    params = gx.shared(p)

    def scores(x: gx.Node) -> gx.Node:
        maps = gx.relu(gx.nn.conv2d(x[:, None], params["k"], padding=1) + params["b"])
        return POOLS[name](maps).reshape((x.shape[0], 4 * CHANNELS)) @ params["w"]

    x, y = gx.tensor("x", ("n", 8, 8)), gx.tensor("y", ("n",), "int64")
    loss = gx.nn.cross_entropy(scores(x), y)
    step = gx.function([x, y], loss, updates=gx.optim.momentum(0.05).updates(loss, params))
    sizes = ("n", "height", "width") if name == "adaptive max" else ("n", 8, 8)
    other = gx.tensor("other", sizes)
    return step, gx.function([other], gx.argmax(scores(other), axis=1))


def main(short: bool = False) -> dict[str, float]:
    """The figures, then accuracies on held-out digits, as they are and moved one pixel to the right; when short, of one classifier."""
    images, labels, test, answers = (part.reshape(-1, 8, 8) if part.ndim == 2 else part for part in digits("float64"))
    found = {**printed_numbers(), **turned(images[:50])}
    print("pooling            accuracy   moved by a pixel")
    for name in ["adaptive max"] if short else POOLS:
        step, classify = classifier(name)
        rng = np.random.default_rng(2)
        for _ in range(2 if short else 30):
            for part in stage.minibatches(rng, len(images), 64):
                step(images[part], labels[part])
        right, moved = (float(np.mean(classify(pictures) == answers)) for pictures in (test, np.roll(test, 1, axis=2)))
        print(f"{name:18} {right:8.2%}   {moved:8.2%}")
        assert right > (0.75 if short else 0.93)
        found[f"{name}: accuracy"] = right
    wide = np.pad(test, ((0, 0), (2, 2), (0, 2)))  # 12 x 10: the grid of the last classifier adapts
    found["of larger images"] = float(np.mean(classify(wide) == answers))
    print(f"the last one, of 12 x 10 pixels: {found['of larger images']:.2%}")
    return found


if __name__ == "__main__":
    stage.run(main)
