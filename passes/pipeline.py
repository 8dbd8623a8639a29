"""The compiler as visible tuples: the page to read first.

LEVELS    Graph -> Graph                 exact meaning kept but for the rounding a rule owns up to
PROGRAM   Graph -> Fused -> Program      the rows below, in order; one runner verifies, times and logs each
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import field, replace

from graphc.dims import Size
from graphc.ir import Graph, Node
from graphc.options import Options, default_options
from graphc.passes.fusion.assemble import assemble
from graphc.passes.fusion.cluster import Fused
from graphc.passes.fusion.fuse import fuse
from graphc.passes.fusion.split_reductions import split_reductions
from graphc.passes.fusion.verify_clusters import verify_clusters
from graphc.passes.inline import inline
from graphc.passes.recompute import recompute
from graphc.passes.simplify import simplify
from graphc.passes.storage.cache_blocks import block
from graphc.passes.storage.kernel_scratch import Needs, declare_scratch
from graphc.passes.storage.memory import plan_memory, update_in_place
from graphc.passes.storage.postponed_sums import postpone_sums
from graphc.passes.storage.scalar_buffers import pack
from graphc.program import Program
from graphc.records import dataclass
from graphc.verify.graph import verify
from graphc.verify.program import verify_program


@dataclass
class Log:
    """What the passes did: a line each, and the rules that fired with the user's lines."""

    lines: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    sites: dict[str, list[str]] = field(default_factory=dict)


GraphPass = Callable[[Graph, Log], Graph]

LEVELS: dict[str, tuple[GraphPass, ...]] = {
    "none": (inline,),
    "default": (inline, simplify),
}


def optimise(graph: Graph, mode: str, log: Log, check: bool | None = None) -> Graph:
    """The graph passes of a level; verified before the first and after each with `check`, or where the default options say so."""
    check = default_options().verify if check is None else check
    if check:
        verify(graph)
    for run in LEVELS[mode]:
        start, before = time.perf_counter(), len(graph.order)
        graph = run(graph, log)
        took = (time.perf_counter() - start) * 1e3
        log.lines.append(f"{run.__name__}: {before} -> {len(graph.order)} nodes, {took:.1f} ms")
        if check:
            verify(graph)
    return graph


# -- from graph to program --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Stage:
    """What the program passes have made so far of a graph, and what they were asked for."""

    graph: Graph
    updates: tuple[tuple[Node, Node], ...]  # (variable, new value): the last outputs of the graph
    size_checks: tuple[tuple[Size, Size], ...]
    options: Options
    needs: Needs | None = None
    fused: Fused | None = None
    program: Program | None = None

    @property
    def clusters(self) -> Fused:
        assert self.fused is not None, "`fuse` comes first"
        return self.fused

    @property
    def steps(self) -> Program:
        assert self.program is not None, "`assemble` comes first"
        return self.program

    def check(self) -> None:
        """Verify what was made last."""
        if self.program is not None:
            verify_program(self.program)
        elif self.fused is not None:
            verify_clusters(self.graph, self.fused)

    def describe(self) -> str:
        if self.program is None:
            return f"{len(self.clusters.clusters)} clusters"
        return f"{len(self.program.steps)} steps, {len(self.program.kernels())} different kernels"


@dataclass(frozen=True)
class ProgramPass:
    """A named row: what it makes of what there is."""

    name: str
    run: Callable[[Stage], Stage]


def on_program(name: str, change: Callable[[Program], Program]) -> ProgramPass:
    """A row that reads and changes the program alone."""
    return ProgramPass(name, lambda s: replace(s, program=change(s.steps)))


def _assembled(s: Stage) -> Stage:
    return replace(s, program=assemble(s.graph, s.updates, s.clusters, s.size_checks))


def _blocked(s: Stage) -> Stage:
    target = s.options.target  # without one no cache is known
    return s if target is None else replace(s, program=block(s.steps, target.l2 // 2))


def _recomputed(s: Stage) -> Stage:
    target = s.options.target
    return s if target is None else replace(s, program=recompute(s.steps, target.l2))


def _placed(s: Stage) -> Stage:
    return replace(s, program=plan_memory(s.steps, s.options.canaries))


def _declared(s: Stage) -> Stage:
    return s if s.needs is None else replace(s, program=declare_scratch(s.steps, s.needs))


PROGRAM: tuple[ProgramPass, ...] = (
    ProgramPass("fuse", lambda s: replace(s, fused=fuse(s.graph, s.options.target))),  # which values share a kernel
    ProgramPass("assemble", _assembled),  # stages, operands, buffers, checks, commit point
    on_program("postpone sums", postpone_sums),  # that would stand between two halves of a run in cache blocks
    on_program("split reductions", split_reductions),  # large ones as grids of partial results, which threads share
    on_program("update in place", update_in_place),  # new state where the old one was
    ProgramPass("cache blocks", _blocked),  # runs of kernels over elements or rows, one piece of all arrays after the other
    ProgramPass("recompute", _recomputed),  # what the second half of a large program computes once more rather than reads
    on_program("scalar buffers", pack),  # values of rank 0 side by side
    ProgramPass("scratch", _declared),  # what code generation keeps beside
    ProgramPass("plan memory", _placed),  # offsets in the arena
)


def plan(
    graph: Graph,
    updates: Sequence[tuple[Node, Node]],
    size_checks: Sequence[tuple[Size, Size]],
    log: Log,
    options: Options | None = None,
    needs: Needs | None = None,
    passes: Sequence[ProgramPass] = PROGRAM,
) -> Program:
    """The program of a graph. The last len(updates) outputs of the graph are the new values. `needs`: see `declare_scratch`."""
    made = Stage(graph, tuple(updates), tuple(size_checks), options or default_options(), needs)
    for row in passes:
        start, before = time.perf_counter(), made.program
        made = row.run(made)
        took = (time.perf_counter() - start) * 1e3
        if made.options.verify and (made.program is None or made.program is not before):
            made.check()
        log.lines.append(f"{row.name}: {made.describe()}, {took:.1f} ms")
    return made.steps
