"""Dropout in both of the textbooks' forms, exactly on a linear network, and as noise against learning mistakes by heart.

    python examples/gallery/dropout.py

    training h * mask / keep, use h             training h * mask, use weights * keep

The mask is drawn anew at every call, and is one and the same on the way there and back: a unit that was dropped learns nothing from that
call. The function that classifies is another graph, without a draw in it.
"""

from __future__ import annotations

import itertools

import data
import numpy as np
import stage

import graphc as gx

FEW, HIDDEN, WRONG = 400, 512, 0.25  # pictures, units, share of labels drawn by lot
KEEP = (0.8, 0.5)  # of the inputs and of the hidden units


def inverted(h, mask, keep: float):
    """What a layer gives during training in the first form; elsewhere it gives h."""
    return h * mask / keep


def deleted(h, mask):
    """What a layer gives during training in the second form; elsewhere h * keep, which is the weights that read it times keep."""
    return h * mask


def network(p, x, rng: gx.random.Generator | None = None):
    """Scores; with an rng, during training: the inputs and the hidden units are dropped."""
    drop = lambda h, keep: h if rng is None else inverted(h, gx.astype(rng.bernoulli(keep, h.shape), h.dtype), keep)
    h = gx.relu(drop(x, KEEP[0]) @ p["hidden"]["W"] + p["hidden"]["b"])
    return drop(h, KEEP[1]) @ p["out"]["W"] + p["out"]["b"]


def all_masks() -> float:
    """A linear network of 6 hidden units: the mean over its 64 masks is the whole network, in both forms. The largest difference."""
    rng = np.random.default_rng(0)
    W, v, X = rng.normal(size=(5, 6)), rng.normal(size=6), rng.normal(size=(20, 5))
    keep = 0.7
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    chance = np.prod(np.where(masks > 0, keep, 1 - keep), axis=1)
    m, x = gx.vector("m", 6), gx.tensor("x", ("n", 5))
    forms = [inverted(x @ W, m, keep) @ v, deleted(x @ W, m) @ v]
    f = gx.function([x, m], [gx.vmap(lambda row, form=form: gx.substitute(form, {m: row}))(gx.asarray(masks)) for form in forms])
    first, second = (np.tensordot(chance, values, axes=1) for values in f(X, masks[0]))
    return float(max(np.abs(first - X @ W @ v).max(), np.abs(second - X @ (W @ (v * keep))).max()))


def same_mask(images: np.ndarray) -> float:
    """In one call: a hidden unit has a gradient exactly where the mask let it through. The share of units let through."""
    rng = gx.random.default_rng(1)
    x, w = gx.tensor("x", ("n", 64), "float32"), gx.tensor("w", (64, HIDDEN), "float32")
    h = gx.sigmoid(x @ w)  # never 0
    out = inverted(h, gx.astype(rng.bernoulli(KEEP[1], h.shape), "float32"), KEEP[1])
    f = gx.function([x, w], [h, out, gx.grad(gx.sum(out), h)])
    whole, dropped, slope = f(images, np.zeros((64, HIDDEN), "float32"))
    np.testing.assert_array_equal(slope, np.where(dropped == 0, 0, 2))
    assert set(np.unique(dropped)) == {0.0, 1.0} and (whole == 0.5).all()  # 0 or a / keep
    again = f(images, np.zeros((64, HIDDEN), "float32"))[1]
    assert (again != dropped).any()
    return float(np.mean(slope > 0))


def train(images, labels, test_images, test_labels, epochs: int, rng: gx.random.Generator | None) -> tuple[float, float]:
    """The last training loss and the loss on test pictures."""
    start = np.random.default_rng(0)
    p = gx.shared({"hidden": stage.dense(start, 64, HIDDEN), "out": stage.dense(start, HIDDEN, 10)})
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    loss, quiet = gx.nn.cross_entropy(network(p, x, rng), y), gx.nn.cross_entropy(network(p, x), y)
    step = gx.function([x, y], loss, updates=gx.optim.adam(3e-3).updates(loss, p))
    test = gx.function([x, y], quiet)
    assert "random_word" not in test.graph
    losses = stage.epochs(step, (images, labels), epochs, size=50)
    return losses[-1], float(test(test_images, test_labels))


def main(short: bool = False) -> dict[str, float]:
    """Exactly on a linear network; the same mask there and back; then pictures with wrong labels, with and without dropout."""
    images, labels, test_images, test_labels = data.digits()
    apart = all_masks()
    print(f"linear network, mean over all masks: equal to the whole network to {apart:.0e}, in both forms")
    assert apart < 1e-13
    kept = same_mask(images[:100])
    print(f"{kept:.1%} of the units let through, and exactly those have a gradient")
    assert abs(kept - KEEP[1]) < 4 * np.sqrt(0.25 / (100 * HIDDEN))
    figures = {"apart": apart, "kept": kept}
    rng = np.random.default_rng(3)
    noisy = np.where(rng.random(FEW) < WRONG, rng.integers(0, 10, FEW), labels[:FEW])
    for name, rng in (("plain", None), ("dropout", gx.random.default_rng(0))):
        train_loss, figures[name] = train(images[:FEW], noisy, test_images, test_labels, 60 if short else 150, rng)
        print(f"{FEW} pictures, {WRONG:.0%} of the labels by lot, {name}: training loss {train_loss:.4f}, test loss {figures[name]:.4f}")
    assert figures["dropout"] < 0.9 * figures["plain"]
    return figures


if __name__ == "__main__":
    stage.run(main)
