"""Two old models of classes: naive Bayes, where learning is counting, and k-means, where nobody says what the classes are.

    python examples/gallery/clusters.py [--plot centres.png]

Naive Bayes takes pixels as independent given the digit: Bernoulli (ink or none), lengths as normal. k-means puts ten centres among digits;
its inertia never rises, and it stops by itself when no picture changes sides: a `while_loop`, one native call.
(Goodfellow et al. 1.2, 5.8.2; Russell and Norvig 20.2)
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits, iris

import graphc as gx


# -- naive Bayes -----------------------------------------------------------------------------------------------------------------
def of_each(labels, classes: int):
    """One row per class with ones where the label is that class."""
    return gx.one_hot(labels, classes, axis=0)


def bernoulli_bayes(x, labels, classes: int):
    """log P(class) and P(ink | class) by counts, one picture with and one without ink added to each: (classes,), (classes, pixels)."""
    member = of_each(labels, classes)
    count = gx.sum(member, axis=1)
    return gx.log(count / gx.sum(count)), (member @ x + 1) / (count[:, None] + 2)


def gaussian_bayes(x, labels, classes: int):
    """log P(class), means and standard deviations of every class."""
    member = of_each(labels, classes)
    count = gx.sum(member, axis=1)
    mean = member @ x / count[:, None]
    return gx.log(count / gx.sum(count)), mean, gx.sqrt(member @ x**2 / count[:, None] - mean**2)


def log_joint(prior, each):
    """log P(class) + the sum over features of log P(feature | class): (n, classes) from (n, classes, features)."""
    return prior + gx.sum(each, axis=-1)


def bayes() -> dict[str, float]:
    """Accuracy on unseen digits and on irises; and that counting is where the likelihood has no slope."""
    images, labels, tests, truth = digits("float64")
    ink = lambda a: (a > 0.25).astype("float64")
    x, y = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64")
    new = gx.tensor("new", ("m", 64))
    prior, chance = bernoulli_bayes(x, y, 10)
    score = log_joint(prior, gx.stats.bernoulli.logpmf(new[:, None], chance))
    guess = gx.function([x, y, new], gx.argmax(score, axis=1))(ink(images), labels, ink(tests))
    flowers, species = iris()
    v, s = gx.tensor("v", ("n", 4)), gx.tensor("s", ("n",), "int64")
    prior, mean, deviation = gaussian_bayes(v, s, 3)
    each = gx.stats.norm.logpdf(v[:, None], mean, deviation)
    slope = gx.grad(gx.sum(gx.take_along_axis(log_joint(prior, each), s[:, None], axis=1)), [mean, deviation])
    named, slopes = gx.function([v, s], [gx.argmax(log_joint(prior, each), axis=1), slope])(flowers, species)
    flat = float(max(np.abs(part).max() for part in slopes))
    return {"digits": float(np.mean(guess == truth)), "irises": float(np.mean(named == species)), "flat": flat}


# -- k-means ---------------------------------------------------------------------------------------------------------------------
def nearest(x, centres):
    """Which centre every row is next to, and the mean squared distance to it."""
    distances = gx.sum(x**2, axis=1)[:, None] - 2 * x @ centres.T + gx.sum(centres**2, axis=1)
    return gx.argmin(distances, axis=1), gx.mean(gx.min(distances, axis=1))


def k_means(x, centres, limit: int):
    """Centres to the mean of what is next to them, until nobody changes sides; with the inertia of every turn, nan behind the last."""
    n = centres.shape[0]

    def turn(state):
        k, centres, sides, _, seen = state
        member = of_each(sides, n)
        count = gx.sum(member, axis=1)[:, None]
        moved = gx.where(count > 0, member @ x / gx.maximum(count, 1), centres)
        now, inertia = nearest(x, moved)
        return k + 1, moved, now, gx.any(now != sides), seen.at[k].set(inertia)

    first, inertia = nearest(x, centres)
    seen = gx.full(limit, np.nan).at[0].set(inertia)
    return gx.while_loop(lambda state: state[3] & (state[0] < limit), turn, (gx.asarray(1), centres, first, gx.asarray(True), seen))


def purity(sides: np.ndarray, labels: np.ndarray) -> float:
    """The share of pictures that have the commonest label of their cluster."""
    table = np.zeros((sides.max() + 1, 10))
    np.add.at(table, (sides, labels), 1)
    return float(table.max(1).sum() / len(labels))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """Count, then cluster."""
    figures = bayes()
    print("naive Bayes: {digits:.1%} of unseen digits, {irises:.1%} of irises; slope of the likelihood {flat:.0e}".format(**figures))
    assert figures["digits"] > 0.85 and figures["irises"] > 0.94 and figures["flat"] < 1e-8
    images, labels, _, _ = digits("float64")
    start = images[np.random.default_rng(4).permutation(len(images))[:10]]
    x, centres = gx.tensor("x", ("n", 64)), gx.tensor("centres", (10, 64))
    turns, found, sides, moving, inertia = gx.function([x, centres], k_means(x, centres, 200))(images, start)
    falls = np.diff(inertia[:turns])
    pure = purity(sides, labels)
    print(f"k-means: inertia {inertia[0]:.3f}, then {inertia[turns - 1]:.3f} in {turns} turns; {pure:.1%} have the commonest label there")
    assert not moving and (falls <= 1e-12).all() and pure > 0.65
    if plot:
        with stage.picture(plot, 2, 5, 1.5) as axes:
            for ax, centre in zip(axes.ravel(), found):
                ax.imshow(centre.reshape(8, 8), cmap="gray_r")
    return {**figures, "first": float(inertia[0]), "inertia": float(inertia[turns - 1]), "purity": pure}


if __name__ == "__main__":
    stage.run(main)
