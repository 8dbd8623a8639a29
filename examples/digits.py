"""Train a 64-128-64-10 network on 1797 real handwritten digits, with one native call per minibatch.

    python examples/digits.py

The model, its gradients and the momentum update are one compiled function; the odd last minibatch goes through it too.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import graphc as gx

SIZES = (64, 128, 64, 10)
RATE, MOMENTUM, BATCH, EPOCHS = 0.1, 0.9, 64, 30


def load_digits(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Shuffled images in [0, 1] and labels: four fifths to train on, one to test."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 64).astype("float32") / 16, data["labels"].astype("int64")
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    cut = len(images) * 4 // 5
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


def initial_parameters(seed: int = 0) -> list[dict[str, np.ndarray]]:
    """He initialisation, one dict a layer."""
    rng = np.random.default_rng(seed)
    scale = [np.sqrt(2 / n) for n in SIZES]
    return [
        {"W": (rng.standard_normal((n, m)) * s).astype("float32"), "b": np.zeros(m, "float32")}
        for n, m, s in zip(SIZES, SIZES[1:], scale, strict=False)
    ]


def log_probabilities(layers, x):
    """The network: relu layers, then a softmax, written naively; a pass makes it stable."""
    for layer in layers[:-1]:
        x = gx.relu(x @ layer["W"] + layer["b"])
    return gx.log(gx.softmax(x @ layers[-1]["W"] + layers[-1]["b"]))


def cross_entropy(layers, x, y):
    """The mean negative log probability of the labels."""
    return -gx.mean(gx.take_along_axis(log_probabilities(layers, x), y[:, None], axis=1))


def build(initial):
    """The training step (x, y) -> loss, which updates the state it owns, and the classifier x -> labels."""
    params = gx.shared(initial, "p")
    velocity = gx.shared(gx.tree.map(np.zeros_like, initial), "v")
    x = gx.tensor("x", ("n", 64), "float32")
    y = gx.tensor("y", ("n",), "int64")
    loss = cross_entropy(params, x, y)
    moved = gx.tree.map(lambda v, g: MOMENTUM * v - RATE * g, velocity, gx.grad(loss, params))
    step = gx.function([x, y], loss, updates=((params, velocity), (gx.tree.map(lambda p, v: p + v, params, moved), moved)))
    classify = gx.function([x], gx.argmax(log_probabilities(params, x), axis=1))
    return step, classify, params


def main(epochs: int = EPOCHS) -> float:
    """Train, print loss and test accuracy per epoch, and return the last accuracy."""
    images, labels, test_images, test_labels = load_digits()
    start = time.perf_counter()
    step, classify, _ = build(initial_parameters())
    print(f"compiled in {time.perf_counter() - start:.2f} s")
    rng = np.random.default_rng(1)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        order = rng.permutation(len(images))
        losses = [step(images[part], labels[part]) for part in np.split(order, range(BATCH, len(order), BATCH))]
        took = time.perf_counter() - start
        accuracy = float(np.mean(classify(test_images) == test_labels))
        print(f"epoch {epoch:2d}   loss {np.mean(losses):.4f}   test accuracy {accuracy:.2%}   {took * 1e3:.0f} ms")
    return accuracy


if __name__ == "__main__":
    main()
