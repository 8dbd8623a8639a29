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


def build(initial):
    """(parameters, pictures, labels, epsilon) -> attacked pictures, the loss on them, and which are still read rightly."""
    q, e = gx.like(initial), gx.scalar("e", "float32")
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    moved = attacked(q, x, y, e)
    scores = network(q, moved)
    return gx.function([q, x, y, e], [moved, gx.nn.cross_entropy(scores, y), gx.argmax(scores, axis=1) == y])


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """How far accuracy falls, how small a change is enough, and what training against it gives."""
    images, labels, test_images, test_labels = data.digits()
    epsilons = np.linspace(0, 0.3, 13, dtype="float32")
    trained = {name: train(images, labels, 5 if short else 40, against=name == "hardened") for name in ("plain", "hardened")}
    attack = build(trained["plain"])
    figures, pictures = {}, {}
    for name, p in trained.items():
        pictures[name], losses, right = zip(*(attack(p, test_images, test_labels, e) for e in epsilons))
        clean, hit = float(right[0].mean()), float(right[4].mean())
        flips = np.argmin([*right, np.zeros_like(right[0])], axis=0)  # the first change that alters the answer
        enough = float(np.median(np.append(epsilons, 1)[flips]))
        print(
            f"{name}: accuracy {clean:.1%}, attacked by {EPSILON}: {hit:.1%}; a change of {enough:.3f} is enough for half of the pictures"
        )
        assert losses[0] < losses[1] < losses[2], "the loss rises along its gradient"
        figures |= {name: clean, f"{name}, attacked": hit, f"{name}, enough": enough}
    assert figures["plain, attacked"] < 0.6 * figures["plain"]
    assert figures["hardened, attacked"] > figures["plain, attacked"] + (0.1 if short else 0.3)
    assert figures["hardened"] > figures["plain"] - 0.03
    if plot:
        with stage.picture(plot, columns=7, size=1.5) as axes:
            for ax, moved, e in zip(axes, pictures["plain"][::2], epsilons[::2]):
                ax.imshow(moved[0].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
                ax.set_title(f"{e:.2f}")
                ax.axis("off")
    return figures


if __name__ == "__main__":
    stage.run(main)
