"""The three operators of a convolutional layer, c, g and h, and how the third one draws.

    python examples/gallery/transposed.py

"Convolution, backprop from output to weights, and backprop from output to inputs" suffice for any depth of network and any order of
derivative. The last of them, the transposed convolution, makes large pictures of small ones; trained on digits it does so better than
copying pixels. (Goodfellow et al. 9.5, equations 9.8 to 9.14)
"""

from __future__ import annotations

import numpy as np
import stage
from data import digits

import graphc as gx


def printed_numbers() -> dict[str, float]:
    """c, g and h of a 4 x 4 image and a 2 x 2 kernel, in whole numbers; a stride needs the size that it came from."""
    image, kernel = np.arange(1.0, 17).reshape(1, 1, 4, 4), np.array([[[[1.0, 2], [3, 4]]]])
    v, k = gx.tensor("v", image.shape), gx.tensor("k", kernel.shape)
    one, two = gx.nn.conv2d(v, k), gx.nn.conv2d(v, k, stride=2)
    results = [one, gx.grad(gx.sum(one), [k, v]), two, gx.grad(gx.sum(two), [k, v])]
    f = gx.function([v, k], results, mode="interpret")  # for one call compiling does not pay
    c1, (g1, h1), c2, (g2, h2) = (gx.tree.map(lambda a: a[0, 0].tolist(), part) for part in f(image, kernel))
    assert c1 == [[44, 54, 64], [84, 94, 104], [124, 134, 144]] and c2 == [[44, 64], [124, 144]]
    assert g1 == [[54, 63], [90, 99]] and g2 == [[24, 28], [40, 44]]
    assert h1 == [[1, 3, 3, 2], [4, 10, 10, 6], [4, 10, 10, 6], [3, 7, 7, 4]]
    assert h2 == np.tile(kernel[0, 0], (2, 2)).tolist()
    ones = gx.asarray(np.ones((1, 1, 2, 2)))
    four, five = (gx.nn.conv_transpose2d(ones, kernel, stride=2, output_size=(n, n)).eval()[0, 0] for n in (4, 5))
    assert four.tolist() == h2 and np.array_equal(five, np.pad(four, ((0, 1), (0, 1)))), "images of 4 and of 5 give 2 x 2 maps"
    return {"sum of the map": float(np.sum(c1))}


def three_suffice() -> dict[str, float]:
    """<G, c(K, V)> = <K, g(G, V)> = <V, h(K, G)>, and the derivative of h is c again: no fourth operator ever appears."""
    rng = np.random.default_rng(0)
    v, k = gx.tensor("v", (2, 3, 9, 8)), gx.tensor("k", (4, 3, 3, 2))
    out = gx.nn.conv2d(v, k, stride=2)
    w = gx.tensor("w", out.shape)
    g, h = gx.vjp(out, [k, v], w)
    (again,) = gx.vjp(h, [w], v)  # of h by its map, along v: the convolution of v
    f = gx.function([v, k, w], [gx.sum(w * out), gx.sum(k * g), gx.sum(v * h), gx.max(gx.abs(again - out))], mode="interpret")
    a, b, c, difference = f(*(rng.normal(size=n.shape) for n in (v, k, w)))
    np.testing.assert_allclose([b, c], a, rtol=1e-12)
    assert difference < 1e-13
    return {"<G, c>": float(a)}


def enlarge(epochs: int) -> dict[str, float]:
    """Digits of 4 x 4 pixels back to 8 x 8: a convolution, and a transposed one with stride 2, against each pixel copied four times."""
    images, test = (digits()[k].reshape(-1, 8, 8) for k in (0, 2))
    rng = np.random.default_rng(0)
    p = {"see": rng.normal(size=(16, 1, 3, 3)) / 3, "draw": rng.normal(size=(16, 1, 4, 4)) / 16, "bias": np.zeros((16, 1, 1))}
    p = gx.tree.map(np.float32, p)
    params = gx.shared(p)
    large = gx.tensor("large", ("n", 8, 8), "float32")
    small = gx.nn.avg_pool2d(large[:, None], 2)
    hidden = gx.relu(gx.nn.conv2d(small, params["see"], padding="same") + params["bias"])
    drawn = gx.nn.conv_transpose2d(hidden, params["draw"], stride=2, padding=1)[:, 0]
    copied = gx.repeat(gx.repeat(small[:, 0], 2, axis=1), 2, axis=2)
    cost, naive = (gx.mean((picture - large) ** 2) for picture in (drawn, copied))
    step = gx.function([large], cost, updates=gx.optim.adam(0.005).updates(cost, params))
    for _ in range(epochs):
        for part in stage.minibatches(rng, len(images), 64):
            step(images[part])
    learnt, plain = (float(error.eval({large: test})) for error in (cost, naive))
    assert learnt < plain
    return {"error of the transposed net": learnt, "error of copied pixels": plain}


def main(short: bool = False) -> dict[str, float]:
    """Numbers as printed, identities, and a net that draws."""
    found = {**printed_numbers(), **three_suffice(), **enlarge(4 if short else 60)}
    for name, value in found.items():
        print(f"{name:32} {value:10.5g}")
    return found


if __name__ == "__main__":
    stage.run(main)
