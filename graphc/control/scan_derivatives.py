"""Derivatives of `scan`: the tangent of a scan is a scan of carries with their tangents, its reverse a scan from the other end.

    forward     s' = f(s, x), y = g(s, x)       (s, ds) -> (f(s, x), f_s ds + f_x dx);  dy = g_s ds + g_x dx
    reverse     what f and g keep of each turn (`residuals`) are rows that the forward scan gives besides;  the reverse one carries
                u, the cotangent of s:          u -> f_s^T u + g_s^T v_t, and gives the rows f_x^T u + g_x^T v_t of the cotangent of xs;
                what is captured gets the sum over all turns of f_w^T u + g_w^T v_t

A pass makes one loop of the forward scans that share their carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.control.blocks import block_length, scan_in_blocks
from graphc.control.bodies import Pair, Turn, carried_along, carried_into, read_of, stand_in, vjp_of
from graphc.control.residuals import kept_of_each_turn
from graphc.derivatives.grad import pull_back
from graphc.derivatives.user_trees import zeros_like
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.ir import Node, replace
from graphc.region import Region

MakeScan = Callable[..., tuple[Node, ...]]  # `graphc.control.scan.scan_node`
Parts = Sequence["Node | None"]


def _looped(
    scan: MakeScan,
    results: Sequence[Node],
    index: Node,
    carried: Sequence[Pair],
    rows: Sequence[Pair],
    captured: Sequence[Pair],
    **how: Any,
) -> tuple[Node, ...]:
    """The scan of the body `results` over stand-ins and what they begin with; of rows and captured operands those that it reads."""
    read, held = read_of(rows, results), read_of(captured, results)
    pairs = [*carried, *read, *held]
    over, operands = [x for x, _ in pairs], [operand for _, operand in pairs]
    return scan(results, (index, *over), operands, carries=len(carried), sequences=len(read), **how)


def scan_jvp(
    scan: MakeScan, out: Sequence[Node], inputs: Sequence[Node], tangents: Parts, *, carries: int, sequences: int, body: Region, **how: Any
) -> list[Node | None]:
    """The tangents of the last carries and of ys; None where none arrives."""
    turn = Turn.of(body, carries, sequences)
    moving, pushed = carried_along(turn, tangents)
    along = [k for k in moving if k < carries]
    dys = {k: t for k, t in enumerate(pushed) if k >= carries and t is not None}
    results = [*turn.after, *[t if (t := pushed[k]) is not None else zeros_like(turn.after[k]) for k in along], *dys.values()]
    plain, rows = list(zip(turn.inputs, inputs)), carries + sequences
    begin = {k: (dx, t if (t := tangents[k]) is not None else zeros_like(inputs[k])) for k, dx in moving.items()}
    made = _looped(
        scan, results, turn.index,
        [*plain[:carries], *[begin[k] for k in along]],
        [*plain[carries:rows], *[pair for k, pair in begin.items() if carries <= k < rows]],
        [*plain[rows:], *[pair for k, pair in begin.items() if k >= rows]],
        **how,
    )  # fmt: skip
    arrived = dict(zip([*along, *dys], made[carries:]))
    return [arrived.get(k) for k in range(len(out))]


def scan_vjp(
    scan: MakeScan, g: Parts, out: Sequence[Node], *inputs: Node, carries: int, sequences: int, body: Region, **how: Any
) -> list[Node | None]:
    """The cotangents of inits, xs and captured operands; None where none arrives."""
    turn = Turn.of(body, carries, sequences)
    made = [*turn.after, *turn.ys]
    arriving = [k for k, u in enumerate(g) if u is not None and is_float(made[k].dtype)]
    pulled = carried_into([made[k] for k in arriving], turn.carries, turn.after)
    us = {k: stand_in(made[k].tensor) for k in sorted({*pulled, *arriving})}
    found = pull_back([(made[k], u) for k, u in us.items()], {x for x in turn.inputs if is_float(x.dtype)})
    ends = [turn.carries[k] for k in us if k < carries]
    sums = {w: stand_in(w.tensor) for w in turn.captured if w in found}
    reached = [x for x in turn.rows if x in found]
    results = [found[c] if c in found else zeros_like(c) for c in ends]
    results += [*[total + found[w] for w, total in sums.items()], *[found[x] for x in reached]]

    operands = dict(zip(turn.inputs, inputs))
    at_hand, given = [turn.index, *turn.rows], {*us.values(), *sums.values()}
    cut = kept_of_each_turn(results, turn.carries, at_hand, given, length=how["length"], checkpoint=how["checkpoint"])
    if cut is None:
        return _vjp_in_blocks(scan, g, inputs, carries=carries, sequences=sequences, body=body, **how)
    kept = _kept(scan, turn, operands, cut, out[carries:], **how)
    results = replace(results, {node: row for node, row, _ in kept})
    begin = {k: (u, v if (v := g[k]) is not None else zeros_like(out[k])) for k, u in us.items()}
    back = _looped(
        scan, results, turn.index,
        [*[pair for k, pair in begin.items() if k < carries], *[(total, zeros_like(operands[w])) for w, total in sums.items()]],
        [*[(row, array) for _, row, array in kept], *[(x, operands[x]) for x in turn.rows], *[p for k, p in begin.items() if k >= carries]],
        [(w, operands[w]) for w in turn.captured],
        **{**how, "reverse": not how["reverse"]},
    )  # fmt: skip
    arrived = dict(zip([*ends, *sums, *reached], back))
    return [arrived.get(x) for x in turn.inputs]


def _kept(
    scan: MakeScan, turn: Turn, operands: Mapping[Node, Node], cut: Sequence[Node], ys: Sequence[Node], **how: Any
) -> list[tuple[Node, Node, Node]]:
    """(a value of the forward body, a stand-in for its row, the array of all rows) for all that is kept for the reverse body."""
    stacked = dict(zip(turn.ys, ys))  # at hand, as the user's results
    fresh = [node for node in cut if node not in stacked]
    if fresh:
        carried, rows, captured = ([(x, operands[x]) for x in part] for part in (turn.carries, turn.rows, turn.captured))
        made = _looped(scan, [*turn.after, *fresh], turn.index, carried, rows, captured, **how)
        stacked |= dict(zip(fresh, made[len(carried) :]))
    return [(node, stand_in(node.tensor), stacked[node]) for node in cut]


def _vjp_in_blocks(
    scan: MakeScan, g: Parts, inputs: Sequence[Node], *, length: Size, checkpoint: str | int | None, **how: Any
) -> list[Node | None]:
    """The cotangents of the inputs, by the same loop in blocks."""
    made = lambda *xs: scan_in_blocks(scan, xs, block_length(length), length=length, **how)
    return vjp_of(made, g, inputs)
