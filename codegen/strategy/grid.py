"""The tasks of a product: its output cut into blocks, each a task of its own that no other task reads or writes.

task = (outer.., block of rows, group of panels of columns)          counted with the groups innermost

The grid follows from the sizes of the problem alone, so results do not depend on how many threads share the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import dims
from graphc.codegen.strategy.contract import SMALL_ROWS, Product, even_split, packing_pays, strips_pay
from graphc.dims import Size

PACKED_ROWS = 512  # rows of a task where panels of b and strips of a are packed, or half of them all: each panel costs about as much as 10
PACKED_PANELS = 4, 11  # panels of such a task, or a quarter of them all: each strip costs about as much as half a panel
SHIFT_PANELS = 8  # where their number is not known
ROW_BLOCK = 128  # where only panels are
FEW_ROWS = 32  # where nothing is packed: the panel comes from the second cache for each strip anyhow
LARGE = 1 << 20  # multiplications; below, threads do not pay, and one block of rows is one straight piece of code


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
    m, large = p.extent_m, strips_pay(p)
    low = max(ROW_BLOCK // p.rows, 1) * p.rows
    high = (
        max(PACKED_ROWS // low, 1) * low
    )  # so that blocks of either height begin where tiles do, and some of the low ones make a high one
    if not isinstance(large, bool):  # shifts alone: small products should not wait for divisions
        count = _ceiling(m, low)
        return Rows(m, low + (high - low) * large, high, count + (_ceiling(count, high // low) - count) * large)
    if not isinstance(m, int):
        height = high if large else low
        return Rows(m, height, height, _ceiling(m, height))
    work = dims.product([m, p.n.extent, p.k.extent])
    if large:
        low = min(max(m // 2, low), high)
    elif packing_pays(p) is False and p.b.outer == 1 and p.rows > SMALL_ROWS and not (isinstance(work, int) and work < LARGE):
        low = max(FEW_ROWS // p.rows, 1) * p.rows
    if m <= low:
        return Rows(m, max(m, 1), max(m, 1), min(m, 1))
    height = -(-m // (-(-m // low) * p.rows)) * p.rows
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


def groups(p: Product) -> tuple[Size, Size, Size]:
    """How many panels there are, how many of them a task has, and how many such groups there are; the last one may be smaller."""
    panels, large = column_panels(p), strips_pay(p)
    across = panels[-1].first + panels[-1].count if panels else 0
    if large is False:
        return across, 1, across
    if isinstance(across, int) and isinstance(large, bool):
        low, high = PACKED_PANELS
        group = min(max(-(-across // 4), low), high)
        group = -(-across // max(-(-across // group), 1)) or 1
        return across, group, -(-across // group)
    if large is True:
        return across, SHIFT_PANELS, _ceiling(across, SHIFT_PANELS)
    return across, 1 + (SHIFT_PANELS - 1) * large, across + (_ceiling(across, SHIFT_PANELS) - across) * large


def tasks(p: Product) -> Size:
    """How many tasks the product is."""
    return dims.product([x.extent for x in p.outer]) * row_blocks(p).count * groups(p)[2]


def _ceiling(a: Size, b: Size) -> Size:
    return dims.floordiv(a + (b - 1), b)
