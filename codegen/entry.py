"""The Python entry point of a compiled function, emitted as LLVM text.

    PyObject *entry(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *kwnames)

It takes the common call straight through: C-contiguous native arrays of the declared dtypes and fitting sizes, fresh
outputs, little work. Anything else (keywords, casts, lists, strided arrays, wrong sizes, long work, state in use by
another thread or given as an argument, an index out of range) goes to the Python path, which has the same checks and
raises the errors. It holds the GIL throughout, so it needs no locks; native code that would run long enough to matter
goes through the path that releases it.
"""

from __future__ import annotations

import ctypes
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen import cpython
from codegen.compile import FINISHED, program_symbols, replaced_state
from codegen.cpython import symbol
from codegen.emit import FunctionEmitter
from codegen.loopir import Block
from codegen.text import llvm_type
from codegen.unit import Unit
from codegen.values import size_scalar
from graphc import dims
from graphc import scalar as sc
from graphc.dims import Size, Symbol
from graphc.dtypes import SHORT, float64
from graphc.program import Kernel, Launch, Layout, Program
from graphc.scalar import Scalar

if TYPE_CHECKING:
    from codegen.runtime import Binding

MOST_WORK = 1e6  # ns: beyond, the GIL is released. Python itself lets a thread keep it for 5e6 ns
MOST_ARRAYS = 32  # inputs, state and outputs; each takes some 60 instructions, and LLVM's time is super-linear in their number
ARENA_LIMIT = 1 << 24  # bytes kept for the entry of one function
CALLABLE, ARENA, CAPACITY, FIXED = 0, 1, 2, 3  # words of the context; then state cells, constants, keys
_OP_NS, _MATH_NS, _MAC_NS = 0.03, 0.7, 0.02  # an operation of a vector loop, a transcendental, a step of a product
METH_FASTCALL_KEYWORDS = 0x82


def work(program: Program) -> dict[Size, float]:
    """Estimated ns, as a sum of weight times size."""
    total: dict[Size, float] = {}
    launches = Counter(step.kernel for step in program.steps if isinstance(step, Launch))
    for kernel, count in launches.items():
        for stage in kernel.stages:
            size = dims.product([a.extent for a in (*kernel.axes, *stage.axes, *stage.reduce)])
            body = sc.order((stage.body,))
            math = sum(s.op not in sc.FREE and s.op not in sc.LIGHT for s in body)
            each = _MAC_NS if kernel.kind == "contract" and stage.reduce else _OP_NS * len(body) + _MATH_NS * math
            total[size] = total.get(size, 0.0) + count * each
    return total


