"""Reductions in grids of chunks: the same values and bits for any number of threads, around the borders of chunks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.passes.fusion import chunks
from graphc.passes.fusion.chunks import CHUNK, FEW_COLUMNS, LEAST, grid_of
from graphc.program import Axis, Below, Branch, launches, loop_index
from tests.stages import assembled

SIZES = [0, 1, 2, 100, LEAST - 1, LEAST, LEAST + 1, 3 * CHUNK - 1, 3 * CHUNK, 3 * CHUNK + 7]


@pytest.fixture(autouse=True)
def any_work_is_worth_it(measured: Callable[..., None]) -> None:
    measured(threads=0.0)


def numbers(shape: int | tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def mean_squared_error(x: gx.Node) -> list[gx.Node]:
    loss = gx.mean(gx.square(gx.sin(x) - 0.25))
    return [loss, gx.grad(loss, x)]


def normalised(x: gx.Node) -> gx.Node:
    return x / gx.norm(x)


def softmax(x: gx.Node) -> gx.Node:
    e = gx.exp(x - gx.max(x))
    return e / gx.sum(e)


def several(x: gx.Node) -> list[gx.Node]:
    """Sums that read sums, a value of every element that others read, and results of each on the way."""
    centred = gx.tanh(x) - gx.mean(x)
    deviation = gx.sqrt(gx.mean(gx.square(centred)) + 1e-3)
    return [gx.sum(centred / deviation * x), deviation, centred, gx.var(x)]


BUILDS: list[Callable[[gx.Node], gx.Node | list[gx.Node]]] = [
    gx.sum, gx.mean, gx.prod, gx.logsumexp, mean_squared_error, normalised, softmax, several,
    lambda x: x @ x, lambda x: gx.sum(gx.exp(x) * x[::-1]), lambda x: gx.any(x > 4.0), lambda x: gx.all(x < 3.0),
]  # fmt: skip
EXTREMES = [gx.max, gx.min, gx.argmax, gx.argmin]


@pytest.mark.parametrize("build", [*BUILDS, *EXTREMES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_the_same_bits_for_any_number_of_threads(build: Callable[[gx.Node], object], dtype: str) -> None:
    x = gx.tensor("x", ("n",), dtype)
    outputs = build(x)
    functions = [gx.function([x], outputs, threads=k) for k in (1, 2, 3, 5, 8)]
    assert "pool.run" in functions[1].llvm
    for n in SIZES:
        if n == 0 and build in (*EXTREMES, softmax, gx.logsumexp):  # an axis without elements has no extreme
            continue
        X = numbers(n, dtype)
        results = [f(X) for f in functions]
        with np.errstate(all="ignore"):
            wanted = gx.function([x], outputs, mode="interpret")(X)
        for got in results:
            for a, b, want in zip(*map(listed, (got, results[0], wanted)), strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_allclose(a, want, rtol=2e-4 if dtype == "float32" else 1e-11, atol=1e-3 if dtype == "float32" else 1e-12)


def listed(outputs: object) -> list[np.ndarray]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [np.asarray(outputs)]


@pytest.mark.parametrize("n", [LEAST - 1, LEAST, 5 * CHUNK + 3])
def test_known_sizes(n: int) -> None:
    x = gx.tensor("x", (n,))
    f = gx.function([x], several(x), threads=2)
    assert ("ceil" in f.program or f.program.count("loops ") > 1) == (n >= LEAST)
    X = numbers(n)
    for got, want in zip(f(X), gx.function([x], several(x), mode="interpret")(X), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin"])
def test_every_combine_and_dtype(name: str, dtype: str) -> None:
    if dtype == "bool" and name in ("max", "min", "argmax", "argmin"):
        pytest.skip("not of booleans")
    x = gx.tensor("x", ("n",), dtype)
    f = gx.function([x], getattr(gx, name)(x), threads=3)
    for n in (1, CHUNK, 2 * CHUNK + 5):
        X = (np.abs(numbers(n)) * 2).astype(dtype)
        if name == "prod":
            X = np.where(np.arange(n) % 999, 1, 2).astype(dtype)
        want = getattr(np, name)(X.astype("float64") if dtype == "float32" else X)
        np.testing.assert_allclose(f(X), want, rtol=2e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_of_ties_and_nan(name: str) -> None:
    """The first of equal values, in whichever chunks they are; nan before all."""
    x = gx.tensor("x", ("n",))
    f = gx.function([x], getattr(gx, name)(x), threads=3)
    sign = 1.0 if name == "argmax" else -1.0
    for places in ([0, CHUNK, 3 * CHUNK], [CHUNK - 1, CHUNK], [2 * CHUNK + 5], [CHUNK + 1, CHUNK + 2], [3 * CHUNK + 6]):
        for special in (5.0, np.inf, np.nan):
            X = np.zeros(3 * CHUNK + 7)
            X[places] = sign * special
            assert f(X) == places[0]
    both = np.zeros(3 * CHUNK)
    both[5], both[2 * CHUNK] = sign * np.inf, np.nan
    assert f(both) == 2 * CHUNK
    assert f(np.full(3 * CHUNK, -sign * np.inf)) == 0 and f(np.full(3 * CHUNK, np.nan)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (700, 90), (70000, 2), (2, 70000), (0, 5), (5, 0)])
def test_several_axes(shape: tuple[int, int]) -> None:
    """Chunks along the first axis that is long: elements at their own place, along columns, rows that repeat, positions."""
    for sizes in (("m", "n"), shape):
        x = gx.tensor("x", sizes)
        outputs = [gx.sum(x * x), gx.sum(x * gx.sum(x, axis=0)), gx.mean(x.T * 2.0), x - gx.sum(x)]
        outputs += [gx.argmax(x), gx.argmin(x * x + 1.0), gx.max(gx.abs(x) + 1.0)] if 0 not in shape else []
        f, g = (gx.function([x], outputs, threads=k) for k in (1, 4))
        X = numbers(shape)
        with np.errstate(all="ignore"):
            wanted = gx.function([x], outputs, mode="interpret")(X)
        for got, same, want in zip(f(X), g(X), wanted, strict=True):
            np.testing.assert_array_equal(got, same)
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("few", [1, 3, 16, 100, FEW_COLUMNS])
@pytest.mark.parametrize("axis", [0, 1])
def test_few_columns_and_few_rows(few: int, axis: int) -> None:
    many = 3 * LEAST // few + 11
    shape, sizes = ((many, few), ("n", few)) if axis == 0 else ((few, many), (few, "n"))
    x = gx.tensor("x", sizes)
    spread = gx.sqrt(gx.var(x, axis=axis, keepdims=True) + 1e-3)
    outputs = [gx.sum(x, axis=axis), spread, (x - gx.mean(x, axis=axis, keepdims=True)) / spread, gx.argmax(x, axis=axis)]
    outputs += [gx.softmax(gx.tanh(x), axis=axis)]
    f, g = (gx.function([x], outputs, threads=k) for k in (1, 5))
    for length in (many, 1, 40):
        X = numbers(tuple(length if s == many else s for s in shape))
        for got, same, want in zip(f(X), g(X), gx.function([x], outputs, mode="interpret")(X), strict=True):
            np.testing.assert_array_equal(got, same)
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-11)


def test_three_axes_with_a_short_one_first() -> None:
    x, w = gx.tensor("x", (3, 5000, 7)), gx.tensor("w", (5000, 1))
    X, W = numbers((3, 5000, 7)), numbers((5000, 1), seed=1)
    outputs = [gx.argmax(x * w), gx.sum(x * w), gx.max(x * w)]
    got = gx.function([x, w], outputs, threads=3)(X, W)
    assert got[0] == np.argmax(X * W) and got[2] == np.max(X * W)
    np.testing.assert_allclose(got[1], np.sum(X * W), rtol=1e-12)


def test_sums_are_no_less_accurate() -> None:
    """A sum of chunks is pairwise over these: against the exact sum, within the rounding of one chunk's."""
    x = gx.tensor("x", ("n",), "float32")
    X = np.abs(numbers(3_000_000, "float32"))
    exact = X.astype("float64").sum()
    assert abs(float(gx.function([x], gx.sum(x))(X)) - exact) <= 4e-7 * exact


