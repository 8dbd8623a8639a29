"""`while_loop`: a body as long as a condition holds.

The op's condition and body both read (turn, carries, captured); the condition gives a boolean, the body the carries. Its outputs
are the last carries and the number of turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.control.bodies import loop_reads, plain_vjp
from graphc.control.tracing import INDEX, called, fits, leaves_of, settle, size_of, trace, with_numbers
from graphc.control.while_rules import while_batch, while_jvp, while_vjp
from graphc.dims import Size
from graphc.dtypes import bool_
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.ops.outputs import outputs
from graphc.ops.registry import asarray, structural
from graphc.region import Region, close
from graphc.traits import Traits
from graphc.tree import Tree
from graphc.types import TensorType, tensor_type


# -- the op -----------------------------------------------------------------------------------------------------------
def _while_type(*inputs: TensorType, carries: int, max_steps: Size | None, condition: Region, body: Region) -> tuple[TensorType, ...]:
    wanted = body.types[1:]
    if len(inputs) != len(wanted) or body.types[:1] != (INDEX,) or condition.types != body.types:
        fail(
            ShapeError,
            f"while_loop: bodies of {len(body.inputs)} and {len(condition.inputs)} inputs, the first one the turn, are given {len(inputs)}",
        )
    for k, (have, want) in enumerate(zip(inputs, wanted)):
        if not fits(have, want):
            fail(ShapeError if have.dtype == want.dtype else DTypeError, f"while_loop: operand {k} is {have}, its body wants {want}")
    for k, (before, after) in enumerate(zip(wanted[:carries], [o.tensor for o in body.outputs], strict=True)):
        if not fits(after, before):
            fail(
                ShapeError if after.dtype == before.dtype else DTypeError,
                f"while_loop: carry {k} goes in as {before} and comes out as {after}",
            )
    if [o.tensor for o in condition.outputs] != [tensor_type(bool_, ())]:
        fail(DTypeError, f"while_loop: the condition gives {', '.join(str(o.type) for o in condition.outputs)}, not one boolean")
    return (*wanted[:carries], INDEX)


def _while_ref(*arrays: np.ndarray, carries: int, max_steps: int | None, condition: Any, body: Any) -> list[np.ndarray]:
    carry, captured, turn = list(arrays[:carries]), arrays[carries:], 0
    while (max_steps is None or turn < max_steps) and condition(np.int64(turn), *carry, *captured)[0]:
        carry = body(np.int64(turn), *carry, *captured)
        turn += 1
    return [*carry, np.array(turn, np.int64)]


def _reads(k: int, carries: int, max_steps: Size | None, condition: Region, body: Region) -> list[int]:
    holds = condition(*body.inputs)
    return loop_reads(body if k < carries else body.with_outputs(body.outputs[:carries]), carries, k, holds)


WHILE = structural(
    "while", None, "The body as long as the condition holds, max_steps times at most: the last carries, and the number of turns.",
    params=("carries", "max_steps", "condition", "body"), type_rule=_while_type, ref=_while_ref, regions=("condition", "body"),
    vjp=plain_vjp(lambda *args, **params: while_vjp(*args, **params)),
    traits=Traits(reads=lambda node, k: _reads(k, **node.attrs), through=lambda *args, **params: while_vjp(*args, **params)),
    jvp=lambda *args, **params: while_jvp(while_node, *args, **params),
    batch=lambda *args, **params: while_batch(while_node, *args, **params),
)  # fmt: skip


def while_node(
    holds: Node,
    after: Sequence[Node],
    over: Sequence[Node],
    operands: Sequence[Node],
    max_steps: Size | None = None,
    since: int | None = None,
) -> tuple[Node, ...]:
    """The outputs of the loop of the bodies holds(over) and after(over): `over` is the turn, the carries, which begin as `operands`, and
    perhaps what is captured."""
    both, captured = close([holds, *after], over, since)
    condition, body = both.with_outputs(both.outputs[:1]), both.with_outputs(both.outputs[1:])
    return outputs(make(WHILE, (*operands, *captured), (len(after), max_steps, condition, body)))


# -- what users call ----------------------------------------------------------------------------------------------------
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Tree, max_steps: Any = None) -> Tree:
    """val = init; while cond_fun(val): val = body_fun(val); JAX's `lax.while_loop`.

    The functions are called once on variables; trees of arrays in and out; what they capture is an operand. max_steps (an int or a
    size): it ends after so many turns. Forward derivatives always; reverse ones need max_steps, for which memory is kept.

        gx.while_loop(lambda v: v[0] - v[1] > 1e-16, lambda v: ((v[0] + v[1]) / 2, gx.sqrt(v[0] * v[1])), (a, b))

    Raises ArgumentError, ShapeError, DTypeError: they name the leaf that changes.
    """
    return loop_while("while_loop", cond_fun, body_fun, init, max_steps)


def loop_while(what: str, cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Tree, max_steps: Any = None) -> Tree:
    """`while_loop`, whose errors speak of `what`."""
    for f in (cond_fun, body_fun):
        called(what, f)
    carry = with_numbers(leaves_of(what, "init", init), init, body_fun)
    steps = None if max_steps is None else size_of(what, "max_steps", max_steps)
    for _ in range(3):
        value = tree.unflatten(carry.structure, carry.nodes)
        traced = trace(what, lambda v: (cond_fun(v), body_fun(v)), (value,), loop=True)
        state = leaves_of(what, "value", traced.result[1])
        settled = settle(what, carry, state)
        if settled is None:
            break
        carry = settled
    holds = asarray(traced.result[0])
    if holds.ndim or holds.dtype != bool_:
        kind = ShapeError if holds.dtype == bool_ else DTypeError
        fail(kind, f"{what}: the condition is {holds.tensor}, not one boolean", holds, hint="reduce it with gx.all or gx.any")
    made = while_node(holds, state.nodes, (traced.index, *traced.arguments), carry.nodes, steps, traced.since)
    return tree.unflatten(state.structure, made[:-1])
