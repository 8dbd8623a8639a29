"""Which values share a kernel: Graph -> ordered clusters of members.

Fusion is substitution: a member's body is built by asking each input for its element at an index. A *virtual*
input (an index map, a cheap expression of one array) answers with its own body; a member of the same cluster with a
`local`; anything else with a `load`. So a value is computed once, where it is a member, and stored only if another
cluster or the caller reads it.

A cluster has a domain (the sizes of its full loop nest, without literal ones) and an outer depth: the leading axes
over which the whole kernel iterates. A reduction over trailing axes lowers the depth, which makes softmax and layer
norm one kernel: rows outside, one nest over the columns for each reduction. Clusters are numbered in a topological
order, and a value may join any cluster that is not older than the newest one it reads: no cycle can arise, and the
decision takes constant time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from graphc import scalar as sc
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.errors import CompileError, fail
from graphc.ir import Graph, Node, toposort
from graphc.loopform import LoopForm
from graphc.ops.registry import constant
from graphc.program import loop_index
from graphc.scalar import Scalar
from passes.levels import by_level

VARIABLES = ("input", "shared")
LEAVES = (*VARIABLES, "constant")
MATERIALISED_INPUTS = {"contract": (0, 1), "scatter": (0, 1), "gather": (0,)}  # inputs read more than once per element, or at addresses
MAX_STRAIGHT = (
    100  # members of a kernel without loops: LLVM functions of at most 1000 instructions, beyond which compile time is super-linear
)
MAX_LOOP = 48  # members of a kernel with loops: about what 32 vector registers hold without spilling
MAX_COSTLY = 16  # transcendentals inlined in one loop body, 40 to 100 instructions each
INLINE_OPS, INLINE_LOADS, INLINE_DEPTH = 4, 1, 24  # what is cheaper to recompute than to store and load


@dataclass
class Member:
    """A value computed in a cluster: its body over loop indices, and what it is combined over."""

    node: Node
    body: Scalar
    shape: tuple[Size, ...]  # without literal ones
    reduce: tuple[Size, ...] = ()
    combine: str | None = None
    rows: bool = False  # reduced over the trailing axes of the domain, sharing their loops
    scan: str | None = None
    at: tuple[Scalar, ...] | None = None  # where it is stored, if not at its own index
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

    @property
    def full(self) -> bool:
        limit = MAX_LOOP if self.domain else MAX_STRAIGHT
        return self.closed or len(self.members) >= limit or (bool(self.domain) and self.costly >= MAX_COSTLY)


@dataclass
class Fused:
    """The clusters in order, and the values that are read across clusters or by the caller."""

    clusters: list[Cluster]
    home: dict[Node, Cluster]
    values: list[Node]  # load(slot k) in a member's body means values[k]
    number: dict[Node, int]
    aliases: dict[Node, Node]  # a reshape that is only another view of a stored value


class _NotHere(Exception):
    """The value cannot be computed in the cluster that was tried."""


def checked_indices(node: Node) -> list[tuple[Node, Size]]:
    """The index inputs of a node that must be checked at run time, with the size of the axis each selects from."""
    facts = node.op.facts.get("checked_indices")
    return [] if facts is None else list(facts(node))


def squeezed(shape: Sequence[Size]) -> tuple[Size, ...]:
    """The shape without its literal ones."""
    return tuple([s for s in shape if s != 1])


def fuse(graph: Graph) -> Fused:
    """Assign every value that is computed, rather than substituted, to a cluster."""
    return _Fuser(graph).run()


class _Fuser:
    def __init__(self, graph: Graph) -> None:
        checked = [i for node in graph.order for i, _ in checked_indices(node)]
        self.order = by_level(toposort((*checked, *graph.outputs)))  # indices first: a check must not split what could be one kernel
        self.checked = set(checked)
        self.fixed: dict[Node, Scalar] = {}  # 0-d values of sizes and constants alone: code that uses them keeps them outside its loops
        self.onward = _onward(self.order, {*graph.outputs, *checked})
        self.required = self._required(graph)
        self.forms: dict[Node, LoopForm | None] = {}
        self.weight: dict[Node, tuple[int, int, int]] = {}  # virtual nodes: ops, loads, depth
        self.latest: dict[Node, int] = {}  # newest cluster a value needs; -1 for leaves
        self.fused = Fused([], {}, [], {}, {})
        self.open: dict[tuple[Size, ...], Cluster] = {}

    def run(self) -> Fused:
        for node in self.order:
            self.latest[node] = max([self.latest[i] for i in node.inputs], default=-1)
            if node.op.name in LEAVES:
                if node in self.required and node.op.name not in VARIABLES + ("constant",):
                    self._place(node)
            elif node not in self.onward and not self._virtual(node):
                self._place(node)
        return self.fused

    # -- what is computed and what is substituted ---------------------------------------------------------------
    def _required(self, graph: Graph) -> set[Node]:
        """Values that must be stored whatever they cost: outputs, and operands that are read by address."""
        found: set[Node] = {o for o in (*graph.outputs, *self.checked) if o.op.name not in LEAVES}
        for node in self.order[::-1]:
            reads = MATERIALISED_INPUTS.get(node.op.name, ())
            if node.op.name == "reshape" and (node in self.checked or not _affine(node)):
                reads = (0,)
            for k in reads:
                base = node.inputs[k]
                while base not in found and _sees_through(node, base):
                    base = base.inputs[0]
                if base.op.name not in LEAVES and base not in self.onward and not (node.op.name == "scatter" and _is_splat(base)):
                    found.add(base)
        return found

    def _form(self, node: Node) -> LoopForm | None:
        if node not in self.forms:
            self.forms[node] = node.op.loop(node) if node.op.loop is not None else None
        return self.forms[node]

    def _virtual(self, node: Node) -> bool:
        if node in self.required:
            return False
        form = self._form(node)
        if form is None or form.combine is not None or (node.op.name == "reshape" and not _affine(node)):
            return False
        if node.ndim == 0 and all(i.op.name == "constant" or i in self.fixed for i in node.inputs) and (form.view or node.op.elementwise):
            depth = 1 + max([self.weight[i][2] for i in node.inputs if i in self.weight], default=0)
            if depth > INLINE_DEPTH:
                return False
            # built once: a body that reads a value twice must not build it twice, over and over
            self.fixed[node] = form.body(self._reader(Cluster(-1, (), 0), node, 0), (), ())
            self.weight[node] = (0, 0, depth)
            return True
        if not form.view and (not node.op.elementwise or node.op.costly):
            return False
        ops, loads, depth = (0 if form.view else 1), 0, 1
        for i in node.inputs:
            o, n, d = self.weight.get(i) or (0, 0 if i.ndim == 0 or (i.op.name == "constant" and i.size == 1) else 1, 0)
            ops, loads, depth = ops + o, loads + n, max(depth, d + 1)
        if depth > INLINE_DEPTH or (not form.view and (ops > INLINE_OPS or loads > INLINE_LOADS)):
            return False
        self.weight[node] = (ops, loads, depth)
        return True

    # -- where it is computed -----------------------------------------------------------------------------------
    def _place(self, node: Node) -> None:
        if node.op.name == "reshape" and (node in self.checked or not _affine(node)):
            source = node.inputs[0]
            self.fused.aliases[node] = self.fused.aliases.get(source, source)
            self._number(node)
            self._number(self.fused.aliases[node])
            return
        special = {"contract": self._contract, "scatter": self._scatter, "cumulate": self._cumulate, "recur": self._cumulate}.get(
            node.op.name
        )
        if special is not None:
            special(node)
            return
        form = self._form(node)
        if form is None:
            fail(CompileError, f"{node.op.name} has no loop form and no lowering", node)
        reduced = form.combine is not None
        domain, depth = self._domain(node, form)
        for cluster in self._candidates(node, domain):
            try:
                self._join(cluster, node, form, depth if reduced else None)
                return
            except _NotHere:
                continue
        self._join(self._new(domain, depth), node, form, depth if reduced else None)

    def _domain(self, node: Node, form: LoopForm) -> tuple[tuple[Size, ...], int]:
        shape = squeezed(node.shape)
        if form.combine is None or not squeezed(form.reduce):
            return shape, len(shape)
        if node.op.name in ("reduce", "arg_reduce") and _trailing(node):
            return squeezed(node.inputs[0].shape), len(shape)
        return shape, len(shape)

    def _candidates(self, node: Node, domain: tuple[Size, ...]) -> list[Cluster]:
        newest = self.latest[node]
        found = [self.fused.clusters[newest]] if newest >= 0 else []
        sibling = self.open.get(domain)
        if sibling is not None and sibling.index > newest:
            found.append(sibling)
        return [c for c in found if not c.full]

    def _new(self, domain: tuple[Size, ...], depth: int, kind: str = "loops", closed: bool = False) -> Cluster:
        cluster = Cluster(len(self.fused.clusters), domain, depth, kind, closed)
        self.fused.clusters.append(cluster)
        if kind == "loops" and not closed:
            self.open[domain] = cluster
        return cluster

    def _join(self, cluster: Cluster, node: Node, form: LoopForm, reduced_depth: int | None) -> None:
        """Add `node` to `cluster`, or raise _NotHere and leave it as it was."""
        shape = squeezed(node.shape)
        depth, rows = cluster.depth, False
        reduce = squeezed(form.reduce)
        if reduced_depth is not None and reduce:
            rows = node.op.name in ("reduce", "arg_reduce") and _trailing(node)
            if rows:
                if squeezed(node.inputs[0].shape) != cluster.domain or cluster.kind != "loops":
                    raise _NotHere
                if len(shape) != depth:
                    if any(m.combine for m in cluster.members) or len(shape) > depth:
                        raise _NotHere
                    depth = len(shape)
            elif cluster.members:
                raise _NotHere  # a reduction over leading axes starts its own nest
        elif shape != cluster.domain and shape != cluster.domain[:depth]:
            raise _NotHere
        at = _own_index(node.shape)
        base = 0 if rows else None
        body = form.body(self._reader(cluster, node, depth), at, _reduced_index(node, form, base))
        if not reduce and str(form.combine).startswith("arg"):
            body = sc.const(0, node.dtype)  # the only position there is
        self._add(cluster, Member(node, body, shape, reduce, form.combine if reduce else None, rows))
        cluster.depth = depth

    def _add(self, cluster: Cluster, member: Member) -> None:
        cluster.place[member.node] = len(cluster.members)
        cluster.members.append(member)
        cluster.costly += member.node.op.costly
        self.fused.home[member.node] = cluster
        self.latest[member.node] = cluster.index

    # -- elements -----------------------------------------------------------------------------------------------
    def _number(self, node: Node) -> int:
        numbers = self.fused.number
        if node not in numbers:
            numbers[node] = len(self.fused.values)
            self.fused.values.append(node)
        return numbers[node]

    def _reader(self, cluster: Cluster, node: Node, depth: int, mask: Scalar | None = None):  # type: ignore[no-untyped-def]
        """`read` for the body of `node` in `cluster`: the element of an input at an index."""

        def read(k: int, index: Sequence[Size | Scalar], where: Scalar | None = None) -> Scalar:
            both = where if mask is None else mask if where is None else mask & where
            value = self._element(cluster, node.inputs[k], tuple(index), depth, both)
            # a load under a mask gives 0 by itself; what is computed from loads need not
            return value if where is None or value.op == "load" else sc.select(where, value, 0)

        return read

    def _element(self, cluster: Cluster, node: Node, index: tuple[Size | Scalar, ...], depth: int, mask: Scalar | None) -> Scalar:
        if node in cluster.place:
            if node in self.checked:
                raise _NotHere  # indices are checked between the kernel that makes them and the one that uses them
            inner = [i for i, size in zip(index, node.shape, strict=True) if size != 1]
            if any(isinstance(i, Scalar) or i != loop_index(p) for p, i in enumerate(inner)):
                raise _NotHere  # another element than the loops are at
            member = cluster.members[cluster.place[node]]
            if len(member.shape) < depth or member.scan:
                raise _NotHere
            return sc.local(cluster.place[node], tuple([_index(i) for i in inner]), node.dtype)
        if node.op.name == "constant" and node.size == 1:
            return sc.const(node.attrs["value"].array.reshape(())[()], node.dtype)
        fixed = self.fixed.get(node)
        if fixed is not None and (mask is None or fixed.op != "load"):
            return fixed
        if node in self.weight:
            form = self._form(node)
            assert form is not None
            return form.body(self._reader(cluster, node, depth, mask), index, ())  # type: ignore[arg-type]
        source = self.fused.aliases.get(node)
        if source is not None and self.fused.home.get(source) is cluster:
            raise _NotHere  # another view of what this kernel is still writing
        return sc.load(self._number(node), tuple([_index(i) for i in index]), node.dtype, mask)

    # -- the ops with a kernel of their own ---------------------------------------------------------------------
    def _contract(self, node: Node) -> None:
        form = self._form(node)
        assert form is not None
        shape = squeezed(node.shape)
        cluster = self._new(shape, len(shape), "contract")
        body = form.body(self._reader(cluster, node, len(shape)), _own_index(node.shape), _reduced_index(node, form, None))
        reduce = squeezed(form.reduce)
        self._add(cluster, Member(node, body, shape, reduce, "sum" if reduce else None))

    def _cumulate(self, node: Node) -> None:
        a = node.attrs
        axis, n = a["axis"], node.shape[a["axis"]]
        shape = squeezed([s for k, s in enumerate(node.shape) if k != axis])
        step = loop_index(0, "r")
        along = n - 1 - step if a["reverse"] else step
        others = iter(_own_index([s for k, s in enumerate(node.shape) if k != axis]))
        at = tuple([along if k == axis else next(others) for k in range(node.ndim)])
        cluster = self._new(shape, len(shape), closed=True)
        body = self._element(cluster, node.inputs[-1], at, len(shape), None)
        factor = None
        if node.op.name == "recur":  # the first factor is not used, whatever it is
            factor = sc.select(sc.index(step) > 0, self._element(cluster, node.inputs[0], at, len(shape), None), 0)
        scan = "exclusive" if a["exclusive"] else "inclusive"
        place = tuple([_index(i) for i in at])
        self._add(cluster, Member(node, body, shape, (n,), a.get("combine", "recur"), scan=scan, at=place, factor=factor))

    def _scatter(self, node: Node) -> None:
        chain = [node]  # last first
        while chain[-1].inputs[0] in self.onward:
            chain.append(chain[-1].inputs[0])
        updates = chain[0].inputs[1]
        cluster = self._new(squeezed(updates.shape), 0, "scatter", closed=True)
        initial = self._element(cluster, chain[-1].inputs[0], _own_index(node.shape), 0, None)
        for part in chain[::-1]:
            self._add(cluster, self._update(cluster, node, part, initial))

    def _update(self, cluster: Cluster, node: Node, part: Node, initial: Scalar) -> Member:
        """The updates of `part`, as a step towards `node`."""
        x, updates, *indices = part.inputs
        axes, batch, mode = part.attrs["axes"], part.attrs["batch"], part.attrs["mode"]
        own = _own_index(updates.shape)
        nb = indices[0].ndim
        body = self._element(cluster, updates, own, 0, None)
        flat = _flat_places(part) if initial.op == "const" else None
        if flat is not None:
            first, step = _progression(flat)
            at: list[Size | Scalar] = [
                first + own[0] * step if step is not None else self._element(cluster, constant(flat), own[:nb], 0, None)
            ]
        else:
            selected = [self._element(cluster, i, own[:nb], 0, None).cast(int64) for i in indices]
            rest = iter(own[nb:])
            at = [own[k] if k < batch else selected[axes.index(k)] if k in axes else next(rest) for k in range(x.ndim)]
        return Member(node, body, squeezed(updates.shape), at=tuple([_index(i) for i in at]), mode=mode, initial=initial)


def _onward(order: Sequence[Node], kept: set[Node]) -> set[Node]:
    """The scatters that only another one reads, to add to what they build up: with constant places, all are one kernel."""
    found: dict[Node, bool] = {}
    for node in order:
        for k, i in enumerate(node.inputs):
            if i.op.name == "scatter":
                alone = i not in found and k == 0 and node.op.name == "scatter" and i not in kept
                found[i] = alone and _flat_places(node) is not None and _flat_places(i) is not None
    return {i for i, alone in found.items() if alone}


def _flat_places(scatter: Node) -> np.ndarray | None:
    """Where single elements of an array of known sizes go, if that is constant: their positions in the array laid flat."""
    x, _, *indices = scatter.inputs
    axes = scatter.attrs["axes"]
    if sorted(axes) != list(range(x.ndim)) or not all(isinstance(s, int) for s in x.shape) or any(i.op.name != "constant" for i in indices):
        return None
    place = {a: i.attrs["value"].array for a, i in zip(axes, indices, strict=True)}
    flat: np.ndarray = np.ravel_multi_index([place[k] for k in range(x.ndim)], [int(s) for s in x.shape])
    return flat


def _progression(places: np.ndarray) -> tuple[int, int | None]:
    """(first, step) of evenly spaced places, such as a diagonal has; (_, None) of others."""
    if places.ndim != 1 or places.size < 2 or len(steps := np.unique(np.diff(places))) != 1:
        return 0, None
    return int(places[0]), int(steps[0])


def _index(i: Size | Scalar) -> Scalar:
    return i if isinstance(i, Scalar) else sc.index(i)


def _own_index(shape: Sequence[Size]) -> tuple[Size, ...]:
    """The index of a value in its own loops: i0, i1, ... for its axes, 0 for literal ones."""
    result: list[Size] = []
    position = 0
    for size in shape:
        result.append(0 if size == 1 else loop_index(position))
        position += size != 1
    return tuple(result)


def _reduced_index(node: Node, form: LoopForm, base: int | None) -> tuple[Size, ...]:
    """Indices of the reduced axes: the trailing loops of the domain (rows), or loops of their own."""
    position = len(squeezed(node.shape)) if base is not None else 0
    result: list[Size] = []
    for size in form.reduce:
        result.append(0 if size == 1 else loop_index(position, "i" if base is not None else "r"))
        position += size != 1
    return tuple(result)


def _trailing(node: Node) -> bool:
    """True when a reduce takes the last axes (not counting literal ones)."""
    axes = node.attrs.get("axes", node.attrs.get("axis"))
    listed = axes if isinstance(axes, tuple) else (axes,)
    reduced = [k in listed for k, s in enumerate(node.inputs[0].shape) if s != 1]
    return reduced == sorted(reduced)


def _sees_through(reader: Node, view: Node) -> bool:
    """Whether the addresses of an operand can be those of what `view` is a view of."""
    if reader.op.name == "reshape":
        return False
    if reader.op.name == "gather":  # its indices are data: they can be moved about, but no arithmetic is done on them
        return view.op.name in ("transpose", "broadcast")
    return _is_view(view)


def _is_view(node: Node) -> bool:
    return len(node.inputs) == 1 and node.op.loop is not None and not node.op.elementwise and node.op.name not in ("reduce", "arg_reduce") \
        and _affine(node) and node.op.loop(node).view  # fmt: skip


def _affine(node: Node) -> bool:
    test = node.op.facts.get("affine")
    return True if test is None else bool(test(node))


def _is_splat(node: Node) -> bool:
    while node.op.name == "broadcast":
        node = node.inputs[0]
    return node.ndim == 0
