"""Kernels to loops: addresses become linear, axes that lie back to back in memory become one, stages become nests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

from graphc import dims
from graphc import scalars as sc
from graphc.codegen.loops.address import Loaded, linear, replace_indices
from graphc.codegen.loops.bounds import bound_loops
from graphc.codegen.loops.loopir import TOGETHER, Accumulate, Alloc, Block, Call, For, Let, Statement, Store
from graphc.codegen.strategy.loops import (
    CHEAP_MASKS,
    UNROLL_FEW,
    Access,
    abreast,
    column_tile,
    columns_ahead,
    from_memory,
    is_few,
    is_long,
    lanes_of,
    rows_ahead,
    unroll_of,
    vector_axis,
)
from graphc.codegen.strategy.table import STRATEGIES
from graphc.dims import Dim, Size
from graphc.program import Axis, Kernel, Stage, nests
from graphc.scalars import Scalar
from graphc.target import Target


def lower(kernel: Kernel, target: Target) -> Block:
    """The loops of a kernel."""
    flat = collapse(linear(kernel))
    for strategy in STRATEGIES.values():
        plan = strategy.plan(flat, target) if strategy.accepts(kernel) else None
        if plan is not None:
            return plan if isinstance(plan, Block) else Block((Call(strategy.name, plan, strategy),))
    block = _parallel(_Nests(flat, target, from_memory(kernel.operands, target)).block(), flat.axes)
    return bound_loops(block) if kernel.kind == "convolve" else block


def _parallel(block: Block, axes: Sequence[Axis]) -> Block:
    """The points of a kernel's axes are independent of each other: the outermost loop over one of them may run in any order."""
    if len(block.body) == 1 and isinstance(block.body[0], For) and block.body[0].index in [a.index for a in axes]:
        return Block((replace(block.body[0], parallel=True),))
    return block


# -- collapsing -----------------------------------------------------------------------------------------------------
def collapse(kernel: Loaded) -> Loaded:
    """for i in n: for j in m: x[i*m + j]  ->  for j in n*m: x[j], wherever every address allows it."""
    refused: set[tuple[Dim, Dim]] = set()
    while True:
        groups = [kernel.axes] + [g for stage in kernel.stages for g in (stage.axes, stage.reduce)]
        pairs = [(a, b) for group in groups for a, b in pairwise(group) if (a.index, b.index) not in refused]
        if not pairs:
            return kernel
        a, b = pairs[-1]
        merged = _collapse_pair(kernel, a, b)
        if merged is kernel:
            refused.add((a.index, b.index))
        kernel = merged


def _collapse_pair(kernel: Loaded, a: Axis, b: Axis) -> Loaded:
    sa, sb = dims.as_symbol(a.index), dims.as_symbol(b.index)
    assert sa is not None and sb is not None
    groups = [kernel.axes] + [g for stage in kernel.stages for g in (stage.axes, stage.reduce)]
    # stages may give one index different extents: every group with either index must have both, neighbours, and the same inner extent
    if not all(_side_by_side(group, a, b) for group in groups):
        return kernel
    if any(dims.symbols(x.extent) & {sa, sb} for group in groups for x in group):
        return kernel  # chunks of other loops: their lengths follow from the index
    scans = any(stage.scan and any(x.index in (a.index, b.index) for x in stage.reduce) for stage in kernel.stages)
    if scans:
        return kernel
    bodies = [s for stage in kernel.stages for s in (stage.body, stage.factor) if s is not None]
    for s in sc.order(bodies + [d for st in kernel.stores for _, d, _, _ in st if d is not None]):
        if s.op == "index" and dims.symbols(s.param) & {sa, sb}:
            return kernel
        if s.op == "fetch" and not _mergeable(s.param[1], sa, sb, b.extent):
            return kernel
    if not all(_mergeable(static, sa, sb, b.extent) for st in kernel.stores for _, _, static, _ in st):
        return kernel
    zero: dict[dims.Symbol, Size] = {sa: 0}

    def axes(group: tuple[Axis, ...]) -> tuple[Axis, ...]:
        extents = {x.index: x.extent for x in group}
        return tuple([Axis(x.index, extents[a.index] * x.extent) if x.index == b.index else x for x in group if x.index != a.index])

    def stage(s: Stage) -> Stage:
        factor = None if s.factor is None else replace_indices(s.factor, zero)
        return replace(s, axes=axes(s.axes), reduce=axes(s.reduce), body=replace_indices(s.body, zero), factor=factor)

    stages = tuple([stage(s) for s in kernel.stages])
    stores = tuple(
        [
            tuple(
                [(slot, None if d is None else replace_indices(d, zero), dims.substitute(st, zero), mode) for slot, d, st, mode in placed]
            )
            for placed in kernel.stores
        ]
    )
    return Loaded(axes(kernel.axes), stages, stores)


