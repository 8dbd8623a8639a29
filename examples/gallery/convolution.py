"""Convolution as the textbooks print it, on the Nile, on a photograph and on a film.

    python examples/gallery/convolution.py

One, two and three dimensions; strides, dilation, padding of every kind; and the matrix that a convolution is, which nobody builds.
(Goodfellow et al. 9.1, 9.2, 9.5; Russell and Norvig 22.3)
"""

from __future__ import annotations

import numpy as np
import stage
from data import photograph, table

import graphc as gx


def one_dimension() -> dict[str, float]:
    """A weighted average of noisy measurements (9.1), and the detector of figure 22.4 with its derivatives of two orders."""
    nile = table("nile")["flow"]
    smooth = gx.convolve(gx.asarray(nile), np.ones(9) / 9, mode="valid").eval()
    assert (gx.convolve(gx.asarray([1.0, 2, 3]), [0, 1, 0.5]).eval() == [0, 1, 2.5, 4, 1.5]).all()
    x, k = gx.tensor("x", (1, 1, 7)), gx.tensor("k", (1, 1, 3))
    z = gx.nn.conv1d(x, k, stride=2)
    cost = gx.sum(z**2)
    detect = gx.function([x, k], [z, cost, gx.grad(cost, k), gx.hessian(cost, x)], mode="interpret")  # for one call compiling does not pay
    out, square, slope, curvature = detect(np.float64([[[5, 6, 6, 2, 5, 6, 5]]]), np.float64([[[1, -1, 1]]]))
    rows = np.float64([[1, -1, 1, 0, 0, 0, 0], [0, 0, 1, -1, 1, 0, 0], [0, 0, 0, 0, 1, -1, 1]])
    assert out.ravel().tolist() == [5, 9, 4] and square == 122 and slope.ravel().tolist() == [198, 144, 190]
    assert (curvature.reshape(7, 7) == 2 * rows.T @ rows).all(), "the Hessian is 2 K'K"
    return {"spread of the Nile": float(nile.std()), "after smoothing": float(smooth.std())}


def edges() -> dict[str, float]:
    """Figure 9.6: neighbours subtracted, 267,960 operations; as a dense matrix it would have 8 billion entries."""
    pixels = photograph()
    image = gx.tensor("image", pixels.shape, "float32")
    detect = gx.function([image], gx.nn.conv2d(image[None, None], np.float32([[[[-1, 1]]]]))[0, 0])
    assert np.array_equal(detect(pixels), pixels[:, 1:] - pixels[:, :-1])
    height, width = pixels.shape
    counted, dense = 3 * height * (width - 1), height * width * height * (width - 1)
    assert counted == 267_960 and dense == 8_003_072_000
    assert detect.cost()["operations"] <= 4 * height * (width - 1), "graphc counts a product and an addition for each tap"
    return {"operations": counted, "times fewer than a matrix": 2 * dense / counted}


def strides_and_dilation() -> dict[str, float]:
    """A stride computes only what it keeps (figure 9.12); dilated layers see exponentially far."""
    pixels = photograph()[None, None]
    image, k = gx.tensor("image", pixels.shape, "float32"), np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype("float32")
    whole = gx.function([image], gx.nn.conv2d(image, k)[:, :, ::2, ::2])
    some = gx.function([image], gx.nn.conv2d(image, k, stride=2))
    np.testing.assert_allclose(some(pixels), whole(pixels), rtol=1e-5, atol=1e-5)
    assert whole.cost() == some.cost() and some.memory()["largest"] == 0, "a slice of a convolution is compiled as one with a stride"
    x = gx.tensor("x", (1, 1, 31))
    y = x
    for dilation in (1, 2, 4):
        y = gx.nn.conv1d(y, np.ones((1, 1, 3)), dilation=dilation, padding="same")
    seen = np.count_nonzero(gx.grad(y[0, 0, 15], x).eval({x: np.zeros(x.shape)}))
    assert seen == 1 + 2 * (1 + 2 + 4), "each layer of width 3 adds twice its dilation"
    return {"pixels seen by three dilated layers": seen}


def padding() -> dict[str, float]:
    """Figure 9.13: without padding three layers of width 6 use up 16 units. Zeros darken the border, copies of it do not."""
    x, wide = gx.tensor("x", (1, 1, 16)), np.ones((1, 1, 6)) / 6
    sizes = [int(gx.nn.conv1d(x, wide, padding=p).shape[2]) for p in ("valid", "same", "full")]
    assert sizes == [16 - 6 + 1, 16, 16 + 6 - 1]
    shrunk = gx.nn.conv1d(gx.nn.conv1d(gx.nn.conv1d(x, wide), wide), wide)
    image = gx.tensor("image", (1, 3, 256, 256))
    halved = gx.nn.conv2d(image, np.zeros((96, 3, 5, 5)), stride=2, padding=((1, 2), (1, 2)))
    assert shrunk.shape == (1, 1, 1) and halved.shape == (1, 96, 128, 128), "an odd sum of padding: more behind than before"
    zeros, edge = (gx.nn.conv1d(x, wide, padding="same", padding_mode=mode).eval({x: np.ones((1, 1, 16))}) for mode in ("zeros", "edge"))
    np.testing.assert_allclose(edge, 1, rtol=1e-15)
    assert zeros[0, 0].tolist()[0] == 4 / 6
    return {"border under zeros": float(zeros.min()), "border under copies": float(edge.min())}


def film() -> dict[str, float]:
    """Three dimensions: a kernel over time and place that is blind to what moves right by a pixel a frame, and only to that."""
    pixels = photograph()
    films = [np.stack([np.roll(pixels, step * t, axis=1) for t in range(6)]) for step in (1, -1)]
    kernel = np.zeros((1, 1, 2, 1, 2), "float32")
    kernel[0, 0, 0, 0, 0], kernel[0, 0, 1, 0, 1] = 1, -1  # I(t, x) - I(t + 1, x + 1)
    frames = gx.tensor("frames", (1, 1, "t", *pixels.shape), "float32")
    energy = gx.function([frames], gx.mean(gx.nn.conv3d(frames, kernel) ** 2))
    right, left = (float(energy(f[None, None])) for f in films)
    assert right == 0 < left
    return {"energy moving right": right, "moving left": left}


def as_a_product() -> dict[str, float]:
    """All patches as rows of one matrix, times the kernels: the same numbers in 9 times the memory (Leskovec et al. 13.4.5)."""
    pixels = photograph()[:64, :64]
    image, k = gx.tensor("image", pixels.shape, "float32"), np.random.default_rng(1).normal(size=(8, 1, 3, 3)).astype("float32")
    places = np.arange(62)
    rows, columns = (places[:, None] + np.arange(3) for _ in range(2))
    patches = image[rows[:, None, :, None], columns[None, :, None, :]].reshape((62 * 62, 9))
    product = gx.function([image], [(patches @ k.reshape(8, 9).T).reshape((62, 62, 8)), patches])
    direct = gx.function([image], gx.nn.conv2d(image[None, None], k)[0])
    out, matrix = product(pixels)
    np.testing.assert_allclose(out, direct(pixels).transpose(1, 2, 0), rtol=1e-4, atol=1e-5)
    return {"patches over pixels": matrix.size / pixels.size}


def main(short: bool = False) -> dict[str, float]:
    """Every part, short or not: each takes milliseconds."""
    found = {**one_dimension(), **edges(), **strides_and_dilation(), **padding(), **film(), **as_a_product()}
    for name, value in found.items():
        print(f"{name:36} {value:12.6g}")
    return found


if __name__ == "__main__":
    stage.run(main)
