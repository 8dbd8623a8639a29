"""The compiler as visible tuples: the page to read first.

graph passes      Graph -> Graph        exact meaning kept but for the rounding a rule owns up to
fuse              Graph -> clusters     which values share a kernel
assemble          clusters -> Program   stages, operands, buffers, checks, commit point
split_reductions  Program -> Program    large reductions as grids of partial results
update_in_place   Program -> Program    new state where the old one was
block             Program -> Program    runs of elementwise kernels, one piece of all arrays after the other
plan_memory       Program -> Program    arena offsets
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphc.dims import Size
from graphc.ir import Graph, Node
from graphc.passes.fusion.assemble import assemble
from graphc.passes.fusion.fuse import fuse
from graphc.passes.fusion.split_reductions import split_reductions
from graphc.passes.simplify import simplify
from graphc.passes.storage.cache_blocks import block
from graphc.passes.storage.memory import plan_memory, update_in_place
from graphc.program import Program
from graphc.target import Target


@dataclass
class Log:
    """What the passes did: a line each, and the rules that fired with the user's lines."""

    lines: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    sites: dict[str, list[str]] = field(default_factory=dict)


GraphPass = Callable[[Graph, Log], Graph]

LEVELS: dict[str, tuple[GraphPass, ...]] = {
    "none": (),
    "default": (simplify,),
}


def optimise(graph: Graph, mode: str, log: Log) -> Graph:
    """The graph passes of a level."""
    for run in LEVELS[mode]:
        start, before = time.perf_counter(), len(graph.order)
        graph = run(graph, log)
        took = (time.perf_counter() - start) * 1e3
        log.lines.append(f"{run.__name__}: {before} -> {len(graph.order)} nodes, {took:.1f} ms")
    return graph


def plan(
    graph: Graph,
    updates: Sequence[tuple[Node, Node]],
    size_checks: Sequence[tuple[Size, Size]],
    log: Log,
    target: Target | None = None,
) -> Program:
    """Fuse, assemble, plan memory. The last len(updates) outputs of the graph are the new values; without a target no cache is known."""
    start = time.perf_counter()
    fused = fuse(graph)
    program = update_in_place(split_reductions(assemble(graph, updates, fused, size_checks)))
    if target is not None:
        program = block(program, target.l2 // 2)
    program = plan_memory(program)
    took = (time.perf_counter() - start) * 1e3
    log.lines.append(
        f"fuse, assemble, plan_memory: {len(fused.clusters)} clusters, {len(program.kernels())} different kernels, {took:.1f} ms"
    )
    return program
