"""Sums of arrays that are 0 but for a part of each: the derivative of several slices of one array.

    pad(a, 0, 6) + pad(b, 2, 4) + pad(c, 3, 0), of 2, 2 and 5 elements    ->    concat(a, b[:1], b[1:] + c[:1], c[1:])

Where the parts are in each other's way, what lies over one place is added up; nowhere is a zero added, or a place written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import add
from typing import NamedTuple

from graphc.ir import Node
from graphc.ops.create import zeros
from graphc.ops.joining import concat
from graphc.ops.registry import CONSTANT
from graphc.ops.slicing import PAD, along

FEWEST = 3  # parts; two masked loads and an addition are one kernel without edges
GAIN = 0.75  # elements of the parts for each of those that the sum of pads looks at, at most: long stencils stay sums of pads
MOST_PIECES = 4  # for each part


class Part(NamedTuple):
    """An array that lies at low <= index < high along some axes, and everywhere along the others."""

    value: Node
    low: tuple[int, ...]
    high: tuple[int, ...]


def total(values: Sequence[Node]) -> Node:
    """The sum of arrays of one type; those that are padded with zeros are put beside each other, and added where they meet."""
    padded = [v for v in values if _is_padded(v)] if len(values) >= FEWEST else []
    if len(padded) >= FEWEST:
        axes = _cut_axes(padded)
        parts = None if axes is None else _parts(padded, axes)
        if axes and parts and _pays(parts, [int(values[0].shape[a]) for a in axes]):
            return reduce(add, [*[v for v in values if not _is_padded(v)], _joined(parts, axes, values[0])])
    return reduce(add, values)


def _is_padded(node: Node) -> bool:
    """Whether a node is a pad by zeros around an array, not between its elements."""
    if node.op is not PAD or any([gap != 0 for gap in node.params[2]]):
        return False
    return node.inputs[1].op is CONSTANT and not node.inputs[1].params[0].array.any()


def _cut_axes(padded: Sequence[Node]) -> list[int] | None:
    """The axes along which somebody is padded, if all sizes along them are known."""
    cut = [a for a in range(padded[0].ndim) if any([v.params[0][a] != 0 or v.params[1][a] != 0 for v in padded])]
    known = all([isinstance(s, int) for a in cut for v in padded for s in (v.shape[a], v.params[0][a], v.inputs[0].shape[a])])
    return cut if known else None


def _parts(padded: Sequence[Node], axes: Sequence[int]) -> list[Part]:
    lows = [tuple([int(v.params[0][a]) for a in axes]) for v in padded]
    sizes = [tuple([int(v.inputs[0].shape[a]) for a in axes]) for v in padded]
    return [Part(v.inputs[0], low, tuple([b + n for b, n in zip(low, size)])) for v, low, size in zip(padded, lows, sizes)]


def _spans(parts: Sequence[Part], k: int, n: int) -> list[tuple[int, int, list[Part]]]:
    """The pieces of 0..n between the ends of parts along their axis k, with the parts that lie over each, in their order."""
    ends = sorted({0, n, *[p.low[k] for p in parts], *[p.high[k] for p in parts]})
    place = {end: i for i, end in enumerate(ends)}
    over: list[list[Part]] = [[] for _ in ends]
    for part in parts:
        for i in range(place[part.low[k]], place[part.high[k]]):
            over[i].append(part)
    return [(a, b, over[i]) for i, (a, b) in enumerate(pairwise(ends))]


def _pays(parts: Sequence[Part], sizes: Sequence[int]) -> bool:
    """Whether the pieces are few, and hold few elements beside those that sums of pads look at: the parts times the whole."""
    if 0 in sizes:
        return False
    todo: list[tuple[Sequence[Part], int, float]] = [(parts, 0, 1.0)]
    pieces, elements = 0, 0.0
    while todo:
        listed, k, share = todo.pop()
        if k == len(sizes) or not listed:
            pieces += max(len(listed), 1)
            elements += share * len(listed)
        else:
            covering = sum([p.high[k] - p.low[k] for p in listed])
            if covering > MOST_PIECES * len(parts) * sizes[k]:
                return False
            todo.extend([(over, k + 1, share * (b - a) / sizes[k]) for a, b, over in _spans(listed, k, sizes[k])])
        if pieces + len(todo) > MOST_PIECES * len(parts) + 8:
            return False
    return elements <= GAIN * len(parts)


def _joined(parts: Sequence[Part], axes: Sequence[int], whole: Node, k: int = 0) -> Node:
    """The parts beside each other along axes[k], and in each piece along the axes after it: as deep as there are axes."""
    if k == len(axes):
        return reduce(add, [p.value for p in parts])
    a, pieces = axes[k], list[Node]()
    for low, high, over in _spans(parts, k, int(whole.shape[a])):
        if over:
            cut = [Part(along(p.value, a, low - p.low[k], high - low), p.low, p.high) for p in over]
            pieces.append(_joined(cut, axes, whole, k + 1))
        else:
            shape = list(parts[0].value.shape)
            for j, other in enumerate(axes):
                shape[other] = high - low if j == k else shape[other] if j < k else whole.shape[other]
            pieces.append(zeros(tuple(shape), whole.dtype))
    return concat(pieces, a)
