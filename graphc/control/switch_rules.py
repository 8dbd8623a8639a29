"""Derivatives of `switch` and lanes through it: a switch of what the rules make of its branches.

reverse     the branch that ran runs again, followed by its reverse; an operand that it does not read gets 0
lanes       one branch for all lanes runs alone; where lanes differ in the index all branches run, and `where` selects
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.control.bodies import Pair, lifted, opened, read_of, stand_in, with_lanes
from graphc.derivatives.batch import batch
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import pull_back
from graphc.derivatives.user_trees import zeros_like
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.ir import Node, replace
from graphc.ops.arithmetic import clip
from graphc.ops.compare import where
from graphc.ops.shape import reshape
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
    switch: MakeSwitch, g: Parts, out: Sequence[Node], index: Node, *inputs: Node, branches: tuple[Region, ...]
) -> list[Node | None]:
    """The cotangents of the operands; None where no branch passes one on."""
    xs, made = _opened(branches)
    us = [(k, stand_in(u.tensor), u) for k, u in enumerate(g) if u is not None and is_float(u.dtype)]
    sources = {x for x in xs if is_float(x.dtype)}
    found = [pull_back([(ys[k], u) for k, u, _ in us], sources) for ys in made]
    reached = [x for x in xs if any(x in f for f in found)]
    results = [[f[x] if x in f else zeros_like(x) for x in reached] for f in found]
    pairs = [*zip(xs, inputs), *[(u, given) for _, u, given in us]]
    arrived = dict(zip(reached, _switched(switch, index, results, pairs))) if reached else {}
    return [None, *[arrived.get(x) for x in xs]]


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
        return _selected(inputs, mapped, size, xs, made)
    lanes = {x: with_lanes(x, size) for x, m in zip(xs, mapped[1:]) if m}
    results = [lifted(batch(ys, lanes, size), size) for ys in made]
    return _switched(switch, inputs[0], results, [(lanes.get(x, x), operand) for x, operand in zip(xs, inputs[1:])])


def _selected(inputs: Sequence[Node], mapped: Sequence[bool], size: Size, xs: Sequence[Node], made: Sequence[Sequence[Node]]) -> list[Node]:
    """All branches, and of each lane the results of the branch that it is in."""
    index = clip(inputs[0], 0, len(made) - 1)
    lanes = {x: operand for x, operand, m in zip(xs, inputs[1:], mapped[1:]) if m}
    same = {x: operand for x, operand, m in zip(xs, inputs[1:], mapped[1:]) if not m}
    results = [replace(lifted(batch(ys, lanes, size), size), same) for ys in made]
    chosen = list(results[0])
    for k, ys in enumerate(results[1:], 1):
        chosen = [where(reshape(index == k, (size, *[1] * (y.ndim - 1))), y, before) for y, before in zip(ys, chosen)]
    return chosen
