"""median, quantile, percentile and those without nan against NumPy: every method, axes, ties, nan; derivatives in x and in q."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import origin
from graphc.ops.quantiles import METHODS
from tests.derivatives import check_derivatives

Q = np.array([0.0, 0.1, 0.25, 0.5, 0.5, 0.77, 1.0])


def drawn(shape: tuple[int, ...], dtype: str, nans: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal(shape) * 4).astype(dtype) / 2
    return np.where(rng.random(shape) < nans, np.nan, x).astype(dtype)


@cache
def functions(dtype: str) -> gx.Function:
    x, q = gx.tensor("x", ("m", "n"), dtype), gx.tensor("q", ("k",))
    names = ("quantile", "nanquantile")
    return gx.function([x, q], [getattr(gx, name)(x, q, 1, method) for name in names for method in methods(dtype)])


def methods(dtype: str) -> list[str]:
    return list(METHODS)[:: 1 if dtype == "float64" else 4]


def close(found: np.ndarray, expected: np.ndarray, dtype: str, what: object) -> None:
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps, err_msg=str(what))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_method(dtype: str) -> None:
    keys = [(name, method) for name in ("quantile", "nanquantile") for method in methods(dtype)]
    for n, nans in [(1, 0.0), (2, 0.0), (3, 0.3), (4, 0.0), (5, 0.2), (10, 0.0), (41, 0.02)]:
        x = drawn((4, n), dtype, nans, n)
        x[0] = np.nan  # a row of nothing but
        for (name, method), found in zip(keys, functions(dtype)(x, Q)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = getattr(np, name)(x.astype("float64"), Q, axis=1, method=method)
            close(found, expected.astype(dtype), dtype, (name, method, n))


@pytest.mark.parametrize("axis", [None, 0, 2, (0, 2), (1, 0)])
def test_axes(axis: int | tuple[int, ...] | None) -> None:
    x = gx.tensor("x", (2, "n", 3))
    names = ("median", "nanmedian")
    made = [getattr(gx, name)(x, axis, keepdims=True) for name in names]
    made += [gx.percentile(x, [[10, 50], [75, 20]], axis), gx.nanpercentile(x, 30.0, axis)]
    f = gx.function([x], made)
    for n in (1, 2, 5):
        value = drawn((2, n, 3), "float64", 0.0, n)
        expected = [getattr(np, name)(value, axis, keepdims=True) for name in names]
        flat = np.percentile(value, [10, 50, 75, 20], axis=axis)  # NumPy takes vectors of q alone
        expected += [flat.reshape(2, 2, *flat.shape[1:]), np.nanpercentile(value, 30.0, axis=axis)]
        for a, b in zip(f(value), expected):
            assert a.shape == b.shape
            close(a, b, "float64", axis)


def test_integers_and_infinities() -> None:
    i = gx.tensor("i", ("n",), "int8")
    close(gx.function([i], gx.median(i))(np.array([3, 1, 2, 7], "int8")), np.array(2.5), "float64", "int8")
    x = gx.tensor("x", ("n",))
    f = gx.function([x], [gx.median(x), gx.quantile(x, 0.25)])
    assert [float(v) for v in f(np.array([np.inf, 1.0, np.inf]))] == [np.inf, np.inf]
    assert [float(v) for v in f(np.array([1.0, 2.0, np.inf]))] == [2.0, 1.5]
    assert float(f(np.array([-np.inf, -np.inf, 4.0, 4.0, 4.0]))[1]) == -np.inf
    with pytest.raises(gx.GraphcError):
        f(np.empty(0))


def test_derivatives() -> None:
    rng = np.random.default_rng(1)
    check_derivatives(lambda x: gx.quantile(x**3, [0.2, 0.7], 0) * gx.sin(x[0]), rng.standard_normal((5, 2)))
    check_derivatives(lambda x, q: gx.quantile(gx.exp(x), q * q, method="hazen"), rng.standard_normal(6), np.array([0.6]))
    x = gx.tensor("x", (4,))
    g = gx.function([x], [gx.grad(gx.median(x), x), gx.grad(gx.nanmedian(x), x)])
    np.testing.assert_array_equal(g(np.array([3.0, 1.0, 3.0, 2.0])), [[0.5, 0, 0, 0.5]] * 2)
    np.testing.assert_array_equal(g(np.array([3.0, np.nan, 1.0, 2.0]))[1], [0, 0, 0, 1])


def test_lanes() -> None:
    x = gx.tensor("x", (3, 7))
    value = drawn((3, 7), "float64", 0.0)
    f = gx.function([x], gx.vmap(lambda a: gx.quantile(a, [0.3, 0.6]))(x))
    close(f(value), np.quantile(value, [0.3, 0.6], axis=1).T, "float64", "vmap")


with origin(("train.py", 9)):
    X = gx.tensor("x", (3, 5))
REFUSED = {
    "a part beyond": (lambda: gx.quantile(X, 1.5), ArgumentError, r"quantile: q must lie in \[0, 1\]"),
    "a hundredth below": (lambda: gx.percentile(X, -1), ArgumentError, r"percentile: q must lie in \[0, 100\]"),
    "a method": (lambda: gx.nanquantile(X, 0.5, method="median"), ArgumentError, "nanquantile: the method is one of linear"),
    "nothing": (lambda: gx.median(gx.zeros((0, 2)), 0), ShapeError, "median: nothing to take it of"),
    "truth values": (lambda: gx.median(X > 0), DTypeError, "median: not defined for truth values"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        call()
