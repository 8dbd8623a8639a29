"""Accumulators: registers that loops carry, one per unrolled copy, joined when the loop is over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import literal, llvm_type
from graphc.codegen.llvm.values import Value, Values, lane_numbers
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, walk
from graphc.dtypes import bool_, int64
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass
class Register:
    """An accumulator: one SSA name per unrolled copy (value, and position for arg combines)."""

    dtype: np.dtype
    combine: str
    lanes: int
    values: list[str]
    positions: list[str]
    depth: int
    own_lanes: bool  # the lanes were introduced by this reduction and are joined at its end
    names: tuple[int, ...]  # the locals that are read of it: the value, or of an arg combine the position, and the value if it is asked for
    running: bool = False  # read between updates
    now: str = ""  # of a running one with own lanes, which carries what all lanes came to: what each came to
    in_order: bool = False  # each lane of each copy meets rising positions
    met: bool = False  # an element for certain, so that there is a position

    @property
    def is_arg(self) -> bool:
        return self.combine.startswith("arg")


def neutral(combine: str, dtype: np.dtype) -> Scalar:
    """The element that a combine ignores."""
    if combine in ("sum", "any", "recur"):
        return sc.const(0, dtype)
    if combine in ("prod", "all"):
        return sc.const(1, dtype)
    low = combine in ("max", "argmax")
    if dtype == bool_:
        return sc.const(not low, dtype)
    if dtype.kind == "f":
        return sc.const(-np.inf if low else np.inf, dtype)
    info = np.iinfo(dtype)
    return sc.const(info.min if low else info.max, dtype)


LAST = sc.const(np.iinfo(np.int64).max, int64)  # a position that any real one precedes
COMBINE_OPS = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


def _accumulates(loop: For, name: int) -> bool:
    return any(isinstance(a, Accumulate) and a.name == name for a in walk(loop.body))


def _in_order(around: Block, name: int) -> bool:
    """Whether one loop alone updates an arg combine, by its own index: it meets the positions in their order, each lane its own."""
    loops = [s for s in walk(around) if isinstance(s, For) and _accumulates(s, name)]
    updates = [s for s in walk(around) if isinstance(s, Accumulate) and s.name == name and s.combine.startswith("arg")]
    return len(loops) == len(updates) == 1 and updates[0].other is sc.index(loops[0].index)


def combined(v: Values, combine: str, dtype: np.dtype, a: str, b: str, lanes: int) -> str:
    """combine(a, b), lane by lane."""
    x, y = sc.arg(0, dtype), sc.arg(1, dtype)
    if dtype == bool_ and combine in ("max", "min", "sum", "prod"):
        combine = {"max": "any", "min": "all", "sum": "any", "prod": "all"}[combine]
    if dtype.kind == "f" and combine == "sum":
        return v.here.lines.emit(f"fadd reassoc {llvm_type(dtype, lanes)} {a}, {b}")
    return v.op(sc.scalar(COMBINE_OPS[combine], (x, y), dtype), [a, b], lanes)


class Accumulators:
    """Reductions: sums, products, extremes, positions of extremes, recurrences: the part of an emitter that has registers."""

    def __init__(self, values: Values) -> None:
        self.v = values
        self.registers: dict[int, Register] = {}
        values.readers["local"] = self.result

    def new_register(self, alloc: Alloc, around: Block) -> None:
        """With as many lanes and copies as the loops inside the block around need: another block may have the name for another one."""
        name, dtype, combine = alloc.name, alloc.dtype, alloc.combine
        lanes, copies, outer = self.v.lanes, 1, self.v.lanes
        for s in walk(around):
            if isinstance(s, For) and s.kind == "serial" and s.unroll > 1 and _accumulates(s, name):
                copies = max(copies, s.unroll)
            if isinstance(s, For) and s.kind == "vector" and s.lanes > 1 and outer == 1 and _accumulates(s, name):
                lanes, copies = s.lanes, 1 if alloc.running else s.unroll
            if isinstance(s, Accumulate) and s.name == name and combine.startswith("arg"):
                dtype = s.value.dtype
        start = literal(neutral(combine, dtype), lanes)
        positions = [literal(LAST, lanes)] * copies if combine.startswith("arg") else []
        names = (name,) if alloc.value is None else (name, alloc.value[0])
        in_order = _in_order(around, name)
        own, depth = lanes > outer, self.v.here.depth
        values = [start] * copies
        register = Register(dtype, combine, lanes, values, positions, depth, own, names, running=alloc.running, in_order=in_order)
        self.registers |= dict.fromkeys(names, register)

    def register_type(self, register: Register, part: str) -> str:
        return llvm_type(register.dtype if part == "values" else int64, register.lanes)

    def accumulate(self, name: int, value: Scalar, other: Scalar | None, u: int) -> None:
        register = self.registers[name]
        u = u if u < len(register.values) else 0
        nothing = neutral(register.combine, register.dtype)
        v = self.v.spread(self.v.value(value), value.dtype, register.lanes)
        v = self.once(self.unless_masked(v, nothing, register.lanes), nothing, register)
        if register.running and register.own_lanes:
            self.scanned(register, v)
            return
        if register.combine == "recur":
            assert other is not None
            f = self.v.spread(self.v.value(other), value.dtype, register.lanes)
            x = [sc.arg(k, value.dtype) for k in range(3)]
            register.values[u] = self.v.tree(x[0] * x[1] + x[2], {0: register.values[u], 1: f, 2: v}, register.lanes)
            return
        if other is None:
            register.values[u] = combined(self.v, register.combine, register.dtype, register.values[u], v, register.lanes)
            return
        p = self.v.spread(self.v.value(other), int64, register.lanes)
        first = register.positions[u] == literal(LAST, register.lanes)
        if register.in_order and not first:  # what lies beyond the end is no better than nothing
            register.values[u], register.positions[u] = self.later(register, register.values[u], register.positions[u], v, p)
            return
        p = self.once(self.unless_masked(p, LAST, register.lanes), LAST, register)
        if first:  # no loop is around: it is the first element
            register.values[u], register.positions[u], register.met = v, p, True
            return
        register.values[u], register.positions[u] = self.better(register, register.values[u], register.positions[u], v, p, register.lanes)

    def scanned(self, register: Register, value: str) -> None:
        """Lanes a b c d: a ab c cd, then a ab abc abcd; each with what was carried so far; that with the last of them is carried on.

        From one turn to the next there is one operation: the lanes do not wait for each other.
        """
        lanes, dtype, step = register.lanes, register.dtype, 1
        op, kind, lines = COMBINE_OPS[register.combine], llvm_type(register.dtype, register.lanes), self.v.here.lines

        def both(a: str, b: str) -> str:
            return self.v.op(sc.scalar(op, (sc.arg(0, dtype), sc.arg(1, dtype)), dtype), [a, b], lanes)

        def moved(text: str, places: Sequence[str]) -> str:
            return lines.emit(f"shufflevector {kind} {text}, {kind} poison, <{lanes} x i32> <{', '.join(f'i32 {k}' for k in places)}>")

        while step < lanes:  # the upper half of every 2 * step lanes takes the last of the lower half
            upper = [k & step != 0 for k in range(lanes)]
            before = moved(value, [str(k - k % (2 * step) + step - 1) if up else "poison" for k, up in enumerate(upper)])
            mask = "<" + ", ".join(f"i1 {int(up)}" for up in upper) + ">"
            value = lines.emit(f"select <{lanes} x i1> {mask}, {kind} {both(before, value)}, {kind} {value}")
            step *= 2
        last = moved(value, [str(lanes - 1)] * lanes)
        register.now, register.values[0] = both(register.values[0], value), both(register.values[0], last)

    def once(self, value: str, otherwise: Scalar, register: Register) -> str:
        """The value in the first lane alone, where there is one for lanes that only the loops of other updates have."""
        if not register.own_lanes or self.v.lanes == register.lanes:
            return value
        lanes, kind = register.lanes, llvm_type(otherwise.dtype, register.lanes)
        first = self.v.here.lines.emit(f"icmp eq <{lanes} x i64> {lane_numbers(lanes)}, zeroinitializer")
        return self.v.here.lines.emit(f"select <{lanes} x i1> {first}, {kind} {value}, {kind} {literal(otherwise, lanes)}")

    def unless_masked(self, value: str, otherwise: Scalar, lanes: int) -> str:
        """The value in the lanes that exist, `otherwise` beyond the end of the loop."""
        mask = self.v.mask() if lanes > 1 else None
        if mask is None:
            return value
        kind = llvm_type(otherwise.dtype, lanes)
        return self.v.here.lines.emit(f"select <{lanes} x i1> {mask}, {kind} {value}, {kind} {literal(otherwise, lanes)}")

    def better(self, register: Register, a: str, p: str, b: str, q: str, lanes: int) -> tuple[str, str]:
        """The extreme of (a, p) and (b, q): the better value, nan before all, the lower position among equals."""
        x, y = sc.arg(0, register.dtype), sc.arg(1, register.dtype)
        i, j = sc.arg(2, int64), sc.arg(3, int64)
        wins = (y > x) if register.combine == "argmax" else (y < x)
        same = x.eq(y)
        if register.dtype.kind == "f":
            x_nan, y_nan = x.ne(x), y.ne(y)
            wins = wins | (y_nan & ~x_nan)
            same = same | (x_nan & y_nan)
        return self.taken(wins | (same & (j < i)), register, a, p, b, q, lanes)

    def later(self, register: Register, a: str, p: str, b: str, q: str) -> tuple[str, str]:
        """The same of (a, p) and (b, q) behind it: two comparisons. What is no better than the neutral element leaves no position."""
        x, y = sc.arg(0, register.dtype), sc.arg(1, register.dtype)
        if register.dtype.kind == "f":
            wins = ~(y <= x if register.combine == "argmax" else y >= x) & x.eq(x)  # also where y is nan
        else:
            wins = y > x if register.combine == "argmax" else y < x
        return self.taken(wins, register, a, p, b, q, register.lanes)

    def taken(self, wins: Scalar, register: Register, a: str, p: str, b: str, q: str, lanes: int) -> tuple[str, str]:
        """(b, q) where it wins, else (a, p)."""
        take = self.v.tree(wins, {0: a, 1: b, 2: p, 3: q}, lanes)
        cond = llvm_type(bool_, lanes)
        out = []
        for kind, old, new in ((llvm_type(register.dtype, lanes), a, b), (llvm_type(int64, lanes), p, q)):
            out.append(self.v.here.lines.emit(f"select {cond} {take}, {kind} {new}, {kind} {old}"))
        return out[0], out[1]

    def result(self, s: Scalar, _: list[Value]) -> Value:
        """The accumulated value of a `local`: copies joined, then lanes, if the lanes were this reduction's own."""
        register = self.registers[s.param]
        if register.running:
            return Value(register.now or register.values[0], register.lanes, self.v.here.depth)
        with self.v.at(register.depth):
            for name, value in zip(register.names, self.joined(register), strict=False):
                self.v.put(("local", name), value)
            return self.v.here.memo["local", s.param]

    def joined(self, register: Register) -> list[Value]:
        """What its locals are."""
        values, positions = list(register.values), list(register.positions)
        while len(values) > 1:
            half = len(values) // 2
            for k in range(half):
                if register.is_arg:
                    values[k], positions[k] = self.better(
                        register, values[k], positions[k], values[k + half], positions[k + half], register.lanes
                    )
                else:
                    values[k] = combined(self.v, register.combine, register.dtype, values[k], values[k + half], register.lanes)
            values, positions = values[:half] + values[2 * half :], positions[:half] + positions[2 * half :]
        value, position = values[0], positions[0] if positions else ""
        lanes = register.lanes
        if register.own_lanes:
            while lanes > 1:
                lanes //= 2
                low, high = self.halves(value, register.dtype, lanes)
                if register.is_arg:
                    plow, phigh = self.halves(position, int64, lanes)
                    value, position = self.better(register, low, plow, high, phigh, lanes)
                else:
                    value = combined(self.v, register.combine, register.dtype, low, high, lanes)
        if register.in_order and not register.met:  # no element was better than the neutral one, so they are all equal to it
            nothing = self.v.tree(sc.arg(0, int64).eq(LAST), {0: position}, lanes)
            kind = llvm_type(int64, lanes)
            zero = literal(sc.const(0, int64), lanes)
            position = self.v.here.lines.emit(f"select {llvm_type(bool_, lanes)} {nothing}, {kind} {zero}, {kind} {position}")
        return [Value(text, lanes, register.depth) for text in ((position, value) if register.is_arg else (value,))]

    def halves(self, value: str, dtype: np.dtype, lanes: int) -> tuple[str, str]:
        """The lower and upper `lanes` of a vector of twice as many; as scalars when that is one."""
        kind, lines = llvm_type(dtype, 2 * lanes), self.v.here.lines
        if lanes == 1:
            return lines.emit(f"extractelement {kind} {value}, i64 0"), lines.emit(f"extractelement {kind} {value}, i64 1")
        low, high = ("<" + ", ".join(f"i32 {at + k}" for k in range(lanes)) + ">" for at in (0, lanes))
        part = f"shufflevector {kind} {value}, {kind} poison, <{lanes} x i32>"
        return lines.emit(f"{part} {low}"), lines.emit(f"{part} {high}")
