"""A multilayer perceptron: back-propagation by hand beside `grad`, digits read, and why it does not mind shuffled pixels.

    python examples/gallery/deep_mlp.py

    h_0 = x,  h_k = tanh(b_k + h_{k-1} W_k),  output softmax(b_l + h_{l-1} W_l)

The textbook's algorithm walks back through the layers by two products each. `gx.grad` finds the same numbers from the expression alone.
"""

from __future__ import annotations

import itertools

import data
import numpy as np
import stage

import graphc as gx


def initial(sizes: list[int], dtype: str = "float64") -> list[dict[str, np.ndarray]]:
    """A dict of weights and biases for each layer."""
    rng = np.random.default_rng(0)
    return [stage.dense(rng, n, m, dtype) for n, m in itertools.pairwise(sizes)]


def scores(layers, x):
    """The network up to its softmax."""
    for layer in layers[:-1]:
        x = gx.tanh(x @ layer["W"] + layer["b"])
    return x @ layers[-1]["W"] + layers[-1]["b"]


def by_hand(layers, x: np.ndarray, y: np.ndarray) -> list[dict[str, np.ndarray]]:
    """The textbook's algorithms, forward and backward, in NumPy: gradients of all weights and biases."""
    h = [x]
    for layer in layers[:-1]:
        h.append(np.tanh(h[-1] @ layer["W"] + layer["b"]))
    a = h[-1] @ layers[-1]["W"] + layers[-1]["b"]
    g = np.exp(a - a.max(1, keepdims=True))
    g /= g.sum(1, keepdims=True)
    g[np.arange(len(y)), y] -= 1  # softmax and log together: probability minus truth
    g /= len(y)
    slopes = []
    for k in reversed(range(len(layers))):
        slopes.append({"W": h[k].T @ g, "b": g.sum(0)})
        g = (g @ layers[k]["W"].T) * (1 - h[k] ** 2)  # to the layer below, through its tanh
    return slopes[::-1]


def main(short: bool = False) -> dict[str, float]:
    """Compare the gradients, read digits, and read them again with all pixels permuted alike."""
    images, labels, test_images, test_labels = data.digits()
    worst = 0.0
    for depth in (1, 4) if short else (1, 2, 4, 8, 16, 32):
        layers = initial([64, *[12] * (depth - 1), 10])
        q, x, y = gx.like(layers), gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
        slopes = gx.function([q, x, y], gx.grad(gx.nn.cross_entropy(scores(q, x), y), q))(layers, images[:50].astype(float), labels[:50])
        exact = by_hand(layers, images[:50].astype(float), labels[:50])
        for got, wanted in zip(gx.tree.leaves(slopes), gx.tree.leaves(exact)):
            worst = max(worst, float(np.abs(got - wanted).max() / np.abs(wanted).max()))
    print(f"grad and the textbook's algorithm agree to {worst:.1e}")
    assert worst < 1e-12

    params = initial([64, 100, 10], "float32")
    p, step = stage.classifier(scores, params, gx.optim.momentum(0.05))
    losses = stage.epochs(step, (images, labels), 8 if short else 30)
    error = 1 - stage.accuracy(scores, p, test_images, test_labels)
    print(f"64-100-10: loss {losses[0]:.3f} -> {losses[-1]:.4f}, test error {error:.1%}")
    assert error <= 0.05 if short else error <= 0.03

    order = np.random.default_rng(5).permutation(64)
    moved = [{**params[0], "W": params[0]["W"][order]}, *params[1:]]
    _, step = stage.classifier(scores, moved, gx.optim.momentum(0.05))
    again = stage.epochs(step, (images[:, order], labels), 2)
    print(f"with permuted pixels, and rows of the first weights alike: loss {again[0]:.6f}, {again[1]:.6f}")
    np.testing.assert_allclose(again, losses[:2], rtol=1e-3)
    return {"difference": worst, "error": error, "loss": losses[1], "permuted": again[1]}


if __name__ == "__main__":
    stage.run(main)
