"""A result that nobody holds any more may be handed out again; nobody can tell."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.entry import entry

X = np.arange(10.0)


@pytest.fixture(autouse=True, params=[entry.STRAIGHT, 0], ids=["straight", "loop"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are made by straight code where they are few, by a loop where they are many."""
    monkeypatch.setattr(entry, "STRAIGHT", request.param)


def add_one() -> gx.Function:
    x = gx.tensor("x", ("n",))
    return gx.function([x], x + 1)


def test_results_that_are_held_are_different_arrays() -> None:
    f = add_one()
    held = [f(X * k) for k in range(5)]
    assert len({id(a) for a in held}) == len({a.ctypes.data for a in held}) == 5
    for k, a in enumerate(held):
        np.testing.assert_array_equal(a, X * k + 1)
        assert a.flags.owndata and a.flags.writeable and a.base is None


def test_a_result_as_the_argument_of_the_next_call() -> None:
    f = add_one()
    np.testing.assert_array_equal(f(f(f(f(X)))), X + 4)
    y = f(X)
    for k in range(10):
        y = f(y)
        np.testing.assert_array_equal(y, X + 2 + k)


def test_nothing_is_allocated_when_results_come_and_go() -> None:
    f = add_one()
    y = f(X)
    tracemalloc.start()
    try:
        for k in range(200):
            if k == 100:
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
            f(X)
            y = f(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < X.nbytes, y


def test_each_of_several_results_has_its_own() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], [x + 1, x * 2, x[:-1]])
    held = f(X)
    first, second = [{id(a) for a in f(X)} for _ in range(2)]
    assert first == second and len(first) == 3 and not first & {id(a) for a in held}


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.setflags(write=False),
        lambda a: setattr(a, "shape", (2, 5)),
        lambda a: setattr(a, "dtype", np.dtype("int64")),
        lambda a: setattr(a, "strides", (0,)),
        lambda a: a.resize((20,), refcheck=False),
        lambda a: a.resize((0,), refcheck=False),
        lambda a: a.fill(np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore:Setting the")
def test_a_result_that_was_changed(change: Callable[[np.ndarray], None]) -> None:
    f = add_one()
    for _ in range(4):
        a = f(X)
        try:
            change(a)
        except (AttributeError, ValueError):
            pytest.skip("this NumPy does not allow it")
        del a
        b = f(X)
        assert b.shape == (10,) and b.dtype == np.float64 and b.strides == (8,) and b.flags.writeable and b.flags.owndata
        np.testing.assert_array_equal(b, X + 1)


def test_views_buffers_and_weak_references_keep_it() -> None:
    f = add_one()
    views = [f(X)[2:], memoryview(f(X)), f(X).reshape(2, 5).T]
    watched = f(X)
    gone: list[object] = []
    watch = weakref.ref(watched, gone.append)
    del watched
    for k in range(5):
        f(X * k)
    np.testing.assert_array_equal(views[0], X[2:] + 1)
    np.testing.assert_array_equal(np.asarray(views[1]), X + 1)
    np.testing.assert_array_equal(views[2], (X + 1).reshape(2, 5).T)
    assert watch() is None and len(gone) == 1


def test_sizes_and_outputs_do_not_mix() -> None:
    x = gx.tensor("x", ("n", "m"), "float32")
    f = gx.function([x], {"sum": gx.sum(x, axis=0), "twice": x * 2, "big": gx.exp(x)})
    rng = np.random.default_rng(0)
    for k in range(300):
        a = rng.normal(size=(rng.integers(0, 40), rng.integers(0, 40))).astype("float32")
        got = f(a)
        np.testing.assert_allclose(got["sum"], a.sum(axis=0), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(got["twice"], a * 2)
        if k % 7 == 0:
            kept = got
    assert kept["twice"].shape == kept["big"].shape


def test_what_is_kept_is_bounded_and_goes_with_the_function() -> None:
    f = add_one()
    small, large = f(X), f(np.zeros(10_000))
    assert sys.getrefcount(small) == 3 and sys.getrefcount(large) == 2
    watch = weakref.ref(f)
    del f
    gc.collect()
    assert watch() is None and sys.getrefcount(small) == 2


def test_from_several_threads() -> None:
    f = add_one()
    wrong: list[int] = []

    def call(k: int) -> None:
        for i in range(5000):
            a = f(X * k)
            b = f(X + i)
            if not (a[3] == 3 * k + 1 and b[3] == 3 + i + 1):
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
