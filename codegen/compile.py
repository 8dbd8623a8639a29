"""Program -> one LLVM module: every different kernel once, and `run`, which launches the steps in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from graphc import dims
from graphc.codegen.llvm.emit import Emitter
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.llvm.values import Values
from graphc.codegen.loops.check_loops import check_loops
from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.parallel_loops import ONE_THREAD, Team, Threads, team_of, write_task
from graphc.codegen.runtime.pool import RUN
from graphc.codegen.target import host
from graphc.dims import Size, Symbol
from graphc.options import Options
from graphc.program import NO_FAULT, Buffer, Check, Kernel, Launch, Program, Step

ARGUMENTS_PER_FUNCTION = 800  # of the kernels it calls, some two instructions each: LLVM's time is super-linear in the length of a function
SHORT_KERNEL = 56  # instructions: up to it a call costs more than the copy of the code
FINISHED = -1


class _Entry(Protocol):
    """What writes the functions that call `run` from Python."""

    def functions(self) -> list[Function]: ...


def write_module(
    program: Program,
    options: Options,
    entry: Callable[[Unit], _Entry] | None = None,
    threads: Threads = ONE_THREAD,
) -> str:
    """The module's text. `i64 run(ptr slots, ptr sizes)` gives -1, or the number of the check that failed.

    slots: the addresses of inputs, state, constants, outputs and the arena, see `slot_of`; sizes: the symbols in order.
    `entry` writes a function that calls it from Python.
    """
    target, fma = options.target or host(), options.fma
    unit = Unit(target, fma)
    names = unit.names = program.kernels()
    teams: dict[Kernel, Team] = {}
    launched = {step.kernel for step in program.steps if isinstance(step, Launch)}
    for kernel, name in names.items():
        body = fuse_multiply_add(kernel) if fma else kernel
        loops = lower(body, target)
        if options.verify:
            check_loops(loops, body)
        team = None if kernel not in launched else team_of(kernel, loops, threads)
        if team is not None:
            teams[kernel] = team
        unit.module.add(_inlined_if_short(Emitter(unit, kernel, name, loops, team is not None).function()))
    parts: list[str] = []
    positions = {s: k for k, s in enumerate(program_symbols(program))}
    for first, last in _stretches(program.steps):
        parts.append(f"part{len(parts)}")
        unit.module.add(_Part(unit, program, names, teams, positions, parts[-1], first, last).function())
    unit.module.add(_run(parts))
    if len(parts) == 1:
        unit.module.add(_inlined_if_short(unit.module.functions["part0"]))
    if entry is not None:
        for function in entry(unit).functions():
            unit.module.add(function)
    return unit.module.text()


def _inlined_if_short(function: Function) -> Function:
    short = len(function.lines) <= SHORT_KERNEL
    return replace(function, attributes=(*function.attributes, "alwaysinline")) if short else function


def _run(parts: Sequence[str]) -> Function:
    """The parts one after the other, up to one that does not finish."""
    lines: list[str] = []
    for k, part in enumerate(parts):
        lines += [
            f"  %r{k} = call i64 @{part}(ptr %slots, ptr %sizes)",
            f"  %ok{k} = icmp eq i64 %r{k}, {FINISHED}",
            f"  br i1 %ok{k}, label %next{k}, label %stop{k}",
        ]
        lines += [f"stop{k}:", f"  ret i64 %r{k}", f"next{k}:"]
    return Function("run", ("ptr %slots", "ptr %sizes"), [*lines, f"  ret i64 {FINISHED}"], result="i64", linkage="")


def _stretches(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """[0, a), [a, b), .. of the steps, each of a bounded number of arguments."""
    ends: list[int] = []
    count = 0
    for k, step in enumerate(steps):
        count += 1 + (len(step.buffers) if isinstance(step, Launch) else 0)
        if count >= ARGUMENTS_PER_FUNCTION or k == len(steps) - 1:
            ends.append(k + 1)
            count = 0
    return list(zip([0, *ends], ends or [0]))


def slot_of(program: Program, buffer: Buffer) -> int:
    """The position of a buffer's address among the slots: inputs, state, constants, outputs, then the arena."""
    counts = {
        "input": len(program.inputs),
        "shared": len(program.shared),
        "constant": len(program.constants),
        "output": len(program.outputs),
    }
    base = 0
    for role, count in counts.items():
        if role == buffer.role:
            return base + buffer.index
        base += count
    return base


def replaced_state(program: Program) -> list[int]:
    """The positions among the state of the arrays that a call writes to."""
    written = {b for s in program.steps if isinstance(s, Launch) for b in s.writes()}
    return sorted({program.buffers[b].index for b in written if program.buffers[b].role == "shared"})


