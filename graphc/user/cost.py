"""Counted operations and bytes of a program, for given sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from graphc import dims
from graphc import scalar as sc
from graphc.dims import Size, Symbol
from graphc.program import PLANNED, Axis, Kernel, Launch, Program, Stage


def count_cost(program: Program, env: Mapping[Symbol, int]) -> dict[str, int]:
    """operations: arithmetic per element, a fused multiply-add as two; comparisons, selections and moves are free.

    What several stages of a loop nest share is counted once, as it is computed once.
    """
    operations = transcendental = moved = launches = 0
    for step in program.steps:
        if not isinstance(step, Launch):
            continue
        launches += 1
        for kernel, inside in step.kernel.computed():
            bound = {**env, **{s: dims.evaluate(total, env) for s, total in inside.items()}}
            done, hard = _operations(kernel, bound)
            operations += done
            transcendental += hard
        moved += sum(_elements(o.shape, env) * o.dtype.itemsize for o in step.kernel.operands)
    return {"operations": operations, "transcendental": transcendental, "bytes": moved, "kernels": launches}


def _operations(kernel: Kernel, env: Mapping[Symbol, int]) -> tuple[int, int]:
    """All operations of a kernel, and the transcendental ones among them."""
    operations = transcendental = 0
    nests: dict[tuple[Axis, ...], list[Stage]] = {}
    for stage in kernel.stages:
        nests.setdefault((*stage.axes, *stage.reduce), []).append(stage)
    for axes, stages in nests.items():
        points = _points((*kernel.axes, *axes), env)
        body = sc.order([stage.body for stage in stages])
        hard = sum(s.op not in sc.FREE and s.op not in sc.ARITHMETIC for s in body)
        simple = sum((s.op in sc.ARITHMETIC) + (s.op == "fma") for s in body)
        operations += points * (simple + hard + sum(stage.combine is not None for stage in stages))
        transcendental += points * hard
    return operations, transcendental


def _points(axes: Sequence[Axis], env: Mapping[Symbol, int]) -> int:
    """Turns of nested loops; chunks of a grid differ in length."""
    if not axes:
        return 1
    count, symbol = dims.evaluate(axes[0].extent, env), dims.as_symbol(axes[0].index)
    assert symbol is not None
    if any(symbol in dims.symbols(a.extent) for a in axes[1:]):
        return sum(_points(axes[1:], {**env, symbol: turn}) for turn in range(count))
    return count * _points(axes[1:], env)


def count_memory(program: Program, env: Mapping[Symbol, int], threads: int = 1) -> dict[str, int]:
    """Bytes by role; each of the threads has its own scratch."""
    rooms = {step.buffers[-1] for step in program.steps if isinstance(step, Launch) and step.kernel.room}  # these hold no value
    arena = [b for k, b in enumerate(program.buffers) if k not in rooms and b.role in PLANNED and b.alias is None and b.offset is not None]
    return {
        "inputs": sum(_elements(v.shape, env) * v.dtype.itemsize for v in program.inputs),
        "state": sum(_elements(v.shape, env) * v.dtype.itemsize for v in program.shared),
        "constants": sum(c.nbytes for c in program.constants),
        "outputs": sum(_elements(b.shape, env) * b.dtype.itemsize for b in (program.buffers[k] for k in program.outputs)),
        "arena": dims.evaluate(program.arena + threads * program.scratch, env),
        "largest": max((_elements(b.shape, env) * b.dtype.itemsize for b in arena), default=0),
    }


def _elements(shape: Iterable[Size], env: Mapping[Symbol, int]) -> int:
    return math.prod(dims.evaluate(s, env) for s in shape)
