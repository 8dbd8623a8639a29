"""Lanes through `scan`: the same loop over carries and rows that have lanes, wherever one of them has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.control.bodies import Turn, with_lanes
from graphc.derivatives.batch import batch, lift
from graphc.dims import Size
from graphc.ir import Node
from graphc.ops.shape import moveaxis
from graphc.region import Region


def scan_batch(
    scan: Callable[..., tuple[Node, ...]], inputs: Sequence[Node], mapped: Sequence[bool], *,
    length: Size, carries: int, sequences: int, body: Region, **how: Any,
) -> list[Node]:  # fmt: skip
    """The outputs with a leading axis of lanes. A carry has lanes if it begins with them, or gets them in a turn."""
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    turn = Turn.of(body, carries, sequences)
    rows = carries + sequences
    lanes = {x: with_lanes(x, size) for x, m in zip(turn.inputs, mapped) if m}
    while True:
        found = batch([*turn.after, *turn.ys], lanes, size)
        more = [x for x, (_, m) in zip(turn.carries, found) if m and x not in lanes]
        if not more:
            break
        lanes |= {x: with_lanes(x, size) for x in more}
    results = [lift(y, size) if x in lanes and not m else y for x, (y, m) in zip(turn.carries, found)] + [y for y, _ in found[carries:]]
    over = [lanes.get(x, x) for x in turn.inputs]
    begin = [lift(v, size) if x in lanes and not m else v for x, v, m in zip(turn.carries, inputs, mapped)]
    begin += [moveaxis(v, 0, 1) if m else v for v, m in zip(inputs[carries:rows], mapped[carries:rows])]
    made = scan(results, (turn.index, *over), (*begin, *inputs[rows:]), length=length, carries=carries, sequences=sequences, **how)
    last = [y if x in lanes else lift(y, size) for x, y in zip(turn.carries, made)]
    return last + [moveaxis(y, 1, 0) if m else lift(y, size) for y, (_, m) in zip(made[carries:], found[carries:])]
