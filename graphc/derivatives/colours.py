"""Few seeds for a derivative with many zeros: columns that no element of the result shares are computed as one.

    d out[e] / d x[j] is 0 for most (e, j), as out[e] depends on a few x[j]. Columns j and k that meet in no e get one colour;
    a seed with 1 at all x[j] of a colour gives all their columns at once: a diagonal takes 1 seed, a tridiagonal matrix 3.

Curtis, Powell and Reid, "On the estimation of sparse Jacobian matrices", 1974.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.derivatives.batch import batch
from graphc.derivatives.entries import Entries
from graphc.derivatives.patterns import Pattern
from graphc.ir import Node
from graphc.ops.indexing import gather
from graphc.ops.registry import constant
from graphc.ops.shape import reshape


def colours(patterns: Sequence[Pattern], most: int) -> np.ndarray | None:
    """A number for each lane, so that lanes of one number share no element; None where that takes more than `most` numbers.

    Lane by lane the first number that is free: sets of numbers are the bits of an int, one for each element.
    """
    n = patterns[0].n
    offsets = np.cumsum([0, *[p.size for p in patterns]])
    elements = np.concatenate([first + p.elements for first, p in zip(offsets, patterns)])
    lanes = np.concatenate([p.indices for p in patterns])
    order = np.argsort(lanes, kind="stable")
    listed, ends = elements[order].tolist(), np.searchsorted(lanes[order], np.arange(n + 1)).tolist()
    used, result = [0] * int(offsets[-1]), np.zeros(n, np.int64)
    for lane in range(n):
        column = listed[ends[lane] : ends[lane + 1]]
        taken = 0
        for e in column:
            taken |= used[e]
        free = ~taken & (taken + 1)
        if free >> most:
            return None
        for e in column:
            used[e] |= free
        result[lane] = free.bit_length() - 1
    return result


def coloured(results: Sequence[Node], seed: Node, patterns: Sequence[Pattern], most: int, last: bool) -> list[Entries] | None:
    """The numbers of the patterns, by one batch of at most `most` seeds; None where more would be needed.

    `last`: they are stored element by element, else lane by lane.
    """
    colour = colours(patterns, most)
    if colour is None:
        return None
    count = int(colour.max(initial=0)) + 1
    few = (colour == np.arange(count)[:, None]).astype(seed.dtype).reshape((count, *[int(s) for s in seed.shape]))
    entries: list[Entries] = []
    for (node, is_mapped), pattern in zip(batch(results, {seed: constant(few)}, count), patterns):
        if not is_mapped:  # it does not depend on the seeds, in which it is linear
            entries.append([])
            continue
        elements, lanes = pattern.elements, pattern.indices
        if not last:
            order = np.argsort(lanes, kind="stable")
            elements, lanes = elements[order], lanes[order]
        source = colour[lanes] * pattern.size + elements
        entries.append([(gather(reshape(node, (-1,)), constant(source), axes=(0,)), elements, lanes)])
    return entries
