"""`Program`: what the passes hand to code generation. Plain data: buffers, and an ordered list of steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.ir import Node
from graphc.program.kernel import Kernel, copy_kernel
from graphc.program.steps import Loop, Step, launches, walk
from graphc.records import dataclass
from graphc.tree import TreeDef

PLANNED = ("arena", "scratch")  # the roles of buffers that get an offset


@dataclass(frozen=True)
class Buffer:
    """Storage of one value, C-contiguous.

    role: "input" | "shared" | "constant" | "output" | "arena" | "scratch". `index` is the position among the buffers of
    that role that the caller passes; an arena buffer lies at `offset` bytes. Scratch is what one kernel fills anew at each
    of its outer points: every thread has its own, behind the arena. An alias has the storage of another buffer, from its first
    element on, or from where a `View` places it.
    """

    dtype: np.dtype
    shape: tuple[Size, ...]
    role: str
    index: int = 0
    offset: Size | None = None
    alias: int | None = None

    @property
    def nbytes(self) -> Size:
        return dims.product(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Layout:
    """How a function is called: the names and structures of its parameters, values for those left out, the structure of its results.

    Names and keys of dicts are interned strings.
    """

    names: tuple[str, ...]
    inputs: tuple[TreeDef, ...]
    outputs: TreeDef
    defaults: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Program:
    """Steps over buffers. Everything that can fail comes before `commit`; no step before it writes to state or outputs' owners.

    size_checks are pairs of sizes the graph took to be equal; they are compared when the function is called.
    """

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Node, ...]
    shared: tuple[Node, ...]
    constants: tuple[np.ndarray, ...]
    outputs: tuple[int, ...]  # the buffer of each output
    arena: Size = 0
    scratch: Size = 0  # bytes of scratch for each thread
    commit: int = 0  # steps[commit:] may write to state
    size_checks: tuple[tuple[Size, Size], ...] = ()

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """Of each buffer the one whose storage it has: itself, or what it is an alias of in the end."""
        found: list[int] = []
        for k in range(len(self.buffers)):
            while (alias := self.buffers[k].alias) is not None:
                k = alias
            found.append(k)
        return tuple(found)

    @cached_property
    def numbered(self) -> tuple[Step, ...]:
        """Every step at its number."""
        return tuple(walk(self.steps))

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Every loop, wherever it stands."""
        return tuple([step for step in self.numbered if isinstance(step, Loop)])

    @cached_property
    def interruptible(self) -> tuple[int, ...]:
        """The numbers of the loops at whose turns a call may be left for signals to be seen to."""
        return tuple([k for k, step in enumerate(self.numbered) if step.bound and step.can_fail])

    @cached_property
    def viewed(self) -> frozenset[int]:
        """The aliases that a `View` places."""
        return frozenset(b for step in self.numbered for b, _ in step.placed)

    @cached_property
    def counters(self) -> tuple[Symbol, ...]:
        """What the turns of loops bind, in order."""
        return tuple(sorted({s for step in self.numbered for s in step.bound}))

    def swapped(self, loop: Loop) -> tuple[tuple[int, int], ...]:
        """The carried pairs whose arrays change places at each turn; the others have the same bytes."""
        return tuple([(old, new) for old, new in loop.carried if self.buffers[old].offset != self.buffers[new].offset])

    def moved_back(self, pair: tuple[int, int]) -> Kernel:
        """What copies `new` to `old` after an odd number of turns."""
        old = self.buffers[pair[0]]
        return copy_kernel(old.dtype, old.shape)

    def kernels(self) -> dict[Kernel, str]:
        """Every different kernel once, with a stable name."""
        named: dict[Kernel, str] = {}
        for step in launches(self.steps):
            named.setdefault(step.kernel, f"k{len(named)}")
        for loop in self.loops:
            for pair in self.swapped(loop):
                named.setdefault(self.moved_back(pair), f"k{len(named)}")
        return named


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """Of each storage the numbers of the first and the last step that touch it.

    What a loop shares with steps outside, what it carries and what it asks before each turn lives through all of the loop:
    a later turn may read what an earlier step, or an earlier turn, has left. Where turns run at the same time, all but scratch does.
    """
    found = _Lifetimes(program)
    found.visit(program.steps)
    for first, last, touched in found.loops:  # inner loops before those around them
        crossing = {b for b in touched if found.spans[b][0] < first or found.spans[b][1] > last}
        found.live(crossing, first, last)
    return found.spans


class _Lifetimes:
    def __init__(self, program: Program) -> None:
        self.roots, self.buffers = program.roots, program.buffers
        self.spans: dict[int, tuple[int, int]] = {}
        self.number = 0
        self.loops: list[tuple[int, int, set[int]]] = []

    def visit(self, steps: tuple[Step, ...]) -> set[int]:
        """Number the steps of a list; what they touch."""
        touched: set[int] = set()
        for step in steps:
            first, own = self.number, {self.roots[b] for b in step.own}
            self.number += 1
            self.live(own, first, first)
            for inside in step.inner:
                own |= self.visit(inside)
            if step.bound:
                last = self.number - 1
                self.live({r for b in step.kept if self.buffers[r := self.roots[b]].role != "scratch"}, first, last)
                self.loops.append((first, last, own))
            touched |= own
        return touched

    def live(self, storages: set[int], first: int, last: int) -> None:
        for b in storages:
            start, end = self.spans.get(b, (first, last))
            self.spans[b] = min(start, first), max(end, last)
