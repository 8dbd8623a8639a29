"""Runs of elementwise kernels go through memory in blocks that stay in the cache.

    k0(%0, %1)    %1: f32[n] in the arena          parallel for turn0 in ceil(n / 1024), length0 = min(1024, n - 1024 * turn0):
    k1(%1, %2)                               ->      k0 on that part of %0, to a row
    k2(%2, %4)                                       k1 from that row to another
                                                     k2 from that row to that part of %4

A run is any set of launches over one number of elements, each of which reads and writes every array at the element its loop
is at, and which can stand side by side. Values that only the run uses become rows of one block, used again when they are dead.
Where some read an element for each column, or for each row, of what all take for the same n rows of m, blocks are some rows or
a piece of one: either way their elements lie side by side.
Every list of steps has its runs: that of a loop's body or of a branch, too.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.dims import Size
from graphc.passes.storage.pointwise import LINE, Pointwise, piece_of, pointwise
from graphc.program import (
    Buffer,
    Kernel,
    Launch,
    Loop,
    Program,
    Step,
    View,
    loop_counter,
    loop_length,
    walk,
)

SMALLEST = 256  # elements of a block: a call of a kernel takes some 20 ns, the loop over them no less than ten times that
LARGEST = 4096  # beyond, blocks get no cheaper, and some rows may stay in the first cache
LONGEST = 1024  # launches looked at for one run
ROOM = 16  # times the cache that the rows may take: a chain 1000 deep with gradient, 1 MB of rows: 485 ms, as runs that fit a cache 622
MOST_ARRAYS = 128  # of a run: LLVM's time is super-linear in the arguments of a function


def block(program: Program, cache: int) -> Program:
    """The program with its runs in blocks whose rows fit in `cache` bytes."""
    blocker = _Blocker(program, cache)
    steps = blocker.steps(program.steps, 0)
    if not blocker.found:
        return program
    state = [k for k, s in enumerate(steps) if any(blocker.buffers[b].role == "shared" for b in s.writes)]
    return replace(program, buffers=tuple(blocker.buffers), steps=tuple(steps), commit=min(state, default=len(steps)))


class _Blocker:
    """One program. `buffers` grow, `found` counts the runs."""

    def __init__(self, program: Program, cache: int) -> None:
        self.program, self.cache, self.found = program, cache, 0
        self.buffers = list(program.buffers)
        self.everywhere = self._touching(program.steps)

    def steps(self, steps: Sequence[Step], depth: int) -> list[Step]:
        """A list of steps, inside so many loops, with its runs in blocks."""
        inside = self._touching(steps)
        outside = frozenset(r for r, count in self.everywhere.items() if count > inside[r])
        return _Runs(self, [self.inner(step, depth) for step in steps], outside, depth).run()

    def inner(self, step: Step, depth: int) -> Step:
        """A step with its inner lists in blocks; turns that threads share are short enough."""
        match step:
            case Loop(parallel=True):
                return step
            case _:
                return step.holding(*[self.steps(steps, depth + bool(step.bound)) for steps in step.inner])

    def _touching(self, steps: Sequence[Step]) -> Counter[int]:
        """How many steps touch each storage by themselves."""
        return Counter(r for step in walk(steps) for r in {self.program.roots[b] for b in step.own})


class _Runs:
    """The runs of one list of steps. `outside`: the storages that other steps than these touch, too."""

    def __init__(self, blocker: _Blocker, steps: Sequence[Step], outside: frozenset[int], depth: int) -> None:
        self.blocker, self.steps, self.depth = blocker, steps, depth
        self.buffers, self.cache = blocker.buffers, blocker.cache
        self.outside = outside | {b.alias for b in blocker.program.buffers if b.alias is not None}
        self.known: dict[Kernel, Pointwise | None] = {}
        self.forms = [self._form(s) if isinstance(s, Launch) else None for s in steps]
        self.touched: dict[int, list[int]] = {}  # root -> the steps that read or write it
        for k, step in enumerate(steps):
            for r in dict.fromkeys(self._root(b) for b in (*step.own, *step.reads, *step.writes)):
                self.touched.setdefault(r, []).append(k)

    def run(self) -> list[Step]:
        if sum(f is not None for f in self.forms) < 2:
            return list(self.steps)
        needs = self._needs()
        made: dict[int, Step] = {}  # the last step of a run -> the run
        member: dict[int, int] = {}  # step -> the last step of its run
        for group in self._groups(needs):
            while len(group) > 1:
                run, made_of = self._run(group)
                if made_of is not None:
                    made[run[-1]] = made_of
                    member |= dict.fromkeys(run, run[-1])
                group = group[len(run) :]
        self.blocker.found += len(made)
        return [made.get(k, self.steps[k]) for k in (_ordered(needs, member) if made else range(len(self.steps)))]

    def _root(self, buffer: int) -> int:
        while (alias := self.buffers[buffer].alias) is not None:
            buffer = alias
        return buffer

    def _places(self, buffer: int) -> list[int]:
        """Keys of the views that say where a buffer is: who moves one comes behind those that use it."""
        found = []
        at: int | None = buffer
        while at is not None:
            found += [-1 - at] if at in self.blocker.program.viewed else []
            at = self.buffers[at].alias
        return found

    def _form(self, step: Launch) -> Pointwise | None:
        if step.kernel not in self.known:
            self.known[step.kernel] = pointwise(step.kernel, self.depth, SMALLEST)
        return self.known[step.kernel]

    # -- what can stand side by side ------------------------------------------------------------------------------
    def _needs(self) -> list[set[int]]:
        """The earlier steps that each step must come after."""
        writer: dict[int, int] = {}
        readers: dict[int, list[int]] = {}
        checks: list[int] = []
        result: list[set[int]] = []
        for k, step in enumerate(self.steps):
            read, written = ([self._root(b) for b in buffers] for buffers in (step.reads, step.writes))
            read += [key for b in (*step.reads, *step.writes) for key in self._places(b)]
            read += [key for b, _ in step.placed for key in self._places(b)[1:]]
            written += [-1 - b for b, _ in step.placed]
            needs = {writer[r] for r in (*read, *written) if r in writer} | {q for r in written for q in readers.get(r, ())}
            if self.forms[k] is None or any(self.buffers[b].role == "shared" for b in step.writes):
                needs |= set(checks[-1:])  # what it reads by index has been checked, and nothing fails after a write to state
            if step.can_fail:
                checks.append(k)
            for r in read:
                readers.setdefault(r, []).append(k)
            for r in written:
                writer[r] = k
                readers[r] = []
            result.append(needs)
        return result

    def _groups(self, needs: Sequence[set[int]]) -> list[list[int]]:
        """Steps over one number of elements, so that no step outside of a group must come between two inside.

        Groups are numbered in order, and a step may join one that is not older than any that it needs; a step that is in no
        group stands behind the newest group it needs.
        """
        groups: list[list[int]] = []
        behind: list[int] = []  # the group that a step is in or behind
        open_: dict[Size, int] = {}
        sides: list[tuple[Size, Size] | None] = []  # of each group, once one of its members has them
        spread: list[tuple[set[int], set[int]]] = []  # the storages it reads at other elements than its own, and those that it writes
        for k, form in enumerate(self.forms):
            least = max([behind[d] + (self.forms[d] is None) for d in needs[k]], default=0)
            if form is None:
                behind.append(max([behind[d] for d in needs[k]], default=-1))
                continue
            at = open_.get(form.total, -1)
            apart = {self._root(b) for b, along in zip(self.steps[k].own, form.along, strict=True) if along != "all"}
            written = {self._root(b) for b in self.steps[k].writes}
            other = at >= 0 and form.sides is not None and sides[at] not in (None, form.sides)
            if at < least or other or apart & spread[at][1] or written & spread[at][0]:
                at = open_[form.total] = len(groups)
                groups.append([])
                sides.append(None)
                spread.append((set(), set()))
            groups[at].append(k)
            sides[at] = sides[at] or form.sides
            spread[at] = spread[at][0] | apart, spread[at][1] | written
            behind.append(at)
        return groups

    # -- one run --------------------------------------------------------------------------------------------------
    def _run(self, group: list[int]) -> tuple[list[int], Step | None]:
        """A long beginning of a group that fits, and the loop that it becomes, if that pays."""
        low = min(len(group), LONGEST)
        high = low + 1
        while low > 1 and not self._fits(group[:low]):
            low, high = low // 2, low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(group[:middle]) else (low, middle)
        run = group[:low]
        rows, widest = self._rows(run)
        width = sum(dtype.itemsize * count for dtype, count in widest.items())
        total = self._total(run)
        size = LARGEST if width == 0 else max(min(self.cache // width, LARGEST) // LINE * LINE, SMALLEST)
        fits = isinstance(total, int) and total <= size
        return run, None if fits or not self._passes(run) else self._loop(run, rows, widest, size)

    def _total(self, run: Sequence[int]) -> Size:
        form = self.forms[run[0]]
        assert form is not None
        return form.total

    def _passes(self, run: Sequence[int]) -> bool:
        """Whether a value passes from one kernel of a run to another."""
        written: set[int] = set()
        for k in run:
            step = self.steps[k]
            if any(self._root(b) in written for b in step.reads):
                return True
            written |= {self._root(b) for b in step.writes}
        return False

    def _fits(self, run: Sequence[int]) -> bool:
        """Whether the smallest rows stay in the caches, and LLVM gets not too many arguments."""
        rows, widest = self._rows(run)
        arrays = {b for k in run for b in self._buffers(k) if self._root(b) not in rows}
        return sum(dtype.itemsize * n for dtype, n in widest.items()) * SMALLEST <= ROOM * self.cache and len(arrays) <= MOST_ARRAYS

    def _rows(self, run: Sequence[int]) -> tuple[dict[int, int], dict[np.dtype, int]]:
        """The row of each root that only the run uses, and how many rows there are of each dtype.

        What a kernel writes may take the row of what it is the last to read: each element is read before it is written.
        """
        inside = set(run)
        own = {
            r for k in run for b in self._buffers(k)
            if self.buffers[r := self._root(b)].role == "arena" and r not in self.outside and inside.issuperset(self.touched[r])
        }  # fmt: skip
        rows: dict[int, int] = {}
        count: dict[np.dtype, int] = {}
        free: dict[np.dtype, list[int]] = {}
        for k in run:
            roots = [r for b in self._buffers(k) if (r := self._root(b)) in own]
            last = [r for r in dict.fromkeys(roots) if self.touched[r][-1] == k]
            for r in last:
                if r in rows:
                    free.setdefault(self.buffers[r].dtype, []).append(rows[r])
            for r in roots:
                if r not in rows:
                    dtype = self.buffers[r].dtype
                    if not free.get(dtype):
                        free[dtype] = [count.get(dtype, 0)]
                        count[dtype] = free[dtype][0] + 1
                    rows[r] = free[dtype].pop()
        return rows, count

    def _buffers(self, k: int) -> tuple[int, ...]:
        return self.steps[k].own

    def _loop(self, run: Sequence[int], rows: dict[int, int], widest: dict[np.dtype, int], size: int) -> Step:
        """The run, a block of all arrays in each turn."""
        piece = piece_of(self._total(run), next((f.sides for k in run if (f := self.forms[k]) and f.sides), None), size, self.depth)
        views: list[Step] = []

        def placed(buffer: int, shape: Size, offset: Size) -> int:
            self.buffers.append(replace(self.buffers[buffer], shape=(shape,), alias=buffer))
            views.append(View(len(self.buffers) - 1, offset))
            return len(self.buffers) - 1

        def row(dtype: np.dtype) -> int:
            self.buffers.append(Buffer(dtype, (size + LINE // dtype.itemsize,), "scratch"))
            return placed(len(self.buffers) - 1, loop_length(self.depth), 0)

        made = {(dtype, k): row(dtype) for dtype, count in widest.items() for k in range(count)}
        parts: dict[tuple[int, str], int] = {}  # buffer, and what it has elements for -> the part of it that a turn is at
        inside: list[Step] = []
        for k in run:
            step, form = self.steps[k], self.forms[k]
            assert isinstance(step, Launch) and form is not None
            at: list[int] = []
            for b, operand, along in zip(step.buffers, form.kernel.operands, form.along, strict=True):
                number = rows.get(self._root(b))
                if number is None and along != "none" and (b, along) not in parts:
                    parts[b, along] = placed(b, *piece.part[along])
                at.append(made[operand.dtype, number] if number is not None else parts.get((b, along), b))
            inside.append(replace(step, kernel=form.kernel, buffers=tuple(at)))
        return Loop(loop_counter(self.depth), piece.count, (*views, *inside), parallel=True, lengths=piece.lengths)


def _ordered(needs: Sequence[set[int]], member: dict[int, int]) -> list[int]:
    """The steps in an order that keeps `needs`, with each run where its last step stood or later; runs by their last step."""
    name = [member.get(k, k) for k in range(len(needs))]
    before: dict[int, set[int]] = {n: set() for n in name}
    after: dict[int, list[int]] = {n: [] for n in name}
    for k, earlier in enumerate(needs):
        before[name[k]] |= {name[d] for d in earlier} - {name[k]}
    for n, earlier in before.items():
        for d in sorted(earlier):
            after[d].append(n)
    waiting = {n: len(earlier) for n, earlier in before.items()}
    ready = [n for n, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        order.append(heapq.heappop(ready))
        for n in after[order[-1]]:
            waiting[n] -= 1
            if waiting[n] == 0:
                heapq.heappush(ready, n)
    assert len(order) == len(before), "runs wait for each other"
    return order
