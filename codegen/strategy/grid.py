"""The tasks of a product: its output cut into blocks, each a task of its own that no other task reads or writes.

task = (outer.., block of rows, panel of columns)          counted with the panels innermost

The grid follows from the sizes of the problem alone, so results do not depend on how many threads share the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.strategy.contract import SMALL_ROWS, Product, even_split, may_pack
from graphc import dims
from graphc.dims import Size

ROW_BLOCK = 128  # rows that share a packed panel: packing costs about as much as 5 of them
FEW_ROWS = 32  # rows of a task where nothing is packed: the panel comes from the second cache for each strip anyhow
LARGE = 1 << 20  # multiplications; below, threads do not pay, and one block of rows is one straight piece of code


@dataclass(frozen=True)
class Rows:
    """m cut into `count` blocks of `height` rows, the last one maybe of fewer."""

    extent: Size
    height: int
    count: Size

    @property
    def whole(self) -> bool:
        """True when every block is known to have all its rows."""
        return isinstance(self.extent, int) and self.extent % self.height == 0


@dataclass(frozen=True)
class Panel:
    """Columns `start` to `stop` in steps of `vectors` vectors, numbered from `first`; `masked`: the last step may be narrower.

    `narrow`: few columns, so that one tile for any number of rows is enough when that number is not known.
    """

    start: Size
    stop: Size
    vectors: int
    masked: bool
    narrow: bool
    first: Size
    count: Size


def row_blocks(p: Product) -> Rows:
    m = p.extent_m
    height = ROW_BLOCK // p.rows * p.rows
    if not isinstance(m, int):
        return Rows(m, height, dims.floordiv(m + (height - 1), height))
    work = [x.extent for x in (p.n, p.k)]
    large = any(not isinstance(x, int) for x in work) or m * dims.product(work) >= LARGE
    if large and may_pack(p) is False and p.rows > SMALL_ROWS:
        height = max(FEW_ROWS // p.rows, 1) * p.rows
    if m <= height:
        return Rows(m, max(m, 1), min(m, 1))
    blocks = -(-m // height)
    height = -(-m // (blocks * p.rows)) * p.rows
    return Rows(m, height, -(-m // height))


def column_panels(p: Product) -> list[Panel]:
    """n cut into panels. A known n needs at most three kinds; of an unknown one the rest is done one vector at a time."""
    n = p.n.extent
    if not isinstance(n, int):
        number, vectors = dims.floordiv(n, p.width), 1 if p.vectors <= 4 else 2
        whole, step = number * p.width, vectors * p.lanes
        rest = dims.floordiv(n - whole + (step - 1), step)
        return [Panel(0, whole, p.vectors, False, False, 0, number), Panel(whole, n, vectors, True, True, number, rest)]
    widths = even_split(-(-n // p.lanes), p.vectors)
    result: list[Panel] = []
    at = first = 0
    for v in sorted(set(widths), reverse=True):
        count, step = widths.count(v), v * p.lanes
        end = at + step * count
        ragged, narrow = end > n, v < max(widths) or v == 1
        if ragged and count > 2:
            result.append(Panel(at, end - step, v, False, narrow, first, count - 1))
            at, first, count = end - step, first + count - 1, 1
        result.append(Panel(at, min(end, n), v, ragged, narrow, first, count))
        at, first = end, first + count
    return result


def tasks(p: Product) -> Size:
    """How many tasks the product is."""
    panels = column_panels(p)
    across = panels[-1].first + panels[-1].count if panels else 0
    return dims.product([x.extent for x in p.outer]) * row_blocks(p).count * across
