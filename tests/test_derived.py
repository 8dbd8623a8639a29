"""A derivative that is identically zero is zero; "disconnected" is for what never was connected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.derived import DERIVED, derived, settled
from graphc.verify.graph import verify

ORDERS = 6


def falling(n: int, k: int) -> float:
    """n (n - 1) .. (n - k + 1)."""
    return float(np.prod([n - j for j in range(k)]))


@pytest.mark.parametrize("disconnected", ["error", "zero"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_all_orders_of_a_power(n: int, disconnected: str) -> None:
    t = gx.tensor("t")
    node, want = (t**n if n else t * 0 + 1.0), np.array(1.5)
    for k in range(1, ORDERS + 1):
        node = gx.grad(node, t, disconnected=disconnected)
        expected = falling(n, k) * want ** max(n - k, 0)
        assert evaluate([node], {t: want})[0] == pytest.approx(expected, rel=1e-14)
        assert gx.function([t], node)(want) == pytest.approx(expected, rel=1e-14)
        assert gx.grad(gx.stop_gradient(node) + t, t).eval({t: want}) == 1


def test_the_fourth_derivative_of_a_cube() -> None:
    t = gx.tensor("t")
    third = gx.grad(gx.grad(gx.grad(t**3, t), t), t)
    assert gx.function([], third)() == 6  # compiled, it needs no t
    assert third.eval() == 6
    assert gx.grad(third, t).eval({t: 2.0}) == 0
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.asarray(6.0), t)


@pytest.mark.parametrize(
    "derivative",
    [
        lambda y, x: gx.grad(gx.sum(y), x), lambda y, x: gx.jvp(y, x, gx.ones_like(x)), lambda y, x: gx.vjp(y, x, gx.ones_like(y)),
        lambda y, x: gx.jacobian(y, x), lambda y, x: gx.jacobian(y, x, mode="reverse"), lambda y, x: gx.jacobian(y, x, mode="forward"),
        lambda y, x: gx.hessian(gx.sum(y), x), lambda y, x: gx.hessian(gx.sum(y), x, flat=True),
        lambda y, x: gx.hvp(gx.sum(y), x, gx.ones_like(x)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 1, 3])
def test_every_derivative_remembers(derivative: Callable[[Node, Node], Node], size: int) -> None:
    """Again and again, mixed with others, of a square, until all is zero."""
    x = gx.tensor("x", (size,))
    y, want = x * x, np.arange(1.0, size + 1)
    for _ in range(4):
        y = derivative(y, x)
        if y.size and isinstance(y.size, int) and y.size > 200:
            y = gx.sum(y, axis=0)
    assert not np.any(evaluate([y], {x: want})[0])
    assert not np.any(evaluate([gx.grad(gx.sum(y), x)], {x: want})[0])
    other = gx.tensor("other", (size,))
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.sum(y), other)
    with pytest.raises(gx.DisconnectedError):
        gx.jacobian(y, other)
    assert not np.any(evaluate([gx.grad(gx.sum(y), other, disconnected="zero")], {})[0])


def test_trees_and_mixed_derivatives() -> None:
    """The cost depends on a and on b, so d^2 cost / da db is 0, and with respect to c there is none."""
    p = {"a": gx.tensor("a", (2,)), "b": [gx.tensor("b")]}
    c = gx.tensor("c")
    g = gx.grad(gx.sum(p["a"] ** 2) + 3 * p["b"][0], p)
    env = {p["a"]: np.ones(2), p["b"][0]: np.array(2.0)}
    for part in gx.tree.leaves(g):
        second = gx.grad(gx.sum(part), p)
        values = evaluate(gx.tree.leaves(second), env)
        assert [v.shape for v in values] == [(2,), ()]
        with pytest.raises(gx.DisconnectedError, match="wrt"):
            gx.grad(gx.sum(part), c)
    cross = gx.grad(gx.sum(g["a"]), p["b"][0])
    assert evaluate([cross], env)[0] == 0
    alone = gx.grad(gx.sum(p["a"] ** 2), p["a"])  # of a cost without b: not connected
    with pytest.raises(gx.DisconnectedError):
        gx.grad(gx.sum(alone), p["b"][0])


def test_interior_nodes_and_outputs() -> None:
    x = gx.tensor("x", (3,))
    h = gx.sin(x)
    d = gx.grad(gx.sum(3 * h), h)
    env = {x: np.ones(3)}
    np.testing.assert_array_equal(
        evaluate([d, gx.grad(gx.sum(d), h), gx.grad(gx.sum(d), x)], env), [np.full(3, 3.0), np.zeros(3), np.zeros(3)]
    )
    square = gx.grad(gx.sum(d * d), d)  # a derivative as a variable of its own
    np.testing.assert_array_equal(evaluate([square], env)[0], np.full(3, 6.0))


def test_what_is_derived_follows_its_variables() -> None:
    """Substitution, batching and inlining carry the arc along."""
    t, u = gx.tensor("t"), gx.tensor("u", (4,))
    third = gx.grad(gx.grad(gx.grad(t**3, t), t), t)
    s = gx.tensor("s")
    moved = gx.substitute(third, {t: s * s})
    assert gx.grad(moved, s).eval({s: 1.0}) == 0
    with pytest.raises(gx.DisconnectedError):
        gx.grad(moved, t)
    lanes = gx.vmap(lambda v: gx.grad(gx.grad(v * v, v), v))(u)
    np.testing.assert_array_equal(evaluate([lanes, gx.grad(gx.sum(lanes), u)], {u: np.ones(4)}), [np.full(4, 2.0), np.zeros(4)])
    f = gx.function([t], third)
    assert gx.grad(f(s), s).eval({s: 1.0}) == 0


def test_settled() -> None:
    """Nothing of it is left when something is computed, and nothing is there where a derivative shows what it depends on."""
    t, x = gx.tensor("t"), gx.tensor("x")
    second = gx.grad(gx.grad(t * t, t), t)
    assert second.op is DERIVED and gx.grad(gx.exp(t), t).op is not DERIVED
    verify([second])
    (plain,) = settled([second * x])
    assert t not in set(toposort([plain])) and x in set(toposort([plain]))
    kept = second * x
    assert settled([kept + 1], [kept])[0] is kept + 1 and settled([x])[0] is x
    assert gx.grad(second * t, t).eval({t: 3.0}) == 2
    (again,) = derived([gx.asarray(1.0)], [t], ())
    assert again.eval() == 1 and gx.jvp(again, t, gx.asarray(1.0)).eval({t: 0.0}) == 0
    f = gx.function([x], second * x)
    assert DERIVED not in {n.op for n in f._graph.order} and f(2.0) == 4
