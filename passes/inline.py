"""Functions with derivatives of their own, and those whose values are not kept, as their bodies: nobody differentiates them any more."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.control.checkpoint import CHECKPOINT
from graphc.control.custom import JVP_OP, VJP_OP
from graphc.ir import Graph, Node, make, origin, rebuild, toposort
from graphc.ops.outputs import GET
from graphc.region import map_regions


def inline(graph: Graph, log: object = None) -> Graph:
    """The graph with the bodies of such functions in place; what is to be computed again stays apart."""
    return graph.with_outputs(inlined(graph.outputs))


def inlined(roots: Sequence[Node]) -> list[Node]:
    """The roots with such bodies in place, in bodies too."""
    order = toposort(roots)
    if not any([node.op.regions for node in order]):
        return list(roots)
    new: dict[Node, Node] = {}
    several: dict[Node, Sequence[Node]] = {}
    for node in order:
        if node.op is GET and node.inputs[0] in several:
            new[node] = several[node.inputs[0]][node.params[0]]
            continue
        inputs = tuple([new[i] for i in node.inputs])
        if node.op in (VJP_OP, JVP_OP) or (node.op is CHECKPOINT and not node.attrs["again"]):
            body = node.attrs["body"]
            several[node] = body.with_outputs(inlined(body.outputs))(*inputs)
            new[node] = node  # only its outputs are read
        elif node.op.regions:
            with origin(node.site):
                new[node] = make(node.op, inputs, map_regions(node, lambda r: r.with_outputs(inlined(r.outputs))))
        else:
            new[node] = rebuild(node, inputs)
    return [new[root] for root in roots]
