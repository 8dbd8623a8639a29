"""LLVM text by the line: types, literals, a module and the functions it collects, a block of instructions.

A value of `lanes` elements is `T` for one lane and `<lanes x T>` above; bool is i1 in registers and a byte 0 or 1 in
memory.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from graphc.dtypes import bool_, float32, float64
from graphc.records import dataclass
from graphc.scalars import Scalar, const

_ELEMENT = {bool_: "i1", float32: "float", float64: "double"}


STACK = 16  # bytes: what stacks are aligned to
LINE = 64  # bytes of a line of the caches, and of the longest vectors
NO_FRAME = '"no-realign-stack"'
"""An attribute of functions that may call math. LLVM aligns stacks further where it likes to, and keeps rbp for that, which a call by
`llvm.called.convention` does not keep with AVX-512. Functions of that convention store registers of LINE bytes and must not have it."""


@dataclass(frozen=True)
class Function:
    """A function as data: its module writes it, once, when all is known about it.

    Function("k0", ("ptr %b0", "i64 %n0"), ["  %v0 = ...", "  ret void"], ("nounwind",))
    ->  define internal void @k0(ptr %b0, i64 %n0) #0 {
        entry:
          %v0 = ...
          ret void
        }
    """

    name: str
    params: tuple[str, ...]
    lines: list[str]
    """Instructions and labels of the blocks after `entry:`, as a `Block` collects them."""
    attributes: tuple[str, ...] = ()
    """Words such as `nounwind`, `"prefer-vector-width"="512"`."""
    result: str = "void"
    linkage: str = "internal "
    convention: str = ""
    """The calling convention if not that of C, with a blank behind it."""

    @property
    def frame(self) -> tuple[str, ...]:
        """The attribute, but where variables want a larger alignment: of functions that call nothing."""
        larger = any([" = alloca " in line and f", align {LINE}" in line for line in self.lines])
        return () if self.convention or larger else (NO_FRAME,)

    def text(self, group: str) -> str:
        """The definition, with the number of its group of attributes."""
        head = f"define {self.linkage}{self.convention}{self.result} @{self.name}({', '.join(self.params)}) {group}"
        return "\n".join((head + "{", "entry:", *self.lines, "}\n"))


def as_it_stands(function: Function) -> Function:
    """The function, which LLVM translates line by line: in a third of the time, to code that takes up to twice as long."""
    return replace(function, attributes=(*dict.fromkeys((*function.attributes, "noinline", "optnone")),))


def stands(function: Function) -> bool:
    """Whether it is such a one."""
    return "optnone" in function.attributes


class Module:
    """What one LLVM module holds: functions, and the declarations, constants, attributes and metadata they use."""

    def __init__(self) -> None:
        self._declarations: dict[str, None] = {}
        self._tables: dict[tuple[np.dtype, tuple[float, ...]], str] = {}
        self._globals: list[str] = []
        self.functions: dict[str, Function] = {}
        """By their names without `@`."""
        self.rare: dict[tuple[object, int], str] = {}
        """The functions of rare cases, see `text`: by what they compute and their lanes."""
        self._numbered: dict[str, str] = {}
        self._said: dict[tuple[object, ...], str] = {}

    def declare(self, line: str) -> None:
        """Add a `declare ...` line, once."""
        self._declarations[line] = None

    def table(self, values: tuple[float, ...], dtype: np.dtype) -> str:
        """The name of a constant array, `@table0`; equal arrays are one."""
        key = (dtype, values)
        if key not in self._tables:
            name = self._tables[key] = f"@table{len(self._tables)}"
            element = llvm_type(dtype, 1)
            items = ", ".join(f"{element} {literal(const(v, dtype), 1)}" for v in values)
            self._globals.append(f"{name} = private unnamed_addr constant [{len(values)} x {element}] [{items}], align 64")
        return self._tables[key]

    def add_global(self, line: str) -> None:
        """Add a global variable, as its whole line."""
        self._globals.append(line)

    def add(self, function: Function) -> None:
        """Add a function, in the place of one of the same name."""
        self.functions[function.name] = function

    def add_once(self, function: Function) -> str:
        """The name of a function that says the same and is there already, or else of this one, which is added."""
        same = function.params, tuple(function.lines), function.attributes
        if same not in self._said:
            name = function.name
            while name in self.functions:
                name += "."
            self._said[same] = name
            self.add(replace(function, name=name))
        return self._said[same]

    def metadata(self, text: str) -> str:
        """The number `!0` of a metadata node such as `!{!"text"}`."""
        return self._number("!", text)

    def _number(self, mark: str, text: str) -> str:
        key = mark + text
        if key not in self._numbered:
            self._numbered[key] = f"{mark}{sum(k[0] == mark for k in self._numbered)}"
        return self._numbered[key]

    def text(self) -> str:
        """The module as LLVM text."""
        attributes = {name: (*f.attributes, *f.frame) for name, f in self.functions.items()}
        functions = [f.text(self._number("#", " ".join(a)) + " " if (a := attributes[f.name]) else "") for f in self.functions.values()]
        groups = [f"attributes {n} = {{ {k[1:]} }}" for k, n in self._numbered.items() if k[0] == "#"]
        nodes = [f"{n} = {k[1:]}" for k, n in self._numbered.items() if k[0] == "!"]
        return "\n".join([*self._globals, *self._declarations, "", *functions, *groups, *nodes, ""])


class Block:
    """Lines of instructions. Blocks of one function draw fresh names from one counter: pass on `names`."""

    def __init__(self, names: itertools.count[int] | None = None) -> None:
        self.names = itertools.count() if names is None else names
        self.lines: list[str] = []
        self.current = ""
        """The basic block being written, once `label` has named one."""

    def emit(self, rhs: str) -> str:
        """Append `%vN = rhs` and return `%vN`."""
        name = f"%v{next(self.names)}"
        self.lines.append(f"  {name} = {rhs}")
        return name

    def line(self, text: str) -> None:
        """Append an instruction without a value."""
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        """Start a basic block of this name."""
        self.current = name
        self.lines.append(f"{name}:")


def llvm_type(dtype: np.dtype, lanes: int) -> str:
    """The type in registers: "float", "<16 x float>", "i1" for bool."""
    element = _ELEMENT.get(dtype) or f"i{8 * dtype.itemsize}"
    return element if lanes == 1 else f"<{lanes} x {element}>"


def mangled(dtype: np.dtype, lanes: int) -> str:
    """The type in the names of intrinsics: "f32", "v16f32"."""
    element = {float32: "f32", float64: "f64", bool_: "i1"}.get(dtype) or f"i{8 * dtype.itemsize}"
    return element if lanes == 1 else f"v{lanes}{element}"


def literal(s: Scalar, lanes: int) -> str:
    """A `const` Scalar as an operand. LLVM wants floats as the bits of the double, after rounding to the type."""
    if s.dtype.kind == "f":
        text = f"0x{s.param & 0xFFFFFFFFFFFFFFFF:016X}"
    elif s.dtype == bool_:
        text = "true" if s.param else "false"
    else:
        bits = 8 * s.dtype.itemsize  # written as a signed number, whatever the dtype
        text = str((s.param + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1))
    return text if lanes == 1 else f"splat ({llvm_type(s.dtype, 1)} {text})"


def splat(block: Block, value: str, dtype: np.dtype, lanes: int) -> str:
    """One element in every lane."""
    if lanes == 1:
        return value
    element, vector = llvm_type(dtype, 1), llvm_type(dtype, lanes)
    if not value.startswith("%"):
        return f"splat ({element} {value})"
    first = block.emit(f"insertelement {vector} poison, {element} {value}, i64 0")
    return block.emit(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")


def hidden(module: Module, block: Block, x: str, kind: str = "i64") -> str:
    """The same number or pointer, of which LLVM does not see how it was made.

    Of a loop that counts so, LLVM does not weigh all ways to step through its addresses, which takes a fifth of all its time: for text
    whose addresses are as a processor adds them up, base + i * size + constant.
    """
    if kind == "ptr":
        module.declare("declare ptr @llvm.launder.invariant.group.p0(ptr)")
        return block.emit(f"call ptr @llvm.launder.invariant.group.p0(ptr {x})")
    module.declare("declare i64 @llvm.expect.i64(i64, i64)")
    return block.emit(f"call i64 @llvm.expect.i64(i64 {x}, i64 0)")


def lanes_from(block: Block, x: str, dtype: np.dtype, lanes: int, first: int, count: int) -> str:
    """`count` of the lanes of x from the first on; those that it has not are poison."""
    if count == lanes:
        return x
    if lanes == 1:
        return block.emit(f"insertelement {llvm_type(dtype, count)} poison, {llvm_type(dtype, 1)} {x}, i64 0")
    picked = ", ".join(f"i32 {k}" if k < lanes else "i32 poison" for k in range(first, first + count))
    kind = llvm_type(dtype, lanes)
    return block.emit(f"shufflevector {kind} {x}, {kind} poison, <{count} x i32> <{picked}>")


def joined(block: Block, parts: list[str], dtype: np.dtype, lanes: int) -> str:
    """One vector of parts of so many lanes each, a power of two of them."""
    while len(parts) > 1:
        kind, every = llvm_type(dtype, lanes), ", ".join(f"i32 {k}" for k in range(2 * lanes))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [block.emit(f"shufflevector {kind} {x}, {kind} {y}, <{2 * lanes} x i32> <{every}>") for x, y in pairs]
        lanes *= 2
    return parts[0]


def stack_room(module: Module, block: Block, nbytes: int) -> str:
    """The address of bytes on the stack at a multiple of LINE; written in a function's entry. See `NO_FRAME` for why not by the alloca."""
    module.declare("declare ptr @llvm.ptrmask.p0.i64(ptr, i64)")
    within = block.emit(f"alloca i8, i64 {nbytes + LINE - STACK}, align {STACK}")
    behind = block.emit(f"getelementptr i8, ptr {within}, i64 {LINE - STACK}")
    return block.emit(f"call ptr @llvm.ptrmask.p0.i64(ptr {behind}, i64 {-LINE})")
