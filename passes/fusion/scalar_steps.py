"""Scalar code as steps: one launch; or, where that may take long, a loop of launches, so that a call can be left between them.

for j0 in n: t0 = f(t0)           k0(%init, %old)                                  %old: the carries, one after the other
b1[] = t0                         for turn in ceil(n / 65536):                     length: min(65536, n - 65536 * turn)
                                    k1(%old, %new)                                 for j0 in length: t0 = f(t0)
                                    carry %new -> %old
                                  k2(%old, %result)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Protocol

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.costs import LONG_STRETCH, serial_nanoseconds
from graphc.dims import Size, Symbol
from graphc.dtypes import bool_, int64
from graphc.ir import Node
from graphc.passes.fusion.cluster import Cluster
from graphc.program import Buffer, Kernel, Launch, Loop, Operand, Put, ScalarCode, Step, Turns, View, loop_counter, loop_length
from graphc.records import dataclass
from graphc.scalars import Scalar


class Around(Protocol):
    """What the steps need of the assembly that they stand in."""

    depth: int

    def buffer(self, buffer: Buffer) -> int:
        """The number of a new buffer."""
        ...

    def role_of(self, buffer: int) -> tuple[str, int]:
        """The role and the index of a buffer."""
        ...

    def home(self, node: Node) -> int:
        """The buffer that a value is read from."""
        ...

    def launch(self, kernel: Kernel, buffers: Sequence[int], nodes: Sequence[Node]) -> Launch:
        """The launch of a kernel."""
        ...


def scalar_steps(cluster: Cluster, values: Sequence[Node], stored_in: Mapping[Node, Sequence[int]], around: Around) -> list[Step]:
    """The steps of a cluster of scalar code, whose loads are of `values`; what is in `stored_in` is stored, the rest is not wanted."""
    return _Builder(cluster, values, stored_in, around).steps()


def stretch(step: Turns) -> Size | None:
    """How many turns of a loop take some `LONG_STRETCH`; None where all of them certainly take less."""
    each: Size = 0
    for loops, bodies in ScalarCode((step,)).by_loops():
        if loops:
            inside = [loop.extent for loop in loops[1:]]
            assert None not in inside, "a loop without an end has a kernel of its own"
            each = each + int(1 + serial_nanoseconds(bodies)) * dims.product([size for size in inside if size is not None])
    if isinstance(step.extent, int) and isinstance(each, int) and step.extent * each <= LONG_STRETCH:
        return None
    if isinstance(each, int):
        return 1 << max(LONG_STRETCH // each, 1).bit_length() - 1
    return dims.maximum(1, dims.floordiv(LONG_STRETCH, dims.maximum(1, each)))


@dataclass
class _Arrays:
    """The carries of a loop in memory: one array for each dtype, twice, for what a stretch begins with and for what it ends with."""

    old: dict[np.dtype, int] = field(default_factory=dict)
    new: dict[np.dtype, int] = field(default_factory=dict)
    place: dict[int, tuple[np.dtype, int]] = field(default_factory=dict)  # of each local


class _Builder:
    def __init__(self, cluster: Cluster, values: Sequence[Node], stored_in: Mapping[Node, Sequence[int]], around: Around) -> None:
        self.cluster, self.around = cluster, around
        self.shapes: dict[int, tuple[Size, ...]] = {}  # of the buffers, as the code has them
        self.dtypes: dict[int, np.dtype] = {}
        self.nodes = tuple([m.node for m in cluster.members])

        def buffer(b: int, node: Node) -> int:
            self.shapes[b], self.dtypes[b] = node.shape, node.dtype
            return b

        def load(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op != "load":
                return None
            number, masked = s.param
            b = buffer(around.home(values[number]), values[number])
            return sc.load(b, args[:-1] if masked else args, s.dtype, args[-1] if masked else None)

        known: dict[Scalar, Scalar] = {}
        read: Callable[[Scalar], Scalar] = lambda s: sc.replace_leaves(s, load, known=known)

        def stored(p: Put) -> tuple[Put, ...]:
            node = cluster.members[p.slot].node
            return tuple([Put(buffer(b, node), tuple(map(read, p.at)), read(p.value)) for b in stored_in.get(node, ())])

        assert cluster.code is not None
        self.code = cluster.code.mapped(read, stored)  # its slots are buffers

    def steps(self) -> list[Step]:
        match self.code.steps:
            case (Turns() as step,) if (size := stretch(step)) is not None:
                return self.stretches(step, size)
        return [self.launch(self.code)]

    def launch(self, code: ScalarCode) -> Launch:
        """One kernel, with an operand for each buffer."""
        loads = [s.param[0] for s in sc.order(code.scalars()) if s.op == "load"]
        written = {p.slot for p in code.stored}
        slots = {b: k for k, b in enumerate(dict.fromkeys([*loads, *(p.slot for p in code.stored)]))}

        def operand(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            if s.op != "load":
                return None
            b, masked = s.param
            return sc.load(slots[b], args[:-1] if masked else args, s.dtype, args[-1] if masked else None)

        known: dict[Scalar, Scalar] = {}
        read: Callable[[Scalar], Scalar] = lambda s: sc.replace_leaves(s, operand, known=known)
        moved = code.mapped(read, lambda p: (Put(slots[p.slot], tuple(map(read, p.at)), read(p.value)),))
        operands = tuple([Operand(self.dtypes[b], self.shapes[b], b in written) for b in slots])
        return self.around.launch(Kernel((), (), operands, "scalar", code=moved), tuple(slots), self.nodes)

    # -- stretches of turns -----------------------------------------------------------------------------------------
    def stretches(self, step: Turns, size: Size) -> list[Step]:
        """What the carries begin as; stretch by stretch; what is stored at the end."""
        counter, length = loop_counter(self.around.depth), loop_length(self.around.depth)
        arrays = self._arrays(step)
        begun = [self._kept(arrays.old, arrays, name, x) for name, x in zip(step.carries, step.initial, strict=True)]
        first = size * counter
        inside, views = self._moved(step, length, first, arrays)
        results = [(name, sc.local(name, (), x.dtype)) for name, x in zip(step.carries, step.initial, strict=True)]
        ended = [self._kept(arrays.new, arrays, name, value) for name, value in results]
        running = None
        if step.count is not None and step.condition is not None:
            turns = sc.local(step.count, (), int64)
            running = self._buffer(bool_, ())
            begun.append(Put(running, (), sc.const(True, bool_)))
            ended.append(Put(running, (), turns.eq(sc.index(length))))
            if step.count in arrays.place:
                begun.append(self._kept(arrays.old, arrays, step.count, sc.const(0, int64)))
                ended.append(self._kept(arrays.new, arrays, step.count, sc.index(first) + turns))
        last = ScalarCode((), self.code.puts).mapped(lambda s: self._from_memory(s, arrays))
        whole = step.extent
        extent = None if whole is None else dims.floordiv(whole + (size - 1), size)
        lengths = ((length, size if whole is None else dims.minimum(size, whole - first)),)
        body = self.launch(ScalarCode((inside,), tuple(ended)))
        pairs = tuple([(arrays.old[d], arrays.new[d]) for d in arrays.old])
        loop = Loop(counter, extent, (*views, body), pairs, running, lengths=lengths)
        return [*([self.launch(ScalarCode((), tuple(begun)))] if begun else []), loop, *([self.launch(last)] if last.puts else [])]

    def _moved(self, step: Turns, length: Size, first: Size, arrays: _Arrays) -> tuple[Turns, list[View]]:
        """The turns first, first + 1, .. first + length - 1, from the carries in memory; rows of arrays are those of the stretch."""
        (symbol,) = dims.symbols(step.index)
        shift: dict[Symbol, Size] = {symbol: first + step.index}
        known: dict[Scalar, Scalar] = {}
        moved = ScalarCode((step,)).mapped(lambda s: sc.replace_leaves(s, lambda s, args: None, shift, known))
        forward: Size = first + step.index
        backward: Size = forward if step.extent is None else step.extent - 1 - forward
        starts = {forward: first, backward: backward - (length - 1 - step.index)}  # of the stretch, for the row of a turn
        views: dict[int, View] = {}
        at: dict[int, set[Size | None]] = {}  # the rows that a buffer is read at
        for s in sc.order(moved.scalars()):
            if s.op == "load":
                at.setdefault(s.param[0], set()).add(_row(s.args) if not s.param[1] else None)
        for put in moved.stored:
            at.setdefault(put.slot, set()).add(_row(put.at))
        for b, rows in at.items():
            row = rows.pop() if len(rows) == 1 else None
            if row is not None and row in starts:
                views[b] = self._view(b, length, starts[row])

        def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
            return sc.load(views[b].buffer, within(b, args), s.dtype) if s.op == "load" and (b := s.param[0]) in views else None

        def within(b: int, index: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
            start = starts[index[0].param]
            return (sc.index(index[0].param - start), *index[1:])

        def stored(p: Put) -> tuple[Put, ...]:
            place = (views[p.slot].buffer, within(p.slot, p.at)) if p.slot in views else (p.slot, p.at)
            return (Put(*place, sc.replace_leaves(p.value, leaf)),)

        (made,) = moved.mapped(lambda s: sc.replace_leaves(s, leaf), stored).steps
        assert isinstance(made, Turns)
        return replace(made, extent=length, initial=tuple([self._old(arrays, name) for name in step.carries])), list(views.values())

    def _view(self, whole: int, length: Size, start: Size) -> View:
        """The rows of a stretch."""
        role, index = self.around.role_of(whole)
        shape = (length, *self.shapes[whole][1:])
        made = self.around.buffer(Buffer(self.dtypes[whole], shape, role, index, alias=whole))
        self.shapes[made], self.dtypes[made] = shape, self.dtypes[whole]
        return View(made, start * dims.product(shape[1:]))

    def _arrays(self, step: Turns) -> _Arrays:
        """Places for the carries, and for the number of turns where that is wanted."""
        wanted = list(zip(step.carries, [x.dtype for x in step.initial], strict=True))
        if any(s.op == "local" and s.param == step.count for s in sc.order(ScalarCode((), self.code.puts).scalars())):
            assert step.count is not None
            wanted.append((step.count, int64))
        arrays, counts = _Arrays(), dict[np.dtype, int]()
        for name, dtype in wanted:
            arrays.place[name] = (dtype, counts.setdefault(dtype, 0))
            counts[dtype] += 1
        for dtype, count in counts.items():
            arrays.old[dtype], arrays.new[dtype] = (self._buffer(dtype, (count,)) for _ in range(2))
        return arrays

    def _buffer(self, dtype: np.dtype, shape: tuple[Size, ...]) -> int:
        made = self.around.buffer(Buffer(dtype, shape, "arena"))
        self.shapes[made], self.dtypes[made] = shape, dtype
        return made

    def _kept(self, among: Mapping[np.dtype, int], arrays: _Arrays, name: int, value: Scalar) -> Put:
        """The store of a local to its place."""
        dtype, k = arrays.place[name]
        return Put(among[dtype], (sc.index(k),), value)

    def _old(self, arrays: _Arrays, name: int) -> Scalar:
        dtype, k = arrays.place[name]
        return sc.load(arrays.old[dtype], (sc.index(k),), dtype)

    def _from_memory(self, root: Scalar, arrays: _Arrays) -> Scalar:
        """A value after the loop, with locals from memory."""
        return sc.replace_leaves(root, lambda s, args: self._old(arrays, s.param) if s.op == "local" else None)


def _row(at: Sequence[Scalar]) -> Size | None:
    """The first of some indices, where the loops alone say it."""
    return at[0].param if at and at[0].op in ("index", "const") else None
