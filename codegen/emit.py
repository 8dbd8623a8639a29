"""Loop IR to LLVM text: one function per kernel. Values are placed by `codegen.values`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.accumulate import AccumulatorEmitter, Register
from codegen.fill import Fill, write_fill
from codegen.loopir import Accumulate, Alloc, Block, Call, For, If, Let, Statement, Store, walk
from codegen.straight import write_values
from codegen.text import Block as Lines
from codegen.text import splat
from codegen.unit import fresh
from codegen.values import Scope, Value, lane_numbers
from graphc import dims
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.errors import CompileError, fail


class FunctionEmitter(AccumulatorEmitter):
    """Writes one kernel function."""

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
        """The operands' addresses, then the sizes."""
        return [f"ptr %b{k}" for k in range(len(self.kernel.operands))] + [f"i64 %n{k}" for k in range(len(self.kernel.sizes()))]

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
            case Call("fill", Fill() as fill):
                write_fill(self, fill)
            case Call():
                self.call(s)
            case If():
                fail(CompileError, "If has no emission yet")

    def call(self, s: Call) -> None:
        """A micro-kernel; `codegen.strategy` overrides this where it has some."""
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
        if s.kind != "vector" or s.lanes == 1:
            self.counted(symbol, 0, s.extent, 1, s.body, [self.plain(symbol, s.body)])
            return
        outer, self.lanes = self.lanes, s.lanes
        step = s.lanes * s.unroll
        if isinstance(s.extent, int):
            main: Size = s.extent // step * step
        else:
            main = dims.floordiv(s.extent, step) * step
        if main != 0:
            self.counted(symbol, 0, main, step, s.body, [self.lane_copy(symbol, s, u, None) for u in range(s.unroll)])
        if main != s.extent:
            self.counted(symbol, main, s.extent, s.lanes, s.body, [self.lane_copy(symbol, s, 0, s.extent)])
        self.lanes = outer

    def plain(self, symbol: Symbol, body: Block) -> Callable[[Scope, str], None]:
        def write(scope: Scope, i: str) -> None:
            scope.axis[symbol] = Value(i, 1, scope.depth)
            self.scopes.append(scope)
            self.statement(body)
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
                count = splat(scope.lines, left, int64, s.lanes)
                copy.mask = scope.lines.emit(f"icmp slt <{s.lanes} x i64> {lane_numbers(s.lanes)}, {count}")
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
