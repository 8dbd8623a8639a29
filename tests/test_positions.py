"""Positions, stretches that begin where data say, elements replaced, put in and left out: against NumPy and JAX's documented meaning."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import toposort
from tests.derivatives import check_derivatives
from tests.ops_cases import arrays


def called(inputs: list[gx.Node], outputs: Any, *given: Any) -> Any:
    """Natively and by the interpreter, which must agree."""
    results = [gx.function(inputs, outputs, mode=mode)(*given) for mode in ("default", "interpret")]
    for a, b in zip(gx.tree.flatten(results[0])[0], gx.tree.flatten(results[1])[0]):
        np.testing.assert_array_equal(a, b)
    return results[0]


# -- stretches -----------------------------------------------------------------------------------------------------------------
def stretch(shape: tuple[int, ...], sizes: tuple[int, ...], starts: tuple[int, ...]) -> tuple[slice, ...]:
    """JAX's rule: negative starts count from the end, then each is moved to where the slice fits."""
    moved = [min(max(s + n if s < 0 else s, 0), n - m) for n, m, s in zip(shape, sizes, starts)]
    return tuple(slice(s, s + m) for s, m in zip(moved, sizes))


@pytest.mark.parametrize("sizes", [(2, 3), (4, 1), (0, 2), (1, 0), (4, 3)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_dynamic_slices(sizes: tuple[int, int], symbolic: bool) -> None:
    X = arrays([(4, 3)])[0]
    x, i, j = gx.tensor("x", ("n", "m") if symbolic else (4, 3)), gx.scalar("i", "int32"), gx.scalar("j", "int64")
    u = gx.tensor("u", sizes)
    U = arrays([sizes], seed=1)[0]
    outputs = [gx.dynamic_slice(x, start, sizes) for start in ((i, j), (i, 1), (-1, j))]
    outputs += [gx.dynamic_update_slice(x, u, start) for start in ((i, j), (i, 0), (-2, 7))]
    f = [gx.function([x, i, j, u], outputs, mode=mode) for mode in ("default", "interpret")]
    for a, b in itertools.product((0, 1, 3, 9, -1, -9), (0, 2, -1)):
        starts = [(a, b), (a, 1), (-1, b), (a, b), (a, 0), (-2, 7)]
        for call in f:
            for k, (got, start) in enumerate(zip(call(X, np.int32(a), b, U), starts)):
                key = stretch(X.shape, sizes, start)
                want = X[key]
                if k >= 3:
                    want = X.copy()
                    want[key] = U
                np.testing.assert_array_equal(got, want)


def test_starts_as_a_vector_and_over_a_batch() -> None:
    x, s = gx.tensor("x", (5, 4, 3)), gx.tensor("s", (5, 2), "int64")
    X, S = arrays([(5, 4, 3)])[0], np.array([[0, 0], [9, 1], [-1, -2], [2, 2], [1, -9]])
    (got,) = called([x, s], [gx.vmap(lambda x, s: gx.dynamic_slice(x, s, (2, 2)))(x, s)], X, S)
    np.testing.assert_array_equal(got, np.stack([r[stretch((4, 3), (2, 2), tuple(t))] for r, t in zip(X, S)]))
    u = gx.tensor("u", (5, 2, 2))
    (got,) = called([x, u, s], [gx.vmap(lambda x, u, s: gx.dynamic_update_slice(x, u, s))(x, u, s)], X, np.zeros((5, 2, 2)), S)
    want = X.copy()
    for r, t in zip(want, S):
        r[stretch((4, 3), (2, 2), tuple(t))] = 0
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("starts", [(1, 0), (1, 2), (0, 1)])
def test_derivatives_of_stretches(starts: tuple[int, int]) -> None:
    nodes = [gx.asarray(np.array(starts))[k] + (gx.arange(1)[0] if k else 0) for k in range(2)]
    X, U = arrays([(4, 3), (2, 2)])
    check_derivatives(lambda x: gx.dynamic_slice(x, nodes, (2, 2)) ** 2, X / 50)
    check_derivatives(lambda x, u: gx.dynamic_update_slice(x, u, nodes) ** 2, X / 50, U / 50)


def test_no_board_of_winners() -> None:
    """Places that follow one another are different ones: the derivative of an update needs no look at which of several counts."""
    x, u, i = gx.tensor("x", (9, 8)), gx.tensor("u", (3, 2)), gx.scalar("i", "int64")
    g = gx.grad(gx.sum(gx.dynamic_update_slice(x, u, (i, i)) ** 2), [x, u])
    assert sum(n.op.name == "scatter" for n in toposort(g)) == 2  # the update, and its part taken out of the cotangent


def test_errors_of_stretches() -> None:
    x, i = gx.tensor("x", (4, 3)), gx.scalar("i", "int64")
    for build, error, text in [
        (lambda: gx.dynamic_slice(x, (i,), (2, 2)), gx.ShapeError, "dynamic_slice: 1 starts and 2 sizes for 2 axes"),
        (lambda: gx.dynamic_slice(x, (i, i), (5, 2)), gx.ShapeError, "dynamic_slice: 5 elements along axis 0 of size 4"),
        (lambda: gx.dynamic_slice(x, (i, 0.5), (2, 2)), gx.DTypeError, "dynamic_slice: a start is a 0-d integer"),
        (lambda: gx.dynamic_update_slice(x, gx.ones((2, 4)), (i, 0)), gx.ShapeError, "4 elements along axis 1 of size 3"),
        (lambda: gx.dynamic_update_slice(x, gx.ones(2), (i, 0)), gx.ShapeError, "2 starts and 1 sizes for 2 axes"),
    ]:
        with pytest.raises(error, match=text):
            build()


# -- positions -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["tril_indices", "triu_indices"])
def test_triangles(name: str) -> None:
    n = gx.dim("n")
    x = gx.tensor("x", (n,))
    ks = (-4, -1, 0, 1, 4)
    for size, k, m in itertools.product((0, 1, 3), ks, (None, 2, 4)):
        for got, want in zip(getattr(gx, name)(size, k, m), getattr(np, name)(size, k, m)):
            np.testing.assert_array_equal(got.eval(), want)
    f = gx.function([x], [getattr(gx, name)(n, k) for k in ks])
    for size in (0, 1, 2, 3, 5):
        for k, pair in zip(ks, f(np.zeros(size))):
            for got, want in zip(pair, getattr(np, name)(size, k)):
                np.testing.assert_array_equal(got, want)
    square = gx.tensor("a", (n, n))
    (taken,) = called([square], [square[getattr(gx, f"{name}_from")(square, 1)]], np.arange(9.0).reshape(3, 3))
    np.testing.assert_array_equal(taken, np.arange(9.0).reshape(3, 3)[getattr(np, name)(3, 1)])
    with pytest.raises(gx.ArgumentError, match="is no formula of the sizes"):
        getattr(gx, name)(n, 0, 3)


def test_grids_and_diagonals() -> None:
    X = np.arange(20).reshape(4, 5)
    x, i = gx.tensor("x", (4, 5), "int64"), gx.tensor("i", (2,), "int64")
    rows, columns = np.array([True, False, True, True]), [1, -1]
    outputs = [x[gx.ix_(rows, columns)], x[gx.ix_(i, [0])], x.at[gx.ix_([0, 2], [1, 3])].add(100), x[:, :4][gx.diag_indices(4)],
               x[:, :4][gx.diag_indices_from(x[:, :4])]]  # fmt: skip
    got = called([x, i], outputs, X, [3, -4])
    want = X.copy()
    want[np.ix_([0, 2], [1, 3])] += 100
    for a, b in zip(got, [X[np.ix_(rows, columns)], X[np.ix_([3, -4], [0])], want, np.diagonal(X), np.diagonal(X)]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 1, 3), ("n", 2)])
