"""The one scalar language: what the bodies of kernels and the vector math are written in.

A `Scalar` is an op applied to Scalars, with a dtype; interned like nodes, so a body is a graph and equal parts are
one object. Python operators build them: `x * x + 1.0`. Plain numbers take the dtype of the other operand.

    leaves       const(bits), index(Dim) -> i64, load(slot, offset...), local(stage), arg(k);
                 fetch(slot, linear offset) is what codegen makes of a load
    arithmetic   add sub mul div neg abs sqrt fma copysign floor ceil trunc rint (floats: IEEE; integers wrap)
                 floordiv mod (integers, floor; by 0 they give 0), min max (nan propagates)
    bits         and or xor not shl lshr ashr (over-wide shifts give 0, or the sign)
    compare      eq ne lt le gt ge -> bool (ordered, but `ne` is true on nan)
    other        select(c, a, b), cast (float to int saturates, nan gives 0), bitcast,
                 lookup(table, index): a constant table of floats
                 ldexp, rare, detour, summed and outlined, see graphc.codegen.mathlib, which alone writes them
    math         any name of graphc.codegen.mathlib: exp, log, tanh, ...
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Union

import numpy as np

from graphc.dims import Dim, Size, substitute
from graphc.dims import Symbol as SizeSymbol
from graphc.dtypes import bool_, int64
from graphc.intern import InternTable

Number = int | float | bool
Operand = Union["Scalar", Number]  # a string in it: | would not do

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


class Scalar:
    """One value of the scalar language; build with the functions and operators of this module."""

    __slots__ = ("__weakref__", "args", "dtype", "op", "param")
    op: str
    args: tuple[Scalar, ...]
    dtype: np.dtype
    param: Any

    def __add__(self, o: Operand) -> Scalar:
        return binary("add", self, o)

    def __radd__(self, o: Operand) -> Scalar:
        return binary("add", self.like(o), self)

    def __sub__(self, o: Operand) -> Scalar:
        return binary("sub", self, o)

    def __rsub__(self, o: Operand) -> Scalar:
        return binary("sub", self.like(o), self)

    def __mul__(self, o: Operand) -> Scalar:
        return binary("mul", self, o)

    def __rmul__(self, o: Operand) -> Scalar:
        return binary("mul", self.like(o), self)

    def __truediv__(self, o: Operand) -> Scalar:
        return binary("div", self, o)

    def __rtruediv__(self, o: Operand) -> Scalar:
        return binary("div", self.like(o), self)

    def __floordiv__(self, o: Operand) -> Scalar:
        return binary("floordiv", self, o)

    def __mod__(self, o: Operand) -> Scalar:
        return binary("mod", self, o)

    def __and__(self, o: Operand) -> Scalar:
        return binary("and", self, o)

    def __or__(self, o: Operand) -> Scalar:
        return binary("or", self, o)

    def __xor__(self, o: Operand) -> Scalar:
        return binary("xor", self, o)

    def __lshift__(self, o: Operand) -> Scalar:
        return binary("shl", self, o)

    def __invert__(self) -> Scalar:
        return unary("not", self)

    def __neg__(self) -> Scalar:
        return unary("neg", self)

    def __abs__(self) -> Scalar:
        return unary("abs", self)

    # == and != keep Python's identity meaning (Scalars are interned keys); use eq() and ne()
    def eq(self, o: Operand) -> Scalar:
        return compare("eq", self, o)

    def ne(self, o: Operand) -> Scalar:
        return compare("ne", self, o)

    def __lt__(self, o: Operand) -> Scalar:
        return compare("lt", self, o)

    def __le__(self, o: Operand) -> Scalar:
        return compare("le", self, o)

    def __gt__(self, o: Operand) -> Scalar:
        return compare("gt", self, o)

    def __ge__(self, o: Operand) -> Scalar:
        return compare("ge", self, o)

    def __bool__(self) -> bool:
        raise TypeError("a Scalar has no truth value at build time; use select(condition, a, b)")

    def like(self, value: Operand) -> Scalar:
        """`value` as a Scalar, a plain number as a constant of this one's dtype."""
        return value if isinstance(value, Scalar) else const(value, self.dtype)

    def cast(self, dtype: np.dtype) -> Scalar:
        return self if dtype == self.dtype else scalar("cast", (self,), dtype)

    def bitcast(self, dtype: np.dtype) -> Scalar:
        return self if dtype == self.dtype else scalar("bitcast", (self,), dtype)

    def __repr__(self) -> str:
        return format_scalar(self)


_SCALARS: InternTable[Scalar] = InternTable()
_entry = _SCALARS.entry
_new = object.__new__


