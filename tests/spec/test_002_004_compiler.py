"""spec/002-004.md, R36 to R43: composed, closed, extended, simplified, stabilised, compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.target import host
from graphc.interp import evaluate
from graphc.ir import Graph, Node, toposort
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC, elementwise
from graphc.options import Options
from graphc.passes.fusion.fuse import fuse
from graphc.passes.rewriting.fold import FOLD
from graphc.passes.rewriting.rewrite import Table, rewrite
from graphc.passes.rules.algebra import ALGEBRA
from graphc.passes.rules.linalg import LINALG
from graphc.passes.rules.shapes import SHAPES
from graphc.passes.rules.stability import STABILITY
from tests.spec.kit import both, close, nodes, ops_of, optimised, run
from tests.stages import ready


# -- R36, R37: compositions ------------------------------------------------------------------------
def spelled(log_probability: Callable[[Node, Node], Node]) -> gx.Function:
    """Loss and gradient of softmax regression's last step, for a spelling of log p[label]."""
    x, y = gx.tensor("x", ("n", 10), "float32"), gx.tensor("y", ("n",), "int64")
    return gx.function([x, y], gx.value_and_grad(-gx.mean(log_probability(x, y[:, None])), x))


def quotient(x: Node) -> Node:
    return gx.exp(x) / gx.sum(gx.exp(x), axis=1, keepdims=True)


def shifted(x: Node) -> Node:
    return quotient(x - gx.max(x, axis=1, keepdims=True))


COARSE = lambda x, y: gx.take_along_axis(gx.log_softmax(x), y, axis=1)
FINE = {"naive": lambda x, y: gx.take_along_axis(gx.log(quotient(x)), y, axis=1),
        "shifted by hand": lambda x, y: gx.take_along_axis(gx.log(shifted(x)), y, axis=1),
        "softmax, log": lambda x, y: gx.take_along_axis(gx.log(gx.softmax(x)), y, axis=1),
        "softmax, pick, log": lambda x, y: gx.log(gx.take_along_axis(gx.softmax(x), y, axis=1))}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_R36_fine_grained_graphs_fuse_to_coarse_speed(name: str) -> None:
    """Cross-entropy from exp, sum, divide and log, and from log_softmax: as many kernels, as many operations."""
    fine, coarse = spelled(FINE[name]), spelled(COARSE)
    X, Y = np.random.default_rng(7).normal(size=(6, 10)).astype("float32"), np.array([0, 9, 3, 3, 1, 5])
    close(fine(X, Y), coarse(X, Y), rtol=2e-6, atol=1e-7)
    one, other = fine.cost(n=64), coarse.cost(n=64)
    assert one["kernels"] == other["kernels"]
    assert one["operations"] <= 1.1 * other["operations"]
    assert one["transcendental"] <= other["transcendental"] <= 64 * 11


def maxout(x: Node, W: Node, b: Node) -> Node:
    """max over the pieces k of x W_k + b_k, W (k, inputs, outputs)"""
    return gx.max(gx.einsum("ni,kio->nko", x, W) + b, axis=1)


def mixture_loss(logits: Node, means: Node, logs: Node, y: Node) -> Node:
    """-mean log of sum_k softmax(logits)_k N(y; means_k, exp(logs_k)**2)"""
    log_density = -0.5 * ((y[:, None] - means) / gx.exp(logs)) ** 2 - logs - 0.5 * np.log(2 * np.pi)
    return -gx.mean(gx.log(gx.sum(gx.softmax(logits) * gx.exp(log_density), axis=1)))


def radial(x: Node, centres: Node, width: Node) -> Node:
    return gx.exp(-gx.sum((x[:, None, :] - centres) ** 2, axis=2) / width**2)


def test_R37_new_modules_need_no_gradient_code() -> None:
    rng = np.random.default_rng(8)
    x, y = gx.tensor("x", (4, 3)), gx.tensor("y", (4,))
    W, b, c, s = gx.tensor("W", (2, 3, 5)), gx.tensor("b", (2, 5)), gx.tensor("c", (5, 3)), gx.tensor("s", (5,))
    at = {n: rng.normal(size=n.shape) for n in (x, y, W, b, c)} | {s: rng.uniform(1, 2, 5)}
    hidden = maxout(x, W, b)
    for out, wrt in [
        (hidden, [x, W, b]),
        (mixture_loss(hidden[:, :2], hidden[:, 2:4], hidden[:, 3:], y), [W, b]),
        (gx.maximum(-1, gx.minimum(1, x @ W[0])), [x, W]),
        (radial(x, c, s), [x, c, s]),
    ]:
        assert gx.check_grad(out, wrt, at) < 1e-6
    flat = {n: at[n] for n in (x, c, s)}
    expected = np.exp(-((at[x][:, None, :] - at[c]) ** 2).sum(2) / at[s] ** 2)
    close(both(radial(x, c, s), flat), expected)


