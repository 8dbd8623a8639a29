"""What the textbooks say of costs: 003.md K1 to K3, K8, K9, K14, K15, K17, K18, M7; 000-001.md A36 to A38, B47 to B49, C2, C11, C17, C21.

Nothing is timed: operations, bytes and nodes are counted.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir import toposort


# -- descent --------------------------------------------------------------------------------------------------------------
def test_K1_A36_B49_C17_an_update_costs_the_same_whatever_the_data() -> None:
    """The data are state of an open size; a call gathers the rows of its minibatch."""
    x, y = gx.shared(np.ones((6, 3)), "x", ("n", 3)), gx.shared(np.arange(6.0), "y", ("n",))
    w, rows = gx.shared(np.zeros(3), "w"), gx.tensor("rows", (4,), "int64")
    loss = gx.mean((x[rows] @ w - y[rows]) ** 2)
    step = gx.function([rows], loss, updates=gx.optim.sgd(0.1).updates(loss, w))
    assert step.cost(n=10**9)["operations"] == step.cost(n=10)["operations"] and step.memory(n=10**6)["arena"] == step.memory(n=10)["arena"]
    batch = np.array([5, 0, 3, 3])
    assert step(batch) == pytest.approx(np.mean(batch.astype(float) ** 2))
    np.testing.assert_allclose(w.get_value(), 0.1 * 2 * batch.mean() * np.ones(3))
    x.set_value(np.ones((1000, 3)))
    y.set_value(np.zeros(1000))
    step(np.array([999, 0, 1, 2]))  # the same function


def test_B49_an_epoch_of_drawn_minibatches_sees_every_row_once() -> None:
    x, w = gx.shared(np.arange(12.0)), gx.shared(0.0)
    order = gx.random.default_rng(0).permutation(12)
    total, parts = gx.scan(lambda s, rows: (s + x[rows].sum(), x[rows]), 0.0, order.reshape(3, 4))
    epoch = gx.function([], [total, parts], updates={w: w + total})
    seen = [epoch() for _ in range(2)]
    assert all(t == 66 and np.array_equal(np.sort(p.ravel()), np.arange(12)) for t, p in seen) and w.get_value() == 132
    assert not np.array_equal(seen[0][1], seen[1][1])


def test_A37_B48_rates_that_fall() -> None:
    """1/t, and a factor a step down to a floor: the rate is a node of the counter."""
    schedules = gx.optim.schedules
    for schedule, exact in (
        (schedules.inverse_time(0.5, 1.0), [0.5 / (1 + k) for k in range(6)]),
        (lambda k: gx.maximum(schedules.exponential(0.5, 0.5)(k), 0.1), [0.5, 0.25, 0.125, 0.1, 0.1, 0.1]),
    ):
        x = gx.shared(0.0)
        step = gx.function([], x, updates=gx.optim.sgd(schedule).updates(-x, x))
        np.testing.assert_allclose(np.diff([step() for _ in range(7)]), exact, rtol=1e-12)


def test_A38_momentum_ends_at_the_gradient_over_one_less_mu() -> None:
    """v <- mu v + g: with a constant gradient the steps grow to rate g / (1 - mu)."""
    x = gx.shared(0.0)
    step = gx.function([], x, updates=gx.optim.momentum(0.01, 0.9).updates(3 * x, x))
    path = np.array([step() for _ in range(300)])
    np.testing.assert_allclose(np.diff(path)[[0, -1]], [-0.03, -0.3], rtol=1e-9)


def test_B47_descent_with_a_stopping_rule_inside_the_graph() -> None:
    """A quadratic of largest curvature 10 converges if and only if the rate is below 2/10."""
    h, rate = np.array([1.0, 10.0]), gx.scalar("rate")

    def step(state: tuple[gx.Node, gx.Node]) -> tuple[gx.Node, gx.Node]:
        z, _ = state
        after = z - rate * gx.grad(0.5 * gx.sum(h * z * z), z)
        return after, gx.abs(after - z).max()

    z, _ = gx.while_loop(lambda s: (s[1] > 1e-9) & (s[1] < 1e9), step, (gx.ones(2), gx.asarray(1.0)))
    f = gx.function([rate], z)
    assert np.abs(f(0.199)).max() < 1e-6 < 1e6 < np.abs(f(0.201)).max()


def test_M7_coordinate_descent_is_slow_where_coordinates_pull_together() -> None:
    """(x - y)**2 + a (x**2 + y**2), a = .01: a sweep multiplies by (1 + a)**-2, 695 sweeps to 1e-6, Newton's method takes one step."""
    a = 0.01

    def cost(p: gx.Node) -> gx.Node:
        return (p[0] - p[1]) ** 2 + a * gx.sum(p * p)

    p = gx.vector("p", 2)

    def sweep(q: gx.Node) -> gx.Node:
        x = q[1] / (1 + a)
        return gx.stack([x, x / (1 + a)])

    _, sweeps = gx.while_loop(lambda s: gx.abs(s[0]).max() > 1e-6, lambda s: (sweep(s[0]), s[1] + 1), (p, gx.asarray(0)))
    newton = p - gx.linalg.solve(gx.hessian(cost(p), p), gx.grad(cost(p), p))
    f = gx.function([p], [sweep(p), sweeps, newton, gx.hessian(cost(p), p), gx.grad(cost(sweep(p)), p)])
    once, count, least, hessian, _ = f(np.ones(2))
    np.testing.assert_allclose(once[1], (1 + a) ** -2, rtol=1e-14)
    assert count == 695
    np.testing.assert_allclose(least, 0, atol=1e-13)
    np.testing.assert_allclose(hessian, [[2 + 2 * a, -2], [-2, 2 + 2 * a]], rtol=1e-14)
    found = gx.function([p], gx.optim.minimize(cost, p, "coordinate_descent", tol=1e-8, max_iterations=5000))(np.ones(2))
    assert np.abs(found.x).max() < 1e-6 and found.iterations > 695


