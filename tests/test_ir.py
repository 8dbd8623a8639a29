"""The graph: interning, identity, parameters, the weak table, order and substitution of long chains, where nodes were made."""

from __future__ import annotations

import gc
import inspect
import itertools
import threading
from collections.abc import Hashable

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.frozen import Frozen
from graphc.intern import InternTable
from graphc.ir import _NODES, Graph, Node, Op, make, map_sizes, origin, replace, toposort, users
from graphc.types import tensor_type

F64 = tensor_type(np.dtype("float64"), ())
PROBE = Op(name="probe", arity=None, params=("value",), doc="", type_rule=lambda *types, value: F64)
CHAIN = 100_000


def probe(value: Hashable, *inputs: Node) -> Node:
    return make(PROBE, inputs, (value,))


# -- interning ----------------------------------------------------------------------------------------------------------
def test_equal_expressions_are_one_node() -> None:
    x, y = gx.tensor("x", ("n", 3)), gx.tensor("y", ("n", 3))
    first, second = gx.tanh(x * y + 1.0), gx.tanh(x * y + 1.0)
    assert first is second
    assert gx.tanh(y * x + 1.0) is not first, "operands are kept in the user's order"


def test_variables_are_new_each_time() -> None:
    assert gx.tensor("x", (3,)) is not gx.tensor("x", (3,))


def test_nodes_are_keys_by_identity() -> None:
    x, y = gx.tensor("x"), gx.tensor("x")
    assert {x: 1, y: 2}[x] == 1
    assert len({x, y, x}) == 2
    assert isinstance(x == y, Node) and isinstance(x != y, Node)


SPELLINGS = [1, 1.0, True, 0, 0.0, -0.0, False, "1", None, (1,), (1.0,), (True,), (0.0,), (-0.0,), ((1,),), float("inf"), float("nan")]


def test_parameters_are_compared_by_type_and_bits() -> None:
    nodes = [probe(v) for v in SPELLINGS]
    assert len(set(nodes)) == len(SPELLINGS)
    assert all(probe(v) is n for v, n in zip(SPELLINGS, nodes))
    assert probe(float("nan")) is probe(float("nan"))


def test_sizes_as_parameters() -> None:
    n = dims.dim("n")
    assert probe(n + 1) is probe(1 + n)
    assert probe((n, n * 2)) is probe((n, n + n))
    assert probe(n) is not probe(dims.dim("m"))
    assert probe(n - n + 3) is probe(3)


def test_constants_by_bits() -> None:
    assert gx.asarray(np.zeros(3)) is gx.asarray(np.zeros(3))
    kept = [gx.asarray(a) for a in (np.zeros(3), -np.zeros(3), np.zeros(3, "float32"), np.zeros((3, 1)), np.zeros(3, "int64"))]
    assert len(set(kept)) == len(kept)
    assert gx.asarray(np.array([np.nan])) is gx.asarray(np.array([np.nan]))


@pytest.mark.parametrize("count", [512, 513, 100_000])  # 4096 bytes are compared as they are, more by their digest
def test_constants_of_any_size(count: int) -> None:
    data = np.arange(count, dtype=float)
    kept = gx.asarray(data)
    assert gx.asarray(data[::-1][::-1]) is kept
    data[-1] += 1
    assert gx.asarray(data) is not kept
    assert kept.params[0].array[-1] == count - 1, "the array was copied"
    with pytest.raises(ValueError, match="read-only"):
        kept.params[0].array[0] = 1


def test_frozen_is_short() -> None:
    assert len(repr(Frozen(np.arange(10_000)))) <= 40
    assert repr(Frozen(np.array([1.5, 2.0]))) == "[1.5, 2. ]"


def test_unhashable_parameters_fail() -> None:
    with pytest.raises(TypeError):
        probe([1, 2])  # type: ignore[arg-type]


# -- the weak table -----------------------------------------------------------------------------------------------------
def test_nodes_are_freed() -> None:
    gc.collect()
    before = len(_NODES)
    x = gx.tensor("x", ("n",))
    y = gx.sum(gx.exp(x) * 3.25)
    assert len(_NODES) >= before + 4
    del x, y
    gc.collect()
    assert len(_NODES) <= before + 1  # a small number may stay


def test_a_dead_key_is_taken_anew() -> None:
    table: InternTable[Op] = InternTable()
    make_op = lambda: Op(name="a", arity=0, params=(), doc="", type_rule=lambda: F64)
    first = table.add("key", make_op())
    assert table.add("key", make_op()) is first and table.find("key") is first
    del first
    gc.collect()
    assert len(table) == 0 and table.find("key") is None


def test_threads_get_one_object() -> None:
    x = gx.tensor("x", (4,))
    count, rounds = 8, 300
    made: list[list[Node]] = [[] for _ in range(count)]
    start = threading.Barrier(count)

    def build(mine: list[Node]) -> None:
        start.wait()
        for k in range(rounds):
            mine.append(gx.tanh(x * (k + 0.125)) + x)

    threads = [threading.Thread(target=build, args=(mine,)) for mine in made]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(len(set(row)) == 1 for row in zip(*made)) and len(made[0]) == rounds


