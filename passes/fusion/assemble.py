"""Clusters -> `Program`: stages in order, operands, buffers, checks, and the commit point.

    x -> softmax, by rows      %0: input, %1: output        k0(%0, %1, %2)      %2: a scratch row

`graphc.passes.fusion.stage_order` says in which order the members of a cluster become stages, `.stages` builds these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.ir import Graph, Node
from graphc.ops.registry import CONSTANT
from graphc.passes.fusion.bodies import stored_operands
from graphc.passes.fusion.cluster import Cluster, Control, Fused, Inside
from graphc.passes.fusion.control_steps import Places, carries, in_place, steps_of
from graphc.passes.fusion.loop_order import own_index, squeezed
from graphc.passes.fusion.scalar_steps import scalar_steps
from graphc.passes.fusion.several import checked_indices
from graphc.passes.fusion.stages import Slots, StageBuilder
from graphc.passes.rewriting.views import lies_in
from graphc.program import NO_FAULT, Axis, Buffer, Check, Kernel, Launch, Program, Stage, Step, Store, View, loop_index
from graphc.records import dataclass
from graphc.scalars import Scalar, replace_leaves
from graphc.traits import Selects


def assemble(graph: Graph, updates: Sequence[tuple[Node, Node]], fused: Fused, size_checks: Sequence[tuple[Size, Size]] = ()) -> Program:
    """The program of fused clusters. `updates` are (shared variable, new value); they are written after the commit point."""
    tables = _Tables({v: k for k, v in enumerate(graph.inputs)})
    return _Assembler(graph, fused, tables).run(updates, tuple(size_checks))


@dataclass
class _Tables:
    """What an assembly and those of the bodies in it share."""

    position: Mapping[Node, int]  # of the inputs
    buffers: list[Buffer] = field(default_factory=list)
    constants: list[Node] = field(default_factory=list)
    shared: list[Node] = field(default_factory=list)
    leaves: dict[Node, int] = field(default_factory=dict)  # the buffers of variables and constants
    kernels: dict[Kernel, Kernel] = field(default_factory=dict)


class _Assembler:
    """The steps of the clusters of one graph. `given`: where what stands for places in memory lies, in a body."""

    def __init__(self, graph: Graph, fused: Fused, tables: _Tables, depth: int = 0, given: Places | None = None) -> None:
        self.graph, self.fused, self.tables, self.depth = graph, fused, tables, depth
        self.given = given or {}
        self.storage: dict[Node, int] = dict(self.given)  # where a value can be read
        self.stored_in: dict[Node, list[int]] = {}  # every buffer a member stores to
        self.carried: dict[int, list[int]] = {}  # cluster of a loop -> the buffers of its carries
        self.steps: list[Step] = []
        self.read_by: Counter[Node] | None = None
        self.seen: set[tuple[Node, Size, bool, Size]] = set()  # indices that have been checked, and how

    def run(self, updates: Sequence[tuple[Node, Node]], size_checks: tuple[tuple[Size, Size], ...]) -> Program:
        tables, replaced = self.tables, {v for v, _ in updates}
        results = self.graph.outputs[: len(self.graph.outputs) - len(updates)]
        wanted = [(node, self.buffer(Buffer(node.dtype, node.shape, "output", k))) for k, node in enumerate(results)]
        self.compute(wanted)
        commits: list[Step] = []
        for variable, value in updates:
            self._copy(value, self._leaf(variable), commits, self._held(variable, value, replaced))
        return Program(
            tuple(tables.buffers), (*self.steps, *commits), self.graph.inputs, tuple(tables.shared),
            tuple([c.attrs["value"].array for c in tables.constants]), tuple([b for _, b in wanted]), commit=len(self.steps),
            size_checks=size_checks,
        )  # fmt: skip

    def compute(self, wanted: Sequence[tuple[Node, int]]) -> None:
        """The steps that store values in buffers: those that are at hand first, for they may be carries that are replaced."""
        for node, buffer in wanted:
            self._want(node, buffer)
        self._places()
        ready = {buffer: node for node, buffer in wanted if self.fused.aliases.get(node, node) in self.given}
        for buffer, node in ready.items():
            self._copy(node, buffer, self.steps)
        for cluster in self.fused.clusters:
            if cluster.control is not None:
                self._control(cluster, cluster.control)
                self.seen.clear()  # Python may have run there, which can reach the arrays of the caller
                continue
            self._checks(cluster)
            if any(
                m.node in self.stored_in or m.node in self.fused.pieces for m in cluster.members
            ):  # isnan of an integer scatter reads nothing of it
                self._launch(cluster)
        for node, buffer in wanted:
            if buffer not in self.stored_in.get(node, ()) and buffer != self.storage.get(node) and buffer not in ready:
                self._copy(node, buffer, self.steps)

    def _places(self) -> None:
        """A place for every value that is read from memory."""
        read_elsewhere = self._read_elsewhere()
        for cluster in self.fused.clusters:
            if (control := cluster.control) is not None:
                old = self.carried[cluster.index] = [self._carry(control, k) for k in range(len(carries(control)))]
                self.storage |= {get: old[k] for k, get in control.gets.items() if k < len(old)}
        for node, home in self.fused.home.items():
            if node not in self.storage and (node in read_elsewhere or home.control is not None):
                self._own(node, self.buffer(Buffer(node.dtype, node.shape, "arena")))
        for node in self.fused.joined:
            if node not in self.storage:
                self.storage[node] = self.buffer(Buffer(node.dtype, node.shape, "arena"))

    # -- loops and branches --------------------------------------------------------------------------------------
    def _carry(self, control: Control, k: int) -> int:
        """Where a loop carries its value k: where it begins, if nobody else reads that, else in an array that gets it too."""
        start, like = carries(control)[k], control.reads[1 + k]
        home = self.fused.home.get(start)
        if home is not None and start not in self.storage:
            self._own(start, self.buffer(Buffer(start.dtype, start.shape, "arena")))
        if home is not None and self._readers(start) == 1 and start.shape == like.shape:
            return self.storage[start]
        old = self.buffer(Buffer(like.dtype, like.shape, "arena"))
        if home is not None and home.kind not in ("scatter", "control"):
            self._own(start, old)
        return old

    def _control(self, cluster: Cluster, control: Control) -> None:
        old = self.carried[cluster.index]
        for start, buffer in zip(carries(control), old, strict=True):
            if buffer not in self.stored_in.get(start, ()) and buffer != self.storage.get(start):
                self._copy(start, buffer, self.steps)
        stored = {k: self.storage[get] for k, get in control.gets.items() if k >= len(old)}
        self.steps += steps_of(control, old, stored, self)

    def inside(self, body: Inside, given: Places, wanted: Sequence[tuple[Node, int]], deeper: int, built: Places) -> list[Step]:
        inner = _Assembler(body.graph, body.fused, self.tables, self.depth + deeper, given)
        for node, buffer in built.items():
            inner._own(node, buffer)
        inner.compute(wanted)
        return inner.steps

    # -- buffers -------------------------------------------------------------------------------------------------
    def buffer(self, buffer: Buffer) -> int:
        self.tables.buffers.append(buffer)
        return len(self.tables.buffers) - 1

    def role_of(self, buffer: int) -> tuple[str, int]:
        return self.tables.buffers[buffer].role, self.tables.buffers[buffer].index

    def _own(self, node: Node, buffer: int) -> None:
        self.storage.setdefault(node, buffer)
        self.stored_in.setdefault(node, []).append(buffer)

    def _want(self, node: Node, buffer: int) -> None:
        """Have a value stored in a buffer by the kernel that computes it, where it can."""
        home = self.fused.home.get(node)
        if home is None:
            if node in self.fused.joined:
                self.storage.setdefault(node, buffer)
        elif home.control is not None:
            if in_place(home.control, home.place[node]) and node not in self.storage:
                self._own(node, buffer)
        elif not (home.kind == "scatter" and node in self.storage):  # a scatter builds up one array
            self._own(node, buffer)

    def _leaf(self, node: Node) -> int:
        """The buffer of a variable or constant."""
        tables, role = self.tables, node.op.traits.leaf
        if node not in tables.leaves:
            assert role is not None
            listed = {"constant": tables.constants, "shared": tables.shared}.get(role)
            if listed is None:
                index = tables.position[node]
            else:
                index = len(listed)
                listed.append(node)
            tables.leaves[node] = self.buffer(Buffer(node.dtype, node.shape, role, index))
        return tables.leaves[node]

    def home(self, node: Node) -> int:
        """The buffer a value is read from."""
        source = self.fused.aliases.get(node)
        if source is not None and node not in self.storage:
            base = self.home(source)
            role, index = self.role_of(base)
            self.storage[node] = self.buffer(Buffer(node.dtype, node.shape, role, index, alias=base))
        return self.storage[node] if node in self.storage else self._leaf(node)

    def operand(self, node: Node) -> int:
        """The buffer of a value that may be a piece of another one, of which it becomes a view."""
        base, offset = lies_in(node)
        if base is not node and node not in self.storage:
            whole = self.home(base)
            role, index = self.role_of(whole)
            self.storage[node] = self.buffer(Buffer(node.dtype, node.shape, role, index, alias=whole))
            self.steps.append(View(self.storage[node], offset))
        return self.home(node)

    def _readers(self, node: Node) -> int:
        """How many read a value, outputs and views among them; a loop that begins with it twice counts twice."""
        if self.read_by is None:
            self.read_by = Counter(self.graph.outputs)
            self.read_by.update(self.fused.aliases.values())
            for n in self.graph.order:
                self.read_by.update(n.inputs)
        return self.read_by[node]

    def _read_elsewhere(self) -> set[Node]:
        """Members that another cluster loads, or that the caller gets."""
        found: set[Node] = set()
        for cluster in self.fused.clusters:
            for member in cluster.members:
                if member.node.op.traits.checked is not None:  # checked also where the value does not depend on them
                    found |= {s.indices for s in checked_indices(member.node)}
            roots = [s for m in cluster.members for s in m.scalars()] if cluster.code is None else cluster.code.scalars()
            found.update([self.fused.values[s.param[0]] for s in sc.order(roots) if s.op == "load"])
            if cluster.control is not None:
                found.update(stored_operands(cluster.control.node))
        found |= set(self.graph.outputs)
        found |= set(self.fused.aliases.values())
        return {n for n in found if n in self.fused.home}

    def _held(self, variable: Node, value: Node, replaced: set[Node]) -> int | None:
        """Where the new value of `variable` lies, if that is old state which another commit overwrites: in a copy (a, b = b, a)."""
        source = self.fused.aliases.get(value, value)
        if source is variable or source not in replaced:
            return None
        held = self.buffer(Buffer(value.dtype, value.shape, "arena"))
        self._copy(value, held, self.steps)
        return held

    # -- one cluster ---------------------------------------------------------------------------------------------
    def _launch(self, cluster: Cluster) -> None:
        slots = Slots()
        if cluster.code is not None:
            self.steps += scalar_steps(cluster, self.fused.values, self.stored_in, self)
            return
        if cluster.kind == "scatter":
            stages = self._scatter(cluster, slots)
        else:
            parts = [m.node for m in cluster.members if m.node in self.fused.pieces]
            pieces = {node: [(self.storage[p.whole], p) for p in self.fused.pieces[node]] for node in parts}
            stages = StageBuilder(cluster, slots, self._load(slots), self.stored_in, pieces, self.buffer).build()
        axes = tuple([Axis(loop_index(p), s) for p, s in enumerate(cluster.domain[: cluster.depth])])
        kernel = Kernel(axes, tuple(stages), tuple(slots.operands), cluster.kind)
        self.steps.append(self.launch(kernel, slots.buffers, [m.node for m in cluster.members]))

    def launch(self, kernel: Kernel, buffers: Sequence[int], nodes: Sequence[Node]) -> Launch:
        kernel = self.tables.kernels.setdefault(kernel, kernel)  # equal ones are the same object: whoever looks one up compares no bodies
        return Launch(kernel, tuple(buffers), tuple(nodes))

    def _load(self, slots: Slots) -> Callable[[Scalar, tuple[Scalar, ...]], Scalar]:
        def load(s: Scalar, args: tuple[Scalar, ...]) -> Scalar:
            number, masked = s.param
            node = self.fused.values[number]
            slot = slots.slot(self.home(node), node.dtype, node.shape)
            return sc.load(slot, args[:-1] if masked else args, s.dtype, args[-1] if masked else None)

        return load

    def _scatter(self, cluster: Cluster, slots: Slots) -> list[Stage]:
        node, load = cluster.members[0].node, self._load(slots)
        leaf = lambda s, args: load(s, args) if s.op == "load" else None
        stages: list[Stage] = []
        for member in cluster.members:
            assert member.initial is not None and member.at is not None
            shape = node.shape if len(member.at) == node.ndim else (dims.product(node.shape),)  # flat: `fuse` says so where all is known
            target = slots.slot(self.stored_in[node][0], node.dtype, shape, True)
            begun = member.initial.op == "load" and self.home(self.fused.values[member.initial.param[0]]) == slots.buffers[target]
            if not stages and not begun:
                full = tuple([Axis(loop_index(p), s) for p, s in enumerate(squeezed(shape))])
                place = tuple([sc.index(i) for i in own_index(shape)])
                stages.append(Stage(full, replace_leaves(member.initial, leaf), node.dtype, stores=(Store(target, place),)))
            at = tuple([replace_leaves(i, leaf) for i in member.at])
            axes = tuple([Axis(loop_index(p), s) for p, s in enumerate(member.shape)])
            stages.append(Stage(axes, replace_leaves(member.body, leaf), node.dtype, stores=(Store(target, at, member.mode),)))
        return stages

    # -- copies and checks ---------------------------------------------------------------------------------------
    def _copy(self, node: Node, target: int, into: list[Step], source: int | None = None) -> None:
        """A kernel that copies a stored value, variable, constant or alias into another buffer, from `source` or where it is read."""
        slots = Slots()
        if node.op is CONSTANT and node.size == 1:
            shape, domain = node.shape, squeezed(node.shape)
            value = sc.const(node.attrs["value"].array.reshape(())[()], node.dtype)
        else:
            shape = (dims.product(node.shape),) if node.ndim > 1 else node.shape
            domain = squeezed(shape)
            at = tuple([sc.index(0 if s == 1 else loop_index(0)) for s in shape])
            value = sc.load(slots.slot(self.home(node) if source is None else source, node.dtype, shape), at, node.dtype)
        to = tuple([sc.index(i) for i in _positions(shape)])
        store = Store(slots.slot(target, node.dtype, shape, True), to)
        kernel = Kernel(
            tuple([Axis(loop_index(p), s) for p, s in enumerate(domain)]),
            (Stage((), value, node.dtype, stores=(store,)),),
            tuple(slots.operands),
        )
        into.append(Launch(kernel, tuple(slots.buffers), (node,)))

    def _checks(self, cluster: Cluster) -> None:
        """Before a kernel that reads or writes by index: the first position whose index lies outside, if any."""
        for member in cluster.members:
            for selects in checked_indices(member.node) if member.node.op.traits.checked is not None else ():
                self._check(member.node, selects)

    def _check(self, node: Node, s: Selects) -> None:
        if (seen := (s.indices, s.size, s.wraps, s.copies)) not in self.seen:
            self.seen.add(seen)
            found, check = self.checked(node, self.home(s.indices), s.indices.dtype, s.indices.shape, s.size, s.wraps, s.copies)
            self.steps += [found, replace(check, axis=s.axis)]

    def checked(
        self, node: Node, indices: int, dtype: np.dtype, shape: tuple[Size, ...], size: Size, wraps: bool = False, copies: Size = 1
    ) -> tuple[Launch, Check]:
        """The steps that stop the call unless all whole numbers in a buffer lie in [0, size), or [-size, size); of 0 copies all do."""
        slots = Slots()
        fault = self.buffer(Buffer(int64, (), "arena"))
        places = _positions(shape, "r")
        axes = tuple([Axis(loop_index(p, "r"), s) for p, s in enumerate(squeezed(shape))])
        value = sc.load(slots.slot(indices, dtype, shape), tuple(map(sc.index, places)), dtype).cast(int64)
        position: Size = 0
        for i, s in zip(places, shape, strict=True):
            position = position * s + i
        bad = (value < sc.index(-size if wraps else 0)) | (value >= sc.index(size))
        if dims.less_equal(1, copies) is not True:
            bad = bad & (sc.index(copies) > 0)
        body = sc.select(bad, sc.index(position), sc.const(NO_FAULT, int64))
        stage = Stage((), body, int64, axes, "min" if axes else None, (Store(slots.slot(fault, int64, (), True), ()),))
        found = Launch(Kernel((), (stage,), tuple(slots.operands)), tuple(slots.buffers), (node,))
        return found, Check(fault, indices, node, size, wraps=wraps)


def _positions(shape: Sequence[Size], kind: str = "i") -> list[Size]:
    result: list[Size] = []
    for s in shape:
        result.append(0 if s == 1 else loop_index(sum(1 for r in result if r != 0), kind))
    return result
