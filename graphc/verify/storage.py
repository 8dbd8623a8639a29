"""What lives at the same time lies in different bytes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.program import Program, lifetimes
from graphc.verify.fault import broken


def verify_storage(program: Program, role: str) -> None:
    """Every buffer of the role inside its region, aligned, and apart from the others that live at the same time.

    Offsets are compared for a few choices of the sizes: all static cases are exact, symbolic ones are sampled.
    """
    lives = {b: span for b, span in lifetimes(program).items() if program.buffers[b].role == role}
    placed = [b for b in lives if program.buffers[b].offset is not None]
    region = program.arena if role == "arena" else program.scratch
    if not placed and region == 0:
        return  # not planned yet
    for b in lives:
        offset = program.buffers[b].offset
        if offset is None:
            broken(f"%{b} has no place in the {role}")
        if dims.mod(offset, program.buffers[b].dtype.itemsize) != 0:
            broken(f"%{b} of {program.buffers[b].dtype} is not aligned at byte {offset}")
    for env in samples(program):
        _apart(program, lives, role, region, env)


def _apart(program: Program, lives: dict[int, tuple[int, int]], role: str, region: Size, env: dict[Symbol, int]) -> None:
    at = " for " + ", ".join(f"{s.name}={v}" for s, v in env.items()) if env else ""
    total = dims.evaluate(region, env)
    spans = []
    for b, (first, last) in lives.items():
        buffer = program.buffers[b]
        start = dims.evaluate(0 if buffer.offset is None else buffer.offset, env)
        end = start + max(dims.evaluate(buffer.nbytes, env), 0)
        if start < 0 or end > total:
            broken(f"%{b} takes the bytes {start} to {end} of {'an arena' if role == 'arena' else role} of {total}{at}")
        spans.append((start, end, first, last, b))
    shared = _carried_in_place(program)
    live: list[tuple[int, int, int, int, int]] = []
    for span in sorted(spans, key=lambda s: s[2]):
        start, end, first, _, b = span
        live = [s for s in live if s[3] >= first]
        for other in live:
            if start < other[1] and other[0] < end and (b, other[4]) not in shared:
                broken(f"%{other[4]} and %{b} live at the same time, in steps up to {other[3]} and from {first}, and share bytes{at}")
        live.append(span)


def _carried_in_place(program: Program) -> set[tuple[int, int]]:
    """Both orders of the pairs that loops carry in the same bytes; `verify_flow` sees whether they may be."""
    pairs = {pair for loop in program.loops for pair in loop.carried if pair not in program.swapped(loop)}
    return pairs | {(new, old) for old, new in pairs}


def samples(program: Program) -> list[dict[Symbol, int]]:
    """Sizes of calls that the program would run."""
    found: set[Symbol] = set()
    for b in program.buffers:
        for s in (*b.shape, 0 if b.offset is None else b.offset):
            found |= dims.symbols(s)
    found |= {s for step in program.numbered for s in step.symbols}  # a loop may be as long as no array is
    symbols = sorted((found | dims.symbols(program.arena) | dims.symbols(program.scratch)) - {*program.counters})
    if not symbols:
        return [{}]
    n = len(symbols)
    rising = [3 + 7 * k for k in range(n)]
    mixed, large = [1000 if k % 2 else 2 for k in range(n)], [5000 + k for k in range(n)]
    spread: list[Sequence[int]] = [[1] * n, [64] * n, rising, rising[::-1], mixed, large]
    calls = [env for values in spread if _allowed(program, env := dict(zip(symbols, values, strict=True)))]
    if len(calls) >= 3 or n > 3:
        return calls
    small = itertools.product((1, 2, 3, 4, 6, 9, 12), repeat=n)  # sizes that hang together, such as n == 3 * m
    return [*calls, *itertools.islice((env for values in small if _allowed(program, env := dict(zip(symbols, values, strict=True)))), 5)]


def _allowed(program: Program, env: dict[Symbol, int]) -> bool:
    """Whether a call with these sizes passes its checks: what it takes to be equal is so, and no array has a negative size."""
    shapes = [*[v.shape for v in (*program.inputs, *program.shared)], *[b.shape for b in program.buffers]]
    sizes = [s for shape in shapes for s in shape if not isinstance(s, int)]
    pairs = [(a, b) for a, b in program.size_checks if dims.symbols(a) | dims.symbols(b) <= env.keys()]
    known = [s for s in dict.fromkeys(sizes) if dims.symbols(s) <= env.keys()]
    return all(dims.evaluate(s, env) >= 0 for s in known) and all(dims.evaluate(a, env) == dims.evaluate(b, env) for a, b in pairs)
