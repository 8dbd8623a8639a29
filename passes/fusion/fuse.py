"""Which values share a kernel: Graph -> ordered clusters of members.

Fusion is substitution: a member's body is built by asking each input for its element at an index. A *virtual*
input (an index map, a cheap expression of one array) answers with its own body; a member of the same cluster with a
`local`; anything else with a `load`. So a value is computed once, where it is a member, and stored only if another
cluster or the caller reads it.

A cluster has a domain (the sizes of its full loop nest, without literal ones, outermost first) and an outer depth: the
leading loops over which the whole kernel iterates. A reduction lowers the depth to the axes it keeps, which makes softmax
and layer norm one kernel: rows outside, one nest over the columns for each reduction. One over leading axes turns the
loops (`frames`): columns outside, down the rows inside, so variances are one kernel too. Clusters are numbered in a topological
order, and a value may join any cluster that is not older than the newest one it reads: no cycle can arise, and the
decision takes constant time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from graphc import scalars as sc
from graphc.costs import limits
from graphc.dims import Size
from graphc.errors import CompileError, fail
from graphc.ir import Graph, Node, toposort
from graphc.loopform import LoopForm
from graphc.ops.compare import stop_gradient
from graphc.ops.host import HOST
from graphc.ops.outputs import GET
from graphc.ops.registry import CONSTANT
from graphc.passes.fusion.bodies import asked, control, is_control, stored_operands
from graphc.passes.fusion.cluster import Cluster, Fused, Member, turned
from graphc.passes.fusion.constant_scatters import onward
from graphc.passes.fusion.elements import Elements, NotHere
from graphc.passes.fusion.joins import Piece, stored_parts, without_ones
from graphc.passes.fusion.loop_order import (
    Loops,
    column_exponentials,
    column_goals,
    in_order,
    loops_of,
    own_index,
    reduced_index,
    sizes_of,
    squeezed,
)
from graphc.passes.fusion.math_order import by_level
from graphc.passes.fusion.ordered_members import Element, lone_scan, scan_member, sorted_member, update_member
from graphc.passes.fusion.scalar_loops import over_values, scalar_code
from graphc.passes.fusion.several import checked_indices, computed_by, operands, siblings, values
from graphc.passes.rewriting.views import relabelled, sees_through
from graphc.target import Target


def fuse(graph: Graph, target: Target | None = None, depth: int = 0) -> Fused:
    """Assign every value that is computed, rather than substituted, to a cluster; the target says how much one may hold.

    The bodies of loops and branches are fused by themselves; `depth` is the number of loops around.
    """
    return _Fuser(graph, target, depth).run()


class _Fuser:
    def __init__(self, graph: Graph, target: Target | None, depth: int) -> None:
        self.target, self.depth = target, depth
        self.limits = allowed = limits(target)
        traits = [op.traits for op in graph.kinds]  # what none of the ops has is not looked for
        bodied = [node for node in graph.order if node.op.regions] if any([op.regions for op in graph.kinds]) else []
        codes = {node: scalar_code(node, allowed) for node in bodied}
        self.codes = {node: code for node, code in codes.items() if code is not None}  # loops and branches that are a kernel each
        chosen = [boolean for node, code in codes.items() if code is None for boolean in asked(node)]
        checks = [node for node in graph.order if node.op.traits.checked is not None] if any([t.checked for t in traits]) else []
        checked = [s.indices for node in checks for s in checked_indices(node)]
        # indices first: a check must not split what could be one kernel
        self.order = by_level(values(toposort((*checked, *chosen, *graph.outputs)) if checked or chosen else graph.order))
        self.checked = set(checked)
        self.siblings = siblings(self.order) if GET in graph.kinds else {}
        stepwise = self.order if bodied or any([t.kernel == HOST for t in traits]) else []
        controls = {source for node in stepwise if is_control(source := computed_by(node)) and source not in self.codes}
        kept = {*graph.outputs, *checked, *(i for node in controls for i in stored_operands(node))}  # loops and branches read by address
        self.onward = onward(self.order, kept) if any([t.kernel == "scatter" for t in traits]) else set[Node]()
        self.required = self._required(kept)
        self.latest: dict[Node, int] = {}  # newest cluster a value needs; -1 for leaves
        self.fused = Fused([], {}, [], {}, {}, {}, {})
        self.elements = Elements(self.fused, self.checked)
        self.open: dict[tuple[tuple[Size, ...], Loops], Cluster] = {}
        self.summed = self._summed(kept)
        self.goals, self.only = column_goals(self.order, self.required, allowed.columns)
        self.again = column_exponentials(self.order, self.required, allowed.columns)

    def run(self) -> Fused:
        twins = self._twins()
        for node in self.order:
            if node in self.fused.home:
                continue
            self.latest[node] = self._newest(node)
            if node.op.traits.leaf is None and node not in self.onward and not self._virtual(node):
                self._place(node)
                for twin in twins.get(node, ()):
                    self._beside(node, twin)
        return self.fused

    def _newest(self, node: Node) -> int:
        """The newest cluster that a value reads; -1 where it reads leaves alone."""
        newest, latest = -1, self.latest
        for i in operands(node):
            if latest[i] > newest:
                newest = latest[i]
        return newest

    def _twins(self) -> dict[Node, list[Node]]:
        """To each value those of the same argument that share most of its work, as sin and cos do; the other outputs to each of a node."""
        together: dict[tuple[str, tuple[Node, ...]], list[Node]] = {}
        for node in self.order:
            if (group := node.op.traits.together) is not None:
                together.setdefault((group, node.inputs), []).append(node)
        found = {n: [other for other in group if other is not n] for group in together.values() for n in group if len(group) > 1}
        return found | self.siblings

    def _beside(self, node: Node, twin: Node) -> None:
        """Put the twin where its argument is at hand, if that had to be computed; from a leaf it may be computed when it is wanted."""
        cluster, form = self.fused.home[node], self.elements.form(twin)
        leaf = computed_by(node) is node and self.latest[twin.inputs[0]] < 0
        if twin in self.fused.home or leaf or form is None or self._virtual(twin):
            return
        with suppress(NotHere):
            self._join(cluster, twin, form, cluster.depth)

    # -- what is computed and what is substituted ---------------------------------------------------------------
    def _required(self, kept: Iterable[Node]) -> set[Node]:
        """Values that must be stored whatever they cost: outputs, and operands that are read by address."""
        found: set[Node] = {o for o in kept if o.op.traits.leaf is None}
        for node in self.order[::-1]:
            for k in (0,) if self._relabelled(node) else node.op.traits.stored:
                base = node.inputs[k]
                while base not in found and sees_through(node, k, base):
                    base = base.inputs[0]
                if base.op.traits.leaf is None and base not in self.onward and not (node.op.traits.kernel == "scatter" and base.ndim == 0):
                    found.add(base)
        return found

    def _summed(self, kept: set[Node]) -> set[Node]:
        """Values that nothing but reductions reads."""
        read, otherwise = set[Node](), set(kept)
        for node in self.order:
            (read if computed_by(node).op.traits.reduces else otherwise).update(operands(node))
        return read - otherwise

    def _relabelled(self, node: Node) -> bool:
        """Whether a value has the storage of its operand: a reshape that no loops follow, or one of indices that are checked."""
        return node.op.traits.relabels and (node in self.checked or relabelled(node))

    def _virtual(self, node: Node) -> bool:
        """Whether a value is substituted where it is read; what that needs is noted with the elements."""
        if node in self.required or relabelled(node):
            return False
        elements = self.elements
        form, op, inputs = elements.form(node), computed_by(node).op, operands(node)
        if form is None or form.combine is not None:
            return False
        if node.ndim == 0 and (form.view or op.elementwise) and all([i.op is CONSTANT or i in elements.fixed for i in inputs]):
            return elements.fix(node, form, self.limits.inline_depth)
        if not form.view and (not op.elementwise or op.costly) and node not in self.again:
            return False
        if op.traits.repeats and (number := elements.constant(node.inputs[0])) is not None:
            elements.numbers[node] = number
        ops, loads, depth = (0 if form.view else 1), set[Node](), 1
        for i in inputs:
            if (known := elements.weight.get(i)) is not None:
                ops += known[0]
                loads |= known[1]
                depth = max(depth, known[2] + 1)
            elif i.ndim and elements.constant(i) is None:
                loads.add(i)
        if op.traits.repeats:
            loads = set()  # of few elements, read often: they stay in registers or the first cache
        elif form.view and loads:
            loads = {node}
        if depth > self.limits.inline_depth:
            return False
        cheap = (ops <= self.limits.inline_ops and len(loads) <= self.limits.inline_loads) or node in self.again
        if not form.view and not cheap and not (node in self.only and ops <= self.limits.column_ops):
            return False
        elements.weight[node] = (ops, frozenset(loads), depth)
        return True

    # -- where it is computed -----------------------------------------------------------------------------------
    def _place(self, node: Node) -> None:
        if self._relabelled(node):
            source = node.inputs[0]
            self.fused.aliases[node] = self.fused.aliases.get(source, source)
            self.elements.number(node)
            self.elements.number(self.fused.aliases[node])
            return
        if is_control(computed_by(node)):
            self._control(node)
            return
        if (kind := computed_by(node).op.traits.kernel) is not None:
            {"scatter": self._scatter, "scan": self._cumulate, "sort": self._sort}.get(kind, self._alone)(node)
            return
        if parts := stored_parts(node, self.fused.home):
            self._put_together(node, parts)
            return
        form = self.elements.form(node)
        if form is None:
            fail(CompileError, f"{computed_by(node).op.name} has no loop form and no lowering", node)
        self._compute(node, form)

    def _compute(self, node: Node, form: LoopForm) -> None:
        """Make a value a member of a cluster that has its loops, or of a new one."""
        domain, depth, loops = self._frame(node, form)
        for cluster in self._candidates(node, domain, loops):
            try:
                self._join(cluster, node, form, depth)
                return
            except NotHere:
                continue
        self._join(self._new(domain, depth, loops=loops), node, form, depth)

    def _put_together(self, node: Node, parts: list[tuple[Node, Piece]]) -> None:
        """Have every part stored where it lies in `node`."""
        for part, piece in parts:
            source = without_ones(part)
            home = self.fused.home.get(source)
            if home is None or home.kind != "loops" or home.closed:  # a leaf, substituted elsewhere, or a kernel that stores in its own way
                source = part if part in self.elements.weight else stop_gradient(part)  # the latter: a copy, which is a value of its own
                if source not in self.fused.home:
                    self.latest[source] = self.latest[part]
                    form = self.elements.form(source)
                    assert form is not None
                    self._compute(source, form)
            self.fused.pieces.setdefault(source, []).append(piece)
            self.latest[node] = max(self.latest[node], self.fused.home[source].index)
        self.fused.joined[node] = self.latest[node]

    def _frame(self, node: Node, form: LoopForm) -> tuple[tuple[Size, ...], int, Loops]:
        """The domain, outer depth and loops of a cluster that `node` would start."""
        shape = squeezed(node.shape)
        if squeezed(form.reduce) and computed_by(node).op.traits.reduces:
            loops = loops_of(node)
            return sizes_of(squeezed(operands(node)[0].shape), loops), len(shape), loops
        if node in self.only:
            loops = self.goals[node]
            return sizes_of(shape, loops), len(shape), loops
        return shape, len(shape), in_order(len(shape))

    def _candidates(self, node: Node, domain: tuple[Size, ...], loops: Loops) -> list[Cluster]:
        newest = self.latest[node]
        found = [self.fused.clusters[newest]] if newest >= 0 else []
        sibling = self.open.get((domain, loops))
        # columns of other arrays would keep these alive for longer, and read nothing together
        if sibling is not None and sibling.index > newest and (not sibling.turned or sibling.reads & self._reads(node)):
            found.append(sibling)
        # a product or the like takes no reduction in: what one reads would be stored for it, beside what the product makes
        return [c for c in found if not c.full and (c.kind == "loops" or node not in self.summed)]

    def _reads(self, node: Node) -> set[Node]:
        """What a value loads."""
        return {x for i in operands(node) for x in (self.elements.weight[i][1] if i in self.elements.weight else (i,))}

    def _new(self, domain: tuple[Size, ...], depth: int, kind: str = "loops", closed: bool = False, loops: Loops = ()) -> Cluster:
        cluster = Cluster(len(self.fused.clusters), domain, depth, kind, closed, loops=loops, limits=self.limits)
        self.fused.clusters.append(cluster)
        if kind == "loops" and not closed:
            self.open[domain, cluster.loops] = cluster
        return cluster

    def _join(self, cluster: Cluster, node: Node, form: LoopForm, depth: int) -> None:
        """Add `node` to `cluster`, or raise NotHere and leave it as it was. `depth`: of the loops around a reduction's own."""
        shape, reduce = squeezed(node.shape), squeezed(form.reduce)
        rows = bool(reduce) and computed_by(node).op.traits.reduces
        full = not reduce and len(shape) == len(cluster.domain)
        before = cluster.domain, cluster.depth, cluster.loops
        if rows:
            self._lower(cluster, node, depth)
        elif reduce and cluster.members:
            raise NotHere  # a reduction over loops of its own starts a nest
        elif shape != (cluster.whole if full else cluster.domain[: cluster.depth]) or (full and not self._fits(cluster, node)):
            raise NotHere
        try:
            at = own_index(node.shape, cluster.loops if full else None)
            body = form.body(self.elements.reader(cluster, node, cluster.depth), at, reduced_index(node, form, depth if rows else None))
        except NotHere:
            cluster.domain, cluster.depth, cluster.loops = before
            raise
        if not reduce and form.combine in ("argmax", "argmin"):
            body = sc.const(0, node.dtype)  # the only position there is
        if cluster.loops != before[2]:
            cluster.members = [turned(m, cluster) for m in cluster.members]
        self._add(cluster, Member(node, body, cluster.domain if full else shape, reduce, form.combine if reduce else None, rows))

    def _lower(self, cluster: Cluster, node: Node, depth: int) -> None:
        """Make the inner loops of `cluster` those that `node` reduces, or raise NotHere."""
        loops, whole = loops_of(node), squeezed(operands(node)[0].shape)
        if cluster.kind != "loops" or cluster.whole != whole or (cluster.scans and node.op.traits.kernel != "scan"):
            raise NotHere
        if cluster.loops == loops and cluster.depth == depth:
            return
        domain = sizes_of(whole, loops)
        if any(m.combine or len(m.shape) != len(whole) for m in cluster.members):
            raise NotHere
        if cluster.loops != loops and cluster.costly:
            raise NotHere
        cluster.domain, cluster.depth, cluster.loops = domain, depth, loops

    def _fits(self, cluster: Cluster, node: Node) -> bool:
        """Whether the loops serve an elementwise node: those of a column reduction do if a later such reduction reads it.

        Those of a scan do if it reads a value there: transcendentals want lanes outside, and along rows other arrays are gathered.
        """
        if cluster.scans:
            others = self._reads(node) - cluster.place.keys()
            return (cluster.turned or len(others) <= 1) and not (cluster.depth == 0 and computed_by(node).op.costly)
        return not cluster.turned or (self.goals.get(node) == cluster.loops and (node in self.only or not computed_by(node).op.costly))

    def _add(self, cluster: Cluster, member: Member) -> None:
        cluster.place[member.node] = len(cluster.members)
        cluster.members.append(member)
        cluster.scans = cluster.scans or member.scan is not None
        cluster.costly += computed_by(member.node).op.costly
        if cluster.turned:
            cluster.reads |= self._reads(member.node)
        self.fused.home[member.node] = cluster
        self.latest[member.node] = cluster.index

    # -- loops and branches -------------------------------------------------------------------------------------
    def _control(self, node: Node) -> None:
        """A loop, a branch or a call, with all of its outputs that are read: a cluster of its own without members."""
        source = computed_by(node)
        gets = {0 if n is source else n.params[0]: n for n in (node, *self.siblings.get(node, ()))}
        if source in self.codes:
            self._coded(source, gets)
            return
        cluster = self._new((), 0, "control", closed=True)
        cluster.control = control(source, gets, self.depth, lambda graph, depth: fuse(graph, self.target, depth))
        for k, get in gets.items():
            cluster.place[get] = k
            self.fused.home[get] = cluster
            self.latest[get] = cluster.index

    def _coded(self, source: Node, gets: Mapping[int, Node]) -> None:
        """One of scalar code: a kernel of its own."""
        cluster = self._new((), 0, "scalar", closed=True)
        read = lambda k, at, mask: self.elements.element(cluster, source.inputs[k], at, 0, mask)
        cluster.code = over_values(self.codes[source], read, dict(zip(gets, range(len(gets)))))
        for get in gets.values():
            self._add(cluster, Member(get, sc.const(0, get.dtype), ()))

    # -- the ops with a kernel of their own ---------------------------------------------------------------------
    def _alone(self, node: Node) -> None:
        """A kernel of the kind that the op's row names, over the op's own LoopForm; what is done to its elements may follow in it."""
        form, kind = self.elements.form(node), node.op.traits.kernel
        if form is None or kind is None:
            fail(CompileError, f"{node.op.name} has no loop form and no lowering", node)
        shape = squeezed(node.shape)
        cluster = self._new(shape, len(shape), kind)
        body = form.body(self.elements.reader(cluster, node, len(shape)), own_index(node.shape), reduced_index(node, form, None))
        reduce = squeezed(form.reduce)
        self._add(cluster, Member(node, body, shape, reduce, form.combine if reduce else None))

    def _sort(self, node: Node) -> None:
        """A kernel that puts rows in order, with all of its outputs that are read; what is done to their elements may follow in it."""
        shape = squeezed(node.shape)
        cluster = self._new(shape, len(shape), "sort")
        for get in (node, *self.siblings.get(node, ())):
            self._add(cluster, sorted_member(get, self._elements(cluster, len(shape))))

    def _cumulate(self, node: Node) -> None:
        """A scan is a row of inner loops like a reduction's; what it reads and what reads it may stand in the same loop."""
        whole = squeezed(node.shape)
        if node.attrs["reverse"] or node.shape[node.attrs["axis"]] == 1:
            others = squeezed(tuple([s for k, s in enumerate(node.shape) if k != node.attrs["axis"]]))
            cluster = self._new(others, len(others), closed=True)
            self._add(cluster, lone_scan(node, self._elements(cluster, len(others))))
            return
        loops = loops_of(node)
        for cluster in self._candidates(node, sizes_of(whole, loops), loops):
            try:
                self._scan_in(cluster, node)
                return
            except NotHere:
                continue
        self._scan_in(self._new(sizes_of(whole, loops), len(whole) - 1, loops=loops), node)

    def _scan_in(self, cluster: Cluster, node: Node) -> None:
        """Add a scan to a cluster without reductions that has what it reads, or to a new one; transcendentals want lanes outside."""
        depth, before = len(squeezed(node.shape)) - 1, (cluster.domain, cluster.depth, cluster.loops)
        reads = any(i in cluster.place for i in node.inputs)
        if cluster.members and (not reads or any(m.combine and not m.scan for m in cluster.members) or (depth == 0 and cluster.costly)):
            raise NotHere
        self._lower(cluster, node, depth)
        try:
            member = scan_member(node, cluster.domain, cluster.loops, self._elements(cluster, depth))
        except NotHere:
            cluster.domain, cluster.depth, cluster.loops = before
            raise
        if cluster.loops != before[2]:
            cluster.members = [turned(m, cluster) for m in cluster.members]
        self._add(cluster, member)
        self.open = {frame: c for frame, c in self.open.items() if c is not cluster}  # what does not read it has no business in its loop

    def _scatter(self, node: Node) -> None:
        chain = [node]  # last first
        while chain[-1].inputs[0] in self.onward:
            chain.append(chain[-1].inputs[0])
        updates = chain[0].inputs[1]
        cluster = self._new(squeezed(updates.shape), 0, "scatter", closed=True)
        initial = self.elements.element(cluster, chain[-1].inputs[0], own_index(node.shape), 0, None)
        for part in chain[::-1]:
            self._add(cluster, update_member(node, part, initial, self._elements(cluster, 0)))

    def _elements(self, cluster: Cluster, depth: int) -> Element:
        """How a member of `cluster` reads elements."""
        return lambda node, at: self.elements.element(cluster, node, at, depth, None)
