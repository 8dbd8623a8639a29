"""Products with so few steps of k that results are written about as fast as they are computed: along whole rows, without tiles.

for task in (outer.., rows in blocks of m): for two rows, for vectors of columns: the sums over k, written out

A tile goes down a panel, and so does its writing, which waits for the second cache. The sums are those of a tile, bit by bit: from
zero on, one multiply-add for each step of k. f32 512x2x512: 27 -> 15 us, 512x4x512: 33 -> 20 us; f64: 67 -> 32 and 76 -> 44 us.
"""

from __future__ import annotations

from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.loops.address import replace_indices
from graphc.codegen.loops.loopir import Block, For, Let, Store
from graphc.codegen.strategy.contract import Product
from graphc.codegen.strategy.grid import FEW_ROWS, Rows, even_blocks, outer_places
from graphc.codegen.strategy.loops import digits
from graphc.codegen.strategy.operands import COL, ROW
from graphc.codegen.strategy.product import COUNT, M0, TASK
from graphc.dims import Size
from graphc.scalars import Scalar

VECTORS = 4  # of a turn
TOGETHER = 2  # rows, for which b is read once: their number is even, as that of the rows of a tile is


def _rows(p: Product) -> Rows:
    assert isinstance(p.extent_m, int)
    return even_blocks(p.extent_m, FEW_ROWS, TOGETHER)


def short_tasks(p: Product) -> Size:
    """How many tasks the product is: blocks of rows."""
    return outer_places(p) * _rows(p).count


def write_short(emitter: Emitter, p: Product, first: Size, last: Size) -> None:
    """The tasks from first to last."""
    rows, v = _rows(p), emitter.values
    name = f"{emitter.name}.rows"
    emitter.module.add(_function(emitter, p, name))
    pointers = [f"ptr %b{k}" for k in range(len(emitter.kernel.operands))]

    def task() -> None:
        *outer, block = digits(TASK, [*[x.extent for x in p.outer], rows.count])
        start = block * rows.height
        count = rows.height if rows.whole else dims.minimum(rows.height, rows.extent - start)
        numbers = [v.axis(s).text for s in emitter.kernel.sizes()] + [v.size(x).text for x in (*outer, start, count)]
        v.here.lines.line(f"call void @{name}({', '.join([*pointers, *[f'i64 {x}' for x in numbers]])})")

    emitter.loops.each(TASK, first, last, 1, task)


def _function(emitter: Emitter, p: Product, name: str) -> Function:
    """f(operands.., sizes.., outer axes.., m0, count): `count` rows from m0 on."""
    assert p.m is not None
    lets, stores = [], []
    for r in range(TOGETHER):
        moved: dict[dims.Symbol, Size] = {symbol_of(p.m.index): M0 + ROW * TOGETHER + r, symbol_of(p.n.index): COL}
        lets.append(Let(r, _sum(emitter, p, moved)))
        value = sc.local(r, (), p.dtype)
        stores += [Store(slot, None, dims.substitute(static, moved), value, mode) for slot, _, static, mode in p.stores[0]]
    body = For(COL, p.n.extent, "vector", Block((*lets, *stores)), p.lanes, VECTORS)
    loops = For(ROW, dims.floordiv(COUNT, TOGETHER), "serial", Block((body,)))
    kernel = replace(emitter.kernel, scratch=(), shared=())
    numbers = [*[x.index for x in p.outer], M0, COUNT]
    return Emitter(emitter.unit, kernel, name, Block((loops,)), numbers=numbers).function()


def _sum(emitter: Emitter, p: Product, moved: dict[dims.Symbol, Size]) -> Scalar:
    """Of all steps of k at one point, as a tile adds it up."""
    assert isinstance(p.k.extent, int)
    total = sc.const(0, p.dtype)
    for k in range(p.k.extent):
        x, y = replace_indices(p.stages[0].body, {**moved, symbol_of(p.k.index): k}).args
        total = sc.fma(x, y, total) if emitter.unit.product_target.has_fma else x * y + total
    return total