# -- R38 to R40: closure and reach -----------------------------------------------------------------
def test_R38_closed_under_differentiation() -> None:
    """Three times through max, gather, choice and stop_gradient: only registered ops, and the right numbers."""
    x, still = gx.tensor("x", (6,)), gx.tensor("still", (6,))
    at = np.array([0.4, -0.7, 1.1, -0.2, 0.9, 0.3])

    def build(held: Node) -> Node:
        return gx.max(gx.sin(x)[np.array([4, 1, 2])]) * gx.sum(gx.where(x > 0, x**4, held * x**3))

    y = build(gx.stop_gradient(x))
    d = gx.grad(y, x)
    for _ in range(2):
        d = gx.grad(gx.sum(d * np.arange(1.0, 7)), x)
        assert all(OPS[n.op.name] is n.op for n in toposort([d]))
    both(d, {x: at})
    assert gx.check_grad(build(x), x, {x: at}, order=3, rtol=1e-4) < 1e-4
    same = build(still)  # what is held still, as a variable of its own
    e = gx.grad(same, x)
    for _ in range(2):
        e = gx.grad(gx.sum(e * np.arange(1.0, 7)), x)
    close(d.eval({x: at}), e.eval({x: at, still: at}), rtol=1e-13)


REACH = """abs sign square sqrt rsqrt power exp expm1 log log1p sin cos arctan2 tanh sigmoid softplus erf maximum minimum clip mod
floor round astype less equal logical_and where isnan isinf sum mean prod max min argmax argmin logsumexp norm var any all cumsum reshape
ravel transpose broadcast_to expand_dims squeeze concatenate split stack pad flip tile diag eye tri one_hot arange zeros_like ones_like
take take_along_axis at dot matmul outer einsum trace softmax log_softmax relu grad vjp jvp hvp jacobian hessian stop_gradient vmap shared
function substitute"""


def test_R39_the_list_of_operations() -> None:
    """What part 7(a) lists and exists today; the rest is in README.md under later work."""
    missing = [name for name in REACH.split() if not hasattr(gx, name)]
    assert not missing
    x = np.array([[0.5, 1.5], [2.5, 0.25]])
    node = gx.tensor("x", (2, 2))
    same = [n for n in REACH.split() if hasattr(np, n) and n in PUBLIC and OPS.get(n) and OPS[n].arity == 1 and n != "invert"]
    assert len(same) > 8
    got = run([getattr(gx, n)(node) for n in same], {node: x})
    close(got, [getattr(np, n)(x) for n in same], rtol=4e-16)


def test_R40_an_operation_of_ones_own(own_rows: None) -> None:
    """log(1 - exp(x)) for x < 0, without cancellation at either end: one row; it fuses, and it is differentiated twice."""

    def formula(m: object, x: object) -> object:
        return m.select(x > -0.7, m.math("log", -m.math("expm1", x)), m.math("log1p", -m.math("exp", x)))  # type: ignore[attr-defined,operator]

    log_one_minus_exp = elementwise(
        "log_one_minus_exp", 1, "log(1 - exp(x))", emit=formula, domain=(-4, -0.1), costly=True,
        ref=lambda x: np.where(x > -0.7, np.log(-np.expm1(x)), np.log1p(-np.exp(x))),
        vjp=lambda g, out, x: (-g / gx.expm1(-x),),
    )  # fmt: skip
    x = gx.tensor("x", ("n",))
    y = 2 * log_one_minus_exp(-x * x) + 1
    first = gx.grad(gx.sum(y), x)
    f = gx.function([x], [y, first, gx.grad(gx.sum(first), x)])
    assert f.cost(n=8)["kernels"] == 1 and ops_of(f)["log_one_minus_exp"] == 1
    at = np.array([0.01, 0.5, 3.0, 6.0])
    with mp.workdps(40):
        exact = lambda v: 2 * mp.log(1 - mp.exp(-v * v)) + 1
        expected = [[float(mp.diff(exact, mp.mpf(v), k)) for v in at] for k in range(3)]
    close(list(f(at)), [np.array(e) for e in expected], rtol=2e-12)


# -- R41: simplification ---------------------------------------------------------------------------
def clumsy() -> tuple[Node, Node, Node]:
    x, W = gx.tensor("x", ("n", 4)), gx.tensor("W", (4, 4))
    h = gx.transpose(gx.transpose(x @ (W * 1.0))) + gx.zeros((4,)) - (-gx.exp(x) / gx.sum(gx.exp(x), axis=1, keepdims=True))
    return x, W, gx.log(gx.sum(gx.exp(h * (gx.asarray(np.full(4, 0.5)) * np.full(4, 3.0))), axis=1)) + gx.mean(h * h)


