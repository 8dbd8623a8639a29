"""The tasks of a product: its output cut into blocks, each a task of its own that no other task reads or writes.

task = (outer.., block of rows, panel of columns)          counted with the panels innermost

The grid follows from the sizes of the problem alone, so results do not depend on how many threads share the tasks.
"""

from __future__ import annotations

from graphc import dims
from graphc.codegen.llvm.values import WIDEST
from graphc.codegen.strategy.contract import SMALL_ROWS, Product, even_split, packing_pays, small_work
from graphc.dims import Size
from graphc.records import dataclass

ROW_BLOCK = 128  # where panels are packed, which costs as much as 10 rows
FEW_ROWS = 32  # where nothing is packed: the panel comes from the second cache for each strip anyhow


@dataclass(frozen=True)
class Rows:
    """m cut into `count` blocks of `height` rows, at most `most`; the last one may have fewer."""

    extent: Size
    height: Size
    most: int
    count: Size

    @property
    def whole(self) -> bool:
        """True when every block is known to have all its rows."""
        return isinstance(self.extent, int) and isinstance(self.height, int) and self.extent % self.height == 0


@dataclass(frozen=True)
class Panel:
    """Columns `start` to `stop` in steps of `vectors` vectors, numbered from `first`; `masked`: the last step may be narrower.

    `half`: in the only step, half of the last vector has room for all columns.
    `narrow`: few columns, so that one tile for any number of rows is enough when that number is not known.
    """

    start: Size
    stop: Size
    vectors: int
    masked: bool
    narrow: bool
    first: Size
    count: Size
    half: bool = False


def row_blocks(p: Product) -> Rows:
    m, low = p.extent_m, max(ROW_BLOCK // p.rows, 1) * p.rows
    if not isinstance(m, int):
        return Rows(m, low, low, ceiling(m, low))
    if packing_pays(p) is False and p.b.outer == 1 and p.rows > SMALL_ROWS and not small_work(p):
        low = max(FEW_ROWS // p.rows, 1) * p.rows
    return even_blocks(m, low, p.rows)


def even_blocks(m: int, most: int, rows: int) -> Rows:
    """m rows in the fewest blocks of at most `most`, as equal as whole tiles of `rows` allow."""
    if m <= most:
        return Rows(m, max(m, 1), max(m, 1), min(m, 1))
    height = -(-m // (-(-m // most) * rows)) * rows
    return Rows(m, height, height, -(-m // height))


def column_panels(p: Product) -> list[Panel]:
    """n cut into panels. A known n needs at most three kinds; of an unknown one the rest is done one vector at a time."""
    n = p.n.extent
    if not isinstance(n, int):
        number, vectors = dims.floordiv(n, p.width), 1 if p.vectors <= 4 else 2
        whole, step = number * p.width, vectors * p.lanes
        rest = dims.floordiv(n - whole + (step - 1), step)
        return [Panel(0, whole, p.vectors, False, False, 0, number), Panel(whole, n, vectors, True, True, number, rest)]
    widths = even_split(-(-n // p.lanes), p.vectors)
    half = 0 < n % p.lanes <= p.lanes // 2 and p.lanes * p.dtype.itemsize == WIDEST  # f32 512x512x8: 74 -> 45 us
    result: list[Panel] = []
    at = first = 0
    for v in sorted(set(widths), reverse=True):
        count, step = widths.count(v), v * p.lanes
        end = at + step * count
        ragged, narrow = end > n, v < max(widths) or v == 1
        if ragged and count > (1 if half else 2):
            result.append(Panel(at, end - step, v, False, narrow, first, count - 1))
            at, first, count = end - step, first + count - 1, 1
        result.append(Panel(at, min(end, n), v, ragged, narrow, first, count, ragged and half))
        at, first = end, first + count
    return result


def panel_count(p: Product) -> Size:
    """How many panels there are."""
    panels = column_panels(p)
    return panels[-1].first + panels[-1].count if panels else 0


def column_of(p: Product, number: Size) -> Size:
    """The first column of a panel; the end of all for the number behind the last."""
    whole = [dims.minimum(dims.maximum(number - x.first, 0), x.count) * (x.vectors * p.lanes) for x in column_panels(p)]
    return dims.minimum(sum(whole, start=0), p.n.extent)


def tasks(p: Product) -> Size:
    """How many tasks the product is where each of them copies what it needs."""
    return outer_places(p) * row_blocks(p).count * panel_count(p)


def outer_places(p: Product) -> Size:
    """Places of the axes around everything."""
    return dims.product([x.extent for x in p.outer])


def ceiling(a: Size, b: Size) -> Size:
    """a / b, rounded up."""
    return dims.floordiv(a + (b - 1), b)