def test_flat_positions(shape: tuple[Any, ...]) -> None:
    sizes = tuple(6 if s == "n" else s for s in shape)
    total = int(np.prod(sizes))
    flat = gx.tensor("i", ("k",), "int32")
    if "n" in shape:
        x = gx.tensor("x", shape)
        inputs, given, shape = [flat, x], (np.arange(total, dtype="int32"), np.zeros(sizes)), x.shape
    else:
        inputs, given = [flat], (np.arange(total, dtype="int32"),)
    parts = gx.unravel_index(flat, shape)
    moved = [p * 2 - 1 for p in parts]
    modes = ["wrap", "clip", ["wrap", "clip", "wrap"][: len(sizes)]]
    got = called(inputs, [parts, gx.ravel_multi_index(parts, shape), *[gx.ravel_multi_index(moved, shape, m) for m in modes],
                          gx.ravel_multi_index(moved, shape)], *given)  # fmt: skip
    want = np.unravel_index(np.arange(total), sizes)
    for a, b in zip(got[0], want):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(got[1], np.arange(total))
    away = [p * 2 - 1 for p in want]
    for a, m in zip(got[2:5], modes):
        np.testing.assert_array_equal(a, np.ravel_multi_index(away, sizes, m if isinstance(m, str) else tuple(m)))
    outside = np.any([(a < 0) | (a >= n) for a, n in zip(away, sizes)], axis=0)
    assert (got[5][outside] == total).all() and (got[5][~outside] < total).all()


