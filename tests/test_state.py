"""`shared`, `get_values`, `set_values`, `like`: state is owned by its variable, copied in and out, and never half set."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphc as gx


def test_shared_copies_in_and_out() -> None:
    value = np.arange(3.0)
    s = gx.shared(value, "s")
    value[:] = 9
    first = s.get_value()
    first[:] = 9
    assert s.get_value().tolist() == [0, 1, 2] and s.name == "s" and s.shape == (3,) and s.dtype == np.float64
    new = np.ones(3)
    s.set_value(new)
    new[:] = 9
    assert s.get_value().tolist() == [1, 1, 1]
    frozen = np.zeros(3)
    frozen.setflags(write=False)
    s.set_value(frozen)
    gx.function([], None, updates={s: s + 1})()
    assert frozen.tolist() == [0, 0, 0] and s.get_value().tolist() == [1, 1, 1]


def test_what_makes_state() -> None:
    for value, dtype, shape in [
        (1, "int64", ()),
        (1.5, "float64", ()),
        (True, "bool", ()),
        (np.float32(2), "float32", ()),
        (np.ones((2, 0), "uint8"), "uint8", (2, 0)),
        (np.asfortranarray(np.arange(6).reshape(2, 3)), "int64", (2, 3)),
        (np.arange(6)[::-2], "int64", (3,)),
        (np.ones(2, ">f4"), "float32", (2,)),
        (np.ones((1, 1)).view(np.matrix), "float64", (1, 1)),
    ]:
        s = gx.shared(value)
        assert s.dtype == dtype and s.shape == shape and s.name == "shared"
        got = s.get_value()
        assert type(got) is np.ndarray and got.flags.c_contiguous and got.dtype.isnative
        np.testing.assert_array_equal(got, np.asarray(value))
    for wrong in (
        "a",
        np.array(["a"]),
        np.array([None]),
        object(),
        np.ma.masked_array([1.0], [True]),
        np.ones(1, complex),
        np.ones(1, "f2"),
        np.zeros(1, "M8[s]"),
    ):
        with pytest.raises(gx.DTypeError):
            gx.shared(wrong)
    with pytest.raises(gx.ArgumentError, match="the initial value must be an array, not a node"):
        gx.shared(gx.scalar("x"))
    a, b = gx.shared(0.0, "a"), gx.shared(0.0, "a")
    assert a is not b  # two of one name are two
    assert gx.shared(None) is None  # the empty tree


def test_trees_of_state() -> None:
    p = gx.shared({"W": np.ones((2, 2)), "layers": [{"b": np.zeros(2)}, 3.0], "none": None}, "p")
    assert isinstance(p["W"], gx.Shared) and p["none"] is None
    assert [s.name for s in gx.tree.leaves(p)] == ["p['W']", "p['layers'][0]['b']", "p['layers'][1]"]
    values = gx.get_values(p)
    assert values["layers"][1] == 3 and values["none"] is None
    values["W"][:] = 7
    assert p["W"].get_value()[0, 0] == 1
    gx.set_values(p, values)
    assert p["W"].get_value()[0, 0] == 7
    with pytest.raises(gx.ArgumentError, match="`shape` goes with one array"):
        gx.shared([1.0, 2.0], shape=("n",))
    with pytest.raises(gx.ArgumentError, match="is not a shared variable"):
        gx.get_values([1.0])
    v = gx.like(p, "v")
    assert v["W"].shape == (2, 2) and v["layers"][0]["b"].name == "v['layers'][0]['b']"
    f = gx.function([v], gx.tree.map(lambda a, b: a + b, p, v))
    assert f(values)["layers"][1] == 6
    w = gx.like((np.float32(1), [1, gx.scalar("i", "int8")]), "w")
    assert w[0].dtype == np.float32 and w[1][0].dtype == np.int64 and w[1][1].dtype == np.int8


def test_set_value_checks() -> None:
    s, i = gx.shared(np.zeros(2), "s"), gx.shared(np.zeros(2, "int32"), "i")
    for fine in ([1, 2], (1.5, 2), np.ones(2, "int8"), np.ones(2, "f4"), np.ones(2, ">f8"), [np.float64(1), 2]):
        s.set_value(fine)
        np.testing.assert_array_equal(s.get_value(), np.asarray(fine, float))
    for variable, wrong, kind, text in [
        (s, [1], gx.ShapeError, r"set_value 's': an array of shape \(1,\) does not fit \(s: f64\[2\], test_state.py:\d+\)"),
        (s, 1.0, gx.ShapeError, "expected 1 dimension, got shape ()"),
        (s, np.zeros((1, 2)), gx.ShapeError, "expected 1 dimension"),
        (s, None, gx.ArgumentError, "set_value 's': None is not an array"),
        (s, "ab", gx.ArgumentError, "str is not an array"),
        (s, np.ones(2, complex), gx.DTypeError, "set_value 's': complex128 has no symbolic form .*two arrays$"),
        (s, np.ma.masked_array([1.0, 2.0]), gx.ArgumentError, "masked"),
        (i, [1.5, 2.0], gx.DTypeError, "a Python float does not fit int32"),
        (i, np.ones(2), gx.DTypeError, "float64 does not fit int32"),
        (i, np.ones(2, "int64"), gx.DTypeError, "int64 does not fit int32"),
        (i, [2**31, 0], gx.DTypeError, "out of bounds|too large|out of range"),
    ]:
        old = variable.get_value()
        with pytest.raises(kind, match=text):
            variable.set_value(wrong)
        np.testing.assert_array_equal(variable.get_value(), old)


def test_symbolic_shapes() -> None:
    s = gx.shared(np.zeros((2, 3)), "s", shape=("n", 3))
    square = gx.shared(np.eye(2), "q", shape=("k", "k"))
    shifted = gx.shared(np.zeros((2, 3)), "r", shape=("m", gx.dim("m") + 1))
    assert s.shape == (gx.dim("n"), 3)
    f = gx.function([], gx.sum(s, axis=0) + gx.dim("n"), updates={s: s + 1})
    assert f().tolist() == [2, 2, 2]
    s.set_value(np.zeros((5, 3)))
    assert f().tolist() == [5, 5, 5] and s.get_value().sum() == 15
    for variable, wrong in [(s, np.zeros((2, 4))), (square, np.zeros((2, 3))), (shifted, np.zeros((2, 2)))]:
        with pytest.raises(gx.ShapeError):
            variable.set_value(wrong)
    square.set_value(np.eye(4))
    shifted.set_value(np.zeros((0, 1)))
    for value, shape in [(np.zeros(3), ("n", 3)), (np.zeros((2, 2)), ("n", 3)), (np.zeros((2, 3)), ("n", "n"))]:
        with pytest.raises(gx.ShapeError):
            gx.shared(value, shape=shape)
    other = gx.shared(np.zeros((4, 3)), "other", shape=("n", 3))
    with pytest.raises(
        gx.ShapeError, match=r"state 'other' has shape \(4, 3\), but axis 0 must be n = s.shape\[0\] = 5: .*\(other: .*, s: "
    ):
        gx.function([], s + other)()


def test_set_values_sets_all_or_none() -> None:
    p = gx.shared({"a": np.zeros(2), "b": np.zeros(3)})
    for wrong, kind in [
        ({"a": np.ones(2), "b": np.ones(2)}, gx.ShapeError),
        ({"a": np.ones(2), "b": None}, gx.ArgumentError),
        ({"a": np.ones(2)}, gx.ArgumentError),
        ([np.ones(2), np.ones(3)], gx.ArgumentError),
        ({"a": np.ones(2), "b": "x"}, gx.ArgumentError),
        ({"a": np.ones(2), "b": np.ones(3, complex)}, gx.DTypeError),
    ]:
        with pytest.raises(kind):
            gx.set_values(p, wrong)
        assert not p["a"].get_value().any() and not p["b"].get_value().any()
    with pytest.raises(gx.ArgumentError, match="is not a shared variable"):
        gx.set_values([1], [2])
    gx.set_values(p, {"b": np.ones(3), "a": np.ones(2)})
    assert p["a"].get_value().all() and p["b"].get_value().all()


def test_a_failed_call_leaves_state_untouched() -> None:
    s, t = gx.shared(np.zeros(3), "s"), gx.shared(np.zeros(3), "t")
    i, x = gx.tensor("i", ("k",), "int64"), gx.vector("x", 3)
    late = gx.cumsum(x * s + x)[i]  # the check comes after much work
    f = gx.function([i, x], late, updates={s: s + x, t: s.at[i].add(1.0)})
    for bad in ([3], [0, 1, -4], [2**40]):
        with pytest.raises(gx.IndexOutOfRange):
            f(bad, np.ones(3))
        assert not s.get_value().any() and not t.get_value().any()
    f([0, 0, 2], np.ones(3))
    assert s.get_value().tolist() == [1, 1, 1] and t.get_value().tolist() == [2, 0, 1]


def run_threads(*work: Any, repeat: int = 1) -> None:
    errors: list[BaseException] = []

    def guarded(f: Any) -> None:
        try:
            for _ in range(repeat):
                f()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(f,)) for f in work]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


def test_functions_that_share_state_exclude_each_other() -> None:
    a, b = gx.shared(np.zeros(5000), "a"), gx.shared(np.full(5000, 100.0), "b")
    move = gx.function([], None, updates={a: a + 1, b: b - 1})
    back = gx.function([], None, updates={b: b + 2, a: a - 2})  # the same state in the other order
    total = gx.function([], gx.max(abs(a + b - 100)))
    swap = gx.function([], None, updates={a: b, b: a})
    only_writes = gx.function([], None, updates={a: np.zeros(5000), b: np.full(5000, 100.0)})
    seen: list[float] = []

    def look() -> None:
        seen.append(float(total()))

    run_threads(move, move, back, back, look, look, swap, only_writes, repeat=150)
    assert set(seen) == {0.0}
    assert np.ptp(a.get_value()) == 0  # never a torn update


def test_values_are_read_whole_while_a_function_writes() -> None:
    s = gx.shared(np.zeros(20000), "s")
    step = gx.function([], None, updates={s: s + 1})

    def read() -> None:
        assert np.ptp(s.get_value()) == 0

    def write() -> None:
        s.set_value(np.zeros(20000))

    run_threads(step, step, read, read, write, repeat=100)
