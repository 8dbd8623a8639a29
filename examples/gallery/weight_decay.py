"""Penalties on weights: L2, L1, and a prior around other weights, on a few digits that a network would learn by heart.

    python examples/gallery/weight_decay.py

    J = L + lambda sum w^2           J = L + lambda sum |w|

The first is what maximum a posteriori makes of a Gaussian prior, log P(w) = -lambda sum w^2, and shrinks all weights. The second makes
many of them exactly zero, if it is taken in steps that know its kink: shrink every weight by rate times lambda, and stop at zero.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

FEW = 200  # training pictures


def scores(p, x):
    """One layer."""
    return x @ p["W"] + p["b"]


def penalised(p, x, y, weight, around=0.0):
    """Cross-entropy plus weight times the squared distance of W from where the prior has its centre; biases are free."""
    return gx.nn.cross_entropy(scores(p, x), y) + weight * gx.sum((p["W"] - around) ** 2)


def identities(x: np.ndarray, y: np.ndarray) -> None:
    """The penalty's gradient is 2 lambda (W - W_0); for lambda = 0 it is none; a Gaussian prior is the same cost up to a constant."""
    rng = np.random.default_rng(1)
    p = stage.dense(rng, 64, 10, "float64")
    centre = rng.normal(size=(64, 10))
    q, weight, c = gx.like(p), gx.scalar("weight"), gx.like(centre)
    slope = lambda cost: gx.grad(cost, q)["W"]
    log_prior = gx.sum(-weight * (q["W"] - c) ** 2)
    bare = gx.nn.cross_entropy(scores(q, x), y)
    f = gx.function([q, weight, c], [slope(penalised(q, x, y, weight, c)), slope(bare), slope(bare - log_prior)])
    plus, plain, posterior = f(p, 0.3, centre)
    np.testing.assert_allclose(plus - plain, 0.6 * (p["W"] - centre), rtol=1e-12)
    np.testing.assert_allclose(posterior, plus, rtol=1e-12)
    np.testing.assert_array_equal(f(p, 0.0, centre)[0], plain)


def ridge(x, y, test_x, test_y, steps: int) -> dict[float, float]:
    """The negative log likelihood of test pictures for each penalty; one compiled training serves them all."""
    start = stage.dense(np.random.default_rng(0), 64, 10, "float64", gain=0.1)
    q, weight = gx.like(start), gx.scalar("weight")
    opt = gx.optim.adam(0.03)

    def step(k, state):
        p, slots = state
        return opt.update(gx.grad(penalised(p, x, y, weight), p), slots, p)

    p, _ = gx.fori_loop(0, steps, step, (q, opt.init(q)))
    train = gx.function([q, weight], [gx.nn.cross_entropy(scores(p, test_x), test_y), gx.sum(p["W"] ** 2)])
    results = {value: train(start, value) for value in (0.0, 1e-5, 1e-4, 1e-3, 1e-2)}
    for value, (loss, norm) in results.items():
        print(f"L2, lambda {value:7.5f}: test loss {loss:.4f}, sum of squares {norm:8.2f}")
    norms = [float(norm) for _, norm in results.values()]
    assert norms == sorted(norms, reverse=True)
    return {value: float(loss) for value, (loss, _) in results.items()}


def lasso(x, y, test_x, test_y, steps: int, weight: float, rate: float = 0.3) -> tuple[float, float]:
    """The share of weights that are exactly zero, and the test accuracy: gradient steps, each followed by a soft threshold."""

    def step(k, p):
        g = gx.grad(gx.nn.cross_entropy(scores(p, x), y), p)
        W = p["W"] - rate * g["W"]
        return {"W": gx.sign(W) * gx.maximum(gx.abs(W) - rate * weight, 0), "b": p["b"] - rate * g["b"]}

    start = stage.dense(np.random.default_rng(0), 64, 10, "float64", gain=0.1)
    q = gx.like(start)
    p = gx.function([q], gx.fori_loop(0, steps, step, q))(start)
    accuracy = float(np.mean(np.argmax(test_x @ p["W"] + p["b"], axis=1) == test_y))
    return float(np.mean(p["W"] == 0)), accuracy


def main(short: bool = False) -> dict[str, float]:
    """The identities, a row of L2 penalties, and how sparse L1 makes the weights."""
    images, labels, test_images, test_labels = data.digits("float64")
    images, labels = images[:FEW], labels[:FEW]
    identities(images, labels)
    print("gradients: 2 lambda (W - W_0), that of a Gaussian prior around W_0")
    losses = ridge(images, labels, test_images, test_labels, 300 if short else 2000)
    best = min(losses, key=losses.get)
    assert 0 < best < 0.1 and losses[best] < losses[0.0]
    zeros, accuracy = lasso(images, labels, test_images, test_labels, 500 if short else 5000, 0.003)
    none, dense = lasso(images, labels, test_images, test_labels, 500 if short else 5000, 0.0)
    print(f"L1: {zeros:.0%} of the weights are zero, test accuracy {accuracy:.1%}; without it {none:.0%} and {dense:.1%}")
    assert zeros > 0.5 > none and accuracy > 0.85
    return {"best": best, "gain": losses[0.0] - losses[best], "zeros": zeros, "none": none, "accuracy": accuracy}


if __name__ == "__main__":
    stage.run(main)
