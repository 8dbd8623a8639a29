"""Loops and branches of a graph made fewer and smaller: the passes of this room, in order, until nothing changes.

    prune    what nobody reads, and what does not change from turn to turn
    merge    scans that repeat each other
    move     products out of loops, before or behind them

Bodies first, then what holds them: invariant work climbs out of all loops that it lies in.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.control.scan import SCAN
from graphc.ir import Node, kinds_of
from graphc.ops.outputs import exchanged
from graphc.passes.loops.merge import merge
from graphc.passes.loops.move import moved
from graphc.passes.loops.prune import prune
from graphc.region import Region, with_bodies

ROUNDS = 8  # a pass may make work for another one, in practice once


def simplify_loops(roots: Sequence[Node], known: dict[Region, Region] | None = None) -> list[Node]:
    """The roots with simpler loops; the same nodes where there is none to simplify."""
    result = list(roots)
    if not any([op.regions for op in kinds_of(result)]):
        return result
    bodies = {} if known is None else known
    for _ in range(ROUNDS):
        before = result
        result = merge(prune(_in_bodies(result, bodies)))
        result = exchanged(result, lambda node: moved(node) if node.op is SCAN else None)
        if all(a is b for a, b in zip(before, result)):
            break
    return result


def _in_bodies(roots: Sequence[Node], known: dict[Region, Region]) -> list[Node]:
    """The roots with simpler bodies."""

    def simpler(region: Region) -> Region:
        if region not in known:
            found = region.with_outputs(simplify_loops(region.outputs, known))
            known[region] = known[found] = found
        return known[region]

    return with_bodies(roots, simpler)
