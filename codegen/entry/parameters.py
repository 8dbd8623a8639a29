"""Emits how an entry binds what it is called with to parameters: by position, keywords, defaults, `out=`, containers."""

from __future__ import annotations

from graphc.codegen.entry import cpython
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.objects import ObjectEmitter
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
        e, names = self.entry, self.layout.names
        positional = e.emit(f"and i64 %nargsf, {(1 << 63) - 1}")  # the highest bit says something else
        plain, keywords, counted = self.label("plain"), self.label("keywords"), self.label("counted")
        e.line(f"br i1 {e.emit('icmp eq ptr %kwnames, null')}, label %{plain}, label %{keywords}")
        e.label(keywords)
        number, items = self.field("%kwnames", cpython.SIZE, "i64"), self.offset("%kwnames", cpython.TUPLE_ITEMS)
        self.require(e.emit(f"icmp sge i64 {number}, 1"))
        last = e.emit(f"sub i64 {number}, 1")
        is_out = e.emit(f"icmp eq ptr {self.element(items, last)}, @{symbol('out')}")
        named = e.emit(f"select i1 {is_out}, i64 {last}, i64 {number}")
        together = e.emit(f"add i64 {positional}, {named}")
        self.require(e.emit(f"icmp ule i64 {together}, {len(names)}"))
        value = e.emit(f"select i1 {is_out}, ptr {self.element('%args', e.emit(f'add i64 {positional}, {last}'))}, ptr null")
        if names:
            self.same_names(items, named, self.offset("@context", e.emit(f"mul i64 {positional}, 8")))
        block = e.current
        e.line(f"br label %{counted}")
        e.label(plain)
        e.line(f"br label %{counted}")
        e.label(counted)
        given = e.emit(f"phi i64 [ {positional}, %{plain} ], [ {together}, %{block} ]")
        out = e.emit(f"phi ptr [ null, %{plain} ], [ {value}, %{block} ]")
        least = len(names)
        while least and names[least - 1] in self.layout.defaults:
            least -= 1
        if least == len(names):
            self.same("i64", given, least)
        else:
            self.require(e.emit(f"icmp ule i64 {e.emit(f'sub i64 {given}, {least}')}, {len(names) - least}"))
        return given, out

    def element(self, first: str, index: str) -> str:
        return self.entry.emit(f"load ptr, ptr {self.entry.emit(f'getelementptr ptr, ptr {first}, i64 {index}')}, align 8")

    def same_names(self, items: str, count: str, context: str) -> None:
        """Go on if the first `count` of the keywords are, as objects, the parameter names from `context` on."""
        e = self.entry
        head, body, done = self.label("names"), self.label("name"), self.label("named")
        before, k = e.current, f"%{self.label('k')}"
        table = self.offset(context, 8 * self.first_object)
        e.line(f"br label %{head}")
        e.label(head)
        e.line(f"{k} = phi i64 [ 0, %{before} ], [ {k}next, %{body}ok ]")
        e.line(f"br i1 {e.emit(f'icmp ult i64 {k}, {count}')}, label %{body}, label %{done}")
        e.label(body)
        equal = e.emit(f"icmp eq ptr {self.element(items, k)}, {self.element(table, k)}")
        e.line(f"br i1 {equal}, label %{body}ok, label %slow")
        e.label(f"{body}ok")
        e.line(f"{k}next = add i64 {k}, 1")
        e.line(f"br label %{head}")
        e.label(done)

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
