"""gx.stats of vectors and matrices against SciPy, and bijectors against the Jacobians that differentiation gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

import graphc as gx
from graphc.interp import evaluate
from tests.derivatives import check_derivatives

S, B = gx.stats, gx.stats.bijectors
RNG = np.random.default_rng(5)


def run(outputs: Any, inputs: list[gx.Node] = [], values: list[Any] = []) -> list[np.ndarray]:  # noqa: B006 - not changed
    with np.errstate(all="ignore"):
        return evaluate(outputs, {x: np.asarray(v, x.dtype) for x, v in zip(inputs, values)})


def definite(*shape: int) -> np.ndarray:
    a = RNG.standard_normal((*shape, shape[-1]))
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


# -- multivariate normal ----------------------------------------------------------------------------------------------------------
def test_multivariate_normal_is_scipys() -> None:
    x, mean, cov = RNG.standard_normal((5, 3)), RNG.standard_normal(3), definite(3)
    root = np.linalg.cholesky(cov) + np.triu(np.full((3, 3), 9.0), 1)  # what is above the diagonal is not read
    mvn, n = S.multivariate_normal, gx.tensor("x", ("n", "d"))
    m, c, r = gx.vector("m", "d"), gx.matrix("c", ("d", "d")), gx.matrix("r", ("d", "d"))
    of_x = [mvn.logpdf(n, m, c), mvn.logpdf(n, m, cholesky=r), mvn.pdf(n[0], m, c), mvn.entropy(m, c), mvn.logpdf(n, m)]
    theirs = scipy.stats.multivariate_normal
    wanted = [theirs.logpdf(x, mean, cov)] * 2 + [theirs.pdf(x[0], mean, cov), theirs.entropy(mean, cov), theirs.logpdf(x, mean)]
    for got, value in zip(run(of_x, [n, m, c, r], [x, mean, cov, root]), wanted):
        np.testing.assert_allclose(got, value, rtol=1e-12)
    with pytest.raises(gx.LinAlgError):
        run(of_x[:1], [n, m, c], [x, mean, -cov])
    some = [
        mvn.logpdf(x, mean, [0.5, 2.0, 1.0]),
        mvn.logpdf(x, mean, 2.5),
        mvn.entropy(mean, 2.5),
        mvn.logpdf(x[0], cov=cov),
        mvn.logpdf(0.5),
    ]
    values = [theirs.logpdf(x, mean, [0.5, 2.0, 1.0]), theirs.logpdf(x, mean, 2.5), theirs.entropy(mean, 2.5 * np.eye(3))]
    for got, value in zip(run(some), [*values, theirs.logpdf(x[0], cov=cov), theirs.logpdf(0.5)]):
        np.testing.assert_allclose(got, value, rtol=1e-12)
    covs = definite(5, 3)
    got = run([mvn.logpdf(x, mean, covs), mvn.logpdf(mean, x, covs)])
    np.testing.assert_allclose(got[0], [theirs.logpdf(x[k], mean, covs[k]) for k in range(5)], rtol=1e-12)
    np.testing.assert_allclose(got[0], got[1], rtol=1e-12)
    assert run([mvn.logpdf(np.zeros((0, 3)), mean, cov)])[0].shape == (0,)
    assert np.isnan(run([mvn.logpdf(x, mean, -cov, on_error="nan")])[0]).all()


def test_multivariate_normal_derivatives() -> None:
    """By x -cov^-1 (x - mean), by cov the symmetric (a a' - cov^-1) / 2 with a that; then a third derivative by differences."""
    x, m, c = gx.vector("x", 3), gx.vector("m", 3), gx.matrix("c", (3, 3))
    values = [RNG.standard_normal(3), RNG.standard_normal(3), definite(3)]
    by_x, by_c = gx.grad(S.multivariate_normal.logpdf(x, m, c), [x, c])
    a = -np.linalg.solve(values[2], values[0] - values[1])
    got = run([by_x, by_c], [x, m, c], values)
    np.testing.assert_allclose(got[0], a, rtol=1e-11)
    np.testing.assert_allclose(got[1], 0.5 * (np.outer(a, a) - np.linalg.inv(values[2])), rtol=1e-10, atol=1e-12)
    check_derivatives(lambda x, c: S.multivariate_normal.logpdf(x, values[1], c), values[0], values[2])


def test_divergences_of_vectors() -> None:
    m, n, a, b = RNG.standard_normal(3), RNG.standard_normal(3), definite(3), definite(3)
    wanted = 0.5 * (
        np.trace(np.linalg.solve(b, a)) + (m - n) @ np.linalg.solve(b, m - n) - 3 + np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1]
    )
    mvn, d, e = S.multivariate_normal, np.array([0.5, 2.0, 1.0]), np.array([1.5, 0.25, 1.0])
    pairs = [
        (mvn(m, a), mvn(n, b)), (mvn(m, cholesky=np.linalg.cholesky(a)), mvn(n, b)), (mvn(m, d), mvn(n, e)),
        (mvn(m, np.diag(d)), mvn(n, e)),        (mvn(m, d), mvn(n, np.diag(e))), (mvn(m, a), mvn(m, a)),
    ]  # fmt: skip
    got = run([S.kl_divergence(p, q) for p, q in pairs])
    np.testing.assert_allclose(got[:2], wanted, rtol=1e-11)
    np.testing.assert_allclose(got[3:5], got[2], rtol=1e-11)
    np.testing.assert_allclose(got[2], 0.5 * np.sum(d / e + (m - n) ** 2 / e - 1 - np.log(d / e)), rtol=1e-12)
    np.testing.assert_allclose(got[5], 0, atol=1e-13)
    centred = S.kl_divergence(mvn(cov=a), mvn(cov=b))  # no means: 0
    np.testing.assert_allclose(run([centred])[0], wanted - 0.5 * (m - n) @ np.linalg.solve(b, m - n), rtol=1e-11)


