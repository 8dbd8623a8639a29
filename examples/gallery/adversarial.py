"""Adversarial examples: a change that a person would not notice and a classifier falls for; and training against it.

    python examples/gallery/adversarial.py --plot adversarial.png

    x' = x + epsilon sign(grad_x J)

The weights stay as they are: the gradient is that with respect to the input. In training, the loss of the worst small change is added.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

EPSILON = 0.1  # of a brightness from 0 to 1


def network(p, x):
    """One hidden layer of rectifiers."""
    return gx.relu(x @ p["hidden"]["W"] + p["hidden"]["b"]) @ p["out"]["W"] + p["out"]["b"]


def attacked(p, x, y, epsilon):
    """x moved by epsilon in every pixel to where the loss rises, within [0, 1]; the move itself is taken as given."""
    slope = gx.grad(gx.nn.cross_entropy(network(p, x), y), x)
    return gx.clip(x + epsilon * gx.stop_gradient(gx.sign(slope)), 0, 1)


def train(images, labels, epochs: int, against: bool):
    """Parameters after training, on the pictures or half on them and half on their attacked twins."""
    rng = np.random.default_rng(0)
    p = gx.shared({"hidden": stage.dense(rng, 64, 128), "out": stage.dense(rng, 128, 10)})
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    loss = gx.nn.cross_entropy(network(p, x), y)
    if against:
        loss = (loss + gx.nn.cross_entropy(network(p, attacked(p, x, y, EPSILON)), y)) / 2
    stage.epochs(gx.function([x, y], loss, updates=gx.optim.adam(3e-3).updates(loss, p)), (images, labels), epochs)
    return gx.get_values(p)


def smallest_flip(p, labels, moved) -> np.ndarray:
    """For each picture the first of the growing changes `moved` (sizes, n, 64) that alters the answer: its index."""
    x, q = gx.tensor("x", ("n", 64), "float32"), gx.like(p)
    classify = gx.function([q, x], gx.argmax(network(q, x), axis=1))
    wrong = np.array([classify(p, images) != labels for images in moved])
    return np.where(wrong.any(0), wrong.argmax(0), len(moved))


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """How far accuracy falls, how small a change is enough, and what training against it gives."""
    images, labels, test_images, test_labels = data.digits()
    epsilons = np.linspace(0, 0.3, 13, dtype="float32")
    figures = {}
    q = None
    for name in ("plain", "hardened"):
        p = train(images, labels, 5 if short else 40, against=name == "hardened")
        q = gx.like(p)
        x, y, e = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64"), gx.scalar("e", "float32")
        moved = attacked(q, x, y, e)
        loss = gx.nn.cross_entropy(network(q, moved), y)
        attack = gx.function([q, x, y, e], [moved, loss, gx.mean(gx.argmax(network(q, moved), axis=1) == y)])
        results = [attack(p, test_images, test_labels, e) for e in epsilons]
        clean, hit = float(results[0][2]), float(results[4][2])
        flips = smallest_flip(p, test_labels, [pictures for pictures, _, _ in results])
        middle = float(np.median(np.append(epsilons, 1)[flips]))
        print(
            f"{name}: accuracy {clean:.1%}, attacked by {EPSILON}: {hit:.1%}; a change of {middle:.3f} is enough for half of the pictures"
        )
        losses = [float(loss) for _, loss, _ in results]
        assert losses[0] < losses[1] < losses[2], "the loss rises along its gradient"
        figures |= {name: clean, f"{name}, attacked": hit, f"{name}, enough": middle}
        if name == "plain":
            shown = [pictures[np.argmax(flips == np.median(flips))] for pictures, _, _ in results[::2]]
    assert figures["plain, attacked"] < 0.6 * figures["plain"]
    assert (
        figures["hardened, attacked"] > figures["plain, attacked"] + (0.1 if short else 0.3)
        and figures["hardened"] > figures["plain"] - 0.03
    )
    if plot:
        with stage.picture(plot, columns=len(shown), size=1.5) as axes:
            for ax, image, e in zip(axes, shown, epsilons[::2]):
                ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
                ax.set_title(f"{e:.2f}")
                ax.axis("off")
    return figures


if __name__ == "__main__":
    stage.run(main)
