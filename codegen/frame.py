"""What `i64 run(ptr slots, ptr sizes, i64 from)` is told, and what it tells.

slots   the addresses of inputs, state, constants, outputs and the arena
sizes   n, m, ..        the size symbols, in order
        turn, ..        what the turns of loops bind: it outlives a call of Python in a loop, after which `run` goes on
        position, value what a failed check found
        own             how far behind the first thread's scratch that of this thread lies: workers have frames of their own
        left, every, asked, looked     see `graphc.codegen.runtime.signals`
        status          for whoever is handed the sizes alone
from    FINISHED: begin; else the number of the host call to go on behind, or of the loop to go on in
gives   FINISHED, or the number of the step to look at: a check that failed, a host call to be made, a loop in which to look for signals
"""

from __future__ import annotations

from graphc import dims
from graphc.dims import Symbol
from graphc.program import Buffer, Program
from graphc.records import dataclass

FINISHED = -1


@dataclass(frozen=True)
class Frame:
    """The words of `sizes`."""

    symbols: tuple[Symbol, ...]
    counters: tuple[Symbol, ...]

    @property
    def place(self) -> dict[Symbol, int]:
        """Where each size and each counter lies."""
        return {s: k for k, s in enumerate((*self.symbols, *self.counters))}

    @property
    def found(self) -> int:
        """Where a failed check leaves its position; the index found there is in the next word."""
        return len(self.symbols) + len(self.counters)

    @property
    def own(self) -> int:
        """Where it stands which thread's frame it is, in bytes of scratch."""
        return self.found + 2

    @property
    def signals(self) -> int:
        """Where it stands when to look for signals, in four words."""
        return self.found + 3

    @property
    def words(self) -> int:
        return self.found + 8


def frame_of(program: Program) -> Frame:
    """The frame of a program: its size symbols in order, but for the counters, which come behind them."""
    found: set[Symbol] = set()
    for b in program.buffers:
        for s in (*b.shape, *(() if b.offset is None else (b.offset,))):
            found |= dims.symbols(s)
    found |= dims.symbols(program.arena) | dims.symbols(program.scratch)
    for step in program.numbered:
        found |= step.symbols
    for node in (*program.inputs, *program.shared):
        for s in node.shape:
            found |= dims.symbols(s)
    return Frame(tuple(sorted(found - {*program.counters})), program.counters)


def slot_of(program: Program, buffer: Buffer) -> int:
    """The position of a buffer's address among the slots: inputs, state, constants, outputs, then the arena."""
    base = 0
    for role, count in _slots(program).items():
        if role == buffer.role:
            return base + buffer.index
        base += count
    return base


def arena_slot(program: Program) -> int:
    """The position of the arena's address, behind which scratch lies."""
    return sum(_slots(program).values())


def _slots(program: Program) -> dict[str, int]:
    """How many slots there are of each role, in order."""
    return {
        "input": len(program.inputs),
        "shared": len(program.shared),
        "constant": len(program.constants),
        "output": len(program.outputs),
    }


def replaced_state(program: Program) -> list[int]:
    """The positions among the state of the arrays that a call writes to."""
    written = {b for step in program.steps for b in step.writes}
    return sorted({program.buffers[b].index for b in written if program.buffers[b].role == "shared"})
