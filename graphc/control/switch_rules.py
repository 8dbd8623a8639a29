"""Derivatives of `switch` and lanes through it: a switch of what the rules make of its branches.

reverse     the branch that ran runs again, followed by its reverse; an operand that it does not read gets 0
lanes       one branch for all lanes runs alone; where lanes differ in the index all branches run, and `where` selects
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.control.bodies import Pair, along_lanes, lifted, may_fail, never, of_some_lanes, opened, read_of, with_lanes
from graphc.control.tracing import stand_in
from graphc.derivatives.batch import batch
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import Cotangent, pull_back_masked
from graphc.derivatives.user_trees import zeros_like
from graphc.dims import Size
from graphc.dtypes import int64, is_float
from graphc.ir import Node, replace
from graphc.ops.arithmetic import clip
from graphc.ops.compare import where
from graphc.ops.reductions import any as any_of
from graphc.ops.registry import asarray
from graphc.ops.spread import astype, broadcast_to
from graphc.region import Region

MakeSwitch = Callable[..., tuple[Node, ...]]  # `graphc.control.switch.switch_node`
Parts = Sequence["Node | None"]


def _opened(branches: Sequence[Region]) -> tuple[list[Node], list[list[Node]]]:
    """(stand-ins for the operands, the results of each branch)."""
    xs, first = opened(branches[0])
    return xs, [first, *[branch(*xs) for branch in branches[1:]]]


def _switched(switch: MakeSwitch, index: Node, results: Sequence[Sequence[Node]], pairs: Sequence[Pair]) -> tuple[Node, ...]:
    """The switch of these branches, with the operands that one of them reads."""
    read = read_of(pairs, [node for result in results for node in result])
    return switch(index, results, [x for x, _ in read], [operand for _, operand in read])


def switch_vjp(
    switch: MakeSwitch, g: Sequence[Cotangent | None], wanted: Sequence[bool], out: Sequence[Node], index: Node, *inputs: Node,
    branches: tuple[Region, ...],
) -> list[Cotangent | None]:  # fmt: skip
    """The cotangents of the operands, with their masks where they are wanted; None where no branch passes one on.

    A branch that does not read an operand gives it a 0 that is masked: what the operand was made of is not there for this branch.
    """
    xs, made = _opened(branches)
    given: dict[int, Cotangent] = {k: u for k, u in enumerate(g) if u is not None and is_float(u.value.dtype)}
    seeds = {k: Cotangent(stand_in(u.value.tensor), None if u.mask is None else stand_in(u.mask.tensor)) for k, u in given.items()}
    sources, selecting = {x for x in xs if is_float(x.dtype)}, {x for x, is_wanted in zip(xs, wanted[1:]) if is_wanted}
    found = [pull_back_masked([(ys[k], u) for k, u in seeds.items()], sources, selecting=selecting) for ys in made]
    reached = [x for x in xs if any(x in f for f in found)]
    masked = [x for x in reached if x in selecting and any(x not in f or f[x].mask is not None for f in found)]
    if not reached:
        return [None] * (1 + len(inputs))
    results = []
    for f in found:
        parts = {x: f.get(x) or Cotangent(zeros_like(x), never(x)) for x in reached}
        results.append([*[parts[x].value for x in reached], *[_shown(parts[x]) for x in masked]])
    pairs = [*zip(xs, inputs), *[(x, v) for k, u in seeds.items() for x, v in zip(u, given[k]) if x is not None and v is not None]]
    arrived = _switched(switch, index, results, pairs)
    masks = dict(zip(masked, arrived[len(reached) :]))
    values = dict(zip(reached, arrived))
    return [None, *[Cotangent(values[x], masks.get(x)) if x in values else None for x in xs]]


def _shown(cotangent: Cotangent) -> Node:
    """The mask, all True where nothing is known."""
    mask = cotangent.mask
    return broadcast_to(asarray(True), cotangent.value.shape) if mask is None else mask


def switch_jvp(
    switch: MakeSwitch, out: Sequence[Node], inputs: Sequence[Node], tangents: Parts, *, branches: tuple[Region, ...]
) -> list[Node | None]:
    """The tangents of the outputs; None where no branch gives one."""
    xs, made = _opened(branches)
    moved = [(x, stand_in(x.tensor), t) for x, t in zip(xs, tangents[1:]) if t is not None]
    pushed = [push_forward(ys, {x: dx for x, dx, _ in moved}) for ys in made]
    along = [k for k in range(len(out)) if any(p[k] is not None for p in pushed)]
    results = [[t if (t := p[k]) is not None else zeros_like(ys[k]) for k in along] for p, ys in zip(pushed, made)]
    pairs = [*zip(xs, inputs[1:]), *[(dx, t) for _, dx, t in moved]]
    arrived = dict(zip(along, _switched(switch, inputs[0], results, pairs))) if along else {}
    return [arrived.get(k) for k in range(len(out))]


def switch_batch(switch: MakeSwitch, inputs: Sequence[Node], mapped: Sequence[bool], *, branches: tuple[Region, ...]) -> Sequence[Node]:
    """The outputs with a leading axis of lanes."""
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    xs, made = _opened(branches)
    if mapped[0]:
        return _selected(switch, inputs, mapped, size, xs, made)
    lanes = {x: with_lanes(x, size) for x, m in zip(xs, mapped[1:]) if m}
    results = [lifted(batch(ys, lanes, size), size) for ys in made]
    return _switched(switch, inputs[0], results, [(lanes.get(x, x), operand) for x, operand in zip(xs, inputs[1:])])


def _selected(
    switch: MakeSwitch, inputs: Sequence[Node], mapped: Sequence[bool], size: Size, xs: Sequence[Node], made: Sequence[Sequence[Node]]
) -> list[Node]:
    """All branches, and of each lane the results of the branch that it is in."""
    index = clip(inputs[0], 0, len(made) - 1)
    results = [_of_lanes(switch, index == k, inputs[1:], mapped[1:], size, xs, ys) for k, ys in enumerate(made)]
    chosen = list(results[0])
    for k, ys in enumerate(results[1:], 1):
        chosen = [where(along_lanes(index == k, y), y, before) for y, before in zip(ys, chosen)]
    return chosen


def _of_lanes(
    switch: MakeSwitch, taken: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size, xs: Sequence[Node], ys: Sequence[Node]
) -> list[Node]:
    """One branch, by all lanes at once. Where it may fail or not end on what it is not meant for, lanes that are not in it
    repeat the first one that is, and it does not run if none is."""
    lanes = {x: with_lanes(x, size) for x, m in zip(xs, mapped) if m}
    pairs = [(lanes.get(x, x), operand) for x, operand in zip(xs, inputs)]
    found = lifted(batch(ys, lanes, size), size)
    if not may_fail(ys):
        return replace(found, dict(pairs))
    mask = stand_in(taken.tensor)
    shown = replace(found, of_some_lanes(mask, lanes.values()))
    return list(_switched(switch, astype(any_of(taken), int64), [[zeros_like(y) for y in found], shown], [*pairs, (mask, taken)]))
