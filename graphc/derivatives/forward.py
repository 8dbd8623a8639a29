"""Forward mode: `jvp(outputs, wrt, tangents)` carries J v from `wrt` to the outputs in one sweep.

An op pushes tangents forward by its own `jvp` where it has one; an elementwise op by its vjp, since a diagonal matrix is its own
transpose; an op that is linear in an input by itself; any other by its vjp transposed once more. A tangent of None is zero, and
nothing is built for it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from graphc.derivatives.grad import collector_paused, has_float, no_derivative, pull_back, readied, refuse
from graphc.derivatives.user_trees import floats_of, nodes_of, seeds_of, zeros_like
from graphc.dtypes import is_float
from graphc.errors import NotDifferentiableError, fail
from graphc.ir import Node, make, origin, toposort
from graphc.ops.derived import derived
from graphc.ops.outputs import GET, listed
from graphc.ops.outputs import outputs as results
from graphc.ops.registry import INPUT, variable
from graphc.tree import Tree


def jvp(outputs: Tree, wrt: Tree, tangents: Tree, *, consider_constant: Tree = ()) -> Tree:
    """J v with J = d outputs / d wrt: a tree like `outputs`.

    tangents: the v, a tree like `wrt` of nodes or arrays of their shapes; None stands for zeros. An output that depends on none of
    them gives zeros. Raises ArgumentError, ShapeError, NotDifferentiableError.
    """
    out, sources = floats_of("jvp", "outputs", outputs), floats_of("jvp", "wrt", wrt)
    constant = set(nodes_of("jvp", "consider_constant", consider_constant).nodes)
    seeds: dict[Node, Node] = {}
    for node, v in zip(sources.nodes, seeds_of("jvp", "tangents", tangents, sources)):
        if v is not None:
            seeds[node] = seeds[node] + v if node in seeds else v
    ready = readied(out.nodes, sources.nodes, constant)
    pushed = push_forward(ready, seeds, constant)
    held = set(sources.nodes)
    return out.unflatten([derived([zeros_like(node) if t is None else t], [node], held)[0] for node, t in zip(out.nodes, pushed)])


@collector_paused()
def push_forward(outputs: Sequence[Node], seeds: Mapping[Node, Node], constant: AbstractSet[Node] = frozenset()) -> list[Node | None]:
    """The tangent of each output when the nodes of `seeds` have these tangents (added to what reaches them); None is zero."""
    tangents: dict[Node, Node] = {}
    several: dict[Node, Sequence[Node | None]] = {}  # the tangents of a node of several outputs
    for node in toposort(outputs, stop=constant):
        tangent = seeds.get(node)
        if node.op is GET and node not in constant and (found := several.get(node.inputs[0])) is not None:
            pushed: Node | None = found[node.params[0]]
        elif node.inputs and node not in constant and any(i in tangents for i in node.inputs):
            with origin(node.site):
                parts = _pushed(node, [tangents.get(i) for i in node.inputs])
            if isinstance(node.type, tuple):
                several[node] = parts
                continue
            (pushed,) = parts
        else:
            pushed = None
        if pushed is not None:
            with origin(node.site):
                tangent = pushed if tangent is None else tangent + pushed
        if tangent is not None:
            tangents[node] = tangent
    return [tangents.get(node) for node in outputs]


def _pushed(node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
    """The tangents of an op's outputs, one or several."""
    op, params = node.op, node.attrs
    out = results(node)
    if op.traits.stops or not has_float(node):
        return [None] * len(out)
    if op.jvp is not None:
        if not isinstance(node.type, tuple):
            return [op.jvp(node, node.inputs, tangents, **params)]  # type: ignore[list-item]
        return listed(op.jvp(out, node.inputs, tangents, **params), node, "jvp", len(out), "output")
    if op.vjp is None:
        no_derivative(node)
    if op.elementwise and all(t is None or k in op.linear_in for k, t in enumerate(tangents)):  # select, cast: jointly linear
        moved = [(i if k not in op.linear_in else zeros_like(i)) if t is None else t for k, (i, t) in enumerate(zip(node.inputs, tangents))]
        return results(make(op, tuple(moved), node.params))
    parts = [_along(node, k, t) for k, t in enumerate(tangents) if t is not None]
    return [functools.reduce(operator.add, found) if (found := [p for p in column if p is not None]) else None for column in zip(*parts)]


def _along(node: Node, k: int, t: Node) -> Sequence[Node | None]:
    """The derivative along the input k: d outputs / d input k applied to t."""
    op = node.op
    refuse(node, [k])
    if k in op.linear_in:  # contract: linear in each, the other held
        return results(make(op, (*node.inputs[:k], t, *node.inputs[k + 1 :]), node.params))
    out = results(node)
    floats = [is_float(o.dtype) for o in out]
    if op.elementwise:
        return [_transposed(node, [t if j == o else None for o in range(len(out))])[k] if floats[j] else None for j in range(len(out))]
    # u -> vjp(u)[k] is linear, and its transpose is the derivative; u is a stand-in that the result does not mention
    u = [variable(INPUT, "u", o.dtype, o.shape) if f else None for o, f in zip(out, floats)]
    transposed = _transposed(node, u)[k]
    if transposed is None:
        return [None] * len(out)
    found = pull_back([(transposed, t)], {stand_in for stand_in in u if stand_in is not None})
    if op.regions and not set(u).isdisjoint(toposort(list(found.values()))):
        hint = "declare it with jvp=: what its vjp gives cannot be transposed"
        fail(NotDifferentiableError, f"the op {op.name} has no jvp", node, hint=hint)
    return [None if stand_in is None else found.get(stand_in) for stand_in in u]


def _transposed(node: Node, g: Sequence[Node | None]) -> Sequence[Node | None]:
    """The vjp of one op: of the cotangents of its outputs those of its inputs."""
    assert node.op.vjp is not None
    several = isinstance(node.type, tuple)
    found = node.op.vjp(*((tuple(g), results(node)) if several else (g[0], node)), *node.inputs, **node.attrs)
    return listed(found, node, "derivative", len(node.inputs), "input")
