"""Products of few rows with a matrix that lies along k: dot products, lanes along k, several columns at a time.

d[i, j] = (d[i, j] if add else 0) + sum over k < kc of a[i, k] * b[j, k]
"""

from __future__ import annotations

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import emit_op
from graphc.codegen.llvm.llvm_text import Block, Function, Module, literal, llvm_type, mangled
from graphc.dtypes import int64
from graphc.target import Target

PARAMETERS = (
    "ptr %a", "i64 %a_row", "ptr %b", "i64 %b_row", "i64 %kc", "ptr %d", "i64 %d_row", "i64 %rows", "i64 %cols", "i1 %add",
)  # fmt: skip
COLUMNS = 8  # as many pointers as fit into the registers


def write_dots(module: Module, target: Target, dtype: np.dtype, attributes: tuple[str, ...]) -> str:
    """The name of f(a, a_row, b, b_row, kc, d, d_row, rows, cols, add): elements of a, b and d along a row lie next to each other."""
    name = f"dots.{dtype.name}"
    if name not in module.functions:
        module.add(_Writer(module, target, dtype).function(name, attributes))
    return name


class _Writer:
    def __init__(self, module: Module, target: Target, dtype: np.dtype) -> None:
        self.module, self.target, self.dtype, self.lanes = module, target, dtype, target.lanes(dtype)
        self.columns = min(COLUMNS, self.lanes)
        self.rows = 2 if target.registers >= 32 else 1
        self.element, self.vector = llvm_type(dtype, 1), llvm_type(dtype, self.lanes)
        self.out = Block()

    def function(self, name: str, attributes: tuple[str, ...]) -> Function:
        """for i in rows by `rows`: for j in cols by `columns`: dot products; beyond the last row or column the last is computed again."""
        out, lines = self.out, self.out.lines
        last_row, last_column = out.emit("sub i64 %rows, 1"), out.emit("sub i64 %cols, 1")
        lines += ["  br label %row", "row:", "  %i = phi i64 [ 0, %entry ], [ %i.next, %row.end ]"]
        at = [self._clamped("%i", r, last_row) for r in range(self.rows)]
        a_rows = [self._at("%a", self._mul(i, "%a_row")) for i in at]
        d_rows = [self._at("%d", self._mul(i, "%d_row")) for i in at]
        lines += ["  br label %column", "column:", "  %j = phi i64 [ 0, %row ], [ %j.next, %store ]"]
        b_rows = [self._at("%b", self._mul(self._clamped("%j", c, last_column), "%b_row")) for c in range(self.columns)]
        lines += ["  %any = icmp sgt i64 %kc, 0", "  br i1 %any, label %step, label %sum", "step:"]
        lines += ["  %k = phi i64 [ 0, %column ], [ %k.next, %step ]"]
        phis = len(lines)
        old = [f"%s{n}" for n in range(self.rows * self.columns)]
        new = self._step(a_rows, b_rows, old)
        zero = self._zero(self.lanes)
        lines[phis:phis] = [f"  {o} = phi {self.vector} [ {zero}, %column ], [ {x}, %step ]" for o, x in zip(old, new, strict=True)]
        lines += [
            f"  %k.next = add i64 %k, {self.lanes}",
            "  %more = icmp slt i64 %k.next, %kc",
            "  br i1 %more, label %step, label %sum",
            "sum:",
        ]
        sums = [out.emit(f"phi {self.vector} [ {zero}, %column ], [ {value}, %step ]") for value in new]
        self._finish([self._joined(sums[r * self.columns : (r + 1) * self.columns]) for r in range(self.rows)], d_rows)
        lines += [f"  %j.next = add i64 %j, {self.columns}", "  %j.more = icmp slt i64 %j.next, %cols"]
        lines += ["  br i1 %j.more, label %column, label %row.end", "row.end:", f"  %i.next = add i64 %i, {self.rows}"]
        lines += ["  %i.more = icmp slt i64 %i.next, %rows", "  br i1 %i.more, label %row, label %end", "end:"]
        out.line("ret void")
        return Function(name, PARAMETERS, lines, attributes)

    def _step(self, a_rows: list[str], b_rows: list[str], sums: list[str]) -> list[str]:
        """Every sum plus the products of the next `lanes` elements of its rows."""
        mask = self._mask("%kc", "%k", self.lanes)
        left = [self._load(self._at(row, "%k"), mask, self.lanes) for row in a_rows]
        new = list(sums)
        x, y, z = (sc.arg(n, self.dtype) for n in range(3))
        for c, row in enumerate(b_rows):
            right = self._load(self._at(row, "%k"), mask, self.lanes)
            for r, a in enumerate(left):
                n = r * self.columns + c
                new[n] = emit_op(self.module, self.out, self.target, sc.fma(x, y, z), [a, right, sums[n]], self.lanes)
        return new

    def _finish(self, totals: list[str], d_rows: list[str]) -> None:
        """Add what is there already, and store; a row computed twice is stored twice."""
        out, width, item = self.out, self.columns, self.dtype.itemsize
        mask, kind = self._mask("%cols", "%j", width), llvm_type(self.dtype, width)
        places = [self._at(row, "%j") for row in d_rows]
        out.lines += ["  br i1 %add, label %old, label %store", "old:"]
        more = [self._add(self._load(place, mask, width), t, width) for place, t in zip(places, totals, strict=True)]
        out.lines += ["  br label %store", "store:"]
        final = [out.emit(f"phi {kind} [ {t}, %sum ], [ {m}, %old ]") for t, m in zip(totals, more, strict=True)]
        name = f"@llvm.masked.store.{mangled(self.dtype, width)}.p0"
        self.module.declare(f"declare void {name}({kind}, ptr, i32, <{width} x i1>)")
        for value, place in zip(final, places, strict=True):
            out.line(f"call void {name}({kind} {value}, ptr {place}, i32 {item}, <{width} x i1> {mask})")

    def _joined(self, sums: list[str]) -> str:
        """One vector of the lanes' totals of every sum: rounds that add halves of two vectors into one."""
        lanes, s = self.lanes, self.lanes // 2
        while len(sums) > 1:
            low = [x if not x & s else lanes + x - s for x in range(lanes)]
            high = [x + s if not x & s else lanes + x for x in range(lanes)]
            half = len(sums) // 2
            sums = [
                self._add(self._shuffle(a, b, low, lanes), self._shuffle(a, b, high, lanes), lanes)
                for a, b in zip(sums[:half], sums[half:], strict=True)
            ]
            s //= 2
        (total,) = sums
        while lanes > self.columns:
            lanes //= 2
            even, odd = ([2 * x + e for x in range(lanes)] for e in (0, 1))
            total = self._add(self._shuffle(total, "poison", even, 2 * lanes), self._shuffle(total, "poison", odd, 2 * lanes), lanes)
        return total

    # -- instructions -------------------------------------------------------------------------------------------
    def _zero(self, lanes: int) -> str:
        return literal(sc.const(0, self.dtype), lanes)

    def _clamped(self, start: str, n: int, last: str) -> str:
        """min(start + n, last)."""
        self.module.declare("declare i64 @llvm.smin.i64(i64, i64)")
        return self.out.emit(f"call i64 @llvm.smin.i64(i64 {self.out.emit(f'add i64 {start}, {n}')}, i64 {last})")

    def _mul(self, x: str, y: str) -> str:
        return self.out.emit(f"mul i64 {x}, {y}")

    def _at(self, pointer: str, offset: str) -> str:
        return self.out.emit(f"getelementptr inbounds {self.element}, ptr {pointer}, i64 {offset}")

    def _add(self, x: str, y: str, lanes: int) -> str:
        return emit_op(self.module, self.out, self.target, sc.arg(0, self.dtype) + sc.arg(1, self.dtype), [x, y], lanes)

    def _shuffle(self, a: str, b: str, picks: list[int], lanes: int) -> str:
        kind, where = llvm_type(self.dtype, lanes), ", ".join(f"i32 {x}" for x in picks)
        return self.out.emit(f"shufflevector {kind} {a}, {kind} {b}, <{len(picks)} x i32> <{where}>")

    def _mask(self, end: str, at: str, lanes: int) -> str:
        """The lanes x with at + x < end."""
        left, kind = self.out.emit(f"sub i64 {end}, {at}"), llvm_type(int64, lanes)
        first = self.out.emit(f"insertelement {kind} poison, i64 {left}, i64 0")
        spread = self.out.emit(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")
        numbers = "<" + ", ".join(f"i64 {x}" for x in range(lanes)) + ">"
        return self.out.emit(f"icmp slt {kind} {numbers}, {spread}")

    def _load(self, pointer: str, mask: str, lanes: int) -> str:
        kind, name = llvm_type(self.dtype, lanes), f"@llvm.masked.load.{mangled(self.dtype, lanes)}.p0"
        self.module.declare(f"declare {kind} {name}(ptr, i32, <{lanes} x i1>, {kind})")
        return self.out.emit(
            f"call {kind} {name}(ptr {pointer}, i32 {self.dtype.itemsize}, <{lanes} x i1> {mask}, {kind} {self._zero(lanes)})"
        )
