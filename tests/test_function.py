"""`function`: inputs, outputs, names, defaults, givens, updates, casting, inlining, and what it shows of itself."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gx

MODES = ("default", "none", "verify", "interpret")
Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Layer:
    W: Any
    b: Any


def same(got: Any, want: Any) -> None:
    """Equal values, dtype, shape; an ndarray, also of rank 0."""
    want = np.asarray(want)
    assert type(got) is np.ndarray and got.dtype == want.dtype and got.shape == want.shape, (got, want)
    np.testing.assert_array_equal(got, want)


# -- inputs -----------------------------------------------------------------------------------------------------------
def test_inputs_as_list_dict_and_trees() -> None:
    x, y = gx.vector("x", "n"), gx.scalar("y")
    z = x * y
    X, Y = np.arange(3.0), 2.0
    for f in (gx.function([x, y], z), gx.function((x, y), z), gx.function({"x": x, "y": y}, z)):
        for got in (f(X, Y), f(X, y=Y), f(x=X, y=Y), f(y=Y, x=X)):
            same(got, X * Y)
    renamed = gx.function({"data": x, "factor": y}, z)
    same(renamed(X, factor=Y), X * Y)
    p = {"W": gx.matrix("W", ("n", 2)), "b": [gx.vector("b", 2), gx.scalar("c")]}
    for f in (gx.function([x, p], x @ p["W"] + p["b"][0] * p["b"][1]), gx.function({"x": x, "p": p}, x @ p["W"] + p["b"][0] * p["b"][1])):
        W, b = np.ones((3, 2)), np.array([1.0, 2.0])
        same(f(X, {"b": [b, 3.0], "W": W}), X @ W + b * 3)
    layer = Layer(gx.matrix("W", (2, 2)), gx.vector("b", 2))
    pair = Pair(gx.scalar("l"), gx.scalar("r"))
    f = gx.function([layer, pair], Layer(layer.W.T, pair.left - pair.right))
    got = f(Layer(np.arange(4.0).reshape(2, 2), [0, 0]), Pair(1, 5))
    assert isinstance(got, Layer)
    same(got.W, [[0.0, 2.0], [1.0, 3.0]])
    same(got.b, -4.0)
    assert gx.function([], 1.5)() == 1.5 and gx.function({}, {})() == {}


def test_unused_inputs_are_fine_and_checked() -> None:
    x, u = gx.vector("x", "n"), gx.matrix("u", ("n", 2))
    f = gx.function([u, x], gx.sum(x))
    same(f(np.zeros((2, 2)), [1, 2]), 3.0)
    with pytest.raises(gx.ShapeError):
        f(np.zeros((3, 2)), [1, 2])
    with pytest.raises(gx.DTypeError):
        f(np.zeros((2, 2), complex), [1, 2])


def test_sizes_as_inputs_and_outputs() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    x = gx.vector("x", "n")
    for mode in MODES:
        f = gx.function([n, x, m], [n, m, n * m + 1, gx.arange(m), x * n], mode=mode)
        got = f(2, np.ones(2), m=3)
        for value, want in zip(got, [np.int64(2), np.int64(3), np.int64(7), np.arange(3), np.full(2, 2.0)]):
            same(value, want)
        with pytest.raises(gx.ShapeError):
            f(3, np.ones(2), 3)
    by_form = gx.function([gx.tensor("y", (2 * n + 1,))], n)
    same(by_form(np.zeros(7)), np.int64(3))
    with pytest.raises(gx.ShapeError, match=r"shape \(6,\), but axis 0 must be of the form 2\*n \+ 1"):
        by_form(np.zeros(6))
    from_state = gx.function([], gx.arange(n), updates={(s := gx.shared(np.zeros(4), "s", shape=("n",))): s + 1})
    same(from_state(), np.arange(4))
    s.set_value(np.zeros(2))
    same(from_state(), np.arange(2))


# -- outputs ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
def test_outputs_keep_their_structure_and_are_fresh(mode: str) -> None:
    x, y = gx.vector("x", "n"), gx.scalar("y", "float32")
    s = gx.shared(np.array([1.0, 2.0]), "s")
    big = gx.asarray(np.arange(6.0).reshape(2, 3))
    views = {"whole": x, "again": x, "turned": x[::-1], "column": x[:, None], "same": x.reshape(gx.dim("n")), "double": (x, [x])}
    rest = Pair(
        {"none": None, "s": s, "s2": s.reshape(2, 1)}, [big, big, big.T, y, gx.dim("n"), 3.5, 2, True, np.float32(1), np.ones(2, "int8")]
    )
    f = gx.function([x, y], (views, rest, x + 1, x + 1), mode=mode)
    X = np.array([3.0, 4.0, 5.0])
    got = f(X, 7)
    assert isinstance(got, tuple) and list(got[0]) == list(views) and isinstance(got[1], Pair) and got[1].left["none"] is None
    for name in ("whole", "again"):
        same(got[0][name], X)
    same(got[0]["turned"], X[::-1])
    same(got[0]["column"], X[:, None])
    same(got[0]["double"][1][0], X)
    same(got[1].left["s2"], [[1.0], [2.0]])
    for value, want in zip(
        got[1].right,
        [np.arange(6.0).reshape(2, 3)] * 2
        + [np.arange(6.0).reshape(2, 3).T, np.float32(7), np.int64(3), 3.5, np.int64(2), True, np.float32(1), np.ones(2, "int8")],
    ):
        same(value, want)
    arrays = gx.tree.leaves(got)
    for a in arrays:
        assert a.flags.owndata and a.flags.writeable and a.flags.c_contiguous
        a[...] = 0
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in (*arrays[:k], X, s.value))
    assert X.tolist() == [3, 4, 5] and s.get_value().tolist() == [1, 2]
    same(gx.tree.leaves(f(X, 7))[-1], X + 1)


def test_rank_0_and_nothing() -> None:
    x = gx.scalar("x")
    got = gx.function([x], x * 2)(3)
    assert type(got) is np.ndarray and got.shape == () and got == 6
    assert gx.function([x])(1) is None
    assert gx.function([x], None)(1) is None
    assert gx.function([x], [])(1) == []
    assert gx.function([x], {"a": None})(1) == {"a": None}


# -- names --------------------------------------------------------------------------------------------------------------
def test_names() -> None:
    x, x2 = gx.scalar("x"), gx.scalar("x")
    with pytest.raises(gx.ArgumentError, match="two inputs are named 'x'; hint: give the variables different names"):
        gx.function([x, x2], x + x2)
    assert gx.function({"a": x, "b": x2}, x - x2)(3, b=1) == 2
    assert gx.function([(x, x2)], x - x2)((3, 1)) == 2  # a tree has no name of its own
    with pytest.raises(gx.ArgumentError, match="input 'b' is listed twice"):
        gx.function({"a": x, "b": x}, x)


def test_unlisted_input_is_named_with_its_line() -> None:
    x, w = gx.scalar("x"), gx.scalar("w")
    with pytest.raises(
        gx.ArgumentError,
        match=r"the outputs depend on 'w', which is not among the inputs \(w: f64\[\], test_function.py:\d+\); hint: list it",
    ):
        gx.function([x], x * w)
    s = gx.shared(0.0)
    with pytest.raises(gx.ArgumentError, match="depend on 'w'"):
        gx.function([x], x, updates={s: s + w})
    assert gx.function([x], x * w, givens={w: 3.0})(2) == 6


def test_what_is_no_input() -> None:
    x, s = gx.scalar("x"), gx.shared(1.0, "s")
    for inputs, text in [
        (x, "inputs must be a list or a dict of variables, got Node; hint: gx.function"),
        (None, "got NoneType"),
        ([x, s], "input 's' is not an input variable .*; hint: shared variables are read without being listed"),
        ([x + 1], "input 'argument 0' is not an input variable .*; hint: use givens="),
        (["x"], "input 'argument 0': str is not a variable; hint: declare it"),
        ([gx.dim("n") + 1], "is not a single size symbol"),
        ({1: x}, "an argument name must be a string, got 1"),
    ]:
        with pytest.raises(gx.ArgumentError, match=text):
            gx.function(inputs, x)
    for options, text in [
        ({"mode": "fast"}, "mode 'fast' is unknown"),
        ({"casting": "maybe"}, "casting 'maybe' is unknown"),
        ({"threads": 0}, "threads must be"),
        ({"threads": True}, "threads must be"),
    ]:
        with pytest.raises(gx.ArgumentError, match=text):
            gx.function([x], x, **options)


# -- defaults, givens -----------------------------------------------------------------------------------------------------
def test_defaults() -> None:
    x, lr, n = gx.vector("x", "k"), gx.scalar("lr", "float32"), gx.dim("n")
    f = gx.function([x, lr, n], (x * lr, n), defaults={lr: 0.5, n: 3, "x": [1, 2]})
    same(f()[0], np.array([0.5, 1.0]))
    same(f(lr=2)[0], np.array([2.0, 4.0]))
    assert f(n=5)[1] == 5 and f([3])[0] == 1.5
    value = np.ones(2)
    g = gx.function({"v": x}, x, defaults={x: value})
    value[:] = 7
    same(g(), np.ones(2))
    g()[:] = 9
    same(g(), np.ones(2))
    p = {"a": gx.scalar("a"), "b": gx.scalar("b")}
    h = gx.function({"p": p}, p["a"] - p["b"], defaults={"p": {"a": 1, "b": 3}})
    assert h() == -2 and h({"a": 1, "b": 1}) == 0
    for wrong, kind, text in [
        ({"w": 1}, gx.ArgumentError, "defaults: 'w' is not an input; hint: inputs are x, lr, n"),
        ({gx.scalar("q"): 1}, gx.ArgumentError, "defaults: 'q' is not an input"),
        ({lr: "a"}, gx.ArgumentError, "argument 'lr': str is not an array"),
        ({lr: np.float64(1)}, gx.DTypeError, "argument 'lr': float64 does not fit float32"),
        ({x: 1.0}, gx.ShapeError, "argument 'x': expected 1 dimension"),
        ({n: -1}, gx.ArgumentError, "size n: expected a non-negative int"),
    ]:
        with pytest.raises(kind, match=text):
            gx.function([x, lr, n], x * lr, defaults=wrong)


def test_givens() -> None:
    x, y = gx.vector("x", "n"), gx.vector("y", "m")
    s = gx.shared(np.arange(3.0), "s")
    cost = gx.sum(x * x)
    assert gx.function([y], cost, givens={x: y + 1})([1, 2]) == 13
    assert gx.function([], cost, givens={x: s})() == 5
    assert gx.function([], cost, givens=[(x, np.array([3.0]))])() == 9
    assert gx.function([x, y], [gx.sum(x), gx.sum(y)], givens={x: y, y: x})([1, 2], [5]) == [5, 3]  # at once
    inner = x * x
    assert gx.function([x], gx.sum(inner), givens={inner: x})([3, 4]) == 7
    f = gx.function([y], None, updates={s: s + x}, givens={x: y})
    f(np.ones(3))
    assert s.get_value().tolist() == [1, 2, 3]
    with pytest.raises(gx.ShapeError):
        f(np.ones(2))
    assert s.get_value().tolist() == [1, 2, 3]
    with pytest.raises(gx.DTypeError):
        gx.function([], cost, givens={x: np.ones(2, "float32")})


# -- updates --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
def test_updates_in_every_spelling(mode: str) -> None:
    a, b = gx.shared(np.zeros(2), "a"), gx.shared(np.ones(2), "b")
    x = gx.vector("x", 2)
    spellings = [
        {a: a + x, b: b * 2},
        [(a, a + x), (b, b * 2)],
        ((a, a + x), (b, b * 2)),
        ((a, b), (a + x, b * 2)),
        ([a, b], [a + x, b * 2]),
        ({"a": a, "b": b}, {"b": b * 2, "a": a + x}),
        [{"a": a, "b": b}, {"b": b * 2, "a": a + x}],
    ]
    for updates in spellings:
        gx.set_values((a, b), (np.zeros(2), np.ones(2)))
        f = gx.function([x], (a, b), updates=updates, mode=mode)
        old = f([1, 2])
        assert [v.tolist() for v in old] == [[0, 0], [1, 1]]  # outputs read the old state
        f([1, 2])
        assert a.get_value().tolist() == [2, 4] and b.get_value().tolist() == [4, 4]
    one = gx.shared(1.0)
    assert gx.function([], one, updates=(one, one * 3), mode=mode)() == 1 and one.get_value() == 3
    gx.function([], None, updates=[(one, 7)], mode=mode)()
    assert one.get_value() == 7
    gx.function([], None, updates=[], mode=mode)()


@pytest.mark.parametrize("mode", MODES)
def test_all_updates_read_old_state(mode: str) -> None:
    values = [np.arange(3.0), np.arange(3.0) + 10, np.arange(3.0) + 100]
    a, b, c = state = [gx.shared(v, name) for v, name in zip(values, "abc")]
    x = gx.vector("x", 3)
    X = np.array([1.0, 2.0, 3.0])

    def check(updates: Any, *want: Any, inputs: tuple[Any, ...] = ()) -> None:
        gx.set_values(state, values)
        before = gx.function([x] if inputs else [], state, updates=updates, mode=mode)(*inputs)
        for got, old in zip(before, values):
            same(got, old)
        for s, value in zip(state, want):
            same(s.get_value(), value)

    A, B, C = values
    check({a: b, b: a}, B, A, C)  # swap
    check([(a, b), (b, a)], B, A, C)
    check({a: b, b: c, c: a}, B, C, A)  # rotate
    check({a: b[::-1], b: a.reshape(3, 1).reshape(3)}, B[::-1], A)
    check({a: a[::-1]}, A[::-1])
    check({a: a + b, b: a}, A + B, A)
    check({a: b * 2, b: a * 2, c: a + b + c}, B * 2, A * 2, A + B + C)
    check({a: gx.cumsum(a), b: b + gx.sum(a), c: gx.roll(c, 1) + a}, np.cumsum(A), B + 3, np.roll(C, 1) + A)
    check({a: a * 0 + gx.sum(b), b: b * 0 + gx.sum(a)}, np.full(3, 33.0), np.full(3, 3.0))
    check({a: a[gx.asarray([2, 0, 1])], b: a.at[0].set(b[1])}, A[[2, 0, 1]], [11.0, 1.0, 2.0])
    check({a: x, b: x}, X, X, inputs=(X,))
    check({a: np.ones(3), b: gx.zeros(3)}, np.ones(3), np.zeros(3))
    check({a: a, b: b}, A, B)
    assert X.tolist() == [1, 2, 3]


def test_wrong_updates() -> None:
    s, i, x = gx.shared(np.zeros(2), "s"), gx.shared(np.zeros(2, "int32"), "i"), gx.vector("x", "n")
    f32 = x.astype("float32")
    for updates, kind, text in [
        (
            {s: f32},
            gx.DTypeError,
            r"updates: the new value is float32, the state float64 \(s: f64\[2\].*hint: cast it with .astype\('float64'\)",
        ),
        ({i: s}, gx.DTypeError, "the new value is float64, the state int32"),
        ({i: 1.5}, gx.DTypeError, "1.5 is not a int32"),
        ({i: gx.sum(i)}, gx.DTypeError, "int64, the state int32"),
        ({s: 1.0}, gx.ShapeError, "the new value and the state differ in shape"),
        ({s: gx.zeros(3)}, gx.ShapeError, "differ in shape"),
        ({s: gx.zeros((2, 1))}, gx.ShapeError, "differ in shape"),
        ({x: x}, gx.ArgumentError, "updates: <x: f64\\[n\\]> is not a shared variable; hint: gx.shared"),
        ([(s, s), (s, s + 1)], gx.ArgumentError, "a shared variable is updated twice"),
        (s, gx.ArgumentError, "updates: Shared is none of"),
        ([s], gx.ArgumentError, "an entry is not a pair"),
        ((s, [s]), gx.ArgumentError, "the tree of shared variables and the tree of values differ"),
        ({s: "a"}, gx.ArgumentError, "cannot make a symbolic array of str"),
    ]:
        with pytest.raises(kind, match=text):
            gx.function([x], None, updates=updates)


def test_sizes_of_updates_are_checked_at_the_call() -> None:
    x, s = gx.vector("x", "n"), gx.shared(np.zeros(3), "s")
    t = gx.shared(np.zeros(2), "t", shape=("k",))
    for mode in MODES:
        for f in (gx.function([x], None, updates={s: x}, mode=mode), gx.function([x], None, updates={t: x, s: s + 1}, mode=mode)):
            gx.set_values((s, t), (np.zeros(3), np.zeros(2)))
            with pytest.raises(gx.ShapeError):
                f(np.ones(4))
            assert not s.get_value().any() and not t.get_value().any()
    f(np.ones(2))
    assert t.get_value().tolist() == [1, 1] and s.get_value().tolist() == [1, 1, 1]


def test_user_nodes_are_kept() -> None:
    x, s = gx.vector("x", "n"), gx.shared(np.zeros(3), "s")
    y = x * 2
    inputs, outputs = [x], {"y": y}
    new = s + x
    f = gx.function(inputs, outputs, updates={s: new}, givens={y: x * 3})
    assert f.inputs is inputs and f.outputs is outputs and f.outputs["y"] is y
    assert f.updates[0][0] is s and f.updates[0][1] is new
    f2 = gx.function(f.inputs, gx.sum(f.outputs["y"]))  # to build upon
    assert f2([1, 2]) == 6 and f([1, 2, 3])["y"].tolist() == [3, 6, 9]


# -- casting ----------------------------------------------------------------------------------------------------------------
def test_casting_rules() -> None:
    x = gx.vector("x", "n", "float32")
    ones: Callable[[str], np.ndarray] = lambda dtype: np.ones(2, dtype)
    accepted = {
        "no": {"float32"},
        "equiv": {"float32", ">f4"},
        "safe": {"float32", ">f4", "float16", "int8", "uint8", "int16", "uint16", "bool"},
        "same_kind": {
            "float32",
            ">f4",
            "float16",
            "float64",
            "longdouble",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint64",
            "bool",
        },
        "unsafe": {
            "float32",
            ">f4",
            "float16",
            "float64",
            "longdouble",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint64",
            "bool",
        },
    }
    never = {"O", "complex64", "U3", "S3", "datetime64[s]", "V4"}
    for casting, fine in accepted.items():
        for mode in ("default", "interpret"):
            f = gx.function([x], x + 1, casting=casting, mode=mode)
            for dtype in accepted["unsafe"] | never:
                if dtype in fine:
                    same(f(ones(dtype)), np.full(2, 2, "float32"))
                else:
                    with pytest.raises((gx.DTypeError, gx.ArgumentError)):
                        f(np.zeros(2, dtype))
    narrow = gx.scalar("i", "int8")
    same(gx.function([narrow], narrow, casting="same_kind")(np.int64(300)), np.int8(44))  # as NumPy's astype


def test_weak_numbers_and_lists() -> None:
    by = {d: gx.function([v := gx.vector("v", "n", d)], v) for d in ("bool", "uint8", "int32", "int64", "float32", "float64")}
    for d, value in [
        ("float32", [1, 2.5, True]),
        ("float32", [[1]][0]),
        ("float64", [2**70]),
        ("int64", [True, 2]),
        ("uint8", [255]),
        ("bool", [True, False]),
        ("float32", (1, 2)),
        ("float32", []),
        ("bool", []),
        ("int32", []),
        ("float64", [float("nan"), float("inf")]),
        ("float32", [1e300]),
        ("float64", [0.1]),
        ("float32", [0.1]),
    ]:
        with np.errstate(all="ignore"):
            same(by[d](value), np.array(value, d))
    for d, value, text in [
        ("bool", [1], "a Python int does not fit bool"),
        ("int32", [1.0], "a Python float does not fit int32"),
        ("float64", [1j], "a complex number has no symbolic form"),
        ("uint8", [256], "out of bounds for uint8"),
        ("uint8", [-1], "out of bounds for uint8"),
        ("int64", [2**63], "too large"),
        ("float64", [10**400], "too large"),
        ("float32", [np.float64(1)], "float64 does not fit float32"),
        ("uint8", [np.int64(1)], "int64 does not fit uint8"),
    ]:
        with pytest.raises(gx.DTypeError, match=text):
            by[d](value)
    same(by["float64"]([np.float32(1), 2]), np.array([1.0, 2.0]))  # a list that has a dtype follows the casting rule
    s = gx.scalar("s", "float32")
    f = gx.function([s], s)
    for value in (2, 2.0, True, np.float32(2), np.int16(2), np.array(2, "int8")):
        same(f(value), np.float32(2) if value is not True else np.float32(1))
    for wrong in (np.float64(2), np.int32(2), np.array(2.0), np.longdouble(2)):
        with pytest.raises(gx.DTypeError):
            f(wrong)


# -- inlining ---------------------------------------------------------------------------------------------------------------
def test_calling_with_nodes_inlines() -> None:
    x, y = gx.vector("x", "n"), gx.scalar("y", "float64")
    f = gx.function([x, y], {"z": x * y, "n": gx.dim("n")}, defaults={y: 2.0})
    u = gx.vector("u", "m")
    made = f(u + 1)
    assert isinstance(made["z"], gx.Node) and made["z"].shape == u.shape
    g = gx.function([u], made)
    got = g([1, 2])
    assert got["z"].tolist() == [4, 6] and got["n"] == 2
    assert gx.function([u], gx.grad(gx.sum(f(u, 3)["z"]), u))([1, 5]).tolist() == [3, 3]
    assert gx.function([y], f([1.0, 2.0], y)["z"])(4).tolist() == [4, 8]  # arrays become constants
    assert gx.function([u], f(u)["n"])([1, 2, 3]) == 3 and f(gx.vector("w", 3))["n"].eval() == 3
    i = gx.vector("i", "k", "int32")
    assert f(i)["z"].dtype == np.float64  # cast by the function's rule
    n = gx.dim("n")
    h = gx.function([n], gx.arange(n) * 2)
    assert gx.function([u], h(gx.dim("m")))(np.zeros(3)).tolist() == [0, 2, 4]
    assert h(4).tolist() == [0, 2, 4, 6]
    for wrong, kind in [((gx.matrix("m2"), 1.0), gx.ShapeError), (("a", u), gx.ArgumentError), ((), gx.ArgumentError)]:
        with pytest.raises(kind):
            f(*wrong)
    f32 = gx.function([v := gx.vector("v", "n", "float32")], v)
    with pytest.raises(gx.DTypeError, match=r"argument 'v': float64 does not fit float32 .*hint: cast it with .astype\('float32'\)"):
        f32(u)
    s = gx.shared(0.0)
    with pytest.raises(gx.ArgumentError, match="has updates, so it cannot be inlined"):
        gx.function([y], y, updates={s: s + y})(y)
    with pytest.raises(gx.ArgumentError, match="out= goes with arrays"):
        f(u, out=np.zeros(2))


# -- what it shows ------------------------------------------------------------------------------------------------------------
def test_looking_inside(golden: Callable[[str, str], None]) -> None:
    x, w = gx.matrix("x", ("n", 4), "float32"), gx.vector("w", 4, "float32")
    f = gx.function([x, w], gx.sum(gx.tanh(x * w), axis=1), name="score")
    golden("function_text", re.sub(r"test_function.py:\d+", "test_function.py:LINE", f"{f!r}\n\n{f.graph}\n\n{f.program}"))
    assert "vector" in f.loops and "define" in f.llvm and "ret" in f.asm
    assert "simplify" in f.explain() and "kernels" in f.explain()
    assert f.name == "score" and f.mode == "default"
    interpreted = gx.function([x, w], x, mode="interpret")
    assert interpreted.explain() == "interpreted, node by node" and "x" in interpreted.graph
    for look in ("program", "loops", "llvm", "asm"):
        with pytest.raises(gx.ArgumentError, match="mode='interpret' compiles nothing"):
            getattr(interpreted, look)
    with pytest.raises(gx.ArgumentError, match="mode='interpret' compiles nothing"):
        interpreted.cost(n=3)


def test_node_eval() -> None:
    x, s = gx.vector("x", "n"), gx.shared(np.array(2.0), "s")
    same((x * s).eval({x: [1.0, 2.0]}), np.array([2.0, 4.0]))
    same((s + 1).eval(), np.array(3.0))
    same(gx.asarray(gx.dim("n") * 2).eval({gx.dim("n"): 4}), np.int64(8))
    with pytest.raises(gx.ArgumentError):
        x.eval()


@pytest.mark.parametrize("mode", MODES)
def test_slices_of_what_is_too_short(mode: str) -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], [x[1:], x[:-1], gx.diff(x) if hasattr(gx, "diff") else x[1:] - x[:-1]], mode=mode)
    assert [v.tolist() for v in f([1, 2])] == [[2], [1], [1]] and [v.size for v in f([1])] == [0, 0, 0]
    with pytest.raises(gx.ShapeError):
        f([])
    whole = gx.function([x], [x[::-1], x[::2], x[:], gx.sum(x), gx.prod(x), gx.cumsum(x), x[None], gx.concatenate([x, x])], mode=mode)
    assert [v.tolist() for v in whole([])] == [[], [], [], 0, 1, [], [[]], []]
