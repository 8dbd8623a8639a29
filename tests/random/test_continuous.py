"""Continuous draws against SciPy's distributions, their derivatives against exact ones, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

import graphc as gx
from graphc.random import continuous
from graphc.random.rejection import rejected
from tests.random.draws import drawing

R = gx.random
_n = gx.dim("n")
_k = gx.scalar("k", "uint64")
_32 = np.float32
# name: (draw of n elements under a key, SciPy's distribution)
DRAWS: dict[str, tuple[gx.Node, Any]] = {
    "uniform": (R.uniform(_k, _n, minval=-1.0, maxval=3.0), stats.uniform(-1, 4)),
    "uniform, f32": (R.uniform(_k, _n, "float32"), stats.uniform),
    "normal": (R.normal(_k, _n), stats.norm),
    "normal, f32": (R.normal(_k, _n, "float32"), stats.norm),
    "exponential": (R.exponential(_k, _n), stats.expon),
    "exponential, f32": (R.exponential(_k, _n, "float32"), stats.expon),
    "gumbel": (R.gumbel(_k, _n), stats.gumbel_r),
    "gumbel, f32": (R.gumbel(_k, _n, "float32"), stats.gumbel_r),
    "laplace": (R.laplace(_k, _n), stats.laplace),
    "logistic": (R.logistic(_k, _n), stats.logistic),
    "cauchy": (R.cauchy(_k, _n), stats.cauchy),
    "lognormal": (R.lognormal(_k, 0.7, _n), stats.lognorm(0.7)),
    "rayleigh": (R.rayleigh(_k, 2.0, _n), stats.rayleigh(scale=2)),
    "weibull_min": (R.weibull_min(_k, 2.0, 1.5, _n), stats.weibull_min(1.5, scale=2)),
    "pareto": (R.pareto(_k, 3.0, _n), stats.pareto(3)),
    "truncated_normal": (R.truncated_normal(_k, -1.0, 2.0, _n), stats.truncnorm(-1, 2)),
    "truncated_normal, lower tail": (R.truncated_normal(_k, -np.inf, -8.0, _n), stats.truncnorm(-np.inf, -8)),
    "truncated_normal, upper tail": (R.truncated_normal(_k, 20.0, 21.0, _n), stats.truncnorm(20, 21)),
    "gamma, 0.01": (R.gamma(_k, 0.01, _n), stats.gamma(0.01)),
    "gamma, 0.5": (R.gamma(_k, 0.5, _n), stats.gamma(0.5)),
    "gamma, 1": (R.gamma(_k, 1.0, _n), stats.gamma(1.0)),
    "gamma, 1e8": (R.gamma(_k, 1e8, _n), stats.gamma(1e8)),
    "gamma, f32": (R.gamma(_k, _32(2.5), _n), stats.gamma(2.5)),
    "chisquare": (R.chisquare(_k, 3.0, _n), stats.chi2(3)),
    "beta": (R.beta(_k, 0.5, 2.0, _n), stats.beta(0.5, 2)),
    "student_t": (R.student_t(_k, 3.0, _n), stats.t(3)),
    "loggamma, 1e-4": (R.loggamma(_k, 1e-4, _n), stats.loggamma(1e-4)),
}
SEED = np.uint64(20)


_draw = drawing(_k, _n, DRAWS)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return _draw(SEED, 20_000)


@pytest.mark.parametrize("name", DRAWS)
def test_distributions(name: str, drawn: dict[str, np.ndarray]) -> None:
    """Kolmogorov and Smirnov's test; the seed is fixed, so a right sampler either passes for good or has a worse seed in a thousand."""
    found, law = drawn[name], DRAWS[name][1]
    assert found.dtype == ("float32" if "f32" in name else "float64")
    assert stats.kstest(found.astype(float), law.cdf).pvalue > 1e-3
    low, high = law.support()
    assert (found >= low).all() and (found <= high).all()


def test_no_size_is_special(drawn: dict[str, np.ndarray]) -> None:
    """The first elements are those of the longer draw, of rejections too: nothing depends on the size."""
    for n in (0, 1, 2, 5):
        for name, found in _draw(SEED, n).items():
            np.testing.assert_array_equal(found, drawn[name][:n], err_msg=name)


def test_interpreted() -> None:
    names = ["normal", "gumbel", "cauchy", "gamma, 0.5", "beta", "truncated_normal"]
    env = {_k: SEED, _n: 9}
    for name in names:
        np.testing.assert_allclose(DRAWS[name][0].eval(env), _draw(SEED, 9)[name], rtol=1e-13, err_msg=name)


