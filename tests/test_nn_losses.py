"""`gx.nn` losses against SciPy, NumPy and mpmath; orders 0 to 2 at logits of any size; reductions; shapes that would broadcast."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from tests.derivatives import check_derivatives

RNG = np.random.default_rng(5)
nn = gx.nn


def test_losses_of_numbers() -> None:
    p, t = gx.tensor("p", ("n", 3)), gx.tensor("t", ("n", 3))
    losses = [nn.squared_error, nn.absolute_error, nn.huber, lambda a, b, reduction: nn.huber(a, b, 0.5, reduction)]
    outs = [f(p, t, reduction=r) for f in losses for r in ("none", "sum", "mean")] + [nn.huber(p, t, 2.0, "none", axis=1)]
    f = gx.function([p, t], outs)
    for n in (4, 1):
        P, T = RNG.normal(size=(2, n, 3)) * 2
        r = np.abs(P - T)
        half = lambda r, d: np.where(r <= d, r**2 / 2, d * (r - d / 2))
        wants = [a for w in (r**2, r, half(r, 1), half(r, 0.5)) for a in (w, w.sum(), w.mean())] + [half(np.linalg.norm(r, axis=1), 2)]
        for got, want in zip(f(P, T), wants, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-13)


def test_huber_as_printed() -> None:
    """Twice ours: delta = 1 gives 0, 0.25, 1, 3, 5 at 0, 0.5, 1, 2, -3; the slope is clipped, and 0 where a vector's residual is 0."""
    x = gx.tensor("x", (5,))
    loss = 2 * nn.huber(x, 0.0, 1.0, "none")
    value, slope = gx.function([x], [loss, gx.grad(gx.sum(loss), x)])(np.array([0, 0.5, 1, 2, -3]))
    np.testing.assert_array_equal(value, [0, 0.25, 1, 3, 5])
    np.testing.assert_array_equal(slope, [0, 1, 2, 2, -2])
    v = gx.tensor("v", (2, 3))
    V = np.array([[0.0, 0, 0], [3, 4, 0]])
    np.testing.assert_allclose(gx.grad(gx.sum(nn.huber(v, np.zeros((2, 3)), 1.0, "none", 1)), v).eval({v: V}), [[0, 0, 0], [0.6, 0.8, 0]])
    check_derivatives(lambda a: nn.huber(a, np.ones(5), 0.7), [0.0, 0.8, 1.5, 2.5, -3], orders=2)


EXTREME = [[5.0, 2, 0, -2], [1e4, -1e4, 0, 3], [-1e4, -1e4, -1e4 + 1, -1e4], [1e4, 1e4, 1e4, 1e4], [1e-30, 0, 0, 0]]


