"""Loop IR to LLVM text: one function per kernel. Values are placed by `graphc.codegen.llvm.values`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc import dims
from graphc.codegen.llvm.access import memory_type
from graphc.codegen.llvm.accumulate import AccumulatorEmitter, Register
from graphc.codegen.llvm.emit_scalar import Block as Lines
from graphc.codegen.llvm.emit_scalar import splat
from graphc.codegen.llvm.fill import Fill, write_fill
from graphc.codegen.llvm.module import Unit, fresh
from graphc.codegen.llvm.values import Scope, Value, lane_numbers
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, Call, For, If, Let, Statement, Store, walk
from graphc.codegen.loops.straight_line import write_values
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.errors import CompileError, fail
from graphc.program import BLOCK, Kernel, Piece

LO, HI = (dims.axis(x) for x in ("lo", "hi"))  # the part of the parallel loop that a call of the kernel runs


class FunctionEmitter(AccumulatorEmitter):
    """Writes one kernel function; if it is `shared` among threads, it takes the range of the parallel loop to run."""

    def __init__(self, unit: Unit, kernel: Kernel, name: str, body: Block, shared: bool = False) -> None:
        super().__init__(unit, kernel, name, body)
        self.shared = shared
        if shared:
            for index in (LO, HI):
                symbol = dims.as_symbol(index)
                assert symbol is not None
                self.scopes[0].axis[symbol] = Value(f"%{symbol.name}", 1, 0)

    def text(self) -> str:
        """The whole function."""
        if self.outline:
            write_values(self, [(s.name, s.value) for s in self.body.body if isinstance(s, Let)])
        for s in self.body.body:
            self.statement(s)
        lines = "\n".join(self.entry.lines)
        head = f"define internal void @{self.name}({', '.join(self.parameters())}) {self.unit.kernel_attributes}"
        return f"{head} {{\nentry:\n{lines}\n  ret void\n}}\n"

    def parameters(self) -> list[str]:
        """The addresses of operands and scratch, the sizes, the range."""
        arrays = [f"ptr %b{k}" for k in range(len(self.kernel.operands) + len(self.kernel.scratch))]
        return arrays + [f"i64 %n{k}" for k in range(len(self.kernel.sizes()))] + ["i64 %lo", "i64 %hi"] * self.shared

    def span(self, extent: Size) -> tuple[Size, Size]:
        """Where a parallel loop of this extent starts and ends."""
        return (LO, HI) if self.shared else (0, extent)

    # -- statements ---------------------------------------------------------------------------------------------
    def statement(self, s: Statement) -> None:
        match s:
            case Block(body):
                for inner in body:
                    self.statement(inner)
            case Let(name, value):
                self.here.memo["local", name] = self.value(value)
            case Store(slot, dynamic, static, value, mode):
                self.store(slot, dynamic, static, value, mode)
            case Alloc(name, dtype, combine):
                self.registers[name] = self.new_register(name, dtype, combine)
            case Accumulate(name, _, value, other):
                self.accumulate(name, value, other, 0)
            case For():
                self.loop(s)
            case Call("piece", Piece() as piece):
                self.piece(piece)
            case Call("pieces", Block() as block):
                self.pieces(block)
            case Call("fill", Fill() as fill):
                write_fill(self, fill)
            case Call():
                self.call(s)
            case If():
                fail(CompileError, "If has no emission yet")

    def piece(self, piece: Piece) -> None:
        """Another kernel on the block that the loop around is at."""
        blocks, inner = self.kernel.blocks, piece.kernel
        assert blocks is not None
        places = zip(piece.slots, inner.operands, piece.at, strict=True)
        given = [f"ptr {self.beginning(slot, operand.dtype, at)}" for slot, operand, at in places]
        given += [f"i64 {self.size(blocks.length if s in dims.symbols(BLOCK) else dims.of_symbol(s)).text}" for s in inner.sizes()]
        self.here.lines.line(f"call void @{self.unit.names[inner]}({', '.join(given)})")

    def pieces(self, block: Block) -> None:
        """Some of the pieces as a function of their own."""
        (axis,) = self.kernel.axes
        symbol = dims.as_symbol(axis.index)
        assert symbol is not None
        name = f"{self.name}.{self.label('run')}"
        part = FunctionEmitter(self.unit, self.kernel, name, block)
        part.scopes[0].axis[symbol] = part.constant("%block")
        part.statement(block)
        given = [*part.parameters(), "i64 %block"]
        lines = "\n".join(part.entry.lines)
        self.module.functions[name] = f"define internal void @{name}({', '.join(given)}) nounwind {{\nentry:\n{lines}\n  ret void\n}}\n"
        self.here.lines.line(f"call void @{name}({', '.join([*given[:-1], f'i64 {self.size(axis.index).text}'])})")

    def beginning(self, slot: int, dtype: np.dtype, at: Size) -> str:
        """An address written where it is used: hundreds of rows kept from outside the loop would be LLVM's work for seconds."""
        if at == 0:
            return f"%b{slot}"
        return self.here.lines.emit(f"getelementptr {memory_type(dtype, 1)}, ptr %b{slot}, i64 {self.size(at).text}")

    def call(self, s: Call) -> None:
        """A micro-kernel; `graphc.codegen.strategy` overrides this where it has some."""
        fail(CompileError, f"{s.name} has no emission in kernel {self.name}")

    # -- loops --------------------------------------------------------------------------------------------------
    def loop(self, s: For) -> None:
        symbol = dims.as_symbol(s.index)
        assert symbol is not None
        if s.kind == "unroll":
            assert isinstance(s.extent, int)
            for k in range(s.extent):
                self.scopes.append(Scope(self.here.lines, self.here.depth, axis={symbol: Value(str(k), 1, 0)}))
                self.statement(s.body)
                self.scopes.pop()
            return
        start, end = self.span(s.extent) if s.parallel else (0, s.extent)
        if s.kind != "vector" or s.lanes == 1:
            main = start + dims.floordiv(end - start, s.unroll) * s.unroll
            if main != start:
                self.counted(symbol, start, main, s.unroll, s.body, [self.plain(symbol, s.body, u) for u in range(s.unroll)])
            if main != end:
                self.counted(symbol, main, end, 1, s.body, [self.plain(symbol, s.body, 0)])
            return
        outer, self.lanes = self.lanes, s.lanes
        main = start + dims.floordiv(end - start, s.step) * s.step
        if s.masked and main != end:
            main = start
        if main != start:
            self.counted(symbol, start, main, s.step, s.body, [self.lane_copy(symbol, s, u, None) for u in range(s.unroll)])
        if main != end:
            self.lanes = s.tail or s.lanes
            self.counted(symbol, main, end, self.lanes, s.body, [self.lane_copy(symbol, s, 0, end)])
        self.lanes = outer

    def plain(self, symbol: Symbol, body: Block, u: int) -> Callable[[Scope, str], None]:
        """The body for turn i + u of a serial loop."""

        def write(scope: Scope, i: str) -> None:
            copy = Scope(scope.lines, scope.depth)
            copy.axis[symbol] = Value(i if u == 0 else scope.lines.emit(f"add i64 {i}, {u}"), 1, scope.depth)
            self.scopes.append(copy)
            self.statement_copy(body, u)
            self.scopes.pop()

        return write

    def lane_copy(self, symbol: Symbol, s: For, u: int, end: Size | None) -> Callable[[Scope, str], None]:
        """The body for lanes base + u*lanes ..; with `end` the lanes beyond it are masked off."""

        def write(scope: Scope, base: str) -> None:
            copy = Scope(scope.lines, scope.depth, vector=symbol)
            start = base if u == 0 else scope.lines.emit(f"add i64 {base}, {u * s.lanes}")
            copy.axis[symbol] = Value(start, 1, scope.depth)
            if end is not None:
                self.scopes.append(scope)
                left = scope.lines.emit(f"sub i64 {self.size(end).text}, {base}")
                self.scopes.pop()
                count = splat(scope.lines, left, int64, self.lanes)
                copy.mask = scope.lines.emit(f"icmp slt <{self.lanes} x i64> {lane_numbers(self.lanes)}, {count}")
            self.scopes.append(copy)
            self.statement_copy(s.body, u)
            self.scopes.pop()

        return write

    def statement_copy(self, body: Block, u: int) -> None:
        """The statements of one unrolled copy: accumulators use their u-th register."""
        for s in body.body:
            if isinstance(s, Accumulate):
                self.accumulate(s.name, s.value, s.other, u)
            else:
                self.statement(s)

    def counted(
        self, symbol: Symbol, start: Size, end: Size, step: int, body: Block, copies: Sequence[Callable[[Scope, str], None]]
    ) -> None:
        """for i = start; i < end; i += step. Accumulators that the body updates travel as phis."""
        if isinstance(start, int) and isinstance(end, int):
            if start >= end:
                return
            if end - start <= step:
                self.scopes.append(Scope(self.here.lines, self.here.depth))
                for write in copies:
                    write(self.here, str(start))
                self.scopes.pop()
                return
        first, last = self.size(start), self.size(end)
        parent = self.here
        inside = {a.name for a in walk(body) if isinstance(a, Alloc)}
        carried = sorted({a.name for a in walk(body) if isinstance(a, Accumulate)} - inside)
        head, exit_ = self.label("loop"), self.label("exit")
        lines = Lines(parent.lines.names)
        lines.current = head
        scope = Scope(lines, parent.depth + 1)
        counter = fresh(lines)
        phis: list[tuple[Register, str, int, str, str]] = []
        for name in carried:
            register = self.registers[name]
            for part in ("values", "positions"):
                for k, old in enumerate(getattr(register, part)):
                    new = fresh(lines)
                    getattr(register, part)[k] = new
                    phis.append((register, part, k, new, old))
        for write in copies:
            write(scope, counter)
        next_ = lines.emit(f"add nuw nsw i64 {counter}, {step}")
        again = lines.emit(f"icmp slt i64 {next_}, {last.text}")
        known = isinstance(start, int) and isinstance(end, int)
        out = parent.lines
        preheader, latch = parent.lines.current, lines.current
        if known:
            out.line(f"br label %{head}")
        else:
            enter = out.emit(f"icmp slt i64 {first.text}, {last.text}")
            out.line(f"br i1 {enter}, label %{head}, label %{exit_}")
        out.lines.append(f"{head}:")
        out.line(f"{counter} = phi i64 [ {first.text}, %{preheader} ], [ {next_}, %{latch} ]")
        for register, part, k, new, old in phis:
            kind = self.register_type(register, part)
            out.line(f"{new} = phi {kind} [ {old}, %{preheader} ], [ {getattr(register, part)[k]}, %{latch} ]")
        out.lines.extend(lines.lines)
        out.line(f"br i1 {again}, label %{head}, label %{exit_}")
        out.label(exit_)
        if not known:
            for register, part, k, _, old in phis:
                final = getattr(register, part)[k]
                getattr(register, part)[k] = out.emit(
                    f"phi {self.register_type(register, part)} [ {old}, %{preheader} ], [ {final}, %{latch} ]"
                )
