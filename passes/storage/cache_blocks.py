"""Runs of elementwise kernels go through memory in blocks that stay in the cache.

    k0(%0, %1)    %1: f32[n] in the arena          blocks(%0, %4, rows)       for each block of 1024 elements:
    k1(%1, %2)                               ->                                    k0 on it, to a row
    k2(%2, %4)                                                                     k1 from that row to another
                                                                                   k2 from that row

A run is any set of launches over one number of elements, each of which reads and writes every array at the element its loop
is at, and which can stand side by side. Values that only the run uses become rows of one block, used again when they are dead.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size
from graphc.program import BLOCK, Axis, Blocks, Buffer, Kernel, Launch, Operand, Piece, Program, Stage, Store, launches, loop_index
from graphc.scalars import Scalar

SMALLEST = 256  # elements of a block: a call of a kernel takes some 20 ns, the loop over them no less than ten times that
LARGEST = 4096  # beyond, blocks get no cheaper, and some rows may stay in the first cache
LONGEST = 96  # launches looked at for one run
MOST_ARRAYS = 128  # of a run: LLVM's time is super-linear in the arguments of a function
LINE = 64  # bytes between rows, so that those of a power of two do not meet in the same sets of the cache


@dataclass(frozen=True)
class _Pointwise:
    """A kernel over the elements of arrays taken flat: `kernel` on `BLOCK` of all the `total`; `along[k]`: operand k is such an array."""

    kernel: Kernel
    total: Size
    along: tuple[bool, ...]


def block(program: Program, cache: int) -> Program:
    """The program with its runs in blocks whose rows fit in `cache` bytes."""
    return _Blocker(program, cache).run()


class _Blocker:
    def __init__(self, program: Program, cache: int) -> None:
        self.program, self.cache = program, cache
        self.buffers = list(program.buffers)
        self.roots = list(program.roots)
        self.viewed = {b.alias for b in program.buffers}
        self.known: dict[Kernel, _Pointwise | None] = {}
        self.forms = [self._form(s) if isinstance(s, Launch) else None for s in program.steps]
        self.touched: dict[int, list[int]] = {}  # root -> the steps that read or write it
        for k, step in enumerate(program.steps):
            for b in dict.fromkeys((*step.own, *step.reads, *step.writes)):
                self.touched.setdefault(self.roots[b], []).append(k)

    def run(self) -> Program:
        if sum(f is not None for f in self.forms) < 2:
            return self.program
        needs = self._needs()
        made: dict[int, Launch] = {}  # the last step of a run -> the run
        member: dict[int, int] = {}  # step -> the last step of its run
        for group in self._groups(needs):
            while len(group) > 1:
                run, made_of = self._run(group)
                if made_of is not None:
                    made[run[-1]] = made_of
                    member |= dict.fromkeys(run, run[-1])
                group = group[len(run) :]
        if not made:
            return self.program
        steps = [made.get(k, self.program.steps[k]) for k in _ordered(needs, member)]
        state = [k for k, s in enumerate(steps) if any(self.buffers[b].role == "shared" for b in s.writes)]
        return replace(self.program, buffers=tuple(self.buffers), steps=tuple(steps), commit=min(state, default=len(steps)))

    def _form(self, step: Launch) -> _Pointwise | None:
        if step.kernel not in self.known:
            self.known[step.kernel] = _pointwise(step.kernel)
        return self.known[step.kernel]

    # -- what can stand side by side ------------------------------------------------------------------------------
    def _needs(self) -> list[set[int]]:
        """The earlier steps that each step must come after."""
        writer: dict[int, int] = {}
        readers: dict[int, list[int]] = {}
        checks: list[int] = []
        result: list[set[int]] = []
        for k, step in enumerate(self.program.steps):
            read, written = ([self.roots[b] for b in buffers] for buffers in (step.reads, step.writes))
            needs = {writer[r] for r in (*read, *written) if r in writer} | {q for r in written for q in readers.get(r, ())}
            if self.forms[k] is None or any(self.buffers[r].role == "shared" for r in written):
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
        for k, form in enumerate(self.forms):
            least = max([behind[d] + (self.forms[d] is None) for d in needs[k]], default=0)
            if form is None:
                behind.append(max([behind[d] for d in needs[k]], default=-1))
                continue
            at = open_.get(form.total, -1)
            if at < least:
                at = open_[form.total] = len(groups)
                groups.append([])
            groups[at].append(k)
            behind.append(at)
        return groups

    # -- one run --------------------------------------------------------------------------------------------------
    def _run(self, group: list[int]) -> tuple[list[int], Launch | None]:
        """A long beginning of a group that fits, and the launch that it becomes, if that pays."""
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
        return run, None if fits or not self._passes(run) else self._launch(run, rows, widest, size)

    def _total(self, run: Sequence[int]) -> Size:
        form = self.forms[run[0]]
        assert form is not None
        return form.total

    def _passes(self, run: Sequence[int]) -> bool:
        """Whether a value passes from one kernel of a run to another."""
        written: set[int] = set()
        for k in run:
            step = self.program.steps[k]
            if any(self.roots[b] in written for b in step.reads):
                return True
            written |= {self.roots[b] for b in step.writes}
        return False

    def _fits(self, run: Sequence[int]) -> bool:
        """Whether the smallest rows stay in the cache, and LLVM gets not too many arguments."""
        rows, widest = self._rows(run)
        arrays = {b for k in run for b in self._buffers(k) if self.roots[b] not in rows}
        return sum(dtype.itemsize * n for dtype, n in widest.items()) * SMALLEST <= self.cache and len(arrays) <= MOST_ARRAYS

    def _rows(self, run: Sequence[int]) -> tuple[dict[int, int], dict[np.dtype, int]]:
        """The row of each root that only the run uses, and how many rows there are of each dtype.

        What a kernel writes may take the row of what it is the last to read: each element is read before it is written.
        """
        inside = set(run)
        own = {
            r for k in run for b in self._buffers(k)
            if self.buffers[r := self.roots[b]].role == "arena" and r not in self.viewed and inside.issuperset(self.touched[r])
        }  # fmt: skip
        rows: dict[int, int] = {}
        count: dict[np.dtype, int] = {}
        free: dict[np.dtype, list[int]] = {}
        for k in run:
            roots = [r for b in self._buffers(k) if (r := self.roots[b]) in own]
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
        return self.program.steps[k].own

    def _launch(self, run: Sequence[int], rows: dict[int, int], widest: dict[np.dtype, int], size: int) -> Launch:
        total = self._total(run)
        listed: list[int] = []
        operands: list[Operand] = []
        slots: dict[int, int] = {}  # buffer -> slot
        scratch: dict[np.dtype, tuple[int, int]] = {}  # the slot of the rows, and elements from one to the next
        for dtype, count in widest.items():
            stride = size + LINE // dtype.itemsize
            scratch[dtype] = len(listed), stride
            self.buffers.append(Buffer(dtype, (count * stride,), "scratch"))
            listed.append(len(self.buffers) - 1)
            operands.append(Operand(dtype, (count * stride,), True))
        pieces: list[Piece] = []
        for k in run:
            step, form = self.program.steps[k], self.forms[k]
            assert isinstance(step, Launch) and form is not None
            places: list[tuple[int, Size]] = []
            for b, operand, along in zip(step.buffers, form.kernel.operands, form.along, strict=True):
                row = rows.get(self.roots[b])
                if row is not None:
                    slot, stride = scratch[operand.dtype]
                    places.append((slot, row * stride))
                    continue
                if b not in slots:
                    slots[b] = len(listed)
                    listed.append(b)
                    operands.append(Operand(operand.dtype, (total,) if along else operand.shape))
                if operand.written:
                    operands[slots[b]] = replace(operands[slots[b]], written=True)
                places.append((slots[b], size * loop_index(0) if along else 0))
            pieces.append(Piece(form.kernel, tuple([s for s, _ in places]), tuple([at for _, at in places])))
        blocks = Blocks(total, size, tuple(pieces))
        nodes = tuple([n for step in launches([self.program.steps[k] for k in run]) for n in step.nodes])
        return Launch(Kernel((blocks.axis,), (), tuple(operands), "blocks", blocks), tuple(listed), nodes)


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


# -- one kernel -----------------------------------------------------------------------------------------------------
def _pointwise(kernel: Kernel) -> _Pointwise | None:
    """The kernel over flat arrays, if it reads and writes every array at the element its loops are at, or has one element of it."""
    if kernel.kind != "loops" or any(s.axes or s.reduce or s.scan for s in kernel.stages):
        return None
    extents = tuple([a.extent for a in kernel.axes])
    total = dims.product(extents)
    if isinstance(total, int) and total <= SMALLEST:
        return None
    axes = {s for a in kernel.axes for s in dims.symbols(a.index)}
    along: list[bool | None] = [None] * len(kernel.operands)
    places = [(s.param[0], s.args[:-1] if s.param[1] else s.args) for s in kernel.parts if s.op == "load"]
    stores = [store for stage in kernel.stages for store in stage.stores]
    if any(store.mode != "set" for store in stores):
        return None
    for slot, at in places + [(store.slot, store.at) for store in stores]:
        shape = kernel.operands[slot].shape
        full = _own(at, shape, extents)
        one = not kernel.operands[slot].written and all(s == 1 for s in shape)
        if not full and not one:
            return None
        along[slot] = full
    values = [s for s in kernel.parts if s.op not in ("load", "local")]
    roots = [stage.body for stage in kernel.stages]
    if any(s.op == "index" and dims.symbols(s.param) & axes for s in [*roots, *(a for v in values for a in v.args)]):
        return None  # it computes with its position
    if any(s.op == "load" and s.param[1] and s.args[-1].op == "index" for s in kernel.parts):
        return None
    here = (sc.index(loop_index(0)),)

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load" or not along[s.param[0]]:
            return None
        return sc.load(s.param[0], here, s.dtype, args[-1] if s.param[1] else None)

    def stage(s: Stage) -> Stage:
        return replace(s, body=sc.replace_leaves(s.body, leaf), stores=tuple([Store(store.slot, here) for store in s.stores]))

    operands = [replace(o, shape=(BLOCK,)) if full else o for o, full in zip(kernel.operands, along, strict=True)]
    flat = Kernel((Axis(loop_index(0), BLOCK),), tuple([stage(s) for s in kernel.stages]), tuple(operands))
    return _Pointwise(flat, total, tuple([bool(full) for full in along]))


def _own(at: Sequence[Scalar], shape: Sequence[Size], extents: Sequence[Size]) -> bool:
    """Whether an index is that of the loops themselves, in an array of their extents but for literal ones."""
    inner = [(i, s) for i, s in zip(at, shape, strict=True) if s != 1]
    return tuple([s for _, s in inner]) == tuple(extents) and all(
        i.op == "index" and i.param == loop_index(p) for p, (i, _) in enumerate(inner)
    )
