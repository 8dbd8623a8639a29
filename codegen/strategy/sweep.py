"""Products of few rows with a large matrix that lies along n: its rows are read as they lie, a few together, over many columns.

    d[i, j] = (d[i, j] if add else 0) + sum over k < kc of a[i, k] * b[k, j]        i < height

for k by `DEEP`: for j: d[:, j] += a[:, k..] * b[k.., j]        a sum waits in d between turns of k, each product is added to it in order

A panel as narrow as a tile would take a few lines of each page of b, where what is next in memory is foreseen by the processor:
x @ b, f64 4096: 8.9 -> 22.3 GB/s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import emit_op
from graphc.codegen.llvm.llvm_text import Block, Function, Module, hidden, literal, llvm_type, mangled, splat
from graphc.dtypes import int64
from graphc.records import dataclass
from graphc.target import Target

PARAMETERS = ("ptr %a", "i64 %a_row", "i64 %a_k", "ptr %b", "i64 %b_k", "i64 %kc", "ptr %d", "i64 %cols", "i1 %add", "ptr %near")
ACROSS = 2  # vectors of columns together
DEEP = 4, 8  # rows of b together, near and far: 16 would not fit into a set of the first cache. One row of f64, 1024: 64 and 72 GB/s


def most_rows(target: Target) -> int:
    """Rows of a whose sums, with a row of b and an element of a, fit the registers."""
    return 8 if target.registers >= 32 else 4


@dataclass(frozen=True)
class Sweep:
    """`height` rows of a; rows of d lie `apart` elements from each other. `far`: b comes from memory, so that its next rows are fetched."""

    dtype: np.dtype
    height: int
    apart: int
    far: bool

    @property
    def name(self) -> str:
        return f"sweep.{self.dtype.name}.{self.height}" + f".{self.apart}" * (self.height > 1) + ".far" * self.far


def write_sweep(module: Module, target: Target, sweep: Sweep, attributes: tuple[str, ...]) -> str:
    """The name of f(a, a_row, a_k, b, b_k, kc, d, cols, add, near); strides are in elements, kc and cols may be 0.

    `near` has room for height * DEEP[far] elements. It is the caller's, for LLVM would spread what lies in memory of the function's own
    over the lanes before the loop, and spill it.
    """
    if sweep.name not in module.functions:
        module.add(_Writer(module, target, sweep).function(sweep.name, attributes))
    return sweep.name


class _Writer:
    def __init__(self, module: Module, target: Target, sweep: Sweep) -> None:
        dtype = sweep.dtype
        self.module, self.target, self.dtype, self.height, self.lanes = module, target, dtype, sweep.height, target.lanes(dtype)
        self.element, self.vector, self.mask_type = llvm_type(dtype, 1), llvm_type(dtype, self.lanes), f"<{self.lanes} x i1>"
        self.out = Block()
        self.deep, self.far, self.apart = DEEP[sweep.far], sweep.far, sweep.apart

    def function(self, name: str, attributes: tuple[str, ...]) -> Function:
        """Zeros where nothing is added to, then passes over the columns for `deep` rows of b each, then for one row each."""
        out = self.out
        out.current = "entry"
        self.whole = out.emit(f"and i64 %cols, {-ACROSS * self.lanes}")
        out.line("br i1 %add, label %sums, label %zero")
        out.label("zero")
        self._columns("zero", self._clear)
        out.line("br label %sums")
        out.label("sums")
        end = out.emit(f"and i64 %kc, {-self.deep}")
        self._passes("deep", "0", end, self.deep)
        self._passes("last", end, "%kc", 1)
        out.line("ret void")
        return Function(name, PARAMETERS, out.lines, attributes)

    def _passes(self, name: str, start: str, end: str, deep: int) -> None:
        """for k in start..end by `deep`: d += the products of so many steps."""
        self._loop(name, start, end, deep, lambda k: self._pass(name, k, deep))

    def _pass(self, name: str, k: str, deep: int) -> None:
        """Over the columns."""
        steps = [k, *[self.out.emit(f"add nuw nsw i64 {k}, {g}") for g in range(1, deep)]]
        b_rows = [self._at("%b", self.out.emit(f"mul i64 {x}, %b_k")) for x in steps]
        columns = [self._at("%a", self.out.emit(f"mul i64 {x}, %a_k")) for x in steps]
        spread = [self._spread(column) for column in columns] if self.height == 1 else []
        if not spread:
            self._bring(columns)
        far = self.out.emit(f"mul i64 %b_k, {deep}") if self.far and deep > 1 else None
        self._columns(f"{name}.j", lambda j, across, mask: self._multiply(j, across, mask, b_rows, spread, far))

    def _bring(self, columns: list[str]) -> None:
        """These columns of a next to each other: one pointer instead of one for each element."""
        for g, column in enumerate(columns):
            for i in range(self.height):
                one = self.out.emit(f"load {self.element}, ptr {self._at(column, self._times('%a_row', i))}, align {self.dtype.itemsize}")
                self.out.line(f"store {self.element} {one}, ptr {self._at('%near', str(g * self.height + i))}, align {self.dtype.itemsize}")

    def _multiply(self, j: str, across: int, mask: str | None, b_rows: list[str], spread: list[str], far: str | None) -> None:
        """The sums of `across` vectors of columns from j on."""
        at = [j, *[self.out.emit(f"add nuw nsw i64 {j}, {v * self.lanes}") for v in range(1, across)]]
        fetched = [self.out.emit(f"add i64 {p}, {far}") for p in at] if far else []
        d = self._at("%d", j)
        places = [[self._at(d, str(i * self.apart + v * self.lanes)) for v in range(across)] for i in range(self.height)]
        sums = [[self._load(p, mask) for p in row] for row in places]
        x, y, z = (sc.arg(n, self.dtype) for n in range(3))
        for g, row in enumerate(b_rows):
            from_ = [self._at(row, p) for p in at]
            b = [self._load(p, mask) for p in from_]
            for p in fetched:
                self._fetch(self.out.emit(f"getelementptr {self.element}, ptr {row}, i64 {p}"))
            for i in range(self.height):
                one = spread[g] if spread else self._spread(self._at("%near", str(g * self.height + i)))
                sums[i] = [
                    emit_op(self.module, self.out, self.target, sc.fma(x, y, z), [one, b[v], s], self.lanes) for v, s in enumerate(sums[i])
                ]
        for row_sums, row_places in zip(sums, places, strict=True):
            for value, place in zip(row_sums, row_places, strict=True):
                self._store(value, place, mask)

    def _clear(self, j: str, across: int, mask: str | None) -> None:
        d, zero = self._at("%d", j), literal(sc.const(0, self.dtype), self.lanes)
        for i in range(self.height):
            for v in range(across):
                self._store(zero, self._at(d, str(i * self.apart + v * self.lanes)), mask)

    # -- loops ----------------------------------------------------------------------------------------------------
    def _columns(self, name: str, write: Callable[[str, int, str | None], None]) -> None:
        """for j in 0..cols by `ACROSS` vectors, and the rest by one vector of which the columns that exist are masked."""
        self._loop(f"{name}.whole", "0", self.whole, ACROSS * self.lanes, lambda j: write(j, ACROSS, None))
        self._loop(f"{name}.rest", self.whole, "%cols", self.lanes, lambda j: write(j, 1, self._mask(j)))

    def _loop(self, name: str, start: str, end: str, step: int, write: Callable[[str], None]) -> None:
        """for i in start..end by step."""
        out, before = self.out, self.out.current
        any_ = out.emit(f"icmp slt i64 {start}, {end}")
        out.line(f"br i1 {any_}, label %{name}, label %{name}.end")
        out.label(name)
        at, i = len(out.lines), f"%{name}.i"
        write(i)
        out.line(f"{i}.next = add nuw nsw i64 {i}, {step}")
        following = hidden(self.module, out, f"{i}.next")
        out.lines.insert(at, f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{out.current} ]")
        out.line(f"{i}.more = icmp slt i64 {i}.next, {end}")
        out.line(f"br i1 {i}.more, label %{name}, label %{name}.end")
        out.label(f"{name}.end")

    # -- instructions ---------------------------------------------------------------------------------------------
    def _times(self, step: str, n: int) -> str:
        return "0" if n == 0 else step if n == 1 else self.out.emit(f"mul i64 {step}, {n}")

    def _at(self, pointer: str, offset: str) -> str:
        return pointer if offset == "0" else self.out.emit(f"getelementptr inbounds {self.element}, ptr {pointer}, i64 {offset}")

    def _spread(self, pointer: str) -> str:
        one = self.out.emit(f"load {self.element}, ptr {pointer}, align {self.dtype.itemsize}")
        return splat(self.out, one, self.dtype, self.lanes)

    def _fetch(self, pointer: str) -> None:
        """Into the second cache: what waits in the first one is needed sooner. An address behind the matrix does no harm."""
        self.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.out.line(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 2, i32 1)")

    def _mask(self, j: str) -> str:
        left, kind = self.out.emit(f"sub i64 %cols, {j}"), llvm_type(int64, self.lanes)
        numbers = "<" + ", ".join(f"i64 {x}" for x in range(self.lanes)) + ">"
        return self.out.emit(f"icmp slt {kind} {numbers}, {splat(self.out, left, int64, self.lanes)}")

    def _load(self, pointer: str, mask: str | None) -> str:
        if mask is None:
            return self.out.emit(f"load {self.vector}, ptr {pointer}, align {self.dtype.itemsize}")
        name = f"@llvm.masked.load.{mangled(self.dtype, self.lanes)}.p0"
        self.module.declare(f"declare {self.vector} {name}(ptr, i32, {self.mask_type}, {self.vector})")
        under = f"i32 {self.dtype.itemsize}, {self.mask_type} {mask}, {self.vector} zeroinitializer"
        return self.out.emit(f"call {self.vector} {name}(ptr {pointer}, {under})")

    def _store(self, value: str, pointer: str, mask: str | None) -> None:
        if mask is None:
            self.out.line(f"store {self.vector} {value}, ptr {pointer}, align {self.dtype.itemsize}")
            return
        name = f"@llvm.masked.store.{mangled(self.dtype, self.lanes)}.p0"
        self.module.declare(f"declare void {name}({self.vector}, ptr, i32, {self.mask_type})")
        self.out.line(f"call void {name}({self.vector} {value}, ptr {pointer}, i32 {self.dtype.itemsize}, {self.mask_type} {mask})")
