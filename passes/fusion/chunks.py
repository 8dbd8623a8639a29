"""Which kernels have reductions over so much that they become grids, and which grids.

sum[i0:n] x[i0]                  ->    chunks of 16384 elements
sum[i0:n] x[i0, i1], i1 in 32    ->    chunks of 512 rows; of many columns 64, a piece of which stays in the cache
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc import dims
from graphc.dims import Size
from graphc.program import Axis, Below, Kernel, nests
from graphc.records import dataclass

CHUNK = 16384  # elements of a chunk, at most: some microseconds of work, beside which its turn of the grid's loop costs nothing
LEAST = 2 * CHUNK  # elements of a nest that is split: fewer are not worth a second thread
FEW_ROWS = 16  # outer points, each with a nest along memory; more of them keep all threads busy by themselves
FEW_COLUMNS = 256  # outer points beside each other in memory: some vectors of several registers each
LARGE = 1 << 21  # elements from which exponentials are not kept: softmax f32 of 1 << 20 kept 0.39 ms, again 0.48; of 1 << 22 4.2, 2.3
MANY = 1 << 18  # elements below more outer points beside each other: less stays in the cache anyway, from one sweep to the next
HIGH = 64  # rows of a chunk of many columns: pieces of as many rows stay in the cache, and take few pages
SHORT = 64  # turns of leading axes that are not chunked: too few to go round
JOINS = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}  # scans whose chunks start from what those before came to


# -- which kernels --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Nest:
    """Consecutive stages over the same inner axes; without axes, values that are computed once per outer point."""

    over: tuple[Axis, ...]
    stages: tuple[int, ...]


def nests_of(kernel: Kernel) -> list[Nest] | None:
    """The nests of a kernel in order; None where it reduces nothing, or reads something that a split would tear apart."""
    alone = kernel.kind == "loops" or (kernel.kind == "contract" and not kernel.axes)
    if (
        not alone
        or kernel.scratch
        or not any(s.reduce for s in kernel.stages)
        or any(s.reduce and (s.axes or s.combine == "recur") for s in kernel.stages)
    ):
        return None
    found = [Nest((*kernel.stages[group[0]].axes, *kernel.stages[group[0]].reduce), group) for group in nests(kernel.stages)]
    number = [at for at, nest in enumerate(found) for _ in nest.stages]
    behind: set[int] = set()  # stages that are a scan, or read one, perhaps through others
    for k, stage in enumerate(kernel.stages):
        reads = stage.reads
        scanned = not behind.isdisjoint(reads)
        if stage.scan or scanned:
            behind.add(k)
        if any(number[j] != number[k] for j in reads if kernel.stages[j].axes or kernel.stages[j].scan) or (scanned and stage.reduce):
            return None
    for nest in found:  # a nest of scans has no other reductions, and theirs can be combined from those of chunks
        stages = [kernel.stages[k] for k in nest.stages if kernel.stages[k].reduce]
        if any(s.scan for s in stages) and not all(s.scan and s.combine in JOINS and s.dtype.kind in "fiu" for s in stages):
            return None
    return found


def below(kernel: Kernel, parts: Sequence[Nest], several: bool) -> Below:
    """Where a kernel with these nests is to stay whole. `several`: grids take fewer sweeps over memory than it does.

    Counted are the elements of the largest nest at all outer points. Many of these keep all threads busy by themselves, but columns
    that are high are read in better order by chunks: of sizes that only the call knows, where that saves sweeps.
    """
    never, rows = Below(0, 1), dims.product([a.extent for a in kernel.axes])
    columns = beside_each_other(kernel)
    lengths = {dims.product([a.extent for a in nest.over]) for nest in parts if nest.over}
    if isinstance(rows, int) and 0 < rows <= (FEW_COLUMNS if columns else FEW_ROWS):
        return Below(_largest([length * rows for length in lengths]), LEAST)
    if not columns or any(s.scan for s in kernel.stages):
        return never
    height = _largest([*lengths])
    if not several and not (isinstance(rows, int) and isinstance(height, int)):
        return never
    return Below(dims.minimum(height * rows, height * (MANY // (4 * HIGH))), MANY)


def is_large(shape: Sequence[Size]) -> bool:
    """Whether an array is known not to stay in a cache from one sweep to the next."""
    size = dims.product(shape)
    return isinstance(size, int) and size >= LARGE


def _largest(sizes: Sequence[Size]) -> Size:
    """The largest; of those that are known, where that is enough for a split."""
    known = max([size for size in sizes if isinstance(size, int)], default=0)
    unknown: list[Size] = sorted({size for size in sizes if not isinstance(size, int)}, key=str)
    if known >= LEAST or not unknown:
        return known
    most, *others = unknown
    for size in others:
        most = dims.maximum(most, size)
    return most


def beside_each_other(kernel: Kernel) -> bool:
    """Whether neighbouring outer points read neighbouring elements: columns, along which the lanes run.

    What is read once per outer point, as the largest element of its row, says nothing about that.
    """
    last = kernel.axes[-1].index if kernel.axes else None
    inner = frozenset().union(*[dims.symbols(a.index) for a in kernel.all_axes()[len(kernel.axes) :]])
    moving = lambda i: i.op != "const" and (i.op != "index" or bool(dims.symbols(i.param) & inner))
    indices = [s.args[: len(s.args) - s.param[1]] for s in kernel.parts if s.op == "load"]
    return any(at and at[-1].op == "index" and at[-1].param == last and any(map(moving, at)) for at in indices)


# -- one kernel -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Grid:
    """Axis `at` of a nest in `chunks` of `step` turns; those before it, of few turns, are loops around."""

    at: int
    index: Axis
    step: Size
    whole: Axis

    @property
    def chunk(self) -> Axis:
        """The turns of one chunk."""
        return self.chunk_at(self.index.index)

    def chunk_at(self, number: Size) -> Axis:
        """The turns of the chunk of this number."""
        step, extent = self.step, self.whole.extent
        alike = isinstance(step, int) and isinstance(extent, int) and extent % step == 0
        return Axis(self.whole.index, step if alike else dims.minimum(step, extent - number * step))


def grid_of(over: Sequence[Axis], rows: Size, index: dims.Dim, arg: bool) -> Grid:
    """Chunks of the first axis that is long enough together with those before it; `rows`: outer points that each of them has."""
    at = 0
    while at + 1 < len(over) and isinstance(before := dims.product([a.extent for a in over[: at + 1]]), int) and before < SHORT:
        at += 1
    rest = dims.product([a.extent for a in over[at + 1 :]])
    most = dims.maximum(CHUNK, HIGH * rows)
    step = dims.maximum(1, dims.floordiv(most, dims.maximum(1, rest * rows)))
    chunks = dims.floordiv(over[at].extent + (step - 1), step)
    return Grid(at, Axis(index, dims.maximum(1, chunks) if arg else chunks), step, over[at])
