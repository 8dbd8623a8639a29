"""Places in sorted rows: a count of the smaller elements, taken by halving the row instead of walking along it.

t0 = sum[r0:n] a[r0] < v[i0]      ->      lo = 0; for len = n while len > 1: half = len // 2; lo += half if a[lo + half - 1] < v
"""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit import Emitter, symbol_of
from graphc.codegen.llvm.llvm_text import Function, Module, llvm_type, mangled
from graphc.codegen.llvm.values import Value
from graphc.codegen.loops.address import Loaded, Placed
from graphc.codegen.loops.loopir import Block, Call, For, Let, Statement, Store
from graphc.codegen.strategy.door import Strategy
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, int64
from graphc.program import Axis, Stage
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.target import Target

TOGETHER = 8  # lanes whose places are in registers, of which there are 16


@dataclass(frozen=True)
class Search:
    """The plan of a searching kernel: for each point of the axes the place of `key` in n elements of `slot`, `stride` apart."""

    axes: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    stores: tuple[tuple[Placed, ...], ...]
    slot: int
    start: Size
    stride: Size
    n: Size
    key: Scalar
    left: bool

    def __str__(self) -> str:
        return f"{self.key} among {self.n} of b{self.slot}, {'left' if self.left else 'right'}"


def _plan(kernel: Loaded, target: Target) -> Search | None:
    first = kernel.stages[0]
    if first.combine != "sum" or len(first.reduce) != 1 or any(s.reduce for s in kernel.stages[1:]):
        return None
    row = first.reduce[0]
    r = symbol_of(row.index)
    order = [s for s in sc.order((first.body,)) if s.op == "lt"]
    along = [s for s in sc.order((first.body,)) if _mentions(s, r)]
    if len(order) != 1 or len(along) != 1 or along[0] not in order[0].args or along[0].args or along[0].dtype == bool_:
        return None  # not one row in memory
    slot, static, *_ = along[0].param
    split = dims.affine(static, r)
    if split is None:
        return None
    left = order[0].args[0] is along[0]
    return Search(kernel.axes, kernel.stages, kernel.stores, slot, split[1], split[0], row.extent, order[0].args[1 if left else 0], left)


def _mentions(s: Scalar, symbol: dims.Symbol) -> bool:
    at = s.param if s.op == "index" else s.param[1] if s.op == "fetch" else 0
    return isinstance(at, Dim) and symbol in dims.symbols(at)


def _tasks(p: Search) -> Size:
    return p.axes[0].extent if p.axes else 1


def _look_up(e: Emitter, p: Search) -> None:
    """The value of the first stage, of as many lanes as the loop around has."""
    v, dtype = e.values, p.key.dtype
    lanes = 1 if v.lane_symbol() is None else v.lanes
    name = _write_search(e.module, dtype, lanes, p.left, e.unit.kernel_attributes)
    row, key = e.memory.address(p.slot, dtype, None, p.start).text, v.spread(v.value(p.key), dtype, lanes)
    given = f"ptr {row}, i64 {v.size(p.stride).text}, i64 {v.size(p.n).text}, {llvm_type(dtype, lanes)} {key}"
    found = v.here.lines.emit(f"call {llvm_type(int64, lanes)} @{name}({given})")
    v.here.memo["local", 0] = Value(found, lanes, v.here.depth)


