"""The run time: sizes bound and checked at each call, fresh memory, threads, and nothing left behind."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.runtime import executable as runtime
from tests.test_state import run_threads


# -- sizes ------------------------------------------------------------------------------------------------------------
def test_every_form_of_size() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    a, b = gx.tensor("a", (n, 2 * n + 1)), gx.tensor("b", (n * m, m - 1, 3))
    f = gx.function([a, b], [gx.asarray(n), gx.asarray(m), gx.sum(a), gx.sum(b)])
    A, B = np.ones((2, 5)), np.ones((8, 3, 3))
    assert [int(v) for v in f(A, B)] == [2, 4, 10, 72]
    for x, y, text in [
        (
            np.ones((2, 4)),
            B,
            r"'a' has shape \(2, 4\), but axis 1 must be 2\*n \+ 1 = 5 \(n = a.shape\[0\] = 2\) \(a: f64.*, test_runtime",
        ),
        (A, np.ones((7, 3, 3)), r"axis 0 must be m\*n = 8 .*'a' has shape \(2, 5\) \(b: .*, a: "),
        (A, np.ones((8, 3, 2)), r"argument 'b' has shape \(8, 3, 2\), but axis 2 must be 3"),
    ]:
        with pytest.raises(gx.ShapeError, match=text):
            f(x, y)
    assert [int(v) for v in f(np.ones((0, 1)), np.ones((0, 0, 3)))] == [0, 1, 0, 0]


def test_sizes_that_nothing_determines() -> None:
    s = gx.scalar("s")
    for make in (
        lambda: gx.function([s], gx.broadcast_to(s, ("q",))),
        lambda: gx.function([gx.tensor("x", (gx.dim("q") * gx.dim("r"),))], gx.dim("q")),
    ):
        with pytest.raises(
            gx.ShapeError,
            match=r"the size q.* is not determined by any input or shared variable; hint: give a variable an axis of that size",
        ):
            make()
    assert gx.function([s, gx.dim("q")], gx.broadcast_to(s, ("q",)))(2, 3).tolist() == [2, 2, 2]


def test_sizes_that_the_graph_took_to_be_equal() -> None:
    x, y, z = gx.vector("x", "n"), gx.vector("y", "m"), gx.vector("z", 3)
    f = gx.function([x, y, z], [x + y, gx.sum(y * z)])
    assert f([1, 2, 3], [1, 1, 1], [1, 1, 1])[0].tolist() == [2, 3, 4]
    for sizes in [(3, 2, 3), (2, 3, 3), (2, 2, 3), (1, 3, 3), (3, 1, 3), (0, 3, 3)]:
        with pytest.raises(gx.ShapeError, match=r"must be"):
            f(*[np.ones(k) for k in sizes])
    dropped = gx.function([x, y], gx.sum((x + y) * 0) + gx.sum(x[:0]))  # what passes remove is checked nevertheless
    with pytest.raises(gx.ShapeError, match=r"add: n = x.shape\[0\] = 2 and m = y.shape\[0\] = 3 must be equal"):
        dropped([1, 2], [1, 2, 3])


def test_negative_and_huge_sizes() -> None:
    n = gx.dim("n")
    f = gx.function([n], gx.zeros(n - 3) + 1)
    assert f(5).shape == (2,) and f(3).shape == (0,)
    with pytest.raises(gx.ShapeError):
        f(2)
    g = gx.function([n], gx.sum(gx.cumsum(gx.arange(n)[None, :] * gx.arange(n)[:, None], axis=0)))
    assert g(3) > 0
    for huge in (2**40, 2**62):
        with pytest.raises((gx.ShapeError, MemoryError)):
            g(huge)
    with pytest.raises((gx.ShapeError, MemoryError, ValueError)):
        gx.function([n], gx.zeros(n) + 1)(2**62)
    with pytest.raises(gx.ArgumentError, match="too large"):
        f(2**63)
    assert g(3) > 0


def test_many_sizes_keep_few_plans() -> None:
    x = gx.matrix("x", ("n", "m"))
    f = gx.function([x], gx.softmax(x, axis=0) @ x.T)
    for k in range(60):
        a = np.random.default_rng(k).normal(size=(1 + k % 7, k))
        e = np.exp(a - a.max(axis=0, keepdims=True, initial=-np.inf))
        np.testing.assert_allclose(f(a), (e / e.sum(axis=0)) @ a.T, rtol=1e-12, atol=1e-13)
    assert len(f._executable.plans) <= runtime._PLANS


# -- threads -------------------------------------------------------------------------------------------------------------
def test_one_function_from_eight_threads() -> None:
    x, w = gx.matrix("x", ("n", 8)), gx.matrix("w", (8, 8))
    h = gx.tanh(x @ w)
    f = gx.function([x, w], [gx.softmax(h @ w.T, axis=1), gx.sum(h, axis=0)])
    cases = []
    for k in range(8):
        rng = np.random.default_rng(k)
        X, W = rng.normal(size=(40 + 13 * k, 8)), rng.normal(size=(8, 8))
        H = np.tanh(X @ W)
        e = np.exp(H @ W.T - (H @ W.T).max(axis=1, keepdims=True))
        cases.append((X, W, e / e.sum(axis=1, keepdims=True), H.sum(axis=0)))

    def work(case: tuple[np.ndarray, ...]) -> Any:
        def call() -> None:
            X, W, first, second = case
            got = f(X, W)
            np.testing.assert_allclose(got[0], first, rtol=1e-11)
            np.testing.assert_allclose(got[1], second, rtol=1e-11)

        return call

    run_threads(*map(work, cases), repeat=60)
    assert len(f._executable.spare) <= 8


def test_compiling_in_threads() -> None:
    made: dict[int, float] = {}

    def build(k: int) -> Any:
        def run() -> None:
            x = gx.vector("x", "n")
            f = gx.function([x], gx.grad(gx.sum(gx.exp(x * k) + x), x))
            made[k] = float(f([0.0])[0])

        return run

    run_threads(*[build(k) for k in range(1, 7)])
    assert made == {k: k + 1.0 for k in range(1, 7)}


def test_an_error_in_one_thread_disturbs_no_other() -> None:
    x, i = gx.vector("x", "n"), gx.tensor("i", ("k",), "int64")
    f = gx.function([x, i], gx.cumsum(x)[i])
    X = np.arange(50.0)

    def right() -> None:
        np.testing.assert_array_equal(f(X, [3, -1]), np.cumsum(X)[[3, -1]])

    def wrong() -> None:
        with pytest.raises(gx.IndexOutOfRange, match=r"index 77 at position \(1,\) is out of range for axis 0 of size 50"):
            f(X, [3, 77])

    run_threads(right, wrong, right, wrong, repeat=100)


# -- nothing is left behind -------------------------------------------------------------------------------------------------
def resident() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


def make_and_call(k: int) -> None:
    x = gx.vector("x", "n")
    s = gx.shared(0.0)
    f = gx.function([x], x * k, updates={s: s + 1})
    assert f(np.zeros(2)).tolist() == [0, 0] and s.get_value() == 1


def test_dropped_functions_are_unloaded() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], x * 2)
    f([1.0])
    watched = [weakref.ref(f), weakref.ref(f._executable), weakref.ref(f._executable.code)]
    del f
    gc.collect()
    assert [w() for w in watched] == [None] * len(watched)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_hundred_functions_leave_no_memory() -> None:
    for k in range(30):
        make_and_call(k)
    gc.collect()
    before = resident()
    for k in range(30, 200):
        make_and_call(k)
    gc.collect()
    grown = resident() - before
    tracemalloc.start()
    for k in range(5):
        make_and_call(k)
    gc.collect()
    python_grown = []
    for _ in range(3):  # a table of graphc's or Python's may double in one of them
        before_these = tracemalloc.get_traced_memory()[0]
        for k in range(10):
            make_and_call(k % 5)
        gc.collect()
        python_grown.append(tracemalloc.get_traced_memory()[0] - before_these)
    tracemalloc.stop()
    assert grown < 25e6, f"{grown / 1e6:.1f} MB for 170 functions"
    assert min(python_grown) < 10 * 4096, f"{python_grown} bytes of Python objects for 10 functions"


def test_calls_leave_nothing_behind() -> None:
    x, i = gx.matrix("x", ("n", 3)), gx.tensor("i", (), "int64")
    s = gx.shared(np.zeros(3), "s")
    f = gx.function([x, i], [x[i], gx.softmax(x, axis=0)], updates={s: s + x[i]})
    X, T, out = np.ones((4, 3)), np.ones((3, 4), order="F").T, [np.zeros(3), np.zeros((4, 3))]

    def calls(count: int) -> None:
        for k in range(count):
            f(X, 1)
            f(T, np.int8(2))
            f(X.tolist(), [3][0], out=out)
            for bad in ((X, 4), (X[:, :2], 0), (None, 0), (X, 1.5)):
                with pytest.raises(gx.GraphcError):
                    f(*bad)
            f(np.ones((k % 5 + 1, 3)), 0)

    calls(30)
    gc.collect()
    counts = [sys.getrefcount(v) for v in (X, T, *out, s, x, s.value)]
    tracemalloc.start()
    calls(30)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    calls(100)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 8192, grown
    assert [sys.getrefcount(v) for v in (X, T, *out, s, x, s.value)] == counts


def test_results_outlive_their_function() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], [x * 2, gx.asarray(np.arange(3.0))])
    got = f([1.0, 2.0])
    del f, x
    gc.collect()
    assert got[0].tolist() == [2, 4] and got[1].tolist() == [0, 1, 2]


def test_a_function_called_while_it_runs() -> None:
    """An array-like argument may call the function that it is passed to."""
    x = gx.vector("x", "n")
    f = gx.function([x], gx.cumsum(gx.softmax(x, axis=0)))

    class Inner:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return f(np.zeros(4))

    np.testing.assert_allclose(f(Inner()), np.cumsum(np.exp([0.25, 0.5, 0.75, 1]) / np.exp([0.25, 0.5, 0.75, 1]).sum()))
    assert threading.active_count() >= 1
