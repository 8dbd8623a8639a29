"""The steps of a program, each of which says what it reads and writes, whether it can fail, and which steps it holds.

    Launch    run a kernel on buffers                       Loop      steps again and again, values carried from turn to turn
    View      place a buffer inside another one             Branch    one of two lists of steps
    Check     stop unless all indices lie inside            HostCall  call Python

Whoever asks for lifetimes, order or costs asks these questions, or `walk`s the tree: nobody lists the kinds of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size, Symbol
from graphc.ir import Node
from graphc.program.kernel import Kernel
from graphc.records import dataclass

NO_FAULT = np.iinfo(np.int64).max


class Asked:
    """What every step answers, here for one that does nothing. `own` and `symbols` leave the inner steps out, the rest takes them in."""

    @property
    def own_reads(self) -> tuple[int, ...]:
        """The buffers that the step itself reads."""
        return ()

    @property
    def own_writes(self) -> tuple[int, ...]:
        """The buffers that the step itself writes."""
        return ()

    @property
    def own(self) -> tuple[int, ...]:
        """Every buffer that the step itself touches."""
        return (*self.own_reads, *self.own_writes)

    @property
    def kept(self) -> tuple[int, ...]:
        """The buffers that must keep their bytes as long as the inner steps run."""
        return ()

    @property
    def inner(self) -> tuple[tuple[Step, ...], ...]:
        """The lists of steps that it runs."""
        return ()

    def holding(self, *inner: Sequence[Step]) -> Step:
        """The same step with other steps inside."""
        assert not inner, "it holds no steps"
        return self  # type: ignore[return-value]

    @property
    def symbols(self) -> frozenset[Symbol]:
        """The sizes and counters that it names."""
        return frozenset()

    @property
    def bound(self) -> frozenset[Symbol]:
        """The counters and lengths that have a value of their own in each turn of its steps."""
        return frozenset()

    @property
    def placed(self) -> tuple[tuple[int, Size], ...]:
        """The aliases that lie elsewhere from here on, and at which element."""
        return ()

    @property
    def compared(self) -> tuple[Below, ...]:
        """The comparisons of sizes that it makes."""
        return ()

    @property
    def calls_python(self) -> bool:
        """Whether native code is left for a function of the user's."""
        return False

    @property
    def made(self) -> tuple[Node, ...]:
        """The nodes that it computes or checks, for messages."""
        return ()

    @property
    def can_fail(self) -> bool:
        """Whether a call may end here, before anything of it is to be seen."""
        return any(step.can_fail for steps in self.inner for step in steps)

    @property
    def reads(self) -> tuple[int, ...]:
        return (*self.own_reads, *(b for steps in self.inner for step in steps for b in step.reads))

    @property
    def writes(self) -> tuple[int, ...]:
        return (*self.own_writes, *(b for steps in self.inner for step in steps for b in step.writes))


@dataclass(frozen=True)
class Launch(Asked):
    """Run a kernel on buffers, one for each operand and one for each piece of scratch. `nodes` are what it computes, for messages."""

    kernel: Kernel
    buffers: tuple[int, ...]
    nodes: tuple[Node, ...] = ()
    scratch: tuple[int, ...] = ()

    @property
    def made(self) -> tuple[Node, ...]:
        return self.nodes

    @property
    def own_reads(self) -> tuple[int, ...]:
        loaded = self.kernel.loaded
        return tuple([b for k, b in enumerate(self.buffers) if k in loaded])

    @property
    def own_writes(self) -> tuple[int, ...]:
        return tuple([b for b, o in zip(self.buffers, self.kernel.operands, strict=True) if o.written])

    @property
    def own(self) -> tuple[int, ...]:
        return (*self.buffers, *self.scratch)

    @property
    def symbols(self) -> frozenset[Symbol]:
        return frozenset(self.kernel.sizes())


