"""Which loop runs along which axis: elements of a kernel are read and stored at one index per loop.

    x: (m, n), summed over axis 0     loops i0 in n, i1 in m; an element is x[i1, i0], loops = (1, 0)

The loops of a kernel are the axes that its reductions keep, in order, then those that they reduce. Over trailing axes that
is the order of the axes (rows); over leading ones the loops outside run along the columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache

from graphc import dims
from graphc.dims import Size
from graphc.ir import Node
from graphc.loopform import LoopForm
from graphc.ops.registry import OPS
from graphc.passes.fusion.chunks import is_large
from graphc.passes.fusion.several import computed_by
from graphc.passes.fusion.several import readers as readers_of
from graphc.program import loop_index

EXP, SUBTRACT, BROADCAST, SELECT = (OPS[name] for name in ("exp", "subtract", "broadcast", "select"))
KNOWN = 1024  # shapes whose indices are remembered: a graph has many nodes of few shapes
Loops = tuple[int, ...]  # of each axis (not counting literal ones) the position of its loop


@lru_cache(maxsize=KNOWN)
def squeezed(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """The shape without its literal ones."""
    return tuple([s for s in shape if s != 1])


@cache
def in_order(rank: int) -> Loops:
    """The loops of elements that no reduction reorders."""
    return tuple(range(rank))


def sizes_of(shape: Sequence[Size], loops: Loops) -> tuple[Size, ...]:
    """The extents of the loops, outermost first."""
    return tuple([shape[loops.index(p)] for p in range(len(loops))])


def loops_of(node: Node) -> Loops:
    """The loops that a reduction or a scan runs over its input: axes that are kept first."""
    source = computed_by(node)
    listed = source.attrs["axes"] if "axes" in source.attrs else (source.attrs["axis"],)
    reduced = [k in listed for k, s in enumerate(source.inputs[0].shape) if s != 1]
    order = [k for k, r in enumerate(reduced) if not r] + [k for k, r in enumerate(reduced) if r]
    return tuple([order.index(k) for k in range(len(order))])


@lru_cache(maxsize=KNOWN)
def own_index(shape: tuple[Size, ...], loops: Loops | None = None) -> tuple[Size, ...]:
    """The index of a value in its own loops: i0, i1, ... for its axes (or as `loops` says), 0 for literal ones."""
    result: list[Size] = []
    position = 0
    for size in shape:
        result.append(0 if size == 1 else loop_index(position if loops is None else loops[position]))
        position += size != 1
    return tuple(result)


def reduced_index(node: Node, form: LoopForm, base: int | None) -> tuple[Size, ...]:
    """Indices of the reduced axes: the loops from `base` on, or loops of their own."""
    position = 0 if base is None else base
    result: list[Size] = []
    for size in form.reduce:
        result.append(0 if size == 1 else loop_index(position, "r" if base is None else "i"))
        position += size != 1
    return tuple(result)


def column_goals(order: Sequence[Node], wanted: Iterable[Node], few: int) -> tuple[dict[Node, Loops], set[Node]]:
    """Elementwise nodes whose elements column reductions of one frame read, and those of them that nothing else reads.

    `wanted` are the values that must be stored, whoever reads them. A transcendental that several reductions read counts
    as one of these: a loop down a column stores it a line here and a line there, which costs more than it saves. So does
    one that is summed to less than `few` columns, where most lanes would be empty.
    """
    columns = [node for node in order if computed_by(node).op.traits.reduces and _turned(loops_of(node))]
    if not columns:
        return {}, set()
    stored, users = set(wanted), readers_of(order)
    goals: dict[Node, Loops] = {}
    only: dict[Node, int] = {}  # and how many reductions read it, one to few columns counting twice
    for node in reversed(order):
        op = computed_by(node).op
        if not op.elementwise or node.ndim == 0:
            continue
        found: set[Loops | None] = set()
        alone, readers = node not in stored, 0
        for user in users.get(node, ()):
            reader = computed_by(user).op
            if reader.traits.reduces:
                found.add(loops_of(user))
                readers += 2 if _few(dims.product(user.shape), few) else 1
            elif reader.elementwise and user.shape == node.shape:
                alone = alone and user in only
                readers += only.get(user, 0)
                if user in goals:
                    found.add(goals[user])
            else:
                alone = False
        if len(found) == 1:
            (loops,) = found
            if loops is not None and _turned(loops):
                goals[node] = loops
                if alone and (readers == 1 or not op.costly):
                    only[node] = readers
    return goals, set(only)


def column_exponentials(order: Sequence[Node], wanted: Iterable[Node], few: int) -> set[Node]:
    """Exponentials of how far the elements of large columns lie below the largest, which are summed: one sweep does both where nothing
    is stored in between (see `rescaled`), and the one who reads them besides computes them again, for less than storing and loading takes.
    """
    sums = [node for node in order if node.op.traits.reduces and node.attrs.get("combine") == "sum" and _turned(loops_of(node))]
    if not sums:
        return set()
    stored, users = set(wanted), readers_of(order)
    found: set[Node] = set()
    for total in sums:
        node = total.inputs[0]
        large = is_large(node.shape) and not _few(dims.product(total.shape), few)
        if large and _below_largest(node, total) and _read_once(node, total, users, stored):
            found.add(node)
    return found


def _read_once(node: Node, total: Node, users: Mapping[Node, Sequence[Node]], stored: Collection[Node]) -> bool:
    """Whether what is made of the elements of a node, but for `total`, is stored or reduced in one place."""
    readers: Sequence[Node] = [user for user in users[node] if user is not total]
    while len(readers) == 1 and computed_by(readers[0]).op.elementwise and readers[0] not in stored:
        readers = users[readers[0]]
    return len(readers) <= 1


def _below_largest(node: Node, total: Node) -> bool:
    """Whether it is exp(e - max(e)), the largest over the axes of `total`, or 0 in place of one that is not finite."""
    if node.op is not EXP or (difference := node.inputs[0]).op is not SUBTRACT or difference.inputs[1].op is not BROADCAST:
        return False
    element, spread = difference.inputs
    largest = spread.inputs[0].inputs[1] if spread.inputs[0].op is SELECT else spread.inputs[0]
    same = largest.op is total.op and largest.attrs["axes"] == total.attrs["axes"]
    return same and largest.attrs["combine"] == "max" and largest.inputs[0] is element


def _turned(loops: Loops) -> bool:
    return loops != in_order(len(loops))


def _few(columns: Size, few: int) -> bool:
    """Sizes known only at run time are taken for many."""
    return isinstance(columns, int) and columns < few
