"""`checkpoint`: a function whose reverse derivative computes its inner values again instead of keeping them.

The op holds the function's body. Compiled, it is its body; its reverse derivative is one more op with a body, which computes the
values and goes back through them, and which stays apart (`again`), so that no value in it is taken to be one that the forward graph has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from graphc import tree
from graphc.control.called import called_type, mapped_body, pulled, pushed
from graphc.control.tracing import called, leaves_of, trace
from graphc.ir import Node, make
from graphc.ops.outputs import outputs
from graphc.ops.registry import structural
from graphc.region import Region, close
from graphc.tree import Tree
from graphc.types import TensorType

Values = Sequence["Node | None"]


def _type(*inputs: TensorType, again: bool, body: Region) -> tuple[TensorType, ...]:
    return called_type("checkpoint: the body", body, inputs)


def _vjp(g: Values, out: Sequence[Node], *inputs: Node, again: bool, body: Region) -> list[Node | None]:
    back, reached, given = pulled(body, g)
    if not reached:
        return [None] * len(inputs)
    found = dict(zip(reached, outputs(make(CHECKPOINT, (*inputs, *given), (True, back)))))
    return [found.get(k) for k in range(len(inputs))]


def _jvp(out: Sequence[Node], inputs: Sequence[Node], tangents: Values, again: bool, body: Region) -> list[Node | None]:
    ahead, reached, given = pushed(body, tangents)
    if not reached:
        return [None] * len(out)
    found = dict(zip(reached, outputs(make(CHECKPOINT, (*inputs, *given), (again, ahead)))))
    return [found.get(k) for k in range(len(out))]


def _batch(inputs: Sequence[Node], mapped: Sequence[bool], again: bool, body: Region) -> tuple[Node, ...]:
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    return outputs(make(CHECKPOINT, tuple(inputs), (again, mapped_body(body, mapped, size))))


CHECKPOINT = structural(
    "checkpoint", None, "Its body. again: computed where it stands, whatever of it is known elsewhere.", params=("again", "body"),
    type_rule=_type, ref=lambda *arrays, again, body: body(*arrays), vjp=_vjp, jvp=_jvp, batch=_batch, regions=("body",),
)  # fmt: skip


def checkpoint(f: Callable[..., Any]) -> Callable[..., Tree]:
    """f, whose reverse derivative keeps its arguments alone and computes the rest again: the same numbers, less memory, JAX's `checkpoint`.

        loss = gx.sum(gx.checkpoint(layer)(x, w))

    f takes trees of arrays and returns one; what it captures counts as an argument. Raises ArgumentError.
    """
    called("checkpoint", f)

    @functools.wraps(f)
    def remembered(*args: Any, **kwargs: Any) -> Tree:
        given = leaves_of("checkpoint", "argument", (args, kwargs))
        traced = trace("checkpoint", lambda a, k: f(*a, **k), tree.unflatten(given.structure, given.nodes), loop=False)
        made = leaves_of("checkpoint", "result", traced.result)
        body, captured = close(made.nodes, traced.arguments, traced.since)
        return tree.unflatten(made.structure, outputs(make(CHECKPOINT, (*given.nodes, *captured), (False, body))))

    return remembered