def program_symbols(program: Program) -> list[Symbol]:
    """The size symbols of a program in the order of the `sizes` argument."""
    found: set[Symbol] = set()
    for b in program.buffers:
        for s in (*b.shape, *(() if b.offset is None else (b.offset,))):
            found |= dims.symbols(s)
    found |= dims.symbols(program.arena) | dims.symbols(program.scratch)
    for kernel in {step.kernel for step in program.steps if isinstance(step, Launch)}:
        found |= set(kernel.sizes())
    for node in (*program.inputs, *program.shared):
        for s in node.shape:
            found |= dims.symbols(s)
    for step in program.steps:
        if isinstance(step, Check):
            found |= dims.symbols(step.axis_size)
    return sorted(found)


class _Part(Values):
    """Some of the steps, as a function."""

    def __init__(
        self,
        unit: Unit,
        program: Program,
        names: dict[Kernel, str],
        teams: dict[Kernel, Team],
        positions: dict[Symbol, int],
        name: str,
        first: int,
        last: int,
    ) -> None:
        super().__init__(unit, name)
        self.program, self.names, self.teams, self.positions, self.first, self.last = program, names, teams, positions, first, last
        self.pointers: dict[int, str] = {}
        self.context = 0  # words that a task of this part is told

    def function(self) -> Function:
        """The whole function."""
        for number in range(self.first, self.last):
            self.step(number, self.program.steps[number])
        context = [f"  %context = alloca [{self.context} x i64], align 8"] if self.context else []
        lines = [*context, *self.entry.lines, f"  ret i64 {FINISHED}"]
        return Function(self.name, ("ptr %slots", "ptr %sizes"), lines, result="i64")

    def step(self, number: int, step: Step) -> None:
        if isinstance(step, Launch):
            args = [f"ptr {self.pointer(b)}" for b in step.buffers] + [f"i64 {self.symbol(s)}" for s in step.kernel.sizes()]
            if step.kernel in self.teams:
                self.team(step, args)
            else:
                self.entry.line(f"call void @{self.names[step.kernel]}({', '.join(args)})")
            return
        fault = self.entry.emit(f"load i64, ptr {self.pointer(step.buffer)}, align 8")
        fine = self.entry.emit(f"icmp eq i64 {fault}, {NO_FAULT}")
        bad, good = self.label("bad"), self.label("good")
        self.entry.line(f"br i1 {fine}, label %{good}, label %{bad}")
        self.entry.label(bad)
        self.entry.line(f"ret i64 {number}")
        self.entry.label(good)

    def team(self, launch: Launch, args: list[str]) -> None:
        """The kernel on several threads: its arguments go to memory, where every thread's task finds them."""
        e, team = self.entry, self.teams[launch.kernel]
        scratch = tuple([k for k, b in enumerate(launch.buffers) if self.program.buffers[b].role == "scratch"])
        words = [*args, f"i64 {self.known(self.program.scratch if scratch else 0)}"]
        self.context = max(self.context, len(words))
        for k, word in enumerate(words):
            e.line(f"store {word}, ptr {e.emit(f'getelementptr i64, ptr %context, i64 {k}')}, align 8")
        task = write_task(self.unit, launch.kernel, self.names[launch.kernel], scratch)
        total, most = self.known(team.total), str(team.threads)
        if (enough := team.pays()) is not None:
            for symbol in launch.kernel.sizes():
                self.symbol(symbol)
            most = e.emit(f"select i1 {self.value(enough).text}, i64 {team.threads}, i64 1")
        self.module.declare(f"declare void @{RUN}(ptr, ptr, i64, i64, i64)")
        e.line(f"call void @{RUN}(ptr @{task}, ptr %context, i64 {total}, i64 {self.known(team.grain)}, i64 {most})")

    def known(self, size: Size) -> str:
        """A size, once its symbols have been read."""
        for symbol in sorted(dims.symbols(size)):
            self.symbol(symbol)
        return self.size(size).text

    def symbol(self, symbol: Symbol) -> str:
        scope = self.scopes[0]
        if symbol not in scope.axis:
            at = self.entry.emit(f"getelementptr i64, ptr %sizes, i64 {self.positions[symbol]}")
            scope.axis[symbol] = self.constant(self.entry.emit(f"load i64, ptr {at}, align 8"))
        return scope.axis[symbol].text

    def pointer(self, buffer: int) -> str:
        b = self.program.buffers[buffer]
        if b.alias is not None:
            return self.pointer(b.alias)
        if buffer not in self.pointers:
            key = ("slot", slot_of(self.program, b))
            base = self.find(key)
            if base is None:
                at = self.entry.emit(f"getelementptr ptr, ptr %slots, i64 {key[1]}")
                base = self.put(key, self.constant(self.entry.emit(f"load ptr, ptr {at}, align 8")))
            text = base.text
            offset: Size = 0 if b.offset is None else b.offset
            if b.role == "scratch":
                offset = self.program.arena + offset
            if offset != 0:
                text = self.entry.emit(f"getelementptr inbounds i8, ptr {text}, i64 {self.known(offset)}")
            self.pointers[buffer] = text
        return self.pointers[buffer]
