"""The numbers of a derivative with many zeros, each with its place, and the array that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir import Node
from graphc.ops.create import zeros
from graphc.ops.indexing import scatter
from graphc.ops.registry import constant

Entries = Sequence[tuple[Node, np.ndarray, np.ndarray]]
"""Parts (values, elements, lanes): values[k] is, or adds to, d result[elements[k]] / d seed[lanes[k]]; both count in memory order."""


def dense(entries: Entries, seed: Node, result: Node, last: bool) -> Node:
    """d result / d seed, 0 where there is no entry; the seeds' axes come first, or last."""
    n, size = int(seed.size), int(result.size)
    shape = (*result.shape, *seed.shape) if last else (*seed.shape, *result.shape)
    whole = zeros(shape, result.dtype)
    seen = np.zeros(n * size, bool)
    for values, elements, lanes in entries:
        target = elements * n + lanes if last else lanes * size + elements
        if not target.size:
            continue
        places = [constant(p) for p in np.unravel_index(target, [int(s) for s in shape])]
        mode = "add" if seen[target].any() else "set"  # an entry that two parts have is their sum
        seen[target] = True
        whole = scatter(whole, values, *places, axes=tuple(range(len(shape))), batch=0, mode=mode)
    return whole
