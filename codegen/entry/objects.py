"""Emits what an entry does with Python objects: read headers, take containers apart, make arrays and containers.

Whatever is not as expected goes to the label `slow`, so everything here is done before anything is owned, except `build`,
which cleans up after themselves.

Python code may change any array, container or state, and call the function anew. So none may run from the moment an address is
read until native code is done with it. What an entry calls of the interpreter, and what may run there:

    PyDict_Size, PyDict_Next, PyLong_AsLongLongAndOverflow   nothing: only exact types are looked into, dicts in their own order
                                                             and by the identity of their keys
    PyArray_NewFromDescr       nothing, except where memory is out (NumPy makes its error in Python), and then the call ends
    Py_IncRef                  nothing
    Py_DecRef of the last      a callback of a weak reference, a finaliser: what a new array replaces among the spare ones goes
        reference              when native code is done (`bury`), and so does what was held while other threads ran (`unmark`)
    PyEval_SaveThread,         other threads: arena and state are marked as taken, what only a container holds is owned
        PyEval_RestoreThread
    PyTuple_New, PyList_New,   until 3.11 the cycle collector: native code is done, and all that is used is owned
        PyDict_New
    PyDict_SetItem             nothing (the keys are exact strings)
    PyMethod_New               until 3.11 the cycle collector: the call goes the Python path, which reads everything itself
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import is_

import numpy as np

from graphc.codegen.entry import cpython
from graphc.codegen.entry.context import FIXED
from graphc.codegen.entry.cpython import symbol
from graphc.codegen.entry.numbers import element, name_of
from graphc.codegen.entry.results import BURY, DECLARATIONS
from graphc.codegen.entry.ways import DECLARED, DICT, ITEMS
from graphc.codegen.llvm.module import Unit
from graphc.codegen.llvm.values import Values
from graphc.dtypes import SHORT
from graphc.program import Program
from graphc.tree import TreeDef

CONTAINERS: dict[type, str] = {tuple: "tuple", list: "list", dict: "dict"}


_NOBODYS = np.zeros(0)
"""Held here, so that no entry takes it for a spare one."""


def readable(structure: TreeDef) -> bool:
    """Whether a tree of this structure is taken apart and built natively: exact tuples, lists, dicts with str keys, None."""
    if structure.cls is None or structure.cls is type(None):
        return True
    keys = structure.cls is not dict or all(type(k) is str for k in structure.keys)
    return structure.cls in CONTAINERS and keys and all(map(readable, structure.children))


class ObjectEmitter(Values):
    """An entry being written. `context` is the global that holds the context's words."""

    def __init__(self, unit: Unit, program: Program, objects: list[object]) -> None:
        super().__init__(unit, "entry")
        self.program, self.objects = program, objects
        self.first_object = FIXED + len(program.shared) + len(program.constants)
        self.spares: list[np.ndarray] = [_NOBODYS] * (2 * len(program.outputs))  # results that may be handed out again
        self.slots: list[str] = []  # stack slots: at the function's beginning, where LLVM can turn them into registers
        self.failed = "slow"  # where to go on if what is asked for does not hold
        self.doomed: tuple[str, str] | tuple[()] = ()  # the slots of how many and which objects go when native code is done
        self.rarely = self.module.metadata('!{!"branch_weights", i32 1, i32 2000}')
        self.likely = self.module.metadata('!{!"branch_weights", i32 2000, i32 1}')
        self.module.add_global("@context = external global i64")
        for name in cpython.OBJECTS:
            self.module.add_global(f"@{symbol(name)} = external global i8")
        for line in DECLARATIONS:
            self.module.declare(line)

    # -- control ------------------------------------------------------------------------------------------------
    def require(self, condition: str) -> None:
        """Go on if the condition holds, to the Python path otherwise."""
        on = self.label("on")
        self.entry.line(f"br i1 {condition}, label %{on}, label %{self.failed}, !prof {self.likely}")
        self.entry.label(on)

    def same(self, kind: str, a: object, b: object) -> None:
        """Go on if a = b."""
        self.require(self.equal(kind, a, b))

    def equal(self, kind: str, a: object, b: object) -> str:
        return self.entry.emit(f"icmp eq {kind} {a}, {b}")

    def all_of(self, *conditions: str) -> None:
        """Go on if all hold, by one branch: LLVM's time goes with the blocks."""
        joined = conditions[0]
        for condition in conditions[1:]:
            joined = self.entry.emit(f"and i1 {joined}, {condition}")
        self.require(joined)

    @contextmanager
    def otherwise(self, label: str) -> Iterator[None]:
        """What is asked for here goes to this label where it does not hold, instead of to the Python path."""
        before, self.failed = self.failed, label
        yield
        self.failed = before

    def slot(self, kind: str) -> str:
        """A place on the stack."""
        name = f"%slot{len(self.slots)}"
        self.slots.append(f"  {name} = alloca {kind}, align 8")
        return name

    # -- memory -------------------------------------------------------------------------------------------------
    def offset(self, base: str, nbytes: int | str) -> str:
        return base if nbytes == 0 else self.entry.emit(f"getelementptr i8, ptr {base}, i64 {nbytes}")

    def field(self, base: str, offset: int, kind: str = "ptr") -> str:
        return self.entry.emit(f"load {kind}, ptr {self.offset(base, offset)}, align {4 if kind == 'i32' else 8}")

    def put_field(self, base: str, offset: int, kind: str, value: object) -> None:
        self.entry.line(f"store {kind} {value}, ptr {self.offset(base, offset)}, align 8")

    def word(self, index: int, kind: str = "ptr") -> str:
        return self.field("@context", 8 * index, kind)

    def object_word(self, value: object) -> int:
        """The word of the context that holds a Python object, which it keeps alive. The text does not depend on the object."""
        position = next((k for k, o in enumerate(self.objects) if o is value), None)
        if position is None:
            position = len(self.objects)
            self.objects.append(value)
        return self.first_object + position

    # -- calls --------------------------------------------------------------------------------------------------
    def api(self, result: str, name: str, *args: str) -> str:
        """Call a function of the interpreter or of NumPy; args are "type value"."""
        kinds = ", ".join(a.split(" ")[0] for a in args)
        self.module.declare(f"declare {result} @{symbol(name)}({kinds})")
        text = f"call {result} @{symbol(name)}({', '.join(args)})"
        if result == "void":
            self.entry.line(text)
            return ""
        return self.entry.emit(text)

    def own(self, value: str) -> None:
        self.api("void", "Py_IncRef", f"ptr {value}")

    def disown(self, value: str) -> None:
        self.api("void", "Py_DecRef", f"ptr {value}")

    # -- containers ---------------------------------------------------------------------------------------------
    def leaves(self, value: str, structure: TreeDef) -> Iterator[str]:
        """The leaves of a Python object that must have this structure; borrowed from it."""
        cls = structure.cls
        if cls is None:
            yield value
            return
        if cls is type(None):
            self.same("ptr", value, f"@{symbol('None')}")
            return
        if cls is dict:
            children = self.dict_values(value, structure)
        else:
            self.same("ptr", self.field(value, cpython.TYPE), f"@{symbol(CONTAINERS[cls])}")
            self.same("i64", self.field(value, cpython.SIZE, "i64"), len(structure.keys))
            first = self.items(value, cls)
            children = [self.field(first, 8 * k) for k in range(len(structure.keys))]
        for child, inner in zip(children, structure.children, strict=True):
            yield from self.leaves(child, inner)

    def items(self, value: str, cls: type) -> str:
        """The address of the items of a tuple or list."""
        return self.offset(value, cpython.TUPLE_ITEMS) if cls is tuple else self.field(value, cpython.LIST_ITEMS)

    def dict_values(self, value: str, structure: TreeDef) -> list[str]:
        """The values of a dict, in leaf order. Its keys must be the very strings that we keep, in the declared order."""
        values = self.slot(f"[{len(structure.order)} x ptr]")
        self.module.declare(DECLARED[ITEMS])
        given = f"ptr {value}, {self.keys(structure)}, ptr {values}"
        self.require(self.entry.emit(f"call i1 @{ITEMS}({given})"))
        found = {name: self.field(values, 8 * k) for k, name in enumerate(structure.order)}
        return [found[k] for k in structure.keys]

    def keys(self, structure: TreeDef) -> str:
        """The words of the keys of a dict in the declared order, side by side, and their number."""
        wanted = list(structure.order)
        places = [k for k in range(len(self.objects)) if len(self.objects) >= k + len(wanted) and all(map(is_, self.objects[k:], wanted))]
        place = places[0] if places else len(self.objects)
        if not places:
            self.objects += wanted
        return f"ptr {self.offset('@context', 8 * (self.first_object + place))}, i64 {len(wanted)}"

    def build(self, structure: TreeDef, leaves: Sequence[str]) -> str:
        """A new tree of leaves that it takes over. Where there is no memory for it, they go, and the error stands."""
        return self.built(structure, owned := list(leaves), iter(owned[:]))

    def built(self, structure: TreeDef, owned: list[str], leaves: Iterator[str]) -> str:
        """A tree of the next leaves; it replaces them in `owned`, which lists what would go if memory were out."""
        cls = structure.cls
        if cls is None:
            return next(leaves)
        if cls is type(None):
            self.own(f"@{symbol('None')}")
            owned.append(f"@{symbol('None')}")
            return owned[-1]
        children = [self.built(child, owned, leaves) for child in structure.children]
        if cls is dict:
            values, by_key = self.slot(f"[{len(children)} x ptr]"), dict(zip(structure.keys, children, strict=True))
            for k, name in enumerate(structure.order):
                self.put_field(values, 8 * k, "ptr", by_key[name])
            self.module.declare(DECLARED[DICT])
            made = self.unless_null(self.entry.emit(f"call ptr @{DICT}({self.keys(structure)}, ptr {values})"), owned)
        else:
            made = self.unless_null(self.api("ptr", "PyTuple_New" if cls is tuple else "PyList_New", f"i64 {len(children)}"), owned)
            first = self.items(made, cls) if children else ""
            for k, child in enumerate(children):
                self.entry.line(f"store ptr {child}, ptr {self.offset(first, 8 * k)}, align 8")
        for child in children:
            owned.remove(child)
        owned.append(made)
        return made

    def unless_null(self, made: str, owned: Sequence[str]) -> str:
        """`made`; if there was no memory for it, what we own goes, and the error stands."""
        self.unless(self.entry.emit(f"icmp eq ptr {made}, null"), owned)
        return made

    def unless(self, failed: str, owned: Sequence[str]) -> None:
        """Go on unless a call has failed: then what we own goes, and the error stands."""
        good, bad = self.label("made"), self.label("unmade")
        self.entry.line(f"br i1 {failed}, label %{bad}, label %{good}, !prof {self.rarely}")
        self.entry.label(bad)
        for o in owned:
            self.disown(o)
        self.bury()
        self.entry.line("ret ptr null")
        self.entry.label(good)

    # -- what is to go ------------------------------------------------------------------------------------------
    def doom(self) -> tuple[str, str]:
        """The slots of how many and which references to give up once native code is done: what it may run then can do no harm."""
        if not self.doomed:
            self.doomed = self.slot("i64"), self.slot(f"[{len(self.program.outputs)} x ptr]")
            self.slots.append(f"  store i64 0, ptr {self.doomed[0]}, align 8")
        return self.doomed

    def bury(self) -> None:
        """Give up what is doomed."""
        if not self.doomed:
            return
        e, some, none = self.entry, self.label("doomed"), self.label("buried")
        count = e.emit(f"load i64, ptr {self.doomed[0]}, align 8")
        e.line(f"br i1 {e.emit(f'icmp eq i64 {count}, 0')}, label %{none}, label %{some}")
        e.label(some)
        e.line(f"store i64 0, ptr {self.doomed[0]}, align 8")
        e.line(f"call void @{BURY}(ptr {self.doomed[1]}, i64 {count})")
        e.line(f"br label %{none}")
        e.label(none)

    # -- arrays and numbers -------------------------------------------------------------------------------------
    def is_array(self, value: str, dtype: np.dtype, ndim: int) -> None:
        """Go on if a value is an array that can be read as it lies."""
        self.same("ptr", self.field(value, cpython.TYPE), f"@{symbol('ndarray')}")
        self.all_of(self.has_flags(value, cpython.READABLE), *self.has_type(value, dtype, ndim))

    def has_flags(self, array: str, flags: int) -> str:
        looked_at = self.entry.emit(f"and i32 {self.field(array, cpython.FLAGS, 'i32')}, {flags | cpython.WARN_ON_WRITE}")
        return self.equal("i32", looked_at, flags)

    def has_type(self, array: str, dtype: np.dtype, ndim: int) -> tuple[str, str]:
        """Whether an array has this dtype, and this rank."""
        descr = self.equal("ptr", self.field(array, cpython.DESCR), f"@{symbol('dtype.' + SHORT[dtype])}")
        return descr, self.equal("i32", self.field(array, cpython.NDIM, "i32"), ndim)

    def number(self, value: str, dtype: np.dtype) -> str:
        """The address of a rank 0 argument: an array's data, or a slot of our own for a Python number or NumPy scalar."""
        self.module.declare(f"declare ptr @{name_of(dtype)}(ptr, ptr)")
        place = self.entry.emit(f"call ptr @{name_of(dtype)}(ptr {value}, ptr {self.slot(element(dtype))})")
        self.require(self.entry.emit(f"icmp ne ptr {place}, null"))
        return place

    def shape(self, value: str, ndim: int) -> list[str]:
        """The sizes of an array."""
        first = self.field(value, cpython.SHAPE) if ndim else ""
        return [self.field(first, 8 * axis, "i64") for axis in range(ndim)]