def scalar(op: str, args: tuple[Scalar, ...], dtype: np.dtype, param: Any = None) -> Scalar:
    """The one Scalar of these parts; `param` must be hashable."""
    key: Hashable = (op, dtype, args)  # of Scalars, which are equal where they are the same
    if param is not None:
        # 1 and 1.0, 0.0 and -0.0 are equal as keys but not as parameters
        exact = struct.pack(f"<{len(param)}d", *param) if op == "lookup" else param
        key = (op, dtype, args, type(param), exact)
    entry = _entry(key)
    if entry is not None and (found := entry()) is not None:
        return found  # type: ignore[no-any-return]
    made = _new(Scalar)
    made.op, made.args, made.dtype, made.param = op, args, dtype, param
    return _SCALARS.add(key, made)


def const(value: Number | np.generic, dtype: np.dtype) -> Scalar:
    """A constant. Its `param` is an int or bool, for floats the bits of the value rounded to `dtype` (so -0.0 and nan are kept)."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            rounded = float(dtype.type(value))
        return scalar("const", (), dtype, struct.unpack("<q", struct.pack("<d", rounded))[0])
    if dtype == bool_:
        return scalar("const", (), dtype, bool(value))
    return scalar("const", (), dtype, int(value))


def const_value(s: Scalar) -> Number:
    """The number a constant holds."""
    return struct.unpack("<d", struct.pack("<q", s.param))[0] if s.dtype.kind == "f" else s.param  # type: ignore[no-any-return]


def index(size: Size) -> Scalar:
    """An integer expression of sizes and loop axes as an i64 value."""
    return scalar("const", (), int64, size) if isinstance(size, int) else scalar("index", (), int64, size)


def arg(k: int, dtype: np.dtype) -> Scalar:
    """Placeholder for the k-th input of a row's body or of a function under test."""
    return scalar("arg", (), dtype, k)


def load(slot: int, offset: tuple[Scalar, ...], dtype: np.dtype, mask: Scalar | None = None) -> Scalar:
    """An element of the kernel's operand `slot` at an index per axis; where `mask` is false nothing is read and the value is 0."""
    return scalar("load", offset if mask is None else (*offset, mask), dtype, (slot, mask is not None))


def local(stage: int, offset: tuple[Scalar, ...], dtype: np.dtype) -> Scalar:
    """The value of an earlier stage of the same kernel at an index per inner axis of that stage."""
    return scalar("local", offset, dtype, stage)


def unary(op: str, a: Scalar) -> Scalar:
    return scalar(op, (a,), a.dtype)


def binary(op: str, a: Scalar, b: Operand) -> Scalar:
    other = b if isinstance(b, Scalar) else const(b, a.dtype)
    assert a.dtype is other.dtype or a.dtype == other.dtype, f"{op}: {a.dtype} and {other.dtype}"
    return scalar(op, (a, other), a.dtype)


def compare(op: str, a: Scalar, b: Operand) -> Scalar:
    b = a.like(b)
    assert a.dtype == b.dtype, f"{op}: {a.dtype} and {b.dtype}"
    return scalar(op, (a, b), bool_)


def select(c: Scalar, a: Operand, b: Operand) -> Scalar:
    """a where c else b; one of a and b may be a plain number."""
    first = a if isinstance(a, Scalar) else b
    assert isinstance(first, Scalar)
    a, b = first.like(a), first.like(b)
    assert c.dtype == bool_ and a.dtype == b.dtype
    return scalar("select", (c, a, b), a.dtype)


def minimum(a: Scalar, b: Operand) -> Scalar:
    return binary("min", a, b)


def maximum(a: Scalar, b: Operand) -> Scalar:
    return binary("max", a, b)


def fma(a: Scalar, b: Operand, c: Operand) -> Scalar:
    """a * b + c with one rounding where the target has it (the emitter uses mul and add elsewhere)."""
    return scalar("fma", (a, a.like(b), a.like(c)), a.dtype)


def sqrt(a: Scalar) -> Scalar:
    return unary("sqrt", a)


def copysign(a: Scalar, b: Scalar) -> Scalar:
    return binary("copysign", a, b)


def shift_left(a: Scalar, n: Operand) -> Scalar:
    return binary("shl", a, n)


def shift_right(a: Scalar, n: Operand, arithmetic: bool = True) -> Scalar:
    return binary("ashr" if arithmetic else "lshr", a, n)


# functions of graphc.codegen.mathlib that share most of their work for one argument: each family's name by its members
TOGETHER = {name: " ".join(family) for family in (
    ("sin", "cos"), ("sinh", "cosh"), ("exp", "expm1"), ("tanh", "tanh_slope"), ("sigmoid", "sigmoid_slope", "softplus"),
    ("erfc", "erf_slope"),
) for name in family}  # fmt: skip


def math(name: str, *args: Scalar) -> Scalar:
    """The function `name` of graphc.codegen.mathlib, expanded when code is emitted."""
    return scalar(name, args, args[0].dtype)


