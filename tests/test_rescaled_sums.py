"""Softmax and its relatives by chunks that are read once: exponentials about a chunk's largest element, rescaled at the end."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from mpmath import mp, mpf

import graphc as gx
from graphc.codegen.target import host
from graphc.passes.fusion import chunks


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few elements."""
    for name, value in {"CHUNK": 12, "LEAST": 13, "MANY": 40, "HIGH": 2, "FEW_COLUMNS": 3, "LARGE": 60}.items():
        monkeypatch.setattr(chunks, name, value)


def numbers(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def launches(f: gx.Function) -> int:
    return len(re.findall(r"\n *loops ", f.program))


def shifted(x: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest, exponentials below it and their sum, in long doubles."""
    wide = np.asarray(x, np.longdouble)
    most = wide.max(axis, keepdims=True)
    e = np.exp(wide - most)
    return most, e, e.sum(axis, keepdims=True)


def wanted(x: np.ndarray, axis: int | None) -> list[np.ndarray]:
    most, e, total = shifted(x, axis)
    lse = (most + np.log(total)).reshape(np.sum(x, axis=axis).shape)
    return [lse, e / total, np.asarray(x, np.longdouble) - most - np.log(total)]


def family(x: gx.Node, axis: int | None) -> list[gx.Node]:
    return [gx.logsumexp(x, axis=axis), gx.softmax(x, axis=axis), gx.log_softmax(x, axis=axis)]


# -- what is made ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("shape", "axis"), [((1 << 21,), 0), ((4, 1 << 19), 1), ((1 << 14, 256), 0)])
def test_sweeps_over_large_arrays(shape: tuple[int, ...], axis: int) -> None:
    """One that reads, one between them over what chunks left, and one that writes."""
    x = gx.tensor("x", shape, "float32")
    for build, count in ((gx.logsumexp, 2), (gx.log_softmax, 3), (gx.softmax, 3)):
        f = gx.function([x], build(x, axis=axis))
        assert launches(f) == count
        assert f.memory()["largest"] < 4 * x.size / 8  # no exponentials are kept


@pytest.mark.parametrize(("shape", "axis"), [((1 << 21,), 0), ((1 << 13, 256), 0)])
def test_exponentials_that_two_later_sweeps_read_are_kept(shape: tuple[int, ...], axis: int) -> None:
    x, d = gx.tensor("x", shape, "float32"), gx.tensor("d", shape, "float32")
    f = gx.function([x, d], gx.grad(gx.sum(gx.softmax(x, axis=axis) * d), x))
    assert f.program.count("exp(") == 1
    g = gx.function([x, d], gx.sum(gx.softmax(x, axis=axis) * d, axis=axis))  # one sweep more alone
    assert launches(g) == 4 and g.program.count("exp(") == 3


def test_smaller_ones_are_kept_and_the_exponential_itself_is_an_output() -> None:
    x = gx.tensor("x", (1 << 16,), "float32")
    e = gx.exp(x - gx.max(x))
    f = gx.function([x], [e, gx.sum(e)])
    X = numbers((1 << 16,), "float32")
    _, exact, total = shifted(X, None)
    np.testing.assert_allclose(f(X)[0], exact, rtol=1e-6)
    np.testing.assert_allclose(f(X)[1], total[0], rtol=1e-6)
    g = gx.function([x], gx.softmax(x))
    np.testing.assert_allclose(g(X), exact / total, rtol=2e-6)
    assert g.program.count("exp(") == 1


def test_long_rows_ask_for_the_next_one() -> None:
    x = gx.tensor("x", (40, 5000), "float32")
    ahead = re.findall(r"(\d+) ahead", gx.function([x], gx.softmax(x, axis=1)).loops)
    assert ahead == [str(5000 * 4 // host().vector_bytes)]  # vectors, in the loop with the exponential
    y = gx.tensor("y", (40, 1000), "float32")
    assert "ahead" not in gx.function([y], gx.softmax(y, axis=1)).loops


def test_the_largest_of_another_array_is_no_such_thing(small: None) -> None:
    """About the largest of a chunk of y that is far below, exponentials of x would overflow."""
    for axis in (0, None):
        x, y = gx.tensor("x", (40, 2)), gx.tensor("y", (40, 2))
        e = gx.exp(x - gx.max(y, axis=axis))
        f = gx.function([x, y], gx.sum(e, axis=axis))
        X, Y = np.zeros((40, 2)), np.where(np.arange(80).reshape(40, 2) < 40, -2000.0, 0.0)
        np.testing.assert_array_equal(f(X, Y), 40 if axis == 0 else 80)


def test_exponentials_that_are_outputs_are_stored(small: None) -> None:
    for shape, axis in (((80,), 0), ((40, 3), 0), ((2, 40), 1)):
        x = gx.tensor("x", shape)
        e = gx.exp(x - gx.max(x, axis=axis, keepdims=True))
        f = gx.function([x], [e, e / gx.sum(e, axis=axis, keepdims=True)])
        X = 10 * numbers(shape)
        _, exact, total = shifted(X, axis)
        for got, want in zip(f(X), (exact, exact / total), strict=True):
            np.testing.assert_allclose(got, want.astype("float64"), rtol=1e-13)


# -- values ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("symbolic", [False, True])
def test_all_shapes_around_the_chunks(symbolic: bool, small: None, measured: Callable[..., None]) -> None:
    measured(threads=0.0)
    shapes = [(m, n) for m in (1, 2, 7, 23) for n in (1, 5, 8, 29)] if symbolic else [(23, 5), (3, 29), (29, 3)]
    made: dict[tuple[object, ...], tuple[gx.Function, gx.Function]] = {}
    for shape in shapes:
        for axis in (0, 1, None):
            key = (axis,) if symbolic else (shape, axis)
            if key not in made:
                x = gx.tensor("x", ("m", "n") if symbolic else shape)
                outputs = [*family(x, axis), gx.softmax(gx.tanh(x) * 2.0, axis=axis)]
                made[key] = gx.function([x], outputs, threads=1), gx.function([x], outputs, threads=3)
            one, many = made[key]
            X = 20 * numbers(shape)
            for got, same in zip(one(X), many(X), strict=True):
                np.testing.assert_array_equal(got, same)
            for got, want in zip(one(X), [*wanted(X, axis), wanted(np.tanh(X) * 2.0, axis)[1]], strict=True):
                np.testing.assert_allclose(got, want.astype("float64"), rtol=1e-13, atol=1e-15)


def test_several_at_once_masked_and_strided(small: None) -> None:
    """One largest for two sums, another sum beside, an element that is a choice, one that is stored, every other column."""
    x, m = gx.tensor("x", (31, 6)), gx.tensor("m", (31, 6), "bool")
    chosen = gx.where(m, x, -np.inf)
    most = gx.max(x, axis=0)
    outputs = [
        gx.logsumexp(chosen, axis=0), gx.softmax(chosen, axis=None), most, gx.sum(gx.exp(x - most), axis=0), gx.sum(x, axis=0),
        gx.logsumexp(x[:, ::2], axis=0), gx.logsumexp(x.T, axis=0), gx.argmax(x, axis=0), gx.logsumexp(x[::-1] * 3.0),
    ]  # fmt: skip
    X, M = 10 * numbers((31, 6)), numbers((31, 6), seed=1) > 0
    hidden = np.where(M, X, -np.inf)
    want = [
        wanted(hidden, 0)[0], wanted(hidden, None)[1], X.max(0), np.exp(X - X.max(0)).sum(0), X.sum(0),
        wanted(X[:, ::2], 0)[0], wanted(X, 1)[0], X.argmax(0), wanted(X * 3.0, None)[0],
    ]  # fmt: skip
    for got, value in zip(gx.function([x, m], outputs, mode="verify")(X, M), want, strict=True):
        np.testing.assert_allclose(got, np.asarray(value, "float64"), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1])
def test_derivatives(axis: int, small: None) -> None:
    shape = (37, 2) if axis == 0 else (2, 37)
    x, d = gx.tensor("x", shape), gx.tensor("d", shape)
    values = {x: numbers(shape), d: numbers(shape, seed=1)}
    for y in (gx.sum(gx.logsumexp(x, axis=axis) ** 2), gx.sum(gx.softmax(x, axis=axis) * d), gx.sum(gx.log_softmax(x, axis=axis) * d)):
        gx.check_grad(y, x, values, order=2)


@pytest.mark.parametrize("axis", [0, 1])
def test_nan_and_infinity_are_those_of_the_whole(axis: int, small: None) -> None:
    """Whatever stands in a chunk of its own, a row gives what the kernel that stays whole gives."""
    length, inf, nan = 40, np.inf, np.nan
    rows = 20 * numbers((9, length))
    for k, (value, where) in enumerate(
        [(nan, slice(3, 4)), (inf, slice(39, 40)), (-inf, slice(0, 30)), (-inf, slice(None)), (inf, slice(None)), (-inf, slice(5, 6))]
    ):
        rows[k, where] = value
    rows[6, 2], rows[6, 39], rows[7, 1], rows[7, 30] = inf, -inf, inf, inf
    rows[8] = -1e3  # far below 0, beside chunks of -inf
    rows[8, :20] = -inf
    X = rows if axis == 1 else np.ascontiguousarray(rows.T)
    x = gx.tensor("x", X.shape)
    outputs = [*family(x, axis), gx.grad(gx.sum(gx.logsumexp(x, axis=axis)), x)]
    got = gx.function([x], outputs)(X)
    with np.errstate(all="ignore"):
        want = gx.function([x], outputs, mode="interpret")(X)
    lost = 4 * np.finfo(float).eps * np.max(abs(rows[:3]), where=np.isfinite(rows[:3]), initial=0)  # of log_softmax, where it is next to 0
    for a, b, atol in zip(got, want, (1e-300, 1e-300, lost, 1e-300), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=atol)


# -- accuracy -------------------------------------------------------------------------------------------------------------
DATA: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "noise": lambda t, z: z,
    "far apart": lambda t, z: 30 * z,
    "rising": lambda t, z: 1000 * t + z,
    "falling": lambda t, z: -1000 * t + z,
    "one above": lambda t, z: np.where(t == 0.5, 50.0, z),
    "equal": lambda t, z: np.full_like(t, -7.3),
    "huge": lambda t, z: 1e4 * z,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy_is_that_of_two_sweeps(dtype: str, small: None) -> None:
    t = np.arange(600) / 600
    eps = float(np.finfo(dtype).eps)
    x = gx.tensor("x", (600,), dtype)
    lse, p = gx.function([x], [gx.logsumexp(x), gx.softmax(x)]), {}
    mp.prec = 120
    for k, (name, make) in enumerate(DATA.items()):
        X = make(t, numbers((600,), seed=k)).astype(dtype)
        values = [mpf(float(v)) for v in X]
        most = max(values)
        total = mp.fsum(mp.exp(v - most) for v in values)
        got, p = lse(X)
        exact = most + mp.log(total)
        assert abs(mpf(float(got)) - exact) <= eps * (4 + abs(float(exact))), name
        for v, q in zip(values, p, strict=True):
            want = mp.exp(v - most) / total
            assert abs(mpf(float(q)) - want) <= eps * (16 + abs(float(v - most))) * want + float(np.finfo(dtype).tiny), name
