"""The tasks of a product: its output cut into blocks, each a task of its own that no other task reads or writes.

task = (outer.., block of rows, group of panels of columns)          counted with the groups innermost

The grid follows from the sizes of the problem alone, so results do not depend on how many threads share the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.strategy.contract import SMALL_ROWS, Product, even_split, packing_pays, shares_strips
from graphc import dims
from graphc.dims import Size

PACKED_ROWS = 512  # rows of a task where panels of b and strips of a are packed, or half of them all: each panel costs about as much as 10
PACKED_PANELS = 4, 11  # panels of such a task, or a quarter of them all: each strip costs about as much as half a panel
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
    m, packed = p.extent_m, packing_pays(p)
    work = dims.product([m, p.n.extent, p.k.extent])
    few = p.b.outer == 1 and p.rows > SMALL_ROWS and not (isinstance(work, int) and work < LARGE)
    low, step, most = (max(x // p.rows, 1) * p.rows for x in (FEW_ROWS if few else ROW_BLOCK, ROW_BLOCK, PACKED_ROWS))
    high = dims.minimum(dims.maximum(dims.floordiv(m, 2 * ROW_BLOCK), 1) * step, most)
    if not isinstance(packed, bool):
        height = low + (high - low) * packed
        return Rows(m, height, most, _ceiling(m, height))
    height = high if packed else low
    if not isinstance(m, int) or not isinstance(height, int):
        return Rows(m, height, most, _ceiling(m, height))
    if m <= height:
        return Rows(m, max(m, 1), max(m, 1), min(m, 1))
    height = -(-m // (-(-m // height) * p.rows)) * p.rows
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


def groups(p: Product) -> tuple[Size, Size]:
    """How many panels there are, and how many of them at most a task has."""
    panels, packed = column_panels(p), packing_pays(p)
    across = panels[-1].first + panels[-1].count if panels else 0
    if packed is False or not shares_strips(p):
        return across, 1
    low, high = PACKED_PANELS
    group = dims.minimum(dims.maximum(_ceiling(across, 4), low), high)
    if isinstance(packed, bool):
        return across, _ceiling(across, _ceiling(across, group)) if isinstance(across, int) and across > 0 else group
    return across, 1 + (group - 1) * packed


def tasks(p: Product) -> Size:
    """How many tasks the product is."""
    across, group = groups(p)
    return dims.product([x.extent for x in p.outer]) * row_blocks(p).count * _ceiling(across, group)


def _ceiling(a: Size, b: Size) -> Size:
    return dims.floordiv(a + (b - 1), b)
