"""Gradients of expectations over coins: the score function, three baselines, and a random perturbation for comparison.

    python examples/gallery/reinforce.py

Three coins with chances sigmoid(omega) cost J(y) = (y1 + 2 y2 - 3 y3)^2 + 1. All eight outcomes can be listed, so the true gradient and
the variance of each estimator are known exactly; a million draws agree. A baseline changes no mean and much variance, the best one for
each coin most. (GBC14 6.5.1, equations 6.13 to 6.16; 6.4.4)
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import stage

import graphc as gx

OMEGA = np.array([0.5, -1.0, 2.0])
BASELINES = ("none", "mean", "best")


def cost(y: Any) -> Any:
    """J for rows of three coins."""
    return (y[..., 0] + 2 * y[..., 1] - 3 * y[..., 2]) ** 2 + 1


def log_probability(omega: Any, y: Any) -> Any:
    """Of rows of coins, one number each: y log sigmoid(omega) + (1 - y) log sigmoid(-omega)."""
    return gx.sum(-y * gx.softplus(-omega) - (1 - y) * gx.softplus(omega), axis=-1)


def listed() -> dict[str, np.ndarray]:
    """E[J], its gradient, the best baselines (equation 6.16) and the variances of a single draw, over all eight outcomes."""
    omega, outcomes = gx.vector("omega", 3), gx.asarray(np.array(list(itertools.product([0.0, 1.0], repeat=3))))
    log_p = log_probability(omega, outcomes)
    p, J, score = gx.exp(log_p), cost(outcomes), gx.jacobian(log_p, omega)
    mean = gx.sum(p * J)
    best = (p * J) @ score**2 / (p @ score**2)
    slope = gx.grad(mean, omega)
    variances = [p @ ((J[:, None] - b) * score) ** 2 - slope**2 for b in (0.0, mean, best)]
    found = gx.function([omega], {"mean": mean, "slope": slope, "best": best, "variances": gx.stack(variances)})(OMEGA)
    np.testing.assert_allclose(found["mean"], 5.162863130021666, rtol=1e-13)
    np.testing.assert_allclose(found["slope"], [-0.75413086, -0.80212313, 0.21397136], atol=1e-8)
    np.testing.assert_allclose(found["best"], [5.94881123, 3.277551, 3.61077464], atol=1e-8)
    printed = [[10.8837, 3.3560, 2.4259], [2.7125, 1.9428, 1.3100], [2.5673, 1.2439, 1.0571]]
    np.testing.assert_allclose(found["variances"], printed, atol=5e-5)
    return found


def drawn(exact: dict[str, np.ndarray], draws: int) -> dict[str, float]:
    """The same by draws: `score_function` makes a cost whose gradient is the estimate; baselines are what is known of J beforehand."""
    rng, omega = gx.random.default_rng(0), gx.vector("omega", 3)
    y = rng.bernoulli(gx.sigmoid(omega), size=(draws, 3)).astype("float64")
    log_p = log_probability(omega, y)
    plain = gx.grad(gx.mean(gx.random.score_function(cost(y), log_p)), omega)
    score = gx.stop_gradient(y) - gx.sigmoid(omega)  # of each draw, as the textbook writes it
    baselines = [gx.zeros(3), gx.full(3, float(exact["mean"])), gx.asarray(exact["best"])]
    each = [(cost(y)[:, None] - b) * score for b in baselines]
    f = gx.function([omega], [plain, gx.stack([gx.mean(e, axis=0) for e in each]), gx.stack([gx.var(e, axis=0) for e in each])])
    estimate, means, variances = f(OMEGA)
    np.testing.assert_allclose(estimate, means[0], rtol=1e-10)
    assert (np.abs(means - exact["slope"]) < 4 * np.sqrt(exact["variances"] / draws)).all(), "unbiased, whatever the baseline"
    np.testing.assert_allclose(variances, exact["variances"], rtol=0.05)
    return {f"variance, baseline {name}": float(v.sum()) for name, v in zip(BASELINES, variances)}


def perturbed(draws: int) -> dict[str, float]:
    """(J(theta + e) - J(theta - e)) / 2 e, e = +-1 at random: unbiased for a sum, with a variance of n - 1 a coordinate."""
    found = {}
    n = gx.dim("n")
    signs = gx.where(gx.random.bernoulli(gx.random.key(5), 0.5, (draws, n)), 1.0, -1.0)
    theta = gx.vector("theta", n)
    J = lambda at: gx.sum(at, axis=-1)
    estimate = (J(theta + signs) - J(theta - signs))[:, None] / (2 * signs)
    f = gx.function([theta], [gx.mean(estimate), gx.mean(gx.var(estimate, axis=0))])
    for size in (10, 100):
        mean, variance = f(np.zeros(size))
        found[f"perturbation of {size}: variance"] = float(variance)
        assert abs(mean - 1) < 0.2 and abs(variance / (size - 1) - 1) < 0.2
    return found


def main(short: bool = False) -> dict[str, float]:
    """The list, the draws, and what happens without knowing which parameter does what."""
    exact = listed()
    found = drawn(exact, 100_000 if short else 1_000_000) | perturbed(1000 if short else 10_000)
    print("true gradient", exact["slope"].round(4), " best baselines", exact["best"].round(4))
    for name, value in found.items():
        print(f"{name:34} {value:10.4f}")
    none, mean, best = (found[f"variance, baseline {name}"] for name in BASELINES)
    assert none > 2 * mean > 2 * best
    return found


if __name__ == "__main__":
    stage.run(main)
