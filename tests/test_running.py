"""cummax, cummin, logcumsumexp, cumulative_sum and cumulative_prod against NumPy and mpmath's logarithm, with derivatives to order 3."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import graphc as gx
from graphc.errors import ShapeError
from tests.derivatives import check_derivatives


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "int64", "bool"])
def test_running_extremes(dtype: str) -> None:
    x = gx.tensor("x", ("m", "n"), dtype)
    f = gx.function([x], [gx.cummax(x, 1), gx.cummin(x), gx.cummin(x, None), gx.cummax(x, 0, reverse=True)])
    rng = np.random.default_rng(0)
    for shape in [(0, 3), (3, 0), (1, 1), (3, 3), (5, 70)]:
        value = rng.integers(0, 2, shape).astype(dtype) if dtype == "bool" else rng.integers(-99, 99, shape).astype(dtype)
        if dtype.startswith("float") and value.size > 5:
            value[1, 1], value[2, 0], value[0, 2] = np.nan, np.inf, -np.inf
        expected = [np.maximum.accumulate(value, 1), np.minimum.accumulate(value, 0), np.minimum.accumulate(value.ravel())]
        for a, b in zip(f(value), [*expected, np.maximum.accumulate(value[::-1], 0)[::-1]], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == dtype
    low = np.array([[-128, 127, -128]], "int8")
    if dtype == "int8":
        np.testing.assert_array_equal(f(low)[2], [-128, -128, -128])


def exact(row: np.ndarray) -> list[float]:
    with mpmath.workdps(60):
        terms = [mpmath.e ** mpmath.mpf(float(v)) if v > -np.inf else mpmath.mpf(0) for v in row]
        sums = [mpmath.fsum(terms[: k + 1]) for k in range(len(terms))]
        return [float(mpmath.log(s)) if s else -np.inf for s in sums]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logcumsumexp(dtype: str) -> None:
    x = gx.tensor("x", ("n",), dtype)
    f = gx.function([x], [gx.logcumsumexp(x), gx.logcumsumexp(x, reverse=True)[::-1]])
    rng = np.random.default_rng(0)
    inf = np.inf
    rows = [
        [], [3.0], [-inf], [-inf, -inf, 2.0, -inf, 1.0], [700.0, -700.0, 720.0, 80.0], [-1e4, 0.0, 1e4, 1e4], [-800.0, -801.0, -799.0],
        rng.standard_normal(50) * 30, -np.arange(40.0) * 40, np.arange(40.0) * 40,
    ]  # fmt: skip
    for row in rows:
        value = np.array(row, dtype)
        forward, backward = f(value)
        for found, given in ((forward, value), (backward, value[::-1])):
            expected = np.array(exact(given))
            scale = 6 * np.finfo(dtype).eps * (1 + np.abs(expected))
            assert np.all((found == expected) | (np.abs(found - expected) <= scale)), (row, found, expected)
    np.testing.assert_array_equal(f(np.array([1.0, inf, 2.0], dtype))[0][1:], [inf, inf])


def test_derivatives_of_logcumsumexp_keep_their_tails() -> None:
    x = gx.tensor("x", (3,))
    last = gx.logcumsumexp(x)[-1]
    g = gx.function([x], [gx.grad(last, x), gx.hessian(last, x)])
    row = np.array([0.0, -300.0, -600.0])
    slope, curve = g(row)
    np.testing.assert_allclose(slope, np.exp(row), rtol=1e-13)
    np.testing.assert_allclose(np.diag(curve)[1:], np.exp(row[1:]), rtol=1e-13)
    slope, curve = g(np.array([-np.inf, 1.0, 1.0]))
    np.testing.assert_allclose(slope, [0, 0.5, 0.5])
    np.testing.assert_allclose(curve, [[0, 0, 0], [0, 0.25, -0.25], [0, -0.25, 0.25]])
    np.testing.assert_array_equal(g(np.full(3, -np.inf))[0], [0, 0, 0])
    np.testing.assert_allclose(g(np.array([5.0, 900.0, 905.0]))[0], [0, np.exp(-5) / (1 + np.exp(-5)), 1 / (1 + np.exp(-5))], rtol=1e-13)


def test_derivatives_to_order_3() -> None:
    value = np.random.default_rng(0).standard_normal((2, 4))
    check_derivatives(lambda x: gx.logcumsumexp(x * 3, 1) * gx.cummin(gx.sin(x), 1), value)
    check_derivatives(lambda x: gx.logcumsumexp(x**2, 0, reverse=True) * gx.cummax(x**3, 1, reverse=True), value)
    check_derivatives(lambda x: gx.cumulative_prod(x, axis=0, include_initial=True)[:2] * gx.cumulative_sum(x, axis=1), value)


def test_ties_share() -> None:
    x = gx.tensor("x", (3,))
    g = gx.function([x], [gx.grad(gx.sum(gx.cummax(x)), x), gx.grad(gx.sum(gx.cummin(x)), x)])
    for found in g(np.array([2.0, 2.0, 2.0])):
        np.testing.assert_allclose(found, [1 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 / 3])


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_cumulative(dtype: str) -> None:
    x = gx.tensor("x", (2, "n"), dtype)
    f = gx.function([x], [gx.cumulative_sum(x, axis=1, include_initial=True), gx.cumulative_prod(x, axis=0), gx.cumulative_sum(x[0])])
    for n in (0, 1, 5):
        value = np.arange(2 * n).reshape(2, n).astype(dtype)
        expected = [np.cumulative_sum(value, axis=1, include_initial=True), np.cumulative_prod(value, axis=0), np.cumulative_sum(value[0])]
        for a, b in zip(f(value), expected):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def test_refused() -> None:
    x = gx.tensor("x", (3, 5))
    with pytest.raises(ShapeError, match="cumulative_sum: the axis must be named"):
        gx.cumulative_sum(x)
    with pytest.raises(ShapeError, match="axis 2"):
        gx.cummax(x, 2)
