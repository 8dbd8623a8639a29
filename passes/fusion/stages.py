"""The members of a cluster as stages of a kernel.

    exp(x) / sum(exp(x)), by rows         t0: e = exp(x)      -> scratch row       nest 0
                                          t1: sum of t0                            nest 0
                                          t2: scratch / t1    -> output            nest 1

An inner value that a later nest reads is recomputed there if it is cheap, read back if it was stored, and kept in a scratch row
otherwise. A member that only one other of its nest reads becomes part of that one's body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from graphc import scalars as sc
from graphc.costs import ONE_BODY
from graphc.dims import Size
from graphc.ir import Node
from graphc.passes.fusion.cluster import Cluster, Member
from graphc.passes.fusion.joins import Piece
from graphc.passes.fusion.loop_order import own_index
from graphc.passes.fusion.stage_order import Place, costly, places
from graphc.program import Axis, Buffer, Operand, Stage, Store, loop_index
from graphc.records import dataclass
from graphc.scalars import Scalar, replace_leaves


@dataclass
class Slots:
    """The operands of one kernel while it is being built."""

    buffers: list[int] = field(default_factory=list)
    operands: list[Operand] = field(default_factory=list)
    places: dict[tuple[int, tuple[Size, ...]], int] = field(default_factory=dict)

    def slot(self, buffer: int, dtype: object, shape: tuple[Size, ...], written: bool = False) -> int:
        k = self.places.get((buffer, shape))
        if k is None:
            k = self.places[buffer, shape] = len(self.buffers)
            self.buffers.append(buffer)
            self.operands.append(Operand(dtype, shape, written))  # type: ignore[arg-type]
        elif written and not self.operands[k].written:
            self.operands[k] = replace(self.operands[k], written=True)
        return k


class StageBuilder:
    """Builds a cluster's stages. `load` reads another kernel's value, `stored_in` says where values are wanted,
    `pieces` of which arrays they are parts; `buffer` makes one.
    """

    def __init__(
        self,
        cluster: Cluster,
        slots: Slots,
        load: Callable[[Scalar, tuple[Scalar, ...]], Scalar],
        stored_in: Mapping[Node, Sequence[int]],
        pieces: Mapping[Node, Sequence[tuple[int, Piece]]],
        buffer: Callable[[Buffer], int],
    ) -> None:
        self.cluster, self.slots, self.load, self.stored_in, self.buffer = cluster, slots, load, stored_in, buffer
        self.pieces = pieces
        self.members, self.depth = cluster.members, cluster.depth
        self.reads = [[s.param for s in m.everything if s.op == "local"] for m in self.members]
        self.places = places(self.members, self.reads, self.depth)
        self.inlined = self._single_use()
        self.crossing = {
            r for k, earlier in enumerate(self.reads) for r in earlier
            if len(self.members[r].shape) > self.depth and self.places[r] != self.places[k]
        }  # fmt: skip
        self.number: dict[int, int] = {}  # member -> its stage
        self.kept: dict[int, Store] = {}  # where a later nest reads a member back
        self.known: dict[Place, dict[Scalar, Scalar]] = {}  # what Scalars of bodies have become at each place

    def build(self) -> list[Stage]:
        stages: list[Stage] = []
        repeats = costly(self.members, self.reads, self.depth) if self.crossing else []
        for k in sorted(range(len(self.members)), key=lambda k: (self.places[k], k)):
            if k in self.inlined:
                continue
            member = self.members[k]
            stores = self._stores(member)
            if k in self.crossing and (member.scan or not member.combine) and (stores or repeats[k]):
                stores = self._keep(k, stores)
            self.number[k] = len(stages)
            stages.append(self._stage(k, stores))
        return stages

    def _stage(self, k: int, stores: tuple[Store, ...]) -> Stage:
        member, depth = self.members[k], self.depth
        inner = [(loop_index(depth + p) if member.rows else loop_index(p, "r"), s) for p, s in enumerate(member.reduce)]
        axes = () if member.scan else tuple([Axis(loop_index(depth + p), s) for p, s in enumerate(member.shape[depth:])])
        body = self.body(k, self.places[k])
        factor = None if member.factor is None else self._scalar(member.factor, self.places[k])
        reduced = tuple([Axis(index, s) for index, s in inner])
        number = self.places[k].number
        return Stage(axes, body, member.node.dtype, reduced, member.combine, stores, member.scan, number, factor)

    # -- bodies ---------------------------------------------------------------------------------------------------
    def body(self, k: int, place: Place) -> Scalar:
        """The body of member k as it reads at `place`: earlier inner values recomputed or loaded back."""
        return self._scalar(self.members[k].body, place)

    def _scalar(self, root: Scalar, place: Place) -> Scalar:
        leaf = lambda s, args: self.load(s, args) if s.op == "load" else self._local(s, args, place) if s.op == "local" else None
        return replace_leaves(root, leaf, known=self.known.setdefault(place, {}))

    def _local(self, s: Scalar, args: tuple[Scalar, ...], place: Place) -> Scalar:
        """Member s.param, read at `place`."""
        if s.param in self.inlined:
            return self.body(s.param, place)
        if len(self.members[s.param].shape) == self.depth or self.places[s.param] == place:
            return sc.local(self.number[s.param], args[self.depth :], s.dtype)
        if s.param in self.kept:
            return sc.load(self.kept[s.param].slot, self.kept[s.param].at, s.dtype)
        return self.body(s.param, place)

    def _single_use(self) -> set[int]:
        """Members that only one other at the same place reads become part of its body, up to a size."""
        readers: dict[int, list[int]] = {}
        for k, earlier in enumerate(self.reads):
            for r in set(earlier):
                readers.setdefault(r, []).append(k)
        found: set[int] = set()
        size = [len(m.parts) for m in self.members]
        for k, member in enumerate(self.members):
            listed = readers.get(k, [])
            if len(listed) != 1 or member.combine or self.stored_in.get(member.node) or self.pieces.get(member.node):
                continue
            (reader,) = listed
            same_loops = self.members[reader].shape == member.shape or self.members[reader].rows
            if same_loops and self.places[reader] == self.places[k] and size[k] + size[reader] <= ONE_BODY:
                found.add(k)
                size[reader] += size[k]
        return found

    # -- stores ---------------------------------------------------------------------------------------------------
    def _stores(self, member: Member) -> tuple[Store, ...]:
        result = []
        for buffer in self.stored_in.get(member.node, ()):
            slot = self.slots.slot(buffer, member.node.dtype, member.node.shape, True)
            result.append(Store(slot, member.at if member.at is not None else self._own_at(member, member.node.shape)))
        for buffer, piece in self.pieces.get(member.node, ()):
            slot = self.slots.slot(buffer, member.node.dtype, piece.whole.shape, True)
            own = self._own_at(member, piece.shape)
            result.append(Store(slot, tuple([sc.index(i.param + at) if at != 0 else i for i, at in zip(own, piece.start, strict=True)])))
        return tuple(result)

    def _keep(self, k: int, stores: tuple[Store, ...]) -> tuple[Store, ...]:
        """Remember where member k can be read back: where it is stored anyway, or in an array or a scratch row of its own."""
        member = self.members[k]
        if stores:
            self.kept[k] = stores[0]
            return stores
        if self.cluster.turned:  # the lanes are outside: no row of its own for each of them
            shape, role, at = member.node.shape, "arena", self._own_at(member, member.node.shape)
        else:
            shape, role = member.shape[self.depth :], "scratch"
            at = tuple([sc.index(loop_index(self.depth + p)) for p in range(len(shape))])
        buffer = self.buffer(Buffer(member.node.dtype, shape, role))
        self.kept[k] = Store(self.slots.slot(buffer, member.node.dtype, shape, True), at)
        return (self.kept[k],)

    def _own_at(self, member: Member, shape: tuple[Size, ...]) -> tuple[Scalar, ...]:
        """The index of a member in an array of its shape, but for axes of size 1."""
        loops = self.cluster.loops if len(member.shape) == len(self.cluster.domain) else None
        return tuple([sc.index(i) for i in own_index(shape, loops)])