def test_state_is_updated_in_place_and_after_the_checks() -> None:
    n = 2 * LEAST
    s = gx.shared(numbers(n), "s")
    before = s.get_value()
    i = gx.scalar("i", "int64")
    f = gx.function([i], gx.take(s, i), updates={s: s / gx.norm(s)}, threads=2)
    assert f.memory()["largest"] < 8 * n  # the new state is written where the old one was
    f(3)
    np.testing.assert_allclose(s.get_value(), before / np.linalg.norm(before), rtol=1e-12)
    kept = s.get_value()
    with pytest.raises(gx.IndexOutOfRange):
        f(n)
    np.testing.assert_array_equal(s.get_value(), kept)


# -- sizes known only at the call: the whole kernel below LEAST -----------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_short_arrays_have_a_kernel_of_their_own(axis: int | None) -> None:
    """Elements count, not turns: (n, 4) has 4 n."""
    n = gx.dim("n")
    x = gx.tensor("x", (n, 4))
    (branch, *others) = assembled([x], [gx.sum(x, axis=axis)]).steps
    if axis == 1:  # many rows, which threads share as they are
        assert not isinstance(branch, Branch) and not others
        return
    assert isinstance(branch, Branch) and not others
    assert branch.predicate == Below(4 * n, LEAST) and len(branch.then) == 1 < len(branch.otherwise)


def test_rows_are_no_columns_because_something_is_read_once_for_each() -> None:
    """Sums of rows stay whole, whatever is known of each row beside; sums of columns are cut into chunks."""
    x, r = gx.tensor("x", (4096, 256)), gx.tensor("r", (4096,))
    rows = assembled([x, r], [gx.sum(x * r[:, None], axis=1)])
    assert [len(s.kernel.axes) for s in launches(rows.steps)] == [1]
    columns = assembled([x, r], [gx.sum(x.T * r, axis=0)]), assembled([x], [gx.sum(x, axis=0)])
    assert [len(list(launches(program.steps))) for program in columns] == [1, 2]


