"""Loop IR to LLVM text.

One function per kernel. Every value is placed in the outermost loop in which it has a meaning, so loop invariants are
hoisted and equal parts shared here, and LLVM needs no pass for that. In a `vector` loop a value that depends on the
loop's index is a vector, any other stays scalar and is spread over the lanes once, outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from codegen.loopir import Accumulate, Alloc, Block, Call, For, If, Let, Statement, Store, walk
from codegen.mathlib import MATH, expand
from codegen.text import Block as Lines
from codegen.text import Module, emit_op, evaluate, literal, llvm_type, splat
from graphc import dims
from graphc import scalar as sc
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import bool_, int8, int64
from graphc.errors import CompileError, fail
from graphc.program import Kernel
from graphc.scalar import Scalar
from graphc.target import Target


@dataclass(frozen=True)
class Value:
    """An SSA value: its name, how many lanes it has (1: the same for all), and the scope depth it belongs to."""

    text: str
    lanes: int
    depth: int


@dataclass
class Scope:
    """A loop body being written, or one unrolled copy of it."""

    lines: Lines
    depth: int
    memo: dict[object, Value] = field(default_factory=dict)
    axis: dict[Symbol, Value] = field(default_factory=dict)
    vector: Symbol | None = None  # the axis whose lanes this scope introduces
    mask: str | None = None  # the lanes that exist, in a tail


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

    @property
    def is_arg(self) -> bool:
        return self.combine.startswith("arg")


def memory_type(dtype: np.dtype, lanes: int) -> str:
    """The LLVM type of elements in memory: a bool is a byte there."""
    return llvm_type(int8 if dtype == bool_ else dtype, lanes)


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


COMBINE_OPS = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


class FunctionEmitter:
    """Writes one kernel function."""

    def __init__(self, unit: Unit, kernel: Kernel, name: str, body: Block) -> None:
        self.unit, self.module, self.target, self.kernel, self.name = unit, unit.module, unit.target, kernel, name
        self.written = {k for k, o in enumerate(kernel.operands) if o.written}
        self.outline = not any(isinstance(s, For) for s in walk(body))
        self.registers: dict[int, Register] = {}
        self.lanes = 1  # of the vector loop we are in
        self.labels = 0
        entry = Lines()
        entry.current = "entry"
        self.scopes = [Scope(entry, 0)]
        for symbol in kernel.sizes():
            self.scopes[0].axis[symbol] = Value(f"%{symbol_name(symbol)}", 1, 0)
        self.entry = entry
        self.body = body

    def text(self) -> str:
        """The whole function."""
        for s in self.body.body:
            self.statement(s)
        lines = "\n".join(self.entry.lines)
        return f"define internal void @{self.name}({', '.join(self.parameters())}) {self.unit.kernel_attributes} {{\nentry:\n{lines}\n  ret void\n}}\n"

    def parameters(self) -> list[str]:
        """The operands' addresses, then the sizes."""
        return [f"ptr %b{k}" for k in range(len(self.kernel.operands))] + [f"i64 %{symbol_name(s)}" for s in self.kernel.sizes()]

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
            case Call():
                self.call(s)
            case If():
                fail(CompileError, "If has no emission yet")

    def call(self, s: Call) -> None:
        """A micro-kernel; `codegen.strategy` overrides this where it has some."""
        fail(CompileError, f"{s.name} has no emission in kernel {self.name}")

    @property
    def here(self) -> Scope:
        return self.scopes[-1]

    def label(self, stem: str) -> str:
        self.labels += 1
        return f"{stem}{self.labels}"

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

    # -- accumulators -------------------------------------------------------------------------------------------
    def new_register(self, name: int, dtype: np.dtype, combine: str) -> Register:
        lanes, copies, outer = self.lanes, 1, self.lanes
        for s in walk(self.body):
            if isinstance(s, For) and s.kind == "vector" and s.lanes > 1 and self.lanes == 1:
                if any(isinstance(a, Accumulate) and a.name == name for a in walk(s.body)):
                    lanes, copies = s.lanes, s.unroll
        for s in walk(self.body):
            if isinstance(s, Accumulate) and s.name == name and combine.startswith("arg"):
                dtype = s.value.dtype
        start = literal(neutral(combine, dtype), lanes)
        positions = [literal(sc.const(np.iinfo(np.int64).max, int64), lanes)] * copies if combine.startswith("arg") else []
        return Register(dtype, combine, lanes, [start] * copies, positions, self.here.depth, lanes > outer)

    def register_type(self, register: Register, part: str) -> str:
        return llvm_type(register.dtype if part == "values" else int64, register.lanes)

    def accumulate(self, name: int, value: Scalar, other: Scalar | None, u: int) -> None:
        register = self.registers[name]
        u = u if u < len(register.values) else 0
        v = self.spread(self.value(value), value.dtype, register.lanes)
        mask = self.mask() if register.lanes > 1 else None
        if mask is not None:
            kind = llvm_type(register.dtype, register.lanes)
            v = self.here.lines.emit(
                f"select <{register.lanes} x i1> {mask}, {kind} {v}, {kind} {literal(neutral(register.combine, register.dtype), register.lanes)}"
            )
        if register.combine == "recur":
            assert other is not None
            f = self.spread(self.value(other), value.dtype, register.lanes)
            x = [sc.arg(k, value.dtype) for k in range(3)]
            register.values[u] = self.tree(x[0] * x[1] + x[2], {0: register.values[u], 1: f, 2: v}, register.lanes)
            return
        if other is None:
            register.values[u] = self.combine(register.combine, register.dtype, register.values[u], v, register.lanes)
            return
        p = self.spread(self.value(other), int64, register.lanes)
        if mask is not None:
            kind = llvm_type(int64, register.lanes)
            p = self.here.lines.emit(
                f"select <{register.lanes} x i1> {mask}, {kind} {p}, {kind} {literal(sc.const(np.iinfo(np.int64).max, int64), register.lanes)}"
            )
        register.values[u], register.positions[u] = self.better(register, register.values[u], register.positions[u], v, p, register.lanes)

    def combine(self, combine: str, dtype: np.dtype, a: str, b: str, lanes: int) -> str:
        x, y = sc.arg(0, dtype), sc.arg(1, dtype)
        if dtype == bool_ and combine in ("max", "min", "sum", "prod"):
            combine = {"max": "any", "min": "all", "sum": "any", "prod": "all"}[combine]
        if dtype.kind == "f" and combine == "sum":
            return self.here.lines.emit(f"fadd reassoc nsz {llvm_type(dtype, lanes)} {a}, {b}")
        return self.op(sc.scalar(COMBINE_OPS[combine], (x, y), dtype), [a, b], lanes)

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
        take = self.tree(wins | (same & (j < i)), {0: a, 1: b, 2: p, 3: q}, lanes)
        cond = llvm_type(bool_, lanes)
        out = []
        for kind, old, new in ((llvm_type(register.dtype, lanes), a, b), (llvm_type(int64, lanes), p, q)):
            out.append(self.here.lines.emit(f"select {cond} {take}, {kind} {new}, {kind} {old}"))
        return out[0], out[1]

    def tree(self, root: Scalar, args: dict[int, str], lanes: int) -> str:
        """A small expression over `arg`s, written here."""
        done: dict[int, str] = {}
        for s in sc.order((root,)):
            done[id(s)] = (
                args[s.param]
                if s.op == "arg"
                else literal(s, lanes)
                if s.op == "const"
                else self.op(s, [done[id(x)] for x in s.args], lanes)
            )
        return done[id(root)]

    def result(self, name: int) -> Value:
        """The accumulated value: copies joined, then lanes, if the lanes were this reduction's own."""
        register = self.registers[name]
        with self.at(register.depth):
            return self.put(("local", name), self.joined(register))

    def joined(self, register: Register) -> Value:
        values, positions = list(register.values), list(register.positions)
        while len(values) > 1:
            half = len(values) // 2
            for k in range(half):
                if register.is_arg:
                    values[k], positions[k] = self.better(
                        register, values[k], positions[k], values[k + half], positions[k + half], register.lanes
                    )
                else:
                    values[k] = self.combine(register.combine, register.dtype, values[k], values[k + half], register.lanes)
            values, positions = values[:half], positions[:half]
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
                    value = self.combine(register.combine, register.dtype, low, high, lanes)
        return Value(position if register.is_arg else value, lanes, register.depth)

    def halves(self, value: str, dtype: np.dtype, lanes: int) -> tuple[str, str]:
        """The lower and upper `lanes` of a vector of twice as many; as scalars when that is one."""
        kind, lines = llvm_type(dtype, 2 * lanes), self.here.lines
        if lanes == 1:
            return lines.emit(f"extractelement {kind} {value}, i64 0"), lines.emit(f"extractelement {kind} {value}, i64 1")
        pick = lambda at: "<" + ", ".join(f"i32 {at + k}" for k in range(lanes)) + ">"  # noqa: E731
        return tuple(lines.emit(f"shufflevector {kind} {value}, {kind} poison, <{lanes} x i32> {pick(at)}") for at in (0, lanes))  # type: ignore[return-value]

    # -- values -------------------------------------------------------------------------------------------------
    def op(self, s: Scalar, args: list[str], lanes: int) -> str:
        return emit_op(self.module, self.here.lines, self.target, s, args, lanes)

    def find(self, key: object) -> Value | None:
        for scope in reversed(self.scopes):
            found = scope.memo.get(key)
            if found is not None:
                return found
        return None

    def put(self, key: object, value: Value) -> Value:
        self.scope_at(value.depth, value.lanes).memo[key] = value
        return value

    def scope_at(self, depth: int, lanes: int = 1) -> Scope:
        """The scope in which a value of that depth is written; unrolled copies share a depth, the innermost one is meant."""
        for scope in reversed(self.scopes):
            if scope.depth == depth:
                return scope
        raise AssertionError(depth)

    def constant(self, text: str) -> Value:
        """A value that is the same everywhere in the function."""
        return Value(text, 1, 0)

    def at(self, depth: int) -> _At:
        return _At(self, depth)

    def value(self, root: Scalar) -> Value:
        """The SSA value of a Scalar, written where it belongs."""
        root = root if self.outline else expand(root, self.target)
        found = self.find(root)
        if found is not None:
            return found
        stack = [root]
        while stack:
            s = stack[-1]
            if self.find(s) is not None:
                stack.pop()
                continue
            pending = [a for a in s.args if self.find(a) is None]
            if pending:
                stack.extend(pending[::-1])
                continue
            stack.pop()
            self.put(s, self.compute(s))
        result = self.find(root)
        assert result is not None
        return result

    def compute(self, s: Scalar) -> Value:
        if s.op == "const":
            return Value(literal(s, 1), 1, 0)
        if s.op == "index":
            return self.lane_index(s.param)
        if s.op == "local":
            found = self.find(("local", s.param))
            if found is not None:
                return found
            return self.result(s.param)
        if s.op == "fetch":
            return self.fetch(s)
        args = [self.find(a) for a in s.args]
        known = [a for a in args if a is not None]
        lanes = max(a.lanes for a in known)
        depth = max(a.depth for a in known)
        with self.at(depth):
            texts = [self.spread(a, x.dtype, lanes) for a, x in zip(known, s.args, strict=True)]
            if s.op in MATH:
                return Value(self.call_math(s, texts), 1, depth)
            if not texts:
                lanes = 1
            return Value(self.op(s, texts, lanes), lanes, depth)

    def call_math(self, s: Scalar, args: list[str]) -> str:
        """Straight-line code calls one copy of a function instead of inlining it: compile time stays linear."""
        name = self.unit.math_function(s.op, tuple([a.dtype for a in s.args]))
        kinds = ", ".join(f"{llvm_type(a.dtype, 1)} {t}" for a, t in zip(s.args, args, strict=True))
        return self.here.lines.emit(f"call {llvm_type(s.dtype, 1)} @{name}({kinds})")

    def spread(self, v: Value, dtype: np.dtype, lanes: int) -> str:
        """The value with `lanes` lanes, spread outside the loop it does not depend on."""
        if v.lanes == lanes:
            return v.text
        key = ("splat", v.text, lanes, dtype)
        found = self.find(key)
        if found is None:
            with self.at(v.depth):
                found = self.put(key, Value(splat(self.here.lines, v.text, dtype, lanes), lanes, v.depth))
        return found.text

    def mask(self) -> str | None:
        return next((s.mask for s in reversed(self.scopes) if s.mask is not None), None)

    # -- sizes and indices --------------------------------------------------------------------------------------
    def axis(self, symbol: Symbol) -> Value:
        for scope in reversed(self.scopes):
            if symbol in scope.axis:
                return scope.axis[symbol]
        fail(CompileError, f"the symbol {symbol.name} has no value in kernel {self.name}")

    def size(self, size: Size) -> Value:
        """An i64 expression; each part is written in the outermost loop where it is known."""
        if isinstance(size, int):
            return Value(str(size), 1, 0)
        found = self.find(size)
        if found is not None:
            return found
        by_depth: dict[int, list[Value]] = {}
        for monomial, coefficient in size.terms:
            term = self.term(monomial, coefficient)
            by_depth.setdefault(term.depth, []).append(term)
        total: Value | None = None
        for depth in sorted(by_depth):
            with self.at(depth):
                for term in by_depth[depth]:
                    total = term if total is None else Value(self.here.lines.emit(f"add i64 {total.text}, {term.text}"), 1, depth)
        assert total is not None
        return self.put(size, total)

    def term(self, monomial: tuple[tuple[object, int], ...], coefficient: int) -> Value:
        factors = [self.atom(atom) for atom, power in monomial for _ in range(power)]
        if not factors:
            return Value(str(coefficient), 1, 0)
        factors.sort(key=lambda v: v.depth)
        product: Value | None = Value(str(coefficient), 1, 0) if coefficient != 1 else None
        for f in factors:
            if product is None:
                product = f
                continue
            with self.at(f.depth):
                product = Value(self.here.lines.emit(f"mul i64 {product.text}, {f.text}"), 1, f.depth)
        assert product is not None
        return product

    def atom(self, atom: object) -> Value:
        if isinstance(atom, Symbol):
            return self.axis(atom)
        assert isinstance(atom, dims.Call)
        found = self.find(atom)
        if found is not None:
            return found
        a, b = (self.size(x) for x in atom.args)
        depth = max(a.depth, b.depth)
        with self.at(depth):
            return self.put(atom, Value(self.size_call(atom, a.text, b.text), 1, depth))

    def size_call(self, call: dims.Call, a: str, b: str) -> str:
        """`//` and `%` by a power of two are a shift and a mask; where nothing can be negative or zero they need no guards."""
        n, by = call.args
        if call.fn in ("floordiv", "mod"):
            if isinstance(by, int) and by & (by - 1) == 0:
                return self.here.lines.emit(f"ashr i64 {a}, {by.bit_length() - 1}" if call.fn == "floordiv" else f"and i64 {a}, {by - 1}")
            if (dims.lower_bound(by) or 0) >= 1 and (low := dims.lower_bound(n)) is not None and low >= 0:
                return self.here.lines.emit(f"{'udiv' if call.fn == 'floordiv' else 'urem'} i64 {a}, {b}")
        x, y = sc.arg(0, int64), sc.arg(1, int64)
        return self.op(sc.scalar(call.fn, (x, y), int64), [a, b], 1)

    def lane_symbol(self) -> Symbol | None:
        return next((s.vector for s in reversed(self.scopes) if s.vector is not None), None)

    def split(self, size: Size) -> tuple[Size, bool] | None:
        """(stride, True) of the size along the lanes; None when it is not affine in them."""
        symbol = self.lane_symbol()
        if symbol is None or isinstance(size, int) or symbol not in dims.symbols(size):
            return 0, True
        found = dims.affine(size, symbol)
        return None if found is None else (found[0], True)

    def lane_index(self, size: Size) -> Value:
        """A size expression as a value: in a vector loop one number per lane."""
        stride = self.split(size)
        if stride is not None and stride[0] == 0:
            return self.size(size)
        lines, lanes = self.here.lines, self.lanes
        if stride is not None:
            base = self.size(size)
            step = self.spread(self.size(stride[0]), int64, lanes)
            with self.at(base.depth):
                lines = self.here.lines
                ramp = lane_numbers(lanes) if stride[0] == 1 else lines.emit(f"mul <{lanes} x i64> {lane_numbers(lanes)}, {step}")
                start = splat(lines, base.text, int64, lanes)
                return Value(lines.emit(f"add <{lanes} x i64> {start}, {ramp}"), lanes, base.depth)
        assert isinstance(size, Dim)
        return self.value(size_scalar(size))

    # -- memory -------------------------------------------------------------------------------------------------
    def address(self, slot: int, dtype: np.dtype, dynamic: Value | None, static: Size) -> Value:
        """The pointer of a uniform element offset."""
        offset = self.size(static)
        kind = memory_type(dtype, 1)
        depth = offset.depth if dynamic is None else max(offset.depth, dynamic.depth)
        key = ("address", slot, static, dynamic)
        found = self.find(key)
        if found is not None:
            return found
        with self.at(depth):
            lines = self.here.lines
            pointer = f"%b{slot}"
            if dynamic is not None:
                pointer = lines.emit(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {dynamic.text}")
            if offset.text != "0":
                pointer = lines.emit(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {offset.text}")
            return self.put(key, Value(pointer, 1, depth))

    def addresses(self, slot: int, dtype: np.dtype, dynamic: Value | None, static: Size, depth: int) -> str:
        """One pointer per lane."""
        at = self.lane_index(static)
        lanes = self.lanes
        index = self.spread(at, int64, lanes)
        with self.at(max(depth, at.depth)):
            lines = self.here.lines
            if dynamic is not None:
                index = lines.emit(f"add <{lanes} x i64> {index}, {self.spread(dynamic, int64, lanes)}")
            return lines.emit(f"getelementptr inbounds {memory_type(dtype, 1)}, ptr %b{slot}, <{lanes} x i64> {index}")

    def fetch(self, s: Scalar) -> Value:
        slot, static, has_dynamic, has_mask = s.param
        args = [self.find(a) for a in s.args]
        dynamic = args[0] if has_dynamic else None
        mask = args[-1] if has_mask else None
        depth = max([a.depth for a in args if a is not None], default=0)
        for symbol in dims.symbols(static):
            depth = max(depth, self.axis(symbol).depth)
        if slot in self.written:
            depth = self.here.depth
        stride = self.split(static)
        uniform = (dynamic is None or dynamic.lanes == 1) and stride is not None
        lanes = 1 if uniform and stride is not None and stride[0] == 0 and (mask is None or mask.lanes == 1) else self.lanes
        if uniform and stride is not None and (lanes == 1 or stride[0] == 1 or stride[0] == 0):
            pointer = self.address(slot, s.dtype, dynamic, static).text
            width = 1 if stride[0] == 0 else lanes
            with self.at(depth):
                if width == 1 and lanes > 1:  # one element for all lanes, but only if some lane wants it
                    assert mask is not None
                    wanted = self.any_lane(mask)
                    one = self.masked_load(pointer, s.dtype, wanted, 1)
                    whole = self.spread_here(one, s.dtype, lanes)
                    return Value(self.zero_where_not(mask.text, whole, s.dtype, lanes), lanes, depth)
                where = self.conjunction(mask, width)
                if where is None:
                    kind, item = memory_type(s.dtype, width), 1 if s.dtype == bool_ else s.dtype.itemsize
                    text = self.here.lines.emit(f"load {kind}, ptr {pointer}, align {item}")
                    return Value(self.from_memory(text, s.dtype, width), width, depth)
                return Value(self.masked_load(pointer, s.dtype, where, width), width, depth)
        with self.at(depth):
            pointers = self.addresses(slot, s.dtype, dynamic, static, depth)
            where = self.conjunction(mask, self.lanes) or "splat (i1 true)"
            return Value(self.gather(pointers, s.dtype, where, self.lanes), self.lanes, depth)

    def conjunction(self, mask: Value | None, lanes: int) -> str | None:
        """The tail's mask and the access's own."""
        tail = self.mask() if lanes > 1 else None
        if mask is None:
            return tail
        own = self.spread_here(mask.text, bool_, lanes) if mask.lanes != lanes else mask.text
        return own if tail is None else self.here.lines.emit(f"and <{lanes} x i1> {own}, {tail}")

    def any_lane(self, mask: Value) -> str:
        n = mask.lanes
        self.module.declare(f"declare i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1>)")
        tail = self.mask()
        both = mask.text if tail is None else self.here.lines.emit(f"and <{n} x i1> {mask.text}, {tail}")
        return self.here.lines.emit(f"call i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1> {both})")

    def spread_here(self, text: str, dtype: np.dtype, lanes: int) -> str:
        return splat(self.here.lines, text, dtype, lanes)

    def zero_where_not(self, mask: str, value: str, dtype: np.dtype, lanes: int) -> str:
        kind = llvm_type(dtype, lanes)
        return self.here.lines.emit(f"select <{lanes} x i1> {mask}, {kind} {value}, {kind} {literal(sc.const(0, dtype), lanes)}")

    def masked_load(self, pointer: str, dtype: np.dtype, mask: str, lanes: int) -> str:
        width = max(lanes, 1)
        kind, suffix = vector_memory(dtype, width)
        self.module.declare(f"declare {kind} @llvm.masked.load.{suffix}.p0(ptr, i32, <{width} x i1>, {kind})")
        if lanes == 1:
            mask = self.here.lines.emit(f"insertelement <1 x i1> poison, i1 {mask}, i64 0")
        item = 1 if dtype == bool_ else dtype.itemsize
        text = self.here.lines.emit(
            f"call {kind} @llvm.masked.load.{suffix}.p0(ptr {pointer}, i32 {item}, <{width} x i1> {mask}, {kind} zeroinitializer)"
        )
        if lanes == 1:
            text = self.here.lines.emit(f"extractelement {kind} {text}, i64 0")
        return self.from_memory(text, dtype, lanes)

    def gather(self, pointers: str, dtype: np.dtype, mask: str, lanes: int) -> str:
        kind, suffix = vector_memory(dtype, lanes)
        self.module.declare(f"declare {kind} @llvm.masked.gather.{suffix}.v{lanes}p0(<{lanes} x ptr>, i32, <{lanes} x i1>, {kind})")
        item = 1 if dtype == bool_ else dtype.itemsize
        text = self.here.lines.emit(
            f"call {kind} @llvm.masked.gather.{suffix}.v{lanes}p0(<{lanes} x ptr> {pointers}, i32 {item}, <{lanes} x i1> {mask}, {kind} zeroinitializer)"
        )
        return self.from_memory(text, dtype, lanes)

    def from_memory(self, text: str, dtype: np.dtype, lanes: int) -> str:
        if dtype != bool_:
            return text
        return self.here.lines.emit(f"icmp ne {llvm_type(int8, lanes)} {text}, zeroinitializer" if lanes > 1 else f"icmp ne i8 {text}, 0")

    def to_memory(self, text: str, dtype: np.dtype, lanes: int) -> str:
        if dtype != bool_:
            return text
        return self.here.lines.emit(f"zext {llvm_type(bool_, lanes)} {text} to {llvm_type(int8, lanes)}")

    def store(self, slot: int, dynamic: Scalar | None, static: Size, value: Scalar, mode: str) -> None:
        v = self.value(value)
        d = None if dynamic is None else self.value(dynamic)
        dtype, item = value.dtype, 1 if value.dtype == bool_ else value.dtype.itemsize
        stride = self.split(static)
        lines = self.here.lines
        uniform = (d is None or d.lanes == 1) and stride is not None
        if uniform and stride is not None and (self.lane_symbol() is None or stride[0] == 1):
            lanes = 1 if self.lane_symbol() is None else self.lanes
            pointer = self.address(slot, dtype, d, static).text
            text = self.spread(v, dtype, lanes)
            mask = self.mask() if lanes > 1 else None
            if mode == "add":
                old = (
                    self.masked_load(pointer, dtype, mask, lanes)
                    if mask
                    else self.from_memory(lines.emit(f"load {memory_type(dtype, lanes)}, ptr {pointer}, align {item}"), dtype, lanes)
                )
                text = self.combine("sum", dtype, old, text, lanes)
            text = self.to_memory(text, dtype, lanes)
            if mask is None:
                lines.line(f"store {memory_type(dtype, lanes)} {text}, ptr {pointer}, align {item}")
                return
            kind, suffix = vector_memory(dtype, lanes)
            self.module.declare(f"declare void @llvm.masked.store.{suffix}.p0({kind}, ptr, i32, <{lanes} x i1>)")
            lines.line(f"call void @llvm.masked.store.{suffix}.p0({kind} {text}, ptr {pointer}, i32 {item}, <{lanes} x i1> {mask})")
            return
        if mode == "add":
            fail(CompileError, "an accumulating store needs an address per step, not per lane")
        lanes = self.lanes
        pointers = self.addresses(slot, dtype, d, static, self.here.depth)
        text = self.to_memory(self.spread(v, dtype, lanes), dtype, lanes)
        kind, suffix = vector_memory(dtype, lanes)
        self.module.declare(f"declare void @llvm.masked.scatter.{suffix}.v{lanes}p0({kind}, <{lanes} x ptr>, i32, <{lanes} x i1>)")
        mask = self.mask() or "splat (i1 true)"
        lines.line(
            f"call void @llvm.masked.scatter.{suffix}.v{lanes}p0({kind} {text}, <{lanes} x ptr> {pointers}, i32 {item}, <{lanes} x i1> {mask})"
        )


class _At:
    """`with emitter.at(depth)`: what is written goes to the scope of that depth."""

    def __init__(self, emitter: FunctionEmitter, depth: int) -> None:
        self.emitter, self.depth = emitter, depth

    def __enter__(self) -> None:
        scopes = self.emitter.scopes
        self.saved = scopes
        keep = len(scopes)
        while scopes[keep - 1].depth != self.depth:
            keep -= 1
        self.emitter.scopes = scopes[:keep]

    def __exit__(self, *_: object) -> None:
        self.emitter.scopes = self.saved


def symbol_name(symbol: Symbol) -> str:
    """The size symbol as an LLVM identifier."""
    return f"n.{symbol.name}.{symbol.serial}"


def lane_numbers(lanes: int) -> str:
    return "<" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">"


def vector_memory(dtype: np.dtype, lanes: int) -> tuple[str, str]:
    """The vector type of elements in memory, and the suffix of intrinsics on it."""
    stored = int8 if dtype == bool_ else dtype
    letter = "f" if stored.kind == "f" else "i"
    element = llvm_type(stored, 1)
    return f"<{lanes} x {element}>", f"v{lanes}{letter}{stored.itemsize * 8}"


def size_scalar(size: Size) -> Scalar:
    """A size expression taken apart into Scalars, for indices that are not affine in the lanes."""
    if isinstance(size, int):
        return sc.const(size, int64)
    total: Scalar | None = None
    for monomial, coefficient in size.terms:
        product = None if coefficient == 1 and monomial else sc.const(coefficient, int64)
        for atom, power in monomial:
            if isinstance(atom, Symbol):
                part = sc.index(dims.of_symbol(atom))
            else:
                a, b = (size_scalar(x) for x in atom.args)
                part = sc.scalar(atom.fn, (a, b), int64)
            for _ in range(power):
                product = part if product is None else product * part
        assert product is not None
        total = product if total is None else total + product
    assert total is not None
    return total


def fresh(lines: Lines) -> str:
    """A new SSA name."""
    return f"%v{next(lines.names)}"


class Unit:
    """One LLVM module being written: kernels once each, and out-of-line scalar math."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.module = Module()
        self.kernel_attributes = self.module.attributes(f'nounwind "prefer-vector-width"="{8 * target.vector_bytes}"')
        self.math_attributes = self.module.attributes("nounwind noinline")

    def math_function(self, name: str, dtypes: tuple[np.dtype, ...]) -> str:
        """The out-of-line scalar copy of a math function, written once a module."""
        symbol = f"m.{name}." + ".".join(d.name for d in dtypes)
        if symbol in self.module.functions:
            return symbol
        root = expand(sc.math(name, *[sc.arg(k, d) for k, d in enumerate(dtypes)]), self.target)
        lines = Lines()
        lines.current = "entry"
        result = evaluate(self.module, lines, self.target, root, [f"%x{k}" for k in range(len(dtypes))], 1)
        params = ", ".join(f"{llvm_type(d, 1)} %x{k}" for k, d in enumerate(dtypes))
        kind, text = llvm_type(root.dtype, 1), "\n".join(lines.lines)
        self.module.functions[symbol] = (
            f"define internal {kind} @{symbol}({params}) {self.math_attributes} {{\nentry:\n{text}\n  ret {kind} {result}\n}}\n"
        )
        return symbol
