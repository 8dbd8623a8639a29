"""Straight pieces of `run`, each a function of its own: some launches and checks in order, or a size, or the truth of a boolean.

Where a buffer lies may depend on where its step stands, see `graphc.codegen.placing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc import dims
from graphc.codegen.frame import FINISHED, Frame, slot_of
from graphc.codegen.llvm.access import memory_type
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.llvm.values import Values
from graphc.codegen.placing import Placing
from graphc.codegen.runtime.parallel_loops import Team, write_task
from graphc.codegen.runtime.pool_text import RUN
from graphc.dims import Size, Symbol
from graphc.program import NO_FAULT, Check, Kernel, Launch, Program, Step


@dataclass(frozen=True)
class Contents:
    """What the parts of one module share."""

    unit: Unit
    program: Program
    frame: Frame
    names: Mapping[Kernel, str]
    teams: Mapping[Kernel, Team]


class Part(Values):
    """i64 name(ptr slots, ptr sizes)."""

    def __init__(self, contents: Contents, name: str, placing: Placing) -> None:
        super().__init__(contents.unit, name)
        self.contents, self.program, self.placing = contents, contents.program, placing
        self.positions = contents.frame.place
        self.pointers: dict[int, str] = {}
        self.context = 0  # words that a task of this part is told

    def steps(self, numbered: Sequence[tuple[int, Step]]) -> Function:
        """Launches and checks in order: FINISHED, or the number of the check that failed."""
        for number, step in numbered:
            match step:
                case Launch():
                    self.launch(step)
                case Check():
                    self.check(number, step)
        return self.function(str(FINISHED))

    def size_function(self, size: Size) -> Function:
        return self.function(self.known(size))

    def truth_function(self, buffer: int) -> Function:
        """1 where the boolean in `buffer` holds, else 0."""
        held = self.entry.emit(f"load i8, ptr {self.pointer(buffer)}, align 1")
        return self.function(self.entry.emit(f"zext i8 {held} to i64"))

    def function(self, result: str) -> Function:
        context = [f"  %context = alloca [{self.context} x i64], align 8"] if self.context else []
        return Function(self.name, ("ptr %slots", "ptr %sizes"), [*context, *self.entry.lines, f"  ret i64 {result}"], result="i64")

    # -- steps ----------------------------------------------------------------------------------------------------
    def launch(self, step: Launch) -> None:
        args = [f"ptr {self.pointer(b)}" for b in step.own] + [f"i64 {self.symbol(s)}" for s in step.kernel.sizes()]
        if step.kernel in self.contents.teams:
            self.team(step, args)
        else:
            self.entry.line(f"call void @{self.contents.names[step.kernel]}({', '.join(args)})")

    def check(self, number: int, step: Check) -> None:
        """Tell the position, the index found there, and the number of the step."""
        e, kind = self.entry, memory_type(dtype := self.program.buffers[step.indices].dtype, 1)
        fault = e.emit(f"load i64, ptr {self.pointer(step.buffer)}, align 8")
        indices = self.pointer(step.indices)
        bad, good = self.label("bad"), self.label("good")
        e.line(f"br i1 {e.emit(f'icmp eq i64 {fault}, {NO_FAULT}')}, label %{good}, label %{bad}")
        e.label(bad)
        value = e.emit(f"load {kind}, ptr {e.emit(f'getelementptr {kind}, ptr {indices}, i64 {fault}')}, align {dtype.itemsize}")
        if kind != "i64":
            value = e.emit(f"{'zext' if dtype.kind == 'u' else 'sext'} {kind} {value} to i64")
        for k, word in enumerate((fault, value)):
            at = e.emit(f"getelementptr i64, ptr %sizes, i64 {self.contents.frame.found + k}")
            e.line(f"store i64 {word}, ptr {at}, align 8")
        e.line(f"ret i64 {number}")
        e.label(good)

    def team(self, launch: Launch, args: list[str]) -> None:
        """The kernel on several threads where there is work enough; otherwise it is called as any other."""
        e, team = self.entry, self.contents.teams[launch.kernel]
        total = self.known(team.total)
        if (enough := team.pays()) is None:
            self.shared(launch, args, total)
            return
        for symbol in launch.kernel.sizes():
            self.symbol(symbol)
        for size in (team.grain, self.program.scratch):  # used behind the branch, where nothing may be computed that is used again
            self.known(size)
        pays, several, alone, done = self.value(enough).text, self.label("several"), self.label("alone"), self.label("done")
        e.line(f"br i1 {pays}, label %{several}, label %{alone}")
        e.label(alone)
        e.line(f"call void @{self.contents.names[launch.kernel]}({', '.join([*args, 'i64 0', f'i64 {total}'])})")
        e.line(f"br label %{done}")
        e.label(several)
        self.shared(launch, args, total)
        e.line(f"br label %{done}")
        e.label(done)

    def shared(self, launch: Launch, args: list[str], total: str) -> None:
        """The kernel through the pool: its arguments go to memory, where every thread's task finds them."""
        e, team = self.entry, self.contents.teams[launch.kernel]
        scratch = tuple([k for k, b in enumerate(launch.own) if self.program.buffers[b].role == "scratch"])
        words = [*args, f"i64 {self.known(self.program.scratch if scratch else 0)}"]
        self.context = max(self.context, len(words))
        for k, word in enumerate(words):
            e.line(f"store {word}, ptr {e.emit(f'getelementptr i64, ptr %context, i64 {k}')}, align 8")
        task = write_task(self.unit, launch.kernel, self.contents.names[launch.kernel], scratch)
        self.module.declare(f"declare void @{RUN}(ptr, ptr, i64, i64, i64)")
        e.line(f"call void @{RUN}(ptr @{task}, ptr %context, i64 {total}, i64 {self.known(team.grain)}, i64 {team.threads})")

    # -- sizes and addresses --------------------------------------------------------------------------------------
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
        if buffer not in self.pointers:
            self.pointers[buffer] = self.place(buffer)
        return self.pointers[buffer]

    def place(self, buffer: int) -> str:
        b = self.program.buffers[buffer]
        if b.alias is not None:
            base = self.pointer(b.alias)
            offset = self.placing.views.get(buffer, 0)
            if offset == 0:
                return base
            return self.entry.emit(f"getelementptr inbounds i8, ptr {base}, i64 {self.known(offset * b.dtype.itemsize)}")
        if buffer not in self.placing.swaps:
            return self.start(buffer)
        partner, counter = self.placing.swaps[buffer]
        odd = self.entry.emit(f"trunc i64 {self.known(counter)} to i1")
        return self.entry.emit(f"select i1 {odd}, ptr {self.start(partner)}, ptr {self.start(buffer)}")

    def start(self, buffer: int) -> str:
        """Where the bytes of a buffer that is no alias begin."""
        b = self.program.buffers[buffer]
        key = ("slot", slot_of(self.program, b))
        base = self.find(key)
        if base is None:
            at = self.entry.emit(f"getelementptr ptr, ptr %slots, i64 {key[1]}")
            base = self.put(key, self.constant(self.entry.emit(f"load ptr, ptr {at}, align 8")))
        offset: Size = 0 if b.offset is None else b.offset
        if b.role == "scratch":
            offset = self.program.arena + offset
        if offset == 0:
            return base.text
        return self.entry.emit(f"getelementptr inbounds i8, ptr {base.text}, i64 {self.known(offset)}")
