"""Carries that scatters update: each works on the array as it is, and copies nothing.

    h = h.at[i].add(x)      for each turn:   %1 <- %0; %1[i] += x; carry %1 -> %0       ->       %0[i] += x

A turn then takes time in proportion to what it writes, not to the size of the array.
"""

from __future__ import annotations

from collections.abc import Collection

from graphc import scalars as sc
from graphc.ir import Node
from graphc.passes.fusion.bodies import stored_operands
from graphc.passes.fusion.cluster import Cluster, Fused, Inside, Member
from graphc.passes.fusion.loop_order import own_index
from graphc.passes.fusion.several import checked_indices


def updates(body: Inside, old: Node, new: Node) -> list[Node]:
    """The scatters that make `new` of `old`, if nobody reads what one of them replaces while or after it does; else nothing."""
    chain: list[Node] = []
    node = new
    while node is not old:
        source = _replaced(body.fused, node)
        if source is None or (node is not new and _leaves(body, node)):
            return []
        chain.append(node)
        node = source
    return chain


def _replaced(fused: Fused, node: Node) -> Node | None:
    """The value that a scatter begins with, if it may be built up in its place."""
    cluster = fused.home.get(node)
    if cluster is None or cluster.kind != "scatter":
        return None
    initial = cluster.members[0].initial
    assert initial is not None
    if initial.op != "load" or initial.param[1] or initial.args != tuple([sc.index(i) for i in own_index(node.shape)]):
        return None
    source = fused.values[initial.param[0]]
    names = {source} | {view for view, base in fused.aliases.items() if base is source}
    one = len(cluster.members) == 1 and not cluster.domain  # a single element: it is computed before it is stored
    late = fused.clusters[cluster.index + 1 :] if one else fused.clusters[cluster.index :]
    return None if any(_reads(fused, other, names) for other in late) else source


def _leaves(body: Inside, node: Node) -> bool:
    """Whether a value is wanted when the body is through."""
    return any(body.fused.aliases.get(out, out) is node for out in body.graph.outputs)


def _reads(fused: Fused, cluster: Cluster, names: Collection[Node]) -> bool:
    """Whether a cluster reads any of these values, but for what a scatter begins with."""
    if cluster.control is not None:
        return any(n in names for n in stored_operands(cluster.control.node))
    if cluster.code is not None and any(fused.values[s.param[0]] in names for s in sc.order(cluster.code.scalars()) if s.op == "load"):
        return True
    return any(_member_reads(fused, m, names) for m in cluster.members)


def _member_reads(fused: Fused, member: Member, names: Collection[Node]) -> bool:
    loaded = (s for s in sc.order([s for s in member.scalars() if s is not member.initial]) if s.op == "load")
    return any(fused.values[s.param[0]] in names for s in loaded) or any(s.indices in names for s in checked_indices(member.node))
