"""What a view is a view of: nodes that only move data, and when they cost nothing."""

from __future__ import annotations

from graphc.dims import Size
from graphc.ir import Node


def sees_through(reader: Node, k: int, view: Node) -> bool:
    """Whether the addresses of operand k of `reader` can be those of what `view` is a view of."""
    if k in reader.op.traits.by_data:  # its indices are data: they can be moved about, but no arithmetic is done on them
        return view.op.traits.permutes
    return k in reader.op.traits.by_address and is_view(view)


def is_view(node: Node) -> bool:
    """Whether a node only moves data, at addresses that move evenly."""
    return node.op.traits.moves == "view" and affine(node)


def relabelled(node: Node) -> bool:
    """Whether a node is another view of a stored operand: a reshape that addresses do not follow evenly."""
    return node.op.traits.relabels and not affine(node)


def affine(node: Node) -> bool:
    """Whether the addresses of a view move evenly along its loops."""
    test = node.op.traits.affine
    return True if test is None else test(node)


def lies_in(node: Node) -> tuple[Node, Size]:
    """(the value that holds a node as one piece of its memory, the element at which it begins): the node itself where none does."""
    offset: Size = 0
    while True:
        traits = node.op.traits
        start = 0 if traits.relabels else None if traits.piece is None else traits.piece(node)
        if start is None:
            return node, offset
        node, offset = node.inputs[0], offset + start
