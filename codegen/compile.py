"""Program -> one LLVM module: every different kernel once, and `run`, which launches the steps in order."""

from __future__ import annotations

from collections.abc import Callable

from graphc.codegen.control import Control
from graphc.codegen.frame import frame_of
from graphc.codegen.llvm.emit import FunctionEmitter
from graphc.codegen.llvm.module import Unit
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.parts import Contents
from graphc.codegen.runtime.parallel_loops import ONE_THREAD, Team, Threads, team_of
from graphc.codegen.strategy.product import ProductEmitter
from graphc.codegen.strategy.product_scratch import lowered
from graphc.codegen.target import host
from graphc.options import Options
from graphc.program import Kernel, Program, launches

SHORT_KERNEL = 60  # lines of text: up to it a call costs more than the copy of the code


def write_module(
    program: Program,
    options: Options,
    entry: Callable[[Unit], FunctionEmitter] | None = None,
    threads: Threads = ONE_THREAD,
) -> str:
    """The module's text; `run` is told and tells what `graphc.codegen.frame` says. `entry` writes a function that calls it from Python."""
    target, fma = options.target or host(), options.fma
    unit = Unit(target, fma)
    names = unit.names = program.kernels()
    teams: dict[Kernel, Team] = {}
    launched = {step.kernel for step in launches(program.steps)}
    for kernel, name in names.items():
        body = fuse_multiply_add(kernel) if fma else kernel
        loops = lowered(body, target)
        if options.verify:
            check_loops(loops, body)
        team = None if kernel not in launched else team_of(kernel, loops, threads)
        if team is not None:
            teams[kernel] = team
        text = ProductEmitter(unit, kernel, name, loops, team is not None).text()
        if text.count("\n") <= SHORT_KERNEL:
            text = text.replace(") #", ") alwaysinline #", 1)
        unit.module.functions[name] = text
    parts = Control(Contents(unit, program, frame_of(program), names, teams)).write()
    if len(parts) == 1 and unit.module.functions["part0"].count("\n") <= SHORT_KERNEL:
        unit.module.functions["part0"] = unit.module.functions["part0"].replace("{\n", "alwaysinline {\n", 1)
    if entry is not None:
        unit.module.functions["entry"] = entry(unit).text()
    return unit.module.text()
