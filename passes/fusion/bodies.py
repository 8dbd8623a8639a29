"""Loops and branches for fusion: their bodies as graphs of their own.

    scan(init, xs, captured), body(turn, carry, x, captured)      the graph body(counter, carry', x', captured')

carry', x' and captured' are variables that stand for places in memory: those of the carry, of a row of xs, of the captured value.
The turn is the counter of the loop, a size; sizes and constants that are captured are themselves in the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphc.control.checkpoint import CHECKPOINT
from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.control.while_loop import WHILE
from graphc.dims import Dim
from graphc.dtypes import bool_, int64
from graphc.errors import CompileError, fail
from graphc.ir import Graph, Node
from graphc.ops.host import is_host
from graphc.ops.outputs import GET
from graphc.ops.registry import CONSTANT, DIM, INPUT, asarray, constant, variable
from graphc.ops.spread import CAST
from graphc.passes.fusion.cluster import Control, Fused, Inside
from graphc.passes.rewriting.views import lies_in
from graphc.program import loop_counter
from graphc.region import Region, everywhere
from graphc.types import TensorType

Fuse = Callable[[Graph, int], Fused]  # the clusters of a graph inside so many loops
Inner = Callable[[Graph], Fused]


def control(node: Node, gets: Mapping[int, Node], depth: int, fuse: Fuse) -> Control:
    """The bodies of a node inside `depth` loops, by `fuse`; of its outputs, `gets` are read."""
    make = _host if is_host(node) else _MAKERS.get(node.op)
    if make is None:
        fail(CompileError, f"{node.op.name} has no loop form and no lowering", node)
    inner = depth + (node.op in (SCAN, WHILE))
    return make(node, gets, loop_counter(depth), lambda graph: fuse(graph, inner))


def is_control(node: Node) -> bool:
    """Whether a node becomes steps other than launches: it has bodies, or is a call of Python."""
    return bool(node.op.regions) or is_host(node)


def asked(node: Node) -> tuple[Node, ...]:
    """The booleans that decide which body of a node runs: of a switch, whether its index is 1 or more, 2 or more, .."""
    if node.op is not SWITCH:
        return ()
    index, count = node.inputs[0], len(node.attrs["branches"])
    if count == 2 and index.op is CAST and index.inputs[0].dtype == bool_:
        return (index.inputs[0],)
    return tuple([index >= k for k in range(1, count)])


def stored_operands(node: Node) -> tuple[Node, ...]:
    """What must have a place in memory before the node runs: what its operands lie in, but for carries, which get places of their own."""
    count = node.attrs.get("carries", 0)
    first = 1 if node.op is SWITCH else 0
    return (*asked(node), *node.inputs[first:count], *[lies_in(i)[0] for i in node.inputs[max(first, count) :]])


def _scan(node: Node, gets: Mapping[int, Node], counter: Dim, fuse: Inner) -> Control:
    a = node.attrs
    body: Region = a["body"]
    turn = asarray(a["length"] - 1 - counter if a["reverse"] else counter)
    reads = (turn, *_stand_ins(body.types[1:], node.inputs, a["carries"] + a["sequences"]))
    made = body(*reads)
    # rows first: what they read of a carry is read before the carry may be updated in its place
    kept = [*[made[k] for k in sorted(gets) if k >= a["carries"]], *made[: a["carries"]]]
    return Control(node, gets, reads, (_inside(kept, reads, fuse),))


def _while(node: Node, gets: Mapping[int, Node], counter: Dim, fuse: Inner) -> Control:
    """The condition before the first turn; the body, and with it the condition of the next turn; or that as a third by itself.

    By itself, for it must not run when the last turn of `max_steps` is over, it stands if it can fail, or not end.
    """
    a = node.attrs
    body, condition, carries = a["body"], a["condition"], a["carries"]
    turn, following = asarray(counter), asarray(counter + 1)
    stand_ins = _stand_ins(body.types[1:], node.inputs, carries)
    made = body(turn, *stand_ins)
    after = [following] if carries in gets else []
    first = condition(constant(0, int64), *stand_ins)
    together = a["max_steps"] is None or _always_ends(condition)
    again = condition(following, *(made if together else stand_ins[:carries]), *stand_ins[carries:])
    graphs = (first, [*made, *after, *again]) if together else (first, [*made, *after], again)
    reads = (turn, *stand_ins)
    return Control(node, gets, reads, tuple([_inside(g, reads, fuse) for g in graphs]))


def _switch(node: Node, gets: Mapping[int, Node], counter: Dim, fuse: Inner) -> Control:
    branches: tuple[Region, ...] = node.attrs["branches"]
    reads = _stand_ins(branches[0].types, node.inputs[1:], 0)
    kept = [[made[k] for k in sorted(gets)] for made in (branch(*reads) for branch in branches)]
    return Control(node, gets, reads, tuple([_inside(made, reads, fuse) for made in kept]), asked(node))


def _checkpoint(node: Node, gets: Mapping[int, Node], counter: Dim, fuse: Inner) -> Control:
    """A body apart from the graph around: what it computes again is not taken from there."""
    body: Region = node.attrs["body"]
    reads = _stand_ins(body.types, node.inputs, 0)
    made = body(*reads)
    return Control(node, gets, reads, (_inside([made[k] for k in sorted(gets)], reads, fuse),))


def _host(node: Node, gets: Mapping[int, Node], counter: Dim, fuse: Inner) -> Control:
    return Control(node, gets, (), ())


_MAKERS: dict[object, Callable[[Node, Mapping[int, Node], Dim, Inner], Control]] = {
    SCAN: _scan, WHILE: _while, SWITCH: _switch, CHECKPOINT: _checkpoint,
}  # fmt: skip


def _inside(outputs: Sequence[Node], reads: Sequence[Node], fuse: Inner) -> Inside:
    graph = Graph(tuple([r for r in reads if r.op is INPUT]), tuple(outputs))
    return Inside(graph, fuse(graph))


def _stand_ins(types: Sequence[TensorType], operands: Sequence[Node], moving: int) -> tuple[Node, ...]:
    """What stands for operands in a body; the first `moving` of them are not the same in each turn."""
    return tuple(
        [
            o if k >= moving and o.op in (CONSTANT, DIM) else variable(INPUT, o.name or "x", t.dtype, t.shape)
            for k, (t, o) in enumerate(zip(types, operands, strict=True))
        ]
    )


def _always_ends(region: Region) -> bool:
    """Whether a body neither fails nor runs for ever, nor calls anybody, so that it may run when nobody asks for it."""
    return all(
        node.op.traits.checked is None and not is_control(node)
        and (node.op.loop is not None or node.op.traits.kernel is not None or not node.inputs or node.op is GET)
        for node in everywhere(region.outputs)
    )  # fmt: skip
