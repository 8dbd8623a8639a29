"""The cheapest way to part two ends of a network: shortest augmenting paths (Edmonds and Karp, 1972), for networks of tens of nodes.

Networks of a graph's passes are small and many, one for each layer of a net; networkx, the judge in the tests, takes longer to load.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable

Arc = tuple[Hashable, Hashable, float]


def minimum_cut(arcs: Iterable[Arc], source: Hashable, sink: Hashable) -> set[Hashable]:
    """The side of `source` where arcs (from, to, capacity) of the least capacity are cut; those of capacity inf never are.

    Of several such cuts it is the one nearest to the source.

        minimum_cut([("s", "a", 2), ("a", "t", 1)], "s", "t")          {"s", "a"}

    Raises ValueError where only arcs of capacity inf lead to the sink.
    """
    room: dict[Hashable, dict[Hashable, float]] = {source: {}, sink: {}}
    for a, b, capacity in arcs:
        room.setdefault(a, {})[b] = room.get(a, {}).get(b, 0) + capacity
        room.setdefault(b, {}).setdefault(a, 0)
    while sink in (before := _reached(room, source, sink)):
        path = [sink]
        while path[-1] != source:
            path.append(before[path[-1]])
        steps = list(zip(path[:0:-1], path[-2::-1], strict=True))
        most = min([room[a][b] for a, b in steps])
        if most == math.inf:
            raise ValueError("no cut of finite capacity parts the source from the sink")
        for a, b in steps:
            room[a][b] -= most
            room[b][a] += most
    return set(before)


def _reached(room: dict[Hashable, dict[Hashable, float]], source: Hashable, sink: Hashable) -> dict[Hashable, Hashable]:
    """What the source reaches through arcs with room, each with the vertex before it, until the sink is found."""
    before: dict[Hashable, Hashable] = {source: source}
    waiting = deque([source])
    while waiting:
        a = waiting.popleft()
        for b, left in room[a].items():
            if left > 0 and b not in before:
                before[b] = a
                if b == sink:
                    return before
                waiting.append(b)
    return before
