"""Pieces of `run`, each a function of its own: some launches and checks in order and branches of such, or a size, or a boolean.

Where a buffer lies may depend on where its step stands, see `graphc.codegen.placing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from graphc import dims
from graphc.codegen.alike import Callee
from graphc.codegen.frame import FINISHED, Frame, arena_slot, slot_of
from graphc.codegen.llvm.access import memory_type
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.llvm.values import Scope, Values
from graphc.codegen.placing import Placing
from graphc.codegen.runtime.parallel_loops import Team, Threads, team_of_turns, write_task, write_turns_task
from graphc.codegen.runtime.pool_text import RUN
from graphc.dims import Size, Symbol
from graphc.program import NO_FAULT, Branch, Check, Kernel, Launch, Loop, Program, Step, walk
from graphc.records import dataclass


@dataclass(frozen=True)
class Contents:
    """What the parts of one module share."""

    unit: Unit
    program: Program
    frame: Frame
    callees: Mapping[Kernel, Callee]
    teams: Mapping[Kernel, Team]
    threads: Threads
    long: bool = False
    """Whether a call takes so long that nobody feels what only runs once in it."""
    turns: dict[int, str] = field(default_factory=dict)  # the number of a parallel loop -> the function that runs some of its turns
    launchers: dict[tuple[Kernel, tuple[int, ...], bool], int] = field(default_factory=dict)  # see `graphc.codegen.tables`


class Part(Values):
    """i64 name(ptr slots, ptr sizes)."""

    def __init__(self, contents: Contents, name: str, placing: Placing, once: bool = False) -> None:
        super().__init__(contents.unit, name)
        self.apart = " noinline" if once else ""
        """Of the calls of kernels: a copy of one in a function that stands as it is would do so, too."""
        self.contents, self.program, self.placing = contents, contents.program, placing
        self.positions = contents.frame.place
        self.pointers: dict[int, str] = {}
        self.context = 0  # words that a task of this part is told

    def steps(self, numbered: Sequence[tuple[int, Step]]) -> Function:
        """Launches, checks and parallel loops in order: FINISHED, or the number of the check that failed."""
        for number, step in numbered:
            self.step(number, step)
        return self.function(str(FINISHED))

    def step(self, number: int, step: Step) -> None:
        """One of them."""
        match step:
            case Launch():
                self.launch(step)
            case Check():
                self.check(number, step)
            case Loop():
                self.turns(number, step)
            case Branch():
                self.branch(number, step)

    def size_function(self, size: Size) -> Function:
        return self.function(self.known(size))

    def truth_function(self, buffer: int) -> Function:
        """1 where the boolean in `buffer` holds, else 0."""
        return self.function(self.entry.emit(f"zext i8 {self.truth(buffer)} to i64"))

    def truth(self, buffer: int) -> str:
        """The boolean in `buffer` as a byte."""
        return self.entry.emit(f"load i8, ptr {self.pointer(buffer)}, align 1")

    def function(self, result: str) -> Function:
        return Function(self.name, ("ptr %slots", "ptr %sizes"), [*self.head(), *self.entry.lines, f"  ret i64 {result}"], result="i64")

    def head(self) -> list[str]:
        """What comes before the first line."""
        return [f"  %context = alloca [{self.context} x i64], align 8"] if self.context else []

    # -- steps ----------------------------------------------------------------------------------------------------
    def launch(self, step: Launch) -> None:
        self.call(step.kernel, [self.pointer(b) for b in step.own], self.scratch(step))

    def scratch(self, step: Launch) -> tuple[int, ...]:
        """The arguments of which every thread has its own."""
        return tuple([k for k, b in enumerate(step.own) if self.program.buffers[b].role == "scratch"])

    def call(self, kernel: Kernel, pointers: Sequence[str], scratch: tuple[int, ...]) -> None:
        """The launch of a kernel on what lies at some places."""
        callee = self.contents.callees[kernel]
        name = callee.name
        args = [f"ptr {pointers[k]}" for k in callee.operands] + [f"i64 {self.known(s)}" for s in callee.sizes]
        self.clear(kernel, pointers)
        team = self.contents.teams.get(kernel)
        if team is None:
            self.entry.line(f"call void @{name}({', '.join(args)}){self.apart}")
            return
        words = [*args, f"i64 {self.known(self.program.scratch if scratch else 0)}"]
        total = self.known(team.total)
        alone = f"call void @{name}({', '.join([*args, 'i64 0', f'i64 {total}'])}){self.apart}"
        if self.placing.parallel:
            self.entry.line(alone)
        else:
            self.team(team, alone, write_task(self.unit, kernel, name, scratch), words)

    def clear(self, kernel: Kernel, pointers: Sequence[str]) -> None:
        """The words in which tasks tell each other how far they are."""
        if kernel.shared:
            (dtype, count), words = kernel.shared[0], pointers[len(kernel.operands) + len(kernel.scratch)]
            self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
            self.entry.line(f"call void @llvm.memset.p0.i64(ptr align 8 {words}, i8 0, i64 {self.known(count * dtype.itemsize)}, i1 false)")

    def turns(self, number: int, loop: Loop) -> None:
        """All turns of a parallel loop."""
        assert loop.extent is not None
        name, team = self.contents.turns[number], team_of_turns(loop, self.contents.threads)
        alone = f"call void @{name}(ptr %slots, ptr %sizes, i64 0, i64 {self.known(loop.extent)})"
        if not self.placing.parallel:
            self.entry.line(f"store i64 0, ptr {self.address(self.contents.frame.own)}, align 8")
        if team is None or self.placing.parallel:
            self.entry.line(alone)
            return
        words = ["ptr %slots", "ptr %sizes", f"i64 {self.known(self.program.scratch)}"]
        self.team(team, alone, write_turns_task(self.unit, name, self.contents.frame), words)

    def team(self, team: Team, alone: str, task: str, words: Sequence[str]) -> None:
        """The task on several threads where there is work enough; otherwise the call `alone`."""
        e = self.entry
        total, grain = self.known(team.total), self.known(team.grain)
        for symbol in sorted(team.symbols):  # used behind the branch, where nothing may be computed that is used again
            self.symbol(symbol)
        if (enough := team.pays()) is None:
            self.shared(team, task, words, total, grain)
            return
        pays, several, single, done = self.value(enough).text, self.label("several"), self.label("alone"), self.label("done")
        e.line(f"br i1 {pays}, label %{several}, label %{single}")
        e.label(single)
        e.line(alone)
        e.line(f"br label %{done}")
        e.label(several)
        self.shared(team, task, words, total, grain)
        e.line(f"br label %{done}")
        e.label(done)

    def shared(self, team: Team, task: str, words: Sequence[str], total: str, grain: str) -> None:
        """The task through the pool: its arguments go to memory, where every thread finds them."""
        e = self.entry
        self.context = max(self.context, len(words))
        for k, word in enumerate(words):
            e.line(f"store {word}, ptr {e.emit(f'getelementptr i64, ptr %context, i64 {k}')}, align 8")
        self.module.declare(f"declare void @{RUN}(ptr, ptr, i64, i64, i64)")
        e.line(f"call void @{RUN}(ptr @{task}, ptr %context, i64 {total}, i64 {grain}, i64 {team.threads})")

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
            e.line(f"store i64 {word}, ptr {self.address(self.contents.frame.found + k)}, align 8")
        e.line(f"ret i64 {number}")
        e.label(good)

    def branch(self, number: int, step: Branch) -> None:
        """One side or the other; what is computed in there is known to no step behind."""
        e, (yes, no, joined) = self.entry, [self.label(stem) for stem in ("then", "else", "joined")]
        if isinstance(step.predicate, int):
            holds = e.emit(f"icmp ne i8 {self.truth(step.predicate)}, 0")
        else:
            holds = e.emit(f"icmp slt i64 {self.known(step.predicate.size)}, {self.known(step.predicate.limit)}")
        e.line(f"br i1 {holds}, label %{yes}, label %{no}")
        inside = number + 1
        for label, steps in ((yes, step.then), (no, step.otherwise)):
            outside = dict(self.pointers)
            self.scopes.append(Scope(e, 0))
            e.label(label)
            for s in steps:
                self.step(inside, s)
                inside += sum(1 for _ in walk((s,)))
            e.line(f"br label %{joined}")
            self.scopes.pop()
            self.pointers = outside
        e.label(joined)

    # -- sizes and addresses --------------------------------------------------------------------------------------
    def known(self, size: Size) -> str:
        """A size, once its symbols have been read."""
        for symbol in sorted(dims.symbols(size)):
            self.symbol(symbol)
        return self.size(size).text

    def symbol(self, symbol: Symbol) -> str:
        if not any(symbol in scope.axis for scope in self.scopes):
            self.here.axis[symbol] = self.constant(self.word(self.positions[symbol]))
        return self.axis(symbol).text

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
        base = self.scratch_begin() if b.role == "scratch" else self.slot(slot_of(self.program, b))
        offset: Size = 0 if b.offset is None else b.offset
        return base if offset == 0 else self.entry.emit(f"getelementptr inbounds i8, ptr {base}, i64 {self.known(offset)}")

    def slot(self, number: int) -> str:
        """The address in a slot."""
        key = ("slot", number)
        base = self.find(key)
        if base is None:
            at = self.entry.emit(f"getelementptr ptr, ptr %slots, i64 {number}")
            base = self.put(key, self.constant(self.entry.emit(f"load ptr, ptr {at}, align 8")))
        return base.text

    def scratch_begin(self) -> str:
        """Where the scratch of this thread begins: behind the arena, and there behind that of the threads before."""
        key = ("scratch",)
        begin = self.find(key)
        if begin is None:
            place = self.slot(arena_slot(self.program))
            if self.program.arena != 0:
                place = self.entry.emit(f"getelementptr inbounds i8, ptr {place}, i64 {self.known(self.program.arena)}")
            if self.placing.parallel:
                place = self.entry.emit(f"getelementptr inbounds i8, ptr {place}, i64 {self.word(self.contents.frame.own)}")
            begin = self.put(key, self.constant(place))
        return begin.text

    def address(self, place: int) -> str:
        """Where a word of the frame lies."""
        return self.entry.emit(f"getelementptr i64, ptr %sizes, i64 {place}")

    def word(self, place: int) -> str:
        """A word of the frame."""
        return self.entry.emit(f"load i64, ptr {self.address(place)}, align 8")
