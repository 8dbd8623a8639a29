"""A sum-product network: a circuit of sums and products that is a distribution, so every marginal of it is one evaluation.

    python examples/gallery/sum_product.py

Eight pixels of real digits, black or white. Leaves say how likely each value is; a product joins two sets of pixels that have none in
common (decomposability); a sum mixes products of the same pixels (completeness). So all 256 probabilities sum to one, and pixels that
were not seen are summed out by setting their leaves to one. Everything is computed with logarithms: products are sums, sums logsumexp.
"""

from __future__ import annotations

import itertools

import data
import numpy as np
import stage

import graphc as gx

PIXELS = [18, 19, 20, 21, 34, 35, 36, 37]  # four side by side in the upper half and four in the lower
MIXED = 6  # sums for every set of pixels
LEVELS = (4, 2, 1)  # how many sets of pixels are left


def initial(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores of the leaves, of the weights of every level's sums over products, and of the root's."""
    levels = {f"level {n}": rng.normal(size=(n, MIXED, MIXED)) for n in LEVELS}
    return {"leaf": rng.normal(size=(8, MIXED)), "root": rng.normal(size=MIXED), **levels}


def log_likelihood(p, x, seen):
    """log P of the pixels x (n, 8) that `seen` (8,) marks with 1; those marked 0 are summed out."""
    signs = 2 * x[:, :, None] - 1
    h = seen[:, None] * gx.log(gx.sigmoid(signs * p["leaf"]))  # (n, pixels, sums); log 1 = 0 where not seen
    for n in LEVELS:
        products = h[:, ::2] + h[:, 1::2]
        h = gx.logsumexp(products[:, :, None, :] + gx.log_softmax(p[f"level {n}"], axis=2), axis=3)
    return gx.logsumexp(h[:, 0] + gx.log_softmax(p["root"]), axis=1)


def naive(p, row: np.ndarray) -> float:
    """The same circuit with products and sums as they are, one vector at a time, in NumPy."""
    soft = lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True)
    h = 1 / (1 + np.exp(-(2 * row[:, None] - 1) * p["leaf"]))
    for n in LEVELS:
        h = np.einsum("npk,nk->np", soft(p[f"level {n}"]), h[::2] * h[1::2])
    return float(soft(p["root"]) @ h[0])


def main(short: bool = False) -> dict[str, float]:
    """Learn the distribution by maximum likelihood; check that it is one; ask for a marginal."""
    images, _, test_images, _ = data.digits("float64")
    X, test = (np.round(part[:, PIXELS]) for part in (images, test_images))
    every = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    all_seen = np.ones(8)
    p = stage.minimise(lambda p: -gx.mean(log_likelihood(p, X, all_seen)), initial(np.random.default_rng(0)), 100 if short else 600, 0.05)
    x, seen = gx.tensor("x", ("n", 8)), gx.tensor("seen", (8,))
    ask = gx.function([x, seen], log_likelihood(p, x, seen))

    total = np.exp(ask(every, all_seen)).sum()
    np.testing.assert_allclose(ask(every[::17], all_seen), np.log([naive(p, row) for row in every[::17]]), rtol=1e-12)
    print(f"sum of all 256 probabilities: {total:.15f}")
    frequency = X.mean(0)
    alone = float(np.mean(np.log(np.where(test > 0, frequency, 1 - frequency)).sum(1)))
    together = float(np.mean(ask(test, all_seen)))
    print(f"log likelihood of test pictures: {together:.3f}; of independent pixels {alone:.3f}")
    assert abs(total - 1) < 1e-12 and together > alone

    half = np.repeat([1.0, 0.0], 4)  # only the upper four were seen
    marginal = np.exp(ask(every[::16], half))
    summed = np.exp(ask(every, all_seen)).reshape(16, 16).sum(1)
    print(f"marginals of four pixels, by one evaluation and by sums over sixteen: equal to {np.abs(marginal - summed).max():.0e}")
    np.testing.assert_allclose(marginal, summed, rtol=1e-11)
    return {"total": total, "together": together, "alone": alone}


if __name__ == "__main__":
    stage.run(main)
