"""Loops as LLVM text: counted, unrolled, over lanes; accumulators travel through them as phis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import dims
from graphc.codegen.llvm.accumulate import Accumulators, Register
from graphc.codegen.llvm.emit_scalar import Block as Lines
from graphc.codegen.llvm.emit_scalar import llvm_type, splat
from graphc.codegen.llvm.llvm_text import hidden
from graphc.codegen.llvm.module import fresh
from graphc.codegen.llvm.values import MOST_BYTES, WIDEST, Scope, Value, Values, lane_numbers
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, Statement, walk
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import int8, int16, int64
from graphc.program import Axis

COMPARED = 2  # vectors of indices, up to which a mask is made by comparing them


class Loops:
    """The part of an emitter that has loops. `write` writes a statement of a body; `range` is what a call runs of the parallel loop."""

    def __init__(
        self, values: Values, accumulators: Accumulators, write: Callable[[Statement, Block], None], span: tuple[Size, Size] | None
    ) -> None:
        self.v, self.accumulators, self.write, self.range = values, accumulators, write, span

    # -- by hand ------------------------------------------------------------------------------------------------
    def each(self, index: Dim, start: Size, stop: Size, step: int, write: Callable[[], None], outer: bool = False) -> None:
        """for index in start..stop by step: what `write` writes. One turn is no loop. `outer`: it calls what the time is spent in."""
        symbol = dims.as_symbol(index)
        assert symbol is not None
        if not isinstance(start, int) and stop - start == step:
            self.v.scopes.append(Scope(self.v.here.lines, self.v.here.depth, axis={symbol: self.v.size(start)}))
            write()
            self.v.scopes.pop()
            return

        def body(scope: Scope, i: str) -> None:
            self.v.scopes.append(Scope(scope.lines, scope.depth, axis={symbol: Value(i, 1, scope.depth)}))
            write()
            self.v.scopes.pop()

        self.counted(symbol, start, stop, step, Block(()), [body], outer)

    def nest(self, axes: Sequence[Axis], write: Callable[[], None]) -> None:
        """for every point of the axes, the first one outermost."""
        if not axes:
            write()
            return
        self.each(axes[0].index, 0, axes[0].extent, 1, lambda: self.nest(axes[1:], write))

    def when(self, condition: str, write: Callable[[], None]) -> None:
        """if condition: what `write` writes."""
        yes, no, lines = self.v.label("when"), self.v.label("after"), self.v.here.lines
        lines.line(f"br i1 {condition}, label %{yes}, label %{no}")
        lines.label(yes)
        self.v.scopes.append(Scope(lines, self.v.here.depth))
        write()
        self.v.scopes.pop()
        lines.line(f"br label %{no}")
        lines.label(no)

    # -- statements ---------------------------------------------------------------------------------------------
    def loop(self, s: For) -> None:
        symbol = dims.as_symbol(s.index)
        assert symbol is not None
        if s.kind == "unroll":
            assert isinstance(s.extent, int)
            depth = self.v.here.depth  # of what depends on the index, too: the next copy must not find it outside
            for k in range(s.extent):
                self.v.scopes.append(Scope(self.v.here.lines, depth, axis={symbol: Value(str(k), 1, depth)}))
                self.write(s.body, s.body)
                self.v.scopes.pop()
            return
        start, end = self.range if s.parallel and self.range is not None else (s.first, s.end)
        if s.kind != "vector" or s.lanes == 1:
            main = start + dims.floordiv(end - start, s.unroll) * s.unroll
            if main != start:
                self.counted(symbol, start, main, s.unroll, s.body, [self.plain(symbol, s, u) for u in range(s.unroll)])
            if main != end:
                self.counted(symbol, main, end, 1, s.body, [self.plain(symbol, s, 0)])
            return
        outer, self.v.lanes = self.v.lanes, s.lanes
        main = start + dims.floordiv(end - start, s.step) * s.step
        if s.masked and main != end:
            main = start
        if main != start:
            copies = [self.lane_copy(symbol, s, u, None, start == 0) for u in range(s.unroll)]
            self.counted(symbol, start, main, s.step, s.body, copies, as_written=True)
        if main != end:
            self.v.lanes = s.tail or s.lanes
            self.counted(symbol, main, end, self.v.lanes, s.body, [self.lane_copy(symbol, s, 0, end, start == 0)], as_written=True)
        self.v.lanes = outer

    def plain(self, symbol: Symbol, s: For, u: int) -> Callable[[Scope, str], None]:
        """The body for turn i + u of a serial loop."""

        def write(scope: Scope, i: str) -> None:
            copy = Scope(scope.lines, scope.depth, ahead=s.ahead)
            copy.axis[symbol] = Value(i if u == 0 else scope.lines.emit(f"add i64 {i}, {u}"), 1, scope.depth)
            self.v.scopes.append(copy)
            self.statement_copy(s.body, u)
            self.v.scopes.pop()

        return write

    def lane_copy(self, symbol: Symbol, s: For, u: int, end: Size | None, aligned: bool) -> Callable[[Scope, str], None]:
        """The body for lanes base + u*lanes ..; with `end` the lanes beyond it are masked off. `aligned`: the loop begins at 0."""

        def write(scope: Scope, base: str) -> None:
            copy = Scope(scope.lines, scope.depth, vector=symbol, aligned=aligned and s.step % self.v.lanes == 0, ahead=s.ahead)
            start = base if u == 0 else scope.lines.emit(f"add i64 {base}, {u * s.lanes}")
            copy.axis[symbol] = Value(start, 1, scope.depth)
            if end is not None:
                self.v.scopes.append(scope)
                last = self.v.size(end).text
                known = base.isdecimal() and last.isdecimal()
                left = str(int(last) - int(base)) if known else scope.lines.emit(f"sub i64 {last}, {base}")
                self.v.scopes.pop()
                copy.mask = self.first_lanes(scope.lines, left)
            self.v.scopes.append(copy)
            self.statement_copy(s.body, u)
            self.v.scopes.pop()

        return write

    def first_lanes(self, lines: Lines, count: str) -> str:
        """The mask of the first `count` lanes. Many of them are compared by numbers of a byte or two, or each vector would take eight."""
        lanes = self.v.lanes
        if count.isdecimal() and self.v.target.vector_bytes == WIDEST and lanes <= 64:
            return self.first_known_lanes(int(count), lanes)
        if 8 * lanes // self.v.target.vector_bytes > COMPARED:
            dtype = int8 if lanes <= MOST_BYTES // 2 else int16
            self.v.module.declare("declare i64 @llvm.smin.i64(i64, i64)")
            bounded = lines.emit(f"call i64 @llvm.smin.i64(i64 {count}, i64 {lanes})")
            count = lines.emit(f"trunc i64 {bounded} to {llvm_type(dtype, 1)}")
        else:
            dtype = int64
        return lines.emit(f"icmp slt {llvm_type(dtype, lanes)} {lane_numbers(lanes, dtype)}, {splat(lines, count, dtype, lanes)}")

    def first_known_lanes(self, count: int, lanes: int) -> str:
        """The same where the number is known, which LLVM must not know: it would choose these lanes of sums by `vexpand`, with which some
        processors take fifty cycles, in place of a move under a mask.

        The mask is the beginning of one of 64 lanes, all of them said: of a narrower register LLVM takes the lanes beyond for zeros, which
        stores of vectors of less than 16 bytes rely on, where they are what the wider register held before.
        """
        key = ("first lanes", count, lanes)
        found = self.v.find(key)
        if found is None:
            with self.v.at(0):
                lines = self.v.here.lines
                zeros = 64 - min(count, lanes)
                bits = lines.emit(f'call i64 asm "", "=r,0"(i64 {(2**64 - 1) >> zeros})')
                mask = lines.emit(f"bitcast i64 {bits} to <64 x i1>")
                if lanes < 64:
                    numbers = ", ".join(f"i32 {k}" for k in range(lanes))
                    mask = lines.emit(f"shufflevector <64 x i1> {mask}, <64 x i1> poison, <{lanes} x i32> <{numbers}>")
                found = self.v.put(key, Value(mask, lanes, 0))
        return found.text

    def statement_copy(self, body: Block, u: int) -> None:
        """The statements of one unrolled copy: accumulators use their u-th register."""
        for s in body.body:
            if isinstance(s, Accumulate):
                self.accumulators.accumulate(s.name, s.value, s.other, u)
            else:
                self.write(s, body)

    def carried(self, body: Block, lines: Lines) -> list[tuple[Register, str, int, str, str]]:
        """The accumulators that a loop updates, under new names within it: (register, part, number, new name, name before the loop)."""
        inside = {a.name for a in walk(body) if isinstance(a, Alloc)}
        phis = []
        for name in sorted({a.name for a in walk(body) if isinstance(a, Accumulate)} - inside):
            register = self.accumulators.registers[name]
            for part in ("values", "positions"):
                for k, old in enumerate(getattr(register, part)):
                    new = fresh(lines)
                    getattr(register, part)[k] = new
                    phis.append((register, part, k, new, old))
        return phis

    def counted(
        self, symbol: Symbol, start: Size, end: Size, step: int, body: Block, copies: Sequence[Callable[[Scope, str], None]],
        as_written: bool = False,
    ) -> None:  # fmt: skip
        """for i = start; i < end; i += step. Accumulators that the body updates travel as phis.

        as_written: LLVM leaves the addresses of its turns as they are, see `llvm_text.hidden`: most lie next to each other.
        """
        if isinstance(start, int) and isinstance(end, int):
            if start >= end:
                return
            if end - start <= step:
                self.v.scopes.append(Scope(self.v.here.lines, self.v.here.depth))
                for write in copies:
                    write(self.v.here, str(start))
                self.v.scopes.pop()
                return
        first, last = self.v.size(start), self.v.size(end)
        parent = self.v.here
        head, exit_ = self.v.label("loop"), self.v.label("exit")
        lines = Lines(parent.lines.names)
        lines.current = head
        scope = Scope(lines, parent.depth + 1)
        counter = fresh(lines)
        phis = self.carried(body, lines)
        for write in copies:
            write(scope, counter)
        next_ = lines.emit(f"add nuw nsw i64 {counter}, {step}")
        again = lines.emit(f"icmp slt i64 {next_}, {last.text}")
        following = hidden(self.v.module, lines, next_) if as_written else next_
        known = isinstance(start, int) and isinstance(end, int)
        out = parent.lines
        preheader, latch = parent.lines.current, lines.current
        if known:
            out.line(f"br label %{head}")
        else:
            enter = out.emit(f"icmp slt i64 {first.text}, {last.text}")
            out.line(f"br i1 {enter}, label %{head}, label %{exit_}")
        out.lines.append(f"{head}:")
        out.line(f"{counter} = phi i64 [ {first.text}, %{preheader} ], [ {following}, %{latch} ]")
        for register, part, k, new, old in phis:
            kind = self.accumulators.register_type(register, part)
            out.line(f"{new} = phi {kind} [ {old}, %{preheader} ], [ {getattr(register, part)[k]}, %{latch} ]")
        out.lines.extend(lines.lines)
        out.line(f"br i1 {again}, label %{head}, label %{exit_}")
        out.label(exit_)
        if not known:
            for register, part, k, _, old in phis:
                final = getattr(register, part)[k]
                getattr(register, part)[k] = out.emit(
                    f"phi {self.accumulators.register_type(register, part)} [ {old}, %{preheader} ], [ {final}, %{latch} ]"
                )
