"""More pictures than there are: digits turned, moved and blurred by noise inside the compiled step, a new way at every call.

    python examples/gallery/augmentation.py --plot turned.png

Each picture is read at the points of a grid that was rotated and shifted, by bilinear interpolation: gathers and four products. The draw
of angles is part of the training step, so the loop in Python passes the same pictures every time and the network never sees one twice.
"""

from __future__ import annotations

import itertools

import data
import numpy as np
import stage

import graphc as gx

FEW, SIZE = 200, 8


def turned(images, angles, shifts):
    """Pictures (n, 8, 8) rotated by angles (n,) about their middle and shifted by (n, 2) pixels; black comes in from outside."""
    middle = (SIZE - 1) / 2
    row, column = (gx.asarray(axis - middle, images.dtype) for axis in np.mgrid[:SIZE, :SIZE])
    cosine, sine = gx.cos(angles)[:, None, None], gx.sin(angles)[:, None, None]
    u = cosine * row + sine * column + middle - shifts[:, 0, None, None]
    v = cosine * column - sine * row + middle - shifts[:, 1, None, None]
    u, v = (gx.clip(place, -1, SIZE) + 1 for place in (u, v))  # places in a picture with a black frame
    top, left = (gx.minimum(gx.floor(place), SIZE) for place in (u, v))
    down, right = u - top, v - left
    i, j = gx.astype(top, "int64"), gx.astype(left, "int64")
    framed = gx.pad(images, ((0, 0), (1, 1), (1, 1)))
    n = gx.arange(images.shape[0])[:, None, None]
    upper = framed[n, i, j] * (1 - right) + framed[n, i, j + 1] * right
    lower = framed[n, i + 1, j] * (1 - right) + framed[n, i + 1, j + 1] * right
    return upper * (1 - down) + lower * down


def network(p, x):
    """One hidden layer of rectifiers."""
    return gx.relu(x @ p["hidden"]["W"] + p["hidden"]["b"]) @ p["out"]["W"] + p["out"]["b"]


def varied(x, rng):
    """Pictures (n, 64) turned by up to 15 degrees, moved by up to half a pixel, and with a little noise."""
    n = x.shape[0]
    angles = rng.uniform(-np.pi / 12, np.pi / 12, (n,), dtype="float32")
    shifts = rng.uniform(-0.5, 0.5, (n, 2), dtype="float32")
    moved = turned(x.reshape((n, SIZE, SIZE)), angles, shifts).reshape((n, 64))
    return moved + 0.05 * rng.standard_normal((n, 64), dtype="float32")


def noise_is_a_penalty() -> float:
    """Squared error of a linear model under noise of variance s^2 on its inputs: on average s^2 |w|^2 more. How far from that."""
    rng = np.random.default_rng(0)
    X, y, w, s = rng.normal(size=(30, 4)), rng.normal(size=30), rng.normal(size=4), 0.3
    x, q = gx.tensor("x", ("n", 4)), gx.vector("w", 4)
    cost = gx.mean((x @ q - y) ** 2)
    f = gx.function([x, q], [cost, gx.grad(cost, q)])
    signs = [s * np.array(e) for e in itertools.product([-1.0, 1.0], repeat=4)]  # all noises of this size: an exact mean
    costs, slopes = zip(*(f(X + e, w) for e in signs))
    still, slope = f(X, w)
    by_mean = max(abs(np.mean(costs) - still - s**2 * w @ w), np.abs(np.mean(slopes, axis=0) - slope - 2 * s**2 * w).max())
    return float(by_mean)


def main(short: bool = False, plot: str | None = None) -> dict[str, float]:
    """The identities of turning; noise as a penalty; and few pictures with and without augmentation."""
    images, labels, test_images, test_labels = data.digits()
    x, angles = gx.tensor("x", ("n", SIZE, SIZE), "float32"), gx.tensor("angles", ("n",), "float32")
    turn = gx.function([x, angles], turned(x, angles, gx.zeros((x.shape[0], 2), "float32")))
    some = images[:64].reshape(-1, SIZE, SIZE)
    np.testing.assert_array_equal(turn(some, np.zeros(64, "float32")), some)
    quarter = turn(some, np.full(64, np.pi / 2, "float32"))
    around = some
    for _ in range(4):
        around = turn(around, np.full(64, np.pi / 2, "float32"))
    np.testing.assert_allclose(quarter, np.rot90(some, axes=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(around, some, atol=1e-5)
    noise = noise_is_a_penalty()
    print(f"turned by 0: the same bits; by 4 x 90 degrees: the same picture. Noise on a linear model: a penalty, to {noise:.0e}")
    assert noise < 1e-12

    figures = {"noise": noise}
    degrees = np.resize(np.array([-15, 15], "float32"), len(test_images))
    test_turned = turn(test_images.reshape(-1, SIZE, SIZE), np.radians(degrees)).reshape(-1, 64)
    for name, vary in (("plain", lambda x, rng: x), ("augmented", varied)):
        start, rng = np.random.default_rng(0), gx.random.default_rng(1)
        p = gx.shared({"hidden": stage.dense(start, 64, 128), "out": stage.dense(start, 128, 10)})
        z, y = gx.tensor("z", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
        loss = gx.nn.cross_entropy(network(p, vary(z, rng)), y)
        step = gx.function([z, y], loss, updates=gx.optim.adam(3e-3).updates(loss, p))
        stage.epochs(step, (images[:FEW], labels[:FEW]), 100 if short else 400)
        classify = gx.function([z], gx.argmax(network(p, z), axis=1))
        for kind, pictures in ((name, test_images), (f"{name}, turned", test_turned)):
            figures[kind] = float(np.mean(classify(pictures) == test_labels))
        print(f"{FEW} pictures, {name}: test accuracy {figures[name]:.1%}, turned by 15 degrees {figures[f'{name}, turned']:.1%}")
    assert figures["augmented, turned"] > figures["plain, turned"] + 0.03
    assert short or figures["augmented"] > figures["plain"]
    if plot:
        with stage.picture(plot, rows=2, columns=8, size=1.2) as axes:
            angles = np.linspace(0, np.pi / 2, 8, dtype="float32")
            for row, picture in zip(axes, some[:2]):
                for ax, image in zip(row, turn(np.repeat(picture[None], 8, 0), angles)):
                    ax.imshow(image, cmap="gray_r")
                    ax.axis("off")
    return figures


if __name__ == "__main__":
    stage.run(main)
