"""How a convolution runs: as a product whose operands are gathered block by block, never as a whole.

    out[m.., n..] = epilogue(sum over k.. of a[m.., k..] * b[n.., k..])

Of the axes of the result those that only one operand reads are rows (m) or lanes (n), of any number; those of both are loops around.
The sums run over k, of any number. Blocks of b are copied to panels with a row of lanes for each step of k, blocks of a to strips, where
they do not lie so already: copies read under the guards of the convolution and hold zeros where it has no term. The tile is that of
products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import Loaded, Placed
from graphc.codegen.strategy.blocks import Cut, common_stride, cut
from graphc.codegen.strategy.contract import even_split, stride
from graphc.codegen.strategy.phases import divides, split_phases
from graphc.dims import Size, Symbol
from graphc.program import Axis, Stage
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target

K_MOST = 256  # steps of k in a block, as for products
N_MOST = 128  # columns of a panel: 128 KB of f32, in the second cache beside the sums
M_MOST = 320  # rows of strips
M_PLACE = 512  # rows that are read in place
WHOLE_BYTES = 1 << 20  # of all strips of one task, kept for all of its panels
GROUP = 4  # tasks for the panels of one image, where they share strips
RUN = 8  # elements that lie side by side: fewer are no run
LEAST_ROWS = 2  # fewer rows do not pay for a panel


@dataclass(frozen=True)
class Side:
    """An operand: the load of its element; `how` a block of it is read: "place" where it lies, else from a copy.

    copy: by runs along the innermost axis of rows or lanes ("lanes"), or of k ("k"). "turned": lanes lie apart and k side by side, squares
    are transposed in registers.
    """

    fetch: Scalar
    how: str

    @property
    def slot(self) -> int:
        return int(self.fetch.param[0])

    @property
    def offset(self) -> Size:
        offset: Size = self.fetch.param[1]
        return offset

    @property
    def guarded(self) -> bool:
        return bool(self.fetch.param[3])


@dataclass(frozen=True)
class Convolution:
    """A convolution with its roles assigned. Extents may be sizes known only at run time."""

    dtype: np.dtype
    outer: tuple[Axis, ...]
    m: Cut
    n: Cut
    k: Cut
    a: Side
    b: Side
    stages: tuple[Stage, ...]  # the first one is the sum itself
    stores: tuple[tuple[Placed, ...], ...]
    lanes: int
    rows: int  # of a tile
    vectors: int  # of a tile
    strips_whole: bool  # strips of all k are made once a task
    group: Size  # panels of a task

    @property
    def width(self) -> int:
        """Columns of a panel, in whole vectors."""
        return -(-self.n.most // self.lanes) * self.lanes

    @property
    def k_blocks(self) -> Size:
        """Blocks of k in all."""
        return dims.product([x.extent for x in self.k.outer]) * self.k.blocks

    def resting_place(self) -> tuple[int, Size, Size] | None:
        """The slot, offset and row step where tiles may leave the sums; None where more is to be done to them, or they lie otherwise."""
        if len(self.stages) > 1 or len(self.stores[0]) != 1:
            return None
        ((slot, dynamic, static, mode),) = self.stores[0]
        row = self.m.stride(static)
        if dynamic is not None or mode != "set" or row is None or self.n.stride(static) != 1:
            return None
        return slot, static, row

    def __str__(self) -> str:
        shown = [", ".join(f"{x.index}:{x.extent}" for x in part) or "1" for part in (self.m.axes, self.n.axes, self.k.axes)]
        loops = "".join(f", {x.index}:{x.extent}" for x in self.outer)
        blocks = f"blocks {self.m.most} x {self.n.most} x {self.k.most}"
        how = f"b{self.a.slot} ({self.a.how}) * b{self.b.slot} ({self.b.how})"
        return f"{how}; m {shown[0]}; n {shown[1]}; k {shown[2]}{loops}; {blocks}, tile {self.rows} x {self.vectors} of {self.lanes}"


@dataclass(frozen=True)
class Convolutions:
    """Those that a kernel is, one for each phase where phases differ: each writes a part of the result."""

    parts: tuple[Convolution, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.parts))


def plan(kernel: Loaded, target: Target) -> Convolutions | None:
    """The convolutions that the stages of a kernel are; None for what ordinary loops do as well."""
    parts = [_plan(part, target) for part in split_phases(kernel)]
    found = tuple([part for part in parts if part is not None])
    return Convolutions(found) if found and len(found) == len(parts) else None


def _plan(kernel: Loaded, target: Target) -> Convolution | None:
    first = kernel.stages[0]
    dtype = first.dtype
    loads = _loads(first)
    if loads is None or divides(kernel) or dtype.itemsize < 4 or dtype.kind not in "fiu" or target.lanes(dtype) < 2:
        return None
    if any(x.extent == 0 for x in (*kernel.axes, *first.reduce)):
        return None
    reads = [_reads(f) for f in loads]
    if any(dims.as_symbol(x.index) not in reads[side] for side in (0, 1) for x in first.reduce):
        return None  # a sum that one operand does not take part in
    own = [[x for x in kernel.axes if _symbol(x) in reads[side] and _symbol(x) not in reads[1 - side]] for side in (0, 1)]
    outer = tuple([x for x in kernel.axes if x not in own[0] and x not in own[1]])
    side = _lanes_side(own, loads, first.reduce, kernel.stores[0])
    if side is None or _few(own[1 - side]):
        return None
    if any(f.param[1] == static for f in loads for some in kernel.stores for _, _, static, _ in some):
        return None  # it may be updated in place, see the plan of products
    lanes = target.lanes(dtype)
    a, b = loads[1 - side], loads[side]
    k_axes = _ordered(first.reduce, a if not a.param[3] else b)
    m_axes, n_axes = own[1 - side], own[side]
    k, n = cut(k_axes, K_MOST), cut(n_axes, N_MOST, lanes)
    how_b, how_a = _how_b(b, n, k), _how_a(a, m_axes, k)
    m = cut(m_axes, M_PLACE if how_a == "place" else M_MOST)
    rows, vectors = _tile(m, n, lanes, target)
    stores = tuple([tuple(some) for some in kernel.stores])
    sides = Side(a, how_a), Side(b, how_b)
    made = Convolution(dtype, outer, m, n, k, *sides, tuple(kernel.stages), stores, lanes, rows, vectors, False, 1)
    return _with_strips(made)


def _with_strips(p: Convolution) -> Convolution:
    """Strips of all k are kept for several panels, where they fit."""
    if p.a.how == "place":
        return p
    several = not (isinstance(p.n.blocks, int) and p.n.blocks == 1) and not any(_depends(p.a, x) for x in p.n.axes)
    if not several or not isinstance(p.k_blocks, int) or p.k_blocks * p.k.most * p.m.most * p.dtype.itemsize > WHOLE_BYTES:
        return p
    group = -(-p.n.blocks // GROUP) if isinstance(p.n.blocks, int) else 8
    return replace(p, strips_whole=True, group=group)


def _loads(stage: Stage) -> tuple[Scalar, Scalar] | None:
    """The two loads of a sum of products, if that is what the stage is."""
    body = stage.body
    if stage.combine != "sum" or stage.axes or not stage.reduce or body.op != "mul" or body.dtype != stage.dtype:
        return None
    if any(f.op != "fetch" or f.param[2] for f in body.args):
        return None
    return body.args  # type: ignore[return-value]


def _symbol(axis: Axis) -> Symbol:
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    return symbol


def _reads(fetch: Scalar) -> set[Symbol]:
    """The axes on which a load depends, by its place or by its guard."""
    found = set(dims.symbols(fetch.param[1]))
    for s in sc.order(fetch.args):
        if s.op == "index":
            found |= dims.symbols(s.param)
    return found


def _depends(side: Side, axis: Axis) -> bool:
    return _symbol(axis) in _reads(side.fetch)


def _known(extent: Size) -> int:
    return extent if isinstance(extent, int) else 1 << 30


def _few(axes: Sequence[Axis]) -> bool:
    total = dims.product([x.extent for x in axes])
    return isinstance(total, int) and total < LEAST_ROWS


def _lanes_side(own: Sequence[Sequence[Axis]], loads: Sequence[Scalar], reduce: Sequence[Axis], stores: Sequence[Placed]) -> int | None:
    """The operand whose axes carry the lanes: one that has runs of them to copy, at best along those of the result."""
    best: tuple[int, int] | None = None
    for side in (0, 1):
        axes, offset = own[side], loads[side].param[1]
        if not axes or _few(axes):
            continue
        run = any(_pace(offset, x) >= RUN for x in axes)
        turned = not loads[side].param[3] and common_stride(axes, offset) is not None and any(stride(offset, x) == 1 for x in reduce)
        along = any(stride(static, x) == 1 for x in axes for _, _, static, _ in stores[:1])
        score = 2 * (run or turned) + along
        if best is None or score > best[0]:
            best = score, side
    return None if best is None else best[1]


def _ordered(axes: Sequence[Axis], load: Scalar) -> list[Axis]:
    """The axes in the order in which they lie in an operand, where that is known."""
    steps = [stride(load.param[1], x) for x in axes]
    if not all(isinstance(s, int) for s in steps):
        return list(axes)
    return [x for x, _ in sorted(zip(axes, steps), key=lambda pair: -pair[1])]  # type: ignore[operator]


def _how_b(b: Scalar, n: Cut, k: Cut) -> str:
    offset = b.param[1]
    across = n.stride(offset)
    if not b.param[3] and across is not None:
        if across == 1 and k.stride(offset) is not None:
            return "place"
        if k.inside and stride(offset, k.inside[-1]) == 1:
            return "turned"
    return "lanes"


def _how_a(a: Scalar, m: Sequence[Axis], k: Cut) -> str:
    """Rows of a are read at one step from each other, or copied; the copy runs along what lies side by side."""
    offset = a.param[1]
    if not a.param[3] and common_stride(m, offset) is not None and k.stride(offset) is not None and len(m) == 1:
        return "place"
    along_k = _pace(offset, k.inside[-1]) if k.inside else 0
    return "lanes" if m and _pace(offset, m[-1]) > along_k else "k"


def _pace(offset: Size, x: Axis) -> float:
    """How many elements a step of a copy along an axis moves, roughly: a vector, half of one of every other element, few from anywhere."""
    step = stride(offset, x)
    return min(_known(x.extent), 2 * RUN) * (1 if step == 1 else 0.6 if step == 2 else 0.25)


def _tile(m: Cut, n: Cut, lanes: int, target: Target) -> tuple[int, int]:
    """Rows and vectors of a tile: those of the shapes that fit into the registers that take the fewest cycles."""
    across = -(-n.most // lanes)
    best: tuple[float, int, int] | None = None
    passing = 1 if target.has_fma else 2
    for vectors in (3, 2, 4) if target.registers >= 32 else (2, 1, 3):
        rows = (target.registers - vectors - passing) // vectors // 2 * 2
        down = min(m.most, 1 << 10)
        cycles = (
            sum(max(h * v, h + v + 1, target.latency * target.issue) for h in even_split(down, rows) for v in even_split(across, vectors))
            / down
        )
        if best is None or cycles < best[0]:
            best = cycles, rows, vectors
    assert best is not None
    return best[1:]
