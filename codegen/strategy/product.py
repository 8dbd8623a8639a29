"""The code of a product: loops over blocks, panels and strips that call one tile, and the epilogue.

for task in (outer.., rows in blocks of m, J in panels of n):        see `grid`; a packed panel serves a block of rows
  for P in blocks of k:                            sums between blocks wait in the output, or in a scratch on the stack
    pack b[k, J..] where that pays
    tiles(a[rows, k], b[k, J..]), after the last block the epilogue
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from codegen.emit import FunctionEmitter
from codegen.lines import llvm_type
from codegen.loopir import Block, Call, For, Let, Statement, Store
from codegen.lower import fetch, replace_indices
from codegen.strategy.contract import (
    DOT_ROWS,
    K_BLOCK,
    REST_ROWS,
    Product,
    even_split,
    k_blocks,
    may_pack,
    packing_pays,
    stride,
    summed,
)
from codegen.strategy.dots import write_dots
from codegen.strategy.grid import Panel, column_panels, row_blocks, tasks
from codegen.strategy.loops import lanes_of
from codegen.strategy.packing import write_transpose
from codegen.strategy.tile import PARAMETERS, Tile, parameters, write_tile
from codegen.unit import Unit
from codegen.values import Scope, Value
from graphc import dims
from graphc import scalar as sc
from graphc.dims import Dim, Size, Symbol
from graphc.program import Axis, Kernel, Operand
from graphc.scalar import Scalar

LIGHT_EPILOGUE = 20  # operations; a longer one is written once, for any number of columns
TASK, ROW_AT, J, P = (dims.axis(x) for x in ("task", "row_block", "column", "k_block"))
M0, N0, COUNT, COLS, ROW, COL = (dims.axis(x) for x in ("m0", "n0", "count", "cols", "i", "j"))
SOURCE_K, SOURCE_N, KC = (dims.axis(x) for x in ("source_k", "source_n", "kc"))


class ProductEmitter(FunctionEmitter):
    """Writes a kernel that may contain products."""

    def call(self, s: Call) -> None:
        assert isinstance(s.params, Product)
        self.p = p = s.params
        self.written_functions: set[str] = set()
        self.blocks = k_blocks(p)
        self.block_of_k = summed(p) if self.blocks == 1 else _ceiling(summed(p), self.blocks)
        self.single = self.blocks == 1 and not p.more_k
        element = llvm_type(p.dtype, 1)
        depth = min(K_BLOCK, p.k.extent if isinstance(p.k.extent, int) else K_BLOCK)
        self.panel = self.entry.emit(f"alloca {element}, i64 {_up(max(depth, 1), p.lanes) * p.width}, align 64") if may_pack(p) else "null"
        self.sums = "null" if p.plain else self.entry.emit(f"alloca {element}, i64 {row_blocks(p).height * p.width}, align 64")
        self.each(TASK, *self.span(tasks(p)), 1, self.task)

    # -- loops --------------------------------------------------------------------------------------------------
    def each(self, index: Dim, start: Size, stop: Size, step: int, write: Callable[[], None]) -> None:
        """for index in start..stop by step."""
        symbol = dims.as_symbol(index)
        assert symbol is not None

        def body(scope: Scope, i: str) -> None:
            inner = Scope(scope.lines, scope.depth, axis={symbol: Value(i, 1, scope.depth)})
            self.scopes.append(inner)
            write()
            self.scopes.pop()

        self.counted(symbol, start, stop, step, Block(()), [body])

    def nest(self, axes: Sequence[Axis], write: Callable[[], None]) -> None:
        if not axes:
            write()
            return
        self.each(axes[0].index, 0, axes[0].extent, 1, lambda: self.nest(axes[1:], write))

    def when(self, condition: str, write: Callable[[], None]) -> None:
        """if condition: ..."""
        yes, no, lines = self.label("when"), self.label("after"), self.here.lines
        lines.line(f"br i1 {condition}, label %{yes}, label %{no}")
        lines.label(yes)
        self.scopes.append(Scope(lines, self.here.depth))
        write()
        self.scopes.pop()
        lines.line(f"br label %{no}")
        lines.label(no)

    def task(self) -> None:
        """One block of rows and panel of columns at one place of the outer axes; none reads what another writes."""
        p, rows, panels = self.p, row_blocks(self.p), column_panels(self.p)
        across = panels[-1].first + panels[-1].count
        *outer, block, column = _digits(TASK, [*[x.extent for x in p.outer], rows.count, across])
        scope = Scope(self.here.lines, self.here.depth)
        for axis, number in zip(p.outer, outer, strict=True):
            scope.axis[_symbol(axis.index)] = self.size(number)
        start: Size = 0
        if rows.count != 1:
            start, scope.axis[_symbol(ROW_AT)] = ROW_AT, self.size(block * rows.height)
        stop = start + rows.height if rows.whole else dims.minimum(start + rows.height, rows.extent)
        self.scopes.append(scope)
        for k, panel in enumerate(panels):
            write = partial(self.panel_task, panel, column, start, stop)
            if len(panels) == 1:
                write()
            else:
                self.when(self._among(column, panel, k + 1 == len(panels)), write)
        self.scopes.pop()

    def _among(self, column: Size, panel: Panel, last: bool) -> str:
        """Whether a column number is one of the panel's, given that it is none of an earlier one's."""
        number = sc.index(column)
        if last:
            return self.value(number >= sc.index(panel.first)).text
        below = number < sc.index(panel.first + panel.count)
        return self.value(below if panel.first == 0 else below & (number >= sc.index(panel.first))).text

    def panel_task(self, panel: Panel, column: Size, start: Size, stop: Size) -> None:
        """The columns of one panel."""
        at = panel.start + (column - panel.first) * (panel.vectors * self.p.lanes)
        self.scopes.append(Scope(self.here.lines, self.here.depth, axis={_symbol(J): self.size(at)}))
        self.k_loop(panel, start, stop)
        self.scopes.pop()

    def k_loop(self, panel: Panel, start: Size, stop: Size) -> None:
        more = [replace(x, extent=dims.maximum(x.extent, 1)) for x in self.p.more_k]
        self.nest(more, lambda: self.each(P, 0, self.blocks, 1, lambda: self.k_block(panel, start, stop)))

    def k_block(self, panel: Panel, start: Size, stop: Size) -> None:
        p = self.p
        self.at_k: Size = 0 if self.blocks == 1 else P * self.block_of_k
        self.kc = self.block_of_k if self.blocks == 1 else dims.minimum(self.block_of_k, summed(p) - self.at_k)
        width = panel.vectors * p.lanes
        self.cols: Size = dims.minimum(width, p.n.extent - J) if panel.masked else width
        steps = [x.index for x in p.more_k] + ([] if self.blocks == 1 else [P])
        self.add, self.last = "false", "true"
        if not self.single:
            at = sum(steps[1:], start=steps[0])
            self.add = self.value(sc.index(at).ne(0)).text
            end: Size = sum([dims.maximum(x.extent, 1) - 1 for x in p.more_k], start=self.blocks - 1)
            self.last = self.value(sc.index(at).eq(sc.index(end))).text
        few: bool | Scalar = False
        if p.along_k:
            few = p.extent_m <= DOT_ROWS if isinstance(p.extent_m, int) else sc.index(stop - start) <= sc.index(DOT_ROWS)
        if isinstance(few, bool):
            self.dots(start, stop) if few else self.packed_tiles(panel, start, stop)
        else:
            condition = self.value(few).text
            self.when(condition, lambda: self.dots(start, stop))
            self.when(self.here.lines.emit(f"xor i1 {condition}, true"), lambda: self.packed_tiles(panel, start, stop))
        self.finish(start, stop)

    # -- packing ------------------------------------------------------------------------------------------------
    def panel_of_b(self, panel: Panel, rows: Size) -> tuple[str, str]:
        """The pointer to this panel and block of b, and how far its rows are apart."""
        p = self.p
        source = self.address(p.b.slot, p.dtype, None, p.b.base + self.at_k * p.b.inner + J * p.b.outer).text
        width = str(p.width)
        if p.b.outer != 1:
            self.pack(source)
            return self.panel, width
        step, pays = self.size(p.b.inner).text, False if panel.masked else packing_pays(p, rows)
        if pays is False:
            return source, step
        if pays is True:
            self.pack(source)
            return self.panel, width
        assert isinstance(pays, Scalar)
        condition = self.value(pays).text
        self.size(self.kc), self.size(self.cols)
        self.when(condition, lambda: self.pack(source))
        lines = self.here.lines
        return lines.emit(f"select i1 {condition}, ptr {self.panel}, ptr {source}"), lines.emit(
            f"select i1 {condition}, i64 {width}, i64 {step}"
        )

    def pack(self, source: str) -> None:
        p, unit = self.p, self.unit
        kc, width = self.size(self.kc).text, self.size(self.cols).text
        if p.b.inner == 1 and p.b.outer != 1:
            name = write_transpose(self.module, p.dtype, p.lanes, p.vectors, unit.kernel_attributes)
            self.here.lines.line(
                f"call void @{name}(ptr {source}, i64 {self.size(p.b.outer).text}, ptr {self.panel}, i64 {kc}, i64 {width})"
            )
            return
        touching = p.b.outer == 1
        name = f"pack.{'rows' if touching else 'elements'}.{p.dtype.name}.{p.vectors}"
        if name not in self.module.functions:
            along, cols, unroll = (1, p.width, p.vectors) if touching else (SOURCE_N, COLS, 1)
            value = fetch(0, None, ROW * SOURCE_K + COL * along, p.dtype)
            body = Block((Store(1, None, ROW * p.width + COL, value),))
            loops = For(ROW, KC, "serial", Block((For(COL, cols, "vector", body, p.lanes, unroll),)))
            operands = (Operand(p.dtype, ()), Operand(p.dtype, (), True))
            self.module.functions[name] = _Function(
                unit, Kernel((), (), operands), name, Block((loops,)), [SOURCE_K, SOURCE_N, KC, COLS]
            ).text()
        steps = f"i64 {self.size(p.b.inner).text}, i64 {self.size(p.b.outer).text}"
        self.here.lines.line(f"call void @{name}(ptr {source}, ptr {self.panel}, {steps}, i64 {kc}, i64 {width})")

    def once(self, name: str) -> bool:
        """True the first time."""
        if name in self.written_functions:
            return False
        self.written_functions.add(name)
        return True

    # -- tiles --------------------------------------------------------------------------------------------------
    def dots(self, start: Size, stop: Size) -> None:
        """The sums of few rows where nothing need be packed."""
        p = self.p
        name = write_dots(self.module, self.target, p.dtype, self.unit.kernel_attributes)
        a = self.address(p.a.slot, p.dtype, None, p.a.base + start * p.a.outer + self.at_k).text
        b = self.address(p.b.slot, p.dtype, None, p.b.base + self.at_k + J * p.b.outer).text
        d, d_row = self.target_of(start, start)
        steps = [self.size(x).text for x in (p.a.outer, p.b.outer, self.kc, stop - start, self.cols)]
        self.here.lines.line(
            f"call void @{name}(ptr {a}, i64 {steps[0]}, ptr {b}, i64 {steps[1]}, i64 {steps[2]}, ptr {d}, i64 {d_row}, "
            f"i64 {steps[3]}, i64 {steps[4]}, i1 {self.add})"
        )

    def packed_tiles(self, panel: Panel, start: Size, stop: Size) -> None:
        """The sums of all rows of a block and the columns of a panel."""
        p = self.p
        self.b, self.b_k = self.panel_of_b(panel, stop - start)
        if isinstance(start, int) and isinstance(stop, int):
            heights, at = even_split(stop, p.rows), 0
            for h in sorted(set(heights), reverse=True):
                rows = h * heights.count(h)
                self.tile(panel, h, False, at, rows, start)
                at += rows
        elif isinstance(p.extent_m, int) and p.extent_m % p.rows == 0:
            self.tile(panel, p.rows, False, start, stop - start, start)
        elif panel.narrow:
            self.tile(panel, p.rows, True, start, stop - start, start)
        else:
            first, left = start, stop - start
            for height in (p.rows, *([p.extent_m % p.rows] if isinstance(p.extent_m, int) else REST_ROWS)):
                rest = dims.mod(left, height)
                if left != 0:
                    self.tile(panel, height, False, first, left - rest, start)
                first, left = stop - rest, rest

    def finish(self, start: Size, stop: Size) -> None:
        """The epilogue, after the last block of k."""
        if self.p.plain:
            return
        if self.single:
            self.epilogue(start, stop - start)
            return
        for size in (start, stop - start, J, self.cols):
            self.size(size)
        self.when(self.last, lambda: self.epilogue(start, stop - start))

    def target_of(self, row: Size, start: Size) -> tuple[str, str]:
        """Where the sums from `row` on go, and how far apart rows of them are: the output, or the scratch of this block of rows."""
        p = self.p
        if p.plain:
            ((slot, _, static, _),) = p.stores[0]
            d = self.address(slot, p.dtype, None, dims.substitute(static, _moved(p, row, J))).text
            return d, "0" if p.m is None else self.size(_known(stride(static, p.m))).text
        at = self.size((row - start) * p.width).text
        if at == "0":
            return self.sums, str(p.width)
        return self.here.lines.emit(f"getelementptr inbounds {llvm_type(p.dtype, 1)}, ptr {self.sums}, i64 {at}"), str(p.width)

    def tile(self, panel: Panel, height: int, clamped: bool, row: Size, rows: Size, start: Size) -> None:
        """One call: `rows` rows from `row` on, in tiles of this height."""
        p = self.p
        tile = Tile(p.dtype, height, panel.vectors, panel.masked or clamped, clamped, p.a.outer == 1, p.a.inner == 1)
        name = write_tile(self.module, self.target, tile, self.unit.kernel_attributes)
        a = self.address(p.a.slot, p.dtype, None, p.a.base + row * p.a.outer + self.at_k * p.a.inner).text
        d, d_row = self.target_of(row, start)
        numbers = [self.size(x).text for x in (p.a.outer, p.a.inner, self.kc, rows, self.cols)]
        values = [a, numbers[0], numbers[1], self.b, self.b_k, numbers[2], d, d_row, numbers[3], numbers[4], self.add]
        given = [f"{kind.split()[0]} {x}" for kind, x, taken in zip(PARAMETERS, values, parameters(tile), strict=True) if taken]
        self.here.lines.line(f"call void @{name}({', '.join(given)})")

    # -- the epilogue -------------------------------------------------------------------------------------------
    def epilogue(self, row: Size, count: Size) -> None:
        """Every other stage, and the stores, for the finished sums of `count` rows from `row` on."""
        p = self.p
        light = sum(s.op not in ("const", "index", "local") for s in sc.order([s.body for s in p.stages[1:]])) <= LIGHT_EPILOGUE
        cols = self.cols if light and isinstance(self.cols, int) else COLS
        name = f"{self.name}.finish{cols if isinstance(cols, int) else ''}"
        axes = [x.index for x in p.outer]
        if self.once(name):
            self.module.functions[name] = self._finish(name, cols, axes)
        pointers = [f"ptr %b{k}" for k in range(len(self.kernel.operands))] + [f"ptr {self.sums}"]
        numbers = [f"i64 {self.axis(s).text}" for s in self.kernel.sizes()]
        numbers += [f"i64 {self.size(x).text}" for x in (*axes, row, J, count, self.cols)]
        self.here.lines.line(f"call void @{name}({', '.join(pointers + numbers)})")

    def _finish(self, name: str, cols: Size, axes: list[Dim]) -> str:
        p = self.p
        operands = (*self.kernel.operands, Operand(p.dtype, ()))
        moved = _moved(p, M0 + ROW, N0 + COL)
        body: list[Statement] = [Let(0, fetch(len(operands) - 1, None, ROW * p.width + COL, p.dtype))]
        body += [Let(k, replace_indices(s.body, moved)) for k, s in enumerate(p.stages) if k]
        for k, s in enumerate(p.stages):
            for slot, dynamic, static, mode in p.stores[k]:
                at = None if dynamic is None else replace_indices(dynamic, moved)
                body.append(Store(slot, at, dims.substitute(static, moved), sc.local(k, (), s.dtype), mode))
        lanes = lanes_of([x.dtype for x in sc.order([s.body for s in p.stages])], self.target)
        unroll = -(-cols // lanes) if isinstance(cols, int) else 1
        loops = For(ROW, COUNT, "serial", Block((For(COL, cols, "vector", Block(tuple(body)), lanes, unroll),)))
        kernel = replace(self.kernel, operands=operands)
        return _Function(self.unit, kernel, name, Block((loops,)), [*axes, M0, N0, COUNT, COLS]).text()


class _Function(FunctionEmitter):
    """A part of a kernel as a function of its own, with more numbers among its arguments than sizes."""

    def __init__(self, unit: Unit, kernel: Kernel, name: str, body: Block, numbers: Sequence[Dim]) -> None:
        super().__init__(unit, kernel, name, body)
        self.numbers = [_symbol(x) for x in numbers]
        for s in self.numbers:
            self.scopes[0].axis[s] = Value(f"%x.{s.name}", 1, 0)

    def parameters(self) -> list[str]:
        return [*super().parameters(), *[f"i64 %x.{s.name}" for s in self.numbers]]


def _digits(number: Size, extents: Sequence[Size]) -> list[Size]:
    """The positions along axes of these extents that a number counts through, the last one innermost."""
    result: list[Size] = []
    for k in range(len(extents) - 1, -1, -1):
        known = extents[k] if isinstance(extents[k], int) else dims.maximum(extents[k], 1)
        outermost = all(x == 1 for x in extents[:k])
        result.append(number if outermost else dims.mod(number, known))
        number = 0 if outermost else dims.floordiv(number, known)
    return result[::-1]


def _moved(p: Product, m: Size, n: Size) -> dict[Symbol, Size]:
    """The indices of a tile's element in place of the axes."""
    moved = {_symbol(p.n.index): n}
    if p.m is not None:
        moved[_symbol(p.m.index)] = m
    return moved


def _symbol(index: Dim) -> Symbol:
    symbol = dims.as_symbol(index)
    assert symbol is not None
    return symbol


def _known(size: Size | None) -> Size:
    assert size is not None
    return size


def _ceiling(a: Size, b: Size) -> Size:
    return -(-a // b) if isinstance(a, int) and isinstance(b, int) else dims.floordiv(a + b - 1, b)


def _up(a: int, step: int) -> int:
    return -(-a // step) * step
