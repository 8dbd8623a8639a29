"""Loops whose carries are registers, and branches between scalars, as LLVM text.

    br label %turn1                                          A loop of a known number of turns asks at its end, behind a guard
turn1:                                                       where it may have none; one with a condition asks at its head.
    %v3 = phi double [ %v1, %entry ], [ %v7, %turn1 ]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.llvm.emit_scalar import Block as Lines
from graphc.codegen.llvm.emit_scalar import llvm_type
from graphc.codegen.llvm.module import fresh
from graphc.codegen.llvm.values import Scope, Value, Values
from graphc.codegen.loops.loopir import Block, Choose, Repeat, Statement
from graphc.dims import Size


class Recurrences:
    """The part of an emitter that has carries. `write` writes a statement of a body."""

    def __init__(self, values: Values, write: Callable[[Statement, Block], None]) -> None:
        self.v, self.write = values, write

    def repeat(self, s: Repeat) -> None:
        """A loop, after which its locals have their last values."""
        v = self.v
        depth, now = v.here.depth, [v.value(initial).text for _, initial, _ in s.carries]
        if s.condition is not None:
            now, count = self.asking(s, now)
        else:
            assert s.extent is not None, "a loop without an end"
            main = dims.floordiv(s.extent, s.unroll) * s.unroll
            now = self.counted(s, 0, main, s.unroll, now)
            if main != s.extent:
                now = self.counted(s, main, s.extent, 1, now)
            count = v.size(dims.maximum(s.extent, 0)).text
        for (name, _, _), text in zip(s.carries, now, strict=True):
            v.put(("local", name), Value(text, 1, depth))
        if s.count is not None:
            v.put(("local", s.count), Value(count, 1, depth))

    def counted(self, s: Repeat, start: Size, end: Size, step: int, before: Sequence[str]) -> list[str]:
        """for index in start..end by step: the body `step` times; what the carries are then."""
        v, known = self.v, isinstance(start, int) and isinstance(end, int)
        if known and start >= end:
            return list(before)
        parent, first, last = v.here, v.size(start).text, v.size(end).text
        head, done = v.label("turn"), v.label("over")
        lines, counter, phis = self.opened(s, head)
        scope, now = Scope(lines, parent.depth + 1), phis
        v.scopes.append(scope)
        for k in range(step):
            now = self.turn(s, lines, counter if k == 0 else lines.emit(f"add i64 {counter}, {k}"), now)
        v.scopes.pop()
        following = lines.emit(f"add nuw nsw i64 {counter}, {step}")
        again = lines.emit(f"icmp slt i64 {following}, {last}")
        out, entered, latch = parent.lines, parent.lines.current, lines.current
        out.line(f"br label %{head}" if known else f"br i1 {out.emit(f'icmp slt i64 {first}, {last}')}, label %{head}, label %{done}")
        out.label(head)
        out.line(f"{counter} = phi i64 [ {first}, %{entered} ], [ {following}, %{latch} ]")
        self.carried(s, out, phis, (before, entered), (now, latch))
        out.lines.extend(lines.lines)
        out.line(f"br i1 {again}, label %{head}, label %{done}")
        out.label(done)
        if known:
            return now
        after = [fresh(out) for _ in now]
        self.carried(s, out, after, (before, entered), (now, latch))
        return after

    def asking(self, s: Repeat, before: Sequence[str]) -> tuple[list[str], str]:
        """The body as long as the condition holds; what the carries are then, and the number of turns."""
        v = self.v
        assert s.condition is not None
        parent, last = v.here, None if s.extent is None else v.size(s.extent).text
        head, body, done = v.label("asked"), v.label("turn"), v.label("over")
        lines, counter, phis = self.opened(s, head)
        scope = self.scope(s, lines, parent.depth + 1, counter, phis)
        v.scopes.append(scope)
        if last is not None:  # first: the condition may read row `index` of something
            ask = v.label("ask")
            lines.line(f"br i1 {lines.emit(f'icmp slt i64 {counter}, {last}')}, label %{ask}, label %{done}")
            lines.label(ask)
        holds = v.value(s.condition).text
        lines.line(f"br i1 {holds}, label %{body}, label %{done}")
        lines.label(body)
        self.write(s.body, s.body)
        now = [v.value(after).text for _, _, after in s.carries]
        v.scopes.pop()
        following = lines.emit(f"add nuw nsw i64 {counter}, 1")
        out, entered, latch = parent.lines, parent.lines.current, lines.current
        out.line(f"br label %{head}")
        out.label(head)
        out.line(f"{counter} = phi i64 [ 0, %{entered} ], [ {following}, %{latch} ]")
        self.carried(s, out, phis, (before, entered), (now, latch))
        out.lines.extend(lines.lines)
        out.line(f"br label %{head}")
        out.label(done)
        return phis, counter

    def turn(self, s: Repeat, lines: Lines, index: str, now: Sequence[str]) -> list[str]:
        """One copy of the body; what the carries are behind it."""
        v = self.v
        v.scopes.append(self.scope(s, lines, v.here.depth, index, now))
        self.write(s.body, s.body)
        after = [v.value(after).text for _, _, after in s.carries]
        v.scopes.pop()
        return after

    def scope(self, s: Repeat, lines: Lines, depth: int, index: str, now: Sequence[str]) -> Scope:
        """Where the index and the carries of a turn are known."""
        symbol = dims.as_symbol(s.index)
        assert symbol is not None
        scope = Scope(lines, depth, axis={symbol: Value(index, 1, depth)})
        scope.memo |= {("local", name): Value(text, 1, depth) for (name, _, _), text in zip(s.carries, now, strict=True)}
        return scope

    def opened(self, s: Repeat, head: str) -> tuple[Lines, str, list[str]]:
        """The lines of a loop that begins at `head`, and the names of its counter and its carries."""
        lines = Lines(self.v.here.lines.names)
        lines.current = head
        return lines, fresh(lines), [fresh(lines) for _ in s.carries]

    def carried(
        self, s: Repeat, out: Lines, names: Sequence[str], before: tuple[Sequence[str], str], after: tuple[Sequence[str], str]
    ) -> None:
        """A phi for each carry, from the values of two blocks."""
        for (_, initial, _), name, old, new in zip(s.carries, names, before[0], after[0], strict=True):
            out.line(f"{name} = phi {llvm_type(initial.dtype, 1)} [ {old}, %{before[1]} ], [ {new}, %{after[1]} ]")

    def choose(self, s: Choose) -> None:
        """A branch, after which its locals have the values of the block that ran."""
        v, lines, depth, most = self.v, self.v.here.lines, self.v.here.depth, len(s.branches) - 1
        chosen = v.value(sc.minimum(sc.maximum(s.chosen, 0), most)).text
        labels, joined = [v.label("branch") for _ in s.branches], v.label("joined")
        targets = " ".join(f"i64 {k}, label %{label}" for k, label in enumerate(labels[:-1]))
        lines.line(f"switch i64 {chosen}, label %{labels[-1]} [ {targets} ]")
        ends: list[tuple[list[str], str]] = []
        for label, (body, values) in zip(labels, s.branches, strict=True):
            lines.label(label)
            v.scopes.append(Scope(lines, depth))
            self.write(body, body)
            ends.append(([v.value(x).text for x in values], lines.current))
            v.scopes.pop()
            lines.line(f"br label %{joined}")
        lines.label(joined)
        for k, (name, x) in enumerate(zip(s.results, s.branches[0][1], strict=True)):
            incoming = ", ".join(f"[ {texts[k]}, %{end} ]" for texts, end in ends)
            v.put(("local", name), Value(lines.emit(f"phi {llvm_type(x.dtype, 1)} {incoming}"), 1, depth))
