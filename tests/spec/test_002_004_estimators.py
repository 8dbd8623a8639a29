"""spec/002-004.md: R54, R58 to R61, F3: estimators of gradients through chance.

The figures of F3 are asserted by `examples/gallery/reinforce.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from tests.gallery.kit import program
from tests.spec.kit import close, difference, run

RNG = np.random.default_rng(54)


def test_R54_a_net_whose_output_is_drawn() -> None:
    """y = mu(x; W) + sigma(x; V) z: with z as it fell, gradients are differences; z depends on neither."""
    X = RNG.normal(size=(6, 3))
    p = gx.like(values := {"W": RNG.normal(size=(3, 2)), "V": RNG.normal(size=(3, 2)) / 2}, "p")
    z = gx.random.normal(gx.random.key(54), (6, 2))
    cost = gx.mean(gx.cos(X @ p["W"] + gx.softplus(X @ p["V"]) * z))
    f = gx.function([p], [cost, gx.grad(cost, p)])
    _, slopes = f(values)
    for name in values:
        wanted = difference(lambda v, name=name: f({**values, name: v})[0], values[name])
        np.testing.assert_allclose(slopes[name], wanted, rtol=1e-6, atol=1e-9)


def test_R58_the_score_of_coins() -> None:
    """d log p(y) / d omega = y - sigmoid(omega), and `score_function` multiplies it with the cost of each draw."""
    module, omega = program("reinforce"), gx.vector("omega", 3)
    y = gx.random.bernoulli(gx.random.key(58), gx.sigmoid(omega), (50, 3)).astype("float64")
    score = gx.jacobian(module.log_probability(omega, gx.stop_gradient(y)), omega)
    estimate = gx.grad(gx.mean(gx.random.score_function(module.cost(y), module.log_probability(omega, y))), omega)
    drawn, found, slope = run([y, score, estimate], {omega: module.OMEGA})
    close(found, drawn - 1 / (1 + np.exp(-module.OMEGA)), rtol=1e-11, atol=1e-14)
    close(slope, np.mean(module.cost(drawn)[:, None] * found, axis=0), rtol=1e-11)


def test_R59_a_baseline_changes_no_mean() -> None:
    """Over all outcomes, for any baseline; the best one of equation 6.16 has the least variance of a grid around it."""
    module = program("reinforce")
    exact = module.listed()
    outcomes = np.array([[a, b, c] for a in (0.0, 1) for b in (0.0, 1) for c in (0.0, 1)])
    chance = 1 / (1 + np.exp(-module.OMEGA))
    p = np.prod(np.where(outcomes > 0.5, chance, 1 - chance), axis=1)
    spread = lambda b: p @ ((module.cost(outcomes)[:, None] - b) * (outcomes - chance)) ** 2
    for b in (-3.0, 0.0, exact["mean"], exact["best"]):
        close(p @ ((module.cost(outcomes)[:, None] - b) * (outcomes - chance)), exact["slope"], rtol=1e-11)
        assert (spread(b) >= spread(exact["best"])).all()


def test_R60_averages_of_ten_calls() -> None:
    """Mean and mean square of the costs, moved by the training call itself, are those of a loop."""
    module = program("bernoulli_net")
    cost, mean, square = gx.vector("cost", "n"), gx.shared(2.0), gx.shared(5.0)
    new_mean, new_square, spread = module.averages(cost, mean, square)
    f = gx.function([cost], spread, updates=[(mean, new_mean), (square, new_square)])
    a, b = 2.0, 5.0
    for _ in range(10):
        costs = RNG.exponential(size=7)
        np.testing.assert_allclose(f(costs), np.sqrt(b - a * a), rtol=1e-12)
        a, b = module.KEEP * a + (1 - module.KEEP) * costs.mean(), module.KEEP * b + (1 - module.KEEP) * np.mean(costs**2)
    close([mean.get_value(), square.get_value()], [np.float64(a), np.float64(b)], rtol=1e-12)


def test_R61_upstream_from_an_estimate() -> None:
    """An estimate of the gradient by omega, pulled back through what makes omega, is the gradient of the surrogate."""
    module, W = program("reinforce"), gx.tensor("W", (4, 3))
    x = RNG.normal(size=(5, 4))
    omega = gx.tanh(x @ W)

    def surrogate(omega: Any) -> Any:
        y = gx.random.bernoulli(gx.random.key(61), gx.sigmoid(omega)).astype("float64")
        return gx.sum(gx.random.score_function(module.cost(y), module.log_probability(omega, y)))

    free = gx.tensor("free", (5, 3))
    estimate = gx.substitute(gx.grad(surrogate(free), free), {free: omega})
    (pulled,) = gx.vjp(omega, [W], estimate)
    value, wanted = run([pulled, gx.grad(surrogate(omega), W)], {W: RNG.normal(size=(4, 3))})
    close(value, wanted, rtol=1e-11)
