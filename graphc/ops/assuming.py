"""`assume`: what the caller knows of a value and the graph cannot see. The value is itself, and derivatives pass; rules may use it."""

from __future__ import annotations

from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.rows import PUBLIC
from graphc.traits import Traits

PROPERTIES = ("positive", "positive_definite")

ASSUME: Op = structural(
    "assume", 1, "x, of which something is known.", params=("what",), type_rule=lambda x, what: x, ref=lambda x, what: x,
    vjp=lambda g, out, x, what: (g,), linear_in=(0,), elementwise=True, loop=lambda node: LoopForm(lambda read, at, r: read(0, at)),
    batch=lambda inputs, mapped, what: make(ASSUME, (inputs[0],), (what,)), traits=Traits(moves="same", keeps_zeros=True),
)  # fmt: skip


def assume(x: ArrayLike, *properties: str, positive: bool = False) -> Node:
    """x itself, of which you know something; where it does not hold, what is computed with it may be anything.

        gx.log(gx.assume(x, positive=True) ** 40)              40 log(x), which does not overflow
        gx.linalg.solve(gx.assume(k, "positive_definite"), y)  by Cholesky, half the work of elimination

    positive: every element is > 0, so that abs is x, sign is 1, and log takes products and powers apart. "positive_definite": the
    matrices in the last two axes are symmetric and positive definite: solve, inv, det and slogdet use their Cholesky factor, which
    they share. Raises ArgumentError, DTypeError, ShapeError.
    """
    node, wanted = asarray(x), [*properties, *(["positive"] if positive else [])]
    if not wanted:
        fail(ArgumentError, "assume: nothing is assumed", node, hint="one of " + ", ".join(map(repr, PROPERTIES)))
    for what in wanted:
        if what not in PROPERTIES:
            fail(ArgumentError, f"assume: {what!r} is no property", node, hint="one of " + ", ".join(map(repr, PROPERTIES)))
        if not is_float(node.dtype):
            fail(DTypeError, f"assume: floats are needed, got {node.dtype}", node)
        if what == "positive_definite" and node.ndim < 2:
            fail(ShapeError, "assume: a positive definite matrix has two axes or more", node)
        node = make(ASSUME, (node,), (what,))
    return node


def is_assumed(node: Node, what: str) -> bool:
    """Whether somebody said so of this value."""
    while node.op is ASSUME:
        if node.attrs["what"] == what:
            return True
        node = node.inputs[0]
    return False


PUBLIC |= {"assume": assume}

__all__ = ["assume"]
