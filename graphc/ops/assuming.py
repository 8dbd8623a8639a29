"""`assume`: what the caller knows of a value and the graph cannot see. The value is itself, and derivatives pass; rules may use it."""

from __future__ import annotations

from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import CONSTANT, ArrayLike, asarray, structural
from graphc.ops.rows import PUBLIC
from graphc.traits import Traits

PROPERTIES = ("positive", "positive_definite")
FEW = 64  # elements of a constant that are looked at

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
    they share. Products, quotients, sums, powers and roots of positive values are positive; transposes, sums and positive multiples
    of positive definite matrices are positive definite. Raises ArgumentError, DTypeError, ShapeError.
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
    """Whether somebody said so of this very value."""
    while node.op is ASSUME:
        if node.attrs["what"] == what:
            return True
        node = node.inputs[0]
    return False


STEPS = 12  # from a value to what was said of it
MOVED = frozenset({"broadcast", "reshape", "transpose", "reverse", "slice"})


def is_positive(node: Node, steps: int = STEPS) -> bool:
    """Whether each element is known to be > 0, or 0 by underflow: assumed, a positive number, or a product, sum, root, .. of such."""
    if steps == 0:
        return False
    name = node.op.name
    if node.op is ASSUME:
        return is_assumed(node, "positive") or is_positive(node.inputs[0], steps - 1)
    if node.op is CONSTANT:
        value = node.attrs["value"].array
        return value.size <= FEW and value.dtype.kind in "fiu" and bool((value > 0).all())
    if name in ("multiply", "divide", "add"):
        return all(is_positive(x, steps - 1) for x in node.inputs)
    if name in MOVED or name in ("sqrt", "square", "power", "reciprocal", "rsqrt"):
        return is_positive(node.inputs[0], steps - 1)
    return False


def is_definite(node: Node, steps: int = STEPS) -> bool:
    """Whether the matrices are known to be positive definite: assumed, and transposes, copies over a batch, sums, positive multiples."""
    if steps == 0:
        return False
    name, n = node.op.name, node.ndim
    if node.op is ASSUME:
        return is_assumed(node, "positive_definite") or is_definite(node.inputs[0], steps - 1)
    if name == "transpose":
        return {*node.attrs["axes"][-2:]} == {n - 2, n - 1} and is_definite(node.inputs[0], steps - 1)
    if name == "reshape":
        return n > 1 and node.shape[-2:] == node.inputs[0].shape[-2:] and is_definite(node.inputs[0], steps - 1)
    if name == "broadcast":  # a row that is repeated makes no definite matrix
        return (
            node.attrs["axes"][-2:] == (n - 2, n - 1)
            and node.shape[-2:] == node.inputs[0].shape[-2:]
            and is_definite(node.inputs[0], steps - 1)
        )
    if name == "add":
        return all(is_definite(x, steps - 1) for x in node.inputs)
    if name in ("multiply", "divide"):
        pairs = (node.inputs, node.inputs[::-1])[: 1 if name == "divide" else 2]
        return any(_one_a_matrix(other) and is_positive(other) and is_definite(x, steps - 1) for x, other in pairs)
    return False


def _one_a_matrix(node: Node) -> bool:
    """Whether all elements of a matrix are known to be the same number."""
    if node.op.name != "broadcast":
        return node.ndim == 0
    (source,), behind = node.inputs, node.ndim - 2
    return all(axis < behind or source.shape[k] == 1 for k, axis in enumerate(node.attrs["axes"]))


PUBLIC |= {"assume": assume}

__all__ = ["assume"]