@pytest.mark.parametrize("table", ["fold", "shapes", "algebra", "stability", "linalg", "all"])
def test_R41_each_table_alone_keeps_the_values(table: str) -> None:
    tables = {"fold": FOLD, "shapes": SHAPES, "algebra": ALGEBRA, "stability": STABILITY, "linalg": LINALG}
    rules = tables.get(table) or [r for t in tables.values() for r in t]
    x, W, y = clumsy()
    at = {x: np.random.default_rng(9).normal(size=(5, 4)), W: np.random.default_rng(10).normal(size=(4, 4))}
    roots = [y, gx.vjp(y, W, gx.ones_like(y))]
    new = rewrite(roots, Table(rules))
    close(evaluate(new, at), evaluate(roots, at), rtol=1e-12)
    assert any(a is not b for a, b in zip(new, roots)) or table == "linalg"
    assert nodes(*new) <= nodes(*roots) or table in ("stability", "all")


def test_R41_less_work_and_memory_with_the_passes() -> None:
    x, W, y = clumsy()
    outputs = [y, gx.vjp(y, W, gx.ones_like(y))]
    plain, simple = gx.function([x, W], outputs, mode="none"), gx.function([x, W], outputs)
    at = np.random.default_rng(11).normal(size=(5, 4)), np.random.default_rng(12).normal(size=(4, 4))
    close(list(simple(*at)), list(plain(*at)), rtol=1e-12)
    before, after = plain.cost(n=100), simple.cost(n=100)
    assert after["operations"] < before["operations"] and after["kernels"] <= before["kernels"]
    # the memory that is moved; the peak may grow where so much is fused that more arrays are at hand at a time
    assert after["bytes"] < before["bytes"]
    assert len(optimised([x, W], outputs).order) < nodes(*outputs)
    fused = fuse(optimised([x, W], outputs))
    assert len(fused.clusters) < sum(len(c.members) for c in fused.clusters)


def test_R41_less_memory_for_a_classifier_written_naively(measured: Callable[..., None]) -> None:
    measured(crossing=1.0)  # products read in place: what they copy elsewhere is no intermediate of the graph
    x, y, W, b = gx.tensor("x", ("n", 64)), gx.tensor("y", ("n",), "int64"), gx.tensor("W", (64, 10)), gx.tensor("b", (10,))
    e = gx.exp(x @ W + b)
    loss = -gx.mean(gx.log(gx.take_along_axis(e / gx.sum(e, axis=1, keepdims=True), y[:, None], axis=1)))
    outputs = [loss, *gx.grad(loss, [W, b])]
    plain, simple = (gx.function([x, y, W, b], outputs, mode=mode, threads=1) for mode in ("none", "default"))
    assert simple.memory(n=100)["arena"] < 0.7 * plain.memory(n=100)["arena"]
    before, after = plain.cost(n=100), simple.cost(n=100)
    assert all(after[k] < before[k] for k in ("operations", "transcendental", "bytes"))


# -- R42: stability, naive graphs at the points where NumPy fails ----------------------------------
def vector(*values: float) -> np.ndarray:
    return np.array(values)


