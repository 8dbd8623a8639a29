"""q r = a by reflections in native code: backward errors, the signs of LAPACK, every scale of the dtype, no size too small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate

L = gx.linalg
SCALES = {"float64": (1e-300, 1e300, 1e-308, 1e-160), "float32": (1e-36, 1e35, 1e-38, 1e-22)}


def _compiled(dtype: str, m: Any, n: Any) -> Callable[..., Any]:
    a = gx.tensor("a", ("b", m, n), dtype)
    return gx.function([a], [L.qr(a), L.qr(a, "complete"), L.qr(a, "r")], mode="verify")


def _hard(m: int, n: int, dtype: str) -> np.ndarray:
    """Matrices of every kind in one batch: usual ones, of deficient rank, zeros, tiny, huge, of graded columns, triangular."""
    random = np.random.default_rng(m * 100 + n)
    x = random.normal(size=(12, m, n))
    x[1, :, -1:] = x[1, :, :1]
    x[2] = 0
    x[3:7] *= np.reshape(SCALES[dtype], (4, 1, 1))
    x[7] *= 10.0 ** np.linspace(-30, 30, n)
    x[8] = np.triu(x[8])
    x[9, :, : n // 2] = 0
    x[10] = random.integers(-2, 3, size=(m, n))
    x[11] *= np.sign(x[11])
    return x.astype(dtype)


def _check(q: np.ndarray, r: np.ndarray, a: np.ndarray) -> None:
    """|a - q r| <= c eps |a| column by column, |q'q - 1| <= c eps, r an upper triangle, all in twice the precision."""
    eps, wide = float(np.finfo(a.dtype).eps), np.longdouble
    q8, r8, a8 = q.astype(wide), r.astype(wide), a.astype(wide)
    m, n = a.shape[-2:]
    floor = float(np.finfo(a.dtype).smallest_subnormal) * (m + n)  # of products that are rounded below the normal range
    lengths = np.abs(a8).max(-2, initial=0, keepdims=True)
    assert (np.abs(q8 @ r8 - a8) <= 8 * (n + m) * eps * lengths + floor).all()
    assert (np.abs(q8.swapaxes(-1, -2) @ q8 - np.eye(q.shape[-1])) <= 4 * (m + 1) * eps).all()
    np.testing.assert_array_equal(r, np.triu(r))


@pytest.mark.parametrize(("dtype", "shape"), [("float64", "mn"), ("float32", "mn"), ("float64", (6, 3)), ("float32", (2, 7))], ids=str)
def test_backward_errors_and_signs(dtype: str, shape: Any) -> None:
    f = _compiled(dtype, *shape)
    random = np.random.default_rng(0)
    sizes = [shape] if shape != "mn" else [(0, 0), (0, 2), (2, 0), (1, 1), (1, 4), (4, 1), (5, 5), (9, 6), (6, 17), (33, 32), (64, 64)]
    for m, n in sizes:
        a = _hard(m, n, dtype)
        (q, r), (whole, tall), alone = f(a)
        _check(q, r, a)
        _check(whole, tall, a)
        np.testing.assert_array_equal(alone, r)
        assert whole.shape == (12, m, m) and tall.shape == a.shape
        theirs = [np.linalg.qr(x) for x in a]
        for k in (0, 2, 3, 4, 5, 6, 8, 11):  # of deficient rank a rounding decides
            np.testing.assert_array_equal(np.sign(np.diagonal(r[k])), np.sign(np.diagonal(theirs[k][1])), err_msg=f"{m} {n} {k}")
        well = random.normal(size=(3, m, n)).astype(dtype) + 3 * np.eye(m, n, dtype=dtype) * max(m, n)
        for got, true in zip(f(well)[0], np.linalg.qr(well) if well.size else f(well)[0], strict=True):
            np.testing.assert_allclose(got, true, rtol=0, atol=200 * np.finfo(dtype).eps * np.abs(true).max(initial=1))


def test_a_matrix_that_is_not_finite_is_nan_and_spoils_no_other() -> None:
    f = _compiled("float64", "m", "n")
    for m, n in ((5, 3), (3, 5), (70, 2)):  # the last one by the host
        a = np.random.default_rng(1).normal(size=(9, m, n))
        a[1, 2, 1], a[4, 0, 0], a[7, m - 1, n - 1] = np.nan, np.inf, -np.inf
        bad = [1, 4, 7]
        for x in (*f(a)[0], *f(a)[1], f(a)[2]):
            np.testing.assert_array_equal(np.isnan(x).all((1, 2)), np.isin(np.arange(9), bad))
        good = np.delete(a, bad, 0)
        np.testing.assert_array_equal(np.delete(f(a)[0].Q, bad, 0), f(good)[0].Q)


def test_sizes_choose_native_code_and_derivatives_agree_with_the_reference() -> None:
    assert "matrices" in (text := str(_compiled("float64", "m", "n").program)) and "call qr" in text  # type: ignore[attr-defined]
    a = gx.tensor("a", ("b", "m", "n"))
    q, r = L.qr(a)
    first = gx.grad(gx.sum(gx.sin(q) ** 2) + gx.sum(r**3) + gx.sum(L.qr(a, "r")[..., 0] ** 4), a)
    f = gx.function([a], first)  # higher orders are the same ops again: tests/test_linalg.py
    for m, n in ((4, 3), (3, 3), (3, 5)):
        value = np.random.default_rng(2).normal(size=(5, m, n))
        true = evaluate([first], {a: value})[0]
        np.testing.assert_allclose(f(value), true, rtol=1e-7, atol=1e-7 * np.abs(true).max())
