"""Reverse mode: values, trees, what is refused, the cost of the sweep, and masked cotangents at every order."""

from __future__ import annotations

import math
import time

import mpmath
import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.derived import settled
from graphc.ops.registry import OPS

RNG = np.random.default_rng(5)
V = RNG.normal(size=4)
M = RNG.normal(size=(4, 4))


def value(node: Node, **given: object) -> np.ndarray:
    """The value of a node with its variables given by name; n is the size of the one named x."""
    inputs = {v: given[v.name] for v in toposort([node]) if v.op.name == "input"}
    n = dims.as_symbol(gx.dim("n"))
    return evaluate([node], inputs, {n: len(given["x"])} if np.ndim(given.get("x", 0.0)) else {})[0]


@pytest.fixture
def x() -> Node:
    return gx.tensor("x", ("n",))


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Node], set[Node]]]:
    """Differentiate the graph as it is written; the list records what `prepare` would have been given."""
    calls: list[tuple[list[Node], set[Node]]] = []
    monkeypatch.setattr("graphc.passes.prepare.prepare", lambda outputs, keep: (calls.append((list(outputs), set(keep))), list(outputs))[1])
    return calls


# -- values -------------------------------------------------------------------------------------------------------------
def test_one_node_as_several_arguments(x: Node) -> None:
    for f, expected in [
        (lambda v: v * v, 2 * V),
        (lambda v: v + v, 2 + 0 * V),
        (lambda v: v / v, 0 * V),
        (lambda v: gx.where(v > 0, v, v), 1 + 0 * V),
        (lambda v: gx.concatenate([v, 2 * v]), 3 + 0 * V),
    ]:
        np.testing.assert_allclose(value(gx.grad(gx.sum(f(x)), x), x=V), expected, atol=1e-15)
    W = gx.tensor("W", ("n", "n"))
    np.testing.assert_allclose(value(gx.grad(gx.sum(W @ W), W), W=M), np.ones((4, 4)) @ M.T + M.T @ np.ones((4, 4)))


def test_trees_keep_their_structure(x: Node) -> None:
    params = {"b": gx.tensor("b", ("n",)), "a": [x, None]}
    g = gx.grad(gx.sum(params["b"] * gx.sin(x)), params)
    assert list(g) == ["b", "a"] and g["a"][1] is None
    np.testing.assert_allclose(value(g["a"][0], b=V, x=V), V * np.cos(V))
    np.testing.assert_allclose(value(g["b"], b=V, x=V), np.sin(V))
    cost = gx.sum(x)
    assert gx.value_and_grad(cost, [x])[0] is cost
    assert gx.grad(cost, {}) == {}
    assert [g.type for g in gx.grad(cost, [x, x])] == [x.type] * 2


def test_interior_nodes_get_the_total_derivative(x: Node) -> None:
    h = gx.tanh(x)
    cost = gx.sum(h * h * x)
    dx, dh = gx.grad(cost, [x, h])
    assert dx is gx.grad(cost, x) and dh is gx.grad(cost, h)
    np.testing.assert_allclose(value(dh, x=V), 2 * np.tanh(V) * V)
    np.testing.assert_allclose(value(dx, x=V), 2 * np.tanh(V) * V * (1 - np.tanh(V) ** 2) + np.tanh(V) ** 2)
    assert value(gx.grad(cost, cost), x=V) == 1.0


def test_vjp_of_a_tree_with_seeds_left_out(x: Node) -> None:
    outputs = {"y": gx.sin(x), "z": (gx.sum(x), x * x)}
    u = gx.tensor("u", ("n",))
    g = gx.vjp(outputs, x, {"y": u, "z": (2.0, None)})
    np.testing.assert_allclose(value(g, x=V, u=M[0]), M[0] * np.cos(V) + 2)
    np.testing.assert_allclose(value(gx.vjp(outputs, x, {"y": None, "z": None}), x=V), 0 * V)
    np.testing.assert_allclose(value(gx.vjp(x * x, x, np.ones(4)), x=V), 2 * V)
    with pytest.raises(gx.ShapeError, match=r"cotangents\['y'\] has shape \(3,\), its counterpart \(4,\)"):
        gx.vjp({"y": gx.tensor("y", 4) * 2}, gx.tensor("y", 4), {"y": np.ones(3)})
    with pytest.raises(gx.ArgumentError, match="cotangents must be a tree like its counterpart"):
        gx.vjp(outputs, x, [u, None])


