"""Rows R51 to R61 of 002-004.md, and the fixture F3: random operations, reparametrised and by scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import graphc as gx
from tests.spec.kit import close, difference

R = gx.random
N = 100_000


# -- R51 to R54: noise as an input ------------------------------------------------------------------
def test_R51_draws_are_nodes_with_explicit_state() -> None:
    """Two draws differ; one used twice is equal, also where it is computed again; calls advance the stream, a seed repeats it."""
    rng = R.default_rng(7)
    w = gx.vector("w", 4)
    z, other = rng.normal(size=4), rng.normal(size=4)
    layer = gx.checkpoint(lambda v: gx.tanh(v * z))  # its derivative computes the layer again
    cost = gx.sum(layer(layer(w)) * z)
    f = gx.function([w], [z, z + 0.0, other, gx.grad(cost, w)])
    at = np.array([0.3, -0.2, 0.5, 1.0])
    first, again, apart, slope = f(at)
    np.testing.assert_array_equal(first, again)
    assert not np.isin(first, apart).any()
    inner = np.tanh(at * first)
    close(slope, first * first * (1 - np.tanh(inner * first) ** 2) * first * (1 - inner**2), rtol=1e-12)
    second = f(at)[0]
    assert not np.isin(first, second).any() and rng.state.get_value().tolist() == [7, 2]
    rng.state.set_value(np.array([7, 0], np.uint64))
    np.testing.assert_array_equal(f(at)[0], first)


def test_R52_a_normal_draw_is_mu_plus_sigma_z() -> None:
    """y = mu + sigma z (eq. 6.11 as the errata have it): the derivatives are 1 and z, and those of E[y^2] 2 mu and 2 sigma on average."""
    rng = R.default_rng(0)
    mu, sigma = gx.scalar("mu"), gx.scalar("sigma")
    y = rng.normal(mu, sigma, N)
    by_mu, by_sigma = (gx.jvp(y, p, 1.0) for p in (mu, sigma))
    square = [gx.jvp(y * y, p, 1.0) for p in (mu, sigma)]
    got, ones, z, (g_mu, g_sigma) = gx.function([mu, sigma], [y, by_mu, by_sigma, square])(0.7, 1.3)
    np.testing.assert_array_equal(ones, 1.0)
    np.testing.assert_allclose(got, 0.7 + 1.3 * z, rtol=1e-15, atol=1e-15)
    for found, wanted in ((g_mu, 2 * 0.7), (g_sigma, 2 * 1.3)):
        assert abs(found.mean() - wanted) < 4 * found.std() / np.sqrt(N)


def test_R53_value_and_gradient_see_the_same_z() -> None:
    rng = R.default_rng(11)
    m, s = gx.vector("m", 5), gx.vector("s", 5)
    cost = gx.sum(gx.exp(gx.sin(rng.normal(m, s))))
    f, g = gx.function([m, s], cost), gx.function([m, s], [cost, *gx.grad(cost, [m, s])])
    M, S = np.linspace(-1, 1, 5), np.linspace(0.5, 1.5, 5)

    def held(call: gx.Function, *args: np.ndarray) -> object:
        rng.state.set_value(np.array([11, 3], np.uint64))
        return call(*args)

    value, by_m, by_s = held(g, M, S)
    assert value == held(f, M, S)
    close(by_m, difference(lambda v: held(f, v, S), M), rtol=1e-8, atol=1e-8)
    close(by_s, difference(lambda v: held(f, M, v), S), rtol=1e-8, atol=1e-8)


def test_R54_a_stochastic_net() -> None:
    """mu and sigma are outputs of a net; the draw takes a shape and state alone, and the state has no derivative."""
    rng = R.default_rng(2)
    x, target = gx.tensor("x", ("n", 3)), gx.vector("target", "n")
    shapes = {"W": (3, 6), "b": (6,), "mu": (6,), "sigma": (6,)}
    p = {name: gx.tensor(name, shape) for name, shape in shapes.items()}
    h = gx.tanh(x @ p["W"] + p["b"])
    z = rng.standard_normal(x.shape[:1])
    loss = gx.mean((h @ p["mu"] + gx.softplus(h @ p["sigma"]) * z - target) ** 2)
    names = list(shapes)
    f, g = (gx.function([x, target, *p.values()], o) for o in (loss, [gx.grad(loss, p[n]) for n in names]))
    random = np.random.default_rng(0)
    X, T, at = random.normal(size=(7, 3)), random.normal(size=7), [random.normal(size=shapes[n]) for n in names]

    def held(call: gx.Function, *args: np.ndarray) -> object:
        rng.state.set_value(np.array([2, 0], np.uint64))
        return call(X, T, *args)

    for k, found in enumerate(held(g, *at)):
        close(found, difference(lambda v, k=k: held(f, *at[:k], v, *at[k + 1 :]), at[k]), rtol=1e-6, atol=1e-8)
    with pytest.raises(gx.NotDifferentiableError, match="uint64"):
        gx.grad(loss, rng.state)
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.sum(z), p["W"])


# -- R55, R56 -----------------------------------------------------------------------------------------
KINKS = [  # f, where, the documented derivative there
    (lambda x: gx.maximum(x, 0.0), 0.0, 0.5),
    (gx.relu, 0.0, 0.0),
    (gx.abs, 0.0, 0.0),
    (gx.sign, 0.0, 0.0),
    (gx.floor, 2.0, 0.0),
    (lambda x: gx.clip(x, -1.0, 1.0), 1.0, 1.0),
    (lambda x: gx.clip(x, -1.0, 1.0), -1.0, 1.0),
    (lambda x: gx.max(gx.stack([x, 2 * x, 3 * x])), 0.0, 2.0),  # maxout: a tie of three pieces is split evenly
    (lambda x: gx.minimum(x, 3 * x), 0.0, 2.0),
    (lambda x: gx.sqrt(x * x), 0.0, 0.0),
    (lambda x: gx.hypot(x, 0.0), 0.0, 0.0),
]


def test_R55_kinks_have_documented_values_whatever_is_rewritten() -> None:
    x = gx.scalar("x")
    slopes = [gx.grad(f(x) * 1.0 + 0.0 * gx.sin(x), x) for f, _, _ in KINKS]
    for mode in ("default", "none", "interpret"):
        compiled = gx.function([x], slopes, mode=mode)
        for k, (_, at, wanted) in enumerate(KINKS):
            assert abs(compiled(at)[k] - wanted) < 1e-15, (mode, k)


def test_R56_one_primitive_of_bits() -> None:
    """All draws are compositions over random words; moments and distributions, and one stream for any number of threads."""
    k = gx.scalar("k", "uint64")
    draws = {
        "uniform": R.uniform(k, N), "normal": R.normal(k, N), "bernoulli": R.bernoulli(k, 0.3, N), "gumbel": R.gumbel(k, N),
        "multinoulli": R.categorical(k, np.log([0.2, 0.3, 0.5]), shape=(N,)),
    }  # fmt: skip
    one, two = (gx.function([k], draws, threads=t)(np.uint64(42)) for t in (1, 2))
    for name in draws:
        np.testing.assert_array_equal(one[name], two[name])
    for name, law in (("uniform", stats.uniform), ("normal", stats.norm), ("gumbel", stats.gumbel_r)):
        assert stats.kstest(one[name], law.cdf).pvalue > 1e-3
        for order in range(1, 5):
            moments = one[name] ** order
            assert abs(moments.mean() - law.moment(order)) < 5 * moments.std() / np.sqrt(N)
    assert abs(one["bernoulli"].mean() - 0.3) < 4 * np.sqrt(0.21 / N)
    assert stats.chisquare(np.bincount(one["multinoulli"]), N * np.array([0.2, 0.3, 0.5])).pvalue > 1e-3


# -- R57 to R59, R61 and F3: scores -------------------------------------------------------------------
OMEGA = np.array([0.5, -1.0, 2.0])
MEAN, GRADIENT = 5.162863130021666, np.array([-0.75413086, -0.80212313, 0.21397136])
BEST = np.array([5.94881123, 3.277551, 3.61077464])
VARIANCES = {"none": [10.8837, 3.3560, 2.4259], "mean": [2.7125, 1.9428, 1.3100], "best": [2.5673, 1.2439, 1.0571]}
_omega = gx.vector("omega", 3)


def _cost(y: gx.Node) -> gx.Node:
    z = y.astype("float64")
    return (z[..., 0] + 2 * z[..., 1] - 3 * z[..., 2]) ** 2 + 1


def _log_probability(y: gx.Node, omega: gx.Node) -> gx.Node:
    return gx.sum(gx.where(y, gx.log_sigmoid(omega), gx.log_sigmoid(-omega)), -1)


def test_R57_a_gradient_through_a_discrete_draw_raises() -> None:
    y = R.bernoulli(R.key(0), gx.sigmoid(_omega))
    for build in (lambda c: gx.grad(c, _omega), lambda c: gx.grad(c, _omega, disconnected="zero"), lambda c: gx.jvp(c, _omega, np.ones(3))):
        with pytest.raises(gx.NotDifferentiableError, match="score_function"):
            build(_cost(y))


def test_F3_by_enumeration() -> None:
    """The printed numbers of the fixture, from the graph over all eight outcomes."""
    y = gx.asarray(np.array(list(itertools.product([False, True], repeat=3))))
    p = gx.exp(_log_probability(y, _omega))
    score = y.astype("float64") - gx.sigmoid(_omega)  # z - p, not the printed z (1 - p) + (1 - z) p
    cost, weight = _cost(y)[:, None], p[:, None]
    mean = gx.sum(_cost(y) * p)
    best = gx.sum(weight * cost * score**2, 0) / gx.sum(weight * score**2, 0)
    gradient = gx.grad(mean, _omega)
    variance = [gx.sum(weight * ((cost - b) * score) ** 2, 0) - gradient**2 for b in (0.0, mean, best)]
    got, slope, baseline, *spread = gx.function([_omega], [mean, gradient, best, *variance])(OMEGA)
    close(got, MEAN, rtol=1e-14)
    close(slope, GRADIENT, rtol=2e-8)
    close(baseline, BEST, rtol=2e-8)
    for found, wanted in zip(spread, VARIANCES.values()):
        close(found, np.array(wanted), rtol=1e-4)


def test_R58_R59_the_estimator_with_three_baselines() -> None:
    """Its mean is the enumerated gradient within 4 standard errors, its variance that of the fixture; an estimate is (J - b) (z - p)."""
    y = R.bernoulli(R.key(1), gx.sigmoid(_omega), (N, 3))
    logs = gx.vmap(lambda row, omega: _log_probability(row, omega), in_axes=(0, 0))
    omegas = gx.broadcast_to(_omega, (N, 3))
    drawn = gx.stop_gradient(y)
    made = []
    for baseline in (np.zeros(3), np.full(3, MEAN), BEST):
        columns = []
        for i in range(3):  # a baseline for each omega_i, which multiplies the score of that one alone
            surrogate = R.score_function(_cost(drawn) - baseline[i], logs(drawn, omegas))
            columns.append(gx.grad(gx.sum(surrogate), omegas)[:, i])
        made.append(gx.stack(columns, 1))
    surrogate = gx.mean(R.score_function(_cost(y), _log_probability(y, _omega)))  # with the draws as they are
    value, whole, estimates, z = gx.function([_omega], [surrogate, gx.grad(surrogate, _omega), made, y])(OMEGA)
    J = (z @ [1, 2, -3]) ** 2 + 1.0
    close(value, J.mean(), rtol=1e-13)
    close(whole, (J[:, None] * (z - 1 / (1 + np.exp(-OMEGA)))).mean(0), rtol=1e-11)
    for found, wanted in zip(estimates, VARIANCES.values()):
        assert (np.abs(found.mean(0) - GRADIENT) < 4 * np.sqrt(np.array(wanted) / N)).all()
        assert (np.abs(found.var(0) / wanted - 1) < 0.05).all()
    assert (estimates[2].var(0) < estimates[1].var(0)).all() and (estimates[1].var(0) < estimates[0].var(0)).all()


def test_R59_a_learned_baseline() -> None:
    """Two outputs for each omega_i, trained by squared error to J s_i^2 and to s_i^2, s_i = d log p / d omega_i: their ratio is b*.

    One shared output with the target J becomes E[J]. The states are updated by the call that draws.
    """
    rng = R.default_rng(5)
    omega = gx.asarray(OMEGA)
    batch = 2000
    state = gx.shared({"above": np.zeros(3), "below": np.ones(3), "shared": np.zeros(()), "step": np.zeros(())})
    y = gx.stop_gradient(rng.bernoulli(gx.sigmoid(omega), (batch, 3)))
    score = y.astype("float64") - gx.sigmoid(omega)
    J = _cost(y)
    above, below, common = gx.like({k: np.zeros(3) if k != "shared" else np.zeros(()) for k in ("above", "below", "shared")}).values()
    error = 0.5 * (gx.sum(gx.mean((above - J[:, None] * score**2) ** 2, 0)) + gx.sum(gx.mean((below - score**2) ** 2, 0)))
    error = error + 0.5 * gx.mean((common - J) ** 2)
    slopes = gx.substitute(gx.grad(error, [above, below, common]), {above: state["above"], below: state["below"], common: state["shared"]})
    rate = 1 / (state["step"] + 1)
    outputs = [state[name] for name in ("above", "below", "shared")]
    updates = [(b, b - rate * slope) for b, slope in zip(outputs, slopes)]
    train = gx.function([], updates=[*updates, (state["step"], state["step"] + 1)])
    for _ in range(100):
        train()
    found = {k: s.get_value() for k, s in state.items()}
    np.testing.assert_allclose(found["above"] / found["below"], BEST, rtol=0.02)
    np.testing.assert_allclose(found["shared"], MEAN, rtol=0.02)
    assert rng.state.get_value().tolist() == [5, 100]


def test_R60_variance_normalisation() -> None:
    """Running mean and variance of the cost are state that the training call updates; ten steps are those of NumPy."""
    rng = R.default_rng(3)
    w, m, v = gx.shared(OMEGA, "w"), gx.shared(np.array(4.0), "m"), gx.shared(np.array(2.0), "v")
    y = gx.stop_gradient(rng.bernoulli(gx.sigmoid(w), (16, 3)))
    J = _cost(y)
    normal = (J - m) / gx.sqrt(v + 1e-6)
    loss = gx.mean(R.score_function(normal, _log_probability(y, w)))
    decay = 0.9
    updates = {w: w - 0.1 * gx.grad(loss, w), m: decay * m + (1 - decay) * gx.mean(J), v: decay * v + (1 - decay) * gx.mean((J - m) ** 2)}
    step = gx.function([], y, updates=updates)
    W, M, V = OMEGA.copy(), 4.0, 2.0
    for _ in range(10):
        z = step()
        cost = (z @ [1, 2, -3]) ** 2 + 1.0
        weight = (cost - M) / np.sqrt(V + 1e-6)
        W = W - 0.1 * (weight[:, None] * (z - 1 / (1 + np.exp(-W)))).mean(0)
        M, V = decay * M + (1 - decay) * cost.mean(), decay * V + (1 - decay) * ((cost - M) ** 2).mean()
    for s, wanted in ((w, W), (m, M), (v, V)):
        close(s.get_value(), wanted, rtol=1e-12)


def test_R61_upstream_from_an_estimated_gradient() -> None:
    """Back-propagation that begins at omega with the estimate: by known_cotangents, by vjp, and as the gradient of the surrogate."""
    theta, x = gx.tensor("theta", (4, 3)), gx.vector("x", 4)
    omega = gx.tanh(x @ theta)
    y = R.bernoulli(R.key(9), gx.sigmoid(omega), (50, 3))
    estimate = gx.mean(_cost(y)[:, None] * (y.astype("float64") - gx.sigmoid(omega)), 0)
    surrogate = gx.mean(R.score_function(_cost(y), _log_probability(y, omega)))
    drawn = gx.stop_gradient(estimate)
    ways = [gx.grad(None, theta, known_cotangents={omega: drawn}), gx.vjp(omega, theta, drawn), gx.grad(surrogate, theta)]
    random = np.random.default_rng(1)
    first, second, third = gx.function([theta, x], ways)(random.normal(size=(4, 3)), random.normal(size=4))
    close(first, second)
    close(first, third, rtol=1e-11)
    assert np.abs(first).max() > 1e-3


# -- the drawn parts of other rows -----------------------------------------------------------------------
def test_R28_drawn_perturbations() -> None:
    """+-1 perturbations of all n parameters: per coordinate the variance is n - 1; measured within 5 % at n = 10, 100, 1000."""
    k = gx.scalar("k", "uint64")
    f = {}
    for n in (10, 100, 1000):
        theta = gx.asarray(np.arange(n) / 4.0)
        z = gx.where(R.bernoulli(k, 0.5, (2000, n)), 1.0, -1.0)
        estimate = (gx.sum(theta + 0.125 * z, 1) - gx.sum(theta))[:, None] / 0.125 * z
        f[n] = [gx.mean(estimate), gx.mean((estimate - 1) ** 2)]
    for n, (mean, variance) in gx.function([k], f)(np.uint64(8)).items():
        assert abs(mean - 1) < 5 * np.sqrt((n - 1) / (2000 * n)) * np.sqrt(n)
        assert abs(variance / (n - 1) - 1) < 0.15
