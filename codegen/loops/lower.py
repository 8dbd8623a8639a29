"""Kernels to loops: addresses become linear, axes that lie back to back in memory become one, stages become nests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from graphc import dims
from graphc import scalar as sc
from graphc.codegen.llvm import fill
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, Call, For, Let, Statement, Store
from graphc.codegen.strategy import contract
from graphc.codegen.strategy.loops import CHEAP_MASKS, Access, abreast, column_tile, is_long, lanes_of, unroll_of, vector_axis
from graphc.dims import Dim, Size
from graphc.program import Axis, Kernel, Piece, Stage
from graphc.scalar import Scalar
from graphc.target import Target

ARGUMENTS = 400  # of the kernels that one function calls, some two instructions each
UNROLL_DIAGONAL = 64  # elements stored at known places far apart: a load and a store each, where a loop has five instructions


@dataclass(frozen=True)
class Loaded:
    """A kernel whose loads and stores have linear offsets. stores[k] are those of stage k: (slot, dynamic, static, mode)."""

    axes: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    stores: tuple[tuple[tuple[int, Scalar | None, Size, str], ...], ...]


def lower(kernel: Kernel, target: Target) -> Block:
    """The loops of a kernel."""
    if kernel.blocks is not None:
        return Block((For(kernel.axes[0].index, kernel.axes[0].extent, "serial", _pieces(kernel.blocks.pieces), parallel=True),))
    flat = collapse(linear(kernel))
    if kernel.kind == "scatter":
        return _scatter(flat, target)
    if kernel.kind == "contract":
        product = contract.plan(flat.axes, flat.stages, flat.stores, target)
        if product is not None:
            return Block((Call("product", product),))
    return _parallel(_Nests(flat, target).block(), flat.axes)


def _pieces(pieces: Sequence[Piece]) -> Block:
    """Calls of the pieces, at most so many arguments in one function that LLVM's time stays linear."""
    groups: list[list[Call]] = [[]]
    count = 0
    for piece in pieces:
        count += len(piece.slots)
        if count > ARGUMENTS and groups[-1]:
            groups.append([])
            count = len(piece.slots)
        groups[-1].append(Call("piece", piece))
    if len(groups) == 1:
        return Block(tuple(groups[0]))
    return Block(tuple([Call("pieces", Block(tuple(group))) for group in groups]))


def _parallel(block: Block, axes: Sequence[Axis]) -> Block:
    """The points of a kernel's axes are independent of each other: the outermost loop over one of them may run in any order."""
    if len(block.body) == 1 and isinstance(block.body[0], For) and block.body[0].index in [a.index for a in axes]:
        return Block((replace(block.body[0], parallel=True),))
    return block


# -- addresses ------------------------------------------------------------------------------------------------------
def address(at: Sequence[Scalar], shape: Sequence[Size]) -> tuple[Scalar | None, Size]:
    """The element offset of an index in a contiguous array: a data-dependent part, and a polynomial of loop indices."""
    dynamic: Scalar | None = None
    static: Size = 0
    stride: Size = 1
    for i, size in zip(reversed(at), reversed(shape), strict=True):
        if i.op == "index" or i.op == "const":
            static = i.param * stride + static
        else:
            part = i * sc.index(stride) if stride != 1 else i
            dynamic = part if dynamic is None else dynamic + part
        stride = size * stride
    return dynamic, static


def linear(kernel: Kernel) -> Loaded:
    """load(slot, i, j) -> fetch(slot, dynamic + static)."""
    shapes = [o.shape for o in kernel.operands]

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op == "local":
            return sc.local(s.param, (), s.dtype)  # the loops of the nest are at its element
        if s.op != "load":
            return None
        slot, masked = s.param
        dynamic, static = address(args[:-1] if masked else args, shapes[slot])
        return fetch(slot, dynamic, static, s.dtype, args[-1] if masked else None)

    stages, stores = [], []
    known: dict[Scalar, Scalar] = {}
    for stage in kernel.stages:
        body = sc.replace_leaves(stage.body, leaf, known=known)
        factor = None if stage.factor is None else sc.replace_leaves(stage.factor, leaf, known=known)
        stages.append(Stage(stage.axes, body, stage.dtype, stage.reduce, stage.combine, (), stage.scan, stage.nest, factor))
        placed = []
        for store in stage.stores:
            at = [sc.replace_leaves(i, leaf, known=known) for i in store.at]
            placed.append((store.slot, *address(at, shapes[store.slot]), store.mode))
        stores.append(tuple(placed))
    return Loaded(kernel.axes, tuple(stages), tuple(stores))


