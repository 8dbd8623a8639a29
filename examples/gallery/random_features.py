"""Random weights are often enough: a rectifier network of which only the last layer learns, beside one that learns whole.

    python examples/gallery/random_features.py

What is left to learn is convex: every start ends at the same cost. The hidden layer is computed once, for nothing changes it.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

UNITS, DECAY = 256, 1e-4


def features(p, x):
    """The hidden layer of rectifiers."""
    return gx.relu(x @ p["W"] + p["b"])


def whole(p, x):
    """The network: features, then a linear layer."""
    h = features(p["hidden"], x)
    return h @ p["out"]["W"] + p["out"]["b"]


def last_layer(H: np.ndarray, labels: np.ndarray, initial, steps: int):
    """The layer that reads the features H best, with a little decay, and its cost: a convex problem."""

    def cost(p):
        return gx.nn.cross_entropy(H @ p["W"] + p["b"], gx.asarray(labels)) + DECAY * gx.sum(p["W"] ** 2)

    p = stage.minimise(cost, initial, steps, 0.03)
    return p, float(gx.function([], cost(gx.tree.map(gx.asarray, p)))())


def main(short: bool = False) -> dict[str, float]:
    """Train the last layer alone from two starts, then the whole network, and compare."""
    images, labels, test_images, test_labels = data.digits()
    rng = np.random.default_rng(0)
    hidden = stage.dense(rng, 64, UNITS)
    x, q = gx.tensor("x", ("n", 64), "float32"), gx.like(hidden)
    compute = gx.function([q, x], features(q, x))
    H, test_H = compute(hidden, images), compute(hidden, test_images)
    costs = []
    for seed in (1, 2):
        start = stage.dense(np.random.default_rng(seed), UNITS, 10)
        p, cost = last_layer(H, labels, start, 100 if short else 1500)
        costs.append(cost)
    alone = float(np.mean(np.argmax(test_H @ p["W"] + p["b"], axis=1) == test_labels))
    print(f"last layer on random features: costs {costs[0]:.5f} and {costs[1]:.5f} from two starts, test accuracy {alone:.1%}")
    assert abs(costs[0] - costs[1]) < (2e-2 if short else 1e-4) * costs[0]

    p, step = stage.classifier(whole, {"hidden": hidden, "out": stage.dense(rng, UNITS, 10)}, gx.optim.momentum(0.05))
    stage.epochs(step, (images, labels), 4 if short else 30)
    together = stage.accuracy(whole, p, test_images, test_labels)
    print(f"all layers: test accuracy {together:.1%}")
    assert alone > together - 0.02 > 0.9
    return {"gap": abs(costs[0] - costs[1]) / costs[0], "alone": alone, "cost": costs[0], "together": together}


if __name__ == "__main__":
    stage.run(main)
