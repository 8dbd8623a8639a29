"""What only derivatives need, taken out: functions with derivatives of their own and those whose values are not kept become their bodies,
marks on a value the value."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.control.checkpoint import CHECKPOINT
from graphc.control.custom import JVP_OP, VJP_OP
from graphc.ir import Graph, Node, kinds_of, rebuild, toposort
from graphc.ops.outputs import exchanged
from graphc.region import Region, with_bodies


def inline(graph: Graph, log: object = None) -> Graph:
    """The graph with the bodies of such functions in place; what is to be computed again stays apart."""
    return graph.with_outputs(inlined(graph.outputs))


def inlined(roots: Sequence[Node]) -> list[Node]:
    """The roots with such bodies in place, in bodies too."""
    kinds = kinds_of(roots)
    if any([op.traits.marks for op in kinds]):
        roots = _unmarked(roots)
    if not any([op.regions for op in kinds]):
        return list(roots)
    return exchanged(with_bodies(roots, lambda r: r.with_outputs(inlined(r.outputs))), _body)


def _unmarked(roots: Sequence[Node]) -> list[Node]:
    """The roots without what only derivatives look at."""
    new: dict[Node, Node] = {}
    for node in toposort(roots):
        inputs = tuple([new[i] for i in node.inputs])
        new[node] = inputs[0] if node.op.traits.marks else rebuild(node, inputs)
    return [new[root] for root in roots]


def _body(node: Node) -> Sequence[Node] | None:
    """What such a function gives, as an ordinary graph; None for any other node."""
    if node.op in (VJP_OP, JVP_OP) or (node.op is CHECKPOINT and not node.attrs["again"]):
        body: Region = node.attrs["body"]
        return body(*node.inputs)
    return None
