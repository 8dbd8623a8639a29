"""Which indices are checked, where one out of range is reported, and the errors of keys."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.create import iota
from graphc.ops.indexing import GATHER, SCATTER, gather
from graphc.ops.ranges import never_negative, within
from graphc.program import Check
from graphc.traits import Selects

n, m = dims.dim("n"), dims.dim("m")


def checked(node: Node) -> list[Selects]:
    (found,) = [m_ for m_ in toposort([node]) if m_.op in (GATHER, SCATTER)]
    return found.op.traits.checked(found)


def test_only_unknown_indices_are_checked() -> None:
    x, i = gx.tensor("x", ("n", 7)), gx.tensor("i", (3,), "int64")
    assert [s.size for s in checked(x[i])] == [n]
    assert [s.size for s in checked(x[:, i])] == [7]
    assert [s.size for s in checked(x.at[i].add(1))] == [n]
    assert checked(x[:, [0, 6, -1]]) == [] and [s.size for s in checked(x[[0, 2]])] == [n]
    assert checked(gx.take(x, i, 1, mode="wrap")) == [] and checked(gx.take(x, i, 1, mode="clip")) == []
    assert checked(gx.take(x, gx.argmax(x, 1), 1)) == []
    assert checked(x[gx.arange(n)]) == [] and len(checked(x[gx.arange(m)])) == 1
    assert checked(gx.take(x, gx.argmax(x, 0), 0)) != []  # n may be 0
    assert len(checked(gx.take(x, i, 0, mode="wrap"))) == 1


def test_what_never_wraps() -> None:
    x = gx.tensor("x", ("n", 7))
    i = gx.tensor("i", (3,), "int64")
    unsigned = gx.tensor("u", (), "uint8")
    known = (
        gx.arange(5),
        gx.argmax(x, 0),
        unsigned,
        gx.asarray(n),
        gx.argmin(x, 1)[None, ::-1].astype("int64"),
        gx.mod(i, 3),
        gx.clip(i, 0, 3),
    )
    assert all(never_negative(k, 7) for k in known)
    assert not any(
        never_negative(k, 7) for k in (i, gx.arange(5) - 1, gx.clip(i, -1, 3), gx.mod(i, -3), gx.clip(i, 0, -1), gx.clip(i, 0, n - 1))
    )
    assert never_negative(gx.clip(i, 0, n - 1), n) and not never_negative(gx.clip(i, 0, n - 2), n)  # of an axis with no elements
    wraps = gx.asarray(n) + np.int64(2**63 - 1)
    assert not never_negative(gx.clip(i, wraps, gx.asarray(n)), 7) and not within(gx.clip(i, wraps, gx.asarray(n)), n + 1)
    assert within(gx.mod(i, 3), 3) and not within(gx.mod(i, 4), 3) and within(gx.asarray([0, 2]), 3) and not within(gx.asarray([0, 3]), 3)
    assert within(gx.clip(i, 0, n), n + 1) and not within(gx.clip(i, 0, n), n)


def random_index(rng: random.Random, leaves: Sequence[Node]) -> Node:
    """An index that is clipped, taken modulo, counted, shifted, cast or moved about, by numbers and sizes at the edges of its dtype."""
    kind = rng.choice(("int8", "uint8", "int16", "int64"))
    numbers = [k for k in (-129, -128, -3, -1, 0, 1, 2, 3, 100, 127, 200, 255, 2**62) if np.iinfo(kind).min <= k <= np.iinfo(kind).max]

    def bound() -> Node:
        if kind == "int64" and rng.random() < 0.5:
            return gx.asarray(rng.choice((n, n - 1, n + 1, 2 * n, m, n - m, m + n - 2)))
        return gx.asarray(np.array(rng.choice(numbers), kind))

    node = rng.choice((rng.choice(leaves).astype(kind), gx.arange(rng.choice((3, 130, 300)), dtype=kind), iota((n, 3), rng.randrange(2))))
    for _ in range(rng.randint(1, 3)):
        match rng.randrange(6):
            case 0:
                node = gx.clip(node, bound(), bound() + bound() if rng.random() < 0.3 else bound() - bound())
            case 1:
                node = gx.mod(node, bound())
            case 2:
                node = gx.clip(node, rng.choice((0, 1)), bound())
            case 3:
                node = node[::-1] if node.ndim else node
            case 4:
                node = node.astype(rng.choice(("int16", "int64")))
            case 5:
                node = gx.argmax(node[None], 0) if rng.random() < 0.3 else node
    return node if node.dtype.kind in "iu" else leaves[0]


@pytest.mark.parametrize("block", range(8))
def test_what_is_proved_of_indices_is_true_of_their_values(block: int) -> None:
    """A proof that is wrong reads outside of the array, as no check is made: proved for all sizes, looked at for some."""
    leaves = [gx.tensor("i", (4,), "int64"), gx.tensor("j", (3,), "int8"), gx.tensor("u", (3,), "uint8")]
    values = [np.array([-(2**63), -1, 2**40, 5]), np.array([-128, 127, 1], "int8"), np.array([0, 255, 7], "uint8")]
    proved = 0
    for seed in range(block * 60, block * 60 + 60):
        rng = random.Random(seed)
        index, size = random_index(rng, leaves), rng.choice((1, 3, 130, n, n + 1, m, m + n))
        found = never_negative(index, size), within(index, size)
        if not any(found):
            continue
        proved += 1
        for rows, columns in ((0, 0), (0, 2), (1, 1), (2, 0), (200, 5)):
            sized = gx.asarray(size + 0 * n + 0 * m)
            holders = {gx.tensor("a", (n,)): np.zeros(rows), gx.tensor("b", (m,)): np.zeros(columns), **dict(zip(leaves, values))}
            got, limit = evaluate([index, sized], holders)
            assert not found[0] or limit == 0 or (got >= 0).all(), (seed, index, got.min(), rows, columns)
            assert not found[1] or ((got >= 0) & (got < limit)).all(), (seed, index, got, limit)
    assert proved > 5


@pytest.mark.parametrize("bound", [-1, -300, n - 301])
def test_an_upper_bound_that_is_negative(bound: Any) -> None:
    """clip gives its upper bound where the two contradict each other, which counts from the end: as NumPy, and nothing is read outside."""
    x, i, size = gx.tensor("x", (300,)), gx.tensor("i", (2,), "int64"), gx.tensor("size", (n,))
    f = gx.function([x, i, size], gx.take(x, gx.clip(i, 0, bound)))
    last = bound if isinstance(bound, int) else 5 - 301
    np.testing.assert_array_equal(f(np.arange(300.0), np.array([7, -9]), np.zeros(5)), [300.0 + last] * 2)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64"])
def test_positions_wrap_in_their_dtype(dtype: str) -> None:
    x, index = gx.tensor("x", (300,)), gx.arange(300, dtype=dtype)
    want = np.arange(300).astype(dtype)
    np.testing.assert_array_equal(gx.function([x], gx.take(x, index))(np.arange(300.0)), np.arange(300.0)[want])


def test_out_of_range_at_build_and_in_the_reference() -> None:
    x, i = gx.tensor("x", (3,)), gx.tensor("i", (2,), "int64")
    for index in (3, -4):
        with pytest.raises(
            IndexOutOfRange,
            match=rf"^getitem: index {index} is out of range for axis 0 of size 3 \(x: f64\[3\], test_index_checks.py:\d+\)$",
        ):
            x[index]
        for f in (lambda k: x[[0, k]], lambda k: gx.take(x, k), lambda k: x.at[[k]].add(1), lambda k: gx.take_along_axis(x, [k], 0)):
            with pytest.raises(IndexOutOfRange, match=rf"index {index} is out of range for axis 0 of size 3"):
                f(index)
    with pytest.raises(IndexError, match=r"^index 3 is out of range for axis 0 of size 3$"):
        evaluate([x[i]], {x: np.zeros(3), i: np.array([0, 3])})
    with pytest.raises(IndexOutOfRange, match=r"^index -1 is out of range for axis 0 of size 3$"):
        evaluate([x.at[i].set(0)], {x: np.zeros(3), i: np.array([-4, 0])})


def test_error_texts() -> None:
    x = gx.tensor("x", ("n", 4))
    where = r", test_index_checks\.py:\d+"
    mask = x > 0
    for build, kind, text in [
        (
            lambda: gx.take(x, mask, 0),
            DTypeError,
            r"take: a boolean mask selects a number of elements that only its values tell "
            rf"\(greater: bool\[n, 4\]{where}\); hint: gx.where\(mask, x, 0\) keeps the shape; or index with integers",
        ),
        (
            lambda: x[:, [True, False]],
            IndexOutOfRange,
            rf"getitem: a boolean mask of shape \(2,\) for axes of sizes \(4\) \(x: f64\[n, 4\]{where}\)",
        ),
        (
            lambda: x[1.5],
            ArgumentError,
            rf"getitem: 1.5 is no index \(x: f64\[n, 4\]{where}\); hint: integers, slices, None, ..., integer arrays and nodes",
        ),
        (lambda: x["a"], ArgumentError, r"getitem: 'a' is no index .*"),
        (lambda: x[x], DTypeError, rf"getitem: an index must be an integer \(x: f64\[n, 4\]{where}\); hint: cast with .astype\('int64'\)"),
        (lambda: x[0, 0, 0], IndexOutOfRange, rf"getitem: 3 indices for 2 axes \(x: f64\[n, 4\]{where}\)"),
        (lambda: x[..., ...], ArgumentError, rf"getitem: only one ... can stand for the remaining axes \(x: f64\[n, 4\]{where}\)"),
        (lambda: x[::0], ArgumentError, rf"getitem: the step of a slice is a nonzero integer, got 0 \(x: f64\[n, 4\]{where}\)"),
        (lambda: x[:1.5], ArgumentError, rf"getitem: the bound of a slice is an integer or a Dim, got 1.5 \(x: f64\[n, 4\]{where}\)"),
        (
            lambda: x[: gx.scalar("k", "int64")],
            ArgumentError,
            rf"getitem: the bound of a slice cannot come from a value \(k: i64\[\]{where}\); "
            r"hint: gx.dynamic_slice\(x, starts, sizes\) selects a stretch of known length",
        ),
        (lambda: x[:, 4], IndexOutOfRange, rf"getitem: index 4 is out of range for axis 1 of size 4 \(x: f64\[n, 4\]{where}\)"),
        (lambda: x[n], IndexOutOfRange, rf"getitem: index n is out of range for axis 0 of size n \(x: f64\[n, 4\]{where}\)"),
        (
            lambda: x[[0, 1], [0, 1, 2]],
            ShapeError,
            r"getitem: sizes 2 and 3 do not broadcast \(constant: i64\[2\], constant: i64\[3\]\)",
        ),
        (lambda: gx.take(x, 0, mode="bounce"), ArgumentError, r"take: mode is 'raise', 'clip' or 'wrap', got 'bounce' .*"),
        (
            lambda: gx.take_along_axis(x, [1], 1),
            ShapeError,
            rf"take_along_axis: 2 and 1 axes \(x: f64\[n, 4\]{where}, constant: i64\[1\]\); "
            r"hint: give the indices axes: indices\[:, None\]",
        ),
        (lambda: x.astype("int64").at[0].set(1.5), DTypeError, r"1.5 is not a int64"),
        (
            lambda: x.astype("int64").at[0].add(np.ones(4)),
            DTypeError,
            rf"at\[...\].add: float64 does not fit into int64 \(cast: i64\[n, 4\]{where}, constant: f64\[4\]\); "
            r"hint: cast one of them with .astype",
        ),
        (
            lambda: x.at[0].set(np.ones((2, 4))),
            ShapeError,
            rf"at\[...\].set: a value of 2 axes for a part of 1 \(x: f64\[n, 4\]{where}, constant: f64\[2, 4\]\)",
        ),
        (lambda: x.at[0].set(np.ones(3)), ShapeError, r"broadcast_to: cannot stretch to \(4\) \(constant: f64\[3\]\)"),
    ]:
        with pytest.raises(kind, match=f"^{text}$"):
            build()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_a_call_reports_indices_of_every_integer_dtype(dtype: str) -> None:
    x, i = gx.tensor("x", ("n",)), gx.tensor("i", ("k", 2), dtype)
    f = gx.function([x, i], gx.take(x, i) * 2)
    X = np.arange(3.0)
    np.testing.assert_array_equal(f(X, np.array([[0, 2], [1, 1]], dtype)), [[0, 4], [2, 2]])
    for bad in (3, 127, np.iinfo(dtype).max, *((-4, -128, np.iinfo(dtype).min) if dtype.startswith("i") else ())):
        with pytest.raises(IndexOutOfRange, match=rf"^index {bad} at position \(1, 0\) is out of range for axis 0 of size 3"):
            f(X, np.array([[0, 2], [bad, 200 % 128], [1, 1]], dtype))
    with pytest.raises(IndexOutOfRange, match=r"^index 0 at position \(0, 0\) is out of range for axis 0 of size 0"):
        f(X[:0], np.zeros((1, 2), dtype))


def test_an_error_of_a_call_names_the_axis_that_the_user_has() -> None:
    """Whatever stands between the array and the kernel: slices, axes moved or dropped, the indices stretched or counted from the end."""
    x, i = gx.tensor("x", ("n", 4, 5)), gx.tensor("i", (2,), "int32")
    parts = (x[0, :, i], x[1:, i, 2], gx.take(gx.transpose(x), i, 1), gx.take_along_axis(x, i.reshape((2, 1, 1)), 1), x.at[:, i].add(1.0))
    for part, axis in zip(parts, (2, 1, 1, 1, 1)):
        f = gx.function([x, i], part)
        text = rf"^index -77 at position \(1,( 0, 0)?\) is out of range for axis {axis} of size {axis + 3} \(x: f64\[n, 4, 5\], test_index"
        with pytest.raises(IndexOutOfRange, match=text):
            f(np.zeros((2, 4, 5)), np.array([0, -77], "int32"))


def test_indices_are_checked_where_the_user_has_them() -> None:
    """Once, before they are counted from the end, stretched or cast: no array of them is made, and of none nothing is asked."""
    x, i, j = gx.tensor("x", (3, 4)), gx.tensor("i", ("n",), "int32"), gx.tensor("j", ("m",), "int64")
    f = gx.function([x, i, j], gx.grad(gx.sum(x[i[:, None], j[None, :]] ** 2), x))
    program = f._program
    assert program is not None
    found = [step for step in program.numbered if isinstance(step, Check)]
    assert [(c.wraps, program.buffers[c.indices].role) for c in found] == [(True, "input")] * 2  # of the gather and the scatter
    X, none = np.arange(12.0).reshape(3, 4), np.zeros(0, int)
    want = np.zeros((3, 4))
    np.add.at(want, ([[-3], [2], [2]], [-4, 1]), 2 * X[[[-3], [2], [2]], [-4, 1]])
    np.testing.assert_array_equal(f(X, np.array([-3, 2, 2], "int32"), np.array([-4, 1])), want)
    np.testing.assert_array_equal(f(X, np.array([99], "int32"), none), np.zeros((3, 4)))
    for a, b in (([-4], [0]), ([3], [0]), ([0], [-5]), ([0], [4])):
        with pytest.raises(IndexOutOfRange, match=f"index {(a if b == [0] else b)[0]} at"):
            f(X, np.array(a, "int32"), np.array(b))


def test_what_is_not_counted_from_the_end_is_checked_as_it_is() -> None:
    """Another size than that of the axis is added, or under another condition: what comes of it must lie inside."""
    x, i = gx.tensor("x", (5,)), gx.tensor("i", (1,), "int64")
    shifted = (gx.where(i < 0, i + 4, i), gx.where(i < 1, i + 5, i), gx.where(i < 0, 5 + i, i), gx.where(i < 0, i + 5, i).astype("int8"))
    for index, wraps in zip(shifted, (False, False, True, False)):
        found = checked(gather(x, index.astype("int64"), axes=(0,)))
        assert [s.wraps for s in found] == [wraps]
    f = gx.function([x, i], gather(x, shifted[1], axes=(0,)))
    assert f(np.arange(5.0), np.array([-5])) == 0 and f(np.arange(5.0), np.array([1])) == 1
    with pytest.raises(IndexOutOfRange):
        f(np.arange(5.0), np.array([0]))