# -- probabilities ------------------------------------------------------------------------------------------------------------------
def test_dirichlet_and_multinomial_are_scipys() -> None:
    alpha, x = np.array([0.75, 2.0, 3.5]), RNG.dirichlet([1.0, 2.0, 3.0], 4)
    d = scipy.stats.dirichlet
    got = run(
        [S.dirichlet.logpdf(x, alpha), S.dirichlet.mean(alpha), S.dirichlet.var(alpha), S.dirichlet.cov(alpha), S.dirichlet.entropy(alpha)]
    )
    wanted = [[d.logpdf(row, alpha) for row in x], d.mean(alpha), d.var(alpha), d.cov(alpha), d.entropy(alpha)]
    for found, value in zip(got, wanted):
        np.testing.assert_allclose(found, value, rtol=1e-12)
    outside = np.array([[0.5, 0.75, -0.25], [0.5, 0.5, 0.5], [0.5, 0.5, np.nan]])
    np.testing.assert_array_equal(run([S.dirichlet.logpdf(outside, alpha)])[0], [-np.inf, -np.inf, np.nan])
    a = gx.vector("a", 3)
    assert np.isnan(run([S.dirichlet.logpdf(x, a), S.dirichlet.mean(a)], [a], [[-1.0, 1, 1]])[0]).all()
    counts, p = np.array([[2, 0, 3], [5, 0, 0], [1, 1, 1]]), np.array([0.2, 0.5, 0.3])
    got = run(
        [S.multinomial.logpmf(counts, 5, p), S.multinomial.mean(5, p), S.multinomial.cov(5, p), S.multinomial.pmf(counts, [5, 5, 3], p)]
    )
    m = scipy.stats.multinomial
    for found, value in zip(got, [m.logpmf(counts, 5, p), 5 * p, m.cov(5, p), m.pmf(counts, [5, 5, 3], p)]):
        np.testing.assert_allclose(found, value, rtol=1e-12)
    impossible = np.array([[1.5, 2.5, 1.0], [6.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(run([S.multinomial.logpmf(impossible, 5, p)])[0], [-np.inf] * 3)
    q, beta = np.array([0.3, 0.3, 0.4]), np.array([1.5, 0.5, 4.0])
    kl = run([S.kl_divergence(S.multinomial(5, p), S.multinomial(5, q)), S.kl_divergence(S.dirichlet(alpha), S.dirichlet(beta))])
    np.testing.assert_allclose(kl[0], 5 * np.sum(p * np.log(p / q)), rtol=1e-12)
    draws = RNG.dirichlet(alpha, 200_000)
    np.testing.assert_allclose(kl[1], np.mean(d.logpdf(draws.T, alpha) - d.logpdf(draws.T, beta)), rtol=0.02)


def test_categorical() -> None:
    logits, k = RNG.standard_normal((4, 3)), np.array([0, 2, 1, 3])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    got = run([S.categorical.logpmf(k, logits), S.categorical.logpmf(k, p=p), S.categorical.entropy(logits), S.categorical.entropy(p=p)])
    wanted = [*np.log(p[range(3), k[:3]]), -np.inf]
    for found in got[:2]:
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
    for found in got[2:]:
        np.testing.assert_allclose(found, -np.sum(p * np.log(p), -1), rtol=1e-13)
    np.testing.assert_allclose(run([S.categorical.pmf(k[:, None], logits[0])])[0][:, 0], [*p[0][k[:3]], 0], rtol=1e-13)
    kl = run([S.kl_divergence(S.categorical(logits), S.categorical(p=np.full(3, 1 / 3)))])[0]
    np.testing.assert_allclose(kl, np.sum(p * np.log(p * 3), -1), rtol=1e-12)
    v = gx.vector("v", 3)
    slope = gx.grad(S.categorical.entropy(v), v)
    assert np.isfinite(run([slope], [v], [[0.0, -np.inf, 1.0]])[0]).all()
    by_p = run([S.categorical.logpmf(1, p=v)], [v], [[0.5, 0.75, 0.5]])[0]
    assert np.isnan(by_p)  # the sum is not one


def test_wishart_is_scipys() -> None:
    x, scale, w = definite(2, 3), definite(3), scipy.stats.wishart
    got = run([S.wishart.logpdf(x, 5.5, scale), S.wishart.mean(5.5, scale), S.wishart.entropy(5.5, scale), S.wishart.pdf(x[0], 5.5, scale)])
    wanted = [[w.logpdf(v, 5.5, scale) for v in x], w.mean(5.5, scale), w.entropy(5.5, scale), w.pdf(x[0], 5.5, scale)]
    for found, value in zip(got, wanted):
        np.testing.assert_allclose(found, value, rtol=1e-11)


@pytest.mark.parametrize("call, kind, message", [
    (lambda x: S.dirichlet.logpdf(x, [1.0, 0.0, 2.0]), gx.ArgumentError, "alpha must be > 0"),
    (lambda x: S.dirichlet.logpdf(x, [1.0, 2.0]), gx.ShapeError, "do not broadcast"),
    (lambda x: S.multinomial.logpmf(x, 5, [0.5, 0.25, 0.5]), gx.ArgumentError, "p must be not negative with the sum 1"),
    (lambda x: S.multinomial.logpmf(x, 5.5, [0.5, 0.25, 0.25]), gx.ArgumentError, "n must be a whole number"),
    (lambda x: S.categorical.logpmf(0), gx.ArgumentError, "takes logits or p"),
    (lambda x: S.categorical(p=[0.5, 0.75]), gx.ArgumentError, "with the sum 1"),
    (lambda x: S.categorical.logpmf(x, [0.5, 0.75]), gx.DTypeError, "integer dtype"),
    (lambda x: S.multivariate_normal.logpdf(x, cov=-1.0), gx.ArgumentError, "cov must be > 0"),
    (lambda x: S.multivariate_normal.logpdf(x, cov=np.eye(2), cholesky=np.eye(2)), gx.ArgumentError, "not both"),
    (lambda x: S.multivariate_normal.logpdf(x, cov=np.eye(2)), gx.ShapeError, "do not fit"),
    (lambda x: S.multivariate_normal.logpdf(x, cov=np.ones((2, 3))), gx.ShapeError, "square"),
    (lambda x: S.wishart.logpdf(np.eye(3), 2.0, np.eye(3)), gx.ArgumentError, "df must be above 2"),
    (lambda x: B.interval(2, 1), gx.ArgumentError, "low < high"),
    (lambda x: B.affine(0, 0.0), gx.ArgumentError, "scale must be not 0"),
    (lambda x: B.chain(), gx.ArgumentError, "one at least"),
    (lambda x: B.chain(B.exp, B.simplex), gx.ArgumentError, "takes numbers that are all free, .* gives probabilities"),
    (lambda x: B.inverse(3), gx.ArgumentError, "takes a bijector"),
    (lambda x: B.cholesky.forward(gx.vector("y", 4)), gx.ShapeError, "fill no triangle"),
    (lambda x: B.cholesky.forward(gx.vector("y", "n")), gx.ShapeError, "must be known"),
    (lambda x: B.simplex.forward(2.0), gx.ShapeError, "1 axes"),
])  # fmt: skip
def test_wrong_arguments_are_typed(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(gx.vector("x", 3))


# -- bijectors -------------------------------------------------------------------------------------------------------------------------
TRIL = np.array([[2.0, 9.0, 9.0], [0.5, -1.5, 9.0], [-1.0, 0.25, 0.75]])
LOWER = lambda y: y[(..., *np.tril_indices(3))]
BELOW = lambda y: y[(..., *np.tril_indices(3, -1))]
# a bijector, the size of the vectors it takes, and of its results the free coordinates
BIJECTORS: dict[str, tuple[Any, int, Any]] = {
    "exp": (B.exp, 3, None), "softplus": (B.softplus, 3, None), "sigmoid": (B.sigmoid, 3, None), "interval": (B.interval(-1, 2.5), 3, None),
    "affine": (B.affine(0.5, -2.0), 3, None), "scale_tril": (B.affine([0.5, 1.0, 2.0], scale_tril=TRIL), 3, None),
    "ordered": (B.ordered, 4, None), "simplex": (B.simplex, 3, lambda y: y[..., :-1]), "cholesky": (B.cholesky, 6, LOWER),
    "covariance": (B.covariance, 6, LOWER), "correlation_cholesky": (B.correlation_cholesky, 3, BELOW),
    "inverse of softplus": (B.inverse(B.softplus), 3, None), "inverse of ordered": (B.inverse(B.ordered), 3, None),
    "chain": (B.chain(B.affine(1.0, 3.0), B.ordered, B.softplus), 3, None), "chain of numbers": (B.chain(B.exp, B.sigmoid), 3, None),
    "chain to a matrix": (B.chain(B.covariance, B.affine(0, 2.0)), 6, LOWER),
}  # fmt: skip


@pytest.mark.parametrize("name", BIJECTORS)
def test_log_det_is_that_of_the_jacobian(name: str) -> None:
    b, size, free = BIJECTORS[name]
    x, rows = gx.vector("x", size), gx.tensor("rows", (2, size))
    at = RNG.uniform(0.1, 1.5, size) if "inverse" in name else RNG.standard_normal(size)
    at = np.sort(at) if "ordered" in name else at
    y = b.forward(x)
    coordinates = y if free is None else (y[..., :-1] if name == "simplex" else y)
    log_det, jacobian, back = b.log_det_jacobian(x), gx.jacobian(gx.ravel(coordinates), x), b.inverse(y)
    value, matrix, again, point = run([log_det, jacobian, back, y], [x], [at])
    if y.ndim == 2:
        matrix = np.moveaxis(free(np.moveaxis(matrix.reshape(3, 3, size), 2, 0)), 0, 1)
    np.testing.assert_allclose(np.sum(value), np.linalg.slogdet(matrix)[1], rtol=1e-11, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(again, at, rtol=1e-10, atol=1e-12)
    batch, lots = run([b.log_det_jacobian(rows), b.forward(rows)], [rows], [[at, at]])
    np.testing.assert_allclose(batch, [value, value], rtol=1e-13)
    np.testing.assert_allclose(lots, [point, point], rtol=1e-13)
    third = gx.sum(log_det)
    for _ in range(3):
        third = gx.sum(gx.grad(third, x, disconnected="zero"))
    assert np.isfinite(run([third], [x], [at])[0])


def test_bijectors_far_out() -> None:
    """No overflow, and both ends keep their digits."""
    x = np.array([-800.0, -40.0, 40.0, 800.0])
    soft, back, log_det, sigmoid = run(
        [B.softplus.forward(x), B.softplus.inverse(B.softplus.forward(x)), B.softplus.log_det_jacobian(x), B.sigmoid.log_det_jacobian(x)]
    )
    np.testing.assert_allclose(soft[1:], [np.exp(-40.0), 40.0, 800.0], rtol=1e-15)
    np.testing.assert_allclose(back[1:], x[1:], rtol=1e-14)
    np.testing.assert_allclose(log_det, [-800.0, -40.0, -np.exp(-40.0), 0.0], rtol=1e-14, atol=0)
    np.testing.assert_allclose(sigmoid, -np.abs(x), rtol=1e-13)
    y, log_det = run([B.simplex.forward([600.0, -600.0, 0.0]), B.simplex.log_det_jacobian([600.0, -600.0, 0.0])])
    assert np.isfinite(y).all() and np.isfinite(log_det) and abs(y.sum() - 1) < 1e-15


def test_special_points_and_sizes() -> None:
    n = gx.tensor("x", ("m", "n"))
    f = gx.function([n], [B.simplex.forward(n), B.ordered.forward(n)])
    for size in (1, 3):
        simplex, ordered = f(np.zeros((2, size)))
        np.testing.assert_allclose(simplex, np.full((2, size + 1), 1 / (size + 1)), rtol=1e-14)
        np.testing.assert_array_equal(ordered, np.tile(np.arange(size), (2, 1)))
    factor = run([B.correlation_cholesky.forward(RNG.standard_normal(6))])[0]
    np.testing.assert_allclose(np.diag(factor @ factor.T), 1, rtol=1e-14)
    assert (np.diag(factor) > 0).all() and (np.triu(factor, 1) == 0).all()
    assert (np.linalg.eigvalsh(run([B.covariance.forward(RNG.standard_normal(10))])[0]) > 0).all()
    assert B.inverse(B.inverse(B.exp)) is B.exp
