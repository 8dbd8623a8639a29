"""Which programs have an entry, and of which kind."""

from __future__ import annotations

from graphc import scalars as sc
from graphc.codegen.entry import cpython
from graphc.codegen.entry.objects import readable
from graphc.codegen.runtime.binding import Binding
from graphc.codegen.runtime.estimate import in_double, work
from graphc.program import Layout, Program
from graphc.tree import TreeDef

MOST_WORK = 1e13  # ns: beyond, sizes might not fit 64 bits
FEW_ARRAYS = 40  # inputs, state and outputs; each takes some 60 instructions, and LLVM's time is super-linear in their number
MOST_ARRAYS = 1 << 12  # with loops over tables, see `graphc.codegen.entry.many`; some 50 bytes of stack each


def can_write_directly(program: Program) -> bool:
    """Whether results may be written into arrays of the caller's: nothing is written to them before all that can fail is past."""
    failures = [k for k, step in enumerate(program.steps) if step.can_fail]
    early = program.steps[: failures[-1] + bool(program.steps[failures[-1]].inner)] if failures else ()
    return not any(program.buffers[program.roots[b]].role == "output" for step in early for b in step.writes)


def arrays_of(program: Program) -> int:
    """How many arrays a call is told of."""
    return len(program.inputs) + len(program.shared) + len(program.outputs)


def is_flat(structure: TreeDef) -> bool:
    """Whether results are nothing, one array, or a tuple or list of arrays."""
    if structure.cls in (tuple, list):
        return all(child.cls is None for child in structure.children)
    return structure.cls in (None, type(None))


def misfit(program: Program, binding: Binding, layout: Layout | None) -> str:
    """Why a program cannot have an entry; empty if it can: few arrays, state of known sizes, plain containers, work of less than days."""
    if fault := cpython.fault():
        return fault
    if layout is None or binding.given:
        return "sizes are among the arguments"
    if any(step.calls_python for step in program.numbered):
        return "it calls Python"
    if (count := arrays_of(program)) > MOST_ARRAYS:
        return f"{count} arrays are more than the {MOST_ARRAYS} that an entry takes"
    if len(program.shared) > FEW_ARRAYS:
        return f"{len(program.shared)} arrays of state are more than the {FEW_ARRAYS} that an entry takes"
    if count > FEW_ARRAYS and not is_flat(layout.outputs):
        return f"of more than {FEW_ARRAYS} arrays an entry gives results only as one tuple or list"
    if any(not isinstance(s, int) for v in program.shared for s in v.shape):
        return "the sizes of state may change"
    if not all(map(readable, (*layout.inputs, layout.outputs))):
        return "containers other than tuples, lists, dicts with str keys"
    total = in_double(work(program))
    return "" if total.op != "const" or sc.const_value(total) < MOST_WORK else "a call takes hours"
