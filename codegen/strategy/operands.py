"""Where a product reads its operands: in place, or in packed copies.

strips of a:  strip[k, i] = a[i, k]      as many rows as a tile has, one step of k after the other
panels of b:  panel[k, j] = b[k, j]      as many columns as a tile has
"""

from __future__ import annotations

from collections.abc import Callable

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.llvm_text import llvm_type, stack_room
from graphc.codegen.loops.address import fetch
from graphc.codegen.loops.loopir import Block, For, Store
from graphc.codegen.strategy.contract import COPIED_BLOCK, DOT_ROWS, Product, may_pack, packing_pays
from graphc.codegen.strategy.grid import Panel, Rows, panel_count
from graphc.codegen.strategy.packing import overrun, square_of, write_copy, write_rows, write_transpose
from graphc.dims import Size
from graphc.program import Kernel, Operand

LINE = 64
STRIP_PANELS = 16  # fewer do not pay for packing a strip of a, which costs about as much as half a panel; a half where a lies along m
Q, J = (dims.axis(x) for x in ("panel", "column"))
COLS, ROW, COL = (dims.axis(x) for x in ("cols", "i", "j"))
SOURCE_K, SOURCE_N, KC = (dims.axis(x) for x in ("source_k", "source_n", "kc"))


def depth(p: Product) -> int:
    """Steps of k that a packed copy may have."""
    return max(min(p.k_block, p.k.extent if isinstance(p.k.extent, int) else p.k_block), 1)


def panel_bytes(p: Product) -> int:
    """Of one panel."""
    return round_up(round_up(depth(p), p.lanes) * p.width * p.dtype.itemsize, LINE)


def strip_bytes(p: Product, rows: Size) -> Size:
    """Of strips of so many rows, where they pay."""
    whole = round_up(rows, p.rows) if isinstance(rows, int) else rows  # tasks of rows known when called are whole tiles
    return (whole * depth(p) + overrun(p.lanes, p.rows, p.rows)) * p.dtype.itemsize if strips_pay(p) else 0


def strips_pay(p: Product) -> bool:
    """Whether strips of a are worth a copy, where many panels pass them."""
    across = panel_count(p)
    fewest = STRIP_PANELS if p.a.inner == 1 else STRIP_PANELS // 2
    return 1 in (p.a.outer, p.a.inner) and not (isinstance(across, int) and across < fewest)


