"""A callback that calls functions and touches state while the call that made it is under way: it works, or it is told why not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

MODES = ["default", "interpret"]
Host = Callable[[np.ndarray], Any]


def calling(host: list[Host], mode: str) -> tuple[gx.Function, gx.Shared]:
    """s <- s + callback(x), which is also the result; host[0] is called."""
    s, x = gx.shared(np.zeros(2), "s"), gx.tensor("x", (2,))
    y = gx.callback(lambda a: host[0](a), x.type)(x)
    return gx.function([x], y, updates={s: s + y}, mode=mode), s


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_may_read_state_and_sees_the_old_value(mode: str) -> None:
    seen: list[np.ndarray] = []
    f, s = calling([lambda a: (seen.append(s.get_value()), a * 2)[1]], mode)
    reading = gx.function([], s + 1)
    g, t = calling([lambda a: reading() + t.get_value()], mode)
    for turn in range(3):
        f(np.ones(2))
        assert (seen[-1] == 2 * turn).all() and (s.get_value() == 2 * turn + 2).all()
    np.testing.assert_array_equal(g(np.ones(2)), [7, 7])
    np.testing.assert_array_equal(g(np.ones(2)), [14, 14])


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_cannot_change_the_state_of_its_call(mode: str) -> None:
    """Neither by hand nor by calling the same function or another one that updates it; nothing has changed then, and all work again."""
    host: list[Host] = [lambda a: a]
    f, s = calling(host, mode)
    other = gx.function([], updates={s: s * 2})
    f(np.ones(2))
    for change in (lambda: s.set_value(np.zeros(2)), lambda: gx.set_values([s], [np.zeros(2)]), lambda: f(np.ones(2)), other):
        host[0] = lambda a, change=change: (change(), a)[1]  # type: ignore[misc]
        with pytest.raises(gx.StateInUseError, match="'s' cannot be changed now: a call that this thread has not come back from"):
            f(np.ones(2))
        assert (s.get_value() == 1).all()
    host[0] = lambda a: a
    f(np.ones(2))
    other()
    assert (s.get_value() == 4).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_may_catch_the_error_and_go_on(mode: str) -> None:
    def stubborn(a: np.ndarray) -> np.ndarray:
        with pytest.raises(gx.StateInUseError):
            s.set_value(np.full(2, 99.0))
        return a

    f, s = calling([stubborn], mode)
    for turn in range(3):
        f(np.ones(2))
        assert (s.get_value() == turn + 1).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_may_call_its_own_function_where_there_is_no_state(mode: str) -> None:
    """x! by a function that calls itself: every level has arrays of its own."""
    x = gx.scalar("x")

    def rest(a: np.ndarray) -> np.ndarray:
        return np.asarray(f(a - 1) if a > 1 else 1.0)

    f = gx.function([x], gx.exp(gx.log(x)) * gx.callback(rest, x.type)(x), mode=mode)
    for n in range(1, 8):
        np.testing.assert_allclose(f(n), np.prod(np.arange(1.0, n + 1)), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_may_change_other_state(mode: str) -> None:
    other = gx.shared(np.zeros(2), "other")
    add = gx.function([], updates={other: other + 1})
    f, s = calling([lambda a: (add(), a)[1]], mode)
    for turn in range(3):
        f(np.ones(2))
        assert (s.get_value() == turn + 1).all() and (other.get_value() == turn + 1).all()


@pytest.mark.parametrize("mode", MODES)
def test_other_threads_wait_until_the_call_has_ended(mode: str) -> None:
    """Each of many calls on several threads adds one, though a callback lets the others run in between."""
    pause = threading.Event()
    f, s = calling([lambda a: (pause.wait(1e-3), a)[1]], mode)
    threads = [threading.Thread(target=lambda: [f(np.ones(2)) for _ in range(5)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (s.get_value() == 20).all()


def test_a_callback_in_a_scan_sees_state_as_it_was() -> None:
    """The carry begins as the state, and becomes it when the loop is done; a failure in a late turn leaves it."""
    s, seen = gx.shared(np.zeros(2), "s"), list[float]()

    def host(a: np.ndarray) -> np.ndarray:
        seen.append(float(s.get_value()[0]))
        if a[0] > 6:
            raise ValueError("enough")
        return a + 1

    call = gx.callback(host, s.type)
    last, _ = gx.scan(lambda c, _: (call(c), None), s, None, length=3)
    f = gx.function([], updates={s: last})
    f()
    f()
    assert (s.get_value() == 6).all() and seen == [0, 0, 0, 3, 3, 3]
    with pytest.raises(ValueError, match="enough"):
        f()
    assert (s.get_value() == 6).all() and seen[6:] == [6, 6]
