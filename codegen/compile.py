"""Program -> one LLVM module: every different kernel once, and `run`, which launches the steps in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from graphc.codegen.alike import callees
from graphc.codegen.control import Control
from graphc.codegen.frame import frame_of
from graphc.codegen.llvm.called import called
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.llvm_text import Function, as_it_stands, stands
from graphc.codegen.llvm.module import Unit
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.loops.loopir import Call, For, walk
from graphc.codegen.parts import Contents
from graphc.codegen.runtime.estimate import static_work, work
from graphc.codegen.runtime.float_mode import flush_inside
from graphc.codegen.runtime.parallel_loops import ONE_THREAD, Team, Threads, team_of
from graphc.codegen.strategy.product_scratch import lowered
from graphc.codegen.target import host
from graphc.options import Options
from graphc.program import Kernel, Launch, Loop, Program, Step

SHORT_KERNEL = 56  # instructions: up to it a call costs more than the copy of the code
MATH_CALL = 8  # of them for a call of a math function: of vectors side by side it is more code than a line, and takes long itself
COPIES = 4 * SHORT_KERNEL  # instructions of all copies of one kernel: where it is launched often, LLVM's time is that of the copies
LONG_CALL = 1e4  # ns: what runs once in such a call may take some 20 longer, where LLVM then takes a third of the time for it
FEW_PARTS = 8  # of `run`, each called at one place: more are left as functions, as LLVM's time is super-linear in the length of one


class _Entry(Protocol):
    """What writes the functions that call `run` from Python."""

    def functions(self) -> list[Function]: ...


def write_module(
    program: Program,
    options: Options,
    entry: Callable[[Unit], _Entry] | None = None,
    threads: Threads = ONE_THREAD,
) -> str:
    """The module's text; `run` is told and tells what `graphc.codegen.frame` says. `entry` writes a function that calls it from Python."""
    target, fma = options.target or host(), options.fma
    unit = Unit(target, fma)
    names = program.kernels()
    teams: dict[Kernel, Team] = {}
    launches, launched = Counter(s.kernel for s in program.numbered if isinstance(s, Launch)), _launched(program.steps)
    bodies = {kernel: fuse_multiply_add(kernel) if fma else kernel for kernel in names}
    every = {kernel: lowered(body, target) for kernel, body in bodies.items()}
    unit.called = called(
        [bodies[kernel].parts for kernel, loops in every.items() if any(isinstance(s, For | Call) for s in walk(loops))], target
    )
    for kernel, loops in every.items():
        if options.verify:
            check_loops(loops, bodies[kernel])
        if kernel in launched and (team := team_of(kernel, loops, threads)) is not None:
            teams[kernel] = team
    functions = callees(bodies, every, names, teams)
    calls: Counter[str] = Counter()
    for kernel, count in launches.items():
        calls[functions[kernel].name] += count
    for kernel, name in names.items():
        if functions[kernel].name == name:
            function = Emitter(unit, bodies[kernel], name, every[kernel], kernel in teams).function()
            unit.module.add(_inlined_if_short(function, calls[name]))
    long = static_work(work(program)) >= LONG_CALL
    parts = Control(Contents(unit, program, frame_of(program), functions, teams, threads, long)).write()
    for part in parts if len(parts) <= FEW_PARTS else ():
        unit.module.add(_inlined_if_short(unit.module.functions[part]))
    if options.flush_subnormals:
        flush_inside(unit.module, "run", target)
    if entry is not None:
        for function in entry(unit).functions():
            unit.module.add(as_it_stands(function) if long else function)
    return unit.module.text()


def _launched(steps: Sequence[Step]) -> set[Kernel]:
    """The kernels that are not only launched in turns of parallel loops, which threads share already."""
    found: set[Kernel] = set()
    for step in steps:
        match step:
            case Launch():
                found.add(step.kernel)
            case Loop(parallel=True):
                pass
            case _:
                found = found.union(*map(_launched, step.inner))
    return found


def _inlined_if_short(function: Function, calls: int = 1) -> Function:
    """A function that is called at so many places, copied to all of them if that is cheap."""
    length = len(function.lines) + (MATH_CALL - 1) * sum(["@m." in line for line in function.lines])
    short = length <= SHORT_KERNEL and calls * length <= COPIES and not stands(function)
    return replace(function, attributes=(*function.attributes, "alwaysinline")) if short else function
