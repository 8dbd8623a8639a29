"""The inner kernel of a product: a tile of sums held in registers while k runs.

    d[i, j] = (s[i, j] if add) + sum over k < kc of a[i, k] * b[k, j]        i < rows, j < vectors * lanes

Each step loads one row of b, and spreads one element of a per row of the tile over the lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codegen.lines import Block, Module, llvm_type, mangled
from codegen.text import emit_op
from graphc import scalar as sc
from graphc.target import Target

CHAINS = 8  # sums in flight that hide the latency of an FMA


@dataclass(frozen=True)
class Tile:
    """rows x vectors. With `masked` only `cols` columns exist, with `clamped` only `count` rows, both given at run time; without `adds` `add` is never set."""

    rows: int
    vectors: int
    masked: bool = False
    clamped: bool = False
    adds: bool = True


@dataclass(frozen=True)
class Steps:
    """How far apart the elements of a are: numbers where they are known when the code is written."""

    row: int | None
    k: int | None


def write_tile(module: Module, target: Target, name: str, tile: Tile, dtype: np.dtype, lanes: int, steps: Steps, attributes: str) -> None:
    """`name(a, a_row, a_k, b, b_k, kc, s, s_row, d, d_row, add, count, cols)`, strides in elements."""
    module.functions[name] = _Writer(module, target, tile, dtype, lanes, steps).text(name, attributes)


class _Writer:
    def __init__(self, module: Module, target: Target, tile: Tile, dtype: np.dtype, lanes: int, steps: Steps) -> None:
        self.module, self.target, self.tile, self.dtype, self.lanes, self.steps = module, target, tile, dtype, lanes, steps
        self.element, self.vector = llvm_type(dtype, 1), llvm_type(dtype, lanes)
        self.mask_type = f"<{lanes} x i1>"
        self.suffix = mangled(dtype, lanes)
        self.out = Block()
        self.out.current = "entry"
        self.sums = tile.rows * tile.vectors
        self.unroll = max(1, min(4, CHAINS // self.sums))  # few sums: several of each, so that FMAs do not wait for one another
        self.masks: list[str] = []

    def text(self, name: str, attributes: str) -> str:
        out, tile = self.out, self.tile
        self.offsets = [self._row(i) for i in range(tile.rows)]
        if tile.masked:
            self.masks = [self._mask(v) for v in range(tile.vectors)]
        accumulators = ["zeroinitializer"] * (self.sums * self.unroll)
        start = "0"
        if self.unroll > 1:
            whole = out.emit(f"and i64 %kc, {-(1 << (self.unroll.bit_length() - 1))}")
            accumulators, start = self._loop("0", whole, accumulators, self.unroll)
        if self.unroll > 1:
            accumulators, _ = self._loop(start, "%kc", accumulators, 1)
        else:
            accumulators, _ = self._loop("0", "%kc", accumulators, 1)
        sums = accumulators[: self.sums]
        for u in range(1, self.unroll):
            more = accumulators[u * self.sums : (u + 1) * self.sums]
            sums = [self._add(x, y) for x, y in zip(sums, more, strict=True)]
        self._finish(sums)
        params = "ptr %a, i64 %a_row, i64 %a_k, ptr %b, i64 %b_k, i64 %kc, ptr %s, i64 %s_row, ptr %d, i64 %d_row, i1 %add, i64 %count, i64 %cols"
        body = "\n".join(out.lines)
        return f"define internal void @{name}({params}) {attributes} {{\nentry:\n{body}\n  ret void\n}}\n"

    def _step(self, name: str) -> str:
        known = self.steps.row if name == "a_row" else self.steps.k
        return f"%{name}" if known is None else str(known)

    def _row(self, i: int) -> str:
        """The offset of row i of a; rows beyond the count are read as the last one, and not stored."""
        if i == 0:
            return "0"
        if self.tile.clamped:
            last = self.out.emit("sub i64 %count, 1")
            inside = self.out.emit(f"icmp slt i64 {last}, {i}")
            at = self.out.emit(f"select i1 {inside}, i64 {last}, i64 {i}")
            return self.out.emit(f"mul i64 {at}, {self._step('a_row')}")
        if self.steps.row is not None:
            return str(i * self.steps.row)
        return self.out.emit(f"mul i64 %a_row, {i}")

    def _mask(self, v: int) -> str:
        left = self.out.emit(f"sub i64 %cols, {v * self.lanes}")
        first = self.out.emit(f"insertelement <{self.lanes} x i64> poison, i64 {left}, i64 0")
        whole = self.out.emit(f"shufflevector <{self.lanes} x i64> {first}, <{self.lanes} x i64> poison, <{self.lanes} x i32> zeroinitializer")
        numbers = "<" + ", ".join(f"i64 {k}" for k in range(self.lanes)) + ">"
        return self.out.emit(f"icmp slt <{self.lanes} x i64> {numbers}, {whole}")

    # -- the loop over k ----------------------------------------------------------------------------------------
    def _loop(self, start: str, end: str, sums: list[str], unroll: int) -> tuple[list[str], str]:
        """for k in start..end by `unroll`: every sum += a * b. The sums after it, and where it stopped."""
        out = self.out
        n = next(out.names)
        head, exit_, before = f"loop{n}", f"done{n}", out.current
        enter = out.emit(f"icmp slt i64 {start}, {end}")
        out.line(f"br i1 {enter}, label %{head}, label %{exit_}")
        out.label(head)
        at = len(out.lines)
        k = f"%k{n}"
        olds = [f"%s{n}.{j}" for j in range(len(sums))]
        news = list(olds)
        for u in range(unroll):
            here = k if u == 0 else out.emit(f"add nuw nsw i64 {k}, {u}")
            base = u * self.sums
            news[base : base + self.sums] = self._step_sums(here, news[base : base + self.sums])
        following = out.emit(f"add nuw nsw i64 {k}, {unroll}")
        again = out.emit(f"icmp slt i64 {following}, {end}")
        out.line(f"br i1 {again}, label %{head}, label %{exit_}")
        phis = [f"  {k} = phi i64 [ {start}, %{before} ], [ {following}, %{head} ]"]
        phis += [f"  {o} = phi {self.vector} [ {s}, %{before} ], [ {x}, %{head} ]" for o, s, x in zip(olds, sums, news, strict=True)]
        out.lines[at:at] = phis
        out.label(exit_)
        stopped = out.emit(f"phi i64 [ {start}, %{before} ], [ {following}, %{head} ]")
        return [out.emit(f"phi {self.vector} [ {s}, %{before} ], [ {x}, %{head} ]") for s, x in zip(sums, news, strict=True)], stopped

    def _step_sums(self, k: str, sums: list[str]) -> list[str]:
        out, tile = self.out, self.tile
        row = self._at("%b", out.emit(f"mul i64 {k}, %b_k"))
        b = [self._load(self._at(row, str(v * self.lanes)), v) for v in range(tile.vectors)]
        column = self._at("%a", k if self.steps.k == 1 else out.emit(f"mul i64 {k}, {self._step('a_k')}"))
        result = []
        x, y, z = (sc.arg(j, self.dtype) for j in range(3))
        for i in range(tile.rows):
            one = out.emit(f"load {self.element}, ptr {self._at(column, self.offsets[i])}, align {self.dtype.itemsize}")
            # the load, the insert and the shuffle with zeros are one broadcasting instruction
            first = out.emit(f"insertelement {self.vector} poison, {self.element} {one}, i64 0")
            spread = out.emit(f"shufflevector {self.vector} {first}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer")
            for v in range(tile.vectors):
                result.append(emit_op(self.module, out, self.target, sc.fma(x, y, z), [spread, b[v], sums[i * tile.vectors + v]], self.lanes))
        return result

    # -- memory -------------------------------------------------------------------------------------------------
    def _at(self, pointer: str, offset: str) -> str:
        return pointer if offset == "0" else self.out.emit(f"getelementptr inbounds {self.element}, ptr {pointer}, i64 {offset}")

    def _add(self, x: str, y: str) -> str:
        a, b = sc.arg(0, self.dtype), sc.arg(1, self.dtype)
        return emit_op(self.module, self.out, self.target, a + b, [x, y], self.lanes)

    def _load(self, pointer: str, v: int, mask: str | None = None) -> str:
        item = self.dtype.itemsize
        if not self.masks:
            return self.out.emit(f"load {self.vector}, ptr {pointer}, align {item}")
        name = f"@llvm.masked.load.{self.suffix}.p0"
        self.module.declare(f"declare {self.vector} {name}(ptr, i32, {self.mask_type}, {self.vector})")
        mask = mask or self.masks[v]
        return self.out.emit(f"call {self.vector} {name}(ptr {pointer}, i32 {item}, {self.mask_type} {mask}, {self.vector} zeroinitializer)")

    def _store(self, value: str, pointer: str, mask: str | None) -> None:
        item = self.dtype.itemsize
        if mask is None:
            self.out.line(f"store {self.vector} {value}, ptr {pointer}, align {item}")
            return
        name = f"@llvm.masked.store.{self.suffix}.p0"
        self.module.declare(f"declare void {name}({self.vector}, ptr, i32, {self.mask_type})")
        self.out.line(f"call void {name}({self.vector} {value}, ptr {pointer}, i32 {item}, {self.mask_type} {mask})")

    def _finish(self, sums: list[str]) -> None:
        """Add what is there already, and store."""
        out, tile = self.out, self.tile
        masks = self._row_masks()
        final = self._added(sums, masks) if tile.adds else sums
        for i in range(tile.rows):
            row = self._at("%d", "0" if i == 0 else out.emit(f"mul i64 %d_row, {i}"))
            for v in range(tile.vectors):
                self._store(final[i * tile.vectors + v], self._at(row, str(v * self.lanes)), masks[i][v])

    def _added(self, sums: list[str], masks: list[list[str | None]]) -> list[str]:
        """What `s` holds added to the sums, if `add`."""
        out, tile, before = self.out, self.tile, self.out.current
        out.line("br i1 %add, label %more, label %store")
        out.label("more")
        totals = []
        for i in range(tile.rows):
            row = self._at("%s", "0" if i == 0 else out.emit(f"mul i64 %s_row, {i}"))
            for v in range(tile.vectors):
                old = self._load(self._at(row, str(v * self.lanes)), v, masks[i][v])
                totals.append(self._add(old, sums[i * tile.vectors + v]))
        out.line("br label %store")
        out.label("store")
        return [out.emit(f"phi {self.vector} [ {s}, %{before} ], [ {t}, %more ]") for s, t in zip(sums, totals, strict=True)]

    def _row_masks(self) -> list[list[str | None]]:
        """The lanes of each row that exist; none for rows beyond the count."""
        tile = self.tile
        if not tile.clamped:
            return [[self.masks[v] if self.masks else None for v in range(tile.vectors)] for _ in range(tile.rows)]
        result: list[list[str | None]] = []
        for i in range(tile.rows):
            exists = self.out.emit(f"icmp slt i64 {i}, %count")
            result.append([self.out.emit(f"select i1 {exists}, {self.mask_type} {m}, {self.mask_type} zeroinitializer") for m in self.masks])
        return result
