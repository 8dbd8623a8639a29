"""spec/002-004.md, R10 to R24: the graph, its order and its sharing, and what it costs."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy.product_scratch import scratch_of
from graphc.ir import Graph, Node, toposort
from graphc.ops.outputs import outputs
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from graphc.options import Options
from graphc.passes.fusion.assemble import assemble
from graphc.passes.fusion.fuse import fuse
from graphc.passes.storage.kernel_scratch import declare_scratch
from graphc.passes.storage.memory import plan_memory
from graphc.program import Launch
from graphc.verify.graph import verify
from tests.spec.kit import both, close, cross_entropy, difference, exponentials, net, nodes, ops, optimised, run, weights


def test_R10_cycles_cannot_be() -> None:
    x = gx.tensor("x", (3,))
    y = gx.tanh(x)
    wound = gx.substitute(y, {x: gx.tanh(y)})  # simultaneous: tanh(tanh(tanh(x))), not a loop
    close(run(wound, {x: np.ones(3)}), np.tanh(np.tanh(np.tanh(np.ones(3)))))
    assert all(i.serial < n.serial for n in toposort([wound]) for i in n.inputs)
    kept = y.inputs
    try:
        y.inputs = (gx.exp(y),)  # by force
        with pytest.raises(gx.CompileError, match="not older than itself"):
            verify(y)
    finally:
        y.inputs = kept


def test_R10_no_dependence_has_a_policy() -> None:
    x, z = gx.tensor("x", (3,)), gx.tensor("z", (2,))
    cost = gx.sum(x * x)
    with pytest.raises(gx.DisconnectedError, match="wrt"):
        gx.grad(cost, [x, z])
    found = run(gx.grad(cost, [x, z], disconnected="zero"), {x: np.arange(3.0)})
    close(found, [2 * np.arange(3.0), np.zeros(2)], rtol=0)


def test_R11_compiled_equals_node_by_node() -> None:
    """Each node's function applied to the values of its arguments, in order: the whole of the reference evaluation."""
    x, W = gx.tensor("x", (5, 4)), gx.tensor("W", (4, 3))
    y = gx.softmax(gx.tanh(x @ W) * 2.0)
    cost = -gx.mean(gx.log(y[:, 0]))
    rng = np.random.default_rng(0)
    values: dict[Node, np.ndarray] = {x: rng.normal(size=(5, 4)), W: rng.normal(size=(4, 3))}
    outputs = [y, cost, gx.grad(cost, W)]
    for node in toposort(outputs):
        if node not in values:
            values[node] = np.asarray(node.op.ref(*[values[i] for i in node.inputs], **node.attrs))
    close(run(outputs, {x: values[x], W: values[W]}), [values[o] for o in outputs], rtol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_R11_random_graphs(seed: int) -> None:
    """Compiled and interpreted values of graphs of 40 random operations, and of their gradients; tests/fuzz has all of the registry."""
    rng = random.Random(seed)
    x, y = gx.tensor("x", (6,)), gx.tensor("y", (6,))
    pool = [x, y]
    smooth = [gx.tanh, gx.sin, gx.cos, gx.sigmoid, gx.add, gx.subtract, gx.multiply, gx.maximum, gx.arctan, gx.relu]
    for _ in range(40):
        f = rng.choice(smooth)
        pool.append(f(*[rng.choice(pool[-8:]) for _ in range(OPS[f.__name__].arity or 1)]))
    cost = gx.sum(pool[-1] * pool[-2] + pool[-3])
    at = {x: np.linspace(-1, 1, 6), y: np.linspace(2, -2, 6)}
    both([*pool[-3:], gx.grad(cost, [x, y], disconnected="zero")], at, rtol=1e-10)


MULTIPLE = {  # expression, derivative of its sum
    "x * x": (lambda x: x * x, lambda v: 2 * v),
    "x + x": (lambda x: x + x, lambda v: 2 * np.ones_like(v)),
    "x / x": (lambda x: x / x, np.zeros_like),
    "dot(x, x)": (lambda x: gx.dot(x, x), lambda v: 2 * v),
    "where(c, x, x)": (lambda x: gx.where(x > 0.3, x, x), np.ones_like),
    "concatenate(x, x)": (lambda x: gx.concatenate([x, x]) * np.arange(8.0), lambda v: np.arange(4.0) * 2 + 4),
    "x ** x": (lambda x: x**x, lambda v: v**v * (np.log(v) + 1)),
    "maximum(x, x)": (lambda x: gx.maximum(x, x), np.ones_like),
}


@pytest.mark.parametrize("name", MULTIPLE)
def test_R12_one_node_as_several_arguments(name: str) -> None:
    f, slope = MULTIPLE[name]
    x, v = gx.tensor("x", (4,)), np.array([0.25, 0.5, 1.0, 2.5])
    y = f(x)
    close(both(gx.grad(gx.sum(y), x), {x: v}), slope(v), rtol=1e-14, atol=1e-15)
    assert gx.check_grad(y, x, {x: v}, order=2) < 1e-5


def test_R12_matrix_times_itself() -> None:
    W, v = gx.tensor("W", (3, 3)), np.arange(9.0).reshape(3, 3) / 7
    ones = np.ones((3, 3))
    close(both(gx.grad(gx.sum(W @ W), W), {W: v}), ones @ v.T + v.T @ ones)


def linear_extension(order: list[Node], rng: random.Random) -> list[Node]:
    """A random order in which inputs come before users."""
    waiting = {n: len(set(n.inputs)) for n in order}
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for n in order:
        for i in set(n.inputs):
            users[i].append(n)
    ready = [n for n in order if not waiting[n]]
    result = []
    while ready:
        n = ready.pop(rng.randrange(len(ready)))
        result.append(n)
        for u in users[n]:
            waiting[u] -= 1
            if not waiting[u]:
                ready.append(u)
    return result


def shared_graph() -> tuple[Graph, list[np.ndarray]]:
    x, W, V = gx.tensor("x", (6, 5)), gx.tensor("W", (5, 4)), gx.tensor("V", (4, 5))
    h = gx.tanh(x @ W)
    back = gx.softmax(h @ V + x)
    cost = gx.sum(back * gx.cumsum(x, axis=0)) + gx.max(h)
    rng = np.random.default_rng(1)
    return Graph((x, W, V), (back, cost, *gx.grad(cost, [W, V, x]))), [rng.normal(size=n.shape) for n in (x, W, V)]


def test_R13_a_hundred_orders_give_the_same_bits() -> None:
    graph, arrays = shared_graph()
    results = set()
    for seed in range(100):
        values: dict[Node, np.ndarray] = dict(zip(graph.inputs, arrays))
        for node in linear_extension(graph.order, random.Random(seed)):
            if node not in values:
                values[node] = np.asarray(node.op.ref(*[values[i] for i in node.inputs], **node.attrs))
        results.add(b"".join(values[o].tobytes() for o in graph.outputs))
    assert len(results) == 1


def test_R13_kernels_in_any_order_give_the_same_bits() -> None:
    graph, arrays = shared_graph()
    program = assemble(graph, [], fuse(graph))
    assert len(program.steps) >= 6 and all(isinstance(s, Launch) for s in program.steps)
    writers = {b: k for k, s in enumerate(program.steps) for b, o in zip(s.buffers, s.kernel.operands) if o.written}
    needs = [{writers[b] for b, o in zip(s.buffers, s.kernel.operands) if b in writers} - {k} for k, s in enumerate(program.steps)]
    results, orders = set(), set()
    for seed in range(5):
        rng, order, left = random.Random(seed), [], set(range(len(program.steps)))
        while left:
            order.append(rng.choice([k for k in sorted(left) if not needs[k] & left]))
            left.remove(order[-1])
        orders.add(tuple(order))
        shuffled = replace(program, steps=tuple(program.steps[k] for k in order))
        shuffled = plan_memory(declare_scratch(shuffled, partial(scratch_of, options=Options())))
        results.add(b"".join(np.asarray(r).tobytes() for r in Executable(shuffled)([*arrays], [], [])))
    assert len(orders) > 1
    assert len(results) == 1


ROWS = {
    n: op for n in PUBLIC if hasattr(np, n) and (op := OPS.get(n)) and op.row and "f" in op.row.kinds and n != "i0"
}  # np.i0(inf) is nan
UNARY, BINARY = [[n for n, op in ROWS.items() if op.arity == arity] for arity in (1, 2)]


def equal_to_numpy(names: list[str], got: list[np.ndarray], args: list[np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        for name, a in zip(names, got):
            want = getattr(np, name)(*args)
            assert a.shape == want.shape and a.dtype == want.dtype, name
            scale = 1e-13 * np.max(np.abs(want), initial=0, where=np.isfinite(want)) if name in ("tan", "mod") else 0
            np.testing.assert_allclose(a, want, rtol=3e-15, atol=scale, err_msg=name)


def test_R14_unary_ops_on_any_array() -> None:
    """0-d, empty, of length 1, strided, reversed, transposed, and special values: NumPy's answer."""
    assert len(UNARY) > 25
    flat = gx.function([x := gx.tensor("x", ("n", "m"))], [PUBLIC[name](x) for name in UNARY])
    zero = gx.function([x := gx.tensor("x", ())], [PUBLIC[name](x) for name in UNARY])
    base = np.random.default_rng(2).normal(size=(9, 14)) * 2
    special = np.array([[0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, 1e300]])
    for a in (base, base[:0], base[:, :0], base[:1, :1], base[::2, 1::3], base[::-1, ::-2], base.T, np.asfortranarray(base), special):
        equal_to_numpy(UNARY, flat(a), [a])
    for value in (0.7, -0.0, np.inf, np.nan):
        equal_to_numpy(UNARY, zero(np.array(value)), [np.array(value)])


def test_R14_binary_ops_broadcast() -> None:
    assert len(BINARY) > 12
    rng = np.random.default_rng(3)
    for left, right in [((3, 4), (3, 4)), ((3, 1), (1, 4)), ((), (3, 4)), ((4,), (3, 4)), ((3, 0), (1, 0)), ((2, 1, 4), (3, 1))]:
        a, b = rng.uniform(0.5, 3, left), rng.uniform(-2, 3, right)
        x, y = gx.tensor("x", left), gx.tensor("y", right)
        got = gx.function([x, y], [PUBLIC[name](x, y) for name in BINARY], mode=None if len(left) == 2 else "interpret")(a, b)
        equal_to_numpy(BINARY, got, [a, b])


def test_R15_every_argument_has_a_rule_or_a_mark() -> None:
    """A rule returns a cotangent or None per input, of the input's type; an op without a rule gives no floats, or is a source."""
    for name, op in OPS.items():
        if not op.elementwise or op.vjp is None or name == "ldexp" or (op.params and name != "cast"):
            continue
        x = [gx.tensor(f"x{k}", (2,)) for k in range(op.arity or 0)]
        if name == "select":
            x[0] = gx.tensor("c", (2,), "bool")
        if name == "cast" or "f" not in (op.row.kinds if op.row else "f"):
            continue
        out = op(*x)
        values = outputs(out)  # one, or several
        ones = tuple([gx.ones_like(v) if v.dtype.kind == "f" else None for v in values])
        rule = op.vjp(*((ones, values) if isinstance(out.type, tuple) else (ones[0], out)), *x)
        assert len(rule) == len(x), name
        assert all(g is None or (g.shape, g.dtype) == (i.shape, i.dtype) for g, i in zip(rule, x)), name
    sources = {"input", "shared", "constant", "size", "iota", "bound"}
    for name, op in OPS.items():
        if op.vjp is None and name not in sources:  # the mark: no floats come out, or nothing but whole numbers
            whole = name in ("floor_divide", "arg_reduce", "get", "random_word32", "random_word64", "discrete_draw")
            assert whole or op.row.dtype in ("compare", "logical") or "f" not in op.row.kinds, f"{name} has neither a rule nor a mark"


@pytest.mark.parametrize("name", ["log", "power", "arctan2", "divide", "tan", "xlogy", "logaddexp", "rsqrt"])
def test_R15_rules_by_differences(name: str) -> None:
    arity = OPS[name].arity or 1
    x = [gx.tensor(f"x{k}", (3,)) for k in range(arity)]
    at = {n: np.array([0.3, 0.9, 1.4]) + k / 7 for k, n in enumerate(x)}
    for k in range(arity):
        assert gx.check_grad(PUBLIC[name](*x), x[k], at, order=2) < 1e-5


def test_R16_direct_and_total_derivative() -> None:
    u1 = gx.scalar("u1")
    u2 = u1 * u1
    other = gx.scalar("other")
    u3 = gx.exp(u1 + u2) * other
    total, direct = gx.grad(u3, u1), gx.grad(u3, u1, consider_constant=[u2])
    found = both([total, direct, gx.grad(u3, other)], {u1: 0.3, other: 2.0})
    e = np.exp(0.39)
    close(found, [np.asarray(2 * e * 1.6), np.asarray(2 * e), np.asarray(e)], rtol=1e-14)


def test_R17_the_gradient_shares_the_forward_nodes() -> None:
    x = gx.tensor("x", ("n",))
    y = gx.tanh(x)
    s = gx.exp(y)
    gradient = gx.grad(gx.sum(s), x)
    inside = set(toposort([gradient]))
    assert y in inside and s in inside
    text = gx.function([x], [s, gradient]).graph
    assert not re.search(r"multiply\(.*\b1\.0", text)  # the seed 1 is gone
    assert text.count("= exp(") == text.count("= tanh(") == 1


def test_R18_one_sweep_for_all() -> None:
    leaves = [gx.scalar(f"a{k}") for k in range(500)]
    u = gx.asarray(0.5)
    for a in leaves:
        u = gx.sin(u * a)
    forward, one, every = nodes(u), nodes(u, gx.grad(u, leaves[0])), nodes(u, gx.grad(u, leaves))
    assert every - one <= 3 * 499
    assert every <= 5 * forward
    assert nodes(u, gx.grad(u, leaves[-1])) - forward <= 4  # nothing is built off the path from the last leaf to the cost


def paths_derivative(order: list[Node], cost: Node, leaf: Node, values: dict[Node, float]) -> float:
    """The sum over all paths from leaf to cost of the products of the derivatives along the arcs; arcs by hand."""

    def arc(n: Node, k: int) -> float:
        a = [values[i] for i in n.inputs]
        return {
            "add": lambda: 1.0,
            "subtract": lambda: (1.0, -1.0)[k],
            "multiply": lambda: a[1 - k],
            "sin": lambda: np.cos(a[0]),
            "tanh": lambda: 1 - np.tanh(a[0]) ** 2,
        }[n.op.name]()

    total, stack = 0.0, [(cost, 1.0)]
    while stack:
        n, product = stack.pop()
        if n is leaf:
            total += product
        stack.extend((i, product * arc(n, k)) for k, i in enumerate(n.inputs))
    return total


@pytest.mark.parametrize("seed", range(12))
def test_R19_gradient_is_the_sum_over_paths(seed: int) -> None:
    rng = random.Random(seed)
    x = gx.scalar("x")
    pool: list[Node] = [x]
    while len(pool) < 12:
        f = rng.choice([gx.add, gx.subtract, gx.multiply, gx.sin, gx.tanh])
        made = f(*[rng.choice(pool) for _ in range(OPS[f.__name__].arity or 1)])
        pool.append(made)
    order = toposort([pool[-1]])
    values = {n: float(n.eval({x: 0.7})) for n in order}
    gradient = gx.grad(pool[-1], x, disconnected="zero")
    np.testing.assert_allclose(gradient.eval({x: 0.7}), paths_derivative(order, pool[-1], x, values), rtol=1e-12, atol=1e-13)


def test_R20_nodes_of_the_gradient_are_linear_in_arcs() -> None:
    rng = random.Random(0)
    measured = []
    for size in (50, 500, 5000, 50_000):
        x, y = gx.scalar("x"), gx.scalar("y")
        pool: list[Node] = [x, y]
        for _ in range(size):
            pool.append(rng.choice([gx.add, gx.multiply])(rng.choice(pool[-6:]), pool[-1]))
        order = toposort([pool[-1]])
        arcs = sum(len(n.inputs) for n in order)
        whole = nodes(gx.grad(pool[-1], [x, y], disconnected="zero"))
        assert whole - len(order) <= 8 * arcs
        measured.append((np.log(arcs), np.log(whole)))
    slope = np.polyfit(*np.transpose(measured), 1)[0]
    assert 0.9 < slope < 1.1, slope


def test_R21_one_exponential_for_value_and_gradient() -> None:
    x = gx.tensor("x", ("n",))
    for f in (gx.sigmoid, gx.tanh, gx.exp, lambda v: 1 / (1 + gx.exp(-v))):
        y = f(x)
        compiled = gx.function([x], [y, gx.vjp(y, x, gx.ones_like(y))])
        assert exponentials(compiled) == exponentials(gx.function([x], y)) == 1


# What is kept of a layer for the way back: its result, which the next layer's weights need, and what its slope is a function of. For relu
# that is the result. For tanh it cannot be, if derivatives are to be right where it saturates (R25): tanh(20) and tanh(30) are the same
# float, 1.0, and their slopes are 1.7e-17 and 3.5e-26. So the argument is kept too, or the exponential would be computed again.
@pytest.mark.parametrize(("f", "kept"), [(gx.relu, 1), (gx.tanh, 2)])
def test_R21_peak_memory_is_what_the_derivative_needs_of_a_layer(f: Callable[[Node], Node], kept: int, batch: int = 512) -> None:
    width, arena = 16, {}
    for depth in (4, 8, 16):
        layers = weights([width] * (depth + 1))
        x, p = gx.tensor("x", ("n", width)), gx.shared(layers, "p")
        cost = gx.mean(net(p, x, f) ** 2)
        step = gx.function([x], cost, updates=(p, gx.tree.map(lambda w, d: w - 0.1 * d, p, gx.grad(cost, p))))
        arena[depth] = step.memory(n=batch)["arena"]
    activation = kept * batch * width * 8
    assert (arena[8] - arena[4]) / 4 <= 1.25 * activation
    assert (arena[16] - arena[8]) / 8 <= 1.25 * activation
    assert arena[16] >= 15 * activation  # which they must be: the test would see a recomputation


def test_R22_gradient_through_some_of_several_results() -> None:
    x, at = gx.tensor("x", (6,)), np.array([0.5, -2.0, 3.0, 1.0, 0.25, 2.0])
    first, _, third = gx.split(x, 3)
    cost = gx.sum(first**2) + gx.prod(third)
    close(both(gx.grad(cost, x), {x: at}), np.array([1.0, -4, 0, 0, 2, 0.25]))
    value, place = gx.max(x), gx.argmax(x)
    close(both([gx.grad(value, x), place], {x: at}), [np.eye(6)[2], np.asarray(2)])
    low, high = gx.split(gx.sin(x), [2])
    assert gx.check_grad(gx.sum(high**2), x, {x: at}, order=2) < 1e-5
    assert low.shape == (2,)


def test_R23_transposes_fold_and_batches_share_the_weights() -> None:
    x, t, p = gx.tensor("x", ("n", 784)), gx.tensor("t", ("n",), "int64"), gx.like(weights([784, 100, 10]), "p")
    cost = cross_entropy(net(p, x), t)
    f = gx.function([x, t, p], gx.value_and_grad(cost, p))
    counted = ops(optimised([x, t, *gx.tree.leaves(p)], gx.value_and_grad(cost, p)))
    assert counted["transpose"] == 0 and counted["contract"] == 5
    assert not re.search(r"^ *loops \w+\(.*\n(.*\n)*? *t0: f64 = b\d+\[i1, i0\] -> ", f.program, re.MULTILINE)
    assert f.cost(n=1)["bytes"] > 10 * f.cost(n=128)["bytes"] / 128  # for the time of it see benchmarks


def test_R24_products_are_tiled_and_vectorised() -> None:
    """A register tile of vectors, not three loops over numbers; the speed beside BLAS is a matter of benchmarks/gemm."""
    rng = np.random.default_rng(4)
    x, W = gx.tensor("x", ("n", "k"), "float32"), gx.tensor("W", ("k", "m"), "float32")
    f = gx.function([x, W], x @ W)
    assert re.search(r"tile \d+ x \d+ vectors", f.loops)
    assert re.search(r"<\d+ x float>", f.llvm)
    for n, k, m in itertools.product((1, 64, 129), (784, 100), (100, 10)):
        a, b = rng.normal(size=(n, k)).astype("float32"), rng.normal(size=(k, m)).astype("float32")
        np.testing.assert_allclose(f(a, b), a.astype("float64") @ b, rtol=0, atol=4e-7 * k)


def test_R24_counted_arithmetic() -> None:
    """784-100-10, batch m: 158,800 m multiplications and additions forward, 160,800 m more backward, 317,600 m with the image's."""
    x, t, p = gx.tensor("x", ("m", 784)), gx.tensor("t", ("m", 10)), gx.like(weights([784, 100, 10]), "p")
    cost = gx.sum(net(p, x, gx.relu) * t)

    def arithmetic(outputs: object) -> int:
        graph = optimised([x, t, *gx.tree.leaves(p)], outputs)
        total = 0
        for node in graph.order:
            if node.op.name == "contract":
                left, right, _ = node.attrs["spec"]
                sizes = dict(zip([*left, *right], [*node.inputs[0].shape, *node.inputs[1].shape]))
                total += 2 * int(np.prod([7 if not isinstance(s, int) else s for s in sizes.values()]))
        return total

    forward = arithmetic(net(p, x, gx.relu))
    assert forward == 158_800 * 7
    assert arithmetic([net(p, x, gx.relu), gx.grad(cost, p)]) - forward == 160_800 * 7
    assert arithmetic([net(p, x, gx.relu), gx.grad(cost, [p, x])]) - forward == 317_600 * 7
    # and the program counts as much, but for elementwise work
    counted = gx.function([x, t, p], [net(p, x, gx.relu), gx.grad(cost, p)]).cost(m=7)["operations"]
    assert (158_800 + 160_800) * 7 <= counted <= 1.02 * (158_800 + 160_800) * 7


def test_differences_are_trustworthy() -> None:
    """The helper of this folder, on a function whose derivative is known."""
    np.testing.assert_allclose(difference(lambda v: v**2 @ [1.0, 2.0], [3.0, 4.0]), [6.0, 16.0], rtol=1e-9)
