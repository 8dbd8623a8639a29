"""Scratch that the code of kernels needs is declared, so that `plan_memory` gives it a place and the verifier knows it.

    k0(%0, %1, %2)   ->   k0(%0, %1, %2, %3)      %3: u8[98304] of scratch, which the kernel declares

What a kernel needs is asked of whoever makes the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from graphc.dims import Size
from graphc.program import Buffer, Kernel, Launch, Program, Step, launches, mapped

Needs = Callable[[Kernel], tuple[tuple[np.dtype, Size], ...]]
"""The dtype and the elements of each piece of scratch that a kernel's code uses."""


def declare_scratch(program: Program, needs: Needs) -> Program:
    """The program with a scratch buffer for each that a kernel declares. Launches never overlap, so those of one size share it."""
    made: dict[Kernel, Kernel] = {}
    for step in launches(program.steps):
        if step.kernel not in made:
            wanted = needs(step.kernel)
            made[step.kernel] = replace(step.kernel, scratch=wanted) if wanted else step.kernel
    if not any(kernel.scratch for kernel in made.values()):
        return program
    buffers = list(program.buffers)
    known: dict[tuple[object, Size, int], int] = {}

    def place(dtype: np.dtype, count: Size, among: int) -> int:
        key = (dtype, count, among)
        if key not in known:
            known[key] = len(buffers)
            buffers.append(Buffer(dtype, (count,), "scratch"))
        return known[key]

    def changed(step: Step) -> Step:
        match step:
            case Launch(kernel=kernel) if made[kernel].scratch:
                wanted = made[kernel].scratch
                places = [place(dtype, count, wanted[:k].count((dtype, count))) for k, (dtype, count) in enumerate(wanted)]
                return replace(step, kernel=made[kernel], scratch=tuple(places))
            case _:
                return step

    steps = mapped(program.steps, changed)
    return replace(program, buffers=tuple(buffers), steps=steps)
