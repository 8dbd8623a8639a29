"""Ops with several outputs: derivatives of all orders and modes, batches, kernels; what does not know tuples raises.

The toy ops are (sin x, cos x), elementwise, and (x / |x|, |x|), whose outputs have different shapes. Their twins are the same
expressions of ops with one output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.derivatives.forward import push_forward
from graphc.errors import ArgumentError, CompileError, GraphcError, NotDifferentiableError
from graphc.interp import evaluate
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.outputs import GET, get, outputs
from graphc.ops.registry import OPS, register
from graphc.ops.spread import broadcast, reduce
from graphc.program import Launch
from graphc.types import tensor_type
from graphc.verify.graph import verify
from tests.derivatives import check_derivatives

X = np.array([0.3, -1.2, 2.0, 0.0])
UNUSED: list[int] = []  # for each call of the vjp of sincos, how many of its cotangents were None


def _sincos_vjp(g: tuple[Node | None, ...], out: tuple[Node, ...], x: Node) -> tuple[Node | None]:
    UNUSED.append(sum(u is None for u in g))
    (gs, gc), (s, c) = g, out
    along = None if gs is None else gs * c
    across = None if gc is None else -(gc * s)
    return (across if along is None else along if across is None else along + across,)


def _sincos_jvp(out: tuple[Node, ...], inputs: tuple[Node, ...], tangents: tuple[Node, ...]) -> tuple[Node, Node]:
    (s, c), (t,) = out, tangents
    return t * c, -(t * s)


def _forms(node: Node) -> tuple[LoopForm, ...]:
    from graphc import scalars

    return tuple([LoopForm(lambda read, at, r, name=name: scalars.math(name, read(0, at))) for name in ("sin", "cos")])


def _unit_vjp(g: tuple[Node | None, ...], out: tuple[Node, ...], x: Node) -> tuple[Node | None]:
    """(u, r) = (x / |x|, |x|): dx = (gu - u (gu . u)) / r + gr u, over the last axis."""
    (gu, gr), (u, r) = g, out
    wide = lambda v: broadcast(v, u.shape, tuple(range(u.ndim - 1)))
    parts = [] if gu is None else [(gu - u * wide(reduce(gu * u, (u.ndim - 1,), "sum"))) / wide(r)]
    parts += [] if gr is None else [wide(gr) * u]
    return (sum(parts[1:], parts[0]) if parts else None,)


def _unit_ref(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = np.sqrt((x * x).sum(axis=-1))
    return x / r[..., None], r


def toy(name: str, **fields: Any) -> Op:
    return Op(name=name, arity=1, params=(), doc="", **fields)


SINCOS = toy("sincos", type_rule=lambda x: (x, x), ref=lambda x: (np.sin(x), np.cos(x)), vjp=_sincos_vjp, elementwise=True, costly=True,
             loop=_forms)  # fmt: skip
SINCOS_J = toy("sincos_j", type_rule=lambda x: (x, x), ref=lambda x: (np.sin(x), np.cos(x)), vjp=_sincos_vjp, jvp=_sincos_jvp,
               loop=_forms, elementwise=True)  # fmt: skip
UNIT = toy("unit", type_rule=lambda x: (x, tensor_type(x.dtype, x.shape[:-1])), ref=_unit_ref, vjp=_unit_vjp,
           batch=lambda inputs, mapped: outputs(make(UNIT, (inputs[0],))))  # fmt: skip


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    mine = (SINCOS, SINCOS_J, UNIT)
    for op in mine:
        register(op)
    yield
    for op in mine:
        del OPS[op.name]


def sincos(x: Node) -> tuple[Node, ...]:
    return outputs(make(SINCOS, (x,)))


def sincos_j(x: Node) -> tuple[Node, ...]:
    return outputs(make(SINCOS_J, (x,)))


def unit(x: Node) -> tuple[Node, ...]:
    return outputs(make(UNIT, (x,)))


def plain(x: Node) -> tuple[Node, ...]:
    return gx.sin(x), gx.cos(x)


def plain_unit(x: Node) -> tuple[Node, ...]:
    r = gx.sqrt(gx.sum(x * x, axis=-1))
    return x / gx.expand_dims(r, -1), r


def meet(a: Node, b: Node) -> Node:
    """a * b * b, b spread over the last axis of a where it has one less."""
    wide = gx.expand_dims(b, -1) if b.ndim < a.ndim else b
    return gx.sum(a * wide * wide + a)


USES: dict[str, Callable[..., Node]] = {
    "both": meet,
    "first": lambda s, c: gx.sum(s * s * s),
    "second": lambda s, c: gx.sum(gx.exp(c)),
}
PAIRS = {"sincos": (sincos, plain), "sincos_j": (sincos_j, plain), "unit": (unit, plain_unit)}


def test_the_gradient_that_was_wrong() -> None:
    """d sum(sin x + cos x cos x)/dx at 0.3; skipped tuples gave that of one path alone."""
    x = gx.tensor("x")
    s, c = sincos(x)
    value = evaluate([gx.grad(x + s + 2 * c * s, x)], {x: np.array(0.3)})[0]
    assert np.isclose(value, 1 + np.cos(0.3) + 2 * np.cos(0.6), rtol=1e-14)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", PAIRS)
def test_derivatives_of_three_orders(name: str, use: str) -> None:
    """Reverse three times, and each order against differences and against forward mode (reverse over forward is the next test)."""
    ours, theirs = PAIRS[name]
    point = X if name != "unit" else np.array([[0.3, -1.2, 2.0], [1.0, 0.5, -0.25]])
    x = gx.tensor("x", point.shape)
    got, want = USES[use](*ours(x)), USES[use](*theirs(x))
    for _ in range(3):
        got, want = gx.sum(gx.grad(got, x) * gx.sin(x)), gx.sum(gx.grad(want, x) * gx.sin(x))
        a, b = evaluate([got, want], {x: point})
        assert np.isclose(a, b, rtol=1e-12, atol=1e-12)
    check_derivatives(lambda v: USES[use](*ours(v)), point)


@pytest.mark.parametrize("name", PAIRS)
def test_forward_over_reverse_and_reverse_over_forward(name: str) -> None:
    ours, theirs = PAIRS[name]
    point = X[:3].reshape(1, 3) + 0.1
    x, v = gx.tensor("x", point.shape), gx.tensor("v", point.shape)
    env = {x: point, v: np.array([[0.5, -0.75, 2.0]])}

    def both(f: Callable[[Node], tuple[Node, ...]]) -> list[Node]:
        cost = USES["both"](*f(x))
        slope = gx.jvp(cost, x, v)
        return [gx.hvp(cost, x, v), gx.grad(slope, x), gx.jvp(slope, x, v), *gx.jvp(list(f(x)), x, v), gx.jvp(gx.hvp(cost, x, v), x, v)]

    for a, b in zip(evaluate(both(ours), env), evaluate(both(theirs), env)):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_closed_form_of_order_three() -> None:
    """sin^2 + 2 cos: derivatives sin 2x - 2 sin x, 2 cos 2x - 2 cos x, -4 sin 2x + 2 sin x."""
    x = gx.tensor("x")
    s, c = sincos(x)
    cost, found = s * s + 2 * c, []
    for _ in range(3):
        cost = gx.grad(cost, x)
        found.append(cost)
    at = 0.7
    want = [np.sin(2 * at) - 2 * np.sin(at), 2 * np.cos(2 * at) - 2 * np.cos(at), -4 * np.sin(2 * at) + 2 * np.sin(at)]
    np.testing.assert_allclose(evaluate(found, {x: at}), want, rtol=1e-13)
    np.testing.assert_allclose(gx.function([x], found)(at), want, rtol=1e-13)


def test_no_cotangent_is_none() -> None:
    x = gx.tensor("x", (4,))
    UNUSED.clear()
    gx.grad(gx.sum(sincos(x)[1]), x)
    gx.grad(gx.sum(gx.stack(sincos(x))), x)
    assert UNUSED == [1, 0]


def test_masks_of_each_output() -> None:
    """A branch that is not taken stays exactly 0 through an infinite derivative, for each output alone: 0 * inf never appears."""

    def vjp(g: tuple[Node | None, ...], out: tuple[Node, ...], x: Node) -> tuple[Node]:
        parts = [u * d for u, d in zip(g, (0.5 / out[0], 1 / x)) if u is not None]
        return (sum(parts[1:], parts[0]),)

    rootlog = register(toy("rootlog", type_rule=lambda x: (x, x), ref=lambda x: (np.sqrt(x), np.log(x)), vjp=vjp, elementwise=True))
    try:
        x = gx.tensor("x", (4,))
        root, log = outputs(make(rootlog, (x,)))
        point = np.array([0.0, 1.0, 4.0, 9.0])
        cases = [
            (gx.where(x > 0, root, 0) + gx.where(x > 2, log, 0), [0, 0.5, 0.25 + 0.25, 1 / 6 + 1 / 9]),
            (gx.where(x > 0, root + log, 0), [0, 1.5, 0.5, 1 / 6 + 1 / 9]),
            (gx.where(x > 2, root, 0) + log, [np.inf, 1, 0.5, 1 / 6 + 1 / 9]),
        ]
        for cost, want in cases:
            np.testing.assert_allclose(evaluate([gx.grad(gx.sum(cost), x)], {x: point})[0], want)
            second = evaluate([gx.grad(gx.sum(gx.grad(gx.sum(cost), x)), x)], {x: point})[0]
            assert np.isfinite(second[1:]).all()
    finally:
        del OPS["rootlog"]


def test_masks_are_carried_through_moves() -> None:
    """(x, x) moved, not computed: where only one output is masked and where each has its own mask."""
    vjp = lambda g, out, x: (sum([u for u in g if u is not None][1:], next(u for u in g if u is not None)),)
    twice = register(toy("twice", type_rule=lambda x: (x, x), ref=lambda x: (x, x), vjp=vjp))
    try:
        x = gx.tensor("x", (3,))
        a, b = outputs(make(twice, (gx.sqrt(x),)))
        cost = gx.sum(gx.where(x > 0, a, 0) + gx.where(x > 2, b, 0))
        np.testing.assert_array_equal(evaluate([gx.grad(cost, x)], {x: np.array([0.0, 1, 4])})[0], [0, 0.5, 0.5])
    finally:
        del OPS["twice"]


# -- batches, sizes, sources ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PAIRS)
def test_vmap(name: str) -> None:
    ours, theirs = PAIRS[name]
    xs = gx.tensor("xs", ("n", 3))
    for n in (1, 5):
        value = np.random.default_rng(n).normal(size=(n, 3))
        for f in (lambda g: lambda x: list(g(x)), lambda g: lambda x: gx.grad(gx.sum(g(x)[0]) + gx.sum(g(x)[1]), x)):
            got, want = gx.tree.leaves(gx.vmap(f(ours))(xs)), gx.tree.leaves(gx.vmap(f(theirs))(xs))
            for a, b in zip(evaluate(got, {xs: value}), evaluate(want, {xs: value})):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_derivatives_with_respect_to_an_output() -> None:
    x = gx.tensor("x", (3,))
    s, c = sincos(x)
    ds, dc, dx = gx.grad(gx.sum(s * c * c), [s, c, x])
    point = np.array([0.1, 0.2, 0.3])
    sv, cv = np.sin(point), np.cos(point)
    for got, want in zip(evaluate([ds, dc, dx], {x: point}), (cv * cv, 2 * sv * cv, cv**3 - 2 * sv * sv * cv)):
        np.testing.assert_allclose(got, want, rtol=1e-13)
    held = gx.grad(gx.sum(s * c), x, consider_constant=[c])
    np.testing.assert_allclose(evaluate([held], {x: point})[0], cv * cv, rtol=1e-13)


def test_jacobian_hessian_and_check_grad() -> None:
    x = gx.tensor("x", (12,))
    s, c = sincos(x)
    point = np.linspace(-1, 1, 12)
    np.testing.assert_allclose(evaluate([gx.jacobian(s * c, x)], {x: point})[0], np.diag(np.cos(2 * point)), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(evaluate([gx.hessian(gx.sum(s * c), x)], {x: point})[0], np.diag(-2 * np.sin(2 * point)), atol=1e-14)
    assert gx.check_grad([s, c], x, {x: point}, order=3) < 1e-5


def test_substitute_and_sizes() -> None:
    x, y = gx.tensor("x", ("n", 3)), gx.tensor("y", ("m", 3))
    u, r = unit(x)
    moved = gx.substitute({"u": u, "r": r}, {x: y})
    assert moved["u"] is unit(y)[0] and moved["r"] is unit(y)[1] and moved["r"].shape == y.shape[:1]
    verify([u, r])


# -- compiled ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), ("n", 3)])
def test_compiled(dtype: str, shape: tuple[Any, ...]) -> None:
    x = gx.tensor("x", shape, dtype)
    s, c = sincos(gx.exp(x))
    value = np.random.default_rng(1).normal(size=[5 if k == "n" else k for k in shape]).astype(dtype)
    f = gx.function([x], [s, c, s * c + x, gx.grad(gx.sum(s * c), x)])
    e = np.exp(value.astype("float64"))
    want = [np.sin(e), np.cos(e), np.sin(e) * np.cos(e) + value, np.cos(2 * e) * e]
    for got, right in zip(f(value), want):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, right, rtol=3e-5 if dtype == "float32" else 1e-12, atol=1e-6 if dtype == "float32" else 1e-14)
    assert len(f._executable.program.kernels()) == sum(isinstance(s, Launch) for s in f._executable.program.steps) == 1
    (only,) = gx.function([x], [c])(value)
    np.testing.assert_allclose(only, want[1], rtol=3e-5)


# -- what does not know tuples raises ---------------------------------------------------------------------------------
def test_a_node_of_several_arrays_is_no_array() -> None:
    x = gx.tensor("x", (3,))
    both = make(SINCOS, (x,))
    wrong: list[Callable[[], Any]] = [
        lambda: both + 1, lambda: gx.exp(both), lambda: gx.sum(both), lambda: both[0], lambda: both.shape, lambda: both.dtype,
        lambda: both.ndim, lambda: both.size, lambda: both.tensor, lambda: len(both), lambda: list(both), lambda: gx.asarray(both),
        lambda: gx.function([x], both), lambda: gx.function([x], {"a": both}), lambda: gx.grad(both, x), lambda: gx.jvp(both, x, x),
        lambda: gx.vjp(both, x, x), lambda: gx.jacobian(both, x), lambda: gx.grad(gx.sum(x), both), lambda: gx.substitute(both, {x: x}),
        lambda: gx.substitute(x, {both: x}), lambda: both.eval({x: X[:3]}), lambda: x.eval({both: X[:3]}),
        lambda: gx.stack([both, x]), lambda: gx.vmap(lambda v: make(SINCOS, (v,)))(x), lambda: make(SINCOS, (both,)),
        lambda: push_forward([both], {x: x}) and both.shape, lambda: gx.grad(gx.sum(x), x, consider_constant=both),
        lambda: gx.grad(None, x, known_cotangents={both: 1.0}),
    ]  # fmt: skip
    for use in wrong:
        with pytest.raises(ArgumentError, match=r"sincos gives 2 arrays, and one is asked for.*outputs\.outputs"):
            use()
    with pytest.raises(ArgumentError, match="one array, not several"):
        get(x, 0)
    for k in (-1, 2):
        with pytest.raises(ArgumentError, match=f"output {k} of 2"):
            get(both, k)


def test_rules_that_give_too_few() -> None:
    """Every rule of an op with k outputs gives k things, and the error says which one did not."""
    good: dict[str, Any] = {"type_rule": lambda x: (x, x), "ref": lambda x: (x, x), "vjp": lambda g, out, x: (g[0],)}
    x = gx.tensor("x", (3,))
    cases: list[tuple[str, dict[str, Any], Callable[[Node, Node], Any]]] = [
        ("derivative of the op odd gave 2, not 1: one for each input", {"vjp": lambda g, out, x: (g[0], g[1])},
         lambda a, b: gx.grad(gx.sum(a * b), x)),
        ("derivative of the op odd gave a Node, not 1", {"vjp": lambda g, out, x: g[0]}, lambda a, b: gx.grad(gx.sum(a * b), x)),
        ("derivative of the op odd gave 0, not 1", {"vjp": lambda g, out, x: ()}, lambda a, b: gx.jvp(a, x, x)),
        ("jvp of the op odd gave 1, not 2: one for each output", {"jvp": lambda out, i, t: (t[0],)}, lambda a, b: gx.jvp(a, x, x)),
        ("jvp of the op odd gave a Node", {"jvp": lambda out, i, t: t[0]}, lambda a, b: gx.jvp(a, x, x)),
        ("batch rule of the op odd gave 1, not 2: one for each output", {"batch": lambda i, m: (i[0],)},
         lambda a, b: gx.vmap(lambda v: list(outputs(make(a.inputs[0].op, (v,)))))(gx.tensor("xs", (2, 3)))),
        ("reference of the op odd gave 1, not 2: one for each output", {"ref": lambda x: (x,)}, lambda a, b: a.eval({x: X[:3]})),
    ]  # fmt: skip
    for text, fault, use in cases:
        odd = toy("odd", **{**good, **fault})
        with pytest.raises(ArgumentError, match=re.escape(text)):
            use(*outputs(make(odd, (x,))))
    few = toy("odd", type_rule=good["type_rule"], loop=lambda node: (_forms(node)[0],))
    with pytest.raises(GraphcError, match="loop of the op odd gave 1, not 2"):
        gx.function([x], list(outputs(make(register(few), (x,)))))
    del OPS["odd"]


def test_no_derivative_is_an_error_in_both_modes() -> None:
    flat = toy("flat", type_rule=lambda x: (x, tensor_type(np.dtype("int64"), x.shape)), ref=lambda x: (x, x.astype("int64")))
    x = gx.tensor("x", (3,))
    value, number = outputs(make(flat, (x,)))
    for derivative in (lambda: gx.grad(gx.sum(value), x), lambda: gx.jvp(value, x, x)):
        with pytest.raises(NotDifferentiableError, match="the op flat has no derivative"):
            derivative()
    # only its integer output lies on the way: there is nothing to differentiate
    got = evaluate([gx.grad(gx.sum(x * gx.astype(number, "float64")), x)], {x: np.array([1.5, 2.5, 3.5])})[0]
    np.testing.assert_array_equal(got, [1, 2, 3])


def test_no_lowering_is_an_error() -> None:
    x = gx.tensor("x", ("n", 3))
    with pytest.raises(CompileError, match="unit has no loop form"):
        gx.function([x], list(unit(x)))


def test_verify_knows_tuples() -> None:
    x = gx.tensor("x", (3,))
    both = make(SINCOS, (x,))
    verify([get(both, 1)])
    with pytest.raises(CompileError, match="output 0 of the graph is several arrays"):
        verify([both])
    loose = register(toy("loose", type_rule=lambda x: tensor_type(np.dtype("float64"), ())))
    try:
        with pytest.raises(CompileError, match="loose reads a node of several arrays, which only get does"):
            verify([make(loose, (both,))])
    finally:
        del OPS["loose"]
    assert get(both, 1).op is GET
