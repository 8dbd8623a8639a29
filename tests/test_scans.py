"""Cumulative ops as stages of kernels: what is computed before and behind them in the same loop, and chunks that threads share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.ops.cumulate import cumulate, recur
from graphc.passes.fusion.chunks import CHUNK

Build = Callable[[gx.Node, int], gx.Node | list[gx.Node]]


def numbers(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def steps(f: gx.Function) -> int:
    return f.program.count("\n  loops ")


def same(inputs: list[gx.Node], outputs: object, *arrays: np.ndarray, rtol: float = 1e-11, threads: tuple[int, ...] = ()) -> gx.Function:
    """Compiled values against those of the interpreter, and the same bits for any number of threads."""
    wanted = listed(gx.function(inputs, outputs, mode="interpret")(*arrays))
    f = gx.function(inputs, outputs, threads=1)
    results = listed(f(*arrays))
    for got, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    for count in threads:
        for got, first in zip(listed(gx.function(inputs, outputs, threads=count)(*arrays)), results, strict=True):
            np.testing.assert_array_equal(got, first)
    return f


def listed(outputs: object) -> list[np.ndarray]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [np.asarray(outputs)]


def growth(x: gx.Node, axis: int) -> gx.Node:
    return gx.cumsum(gx.exp(x), axis=axis) * 2 + 1


def two(x: gx.Node, axis: int) -> gx.Node:
    """A scan of what depends on a scan, and one beside it."""
    s = gx.cumsum(x * 0.25, axis=axis)
    return gx.cumsum(s * s + 1.0, axis=axis) + gx.cumprod(1.0 + 0.01 * s, axis=axis)


def read_by_others(x: gx.Node, axis: int) -> list[gx.Node]:
    s = gx.cumsum(x, axis=axis)
    return [s, s - gx.mean(s, axis=axis, keepdims=True), gx.sum(s * x), gx.max(s, axis=axis), gx.flip(s, axis=axis) + s]


def gradient(x: gx.Node, axis: int) -> list[gx.Node]:
    out = gx.sum(gx.sin(gx.cumsum(gx.tanh(x), axis=axis)) * x)
    first = gx.grad(out, x)
    return [out, first, gx.grad(gx.sum(gx.cos(first)), x)]


def recurrence(x: gx.Node, axis: int) -> gx.Node:
    """Factors and terms that are computed where they are used, and one that is used again behind."""
    decay = gx.sigmoid(x)
    return recur(decay, x * 0.5 - 1.0, axis, False, False) * decay + recur(decay, gx.cos(x), axis, True, True)


BUILDS: list[Build] = [growth, two, read_by_others, gradient, recurrence]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(("shape", "axis"), [((7,), 0), ((1,), 0), ((0,), 0), ((5, 4), 0), ((5, 4), 1), ((4, 4), 0), ((4, 4), 1)])
@pytest.mark.parametrize("known", [True, False])
def test_values(build: Build, shape: tuple[int, ...], axis: int, known: bool) -> None:
    if 0 in shape and build is read_by_others:
        pytest.skip("an axis without elements has no extreme")
    x = gx.tensor("x", shape if known else [f"n{k}" for k in range(len(shape))])
    same([x], build(x, axis), numbers(shape))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_among_others(build: Build, axis: int) -> None:
    x = gx.tensor("x", (3, "n", 5))
    same([x], build(x, axis), numbers((3, 17, 5)))


def test_one_kernel() -> None:
    x = gx.tensor("x", (40, 30))
    for axis in (0, 1):
        assert steps(gx.function([x], gx.cumsum(x * 2.0 + 1.0, axis=axis) * 3.0 - 1.0)) == 1
    f = gx.function([x], growth(x, 1))
    assert steps(f) == 1 and f.memory()["arena"] == 0
    line = gx.vector("line", 1000)
    g = gx.function([line], gx.cumsum(line * 2.0) * 3.0 - 1.0)
    assert steps(g) == 1 and g.memory()["arena"] == 0


def test_what_does_not_read_a_scan_stays_outside_of_its_loop() -> None:
    x, y = gx.tensor("x", (40, 30)), gx.tensor("y", (40, 30))
    f = gx.function([x, y], [gx.cumsum(x, axis=1), gx.sqrt(y * y + 1.0)])
    assert steps(f) == 2
    line = gx.vector("line", 1000)  # without lanes outside a transcendental is computed in vectors, by a kernel of its own
    assert steps(gx.function([line], gx.cumsum(gx.exp(line)))) == 2


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_chunks_that_threads_share(exclusive: bool, dtype: str, measured: Callable[..., None]) -> None:
    measured(threads=0.0)
    x = gx.tensor("x", ("n",), dtype)
    running = gx.cumsum(x) - x if exclusive else gx.cumsum(x)
    outputs = [running * 2, gx.cumprod(1 + x * 0) + x, gx.cumsum(x * x + 1)]
    for n in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5):
        array = (numbers((n,)) * 3).astype(dtype)
        f = same([x], outputs, array, rtol=2e-2 if dtype == "float32" else 1e-9, threads=(2, 3, 8))
    assert "exclusive scan" in f.program and "pool.run" in gx.function([x], outputs, threads=2).llvm


@pytest.mark.parametrize("shape", [(3, 2 * CHUNK + 3), (2 * CHUNK + 3, 3)])
def test_chunks_of_few_rows_and_columns(shape: tuple[int, int], measured: Callable[..., None]) -> None:
    measured(threads=0.0)
    x = gx.tensor("x", shape)
    axis = int(np.argmax(shape))
    f = same([x], [gx.cumsum(x * 0.5, axis=axis) + x, gx.sum(x, axis=axis)], numbers(shape), rtol=1e-9, threads=(2, 5))
    assert "exclusive scan" in f.program


def test_nan_and_infinities_stay_where_they_belong() -> None:
    x = gx.vector("x", "n")
    array = np.ones(3 * CHUNK)
    array[CHUNK + 7] = np.inf
    got = gx.function([x], gx.cumsum(x), threads=3)(array)
    assert np.isfinite(got[: CHUNK + 7]).all() and np.isposinf(got[CHUNK + 7 :]).all()
    array[2 * CHUNK] = np.nan
    got = gx.function([x], gx.cumsum(x), threads=3)(array)
    assert np.isposinf(got[CHUNK + 7 : 2 * CHUNK]).all() and np.isnan(got[2 * CHUNK :]).all()


# -- lanes take the turns of a scan together ------------------------------------------------------------------------------
LENGTHS = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 131]
RUNNING = {"sum": np.cumsum, "max": np.maximum.accumulate, "min": np.minimum.accumulate, "prod": np.cumprod}


def running(x: gx.Node, name: str, axis: int = 0) -> gx.Node:
    return cumulate(x, axis, name, False, False)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "int64", "uint16"])
@pytest.mark.parametrize("name", RUNNING)
def test_every_length(name: str, dtype: str) -> None:
    """Small whole numbers, so that sums are exact in any order: every element has what those up to it come to, and nothing else."""
    x, rows = gx.tensor("x", ("n",), dtype), gx.tensor("r", ("m", "n"), dtype)
    f = gx.function([x, rows], [running(x, name), running(rows, name, 1), running(rows, name, 0)], threads=1)
    turns = [line for line in gx.function([x], running(x, name), threads=1).loops.splitlines() if "for" in line]
    assert ("vector" in turns[0]) == (name != "prod")
    for n in LENGTHS:
        low, high = (1, 3) if name == "prod" else (0 if dtype == "uint16" else -9, 10)
        X = np.random.default_rng(n).integers(low, high, (3, n)).astype(dtype)
        for got, (array, axis) in zip(f(X[1], X), ((X[1], 0), (X, 1), (X, 0)), strict=True):
            kept = {"dtype": got.dtype} if name in ("sum", "prod") else {}
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(got, RUNNING[name](array, axis=axis, **kept))


@pytest.mark.parametrize("n", [1, 4, 8, 9, 33])
def test_lanes_of_known_lengths(n: int) -> None:
    x = gx.tensor("x", (5, n))
    X = np.random.default_rng(n).integers(-9, 10, (5, n)).astype(float)
    f = gx.function([x], [gx.cumsum(x, axis=1) * 2.0 + x, running(x, "max", 1), gx.cumsum(gx.cumsum(x, axis=1), axis=1)])
    sums = np.cumsum(X, axis=1)
    for got, want in zip(f(X), [sums * 2 + X, np.maximum.accumulate(X, axis=1), np.cumsum(sums, axis=1)], strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["sum", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity_reach_what_lies_behind_them(name: str, dtype: str) -> None:
    x = gx.tensor("x", ("n",), dtype)
    f = gx.function([x], running(x, name))
    for n in (1, 9, 40):
        for place in range(n):
            for special in (np.nan, np.inf, -np.inf):
                X = np.random.default_rng(place).integers(-9, 10, n).astype(dtype)
                X[place] = special
                X[n - 1] = -np.inf
                with np.errstate(invalid="ignore"):
                    np.testing.assert_array_equal(f(X), RUNNING[name](X))


def test_sums_on_the_way_are_no_less_accurate() -> None:
    """Against exact sums: as good as one after the other, over many chunks and in one."""
    x = gx.tensor("x", ("n",), "float32")
    f = gx.function([x], gx.cumsum(x))
    for n in (1000, 30_000, 300_000):
        X = np.abs(numbers((n,), "float32", seed=n))
        exact = np.cumsum(X.astype("float64"))
        assert np.max(np.abs(f(X) - exact) / exact) <= np.max(np.abs(np.cumsum(X, dtype="float32") - exact) / exact)


def test_turns_that_lanes_do_not_take() -> None:
    """Backwards in memory, exclusive, products of floats, recurrences: one turn after the other."""
    x = gx.tensor("x", ("n",))
    for build in (lambda: gx.flip(gx.cumsum(gx.flip(x))), lambda: gx.cumprod(x)):
        text = gx.function([x], build(), threads=1).loops
        first = text[text.index("running neutral") :]
        assert "(serial)" in first.splitlines()[1]