def test_tails_are_not_clipped() -> None:
    """The word next to 0 is as far out as its probability says, with either sign."""
    from graphc.ops.special.normal import ndtri

    assert abs(stats.norm.ppf(2.0**-65) / ndtri(gx.asarray(2.0**-65)).eval() - 1) < 1e-14
    assert abs(stats.norm.ppf(2.0**-33) / ndtri(gx.asarray(_32(2.0**-33))).eval() - 1) < 1e-6
    f = gx.function([_k], [gx.max(gx.abs(R.normal(_k, 1 << 21, d))) for d in ("float64", "float32")])
    for found in f(np.uint64(0)):
        assert stats.norm.isf(0.5 * 20 / (1 << 21)) < found < stats.norm.isf(0.5 / 50 / (1 << 21))


def test_moments_of_vectors() -> None:
    mean, cov, n = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]]), 20_000
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    draws = [
        R.multivariate_normal(_k, mean, cov, n),
        R.multivariate_normal(_k, mean, singular, n, method="eigh"),
        R.dirichlet(_k, [0.5, 1, 2], n),
    ]
    draws += [R.orthogonal(_k, 3, 4000), R.orthogonal(_k, 4, m=2), R.orthogonal(_k, 2, m=4)]
    x, y, p, q, tall, wide = gx.function([_k], draws)(SEED)
    for found, wanted in ((x, cov), (y, singular)):
        np.testing.assert_allclose(found.mean(0), mean, atol=5 * 2 / np.sqrt(n))
        np.testing.assert_allclose(np.cov(found.T), wanted, atol=5 * 6 / np.sqrt(n))
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(p.mean(0), np.array([0.5, 1, 2]) / 3.5, atol=5 * 0.3 / np.sqrt(n))
    assert stats.kstest(p[:, 0], stats.beta(0.5, 3).cdf).pvalue > 1e-3
    np.testing.assert_allclose(q @ q.mT, np.broadcast_to(np.eye(3), q.shape), atol=1e-14)
    assert stats.kstest(q[:, 0, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-3  # Archimedes: a coordinate on the sphere is uniform
    assert abs(np.linalg.det(q).mean()) < 5 / np.sqrt(4000)
    np.testing.assert_allclose(tall.T @ tall, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(wide @ wide.T, np.eye(2), atol=1e-14)


# -- derivatives ----------------------------------------------------------------------------------------------------------------
def test_implicit_derivatives_of_gamma_are_exact() -> None:
    """dz/da = -(dF/da) / (dF/dz), in 30 digits; of tiny z that of the logarithm."""
    a = gx.vector("a", "m")
    z, logs = R.gamma(_k, a), R.loggamma(_k, a)
    f = gx.function([_k, a], [z, gx.grad(gx.sum(z), a), logs, gx.grad(gx.sum(logs), a), gx.jvp(z, a, gx.ones_like(a))], mode="interpret")
    shapes = np.array([1e-3, 0.05, 0.3, 1.0, 1.0, 2.0, 50.0, 3000.0])
    for seed in (1, 2):
        values, slopes, logarithms, log_slopes, pushed = f(np.uint64(seed), shapes)
        np.testing.assert_array_equal(slopes, pushed)
        for at, log_z, slope, log_slope in zip(shapes, logarithms, slopes, log_slopes):
            with mpmath.workdps(40):
                point, exponent = mpmath.exp(mpmath.mpf(log_z)), mpmath.mpf(at)
                by_a = mpmath.diff(lambda v, x=point: mpmath.gammainc(v, 0, x, regularized=True), exponent)
                density = point ** (exponent - 1) * mpmath.exp(-point) / mpmath.gamma(exponent)
                wanted = -by_a / density / point
            np.testing.assert_allclose(log_slope, float(wanted), rtol=1e-11)
            np.testing.assert_allclose(slope, float(wanted * point), rtol=1e-9, atol=1e-300)
    assert values.min() < 1e-30 < np.exp(logarithms[-1])  # both ways of computing it are among them


def test_derivatives_of_means() -> None:
    """E d z / d parameter = d E z / d parameter, within 5 standard errors."""
    n = 20_000
    a, b, df = gx.scalar("a"), gx.scalar("b"), gx.scalar("df")
    alpha = gx.vector("alpha", 3)
    total = a + b
    laws = [  # a function of a draw for each element, its mean, the parameter
        (R.chisquare(_k, df, n), df, df),
        (R.beta(_k, a, b, n), a / total, a),
        (R.beta(_k, a, b, n) ** 2, a * (a + 1) / (total * (total + 1)), b),
        (R.student_t(_k, df, n) ** 2, df / (df - 2), df),
        (R.dirichlet(_k, alpha, n)[:, 1], alpha[1] / gx.sum(alpha), alpha),
        (R.truncated_normal(_k, a, b, n), None, b),
    ]
    each = [gx.jvp(z, p, gx.ones_like(p)) for z, _, p in laws]
    exact = [gx.jvp(m, p, gx.ones_like(p)) for _, m, p in laws if m is not None]
    reverse = [gx.grad(gx.mean(z), p) for z, _, p in laws]
    got, wanted, back = gx.function([_k, a, b, df, alpha], [each, exact, reverse])(SEED, 0.7, 2.5, 9.0, np.array([0.5, 1.0, 2.0]))
    law = lambda upper: stats.truncnorm(0.7, upper).mean()
    wanted = [*wanted, (law(2.5 + 1e-5) - law(2.5 - 1e-5)) / 2e-5]
    for found, mean, gradient in zip(got, wanted, back):
        assert abs(found.mean() - mean) < 5 * found.std() / np.sqrt(n)
        np.testing.assert_allclose(np.sum(gradient), found.mean(), rtol=1e-9)


@pytest.mark.parametrize("draw", [R.gamma, R.loggamma, R.chisquare, R.student_t, lambda k, a: R.beta(k, a, 2.0), R.dirichlet])
def test_second_derivatives_are_refused(draw: Any) -> None:
    a = gx.vector("a", 3)
    cost = gx.sum(gx.cos(draw(_k, a)))
    slope = gx.grad(cost, a)
    for order_2 in (lambda: gx.grad(gx.sum(slope), a), lambda: gx.jvp(slope, a, gx.ones(3)), lambda: gx.hessian(cost, a)):
        with pytest.raises(gx.NotDifferentiableError, match="up to order 1"):
            order_2()


def test_derivatives_by_location_and_scale_have_all_orders() -> None:
    m, s = gx.scalar("m"), gx.scalar("s")
    rng = R.default_rng(0)
    for name in ("normal", "gumbel", "laplace", "logistic", "uniform"):
        z = getattr(rng, name)(m, s, 4)
        gx.check_grad(gx.sum(gx.sin(z)), [m, s], {m: 0.3, s: 1.4}, order=3)
    third = gx.sum(gx.sin(R.weibull_min(_k, s, m, 4) + R.lognormal(_k, s, 4) + R.truncated_normal(_k, m, s, 4)))
    gx.check_grad(third, [m, s], {m: 0.7, s: 1.4, _k: SEED}, order=2)


# -- shapes, keys, parameters -----------------------------------------------------------------------------------------------------
def test_lanes_draw_what_each_key_alone_does() -> None:
    """Under vmap rounds go on for all lanes until the last one is done: nobody's value changes."""
    a = np.array([0.1, 1.0, 30.0])
    draws = lambda k: [R.gamma(k, a), R.poisson(k, 40 * a), R.binomial(k, 50, 0.4, 3)]
    keys = R.split(R.key(3), 5)
    together, lanes = gx.function([], [gx.vmap(draws)(keys), keys])()
    alone = gx.function([_k], draws(_k), mode="interpret")
    for j, key in enumerate(lanes):
        for found, wanted in zip(together, alone(key)):
            np.testing.assert_allclose(found[j], wanted, rtol=1e-13)


def test_more_is_left_than_there_is_room_for() -> None:
    """A law that accepts one in twenty, of few elements and of many: the same values, in order, in lanes as well."""
    f64 = np.dtype("float64")

    def rare(key: gx.Node, n: int) -> gx.Node:
        wanted = gx.arange(n) % 3 < 2
        return rejected(key, gx.zeros(n), wanted, lambda turn: (turn.unit(f64) < 0.05, 1 + turn.first(f64)), [])

    few, many, lanes = gx.function([_k], [rare(_k, 4000), rare(_k, 6000), gx.vmap(lambda k: rare(k, 5000))(_k[None])])(SEED)
    np.testing.assert_array_equal(few, many[:4000])
    np.testing.assert_array_equal(lanes[0], many[:5000])
    assert (many[2::3] == 0).all() and (many[0::3] >= 1).all() and abs(many[1::3].mean() - 1.5) < 5 * 0.29 / np.sqrt(2000)


def test_in_bodies() -> None:
    rng = R.default_rng(0)
    a = gx.scalar("a")
    _, ys = gx.scan(lambda c, _: (c + (z := rng.gamma(a)), z), 0.0, length=4)
    f = gx.function([a], [ys, gx.grad(gx.sum(ys), a)])
    values, slope = f(2.0)
    assert len(set(values.tolist())) == 4
    exact = [-stats_gamma_slope(2.0, z) for z in values]
    np.testing.assert_allclose(slope, sum(exact), rtol=1e-5)


def stats_gamma_slope(a: float, z: float) -> float:
    """(dF/da) / (dF/dz) by differences of SciPy's."""
    return (stats.gamma.cdf(z, a + 1e-5) - stats.gamma.cdf(z, a - 1e-5)) / 2e-5 / stats.gamma.pdf(z, a)


BAD = {
    "scale -1": lambda g: g.normal(0.0, -1.0),
    "scale in an array": lambda g: g.gumbel(0.0, [1.0, -2.0]),
    "nan": lambda g: g.exponential(np.nan),
    "a 0": lambda g: R.gamma(g, 0.0),
    "alpha": lambda g: g.dirichlet([1.0, -1.0]),
    "df": lambda g: g.standard_t(0),
    "ends": lambda g: R.uniform(g, (2,), minval=2.0, maxval=1.0),
    "infinite": lambda g: g.uniform(0.0, np.inf),
    "truncated": lambda g: g.truncated_normal(1.0, 0.0),
    "sigma": lambda g: g.lognormal(0.0, -0.1),
    "method": lambda g: g.multivariate_normal([0.0], [[1.0]], method="svd"),
}


@pytest.mark.parametrize("name", BAD)
def test_known_parameters_are_checked(name: str) -> None:
    with pytest.raises(gx.ArgumentError):
        BAD[name](R.default_rng(0))


def test_shapes_are_checked() -> None:
    g, x = R.default_rng(0), gx.tensor("x", (3, "n"))
    assert g.normal(x).shape == x.shape and g.gamma(x, np.ones((3, 1))).shape == x.shape and g.normal(size="m").shape == (gx.dim("m"),)
    assert g.dirichlet(x, (5, 3)).shape == (5, 3, _n) and g.multivariate_normal(x[0], gx.eye(_n), 4).shape == (4, _n)
    for wrong in (
        lambda: g.normal(np.zeros(3), 1.0, (2,)),
        lambda: g.normal(np.zeros(3), np.ones(2)),
        lambda: g.dirichlet(2.0),
        lambda: g.dirichlet(np.ones((2, 3)), 4),
        lambda: g.multivariate_normal(np.zeros(2), np.eye(3)),
        lambda: g.multivariate_normal(0.0, np.eye(3)),
        lambda: g.normal(size=(2, -1)),
    ):
        with pytest.raises(gx.ShapeError):
            wrong()


def test_unknown_parameters_give_nan() -> None:
    a = gx.vector("a", "m")
    f = gx.function([_k, a], [R.gamma(_k, a), R.loggamma(_k, a), R.truncated_normal(_k, a, -a)], mode="interpret")
    z, logs, inside = f(SEED, np.array([np.nan, -1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(np.isnan(z), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(logs), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(inside), [True, False, False, True])
    assert inside[2] == 0


def test_dtypes_follow_the_parameters() -> None:
    g, x = R.default_rng(0), gx.vector("x", 3, "float32")
    for draw in (g.normal(x, 2.0), g.gamma(x), g.beta(x, 2), g.exponential(x), g.uniform(x, 9.0), R.student_t(g, x), g.dirichlet(x)):
        assert draw.dtype == np.float32
    assert g.normal(x, 2.0, dtype="float64").dtype == g.normal(0, 2).dtype == g.gamma([1, 2]).dtype == np.float64
    for name, dtype in itertools.product(("normal", "gamma", "uniform"), ("int64", "bool")):
        with pytest.raises(gx.DTypeError):
            getattr(g, name)(1.0, 2.0, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponential_draws_have_all_digits_near_0_and_in_the_tail(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of words of any magnitude, against -log(u) in more digits; rules must not take away what 1 - (1 - u) finds."""
    kind = np.dtype(dtype)
    bits = 8 * kind.itemsize
    word = gx.vector("word", "n", f"uint{bits}")
    monkeypatch.setattr(continuous, "words", lambda *_: word)
    draw = gx.function([word], R.exponential(gx.random.key(0), word.shape, dtype))
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, 2**bits, 4000, word.dtype) >> rng.integers(0, bits - 1, 4000, word.dtype)
    drawn = np.concatenate([drawn, np.array([0, 1, 2, 3, 2**bits - 2, 2**bits - 1], word.dtype)])
    small = np.longdouble((drawn >> 1).astype(kind) + kind.type(0.5)) * np.longdouble(2) ** -bits
    exact = np.where(drawn & 1, -np.log(small), -np.log1p(-small))
    assert np.max(np.abs(draw(drawn) - exact) / exact) < 3.1 * np.finfo(kind).eps / 2
