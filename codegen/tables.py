"""Long runs of launches as a table that one loop walks: for each launch the kernel, and where its operands lie.

    k0(%slot3, %arena + 8192)          { 0,  3, 0,  9, 8192 }       while row < end: row = launchers[row[0]](.., row)
    k1(%arena + 8192, %slot4)    ->    { 1,  9, 8192,  4, 0 }
    k0(%slot5, %arena + 4096)          { 0,  5, 0,  9, 4096 }       launcher of k0: k0(place(row[1:3]), place(row[3:5])); row + 5

As code, every operand took instructions of its own, and LLVM .2 ms a launch. A place is the number of a base and an offset in bytes.
Bases are the slots, and from -1 downwards pointers that only the call knows: the scratch of a thread, and what lies at offsets with
sizes in them, or is swapped by a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from graphc.codegen.frame import FINISHED, slot_of
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.module import Unit
from graphc.codegen.parts import Contents, Part
from graphc.codegen.placing import Placing
from graphc.program import Kernel, Launch, Step

LONG_RUN = 64  # launches: one takes some 1.2 ns longer from a table
ALIKE = 4  # launches for each kernel among them: for one or two a launcher is more code than they are
SCRATCH = -1  # in place of a buffer: where the scratch of the thread begins
WALK, LAUNCHERS = "launch.rows", "launchers"
Numbered = Sequence[tuple[int, Step]]


def stretches(numbered: Numbered) -> list[tuple[bool, Numbered]]:
    """Steps in order, cut into long runs of launches (True) and what lies between."""
    found: list[tuple[bool, list[tuple[int, Step]]]] = []
    for launches, group in groupby(numbered, lambda item: isinstance(item[1], Launch)):
        listed = list(group)
        long = launches and len(listed) >= max(LONG_RUN, ALIKE * len({step.kernel for _, step in listed if isinstance(step, Launch)}))
        if found and not long and not found[-1][0]:
            found[-1][1].extend(listed)
        else:
            found.append((long, listed))
    return list(found)


class Table(Part):
    """i64 name(ptr slots, ptr sizes), which makes many launches."""

    def __init__(self, contents: Contents, name: str, placing: Placing, once: bool = False) -> None:
        super().__init__(contents, name, placing, once)
        self.bases: dict[int, int] = {}  # a buffer whose place only the call knows, or SCRATCH -> its number, from -1 downwards

    def steps(self, numbered: Numbered) -> Function:
        """The function; its rows, and what it needs besides, in the module."""
        rows: list[int] = []
        for _, step in numbered:
            assert isinstance(step, Launch)
            rows.append(self.launcher(step))
            for b in step.own:
                rows += self.place_of(b)
        self.module.add_global(f"@{self.name}.rows = private constant [{len(rows)} x i64] [{', '.join([f'i64 {w}' for w in rows])}]")
        e, count = self.entry, len(self.bases)
        places = [f"  %places = alloca [{count} x ptr], align 8", f"  %bases = getelementptr ptr, ptr %places, i64 {count}"]
        for buffer, number in self.bases.items():
            place = self.scratch_begin() if buffer == SCRATCH else self.pointer(buffer)
            e.line(f"store ptr {place}, ptr {e.emit(f'getelementptr ptr, ptr %bases, i64 {number}')}, align 8")
        end = f"getelementptr (i64, ptr @{self.name}.rows, i64 {len(rows)})"
        e.line(f"call void @{WALK}(ptr %slots, ptr %sizes, ptr {'%bases' if count else 'null'}, ptr @{self.name}.rows, ptr {end})")
        lines = [*(places if count else ()), *e.lines, f"  ret i64 {FINISHED}"]
        return Function(self.name, ("ptr %slots", "ptr %sizes"), lines, result="i64")

    def launcher(self, step: Launch) -> int:
        """The number of what makes launches of this kernel."""
        key = (step.kernel, self.scratch(step), self.placing.parallel)
        launchers = self.contents.launchers
        if key not in launchers:
            launchers[key] = len(launchers)
            self.module.add(_Launcher(self.contents, launcher(launchers[key]), self.placing).write(step.kernel, len(step.own), key[1]))
        return launchers[key]

    def place_of(self, buffer: int) -> tuple[int, int]:
        """The number of a base, and an offset from it."""
        fixed = self.fixed(buffer)
        return (self.base(buffer), 0) if fixed is None else fixed

    def base(self, buffer: int) -> int:
        """The number of a base that is not a slot."""
        return self.bases.setdefault(buffer, -1 - len(self.bases))

    def fixed(self, buffer: int) -> tuple[int, int] | None:
        """(base, offset) of a buffer that lies there in every call, in a slot or in the scratch of the thread."""
        b = self.program.buffers[buffer]
        if b.alias is not None:
            view, whole = self.placing.views.get(buffer, 0), self.fixed(b.alias)
            return None if whole is None or not isinstance(view, int) else (whole[0], whole[1] + view * b.dtype.itemsize)
        begin = 0 if b.offset is None else b.offset
        if buffer in self.placing.swaps or not isinstance(begin, int):
            return None
        return self.base(SCRATCH) if b.role == "scratch" else slot_of(self.program, b), begin


class _Launcher(Part):
    """ptr name(ptr slots, ptr sizes, ptr bases, ptr row): one launch as a row says; the next row."""

    def write(self, kernel: Kernel, operands: int, scratch: tuple[int, ...]) -> Function:
        e = self.entry
        self.call(kernel, [self.operand(k) for k in range(operands)], scratch)
        lines = [*self.head(), *e.lines, f"  %next = getelementptr i64, ptr %row, i64 {1 + 2 * operands}", "  ret ptr %next"]
        return Function(self.name, ("ptr %slots", "ptr %sizes", "ptr %bases", "ptr %row"), lines, result="ptr")

    def operand(self, k: int) -> str:
        """Where the row says that an operand lies."""
        e = self.entry
        base, offset = (e.emit(f"load i64, ptr {e.emit(f'getelementptr i64, ptr %row, i64 {1 + 2 * k + j}')}, align 8") for j in (0, 1))
        listed = e.emit(f"select i1 {e.emit(f'icmp slt i64 {base}, 0')}, ptr %bases, ptr %slots")
        start = e.emit(f"load ptr, ptr {e.emit(f'getelementptr ptr, ptr {listed}, i64 {base}')}, align 8")
        return e.emit(f"getelementptr inbounds i8, ptr {start}, i64 {offset}")


def launcher(number: int) -> str:
    """The name of a function that makes launches."""
    return f"launch{number}"


def write_walk(unit: Unit, count: int) -> None:
    """The loop over the rows of a table, for a module with so many launchers."""
    listed = ", ".join([f"ptr @{launcher(k)}" for k in range(count)])
    unit.module.add_global(f"@{LAUNCHERS} = private constant [{count} x ptr] [{listed}]")
    lines = [
        "  br label %next", "next:", "  %row = phi ptr [ %rows, %entry ], [ %behind, %next ]", "  %kernel = load i64, ptr %row, align 8",
        f"  %at = getelementptr ptr, ptr @{LAUNCHERS}, i64 %kernel", "  %launch = load ptr, ptr %at, align 8",
        "  %behind = call ptr %launch(ptr %slots, ptr %sizes, ptr %bases, ptr %row)", "  %more = icmp ult ptr %behind, %end",
        "  br i1 %more, label %next, label %done", "done:", "  ret void",
    ]  # fmt: skip
    unit.module.add(Function(WALK, ("ptr %slots", "ptr %sizes", "ptr %bases", "ptr %rows", "ptr %end"), lines))
