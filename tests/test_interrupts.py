"""Signals while a loop runs: a handler that raises ends the call and leaves state as it was, one that returns does not disturb."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphc as gx

FOREVER = 10**15  # turns
Handler = Callable[[], None]


@contextmanager
def alarm(handler: Handler, first: float = 0.05, every: float = 0.0) -> Iterator[None]:
    """Call `handler` as a handler of signals, after so many seconds, and again after as many."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: handler())
    signal.setitimer(signal.ITIMER_REAL, first, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt() -> None:
    raise KeyboardInterrupt


def counting(limit: Any, **options: Any) -> tuple[gx.Function, gx.Shared]:
    """s <- s + 1 and so on, until it is `limit`; gives the number of turns as well."""
    s = gx.shared(np.zeros(3), "s")
    end = gx.scalar("end")
    last, turns = gx.while_loop(lambda c: c[0][0] < end, lambda c: (c[0] + 1.0, c[1] + 1.0), (s, 0.0))
    return gx.function([end, *options.pop("more", [])], turns, updates={s: last}, **options), s


def native(**options: Any) -> tuple[gx.Function, gx.Shared]:
    f, s = counting(FOREVER, **options)
    assert "native, by vectorcall" in f.explain() or options
    return f, s


def through_python() -> tuple[gx.Function, gx.Shared]:
    f, s = counting(FOREVER, more=[gx.dim("unused")])
    assert "through Python" in f.explain()
    return f, s


WAYS = {"entry": lambda: (*native(), ()), "python": lambda: (*through_python(), (1,))}


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_that_raises_ends_a_loop_and_state_is_as_it_was(way: str) -> None:
    f, s, more = WAYS[way]()
    assert f(3.0, *more) == 3 and (s.get_value() == 3).all()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt), alarm(interrupt):
            f(FOREVER, *more)
        assert (s.get_value() == 3).all()
    assert f(7.0, *more) == 4 and (s.get_value() == 7).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_that_returns_does_not_disturb(way: str) -> None:
    """The loop goes on in the turn that it was at: it counts each once. It ends when the handler has been called three times."""
    f, s, more = WAYS[way]()
    seen: list[float] = []
    with alarm(lambda: seen.append(float(s.get_value()[0])), 0.01, 0.01):
        limit = 1000.0
        while len(seen) < 3:
            s.set_value(np.zeros(3))
            limit *= 2
            assert f(limit, *more) == limit
            assert (s.get_value() == limit).all()


def test_a_handler_may_use_the_same_function_where_it_changes_nothing() -> None:
    x = gx.scalar("x")
    f = gx.function([x], gx.while_loop(lambda c: c < x, lambda c: c + 1.0, 0.0))
    inner: list[float] = []
    with alarm(lambda: inner.append(float(f(5.0))), 0.01, 0.01):
        limit = 1000.0
        while not inner:
            limit *= 2
            assert f(limit) == limit
    assert set(inner) == {5.0}


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_cannot_change_the_state_of_the_call_it_interrupts(way: str) -> None:
    f, s, more = WAYS[way]()

    def handler(attempt: Callable[[], Any]) -> None:
        attempt()
        signal.setitimer(signal.ITIMER_REAL, 0.05)  # it came before the call

    change: list[Callable[[], Any]] = [lambda: s.set_value(np.zeros(3)), lambda: f(0.0, *more)]
    for attempt in change:
        with pytest.raises(gx.StateInUseError, match="'s' cannot be changed now"), alarm(partial(handler, attempt)):
            f(FOREVER, *more)
        assert (s.get_value() == 0).all()
    s.set_value(np.ones(3))
    assert f(4.0, *more) == 3


def test_the_inner_loop_of_two_is_interrupted() -> None:
    s = gx.shared(np.zeros(2), "s")
    x = gx.tensor("x", (2,))
    inner = lambda c: gx.while_loop(lambda d: d[0] < FOREVER, lambda d: d + x, c)
    last, _ = gx.scan(lambda c, _: (inner(c), None), s, None, length=3)
    f = gx.function([x], updates={s: last})
    with pytest.raises(KeyboardInterrupt), alarm(interrupt):
        f(np.ones(2))
    assert (s.get_value() == 0).all()


def test_targets_are_untouched_when_a_loop_is_interrupted() -> None:
    """The first turns have given their rows, but not to the caller's array."""
    n, limit = 1000, gx.scalar("limit")
    slow = lambda c: gx.while_loop(lambda d: d < limit, lambda d: d + 1.0, c * 0.0)
    _, ys = gx.scan(lambda c, _: (slow(c) + c, c + 1.0), gx.asarray(0.0), None, length=n)
    f = gx.function([limit], ys)
    out = np.full(n, -1.0)
    with pytest.raises(KeyboardInterrupt), alarm(interrupt):
        f(1e12, out=out)
    assert (out == -1).all()
    f(1.0, out=out)
    assert (out == np.arange(1.0, n + 1)).all()
