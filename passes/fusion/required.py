"""Which values must be stored whatever they cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from graphc.ir import Node
from graphc.ops.indexing import SCATTER
from graphc.passes.rewriting.views import is_splat, sees_through


def required(order: Sequence[Node], kept: Iterable[Node], onward: Collection[Node], relabelled: Callable[[Node], bool]) -> set[Node]:
    """Those that are `kept`, and operands that are read by address; of the latter what addresses reach through views."""
    found: set[Node] = {o for o in kept if o.op.traits.leaf is None}
    for node in order[::-1]:
        reads = (*node.op.traits.by_address, *node.op.traits.by_data)
        if relabelled(node):
            reads = (0,)
        for k in reads:
            base = node.inputs[k]
            while base not in found and sees_through(node, k, base):
                base = base.inputs[0]
            if base.op.traits.leaf is None and base not in onward and not (node.op is SCATTER and is_splat(base)):
                found.add(base)
    return found
