"""spec/000-001.md: A63: the net that won in 2012, by its sizes, and its measure, the five likeliest classes."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.ir import Node
from tests.gallery.kit import program

LAYERS = [  # outputs, width of the kernel, stride, padding, groups, pooled behind it
    (96, 11, 4, 0, 1, True), (256, 5, 1, 2, 2, True), (384, 3, 1, 1, 1, False), (384, 3, 1, 1, 2, False), (256, 3, 1, 1, 2, True),
]  # fmt: skip
DENSE = (4096, 4096, 1000)


def network(x: Node, parameter: Any, scale: int) -> tuple[Node, int]:
    """(scores of the classes, number of weights): five convolutions with pooling between, three dense layers, rectifiers."""
    weights = 0
    for outputs, width, stride, padding, groups, pooled in LAYERS:
        w, b = parameter((outputs // scale, x.shape[1] // groups, width, width)), parameter((outputs // scale,))
        x = gx.relu(gx.nn.conv2d(x, w, b, stride=stride, padding=padding, groups=groups))
        x, weights = gx.nn.max_pool2d(x, 3, stride=2) if pooled else x, weights + w.size + b.size
    x = x.reshape((x.shape[0], -1))
    for k, units in enumerate(DENSE):
        w, b = parameter((x.shape[1], units // scale)), parameter((units // scale,))
        x, weights = (gx.relu if k < 2 else gx.asarray)(x @ w + b), weights + w.size + b.size
    return x, weights


def test_A63_sixty_million_weights() -> None:
    """At full size, nothing of it computed: 60,965,224 numbers, 1000 classes."""
    scores, weights = network(gx.tensor("x", (1, 3, 227, 227), "float32"), lambda shape: gx.tensor("p", shape, "float32"), 1)
    assert weights == 60_965_224 and scores.shape == (1, 1000)


def test_A63_the_five_likeliest() -> None:
    """The same net with a sixteenth of the units on pieces of a photograph; classes among the five with the largest scores, counted."""
    rng, photograph = np.random.default_rng(63), program("data").photograph("float64")
    pieces = np.stack([photograph[at : at + 67, at : at + 67] for at in (0, 60, 120)])
    x, y = np.repeat(pieces[:, None], 3, axis=1), np.array([3, 40, 7])
    scores, _ = network(gx.asarray(x), lambda shape: gx.asarray(rng.normal(size=shape) / np.sqrt(np.prod(shape[1:] or 1))), 16)
    _, five = gx.topk(scores, 5)
    right = gx.any(five == y[:, None], axis=1)
    values = scores.eval()
    assert values.shape == (3, 62) and np.isfinite(values).all() and np.ptp(values) > 0
    ranks = np.array([(row > row[label]).sum() for row, label in zip(values, y)])
    np.testing.assert_array_equal(right.eval(), ranks < 5)
    sure = np.argsort(-values, axis=1)[:, 4]
    assert gx.any(five == sure[:, None], axis=1).eval().all()
