"""Mean and variance by chunks that are read once: the values, accuracy and bits of sums of squares about a mean known only at the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.passes.fusion import chunks


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few elements."""
    for name, value in {"CHUNK": 12, "LEAST": 13, "MANY": 40, "HIGH": 2, "FEW_COLUMNS": 3}.items():
        monkeypatch.setattr(chunks, name, value)


def numbers(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def moments(x: gx.Node, axis: int | tuple[int, ...] | None) -> list[gx.Node]:
    return [gx.mean(x, axis=axis), gx.var(x, axis=axis)]


def launches(f: gx.Function) -> int:
    return len(re.findall(r"\n *loops ", f.program))


# -- what is made ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shape", "axis", "wanted"), [((4096, 1024), 0, 2), ((4096, 300), None, 2), ((3, 70_000), 1, 2), ((100, 1024), 0, 1)]
)
def test_the_array_is_read_in_one_launch(shape: tuple[int, int], axis: int | None, wanted: int) -> None:
    x = gx.tensor("x", shape, "float32")
    f = gx.function([x], moments(x, axis))
    assert launches(f) == wanted
    assert wanted == 1 or ("ahead" in f.loops) == (shape[1] == 1024)  # of wide rows the columns to come are asked for


def test_batch_norm_reads_twice_and_writes_once() -> None:
    x = gx.tensor("x", (8192, 512), "float32")
    m, v = gx.mean(x, axis=0), gx.var(x, axis=0)
    f = gx.function([x], [(x - m) / gx.sqrt(v + 1e-5), m, v])
    assert launches(f) == 3
    X = numbers((8192, 512), "float32") * 3 + 7
    wide = X.astype("float64")
    for got, want in zip(f(X), [(wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5), wide.mean(0), wide.var(0)], strict=True):
        np.testing.assert_allclose(got, want, rtol=4e-6, atol=4e-6)