# -- memory and operations ----------------------------------------------------------------------------------------------
def test_K2_K3_memory_of_second_order_methods() -> None:
    """A Hessian-vector product takes O(n), at a million numbers too (R45 of 002-004), L-BFGS O(n) times its history, BFGS n**2."""
    many, v = gx.vector("many", "n"), gx.vector("v", "n")
    n = 1000
    x = gx.vector("x", n)

    def cost(x: gx.Node) -> gx.Node:
        return gx.sum((x[1:] - x[:-1] ** 2) ** 2) + gx.sum(gx.cosh(x))

    product = gx.function([many, v], gx.hvp(cost(many), many, v))
    assert product.memory(n=10**6)["arena"] < 16 * 8 * 10**6
    arenas = {m: gx.function([x], gx.optim.minimize(cost, x, m).x).memory()["arena"] for m in ("l_bfgs", "bfgs")}
    assert arenas["l_bfgs"] < 80 * 8 * n < 8 * n * n <= arenas["bfgs"]


def test_K14_K15_C2_through_time() -> None:
    """One node however long; memory of the gradient grows evenly with the length, that of the last state alone does not grow."""
    w, xs = gx.matrix("w", (4, 4)), gx.tensor("xs", ("t", 4))
    last, _ = gx.scan(lambda s, x: (gx.tanh(w @ s + x), None), np.zeros(4), xs)
    forward, slope = gx.function([w, xs], last), gx.function([w, xs], gx.grad(gx.sum(last), w))
    assert forward.memory(t=10)["arena"] == forward.memory(t=10**6)["arena"]
    one, two, three = (slope.memory(t=1000 * k)["arena"] for k in (1, 2, 3))
    assert one < two and three - two == two - one
    small, large = (slope.cost(t=t)["operations"] for t in (1000, 2000))
    assert large / small == pytest.approx(2, rel=0.01)
    assert sum(n.op.name == "scan" for n in toposort([last])) == 1