def exact_cross_entropy(a: Any, t: Any) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, its gradient and its Hessian times the vector of 1, -2, 3, ..."""
    mp.mp.dps = 50
    a, t = [mp.mpf(float(v)) for v in a], [mp.mpf(float(v)) for v in t]
    m = max(a)
    total = mp.fsum(mp.exp(v - m) for v in a)
    p = [mp.exp(v - m) / total for v in a]
    loss = mp.fsum(w * (m + mp.log(total) - v) for w, v in zip(t, a) if w)
    u = [mp.mpf(k + 1) * (-1) ** k for k in range(len(a))]
    inner = mp.fsum(q * w for q, w in zip(p, u))
    array = lambda values: np.array([float(v) for v in values])
    return float(loss), array(q - w for q, w in zip(p, t)), array(q * (w - inner) for q, w in zip(p, u))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cross_entropy_at_extremes(dtype: str) -> None:
    """Labels, distributions and smoothed labels: values, gradients and products with the Hessian."""
    a, y, t = gx.tensor("a", ("n", 4), dtype), gx.tensor("y", ("n",), "int64"), gx.tensor("t", ("n", 4), dtype)
    A, Y = np.array(EXTREME, dtype), np.array([0, 1, 2, 3, 1])
    T = np.array([[0.25, 0.25, 0.5, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]], dtype)
    u = np.array([1.0, -2, 3, -4], dtype)
    rows = []
    for loss in (nn.cross_entropy(a, y, reduction="none"), nn.cross_entropy(a, t, reduction="none"),
                 nn.cross_entropy(a, y, label_smoothing=0.25, reduction="none")):  # fmt: skip
        g = gx.grad(gx.sum(loss), a)
        rows.append([loss, g, gx.grad(gx.sum(g * u), a)])
    one_hot = np.eye(4)[Y]
    targets = [one_hot, T.astype(float), 0.75 * one_hot + 0.0625]
    eps = float(np.finfo(dtype).eps)
    for mode in ("default", "interpret"):
        for row, used in zip(gx.function([a, y, t], rows, mode=mode)(A, Y, T), targets, strict=True):
            for k in range(len(A)):
                want = exact_cross_entropy(A[k], used[k])
                assert row[0].dtype == dtype
                np.testing.assert_allclose(row[0][k], want[0], rtol=8 * eps, atol=2 * eps, err_msg=f"{k}")
                np.testing.assert_allclose(row[1][k], want[1], rtol=16 * eps, atol=2 * eps, err_msg=f"{k}")
                np.testing.assert_allclose(row[2][k], want[2], rtol=64 * eps, atol=16 * eps, err_msg=f"{k}")


def test_cross_entropy_of_other_axes_and_excluded_classes() -> None:
    A = RNG.normal(size=(3, 5, 2))
    Y = RNG.integers(0, 5, (3, 2))
    logp = scipy.special.log_softmax(A, 1)
    want = -np.take_along_axis(logp, Y[:, None], 1)[:, 0]
    for reduction, w in (("none", want), ("sum", want.sum()), ("mean", want.mean())):
        np.testing.assert_allclose(nn.cross_entropy(A, Y, 1, reduction=reduction).eval(), w, rtol=1e-13)
    a = gx.tensor("a", (3,))
    at = {a: np.array([1.0, -np.inf, 2.0])}
    for t in (2, np.array([0.5, 0, 0.5])):
        loss = nn.cross_entropy(a, t)
        exact = exact_cross_entropy([1.0, 2.0], [0, 1] if isinstance(t, int) else [0.5, 0.5])
        np.testing.assert_allclose(loss.eval(at), exact[0], rtol=1e-14)
        np.testing.assert_allclose(gx.function([a], gx.grad(loss, a))(at[a])[[0, 2]], exact[1], rtol=1e-13)
    kl = nn.kl_divergence(np.log([0.25] * 4), np.array([0.5, 0.25, 0.125, 0.125])).eval() / np.log(2)
    np.testing.assert_allclose(kl, 0.25, rtol=1e-14)
    np.testing.assert_allclose(nn.kl_divergence(np.log([0.2, 0.8]), np.array([0.0, 1.0])).eval(), -np.log(0.8), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_binary_cross_entropy_at_extremes(dtype: str) -> None:
    mp.mp.dps = 40
    A = np.array([-1e4, -40, -17, -1e-3, 0, 0.5, 17, 40, 1e4], dtype)
    a, y = gx.tensor("a", ("n",), dtype), gx.tensor("y", ("n",), dtype)
    loss = nn.binary_cross_entropy(a, y, "none")
    g = gx.grad(gx.sum(loss), a)
    f = gx.function([a, y], [loss, g, gx.grad(gx.sum(g), a)])
    eps = float(np.finfo(dtype).eps)
    for target in (0.0, 1.0, 0.25):
        got = f(A, np.full_like(A, target))
        for k, v in enumerate(map(mp.mpf, map(float, A))):
            p, t = 1 / (1 + mp.exp(-v)), mp.mpf(target)
            want = [t * mp.log1p(mp.exp(-v)) + (1 - t) * mp.log1p(mp.exp(v)), p - t, mp.exp(-abs(v)) / (1 + mp.exp(-abs(v))) ** 2]
            for order in range(3):
                floor = float(np.finfo(dtype).tiny) + (2 * eps if 0 < target < 1 and order == 1 else 0)
                np.testing.assert_allclose(got[order][k], float(want[order]), rtol=16 * eps, atol=floor, err_msg=f"{target} {v} {order}")
    P = np.array([0.0, 0.3, 1.0])
    np.testing.assert_allclose(nn.bernoulli_nll(P, [0.0, 0.5, 1.0], "none").eval(), [0, -0.5 * np.log(0.3 * 0.7), 0], rtol=1e-14)
    assert np.isinf(nn.bernoulli_nll(0.0, 1.0).eval())


def test_hinges() -> None:
    S, T = RNG.normal(size=(2, 7)) * 2
    T = np.sign(T)
    np.testing.assert_allclose(nn.hinge(S, T, "none").eval(), np.maximum(0, 1 - S * T), rtol=1e-15)
    A, Y = RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6)
    short = np.maximum(0, 1.5 + A - A[np.arange(6), Y][:, None])
    short[np.arange(6), Y] = 0
    a, y = gx.tensor("a", ("n", 4)), gx.tensor("y", ("n",), "int32")
    most, all_of_them = gx.function([a, y], [nn.multiclass_hinge(a, y, 1.5, r, "none") for r in ("max", "sum")])(A, Y.astype("int32"))
    np.testing.assert_allclose(most, short.max(1), rtol=1e-14)
    np.testing.assert_allclose(all_of_them, short.sum(1), rtol=1e-14)
    check_derivatives(lambda v: nn.multiclass_hinge(v, Y, 1.5, "sum"), A, orders=2)


def test_gaussians() -> None:
    """Against SciPy's densities; the best constant precision; both heads for every raw output."""
    M, T = RNG.normal(size=(2, 6, 3))
    B = np.exp(RNG.normal(size=(6, 3)))
    np.testing.assert_allclose(nn.gaussian_nll(M, T, B, "none").eval(), -scipy.stats.norm.logpdf(T, M, B**-0.5), rtol=1e-12)
    beta = gx.scalar("beta")
    slope = gx.function([beta], gx.grad(nn.gaussian_nll(M, T, beta), beta))
    np.testing.assert_allclose(
        scipy.optimize.brentq(lambda v: float(slope(v)), 1e-3, 1e3, xtol=1e-14), 1 / ((M - T) ** 2).mean(), rtol=1e-9
    )
    V = RNG.normal(size=(6, 3, 3)) * 0.3
    V = V @ V.transpose(0, 2, 1) + np.eye(3)
    want = [-scipy.stats.multivariate_normal.logpdf(t, m, v) for t, m, v in zip(T, M, V)]
    np.testing.assert_allclose(nn.multivariate_gaussian_nll(M, T, gx.linalg.cholesky(V), "none").eval(), want, rtol=1e-12)
    np.testing.assert_allclose(nn.multivariate_gaussian_nll(M, T, np.diag([1.0, 2, 3]), "sum").eval(),
                               -scipy.stats.norm.logpdf(T, M, [1, 2, 3]).sum(), rtol=1e-12)  # fmt: skip
    check_derivatives(lambda m, c: nn.multivariate_gaussian_nll(m, T[:2], c + 3 * np.eye(3)), M[:2], V[:2], orders=2)
    q = scipy.stats.norm(0.7, 1.3)
    kl = scipy.integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - scipy.stats.norm.logpdf(z)), -12, 12)[0]
    np.testing.assert_allclose(nn.gaussian_kl(0.7, 2 * np.log(1.3)).eval(), kl, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_heteroscedastic_for_every_raw_output(dtype: str) -> None:
    mp.mp.dps = 60
    A = np.array([-1e4, -90, -37.5, -36.5, -5, 0, 3, 1e4], dtype)
    a = gx.tensor("a", ("n",), dtype)
    loss = nn.heteroscedastic_nll(0.5, a, 2.0, "none")
    g = gx.grad(gx.sum(loss), a)
    got = gx.function([a], [loss, g, gx.grad(gx.sum(g), a)])(A)
    exact = lambda v: mp.mpf("1.125") * mp.log1p(mp.exp(v)) - mp.log(mp.log1p(mp.exp(v))) / 2 + mp.log(2 * mp.pi) / 2
    eps = float(np.finfo(dtype).eps)
    for order in range(3):
        want = [float(mp.diff(exact, mp.mpf(float(v)), order, h=mp.mpf(10) ** -15)) for v in A]
        np.testing.assert_allclose(got[order], want, rtol=32 * eps, atol=8 * eps)


def test_mixtures() -> None:
    """One component is the Gaussian; the density integrates to 1; far targets do not underflow; responsibilities are -dNLL / d(joint)."""
    L, M, B, T = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3, 2)), np.exp(RNG.normal(size=(5, 3, 2))), RNG.normal(size=(5, 2))
    weights = scipy.special.softmax(L, -1)
    parts = scipy.stats.norm.logpdf(T[:, None], M, B**-0.5).sum(-1)
    np.testing.assert_allclose(nn.mixture_density_nll(L, M, B, T, "none").eval(), -np.log((weights * np.exp(parts)).sum(-1)), rtol=1e-12)
    one = nn.mixture_density_nll(L[:, :1], M[:, :1], B[:, :1], T, "none").eval()
    np.testing.assert_allclose(one, nn.gaussian_nll(M[:, 0], T, B[:, 0], "none").eval().sum(-1), rtol=1e-12)
    grid = np.linspace(-30, 30, 6001)[:, None]
    spread = lambda v: np.broadcast_to(v, (len(grid), *v.shape))
    nll = nn.mixture_density_nll(spread(L[0]), spread(M[0, :, :1]), spread(B[0, :, :1]), grid, "none").eval()
    np.testing.assert_allclose(np.trapezoid(np.exp(-nll), grid[:, 0]), 1, rtol=1e-6)
    assert np.isfinite(nn.mixture_density_nll(L, M, B, T + 1e4).eval())
    logits = gx.tensor("logits", (5, 3))
    g = gx.grad(nn.mixture_density_nll(logits, M, B, T, "sum"), logits).eval({logits: L})
    np.testing.assert_allclose(g, weights - scipy.special.softmax(np.log(weights) + parts, -1), rtol=1e-10, atol=1e-12)
    check_derivatives(lambda m, b: nn.mixture_density_nll(L[:2], m, 1 + b * b, T[:2]), M[:2], B[:2], orders=2, tolerance=1e-5)


