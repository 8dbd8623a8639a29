"""Optimal brain damage: which weights a trained network can do without, by the curvature of its cost.

    python examples/gallery/brain_damage.py --plot damage.png

    saliency of weight k = h_k w_k^2 / 2,    h_k = d^2 J / d w_k^2

is how much the cost rises when w_k becomes 0, if the gradient is 0 and the Hessian diagonal. The diagonal is read off products of the
Hessian with unit vectors, one after the other in a native loop: it is never built.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

HIDDEN = 8
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8)
DECAY = 1e-4


def cost(theta, unravel, x, y):
    """Cross-entropy and a little decay, of all parameters as one vector."""
    p = unravel(theta)
    scores = gx.tanh(x @ p["hidden"]["W"] + p["hidden"]["b"]) @ p["out"]["W"] + p["out"]["b"]
    return gx.nn.cross_entropy(scores, y) + DECAY * gx.sum(theta**2)


def diagonal(J, theta):
    """The diagonal of the Hessian of J: one product with a unit vector for each entry."""
    places = gx.arange(theta.shape[0])
    return gx.map(lambda k: gx.hvp(J, theta, gx.astype(places == k, theta.dtype))[k], places)


def rises(f, theta: np.ndarray, order: np.ndarray) -> list[float]:
    """By how much the cost rises when the first weights of an order are set to 0, for each share of them."""
    costs = []
    for share in SHARES:
        pruned = theta.copy()
        pruned[order[: int(share * len(theta))]] = 0
        costs.append(float(f(pruned)))
    return [value - costs[0] for value in costs]


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Train, find the saliencies, and prune by them, by size, and by lot."""
    images, labels, _, _ = data.digits("float64")
    if short:
        images, labels = images[:200], labels[:200]
    rng = np.random.default_rng(0)
    start = {"hidden": stage.dense(rng, 64, HIDDEN, "float64"), "out": stage.dense(rng, HIDDEN, 10, "float64")}
    vector, unravel = gx.tree.ravel(start)
    theta = stage.minimise(lambda p: cost(p, unravel, images, labels), vector, 600 if short else 3000, 0.02)

    q, x, y = gx.like(theta), gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    J = cost(q, unravel, x, y)
    f = gx.function([q, x, y], J)
    slope, h = gx.function([q, x, y], [gx.grad(J, q), diagonal(J, q)])(theta, images, labels)
    gradient = gx.function([q, x, y], gx.grad(J, q))
    some = rng.choice(len(theta), 20, replace=False)
    for k in some:
        e = 1e-5 * (np.arange(len(theta)) == k)
        difference = (gradient(theta + e, images, labels) - gradient(theta - e, images, labels))[k] / 2e-5
        assert abs(difference - h[k]) < 1e-6 * np.abs(h).max()
    print(f"{len(theta)} parameters, gradient at most {np.abs(slope).max():.0e}; their curvatures from {h.min():.1e} to {h.max():.1e}")

    saliency = h * theta**2 / 2
    at = lambda theta: f(theta, images, labels)
    orders = {"saliency": np.argsort(saliency), "size": np.argsort(np.abs(theta)), "lot": rng.permutation(len(theta))}
    found = {name: rises(at, theta, order) for name, order in orders.items()}
    for name, values in found.items():
        print(f"by {name:9s}" + "".join(f"  {share:.0%}: +{value:7.4f}" for share, value in zip(SHARES[1:], values[1:])))
    assert found["saliency"][2] < found["size"][2] < found["lot"][2]
    predicted = float(np.sort(saliency)[: int(SHARES[1] * len(theta))].sum())
    print(f"without the least salient {SHARES[1]:.0%}: predicted +{predicted:.5f}, found +{found['saliency'][1]:.5f}")
    if plot:
        with stage.picture(plot) as ax:
            for name, values in found.items():
                ax.plot(SHARES, values, "o-", label=f"by {name}")
            ax.set(xlabel="share of weights set to 0", ylabel="rise of the cost", yscale="symlog")
            ax.legend()
    return {name: values[2] for name, values in found.items()} | {"predicted": predicted, "rise": found["saliency"][1]}


if __name__ == "__main__":
    stage.run(main)
