"""Runs of kernels go through memory in blocks that stay in the cache.

    k0(%0, %1)    %1: f32[n] in the arena          parallel for turn0 in ceil(n / 1024), length0 = min(1024, n - 1024 * turn0):
    k1(%1, %2)                               ->      k0 on that part of %0, to a row
    k2(%2, %4)                                       k1 from that row to another
                                                     k2 from that row to that part of %4

A run is any set of launches over one number of elements, each of which reads and writes every array at the element its loop
is at, and which can stand side by side; or over one number of rows, if some of them work on whole rows, as a softmax does. Values
that only the run uses become rows of one block, used again when they are dead. What has some of the axes alone, as a bias, is spread
over a row of each block first, so that kernels of elements are one loop, however short or long the rows of their arrays are. Every
list of steps has its runs: that of a loop's body or of a branch, too.

This is what keeps the way back through a deep chain small: the values that it needs are saved for one block at a time.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.passes.storage.block_forms import Form, element_form, row_form
from graphc.passes.storage.pieces import piece_of, spread_kernel
from graphc.program import Buffer, Kernel, Launch, Loop, Program, Step, View, loop_counter, loop_length, loop_side, walk

SMALLEST = 256  # elements of a block: a call of a kernel takes some 20 ns, the loop over them no less than ten times that
LARGEST = 4096  # beyond, blocks get no cheaper, and some rows may stay in the first cache
LONGEST = 1024  # launches looked at for one run
ROOM = 16  # times the cache that the rows may take: a chain 1000 deep with gradient, 1 MB of rows: 485 ms, as runs that fit a cache 622
MOST_ARRAYS = 128  # of a run: LLVM's time is super-linear in the arguments of a function
MANY = 4096  # rows that arrays of unknown length are taken to have
LONGEST_ROW = 1 << 17  # elements. A run of 120 with a bias, 200 rows of 20000 f32: 155 ms and 5 MB, by whole arrays 259 ms and 928 MB
Kind = tuple[np.dtype, int]  # dtype and elements of a unit
Spread = tuple[int, tuple[int, ...]]  # a buffer that is spread over all axes of a run, and those that it has
Name = int | Spread  # of a row: what it holds, the storage that would hold it otherwise
FEW_ROWS = 64  # fewer rows are short, or kernels are shared among threads along them: runs have a turn for each
SHORT_ROW = 4 * LARGEST  # elements
LINE = 64  # bytes between rows, so that those of a power of two do not meet in the same sets of the cache


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
        made = [self.inner(step, depth) for step in steps]
        for by_rows in (True, False):
            made = _Runs(self, made, outside, depth, by_rows).run()
        return made

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
    """The runs of one list of steps, of elements or of rows. `outside`: the storages that other steps than these touch, too."""

    def __init__(self, blocker: _Blocker, steps: Sequence[Step], outside: frozenset[int], depth: int, by_rows: bool) -> None:
        self.blocker, self.steps, self.depth, self.by_rows = blocker, steps, depth, by_rows
        self.buffers, self.cache = blocker.buffers, blocker.cache
        self.outside = outside | {b.alias for b in blocker.program.buffers if b.alias is not None}
        self.known: dict[Kernel, Form | None] = {}
        self.forms = [self._form(s) if isinstance(s, Launch) else None for s in steps]
        self.touched: dict[int, list[int]] = {}  # root -> the steps that read or write it
        for k, step in enumerate(steps):
            for r in dict.fromkeys(self._root(b) for b in (*step.own, *step.reads, *step.writes)):
                self.touched.setdefault(r, []).append(k)

    def run(self) -> list[Step]:
        if sum(f is not None for f in self.forms) < 2 or (self.by_rows and all(f is None or f.elements for f in self.forms)):
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

    def _form(self, step: Launch) -> Form | None:
        if step.kernel not in self.known:
            length = loop_length(self.depth)
            form = row_form(step.kernel, length) if self.by_rows else element_form(step.kernel, length, SMALLEST)
            self.known[step.kernel] = None if form is None or form.widest > _longest_row(form.total) else form
        form = self.known[step.kernel]
        if form is None or all(
            o.written <= (along or self.buffers[b].role == "scratch")
            for o, along, b in zip(step.kernel.operands, form.along, step.buffers, strict=True)
        ):
            return form
        return None  # what it writes is no row of its own

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
        sides: list[tuple[Size, ...]] = []  # of each group, once one of its members has them
        whole = [self._whole(k) for k in range(len(self.steps))]
        written = [{self._root(b) for b in step.writes} for step in self.steps]
        for k, form in enumerate(self.forms):
            apart = [self.forms[d] is None or bool(whole[k] & written[d]) or bool(whole[d] & written[k]) for d in needs[k]]
            least = max([behind[d] + later for d, later in zip(needs[k], apart)], default=0)
            if form is None:
                behind.append(max([behind[d] for d in needs[k]], default=-1))
                continue
            at = open_.get(form.total, -1)
            if at < least or (form.sides and sides[at] not in ((), form.sides)):
                at = open_[form.total] = len(groups)
                groups.append([])
                sides.append(())
            groups[at].append(k)
            sides[at] = sides[at] or form.sides
            behind.append(at)
        return groups

    def _whole(self, k: int) -> set[int]:
        """The storages of which each block of a step meets all: these must be ready before its run, and stay as they are through it."""
        form = self.forms[k]
        return set() if form is None else {self._root(b) for b, along in zip(self._buffers(k), form.along, strict=False) if not along}

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
        width, total = _bytes(widest), self._form_of(run[0]).total
        least, most = self._least(run), max(LARGEST // self._longest(run), 1)
        size = most if width == 0 else min(self.cache // width, most)
        size = max(size if self.by_rows else size // LINE * LINE, least)
        fits = isinstance(total, int) and total <= size
        if self.by_rows:  # what stays in the cache by itself needs no blocks; nor are rows what a run of elements needs
            fits = fits or width * (total if isinstance(total, int) else MANY) <= self.cache or all(self._form_of(k).elements for k in run)
        return run, None if fits or not self._passes(run) else self._loop(run, rows, widest, size)

    def _form_of(self, k: int) -> Form:
        form = self.forms[k]
        assert form is not None
        return form

    def _longest(self, run: Sequence[int]) -> int:
        """Elements of the longest row: 1, if the run is one of elements."""
        return max([self._form_of(k).widest for k in run])

    def _least(self, run: Sequence[int]) -> int:
        """The rows of a block at the least."""
        return -(-SMALLEST // self._longest(run))

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
        arrays = {b for k in run for b in self._buffers(k) if (r := self._root(b)) not in rows and self.buffers[r].role != "scratch"}
        return _bytes(widest) * self._least(run) <= ROOM * self.cache and len(arrays) <= MOST_ARRAYS

    def _rows(self, run: Sequence[int]) -> tuple[dict[Name, int], dict[Kind, int]]:
        """The row of each root that only the run uses and of all that is spread, and how many there are of each dtype and unit.

        What a kernel writes may take the row of what it is the last to read: each element is read before it is written.
        """
        inside = set(run)
        own = {
            r for k in run for b in self._buffers(k)
            if self.buffers[r := self._root(b)].role == "arena" and r not in self.outside and inside.issuperset(self.touched[r])
        }  # fmt: skip
        names = {k: self._kinds(k, own) for k in run}
        ends = {name: k for k in run for name in names[k]}
        rows: dict[Name, int] = {}
        count: dict[Kind, int] = {}
        free: dict[Kind, list[int]] = {}

        def take(name: Name, kind: Kind) -> None:
            if name not in rows:
                if not free.get(kind):
                    free[kind] = [count.get(kind, 0)]
                    count[kind] = free[kind][0] + 1
                rows[name] = free[kind].pop()

        for k in run:
            for spread in self._spread(k):
                take(spread, names[k][spread])
            last = [name for name in names[k] if ends[name] == k]
            flat = self._form_of(k).flat  # by rows, an element may be stored before others are read
            for name in last if flat else ():
                if name in rows:
                    free.setdefault(names[k][name], []).append(rows[name])
            for name, kind in names[k].items():
                take(name, kind)
            for name in () if flat else last:
                free.setdefault(names[k][name], []).append(rows[name])
        return rows, count

    def _kinds(self, k: int, own: set[int]) -> dict[Name, Kind]:
        """The rows that a step works on, those of these roots and what is spread for it, and what they hold."""
        inner = zip(self._buffers(k), self._form_of(k).inner, strict=False)
        kept: dict[Name, Kind] = {r: (self.buffers[r].dtype, n) for b, n in inner if (r := self._root(b)) in own}
        return kept | {name: (self.buffers[name[0]].dtype, 1) for name in self._spread(k)}

    def _spread(self, k: int) -> list[Spread]:
        """What a step reads as if it had all axes."""
        return [(b, axes) for b, axes in zip(self._buffers(k), self._form_of(k).spread, strict=False) if axes]

    def _buffers(self, k: int) -> tuple[int, ...]:
        return self.steps[k].own

    def _loop(self, run: Sequence[int], rows: dict[Name, int], widest: dict[Kind, int], size: int) -> Step:
        """The run, a piece of all arrays in each turn."""
        counter, length = loop_counter(self.depth), loop_length(self.depth)
        sides = next((form.sides for k in run if (form := self._form_of(k)).sides), None)
        piece = piece_of(sides or (self._form_of(run[0]).total,), size, counter)
        lengths = {length: dims.product(piece.lengths)}
        across: list[Size] = [n if isinstance(n, int) else loop_side(p, self.depth) for p, n in enumerate(piece.lengths)]
        if sides is not None:
            lengths |= {s: n for s, n in zip(across, piece.lengths, strict=True) if isinstance(s, Dim)}
        views: list[Step] = []

        def placed(buffer: int, elements: Size, offset: Size) -> int:
            self.buffers.append(replace(self.buffers[buffer], shape=(elements,), alias=buffer))
            views.append(View(len(self.buffers) - 1, offset))
            return len(self.buffers) - 1

        def row(dtype: np.dtype, inner: int) -> int:
            self.buffers.append(Buffer(dtype, (size * inner + LINE // dtype.itemsize,), "scratch"))
            return placed(len(self.buffers) - 1, length * inner, 0)

        made = {(kind, k): row(*kind) for kind, count in widest.items() for k in range(count)}
        parts: dict[int, int] = {}  # buffer -> the part of it that a turn is at

        def part(buffer: int, inner: int) -> int:
            if buffer not in parts:
                parts[buffer] = placed(buffer, length * inner, piece.first(range(len(piece.sides))) * inner)
            return parts[buffer]

        filled: dict[Spread, int] = {}  # what has been spread -> where
        inside: list[Step] = []
        for k in run:
            step, form = self.steps[k], self._form_of(k)
            assert isinstance(step, Launch)
            for name in self._spread(k):
                if name not in filled:
                    (b, axes), dtype = name, self.buffers[name[0]].dtype
                    filled[name] = made[(dtype, 1), rows[name]]
                    some = placed(b, dims.product([across[p] for p in axes]), piece.first(axes))
                    inside.append(Launch(spread_kernel(dtype, axes, across), (some, filled[name])))
            at = [
                made[(self.buffers[b].dtype, inner), rows[r]] if (r := self._root(b)) in rows
                else filled[b, axes] if axes else part(b, inner) if along else b
                for b, inner, along, axes in zip(step.buffers, form.inner, form.along, form.spread or [()] * len(form.along), strict=True)
            ]  # fmt: skip
            inside.append(replace(step, kernel=form.kernel, buffers=tuple(at)))
        return Loop(counter, piece.count, (*views, *inside), parallel=True, lengths=tuple(lengths.items()))


def _longest_row(rows: Size) -> int:
    """Elements of the longest row of so many that a run takes."""
    return SHORT_ROW if isinstance(rows, int) and rows < FEW_ROWS else LONGEST_ROW


def _bytes(widest: dict[Kind, int]) -> int:
    """Bytes of one unit of all rows."""
    return sum(dtype.itemsize * inner * count for (dtype, inner), count in widest.items())


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
