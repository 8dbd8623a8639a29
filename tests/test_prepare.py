"""What `grad` differentiates, and what `compile` makes of a gradient: naive formulas become the good ones, nothing held is touched."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Graph, Node, toposort
from graphc.ops.indexing import gather
from graphc.passes.prepare import PREPARE, prepare
from graphc.passes.rewriting.rewrite import Log
from graphc.passes.simplify import simplify
from graphc.printer import format_graph


def ops(*nodes: Node) -> Counter[str]:
    return Counter(n.op.name for n in toposort(nodes))


def simplified(*nodes: Node) -> tuple[Node, ...]:
    return simplify(Graph((), nodes)).outputs


# -- held nodes -----------------------------------------------------------------------------------------------------------
def test_rules_do_not_look_into_held_nodes() -> None:
    x = gx.tensor("x", (3,))
    e = gx.exp(x)
    (made,) = prepare([gx.log(1 + e)], [e])
    assert made is gx.log1p(e)
    (made,) = prepare([gx.log(1 + e)], [x])
    assert made is gx.softplus(x)


def test_held_nodes_stay_themselves() -> None:
    x = gx.tensor("x", (3,))
    naive = gx.log(1 + gx.exp(x))
    one, two = prepare([naive, naive * 1], [naive])
    assert one is naive and two is naive


def test_a_rule_does_not_make_a_held_node() -> None:
    """d log(1 + x) / d log1p(x) is 0 as written, and stays so."""
    x = gx.tensor("x", ())
    u = gx.log1p(x)
    g = gx.grad(gx.log(1 + x) * u, u)
    (value,) = evaluate([g], {x: np.array(2.0)})
    assert value == pytest.approx(np.log(3.0))


def test_a_held_constant_is_not_folded() -> None:
    c = gx.asarray(np.array(3.0))
    g = gx.grad(c * c, c)
    assert float(g.eval()) == 6.0


def test_prepared_twice_is_prepared_once() -> None:
    x = gx.tensor("x", ("n", 4))
    nodes = [gx.log(gx.softmax(x)), gx.sqrt(gx.sum(x * x, axis=1)), gx.log(gx.mean(gx.exp(x), axis=0))]
    once = prepare(nodes)
    twice = prepare(once)
    assert all(a is b for a, b in zip(once, twice))
    assert all(a is not b for a, b in zip(once, nodes))


def test_prepare_leaves_no_reference_behind() -> None:
    x = gx.tensor("x", (3,))
    y = gx.log(1 + gx.exp(x))
    (made,) = prepare([y])
    nodes = [weakref.ref(node) for node in (x, y, made)]
    del x, y, made
    gc.collect()
    assert [r() for r in nodes] == [None] * 3


def test_prepare_has_no_rule_that_rounds_in_another_order() -> None:
    assert {r.floats for r in PREPARE.rules} == {"exact", "stable"}


@pytest.mark.parametrize(
    "f",
    [lambda x: gx.maximum(x, 0), lambda x: gx.maximum(gx.maximum(x, -1), 0), lambda x: gx.where(x > 0, x, 0), lambda x: gx.clip(x, 0, 1)],
)
def test_conventions_at_kinks_are_kept(f: Callable[[Node], Node]) -> None:
    x = gx.tensor("x", (3,))
    (g,) = prepare([f(x)], [x])
    assert g is f(x)


def test_stop_gradient_stays_until_the_derivative_is_taken() -> None:
    x = gx.tensor("x", (3,))
    node = gx.stop_gradient(x * 2) * x
    assert ops(*prepare([node], [x]))["stop_gradient"] == 1
    assert ops(*simplified(node))["stop_gradient"] == 0


# -- softmax cross-entropy --------------------------------------------------------------------------------------------------
def cross_entropy(log_probability: Callable[[Node], Node]) -> tuple[Node, Node, Node, Node, Node]:
    x, W, b = gx.tensor("x", ("n", 64), "float32"), gx.tensor("W", (64, 10), "float32"), gx.tensor("b", (10,), "float32")
    y = gx.tensor("y", ("n",), "int64")
    logp = log_probability(x @ W + b)
    return -gx.mean(gx.take_along_axis(logp, y[:, None], axis=1)), x, W, b, y


SPELLINGS: dict[str, Callable[[Node], Node]] = {
    "log(softmax)": lambda z: gx.log(gx.softmax(z)),
    "log_softmax": lambda z: gx.log_softmax(z),
    "by hand": lambda z: gx.log(gx.exp(z) / gx.sum(gx.exp(z), axis=1, keepdims=True)),
    "by hand, shifted": lambda z: gx.log(
        gx.exp(z - gx.stop_gradient(gx.max(z, axis=1, keepdims=True)))
        / gx.sum(gx.exp(z - gx.stop_gradient(gx.max(z, axis=1, keepdims=True))), axis=1, keepdims=True)
    ),
    "z - log(sum(exp))": lambda z: z - gx.log(gx.sum(gx.exp(z), axis=1))[:, None],
    "z - logsumexp": lambda z: z - gx.logsumexp(z, axis=1, keepdims=True),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_gradient_of_softmax_cross_entropy(spelling: str) -> None:
    """With respect to the logits: softmax - one-hot, over n. One exp per logit, no log, no division by a probability."""
    loss, x, W, b, _ = cross_entropy(SPELLINGS[spelling])
    g = gx.grad(loss, {"W": W, "b": b})
    gW, gb = simplified(g["W"], g["b"])
    (logits,) = gb.inputs  # the sum of the gradient with respect to the logits
    assert gb.op.name == "reduce" and logits.type.shape == (x.shape[0], 10)
    wide = Counter(n.op.name for n in toposort([logits], stop=[(x @ W + b)]) if n.shape == logits.shape)
    assert (wide["exp"], wide["log"], wide["divide"], wide["log1p"]) == (1, 0, 0, 0)
    assert wide["select"] == wide["equal"] == wide["multiply"] == 1  # the one-hot and the scale
    assert ops(gW)["log"] == 0 and ops(gW)["contract"] == 2 and ops(gW)["gather"] == 0
    assert ops(gW)["reduce"] == 2  # the maximum and the sum of each row


def test_every_spelling_is_one_graph() -> None:
    z = gx.tensor("z", ("n", 10), "float32")
    forms = [simplified(f(z))[0] for f in SPELLINGS.values()]
    assert all(f is forms[0] for f in forms)
    z = gx.tensor("z", ("n", "m"), "float32")  # classes that there may be none of: a max is checked, the shift of a logsumexp is -inf
    forms = [simplified(f(z))[0] for f in SPELLINGS.values()]
    assert all(f is forms[0] for f in forms)


def test_softmax_cross_entropy_golden(golden: Callable[[str, str], None]) -> None:
    loss, x, W, b, y = cross_entropy(SPELLINGS["log(softmax)"])
    g = gx.grad(loss, [W, b])
    golden("simplified_softmax_cross_entropy", format_graph(simplify(Graph((x, W, b, y), (loss, *g))), sites=False))


def test_loss_and_gradient_share_the_exponentials() -> None:
    loss, _, W, b, _ = cross_entropy(SPELLINGS["log(softmax)"])
    counted = ops(*simplified(loss, *gx.grad(loss, [W, b])))
    assert (counted["exp"], counted["log"], counted["contract"]) == (1, 1, 2)


def test_the_hessian_vector_product_of_softmax_cross_entropy() -> None:
    loss, _, W, _, _ = cross_entropy(SPELLINGS["log(softmax)"])
    counted = ops(*simplified(gx.hvp(loss, W, gx.tensor("v", W.shape, "float32"))))
    assert (counted["exp"], counted["log"], counted["contract"], counted["select"]) == (1, 0, 3, 2)  # 0 of a label that hits nothing


def test_cross_entropy_with_padding_labels() -> None:
    """A one-hot the user wrote may have rows without a one: they stay rows of zeros."""
    z, y = gx.tensor("z", ("n", 4)), gx.tensor("y", ("n",), "int64")
    hot = gx.where(gx.arange(4) == y[:, None], 1.0, 0.0)
    total = gx.sum(hot * 2.0, axis=1)
    (made,) = simplified(total)
    np.testing.assert_array_equal(evaluate([made], {y: np.array([0, -1, 9, 3])})[0], [2, 0, 0, 2])
    loss = -gx.sum(hot * gx.log(gx.softmax(z)))
    g = simplified(gx.grad(loss, z))[0]
    values = evaluate([g], {z: np.zeros((2, 4)), y: np.array([1, -1])})[0]
    np.testing.assert_allclose(values, [[0.25, -0.75, 0.25, 0.25], [0, 0, 0, 0]], atol=1e-15)


# -- what else users write --------------------------------------------------------------------------------------------------
def test_masks_leave_no_trace_where_they_are_redundant() -> None:
    x = gx.tensor("x", (5,))
    g = gx.grad(gx.sum(gx.where(x > 0, gx.sqrt(x), 0.0)), x)
    (made,) = simplified(g)
    assert ops(made)["select"] == 1
    np.testing.assert_array_equal(evaluate([made], {x: np.array([-1.0, 0, 0.25, 1, 4])})[0], [0, 0, 1, 0.5, 0.25])
    second = simplified(gx.grad(gx.sum(g), x))[0]
    assert ops(second)["select"] == 1
    np.testing.assert_array_equal(evaluate([second], {x: np.array([-1.0, 0, 0.25, 1, 4])})[0], [0, 0, -2, -0.25, -0.03125])


NORMS: dict[str, Callable[[Node], Node]] = {
    "sqrt(sum(x*x))": lambda x: gx.sqrt(gx.sum(x * x, axis=1)),
    "sqrt(sum(x**2))": lambda x: gx.sqrt(gx.sum(x**2, axis=1)),
    "sum(x**2)**0.5": lambda x: gx.sum(x**2, axis=1) ** 0.5,
    "sqrt(mean(square))": lambda x: gx.sqrt(gx.mean(gx.square(x), axis=1)),
    "sqrt(sum(abs**2))": lambda x: gx.sqrt(gx.sum(abs(x) ** 2, axis=1)),
    "hypot by hand": lambda x: gx.sqrt(x[:, 0] * x[:, 0] + x[:, 1] * x[:, 1]),
    "hypot of three": lambda x: gx.sqrt(x[:, 0] ** 2 + x[:, 1] ** 2 + x[:, 0] ** 2),
    "norm": lambda x: gx.norm(x, axis=1),
    "dot with itself": lambda x: gx.sqrt(gx.sum(gx.square(x) * 2.0, axis=1)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_have_derivative_0_at_the_origin(name: str) -> None:
    x = gx.tensor("x", (3, 2))
    points = np.array([[0.0, 0.0], [3.0, 4.0], [-1e-8, 0.0]])
    f = NORMS[name](x)
    g = gx.grad(gx.sum(f), x)
    h = gx.grad(gx.sum(g * np.array([1.0, 2.0])), x)
    for stage in (lambda *n: n, simplified):
        value, first, second = evaluate(list(stage(f, g, h)), {x: points})
        assert np.isfinite([value[0], *first[0], *second[0]]).all()
        assert not first[0].any() and not second[0].any() and value[0] == 0
        assert np.isfinite(first).all() and first[1].all()


def test_an_epsilon_of_the_user_is_kept() -> None:
    x = gx.tensor("x", (3,))
    for node in (gx.sqrt(x * x + 1e-12), gx.log(gx.softmax(x) + 1e-12), x / (gx.norm(x) + 1e-8), (x + 1e-9) - 1e-9, (x + 1.0) + 1e-20):
        for made in (prepare([node])[0], simplified(node)[0]):
            tiny = [n for n in toposort([made]) if n.op.name == "constant" and 0 < abs(float(n.params[0].array)) < 1e-6]  # type: ignore[attr-defined]
            assert tiny
    assert simplified(gx.sqrt(x * x + 1e-12))[0].op.name == "sqrt"


def test_layer_norm_divides_once_a_row() -> None:
    x = gx.tensor("x", ("n", 64), "float32")
    centred = x - gx.mean(x, axis=1, keepdims=True)
    (made,) = simplified(centred / gx.sqrt(gx.mean(centred**2, axis=1, keepdims=True) + 1e-5))
    wide = [n for n in toposort([made]) if n.op.name == "divide" and n.ndim == 2]
    assert not wide and ops(made)["reduce"] == 2


def test_logistic_regression_has_no_log_of_a_sigmoid() -> None:
    x, t, w = gx.tensor("x", ("n", 5)), gx.tensor("t", ("n",)), gx.tensor("w", (5,))
    p = 1 / (1 + gx.exp(-(x @ w)))
    loss = -gx.mean(t * gx.log(p) + (1 - t) * gx.log(1 - p))
    log = Log()
    made = simplify(Graph((x, t, w), (loss, gx.grad(loss, w))), log)
    counted = ops(*made.outputs)
    assert (counted["log"], counted["exp"], counted["softplus"], counted["sigmoid"]) == (0, 0, 2, 2)
    assert counted["contract"] == 2
    assert all(line.split(":")[0].endswith("test_prepare.py") for lines in log.sites.values() for line in lines)


# -- what depends on constants only ---------------------------------------------------------------------------------------
def test_what_is_folded() -> None:
    """Results of up to 4096 elements, and longer ones that are no longer than what they are computed from."""
    for made, folded in (
        (gx.asarray(2.0) * 3.0, True),
        (-gx.asarray(np.arange(5000.0)), True),
        (gx.asarray(np.arange(5000.0)) + np.arange(5000.0), True),
        (gx.outer(np.arange(64.0), np.arange(64.0)), True),
        (gx.outer(np.arange(64.0), np.arange(65.0)), False),
        (gx.broadcast_to(gx.asarray(2.0), (3,)), False),  # a number that fills an array costs nothing
        (gx.broadcast_to(gx.asarray(np.arange(3.0)), (2, 3)), False),
        (gather(gx.asarray(np.arange(3.0)), gx.asarray(np.array([5])), axes=(0,)), False),  # an error of the call, not of the build
        (gx.frexp(gx.asarray(3.0))[0], False),
    ):
        (result,) = simplified(made)
        assert (result.op.name == "constant") is folded, format_graph(Graph((), (result,)))
        assert result.type is made.type


def test_what_depends_on_a_size_is_not_folded() -> None:
    n = gx.dim("n")
    x, six = gx.tensor("x", (n,)), gx.asarray(np.arange(6.0))
    f = gx.function([x], [gx.asarray(n) * 2, six[n : n + 2] * 2, gx.zeros((n,)) + 1, gx.broadcast_to(gx.asarray(2.0), (n,)) * 3])
    for size in (0, 1, 4):
        got = f(np.ones(size))
        for a, b in zip(got, (2 * size, 2.0 * np.arange(6.0)[size : size + 2], np.ones(size), np.full(size, 6.0)), strict=True):
            np.testing.assert_array_equal(a, b, strict=isinstance(b, np.ndarray))