class Operands:
    """The operands of a product: in place or in copies, whose places are in scratch, for they may take a megabyte."""

    kc: Size  # steps of k of the block that the loops are at,
    at_k: Size  # where they begin,
    cols: Size  # and the columns of its panel

    def __init__(self, emitter: Emitter, p: Product, together: bool) -> None:
        """`together`: panels are copied by tasks of their own, see `rounds`; `panels` is then where those of the round lie."""
        self.e, self.v, self.p, self.together = emitter, emitter.values, p, together
        self.pays, self.strips_pay = packing_pays(p), together and strips_pay(p)
        self.strips = self.panel = self.panels = "null"
        self.first: Size = 0  # the number of the first of the panels there
        self.copied: str | None = None  # whether they are there at all; None: certainly
        if self.strips_pay:
            self.strips = self.scratch(0)
        elif p.along_k and p.a.inner != 1:
            self.strips = stack_room(emitter.module, self.v.entry, DOT_ROWS * COPIED_BLOCK * p.dtype.itemsize)
        if may_pack(p) and not together:
            self.panel = self.scratch(0)

    def scratch(self, number: int) -> str:
        """A piece of the kernel's scratch."""
        assert number < len(self.e.kernel.pieces), "a product that copies its operands declares what it needs"
        return f"%b{len(self.e.kernel.operands) + number}"

    # -- packing ------------------------------------------------------------------------------------------------
    def if_pays(self, pays: bool | Size, write: Callable[[], None]) -> None:
        """if packing pays at these sizes: ..."""
        if not isinstance(pays, bool):
            self.e.loops.when(self.v.value(sc.index(pays).ne(0)).text, write)
        elif pays:
            write()

    def packed_or(self, pays: bool | Size, kind: str, packed: str, plain: str) -> str:
        """A value where packing pays, and one where it does not."""
        if isinstance(pays, bool) or packed == plain:
            return packed if pays is True else plain
        condition = self.v.value(sc.index(pays).ne(0)).text
        return self.v.here.lines.emit(f"select i1 {condition}, {kind} {packed}, {kind} {plain}")

    def pack_strips(self, start: Size, stop: Size) -> None:
        """The rows of a of this block, in strips as high as a tile in which each step of k lies next to the one before."""
        p = self.p
        source = self.e.memory.address(p.a.slot, p.dtype, None, p.a.base + start * p.a.outer + self.at_k * p.a.inner).text
        if p.a.inner == 1:
            name, step = write_transpose(self.e.module, p.dtype, p.lanes, p.rows, self.e.unit.kernel_attributes, p.rows), p.a.outer
        else:
            name, step = write_copy(self.e.module, p.dtype, p.rows, self.e.unit.kernel_attributes), p.a.inner
        numbers = [self.v.size(x).text for x in (step, self.kc, stop - start, self.kc * p.rows)]
        self.v.here.lines.line(
            f"call void @{name}(ptr {source}, i64 {numbers[0]}, ptr {self.strips}, i64 {numbers[1]}, i64 {numbers[2]}, i64 {numbers[3]})"
        )

    def rows_of_a(self, row: Size, start: Size, height: int) -> tuple[str, str, str, str]:
        """The pointer to a row of this block, and how far apart its rows, its steps of k, and its tiles of a height are."""
        p = self.p
        if not self.strips_pay:
            plain = self.e.memory.address(p.a.slot, p.dtype, None, p.a.base + row * p.a.outer + self.at_k * p.a.inner).text
            return plain, self.v.size(p.a.outer).text, self.v.size(p.a.inner).text, self.v.size(p.a.outer * height).text
        inside = dims.mod(row - start, p.rows)
        strip = self.element_of(self.strips, (row - start - inside) * self.kc + inside)
        return strip, "1", str(p.rows), self.v.size(self.kc * p.rows).text

    def element_of(self, copy: str, at: Size) -> str:
        """The pointer to an element of a copy."""
        return self.v.here.lines.emit(f"getelementptr inbounds {llvm_type(self.p.dtype, 1)}, ptr {copy}, i64 {self.v.size(at).text}")

    def panel_of_b(self, panel: Panel) -> tuple[str, str]:
        """The pointer to a panel and block of b, and how far its rows are apart."""
        p = self.p
        if self.together:
            return self.panel_of_all()
        source = self.source_of_b()
        if p.b.outer != 1:
            self.pack_columns(source, self.panel)
            return self.panel, str(p.width)
        step = self.v.size(p.b.inner).text
        if panel.masked or self.pays is False:
            return source, step
        self.v.size(self.kc)
        self.if_pays(self.pays, lambda: self.pack_rows(source, self.panel, panel, 1))
        return self.packed_or(self.pays, "ptr", self.panel, source), self.packed_or(self.pays, "i64", str(p.width), step)

    def panel_of_all(self) -> tuple[str, str]:
        """The same, of a panel that tasks of their own may have copied."""
        at, width = self.panel_at(Q), str(self.p.width)
        if self.copied is None:
            return at, width
        lines, source, step = self.v.here.lines, self.source_of_b(), self.v.size(self.p.b.inner).text
        pointer = lines.emit(f"select i1 {self.copied}, ptr {at}, ptr {source}")
        return pointer, lines.emit(f"select i1 {self.copied}, i64 {width}, i64 {step}")

    def ahead(self, rows: Rows) -> tuple[str, str]:
        """The panel behind this one, and how many bytes of it each step of k fetches, so that it is there when these rows are done."""
        step = str(min(-(-self.p.width * self.p.dtype.itemsize * self.p.rows // max(rows.most, 1)), LINE))
        return self.panel_at(Q + 1), step if self.copied is None else self.v.here.lines.emit(f"select i1 {self.copied}, i64 {step}, i64 0")

    def crosses_lines(self) -> str:
        """Whether vectors of b, as the outer loops and the block of k are now, do not begin at multiples of their bytes."""
        p, lines = self.p, self.v.here.lines
        start = self.e.memory.address(p.b.slot, p.dtype, None, p.b.base).text
        both = lines.emit(f"or i64 {lines.emit(f'ptrtoint ptr {start} to i64')}, {self.v.size(p.b.inner * p.dtype.itemsize).text}")
        return lines.emit(f"icmp ne i64 {lines.emit(f'and i64 {both}, {p.lanes * p.dtype.itemsize - 1}')}, 0")

    def source_of_b(self) -> str:
        """Where column J of the block of k begins."""
        p = self.p
        return self.e.memory.address(p.b.slot, p.dtype, None, p.b.base + self.at_k * p.b.inner + J * p.b.outer).text

    def panel_at(self, number: Size) -> str:
        """Where a panel lies that tasks of their own have copied."""
        return self.element_of(self.panels, (number - self.first) * (panel_bytes(self.p) // self.p.dtype.itemsize))

    def pack_panels(self, panel: Panel, count: Size) -> None:
        """Panel Q and those behind it, which tasks of their own copy for all."""
        if self.p.b.outer != 1:
            self.pack_columns(self.source_of_b(), self.panel_at(Q))
        else:
            self.pack_rows(self.source_of_b(), self.panel_at(Q), panel, count)

    def pack_rows(self, source: str, to: str, panel: Panel, count: Size) -> None:
        """Panels of a b whose columns lie next to each other."""
        p = self.p
        name = write_rows(self.e.module, p.dtype, p.lanes, panel.vectors, p.width, panel.masked, self.e.unit.kernel_attributes)
        apart = panel_bytes(p) // p.dtype.itemsize
        step, kc, number, cols = [self.v.size(x).text for x in (p.b.inner, self.kc, count, self.cols)]
        self.v.here.lines.line(f"call void @{name}(ptr {source}, i64 {step}, ptr {to}, i64 {kc}, i64 {number}, i64 {apart}, i64 {cols})")

    def pack_columns(self, source: str, to: str) -> None:
        """The panel of a b whose columns lie apart."""
        p, unit = self.p, self.e.unit
        kc, cols = self.v.size(self.kc).text, self.v.size(self.cols).text
        outer = self.v.size(p.b.outer).text
        if p.b.inner == 1:
            name = write_transpose(self.e.module, p.dtype, p.lanes, p.width, unit.kernel_attributes)
            square = square_of(p.lanes)
            self.v.here.lines.line(f"call void @{name}(ptr {source}, i64 {outer}, ptr {to}, i64 {kc}, i64 {cols}, i64 {square})")
            return
        inner = self.v.size(p.b.inner).text
        self.copy(source, to, inner, outer, kc, cols, p.width)

    def copy(self, source: str, to: str, row_step: str, step: str, rows: str, cols: str, width: int) -> None:
        """to[i * width + j] = source[i * row_step + j * step] for i < rows, j < cols."""
        dtype, name = self.p.dtype, f"pack.elements.{self.p.dtype.name}.{width}"
        if name not in self.e.module.functions:
            value = fetch(0, None, ROW * SOURCE_K + COL * SOURCE_N, dtype)
            body = Block((Store(1, None, ROW * width + COL, value),))
            loops = For(ROW, KC, "serial", Block((For(COL, COLS, "vector", body, self.p.lanes, 1),)))
            operands = (Operand(dtype, ()), Operand(dtype, (), True))
            numbers = [SOURCE_K, SOURCE_N, KC, COLS]
            self.e.module.add(Emitter(self.e.unit, Kernel((), (), operands), name, Block((loops,)), numbers=numbers).function())
        self.v.here.lines.line(f"call void @{name}(ptr {source}, ptr {to}, i64 {row_step}, i64 {step}, i64 {rows}, i64 {cols})")

    def few_rows(self, start: Size, stop: Size) -> tuple[str, str]:
        """The pointer to few rows of a that lie along k, and how far apart they are."""
        p = self.p
        source = self.e.memory.address(p.a.slot, p.dtype, None, p.a.base + start * p.a.outer + self.at_k * p.a.inner).text
        outer, inner, rows, kc = [self.v.size(x).text for x in (p.a.outer, p.a.inner, stop - start, self.kc)]
        if p.a.inner == 1:
            return source, outer
        self.copy(source, self.strips, outer, inner, rows, kc, COPIED_BLOCK)
        return self.strips, str(COPIED_BLOCK)


def round_up(a: int, step: int) -> int:
    return -(-a // step) * step
