"""spec/002-004.md, sections 2 and 3: models and activations by `gx.nn`."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

import graphc as gx
from tests.spec.kit import both, close, ops, optimised, run

nn = gx.nn


# -- section 3: activations ---------------------------------------------------------------------------------------------------
def test_activations_by_their_formulas() -> None:
    """Value and slope of every row of the table; relu passes exactly nothing on where its input is negative."""
    x = gx.tensor("x", ("n",))
    X = np.array([-1000.0, -3.0, -0.5, 0.0, 0.5, 3.0, 1000.0])
    s = lambda a: np.where(a > 0, 1 / (1 + np.exp(-np.abs(a))), np.exp(-np.abs(a)) / (1 + np.exp(-np.abs(a))))
    table = {
        "relu": (gx.relu, np.maximum(X, 0), X > 0),
        "leaky": (nn.leaky_relu, np.maximum(X, 0) + 0.01 * np.minimum(X, 0), np.where(X > 0, 1, 0.01)),
        "tanh": (gx.tanh, np.tanh(X), 1 - np.tanh(X) ** 2),
        "sigmoid": (gx.sigmoid, s(X), s(X) * s(-X)),
        "softplus": (gx.softplus, np.logaddexp(X, 0), s(X)),
        "hard tanh": (nn.hard_tanh, np.clip(X, -1, 1), np.abs(X) <= 1),
        "absolute": (nn.abs, np.abs(X), np.sign(X)),
        "absolute tanh": (lambda x: nn.abs(gx.tanh(x)), np.abs(np.tanh(X)), np.sign(X) * (1 - np.tanh(X) ** 2)),
    }
    rows = {name: [f(x), gx.grad(gx.sum(f(x)), x)] for name, (f, _, _) in table.items()}
    for name, got in both(rows, {x: X}).items():
        close(got, [table[name][1], table[name][2] * 1.0], rtol=1e-14, atol=1e-15)
    close(run(2 * gx.sigmoid(2 * x) - 1, {x: X}), np.tanh(X), atol=1e-15)
    assert ops(optimised([x], gx.grad(gx.sum(gx.softplus(x)), x))) == {"input": 1, "sigmoid": 1}


def test_prelu_learns_by_unit() -> None:
    """max(0, a) + alpha min(0, a): the gradient by alpha sums over the batch, and is not 0 where the unit is."""
    x, alpha = gx.tensor("x", ("n", 3)), gx.tensor("alpha", (3,))
    X, A = -np.random.default_rng(0).random((4, 3)), np.array([0.25, 0.1, 0.0])
    out = nn.prelu(x, alpha)
    value, by_x, by_alpha = run([out, *gx.grad(gx.sum(out), [x, alpha])], {x: X, alpha: A})
    close([value, by_x, by_alpha], [A * X, np.broadcast_to(A, X.shape), X.sum(0)])


def test_softmax_of_n_scores_or_one_less() -> None:
    """Adding a number to all scores changes nothing; with the last score fixed at 0, n - 1 of them say the same."""
    a = gx.tensor("a", ("m", 4))
    A = np.random.default_rng(0).normal(size=(3, 4))
    p, shifted, fewer = run([gx.softmax(a), gx.softmax(a + 100.0), gx.softmax(gx.pad(a[:, :3] - a[:, 3:], ((0, 0), (0, 1))))], {a: A})
    close([shifted, fewer, p.sum(1)], [p, p, np.ones(3)], rtol=1e-12)
    close(run(gx.softmax(gx.stack([a[:, 0], 0 * a[:, 0]], axis=1))[:, 0] - gx.sigmoid(a[:, 0]), {a: A}), np.zeros(3), atol=1e-15)


def test_rbf_units_make_no_array_of_differences() -> None:
    """exp(-|w - x|**2 / sigma**2), the distances fused: nothing of (m, units, d) in memory."""
    p = {"centres": np.random.default_rng(0).normal(size=(50, 20)), "width": np.full(50, 4.0)}
    x = gx.tensor("x", ("m", 20))
    f = gx.function([x], nn.rbf(p, x))
    X = np.random.default_rng(1).normal(size=(30, 20))
    close(f(X), np.exp(-((X[:, None] - p["centres"]) ** 2).sum(-1) / 16), rtol=1e-12)
    assert f.memory(m=1000)["arena"] < 1000 * 50 * 8 * 1.1


@pytest.mark.parametrize("pieces", [2, 8])
def test_maxout_approximates_a_convex_function(pieces: int) -> None:
    """x**2 by tangents: with k pieces the error is that of the best k tangents, 1 / (4 (2 k)**2) of the square of the range at most."""
    at = (np.arange(pieces) + 0.5) * 2 / pieces - 1
    p = {"weight": 2 * at[None], "bias": -(at**2)}
    X = np.linspace(-1, 1, 401)[:, None]
    error = X[:, 0] ** 2 - nn.maxout(nn.dense(p, X), pieces).eval()[:, 0]
    assert error.min() > -1e-15
    close(error.max(), 1 / pieces**2, rtol=1e-6)


# -- section 2: models --------------------------------------------------------------------------------------------------------
def test_rbf_network_with_centres_from_the_examples() -> None:
    """Centres are training rows; the outer weights by least squares are where the gradient of the squared error vanishes."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-3, 3, (200, 1))
    T = np.sin(X[:, 0])
    p = nn.init.rbf(X, 12, 1.0, rng=1)
    assert all(row in X for row in p["centres"])
    H = nn.rbf(p, X).eval()
    w = scipy.linalg.lstsq(H, T)[0]
    v = gx.tensor("v", (12,))
    slope = run(gx.grad(nn.squared_error(nn.rbf(p, X) @ v, T), v), {v: w})
    close(slope, np.zeros(12), atol=1e-9)
    assert np.abs(H @ w - T).max() < 0.02