@dataclass(frozen=True)
class View(Asked):
    """From here on to the end of the list it stands in, `buffer` lies `offset` elements into what it is an alias of.

    The offset may name the counters of the loops around: row i of x: (n, 4) is View(row, 4 * i), with row an alias of x.
    """

    buffer: int
    offset: Size

    @property
    def placed(self) -> tuple[tuple[int, Size], ...]:
        return ((self.buffer, self.offset),)

    @property
    def symbols(self) -> frozenset[Symbol]:
        return dims.symbols(self.offset)


@dataclass(frozen=True)
class Check(Asked):
    """Stop with an error unless the i64 in `buffer` is `NO_FAULT`: it is the first faulty position of `indices`.

    These select along `axis` of the first operand of `node`; where they wrap, negative ones down to -axis_size count from its end.
    """

    buffer: int
    indices: int
    node: Node
    axis_size: Size
    axis: int = 0
    wraps: bool = False

    @property
    def made(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def own_reads(self) -> tuple[int, ...]:
        return (self.buffer, self.indices)

    @property
    def symbols(self) -> frozenset[Symbol]:
        return dims.symbols(self.axis_size)

    @property
    def can_fail(self) -> bool:
        return True


@dataclass(frozen=True)
class HostCall(Asked):
    """results = function(*arguments), in Python: with copies of the arrays; it gives an array, or a sequence of one for each result.

    It runs once for each time that it is reached, also if something fails later. What it raises passes through. The values of `sizes`
    are given behind the arrays.
    """

    function: Callable[..., Any]
    arguments: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    node: Node | None = None
    sizes: tuple[Size, ...] = ()

    @property
    def made(self) -> tuple[Node, ...]:
        return () if self.node is None else (self.node,)

    @property
    def calls_python(self) -> bool:
        return True

    @property
    def symbols(self) -> frozenset[Symbol]:
        return frozenset().union(*map(dims.symbols, self.sizes))

    @property
    def own_reads(self) -> tuple[int, ...]:
        return self.arguments

    @property
    def own_writes(self) -> tuple[int, ...]:
        return self.results

    @property
    def can_fail(self) -> bool:
        return True


@dataclass(frozen=True)
class Loop(Asked):
    """for counter in 0..extent, while the boolean in `condition` holds: steps; then what each pair (old, new) carries moves on.

    An extent of None has no end, a condition of None always holds; it is looked at before each turn. For each pair the next turn
    finds in `old` what this one left in `new`; after the loop the last value lies in `old`, and nobody reads `new`.

    `lengths` are sizes that each turn has anew, such as the elements of its chunk: (m, min(64, n - 64 * counter)). The turns of a
    `parallel` loop may run in any order and at the same time: they carry nothing and cannot fail, what they write lies in
    scratch, of which every thread has its own, or in parts of arrays that no other turn touches.

    A call may be left at any turn of a loop that is not parallel, if the user interrupts it: so these stand before the commit point.
    """

    counter: Dim
    extent: Size | None
    steps: tuple[Step, ...]
    carried: tuple[tuple[int, int], ...] = ()
    condition: int | None = None
    parallel: bool = False
    lengths: tuple[tuple[Dim, Size], ...] = ()

    @property
    def own_reads(self) -> tuple[int, ...]:
        return (*((self.condition,) if self.condition is not None else ()), *(b for pair in self.carried for b in pair))

    @property
    def own_writes(self) -> tuple[int, ...]:
        return tuple([old for old, _ in self.carried])

    @property
    def kept(self) -> tuple[int, ...]:
        """What is carried and asked; where turns run at the same time, all that they touch."""
        return tuple([b for step in walk(self.steps) for b in step.own]) if self.parallel else self.own_reads

    @property
    def inner(self) -> tuple[tuple[Step, ...], ...]:
        return (self.steps,)

    def holding(self, *inner: Sequence[Step]) -> Step:
        (steps,) = inner
        return replace(self, steps=tuple(steps))

    @property
    def symbols(self) -> frozenset[Symbol]:
        named = (self.counter, *(() if self.extent is None else (self.extent,)), *(size for pair in self.lengths for size in pair))
        return frozenset().union(*map(dims.symbols, named))

    @property
    def bound(self) -> frozenset[Symbol]:
        return dims.symbols(self.counter).union(*[dims.symbols(length) for length, _ in self.lengths])

    @property
    def can_fail(self) -> bool:
        return not self.parallel

    def at(self, turn: int, env: Mapping[Symbol, int]) -> dict[Symbol, int]:
        """The sizes in a turn, where those around are known."""
        (counter,) = dims.symbols(self.counter)
        inside = {**env, counter: turn}
        return inside | {s: dims.evaluate(size, inside) for length, size in self.lengths for s in dims.symbols(length)}


@dataclass(frozen=True)
class Below:
    """size < limit: what sizes alone decide, at the call."""

    size: Size
    limit: Size

    @property
    def symbols(self) -> frozenset[Symbol]:
        return dims.symbols(self.size) | dims.symbols(self.limit)

    def holds(self, env: Mapping[Symbol, int]) -> bool:
        return dims.evaluate(self.size, env) < dims.evaluate(self.limit, env)

    def __str__(self) -> str:
        return f"{self.size} < {self.limit}"


@dataclass(frozen=True)
class Branch(Asked):
    """The steps of `then` where the predicate holds, those of `otherwise` elsewhere: a buffer with one boolean, or sizes, as
    Branch(Below(n, 1000), (Launch(short, ..),), (Launch(long, ..),)).
    """

    predicate: int | Below
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()

    @property
    def own_reads(self) -> tuple[int, ...]:
        return (self.predicate,) if isinstance(self.predicate, int) else ()

    @property
    def symbols(self) -> frozenset[Symbol]:
        return frozenset().union(*[below.symbols for below in self.compared])

    @property
    def compared(self) -> tuple[Below, ...]:
        return () if isinstance(self.predicate, int) else (self.predicate,)

    @property
    def inner(self) -> tuple[tuple[Step, ...], ...]:
        return (self.then, self.otherwise)

    def holding(self, *inner: Sequence[Step]) -> Step:
        then, otherwise = inner
        return replace(self, then=tuple(then), otherwise=tuple(otherwise))


Step = Launch | View | Check | HostCall | Loop | Branch

_BOUND: dict[str, list[Dim]] = {}


def loop_counter(depth: int) -> Dim:
    """The process-wide counter of a loop inside `depth` others, so that equal kernels in loops are equal. A size to kernels."""
    return _bound("turn", depth)


def loop_length(depth: int) -> Dim:
    """The process-wide length of a turn's chunk in a loop inside `depth` others."""
    return _bound("length", depth)


def loop_side(axis: int, depth: int) -> Dim:
    """The process-wide length along one axis of a turn's chunk in a loop inside `depth` others."""
    return _bound(f"side{axis}_", depth)


def _bound(what: str, depth: int) -> Dim:
    known = _BOUND.setdefault(what, [])
    while len(known) <= depth:
        known.append(dims.counter(f"{what}{len(known)}"))
    return known[depth]


def walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Every step, each before those inside it. The place in this order is the number of a step."""
    stack = list(reversed(steps))
    while stack:
        step = stack.pop()
        yield step
        for inside in reversed(step.inner):
            stack += reversed(inside)


def mapped(steps: Sequence[Step], change: Callable[[Step], Step]) -> tuple[Step, ...]:
    """Every step changed, wherever it stands; those inside first."""
    return tuple([change(step.holding(*[mapped(inside, change) for inside in step.inner])) for step in steps])


def launches(steps: Sequence[Step]) -> Iterator[Launch]:
    """Every launch, wherever it stands."""
    return (step for step in walk(steps) if isinstance(step, Launch))
