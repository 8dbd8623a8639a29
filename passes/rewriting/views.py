"""What a view is a view of: nodes that only move data, and when they cost nothing."""

from __future__ import annotations

from graphc.ir import Node
from graphc.loopform import LoopForm
from graphc.passes.fusion.loop_order import REDUCTIONS


def sees_through(reader: Node, view: Node) -> bool:
    """Whether the addresses of an operand can be those of what `view` is a view of."""
    if reader.op.name == "reshape":
        return False
    if reader.op.name == "gather":  # its indices are data: they can be moved about, but no arithmetic is done on them
        return view.op.name in ("transpose", "broadcast")
    return is_view(view)


def is_view(node: Node) -> bool:
    """Whether a node only moves data, at addresses that move evenly."""
    return len(node.inputs) == 1 and node.op.loop is not None and not node.op.elementwise and node.op.name not in REDUCTIONS \
        and affine(node) and isinstance(form := node.op.loop(node), LoopForm) and form.view  # fmt: skip


def affine(node: Node) -> bool:
    """Whether the addresses of a view move evenly along its loops."""
    test = node.op.facts.get("affine")
    return True if test is None else bool(test(node))


def is_splat(node: Node) -> bool:
    """Whether all elements are one number."""
    while node.op.name == "broadcast":
        node = node.inputs[0]
    return node.ndim == 0
