"""The code of a convolution: loops over blocks that gather, call the tile of products, and finish what the sums are for.

for task in (outer.., block of rows, group of panels):
  strips of a for all k, where several panels share them
  for panel in the group:
    for block of k:                            sums between blocks wait in the result, or in scratch
      the panel of b; strips of a
      tiles(a[rows, k], b[k, columns])
    epilogue

The blocks follow from the sizes alone, so results do not depend on how many threads share the tasks.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import llvm_type
from graphc.codegen.llvm.values import Scope
from graphc.codegen.loops.address import fetch, replace_indices
from graphc.codegen.loops.loopir import Block, For, Let, Statement, Store
from graphc.codegen.strategy.contract import even_split
from graphc.codegen.strategy.convolution import Convolution, Convolutions, plan
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.gathering import COUNTS, STARTS, Copies, K, M, N, local, moved, panel_bytes, position, room, strip_bytes
from graphc.codegen.strategy.loops import lanes_of
from graphc.codegen.strategy.tile import PARAMETERS, Tile, write_tile
from graphc.dims import Size
from graphc.program import Axis

TASK, PANEL, K_AT, COLUMN = (dims.axis(x) for x in ("task", "panel", "k_at", "column"))


def tasks(p: Convolution) -> Size:
    """How many tasks the convolution is: each writes a part of the result that no other reads or writes."""
    return dims.product([n for n, _ in _grid(p)])


def _grid(p: Convolution) -> list[tuple[Size, object]]:
    """The loops that a task's number counts through, the last one innermost; what each is."""
    groups = p.n.blocks if p.group == 1 else dims.floordiv(p.n.blocks + (p.group - 1), p.group)
    loops: list[tuple[Size, object]] = [(x.extent, x) for x in (*p.outer, *p.m.outer)]
    return [*loops, (p.m.blocks, "m"), *[(x.extent, x) for x in p.n.outer], (groups, "n")]


