"""Forward mode, Hessian-vector products, Jacobians and Hessians."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, make, toposort
from graphc.ops.derived import settled
from graphc.ops.registry import INPUT, OPS, structural

RNG = np.random.default_rng(7)
V = RNG.normal(size=4)
M = RNG.normal(size=(4, 4))


def value(node: Node, **given: object) -> np.ndarray:
    """The value of a node with its variables given by name."""
    return evaluate([node], {n: given[str(n.name)] for n in toposort(settled([node])) if n.op is INPUT})[0]


@pytest.fixture
def x() -> Node:
    return gx.tensor("x", ("n",))


@pytest.fixture
def W() -> Node:
    return gx.tensor("W", ("n", "n"))


# -- jvp --------------------------------------------------------------------------------------------------------------------
def test_jvp_of_trees(x: Node, W: Node) -> None:
    t = gx.tensor("t", ("n",))
    out = gx.jvp({"y": W @ gx.sin(x), "z": (x * x, W + 1.0)}, [x, W], [t, None])
    at = {"x": V, "W": M, "t": M[0]}
    np.testing.assert_allclose(value(out["y"], **at), M @ (np.cos(V) * M[0]))
    np.testing.assert_allclose(value(out["z"][0], **at), 2 * V * M[0])
    assert not any(n is t for n in toposort([out["z"][1]]))  # depends on no tangent: zeros
    assert not value(out["z"][1] * W, **at).any()
    assert out["z"][1].type is W.type


def test_a_bilinear_op_gets_both_tangents(W: Node) -> None:
    T = gx.tensor("T", ("n", "n"))
    out = gx.jvp(W @ W, W, T)
    np.testing.assert_allclose(value(out, W=M, T=M + 1), M @ (M + 1) + (M + 1) @ M)


def test_branches_not_taken_and_stops_carry_nothing(x: Node) -> None:
    guarded = gx.jvp(gx.where(x > 0, gx.sqrt(x), 0), x, np.ones(3))
    np.testing.assert_allclose(value(guarded, x=np.array([0.0, 1.0, 4.0])), [0, 0.5, 0.25])
    np.testing.assert_allclose(value(gx.jvp(gx.stop_gradient(x) * x, x, np.ones(4)), x=V), V)
    h = gx.sin(x)
    np.testing.assert_allclose(value(gx.jvp(h * x, x, np.ones(4), consider_constant=h), x=V), np.sin(V))


def test_interior_nodes_add_to_what_reaches_them(x: Node) -> None:
    """So that <u, J v> = <J^T u, v> for any tree of wrt."""
    h = gx.tanh(x)
    y = h * gx.exp(x)
    u, v, w = RNG.normal(size=(3, 4))
    forward = float(u @ value(gx.jvp(y, [x, h], [v, w]), x=V))
    gx_, gh = gx.vjp(y, [x, h], u)
    assert forward == pytest.approx(float(value(gx_, x=V) @ v + value(gh, x=V) @ w))


def test_an_op_without_jvp_is_transposed_twice(x: Node) -> None:
    op = structural(
        "rotated_square", 1, "x[::-1]**2", type_rule=lambda x: x, ref=lambda x: x[::-1] ** 2,
        vjp=lambda g, out, x: (gx.flip(g * 2 * gx.flip(x)),),
    )  # fmt: skip
    try:
        t = gx.tensor("t", ("n",))
        pushed = gx.jvp(make(op, (x,)), x, t)
        assert {n.name for n in toposort([pushed]) if n.op is INPUT} == {"x", "t"}  # the stand-in is gone
        np.testing.assert_allclose(value(pushed, x=V, t=M[0]), 2 * V[::-1] * M[0][::-1])
    finally:
        del OPS["rotated_square"]


def test_jvp_refuses_what_vjp_refuses(x: Node) -> None:
    with pytest.raises(gx.ShapeError, match=r"tangents has shape \(4, 4\), its counterpart \(n,\)"):
        gx.jvp(x * x, x, M)
    with pytest.raises(gx.ArgumentError, match="jvp takes expressions, not functions"):
        gx.jvp(lambda v: v, x, x)
    with pytest.raises(gx.NotDifferentiableError, match="outputs is bool"):
        gx.jvp(x > 0, x, x)


def test_long_chains(x: Node) -> None:
    s = gx.tensor("s")
    y = s
    for _ in range(20_000):
        y = gx.sin(y)
    assert len(toposort([gx.jvp(y, s, 1.0)])) > 40_000


# -- hvp ----------------------------------------------------------------------------------------------------------------------
def test_hvp_on_a_tree_is_hessian_times_vector(x: Node, W: Node) -> None:
    cost = gx.sum(gx.tanh(W @ x) ** 2) + gx.sum(W) * gx.sum(x**3)
    p = {"W": W, "x": x}
    v = {"W": gx.tensor("A", ("n", "n")), "x": gx.tensor("b", ("n",))}
    product = gx.hvp(cost, p, v)
    H = gx.hessian(cost, p, flat=True)
    at = {"W": M, "x": V, "A": M.T + 1, "b": V**2}
    flat, _ = gx.tree.ravel({"W": at["A"], "x": at["b"]})
    got, _ = gx.tree.ravel({k: value(n, **at) for k, n in product.items()})
    np.testing.assert_allclose(got, value(H, W=M, x=V) @ flat, rtol=1e-10)
    some = gx.hvp(cost, p, {"W": None, "x": v["x"]})
    np.testing.assert_allclose(value(some["x"], **at), value(gx.hvp(cost, x, v["x"]), **at))


def test_hvp_has_no_array_larger_than_its_input() -> None:
    n = gx.dim("n")
    x, v = gx.tensor("x", n), gx.tensor("v", n)
    cost = gx.sum(gx.log(gx.softmax(x)) * gx.sin(x)) + gx.mean(x) ** 4
    for node in toposort([gx.hvp(cost, x, v)]):
        assert node.shape in {(), (1,), (n,)}, node


def test_hvp_of_what_is_linear_is_zero(x: Node) -> None:
    h = gx.hvp(gx.sum(3 * x), x, x)
    assert h.type is x.type and not value(h + 0 * x, x=V).any()


# -- jacobian -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_of_softmax(x: Node, mode: str | None) -> None:
    q = np.exp(V) / np.exp(V).sum()
    np.testing.assert_allclose(value(gx.jacobian(gx.softmax(x), x, mode=mode), x=V), np.diag(q) - np.outer(q, q), atol=1e-15)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_has_the_shape_of_output_then_wrt(mode: str) -> None:
    A, b = gx.tensor("A", (2, 3)), gx.tensor("b", (3, 4))
    J = gx.jacobian({"p": A @ b, "s": gx.sum(A)}, (A, b), mode=mode)
    assert [j.shape for j in J["p"]] == [(2, 4, 2, 3), (2, 4, 3, 4)] and [j.shape for j in J["s"]] == [(2, 3), (3, 4)]
    a_, b_ = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 4))
    np.testing.assert_allclose(value(J["p"][0], A=a_, b=b_), np.einsum("ik,lj->ijkl", np.eye(2), b_))
    np.testing.assert_allclose(value(J["p"][1], A=a_, b=b_), np.einsum("ik,jl->ijkl", a_, np.eye(4)))
    np.testing.assert_array_equal(value(J["s"][1]), np.zeros((3, 4)))


def test_jacobian_mode_follows_the_sizes() -> None:
    """A tall Jacobian is made of few tangents, a wide one of few cotangents: the largest intermediate tells."""
    for inner, outer in [(2, 50), (50, 2)]:
        x = gx.tensor("x", inner)
        A = RNG.normal(size=(outer, inner))
        J = gx.jacobian(gx.sin(A @ x), x)
        assert J.shape == (outer, inner)
        assert max(int(n.size) for n in toposort([J])) == 100
    with pytest.raises(gx.ArgumentError, match="mode='sideways'"):
        gx.jacobian(x, x, mode="sideways")


def test_jacobian_of_symbolic_sizes_and_branches() -> None:
    n, m = gx.dim("n"), gx.dim("m")
    X = gx.tensor("X", (n, m))
    J = gx.jacobian(gx.sum(gx.where(X > 0, gx.log(X), 0), axis=1), X)
    assert J.shape == (n, n, m)
    at = np.array([[0.0, 2.0, 4.0], [-1.0, 0.5, 1.0]])
    inverse = np.divide(1, at, out=np.zeros_like(at), where=at > 0)
    np.testing.assert_allclose(value(J, X=at), np.einsum("ik,ij->ikj", np.eye(2), inverse))


def test_jacobian_of_nothing_and_of_numbers(x: Node) -> None:
    s = gx.tensor("s")
    assert value(gx.jacobian(s**3, s), s=2.0) == 12.0
    assert gx.jacobian(s**3, {}) == {}
    with pytest.raises(gx.DisconnectedError, match=r"do not depend on wrt\[1\]"):
        gx.jacobian(s**3, [s, x])
    empty = gx.tensor("e", 0)
    assert value(gx.jacobian(empty * 2.0, empty), e=np.zeros(0)).shape == (0, 0)


# -- hessian ------------------------------------------------------------------------------------------------------------------
def test_hessian_of_rosenbrock() -> None:
    x = gx.tensor("x", ("n",))
    cost = gx.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    from scipy.optimize import rosen_hess

    np.testing.assert_allclose(value(gx.hessian(cost, x), x=V), rosen_hess(V), atol=1e-9)
    np.testing.assert_allclose(value(gx.hessian(cost, x, flat=True), x=V), rosen_hess(V), atol=1e-9)


def test_hessian_of_trees_and_flat_order() -> None:
    p = {"b": gx.tensor("b", 2), "a": gx.tensor("a", (2, 2))}
    cost = gx.sum(gx.sin(p["a"] @ p["b"])) + gx.sum(p["a"] ** 3) * p["b"][0]
    at = {"a": M[:2, :2], "b": V[:2]}
    H = gx.hessian(cost, p)
    assert H["a"]["b"].shape == (2, 2, 2) and H["b"]["a"].shape == (2, 2, 2)
    flat = value(gx.hessian(cost, p, flat=True), **at)
    sizes = {"a": 4, "b": 2}
    blocks = [[value(H[r][c], **at).reshape(sizes[r], sizes[c]) for c in ("a", "b")] for r in ("a", "b")]
    np.testing.assert_allclose(flat, np.block(blocks), rtol=1e-12)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-12)


def test_third_derivative_by_jacobian_of_hessian(x: Node) -> None:
    T = gx.jacobian(gx.hessian(gx.sum(x) ** 3 + gx.sum(x**4), x), x)
    expected = np.full((4, 4, 4), 6.0)
    expected[np.arange(4), np.arange(4), np.arange(4)] += 24 * V
    np.testing.assert_allclose(value(T, x=V), expected)


def test_consider_constant_in_second_derivatives(x: Node) -> None:
    h = gx.sin(x)
    H = gx.hessian(gx.sum(h * x**2), x, consider_constant=h)
    np.testing.assert_allclose(value(H, x=V), np.diag(2 * np.sin(V)))
    np.testing.assert_allclose(value(gx.hvp(gx.sum(h * x**2), x, x, consider_constant=h), x=V), 2 * np.sin(V) * V)


def test_a_variable_named_twice_moves_by_both_tangents() -> None:
    x = gx.tensor("x", 3)
    u, v = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0])
    got = gx.function([x], gx.jvp(gx.square(x), [x, x], [u, v]))(np.arange(3.0))
    np.testing.assert_array_equal(got, 2 * np.arange(3.0) * (u + v))
