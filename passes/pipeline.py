"""The compiler as visible tuples: the page to read first.

graph passes      Graph -> Graph        exact meaning kept but for the rounding a rule owns up to
fuse              Graph -> clusters     which values share a kernel
assemble          clusters -> Program   stages, operands, buffers, checks, commit point
plan_memory       Program -> Program    updates in place, arena offsets
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphc.dims import Size
from graphc.ir import Graph, Node
from graphc.program import Program
from passes.assemble import assemble
from passes.fuse import fuse
from passes.memory import plan_memory
from passes.simplify import simplify


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


def plan(graph: Graph, updates: Sequence[tuple[Node, Node]], size_checks: Sequence[tuple[Size, Size]], log: Log) -> Program:
    """Fuse, assemble, plan memory. The last len(updates) outputs of the graph are the new values."""
    start = time.perf_counter()
    fused = fuse(graph)
    program = plan_memory(assemble(graph, updates, fused, size_checks))
    took = (time.perf_counter() - start) * 1e3
    log.lines.append(
        f"fuse, assemble, plan_memory: {len(fused.clusters)} clusters, {len(program.kernels())} different kernels, {took:.1f} ms"
    )
    return program
