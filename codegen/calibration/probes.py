"""Measurements of the code that decisions are about: tiles and copies of a product, a parallel loop on the pool.

Every figure is a ratio of times taken in turns within the same few milliseconds, each the least of many: what disturbs a machine
makes a turn longer, never shorter, and what slows it down as a whole slows all of them down.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from graphc.codegen import jit
from graphc.codegen import object_cache as cache
from graphc.codegen.llvm.llvm_text import Block, Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.runtime.pool import symbols as pool_symbols
from graphc.codegen.runtime.pool_text import RUN
from graphc.codegen.strategy.contract import K_BLOCK, tile_shape
from graphc.codegen.strategy.packing import write_rows
from graphc.codegen.strategy.tile import Tile, write_tile
from graphc.dtypes import float32
from graphc.records import dataclass
from graphc.target import Target

LINE = 64  # bytes of a cache line
PAGE = 4096
APART = 17 * LINE  # bytes from row to row of b: a multiple of a line, and no power of two, so that rows spread over the sets of a cache
OFFSET = 16  # of memory that NumPy and malloc give, modulo a line
TILES = 4  # one below the other: a turn takes some 10 us
PTR, INT = ctypes.c_void_p, ctypes.c_int64
TURN = ctypes.CFUNCTYPE(None, PTR, INT, INT, INT, PTR, INT, INT, PTR, INT, INT, INT, ctypes.c_bool)  # what a tile takes
COPY = ctypes.CFUNCTYPE(None, PTR, INT, PTR, INT, INT, INT, INT)  # what the copy of panels takes
TASK = ctypes.CFUNCTYPE(None, PTR, INT, INT, INT)
FORK = ctypes.CFUNCTYPE(None, PTR, PTR, INT, INT, INT)


@dataclass(frozen=True)
class Copies:
    """Seconds of a tile's turns over a panel of b: on lines, across lines, and of the copy of such a panel; `rows` pass over it."""

    aligned: float
    across: float
    copied: float
    rows: int

    def or_less(self, other: Copies) -> Copies:
        """The lesser of each time. Of ratios the least would be that of a disturbed denominator."""
        return Copies(min(self.aligned, other.aligned), min(self.across, other.across), min(self.copied, other.copied), self.rows)

    def numbers(self) -> dict[str, float]:
        """The facts `crossing` and `packing` of `Measured`."""
        return {"crossing": self.across / self.aligned, "packing": self.copied / self.aligned * self.rows}


class ProductProbe:
    """The tile of a float32 product and the copy of its panel, as products use them, on a panel of K_BLOCK steps."""

    def __init__(self, target: Target) -> None:
        rows, vectors = tile_shape(target)
        self.rows, self.width, self.line = rows, vectors * target.lanes(float32), LINE // float32.itemsize
        unit = Unit(target)
        tile = write_tile(unit.module, unit.product_target, Tile(float32, rows, vectors, False, False), unit.kernel_attributes)
        copy = write_rows(unit.module, float32, target.lanes(float32), vectors, self.width, False, unit.kernel_attributes)
        for name in (tile, copy):
            unit.module.functions[name] = replace(unit.module.functions[name], linkage="")
        self.code = jit.load(cache.compiled(unit.module.text(), target))
        self.tile, self.copy = TURN(self.code.address(tile)), COPY(self.code.address(copy))
        of_b, of_a = K_BLOCK * (APART + self.width * 4), TILES * rows * (4 * K_BLOCK + LINE + self.width * 4)
        self.memory = np.zeros(4 * PAGE + of_b + of_a, np.uint8)

    def times(self, turns: int) -> Copies:
        """The least of so many turns of each, with the time of a call that does nothing taken off."""
        b = self.memory.ctypes.data + -self.memory.ctypes.data % PAGE
        panel = b + K_BLOCK * APART + PAGE
        a = panel + K_BLOCK * self.width * 4 + LINE
        d = a + TILES * self.rows * (4 * K_BLOCK + LINE)
        apart, a_row, rows = APART // 4, K_BLOCK + self.line, TILES * self.rows
        calls = (
            lambda: self.tile(a, a_row, 1, a_row * self.rows, b, apart, K_BLOCK, d, self.width, rows, self.width, False),
            lambda: self.tile(a, a_row, 1, a_row * self.rows, b + OFFSET, apart, K_BLOCK, d, self.width, rows, self.width, False),
            lambda: self.copy(b + OFFSET, apart, panel, K_BLOCK, 1, 0, self.width),
            lambda: self.copy(b, apart, panel, 0, 1, 0, self.width),
        )
        aligned, across, copied, nothing = least(calls, turns)
        return Copies(aligned - nothing, across - nothing, copied - nothing, rows)