class ConvolutionWriter:
    """Writes the code of one convolution with the parts of an emitter."""

    def __init__(self, emitter: Emitter, p: Convolution, name: str, before: Size) -> None:
        """`before`: how many tasks of others come before its own."""
        self.e, self.v, self.p, self.name, self.before = emitter, emitter.values, p, name, before
        self.copies = Copies(emitter, p, name)
        self.place = p.resting_place()
        self.panel, self.strips, self.sums = (self._scratch(n) for n in (0, panel_bytes(p), panel_bytes(p) + strip_bytes(p)))
        self.single = p.k_blocks == 1

    def _scratch(self, start: int) -> str:
        if not room(self.p):
            return "null"
        assert self.e.kernel.scratch, "a convolution that copies declares what it needs"
        return self.v.entry.emit(f"getelementptr inbounds i8, ptr %b{len(self.e.kernel.operands)}, i64 {start}")

    def within(self, axis: dict[dims.Dim, Size], write: Callable[[], None]) -> None:
        """Write with some axes known; what is said of them is forgotten behind it."""
        known = {symbol_of(index): self.v.size(at) for index, at in axis.items()}
        self.v.scopes.append(Scope(self.v.here.lines, self.v.here.depth, axis=known))
        write()
        self.v.scopes.pop()

    def run(self, first: Size, last: Size) -> None:
        """Some of the tasks of all."""
        self.within({}, lambda: self.e.loops.each(TASK, first, last, 1, self.task))

    def task(self) -> None:
        """One task: its rows, and its group of panels."""
        p, known = self.p, dict[dims.Dim, Size]()
        rest: Size = TASK - self.before
        grid = _grid(p)
        first: Size = 0
        for at in range(len(grid) - 1, -1, -1):
            extent, what = grid[at]
            outermost = all(n == 1 for n, _ in grid[:at])
            number = rest if outermost else dims.mod(rest, dims.maximum(extent, 1))
            rest = 0 if outermost else dims.floordiv(rest, dims.maximum(extent, 1))
            if isinstance(what, Axis):
                known[what.index] = number
            elif what == "m" and p.m.axis is not None:
                known[STARTS[M]] = number * p.m.chunk
            else:
                first = number * p.group
        last = first + p.group if p.group == 1 else dims.minimum(first + p.group, p.n.blocks)

        def panels() -> None:
            if p.strips_whole:
                self.k_blocks(lambda: self.copies.pack_a(self.strip_at()))
            self.e.loops.each(PANEL, first, last, 1, self.one_panel)

        self.within(known, lambda: self.within({COUNTS[M]: p.m.count(STARTS[M])}, panels))

    def one_panel(self) -> None:
        p = self.p
        start = PANEL * p.n.chunk
        self.within({STARTS[N]: start, COUNTS[N]: p.n.count(start)}, self.panel_block)

    def panel_block(self) -> None:
        """The sums of one panel, and what is done to them."""
        self.k_blocks(self.block)
        self.finish()

    def k_blocks(self, write: Callable[[], None]) -> None:
        """Every block of k; an empty sum still has one, of no steps, which leaves zeros."""
        p = self.p
        more = [Axis(x.index, dims.maximum(x.extent, 1)) for x in p.k.outer]

        def one() -> None:
            start = K_AT * p.k.chunk
            count = p.k.count(start)
            if not all(isinstance(x.extent, int) for x in p.k.outer):
                count = dims.minimum(count, count * dims.product([x.extent for x in p.k.outer]))
            self.within({STARTS[K]: start, COUNTS[K]: count}, write)

        self.e.loops.nest(more, lambda: self.e.loops.each(K_AT, 0, dims.maximum(p.k.blocks, 1), 1, one))

    def block_number(self) -> Size:
        """How many blocks of k come before the one that the loops are at."""
        at: Size = 0
        for x in self.p.k.outer:
            at = at * x.extent + x.index
        return at * self.p.k.blocks + K_AT

    def strip_at(self) -> str:
        """The strips of the block of k that the loops are at."""
        p = self.p
        if not p.strips_whole:
            return self.strips
        at = self.v.size(self.block_number() * (p.m.most * p.k.most)).text
        return self.v.here.lines.emit(f"getelementptr inbounds {llvm_type(p.dtype, 1)}, ptr {self.strips}, i64 {at}")

    # -- one block ----------------------------------------------------------------------------------------------------------
    def block(self) -> None:
        """The products of one block of k, added to the sums."""
        p = self.p
        self.add = "false" if self.single else self.v.value(sc.index(self.block_number()).ne(0)).text
        if p.b.how != "place":
            self.copies.pack_b(self.panel)
        if p.a.how != "place" and not p.strips_whole:
            self.copies.pack_a(self.strip_at())
        steps = self.v.size(COUNTS[K] * p.k.steps if p.k.axis is not None else 1).text
        columns = COUNTS[N] * p.n.steps if p.n.axis is not None else 1
        a, b = self.a_block(), self.b_block()
        if p.n.whole:
            at = 0
            for vectors in even_split(-(-p.n.most // p.lanes), p.vectors):
                width = vectors * p.lanes
                self.rows(a, b, steps, at, vectors, min(width, p.n.most - at), at + width > p.n.most)
                at += width
            return
        width = p.vectors * p.lanes
        whole = dims.floordiv(columns, width) * width
        self.e.loops.each(COLUMN, 0, whole, width, lambda: self.rows(a, b, steps, COLUMN, p.vectors, width, False))
        rest = lambda: self.rows(a, b, steps, COLUMN, 1, dims.minimum(columns - COLUMN, p.lanes), True)
        self.e.loops.each(COLUMN, whole, columns, p.lanes, rest)

    def a_block(self) -> tuple[str, Size, Size]:
        """Where rows of a begin, and how far apart rows and steps of k are."""
        p = self.p
        if p.a.how != "place":
            return self.strip_at(), *self.copies.strip_steps()
        row, step = p.m.stride(p.a.offset), p.k.stride(p.a.offset)
        assert row is not None and step is not None
        return self._start(p.a.slot, p.a.offset), row, step

    def b_block(self) -> tuple[str, Size]:
        """Where the columns of b begin, and how far apart steps of k are."""
        p = self.p
        if p.b.how != "place":
            return self.panel, p.width
        step = p.k.stride(p.b.offset)
        assert step is not None
        return self._start(p.b.slot, p.b.offset), step

    def _start(self, slot: int, offset: Size) -> str:
        """The address of the first element of a block."""
        p = self.p
        zero: dict[dims.Symbol, Size] = {symbol_of(x.index): 0 for k in (M, N, K) for x in local(p, k)}
        return self.e.memory.address(slot, p.dtype, None, dims.substitute(dims.substitute(offset, moved(p)), zero)).text

    def rows(
        self, a: tuple[str, Size, Size], b: tuple[str, Size], steps: str, column: Size, vectors: int, columns: Size, masked: bool
    ) -> None:
        """All rows of some columns, in tiles."""
        p = self.p
        total = COUNTS[M] * p.m.steps if p.m.axis is not None else 1
        if p.m.whole:
            at, heights = 0, even_split(p.m.most, p.rows)
            for h in sorted(set(heights), reverse=True):
                count = h * heights.count(h)
                self.tile(Tile(p.dtype, h, vectors, masked, False), a, b, steps, at, count, column, columns)
                at += count
            return
        whole = dims.floordiv(total, p.rows) * p.rows
        self.tile(Tile(p.dtype, p.rows, vectors, masked, False), a, b, steps, 0, whole, column, columns)
        self.tile(Tile(p.dtype, p.rows, vectors, masked, True), a, b, steps, whole, total - whole, column, columns)

    def tile(
        self, tile: Tile, a: tuple[str, Size, Size], b: tuple[str, Size], steps: str, row: Size, count: Size, column: Size, columns: Size
    ) -> None:
        """One call: `count` rows from `row` on, at the columns from `column` on."""
        name = write_tile(self.e.module, self.e.unit.product_target, tile, self.e.unit.kernel_attributes)
        d, d_row = self.target_of(row, column)
        start_a, start_b = self._at(a[0], row * a[1]), self._at(b[0], column)
        sizes = [self.v.size(x).text for x in (a[1], a[2], a[1] * tile.height, b[1], count, columns)]
        values = [start_a, *sizes[:3], start_b, sizes[3], steps, d, d_row, *sizes[4:], self.add]
        given = [f"{kind.split()[0]} {x}" for kind, x in zip(PARAMETERS, values, strict=True)]
        self.v.here.lines.line(f"call void @{name}({', '.join(given)})")

    def _at(self, pointer: str, offset: Size) -> str:
        if offset == 0:
            return pointer
        return self.v.here.lines.emit(f"getelementptr inbounds {llvm_type(self.p.dtype, 1)}, ptr {pointer}, i64 {self.v.size(offset).text}")

    def target_of(self, row: Size, column: Size) -> tuple[str, str]:
        """Where sums go, and how far apart rows of them are."""
        if self.place is None:
            return self._at(self.sums, row * self.p.width + column), str(self.p.width)
        slot, static, step = self.place
        return self._at(self._start(slot, static), row * step + column), self.v.size(step).text

    # -- the epilogue -------------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Every other stage, and the stores, for the finished sums of a panel."""
        if self.place is not None:
            return
        name = f"{self.name}.finish"
        if name not in self.e.module.functions:
            self.e.module.add(self.copies.function(name, self._finish()))
        self.copies.call(name, self.sums, (K,))

    def _finish(self) -> Block:
        p, at = self.p, moved(self.p)
        rows, columns = local(p, M), local(p, N)
        memory = len(self.e.kernel.operands)
        body: list[Statement] = [Let(0, fetch(memory, None, position(rows) * p.width + position(columns), p.dtype))]
        body += [Let(k, replace_indices(s.body, at)) for k, s in enumerate(p.stages) if k]
        for k, s in enumerate(p.stages):
            for slot, dynamic, static, mode in p.stores[k]:
                where = None if dynamic is None else replace_indices(dynamic, at)
                body.append(Store(slot, where, dims.substitute(static, at), sc.local(k, (), s.dtype), mode))
        lanes = lanes_of([x.dtype for x in sc.order([s.body for s in p.stages])], self.e.target)
        return Block((_nest([*rows, *columns], Block(tuple(body)), lanes),))


def _nest(axes: Sequence[Axis], body: Block, lanes: int) -> For:
    """Loops, of which the innermost has the lanes."""
    *outside, last = axes
    loops = For(last.index, last.extent, "vector", body, lanes, 1)
    for x in reversed(outside):
        loops = For(x.index, x.extent, "serial", Block((loops,)))
    return loops


def _write(emitter: Emitter, p: Convolutions) -> None:
    """The tasks of one convolution after those of another."""
    first, last = emitter.span(all_tasks(p))
    before: Size = 0
    for k, part in enumerate(p.parts):
        writer, after = ConvolutionWriter(emitter, part, f"{emitter.name}.{k}" if k else emitter.name, before), before + tasks(part)
        if len(p.parts) == 1:
            writer.run(first, last)
        else:
            writer.run(dims.maximum(first, before), dims.minimum(last, after))
        before = after


def all_tasks(p: Convolutions) -> Size:
    """The tasks of all parts."""
    return functools.reduce(operator.add, [tasks(part) for part in p.parts])


def most_room(p: Convolutions) -> int:
    """Bytes of scratch: the parts use it one after the other."""
    return max([room(part) for part in p.parts])


CONVOLVE = Strategy("convolve", lambda kernel: kernel.kind == "convolve", plan, _write, all_tasks, most_room)