def test_gradients_have_the_dtype_of_their_leaf() -> None:
    a, b = gx.tensor("a", 3, "float32"), gx.tensor("b", 3, "float64")
    ga, gb = gx.grad(gx.sum(a * b), [a, b])
    assert ga.dtype == np.float32 and gb.dtype == np.float64


def test_gradient_of_a_gradient_penalty(x: Node) -> None:
    inner = gx.grad(gx.sum(gx.sin(x)), x)
    np.testing.assert_allclose(value(gx.grad(gx.sum(inner**2), x), x=V), -2 * np.cos(V) * np.sin(V))


# -- paths that carry nothing -------------------------------------------------------------------------------------------
def test_piecewise_constant_and_stopped_paths_are_zero(x: Node) -> None:
    step = gx.sum((x > 0).astype("float64"))
    for cost in [step, gx.sum(gx.floor(x)), gx.sum(gx.stop_gradient(gx.sqrt(x))), gx.sum(x[gx.argmax(x)] * 0)]:
        np.testing.assert_array_equal(value(gx.grad(cost, x), x=V), 0 * V)
    np.testing.assert_allclose(value(gx.grad(gx.sum(gx.stop_gradient(x) * x), x), x=V), V)
    # nothing is built above a zero, where 0 * inf would be nan
    np.testing.assert_array_equal(value(gx.grad(gx.sum(gx.floor(gx.sqrt(x))), x), x=np.zeros(2)), np.zeros(2))


def test_consider_constant(x: Node) -> None:
    h = gx.tanh(x)
    g = gx.grad(gx.sum(h * x), x, consider_constant=[h])
    np.testing.assert_allclose(value(g, x=V), np.tanh(V))
    np.testing.assert_allclose(value(gx.grad(gx.sum(h * h), h, consider_constant=h), x=V), 2 * np.tanh(V))


def test_known_cotangents(x: Node) -> None:
    h = gx.sin(x)
    cost = gx.sum(h**3)
    dh = gx.grad(cost, h)
    expected = 3 * np.sin(V) ** 2 * np.cos(V)
    np.testing.assert_allclose(value(gx.grad(None, x, known_cotangents={h: dh}), x=V), expected)
    # what is known replaces what would arrive, so that all known layers at once change nothing
    np.testing.assert_allclose(value(gx.grad(cost, x, known_cotangents={h: dh}), x=V), expected)
    np.testing.assert_allclose(value(gx.grad(cost, x, known_cotangents={h: 0.0}), x=V), 0 * V)
    np.testing.assert_allclose(value(gx.grad(None, x, known_cotangents={h: 1.0}), x=V), np.cos(V))


def test_disconnected_leaves_are_listed_in_one_error(x: Node) -> None:
    params = {"used": x, "w": gx.tensor("w", 2), "deep": [gx.tensor("k")]}
    with pytest.raises(gx.DisconnectedError, match=r"wrt\['deep'\]\[0\], wrt\['w'\] \(k: .*test_grad.py:\d+, w: "):
        gx.grad(gx.sum(x), params)
    zeros = gx.grad(gx.sum(x), params, disconnected="zero")
    assert zeros["w"].shape == (2,) and not value(zeros["w"], x=V).any()
    with pytest.raises(gx.ArgumentError, match="disconnected='no'"):
        gx.grad(gx.sum(x), x, disconnected="no")


