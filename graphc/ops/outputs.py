"""Ops with several outputs: a node whose type is a tuple, and `get`, the one op that reads such a node.

    q, r = outputs(make(DIVMOD, (a, b)))        q is get(divmod(a, b), 0), r is get(divmod(a, b), 1)

Everything that an op with k outputs states comes k at a time: `ref` returns k arrays, `loop` k forms, `vjp` takes k cotangents
(None where nothing arrives) and k outputs, `jvp` and `batch` return k nodes. Users see only tuples of `get` nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import ArgumentError, fail
from graphc.ir import Node, Type, make, origin, rebuild, toposort
from graphc.ops.registry import structural
from graphc.types import TensorType


def _get_type(types: Type, index: int) -> TensorType:
    if not isinstance(types, tuple):
        fail(ArgumentError, f"get: {types} is one array, not several")
    if not 0 <= index < len(types):
        fail(ArgumentError, f"get: output {index} of {len(types)}")
    return types[index]


GET = structural(
    "get", 1, "Output `index` of an op that has several.", params=("index",), type_rule=_get_type, ref=lambda values, index: values[index],
)  # fmt: skip


def get(node: Node, index: int) -> Node:
    """The primitive: one output of a node whose type is a tuple."""
    return make(GET, (node,), (index,))


def outputs(node: Node) -> tuple[Node, ...]:
    """The values of a node: one `get` for each part of a tuple type, else the node itself."""
    return tuple([get(node, k) for k in range(len(node.type))]) if isinstance(node.type, tuple) else (node,)


def exchanged(roots: Sequence[Node], change: Callable[[Node], Sequence[Node] | None]) -> list[Node]:
    """The roots with change(node) in place of the outputs of a node of several, itself on what its inputs became; None keeps them."""
    new: dict[Node, Node] = {}
    several: dict[Node, Sequence[Node]] = {}
    for node in toposort(roots):
        if node.op is GET and node.inputs[0] in several:
            new[node] = several[node.inputs[0]][node.params[0]]
            continue
        new[node] = rebuild(node, tuple([new[i] for i in node.inputs]))
        if isinstance(node.type, tuple):
            with origin(node.site):
                made = change(new[node])
            if made is not None:
                several[node] = made
    return [new[root] for root in roots]


def listed(found: Any, node: Node, what: str, count: int, each: str) -> Sequence[Any]:
    """What a rule of the op of `node` returned, if that is `count` nodes; ArgumentError otherwise: nothing is ever taken to be missing."""
    if not isinstance(found, (tuple, list)) or len(found) != count:
        have = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        fail(ArgumentError, f"the {what} of the op {node.op.name} gave {have}, not {count}: one for each {each}", node)
    return found
