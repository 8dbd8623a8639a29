"""Nodes of several outputs, as fusion sees them: a `get` is computed by the op that it reads, from the operands of that op.

a, b = get(modf(x), 0), get(modf(x), 1)    two elementwise values of x; the node modf(x) itself is no value
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import CompileError, fail
from graphc.ir import Node
from graphc.loopform import LoopForm
from graphc.ops.outputs import GET, listed
from graphc.traits import Selects


def computed_by(node: Node) -> Node:
    """The node whose op computes the elements of `node`: of a `get` the one it reads, else itself."""
    return node.inputs[0] if node.op is GET else node


def operands(node: Node) -> tuple[Node, ...]:
    """The values that the elements of `node` are computed from."""
    return node.inputs[0].inputs if node.op is GET else node.inputs


def values(order: Sequence[Node]) -> list[Node]:
    """The nodes that are one array each."""
    return [node for node in order if type(node.type) is not tuple]


def readers(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """For each value of `order` those that are computed from it, once per arc, in order."""
    result: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for i in operands(node):
            result[i].append(node)
    return result


def checked_indices(node: Node) -> list[Selects]:
    """The indices of a node that must be checked at run time."""
    checked = node.op.traits.checked
    return [] if checked is None else checked(node)


def siblings(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """For each `get` the others of its node: they are computed in one kernel."""
    found: dict[Node, list[Node]] = {}
    for node in order:
        if node.op is GET:
            found.setdefault(node.inputs[0], []).append(node)
    return {node: [other for other in group if other is not node] for group in found.values() for node in group if len(group) > 1}


def form_of(node: Node) -> LoopForm | None:
    """How an element of `node` is computed from its operands; None where its op has a lowering of its own."""
    source = computed_by(node)
    if source.op.loop is None:
        return None
    forms = source.op.loop(source)
    if source is node:
        if not isinstance(forms, LoopForm):
            fail(CompileError, f"{node.op.name} gives several loop forms for one array", node)
        return forms
    return listed(forms, source, "loop", len(source.type), "output")[node.params[0]]  # type: ignore[no-any-return,arg-type]
