"""The code of a product of few rows with a large matrix that lies along n, see `sweep`: the tasks of a call are done together.

for outer..: for J in the columns of the tasks, by as many as have room for their sums: for chunks of k: for rows of a: sweep

The tasks are those of tiles, panels of columns. Sums are added up in one order, so results do not depend on which are done together.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.llvm_text import llvm_type
from graphc.codegen.strategy.contract import SMALL_ROWS, SWEEP_ROWS, Product, even_split, far_away, summed
from graphc.codegen.strategy.grid import Rows, ceiling, column_of, panel_count
from graphc.codegen.strategy.loops import digits
from graphc.codegen.strategy.operands import J
from graphc.codegen.strategy.product import ProductWriter
from graphc.codegen.strategy.sweep import ACROSS, DEEP, PARAMETERS, Sweep, most_rows, write_sweep
from graphc.dims import Size

PLACE, CHUNK, ROW = (dims.axis(x) for x in ("place", "chunk", "row"))
SUMS = 32 << 10, 48 << 10  # bytes, for one or two rows of a, which no cache need hold beside much of b, and for more
CHUNK_ROWS = 64  # of b: they stay in the second cache while several groups of rows of a pass
ANY_ROWS = (4, 1)  # heights where the number of rows is not known


class SweepWriter(ProductWriter):
    """Writes the tasks of one product."""

    def __init__(self, emitter: Emitter, p: Product) -> None:
        self.tiles = p
        m = p.extent_m
        most = max(m, 1) if isinstance(m, int) else SWEEP_ROWS
        self.small = most <= SMALL_ROWS
        self.highest = most_rows(emitter.unit.product_target)
        row_bytes = SUMS[not self.small] // (most if self.small else -(-most // self.highest) * self.highest)
        across = row_bytes // p.dtype.itemsize // p.lanes // ACROSS * ACROSS
        super().__init__(emitter, replace(p, vectors=across), Rows(m, most, most, 1))
        self.blocks, self.block_of_k, self.single = 1, summed(p), not p.more_k
        self.place = p.resting_place() if most == 1 and (p.plain or not self.single) else None  # rows far apart crowd a set of the cache
        near = min(most, self.highest) * max(DEEP)
        self.near = "null" if most == 1 else self.v.entry.emit(f"alloca {llvm_type(p.dtype, 1)}, i64 {near}, align 64")
        if self.place is None:
            self.sums = self.v.entry.emit(f"alloca {llvm_type(p.dtype, 1)}, i64 {most * self.p.width}, align 64")

    def run(self, first: Size, last: Size) -> None:
        """The tasks from first to last."""
        extents, across = [x.extent for x in self.p.outer], dims.maximum(panel_count(self.tiles), 1)
        if not extents:
            self.columns(first, last)
            return
        names = [x.index for x in self.p.outer]

        def place() -> None:
            low, high = dims.maximum(first - PLACE * across, 0), dims.minimum(last - PLACE * across, across)
            self.within(dict(zip(names, digits(PLACE, extents), strict=True)), lambda: self.columns(low, high))

        self.e.loops.each(PLACE, dims.floordiv(first, across), ceiling(last, across), 1, place, outer=True)

    def columns(self, first: Size, last: Size) -> None:
        """The panels from first to last, as many columns at a time as there is room for sums."""
        start, stop = column_of(self.tiles, first), column_of(self.tiles, last)
        more = [replace(x, extent=dims.maximum(x.extent, 1)) for x in self.p.more_k]

        def block() -> None:
            self.operands.cols = dims.minimum(self.p.width, stop - J)
            self.e.loops.nest(more, self.sweeps)

        self.e.loops.each(J, start, stop, self.p.width, block, outer=True)

    def sweeps(self) -> None:
        """All of k for these columns."""
        self.operands.at_k, self.operands.kc = 0, self.block_of_k
        self.at_step()
        if isinstance(self.p.extent_m, int) and self.p.extent_m <= self.highest:
            self.all_rows()
        else:
            self.e.loops.each(CHUNK, 0, dims.maximum(self.block_of_k, 1), CHUNK_ROWS, self.chunk, outer=True)
        self.finish(0, self.p.extent_m)

    def chunk(self) -> None:
        """A chunk of k."""
        add = self.add
        self.operands.at_k, self.operands.kc = CHUNK, dims.minimum(CHUNK_ROWS, self.block_of_k - CHUNK)
        again = self.v.here.lines.emit(f"icmp ne i64 {self.v.size(CHUNK).text}, 0")
        self.add = again if add == "false" else self.v.here.lines.emit(f"or i1 {again}, {add}")
        self.all_rows()
        self.add = add

    def all_rows(self) -> None:
        """The rows of a, a group after the other."""
        m = self.p.extent_m
        if isinstance(m, int):
            at = 0
            for height in even_split(m, self.highest):
                self.rows_of(height, at)
                at += height
            return
        first: Size = 0
        left: Size = m
        for height in ANY_ROWS:
            rest = dims.mod(left, height)
            self.e.loops.each(ROW, first, m - rest, height, partial(self.rows_of, height, ROW), outer=True)
            first, left = m - rest, rest

    def rows_of(self, height: int, row: Size) -> None:
        """One call."""
        p, at_k = self.p, self.operands.at_k
        a = self.e.memory.address(p.a.slot, p.dtype, None, p.a.base + row * p.a.outer + at_k * p.a.inner).text
        b = self.e.memory.address(p.b.slot, p.dtype, None, p.b.base + at_k * p.b.inner + J).text
        a_row, a_k, b_k, kc, cols = [self.v.size(x).text for x in (p.a.outer, p.a.inner, p.b.inner, self.operands.kc, self.operands.cols)]
        values = [a, a_row, a_k, b, b_k, kc, self.target_of(row, 0)[0], cols, self.add, self.near]
        given = [f"{kind.split()[0]} {x}" for kind, x in zip(PARAMETERS, values, strict=True)]
        self.v.here.lines.line(f"call void {self.function(height)}({', '.join(given)})")

    def function(self, height: int) -> str:
        """What is called for so many rows: where several are worth it at all, b comes from memory."""
        far = far_away(self.p) if self.p.extent_m == 1 else 1
        unit, dtype = self.e.unit, self.p.dtype
        ways = (bool(far),) if isinstance(far, int) else (True, False)
        sweeps = [Sweep(dtype, height, self.p.width, way) for way in ways]
        names = [write_sweep(self.e.module, unit.product_target, sweep, unit.kernel_attributes) for sweep in sweeps]
        if isinstance(far, int):
            return f"@{names[0]}"
        condition = self.v.value(sc.index(far).ne(0)).text
        return self.v.here.lines.emit(f"select i1 {condition}, ptr @{names[0]}, ptr @{names[1]}")
