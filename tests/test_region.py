"""Regions: bodies as values, entered by everything that walks graphs. The client is an op that calls its body.

call(x, y, body=Region(@0, @1 -> outputs)) has the outputs of the body; its vjp calls a body that is the vjp of the body, and its
batch rule one that maps the body.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.derivatives.batch import batch, lift
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.errors import ArgumentError, CompileError, NotDifferentiableError, ShapeError
from graphc.interp import evaluate
from graphc.ir import Graph, Node, Op, Type, make, replace, toposort
from graphc.ops.derived import DERIVED
from graphc.ops.outputs import outputs
from graphc.ops.registry import INPUT, OPS, register, variable
from graphc.passes.prepare import prepare
from graphc.passes.rewriting.rewrite import Log, Table, rewrite
from graphc.passes.rules.algebra import ALGEBRA
from graphc.passes.simplify import simplify
from graphc.printer import format_graph
from graphc.region import Region, bound, close, everywhere, map_regions, regions_of
from graphc.types import TensorType, same_size, tensor_type
from graphc.verify.graph import size_assumptions, verify

F64 = np.dtype("float64")
POINT = np.array([0.3, -1.2, 2.0])


def _call_type(*inputs: TensorType, body: Region) -> Type:
    for given, wanted in zip(inputs, body.types, strict=True):
        if given.dtype != wanted.dtype or not all(map(same_size, given.shape, wanted.shape)):
            gx.errors.fail(ShapeError, f"call: the body takes {wanted}, given {given}")
    return tuple([o.tensor for o in body.outputs])


def _fresh(nodes: Sequence[Node]) -> list[Node]:
    return [variable(INPUT, "x", n.dtype, n.shape) for n in nodes]


def _called(ys: Sequence[Node], bindings: Sequence[tuple[Node, Node]]) -> tuple[Node, ...]:
    """The call of a body ys of the first of each pair with the second, where the body reads it."""
    read = set(toposort(ys))
    used = [(x, operand) for x, operand in bindings if x in read]
    region, captured = close(ys, [x for x, _ in used])
    assert not captured
    return outputs(make(CALL, tuple([operand for _, operand in used]), (region,)))


def _call_vjp(g: tuple[Node | None, ...], out: tuple[Node, ...], *inputs: Node, body: Region) -> list[Node | None]:
    xs = _fresh(body.inputs)
    ys = body(*xs)
    seeds = [(y, u, given) for y, u, given in zip(ys, _fresh(ys), g) if given is not None]
    found = pull_back([(y, u) for y, u, _ in seeds], set(xs))
    reached = [x for x in xs if x in found]
    parts = dict(zip(reached, _called([found[x] for x in reached], [*zip(xs, inputs), *[(u, given) for _, u, given in seeds]])))
    return [parts.get(x) for x in xs]


def _call_jvp(out: Any, inputs: Sequence[Node], tangents: Sequence[Node | None], body: Region) -> list[Node | None]:
    xs, ts = _fresh(body.inputs), _fresh(inputs)
    pairs = [(x, t, given) for x, t, given in zip(xs, ts, tangents) if given is not None]
    pushed = push_forward(body(*xs), {x: t for x, t, _ in pairs})
    parts = iter(_called([p for p in pushed if p is not None], [*zip(xs, inputs), *[(t, given) for _, t, given in pairs]]))
    return [None if p is None else next(parts) for p in pushed]


def _call_batch(inputs: Sequence[Node], mapped: Sequence[bool], body: Region) -> Sequence[Node]:
    size = next(x.shape[0] for x, is_mapped in zip(inputs, mapped) if is_mapped)
    xs, lanes = _fresh(body.inputs), _fresh(inputs)
    done = batch(body(*xs), {x: lane for x, lane, m in zip(xs, lanes, mapped) if m}, size)
    same = {x: lane for x, lane, m in zip(xs, lanes, mapped) if not m}
    region, captured = close(replace([y if m else lift(y, size) for y, m in done], same), lanes)
    assert not captured
    return outputs(make(CALL, tuple(inputs), (region,)))


CALL = Op("call", None, ("body",), "Its body, called.", _call_type, ref=lambda *arrays, body: tuple(body(*arrays)),
          vjp=_call_vjp, jvp=_call_jvp, batch=_call_batch, regions=("body",))  # fmt: skip


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(CALL)
    yield
    del OPS["call"]


def call(f: Callable[..., Any], *args: Node) -> tuple[Node, ...]:
    """f(*args) behind a call; what f captures is passed too."""
    xs = _fresh(args)
    made = f(*xs)
    region, captured = close(made if isinstance(made, (list, tuple)) else [made], xs)
    return outputs(make(CALL, (*args, *captured), (region,)))


def body_of(node: Node) -> Region:
    return next(r for n in toposort([node]) for _, r in regions_of(n))


# -- a body is a value --------------------------------------------------------------------------------------------------
def test_equal_bodies_are_the_same_node() -> None:
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (3,))
    f = lambda v: gx.sin(v) * v + 1
    assert call(f, x)[0] is call(lambda w: gx.sin(w) * w + 1, x)[0]
    assert call(f, x)[0] is not call(f, y)[0]
    assert body_of(call(f, x)[0]) == body_of(call(f, y)[0]) and hash(body_of(call(f, x)[0])) == hash(body_of(call(f, y)[0]))
    assert body_of(call(f, x)[0]) != body_of(call(lambda v: gx.sin(v) * v + 2, x)[0])
    wide = Region([tensor_type(F64, (3,))] * 2, [bound(0, tensor_type(F64, (3,)))])
    assert wide != Region([tensor_type(F64, (3,))], wide.outputs)  # the inputs count, used or not
    assert wide.with_outputs(list(wide.outputs)) is wide


def test_what_is_captured_becomes_an_operand() -> None:
    """The largest expressions that do not depend on the arguments, computed outside; constants stay inside."""
    x, w, s = gx.tensor("x", (3,)), gx.tensor("w", (3,)), gx.shared(np.ones(3), "s")
    region, captured = close([x * gx.exp(w) + 2.0, gx.exp(w) * s, x], [x])
    assert [c is e for c, e in zip(captured, (gx.exp(w), gx.exp(w) * s))] == [True, True] and len(captured) == 2
    assert [i.params[0] for i in region.inputs] == [0, 1, 2] and region.outputs[2] is region.inputs[0]
    assert region(x, *captured)[0] is x * gx.exp(w) + 2.0
    (value,) = evaluate([call(lambda v: v * gx.exp(w) + s, x)[0]], {x: POINT, w: POINT})
    np.testing.assert_array_equal(value, POINT * np.exp(POINT) + 1)
    assert close([gx.asarray(2.0)], [])[1] == []
    with pytest.raises(ArgumentError, match=r"a region is closed.*w: f64"):
        Region([], [gx.exp(w)])
    with pytest.raises(ArgumentError, match="2 inputs is given 1"):
        Region([tensor_type(F64, ())] * 2, [])(gx.tensor("t"))


def test_a_body_in_a_body() -> None:
    x, w = gx.tensor("x", (3,)), gx.tensor("w", (3,))
    outer = call(lambda v: call(lambda u: gx.sin(u * v) + w, v * w)[0] * 2, x)[0]
    want = 2 * (np.sin(POINT * POINT * 0.5) + 0.5)
    env = {x: POINT, w: np.full(3, 0.5)}
    np.testing.assert_allclose(evaluate([outer], env)[0], want, rtol=1e-15)
    inline = gx.sum(2 * (gx.sin(x * w * x) + w))
    both = [*gx.grad(gx.sum(outer), [x, w]), *gx.grad(inline, [x, w])]
    a, b, c, d = evaluate(both, env)
    np.testing.assert_allclose([a, b], [c, d], rtol=1e-14)
    assert sum(n.op is CALL for n in everywhere([outer])) == 2 and sum(n.op is CALL for n in toposort([outer])) == 1
    verify([outer])


# -- what walks graphs enters bodies ------------------------------------------------------------------------------------
def test_substituted_and_renamed_in_sizes() -> None:
    n, m = dims.dim("n"), dims.dim("m")
    x, y = gx.tensor("x", ("n", 2)), gx.tensor("y", ("m", 2))
    f = lambda v: gx.sum(v, axis=0) / v.shape[0]
    moved = gx.substitute(call(f, x)[0], {x: y})
    assert moved is call(f, y)[0]
    mentioned = {s for node in everywhere([moved]) for p in node.params if isinstance(p, gx.Dim) for s in dims.symbols(p)}
    assert dims.as_symbol(m) in mentioned and dims.as_symbol(n) not in mentioned
    np.testing.assert_allclose(evaluate([moved], {y: np.array([[1.0, 2], [3, 5], [5, 8]])})[0], [3, 5])
    w = gx.tensor("w", ("n", 2))
    captured = call(lambda v: v * gx.exp(w), x)[0]  # an operand like any other
    np.testing.assert_allclose(evaluate([gx.substitute(captured, {w: x + 1})], {x: np.zeros((2, 2))})[0], 0)
    assert gx.substitute(captured, {w: x}).inputs[0].inputs[1] is gx.exp(x)


def test_rewritten_inside() -> None:
    x = gx.tensor("x", (3,))
    late, early = call(lambda v: gx.negative(-v) * 1, x)[0], call(lambda v: v, x)[0]
    log = Log()
    assert rewrite([late], Table(ALGEBRA), log)[0] is early and sum(log.fired.values()) == 2
    assert rewrite([early], Table(ALGEBRA))[0] is early
    deep = call(lambda v: call(lambda u: gx.negative(-u) * 1, v)[0], x)[0]
    assert rewrite([deep], Table(ALGEBRA))[0] is call(lambda v: call(lambda u: u, v)[0], x)[0]
    naive = call(lambda v: gx.log(gx.sum(gx.exp(v))), x)[0]
    (stable,) = prepare([naive])
    assert prepare([naive])[0] is stable and prepare([stable])[0] is stable  # remembered, and at its end
    big = np.array([1000.0, 1000.0, 0.0])
    assert np.isinf(evaluate([naive], {x: big})[0]) and np.isclose(evaluate([stable], {x: big})[0], 1000 + np.log(2))
    verify(simplify(Graph((x,), (naive,))))


def test_no_derivative_of_a_body_is_left_unsettled() -> None:
    """What `derived` remembers in a body is taken out with the rest."""
    x = gx.tensor("x", (3,))
    inner = call(lambda v: gx.grad(gx.sum(gx.grad(gx.sum(v * v), v)), v) * v, x)[0]
    assert any(n.op is DERIVED for n in everywhere([inner]))
    (ready,) = prepare([inner])
    assert not any(n.op is DERIVED for n in everywhere([ready]))
    np.testing.assert_array_equal(evaluate([inner], {x: POINT})[0], 2 * POINT)


def test_verified_inside() -> None:
    x = gx.tensor("x", (3,))
    good = call(lambda v: call(lambda u: gx.tanh(u), v)[0], x)[0]
    verify([good])

    def forged(node: Node, **changed: Any) -> Node:
        made = object.__new__(Node)
        for name in ("op", "inputs", "params", "type", "site", "serial", "kinds"):
            setattr(made, name, changed.get(name, getattr(node, name)))
        made.normal = None
        return made

    t = tensor_type(F64, (3,))
    leaf = bound(0, t)
    wrong_type = forged(gx.tanh(leaf), type=tensor_type(F64, (4,)))
    for k, (text, output) in enumerate(
        [(r"its type rule gives f64\[3\], but its type is f64\[4\]", wrong_type), ("reads a value from outside", x)]
    ):
        region = Region([t], [leaf + float(k + 3)])  # a body of its own, which is then broken
        region.outputs = (output,)
        (broken,) = call(lambda v, region=region: outputs(make(CALL, (v,), (region,)))[0], x)
        with pytest.raises(CompileError, match=f"verify: .*{text}"):
            verify([broken])
        shared = Region([t], [leaf * 2.0])
        first, second = [call(lambda v, k=k, body=shared: outputs(make(CALL, (v + float(k),), (body,)))[0], x)[0] for k in range(2)]
        with pytest.raises(CompileError, match=f"verify: .*{text}"):
            verify([broken, first, second])  # a body that is there twice is looked at once, and the others after it
    with pytest.raises(CompileError, match="the input of a region lies outside of it"):
        verify([gx.exp(leaf)])
    with pytest.raises(CompileError, match="is no region"):
        verify(outputs(forged(make(CALL, (x,), (Region([t], [leaf]),)), params=(3,))))


def test_sizes_that_a_body_assumes() -> None:
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("m",))
    assumed = size_assumptions([call(lambda a, b: a + b, x, y)[0]])
    assert len(assumed) == 1 and {str(s) for s in assumed[0]} == {"n", "m"}
    with pytest.raises(ShapeError):
        evaluate([call(lambda a, b: a + b, x, y)[0]], {x: np.ones(3), y: np.ones(2)})


def test_printed() -> None:
    x = gx.tensor("x", ("n", 2))
    s, c = call(lambda v: (gx.sin(call(lambda u: u * 2, v)[0]), gx.sum(v)), x)
    assert format_graph([s + c, c], sites=False).splitlines() == [
        "input x: f64[n, 2]",
        "%0.0, %0.1 = call(x) : (f64[n, 2], f64[])",
        "    body(@0: f64[n, 2]):",
        "        %0.0 = call(@0) : (f64[n, 2])",
        "            body(@0: f64[n, 2]):",
        "                %0 = broadcast(2.0, shape=(n, 2), axes=()) : f64[n, 2]",
        "                %1 = multiply(@0, %0) : f64[n, 2]",
        "                return %1",
        "        %1 = sin(%0.0) : f64[n, 2]",
        "        %2 = reduce(@0, axes=(0, 1), combine=sum) : f64[]",
        "        return %1, %2",
        "%1 = broadcast(%0.1, shape=(n, 2), axes=()) : f64[n, 2]",
        "%2 = add(%0.0, %1) : f64[n, 2]",
        "return %2, %0.1",
    ]


def test_map_regions_of_several_bodies() -> None:
    pick = Op("pick", 1, ("bodies", "k"), "", lambda x, bodies, k: bodies[k].outputs[0].tensor, regions=("bodies",),
              ref=lambda x, bodies, k: bodies[k](x)[0])  # fmt: skip
    t = tensor_type(F64, ())
    one, two = (Region([t], [f(bound(0, t))]) for f in (gx.sin, gx.cos))
    x = gx.tensor("x")
    node = make(pick, (x,), ((one, two), 1))
    assert [name for name, _ in regions_of(node)] == ["bodies.0", "bodies.1"]
    assert map_regions(node, lambda r: r) == node.params
    assert map_regions(node, lambda r: r.with_outputs([-r.outputs[0]]))[0][1].outputs[0] is -gx.cos(bound(0, t))
    assert evaluate([node], {x: 0.5})[0] == np.cos(0.5)
    blank = Op("blank", 1, (), "No meaning in NumPy.", lambda x: x)
    for kept in (make(pick, (gx.asarray(1.0),), ((one, two), 1)), make(blank, (gx.asarray(1.0),))):
        assert simplify(Graph((), (kept,))).outputs[0] is kept, "what runs a body, or has no meaning in NumPy, is not folded"


# -- derivatives and lanes ----------------------------------------------------------------------------------------------
BODIES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "one": (lambda x, w: call(lambda v: gx.sin(v) * v, x)[0] * w, lambda x, w: gx.sin(x) * x * w),
    "captures": (lambda x, w: call(lambda v: gx.tanh(v * gx.exp(w)), x)[0], lambda x, w: gx.tanh(x * gx.exp(w))),
    "several": (lambda x, w: sum(call(lambda v, u: (v * v * u, gx.cos(v) * u), x, w)), lambda x, w: x * x * w + gx.cos(x) * w),
    "unused": (lambda x, w: call(lambda v, u: (gx.exp(v), gx.sum(u)), x, w)[0] * w, lambda x, w: gx.exp(x) * w),
    "nested": (lambda x, w: call(lambda v: call(lambda u: u * v * w, gx.sin(v))[0], x)[0], lambda x, w: gx.sin(x) * x * w),
}


@pytest.mark.parametrize("name", BODIES)
def test_differentiated_three_times(name: str) -> None:
    ours, theirs = BODIES[name]
    x, w = gx.tensor("x", (3,)), gx.tensor("w", (3,))
    v = gx.tensor("v", (3,))
    env = {x: POINT, w: np.array([0.5, -0.25, 1.5]), v: np.array([1.0, 2.0, -0.5])}
    got, want = gx.sum(ours(x, w)), gx.sum(theirs(x, w))
    for _ in range(3):
        (gx1, gw1), (gx2, gw2) = gx.grad(got, [x, w]), gx.grad(want, [x, w])
        pairs = [(gx1, gx2), (gw1, gw2), (gx.jvp(got, [x, w], [v, w]), gx.jvp(want, [x, w], [v, w]))]
        for a, b in pairs:
            np.testing.assert_allclose(*evaluate([a, b], env), rtol=1e-11, atol=1e-12)
        got, want = gx.sum(gx1 * gx.sin(x)) + gx.sum(gw1 * w), gx.sum(gx2 * gx.sin(x)) + gx.sum(gw2 * w)
        verify([got])
    a, b = evaluate([gx.hvp(gx.sum(ours(x, w)), x, v), gx.grad(gx.jvp(gx.sum(theirs(x, w)), x, v), x)], env)
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    assert gx.check_grad(gx.sum(ours(x, w)), [x, w], {x: POINT, w: env[w]}, order=2) < 1e-5


@pytest.mark.parametrize("name", BODIES)
def test_vmapped(name: str) -> None:
    ours, theirs = BODIES[name]
    xs, w = gx.tensor("xs", ("n", 3)), gx.tensor("w", (3,))
    env = {xs: np.random.default_rng(0).normal(size=(4, 3)), w: np.array([0.5, -0.25, 1.5])}
    for f in (lambda g: lambda x: g(x, w), lambda g: lambda x: gx.grad(gx.sum(g(x, w)), x)):
        np.testing.assert_allclose(*evaluate([gx.vmap(f(ours))(xs), gx.vmap(f(theirs))(xs)], env), rtol=1e-13, atol=1e-14)


def test_a_vjp_that_cannot_be_transposed_asks_for_a_jvp() -> None:
    """Transposing the vjp of a call gives calls that are handed the stand-in for the cotangent: said, and not left in the result."""
    x = gx.tensor("x", (3,))
    plain = dataclasses.replace(CALL, jvp=None)
    region, _ = close([gx.sin(gx.exp(x))], [x])
    with pytest.raises(NotDifferentiableError, match="call has no jvp"):
        gx.jvp(outputs(make(plain, (x,), (region,)))[0], x, x)


def test_a_body_without_a_lowering_is_an_error() -> None:
    x = gx.tensor("x", (3,))
    with pytest.raises(CompileError, match="call has no loop form"):
        gx.function([x], call(gx.sin, x)[0])
    assert gx.function([x], call(gx.sin, x)[0], mode="interpret")(POINT) == pytest.approx(np.sin(POINT))
