"""A mixture density network: where one question has several answers, predict their distribution.

    python examples/gallery/mixture_density.py --plot geyser.png

    p(y | x) = sum_k pi_k(x) N(y | mu_k(x), 1 / beta_k(x))

After a short eruption of Old Faithful comes a long one; after a long one either kind. The mean of the two would be an eruption that never
happens. The network gives weights, means and precisions; their likelihood is a logsumexp, so that nothing underflows.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

HIDDEN = 10


def log_joint(p, x, y):
    """log of pi_k N(y | mu_k, 1 / beta_k): (n, components)."""
    h = gx.tanh(x[:, None] * p["w"] + p["c"])
    weights, means, scores = (h @ p[name]["W"] + p[name]["b"] for name in ("weight", "mean", "score"))
    precision = gx.softplus(scores) + 1e-3
    gaussian = 0.5 * (gx.log(precision) - precision * (y[:, None] - means) ** 2 - np.log(2 * np.pi))
    return gx.log_softmax(weights) + gaussian


def nll(p, x, y):
    """The mean negative log likelihood."""
    return -gx.mean(gx.logsumexp(log_joint(p, x, y), axis=1))


def initial(components: int) -> dict:
    """Means spread over the standardised data; the rest small."""
    rng = np.random.default_rng(0)
    p = {name: stage.dense(rng, HIDDEN, components, "float64", gain=0.5) for name in ("weight", "mean", "score")}
    p["mean"]["b"] += np.linspace(-1, 1, components) * (components > 1)
    return {"w": rng.normal(size=HIDDEN), "c": rng.normal(size=HIDDEN), **p}


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """One Gaussian against three; then that the result is a density, and what the gradient says of the components."""
    minutes = data.standardised(data.table("geyser")["minutes"])
    x, y = minutes[:-1], minutes[1:]
    fitted = {k: stage.minimise(lambda p: nll(p, x, y), initial(k), 300 if short else 2000, 0.02) for k in (1, 3)}
    figures = {}
    X, Y = gx.vector("x", "n"), gx.vector("y", "n")
    for k, p in fitted.items():
        q, joint = gx.like(p), gx.tensor("joint", ("n", k))
        responsibilities = gx.grad(gx.sum(gx.logsumexp(joint, axis=1)), joint)  # minus the slope of the loss
        f = gx.function([q, X, Y], [nll(q, X, Y), log_joint(q, X, Y)])
        loss, logs = f(p, x, y)
        r = gx.function([joint], responsibilities)(logs)
        np.testing.assert_allclose(r, np.exp(logs) / np.exp(logs).sum(1, keepdims=True), rtol=1e-12)
        figures[f"{k} components"] = float(loss)
        print(f"{k} components: -log likelihood an eruption {loss:.4f}")
    assert figures["3 components"] < figures["1 components"] - 0.3

    grid = np.linspace(-8, 8, 4001)
    densities = {}
    for name, before in (("short", x.min()), ("long", x.max())):
        densities[name] = np.exp(f(p, np.full_like(grid, before), grid)[1]).sum(1)
        area = np.trapezoid(densities[name], grid)
        likely = densities[name][grid > 0].sum() * (grid[1] - grid[0])
        print(f"after a {name} eruption: P(long) = {likely:.3f}; the density integrates to {area:.12f}")
        figures[f"long after {name}"] = likely
        assert abs(area - 1) < 1e-9
    assert figures["long after short"] > 0.9 > 0.6 > figures["long after long"] > 0.2
    far = f(p, np.zeros(1), np.full(1, 1e4))[0]  # every component underflows here: the logarithms do not
    assert np.isfinite(far)
    if plot:
        with stage.picture(plot, columns=2) as axes:
            axes[0].plot(x, y, ".", color="black", markersize=3)
            axes[0].set(xlabel="this eruption", ylabel="the next one")
            for name, density in densities.items():
                axes[1].plot(grid, density, label=f"after a {name} one")
            axes[1].set(xlim=(-3, 3), xlabel="the next one")
            axes[1].legend()
    return figures


if __name__ == "__main__":
    stage.run(main)
