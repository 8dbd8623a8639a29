"""Every invariant of a graph, broken once; and the sizes that nobody could decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.errors import CompileError
from graphc.frozen import Frozen
from graphc.ir import Graph, Node, Op, make, origin
from graphc.ops.outputs import GET
from graphc.ops.registry import OPS
from graphc.types import TensorType, tensor_type
from graphc.verify.graph import size_assumptions, verify

F32, F64 = np.dtype("float32"), np.dtype("float64")
N, M, K = dims.dim("n"), dims.dim("m"), dims.dim("k")


def forged(node: Node, **changed: Any) -> Node:
    """A node like `node`, made past `make`, with some fields changed."""
    made = object.__new__(Node)
    for name in ("op", "inputs", "params", "type", "site", "serial", "kinds"):
        setattr(made, name, changed.get(name, getattr(node, name)))
    return made


def broken(match: str, graph: Graph | Node | list[Node]) -> str:
    with pytest.raises(CompileError, match=match) as caught:
        verify(graph)
    return str(caught.value)


def test_good_graphs() -> None:
    x, w = gx.tensor("x", (N, 3)), gx.tensor("w", (3,))
    cost = gx.sum(gx.softmax(x @ w) ** 2) + N
    verify(cost)
    verify([])
    verify(Graph((x, w), (cost, *gx.grad(cost, [x, w]), x)))
    verify(Graph((x, w, gx.tensor("unused")), (w,)))


def test_type_is_what_the_rule_gives() -> None:
    x = gx.tensor("x", (3,), F32)
    broken("its type rule gives f32\\[3\\], but its type is f64\\[3\\]", forged(gx.tanh(x), type=tensor_type(F64, (3,))))
    broken("its type rule gives f32\\[3\\], but its type is f32\\[4\\]", forged(gx.tanh(x), type=tensor_type(F32, (4,))))


def test_type_rule_holds() -> None:
    x, y = gx.tensor("x", (3,)), gx.tensor("y", (4,))
    bad = forged(x + x, inputs=(x, y))
    broken("its type rule raises ShapeError: add: shapes f64\\[3\\] and f64\\[4\\] differ", bad)


def test_arity() -> None:
    x = gx.tensor("x", (3,))
    broken("tanh takes 1 inputs, but it has 2", forged(gx.tanh(x), inputs=(x, x)))


def test_number_of_parameters() -> None:
    x = gx.tensor("x", (3, 4))
    broken("transpose has parameters axes, but 0 values", forged(x.T, params=()))
    broken("tanh has parameters none, but 1 values", forged(gx.tanh(x), params=(1,)))


def test_parameters_are_hashable() -> None:
    x = gx.tensor("x", (3, 4))
    broken("its parameter axes cannot be hashed: \\[1, 0\\]", forged(x.T, params=([1, 0],)))


def test_constants_are_frozen() -> None:
    node = gx.asarray(np.arange(5.0) * 0.3)
    held = Frozen(np.arange(5.0))
    held.array = np.arange(5.0)
    broken("its parameter value is an array that can be written", forged(node, params=(held,)))


def test_inputs_are_older() -> None:
    x = gx.tensor("x", (3,))
    y = gx.tanh(x)
    broken("its input <x: f64\\[3\\]> is not older than itself", forged(y, serial=x.serial))


def test_circles_are_found() -> None:
    x = gx.tensor("x", (3,))
    y = gx.tanh(gx.exp(x))
    looped = forged(y)
    middle = forged(gx.exp(x), inputs=(looped,))
    looped.inputs = (middle,)
    broken("is not older than itself", looped)


def test_inputs_are_nodes() -> None:
    x = gx.tensor("x", (3,))
    broken("its inputs are not a tuple of nodes", forged(gx.tanh(x), inputs=[x]))
    broken("its inputs are not a tuple of nodes", forged(gx.tanh(x), inputs=(3.0,)))


def test_ops_are_registered() -> None:
    x = gx.tensor("x", (3,))
    own = Op(name="own", arity=1, params=(), doc="", type_rule=lambda x: x)
    broken("own is not a registered op", own(x))
    double = Op(name="tanh", arity=1, params=(), doc="", type_rule=lambda x: x)
    broken("tanh is not a registered op", double(x))


def test_nodes_are_interned() -> None:
    x = gx.tensor("x", (3,))
    y = gx.tanh(x)
    broken("it is not the interned node", forged(y))
    verify(y)


def test_dtypes_are_supported() -> None:
    half = Frozen(np.zeros(2))
    half.array = np.zeros(2, "float16")
    half.array.setflags(write=False)
    bad = forged(gx.asarray(np.zeros(2)), params=(half,), type=TensorType(np.dtype("float16"), (2,)))
    broken("float16", bad)


@pytest.fixture
def anything() -> Iterator[Op]:
    """An op whose type is its parameter: the only way to a type that no rule gives."""
    op = OPS["anything"] = Op(name="anything", arity=0, params=("type", "at"), doc="", type_rule=lambda type, at: type)
    yield op
    del OPS["anything"]


def test_types(anything: Op) -> None:
    broken("its type has a negative size: -1", make(anything, (), (tensor_type(F64, (-1,)), 0)))
    broken("its type mentions a loop index: i", make(anything, (), (tensor_type(F64, (dims.axis("i"),)), 0)))
    broken("its type has an unsupported dtype: float16", make(anything, (), (TensorType(np.dtype("float16"), ()), 0)))


def test_loop_indices_stay_out(anything: Op) -> None:
    broken("its parameter at mentions a loop index: 2\\*i", make(anything, (), (tensor_type(F64, ()), (1, (2 * dims.axis("i"), N)))))


def test_outputs_are_single_arrays(anything: Op) -> None:
    pair = make(anything, (), ((tensor_type(F64, (3,)), tensor_type(F32, (3,))), 0))
    broken("output 0 of the graph is several arrays", pair)
    verify(make(GET, (pair,), (1,)))
    broken("output 1 of the graph is no node but float", [gx.tensor("x"), 1.0])  # type: ignore[list-item]


def test_variables_are_listed() -> None:
    x, y = gx.tensor("x"), gx.tensor("y")
    broken("reads a variable that is not among its inputs", Graph((x,), (x + y,)))
    broken("input 1 of the graph is not an input variable", Graph((x, gx.tanh(x)), (x,)))
    broken("listed twice among the inputs", Graph((x, y, x), (x,)))
    verify([x + y])


def test_a_long_chain() -> None:
    y = gx.tensor("x", (3,))
    for _ in range(20_000):
        y = -y
    verify(y)


def test_message_shows_the_neighbourhood(golden: Callable[[str, str], None]) -> None:
    with origin(("train.py", 3)):
        x, b = gx.tensor("x", (N, 4), F32), gx.tensor("b", (4,), F32)
    with origin(("train.py", 7)):
        bad = forged(x + b, type=tensor_type(F32, (N, 5)))
    with origin(("train.py", 9)):
        users = [gx.tanh(bad), gx.exp(bad), gx.sum(bad, axis=1), gx.sin(bad), gx.cos(bad)]
    golden("error_verify", broken("its type rule gives", users))


def test_message_shows_the_users_line() -> None:
    x = gx.tensor("x", (3,))
    bad = forged(gx.tanh(x) * 3.0, type=tensor_type(F32, (3,)))  # three tanh
    text = broken("its type rule gives", bad)
    assert any(line.startswith("> %") and line.endswith("# three tanh") for line in text.splitlines())


def test_message_of_a_wide_node_is_short() -> None:
    x = gx.tensor("x", (3,))
    y = gx.exp(x)
    bad = forged(y, type=tensor_type(F32, (3,)))
    assert len(broken("type", [gx.sin(bad) * float(k) for k in range(50)] + [bad * 1.0]).splitlines()) < 12


# -- assumptions --------------------------------------------------------------------------------------------------------
def test_assumed_sizes() -> None:
    x, y, z = gx.tensor("x", (N, 3)), gx.tensor("y", (M, 3)), gx.tensor("z", (K,))
    assert size_assumptions([x * 2 + gx.sum(x)]) == []
    assert size_assumptions([x + y]) == [(N, M)]
    assert size_assumptions([x + y, y + x, gx.exp(x) * y]) == [(N, M)], "each pair once, in either order"
    assert size_assumptions([x + y, y[:, 0] + z]) == [(N, M), (M, K)]
    assert size_assumptions([x.T @ y, gx.tensor("w", (5, 4)) @ z]) == [(N, M), (4, K)]
    assert size_assumptions([gx.reshape(z, (3, N))]) == [(K, 3 * N)]


def test_assumptions_of_what_was_built_before() -> None:
    """Nodes are interned, so the rules do not run again when an expression is built again: they are re-run."""
    x, y = gx.tensor("x", (N,)), gx.tensor("y", (M,))
    first = gx.tanh(x + y)
    assert size_assumptions([first]) == size_assumptions([gx.tanh(x + y)]) == [(N, M)]


def test_no_assumptions_in_static_graphs() -> None:
    calls: list[int] = []
    op = OPS["counted"] = Op(name="counted", arity=1, params=(), doc="", type_rule=lambda x: (calls.append(1), x)[1])
    try:
        size_assumptions([op(gx.tensor("x", (3, 4)))])
    finally:
        del OPS["counted"]
    assert len(calls) == 1, "rules of static types are not run again"
