"""Sorting: rows become unsigned keys in the order of their elements, `radix` sorts these, and a loop makes values of them again.

for row (outer..):
  a[r] = key(element r of the row)                         with its position in the low half, where the key has 32 bits
  sort a; b is room for as many
  zeros of both signs are put back as they were            they are equal, and have different keys so that none is lost
  for i in count: value(key i), position i, and what else the kernel computes of them

The rows are the tasks. What they are made of, and what is done to the result, is part of the loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import Function
from graphc.codegen.llvm.values import Scope
from graphc.codegen.loops.address import Loaded, Placed, fetch
from graphc.codegen.loops.loopir import Block, For, Let, Statement, Store
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.loops import digits, lanes_of
from graphc.codegen.strategy.network import LONGEST, write_moves, write_network
from graphc.codegen.strategy.network import lanes_of as lanes_together
from graphc.codegen.strategy.radix import write_part, write_sort
from graphc.codegen.strategy.records import RECORDS
from graphc.codegen.strategy.zeros import write_mend, write_zeros
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.program import DOWN, POSITIONS, RANKED, Axis, Operand, Stage, places_read
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target

TASK, ROW = dims.axis("task"), dims.axis("row")
ALIGN = 64


@dataclass(frozen=True)
class Sort:
    """The plan of a sorting kernel."""

    stages: tuple[Stage, ...]
    stores: tuple[tuple[Placed, ...], ...]
    outer: tuple[Axis, ...]
    row: Axis
    along: Axis | None  # the loop over the results; None: there is one
    values: tuple[int, ...]  # the stages that are sorted values
    positions: tuple[int, ...]
    records: str  # a name of `RECORDS`
    down: bool
    lanes: int  # rows that a network sorts together
    start: Size  # the place in the order of the first result

    @property
    def element(self) -> Scalar:
        """The element r of a row."""
        return self.stages[(*self.values, *self.positions)[0]].body

    @property
    def count(self) -> Size:
        """How many of the first in order are wanted."""
        return 1 if self.along is None else self.along.extent

    def __str__(self) -> str:
        what = " and ".join(["values"] * bool(self.values) + ["positions"] * bool(self.positions))
        return f"{what} of {self.row.extent}, {self.records}{', down' if self.down else ''}"


def _plan(kernel: Loaded, target: Target) -> Sort | None:
    ranked = [k for k, s in enumerate(kernel.stages) if s.combine in RANKED]
    if not ranked:
        return None  # rows of one element
    first = kernel.stages[ranked[0]]
    assert all(kernel.stages[k].body is first.body and kernel.stages[k].reduce == first.reduce for k in ranked)
    assert first.factor is not None
    along, start = places_read(first.factor, kernel.axes)
    positions = tuple([k for k in ranked if kernel.stages[k].combine in POSITIONS])
    narrow = first.body.dtype.itemsize <= 4
    records = ("packed" if positions else "k32") if narrow else ("pairs" if positions else "k64")
    return Sort(
        kernel.stages, kernel.stores, tuple([a for a in kernel.axes if a is not along]), first.reduce[0], along,
        tuple([k for k in ranked if k not in positions]), positions, records, first.combine in DOWN,
        lanes_together(RECORDS[records], target), start,
    )  # fmt: skip


def _together(p: Sort) -> Size:
    """How many rows a task has: as many as there are lanes, if they are short."""
    if not p.outer or p.lanes == 1 or (isinstance(p.row.extent, int) and p.row.extent > LONGEST):
        return 1
    short = dims.minimum(1, dims.floordiv(LONGEST, dims.maximum(p.row.extent, 1)))
    return 1 + (p.lanes - 1) * short


def _room(p: Sort) -> tuple[Size, Size]:
    """The bytes of an array of records, and of one of their positions, in whole cache lines."""
    r, n = RECORDS[p.records], dims.maximum(p.row.extent, 1)
    words, places = [dims.floordiv(n * size + (ALIGN - 1), ALIGN) * ALIGN for size in (r.bits // 8, 4)]
    return words, places if r.apart else 0


def _scratch(p: Sort) -> Size:
    """Two arrays of records, two of positions, and the same of a row for each lane."""
    words, places = _room(p)
    return (2 + (_together(p) if _together(p) != 1 else 0)) * (words + places)


def _rows(p: Sort) -> Size:
    return dims.product([a.extent for a in p.outer])


def _tasks(p: Sort) -> Size:
    each = _together(p)
    return _rows(p) if each == 1 else dims.floordiv(_rows(p) + each - 1, each)


# -- keys -----------------------------------------------------------------------------------------------------------
def key_of(x: Scalar, down: bool) -> Scalar:
    """An unsigned integer of 32 or 64 bits that is smaller where x is, the greatest for nan; the other way round where `down`."""
    if x.dtype.kind == "f":
        bits = 8 * x.dtype.itemsize
        whole, unsigned = np.dtype(f"int{bits}"), np.dtype(f"uint{bits}")
        sign, word = 1 << (bits - 1), x.bitcast(unsigned)
        key = sc.select(x.bitcast(whole) < 0, ~word, word | sc.const(sign, unsigned))
        nan = int(np.array(np.nan, x.dtype).view(unsigned)) | sign
        key = sc.select(x.eq(x), key, sc.const(nan, unsigned))
    else:
        unsigned = np.dtype("uint32" if x.dtype.itemsize <= 4 else "uint64")
        wide = np.dtype("int32" if x.dtype.itemsize <= 4 else "int64")
        key = x.cast(unsigned)
        if x.dtype.kind == "i":
            key = x.cast(wide).bitcast(unsigned) ^ sc.const(1 << (8 * unsigned.itemsize - 1), unsigned)
    return ~key if down else key


def value_of(key: Scalar, dtype: np.dtype, down: bool) -> Scalar:
    """The element that has the key."""
    key = ~key if down else key
    bits = 8 * key.dtype.itemsize
    whole, sign = np.dtype(f"int{bits}"), sc.const(1 << (bits - 1), key.dtype)
    if dtype.kind == "f":
        return sc.select(key.bitcast(whole) < 0, key ^ sign, ~key).bitcast(dtype)
    if dtype == bool_:
        return key.ne(0)
    return (key ^ sign).bitcast(whole).cast(dtype) if dtype.kind == "i" else key.cast(dtype)


# -- code -----------------------------------------------------------------------------------------------------------
class _Writer:
    def __init__(self, emitter: Emitter, p: Sort) -> None:
        self.e, self.v, self.p, self.r = emitter, emitter.values, p, RECORDS[p.records]
        self.word, self.place = np.dtype(f"uint{self.r.bits}"), np.dtype("uint32")
        own = emitter.kernel.operands
        self.kernel = replace(emitter.kernel, operands=(*own, Operand(self.word, ()), Operand(self.place, ())), scratch=())
        self.records_slot, self.places_slot = len(own), len(own) + 1
        self.attributes = emitter.unit.kernel_attributes
        self.axes = [a.index for a in p.outer]
        emitter.module.add(self._function("keys", self._keys()))
        emitter.module.add(self._function("finish", self._finish()))

    def task(self) -> None:
        """As many rows as are sorted together: by a network, if they are short and there are enough of them."""
        p, v = self.p, self.v
        each, rows = _together(p), _rows(p)
        words, places = _room(p)
        base = f"%b{len(self.e.kernel.operands)}"
        sizes = [0, words, 2 * words, 2 * words + places, 2 * words + 2 * places, 2 * words + 2 * places + each * words]
        parts = [v.here.lines.emit(f"getelementptr i8, ptr {base}, i64 {v.size(size).text}") for size in sizes]
        if each == 1:
            self.row(TASK, *parts[:4])
            return
        first, last = TASK * each, dims.minimum(TASK * each + each, rows)
        enough = sc.index(2 * (last - first)) >= self.p.lanes
        short = sc.index(p.row.extent) <= LONGEST
        for size in (first, last, p.row.extent):
            v.size(size)
        joint = v.value(enough & short).text
        self.e.loops.when(joint, lambda: self.network(first, last, parts))
        alone = v.here.lines.emit(f"xor i1 {joint}, true")
        self.e.loops.when(alone, lambda: self.e.loops.each(ROW, first, last, 1, lambda: self.row(ROW, *parts[:4])))

    def network(self, first: Size, last: Size, parts: Sequence[str]) -> None:
        """Rows into lanes, the lanes in order, and out again; rows with zeros of both signs one by one."""
        lines, v, module = self.v.here.lines, self.v, self.e.module
        a, b, at, to, wide, wide_places = parts
        n = v.size(self.p.row.extent).text
        into, out = (write_moves(module, self.r, self.p.lanes, x, self.attributes) for x in (True, False))

        def moved(name: str) -> None:
            inner = v.here.lines
            lane = v.size(ROW - first).text
            words = inner.emit(f"getelementptr i{self.r.bits}, ptr {wide}, i64 {lane}")
            places = inner.emit(f"getelementptr i32, ptr {wide_places}, i64 {lane}")
            inner.line(f"call void @{name}(ptr {words}, ptr {places}, ptr {a}, ptr {at}, i64 {n})")

        def enter() -> None:
            self._call("keys", a, at)
            moved(into)

        def leave() -> None:
            moved(out)
            self._finished(a, at, v.size(self.p.start).text)

        self.e.loops.each(ROW, first, last, 1, lambda: self.at_row(ROW, enter))
        floats = self.p.element.dtype.kind == "f"
        name = write_network(module, self.r, self.p.lanes, floats, self.attributes)
        refused = lines.emit(f"call i1 @{name}(ptr {wide}, ptr {wide_places}, i64 {n})")
        if floats:
            self.e.loops.when(refused, lambda: self.e.loops.each(ROW, first, last, 1, lambda: self.row(ROW, a, b, at, to)))
        done = lines.emit(f"xor i1 {refused}, true")
        self.e.loops.when(done, lambda: self.e.loops.each(ROW, first, last, 1, lambda: self.at_row(ROW, leave)))

    def at_row(self, number: Size, write: Callable[[], object]) -> None:
        """What `write` writes, where the outer axes are at that row."""
        scope = Scope(self.v.here.lines, self.v.here.depth)
        for axis, turn in zip(self.p.outer, digits(number, [a.extent for a in self.p.outer]), strict=True):
            scope.axis[symbol_of(axis.index)] = self.v.size(turn)
        self.v.scopes.append(scope)
        write()
        self.v.scopes.pop()

    def row(self, number: Size, a: str, b: str, at: str, to: str) -> None:
        """One row, by itself."""
        self.at_row(number, lambda: self.alone(a, b, at, to))

    def alone(self, a: str, b: str, at: str, to: str) -> None:
        """The row that the outer axes are at."""
        lines, p, r = self.v.here.lines, self.p, self.r
        n, count, start = (self.v.size(x).text for x in (p.row.extent, p.count, p.start))
        self._call("keys", a, at)
        arguments = f"ptr {a}, ptr {b}, ptr {at}, ptr {to}, i64 {n}"
        if p.start == 0:
            moved = lines.emit(f"call i1 @{write_sort(self.e.module, r, self.attributes)}({arguments}, i64 {count})")
            upto = count
        else:
            found = lines.emit(f"call i64 @{write_part(self.e.module, r, self.attributes)}({arguments}, i64 {start}, i64 {count})")
            moved = lines.emit(f"trunc i64 {found} to i1")
            start = lines.emit(f"lshr i64 {found}, 1")
            upto = lines.emit(f"add i64 {start}, {count}")
        row, free, places, spare = (lines.emit(f"select i1 {moved}, ptr {x}, ptr {y}") for x, y in ((b, a), (a, b), (to, at), (at, to)))
        if p.element.dtype.kind == "f":
            self._mend(row, free, places, spare, n, upto)
        self._finished(row, places, start)

    def _finished(self, records: str, places: str, start: str) -> None:
        """The results, of which the first is that of record `start`."""
        if self.p.start != 0:
            lines = self.v.here.lines
            records = lines.emit(f"getelementptr {self.r.word}, ptr {records}, i64 {start}")
            places = lines.emit(f"getelementptr i32, ptr {places}, i64 {start}")
        self._call("finish", records, places)

    def _mend(self, row: str, free: str, found: str, spare: str, n: str, count: str) -> None:
        """Where there are zeros with the smaller key, the zeros of the row in their order."""
        lines = self.v.here.lines
        first = lines.emit(f"call i64 @{write_zeros(self.e.module, self.r, self.attributes)}(ptr {row}, i64 {count})")

        def mend() -> None:
            self._call("keys", free, spare)
            name = write_mend(self.e.module, self.r, self.attributes)
            lines.line(f"call void @{name}(ptr {row}, ptr {found}, ptr {free}, i64 {n}, i64 {first}, i64 {count})")

        self.e.loops.when(lines.emit(f"icmp sge i64 {first}, 0"), mend)

    def _call(self, part: str, records: str, places: str) -> None:
        pointers = [f"ptr %b{k}" for k in range(len(self.e.kernel.operands))] + [f"ptr {records}", f"ptr {places}"]
        numbers = [f"i64 {self.v.axis(s).text}" for s in self.e.kernel.sizes()] + [f"i64 {self.v.size(x).text}" for x in self.axes]
        self.v.here.lines.line(f"call void @{self.e.name}.{part}({', '.join(pointers + numbers)})")

    def _function(self, part: str, body: Block) -> Function:
        return Emitter(self.e.unit, self.kernel, f"{self.e.name}.{part}", body, numbers=self.axes).function()

    # -- the loops around the sorted keys -----------------------------------------------------------------------
    def _keys(self) -> Block:
        """The records of a row, with their positions where these are asked for."""
        p, r = self.p, self.p.row.index
        key = key_of(p.element, p.down)
        body: list[Statement] = []
        if self.r.low:
            key = sc.shift_left(key.cast(self.word), 32) | sc.index(r).cast(self.word)
        if self.r.apart:
            body.append(Store(self.places_slot, None, r, sc.index(r).cast(self.place)))
        body.append(Store(self.records_slot, None, r, key))
        return Block((For(r, p.row.extent, "vector", Block(tuple(body)), self._lanes([key]), 1),))

    def _finish(self) -> Block:
        """Values and positions, every other stage, and the stores."""
        p, down = self.p, self.p.down
        at: Size = 0 if p.along is None else p.along.index
        record = fetch(self.records_slot, None, at, self.word)
        key = sc.shift_right(record, 32, False).cast(self.place) if self.r.low else record
        place = fetch(self.places_slot, None, at, self.place) if self.r.apart else record & sc.const(2**32 - 1, self.word)
        body: list[Statement] = []
        for k, s in enumerate(p.stages):
            value = value_of(key, s.dtype, down) if k in p.values else place.cast(int64) if k in p.positions else s.body
            body.append(Let(k, value))
        for k, s in enumerate(p.stages):
            body += [Store(slot, d, static, sc.local(k, (), s.dtype), mode) for slot, d, static, mode in p.stores[k]]
        if p.along is None:
            return Block(tuple(body))
        return Block((For(at, p.along.extent, "vector", Block(tuple(body)), self._lanes([s.body for s in p.stages]), 1),))  # type: ignore[arg-type]

    def _lanes(self, bodies: Sequence[Scalar]) -> int:
        return lanes_of([s.dtype for s in sc.order(bodies)], self.e.target)


def _write(emitter: Emitter, p: Sort) -> None:
    writer = _Writer(emitter, p)
    emitter.loops.each(TASK, *emitter.span(_tasks(p)), 1, writer.task)


SORT = Strategy("sort", lambda kernel: kernel.kind == "sort", _plan, _write, _tasks, _scratch)
