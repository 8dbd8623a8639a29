"""`vmap`: a function of single examples made a function of batches, by giving every op on the way a leading axis.

    batch(outputs, {x: xs}, size)    the outputs with x replaced by xs, which has a leading axis of `size` lanes
    vmap(f, in_axes, out_axes)       f traced once on one lane's variables, then batched

An elementwise op takes its unmapped inputs broadcast along the lanes; any other op has a `batch` rule. What does not
depend on a lane is not touched: it is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc import tree
from graphc.derivatives.user_trees import aligned
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.enclosing import inside
from graphc.errors import ArgumentError, GraphcError, ShapeError, fail
from graphc.ir import Node, make, origin, toposort
from graphc.ops.create import iota
from graphc.ops.outputs import GET, listed
from graphc.ops.outputs import outputs as results
from graphc.ops.registry import INPUT, asarray, variable
from graphc.ops.shape import moveaxis
from graphc.ops.spread import broadcast
from graphc.tree import Tree
from graphc.types import normal_axis, same_size


class NoBatchRule(GraphcError, NotImplementedError):
    """An op that has no rule for a mapped axis was reached by vmap."""


def vmap(f: Callable[..., Tree], in_axes: Tree = 0, out_axes: Tree = 0) -> Callable[..., Tree]:
    """f over a batch: vmap(f)(xs)[k] = f(xs[k]), without a loop.

    f: a function of trees of nodes that returns a tree of nodes. in_axes: the axis of each argument that is mapped, None where it is
    the same for all lanes: one for all arguments, or a tuple with one entry per argument, each an axis or a tree of axes. out_axes:
    where the mapped axis goes in the results, likewise; None for a result that is the same in all lanes. Mapped sizes must agree.
    Raises ArgumentError, ShapeError, and NoBatchRule where an op has no rule.
    """

    def mapped(*args: Tree) -> Tree:
        leaves, structure = tree.flatten(args)
        spec = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(spec) != len(args):
            fail(ArgumentError, f"vmap: in_axes has {len(spec)} entries for {len(args)} arguments")
        axes = aligned("vmap", "in_axes", tuple(spec), structure, _is_axis)
        nodes = [asarray(leaf) for leaf in leaves]
        lanes: dict[Node, Node] = {}
        size: Size | None = None
        parts: list[Node] = []
        for node, axis, path in zip(nodes, axes, tree.paths(args)):
            if axis is None:
                parts.append(node)
                continue
            moved = _moved(node, normal_axis(axis, node.ndim, f"vmap: in_axes{path}", node), 0)
            if size is None:
                size = moved.shape[0]
            elif not same_size(size, moved.shape[0]):
                fail(ShapeError, f"vmap: the mapped sizes differ, {size} and {moved.shape[0]} (argument{path})", *nodes)
            part = variable(INPUT, node.name or "lane", node.dtype, moved.shape[1:])
            lanes[part] = moved
            parts.append(part)
        if size is None:
            fail(ArgumentError, "vmap: nothing is mapped", hint="give in_axes an axis for at least one argument")
        lane = variable(INPUT, "lane", int64, ())
        lanes[lane] = iota((size,), 0)
        with inside(lane):
            results, out_structure = tree.flatten(f(*tree.unflatten(structure, parts)))
        out_spec = aligned("vmap", "out_axes", out_axes, out_structure, _is_axis)
        done = []
        for (node, is_mapped), axis in zip(batch([asarray(r) for r in results], lanes, size), out_spec):
            if axis is None:
                if is_mapped:
                    fail(ArgumentError, "vmap: out_axes is None for a result that differs between lanes", node)
                done.append(node)
            else:
                whole = node if is_mapped else lift(node, size)
                done.append(_moved(whole, 0, normal_axis(axis, whole.ndim, "vmap: out_axes", whole)))
        return tree.unflatten(out_structure, done)

    mapped.__name__ = getattr(f, "__name__", "f")
    mapped.__doc__ = f.__doc__
    return mapped


def batch(outputs: Sequence[Node], mapping: Mapping[Node, Node], size: Size) -> list[tuple[Node, bool]]:
    """(the output with its lanes along a new leading axis, True), or (the output itself, False) where no lane matters to it.

    `mapping`: old node -> new node with a leading axis of `size`. One walk over the graph of the outputs.
    """
    new: dict[Node, Node] = dict(mapping)
    several: dict[Node, Sequence[Node]] = {}  # of a node of several outputs the lanes of each
    for node in toposort(outputs, stop=mapping):
        if node.op is GET and node not in new and (lanes := several.get(node.inputs[0])) is not None:
            new[node] = lanes[node.params[0]]
        elif node not in new and any(i in new for i in node.inputs):
            with origin(node.site):
                made = _batched(node, new, size)
            if isinstance(node.type, tuple):
                several[node] = made
            else:
                (new[node],) = made
    return [(new[node], True) if node in new else (node, False) for node in outputs]


def _batched(node: Node, new: Mapping[Node, Node], size: Size) -> Sequence[Node]:
    """One op over all lanes: its outputs, one or several."""
    op = node.op
    mapped = [i in new for i in node.inputs]
    if op.elementwise:
        return results(make(op, tuple([new[i] if m else lift(i, size) for i, m in zip(node.inputs, mapped)]), node.params))
    if op.batch is None:
        hint = "give its Op a `batch` rule, or compute it outside vmap"
        fail(NoBatchRule, f"vmap: {op.name} has no rule for a mapped axis", node, hint=hint)
    made = op.batch([new.get(i, i) for i in node.inputs], mapped, **node.attrs)
    if not isinstance(node.type, tuple):
        return (made,)  # type: ignore[return-value]
    return listed(made, node, "batch rule", len(node.type), "output")


def lift(node: Node, size: Size) -> Node:
    """The same value in every lane."""
    return broadcast(node, (size, *node.shape), tuple(range(1, node.ndim + 1)))


def _moved(node: Node, source: int, target: int) -> Node:
    return node if source == target else moveaxis(node, source, target)


def _is_axis(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
