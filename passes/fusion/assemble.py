"""Clusters -> `Program`: stages in order, operands, buffers, checks, and the commit point.

    x -> softmax, by rows      %0: input, %1: output        k0(%0, %1, %2)      %2: a scratch row

`graphc.passes.fusion.stage_order` says in which order the members of a cluster become stages, `.stages` builds these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.ir import Graph, Node
from graphc.ops.registry import CONSTANT
from graphc.passes.fusion.cluster import Cluster, Fused
from graphc.passes.fusion.loop_order import own_index, squeezed
from graphc.passes.fusion.several import checked_indices
from graphc.passes.fusion.stages import Slots, StageBuilder
from graphc.program import NO_FAULT, Axis, Buffer, Check, Kernel, Launch, Program, Put, ScalarCode, Stage, Step, Store, loop_index
from graphc.scalars import Scalar, replace_leaves


def assemble(graph: Graph, updates: Sequence[tuple[Node, Node]], fused: Fused, size_checks: Sequence[tuple[Size, Size]] = ()) -> Program:
    """The program of fused clusters. `updates` are (shared variable, new value); they are written after the commit point."""
    return _Assembler(graph, updates, fused).run(tuple(size_checks))


class _Assembler:
    def __init__(self, graph: Graph, updates: Sequence[tuple[Node, Node]], fused: Fused) -> None:
        self.graph, self.updates, self.fused = graph, updates, fused
        self.replaced = {v for v, _ in updates}
        self.position = {v: k for k, v in enumerate(graph.inputs)}
        self.buffers: list[Buffer] = []
        self.storage: dict[Node, int] = {}  # where a value can be read
        self.stored_in: dict[Node, list[int]] = {}  # every buffer a member stores to
        self.constants: list[Node] = []
        self.shared: list[Node] = []
        self.steps: list[Step] = []
        self.commits: list[Step] = []
        self.kernels: dict[Kernel, Kernel] = {}

    def run(self, size_checks: tuple[tuple[Size, Size], ...]) -> Program:
        read_elsewhere = self._read_elsewhere()
        outputs = [self._output(node, k) for k, node in enumerate(self.graph.outputs[: len(self.graph.outputs) - len(self.updates)])]
        for node in self.fused.home:
            if node in read_elsewhere and node not in self.storage:
                self._own(node, self._buffer(Buffer(node.dtype, node.shape, "arena")))
        for node in self.fused.joined:
            if node not in self.storage:
                self.storage[node] = self._buffer(Buffer(node.dtype, node.shape, "arena"))
        for cluster in self.fused.clusters:
            self._checks(cluster)
            if any(
                m.node in self.stored_in or m.node in self.fused.pieces for m in cluster.members
            ):  # isnan of an integer scatter reads nothing of it
                self._launch(cluster)
        for k, node in enumerate(self.graph.outputs[: len(outputs)]):
            if outputs[k] not in self.stored_in.get(node, ()) and outputs[k] != self.storage.get(node):
                self._copy(node, outputs[k], self.steps)
        for variable, value in self.updates:
            self._copy(value, self._leaf(variable), self.commits, self._held(variable, value))
        return Program(
            tuple(self.buffers), (*self.steps, *self.commits), self.graph.inputs, tuple(self.shared),
            tuple([c.attrs["value"].array for c in self.constants]), tuple(outputs), commit=len(self.steps), size_checks=size_checks,
        )  # fmt: skip

    # -- buffers -------------------------------------------------------------------------------------------------
    def _buffer(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _own(self, node: Node, buffer: int) -> None:
        self.storage.setdefault(node, buffer)
        self.stored_in.setdefault(node, []).append(buffer)

    def _output(self, node: Node, k: int) -> int:
        buffer = self._buffer(Buffer(node.dtype, node.shape, "output", k))
        home = self.fused.home.get(node)
        if home is not None and not (home.kind == "scatter" and node in self.storage):  # a scatter builds up one array
            self._own(node, buffer)
        elif node in self.fused.joined:
            self.storage.setdefault(node, buffer)
        return buffer

    def _leaf(self, node: Node) -> int:
        """The buffer of a variable or constant."""
        if node not in self.storage:
            role = node.op.traits.leaf
            assert role is not None
            listed = {"constant": self.constants, "shared": self.shared}.get(role)
            if listed is None:
                index = self.position[node]
            else:
                index = len(listed)
                listed.append(node)
            self.storage[node] = self._buffer(Buffer(node.dtype, node.shape, role, index))
        return self.storage[node]

    def _home(self, node: Node) -> int:
        """The buffer a value is read from."""
        source = self.fused.aliases.get(node)
        if source is not None and node not in self.storage:
            base = self._home(source)
            self.storage[node] = self._buffer(Buffer(node.dtype, node.shape, self.buffers[base].role, self.buffers[base].index, alias=base))
        return self.storage[node] if node in self.storage else self._leaf(node)

    def _read_elsewhere(self) -> set[Node]:
        """Members that another cluster loads, or that the caller gets."""
        found: set[Node] = set()
        for cluster in self.fused.clusters:
            for member in cluster.members:
                if member.node.op.traits.checked is not None:  # checked also where the value does not depend on them
                    found |= {i for i, _ in checked_indices(member.node)}
                for s in member.parts if member.node.op.elementwise else sc.order(member.scalars()):
                    if s.op == "load":
                        found.add(self.fused.values[s.param[0]])
            for s in () if cluster.code is None else sc.order(cluster.code.scalars()):
                if s.op == "load":
                    found.add(self.fused.values[s.param[0]])
        found |= set(self.graph.outputs)
        found |= set(self.fused.aliases.values())
        return {n for n in found if n in self.fused.home}

    def _held(self, variable: Node, value: Node) -> int | None:
        """Where the new value of `variable` lies, if that is old state which another commit overwrites: in a copy (a, b = b, a)."""
        source = self.fused.aliases.get(value, value)
        if source is variable or source not in self.replaced:
            return None
        held = self._buffer(Buffer(value.dtype, value.shape, "arena"))
        self._copy(value, held, self.steps)
        return held

    # -- one cluster ---------------------------------------------------------------------------------------------
    def _launch(self, cluster: Cluster) -> None:
        slots = Slots()
        stages: Sequence[Stage] = ()
        code = None if cluster.code is None else self._code(cluster, cluster.code, slots)
        if code is not None:
            pass
        elif cluster.kind == "scatter":
            stages = self._scatter(cluster, slots)
        else:
            pieces = {m.node: [(self.storage[p.whole], p) for p in self.fused.pieces.get(m.node, ())] for m in cluster.members}
            stages = StageBuilder(cluster, slots, self._load(slots), self.stored_in, pieces, self._buffer).build()
        axes = tuple([Axis(loop_index(p), s) for p, s in enumerate(cluster.domain[: cluster.depth])])
        kernel = Kernel(axes, tuple(stages), tuple(slots.operands), cluster.kind, code=code)
        kernel = self.kernels.setdefault(kernel, kernel)  # equal ones are the same object: whoever looks one up compares no bodies
        self.steps.append(Launch(kernel, tuple(slots.buffers), tuple([m.node for m in cluster.members])))

    def _load(self, slots: Slots) -> Callable[[Scalar, tuple[Scalar, ...]], Scalar]:
        def load(s: Scalar, args: tuple[Scalar, ...]) -> Scalar:
            number, masked = s.param
            node = self.fused.values[number]
            slot = slots.slot(self._home(node), node.dtype, node.shape)
            return sc.load(slot, args[:-1] if masked else args, s.dtype, args[-1] if masked else None)

        return load

    def _code(self, cluster: Cluster, code: ScalarCode, slots: Slots) -> ScalarCode:
        """Scalar code over operands; what nobody reads is not stored."""
        load, known = self._load(slots), dict[Scalar, Scalar]()
        leaf = lambda s, args: load(s, args) if s.op == "load" else None

        def operands(s: Scalar) -> Scalar:
            return replace_leaves(s, leaf, known=known)

        def stored(put: Put) -> tuple[Put, ...]:
            node = cluster.members[put.slot].node
            at, value = tuple(map(operands, put.at)), operands(put.value)
            return tuple([Put(slots.slot(b, node.dtype, node.shape, True), at, value) for b in self.stored_in.get(node, ())])

        return code.mapped(operands, stored)

    def _scatter(self, cluster: Cluster, slots: Slots) -> list[Stage]:
        node, load = cluster.members[0].node, self._load(slots)
        leaf = lambda s, args: load(s, args) if s.op == "load" else None
        stages: list[Stage] = []
        for member in cluster.members:
            assert member.initial is not None and member.at is not None
            shape = node.shape if len(member.at) == node.ndim else (dims.product(node.shape),)  # flat: `fuse` says so where all is known
            target = slots.slot(self.stored_in[node][0], node.dtype, shape, True)
            if not stages:
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
            value = sc.load(slots.slot(self._home(node) if source is None else source, node.dtype, shape), at, node.dtype)
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
            for indices, size in checked_indices(member.node) if member.node.op.traits.checked is not None else ():
                self._check(member.node, indices, size)

    def _check(self, node: Node, indices: Node, size: Size) -> None:
        slots = Slots()
        fault = self._buffer(Buffer(int64, (), "arena"))
        shape = indices.shape
        home = self._home(indices)
        axes = tuple([Axis(loop_index(p, "r"), s) for p, s in enumerate(squeezed(shape))])
        at = [sc.index(i) for i in _positions(shape, "r")]
        value = sc.load(slots.slot(home, indices.dtype, shape), tuple(at), indices.dtype).cast(int64)
        position: Size = 0
        for i, s in zip(_positions(shape, "r"), shape, strict=True):
            position = position * s + i
        bad = (value < 0) | (value >= sc.index(size))
        body = sc.select(bad, sc.index(position), sc.const(NO_FAULT, int64))
        stage = Stage((), body, int64, axes, "min" if axes else None, (Store(slots.slot(fault, int64, (), True), ()),))
        self.steps.append(Launch(Kernel((), (stage,), tuple(slots.operands)), tuple(slots.buffers), (node,)))
        self.steps.append(Check(fault, home, node, size))


def _positions(shape: Sequence[Size], kind: str = "i") -> list[Size]:
    result: list[Size] = []
    for s in shape:
        result.append(0 if s == 1 else loop_index(sum(1 for r in result if r != 0), kind))
    return result
