"""Jacobians and Hessians with few entries: rows along stencils, coloured seeds, and the dense way agree with finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives import matrices, stencils

N = 12


def rosenbrock(x: gx.Node) -> gx.Node:
    a, b = x[:-1], x[1:]
    return gx.sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2)


COSTS = {
    "rosenbrock": rosenbrock,
    "diagonal": lambda x: gx.sum(gx.exp(x) * x),
    "wide": lambda x: gx.sum(x[3:] * gx.sin(x[:-3]) + x[1:-2]),
    "strided": lambda x: gx.sum(gx.square(x[::2]) * x[1::2]),
    "reversed": lambda x: gx.sum(gx.square(x[:6]) * gx.flip(x, 0)[:6]),
    "kept twice": lambda x: gx.sum(gx.square(x * x) + x[::-1] * x),
    "masked": lambda x: gx.sum(gx.where(x > 0, gx.sqrt(gx.abs(x)) * x, x * x)),
    "blocks": lambda x: gx.sum(gx.square(gx.sum(gx.reshape(gx.sin(x), (6, 2)), axis=1))),
    "dense": lambda x: gx.square(gx.sum(gx.sin(x))),
}


def finite_differences(f: gx.Function, x: np.ndarray) -> np.ndarray:
    step = 1e-6
    return np.array([(np.asarray(f(x + step * e)) - np.asarray(f(x - step * e))) / (2 * step) for e in np.eye(x.size)])


@pytest.mark.parametrize("name", COSTS)
def test_hessians(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = gx.vector("x", N)
    cost = COSTS[name](x)
    value = np.random.default_rng(3).uniform(0.3, 1.5, N) * np.where(np.arange(N) % 3 == 0, -1, 1)
    want = finite_differences(gx.function([x], gx.grad(cost, x)), value)
    ways = {"rows": gx.hessian(cost, x), "flat": gx.hessian(cost, x, flat=True)}
    monkeypatch.setattr(stencils, "rows_of", lambda *_: None)
    ways["colours"] = gx.hessian(cost, x)
    monkeypatch.setattr(matrices, "FEWEST", 99)
    ways["dense"] = gx.hessian(cost, x)
    for node in ways.values():
        np.testing.assert_allclose(gx.function([x], node)(value), want, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(node.eval({x: value}), want, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 33])
def test_jacobians_of_any_size(n: int, dtype: str) -> None:
    x = gx.tensor("x", (n,), dtype)
    value = np.linspace(-1, 2, n).astype(dtype)
    for mode in ("forward", "reverse"):
        diagonal = gx.function([x], gx.jacobian(x * x + 1, x, mode=mode))(value)
        assert diagonal.dtype == dtype
        np.testing.assert_allclose(diagonal, np.diag(2 * value), rtol=1e-6)
        crossed = gx.function([x], gx.jacobian(x * x[::-1], x, mode=mode))(value)  # in the middle of an odd size two entries meet
        np.testing.assert_allclose(crossed, np.diag(value[::-1]) + np.diag(value)[:, ::-1], rtol=1e-6)
        if n > 1:
            steps = gx.function([x], gx.jacobian(x[1:] - x[:-1], x, mode=mode))(value)
            np.testing.assert_array_equal(steps, np.eye(n - 1, n, 1) - np.eye(n - 1, n))


def test_matrices_and_trees() -> None:
    w, b = gx.matrix("w", (3, 4)), gx.vector("b", 4)
    out = gx.exp(w) * b
    first, second = gx.function([w, b], gx.jacobian(out, (w, b)))(np.zeros((3, 4)), np.arange(4.0))
    np.testing.assert_array_equal(first.reshape(12, 12), np.diag(np.tile(np.arange(4.0), 3)))
    np.testing.assert_array_equal(second, np.broadcast_to(np.eye(4), (3, 4, 4)))


def test_what_does_not_depend_is_0_whatever_the_values() -> None:
    x = gx.vector("x", N)
    value = np.ones(N)
    value[4] = np.inf
    h = gx.function([x], gx.hessian(gx.sum(x[1:] ** 2 * x[:-1] ** 2), x))(value)
    far = np.abs(np.subtract.outer(np.arange(N), np.arange(N))) > 1
    assert not h[far].any() and not np.isfinite(h[4, 3])
    assert np.isfinite(h[6:, 6:]).all()


@pytest.mark.parametrize("hole", [0, 5, N - 1])
@pytest.mark.parametrize("first", [False, True])
def test_a_row_with_a_hole_adds_nothing_there(hole: int, first: bool) -> None:
    """Where x is left out, its factor may be infinite: 0 * inf is no part of the derivative."""
    x, a, b = gx.vector("x", N), gx.vector("a", N), gx.vector("b", N)
    holed = gx.concatenate([x[:hole], gx.zeros(1), x[hole + 1 :]]) * a
    out = holed + x * b if first else x * b + holed
    factor = np.linspace(1, 2, N)
    factor[hole] = np.inf
    for mode in ("forward", "reverse"):
        got = gx.function([x, a, b], gx.jacobian(out, x, mode=mode))(np.ones(N), factor, np.full(N, 3.0))
        np.testing.assert_array_equal(got, np.diag(np.where(np.arange(N) == hole, 3.0, 3.0 + factor)))


def test_few_operations() -> None:
    x = gx.vector("x", 200)
    f = gx.function([x], gx.hessian(rosenbrock(x), x))
    assert f.cost()["operations"] < 20 * 200 + 200 * 200
    assert f.program.count("scatter k") == 1  # the diagonals in one kernel


def test_third_derivatives() -> None:
    x = gx.vector("x", 10)
    third = gx.jacobian(gx.hessian(gx.sum(x**4), x), x)
    value = np.arange(10.0)
    got = gx.function([x], third)(value)
    want = np.zeros((10, 10, 10))
    want[range(10), range(10), range(10)] = 24 * value
    np.testing.assert_allclose(got, want)


def test_constant_places_of_scatters() -> None:
    x = gx.vector("x", 5)
    value = np.arange(5.0) + 1
    at = np.array([3, 1, 4, 0, 2])
    z = gx.zeros((6, 7))
    f = gx.function([x], z.at[at, at].set(x).at[np.arange(5), 6].set(x * 2).at[at, at].add(x))
    want = np.zeros((6, 7))
    want[at, at] = value
    want[np.arange(5), 6] = value * 2
    want[at, at] += value
    np.testing.assert_array_equal(f(value), want)
    flags = gx.function([x], gx.full((40, 40), True).at[np.arange(5), np.arange(5)].set(x > 2))(value)
    assert flags.sum() == 1600 - 2 and flags.dtype == bool
