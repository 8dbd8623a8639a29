"""A graph for the tools of networkx: paths, cuts, drawing. networkx is loaded when it is asked for, and only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphc.errors import ArgumentError, fail
from graphc.ir import Graph, Node, toposort
from graphc.printer import format_param, format_type, node_names, roots_of

if TYPE_CHECKING:
    import networkx


def to_networkx(outputs: Graph | Node | list[Node] | tuple[Node, ...]) -> networkx.MultiDiGraph:
    """What some outputs need as a `networkx.MultiDiGraph`: a vertex for each node, an edge from each operand to who reads it.

    Vertices are the names of the graph's text (`x`, `%0`), in an order in which operands come first, with the attributes op, type,
    site (file and line, or None), params, output (whether it is one) and node (the node itself); edges have the operand's `position`.

    g = gx.to_networkx(loss); nx.shortest_path(g, "x", "%7"); nx.dag_longest_path(g)
    """
    import networkx  # here: `import graphc` stays light, and nothing else of the trunk needs it

    listed = list(outputs) if isinstance(outputs, (list, tuple)) else outputs
    roots = listed if isinstance(listed, list) else [listed] if isinstance(listed, Node) else getattr(listed, "outputs", None)
    if roots is None or not all(isinstance(r, Node) for r in roots):
        fail(ArgumentError, f"to_networkx takes nodes or a graph, got {type(outputs).__name__}")
    inputs, ends = roots_of(listed)
    order = toposort([*inputs, *ends])
    names = _unique(node_names(order), order)
    last = set(ends)
    made = networkx.MultiDiGraph()
    for node in order:
        given: dict[str, Any] = {k: format_param(v) for k, v in zip(node.op.params, node.params)}
        shown = {"op": node.op.name, "type": format_type(node.type), "site": node.site, "params": given}
        made.add_node(names[node], **shown, output=node in last, node=node)
    for node in order:
        for k, i in enumerate(node.inputs):
            made.add_edge(names[i], names[node], position=k)
    return made


def _unique(names: dict[Node, str], order: list[Node]) -> dict[Node, str]:
    """Names that no two nodes have: constants of one value are shown alike in text."""
    seen: dict[str, int] = {}
    result: dict[Node, str] = {}
    for node in order:
        again = seen[names[node]] = seen.get(names[node], -1) + 1
        result[node] = f"{names[node]}.{again}" if again else names[node]
    return result
