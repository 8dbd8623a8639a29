"""Products of few rows with a matrix that lies along k: dot products, lanes along k, several columns at a time.

d[i, j] = (d[i, j] if add else 0) + sum over k < kc of a[i, k] * b[j, k]

Every dot product is added up in one order, whichever others are done with it: `UNROLL` vectors of sums, whose lanes are then folded in
halves.
"""

from __future__ import annotations

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import emit_op
from graphc.codegen.llvm.llvm_text import Block, Function, Module, hidden, literal, llvm_type, mangled
from graphc.dtypes import int64
from graphc.target import Target

PARAMETERS = (
    "ptr %a", "i64 %a_row", "ptr %b", "i64 %b_row", "i64 %kc", "ptr %d", "i64 %d_row", "i64 %rows", "i64 %cols", "i1 %add",
)  # fmt: skip
UNROLL = 2  # vectors of a row at a time


def write_dots(module: Module, target: Target, dtype: np.dtype, rows: int | None, attributes: tuple[str, ...]) -> str:
    """The name of f(a, a_row, b, b_row, kc, d, d_row, rows, cols, add): elements of a, b and d along a row lie next to each other.

    It is for so many rows, if they are known.
    """
    together = (2, 1) if rows is None else (2,) * (rows > 1) + (1,) * (rows % 2)
    name = f"dots.{dtype.name}." + "".join(map(str, together))
    if name not in module.functions:
        module.add(_Writer(module, target, dtype).function(name, together, attributes))
    return name


