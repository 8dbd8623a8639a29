"""A net whose hidden units are coins reads digits; what it learns depends on the baseline.

    python examples/gallery/bernoulli_net.py

Through the coins no gradient flows; behind them it does, and before them the score function stands in: cost times slope of the log
probability. Its noise falls with a baseline: none, a moving average of the cost, or that and a correction for each image, which a small
net learns on the side. Costs are divided by a moving average of their spread (variance normalisation); both averages are state, which the
training call itself updates. (GBC14 6.5.1)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import digits

import graphc as gx

UNITS, KEEP = 48, 0.95
BASELINES = ("none", "moving average", "learnt")


def coins(p: Any, x: Any, rng: Any) -> tuple[Any, Any]:
    """(units 0 or 1, the log probability that they fell so), one row an image."""
    omega = gx.nn.dense(p, x)
    b = rng.bernoulli(gx.sigmoid(omega)).astype("float32")
    return b, gx.sum(gx.where(b > 0.5, -gx.softplus(-omega), -gx.softplus(omega)), axis=1)


def averages(cost: Any, mean: Any, square: Any) -> tuple[Any, Any, Any]:
    """(new mean, new mean square, spread before): moving averages of the costs of batches."""
    new_mean, new_square = KEEP * mean + (1 - KEEP) * gx.mean(cost), KEEP * square + (1 - KEEP) * gx.mean(cost**2)
    return new_mean, new_square, gx.sqrt(gx.maximum(square - mean**2, 1e-4))


def build(baseline: str) -> tuple[gx.Function, gx.Function, Any]:
    """(a step of training -> mean cost; the classifier, which averages 20 draws; the moving averages)."""
    start = np.random.default_rng(0)
    layer = lambda *sizes: gx.nn.init.dense(start, *sizes, dtype="float32")
    p, guess = gx.shared({"coins": layer(64, UNITS), "out": layer(UNITS, 10)}), gx.shared({"w": layer(64, 32), "v": layer(32, 1)})
    mean, square = gx.shared(np.float32(2.3)), gx.shared(np.float32(6))
    rng = gx.random.default_rng(1)
    rate = gx.scalar("rate", "float32")
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    b, log_p = coins(p["coins"], x, rng)
    cost = gx.nn.cross_entropy(gx.nn.dense(p["out"], b), y, reduction="none")
    new_mean, new_square, spread = averages(cost, mean, square)
    learnt = gx.nn.dense(guess["v"], gx.relu(gx.nn.dense(guess["w"], x)))[:, 0]
    subtracted = {"none": gx.zeros_like(cost), "moving average": mean, "learnt": mean + gx.stop_gradient(learnt)}[baseline]
    loss = gx.mean(gx.random.score_function((cost - subtracted) / spread, log_p))
    updates = [*gx.optim.adam(rate).updates(loss, p), (mean, new_mean), (square, new_square)]
    if baseline == "learnt":
        updates += gx.optim.adam(0.003).updates(gx.mean((mean + learnt - gx.stop_gradient(cost)) ** 2), guess)
    step = gx.function([x, y, rate], [gx.mean(cost), gx.mean(cost**2)], updates=updates)
    many = gx.vmap(lambda _: gx.softmax(gx.nn.dense(p["out"], coins(p["coins"], x, rng)[0])))(gx.arange(20))
    return step, gx.function([x], gx.mean(many, axis=0)), (mean, square)


def main(short: bool = False) -> dict[str, float]:
    """Train with each baseline (when short, with the last), and follow the moving averages in NumPy."""
    images, labels, test, answers = digits()
    found: dict[str, float] = {}
    for baseline in BASELINES[-1:] if short else BASELINES:
        step, classify, state = build(baseline)
        rng, wanted, costs = np.random.default_rng(2), [2.3, 6.0], []
        epochs = 8 if short else 150
        for epoch in range(epochs):
            for part in stage.minibatches(rng, len(labels), 64):
                cost, squared = step(images[part], labels[part], 0.01 * (1 - epoch / epochs))
                wanted = [KEEP * wanted[0] + (1 - KEEP) * float(cost), KEEP * wanted[1] + (1 - KEEP) * float(squared)]
                costs.append(float(cost))
        np.testing.assert_allclose([s.get_value() for s in state], wanted, rtol=1e-3)
        chances = classify(test)
        assert not np.array_equal(chances, classify(test)), "every call throws its coins anew"
        found |= {baseline: float(np.mean(chances.argmax(axis=1) == answers)), f"{baseline}: cost": float(np.mean(costs[-23:]))}
        print(f"baseline {baseline:16} cost {found[f'{baseline}: cost']:.3f}   held-out accuracy {found[baseline]:.2%}")
    assert found["learnt: cost"] < (costs[0] - 0.2 if short else 1.0)
    assert short or found["learnt: cost"] < found["moving average: cost"] < found["none: cost"] / 1.3
    return found


if __name__ == "__main__":
    stage.run(main)
