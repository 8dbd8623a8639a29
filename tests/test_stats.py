"""gx.stats of one number against SciPy (values everywhere) and mpmath (derivatives of orders 1 to 3, tails, large parameters)."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import graphc as gx
from graphc.interp import evaluate
from tests.stats_cases import CONTINUOUS, DISCRETE

INF, NAN = np.inf, np.nan
X = np.array([-INF, -1e3, -40.0, -3.0, -1.0, -0.5, 0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 5.0, 40.0, 1e3, INF, NAN])
Q = np.array([-0.1, 0.0, 1e-10, 0.1, 0.5, 0.7, 0.999, 1.0, 1.1, NAN])
K = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 2.5, 3.0, 7.0, 8.0, 20.0, INF, -INF, NAN])
LOC, SCALE = 0.3, 1.6
OF_X = ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf")
NUMBERS = ("mean", "var", "std", "entropy", "median")
# where SciPy's formulas leave the range: a density at infinity is 0
OPEN = {"gamma": INF, "chi2": INF, "weibull_min": INF, "gumbel_r": -INF, "poisson": INF}
WITHOUT_INVERSE = {"gamma", "chi2", "invgamma", "beta", "t", "binom", "poisson"}
points = gx.vector("x", "n")


def symbols(count: int, dtype: str = "float64") -> list[gx.Node]:
    return [gx.scalar(f"p{k}", dtype) for k in range(count)]


def run(outputs: Any, inputs: list[gx.Node], values: list[Any]) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        return evaluate(outputs, {x: np.asarray(v, x.dtype) for x, v in zip(inputs, values)})


def theirs(name: str, method: str, *args: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        found = np.array(getattr(getattr(scipy.stats, name), method)(*args), np.float64)
    if found.ndim and len(args[0]) in (len(X), len(K)) and name in OPEN and method in ("pdf", "logpdf", "pmf", "logpmf"):
        found[args[0] == OPEN[name]] = -INF if method.startswith("log") else 0
    if name == "halfnorm" and method == "logsf":  # its tail is lost there
        found[args[0] == 1e3] = math.log(2) + scipy.stats.norm.logsf((1e3 - LOC) / SCALE)
    return found


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_is_scipys(name: str) -> None:
    """In the support, outside, at its ends, of infinities and nan; nan of invalid parameters."""
    ours, shapes = getattr(gx.stats, name), CONTINUOUS[name].shapes
    p, values = symbols(len(shapes) + 2), [*shapes, LOC, SCALE]
    of_x = [getattr(ours, m)(points, *p) for m in OF_X]
    for method, got in zip(OF_X, run(of_x, [points, *p], [X, *values])):
        np.testing.assert_allclose(got, theirs(name, method, X, *values), rtol=2e-12, atol=1e-300, err_msg=f"{name}.{method}")
    inverse = [] if name in WITHOUT_INVERSE else ["ppf", "isf"]
    for method, got in zip(inverse, run([getattr(ours, m)(points, *p) for m in inverse], [points, *p], [Q, *values])):
        np.testing.assert_allclose(got, theirs(name, method, Q, *values), rtol=1e-12, err_msg=f"{name}.{method}")
    numbers = [m for m in NUMBERS if m != "median" or inverse]
    moments = [getattr(ours, m)(*p) for m in numbers]
    for method, got in zip(numbers, run(moments, p, values)):
        np.testing.assert_allclose(got, theirs(name, method, *values), rtol=1e-12, err_msg=f"{name}.{method}")
    wrong = [[*values[:-1], v] for v in (-1.0, 0.0, NAN)]
    wrong += [[2.0, 2.0, *values[2:]]] if name == "truncnorm" else [[-1.0, *values[1:]]] if shapes else []
    for row in wrong:
        found = run(of_x, [points, *p], [X, *row]) + run(moments, p, row)
        assert all(np.isnan(v).all() for v in found), (name, row)


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_is_scipys(name: str) -> None:
    ours, shapes = getattr(gx.stats, name), DISCRETE[name]
    p, values = symbols(len(shapes) + 1), [*shapes, 1.0]
    methods = [m.replace("pdf", "pmf") for m in OF_X]
    of_k = [getattr(ours, m)(points, *p) for m in methods]
    for method, got in zip(methods, run(of_k, [points, *p], [K, *values])):
        tolerance = 1e-6 if (name, method) == ("poisson", "logcdf") else 2e-12  # SciPy takes log(cdf), which is nearly 1
        np.testing.assert_allclose(got, theirs(name, method, K, *values), rtol=tolerance, atol=1e-300, err_msg=f"{name}.{method}")
    if name not in WITHOUT_INVERSE:
        (got,) = run([ours.ppf(points, *p)], [points, *p], [Q, *values])
        np.testing.assert_array_equal(got, theirs(name, "ppf", Q, *values))
    numbers = [m for m in NUMBERS[:4] if m != "entropy" or name not in WITHOUT_INVERSE]
    moments = [getattr(ours, m)(*p) for m in numbers]
    for method, got in zip(numbers, run(moments, p, values)):
        np.testing.assert_allclose(got, theirs(name, method, *values), rtol=1e-12, err_msg=f"{name}.{method}")
    found = run(of_k, [points, *p], [K, *[-1.0] * len(shapes), 1.0]) + run(moments, p, [*[-1.0] * len(shapes), 1.0])
    assert all(np.isnan(v).all() for v in found)


def test_moments_that_do_not_exist_are_scipys() -> None:
    shape = gx.vector("a", "n")
    at = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 4.0])
    for name in ("t", "invgamma", "pareto"):
        ours = getattr(gx.stats, name)
        for method, got in zip(("mean", "var"), run([ours.mean(shape), ours.var(shape)], [shape], [at])):
            np.testing.assert_allclose(got, theirs(name, method, at), rtol=1e-12, err_msg=f"{name}.{method}")


def test_truncated_at_one_end_and_far_out() -> None:
    a, b = symbols(2)
    ours, methods = gx.stats.truncnorm, ("mean", "var", "entropy")
    for ends in ((-INF, 1.0), (-0.5, INF), (-INF, INF), (2.0, INF)):
        for method, got in zip(methods, run([getattr(ours, m)(a, b) for m in methods], [a, b], ends)):
            shown = np.clip(ends, -30, 30) if method == "entropy" else ends  # SciPy's is nan of infinite ends
            np.testing.assert_allclose(got, theirs("truncnorm", method, *shown), rtol=1e-10, atol=1e-15, err_msg=f"{method} {ends}")
    far = run([ours.ppf([0.0, 0.5, 1.0], a, b), ours.isf([0.0, 0.5, 1.0], a, b)], [a, b], (50.0, 51.0))
    assert all(((v >= 50) & (v <= 51)).all() for v in far)


def test_the_quantiles_of_geom_are_whole_where_cdf_reaches_them() -> None:
    k, p = np.arange(1.0, 60.0), symbols(1)
    ours = gx.stats.geom
    for chance in (0.01, 0.1, 0.3, 0.5, 0.9, 1.0):
        reached = run([ours.cdf(points, *p)], [points, *p], [k, chance])[0]
        reached = reached[(reached < 1) | (chance == 1)]  # 1 is reached at infinity, though it rounds to it before
        found = run([ours.ppf(points, *p)], [points, *p], [reached, chance])[0]
        first = np.array([np.flatnonzero(reached >= q)[0] + 1 for q in reached])
        np.testing.assert_array_equal(found, first)


# -- derivatives ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CONTINUOUS)
def test_derivatives_of_logpdf_are_the_exact_ones(name: str) -> None:
    """By x and by every parameter, orders 1 to 3."""
    family = CONTINUOUS[name]
    inputs, values = symbols(len(family.shapes) + 3), [*family.shapes, LOC, SCALE]
    graphs, at = [], [(k, order) for k in range(len(inputs)) for order in (1, 2, 3)]
    for x in inputs:
        d = getattr(gx.stats, name).logpdf(inputs[0], *inputs[1:])
        for _ in range(3):
            d = gx.grad(d, x, disconnected="zero")
            graphs.append(d)

    def exact(x: Any, *p: Any) -> Any:
        return mp.log(family.density((x - p[-2]) / p[-1], *p[:-2]) / p[-1])

    for z in family.points[:2]:
        row = [z * SCALE + LOC, *values]
        if (name == "t" and z == 0) or (name == "cauchy" and z == 0):
            row[0] = LOC  # no rounding: z is 0
        got = run(graphs, inputs, row)
        with mp.workdps(50):
            for (k, order), found in zip(at, got):
                orders = tuple(order if j == k else 0 for j in range(len(row)))
                value = float(mp.diff(exact, tuple(map(mp.mpf, row)), orders))
                np.testing.assert_allclose(found, value, rtol=2e-11, atol=2e-12, err_msg=f"{name} at {z}, order {order} by operand {k}")


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_derivatives_of_cdf_and_sf_are_the_density(name: str) -> None:
    """Orders 1 and 2 by x, of cdf and its inverse; t at 0, where the chain of its formula is 0 times infinity."""
    family = CONTINUOUS[name]
    ours, p = getattr(gx.stats, name), symbols(len(family.shapes))
    x = np.array(family.points)
    slopes = [gx.grad(gx.sum(getattr(ours, m)(points, *p)), points) for m in ("cdf", "sf", "logcdf", "logsf")]
    curve = gx.grad(gx.sum(slopes[0]), points, disconnected="zero")
    cdf, sf, logcdf, logsf, second = run([*slopes, curve], [points, *p], [x, *family.shapes])
    with mp.workdps(40):
        exact = np.array([float(family.density(mp.mpf(v), *family.shapes)) for v in x])
        bend = np.array([float(mp.diff(lambda v: family.density(v, *family.shapes), mp.mpf(v))) for v in x])
    for got, wanted in (
        (cdf, exact), (sf, -exact), (logcdf, exact / theirs(name, "cdf", x, *family.shapes)),
        (logsf, -exact / theirs(name, "sf", x, *family.shapes)), (second, bend),
    ):  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13, err_msg=name)


def test_first_derivatives_of_cdfs_by_shape_parameters() -> None:
    inputs = symbols(2)
    for name, a, x in (
        ("t", 3.5, 0.75),
        ("t", 3.5, -2.0),
        ("t", 3.5, 0.0),
        ("gamma", 2.5, 1.9),
        ("chi2", 5.0, 3.0),
        ("invgamma", 3.0, 0.5),
    ):
        graph = gx.grad(getattr(gx.stats, name).cdf(inputs[1], inputs[0]), inputs[0])
        density = CONTINUOUS[name].density
        with mp.workdps(20):
            low = [-mp.inf, 0] if name == "t" else [0]
            area = lambda a: mp.quad(lambda z: density(z, a), [*low, x] if x != 0 else low)  # noqa: B023
            wanted = float((area(mp.mpf(a) + 1e-5) - area(mp.mpf(a) - 1e-5)) / mp.mpf(2e-5))
        np.testing.assert_allclose(run([graph], inputs, [a, x])[0], wanted, rtol=1e-7, atol=1e-9, err_msg=name)
    with pytest.raises(gx.NotDifferentiableError):
        gx.grad(gx.grad(gx.stats.t.cdf(inputs[1], inputs[0]), inputs[0]), inputs[0])


def test_gradients_are_finite_outside_the_support_and_in_vanished_tails() -> None:
    """0 where the function is constant, by x and by every parameter."""
    outside = {
        "gamma": (-1.0,), "lognorm": (-1.0, 0.0), "invgamma": (-1.0, 0.0, 1e-300), "beta": (-1.0, 2.0), "pareto": (0.0, 0.5),
        "expon": (-1.0,),         "weibull_min": (-1.0,), "truncnorm": (-9.0, 9.0), "uniform": (-1.0, 2.0), "halfnorm": (-1.0,),
        "gumbel_r": (-1e4,),
    }  # fmt: skip
    for name, xs in outside.items():
        shapes = CONTINUOUS[name].shapes
        p = symbols(len(shapes) + 2)
        for method in ("pdf", "cdf", "sf"):
            slopes = gx.grad(gx.sum(getattr(getattr(gx.stats, name), method)(points, *p)), [points, *p], disconnected="zero")
            for slope in run(slopes, [points, *p], [xs, *shapes, 0.0, 1.0]):
                np.testing.assert_array_equal(slope, np.zeros_like(slope), err_msg=f"{name}.{method}")
    far = np.array([1e3, 1e200])
    for name in ("weibull_min", "gumbel_r", "pareto", "expon", "halfnorm", "logistic", "norm", "laplace", "lognorm", "cauchy", "gamma"):
        ours, shapes = getattr(gx.stats, name), CONTINUOUS[name].shapes
        for method in ("pdf", "cdf", "sf", "logsf" if name not in ("gamma", "weibull_min") else "sf"):
            slope = run([gx.grad(gx.sum(getattr(ours, method)(points, *shapes)), points)], [points], [far])[0]
            assert np.isfinite(slope).all(), (name, method, slope)


# -- tails and large parameters -----------------------------------------------------------------------------------------------
def test_tails_keep_their_digits() -> None:
    with mp.workdps(60):
        m = mp.mpf
        rows = {
            "norm.logsf": ((), [40.0, 1e3], lambda x: mp.log(mp.ncdf(-m(x)))),
            "norm.logcdf": ((), [-40.0, 9.0], lambda x: mp.log1p(-mp.ncdf(-m(x))) if x > 0 else mp.log(mp.ncdf(m(x)))),
            "cauchy.cdf": ((), [-1e200, -1e9], lambda x: mp.atan(-1 / m(x)) / mp.pi),
            "cauchy.logpdf": ((), [1e200], lambda x: -mp.log(mp.pi) - mp.log1p(m(x) ** 2)),
            "gumbel_r.logsf": ((), [30.0, 900.0], lambda x: mp.log(-mp.expm1(-mp.exp(-m(x))))),
            "logistic.logsf": ((), [800.0, -800.0], lambda x: -mp.log1p(mp.exp(m(x)))),
            "expon.logcdf": ((), [1e-20, 50.0], lambda x: mp.log(-mp.expm1(-m(x)))),
            "laplace.ppf": ((), [1e-300], lambda q: mp.log(2 * m(q))),
            "cauchy.ppf": ((), [1e-300, 0.25, 0.75], lambda q: -mp.cot(mp.pi * m(q))),
            "truncnorm.logpdf": ((30.0, 31.0), [30.5], lambda x: mp.log(mp.npdf(m(x)) / (mp.ncdf(-30) - mp.ncdf(-31)))),
            "truncnorm.sf": ((30.0, 31.0), [30.5], lambda x: (mp.ncdf(-m(x)) - mp.ncdf(-31)) / (mp.ncdf(-30) - mp.ncdf(-31))),
            "gamma.logpdf": ((1e10,), [1.0001e10], lambda x: (m(10) ** 10 - 1) * mp.log(m(x)) - m(x) - mp.loggamma(m(10) ** 10)),
            "gamma.entropy": ((), [1e10], lambda a: m(a) + mp.loggamma(m(a)) + (1 - m(a)) * mp.digamma(m(a))),
            "t.entropy": ((), [1e9], lambda n: (m(n) + 1) / 2 * (mp.digamma((m(n) + 1) / 2) - mp.digamma(m(n) / 2))
                          + mp.log(mp.sqrt(m(n)) * mp.beta(0.5, m(n) / 2))),
            "poisson.logpmf": ((1e8,), [1e8 + 1234], lambda k: m(k) * mp.log(m(10) ** 8) - m(10) ** 8 - mp.loggamma(m(k) + 1)),
        }  # fmt: skip
        for what, (shapes, xs, exact) in rows.items():
            name, method = what.split(".")
            wanted = [float(exact(x)) for x in xs]
            got = run([getattr(getattr(gx.stats, name), method)(points, *shapes)], [points], [xs])[0]
            np.testing.assert_allclose(got, wanted, rtol=5e-13, err_msg=what)
    a, b = symbols(2)
    got = run([gx.stats.beta.entropy(a, b)], [a, b], [1e8, 2e8])[0]
    with mp.workdps(60):
        s, r = mp.mpf(10) ** 8, 2 * mp.mpf(10) ** 8
        wanted = mp.log(mp.beta(s, r)) - (s - 1) * mp.digamma(s) - (r - 1) * mp.digamma(r) + (s + r - 2) * mp.digamma(s + r)
        np.testing.assert_allclose(got, float(wanted), rtol=1e-13)


def test_float32_has_its_digits_in_native_code() -> None:
    """Families of all kinds in one compiled function, beside float64 by the interpreter; a Python number does not widen."""
    x, f32 = gx.vector("x", "n", "float32"), []
    f64 = []
    for name in ("norm", "gamma", "beta", "t", "truncnorm", "gumbel_r", "cauchy"):
        ours, family = getattr(gx.stats, name), CONTINUOUS[name]
        methods = ("logpdf", "cdf") if name in ("norm", "t") else ("logpdf",)
        f32 += [getattr(ours, m)(x, *family.shapes) for m in methods]
        f64 += [getattr(ours, m)(points, *family.shapes) for m in methods]
    assert {v.dtype for v in f32} == {np.dtype("float32")}
    at = np.float32([-3.0, -0.25, 0.125, 0.75, 1.5, 7.0])
    f = gx.function([x], f32)
    for got, wanted in zip(f(at), run(f64, [points], [at])):
        np.testing.assert_allclose(got, wanted, rtol=3e-6, atol=2e-6)
    assert f(at[:0])[0].shape == (0,)


# -- arguments -------------------------------------------------------------------------------------------------------------------
def test_parameters_by_name_frozen_and_broadcast() -> None:
    x, mu, s = gx.tensor("x", (3, 1)), gx.vector("mu", 2), gx.scalar("s")
    ways = [gx.stats.norm.logpdf(x, mu, s), gx.stats.norm.logpdf(x, scale=s, loc=mu), gx.stats.norm(mu, scale=s).logpdf(x)]
    assert ways[0] is ways[1] and ways[0] is ways[2]
    values = [np.arange(3.0)[:, None], np.array([0.5, 2.0]), np.array(1.5)]
    np.testing.assert_allclose(run(ways[:1], [x, mu, s], values)[0], scipy.stats.norm.logpdf(*values), rtol=1e-14)
    assert gx.stats.gamma(2.0).mean().shape == () and "logpdf" in dir(gx.stats.gamma(2.0))
    k = gx.vector("k", "n", "int64")
    assert gx.stats.poisson.logpmf(k, gx.scalar("mu", "float32")).dtype == np.float32


@pytest.mark.parametrize("call, message", [
    (lambda x: gx.stats.norm.logpdf(x, 0, -1), r"norm.logpdf: scale must be > 0, got -1.0"),
    (lambda x: gx.stats.norm.logpdf(x, np.nan), r"loc must be a number"),
    (lambda x: gx.stats.gamma.cdf(x, np.array([1.0, -2.0])), r"gamma.cdf: a must be > 0, got \[1.0, -2.0\]"),
    (lambda x: gx.stats.bernoulli.logpmf(x, 1.5), r"p must be between 0 and 1"),
    (lambda x: gx.stats.binom.logpmf(x, 2.5, 0.5), r"n must be a whole number >= 0"),
    (lambda x: gx.stats.geom.pmf(x, 0.0), r"p must be above 0"),
    (lambda x: gx.stats.truncnorm.pdf(x, 2, 1), r"a, b must be in order"),
    (lambda x: gx.stats.gamma.logpdf(x), r"gamma.logpdf: the parameter 'a' is missing"),
    (lambda x: gx.stats.norm.logpdf(x, 0, 1, 2), r"takes the parameters loc, scale, got 3"),
    (lambda x: gx.stats.norm.logpdf(x, mean=0), r"'mean' is none of loc, scale"),
    (lambda x: gx.stats.norm.logpdf(x, 0, loc=0), r"'loc' is given twice"),
    (lambda x: gx.stats.gamma.ppf(x, 2.0), r"the ppf of gamma has no closed form"),
    (lambda x: gx.stats.binom.entropy(3, 0.5), r"the entropy of binom"),
    (lambda x: gx.stats.kl_divergence(gx.stats.norm(), gx.stats.laplace()), r"norm and laplace are different families"),
    (lambda x: gx.stats.kl_divergence(gx.stats.t(2), gx.stats.t(3)), r"of t has no closed form"),
    (lambda x: gx.stats.kl_divergence(gx.stats.gamma(2, x), gx.stats.gamma(3)), r"two gamma of one loc"),
    (lambda x: gx.stats.kl_divergence(gx.stats.norm, gx.stats.norm()), r"takes distributions with their parameters"),
])  # fmt: skip
def test_wrong_arguments_are_typed(call: Any, message: str) -> None:
    with pytest.raises(gx.ArgumentError, match=message):
        call(gx.vector("x", "n"))
    with pytest.raises(gx.ShapeError):
        gx.stats.norm.logpdf(gx.vector("x", 3), gx.vector("m", 2))


# -- divergences ------------------------------------------------------------------------------------------------------------------
KL: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # parameters of p and q
    "norm": ((0.5, 1.5), (-0.25, 0.75)), "uniform": ((0.25, 0.5), (0.0, 2.0)),
    "expon": ((0.5, 1.5), (0.25, 0.75)), "gamma": ((2.5, 0.0, 1.5), (1.25, 0.0, 0.75)),
    "invgamma": ((2.5, 0.0, 1.5), (1.25, 0.0, 0.75)), "beta": ((2.0, 0.75), (1.5, 3.0)),
    "laplace": ((0.5, 1.5), (-0.25, 0.75)), "cauchy": ((0.5, 1.5), (-0.25, 0.75)),
    "gumbel_r": ((0.5, 0.75), (-0.25, 1.5)), "chi2": ((3.0,), (5.0,)),
    "lognorm": ((0.5, 0.0, 1.5), (0.75, 0.0, 2.0)), "halfnorm": ((0.0, 1.5), (0.0, 0.75)),
    "weibull_min": ((1.5, 0.0, 1.25), (2.5, 0.0, 0.75)), "pareto": ((2.5, 0.0, 1.5), (1.25, 0.0, 0.75)),
}  # fmt: skip


@pytest.mark.parametrize("name", KL)
def test_divergence_is_the_integral(name: str) -> None:
    """Over the probabilities of p's quantiles, which has no tails to lose."""
    first, second = KL[name]
    family, ours = CONTINUOUS[name], getattr(gx.stats, name)
    n, (p, q) = len(family.shapes), (symbols(len(first)), symbols(len(first)))
    p, q = [list(v) for v in (p, q)]
    if "loc" in getattr(ours, "_row").same and len(first) > n:  # noqa: B009
        p[n] = q[n] = 0  # type: ignore[call-overload]
    got = gx.stats.kl_divergence(ours(*p), ours(*q))
    inputs = [v for v in (*p, *q) if isinstance(v, gx.Node)]
    values = [v for v, s in zip((*first, *second), (*p, *q)) if isinstance(s, gx.Node)]

    theirs_p, theirs_q = getattr(scipy.stats, name)(*first), getattr(scipy.stats, name)(*second)
    part = lambda u: float(theirs_p.logpdf(theirs_p.ppf(u)) - theirs_q.logpdf(theirs_p.ppf(u)))
    wanted = sum(scipy.integrate.quad(part, a, b, epsabs=1e-11)[0] for a, b in ((0, 0.02), (0.02, 0.5), (0.5, 0.98), (0.98, 1)))
    np.testing.assert_allclose(run([got], inputs, values)[0], wanted, rtol=1e-6, err_msg=name)
    assert np.isnan(run([got], inputs, [*values[:-1], -1.0])[0])


