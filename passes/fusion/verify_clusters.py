"""The invariants of what `fuse` hands to `assemble`. A CompileError names the cluster, the member and the user's line.

Every value that is wanted has one home; a member reads only earlier members of its cluster and values of earlier clusters; its
body has the dtype of its node and names only loops that run around it; it has the shape of the cluster's outer or of all its loops.
"""

from __future__ import annotations

from typing import NoReturn

from graphc import dims
from graphc.dims import Size, Symbol
from graphc.dtypes import int64
from graphc.errors import CompileError
from graphc.ir import Graph, Node
from graphc.passes.fusion.cluster import Cluster, Fused, Member
from graphc.passes.fusion.loop_order import in_order, squeezed
from graphc.program import POSITIONS, ScalarCode, loop_index
from graphc.scalars import order
from graphc.verify.scalar import scalar_fault, show, unbound


def verify_clusters(graph: Graph, fused: Fused) -> None:
    """Raise CompileError unless the clusters keep every invariant."""
    _homes(fused)
    for k, node in enumerate(fused.values):
        if fused.number.get(node) != k:
            raise CompileError(f"verify: value {k}, {node.describe()}, has the number {fused.number.get(node)}")
    for node in graph.outputs:
        base = fused.aliases.get(node, node)
        if base not in fused.home and base not in fused.joined and base.op.traits.leaf is None:
            raise CompileError(f"verify: no cluster computes the output {node.describe()}")
    for cluster in fused.clusters:
        if cluster.loops and sorted(cluster.loops) != list(in_order(len(cluster.domain))):
            _broken(f"loops {cluster.loops} are no order of the axes of ({dims.format_shape(cluster.domain)})", cluster)
        if not 0 <= cluster.depth <= len(cluster.domain):
            _broken(f"{cluster.depth} outer loops of {len(cluster.domain)}", cluster)
        if (cluster.kind == "scalar") != (cluster.code is not None):
            _broken(f"of kind {cluster.kind!r} {'without' if cluster.code is None else 'with'} scalar code", cluster)
        if cluster.code is not None:
            _code(fused, cluster, cluster.code)
            continue
        for k, member in enumerate(cluster.members):
            _member(fused, cluster, k, member)
        for body in () if cluster.control is None else cluster.control.bodies:
            verify_clusters(body.graph, body.fused)


def _homes(fused: Fused) -> None:
    for k, cluster in enumerate(fused.clusters):
        if cluster.index != k:
            _broken(f"stands at place {k}", cluster)
        for node in {m.node for m in cluster.members}:
            if fused.home.get(node) is not cluster:
                _broken("is not the home of its member", cluster, node)
            if cluster.members[cluster.place.get(node, -1)].node is not node:
                _broken("does not know the place of its member", cluster, node)
            if node in fused.aliases:
                _broken("computes what is only another view", cluster, node)
    for node, cluster in fused.home.items():
        if node not in cluster.place:
            _broken("is said to compute what it does not", cluster, node)
    for part, pieces in fused.pieces.items():
        for piece in pieces:
            if part not in fused.home or fused.home[part].index > fused.joined.get(piece.whole, -1):
                raise CompileError(f"verify: {part.describe()} is no part of {piece.whole.describe()} when that is read")
            if squeezed(part.shape) != squeezed(piece.shape) or part.dtype != piece.whole.dtype:
                raise CompileError(f"verify: {part.describe()} is no part of {piece.whole.describe()}")
    for node, source in fused.aliases.items():
        same = dims.equal(dims.product(node.shape), dims.product(source.shape)) is not False
        if source in fused.aliases or node.dtype != source.dtype or not same:
            raise CompileError(f"verify: {node.describe()} is no view of {source.describe()}")


