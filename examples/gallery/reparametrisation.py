"""Gradients through chance: y = mu + sigma z is differentiable although z is drawn.

    python examples/gallery/reparametrisation.py [--plot geyser.png]

A draw is a node like others; the z of the value is the z of the gradient, so a difference with the same state confirms it. Expectations
have the gradients that they should. A coin has none, and says so. At last a net with a drawn input learns what no plain regression can:
all that may come after an eruption of Old Faithful, not its mean. (GBC14 6.5)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage
from data import standardised, table

import graphc as gx

HIDDEN, NOISE = 32, 4


def moments(draws: int) -> dict[str, float]:
    """E[y^2] = mu^2 + sigma^2: its slopes 2 mu and 2 sigma as means over draws, each draw with slopes 1 and z."""
    mu, sigma = gx.scalar("mu"), gx.scalar("sigma")
    z = gx.random.normal(gx.random.key(1), draws)
    y = mu + sigma * z
    one = gx.grad(gx.sum(y), [mu, sigma])
    slopes = [gx.mean(2 * y), gx.mean(2 * y * z)]  # written out: dy/dmu = 1, dy/dsigma = z
    f = gx.function([mu, sigma], [gx.grad(gx.mean(y**2), [mu, sigma]), slopes, one, gx.sum(z), gx.std(2 * y * z)])
    (by_mu, by_sigma), written, (ones, sum_z), total, spread = f(0.7, 1.3)
    np.testing.assert_allclose([by_mu, by_sigma], written, rtol=1e-12)
    assert ones == draws and np.isclose(sum_z, total, rtol=1e-12)
    error = 4 * spread / np.sqrt(draws)  # four standard errors
    assert abs(by_mu - 1.4) < error and abs(by_sigma - 2.6) < error
    return {"slope by mu, 1.4": float(by_mu), "slope by sigma, 2.6": float(by_sigma)}


def same_noise() -> dict[str, float]:
    """Value and gradient of one call share a draw; with the state put back another call repeats it, and a difference is the gradient."""
    rng, mu = gx.random.default_rng(3), gx.scalar("mu")
    cost = gx.mean(gx.sin(mu + 0.5 * rng.normal(size=20)) ** 2)
    f = gx.function([mu], [cost, gx.grad(cost, mu)])
    begin, values = rng.state.get_value(), []
    for at in (0.3, 0.3 + 1e-6, 0.3 - 1e-6):
        rng.state.set_value(begin)
        values.append(f(at))
    (_, slope), (above, _), (below, _) = values
    np.testing.assert_allclose((above - below) / 2e-6, slope, rtol=1e-7)
    assert f(0.3)[0] != f(0.3)[0], "every call draws anew"
    return {"slope with fixed noise": float(slope)}


def coins_have_no_slope() -> dict[str, float]:
    """A small change of p does not change a coin that has fallen: graphc refuses, and names what to use."""
    p = gx.scalar("p")
    try:
        gx.grad(gx.sum(gx.where(gx.random.bernoulli(gx.random.key(0), p, 10), 1.0, 0.0)), p)
    except gx.NotDifferentiableError as error:
        assert "score_function" in str(error)
        return {"coins refused": 1.0}
    raise AssertionError("a gradient through a coin")


def generator(p: Any, x: Any, z: Any) -> Any:
    """Samples (n, draws) of what follows x (n,): a net of x and of noise z (n, draws, NOISE)."""
    h = gx.tanh(x[:, None, None] * p["enter"] + z @ p["noise"] + p["b"])
    return h @ p["leave"] + p["c"]


def energy_score(samples: Any, y: Any) -> Any:
    """E|Y - y| - E|Y - Y'| / 2: least where the samples have the distribution of y (Gneiting and Raftery 2007)."""
    draws = samples.shape[1]
    apart = gx.abs(samples[:, :, None] - samples[:, None, :])
    return gx.mean(gx.abs(samples - y[:, None])) - gx.sum(apart) / (2 * draws * (draws - 1) * samples.shape[0])


def geyser(steps: int, plot: str | None) -> dict[str, float]:
    """How long an eruption of Old Faithful lasts, given how long one waited: short or long, and seldom in between."""
    columns = table("geyser")
    data = standardised(np.stack([columns["wait"], columns["minutes"]], 1))
    rng, start = gx.random.default_rng(0), np.random.default_rng(1)
    shapes = {"enter": HIDDEN, "noise": (NOISE, HIDDEN), "b": HIDDEN, "leave": HIDDEN}
    p = gx.shared({name: start.normal(size=shape) / 2 for name, shape in shapes.items()} | {"c": np.float64(0)})
    x, y = gx.vector("x", "n"), gx.vector("y", "n")
    samples = generator(p, x, rng.normal(size=(x.shape[0], 10, NOISE)))
    loss = energy_score(samples, y)
    step = gx.function([x, y], [loss, samples], updates=gx.optim.adam(0.01).updates(loss, p))
    losses = []
    for _ in range(steps):
        value, drawn = step(data[:, 0], data[:, 1])
        losses.append(float(value))
    line = np.polyval(np.polyfit(data[:, 0], data[:, 1], 1), data[:, 0])
    if plot:
        with stage.picture(plot) as ax:
            ax.plot(np.repeat(data[:, 0], 10), drawn.ravel(), ".", ms=2, label="drawn")
            ax.plot(data[:, 0], data[:, 1], "k.", ms=3, label="measured")
            ax.set(xlabel="how long one waited", ylabel="how long it lasted")
            ax.legend()
    return {"score": float(np.mean(losses[-20:])), "score of a line": float(np.mean(np.abs(line - data[:, 1])))}


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The identities, then the geyser."""
    found = moments(100_000) | same_noise() | coins_have_no_slope() | geyser(100 if short else 2000, plot)
    for name, value in found.items():
        print(f"{name:24} {value:.6g}")
    assert found["score"] < (1.0 if short else 0.85) * found["score of a line"]
    return found


if __name__ == "__main__":
    stage.run(main)
