"""Convolutions that are cheaper than they look: separable kernels and Fourier transforms.

    python examples/gallery/fast_convolution.py

A photograph is blurred by a Gaussian: as one convolution, as two of one row and one column, by a Fourier transform, and by its definition
at one pixel. All agree; operations are counted, and the clock shows where each way wins. (Goodfellow et al. 9.8)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import stage
from data import photograph

import graphc as gx

FULL = "full"


def gaussian(width: int) -> np.ndarray:
    """Weights of a bell over `width` pixels, which sum to 1."""
    x = np.arange(width) - (width - 1) / 2
    bell = np.exp(-((3 * x / width) ** 2))
    return bell / bell.sum()


def direct(image: gx.Node, bell: np.ndarray) -> gx.Node:
    """The kernel of width x width: width^2 products a pixel."""
    return gx.nn.conv2d(image[None, None], np.outer(bell, bell)[None, None], padding=FULL)[0, 0]


def separable(image: gx.Node, bell: np.ndarray) -> gx.Node:
    """Down the columns, then along the rows: 2 width products a pixel."""
    down = gx.nn.conv2d(image[None, None], bell[None, None, :, None], padding=(len(bell) - 1, 0))
    return gx.nn.conv2d(down, bell[None, None, None, :], padding=(0, len(bell) - 1))[0, 0]


def fourier(image: gx.Node, bell: np.ndarray) -> gx.Node:
    """A product of transforms, which are pairs (real part, imaginary part)."""
    sizes = [int(n) + len(bell) - 1 for n in image.shape]
    (a, b), (c, d) = gx.fft.rfft2(image, s=sizes), gx.fft.rfft2(gx.asarray(np.outer(bell, bell)), s=sizes)
    return gx.fft.irfft2((a * c - b * d, a * d + b * c), s=sizes)


WAYS: dict[str, Callable[[gx.Node, np.ndarray], gx.Node]] = {"direct": direct, "separable": separable, "fourier": fourier}


def fastest(f: gx.Function, pixels: np.ndarray, rounds: int) -> float:
    """Seconds of the fastest of some calls."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        f(pixels)
        taken.append(time.perf_counter() - start)
    return min(taken)


def main(short: bool = False) -> dict[str, float]:
    """For each width of the kernel: largest difference between the ways, operations, milliseconds."""
    pixels = photograph().astype("float64")[:: 4 if short else 1, :: 4 if short else 1]
    image = gx.tensor("image", pixels.shape)
    found: dict[str, float] = {}
    print("width   operations: direct  separable   milliseconds: direct  separable  fourier   difference")
    for width in [9] if short else [3, 9, 17, 33, 65]:
        bell = gaussian(width)
        compiled = {name: gx.function([image], way(image, bell)) for name, way in WAYS.items()}
        results = {name: f(pixels) for name, f in compiled.items()}
        worst = max(float(np.abs(r - results["direct"]).max()) for r in results.values())
        at = (20, 30)  # the definition, equation 9.5, at one pixel
        reach = [(m, n) for m in range(width) for n in range(width) if m <= at[0] and n <= at[1]]
        by_hand = sum(pixels[at[0] - m, at[1] - n] * bell[m] * bell[n] for m, n in reach)
        np.testing.assert_allclose(results["direct"][at], by_hand, rtol=1e-12)
        assert worst < 1e-14 * width
        counted = {name: compiled[name].cost()["operations"] for name in ("direct", "separable")}
        assert counted["direct"] / counted["separable"] > width / 3, "O(w^2) against O(2 w) operations a pixel"
        ms = {name: 1e3 * fastest(f, pixels, 1 if short else 5) for name, f in compiled.items()}
        operations = f"{counted['direct']:18d} {counted['separable']:10d}"
        print(f"{width:5d} {operations} {ms['direct']:22.2f} {ms['separable']:10.2f} {ms['fourier']:8.2f}   {worst:.1e}")
        found |= {f"width {width}: times fewer operations": counted["direct"] / counted["separable"], f"width {width}: difference": worst}
    return found


if __name__ == "__main__":
    stage.run(main)