# -- long chains --------------------------------------------------------------------------------------------------------
def test_chain_without_recursion() -> None:
    x, z = gx.tensor("x", (3,)), gx.tensor("z", (3,))
    y = x
    for _ in range(CHAIN):
        y = -y
    order = toposort([y])
    assert len(order) == CHAIN + 1 and order[0] is x and order[-1] is y
    assert all(a.serial < b.serial for a, b in itertools.pairwise(order))
    readers = users(order)
    assert readers[y] == [] and len(readers[x]) == 1
    (moved,) = replace([y], {x: z})
    assert moved is not y and toposort([moved])[0] is z
    assert len(repr(moved)) < 200 and len(moved.describe()) < 200
    gc.collect()
    before = len(_NODES)
    del y, order, readers, moved
    gc.collect()
    assert len(_NODES) <= before - 2 * CHAIN + 2, "freed without recursion"


def test_ladder_is_linear() -> None:
    """2**1000 paths, 1001 nodes."""
    y = x = gx.tensor("x")
    for _ in range(1000):
        y = y + y
    assert len(toposort([y])) == 1001 and toposort([y])[0] is x


# -- order, substitution ------------------------------------------------------------------------------------------------
def test_order_is_deterministic_and_stops() -> None:
    x, y = gx.tensor("x"), gx.tensor("y")
    a = gx.exp(x)
    b = gx.log(y)
    top = a * b + a
    assert [n.op.name for n in toposort([top])] == ["input", "exp", "input", "log", "multiply", "add"]
    assert all(p is q for p, q in zip(toposort([top, a]), toposort([top]), strict=True))
    assert [n.op.name for n in toposort([top], stop=[a, b])] == ["exp", "log", "multiply", "add"]


def test_replace_is_simultaneous() -> None:
    x, y = gx.tensor("x"), gx.tensor("y")
    (swapped,) = replace([x - y * 2.0], {x: y, y: x})
    assert swapped is y - x * 2.0
    (same,) = replace([x - y], {})
    assert same is x - y
    (inner,) = replace([gx.exp(x) + x], {gx.exp(x): y})
    assert inner is y + x, "a replaced node is not entered"


def test_replace_of_sizes() -> None:
    n, m = dims.dim("n"), dims.dim("m")
    symbol = dims.as_symbol(n)
    assert symbol is not None
    x, z = gx.tensor("x", (n,)), gx.tensor("z", (m,))
    (moved,) = replace([gx.broadcast_to(x, (n, n)) * 1.0], {x: z}, {symbol: m})
    assert moved.shape == (m, m)
    assert map_sizes((n, (n + 1, "n"), 3), {symbol: 4}) == (4, (5, "n"), 3)


def test_graph() -> None:
    x = gx.tensor("x")
    graph = Graph((x,), (gx.exp(x),))
    assert [n.op.name for n in graph.order] == ["input", "exp"]
    assert graph.with_outputs([x]).outputs == (x,) and graph.with_outputs([x]).inputs is graph.inputs


# -- nodes --------------------------------------------------------------------------------------------------------------
def test_repr_is_one_bounded_line() -> None:
    x = gx.tensor("x", ("n", 64), "float32")
    assert repr(x) == "<x: f32[n, 64]>"
    assert repr(gx.tanh(x)) == "<tanh(x): f32[n, 64]>"
    wide = gx.concatenate([x * float(k) for k in range(1000)], axis=1)
    assert len(repr(wide)) < 100 and "..." in repr(wide)


def test_attributes() -> None:
    x = gx.tensor("x", ("n", 3), "int32")
    y = gx.sum(x, axis=1)
    assert (x.name, x.ndim, x.dtype, x.size) == ("x", 2, np.int32, 3 * dims.dim("n"))
    assert y.name is None
    assert gx.astype(x, "float64").attrs == {"dtype": np.dtype("float64")}


def test_a_type_is_one_object() -> None:
    assert tensor_type(np.dtype("float64"), (3, dims.dim("n"))) is tensor_type(np.dtype("float64"), (3, dims.dim("n")))
    with pytest.raises(AttributeError):
        F64.dtype = np.dtype("float32")  # type: ignore[misc]


# -- where a node was made ----------------------------------------------------------------------------------------------
def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def test_site_is_the_users_line() -> None:
    x, here = gx.tensor("x", (3,)), line()
    y, there = gx.softmax(x) * 2.0, line()
    assert x.site == (__file__, here)
    assert {n.site for n in toposort([y])[1:] if n.op.name != "constant"} == {(__file__, there)}
    assert f"test_ir.py:{there}" in y.describe()


def test_site_is_no_part_of_identity() -> None:
    x = gx.tensor("x", (3,))
    first = gx.sinh(x)
    second = gx.sinh(x)
    assert first is second, "the first line stays"


def test_derived_nodes_point_at_what_they_derive_from() -> None:
    x = gx.tensor("x", (3,))
    with origin(("model.py", 7)):
        y = gx.cosh(x)
    assert y.site == ("model.py", 7)
    (moved,) = replace([y], {x: gx.tensor("z", (3,))})
    assert moved.site == ("model.py", 7)


def test_gradients_point_at_the_users_line() -> None:
    x = gx.tensor("x", (3,))
    y, here = gx.sum(gx.arctan(x)), line()
    known = set(toposort([y]))
    derived = [n for n in toposort([gx.grad(y, x)]) if n not in known and n.op.name != "constant"]
    assert derived and any(n.site == (__file__, here) for n in derived)
    assert all(n.site is not None and n.site[0] == __file__ for n in derived)
