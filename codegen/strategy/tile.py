"""The inner kernel of a product: tiles of sums held in registers while k runs, one below the other.

    d[i, j] = (d[i, j] if add else 0) + sum over k < kc of a[i, k] * b[k, j]        i < rows, j < vectors * lanes

Each step loads one row of b, and spreads one element of a per row of the tile over the lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import emit_op
from graphc.codegen.llvm.llvm_text import Block, Function, Module, hidden, llvm_type, mangled, splat
from graphc.dtypes import int64
from graphc.records import dataclass
from graphc.target import Target

MAX_UNROLL = 4
FAR = 128  # steps of k, 24 cycles each


@dataclass(frozen=True)
class Tile:
    """height x vectors sums. `masked`: only `cols` columns exist, which end in one of so many of the last vectors; `clamped`: the last
    tile may have fewer rows; `half`: the last vector has half the lanes, which some processors take in half the time; `chained`: each sum
    is one chain of additions, however few sums there are; `ahead`: what is needed next is brought into the second cache.

    Where rows of a, or steps of k, lie next to each other is not said: it makes no difference to the speed, 112 GF/s at 64.
    """

    dtype: np.dtype
    height: int
    vectors: int
    masked: int
    clamped: bool
    half: bool = False
    chained: bool = False
    ahead: bool = False

    @property
    def name(self) -> str:
        masked = "m" if self.masked == 1 else f"m{self.masked}"
        marks = {masked: self.masked, "c": self.clamped, "h": self.half, "s": self.chained, "p": self.ahead}
        return f"tile.{self.dtype.name}.{self.height}x{self.vectors}{''.join([mark for mark, on in marks.items() if on])}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Of its function."""
        return (*PARAMETERS, *AHEAD) if self.ahead else PARAMETERS


PARAMETERS = (
    "ptr %a",
    "i64 %a_row",
    "i64 %a_k",
    "i64 %a_tile",
    "ptr %b",
    "i64 %b_k",
    "i64 %kc",
    "ptr %d",
    "i64 %d_row",
    "i64 %rows",
    "i64 %cols",
    "i1 %add",
)
AHEAD = ("ptr %next",)  # with `ahead`: what is needed next
AHEAD_TILES = 16  # so many tiles bring a panel: a constant, for the loop has no register left


def write_tile(module: Module, target: Target, tile: Tile, attributes: tuple[str, ...]) -> str:
    """The name of the tile's function, written once a module: all products share it.

    rows is a multiple of the height unless the tile is clamped, and may be 0. Strides are in elements; `a_tile` is that
    between the first rows of tiles.
    """
    if tile.name not in module.functions:
        module.add(_Writer(module, target, tile).function(tile.name, attributes))
    return tile.name


def write_tiles(module: Module, target: Target, tile: Tile, heights: Sequence[int], attributes: tuple[str, ...]) -> str:
    """The name of a function of the same parameters for any number of rows: whole tiles, then lower ones of these heights for the rest.

    Each height divides the one before it but the tile's own. `a_tile` is the tile's; the rest begins where the next tile would.
    """
    name = f"{tile.name}.rows"
    if name not in module.functions:
        lower = [write_tile(module, target, replace(tile, height=h, ahead=False), attributes) for h in heights]
        module.add(_all_rows(name, write_tile(module, target, tile, attributes), tile, list(zip(heights, lower, strict=True)), attributes))
    return name


def _all_rows(name: str, whole: str, tile: Tile, lower: Sequence[tuple[int, str]], attributes: tuple[str, ...]) -> Function:
    out, element = Block(), llvm_type(tile.dtype, 1)

    def call(callee: str, parameters: Sequence[str], a: str, a_tile: str, d: str, rows: str) -> None:
        given = {"%a": a, "%a_tile": a_tile, "%d": d, "%rows": rows}
        kinds = [parameter.split() for parameter in parameters]
        out.line(f"call void @{callee}({', '.join([f'{kind} {given.get(x, x)}' for kind, x in kinds])})")

    def moved(pointer: str, by: str, step: str) -> str:
        return out.emit(f"getelementptr inbounds {element}, ptr {pointer}, i64 {out.emit(f'mul i64 {by}, {step}')}")

    left = out.emit(f"urem i64 %rows, {tile.height}")
    done = out.emit(f"sub i64 %rows, {left}")
    call(whole, tile.parameters, "%a", "%a_tile", "%d", done)
    out.line(f"br i1 {out.emit(f'icmp eq i64 {left}, 0')}, label %end, label %rest")
    out.label("rest")
    a, d = moved("%a", out.emit(f"udiv i64 {done}, {tile.height}"), "%a_tile"), moved("%d", done, "%d_row")
    for height, callee in lower:
        rows = out.emit(f"and i64 {left}, {-height}")
        call(callee, PARAMETERS, a, out.emit(f"mul i64 %a_row, {height}"), d, rows)
        if height > 1:
            left, a, d = out.emit(f"and i64 {left}, {height - 1}"), moved(a, rows, "%a_row"), moved(d, rows, "%d_row")
    out.line("br label %end")
    out.label("end")
    out.line("ret void")
    return Function(name, tile.parameters, out.lines, attributes)


