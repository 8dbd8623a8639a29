"""The rows that wait for factorisations: 000-001 A53, A57; 002-004 on linear models, covariances, kernels; 003 N2, U7, M12, I4."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.stats

import graphc as gx
from graphc.ir import toposort
from tests.spec.kit import both, close, run

L = gx.linalg


def test_A53_probabilistic_pca_of_the_digits(digits: tuple[np.ndarray, np.ndarray]) -> None:
    """N(x; 0, W W' + s I): the published optimum of 10 directions, where the gradient is 0 and -log likelihood curves up."""
    images = np.asarray(digits[0], float)
    images = images * (16 if images.max() <= 1 else 1)
    centred = images - images.mean(0)
    values, vectors = np.linalg.eigh(np.cov(centred.T, bias=True))
    noise = values[:-10].mean()
    close(noise, 5.824351319301791, rtol=1e-10)
    best = vectors[:, -10:] * np.sqrt(values[-10:] - noise)
    x, w, s = gx.tensor("x", ("n", 64)), gx.tensor("w", (64, 10)), gx.scalar("s")
    lower = L.cholesky(w @ w.T + s * gx.eye(64))
    white = L.solve_triangular(lower, x.T, lower=True)
    n = x.shape[0]
    logs = -0.5 * gx.sum(white**2) - gx.asarray(1.0) * n * (gx.sum(gx.log(gx.diagonal(lower))) + 32 * np.log(2 * np.pi))
    value, of_w, of_s = run([logs, *gx.grad(logs, [w, s])], {x: centred, w: best, s: noise})
    close(value, -287508.734969, rtol=1e-12)
    close(value / 1797, -159.993731, rtol=1e-8)
    close([of_w, of_s], [np.zeros((64, 10)), np.zeros(())], atol=1e-6)
    away = run(gx.grad(logs, s), {x: centred[:50], w: best, s: 7.0})
    at = lambda v: scipy.stats.multivariate_normal(cov=best @ best.T + v * np.eye(64)).logpdf(centred[:50]).sum()
    close(away, (at(7.0 + 1e-4) - at(7.0 - 1e-4)) / 2e-4, rtol=1e-6)


def test_6_3_2_full_covariance_gaussian_shares_one_factorisation() -> None:
    """-log N(y; m, B B'): (log det(S) + e' S^-1 e)/2, from one factorisation, its gradient in B as well; all ways of writing agree."""
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 3)), random.normal(size=3)
    b, e = gx.tensor("b", (3, 3)), gx.tensor("e", (3,))
    sigma = b @ b.T
    lower = L.cholesky(sigma)
    ways = [
        0.5 * (gx.log(L.det(sigma)) + e @ L.inv(sigma) @ e),
        0.5 * (L.slogdet(sigma)[1] + e @ L.solve(sigma, e)),
        gx.sum(gx.log(gx.diagonal(lower))) + 0.5 * gx.sum(L.solve_triangular(lower, e, lower=True) ** 2),
        0.5 * (gx.sum(gx.log(L.eigvalsh(sigma))) + e @ L.pinv(sigma) @ e),
    ]
    inside = np.linalg.inv(values[0] @ values[0].T)
    slope = (inside - np.outer(inside @ values[1], inside @ values[1])) @ values[0]
    wanted = -scipy.stats.multivariate_normal(cov=values[0] @ values[0].T).logpdf(values[1]) - 1.5 * np.log(2 * np.pi)
    for way in ways:
        close(both([way, gx.grad(way, b)], {b: values[0], e: values[1]}, rtol=1e-9), [wanted, slope], rtol=1e-8, atol=1e-8)
    optimised = gx.function([b, e], [ways[0], gx.grad(ways[0], b)])._optimised
    assert [n.op.name for n in toposort(optimised.outputs)].count("lu") == 1


def test_N2_newton_is_exact_on_a_quadratic_and_never_inverts() -> None:
    """x - inv(H) g: one step to the minimum, by a solve; of logistic regression the digits of the gradient double at each step."""
    random = np.random.default_rng(1)
    a = random.normal(size=(6, 6))
    x, h, c = gx.tensor("x", (6,)), gx.tensor("h", (6, 6)), gx.tensor("c", (6,))
    cost = 0.5 * x @ h @ x - c @ x
    step = x - L.inv(gx.hessian(cost, x)) @ gx.grad(cost, x)
    f = gx.function([x, h, c], step)
    matrix, right = a @ a.T + np.eye(6), random.normal(size=6)
    close(f(random.normal(size=6), matrix, right), np.linalg.solve(matrix, right), rtol=1e-9)
    names = [n.op.name for n in toposort(f._optimised.outputs)]
    assert "inv" not in names and "solve" in names
    data, labels = random.normal(size=(40, 3)), random.integers(0, 2, 40)
    w = gx.tensor("w", (3,))
    loss = gx.mean(gx.softplus(gx.asarray(data) @ w) - gx.asarray(labels.astype(float)) * (gx.asarray(data) @ w)) + 0.05 * gx.sum(w**2)
    g = gx.grad(loss, w)
    newton = gx.function([w], [w - L.solve(gx.assume(gx.hessian(loss, w), "positive_definite"), g), gx.sqrt(gx.sum(g**2))])
    at, sizes = np.zeros(3), []
    for _ in range(5):
        at, size = newton(at)
        sizes.append(float(size))
    assert sizes[-1] < 1e-12 and all(b < 2 * a**2 + 1e-15 for a, b in pairwise(sizes))


