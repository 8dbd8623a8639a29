"""Places of known sizes in one arena, the largest first.

    a 4 bytes in steps 0 to 1,  b 2 in 0 to 2,  c 6 in 2 to 3:    first fit 4 + 2 + 4 bytes    largest first c at 0, a at 0, b at 6: 8

Each value goes to the lowest gap that is free as long as it lives. This is "greedy by size" of Pisarchyk and Lee, Efficient Memory
Management for Deep Neural Net Inference (2020); it is not always the best, nor always better than first fit, so the caller takes the
smaller of both. Time is quadratic in the number of values, in vectors of NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Spans = Sequence[tuple[int, int, int]]  # of each value the first and the last step of its life, and its bytes


def largest_first(spans: Spans) -> tuple[list[int], int]:
    """The offset of each value, and the bytes that they take together."""
    first, last, size = np.array(spans, np.int64).reshape(-1, 3).T
    starts = np.zeros(len(spans), np.int64)
    order = np.lexsort((first, -size))
    for k, value in enumerate(order):
        placed = order[:k]
        near = placed[(first[placed] <= last[value]) & (last[placed] >= first[value])]
        near = near[np.argsort(starts[near], kind="stable")]
        ends = np.maximum.accumulate(np.concatenate([[0], starts[near] + size[near]]))  # of what lies below each gap
        gaps = np.concatenate([starts[near], [np.iinfo(np.int64).max]]) - ends
        starts[value] = ends[np.argmax(gaps >= size[value])]
    return starts.tolist(), int(max(starts + size, default=0))


def most_alive(spans: Spans) -> int:
    """The most bytes that live at one time: no plan takes less."""
    changes: dict[int, int] = {}
    for first, last, size in spans:
        changes[first] = changes.get(first, 0) + size
        changes[last + 1] = changes.get(last + 1, 0) - size
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most