class EntryEmitter(FunctionEmitter):
    """Writes the entry of one program. `context` is the global that holds the context's words."""

    def __init__(self, unit: Unit, program: Program, binding: Binding, layout: Layout) -> None:
        super().__init__(unit, Kernel((), (), ()), "entry", Block(()))
        self.program, self.binding, self.layout = program, binding, layout
        self.arrays: list[str] = []  # the data pointers of inputs

    def text(self) -> str:
        e = self.entry
        for name in ("Py_IncRef", "Py_DecRef"):
            self.module.declare(f"declare void @{symbol(name)}(ptr)")
        self.module.declare(f"declare ptr @{symbol('PyObject_Vectorcall')}(ptr, ptr, i64, ptr)")
        self.module.declare(f"declare ptr @{symbol('PyArray_NewFromDescr')}(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)")
        self.module.add_global("@context = external global i64")
        for name in ("ndarray", "float", "None", *SHORT.values()):
            self.module.add_global(f"@{symbol(name)} = external global i8")
        self.require(e.emit("icmp eq ptr %kwnames, null"))
        self.require(e.emit(f"icmp eq i64 %nargs, {len(self.program.inputs)}"))
        shapes = [self.argument(k) for k in range(len(self.program.inputs))]
        self.sizes(shapes)
        self.affordable()
        arena = self.arena()
        self.idle()
        self.apart(shapes)
        self.not_negative()
        outputs: list[str] = []
        for k in range(len(self.program.outputs)):
            outputs.append(self.new_output(k, outputs))
        self.run(arena, outputs)
        self.finish(outputs)
        lines = "\n".join(e.lines)
        slow = [
            "slow:",
            "  %callable = load ptr, ptr @context, align 8",
            f"  %answer = call ptr @{symbol('PyObject_Vectorcall')}(ptr %callable, ptr %args, i64 %nargs, ptr %kwnames)",
            "  ret ptr %answer",
        ]
        return "define ptr @entry(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) {\nentry:\n" + lines + "\n" + "\n".join(slow) + "\n}\n"

    def require(self, condition: str) -> None:
        """Go on if the condition holds, to the Python path otherwise."""
        on = self.label("on")
        self.entry.line(f"br i1 {condition}, label %{on}, label %slow")
        self.entry.label(on)

    def field(self, base: str, offset: int, kind: str) -> str:
        at = self.entry.emit(f"getelementptr i8, ptr {base}, i64 {offset}")
        return self.entry.emit(f"load {kind}, ptr {at}, align {4 if kind == 'i32' else 8}")

    def word(self, index: int, kind: str = "ptr") -> str:
        at = self.entry.emit(f"getelementptr i64, ptr @context, i64 {index}")
        return self.entry.emit(f"load {kind}, ptr {at}, align 8")

    # -- arguments ----------------------------------------------------------------------------------------------
    def argument(self, k: int) -> list[str]:
        """Check the k-th argument; its sizes."""
        e, node = self.entry, self.program.inputs[k]
        at = e.emit(f"getelementptr ptr, ptr %args, i64 {k}")
        value = e.emit(f"load ptr, ptr {at}, align 8")
        kind = self.field(value, cpython.TYPE, "ptr")
        if node.ndim == 0 and node.dtype.kind == "f":
            return self.number(value, kind, node.dtype)
        self.is_array(value, kind, node.dtype, node.ndim)
        self.arrays.append(self.field(value, cpython.DATA, "ptr"))
        shape = self.field(value, cpython.SHAPE, "ptr") if node.ndim else ""
        return [self.field(shape, 8 * axis, "i64") for axis in range(node.ndim)]

    def is_array(self, value: str, kind: str, dtype: np.dtype, ndim: int) -> None:
        e = self.entry
        self.require(e.emit(f"icmp eq ptr {kind}, @{symbol('ndarray')}"))
        descr = self.field(value, cpython.DESCR, "ptr")
        self.require(e.emit(f"icmp eq ptr {descr}, @{symbol(SHORT[dtype])}"))
        flags = e.emit(f"and i32 {self.field(value, cpython.FLAGS, 'i32')}, {cpython.CONTIGUOUS_ALIGNED}")
        self.require(e.emit(f"icmp eq i32 {flags}, {cpython.CONTIGUOUS_ALIGNED}"))
        self.require(e.emit(f"icmp eq i32 {self.field(value, cpython.NDIM, 'i32')}, {ndim}"))

    def number(self, value: str, kind: str, dtype: np.dtype) -> list[str]:
        """A 0-d float argument may be a Python float: it is put into a slot of our own."""
        e, element = self.entry, llvm_type(dtype, 1)
        slot = e.emit(f"alloca {element}, align 8")
        as_float, as_array, joined = self.label("float"), self.label("array"), self.label("joined")
        plain = e.emit(f"icmp eq ptr {kind}, @{symbol('float')}")
        e.line(f"br i1 {plain}, label %{as_float}, label %{as_array}")
        e.label(as_float)
        number = self.field(value, cpython.FLOAT_VALUE, "double")
        if element == "float":
            number = e.emit(f"fptrunc double {number} to float")
        e.line(f"store {element} {number}, ptr {slot}, align 8")
        e.line(f"br label %{joined}")
        e.label(as_array)
        self.is_array(value, kind, dtype, 0)
        data = self.field(value, cpython.DATA, "ptr")
        last = e.current
        e.line(f"br label %{joined}")
        e.label(joined)
        self.arrays.append(e.emit(f"phi ptr [ {slot}, %{as_float} ], [ {data}, %{last} ]"))
        return []

    def sizes(self, shapes: Sequence[list[str]]) -> None:
        """Bind the size symbols and compare everything that must agree, as `Binding.sizes` does."""
        e, n = self.entry, len(self.program.inputs)
        for k, axis, known in self.binding.fixed:
            if k < n:
                self.require(e.emit(f"icmp eq i64 {shapes[k][axis]}, {known}"))
        for s, k, axis, size in self.binding.sources:
            self.scopes[0].axis[s] = self.constant(self.solved(s, shapes[k][axis], size))
        for k, axis, size in self.binding.derived:
            self.require(e.emit(f"icmp eq i64 {shapes[k][axis]}, {self.size(size).text}"))
        for a, b in self.binding.size_checks:
            self.require(e.emit(f"icmp eq i64 {self.size(a).text}, {self.size(b).text}"))

    def solved(self, s: Symbol, value: str, size: Size) -> str:
        """The symbol's value where an axis of size c*n + k has this value."""
        e = self.entry
        split = dims.affine(size, s)
        assert split is not None
        c, k = split
        if k != 0:
            value = e.emit(f"sub i64 {value}, {k}")
        if c != 1:
            self.require(e.emit(f"icmp eq i64 {e.emit(f'srem i64 {value}, {c}')}, 0"))
            value = e.emit(f"sdiv i64 {value}, {c}")
        if k != 0 or c != 1:
            self.require(e.emit(f"icmp sge i64 {value}, 0"))
        return value

    # -- resources ----------------------------------------------------------------------------------------------
    def affordable(self) -> None:
        """Little enough work to keep the GIL for. Counted in doubles, which cannot wrap: no size of the arena can after that."""
        total = sc.const(0.0, float64)
        for size, weight in work(self.program).items():
            total = total + in_double(size) * weight
        if total.op != "const":
            self.require(self.value(total < MOST_WORK).text)

    def arena(self) -> str:
        if self.program.arena == 0:
            return "null"
        need = self.size(self.program.arena).text
        self.require(self.entry.emit(f"icmp sle i64 {need}, {self.word(CAPACITY, 'i64')}"))
        return self.word(ARENA)

    def idle(self) -> None:
        """No other thread is inside a call that reads or writes the same state."""
        for k in range(len(self.program.shared)):
            busy = self.field(self.word(FIXED + k), 8, "i64")
            self.require(self.entry.emit(f"icmp eq i64 {busy}, 0"))

    def apart(self, shapes: Sequence[list[str]]) -> None:
        """No argument shares memory with state that the call replaces."""
        e = self.entry
        for k, node in enumerate(self.program.inputs):
            nbytes = str(node.dtype.itemsize)
            for size in shapes[k]:
                nbytes = e.emit(f"mul i64 {nbytes}, {size}")
            start = e.emit(f"ptrtoint ptr {self.arrays[k]} to i64")
            for j in replaced_state(self.program):
                length = dims.product(self.program.shared[j].shape) * self.program.shared[j].dtype.itemsize
                if not isinstance(length, int) or length == 0:  # `suits` wants known sizes
                    continue
                ahead = e.emit(f"sub i64 {start}, {self.field(self.word(FIXED + j), 0, 'i64')}")
                # start - nbytes < state < start + length, as one unsigned comparison
                shifted = e.emit(f"sub i64 {e.emit(f'add i64 {ahead}, {nbytes}')}, 1")
                reach = e.emit(f"add i64 {nbytes}, {length - 1}")
                self.require(e.emit(f"icmp uge i64 {shifted}, {reach}"))

    def not_negative(self) -> None:
        """Sizes of outputs; asked before the first output is made, which the Python path would not take over."""
        asked = {s: None for b in self.program.outputs for s in self.program.buffers[b].shape if not isinstance(s, int)}
        for size in asked:
            self.require(self.entry.emit(f"icmp sge i64 {self.size(size).text}, 0"))

    def new_output(self, k: int, earlier: Sequence[str]) -> str:
        """A fresh array. Where there is no memory for it, the earlier ones go, and the error stands."""
        e, b = self.entry, self.program.buffers[self.program.outputs[k]]
        shape = "null"
        if b.shape:
            shape = e.emit(f"alloca [{len(b.shape)} x i64], align 8")
            for axis, size in enumerate(b.shape):
                at = e.emit(f"getelementptr i64, ptr {shape}, i64 {axis}")
                e.line(f"store i64 {self.size(size).text}, ptr {at}, align 8")
        descr = f"@{symbol(SHORT[b.dtype])}"
        e.line(f"call void @{symbol('Py_IncRef')}(ptr {descr})")  # the call below takes a reference over
        given = f"ptr @{symbol('ndarray')}, ptr {descr}, i32 {len(b.shape)}, ptr {shape}, ptr null, ptr null, i32 0, ptr null"
        made = e.emit(f"call ptr @{symbol('PyArray_NewFromDescr')}({given})")
        good, bad = self.label("made"), self.label("unmade")
        e.line(f"br i1 {e.emit(f'icmp ne ptr {made}, null')}, label %{good}, label %{bad}")
        e.label(bad)
        for o in earlier:
            e.line(f"call void @{symbol('Py_DecRef')}(ptr {o})")
        e.line("ret ptr null")
        e.label(good)
        return made

    def run(self, arena: str, outputs: Sequence[str]) -> None:
        e, program = self.entry, self.program
        state = [self.field(self.word(FIXED + k), 0, "ptr") for k in range(len(program.shared))]
        constants = [self.word(FIXED + len(program.shared) + k) for k in range(len(program.constants))]
        pointers = [*self.arrays, *state, *constants, *[self.field(o, cpython.DATA, "ptr") for o in outputs], arena]
        slots = e.emit(f"alloca [{len(pointers)} x ptr], align 8")
        for k, p in enumerate(pointers):
            e.line(f"store ptr {p}, ptr {e.emit(f'getelementptr ptr, ptr {slots}, i64 {k}')}, align 8")
        symbols = program_symbols(program)
        sizes = e.emit(f"alloca [{max(len(symbols), 1)} x i64], align 8")
        for k, s in enumerate(symbols):
            e.line(f"store i64 {self.axis(s).text}, ptr {e.emit(f'getelementptr i64, ptr {sizes}, i64 {k}')}, align 8")
        status = e.emit(f"call i64 @run(ptr {slots}, ptr {sizes})")
        good, bad = self.label("ran"), self.label("stopped")
        e.line(f"br i1 {e.emit(f'icmp eq i64 {status}, {FINISHED}')}, label %{good}, label %{bad}")
        e.label(bad)
        for o in outputs:
            e.line(f"call void @{symbol('Py_DecRef')}(ptr {o})")
        e.line("br label %slow")
        e.label(good)

    # -- results ------------------------------------------------------------------------------------------------
    def finish(self, outputs: Sequence[str]) -> None:
        keys = itertools.count(FIXED + len(self.program.shared) + len(self.program.constants))
        self.entry.line(f"ret ptr {self.result_tree(self.layout, outputs, keys)}")

    def result_tree(self, layout: Layout, outputs: Sequence[str], keys: Iterator[int]) -> str:
        """A new reference to a tree of the outputs; those in it are handed over. `keys` numbers the words of dicts' keys."""
        e = self.entry
        if layout.kind == "leaf":
            return outputs[layout.place]
        if layout.kind == "none":
            e.line(f"call void @{symbol('Py_IncRef')}(ptr @{symbol('None')})")
            return f"@{symbol('None')}"
        own = [next(keys) for _ in layout.keys]
        parts = [self.result_tree(part, outputs, keys) for part in layout.parts]
        if layout.kind == "dict":
            self.module.declare(f"declare ptr @{symbol('PyDict_New')}()")
            self.module.declare(f"declare i32 @{symbol('PyDict_SetItem')}(ptr, ptr, ptr)")
            made = e.emit(f"call ptr @{symbol('PyDict_New')}()")
            for word, part in zip(own, parts, strict=True):
                e.emit(f"call i32 @{symbol('PyDict_SetItem')}(ptr {made}, ptr {self.word(word)}, ptr {part})")
                e.line(f"call void @{symbol('Py_DecRef')}(ptr {part})")
            return made
        new, put = ("PyTuple_New", "PyTuple_SetItem") if layout.kind == "tuple" else ("PyList_New", "PyList_SetItem")
        self.module.declare(f"declare ptr @{symbol(new)}(i64)")
        self.module.declare(f"declare i32 @{symbol(put)}(ptr, i64, ptr)")
        made = e.emit(f"call ptr @{symbol(new)}(i64 {len(parts)})")
        for k, part in enumerate(parts):
            e.emit(f"call i32 @{symbol(put)}(ptr {made}, i64 {k}, ptr {part})")
        return made


