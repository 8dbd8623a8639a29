"""What nobody reads leaves a loop, and what does not change in it.

    outputs that are not read; carries and rows that only such outputs need      gone
    a carry that each turn gives back as it came                                 what it begins as
    ys that are a row of xs, a value that no turn changes, or other ys           the array; repeated; these
    a loop of no turn, or of one                                                 what it begins as; its body
    a branch chosen by a constant                                                that branch

One walk from the outputs of a graph finds what is read, one back builds it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.control.while_loop import WHILE
from graphc.derivatives.batch import lift
from graphc.dtypes import int64
from graphc.ir import Node, Op, make, origin, rebuild, toposort
from graphc.ir import replace as replaced
from graphc.ops.outputs import GET, outputs
from graphc.ops.registry import CONSTANT, asarray
from graphc.ops.shape import expand_dims
from graphc.ops.spread import broadcast
from graphc.passes.loops.opened import OpenScan, close_scan, depends, invariants, open_scan, stand_in
from graphc.records import dataclass
from graphc.region import Region, bind

Given = Mapping[int, Node]  # of the outputs that are read what takes their place


@dataclass(frozen=True)
class Pruning:
    """Of an op with bodies: needs(node, read) are the operands that these outputs need, pruned(node, inputs, read) gives these outputs."""

    needs: Callable[[Node, Collection[int]], Collection[int]]
    pruned: Callable[[Node, Sequence[Node], Sequence[int]], Given]


def prune(roots: Sequence[Node]) -> list[Node]:
    """The roots with every loop and branch on the way cut down to what they read of it."""
    order = toposort(roots)
    read: dict[Node, set[int]] = {}
    live = set(roots)
    for node in reversed(order):
        if node not in live:
            continue
        if node.op is GET:
            read.setdefault(node.inputs[0], set()).add(node.params[0])
        row = PRUNED.get(node.op)
        live.update(node.inputs if row is None else [node.inputs[k] for k in row.needs(node, read[node])])
    new: dict[Node, Node] = {}
    several: dict[Node, Given] = {}
    for node in order:
        if node not in live:
            continue
        row = PRUNED.get(node.op)
        if row is not None:
            with origin(node.site):
                several[node] = row.pruned(node, [new.get(i, i) for i in node.inputs], sorted(read[node]))
        elif node.op is GET and node.inputs[0] in several:
            new[node] = several[node.inputs[0]][node.params[0]]
        else:
            new[node] = rebuild(node, tuple([new[i] for i in node.inputs]))
    return [new[root] for root in roots]


# -- scan -------------------------------------------------------------------------------------------------------------
Cone = Callable[[Sequence[Node]], Collection[Node]]


def _alive(leaves: Sequence[Node], results: Sequence[Node], read: Collection[int], cone: Cone) -> tuple[list[int], set[Node]]:
    """(the carries that live, what a turn computes for them and for the other results that are read).

    leaves[k] is what carry k is in a turn, results[k] what it is after it; the results behind the carries may be read too.
    """
    alive = {k for k in read if k < len(leaves)}
    while True:
        needed = set(cone([results[k] for k in sorted(alive | set(read))]))
        found = {k for k, leaf in enumerate(leaves) if leaf in needed} - alive
        if not found:
            return sorted(alive), needed
        alive |= found


def _operands(body: Region, carries: int, results: Sequence[Node], read: Collection[int]) -> list[int]:
    """The operands of a loop that the results which are read need: what live carries begin as, and what their turns read besides."""
    alive, cone = _alive(body.inputs[1 : 1 + carries], results, read, toposort)
    return [k for k, leaf in enumerate(body.inputs[1:]) if (k in alive if k < carries else leaf in cone)]


def _scan_needs(node: Node, read: Collection[int]) -> list[int]:
    body, carries = node.attrs["body"], node.attrs["carries"]
    return _operands(body, carries, body.outputs, read)


def _scan_pruned(node: Node, inputs: Sequence[Node], read: Sequence[int]) -> Given:
    length = node.attrs["length"]
    scan = open_scan(node, inputs)
    if isinstance(length, int) and length <= 1:
        return _unrolled(scan, read)
    count = len(scan.carries)
    given: dict[int, Node] = {}
    scan = _settled(scan)
    first: dict[Node, int] = {}
    for k in [k for k in read if k >= count]:
        y = scan.ys[k - count]
        array = next((r.array for r in scan.rows if r.leaf is y), None)
        if array is not None:
            given[k] = array
        elif y not in depends(scan.order([y]), scan.over):
            given[k] = lift(y, length)
        else:
            first.setdefault(y, k)
    for k in [k for k in read if k < count]:
        if scan.carries[k].next is scan.carries[k].leaf:
            given[k] = scan.carries[k].init
    kept = [k for k in read if k not in given and (k < count or first[scan.ys[k - count]] == k)]
    made = dict(zip(kept, _kept(scan, kept)))
    return given | {k: made[k if k < count else first[scan.ys[k - count]]] for k in read if k not in given}


def _settled(scan: OpenScan) -> OpenScan:
    """The loop with what each carry begins as in place of those that never change."""
    while True:
        fixed = {c.leaf: c.init for c in scan.carries if c.next is c.leaf}
        results = replaced(scan.results, fixed)
        results = [c.leaf if c.leaf in fixed else r for c, r in zip(scan.carries, results)] + results[len(scan.carries) :]
        if all(a is b for a, b in zip(results, scan.results)):
            return scan
        scan = replace(scan.with_results(results), captured=(*scan.captured, *fixed.values()))


def _kept(scan: OpenScan, kept: Sequence[int]) -> list[Node]:
    """The outputs `kept` of the scan of what these need."""
    if not kept:
        return []
    count = len(scan.carries)
    carries, cone = _alive([c.leaf for c in scan.carries], scan.results, kept, scan.order)
    ys = [k for k in kept if k >= count]
    closed = close_scan(
        replace(
            scan,
            carries=tuple([scan.carries[k] for k in carries]),
            rows=tuple([r for r in scan.rows if r.leaf in cone]),
            ys=tuple([scan.results[k] for k in ys]),
        )
    )
    place = {k: at for at, k in enumerate([*carries, *ys])}
    return [closed[place[k]] for k in kept]


def _unrolled(scan: OpenScan, read: Sequence[int]) -> Given:
    """The outputs of a loop of no turn, or of one."""
    count = len(scan.carries)
    if scan.length == 0:
        return {k: scan.carries[k].init if k < count else _no_rows(scan.ys[k - count]) for k in read}
    once = {scan.turn: asarray(np.zeros((), int64))}
    once |= {c.leaf: c.init for c in scan.carries} | {r.leaf: r.array[0] for r in scan.rows}
    made = replaced([scan.results[k] for k in read], once)
    return {k: value if k < count else expand_dims(value, 0) for k, value in zip(read, made)}


def _no_rows(like: Node) -> Node:
    return broadcast(asarray(np.zeros((), like.dtype)), (0, *like.shape), ())


# -- while ------------------------------------------------------------------------------------------------------------
def _while_needs(node: Node, read: Collection[int]) -> list[int]:
    body, condition, carries = node.attrs["body"], node.attrs["condition"], node.attrs["carries"]
    return _operands(body, carries, [*body.outputs, *condition.outputs], {*[k for k in read if k < carries], carries})


def _while_pruned(node: Node, inputs: Sequence[Node], read: Sequence[int]) -> Given:
    params = node.attrs
    body, condition, carries = params["body"], params["condition"], params["carries"]
    leaves, captured = [stand_in(k, t) for k, t in enumerate(body.types[: 1 + carries])], inputs[carries:]
    results = [*body(*leaves, *captured), *condition(*leaves, *captured)]
    order = functools.partial(toposort, stop=(*leaves, *captured))
    alive, _ = _alive(leaves[1:], results, {*[k for k in read if k < carries], carries}, order)
    over, results = [leaves[0], *[leaves[1 + k] for k in alive]], [*[results[k] for k in alive], results[-1]]
    outside = invariants(results, over, captured)
    both = bind(results, [*over, *outside])
    params |= {"carries": len(alive), "condition": both.with_outputs(both.outputs[-1:]), "body": both.with_outputs(both.outputs[:-1])}
    made = outputs(make(WHILE, (*[inputs[k] for k in alive], *outside), tuple(params[name] for name in WHILE.params)))
    place = {k: at for at, k in enumerate([*alive, carries])}
    return {k: made[place[k]] for k in read}


# -- switch -----------------------------------------------------------------------------------------------------------
def _switch_needs(node: Node, read: Collection[int]) -> list[int]:
    branches = node.attrs["branches"]
    cone = set(toposort([branch.outputs[k] for branch in branches for k in read]))
    return [0, *[k for k in range(1, len(node.inputs)) if any(branch.inputs[k - 1] in cone for branch in branches)]]


def _switch_pruned(node: Node, inputs: Sequence[Node], read: Sequence[int]) -> Given:
    (index, *operands), branches = inputs, node.attrs["branches"]
    if index.op is CONSTANT:
        chosen = branches[min(max(int(index.params[0].array), 0), len(branches) - 1)]
        made = chosen(*operands)
        return {k: made[k] for k in read}
    bodies = [tuple([branch.outputs[k] for k in read]) for branch in branches]
    kept = [k - 1 for k in _switch_needs(node, read)[1:]]
    leaves = [branches[0].inputs[k] for k in kept]
    alike = all([a is b for body in bodies for a, b in zip(body, bodies[0])])
    if alike and not any([n.op.regions or n.op.traits.checked for n in toposort(bodies[0])]):
        made = branches[0](*operands)
        return {k: made[k] for k in read}
    every = bind([r for body in bodies for r in body], leaves)
    width = len(read)
    parts = tuple([every.with_outputs(every.outputs[at : at + width]) for at in range(0, width * len(bodies), width)])
    found = outputs(make(SWITCH, (index, *[operands[k] for k in kept]), (parts,)))
    return dict(zip(read, found))


PRUNED: dict[Op, Pruning] = {
    SCAN: Pruning(_scan_needs, _scan_pruned),
    WHILE: Pruning(_while_needs, _while_pruned),
    SWITCH: Pruning(_switch_needs, _switch_pruned),
}
