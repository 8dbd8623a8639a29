"""Axes of which every s-th point belongs together: the input gradient of a convolution with stride s, as s convolutions with stride 1.

for y in 56:  w[(y + 1) % 2 + 2 p] x[(y + 1) // 2 - p]     ->     for r in 2: for t in 28:  w[(r + 1) % 2 + 2 p] x[t + (r + 1) // 2 - p]

The weight no longer depends on where along the axis the loops are, so that a block of it serves many places.
"""

from __future__ import annotations

from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import Loaded, replace_indices
from graphc.dims import Dim, Size, Symbol
from graphc.program import Axis, Stage

PHASES = tuple(dims.axis(f"phase{k}") for k in range(4))


def split_phases(kernel: Loaded) -> Loaded:
    """Each axis that the loads divide by a number s, which divides its extent, as s phases around the points of each."""
    steps = _divided(kernel.stages[0])
    moved: dict[Symbol, Size] = {}
    outer: list[Axis] = []
    axes: list[Axis] = []
    for x in kernel.axes:
        by = steps.get(_symbol(x))
        if by is None or not isinstance(x.extent, int) or x.extent % by or len(outer) == len(PHASES):
            axes.append(x)
            continue
        phase = PHASES[len(outer)]
        outer.append(Axis(phase, by))
        axes.append(Axis(x.index, x.extent // by))
        moved[_symbol(x)] = x.index * by + phase
    if not outer:
        return kernel
    stages = tuple([_moved(s, moved) for s in kernel.stages])
    stores = tuple(
        [
            tuple(
                [
                    (slot, None if d is None else replace_indices(d, moved), dims.substitute(static, moved), mode)
                    for slot, d, static, mode in placed
                ]
            )
            for placed in kernel.stores
        ]
    )
    return Loaded((*outer, *axes), stages, stores)


def divides(kernel: Loaded) -> bool:
    """Whether the loads divide the index of an axis of the kernel, so that each place has weights of its own."""
    steps = _divided(kernel.stages[0])
    return any(_symbol(x) in steps for x in kernel.axes if x.index not in PHASES)


def _symbol(axis: Axis) -> Symbol:
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    return symbol


def _moved(stage: Stage, moved: dict[Symbol, Size]) -> Stage:
    return replace(stage, body=replace_indices(stage.body, moved))


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
