"""Counted operations and bytes of a program, for given sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.costs import Kind, kind
from graphc.dims import Size, Symbol
from graphc.program import PLANNED, RANKED, Axis, Below, Branch, Kernel, Launch, Loop, Program, Stage, Step, launches, places_read, walk
from graphc.scalars import Scalar


def count_cost(program: Program, env: Mapping[Symbol, int]) -> dict[str, int]:
    """operations: arithmetic per element, a fused multiply-add as two; comparisons, selections and moves are free.

    What several stages of a loop nest share is counted once, as it is computed once. A branch counts as the list of steps that the sizes
    choose, or else as the dearer one, a loop without an end as one turn.
    """
    total = _Count(program).steps(program.steps, env)
    return {what: total[what] for what in ("operations", "transcendental", "bytes", "kernels")}


class _Count:
    """What steps of a program take."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def steps(self, steps: Sequence[Step], env: Mapping[Symbol, int]) -> Counter[str]:
        """What the steps of a list take together."""
        total: Counter[str] = Counter()
        for step in steps:
            match step:
                case Launch():
                    total += _launch(step.kernel, env)
                case Loop():
                    total += self.turns(step, env)
                case Branch(predicate=Below() as sizes):
                    total += self.steps(step.then if sizes.holds(env) else step.otherwise, env)
                case Branch():
                    first, second = [self.steps(inside, env) for inside in step.inner]
                    total += first if _weight(first) >= _weight(second) else second
        return total

    def turns(self, loop: Loop, env: Mapping[Symbol, int]) -> Counter[str]:
        """All turns of a loop, each by itself only where a step that is no view names what it binds."""
        count = 1 if loop.extent is None else max(dims.evaluate(loop.extent, env), 0)
        named = {s for step in walk(loop.steps) for s in _decisive(step)} & loop.bound
        alike: Counter[tuple[tuple[Symbol, int], ...]] = Counter()
        for turn in range(count if named else min(count, 1)):
            alike[tuple((s, v) for s, v in loop.at(turn, env).items() if s in named or s not in loop.bound)] += 1 if named else count
        total: Counter[str] = Counter()
        for inside, times in alike.items():
            once = self.together(loop, dict(inside)) if loop.parallel else self.steps(loop.steps, dict(inside))
            total += Counter({what: times * each for what, each in once.items()})
        return total | Counter(kernels=min(count, 1)) if loop.parallel else total

    def together(self, loop: Loop, env: Mapping[Symbol, int]) -> Counter[str]:
        """A turn of a parallel loop, which meets each array once; threads share the loop as one kernel."""
        total = self.steps(loop.steps, env)
        buffers = [self.program.buffers[b] for b in {b for step in walk(loop.steps) for b in step.own}]
        total["bytes"] = sum(_elements(b.shape, env) * b.dtype.itemsize for b in buffers if b.role != "scratch")
        del total["kernels"]
        return total


def _decisive(step: Step) -> frozenset[Symbol]:
    """The symbols that what a step takes depends on: those of sizes, not of where it reads or of numbers that it computes with."""
    if not isinstance(step, Launch):
        return frozenset() if step.placed else step.symbols
    kernel = step.kernel
    code = () if kernel.code is None else kernel.code.by_loops()
    extents = [a.extent for a in kernel.all_axes()] + [loop.extent for loops, _ in code for loop in loops if loop.extent is not None]
    return frozenset().union(*map(dims.symbols, extents), *[dims.symbols(n) for o in kernel.operands for n in o.shape])


def _weight(cost: Counter[str]) -> tuple[int, int]:
    return cost["operations"], cost["bytes"]


def _launch(kernel: Kernel, env: Mapping[Symbol, int]) -> Counter[str]:
    done, hard = _operations(kernel, env)
    size = sum(_elements(o.shape, env) * o.dtype.itemsize for o in kernel.operands)
    return Counter(kernels=1, bytes=size, operations=done, transcendental=hard)


def _operations(kernel: Kernel, env: Mapping[Symbol, int]) -> tuple[int, int]:
    """All operations of a kernel, and the transcendental ones among them."""
    operations = transcendental = 0
    nests: dict[tuple[Axis, ...], list[Stage]] = {}
    for stage in kernel.stages:
        nests.setdefault((*stage.axes, *stage.reduce), []).append(stage)
    for axes, stages in nests.items():
        # a row that is put in order is read once for all places of the order
        ranks = [a.index for s in stages if s.combine in RANKED and s.factor is not None and (a := places_read(s.factor, kernel.axes)[0])]
        points = _points((*[a for a in kernel.axes if a.index not in ranks], *axes), env)
        simple, hard = _counted([stage.body for stage in stages])
        operations += points * (simple + hard + sum(stage.combine is not None for stage in stages))
        transcendental += points * hard
    if kernel.routine is not None:
        operations += dims.evaluate(kernel.routine.batch * kernel.routine.operations, env)
    for loops, values in () if kernel.code is None else kernel.code.by_loops():
        turns = math.prod([1 if loop.extent is None else max(dims.evaluate(loop.extent, env), 0) for loop in loops])
        simple, hard = _counted(values)
        operations, transcendental = operations + turns * (simple + hard), transcendental + turns * hard
    return operations, transcendental


def _counted(bodies: Iterable[Scalar]) -> tuple[int, int]:
    """Operations that are instructions, and those that are functions."""
    body = sc.order(bodies)
    kinds = [kind(s) for s in body]
    return kinds.count(Kind.LIGHT) + kinds.count(Kind.SLOW) + sum(s.op == "fma" for s in body), kinds.count(Kind.MATH)


def _points(axes: Sequence[Axis], env: Mapping[Symbol, int]) -> int:
    """Turns of nested loops; chunks of a grid differ in length."""
    if not axes:
        return 1
    count, symbol = dims.evaluate(axes[0].extent, env), dims.as_symbol(axes[0].index)
    assert symbol is not None
    if any(symbol in dims.symbols(a.extent) for a in axes[1:]):
        return sum(_points(axes[1:], {**env, symbol: turn}) for turn in range(count))
    return count * _points(axes[1:], env)


def count_memory(program: Program, env: Mapping[Symbol, int], threads: int = 1) -> dict[str, int]:
    """Bytes by role; each of the threads has its own scratch."""
    copies = {b for step in launches(program.steps) for b in step.scratch}  # these hold no value
    arena = [
        b for k, b in enumerate(program.buffers)
        if k not in copies and b.role in PLANNED and b.alias is None and b.offset is not None
    ]  # fmt: skip
    return {
        "inputs": sum(_elements(v.shape, env) * v.dtype.itemsize for v in program.inputs),
        "state": sum(_elements(v.shape, env) * v.dtype.itemsize for v in program.shared),
        "constants": sum(c.nbytes for c in program.constants),
        "outputs": sum(_elements(b.shape, env) * b.dtype.itemsize for b in (program.buffers[k] for k in program.outputs)),
        "arena": dims.evaluate(program.arena + threads * program.scratch, env),
        "largest": max((_elements(b.shape, env) * b.dtype.itemsize for b in arena), default=0),
    }


def _elements(shape: Iterable[Size], env: Mapping[Symbol, int]) -> int:
    return math.prod(dims.evaluate(s, env) for s in shape)
