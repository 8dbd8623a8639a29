"""Where values are written: each in the outermost loop in which it has a meaning.

So loop invariants are hoisted and equal parts shared here, and LLVM needs no pass for that. In a `vector` loop a value
that depends on the loop's index is a vector, any other stays scalar and is spread over the lanes once, outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import NamedTuple

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.called import family
from graphc.codegen.llvm.emit_scalar import Block as Lines
from graphc.codegen.llvm.emit_scalar import emit_op, literal, llvm_type, splat
from graphc.codegen.llvm.module import Unit
from graphc.codegen.loops.address import size_scalar
from graphc.codegen.mathlib import MATH, expand
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import int8, int64
from graphc.errors import CompileError, fail
from graphc.records import dataclass
from graphc.scalars import Scalar

Args = tuple[Scalar, ...]
MOST_BYTES = 255  # lanes that a byte can number
WIDEST = 64  # bytes of vectors that some processors take in halves


class Value(NamedTuple):
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
    aligned: bool = False  # the first lane's index is a multiple of the number of lanes
    ahead: int = 0  # vectors by which what this loop's turns load is asked for earlier


class Values:
    """Scalars and sizes as SSA values, inside the loops that are open: the part of an emitter that every function has.

    `sizes` are the symbols that the function is told, as `%n0`, `%n1`, ..
    """

    def __init__(self, unit: Unit, name: str, sizes: Sequence[Symbol] = (), outline: bool = True, serial: bool = False) -> None:
        self.unit, self.module, self.target, self.name = unit, unit.module, unit.target, name
        self.outline = outline  # call math functions instead of inlining them
        self.serial = serial  # the next turn waits for what this one computes
        self.expanded: dict[Scalar, Scalar] = {}  # with math functions inlined: unrolled copies ask again
        self.together: dict[tuple[object, Args], tuple[str, ...]] = {}  # the functions that are called at once for the same arguments
        self.lanes = 1  # of the vector loop we are in
        self.labels = 0
        self.entry = Lines()
        self.entry.current = "entry"
        self.scopes = [Scope(self.entry, 0)]
        self.readers: dict[str, Callable[[Scalar, list[Value]], Value]] = {}  # the parts that know what a `fetch` or a `local` is
        for k, symbol in enumerate(sizes):
            self.scopes[0].axis[symbol] = Value(f"%n{k}", 1, 0)  # by number: the text must not depend on the user's names

    @property
    def here(self) -> Scope:
        return self.scopes[-1]

    def label(self, stem: str) -> str:
        self.labels += 1
        return f"{stem}{self.labels}"

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
        if self.scopes[-1].depth == depth:
            return self.scopes[-1]
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
        root = self.written_out(root)
        found = self.find(root)
        if found is not None:
            return found
        stack = [root]
        while stack:
            s = stack[-1]
            if self.find(s) is not None:
                stack.pop()
                continue
            if (along := self.along_lanes(s)) is not None:
                stack.pop()
                self.put(s, along)
                continue
            height, known = len(stack), []
            for a in s.args[::-1]:
                value = self.find(a)
                if value is None:
                    stack.append(a)
                else:
                    known.append(value)
            if len(stack) > height:
                continue
            stack.pop()
            self.put(s, self.compute(s, known[::-1]))
        result = self.find(root)
        assert result is not None
        return result

    def compute(self, s: Scalar, known: list[Value]) -> Value:
        """The value of a Scalar whose arguments have the values `known`."""
        if s.op == "const":
            return Value(literal(s, 1), 1, 0)
        if s.op == "index":
            return self.lane_index(s.param)
        if s.op == "local":
            found = self.find(("local", s.param))
            if found is not None:
                return found
            return self.readers["local"](s, known)
        if s.op == "fetch":
            return self.readers["fetch"](s, known)
        lanes = depth = 0
        for v in known:
            lanes, depth = max(lanes, v.lanes), max(depth, v.depth)
        with self.at(depth):
            texts = [v.text if v.lanes == lanes else self.spread(v, x.dtype, lanes) for v, x in zip(known, s.args, strict=True)]
            if s.op in MATH:
                return self.call_math(s, texts, lanes, depth)
            return Value(self.op(s, texts, lanes), lanes, depth)

    def call_math(self, s: Scalar, args: list[str], lanes: int, depth: int) -> Value:
        """A call of the one copy of a function, and of those that share its work where they are wanted, too, see `llvm.called`."""
        names = self.together.get((family(s), s.args), (s.op,))
        values = self.unit.call_math(self.here.lines, names, tuple([a.dtype for a in s.args]), args, lanes)
        for name, value in zip(names, values, strict=True):
            self.put(sc.math(name, *s.args), Value(value, lanes, depth))
        return Value(values[names.index(s.op)], lanes, depth)

    def bring_together(self, bodies: Iterable[Sequence[Scalar]]) -> None:
        """Note which of the called functions have the same argument in the same block, given the Scalars of each block."""
        wanted: dict[tuple[object, Args], list[tuple[str, ...]]] = {}
        for roots in bodies:
            here: dict[tuple[object, Args], set[str]] = {}
            for s in sc.order([self.written_out(root) for root in roots]):
                if s.op in sc.TOGETHER:
                    here.setdefault((family(s), s.args), set()).add(s.op)
            for key, names in here.items():
                wanted.setdefault(key, []).append(tuple(sorted(names)))
        self.together = {key: found[0] for key, found in wanted.items() if len(set(found)) == 1}

    def written_out(self, root: Scalar) -> Scalar:
        """The root with math functions inlined, but for those that are called."""
        if self.outline:
            return root
        expanded = self.expanded.get(root)
        if expanded is None:
            expanded = self.expanded[root] = expand(root, self.target, self.serial, () if self.serial else self.unit.called)
        return expanded

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
        for scope in reversed(self.scopes):
            if scope.mask is not None:
                return scope.mask
        return None

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
        total: Value | None = None
        for part in self.parts(size):
            total = part if total is None else self.arithmetic("add", total, part)
        assert total is not None
        return self.put(size, total)

    def parts(self, size: Dim) -> list[Value]:
        """Numbers whose sum the size is, from outside inwards: of the terms known in each scope one."""
        by_depth: dict[int, list[tuple[bool, int, Value]]] = {}
        for monomial, coefficient in size.terms:
            less = coefficient < 0 and bool(monomial)
            term = self.term(monomial, -coefficient if less else coefficient)
            by_depth.setdefault(term.depth, []).append((less, _age(term), term))
        sums = []
        for depth in sorted(by_depth):
            total: Value | None = None
            for less, _, term in sorted(by_depth[depth], key=lambda x: x[:2]):  # what was there first first: others began with it, too
                if total is None and not less:
                    total = term
                else:
                    total = self.arithmetic("sub" if less else "add", Value("0", 1, 0) if total is None else total, term)
            assert total is not None
            sums.append(total)
        return sums

    def term(self, monomial: tuple[tuple[object, int], ...], coefficient: int) -> Value:
        """The coefficient is multiplied in with what is known first, so that terms share the product of that and the later factors."""
        factors = sorted([self.atom(atom) for atom, power in monomial for _ in range(power)], key=lambda v: v.depth)
        known = Value(str(coefficient), 1, 0)
        if not factors:
            return known
        product = factors[0]
        for k, f in enumerate(factors[1:], 1):
            if coefficient != 1 and factors[k - 1].depth < f.depth:
                product, coefficient = self.arithmetic("mul", product, known), 1
            product = self.arithmetic("mul", product, f)
        return product if coefficient == 1 else self.arithmetic("mul", product, known)

    def arithmetic(self, op: str, x: Value, y: Value) -> Value:
        """x op y, written once where both are known: sizes that differ share their parts."""
        key, depth = (op, x.text, y.text), max(x.depth, y.depth)
        found = self.find(key)
        if found is not None:  # an index that is a number in one copy of a loop has the depth of that loop all the same
            return found._replace(depth=max(depth, found.depth))
        with self.at(depth):
            return self.put(key, Value(self.here.lines.emit(f"{op} i64 {x.text}, {y.text}"), 1, depth))

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
        for scope in reversed(self.scopes):
            if scope.vector is not None:
                return scope.vector
        return None

    def aligned_lanes(self) -> Symbol | None:
        """The axis of the lanes, if its index is a multiple of their number in the first of them."""
        for scope in reversed(self.scopes):
            if scope.vector is not None:
                return scope.vector if scope.aligned else None
        return None

    def split(self, size: Size) -> tuple[Size, bool] | None:
        """(stride, True) of the size along the lanes; None when it is not affine in them."""
        if isinstance(size, int):
            return 0, True
        symbol = self.lane_symbol()
        if symbol is None or symbol not in dims.symbols(size):
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

    def along_lanes(self, s: Scalar) -> Value | None:
        """The comparison of two indices that differ by c * lane + base: of the lanes' numbers, a byte each, with the first beyond.

        A guard of a vector is one instruction then, where comparing its indices takes one for each eight of them. None for others.
        """
        kinds = {x.op for x in s.args}
        if s.op not in ("lt", "le", "gt", "ge") or kinds not in ({"index"}, {"index", "const"}) or self.lanes > MOST_BYTES:
            return None
        x, y = (a.param if a.op == "index" else int(sc.const_value(a)) for a in s.args)
        below = x - y if s.op in ("lt", "ge") else x - y - 1  # is it negative?
        step = self.split(below)
        if not isinstance(below, Dim) or step is None or not isinstance(step[0], int) or step[0] == 0:
            return None
        rises = step[0] > 0
        ahead = -dims.floordiv(below, step[0]) if rises else dims.floordiv(below, -step[0]) + 1  # the first lane on the other side
        first = self.size(ahead)
        with self.at(first.depth):
            lines, lanes = self.here.lines, self.lanes
            self.module.declare("declare i64 @llvm.smax.i64(i64, i64)")
            self.module.declare("declare i64 @llvm.smin.i64(i64, i64)")
            bounded = lines.emit(f"call i64 @llvm.smin.i64(i64 {first.text}, i64 {lanes})")
            bounded = lines.emit(f"call i64 @llvm.smax.i64(i64 {bounded}, i64 0)")
            byte = splat(lines, lines.emit(f"trunc i64 {bounded} to i8"), int8, lanes)
            numbers = lane_numbers(lanes, int8)
            how = "ult" if rises == (s.op in ("lt", "le")) else "uge"
            return Value(lines.emit(f"icmp {how} <{lanes} x i8> {numbers}, {byte}"), lanes, first.depth)

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


class _At:
    """`with emitter.at(depth)`: what is written goes to the scope of that depth."""

    __slots__ = ("depth", "emitter", "saved")

    def __init__(self, emitter: Values, depth: int) -> None:
        self.emitter, self.depth = emitter, depth

    def __enter__(self) -> None:
        self.saved = scopes = self.emitter.scopes
        if scopes[-1].depth == self.depth:
            return
        keep = len(scopes) - 1
        while scopes[keep - 1].depth != self.depth:
            keep -= 1
        self.emitter.scopes = scopes[:keep]

    def __exit__(self, *_: object) -> None:
        self.emitter.scopes = self.saved


def _age(value: Value) -> int:
    """The number of its line; arguments come before, constants last."""
    number = value.text.removeprefix("%v")
    return 1 << 62 if not value.text.startswith("%") else int(number) if number.isdigit() else -1


def lane_numbers(lanes: int, dtype: np.dtype = int64) -> str:
    """The vector 0, 1, .., lanes - 1."""
    return f"<{', '.join([f'{llvm_type(dtype, 1)} {k}' for k in range(lanes)])}>"
