"""The emitted Python entry point: right answers, everything unusual handed to the Python path, nothing leaked."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.entry import cpython, entry
from graphc.user.state import hold
from graphc.user.vectorcall import callable_class, entry_of, set_entry


def is_native(f: gx.Function) -> bool:
    return entry_of(f) != 0


def natively(f: gx.Function, /, *args: Any, **kwargs: Any) -> Any:
    """The result of a call in which no Python code runs."""
    seen: list[str] = []
    sys.setprofile(lambda frame, event, _: seen.append(frame.f_code.co_name) if event == "call" else None)
    try:
        result = f(*args, **kwargs)
    finally:
        sys.setprofile(None)
    assert seen == [], seen
    return result


@pytest.fixture(params=[entry.STRAIGHT, 0], ids=["straight", "loop"])
def two(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> gx.Function:
    """Two results, made by straight code, and by the loop that serves many."""
    monkeypatch.setattr(entry, "STRAIGHT", request.param)
    a, b = gx.vector("a", "n"), gx.vector("b", "n")
    return gx.function([a, b], (a + b, gx.sum(a * b)))


def test_this_interpreter_is_readable() -> None:
    assert cpython.fault() == ""


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
    extra = [sys.getrefcount(a) - sys.getrefcount(b) for a, b in zip(got[:3], want[:3], strict=True)]
    assert extra == [1, 0, 0]  # the entry itself holds a small array, to hand it out again
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
    with pytest.raises(gx.ShapeError, match=r"must be n = .* = 3"):
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
    held = hold([s])
    np.testing.assert_array_equal(read(), [0, 0])  # re-entrant: the Python path of this thread goes through
    assert len(s.queue) == 1
    del held
    assert not s.queue
    np.testing.assert_array_equal(natively(read), [0, 0])


def test_an_index_out_of_range_leaves_state_alone() -> None:
    s, i = gx.shared(np.zeros(3), "s"), gx.vector("i", "k", "int64")
    f = gx.function([i], gx.take(s, i), updates={s: s + 1})
    assert is_native(f)
    with pytest.raises(gx.IndexOutOfRange, match="index 7 at position"):
        f(np.array([1, 7]))
    np.testing.assert_array_equal(s.get_value(), 0)


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
    monkeypatch.setattr(cpython, "fault", lambda: "tried")
    x = gx.vector("x", "n")
    f = gx.function([x], [x + 1, gx.sum(x)])
    assert not is_native(f) and f.explain().endswith("calls: through Python and ctypes (tried)")
    plus, total = f(np.arange(3.0))
    np.testing.assert_array_equal(plus, [1, 2, 3])
    assert total == 3


def test_a_function_is_freed_with_its_entry() -> None:
    x = gx.scalar("x")
    f = gx.function([x], x + 1)
    seen = weakref.ref(f)
    assert f(1.0) == 2
    del f
    gc.collect()
    assert seen() is None


# -- the object -------------------------------------------------------------------------------------------------------
def test_a_function_is_an_ordinary_object() -> None:
    x = gx.scalar("x")
    f = gx.function([x], x + 1, name="plus")
    assert isinstance(f, gx.Function) and type(f).__name__ == "Function" and "compiled plus(x)" in repr(f)
    assert type(f).__module__ == "graphc.user.function" and type(f).__doc__ == gx.Function.__doc__
    f.note = "mine"
    assert f.note == "mine" and copy.copy(f) is f
    assert f.__call__(1.0) == 2 and list(map(f, [1.0, 2.0])) == [2, 3]
    assert set_entry(f, 0) and not is_native(f) and f(1.0) == 2
    assert not set_entry(object(), 1) and entry_of(gx.Function) == 0
    assert callable_class(gx.Function) is type(f)


def test_a_function_is_freed_at_once() -> None:
    """With its arena, and without waiting for a search of cycles."""
    x = gx.vector("x", "n")
    f = gx.function([x], gx.cumsum(gx.tanh(x)))
    f(np.zeros(100))
    seen = weakref.ref(f), weakref.ref(f._executable)
    gc.disable()
    try:
        del f
        assert [s() for s in seen] == [None, None]
    finally:
        gc.enable()


# -- what it takes -------------------------------------------------------------------------------------------------------
def test_keywords_in_the_declared_order_and_defaults() -> None:
    a, b, c = gx.vector("a", "n"), gx.vector("b", "n"), gx.scalar("c")
    f = gx.function([a, b, c], a + b * c, defaults={c: 2.0, b: np.ones(3)})
    x, y = np.arange(3.0), np.full(3, 2.0)
    for result, want in [
        (natively(f, x, y, 3.0), x + 6),
        (natively(f, x, y, c=3.0), x + 6),
        (natively(f, x, b=y, c=3.0), x + 6),
        (natively(f, a=x, b=y, c=3.0), x + 6),
        (natively(f, x, b=y), x + 4),
        (natively(f, x), x + 2),
        (natively(f, a=x), x + 2),
        (f(x, c=3.0), x + 3),
        (f(c=3.0, b=y, a=x), x + 6),
        (f(**{"".join(["a"]): x, "".join(["b", ""]): y}), x + 4),
    ]:
        np.testing.assert_array_equal(result, want)
    out = np.zeros(3)
    assert natively(f, x, b=y, out=out) is out and out.tolist() == [4, 5, 6]
    assert f(x, out=None).tolist() == [2, 3, 4]
    for args, kwargs in [((), {}), ((), {"b": y}), ((x, y, 1.0, 1.0), {}), ((x,), {"a": x}), ((x,), {"d": x}), ((x, y, 1.0), {"c": 1.0})]:
        with pytest.raises(gx.ArgumentError):
            f(*args, **kwargs)
    with pytest.raises(gx.ShapeError):
        f(np.ones(4))  # the default has 3


def test_python_and_numpy_numbers_for_rank_0() -> None:
    for dtype in ("int8", "uint8", "int32", "uint32", "int64", "uint64", "float32", "float64"):
        x = gx.scalar("x", dtype)
        f = gx.function([x], x)
        for value in (0, 1, 100, np.dtype(dtype).type(7), np.array(3, dtype)):
            got = natively(f, value)
            assert got.dtype == dtype and got == value
        least, most = (np.iinfo(dtype).min, np.iinfo(dtype).max) if "int" in dtype else (-(2**60), 2**60)
        if most != 2**64 - 1:
            assert int(natively(f, most)) == most and int(natively(f, least)) == least
        for wrong in (most + 1, least - 1, 2**64, -(2**64), 10**400) if "int" in dtype else (10**400,):
            with pytest.raises(gx.DTypeError):
                f(wrong)
    b = gx.scalar("b", "bool")
    f = gx.function([b], gx.where(b, 1, 2))
    assert natively(f, True) == 1 and natively(f, False) == 2 and f(np.True_) == 1
    with pytest.raises(gx.DTypeError):
        f(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integers_round_as_numpy_rounds_them(dtype: str) -> None:
    x = gx.scalar("x", dtype)
    f = gx.function([x], x)
    for value in (2**24 + 1, 2**53 + 1, 2**53 + 3, -(2**62) - 2**8 - 1, 2**63 - 1, 2**63, 2**100):
        assert f(value).tobytes() == np.array(value, dtype).tobytes()


def test_trees_of_arguments_and_results() -> None:
    p = {"W": gx.matrix("W", (3, 2)), "rest": [gx.vector("b", 2), None]}
    x = gx.matrix("x", ("n", 3))
    y = x @ p["W"] + p["rest"][0]
    f = gx.function({"p": p, "x": x}, {"sum": gx.sum(y), "parts": (y, [y * 2, None])})
    P, X = {"W": np.arange(6.0).reshape(3, 2), "rest": [np.ones(2), None]}, np.ones((4, 3))
    f(P, X)  # the first call makes the arena
    for result in (natively(f, P, X), f({"rest": P["rest"], "W": P["W"]}, X), f({"W": P["W"].tolist(), "rest": (P["rest"])}, X)):
        want = X @ P["W"] + 1
        assert list(result) == ["sum", "parts"] and result["sum"] == want.sum() and result["parts"][1][1] is None
        np.testing.assert_array_equal(result["parts"][0], want)
        np.testing.assert_array_equal(result["parts"][1][0], 2 * want)
    out = {"sum": np.zeros(()), "parts": (np.zeros((4, 2)), [np.zeros((4, 2)), None])}
    assert natively(f, P, X, out=out) is out
    np.testing.assert_array_equal(out["parts"][1][0], 2 * want)
    for wrong in (P["rest"], {"W": P["W"]}, {**P, "more": 1}, {"W": P["W"], "rest": [P["rest"][0]]}):
        with pytest.raises(gx.ArgumentError):
            f(wrong, X)
    for wrong in (out["parts"], {"sum": out["sum"]}, {**out, "more": None}, list(out.values())):
        with pytest.raises(gx.ArgumentError):
            f(P, X, out=wrong)


# -- out= ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, 3, 17])
def test_results_in_arrays_of_the_caller(two: gx.Function, size: int) -> None:
    x, y = np.arange(float(size)), np.ones(size)
    out = (np.full(size, 9.0), np.full((), 9.0))
    call = natively if size else lambda f, *a, **k: f(*a, **k)  # where nothing lies apart, Python decides
    assert call(two, x, y, out=out) is out
    np.testing.assert_array_equal(out[0], x + 1)
    assert out[1] == x.sum()
    counts = [sys.getrefcount(o) for o in (*out, out, x)]
    for _ in range(100):
        two(x, y, out=out)
    assert [sys.getrefcount(o) for o in (*out, out, x)] == counts


def test_results_in_memory_of_arguments(two: gx.Function) -> None:
    base = np.arange(8.0)
    for place in (base[:4], base[2:6], base[1:5], base[4:]):
        base[:] = np.arange(8.0)
        two(base[2:6], np.ones(4), out=(place, np.zeros(())))
        assert place.tolist() == [3, 4, 5, 6]
    with pytest.raises(gx.ArgumentError, match="overlap"):
        two(base[:1], base[:1], out=(base[4:5], base[4:5].reshape(())))
    total = np.zeros(2)
    natively(two, base[:4], base[4:], out=(np.zeros(4), total[1:].reshape(())))
    assert total[0] == 0 and total[1] != 0


def test_a_result_that_lies_across_what_is_read() -> None:
    """Backwards, so that a result written while the argument is read would be wrong, whichever of them begins first."""
    x = gx.vector("x")
    f, n = gx.function([x], x[::-1]), 100
    for start in (0, 1, n - 3, n - 1, n, n + 1, n + 3, 2 * n - 1, 2 * n):
        base = np.arange(3.0 * n)
        f(base[n : 2 * n], out=base[start : start + n])
        np.testing.assert_array_equal(base[start : start + n], np.arange(2.0 * n - 1, n - 1, -1))


def test_arrays_that_cannot_take_the_results(two: gx.Function) -> None:
    x, s = np.ones(3), np.zeros(())
    frozen = np.zeros(3)
    frozen.setflags(write=False)
    for wrong in (frozen, np.zeros(4), np.zeros((3, 1)), np.zeros(3, "float32"), np.zeros(3, ">f8"), [0.0] * 3, None, 1.0):
        with pytest.raises(gx.GraphcError):
            two(x, x, out=(wrong, s))
    strided, raw = np.zeros(6), np.zeros(25, np.uint8)
    for fine in (strided[::2], strided[::-2], raw[1:].view(np.float64), np.zeros((3, 2), order="F")[:, 0]):
        two(x, x, out=(fine, s))
        np.testing.assert_array_equal(fine, 2)


def test_an_error_leaves_out_alone() -> None:
    v, i = gx.vector("v", "n"), gx.vector("i", "k", "int64")
    f = gx.function([v, i], (v * 2, v[i]))
    out = (np.full(3, 9.0), np.full(2, 9.0))
    for _ in range(2):
        with pytest.raises(gx.IndexOutOfRange):
            f(np.ones(3), np.array([0, 3]), out=out)
        assert out[0].tolist() == [9, 9, 9] and out[1].tolist() == [9, 9]
    assert f(np.ones(3), np.array([0, 2]), out=out) is out and out[0].tolist() == [2, 2, 2] and out[1].tolist() == [1, 1]


# -- names and ways --------------------------------------------------------------------------------------------------------
def test_an_input_cannot_be_called_as_the_keyword_for_results() -> None:
    x, out = gx.vector("x", "n"), gx.vector("out", "n")
    for inputs in ([x, out], {"x": x, "out": out}, {"x": x, "out": [out]}):
        with pytest.raises(gx.ArgumentError, match="cannot be named 'out'"):
            gx.function(inputs, x + out)
    f = gx.function({"x": x, "y": out}, x + out)
    target = np.zeros(2)
    assert natively(f, np.ones(2), y=np.ones(2), out=target) is target and target.tolist() == [2, 2]

    @gx.jit
    def g(x: gx.Node, out: gx.Node) -> gx.Node:
        return x + out

    assert g(np.ones(2), out=np.ones(2)).tolist() == [2, 2]


def test_an_input_called_self() -> None:
    a, b = gx.vector("self", "self"), gx.scalar("f")
    f = gx.function([a, b], a + b)
    assert natively(f, self=np.ones(2), f=1.0).tolist() == f(self=[1, 1], f=1).tolist() == [2, 2]
    assert f.cost(self=3)["operations"] == 3 and f.memory(self=3)["inputs"] == 32


def test_a_function_says_which_way_its_calls_go() -> None:
    x, n = gx.vector("x", "n"), gx.dim("n")
    s, states = gx.shared(np.zeros(3), "s", ("k",)), [gx.shared(0.0) for _ in range(41)]
    way = lambda f: f.explain().splitlines()[-1]
    assert way(gx.function([x], x + 1)) == "calls: native, by vectorcall"
    for f, why in [
        (gx.function([x, n], x + 1), "sizes are among the arguments"),
        (gx.function([x], {1: x}), "containers other than tuples, lists, dicts with str keys"),
        (gx.function([], s * 2), "the sizes of state may change"),
        (gx.function([x], ([x + k for k in range(50)],)), "of more than 40 arrays an entry gives results only as one tuple or list"),
        (gx.function([x], x, updates={s: s + 1 for s in states}), "41 arrays of state are more than the 40 that an entry takes"),
    ]:
        assert way(f) == f"calls: through Python and ctypes ({why})" and not is_native(f)
    assert gx.function([x], x, mode="interpret").explain() == "interpreted, node by node"
