"""Joins of many parts: each part is stored where it lies in the whole, by the kernel that computes it.

    concat(exp(x), sum(y), z, ...)        k0: exp(x) -> whole[i0]      sum(y) -> whole[n + i0]
                                          k1: z -> whole[n + m + i0]   ...

The other way, an element of the whole that selects among its parts, takes as many comparisons as there are parts: it is for few
parts, where it fuses with what reads the whole.
"""

from __future__ import annotations

from collections.abc import Container

from graphc.dims import Size
from graphc.ir import Node
from graphc.passes.fusion.loop_order import squeezed
from graphc.records import dataclass

# parts. Sum of the squares of concat of parts of 10,000 f64, by selects and by stores, us: 3.0 and 3.6 of 2 parts, 7.3 and 5.4 of 3
MOST_SELECTED = 2


@dataclass(frozen=True)
class Piece:
    """A part of `whole`: an array of `shape` that begins at the index `start`."""

    whole: Node
    shape: tuple[Size, ...]
    start: tuple[Size, ...]


def stored_parts(node: Node, stored: Container[Node]) -> list[tuple[Node, Piece]]:
    """The parts of a join that is put together by stores, none of them empty; nothing where it is a selection.

    So are few parts of which one is stored in any case: that may as well be in its place.
    """
    starts = node.op.traits.starts
    if starts is None or not (len(node.inputs) > MOST_SELECTED or any([without_ones(i) in stored for i in node.inputs])):
        return []
    parts = zip(node.inputs, starts(node), strict=True)
    return [(part, Piece(node, part.shape, start)) for part, start in parts if 0 not in part.shape]


def without_ones(node: Node) -> Node:
    """What `node` is but for axes of size 1: a value that is stored in its place has the same loops."""
    while node.op.traits.relabels and squeezed(node.shape) == squeezed(node.inputs[0].shape):
        node = node.inputs[0]
    return node
