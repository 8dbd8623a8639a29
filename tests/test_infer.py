"""Samplers against posteriors that are known: in closed form, or by quadrature on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

import graphc as gx
from graphc.infer.kernels import Density, leapfrog, momentum_of
from graphc.infer.metric import Metric, no_moments, unit
from graphc.infer.nuts import End, NoUTurn, bits
from graphc.infer.warmup import windows

METHODS: dict[str, Callable[..., gx.infer.Samples]] = {
    "metropolis": gx.infer.metropolis, "langevin": gx.infer.langevin, "hmc": gx.infer.hmc, "nuts": gx.infer.nuts,
}  # fmt: skip


def within(draws: np.ndarray, exact: float, errors: float = 5.0) -> bool:
    """Whether the mean of draws (chains, draws) lies within so many standard errors of the exact mean."""
    return bool(abs(draws.mean() - exact) <= errors * draws.std() / math.sqrt(gx.infer.ess(draws, "mean")))


def numbers(f: gx.Function, seed: int) -> Any:
    return f(gx.random.key(seed).eval())


# -- known posteriors ------------------------------------------------------------------------------------------------------
COVARIANCE = np.array([[1.0, 1.2, 0.0], [1.2, 4.0, -0.5], [0.0, -0.5, 0.3]])
MEAN = np.array([1.0, -2.0, 0.5])


@pytest.fixture(scope="module")
def gaussian() -> dict[str, gx.infer.Samples]:
    """Draws of every method from a correlated normal density; the chains are mapped for two of them, vectors for the others."""
    precision = np.linalg.inv(COVARIANCE)
    density = lambda q: -0.5 * ((q - MEAN) @ (precision @ (q - MEAN)))
    key = gx.scalar("key", "uint64")
    start, ways = np.zeros(3), {"metropolis": "map", "langevin": "vmap", "hmc": "vmap", "nuts": "map"}
    made = {
        m: f(density, start, gx.random.fold_in(key, k), 3000, 600, chains=3, parallel=ways[m]) for k, (m, f) in enumerate(METHODS.items())
    }
    found: dict[str, gx.infer.Samples] = numbers(gx.function([key], made), 11)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_correlated_gaussian(gaussian: dict[str, gx.infer.Samples], method: str) -> None:
    samples = gaussian[method]
    x = samples.positions
    assert x.shape == (3, 3000, 3) and samples.log_density.shape == (3, 3000) and samples.covariance.shape == (3, 3)
    assert np.max(gx.infer.rhat(x)) < 1.05
    for i in range(3):
        assert within(x[..., i], MEAN[i])
        for j in range(i + 1):
            assert within((x[..., i] - MEAN[i]) * (x[..., j] - MEAN[j]), COVARIANCE[i, j])
    precision = np.linalg.inv(COVARIANCE)
    np.testing.assert_allclose(samples.log_density, -0.5 * np.einsum("cdi,ij,cdj->cd", x - MEAN, precision, x - MEAN), rtol=1e-9, atol=1e-9)
    assert np.all(np.abs(np.log(samples.covariance / np.diag(COVARIANCE))) < 1.5)
    target = {"metropolis": 0.3, "langevin": 0.6, "hmc": 0.8, "nuts": 0.8}[method]
    assert abs(samples.acceptance.mean() - target) < 0.17 and not samples.diverged.any()


EFFECTS, ERRORS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])  # D. B. Rubin (1981)


def test_eight_schools() -> None:
    """mu ~ N(0, 5), tau ~ half Cauchy(5), effects ~ N(mu, tau): their means are integrals over mu and tau alone."""

    def density(q: Any) -> gx.Node:
        tau = gx.exp(q["log_tau"])
        effects = q["mu"] + tau * q["standard"]
        return (
            -0.5 * (q["mu"] / 5) ** 2 - gx.log1p((tau / 5) ** 2) + q["log_tau"] - 0.5 * gx.sum(q["standard"] ** 2)
            - 0.5 * gx.sum(((EFFECTS - effects) / ERRORS) ** 2)
        )  # fmt: skip

    start = {"mu": 0.0, "log_tau": 0.0, "standard": np.zeros(8)}
    key = gx.scalar("key", "uint64")
    samples = numbers(gx.function([key], gx.infer.nuts(density, start, key, 2500, 800, chains=4, target=0.9)), 5)
    mu, log_tau = np.meshgrid(np.linspace(-25, 30, 500), np.linspace(-9, 6, 600), indexing="ij")
    tau = np.exp(log_tau)
    spread = tau[..., None] ** 2 + ERRORS**2
    log_posterior = (
        (-0.5 * (EFFECTS - mu[..., None]) ** 2 / spread - 0.5 * np.log(spread)).sum(-1) - mu**2 / 50 - np.log1p(tau**2 / 25) + log_tau
    )
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    q = samples.positions
    assert q["standard"].shape == (4, 2500, 8) and np.max(gx.infer.rhat(q["standard"])) < 1.02
    assert within(q["mu"], float((weight * mu).sum()))
    assert within(np.exp(q["log_tau"]), float((weight * tau).sum()))
    shrunk = (EFFECTS * tau[..., None] ** 2 + mu[..., None] * ERRORS**2) / spread
    effects = q["mu"][..., None] + np.exp(q["log_tau"])[..., None] * q["standard"]
    for k in range(8):
        assert within(effects[..., k], float((weight * shrunk[..., k]).sum()))
    assert samples.diverged.mean() < 0.01
    assert "log_tau" in gx.infer.summary(samples)


def test_logistic_regression_in_float32() -> None:
    """Failures of O-rings by temperature (S. R. Dalal, E. B. Fowlkes and B. Hoadley, 1989); the posterior mean by quadrature."""
    temperature = [53, 57, 58, 63, 66, 67, 67, 67, 68, 69, 70, 70, 70, 70, 72, 73, 75, 75, 76, 76, 78, 79, 81]
    failed = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0], "float32")
    t = (np.array(temperature, "float32") - 70) / 10

    def density(q: Any) -> gx.Node:
        logits = q[0] + q[1] * t
        return gx.sum(failed * logits - gx.softplus(logits)) - gx.sum(q * q) / 18

    key = gx.scalar("key", "uint64")
    samples = numbers(
        gx.function([key], gx.infer.hmc(density, np.zeros(2, "float32"), key, 2500, 500, num_steps=8, chains=4, dense=True)), 7
    )
    assert samples.positions.dtype == np.float32 and samples.covariance.shape == (4, 2, 2)
    a, b = np.meshgrid(np.linspace(-8, 6, 400), np.linspace(-10, 4, 400), indexing="ij")
    logits = a[..., None] + b[..., None] * t.astype(float)
    log_posterior = (failed * logits - np.logaddexp(0, logits)).sum(-1) - (a * a + b * b) / 18
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    x = samples.positions.astype(float)
    assert within(x[..., 0], float((weight * a).sum())) and within(x[..., 1], float((weight * b).sum()))
    assert within(x[..., 0] * x[..., 1], float((weight * a * b).sum()))


# -- the pieces -----------------------------------------------------------------------------------------------------------
def test_one_chain_depends_on_its_key_alone() -> None:
    density = lambda q: -0.25 * gx.sum(q["a"] ** 4) - 0.5 * q["b"] ** 2
    key = gx.scalar("key", "uint64")
    start = {"a": gx.vector("a", 2), "b": np.float64(0.5)}
    samples = gx.infer.nuts(density, start, key, 20, 30, max_depth=4)
    f, g = (gx.function([key, start["a"]], samples, threads=n) for n in (1, 2))
    one, other, again = f(1, [0.0, 1.0]), f(2, [0.0, 1.0]), g(1, [0.0, 1.0])
    assert one.positions["a"].shape == (20, 2) and one.positions["b"].shape == (20,) and one.step_size.shape == ()
    assert np.array_equal(one.positions["a"], again.positions["a"]) and not np.array_equal(one.positions["a"], other.positions["a"])
    assert one.evaluations <= 20 * 15
    assert "acceptance" in gx.infer.summary(one)


def test_no_warm_up_and_no_parameters() -> None:
    made = gx.infer.langevin(lambda q: -gx.sum(q * q), np.zeros(0), 0, 5, 0)
    assert gx.function([], made)().positions.shape == (5, 0)


def test_windows_are_those_of_stan() -> None:
    seen, ends = windows(1000)
    assert np.flatnonzero(ends).tolist() == [99, 149, 249, 449, 949]
    assert seen.sum() == 875 and not seen[:75].any() and not seen[950:].any()
    for count in (0, 1, 19, 20, 100, 149, 150, 151, 333, 5000):
        seen, ends = windows(count)
        assert len(seen) == len(ends) == count and not (ends & ~seen).any() and (count < 20 or ends[np.flatnonzero(seen)[-1]])


@pytest.mark.parametrize("dense", [False, True])
def test_moments(dense: bool) -> None:
    """Against NumPy, shrunk as Stan does; momenta and displacements have the covariances that they should."""
    x = gx.matrix("x", (None, 3))
    moments, _ = gx.scan(lambda m, row: (m.add(row), None), no_moments(3, np.dtype(float), dense), x)
    metric = moments.metric()
    z = gx.vector("z", 3)
    f = gx.function([x, z], [moments.mean, *metric, metric.momentum(z), metric.spread(z), metric.velocity(z), metric.kinetic(z)])
    rows, z0 = (
        np.random.default_rng(0).standard_normal((30, 3)) @ np.array([[1.0, 2, 0], [0, 1, 0], [3, 0, 0.1]]),
        np.array([0.3, -1.0, 2.0]),
    )
    mean, covariance, factor, p, d, v, k = f(rows, z0)
    full = np.cov(rows.T) * 30 / 35 + 1e-3 * 5 / 35 * np.eye(3)
    full = full if dense else np.diag(np.diag(full))
    root = np.linalg.cholesky(full)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-13)
    np.testing.assert_allclose(covariance, full if dense else np.diag(full), rtol=1e-12)
    np.testing.assert_allclose(factor, root if dense else np.diag(root), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p, np.linalg.solve(root.T, z0), rtol=1e-11)
    np.testing.assert_allclose(d, root @ z0, rtol=1e-12)
    np.testing.assert_allclose(v, full @ z0, rtol=1e-12)
    np.testing.assert_allclose(k, z0 @ full @ z0 / 2, rtol=1e-12)


def test_a_subtree_ends_at_the_first_leaf_where_one_of_its_subtrees_turns() -> None:
    """Against every dyadic run of leaves, looked at one by one."""
    precision = np.array([1.0, 9.0])
    density: Density = lambda q: -0.5 * gx.sum(precision * q * q)
    kernel, depth = NoUTurn(6, 0.8), 5
    q, p, step = gx.vector("q", 2), gx.vector("p", 2), gx.scalar("step")
    metric = unit(2, np.dtype(float), False)
    point = kernel.start(density, q)
    found = kernel._subtree(
        density, metric, End(point, p), step, metric.kinetic(p) - point.log_density, gx.asarray(depth), gx.random.key(0)
    )
    f = gx.function([q, p, step], [found.leaves, found.turned, found.momentum])
    rng = np.random.default_rng(3)
    ended = set()
    for _ in range(40):
        q0, p0, h = rng.standard_normal(2), rng.standard_normal(2), rng.uniform(0.02, 0.4)
        momenta, x, v = [], q0, p0
        for _ in range(2**depth):
            v = v - h / 2 * precision * x
            x = x + h * v
            v = v - h / 2 * precision * x
            momenta.append(v)
        turn = next((k for k in range(2**depth) if any(_turned(momenta[k + 1 - n : k + 1]) for n in _runs(k))), None)
        leaves, turned, total = f(q0, p0, h)
        assert bool(turned) == (turn is not None) and leaves == (2**depth if turn is None else turn + 1)
        np.testing.assert_allclose(total, np.sum(momenta[: int(leaves)], axis=0), atol=1e-12)
        ended.add(int(leaves))
    assert len(ended) > 4


def _runs(k: int) -> list[int]:
    """The lengths 2, 4, ... of the dyadic runs that end with leaf k."""
    return [2**d for d in range(1, 6) if (k + 1) % 2**d == 0]


def _turned(momenta: list[np.ndarray]) -> bool:
    way = np.sum(momenta, axis=0) - (momenta[0] + momenta[-1]) / 2
    return bool(momenta[0] @ way <= 0 or momenta[-1] @ way <= 0)


def test_leapfrog_is_reversible() -> None:
    density: Density = lambda q: -gx.sum(gx.cosh(q))
    q, p = gx.vector("q", 3), gx.vector("p", 3)
    metric = Metric(gx.asarray(COVARIANCE), gx.asarray(np.linalg.cholesky(COVARIANCE)))
    start = NoUTurn(1, 0.8).start(density, q)
    there, momentum = leapfrog(density, metric, start, p, gx.asarray(0.1))
    back, end = leapfrog(density, metric, there, -momentum, gx.asarray(0.1))
    q0, p0 = np.array([0.3, -0.2, 1.0]), np.array([1.0, 0.5, -2.0])
    x, v = gx.function([q, p], [back.position, end])(q0, p0)
    np.testing.assert_allclose(x, q0, atol=1e-14)
    np.testing.assert_allclose(v, -p0, atol=1e-14)


def test_bits() -> None:
    k = np.array([0, 1, 2, 3, 4, 7, 8, 255, 256, 2**40 - 1])
    assert bits(gx.asarray(k)).eval().tolist() == [int(v).bit_count() for v in k]


def test_momenta_have_the_inverse_covariance() -> None:
    metric = Metric(gx.asarray(COVARIANCE), gx.asarray(np.linalg.cholesky(COVARIANCE)))
    point = NoUTurn(1, 0.8).start(lambda q: -gx.sum(q * q), gx.zeros(3))
    drawn = gx.function([], gx.vmap(lambda k: momentum_of(metric, point, k))(gx.random.split(gx.random.key(1), 20000)))()
    np.testing.assert_allclose(np.cov(drawn.T), np.linalg.inv(COVARIANCE), atol=0.25 * np.linalg.inv(COVARIANCE).max())


# -- diagnostics ------------------------------------------------------------------------------------------------------------
def test_effective_sample_sizes_of_autoregressions() -> None:
    """x[t] = a x[t-1] + noise: (1 - a) / (1 + a) of the draws count."""
    noise = np.random.default_rng(1).standard_normal((4, 20000))
    for a in (0.9, 0.5, 0.0, -0.5):
        x = lfilter([1], [1, -a], noise, axis=1)
        for kind in ("mean", "bulk"):
            assert gx.infer.ess(x, kind) == pytest.approx(x.size * (1 - a) / (1 + a), rel=0.12)
        assert gx.infer.rhat(x) < 1.005
    assert 0.8 < gx.infer.ess(noise, "tail") / noise.size < 1.1


def test_rhat_sees_location_scale_and_drift() -> None:
    x = np.random.default_rng(1).standard_normal((4, 500))
    place, width = np.array([[0.0], [0], [0], [1]]), np.array([[1.0], [1], [1], [4]])
    assert (
        gx.infer.rhat(x) < 1.02 < 1.05 < min(gx.infer.rhat(x + place), gx.infer.rhat(x * width), gx.infer.rhat(x + np.linspace(0, 2, 500)))
    )
    assert np.isnan(gx.infer.rhat(np.ones((4, 100)))) and np.isnan(gx.infer.ess(np.full((2, 9), np.nan)))
    tree = gx.infer.rhat({"a": np.stack([x, x + place], -1), "b": x})
    assert tree["a"].shape == (2,) and tree["a"][0] == tree["b"]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: gx.infer.nuts(lambda q: -q * q, np.zeros(2), 0), gx.ShapeError, "not one number"),
        (lambda: gx.infer.nuts(lambda q: -gx.sum(q * q), np.zeros(2, int), 0), gx.DTypeError, "only floats"),
        (lambda: gx.infer.nuts(3, np.zeros(2), 0), gx.ArgumentError, "a function of a tree"),
        (lambda: gx.infer.hmc(lambda q: -gx.sum(q * q), np.zeros(2), 0, num_steps=0), gx.ArgumentError, "num_steps"),
        (lambda: gx.infer.hmc(lambda q: -gx.sum(q * q), np.zeros(2), 0, 0), gx.ArgumentError, "num_samples"),
        (lambda: gx.infer.nuts(lambda q: -gx.sum(q * q), np.zeros(2), 0, target=1.0), gx.ArgumentError, "between 0 and 1"),
        (lambda: gx.infer.nuts(lambda q: -gx.sum(q * q), np.zeros(2), 0, chains=0), gx.ArgumentError, "chains"),
        (lambda: gx.infer.nuts(lambda q: -gx.sum(q * q), np.zeros(2), 0, chains=2, parallel="threads"), gx.ArgumentError, "vmap"),
        (lambda: gx.infer.langevin(lambda q: gx.asarray(1.0), np.zeros(2), 0), gx.DisconnectedError, "do not depend"),
        (lambda: gx.infer.nuts(lambda q: gx.sum(q).astype("float32"), np.zeros(2), 0), gx.DTypeError, "float32"),
        (lambda: gx.infer.nuts(lambda q: -gx.sum(q * q), np.zeros(2), 0.5), gx.DTypeError, "key"),
        (lambda: gx.infer.ess(np.zeros(9)), gx.ShapeError, "chains, draws"),
        (lambda: gx.infer.ess(np.zeros((2, 9)), "median"), gx.ArgumentError, "bulk"),
        (lambda: gx.infer.rhat(gx.matrix("x", (2, 9))), gx.ArgumentError, "nodes"),
        (lambda: gx.infer.summary(3), gx.ArgumentError, "sampler"),
    ],
)
def test_errors(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
