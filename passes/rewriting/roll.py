"""Repeated structure is rolled: what is done alike to every part of a join is done once to the join.

    concat(sin(x[0:1]) * 1, sin(x[1:2]) * 2, ..)    ->    sin(x) * [1, 2, ..]

So five thousand expressions compile as one, and run as vectors. Parts that somebody else reads too stay: nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir import Graph, Node, Op, make, origin, replace, toposort, users
from graphc.ops.joining import CONCAT, concat
from graphc.ops.registry import CONSTANT, OPS, constant, number
from graphc.ops.shape import RESHAPE, reshape
from graphc.ops.spread import BROADCAST, broadcast
from graphc.passes.rewriting.match import params
from graphc.passes.rules.joins import side_by_side
from graphc.types import Shape

FEWEST = 5  # parts; fewer cost little as they are
MULTIPLY, NEGATIVE = OPS["multiply"], OPS["negative"]
DEEPEST = 64  # ops on the way to what the parts differ in
Users = Mapping[Node, Sequence[Node]]


def roll(graph: Graph) -> Graph:
    """The graph with its joins of many like parts rolled."""
    if CONCAT not in graph.kinds:
        return graph
    joins = [node for node in graph.order if node.op is CONCAT and len(node.inputs) >= FEWEST]
    if not joins:
        return graph
    readers, kept = users(graph.order), set(graph.outputs)
    made: dict[Node, Node] = {}
    for node in joins:
        with origin(node.site):
            rolled = _rolled(node.inputs, params(node)[0], node.shape, readers, kept, 0)
        if rolled is not None and rolled.type is node.type:
            made[node] = rolled
    if not made:
        return graph
    for node, new in made.items():  # joins of joins: what was made may read what is replaced
        inside = {old: made[old] for old in toposort([new]) if old in made and old is not node}
        made[node] = replace([new], inside)[0] if inside else new
    return graph.with_outputs(replace(graph.outputs, made))


def _rolled(parts: Sequence[Node], axis: int, shape: Shape, readers: Users, kept: set[Node], depth: int) -> Node | None:
    """One expression for concat(parts) that reads no part by itself; None where there is none."""
    first = parts[0]
    if first.op is BROADCAST and not first.inputs[0].ndim and all([p.op is BROADCAST and p.inputs[0] is first.inputs[0] for p in parts]):
        return broadcast(first.inputs[0], shape, ())
    if all([p.op is CONSTANT or _splat(p) is not None for p in parts]):
        return _constants(parts, axis)
    merged = side_by_side(parts, axis)
    if len(merged) == 1:
        return merged[0]
    sources = [_computed(p, readers, kept) for p in parts]
    op = MULTIPLY if any([s.op is MULTIPLY for s in sources]) else sources[0].op
    given = [_operands(s, op) for s in sources]
    like = all([s.params == sources[0].params and _alone(s, readers, kept) for s in sources])
    if depth >= DEEPEST or not op.elementwise or not like or any([g is None for g in given]):
        return None
    inputs: list[Node] = []
    for k in range(op.arity or 0):
        operands = [_shaped(g[k], p.shape) for g, p in zip(given, parts) if g is not None]
        if any([o.dtype != operands[0].dtype for o in operands]):
            return None
        rolled = _rolled(operands, axis, shape, readers, kept, depth + 1)
        if rolled is None and not op.costly:
            return None
        inputs.append(concat(operands, axis) if rolled is None else rolled)
    return make(op, tuple(inputs), sources[0].params)


def _operands(node: Node, op: Op) -> tuple[Node, ...] | None:
    """The operands with which a node is `op` of them: x is x * 1 where others are x * c, and -x is x * -1, which has been simplified."""
    if node.op is op:
        return node.inputs
    if op is not MULTIPLY or node.dtype.kind != "f":
        return None
    x, factor = (node.inputs[0], -1) if node.op is NEGATIVE else (node, 1)
    return x, broadcast(number(factor, node.dtype), node.shape, ())


def _computed(part: Node, readers: Users, kept: set[Node]) -> Node:
    """What computes a part, before axes of size 1 came or went."""
    while part.op is RESHAPE and _alone(part, readers, kept) and part.inputs[0].op.elementwise and _same_but_ones(part):
        part = part.inputs[0]
    return part


def _same_but_ones(node: Node) -> bool:
    return [s for s in node.shape if s != 1] == [s for s in node.inputs[0].shape if s != 1]


def _alone(node: Node, readers: Users, kept: set[Node]) -> bool:
    """Whether one node reads this one, and the caller does not: rolled, nothing is left of it."""
    return len(readers.get(node, ())) <= 1 and node not in kept


def _shaped(x: Node, shape: Shape) -> Node:
    """An operand in the shape of the part, from which axes of size 1 are missing, or too many."""
    if x.shape == shape:
        return x
    splat = x.inputs[0] if x.op is BROADCAST else x
    if not splat.ndim and splat.op is CONSTANT:
        return broadcast(splat, shape, ())
    inner = x.inputs[0] if x.op is RESHAPE and x.inputs[0].shape == shape else None
    return reshape(x, shape) if inner is None else inner


def _splat(part: Node) -> np.ndarray | None:
    """The array of a broadcast constant."""
    source = part.inputs[0] if part.op is BROADCAST else part
    shape = [s for s in part.shape if isinstance(s, int)]
    known = source.op is CONSTANT and not source.ndim and len(shape) == part.ndim
    return np.broadcast_to(params(source)[0].array, shape) if known else None


def _constants(parts: Sequence[Node], axis: int) -> Node:
    arrays = [splat if (splat := _splat(p)) is not None else params(p)[0].array for p in parts]
    return constant(np.concatenate(arrays, axis))