@pytest.mark.parametrize("groups", [2, 4])
def test_K9_groups_divide_the_operations_forward_and_back(groups: int) -> None:
    x = gx.tensor("x", (2, 8, 10, 10))

    def operations(g: int) -> tuple[int, int]:
        k = gx.tensor("k", (8, 8 // g, 3, 3))
        y = gx.nn.conv2d(x, k, padding=1, groups=g)
        back = gx.function([x, k], gx.vjp(y, [x, k], gx.ones(y.shape)))
        return gx.function([x, k], y).cost()["operations"], back.cost()["operations"]

    whole, parts = operations(1), operations(groups)
    assert [w / p for w, p in zip(whole, parts)] == pytest.approx([groups, groups], rel=0.1)


def test_C21_operations_of_a_convolution_are_counted() -> None:
    """2 x 3 x 3 x 8 a value of the map."""
    x, k = gx.tensor("x", (1, 8, 12, 12)), gx.tensor("k", (16, 8, 3, 3))
    f = gx.function([x, k], gx.nn.conv2d(x, k))
    assert f.cost()["operations"] == pytest.approx(2 * 72 * 16 * 100, rel=0.01)


def test_K8_tiled_kernels_cost_their_number() -> None:
    """locally_connected with the kernels of t x t tiles: t**2 times the weights of a convolution."""
    kernel = np.zeros((5, 3, 3, 3))
    tiles = np.zeros((5, 2, 2, 3, 3, 3))
    assert tiles.size == 2**2 * kernel.size
    x, t = gx.tensor("x", (1, 3, 6, 6)), gx.tensor("t", tiles.shape)
    spread = gx.tile(t, (1, 2, 2, 1, 1, 1))
    gradient = gx.grad(gx.sum(gx.nn.locally_connected(x, spread) ** 2), t)
    assert gx.function([x, t], gradient)(np.ones((1, 3, 6, 6)), tiles + 1).shape == tiles.shape


# -- small constants ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_K18_C11_constants_stay_where_they_are_written(dtype: str) -> None:
    """1e-8 is no part of 1 in float32, but of 0: neither is taken for the other; a variance does not cancel."""
    g, r = gx.vector("g", "n", dtype), gx.vector("r", "n", dtype)
    f = gx.function([g, r], [g / (gx.sqrt(r) + 1e-8), g / gx.sqrt(r + 1e-8), (r + 1e-8) - 1e-8, gx.var(r)])
    zero, one = np.zeros(2, dtype), np.ones(2, dtype)
    assert [v.tolist() for v in f(zero, zero)[:3]] == [[0, 0], [0, 0], [0, 0]]
    outside, inside, _, _ = f(one, zero)
    np.testing.assert_allclose(outside, 1e8, rtol=1e-6)
    np.testing.assert_allclose(inside, 1e4, rtol=1e-6)
    assert np.array_equal(f(one, one)[2], (one + dtype_of(dtype, 1e-8)) - dtype_of(dtype, 1e-8))
    x = (1e4 + np.random.default_rng(0).standard_normal(1000)).astype(dtype)
    np.testing.assert_allclose(f(x, x)[3], x.astype(float).var(), rtol=1e-3)


def dtype_of(dtype: str, value: float) -> np.generic:
    return np.dtype(dtype).type(value)


def test_K17_batch_norm_keeps_no_copy_of_the_batch() -> None:
    """Mean, variance and the normalised values of a batch without a copy of it in between."""
    x = gx.tensor("x", ("n", 64))
    mean, variance = gx.mean(x, axis=0), gx.var(x, axis=0)
    y = (x - mean) / gx.sqrt(variance + 1e-5)
    state = gx.nn.init.batch_norm_state(64)
    z, _ = gx.nn.batch_norm(gx.nn.init.batch_norm(64), state, x, training=True)
    found = gx.function([x], [y, z])(np.random.default_rng(0).standard_normal((7, 64)))
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)
    f = gx.function([x], y)
    assert f.memory(n=10**6)["arena"] < 10**6 * 8