def _side_by_side(group: Sequence[Axis], a: Axis, b: Axis) -> bool:
    """Whether a group of axes has neither index, or loops over the first right around one over the second of the extent `b`."""
    at = [k for k, x in enumerate(group) if x.index in (a.index, b.index)]
    return not at or (len(at) == 2 and at[1] == at[0] + 1 and group[at[0]].index == a.index and group[at[1]] == b)


def _mergeable(static: Size, a: dims.Symbol, b: dims.Symbol, extent: Size) -> bool:
    if not isinstance(static, Dim):
        return True
    outer, inner = dims.affine(static, a), dims.affine(static, b)
    return outer is not None and inner is not None and outer[0] == inner[0] * extent


# -- nests ----------------------------------------------------------------------------------------------------------
class _Nests:
    """Stages to statements: consecutive stages over the same inner axes share a nest."""

    def __init__(self, kernel: Loaded, target: Target, large: bool) -> None:
        self.kernel = kernel
        self.target = target
        self.large = large  # its arrays come from memory
        self.ahead = self.again = 0  # vectors by which loops inside a vector loop ask earlier for what they load: the first, all others
        self.swept = False  # whether a loop over lanes along a row has been written: others find it in the cache
        self.rows = 1  # turns at once of the loops inside a vector loop
        self.has_inner = any(s.axes or s.reduce for s in kernel.stages)
        self.paces = {symbol for s in kernel.stages for a in _over(s) for symbol in dims.symbols(a.extent) if symbol.kind == "axis"}

    @cached_property
    def lanes(self) -> int:
        """Of a vector, where there are loops."""
        return lanes_of([s.dtype for s in sc.order([stage.body for stage in self.kernel.stages])], self.target)

    def block(self) -> Block:
        axes = list(self.kernel.axes)
        inner = self._inner_is_vector() or all(dims.as_symbol(a.index) in self.paces for a in axes)
        if not axes or inner:
            body: Statement = Block(tuple(self._statements(vector=True)))
            for axis in reversed(axes):
                body = For(axis.index, axis.extent, "serial", _block(body))
            return _block(body)
        vector = axes.pop(self._lanes_along(axes, self._looping() or range(len(self.kernel.stages))))
        if self.has_inner:
            # around inner loops wider vectors do what unrolling does elsewhere: one loop feeds several accumulators
            looping: dict[int, list[Stage]] = {}
            for s in self.kernel.stages:
                if _over(s):
                    looping.setdefault(s.nest, []).append(s)
            reductions = max(sum(bool(s.reduce) for s in nest) for nest in looping.values())
            tile = column_tile([[s.body for s in nest] for nest in looping.values()], vector.extent, self.lanes, reductions, self.target)
            self.rows = tile.rows
            self.again = columns_ahead([_over(nest[0]) for nest in looping.values()], vector.extent, tile)
            self.ahead = self.again if self.large else 0
            body = Block(tuple(self._statements(vector=False)))
            body = For(vector.index, vector.extent, "vector", _block(body), tile.lanes, tail=tile.tail)
        else:
            bodies = [s.body for s in self.kernel.stages]
            lanes, unroll = self.lanes, unroll_of(bodies, vector.extent, self.lanes, False)
            long = is_long(bodies)
            if long:
                lanes, unroll = self.lanes * abreast(bodies, vector.extent, self.lanes, self.target), 1
            body = Block(tuple(self._statements(vector=False)))
            masked = long and self.target.vector_bytes >= CHEAP_MASKS
            body = For(vector.index, vector.extent, "vector", _block(body), lanes, unroll, masked=masked)
        for axis in reversed(axes):
            body = For(axis.index, axis.extent, "serial", _block(body))
        return _block(body)

    def _inner_is_vector(self) -> bool:
        """Whether lanes run along an inner axis (rows, dot products) rather than along an outer one (columns, pointwise)."""
        looping = self._looping()
        if not looping:
            return False
        outer = self.kernel.axes
        axes = [*outer, *_over(self.kernel.stages[looping[0]])]
        chosen = self._lanes_along(axes, looping)
        return chosen >= len(outer) or not self._apart(axes[chosen])

    def _lanes_along(self, axes: Sequence[Axis], stages: Iterable[int]) -> int:
        """The axis for vectors: not one whose index says how long the loops inside are, as that of a grid's chunks."""
        free = [k for k, a in enumerate(axes) if dims.as_symbol(a.index) not in self.paces]
        return free[vector_axis([axes[k] for k in free], self._accesses(stages))]

    def _looping(self) -> list[int]:
        """The stages with loops of their own, but for those of nests that must take their steps in order."""
        return [k for nest in nests(self.kernel.stages) if not self._ordered(nest) for k in nest if _over(self.kernel.stages[k])]

    def _ordered(self, nest: Sequence[int]) -> bool:
        """Whether the turns of a nest must come one after the other: of a scan, unless lanes can take them together, side by side."""
        stages = self.kernel.stages
        scans = [stages[k] for k in nest if stages[k].scan]
        if not scans or any(s.scan != "inclusive" or s.combine not in TOGETHER or s.dtype.kind not in "fiu" for s in scans):
            return bool(scans)
        (axis,) = _over(scans[0])
        symbol = dims.as_symbol(axis.index)
        assert symbol is not None
        splits = [(access.dynamic, dims.affine(access.static, symbol)) for access in self._accesses(nest)]
        return any(dynamic or split is None or split[0] not in (0, 1) for dynamic, split in splits)

    def _apart(self, axis: Axis) -> bool:
        """Whether different points along an outer axis write different elements: a scratch row is the same for all."""
        symbol = dims.as_symbol(axis.index)
        return all(
            isinstance(static, Dim) and symbol in dims.symbols(static) for placed in self.kernel.stores for _, _, static, _ in placed
        )

    def _accesses(self, stages: Iterable[int]) -> list[Access]:
        """What the stages read, each element once, and write."""
        listed = [*stages]
        read = [s for k in listed for s in (self.kernel.stages[k].body, self.kernel.stages[k].factor) if s is not None]
        found = [Access(s.param[1], s.param[2]) for s in sc.order(read) if s.op == "fetch"]
        return found + [Access(static, dynamic is not None) for k in listed for _, dynamic, static, _ in self.kernel.stores[k]]

    def _statements(self, vector: bool) -> list[Statement]:
        result: list[Statement] = []
        stages = self.kernel.stages
        pending = [k for k, s in enumerate(stages) if not s.axes and not s.scan and self.kernel.stores[k]]
        reads = [[s.body, *(d for _, d, _, _ in self.kernel.stores[k] if d is not None)] for k, s in enumerate(stages)]
        last_first = reversed(list(enumerate(reads)))
        reading = next((k for k, roots in last_first if any(x.op == "fetch" for x in sc.order(roots))), -1)
        for nest in nests(stages):
            if _over(stages[nest[0]]):
                result += self._nest(nest, vector)
                continue
            for k in nest:
                result.append(Let(k, stages[k].body))
                # values per point are stored when all is read: an updated array is written where the old one has been
                while not self.has_inner and k >= reading and pending and pending[0] <= k:
                    result += self._stored(pending.pop(0))
        return [*result, *(store for k in pending for store in self._stored(k))]

    def _nest(self, nest: Sequence[int], vector: bool) -> list[Statement]:
        stages = self.kernel.stages
        scans, ordered = any(stages[k].scan for k in nest), self._ordered(nest)
        result: list[Statement] = []
        inside: list[Statement] = []
        stores: list[Statement] = []
        extremes = self._extremes(nest)
        for k in nest:
            stage = stages[k]
            if k in extremes.values():
                continue
            if not stage.reduce:
                inside.append(Let(k, stage.body))
                stores += self._stored(k)
                continue
            if stage.axes:
                raise AssertionError("a reduction that keeps inner axes has no lowering")
            name = len(stages) + k if stage.scan else k
            beside = (extremes[k], stages[extremes[k]].dtype) if k in extremes else None
            result.append(Alloc(name, stage.dtype, _accumulated(stage), stage.scan is not None, beside))
            other = _position(stage) if stage.combine in ("argmax", "argmin") else stage.factor
            step: list[Statement] = [Accumulate(name, _accumulated(stage), stage.body, other)]
            if stage.scan:
                now = Let(k, sc.local(name, (), stage.dtype))
                step = [*step, now] if stage.scan == "inclusive" else [now, *step]
                stores += self._stored(k)
            inside += step
        over = list(_over(stages[nest[0]]))
        body: Statement = Block((*inside, *stores))
        few = len(over) == 1 and is_few(over[0].extent) and all(stages[k].reduce for k in nest)
        if vector and few and not scans:
            body = For(over[0].index, over.pop().extent, "serial", _block(body), unroll=UNROLL_FEW)
        elif vector and not ordered:
            chosen = over.pop(self._lanes_along(over, nest))
            unroll = unroll_of([stages[k].body for k in nest], chosen.extent, self.lanes, any(stages[k].reduce for k in nest))
            ahead = rows_ahead([stages[k].body for k in nest], chosen.extent, self.lanes) if self.swept and not over else 0
            body = For(chosen.index, chosen.extent, "vector", _block(body), self.lanes, unroll, ahead=ahead)
            self.swept = True
        for axis in reversed(over):
            innermost = axis is over[-1] and not vector and not scans
            unroll, ahead = (self.rows, self.ahead) if innermost else (1, 0)
            body = For(axis.index, axis.extent, "serial", _block(body), unroll=unroll, ahead=ahead)
        self.ahead = self.again
        return [*result, body]

    def _extremes(self, nest: Sequence[int]) -> dict[int, int]:
        """The stages of positions, and those of the values there: one accumulator has both."""
        stages = self.kernel.stages
        found: dict[int, int] = {}
        for k in nest:
            value = {"argmax": "max", "argmin": "min"}.get(_accumulated(stages[k]))
            same = [j for j in nest if stages[j].combine == value and stages[j].body is stages[k].body and not stages[j].scan]
            if value is not None and same and same[0] not in found.values():
                found[k] = same[0]
        return found

    def _stored(self, k: int) -> list[Statement]:
        value = sc.local(k, (), self.kernel.stages[k].dtype)
        return [Store(slot, d, static, value, mode) for slot, d, static, mode in self.kernel.stores[k]]


def _over(stage: Stage) -> tuple[Axis, ...]:
    return (*stage.axes, *stage.reduce)


def _accumulated(stage: Stage) -> str:
    return str(stage.combine)


def _position(stage: Stage) -> Scalar:
    position: Size = 0
    for axis in stage.reduce:
        position = position * axis.extent + axis.index
    return sc.index(position)


def _block(statement: Statement) -> Block:
    return statement if isinstance(statement, Block) else Block((statement,))
