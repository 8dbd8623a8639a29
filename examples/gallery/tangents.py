"""Derivatives inside the cost: tangent propagation and gradient penalties, by a gradient of a derivative.

    python examples/gallery/tangents.py

    J + lambda |(df/dx) t|^2        the scores do not change along t, in which a turned picture differs from itself
    J + lambda |grad_x J|^2         the loss does not change in any direction

Training descends the gradient of these, which holds derivatives of derivatives. `gx.jvp` and `gx.grad` are nodes like all others.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

FEW = 200


def network(p, x):
    """One hidden layer of softplus units, whose second derivative is not zero."""
    return gx.softplus(x @ p["hidden"]["W"] + p["hidden"]["b"]) @ p["out"]["W"] + p["out"]["b"]


def turning(images: np.ndarray) -> np.ndarray:
    """d picture / d angle (n, 64) for a turn about the middle: what each pixel gets from its neighbours."""
    pictures = images.reshape(-1, 8, 8)
    row, column = np.mgrid[:8, :8] - 3.5
    by_row, by_column = np.gradient(pictures, axis=(1, 2))
    return (by_row * column - by_column * row).reshape(-1, 64).astype("float32")


def along(p, x, t):
    """The mean squared change of the scores per radian of a turn."""
    return gx.mean(gx.sum(gx.jvp(network(p, x), x, t) ** 2, axis=1))


def steepness(p, x, y):
    """The mean squared length of the gradient of a picture's own loss with respect to its pixels."""
    total = gx.nn.cross_entropy(network(p, x), y, reduction="sum")
    return gx.mean(gx.sum(gx.grad(total, x) ** 2, axis=1))


def compared_with_differences(x: np.ndarray, y: np.ndarray, t: np.ndarray) -> float:
    """Both penalties' gradients for the first layer's weights against central differences, in float64: the largest relative error."""
    rng = np.random.default_rng(0)
    p = {"hidden": stage.dense(rng, 64, 5, "float64"), "out": stage.dense(rng, 5, 10, "float64")}
    q = gx.like(p)
    inputs = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64"), gx.tensor("t", ("n", 64))
    both = along(q, inputs[0], inputs[2]) + steepness(q, *inputs[:2])
    f = gx.function([q, *inputs], gx.value_and_grad(both, q["hidden"]["W"]))
    move = rng.normal(size=(64, 5))

    def at(step: float) -> float:
        moved = {**p, "hidden": {**p["hidden"], "W": p["hidden"]["W"] + step * move}}
        return f(moved, x, y, t)[0]

    slope = np.sum(f(p, x, y, t)[1] * move)
    return float(abs((at(1e-5) - at(-1e-5)) / 2e-5 / slope - 1))


def main(short: bool = False) -> dict[str, float]:
    """Train plainly, with tangents, and with a gradient penalty; test on turned and on noisy pictures."""
    images, labels, test_images, test_labels = data.digits()
    images, labels = images[:FEW], labels[:FEW]
    tangents = turning(images)
    error = compared_with_differences(images[:20].astype(float), labels[:20], tangents[:20].astype(float))
    print(f"the gradient of both penalties and a difference quotient: {error:.0e} apart")
    assert error < 1e-7
    turned = test_images + np.float32(np.radians(15)) * turning(test_images)
    noisy = test_images + np.random.default_rng(1).normal(size=test_images.shape).astype("float32") * np.float32(0.3)

    x, y, t = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64"), gx.tensor("t", ("n", 64), "float32")
    weights = gx.vector("weights", 2, "float32")
    rng = np.random.default_rng(0)
    initial = {"hidden": stage.dense(rng, 64, 64), "out": stage.dense(rng, 64, 10)}
    p = gx.shared(initial)
    plain, penalties = gx.nn.cross_entropy(network(p, x), y), (along(p, x, t), steepness(p, x, y))
    loss = plain + weights[0] * penalties[0] + weights[1] * penalties[1]
    updates = gx.optim.adam(3e-3).updates(loss, p)
    step = gx.function([x, y, t, weights], loss, updates=updates)
    test = gx.function([x, y, t], [plain, *penalties])
    figures = {"error": error}
    for name, weight in {"plain": (0, 0), "tangents": (0.05, 0), "gradient": (0, 1)}.items():
        gx.set_values(p, initial)
        gx.set_values(updates.state, gx.tree.map(np.zeros_like, gx.get_values(updates.state)))
        by = np.array(weight, "float32")
        stage.epochs(lambda *batch, by=by: step(*batch, by), (images, labels, tangents), 200 if short else 400)
        _, change, steep = test(test_images, test_labels, turning(test_images))
        on = {kind: float(test(pictures, test_labels, 0 * pictures)[0]) for kind, pictures in (("turned", turned), ("noisy", noisy))}
        print(f"{name}: change along turns {change:.2f}, steepness {steep:.4f}; loss turned {on['turned']:.3f}, noisy {on['noisy']:.3f}")
        figures |= {f"{name}, change": float(change), f"{name}, steepness": float(steep)}
        figures |= {f"{name}, {kind}": value for kind, value in on.items()}
    assert figures["tangents, change"] < 0.1 * figures["plain, change"] and figures["tangents, turned"] < figures["plain, turned"]
    assert figures["gradient, steepness"] < 0.9 * figures["plain, steepness"] and figures["gradient, noisy"] < figures["plain, noisy"]
    return figures


if __name__ == "__main__":
    stage.run(main)
