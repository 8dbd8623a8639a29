"""`ScalarCode`: loops and branches over scalars, whose carries stay in registers: what a kernel of kind "scalar" computes.

    carry = init; for j in n: ys[j] = carry; carry = sin(carry) * xs[j]

    ScalarCode((Turns(j0, n, None, carries=(0,), initial=(b1[],), body=ScalarCode(
                    puts=(Put(2, (j0,), t0),)), after=(sin(t0) * b0[j0],)),),
               puts=(Put(3, (), t0),))

A local is what the number of a carry stands for: inside its loop the value of this turn, behind it the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from graphc.dims import Dim, Size
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass(frozen=True)
class Put:
    """slot[at] = value."""

    slot: int
    at: tuple[Scalar, ...]
    value: Scalar


@dataclass(frozen=True)
class Turns:
    """carries = initial; for index in 0..extent, while condition: body; carries = after, all of them at once.

    An extent of None has no end, a condition of None always holds; it is looked at before each turn. `count`: the local that is the
    number of turns when the loop is over, if anybody asks. `unroll`: turns written one behind the other.
    """

    index: Dim
    extent: Size | None
    condition: Scalar | None
    carries: tuple[int, ...]
    initial: tuple[Scalar, ...]
    body: ScalarCode
    after: tuple[Scalar, ...]
    count: int | None = None
    unroll: int = 1


@dataclass(frozen=True)
class Choice:
    """results = the values of branch number `chosen`, the ends for what lies beyond them; the others do not run."""

    chosen: Scalar
    branches: tuple[tuple[ScalarCode, tuple[Scalar, ...]], ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class ScalarCode:
    """Loops and branches in order, then stores."""

    steps: tuple[Turns | Choice, ...] = ()
    puts: tuple[Put, ...] = ()

    def scalars(self) -> Iterator[Scalar]:
        """Everything that is computed and stored, but for what that needs."""
        for step in self.steps:
            yield from operands(step)
            for inside in inner(step):
                yield from inside.scalars()
        for put in self.puts:
            yield from (put.value, *put.at)

    def walk(self) -> Iterator[Turns | Choice]:
        """Every step, outer before inner."""
        for step in self.steps:
            yield step
            for inside in inner(step):
                yield from inside.walk()

    def by_loops(self, around: tuple[Turns, ...] = ()) -> Iterator[tuple[tuple[Turns, ...], tuple[Scalar, ...]]]:
        """(the loops around, what is computed in each of their turns); all branches of a choice are listed."""
        yield around, tuple([x for put in self.puts for x in (put.value, *put.at)])
        for step in self.steps:
            if isinstance(step, Choice):
                yield around, operands(step)
                for inside in inner(step):
                    yield from inside.by_loops(around)
            else:
                yield around, step.initial
                yield (*around, step), step.after if step.condition is None else (step.condition, *step.after)
                yield from step.body.by_loops((*around, step))

    @property
    def stored(self) -> tuple[Put, ...]:
        """The stores of this list and of those inside."""
        return (*(put for step in self.steps for inside in inner(step) for put in inside.stored), *self.puts)

    def mapped(self, f: Callable[[Scalar], Scalar], stored: Callable[[Put], tuple[Put, ...]] | None = None) -> ScalarCode:
        """The same code over f(scalar) everywhere; `stored` says what becomes of a store, where that is not f of its parts."""
        steps: list[Turns | Choice] = []
        for step in self.steps:
            if isinstance(step, Turns):
                condition = None if step.condition is None else f(step.condition)
                initial, after = tuple(map(f, step.initial)), tuple(map(f, step.after))
                steps.append(replace(step, condition=condition, initial=initial, after=after, body=step.body.mapped(f, stored)))
            else:
                branches = [(code.mapped(f, stored), tuple(map(f, values))) for code, values in step.branches]
                steps.append(replace(step, chosen=f(step.chosen), branches=tuple(branches)))
        puts = [(Put(p.slot, tuple(map(f, p.at)), f(p.value)),) if stored is None else stored(p) for p in self.puts]
        return ScalarCode(tuple(steps), tuple([put for made in puts for put in made]))


def inner(step: Turns | Choice) -> tuple[ScalarCode, ...]:
    """The code inside a step."""
    return (step.body,) if isinstance(step, Turns) else tuple([code for code, _ in step.branches])


def operands(step: Turns | Choice) -> tuple[Scalar, ...]:
    """What a step itself computes, but for what that needs."""
    if isinstance(step, Choice):
        return (step.chosen, *(value for _, values in step.branches for value in values))
    return (*step.initial, *(() if step.condition is None else (step.condition,)), *step.after)
