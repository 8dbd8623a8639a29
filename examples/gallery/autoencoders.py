"""Autoencoders of digits: a deep one with two codes, one that mends pictures, one whose codes hardly move.

    python examples/gallery/autoencoders.py [--plot codes.png]

The deep one has less squared error than the best plane of as many dimensions. The denoising one sees pictures with holes and is asked for
the whole ones, so that it cannot copy. The contractive one pays for the squared norm of the Jacobian of its codes, which for a layer of
sigmoids is a sum over units; its gradient goes through a derivative. (Russell and Norvig 22.7.1; Goodfellow et al. 14.2, 14.5, 14.7)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import stage
from data import digits

import graphc as gx

CODES, HOLES, UNITS, PENALTY = 2, 0.4, 64, 1.0


def layers(rng: np.random.Generator, *sizes: int) -> list[dict[str, np.ndarray]]:
    """Parameters of dense layers, each from one size to the next."""
    return [gx.nn.init.dense(rng, n, m, dtype="float32") for n, m in pairwise(sizes)]


def through(p, x):
    """Dense layers with tanh between them; the last one is linear."""
    for layer in p[:-1]:
        x = gx.tanh(gx.nn.dense(layer, x))
    return gx.nn.dense(p[-1], x)


def deep(images: np.ndarray, epochs: int):
    """64-96-48-2-48-96-64: its state, and the loss per epoch."""
    rng = np.random.default_rng(0)
    p = gx.shared({"encode": layers(rng, 64, 96, 48, CODES), "decode": layers(rng, CODES, 48, 96, 64)})
    x = gx.tensor("x", ("n", 64), "float32")
    loss = gx.mean(gx.sum((x - through(p["decode"], through(p["encode"], x))) ** 2, axis=1))
    step = gx.function([x], loss, updates=gx.optim.adam(3e-3).updates(loss, p))
    return p, stage.epochs(step, (images,), epochs)


def denoising(images: np.ndarray, epochs: int, rng: gx.random.Generator | None):
    """A hidden layer of 256; with an rng holes are drawn in the pictures at every step. A function that mends."""
    p = gx.shared(layers(np.random.default_rng(1), 64, 256, 64))
    x = gx.tensor("x", ("n", 64), "float32")
    seen = x if rng is None else x * gx.astype(rng.bernoulli(1 - HOLES, x.shape), "float32")
    loss = gx.mean(gx.sum((x - through(p, seen)) ** 2, axis=1))
    stage.epochs(gx.function([x], loss, updates=gx.optim.adam(2e-3).updates(loss, p)), (images,), epochs)
    return gx.function([x], through(p, x))


def contraction(p, x):
    """|dh/dx|^2 of the codes h = sigmoid(x W + b), by the formula for one layer: sum over units of (h (1 - h))^2 |W[:, j]|^2."""
    h = gx.sigmoid(gx.nn.dense(p, x))
    return gx.sum((h * (1 - h)) ** 2 * gx.sum(p["weight"] ** 2, axis=0), axis=-1)


def contractive(images: np.ndarray, epochs: int, *penalties: float) -> tuple[list[np.ndarray], float]:
    """For each weight of the penalty squared error and contraction after learning, with tied weights; and by how much Jacobians by
    differentiation differ from the formula."""
    initial = {**gx.nn.init.dense(2, 64, UNITS, dtype="float32"), "back": np.zeros(64, "float32")}
    x, penalty = gx.tensor("x", ("n", 64), "float32"), gx.shared(np.float32(0))
    p = gx.shared(initial)
    error = gx.mean(gx.sum((x - gx.sigmoid(gx.nn.dense(p, x)) @ p["weight"].T - p["back"]) ** 2, axis=1))
    squeeze = gx.mean(contraction(p, x))
    loss = error + penalty * squeeze
    updates = gx.optim.adam(3e-3).updates(loss, p)
    step, measure, fresh = gx.function([x], loss, updates=updates), gx.function([x], [error, squeeze]), gx.get_values(updates.state)
    found = []
    for weight in penalties:
        gx.set_values({"p": p, "slots": updates.state, "penalty": penalty}, {"p": initial, "slots": fresh, "penalty": np.float32(weight)})
        stage.epochs(step, (images,), epochs)
        found.append(np.array(measure(images)))
    norm = lambda row: gx.sum(gx.jacobian(gx.sigmoid(gx.nn.dense(p, row)), row) ** 2)
    apart = gx.max(gx.abs(gx.vmap(norm)(x) / contraction(p, x) - 1))
    return found, float(gx.function([x], apart)(images[:5]))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The three, each beside what it should beat."""
    images, labels, test_images, _ = digits()
    centred = images - images.mean(0)
    plane = float(np.sum(np.linalg.svd(centred, compute_uv=False)[CODES:] ** 2) / len(images))
    p, losses = deep(images, 40 if short else 300)
    print(f"{CODES} codes: squared error {losses[-1]:.3f} a picture, of the best plane {plane:.3f}")
    assert losses[-1] < (0.85 if short else 0.7) * plane

    holes = test_images * (np.random.default_rng(3).random(test_images.shape) > HOLES)
    error = lambda f: float(np.mean(np.sum((f(holes.astype("float32")) - test_images) ** 2, 1)))
    epochs = 10 if short else 100
    left, plain, mended = (
        error(f) for f in (lambda x: x, denoising(images, epochs, None), denoising(images, epochs, gx.random.default_rng(0)))
    )
    print(f"test pictures with {HOLES:.0%} holes: error {left:.2f}, after a plain autoencoder {plain:.2f}, a denoising one {mended:.2f}")
    assert mended < 0.5 * min(plain, left)

    (free, tight), apart = contractive(images, 10 if short else 60, 0.0, PENALTY)
    print(f"contractive: |dh/dx|^2 {tight[1]:.2f} with error {tight[0]:.2f}; without the penalty {free[1]:.2f} with error {free[0]:.2f}")
    assert tight[1] < 0.6 * free[1] and apart < 1e-5
    if plot:
        x = gx.tensor("x", ("n", 64), "float32")
        codes = gx.function([x], through(p["encode"], x))(images)
        with stage.picture(plot, size=6) as ax:
            ax.scatter(*codes.T, c=labels, cmap="tab10", s=6)
    return {"deep": losses[-1], "plane": plane, "mended": mended, "plain": plain, "tight": float(tight[1]), "free": float(free[1])}


if __name__ == "__main__":
    stage.run(main)
