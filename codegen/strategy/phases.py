"""Axes of which every s-th point belongs together: the input gradient of a convolution with stride s, as s convolutions with stride 1.

for y in 56:  w[(y + 1) % 2 + 2 p] x[(y + 1) // 2 - p]     ->     for r in 2: for t in 28:  w[(r + 1) % 2 + 2 p] x[t + (r + 1) // 2 - p]

The weight no longer depends on where along the axis the loops are, so that a block of it serves many places. Where phases differ, because
some have more points or meet more taps, each becomes a kernel of its own, with as many points and taps as it has: no zero is multiplied.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import Loaded, replace_indices
from graphc.codegen.loops.bounds import conjunction, without_tests
from graphc.codegen.loops.prove_addresses import facts_of
from graphc.dims import Dim, Size, Symbol
from graphc.program import Axis, Stage
from graphc.scalars import Scalar

PHASES = tuple(dims.axis(f"phase{k}") for k in range(4))
MOST_KERNELS = 32  # stride 2 along five axes, 4 along two, 3 along three


def split_phases(kernel: Loaded) -> list[Loaded]:
    """The kernels that together are the kernel, by the phases of each axis that the loads divide; itself where there is none.

    Phases that are alike are an axis around the points of each.
    """
    steps = _divided(kernel.stages[0])
    apart: list[tuple[Axis, int]] = []
    outer: list[Axis] = []
    for x in kernel.axes:
        by = steps.get(_symbol(x))
        if by is None:
            continue
        phase = PHASES[min(len(outer), len(PHASES) - 1)]
        points = dims.floordiv(x.extent, by) if dims.mod(x.extent, by) == 0 else None
        split = None if points is None or len(outer) == len(PHASES) else _at(kernel, x, x.index * by + phase, points)
        if split is None or _differ(split.stages[0], _symbol(Axis(phase, by))):
            apart.append((x, by))
            continue
        kernel = split
        outer.append(Axis(phase, by))
    kernel = replace(kernel, axes=(*outer, *kernel.axes))
    if math.prod([by for _, by in apart]) > MOST_KERNELS:
        return [kernel]
    return list(_apart(kernel, apart)) if apart else [kernel]


def _apart(kernel: Loaded, axes: list[tuple[Axis, int]]) -> Iterator[Loaded]:
    """A kernel for each phase of the axes that has a point."""
    for numbers in itertools.product(*[range(by) for _, by in axes]):
        made = kernel
        for (x, by), number in zip(axes, numbers):
            made = _at(made, x, x.index * by + number, dims.floordiv(x.extent - number + (by - 1), by))
        if all(x.extent != 0 for x in made.axes):
            yield _with_taps(made)


def _at(kernel: Loaded, axis: Axis, place: Size, points: Size) -> Loaded:
    """The kernel at some places of an axis alone."""
    moved: dict[Symbol, Size] = {_symbol(axis): place}
    axes = [Axis(x.index, points) if x.index == axis.index else x for x in kernel.axes]
    stages = [replace(s, body=replace_indices(s.body, moved)) for s in kernel.stages]
    stores = [
        tuple(
            [
                (slot, None if d is None else replace_indices(d, moved), dims.substitute(static, moved), mode)
                for slot, d, static, mode in placed
            ]
        )
        for placed in kernel.stores
    ]
    return Loaded(tuple(axes), tuple(stages), tuple(stores))


def _with_taps(kernel: Loaded) -> Loaded:
    """The kernel with sums over those turns alone for which the tests that ask for nothing else hold."""
    stage = kernel.stages[0]
    for x in stage.reduce:
        symbol = _symbol(x)
        tests = [test for test in _tests(stage) if _asked(test) == {symbol}]
        if not tests or not isinstance(x.extent, int):
            continue
        held = [turn for turn in range(x.extent) if all(_holds(test, {symbol: turn}) for test in tests)]
        step = held[1] - held[0] if len(held) > 1 else 1
        if held and held != list(range(held[0], held[-1] + 1, step)):
            continue
        reduce = tuple([Axis(r.index, max(len(held), 1)) if r.index == x.index else r for r in stage.reduce])
        body = without_tests(stage.body, lambda test, tests=tests: test in tests) if held else stage.body  # type: ignore[misc]
        first = held[0] if held else 0
        stage = replace(stage, reduce=reduce, body=replace_indices(body, {symbol: x.index * step + first}))
    return replace(kernel, stages=(stage, *kernel.stages[1:]))


def _differ(stage: Stage, phase: Symbol) -> bool:
    """Whether phases meet different taps: a test asks for the phase, and for no other axis than those of the sum."""
    summed = {_symbol(x) for x in stage.reduce}
    return any(phase in (asked := _asked(test)) and {x for x in asked if x.kind == "axis"} <= {phase} | summed for test in _tests(stage))


def _tests(stage: Stage) -> list[Scalar]:
    """The tests of all loads."""
    masks = [s.args[-1] for s in sc.order((stage.body,)) if s.op == "fetch" and s.param[3]]
    return [test for mask in masks for test in conjunction(mask)]


def _asked(test: Scalar) -> set[Symbol]:
    """The axes and sizes that a test asks for; nothing where it is no comparison of indices."""
    return {x for fact in facts_of(test) for x in dims.symbols(fact)}


def _holds(test: Scalar, at: dict[Symbol, int]) -> bool:
    return all(dims.less_equal(0, dims.substitute(fact, at)) is True for fact in facts_of(test))


def divides(kernel: Loaded) -> bool:
    """Whether the loads divide the index of an axis of the kernel, so that each place has weights of its own."""
    steps = _divided(kernel.stages[0])
    return any(_symbol(x) in steps for x in kernel.axes if x.index not in PHASES)


def _symbol(axis: Axis) -> Symbol:
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    return symbol


def _divided(stage: Stage) -> dict[Symbol, int]:
    """The axes of which the loads take quotients by one number, and that number."""
    found: dict[Symbol, set[int]] = {}
    for s in sc.order((stage.body,)):
        size = s.param[1] if s.op == "fetch" else s.param if s.op == "index" else 0
        for call in _calls(size):
            for symbol in dims.symbols(call.args[0]):
                by = call.args[1]
                found.setdefault(symbol, set()).add(by if call.fn in ("floordiv", "mod") and isinstance(by, int) else 0)
    return {symbol: min(by) for symbol, by in found.items() if len(by) == 1 and min(by) > 1}


def _calls(size: Size) -> list[dims.Call]:
    return [x for m, _ in size.terms for x, _ in m if isinstance(x, dims.Call)] if isinstance(size, Dim) else []
