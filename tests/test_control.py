"""What users write with loops and branches: trees, weak numbers, sizes, captures, state, errors that name the leaf and the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc.interp import eval as value_of
from graphc.ir import Node, make, toposort

X = gx.tensor("x", (3,))
XS = gx.tensor("xs", ("n", 3))
K = gx.tensor("k", (), "int64")
ROWS = np.arange(6.0).reshape(2, 3)
ENV: dict[Any, Any] = {X: np.ones(3), XS: ROWS, K: 3}


def run(result: Any) -> Any:
    return value_of(result, ENV)


def close(got: Any, want: Any) -> None:
    leaves, structure = gx.tree.flatten(run(got))
    wanted, expected = gx.tree.flatten(want)
    assert structure == expected
    for a, b in zip(leaves, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-14)
        assert np.asarray(a).dtype == np.asarray(b).dtype


class Pair(NamedTuple):
    a: Any
    b: Any


# -- trees, numbers, sizes --------------------------------------------------------------------------------------------------
def test_trees() -> None:
    close(gx.scan(lambda c, v: (None, v * 2), None, XS), (None, ROWS * 2))
    close(gx.scan(lambda c, v: ({}, v * 2), {}, XS), ({}, ROWS * 2))
    close(gx.scan(lambda c, v: (None, None), None, None, 3), (None, None))
    close(gx.scan(lambda c, v: (Pair(c.a + v, c.b * 2), [c.b, {"v": v}]), Pair(X, 1.0), XS),
          (Pair(np.array([4.0, 6, 8]), np.array(4.0)), [np.array([1.0, 2]), {"v": ROWS}]))  # fmt: skip
    close(gx.cond(K > 0, lambda: None, lambda: None), None)
    close(gx.while_loop(lambda v: gx.turn_index() < 3, lambda v: None, None), None)
    close(gx.scan(lambda c, v: (c + v[0] * v[1]["z"], None), 0.0, (XS[:, 0], {"z": XS[:, 1]}))[0], np.array(0.0 + 12))


def test_python_numbers_take_the_dtype_of_the_body() -> None:
    close(gx.scan(lambda c, v: (c + gx.sum(v), c), 0, XS), (np.array(15.0), np.array([0.0, 3])))
    close(gx.scan(lambda c, v: (c + gx.sum(v).astype("float32"), c), 0, XS)[0], np.array(15, "float32"))
    small = XS.astype("float32")
    close(gx.scan(lambda c, v: (c + gx.sum(v) * 0.5, c), 0.0, small), (np.array(7.5, "float32"), np.array([0, 1.5], "float32")))
    close(gx.scan(lambda c, v: ((c[0] * 2, c[1] + v), None), (1.0, 0.0), small[:, 0])[0], (np.array(4.0), np.array(3, "float32")))
    close(gx.while_loop(lambda v: v < 9, lambda v: v + small[0, 1], 0), np.array(9, "float32"))
    close(gx.scan(lambda c, v: (c.astype("float32") + v, None), 0.0, small[:, 0])[0], np.array(3, "float32"))  # no plain number
    close(gx.scan(lambda c, v: (c | (gx.sum(v) > 4), None), False, XS)[0], np.array(True))
    close(gx.while_loop(lambda v: v < 10, lambda v: v * 1.5, 1), np.array(1.5**6))
    close(gx.fori_loop(0, 4, lambda i, v: v + i / 2, 0), np.array(3.0))
    close(gx.cond(X[0] > 0, lambda: 1, lambda: X[0] * 3), np.array(1.0))
    close(gx.cond(X[0] < 0, lambda: 1, lambda: 2.5), np.array(2.5))


def test_numbers_of_turns() -> None:
    close(gx.scan(lambda c, v: (c + 1, None), 0.0, length=XS.shape[0])[0], np.array(2.0))
    n = gx.dim("turns")
    assert value_of(gx.scan(lambda c, v: (c * 2, None), 1.0, length="turns")[0], {n: 5}) == 32
    close(gx.scan(lambda c, v: (c, v[0] + v[1]), 0.0, (XS, XS * 2))[1], ROWS * 3)
    close(gx.while_loop(lambda v: gx.sum(v) < 9, lambda v: v * 2, X, max_steps=0), np.ones(3))
    close(gx.fori_loop(2, 5, lambda i, v: v * i, X), np.full(3, 24.0))
    close(gx.fori_loop(5, 2, lambda i, v: v * i, X), np.ones(3))
    close(gx.fori_loop(0, XS.shape[0], lambda i, v: v + XS[i], X), 1 + ROWS.sum(0))
    close(gx.fori_loop(1, K, lambda i, v: v + i, X), np.full(3, 4.0))
    close(gx.map(lambda v: (v * 2, gx.sum(v)), XS), (ROWS * 2, ROWS.sum(1)))


@pytest.mark.parametrize("length", [0, 1])
def test_no_turn_and_one(length: int) -> None:
    """With unknown sizes too; the derivative by what no turn has read is 0, not missing."""
    for rows in (gx.tensor("r", (length, 3)), gx.tensor("r", ("m", 3))):
        c, ys = gx.scan(lambda c, v: (c * gx.exp(v), c * v), X, rows)
        env = {X: np.array([1.0, 2, 3]), rows: np.full((length, 3), 0.5)}
        found = value_of([c, ys, *gx.grad(gx.sum(c * c) + gx.sum(ys), [X, rows]), gx.hvp(gx.sum(c * c), X, np.ones(3))], env)
        e = np.exp(0.5 * length)
        want = [env[X] * e, (env[X] * 0.5)[None][:length], 2 * env[X] * e * e + 0.5 * length]
        want += [(2 * env[X] ** 2 * e * e + env[X])[None][:length], np.full(3, 2 * e * e)]
        for a, b in zip(found, want):
            np.testing.assert_allclose(a, b, rtol=1e-14)


def test_the_index_is_clipped() -> None:
    for k, want in ((-5, 1.0), (0, 1.0), (1, 2.0), (9, 3.0)):
        for dtype in ("int8", "int64"):
            assert value_of(gx.switch(gx.asarray(k, dtype), [lambda: 1.0, lambda: 2.0, lambda: 3.0]), {}) == want
    close(gx.switch(K.astype("uint64"), [lambda v: v, lambda v: v * 2], X), np.full(3, 2.0))
    close(gx.cond(True, lambda v: v, lambda v: v * 2, X), np.ones(3))


# -- what bodies see ----------------------------------------------------------------------------------------------------------
def test_captures() -> None:
    """The carry and the turn of an outer loop in an inner one; state; a value of no loop."""
    s = gx.shared(np.full(3, 2.0), "s")

    def outer(c: Node, v: Node) -> tuple[Node, Node]:
        t = gx.turn_index()
        d, _ = gx.scan(lambda d, u: (d + c * u * t + gx.turn_index() * s, None), c, XS)
        return d, d[0]

    def by_hand() -> tuple[np.ndarray, np.ndarray]:
        c, ys = np.ones(3), []
        for t in range(2):
            d = c.copy()
            for j in range(2):
                d = d + c * ROWS[j] * t + j * 2.0
            c = d
            ys.append(d[0])
        return c, np.array(ys)

    close(gx.scan(outer, X, XS), by_hand())


def test_state_is_carried_and_updated() -> None:
    s = gx.shared(np.ones(3), "s")
    last, sums = gx.scan(lambda c, v: (c + s * v, gx.sum(c)), s, XS)
    f = gx.function([XS], sums, updates={s: last}, mode="interpret")
    np.testing.assert_array_equal(f(ROWS), [3, 6])
    np.testing.assert_array_equal(s.get_value(), [4, 6, 8])


def test_derivatives_and_lanes_in_a_body() -> None:
    descent = gx.scan(lambda c, v: (c - 0.1 * gx.grad(gx.sum((c - v) ** 2), c), None), X, XS)[0]
    c = np.ones(3)
    for row in ROWS:
        c = c - 0.2 * (c - row)
    close(descent, c)
    close(gx.grad(gx.sum(descent), X), np.full(3, 0.8**2))
    close(gx.scan(lambda c, v: (gx.vmap(lambda a: a * c[0])(v), None), X, XS)[0], np.array([0.0, 0, 0]) * 3)
    close(gx.scan(lambda c, v: (gx.jacobian(gx.sin(c) * v[1], c) @ v, None), X, XS)[0],
          (lambda c1: np.cos(c1) * 4 * ROWS[1])(np.cos(np.ones(3)) * 1 * ROWS[0]))  # fmt: skip


def test_a_jit_function_is_traced_through() -> None:
    step = gx.jit(lambda c, v: gx.tanh(c + v))

    @gx.jit
    def net(h: Any, xs: Any) -> Any:
        return gx.scan(lambda c, v: (step(c, v), gx.sum(c)), h, xs)

    c, sums = np.ones(3), []
    for row in ROWS:
        sums.append(c.sum())
        c = np.tanh(c + row)
    last, ys = net(np.ones(3), ROWS)
    np.testing.assert_allclose(last, c, rtol=1e-14)
    np.testing.assert_allclose(ys, sums, rtol=1e-14)


# -- what does not depend on what -----------------------------------------------------------------------------------------------
def test_disconnected() -> None:
    """What a loop carries beside the cost is no part of it."""
    z = gx.tensor("z", (3,))
    a, _ = gx.scan(lambda c, v: ({"a": c["a"] * v, "b": c["b"] + v}, None), {"a": X, "b": z}, XS)
    with pytest.raises(gx.DisconnectedError, match=r"do not depend on wrt .*z: f64"):
        gx.grad(gx.sum(a["a"]), z)
    with pytest.raises(gx.DisconnectedError):
        gx.jacobian(a["a"], z)
    assert np.all(value_of(gx.grad(gx.sum(a["a"]), z, disconnected="zero"), {**ENV, z: np.ones(3)}) == 0)
    late, _ = gx.scan(lambda c, v: ((c[1], c[2], c[2] * v), None), (X, X, z), XS)
    gx.grad(gx.sum(late[0]), z)  # two turns late: connected
    gx.jacobian(late[0], [X, z])
    branch = gx.cond(K > 0, lambda: {"p": X * 2, "q": z}, lambda: {"p": X, "q": X})
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.sum(branch["p"]), z)
    loop = gx.while_loop(lambda v: gx.sum(v[0]) < 9, lambda v: (v[0] * 2, v[1] + X), (X, z), max_steps=4)
    gx.grad(gx.sum(loop[1]), [X, z])
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.sum(loop[0]), z)


def test_stopped_and_constant() -> None:
    h = X * 2
    last, _ = gx.scan(lambda c, v: (c * h + gx.stop_gradient(h) * v, None), X, XS)
    close(gx.grad(gx.sum(last), [X, h]), [np.array([12.0, 16, 20]), np.array([4.0, 6, 8])])
    close(gx.grad(gx.sum(last), X, consider_constant=[h]), np.full(3, 4.0))
    close(gx.grad(None, X, known_cotangents={last: np.ones(3)}), np.array([12.0, 16, 20]))
    close(gx.grad(gx.sum(gx.scan(lambda c, v: (gx.stop_gradient(c) * v, None), X, XS)[0]), X), np.zeros(3))


def test_reverse_through_a_while_loop_needs_its_end() -> None:
    w = gx.while_loop(lambda v: gx.sum(v) < 9, lambda v: v * 2, X)
    close(gx.jvp(w, X, np.ones(3)), np.full(3, 4.0))
    close(gx.jacobian(w, X, mode="forward"), 4 * np.eye(3))
    for cost in (gx.sum(w), gx.sum(gx.fori_loop(0, K, lambda i, v: v * gx.sin(v), X))):
        with pytest.raises(gx.NotDifferentiableError, match=r"needs max_steps.*test_control\.py"):
            gx.grad(cost, X)
    close(gx.grad(gx.sum(gx.stop_gradient(w)) + gx.sum(X), X), np.ones(3))


# -- errors -------------------------------------------------------------------------------------------------------------------
def here(text: str) -> str:
    return rf"(?s){text}.*test_control\.py:\d+"


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: gx.scan(lambda c, v: (c, None), 0.0), gx.ArgumentError, "scan: neither xs nor length"),
    (lambda: gx.map(lambda v: 1.0, None), gx.ArgumentError, "map: neither xs nor length"),
    (lambda: gx.scan(3, 0.0, XS), gx.ArgumentError, "scan: 3 is no function"),  # type: ignore[arg-type]
    (lambda: gx.scan(lambda c, v: c, X, XS), gx.ArgumentError, r"scan: f must return \(carry, y\), got Node"),
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, X, 4), gx.ShapeError, here("xs has 3 rows, where 4 turns")),
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, {"a": K}), gx.ShapeError, here(r"xs\['a'\] has no leading axis")),
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, length=K), gx.ShapeError, here("scan: length is a size, which cannot come from a value")),
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, length=-1), gx.ShapeError, "scan: length: a size cannot be negative"),
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, X, reverse=1), gx.ArgumentError, "reverse is True or False, got 1"),  # type: ignore[arg-type]
    (lambda: gx.scan(lambda c, v: (c, v), 0.0, X, unroll=0), gx.ArgumentError, "unroll=0"),
    (lambda: gx.scan(lambda c, v: (c, v), gx.sin, X), gx.ArgumentError, "scan: init is a function, not an array"),
    (lambda: gx.scan(lambda c, v: ({"a": "s"}, v), {"a": 0.0}, X), gx.ArgumentError, r"scan: carry\['a'\]: cannot make .* str 's'"),
    (lambda: gx.scan(lambda c, v: ((c, c), None), X, XS), gx.ArgumentError, "different structures, at the root: a leaf and tuple of 2"),
    (lambda: gx.scan(lambda c, v: (c + v, None), np.zeros(3, "float32"), XS), gx.DTypeError,
     here("goes in as float32 and comes out as float64")),
    (lambda: gx.scan(lambda c, v: ({"a": c["a"], "b": v}, None), {"a": 1.0, "b": X[:2]}, XS), gx.ShapeError,
     here(r"init\['b'\] goes in as f64\[2\]")),
    (lambda: gx.scan(lambda c, v: (c + 1, None), True, XS), gx.DTypeError, here("init goes in as bool and comes out as int64")),
    (lambda: gx.fori_loop(0, 3, lambda i, v: v[:2], X), gx.ShapeError, here(r"fori_loop: init goes in as f64\[3\]")),
    (lambda: gx.fori_loop(0, 2.5, lambda i, v: v, X), gx.ArgumentError, "fori_loop: a bound must be an integer, got 2.5"),
    (lambda: gx.fori_loop(0, X[0], lambda i, v: v, X), gx.DTypeError, here("fori_loop: upper is f64")),
    (lambda: gx.fori_loop(X, K, lambda i, v: v, X), gx.ShapeError, here("fori_loop: lower is f64")),
    (lambda: gx.while_loop(lambda v: v < 10, lambda v: v, X), gx.ShapeError, here(r"the condition is bool\[3\], not one boolean")),
    (lambda: gx.while_loop(lambda v: 1, lambda v: v, X), gx.DTypeError, "the condition is i64"),
    (lambda: gx.while_loop(None, lambda v: v, X), gx.ArgumentError, "while_loop: None is no function"),  # type: ignore[arg-type]
    (lambda: gx.while_loop(lambda v: v[0] < 1, lambda v: gx.concatenate([v, v]), X), gx.ShapeError, here(r"comes out as f64\[6\]")),
    (lambda: gx.while_loop(lambda v: v[0] < 1, lambda v: v, X, max_steps=2.5), gx.ShapeError, "while_loop: max_steps: 2.5 is not a size"),
    (lambda: gx.cond(K, lambda: X, lambda: X), gx.DTypeError, "cond: the predicate is i64.*compare it"),
    (lambda: gx.cond(X > 0, lambda: X, lambda: X), gx.ShapeError, here(r"cond: the predicate is bool\[3\]")),
    (lambda: gx.cond(K > 0, lambda: {"a": X}, lambda: {"a": X[:2]}), gx.ShapeError,
     here(r"false_fun\['a'\] is f64\[2\], and f64\[3\] from true_fun")),
    (lambda: gx.cond(K > 0, lambda: {"a": X}, lambda: {"b": X}), gx.ArgumentError, "return different structures"),
    (lambda: gx.cond(K > 0, lambda: X, lambda: X.astype("float32")), gx.DTypeError,
     here("false_fun is float32, and float64 from true_fun")),
    (lambda: gx.switch(X[0], [lambda: X]), gx.DTypeError, here("switch: the index is f64")),
    (lambda: gx.switch(K, []), gx.ArgumentError, "switch: no branches"),
    (gx.turn_index, gx.ArgumentError, "turn_index: no loop is being built"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_name_the_leaf_and_the_line(case: int) -> None:
    build, kind, text = ERRORS[case]
    with pytest.raises(kind, match=text):
        build()


def test_rows_that_disagree_at_the_call() -> None:
    other = gx.tensor("other", ("m",))
    c, _ = gx.scan(lambda c, v: (c + v[0][0] * v[1], None), 0.0, (XS, other))
    assert value_of(c, {**ENV, other: np.ones(2)}) == 3
    with pytest.raises(gx.ShapeError, match="array 1 of xs has 3 rows, where 2 turns are asked for"):
        value_of(c, {**ENV, other: np.ones(3)})


def test_a_value_that_left_its_body() -> None:
    kept: list[Node] = []
    gx.scan(lambda c, v: (kept.append(c) or c + v, None), X, XS)
    with pytest.raises(gx.ArgumentError, match=here("depend on 'x', which stands for a value inside the body")):
        gx.function([XS], kept[0] * 2)


def test_nothing_is_built_for_what_nobody_reads() -> None:
    last, ys = gx.scan(lambda c, v: (c + v, c * v), X, XS)
    assert not any(n.op.name == "scan" for n in toposort([X * 2])) and last.inputs[0] is ys.inputs[0]


# -- lanes that are not meant for a body ------------------------------------------------------------------------------------------
def test_lanes_look_up_only_what_they_would_alone() -> None:
    """vmap of a branch that guards a lookup or a loop, and of loops of different lengths over one array: no lane fails for another."""
    data, ks = gx.asarray([1.0, 10.0, 100.0]), gx.tensor("ks", ("m",), "int64")
    xs = gx.tensor("v", ("m",))

    def guarded(k: Node, x: Node) -> Node:
        return gx.cond(k < 3, lambda: data[k] * x, lambda: x**2)

    def endless(k: Node, x: Node) -> Node:
        """Of x > 0 this ends; of others it never would."""
        return gx.cond(x > 0, lambda: gx.while_loop(lambda v: v < 50, lambda v: v * 2, x), lambda: -x)

    def summed(k: Node, x: Node) -> Node:
        return gx.fori_loop(0, k, lambda i, v: v + data[i] * x, 0.0)

    def rest(k: Node, x: Node) -> Node:
        """A lane that has ended stands at an index that is none, while others run."""
        return gx.fori_loop(k, 3, lambda i, v: v + data[i] * x, 0.0)

    def chosen(k: Node, x: Node) -> Node:
        return gx.switch(k, [lambda: x, lambda: data[k] * x, lambda: data[k - 1] + data[k] * x])

    values = np.array([0, 3, 1, 2, 3])
    points = np.array([0.5, -1.0, 3.0, -2.0, 60.0])
    for f in (guarded, endless, summed, rest, chosen):
        index = np.minimum(values, 2) if f is chosen else values
        env = {ks: index, xs: points}
        k, x = gx.scalar("k", "int64"), gx.scalar("x")
        alone = [value_of([f(k, x), gx.jvp(f(k, x), x, 1.0)], {k: a, x: b}) for a, b in zip(index, points)]
        found = value_of([gx.vmap(f)(ks, xs), gx.vmap(lambda k, x, f=f: gx.jvp(f(k, x), x, 1.0))(ks, xs)], env)
        np.testing.assert_allclose(found, np.array(alone).T, rtol=1e-14, err_msg=f.__name__)
        none = {ks: index[:0], xs: points[:0]}
        assert value_of(gx.vmap(f)(ks, xs), none).shape == (0,)


def test_derivatives_of_lanes_that_look_up() -> None:
    data, ks, x = gx.tensor("data", (3,)), gx.tensor("ks", (4,), "int64"), gx.scalar("x")
    f = lambda k: gx.cond(k < 3, lambda: data[k] * x, lambda: x**2)
    lanes = gx.vmap(f)(ks)
    env = {data: np.array([1.0, 2.0, 4.0]), ks: np.array([3, 0, 7, 2]), x: 1.5}
    found = value_of([lanes, *gx.grad(gx.sum(lanes * np.arange(1.0, 5)), [data, x])], env)
    np.testing.assert_allclose(found[0], [2.25, 1.5, 2.25, 6.0])
    np.testing.assert_allclose(found[1], [3.0, 0.0, 6.0])
    np.testing.assert_allclose(found[2], 3.0 + 2 * 1.0 + 9.0 + 4 * 4.0)


def test_what_only_decides_is_connected_and_has_derivative_zero() -> None:
    y = gx.vector("y", 3)
    chosen = gx.cond(X[0] > 0, lambda: y, lambda: 2 * y)
    by_x, by_y = gx.function([X, y], gx.grad(gx.sum(chosen), [X, y]))(np.ones(3), np.ones(3))
    assert by_x.tolist() == [0, 0, 0] and by_y.tolist() == [1, 1, 1]


def test_a_scan_with_too_few_operands_is_no_node() -> None:
    node = gx.scan(lambda c, v: (c + v, c), X, XS)[0].inputs[0]
    with pytest.raises(gx.ShapeError, match="a body of 3 inputs"):
        make(node.op, node.inputs[:1], node.params)


@pytest.mark.parametrize("k", [-2, 0, 1, 2, 3])
@pytest.mark.parametrize("n", [3, 500])
def test_each_of_three_branches(k: int, n: int) -> None:
    """As scalar code and as steps; chosen by a number, and by a truth, which can be 0 or 1 alone."""
    at, x, branches = gx.scalar("at", "int64"), gx.vector("x", n), [gx.sin, lambda v: v * 3, lambda v: gx.cumsum(v) - 1]
    values = [np.sin(np.ones(n)), np.ones(n) * 3, np.arange(float(n))]
    f = gx.function([at, x], [gx.switch(at, branches, x), gx.switch((at > 0).astype("int64"), branches, x)])
    by_number, by_truth = f(k, np.ones(n))
    np.testing.assert_allclose(by_number, values[min(max(k, 0), 2)])
    np.testing.assert_allclose(by_truth, values[int(k > 0)])
