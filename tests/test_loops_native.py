"""Loops and branches as native code: every result against the interpreter, and against the same program written out turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.loop_programs import both, numbers, same

DTYPES = ("float32", "float64")
LENGTHS = (0, 1, 2, 7)


def unrolled(f: Callable[[Any, Any], Any], init: Any, xs: Sequence[Any], reverse: bool = False) -> tuple[Any, list[Any]]:
    """scan in Python over rows."""
    ys: list[Any] = [None] * len(xs)
    carry = init
    for t in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
        carry, ys[t] = f(carry, xs[t])
    return carry, ys


# -- scans: what a body may hold ------------------------------------------------------------------------------------------
def cumulative(h: Any, x: Any) -> Any:
    return h + gx.cumsum(x), h * 2


def product(h: Any, x: Any) -> Any:
    h = gx.tanh(gx.outer(x, x) @ h + x)
    return h, h


def softmax(h: Any, x: Any) -> Any:
    p = gx.exp(x - gx.max(x)) / gx.sum(gx.exp(x - gx.max(x)))
    return h * 0.5 + p, gx.sum(p * h)


def gathers(h: Any, x: Any) -> Any:
    at = gx.argmax(x)
    return h + x[at], (h[at], at)


def scatters(h: Any, x: Any) -> Any:
    at = gx.argmin(x)
    return h.at[at].add(gx.sum(x)), h[::-1]


def joins(h: Any, x: Any) -> Any:
    return gx.concatenate([h[1:], x[:1]]), gx.concatenate([x, h])


def untouched(h: Any, x: Any) -> Any:
    return h, x


def old_row(h: Any, x: Any) -> Any:
    return x, h


def sorted_by(h: Any, x: Any) -> Any:
    return gx.where(x > h, x, h), gx.cumprod(gx.flip(x))


BODIES = [cumulative, product, softmax, gathers, scatters, joins, untouched, old_row, sorted_by]


@pytest.mark.parametrize(("dtype", "reverse"), [("float64", True), ("float32", False)])
@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [4, "m"])
def test_bodies_of_vectors(size: int | str, body: Callable[..., Any], dtype: str, reverse: bool) -> None:
    """Of a known size, which may become one kernel, and of one known at the call."""
    x, h = gx.tensor("x", ("n", size), dtype), gx.tensor("h", (size,), dtype)
    scanned = gx.scan(body, h, x, reverse=reverse)
    native = gx.function([x, h], scanned)
    for length in LENGTHS:
        X, H = numbers(length, 4, dtype=dtype), numbers(4, dtype=dtype, seed=1)
        both([x, h], scanned, X, H)
        rows = gx.tensor("rows", (length, 4), dtype)
        carry, ys = unrolled(body, h, [rows[t] for t in range(length)], reverse)
        want = gx.function([rows, h], [carry, ys], mode="interpret")(X, H)
        found = native(X, H)
        if length:
            stacked = [np.stack(column) for column in zip(*[gx.tree.flatten(y)[0] for y in want[1]])]
            same(gx.tree.flatten(found[1])[0], stacked)
        same([found[0]], [want[0]])


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "float32", "float64"])
def test_carries_of_every_kind(dtype: str) -> None:
    """Of rank 0 and of a symbolic size, which may be 0."""
    x = gx.tensor("x", ("n", "m"), dtype)
    step = (lambda a, b: a ^ b) if dtype == "bool" else (lambda a, b: a + b)
    start = (gx.zeros((x.shape[1],), dtype), False)
    both_carries = gx.scan(lambda c, r: ((step(c[0], r), c[1] | gx.any(r > c[0])), c), start, x)
    for n in (0, 1, 3):
        for m in (0, 1, 5):
            both([x], both_carries, (numbers(n, m) * 3).astype(dtype))


def test_the_turn_is_a_number_in_the_body() -> None:
    for reverse in (False, True):
        carry, ys = gx.scan(
            lambda s, _: (s * 2 + gx.turn_index(), (s, gx.turn_index())), gx.asarray(1), length=gx.dim("n"), reverse=reverse
        )
        x = gx.tensor("x", ("n",))
        for n in LENGTHS:
            both([x], (carry, ys), np.zeros(n))


def test_carries_change_places() -> None:
    carry, ys = gx.scan(lambda c, _: ((c[1], c[0], c[2]), (c[0], c[1])), (1.0, 2.0, 3.0), length=gx.dim("n"))
    x = gx.tensor("x", ("n",))
    for n in LENGTHS:
        found = both([x], (carry, ys), np.zeros(n))
        assert [float(v) for v in found[:3]] == ([1, 2, 3] if n % 2 == 0 else [2, 1, 3])


def test_one_value_begins_several_carries_and_is_read_after_the_loop() -> None:
    x, h = gx.tensor("x", ("n", 3)), gx.tensor("h", (3,))
    start = gx.exp(h)
    (a, b), ys = gx.scan(lambda c, r: ((c[0] + r, c[1] * r), c[0] - c[1]), (start, start), x)
    (again, _), _ = gx.scan(lambda c, r: ((c[0] + c[1], r), None), (a, start), x)
    for n in LENGTHS:
        both([x, h], (a, b, ys, start, again, start * a), numbers(n, 3), numbers(3, seed=1))


# -- nested ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scan_in_a_scan(dtype: str) -> None:
    x = gx.tensor("x", ("n", "m", 3), dtype)

    def outer(h: Any, rows: Any) -> Any:
        last, ys = gx.scan(lambda s, r: (gx.sin(s + r) * gx.turn_index().astype(dtype), s * r), h, rows, reverse=True)
        return last + gx.sum(ys, axis=0), (ys, gx.sum(ys, axis=1))

    result = gx.scan(outer, gx.ones((3,), dtype), x)
    for n in (0, 1, 3):
        for m in (0, 1, 2):
            both([x], result, numbers(n, m, 3, dtype=dtype))


def test_three_deep_with_a_branch() -> None:
    x = gx.tensor("x", ("n", 2, 3, 2))

    def innermost(s: Any, r: Any) -> Any:
        grown = gx.cond(gx.sum(r) > 0, lambda v: gx.scan(lambda c, e: (c + e, c), v, r)[0], lambda v: v - 1.0, s)
        return grown, grown * gx.turn_index()

    def middle(s: Any, rows: Any) -> Any:
        return gx.scan(innermost, s, rows)

    result = gx.scan(lambda s, block: gx.scan(middle, s, block), 0.5, x)
    for n in (0, 1, 4):
        both([x], result, numbers(n, 2, 3, 2))


# -- while -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("most", [None, 0, 1, 4, 100])
def test_a_while_loop(most: int | None) -> None:
    x = gx.tensor("x", (3,))
    last = gx.while_loop(lambda v: gx.sum(v[0]) < 50.0, lambda v: (v[0] * 2 + gx.turn_index(), v[1] + 1), (x, 0), max_steps=most)
    for start in (0.5, 3.0, 100.0):
        both([x], last, np.full(3, start))


def test_a_while_loop_of_one_number_and_the_agm() -> None:
    a, b = gx.tensor("a"), gx.tensor("b")
    mean, other = gx.while_loop(lambda v: abs(v[0] - v[1]) > 1e-15 * v[0], lambda v: ((v[0] + v[1]) / 2, gx.sqrt(v[0] * v[1])), (a, b))
    found, _ = both([a, b], (mean, other), 1.0, 0.3)
    from scipy.special import ellipk

    np.testing.assert_allclose(found, np.pi / 2 / ellipk(1 - 0.3**2), rtol=1e-14)


def test_a_condition_is_not_asked_after_the_last_turn() -> None:
    """It would read beyond the end of x."""
    x = gx.tensor("x", (4,))
    last = gx.while_loop(lambda v: x[v] < 10.0, lambda v: v + 1, 0, max_steps=4)
    assert both([x], last, np.zeros(4))[0] == 4
    never = gx.while_loop(lambda v: x[v + 9] < 10.0, lambda v: v + 1, 0, max_steps=gx.dim("k"))
    y = gx.tensor("y", ("k",))
    assert both([x, y], never, np.zeros(4), np.zeros(0))[0] == 0
    with pytest.raises(gx.IndexOutOfRange, match="index 9"):
        gx.function([x, y], never)(np.zeros(4), np.zeros(1))


def test_a_while_loop_in_a_condition() -> None:
    """How often can n be halved: as long as a loop of its own says that it is even."""
    n = gx.tensor("n", (), "int64")
    even = lambda v: gx.while_loop(lambda w: w > 1, lambda w: w - 2, v) == 0
    last = gx.while_loop(even, lambda v: v // 2, n, max_steps=20)
    free = gx.while_loop(even, lambda v: v // 2, n)
    for value in (48, 7, 32):
        assert [int(v) for v in both([n], (last, free), value)] == [value // (value & -value)] * 2


# -- branches --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_switch(count: int) -> None:
    i, x = gx.tensor("i", (), "int64"), gx.tensor("x", (3,))
    results = [lambda v, k=k: (v * k, gx.sum(v) + k, v if k % 2 else gx.exp(v)) for k in range(count)]
    chosen = gx.switch(i, results, x)
    for index in range(-2, count + 2):
        both([i, x], chosen, index, np.arange(3.0))


def test_only_the_branch_taken_runs() -> None:
    """The other one would read out of range."""
    i, x = gx.tensor("i", (), "int64"), gx.tensor("x", (3,))
    picked = gx.cond(i < 3, lambda: x[i], lambda: gx.sum(x))
    f = gx.function([i, x], picked, mode="verify")
    assert f(1, np.arange(3.0)) == 1 and f(7, np.arange(3.0)) == 3
    with pytest.raises(gx.IndexOutOfRange, match="index -9"):
        f(-9, np.arange(3.0))


# -- checks and state --------------------------------------------------------------------------------------------------------
def test_a_check_in_a_body_names_the_index_and_leaves_state_as_it_was() -> None:
    i, x = gx.tensor("i", ("n",), "int64"), gx.tensor("x", (4,))
    state = gx.shared(np.zeros(4))
    last, ys = gx.scan(lambda s, k: (s + x[k], s), state, i)
    f = gx.function([i, x], ys, updates={state: last}, mode="verify")
    f(np.array([0, 3, 1]), np.arange(4.0))
    np.testing.assert_array_equal(state.get_value(), np.full(4, 4.0))
    with pytest.raises(gx.IndexOutOfRange, match=r"index 4 at position \(\) is out of range for axis 0 of size 4"):
        f(np.array([0, 3, 4, 9]), np.arange(4.0))
    np.testing.assert_array_equal(state.get_value(), np.full(4, 4.0))
    f(np.array([1]), np.arange(4.0))
    np.testing.assert_array_equal(state.get_value(), np.full(4, 5.0))


def test_captured_state_and_constants() -> None:
    state, x = gx.shared(np.arange(3.0)), gx.tensor("x", ("n", 3))
    table = gx.asarray(np.arange(9.0).reshape(3, 3))
    last, ys = gx.scan(lambda s, r: (table @ s * 0.1 + state * r, state + s), state * 1.0, x)
    f = gx.function([x], ys, updates={state: last + state}, mode="verify")
    g = gx.function([x], (ys, last + state), mode="interpret")
    for n in LENGTHS:
        X = numbers(n, 3)
        want, new = g(X)
        same([f(X), state.get_value()], [want, new])


# -- what it costs -----------------------------------------------------------------------------------------------------------
def test_kernels_and_memory_do_not_grow_with_the_length() -> None:
    x = gx.tensor("x", ("n", 64))
    last, _ = gx.scan(lambda h, r: (gx.tanh(h + gx.cumsum(r)), h), gx.zeros((64,)), x)
    f = gx.function([x], last)
    assert f.memory(n=3)["arena"] == f.memory(n=3000)["arena"] < 8192
    assert f.cost(n=3000)["operations"] == 1000 * f.cost(n=3)["operations"] > 0
    known = [gx.function([], gx.scan(lambda h, _: (gx.tanh(h + gx.cumsum(h)), None), gx.ones((64,)), length=n)[0]) for n in (3, 3000)]
    assert known[0].program.replace("in 3:", "in 3000:") == known[1].program


# -- calls of Python -----------------------------------------------------------------------------------------------------------
def test_calls_in_loops_and_branches_are_made_once_each() -> None:
    seen: list[float] = []

    def grows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(float(b))
        return a * b, np.sum(a)

    x = gx.tensor("x", ("n",))
    call = gx.callback(grows, lambda a, b: (a, b))
    turn = lambda s, e: gx.cond(e > 0, lambda: call(s, e), lambda: (s, e))
    last, ys = gx.scan(turn, gx.ones((3,)), x)
    f = gx.function([x], (last, ys, call(last, x[0])[0]), mode="verify")
    X = np.array([2.0, -1.0, 3.0, 0.5])
    found = f(X)
    assert seen == [2.0, 3.0, 0.5, 2.0]
    same(found, [np.full(3, 3.0), [3.0, -1.0, 6.0, 18.0], np.full(3, 6.0)])
    same(gx.tree.flatten(gx.function([x], (last, ys), mode="interpret")(X))[0], found[:2])


def test_an_exception_in_a_body_passes_through() -> None:
    class Ours(Exception):
        pass

    def fails(a: np.ndarray) -> np.ndarray:
        if a > 2:
            raise Ours("more than 2")
        return a

    x, state = gx.tensor("x", ("n",)), gx.shared(1.0)
    last, _ = gx.scan(lambda s, e: (s + gx.callback(fails, e)(e), None), state, x)
    f = gx.function([x], last, updates={state: last}, mode="verify")
    assert f([1.0, 2.0]) == 4.0 == state.get_value()
    for _ in range(2):
        with pytest.raises(Ours, match="more than 2"):
            f([1.0, 3.0, 2.0])
        assert state.get_value() == 4.0
    assert f([]) == 4.0


def test_what_a_call_in_a_body_gives_is_checked() -> None:
    x = gx.tensor("x", ("n", 2))
    for result, error in ((lambda a: a[:1], gx.ShapeError), (lambda a: "no", gx.DTypeError), (lambda a: (a, a), gx.ArgumentError)):
        last, _ = gx.scan(lambda s, e, result=result: (s + gx.callback(result, e)(e), None), gx.zeros((2,)), x)
        with pytest.raises(error):
            gx.function([x], last)(np.ones((2, 2)))


# -- operands that are pieces of others ----------------------------------------------------------------------------------------
def test_a_piece_of_an_array_is_not_copied() -> None:
    """Rows from one on, one matrix of several, a reshape: the loop reads them where they lie."""
    x, h, w = gx.tensor("x", ("n", 6, 40)), gx.tensor("h", (40,)), gx.tensor("w", (3, 40, 40))
    turn = lambda c, r: (gx.tanh(w[1] @ c + gx.sum(r.reshape((2, 3, 40))[1], axis=0)), None)
    pieces = [x[1:], x[:-1].reshape((-1, 6, 40)), x[:, :]]
    for xs in pieces:
        last = gx.scan(turn, h, xs)[0]
        f = gx.function([x, h, w], last)
        assert f.memory(n=2000)["arena"] == f.memory(n=2)["arena"]
        for n in (1, 2, 5):
            both([x, h, w], last, numbers(n, 6, 40), numbers(40), numbers(3, 40, 40) * 0.1)
    others = [
        gx.scan(lambda c, r: (gx.tanh(w[2] @ c + r), c), h, x[0]),
        gx.scan(lambda c, r: (gx.tanh(w[2] @ c + r), c), x[0, 1], x[1, 2:4]),
        gx.scan(lambda c, r: (gx.tanh(w[0] @ c + r), gx.sum(r)), h, x[:, 2], reverse=True),
        gx.scan(lambda c, r: (gx.tanh(w[0] @ c + r), gx.sum(r)), h, x[::2, 2]),
        gx.cond(h[0] > 0, lambda v, u: gx.sum(v) * u, lambda v, u: u - gx.sum(v), x[1:, :2], x[0, 0]),
        gx.callback(lambda a, b: a + b, x[0])(x[1], x[0]),
    ]
    for n in (2, 5):
        both([x, h, w], others, numbers(n, 6, 40), numbers(40), numbers(3, 40, 40) * 0.1)


def test_the_cost_of_a_loop_is_that_of_its_turns() -> None:
    """The body times the turns, also where it computes with the turn; a while loop is max_steps turns, or one."""
    x = gx.tensor("x", ("n", "m"))
    add = lambda turns, **more: gx.while_loop(lambda v: v[0] < 9.0, lambda v: gx.tanh(v + gx.turn_index()), x[0], **more)
    scanned = gx.function([x], gx.scan(lambda h, r: (gx.tanh(h * gx.turn_index() + r), None), x[0], x)[0])
    assert scanned.cost(n=10**7, m=80)["transcendental"] == 80 * 10**7
    assert gx.function([x], add(0)).cost(n=3, m=80)["transcendental"] == 80
    assert gx.function([x], add(0, max_steps=50)).cost(n=3, m=80)["transcendental"] == 80 * 50
    assert "for turn0 in n:" in scanned.program and "scan(" in scanned.graph and "for i0 in m" in scanned.loops
    chosen = gx.function([x], gx.cond(x[0, 0] > 0, lambda: gx.tanh(x), lambda: gx.sin(gx.tanh(x))))
    assert chosen.cost(n=5, m=80)["transcendental"] == 2 * 5 * 80 and "if %" in chosen.program and "else:" in chosen.program


def first_then_all(c: Any, r: Any) -> Any:
    """Of the carry v, one nest stores the new value, and later ones read the old one."""
    s, v = c
    return (gx.sin(s) * r[0] * gx.max(v), gx.softmax(s) - gx.mean(r)), gx.sum(v)


def softmax_of_the_other(c: Any, r: Any) -> Any:
    s, v = c
    return (v * r[0] + 1.0, gx.exp(s - gx.max(s)) / gx.sum(gx.exp(s - gx.max(s)))), s[0]


def number_and_vector(c: Any, r: Any) -> Any:
    s, v = c
    return (s + gx.sum(v * v), v * v[0] - gx.max(v) * s[0]), v * s


@pytest.mark.parametrize("size", [70, "m"])
@pytest.mark.parametrize("body", [first_then_all, softmax_of_the_other, number_and_vector], ids=lambda f: f.__name__)
def test_an_old_value_is_read_before_the_new_one_takes_its_place(body: Callable[..., Any], size: Any) -> None:
    x, h, g = gx.tensor("x", ("n", size)), gx.tensor("h", (size,)), gx.tensor("g", (size,))
    result = gx.scan(body, (h, g), x)
    for n in (1, 4):
        both([x, h, g], result, numbers(n, 70), numbers(70), numbers(70, seed=1))


# -- found by drawing programs ---------------------------------------------------------------------------------------------------
def test_a_loop_as_long_as_no_array_is() -> None:
    """Its length is a size of which no buffer has a shape."""
    h, x = gx.tensor("h", ("m",)), gx.tensor("x", ("n",))
    lots = gx.scan(lambda c, _: (gx.sin(c), None), h, length=x.shape[0] * 2 + 1)[0]
    for n in (0, 1, 4):
        both([h, x], lots, numbers(90), numbers(n))


def test_a_scan_of_what_a_scan_gave() -> None:
    """Through another value, along an axis that would be split for threads."""
    x = gx.tensor("x", ("n",))
    twice = gx.cumsum(gx.cumsum(x) * 0.5 + gx.cumsum(gx.sin(x)))
    both([x], (twice, gx.scan(lambda c, _: (gx.cumsum(gx.tanh(gx.cumsum(c))) * 0.1, None), x, length=2)[0]), numbers(50))


def test_an_index_from_data_into_what_was_padded_or_reshaped() -> None:
    x, i = gx.tensor("x", ("n", 3)), gx.tensor("i", (), "int64")
    body = lambda c, r: (gx.pad(c, 1)[i % 3] + gx.concatenate([c, r]).reshape((3, 2))[i % 3, 1] * gx.flip(c), c)
    for index in (0, 1, 5):
        both([x, i], gx.scan(body, gx.ones((3,)), x), numbers(4, 3), index)
