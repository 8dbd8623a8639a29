"""Out of local minima: a cost that is blurred less and less, and annealing, on a wave with a dozen minima.

    python examples/gallery/continuation.py

A continuation method minimises J blurred by a Gaussian, E[J(t + s z)], first with a large s, where there is one minimum, then with smaller
ones, each from where the last left off. The expectation is a mean over draws, made in the graph and differentiated through; for this J it
is known in closed form as well. Annealing walks at random and takes a step up with the probability e^(-rise / temperature).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import stage

import graphc as gx

SIGMAS = (3.0, 1.5, 0.7, 0.3, 0.1, 0.0)
STARTS = np.linspace(-9.0, 9.0, 37)


def cost(t: Any) -> Any:
    """A bowl around 1 with waves on it: its least value, 0, is at 1."""
    return 0.05 * (t - 1) ** 2 + 1 - gx.cos(3 * (t - 1))


def blurred(t: gx.Node, sigma: gx.Node, key: gx.Node, draws: int) -> gx.Node:
    """The mean of the cost at so many draws around t: z is drawn, t + sigma z is differentiated."""
    z = gx.random.normal(key, (draws // 2,))
    z = gx.concatenate([z, -z])  # their odd moments are exactly 0
    return gx.mean(cost(t + sigma * z))


def in_closed_form(t: np.ndarray, sigma: float) -> np.ndarray:
    return 0.05 * ((t - 1) ** 2 + sigma**2) + 1 - np.exp(-4.5 * sigma**2) * np.cos(3 * (t - 1))


def descended(sigmas: tuple[float, ...], turns: int, draws: int) -> np.ndarray:
    """Where gradient descent ends from every start, through blurs of these widths: one native call for all of them."""
    starts, widths = gx.vector("starts", len(STARTS)), gx.vector("widths", len(sigmas))
    opt = gx.optim.sgd(0.1)

    def one(start: gx.Node) -> gx.Node:
        def level(t: gx.Node, sigma: gx.Node) -> Any:
            def turn(k: gx.Node, t: gx.Node) -> gx.Node:
                key = gx.random.fold_in(gx.random.key(1), k)
                return opt.update(gx.grad(blurred(t, sigma, key, draws), t), opt.init(t), t)[0]

            return gx.fori_loop(0, turns, turn, t), None

        return gx.scan(level, start, widths)[0]

    return gx.function([starts, widths], gx.vmap(one)(starts))(STARTS, np.array(sigmas))


def annealed(turns: int, seed: int = 3) -> np.ndarray:
    """Where annealing ends from every start; the temperature falls as a geometric series from 2 to 0.002."""

    def turn(state: Any, k: gx.Node) -> Any:
        t, value = state
        walk, chance = gx.random.split(gx.random.fold_in(gx.random.key(seed), k))
        there = t + 0.7 * gx.random.normal(walk, t.shape)
        rise = cost(there) - value
        heat = 2.0 * gx.exp(np.log(1e-3) * k / turns)
        taken = gx.random.uniform(chance, t.shape) < gx.exp(-gx.maximum(rise, 0) / heat)
        return (gx.where(taken, there, t), gx.where(taken, value + rise, value)), None

    starts = gx.vector("starts", len(STARTS))
    return gx.function([starts], gx.scan(turn, (starts, cost(starts)), gx.arange(turns))[0][0])(STARTS)


def never_convex(draws: int) -> float:
    """-|t|^2 blurred, at t = (0.3, -0.7) and s = 0.5: it is -|t|^2 - n s^2 for every s. Blurring makes a bowl of waves, not of a hill."""
    t, z = np.array([0.3, -0.7]), gx.random.normal(gx.random.key(0), (draws, 2))
    return float(gx.function([], gx.mean(-gx.sum((t + 0.5 * z) ** 2, axis=1)))())


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The share of starts from which each way finds the one least minimum."""
    turns, draws = (200, 40) if short else (400, 200)
    figures = {}
    t, sigma = gx.scalar("t"), gx.scalar("sigma")
    mean = gx.function([t, sigma], blurred(t, sigma, gx.random.key(5), 200_000))
    for s in (0.3, 1.5):
        figures[f"blur {s}"] = float(mean(0.2, s)) - float(in_closed_form(np.array(0.2), s))
        assert abs(figures[f"blur {s}"]) < 0.01  # four standard errors and more
    ends = {
        "descent": descended((0.0,), turns, 2),
        "continuation": descended(SIGMAS, turns, draws),
        "annealing": annealed(2000 if short else 20_000),
    }
    for name, end in ends.items():
        figures[name] = float(np.mean(np.abs(end - 1) < 0.3))
        print(f"{name:13s} finds the least of the minima from {figures[name]:.0%} of {len(STARTS)} starts")
    figures["hill"] = never_convex(200_000)
    print(f"a blurred hill: {figures['hill']:.4f}, where -|t|^2 - n s^2 is -1.08")
    assert figures["continuation"] == 1 and figures["descent"] < 0.2 and figures["annealing"] > 0.9
    assert abs(figures["hill"] + 1.08) < 0.01
    if plot:
        grid = np.linspace(-9, 9, 600)
        with stage.picture(plot, size=6) as axes:
            for s in SIGMAS:
                axes.plot(grid, in_closed_form(grid, s), label=f"blurred by {s}")
            axes.legend()
    return figures


if __name__ == "__main__":
    stage.run(main)