NAIVE: dict[str, tuple[Callable[[Node], Node], list[np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "softmax": (
        lambda a: gx.exp(a) / gx.sum(gx.exp(a)),
        [vector(1000, 0), vector(-1000, -1001), vector(89, -745)],
        scipy.special.softmax,
    ),
    "log softmax": (lambda a: gx.log(gx.softmax(a)), [vector(1000, 0), vector(-1000, 0, 1000)], scipy.special.log_softmax),
    "log sum exp": (lambda a: gx.log(gx.sum(gx.exp(a))), [vector(1000, 1000), vector(-1000, -1001)], scipy.special.logsumexp),
    "softplus": (lambda x: gx.log(1 + gx.exp(x)), [vector(-40, 1000, -800, 0)], lambda x: np.logaddexp(0, x)),
    "loss of a sure sigmoid": (lambda x: -gx.log(1 - gx.sigmoid(x)), [vector(40, -40, 1000, 0.5)], lambda x: np.logaddexp(0, x)),
    "log sigmoid": (lambda x: gx.log(1 / (1 + gx.exp(-x))), [vector(-1000, -40, 40)], scipy.special.log_expit),
    "sigmoid by exp(x)": (lambda x: gx.exp(x) / (1 + gx.exp(x)), [vector(1000, -1000, 3)], scipy.special.expit),
    "log1p": (lambda x: gx.log(1 + x), [vector(1e-18, 1e-9, 2)], np.log1p),
    "expm1": (lambda x: gx.exp(x) - 1, [vector(1e-18, -1e-9, 2)], np.expm1),
    "mixture": (lambda a: gx.log(gx.sum(gx.softmax(gx.sin(a)) * gx.exp(a))), [vector(-1000, -1001.5), vector(1000, 0)],
                lambda a: scipy.special.logsumexp(a + scipy.special.log_softmax(np.sin(a)))),
    "log of one probability": (lambda a: -gx.log(gx.softmax(a)[1]), [vector(1000, 0, -1000)], lambda a: -scipy.special.log_softmax(a)[1]),
    "x over its norm": (lambda x: x / gx.sqrt(gx.sum(x * x)), [vector(3, -4)], lambda x: x / 5),
}  # fmt: skip


@pytest.mark.parametrize("name", NAIVE)
def test_R42_naive_formulas_are_stable(name: str) -> None:
    f, points, exact = NAIVE[name]
    x = gx.tensor("x", ("n",))
    compiled = gx.function([x], [f(x), gx.vjp(f(x), x, gx.ones_like(f(x)))])
    for at in points:
        value, slope = compiled(at)
        np.testing.assert_allclose(value, exact(at), rtol=4e-15, atol=5e-324)
        assert np.isfinite(slope).all()


def test_R42_numbers_of_the_table() -> None:
    x = gx.tensor("x", ("n",))
    softmax, softplus, loss = [gx.function([x], NAIVE[k][0](x)) for k in ("softmax", "softplus", "loss of a sure sigmoid")]
    close(softmax(vector(1000, 0)), vector(1, 0), rtol=0)
    close(softmax(vector(-1000, -1001)), vector(0.7310585786, 0.2689414214), rtol=1e-9)
    close(softplus(vector(-40, 1000)), vector(4.248354255e-18, 1000), rtol=1e-9)
    close(loss(vector(40)), vector(40.0), rtol=1e-15)
    gradient = gx.function([x], gx.grad(gx.sum(NAIVE["loss of a sure sigmoid"][0](x)), x))
    close(gradient(vector(40, -40, 800)), scipy.special.expit(vector(40, -40, 800)), rtol=1e-14)


def test_R42_precision_without_division_and_singular_division() -> None:
    mean, beta, y = gx.tensor("m", ("n",)), gx.tensor("b", ("n",)), gx.tensor("y", ("n",))
    f = gx.function([mean, beta, y], gx.sum(0.5 * beta * (y - mean) ** 2 - 0.5 * gx.log(beta)))
    assert not {"divide", "reciprocal"} & set(ops_of(f))
    close(f(vector(1, 2), vector(4, 1e300), vector(0, 2)), np.asarray(2 - 0.5 * np.log(4e300)), rtol=1e-15)
    x = gx.tensor("x", ("n",))
    near = both([1 / x, gx.grad(gx.sum(1 / x), x)], {x: vector(1e-200, 0.0, -1e-3)})
    np.testing.assert_array_equal(near[0], [1e200, np.inf, -1e3])
    np.testing.assert_allclose(near[1], [-np.inf, -np.inf, -1e6], rtol=1e-15)  # honest: -1e400 does not fit


def test_R42_small_numbers_are_not_flushed() -> None:
    x = gx.tensor("x", ("n",))
    tiny = vector(5e-324, 1e-310, -2e-308)
    close(both([x * 0.5, x + x, x * 1.0, x - 1e-310], {x: tiny}, rtol=0), [tiny * 0.5, tiny + tiny, tiny, tiny - 1e-310], rtol=0)


# -- R43: targets ----------------------------------------------------------------------------------
def test_R43_one_graph_several_back_ends() -> None:
    x, W = gx.tensor("x", ("n", 5), "float32"), gx.tensor("W", (5, 3), "float32")
    y = gx.softmax(gx.tanh(x @ W) + gx.exp(-(x[:, :3] ** 2)))
    cost = gx.sum(y[:, 0])
    outputs = (y, *gx.grad(cost, [x, W]))
    rng = np.random.default_rng(13)
    arrays = [rng.normal(size=(37, 5)).astype("float32"), rng.normal(size=(5, 3)).astype("float32")]
    expected = run(outputs, dict(zip((x, W), arrays)), "interpret")
    widths = set()
    for width in (16, 32, 64):
        options = Options(verify=True, target=replace(host(), vector_bytes=width))
        executable = Executable(ready(Graph((x, W), tuple(optimised([x, W], outputs).outputs)), options), options)
        assert f"<{width // 4} x float>" in executable.text
        widths.add(executable.text)
        for a, b in zip(executable(arrays, [], []), expected):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
    assert len(widths) == 3
