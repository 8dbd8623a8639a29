"""Rows of 002-004.md and 000-001.md that ask for sorting: R32 and R55 (sort), the median as what absolute errors find, the top-5 metric."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx


def test_R32_the_derivative_of_sort_is_a_permutation() -> None:
    rng = np.random.default_rng(0)
    x, w = gx.tensor("x", (3, 5)), rng.standard_normal((3, 5))
    cost = gx.sum(gx.sort(gx.sin(x) * x, axis=1) * w)
    f, g = gx.function([x], cost), gx.function([x], [gx.grad(cost, x), gx.jacobian(gx.sort(x[0]), x)[:, 0]])
    at = rng.standard_normal((3, 5))
    slope, moved = g(at)
    for k in range(at.size):
        step = np.zeros(15)
        step[k] = 1e-6
        difference = (f(at + step.reshape(3, 5)) - f(at - step.reshape(3, 5))) / 2e-6
        np.testing.assert_allclose(slope.flat[k], difference, atol=1e-8)
    np.testing.assert_array_equal(moved, np.eye(5)[np.argsort(at[0])])


def test_R55_ties_of_a_sort_have_one_value_however_it_is_written() -> None:
    """Of equal elements each gets what the stable order gives its place: as one op, as positions, as the lanes of vmap, twice."""
    x = gx.tensor("x", (4,))
    spellings: list[Any] = [
        gx.sort(x), x[gx.argsort(x)], gx.take_along_axis(x, gx.argsort(x), 0), gx.sort(gx.sort(x)), gx.topk(x, 4, largest=False)[0],
        gx.vmap(gx.sort)(x[None])[0], -gx.sort(-x, descending=True),
    ]  # fmt: skip
    weights = np.array([1.0, 2.0, 4.0, 8.0])
    f = gx.function([x], [gx.grad(gx.sum(y * weights), x) for y in spellings])
    for found in f(np.array([2.0, 1.0, 2.0, 1.0])):
        np.testing.assert_array_equal(found, [4, 1, 8, 2])


def test_absolute_errors_find_the_median() -> None:
    """The constant c that minimises mean |x - c|: its subgradient vanishes at the conditional median, not at the mean."""
    x, c = gx.tensor("x", ("n",)), gx.tensor("c", ())
    slope = gx.grad(gx.mean(gx.abs(x - c)), c)
    f = gx.function([x, c], [slope, gx.median(x)])
    data = np.random.default_rng(1).exponential(size=101)
    at = float(f(data, np.array(0.0))[1])
    assert at == np.median(data) and abs(at - data.mean()) > 0.1
    assert abs(float(f(data, np.array(at))[0])) < 1e-15
    low, high = (float(f(data, np.array(at + d))[0]) for d in (-1e-3, 1e-3))
    assert low < 0 < high


def test_A63_top_5_metric() -> None:
    """An example counts where its class is among the five with the largest scores."""
    scores, y = gx.tensor("scores", ("n", 1000), "float32"), gx.tensor("y", ("n",), "int64")
    _, best = gx.topk(scores, 5)
    f = gx.function([scores, y], gx.mean(gx.any(best == y[:, None], axis=1)))
    rng = np.random.default_rng(2)
    value, label = rng.standard_normal((64, 1000)).astype("float32"), rng.integers(0, 1000, 64)
    value[np.arange(0, 64, 2), label[::2]] += 9
    rank = (value > np.take_along_axis(value, label[:, None], 1)).sum(1)
    assert float(f(value, label)) == np.mean(rank < 5)
