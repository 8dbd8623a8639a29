"""Memory that lies apart, with a pattern between: whoever writes behind an array of a call is found out.

    arena   [%4 ........ A5 A5 A5 ..][%7 .... A5 A5 ..]        every array has bytes of its own, and a gap behind it

Before a call all of the arena and what lies around each result holds the pattern; after it, every gap must still hold it. So an
array that is read before it is written shows the pattern, too. For tests: `Options(canaries=True)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc import dims
from graphc.dims import Symbol
from graphc.errors import CompileError, fail
from graphc.program import PLANNED, Program

PATTERN = 0xA5
GAP = 256  # bytes before and behind a result


class Canaries:
    """The gaps of one program, whose memory was planned apart, for calls with scratch for `threads`."""

    def __init__(self, program: Program, threads: int) -> None:
        self.program, self.threads = program, threads
        self.around: list[np.ndarray] = []

    def arena(self, nbytes: int) -> np.ndarray:
        """A new arena full of the pattern."""
        raw = np.full(nbytes + 64, PATTERN, np.uint8)
        start = -raw.ctypes.data % 64
        return raw[start : start + nbytes]

    def result(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """A new array with the pattern in it and around it."""
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = np.full(nbytes + 2 * GAP, PATTERN, np.uint8)
        self.around += [raw[:GAP], raw[GAP + nbytes :]]
        return raw[GAP : GAP + nbytes].view(dtype).reshape(shape)

    def check(self, arena: np.ndarray, env: Mapping[Symbol, int]) -> None:
        """Raise CompileError if a gap no longer holds the pattern."""
        for k, gap in enumerate(self.around):
            if (gap != PATTERN).any():
                fail(CompileError, f"canaries: a call wrote {'behind' if k % 2 else 'before'} result {k // 2}")
        used = np.zeros(arena.nbytes, bool)
        total, each = dims.evaluate(self.program.arena, env), dims.evaluate(self.program.scratch, env)
        owner: list[tuple[int, int]] = []
        for k, b in enumerate(self.program.buffers):
            if b.role not in PLANNED or b.alias is not None or b.offset is None:
                continue
            copies = range(self.threads) if b.role == "scratch" else (0,)
            for copy in copies:
                start = dims.evaluate(b.offset, env) + (total + copy * each if b.role == "scratch" else 0)
                used[start : start + max(dims.evaluate(b.nbytes, env), 0)] = True
                owner.append((start, k))
        wrong = np.flatnonzero(~used & (arena != PATTERN))
        if len(wrong):
            at = int(wrong[0])
            before = max([(start, k) for start, k in owner if start <= at], default=(0, -1))[1]
            fail(CompileError, f"canaries: a call wrote to byte {at} of the arena, behind %{before}")
