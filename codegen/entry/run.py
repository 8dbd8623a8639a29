"""The call of `run` from the entry: with the GIL or without it, left and entered again for signals to be seen to.

A call that runs without the GIL, or whose user's handlers may run Python, first marks what it uses: the arena by its capacity, the
state in its cells, and what other threads might drop from containers meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import CAPACITY, FIXED, TAKEN
from graphc.codegen.entry.parameters import ParameterEmitter
from graphc.codegen.frame import FINISHED, frame_of
from graphc.dims import Size
from graphc.user.state import ADDRESS, NATIVE

INTERRUPTED = FINISHED - 1  # what a call came to whose handler of a signal has raised an error


class RunEmitter(ParameterEmitter):
    """Writes how an entry runs native code."""

    arena_bytes: Size
    arrays: list[str]
    words: str

    def cell(self, k: int) -> str:
        """The cell of the k-th state variable."""
        return self.word(FIXED + k)

    def run(self, long: str, arena: str, outputs: Sequence[str]) -> str:
        """Call the native code, without the GIL if the work is long; its status."""
        e, program = self.entry, self.program
        slots = self.filled(outputs, arena)
        frame = frame_of(program)
        self.words = sizes = self.slot(f"[{frame.words} x i64]")
        for k, s in enumerate(frame.symbols):
            self.put_field(sizes, 8 * k, "i64", self.axis(s).text)
        known = self.module.functions.keys()
        straight = all(not step.inner for step in program.steps) and len(known & {"part0", "part1", "run.flushed"}) == 1
        call = f"call i64 @part0(ptr {slots}, ptr {sizes})" if straight else f"call i64 @run(ptr {slots}, ptr {sizes}, i64 {FINISHED})"
        if program.interruptible:
            return self.interruptible(long, outputs, slots, sizes)
        if long == "false":
            return e.emit(call)
        before = e.current
        release, go, back, ran = self.label("release"), self.label("run"), self.label("back"), self.label("ran")
        e.line(f"br i1 {long}, label %{release}, label %{go}")
        e.label(release)
        held = self.mark(outputs)
        thread = self.api("ptr", "PyEval_SaveThread")
        e.line(f"br label %{go}")
        e.label(go)
        saved = e.emit(f"phi ptr [ null, %{before} ], [ {thread}, %{release} ]")
        capacity = e.emit(f"phi i64 [ 0, %{before} ], [ {held}, %{release} ]")
        status = e.emit(call)
        e.line(f"br i1 {e.emit(f'icmp eq ptr {saved}, null')}, label %{ran}, label %{back}")
        e.label(back)
        self.api("void", "PyEval_RestoreThread", f"ptr {saved}")
        self.unmark(outputs, capacity)
        e.line(f"br label %{ran}")
        e.label(ran)
        return status

    def filled(self, outputs: Sequence[str], arena: str) -> str:
        """The slots that `run` is told, with all addresses in them."""
        program = self.program
        state = [self.field(self.cell(k), ADDRESS) for k in range(len(program.shared))]
        constants = [self.word(FIXED + len(program.shared) + k) for k in range(len(program.constants))]
        pointers = [*self.arrays, *state, *constants, *[self.field(o, cpython.DATA) for o in outputs], arena]
        slots = self.slot(f"[{len(pointers)} x ptr]")
        for k, p in enumerate(pointers):
            self.put_field(slots, 8 * k, "ptr", p)
        return slots

    def interruptible(self, long: str, outputs: Sequence[str], slots: str, sizes: str) -> str:
        """Call native code that comes back now and then for signals to be seen to, and goes on where it was; its status, or INTERRUPTED.

        Whoever is seen to signals once goes on without the GIL: it is long.
        """
        e = self.entry
        saved, held, at, result = self.slot("ptr"), self.slot("i64"), self.slot("i64"), self.slot("i64")
        for place, kind, value in ((saved, "ptr", "null"), (held, "i64", 0), (at, "i64", FINISHED)):
            self.put_field(place, 0, kind, value)
        names = "release", "go", "back", "here", "look", "unmarked", "marked", "again", "interrupted", "ran", "unmark", "done"
        release, go, back, here, look, unmarked, marked, again, interrupted, ran, unmark, done = map(self.label, names)
        e.line(f"br i1 {long}, label %{release}, label %{go}")
        e.label(release)
        self.put_field(held, 0, "i64", self.mark(outputs))
        self.put_field(saved, 0, "ptr", self.api("ptr", "PyEval_SaveThread"))
        e.line(f"br label %{go}")
        e.label(go)
        status = e.emit(f"call i64 @run(ptr {slots}, ptr {sizes}, i64 {self.field(at, 0, 'i64')})")
        self.put_field(result, 0, "i64", status)
        thread = self.field(saved, 0)
        released = e.emit(f"icmp ne ptr {thread}, null")
        e.line(f"br i1 {released}, label %{back}, label %{here}")
        e.label(back)
        self.api("void", "PyEval_RestoreThread", f"ptr {thread}")
        e.line(f"br label %{here}")
        e.label(here)
        turns = " ".join(f"i64 {k}, label %{look}" for k in self.program.interruptible)
        e.line(f"switch i64 {status}, label %{ran} [ {turns} ]")
        e.label(look)
        e.line(f"br i1 {released}, label %{marked}, label %{unmarked}")
        e.label(unmarked)
        self.put_field(held, 0, "i64", self.mark(outputs))
        e.line(f"br label %{marked}")
        e.label(marked)
        failed = self.signals()
        e.line(f"br i1 {failed}, label %{interrupted}, label %{again}")
        e.label(again)
        self.put_field(at, 0, "i64", status)
        self.put_field(saved, 0, "ptr", self.api("ptr", "PyEval_SaveThread"))
        e.line(f"br label %{go}")
        e.label(interrupted)
        self.put_field(result, 0, "i64", INTERRUPTED)
        e.line(f"br label %{unmark}")
        e.label(ran)
        e.line(f"br i1 {released}, label %{unmark}, label %{done}")
        e.label(unmark)
        self.unmark(outputs, self.field(held, 0, "i64"))
        e.line(f"br label %{done}")
        e.label(done)
        return self.field(result, 0, "i64")

    def signals(self) -> str:
        """Run the handlers of signals that have come; whether one has raised. Meanwhile the state tells whose call works with it."""
        if self.program.shared:
            me = self.api("i64", "PyThread_get_thread_ident")
            for k in range(len(self.program.shared)):
                self.put_field(self.cell(k), NATIVE, "i64", me)
        answer = self.api("i32", "PyErr_CheckSignals")
        for k in range(len(self.program.shared)):
            self.put_field(self.cell(k), NATIVE, "i64", 1)
        return self.entry.emit(f"icmp ne i32 {answer}, 0")

    def mark(self, outputs: Sequence[str]) -> str:
        """Take the arena, the state, and what other threads might drop from containers meanwhile; the arena's capacity."""
        self.hold(outputs)
        for k in range(len(self.program.shared)):
            self.put_field(self.cell(k), NATIVE, "i64", 1)
        if self.arena_bytes == 0:
            return "0"
        capacity = self.word(CAPACITY, "i64")
        self.put_field("@context", 8 * CAPACITY, "i64", TAKEN)
        return capacity

    def unmark(self, outputs: Sequence[str], capacity: str) -> None:
        for k in range(len(self.program.shared)):
            self.put_field(self.cell(k), NATIVE, "i64", 0)
        if self.arena_bytes != 0:
            self.put_field("@context", 8 * CAPACITY, "i64", capacity)
        self.release(outputs)

    def hold(self, outputs: Sequence[str]) -> None:
        """Own what others might drop."""
        for o in self.borrowed(outputs):
            self.own(o)

    def release(self, outputs: Sequence[str]) -> None:
        for o in self.borrowed(outputs):
            self.disown(o)

    def borrowed(self, outputs: Sequence[str]) -> list[str]:
        """Arrays that only a container may hold. The caller holds the arguments themselves."""
        inside = [*self.inputs] if any(s.cls is not None for s in self.layout.inputs) else []
        return inside + ([*outputs] if self.layout.outputs.cls is not None else [])
