"""Scratch that code generation needs besides what the program plans: the packed copies of products.

    contract k(a, b, c)   ->   contract k(a, b, c, room)

A stack need not have a megabyte left: threads are often given small ones.
"""

from __future__ import annotations

from dataclasses import replace

from graphc import dims
from graphc.codegen.loops.loopir import Call
from graphc.codegen.loops.lower import lower
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.table import STRATEGIES
from graphc.dims import Size
from graphc.dtypes import uint8
from graphc.program import Buffer, Kernel, Launch, Operand, Program, Step
from graphc.target import Target

ALIGNMENT = 64


def make_room(program: Program, target: Target) -> Program:
    """The program with a scratch operand for each kernel that copies; kernels of different steps use the same bytes."""
    buffers, steps = list(program.buffers), list[Step]()
    start = dims.floordiv(program.scratch + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT
    scratch, made, places = program.scratch, dict[Kernel, tuple[Kernel, Size]](), dict[Size, int]()
    for step in program.steps:
        if isinstance(step, Launch) and any(row.accepts(step.kernel) for row in STRATEGIES.values()):
            if step.kernel not in made:
                made[step.kernel] = with_room(step.kernel, target)
            kernel, nbytes = made[step.kernel]
            if kernel.room:
                if nbytes not in places:
                    places[nbytes] = len(buffers)
                    buffers.append(Buffer(uint8, (nbytes,), "scratch", offset=start))
                    scratch = dims.maximum(scratch, start + nbytes)
                step = replace(step, kernel=kernel, buffers=(*step.buffers, places[nbytes]))
        steps.append(step)
    return replace(program, buffers=tuple(buffers), steps=tuple(steps), scratch=scratch)


def with_room(kernel: Kernel, target: Target) -> tuple[Kernel, Size]:
    """The kernel with an operand for its copies, and their bytes."""
    (first, *_) = lower(kernel, target).body
    nbytes: Size = first.strategy.scratch(first.params) if isinstance(first, Call) and isinstance(first.strategy, Strategy) else 0
    if nbytes == 0:
        return kernel, 0
    nbytes = dims.floordiv(nbytes + (ALIGNMENT - 1), ALIGNMENT) * ALIGNMENT
    return replace(kernel, operands=(*kernel.operands, Operand(uint8, (nbytes,), True)), room=True), nbytes
