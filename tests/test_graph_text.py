"""print -> parse -> `is`: a graph's whole text makes the very same nodes again, given its variables."""

from __future__ import annotations

import random

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.ir import Node, toposort
from graphc.ops.registry import OPS, register
from graphc.text import parse, write
from tests.fuzz.graphs import build, make_inputs, make_steps
from tests.test_region import CALL, call


@pytest.fixture(autouse=True)
def registered() -> object:
    register(CALL)
    yield
    del OPS["call"]


def returns(outputs: list[Node]) -> str:
    """The text, once it is known to come back."""
    text = write(outputs)
    variables = [n for n in toposort(outputs) if n.op.traits.variable]
    again = parse(text, variables)
    assert len(again) == len(outputs) and all(a is b for a, b in zip(again, outputs)), text
    return text


@pytest.mark.parametrize("block", range(4))
def test_random_graphs(block: int) -> None:
    for seed in range(block * 15, block * 15 + 15):
        rng = random.Random(seed)
        inputs = make_inputs(rng)
        made = build(inputs, make_steps(rng, 14))[-6:]
        floats = [gx.sum(o) for o in made if o.dtype.kind == "f"]
        wrt = [x for x in inputs if x.dtype.kind == "f"]
        total = sum(floats[1:], floats[0]).astype("float64") if floats else None
        gradients = [] if total is None else gx.tree.leaves(gx.grad(total, wrt, disconnected="zero"))
        body = call(lambda x, o=made[0]: gx.sin(x) * gx.sum(o), gx.tensor("t", (3,))) if made[0].dtype == "float64" else ()
        returns([*made, *gradients, *body])


def test_the_text() -> None:
    x = gx.tensor("x", ("n",))
    fraction, whole = gx.modf(x * x.shape[0])
    inner = call(lambda v: call(lambda u: u * 2.0, v)[0] + fraction, whole)[0]
    assert returns([inner, fraction]).splitlines() == [
        "input x: float64[n]",
        '%0 = size(dim=n, dtype=dtype("int64"))',
        '%1 = cast(%0, dtype=dtype("float64"))',
        "%2 = broadcast(%1, shape=(n,), axes=())",
        "%3 = multiply(x, %2)",
        "%4 = modf(%3)",
        "%5 = call(%4.1, %4.0)",
        "    body(@0: float64[n], @1: float64[n]):",
        "        %0 = call(@0)",
        "            body(@0: float64[n]):",
        '                %0 = constant(value=array("float64", (), "0000000000000040"))',
        "                %1 = broadcast(%0, shape=(n,), axes=())",
        "                %2 = multiply(@0, %1)",
        "                return %2",
        "        %1 = add(%0.0, @1)",
        "        return %1",
        "return %5.0, %4.0",
    ]


def test_names_sizes_and_numbers() -> None:
    n, m = dims.dim("n"), dims.dim("m")
    fresh = gx.tensor("fresh", (None, 3))
    odd = [gx.tensor(name, (2,)) for name in ('p["W"]', "a, b", "x", "x", "f32", "%0", "in(", "return", 'a\\"b', "") if name]
    total = sum(odd[1:], odd[0])
    returns([total, *odd])
    returns([gx.sum(fresh, axis=0), fresh[1:], gx.flatten(fresh)])
    x = gx.tensor("x", ("n", "m"))
    sizes = [n * m + 3, (n * n * m - 2) // (m + 1), n % 4, dims.maximum(n - 3, 0), dims.minimum(n, m) * n, -n + m * m * m + 7, n // 2 * m]
    returns([gx.zeros((dims.maximum(s, 0),)) + gx.asarray(s) for s in sizes] + [x[1:, ::2], gx.pad(x, 2)])
    bits = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, 5e-324]).view("u8") + np.array([0, 0, 7, 0, 0, 0], "u8")
    returns([gx.asarray(bits.view("f8")), gx.asarray(-0.0), gx.asarray(True), gx.asarray(np.arange(4000, dtype="int16"))])
    returns([gx.shared(np.ones(3), "s") * 2, gx.grad(gx.grad(gx.sum(x**2), x)[0, 0], x)])
    returns([])


def test_what_does_not_fit() -> None:
    x = gx.tensor("x", (3,))
    text = write([gx.sin(x)])
    with pytest.raises(gx.ArgumentError, match="names 1 variables, 0 are given"):
        parse(text, [])
    with pytest.raises(gx.ArgumentError, match=r"wants x as float64\[3\]"):
        parse(text, [gx.tensor("y", (4,))])
    faults = [("sin(", "sine(", "unknown op, sine"), ("sin(x)", "sin(%9)", "reads %9"), ("return %0", "", "without a return"),
              ("sin(x)", "sin(x, k=[1])", "reads k=")]  # fmt: skip
    for old, new, message in faults:
        with pytest.raises(gx.ArgumentError, match=message):
            parse(text.replace(old, new), [x])
    with pytest.raises(gx.ArgumentError, match="is none"):
        parse(write([gx.sum(gx.tensor("m", (2, 2)), axis=0)]).replace("axes=(0,)", "axes=[0]"), [gx.tensor("m", (2, 2))])
