"""Filters that nobody trained: random ones, edges drawn by hand, and the centres of k-means on patches.

    python examples/gallery/filters.py [--plot filters.png]

The features of all digits are computed once. Then only a linear layer is trained, whose cost is convex: two beginnings end in the same
place. The whole training is one native call, a loop in the graph; so is k-means. (Goodfellow et al. 9.9)
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

WIDTH, COUNT = 5, 32


def detectors() -> dict[str, float]:
    """A unit with weight 1 where a pattern has ink and -1 elsewhere, and bias 1/2 - ink, fires on that pattern alone of all 512."""
    patches = np.array(list(itertools.product([0.0, 1.0], repeat=9))).reshape(-1, 1, 3, 3)
    for rows in ("111 100 110", "010 010 010", "100 010 001"):
        pattern = np.float64([[int(bit) for bit in row] for row in rows.split()])
        fires = gx.nn.conv2d(gx.asarray(patches), (2 * pattern - 1)[None, None], np.array([0.5 - pattern.sum()])) > 0
        assert patches[fires.eval().ravel()].tolist() == [[pattern.tolist()]]
    return {"patches a detector fires on": 1.0}


def patches_of(images: np.ndarray, count: int) -> np.ndarray:
    """Some patches with ink, each of mean 0 and length 1, as rows."""
    seen = np.lib.stride_tricks.sliding_window_view(images, (WIDTH, WIDTH), (1, 2)).reshape(-1, WIDTH * WIDTH)
    seen = seen - seen.mean(1, keepdims=True)
    length = np.linalg.norm(seen, axis=1)
    seen = seen[length > 1] / length[length > 1, None]
    return seen[np.random.default_rng(3).permutation(len(seen))[:count]]


def k_means(rows: np.ndarray, count: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    """(centres, mean squared distance in each turn) of Lloyd's algorithm from the first rows."""
    x = gx.asarray(rows)

    def turn(centres: Any, _: Any) -> tuple[Any, Any]:
        distances = gx.sum(centres**2, axis=1) - 2 * x @ centres.T  # without |x|^2, which all of a row share
        nearest = gx.one_hot(gx.argmin(distances, axis=1), count, dtype="float64")
        members = gx.sum(nearest, axis=0)
        moved = (nearest.T @ x) / gx.maximum(members, 1)[:, None]
        return gx.where((members > 0)[:, None], moved, centres), gx.mean(gx.min(distances, axis=1) + gx.sum(x**2, axis=1))

    return gx.function([], gx.scan(turn, x[:count], length=turns))()


def by_hand() -> np.ndarray:
    """Bells times waves: edges and bars of two widths in eight directions."""
    y, x = np.mgrid[:WIDTH, :WIDTH] - (WIDTH - 1) / 2
    made = []
    for angle, frequency, phase in itertools.product(np.pi * np.arange(8) / 8, (1.0, 1.8), (0, np.pi / 2)):
        along = x * np.cos(angle) + y * np.sin(angle)
        made.append(np.exp(-(x**2 + y**2) / 5) * np.cos(frequency * along + phase))
    return np.array(made)


def features(images: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Convolution, absolute value, the mean of each quarter: the trunk, run once."""
    kernels = kernels - kernels.mean((1, 2), keepdims=True)
    kernels = kernels / np.linalg.norm(kernels, axis=(1, 2), keepdims=True)
    x = gx.tensor("x", ("n", 8, 8))
    pooled = gx.nn.avg_pool2d(gx.abs(gx.nn.conv2d(x[:, None], kernels[:, None], padding="same")), 2)
    return gx.function([x], pooled.reshape((x.shape[0], pooled.size // x.shape[0])))(images)


def last_layer(x: np.ndarray, labels: np.ndarray, start: np.ndarray, turns: int) -> tuple[np.ndarray, float]:
    """(weights, cost) where the regularised cross-entropy is least: L-BFGS, in one native call."""
    data, y = gx.asarray(x), gx.asarray(labels)
    cost = lambda w: gx.nn.cross_entropy(data @ w, y) + 1e-3 * gx.sum(w**2)
    w = gx.tensor("w", start.shape)
    found = gx.function([w], gx.optim.minimize(cost, w, method="l_bfgs", tol=1e-6, max_iterations=turns))(start)
    return found.x, float(found.fun)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Accuracy of the same classifier on raw pixels and behind each kind of filters; when short, of k-means filters alone."""
    images, labels, test, answers = (part.reshape(-1, 8, 8) if part.ndim == 2 else part for part in digits("float64"))
    found = detectors()
    rng = np.random.default_rng(0)
    centres, spread = k_means(patches_of(images, 500 if short else 8000), COUNT, 5 if short else 40)
    assert (np.diff(spread) <= 1e-12).all(), "k-means never goes up"
    kinds = {"random": rng.normal(size=(COUNT, WIDTH, WIDTH)), "by hand": by_hand(), "k-means": centres.reshape(COUNT, WIDTH, WIDTH)}
    print(f"k-means: mean squared distance {spread[0]:.3f} -> {spread[-1]:.3f}")
    for name in ["k-means"] if short else ["pixels", *kinds]:
        x, held_out = ((f.reshape(len(f), -1) if name == "pixels" else features(f, kinds[name])) for f in (images, test))
        x, held_out = x - x.mean(0), held_out - x.mean(0)
        size, turns = (x.shape[1], 10), 15 if short else 500
        one, cost = last_layer(x, labels, np.zeros(size), turns)
        if not short:
            _, again = last_layer(x, labels, rng.normal(size=size), turns)
            assert abs(again - cost) < 1e-9, "convex: no matter where it begins"
        found[name] = float(np.mean(np.argmax(held_out @ one, axis=1) == answers))
        print(f"{name:8} cost {cost:.4f}   held-out accuracy {found[name]:.2%}")
    assert short or min(found["random"], found["by hand"], found["k-means"]) > found["pixels"], "random filters work surprisingly well"
    if plot:
        with stage.picture(plot, 3, COUNT // 2, size=0.7) as axes:
            for ax, kernel in zip(axes.ravel(), itertools.chain(*(k[: COUNT // 2] for k in kinds.values()))):
                ax.imshow(kernel, cmap="gray")
                ax.set_axis_off()
    return found


if __name__ == "__main__":
    stage.run(main)
