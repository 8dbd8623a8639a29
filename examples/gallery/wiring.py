"""Which unit sees which: skip connections, a few random inputs a unit, patches, on the digits. Only the forward lines differ.

    python examples/gallery/wiring.py

Back-propagation for a new wiring needs no new code: `gx.grad` differentiates whatever the forward lines say, adds up what a value with
several readers receives, and leaves alone what nobody reads.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

DEPTH, WIDTH, FEW = 6, 24, 8


def plain(p, x):
    """Layer after layer of sigmoids; each sees the one below."""
    for layer in p[:-1]:
        x = gx.sigmoid(x @ layer["W"] + layer["b"])
    return x @ p[-1]["W"] + p[-1]["b"]


def skipping(p, x):
    """Every layer sees the one below and the image itself."""
    h = gx.zeros((x.shape[0], WIDTH), "float32")
    for layer in p[:-1]:
        h = gx.sigmoid(gx.concatenate([h, x], axis=1) @ layer["W"] + layer["b"])
    return h @ p[-1]["W"] + p[-1]["b"]


def gathered(p, x, inputs: np.ndarray):
    """Hidden unit j sees the pixels inputs[j], each with a weight of its own: gathers instead of a matrix."""
    h = gx.relu(gx.sum(x[:, inputs] * p["w"], axis=2) + p["b"])
    return h @ p["out"]["W"] + p["out"]["b"]


def masked(p, x, mask: np.ndarray):
    """The same network by a whole matrix whose absent edges a constant mask sets to 0."""
    h = gx.relu(x @ (p["W"] * mask) + p["b"])
    return h @ p["out"]["W"] + p["out"]["b"]


def depth_with_and_without_skips(images, labels, epochs: int) -> tuple[float, float]:
    """The last losses of a deep network of sigmoids without skips and with them."""
    rng = np.random.default_rng(0)
    last = stage.dense(rng, WIDTH, 10)
    chain = [stage.dense(rng, n, WIDTH) for n in (64, *[WIDTH] * (DEPTH - 1))] + [last]
    skips = [stage.dense(rng, WIDTH + 64, WIDTH) for _ in range(DEPTH)] + [last]
    losses = []
    for network, initial in ((plain, chain), (skipping, skips)):
        _, step = stage.classifier(network, initial, gx.optim.momentum(0.1))
        losses.append(stage.epochs(step, (images, labels), epochs)[-1])
    return losses[0], losses[1]


def two_forms(images, labels) -> float:
    """The largest difference of gathered from masked scores and gradients; absent edges have the gradient 0 exactly."""
    rng = np.random.default_rng(1)
    inputs = np.stack([rng.choice(64, FEW, replace=False) for _ in range(WIDTH)])
    mask = np.zeros((64, WIDTH))
    mask[inputs.T, np.arange(WIDTH)] = 1
    matrix = rng.normal(size=(64, WIDTH)) / np.sqrt(FEW)
    rest = {"b": np.zeros(WIDTH), "out": stage.dense(rng, WIDTH, 10, "float64")}
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    few, whole = gx.like({"w": matrix[inputs, np.arange(WIDTH)[:, None]], **rest}), gx.like({"W": matrix, **rest})
    scores = gathered(few, x, inputs), masked(whole, x, mask)
    slopes = gx.grad(gx.nn.cross_entropy(scores[0], y), few["w"]), gx.grad(gx.nn.cross_entropy(scores[1], y), whole["W"])
    f = gx.function([few, whole, x, y], [*scores, *slopes])
    a, b, g, G = f({"w": matrix[inputs, np.arange(WIDTH)[:, None]], **rest}, {"W": matrix, **rest}, images.astype(float), labels)
    assert (G[mask == 0] == 0).all()
    return float(max(np.abs(a - b).max(), np.abs(g - G[inputs, np.arange(WIDTH)[:, None]]).max()))


def main(short: bool = False) -> dict[str, float]:
    """Depth with and without skips; then units with few inputs: drawn at random, and the patches of the picture."""
    images, labels, test_images, test_labels = data.digits()
    bare, skipped = depth_with_and_without_skips(images, labels, 3 if short else 20)
    print(f"{DEPTH} layers of sigmoids: loss {bare:.3f} in a chain, {skipped:.3f} with skips (chance: {np.log(10):.3f})")
    assert skipped < 0.6 * bare
    apart = two_forms(images[:200], labels[:200])
    print(f"gathered and masked: scores and gradients equal to {apart:.0e}; absent edges have none")
    assert apart < 1e-12

    rng = np.random.default_rng(2)
    figures = {"chain": bare, "skips": skipped, "apart": apart}
    corners = (np.arange(6)[:, None] * 8 + np.arange(6)).ravel()  # of the patches of 3 x 3
    patches = corners[:, None] + (np.arange(3)[:, None] * 8 + np.arange(3)).ravel()
    wirings = {"patches": np.repeat(patches, 4, axis=0), "random": np.stack([rng.choice(64, FEW, replace=False) for _ in range(144)])}
    for name, inputs in list(wirings.items())[: 1 if short else 2]:
        units, seen = inputs.shape
        initial = {"w": (rng.normal(size=(units, seen)) * np.sqrt(2 / seen)).astype("float32"), "b": np.zeros(units, "float32")}
        initial["out"] = stage.dense(rng, units, 10)
        network = lambda p, x, inputs=inputs: gathered(p, x, inputs)
        p, step = stage.classifier(network, initial, gx.optim.momentum(0.05))
        stage.epochs(step, (images, labels), 4 if short else 20)
        figures[name] = stage.accuracy(network, p, test_images, test_labels)
        print(f"{units} units, {seen} of 64 pixels each, {name}: test accuracy {figures[name]:.1%}")
        assert figures[name] > 0.9
    return figures


if __name__ == "__main__":
    stage.run(main)
