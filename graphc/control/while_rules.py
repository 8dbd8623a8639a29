"""Derivatives of `while_loop` and lanes through it.

forward     the loop of carries with their tangents; the condition is that of the carries
reverse     of the scan of max_steps turns that does the same: a turn after the end is one branch, which leaves the carry as it is
lanes       as long as a lane runs; a lane that has ended keeps its carry
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.control.bodies import Pair, Turn, along_lanes, carried_along, may_fail, of_some_lanes, read_of, vjp_of, with_lanes
from graphc.control.scan import scan_node
from graphc.control.switch import switch_node
from graphc.control.tracing import stand_in
from graphc.derivatives.batch import batch, lift
from graphc.derivatives.grad import Cotangent
from graphc.derivatives.user_trees import zeros_like
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.errors import NotDifferentiableError, fail
from graphc.ir import Node, replace
from graphc.ops.compare import where
from graphc.ops.reductions import any as any_of
from graphc.ops.registry import asarray
from graphc.ops.spread import astype
from graphc.region import Region
from graphc.types import tensor_type

MakeWhile = Callable[..., tuple[Node, ...]]  # `graphc.control.while_loop.while_node`
Parts = Sequence["Node | None"]


def while_jvp(
    loop: MakeWhile, out: Sequence[Node], inputs: Sequence[Node], tangents: Parts, *,
    carries: int, max_steps: Size | None, condition: Region, body: Region,
) -> list[Node | None]:  # fmt: skip
    """The tangents of the last carries; None where none arrives."""
    turn = Turn.of(body, carries)
    moving, pushed = carried_along(turn, tangents)
    (holds,) = condition(turn.index, *turn.inputs)
    along = [k for k in moving if k < carries]
    results = [*turn.after, *[t if (t := pushed[k]) is not None else zeros_like(turn.after[k]) for k in along]]
    plain = list(zip(turn.inputs, inputs))
    begin = {k: (dx, t if (t := tangents[k]) is not None else zeros_like(inputs[k])) for k, dx in moving.items()}
    carried = [*plain[:carries], *[begin[k] for k in along]]
    held = read_of([*plain[carries:], *[pair for k, pair in begin.items() if k >= carries]], [holds, *results])
    made = loop(holds, results, *_split(turn.index, [*carried, *held]), max_steps)
    arrived = dict(zip(along, made[carries:]))
    return [arrived.get(k) for k in range(len(out))]


def _split(index: Node, pairs: Sequence[Pair]) -> tuple[list[Node], list[Node]]:
    return [index, *[x for x, _ in pairs]], [operand for _, operand in pairs]


def while_vjp(
    g: Sequence[Cotangent | None], wanted: Sequence[bool], out: Sequence[Node], *inputs: Node,
    carries: int, max_steps: Size | None, condition: Region, body: Region,
) -> list[Cotangent | None]:  # fmt: skip
    """The cotangents of inits and captured operands; None where none arrives."""
    if max_steps is None:
        what = "the reverse derivative of while_loop needs max_steps: memory for so many turns is kept"
        hint = "give while_loop max_steps=, or fori_loop bounds that are no nodes; jvp needs neither"
        fail(NotDifferentiableError, what, out[0].inputs[0], hint=hint)
    return vjp_of(lambda *xs: _as_scan(xs, carries, max_steps, condition, body), g, wanted, inputs)


def _as_scan(inputs: Sequence[Node], carries: int, max_steps: Size, condition: Region, body: Region) -> tuple[Node, ...]:
    """The last carries of the loop, as a scan of all its turns: carry -> (runs, carry), with nothing but a branch after the end."""
    turn = Turn.of(body, carries)
    here = [turn.index, *turn.inputs]
    (holds,) = condition(*here)
    after = switch_node(astype(holds, int64), [turn.carries, turn.after], here, here)
    runs = stand_in(tensor_type(bool_, ()))
    step = switch_node(astype(runs, int64), [[asarray(False), *turn.carries], [holds, *after]], here, here)
    over, operands = (turn.index, runs, *turn.inputs), (asarray(True), *inputs)
    return scan_node(step, over, operands, length=max_steps, carries=carries + 1, sequences=0)[1:]


def while_batch(
    loop: MakeWhile, inputs: Sequence[Node], mapped: Sequence[bool], *,
    carries: int, max_steps: Size | None, condition: Region, body: Region,
) -> list[Node]:  # fmt: skip
    """The outputs with a leading axis of lanes. A carry has lanes if it begins with them, or gets them in a turn."""
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    turn = Turn.of(body, carries)
    (holds,) = condition(turn.index, *turn.inputs)
    lanes = {x: with_lanes(x, size) for x, m in zip(turn.inputs, mapped) if m}
    while True:
        *found, (runs, differs) = batch([*turn.after, holds], lanes, size)
        more = [x for x, (_, m) in zip(turn.carries, found) if (m or differs) and x not in lanes]
        if not more:
            break
        lanes |= {x: with_lanes(x, size) for x in more}
    begin = [lift(v, size) if x in lanes and not m else v for x, v, m in zip(turn.inputs, inputs, mapped)]
    pairs = [(lanes.get(x, x), v) for x, v in zip(turn.inputs, begin)]
    after = [lift(y, size) if x in lanes and not m else y for x, (y, m) in zip(turn.carries, found)]
    if differs:
        return _while_some_run(loop, turn, pairs, list(lanes.values()), after, runs, size, max_steps)
    held = read_of(pairs[carries:], [runs, *after])
    *made, turns = loop(runs, after, *_split(turn.index, [*pairs[:carries], *held]), max_steps)
    return [y if x in lanes else lift(y, size) for x, y in zip(turn.carries, made)] + [lift(turns, size)]


def _while_some_run(
    loop: MakeWhile,
    turn: Turn,
    pairs: Sequence[Pair],
    lanes: Sequence[Node],
    after: Sequence[Node],
    runs: Node,
    size: Size,
    max_steps: Size | None,
) -> list[Node]:
    """The loop of all lanes while one of them runs: carries (lanes that run, turns of each lane, the carries).

    A lane that has ended does not begin again, whatever the condition says of later turns. Of a body that may fail on values that it is
    not meant for, such a lane sees those of a lane that runs.
    """
    carries, count = [c for c, _ in pairs[: len(after)]], len(after)
    running, turns = stand_in(tensor_type(bool_, (size,))), stand_in(tensor_type(int64, (size,)))
    now = running & runs
    made = replace(after, of_some_lanes(now, lanes)) if may_fail(after) else after
    results = [now, turns + astype(now, int64), *[where(along_lanes(now, y), y, c) for y, c in zip(made, carries)]]
    begin: list[Pair] = [(running, lift(asarray(True), size)), (turns, lift(asarray(0, int64), size)), *pairs[:count]]
    held = read_of(pairs[count:], results)
    _, each, *last = loop(any_of(now), results, *_split(turn.index, [*begin, *held]), max_steps)[:-1]
    return [*last, each]
