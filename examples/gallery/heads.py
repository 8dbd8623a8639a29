"""Several outputs: two tasks that share a trunk, and eight labels as one joint softmax against eight separate ones.

    python examples/gallery/heads.py

With outputs independent given the trunk, log likelihoods add up, and so do the gradients that reach the trunk. Labels that depend on each
other even then can be one softmax over all 2^8 configurations: what is a number there is a pattern of bits.
"""

from __future__ import annotations

import itertools

import data
import numpy as np
import stage

import graphc as gx

HIDDEN = 48
ASKED = np.array([18, 19, 20, 21, 34, 35, 36, 37])  # eight pixels to guess
GIVEN = np.setdiff1d(np.arange(64).reshape(8, 8)[:, ::4], ASKED)  # from sixteen others


def trunk(p, x):
    """What all heads see."""
    return gx.relu(x @ p["W"] + p["b"])


def head(p, h):
    """Scores of one head."""
    return h @ p["W"] + p["b"]


def two_tasks(images, labels, test_images, test_labels, epochs: int) -> dict[str, float]:
    """Which digit, and is it odd? One trunk; its gradient is the sum of the tasks' gradients."""
    rng = np.random.default_rng(0)
    p = gx.shared({"trunk": stage.dense(rng, 64, HIDDEN), "digit": stage.dense(rng, HIDDEN, 10), "odd": stage.dense(rng, HIDDEN, 2)})
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    h = trunk(p["trunk"], x)
    digit, odd = head(p["digit"], h), head(p["odd"], h)
    losses = gx.nn.cross_entropy(digit, y), gx.nn.cross_entropy(odd, y % 2)
    total = losses[0] + losses[1]
    slopes = [gx.grad(loss, p["trunk"]["W"]) for loss in (*losses, total)]
    step = gx.function([x, y], [total, *slopes], updates=gx.optim.momentum(0.05).updates(total, p))
    _, first, second, both = step(images[:64], labels[:64])
    apart = float(np.abs(first + second - both).max() / np.abs(both).max())
    stage.epochs(lambda *batch: step(*batch)[0], (images, labels), epochs)
    answers = gx.function([x], [gx.argmax(digit, axis=1), gx.argmax(odd, axis=1)])(test_images)
    figures = {"digit": np.mean(answers[0] == test_labels), "odd": np.mean(answers[1] == test_labels % 2), "apart": apart}
    print(f"two tasks: digit {figures['digit']:.1%}, odd or even {figures['odd']:.1%}; trunk's gradient = the sum to {apart:.0e}")
    assert apart < 1e-5 and min(figures["odd"], figures["digit"]) > 0.9
    return figures


def separate(p, x, bits):
    """-log P of the bits, (n, 8) -> (n,), by eight independent heads."""
    scores = head(p["out"], trunk(p["trunk"], x))
    return gx.sum(gx.softplus(scores) - bits * scores, axis=1)


def joint(p, x, bits):
    """-log P of the bits, (n, 8) -> (n,), by one softmax over the 256 numbers that they write."""
    number = gx.astype(bits @ 2.0 ** np.arange(8), "int64")
    scores = head(p["out"], trunk(p["trunk"], x))
    return gx.nn.cross_entropy(scores, number, reduction="none")


def eight_labels(images, test_images, steps: int) -> dict[str, float]:
    """-log likelihood of eight pixels given sixteen, on test pictures; and that the 256 probabilities of one picture sum to one."""
    X, B, test_X, test_B = images[:, GIVEN], np.round(images[:, ASKED]), test_images[:, GIVEN], np.round(test_images[:, ASKED])
    nets, start = {"separate": (separate, 8), "joint": (joint, 256)}, {}
    for name, (_, outputs) in nets.items():
        rng = np.random.default_rng(1)
        start[name] = {"trunk": stage.dense(rng, len(GIVEN), HIDDEN, "float64"), "out": stage.dense(rng, HIDDEN, outputs, "float64")}

    def losses(p, x, bits):
        return {name: loss(p[name], x, bits) for name, (loss, _) in nets.items()}

    def cost(p):  # both at once: they share nothing
        weights = [q[layer]["W"] for q in p.values() for layer in ("trunk", "out")]
        return sum(gx.mean(loss) for loss in losses(p, X, B).values()) + 3e-3 * sum(gx.sum(W**2) for W in weights)

    p = stage.minimise(cost, start, steps, 0.02)
    x, b = gx.tensor("x", ("n", len(GIVEN))), gx.tensor("b", ("n", 8))
    f = gx.function([x, b], losses(p, x, b))
    every = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    for name, loss in f(np.repeat(test_X[:1], 256, axis=0), every).items():
        assert abs(np.exp(-loss).sum() - 1) < 1e-12, name
    figures = {name: float(loss.mean()) for name, loss in f(test_X, test_B).items()}
    print(f"eight pixels: -log likelihood {figures['separate']:.3f} by eight heads, {figures['joint']:.3f} by one softmax of 256")
    assert figures["joint"] < figures["separate"]
    return figures


def main(short: bool = False) -> dict[str, float]:
    """Two tasks on one trunk, and eight labels at once."""
    figures = two_tasks(*data.digits(), 4 if short else 30)
    images, _, test_images, _ = data.digits("float64")
    return figures | eight_labels(images, test_images, 100 if short else 400)


if __name__ == "__main__":
    stage.run(main)
