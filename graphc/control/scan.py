"""`scan`: a body again and again over the leading axis of arrays, with a carry from turn to turn.

    carry, ys = scan(f, init, xs)       carry = init; for t in 0..length: carry, ys[t] = f(carry, xs[t])

The op's body reads (turn, carries, elements, captured) and gives (carries, elements of ys). Its outputs are the last carries and
the stacked ys: all the compiler's knowledge of what is used, saved and shared works on ordinary outputs of an ordinary node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.control.blocks import block_length, scan_in_blocks
from graphc.control.bodies import loop_reads, plain_vjp
from graphc.control.scan_batch import scan_batch
from graphc.control.scan_derivatives import scan_jvp, scan_vjp
from graphc.control.tracing import INDEX, Leaves, Traced, fits, leaves_of, settle, size_of, stand_in, trace, with_numbers
from graphc.dims import Size
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.outputs import outputs
from graphc.ops.registry import structural
from graphc.region import Region, close
from graphc.traits import Traits
from graphc.tree import Tree
from graphc.types import TensorType, same_size, tensor_type, whole_number

Checkpoint = str | int | None


# -- the op -----------------------------------------------------------------------------------------------------------
def _scan_type(
    *inputs: TensorType, length: Size, carries: int, sequences: int, reverse: bool, unroll: int, checkpoint: Checkpoint, body: Region
) -> tuple[TensorType, ...]:
    wanted = [
        t if not carries <= k < carries + sequences else tensor_type(t.dtype, (length, *t.shape)) for k, t in enumerate(body.types[1:])
    ]
    if not (checkpoint is None or checkpoint == "full" or type(checkpoint) is int):
        fail(ArgumentError, f"scan: checkpoint={checkpoint!r} of an op")
    if len(inputs) != len(wanted) or body.types[:1] != (INDEX,):
        fail(ShapeError, f"scan: a body of {len(body.inputs)} inputs, the first one the turn, is given {len(inputs)} and the turn")
    for k, (have, want) in enumerate(zip(inputs, wanted)):
        if carries <= k < carries + sequences and have.shape and have.shape[1:] == want.shape[1:] and not same_size(have.shape[0], length):
            fail(ShapeError, f"scan: array {k - carries} of xs has {have.shape[0]} rows, where {length} turns are asked for")
        if not fits(have, want):
            fail(ShapeError if have.dtype == want.dtype else DTypeError, f"scan: operand {k} is {have}, its body wants {want}")
    made = [o.tensor for o in body.outputs]
    for k, (before, after) in enumerate(zip(body.types[1 : 1 + carries], made)):
        if not fits(after, before):
            fail(ShapeError if after.dtype == before.dtype else DTypeError, f"scan: carry {k} goes in as {before} and comes out as {after}")
    return (*body.types[1 : 1 + carries], *[tensor_type(t.dtype, (length, *t.shape)) for t in made[carries:]])


def _scan_ref(*arrays: np.ndarray, length: int, carries: int, sequences: int, reverse: bool, body: Any, **_: Any) -> list[np.ndarray]:
    carry, xs, captured = list(arrays[:carries]), arrays[carries : carries + sequences], arrays[carries + sequences :]
    ys = [np.empty((length, *t.shape), t.dtype) for t in body.types[carries:]]
    for t in range(length - 1, -1, -1) if reverse else range(length):
        made = body(np.int64(t), *carry, *[x[t] for x in xs], *captured)
        carry = made[:carries]
        for y, row in zip(ys, made[carries:]):
            y[t] = row
    return [*carry, *ys]


SCAN = structural(
    "scan", None, "The body for every turn, carries passed on: the last carries, and the rows that each turn gives.",
    params=("length", "carries", "sequences", "reverse", "unroll", "checkpoint", "body"), type_rule=_scan_type, ref=_scan_ref,
    regions=("body",), vjp=plain_vjp(lambda *args, **params: scan_vjp(scan_node, *args, **params)),
    traits=Traits(
        reads=lambda node, k: loop_reads(node.attrs["body"], node.attrs["carries"], k),
        through=lambda *args, **params: scan_vjp(scan_node, *args, **params),
    ),
    jvp=lambda *args, **params: scan_jvp(scan_node, *args, **params),
    batch=lambda *args, **params: scan_batch(scan_node, *args, **params),
)  # fmt: skip


def scan_node(
    ys: Sequence[Node],
    over: Sequence[Node],
    operands: Sequence[Node],
    *,
    length: Size,
    carries: int,
    sequences: int,
    reverse: bool = False,
    unroll: int = 1,
    checkpoint: Checkpoint = None,
) -> tuple[Node, ...]:
    """The outputs of the scan of the body ys(over): `over` is the turn, the carries, the elements; `operands` what they begin with.

    `checkpoint`: None, "full", or a number of bytes; "sqrt" is made of two scans, see `graphc.control.blocks`.
    """
    body, captured = close(ys, over)
    return outputs(make(SCAN, (*operands, *captured), (length, carries, sequences, reverse, unroll, checkpoint, body)))


# -- what users call ----------------------------------------------------------------------------------------------------
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Tree,
    xs: Tree = None,
    length: Any = None,
    reverse: bool = False,
    unroll: int = 1,
    *,
    checkpoint: Checkpoint = None,
) -> tuple[Tree, Tree]:
    """(carry, ys): carry = init; for t in 0..length: carry, ys[t] = f(carry, xs[t]); JAX's `lax.scan`.

    f: (carry, x) -> (carry, y), called once on variables; trees of arrays in and out, y may be None. What it captures is an operand.
    xs: a tree of arrays of one leading size, whose rows x are; None with a `length` (an int, a size). reverse: from the last row to
    the first. unroll: turns at once. A Python number in init takes the dtype that f gives it. The result has O(1) memory besides ys.

    checkpoint: what a reverse derivative keeps of each turn: None, all that it reads; "full", the carry alone, the rest is computed
    again; "sqrt", the carry of every sqrt(length)-th turn, the turns between are run again: O(sqrt(length)) memory; a number of bytes,
    the first of the three that keeps no more, or "sqrt". The numbers are the same, up to the order of sums over turns.

        _, ys = gx.scan(lambda s, x: (s + x, s + x), 0.0, xs)           cumsum(xs)

    Raises ArgumentError, ShapeError, DTypeError: they name the leaf of the carry that changes.
    """
    if not isinstance(reverse, bool):
        fail(ArgumentError, f"scan: reverse is True or False, got {reverse!r:.60}")
    turns = whole_number(unroll, "scan: unroll")
    if turns < 1:
        fail(ArgumentError, f"scan: unroll={turns}", hint="the number of turns at once, 1 or more")
    if not (checkpoint in (None, "sqrt", "full") or (isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 0)):
        fail(ArgumentError, f"scan: checkpoint={checkpoint!r:.60}", hint='None, "sqrt", "full" or a number of bytes')
    return loop_over("scan", f, init, xs, length, reverse, turns, checkpoint)


def loop_over(
    what: str, f: Callable[[Any, Any], tuple[Any, Any]], init: Tree, xs: Tree, length: Any = None, reverse: bool = False, unroll: int = 1,
    checkpoint: Checkpoint = None,
) -> tuple[Tree, Tree]:  # fmt: skip
    """`scan` of checked options, whose errors speak of `what`."""
    rows, carry = leaves_of(what, "xs", xs), leaves_of(what, "init", init)
    size = _length(what, rows, length)
    elements = [stand_in(tensor_type(n.dtype, n.shape[1:]), n.name or "x") for n in rows.nodes]
    row = tree.unflatten(rows.structure, elements)
    carry = with_numbers(carry, init, lambda c: f(c, row)[0])
    traced, carry, state, ys = _traced(what, f, carry, row)
    body, captured = close([*state.nodes, *ys.nodes], (traced.index, *traced.arguments), traced.since)
    how: dict[str, Any] = {"carries": len(carry.nodes), "sequences": len(rows.nodes), "reverse": reverse, "unroll": unroll, "body": body}
    operands = (*carry.nodes, *rows.nodes, *captured)
    if checkpoint == "sqrt":
        made = scan_in_blocks(scan_node, operands, block_length(size), length=size, **how)
    else:
        made = outputs(SCAN(*operands, length=size, checkpoint=checkpoint, **how))
    return tree.unflatten(state.structure, made[: len(carry.nodes)]), tree.unflatten(ys.structure, made[len(carry.nodes) :])


def _traced(what: str, f: Callable[..., Any], carry: Leaves, elements: Tree) -> tuple[Traced, Leaves, Leaves, Leaves]:
    """(the trace, the carry that goes in, the one that comes out, ys): traced again where a Python number in `carry` changes its dtype."""
    for _ in range(3):  # a bool, an int, a float
        traced = trace(what, f, (tree.unflatten(carry.structure, carry.nodes), elements), loop=True)
        if not isinstance(traced.result, tuple) or len(traced.result) != 2:
            got = type(traced.result).__name__
            fail(ArgumentError, f"{what}: f must return (carry, y), got {got}", hint="return (carry, None) where nothing is to be stacked")
        state = leaves_of(what, "carry", traced.result[0])
        settled = settle(what, carry, state)
        if settled is None:
            break
        carry = settled
    return traced, carry, state, leaves_of(what, "y", traced.result[1])


def _length(what: str, rows: Leaves, length: Any) -> Size:
    """The number of turns, from the rows or as it is given; sizes that nobody can compare are compared at the call."""
    size: Size | None = None if length is None else size_of(what, "length", length)
    for node, path in zip(rows.nodes, rows.paths):
        if not node.ndim:
            fail(ShapeError, f"{what}: {path} has no leading axis to go along", node, hint="a value that all turns see is captured by f")
        if size is None:
            size = node.shape[0]
        elif not same_size(size, node.shape[0]):
            text = f"{what}: {path} has {node.shape[0]} rows, where {size} turns are asked for"
            fail(ShapeError, text, *rows.nodes, hint="all arrays in xs have one leading size, which is the length if that is given")
    if size is None:
        fail(ArgumentError, f"{what}: neither xs nor length says how many turns there are")
    return size
