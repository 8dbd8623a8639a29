"""Maxout: a unit that takes the largest of k linear pieces, and so learns its own activation.

    python examples/gallery/maxout.py --plot maxout.png

    h(x) = max_j (b_j + w_j . x)

Two pieces set to (w, 0) are a rectifier and set to (w, -w) an absolute value, bit for bit. More pieces approximate any convex function.
Only the piece that wins learns.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

PIECES = (2, 4, 8, 16)


def maxout(p, x):
    """x (n, inputs) -> (n, units) by W (inputs, units, pieces) and b (units, pieces)."""
    return gx.max(gx.tensordot(x, p["W"], axes=1) + p["b"], axis=2)


def special_cases() -> None:
    """Rectifier and absolute value to the last bit; and the gradient goes to the winner alone."""
    x = gx.tensor("x", ("n", 1))
    points = np.random.default_rng(0).normal(size=(1000, 1))
    zero = np.zeros((1, 2))
    pieces = {"W": np.array([[[1.5, 0.0]]]), "b": zero}, {"W": np.array([[[1.5, -1.5]]]), "b": zero}
    results = gx.function([x], [maxout(p, x)[:, 0] for p in pieces] + [gx.relu(1.5 * x[:, 0]), gx.abs(1.5 * x[:, 0])])(points)
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    q = gx.like(pieces[1])
    slope = gx.function([q, x], gx.grad(gx.sum(maxout(q, x)), q["b"]))(pieces[1], points)
    np.testing.assert_array_equal(slope, [[np.sum(points > 0), np.sum(points < 0)]])


def parabola(pieces: int, steps: int) -> tuple[float, np.ndarray]:
    """The root mean square error of one unit trained to be x^2 on [-1, 1], and its values there."""
    grid = np.linspace(-1, 1, 401)[:, None]
    slopes = np.linspace(-1, 1, pieces)
    initial = {"W": slopes[None, None], "b": -(slopes[None] ** 2) / 2}  # the tangents of x^2 / 2: each piece wins somewhere
    p = stage.minimise(lambda p: gx.mean((maxout(p, grid)[:, 0] - grid[:, 0] ** 2) ** 2), initial, steps, 0.02)
    values = np.max(grid * p["W"][0, 0] + p["b"][0], axis=1)
    return float(np.sqrt(np.mean((values - grid[:, 0] ** 2) ** 2))), values


def network(p, x):
    """One layer of maxout units, then a linear layer."""
    return maxout(p["hidden"], x) @ p["out"]["W"] + p["out"]["b"]


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The special cases, x^2 by more and more pieces, and the digits."""
    special_cases()
    print("pieces (w, 0) and (w, -w): rectifier and absolute value, bit for bit")
    counts = PIECES[::3] if short else PIECES
    fits = [parabola(k, 400 if short else 5000) for k in counts]
    errors = [error for error, _ in fits]
    print("error of x^2 by " + ", ".join(f"{k} pieces: {error:.4f}" for k, error in zip(counts, errors)))
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 8
    if plot:
        with stage.picture(plot) as ax:
            for k, (_, values) in zip(counts, fits):
                ax.plot(np.linspace(-1, 1, 401), values, label=f"{k} pieces")
            ax.legend()

    images, labels, test_images, test_labels = data.digits()
    rng = np.random.default_rng(0)
    hidden = {"W": (rng.normal(size=(64, 32, 4)) / 8).astype("float32"), "b": np.zeros((32, 4), "float32")}
    p, step = stage.classifier(network, {"hidden": hidden, "out": stage.dense(rng, 32, 10)}, gx.optim.momentum(0.05))
    stage.epochs(step, (images, labels), 4 if short else 30)
    accuracy = stage.accuracy(network, p, test_images, test_labels)
    print(f"digits by 32 units of 4 pieces: test accuracy {accuracy:.1%}")
    assert accuracy > 0.94
    return {**{f"{k} pieces": error for k, error in zip(counts, errors)}, "accuracy": accuracy}


if __name__ == "__main__":
    stage.run(main)
