"""An order of scalar work in which independent math functions meet.

    a = sin(x); b = exp(a); c = sin(y); d = exp(c)     ->     a = sin(x); c = sin(y); b = exp(a); d = exp(c)

Depth-first order keeps few values alive, but leaves next to each other what needs each other. Within a window of values
of rank 0 they are sorted by level, the number of math functions on the way to them from outside of the window; code
generation evaluates those of a level, as far as they come into one kernel, as the lanes of a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graphc.ir import Node
from graphc.passes.fusion.several import computed_by, operands

WINDOW = 4096  # values, all of which may be alive at once: 32 kB, a first cache


def by_level(order: Sequence[Node]) -> list[Node]:
    """The nodes, inputs before users still; those that are not of rank 0 stay where they are, but for views of leaves."""
    result: list[Node] = []
    window: list[Node] = []
    outside: set[Node] = set()  # leaves and views of them: they may come before any window

    def close() -> None:
        if window:
            result.extend(_sorted(window))
            window.clear()

    for node in order:
        if node.op.traits.leaf is not None or (node.op.traits.moves == "view" and node.inputs[0] in outside):
            outside.add(node)
            result.append(node)
        elif node.ndim == 0:
            window.append(node)
            if len(window) == WINDOW:
                close()
        else:
            close()
            result.append(node)
    close()
    return result


def _sorted(window: list[Node]) -> list[Node]:
    """By level; in each the functions first, those of the same argument side by side. As it is where no two functions can meet."""
    position = {node: k for k, node in enumerate(window)}
    level: dict[Node, int] = {}
    key: dict[Node, tuple[int, bool, int]] = {}
    met: Counter[int] = Counter()
    for k, node in enumerate(window):
        op, inputs = computed_by(node).op, operands(node)
        math = op.costly and not op.traits.instruction
        level[node] = max([level.get(i, 0) for i in inputs], default=0) + math
        key[node] = (level[node], not math, position.get(inputs[0], k) if math else k)
        met[level[node]] += math
    return sorted(window, key=key.__getitem__) if max(met.values(), default=0) > 1 else window