def test_partial_connectivity() -> None:
    """A constant mask on the weights: what is not connected has gradient exactly 0."""
    rng = np.random.default_rng(0)
    mask = rng.random((6, 4)) < 0.5
    p = gx.like(nn.init.dense(0, 6, 4), "p")
    out = nn.dense({**p, "weight": p["weight"] * mask}, rng.normal(size=(5, 6)))
    g = gx.function([p], gx.grad(gx.sum(out**2), p))(nn.init.dense(0, 6, 4))
    assert (g["weight"][~mask] == 0).all()
    assert (g["weight"][mask] != 0).all()


def test_full_covariance_of_correlated_noise() -> None:
    """Sigma = B B': at the covariance of the residuals the gradient vanishes and the loss is SciPy's; a step from I lowers it."""
    rng = np.random.default_rng(0)
    R = rng.normal(size=(400, 2)) @ np.array([[1.0, 0.6], [0.0, 0.5]])
    B = gx.tensor("B", (2, 2))
    loss = nn.multivariate_gaussian_nll(np.zeros((400, 2)), R, gx.linalg.cholesky(B @ B.T))
    f = gx.function([B], [loss, gx.grad(loss, B)])
    best, slope = f(np.linalg.cholesky(R.T @ R / 400))
    close(slope, np.zeros((2, 2)), atol=1e-12)
    close(best, -scipy.stats.multivariate_normal(cov=R.T @ R / 400).logpdf(R).mean(), rtol=1e-12)
    start, g = f(np.eye(2))
    assert best < float(f(np.eye(2) - 0.1 * g)[0]) < start
    assert ops(optimised([B], [loss, gx.grad(loss, B)]))["cholesky"] == 1


def test_heteroscedastic_net() -> None:
    """Noise that depends on the input: two heads get below what the best constant precision reaches, (1 + log(2 pi v)) / 2."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (300, 1))
    T = X[:, 0] + (0.3 + 0.9 * (X[:, 0] > 0)) * rng.normal(size=300)
    p = gx.shared({"mean": nn.init.dense(0, 1, 1), "raw": nn.init.dense(1, 1, 1)})
    loss = nn.heteroscedastic_nll(nn.dense(p["mean"], X)[:, 0], nn.dense(p["raw"], 1.0 * (X > 0))[:, 0], T)
    step = gx.function([], loss, updates=(p, gx.tree.map(lambda w, g: w - 0.05 * g, p, gx.grad(loss, p))))
    reached = [float(step()) for _ in range(1500)][-1]
    A = np.c_[X, np.ones(300)]
    v = np.mean((A @ np.linalg.lstsq(A, T, rcond=None)[0] - T) ** 2)
    assert reached < 0.5 * (1 + np.log(2 * np.pi * v)) - 0.2


def test_attention_is_an_average_of_rows() -> None:
    """Weights that add up to 1: of equal keys the mean of the values; a key far ahead of the others gives its own value."""
    V = np.random.default_rng(0).normal(size=(5, 3))
    close(nn.attention(np.ones((2, 4)), np.zeros((5, 4)), V).eval(), np.broadcast_to(V.mean(0), (2, 3)), rtol=1e-13)
    close(nn.attention(np.eye(5) * 1e4, np.eye(5), V).eval(), V, rtol=1e-13)
