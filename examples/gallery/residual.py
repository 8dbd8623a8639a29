"""A hundred layers: a plain network does not learn, a residual one does. And why.

    python examples/gallery/residual.py

    plain     z_i = relu(W_i z_{i-1}),            residual     z_i = relu(z_{i-1} + V_i relu(W_i z_{i-1}))

A residual layer changes what it is given; with V = 0 it passes it on, to the last bit. A plain layer has to make everything anew, and one
layer with W = 0 cuts all layers below off from the gradient. The layers are a scan over stacked weights: a hundred cost one body.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

WIDTH = 32


def plain(p, x):
    """A hundred layers of rectifiers."""
    z = gx.relu(x @ p["in"]["W"] + p["in"]["b"])
    z, _ = gx.scan(lambda z, W: (gx.relu(z @ W), None), z, p["W"])
    return z @ p["out"]["W"] + p["out"]["b"]


def residual(p, x):
    """A hundred layers, each of which adds to what it is given."""
    z = gx.relu(x @ p["in"]["W"] + p["in"]["b"])
    z, _ = gx.scan(lambda z, layer: (gx.relu(z + gx.relu(z @ layer[0]) @ layer[1]), None), z, (p["W"], p["V"]))
    return z @ p["out"]["W"] + p["out"]["b"]


def sigmoids(p, x):
    """As `plain`, of sigmoids: what the first and the last layer give, and the scores."""
    first = gx.sigmoid(x @ p["in"]["W"])
    last, _ = gx.scan(lambda z, W: (gx.sigmoid(z @ W), None), first, p["W"])
    return first, last, last @ p["out"]["W"] + p["out"]["b"]


def initial(depth: int, scale: float | None = None) -> dict:
    """He's weights; with a scale also V, that many times as large: a residual network at first hardly changes what it is given."""
    rng = np.random.default_rng(0)
    W, V = (rng.normal(size=(2, depth, WIDTH, WIDTH)) * np.sqrt(2 / WIDTH)).astype("float32")
    p = {"in": stage.dense(rng, 64, WIDTH), "W": W, "out": stage.dense(rng, WIDTH, 10)}
    return p if scale is None else p | {"V": (scale * V).astype("float32")}


def exact_cases(images, labels) -> dict[str, float]:
    """V = 0 is the identity; W_50 = 0 ends all gradients; 30 layers of sigmoids, whose slope is at most 1/4, let none through."""
    p = initial(100, 0.0)
    q, x, y = gx.like(p), gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    none = gx.relu(x @ q["in"]["W"] + q["in"]["b"]) @ q["out"]["W"] + q["out"]["b"]
    np.testing.assert_array_equal(*gx.function([q, x], [residual(q, x), none])(p, images))
    cut = p | {"W": np.where(np.arange(100)[:, None, None] == 50, 0, p["W"]).astype("float32")}
    slopes = gx.function([q, x, y], gx.grad(gx.nn.cross_entropy(plain(q, x), y), q["W"]))(cut, images, labels)
    assert not slopes.any()

    s = initial(30)
    r = gx.like(s)
    first, last, scores = sigmoids(r, x)
    slopes = gx.function([r, x, y], gx.grad(gx.nn.cross_entropy(scores, y), [first, last]))(s, images, labels)
    norms = [np.linalg.norm(slope.astype("float64")) for slope in slopes]
    return {"vanished": norms[0] / norms[1], "bound": np.prod([np.linalg.norm(W, 2) / 4 for W in s["W"]])}


def main(short: bool = False) -> dict[str, float]:
    """The exact cases; then a hundred layers of both kinds on the digits."""
    images, labels, test_images, test_labels = data.digits()
    figures = exact_cases(images[:32], labels[:32])
    print("V = 0: a hundred residual layers change no bit; W_50 = 0: no plain layer has a gradient")
    print(f"30 layers of sigmoids leave {figures['vanished']:.0e} of the gradient; the product of |W| / 4 is {figures['bound']:.0e}")
    assert figures["vanished"] < figures["bound"] < 1e-3
    for network, scale in ((plain, None), (residual, 0.0)):
        p, step = stage.classifier(network, initial(100, scale), gx.optim.adam(1e-3))
        losses = stage.epochs(step, (images, labels), 1 if short else 15)
        figures[network.__name__] = losses[-1]
        print(f"100 {network.__name__} layers: loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    figures["accuracy"] = stage.accuracy(residual, p, test_images, test_labels)
    print(f"test accuracy of the residual ones: {figures['accuracy']:.1%}")
    assert figures["plain"] > 1.5 and figures["residual"] < 0.8 * figures["plain"] and figures["accuracy"] > (0.6 if short else 0.9)
    return figures


if __name__ == "__main__":
    stage.run(main)
