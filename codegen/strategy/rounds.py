"""Products that copy each panel of b and each strip of a once for all tasks and threads.

round = (outer.., group of panels, block of k)      task = (round, what), in this order:

    pack 0 .. packs     some panels of the group, for this block of k, to one of two places that rounds use in turn
    tile 0 .. tiles     a block of rows packs its strips of a, then passes over some panels of the group

A thread takes tasks in order, and a task waits for those before it that it needs: it says in a word of its own how many rounds it has
done. So no thread waits for one that has not begun, and there is no barrier: while some are at the last tiles of a round, others copy
for the next.

    pack    waits until all tiles have left the round before the last one, which read this place
    tile    waits until all panels of the round are there, and its own sums of the round before
"""

from __future__ import annotations

from graphc import dims
from graphc.codegen.strategy.contract import Product, copied_once, k_blocks
from graphc.codegen.strategy.grid import Rows, ceiling, even_blocks, outer_places, panel_count
from graphc.codegen.strategy.operands import depth, panel_bytes, round_up, strip_bytes, strips_pay
from graphc.dims import Size
from graphc.records import dataclass

GROUP_BYTES = 4 << 20  # of the panels of a round: they come from the third cache, once for each block of rows
PACKED_PANELS = 4  # by one task: whole lines of rows of b are read
TASK_ROWS = 128  # so many rows are enough for a panel to pass that comes from the third cache
FEW_ROWS = 32  # where b is small
TASKS = 8  # of a round, at least, where there are rows or panels enough
TASK_PANELS = 8  # of a task with strips of its own, at least: each costs about as much as half a panel
PLACES = 2  # for the panels of one round, and those of the next


@dataclass(frozen=True)
class Rounds:
    """`across` panels in `groups` of `group`; each round has `packs` and `tiles`, which are `rows.count * chunks` of `chunk` panels."""

    across: Size
    group: Size
    groups: Size
    packs: Size
    rows: Rows
    chunk: Size
    chunks: Size
    count: Size

    @property
    def tiles(self) -> Size:
        """Tasks of a round that multiply."""
        return self.rows.count * self.chunks

    @property
    def tasks(self) -> Size:
        """All tasks."""
        return self.count * (self.packs + self.tiles)


def rounds(p: Product) -> Rounds:
    """The grid, from the sizes alone."""
    across, most = panel_count(p), max(GROUP_BYTES // panel_bytes(p), 1)
    if isinstance(across, int):
        groups: Size = max(-(-across // most), 1)
        group: Size = -(-across // groups)
    else:
        group, groups = dims.minimum(across, most), ceiling(across, most)
    rows = _rows(p)
    chunks: Size = 1
    if isinstance(group, int) and isinstance(rows.count, int):
        chunks = max(min(-(-TASKS // max(rows.count, 1)), group // (TASK_PANELS if strips_pay(p) else 1)), 1)
    chunk = ceiling(group, chunks)
    chunks = ceiling(group, chunk) if isinstance(group, int) else chunks
    steps = dims.product([dims.maximum(x.extent, 1) for x in p.more_k]) * k_blocks(p)
    return Rounds(across, group, groups, ceiling(group, PACKED_PANELS), rows, chunk, chunks, outer_places(p) * groups * steps)


def _rows(p: Product) -> Rows:
    """Blocks of rows whose strips stay in the second cache."""
    most = max(p.block_bytes // (depth(p) * p.dtype.itemsize * p.rows), 1) * p.rows
    m, once = p.extent_m, copied_once(p)
    few, many = (min(round_up(rows, p.rows), most) for rows in (FEW_ROWS, TASK_ROWS))
    if isinstance(m, int):
        return even_blocks(m, min(max(m // TASKS, many if once is True else few), most), p.rows)
    height = few + (many - few) * (int(once) if isinstance(once, bool) else once)
    return Rows(m, height, few if once is False else many, ceiling(m, height))


def words(p: Product) -> Size:
    """How many words of progress there are."""
    grid = rounds(p)
    return grid.packs + grid.tiles


def shared_bytes(p: Product) -> Size:
    """Of all that threads share: panels of two rounds."""
    return rounds(p).group * (PLACES * panel_bytes(p))


def own_bytes(p: Product) -> Size:
    """Of what each thread has for itself: the strips of a block of rows."""
    rows = rounds(p).rows
    return strip_bytes(p, rows.most if isinstance(rows.extent, int) else rows.height)
