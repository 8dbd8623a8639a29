"""spec/003.md: C17, P5, P8, X1, X2, X6, U10: nets over time, pooling of some channels, three ends of a classifier, quadratic filters."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Node
from tests.gallery.kit import program
from tests.spec.kit import close

RNG = np.random.default_rng(17)


def test_C17_time_delay_net() -> None:
    """Two layers over time of several channels: a series that comes a step later is answered a step later."""
    x = gx.tensor("x", (1, 3, 20))
    y = gx.tanh(gx.nn.conv1d(gx.tanh(gx.nn.conv1d(x, RNG.normal(size=(4, 3, 3)))), RNG.normal(size=(2, 4, 5))))
    X = RNG.normal(size=x.shape)
    later = np.concatenate([RNG.normal(size=(1, 3, 1)), X[..., :-1]], axis=2)
    np.testing.assert_array_equal(y.eval({x: later})[..., 1:], y.eval({x: X})[..., :-1])


def test_P5_and_X1_three_stages_and_what_they_leave() -> None:
    """Convolution, detector, pooling k by k: the next layer has k^2 times fewer inputs."""
    x = gx.tensor("x", ("n", 1, 24, 24))
    maps = gx.relu(gx.nn.conv2d(x, RNG.normal(size=(6, 1, 5, 5)), padding="same"))
    for k in (2, 3, 4):
        pooled = gx.nn.max_pool2d(maps, k)
        assert pooled.shape[1:] == (6, 24 // k, 24 // k)


def test_P8_some_channels_pooled_and_others_read_at_places() -> None:
    """The first two channels are pooled, the third is read where an index says; each gradient goes to its own channels."""
    x, rows = gx.tensor("x", (1, 3, 4, 4)), np.array([0, 3])
    both = gx.concatenate([gx.nn.max_pool2d(x[:, :2], 2), gx.take(gx.take(x[:, 2:], rows, axis=2), rows, axis=3)], axis=1)
    X = RNG.permutation(np.arange(48.0)).reshape(1, 3, 4, 4)
    value, slope = (n.eval({x: X}) for n in (both, gx.grad(gx.sum(both), x)))
    np.testing.assert_array_equal(value[0, :2], X[0, :2].reshape(2, 2, 2, 2, 2).max((2, 4)))
    np.testing.assert_array_equal(value[0, 2], X[0, 2][np.ix_(rows, rows)])
    want = np.isin(X, value).astype(float)
    np.testing.assert_array_equal(slope, want)


@pytest.mark.parametrize("end", ["flat", "grid", "mean"])
def test_X2_three_ends_of_a_classifier(end: str, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """All units, a fixed grid of maxima, the mean of one map a class; the latter two read images of any size. Gradients by differences."""
    images, labels = digits[0][:2].reshape(2, 1, 8, 8), digits[1][:2]
    wide = {"flat": 5 * 36, "grid": 5 * 4, "mean": 0}[end]
    k, w = gx.tensor("k", (10 if end == "mean" else 5, 1, 3, 3)), gx.tensor("w", (max(wide, 1), 10))

    def scores(x: Node) -> Node:
        maps = gx.tanh(gx.nn.conv2d(x, k))
        if end == "mean":
            return gx.mean(maps, axis=(2, 3)) + 0 * w[0]
        units = maps if end == "flat" else gx.nn.adaptive_max_pool2d(maps, 2)
        return units.reshape((x.shape[0], wide)) @ w

    cost = gx.nn.cross_entropy(scores(gx.asarray(images)), labels)
    gx.check_grad(cost, [k, w], {k: RNG.normal(size=k.shape), w: RNG.normal(size=w.shape)})
    if end != "flat":
        assert scores(gx.tensor("x", ("n", 1, 12, 17))).shape[1:] == (10,)


def test_X6_what_a_fixed_permutation_of_pixels_does(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """A dense layer whose rows move along says the same; a convolution does not."""
    images, order = digits[0][:5].reshape(5, 64), RNG.permutation(64)
    w, k = RNG.normal(size=(64, 7)), RNG.normal(size=(3, 1, 3, 3))
    close(gx.relu(gx.asarray(images[:, order]) @ w[order]).eval(), gx.relu(gx.asarray(images) @ w).eval(), rtol=1e-12, atol=1e-12)
    total = lambda x: gx.sum(gx.relu(gx.nn.conv2d(gx.asarray(x.reshape(5, 1, 8, 8)), k)), axis=(1, 2, 3)).eval()
    assert np.abs(total(images[:, order]) - total(images)).min() > 0.1


def test_U10_quadratic_filters() -> None:
    """x' Q x with Q of rank 2 is the square of a complex cell, and two convolutions, squared and added, are it at every place."""
    gabor = program("gabor").gabor
    cells = [gabor((1.0, 0.1, 0.1, 0.8, phase, 0.0, 0.0, 0.4), 5).eval() for phase in (0.0, np.pi / 2)]
    Q = sum(np.outer(c.ravel(), c.ravel()) for c in cells)
    image = RNG.normal(size=(9, 8))
    answers = gx.nn.conv2d(gx.asarray(image[None, None]), np.stack(cells)[:, None])[0]
    found = gx.sum(answers**2, axis=0).eval()
    patches = np.lib.stride_tricks.sliding_window_view(image, (5, 5)).reshape(5, 4, 25)
    close(found, np.einsum("ijp,pq,ijq->ij", patches, Q, patches), rtol=1e-11)
