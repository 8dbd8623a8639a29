"""Linear models: regression in closed form and by descent, logistic regression by Newton's method, and the perceptron's rule.

    python examples/gallery/linear_models.py

Linear regression: the loss of ammonia in a plant, from air, water and acid; the normal equations give at once what descent approaches.
Logistic regression: do O-rings of a space shuttle suffer, given the temperature at launch? Challenger's last launch was at 31 F.
The perceptron corrects its weights by every example that it gets wrong, and stops where a plane separates the classes: never else.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx


def plane(X: np.ndarray, y: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of least squares: by the normal equations with a column of ones for the bias, and by descent with a bias of its own."""
    x, t = gx.tensor("x", ("n", X.shape[1])), gx.tensor("t", ("n",))
    ones = gx.concatenate([gx.ones((x.shape[0], 1)), x], axis=1)
    closed = gx.linalg.solve(ones.T @ ones, ones.T @ t)

    def down(k, p):
        slope = gx.grad(gx.mean((x @ p["w"] + p["b"] - t) ** 2), p)
        return gx.tree.map(lambda value, g: value - 0.3 * g, p, slope)

    descended = gx.fori_loop(0, steps, down, {"w": gx.zeros(X.shape[1]), "b": gx.asarray(0.0)})
    exact, found = gx.function([x, t], [closed, descended])(X, y)
    return exact, np.r_[found["b"], found["w"]]


def logistic(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights, their gradient and the number of steps of Newton's method, each a solve with the Hessian; the loop is native code."""
    x, t = gx.tensor("x", ("n", X.shape[1])), gx.tensor("t", ("n",))

    def cost(w):
        return gx.sum(-gx.log(gx.sigmoid(gx.where(t > 0, 1, -1) * (x @ w))))  # a pass makes it stable

    def step(state):
        w, g, k = state
        w = w - gx.linalg.solve(gx.hessian(cost(w), w), g)
        return w, gx.grad(cost(w), w), k + 1

    w = gx.zeros(X.shape[1])
    start = (w, gx.grad(cost(w), w), gx.asarray(0))
    return gx.function([x, t], gx.while_loop(lambda state: gx.max(gx.abs(state[1])) > 1e-9, step, start))(X, y)


def perceptron(X: np.ndarray, y: np.ndarray, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rosenblatt's rule: w <- w + t x for each example with t w.x <= 0. The last weights, and the mistakes of each sweep over the data."""
    x, t = gx.tensor("x", ("n", X.shape[1])), gx.tensor("t", ("n",))

    def see(w, example):
        row, sign = example
        wrong = sign * (row @ w) <= 0
        return gx.where(wrong, w + sign * row, w), wrong

    def sweep(w, _):
        w, wrong = gx.scan(see, w, (x, t))
        return w, gx.sum(wrong)

    return gx.function([x, t], gx.scan(sweep, gx.zeros(X.shape[1]), length=sweeps))(X, y)


def main(short: bool = False) -> dict[str, float]:
    """Fit all three; compare with each other and with what the literature found in these data."""
    columns = data.table("stackloss")
    loss = columns.pop("loss")
    exact, found = plane(data.standardised(np.stack(list(columns.values()), 1)), loss, 1000)
    apart = np.abs(exact - found).max()
    print(f"loss of ammonia: mean {exact[0]:.4f}, slopes a standard deviation {np.round(exact[1:], 3)}; descent differs by {apart:.0e}")
    assert apart < 1e-9

    flights = data.table("orings")
    w, slope, steps = logistic(np.stack([np.ones(23), flights["fahrenheit"] - 70], 1), (flights["distressed"] > 0).astype(float))
    cold = 1 / (1 + np.exp(-w @ [1, 31 - 70]))
    print(f"O-rings: slope {w[1]:.4f} a degree after {steps} steps of Newton; P(distress at 31 F) = {cold:.4f}")
    assert np.abs(slope).max() < 1e-9

    flowers, species = data.iris()
    flowers = np.c_[flowers, np.ones(150)]
    weights, mistakes = perceptron(flowers, np.where(species == 0, 1.0, -1.0), 10)
    never = perceptron(flowers[50:], np.where(species[50:] == 1, 1.0, -1.0), 50 if short else 2000)[1]
    print(f"perceptron: setosa against the others, mistakes a sweep {mistakes.tolist()}")
    print(f"perceptron: versicolor against virginica, never fewer than {never.min()} a sweep: no plane separates them")
    assert mistakes[-1] == 0 and ((flowers @ weights > 0) == (species == 0)).all() and never.min() > 0
    return {"mean loss": exact[0], "O-ring slope": w[1], "at 31 F": cold, "mistakes": mistakes.sum(), "never": never.min()}


if __name__ == "__main__":
    stage.run(main)
