"""The entry of a function of many arrays: loops over tables where others have straight code, see `graphc.codegen.entry.loops`.

Results in `out=` go the Python path. A net of 50 layers with its gradient, 400 arrays: 8 us a call, by the Python path 470.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.codegen.entry.context import FIXED
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.entry import EntryEmitter
from graphc.codegen.entry.loops import APART, COPY, DATA, DECLARATIONS, HOLD, ROW, TAKE
from graphc.codegen.entry.results import BURY
from graphc.codegen.frame import replaced_state
from graphc.codegen.llvm.emit_scalar import Function
from graphc.dtypes import SHORT
from graphc.user.state import ADDRESS


class ManyEmitter(EntryEmitter):
    """Writes the entry of a program of many inputs or results."""

    def functions(self) -> list[Function]:
        program = self.program
        for line in DECLARATIONS:
            self.module.declare(line)
        count = len(program.inputs) + len(program.shared) + len(program.constants) + len(program.outputs) + 1
        self.addresses = self.slot(f"[{count} x ptr]")
        self.values = self.slot(f"[{len(program.inputs)} x ptr]")
        self.replaced = replaced_state(program)
        self.places = self.slot(f"[{len(program.inputs)} x {{ ptr, i64 }}]") if self.replaced else "null"
        self.made = ""
        return super().functions()

    # -- arguments ----------------------------------------------------------------------------------------------
    def given(self, value: str) -> None:
        self.put_field(self.values, 8 * len(self.inputs), "ptr", value)
        super().given(value)

    def targets(self, out: str, allowed: bool) -> list[str]:
        return super().targets(out, False)

    def checked(self) -> list[list[str]]:
        """Numbers one by one, arrays by the loop; of a size that is known already that number."""
        rows, wanted, shapes = [], [], []
        for k, node in enumerate(self.program.inputs):
            if node.ndim == 0:
                place = self.number(self.inputs[k], node.dtype)
                self.put_field(self.addresses, 8 * k, "ptr", place)
                if self.replaced:
                    self.put_field(self.places, 16 * k, "ptr", place)
                    self.put_field(self.places, 16 * k + 8, "i64", node.dtype.itemsize)
                continue
            rows.append(f"{ROW} {{ ptr @{symbol('dtype.' + SHORT[node.dtype])}, i64 {node.ndim}, i64 {node.dtype.itemsize}, i64 {k} }}")
            wanted += [size if isinstance(size, int) else -1 for size in node.shape]
        self.module.add_global(f"@inputs = private constant [{len(rows)} x {ROW}] [{', '.join(rows)}]")
        self.module.add_global(f"@inputs.sizes = private constant [{len(wanted)} x i64] [{', '.join([f'i64 {w}' for w in wanted])}]")
        lengths = self.slot(f"[{len(wanted)} x i64]")
        told = ", ".join([f"ptr {p}" for p in ("@inputs.sizes", self.values, self.addresses, lengths, self.places)])
        self.require(self.entry.emit(f"call i1 @{TAKE}(ptr @inputs, i64 {len(rows)}, {told})"))
        at = 0
        for node in self.program.inputs:
            shapes.append([str(s) if isinstance(s, int) else self.field(lengths, 8 * (at + a), "i64") for a, s in enumerate(node.shape)])
            at += node.ndim
        return shapes

    def state_apart(self, shapes: Sequence[list[str]]) -> None:
        if not self.replaced:
            return
        states = self.slot(f"[{len(self.replaced)} x {{ ptr, i64 }}]")
        for j, k in enumerate(self.replaced):
            address, nbytes = self.state_place(k)
            self.put_field(states, 16 * j, "ptr", address)
            self.put_field(states, 16 * j + 8, "i64", nbytes)
        counts = len(self.program.inputs), len(self.replaced)
        self.require(self.entry.emit(f"call i1 @{APART}(ptr {self.places}, i64 {counts[0]}, ptr {states}, i64 {counts[1]})"))

    # -- results ------------------------------------------------------------------------------------------------
    def results(self, out: str, targets: Sequence[str], shapes: Sequence[list[str]]) -> list[str]:
        """New arrays, which stay in their slot."""
        buffers = self.output_buffers
        if buffers:
            sizes = [size for b in buffers for size in b.shape]
            self.made, place = self.slot(f"[{len(buffers)} x ptr]"), "@results.sizes"
            if all(isinstance(s, int) for s in sizes):
                self.module.add_global(f"{place} = private constant [{len(sizes)} x i64] [{', '.join([f'i64 {s}' for s in sizes])}]")
            else:
                place = self.result_sizes(buffers)
            self.make_rows(0, buffers, self.spare_arrays(), self.made, place, [])
        return []

    def filled(self, outputs: Sequence[str], arena: str) -> str:
        program, at = self.program, len(self.program.inputs)
        for k in range(len(program.shared)):
            self.put_field(self.addresses, 8 * (at + k), "ptr", self.field(self.cell(k), ADDRESS))
        at += len(program.shared)
        constants = self.offset("@context", 8 * (FIXED + len(program.shared)))
        self.loop(COPY, constants, len(program.constants), self.offset(self.addresses, 8 * at))
        at += len(program.constants)
        self.loop(DATA, self.made, len(program.outputs), self.offset(self.addresses, 8 * at))
        self.put_field(self.addresses, 8 * (at + len(program.outputs)), "ptr", arena)
        return self.addresses

    def loop(self, name: str, words: str, count: int, into: str = "") -> None:
        """A loop over so many words, if there are any."""
        if count:
            self.entry.line(f"call void @{name}(ptr {words}, i64 {count}{into and f', ptr {into}'})")

    def hold(self, outputs: Sequence[str]) -> None:
        for words, count in self.lists():
            self.loop(HOLD, words, count)

    def release(self, outputs: Sequence[str]) -> None:
        for words, count in self.lists():
            self.loop(BURY, words, count)

    def lists(self) -> list[tuple[str, int]]:
        """What only containers may hold, see `borrowed`."""
        inside = any(s.cls is not None for s in self.layout.inputs)
        listed = self.layout.outputs.cls is not None
        return [(self.values, len(self.program.inputs))] * inside + [(self.made, len(self.output_buffers))] * listed

    def drop(self, outputs: Sequence[str]) -> None:
        self.loop(BURY, self.made, len(self.output_buffers))

    def handed_out(self, outputs: Sequence[str]) -> str:
        """Nothing, one array, or a new tuple or list of all."""
        structure, count = self.layout.outputs, len(self.output_buffers)
        if structure.cls not in (tuple, list):
            return super().handed_out([self.field(self.made, 0)] if count else [])
        made = self.api("ptr", "PyTuple_New" if structure.cls is tuple else "PyList_New", f"i64 {count}")
        good, bad = self.label("made"), self.label("unmade")
        self.entry.line(f"br i1 {self.entry.emit(f'icmp eq ptr {made}, null')}, label %{bad}, label %{good}, !prof {self.rarely}")
        self.entry.label(bad)
        self.drop(outputs)
        self.bury()
        self.entry.line("ret ptr null")
        self.entry.label(good)
        self.loop(COPY, self.made, count, self.items(made, structure.cls) if count else "")
        return made
