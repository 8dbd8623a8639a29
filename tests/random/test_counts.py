"""Counts, integers and choices: frequencies against SciPy's, exact edges, both spellings, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import graphc as gx
from graphc.ops.philox import random_words
from tests.random.draws import drawing

R = gx.random
_k, _n = gx.scalar("k", "uint64"), gx.dim("n")
SEED = np.uint64(5)
RATES, TRIALS = (0.1, 3.0, 9.99, 10.0, 12.5, 1e7), ((1, 0.3), (10, 0.5), (30, 0.3), (40, 0.5), (40, 0.8), (10**9, 0.37), (10**9, 1e-9))
DRAWS: dict[str, tuple[gx.Node, Any]] = {
    **{f"poisson, {lam}": (R.poisson(_k, lam, _n), stats.poisson(lam)) for lam in RATES},
    **{f"binomial, {n}, {p}": (R.binomial(_k, n, p, _n), stats.binom(n, p)) for n, p in TRIALS},
    "geometric": (R.geometric(_k, 0.2, _n), stats.geom(0.2)),
    "randint": (R.randint(_k, _n, -3, 8), stats.randint(-3, 8)),
    "choice": (R.choice(_k, 5, _n), stats.randint(0, 5)),
}


def chi_square(found: np.ndarray, law: Any) -> float:
    """The p-value of the counts in cells of like size."""
    cells = np.unique(law.ppf(np.linspace(0, 1, 41)[1:-1]))
    counts = np.bincount(np.searchsorted(cells, found), minlength=len(cells) + 1)
    expected = len(found) * np.diff([0.0, *law.cdf(cells), 1.0])
    keep = expected > 1e-9
    assert not counts[~keep].any()
    return float(stats.chisquare(counts[keep], expected[keep] * (counts.sum() / expected[keep].sum())).pvalue)


_draw = drawing(_k, _n, DRAWS)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return _draw(SEED, 30_000)


@pytest.mark.parametrize("name", DRAWS)
def test_frequencies(name: str, drawn: dict[str, np.ndarray]) -> None:
    found, law = drawn[name], DRAWS[name][1]
    assert found.dtype == np.int64
    assert chi_square(found, law) > 1e-3
    low, high = law.support()
    assert low <= found.min() and found.max() <= high
    for n in (0, 1, 3):
        np.testing.assert_array_equal(_draw(SEED, n)[name], found[:n])


def test_edges() -> None:
    lam, p, m = gx.vector("lam", 5), gx.vector("p", 5), gx.vector("m", 5)
    f = gx.function([_k, lam, m, p], [R.poisson(_k, lam), R.binomial(_k, m, p), R.geometric(_k, p)], mode="interpret")
    rates, trials, chances = [0.0, np.nan, -1.0, np.inf, 5.0], [7.0, 7.0, 7.5, -1.0, 2.0**53], [0.0, 1.0, 0.5, 0.5, 0.5]
    counts = f(SEED, *map(np.array, (rates, trials, chances)))
    assert counts[0][:4].tolist() == [0, -1, -1, -1] and counts[1][:4].tolist() == [0, 7, -1, -1]
    assert abs(counts[1][4] - 2.0**52) < 6 * 2.0**25.5 and counts[2].tolist()[:2] == [-1, 1]
    wide = [R.randint(_k, 2000, -(2**63), 2**63), R.randint(_k, 2000, 0, 2**64, "uint64"), R.randint(_k, 2000, 250, 256, "uint8")]
    everything, unsigned, small = gx.function([_k], wide, mode="interpret")(SEED)
    assert stats.kstest(everything / 2.0**63, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert stats.kstest(unsigned / 2.0**64, stats.uniform.cdf).pvalue > 1e-3
    assert set(small.tolist()) == {250, 251, 252, 253, 254, 255} and small.dtype == np.uint8
    end = gx.scalar("end", "int64")
    g = gx.function([_k, end], R.randint(_k, 30_000, 0, end))
    big = 3 * 2**61  # one word alone would make a third of the values twice as likely
    assert stats.kstest(g(SEED, big) / big, stats.uniform.cdf).pvalue > 1e-3
    np.testing.assert_array_equal(g(SEED, 11), gx.function([_k], R.randint(_k, 30_000, 0, 11))(SEED))
    assert not g(SEED, 0).any()


@pytest.mark.parametrize(("low", "high"), [(0, 11), (-5, 2**40), (-(2**63), 2**63 - 2), (7, 3 * 2**61)])
def test_integers_are_products_of_words(low: int, high: int) -> None:
    """low + floor(w (high - low) / 2**b), of a word of 64 bits or of two, in Python's integers."""
    end = gx.scalar("end", "int64")
    words = [random_words(_k, h, np.arange(50, dtype=np.uint64)) for h in (0, 1)]
    first, second, known, unknown = gx.function([_k, end], [*words, R.randint(_k, 50, low, high), R.randint(_k, 50, low, end)])(SEED, high)
    exact = [low + (((int(a) << 64) + int(b)) * (high - low) >> 128) for a, b in zip(first, second)]
    assert unknown.tolist() == exact
    assert known.tolist() == ([low + (int(a) * (high - low) >> 64) for a in first] if high - low < 2**32 else exact)


