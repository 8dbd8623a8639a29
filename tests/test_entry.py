"""The emitted Python entry point: right answers, everything unusual handed to the Python path, nothing leaked."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import graphc as gx
from codegen import cpython


def is_native(f: gx.Function) -> bool:
    return type(type(f).__call__).__name__ == "builtin_function_or_method"


@pytest.fixture
def two() -> gx.Function:
    a, b = gx.vector("a", "n"), gx.vector("b", "n")
    return gx.function([a, b], (a + b, gx.sum(a * b)))


def test_this_interpreter_is_readable() -> None:
    assert cpython.is_readable()


def test_results_are_fresh_arrays(two: gx.Function) -> None:
    assert is_native(two)
    x, y = np.arange(5.0), np.ones(5)
    total, dot = two(x, y)
    assert type(total) is np.ndarray and total.flags.owndata and total.flags.writeable
    assert isinstance(dot, np.ndarray) and dot.shape == () and dot == 10
    again, _ = two(x, y)
    assert not np.shares_memory(total, again) and not np.shares_memory(total, x)


def test_trees_of_results_keep_their_structure() -> None:
    x = gx.vector("x", 3)
    total = gx.sum(x)
    outputs = (total, [x + 1, {"z": x * 2, "a": (total, None)}], {}, ())
    f = gx.function([x], outputs)
    assert is_native(f)
    slow = gx.function([x], outputs, mode="interpret")
    value = np.arange(3.0)
    before = sys.getrefcount("z"), sys.getrefcount(None)
    for _ in range(100):
        got = f(value)
    assert repr(got) == repr(slow(value)) and list(got[1][1]) == ["z", "a"]
    want = slow(value)
    assert [sys.getrefcount(part) for part in got[:3]] == [sys.getrefcount(part) for part in want[:3]]
    del got
    after = sys.getrefcount("z"), sys.getrefcount(None)
    assert all(a - b < 50 for a, b in zip(after, before))
    assert not is_native(gx.function([x], {1: x + 1}))  # keys that are not str are put together in Python


@pytest.mark.parametrize(
    "argument",
    [[0.0, 1.0, 2.0], np.arange(6.0)[::2] / 2, np.arange(3), np.arange(3.0).astype(">f8"), np.arange(3.0, dtype="float32")],
    ids=["list", "strided", "int", "swapped", "f32"],
)
def test_what_is_not_plain_goes_the_python_way(two: gx.Function, argument: object) -> None:
    total, dot = two(argument, np.ones(3))
    np.testing.assert_array_equal(total, [1, 2, 3])
    assert dot == 3


def test_keywords_and_errors_reach_python(two: gx.Function) -> None:
    np.testing.assert_array_equal(two(b=np.ones(2), a=np.zeros(2))[0], [1, 1])
    with pytest.raises(gx.ShapeError, match="expected n = 3"):
        two(np.ones(3), np.ones(4))
    with pytest.raises(gx.ArgumentError, match="misses input 'b'"):
        two(np.ones(3))
    with pytest.raises(gx.ArgumentError, match="takes 2 arguments"):
        two(np.ones(3), np.ones(3), np.ones(3))
    with pytest.raises(gx.ShapeError, match="expected 1 dimension"):
        two(np.ones((3, 1)), np.ones(3))
    with pytest.raises(gx.ArgumentError):
        two(None, np.ones(3))


def test_python_floats_for_scalars() -> None:
    x, y = gx.scalar("x"), gx.scalar("y", "float32")
    f = gx.function([x, y], {"d": x * 2, "s": y * 2})
    assert is_native(f)
    result = f(1.5, 0.25)
    assert list(result) == ["d", "s"] and result["d"] == 3 and result["s"].dtype == np.float32 and result["s"] == 0.5
    assert f(np.array(1.5), np.float32(0.25))["d"] == 3
    assert f(True, 2)["s"] == 4


def test_sizes_of_every_form() -> None:
    n = gx.dim("n")
    a, b, c = gx.tensor("a", (n + 1,)), gx.tensor("b", (3 * n,)), gx.tensor("c", (n, 2))
    f = gx.function([a, b, c], [gx.sum(a) + gx.sum(b), c * 2])
    assert is_native(f)
    s, d = f(np.ones(4), np.ones(9), np.ones((3, 2)))
    assert s == 13 and d.shape == (3, 2)
    for shapes in [(4, 8, (3, 2)), (4, 9, (2, 2)), (4, 9, (3, 3)), (0, 0, (0, 2))]:
        with pytest.raises(gx.ShapeError):
            f(np.ones(shapes[0]), np.ones(shapes[1]), np.ones(shapes[2]))
    assert f(np.ones(1), np.ones(0), np.ones((0, 2)))[1].shape == (0, 2)


def test_state_is_read_and_written_in_place() -> None:
    s, w = gx.shared(np.zeros(3), "s"), gx.vector("w", 3)
    step = gx.function([w], gx.sum(s), updates={s: s + w})
    assert is_native(step)
    assert [float(step(np.ones(3))) for _ in range(3)] == [0, 3, 6]
    s.set_value(np.full(3, 10.0))
    assert step(np.ones(3)) == 30
    np.testing.assert_array_equal(s.get_value(), [11, 11, 11])


def test_state_in_use_goes_the_python_way() -> None:
    s = gx.shared(np.zeros(2), "s")
    read = gx.function([], s * 1)
    with s.lock:  # re-entrant: the Python path of this thread goes through
        np.testing.assert_array_equal(read(), [0, 0])


def test_an_index_out_of_range_leaves_state_alone() -> None:
    s, i = gx.shared(np.zeros(3), "s"), gx.vector("i", "k", "int64")
    f = gx.function([i], gx.take(s, i), updates={s: s + 1})
    assert is_native(f)
    with pytest.raises(gx.IndexOutOfRange, match="index 7 at position"):
        f(np.array([1, 7]))
    np.testing.assert_array_equal(s.get_value(), 0)


def test_long_work_releases_the_lock_of_the_interpreter() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], gx.tanh(x))
    big = np.linspace(-1, 1, 1 << 18)
    np.testing.assert_allclose(f(big), np.tanh(big), rtol=1e-14)  # too long for the entry: the Python path runs it


def test_nothing_is_leaked(two: gx.Function) -> None:
    x, y = np.arange(4.0), np.ones(4)
    two(x, y)
    gc.collect()
    counts = [sys.getrefcount(o) for o in (x, y, x.dtype, np.ndarray, None, float)]
    for _ in range(2000):
        two(x, y)
        with pytest.raises(gx.GraphcError):
            two(x, y[:2])
    gc.collect()
    after = [sys.getrefcount(o) for o in (x, y, x.dtype, np.ndarray, None, float)]
    assert all(abs(a - b) < 50 for a, b in zip(after, counts, strict=True)), (counts, after)


def test_without_an_entry_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython, "is_readable", lambda: False)
    x = gx.vector("x", "n")
    f = gx.function([x], [x + 1, gx.sum(x)])
    assert not is_native(f)
    plus, total = f(np.arange(3.0))
    np.testing.assert_array_equal(plus, [1, 2, 3])
    assert total == 3


def test_a_function_is_freed_with_its_entry() -> None:
    import weakref

    x = gx.scalar("x")
    f = gx.function([x], x + 1)
    seen = weakref.ref(f)
    assert f(1.0) == 2
    del f
    gc.collect()
    assert seen() is None
