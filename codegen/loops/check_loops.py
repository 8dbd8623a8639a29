"""The invariants of the loops of a kernel: locals defined before use, indices bound, accumulators allocated, dtypes that agree.

    CompileError: loops: t2 is read where it is not defined
      > t3: f32 = (t2 + 1.0)
      in  for i0 in n (serial)

Every stage of the kernel is computed once for each of its points: the loops around it have as many turns as it has points.
A `Call` is opaque here: a micro-kernel checks its own parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import NoReturn

import numpy as np

from graphc import dims
from graphc.codegen.loops.loopir import (
    TOGETHER,
    Accumulate,
    Alloc,
    Block,
    Call,
    Choose,
    For,
    If,
    Let,
    Repeat,
    Statement,
    Store,
    format_loops,
    walk,
)
from graphc.dims import Size, Symbol
from graphc.dtypes import SHORT, bool_, int64
from graphc.errors import CompileError
from graphc.program import NEUTRAL_COMBINES, UPDATES, Kernel
from graphc.records import dataclass
from graphc.scalars import Scalar, order
from graphc.verify.scalar import outside, scalar_fault, show, unbound

COMBINES = (*NEUTRAL_COMBINES, "recur")
KINDS = ("serial", "unroll", "vector")


@dataclass(frozen=True)
class _Scope:
    """What is known at a statement. Blocks add to `locals` and `registers` as they go on; loops copy them."""

    axes: Mapping[Symbol, Size]
    locals: dict[int, np.dtype]
    registers: dict[int, _Register]
    within: tuple[str, ...] = ()  # the loops around, as text
    lanes: Symbol | None = None  # the index of the vector loop around
    loops: tuple[For, ...] = ()
    seen: dict[Scalar, _Seen] = field(default_factory=dict)  # what was read of accumulators and of arrays that are written

    def inner(self, text: str) -> _Scope:
        own = {"locals": dict(self.locals), "registers": dict(self.registers), "seen": dict(self.seen)}
        return replace(self, within=(*self.within, text), **own)  # type: ignore[arg-type]

    def changed(self, s: Statement) -> None:
        """What a statement updates is no longer what was read of it."""
        for read, seen in self.seen.items():
            if isinstance(s, Accumulate) and read.op == "local" and self.registers.get(read.param) is self.registers.get(s.name, s):
                seen.stale = True
            if isinstance(s, Store) and read.op == "fetch" and read.param[0] == s.slot:
                seen.stale = True


@dataclass
class _Seen:
    """A value that code generation keeps for who reads it again."""

    stale: bool = False


@dataclass
class _Register:
    alloc: Alloc
    loops: int  # how many are around it
    lanes: int = 0  # of the vector loops that update it from inside
    taken_in: For | None = None  # the last of these


def check_loops(block: Block, kernel: Kernel) -> None:
    """Raise CompileError unless `block` is a well formed body of `kernel`."""
    checker = _Checker(kernel)
    checker.block(block, _Scope({}, {}, {}))
    checker.points(block)


class _Checker:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.operands = kernel.operands

    def points(self, block: Block) -> None:
        """Stage k is `t<k>`, computed as often as its axes have points: no turn is missing, none is one too many."""
        for name, turns, within in _computed(block, 1, ()):
            if name < len(self.kernel.stages):
                stage = self.kernel.stages[name]
                wanted = dims.product([a.extent for a in (*self.kernel.axes, *stage.axes, *stage.reduce)])
                if dims.equal(turns, wanted) is not True:
                    around = "".join(f"\n  in  {line}" for line in within[::-1])
                    raise CompileError(f"loops: t{name} is computed {turns} times, but has {wanted} points{around}")

    def block(self, block: Block, scope: _Scope) -> None:
        for s in block.body:
            self.statement(s, scope)

    def statement(self, s: Statement, scope: _Scope) -> None:
        match s:
            case Block():
                self.block(s, scope)
            case For():
                self.block(s.body, self.loop(s, scope))
            case If(condition, body):
                self.value(condition, s, scope)
                if condition.dtype != bool_:
                    _broken(f"the condition is {condition.dtype}", s, scope)
                self.block(body, scope.inner(f"if {show(condition)}"))
            case Repeat():
                self.repeat(s, scope)
            case Choose():
                self.choose(s, scope)
            case Let(name, value):
                self.value(value, s, scope)
                self.define(name, s, scope)
                scope.locals[name] = value.dtype
            case Alloc(name, dtype, combine):
                if combine not in COMBINES:
                    _broken(f"{combine!r} has no neutral element", s, scope)
                self.define(name, s, scope)
                scope.registers[name] = _Register(s, len(scope.loops))
                scope.locals[name] = dtype
                if s.value is not None:
                    self.beside(s, *s.value, scope)
            case Accumulate():
                self.accumulate(s, scope)
            case Store():
                self.store(s, scope)
            case Call():
                pass
            case _:
                _broken(f"{type(s).__name__} is no statement", s, scope)

    def loop(self, s: For, scope: _Scope) -> _Scope:
        symbol = dims.as_symbol(s.index)
        if symbol is None or symbol.kind != "axis":
            _broken(f"a loop over {s.index}, which is no loop index", s, scope)
        if symbol in scope.axes:
            _broken(f"the loop index {s.index} is bound already", s, scope)
        loose = [x for size in (s.extent, *s.low, *s.high) for x in unbound(size, scope.axes)]
        if loose:
            _broken(f"the extent has the loop index {loose[0]}, which is not bound here", s, scope)
        if s.kind not in KINDS:
            _broken(f"a loop of the unknown kind {s.kind!r}", s, scope)
        if s.lanes < 1 or s.unroll < 1 or (s.kind != "vector" and s.lanes != 1) or (s.kind == "unroll" and s.unroll != 1):
            _broken(f"a {s.kind} loop of {s.lanes} lanes, {s.unroll} times unrolled", s, scope)
        if s.kind == "vector" and scope.lanes is not None:
            _broken("a vector loop inside another", s, scope)
        if any(scope.lanes in dims.symbols(size) for size in (s.extent, *s.low, *s.high)):
            _broken(f"the lanes along {scope.lanes} have loops of different lengths", s, scope)
        if s.parallel and (scope.within or s.low or s.high):
            _broken("a parallel loop that is not the outermost one, or leaves out turns", s, scope)
        if s.kind == "unroll" and not isinstance(s.extent, int):
            _broken(f"all of {s.extent} turns at once", s, scope)
        for later in walk(s.body):
            scope.changed(later)  # in the turns before
        inner = scope.inner(f"for {s.index} in {s.extent} ({s.kind})")
        lanes = symbol if s.kind == "vector" else scope.lanes
        return replace(inner, axes={**scope.axes, symbol: s.extent}, lanes=lanes, loops=(*scope.loops, s))

    def repeat(self, s: Repeat, scope: _Scope) -> None:
        symbol = dims.as_symbol(s.index)
        if symbol is None or symbol.kind != "axis" or symbol in scope.axes:
            _broken(f"a loop over {s.index}, which is no index of its own", s, scope)
        if (s.extent is None and s.condition is None) or s.unroll < 1 or (s.condition is not None and s.unroll > 1):
            _broken(f"a loop over {s.index} without an end, or of {s.unroll} turns at once", s, scope)
        if s.extent is not None:
            self.bound(s.extent, s, scope)
        for _, initial, _ in s.carries:
            self.value(initial, s, scope)
        for name, initial, after in s.carries:
            if after.dtype != initial.dtype:
                _broken(f"t{name} goes in as {initial.dtype} and comes out as {after.dtype}", s, scope)
            self.define(name, s, scope)
            scope.locals[name] = initial.dtype
        within = scope.inner(f"for {s.index} in {s.extent} (carries)")
        # an index without an end is below anything: no address is said to leave its operand because of it
        within = replace(within, axes={**scope.axes, symbol: 0 if s.extent is None else s.extent})
        if s.condition is not None:
            self.value(s.condition, s, within)
            if s.condition.dtype != bool_:
                _broken(f"the condition is {s.condition.dtype}", s, scope)
        self.block(s.body, within)
        for _, _, after in s.carries:
            self.value(after, s, within)
        if s.count is not None:
            self.define(s.count, s, scope)
            scope.locals[s.count] = np.dtype(np.int64)

    def choose(self, s: Choose, scope: _Scope) -> None:
        self.value(s.chosen, s, scope)
        kinds = [[x.dtype for x in values] for _, values in s.branches]
        if s.chosen.dtype != int64 or not kinds or any(k != kinds[0] or len(k) != len(s.results) for k in kinds):
            _broken(f"one of {len(kinds)} branches chosen by {s.chosen.dtype}, or of different values", s, scope)
        for k, (body, values) in enumerate(s.branches):
            within = scope.inner(f"branch {k} of {show(s.chosen)}")
            self.block(body, within)
            for x in values:
                self.value(x, s, within)
        for name, dtype in zip(s.results, kinds[0], strict=True):
            self.define(name, s, scope)
            scope.locals[name] = dtype

    def define(self, name: int, s: Statement, scope: _Scope) -> None:
        if name in scope.locals:
            _broken(f"t{name} is defined twice", s, scope)

    def beside(self, s: Alloc, value: int, dtype: np.dtype, scope: _Scope) -> None:
        """The extreme that an arg combine gives beside its position."""
        if s.combine not in ("argmax", "argmin") or s.running:
            _broken(f"t{value} is to be given beside t{s.name}, which has no position", s, scope)
        self.define(value, s, scope)
        scope.registers[value] = scope.registers[s.name]
        scope.locals[value] = dtype

    def accumulate(self, s: Accumulate, scope: _Scope) -> None:
        self.value(s.value, s, scope)
        register = scope.registers.get(s.name)
        if register is None:
            _broken(f"no accumulator t{s.name} is allocated", s, scope)
        alloc = register.alloc
        if alloc.combine != s.combine:
            _broken(f"t{s.name} was allocated for {alloc.combine}", s, scope)
        for loop in scope.loops[register.loops :]:
            self.updates(register, loop, s, scope)
        scope.changed(s)
        arg = s.combine in ("argmax", "argmin")
        if (s.other is None) == (arg or s.combine == "recur"):
            _broken(f"{s.combine} goes {'without' if s.other is None else 'with'} a second value", s, scope)
        if s.other is not None:
            self.value(s.other, s, scope)
        result = (s.value if s.other is None or not arg else s.other).dtype  # an arg combine keeps positions
        if result != alloc.dtype or (s.other is not None and s.other.dtype != alloc.dtype) or (arg and result != int64):
            _broken(f"t{s.name} holds {alloc.dtype}, the value is {result}", s, scope)
        if alloc.value is not None and alloc.value[1] != s.value.dtype:
            _broken(f"t{alloc.value[0]} holds {alloc.value[1]}, the value is {s.value.dtype}", s, scope)

    def updates(self, register: _Register, loop: For, s: Accumulate, scope: _Scope) -> None:
        """Whether the turns of a loop inside the block of an accumulator can update it: several at once only where any order will do."""
        together = register.alloc.running and loop.kind == "vector" and s.combine in TOGETHER
        if loop.kind != "unroll" and loop.step > 1 and (register.alloc.running or s.combine == "recur") and not together:
            _broken(f"t{s.name} takes its steps in order, not {loop.step} of {loop.index} at once", s, scope)
        if loop.parallel:
            _broken(f"t{s.name} is updated by the turns of a parallel loop", s, scope)
        if loop.kind == "vector":
            if loop.tail not in (0, loop.lanes) or register.lanes not in (0, loop.lanes):
                _broken(f"t{s.name} is updated over different numbers of lanes", s, scope)
            register.lanes = loop.lanes
            register.taken_in = loop

    def again(self, read: Scalar, what: str, s: Statement, scope: _Scope) -> None:
        """A value is read: not once more after it was changed, as what it was at first is kept."""
        if scope.seen.setdefault(read, _Seen()).stale:
            _broken(f"{what} is read again after it was changed", s, scope)

    def store(self, s: Store, scope: _Scope) -> None:
        self.value(s.value, s, scope)
        if s.mode != "set" and s.mode not in UPDATES:
            _broken(f"the unknown mode {s.mode!r}", s, scope)
        if s.mode in UPDATES and scope.lanes is not None and not _in_a_row(s.static, scope.lanes):
            _broken(f"adds to places {s.static} that are not in a row along the lanes", s, scope)
        scope.changed(s)
        if not 0 <= s.slot < len(self.operands) or not self.operands[s.slot].written:
            _broken(f"b{s.slot} is no operand that is written", s, scope)
        if s.value.dtype != self.operands[s.slot].dtype:
            _broken(f"b{s.slot} holds {self.operands[s.slot].dtype}, the value is {s.value.dtype}", s, scope)
        if s.dynamic is not None:
            self.value(s.dynamic, s, scope)
        self.offset(s.slot, s.dynamic, s.static, True, s, scope)

    # -- values -----------------------------------------------------------------------------------------------------
    def value(self, root: Scalar, s: Statement, scope: _Scope) -> None:
        """Every Scalar that `root` needs: typed, defined, bound, in range."""
        for x in order((root,)):
            fault = scalar_fault(x)
            if fault:
                _broken(f"{fault}, in {show(x)}", s, scope)
            match x.op:
                case "index":
                    self.bound(x.param, s, scope)
                case "local":
                    if x.param not in scope.locals:
                        _broken(f"t{x.param} is read where it is not defined", s, scope)
                    if x.args or x.dtype != scope.locals[x.param]:
                        _broken(f"t{x.param} is one {scope.locals[x.param]}, read as {x.dtype} with {len(x.args)} indices", s, scope)
                    self.register(x, s, scope)
                case "fetch":
                    self.fetch(x, s, scope)
                case "load" | "arg":
                    _broken(f"{x.op} has no meaning in loops, in {show(x)}", s, scope)

    def register(self, x: Scalar, s: Statement, scope: _Scope) -> None:
        """An accumulator is read when the loops that update it are over, a running one inside them."""
        register = scope.registers.get(x.param)
        if register is None:
            return
        inside = [a for loop in scope.loops[register.loops :] for a in walk(loop.body)]
        updating = any(isinstance(a, Accumulate) and a.name == register.alloc.name for a in inside)
        if updating and not register.alloc.running:
            _broken(f"t{x.param} is read inside a loop that updates it", s, scope)
        own = [loop for loop in scope.loops[register.loops :] if loop.kind == "vector"]
        if updating and own and register.taken_in is not own[-1]:
            _broken(f"t{x.param} is read before the lanes are taken in", s, scope)
        self.again(x, f"t{x.param}", s, scope)

    def bound(self, size: Size, s: Statement, scope: _Scope) -> None:
        loose = unbound(size, scope.axes)
        if loose:
            _broken(f"the loop index {loose[0]} is not bound here", s, scope)

    def fetch(self, x: Scalar, s: Statement, scope: _Scope) -> None:
        slot, static, dynamic, masked = x.param
        if not 0 <= slot < len(self.operands):
            _broken(f"there is no operand b{slot}", s, scope)
        if len(x.args) != dynamic + masked or (masked and x.args[-1].dtype != bool_):
            given = f"with {len(x.args)} arguments, dynamic={dynamic}, masked={masked}"
            raise CompileError(f"loops: a fetch of b{slot} {given}")  # it has no text to show
        if x.dtype != self.operands[slot].dtype:
            _broken(f"b{slot} holds {self.operands[slot].dtype}, not {x.dtype}", s, scope)
        self.offset(slot, x.args[0] if dynamic else None, static, not masked, s, scope)
        if self.operands[slot].written:
            self.again(x, f"b{slot}", s, scope)

    def offset(self, slot: int, dynamic: Scalar | None, static: Size, exact: bool, s: Statement, scope: _Scope) -> None:
        self.bound(static, s, scope)
        if dynamic is not None and dynamic.dtype != int64:
            _broken(f"the offset into b{slot} is {dynamic.dtype}", s, scope)
        size = dims.product(self.operands[slot].shape)
        exact = exact and not any(loop.low or loop.high for loop in scope.loops)  # a loop that leaves out turns does not reach its ends
        if exact and dynamic is None and outside(static, size, scope.axes):
            _broken(f"the offset {static} leaves b{slot} of {size} {SHORT[self.operands[slot].dtype]}", s, scope)


def _in_a_row(static: Size, lanes: Symbol) -> bool:
    split = dims.affine(static, lanes)
    return split is not None and split[0] == 1


def _computed(statement: Statement, turns: Size, within: tuple[str, ...]) -> Iterator[tuple[int, Size, tuple[str, ...]]]:
    """Every local with how often it is computed, and the loops around."""
    match statement:
        case Let(name, _) | Accumulate(name):
            yield name, turns, within
        case For(index, extent, kind, body):
            yield from _computed(body, turns * extent, (*within, f"for {index} in {extent} ({kind})"))
        case Block(body):
            for s in body:
                yield from _computed(s, turns, within)
        case If(_, body):
            yield from _computed(body, turns, within)


def _broken(what: str, s: Statement, scope: _Scope) -> NoReturn:
    known = isinstance(s, (Block, For, Let, Store, Alloc, Accumulate, If, Repeat, Choose, Call))
    text = format_loops(s).splitlines()[:6] if known else [repr(s)]
    around = [f"  in  {line}" for line in scope.within[::-1]]
    raise CompileError("\n".join([f"loops: {what}", *(f"  {'>' if k == 0 else ' '} {line}" for k, line in enumerate(text)), *around]))
