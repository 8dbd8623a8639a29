"""Early stopping and averaging: what to keep of a run that would overfit, or that never settles.

    python examples/gallery/early_stopping.py

A large net on 200 digits, a fifth of them with a wrong label, learns the digits first and the errors later: the loss on other digits
falls and then rises. `gx.fit` watches it, stops when it has not fallen for a while, and puts the best weights back. The second half is
descent with a constant rate on single examples, which never settles; the average of its iterates does.
"""

from __future__ import annotations

from typing import Any

import data
import numpy as np
import stage

import graphc as gx

o = gx.optim


def network(p: Any, x: gx.Node) -> gx.Node:
    return gx.relu(x @ p["hidden"]["W"] + p["hidden"]["b"]) @ p["out"]["W"] + p["out"]["b"]


def stopped(epochs: int, plot: str | None) -> dict[str, float]:
    """The loss on held-out digits, and the share that is right, at the epoch that was restored and at the end of a run that goes on."""
    images, labels, others, truth = data.digits()
    rng = np.random.default_rng(0)
    images, labels = images[:200], labels[:200].copy()
    labels[:40] = rng.integers(0, 10, 40)
    start = {"hidden": stage.dense(rng, 64, 256), "out": stage.dense(rng, 256, 10)}
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    found, figures = {}, {}
    for name, patience in (("stopped", 10), ("all epochs", None)):
        p, step = stage.classifier(network, start, o.adam(3e-3))
        loss = gx.function([x, y], gx.nn.cross_entropy(network(p, x), y))
        found[name] = gx.fit(step, (images, labels), epochs, batch_size=50, validation=(loss, (others, truth)), patience=patience)
        figures[f"{name}, loss"] = float(loss(others, truth))
        figures[f"{name}, right"] = stage.accuracy(network, p, others, truth)
    first = found["stopped"]
    assert first.history["validation"] == found["all epochs"].history["validation"][: first.epochs]  # the same run, cut short
    assert abs(figures["stopped, loss"] - min(first.history["validation"])) < 1e-6  # the weights of the best epoch
    print(f"stopped after {first.epochs} epochs and went back to {first.best_epoch}: loss {figures['stopped, loss']:.3f}, "
          f"{figures['stopped, right']:.1%} right; after {epochs} epochs {figures['all epochs, loss']:.3f}, "
          f"{figures['all epochs, right']:.1%}")  # fmt: skip
    if plot:
        with stage.picture(plot, size=6) as axes:
            for key in ("loss", "validation"):
                axes.plot(found["all epochs"].history[key], label=key)
            axes.axvline(first.best_epoch - 1)
            axes.legend()
    return figures | {"best epoch": float(first.best_epoch or 0), "epochs": float(first.epochs)}


def averaged(epochs: int) -> dict[str, float]:
    """How far the last iterate and two averages are above the least cost: linear regression by steps on single examples."""
    x, y = (a.astype(float) for a in data.digits("float64")[:2])
    x = np.c_[x, np.ones(len(x))]
    target = np.eye(10)[y.astype(int)]
    best = np.linalg.lstsq(x, target, rcond=None)[0]
    cost = lambda w: float(np.mean((x @ w - target) ** 2))
    row, wanted = gx.tensor("x", ("n", x.shape[1])), gx.tensor("t", ("n", 10))
    w = gx.shared(best, "w")  # from the minimum, so that what is seen is noise alone
    loss = gx.mean((row @ w - wanted) ** 2)
    pairs = o.chain(o.sgd(0.1), o.polyak(), o.polyak(0.999)).updates(loss, w)
    gx.fit(gx.function([row, wanted], loss, updates=pairs), (x, target), epochs, batch_size=1, native=True)
    _, mean, exponential = pairs.state
    found = {"last iterate": w, "mean of all": mean["average"], "exponential": exponential["average"]}
    figures = {name: cost(value.get_value()) - cost(best) for name, value in found.items()}
    shown = ", ".join(f"{name} {value:.1e}" for name, value in figures.items())
    print(f"steps on single examples, above the least cost {cost(best):.4f}: {shown}")
    return figures


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    figures = stopped(40 if short else 150, plot) | averaged(1 if short else 5)
    assert figures["stopped, loss"] < figures["all epochs, loss"]
    assert figures["mean of all"] < figures["last iterate"] / 3 and figures["exponential"] < figures["last iterate"] / 3
    return figures


if __name__ == "__main__":
    stage.run(main)
