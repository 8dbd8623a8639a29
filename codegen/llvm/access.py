"""Loads and stores: one element, a whole vector, or an address per lane, each masked where that is needed."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.accumulate import combined
from graphc.codegen.llvm.emit_scalar import literal, llvm_type, splat
from graphc.codegen.llvm.values import Value, Values
from graphc.dims import Size, Symbol
from graphc.dtypes import bool_, int8, int64
from graphc.errors import CompileError, fail
from graphc.program import UPDATES, Kernel
from graphc.scalars import Scalar

LINE = 64  # bytes of a line of the caches


def memory_type(dtype: np.dtype, lanes: int) -> str:
    """The LLVM type of elements in memory: a bool is a byte there."""
    return llvm_type(int8 if dtype == bool_ else dtype, lanes)


def vector_memory(dtype: np.dtype, lanes: int) -> tuple[str, str]:
    """The vector type of elements in memory, and the suffix of intrinsics on it."""
    stored = int8 if dtype == bool_ else dtype
    letter = "f" if stored.kind == "f" else "i"
    element = llvm_type(stored, 1)
    return f"<{lanes} x {element}>", f"v{lanes}{letter}{stored.itemsize * 8}"


class Memory:
    """Access to the operands of a kernel: the part of an emitter that loads and stores."""

    def __init__(self, values: Values, kernel: Kernel) -> None:
        self.v = values
        self.written = {k for k, o in enumerate(kernel.operands) if o.written}
        values.readers["fetch"] = self.fetch

    def address(self, slot: int, dtype: np.dtype, dynamic: Value | None, static: Size) -> Value:
        """The pointer of a uniform element offset."""
        key = ("address", slot, static, dynamic)
        found = self.v.find(key)
        if found is not None:
            return found
        pointer, kind = Value(f"%b{slot}", 1, 0), memory_type(dtype, 1)
        steps = [Value(str(static), 1, 0)] if isinstance(static, int) else self.v.parts(static)
        if dynamic is not None:
            steps.append(dynamic)
        for step in sorted(steps, key=lambda v: (not v.text.startswith("%"), v.depth)):  # a constant costs nothing as the last one
            if step.text != "0":
                pointer = self.moved(pointer, kind, step)
        depth = max([0, *[v.depth for v in steps]])  # of an index that in this copy of a loop is a number, too
        return self.v.put(key, pointer._replace(depth=max(depth, pointer.depth)))

    def moved(self, pointer: Value, kind: str, step: Value) -> Value:
        """The pointer so many elements on, written once where both are known."""
        key = ("moved", pointer.text, kind, step.text)
        depth = max(pointer.depth, step.depth)
        found = self.v.find(key)
        if found is not None:
            return found._replace(depth=max(depth, found.depth))
        with self.v.at(depth):
            at = self.v.here.lines.emit(f"getelementptr {kind}, ptr {pointer.text}, i64 {step.text}")
            return self.v.put(key, Value(at, 1, depth))

    def addresses(self, slot: int, dtype: np.dtype, dynamic: Value | None, static: Size, depth: int) -> str:
        """One pointer per lane."""
        at = self.v.lane_index(static)
        lanes = self.v.lanes
        index = self.v.spread(at, int64, lanes)
        with self.v.at(max(depth, at.depth)):
            lines = self.v.here.lines
            if dynamic is not None:
                index = lines.emit(f"add <{lanes} x i64> {index}, {self.v.spread(dynamic, int64, lanes)}")
            return lines.emit(f"getelementptr {memory_type(dtype, 1)}, ptr %b{slot}, <{lanes} x i64> {index}")

    def fetch(self, s: Scalar, args: list[Value]) -> Value:
        slot, static, has_dynamic, has_mask = s.param
        dynamic = args[0] if has_dynamic else None
        mask = args[-1] if has_mask else None
        depth = max([a.depth for a in args], default=0)
        if not isinstance(static, int):
            for symbol in dims.symbols(static):
                depth = max(depth, self.v.axis(symbol).depth)
        if slot in self.written:
            depth = self.v.here.depth
        stride = self.v.split(static)
        uniform = (dynamic is None or dynamic.lanes == 1) and stride is not None
        lanes = 1 if uniform and stride is not None and stride[0] == 0 and (mask is None or mask.lanes == 1) else self.v.lanes
        if uniform and stride is not None and (lanes == 1 or stride[0] == 1 or stride[0] == 0):
            pointer = self.address(slot, s.dtype, dynamic, static).text
            width = 1 if stride[0] == 0 else lanes
            with self.v.at(depth):
                if width == 1 and lanes > 1:  # one element for all lanes, but only if some lane wants it
                    assert mask is not None
                    wanted = self.any_lane(mask)
                    one = self.masked_load(pointer, s.dtype, wanted, 1)
                    whole = self.spread_here(one, s.dtype, lanes)
                    return Value(self.zero_where_not(mask.text, whole, s.dtype, lanes), lanes, depth)
                where = self.conjunction(mask, width)
                if width > 1 and self.v.here.ahead:
                    self.prefetch(pointer, s.dtype, width)
                if where is None:
                    kind, item = memory_type(s.dtype, width), 1 if s.dtype == bool_ else s.dtype.itemsize
                    text = self.v.here.lines.emit(f"load {kind}, ptr {pointer}, align {item}")
                    return Value(self.from_memory(text, s.dtype, width), width, depth)
                return Value(self.masked_load(pointer, s.dtype, where, width), width, depth)
        with self.v.at(depth):
            where = self.conjunction(mask, self.v.lanes)
            if dynamic is None and stride is not None and stride[0] == 2:
                return Value(self.every_other(slot, s.dtype, static, where), self.v.lanes, depth)
            if dynamic is None and stride is None and (found := self.repeats(static)) is not None:
                return Value(self.repeated(slot, s.dtype, static, found, where), self.v.lanes, depth)
            pointers = self.addresses(slot, s.dtype, dynamic, static, depth)
            return Value(self.gather(pointers, s.dtype, where or "splat (i1 true)", self.v.lanes), self.v.lanes, depth)

    def prefetch(self, pointer: str, dtype: np.dtype, lanes: int) -> None:
        """Ask for the lines of a vector that a later turn of the loop around loads: beyond what is there nothing happens."""
        self.v.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        lines, width = self.v.here.lines, lanes * dtype.itemsize
        for at in range(0, width, LINE):
            there = lines.emit(f"getelementptr i8, ptr {pointer}, i64 {self.v.here.ahead * width + at}")
            lines.line(f"call void @llvm.prefetch.p0(ptr {there}, i32 0, i32 2, i32 1)")

    def every_other(self, slot: int, dtype: np.dtype, static: Size, where: str | None) -> str:
        """Lanes two elements apart: of two vectors side by side every second element. Nothing behind the last lane's is read."""
        lanes = self.v.lanes
        first, second = self.address(slot, dtype, None, static).text, self.address(slot, dtype, None, static + (lanes - 1)).text
        even, odd = (
            self.piece(pointer, dtype, lanes, self.picked(where, [k // 2 if k % 2 == 0 else -1 for k in range(start, start + lanes)]))
            for pointer, start in ((first, 0), (second, lanes - 1))
        )
        picks = [2 * k if 2 * k < lanes else lanes + 2 * k - (lanes - 1) for k in range(lanes)]
        return self.shuffled(llvm_type(dtype, lanes), even, odd, picks)

    def repeats(self, static: Size) -> int | None:
        """c, if lanes 0 to c - 1, c to 2 c - 1, .. have one element each, one after the other: an offset with the lanes' index // c."""
        symbol = self.v.aligned_lanes()
        if symbol is None or isinstance(static, int):
            return None
        moving = [(m, coefficient) for m, coefficient in static.terms if any(_moves(x, symbol) for x, _ in m)]
        if len(moving) != 1 or moving[0][1] != 1 or len(moving[0][0]) != 1:
            return None
        ((call, power),) = moving[0][0]
        if not isinstance(call, dims.Call) or power != 1 or call.fn != "floordiv" or call.args[0] != dims.of_symbol(symbol):
            return None
        by = call.args[1]
        return by if isinstance(by, int) and 1 < by <= self.v.lanes and self.v.lanes % by == 0 else None

    def repeated(self, slot: int, dtype: np.dtype, static: Size, count: int, where: str | None) -> str:
        """Few elements side by side, each for `count` lanes."""
        lanes, narrow = self.v.lanes, self.v.lanes // count
        lines = self.v.here.lines
        mask = None
        for k in range(count) if where is not None else ():  # wanted by any of its lanes
            one = self.picked(where, [j * count + k for j in range(narrow)])
            mask = one if mask is None else lines.emit(f"or <{narrow} x i1> {mask}, {one}")
        few = self.piece(self.address(slot, dtype, None, static).text, dtype, narrow, mask)
        whole = self.shuffled(f"<{narrow} x {llvm_type(dtype, 1)}>", few, "poison", [k // count for k in range(lanes)])
        return whole if where is None else self.zero_where_not(where, whole, dtype, lanes)

    def piece(self, pointer: str, dtype: np.dtype, lanes: int, mask: str | None) -> str:
        """A vector of elements side by side, where the mask says so."""
        lines = self.v.here.lines
        if mask is not None and lanes == 1:
            one = self.masked_load(pointer, dtype, lines.emit(f"extractelement <1 x i1> {mask}, i64 0"), 1)
            return lines.emit(f"insertelement <1 x {llvm_type(dtype, 1)}> poison, {llvm_type(dtype, 1)} {one}, i64 0")
        if mask is not None:
            return self.masked_load(pointer, dtype, mask, lanes)
        stored, item = vector_memory(dtype, lanes)[0], 1 if dtype == bool_ else dtype.itemsize
        loaded = lines.emit(f"load {stored}, ptr {pointer}, align {item}")
        return loaded if dtype != bool_ else lines.emit(f"icmp ne {stored} {loaded}, zeroinitializer")

    def picked(self, mask: str | None, picks: list[int]) -> str | None:
        """Lanes of a mask in another order; -1: a lane that is off."""
        lanes = self.v.lanes
        return None if mask is None else self.shuffled(f"<{lanes} x i1>", mask, "zeroinitializer", [lanes if k < 0 else k for k in picks])

    def shuffled(self, kind: str, a: str, b: str, picks: list[int]) -> str:
        """The lanes `picks` of a and b laid behind each other, both vectors of `kind`."""
        where = ", ".join(f"i32 {k}" for k in picks)
        return self.v.here.lines.emit(f"shufflevector {kind} {a}, {kind} {b}, <{len(picks)} x i32> <{where}>")

    def conjunction(self, mask: Value | None, lanes: int) -> str | None:
        """The tail's mask and the access's own."""
        tail = self.v.mask() if lanes > 1 else None
        if mask is None:
            return tail
        own = self.spread_here(mask.text, bool_, lanes) if mask.lanes != lanes else mask.text
        return own if tail is None else self.v.here.lines.emit(f"and <{lanes} x i1> {own}, {tail}")

    def any_lane(self, mask: Value) -> str:
        n = mask.lanes
        self.v.module.declare(f"declare i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1>)")
        tail = self.v.mask()
        both = mask.text if tail is None else self.v.here.lines.emit(f"and <{n} x i1> {mask.text}, {tail}")
        return self.v.here.lines.emit(f"call i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1> {both})")

    def spread_here(self, text: str, dtype: np.dtype, lanes: int) -> str:
        return splat(self.v.here.lines, text, dtype, lanes)

    def zero_where_not(self, mask: str, value: str, dtype: np.dtype, lanes: int) -> str:
        kind = llvm_type(dtype, lanes)
        return self.v.here.lines.emit(f"select <{lanes} x i1> {mask}, {kind} {value}, {kind} {literal(sc.const(0, dtype), lanes)}")

    def masked_load(self, pointer: str, dtype: np.dtype, mask: str, lanes: int) -> str:
        width = max(lanes, 1)
        kind, suffix = vector_memory(dtype, width)
        self.v.module.declare(f"declare {kind} @llvm.masked.load.{suffix}.p0(ptr, i32, <{width} x i1>, {kind})")
        if lanes == 1:
            mask = self.v.here.lines.emit(f"insertelement <1 x i1> poison, i1 {mask}, i64 0")
        item = 1 if dtype == bool_ else dtype.itemsize
        text = self.v.here.lines.emit(
            f"call {kind} @llvm.masked.load.{suffix}.p0(ptr {pointer}, i32 {item}, <{width} x i1> {mask}, {kind} zeroinitializer)"
        )
        if lanes == 1:
            text = self.v.here.lines.emit(f"extractelement {kind} {text}, i64 0")
        return self.from_memory(text, dtype, lanes)

    def gather(self, pointers: str, dtype: np.dtype, mask: str, lanes: int) -> str:
        kind, suffix = vector_memory(dtype, lanes)
        self.v.module.declare(f"declare {kind} @llvm.masked.gather.{suffix}.v{lanes}p0(<{lanes} x ptr>, i32, <{lanes} x i1>, {kind})")
        item = 1 if dtype == bool_ else dtype.itemsize
        given = f"<{lanes} x ptr> {pointers}, i32 {item}, <{lanes} x i1> {mask}, {kind} zeroinitializer"
        text = self.v.here.lines.emit(f"call {kind} @llvm.masked.gather.{suffix}.v{lanes}p0({given})")
        return self.from_memory(text, dtype, lanes)

    def from_memory(self, text: str, dtype: np.dtype, lanes: int) -> str:
        if dtype != bool_:
            return text
        return self.v.here.lines.emit(f"icmp ne {llvm_type(int8, lanes)} {text}, zeroinitializer" if lanes > 1 else f"icmp ne i8 {text}, 0")

    def to_memory(self, text: str, dtype: np.dtype, lanes: int) -> str:
        if dtype != bool_:
            return text
        return self.v.here.lines.emit(f"zext {llvm_type(bool_, lanes)} {text} to {llvm_type(int8, lanes)}")

    def store(self, slot: int, dynamic: Scalar | None, static: Size, value: Scalar, mode: str) -> None:
        v = self.v.value(value)
        d = None if dynamic is None else self.v.value(dynamic)
        dtype, item = value.dtype, 1 if value.dtype == bool_ else value.dtype.itemsize
        stride = self.v.split(static)
        lines = self.v.here.lines
        uniform = (d is None or d.lanes == 1) and stride is not None
        if uniform and stride is not None and (self.v.lane_symbol() is None or stride[0] == 1):
            lanes = 1 if self.v.lane_symbol() is None else self.v.lanes
            pointer = self.address(slot, dtype, d, static).text
            text = self.v.spread(v, dtype, lanes)
            mask = self.v.mask() if lanes > 1 else None
            if mode in UPDATES:
                old = (
                    self.masked_load(pointer, dtype, mask, lanes)
                    if mask
                    else self.from_memory(lines.emit(f"load {memory_type(dtype, lanes)}, ptr {pointer}, align {item}"), dtype, lanes)
                )
                text = combined(self.v, UPDATES[mode], dtype, old, text, lanes)
            text = self.to_memory(text, dtype, lanes)
            if mask is None:
                lines.line(f"store {memory_type(dtype, lanes)} {text}, ptr {pointer}, align {item}")
                return
            kind, suffix = vector_memory(dtype, lanes)
            self.v.module.declare(f"declare void @llvm.masked.store.{suffix}.p0({kind}, ptr, i32, <{lanes} x i1>)")
            lines.line(f"call void @llvm.masked.store.{suffix}.p0({kind} {text}, ptr {pointer}, i32 {item}, <{lanes} x i1> {mask})")
            return
        if mode in UPDATES:
            fail(CompileError, "an updating store needs an address per step, not per lane")
        lanes = self.v.lanes
        pointers = self.addresses(slot, dtype, d, static, self.v.here.depth)
        text = self.to_memory(self.v.spread(v, dtype, lanes), dtype, lanes)
        kind, suffix = vector_memory(dtype, lanes)
        self.v.module.declare(f"declare void @llvm.masked.scatter.{suffix}.v{lanes}p0({kind}, <{lanes} x ptr>, i32, <{lanes} x i1>)")
        mask = self.v.mask() or "splat (i1 true)"
        given = f"{kind} {text}, <{lanes} x ptr> {pointers}, i32 {item}, <{lanes} x i1> {mask}"
        lines.line(f"call void @llvm.masked.scatter.{suffix}.v{lanes}p0({given})")


def _moves(atom: Symbol | dims.Call, symbol: Symbol) -> bool:
    """Whether an atom of a size depends on a symbol."""
    return atom == symbol if isinstance(atom, Symbol) else any(symbol in dims.symbols(x) for x in atom.args)