class _Writer:
    def __init__(self, module: Module, target: Target, dtype: np.dtype) -> None:
        self.module, self.target, self.dtype, self.lanes = module, target, dtype, target.lanes(dtype)
        self.element, self.vector = llvm_type(dtype, 1), llvm_type(dtype, self.lanes)
        self.out = Block()

    def function(self, name: str, together: tuple[int, ...], attributes: tuple[str, ...]) -> Function:
        """for i in rows by 2, and for the last of an odd number: for j in cols by `columns`: dot products."""
        out = self.out
        out.current = "entry"
        self.last_column = out.emit("sub i64 %cols, 1")
        self.whole = out.emit(f"and i64 %kc, {-UNROLL * self.lanes}")
        start = "0"
        for rows in together:
            start = self._rows(start, rows)
        out.line("ret void")
        return Function(name, PARAMETERS, out.lines, attributes)

    def _rows(self, start: str, rows: int) -> str:
        """for i from `start` on, while there are `rows` more: their dot products. The row behind them."""
        out, n = self.out, f".{rows}"
        self.rows = rows
        self.columns = min(self.target.registers // 2 // (rows * UNROLL), self.lanes)  # sums in half the registers
        before, end = out.current, out.emit(f"sub i64 %rows, {rows}")
        any_ = out.emit(f"icmp sle i64 {start}, {end}")
        out.line(f"br i1 {any_}, label %row{n}, label %end{n}")
        out.label(f"row{n}")
        out.line(f"%i{n} = phi i64 [ {start}, %{before} ], [ %i.next{n}, %row.end{n} ]")
        at = [f"%i{n}", *[out.emit(f"add i64 %i{n}, {r}") for r in range(1, rows)]]
        a_rows = [self._at("%a", self._mul(i, "%a_row")) for i in at]
        d_rows = [self._at("%d", self._mul(i, "%d_row")) for i in at]
        out.line(f"br label %column{n}")
        out.label(f"column{n}")
        out.line(f"%j{n} = phi i64 [ 0, %row{n} ], [ %j.next{n}, %store{n} ]")
        b_rows = [self._at("%b", self._mul(self._clamped(f"%j{n}", c), "%b_row")) for c in range(self.columns)]
        zeros = [self._zero(self.lanes)] * (rows * self.columns * UNROLL)
        sums = self._loop(f"whole{n}", "0", self.whole, zeros, UNROLL, a_rows, b_rows)
        sums = self._loop(f"rest{n}", self.whole, "%kc", sums, 0, a_rows, b_rows)
        count = rows * self.columns
        totals = sums[:count]
        for u in range(1, UNROLL):
            totals = [self._add(x, y, self.lanes) for x, y in zip(totals, sums[u * count : (u + 1) * count], strict=True)]
        self._finish(n, [self._joined(totals[r * self.columns : (r + 1) * self.columns]) for r in range(rows)], d_rows)
        out.line(f"%j.next{n} = add i64 %j{n}, {self.columns}")
        out.line(f"%j.more{n} = icmp slt i64 %j.next{n}, %cols")
        out.line(f"br i1 %j.more{n}, label %column{n}, label %row.end{n}")
        out.label(f"row.end{n}")
        out.line(f"%i.next{n} = add i64 %i{n}, {rows}")
        out.line(f"%i.more{n} = icmp sle i64 %i.next{n}, {end}")
        out.line(f"br i1 %i.more{n}, label %row{n}, label %end{n}")
        out.label(f"end{n}")
        return out.emit(f"phi i64 [ {start}, %{before} ], [ %i.next{n}, %row.end{n} ]")

    def _loop(self, name: str, start: str, end: str, sums: list[str], unroll: int, a_rows: list[str], b_rows: list[str]) -> list[str]:
        """for k in start..end by `unroll` vectors, or by one under a mask if that is 0: the sums after it."""
        out, before = self.out, self.out.current
        out.line(f"%{name}.any = icmp slt i64 {start}, {end}")
        out.line(f"br i1 %{name}.any, label %{name}, label %{name}.end")
        out.label(name)
        k, phis = f"%{name}.k", len(out.lines)
        old = [f"%{name}.s{x}" for x in range(len(sums))]
        new = list(old)
        mask = "" if unroll else self._mask(end, k, self.lanes)
        for u in range(max(unroll, 1)):
            at = k if u == 0 else out.emit(f"add nuw nsw i64 {k}, {u * self.lanes}")
            first = u * len(a_rows) * len(b_rows)
            new[first : first + len(a_rows) * len(b_rows)] = self._step(at, mask, a_rows, b_rows, new[first:])
        out.line(f"{k}.next = add nuw nsw i64 {k}, {max(unroll, 1) * self.lanes}")
        out.line(f"{k}.more = icmp slt i64 {k}.next, {end}")
        following = hidden(self.module, out, f"{k}.next")
        out.line(f"br i1 {k}.more, label %{name}, label %{name}.end")
        out.lines[phis:phis] = [f"  {k} = phi i64 [ {start}, %{before} ], [ {following}, %{name} ]"] + [
            f"  {o} = phi {self.vector} [ {s}, %{before} ], [ {x}, %{name} ]" for o, s, x in zip(old, sums, new, strict=True)
        ]
        out.label(f"{name}.end")
        return [out.emit(f"phi {self.vector} [ {s}, %{before} ], [ {x}, %{name} ]") for s, x in zip(sums, new, strict=True)]

    def _step(self, k: str, mask: str, a_rows: list[str], b_rows: list[str], sums: list[str]) -> list[str]:
        """Every sum plus the products of the elements of its rows from k on, by rows of a."""
        left = [self._load(self._at(row, k), mask, self.lanes) for row in a_rows]
        new = sums[: len(a_rows) * len(b_rows)]
        x, y, z = (sc.arg(n, self.dtype) for n in range(3))
        for c, row in enumerate(b_rows):
            right = self._load(self._at(row, k), mask, self.lanes)
            for r, a in enumerate(left):
                n = r * len(b_rows) + c
                new[n] = emit_op(self.module, self.out, self.target, sc.fma(x, y, z), [a, right, sums[n]], self.lanes)
        return new

    def _finish(self, n: str, totals: list[str], d_rows: list[str]) -> None:
        """Add what is there already, and store."""
        out, width, item = self.out, self.columns, self.dtype.itemsize
        mask, kind, before = self._mask("%cols", f"%j{n}", width), llvm_type(self.dtype, width), out.current
        places = [self._at(row, f"%j{n}") for row in d_rows]
        out.line(f"br i1 %add, label %old{n}, label %store{n}")
        out.label(f"old{n}")
        more = [self._add(self._load(place, mask, width), t, width) for place, t in zip(places, totals, strict=True)]
        out.line(f"br label %store{n}")
        out.label(f"store{n}")
        final = [out.emit(f"phi {kind} [ {t}, %{before} ], [ {m}, %old{n} ]") for t, m in zip(totals, more, strict=True)]
        name = f"@llvm.masked.store.{mangled(self.dtype, width)}.p0"
        self.module.declare(f"declare void {name}({kind}, ptr, i32, <{width} x i1>)")
        for value, place in zip(final, places, strict=True):
            out.line(f"call void {name}({kind} {value}, ptr {place}, i32 {item}, <{width} x i1> {mask})")

    def _joined(self, sums: list[str]) -> str:
        """One vector of the totals of every sum: rounds that add the halves of the lanes left, of two vectors into one while there are."""
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
        while s:
            left, right = ([x for x in range(lanes) if bool(x & s) is upper] for upper in (False, True))
            total = self._add(self._shuffle(total, "poison", left, lanes), self._shuffle(total, "poison", right, lanes), lanes // 2)
            lanes, s = lanes // 2, s // 2
        return total

    # -- instructions -------------------------------------------------------------------------------------------
    def _zero(self, lanes: int) -> str:
        return literal(sc.const(0, self.dtype), lanes)

    def _clamped(self, start: str, n: int) -> str:
        """Column start + n, or the last one, which is then computed again."""
        self.module.declare("declare i64 @llvm.smin.i64(i64, i64)")
        return self.out.emit(f"call i64 @llvm.smin.i64(i64 {self.out.emit(f'add i64 {start}, {n}')}, i64 {self.last_column})")

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
        if not mask:
            return self.out.emit(f"load {kind}, ptr {pointer}, align {self.dtype.itemsize}")
        self.module.declare(f"declare {kind} {name}(ptr, i32, <{lanes} x i1>, {kind})")
        return self.out.emit(
            f"call {kind} {name}(ptr {pointer}, i32 {self.dtype.itemsize}, <{lanes} x i1> {mask}, {kind} {self._zero(lanes)})"
        )
