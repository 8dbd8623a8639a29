"""The emitted entry without the GIL: one function from several Python threads, arenas and state that they share."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.fuzz.functions import released
from tests.test_entry import is_native, natively
from tests.test_state import run_threads


def test_who_releases_the_lock_of_the_interpreter() -> None:
    x, y = gx.vector("x", "n"), gx.vector("y", 10)
    some, never, always = gx.function([x], gx.tanh(x)), gx.function([y], y + 1), gx.function([], gx.sum(gx.arange(10**7) ** 2))
    assert "SaveThread" in some.llvm and "SaveThread" not in never.llvm and "SaveThread" in always.llvm
    big = np.linspace(-1, 1, 1 << 18)
    np.testing.assert_allclose(natively(some, big), np.tanh(big), rtol=1e-14)


def test_a_large_arena_is_kept_for_the_entry() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], gx.cumsum(x)[::-1] + gx.sum(x))
    big = np.ones(1 << 20)
    assert f.memory(n=1 << 20)["arena"] >= 1 << 20
    want = np.cumsum(big)[::-1] + (1 << 20)
    np.testing.assert_array_equal(f(big), want)
    np.testing.assert_array_equal(natively(f, big), want)
    np.testing.assert_array_equal(f(np.ones(2 << 20))[-1], 1 + (2 << 20))  # it grows
    np.testing.assert_array_equal(natively(f, big), want)


def test_eight_threads_that_share_an_arena() -> None:
    x = gx.vector("x", "n")
    with released():
        f = gx.function([x], (gx.cumsum(gx.cumsum(x)[::-1]), gx.sum(x)))

    def work(k: int) -> Any:
        X = np.arange(50_000.0) + k
        want = np.cumsum(np.cumsum(X)[::-1])
        out = (np.zeros_like(X), np.zeros(()))

        def call() -> None:
            got, total = f(X)
            np.testing.assert_array_equal(got, want)
            assert total == X.sum()
            f(X, out=out)
            np.testing.assert_array_equal(out[0], want)

        return call

    run_threads(*[work(k) for k in range(8)], repeat=30)


@pytest.mark.parametrize("without_lock", [False, True])
def test_state_stays_consistent_under_eight_threads(without_lock: bool) -> None:
    count, total = gx.shared(np.zeros((), "int64"), "count"), gx.shared(np.zeros(20_000), "total")
    x = gx.vector("x", 20_000)
    with released() if without_lock else nullcontext():
        f = gx.function([x], total[0] * 1, updates={count: count + 1, total: total + x})
        read = gx.function([], (count * 1, total * 1))
    assert is_native(f) and is_native(read)
    ones = np.ones(20_000)

    def add() -> None:
        f(ones)

    def look() -> None:
        n, t = read()
        assert t[0] == n and np.ptp(t) == 0
        assert np.ptp(total.get_value()) == 0

    run_threads(*[add] * 6, look, look, repeat=150)
    assert count.get_value() == 900 and total.get_value().tolist() == [900.0] * 20_000


def test_state_is_set_while_native_code_runs() -> None:
    s = gx.shared(np.zeros(50_000), "s")
    with released():
        step = gx.function([], None, updates={s: gx.sin(s) * 0 + s + 1})
    stop = threading.Event()

    def reset() -> None:
        for _ in range(100):
            s.set_value(np.zeros(50_000))
            assert np.ptp(s.get_value()) == 0
        stop.set()

    def go() -> None:
        while not stop.is_set():
            step()

    run_threads(reset, go, go)
    s.set_value(np.zeros(50_000))
    for _ in range(3):
        natively(step)
    assert s.get_value().tolist() == [3.0] * 50_000


def test_a_container_changed_during_a_call() -> None:
    """What a list or dict held when the call began stays alive until it ends."""
    x = gx.vector("x", "n")
    with released():
        f = gx.function({"p": {"x": x}}, [gx.cumsum(gx.sin(x)) * 0 + x])
    stop = threading.Event()
    box: dict[str, Any] = {"x": np.full(30_000, 3.0)}
    out = [np.zeros(30_000)]

    def change() -> None:
        while not stop.is_set():
            box["x"] = np.full(30_000, 3.0)
            out[0] = np.zeros(30_000)

    def call() -> None:
        for _ in range(200):
            f(box, out=out)
            np.testing.assert_array_equal(f(box)[0], 3.0)
        stop.set()

    run_threads(change, call)
