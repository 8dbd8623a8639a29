"""Joins: parts stored where they lie, what is taken out of joins, rolled parts, and sums of what is zero but for a part."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.ir import Graph, Node, toposort
from graphc.ops.joining import CONCAT
from graphc.ops.overlay import total
from graphc.ops.slicing import PAD
from graphc.passes.prepare import prepare
from graphc.passes.rewriting.roll import roll
from graphc.passes.simplify import simplify

DRAW = np.random.default_rng(7)


def run(inputs: list[Node], outputs: object, *values: object) -> object:
    return gx.function(inputs, outputs, mode="verify")(*values)


def check(inputs: list[Node], node: Node, values: list[np.ndarray], want: np.ndarray) -> None:
    got = run(inputs, [node, node * 2, gx.sum(node, axis=0)], *values)
    np.testing.assert_allclose(got[0], want, rtol=1e-13)
    assert got[0].dtype == want.dtype
    np.testing.assert_allclose(got[1], want * 2, rtol=1e-13)
    np.testing.assert_allclose(got[2], want.sum(axis=0), rtol=1e-12)


# -- parts of all kinds, in all places ---------------------------------------------------------------------------------
SIZES = [0, 1, 1, 2, 0, 3, 2, 1]  # more parts than are selected; equal sizes meet


def parts_of(x: Node, y: np.ndarray, axis: int) -> tuple[list[Node], list[np.ndarray]]:
    """Parts that are leaves, views, cheap, costly, reduced, products, filled, scans: of sizes 0, 1 and more along `axis`."""
    nodes: list[Node] = []
    arrays: list[np.ndarray] = []
    makers: list[tuple[Callable[[Node], Node], Callable[[np.ndarray], np.ndarray]]] = [
        (lambda a: a, lambda a: a),
        (lambda a: gx.exp(a), np.exp),
        (lambda a: a * 2 + 1, lambda a: a * 2 + 1),
        (lambda a: gx.flip(a, axis), lambda a: np.flip(a, axis)),
        (lambda a: gx.cumsum(a, axis=axis), lambda a: np.cumsum(a, axis=axis)),
        (lambda a: a - gx.mean(a, axis=1 - axis, keepdims=True), lambda a: a - a.mean(axis=1 - axis, keepdims=True)),
        (lambda a: gx.zeros_like(a) + 3, lambda a: np.zeros_like(a) + 3),
        (lambda a: gx.sum(gx.stack([a, a * a]), axis=0), lambda a: a + a * a),
    ]
    begin = 0
    for n, (ours, theirs) in zip(SIZES, makers):
        key = (slice(None),) * axis + (slice(begin, begin + n),)
        nodes.append(ours(x[key]))
        arrays.append(theirs(y[key]).astype(y.dtype))
        begin += n
    return nodes, arrays


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("other", [1, 3, 8])
def test_parts_of_every_kind(dtype: str, axis: int, other: int) -> None:
    shape = (10, other) if axis == 0 else (other, 10)
    x, value = gx.tensor("x", shape, dtype), DRAW.normal(size=shape).astype(dtype)
    nodes, arrays = parts_of(x, value, axis)
    want = np.concatenate(arrays, axis)
    rtol = 1e-13 if dtype == "float64" else 1e-5
    for place in (axis, axis - 2):  # counted from the end
        whole = gx.concatenate(nodes, axis=place)
        got = run([x], [whole, gx.sum(whole, axis=0), whole[::-1]], value)
        np.testing.assert_allclose(got[0], want, rtol=rtol)
        np.testing.assert_allclose(got[1], want.sum(axis=0), rtol=10 * rtol, atol=rtol)
        np.testing.assert_allclose(got[2], want[::-1], rtol=rtol)
        assert got[0].dtype == np.dtype(dtype)


def test_all_orders_of_parts() -> None:
    """The first, the last and neighbours of every kind; leaves twice."""
    x, y = gx.tensor("x", (2,)), gx.tensor("y", (3,))
    a, b = DRAW.normal(size=2), DRAW.normal(size=3)
    nodes = [x, gx.exp(y), y[1:2], gx.sum(x)[None], x]
    arrays = [a, np.exp(b), b[1:2], a.sum(keepdims=True), a]
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 11):
        got = run([x, y], gx.concatenate([nodes[k] for k in order]), a, b)
        np.testing.assert_allclose(got, np.concatenate([arrays[k] for k in order]), rtol=1e-14)


def test_symbolic_sizes() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    x, y = gx.tensor("x", (n, 2)), gx.tensor("y", (m, 2))
    whole = gx.concatenate([gx.exp(x), y, x[:1], y * y, gx.zeros((n, 2)), x])
    f = gx.function([x, y], [whole, gx.sum(whole * whole), gx.grad(gx.sum(gx.sin(whole)), x)], mode="verify")
    for n_, m_ in ((1, 1), (1, 5), (4, 0), (9, 9), (300, 7)):
        a, b = DRAW.normal(size=(n_, 2)), DRAW.normal(size=(m_, 2))
        got = f(a, b)
        want = np.concatenate([np.exp(a), b, a[:1], b * b, np.zeros((n_, 2)), a])
        np.testing.assert_allclose(got[0], want, rtol=1e-14)
        np.testing.assert_allclose(got[1], (want * want).sum(), rtol=1e-12)
        slope = np.cos(np.exp(a)) * np.exp(a) + np.cos(a)
        slope[:1] += np.cos(a[:1])
        np.testing.assert_allclose(got[2], slope, rtol=1e-12, atol=1e-14)


def test_mixed_dtypes_and_broadcast_parts() -> None:
    i, x = gx.tensor("i", (3,), "int32"), gx.tensor("x", (2,), "float32")
    whole = gx.concatenate([i, x, gx.broadcast_to(x[0], (4,)), np.arange(2, dtype="int8"), gx.ones(3), i > 1])
    a, b = np.array([1, -2, 3], "int32"), np.array([0.5, 7], "float32")
    want = np.concatenate([a, b, np.full(4, b[0]), np.arange(2, dtype="int8"), np.ones(3), a > 1])
    got = run([i, x], whole, a, b)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


def test_who_reads_the_whole_waits_for_all_parts() -> None:
    """Also where it has the loops of the parts, and where it looks at the whole through another shape."""
    x = gx.tensor("x", (2,))
    whole = gx.concatenate([gx.exp(x), gx.sin(x), gx.cos(x), gx.tanh(x), x * x])
    a = DRAW.normal(size=2)
    want = np.concatenate([np.exp(a), np.sin(a), np.cos(a), np.tanh(a), a * a])
    got = run([x], [gx.exp(whole[::5]), gx.exp(gx.reshape(whole, (5, 2))[::4, 0]), gx.sum(gx.reshape(whole, (5, 2)), axis=0)], a)
    for ours, theirs in zip(got, [np.exp(want[::5]), np.exp(want.reshape(5, 2)[::4, 0]), want.reshape(5, 2).sum(axis=0)]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_a_part_without_x_has_no_derivative_not_zero_times_infinity() -> None:
    x, c = gx.tensor("x", (10,)), gx.tensor("c", (3,))
    whole = gx.sqrt(gx.concatenate([x[:4], c, x[4:] ** 2, x[:2] * x[1:3], c * 0]))
    a = DRAW.uniform(1, 2, size=10)
    found = run([x, c], gx.jacobian(whole, x), a, np.zeros(3))
    want = np.zeros((18, 10))
    want[np.arange(4), np.arange(4)] = 0.5 / np.sqrt(a[:4])
    want[np.arange(7, 13), np.arange(4, 10)] = 1
    for k in range(2):
        want[13 + k, [k, k + 1]] = a[[k + 1, k]] * 0.5 / np.sqrt(a[k] * a[k + 1])
    np.testing.assert_allclose(found, want, rtol=1e-13)


def test_nothing_but_empty_parts() -> None:
    x = gx.tensor("x", (0, 3))
    assert run([x], gx.concatenate([x] * 6), np.zeros((0, 3))).shape == (0, 3)


def test_a_whole_of_wholes_and_as_an_index() -> None:
    x, i = gx.tensor("x", (6,)), gx.tensor("i", (2,), "int64")
    inner = gx.stack([x[k] * (k + 1) for k in range(6)])
    outer = gx.concatenate([gx.reshape(gx.stack([inner, x, gx.exp(x), x * x, -x]), (-1,)), inner[::2], x, x, x])
    index = gx.concatenate([i, i + 2, i * 0, i + 4, i])
    a, b = DRAW.normal(size=6), np.array([0, 1])
    z = a * np.arange(1, 7)
    want = np.concatenate([np.ravel([z, a, np.exp(a), a * a, -a]), z[::2], a, a, a])
    got = run([x, i], [outer, gx.take(x, index)], a, b)
    np.testing.assert_allclose(got[0], want, rtol=1e-14)
    np.testing.assert_array_equal(got[1], a[np.concatenate([b, b + 2, b * 0, b + 4, b])])
    with pytest.raises(IndexError):
        run([x, i], gx.take(x, index), a, np.array([0, 3]))


def test_state_that_is_put_together_from_itself() -> None:
    """Every part reads the old state, whatever has been written before."""
    s = gx.shared(np.arange(8.0))
    v = gx.tensor("v", (2,))
    new = gx.concatenate([s[6:], gx.exp(s[:1] * 0), s[1:3] + s[5:7], v, s[:1]])
    f = gx.function([v], gx.sum(s), updates={s: new}, mode="verify")
    state = np.arange(8.0)
    for k in range(3):
        f(np.array([k, -k], float))
        state = np.concatenate([state[6:], np.exp(state[:1] * 0), state[1:3] + state[5:7], [k, -k], state[:1]])
        np.testing.assert_allclose(s.get_value(), state)


def test_state_whose_first_part_alone_reads_it() -> None:
    """No part is written to the state while the new value is not whole."""
    s, v = gx.shared(np.arange(8.0)), gx.tensor("v", (1,))
    f = gx.function([v], None, updates={s: gx.concatenate([gx.exp(s[:3] / 8), v, v * 2, gx.sin(v), v + 1, v])}, mode="verify")
    state = np.arange(8.0)
    for a in (np.ones(1), -np.ones(1)):
        f(a)
        state = np.concatenate([np.exp(state[:3] / 8), a, a * 2, np.sin(a), a + 1, a])
        np.testing.assert_allclose(s.get_value(), state, rtol=1e-14)


# -- large joins ------------------------------------------------------------------------------------------------------------
def test_many_parts_are_few_comparisons() -> None:
    """An element of the whole does not look at every part."""
    xs = [gx.tensor(f"x{k}", (2,)) for k in range(60)]
    f = gx.function([xs], gx.stack(xs))
    values = [DRAW.normal(size=2) for _ in xs]
    np.testing.assert_array_equal(f(values), np.stack(values))
    assert f.loops.count("select") == 0


def test_parts_computed_alike_become_one_expression() -> None:
    x = gx.tensor("x", (60,))
    whole = gx.stack([gx.sin(x[k]) * (k + 1) for k in range(60)])
    (made,) = simplify(Graph((x,), (whole,))).outputs
    assert not any(n.op is CONCAT for n in toposort([made])) and len(toposort([made])) <= 5
    a = DRAW.normal(size=60)
    np.testing.assert_allclose(run([x], whole, a), np.sin(a) * np.arange(1, 61), rtol=1e-14)


def test_parts_that_others_read_are_not_computed_twice() -> None:
    x = gx.tensor("x", (8,))
    parts = [gx.exp(x[k : k + 1]) for k in range(8)]
    whole = gx.concatenate(parts)
    assert roll(Graph((x,), (whole,))).outputs[0].op is not CONCAT
    assert roll(Graph((x,), (whole, parts[3]))).outputs[0].op is CONCAT
    assert roll(Graph((x,), (whole, parts[3] * 2))).outputs[0].op is CONCAT


@pytest.mark.parametrize("change", ["op", "order", "gap", "array", "few"])
def test_parts_that_differ_are_not_rolled(change: str) -> None:
    x, y = gx.tensor("x", (9,)), gx.tensor("y", (9,))
    count = 4 if change == "few" else 8
    place = {k: k for k in range(count)} | ({2: 3, 3: 2} if change == "order" else {7: 8} if change == "gap" else {})
    parts = [gx.negative(x[place[k] : place[k] + 1] * y[8 - k : 9 - k]) for k in range(count)]
    if change == "op":
        parts[5] = gx.sign(parts[5])
    if change == "array":
        parts[5] = gx.negative(y[5:6] * y[3:4])
    whole = gx.concatenate(parts)
    assert any(n.op is CONCAT for n in toposort(roll(Graph((x, y), (whole,))).outputs))
    a, b = DRAW.normal(size=9), DRAW.normal(size=9)
    want = np.array([-(a[place[k]] * b[8 - k]) for k in range(count)])
    if change == "op":
        want[5] = np.sign(want[5])
    if change == "array":
        want[5] = -(b[5] * b[3])
    np.testing.assert_allclose(run([x, y], whole, a, b), want, rtol=1e-15)


# -- what is taken out ------------------------------------------------------------------------------------------------------
def normal(node: Node) -> Node:
    return prepare([node])[0]


def test_an_index_cancels_a_stack() -> None:
    a, b, c, s = (gx.tensor(n, (4,)) for n in "abcs")
    assert normal(gx.stack([a, b, c])[1]) is b
    assert normal(gx.exp(gx.stack([a, b, c]) * 2.0)[-1]) is normal(gx.exp(c * 2.0))
    assert normal((gx.stack([a, b, c]) * s)[0]) is normal(a * s)
    assert normal(gx.concatenate([a, b, c])[4:8]) is b
    assert normal(gx.concatenate([a, b, c])[5:7]) is normal(b[1:3])
    assert normal(gx.concatenate([a, b, c])[3:9:5]).op is not CONCAT


def test_what_does_not_cancel() -> None:
    n = gx.dim("n")
    a, b, w = gx.tensor("a", (n,)), gx.tensor("b", (4,)), gx.tensor("w", (100,))
    assert any(x.op is CONCAT for x in toposort([normal(gx.concatenate([a, b])[1:3])]))  # whose elements depends on n
    assert any(x.op is CONCAT for x in toposort([normal(gx.concatenate([w, b])[99:101])]))  # of two parts
    assert normal(gx.exp(gx.concatenate([w, w * 2]))[:100]).op.name == "slice"  # a costly function of much
    assert normal(gx.exp(gx.concatenate([b, b * 2]))[1:3]).op.name == "slice"  # not a whole part
    assert normal(gx.exp(gx.concatenate([b, b * 2]))[1:5]).op.name == "slice"  # as many elements as a part has, but of two


CUTS = [
    slice(None),
    slice(1, 3),
    slice(2, 9),
    slice(0, 12, 3),
    slice(None, None, -1),
    slice(9, 1, -2),
    slice(5, 6),
    slice(4, 4),
    slice(-3, None),
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_every_cut_of_every_join(cut: slice) -> None:
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (2,))
    a, b = DRAW.normal(size=3), DRAW.normal(size=2)
    for nodes, arrays in (([x, y, x, y], [a, b, a, b]), ([x, y[:0], y, x, y, x[:1], y], [a, b[:0], b, a, b, a[:1], b])):
        want = np.concatenate(arrays)
        got = run([x, y], [gx.concatenate(nodes)[cut], gx.exp(gx.concatenate(nodes) * 2)[cut]], a, b)
        np.testing.assert_array_equal(got[0], want[cut])
        np.testing.assert_allclose(got[1], np.exp(want * 2)[cut], rtol=1e-14)


def test_slices_side_by_side_are_one() -> None:
    x = gx.tensor("x", (9, 4))
    assert normal(gx.concatenate([x[k : k + 1] for k in range(9)])) is x
    assert normal(gx.stack([x[k] for k in range(2, 7)])) is normal(x[2:7])
    assert normal(gx.concatenate([x[:3], x[3:3], x[3:8]])) is normal(x[:8])
    for apart in ([x[:3], x[4:]], [x[3:], x[:3]], [x[:3, :2], x[3:, 2:]], [x[0:4:2], x[4:]], [x[:3], x[2:]]):
        assert normal(gx.concatenate(apart)).op is CONCAT


# -- the derivative of several slices ------------------------------------------------------------------------------------------
def sliced(x: Node | np.ndarray, kind: str) -> object:
    """A sum over several parts of x, of shape (6, 4)."""
    m = gx if isinstance(x, Node) else np
    if kind == "heads":
        return m.sum(m.sin(x[:, :1]) * x[:, 1:2]) + m.sum(x[:, 2:3] ** 2 * x[:, 3:])
    if kind == "neighbours":
        return sum(m.sin(x[k, j]) * x[k + 1, j] for k in range(5) for j in range(4))
    if kind == "overlapping":
        return m.sum(x[:3] * x[1:4] * x[2:5]) + m.sum(m.exp(x[3:])) + m.sum(x[5:] ** 3)
    if kind == "boxes":
        return m.sum(x[:3, :2] ** 3) + m.sum(m.sin(x[2:, 1:])) + m.sum(x[1:5, 3:] ** 2) + x[0, 0] * x[5, 3]
    if kind == "strides":
        return m.sum(x[::2] * x[1::2]) + m.sum(m.sin(x[::-1][:2])) + m.sum(x[4:1:-2, ::-3] ** 3) + m.sum(x[0] ** 2) + m.sum(x[1] * x[5])
    if kind == "interleaved":
        pairs = m.sum(x[::2] * x[1::2] ** 2) + m.sum(x[:, ::3] * x[:, 0:1]) + m.sum(m.sin(x[1::4, ::2] * x[::4, 1::2]))
        return pairs + m.sum(x[3::2] ** 2) + m.sum(x[4::2] ** 3) + m.sum(x[:4:3] ** 3) + m.sum(x[2::3] * x[1::3])
    return m.sum(x[:0]) + m.sum(x[6:] ** 2) + m.sum(x[2:3] ** 2) + m.sum(x[3:4] ** 3) + m.sum(x[5:] ** 4)  # empty ones too


KINDS = ["heads", "neighbours", "overlapping", "boxes", "strides", "interleaved", "empty"]


def slope(f: Callable[[np.ndarray], object], x: np.ndarray) -> np.ndarray:
    """The gradient by complex steps."""
    found = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        z = x.astype(complex)
        z[at] += 1e-30j
        found[at] = np.imag(f(z)) / 1e-30
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_slices(kind: str) -> None:
    """Orders 1 to 3: each of the next is checked against differences of the one before, the first against complex steps."""
    x, v = gx.tensor("x", (6, 4)), gx.tensor("v", (6, 4))
    cost = sliced(x, kind)
    first = gx.grad(cost, x)
    second = gx.grad(gx.sum(first * v), x)
    third = gx.grad(gx.sum(second * v), x)
    f = gx.function([x, v], [cost, first, second, third], mode="verify")
    a, b = DRAW.normal(size=(6, 4)), DRAW.normal(size=(6, 4))
    value, g1, g2, g3 = f(a, b)
    np.testing.assert_allclose(value, sliced(a, kind), rtol=1e-13)
    np.testing.assert_allclose(g1, slope(lambda z: sliced(z, kind), a), rtol=1e-12, atol=1e-14)
    h = 1e-5
    for k, got in ((1, g2), (2, g3)):
        near = (f(a + h * b, b)[k] - f(a - h * b, b)[k]) / (2 * h)
        np.testing.assert_allclose(got, near, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_hessians_of_slices(kind: str) -> None:
    x = gx.tensor("x", (6, 4))
    cost = sliced(x, kind)
    f = gx.function([x], [gx.hessian(cost, x), gx.grad(cost, x)])
    a, h = DRAW.normal(size=(6, 4)), 1e-5
    found = f(a)[0]
    for at in ((0, 0), (2, 1), (3, 3), (5, 3)):
        step = np.zeros((6, 4))
        step[at] = h
        np.testing.assert_allclose(found[at], (f(a + step)[1] - f(a - step)[1]) / (2 * h), rtol=1e-6, atol=1e-7)


def test_sums_of_pads_are_put_together() -> None:
    x = gx.tensor("x", (12,))
    parts = [gx.pad(x[k : k + 1] * 2, (k, 11 - k)) for k in range(12)]
    made = total(parts)
    assert not any(n.op is PAD for n in toposort([made]))
    a = DRAW.normal(size=12)
    np.testing.assert_array_equal(run([x], made, a), 2 * a)
    long = [gx.pad(x[k : 10 + k], (k, 2 - k)) for k in range(3)]  # of which each element is in most: no pieces
    assert any(n.op is PAD for n in toposort([total(long)]))
    ones = [gx.pad(x[k : k + 1], (k, 11 - k), constant_values=1) for k in range(12)]
    assert any(n.op is PAD for n in toposort([total(ones)]))
    np.testing.assert_allclose(run([x], total(ones), a), a + 11)


def test_infinities_stay_where_they_are() -> None:
    """No zero of one part meets the infinity of another."""
    x = gx.tensor("x", (4,))
    cost = gx.sqrt(x[0]) + x[1] ** 2 + gx.log(x[2]) + x[3] ** 3
    got = run([x], gx.grad(cost, x), np.array([0.0, 1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(got, [np.inf, 2.0, np.inf, 12.0])


def pads_of(f: Node) -> int:
    return sum(n.op is PAD for n in toposort([f]))


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_rows_side_by_side_leave_no_pads(n: int) -> None:
    """Slices in steps of one length: also where the last row is not full, and where a part is missing."""
    x = gx.tensor("x", (n, 3))
    cost = gx.sum(x[::3] ** 2) + gx.sum(gx.sin(x[1::3])) + gx.sum(x[2::3] ** 3)
    first = gx.grad(cost, x)
    a = DRAW.normal(size=(n, 3))
    want = np.empty_like(a)
    want[::3], want[1::3], want[2::3] = 2 * a[::3], np.cos(a[1::3]), 3 * a[2::3] ** 2
    assert pads_of(first) == 0
    np.testing.assert_allclose(run([x], first, a), want, rtol=1e-14)
    short = gx.grad(gx.sum(x[::3] ** 2) + gx.sum(x[2::3] ** 3), x)  # nothing lies over 1, 4, ..: zeros
    want[1::3] = 0
    np.testing.assert_allclose(run([x], short, a), want, rtol=1e-14)
    late = gx.grad(gx.sum(x[1:3:3] ** 2) + gx.sum(x[2:3:3] ** 3), x)  # nothing lies over the rows from 3 on
    want = np.zeros_like(a)
    want[1], want[2] = 2 * a[1], 3 * a[2] ** 2
    np.testing.assert_allclose(run([x], late, a), want, rtol=1e-14)


def test_single_columns_of_many_rows_are_put_together_if_they_are_many() -> None:
    """Each of their elements is written alone, which costs more than to look at a few parts."""
    for rows, columns, apart in ((4096, 3, True), ("n", 3, True), (4096, 16, False), (4, 3, False)):
        x = gx.tensor("x", (rows, columns))
        first = gx.grad(sum(gx.sum(x[:, k] ** 2) * (k + 1) for k in range(columns)), x)
        assert (pads_of(first) > 0) is apart
        a = DRAW.normal(size=(7 if rows == "n" else rows, columns))
        np.testing.assert_allclose(run([x], first, a), 2 * a * np.arange(1, columns + 1), rtol=1e-14)


def test_symbolic_parts_are_put_together() -> None:
    """Where it is known in which order they begin and end; also those of no elements."""
    m = gx.dim("m")
    x = gx.tensor("x", (2, 3 * m + 1))
    q, k, v, last = x[:, :m], x[:, m : 2 * m], x[:, 2 * m : 3 * m], x[:, 3 * m]
    cost = gx.sum(q * k * gx.sin(v)) + gx.sum(last**2)
    first = gx.grad(cost, x)
    assert pads_of(first) == 0
    rows = gx.tensor("rows", (4 * m, 2))
    second = gx.grad(gx.sum(rows[::4] * rows[1::4] ** 2) + gx.sum(rows[3::4] ** 3), rows)
    assert pads_of(second) == 0
    f, g = gx.function([x], first), gx.function([rows], second)
    for size in (0, 1, 2, 5):
        a = DRAW.normal(size=(2, 3 * size + 1))
        q, k, v, last = np.split(a, [size, 2 * size, 3 * size], axis=1)
        np.testing.assert_allclose(f(a), np.concatenate([k * np.sin(v), q * np.sin(v), q * k * np.cos(v), 2 * last], axis=1), rtol=1e-13)
        b = DRAW.normal(size=(4 * size, 2))
        want = np.zeros_like(b)
        want[::4], want[1::4], want[3::4] = b[1::4] ** 2, 2 * b[::4] * b[1::4], 3 * b[3::4] ** 2
        np.testing.assert_allclose(g(b), want, rtol=1e-13)
    apart = gx.tensor("y", ("n", 2))  # whether 1 lies before n - 1 depends on n
    third = gx.grad(gx.sum(apart[1:] * apart[:-1]) + gx.sum(apart[:1] ** 3), apart)
    for size in (1, 2, 5):
        b = DRAW.normal(size=(size, 2))
        want = np.zeros_like(b)
        want[1:] += b[:-1]
        want[:-1] += b[1:]
        want[:1] += 3 * b[:1] ** 2
        np.testing.assert_allclose(run([apart], third, b), want, rtol=1e-13)


def test_masks_above_slices_are_put_together() -> None:
    """What is masked stays 0 where the derivative below is infinite, at every order; the masks are joined as their values are."""
    x = gx.tensor("x", (2, 12))
    y = gx.sqrt(x)
    masked = [gx.where(p > 0.5, p**k, 0) for k, p in enumerate([y[:, 3 * k : 3 * k + 3] for k in range(4)], start=2)]
    first = gx.grad(sum(gx.sum(z) for z in masked), x)
    second = gx.grad(gx.sum(first), x)
    assert pads_of(first) == 0
    a = DRAW.uniform(0, 2, size=(2, 12))
    a[:, ::2] = 0
    power = np.repeat([2, 3, 4, 5], 3)
    taken = np.sqrt(a) > 0.5
    safe = np.where(taken, a, 1)
    want = np.where(taken, power / 2 * safe ** (power / 2 - 1), 0)
    again = np.where(taken, power / 2 * (power / 2 - 1) * safe ** (power / 2 - 2), 0)
    got = gx.function([x], [first, second], mode="verify")(a)
    np.testing.assert_allclose(got[0], want, rtol=1e-13)
    np.testing.assert_allclose(got[1], again, rtol=1e-12, atol=1e-14)
    both = gx.grad(gx.sum(gx.where(y > 0.5, y, 0)) + gx.sum(gx.where(y > 0.5, 0, y)), x)  # the two branches: nothing is masked
    assert not any(n.dtype == np.bool_ and n.op.arity == 2 and n.inputs[0].dtype == np.bool_ for n in toposort([both]))
    np.testing.assert_array_equal(run([x], both, np.zeros((2, 12))), np.full((2, 12), np.inf))
