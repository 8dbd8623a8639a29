"""The loop language: ten frozen statements. Their values are the Scalars of `graphc.scalars`, lowered so that

load   takes one linear element offset: (dynamic part, static part), see `linear`
local  is `Let` or `Alloc` number `param`, without index
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from graphc import dims
from graphc.codegen.strategy.door import Strategy
from graphc.dims import Dim, Size
from graphc.dtypes import SHORT
from graphc.program import SIGNS
from graphc.records import dataclass
from graphc.scalars import Scalar, format_scalar


@dataclass(frozen=True)
class For:
    """for index in 0..extent: body.

    kind: "serial", `unroll` turns at once | "unroll", all of them | "vector", which has `lanes` along the axis, `unroll`
    vectors a turn and a masked tail, or, of a long body, every turn `masked`, so that it is written once.
    A parallel loop is the outermost one, whose turns may run in any order and on several threads. Whoever makes a vector loop
    knows that no turn reads what another one stores, as for `check_loops` that is a matter of values.
    Turns before any of `low` and from any of `high` on are left out. What the vectors of a turn load side by side is asked for `ahead`
    vectors earlier: it changes nothing but time.
    """

    index: Dim
    extent: Size
    kind: str
    body: Block
    lanes: int = 1
    unroll: int = 1
    parallel: bool = False
    masked: bool = False
    tail: int = 0  # lanes of a turn of the tail, if other than `lanes`
    low: tuple[Size, ...] = ()
    high: tuple[Size, ...] = ()
    ahead: int = 0

    @property
    def first(self) -> Size:
        """The first turn that is taken."""
        zero: Size = 0
        return functools.reduce(dims.maximum, self.low, zero)

    @property
    def end(self) -> Size:
        """The turn at which the loop is over, which comes after the first or is it."""
        end = functools.reduce(dims.minimum, self.high, self.extent)
        return dims.maximum(end, self.first) if self.low or self.high else end

    @property
    def step(self) -> int:
        """How far the index goes in a turn."""
        return self.lanes * self.unroll


@dataclass(frozen=True)
class Let:
    """local `name` = value, computed here."""

    name: int
    value: Scalar


@dataclass(frozen=True)
class Store:
    """slot[dynamic + static] = value, or += value, *= value, the smaller or the larger of both: see `graphc.program.kernel.UPDATES`."""

    slot: int
    dynamic: Scalar | None
    static: Size
    value: Scalar
    mode: str = "set"


TOGETHER = ("sum", "max", "min")  # running combines whose turns the lanes of a vector loop may take together; products overflow on the way


@dataclass(frozen=True)
class Alloc:
    """A register accumulator `name`, set to the neutral element of `combine`; `Accumulate`s in loops inside this block update it.

    A `running` one is read inside the loop, between its updates, or in a vector loop behind its update, where each lane has what the
    lanes up to it came to; any other when its loop is over. An arg combine may give the extreme
    itself, too: `value` is the number and the dtype of that local.
    """

    name: int
    dtype: np.dtype
    combine: str
    running: bool = False
    value: tuple[int, np.dtype] | None = None


@dataclass(frozen=True)
class Accumulate:
    """name = combine(name, value). Arg combines keep the position `other` of the value; "recur" is other * name + value."""

    name: int
    combine: str
    value: Scalar
    other: Scalar | None = None


@dataclass(frozen=True)
class If:
    """if condition: body."""

    condition: Scalar
    body: Block


@dataclass(frozen=True)
class Repeat:
    """for index in 0..extent, while condition: body; then every carry at once: local `name` = after. Before the loop it is `initial`.

    carries: (name, initial, after) each; after the loop a local is its last value, and `count` the number of turns. The condition is
    looked at before each turn; None always holds, an extent of None has no end. `unroll` turns are written one behind the other.
    """

    index: Dim
    extent: Size | None
    condition: Scalar | None
    carries: tuple[tuple[int, Scalar, Scalar], ...]
    body: Block
    count: int | None = None
    unroll: int = 1


@dataclass(frozen=True)
class Choose:
    """The block of branch number `chosen`, the ends for what lies beyond; locals `results` are then its values."""

    chosen: Scalar
    branches: tuple[tuple[Block, tuple[Scalar, ...]], ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """What is written as a whole: the plan of a strategy."""

    name: str
    params: object
    strategy: Strategy | None = None


@dataclass(frozen=True)
class Block:
    """Statements in order."""

    body: tuple[Statement, ...]


Statement = For | Let | Store | Alloc | Accumulate | If | Repeat | Choose | Call | Block


def walk(statement: Statement) -> Iterator[Statement]:
    """Every statement inside, outer before inner."""
    stack: list[Statement] = [statement]
    while stack:
        s = stack.pop()
        yield s
        if isinstance(s, Block):
            stack.extend(s.body[::-1])
        elif isinstance(s, (For, If, Repeat)):
            stack.append(s.body)
        elif isinstance(s, Choose):
            stack.extend([block for block, _ in s.branches[::-1]])


def values_of(statement: Statement) -> Iterator[Scalar]:
    """What a statement computes, but for those inside of it and for recurrences."""
    match statement:
        case Let(_, value):
            yield value
        case Store(_, dynamic, _, value, _):
            yield from (value,) if dynamic is None else (dynamic, value)
        case Accumulate(_, _, value, other):
            yield from (value,) if other is None else (value, other)
        case _:
            pass


def format_loops(statement: Statement, depth: int = 0) -> str:
    """The loops as indented text."""
    pad = "  " * depth
    match statement:
        case Block(body):
            return "\n".join(format_loops(s, depth) for s in body)
        case For(index, extent, kind, body, lanes, unroll, parallel, masked, tail, low, high, ahead):
            how = kind if unroll == 1 else f"{kind} x {unroll}"
            if kind == "vector":
                how = f"vector {lanes} x {unroll}{' masked' if masked else ''}{f', tail {tail}' if tail not in (0, lanes) else ''}"
            how += (", parallel" if parallel else "") + (f", {ahead} ahead" if ahead else "")
            turns = f"{statement.first}..{statement.end}" if low or high else f"{extent}"
            return f"{pad}for {index} in {turns} ({how}):\n{format_loops(body, depth + 1)}"
        case Let(name, value):
            return f"{pad}t{name}: {SHORT[value.dtype]} = {format_scalar(value)}"
        case Store(slot, dynamic, static, value, mode):
            at = f"{format_scalar(dynamic)} + {static}" if dynamic is not None else f"{static}"
            return f"{pad}b{slot}[{at}] {SIGNS.get(mode, '=')} {format_scalar(value)}"
        case Alloc(name, dtype, combine, running, value):
            beside = "" if value is None else f", t{value[0]}: {SHORT[value[1]]}"
            return f"{pad}t{name}: {SHORT[dtype]}{beside} = {'running ' * running}neutral({combine})"
        case Accumulate(name, combine, value, _):
            return f"{pad}t{name} = {combine}(t{name}, {format_scalar(value)})"
        case If(condition, body):
            return f"{pad}if {format_scalar(condition)}:\n{format_loops(body, depth + 1)}"
        case Repeat(index, extent, condition, carries, body, count, unroll):
            lines = [f"{pad}t{k}: {SHORT[x.dtype]} = {format_scalar(x)}" for k, x, _ in carries]
            among = "" if extent is None else f" in {extent}"
            until = "" if condition is None else f" while {format_scalar(condition)}"
            lines += [f"{pad}for {index}{among}{until} (serial{f' x {unroll}' if unroll > 1 else ''}):", format_loops(body, depth + 1)]
            lines += [f"{pad}  next t{k} = {format_scalar(x)}" for k, _, x in carries]
            return "\n".join([line for line in (*lines, f"{pad}t{count} = turns" if count is not None else "") if line])
        case Choose(chosen, branches, results):
            lines = []
            for k, (body, values) in enumerate(branches):
                lines += [f"{pad}branch {k} of {format_scalar(chosen)}:", format_loops(body, depth + 1)]
                lines += [f"{pad}  t{n}: {SHORT[x.dtype]} = {format_scalar(x)}" for n, x in zip(results, values, strict=True)]
            return "\n".join([line for line in lines if line])
        case Call(name, params, _):
            return f"{pad}{name}({params})"
    raise AssertionError(statement)
