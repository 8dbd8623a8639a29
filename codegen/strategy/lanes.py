"""Text of procedures on small matrices, one example in each lane of a vector.

An area of scratch holds the elements of as many matrices as a vector has lanes: element e of all of them is vector e. So every step of
a factorisation is the same instruction for all lanes, and what differs between them (which row is the pivot, whether there is an
answer) is a choice by lane. Loops are written with their counters and what they carry as `phi`s, for nothing promotes memory later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.codegen.llvm.llvm_text import Block, llvm_type, mangled
from graphc.codegen.llvm.module import Unit
from graphc.dtypes import int64

Number = str | int
Body = Callable[..., Sequence[str] | None]


WRITTEN_OUT = 8  # turns: short loops end at a turn that no processor foretells. Cholesky, n = 8: 69 ns each, written out 35


class Lanes:
    """Instructions on vectors of `count` lanes of a float dtype, over areas of scratch that begin at %s."""

    def __init__(self, unit: Unit, dtype: np.dtype, count: int) -> None:
        self.module, self.dtype, self.count = unit.module, dtype, count
        self.block = Block()
        self.block.current = "entry"
        self.scalar, self.vector = llvm_type(dtype, 1), llvm_type(dtype, count)
        self.bytes = count * dtype.itemsize  # of one element of all lanes
        self.mask, self.whole = f"<{count} x i1>", f"<{count} x i64>"
        self.used = 0

    # -- whole numbers --------------------------------------------------------------------------------------------
    def emit(self, text: str) -> str:
        return self.block.emit(text)

    def add(self, a: Number, b: Number) -> Number:
        return a + b if isinstance(a, int) and isinstance(b, int) else a if b == 0 else b if a == 0 else self.emit(f"add i64 {a}, {b}")

    def sub(self, a: Number, b: Number) -> Number:
        return a - b if isinstance(a, int) and isinstance(b, int) else a if b == 0 else self.emit(f"sub i64 {a}, {b}")

    def mul(self, a: Number, b: Number) -> Number:
        return a * b if isinstance(a, int) and isinstance(b, int) else a if b == 1 else self.emit(f"mul i64 {a}, {b}")

    def rest(self, a: Number, of: int) -> Number:
        """a % of, a power of two."""
        return a % of if isinstance(a, int) else self.emit(f"and i64 {a}, {of - 1}")

    def least(self, a: Number, b: Number) -> Number:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        below = self.emit(f"icmp slt i64 {a}, {b}")
        return self.emit(f"select i1 {below}, i64 {a}, i64 {b}")

    # -- loops ------------------------------------------------------------------------------------------------------
    def loop(self, start: Number, stop: Number, body: Body, *carried: tuple[str, str], step: int = 1) -> list[str]:
        """for i in range(start, stop, step): carried = body(i, *carried); what is carried at the end. carried: (type, value) each.

        A few turns of which the number is known are written one behind the other, with i as an int.
        """
        if isinstance(start, int) and isinstance(stop, int) and len(turns := range(start, stop, step)) <= WRITTEN_OUT:
            values = [value for _, value in carried]
            for turn in turns:
                values = list(body(turn, *values) or ())
            return values
        k = self.used
        self.used += 1
        before, lines = self.block.current, self.block.lines
        self.block.line(f"br label %head{k}")
        self.block.label(f"head{k}")
        at = len(lines)
        i, *names = [self.block.emit("") for _ in range(len(carried) + 1)]
        more = self.emit(f"icmp {'slt' if step > 0 else 'sgt'} i64 {i}, {stop}")
        self.block.line(f"br i1 {more}, label %body{k}, label %done{k}")
        self.block.label(f"body{k}")
        after = body(i, *names) or ()
        following = self.add(i, step)
        lines[at] = f"  {i} = phi i64 [ {start}, %{before} ], [ {following}, %{self.block.current} ]"
        for n, (name, (kind, value), new) in enumerate(zip(names, carried, after, strict=True)):
            lines[at + 1 + n] = f"  {name} = phi {kind} [ {value}, %{before} ], [ {new}, %{self.block.current} ]"
        self.block.line(f"br label %head{k}")
        self.block.label(f"done{k}")
        return names

    def when(self, condition: str, body: Callable[[], Sequence[str] | None], *otherwise: tuple[str, str]) -> list[str]:
        """if condition: values = body(), else: those of `otherwise`, (type, value) each."""
        k = self.used
        self.used += 1
        before = self.block.current
        self.block.line(f"br i1 {condition}, label %then{k}, label %after{k}")
        self.block.label(f"then{k}")
        made, end = body() or (), self.block.current
        self.block.line(f"br label %after{k}")
        self.block.label(f"after{k}")
        both = zip(otherwise, made, strict=True)
        return [self.emit(f"phi {kind} [ {value}, %{before} ], [ {new}, %{end} ]") for (kind, value), new in both]

    def repeat(self, most: int, body: Callable[[str], str]) -> None:
        """At most so many turns, as long as body(turn) gives an i1 that holds."""
        k = self.used
        self.used += 1
        before, lines = self.block.current, self.block.lines
        self.block.line(f"br label %head{k}")
        self.block.label(f"head{k}")
        at = len(lines)
        turn = self.block.emit("")
        again = body(turn)
        following = self.add(turn, 1)
        below = self.emit(f"icmp slt i64 {following}, {most}")
        both = self.emit(f"and i1 {below}, {again}")
        lines[at] = f"  {turn} = phi i64 [ 0, %{before} ], [ {following}, %{self.block.current} ]"
        self.block.line(f"br i1 {both}, label %head{k}, label %done{k}")
        self.block.label(f"done{k}")

    def every(self, i: Number) -> str:
        """A whole number in all lanes."""
        one = self.emit(f"insertelement {self.whole} poison, i64 {i}, i64 0")
        return self.emit(f"shufflevector {self.whole} {one}, {self.whole} poison, <{self.count} x i32> zeroinitializer")

    def whole_at(self, area: str, element: Number) -> str:
        """The address of a whole number of all lanes."""
        return self.emit(f"getelementptr {self.whole}, ptr {area}, i64 {element}")

    # -- vectors ------------------------------------------------------------------------------------------------------
    def place(self, area: str, element: Number) -> str:
        """The address of an element of all lanes."""
        return self.emit(f"getelementptr {self.vector}, ptr {area}, i64 {element}") if element != 0 else area

    def load(self, area: str, element: Number = 0) -> str:
        return self.emit(f"load {self.vector}, ptr {self.place(area, element)}, align {self.dtype.itemsize}")

    def store(self, value: str, area: str, element: Number = 0) -> None:
        self.block.line(f"store {self.vector} {value}, ptr {self.place(area, element)}, align {self.dtype.itemsize}")

    def number(self, value: float) -> str:
        """The same in all lanes."""
        bits = int(np.float64(np.asarray(value, self.dtype)).view(np.uint64))
        return f"splat ({self.scalar} 0x{bits:016X})"

    def binary(self, op: str, a: str, b: str) -> str:
        """fadd, fsub, fmul, fdiv."""
        return self.emit(f"{op} {self.vector} {a}, {b}")

    def negative(self, a: str) -> str:
        return self.emit(f"fneg {self.vector} {a}")

    def function(self, name: str, *args: str) -> str:
        """An intrinsic: fma, sqrt, fabs, maxnum, copysign."""
        full = f"llvm.{name}.{mangled(self.dtype, self.count)}"
        self.module.declare(f"declare {self.vector} @{full}({', '.join([self.vector] * len(args))})")
        return self.emit(f"call {self.vector} @{full}({', '.join(f'{self.vector} {a}' for a in args)})")

    def minus_product(self, c: str, a: str, b: str) -> str:
        """c - a b, rounded once."""
        return self.function("fma", self.negative(a), b, c)

    def compare(self, how: str, a: str, b: str) -> str:
        """olt, oeq, uno, .."""
        return self.emit(f"fcmp {how} {self.vector} {a}, {b}")

    def both(self, a: str, b: str) -> str:
        return self.emit(f"and {self.mask} {a}, {b}")

    def choose(self, mask: str, a: str, b: str, kind: str = "") -> str:
        """a where the mask holds, else b."""
        kind = kind or self.vector
        return self.emit(f"select {self.mask} {mask}, {kind} {a}, {kind} {b}")

    def some(self, mask: str) -> str:
        """Whether a mask holds in any lane."""
        bits = self.emit(f"bitcast {self.mask} {mask} to i{self.count}")
        return self.emit(f"icmp ne i{self.count} {bits}, 0")

    # -- matrices in memory -----------------------------------------------------------------------------------------------
    def examples(self, array: str, first: Number, last: Number, size: Number, dtype: np.dtype | None = None) -> list[str]:
        """The address of the matrix of each lane; lanes beyond the `last` example work on it once more."""
        element = self.scalar if dtype is None else llvm_type(dtype, 1)
        found = []
        for lane in range(self.count):
            offset = self.mul(self.least(self.add(first, lane), last), size)
            found.append(self.emit(f"getelementptr {element}, ptr {array}, i64 {offset}"))
        return found

    def gathered(self, pointers: Sequence[str], element: Number) -> str:
        """Element number `element` of each matrix as a vector."""
        value = "poison"
        for lane, pointer in enumerate(pointers):
            at = self.emit(f"getelementptr {self.scalar}, ptr {pointer}, i64 {element}")
            one = self.emit(f"load {self.scalar}, ptr {at}, align {self.dtype.itemsize}")
            value = self.emit(f"insertelement {self.vector} {value}, {self.scalar} {one}, i64 {lane}")
        return value

    def scattered(self, value: str, pointers: Sequence[str], element: Number) -> None:
        """A vector to element number `element` of each matrix."""
        for lane, pointer in enumerate(pointers):
            one = self.emit(f"extractelement {self.vector} {value}, i64 {lane}")
            at = self.emit(f"getelementptr {self.scalar}, ptr {pointer}, i64 {element}")
            self.block.line(f"store {self.scalar} {one}, ptr {at}, align {self.dtype.itemsize}")

    def read(self, pointers: Sequence[str], count: Number, area: str) -> None:
        """The first `count` elements of each matrix into an area."""

        def several(e: str) -> None:
            rows = [self.emit(f"load {self.vector}, ptr {at}, align {self.dtype.itemsize}") for at in self.parts(pointers, e)]
            for k, value in enumerate(self.transposed(rows)):
                self.store(value, area, self.add(e, k))

        def one(e: str) -> None:
            self.store(self.gathered(pointers, e), area, e)

        whole = self.whole_vectors(count)
        self.loop(0, whole, several, step=self.count)
        self.loop(whole, count, one)

    def write(self, area: str, pointers: Sequence[str], count: Number) -> None:
        """`count` elements of an area to each matrix."""

        def several(e: str) -> None:
            rows = self.transposed([self.load(area, self.add(e, k)) for k in range(self.count)])
            for value, at in zip(rows, self.parts(pointers, e)):
                self.block.line(f"store {self.vector} {value}, ptr {at}, align {self.dtype.itemsize}")

        def one(e: str) -> None:
            self.scattered(self.load(area, e), pointers, e)

        whole = self.whole_vectors(count)
        self.loop(0, whole, several, step=self.count)
        self.loop(whole, count, one)

    def whole_vectors(self, count: Number) -> Number:
        """So many elements as fill vectors."""
        return self.sub(count, self.rest(count, self.count))

    def parts(self, pointers: Sequence[str], element: Number) -> list[str]:
        """Where element number `element` of each matrix lies."""
        return [self.emit(f"getelementptr {self.scalar}, ptr {p}, i64 {element}") for p in pointers]

    def transposed(self, rows: Sequence[str]) -> list[str]:
        """As many vectors as lanes: element k of vector l becomes element l of vector k. A step exchanges one bit of k and l."""
        rows, distance = list(rows), 1
        while distance < self.count:
            for i in [i for i in range(self.count) if not i & distance]:
                a, b = rows[i], rows[i + distance]
                low = [k if not k & distance else k - distance + self.count for k in range(self.count)]
                high = [k + distance if not k & distance else k + self.count for k in range(self.count)]
                rows[i], rows[i + distance] = self.shuffled(a, b, low), self.shuffled(a, b, high)
            distance *= 2
        return rows

    def shuffled(self, a: str, b: str, places: Sequence[int]) -> str:
        """The elements of two vectors at these places, those of b behind those of a."""
        mask = ", ".join(f"i32 {k}" for k in places)
        return self.emit(f"shufflevector {self.vector} {a}, {self.vector} {b}, <{self.count} x i32> <{mask}>")

    def flags(self, bad: str, pointers: Sequence[str]) -> None:
        """1 where the mask holds, else 0, as whole numbers."""
        for lane, pointer in enumerate(pointers):
            one = self.emit(f"extractelement {self.mask} {bad}, i64 {lane}")
            self.block.line(f"store i64 {self.emit(f'zext i1 {one} to i64')}, ptr {pointer}, align {int64.itemsize}")
