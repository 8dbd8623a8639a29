"""Gather and scatter, every sort of key, take, take_along_axis and `at`, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.interp import evaluate
from graphc.ir import Node, Op, toposort
from graphc.ops.indexing import GATHER, SCATTER, gather, scatter
from graphc.ops.outputs import get
from tests.ops_cases import arrays, check_batch, check_derivatives, check_loops, check_values, same

n, m = dims.dim("n"), dims.dim("m")
I2, I3 = np.array([2, 0]), np.array([1, -1, 1])
I23 = np.array([[0, -2, 1], [1, 1, 0]])

# keys of an array of shape (4, 3, 5); integer arrays stay constants, or become nodes
KEYS: dict[str, tuple[Any, ...]] = {
    "one": (I2,),
    "negative": (I3,),
    "second": (slice(None), I3),
    "last": (..., I2),
    "matrix": (I23,),
    "two": (I2, I2),
    "broadcast": (I2[:, None], I3),
    "split": (I2, slice(None), I2),
    "split by none": (I2, None, I2),
    "with slice": (slice(1, 3), I2),
    "slices around": (slice(None, None, -1), I2, slice(1, None, 2)),
    "int first": (0, I2),
    "int apart": (0, slice(None), I2),
    "int middle": (slice(None), 1, I2),
    "int after": (I2, -1),
    "all": (I2, I2, I2),
    "none first": (None, I2),
    "none last": (I2, ..., None),
    "none inside": (slice(None), None, I2),
    "0-d": (np.array(1),),
    "0-d apart": (np.array(1), slice(None), np.array(-2)),
    "list": ([1, 0],),
    "int and none": (2, None, slice(None), I3),
    "empty": (np.zeros(0, np.int64),),
    "rows": (np.arange(4), np.array([0, 2, 1, 1])),
    "rows 3": (np.arange(4), np.array([0, 2, 1, 1]), I23.ravel()[:4]),
    "columns": (np.arange(4)[:, None], I3),
    "uint8": (I2.astype("uint8"),),
    "int8": (I3.astype("int8"),),
}


def as_nodes(key: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[Node, np.ndarray]]:
    """The key with variables for its arrays, and their values."""
    env: dict[Node, np.ndarray] = {}
    parts: list[Any] = []
    for part in key:
        if isinstance(part, (np.ndarray, list)):
            array = np.asarray(part)
            part = gx.tensor("i", array.shape, array.dtype)
            env[part] = array
        parts.append(part)
    return tuple(parts), env


@pytest.mark.parametrize("name", KEYS)
def test_getitem(name: str) -> None:
    key = KEYS[name]
    check_values(lambda x: x[key if len(key) > 1 else key[0]], [(4, 3, 5)])
    check_derivatives(lambda x: x[key], [(4, 3, 5)])
    check_batch(lambda x: x[key], [(4, 3, 5)])


@pytest.mark.parametrize("name", KEYS)
def test_getitem_by_nodes(name: str) -> None:
    key, env = as_nodes(KEYS[name])
    for shape in [(4, 3, 5), ("n", "m", 5)]:
        x = gx.tensor("x", shape)
        env[x] = arrays([(4, 3, 5)])[0]
        node = x[key]
        same(evaluate([node], env)[0], env[x][KEYS[name]])
        del env[x]
    x = gx.tensor("x", (4, 3, 5))
    check_loops([x[key]], {**env, x: arrays([(4, 3, 5)])[0]})


def both(part: str, key: tuple[Any, ...]) -> Callable[[Any, Any], Any]:
    """x.at[key].set(v) or .add(v), for arrays and for nodes."""

    def f(x: Any, v: Any) -> Any:
        if isinstance(x, Node):
            return getattr(x.at[key], part)(v)
        out = x.copy()
        if part == "set":
            out[key] = v
        else:
            np.add.at(out, key, v)
        return out

    return f


SLICES: dict[str, tuple[Any, ...]] = {
    "int": (1,),
    "slice": (slice(1, 3),),
    "steps": (slice(None, None, 2), slice(None, None, -2)),
    "one element": (1, -1, 2),
    "none": (0, None, slice(1, None)),
    "whole": (...,),
    "nothing": (slice(2, 2),),
}


@pytest.mark.parametrize("part", ["set", "add"])
@pytest.mark.parametrize("name", [*KEYS, *SLICES])
def test_at(part: str, name: str) -> None:
    key = {**KEYS, **SLICES}[name]
    f = both(part, key)
    selected = arrays([(4, 3, 5)])[0][key].shape
    check_values(f, [(4, 3, 5), selected], rtol=1e-13)
    check_values(f, [(4, 3, 5), ()], rtol=1e-13)
    check_derivatives(f, [(4, 3, 5), selected])
    check_batch(f, [(4, 3, 5), selected], rtol=1e-13)
    nodes, env = as_nodes(key)
    x, v = gx.tensor("x", ("n", "m", 5)), gx.tensor("v", selected)
    values = arrays([(4, 3, 5), selected])
    (got,) = evaluate([both(part, nodes)(x, v)], {**env, x: values[0], v: values[1]})
    np.testing.assert_allclose(got, f(*values), rtol=1e-13)


def test_at_of_other_values() -> None:
    x = gx.tensor("x", (3, 4), "float32")
    value = arrays([(3, 4)], "float32")[0]
    for v in (2, np.ones(4), [1, 2, 3, 4], np.ones((3, 1), "int8")):
        want = value.copy()
        want[:, 1:] = np.broadcast_to(np.asarray(v), (3, 4))[:, 1:] if np.ndim(v) else v
        if np.ndim(v) != 1:
            same(evaluate([x.at[:, 1:].set(v)], {x: value})[0], want)
    i = gx.scalar("i", "int64")
    same(evaluate([x.at[i].add(1)], {x: value, i: -1})[0], value + np.array([[0], [0], [1]], "float32"))
    assert gx.at(np.zeros(3))[0].set(1).shape == (3,)
    b = gx.tensor("b", (3,), bool)
    same(evaluate([b.at[1].set(True)], {b: np.zeros(3, bool)})[0], np.array([False, True, False]))


def test_a_later_update_wins_and_has_the_derivative() -> None:
    x, v = gx.tensor("x", (3,)), gx.tensor("v", (4,))
    i = gx.tensor("i", (4,), "int64")
    env = {x: np.zeros(3), v: np.array([1.0, 2, 3, 4]), i: np.array([1, 1, 2, 1])}
    out = x.at[i].set(v)
    same(evaluate([out], env)[0], np.array([0.0, 4, 3]))
    w = gx.tensor("w", (3,))
    back = pull_back([(out, w)], {x, v})
    got = evaluate([back[x], back[v]], {**env, w: np.array([10.0, 20, 30])})
    same(got[0], np.array([10.0, 0, 0]))
    same(got[1], np.array([0.0, 0, 30, 20]))


# -- the primitives --------------------------------------------------------------------------------------------------------
def spread(part: str, batch: int, axes: tuple[int, ...], index: tuple[np.ndarray, ...]) -> Callable[..., Any]:
    """gather or scatter with constant indices, on arrays through the reference."""

    def f(*xs: Any) -> Any:
        op = GATHER if part == "gather" else SCATTER
        params: dict[str, Any] = {"axes": axes, "batch": batch} | ({} if part == "gather" else {"mode": part})
        if isinstance(xs[0], Node):
            return op(*xs, *[gx.asarray(i) for i in index], **params)
        assert op.ref is not None
        return op.ref(*xs, *index, **params)

    return f


PRIMITIVES = {
    "one axis": (0, (0,), (I2,), (4, 3), (2, 3)),
    "batched": (1, (1,), (np.array([[0, 2], [1, 1]]),), (2, 3, 4), (2, 2, 4)),
    "batched, one each": (1, (1,), (np.array([2, 0]),), (2, 3, 4), (2, 4)),
    "batched, one each kept": (1, (2,), (np.array([[2], [0]]),), (2, 4, 3), (2, 1, 4)),
    "batched twice": (2, (3,), (np.array([[[0, 1]], [[1, 1]]]),), (2, 1, 3, 2), (2, 1, 2, 3)),
    "two axes": (1, (3, 1), (np.array([[0, 2], [1, 1]]), np.array([[1, 1], [0, 1]])), (2, 2, 4, 3), (2, 2, 4)),
    "no index axes": (0, (1,), (np.array(2),), (4, 3), (4,)),
}


@pytest.mark.parametrize("name", PRIMITIVES)
@pytest.mark.parametrize("part", ["gather", "add", "set"])
def test_primitives(name: str, part: str) -> None:
    batch, axes, index, shape, selected = PRIMITIVES[name]
    f = spread(part, batch, axes, index)
    shapes = [shape] if part == "gather" else [shape, selected]
    check_values(f, shapes, symbolic=False)
    check_derivatives(f, shapes, symbolic=False)
    check_batch(f, shapes)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_mapped_indices(name: str) -> None:
    """The indices may have the mapped axis, with or without the array."""
    batch, axes, index, shape, selected = PRIMITIVES[name]
    stacked = [np.stack([i, i[::-1] if i.ndim else 1 - i // 2]) for i in index]
    for part in ("gather", "add", "set"):
        shapes = [shape] if part == "gather" else [shape, selected]
        for mapped in ([True, True], [True, False], [False, False]):
            values = arrays([(2, *s) if k else s for s, k in zip(shapes, mapped)])
            xs = [gx.tensor("x", v.shape) for v in values]
            nodes = [gx.tensor("i", i.shape, "int64") for i in stacked]

            def f(*args: Node, part: str = part, count: int = len(shapes)) -> Node:
                given = {"axes": axes, "batch": batch}
                return gather(*args, **given) if part == "gather" else scatter(args[0], args[1], *args[count:], **given, mode=part)

            out = gx.vmap(f, (*[0 if k else None for k in mapped[: len(shapes)]], *[0] * len(nodes)))(*xs, *nodes)
            env = dict(zip([*xs, *nodes], [*values, *stacked]))
            lanes = [
                spread(part, batch, axes, tuple(i[k] for i in stacked))(*[v[k] if m_ else v for v, m_ in zip(values, mapped)])
                for k in range(2)
            ]
            same(evaluate([out], env)[0], np.stack(lanes))


def test_one_of_each_row_has_an_elementwise_derivative() -> None:
    """The gradient of picking one element of a row compares positions; no scatter is built."""
    x, y = gx.tensor("x", ("n", 10)), gx.tensor("y", ("n",), "int64")
    picks = [
        gx.take_along_axis(x, y[:, None], axis=1),
        x[gx.arange(n), y],
        x[gx.arange(x.shape[0]), y],
        gx.take_along_axis(x.T, y[None], 0),
        gx.swapaxes(x, 0, 1)[3],
        x[:, gx.scalar("k", "int64")],
    ]
    for pick in picks:
        w = gx.tensor("w", pick.shape)
        back = pull_back([(pick, w)], {x})[x]
        assert "scatter" not in {node.op.name for node in toposort([back])}
    values = {x: arrays([(4, 10)])[0], y: np.array([3, -1, 0, 9])}
    same(evaluate([picks[1]], values)[0], values[x][np.arange(4), values[y]])
    s = gx.tensor("s", (3, 10))
    constant = s[np.arange(3), [1, 5, -1]]
    w = gx.tensor("w", (3,))
    back = pull_back([(constant, w)], {s})[s]
    assert "scatter" not in {node.op.name for node in toposort([back])}
    got = evaluate([back], {s: np.zeros((3, 10)), w: np.array([1.0, 2, 3])})[0]
    assert got[0, 1] == 1 and got[1, 5] == 2 and got[2, 9] == 3 and got.sum() == 6


# -- take ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("index", [I2, I3, I23, 1, [0, 1], np.zeros((2, 0), int)], ids=str)
def test_take(axis: int | None, index: Any) -> None:
    check_values(lambda x: np.take(x, index, axis), [(4, 3, 5)])
    check_derivatives(lambda x: np.take(x, index, axis), [(4, 3, 5)])
    for mode in ("clip", "wrap"):
        wide = np.asarray(index) * 3 - 4
        check_values(lambda x, i=wide, mode=mode: np.take(x, i, axis, mode=mode), [(4, 3, 5)])


@pytest.mark.parametrize(
    ("shape", "index", "axis"),
    [
        ((4, 3), np.array([[0], [2], [-1], [1]]), 1),
        ((4, 3), I23, 0),
        ((2, 3), np.array([[0, 1, 1], [2, 2, 0]]), -1),
        ((6,), np.array([0, -1, 3]), 0),
        ((2, 3), np.array([5, 0]), None),
        ((2, 3, 4), np.array([[[1]], [[0]]]), 1),
        ((1, 3), np.array([[0, 1], [2, 2]]), 1),
    ],
)
def test_take_along_axis(shape: tuple[int, ...], index: np.ndarray, axis: int | None) -> None:
    def f(x: Any) -> Any:
        return np.take_along_axis(x, index, axis)

    if axis is None or np.broadcast_shapes(index.shape[:axis], shape[:axis]) == index.shape[:axis]:
        check_values(f, [shape], symbolic=False)
        check_derivatives(f, [shape], symbolic=False)
        check_batch(f, [shape])
    x, i = gx.tensor("x", shape), gx.tensor("i", index.shape, "int64")
    value = arrays([shape])[0]
    same(evaluate([gx.take_along_axis(x, i, axis)], {x: value, i: index})[0], f(value))


def test_roll_by_a_node() -> None:
    x, k = gx.tensor("x", ("n", 3)), gx.scalar("k", "int32")
    value = arrays([(5, 3)])[0]
    for shift in (0, 1, -2, 7, -11):
        same(evaluate([gx.roll(x, k, 0)], {x: value, k: np.int32(shift)})[0], np.roll(value, shift, 0))


def test_get() -> None:
    both_ = Op("both", 1, (), "x below and above 0.", lambda x: (x, x), ref=lambda x: (np.minimum(x, 0), np.maximum(x, 0)))
    x = gx.tensor("x", (3,))
    pair = both_(x)
    same(evaluate([get(pair, 1)], {x: np.array([-1.0, 2, 0])})[0], np.array([0.0, 2, 0]))


def test_second_derivative_of_a_composition() -> None:
    """d^2/dx^2 of sum(x[i]**3) through gather, scatter and gather again."""
    x, i = gx.tensor("x", (4,)), gx.tensor("i", (3,), "int64")
    out = x[i] * x[i] * x[i]
    w = gx.tensor("w", (3,))
    first = pull_back([(out, w)], {x})[x]
    t = gx.tensor("t", (4,))
    (second,) = push_forward([first], {x: t})
    assert second is not None
    value = np.array([1.0, 2, 3, 4])
    env = {x: value, i: np.array([1, 3, 1]), w: np.ones(3), t: np.ones(4)}
    same(evaluate([first, second], env)[0], np.array([0, 24.0, 0, 48]))
    same(evaluate([second], env)[0], np.array([0, 24.0, 0, 24]))
