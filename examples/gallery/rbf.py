"""Radial basis functions: a network whose units answer to nearness, and the kernel machine that it grows into.

    python examples/gallery/rbf.py

    h_i(x) = exp(-|w_i - x|^2 / sigma^2),   scores = h V + b

Centres begin as randomly chosen training images; given them the best V is a linear solve, and then a gradient moves centres and width as
well. With every training image as a centre and the penalty of the kernel machine, the solve is kernel ridge regression.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

RIDGE = 1e-2


def nearness(x, centres, width):
    """exp(-|x_n - w_i|^2 / width^2) for all pairs, as a product: |x|^2 - 2 x.w + |w|^2."""
    square = gx.sum(x**2, axis=1)[:, None] - 2 * (x @ centres.T) + gx.sum(centres**2, axis=1)
    return gx.exp(-gx.maximum(square, 0) / width**2)


def solved(h, targets, penalty):
    """V that minimises |h V - targets|^2 + RIDGE tr(V' penalty V)."""
    return gx.linalg.solve(h.T @ h + RIDGE * penalty, h.T @ targets)


def network(X, Y, centres: np.ndarray, steps: int):
    """Centres, width and weights after the solve and so many steps of descent on them all; x -> labels before and after."""
    x, t, c = gx.tensor("x", ("n", 64)), gx.tensor("t", ("n", 10)), gx.like(centres)
    V = gx.function([x, t, c], solved(nearness(x, c, 2.0), t, gx.eye(len(centres))))(X, Y, centres)
    start = {"centres": centres, "width": 2.0, "V": V}

    def cost(p):
        return gx.mean((nearness(X, p["centres"], p["width"]) @ p["V"] - Y) ** 2)

    p = gx.like(start)
    classify = gx.function([p, x], gx.argmax(nearness(x, p["centres"], p["width"]) @ p["V"], axis=1))
    return start, stage.minimise(cost, start, steps, 0.01), classify


def kernel_machine(X, Y, width: float):
    """x -> scores of kernel ridge regression, and the gradient that the network with all centres has there: none."""
    a, t, x = gx.tensor("a", ("n", 64)), gx.tensor("t", ("n", 10)), gx.tensor("x", ("m", 64))
    K = nearness(a, a, width)
    dual = gx.linalg.solve(K + RIDGE * gx.eye(a.shape[0]), t)
    V = gx.tensor("V", ("n", 10))
    slope = gx.grad(gx.sum((K @ V - t) ** 2) + RIDGE * gx.sum(V * (K @ V)), V)
    fit = gx.function([a, t], dual)(X, Y)
    return gx.function([x], nearness(x, gx.asarray(X), width) @ fit), gx.function([a, t, V], slope)(X, Y, fit)


def main(short: bool = False) -> dict[str, float]:
    """Classify digits by squared error on one-hot targets, with 60 centres and with all."""
    images, labels, test_images, test_labels = data.digits("float64")
    if short:
        images, labels = images[:400], labels[:400]
    Y = np.eye(10)[labels]
    centres = images[np.random.default_rng(0).choice(len(images), 60, replace=False)]
    start, end, classify = network(images, Y, centres, 50 if short else 500)
    figures = {}
    for name, p in (("solved", start), ("descended", end)):
        figures[name] = float(np.mean(classify(p, test_images) == test_labels))
        print(f"60 centres, {name}: width {float(p['width']):.2f}, test accuracy {figures[name]:.1%}")
    assert figures["descended"] > figures["solved"]
    scores, slope = kernel_machine(images, Y, 2.0)
    figures["kernel machine"] = float(np.mean(np.argmax(scores(test_images), axis=1) == test_labels))
    figures["slope"] = float(np.abs(slope).max())
    print(f"kernel machine, {len(images)} centres: {figures['kernel machine']:.1%}; gradient of the network there {figures['slope']:.0e}")
    assert figures["slope"] < 1e-8 and figures["kernel machine"] > figures["solved"]
    return figures


if __name__ == "__main__":
    stage.run(main)
