"""sort, argsort, topk, partition, lexsort against NumPy's stable order: dtypes, ties, nan, infinities, both zeros, adversarial rows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.codegen.strategy import few, leading
from graphc.errors import ArgumentError, ShapeError
from graphc.ir import origin, toposort
from graphc.ops.sorting import ordered
from tests.derivatives import check_derivatives

FLOATS = ("float32", "float64")
DTYPES = (*FLOATS, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
SIZES = [(0, 0), (0, 3), (3, 0), (1, 1), (3, 1), (1, 3), (3, 3), (2, 40), (2, 41), (5, 300), (2, 2100)]


def drawn(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Few different values, extremes among them; of floats both zeros, infinities, nan of both signs, subnormals."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in FLOATS:
        tiny = np.finfo(dtype).smallest_subnormal
        special = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, tiny, -tiny, 1.0, -1.0], dtype)
        chosen = special[rng.integers(0, len(special), shape)]
        return np.where(rng.random(shape) < 0.5, chosen, rng.standard_normal(shape).astype(dtype)).astype(dtype)
    info = np.iinfo(dtype)
    special = np.array([info.min, info.max, info.min + 1, 0, 1, 3], dtype)
    return np.where(rng.random(shape) < 0.5, special[rng.integers(0, 6, shape)], rng.integers(0, 100, shape).astype(dtype))


def stable(x: np.ndarray, axis: int, descending: bool = False) -> np.ndarray:
    """NumPy's stable order; descending by negating ranks, so that equal elements keep their order."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    *_, rank = np.unique(x, return_inverse=True, equal_nan=True)
    return np.argsort(-rank.reshape(x.shape), axis, kind="stable")


def bits(x: np.ndarray) -> np.ndarray:
    """The values, with the signs of zeros, and one nan."""
    return x if x.dtype.kind != "f" else np.where(np.isnan(x), np.nan, x).view(f"u{x.itemsize}")


