"""Counted operations and bytes of a program, for given sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc import dims
from graphc import scalar as sc
from graphc.dims import Symbol
from graphc.program import Launch, Program

_FREE = {"const", "index", "load", "local", "arg", "cast", "bitcast", "select", "and", "or", "xor", "not", "eq", "ne", "lt", "le", "gt", "ge"}
_PRIMITIVE = {"add", "sub", "mul", "div", "neg", "abs", "sqrt", "copysign", "floor", "ceil", "trunc", "rint", "floordiv", "mod", "min", "max", "shl", "lshr", "ashr"}


def count_cost(program: Program, env: Mapping[Symbol, int]) -> dict[str, int]:
    """operations: arithmetic per element, a fused multiply-add as two; comparisons, selections and moves are free."""
    operations = transcendental = moved = launches = 0
    for step in program.steps:
        if not isinstance(step, Launch):
            continue
        launches += 1
        kernel = step.kernel
        outer = int(np.prod([dims.evaluate(a.extent, env) for a in kernel.axes], dtype=np.int64))
        for stage in kernel.stages:
            points = outer * int(np.prod([dims.evaluate(a.extent, env) for a in (*stage.axes, *stage.reduce)], dtype=np.int64))
            body = sc.order((stage.body,))
            simple = sum(2 if s.op == "fma" else 1 for s in body if s.op in _PRIMITIVE or s.op == "fma")
            math = sum(s.op not in _FREE and s.op not in _PRIMITIVE and s.op not in ("fma", "lookup") for s in body)
            operations += points * (simple + math + (1 if stage.combine else 0))
            transcendental += points * math
        for o in kernel.operands:
            moved += int(np.prod([dims.evaluate(s, env) for s in o.shape], dtype=np.int64)) * o.dtype.itemsize
    return {"operations": operations, "transcendental": transcendental, "bytes": moved, "kernels": launches}


def count_memory(program: Program, env: Mapping[Symbol, int]) -> dict[str, int]:
    """Bytes by role."""
    size = lambda shape, dtype: int(np.prod([dims.evaluate(s, env) for s in shape], dtype=np.int64)) * dtype.itemsize  # noqa: E731
    own = [b for b in program.buffers if b.alias is None]
    arena = [size(b.shape, b.dtype) for b in own if b.role == "arena" and b.offset is not None]
    return {
        "inputs": sum(size(v.shape, v.dtype) for v in program.inputs),
        "state": sum(size(v.shape, v.dtype) for v in program.shared),
        "constants": sum(c.nbytes for c in program.constants),
        "outputs": sum(size(program.buffers[b].shape, program.buffers[b].dtype) for b in program.outputs),
        "arena": dims.evaluate(program.arena, env),
        "largest": max(arena, default=0),
    }
