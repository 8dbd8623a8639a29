"""The code of a product: loops over blocks, panels and strips that call one tile, and the epilogue.

for task in (outer.., rows in blocks of m, J in panels of n):        see `grid`; a packed panel serves a block of rows
  for P in blocks of k:                            sums between blocks wait in the output, or in a scratch on the stack
    pack b[k, J..] where that pays
    tiles(a[rows, k], b[k, J..]), after the last block the epilogue

Large products are tasks of another kind, which share what they pack, see `rounds` and `together`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import llvm_type, stack_room
from graphc.codegen.llvm.values import Scope
from graphc.codegen.loops.address import fetch, replace_indices
from graphc.codegen.loops.loopir import Block, For, Let, Statement, Store
from graphc.codegen.strategy.contract import (
    DOT_ROWS,
    REST_ROWS,
    Product,
    brings_panels,
    even_split,
    k_blocks,
    stride,
    summed,
)
from graphc.codegen.strategy.dots import write_dots
from graphc.codegen.strategy.grid import Panel, Rows, column_panels, panel_count, row_blocks
from graphc.codegen.strategy.loops import digits, lanes_of
from graphc.codegen.strategy.operands import COL, COLS, ROW, J, Operands, Q
from graphc.codegen.strategy.tile import Tile, write_tile, write_tiles
from graphc.dims import Dim, Size, Symbol
from graphc.program import Operand
from graphc.scalars import Scalar

TASK, ROW_AT, P, M0, N0, COUNT = (dims.axis(x) for x in ("task", "row_block", "k_block", "m0", "n0", "count"))
STEPS = tuple([dims.axis(f"step{k}") for k in range(8)])


class ProductWriter:
    """Writes the code of one product with the parts of an emitter."""

    def __init__(self, emitter: Emitter, p: Product, rows: Rows, together: bool = False) -> None:
        """For tasks of so many `rows`; `together`: they share what they pack."""
        self.e, self.v, self.p = emitter, emitter.values, p
        self.blocks = k_blocks(p)
        self.block_of_k = summed(p) if self.blocks == 1 else _ceiling(summed(p), self.blocks)
        self.single = self.blocks == 1 and not p.more_k
        self.place = p.resting_place() if p.plain or not self.single else None
        self.operands = Operands(emitter, p, together)
        self.rows, self.together = rows, together
        self.straight = together and row_blocks(p).count == 1  # tasks by themselves would cut all rows evenly, with as many sums in flight
        nbytes = rows.most * p.width * p.dtype.itemsize
        self.sums = "null" if self.place else stack_room(emitter.module, self.v.entry, nbytes)

    def within(self, axes: dict[Dim, Size], write: Callable[[], None]) -> None:
        """Write with some axes known; what is said of them is forgotten behind it."""
        known = {symbol_of(index): self.v.size(at) for index, at in axes.items()}
        self.v.scopes.append(Scope(self.v.here.lines, self.v.here.depth, axis=known))
        write()
        self.v.scopes.pop()

    def task(self) -> None:
        """A block of rows and a panel at one place of the outer axes; none reads what another writes."""
        p = self.p
        *outer, block, column = digits(TASK, [*[x.extent for x in p.outer], self.rows.count, panel_count(p)])
        more = [replace(x, extent=dims.maximum(x.extent, 1)) for x in p.more_k]
        start, stop, known = self.block_of_rows(block)
        k_block = lambda: self.k_block(column, column + 1, start, stop)
        k_blocks = lambda: self.e.loops.nest(more, lambda: self.e.loops.each(P, 0, self.blocks, 1, k_block, outer=True))
        self.within(dict(zip([x.index for x in p.outer], outer, strict=True)) | known, k_blocks)

    def block_of_rows(self, number: Size) -> tuple[Size, Size, dict[Dim, Size]]:
        """Where a block of rows begins and ends, and the axis of which that speaks."""
        rows = self.rows
        start: Size = 0 if rows.count == 1 else ROW_AT
        stop = start + rows.height if rows.whole else dims.minimum(start + rows.height, rows.extent)
        return start, stop, {} if rows.count == 1 else {ROW_AT: number * rows.height}

    def at_block_of_k(self) -> None:
        """For the block of k that the loops are at."""
        self.operands.at_k = 0 if self.blocks == 1 else P * self.block_of_k
        self.operands.kc = self.block_of_k if self.blocks == 1 else dims.minimum(self.block_of_k, summed(self.p) - self.operands.at_k)

    def at_step(self) -> None:
        """Whether sums are added to, and whether they are then finished."""
        p = self.p
        steps = [x.index for x in p.more_k] + ([] if self.blocks == 1 else [P])
        self.add, self.last = "false", "true"
        if not self.single:
            at = sum(steps[1:], start=steps[0])
            self.add = self.v.value(sc.index(at).ne(0)).text
            end: Size = sum([dims.maximum(x.extent, 1) - 1 for x in p.more_k], start=self.blocks - 1)
            self.last = self.v.value(sc.index(at).eq(sc.index(end))).text

    def k_block(self, first: Size, last: Size, start: Size, stop: Size) -> None:
        """One block of k for the rows from start to stop and the panels first to last."""
        self.at_block_of_k()
        self.at_step()
        if self.operands.strips_pay:
            self.operands.pack_strips(start, stop)
        for panel, low, high in self.panels(first, last):
            write = partial(self.panel_block, panel, start, stop)
            self.e.loops.each(Q, low, high, 1, partial(self.at_panel, panel, write), outer=True)

    def panels(self, first: Size, last: Size) -> Iterator[tuple[Panel, Size, Size]]:
        """The kinds of panels, and which of each are among those from first to last."""
        panels = column_panels(self.p)
        for panel in panels:
            low = first if panel is panels[0] else dims.maximum(first, panel.first)
            high = last if panel is panels[-1] else dims.minimum(last, panel.first + panel.count)
            yield panel, low, high

    def at_panel(self, panel: Panel, write: Callable[[], None]) -> None:
        """Write for the columns of panel number Q."""
        width = panel.vectors * self.p.lanes
        self.operands.cols = dims.minimum(width, self.p.n.extent - J) if panel.masked else width
        self.within({J: panel.start + (Q - panel.first) * width}, write)

    def panel_block(self, panel: Panel, start: Size, stop: Size) -> None:
        """The sums of the columns of a panel."""
        p = self.p
        few: bool | Scalar = False
        if p.along_k and not self.together:
            few = p.extent_m <= DOT_ROWS if isinstance(p.extent_m, int) else sc.index(stop - start) <= sc.index(DOT_ROWS)
        if isinstance(few, bool):
            self.dots(start, stop) if few else self.packed_tiles(panel, start, stop)
        else:
            condition = self.v.value(few).text
            self.e.loops.when(condition, lambda: self.dots(start, stop))
            self.e.loops.when(self.v.here.lines.emit(f"xor i1 {condition}, true"), lambda: self.packed_tiles(panel, start, stop))
        self.finish(start, stop)

    # -- tiles --------------------------------------------------------------------------------------------------
    def dots(self, start: Size, stop: Size) -> None:
        """The sums of few rows where nothing need be packed."""
        p = self.p
        known = p.extent_m if isinstance(p.extent_m, int) else None
        name = write_dots(self.e.module, self.e.unit.product_target, p.dtype, known, self.e.unit.kernel_attributes)
        a, a_row = self.operands.few_rows(start, stop)
        b = self.e.memory.address(p.b.slot, p.dtype, None, p.b.base + self.operands.at_k + J * p.b.outer).text
        d, d_row = self.target_of(start, start)
        b_row, kc, rows, cols = [self.v.size(x).text for x in (p.b.outer, self.operands.kc, stop - start, self.operands.cols)]
        self.v.here.lines.line(
            f"call void @{name}(ptr {a}, i64 {a_row}, ptr {b}, i64 {b_row}, i64 {kc}, ptr {d}, i64 {d_row}, "
            f"i64 {rows}, i64 {cols}, i1 {self.add})"
        )

    def packed_tiles(self, panel: Panel, start: Size, stop: Size) -> None:
        """The sums of all rows of a block and the columns of a panel."""
        p = self.p
        self.b, self.b_k = self.operands.panel_of_b(panel)
        if isinstance(start, int) and isinstance(stop, int) and not self.together:
            heights, at = even_split(stop, p.rows), 0
            for h in sorted(set(heights), reverse=True):
                rows = h * heights.count(h)
                self.tile(panel, h, False, at, rows, start)
                at += rows
        elif isinstance(p.extent_m, int) and p.extent_m % p.rows == 0:
            self.tile(panel, p.rows, False, start, stop - start, start)
        elif isinstance(p.extent_m, int):
            rest = dims.mod(stop - start, p.rows)
            self.tile(panel, p.rows, False, start, stop - start - rest, start)
            self.tile(panel, p.extent_m % p.rows, False, stop - rest, rest, start, chained=self.straight)
        elif panel.narrow:
            self.tile(panel, p.rows, True, start, stop - start, start)
        else:
            self.tile(panel, p.rows, False, start, stop - start, start, REST_ROWS)

    def finish(self, start: Size, stop: Size) -> None:
        """The epilogue, after the last block of k."""
        if self.p.plain and self.place is not None:
            return
        if self.single:
            self.epilogue(start, stop - start)
            return
        for size in (start, stop - start, J, self.operands.cols):
            self.v.size(size)
        self.e.loops.when(self.last, lambda: self.epilogue(start, stop - start))

    def target_of(self, row: Size, start: Size) -> tuple[str, str]:
        """Where the sums from `row` on go, and how far apart rows of them are: the output, or the scratch of this block of rows."""
        p = self.p
        if self.place:
            slot, static = self.place
            d = self.e.memory.address(slot, p.dtype, None, dims.substitute(static, _moved(p, row, J))).text
            return d, "0" if p.m is None else self.v.size(_known(stride(static, p.m))).text
        at = self.v.size((row - start) * p.width).text
        if at == "0":
            return self.sums, str(p.width)
        return self.v.here.lines.emit(f"getelementptr inbounds {llvm_type(p.dtype, 1)}, ptr {self.sums}, i64 {at}"), str(p.width)

    def tile(
        self,
        panel: Panel,
        height: int,
        clamped: bool,
        row: Size,
        rows: Size,
        start: Size,
        rest: tuple[int, ...] = (),
        chained: bool = False,
    ) -> None:
        """One call: `rows` rows from `row` on, in tiles of this height, and of those of the `rest` where rows are left."""
        p = self.p
        masked = 0 if not panel.masked else 1 if isinstance(p.n.extent, int) else panel.vectors
        ahead = brings_panels(p) and height == p.rows and not clamped
        tile = Tile(p.dtype, height, panel.vectors, masked, clamped, panel.half, chained, ahead)
        given = self.e.module, self.e.unit.product_target, tile
        name = write_tiles(*given, rest, self.e.unit.kernel_attributes) if rest else write_tile(*given, self.e.unit.kernel_attributes)
        d, d_row = self.target_of(row, start)
        numbers = [self.v.size(x).text for x in (self.operands.kc, rows, self.operands.cols)]
        values = [*self.operands.rows_of_a(row, start, height), self.b, self.b_k, numbers[0], d, d_row, numbers[1], numbers[2], self.add]
        if ahead:
            values.append(self.operands.panel_ahead(self.b) if self.together else self.b)
        arguments = [f"{kind.split()[0]} {x}" for kind, x in zip(tile.parameters, values, strict=True)]
        self.v.here.lines.line(f"call void @{name}({', '.join(arguments)})")

    # -- the epilogue -------------------------------------------------------------------------------------------
    def epilogue(self, row: Size, count: Size) -> None:
        """Every other stage, and the stores, for the finished sums of `count` rows from `row` on."""
        p = self.p
        name, whole, steps = self.finisher
        pointers = [f"ptr %b{k}" for k in range(len(self.e.kernel.operands))] + [f"ptr {self.sums}"]
        numbers = [f"i64 {self.v.axis(s).text}" for s in self.e.kernel.sizes()]
        across = dims.floordiv(self.operands.cols, p.lanes) if whole else self.operands.cols
        numbers += [f"i64 {self.v.size(x).text}" for x in (*[x.index for x in p.outer], row, J, count, across, *steps)]
        self.v.here.lines.line(f"call void @{name}({', '.join(pointers + numbers)})")

    @cached_property
    def finisher(self) -> tuple[str, bool, list[Size]]:
        """The function of the epilogue, whether it counts columns by whole vectors, and the steps between rows that it is given.

        Products that differ in these alone, as layers of a net do, have one function.
        """
        p, steps = self.p, list[Size]()
        moved = _moved(p, M0 + ROW, N0 + COL)

        def at(offset: Size) -> Size:
            step = 0 if p.m is None else stride(offset, p.m)
            if isinstance(step, int) and step > 1 and step not in steps and len(steps) < len(STEPS):
                steps.append(step)
            if step not in steps:
                return dims.substitute(offset, moved)
            rest = dims.substitute(offset, _moved(p, 0, N0 + COL))
            return rest + (M0 + ROW) * STEPS[steps.index(step)]

        operands = (*self.e.kernel.operands, Operand(p.dtype, ()))
        sums, lies = len(operands) - 1, ROW * p.width + COL
        if self.place:
            sums, lies = self.place[0], at(self.place[1])
        body: list[Statement] = [Let(0, fetch(sums, None, lies, p.dtype))]
        body += [Let(k, replace_indices(s.body, moved, at)) for k, s in enumerate(p.stages) if k]
        for k, s in enumerate(p.stages):
            for slot, dynamic, static, mode in p.stores[k]:
                where = None if dynamic is None else replace_indices(dynamic, moved, at)
                body.append(Store(slot, where, at(static), sc.local(k, (), s.dtype), mode))
        whole = not any(panel.masked for panel in column_panels(p))  # whole vectors need no second copy for a tail
        lanes = lanes_of([x.dtype for x in sc.order([s.body for s in p.stages])], self.e.target)
        loops = For(ROW, COUNT, "serial", Block((For(COL, COLS * p.lanes if whole else COLS, "vector", Block(tuple(body)), lanes, 1),)))
        numbers = [*[x.index for x in p.outer], M0, N0, COUNT, COLS, *STEPS[: len(steps)]]
        kernel = replace(self.e.kernel, operands=operands, scratch=(), shared=())
        name = f"{self.e.name}.finish.{p.width}"
        made = Emitter(self.e.unit, kernel, name, Block((loops,)), numbers=numbers).function()
        return self.e.module.add_once(made), whole, steps


def _moved(p: Product, m: Size, n: Size) -> dict[Symbol, Size]:
    """The indices of a tile's element in place of the axes."""
    moved = {symbol_of(p.n.index): n}
    if p.m is not None:
        moved[symbol_of(p.m.index)] = m
    return moved


def _known(size: Size | None) -> Size:
    assert size is not None
    return size


def _ceiling(a: Size, b: Size) -> Size:
    return -(-a // b) if isinstance(a, int) and isinstance(b, int) else dims.floordiv(a + b - 1, b)
