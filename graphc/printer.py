"""Graph text (placeholder until the printer lands)."""
from graphc.ir import Graph


def format_graph(graph: Graph) -> str:
    return "\n".join(map(repr, graph.order))