@cache
def everything(dtype: str) -> gx.Function:
    x = gx.tensor("x", ("m", "n"), dtype)
    return gx.function(
        [x],
        {
            "values": gx.sort(x), "places": gx.argsort(x), "down": gx.topk(x, x.shape[1]), "columns": gx.sort(x, 0),
            "column places": gx.argsort(x, 0, descending=True), "flat": gx.sort(x, None), "both": (gx.sort(x, 1), gx.argsort(x, 1)),
        },
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_places(dtype: str) -> None:
    f = everything(dtype)
    for seed, shape in enumerate(SIZES):
        x = drawn(dtype, shape, seed)
        found = f(x)
        for name, axis, down in [("places", 1, False), ("column places", 0, True)]:
            np.testing.assert_array_equal(found[name], stable(x, axis, down), err_msg=f"{name} {shape}")
        np.testing.assert_array_equal(found["down"][1], stable(x, 1, True))
        np.testing.assert_array_equal(bits(found["down"][0]), bits(np.take_along_axis(x, stable(x, 1, True), 1)))
        np.testing.assert_array_equal(bits(found["values"]), bits(np.take_along_axis(x, stable(x, 1), 1)))
        np.testing.assert_array_equal(bits(found["columns"]), bits(np.take_along_axis(x, stable(x, 0), 0)))
        np.testing.assert_array_equal(bits(found["flat"]), bits(x.ravel()[stable(x.ravel(), 0)]))
        np.testing.assert_array_equal(bits(found["both"][0]), bits(found["values"]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64"])
def test_many_short_rows(dtype: str) -> None:
    """One row a lane; zeros of both signs in one row have all of its block sorted alone."""
    f = everything(dtype)
    for n in (1, 2, 3, 5, 16, 17, 100, 1000):
        x = np.random.default_rng(n).integers(1, 30, (37, n)).astype(dtype)
        for row in ([], [20]) if dtype in FLOATS else ([],):
            x[row, :2] = np.array([0.0, -0.0][:n], dtype)
            found = f(x)
            np.testing.assert_array_equal(found["places"], stable(x, 1), err_msg=f"{n} {row}")
            np.testing.assert_array_equal(bits(found["values"]), bits(np.take_along_axis(x, stable(x, 1), 1)), err_msg=f"{n} {row}")
            np.testing.assert_array_equal(found["column places"], stable(x, 0, True), err_msg=f"{n} {row}")
            np.testing.assert_array_equal(found["down"][1], stable(x, 1, True), err_msg=f"{n} {row}")


def patterns(dtype: str, n: int) -> dict[str, np.ndarray]:
    """Rows that algorithms stumble over: in order, reversed, equal, two values, organ pipes, bytes that vary one at a time."""
    rng, line = np.random.default_rng(n), np.arange(n)
    found = {
        "in order": line, "reversed": line[::-1], "equal": np.full(n, 7), "two values": line % 2, "sawtooth": line % 17,
        "organ pipes": np.minimum(line, n - line), "one out of place": np.r_[line[1:], 0], "random": rng.permutation(n),
        "high bits": rng.integers(0, 2, n) << (30 if dtype != "float64" else 52),
    }  # fmt: skip
    made = {name: row.astype(dtype) for name, row in found.items()}
    if dtype in FLOATS:
        made["powers"] = np.ldexp(np.ones(n), rng.integers(-120, 120, n)).astype(dtype) * rng.choice([-1, 1], n).astype(dtype)
        made["last bits"] = (1 + rng.integers(0, 9, n) * np.finfo(dtype).eps).astype(dtype)
        made["nan alone"] = np.full(n, np.nan, dtype)
        made["zeros"] = np.where(rng.random(n) < 0.5, -0.0, 0.0).astype(dtype)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64"])
def test_patterns_of_long_rows(dtype: str) -> None:
    f, few = everything(dtype), first_few(dtype)
    for n in (39, 40, 41, 1000, 4096, 60_000):
        for name, row in patterns(dtype, n).items():
            found, place = f(row[None]), stable(row, 0)
            np.testing.assert_array_equal(found["places"][0], place, err_msg=f"{name} {n}")
            np.testing.assert_array_equal(bits(found["values"][0]), bits(row[place]), err_msg=f"{name} {n}")
            down = stable(row, 0, True)
            for k in (0, 1, 5, min(n, 600)):
                value, at, least = few(row, np.empty(k))
                np.testing.assert_array_equal(at, down[:k], err_msg=f"{k} of {name} {n}")
                np.testing.assert_array_equal(bits(value), bits(row[down[:k]]), err_msg=f"{k} of {name} {n}")
                np.testing.assert_array_equal(bits(least), bits(row[place[:k]]), err_msg=f"{k} of {name} {n}")


@pytest.mark.parametrize("moves, patience", [(1, 4), (10**6, 4), (10**6, 0), (0, 4)])
def test_sorted_by_leading_bytes_and_by_insertion(moves: int, patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the sample says too little, and where insertion gives up."""
    monkeypatch.setattr(leading, "MOVES", moves)
    monkeypatch.setattr(leading, "PATIENCE", patience)
    rng, n = np.random.default_rng(0), leading.LEAST + 1000
    for dtype in ("float64", "uint64"):
        x = gx.tensor("x", ("n",), dtype)
        f = gx.function([x], [gx.sort(x), gx.argsort(x), gx.argsort(x, descending=True)])
        spread = rng.standard_normal(n) if dtype == "float64" else rng.integers(0, 2**63, n)
        close = np.where(rng.random(n) < 0.1, 3 + 2 * rng.integers(0, 500, n), spread * 2)  # the sample sees few of those that are so
        for row in (
            spread,
            close,
            np.sort(spread),
            np.sort(close)[::-1],
            rng.integers(0, 100, n),
            drawn(dtype, (n,), 1),
            spread[: leading.LEAST],
        ):
            given = np.ascontiguousarray(row).astype(dtype)
            value, up, down = f(given)
            np.testing.assert_array_equal(up, stable(given, 0))
            np.testing.assert_array_equal(down, stable(given, 0, True))
            np.testing.assert_array_equal(bits(value), bits(given[up]))


@cache
def first_few(dtype: str) -> gx.Function:
    """The k largest with their places, and the k smallest values alone, for any k."""
    x, k = gx.tensor("x", ("n",), dtype), gx.tensor("k", ("k",))
    return gx.function([x, k], [*gx.topk(x, k.shape[0]), gx.topk(x, k.shape[0], largest=False)[0]])


def test_topk_of_fixed_k() -> None:
    x = gx.tensor("x", (3, "n"), "float32")
    f = gx.function([x], [gx.topk(x, 1), gx.topk(x, 2, axis=0), gx.topk(x, 0)])
    value = drawn("float32", (3, 50), 1)
    (one, at), (two, at_two), (none, _) = f(value)
    np.testing.assert_array_equal(at, stable(value, 1, True)[:, :1])
    np.testing.assert_array_equal(bits(one), bits(np.take_along_axis(value, at, 1)))
    np.testing.assert_array_equal(at_two, stable(value, 0, True)[:2])
    np.testing.assert_array_equal(bits(two), bits(np.take_along_axis(value, at_two, 0)))
    assert none.shape == (3, 0)
    with pytest.raises(ShapeError, match="at least 1"):
        f(np.zeros((3, 0), "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint64", "int32"])
def test_the_first_of_long_rows(dtype: str) -> None:
    """By a limit out of a sample of the row, also where the sample has none, all, or too many of the first."""
    n, count = few.LONG + 5, 100
    x = gx.vector("x", "n", dtype)
    f = gx.function([x], [*gx.topk(x, count), gx.sort(x)[:count], gx.argsort(x)[:3]])
    rng = np.random.default_rng(5)
    plain = rng.permutation(n).astype(dtype)
    seen, unseen = plain.copy(), plain.copy()
    seen[::64], unseen[::64] = 0, n  # of the smallest the sample has all, or none
    rows = [plain, np.sort(plain), np.sort(plain)[::-1], seen, unseen, drawn(dtype, (n,), 6), rng.integers(0, 3, n).astype(dtype)]
    if dtype in FLOATS:  # the sample's limit is a zero of one sign, and zeros of both are among the first
        rows.append(rng.choice(np.array([-1, -0.0, 0.0, 2], dtype), 2 * n, p=[0.001, 0.04, 0.04, 0.919]))
    for row in [*rows, plain[:-5], plain[:-6]]:
        top, at, least, places = f(row)
        np.testing.assert_array_equal(at, stable(row, 0, True)[:count])
        np.testing.assert_array_equal(bits(top), bits(row[at]))
        np.testing.assert_array_equal(bits(least), bits(row[stable(row, 0, False)[:count]]))
        np.testing.assert_array_equal(places, stable(row, 0, False)[:3])


def test_partition_keeps_numpys_contract() -> None:
    x = gx.tensor("x", (4, "n"))
    f = gx.function([x], [gx.partition(x, 3), gx.argpartition(x, (0, -1))])
    for n in (4, 5, 33):
        value = drawn("float64", (4, n), n)
        found, places = f(value)
        np.testing.assert_array_equal(found[:, 3], np.partition(value, 3)[:, 3])
        np.testing.assert_array_equal(np.sort(found), np.sort(value))
        np.testing.assert_array_equal(np.take_along_axis(value, places, 1)[:, -1], np.sort(value)[:, -1])


def test_lexsort() -> None:
    rng = np.random.default_rng(0)
    keys = [rng.integers(0, 3, (2, 30)) for _ in range(3)]
    xs = [gx.tensor(f"k{i}", (2, "n"), "int64") for i in range(3)]
    f = gx.function(xs, [gx.lexsort(xs), gx.lexsort(xs, axis=0)])
    for found, axis in zip(f(*keys), (-1, 0)):
        np.testing.assert_array_equal(found, np.lexsort(keys, axis=axis))


def test_what_stands_before_and_behind_is_part_of_the_kernel() -> None:
    x = gx.tensor("x", ("n", 4))
    f = gx.function([x], gx.sort(x[:, ::-1] * 2 + 1, axis=1) ** 2 - x, mode="verify")
    value = np.random.default_rng(0).standard_normal((6, 4))
    np.testing.assert_allclose(f(value), np.sort(value[:, ::-1] * 2 + 1, axis=1) ** 2 - value)
    assert f.program.count("sort k") == 1 and "k1" not in f.program  # one kernel


def test_the_same_bits_for_any_number_of_threads() -> None:
    x = gx.tensor("x", ("m", "n"), "float32")
    value = drawn("float32", (200, 1500), 3)
    one, two = (gx.function([x], [gx.sort(x), gx.argsort(x, 0)], threads=k)(value) for k in (1, 2))
    for a, b in zip(one, two):
        np.testing.assert_array_equal(bits(a), bits(b))
    np.testing.assert_array_equal(bits(one[0]), bits(np.take_along_axis(value, stable(value, 1), 1)))


# -- derivatives ------------------------------------------------------------------------------------------------------
def test_derivatives_to_order_3() -> None:
    rng = np.random.default_rng(0)
    check_derivatives(lambda x: gx.sort(x**3, axis=0) * gx.exp(x), rng.standard_normal((4, 2)))
    check_derivatives(lambda x: gx.topk(gx.sin(x), 2)[0] * gx.topk(x**2, 2, largest=False)[0], rng.standard_normal((2, 5)))


def test_of_equal_elements_each_gets_what_its_place_gets() -> None:
    x = gx.tensor("x", (4,))
    g = gx.function([x], gx.grad(gx.sum(gx.sort(x) * np.array([1.0, 2.0, 4.0, 8.0])), x))
    np.testing.assert_array_equal(g(np.array([2.0, 1.0, 2.0, 1.0])), [4, 1, 8, 2])
    np.testing.assert_array_equal(g(np.array([0.0, -0.0, 0.0, -0.0])), [1, 2, 4, 8])


def test_what_is_not_chosen_gets_exactly_zero() -> None:
    x = gx.tensor("x", ("n",))
    g = gx.function([x], gx.grad(gx.sum(gx.topk(gx.log(x), 2)[0]), x))
    np.testing.assert_array_equal(g(np.array([0.0, 2.0, 0.0, 4.0])), [0, 0.5, 0, 0.25])


def test_lanes() -> None:
    x = gx.tensor("x", (3, 2, "n"), "float32")
    f = gx.function([x], [gx.vmap(lambda a: gx.sort(a, axis=0))(x), gx.vmap(lambda a: gx.topk(a, 2)[1], in_axes=1)(x)])
    value = drawn("float32", (3, 2, 7), 5)
    rows, places = f(value)
    np.testing.assert_array_equal(rows, np.sort(value, 1, kind="stable"))
    np.testing.assert_array_equal(places, np.moveaxis(stable(value, 2, True)[..., :2], 1, 0))


# -- errors -----------------------------------------------------------------------------------------------------------
with origin(("train.py", 9)):
    X = gx.tensor("x", (3, 5))
REFUSED = {
    "an axis that is not there": (lambda: gx.sort(X, 2), ShapeError, "axis 2"),
    "nothing to sort": (lambda: gx.sort(1.0), ShapeError, "sort: a 0-d array has no axis"),
    "a kind": (lambda: gx.sort(X, kind="bubble"), ArgumentError, "sort: kind is 'quicksort'"),
    "a flag": (lambda: gx.argsort(X, stable="yes"), ArgumentError, "argsort: stable is a bool"),
    "too many": (lambda: gx.topk(X, 6), ShapeError, "topk: k = 6 elements of an axis of size 5"),
    "fewer than none": (lambda: gx.topk(X, -1), ArgumentError, "topk: k must not be negative"),
    "half a one": (lambda: gx.topk(X, 1.5), ArgumentError, "topk: k must be an int or a size, got 1.5"),
    "a place beyond": (lambda: gx.partition(X, 5), ShapeError, "partition: kth = 5 is out of range for an axis of size 5"),
    "no place": (lambda: gx.argpartition(X, "a"), ArgumentError, "argpartition: kth must be an int or several"),
    "no keys": (lambda: gx.lexsort([]), ArgumentError, "lexsort: needs at least one key"),
    "unique": (lambda: gx.unique(X), ArgumentError, "unique: the shape of the result would depend on the values"),
    "NumPy's unique": (lambda: np.unique(X), ArgumentError, "unique: the shape of the result"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        call()


# -- a part of the order ------------------------------------------------------------------------------------------------
def hard_rows(n: int, dtype: str) -> list[np.ndarray]:
    """Rows whose keys are equal, next to each other, far apart, or zeros of both signs."""
    rng = np.random.default_rng(n)
    rows = [rng.integers(-3, 4, n), rng.integers(0, 100, n), np.arange(n)[::-1], np.zeros(n)]
    if dtype.startswith("f"):
        steps = np.where(np.arange(n) < n // 2, 0.25, 0.75)
        rows += [rng.standard_normal(n), rng.choice([-0.0, 0.0], n), rng.choice([-0.0, 0.0, -1.0, 1.0, np.nan, np.inf, -np.inf], n), steps]
        rows += [np.where(rng.random(n) < 0.3, -0.0, rng.standard_normal(n) * 1e-30), np.where(rng.random(n) < 0.6, 0.0, -1e-38)]
    return [r.astype(dtype) for r in rows]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64"])
def test_a_part_of_the_order_is_that_of_the_whole(dtype: str) -> None:
    """Values, bit by bit, and positions from a place on: of long rows looked for, of short ones in lanes or alone, of none."""
    x, n = gx.tensor("x", ("m", "n"), dtype), dims.dim("n")
    parts = [
        (dims.floordiv(n - 1, 2), dims.minimum(n, 2)),
        (n - dims.minimum(n, 3), dims.minimum(n, 3)),
        (dims.floordiv(n, 3), dims.floordiv(n, 8)),
    ]
    f = gx.function([x], [ordered(x, 1, count, down, start) for start, count in parts for down in (False, True)])
    values = gx.function([x], [ordered(x, 1, count, False, start)[0] for start, count in parts])
    for m, size in ((1, 1), (1, 2), (40, 3), (40, 50), (3, 41), (1, 2047), (1, 2048), (2, 9001)):
        for row in hard_rows(size, dtype):
            X = np.stack([np.roll(row, k) for k in range(m)])
            found, alone = iter(f(X)), iter(values(X))
            for start, count in parts:
                a, k = (int(dims.evaluate(s, {dims.as_symbol(n): size})) for s in (start, count))
                for down in (False, True):
                    order = size - 1 - np.argsort(X[:, ::-1], 1, kind="stable")[:, ::-1] if down else np.argsort(X, 1, kind="stable")
                    order = order[:, a : a + k]
                    got, at = next(found)
                    np.testing.assert_array_equal(at, order)
                    want = np.take_along_axis(X, order, 1)
                    np.testing.assert_array_equal(got, want)
                    np.testing.assert_array_equal(np.signbit(got.astype("f8")), np.signbit(want.astype("f8")))
                    if not down:
                        np.testing.assert_array_equal(next(alone), want)


def test_a_median_sorts_what_it_takes() -> None:
    """The order is asked for at the two places in the middle; its derivatives are those of the elements that stand there."""
    x = gx.tensor("x", ("n",))
    (sorts,) = [node for node in toposort([gx.median(x)]) if node.op.name == "sort"]
    assert str(sorts.attrs["start"]) == "(max(n, 1) - 1)//2" and str(sorts.attrs["count"]) == "min(n, 2)"
    f = gx.function([x], [gx.median(x), gx.grad(gx.median(x) ** 2, x), gx.quantile(x, 0.25)])
    for n in (1, 2, 3, 4, 5000, 5001):
        X = np.random.default_rng(n).permutation(n) - n / 3
        got, slope, quarter = f(X)
        order, want = np.argsort(X), np.zeros(n)
        for k in ((n - 1) // 2, n // 2):
            want[order[k]] += np.median(X)
        assert got == np.median(X) and abs(quarter - np.quantile(X, 0.25)) < 1e-9
        np.testing.assert_allclose(slope, want)
