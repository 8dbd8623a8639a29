"""Emits how an entry binds what it is called with to parameters: by position, keywords, defaults, `out=`, containers."""

from __future__ import annotations

from graphc.codegen.entry.objects import ObjectEmitter
from graphc.codegen.entry.ways import DECLARED, NAMED
from graphc.codegen.llvm.module import Unit
from graphc.program import Layout, Program


class ParameterEmitter(ObjectEmitter):
    """An entry being written, with the parameters that `layout` describes."""

    def __init__(self, unit: Unit, program: Program, layout: Layout, objects: list[object]) -> None:
        objects[:] = layout.names
        super().__init__(unit, program, objects)
        self.layout = layout
        self.inputs: list[str] = []  # the argument objects, leaf by leaf

    def count(self) -> tuple[str, str]:
        """The number of parameters given, by position and then by name in the declared order, and the object of `out=` or null."""
        e, names, into = self.entry, self.layout.names, self.slot("ptr")
        positional = e.emit(f"and i64 %nargsf, {(1 << 63) - 1}")  # the highest bit says something else
        plain, keywords, counted = self.label("plain"), self.label("keywords"), self.label("counted")
        e.line(f"br i1 {e.emit('icmp eq ptr %kwnames, null')}, label %{plain}, label %{keywords}")
        e.label(keywords)
        following = self.offset(self.offset("@context", 8 * self.first_object), e.emit(f"mul i64 {positional}, 8"))
        self.module.declare(DECLARED[NAMED])
        told = f"ptr %args, i64 {positional}, ptr %kwnames, ptr {following}, i64 {len(names)}, ptr {into}"
        together = e.emit(f"call i64 @{NAMED}({told})")  # -1 is no number of parameters
        value = self.field(into, 0)
        e.line(f"br label %{counted}")
        e.label(plain)
        e.line(f"br label %{counted}")
        e.label(counted)
        given = e.emit(f"phi i64 [ {positional}, %{plain} ], [ {together}, %{keywords} ]")
        out = e.emit(f"phi ptr [ null, %{plain} ], [ {value}, %{keywords} ]")
        least = len(names)
        while least and names[least - 1] in self.layout.defaults:
            least -= 1
        if least == len(names):
            self.same("i64", given, least)
        else:
            self.require(e.emit(f"icmp ule i64 {e.emit(f'sub i64 {given}, {least}')}, {len(names) - least}"))
        return given, out

    def arguments(self, given: str) -> None:
        """The objects of all leaves of the arguments."""
        e = self.entry
        for k, (name, structure) in enumerate(zip(self.layout.names, self.layout.inputs, strict=True)):
            at = self.offset("%args", 8 * k)
            if name in self.layout.defaults:
                other = self.offset("@context", 8 * self.object_word(self.layout.defaults[name]))
                at = e.emit(f"select i1 {e.emit(f'icmp ugt i64 {given}, {k}')}, ptr {at}, ptr {other}")
            for value in self.leaves(e.emit(f"load ptr, ptr {at}, align 8"), structure):
                self.given(value)

    def given(self, value: str) -> None:
        """The object of the next leaf of the arguments."""
        self.inputs.append(value)

    def targets(self, out: str, allowed: bool) -> list[str]:
        """The objects of all leaves of `out`, null where it is not given."""
        e, structure = self.entry, self.layout.outputs
        if not allowed:
            self.same("ptr", out, "null")
            return []
        if structure.cls is None:
            return [out]
        taken, go = self.label("out"), self.label("go")
        before = e.current
        e.line(f"br i1 {e.emit(f'icmp eq ptr {out}, null')}, label %{go}, label %{taken}")
        e.label(taken)
        found = list(self.leaves(out, structure))
        block = e.current
        e.line(f"br label %{go}")
        e.label(go)
        return [e.emit(f"phi ptr [ null, %{before} ], [ {v}, %{block} ]") for v in found]