def test_the_longest_nest_decides() -> None:
    """A nest over n and one over m, side by side: the grids pay as soon as one of them is long. A long one of known size decides alone."""
    x, y, z = gx.tensor("x", ("n",)), gx.tensor("y", ("m",)), gx.tensor("z", (LEAST,))
    steps = assembled([x, y, z], [gx.sum(x) * gx.sum(y), gx.sum(x) * gx.sum(z)]).steps
    asked = [step.predicate for step in steps if isinstance(step, Branch)]
    assert all(isinstance(below, Below) and below.limit == LEAST for below in asked)
    f = gx.function([x, y, z], [gx.sum(x) * gx.sum(y), gx.sum(x) * gx.sum(z)], threads=2)
    for n, m in ((3, 5), (3, LEAST + 1), (LEAST + 1, 3), (LEAST, LEAST)):
        a, b, c = np.ones(n), np.ones(m), np.ones(LEAST)
        assert [float(v) for v in f(a, b, c)] == [n * m, n * LEAST]


@pytest.mark.parametrize("build", [normalised, lambda s: s - gx.mean(s), lambda s: s * 2.0 + gx.max(s) * gx.sum(s)])
def test_state_of_any_size_is_updated_in_place(build: Callable[[gx.Node], gx.Node]) -> None:
    """Both by the whole kernel, which reduces before it stores, and by the grids: the arena holds partial results alone."""
    s = gx.shared(np.zeros(4), "s", shape=("n",))
    functions = [gx.function([], updates={s: build(s)}, threads=k) for k in range(1, 5)]
    x = gx.tensor("x", ("n",))
    want = gx.function([x], build(x), mode="interpret")
    for n in (1, 2, 100, LEAST - 1, LEAST, LEAST + 1, 3 * CHUNK + 7):
        start, ends = numbers(n), []
        for f in functions:
            assert f.memory(n=n)["largest"] <= 8 * (n // CHUNK + 1)
            s.set_value(start)
            f()
            ends.append(s.get_value())
            np.testing.assert_array_equal(ends[-1], ends[0])
        np.testing.assert_allclose(ends[0], want(start), rtol=1e-11, atol=1e-11)


def test_state_that_is_read_backwards_is_not_updated_in_place() -> None:
    s = gx.shared(np.zeros(4), "s", shape=("n",))
    f = gx.function([], updates={s: s[::-1] / gx.norm(s)}, threads=2)
    for n in (5, LEAST + 5):
        start = numbers(n)
        s.set_value(start)
        f()
        np.testing.assert_allclose(s.get_value(), start[::-1] / np.linalg.norm(start), rtol=1e-11)


@pytest.mark.parametrize("seed", range(12))
def test_random_updates_around_the_threshold(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """States that reductions of themselves and others replace, with a threshold of eight elements: each list of each branch runs."""
    monkeypatch.setattr(chunks, "CHUNK", 4)
    monkeypatch.setattr(chunks, "LEAST", 8)
    rng = np.random.default_rng(seed)
    x = gx.tensor("x", ("n",))
    states = [gx.shared(np.zeros(2), f"s{k}", shape=("n",)) for k in range(3)]
    pool = [*states, x]

    def value() -> gx.Node:
        a, b, c = (pool[k] for k in rng.integers(0, len(pool), 3))
        return [
            a - gx.mean(b), a / (1.0 + gx.norm(a)), gx.where(a > gx.max(b) * 0.5, a, c), gx.cumsum(a) * 0.1 + gx.min(b),
            b[::-1] * gx.sum(a * c), a * gx.asarray(gx.argmax(b), "float64"), softmax(a) + b, a + c,
        ][rng.integers(8)]  # fmt: skip

    pool += [value() for _ in range(3)]
    updates = [(s, value()) for s in states]
    outputs = [gx.sum(value()), *states]
    functions = [gx.function([x], outputs, updates=updates, mode=mode, threads=2) for mode in ("interpret", "default", "none")]
    for n in (1, 2, 3, 7, 8, 9, 12, 25):
        start = [numbers(n, seed=k) for k in range(4)]
        results = []
        for f in functions:
            gx.set_values(states, start[:3])
            results.append([*f(start[3]), *gx.get_values(states)])
        for got in results[1:]:
            for a, want in zip(got, results[0], strict=True):
                np.testing.assert_allclose(a, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("extents", "at"),
    [
        ((5000,), 0),
        ((3, 5000), 1),
        ((3, 5000, 7), 1),
        ((2, 3, 5000), 2),
        ((5000, 3), 0),
        ((3, "n", 7), 1),
        (("n", 3), 0),
        ((3, 2), 1),
        ((1,), 0),
    ],
)
def test_the_axis_that_is_cut_into_chunks(extents: tuple[int | str, ...], at: int) -> None:
    """The first that is long, or not known, together with those before it; the last one where none is."""
    over = [Axis(loop_index(k), gx.dim(n) if isinstance(n, str) else n) for k, n in enumerate(extents)]
    found = grid_of(over, 1, loop_index(9), False)
    assert (found.at, found.whole) == (at, over[at])
