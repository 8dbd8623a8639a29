"""Reductions over much become a grid of partial results, so that threads can share them.

    t0 = sum[i0:n] x[i0]           for i1 in ceil(n/G):  t0 = sum[i0:min(G, n - G*i1)] x[G*i1 + i0] -> p[i1]
    y = x / t0               ->    t0 = sum[i1:ceil(n/G)] p[i1] -> s[]
                                   for i0 in n:  t0 = x[i0] / s[] -> y[i0]

A kernel that is one loop nest after the other becomes one kernel for each nest, whose outer loop threads share, and one
between any two for what is computed once. The grid follows from the sizes alone: the bits are the same for any number of
threads, and sums are pairwise over the chunks. Kernels with many outer points are shared along these and stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.passes.fusion.stages import Slots
from graphc.program import Axis, Below, Branch, Buffer, Kernel, Launch, Loop, Program, Stage, Step, Store, loop_index, nests
from graphc.scalars import Scalar

CHUNK = 16384  # elements of a chunk, at most: some microseconds of work, beside which its turn of the grid's loop costs nothing
LEAST = 2 * CHUNK  # elements of a nest that is split: fewer are not worth a second thread
FEW_ROWS = 16  # outer points, each with a nest along memory; more of them keep all threads busy by themselves
FEW_COLUMNS = 256  # outer points beside each other in memory: some vectors of several registers each
SHORT = 64  # turns of leading axes that are not chunked: too few to go round
JOINS = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}  # scans whose chunks start from what those before came to
POSITIONS = {"argmax": "max", "argmin": "min"}


def split_reductions(program: Program) -> Program:
    """The program with its large reductions in grids."""
    buffers = list(program.buffers)
    steps: list[Step] = []
    commit = 0
    for k, step in enumerate(program.steps):
        if k == program.commit:
            commit = len(steps)
        steps += _split(buffers, step)
    if program.commit >= len(program.steps):
        commit = len(steps)
    return replace(program, buffers=tuple(buffers), steps=tuple(steps), commit=commit)


def _split(buffers: list[Buffer], step: Step) -> Sequence[Step]:
    """A step with its launches as grids, those of its inner lists too; threads share the turns of a parallel loop already."""
    match step:
        case Launch():
            return _grids(buffers, step)
        case Loop(parallel=True):
            return [step]
        case _:
            return [step.holding(*[[s for old in inside for s in _split(buffers, old)] for inside in step.inner])]


def _grids(buffers: list[Buffer], launch: Launch) -> Sequence[Step]:
    """A launch, or the grids that it becomes; both where only the call tells whether these pay: small arrays have no time for them."""
    parts = _nests(launch.kernel)
    size = 0 if parts is None else _most(launch.kernel, parts)
    if parts is None or (isinstance(size, int) and size < LEAST):
        return [launch]
    split = _Splitter(buffers, launch).launches(parts)
    return split if isinstance(size, int) else [Branch(Below(size, LEAST), (launch,), tuple(split))]


# -- which kernels --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Nest:
    """Consecutive stages over the same inner axes; without axes, values that are computed once per outer point."""

    over: tuple[Axis, ...]
    stages: tuple[int, ...]


def _nests(kernel: Kernel) -> list[_Nest] | None:
    """The nests of a kernel in order; None where it reduces nothing, or reads something that a split would tear apart."""
    alone = kernel.kind == "loops" or (kernel.kind == "contract" and not kernel.axes)
    if (
        not alone
        or kernel.scratch
        or not any(s.reduce for s in kernel.stages)
        or any(s.reduce and (s.axes or s.combine == "recur") for s in kernel.stages)
    ):
        return None
    found = [_Nest((*kernel.stages[group[0]].axes, *kernel.stages[group[0]].reduce), group) for group in nests(kernel.stages)]
    number = [at for at, nest in enumerate(found) for _ in nest.stages]
    behind: set[int] = set()  # stages that are a scan, or read one, perhaps through others
    for k, stage in enumerate(kernel.stages):
        reads = {s.param for s in sc.order((stage.body,)) if s.op == "local"}
        scanned = not behind.isdisjoint(reads)
        if stage.scan or scanned:
            behind.add(k)
        if any(number[j] != number[k] for j in reads if kernel.stages[j].axes or kernel.stages[j].scan) or (scanned and stage.reduce):
            return None
    for nest in found:  # a nest of scans has no other reductions, and theirs can be combined from those of chunks
        stages = [kernel.stages[k] for k in nest.stages if kernel.stages[k].reduce]
        if any(s.scan for s in stages) and not all(s.scan and s.combine in JOINS and s.dtype.kind in "fiu" for s in stages):
            return None
    return found


def _most(kernel: Kernel, over: Sequence[_Nest]) -> Size:
    """The elements of the largest nest at all outer points; 0 where there are too many of these. From `LEAST` on a split pays."""
    rows = dims.product([a.extent for a in kernel.axes])
    few = FEW_COLUMNS if _beside_each_other(kernel) else FEW_ROWS
    if not isinstance(rows, int) or not 0 < rows <= few:
        return 0
    sizes = {dims.product([a.extent for a in nest.over]) * rows for nest in over if nest.over}
    known = max([size for size in sizes if isinstance(size, int)], default=0)
    unknown: list[Size] = [size for size in sizes if not isinstance(size, int)]
    if known >= LEAST or not unknown:
        return known
    most, *others = sorted(unknown, key=str)
    for size in others:
        most = dims.maximum(most, size)
    return most


def _beside_each_other(kernel: Kernel) -> bool:
    """Whether neighbouring outer points read neighbouring elements: columns, along which the lanes run."""
    last = kernel.axes[-1].index if kernel.axes else None
    indices = [s.args[: len(s.args) - s.param[1]] for s in kernel.parts if s.op == "load"]
    return any(at and at[-1].op == "index" and at[-1].param == last for at in indices)


# -- one kernel -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Grid:
    """Axis `at` of a nest in `chunks` of `step` turns; those before it, of few turns, are loops around."""

    at: int
    index: Axis
    step: Size
    whole: Axis

    @property
    def chunk(self) -> Axis:
        """The turns of one chunk."""
        return Axis(self.whole.index, dims.minimum(self.step, self.whole.extent - self.index.index * self.step))


def _grid(over: Sequence[Axis], rows: Size, index: dims.Dim, arg: bool) -> _Grid:
    """Chunks of the first axis that is long enough together with those before it."""
    at = 0
    while at + 1 < len(over) and isinstance(before := dims.product([a.extent for a in over[: at + 1]]), int) and before < SHORT:
        at += 1
    rest = dims.product([a.extent for a in over[at + 1 :]])
    step = dims.maximum(1, dims.floordiv(CHUNK, dims.maximum(1, rest * rows)))
    chunks = dims.floordiv(over[at].extent + (step - 1), step)
    return _Grid(at, Axis(index, dims.maximum(1, chunks) if arg else chunks), step, over[at])


@dataclass
class _Draft(Slots):
    """A launch while it is being built."""

    stages: list[Stage] = field(default_factory=list)
    number: dict[int, tuple[int, tuple[Scalar, ...]]] = field(default_factory=dict)  # old stage -> new one, and the index of its local

    def add(self, stage: Stage) -> int:
        self.stages.append(stage)
        return len(self.stages) - 1


@dataclass(frozen=True)
class _Partial:
    """What the chunks left of the reduction `stage`: combined values, and for positions those of the values."""

    stage: int
    values: int
    positions: int | None


class _Splitter:
    """The launches that one launch becomes."""

    def __init__(self, buffers: list[Buffer], launch: Launch) -> None:
        self.buffers, self.launch, self.kernel = buffers, launch, launch.kernel
        self.outer = self.kernel.axes
        self.rows = dims.product([a.extent for a in self.outer])
        self.here = tuple([sc.index(a.index) for a in self.outer])
        self.kept: dict[int, int] = {}  # values per outer point that later nests read -> their buffers
        self.wide: dict[int, tuple[Size, ...]] = {}  # slots of scratch rows, which get one for every outer point -> shape
        deepest = max(len(self.outer) + len(s.axes) + len(s.reduce) for s in self.kernel.stages)
        self.index = loop_index(deepest)

    def launches(self, parts: Sequence[_Nest]) -> list[Launch]:
        result: list[Launch] = []
        open_: tuple[_Grid, list[_Partial]] | None = None
        later = self._read_later(parts)
        self._widen()
        for nest in parts:
            if nest.over and open_ is not None:
                result.append(self._once((), open_, later))
                open_ = None
            if not nest.over:
                result.append(self._once(nest.stages, open_, later))
                open_ = None
            elif any(self.kernel.stages[k].scan for k in nest.stages):
                result += self._scans(nest)
            elif any(self.kernel.stages[k].reduce for k in nest.stages):
                launch, *open_parts = self._chunks(nest)
                result.append(launch)
                open_ = open_parts[0]
            else:
                result.append(self._points(nest))
        return result if open_ is None else [*result, self._once((), open_, later)]

    def _read_later(self, parts: Sequence[_Nest]) -> set[int]:
        """Values per outer point that another launch reads."""
        home: dict[int, int] = {}  # the nest in whose launch a value per outer point is: results of chunks are ready in the one behind
        found: set[int] = set()
        for number, nest in enumerate(parts):
            behind = number + 1 if number + 1 < len(parts) and not parts[number + 1].over else -1
            for k in nest.stages:
                stage = self.kernel.stages[k]
                if not stage.axes:
                    home[k] = behind if stage.reduce else number
                found |= {s.param for s in sc.order((stage.body,)) if s.op == "local" and home.get(s.param, number) != number}
        return found

    def _widen(self) -> None:
        listed = list(self.launch.buffers)
        for slot, b in enumerate(listed):
            if self.buffers[b].role == "scratch":
                self.wide[slot] = tuple([a.extent for a in self.outer])
                listed[slot] = self._buffer(self.buffers[b].dtype, (*self.wide[slot], *self.buffers[b].shape))
        self.launch = replace(self.launch, buffers=tuple(listed))

    # -- pieces ---------------------------------------------------------------------------------------------------
    def _chunks(self, nest: _Nest) -> tuple[Launch, tuple[_Grid, list[_Partial]]]:
        """A nest with reductions: partial results of each chunk."""
        arg = any(self.kernel.stages[k].combine in POSITIONS for k in nest.stages)
        scans = any(self.kernel.stages[k].scan for k in nest.stages)  # values of elements are stored when these are known
        grid = _grid(nest.over, self.rows, self.index, arg)
        before, chunk = nest.over[: grid.at], (grid.chunk, *nest.over[grid.at + 1 :])
        moved = {_symbol(grid.whole): grid.index.index * grid.step + grid.whole.index}
        draft = _Draft()
        partials: list[_Partial] = []
        place: Size = 0
        for axis in (*before, grid.index):
            place = place * axis.extent + axis.index
        shape = (dims.product([a.extent for a in (*before, grid.index)]), *[a.extent for a in self.outer])
        for k in nest.stages:
            stage = self.kernel.stages[k]
            body = self._moved(stage.body, draft, moved)
            if not stage.reduce:
                draft.number[k] = len(draft.stages), tuple([sc.index(a.index) for a in chunk])
                stores = () if scans else self._stores(stage, draft, moved)
                draft.add(replace(stage, axes=chunk, body=body, stores=stores, nest=0))
                continue
            at = (sc.index(place), *self.here)
            combine = POSITIONS.get(str(stage.combine))
            values, position = self._buffer(body.dtype, shape), None
            store = Store(draft.slot(values, body.dtype, shape, True), at)
            draft.add(Stage((), body, body.dtype, chunk, combine or stage.combine, (store,)))
            if combine is not None:
                position = self._buffer(int64, shape)
                draft.add(Stage((), body, int64, chunk, stage.combine, (Store(draft.slot(position, int64, shape, True), at),)))
            partials.append(_Partial(k, values, position))
        return self._launched(draft, (*before, grid.index, *self.outer)), (grid, partials)

    def _scans(self, nest: _Nest) -> list[Launch]:
        """What each chunk comes to; what those before it come to; the chunks once more, each from there on."""
        partial, (grid, partials) = self._chunks(replace(nest, stages=tuple([k for k in nest.stages if not self._reads_scan(k)])))
        between, draft = _Draft(), _Draft()
        starts: dict[int, int] = {}
        for p in partials:
            buffer, stage = self.buffers[p.values], self.kernel.stages[p.stage]
            starts[p.stage] = self._buffer(buffer.dtype, buffer.shape)
            at = (sc.index(grid.index.index), *self.here)
            value = sc.load(between.slot(p.values, buffer.dtype, buffer.shape), at, buffer.dtype)
            store = Store(between.slot(starts[p.stage], buffer.dtype, buffer.shape, True), at)
            between.add(Stage((), value, buffer.dtype, (grid.index,), stage.combine, (store,), "exclusive"))
        moved = {_symbol(grid.whole): grid.index.index * grid.step + grid.whole.index}
        here = (sc.index(grid.chunk.index),)
        for k in nest.stages:
            stage = self.kernel.stages[k]
            body = self._moved(stage.body, draft, moved)
            if not stage.scan:
                draft.number[k] = (
                    draft.add(replace(stage, axes=(grid.chunk,), body=body, stores=self._stores(stage, draft, moved), nest=0)),
                    here,
                )
                continue
            running = sc.local(draft.add(replace(stage, reduce=(grid.chunk,), body=body, stores=(), nest=0)), here, stage.dtype)
            buffer = self.buffers[starts[k]]
            start = sc.load(draft.slot(starts[k], buffer.dtype, buffer.shape), (sc.index(grid.index.index), *self.here), buffer.dtype)
            value = sc.scalar(JOINS[str(stage.combine)], (start, running), stage.dtype)
            draft.number[k] = draft.add(Stage((grid.chunk,), value, stage.dtype, stores=self._stores(stage, draft, moved))), here
        return [partial, self._launched(between, self.outer), self._launched(draft, (grid.index, *self.outer))]

    def _reads_scan(self, k: int) -> bool:
        """Whether a stage reads a scan of its nest: the sums of chunks do without it."""
        return any(
            s.op == "local" and (self.kernel.stages[s.param].scan or self._reads_scan(s.param))
            for s in sc.order((self.kernel.stages[k].body,))
        )

    def _once(self, stages: Sequence[int], open_: tuple[_Grid, list[_Partial]] | None, later: set[int]) -> Launch:
        """Partial results combined in a fixed order, then what is computed once per outer point."""
        draft = _Draft()
        if open_ is not None:
            for partial in open_[1]:
                self._combine(draft, open_[0], partial)
            for partial in open_[1]:
                self._position(draft, open_[0], partial)
                self._keep(draft, partial.stage, later)
        for k in stages:
            stage = self.kernel.stages[k]
            draft.number[k] = len(draft.stages), ()
            body = self._moved(stage.body, draft, {})
            draft.add(replace(stage, body=body, stores=self._stores(stage, draft, {}), nest=1))
            self._keep(draft, k, later)
        return self._launched(draft, self.outer)

    def _combine(self, draft: _Draft, grid: _Grid, partial: _Partial) -> None:
        stage = self.kernel.stages[partial.stage]
        buffer = self.buffers[partial.values]
        axis = Axis(grid.index.index, buffer.shape[0])
        value = sc.load(draft.slot(partial.values, buffer.dtype, buffer.shape), (sc.index(axis.index), *self.here), buffer.dtype)
        stores = () if partial.positions is not None else self._stores(stage, draft, {})  # positions are looked up in a stage of their own
        draft.number[partial.stage] = draft.add(Stage((), value, stage.dtype, (axis,), stage.combine, stores)), ()

    def _position(self, draft: _Draft, grid: _Grid, partial: _Partial) -> None:
        """The position in the whole of the best chunk's best: chunk q lies behind (q // chunks) rows and q % chunks chunks."""
        if partial.positions is None:
            return
        stage = self.kernel.stages[partial.stage]
        buffer = self.buffers[partial.positions]
        best = sc.local(draft.number[partial.stage][0], (), int64)
        inside = sc.load(draft.slot(partial.positions, int64, buffer.shape), (best, *self.here), int64)
        rest = dims.product([a.extent for a in stage.reduce[grid.at + 1 :]])
        chunks = sc.index(grid.index.extent)
        row = sc.scalar("floordiv", (best, chunks), int64) * sc.index(grid.whole.extent * rest)
        start = row + sc.scalar("mod", (best, chunks), int64) * sc.index(grid.step * rest) if grid.at else best * sc.index(grid.step * rest)
        draft.number[partial.stage] = draft.add(Stage((), start + inside, int64, stores=self._stores(stage, draft, {}), nest=1)), ()

    def _points(self, nest: _Nest) -> Launch:
        """A nest without reductions: every element is a point of the kernel."""
        draft = _Draft()
        for k in nest.stages:
            stage = self.kernel.stages[k]
            draft.number[k] = len(draft.stages), ()
            draft.add(replace(stage, axes=(), body=self._moved(stage.body, draft, {}), stores=self._stores(stage, draft, {}), nest=0))
        return self._launched(draft, (*self.outer, *nest.over))

    # -- parts of a launch ----------------------------------------------------------------------------------------
    def _moved(self, body: Scalar, draft: _Draft, moved: dict[Symbol, Size]) -> Scalar:
        """A body as it reads in a launch of its own."""

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op == "load":
                slot, masked = s.param
                at = args[:-1] if masked else args
                return sc.load(*self._place(slot, at, draft, False), s.dtype, args[-1] if masked else None)
            if s.op != "local":
                return None
            if s.param in draft.number:
                return sc.local(*draft.number[s.param], s.dtype)
            shape = tuple([a.extent for a in self.outer])
            return sc.load(draft.slot(self.kept[s.param], s.dtype, shape), self.here, s.dtype)

        return sc.replace_leaves(body, leaf, moved)

    def _place(self, slot: int, at: tuple[Scalar, ...], draft: _Draft, written: bool) -> tuple[int, tuple[Scalar, ...]]:
        """The slot and the index in the launch of what the kernel has at `slot`."""
        operand = self.kernel.operands[slot]
        shape = (*self.wide.get(slot, ()), *operand.shape)
        return draft.slot(self.launch.buffers[slot], operand.dtype, shape, written), (*(self.here if slot in self.wide else ()), *at)

    def _stores(self, stage: Stage, draft: _Draft, moved: dict[Symbol, Size]) -> tuple[Store, ...]:
        stores = []
        for store in stage.stores:
            at = tuple([self._moved(i, draft, moved) for i in store.at])
            stores.append(Store(*self._place(store.slot, at, draft, True), store.mode))
        return tuple(stores)

    def _keep(self, draft: _Draft, k: int, later: set[int]) -> None:
        """Store the value of stage k if another nest reads it."""
        if k not in later:
            return
        number, _ = draft.number[k]
        stage, shape = draft.stages[number], tuple([a.extent for a in self.outer])
        self.kept[k] = self._buffer(stage.dtype, shape)
        store = Store(draft.slot(self.kept[k], stage.dtype, shape, True), self.here)
        draft.stages[number] = replace(stage, stores=(*stage.stores, store))

    def _buffer(self, dtype: np.dtype, shape: tuple[Size, ...]) -> int:
        self.buffers.append(Buffer(dtype, shape, "arena"))
        return len(self.buffers) - 1

    def _launched(self, draft: _Draft, axes: tuple[Axis, ...]) -> Launch:
        return Launch(Kernel(axes, tuple(draft.stages), tuple(draft.operands)), tuple(draft.buffers), self.launch.nodes)


def _symbol(axis: Axis) -> Symbol:
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    return symbol
