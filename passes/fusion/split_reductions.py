"""Reductions over much become a grid of partial results, so that threads can share them.

    t0 = sum[i0:n] x[i0]           for i1 in ceil(n/G):  t0 = sum[i0:min(G, n - G*i1)] x[G*i1 + i0] -> p[i1]
    y = x / t0               ->    t0 = sum[i1:ceil(n/G)] p[i1] -> s[]
                                   for i0 in n:  t0 = x[i0] / s[] -> y[i0]

A kernel that is one loop nest after the other becomes one kernel for each nest, whose outer loop threads share, and one
between any two for what is computed once. The grid follows from the sizes alone: the bits are the same for any number of
threads, and sums are pairwise over the chunks. Kernels with many outer points are shared along these and stay whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.passes.fusion import rescaled
from graphc.passes.fusion.ahead import Ahead, done_ahead
from graphc.passes.fusion.centred import Centred, about, count, first_part, shift
from graphc.passes.fusion.chunks import JOINS, Grid, Nest, below, grid_of, nests_of
from graphc.passes.fusion.one_sweep import one_sweep
from graphc.passes.fusion.partials import Chunk, Draft, Open, Partial, Scale, Shift
from graphc.passes.fusion.rescaled import Rescaled, put_off
from graphc.program import PLANNED, Axis, Branch, Buffer, Kernel, Launch, Loop, Program, Stage, Step, Store, loop_index, point, walk
from graphc.scalars import Scalar

POSITIONS = {"argmax": "max", "argmin": "min"}


def split_reductions(program: Program) -> Program:
    """The program with its large reductions in grids."""
    buffers = list(program.buffers)
    touched = Counter([program.roots[b] for step in walk(program.steps) for b in set(step.own)])
    private = {b for b, buffer in enumerate(buffers) if buffer.role in PLANNED and touched[program.roots[b]] == 1}
    steps: list[Step] = []
    commit = 0
    for k, step in enumerate(program.steps):
        if k == program.commit:
            commit = len(steps)
        steps += _split(buffers, private, step)
    if program.commit >= len(program.steps):
        commit = len(steps)
    return replace(program, buffers=tuple(buffers), steps=tuple(steps), commit=commit)


def _split(buffers: list[Buffer], private: Collection[int], step: Step) -> Sequence[Step]:
    """A step with its launches as grids, those of its inner lists too; threads share the turns of a parallel loop already."""
    match step:
        case Launch():
            return _grids(buffers, private, step)
        case Loop(parallel=True):
            return [step]
        case _:
            return [step.holding(*[[s for old in inside for s in _split(buffers, private, old)] for inside in step.inner])]


def _grids(buffers: list[Buffer], private: Collection[int], launch: Launch) -> Sequence[Step]:
    """A launch, or the grids that it becomes; both where only the call tells whether these pay: small arrays have no time for them."""
    parts = nests_of(launch.kernel)
    if parts is None:
        return [launch]
    own = {slot for slot, b in enumerate(launch.buffers) if b in private}
    once = replace(launch, kernel=one_sweep(launch.kernel, parts, done_ahead(launch.kernel, parts, own)))
    waiting = replace(launch, kernel=put_off(launch.kernel, own))
    parts = nests_of(waiting.kernel) or parts
    ahead = done_ahead(waiting.kernel, parts, own)
    whole = below(waiting.kernel, parts, bool(ahead))
    if not whole.symbols and whole.holds({}):
        return [once]
    split = _Splitter(buffers, waiting).launches(parts, ahead)
    return [Branch(whole, (once,), tuple(split))] if whole.symbols else split


class _Splitter:
    """The launches that one launch becomes."""

    def __init__(self, buffers: list[Buffer], launch: Launch) -> None:
        self.buffers, self.launch, self.kernel = buffers, launch, launch.kernel
        self.outer = self.kernel.axes
        self.rows = dims.product([a.extent for a in self.outer])
        self.here = point(self.outer)
        self.kept: dict[int, int] = {}  # values per outer point that later nests read -> their buffers
        self.wide: dict[int, tuple[Size, ...]] = {}  # slots of scratch rows, which get one for every outer point -> shape
        deepest = max(len(self.outer) + len(s.axes) + len(s.reduce) for s in self.kernel.stages)
        self.index = loop_index(deepest)

    def launches(self, parts: Sequence[Nest], ahead: Ahead) -> list[Launch]:
        result: list[Launch] = []
        ready: list[tuple[Open | None, tuple[int, ...]]] = []  # per outer point, in one launch: results of chunks, and what reads them
        done: dict[int, Open] = {}  # nests whose chunks an earlier one's launch has done
        later = self._read_later(parts, {second for second, _ in ahead.values()})
        self._widen()
        for number, nest in enumerate(parts):
            if number in done:
                ready.append((done[number], ()))
            elif not nest.over:
                open_, before = ready.pop() if ready else (None, ())
                ready.append((open_, (*before, *nest.stages)))
            else:
                result += self._once(ready, later)
                ready = []
                if any(self.kernel.stages[k].scan for k in nest.stages):
                    result += self._scans(nest)
                elif any(self.kernel.stages[k].reduce for k in nest.stages):
                    second, listed = ahead.get(number, (-1, ()))
                    launch, open_, done[second] = self._chunks(nest, listed)
                    result.append(launch)
                    ready = [(open_, ())]
                else:
                    result.append(self._points(nest))
        return [*result, *self._once(ready, later)]

    def _read_later(self, parts: Sequence[Nest], ahead: set[int]) -> set[int]:
        """Values per outer point that another launch reads."""
        home: dict[int, int] = {}  # stage -> the launch that knows its value
        found: set[int] = set()
        last, ready = 0, -1  # launches so far, and the one that combines results of chunks or computes values per outer point
        for number, nest in enumerate(parts):
            if number not in ahead and (nest.over or ready < 0):
                last += 1
                ready = -1 if nest.over else last
            at = last if number not in ahead else ready
            if nest.over and number not in ahead and any(self.kernel.stages[k].reduce for k in nest.stages):
                last += 1
                ready = last
            for k in nest.stages:
                stage = self.kernel.stages[k]
                if not stage.axes:
                    home[k] = ready if stage.reduce else at
                found |= {j for j in stage.reads if home.get(j, at) != at}
        return found

    def _widen(self) -> None:
        listed = list(self.launch.buffers)
        for slot, b in enumerate(listed):
            if self.buffers[b].role == "scratch":
                self.wide[slot] = tuple([a.extent for a in self.outer])
                listed[slot] = self._buffer(self.buffers[b].dtype, (*self.wide[slot], *self.buffers[b].shape))
        self.launch = replace(self.launch, buffers=tuple(listed))

    # -- pieces ---------------------------------------------------------------------------------------------------
    def _chunks(self, nest: Nest, ahead: Sequence[Centred | Rescaled] = ()) -> tuple[Launch, Open, Open]:
        """A nest with reductions: partial results of each chunk, and of the sums about what these give in the end."""
        arg = any(self.kernel.stages[k].combine in POSITIONS for k in nest.stages)
        scans = any(self.kernel.stages[k].scan for k in nest.stages)  # values of elements are stored when these are known
        grid = grid_of(nest.over, self.rows, self.index, arg)
        before, axes = nest.over[: grid.at], (grid.chunk, *nest.over[grid.at + 1 :])
        place: Size = 0
        for axis in (*before, grid.index):
            place = place * axis.extent + axis.index
        shape = (dims.product([a.extent for a in (*before, grid.index)]), *[a.extent for a in self.outer])
        moved = {_symbol(grid.whole): grid.index.index * grid.step + grid.whole.index}
        centred = [c for c in ahead if isinstance(c, Centred)]
        chunk = Chunk(Draft(), axes, moved, shape, (sc.index(place), *self.here), 2 if centred else 0)
        shifts = {total: self._shift(chunk, total) for total in dict.fromkeys(c.total for c in centred)}
        most: dict[int, tuple[int, int]] = {}  # a stage with the largest element -> that of the chunk, and its buffer
        partials: list[Partial] = []
        for k in nest.stages:
            stage, draft = self.kernel.stages[k], chunk.draft
            if k in shifts:
                partials.append(Partial(k, shifts[k].rest, None, shifts[k]))
                continue
            body = self._moved(stage.body, draft, moved)
            if not stage.reduce:
                draft.number[k] = len(draft.stages), point(axes)
                stores = () if scans else self._stores(stage, draft, moved)
                draft.add(replace(stage, axes=axes, body=body, stores=stores, nest=chunk.nest))
                continue
            combine = POSITIONS.get(str(stage.combine))
            values, position = self._summed(chunk, body, combine or str(stage.combine)), None
            most[k] = len(draft.stages) - 1, values
            if combine is not None:
                position = self._summed(chunk, body, str(stage.combine), int64)
            partials.append(Partial(k, values, position))
        sums = []
        for c in centred:
            values = self._summed(chunk, shifts[c.total].difference * shifts[c.total].difference, "sum")
            sums.append(Partial(c.stage, values, None, replace(shifts[c.total], centre=c.centre)))
        sums += self._exponentials(chunk, most, [c for c in ahead if isinstance(c, Rescaled)])
        launch = self._launched(chunk.draft, (*before, grid.index, *self.outer))
        return launch, Open(grid, partials), Open(grid, sums)

    def _exponentials(self, chunk: Chunk, most: Mapping[int, tuple[int, int]], listed: Sequence[Rescaled]) -> list[Partial]:
        """Sums of exponentials about the largest elements of a chunk; one for all that differ in what they are about in the end."""
        draft, last, about = chunk.draft, replace(chunk, nest=chunk.nest + 2), {}
        for k in dict.fromkeys(c.most for c in listed):
            stage, dtype = most[k][0], self.kernel.stages[k].dtype
            number = draft.add(Stage((), rescaled.about(sc.local(stage, (), dtype)), dtype, nest=chunk.nest + 1))
            about[k] = sc.local(number, (), dtype)
        bodies = [sc.math("exp", self._moved(c.element, draft, chunk.moved) - about[c.most]) for c in listed]
        values = {body: self._summed(last, body, "sum") for body in dict.fromkeys(bodies)}
        return [
            Partial(c.stage, values[body], None, Scale(most[c.most][1], c.largest))
            for c, body in zip(listed, bodies, strict=True)
        ]  # fmt: skip

    def _summed(self, chunk: Chunk, body: Scalar, combine: str, dtype: np.dtype | None = None) -> int:
        """A reduction of a chunk, in a buffer with an element for each chunk."""
        dtype = dtype or body.dtype
        buffer = self._buffer(dtype, chunk.shape)
        store = Store(chunk.draft.slot(buffer, dtype, chunk.shape, True), chunk.at)
        chunk.draft.add(Stage((), body, dtype, chunk.axes, combine, (store,), nest=chunk.nest))
        return buffer

    def _shift(self, chunk: Chunk, total: int) -> Shift:
        """What stage `total` sums, about the mean of the first part of a chunk."""
        draft, dtype = chunk.draft, self.kernel.stages[total].dtype
        body = self._moved(self.kernel.stages[total].body, draft, chunk.moved)
        part = first_part(chunk.axes)
        first = draft.add(Stage((), body, dtype, part, "sum"))
        mean = shift(sc.local(first, (), dtype), count(part, dtype))
        buffer = self._buffer(dtype, chunk.shape)
        stored = draft.add(Stage((), mean, dtype, stores=(Store(draft.slot(buffer, dtype, chunk.shape, True), chunk.at),), nest=1))
        difference = body - sc.local(stored, (), dtype)
        return Shift(buffer, self._summed(chunk, difference, "sum"), difference)

    def _scans(self, nest: Nest) -> list[Launch]:
        """What each chunk comes to; what those before it come to; the chunks once more, each from there on."""
        partial, open_, _ = self._chunks(replace(nest, stages=tuple([k for k in nest.stages if not self._reads_scan(k)])))
        grid, partials = open_.grid, open_.partials
        between, draft = Draft(), Draft()
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

    def _once(self, ready: Sequence[tuple[Open | None, Sequence[int]]], later: set[int]) -> list[Launch]:
        """Partial results combined in a fixed order, then what is computed once per outer point; both once more."""
        draft = Draft()
        for turn, (open_, stages) in enumerate(ready):
            for partial in () if open_ is None else open_.partials:
                self._combine(draft, open_.grid, partial, 2 * turn)  # type: ignore[union-attr]
            for partial in () if open_ is None else open_.partials:
                self._position(draft, open_.grid, partial, 2 * turn + 1)  # type: ignore[union-attr]
                self._keep(draft, partial.stage, later)
            for k in stages:
                stage = self.kernel.stages[k]
                draft.number[k] = len(draft.stages), ()
                body = self._moved(stage.body, draft, {})
                draft.add(replace(stage, body=body, stores=self._stores(stage, draft, {}), nest=2 * turn + 1))
                self._keep(draft, k, later)
        return [self._launched(draft, self.outer)] if ready else []

    def _combine(self, draft: Draft, grid: Grid, partial: Partial, nest: int) -> None:
        stage = self.kernel.stages[partial.stage]
        shape = self.buffers[partial.values].shape
        axis = Axis(grid.index.index, shape[0])

        def part(buffer: int) -> Scalar:
            dtype = self.buffers[buffer].dtype
            return sc.load(draft.slot(buffer, dtype, shape), (sc.index(axis.index), *self.here), dtype)

        value = part(partial.values)
        if isinstance(of := partial.about, Shift):
            chunk = grid.chunk_at(dims.mod(axis.index, grid.index.extent) if grid.at else axis.index)
            elements, mean = count((chunk, *stage.reduce[grid.at + 1 :]), value.dtype), part(of.mean)
            if of.centre is None:
                value = value + elements * mean
            else:
                value = about(self._moved(of.centre, draft, {}), mean, elements, part(of.rest), value)
        elif of is not None:
            value = value * rescaled.scale(part(of.most), self._moved(of.largest, draft, {}))
        stores = () if partial.positions is not None else self._stores(stage, draft, {})  # positions are looked up in a stage of their own
        draft.number[partial.stage] = draft.add(Stage((), value, stage.dtype, (axis,), stage.combine, stores, nest=nest)), ()

    def _position(self, draft: Draft, grid: Grid, partial: Partial, nest: int) -> None:
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
        draft.number[partial.stage] = draft.add(Stage((), start + inside, int64, stores=self._stores(stage, draft, {}), nest=nest)), ()

    def _points(self, nest: Nest) -> Launch:
        """A nest without reductions: every element is a point of the kernel."""
        draft = Draft()
        for k in nest.stages:
            stage = self.kernel.stages[k]
            draft.number[k] = len(draft.stages), ()
            draft.add(replace(stage, axes=(), body=self._moved(stage.body, draft, {}), stores=self._stores(stage, draft, {}), nest=0))
        return self._launched(draft, (*self.outer, *nest.over))

    # -- parts of a launch ----------------------------------------------------------------------------------------
    def _moved(self, body: Scalar, draft: Draft, moved: dict[Symbol, Size]) -> Scalar:
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

    def _place(self, slot: int, at: tuple[Scalar, ...], draft: Draft, written: bool) -> tuple[int, tuple[Scalar, ...]]:
        """The slot and the index in the launch of what the kernel has at `slot`."""
        operand = self.kernel.operands[slot]
        shape = (*self.wide.get(slot, ()), *operand.shape)
        return draft.slot(self.launch.buffers[slot], operand.dtype, shape, written), (*(self.here if slot in self.wide else ()), *at)

    def _stores(self, stage: Stage, draft: Draft, moved: dict[Symbol, Size]) -> tuple[Store, ...]:
        stores = []
        for store in stage.stores:
            at = tuple([self._moved(i, draft, moved) for i in store.at])
            stores.append(Store(*self._place(store.slot, at, draft, True), store.mode))
        return tuple(stores)

    def _keep(self, draft: Draft, k: int, later: set[int]) -> None:
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

    def _launched(self, draft: Draft, axes: tuple[Axis, ...]) -> Launch:
        return Launch(Kernel(axes, tuple(draft.stages), tuple(draft.operands)), tuple(draft.buffers), self.launch.nodes)


def _symbol(axis: Axis) -> Symbol:
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    return symbol
