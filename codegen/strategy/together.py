"""The code of a product whose tasks share what they pack: see `rounds` for what they are and how they wait for each other."""

from __future__ import annotations

from functools import partial

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.runtime.pool_text import AWAIT
from graphc.codegen.strategy.contract import Product, copied_once, may_pack, mostly_writes, plan, shared_pays, sweeps_pay
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.grid import outer_places, panel_count, row_blocks
from graphc.codegen.strategy.grid import tasks as own_tasks
from graphc.codegen.strategy.loops import digits
from graphc.codegen.strategy.operands import Q, panel_bytes
from graphc.codegen.strategy.product import TASK, P, ProductWriter
from graphc.codegen.strategy.rounds import PACKED_PANELS, PLACES, own_bytes, rounds, shared_bytes, words
from graphc.codegen.strategy.short import short_tasks, write_short
from graphc.codegen.strategy.sweeping import SweepWriter
from graphc.dims import Dim, Size

ROUND, JOB, PLACE, GROUP = (dims.axis(x) for x in ("round", "job", "place", "group"))


class TogetherWriter:
    """Writes the tasks of all rounds of one product."""

    def __init__(self, emitter: Emitter, p: Product) -> None:
        self.e, self.v, self.p, self.grid = emitter, emitter.values, p, rounds(p)
        self.product = ProductWriter(emitter, p, self.grid.rows, together=True)
        own = len(emitter.kernel.scratch)
        self.words, self.panels = (self.product.operands.scratch(own + k) for k in range(2))

    def task(self) -> None:
        """One task: a part of the packing of a round, or of its tiles."""
        p, grid = self.p, self.grid
        each = grid.packs + grid.tiles
        outer = [*[x.extent for x in p.outer], grid.groups, *[x.extent for x in p.more_k], self.product.blocks]
        numbers = digits(ROUND, outer)
        names = [*[x.index for x in p.outer], GROUP, *[x.index for x in p.more_k], P]
        known: dict[Dim, Size] = dict(zip(names, numbers, strict=True))
        of_task: dict[Dim, Size] = {ROUND: dims.floordiv(TASK, dims.maximum(each, 1)), JOB: dims.mod(TASK, dims.maximum(each, 1))}
        self.product.within(of_task, lambda: self.product.within(known, self.part))

    def part(self) -> None:
        """What a task is in its round."""
        grid, operands = self.grid, self.product.operands
        self.product.at_block_of_k()
        operands.first = GROUP * grid.group
        operands.panels = operands.element_of(self.panels, dims.mod(ROUND, PLACES) * (grid.group * self._panel))
        operands.copied = self.copied()
        packs = self.v.value(sc.index(JOB) < sc.index(grid.packs)).text
        self.e.loops.when(packs, self.pack)
        self.e.loops.when(self.v.here.lines.emit(f"xor i1 {packs}, true"), self.tiles)
        self.done()

    def copied(self) -> str | None:
        """Whether panels of this round are copied; None: certainly."""
        once = copied_once(self.p)
        if self.p.b.outer != 1 or once is True:
            return None
        crosses = self.product.operands.crosses_lines()
        if once is False:
            return crosses
        return self.v.here.lines.emit(f"or i1 {crosses}, {self.v.value(sc.index(once).ne(0)).text}")

    @property
    def _panel(self) -> int:
        return panel_bytes(self.p) // self.p.dtype.itemsize

    def pack(self) -> None:
        """Some panels of the group."""
        grid = self.grid
        self.wait(grid.packs, grid.tiles, ROUND - (PLACES - 1))
        if self.product.operands.copied is None:
            self.pack_panels()
        else:
            self.e.loops.when(self.product.operands.copied, self.pack_panels)

    def pack_panels(self) -> None:
        """A part of them."""
        grid = self.grid
        first = self.product.operands.first + JOB * PACKED_PANELS
        last = dims.minimum(dims.minimum(first + PACKED_PANELS, self.product.operands.first + grid.group), grid.across)
        for panel, low, high in self.product.panels(first, last):
            apart = panel.masked or self.p.b.outer != 1
            write = partial(self.product.operands.pack_panels, panel, 1 if apart else high - low)
            if apart:
                self.e.loops.each(Q, low, high, 1, partial(self.product.at_panel, panel, write), outer=True)
            else:
                self.product.within({Q: low}, partial(self.product.at_panel, panel, write))

    def tiles(self) -> None:
        """The sums of a block of rows, and of a chunk of the panels of the group."""
        grid = self.grid
        number = dims.maximum(JOB - grid.packs, 0)  # which LLVM need not find out
        self.wait(0, grid.packs, ROUND + 1)
        self.wait(JOB, 1, ROUND)
        block, chunk = digits(number, [grid.rows.count, grid.chunks])
        start, stop, known = self.product.block_of_rows(block)
        first = self.product.operands.first + chunk * grid.chunk
        last = dims.minimum(dims.minimum(first + grid.chunk, self.product.operands.first + grid.group), grid.across)
        self.product.within(known, lambda: self.product.k_block(first, last, start, stop))

    # -- waiting ------------------------------------------------------------------------------------------------
    def word(self, number: Size) -> str:
        """The address of a word of progress."""
        return self.v.here.lines.emit(f"getelementptr inbounds i64, ptr {self.words}, i64 {self.v.size(number).text}")

    def wait(self, first: Size, count: Size, least: Size) -> None:
        """Until some tasks have done so many rounds; one thread alone takes them in order."""
        if not self.e.shared:
            return
        self.e.module.declare(f"declare void @{AWAIT}(ptr, i64, i64)")
        numbers = [self.v.size(x).text for x in (count, least)]
        self.v.here.lines.line(f"call void @{AWAIT}(ptr {self.word(first)}, i64 {numbers[0]}, i64 {numbers[1]})")

    def done(self) -> None:
        """Say so."""
        if not self.e.shared:
            return
        at = self.word(JOB)
        self.v.here.lines.line(f"store atomic i64 {self.v.size(ROUND + 1).text}, ptr {at} release, align 8")


