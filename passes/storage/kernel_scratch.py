"""Scratch that the code of kernels needs is declared, so that `plan_memory` gives it a place and the verifier knows it.

    k0(%0, %1, %2)   ->   k0(%0, %1, %2, %3)      %3: u8[98304] of scratch, which the kernel declares

What threads share lies in the arena; in the turns of a parallel loop a kernel runs on one thread, which has that for itself, too.

What a kernel needs is asked of whoever makes the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from graphc.dims import Size
from graphc.program import Buffer, Kernel, Launch, Loop, Program, Step, launches

Pieces = tuple[tuple[np.dtype, Size], ...]
Needs = Callable[[Kernel], tuple[Pieces, Pieces]]
"""The dtype and the elements of each piece of scratch that a kernel's code uses: each thread's own, and what they share."""


def declare_scratch(program: Program, needs: Needs) -> Program:
    """The program with a scratch buffer for each that a kernel declares. Launches never overlap, so those of one size share it."""
    made: dict[Kernel, Kernel] = {}
    for step in launches(program.steps):
        if step.kernel not in made:
            scratch, shared = needs(step.kernel)
            made[step.kernel] = replace(step.kernel, scratch=scratch, shared=shared) if scratch or shared else step.kernel
    if not any(kernel.pieces for kernel in made.values()):
        return program
    buffers = list(program.buffers)
    known: dict[tuple[object, Size, str, int], int] = {}

    def place(dtype: np.dtype, count: Size, role: Literal["arena", "scratch"], among: int) -> int:
        key = (dtype, count, role, among)
        if key not in known:
            known[key] = len(buffers)
            buffers.append(Buffer(dtype, (count,), role))
        return known[key]

    def changed(step: Step, alone: bool) -> Step:
        match step:
            case Launch(kernel=kernel) if made[kernel].pieces:
                wanted, own = made[kernel].pieces, len(made[kernel].scratch)
                places = [
                    place(dtype, count, "scratch" if alone or k < own else "arena", wanted[:k].count((dtype, count)))
                    for k, (dtype, count) in enumerate(wanted)
                ]
                return replace(step, kernel=made[kernel], scratch=tuple(places))
            case Loop(parallel=True):
                return step.holding(*[tuple([changed(inner, True) for inner in steps]) for steps in step.inner])
            case _:
                return step.holding(*[tuple([changed(inner, alone) for inner in steps]) for steps in step.inner])

    steps = tuple([changed(step, False) for step in program.steps])
    return replace(program, buffers=tuple(buffers), steps=steps)
