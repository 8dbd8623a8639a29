"""Nets with an energy: Hopfield's memory of digits, and a restricted Boltzmann machine learnt by contrastive divergence.

    python examples/gallery/energy.py [--plot recall.png]

A Hopfield net sets one unit after the other to the sign of what it hears; its energy never rises, and a spoiled picture runs into the one
that it remembers. Gibbs sampling of a small Boltzmann machine, a scan, has the probabilities that enumerating all states gives. Contrastive
divergence is the gradient of a difference of free energies, with the sample held constant. (Russell and Norvig 22, notes; Goodfellow et al.
18.2 and 20.2)
"""

from __future__ import annotations

import itertools

import numpy as np
import stage
from data import digits

import graphc as gx

STORED, SPOILED, HIDDEN = 4, 0.2, 96


# -- Hopfield --------------------------------------------------------------------------------------------------------------------
def memory(patterns: np.ndarray) -> np.ndarray:
    """Symmetric weights without a diagonal that keep patterns of -1 and 1: (k, n) -> (n, n); similar patterns do not disturb each other."""
    weights = patterns.T @ np.linalg.solve(patterns @ patterns.T, patterns)
    return weights - np.diag(np.diag(weights))


def settle(w, start, order):
    """The state after one unit after the other, as `order` says, was set; and the energy -s' W s / 2 after each."""

    def turn(s, k):
        heard = w[k] @ s
        new = s.at[k].set(gx.where(heard == 0, s[k], gx.sign(heard)))
        return new, -0.5 * (new @ (w @ new))

    return gx.scan(turn, start, order)


def recall(images: np.ndarray, labels: np.ndarray, plot: str | None) -> dict[str, float]:
    """Four digits with a fifth of their pixels turned over, and what becomes of them."""
    chosen = [int(np.flatnonzero(labels == digit)[0]) for digit in (0, 1, 4, 7)[:STORED]]
    patterns = np.where(images[chosen] > 0.5, 1.0, -1.0)
    rng = np.random.default_rng(1)
    spoiled = patterns * np.where(rng.random(patterns.shape) < SPOILED, -1, 1)
    w, s, order = gx.tensor("w", (64, 64)), gx.tensor("s", (STORED, 64)), gx.vector("order", "t", "int64")
    f = gx.function([w, s, order], gx.vmap(lambda row: settle(w, row, order))(s))
    found, energies = f(memory(patterns), spoiled, np.concatenate([rng.permutation(64) for _ in range(5)]))
    rises = float(np.diff(energies, axis=1).max())
    right = float(np.mean(found == patterns))
    before = np.mean(spoiled == patterns)
    print(f"Hopfield: {before:.1%} of the pixels right, then {right:.1%}; the energy rose by at most {max(rises, 0):.0e}")
    assert rises < 1e-12 and right > 0.99
    if plot:
        with stage.picture(plot, 2, STORED, 2.0) as axes:
            for row, rows in zip(axes, (spoiled, found)):
                for ax, picture in zip(row, rows):
                    ax.imshow(picture.reshape(8, 8), cmap="gray_r")
    return {"rises": rises, "recalled": right}


# -- restricted Boltzmann machine --------------------------------------------------------------------------------------------------
def free_energy(p, v):
    """-log of the sum over hidden states of e**-energy: -v b - sum of softplus(c + v W)."""
    return -(v @ p["b"]) - gx.sum(gx.special.softplus(p["c"] + v @ p["W"]), axis=-1)


def gibbs(p, v, rng):
    """Hidden units drawn given the visible ones, then these given those."""
    draw = lambda odds: gx.astype(rng.bernoulli(gx.sigmoid(odds)), p["W"].dtype)
    return draw(p["b"] + draw(p["c"] + v @ p["W"]) @ p["W"].T)


def enumerated(turns: int) -> float:
    """Six visible and three hidden units: shares of the 64 states in Gibbs sampling less their probabilities; the largest difference."""
    rng = np.random.default_rng(2)
    arrays = {"W": rng.normal(size=(6, 3)), "b": rng.normal(size=6) / 2, "c": rng.normal(size=3) / 2}
    states = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    p, draws = gx.like(arrays), gx.random.default_rng(3)
    chain = gx.scan(lambda v, _: (gibbs(p, v, draws),) * 2, np.zeros((200, 6)), length=turns)[1][50:]
    code = gx.sum(chain * 2.0 ** np.arange(5, -1, -1), axis=-1)
    chances, codes = gx.function([p], [gx.softmax(-free_energy(p, gx.asarray(states))), code])(arrays)
    return float(np.abs(np.bincount(codes.ravel().astype(int), minlength=64) / codes.size - chances).max())


def contrastive(images: np.ndarray, epochs: int) -> tuple[list[float], float, float]:
    """One step of Gibbs sampling for a gradient. Errors of mean-field reconstruction per epoch; free energies of digits and of noise."""
    rng, ink = np.random.default_rng(4), (images > 0.5).astype("float32")
    start = {"W": rng.normal(size=(64, HIDDEN)) * 0.05, "b": np.zeros(64), "c": np.zeros(HIDDEN)}
    p = gx.shared(gx.tree.map(lambda a: a.astype("float32"), start))
    v = gx.tensor("v", ("n", 64), "float32")
    sample = gx.stop_gradient(gibbs(p, v, gx.random.default_rng(5)))
    cost = gx.mean(free_energy(p, v) - free_energy(p, sample))
    again = gx.sigmoid(p["b"] + gx.sigmoid(p["c"] + v @ p["W"]) @ p["W"].T)
    step = gx.function([v], gx.mean((again - v) ** 2), updates=gx.optim.adam(3e-3).updates(cost, p))
    errors = stage.epochs(step, (ink,), epochs)
    energy = gx.function([v], gx.mean(free_energy(p, v)))
    return errors, float(energy(ink)), float(energy(rng.permuted(ink, axis=1)))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Remember, sample, learn."""
    images, labels, _, _ = digits("float64")
    figures = recall(images, labels, plot)
    figures["apart"] = enumerated(600 if short else 10_000)
    print(f"Boltzmann machine of 9 units: shares of 64 states in Gibbs sampling are their probabilities but for {figures['apart']:.4f}")
    assert figures["apart"] < (0.01 if short else 0.0025)
    errors, real, noise = contrastive(images, 20 if short else 60)
    print(f"digits: squared error {errors[0]:.3f}, then {errors[-1]:.4f}; free energy {real:.1f}, of scrambled digits {noise:.1f}")
    assert errors[-1] < 0.5 * errors[0] and real < noise - 5
    return {**figures, "error": errors[-1], "digits": real, "noise": noise}


if __name__ == "__main__":
    stage.run(main)
