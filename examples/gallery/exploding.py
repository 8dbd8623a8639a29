"""Gradients that explode along a recurrence, and what clipping does: a net that looks at a digit row by row, 48 turns.

    python examples/gallery/exploding.py

A gradient that goes back through t turns of a recurrence is multiplied t times by W and by the slopes of the units: W^t scales an
eigenvector by its eigenvalue to the t. With weights half as large again as those that keep a signal, gradients are now small and now large,
and one step along a large one throws away what was learnt. Clipping by the norm keeps the direction and bounds the step.
"""

from __future__ import annotations

from typing import Any

import data
import numpy as np
import stage

import graphc as gx

HIDDEN, BATCH, GAIN, HOLD = 48, 64, 1.5, 6  # each row of pixels is there for HOLD turns


def scores(p: Any, images: gx.Node) -> gx.Node:
    """Of the ten digits, after all rows of images[example, pixel]."""
    rows = gx.transpose(gx.reshape(images, (images.shape[0], 8, 8)), (1, 0, 2))

    def look(h: gx.Node, row: gx.Node) -> Any:
        seen = row @ p["u"] + p["b"]
        for _ in range(HOLD):
            h = gx.tanh(h @ p["W"] + seen)
        return h, None

    h, _ = gx.scan(look, gx.zeros((images.shape[0], HIDDEN), "float32"), rows)
    return h @ p["V"] + p["c"]


def initial(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    draw = lambda scale, *shape: (scale * rng.normal(size=shape)).astype("float32")
    return {
        "W": draw(GAIN / np.sqrt(HIDDEN), HIDDEN, HIDDEN), "u": draw(0.5, 8, HIDDEN), "b": draw(0, HIDDEN), "V": draw(0.2, HIDDEN, 10),
        "c": draw(0, 10),
    }  # fmt: skip


def trained(stages: tuple[gx.optim.Optimizer, ...], count: int, rate: float = 0.2) -> tuple[list[float], np.ndarray, Any]:
    """(mean loss of each epoch, the norm of the gradient at every step, the parameters)."""
    images, labels, *_ = data.digits()
    p = gx.shared(initial(), "p")
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    loss = gx.nn.cross_entropy(scores(p, x), y)
    slope = gx.grad(loss, p)
    opt = gx.optim.chain(*stages, gx.optim.sgd(rate))
    figures = {"loss": loss, "norm": gx.optim.global_norm(slope)}
    step = gx.function([x, y], figures, updates=opt.updates(slope, p))
    norms: list[float] = []

    def watched(x: np.ndarray, y: np.ndarray) -> Any:
        seen = step(x, y)
        norms.append(float(seen["norm"]))
        return seen["loss"]

    history = gx.fit(watched, (images, labels), count, batch_size=BATCH).history["loss"]
    return history, np.array(norms), gx.get_values(p)


def powers() -> tuple[float, float]:
    """(x W^50 for W with an eigenvalue of 1.1 by a scan over its closed form, the same for 0.9): 1.1^50 is 117, 0.9^50 is 0.005."""
    turns = np.random.default_rng(1).normal(size=(2, 2))
    w = turns @ np.diag([1.1, 0.9]) @ np.linalg.inv(turns)
    x = gx.vector("x", 2)
    end = gx.fori_loop(0, 50, lambda k, v: v @ w, x)
    found = gx.function([x], end @ turns)(np.linalg.inv(turns).sum(0))
    return float(found[0]), float(found[1])


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The same steps without clipping, with the norm of all gradients below 1, and element by element."""
    count = 6 if short else 20
    ways = {"not clipped": (), "by global norm": (gx.optim.clip_by_global_norm(1.0),)}
    if not short:
        ways["by value"] = (gx.optim.clip_by_value(0.03),)
    figures: dict[str, float] = {}
    curves = {}
    *_, others, truth = data.digits()
    p, x = gx.like(initial(), "p"), gx.tensor("x", ("n", 64), "float32")
    answers = gx.function([p, x], gx.argmax(scores(p, x), axis=1))
    for way, stages in ways.items():
        losses, norms, found = trained(stages, count)
        share = float(np.mean(answers(found, others) == truth))
        curves[way], figures[way], figures[f"{way}, right"] = losses, losses[-1], share
        print(f"{way:15s} loss {losses[0]:6.2f} -> {losses[-1]:6.2f}, {share:.0%} right; gradients: median {np.median(norms):8.2g}, "
              f"largest {norms.max():8.2g}")  # fmt: skip
        figures[f"{way}, largest"] = float(norms.max())
    figures["1.1^50"], figures["0.9^50"] = powers()
    print(f"a vector after 50 turns of a matrix with eigenvalues 1.1 and 0.9: {figures['1.1^50']:.2f} and {figures['0.9^50']:.5f} of it")
    assert all(figures[way] < 0.7 * figures["not clipped"] for way in ways if way != "not clipped")
    assert figures["not clipped, largest"] > 5  # times the norm that clipping lets through
    if plot:
        with stage.picture(plot, size=6) as axes:
            for way, losses in curves.items():
                axes.plot(losses, label=way)
            axes.set(xlabel="epoch", ylabel="loss")
            axes.legend()
    return figures


if __name__ == "__main__":
    stage.run(main)