def _member(fused: Fused, cluster: Cluster, k: int, member: Member) -> None:
    wanted = int64 if member.combine in POSITIONS else member.body.dtype
    if member.node.dtype != wanted:
        _broken(f"gives {wanted} for {member.node.dtype}", cluster, member.node)
    if (member.combine is None) != (not member.reduce):
        _broken(f"combines {len(member.reduce)} axes by {member.combine}", cluster, member.node)
    shape = member.shape
    if cluster.kind == "scatter":
        wanted_shapes = [shape]  # the loops are those of the updates, of each step of a chain its own
    else:
        wanted_shapes = [cluster.domain, cluster.domain[: cluster.depth]]
    if shape not in wanted_shapes:
        _broken(f"has the shape ({dims.format_shape(shape)}) in loops over ({dims.format_shape(cluster.domain)})", cluster, member.node)
    if cluster.kind != "scatter" and not member.scan and sorted(map(str, squeezed(member.node.shape))) != sorted(map(str, shape)):
        _broken(f"gives ({dims.format_shape(shape)}) for ({dims.format_shape(member.node.shape)})", cluster, member.node)
    bound = _bound(cluster, member)
    initial = {} if member.initial is None else _loops({}, squeezed(member.node.shape), 0, "i")
    for root in member.scalars():
        for s in order((root,)):
            loops = bound | initial if root is member.initial else bound
            fault = scalar_fault(s)
            if not fault and s.op == "index" and (loose := unbound(s.param, loops)):
                fault = f"the loop index {loose[0]} is not bound here"
            if not fault and s.op == "load":
                fault = _load_fault(fused, cluster, s.param[0])
            if not fault and s.op == "local" and not (0 <= s.param < k and cluster.members[s.param].node.dtype == s.dtype):
                fault = f"t{s.param} is no earlier value of {s.dtype}"
            if fault:
                _broken(f"{fault}, in {show(s)}", cluster, member.node)


def _code(fused: Fused, cluster: Cluster, code: ScalarCode) -> None:
    """Scalar code loads what earlier clusters store, and stores members; the rest is seen when it is a kernel."""
    for s in order(code.scalars()):
        fault = scalar_fault(s) or (_load_fault(fused, cluster, s.param[0]) if s.op == "load" else "")
        if fault:
            _broken(f"{fault}, in {show(s)}", cluster)
    for put in code.stored:
        if not 0 <= put.slot < len(cluster.members):
            _broken(f"stores to member {put.slot}", cluster)
        node = cluster.members[put.slot].node
        if put.value.dtype != node.dtype or len(put.at) != node.ndim:
            _broken(f"stores {put.value.dtype} at {len(put.at)} indices", cluster, node)


def _bound(cluster: Cluster, member: Member) -> dict[Symbol, Size]:
    """The loops around the body of a member: over its shape, and over what it combines."""
    bound = _loops({}, member.shape, 0, "i")
    if member.rows:
        return _loops(bound, member.reduce, cluster.depth, "i")
    return _loops(bound, member.reduce, 0, "r")


def _loops(bound: dict[Symbol, Size], shape: tuple[Size, ...], first: int, kind: str) -> dict[Symbol, Size]:
    result = dict(bound)
    for p, size in enumerate(shape):
        result |= {s: size for s in dims.symbols(loop_index(first + p, kind))}
    return result


def _load_fault(fused: Fused, cluster: Cluster, number: int) -> str:
    """What is wrong with a load of a value: it has to be stored by an earlier cluster, or to be a variable or constant."""
    if not 0 <= number < len(fused.values):
        return f"there is no value {number}"
    node = fused.values[number]
    base = fused.aliases.get(node, node)
    if base in fused.joined:
        return "" if fused.joined[base] < cluster.index else f"a part of {base.describe()} is computed by cluster {fused.joined[base]}"
    home = fused.home.get(base)
    if home is None:
        return "" if base.op.traits.leaf is not None else f"nothing computes {base.describe()}"
    return "" if home.index < cluster.index else f"{base.describe()} is computed by cluster {home.index}, not before"


def _broken(what: str, cluster: Cluster, node: Node | None = None) -> NoReturn:
    lines = [f"verify: cluster {cluster.index} {what}" + ("" if node is None else f": {node.describe()}")]
    lines.append(f"  {cluster.kind} over ({dims.format_shape(cluster.domain)}), {cluster.depth} of them outer")
    lines += [f"    t{k}: {m.node.describe()} = {show(m.body)}" for k, m in enumerate(cluster.members[:8])]
    raise CompileError("\n".join(lines))
