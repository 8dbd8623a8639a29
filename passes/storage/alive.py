"""How many bytes of a program's arena are alive at once, by its outermost steps."""

from __future__ import annotations

from collections import Counter

from graphc import dims
from graphc.dims import Size
from graphc.program import Program

UNKNOWN = 256  # what a size is taken for that only the call knows


def count(size: Size) -> int:
    """A size that is known, or about what it comes to; chunks are as long as the first."""
    if isinstance(size, int):
        return size
    return dims.evaluate(size, {s: UNKNOWN if s.kind == "size" else 0 for s in dims.symbols(size)})


def bytes_of(program: Program, root: int) -> int:
    """Those that an array takes."""
    return count(program.buffers[root].nbytes)


def alive(program: Program) -> tuple[int, int]:
    """(the step behind which most bytes of arrays are alive that one step writes and a later one reads, these)."""
    roots = program.roots
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for k, step in enumerate(program.steps):
        for b in step.writes:
            first.setdefault(roots[b], k)
        for b in step.reads:
            last[roots[b]] = k
    change: Counter[int] = Counter()
    for r, k in first.items():
        if program.buffers[r].role == "arena" and r in last:
            change[k] += bytes_of(program, r)
            change[last[r]] -= bytes_of(program, r)
    now = most = place = 0
    for k in sorted(change):
        now += change[k]
        if now > most:
            most, place = now, k
    return place, most