Place = tuple[str, ...]  # the pointers to its column of a, to its row of b, and to what is brought for later


class _Writer:
    def __init__(self, module: Module, target: Target, tile: Tile) -> None:
        dtype, lanes = tile.dtype, target.lanes(tile.dtype)
        self.module, self.target, self.tile, self.dtype, self.lanes = module, target, tile, dtype, lanes
        self.widths = [lanes] * (tile.vectors - tile.half) + [lanes // 2] * tile.half
        self.element = llvm_type(dtype, 1)
        self.out = Block()
        self.sums = tile.height * tile.vectors
        self.ahead_step = max(tile.vectors * lanes * dtype.itemsize // AHEAD_TILES, 1)  # bytes that a step of k brings
        chains = target.latency * target.issue  # sums in flight, so that no multiply-add waits for another
        self.unroll = 1 if tile.chained else max(1, min(MAX_UNROLL, chains // self.sums))

    def function(self, name: str, attributes: tuple[str, ...]) -> Function:
        """for i in 0..rows by height: the sums of one tile, stored."""
        out, tile = self.out, self.tile
        out.current = "entry"
        unmasked = tile.vectors - tile.masked
        self.masks = [None] * unmasked + [self._mask(v) for v in range(unmasked, tile.vectors)]
        self.offsets = [] if tile.clamped else [self._times("%a_row", i) for i in range(tile.height)]
        whole = out.emit(f"and i64 %kc, {-self.unroll}") if self.unroll > 1 else "%kc"
        out.line("%any = icmp sgt i64 %rows, 0")
        out.line("br i1 %any, label %tile, label %end")
        out.label("tile")
        at = len(out.lines)
        if tile.clamped:
            out.line("%left = sub i64 %rows, %i")
            self.offsets = ["0", *[self._clamped_row(i) for i in range(1, tile.height)]]
        self._prefetch()
        zeros, first = ["zeroinitializer"] * (self.sums * self.unroll), ("%a.i", "%b", *["%next.i"] * tile.ahead)
        if self.unroll > 1:
            sums, reached = self._loop(first, whole, zeros, self.unroll)
            sums, _ = self._loop(reached, out.emit(f"sub i64 %kc, {whole}"), sums, 1)
        else:
            sums, _ = self._loop(first, "%kc", zeros, 1)
        for u in range(1, self.unroll):
            both = zip(sums[: self.sums], sums[u * self.sums :], strict=False)
            sums[: self.sums] = [self._add(x, y, self._width(j)) for j, (x, y) in enumerate(both)]
        self._finish(sums[: self.sums])
        out.line(f"%i.next = add nuw nsw i64 %i, {tile.height}")
        for pointer, step in (("a", "%a_tile"), ("d", self._times("%d_row", tile.height))):
            out.line(f"%{pointer}.next = getelementptr inbounds {self.element}, ptr %{pointer}.i, i64 {step}")
        if tile.ahead:
            out.line(f"%next.next = getelementptr i8, ptr %next.i, i64 {out.emit(f'mul i64 %kc, {self.ahead_step}')}")
        out.line("%again = icmp slt i64 %i.next, %rows")
        out.line("br i1 %again, label %tile, label %end")
        last = out.current
        out.lines[at:at] = [f"  %i = phi i64 [ 0, %entry ], [ %i.next, %{last} ]"] + [
            f"  %{p}.i = phi ptr [ %{p}, %entry ], [ %{p}.next, %{last} ]" for p in ("a", "d", *["next"] * tile.ahead)
        ]
        out.label("end")
        out.line("ret void")
        return Function(name, tile.parameters, out.lines, attributes)

    def _prefetch(self) -> None:
        """d comes into the cache while k runs, where k is long enough for that: 1 % at 1024."""
        out, n = self.out, next(self.out.names)
        self.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        far, before = out.emit(f"icmp sge i64 %kc, {FAR}"), out.current
        out.line(f"br i1 {far}, label %fetch{n}, label %near{n}")
        out.label(f"fetch{n}")
        out.line(f"%r{n} = phi i64 [ 0, %{before} ], [ %r{n}.next, %fetch{n} ]")
        row = self._at("%d.i", out.emit(f"mul i64 %r{n}, %d_row"))
        for v in range(self.tile.vectors):
            out.line(f"call void @llvm.prefetch.p0(ptr {self._at(row, str(v * self.lanes))}, i32 1, i32 3, i32 1)")
        out.line(f"%r{n}.next = add i64 %r{n}, 1")
        out.line(f"%r{n}.more = icmp slt i64 %r{n}.next, {self.tile.height}")
        out.line(f"br i1 %r{n}.more, label %fetch{n}, label %near{n}")
        out.label(f"near{n}")

    def _times(self, step: str, n: int) -> str:
        return "0" if n == 0 else step if n == 1 else self.out.emit(f"mul i64 {step}, {n}")

    def _clamped_row(self, i: int) -> str:
        """Rows beyond the last are read as the last one, and not stored."""
        last = self.out.emit("sub i64 %left, 1")
        self.module.declare("declare i64 @llvm.smin.i64(i64, i64)")
        row = self.out.emit(f"call i64 @llvm.smin.i64(i64 {last}, i64 {i})")
        return self.out.emit(f"mul i64 {row}, %a_row")

    def _mask(self, v: int) -> str:
        """The lanes of vector v that exist."""
        left = self.out.emit(f"sub i64 %cols, {v * self.lanes}")
        lanes = self.widths[v]
        vector = llvm_type(int64, lanes)
        first = self.out.emit(f"insertelement {vector} poison, i64 {left}, i64 0")
        spread = self.out.emit(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")
        numbers = "<" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">"
        return self.out.emit(f"icmp slt {vector} {numbers}, {spread}")

    # -- the loop over k ----------------------------------------------------------------------------------------
    def _loop(self, start: Place, count: str, sums: list[str], unroll: int) -> tuple[list[str], Place]:
        """`count` steps of k by `unroll`: every sum += a * b. The sums after it, and where it stopped. It counts down: a register less."""
        out = self.out
        n = next(out.names)
        head, exit_, before = f"loop{n}", f"done{n}", out.current
        enter = out.emit(f"icmp sgt i64 {count}, 0")
        out.line(f"br i1 {enter}, label %{head}, label %{exit_}")
        out.label(head)
        at = len(out.lines)
        here = f"%column{n}", f"%row{n}", *[f"%near{n}"] * self.tile.ahead
        old = [f"%s{n}.{j}" for j in range(len(sums))]
        new = list(old)
        column, row, *near = here
        for u in range(unroll):
            near = [self._bring(x) for x in near]
            base = u * self.sums
            new[base : base + self.sums] = self._step(column, row, new[base : base + self.sums])
            column, row = self._at(column, "%a_k"), self._at(row, "%b_k")
        left = out.emit(f"sub nsw i64 %left{n}, {unroll}")
        following = [hidden(self.module, out, x, "ptr") for x in (column, row, *near)]
        again = out.emit(f"icmp sgt i64 {left}, 0")
        left = hidden(self.module, out, left)
        out.line(f"br i1 {again}, label %{head}, label %{exit_}")
        places = list(zip(here, start, following, strict=True))
        kinds = [llvm_type(self.dtype, self._width(j)) for j in range(len(sums))]
        phis = [f"  %left{n} = phi i64 [ {count}, %{before} ], [ {left}, %{head} ]"]
        phis += [f"  {x} = phi ptr [ {s}, %{before} ], [ {f}, %{head} ]" for x, s, f in places]
        phis += [f"  {o} = phi {t} [ {s}, %{before} ], [ {x}, %{head} ]" for t, o, s, x in zip(kinds, old, sums, new, strict=True)]
        out.lines[at:at] = phis
        out.label(exit_)
        stopped = tuple([out.emit(f"phi ptr [ {s}, %{before} ], [ {f}, %{head} ]") for _, s, f in places])
        return [out.emit(f"phi {t} [ {s}, %{before} ], [ {x}, %{head} ]") for t, s, x in zip(kinds, sums, new, strict=True)], stopped

    def _bring(self, near: str) -> str:
        """A part of what is needed later into the second cache. Where the next part begins: behind the end it does no harm."""
        self.out.line(f"call void @llvm.prefetch.p0(ptr {near}, i32 0, i32 2, i32 1)")
        return self.out.emit(f"getelementptr i8, ptr {near}, i64 {self.ahead_step}")

    def _width(self, j: int) -> int:
        """The lanes of sum number j."""
        return self.widths[j % self.tile.vectors]

    def _step(self, column: str, row: str, sums: list[str]) -> list[str]:
        """The sums with the products of a column of a and a row of b added."""
        out, tile = self.out, self.tile
        b = [self._load(self._at(row, str(v * self.lanes)), width, self.masks[v]) for v, width in enumerate(self.widths)]
        result = []
        x, y, z = (sc.arg(j, self.dtype) for j in range(3))
        for i in range(tile.height):
            at = self._at(column, self.offsets[i])
            spread = {width: self._spread(at, width) for width in dict.fromkeys(self.widths)}  # one load: half of its lanes are none
            for v, width in enumerate(self.widths):
                values = [spread[width], b[v], sums[i * tile.vectors + v]]
                result.append(emit_op(self.module, out, self.target, sc.fma(x, y, z), values, width))
        return result

    def _spread(self, pointer: str, width: int) -> str:
        """The load, the insert and the shuffle with zeros are one broadcasting instruction."""
        one = self.out.emit(f"load {self.element}, ptr {pointer}, align {self.dtype.itemsize}")
        return splat(self.out, one, self.dtype, width)

    # -- memory -------------------------------------------------------------------------------------------------
    def _at(self, pointer: str, offset: str) -> str:
        return pointer if offset == "0" else self.out.emit(f"getelementptr inbounds {self.element}, ptr {pointer}, i64 {offset}")

    def _add(self, x: str, y: str, width: int) -> str:
        return emit_op(self.module, self.out, self.target, sc.arg(0, self.dtype) + sc.arg(1, self.dtype), [x, y], width)

    def _load(self, pointer: str, width: int, mask: str | None) -> str:
        item, kind = self.dtype.itemsize, llvm_type(self.dtype, width)
        if mask is None:
            return self.out.emit(f"load {kind}, ptr {pointer}, align {item}")
        name, masks = f"@llvm.masked.load.{mangled(self.dtype, width)}.p0", f"<{width} x i1>"
        self.module.declare(f"declare {kind} {name}(ptr, i32, {masks}, {kind})")
        return self.out.emit(f"call {kind} {name}(ptr {pointer}, i32 {item}, {masks} {mask}, {kind} zeroinitializer)")

    def _store(self, value: str, pointer: str, width: int, mask: str | None) -> None:
        item, kind = self.dtype.itemsize, llvm_type(self.dtype, width)
        if mask is None:
            self.out.line(f"store {kind} {value}, ptr {pointer}, align {item}")
            return
        name, masks = f"@llvm.masked.store.{mangled(self.dtype, width)}.p0", f"<{width} x i1>"
        self.module.declare(f"declare void {name}({kind}, ptr, i32, {masks})")
        self.out.line(f"call void {name}({kind} {value}, ptr {pointer}, i32 {item}, {masks} {mask})")

    def _finish(self, sums: list[str]) -> None:
        """Add what is there already, and store."""
        tile = self.tile
        places = []
        for i in range(tile.height):
            row = self._at("%d.i", self._times("%d_row", i))
            masks = self._row_masks(i)
            places += [(self._at(row, str(v * self.lanes)), width, masks[v]) for v, width in enumerate(self.widths)]
        before = self.out.current
        self.out.line("br i1 %add, label %more, label %store")
        self.out.label("more")
        totals = [self._add(self._load(*place), s, place[1]) for place, s in zip(places, sums, strict=True)]
        self.out.line("br label %store")
        self.out.label("store")
        kinds = [llvm_type(self.dtype, width) for _, width, _ in places]
        sums = [self.out.emit(f"phi {kind} [ {s}, %{before} ], [ {t}, %more ]") for kind, s, t in zip(kinds, sums, totals, strict=True)]
        for s, place in zip(sums, places, strict=True):
            self._store(s, *place)

    def _row_masks(self, i: int) -> list[str | None]:
        """The lanes of row i that exist: none beyond the last row."""
        if not self.tile.clamped:
            return self.masks
        exists = self.out.emit(f"icmp slt i64 {i}, %left")
        masks = [mask or "splat (i1 true)" for mask in self.masks]
        return [
            self.out.emit(f"select i1 {exists}, <{width} x i1> {mask}, <{width} x i1> zeroinitializer")
            for width, mask in zip(self.widths, masks, strict=True)
        ]