# -- values ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("symbolic", [False, True])
def test_all_shapes_around_the_chunks(symbolic: bool, small: None, measured: Callable[..., None]) -> None:
    measured(threads=0.0)
    heights, widths = ((0, 1, 2, 7, 23), (0, 1, 5, 8)) if symbolic else ((0, 23), (0, 5))
    cases = [((m, n), axis) for m in heights for n in widths for axis in (0, 1, None)]
    made: dict[tuple[object, ...], tuple[gx.Function, gx.Function]] = {}
    for shape, axis in cases:
        key = (axis,) if symbolic else (shape, axis)
        if key not in made:
            x = gx.tensor("x", ("m", "n") if symbolic else shape)
            outputs = [*moments(x, axis), gx.sum(x * x, axis=axis), x - gx.mean(x, axis=axis, keepdims=True)]
            made[key] = gx.function([x], outputs, threads=1), gx.function([x], outputs, threads=3)
        one, many = made[key]
        X = numbers(shape) + 5
        with np.errstate(all="ignore"):
            none = np.full(np.sum(X, axis=axis).shape, np.nan)
            wanted = [none, none] if X.size == 0 else [X.mean(axis=axis), X.var(axis=axis)]
        for got, same in zip(one(X), many(X), strict=True):
            np.testing.assert_array_equal(got, same)
        for got, want in zip(one(X)[:2], wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def test_several_axes_degrees_of_freedom_and_two_arrays(small: None) -> None:
    x, y = gx.tensor("x", (3, 17, 4)), gx.tensor("y", (3, 17, 4))
    both = gx.sum(x * y, axis=(0, 1))
    outputs = [gx.var(x, axis=(0, 1)), gx.var(x, axis=(1, 2), ddof=1), gx.std(x * y), gx.sum((both - x * y) ** 2, axis=(0, 1)), both]
    f = gx.function([x, y], outputs)
    X, Y = numbers((3, 17, 4)), numbers((3, 17, 4), seed=1)
    total = (X * Y).sum((0, 1))
    wanted = [X.var((0, 1)), X.var((1, 2), ddof=1), (X * Y).std(), ((total - X * Y) ** 2).sum((0, 1)), total]
    for got, want in zip(f(X, Y), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize(("shape", "axis"), [((5, 1031), 1), ((67, 9), 0), ((2, 600, 3), (1,)), ((2, 40, 30), (1, 2))])
def test_kernels_that_stay_whole_pass_over_their_rows_once(shape: tuple[int, ...], axis: Any) -> None:
    x, y = gx.tensor("x", shape), gx.tensor("y", shape)
    m, v = gx.mean(x, axis=axis, keepdims=True), gx.var(x, axis=axis, keepdims=True)
    f = gx.function([x, y], [(x - m) / gx.sqrt(v + 1e-3), m, v, gx.max(x, axis=axis), gx.sum(x * y, axis=axis)], mode="verify")
    assert f.program.count("sum[") == 4  # of a quarter; of differences and their squares; of the products
    X, Y = numbers(shape) + 5, numbers(shape, seed=1)
    mean, variance = X.mean(axis, keepdims=True), X.var(axis, keepdims=True)
    wanted = [(X - mean) / np.sqrt(variance + 1e-3), mean, variance, X.max(axis), (X * Y).sum(axis)]
    for got, want in zip(f(X, Y), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)
    X.flat[0] = np.inf
    _, mean, variance, *_ = f(X, Y)
    assert mean.flat[0] == np.inf and np.isnan(variance.flat[0])


def test_derivatives(small: None) -> None:
    x = gx.tensor("x", (19, 5))
    loss = gx.sum(gx.var(x, axis=0) ** 2 * gx.mean(x, axis=0))
    gx.check_grad(loss, x, {x: numbers((19, 5))}, order=2)


def test_nan_and_infinity_stay_in_their_columns() -> None:
    x = gx.tensor("x", ("m", "n"), "float32")
    f = gx.function([x], moments(x, 0))
    X = numbers((2000, 300), "float32")
    X[5, 0], X[1999, 1], X[700, 2], X[701, 2], X[3, 3] = np.nan, np.inf, np.inf, -np.inf, -np.inf
    for got in f(X):
        assert np.isfinite(got[4:]).all()
    mean, variance = f(X)
    assert np.isnan(mean[0]) and mean[1] == np.inf and np.isnan(mean[2]) and mean[3] == -np.inf
    assert np.isnan(variance[:4]).all()


# -- accuracy: no less than that of two sweeps about the rounded mean -------------------------------------------------------
def exact_moments(column: np.ndarray) -> tuple[Fraction, Fraction]:
    values = [Fraction(float(v)) for v in column]
    mean = sum(values, Fraction(0)) / len(values)
    return mean, sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values)


DATA: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "noise": lambda t, z: z,
    "far from zero": lambda t, z: 1e8 + 100 * z,
    "a little noise on much": lambda t, z: 1e4 + z,
    "a trend": lambda t, z: 1e6 * t + z,
    "a jump": lambda t, z: np.where(t < 0.01, 1e6, 0.0) + z,
    "huge and tiny": lambda t, z: z * 10.0 ** np.where(t > 0.7, 12, -12),
    "one outlier": lambda t, z: np.where(t == 0, 1e8, z),
    "constant": lambda t, z: np.full_like(t, 3.1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy_is_that_of_two_sweeps(dtype: str) -> None:
    """Within some roundings of each term, and the square of the mean's error: that of any sum of squares about a rounded mean."""
    rows = 4000
    t = np.arange(rows) / rows
    X = np.stack([np.resize(make(t, numbers((rows,), seed=k)), rows) for k, make in enumerate(DATA.values())], axis=1).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    x = gx.tensor("x", (rows, 300), dtype)
    wide = np.concatenate([X, np.zeros((rows, 300 - X.shape[1]), dtype)], axis=1)
    by_columns = gx.function([x], moments(x, 0))(wide)
    assert launches(gx.function([x], moments(x, 0))) == 2
    r = gx.tensor("r", X.T.shape, dtype)
    by_rows = gx.function([r], moments(r, 1))(np.ascontiguousarray(X.T))
    y = gx.tensor("y", (rows * 10,), dtype)
    whole = gx.function([y], moments(y, None))
    for k, name in enumerate(DATA):
        mean, variance = exact_moments(X[:, k])
        size = float(np.abs(X[:, k].astype("float64")).mean())
        found = ((by_columns[0][k], by_columns[1][k], 130), (by_rows[0][k], by_rows[1][k], 130), (*whole(np.tile(X[:, k], 10)), 520))
        for got_mean, got, additions in found:  # one after the other: of the rows of a chunk and of chunks, or of a lane's elements
            rounded = additions * eps * size
            assert abs(float(Fraction(float(got_mean)) - mean)) <= rounded, name
            bound = 64 * eps * float(variance) + rounded**2
            assert abs(float(Fraction(float(got)) - variance)) <= bound, (name, float(got), float(variance))
