"""The cheapest way to part two ends of a network, by networkx, which is loaded when a cut is asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

Arc = tuple[Hashable, Hashable, "float | None"]


def minimum_cut(arcs: Iterable[Arc], source: Hashable, sink: Hashable) -> set[Hashable]:
    """The side of `source` where arcs (from, to, capacity) of the least capacity are cut; None is one that may not be.

        minimum_cut([("s", "a", 2.0), ("a", "t", 1.0)], "s", "t")          {"s", "a"}

    Raises networkx.NetworkXUnbounded where no cut is possible.
    """
    import networkx  # here: most graphs are compiled without a cut, and do not wait for it

    network = networkx.DiGraph()
    network.add_nodes_from((source, sink))
    for a, b, capacity in arcs:
        if capacity is None:
            network.add_edge(a, b)
        else:
            network.add_edge(a, b, capacity=capacity)
    return set(networkx.minimum_cut(network, source, sink)[1][0])
