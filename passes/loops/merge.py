"""Scans over the same turns that compute the same things become one.

    y = scan(c' = f(c, x))                          one scan: (c, dc)' = (f(c, x), f'(c, x) dc), rows of f
    dy = scan((c, dc)' = (f(c, x), f'(c, x) dc))

A derivative of a scan repeats it, with more carries or more rows; both in one graph would run it twice. Two scans of one length and
direction, neither of which needs the other, may run side by side in one body; which of their carries are the same is found by taking
all that begin alike to be equal, and taking back what one turn refutes (the greatest bisimulation, by refinement of a partition).
They are merged only if some carry is shared, or if neither has a carry and they go along the same arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import combinations

from graphc.control.scan import SCAN
from graphc.ir import Node, toposort
from graphc.ir import replace as replaced
from graphc.ops.outputs import GET
from graphc.passes.loops.opened import Carry, OpenScan, Row, close_scan, open_scan


def merge(roots: Sequence[Node]) -> list[Node]:
    """The roots with scans that repeat each other as one."""
    result = list(roots)
    apart: set[tuple[Node, Node]] = set()
    while (made := _merged_once(result, apart)) is not None:
        result = made
    return result


def _merged_once(roots: Sequence[Node], apart: set[tuple[Node, Node]]) -> list[Node] | None:
    """The roots with the first pair of scans merged that can be; None where there is none. `apart`: pairs known not to."""
    order = toposort(roots)
    groups: dict[Hashable, list[Node]] = {}
    for node in order:
        if node.op is SCAN:
            params = node.attrs
            groups.setdefault((params["length"], params["reverse"], params["checkpoint"], params["unroll"]), []).append(node)
    pairs = [
        p for group in groups.values() for p in combinations(group, 2) if p not in apart and not set(p[0].inputs).isdisjoint(p[1].inputs)
    ]
    if not pairs:
        return None
    needs = _needed(order, {node for pair in pairs for node in pair})
    for a, b in pairs:
        if not needs[b] >> (needs[a].bit_length() - 1) & 1:  # a comes first in the order, so it does not need b
            found = _together(a, b)
            if found is not None:
                gets = {node: found[node.inputs[0]][node.params[0]] for node in order if node.op is GET and node.inputs[0] in found}
                return replaced(roots, gets)
        apart.add((a, b))
    return None


def _needed(order: Sequence[Node], scans: set[Node]) -> dict[Node, int]:
    """For each node a set of bits, one for each of the scans that it needs; the highest bit of a scan is its own."""
    needs: dict[Node, int] = {}
    count = 0
    for node in order:
        bits = 0
        for i in node.inputs:
            bits |= needs[i]
        if node in scans:
            bits |= 1 << count
            count += 1
        needs[node] = bits
    return needs


def _together(a: Node, b: Node) -> dict[Node, Sequence[Node]] | None:
    """The outputs of both scans, from one; None where that saves nothing."""
    left = open_scan(a)
    right = _beside(left, open_scan(b, first=len(left.over)))
    both = [*left.carries, *right.carries]
    same = equal_carries(both)
    shared = {c.leaf: both[k].leaf for c, k in zip(both, same) if c is not both[k]}
    alike = not both and {r.array for r in left.rows} == {r.array for r in right.rows}
    if not alike and not any(c.leaf in shared for c in right.carries):
        return None
    kept = [k for k, first in enumerate(same) if k == first]
    results = replaced([*[both[k].next for k in kept], *left.ys, *right.ys], shared)
    merged = replace(
        left,
        carries=tuple([replace(both[k], next=n) for k, n in zip(kept, results)]),
        rows=tuple({r.leaf: r for r in (*left.rows, *right.rows)}.values()),
        ys=tuple(results[len(kept) :]),
        captured=(*left.captured, *right.captured),
    )
    made = close_scan(merged)
    place = {k: at for at, k in enumerate(kept)}
    count, middle = len(left.carries), len(kept) + len(left.ys)
    of_left = [made[place[same[k]]] for k in range(count)] + list(made[len(kept) : middle])
    of_right = [made[place[same[count + k]]] for k in range(len(right.carries))] + list(made[middle:])
    return {a: of_left, b: of_right}


def _beside(left: OpenScan, right: OpenScan) -> OpenScan:
    """The right loop with the turn of the left one, and its rows where they are of the same array."""
    known = {r.array: r.leaf for r in left.rows}
    shared = {r.leaf: known[r.array] for r in right.rows if r.array in known} | {right.turn: left.turn}
    results = replaced(right.results, shared)
    rows = [Row(r.array, shared.get(r.leaf, r.leaf)) for r in right.rows]
    return replace(right.with_results(results), turn=left.turn, rows=tuple(rows))


def equal_carries(carries: Sequence[Carry]) -> list[int]:
    """For each carry the first one that has its value in every turn: they begin alike, and where they are alike, they stay so."""
    classes: dict[Hashable, int] = {}
    same = [classes.setdefault(c.init, k) for k, c in enumerate(carries)]
    while True:
        nexts = replaced([c.next for c in carries], {c.leaf: carries[k].leaf for c, k in zip(carries, same) if c is not carries[k]})
        classes = {}
        finer = [classes.setdefault((first, node), k) for k, (first, node) in enumerate(zip(same, nexts))]
        if finer == same:
            return same
        same = finer
