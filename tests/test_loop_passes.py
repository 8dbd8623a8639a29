"""Loops made fewer and smaller (`graphc.passes.loops`): the values stay what they are, and what must leave a loop has left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.control.while_loop import WHILE
from graphc.errors import ArgumentError, IndexOutOfRange
from graphc.interp import evaluate
from graphc.ir import Node, Op, toposort
from graphc.ops.contract import CONTRACT
from graphc.passes.loops.merge import equal_carries
from graphc.passes.loops.opened import Carry
from graphc.passes.prepare import prepare
from graphc.region import everywhere

rng = np.random.default_rng(3)
XS, H = gx.tensor("xs", ("T", 4)), gx.vector("h", 3)
W, U, V = gx.matrix("W", (4, 3)), gx.matrix("U", (3, 3)), gx.matrix("V", (3, 2))


def values(rows: int) -> dict[Any, np.ndarray]:
    return {XS: rng.normal(size=(rows, 4)), **{n: rng.normal(size=n.shape) for n in (W, U, V, H)}}


def prepared(*outputs: Node, rtol: float = 1e-12) -> list[Node]:
    """The simplified outputs: of the same values for 0, 1, 2 and 5 turns, and in a form that stays."""
    made = prepare(outputs)
    for rows in (0, 1, 2, 5):
        env = values(rows)
        for before, after in zip(evaluate(outputs, env), evaluate(made, env)):
            np.testing.assert_allclose(after, before, rtol=rtol, atol=1e-13)
    assert all(a is b for a, b in zip(made, prepare(made)))
    return made


def count(outputs: Sequence[Node], op: Op, *, inside: bool = False) -> int:
    """How many nodes of an op there are, outside of bodies or inside of them."""
    outside = set(toposort(outputs))
    return sum(node.op is op and (node not in outside) == inside for node in set(everywhere(outputs)))


def scan_of(outputs: Sequence[Node]) -> Node:
    (found,) = [node for node in toposort(outputs) if node.op is SCAN]
    return found


def step(h: Node, x: Node) -> tuple[Node, Node]:
    new = gx.tanh(h @ U + x @ W)
    return new, new @ V


# -- what nobody reads ----------------------------------------------------------------------------------------------------
def test_a_last_carry_alone_keeps_no_rows() -> None:
    made = prepared(gx.scan(step, H, XS)[0])
    assert len(scan_of(made).type) == 1


def test_carries_and_rows_that_feed_nothing_go() -> None:
    (a, b), (rows, _) = gx.scan(lambda c, x: ((c[0] + x[0][0], c[1] * 2 + x[1]), (c[0], c[1])), (0.0, 1.0), (XS, gx.arange(XS.shape[0])))
    node = scan_of(prepared(a))
    assert node.attrs["carries"] == 1 and node.attrs["sequences"] == 1
    node = scan_of(prepared(rows))
    assert len(node.type) == 2
    prepared(a, b, rows)


def test_a_carry_that_is_read_by_another_one_stays() -> None:
    (_, b), _ = gx.scan(lambda c, x: ((c[0] + x[0], c[1] + c[0]), None), (0.0, 1.0), XS)
    assert scan_of(prepared(b)).attrs["carries"] == 2


def test_what_does_not_change_is_no_carry() -> None:
    (a, b), ys = gx.scan(lambda c, x: ((c[0] * c[1] + x[0], c[1]), (c[1], x, c[0], c[0])), (H[0], H[1]), XS)
    made = prepared(a, b, *ys)
    node = scan_of(made)
    assert node.attrs["carries"] == 1 and len(node.type) == 2  # one carry, one kind of rows
    assert made[3] is XS and made[4] is made[5]


@pytest.mark.parametrize("length", [0, 1])
def test_no_turn_and_one_turn_are_no_loop(length: int) -> None:
    c, ys = gx.scan(lambda c, _: (c * H + gx.turn_index(), c), H, length=length)
    assert count(prepared(c, ys), SCAN) == 0
    c, ys = gx.scan(lambda c, x: (c * H + x[0], c), H, XS[:length], reverse=True)


def test_while_keeps_what_its_condition_needs() -> None:
    w = gx.while_loop(lambda v: v[0] < 20, lambda v: (v[0] * 2, v[1] + 1, v[1] * gx.exp(U[0, 0])), (gx.abs(H[0]) + 1, 0, 0.0))
    (node,) = [n for n in toposort(prepared(w[1])) if n.op is WHILE]
    assert node.attrs["carries"] == 2
    (node,) = [n for n in toposort(prepared(w[2])) if n.op is WHILE]
    assert node.attrs["carries"] == 3
    prepared(*w)


def test_branches_keep_what_is_read_of_them() -> None:
    f, g = lambda a, b: (a + 1, b * U), lambda a, b: (a, b)
    first, second = gx.cond(H[0] > 0, f, g, H, U)
    (node,) = [n for n in toposort(prepared(first)) if n.op is SWITCH]
    assert len(node.type) == 1 and len(node.inputs) == 2
    prepared(first, second)
    chosen = gx.cond(gx.asarray(True), f, g, H, U)
    assert count(prepared(*chosen), SWITCH) == 0
    assert count(prepared(gx.cond(H[0] > 0, lambda: H * 2, lambda: 2 * H)), SWITCH) == 1  # twins of other order stay two
    assert count(prepared(gx.cond(H[0] > 0, lambda: H * 2, lambda: H * 2)), SWITCH) == 0


def test_a_loop_that_chooses_a_branch_is_pruned_as_any_other() -> None:
    last, _ = gx.scan(lambda c, x: (gx.sin(c) + x[0], c * 2), 0.0, XS)
    made = prepared(gx.cond(last > 0, lambda: H * 2, lambda: H + 1))
    assert len(scan_of(made).type) == 1


# -- what does not change leaves --------------------------------------------------------------------------------------------
def test_invariant_work_climbs_out_of_all_loops() -> None:
    def outer(c: Node, x: Node) -> tuple[Node, Node]:
        s, _ = gx.scan(lambda d, _: (d * gx.exp(W[0, 0]) + gx.sin(x[0]), None), c, length=3)
        return s, s

    made = prepared(*gx.scan(outer, 1.0, XS))
    exp, sin = gx.exp(H).op, gx.sin(H).op
    assert count(made, exp) == 1 and count(made, exp, inside=True) == 0
    assert (
        count(made, sin) == 1 and count(made, sin, inside=True) == 0
    )  # of a row: hoisted out of the inner loop, then computed for all rows


def test_a_lookup_in_a_loop_without_turns_does_not_fail() -> None:
    at = gx.scalar("at", "int64")
    last, _ = gx.scan(lambda c, x: (c + gx.take(H, at), None), 0.0, XS)
    made = prepare([last])
    assert evaluate(made, {**values(0), at: 7})[0] == 0
    with pytest.raises((IndexOutOfRange, IndexError)):
        evaluate(made, {**values(1), at: 7})


# -- products -----------------------------------------------------------------------------------------------------------------
def test_products_of_rows_come_before_the_loop_and_those_of_results_behind_it() -> None:
    made = prepared(*gx.scan(step, H, XS))
    assert count(made, CONTRACT) == 2 and count(made, CONTRACT, inside=True) == 1


def test_a_sum_of_outer_products_is_one_product() -> None:
    add = gx.scan(lambda c, x: ((step(c[0], x)[0], c[1] + gx.outer(c[0], x)), None), (H, gx.zeros((3, 4))), XS)[0]
    made = prepared(*add)
    assert count(made, CONTRACT, inside=True) == 1
    less = gx.scan(lambda c, x: ((step(c[0], x)[0], c[1] - gx.outer(c[0], x)), None), (H, W.T), XS)[0]
    assert count(prepared(*less), CONTRACT, inside=True) == 1


def test_what_is_subtracted_from_is_no_sum() -> None:
    signs = gx.scan(lambda c, x: ((step(c[0], x)[0], gx.outer(c[0], x) - c[1]), None), (H, W.T), XS)[0]
    assert count(prepared(*signs), CONTRACT, inside=True) == 2


def test_a_sum_in_either_order_but_of_the_carry_itself() -> None:
    added = gx.scan(lambda c, x: ((step(c[0], x)[0], gx.outer(c[0], x) + c[1]), None), (H, W.T), XS)[0]
    assert count(prepared(*added), CONTRACT, inside=True) == 1
    for body in (lambda c, x: x + gx.sin(c), lambda c, x: gx.sin(c) + x):
        last, _ = gx.scan(lambda c, x, body=body: (body(c, x), None), gx.zeros(4), XS)
        assert scan_of(prepared(last)).attrs["carries"] == 1


def test_a_sum_of_what_is_kept_anyway_comes_behind_the_loop() -> None:
    (h, total, rows), ys = gx.scan(lambda c, x: ((step(c[0], x)[0], c[1] + gx.sum(c[0]), c[2] - x), c[0]), (H, 2.0, XS[0] * 3), XS[1:])
    made = prepare([h, total, rows, ys])
    assert scan_of(made).attrs["carries"] == 1
    for count in (1, 2, 5):
        env = values(count)
        for before, after in zip(evaluate([h, total, rows, ys], env), evaluate(made, env)):
            np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-13)


def test_a_sum_that_is_read_on_the_way_stays() -> None:
    both = gx.scan(lambda c, x: ((step(c[0], x)[0] + c[1][0, 0], c[1] + gx.outer(c[0], x)), None), (H, gx.zeros((3, 4))), XS)[0]
    assert count(prepared(*both, rtol=1e-9), CONTRACT, inside=True) == 2
    rows = gx.scan(lambda c, x: (c + gx.outer(x[:3], x), c), gx.zeros((3, 4)), XS)[1]
    prepared(rows)


def test_who_asks_for_little_memory_keeps_products_inside() -> None:
    made = prepared(*gx.scan(step, H, XS, checkpoint="full"))
    assert count(made, CONTRACT) == 0 and count(made, CONTRACT, inside=True) == 3


# -- one loop for two -----------------------------------------------------------------------------------------------------------
def test_scans_that_repeat_each_other_are_one() -> None:
    h, ys = gx.scan(step, H, XS)
    (again, other), _ = gx.scan(lambda c, x: ((step(c[0], x)[0], c[1] * 2 + c[0]), None), (H, H), XS)
    made = prepared(h, ys, again, other)
    assert count(made, SCAN) == 1 and made[0] is made[2]
    assert scan_of(made).attrs["carries"] == 2


def test_scans_that_need_each_other_stay_two() -> None:
    _, a = gx.scan(lambda c, x: (c + x[0], c), 0.0, XS)
    _, b = gx.scan(lambda c, x: (c + x[0][0], c * x[1]), 0.0, (XS, a))
    assert count(prepared(a, b), SCAN) == 2
    _, c = gx.scan(lambda c, x: (c + x[0], c), 0.0, XS, reverse=True)
    assert count(prepared(a, c), SCAN) == 2


def test_maps_over_the_same_rows_are_one() -> None:
    assert count(prepared(gx.map(lambda x: gx.sum(x), XS), gx.map(lambda x: gx.max(x), XS)), SCAN) == 1


def test_equal_carries_are_found_by_refuting() -> None:
    a, b, c = (gx.scalar(name) for name in "abc")
    zero, one = gx.asarray(0.0), gx.asarray(1.0)
    assert equal_carries([Carry(zero, a, a + 1), Carry(zero, b, b + 1), Carry(one, c, c + 1)]) == [0, 0, 2]
    assert equal_carries([Carry(zero, a, b), Carry(zero, b, a), Carry(zero, c, a * b)]) == [0, 0, 2]  # a, b swap: always equal
    assert equal_carries([Carry(zero, a, b + 1), Carry(zero, b, c + 1), Carry(zero, c, c)]) == [0, 1, 2]  # refuted one after the other


def test_a_value_that_is_simple_at_once_does_not_end_the_rounds() -> None:
    prepared(XS, *gx.scan(lambda c, x: (gx.scan(lambda d, _: (d * gx.exp(W[0, 0]) + x[0], None), c, length=3)[0], c), 1.0, XS))


def test_what_only_dead_carries_of_a_while_loop_read_goes_with_them() -> None:
    (one, _), (other, _) = (gx.scan(lambda c, x, k=k: ((c[0] + x[k], c[1] * x[0]), None), (0.0, 1.0), XS)[0] for k in (1, 2))
    a, _, c = gx.while_loop(lambda v: v[0] < 9, lambda v: (v[0] * 2 + 1, v[1] + one, v[2] + other), (gx.abs(H[0]), 0.0, 1.0))
    assert count(prepared(a), SCAN) == 0 and count(prepared(c), SCAN) == 1
    made = prepared(c, other)
    assert made[0].inputs[0].inputs[-1] is made[1]


def test_two_products_of_rows_are_two() -> None:
    made = prepared(gx.scan(lambda h, x: (gx.tanh(h * (x @ W) + gx.sin(x @ (W + 1))), None), H, XS)[0])
    assert count(made, CONTRACT) == 2 and count(made, CONTRACT, inside=True) == 0
    assert scan_of(made).attrs["unroll"] == 1


# -- what leaves a body but by its result ---------------------------------------------------------------------------------------
def test_what_leaks_from_a_body_is_named() -> None:
    leaked: list[Node] = []
    gx.scan(lambda c, x: (leaked.append(x) or c, None), 0.0, XS)  # type: ignore[func-returns-value]
    with pytest.raises(ArgumentError, match=r"'xs', which stands for a value inside the body"):
        gx.function([XS], leaked[0] + 1)
