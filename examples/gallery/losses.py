"""What each loss asks for: the mean, the median, a frequency; and what its gradient says to the scores.

    python examples/gallery/losses.py

Of all constants the mean has the least squared error, the median the least absolute error; -log p asks for the frequency. With a softmax
its gradient is probability minus truth: about 1 where the answer is wrong, however wrong. That of a squared error vanishes there.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx


def huber(z, delta: float):
    """z^2 where |z| <= delta, then a line of the same slope: 2 delta (|z| - delta / 2)."""
    size = gx.abs(z)
    return gx.where(size <= delta, z**2, 2 * delta * (size - delta / 2))


def bernoulli(score, y):
    """-y log p - (1 - y) log(1 - p) with p = sigmoid(score), as a textbook writes it; y may be soft."""
    p = gx.sigmoid(score)
    return -y * gx.log(p) - (1 - y) * gx.log(1 - p)


def kl(p, q):
    """sum p log(p / q), where 0 log 0 = 0."""
    return gx.sum(gx.special.xlogy(p, p) - gx.special.xlogy(p, q))


def constants(steps: int) -> dict[str, np.ndarray]:
    """The best constant by each loss: for how long Old Faithful erupts, whether more than 3 minutes, and for the digits' labels."""
    minutes, labels = data.table("geyser")["minutes"], data.digits()[1][:250]

    def cost(c):
        return (
            gx.mean((minutes - c["squared"]) ** 2)
            + gx.mean(gx.abs(minutes - c["absolute"]))
            + gx.mean(huber(minutes - c["huber"], 0.5))
            + gx.mean(bernoulli(c["bernoulli"], (minutes > 3).astype(float)))
            + gx.mean(gx.logsumexp(c["softmax"]) - c["softmax"][labels])
        )

    start = {"squared": 3.0, "absolute": 3.0, "huber": 3.0, "bernoulli": 0.0, "softmax": np.zeros(10)}
    return stage.minimise(cost, start, steps, gx.optim.schedules.cosine(0.05, steps))


def check_constants(short: bool) -> dict[str, float]:
    """The found constants beside the statistics that they are."""
    minutes, labels = data.table("geyser")["minutes"], data.digits()[1][:250]
    c = constants(500 if short else 3000)
    share, frequencies = np.mean(minutes > 3), np.bincount(labels) / len(labels)
    p = np.exp(c["softmax"]) / np.exp(c["softmax"]).sum()
    print(f"squared error: {c['squared']:.4f}, mean {minutes.mean():.4f};  absolute: {c['absolute']:.4f}, median {np.median(minutes):.4f}")
    print(f"Huber's loss: {c['huber']:.4f};  Bernoulli: {1 / (1 + np.exp(-c['bernoulli'])):.4f}, frequency {share:.4f}")
    print(f"softmax: probabilities within {np.abs(p - frequencies).max():.0e} of the frequencies")
    assert abs(c["squared"] - minutes.mean()) < 1e-3 and abs(c["absolute"] - np.median(minutes)) < 1e-2
    assert abs(c["bernoulli"] - np.log(share / (1 - share))) < 1e-3 and np.abs(p - frequencies).max() < 1e-3
    return {"squared": c["squared"], "absolute": c["absolute"], "huber": c["huber"]}


def gradients() -> dict[str, np.ndarray]:
    """Losses and their gradients with respect to scores, by one compiled function."""
    a, y = gx.vector("a", "n"), gx.vector("y", "n")
    p = gx.softmax(a)
    nll = -gx.sum(y * gx.log(p))
    results = {
        "softmax": p,
        "nll": nll,
        "by nll": gx.grad(nll, a),
        "by squares": gx.grad(gx.sum((p - y) ** 2), a),
        "by kl": gx.grad(kl(y, p), a),
        "by bernoulli": gx.grad(gx.sum(bernoulli(a, y)), a),
        "kl": kl(y, p),
        "entropy": -gx.sum(gx.special.xlogy(y, y)),
    }
    return gx.function([a, y], results)


def main(short: bool = False) -> dict[str, float]:
    """Constants first; then the gradients at the textbook's numbers and where the scores are very wrong."""
    figures = check_constants(short)
    f = gradients()
    second = np.eye(4)[1]
    at = f(np.array([1.0, 2, 3, 4]), second)
    np.testing.assert_allclose(at["by nll"], at["softmax"] - second, rtol=1e-14)
    wrong = f(np.array([20.0, 0, 0]), second[:3])
    print(f"a = (20, 0, 0), truth the second: slope of -log p {wrong['by nll'][1]:.4f}, of the squared error {wrong['by squares'][1]:.1e}")
    far = f(np.array([1000.0, -1000.0]), np.array([0.0, 1.0]))
    assert far["nll"] == 2000 and far["by bernoulli"].tolist() == [1, -1]  # finite where exp(1000) is not

    y, scores = np.array([0.5, 0.25, 0.125, 0.125]), np.array([0.3, -1.0, 2.0, 0.5])
    soft = f(scores, y)
    bits = f(np.zeros(4), y)
    entropy, crossed, divergence = (float(bits[name] / np.log(2)) for name in ("entropy", "nll", "kl"))
    print(f"entropy {entropy:.2f} bits, cross-entropy to the uniform {crossed:.2f}, divergence {divergence:.2f}")
    np.testing.assert_allclose(soft["nll"], soft["entropy"] + soft["kl"], rtol=1e-13)
    np.testing.assert_allclose(soft["by kl"], soft["by nll"], rtol=1e-12)
    np.testing.assert_allclose(soft["by bernoulli"], 1 / (1 + np.exp(-scores)) - y, rtol=1e-13)
    assert abs(f(np.log(y), y)["kl"]) < 1e-15
    figures |= {"nll": at["nll"], "by nll": at["by nll"][1], "by squares": at["by squares"][1], "vanished": wrong["by squares"][1]}
    return figures | {"entropy": entropy, "cross-entropy": crossed, "kl": divergence}


if __name__ == "__main__":
    stage.run(main)
