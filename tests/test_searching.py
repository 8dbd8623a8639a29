"""searchsorted, digitize, interp, bincount and histograms against NumPy: dtypes, ties, nan, sizes 0 and 1; derivatives; errors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from graphc.ir import origin
from tests.derivatives import check_derivatives

DTYPES = ("float32", "float64", "int8", "int64", "uint16", "uint64", "bool")


@cache
def places(dtype: str) -> gx.Function:
    a, v, one = gx.tensor("a", ("n",), dtype), gx.tensor("v", ("m", "k"), dtype), gx.tensor("one", (), dtype)
    found = [gx.searchsorted(a, w, side) for w in (v, one) for side in ("left", "right")]
    return gx.function([a, v, one], [*found, gx.searchsorted(a[::2], v.T) * 2 + 1], mode="verify")


@pytest.mark.parametrize("dtype", DTYPES)
def test_searchsorted(dtype: str) -> None:
    rng = np.random.default_rng(0)
    most = 2 if dtype == "bool" else 9
    for n in (0, 1, 2, 3, 7, 8, 100):
        a, v = (rng.integers(0, most + k, size).astype(dtype) for k, size in ((0, n), (dtype != "bool", (3, 37))))
        if dtype in ("float32", "float64"):
            a[n // 2 :: 5], v[0, :3] = np.nan, [np.nan, np.inf, -np.inf]
            a[:1], v[1, 0] = -0.0, 0.0
        a = np.sort(a)
        expected = [np.searchsorted(a, w, side) for w in (v, v[0, 0]) for side in ("left", "right")]
        for x, y in zip(places(dtype)(a, v, v[0, 0]), [*expected, np.searchsorted(a[::2], v.T) * 2 + 1], strict=True):
            np.testing.assert_array_equal(x, y)
            assert x.dtype == np.int64
        np.testing.assert_array_equal(gx.searchsorted(a, v).eval(), expected[0])


def test_it_halves_the_row() -> None:
    a, v = gx.tensor("a", ("n",)), gx.tensor("v", ("m",))
    f = gx.function([a, v], gx.searchsorted(a, v) + 1)
    assert "search(" in f.loops
    row, wanted = np.arange(300_000.0), np.linspace(-1, 300_001, 20_000)  # six milliards of comparisons
    np.testing.assert_array_equal(f(row, wanted), np.searchsorted(row, wanted) + 1)


def test_rows_of_their_own() -> None:
    a, v = gx.tensor("a", (3, "n")), gx.tensor("v", (3, 4))
    f = gx.function([a, v], [gx.vmap(gx.searchsorted)(a, v), gx.vmap(lambda w: gx.searchsorted(a[0], w, "right"))(v)])
    rng = np.random.default_rng(0)
    for n in (1, 6):
        rows, wanted = np.sort(rng.integers(0, 5, (3, n)).astype(float)), rng.integers(0, 5, (3, 4)).astype(float)
        own, first = f(rows, wanted)
        np.testing.assert_array_equal(own, [np.searchsorted(r, w) for r, w in zip(rows, wanted)])
        np.testing.assert_array_equal(first, np.searchsorted(rows[0], wanted, "right"))


def test_a_sorter() -> None:
    a, v = gx.tensor("a", ("n",)), gx.tensor("v", (4,))
    f = gx.function([a, v], gx.searchsorted(a, v, sorter=gx.argsort(a)))
    row, wanted = np.array([3.0, 1.0, 2.0]), np.array([0.5, 1.0, 2.5, 9.0])
    np.testing.assert_array_equal(f(row, wanted), np.searchsorted(row, wanted, sorter=np.argsort(row)))


@pytest.mark.parametrize("right", [False, True])
def test_digitize(right: bool) -> None:
    x, b = gx.tensor("x", ("n",)), gx.tensor("b", ("k",))
    bins = np.array([-1.0, 0.0, 0.0, 2.0])
    f = gx.function([x, b], [gx.digitize(x, bins, right), gx.digitize(x, bins[::-1], right), gx.digitize(x, b, right)])
    value = np.array([-2.0, -1.0, -0.5, 0.0, 1.0, 2.0, 3.0, np.nan])
    up, down = np.digitize(value, bins, right), np.digitize(value, bins[::-1], right)
    for found, expected in zip(f(value, bins), [up, down, up]):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interp(dtype: str) -> None:
    x, xp, fp = (gx.tensor(name, (size,), dtype) for name, size in (("x", "n"), ("xp", "k"), ("fp", "k")))
    f = gx.function([x, xp, fp], [gx.interp(x, xp, fp), gx.interp(x, xp, fp, -7, 9.0), gx.interp(x, xp, fp, period=2.5)])
    rng = np.random.default_rng(0)
    for k in (1, 2, 5):
        knots, values = np.sort(rng.random(k) * 2).astype(dtype), rng.standard_normal(k).astype(dtype)
        at = np.r_[knots, rng.random(20) * 4 - 1, np.nan if k > 1 else 0.0, np.inf].astype(dtype)  # of one point NumPy's is fp[0] at nan
        wide = [v.astype("float64") for v in (at, knots, values)]
        expected = [np.interp(*wide), np.interp(*wide, -7, 9.0), np.interp(wide[0][:-1], *wide[1:], period=2.5)]
        for a, b in zip(f(at, knots, values)[:2], expected):
            np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "float32" else 1e-12)
        np.testing.assert_allclose(f(at[:-1], knots, values)[2], expected[2], rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


def test_interp_derivatives() -> None:
    knots, values, at = np.array([0.0, 1.0, 2.5, 3.0]), np.array([1.0, -1.0, 0.5, 2.0]), np.array([-0.5, 0.3, 1.7, 2.6, 4.0])
    check_derivatives(lambda x, a, b: gx.interp(x**2 * gx.sign(x), a, b) * gx.sin(x), at, knots, values, tolerance=1e-5)
    check_derivatives(lambda x, b: gx.interp(x, knots, gx.exp(b), period=3.6), at, values)


def test_bincount() -> None:
    x, w, n = gx.tensor("x", ("n",), "int64"), gx.tensor("w", ("n",), "float32"), gx.dim("bins")
    board = gx.tensor("board", (n,))
    f = gx.function([x, w, board], [gx.bincount(x, length=n), gx.bincount(x, w, length=n), gx.bincount(x, minlength=9)])
    for size in (0, 1, 30):
        value, weight = np.random.default_rng(size).integers(0, 6, size), np.ones(size, "float32") / 4
        found = f(value, weight, np.zeros(7))
        np.testing.assert_array_equal(found[0], np.bincount(value, minlength=7))
        np.testing.assert_array_equal(found[1], np.bincount(value, weight, minlength=7))
        np.testing.assert_array_equal(found[2], np.bincount(value, minlength=9))
        assert [v.dtype for v in found] == ["int64", "float32", "int64"]
    for wrong in (7, -1):
        with pytest.raises(IndexOutOfRange):
            f(np.array([0, wrong]), np.ones(2, "float32"), np.zeros(7))
    known = np.array([0, 5, 5])
    np.testing.assert_array_equal(gx.bincount(known).eval(), np.bincount(known))
    check_derivatives(lambda v: gx.bincount(np.array([0, 2, 2, 1]), gx.sin(v)) ** 2, np.arange(4.0))


def test_histogram() -> None:
    x, w, e = gx.tensor("x", ("n",)), gx.tensor("w", ("n",)), gx.tensor("e", ("k",))
    edges = np.array([-1.0, -0.5, 0.0, 0.0, 2.0])
    made = [
        gx.histogram(x), gx.histogram(x, 4, (-1, 1)), gx.histogram(x, edges), gx.histogram(x, e, weights=w),
        gx.histogram(x, edges, density=True), gx.histogram(x, 3, (0.5, 0.5)),
    ]  # fmt: skip
    f = gx.function([x, w, e], made)
    for size in (1, 2, 500):
        rng = np.random.default_rng(size)
        value, weight = np.round(rng.standard_normal(size), 1), rng.random(size)
        value[0] = -0.5 if size < 500 else 1.0
        expected = [
            np.histogram(value), np.histogram(value, 4, (-1, 1)), np.histogram(value, edges), np.histogram(value, edges, weights=weight),
            np.histogram(value, edges, density=True), np.histogram(value, 3, (0.5, 0.5)),
        ]  # fmt: skip
        for (counts, ends), (theirs, their_ends) in zip(f(value, weight, edges), expected):
            np.testing.assert_allclose(counts, theirs, rtol=1e-12)
            np.testing.assert_allclose(ends, their_ends, rtol=1e-15, atol=1e-15)
            assert counts.dtype == theirs.dtype


def test_histograms_of_points() -> None:
    x, y, w = (gx.tensor(name, ("n",)) for name in "xyw")
    ranges = [(-2, 2), (-1, 2)]
    flat = gx.histogram2d(x, y, [3, np.array([-1.0, 0.0, 0.5])], ranges, weights=w)
    deep = gx.histogramdd(gx.stack([x, y, w], 1), 2, [*ranges, (0, 1)], density=True)
    f = gx.function([x, y, w], [flat, deep])
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal(200), rng.standard_normal(200), rng.random(200)
    (counts, first, second), (dense, ends) = f(a, b, c)
    theirs = np.histogram2d(a, b, [3, np.array([-1.0, 0.0, 0.5])], ranges, weights=c)
    for found, expected in zip((counts, first, second), theirs):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    theirs_dense, their_ends = np.histogramdd(np.stack([a, b, c], 1), 2, [*ranges, (0, 1)], density=True)
    np.testing.assert_allclose(dense, theirs_dense, rtol=1e-12)
    np.testing.assert_allclose(ends, their_ends, rtol=1e-15)


def test_functions_of_what_was_looked_up() -> None:
    """A search and what follows it are one kernel, in lanes: so is the math function at its end, as in the gradient of interp."""
    x, xp, fp = gx.tensor("x", ("n",)), gx.tensor("xp", ("m",)), gx.tensor("fp", ("m",))
    found = gx.take(fp, gx.clip(gx.searchsorted(xp, x), 1, 3))
    slopes = gx.grad(gx.sum(gx.sin(gx.interp(x, xp, fp))), [x, fp])
    f = gx.function([x, xp, fp], [gx.cos(found), gx.exp(gx.searchsorted(xp, x)), *slopes])
    rng = np.random.default_rng(0)
    for n in (0, 1, 7, 16, 33):
        a, knots, heights = rng.normal(size=n), np.sort(rng.normal(size=5)), rng.normal(size=5)
        places = np.searchsorted(knots, a)
        cosine, power, by_x, by_height = f(a, knots, heights)
        np.testing.assert_allclose(cosine, np.cos(heights[np.clip(places, 1, 3)]), rtol=1e-14)
        np.testing.assert_allclose(power, np.exp(places), rtol=1e-14)
        inside = (a > knots[0]) & (a < knots[-1])
        k = np.clip(places, 1, 4)
        slope = np.where(inside, (heights[k] - heights[k - 1]) / (knots[k] - knots[k - 1]), 0.0)
        outer = np.cos(np.interp(a, knots, heights))
        np.testing.assert_allclose(by_x, outer * slope, rtol=1e-12)
        weights = np.array([np.interp(a, knots, e) for e in np.eye(5)])
        np.testing.assert_allclose(by_height, weights @ outer, rtol=1e-12, atol=1e-14)


with origin(("train.py", 9)):
    X, I = gx.tensor("x", ("n",)), gx.tensor("i", ("n",), "int64")  # noqa: E741
REFUSED = {
    "a side": (lambda: gx.searchsorted(X, 1.0, "middle"), ArgumentError, "searchsorted: side is 'left' or 'right'"),
    "a matrix": (lambda: gx.searchsorted(X[None], 1.0), ShapeError, "searchsorted: needs a vector"),
    "bins in no order": (lambda: gx.digitize(X, [1.0, 3.0, 2.0]), ArgumentError, "digitize: bins must ascend or descend"),
    "points of two sizes": (lambda: gx.interp(X, [1.0, 2.0], [1.0]), ShapeError, "interp: xp and fp must be vectors of one size"),
    "no points": (lambda: gx.interp(X, gx.zeros(0), gx.zeros(0)), ShapeError, "interp: needs at least one point"),
    "no period": (lambda: gx.interp(X, [1.0], [1.0], period=0), ArgumentError, "interp: the period"),
    "unknown bins": (lambda: gx.bincount(I), ArgumentError, "bincount: how many bins there are only the values tell"),
    "floats": (lambda: gx.bincount(X, length=3), DTypeError, "bincount: needs integers"),
    "a negative length": (lambda: gx.bincount(I, length=-1), ArgumentError, "bincount: the length"),
    "a rule": (lambda: gx.histogram(X, "auto"), ArgumentError, "histogram: the rule 'auto'"),
    "edges in no order": (lambda: gx.histogram(X, [0.0, 2.0, 1.0]), ArgumentError, "histogram: the edges must ascend"),
    "no bins": (lambda: gx.histogram(X, 0), ArgumentError, "histogram: needs at least one bin"),
    "an infinite range": (lambda: gx.histogram(X, 3, (0, np.inf)), ArgumentError, "histogram: the range must be finite"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        call()
