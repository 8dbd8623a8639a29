"""Members that become stages of a kernel, clusters that become kernels, and what fusion hands to assembly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cache, cached_property

from graphc import dims
from graphc import scalars as sc
from graphc.costs import Limits
from graphc.dims import Size, Symbol
from graphc.ir import Graph, Node
from graphc.passes.fusion.joins import Piece
from graphc.passes.fusion.loop_order import Loops, in_order
from graphc.program import ScalarCode, loop_index
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass
class Member:
    """A value computed in a cluster: its body over loop indices, and what it is combined over."""

    node: Node
    body: Scalar
    shape: tuple[Size, ...]  # without literal ones, in the order of the loops
    reduce: tuple[Size, ...] = ()
    combine: str | None = None
    rows: bool = False  # reduced over the inner loops of the domain
    scan: str | None = None
    at: tuple[Scalar, ...] | None = None  # where it is stored, if not at its own index (in the loops of its cluster)
    mode: str = "set"
    initial: Scalar | None = None  # scatter: what the array holds before
    factor: Scalar | None = None  # recur: what the running value is multiplied by

    def scalars(self) -> list[Scalar]:
        """Everything that is read when the member is computed and stored."""
        return [s for s in (self.body, self.initial, self.factor, *(self.at or ())) if s is not None]

    @cached_property
    def parts(self) -> list[Scalar]:
        """The Scalars of the body, arguments before users."""
        return sc.order((self.body,))

    @property
    def everything(self) -> list[Scalar]:
        """The Scalars of all that is read, arguments before users."""
        return self.parts if self.scalars() == [self.body] else sc.order(self.scalars())


@dataclass
class Cluster:
    """Members that become one kernel."""

    index: int
    domain: tuple[Size, ...]
    depth: int  # outer axes are domain[:depth]
    kind: str = "loops"
    closed: bool = False
    members: list[Member] = field(default_factory=list)
    place: dict[Node, int] = field(default_factory=dict)  # member node -> position
    costly: int = 0
    reads: set[Node] = field(default_factory=set)  # arrays, if the loops are turned
    loops: Loops = ()  # of each axis of a full element the position of its loop
    bodies: dict[object, Scalar] = field(default_factory=dict)  # elements of values that are substituted, as read in its loops
    scans: bool = False  # whether the inner loops must take their steps in order
    limits: Limits = field(default_factory=Limits)
    code: ScalarCode | None = None  # kind "scalar": what it computes, Put(k) to member k
    control: Control | None = None  # kind "control": a loop, a branch or a call, which has no members

    def __post_init__(self) -> None:
        self.loops = self.loops or in_order(len(self.domain))

    @property
    def whole(self) -> tuple[Size, ...]:
        """The shape of a full element."""
        return tuple([self.domain[p] for p in self.loops]) if self.turned else self.domain

    @property
    def turned(self) -> bool:
        return self.loops != in_order(len(self.domain))

    @property
    def full(self) -> bool:
        limit = self.limits.loop if self.domain else self.limits.straight
        return self.closed or len(self.members) >= limit or (bool(self.domain) and self.costly >= self.limits.functions)


def indices(at: Sequence[Size | Scalar]) -> tuple[Scalar, ...]:
    """An index as Scalars."""
    return tuple([i if isinstance(i, Scalar) else sc.index(i) for i in at])


@cache
def loop_indices(count: int) -> tuple[Scalar, ...]:
    return tuple([sc.index(loop_index(p)) for p in range(count)])


def turned(member: Member, cluster: Cluster) -> Member:
    """An element's body in the loops of `cluster`, from loops in the order of the axes."""
    moved: dict[Symbol, Size] = {}
    for q, p in enumerate(cluster.loops):
        symbol = dims.as_symbol(loop_index(q))
        assert symbol is not None
        moved[symbol] = loop_index(p)
    leaf = lambda s, args: sc.local(s.param, loop_indices(len(args)), s.dtype) if s.op == "local" else None
    return replace(member, body=sc.replace_leaves(member.body, leaf, moved), shape=cluster.domain)


@dataclass
class Fused:
    """The clusters in order, and the values that are read across clusters or by the caller."""

    clusters: list[Cluster]
    home: dict[Node, Cluster]
    values: list[Node]  # load(slot k) in a member's body means values[k]
    number: dict[Node, int]
    aliases: dict[Node, Node]  # a reshape that is only another view of a stored value
    pieces: dict[Node, list[Piece]]  # where members are stored as parts of a whole, which has no member of its own
    joined: dict[Node, int]  # such wholes, and the cluster with the last part


# -- loops and branches -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Inside:
    """A body of a loop or branch as a graph, and its clusters."""

    graph: Graph
    fused: Fused


@dataclass(frozen=True)
class Control:
    """A node with bodies that becomes steps with steps inside, or a call of Python; `graphc.passes.fusion.bodies` makes it.

    reads: what stands in the bodies for each input of the node's regions: a variable for what has a place in memory when they run, or
    the value itself where kernels hold it as a number.
    """

    node: Node
    gets: Mapping[int, Node]  # its outputs that somebody reads
    reads: tuple[Node, ...]
    bodies: tuple[Inside, ...]
    asked: tuple[Node, ...] = ()  # booleans that choose among the bodies of a switch
