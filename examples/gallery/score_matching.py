"""Score matching: a density is learnt without its normalising constant, from the slope and the curvature of its logarithm alone.

    python examples/gallery/score_matching.py [--plot density.png]

The cost is E[trace of the Hessian of log p + |gradient of log p|^2 / 2], and learning takes its gradient: a third derivative. For a
Gaussian the minimum is the inverse of the sample covariance, exactly; a net in place of the quadratic form finds the two clusters
of Old Faithful's eruptions. (Goodfellow et al. 18.4; 4.3 of the 2014 draft: gradients inside a cost)
"""

from __future__ import annotations

import numpy as np
import stage
from data import iris, standardised, table

import graphc as gx

UNITS = 24


def matching(log_density, x):
    """Of every row: trace of the Hessian + |gradient|^2 / 2, by Hessian-vector products with the unit vectors."""

    def of_one(row):
        slope = gx.grad(log_density(row), row)
        curvature = gx.sum(gx.stack([gx.grad(slope[k], row, disconnected="zero")[k] for k in range(x.shape[1])]))
        return curvature + gx.sum(slope**2) / 2

    return gx.vmap(of_one)(x)


def gaussian(rows: np.ndarray) -> float:
    """log p = -x' P x / 2 + c, with P = R R': the P of least cost beside the inverse covariance; the largest relative difference."""
    n = rows.shape[1]
    cost = lambda root: gx.mean(matching(lambda x: -gx.sum((x @ root) ** 2) / 2, gx.asarray(rows)))
    root = gx.function([], gx.optim.minimize(cost, np.eye(n), method="bfgs", tol=1e-10))().x
    exact = np.linalg.inv(rows.T @ rows / len(rows))
    return float(np.abs(root @ root.T - exact).max() / np.abs(exact).max())


def initial(seed: int = 0):
    """Parameters of a net 2-24-24-1."""
    rng = np.random.default_rng(seed)
    return [gx.nn.init.dense(rng, *sizes) for sizes in ((2, UNITS), (UNITS, UNITS), (UNITS, 1))]


def log_density(p, x):
    """log p(x) up to a constant, of one point: a net with smooth units, and a wide bell without which it could rise for ever."""
    h = x
    for layer in p[:-1]:
        h = gx.tanh(gx.nn.dense(layer, h))
    return gx.nn.dense(p[-1], h)[0] - gx.sum(x**2) / 8


def normalised(p, side: np.ndarray) -> np.ndarray:
    """The density on the square of points side x side, so that its sum times the area of a cell is one."""
    grid = np.stack(np.meshgrid(side, side), -1)
    x = gx.tensor("x", grid.shape)
    heights = gx.function([x], gx.vmap(gx.vmap(lambda point: log_density(p, point)))(x))(grid)
    heights = np.exp(heights - heights.max())
    return heights / heights.sum() / (side[1] - side[0]) ** 2


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The Gaussian of irises; then the eruptions of Old Faithful by a net."""
    flowers = iris()[0]
    apart = gaussian(standardised(flowers)[:, :3])
    print(f"Gaussian: the matched precision is the inverse covariance but for {apart:.0e}")
    assert apart < 1e-6

    columns = table("geyser")
    points = standardised(np.stack([columns["minutes"], columns["wait"]], 1))
    p, x = gx.shared(initial()), gx.tensor("x", ("n", 2))
    noisy = x + 0.15 * gx.random.default_rng(0).standard_normal(x.shape)  # the times are rounded, which has no density
    cost = gx.mean(matching(lambda row: log_density(p, row), noisy))
    step = gx.function([x], cost, updates=gx.optim.adam(5e-3).updates(cost, p))
    costs = [float(step(points)) for _ in range(300 if short else 3000)]

    side = np.linspace(-3, 3, 121)
    density = normalised(p, side)
    place = np.clip(np.round((points + 3) / (side[1] - side[0])).astype(int), 0, 120)
    found = float(np.mean(np.log(density[place[:, 1], place[:, 0]])))
    cov = np.cov(points.T)
    one = float(-np.log(2 * np.pi) - np.log(np.linalg.det(cov)) / 2 - 1)
    valley = density[:, 60].max() / min(density[:, :60].max(), density[:, 60:].max())
    print(f"cost {costs[0]:.2f}, then {np.mean(costs[-50:]):.2f}; log-likelihood {found:.3f} an eruption, of one Gaussian {one:.3f}")
    print(f"between the clusters the density falls to {valley:.1%} of the lower summit")
    assert np.mean(costs[-50:]) < costs[0] and found > one + 0.1 and valley < 0.5
    if plot:
        with stage.picture(plot, size=5) as ax:
            ax.contourf(side, side, density, 20)
            ax.scatter(*points.T, s=4, c="white")
    return {"apart": apart, "net": found, "gaussian": one, "valley": float(valley)}


if __name__ == "__main__":
    stage.run(main)
