"""Choices for loop nests: which axis carries the lanes, how many lanes, how far to unroll."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.costs import Kind, cost, instructions, kind
from graphc.dims import Size
from graphc.program import Axis, Operand
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target

UNROLL_REDUCTION = 4  # independent accumulators: an add takes 4 cycles and two can start in each
UNROLL_LIGHT = 4  # vectors per turn of a loop of a few operations
LIGHT_OPS = 10
SHORT_AXIS = 8  # elements. Depthwise 3 x 3 of 64 images 56 x 56: lanes along the taps 1.56 ms, along the rows 0.22
FEW = 1024  # turns of a loop for each of the loop around, from which that one gets no lanes
UNROLL_FEW = 8  # accumulators of such a loop, which make the sum as accurate as one of lanes. Sum of 10 elements: 25 ns, of lanes 32
COLUMN_ROWS = 4  # mean and variance of 1024 x 1024 f32, 32 registers: 8 vectors x 2 rows 142 us, 4 x 2 216, 16 x 1 122
CHUNK_ROWS = 512  # at most, of a chunk whose columns stay in the cache from one loop down the rows to the next
AHEAD = 2  # mean and variance of 4096 x 4096 f32 by chunks of 64 rows: 6.8 ms; asking 1, 2, 3 turns earlier 4.5, 3.5, 5.1
IN_MEMORY = 32  # second caches. Sums of x * y and of y over 4096 x 1024 f32: 2.5 ms, the first loop asking, too, 1.6; of y alone .26, .30
ROW_AHEAD = 4096  # elements of a row. Softmax f32 by rows of 16384, 8e6 elements: 15.4 ms, asking 10.4; by rows of 1000 3.27, asking 3.46
COLUMN_LEAST = 2  # vectors of long bodies without transcendentals: gradient of batch norm 1024 x 1024 f32: 0.65 ms, with 1 0.94
SHORT_TAIL = 4  # vectors of a turn of the tail when the number of columns is known only at run time: it may be small
LONG_BODY = 250  # instructions, about what the CPU can look ahead: turns of a longer loop do not overlap
REGISTERS_EACH = 8  # for a vector abreast. y = sin(1.01 y + 0.1), 200 deep over 1e6 f32: 154, 113, 91 ms with 1, 2, 4 on 32
CHEAP_MASKS = 64  # bytes of the vectors whose masks are registers of their own: loads and stores of any type take them


@dataclass(frozen=True)
class Access:
    """An array access: its linear offset, and whether a data-dependent part is added to it."""

    static: Size
    dynamic: bool


def vector_axis(axes: Sequence[Axis], accesses: Sequence[Access]) -> int:
    """The axis along which most accesses are contiguous; among equals the last."""
    best, best_score = len(axes) - 1, -(10**9)
    for k, axis in enumerate(axes):
        symbol = dims.as_symbol(axis.index)
        assert symbol is not None
        score = 0
        for access in accesses:
            split = dims.affine(access.static, symbol)
            stride = None if split is None else split[0]
            score += 0 if stride == 0 else -3 if access.dynamic or stride not in (1, 2) else 2 if stride == 1 else -1
        if isinstance(axis.extent, int) and axis.extent < SHORT_AXIS:  # most lanes would have nothing to do
            score = -100 if axis.extent == 1 else min(score, 0) - 3
        if score >= best_score:
            best, best_score = k, score
    return best


def lanes_of(dtypes: Iterable[np.dtype], target: Target) -> int:
    """Lanes so that the widest float (or else the widest type) fills one vector register."""
    known = list(dtypes)
    floats = [d.itemsize for d in known if d.kind == "f"]
    others = [d.itemsize for d in known if d.kind != "f"]
    return target.vector_bytes // max(floats or others or [8])


def digits(number: Size, extents: Sequence[Size]) -> list[Size]:
    """The positions along axes of these extents that a number counts through, the last one innermost."""
    result: list[Size] = []
    for k in range(len(extents) - 1, -1, -1):
        known = extents[k] if isinstance(extents[k], int) else dims.maximum(extents[k], 1)
        outermost = all(x == 1 for x in extents[:k])
        result.append(number if outermost else dims.mod(number, known))
        number = 0 if outermost else dims.floordiv(number, known)
    return result[::-1]


def unroll_of(bodies: Sequence[Scalar], extent: Size, lanes: int, reduces: bool) -> int:
    """Vectors per turn."""
    ops = instructions(bodies)
    light = ops <= LIGHT_OPS
    wanted = (UNROLL_REDUCTION if reduces else UNROLL_LIGHT) if light else 2 if reduces and ops <= 3 * LIGHT_OPS else 1
    while isinstance(extent, int) and wanted > 1 and lanes * wanted > extent:
        wanted //= 2
    return wanted


def is_few(extent: Size) -> bool:
    """Whether a size that is not known counts long parts, as those of a grid: often one, of whose array lanes would read beyond."""
    if isinstance(extent, int) or len(extent.terms) != 1:
        return False
    ((monomial, coefficient),) = extent.terms
    if coefficient != 1 or len(monomial) != 1 or monomial[0][1] != 1 or not isinstance(call := monomial[0][0], dims.Call):
        return False
    if call.fn == "max":  # at least one part
        parts = [a for a in call.args if not (isinstance(a, int) and a == 1)]
        return len(parts) == 1 < len(call.args) and is_few(parts[0])
    return call.fn == "floordiv" and isinstance(call.args[1], int) and call.args[1] >= FEW


def is_long(bodies: Sequence[Scalar]) -> bool:
    """Whether a loop body is so long that it should be written once, and cannot overlap with its next turn."""
    return instructions(bodies) >= LONG_BODY


def abreast(bodies: Sequence[Scalar], extent: Size, lanes: int, target: Target) -> int:
    """Vectors that each operation of a long body should work on, so that a chain of operations does not wait for itself.

    bodies[k] is `local(k)` in later ones.
    """
    done: list[int] = []  # when the value of each body is there, in cycles
    for body in bodies:
        at: dict[Scalar, int] = {}
        for s in sc.order((body,)):
            if s.op == "local":
                at[s] = done[s.param]
            else:
                at[s] = cost(s).latency + max([at[a] for a in s.args], default=0)
        done.append(at[body])
    waiting = max(done, default=0) * target.issue / instructions(bodies)
    wide = 1
    while wide < min(waiting, target.registers / REGISTERS_EACH) and (not isinstance(extent, int) or 2 * wide * lanes <= extent):
        wide *= 2
    return wide


@dataclass(frozen=True)
class ColumnTile:
    """A loop over columns around loops down the rows: lanes of a turn and of a turn of its tail, rows at once inside."""

    lanes: int
    tail: int
    rows: int


def column_tile(nests: Sequence[Sequence[Scalar]], extent: Size, lanes: int, reductions: int, target: Target) -> ColumnTile:
    """The bodies of each nest; `reductions` of one nest have accumulators at the same time, in half of the registers.

    A quarter of them side by side: rows that lie a power of two apart meet in few sets of the caches, and are read in longer pieces.
    """
    room = _power_of_two(target.registers // 2 // max(1, reductions) + 1) // 2 or 1
    light = min([unroll_of(bodies, 1 << 30, lanes, True) for bodies in nests], default=1)
    if light == 1 and all(kind(s) < Kind.MATH for s in sc.order([b for n in nests for b in n])):
        light = COLUMN_LEAST
    widest = min(room, target.registers // 4 if light == UNROLL_REDUCTION else light)
    if not isinstance(extent, int):
        tail = min(widest, SHORT_TAIL)
        return ColumnTile(lanes * widest, lanes * tail, _rows(room, widest, light))
    vectors = -(-extent // lanes)
    if light == UNROLL_REDUCTION and vectors % room == 0:
        widest = room
    width = min(widest, _power_of_two(vectors))
    return ColumnTile(lanes * width, lanes * min(width, _power_of_two(vectors % width or width)), _rows(room, width, light))


def columns_ahead(over: Sequence[Sequence[Axis]], extent: Size, tile: ColumnTile) -> int:
    """Turns by which loops down a chunk of rows ask for columns to come: while they pass over these rows again, from the cache.

    Rows that are no longer than some turns are read as a whole anyway, and no processor foresees a step from row to row.
    """
    chunk = all(_is_chunk(a.extent) for axes in over for a in axes)
    wide = not isinstance(extent, int) or extent > 4 * tile.lanes
    return AHEAD if chunk and wide else 0


def from_memory(operands: Sequence[Operand], target: Target) -> bool:
    """Whether arrays are known to be too much for the caches: then the first loop down chunks of rows waits for them, too."""
    sizes = [math.prod(map(int, o.shape)) * o.dtype.itemsize for o in operands if all(isinstance(n, int) for n in o.shape)]
    return sum(sizes) >= IN_MEMORY * target.l2


def rows_ahead(bodies: Sequence[Scalar], extent: Size, lanes: int) -> int:
    """Vectors by which a loop along a long row that has been read before asks for what comes behind it, while it is busy with functions.

    That is the next chunk, or the next row, whose first sweep would have little to do but to wait.
    """
    length = min([n for n in _bounds(extent) if isinstance(n, int)], default=0)
    busy = any(kind(s) >= Kind.MATH for s in sc.order(bodies))
    return length // lanes if busy and length >= ROW_AHEAD else 0


def _bounds(extent: Size) -> Sequence[Size]:
    """What a size is, or what it is the least of."""
    if isinstance(extent, int):
        return (extent,)
    factors = [m[0][0] for m, c in extent.terms if c == 1 and len(m) == 1 and m[0][1] == 1]
    call = factors[0] if len(extent.terms) == 1 == len(factors) else None
    return call.args if isinstance(call, dims.Call) and call.fn == "min" else ()


def _is_chunk(extent: Size) -> bool:
    """Whether it is so short, or as long as the index of a loop around says."""
    return extent <= CHUNK_ROWS if isinstance(extent, int) else any(s.kind == "axis" for s in dims.symbols(extent))


def _rows(room: int, width: int, light: int) -> int:
    return max(1, min(COLUMN_ROWS, room // width)) if light == UNROLL_REDUCTION else 1


def _power_of_two(n: int) -> int:
    """The least one that is not below n."""
    return 1 << max(n - 1, 0).bit_length()
