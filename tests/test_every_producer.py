"""Every elementwise op on every dtype, behind every kind of producer: planned alone, and all together against the interpreter.

An op whose body reads nothing of its operand (isnan of integers), or whose result needs no operand at all, must not leave the producer
half compiled: `isnan(x.at[i].add(u))` of integers was a KeyError in the compiler.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc.dtypes import SHORT
from graphc.errors import DTypeError
from graphc.interp import evaluate
from graphc.ir import Graph, Node
from graphc.ops.cumulate import cumulate, recur
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from graphc.passes import pipeline

DTYPES = [d.name for d in SHORT]
KINDS = ("float64", "int32", "uint8", "bool")  # what is planned does not depend on the width
NAMES = [name for name, op in OPS.items() if op.elementwise and name in PUBLIC and op.row is not None]
INDEX = np.array([3, 0, 3, 1])


def _matrix(x: Node) -> Node:
    return gx.stack([x, gx.flip(x, 0)])


PRODUCERS: dict[str, Callable[[Node, Node], Node]] = {
    "scatter add": lambda x, i: x.at[i].add(x[:4]),
    "scatter set": lambda x, i: gx.zeros((5,), x.dtype).at[i].set(x[:4]),
    "gather": lambda x, i: gx.take(x, i),
    "cumulate": lambda x, i: cumulate(x, 0, "max"),
    "cumulate sum": lambda x, i: cumulate(x, 0, "sum", True, True),
    "recur": lambda x, i: recur(x, x, 0),
    "product": lambda x, i: gx.matmul(_matrix(x), x),
    "outer": lambda x, i: gx.outer(x, x[:3]),
    "reduce": lambda x, i: gx.sum(_matrix(x), axis=1, dtype=x.dtype),
    "maximum": lambda x, i: gx.max(_matrix(x), axis=0),
    "position": lambda x, i: gx.argmax(_matrix(x), axis=1).astype(x.dtype),
    "joined": lambda x, i: gx.concatenate([x, x[:2]]),
    "padded": lambda x, i: gx.pad(x, 1),
    "check alone": lambda x, i: gx.take(x, i) if x.dtype.kind == "f" else gx.take(i, i % 4).astype(x.dtype),
}


def values(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([True, False, True, True, False])
    low = [3, 1, 0, 2, 7] if dtype.startswith("u") else [3, -1, 0, 2, -7]
    return np.array(low, dtype) + (0.25 if dtype.startswith("f") else 0)


def built(producer: str, dtype: str) -> tuple[Node, Node, Node] | None:
    x, i = gx.tensor("x", (5,), dtype), gx.tensor("i", (4,), "int64")
    try:
        return x, i, PRODUCERS[producer](x, i)
    except DTypeError:  # a running sum of bool
        return None


def applied(name: str, produced: Node) -> Node | None:
    try:
        return PUBLIC[name](*[produced] * OPS[name].arity)
    except DTypeError:  # the bits of floats
        return None


@pytest.mark.parametrize(("producer", "dtype"), list(itertools.product(PRODUCERS, KINDS)))
def test_each_op_alone_is_planned(producer: str, dtype: str) -> None:
    """Whatever of the producer an op reads: the program is whole. `plan` is verified in every test."""
    found = built(producer, dtype)
    if found is None:
        return
    x, i, produced = found
    for name in NAMES:
        out = applied(name, produced)
        if out is not None:
            log = pipeline.Log()
            pipeline.plan(pipeline.optimise(Graph((x, i), (out,)), "default", log), [], (), log)


@pytest.mark.parametrize(("producer", "dtype"), [(p, d) for k, p in enumerate(PRODUCERS) for d in (DTYPES if k % 7 == 0 else KINDS)])
def test_all_ops_together_equal_the_interpreter(producer: str, dtype: str) -> None:
    found = built(producer, dtype)
    if found is None:
        return
    x, i, produced = found
    turn = sorted(PRODUCERS).index(producer) % 4  # what calls the math library takes long to compile: each producer has a quarter of it
    names = [name for k, name in enumerate(NAMES) if not OPS[name].costly or k % 4 == turn]
    outs = {name: out for name in names if (out := applied(name, produced)) is not None}
    env = {x: values(dtype), i: INDEX}
    got = gx.function([x, i], list(outs.values()), mode="none")(*env.values())
    eps = 64 * (np.finfo(produced.dtype).eps if produced.dtype.kind == "f" else np.finfo(np.float32).eps)
    for name, a, b in zip(outs, got, evaluate(list(outs.values()), env)):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=eps, atol=eps, err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("test", [gx.isnan, gx.isinf, gx.isfinite])
def test_tests_for_special_values_of_an_integer_scatter(test: Callable[[Node], Node]) -> None:
    x, i, u = gx.tensor("x", (5,), "int32"), gx.tensor("i", (3,), "int64"), gx.tensor("u", (3,), "int32")
    f = gx.function([x, i, u], test(x.at[i].add(u)))
    at = np.zeros(5, "int32"), np.array([0, 1, 1]), np.ones(3, "int32")
    np.testing.assert_array_equal(f(*at), np.full(5, test is gx.isfinite))
    with pytest.raises(gx.IndexOutOfRange):  # nothing is scattered, but the indices are still checked
        f(at[0], np.array([0, 9, 1]), at[2])
