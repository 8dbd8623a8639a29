"""Forward mode: `jvp(outputs, wrt, tangents)` carries J v from `wrt` to the outputs in one sweep.

An op pushes tangents forward by its own `jvp` where it has one; an elementwise op by its vjp, since a diagonal matrix is its own
transpose; an op that is linear in an input by itself; any other by its vjp transposed once more. A tangent of None is zero, and
nothing is built for it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from graphc.derivatives.grad import collector_paused, passes, prepared, pull_back
from graphc.derivatives.user_trees import floats_of, nodes_of, seeds_of, zeros_like
from graphc.dtypes import is_float
from graphc.ir import Node, make, origin, toposort
from graphc.ops.registry import INPUT, variable
from graphc.tree import Tree
from graphc.types import TensorType


def jvp(outputs: Tree, wrt: Tree, tangents: Tree, *, consider_constant: Tree = ()) -> Tree:
    """J v with J = d outputs / d wrt: a tree like `outputs`.

    tangents: the v, a tree like `wrt` of nodes or arrays of their shapes; None stands for zeros. An output that depends on none of
    them gives zeros. Raises ArgumentError, ShapeError, NotDifferentiableError.
    """
    out, sources = floats_of("jvp", "outputs", outputs), floats_of("jvp", "wrt", wrt)
    constant = set(nodes_of("jvp", "consider_constant", consider_constant).nodes)
    seeds: dict[Node, Node] = {}
    for node, v in zip(sources.nodes, seeds_of("jvp", "tangents", tangents, sources)):
        if v is not None:
            seeds[node] = seeds[node] + v if node in seeds else v
    ready = prepared(out.nodes, {*sources.nodes, *constant})
    pushed = push_forward(ready, seeds, constant)
    return out.unflatten([zeros_like(node) if t is None else t for node, t in zip(out.nodes, pushed)])


@collector_paused()
def push_forward(outputs: Sequence[Node], seeds: Mapping[Node, Node], constant: AbstractSet[Node] = frozenset()) -> list[Node | None]:
    """The tangent of each output when the nodes of `seeds` have these tangents (added to what reaches them); None is zero."""
    tangents: dict[Node, Node] = {}
    for node in toposort(outputs, stop=constant):
        tangent = seeds.get(node)
        if node.inputs and node not in constant and any(i in tangents for i in node.inputs):
            with origin(node.site):
                pushed = _pushed(node, [tangents.get(i) for i in node.inputs])
                if pushed is not None:
                    tangent = pushed if tangent is None else tangent + pushed
        if tangent is not None:
            tangents[node] = tangent
    return [tangents.get(node) for node in outputs]


def _pushed(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The tangent of one op's result."""
    op, params = node.op, node.attrs
    if op.traits.stops or not isinstance(node.type, TensorType) or not is_float(node.type.dtype):
        return None
    if op.jvp is not None:
        return op.jvp(node, node.inputs, tangents, **params)
    if not passes(node):
        return None
    if op.elementwise and all(t is None or k in op.linear_in for k, t in enumerate(tangents)):  # select, cast: jointly linear
        moved = [(i if k not in op.linear_in else zeros_like(i)) if t is None else t for k, (i, t) in enumerate(zip(node.inputs, tangents))]
        return make(op, tuple(moved), node.params)
    parts = [part for k, t in enumerate(tangents) if t is not None and (part := _along(node, k, t)) is not None]
    return functools.reduce(operator.add, parts) if parts else None


def _along(node: Node, k: int, t: Node) -> Node | None:
    """The derivative along the input k: d out / d input k applied to t."""
    op, inputs, params = node.op, node.inputs, node.attrs
    if k in op.linear_in:  # contract: linear in each, the other held
        return make(op, (*inputs[:k], t, *inputs[k + 1 :]), node.params)
    assert op.vjp is not None
    if op.elementwise:
        return op.vjp(t, node, *inputs, **params)[k]
    # u -> vjp(u)[k] is linear, and its transpose is the derivative; u is a stand-in that the result does not mention
    u = variable(INPUT, "u", node.dtype, node.shape)
    transposed = op.vjp(u, node, *inputs, **params)[k]
    return None if transposed is None else pull_back([(transposed, t)], {u}).get(u)
