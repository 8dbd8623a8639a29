"""The smallest network that has to learn something: exclusive or, which no straight line separates.

    python examples/xor.py

State lives in `gx.shared` variables; `updates` replaces it at the end of each call, so a training step is one call.
"""

from __future__ import annotations

import numpy as np

import graphc as gx

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float64")
TARGETS = np.array([0, 1, 1, 0], dtype="float64")


def build(hidden: int = 8, rate: float = 1.0, seed: int = 0):
    """The training step (x, t) -> loss and the prediction x -> probability of a 2-hidden-1 network."""
    rng = np.random.default_rng(seed)
    p = gx.shared({"W": rng.standard_normal((2, hidden)), "b": np.zeros(hidden), "w": rng.standard_normal(hidden), "c": 0.0})
    x = gx.tensor("x", ("n", 2))
    t = gx.tensor("t", ("n",))
    logit = gx.tanh(x @ p["W"] + p["b"]) @ p["w"] + p["c"]
    probability = 1 / (1 + gx.exp(-logit))
    # Written as in a textbook. Passes turn the logarithms of the probability into softplus, which cannot overflow.
    loss = -gx.mean(t * gx.log(probability) + (1 - t) * gx.log(1 - probability))
    descent = gx.tree.map(lambda value, slope: value - rate * slope, p, gx.grad(loss, p))
    return gx.function([x, t], loss, updates=(p, descent)), gx.function([x], probability)


def main(steps: int = 500) -> np.ndarray:
    """Train, print the loss now and then and the truth table at the end; return the four probabilities."""
    step, predict = build()
    for k in range(1, steps + 1):
        loss = step(INPUTS, TARGETS)
        if k in (1, 10, 100) or k == steps:
            print(f"step {k:4d}   loss {loss:.4f}")
    probabilities = predict(INPUTS)
    for (a, b), probability in zip(INPUTS, probabilities, strict=True):
        print(f"{a:.0f} xor {b:.0f} = {probability > 0.5:d}   (probability {probability:.3f})")
    return probabilities


if __name__ == "__main__":
    main()
