"""Graph text: golden files, names, bounded expressions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import graphc as gx
from graphc.ir import Graph, Node, origin, toposort
from graphc.printer import EXPR_WIDTH, format_expr, format_graph, node_names
from tests.test_import import fresh

Golden = Callable[[str, str], None]


def model() -> Graph:
    with origin(("/home/ada/train.py", 3)):
        x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
        unused = gx.tensor("unused", ("m",), "bool")
    with origin(("/home/ada/train.py", 5)):
        w, b = gx.tensor("w", (64, 10), "float32"), gx.tensor("b", (10,), "float32")
    with origin(("/home/ada/train.py", 8)):
        logp = gx.log(gx.softmax(x @ w + b))
    with origin(("/home/ada/train.py", 9)):
        loss = -gx.mean(gx.take_along_axis(logp, y[:, None], axis=1))
    return Graph((x, y, w, b, unused), (loss, logp))


def test_graph_text(golden: Golden) -> None:
    """In a process of its own: an equal node that an earlier test keeps would show where it was made there."""
    golden("graph_softmax_cross_entropy", fresh("from tests.test_printer import format_graph, model; print(format_graph(model()))"))


def test_constants_are_inline_when_of_one_value() -> None:
    x = gx.tensor("x", (3,))
    text = format_graph([x * np.full(3, 0.5) + np.array([1.0, 2.0, 4.0]), gx.asarray(np.array([0.0, -0.0])), gx.asarray(True)], sites=False)
    assert text.splitlines() == [
        "input x: f64[3]",
        "%0 = multiply(x, 0.5:f64[3]) : f64[3]",
        "%1 = constant(value=[1., 2., 4.]) : f64[3]",
        "%2 = add(%0, %1) : f64[3]",
        "%3 = constant(value=[ 0., -0.]) : f64[2]",
        "return %2, %3, True",
    ]


def test_variables_of_one_name() -> None:
    x, also = gx.tensor("x"), gx.tensor("x")
    assert format_graph(Graph((also, x), (x - also,)), sites=False).splitlines()[2] == "%0 = subtract(x.1, x) : f64[]"


def test_outputs_of_any_kind() -> None:
    x = gx.tensor("x", (2,))
    assert format_graph(x, sites=False) == "input x: f64[2]\nreturn x"
    assert format_graph([], sites=False) == "return "
    assert format_graph((n for n in [x, x]), sites=False).endswith("return x, x")


def test_names_come_from_the_order_alone() -> None:
    """The same graph built in another order, among other graphs, has the same text."""

    def build() -> Node:
        x = gx.tensor("x", ("n",))
        return gx.exp(x) * gx.log(x)

    first = format_graph(build(), sites=False)
    x = gx.tensor("x", ("n",))
    right = gx.log(x)
    assert format_graph(gx.exp(x) * right, sites=False) == first


def test_no_iteration_over_sets_reaches_the_text() -> None:
    code = """
import graphc as gx
from graphc.printer import format_graph
x, w = gx.tensor("x", ("n", 3)), gx.tensor("w", (3, "k"))
cost = gx.sum(gx.logsumexp(gx.tanh(x @ w) * x.shape[0], axis=1))
print(format_graph([cost, *gx.grad(cost, [x, w])], sites=False))
"""
    assert fresh(code, PYTHONHASHSEED="1") == fresh(code, PYTHONHASHSEED="2")


def test_every_node_has_a_name() -> None:
    order = toposort(model().outputs)
    names = node_names(order)
    assert set(names) == set(order)
    numbered = [names[n] for n in order if names[n].startswith("%")]
    assert numbered == [f"%{k}" for k in range(len(numbered))]


def test_expression_is_bounded() -> None:
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (3,))
    e = gx.tanh(x) + y * gx.exp(x - 2.0)
    assert format_expr(e) == "add(tanh(x), multiply(y, ...))"
    assert format_expr(e, 0) == "..." and format_expr(x, 0) == "x"
    assert format_expr(e, 4) == "add(tanh(x), multiply(y, exp(subtract(x, ...))))"
    deep = x
    for _ in range(100_000):
        deep = deep + deep
    assert len(format_expr(deep, 10**9)) <= EXPR_WIDTH
    wide = gx.concatenate([x * float(k) for k in range(100)])
    assert format_expr(wide, 1) == "concat(..., ..., ..., ..., ...)"


def test_long_parameters_are_cut() -> None:
    x = gx.tensor("x", (1,) * 30)
    assert all(len(line) < 250 for line in format_graph(gx.flip(x), sites=False).splitlines()[1:])
