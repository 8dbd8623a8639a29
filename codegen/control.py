"""`run`: the tree of steps as native control flow around straight parts.

for turn in n:               store 0 to the counter          The counters lie in memory, in the frame of the call, and every
  k0(..)                     head: part1 while turn < n      part reads what it needs from there. So no value is live between
  call f(..)                 return the number of the call   parts, and `run` can be left for a call of Python, also inside
  k1(..)                     resume5: part2 ...              loops, and entered again behind it: nothing runs twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import dims
from graphc.codegen.frame import FINISHED
from graphc.codegen.llvm.llvm_text import Function, as_it_stands
from graphc.codegen.parts import Contents, Part
from graphc.codegen.placing import Placing, placings
from graphc.codegen.runtime.signals import write_begin, write_look, write_turn
from graphc.codegen.tables import LONG_RUN, Table, stretches, write_walk
from graphc.dims import Size
from graphc.program import Branch, Check, HostCall, Launch, Loop, Step, View, walk

ARGUMENTS_PER_FUNCTION = 800  # of the kernels it calls, some two instructions each: LLVM's time is super-linear in the length of a function


class Control:
    """Writes `run`, and the parts that it calls."""

    def __init__(self, contents: Contents) -> None:
        self.contents, self.module = contents, contents.unit.module
        self.lines: list[str] = []
        self.placings = placings(contents.program)  # by step
        self.placing = Placing()  # of what is being written
        self.number = 0
        self.names = 0
        self.parts: list[str] = []
        self.resumed: list[int] = []  # the host calls behind which, and the loops at whose turn, it can be entered
        self.stretch: list[tuple[int, Step]] = []  # steps of the part being collected
        self.arguments = 0
        self.turning = False  # whether what is being written is in a loop

    def write(self) -> list[str]:
        """Add `run` to the module; the names of its parts."""
        self.steps(self.contents.program.steps)
        if self.contents.launchers:
            write_walk(self.contents.unit, len(self.contents.launchers))
        if self.contents.program.interruptible:
            write_look(self.module, self.contents.frame)
            self.lines[:0] = write_begin(self.contents.frame)
        targets = " ".join(f"i64 {k}, label %resume{k}" for k in self.resumed)
        begin = [f"  switch i64 %from, label %begin [ {targets} ]", "begin:"] if targets else []
        lines = [*begin, *self.lines, f"  ret i64 {FINISHED}"]
        self.module.add(Function("run", ("ptr %slots", "ptr %sizes", "i64 %from"), lines, result="i64", linkage=""))
        return self.parts

    def steps(self, steps: Sequence[Step]) -> None:
        """The steps of one list."""
        for step in steps:
            number, self.number = self.number, self.number + 1
            if self.placings[number] is not self.placing:
                self.flush()
                self.placing = self.placings[number]
            match step:
                case View():
                    pass
                case HostCall():
                    self.flush()
                    self.resumed.append(number)
                    self.lines += [f"  ret i64 {number}", f"resume{number}:"]
                case Loop(parallel=True):
                    self.parallel(number, step)
                case Loop():
                    self.flush()
                    self.loop(number, step)
                case Branch() if self.is_short(number, step):
                    inside = list(walk(step.then + step.otherwise))
                    self.number += len(inside)
                    self.stretch.append((number, step))
                    self.arguments += sum([1 + len(s.own) for s in inside])
                case Branch():
                    self.flush()
                    self.branch(step)
                case _:
                    self.stretch.append((number, step))
                    self.arguments += 1 + len(step.own)
                    if self.arguments >= ARGUMENTS_PER_FUNCTION:
                        self.flush()
        self.flush()

    def is_short(self, number: int, step: Branch) -> bool:
        """Whether a part may have the branch among its steps: few of them, which are straight, and see buffers where those around do."""
        inside = list(walk(step.then + step.otherwise))
        straight = all(isinstance(s, Launch | Check | Branch) for s in inside)
        return straight and len(inside) < LONG_RUN and all(p is self.placing for p in self.placings[number + 1 : number + 1 + len(inside)])

    # -- parts ----------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Call what has been collected, as parts; go on behind each if it finishes."""
        for long, steps in stretches(self.stretch):
            self.part(steps, Table if long else Part)
        self.stretch, self.arguments = [], 0

    def part(self, steps: Sequence[tuple[int, Step]], how: type[Part]) -> None:
        name = f"part{len(self.parts)}"
        self.parts.append(name)
        once = self.contents.long and not self.turning
        function = how(self.contents, name, self.placing, once).steps(steps)
        self.module.add(as_it_stands(function) if once else function)
        k = self.name()
        self.lines += [
            f"  %r{k} = call i64 @{name}(ptr %slots, ptr %sizes)",
            f"  %ok{k} = icmp eq i64 %r{k}, {FINISHED}",
            f"  br i1 %ok{k}, label %next{k}, label %stop{k}",
            f"stop{k}:",
            f"  ret i64 %r{k}",
            f"next{k}:",
        ]

    def name(self) -> int:
        self.names += 1
        return self.names - 1

    def asked(self, name: str, function: Function) -> str:
        """The value of a function of its own, for which LLVM puts its few instructions."""
        self.module.add(replace(function, attributes=("alwaysinline",)))
        self.lines.append(f"  %{name} = call i64 @{name}(ptr %slots, ptr %sizes)")
        return f"%{name}"

    def size(self, size: Size) -> str:
        if isinstance(size, int):
            return str(size)
        name = f"size{self.name()}"
        return self.asked(name, Part(self.contents, name, self.placing).size_function(size))

    def holds(self, buffer: int, yes: str, no: str) -> None:
        """Go on at `yes` if the boolean in `buffer` holds, else at `no`."""
        name = f"truth{self.name()}"
        value = self.asked(name, Part(self.contents, name, self.placing).truth_function(buffer))
        self.lines += [f"  %{name}.holds = icmp ne i64 {value}, 0", f"  br i1 %{name}.holds, label %{yes}, label %{no}"]

    # -- loops and branches ---------------------------------------------------------------------------------------
    def loop(self, number: int, step: Loop) -> None:
        k, outer = self.name(), (self.placing, self.turning)
        (symbol,) = dims.symbols(step.counter)
        place = self.contents.frame.place[symbol]
        at = f"%counter{k}"
        address = f"getelementptr i64, ptr %sizes, i64 {place}"
        self.lines += [f"  {at} = {address}", f"  store i64 0, ptr {at}, align 8", f"  br label %head{k}", f"head{k}:"]
        self.placing, self.turning = self.placing.inside(self.contents.program, step), True
        if step.extent is not None:
            self.lines += [f"  %at{k} = {address}", f"  %turn{k} = load i64, ptr %at{k}, align 8"]
            self.lines += [f"  %more{k} = icmp slt i64 %turn{k}, {self.size(step.extent)}"]
            self.lines += [f"  br i1 %more{k}, label %ask{k}, label %done{k}", f"ask{k}:"]
        if step.condition is not None:
            self.holds(step.condition, f"body{k}", f"done{k}")
        else:
            self.lines.append(f"  br label %body{k}")
        self.lines += [f"body{k}:", *write_turn(k, number, self.contents.frame)]
        self.resumed.append(number)
        self.lengths(step)
        self.steps(step.steps)
        self.lines += [
            f"  %again{k} = {address}",
            f"  %last{k} = load i64, ptr %again{k}, align 8",
            f"  %following{k} = add i64 %last{k}, 1",
        ]
        self.lines += [f"  store i64 %following{k}, ptr %again{k}, align 8", f"  br label %head{k}", f"done{k}:"]
        self.placing, self.turning = outer
        self.settle(k, step, address)

    def lengths(self, step: Loop) -> None:
        """The sizes that a turn has by itself, to where all sizes lie."""
        for length, size in step.lengths:
            (symbol,) = dims.symbols(length)
            k = self.name()
            self.lines.append(f"  %length{k} = getelementptr i64, ptr %sizes, i64 {self.contents.frame.place[symbol]}")
            self.lines.append(f"  store i64 {self.size(size)}, ptr %length{k}, align 8")

    def parallel(self, number: int, step: Loop) -> None:
        """A parallel loop is a step of the part around, which has a function run its turns, or some of them, in the frame of a thread."""
        outer = self.lines, self.stretch, self.arguments, self.placing, self.turning
        inside = self.placing.inside(self.contents.program, step)
        self.lines, self.stretch, self.arguments, self.placing, self.turning = [], [], 0, inside, True
        (symbol,) = dims.symbols(step.counter)
        self.lines += [f"  %counter = getelementptr i64, ptr %sizes, i64 {self.contents.frame.place[symbol]}"]
        self.lines += ["  store i64 %turn, ptr %counter, align 8"]
        self.lengths(step)
        self.steps(step.steps)
        k = self.name()
        self.module.add(
            Function(f"turn{k}", ("ptr %slots", "ptr %sizes", "i64 %turn"), [*self.lines, f"  ret i64 {FINISHED}"], result="i64")
        )
        lines = [
            "  br label %head", "head:", "  %turn = phi i64 [ %lo, %entry ], [ %following, %body ]", "  %more = icmp slt i64 %turn, %hi",
            "  br i1 %more, label %body, label %done", "body:", f"  %r = call i64 @turn{k}(ptr %slots, ptr %sizes, i64 %turn)",
            "  %following = add i64 %turn, 1", "  br label %head", "done:", "  ret void",
        ]  # fmt: skip
        self.module.add(Function(f"turns{k}", ("ptr %slots", "ptr %sizes", "i64 %lo", "i64 %hi"), lines))
        self.contents.turns[number] = f"turns{k}"
        self.lines, self.stretch, self.arguments, self.placing, self.turning = outer
        self.stretch.append((number, step))
        self.arguments += len(step.inner)

    def settle(self, k: int, step: Loop, address: str) -> None:
        """After an odd number of turns the last values lie where `new` was: copy them to `old`."""
        program = self.contents.program
        pairs = program.swapped(step)
        if not pairs:
            return
        self.lines += [f"  %end{k} = {address}", f"  %turns{k} = load i64, ptr %end{k}, align 8", f"  %odd{k} = trunc i64 %turns{k} to i1"]
        self.lines += [f"  br i1 %odd{k}, label %move{k}, label %settled{k}", f"move{k}:"]
        for old, new in pairs:
            self.stretch.append((self.number, Launch(program.moved_back((old, new)), (new, old))))
        self.flush()
        self.lines += [f"  br label %settled{k}", f"settled{k}:"]

    def branch(self, step: Branch) -> None:
        k = self.name()
        if isinstance(step.predicate, int):
            self.holds(step.predicate, f"then{k}", f"else{k}")
        else:
            size, limit = self.size(step.predicate.size), self.size(step.predicate.limit)
            self.lines += [f"  %below{k} = icmp slt i64 {size}, {limit}", f"  br i1 %below{k}, label %then{k}, label %else{k}"]
        for label, steps in ((f"then{k}", step.then), (f"else{k}", step.otherwise)):
            self.lines.append(f"{label}:")
            self.steps(steps)
            self.lines.append(f"  br label %joined{k}")
        self.lines.append(f"joined{k}:")
