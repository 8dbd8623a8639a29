"""`derived`: a derivative that remembers what it is a derivative of, where its own graph does not show it any more.

    grad(grad(grad(t**3)))  ->  derived(6.0, t**3)

The number 6.0 alone does not depend on t, and to differentiate it with respect to t would be an error, as it is for a 6.0 that the
user wrote. The third derivative of t**3 does depend on t, if only as a constant: its derivative is 0. So the fact lies in the graph,
as an arc from the derivative to what was differentiated; `settled` takes these arcs out before anything is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.dtypes import is_float
from graphc.ir import Node, kinds_of, make, origin, rebuild, toposort
from graphc.ops.registry import structural
from graphc.ops.spread import broadcast
from graphc.region import map_regions

Nodes = Sequence[Node]


def _batch(inputs: Nodes, mapped: Sequence[bool]) -> Node:
    value, *of = inputs
    if not mapped[0]:
        lanes = next(x.shape[0] for x, is_mapped in zip(inputs, mapped) if is_mapped)
        value = broadcast(value, (lanes, *value.shape), tuple(range(1, value.ndim + 1)))
    return make(DERIVED, (value, *of))


DERIVED = structural(
    "derived", None, "The first input, a derivative of the others.", type_rule=lambda value, *of: value, ref=lambda value, *of: value,
    vjp=lambda g, out, value, *of: (g, *[None] * len(of)), linear_in=(0,), batch=_batch,
)  # fmt: skip


LOOK = 1 << 14  # nodes that are searched, some 5 ms, for what derivatives may have lost; where that does not do, it is remembered unasked


def derived(values: Nodes, of: Nodes, wrt: Collection[Node]) -> list[Node]:
    """The derivatives `values` of the expressions `of`: those that have lost sight of a variable, or of a node of `wrt`, remember it."""
    leaves = {n for n in toposort(of) if n in wrt or (n.op.traits.variable and is_float(n.dtype))}
    result, left = [], LOOK
    for value in values:
        reaches, looked = _reaches(value, leaves, left)
        left -= looked
        result.append(value if reaches else make(DERIVED, (value, *of)))
    return result


def _reaches(value: Node, leaves: Collection[Node], limit: int) -> tuple[bool, int]:
    """Whether all the leaves lie below `value`, as far as that can be seen in `limit` nodes, and how many were looked at."""
    missing, seen, stack = set(leaves), {value}, [value]
    while stack and missing and len(seen) < limit:
        node = stack.pop()
        missing.discard(node)
        for i in node.inputs:
            if i not in seen:
                seen.add(i)
                stack.append(i)
    return not missing, len(seen)


def settled(roots: Nodes, keep: Collection[Node] = ()) -> list[Node]:
    """The roots without what `derived` remembers; nodes of `keep` are not entered.

    derived(6.0, t**3) * x  ->  6.0 * x
    """
    if not any([op is DERIVED or op.regions for op in kinds_of(roots)]):
        return list(roots)
    order = toposort(roots, stop=keep)
    new: dict[Node, Node] = {node: node for node in keep}
    for node in order:
        if node in new:
            continue
        inputs = tuple([new[i] for i in node.inputs])
        if node.op is DERIVED:
            new[node] = inputs[0]
        elif not node.op.regions or (params := map_regions(node, lambda r: r.with_outputs(settled(r.outputs)))) == node.params:
            new[node] = rebuild(node, inputs)
        else:
            with origin(node.site):
                new[node] = make(node.op, inputs, params)
    return [new[root] for root in roots]
