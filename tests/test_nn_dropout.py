"""`gx.nn.dropout`: both forms, one mask for value and gradient, a new one for each call, none in the graph that predicts."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, NotDifferentiableError

nn = gx.nn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_forms(dtype: str) -> None:
    """Outputs are 0 or a / p and their mean is a; the gradient has the same mask; the keep rate is p to five deviations."""
    rng = gx.random.default_rng(0)
    x = gx.tensor("x", ("n", 50), dtype)
    one, other = nn.dropout(rng, x, 0.2), nn.dropout(rng, x, 0.2, rescale="test")
    f = gx.function([x], [one, gx.grad(gx.sum(one), x), other])
    X = np.full((2000, 50), 3.0, dtype)
    value, slope, plain = f(X)
    assert value.dtype == dtype
    np.testing.assert_allclose(np.unique(value), [0, 3.75], rtol=1e-6)
    np.testing.assert_array_equal(np.unique(plain), [0, 3])
    np.testing.assert_allclose(value, 3 * slope, rtol=1e-6)
    for kept in (value != 0, plain != 0):
        assert abs(kept.mean() - 0.8) < 5 * np.sqrt(0.16 / X.size)
    assert abs(((value != 0) == (plain != 0)).mean() - 0.68) < 0.01  # two draws
    assert abs(((f(X)[0] != 0) == (value != 0)).mean() - 0.68) < 0.01  # and two calls
    predict = gx.function([x], [nn.dropout(rng, x, 0.2, False), nn.dropout(rng, x, 0.2, training=False, rescale="test")])
    same, scaled = predict(X)
    np.testing.assert_array_equal(same, X)
    np.testing.assert_allclose(scaled, 0.8 * X, rtol=1e-6)
    assert "random" not in predict.graph


def test_mean_of_a_linear_net_over_masks_is_the_full_net() -> None:
    W = np.random.default_rng(0).normal(size=(6, 3))
    X = np.random.default_rng(1).normal(size=6)
    p = {"weight": W, "bias": np.ones(3)}
    masks = np.array([[k >> j & 1 for j in range(6)] for k in range(64)])
    chance = (0.75**masks * 0.25 ** (1 - masks)).prod(1)
    deleted = (chance[:, None] * (masks * X @ W + 1)).sum(0)
    np.testing.assert_allclose(nn.dense(nn.scale_weights(p, 0.25), X).eval(), deleted, rtol=1e-12)
    np.testing.assert_allclose(nn.dense(p, nn.dropout(None, X, 0.25, False, rescale="test")).eval(), deleted, rtol=1e-12)


def test_keys_shared_axes_and_rates() -> None:
    key, x, rate = gx.random.key(3), gx.tensor("x", (4, 5, 3)), gx.scalar("rate")
    shared = nn.dropout(key, x, rate, shared_axes=(0, -1))
    f = gx.function([x, rate], [shared, nn.dropout(key, x, 0.5), nn.dropout(key, x, 0), nn.dropout(gx.random.key(4), x, 0.5)])
    X = np.ones((4, 5, 3))
    by_channel, a, whole, b = f(X, 0.5)
    np.testing.assert_array_equal(by_channel, np.broadcast_to(by_channel[:1, :, :1], X.shape))
    assert set(np.unique(by_channel)) <= {0, 2}
    np.testing.assert_array_equal(a, f(X, 0.9)[1])
    np.testing.assert_array_equal(whole, X)
    assert (a != b).any()
    np.testing.assert_array_equal(f(X, 0.0)[0], X)
    with pytest.raises(NotDifferentiableError):
        gx.grad(gx.sum(shared), rate)
    for wrong in (1.0, -0.1, True, [0.5]):
        with pytest.raises(ArgumentError, match="rate"):
            nn.dropout(key, x, wrong)
    with pytest.raises(ArgumentError, match="rescale is 'training' or 'test'"):
        nn.dropout(key, x, 0.5, rescale="never")
    with pytest.raises(ArgumentError, match="the rate is a number in"):
        nn.scale_weights({"weight": np.ones(2)}, 1)
