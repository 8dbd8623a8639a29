"""Factorisations of small matrices: as many examples at once as a vector has lanes, parallel over the batch.

A task is the examples of one vector. Its function is written once for a routine, a dtype and a width, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from graphc import dims
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.values import WIDEST
from graphc.codegen.loops.address import Loaded
from graphc.codegen.strategy import elimination, reflections, rotations
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.lanes import WRITTEN_OUT, Lanes, Number
from graphc.dims import Size
from graphc.loopform import Routine
from graphc.records import dataclass
from graphc.target import Target

TASK = dims.axis("block")
Writer = Callable[..., None]


class Row(NamedTuple):
    """How a routine is written, and the vectors of scratch for its sizes."""

    write: Writer
    vectors: Callable[..., Size]
    long: bool = False
    """Each turn of its loops is long: none are written out, and it does not wait for memory."""


ROUTINES: dict[str, Row] = {
    "cholesky": Row(elimination.cholesky, lambda n: n * n),
    "lu": Row(elimination.lu, lambda m, n: m * n + 2 * (m + 1)),  # whole numbers are twice as wide as float32
    "solve_triangular": Row(elimination.triangular, lambda n, k: n * n + n * k),
    "eigh": Row(rotations.eigh, lambda n: (2 * n + 1) * n, long=True),
    "inv": Row(elimination.inverse, lambda n: 2 * n * n),
    "solve": Row(elimination.lu_solve, lambda n, k: n * n + n * k),
    "qr": Row(reflections.qr, lambda m, n, k: m * n + m * k + elimination.TOGETHER * dims.minimum(m, n)),
    "r": Row(reflections.upper, lambda m, n: m * n + elimination.TOGETHER * dims.minimum(m, n)),
}


@dataclass(frozen=True)
class Plan:
    """A routine in lanes."""

    routine: Routine
    dtype: np.dtype
    lanes: int

    def __str__(self) -> str:
        r = self.routine
        return f"{r.name}{list(r.params)} of {self.dtype}, {self.lanes} of {r.batch} at once, sizes {', '.join(map(str, r.sizes))}"


def _plan(kernel: Loaded, target: Target) -> Plan:
    assert kernel.routine is not None
    dtype = kernel.routine.dtype
    plan = Plan(kernel.routine, dtype, target.vector_bytes // dtype.itemsize)
    room = _scratch(plan)
    # half as many examples then lie in the first cache, at no loss.
    # n = 32, a matrix of 250: LU 1200 -> 980 ns in f64, 750 -> 600 in f32, Cholesky 960 -> 850 and 590 -> 510
    crowded = isinstance(room, int) and room > target.l1 and not ROUTINES[plan.routine.name].long
    return replace(plan, lanes=plan.lanes // 2) if crowded and target.vector_bytes == WIDEST else plan


def _tasks(plan: Plan) -> Size:
    return dims.floordiv(plan.routine.batch + (plan.lanes - 1), plan.lanes)


def _scratch(plan: Plan) -> Size:
    sizes = [dims.minimum(s, plan.routine.most) for s in plan.routine.sizes]  # it is not called for larger ones
    vectors = ROUTINES[plan.routine.name].vectors(*sizes)
    return dims.maximum(vectors, 1) * plan.lanes * plan.dtype.itemsize


def _write(emitter: Emitter, plan: Plan) -> None:
    name = _function(emitter, plan)
    operands, v = len(emitter.kernel.operands), emitter.values

    def task() -> None:
        first = v.size(TASK * plan.lanes).text
        last = v.size(plan.routine.batch - 1).text
        sizes = [v.size(s).text for s in plan.routine.sizes if not _short(plan, s)]
        pointers = [f"ptr %b{k}" for k in range(operands + 1)]
        v.here.lines.line(f"call void @{name}({', '.join([*pointers, *[f'i64 {x}' for x in (first, last, *sizes)]])})")

    emitter.loops.each(TASK, *emitter.span(_tasks(plan)), 1, task)


def _function(emitter: Emitter, plan: Plan) -> str:
    """The name of the function for the examples first to last, at most as many as there are lanes."""
    routine = plan.routine
    own = [str(s) if _short(plan, s) else "n" for s in routine.sizes]  # short loops are written out
    words = [routine.name, *map(str, routine.params), str(plan.dtype), str(plan.lanes), *own]
    name = ".".join(words)
    if name not in emitter.module.functions:
        t = Lanes(emitter.unit, plan.dtype, plan.lanes)
        operands = len(emitter.kernel.operands)
        sizes: list[Number] = [int(s) if _short(plan, s) else f"%n{k}" for k, s in enumerate(routine.sizes)]
        ROUTINES[routine.name].write(t, [f"%a{k}" for k in range(operands)], "%first", "%last", sizes, "%s", *routine.params)
        t.block.line("ret void")
        parameters = [f"ptr %a{k}" for k in range(operands)] + [
            "ptr %s",
            "i64 %first",
            "i64 %last",
            *[f"i64 {s}" for s in sizes if isinstance(s, str)],
        ]
        emitter.module.add(Function(name, tuple(parameters), t.block.lines, emitter.unit.kernel_attributes))
    return name


def _short(plan: Plan, size: Size) -> bool:
    """Whether loops of this many turns are written out."""
    return isinstance(size, int) and size <= WRITTEN_OUT and not ROUTINES[plan.routine.name].long


MATRICES = Strategy("matrices", lambda kernel: kernel.kind == "matrices", _plan, _write, _tasks, _scratch)
