"""Carries that a body updates by index: in their place where nobody reads the old value any more, and right in any case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.program import Launch
from tests.loop_programs import both, numbers


def adds(c: Any, k: Any, v: Any) -> Any:
    return c.at[k[0]].add(v[0]), None


def sets_many_and_reads_before(c: Any, k: Any, v: Any) -> Any:
    return c.at[k].set(v), c[k[0]]


def a_chain(c: Any, k: Any, v: Any) -> Any:
    return c.at[k[0]].set(v[0]).at[k[1]].add(v[1]), c


def reads_what_it_replaces(c: Any, k: Any, v: Any) -> Any:
    return c.at[k[0]].set(c[k[0]] * v[0]), gx.sum(c)


def permutes(c: Any, k: Any, v: Any) -> Any:
    return c.at[k].set(c[k[::-1]] + v), None


def slides(c: Any, k: Any, v: Any) -> Any:
    return c.at[k].set(c[1:] * 2 + v), None


def swaps(c: Any, k: Any, v: Any) -> Any:
    return c.at[k[0]].set(c[k[1]]).at[k[1]].set(c[k[0]]), None


def reads_behind(c: Any, k: Any, v: Any) -> Any:
    new = c.at[k[0]].set(v[0])
    return new, (new, gx.sum(new * gx.flip(c)), new[k[1]])


def reads_old_in_the_update(c: Any, k: Any, v: Any) -> Any:
    return c.at[:2].set(gx.sum(c) + v), None


def two_ways(c: Any, k: Any, v: Any) -> Any:
    return gx.where(v[0] > 0, c.at[k[0]].set(v[0]), c.at[k[1]].add(v[1])), c


UPDATES = [
    adds,
    sets_many_and_reads_before,
    a_chain,
    reads_what_it_replaces,
    permutes,
    slides,
    slides,
    swaps,
    reads_behind,
    reads_old_in_the_update,
    two_ways,
]
IN_PLACE = {adds, sets_many_and_reads_before, a_chain, reads_what_it_replaces}


@pytest.mark.parametrize("update", UPDATES, ids=lambda f: f.__name__)
def test_updates_by_index(update: Callable[..., Any]) -> None:
    i, x, h = gx.tensor("i", ("n", 2), "int64"), gx.tensor("x", ("n", 2)), gx.tensor("h", ("m",))
    result = gx.scan(lambda c, r: update(c, *r), h, (i, x))
    for n in (0, 1, 2, 6):
        for seed in range(3):  # also the same place twice
            where = np.random.default_rng(seed).integers(-3, 3, (n, 2))
            both([i, x, h], result, where, numbers(n, 2, seed=seed), numbers(3, seed=5))
    if update in IN_PLACE:
        assert "carry" not in gx.function([i, x, h], result).program


def test_a_turn_writes_what_it_updates_and_no_more() -> None:
    """In the body a scatter has one stage, the update: the array is not gone through."""
    h = gx.tensor("h", ("n", "m"))
    f = gx.function([h], gx.fori_loop(0, h.shape[0], lambda t, c: c.at[t].add(1.0), h))
    (scatter,) = [step.kernel for step in f._native().program.numbered if isinstance(step, Launch) and step.kernel.kind == "scatter"]
    assert len(scatter.stages) == 1 and 0 in scatter.loaded
    both([h], gx.fori_loop(0, h.shape[0], lambda t, c: c.at[t].add(1.0), h), numbers(5, 3))


def test_two_carries_of_one_scatter() -> None:
    i, h, g = gx.tensor("i", ("n",), "int64"), gx.tensor("h", (4,)), gx.tensor("g", (4,))

    def turn(c: Any, k: Any) -> Any:
        new = c[0].at[k].add(1.0)
        return (new, new, c[1]), c[2]

    result = gx.scan(turn, (h, g, g), i)
    for n in (0, 1, 3):
        both([i, h, g], result, np.arange(n), numbers(4), numbers(4, seed=1))


def test_an_update_that_fails_leaves_state_as_it_was() -> None:
    i, state = gx.tensor("i", ("n",), "int64"), gx.shared(np.zeros(4))
    last, _ = gx.scan(lambda c, k: (c.at[k].add(1.0), None), state, i)
    f = gx.function([i], [], updates={state: last}, mode="verify")
    f([0, 1, 1])
    with pytest.raises(gx.IndexOutOfRange, match="index 4"):
        f([0, 2, 4])
    np.testing.assert_array_equal(state.get_value(), [1, 2, 0, 0])


def test_updates_in_a_while_loop_and_in_loops_inside_loops() -> None:
    x, h = gx.tensor("x", ("n",)), gx.tensor("h", (3, 3))
    sieve = gx.while_loop(lambda v: v[0] < 3, lambda v: (v[0] + 1, v[1].at[v[0]].set(gx.sum(v[1]))), (0, gx.ones((3,))))
    inner = lambda c, row: gx.fori_loop(0, 3, lambda t, s: s.at[row, t].add(x[0] + t), c)
    nested = gx.fori_loop(0, 3, lambda row, c: inner(c, row), h)
    both([x, h], (sieve, nested), numbers(2), numbers(3, 3))