def in_double(size: Size) -> Scalar:
    """A size as a float64, computed as one throughout."""

    def leaf(s: Scalar) -> Scalar:
        return sc.const(s.param, float64) if s.op == "const" else s.cast(float64)

    new: dict[Scalar, Scalar] = {}
    for s in sc.order((size_scalar(size),)):
        args = [new[a] for a in s.args]
        if s.op == "floordiv":
            new[s] = sc.unary("floor", args[0] / args[1])
        elif s.op == "mod":
            new[s] = args[0] - sc.unary("floor", args[0] / args[1]) * args[1]
        else:
            new[s] = sc.scalar(s.op, tuple(args), float64) if args else leaf(s)
    return new[size_scalar(size)]


def suits(program: Program, binding: Binding) -> bool:
    """Whether a program can have an entry: few arrays, state of known sizes, little fixed work, an arena that may be kept."""
    if len(program.inputs) + len(program.shared) + len(program.outputs) > MOST_ARRAYS:
        return False
    if not cpython.is_readable() or binding.given or any(not isinstance(s, int) for v in program.shared for s in v.shape):
        return False
    if isinstance(program.arena, int) and program.arena > ARENA_LIMIT:
        return False
    return sum(weight * size for size, weight in work(program).items() if isinstance(size, int)) < MOST_WORK