def _write_search(module: Module, dtype: np.dtype, lanes: int, left: bool, attributes: tuple[str, ...]) -> str:
    """The name of f(row, stride, n, key): how many elements stand before the key, at the left or the right of those that equal it.

    All lanes halve the same length, so they take the same number of turns.
    """
    name = f"search.{dtype.name}.{'left' if left else 'right'}.v{lanes}"
    if name not in module.functions:
        row = _Row(module, dtype, lanes, left)
        index, mask, before = row.index, llvm_type(bool_, lanes), "gathered" if lanes > 1 else "entry"
        text = f"""
        {_one_by_one(module, row) if lanes > 1 else ""}
        {row.wide("%apart", "%stride")}
        br label %half
        half:
        %lo = phi {index} [ {row.zero}, %{before} ], [ %lo.next, %look ]
        %len = phi i64 [ %n, %{before} ], [ %rest, %look ]
        %more = icmp sgt i64 %len, 1
        br i1 %more, label %look, label %last
        look:
        %part = lshr i64 %len, 1
        {row.wide("%parts", "%part")}
        %behind = add {index} %lo, %parts
        %at = add {index} %behind, {row.minus_one}
        {row.before("%at", "a")}
        %lo.next = select {mask} %a.before, {index} %behind, {index} %lo
        %rest = sub i64 %len, %part
        br label %half
        last:
        %one = icmp eq i64 %len, 1
        br i1 %one, label %end, label %none
        none:
        ret {index} {row.zero}
        end:
        {row.before("%lo", "b")}
        %step = zext {mask} %b.before to {index}
        %found = add {index} %lo, %step
        ret {index} %found
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        lines = [line if line.endswith(":") else f"  {line}" for line in lines]
        module.add(Function(name, ("ptr %row", "i64 %stride", "i64 %n", f"{llvm_type(dtype, lanes)} %key"), lines, attributes, index))
    return name


def _one_by_one(module: Module, row: _Row) -> str:
    """The same for elements that lie next to each other and keys that are numbers, each lane in registers of its own.

    Then a step is a load, a comparison and a conditional move, and lanes wait for the cache together. Of a million places in a million
    elements each took 44 ns (f64 109) by gathered loads and takes 30 (71) so, on a Zen 4.
    """
    kind, element, size = row.kind, llvm_type(row.dtype, 1), row.dtype.itemsize
    chance = module.metadata("!{}")  # a branch on what is drawn at random would be guessed wrong half of the time
    compare = ("fcmp olt" if row.dtype.kind == "f" else f"icmp {'s' if row.dtype.kind == 'i' else 'u'}lt") if row.left else None
    compare = compare or ("fcmp ole" if row.dtype.kind == "f" else f"icmp {'s' if row.dtype.kind == 'i' else 'u'}le")
    lines = ["%together = icmp eq i64 %stride, 1", "%some = icmp sgt i64 %n, 0", "%plain = and i1 %together, %some"]
    if row.dtype.kind == "f":
        module.declare(f"declare i1 @llvm.vector.reduce.and.v{row.lanes}i1(<{row.lanes} x i1>)")
        lines += [
            f"%numbers = fcmp ord {kind} %key, %key",
            f"%all = call i1 @llvm.vector.reduce.and.v{row.lanes}i1(<{row.lanes} x i1> %numbers)",
            "%simple = and i1 %plain, %all",
        ]
    lines += [f"br i1 {'%simple' if row.dtype.kind == 'f' else '%plain'}, label %each0, label %gathered"]
    result = "poison"
    groups = [range(first, min(first + TOGETHER, row.lanes)) for first in range(0, row.lanes, TOGETHER)]
    for g, lanes in enumerate(groups):
        lines += [f"each{g}:", *[f"%k{j} = extractelement {kind} %key, i64 {j}" for j in lanes], f"br label %turn{g}", f"turn{g}:"]
        lines += [f"%len{g} = phi i64 [ %n, %each{g} ], [ %rest{g}, %step{g} ]"]
        lines += [f"%lo{j} = phi i64 [ 0, %each{g} ], [ %lo{j}.next, %step{g} ]" for j in lanes]
        lines += [f"%more{g} = icmp sgt i64 %len{g}, 1", f"br i1 %more{g}, label %step{g}, label %found{g}", f"step{g}:"]
        lines += [f"%part{g} = lshr i64 %len{g}, 1", f"%middle{g} = getelementptr {element}, ptr %row, i64 %part{g}"]
        lines += [f"%before{g} = getelementptr {element}, ptr %middle{g}, i64 -1"]
        for j in lanes:
            lines += [
                f"%p{j} = getelementptr {element}, ptr %before{g}, i64 %lo{j}",
                f"%x{j} = load {element}, ptr %p{j}, align {size}",
                f"%c{j} = {compare} {element} %x{j}, %k{j}",
                f"%behind{j} = add i64 %lo{j}, %part{g}",
                f"%lo{j}.next = select i1 %c{j}, i64 %behind{j}, i64 %lo{j}, !unpredictable {chance}",
            ]
        lines += [f"%rest{g} = sub i64 %len{g}, %part{g}", f"br label %turn{g}", f"found{g}:"]
        for j in lanes:
            lines += [
                f"%q{j} = getelementptr {element}, ptr %row, i64 %lo{j}",
                f"%y{j} = load {element}, ptr %q{j}, align {size}",
                f"%d{j} = {compare} {element} %y{j}, %k{j}",
                f"%one{j} = zext i1 %d{j} to i64",
                f"%place{j} = add i64 %lo{j}, %one{j}",
                f"%all{j} = insertelement {row.index} {result}, i64 %place{j}, i64 {j}",
            ]
            result = f"%all{j}"
        lines.append(f"br label %each{g + 1}" if g + 1 < len(groups) else f"ret {row.index} {result}")
    return "\n".join([*lines, "gathered:"])


class _Row:
    """Pieces of the text: elements of the row at one index or at several."""

    def __init__(self, module: Module, dtype: np.dtype, lanes: int, left: bool) -> None:
        self.module, self.dtype, self.lanes, self.left = module, dtype, lanes, left
        self.index, self.kind, self.pointers = llvm_type(int64, lanes), llvm_type(dtype, lanes), "ptr" if lanes == 1 else f"<{lanes} x ptr>"
        self.zero, self.minus_one = ("0", "-1") if lanes == 1 else ("zeroinitializer", "splat (i64 -1)")

    def wide(self, name: str, number: str) -> str:
        """The number in every lane."""
        if self.lanes == 1:
            return f"{name} = add i64 {number}, 0"
        return f"""{name}.one = insertelement {self.index} poison, i64 {number}, i64 0
        {name} = shufflevector {self.index} {name}.one, {self.index} poison, <{self.lanes} x i32> zeroinitializer"""

    def load(self, name: str, pointers: str) -> str:
        """The elements at pointers."""
        size = self.dtype.itemsize
        if self.lanes == 1:
            return f"{name} = load {self.kind}, ptr {pointers}, align {size}"
        gather = f"@llvm.masked.gather.{mangled(self.dtype, self.lanes)}.v{self.lanes}p0"
        self.module.declare(f"declare {self.kind} {gather}({self.pointers}, i32, <{self.lanes} x i1>, {self.kind})")
        mask = f"<{self.lanes} x i1> splat (i1 true)"
        return f"{name} = call {self.kind} {gather}({self.pointers} {pointers}, i32 {size}, {mask}, {self.kind} poison)"

    def before(self, at: str, tag: str) -> str:
        """`%<tag>.before`: whether the element stands before the key, nan behind all numbers."""
        element, index = llvm_type(self.dtype, 1), self.index
        lines = [
            f"%{tag}.offset = mul {index} {at}, %apart",
            f"%{tag}.place = getelementptr {element}, ptr %row, {index} %{tag}.offset",
            self.load(f"%{tag}.x", f"%{tag}.place"),
        ]
        low, high = (f"%{tag}.x", "%key") if self.left else ("%key", f"%{tag}.x")
        found, mask = f"%{tag}.before" if self.left else f"%{tag}.behind", llvm_type(bool_, self.lanes)
        if self.dtype.kind == "f":
            lines += [
                f"%{tag}.less = fcmp olt {self.kind} {low}, {high}",
                f"%{tag}.number = fcmp ord {self.kind} {low}, {low}",
                f"%{tag}.nan = fcmp uno {self.kind} {high}, {high}",
                f"%{tag}.both = and {mask} %{tag}.number, %{tag}.nan",
                f"{found} = or {mask} %{tag}.less, %{tag}.both",
            ]
        else:
            lines.append(f"{found} = icmp {'s' if self.dtype.kind == 'i' else 'u'}lt {self.kind} {low}, {high}")
        if not self.left:
            lines.append(f"%{tag}.before = xor {mask} %{tag}.behind, {'true' if self.lanes == 1 else 'splat (i1 true)'}")
        return "\n".join(lines)


LOOK_UP = Strategy("look up", lambda kernel: False, lambda kernel, target: None, _look_up)


def _write(e: Emitter, p: Search) -> None:
    """Loops over the points around the search, the last of them over lanes where these share the row."""
    stages = range(len(p.stages))
    body: list[Statement] = [Call("look up", p, LOOK_UP), *(Let(k, p.stages[k].body) for k in stages if k)]
    body += [Store(slot, d, static, sc.local(k, (), p.stages[k].dtype), mode) for k in stages for slot, d, static, mode in p.stores[k]]
    inner = Block(tuple(body))
    for k in range(len(p.axes) - 1, -1, -1):
        axis = p.axes[k]
        shared = isinstance(p.start, int) or symbol_of(axis.index) not in dims.symbols(p.start)
        lanes = min(e.target.lanes(p.key.dtype), e.target.vector_bytes // 4) if k == len(p.axes) - 1 and shared else 1
        inner = Block((For(axis.index, axis.extent, "vector" if lanes > 1 else "serial", inner, lanes, parallel=k == 0),))
    e.statement(inner, inner)


SEARCH = Strategy("search", lambda kernel: kernel.kind == "search", _plan, _write, _tasks)