def _write(emitter: Emitter, p: Product) -> None:
    if mostly_writes(p):
        write_short(emitter, p, *emitter.span(short_tasks(p)))
        return
    swept = sweeps_pay(p)
    if isinstance(swept, bool):
        _write_sweeps(emitter, p) if swept else _write_tiles(emitter, p)
        return
    condition = emitter.values.value(sc.index(swept).ne(0)).text
    emitter.loops.when(condition, lambda: _write_sweeps(emitter, p))
    emitter.loops.when(emitter.values.here.lines.emit(f"xor i1 {condition}, true"), lambda: _write_tiles(emitter, p))


def _write_sweeps(emitter: Emitter, p: Product) -> None:
    SweepWriter(emitter, p).run(*emitter.span(outer_places(p) * panel_count(p)))


def _write_tiles(emitter: Emitter, p: Product) -> None:
    """Each way by its own number of tasks: `tasks` is long to compute."""
    pays = shared_pays(p)
    own_span, together_span = emitter.span(own_tasks(p)), emitter.span(rounds(p).tasks if pays is not False else 0)
    own = None if pays is True else ProductWriter(emitter, p, row_blocks(p))
    together = None if pays is False else TogetherWriter(emitter, p)
    if own is not None and together is not None:
        condition = emitter.values.value(sc.index(pays).ne(0)).text
        emitter.loops.when(condition, lambda: emitter.loops.each(TASK, *together_span, 1, together.task, outer=True))
        condition = emitter.values.here.lines.emit(f"xor i1 {condition}, true")
        emitter.loops.when(condition, lambda: emitter.loops.each(TASK, *own_span, 1, own.task, outer=True))
    elif own is not None:
        emitter.loops.each(TASK, *own_span, 1, own.task, outer=True)
    elif together is not None:
        emitter.loops.each(TASK, *together_span, 1, together.task, outer=True)


def _either(pays: bool | Size, small: Size, large: Size) -> Size:
    """One number where sharing does not pay, and one where it does."""
    return (large if pays else small) if isinstance(pays, bool) else small + (large - small) * pays


def tasks(p: Product) -> Size:
    """How many tasks the product is."""
    if mostly_writes(p):
        return short_tasks(p)
    pays = shared_pays(p)
    return _either(pays, 0 if pays is True else own_tasks(p), 0 if pays is False else rounds(p).tasks)


def scratch(p: Product) -> Size:
    """Bytes that each thread needs for itself."""
    pays = shared_pays(p)
    return _either(pays, panel_bytes(p) if may_pack(p) else 0, 0 if pays is False else own_bytes(p))


def shared(p: Product) -> tuple[Size, Size]:
    """Words of progress, and bytes, that all threads have together."""
    pays = shared_pays(p)
    return (0, 0) if pays is False else (_either(pays, 0, words(p)), _either(pays, 0, shared_bytes(p)))


PRODUCT = Strategy("product", lambda kernel: kernel.kind == "contract", plan, _write, tasks, scratch, shared, lambda p: shared_pays(p))
