"""`gx.nn` activations: values and two derivatives against mpmath far into both tails, both precisions; kinks; what has an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from tests.derivatives import check_derivatives

SMOOTH = [-1e4, -50.0, -17.0, -3.7, -0.6, -1e-8, 1e-8, 0.3, 2.5, 17.0, 90.0, 1e4]
SIGMOID = lambda x: 1 / (1 + mp.exp(-x))
OUTER = mp.sqrt(2 / mp.pi)
EXACT: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "leaky_relu": (gx.nn.leaky_relu, lambda x: x if x > 0 else x / mp.mpf(100)),
    "elu": (lambda x: gx.nn.elu(x, 1.5), lambda x: x if x > 0 else mp.mpf(1.5) * mp.expm1(x)),
    "selu": (gx.nn.selu, lambda x: mp.mpf(1.0507009873554805) * (x if x > 0 else mp.mpf(1.6732632423543772) * mp.expm1(x))),
    "gelu": (gx.nn.gelu, lambda x: x * mp.ncdf(x)),
    "gelu, tanh": (lambda x: gx.nn.gelu(x, True), lambda x: x * SIGMOID(2 * OUTER * (x + mp.mpf(0.044715) * x**3))),
    "silu": (gx.nn.silu, lambda x: x * SIGMOID(x)),
    "mish": (gx.nn.mish, lambda x: x * mp.tanh(mp.log1p(mp.exp(x)))),
    "softsign": (gx.nn.softsign, lambda x: x / (1 + abs(x))),
    "hard_tanh": (gx.nn.hard_tanh, lambda x: max(-1, min(1, x))),
    "hard_sigmoid": (gx.nn.hard_sigmoid, lambda x: max(0, min(1, x / 6 + mp.mpf(0.5)))),
    "hard_swish": (gx.nn.hard_swish, lambda x: x * max(0, min(1, x / 6 + mp.mpf(0.5)))),
    "relu6": (gx.nn.relu6, lambda x: min(max(0, x), 6)),
}


def test_values_and_two_derivatives() -> None:
    mp.mp.dps = 60
    for dtype, tolerance in (("float64", 1e-13), ("float32", 2e-6)):
        points = np.array(SMOOTH, dtype)
        x = gx.tensor("x", ("n",), dtype)
        rows = {}
        for name, (f, _) in EXACT.items():
            value = f(x)
            slope = gx.grad(gx.sum(value), x)
            rows[name] = [value, slope, gx.grad(gx.sum(slope), x, disconnected="zero")]
        got = gx.function([x], rows)(points)
        for name, (_, exact) in EXACT.items():
            for order in range(3):
                want = np.array([float(mp.diff(exact, mp.mpf(float(v)), order, h=mp.mpf(10) ** -22)) for v in points])
                assert got[name][order].dtype == dtype
                np.testing.assert_allclose(
                    got[name][order], want, rtol=10 * tolerance, atol=tolerance, err_msg=f"{name}, order {order}, {dtype}"
                )


def test_at_kinks_nan_and_infinity() -> None:
    x = gx.tensor("x", (4,))
    for f, at_zero in [(gx.nn.leaky_relu, 0.01), (gx.nn.elu, 1.0), (gx.nn.silu, 0.5), (gx.nn.hard_tanh, 1.0), (gx.nn.relu6, 0.0)]:
        value, slope = gx.function([x], [f(x), gx.grad(gx.sum(f(x)), x)], mode="interpret")([0.0, np.nan, np.inf, -1.0])
        assert (value[0], np.isnan(value[1])) == (0, True)
        assert slope[0] == at_zero
        assert value[2] == {gx.nn.hard_tanh: 1.0, gx.nn.relu6: 6.0}.get(f, np.inf)
    assert gx.nn.elu(np.array([-1, 2])).dtype == np.float64
    assert gx.nn.gelu(gx.tensor("k", (2,), "int8")).dtype == np.float32
    assert gx.nn.prelu(gx.tensor("k", (2,), "float32"), 0.1).dtype == np.float32


def test_prelu_learns_its_slopes() -> None:
    X = np.random.default_rng(0).normal(size=(5, 3, 2))
    x, alpha = gx.tensor("x", ("n", 3, 2)), gx.tensor("alpha", (3,))
    out = gx.nn.prelu(x, alpha, axis=1)
    G = np.random.default_rng(1).normal(size=X.shape)
    slopes = np.array([0.1, -0.5, 0.0])
    value, by_alpha = gx.function([x, alpha], [out, gx.grad(gx.sum(out * G[:5]), alpha)])(X, slopes)
    np.testing.assert_allclose(value, np.maximum(X, 0) + slopes[:, None] * np.minimum(X, 0), rtol=1e-15)
    np.testing.assert_allclose(by_alpha, (np.minimum(X, 0) * G).sum((0, 2)), rtol=1e-13)
    check_derivatives(lambda a, s: gx.nn.prelu(a, s, 1), X, slopes, orders=2)


def test_maxout_and_glu() -> None:
    X = np.random.default_rng(2).normal(size=(4, 6))
    x = gx.tensor("x", ("n", 6))
    two, three, gated, first = gx.function(
        [x], [gx.nn.maxout(x, 2), gx.nn.maxout(x, 3), gx.nn.glu(x), gx.nn.maxout(gx.transpose(x), 2, 0)]
    )(X)
    np.testing.assert_array_equal(two, X.reshape(4, 3, 2).max(2))
    np.testing.assert_array_equal(three, X.reshape(4, 2, 3).max(2))
    np.testing.assert_array_equal(first, two.T)
    np.testing.assert_allclose(gated, X[:, :3] * scipy.special.expit(X[:, 3:]), rtol=1e-14)
    tie = gx.tensor("tie", (2,))
    assert list(gx.grad(gx.nn.maxout(tie, 2)[0], tie).eval({tie: np.ones(2)})) == [0.5, 0.5]
    check_derivatives(lambda a: gx.nn.glu(gx.nn.maxout(a, 3)), X, orders=2)


def test_refused() -> None:
    x = gx.tensor("x", (4, 6))
    with pytest.raises(ShapeError, match="6 places along axis -1 are not a multiple of pieces 4"):
        gx.nn.maxout(x, 4)
    with pytest.raises(ShapeError, match="not a multiple of halves 2"):
        gx.nn.glu(x[:, :5])
    with pytest.raises(ArgumentError, match="at least 1"):
        gx.nn.maxout(x, 0)
    with pytest.raises(ShapeError, match="5 slopes for 6 places"):
        gx.nn.prelu(x, np.ones(5))
    with pytest.raises(ArgumentError):
        gx.nn.silu("x")
    with pytest.raises((ArgumentError, DTypeError)):
        gx.nn.gelu(np.array(["a"]))
