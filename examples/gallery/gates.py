"""Networks of threshold gates: consecutive ones, exclusive or, parity deep and shallow, set by hand; then one of them learnt.

    python examples/gallery/gates.py

A perceptron fires where its weighted sum exceeds a threshold. One of them separates by a plane, so it cannot compute exclusive or. Two
layers compute any function of bits, but a network that has only two may need exponentially many gates where a deep one needs a few.
"""

from __future__ import annotations

import itertools

import numpy as np
import stage

import graphc as gx

CONSECUTIVE = {  # number of bits -> weights and thresholds of the hidden gates; the output gate is an or
    4: ([[1, 2, 1, 0], [0, 0, 1, 1]], [2.5, 1.5]),
    5: ([[1, 2, 1, 0, 0], [0, 0, 1, 2, 1]], [2.5, 2.5]),
    6: ([[1, 2, 1, 0, 0, 0], [0, 0, 1, 2, 1, 0], [0, 0, 0, 0, 1, 1]], [2.5, 2.5, 1.5]),
}


def bits(n: int) -> np.ndarray:
    """All 2^n vectors of n bits, in counting order."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def gates(x, weights, thresholds):
    """A layer: gate j is 1 where x @ weights[j] > thresholds[j], else 0."""
    return gx.astype(x @ np.transpose(np.array(weights, float)) > np.array(thresholds), "float64")


def consecutive_ones(x, biased: bool = False):
    """1 where the row of bits x has two ones next to each other. Biased: thresholds are weights of an input that is always 1."""
    weights, thresholds = CONSECUTIVE[x.shape[1]]
    if biased:
        one = gx.ones((x.shape[0], 1))
        weights, thresholds, x = np.c_[weights, -np.array(thresholds)], np.zeros(len(weights)), gx.concatenate([x, one], axis=1)
    return gates(gates(x, weights, thresholds), np.ones(len(weights)), 0.5)


def counting(x):
    """Parity by one hidden layer of n gates, the k-th of which fires where at least k bits are set: n + 1 gates."""
    n = x.shape[1]
    return gates(gates(x, np.ones((n, n)), np.arange(n) + 0.5), (-1.0) ** np.arange(n), 0.5)


def two_levels(x, truth: np.ndarray):
    """Any function of n bits, given by its 2^n values: a hidden gate for every vector where it is 1, then an or."""
    patterns = bits(x.shape[1])[truth > 0]
    return gates(gates(x, 2 * patterns - 1, patterns.sum(1) - 0.5), np.ones(len(patterns)), 0.5)


def tree(x):
    """Parity of n = 2^d bits by exclusive ors of two, three gates each, in d rounds: 3 (n - 1) gates."""
    while x.shape[1] > 1:
        total = x[:, ::2] + x[:, 1::2]
        x = gx.astype(gx.astype(total > 0.5, "float64") - gx.astype(total > 1.5, "float64") > 0.5, "float64")
    return x[:, 0]


def learn(steps: int) -> float:
    """The share of right answers for 4 bits of a 4-4-1 network of sigmoids in place of steps, trained by gradient descent."""
    rng = np.random.default_rng(3)
    p = gx.shared({"W": rng.normal(size=(4, 4)), "b": np.zeros(4), "v": rng.normal(size=4), "c": 0.0})
    x, t = gx.tensor("x", ("n", 4)), gx.tensor("t", ("n",))
    score = gx.sigmoid(x @ p["W"] + p["b"]) @ p["v"] + p["c"]
    loss = gx.mean(gx.softplus(score) - t * score)  # -log of the probability of t
    descent = gx.tree.map(lambda value, slope: value - 2 * slope, p, gx.grad(loss, p))
    step = gx.function([x, t], score, updates=(p, descent))
    X = bits(4)
    wanted = (X[:, :-1] * X[:, 1:]).max(1)
    for _ in range(steps):
        score = step(X, wanted)
    return float(np.mean((score > 0) == wanted))


def main(short: bool = False) -> dict[str, float]:
    """Count what the gates of each construction say of every vector of bits, and how many gates it takes."""
    figures = {}
    for n in CONSECUTIVE:
        x = gx.tensor("x", ("m", n))
        plain, biased = gx.function([x], [consecutive_ones(x), consecutive_ones(x, biased=True)])(bits(n))
        wanted = [float("11" in "".join(str(int(b)) for b in row)) for row in bits(n)]
        assert plain.tolist() == biased.tolist() == wanted
        figures[f"consecutive ones of {n}"] = plain.sum()
        print(f"consecutive ones of {n} bits: {plain.sum():.0f} good of {2**n}, {len(CONSECUTIVE[n][0]) + 1} gates, none wrong")
    for n in (2, 4, 8):  # 2: exclusive or
        x = gx.tensor("x", ("m", n))
        parity = bits(n).sum(1) % 2
        for answer in gx.function([x], [counting(x), two_levels(x, parity), tree(x)])(bits(n)):
            np.testing.assert_array_equal(answer, parity)
        print(f"parity of {n} bits: {2 ** (n - 1) + 1} gates in two levels of and and or, {n + 1} that count, {3 * (n - 1)} in a tree")
    x = gx.tensor("x", ("m", 2))
    for truth in bits(4):  # the 2^(2^2) functions of two bits
        np.testing.assert_array_equal(gx.function([x], two_levels(x, truth), mode="interpret")(bits(2)), truth)
    figures["learnt"] = learn(300 if short else 2000)
    print(f"consecutive ones of 4 bits, learnt by sigmoids: {figures['learnt']:.0%} right")
    assert figures["learnt"] == 1
    return figures


if __name__ == "__main__":
    stage.run(main)