def least(calls: Sequence[Callable[[], object]], turns: int) -> list[float]:
    """Seconds of each call: the least of so many, taken in turns."""
    found = [float("inf")] * len(calls)
    for _ in range(turns):
        for k, call in enumerate(calls):
            before = time.perf_counter()
            call()
            found[k] = min(found[k], time.perf_counter() - before)
    return found


# -- threads --------------------------------------------------------------------------------------------------------
CHUNKS = 8  # of two threads, as a parallel loop is cut
WORK = 1.2e-4  # seconds on one thread: meanwhile the worker stops spinning and goes to sleep
STEPS = 1000  # of a first look at how fast the work is done
LEAST_COST = 1e-7  # seconds: below, the clock tells nothing
CAME = 0.4  # of the time alone: a worker that came late saves less than a tenth of it
MARGIN = 4.0  # two threads save half the work at best, and the estimate of work may be wrong by a factor of two


class ThreadProbe:
    """A parallel loop of two threads on the pool of this process. It starts a worker, so it is for the command alone."""

    def __init__(self, target: Target) -> None:
        unit = Unit(target)
        unit.module.add(_busy())
        self.code = jit.load(cache.compiled(unit.module.text(), target))
        self.address = self.code.address("busy")
        self.busy, self.fork = TASK(self.address), FORK(pool_symbols()[RUN])
        self.context = np.zeros(64, np.int64)

    def numbers(self, turns: int) -> dict[str, float]:
        """The fact `threads`: a multiple of what it costs to share work, between that with a worker awake and with one asleep.

        Nothing where the worker did not come at all: then something else was running on the other processors.
        """
        where = self.context.ctypes.data
        self.context[0] = STEPS
        (once,) = least((lambda: self.busy(where, 0, CHUNKS, 0),), turns)
        self.context[0] = max(int(STEPS * WORK / once), 1)
        shared = lambda: self.fork(self.address, where, CHUNKS, 1, 2)
        alone, asleep, awake = least((lambda: self.busy(where, 0, CHUNKS, 0), shared, shared), turns)
        costs = [max(one - alone / 2, LEAST_COST) for one in (asleep, awake)]
        return {"threads": 1e9 * MARGIN * (costs[0] * costs[1]) ** 0.5} if max(costs) < CAME * alone else {}


def _busy() -> Function:
    """A task: for each of its chunks as many dependent multiplications as the context says."""
    out = Block()
    lines = """
  %each = load i64, ptr %context, align 8
  %chunks = sub i64 %hi, %lo
  %n = mul i64 %each, %chunks
  br label %loop
loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %loop ]
  %x = phi double [ 1.0, %entry ], [ %y, %loop ]
  %y = fmul double %x, 0x3FEFFFFFFFFFFFFF
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %n
  br i1 %more, label %loop, label %done
done:
  %at = mul i64 %worker, 8
  %mine = add i64 %at, 8
  %p = getelementptr double, ptr %context, i64 %mine
  store double %y, ptr %p, align 8
  ret void"""
    out.lines += lines.strip("\n").split("\n")
    params = ("ptr %context", "i64 %lo", "i64 %hi", "i64 %worker")
    return Function("busy", params, out.lines, ("nounwind",), linkage="")
