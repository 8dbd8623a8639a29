"""Sparse coding of patches of a photograph: codes by ISTA, a dictionary by least squares, in turn.

    python examples/gallery/sparse_coding.py [--plot dictionary.png]

J(H, W) = sum |H| + sum |X - W' H|^2 over patches, the columns of X. For a fixed dictionary W the codes H move by the gradient, then every
one by a fixed amount towards 0, where most stay; for fixed codes W = (H H')^-1 H X', where the gradient is 0. Neither step raises J. Scaled
to length 1 the rows of W look like edges. (Goodfellow et al. 8.7.2, equation 8.38)
"""

from __future__ import annotations

import numpy as np
import stage
from data import photograph

import graphc as gx

WIDTH, COUNT = 8, 64


def patches(count: int) -> np.ndarray:
    """Pieces of the photograph without their mean and with a common contrast, as columns: (64, count)."""
    seen = np.lib.stride_tricks.sliding_window_view(photograph("float64"), (WIDTH, WIDTH)).reshape(-1, WIDTH * WIDTH)
    rows = np.random.default_rng(0).permutation(len(seen))[: 4 * count]
    seen = seen[rows] - seen[rows].mean(1, keepdims=True)
    deviation = seen.std(1)
    keep = np.argsort(-deviation, kind="stable")[:count]  # those with something in them
    return (seen[keep] / deviation[keep, None]).T * 2


def cost(x, w, h):
    """J."""
    return gx.sum(gx.abs(h)) + gx.sum((x - w.T @ h) ** 2)


def soft(h, amount):
    """Towards 0 by so much, and no further: what minimises |h' - h|^2 / 2 + amount |h'|."""
    return gx.sign(h) * gx.relu(gx.abs(h) - amount)


def ista(x, w, h, turns: int):
    """Codes after so many steps of length 1 / L, L the largest curvature of the smooth part: J goes down in every one."""
    rate = 1 / (2 * gx.linalg.eigvalsh(w @ w.T)[-1])
    return gx.fori_loop(0, turns, lambda k, h: soft(h + 2 * rate * (w @ (x - w.T @ h)), rate), h)


def dictionary(x, h):
    """W = (H H')^-1 H X', with a little on the diagonal of what no patch uses."""
    return gx.linalg.solve(h @ h.T + 1e-9 * gx.eye(COUNT), h @ x.T)


def learn(X: np.ndarray, rounds: int, turns: int):
    """(W, H, J before each round), with the rows of W brought to length 1 at most, as the codes would shrink for ever else."""
    x, start = gx.asarray(X), np.random.default_rng(1).normal(size=(COUNT, WIDTH * WIDTH))

    def step(state, _):
        w, h = state
        h = ista(x, w, h, turns)
        after_codes = cost(x, w, h)
        best = dictionary(x, h)
        length = gx.maximum(gx.sqrt(gx.sum(best**2, axis=1)), 1.0)
        return (best / length[:, None], h * length[:, None]), gx.stack([cost(x, w, state[1]), after_codes, cost(x, best, h)])

    first = start / np.linalg.norm(start, axis=1, keepdims=True)
    (w, h), costs = gx.function([], gx.scan(step, (gx.asarray(first), gx.asarray(first @ X / 4)), length=rounds))()
    return w, h, costs


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Learn; at the end codes and dictionary are what the conditions of a minimum say."""
    X = patches(300 if short else 4000)
    w, h, costs = learn(X, 15 if short else 80, 20 if short else 50)
    print(f"J from {costs[0, 0]:.0f} to {costs[-1, 1]:.0f}; {np.mean(h != 0):.1%} of the codes are not 0")
    falls = float(np.max(np.diff(costs, axis=1)))  # codes, then dictionary, of a round
    assert falls <= 1e-9 * costs[0, 0] and costs[-1, 1] < 0.5 * costs[0, 0]

    v, codes = gx.tensor("w", w.shape), gx.tensor("h", h.shape)
    slope = gx.grad(gx.sum((X - v.T @ codes) ** 2), [v, codes])
    by_w = float(np.abs(gx.function([v, codes], slope[0])(dictionary(gx.asarray(X), gx.asarray(h)).eval(), h)).max() / np.abs(X).sum())
    settled = ista(gx.asarray(X), v, codes, 300 if short else 3000)
    rest, by_h = gx.function([v, codes], [settled, gx.substitute(slope[1], {codes: settled})])(w, h)
    active, idle = np.abs(by_h + np.sign(rest))[rest != 0].mean(), np.abs(by_h[rest == 0]).max()
    print(f"dictionary: gradient {by_w:.0e}; codes: slope + sign {active:.1e} where not 0, slope at most {idle:.3f} where 0")
    assert by_w < 1e-12 and active < (0.1 if short else 0.01) and idle < (1.2 if short else 1.02)
    if plot:
        with stage.picture(plot, 8, 8, 0.8) as axes:
            for ax, row in zip(axes.ravel(), w):
                ax.imshow(row.reshape(WIDTH, WIDTH), cmap="gray")
                ax.axis("off")
    return {"first": float(costs[0, 0]), "last": float(costs[-1, 1]), "active": float(np.mean(h != 0)), "by W": by_w}


if __name__ == "__main__":
    stage.run(main)
