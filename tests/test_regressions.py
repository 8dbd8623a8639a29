"""What once went wrong. The name of a test says what."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

Made = tuple[list[Any], list[Any], dict[Any, Any]]


def agree(make: Callable[[], Made], *arguments: Any, calls: int = 2) -> None:
    """`make() -> inputs, outputs, updates` gives the same values, compiled and interpreted, call after call."""
    reference: list[list[np.ndarray]] = []
    for mode in ("interpret", "none", "default"):
        inputs, outputs, updates = make()
        f = gx.function(inputs, outputs, updates=updates, mode=mode)
        found = [[*f(*arguments), *(s.get_value() for s in updates)] for _ in range(calls)]
        reference = reference or found
        for wanted, got in zip(reference, found, strict=True):
            for a, b in zip(wanted, got, strict=True):
                np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


RNG = np.random.default_rng(7)


def test_a_kernel_does_not_read_the_reshape_of_what_it_is_still_writing() -> None:
    def make() -> Made:
        x = gx.tensor("x", (4, 6))
        y = gx.exp(x)
        return [x], [gx.sqrt(y.reshape(6, 4).T) + 1, y], {}

    agree(make, RNG.standard_normal((4, 6)))


@pytest.mark.parametrize("shape", [(4, 6), (120, 200)])
def test_state_that_is_read_through_a_reshape_is_not_updated_in_place(shape: tuple[int, int]) -> None:
    def make() -> Made:
        s = gx.shared(np.arange(float(np.prod(shape))).reshape(shape) / 100)
        return [], [], {s: s * 0.5 + s.reshape(shape[::-1]).T}

    agree(make)


def test_the_new_value_of_state_may_be_read_by_a_later_kernel() -> None:
    def make() -> Made:  # the verifier, which runs in all tests, took it for a read of the old value
        a, b = gx.shared(np.arange(12.0)), gx.shared(np.ones((3, 4)))
        new = gx.tanh(a)
        return [], [], {a: new, b: 0.5 * b + new.reshape(3, 4)}

    agree(make)


def test_a_scatter_that_is_returned_twice_and_kept_as_state_reaches_all_three() -> None:
    def make() -> Made:
        s, x, i = gx.shared(np.zeros(5)), gx.tensor("x", (3,)), gx.tensor("i", (3,), "int64")
        y = s.at[i].add(x)
        return [x, i], [y, y, y * 2], {s: y}

    agree(make, RNG.standard_normal(3), np.array([1, 1, 3]))


@pytest.mark.parametrize("by_name", [False, True], ids=["entry", "python"])
@pytest.mark.parametrize("part", [slice(None), slice(10, 30)], ids=["whole", "part"])
def test_an_argument_may_be_the_array_of_the_state_that_is_updated(by_name: bool, part: slice) -> None:
    start = np.arange(40.0)
    s, x = gx.shared(start), gx.tensor("x", ("n",))
    f = gx.function([x], updates={s: s + gx.concatenate([x[::-1], gx.zeros(40 - x.shape[0])])})
    for _ in range(2):
        wanted = s.get_value()
        some = wanted[part][::-1]
        wanted[: len(some)] += some
        f(x=s.value[part]) if by_name else f(s.value[part])
        np.testing.assert_array_equal(s.get_value(), wanted)


def test_a_number_that_is_the_state_which_is_updated_is_read_first() -> None:
    t, x = gx.shared(np.array(2.0)), gx.scalar("x")
    v = gx.shared(np.ones(3))
    f = gx.function([x], updates={t: t + x, v: v * x})
    f(t.value)
    f(t.value)
    assert t.get_value() == 8
    np.testing.assert_array_equal(v.get_value(), [8.0, 8.0, 8.0])


@pytest.mark.parametrize("mode", ["none", "default"])
def test_a_long_chain_on_a_size_needs_no_recursion(mode: str) -> None:
    x = gx.tensor("x", ("n",))
    size = gx.asarray(gx.dim("n")).astype("float64")
    for _ in range(2000):
        size = size * 1.0001 + 1e-3
    f = gx.function([x], x * size, mode=mode)
    np.testing.assert_allclose(f(np.ones(3)), gx.function([x], x * size, mode="interpret")(np.ones(3)), rtol=1e-12)


def test_a_size_that_is_read_twice_at_each_of_many_steps_is_built_once() -> None:
    x = gx.tensor("x", ("n",))
    size = gx.asarray(gx.dim("n")).astype("float64")
    for _ in range(60):
        size = (size * size + size) * 0.2
    f = gx.function([x], x * size, mode="none")
    np.testing.assert_allclose(f(np.ones(3)), gx.function([x], x * size, mode="interpret")(np.ones(3)), rtol=1e-12)


def test_sizes_whose_product_wraps_are_refused_by_the_entry_too() -> None:
    x = gx.tensor("x", ("n",))
    square = gx.outer(x, x)
    f = gx.function([x], gx.sum(gx.sqrt(gx.cumsum(gx.tensordot(square, square, axes=0), axis=0))))
    f(np.ones(2))
    with pytest.raises((MemoryError, gx.ShapeError)):
        f(np.ones(65536))  # 65536**4 elements are 0 in 64 bits


def test_an_entry_outlives_what_its_function_knows() -> None:
    x = gx.tensor("x", (3,))
    f: Any = gx.function([x], x + 1, name="increment")
    vars(f).clear()
    gc.collect()
    assert f(np.zeros(3)).tolist() == [1, 1, 1]  # the code is still there
    with pytest.raises(AttributeError):
        f([0, 0, 0])


def test_an_intermediate_of_negative_size_is_an_error() -> None:
    n, x = gx.dim("n"), gx.vector("x", "n")
    z = gx.exp(gx.zeros((n - 5,)) + gx.sum(x))
    f = gx.function([x], [gx.sum(gx.sqrt(z) * gx.max(x)), gx.sum(gx.cumsum(z))])
    assert np.isfinite(f(np.ones(7))).all()
    assert f(np.ones(5)) == [0, 0]
    for few in (4, 1):
        with pytest.raises(gx.ShapeError, match="must be at least 0"):
            f(np.ones(few))


def test_a_one_hot_by_hand_whose_index_lies_outside_is_zero() -> None:
    """Nobody has checked an index that only looks like that of a lookup: where it hits nothing, the sum is 0."""
    i, g = gx.tensor("i", ("k",), "int64"), gx.tensor("g", ("k",))
    for index in (i, gx.where(i < 0, i + 5, i), i.astype("int32")):
        y = gx.sum(gx.where(gx.arange(5)[None, :] == index[:, None], g[:, None], 0.0), axis=1)
        at, values = np.array([0, 4, 5, -1, -6, 9]), np.arange(6.0) + 1
        found = gx.function([i, g], [y, gx.grad(gx.sum(y**2), g)])
        assert "iota" not in found.graph
        want = gx.function([i, g], [y, gx.grad(gx.sum(y**2), g)], mode="interpret")(at, values)
        for a, b in zip(found(at, values), want):
            np.testing.assert_array_equal(a, b)


def test_seed_5000100_comparison_of_an_infinite_constant() -> None:
    """Of two constants, which are no indices, where neither was folded."""
    x = gx.tensor("x", ("n",))
    for mode in ("none", "default"):
        f = gx.function([x], [gx.power(np.inf, x), gx.where(gx.full(("n",), np.inf) < 1.5, x, 2.0)], mode=mode)
        for found, wanted in zip(f(np.arange(3.0)), ([1, np.inf, np.inf], [2, 2, 2])):
            np.testing.assert_array_equal(found, wanted)


def test_loops_and_branches_over_nothing() -> None:
    """Results of no elements that nobody writes, and branches that fill them: all once failed to compile."""
    k = gx.vector("k", 5)
    c, (a, b) = gx.scan(lambda c, x: (gx.sin(c) + x, (c * 2, x * 3)), np.zeros(0), k)
    w = gx.while_loop(lambda v: v[1] < 3, lambda v: (gx.sin(v[0]), v[1] + 1), (gx.zeros((2, 0)), 0.0))
    m = gx.map(lambda r: (r * gx.zeros(0), r), k)
    chosen = gx.cond(k[0] > 0, lambda: gx.zeros(0) * k[0], lambda: gx.ones(0))
    slope = gx.grad(gx.sum(a) + gx.sum(b) + gx.sum(c), k)
    found = gx.function([k], [a, b, c, *w, *m, chosen, slope], mode="verify")(np.ones(5))
    assert [r.shape for r in found] == [(5, 0), (5,), (0,), (2, 0), (), (5, 0), (5,), (0,), (5,)]
    assert np.array_equal(found[1], np.full(5, 3.0)) and found[4] == 3 and np.array_equal(found[-1], np.full(5, 3.0))
