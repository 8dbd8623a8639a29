"""Sums of arrays that are 0 but for a part of each: the derivative of several slices of one array; and their masks.

    pad(a, 0, 6) + pad(b, 2, 4) + pad(c, 3, 0), of 2, 2 and 5 elements    ->    concat(a, b[:1], b[1:] + c[:1], c[1:])
    pad(a, 0, 1, between 1) + pad(b, 1, 0, between 1), of 4 each          ->    concat(a, b, along a new axis), as rows of two

Where the parts are in each other's way, what lies over one place is added up; nowhere is a zero added, or a place written twice.
Sizes may be symbolic where it is known in which order the parts begin and end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cmp_to_key, reduce
from itertools import pairwise
from operator import add, or_
from typing import NamedTuple

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_
from graphc.ir import Node
from graphc.ops.create import zeros
from graphc.ops.joining import concat
from graphc.ops.registry import CONSTANT, number
from graphc.ops.shape import reshape
from graphc.ops.slicing import PAD, along, pad_with
from graphc.types import Shape

FEWEST = 3  # parts; two masked loads and an addition are one kernel without edges
FEWEST_STRIDED = 2  # with elements between theirs: each element of the sum divides to find out whether it is one of a part
GAIN = (3, 4)  # elements of the parts for each of those that the sum of pads looks at, at most: long stencils stay sums of pads
MOST_PIECES = 4  # for each part
ALONE = 8  # elements of a long run, for what an element written alone costs. Squares of k columns of 4096, apart and as a sum of pads:
# ns an element for k = 3, 4, 8, 12, 16: 0.76, 0.75, 0.79, 2.0, 2.1, and 0.41, 0.40, 0.47, 1.7, 2.2

Join = Callable[[Node, Node], Node]


class Part(NamedTuple):
    """An array that lies at low <= index < high along some axes, and everywhere along the others."""

    value: Node
    low: tuple[Size, ...]
    high: tuple[Size, ...]


class Whole(NamedTuple):
    """What parts lie in: its shape, and the axes along which somebody is cut."""

    shape: Shape
    axes: tuple[int, ...]


class _NotWorthIt(Exception):
    """There are too many pieces, or it is not known in which order parts begin and end."""


# -- what derivatives are put together with -------------------------------------------------------------------------------
def total(values: Sequence[Node]) -> Node:
    """The sum of arrays of one type; those that are padded with zeros are put beside each other, and added where they meet."""
    return _put_together(values, add)


def any_of(masks: Sequence[Node]) -> Node:
    """True where one of several masks of one shape is, put together in the same way."""
    return _put_together(masks, or_)


def positive(x: Node) -> Node:
    """x > 0; of what is padded with zeros as padded with False, which `any_of` sees."""
    if _is_padded(x):
        return pad_with(positive(x.inputs[0]), number(False, bool_), *x.params)
    return x > 0


def _put_together(values: Sequence[Node], join: Join) -> Node:
    groups: dict[tuple[Size, ...] | None, list[Node]] = defaultdict(list)
    for v in values:
        groups[v.params[2] if _is_padded(v) else None].append(v)
    rest, made = groups.pop(None, []), list[Node]()
    for gaps, padded in groups.items():
        strided = any([gap != 0 for gap in gaps or ()])
        few = len(padded) < (FEWEST_STRIDED if strided else FEWEST)
        joined = None if few else _rows_joined(padded, join) if strided else _boxes_joined(padded, join)
        if joined is None:
            rest += padded
        else:
            made.append(joined)
    if not made:
        return reduce(join, values)
    position = {v: k for k, v in enumerate(values)}
    return reduce(join, [*sorted(rest, key=position.__getitem__), *made])


def _is_padded(node: Node) -> bool:
    """Whether a node is a pad by zeros."""
    return node.op is PAD and node.inputs[1].op is CONSTANT and not node.inputs[1].params[0].array.any()


def _boxes_joined(padded: Sequence[Node], join: Join) -> Node | None:
    """The sum of arrays padded around, None where it would not pay."""
    axes = [a for a in range(padded[0].ndim) if any([v.params[0][a] != 0 or v.params[1][a] != 0 for v in padded])]
    parts = []
    for v in padded:
        low = tuple([v.params[0][a] for a in axes])
        parts.append(Part(v.inputs[0], low, tuple([b + v.inputs[0].shape[a] for b, a in zip(low, axes)])))
    return _assembled(parts, Whole(padded[0].shape, tuple(axes)), join, _least_run(padded[0].shape, axes))


def _rows_joined(padded: Sequence[Node], join: Join) -> Node | None:
    """The sum of arrays padded with the same gaps between: each axis of n with s - 1 between as one of n / s and one of s."""
    steps = [gap + 1 for gap in padded[0].params[2]]
    shape, axes = list[Size](), list[int]()
    for n, step in zip(padded[0].shape, steps):
        rows = n if step == 1 else -(-n // step) if isinstance(n, int) and isinstance(step, int) else dims.divide(n, step)
        if rows is None:
            return None
        axes += range(len(shape), len(shape) + (1 if step == 1 else 2))
        shape += [rows] if step == 1 else [rows, step]
    parts = []
    for v in padded:
        inner, low = list[Size](), list[Size]()
        for n, step, before in zip(v.inputs[0].shape, steps, v.params[0]):
            if step != 1 and not (isinstance(before, int) and isinstance(step, int)):
                return None
            inner += [n] if step == 1 else [n, 1]
            low += [before] if step == 1 else [dims.floordiv(before, step), dims.mod(before, step)]
        parts.append(Part(reshape(v.inputs[0], tuple(inner)), tuple(low), tuple([b + n for b, n in zip(low, inner)])))
    made = _assembled(parts, Whole(tuple(shape), tuple(axes)), join)
    if made is None:
        return None
    full = tuple([n if step == 1 else -(-n // step) * step if isinstance(n, int) else n for n, step in zip(padded[0].shape, steps)])
    made = reshape(made, full)
    for a, n in enumerate(padded[0].shape):
        made = along(made, a, 0, n)
    return made


# -- pieces -----------------------------------------------------------------------------------------------------------------
def _assembled(parts: Sequence[Part], whole: Whole, join: Join, run: int = 1) -> Node | None:
    try:
        return _joined(parts, whole, join) if whole.axes and _pays(parts, [whole.shape[a] for a in whole.axes], run) else None
    except _NotWorthIt:
        return None


def _least_run(shape: Shape, axes: Sequence[int]) -> int:
    """What a shorter piece of the last cut axis counts as, in many rows: its elements are written alone."""
    last = axes[-1] if axes else 0
    rows, behind = dims.product(shape[:last]), dims.product(shape[last + 1 :])
    if not isinstance(behind, int) or (isinstance(rows, int) and rows < ALONE):
        return 1
    return -(-ALONE // max(behind, 1))


def _order(a: Size, b: Size) -> int:
    """-1, 0 or 1 as a is less than, equal to or greater than b for all values of the symbols; where a <= b is all that is known, -1."""
    if a == b:
        return 0
    if dims.less_equal(a, b):
        return -1
    if dims.less_equal(b, a):
        return 1
    raise _NotWorthIt


def _spans(parts: Sequence[Part], k: int, n: Size) -> list[tuple[Size, Size, list[Part]]]:
    """The pieces of 0..n between the ends of parts along their axis k, with the parts that lie over each, in their order."""
    ends: list[Size] = sorted(dict.fromkeys([0, n, *[p.low[k] for p in parts], *[p.high[k] for p in parts]]), key=cmp_to_key(_order))
    place = {end: i for i, end in enumerate(ends)}
    over: list[list[Part]] = [[] for _ in ends]
    if sum([place[p.high[k]] - place[p.low[k]] for p in parts]) > _most(parts):
        raise _NotWorthIt  # each becomes a piece or more
    for part in parts:
        for i in range(place[part.low[k]], place[part.high[k]]):
            over[i].append(part)
    return [(a, b, over[i]) for i, (a, b) in enumerate(pairwise(ends))]


def _most(parts: Sequence[Part]) -> int:
    """How many pieces there may be."""
    return MOST_PIECES * len(parts) + 8


def _pays(parts: Sequence[Part], sizes: Sequence[Size], run: int) -> bool:
    """Whether the pieces are few, and hold few elements beside those that sums of pads look at: the parts times the whole.

    No size is 0: along each of these axes somebody is padded.
    """
    todo: list[tuple[Sequence[Part], int, Size]] = [(parts, 0, 1)]
    pieces = 0
    elements: Size = 0
    while todo:
        listed, k, share = todo.pop()
        if k == len(sizes) or not listed:
            pieces += max(len(listed), 1)
            elements += share * len(listed)
        else:
            least = run if k == len(sizes) - 1 else 0
            lengths = [(over, b - a) for a, b, over in _spans(listed, k, sizes[k])]
            todo.extend([(over, k + 1, share * (max(n, least) if isinstance(n, int) else n)) for over, n in lengths])
        if pieces + len(todo) > _most(parts):
            return False
    most, of = GAIN
    return dims.less_equal(elements * of, dims.product(sizes) * len(parts) * most) is True


def _joined(parts: Sequence[Part], whole: Whole, join: Join, k: int = 0) -> Node:
    """The parts beside each other along axes[k], and in each piece along the axes after it: as deep as there are axes."""
    shape, axes = whole
    if k == len(axes):
        return reduce(join, [p.value for p in parts])
    a, pieces = axes[k], list[Node]()
    for low, high, over in _spans(parts, k, shape[a]):
        if over:
            cut = [Part(along(p.value, a, low - p.low[k], high - low), p.low, p.high) for p in over]
            pieces.append(_joined(cut, whole, join, k + 1))
        else:
            empty = list(parts[0].value.shape)
            for j, other in enumerate(axes):
                empty[other] = high - low if j == k else empty[other] if j < k else shape[other]
            pieces.append(zeros(tuple(empty), parts[0].value.dtype))
    return concat(pieces, a)
