"""What is cut out of a convolution, or turned about, is all that it computes, and how it stores it.

    relu(convolve(x, w) + b)[.., ::2, ::2]         ->     relu(convolve(x, w; twice the stride) + b)
    transpose(relu(convolve(x, w) + b))            ->     relu(convolve(x, w; of another spec) + transpose(b))

Only where nobody reads the convolution otherwise: one that somebody else wants is cheaper than two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from graphc import dims
from graphc.dims import Size
from graphc.ir import Graph, Node, make, origin, replace, users
from graphc.ops.convolve import CONVOLVE
from graphc.ops.shape import RESHAPE, permute, reshape
from graphc.ops.slicing import cut
from graphc.passes.rewriting.match import params
from graphc.passes.rules.convolutions import sliced, turned
from graphc.records import dataclass

DEEPEST = 16  # ops between a view and a convolution
Readers = Mapping[Node, Sequence[Node]]


def narrow(graph: Graph) -> Graph:
    """The graph with slices and transposes of convolutions, and of what is done to them element by element, in the convolutions."""
    if CONVOLVE not in graph.kinds:
        return graph
    readers, kept = users(graph.order), set(graph.outputs)
    made: dict[Node, Node] = {}
    for node in graph.order:
        view = VIEWS.get(node.op.name)
        if view is not None:
            with origin(node.site):
                found = _pushed(node.inputs[0], view(*params(node)), readers, kept, 0)
            if found is not None and found.type is node.type:
                made[node] = found
    return graph.with_outputs(replace(graph.outputs, made)) if made else graph


class View(Protocol):
    """What is seen of a value."""

    def of(self, x: Node) -> Node:
        """The view of any array."""

    def convolved(self, x: Node) -> Node | None:
        """The view of a convolution as a convolution, if it is one."""

    def behind(self, block: _Block) -> View | None:
        """What is seen of an array whose reshape is seen, if that is such a view."""


def _pushed(x: Node, view: View, readers: Readers, kept: set[Node], depth: int) -> Node | None:
    """The view of x by way of a convolution's; None where x has none behind it, or is read by others."""
    if x in kept or len(readers[x]) != 1 or depth > DEEPEST:
        return None
    if x.op is CONVOLVE:
        return view.convolved(x)
    if x.op is RESHAPE:
        block = _block(x)
        inner = None if block is None else view.behind(block)
        found = None if inner is None else _pushed(x.inputs[0], inner, readers, kept, depth + 1)
        return None if found is None else reshape(found, view.of(x).shape)
    if not x.op.elementwise:
        return None
    parts = [_pushed(i, view, readers, kept, depth + 1) for i in x.inputs]
    if all([p is None for p in parts]):
        return None
    return make(x.op, tuple([view.of(i) if p is None else p for i, p in zip(x.inputs, parts)]), x.params)


# -- views --------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Block:
    """A reshape that makes one axis, the one at `at`, of several: of so many sizes."""

    at: int
    sizes: tuple[Size, ...]


def _block(x: Node) -> _Block | None:
    old, new = x.inputs[0].shape, x.shape
    count = len(old) - len(new) + 1
    if count < 1:
        return None
    for at in range(len(new)):
        if old[:at] == new[:at] and old[at + count :] == new[at + 1 :]:
            return _Block(at, old[at : at + count])
    return None


@dataclass(frozen=True)
class _Slice:
    """x[starts : : steps], sizes of it."""

    starts: tuple[Size, ...]
    sizes: tuple[Size, ...]
    steps: tuple[int, ...]

    def of(self, x: Node) -> Node:
        return cut(x, self.starts, self.sizes, self.steps)

    def convolved(self, x: Node) -> Node | None:
        return sliced(x, self.starts, self.sizes, self.steps)

    def behind(self, block: _Block) -> View | None:
        k, none = block.at, len(block.sizes)
        if self.starts[k] != 0 or self.steps[k] != 1 or self.sizes[k] != dims.product(block.sizes):
            return None
        starts = (*self.starts[:k], *[0] * none, *self.starts[k + 1 :])
        sizes = (*self.sizes[:k], *block.sizes, *self.sizes[k + 1 :])
        return _Slice(starts, sizes, (*self.steps[:k], *[1] * none, *self.steps[k + 1 :]))


@dataclass(frozen=True)
class _Transpose:
    """x with its axes in another order."""

    axes: tuple[int, ...]

    def of(self, x: Node) -> Node:
        return permute(x, self.axes)

    def convolved(self, x: Node) -> Node | None:
        return turned(x, self.axes)

    def behind(self, block: _Block) -> View | None:
        more = len(block.sizes) - 1
        moved = [[a if a < block.at else a + more] if a != block.at else range(a, a + more + 1) for a in self.axes]
        return _Transpose(tuple([a for group in moved for a in group]))


VIEWS = {"slice": _Slice, "transpose": _Transpose}
