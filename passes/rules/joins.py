"""Joins and what is taken out of them: a slice picks its parts, parts that lie side by side become one.

stack([a, b, c])[1]                      ->    b
exp(stack([a, b, c]))[1]                 ->    exp(b)
concat(x[0:2], x[2:5], y)                ->    concat(x[0:5], y)
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from graphc.dims import Size
from graphc.ir import Node, make
from graphc.ops.joining import CONCAT, concat
from graphc.ops.slicing import SLICE, cut
from graphc.ops.spread import BROADCAST
from graphc.passes.rewriting.match import params
from graphc.passes.rewriting.rule import AnyRule, Local

RECOMPUTED = 64  # elements of a part of a costly function: more are not computed a second time
LOOKED_AT = 32  # elementwise nodes between a slice and a join

Ends = list[int] | None
Run = tuple[Node, tuple[Size, ...], tuple[Size, ...]]  # (x, starts, sizes): a slice of x
_last: tuple[weakref.ref[Node], Ends] | None = None  # slices of one join come together: its ends are worked out once


def ends_of(join: Node) -> Ends:
    """Where each part of a join ends along its axis; None where a size is symbolic."""
    global _last
    if _last is not None and _last[0]() is join:
        return _last[1]
    (axis,) = params(join)
    sizes = [x.shape[axis] for x in join.inputs]
    ends = list(accumulate([n for n in sizes if isinstance(n, int)]))
    found = ends if len(ends) == len(sizes) else None
    _last = weakref.ref(join), found
    return found


def parts_within(join: Node, starts: Sequence[Size], sizes: Sequence[Size], steps: Sequence[Size]) -> tuple[int, int, int] | None:
    """(first, last, where the first begins) of the parts that a slice of a join takes from; None where that is not known."""
    (axis,) = params(join)
    start, size, step = starts[axis], sizes[axis], steps[axis]
    ends = ends_of(join)
    if ends is None or not isinstance(start, int) or not isinstance(size, int) or not isinstance(step, int) or size < 1:
        return None
    first = bisect_right(ends, start)
    last = bisect_right(ends, start + (size - 1) * step)
    return (first, last, ends[first - 1] if first else 0) if last < len(ends) else None


def slice_of_concat(node: Node) -> Node | None:
    """concat(a, b, c)[i : j] -> concat of what it takes of each, in steps of one part only; where it leaves a part out."""
    (join,), (starts, sizes, steps) = node.inputs, params(node)
    if (found := parts_within(join, starts, sizes, steps)) is None:
        return None
    first, last, begin = found
    (axis,) = params(join)
    if (first < last and steps[axis] != 1) or last - first + 1 == len(join.inputs):
        return None
    taken: list[Node] = []
    low, high = starts[axis] - begin, starts[axis] - begin + (sizes[axis] - 1) * steps[axis] + 1
    for part in join.inputs[first : last + 1]:
        n = part.shape[axis]
        assert isinstance(n, int)
        if n:
            count = min(n, high) - low if steps[axis] == 1 else sizes[axis]
            taken.append(cut(part, _with(starts, axis, low), _with(sizes, axis, count), steps))
        low, high = max(low - n, 0), high - n
    return concat(taken, axis)


def _with(sizes: Sequence[Size], axis: int, size: Size) -> tuple[Size, ...]:
    return (*sizes[:axis], size, *sizes[axis + 1 :])


def slice_of_elementwise(node: Node) -> Node | None:
    """f(concat(a, b), y)[i] -> f(concat(a, b)[i], y[i]), where that takes a whole part of every join it reads, and else what is stored.

    A costly f of more than a few elements stays: somebody may read all of it.
    """
    f = node.inputs[0]
    if not f.op.elementwise or not any(i.op is CONCAT or i.op.elementwise for i in f.inputs):
        return None
    parts = params(node)
    todo, seen, joins = [f], {f}, 0
    while todo:
        x = todo.pop()
        if x.op.elementwise and x.inputs:
            if x.op.costly and not (isinstance(node.size, int) and node.size <= RECOMPUTED):
                return None
            new = [i for i in x.inputs if i not in seen]
            todo.extend(new)
            seen.update(new)
        elif x.op is CONCAT:
            (axis,) = params(x)
            found = parts_within(x, *parts)
            if found is None or found[0] != found[1] or x.inputs[found[0]].shape[axis] != node.shape[axis]:
                return None
            joins += 1
        elif x.op is not BROADCAST and x.op.traits.leaf is None:
            return None
        if len(seen) > LOOKED_AT:
            return None
    return make(f.op, tuple([cut(i, *parts) for i in f.inputs]), f.params) if joins else None


def _run(part: Node) -> Run | None:
    """What a part is of an array, if it is a slice without steps, or all of it."""
    if part.op is not SLICE:
        return part, (0,) * part.ndim, part.shape
    starts, sizes, steps = params(part)
    return (part.inputs[0], starts, sizes) if all([s == 1 for s in steps]) else None


def side_by_side(parts: Sequence[Node], axis: int) -> list[Node]:
    """The parts with slices of one array that continue each other along the axis made one, empty parts left out."""
    merged: list[Node | Run] = []
    for part in parts:
        if part.shape[axis] == 0:
            continue
        here, last = _run(part), merged[-1] if merged else None
        if isinstance(last, Node):
            last = _run(last)
        if here is not None and last is not None and here[0] is last[0] and _continues(last, here, axis):
            merged[-1] = (last[0], last[1], _with(last[2], axis, last[2][axis] + here[2][axis]))
        else:
            merged.append(part)
    return [part if isinstance(part, Node) else cut(*part) for part in merged]


def _continues(a: Run, b: Run, axis: int) -> bool:
    """Whether b begins where a ends, and is like it along the other axes."""
    return a[1][axis] + a[2][axis] == b[1][axis] and all([k == axis or (a[1][k], a[2][k]) == (b[1][k], b[2][k]) for k in range(len(a[1]))])


def concat_of_slices(node: Node) -> Node | None:
    """concat(x[a : b], x[b : c], y) -> concat(x[a : c], y); parts of size 0 go."""
    (axis,) = params(node)
    merged = side_by_side(node.inputs, axis)
    return concat(merged, axis) if merged and len(merged) < len(node.inputs) else None


def concat_of_concat(node: Node) -> Node | None:
    """concat(concat(a, b), c) -> concat(a, b, c), along one axis."""
    (axis,) = params(node)
    inner = [i.op is CONCAT and params(i) == (axis,) for i in node.inputs]
    if not any(inner):
        return None
    return concat([x for i, within in zip(node.inputs, inner) for x in (i.inputs if within else (i,))], axis)


JOINS: tuple[AnyRule, ...] = (
    Local("slice of concat", "slice", slice_of_concat, inputs=("concat",)),
    Local("slice of elementwise", "slice", slice_of_elementwise),
    Local("concat of slices", "concat", concat_of_slices),
    Local("concat of concat", "concat", concat_of_concat, inputs=("concat",)),
)
