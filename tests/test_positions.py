"""argmax, argmin and the extremes themselves from one accumulator: against NumPy, wherever the winner stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.passes.fusion import split_reductions

SIZES = [1, 2, 7, 8, 9, 31, 32, 33, 64, 65, 100]
NAMES = ["argmax", "argmin"]
DTYPES = ["float32", "float64", "int8", "int32", "int64", "uint8", "uint32", "bool"]


def worst(name: str, dtype: np.dtype) -> object:
    """The element that every other one beats."""
    if dtype == np.bool_:
        return name == "argmin"
    if dtype.kind == "f":
        return -np.inf if name == "argmax" else np.inf
    return np.iinfo(dtype).min if name == "argmax" else np.iinfo(dtype).max


def arrays(name: str, dtype: str, n: int) -> list[np.ndarray]:
    """Few values, so that ties stand in many lanes; nothing better than the neutral element; the winner anywhere; nan in some places."""
    rng, bottom = np.random.default_rng(n), np.full(n, worst(name, np.dtype(dtype)), dtype)
    found = [rng.integers(0, 2, n).astype(dtype), rng.integers(0, 5, n).astype(dtype), bottom]
    for place in {0, n // 2, n - 1}:
        found.append(np.where(np.arange(n) == place, np.asarray(1, dtype), bottom).astype(dtype))
        if dtype.startswith("float"):
            single, several = bottom.copy(), rng.normal(size=n).astype(dtype)
            single[place] = several[place] = several[n - 1] = np.nan
            found += [single, several, np.full(n, np.nan, dtype)]
    return found


@pytest.mark.parametrize("grids", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_vector(name: str, dtype: str, grids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if grids:
        monkeypatch.setattr(split_reductions, "CHUNK", 16)
        monkeypatch.setattr(split_reductions, "LEAST", 32)
    x = gx.tensor("x", ("n",), dtype)
    functions = [gx.function([x], getattr(gx, name)(x), threads=k) for k in (1, 3)]
    for n in SIZES:
        for X in arrays(name, dtype, n):
            for f in functions:
                assert f(X) == getattr(np, name)(X), (n, X)


@pytest.mark.parametrize("n", [1, 8, 9, 33, 70])
@pytest.mark.parametrize("name", NAMES)
def test_known_sizes_and_rows(name: str, n: int) -> None:
    """One turn, which is no loop; turns and a tail; rows of a matrix, and its columns."""
    x, rows = gx.tensor("x", (n,)), gx.tensor("r", (4, n))
    of = getattr(gx, name)
    f = gx.function([x, rows], [of(x), of(rows, axis=1), of(rows, axis=0), of(rows)])
    cases = arrays(name, "float64", n)
    for a, b in zip(cases, cases[1:] + cases[:1], strict=True):
        matrix = np.stack([a, b, a[::-1], b])
        of_numpy = getattr(np, name)
        for got, want in zip(f(a, matrix), [of_numpy(a), of_numpy(matrix, 1), of_numpy(matrix, 0), of_numpy(matrix)], strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 16), (16, 5), (9, 33)])
@pytest.mark.parametrize("name", NAMES)
def test_lanes_across_the_order_of_positions(name: str, shape: tuple[int, int]) -> None:
    """Of a transposed matrix the lanes run along what is contiguous, and meet positions out of order: the first of equals still wins."""
    x, z = gx.tensor("x", ("m", "n")), gx.tensor("z", ("m", "k", "n"))
    of, of_numpy = getattr(gx, name), getattr(np, name)
    f = gx.function([x, z], [of(x.T), of(x[:, ::-1]), of(x[1:, :-1] if min(shape) > 1 else x), of(gx.transpose(z, (2, 0, 1)))])
    rng = np.random.default_rng(0)
    for X in (rng.integers(0, 3, shape).astype(float), np.full(shape, worst(name, np.dtype("float64"))), np.full(shape, np.nan)):
        Z = np.stack([X, X, X[::-1]], axis=1)
        part = X[1:, :-1] if min(shape) > 1 else X
        got = f(X, Z)
        wanted = [of_numpy(X.T), of_numpy(X[:, ::-1]), of_numpy(part), of_numpy(Z.transpose(2, 0, 1))]
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("both", "name"), [(gx.max_with_index, "argmax"), (gx.min_with_index, "argmin")])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_value_comes_with_its_position(both: Callable[..., tuple[gx.Node, gx.Node]], name: str, dtype: str) -> None:
    x = gx.tensor("x", ("n", "m"), dtype)
    value, at = both(x, axis=1)
    f = gx.function([x], [value, at])
    assert f"neutral({name})" in f.loops and f"neutral({name.removeprefix('arg')})" not in f.loops
    for n in SIZES:
        X = np.stack(arrays(name, dtype, n))
        got_value, got_at = f(X)
        places = getattr(np, name)(X, 1)
        np.testing.assert_array_equal(got_at, places)
        np.testing.assert_array_equal(got_value, np.take_along_axis(X, places[:, None], 1)[:, 0])


def test_values_of_something_else_keep_their_own_accumulator() -> None:
    x = gx.tensor("x", ("n",))
    f = gx.function([x], [gx.argmax(x), gx.max(x * 2.0), gx.min(x), gx.argmin(x)])
    for n in SIZES:
        X = np.random.default_rng(n).normal(size=n)
        np.testing.assert_array_equal(f(X), [np.argmax(X), np.max(X) * 2, np.min(X), np.argmin(X)])