def lookup(table: tuple[float, ...], i: Scalar, dtype: np.dtype) -> Scalar:
    """table[i] for an integer 0 <= i < len(table); the table becomes a constant of the module."""
    return scalar("lookup", (i,), dtype, table)


def order(roots: Iterable[Scalar], listed: set[Scalar] | None = None) -> list[Scalar]:
    """Every Scalar that `roots` need, arguments before users; without those `listed` already, to which the others are added."""
    done: set[Scalar] = set() if listed is None else listed
    result: list[Scalar] = []
    path: list[Scalar] = []
    waiting = [iter(roots)]  # of each Scalar of the path the arguments that have not been looked at
    while waiting:
        for s in waiting[-1]:
            if s not in done:
                if s.args:
                    path.append(s)
                    waiting.append(iter(s.args))
                    break
                done.add(s)
                result.append(s)
        else:
            waiting.pop()
            if path:
                done.add(path[-1])
                result.append(path.pop())
    return result


LEAVES = frozenset(("load", "fetch", "local", "arg"))
Leaf = Callable[["Scalar", tuple["Scalar", ...]], "Scalar | None"]


def replace_leaves(
    root: Scalar, leaf: Leaf, sizes: dict[SizeSymbol, Size] | None = None, known: dict[Scalar, Scalar] | None = None
) -> Scalar:
    """`root` with axes in indices replaced, and each load, fetch, local and arg given to `leaf(scalar, new_args)` (None keeps it).

    `known`: what Scalars have become already, for several roots under one `leaf`.
    """
    new: dict[Scalar, Scalar] = {} if known is None else known
    stack = [root]
    while stack:
        s = stack[-1]
        if s in new:
            stack.pop()
            continue
        args = s.args
        if args:
            height = len(stack)
            for a in args[::-1]:
                if a not in new:
                    if a.args or sizes or a.op in LEAVES:
                        stack.append(a)
                    else:
                        new[a] = a  # a number or an index
            if len(stack) > height:
                continue
            args = tuple([new[a] for a in args])
        made: Scalar | None = None
        if s.op in LEAVES:
            made = leaf(s, args)
        elif sizes and s.op == "index" and isinstance(s.param, Dim):
            made = index(substitute(s.param, sizes))
        if made is None:
            made = s if args == s.args else scalar(s.op, args, s.dtype, s.param)
        new[s] = made
        stack.pop()
    return new[root]


def replaced(parts: Iterable[Scalar], leaf: Leaf) -> dict[Scalar, Scalar]:
    """What Scalars, listed with their arguments before them, become where `leaf` is given each load, fetch, local and arg."""
    new: dict[Scalar, Scalar] = {}
    for s in parts:
        args = tuple([new[a] for a in s.args]) if s.args else s.args
        made = leaf(s, args) if s.op in LEAVES else None
        new[s] = made if made is not None else s if args == s.args else scalar(s.op, args, s.dtype, s.param)
    return new


def _bare(text: str) -> str:
    """`[i + 1]`, a size as a value, without its brackets."""
    return text[1:-1] if text.startswith("[") else text


def format_index(s: Scalar) -> str:
    """The text of an index inside brackets."""
    return _bare(format_scalar(s))


_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^",
          "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}  # fmt: skip


def format_scalar(root: Scalar, names: dict[int, str] | None = None, limit: int = 2000) -> str:
    """Readable text of a body: infix where there is one, calls elsewhere. `names` maps ids of Scalars that are shown by name."""
    text: dict[int, str] = {}
    for s in order((root,)):
        args = [(names or {}).get(id(a)) or text[id(a)] for a in s.args]
        if s.op == "const":
            shown = f"{const_value(s)!r}" if s.dtype.kind in "fb" else str(s.param)
        elif s.op == "index":
            shown = f"[{s.param}]"
        elif s.op == "load":
            slot, masked = s.param
            at = ", ".join(map(_bare, args[:-1] if masked else args))
            shown = f"b{slot}[{at}]" + (f" if {args[-1]}" if masked else "")
        elif s.op == "fetch":
            slot, static, dynamic, masked = s.param
            shown = f"b{slot}[{args[0] + ' + ' if dynamic else ''}{static}]" + (f" if {args[-1]}" if masked else "")
        elif s.op == "local":
            shown = f"t{s.param}" + (f"[{', '.join(map(_bare, args))}]" if args else "")
        elif s.op in _INFIX:
            shown = f"({args[0]} {_INFIX[s.op]} {args[1]})"
        elif s.op in ("cast", "bitcast"):
            shown = f"{s.dtype.name}({args[0]})" if s.op == "cast" else f"bits<{s.dtype.name}>({args[0]})"
        elif s.op == "arg":
            shown = f"x{s.param}"
        else:
            shown = f"{s.op}({', '.join(args)})"
        text[id(s)] = shown if len(shown) <= limit else shown[: limit - 3] + "..."
    return text[id(root)]