def test_U7_reverse_correlation_recovers_the_weights() -> None:
    """Least squares finds a linear cell's weights to the last digits; the correlation with white noise finds them at 1 / sqrt(N)."""
    random = np.random.default_rng(2)
    weights, noise = random.normal(size=12), random.normal(size=(4000, 12))
    x, y = gx.tensor("x", ("n", 12)), gx.tensor("y", ("n",))
    exact, loose = run([L.lstsq(x, y)[0], x.T @ y / y.shape[0]], {x: noise, y: noise @ weights})
    close(exact, weights, rtol=1e-12, atol=1e-14)
    assert 1e-4 < np.abs(loose - weights).max() < 10 * np.linalg.norm(weights) / np.sqrt(4000)


def test_6_7_kernel_ridge_and_M12_whitening() -> None:
    """(K + s I)^-1 y reproduces the targets as s goes to 0; S^-1/2 makes the covariance of a layer the identity, however it is made."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(20, 2)), random.normal(size=20)
    rows, targets = gx.tensor("x", ("n", 2)), gx.tensor("y", ("n",))
    k = gx.exp(-gx.sum((rows[:, None] - rows[None]) ** 2, axis=2) * 4)
    fitted = k @ L.solve(gx.assume(k + 1e-10 * gx.eye(rows.shape[0]), "positive_definite"), targets)
    close(run(fitted, {rows: x, targets: y}), y, rtol=1e-5, atol=1e-5)
    layer = gx.tensor("h", ("n", 4))
    centred = layer - gx.mean(layer, axis=0)
    cov = centred.T @ centred / layer.shape[0]
    w, v = L.eigh(cov)
    ways = [
        centred @ (v / gx.sqrt(w)) @ v.T,
        L.solve(L.sqrtm(cov), centred.T).T,
        L.solve_triangular(L.cholesky(cov), centred.T, lower=True).T,
    ]
    values = random.normal(size=(50, 4)) @ random.normal(size=(4, 4))
    first, second, third = run(ways, {layer: values})
    close(first, second, rtol=1e-8, atol=1e-9)
    for white in (first, third):
        close(white.T @ white / 50, np.eye(4), atol=1e-9)


def test_A57_an_autoregressive_model_is_a_least_squares_fit() -> None:
    """ "linear models can even be fit in closed form": lstsq, QR, the normal equations and descent by gradients agree."""
    random, true = np.random.default_rng(57), np.array([0.5, -0.3, 0.2])
    series = [0.0, 0.0, 0.0]
    for e in random.normal(size=400):
        series.append(float(np.dot(true, series[:-4:-1]) + e))
    y, start = gx.tensor("y", ("n",)), gx.tensor("w", (3,))
    lags = gx.stack([y[2:-1], y[1:-2], y[:-3]], axis=1)  # the value before, the one before that, ..
    q, r = L.qr(lags)
    loss = lambda w: 0.5 * gx.mean((lags @ w - y[3:]) ** 2)
    descended = gx.fori_loop(0, 300, lambda i, w: w - 0.4 * gx.grad(loss(w), w), start)
    found = [
        L.lstsq(lags, y[3:])[0],
        L.solve_triangular(r, q.T @ y[3:]),
        L.cho_solve(L.cho_factor(lags.T @ lags), lags.T @ y[3:]),
        L.pinv(lags) @ y[3:],
        descended,
    ]
    fits = run(found, {y: np.array(series), start: np.zeros(3)})
    known = np.array(series)
    matrix = np.stack([known[2:-1], known[1:-2], known[:-3]], axis=1)
    for fit in fits:
        close(fit, np.linalg.lstsq(matrix, known[3:], None)[0], rtol=1e-9)
    assert np.abs(fits[0] - true).max() < 0.15  # of 400 draws


def test_I4_orthogonal_layers_train_as_fast_at_any_depth() -> None:
    """q'q = 1 by QR; the steps of a deep linear net to its goal are "independent of depth" from there, and not from small weights."""
    n, random = 6, np.random.default_rng(4)
    skew = random.normal(size=(n, n))
    turn = gx.linalg.expm(gx.asarray(0.1 * (skew - skew.T)))
    rate, g = gx.scalar("rate"), gx.scalar("g")

    def steps(depth: int) -> tuple[gx.Node, gx.Node, list[gx.Node]]:
        """(layers, losses of descent, what it takes)."""
        drawn = gx.tensor(f"w{depth}", (depth, n, n))
        layers = L.qr(drawn)[0]
        goal = L.multi_dot([layers[k] for k in range(depth)]) @ turn
        loss = lambda w: 0.5 * gx.sum((L.multi_dot([w[k] for k in range(depth)]) - goal) ** 2)
        _, losses = gx.scan(lambda w, _: (w - rate / depth * gx.grad(loss(w), w), loss(w)), g * layers, length=60)
        return layers, losses, [drawn]

    counts = {}
    for depth in (2, 5):
        layers, losses, (drawn,) = steps(depth)
        f = gx.function([drawn, rate, g], [layers, losses])
        value = random.normal(size=(depth, n, n))
        q, orthogonal = f(value, 0.2, 1.0)
        close(q.swapaxes(1, 2) @ q, np.broadcast_to(np.eye(n), q.shape), atol=1e-14)
        counts[depth] = [int(np.argmax(c < 1e-4)) or 60 for c in (orthogonal, f(value, 0.2, 0.5)[1])]
    assert 5 < counts[2][0] < 60 and abs(counts[5][0] - counts[2][0]) <= 3
    assert counts[5][1] > 1.5 * counts[5][0]