def fetch(slot: int, dynamic: Scalar | None, static: Size, dtype: np.dtype, mask: Scalar | None = None) -> Scalar:
    """The lowered load: args are the dynamic offset and the mask where there are any."""
    args = (() if dynamic is None else (dynamic,)) + (() if mask is None else (mask,))
    return sc.scalar("fetch", args, dtype, (slot, static, dynamic is not None, mask is not None))


def replace_indices(s: Scalar, sizes: dict[dims.Symbol, Size]) -> Scalar:
    """A lowered Scalar with axes replaced, in offsets too."""

    def leaf(x: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if x.op == "fetch":
            slot, static, dynamic, masked = x.param
            moved = dims.substitute(static, sizes) if isinstance(static, Dim) else static
            return sc.scalar("fetch", args, x.dtype, (slot, moved, dynamic, masked))
        return None

    return sc.replace_leaves(s, leaf, sizes)


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

    def __init__(self, kernel: Loaded, target: Target) -> None:
        self.kernel = kernel
        self.target = target
        self.lanes = lanes_of([s.dtype for s in sc.order([stage.body for stage in kernel.stages])], target)
        self.rows = 1  # turns at once of the loops inside a vector loop
        self.has_inner = any(s.axes or s.reduce for s in kernel.stages)

    def block(self) -> Block:
        axes = list(self.kernel.axes)
        inner = self._inner_is_vector()
        if not axes or inner:
            body: Statement = Block(tuple(self._statements(vector=inner or not axes)))
            for axis in reversed(axes):
                body = For(axis.index, axis.extent, "serial", _block(body))
            return _block(body)
        vector = axes.pop(vector_axis(axes, self._accesses(self._looping() or range(len(self.kernel.stages)))))
        if self.has_inner:
            # around inner loops wider vectors do what unrolling does elsewhere: one loop feeds several accumulators
            nests: dict[int, list[Stage]] = {}
            for s in self.kernel.stages:
                if _over(s):
                    nests.setdefault(s.nest, []).append(s)
            reductions = max(sum(bool(s.reduce) for s in nest) for nest in nests.values())
            tile = column_tile([[s.body for s in nest] for nest in nests.values()], vector.extent, self.lanes, reductions)
            self.rows = tile.rows
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
        chosen = vector_axis(axes, self._accesses(looping))
        return chosen >= len(outer) or not self._apart(axes[chosen])

    def _looping(self) -> list[int]:
        """The stages with loops of their own, but for those that must take their steps in order."""
        return [k for k, s in enumerate(self.kernel.stages) if _over(s) and not s.scan]

    def _apart(self, axis: Axis) -> bool:
        """Whether different points along an outer axis write different elements: a scratch row is the same for all."""
        symbol = dims.as_symbol(axis.index)
        return all(
            isinstance(static, Dim) and symbol in dims.symbols(static) for placed in self.kernel.stores for _, _, static, _ in placed
        )

    def _accesses(self, stages: Iterable[int]) -> list[Access]:
        found: list[Access] = []
        for k in stages:
            read = [s for s in (self.kernel.stages[k].body, self.kernel.stages[k].factor) if s is not None]
            found += [Access(s.param[1], s.param[2]) for s in sc.order(read) if s.op == "fetch"]
            found += [Access(static, dynamic is not None) for _, dynamic, static, _ in self.kernel.stores[k]]
        return found

    def _statements(self, vector: bool) -> list[Statement]:
        result: list[Statement] = []
        stages = self.kernel.stages
        nest: list[int] = []
        pending = [k for k, s in enumerate(stages) if not s.axes and not s.scan and self.kernel.stores[k]]
        reads = [[s.body, *(d for _, d, _, _ in self.kernel.stores[k] if d is not None)] for k, s in enumerate(stages)]
        reading = max([k for k, roots in enumerate(reads) if any(x.op == "fetch" for x in sc.order(roots))], default=-1)
        for k, stage in enumerate(stages):
            over = _over(stage)
            if nest and (over != _over(stages[nest[0]]) or stage.nest != stages[nest[0]].nest or self._reads_result(k, nest) or stage.scan):
                result += self._nest(nest, vector)
                nest = []
            if over:
                nest.append(k)
                if stage.scan:
                    result += self._nest(nest, vector)
                    nest = []
            else:
                result.append(Let(k, stage.body))
            # values per point are stored when all is read: an updated array is written where the old one has been
            while not self.has_inner and k >= reading and pending and pending[0] <= k:
                result += self._stored(pending.pop(0))
        if nest:
            result += self._nest(nest, vector)
        return [*result, *(store for k in pending for store in self._stored(k))]

    def _reads_result(self, k: int, nest: Sequence[int]) -> bool:
        results = {j for j in nest if self.kernel.stages[j].reduce}
        return any(s.op == "local" and s.param in results for s in sc.order((self.kernel.stages[k].body,)))

    def _nest(self, nest: Sequence[int], vector: bool) -> list[Statement]:
        stages = self.kernel.stages
        result: list[Statement] = [
            Alloc(k, stages[k].dtype, _accumulated(stages[k])) for k in nest if stages[k].reduce and not stages[k].axes
        ]
        inside: list[Statement] = []
        stores: list[Statement] = []
        for k in nest:
            stage = stages[k]
            if stage.reduce:
                if stage.axes:
                    raise AssertionError("a reduction that keeps inner axes has no lowering")
                if stage.scan == "exclusive":
                    inside += self._stored(k)
                other = _position(stage) if stage.combine in ("argmax", "argmin") else stage.factor
                inside.append(Accumulate(k, str(stage.combine), stage.body, other))
                if stage.scan == "inclusive":
                    inside += self._stored(k)
            else:
                inside.append(Let(k, stage.body))
                stores += self._stored(k)
        over = list(_over(stages[nest[0]]))
        body: Statement = Block((*inside, *stores))
        if vector and not stages[nest[0]].scan:
            chosen = over.pop(vector_axis(over, self._accesses(nest)))
            unroll = unroll_of([stages[k].body for k in nest], chosen.extent, self.lanes, any(stages[k].reduce for k in nest))
            body = For(chosen.index, chosen.extent, "vector", _block(body), self.lanes, unroll)
        for axis in reversed(over):
            innermost = axis is over[-1] and not vector and not stages[nest[0]].scan
            body = For(axis.index, axis.extent, "serial", _block(body), unroll=self.rows if innermost else 1)
        return [*result, body]

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


def _scatter(kernel: Loaded, target: Target) -> Block:
    """Copy, then one update after the other, of each stage: equal indices meet in order."""
    lanes = lanes_of([s.dtype for s in sc.order([stage.body for stage in kernel.stages])], target)
    result: list[Statement] = []
    for k, stage in enumerate(kernel.stages):
        ((slot, dynamic, static, mode),) = kernel.stores[k]
        axes = list(stage.axes)
        if k == 0 and len(axes) == 1 and fill.suits(stage.body, axes[0].extent, target) and static == axes[0].index:
            result.append(Call("fill", fill.Fill(slot, int(axes[0].extent), stage.body)))
            continue
        body: Statement = Block((Let(k, stage.body), Store(slot, dynamic, static, sc.local(k, (), stage.dtype), mode)))
        last = axes[-1] if axes else None
        if last is not None and (k == 0 or _apart(dynamic, static, last)):
            axes.pop()
            body = For(last.index, last.extent, "vector", _block(body), lanes, 1)
        elif last is not None and dynamic is None and isinstance(last.extent, int) and last.extent <= UNROLL_DIAGONAL:
            axes.pop()
            body = For(last.index, last.extent, "unroll", _block(body))
        for axis in reversed(axes):
            body = For(axis.index, axis.extent, "serial", _block(body))
        result.append(body)
    return Block(tuple(result))


def _apart(dynamic: Scalar | None, static: Size, axis: Axis) -> bool:
    """True when different points along the axis write different, neighbouring elements."""
    symbol = dims.as_symbol(axis.index)
    assert symbol is not None
    if dynamic is not None:
        for s in sc.order((dynamic,)):
            if s.op == "index" and symbol in dims.symbols(s.param):
                return False
            if s.op == "fetch" and symbol in dims.symbols(s.param[1]):
                return False
    split = dims.affine(static, symbol)
    return split is not None and split[0] == 1


Lowering = Callable[[Kernel, Target], Block]