# -- elements ----------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_put_along_axis(axis: int | None) -> None:
    X = arrays([(3, 4)])[0]
    J = np.array([[0, -1, 2, 0]]) if axis == 0 else np.array([3, -2, 0]) if axis is None else np.array([[1, 0], [-1, 3], [2, 2]])
    V = arrays([J.shape], seed=2)[0]
    x, i, v = gx.tensor("x", (3, 4)), gx.tensor("i", J.shape, "int64"), gx.tensor("v", J.shape)
    want, number = X.copy(), X.copy()
    np.put_along_axis(want, J, V, axis)
    np.put_along_axis(number, J, 7.0, axis)
    got = called([x, i, v], [gx.put_along_axis(x, i, v, axis), gx.put_along_axis(x, J, 7, axis)], X, J, V)
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], number)
    check_derivatives(lambda x, v: gx.put_along_axis(x, J, v, axis) ** 2, X / 50, V / 50)


def test_what_numpy_does_in_place() -> None:
    rng = random.Random(0)
    for shape in ((4,), (2, 3), (0,), (3, 1)):
        X, M = arrays([shape])[0], np.array([rng.random() < 0.5 for _ in range(int(np.prod(shape)))], bool).reshape(shape)
        x, m = gx.tensor("x", shape), gx.tensor("m", shape, "bool")
        n = X.size
        places = np.array([n - 1, 0, -n] if n else [], int)
        outputs, expected = [], []
        for values in (5.0, [1.0, 2.0], np.arange(7.0), -X):
            outputs += [gx.place(x, m, values), gx.putmask(x, m, values), gx.put(x, places, values), gx.put(x, places * 3, values, "clip"),
                        gx.put(x, places * 3, values, "wrap")] if n or np.size(values) else []  # fmt: skip
            for f, *arguments in [(np.place, M, values), (np.putmask, M, values), (np.put, places, values),
                                  (np.put, places * 3, values, "clip"),
                                  (np.put, places * 3, values, "wrap")] if n or np.size(values) else []:  # fmt: skip
                want = X.copy()
                f(want, *arguments)
                expected.append(want)
        for a, b in zip(called([x, m], outputs, X, M), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_diagonals_filled() -> None:
    for shape, wrap in [
        ((3, 3), False),
        ((2, 4), False),
        ((7, 2), False),
        ((7, 2), True),
        ((8, 3), True),
        ((3, 3, 3), False),
        ((0, 2), False),
    ]:
        X = arrays([shape])[0]
        x = gx.tensor("x", shape)
        for value in (0.5, [1.0, 2.0], np.arange(6.0).reshape(2, 3)):
            want = X.copy()
            np.fill_diagonal(want, value, wrap)
            np.testing.assert_array_equal(called([x], gx.fill_diagonal(x, value, wrap), X), want)
    X = arrays([(3, 4)])[0]
    check_derivatives(lambda x, v: gx.fill_diagonal(x, v) ** 2, X / 50, np.array([0.3, -0.4]))


def test_choose() -> None:
    A = np.array([[0, 2, 1], [1, 1, 0]])
    choices = arrays([(2, 3), (3,), ()])
    a, nodes = gx.tensor("a", (2, 3), "int64"), [gx.tensor(f"c{k}", c.shape) for k, c in enumerate(choices)]
    (got,) = called([a, *nodes], [gx.choose(a, nodes)], A, *choices)
    np.testing.assert_array_equal(got, np.choose(A, choices))
    for mode in ("clip", "wrap"):
        np.testing.assert_array_equal(
            called([a, *nodes], gx.choose(a, nodes, mode), A * 3 - 2, *choices), np.choose(A * 3 - 2, choices, mode=mode)
        )
    with pytest.raises(gx.IndexOutOfRange):
        gx.function([a, *nodes], gx.choose(a, nodes))(A + 1, *choices)
    with pytest.raises(gx.IndexOutOfRange, match="choose: 3 is none of 3 choices"):
        gx.choose([0, 3], nodes)
    check_derivatives(lambda *c: gx.choose(A, list(c)) ** 2, *[c / 50 for c in choices])


# -- lengths -----------------------------------------------------------------------------------------------------------------------
INSERTED: list[tuple[tuple[int, ...], Any, Any, int | None]] = [
    ((5,), 2, 9, None), ((5,), -1, [7, 8], 0), ((5,), [1, 3], [7, 8], 0), ((5,), [3, 1, 1], [7, 8, 9], 0), ((5,), slice(1, 4), 6, 0),
    ((2, 3), 1, 9, 1), ((2, 3), 1, [7, 8], 1), ((2, 3), [1], [[7], [8]], 1), ((2, 3), [0, 2], [7, 8], 1), ((2, 3), 2, [7, 8, 9], 0),
    ((2, 3), 1, 5, None), ((0,), 0, 4, 0), ((2, 3), [], np.zeros((2, 0)), 1), ((2, 3), np.array([2]), 9, 1), ((3,), 3, 1, 0),
]  # fmt: skip


@pytest.mark.parametrize("shape, obj, values, axis", INSERTED)
def test_insert(shape: tuple[int, ...], obj: Any, values: Any, axis: int | None) -> None:
    X = arrays([shape])[0]
    x, v = gx.tensor("x", shape), gx.tensor("v", np.shape(values))
    want = np.insert(X, obj, values, axis)
    np.testing.assert_array_equal(called([x, v], gx.insert(x, obj, v, axis), X, np.asarray(values, float)), want)
    if isinstance(obj, int) and axis is not None:
        y = gx.tensor("y", tuple("n" if k == axis else s for k, s in enumerate(shape)))
        np.testing.assert_array_equal(called([y, v], gx.insert(y, obj, v, axis), X, np.asarray(values, float)), want)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_delete_and_append(axis: int | None) -> None:
    X = arrays([(3, 4)])[0]
    x, y = gx.tensor("x", (3, 4)), gx.tensor("y", ("n", "m"))
    for obj in (0, -1, slice(None, None, 2), [1, -2], [], np.array([True, False, True, False][: 3 if axis == 0 else 4])):
        if axis is None and isinstance(obj, np.ndarray):
            continue
        want = np.delete(X, obj, axis)
        np.testing.assert_array_equal(called([x], gx.delete(x, obj, axis), X), want)
        if isinstance(obj, int) and axis is not None:
            np.testing.assert_array_equal(called([y], gx.delete(y, obj, axis), X), want)
    np.testing.assert_array_equal(called([x, y], gx.append(x, y, axis), X, X), np.append(X, X, axis))


def test_errors() -> None:
    x, i = gx.tensor("x", (4, 3)), gx.tensor("i", (2,), "int64")
    for build, error, text in [
        (lambda: gx.delete(x, 4, 0), gx.IndexOutOfRange, "delete: position 4 is out of range for axis 0 of size 4"),
        (lambda: gx.insert(x, 5, 0, 0), gx.IndexOutOfRange, "insert: position 5 is out of range for axis 0 of size 4"),
        (lambda: gx.delete(x, i, 0), gx.ArgumentError, "delete: the positions must be known when the graph is built"),
        (lambda: gx.delete(gx.tensor("y", ("n",)), [0, 1], 0), gx.ArgumentError, "positions along an axis of size n are an integer"),
        (lambda: gx.unravel_index(12, (4, 3)), gx.IndexOutOfRange, "unravel_index: index 12 is out of range for an array of size 12"),
        (lambda: gx.ravel_multi_index((1, 3), (4, 3)), gx.IndexOutOfRange, "index 3 is out of range for axis 1 of size 3"),
        (lambda: gx.ravel_multi_index((1, i), (4, 3), "bounce"), gx.ArgumentError, "mode is 'raise', 'clip' or 'wrap', got 'bounce'"),
        (lambda: gx.ix_([[1]]), gx.ShapeError, "ix_: argument 0 has 2 axes, a vector is needed"),
        (lambda: gx.fill_diagonal(x[0], 1), gx.ShapeError, "fill_diagonal needs two axes, or more of one size"),
        (lambda: np.fill_diagonal(x, 1), gx.ArgumentError, r"np.fill_diagonal changes its argument in place.*gx.fill_diagonal gives"),
        (lambda: np.copyto(x, 1), gx.ArgumentError, r"np.copyto changes its argument in place.*gx.where\(mask, value, x\)"),
        (lambda: np.put_along_axis(x, i[None], 1, 0), gx.ArgumentError, "np.put_along_axis changes its argument in place"),
    ]:
        with pytest.raises(error, match=text):
            build()