def test_a_path_that_prepare_finds_to_cancel_is_zero(x: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = gx.zeros(())
    monkeypatch.setattr("graphc.passes.prepare.prepare", lambda outputs, keep: [nothing for _ in outputs])
    np.testing.assert_array_equal(value(gx.grad(gx.sum(x - x), x), x=V), 0 * V)


# -- what is refused ------------------------------------------------------------------------------------------------------
def test_errors_name_the_expression_form_the_shape_and_the_leaf(x: Node) -> None:
    with pytest.raises(gx.ArgumentError, match=r"grad takes an expression, not a function.*cost = f\(x\), then gx.grad\(cost, x\)"):
        gx.grad(lambda v: v, x)
    with pytest.raises(gx.ShapeError, match=r"the cost must be 0-d, not of shape \(n\).*gx.sum.*gx.jacobian"):
        gx.grad(x, x)
    with pytest.raises(gx.ArgumentError, match="the cost must be one node, got list"):
        gx.value_and_grad([x], x)
    k = gx.tensor("k", 3, "int32")
    with pytest.raises(gx.NotDifferentiableError, match=r"wrt\['k'\] is int32; .* \(k: i32\[3\], test_grad.py"):
        gx.grad(gx.sum(x) + gx.sum(k), {"k": k, "x": x})
    with pytest.raises(gx.NotDifferentiableError, match="the cost is int32, not float"):
        gx.grad(k[0], x)
    with pytest.raises(gx.ArgumentError, match=r"wrt\[1\] is a ndarray, not a node"):
        gx.grad(gx.sum(x), [x, V])
    with pytest.raises(gx.ArgumentError, match="vjp takes expressions, not functions: outputs is sin"):
        gx.vjp(math.sin, x, 1.0)
    with pytest.raises(gx.ShapeError, match="known_cotangents has shape"):
        gx.grad(None, x, known_cotangents={gx.sin(x): np.ones((2, 2))})


# -- what it costs ----------------------------------------------------------------------------------------------------------
def test_prepare_sees_the_outputs_and_holds_wrt(x: Node, as_written: list[tuple[list[Node], set[Node]]]) -> None:
    h, c = gx.tanh(x), gx.cos(x)
    cost = gx.sum(h * c)
    gx.grad(cost, [x, h], consider_constant=c)
    assert as_written == [([cost], {x, h, c})]


def test_one_sweep_for_all_leaves(as_written: object) -> None:
    """The gradient with respect to 500 leaves of a chain costs one node a leaf more than with respect to the last."""
    leaves = [gx.tensor(f"w{k}") for k in range(500)]
    y = gx.tensor("x")
    for w in leaves:
        y = gx.sin(y * w)
    one = toposort(settled([y, gx.grad(y, leaves[0])]))
    every = toposort(settled([y, *gx.grad(y, leaves)]))
    assert len(every) - len(one) <= len(leaves)
    near = toposort(settled([y, gx.grad(y, leaves[-1])]))
    assert len(near) - len(toposort([y])) < 10  # nothing below the last leaf is built


def test_ladder_is_linear(as_written: object) -> None:
    """1000 rungs y <- sin(y) * cos(y): 2**1000 paths."""
    x = gx.tensor("x")
    y = x
    for _ in range(1000):
        y = gx.sin(y) * gx.cos(y)
    forward, both = len(toposort([y])), len(toposort([y, gx.grad(y, x)]))
    assert both < 5 * forward
    a, da = 0.3, 1.0
    for _ in range(1000):
        a, da = math.sin(a) * math.cos(a), da * math.cos(2 * a)
    np.testing.assert_allclose(value(gx.grad(y, x), x=0.3), da, rtol=1e-9)


def test_chain_of_100_000(as_written: object) -> None:
    x = gx.tensor("x")
    y = x
    for _ in range(100_000):
        y = gx.sin(y)
    start = time.process_time()
    g = gx.grad(y, x)
    assert time.process_time() - start < 20  # 2.3 s alone on a 2 GHz core; a bound on its growth, not a benchmark
    assert len(toposort([g])) > 200_000
    v, expected = 0.5, 1.0
    for _ in range(1000):
        v, expected = math.sin(v), expected * math.cos(v)
    short = x
    for _ in range(1000):
        short = gx.sin(short)
    np.testing.assert_allclose(value(gx.grad(short, x), x=0.5), expected, rtol=1e-12)


def test_a_chain_of_branches_is_linear(as_written: object) -> None:
    x = gx.tensor("x")
    counts = []
    for length in (20, 40, 80):
        y = x
        for _ in range(length):
            y = gx.where(y > 0, gx.sin(y), y)
        counts.append(len(toposort([gx.grad(y, x)])))
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def test_nodes_point_at_the_line_they_derive_from(x: Node, as_written: object) -> None:
    y = gx.tanh(x)
    cost = gx.sum(y)
    g = gx.grad(cost, x)
    assert g.site == y.site and g.site is not None and g.site[0].endswith("test_grad.py")


# -- masks ------------------------------------------------------------------------------------------------------------------
def orders(f: object, x: Node, count: int = 3) -> list[Node]:
    """sum(f(x)) differentiated `count` times, summed in between."""
    result, cost = [], gx.sum(f(x))  # type: ignore[operator]
    for _ in range(count):
        result.append(gx.grad(cost, x, disconnected="zero"))
        cost = gx.sum(result[-1])
    return result


SINC = lambda v: mpmath.sin(v) / v
POINTS = np.array([0.0, -1.5, 0.25, 2.0])
GUARDED = {  # name: (graph of x, its value at one point in mpmath); every one is 0 or constant where the guard fails
    "sqrt": (lambda x: gx.where(x > 0, gx.sqrt(x), 0), lambda v: mpmath.sqrt(v) if v > 0 else 0),
    "log": (lambda x: gx.where(x > 0, gx.log(x), 0), lambda v: mpmath.log(v) if v > 0 else 0),
    "sinc": (lambda x: gx.where(x != 0, gx.sin(x) / x, 1), lambda v: SINC(v) if v else 1),
    "reciprocal": (lambda x: gx.where(x != 0, 1 / x, 0), lambda v: 1 / v if v else 0),
    "negated": (lambda x: gx.where(~(x > 0), 0, gx.log(x) * x), lambda v: mpmath.log(v) * v if v > 0 else 0),
    "power": (lambda x: gx.where(x > 0, x**0.5, 0), lambda v: mpmath.sqrt(v) if v > 0 else 0),
    "exp": (lambda x: gx.where(x < 2, gx.exp(1 / (2 - x)), 0), lambda v: mpmath.exp(1 / (2 - v)) if v < 2 else 0),
    "elu": (lambda x: gx.where(x > 0, x, gx.exp(1000 * x) - 1), lambda v: v if v > 0 else mpmath.exp(1000 * v) - 1),
    "twice": (
        lambda x: gx.where(x > 0, gx.where(x < 2, gx.log(x) * gx.sqrt(2 - x), 0), 0),
        lambda v: mpmath.log(v) * mpmath.sqrt(2 - v) if 0 < v < 2 else 0,
    ),
    "view": (
        lambda x: gx.where(gx.flip(x) > 0, gx.log(gx.flip(x.reshape((2, 2)).T.T.reshape((4,)))), 0),
        lambda v: mpmath.log(v) if v > 0 else 0,
    ),
    "broadcast": (
        lambda x: gx.where((x > 0)[:, None], gx.log(gx.broadcast_to(x[:, None], (4, 3))), 0) / 3,
        lambda v: mpmath.log(v) if v > 0 else 0,
    ),
    "reduction": (
        lambda x: gx.where(x > 0, gx.sum(gx.broadcast_to(gx.log(x)[:, None], (4, 3)), axis=1), 0) / 3,
        lambda v: mpmath.log(v) if v > 0 else 0,
    ),
    "gather": (lambda x: gx.where(x > 0, gx.take(gx.sqrt(x), np.arange(4)), 0), lambda v: mpmath.sqrt(v) if v > 0 else 0),
    "through a sum of two": (
        lambda x: gx.where(x > 0, gx.sqrt(x) + gx.log(x), 0),
        lambda v: mpmath.sqrt(v) + mpmath.log(v) if v > 0 else 0,
    ),
    "maximum": (lambda x: gx.maximum(gx.where(x > 0, gx.sqrt(x), -1), -1) + 1, lambda v: mpmath.sqrt(v) + 1 if v > 0 else 0),
    "cast": (
        lambda x: gx.where(x > 0, gx.sqrt(x).astype("float32").astype("float64"), 0),
        lambda v: mpmath.sqrt(v) if v > 0 else 0,
    ),
}


@pytest.mark.parametrize("prepare", [True, False])
@pytest.mark.parametrize("name", GUARDED)
def test_branches_not_taken_have_no_influence(name: str, prepare: bool, request: pytest.FixtureRequest) -> None:
    if not prepare:
        request.getfixturevalue("as_written")
    f, exact = GUARDED[name]
    x = gx.tensor("x", 4)
    at_guard = 0 if name != "exp" else 3
    for k, g in enumerate(orders(f, x), start=1):
        got = value(g, x=POINTS)
        with mpmath.workdps(40):
            for j, v in enumerate(POINTS):
                flat = j == at_guard or (name == "twice" and v == 2.0)
                expected = 0.0 if flat else float(mpmath.diff(exact, mpmath.mpf(v), k))
                if name == "elu" and v == 0:
                    expected = 1000.0**k  # the branch at the kink is the exponential's
                assert got[j] == pytest.approx(expected, rel=1e-6 if name == "cast" else 1e-9, abs=1e-9), f"order {k} at {v}"


def test_clip_and_maximum_guard_what_is_below_them(as_written: object) -> None:
    x = gx.tensor("x", 3)
    at = np.array([0.0, 4.0, 9.0])
    for f, expected in [
        (lambda v: gx.maximum(gx.sqrt(v), 1.0), [0, 0.25, 1 / 6]),
        (lambda v: gx.clip(gx.sqrt(v), 1.0, 2.5), [0, 0.25, 0]),
        (lambda v: gx.relu(gx.sqrt(v) - 1), [0, 0.25, 1 / 6]),
    ]:
        for g, e in zip(orders(f, x), [expected, [-v / (2 * t) if t else 0 for v, t in zip(expected, at)]]):
            np.testing.assert_allclose(value(g, x=at), e, atol=1e-15)


def test_a_maximum_over_an_axis_guards_what_is_below_it(as_written: object) -> None:
    x = gx.tensor("x", (2, 2))
    at = np.array([[0.0, 4.0], [9.0, 0.0]])
    for g, e in zip(orders(lambda v: gx.max(gx.sqrt(v), axis=1), x), [[[0, 0.25], [1 / 6, 0]], [[0, -1 / 32], [-1 / 108, 0]]]):
        np.testing.assert_allclose(value(g, x=at), e, atol=1e-15)


def test_masked_softmax(x: Node) -> None:
    """softmax of where(keep, x, -inf) and its derivatives are those of the softmax of what is kept, at orders 1 to 3."""
    keep, w = np.array([True, False, True, True]), np.array([0.3, 5.0, -1.2, 2.0])
    guarded = lambda v: w * gx.softmax(gx.where(keep, gx.log(v), -np.inf)) ** 2
    plain = lambda v: w[keep] * gx.softmax(gx.log(v)) ** 2
    at = np.array([0.5, 0.0, 2.0, 0.7])
    z = gx.tensor("z", 3)
    x = gx.tensor("x", 4)
    for g, e in zip(orders(guarded, x), orders(plain, z)):
        got = value(g, x=at)
        assert got[1] == 0
        np.testing.assert_allclose(got[keep], value(e, z=at[keep]), rtol=1e-9)


def test_products_drop_the_mask_and_stay_finite(x: Node) -> None:
    W = gx.tensor("W", ("n", "n"))
    g = gx.grad(gx.sum(gx.where(x > 0, gx.log(W @ x), 0)), [x, W])
    at = {"x": np.array([0.0, 1.0]), "W": np.array([[0.0, 0.0], [1.0, 2.0]])}
    np.testing.assert_allclose(value(g[0], **at), [0.5, 1.0])
    np.testing.assert_allclose(value(g[1], **at), [[0, 0], [0, 0.5]])


def test_an_unmasked_user_is_honest(as_written: object) -> None:
    """sqrt has an infinite derivative at 0, and a guard on another use does not hide it."""
    x = gx.tensor("x")
    r = gx.sqrt(x)
    assert value(gx.grad(gx.where(x > 0, r, 0) + r, x), x=0.0) == np.inf


def test_no_mask_is_built_where_none_is_used(as_written: object) -> None:
    """A relu network needs the condition of each relu and nothing else of the kind."""
    x, W = gx.tensor("x", ("n", 4)), gx.tensor("W", (4, 4))
    h = gx.relu(x @ W + 1.0)
    nodes = toposort([gx.grad(gx.sum(gx.relu(h @ W)), W)])
    assert sum(n.dtype == np.bool_ for n in nodes) == 2 == sum(n.op is OPS["select"] for n in nodes)
