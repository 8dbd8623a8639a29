"""The user's own Python in compiled functions: called when its turn has come, once each, whatever happens."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import IndexOutOfRange


class Ours(Exception):
    """What only our own functions raise."""


def counted(seen: list[Any]) -> Any:
    def twice(a: np.ndarray) -> np.ndarray:
        seen.append(a.copy())
        return 2 * a

    return gx.callback(twice, lambda a: a)


def test_each_use_is_called_once_and_gets_copies_of_its_own() -> None:
    seen: list[Any] = []

    def spoils(a: np.ndarray) -> np.ndarray:
        seen.append(a.copy())
        a += 1
        return a

    x = gx.tensor("x", (3,))
    call = gx.callback(spoils, lambda a: a)
    f = gx.function([x], (call(x), call(x * 2), x + 1), mode="verify")
    given = np.arange(3.0)
    one, two, three = f(given)
    np.testing.assert_array_equal(given, np.arange(3.0))
    assert len(seen) == 2
    np.testing.assert_array_equal(np.stack([one, two, three]), np.stack([given + 1, given * 2 + 1, given + 1]))


@pytest.mark.parametrize("where", ["plain", "scan", "while", "cond"])
def test_it_is_called_once_also_when_a_later_check_fails(where: str) -> None:
    seen: list[Any] = []
    x, i, state = gx.tensor("x", (3,)), gx.tensor("i", (), "int64"), gx.shared(np.zeros(3))
    call = counted(seen)
    y = {
        "plain": lambda: call(x),
        "scan": lambda: gx.scan(lambda c, _: (call(c), None), x, length=1)[0],
        "while": lambda: gx.while_loop(lambda v: gx.sum(v) < 4.0, call, x),
        "cond": lambda: gx.cond(x[0] > 0, call, lambda v: v, x),
    }[where]()
    f = gx.function([x, i], y[i], updates={state: state + y}, mode="verify")
    assert f(np.ones(3), 1) == 2
    np.testing.assert_array_equal(state.get_value(), np.full(3, 2.0))
    assert len(seen) == 1
    for _ in range(2):
        with pytest.raises(IndexOutOfRange, match="index 5"):
            f(np.ones(3), 5)
    assert len(seen) == 3
    np.testing.assert_array_equal(state.get_value(), np.full(3, 2.0))


def test_what_it_raises_passes_through_and_the_function_goes_on() -> None:
    def picky(a: np.ndarray) -> np.ndarray:
        if a[0] > 1:
            raise Ours("too large")
        return a

    x, state = gx.tensor("x", (2,)), gx.shared(0.0)
    y = gx.callback(picky, lambda a: a)(x)
    f = gx.function([x], y, updates={state: state + gx.sum(y)}, mode="verify")
    for _ in range(3):
        before = state.get_value().copy()
        with pytest.raises(Ours, match="too large"):
            f([2.0, 0.0])
        assert state.get_value() == before
        f([1.0, 1.0])
        assert state.get_value() == before + 2


def test_it_may_call_the_same_function_again() -> None:
    """n! by a function that calls itself through Python."""
    n = gx.tensor("n", (), "int64")
    again = gx.callback(lambda k: factorial(k), lambda k: k)
    factorial = gx.function([n], gx.cond(n > 1, lambda: n * again(n - 1), lambda: n * 0 + 1), mode="verify")
    assert [int(factorial(k)) for k in (0, 1, 5, 10)] == [1, 1, 120, 3628800]


def test_it_may_block_while_others_call() -> None:
    """A call that waits inside of Python holds nothing that calls from other threads need."""
    x = gx.tensor("x", (2,))
    entered, go = threading.Event(), threading.Event()

    def waits(a: np.ndarray) -> np.ndarray:
        if a[0] == 0:
            entered.set()
            assert go.wait(30)
        return a + 1

    f = gx.function([x], gx.callback(waits, lambda a: a)(x) * 10)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(f([0.0, 0.0])))
    thread.start()
    try:
        assert entered.wait(30)
        for k in range(1, 4):
            np.testing.assert_array_equal(f([float(k), 0.0]), [10.0 * (k + 1), 10.0])
    finally:
        go.set()
        thread.join()
    np.testing.assert_array_equal(found[0], [10.0, 10.0])


def test_calls_from_several_threads_do_not_meet() -> None:
    x = gx.tensor("x", ("n",))
    f = gx.function([x], gx.scan(lambda c, e: (gx.callback(lambda a, b: a + b, lambda a, b: a)(c, e), c), 0.0, x))
    failed: list[str] = []

    def work(seed: int) -> None:
        given = np.random.default_rng(seed).normal(size=50)
        for _ in range(20):
            last, rows = f(given)
            if last != np.add.accumulate(given)[-1] or not np.array_equal(rows, np.concatenate([[0.0], np.add.accumulate(given)[:-1]])):
                failed.append(f"seed {seed}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def test_under_vmap_and_with_derivatives_in_loops() -> None:
    sin = gx.callback(np.sin, lambda a: a, vjp=lambda g, out, a: (g * gx.cos(a),))
    x = gx.tensor("x", ("n", 3))
    mapped = gx.function([x], gx.vmap(sin)(x), mode="verify")
    given = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(mapped(given), np.sin(given))
    h = gx.tensor("h", (3,))
    native = gx.scan(lambda c, e: (gx.sin(c) + e, None), h, x)[0]
    through = gx.scan(lambda c, e: (sin(c) + e, None), h, x)[0]
    for n in (0, 1, 4):
        ours, theirs = [gx.function([h, x], gx.grad(gx.sum(v * v), [h, x]), mode="verify")(given[0], given[:n]) for v in (through, native)]
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_what_does_not_fit_is_refused_before_state_changes() -> None:
    x, state = gx.tensor("x", ("n",)), gx.shared(0.0)
    for wrong, error in ((lambda a: a[:-1], gx.ShapeError), (lambda a: a + 1j, gx.DTypeError), (lambda a: (a, a), gx.ArgumentError)):
        y = gx.callback(wrong, lambda a: a)(x)
        f = gx.function([x], y, updates={state: state + 1.0}, mode="verify")
        with pytest.raises(error):
            f(np.ones(2))
        assert state.get_value() == 0
