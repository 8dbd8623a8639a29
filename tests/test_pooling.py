"""`gx.nn` pooling against loops in Python: windows, paddings, ties, nan, partial windows, adaptive windows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.derivatives import check_derivatives

RNG = np.random.default_rng(9)


def pooled(x: np.ndarray, f: Callable[[np.ndarray], Any], k: int, s: int, pad: int, ceil: bool = False) -> np.ndarray:
    """f of the elements of each window that exist, (batch, channels, h, w)."""
    counts = []
    for m in x.shape[2:]:
        rest = m + 2 * pad - k
        n = (-(-rest // s) if ceil else rest // s) + 1
        counts.append(n - 1 if ceil and (n - 1) * s >= m + pad else n)
    out = np.zeros((*x.shape[:2], *counts), x.dtype)
    for b, c, i, j in np.ndindex(*out.shape):
        rows, columns = ([y for y in range(a * s - pad, a * s - pad + k) if 0 <= y < m] for a, m in zip((i, j), x.shape[2:]))
        out[b, c, i, j] = f(x[b, c][np.ix_(rows, columns)])
    return out


WINDOWS = [(2, 2, 0, False), (3, 1, 1, False), (3, 2, 1, True), (2, 3, 0, True), (1, 2, 0, False)]


@pytest.mark.parametrize(("k", "s", "pad", "ceil"), WINDOWS)
def test_windows(k: int, s: int, pad: int, ceil: bool) -> None:
    """One function with every pooling, both layouts; sizes of space known only at the call."""
    x = gx.tensor("x", ("n", 2, "h", "w"))
    last = gx.transpose(x, (0, 2, 3, 1))
    outs = [
        gx.nn.max_pool2d(x, k, s, pad, 1, ceil), gx.nn.avg_pool2d(x, k, s, pad, ceil, False), gx.nn.avg_pool2d(x, k, s, pad, ceil),
        gx.nn.max_pool2d(last, k, s, pad, 1, ceil, layout="NHWC"),
    ]  # fmt: skip
    f = gx.function([x], outs)
    for shape in [(2, 2, 6, 5), (1, 2, 3, 3), (0, 2, 4, 4)]:
        X = RNG.normal(size=shape)
        most, mean, whole, turned = f(X)
        want = pooled(X, np.max, k, s, pad, ceil)
        np.testing.assert_array_equal(most, want)
        np.testing.assert_array_equal(turned, want.transpose(0, 2, 3, 1))
        np.testing.assert_allclose(mean, pooled(X, np.mean, k, s, pad, ceil), rtol=1e-13)
        if not ceil:
            np.testing.assert_allclose(whole, pooled(X, np.sum, k, s, pad, ceil) / k**2, rtol=1e-13)


def test_one_and_three_axes_and_other_dtypes() -> None:
    X = RNG.permutation(2 * 3 * 4 * 4 * 6).reshape(2, 3, 4, 4, 6)
    got = gx.nn.max_pool3d(gx.asarray(X), (2, 1, 3)).eval()
    np.testing.assert_array_equal(got, X.reshape(2, 3, 2, 2, 4, 1, 2, 3).max((3, 5, 7)))
    assert got.dtype == X.dtype
    row = X[0, 0, 0].astype("float32")
    got = gx.nn.avg_pool1d(gx.asarray(row), 2, 4).eval()
    np.testing.assert_allclose(got, (row[:, [0, 4]] + row[:, [1, 5]]) / 2)
    assert got.dtype == np.float32
    low = gx.nn.max_pool1d(gx.asarray(-row.astype("int8") - 1), 3, 2, 1).eval()
    np.testing.assert_array_equal(low[:, 0], np.max(-row.astype("int8")[:, :2] - 1, 1))
    np.testing.assert_array_equal(gx.nn.max_pool(gx.asarray(X[0, 0]), (2, 2)).eval(), gx.nn.max_pool2d(gx.asarray(X[0, 0]), 2).eval())
    dilated = gx.nn.max_pool1d(gx.asarray(row), 2, 1, dilation=3).eval()
    np.testing.assert_array_equal(dilated, np.maximum(row[:, :3], row[:, 3:]))


def test_max_pool_gradient_ties_nan_and_infinity() -> None:
    x = gx.tensor("x", (1, 1, 4, 4))
    out = gx.nn.max_pool2d(x, 2)
    f = gx.function([x], [out, gx.grad(gx.sum(out * gx.asarray([[1.0, 2], [3, 4]])), x)])
    X = np.array([[1.0, 1, 5, 2], [1, 1, 2, 5], [0, -np.inf, 7, 8], [-1, 0, np.nan, 8]]).reshape(1, 1, 4, 4)
    most, gradient = f(X)
    np.testing.assert_array_equal(most[0, 0], [[1, 5], [0, np.nan]])
    np.testing.assert_array_equal(gradient[0, 0, :2], [[0.25, 0.25, 1, 0], [0.25, 0.25, 0, 1]])
    np.testing.assert_array_equal(gradient[0, 0, 2:, :2], [[1.5, 0], [0, 1.5]])
    lowest = gx.nn.max_pool2d(x, 3, 1, 1).eval({x: np.full((1, 1, 4, 4), -np.inf)})
    assert (lowest == -np.inf).all()
    over = gx.nn.max_pool2d(x, 3, 1, 1)
    X = RNG.permutation(16.0 * np.arange(1, 17)).reshape(1, 1, 4, 4)
    check_derivatives(lambda x: gx.nn.max_pool2d(x, 3, 2, 1) ** 2, X / 50)
    got = gx.function([x], gx.grad(gx.sum(over), x))(X)
    wins = np.zeros((4, 4))
    for i, j in itertools.product(range(4), repeat=2):
        part = X[0, 0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        wins += X[0, 0] == part.max()
    np.testing.assert_array_equal(got[0, 0], wins)


def test_lp_pool() -> None:
    X = RNG.normal(size=(2, 3, 4, 6))
    X[0, 0, :2, :2] = 0
    x = gx.tensor("x", X.shape)
    for p in (1.0, 2.0, 3.0, np.inf):
        got = gx.nn.lp_pool(x, p, 2).eval({x: X})
        np.testing.assert_allclose(got, pooled(X, lambda v, p=p: np.linalg.norm(v.ravel(), p), 2, 2, 0), rtol=1e-12)  # type: ignore[misc]
    gradient = gx.function([x], gx.grad(gx.sum(gx.nn.lp_pool(x, 2.0, 2)), x))(X)
    assert (gradient[0, 0, :2, :2] == 0).all() and np.isfinite(gradient).all()
    check_derivatives(lambda x: gx.nn.lp_pool(x, 2.0, (3,), 1), X[0, 1, :1], orders=2, tolerance=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_adaptive(known: bool) -> None:
    """Any image becomes as many numbers: windows floor(i m / o) .. ceil((i + 1) m / o)."""
    sizes = [(6, 6), (5, 7), (1, 3), (4, 9)] if not known else [(6, 4), (5, 7)]
    x = gx.tensor("x", (2, 1, "h", "w"))
    counts = [(1, 1), (2, 2), (3, 2)]
    both = lambda x: [pool(x, c) for c in counts for pool in (gx.nn.adaptive_avg_pool2d, gx.nn.adaptive_max_pool2d)]
    f = None if known else gx.function([x], both(x))
    for h, w in sizes:
        X = RNG.normal(size=(2, 1, h, w))
        node = gx.tensor("x", X.shape)
        got = iter(gx.function([node], both(node))(X) if f is None else f(X))
        for o in counts:
            ends = [[(i * m // n, -(-(i + 1) * m // n)) for i in range(n)] for m, n in zip((h, w), o)]
            for reduce in (np.mean, np.max):
                want = np.array([[[reduce(X[b, 0, a:z, c:d]) for c, d in ends[1]] for a, z in ends[0]] for b in range(2)])
                np.testing.assert_allclose(next(got)[:, 0], want, rtol=1e-12)
    check_derivatives(lambda x: gx.nn.adaptive_avg_pool2d(x, 2) * gx.nn.adaptive_max_pool2d(x, 2), RNG.normal(size=(1, 1, 3, 3)), orders=2)