def test_divergences_of_counts_and_of_what_does_not_overlap() -> None:
    k, s = np.arange(200), gx.stats
    for name, a, b in (("bernoulli", (0.3,), (0.6,)), ("binom", (9, 0.3), (9, 0.6)), ("poisson", (3.0,), (5.0,)), ("geom", (0.3,), (0.4,))):
        theirs_p, theirs_q = getattr(scipy.stats, name)(*a), getattr(scipy.stats, name)(*b)
        inside = theirs_p.pmf(k) > 0
        wanted = np.sum(theirs_p.pmf(k[inside]) * (theirs_p.logpmf(k[inside]) - theirs_q.logpmf(k[inside])))
        got = s.kl_divergence(getattr(s, name)(*a), getattr(s, name)(*b))
        np.testing.assert_allclose(run([got], [], [])[0], wanted, rtol=1e-10, err_msg=name)
    apart = [
        (s.uniform(0, 2), s.uniform(0, 1)),
        (s.expon(0), s.expon(1)),
        (s.pareto(2.0), s.pareto(2.0, scale=2)),
        (s.bernoulli(0.5), s.bernoulli(1.0)),
    ]
    assert run([s.kl_divergence(p, q) for p, q in apart], [], []) == [INF] * 4
    same = [s.norm(1.0, 3.0), s.gamma(2.5), s.beta(2.0, 3.0), s.weibull_min(1.5), s.poisson(3.0)]
    np.testing.assert_allclose(run([s.kl_divergence(p, p) for p in same], [], []), 0, atol=1e-15)


def test_the_density_of_invgamma_vanishes_at_infinity() -> None:
    """Where a < 1 its terms are two infinities."""
    z = np.array([np.inf, 1e300, 1.0])
    np.testing.assert_allclose(gx.stats.invgamma.pdf(z, 0.7).eval(), scipy.stats.invgamma.pdf(z, 0.7), rtol=1e-12)
