"""Save or recompute: which values of the forward half of a graph the backward half reads from memory, and which it computes again.

    a = gelu(z); .. ; dw = a.T @ g; dz = (g @ w.T) * slope(z)     three arrays a layer: z, a and the slope
    ->  z' = again(z, g); dw = gelu(z').T @ g; dz = (g @ w.T) * slope(z')         one

The halves meet where most bytes are alive. Every value that can be known before that place may be saved (its bytes are written and
read) or computed again from others (its time is paid twice): a minimum cut. Products, reductions, draws and host calls are only
saved. The idea of computing again is that of Chen, Xu, Zhang, Guestrin (2016), "Training deep nets with sublinear memory cost".
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass

from graphc.costs import COSTS, MATH
from graphc.ir import Graph, Node, make, rebuild, toposort
from graphc.loopform import LoopForm
from graphc.ops.registry import structural
from graphc.passes.cuts import minimum_cut
from graphc.passes.fusion.cluster import Fused
from graphc.passes.fusion.fuse import fuse
from graphc.target import Target
from graphc.traits import Traits

BYTE_NS = 0.1  # to write or read a byte where the caches are full of others
ROOM = 8  # second caches: what is alive at once and takes less stays near enough
NEVER = 1e18  # ns: what is not stored is only saved where nothing else will do
UNKNOWN = 1 << 16  # elements of an array of a size that only the call knows
LARGEST = 1000  # nodes of one network

AGAIN = structural(
    "again", 2, "Operand 0 read from memory, once operand 1 is known: what is made of it is another value than what was made of operand 0.",
    type_rule=lambda x, after: x, ref=lambda x, after: x, loop=lambda node: LoopForm(lambda read, at, r: read(0, at)),
    traits=Traits(moves="same", relabels=True, affine=lambda node: False),
)  # fmt: skip


@dataclass(frozen=True)
class Recomputed:
    """A graph, and what fusion must not substitute in it: what was computed once by itself is so again, to the same bits."""

    graph: Graph
    held: frozenset[Node] = frozenset()


def recompute(graph: Graph, target: Target | None) -> Recomputed:
    """The graph whose second half reads less of the first from memory; itself where all that is alive at once is little."""
    if target is None:
        return Recomputed(graph)
    sizes = _bytes(graph.order)
    peak, most = _peak(graph, sizes)
    if most < ROOM * target.l2:
        return Recomputed(graph)
    fused = fuse(graph, target)
    early = _early(graph.order, peak)
    return _rebuilt(graph, early, _saved(graph, early, _stored(graph, fused)), fused.home)


def _stored(graph: Graph, fused: Fused) -> set[Node]:
    """What lies in memory as it is: only that may be saved, for else what makes it would be another kernel, with other bits."""
    loaded = {s.param[0] for cluster in fused.clusters for m in cluster.members for s in m.everything if s.op == "load"}
    return {*graph.outputs, *fused.aliases.values(), *[fused.values[k] for k in loaded]}


def _bytes(order: Sequence[Node]) -> dict[Node, int]:
    """Of the arrays of known size that are computed, what they take; 0 of views, which take nothing."""
    found: dict[Node, int] = {}
    for node in order:
        stored = _is_array(node) and node.op.traits.leaf is None and node.op.traits.moves != "view"
        taken = node.size * node.dtype.itemsize if stored else 0
        found[node] = taken if isinstance(taken, int) else 0
    return found


def _peak(graph: Graph, sizes: Mapping[Node, int]) -> tuple[int, int]:
    """(the place behind which most bytes are alive, these)."""
    last = {i: k for k, node in enumerate(graph.order) for i in node.inputs}
    dying: dict[int, int] = {}
    alive = most = place = 0
    for k, node in enumerate(graph.order):
        if node in last:
            alive += sizes[node]
            dying[last[node]] = dying.get(last[node], 0) + sizes[node]
        if alive > most:
            most, place = alive, k
        alive -= dying.get(k, 0)
    return place, most


def _repeatable(node: Node) -> bool:
    """Whether a value may be computed twice: what its elements say, or where they lie."""
    return _is_array(node) and (node.op.elementwise or node.op.traits.moves == "view")


def _is_array(node: Node) -> bool:
    """Whether a node is one array: of several, only those that are taken from it are values."""
    return type(node.type) is not tuple


def _early(order: Sequence[Node], peak: int) -> set[Node]:
    """The nodes up to the peak, and what is made of those alone without a product or a sum."""
    found = set(order[: peak + 1])
    for node in order[peak + 1 :]:
        if node.op.traits.leaf is not None or (_repeatable(node) and found.issuperset(node.inputs)):
            found.add(node)
    return found


# -- what is saved ------------------------------------------------------------------------------------------------------
def _saved(graph: Graph, early: Collection[Node], stored: Collection[Node]) -> set[Node]:
    """The values that are kept for the second half."""
    read = {i: None for node in graph.order if node not in early for i in node.inputs if i in early and _is_array(i)}
    saved: set[Node] = set()
    for group in _groups(list(read)):
        wanted = [node for node in group if node in read]
        saved.update(_cut(group, wanted, stored) if len(group) <= LARGEST else wanted)
    return saved


def _groups(wanted: Sequence[Node]) -> list[list[Node]]:
    """What the wanted ones may be computed from, in parts that share nothing that is computed; inputs before users."""
    order = toposort(wanted, stop=[n for n in toposort(wanted) if not _repeatable(n)])
    parent = {node: node for node in order}

    def root(node: Node) -> Node:
        while parent[node] is not node:
            parent[node] = node = parent[parent[node]]
        return node

    for node in order:
        if _repeatable(node):
            for i in node.inputs:
                if i.op.traits.leaf is None:
                    parent[root(i)] = root(node)
    groups: dict[Node, list[Node]] = {}
    for node in order:
        groups.setdefault(root(node), []).append(node)
    return list(groups.values())


def _cut(group: Sequence[Node], wanted: Sequence[Node], stored: Collection[Node]) -> list[Node]:
    """The cheapest values from which the wanted ones can be computed.

    source -> in(v)     the time to compute v again; without bound where it must not be
    in(v)  -> out(v)    the time to write and read it
    out(u) -> in(v)     u is an operand of v: without bound
    out(v) -> sink      the second half reads v: without bound
    """
    inside = {node: k for k, node in enumerate(group)}
    arcs: list[tuple[object, object, float]] = []
    for node, k in inside.items():
        given = node.op.traits.leaf is not None
        again = _repeatable(node)
        if not given:
            arcs.append(("source", (k, 0), _nanoseconds(node) if again else math.inf))
            arcs.append(((k, 0), (k, 1), 2 * BYTE_NS * _elements(node) * node.dtype.itemsize + 1 if node in stored else NEVER))
            arcs.extend([((inside[i], 1), (k, 0), math.inf) for i in node.inputs if again and i.op.traits.leaf is None])
    arcs.extend([((inside[node], 1), "sink", math.inf) for node in wanted if node.op.traits.leaf is None])
    reached = minimum_cut(arcs, "source", "sink")
    return [node for node, k in inside.items() if (k, 0) in reached and (k, 1) not in reached]


def _nanoseconds(node: Node) -> float:
    """What it takes to compute a value again."""
    if node.op.traits.moves == "view":
        return 0.0
    return _elements(node) * (MATH.ns if node.op.costly else COSTS["add"].ns)


def _elements(node: Node) -> int:
    return node.size if isinstance(node.size, int) else UNKNOWN


# -- what is computed again ---------------------------------------------------------------------------------------------
def _rebuilt(graph: Graph, early: Collection[Node], saved: Collection[Node], members: Container[Node]) -> Recomputed:
    """The graph whose second half reads what is saved, and computes the rest from it once more.

    What is saved is read again behind the newest value of the second half that its first reader there needs: fusion then puts what is
    made of it there, and not behind what it was first made of.
    """
    position = {node: k for k, node in enumerate(graph.order)}
    new: dict[Node, Node] = {}  # of the second half
    copies: dict[Node, Node] = {}  # of the first: what the second reads in their place

    def copied(wanted: Node, after: Node) -> Node:
        for node in toposort([wanted], stop=[*copies, *saved]):
            if node in copies:
                continue
            if node.op.traits.leaf == "constant":
                copies[node] = node
            elif node in saved or not _repeatable(node):
                copies[node] = make(AGAIN, (node, after))
            else:
                copies[node] = rebuild(node, tuple([copies[i] for i in node.inputs]))
        return copies[wanted]

    newest: Node | None = None
    for node in graph.order:
        if node in early:
            continue
        behind = [new[i] for i in sorted(node.inputs, key=position.__getitem__) if i not in early and _is_array(i)]
        after = behind[-1] if behind else newest
        given: list[Node] = []
        for i in node.inputs:
            kept = i in saved or i.op.traits.leaf is not None or not _repeatable(i)
            given.append(new[i] if i not in early else i if kept or after is None else copied(i, after))
        new[node] = rebuild(node, tuple(given))
        newest = new[node] if _is_array(node) else newest
    held = frozenset([copy for node, copy in copies.items() if node in members and copy is not node and copy.op is not AGAIN])
    return Recomputed(graph.with_outputs([new.get(o, o) for o in graph.outputs]), held)
