"""The copies of a convolution: blocks of an operand, gathered under its guard, where a tile can read them.

panel[k, j] = b[n = j, k]      a row of `width` columns for each step of k
strip[i, k] = a[m = i, k]      a row of `k.most` steps for each row ("k"), or strip[k, i], a row of `m.most` rows for each step ("lanes")

Where the guard does not hold, they hold zeros: those are the products that the sum does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import dims
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import Function, llvm_type
from graphc.codegen.loops.address import replace_indices
from graphc.codegen.loops.loopir import Block, For, Statement, Store
from graphc.codegen.strategy.blocks import Cut, common_stride
from graphc.codegen.strategy.contract import stride
from graphc.codegen.strategy.convolution import Convolution, Side
from graphc.codegen.strategy.packing import overrun, write_transpose
from graphc.dims import Dim, Size
from graphc.program import Axis, Operand
from graphc.scalars import Scalar

LINE = 64
PAIRS = tuple((dims.axis(f"{x}0"), dims.axis(f"{x}_count"), dims.axis(f"{x}_local")) for x in "mnk")
STARTS, COUNTS, LOCALS = ([pair[i] for pair in PAIRS] for i in range(3))  # of the chunks of rows, lanes and steps that the loops are at
M, N, K = range(3)


def cuts(p: Convolution) -> tuple[Cut, Cut, Cut]:
    return p.m, p.n, p.k


def numbers(p: Convolution) -> list[Dim]:
    """What a function that works on one block must be told."""
    fixed = [x.index for x in (*p.outer, *p.m.outer, *p.n.outer, *p.k.outer)]
    return [*fixed, *STARTS, *COUNTS]


def local(p: Convolution, which: int) -> list[Axis]:
    """The loops over one block: along the chunk, then along the inner axes."""
    c = cuts(p)[which]
    return [] if c.axis is None else [Axis(LOCALS[which], COUNTS[which]), *c.inner]


def position(axes: Sequence[Axis]) -> Size:
    """How many points of the loops come before one; the extent of the outermost does not matter."""
    at: Size = 0
    for x in axes:
        at = at * x.extent + x.index if at != 0 else x.index
    return at


def moved(p: Convolution) -> dict[dims.Symbol, Size]:
    """The axes that are cut, as start of the chunk and place in it."""
    return {symbol_of(c.axis.index): STARTS[k] + LOCALS[k] for k, c in enumerate(cuts(p)) if c.axis is not None}


def merged(loops: Sequence[Axis], offsets: Sequence[Size]) -> tuple[list[Axis], list[Size]]:
    """Neighbouring loops as one, from the innermost on, where every offset moves evenly along both."""
    axes, found = list(loops), list(offsets)
    while len(axes) > 1 and all(common_stride(axes[-2:], offset) is not None for offset in found):
        outer, inner = axes[-2:]
        found = [dims.substitute(offset, {symbol_of(outer.index): 0}) for offset in found]
        axes[-2:] = [Axis(inner.index, outer.extent * inner.extent)]
    return axes, found


class Copies:
    """Writes the copies of one convolution: a function each, and the calls."""

    def __init__(self, emitter: Emitter, p: Convolution, name: str) -> None:
        self.e, self.v, self.p, self.name = emitter, emitter.values, p, name

    def function(self, name: str, body: Block) -> Function:
        """A part of the kernel that works on one block; its last operand is the memory of the copy."""
        kernel = self.e.kernel
        operands = (*kernel.operands, Operand(self.p.dtype, (), True))
        return Emitter(self.e.unit, replace(kernel, operands=operands, scratch=()), name, body, numbers=numbers(self.p)).function()

    def call(self, name: str, memory: str, without: Sequence[int] = ()) -> None:
        """Run such a part where the loops are; it does not ask for lanes or steps that it is `without`, when the loops are not at any."""
        apart = [x for which in without for x in (STARTS[which], COUNTS[which], *[axis.index for axis in cuts(self.p)[which].outer])]
        pointers = [f"ptr %b{k}" for k in range(len(self.e.kernel.operands))] + [f"ptr {memory}"]
        words = [f"i64 {self.v.axis(s).text}" for s in self.e.kernel.sizes()]
        words += [f"i64 {0 if x in apart else self.v.size(x).text}" for x in numbers(self.p)]
        self.v.here.lines.line(f"call void @{name}({', '.join(pointers + words)})")

    def gather(
        self, what: str, side: Side, outside: Sequence[Axis], along: Sequence[Axis], to: Size, memory: str, without: Sequence[int] = ()
    ) -> None:
        """memory[to] = the operand, for all points of the loops; the last axis of `along` has the vectors."""
        name = f"{self.name}.{what}"
        if name not in self.e.module.functions:
            self.e.module.add(self.function(name, self._gathering(side, outside, along, to)))
        self.call(name, memory, without)

    def _gathering(self, side: Side, outside: Sequence[Axis], along: Sequence[Axis], to: Size) -> Block:
        fetch: Scalar = replace_indices(side.fetch, moved(self.p))
        axes = list(along)
        if not side.guarded:
            axes, (_, to) = merged(along, [fetch.param[1], to])
            zero: dict[dims.Symbol, Size] = {symbol_of(x.index): 0 for x in along if x.index not in [y.index for y in axes]}
            fetch = replace_indices(fetch, zero)
        memory = len(self.e.kernel.operands)
        body: Statement = Store(memory, None, to, fetch)
        *rest, last = axes
        body = For(last.index, last.extent, "vector", Block((body,)), self.p.lanes, 1)
        for x in reversed([*outside, *rest]):
            body = For(x.index, x.extent, "serial", Block((body,)))
        return Block((body,))

    # -- the two operands -------------------------------------------------------------------------------------------------
    def pack_b(self, memory: str) -> None:
        """The panel of the block of lanes and steps that the loops are at."""
        p = self.p
        if p.b.how == "turned":
            self._turn(memory)
            return
        lanes, steps = local(p, N), local(p, K)
        self.gather("panel", p.b, steps, lanes, position(steps) * p.width + position(lanes), memory)

    def _turn(self, memory: str) -> None:
        """By squares, a run of k at a time."""
        p, at = self.p, moved(self.p)
        offset = dims.substitute(p.b.offset, at)
        loops = local(p, K)
        runs, _ = merged(loops, [offset])
        while len(runs) < len(loops) and stride(offset, runs[-1]) != 1:
            runs = loops
        *outside, run = runs
        kept = [x.index for x in outside]
        dropped: dict[dims.Symbol, Size] = {symbol_of(x.index): 0 for x in (*loops, *local(p, N)) if x.index not in kept}
        source = dims.substitute(offset, dropped)
        step = p.n.stride(p.b.offset)
        assert step is not None
        columns = dims.product([x.extent for x in local(p, N)])
        name = write_transpose(self.e.module, p.dtype, p.lanes, p.width, self.e.unit.kernel_attributes)
        square = min(p.lanes, 8)

        def write() -> None:
            address = self.e.memory.address(p.b.slot, p.dtype, None, source).text
            row = self.v.size(position(outside) * run.extent * p.width if outside else 0).text
            to = self.v.here.lines.emit(f"getelementptr inbounds {llvm_type(p.dtype, 1)}, ptr {memory}, i64 {row}")
            words = [self.v.size(x).text for x in (step, run.extent, columns)]
            self.v.here.lines.line(
                f"call void @{name}(ptr {address}, i64 {words[0]}, ptr {to}, i64 {words[1]}, i64 {words[2]}, i64 {square})"
            )

        self.e.loops.nest(outside, write)

    def pack_a(self, memory: str) -> None:
        """The strips of the block of rows and steps."""
        p = self.p
        rows, steps = local(p, M), local(p, K)
        if p.a.how == "k":
            self.gather("strips", p.a, rows, steps, position(rows) * p.k.most + position(steps), memory, (N,))
        else:
            self.gather("strips", p.a, steps, rows, position(steps) * p.m.most + position(rows), memory, (N,))

    def strip_steps(self) -> tuple[int, int]:
        """How far apart rows of strips, and steps of k in them, are."""
        return (self.p.k.most, 1) if self.p.a.how == "k" else (1, self.p.m.most)


# -- room -------------------------------------------------------------------------------------------------------------------
def panel_bytes(p: Convolution) -> int:
    """Of the panel, which comes first."""
    if p.b.how == "place":
        return 0
    more = overrun(p.lanes, p.width, 0) + p.width if p.b.how == "turned" else 0
    return _lines((p.k.most * p.width + more) * p.dtype.itemsize)


def strip_bytes(p: Convolution) -> int:
    """Of the strips, which come second."""
    if p.a.how == "place":
        return 0
    blocks = p.k_blocks if p.strips_whole else 1
    assert isinstance(blocks, int)
    return _lines(blocks * p.m.most * p.k.most * p.dtype.itemsize)


def room(p: Convolution) -> int:
    """Bytes of scratch: the panel, the strips, the sums."""
    sums = 0 if p.resting_place() else _lines(p.m.most * p.width * p.dtype.itemsize)
    return panel_bytes(p) + strip_bytes(p) + sums


def _lines(nbytes: int) -> int:
    return -(-nbytes // LINE) * LINE
