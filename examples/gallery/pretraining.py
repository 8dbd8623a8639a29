"""Greedy supervised pretraining: a deep net of sigmoids is built layer by layer, each trained on top of those before it, which stay.

    python examples/gallery/pretraining.py

Five layers of sigmoids learn slowly from random weights: little of the gradient reaches the first. Each stage
trains one hidden layer and a fresh output layer, with all layers below frozen: their weights keep every bit. Then all layers learn
together, from the cost that the last stage ended with.
"""

from __future__ import annotations

import itertools
from typing import Any

import data
import numpy as np
import stage

import graphc as gx

WIDTH, DEPTH, RATE = 48, 5, 3e-3


def network(p: Any, x: gx.Node) -> gx.Node:
    for layer in p["layers"]:
        x = gx.sigmoid(x @ layer["W"] + layer["b"])
    return x @ p["out"]["W"] + p["out"]["b"]


def initial(rng: np.random.Generator, depth: int) -> dict[str, Any]:
    sizes = [64, *[WIDTH] * depth]
    return {"layers": [stage.dense(rng, n, m) for n, m in itertools.pairwise(sizes)], "out": stage.dense(rng, WIDTH, 10)}


def trained(start: Any, epochs: int, images: np.ndarray, labels: np.ndarray, frozen: Any = None) -> tuple[Any, list[float]]:
    """(the parameters after so many epochs, the cost on all training data before them and at their end)."""
    opt = gx.optim.adam(RATE) if frozen is None else gx.optim.freeze(gx.optim.adam(RATE), frozen)
    p, step = stage.classifier(network, start, opt)
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    cost = gx.function([x, y], gx.nn.cross_entropy(network(p, x), y))
    before = float(cost(images, labels))
    gx.fit(step, (images, labels), epochs, batch_size=64)
    return gx.get_values(p), [before, float(cost(images, labels))]


def greedy(rng: np.random.Generator, epochs: int, images: np.ndarray, labels: np.ndarray) -> tuple[Any, list[float]]:
    """The net after all stages, and the cost at the end of each."""
    p, costs = initial(rng, 1), []
    for depth in range(1, DEPTH + 1):
        if depth > 1:
            p = {"layers": [*p["layers"], stage.dense(rng, WIDTH, WIDTH, gain=3.0)], "out": stage.dense(rng, WIDTH, 10)}
        below = p["layers"][:-1]
        p, (_, cost) = trained(p, epochs, images, labels, {"layers": [*[True] * (depth - 1), False], "out": False})
        costs.append(cost)
        for old, new in zip(below, p["layers"], strict=False):
            assert all(old[key].tobytes() == new[key].tobytes() for key in old)
    return p, costs


def main(short: bool = False) -> dict[str, float]:
    """Test errors after greedy stages and fine-tuning, and of the same net trained from random weights for as many epochs."""
    epochs = 4 if short else 15
    images, labels, others, truth = data.digits()
    p, costs = greedy(np.random.default_rng(0), epochs, images, labels)
    print("cost at the end of each stage: " + ", ".join(f"{c:.3f}" for c in costs))
    figures = {"greedy": stage.accuracy(network, p, others, truth)}
    tuned, (before, after) = trained(p, epochs, images, labels)
    assert before == costs[-1]  # to the bit: the same function of the same weights
    figures |= {"fine-tuned": stage.accuracy(network, tuned, others, truth), "cost": after}
    start = initial(np.random.default_rng(0), DEPTH)
    plain, (_, cost) = trained(start, epochs * (DEPTH + 1), images, labels)
    figures |= {"from random weights": stage.accuracy(network, plain, others, truth), "cost from random weights": cost}
    print(f"right on held-out digits: {figures['greedy']:.1%} with frozen layers; {figures['fine-tuned']:.1%} fine-tuned, cost {after:.4f}")
    print(f"the same net from random weights, as many epochs: {figures['from random weights']:.1%}, cost {cost:.4f}")
    assert figures["fine-tuned"] > figures["from random weights"]
    assert after < before
    return figures


if __name__ == "__main__":
    stage.run(main)
