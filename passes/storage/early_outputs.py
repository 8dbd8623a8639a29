"""What only results are made of is made as soon as it can be, so that what it reads need not be kept.

    g2 = ..; g1 = (g2 @ w2.T) * s1; dw1 = x.T @ g1; dw2 = a1.T @ g2      ->      g2 = ..; dw2 = a1.T @ g2; g1 = ..; dw1 = x.T @ g1

The steps of a program come in the order in which its outputs are listed: gradients of the first layer first have all cotangents wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from graphc.passes.storage.alive import bytes_of
from graphc.program import Launch, Program, Step


def early_outputs(program: Program) -> Program:
    """The program with such steps right behind what they read."""
    steps = program.steps[: program.commit]
    merged = _merged(program, steps, _sinks(program, steps))
    return replace(program, steps=(*merged, *program.steps[program.commit :]))


def _sinks(program: Program, steps: Sequence[Step]) -> set[int]:
    """The launches that write outputs, or for one such launch alone something smaller than what they read."""
    roots, buffers = program.roots, program.buffers
    readers = Counter(r for step in program.steps for r in {roots[b] for b in step.reads})
    found: set[int] = set()
    kept = {roots[b] for step in program.steps[program.commit :] for b in step.reads}  # storages that others than sinks read
    for k in range(len(steps) - 1, -1, -1):
        step = steps[k]
        writes = {roots[b] for b in step.writes}
        arena = {r for r in writes if buffers[r].role == "arena"}
        read = sum([bytes_of(program, r) for r in {roots[b] for b in step.reads} if buffers[r].role == "arena"])
        smaller = sum([bytes_of(program, r) for r in arena]) < read
        results = all(buffers[r].role in ("output", "arena") for r in writes) and not arena & kept and all(readers[r] == 1 for r in arena)
        placed = any(b in program.viewed for b in step.own)
        if isinstance(step, Launch) and not step.can_fail and not placed and writes and results and smaller:
            found.add(k)
        else:
            kept |= {roots[b] for b in step.reads}
    return found


def _merged(program: Program, steps: Sequence[Step], sinks: set[int]) -> list[Step]:
    """The steps, with each sink behind the last that writes what it reads, touches what it writes, or can fail and stands before it."""
    roots = program.roots
    written: dict[int, int] = {}  # storage -> the place behind which its last writer stands
    touched: dict[int, int] = {}
    behind: dict[int, list[Step]] = {}
    failing = -1
    for k, step in enumerate(steps):
        reads, writes = ([roots[b] for b in buffers] for buffers in (step.reads, step.writes))
        place = k
        if k in sinks:
            place = max([failing, *[written.get(r, -1) for r in reads], *[touched.get(r, -1) for r in writes]])
            behind.setdefault(place, []).append(step)
        elif step.can_fail:
            failing = k
        written |= dict.fromkeys(writes, max(place, *[written.get(r, -1) for r in writes], -1))
        touched |= {r: max(place, touched.get(r, -1)) for r in (*reads, *writes)}
    merged = [*behind.get(-1, [])]
    for k, step in enumerate(steps):
        merged += [] if k in sinks else [step]
        merged += behind.get(k, [])
    return merged
