"""Depth against width: convolutional networks of 3 and of 11 layers with as many weights.

    python examples/gallery/depth.py

Layers of 3 x 3 kernels, then the mean of each map, then the classes. A unit of the shallow network sees 5 x 5 pixels of the digit, one of
the deep network all of it. For every number of weights the deep one makes fewer errors. Its layers are a scan over stacked kernels.
"""

from __future__ import annotations

import data
import numpy as np
import stage

import graphc as gx

SHALLOW, DEEP = 1, 9  # layers from maps to maps, between the first and the classes
WIDTHS = ((12, 4), (24, 8), (36, 12))  # maps of the shallow and of the deep network: three times as many for a ninth of the layers


def network(p, x):
    """Scores of pictures x (n, 64)."""
    h = gx.relu(gx.nn.conv2d(x.reshape((x.shape[0], 1, 8, 8)), p["first"], padding=1))

    def layer(h, q):
        return gx.relu(gx.nn.conv2d(h, q["K"], q["b"], padding=1)), None

    h, _ = gx.scan(layer, h, p["layers"])
    return gx.mean(h, axis=(2, 3)) @ p["out"]["W"] + p["out"]["b"]


def initial(layers: int, maps: int) -> dict:
    """Kernels by He's rule."""
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(layers, maps, maps, 3, 3)) * np.sqrt(2 / (9 * maps))
    return {
        "first": (rng.normal(size=(maps, 1, 3, 3)) * np.sqrt(2 / 9)).astype("float32"),
        "layers": {"K": kernels.astype("float32"), "b": np.zeros((layers, maps), "float32")},
        "out": stage.dense(rng, maps, 10),
    }


def main(short: bool = False) -> dict[str, float]:
    """Train pairs of networks with the same number of weights."""
    images, labels, test_images, test_labels = data.digits()
    figures = {}
    for pair in WIDTHS[:1] if short else WIDTHS:
        errors, counts = [], []
        for layers, maps in zip((SHALLOW, DEEP), pair):
            start = initial(layers, maps)
            counts.append(sum(a.size for a in gx.tree.leaves(start)))
            p, step = stage.classifier(network, start, gx.optim.adam(5e-3))
            losses = stage.epochs(step, (images, labels), 6 if short else 30)
            errors.append(losses[-1] if short else 1 - stage.accuracy(network, p, test_images, test_labels))
        assert 0.8 < counts[1] / counts[0] <= 1
        measured = "training loss" if short else "test error"
        print(f"{counts[0]} weights in 3 layers: {measured} {errors[0]:.4f};  {counts[1]} in 11 layers: {errors[1]:.4f}")
        figures |= {f"3 layers, {pair[0]} maps": errors[0], f"11 layers, {pair[1]} maps": errors[1]}
        assert errors[1] < errors[0]
    return figures


if __name__ == "__main__":
    stage.run(main)