class _MethodDef(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


_DEFINITIONS: list[_MethodDef] = []
"""Never freed, some 200 bytes a function: a builtin reads its definition as it goes, and in a cycle its owner may go first."""


class Context:
    """The words an entry reads: what it may fall back to, its arena, state, constants, keys. It must outlive the entry."""

    def __init__(self, cells: Sequence[Any], constants: Sequence[int], keys: Sequence[str]) -> None:
        self.cells, self.keys = list(cells), list(keys)
        words = [0, 0, 0, *[ctypes.addressof(c) for c in self.cells], *constants, *[id(k) for k in self.keys]]
        self.words = (ctypes.c_int64 * len(words))(*words)

    @property
    def address(self) -> int:
        return ctypes.addressof(self.words)

    def grow(self, nbytes: int) -> None:
        """Make the arena at least this large. Only with the GIL held, and no entry can be running then."""
        if self.words[CAPACITY] >= nbytes or nbytes > ARENA_LIMIT:
            return
        raw = np.empty(nbytes + 64, np.uint8)
        self.arena = raw
        self.words[ARENA] = raw.ctypes.data + (-raw.ctypes.data % 64)
        self.words[CAPACITY] = nbytes


def make_builtin(address: int, name: str, context: Context, slow: Callable[..., Any], keep: Sequence[Any]) -> Any:
    """The builtin function at `address`. `slow` takes the calls it hands on; it owns `keep`, the code and the context."""
    context.words[CALLABLE] = id(slow)
    definition = _MethodDef(name.encode(), address, METH_FASTCALL_KEYWORDS, None)
    _DEFINITIONS.append(definition)
    owner = [context, slow, *keep]
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(definition), owner, None)
