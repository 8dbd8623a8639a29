"""Greedy supervised pretraining: a deep net of sigmoids is built layer by layer, each trained on top of those before it, which stay.

    python examples/gallery/pretraining.py

Five layers of sigmoids learn slowly from random weights: little of the gradient reaches the first. Each stage
trains one hidden layer and a fresh output layer, with all layers below frozen: their weights keep every bit. Then all layers learn
together, from the cost that the last stage ended with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import data
import numpy as np
import stage

import graphc as gx

WIDTH, RATE = 48, 3e-3


def network(p: Any, x: gx.Node) -> gx.Node:
    for layer in p["layers"]:
        x = gx.sigmoid(x @ layer["W"] + layer["b"])
    return x @ p["out"]["W"] + p["out"]["b"]


def initial(rng: np.random.Generator, depth: int) -> dict[str, Any]:
    sizes = [64, *[WIDTH] * depth]
    return {"layers": [stage.dense(rng, n, m) for n, m in itertools.pairwise(sizes)], "out": stage.dense(rng, WIDTH, 10)}


def trainer(like: Any, frozen: Any = None) -> Callable[..., tuple[Any, float]]:
    """run(start, epochs, images, labels) -> (the parameters then, the mean cost in the last epoch), of nets like this one."""
    opt = gx.optim.adam(RATE)
    p, step = stage.classifier(network, like, opt if frozen is None else gx.optim.freeze(opt, frozen))
    state = [s for s, _ in step.updates]
    first = gx.get_values(state)

    def run(start: Any, epochs: int, images: np.ndarray, labels: np.ndarray) -> tuple[Any, float]:
        gx.set_values(state, first)  # Adam's moments, too
        gx.set_values(p, start)
        cost = gx.fit(step, (images, labels), epochs, batch_size=64).history["loss"][-1]
        return gx.get_values(p), cost

    return run


def greedy(rng: np.random.Generator, depth: int, epochs: int, images: np.ndarray, labels: np.ndarray) -> tuple[Any, list[float]]:
    """The net after all stages, and the cost in the last epoch of each."""
    p, costs = initial(rng, 1), []
    for layers in range(1, depth + 1):
        if layers > 1:
            p = {"layers": [*p["layers"], stage.dense(rng, WIDTH, WIDTH, gain=3.0)], "out": stage.dense(rng, WIDTH, 10)}
        below = p["layers"][:-1]
        frozen = {"layers": [*[True] * (layers - 1), False], "out": False}
        p, cost = trainer(p, frozen)(p, epochs, images, labels)
        costs.append(cost)
        for old, new in zip(below, p["layers"], strict=False):
            assert all(old[key].tobytes() == new[key].tobytes() for key in old)
    return p, costs


def main(short: bool = False) -> dict[str, float]:
    """Right answers after greedy stages and after fine-tuning, and of the same net trained from random weights for as many epochs."""
    depth, epochs = (3, 4) if short else (5, 15)
    images, labels, others, truth = data.digits()
    p, costs = greedy(np.random.default_rng(0), depth, epochs, images, labels)
    print("cost at the end of each stage: " + ", ".join(f"{c:.3f}" for c in costs))
    together = trainer(p)
    nets = {"greedy": p, "fine-tuned": together(p, epochs, images, labels)[0]}
    if not short:  # the fewer the layers, the less random weights are in the way
        start = initial(np.random.default_rng(0), depth)
        nets["from random weights"], _ = together(start, epochs * (depth + 1), images, labels)
    q, x, y = gx.like(p, "q"), gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    z = network(q, x)
    judge = gx.function([q, x, y], [gx.nn.cross_entropy(z, y), gx.mean(gx.argmax(z, axis=1) == y, dtype="float64")])
    figures: dict[str, float] = {}
    for name, net in nets.items():
        figures[f"{name}, cost"] = float(judge(net, images, labels)[0])
        figures[name] = float(judge(net, others, truth)[1])
        print(f"{name:20s} {figures[name]:.1%} of held-out digits are right, cost {figures[f'{name}, cost']:.4f}")
    assert figures["fine-tuned"] > max(figures["greedy"], figures.get("from random weights", 0.0))
    return figures


if __name__ == "__main__":
    stage.run(main)
