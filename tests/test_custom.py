"""Functions with derivatives of their own, functions computed again, and the user's own Python in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.control.checkpoint import CHECKPOINT
from graphc.errors import ArgumentError, DTypeError, NotDifferentiableError, NumericError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Node, make, toposort
from graphc.passes.inline import inlined
from graphc.passes.prepare import prepare
from graphc.region import close

rng = np.random.default_rng(11)
X, Y = gx.vector("x", 3), gx.vector("y", 3)
POINT = {X: np.array([0.5, -1.5, 2.0]), Y: np.array([1.0, 2.0, -0.5])}


def value(*nodes: Node, env: dict[Any, Any] | None = None) -> list[np.ndarray]:
    """The values, as they are, prepared, inlined, and as native code: all the same."""
    env = POINT if env is None else env
    found = evaluate(nodes, env)
    for a, b in zip(found, gx.function(list(env), list(nodes), mode="verify")(*env.values())):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)
    for other in (prepare(nodes), inlined(nodes)):
        for a, b in zip(found, evaluate(other, env)):
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)
    return found


def clipped() -> Any:
    """x in value, its cotangent between -1 and 1."""

    @gx.custom_vjp
    def f(x: Node) -> Node:
        return x * 1.0

    f.defvjp(lambda x: (x, None), lambda _, g: (gx.clip(g, -1, 1),))
    return f


def cube() -> Any:
    """x**3 with a derivative that is right, stated by residuals."""

    @gx.custom_vjp
    def f(x: Node) -> Node:
        return x**3

    f.defvjp(lambda x: (x**3, 3 * x**2), lambda slope, g: (slope * g,))
    return f


# -- reverse rules --------------------------------------------------------------------------------------------------------
def test_the_rule_takes_the_place_of_the_derivative() -> None:
    f = clipped()
    (g,) = value(gx.grad(gx.sum(Y * f(X)), X))
    np.testing.assert_array_equal(g, np.clip(POINT[Y], -1, 1))
    np.testing.assert_array_equal(value(f(X))[0], POINT[X])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_derivatives_are_those_of_the_rule(order: int) -> None:
    y, x = gx.sum(cube()(X)), POINT[X]
    for _ in range(order):
        y = gx.sum(gx.grad(y, X))
    (found,) = value(y)
    np.testing.assert_allclose(found, {1: np.sum(3 * x**2), 2: np.sum(6 * x), 3: 18.0}[order])


def test_forward_mode_is_the_transpose() -> None:
    (found,) = value(gx.jvp(cube()(X), X, Y))
    np.testing.assert_allclose(found, 3 * POINT[X] ** 2 * POINT[Y])
    (found,) = value(gx.jvp(gx.grad(gx.sum(cube()(X)), X), X, Y))
    np.testing.assert_allclose(found, 6 * POINT[X] * POINT[Y])


def test_trees_in_and_out_and_what_is_left_out_is_zero() -> None:
    @gx.custom_vjp
    def f(p: dict[str, Node], n: Node) -> tuple[Node, Node]:
        return p["a"] * p["b"], p["a"] + gx.sum(n)

    f.defvjp(lambda p, n: (f(p, n), p), lambda p, g: ({"a": g[0] * p["b"], "b": None}, None))
    first, second = f({"a": X, "b": Y}, gx.arange(3))
    a, b = value(*gx.grad(gx.sum(first) + gx.sum(second), [X, Y]))
    np.testing.assert_allclose(a, POINT[Y])
    np.testing.assert_array_equal(b, np.zeros(3))


def test_vmap_of_a_rule_is_the_rule_of_each_lane() -> None:
    f, xs, y = clipped(), gx.matrix("xs", ("n", 3)), gx.vector("s", 3)

    @gx.custom_vjp
    def scaled(x: Node, s: Node) -> Node:
        return x * s

    scaled.defvjp(lambda x, s: (x * s, (x, s)), lambda r, g: (g * r[1] * 10, g * r[0] * 10))
    env = {xs: rng.normal(size=(4, 3)) * 3, y: rng.normal(size=3)}
    (found,) = value(gx.grad(gx.sum(xs * gx.vmap(f)(xs)), xs), env=env)
    np.testing.assert_allclose(found, env[xs] + np.clip(env[xs], -1, 1))
    by_x, by_s = value(*gx.grad(gx.sum(gx.vmap(scaled, in_axes=(0, None))(xs, y)), [xs, y]), env=env)
    np.testing.assert_allclose(by_x, np.broadcast_to(env[y] * 10, (4, 3)))
    np.testing.assert_allclose(by_s, env[xs].sum(0) * 10)
    twice = gx.vmap(gx.vmap(scaled, in_axes=(0, None)), in_axes=(None, 0))(xs, gx.stack([y, 2 * y]))
    (found,) = value(gx.grad(gx.sum(twice), y), env=env)
    np.testing.assert_allclose(found, 3 * env[xs].sum(0) * 10)


def test_a_captured_value_has_no_derivative() -> None:
    @gx.custom_vjp
    def f(x: Node) -> Node:
        return x * Y

    f.defvjp(lambda x: (x * Y, None), lambda _, g: (g * Y,))
    value(f(X))
    with pytest.raises(NotDifferentiableError, match=r"f has a derivative of its own.*y: f64\[3\]"):
        gx.grad(gx.sum(f(X)), X)

    @gx.custom_vjp
    def h(x: Node) -> Node:
        return x * gx.stop_gradient(Y)

    h.defvjp(lambda x: (h(x), None), lambda _, g: (g * 7,))
    np.testing.assert_array_equal(value(gx.grad(gx.sum(h(X)), X))[0], np.full(3, 7.0))


def test_what_is_wrong_with_a_rule_is_said() -> None:
    f = gx.custom_vjp(lambda x: x * 2)
    with pytest.raises(ArgumentError, match=r"no derivative yet.*defvjp"):
        f(X)
    for fwd, bwd, match in [
        (lambda x: x, lambda r, g: (g,), "fwd must return"),
        (lambda x: ((x, x), None), lambda r, g: (g,), "unlike that of the function"),
        (lambda x: (x * 2, None), lambda r, g: g, "tuple of 1 cotangents"),
        (lambda x: (x * 2, None), lambda r, g: (g, g), "got 2"),
    ]:
        f.defvjp(fwd, bwd)
        with pytest.raises(ArgumentError, match=match):
            gx.grad(gx.sum(f(X)), X)
    f.defvjp(lambda x: (x * 2, None), lambda r, g: (gx.sum(g),))
    with pytest.raises(ShapeError):
        gx.grad(gx.sum(f(X)), X)
    with pytest.raises(ArgumentError, match="no function"):
        gx.custom_vjp(3)  # type: ignore[arg-type]


def test_a_rule_is_checked_on_request() -> None:
    f = gx.custom_vjp(lambda x: gx.sin(x))
    f.defvjp(lambda x: (gx.sin(x), x), lambda x, g: (g * gx.cos(x),), check=(np.array([0.3, 1.0]),), order=2)
    with pytest.raises(NumericError):
        f.defvjp(lambda x: (gx.sin(x), x), lambda x, g: (g * gx.sin(x),), check=(np.array([0.3, 1.0]),))
    h = gx.custom_jvp(lambda x: gx.sin(x))
    h.defjvp(lambda p, t: (gx.sin(p[0]), gx.cos(p[0]) * t[0]), check=(0.4,), order=3)
    with pytest.raises(NumericError):
        h.defjvp(lambda p, t: (gx.sin(p[0]), gx.cos(p[0])), check=(0.4,))


# -- forward rules ----------------------------------------------------------------------------------------------------------
def test_a_forward_rule_and_its_transpose() -> None:
    @gx.custom_jvp
    def f(x: Node, y: Node) -> Node:
        return x * y

    f.defjvp(lambda p, t: (f(*p), 10 * t[0] * p[1] + p[0] * t[1]))
    x, y = POINT[X], POINT[Y]
    np.testing.assert_allclose(value(gx.jvp(f(X, Y), [X, Y], [Y, X]))[0], 10 * y * y + x * x)
    a, b = value(*gx.grad(gx.sum(f(X, Y)), [X, Y]))
    np.testing.assert_allclose(a, 10 * y)
    np.testing.assert_allclose(b, x)
    (second,) = value(gx.grad(gx.sum(gx.grad(gx.sum(f(X, Y)), X)), Y))
    np.testing.assert_allclose(second, np.full(3, 10.0))
    xs = gx.matrix("xs", ("n", 3))
    env = {xs: rng.normal(size=(2, 3)), **POINT}
    (found,) = value(gx.grad(gx.sum(gx.vmap(f, in_axes=(0, None))(xs, Y)), Y), env=env)
    np.testing.assert_allclose(found, env[xs].sum(0))


def test_a_forward_rule_must_be_linear() -> None:
    f = gx.custom_jvp(lambda x: x)
    f.defjvp(lambda p, t: (p[0], t[0] ** 2))
    with pytest.raises(NotDifferentiableError, match="not linear"):
        gx.grad(gx.sum(f(X)), X)
    f.defjvp(lambda p, t: p[0])
    with pytest.raises(ArgumentError, match="tangent"):
        gx.jvp(f(X), X, Y)


# -- computed again -----------------------------------------------------------------------------------------------------------
def layer(x: Node, w: Node) -> Node:
    return gx.tanh(gx.sin(x * w) + gx.exp(x))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_checkpoint_changes_no_number(order: int) -> None:
    plain, again = gx.sum(layer(layer(X, Y), Y)), gx.sum(gx.checkpoint(layer)(gx.checkpoint(layer)(X, Y), Y))
    for _ in range(order):
        plain, again = (gx.sum(gx.grad(y, X)) + gx.sum(gx.grad(y, Y)) for y in (plain, again))
    a, b = value(plain, again)
    np.testing.assert_allclose(b, a, rtol=1e-10)
    np.testing.assert_allclose(*value(gx.jvp(layer(X, Y), X, Y), gx.jvp(gx.checkpoint(layer)(X, Y), X, Y)))


def test_checkpoint_keeps_the_arguments_alone() -> None:
    """What the reverse derivative reads from outside are the arguments and the cotangent."""
    cost = gx.sum(gx.checkpoint(lambda x: layer(layer(x, Y), Y))(X))
    made = prepare([cost, gx.grad(cost, X)])
    (node,) = [n for n in toposort(inlined(made)) if n.op is CHECKPOINT]
    assert all(i.op.traits.variable or not any(v.op.traits.variable for v in toposort([i])) for i in node.inputs)


def test_vmap_through_checkpoint() -> None:
    xs = gx.matrix("xs", ("n", 3))
    env = {xs: rng.normal(size=(2, 3)), **POINT}
    f, g = gx.vmap(layer, in_axes=(0, None)), gx.vmap(gx.checkpoint(layer), in_axes=(0, None))
    for a, b in zip(value(*gx.grad(gx.sum(f(xs, Y)), [xs, Y]), env=env), value(*gx.grad(gx.sum(g(xs, Y)), [xs, Y]), env=env)):
        np.testing.assert_allclose(b, a, rtol=1e-12)


def test_checkpoint_of_what_has_no_derivative_passes_none_on() -> None:
    f = gx.checkpoint(lambda x: gx.stop_gradient(x) * 2)
    np.testing.assert_array_equal(value(gx.grad(gx.sum(f(X) * X), X))[0], 2 * POINT[X])
    with pytest.raises(ShapeError, match="checkpoint: the body takes"):
        make(CHECKPOINT, (X, gx.scalar("t")), (False, close([X + Y], [X, Y])[0]))


# -- Python in the graph --------------------------------------------------------------------------------------------------------
def test_a_callback_gives_what_python_gives() -> None:
    calls: list[int] = []

    def sort(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        x.sort()  # its own copy
        return x

    f = gx.callback(sort, lambda x: x)
    given = POINT[X].copy()
    (found,) = evaluate([f(X) * 2 + f(X)], {X: given})
    np.testing.assert_array_equal(found, 3 * np.sort(given))
    np.testing.assert_array_equal(given, POINT[X])
    assert calls == [1]


def test_a_callback_with_a_derivative_has_all_of_them() -> None:
    sin = gx.callback(np.sin, lambda x: x, vjp=lambda g, out, x: (g * cos(x),))
    cos = gx.callback(np.cos, lambda x: x, vjp=lambda g, out, x: (-g * sin(x),))
    y = gx.sum(sin(X))
    for k in range(1, 4):
        y = gx.sum(gx.grad(y, X))
        (found,) = evaluate([y], POINT)
        np.testing.assert_allclose(found, np.sum([np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][k - 1](POINT[X])))
    (found,) = evaluate([gx.jvp(sin(X), X, Y)], POINT)
    np.testing.assert_allclose(found, np.cos(POINT[X]) * POINT[Y])
    with pytest.raises(NotDifferentiableError, match="callback sin has no derivative"):
        gx.grad(gx.sum(gx.callback(np.sin, X)(X)), X)


def test_whole_numbers_stand_for_floats() -> None:
    f = gx.callback(lambda x: np.array([1, 2, 3], "int32"), lambda x: x)
    (found,) = evaluate([f(X)], POINT)
    assert found.dtype == np.float64 and found.tolist() == [1, 2, 3]


def test_vmap_calls_it_lane_by_lane() -> None:
    xs = gx.matrix("xs", ("n", 3))
    rows = rng.normal(size=(4, 3))
    f = gx.callback(lambda x, y: (np.cumsum(x), np.float64(x @ y)), lambda x, y: (x, y[0]))
    sums, dots = gx.vmap(f, in_axes=(0, None))(xs, Y)
    a, b = evaluate([sums, dots], {xs: rows, **POINT})
    np.testing.assert_allclose(a, np.cumsum(rows, 1))
    np.testing.assert_allclose(b, rows @ POINT[Y])


def test_what_is_wrong_with_a_callback_is_said() -> None:
    with pytest.raises(ArgumentError, match="not a function"):
        gx.callback(3, X)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"out_types\[0\] is a str"):
        gx.callback(np.sin, ["f64"])(X)
    for f, error in [
        (lambda x: x[:2], ShapeError),
        (lambda x: x.astype(complex), DTypeError),
        (lambda x: (x, x), ArgumentError),
        (lambda x: 1 / 0, ZeroDivisionError),
    ]:
        with pytest.raises(error):
            evaluate([gx.callback(f, X)(X)], POINT)