def test_multinomial() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    counts = gx.function([_k], R.multinomial(_k, [20, 50], np.array([p, p[::-1]]), (2000, 2)))(SEED)
    assert counts.shape == (2000, 2, 5) and (counts.sum(-1) == [20, 50]).all() and not counts[:, 0, 4].any() and not counts[:, 1, 0].any()
    for j in range(4):
        assert chi_square(counts[:, 0, j], stats.binom(20, p[j])) > 1e-3
        assert chi_square(counts[:, 1, 4 - j], stats.binom(50, p[j])) > 1e-3
    np.testing.assert_allclose(np.cov(counts[:, 0].T), 20 * (np.diag(p) - np.outer(p, p)), atol=5 * 6 / np.sqrt(2000))


def test_choice() -> None:
    p = np.array([0.1, 0.2, 0.0, 0.7])
    keys = R.split(_k, 10_000)
    pairs_of = lambda p: gx.vmap(lambda k: R.choice(k, 4, 2, False, p))(keys)
    weighted, ordered, alike = gx.function([_k], [R.choice(_k, 4, 10_000, p=p), pairs_of(p), pairs_of(None)])(SEED)
    np.testing.assert_allclose(np.bincount(weighted, minlength=4) / 10_000, p, atol=5 * 0.5 / 100)
    pairs = {(i, j): p[i] * p[j] / (1 - p[i]) for i in range(4) for j in range(4) if i != j}
    for (i, j), chance in pairs.items():
        assert abs((ordered == [i, j]).all(1).mean() - chance) <= 5 * np.sqrt(chance * (1 - chance)) / 100
        assert abs((alike == [i, j]).all(1).mean() - 1 / 12) <= 5 * np.sqrt(1 / 12) / 100
    x = gx.tensor("x", ("n", 2))
    slices = [R.choice(_k, x, (3,), False), R.choice(_k, x, (2, 2), axis=1), R.choice(_k, x.shape[0], (3,), False)]
    f = gx.function([_k, x], [*slices, gx.grad(gx.sum(slices[0] ** 2), x)])
    rows, columns, places, slope = f(SEED, X := np.arange(10.0).reshape(5, 2))
    np.testing.assert_array_equal(rows, X[places])
    assert columns.shape == (5, 2, 2) and set(columns[0].ravel().tolist()) <= {0.0, 1.0}
    wanted = np.zeros_like(X)
    wanted[places] = 2 * X[places]
    np.testing.assert_array_equal(slope, wanted)


def test_derivatives_raise() -> None:
    w = gx.vector("w", 3)
    p = gx.softmax(w)
    draws = {
        "poisson": R.poisson(_k, gx.exp(w)), "binomial": R.binomial(_k, 5, p), "multinomial": R.multinomial(_k, 5, p),
        "geometric": R.geometric(_k, p), "choice": R.choice(_k, 3, 4, p=p), "weighted order": R.choice(_k, 3, 2, False, p),
        "categorical": R.categorical(_k, w), "of values": R.choice(_k, w, 4, p=p),
    }  # fmt: skip
    for name, draw in draws.items():
        cost = gx.sum(draw.astype("float64"))
        for build in (lambda c: gx.grad(c, w), lambda c: gx.jvp(c, w, gx.ones(3))):
            with pytest.raises(gx.NotDifferentiableError, match="score_function"):
                build(cost)
        if name != "of values":
            gx.grad(gx.sum(w) + gx.sum(gx.stop_gradient(draw).astype("float64")), w)
    v = gx.vector("v", 3)
    gx.grad(gx.sum(R.choice(_k, v, 4, p=p)), v)  # by the values there is one


BAD = {
    "p above 1": lambda g: g.binomial(3, 1.5),
    "n below 0": lambda g: g.binomial(-1, 0.5),
    "n and a half": lambda g: g.binomial(1.5, 0.5),
    "lam": lambda g: g.poisson(-1.0),
    "sum": lambda g: g.multinomial(3, [0.5, 0.4]),
    "weights": lambda g: g.choice(3, p=[0.5, 0.2, 0.2]),
    "negative weight": lambda g: g.choice(2, p=[1.5, -0.5]),
    "too many": lambda g: g.choice(3, 4, replace=False),
    "too few with p > 0": lambda g: g.choice(3, 3, replace=False, p=[0.5, 0.5, 0.0]),
    "of nothing": lambda g: g.choice(0, 1),
    "empty": lambda g: g.integers(3, 3),
    "does not fit": lambda g: g.integers(0, 300, dtype="uint8"),
    "never": lambda g: g.geometric(0.0),
}


