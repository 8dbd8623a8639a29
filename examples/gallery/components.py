"""Linear features: principal components, the linear autoencoder that finds the same plane, and slow features.

    python examples/gallery/components.py

The tied autoencoder W' W x of m codes has no local minimum worse than the best, and that is the plane of the m principal components: the
search from random numbers ends at the sum of the other eigenvalues. (Russell and Norvig 22.7.1; Goodfellow et al. 13.3 and 14.1)

Slow features of a window that wanders over a photograph: of all directions with variance 1 those that change least from one step to the
next, a generalised eigenvalue problem.
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits, photograph

import graphc as gx

WIDTH = 5


def pca(x, m: int):
    """The m directions of most variance as rows, and all variances, the largest first."""
    values, vectors = gx.linalg.eigh(x.T @ x / gx.shape(x)[0])
    return gx.flip(vectors, 1).T[:m], gx.flip(values, 0)


def linear_autoencoder(rows: np.ndarray, m: int) -> tuple[float, np.ndarray]:
    """The least sum of |x - W' W x|^2 over all rows x that L-BFGS finds, and its W."""
    root = np.linalg.qr(rows, "r")  # the sum depends on rows' rows alone
    cost = lambda w: gx.sum((root - (root @ w.T) @ w) ** 2) / len(rows)
    start = np.random.default_rng(m).normal(size=(m, 64)) / 8
    found = gx.function([], gx.optim.minimize(cost, gx.asarray(start), method="l_bfgs", tol=1e-6))()
    return float(found.fun * len(rows)), found.x


def reconstruction() -> dict[str, float]:
    """Autoencoders of 2 and 10 codes beside principal components."""
    train, _, test, _ = digits("float64")
    x, figures = np.concatenate([train, test]) * 16, {}
    x = x - x.mean(0)
    v = gx.tensor("v", ("n", 64))
    for m in (2, 10):
        directions, variances = gx.function([v], pca(v, m))(x)
        sse, w = linear_autoencoder(x, m)
        left = float(variances[m:].sum() * len(x))
        plane = float(np.abs(w.T @ w - directions.T @ directions).max())
        print(f"{m} codes: squared error {sse:.3f}, of the eigenvalues left out {left:.3f}; the planes differ by {plane:.0e}")
        assert abs(sse / left - 1) < 1e-9 and plane < 1e-3
        figures[f"sse {m}"] = sse
    return figures


def wander(steps: int) -> np.ndarray:
    """What a window sees that walks over the photograph without jumps: (steps, 25), less its mean."""
    picture, rng = photograph("float64"), np.random.default_rng(0)
    angle = np.cumsum(rng.normal(size=steps) * 0.3)
    y, x = (np.cumsum(turn(angle)) for turn in (np.sin, np.cos))
    fold = lambda v, n: np.abs((np.round(v).astype(int) + n) % (2 * n) - n)  # back at the edges
    rows, columns = fold(y, picture.shape[0] - WIDTH), fold(x, picture.shape[1] - WIDTH)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (WIDTH, WIDTH))
    seen = windows[rows, columns].reshape(steps, -1)
    return seen - seen.mean(0)


def slow_features(x):
    """Directions as rows with x of variance 1 and uncorrelated, and their mean squared changes, the slowest first.

    With l l' the covariance: eigenvectors of l^-1 D l'^-1, D that of the changes.
    """
    n, change = gx.shape(x)[0], x[1:] - x[:-1]
    root = gx.linalg.cholesky(x.T @ x / n)
    changes = gx.linalg.solve_triangular(root, change.T, lower=True)
    values, vectors = gx.linalg.eigh(changes @ changes.T / (n - 1))
    return gx.linalg.solve_triangular(root, vectors, trans="T", lower=True).T, values


def slowness(steps: int) -> dict[str, float]:
    """The slowest feature beside the slowest pixel and the first principal component, both brought to variance 1."""
    x, v = wander(steps), gx.tensor("v", ("n", WIDTH * WIDTH))
    features, speeds, first = gx.function([v], [*slow_features(v), pca(v, 1)[0]])(x)
    changes = lambda y: float(np.min(np.mean(np.diff(y, axis=0) ** 2, 0) / np.mean(y**2, 0)))
    figures = {"slow": changes(x @ features[:1].T), "pixel": changes(x), "component": changes(x @ first.T)}
    print(
        "change per step of the slowest feature {slow:.4f}, pixel {pixel:.4f}, first principal component {component:.4f}".format(**figures)
    )
    np.testing.assert_allclose(features @ (x.T @ x / steps) @ features.T, np.eye(WIDTH * WIDTH), atol=1e-9)
    assert abs(figures["slow"] / speeds[0] - 1) < 1e-9 and figures["slow"] < min(figures["pixel"], figures["component"])
    return figures


def main(short: bool = False) -> dict[str, float]:
    """Principal components by two ways, then slow features."""
    return {**reconstruction(), **slowness(2_000 if short else 20_000)}


if __name__ == "__main__":
    stage.run(main)
