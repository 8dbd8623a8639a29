"""vmap: axes, trees, nesting, gradients inside and outside, what is shared between lanes, what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.batch import NoBatchRule, batch
from graphc.interp import evaluate
from graphc.ir import Node, make, toposort
from graphc.ops.registry import INPUT, OPS, structural

RNG = np.random.default_rng(11)
X = RNG.normal(size=(5, 3))
W = RNG.normal(size=(3, 4))


def value(node: Node, **given: object) -> np.ndarray:
    """The value of a node with its variables given by name."""
    return evaluate([node], {n: given[str(n.name)] for n in toposort([node]) if n.op is INPUT})[0]


@pytest.fixture
def xs() -> Node:
    return gx.tensor("xs", ("b", 3))


@pytest.fixture
def w() -> Node:
    return gx.tensor("w", (3, 4))


def test_a_function_of_one_example(xs: Node, w: Node) -> None:
    y = gx.vmap(lambda x: gx.tanh(x @ w))(xs)
    assert y.shape == (gx.dim("b"), 4)
    np.testing.assert_allclose(value(y, xs=X, w=W), np.tanh(X @ W))


def test_what_no_lane_changes_is_computed_once(xs: Node, w: Node) -> None:
    heavy = gx.exp(w) @ gx.ones((4,))
    y = gx.vmap(lambda x: x * gx.sin(gx.exp(w) @ gx.ones((4,))))(xs)
    nodes = toposort([y])
    assert any(n is heavy for n in nodes)
    assert all(n.ndim < 2 for n in nodes if n.op is OPS["sin"])


def test_axes_in_and_out(xs: Node) -> None:
    f = lambda a, b: gx.outer(a, b) + gx.sum(a)
    A, B = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 5))
    a, b = gx.tensor("a", (3, 5)), gx.tensor("b", (2, 5))
    expected = np.stack([np.outer(A[:, k], B[:, k]) + A[:, k].sum() for k in range(5)])
    for axis in (0, 1, 2, -1):
        y = gx.vmap(f, in_axes=(1, -1), out_axes=axis)(a, b)
        np.testing.assert_allclose(value(y, a=A, b=B), np.moveaxis(expected, 0, axis))
    y = gx.vmap(f, in_axes=(None, 1))(gx.tensor("a", 3), b)
    np.testing.assert_allclose(value(y, a=A[:, 0], b=B), np.stack([np.outer(A[:, 0], B[:, k]) + A[:, 0].sum() for k in range(5)]))


def test_trees_of_arguments_axes_and_results(xs: Node, w: Node) -> None:
    def f(p: dict[str, Node], x: Node) -> dict[str, object]:
        return {"y": (x @ p["W"] + p["b"], p["W"]), "c": 1.0}

    bs = gx.tensor("bs", ("b", 4))
    out = gx.vmap(f, in_axes=({"W": None, "b": 0}, 0), out_axes={"y": (0, None), "c": 0})({"W": w, "b": bs}, xs)
    C = RNG.normal(size=(5, 4))
    np.testing.assert_allclose(value(out["y"][0], xs=X, w=W, bs=C), X @ W + C)
    assert out["y"][1] is w
    assert out["c"].shape == (gx.dim("b"),)
    whole = gx.vmap(f, in_axes=(None, 0))({"W": w, "b": bs[0]}, X)  # None for a whole argument; arrays are arguments too
    np.testing.assert_allclose(value(whole["y"][0], w=W, bs=C), X @ W + C[0])


def test_nested(w: Node) -> None:
    """Every row with every column, and lanes within lanes of different axes."""
    a, b = gx.tensor("a", (3, 4)), gx.tensor("b", (5, 4))
    A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(5, 4))
    y = gx.vmap(lambda u: gx.vmap(lambda v: gx.sum(u * v) + gx.max(u))(b))(a)
    np.testing.assert_allclose(value(y, a=A, b=B), A @ B.T + A.max(1)[:, None])
    y = gx.vmap(gx.vmap(lambda u, v: u * v, in_axes=(None, 0)), in_axes=(0, None), out_axes=1)(a[:, 0], b[:, 0])
    np.testing.assert_allclose(value(y, a=A, b=B), np.outer(A[:, 0], B[:, 0]).T)


def test_per_example_gradients_and_gradients_of_a_batch(xs: Node, w: Node) -> None:
    loss = lambda x, w: gx.sum(gx.log(gx.softmax(x @ w))[0] ** 2)
    each = gx.vmap(lambda x: gx.grad(loss(x, w), w))(xs)
    assert each.shape == (gx.dim("b"), 3, 4)
    total = gx.grad(gx.sum(gx.vmap(lambda x: loss(x, w))(xs)), w)
    np.testing.assert_allclose(value(each, xs=X, w=W).sum(0), value(total, xs=X, w=W), rtol=1e-10)
    v = gx.tensor("v", 3)
    one = value(gx.grad(loss(v, w), w), v=X[2], w=W)
    np.testing.assert_allclose(value(each, xs=X, w=W)[2], one, rtol=1e-10)


def test_masks_survive_the_mapped_axis() -> None:
    xs = gx.tensor("xs", (2, 3))
    at = np.array([[0.0, 1.0, 4.0], [-1.0, 0.0, 9.0]])
    g = gx.vmap(lambda x: gx.grad(gx.sum(gx.where(x > 0, gx.sqrt(x), 0)), x))(xs)
    np.testing.assert_allclose(value(g, xs=at), np.where(at > 0, 0.5 / np.sqrt(np.where(at > 0, at, 1)), 0))


def test_all_subsets_of_three_arguments() -> None:
    f = lambda c, a, b: gx.where(c[::-1] > 0, a[:, None] * b, gx.cumsum(b, axis=0))[1:]
    shapes = [(3,), (3,), (3, 2)]
    full = [RNG.normal(size=(4, *s)) for s in shapes]
    for mapped in itertools.product([0, None], repeat=3):
        if all(m is None for m in mapped):
            continue
        args = [v if m == 0 else v[0] for v, m in zip(full, mapped)]
        nodes = [gx.tensor(f"x{k}", a.shape) for k, a in enumerate(args)]
        got = value(gx.vmap(lambda c, a, b: f(c[:, None], a, b), in_axes=mapped)(*nodes), **{f"x{k}": a for k, a in enumerate(args)})
        for j in range(4):
            lane = [v[j] if m == 0 else v[0] for v, m in zip(full, mapped)]
            ones = [gx.tensor(f"x{k}", a.shape) for k, a in enumerate(lane)]
            alone = value(f(ones[0][:, None], *ones[1:]), **{f"x{k}": a for k, a in enumerate(lane)})
            np.testing.assert_allclose(got[j], alone)


def test_empty_and_single_batches(w: Node) -> None:
    y = gx.vmap(lambda x: gx.tanh(x @ w))(gx.tensor("xs", ("b", 3)))
    assert value(y, xs=np.zeros((0, 3)), w=W).shape == (0, 4)
    assert value(y, xs=X[:1], w=W).shape == (1, 4)


def test_what_is_refused(xs: Node, w: Node) -> None:
    with pytest.raises(gx.ShapeError, match=r"mapped sizes differ, 3 and 4 \(argument\[1\]\)"):
        gx.vmap(lambda a, b: gx.sum(a) + gx.sum(b), in_axes=(0, 1))(w, w)
    with pytest.raises(gx.ArgumentError, match="nothing is mapped"):
        gx.vmap(lambda a: a, in_axes=None)(w)
    with pytest.raises(gx.ArgumentError, match="in_axes has 1 entries for 2 arguments"):
        gx.vmap(lambda a, b: a, in_axes=(0,))(w, w)
    with pytest.raises(gx.ArgumentError, match="out_axes is None for a result that differs"):
        gx.vmap(lambda a: a, out_axes=None)(w)
    with pytest.raises(gx.ShapeError, match=r"in_axes\[0\]: axis 2 is out of range"):
        gx.vmap(lambda a: a, in_axes=2)(w)


def test_an_op_without_a_rule_is_named(w: Node) -> None:
    op = structural("opaque", 1, "", type_rule=lambda x: x, ref=lambda x: x, vjp=None)
    try:
        with pytest.raises(NoBatchRule, match="opaque has no rule for a mapped axis") as raised:
            gx.vmap(lambda a: make(op, (a,)))(w)
        assert isinstance(raised.value, NotImplementedError)
    finally:
        del OPS["opaque"]


def test_long_chains() -> None:
    s, lanes = gx.tensor("s"), gx.tensor("lanes", 3)
    y = s
    for _ in range(20_000):
        y = gx.sin(y)
    ((node, is_mapped), (same, unmapped)) = batch([y, gx.cos(gx.tensor("t"))], {s: lanes}, 3)
    assert is_mapped and node.shape == (3,) and not unmapped and same.ndim == 0
