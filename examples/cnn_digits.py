"""Train a convolutional network on 1437 real handwritten digits of 8 x 8 pixels; it reads 98.5 % or more of the other 360.

    python examples/cnn_digits.py

Two convolutions, pooling, a third, pooling, one dense layer. Every training image is moved by up to one pixel in each epoch: the network
learns what a digit looks like, not where it lies. The model, its gradients and Adam are one compiled function for any batch.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import graphc as gx

RATE, BATCH, EPOCHS = 2e-3, 32, 25
CHANNELS = (1, 32, 32, 64)


def load_digits(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Shuffled images (n, 1, 8, 8) in [0, 1] and labels: four fifths to train on, one to test."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 1, 8, 8).astype("float32") / 16, data["labels"].astype("int64")
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    cut = len(images) * 4 // 5
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


def initial_parameters(seed: int = 0) -> dict[str, np.ndarray]:
    """He initialisation: three kernels of 3 x 3, one dense layer, their biases."""
    rng = np.random.default_rng(seed)
    made = {}
    for k, (inward, outward) in enumerate(pairwise(CHANNELS)):
        made[f"w{k}"] = (rng.standard_normal((outward, inward, 3, 3)) * np.sqrt(2 / (9 * inward))).astype("float32")
        made[f"b{k}"] = np.zeros(outward, "float32")
    made["w"] = (rng.standard_normal((4 * CHANNELS[-1], 10)) * np.sqrt(1 / (4 * CHANNELS[-1]))).astype("float32")
    made["b"] = np.zeros(10, "float32")
    return made


def scores(p, x):
    """The network: (n, 1, 8, 8) -> (n, 10)."""
    h = gx.relu(gx.nn.conv2d(x, p["w0"], p["b0"], padding="same"))
    h = gx.nn.max_pool2d(gx.relu(gx.nn.conv2d(h, p["w1"], p["b1"], padding="same")), 2)
    h = gx.nn.max_pool2d(gx.relu(gx.nn.conv2d(h, p["w2"], p["b2"], padding="same")), 2)
    return h.reshape((x.shape[0], 4 * CHANNELS[-1])) @ p["w"] + p["b"]


def build(initial):
    """The training step (x, y, rate) -> loss, which updates the state it owns, and the classifier x -> labels."""
    params = gx.shared(initial, "p")
    m, v = (gx.shared(gx.tree.map(np.zeros_like, initial), name) for name in "mv")
    t = gx.shared(np.float32(0), "t")
    x, y, rate = gx.tensor("x", ("n", 1, 8, 8), "float32"), gx.tensor("y", ("n",), "int64"), gx.scalar("rate", "float32")
    loss = -gx.mean(gx.take_along_axis(gx.log(gx.softmax(scores(params, x))), y[:, None], axis=1))
    grads = gx.grad(loss, params)
    m2 = gx.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v2 = gx.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, grads)
    unbiased = gx.sqrt(1 - 0.99 ** (t + 1)) / (1 - 0.9 ** (t + 1))
    moved = gx.tree.map(lambda p, m, v: p - rate * unbiased * m / (gx.sqrt(v) + 1e-8), params, m2, v2)
    step = gx.function([x, y, rate], loss, updates=((params, m, v, t), (moved, m2, v2, t + 1)))
    return step, gx.function([x], gx.argmax(scores(params, x), axis=1))


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image moved by -1, 0 or 1 pixels along both axes; what comes in is empty."""
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    down, right = rng.integers(0, 3, (2, len(images)))
    rows, columns = down[:, None] + np.arange(8), right[:, None] + np.arange(8)
    return np.ascontiguousarray(wide[np.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None])


def main(epochs: int = EPOCHS) -> float:
    """Train, print loss and test accuracy per epoch, and return the last accuracy."""
    images, labels, test_images, test_labels = load_digits()
    start = time.perf_counter()
    step, classify = build(initial_parameters())
    print(f"compiled in {time.perf_counter() - start:.2f} s")
    rng = np.random.default_rng(1)
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        order = rng.permutation(len(images))
        rate = RATE * min(1.0, 2 * (1 - (epoch - 1) / epochs))  # constant for half of the time, then down to nothing
        moved = shifted(images[order], rng)
        parts = np.split(np.arange(len(order)), range(BATCH, len(order), BATCH))
        losses = [step(moved[part], labels[order[part]], rate) for part in parts]
        took = time.perf_counter() - start
        accuracy = float(np.mean(classify(test_images) == test_labels))
        print(f"epoch {epoch:2d}   loss {np.mean(losses):.4f}   test accuracy {accuracy:.2%}   {took * 1e3:.0f} ms")
    return accuracy


if __name__ == "__main__":
    main()