@pytest.mark.parametrize("name", BAD)
def test_known_parameters_are_checked(name: str) -> None:
    with pytest.raises(gx.ArgumentError):
        BAD[name](R.default_rng(0))


def test_dtypes_and_shapes_are_checked() -> None:
    g = R.default_rng(0)
    for wrong in (lambda: g.integers(0.5, 3), lambda: g.integers(3, dtype="float64")):
        with pytest.raises(gx.DTypeError):
            wrong()
    for wrong in (lambda: g.choice(3, p=[0.5, 0.5]), lambda: g.multinomial(3, 0.5), lambda: g.permutation(1.0), lambda: g.choice(-3)):
        with pytest.raises(gx.ShapeError):
            wrong()


# what NumPy's draws that are here take, with the arguments they are called with
PLACED = {"loc": 1.0, "scale": 2.0}
CALLS: dict[str, dict[str, Any]] = {
    "random": {}, "uniform": {"low": -1.0, "high": 2.0}, "standard_normal": {}, "normal": PLACED, "standard_exponential": {},
    "exponential": {"scale": 2.0}, "gumbel": PLACED, "laplace": PLACED, "logistic": PLACED, "standard_cauchy": {},
    "lognormal": {"mean": 0.5, "sigma": 0.3}, "rayleigh": {"scale": 2.0}, "weibull": {"a": 1.5}, "pareto": {"a": 3.0},
    "standard_gamma": {"shape": 2.0}, "gamma": {"shape": 2.0, "scale": 3.0}, "chisquare": {"df": 3.0}, "beta": {"a": 2.0, "b": 3.0},
    "dirichlet": {"alpha": [1.0, 2.0]}, "standard_t": {"df": 5.0}, "integers": {"low": 2, "high": 9}, "poisson": {"lam": 4.0},
    "multivariate_normal": {"mean": [1.0, 2.0], "cov": [[2.0, 0.0], [0.0, 1.0]]}, "binomial": {"n": 9, "p": 0.3},
    "multinomial": {"n": 9, "pvals": [0.3, 0.7]}, "geometric": {"p": 0.3}, "choice": {"a": 5},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_spelling_is_numpys(name: str) -> None:
    """The same names of methods and arguments, the same shapes and dtypes."""
    for size in ({}, {"size": 7}, {"size": (2, 3)}):
        ours, wanted = (getattr(g, name)(**CALLS[name], **size) for g in (R.default_rng(1), np.random.default_rng(1)))
        assert ours.shape == np.shape(wanted) and ours.dtype == np.asarray(wanted).dtype


def test_parameters_mean_what_numpys_do() -> None:
    """Of those draws that are made of others: means within 5 standard errors of NumPy's."""
    g, theirs, n = R.default_rng(1), np.random.default_rng(1), 4000
    names = ["normal", "gumbel", "lognormal", "weibull", "pareto", "gamma", "multinomial", "integers", "exponential"]
    found = gx.function([], [getattr(g, name)(**CALLS[name], size=n) for name in names])()
    for name, ours in zip(names, found):
        wanted = getattr(theirs, name)(**CALLS[name], size=n)
        assert (np.abs(ours.mean(0) - wanted.mean(0)) < 5 * (ours.std(0) + wanted.std(0)) / np.sqrt(n)).all(), name


def test_orders_of_the_generator() -> None:
    g = R.default_rng(2)
    x = gx.tensor("x", (3, 4))
    draws = [g.permutation(5), g.permutation(x, 1), g.shuffle(x), g.permuted(x), g.permuted(x, 1), g.integers(3, endpoint=True, size=200)]
    draws += [g.bernoulli(0.5, 9), g.categorical([0.0, 1.0], 9), g.truncated_normal(-1.0, 1.0, 9), g.orthogonal(2)]
    order, columns, rows, everything, lines, ends, *_ = gx.function([x], draws)(X := np.arange(12.0).reshape(3, 4))
    assert sorted(order) == list(range(5)) and set(ends.tolist()) == {0, 1, 2, 3}
    np.testing.assert_array_equal(columns[:, np.argsort(columns[0])], X)
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], X)
    np.testing.assert_array_equal(np.sort(everything.ravel()).reshape(3, 4), X)
    np.testing.assert_array_equal(np.sort(lines, 1), X)
