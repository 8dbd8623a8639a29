"""Regression by one hidden layer of sigmoids, trained by stochastic gradient descent exactly as the textbook prints it.

    python examples/gallery/shallow_regression.py

    f(x) = b + V sigmoid(c + W x),    J = lambda (|W|^2 + |V|^2) + |f(x) - y|^2,
    omega <- omega - eps (2 lambda omega + grad L),   beta <- beta - eps grad L,   t <- t + 1 modulo n

The data: Brownlee's 21 days of a plant that oxidises ammonia; how much of it is lost, given air flow, water temperature and acid. One
compiled function makes one step; another makes them all, as a loop in native code.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

LAMBDA, EPSILON = 1e-4, 0.02


def predict(p, x):
    """One hidden layer; x (inputs,) -> (outputs,)."""
    return p["b"] + p["V"] @ gx.sigmoid(p["c"] + p["W"] @ x)


def cost(p, x, y, weight):
    """Squared error plus the penalty, of the weights and not of the biases."""
    return weight * (gx.sum(p["W"] ** 2) + gx.sum(p["V"] ** 2)) + gx.sum((predict(p, x) - y) ** 2)


def printed_example() -> float:
    """J and its gradient at given numbers: the derivatives of the textbook's formulas, written out with NumPy."""
    p = {"W": np.array([[1.0, -1], [0.5, 2]]), "V": np.array([[1.0, -2]]), "b": np.array([0.3]), "c": np.array([0.0, 0.1])}
    x, y = np.array([1.0, 2]), np.array([1.0])
    q = gx.like(p)
    J, slope = gx.function([q], gx.value_and_grad(cost(q, x, y, 0.01), q))(p)
    h = 1 / (1 + np.exp(-(p["c"] + p["W"] @ x)))
    error = 2 * (p["b"] + p["V"] @ h - y)
    back = p["V"].T @ error * h * (1 - h)
    by_hand = {"W": np.outer(back, x) + 0.02 * p["W"], "V": np.outer(error, h) + 0.02 * p["V"], "b": error, "c": back}
    for name, value in by_hand.items():
        np.testing.assert_allclose(slope[name], value, rtol=1e-13)
    return float(J)


def build(n: int, initial):
    """One step of SGD as a function of the example's number; and k steps, from the first example on, as one native loop."""
    X, Y = gx.tensor("X", (n, 3)), gx.tensor("Y", (n, 1))

    def moved(p, t):
        slope = gx.grad(cost(p, X[t], Y[t], LAMBDA), p)
        return gx.tree.map(lambda value, g: value - EPSILON * g, p, slope)

    p, t, k = gx.shared(initial), gx.scalar("t", "int64"), gx.scalar("k", "int64")
    step = gx.function([X, Y, t], updates=(p, moved(p, t)))
    q = gx.like(initial)
    steps = gx.function([X, Y, q, k], gx.fori_loop(0, k, lambda i, r: moved(r, i % n), q))
    return p, step, steps


def main(short: bool = False) -> dict[str, float]:
    """Train both ways, compare the weights, and compare the fit with a plane's."""
    J = printed_example()
    print(f"J of the example by hand {J:.13f}")
    columns = data.table("stackloss")
    Y = data.standardised(columns.pop("loss"))[:, None]
    X = data.standardised(np.stack(list(columns.values()), 1))
    rng = np.random.default_rng(0)
    initial = {"W": rng.normal(size=(6, 3)) / 2, "V": rng.normal(size=(1, 6)) / 2, "b": np.zeros(1), "c": np.zeros(6)}
    p, step, steps = build(len(X), initial)
    for t in range(210):
        step(X, Y, t % len(X))
    looped = steps(X, Y, initial, 210)
    apart = max(float(np.abs(p[name].get_value() - looped[name]).max()) for name in initial)
    print(f"210 calls of one step and one call of 210 steps: weights equal to {apart:.0e}")
    assert apart < 1e-12
    trained = steps(X, Y, initial, 21 * (500 if short else 10_000))
    x = gx.tensor("x", ("n", 3))
    fit = gx.function([x], gx.vmap(lambda row: predict(trained, row))(x))(X)
    error = float(np.mean((fit - Y) ** 2))
    line = np.c_[X, np.ones(len(X))]
    plane = float(np.mean((line @ np.linalg.lstsq(line, Y, rcond=None)[0] - Y) ** 2))
    print(f"mean squared error of the standardised loss: {error:.4f}; of the best plane {plane:.4f}")
    assert error < plane
    return {"J": J, "error": error, "plane": plane}


if __name__ == "__main__":
    stage.run(main)