def test_python_numbers_take_the_dtype_of_the_others() -> None:
    x = gx.tensor("x", ("n",), "float32")
    losses = [nn.squared_error(x, 0.0), nn.huber(x, 1, 0.5), nn.binary_cross_entropy(x, 1), nn.hinge(x, -1.0), nn.gaussian_nll(x, 0.5, 2.0),
              nn.heteroscedastic_nll(0.0, x, 1.0), nn.bernoulli_nll(x, 1.0), nn.gaussian_kl(x, 0.0), nn.gaussian_nll(0.0, 1.0, x),
              nn.mixture_density_nll(x, x[:, None], 1.0, x[:1])]  # fmt: skip
    assert {loss.dtype for loss in losses} == {np.dtype("float32")}
    assert nn.squared_error(1, 2).dtype == np.float64


def test_refused() -> None:
    a, column, y = gx.tensor("a", ("n",)), gx.tensor("c", ("n", 1)), gx.tensor("y", ("n",), "int64")
    for loss in (nn.squared_error, nn.absolute_error, nn.huber, nn.hinge, nn.binary_cross_entropy, nn.bernoulli_nll, nn.gaussian_nll):
        with pytest.raises(ShapeError, match=r"the prediction has 2 axes, the target 1.*compare every"):
            loss(column, a)
        with pytest.raises(ArgumentError, match="reduction is 'mean', 'sum' or 'none', got 'avg'"):
            loss(a, a, reduction="avg")
    with pytest.raises(ShapeError, match="prediction and target differ in shape"):
        nn.squared_error(np.ones((3, 1)), np.ones((1, 3)))
    with pytest.raises(ShapeError, match=r"a distribution for each example, \(n, 1\)"):
        nn.cross_entropy(column, a)
    with pytest.raises(ShapeError, match=r"integer labels.*\(n\).*one-hot"):
        nn.cross_entropy(column, y[:, None])
    with pytest.raises(ArgumentError, match="label_smoothing"):
        nn.cross_entropy(column, y, label_smoothing=1.5)
    with pytest.raises(IndexOutOfRange, match=r"at position \(1,\) is out of range for axis 1 of size 3"):
        gx.function([y], nn.cross_entropy(np.zeros((2, 3)), y))(np.array([0, -1]))
    with pytest.raises(IndexOutOfRange, match="index 3 at position"):
        gx.function([y], nn.cross_entropy(np.zeros((2, 3)), y))(np.array([0, 3]))
    with pytest.raises(DTypeError, match="labels must be integers"):
        nn.multiclass_hinge(column, a)
    with pytest.raises(DTypeError, match="distributions"):
        nn.kl_divergence(column, y)
    with pytest.raises(ShapeError, match="components"):
        nn.mixture_density_nll(np.ones((2, 3)), np.ones((2, 4, 1)), 1.0, np.ones((2, 1)))
    with pytest.raises(ShapeError, match="square matrix"):
        nn.multivariate_gaussian_nll(np.ones(3), np.ones(3), np.eye(2))
