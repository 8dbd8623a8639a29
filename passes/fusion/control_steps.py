"""Loops, branches and calls of Python as steps.

    scan(init, xs)       %old: init                        for turn in length:
                                                             %x begins at element 4 * turn      a row of xs
                                                             %y begins at element 4 * turn      a row of ys
                                                             k0(%old, %x, %new, %y)             the body
                                                             carry %new -> %old

What a body gives is stored where it belongs by the kernel that computes it: in the carry of the next turn, in a row of ys. What it
captures is read where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.control.callback import CALLBACK, Called
from graphc.control.checkpoint import CHECKPOINT
from graphc.control.scan import SCAN
from graphc.control.switch import SWITCH
from graphc.control.while_loop import WHILE
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, int64
from graphc.ir import Node
from graphc.loopform import Routine
from graphc.ops.host import Reference, is_host, refusal
from graphc.ops.registry import DIM
from graphc.passes.fusion.cluster import Control, Inside
from graphc.passes.fusion.in_place import updates
from graphc.program import Below, Branch, Buffer, HostCall, Kernel, Launch, Loop, Operand, Stage, Step, Store, View, loop_counter

Places = Mapping[Node, int]
FEW_EXAMPLES = 4  # of large matrices leave most lanes idle: LU of one, n = 64: 38 us in lanes, 25 by LAPACK


class Around(Protocol):
    """What the steps of a loop or branch need of the assembly that they stand in."""

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

    def operand(self, node: Node) -> int:
        """The buffer of a value that may be a piece of another one, of which it becomes a view."""
        ...

    def checked(self, node: Node, indices: int, dtype: np.dtype, shape: tuple[Size, ...], size: Size) -> Sequence[Step]:
        """The steps that stop the call unless all whole numbers in a buffer lie below a size."""
        ...

    def inside(self, body: Inside, given: Places, wanted: Sequence[tuple[Node, int]], deeper: int, built: Places) -> list[Step]:
        """The steps of a body inside `deeper` more loops.

        What its variables are read from, where its values are stored, and which values are built up in the place of others.
        """
        ...


def carries(control: Control) -> Sequence[Node]:
    """What the carries of a loop begin as."""
    return control.node.inputs[: control.node.attrs.get("carries", 0)]


def in_place(control: Control, k: int) -> bool:
    """Whether output k can be stored where it is wanted; a last carry lies where the loop carries it, and results of Python are copied."""
    return k >= len(carries(control)) and not is_host(control.node)


def steps_of(control: Control, old: Sequence[int], stored: Mapping[int, int], around: Around) -> list[Step]:
    """The steps; `old`: where the carries lie, with what they begin as; `stored`: where other outputs that are read shall lie."""
    builder = _Builder(control, old, stored, around)
    kinds = {SCAN: builder.scan, WHILE: builder.while_loop, SWITCH: builder.switch, CHECKPOINT: builder.again}
    return kinds.get(control.node.op, builder.call)()


class _Builder:
    def __init__(self, control: Control, old: Sequence[int], stored: Mapping[int, int], around: Around) -> None:
        self.control, self.node, self.old, self.stored, self.around = control, control.node, old, stored, around
        self.attrs, self.count = control.node.attrs, len(old)

    def scan(self) -> list[Step]:
        turn, *reads = self.control.reads
        rows = slice(self.count, self.count + self.attrs["sequences"])
        at: Size = turn.attrs["dim"] if turn.op is DIM else turn.attrs["value"].array.item()
        given, views = self._captured(reads, rows.stop), list[Step]()
        for stand_in, sequence in zip(reads[rows], self.node.inputs[rows], strict=True):
            given[stand_in] = self._row(self.around.operand(sequence), stand_in.dtype, stand_in.shape, at, views)
        made = self.control.bodies[0].graph.outputs
        pairs, wanted, built = self._carry(self.control.bodies[0], made[len(self.stored) :])
        for (_, y), value in zip(sorted(self.stored.items()), made):
            wanted.append((value, self._row(y, value.dtype, value.shape, at, views)))
        body = self.around.inside(self.control.bodies[0], given, wanted, 1, built)
        return [self._loop(self.attrs["length"], [*views, *body], pairs)] if body else []

    def while_loop(self) -> list[Step]:
        _, *reads = self.control.reads
        first, body, *apart = self.control.bodies
        given = self._captured(reads, self.count)
        holds = self.around.buffer(Buffer(bool_, (), "arena"))
        most = self.attrs["max_steps"]
        before = self.around.inside(first, given, [(first.graph.outputs[0], holds)], 1, {})
        made = body.graph.outputs
        pairs, wanted, built = self._carry(body, made)
        if self.stored:  # the number of turns
            ((_, turns),) = self.stored.items()
            before.append(_number(0, int64, turns))
            wanted.append((made[self.count], turns))
        if not apart:
            wanted.append((made[-1], holds))
        turn = self.around.inside(body, given, wanted, 1, built)
        if apart:
            before = [Branch(Below(0, most), tuple(before), (_number(False, bool_, holds),))]
            after = dict(pairs)
            follows = {**given, **{r: after.get(b, b) for r, b in zip(reads, self.old)}}
            again = self.around.inside(apart[0], follows, [(apart[0].graph.outputs[0], holds)], 1, {})
            turn.append(Branch(Below(self._counter + 1, most), tuple(again)))
        return [*before, self._loop(most, turn, pairs, holds)]

    def switch(self) -> list[Step]:
        given = self._captured(self.control.reads, 0, 1)
        branches = [tuple(self._stored(body, given)) for body in self.control.bodies]

        def among(first: int, last: int) -> tuple[Step, ...]:
            """Branches first to last: whether the index is that of the second half or beyond, and so on."""
            if first == last:
                return branches[first]
            middle = (first + last + 1) // 2
            return (Branch(self.around.home(self.control.asked[middle - 1]), among(middle, last), among(first, middle - 1)),)

        return list(among(0, len(branches) - 1))

    def again(self) -> list[Step]:
        return self._stored(self.control.bodies[0], self._captured(self.control.reads, 0))

    def call(self) -> list[Step]:
        made = self.node.type
        types = made if isinstance(made, tuple) else (made,)
        unread = {k: self.around.buffer(Buffer(t.dtype, t.shape, "arena")) for k, t in enumerate(types) if k not in self.stored}
        results = [unread[k] if k in unread else self.stored[k] for k in range(len(types))]
        arguments = tuple([self.around.operand(i) for i in self.node.inputs])
        if self.node.op is CALLBACK:
            return [HostCall(Called(self.attrs["host"], types), arguments, tuple(results), self.node)]
        called = Reference(self.node.op, self.node.params)
        host: Step = HostCall(called, arguments, tuple(results), self.node, called.sizes)
        routine = None if self.node.op.traits.routine is None else self.node.op.traits.routine(self.node)
        return [host] if routine is None else self._native(routine, arguments, results, host)

    def _native(self, routine: Routine, arguments: Sequence[int], results: Sequence[int], host: Step) -> list[Step]:
        """Native code where all matrices are small, else the call."""
        operands, buffers = list[Operand](), list[int]()
        for k in routine.reads:
            x = self.node.inputs[k]
            operands.append(Operand(x.dtype, x.shape))
            buffers.append(arguments[k])
        made = self.node.type if isinstance(self.node.type, tuple) else (self.node.type,)
        for t, buffer in zip(made, results, strict=True):
            operands.append(Operand(t.dtype, t.shape, True))
            buffers.append(buffer)
        kernel = Kernel((), (), tuple(operands), "matrices", routine=routine)
        steps: list[Step] = [Launch(kernel, tuple(buffers), (self.node,))]
        asked = refusal(self.node)
        if asked is not None:
            failed = made[asked[0]]
            steps += self.around.checked(self.node, results[asked[0]], failed.dtype, failed.shape, 1)
        large = [dims.maximum(size - routine.alone, 0) for size in routine.sizes]
        few = dims.maximum(FEW_EXAMPLES - routine.batch, 0)
        for size, limit in [*[(size, routine.most + 1) for size in routine.sizes], *[(size * few, 1) for size in large]]:
            if isinstance(size, int) and size >= limit:
                return [host]
            if not isinstance(size, int):
                steps = [Branch(Below(size, limit), tuple(steps), (host,))]
        return steps

    # -- pieces ---------------------------------------------------------------------------------------------------
    @property
    def _counter(self) -> Dim:
        return loop_counter(self.around.depth)

    def _captured(self, reads: Sequence[Node], first: int, skipped: int = 0) -> dict[Node, int]:
        """Where carries lie, and from the operand `first` on what stands for operands; `skipped` of them nothing stands for."""
        given = dict(zip(reads, self.old))
        for stand_in, operand in zip(reads[first:], self.node.inputs[skipped + first :], strict=True):
            if stand_in is not operand:
                given[stand_in] = self.around.operand(operand)
        return given

    def _stored(self, body: Inside, given: Places) -> list[Step]:
        """A body that is not in a loop of its own, its values where they are read."""
        wanted = [(value, buffer) for value, (_, buffer) in zip(body.graph.outputs, sorted(self.stored.items()), strict=True)]
        return self.around.inside(body, given, wanted, 0, {})

    def _row(self, whole: int, dtype: np.dtype, shape: tuple[Size, ...], at: Size, views: list[Step]) -> int:
        """A buffer that is row `at` of another one."""
        role, index = self.around.role_of(whole)
        row = self.around.buffer(Buffer(dtype, shape, role, index, alias=whole))
        views.append(View(row, at * dims.product(shape)))
        return row

    def _carry(self, body: Inside, after: Sequence[Node]) -> tuple[list[tuple[int, int]], list[tuple[Node, int]], dict[Node, int]]:
        """(the pairs that a loop carries, where the new values are stored, what is built up in the place of an old value).

        A carry that stays as it is needs nothing.
        """
        pairs, wanted, built = list[tuple[int, int]](), list[tuple[Node, int]](), dict[Node, int]()
        for stand_in, old, value in zip(self.control.reads[1:], self.old, after):
            if value is stand_in:
                continue
            chain = updates(body, stand_in, value)
            if chain and not built.keys() & {*chain}:
                built |= dict.fromkeys(chain, old)
                continue
            new = self.around.buffer(Buffer(stand_in.dtype, stand_in.shape, "arena"))
            pairs.append((old, new))
            wanted.append((value, new))
        return pairs, wanted, built

    def _loop(self, extent: Size | None, steps: Sequence[Step], pairs: Sequence[tuple[int, int]], condition: int | None = None) -> Loop:
        return Loop(self._counter, extent, tuple(steps), tuple(pairs), condition)


def _number(value: int, dtype: np.dtype, buffer: int) -> Launch:
    """buffer[()] = value."""
    stage = Stage((), sc.const(value, dtype), dtype, stores=(Store(0, ()),))
    return Launch(Kernel((), (stage,), (Operand(dtype, (), True),)), (buffer,))
