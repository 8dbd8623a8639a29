"""How a product runs: the role of each axis, the tile, the blocks. The numbers are those of `strategy`; `product` writes the code.

out[..., m, n] = epilogue(sum over k of a[..., m, k] * b[..., k, n])

Lanes run along n, the axis on which the output is contiguous; where that is an axis of the left operand, the operands
change places. `a` is read one element at a time and spread over the lanes, so any layout of it will do; `b` is read
by vectors, from a packed panel where it is not contiguous along n or too large for the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import Loaded, Placed
from graphc.dims import Size
from graphc.program import Axis, Stage
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target

K_BLOCK = 256  # one panel of b then takes 48 KB: it stays in the second cache while every strip of a passes
REST_ROWS = (4, 2, 1)  # heights of the strips after the last whole one: each is a tile to compile
COPIED_BLOCK = 2048  # where few rows of a are copied to lie along k
DOT_ROWS = 4  # so few rows do not pay for packing a b that lies along k
PACK_ROWS = 96  # fewer rows do not pay for packing a b that could be read where it lies
PACK_BYTES = 1 << 20  # a smaller b stays in the second cache without packing
SHARED_ROWS = 129  # fewer rows are one task for each panel, which copies it for itself: f32 192x1024x1024 98 -> 103 GF/s
SHARED_BYTES = 1 << 20  # of b: as for packing at all
LARGE = 1 << 20  # multiplications; below, threads do not pay, and one block of rows is one straight piece of code
WHOLE_TILES = 32  # rows, of which even fewer than a tile's in each strip are sums enough for one chain of additions each
NEVER = 1 << 40  # rows
PAGE = 4096  # rows of b this far apart fall into the same few sets of the first cache
SMALL_ROWS = 2  # up to so many rows b is used too little to leave the order in which it lies
SWEEP_ROWS = 16  # up to so many it is passed over as it lies, where it comes from memory. 8 rows, f32 4096: 18 -> 54 GF/s
SWEEP_BYTES = 8 << 20  # of such a b
FAR_BYTES = 16 << 20  # of a b whose next rows are fetched for a single row of a. f64 1024: 77 -> 62 GB/s, 4096: 22 -> 30
SHORT = 4  # steps of k up to which writing along rows counts for more than reading b once for several. 8: f32 47 -> 50 us, f64 93 -> 150
SHORT_BYTES = 1 << 18  # of such a b
SWEEP_VECTORS = 8  # of columns: fewer sums would wait for each other


@dataclass(frozen=True)
class Factor:
    """One operand: element offset base + outer * m or n + inner * k; `base` depends on the outer loops only."""

    slot: int
    base: Size
    outer: Size
    inner: Size


@dataclass(frozen=True)
class Product:
    """A contraction with its roles assigned. Extents may be sizes known only at run time."""

    dtype: np.dtype
    outer: tuple[Axis, ...]  # loops around everything
    m: Axis | None
    n: Axis
    k: Axis
    more_k: tuple[Axis, ...]  # further summed axes, which are loops around the blocks of k
    a: Factor
    b: Factor
    stages: tuple[Stage, ...]  # the first one is the product itself
    stores: tuple[tuple[Placed, ...], ...]
    lanes: int
    rows: int  # of a tile
    vectors: int  # of a tile
    block_bytes: int  # of strips of a that stay in the second cache while panels of b pass
    crossing_rows: int  # from so many rows on a b whose vectors cross cache lines is worth a copy

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.lanes

    @property
    def extent_m(self) -> Size:
        return 1 if self.m is None else self.m.extent

    @property
    def plain(self) -> bool:
        """True when the sums are the result, and lie so that vectors of them can be stored."""
        return len(self.stages) == 1 and len(self.stores[0]) == 1 and self.resting_place() is not None

    def resting_place(self) -> tuple[int, Size] | None:
        """A slot and offset of the results where unfinished sums may lie until the last block of k: read by nothing, written at last."""
        read = [f.param for s in self.stages[1:] for f in sc.order([s.body]) if f.op == "fetch"]
        for stage, placed in zip(self.stages, self.stores, strict=True):
            for slot, dynamic, static, mode in placed:
                if dynamic is not None or mode != "set" or stage.dtype != self.dtype or stride(static, self.n) != 1:
                    continue
                if (self.m is None or stride(static, self.m) is not None) and not any(slot == f[0] or static == f[1] for f in read):
                    return slot, static  # an operand at the same offset may be the same memory, updated in place
        return None

    @property
    def along_k(self) -> bool:
        """True when rows of both operands lie along k, or few of a can be copied so: then few rows are products of vectors."""
        return self.b.inner == 1 and self.b.outer != 1 and (self.a.inner == 1 or _few(self.m))

    @property
    def k_block(self) -> int:
        """As many steps of k make a block."""
        return COPIED_BLOCK if self.along_k and self.a.inner != 1 else K_BLOCK

    def __str__(self) -> str:
        m = "1" if self.m is None else f"{self.m.index}:{self.m.extent}"
        axes = f"m {m}, n {self.n.index}:{self.n.extent}, k {self.k.index}:{self.k.extent}"
        loops = "".join(f", {x.index}:{x.extent}" for x in (*self.outer, *self.more_k))
        return f"b{self.a.slot} @ b{self.b.slot}; {axes}{loops}; tile {self.rows} x {self.vectors} vectors of {self.lanes}"


def plan(kernel: Loaded, target: Target) -> Product | None:
    """The product that the stages of a contract kernel are; None for one that ordinary loops do as well."""
    axes, stages, stores = kernel.axes, kernel.stages, kernel.stores
    first, dtype = stages[0], stages[0].dtype
    factors = _factors(first)
    if factors is None or dtype.itemsize < 4 or dtype.kind not in "fiu" or target.lanes(dtype) < 2:
        return None
    known = (*axes, *first.reduce)
    strides = [[stride(f.param[1], x) for x in known] for f in factors]
    if any(s is None for one in strides for s in one):
        return None
    reads: list[set[object]] = [{x.index for x, s in zip(known, one, strict=True) if s != 0} for one in strides]
    chosen = _lane_axis(axes, stores, [dict(zip([x.index for x in known], one, strict=True)) for one in strides], reads)
    if chosen is None:
        return None
    k = _largest(first.reduce)
    assert k is not None
    n, swap = _long_way(axes, reads, [one[known.index(k)] for one in strides], *chosen)
    left, right = (1, 0) if swap else (0, 1)
    m = _largest([x for x in axes if x.index in reads[left] and x.index not in reads[right]])
    inner = [x for x in (m, n, k) if x is not None]
    zero = {dims.as_symbol(x.index): 0 for x in inner}
    made = []
    for side, free in ((left, m), (right, n)):
        slot, static = factors[side].param[:2]
        of = dict(zip([x.index for x in known], strides[side], strict=True))
        outer = 0 if free is None else of[free.index]
        base = dims.substitute(static, zero)  # type: ignore[arg-type]
        made.append(Factor(slot, base, outer, of[k.index]))  # type: ignore[arg-type]
    a, b = made
    if m is None and b.outer != 1 and not (a.inner == 1 and b.inner == 1):
        return None  # no vector of b would be used twice
    if any(static == f.param[1] for f in factors for some in stores for _, _, static, _ in some):
        return None  # an operand read where the result is written may be updated in place; loops read all of k before they store
    lanes = target.lanes(dtype)
    along_k = b.inner == 1 and b.outer != 1 and (a.inner == 1 or _few(m))
    rows, vectors = _tile(m, b.outer == 1 or along_k, along_k, target)
    outer_loops = tuple([x for x in axes if x not in inner])
    more_k = tuple([x for x in first.reduce if x is not k])
    placed = tuple([tuple(s) for s in stores])
    limits = target.l2 // 4, _crossing_rows(target)
    return Product(dtype, outer_loops, m, n, k, more_k, a, b, tuple(stages), placed, lanes, rows, vectors, *limits)


def _crossing_rows(target: Target) -> int:
    """Rows from which the copy of a panel is paid for by loads that then do not cross cache lines."""
    gain = target.measured.crossing - 1
    return min(max(math.ceil(target.measured.packing / gain), WHOLE_TILES), NEVER) if gain > 0 else NEVER


def _factors(stage: Stage) -> tuple[Scalar, Scalar] | None:
    """The two loads of a sum of products, if that is what the stage is."""
    body = stage.body
    if stage.combine != "sum" or stage.axes or not stage.reduce or body.op != "mul" or body.dtype != stage.dtype:
        return None
    for f in body.args:
        if f.op != "fetch" or f.param[2] or f.param[3]:
            return None
    return body.args  # type: ignore[return-value]


def stride(offset: Size, axis: Axis) -> Size | None:
    """The step of an offset along an axis; None where it is not the same everywhere."""
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    split = dims.affine(offset, symbol)
    if split is None or any(s.kind == "axis" for s in dims.symbols(split[0])):
        return None
    return split[0]


def _lane_axis(axes: Sequence[Axis], stores: Sequence[Sequence[Placed]], strides: Sequence[dict[object, Size | None]],
               reads: Sequence[set[object]]) -> tuple[Axis, bool] | None:  # fmt: skip
    """The axis along which lanes run, and whether it belongs to the left operand: contiguous in the output, or else in the operand."""
    best: tuple[int, Axis, bool] | None = None
    placed = [p for some in stores for p in some]
    for x in axes:
        owners = [side for side in (0, 1) if x.index in reads[side]]
        if len(owners) != 1 or x.extent == 1:
            continue
        score = (
            4 * any(stride(static, x) == 1 for _, _, static, _ in placed[:1]) + 2 * (strides[owners[0]][x.index] == 1) + (owners[0] == 1)
        )
        if best is None or score >= best[0]:
            best = score, x, owners[0] == 0
    return None if best is None else best[1:]


def _largest(axes: Sequence[Axis]) -> Axis | None:
    """The axis with the greatest extent; an unknown one counts as large, among equals the last."""
    best: Axis | None = None
    for x in axes:
        if best is None or _guess(x.extent) >= _guess(best.extent):
            best = x
    return best


def _guess(extent: Size) -> int:
    return extent if isinstance(extent, int) else 1 << 20


def _long_way(
    axes: Sequence[Axis], reads: Sequence[set[object]], k_strides: Sequence[Size | None], n: Axis, swap: bool
) -> tuple[Axis, bool]:
    """Few columns leave most lanes idle: then the rows take their place, if they lie along k, so that lanes may run along it."""
    side, other = (0, 1) if swap else (1, 0)
    m = _largest([x for x in axes if x.index in reads[other] and x.index not in reads[side]])
    if m is None or not _few(n) or _few(m) or k_strides[other] != 1:
        return n, swap
    return m, not swap


def _few(axis: Axis | None) -> bool:
    return axis is None or (isinstance(axis.extent, int) and axis.extent <= DOT_ROWS)


def _tile(m: Axis | None, lies_well: bool, along_k: bool, target: Target) -> tuple[int, int]:
    """Rows and vectors of a tile; of few rows a quarter of the registers along each, for the order in which b lies."""
    extent = 1 if m is None else m.extent
    if lies_well and isinstance(extent, int) and extent <= (DOT_ROWS if along_k else SMALL_ROWS):
        return max(extent, 1), target.registers // 4
    return tile_shape(target)


def tile_shape(target: Target) -> tuple[int, int]:
    """Rows and vectors of a tile in which the accumulators, a row of b, and an element of a with its product fit the registers.

    32 registers (AVX-512, AArch64) 8 x 3, 16 registers (AVX2, SSE2) 6 x 2, an even number of rows. A step of k loads
    vectors + rows times for rows * vectors multiply-adds: about a third. Measured on AVX-512: 8 x 3, 12 x 2 and 6 x 4 within
    5 %; one register more than there are costs 20 %.
    """
    vectors = 3 if target.registers >= 32 else 2
    passing = 1 if target.has_fma else 2  # an element of a; without FMA its product with b, too
    return (target.registers - vectors - passing) // vectors // 2 * 2, vectors


# -- the choices that depend on sizes -------------------------------------------------------------------------------
def even_split(total: int, largest: int) -> list[int]:
    """total as the fewest parts of at most `largest`, as equal as can be: 100 by 8 -> eight of them 8, five 7."""
    parts = -(-total // largest)
    share, extra = divmod(total, parts) if parts else (0, 0)
    return [share + 1] * extra + [share] * (parts - extra)


def k_blocks(p: Product) -> Size:
    """How many blocks k is cut into, at least one."""
    if p.rows <= SMALL_ROWS and p.k_block == K_BLOCK:
        return 1  # nothing is packed, and no block of b is read twice
    k = summed(p)
    return max(1, -(-k // p.k_block)) if isinstance(k, int) else dims.maximum(dims.floordiv(k + (p.k_block - 1), p.k_block), 1)


@lru_cache(maxsize=64)
def packing_pays(p: Product) -> bool | Size:
    """Whether a b that is contiguous along n is worth a copy by panels: known now, or a size that is 1 if so and else 0."""
    m = p.extent_m
    if p.rows <= SMALL_ROWS or (isinstance(m, int) and m < PACK_ROWS):
        return False
    nbytes, step = p.k.extent * p.n.extent * p.dtype.itemsize, p.b.inner * p.dtype.itemsize
    large = dims.minimum(dims.floordiv(nbytes, PACK_BYTES), 1)
    if p.b.outer == 1 and step != 0:
        large = dims.maximum(large, 1 - dims.minimum(dims.mod(step, PAGE // 2), 1))
    return _flag(large * dims.minimum(dims.floordiv(m, PACK_ROWS), 1))


@lru_cache(maxsize=64)
def copied_once(p: Product) -> bool | Size:
    """Whether each panel of b is worth a copy that all tasks share, wherever b lies: where more than one task would copy it."""
    nbytes = p.k.extent * p.n.extent * p.dtype.itemsize
    return _flag(dims.minimum(dims.floordiv(nbytes, SHARED_BYTES), 1) * dims.minimum(dims.floordiv(p.extent_m, SHARED_ROWS), 1))


def brings_panels(p: Product) -> bool:
    """Whether tiles bring the next panel of b into the second cache, which has no room for all.

    At 1024 from 3 % slower to 5 % faster on a Zen 4, whose third cache is near: it is for those that have theirs further away.
    """
    return shared_pays(p) is not False and copied_once(p) is not False


def small_work(p: Product) -> bool:
    """Whether threads certainly do not pay."""
    work = dims.product([p.extent_m, p.n.extent, p.k.extent])
    return isinstance(work, int) and work < LARGE


@lru_cache(maxsize=64)
def shared_pays(p: Product) -> bool | Size:
    """Whether tasks share the panels of b, see `rounds`: where these are copied once, or would be if vectors of b crossed cache lines.

    A block of k then ends before the next one begins, so that the unfinished sums must have a place to wait.
    """
    if p.rows <= SMALL_ROWS or mostly_writes(p) or not ((k_blocks(p) == 1 and not p.more_k) or p.resting_place() is not None):
        return False
    once = copied_once(p)
    narrow = isinstance(p.n.extent, int) and p.n.extent <= p.lanes  # few loads are of b: not worth the code where there is little to do
    if p.b.outer != 1 or once is True or p.crossing_rows == NEVER or (narrow and small_work(p)):
        return once
    crossing = dims.minimum(dims.floordiv(p.extent_m, p.crossing_rows), 1)
    return _flag(crossing if once is False else dims.maximum(once, crossing))


@lru_cache(maxsize=64)
def mostly_writes(p: Product) -> bool:
    """Whether k is so short that the result is best written along whole rows, see `short`; b then stays in the second cache.

    Only rows that fill tiles: those of a lower one may be added up in several chains.
    """
    m, n, k = p.extent_m, p.n.extent, p.k.extent
    if not (isinstance(m, int) and isinstance(n, int) and isinstance(k, int)) or p.more_k or not p.plain or p.b.outer != 1:
        return False
    many = m > SWEEP_ROWS and m % p.rows == 0
    return many and 0 < k <= SHORT and n >= SWEEP_VECTORS * p.lanes and k * n * p.dtype.itemsize <= SHORT_BYTES


@lru_cache(maxsize=64)
def sweeps_pay(p: Product) -> bool | Size:
    """Whether rows of a b that lies along n are passed over as they lie: few rows of a, which are not worth the jumps of a tile."""
    m = p.extent_m
    if p.b.outer != 1 or p.along_k or (isinstance(m, int) and m > SWEEP_ROWS):
        return False
    wide = dims.minimum(dims.floordiv(p.n.extent, SWEEP_VECTORS * p.lanes), 1)
    few = 1 - dims.minimum(dims.floordiv(m, SWEEP_ROWS + 1), 1)
    large = 1 if m == 1 else dims.minimum(dims.floordiv(b_bytes(p), SWEEP_BYTES), 1)
    return _flag(wide * few * large)


def far_away(p: Product) -> Size:
    """1 where b is so large that its rows are worth fetching in advance for a single row of a, else 0."""
    return dims.minimum(dims.floordiv(b_bytes(p), FAR_BYTES), 1)


def b_bytes(p: Product) -> Size:
    """Of b at one place of the outer axes."""
    return p.k.extent * p.n.extent * p.dtype.itemsize


def _flag(size: Size) -> bool | Size:
    return bool(size) if isinstance(size, int) else size


def may_pack(p: Product) -> bool:
    """Whether some panel of b is, or may turn out to be, packed."""
    return not mostly_writes(p) and (p.b.outer != 1 or packing_pays(p) is not False)


def summed(p: Product) -> Size:
    """The extent of k, or 0 when another summed axis is empty."""
    if not p.more_k:
        return p.k.extent
    return dims.minimum(p.k.extent, p.k.extent * dims.product([x.extent for x in p.more_k]))
