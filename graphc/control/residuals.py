"""What the forward scan keeps of each turn for the reverse one: a cut through the forward body.

    h' = tanh(W @ h + x)        the reverse body reads slope(W @ h + x) and h: these are kept; what is cheap is computed again from them

Above the cut is the carry, which nobody knows any more when the reverse body runs; below it, what the reverse body reads. The turn,
the elements and what is captured are at hand in both; what does not differ from turn to turn is never kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc import dims
from graphc.dims import Size
from graphc.ir import Node, toposort
from graphc.ops.outputs import GET
from graphc.types import TensorType

TYPICAL = 100  # what an unknown size is taken to be when two choices are compared


def kept_of_each_turn(
    results: Sequence[Node], carries: Sequence[Node], free: Sequence[Node], given: Collection[Node], *,
    length: Size, checkpoint: str | int | None,
) -> list[Node] | None:  # fmt: skip
    """The values of the forward body that are kept, in its order; the reverse body `results` is a function of them.

    free: the turn and the elements, which are at hand in both. given: the stand-ins of cotangents: what depends on them is no forward
    value. checkpoint: as of `scan`; of a number of bytes, None where neither all values nor all carries of `length` turns fit.
    """
    for again in (False, True) if isinstance(checkpoint, int) else (checkpoint == "full",):
        kept = _cut(results, carries, free, given, again)
        size = length * sum([n.dtype.itemsize * n.size for n in kept], 0)
        if not isinstance(checkpoint, int) or (isinstance(size, int) and size <= checkpoint):  # an unknown size: who knows whether it fits
            return kept
    return None


def _cut(results: Sequence[Node], carries: Sequence[Node], free: Sequence[Node], given: Collection[Node], all_again: bool) -> list[Node]:
    """The values at which forward and reverse body are cut apart; all_again: carries alone."""
    order, leaves, at_hand = toposort(results), {*carries, *free}, set(free)
    forward: set[Node] = set()  # differs from turn to turn, and is known in the forward scan
    backward: set[Node] = set(given)
    needed: set[Node] = set()
    for node in order:
        if any(i in backward for i in node.inputs):
            backward.add(node)
            needed.update([i for i in node.inputs if i in forward])
        elif node in leaves or any(i in forward for i in node.inputs):
            forward.add(node)
    needed.update([node for node in results if node in forward])
    kept: list[Node] = []
    for node in reversed(order):
        if node not in needed or node in at_hand:
            continue
        inputs = [i for i in node.inputs if i in forward]
        more = [i for i in dict.fromkeys(inputs) if i not in needed and i not in at_hand]
        if node in leaves or not (all_again or _pays(node, more)):
            kept.append(node)
        else:
            needed.update(inputs)
    return kept[::-1]


def _pays(node: Node, more: Sequence[Node]) -> bool:
    """Whether to compute the node again when it takes keeping `more` besides what is at hand."""
    op = node.op
    cheap = (op.elementwise and not op.costly) or op.traits.moves is not None
    if not cheap or op is GET or any(isinstance(i.type, tuple) for i in node.inputs):
        return False
    return sum(weight(i.tensor) for i in more) <= weight(node.tensor)


def weight(type: TensorType) -> int:
    """Bytes, with a guess for sizes that are not known."""
    return type.dtype.itemsize * estimate(dims.product(type.shape))


def estimate(size: Size) -> int:
    """The size, with a guess for symbols."""
    return size if isinstance(size, int) else max(dims.evaluate(size, dict.fromkeys(dims.symbols(size), TYPICAL)), 0)
