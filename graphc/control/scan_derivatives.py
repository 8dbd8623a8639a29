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
from graphc.control.bodies import Pair, Turn, carried_along, carried_into, never, read_of, vjp_of
from graphc.control.residuals import kept_of_each_turn
from graphc.control.tracing import stand_in
from graphc.derivatives.grad import Cotangent, passes, pull_back_masked, selects
from graphc.derivatives.user_trees import zeros_like
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.ir import Node, Op, replace
from graphc.ops.compare import logical_not
from graphc.region import Region, everywhere

MakeScan = Callable[..., tuple[Node, ...]]  # `graphc.control.scan.scan_node`
Parts = Sequence["Node | None"]
Cotangents = Sequence["Cotangent | None"]


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
    scan: MakeScan, g: Cotangents, wanted: Sequence[bool], out: Sequence[Node], *inputs: Node,
    carries: int, sequences: int, body: Region, **how: Any,
) -> list[Cotangent | None]:  # fmt: skip
    """The cotangents of inits, xs and captured operands, with their masks where they are wanted; None where none arrives."""
    turn = Turn.of(body, carries, sequences)
    us, masks, found = _pulled(turn, g, {x for x, m in zip(turn.inputs, wanted) if m}, out[0].inputs[0].op)
    back = _Reverse()
    for k in [k for k in us if k < carries]:
        c, u = turn.carries[k], g[k]
        pulled = found.get(c) or Cotangent(zeros_like(c), never(c))
        back.carry((c, "value"), us[k], u.value if u is not None else zeros_like(out[k]), pulled.value)
        if k in masks:
            assert pulled.mask is not None
            back.carry((c, "mask"), masks[k], _mask_at_the_end(u, out[k]), pulled.mask)
    operands = dict(zip(turn.inputs, inputs))
    for w in [w for w in turn.captured if w in found]:
        value, mask = found[w]
        total = stand_in(w.tensor)
        back.carry((w, "value"), total, zeros_like(operands[w]), total + value)
        if mask is not None:
            ever = stand_in(mask.tensor)
            back.carry((w, "mask"), ever, never(operands[w]), ever | mask)
    for x in [x for x in turn.rows if x in found]:
        value, mask = found[x]
        back.ys[x, "value"] = value
        if mask is not None:
            back.ys[x, "mask"] = mask
    at_hand, given = [turn.index, *turn.rows], {*us.values(), *masks.values(), *[x for x, _ in back.carried]}
    cut = kept_of_each_turn(back.results, turn.carries, at_hand, given, length=how["length"], checkpoint=how["checkpoint"])
    if cut is None:
        return _vjp_in_blocks(scan, g, wanted, inputs, carries=carries, sequences=sequences, body=body, **how)
    kept = _kept(scan, turn, operands, cut, out[carries:], **how)
    arriving = [(us[k], u.value) for k, u in enumerate(g) if u is not None and k >= carries and k in us]
    arriving += [(masks[k], u.mask) for k, u in enumerate(g) if u is not None and k >= carries and k in masks and u.mask is not None]
    made = _looped(
        scan, replace(back.results, {node: row for node, row, _ in kept}), turn.index, back.carried,
        [*[(row, array) for _, row, array in kept], *[(x, operands[x]) for x in turn.rows], *arriving],
        [(w, operands[w]) for w in turn.captured], **{**how, "reverse": not how["reverse"]},
    )  # fmt: skip
    arrived = dict(zip(back.places, made))
    return [Cotangent(arrived[x, "value"], arrived.get((x, "mask"))) if (x, "value") in arrived else None for x in turn.inputs]


class _Reverse:
    """The reverse loop as it is put together: what it carries and gives, each by the input of the forward body that it is of."""

    def __init__(self) -> None:
        self.carried: list[Pair] = []
        self.next: dict[tuple[Node, str], Node] = {}
        self.ys: dict[tuple[Node, str], Node] = {}

    def carry(self, place: tuple[Node, str], x: Node, begin: Node, after: Node) -> None:
        self.carried.append((x, begin))
        self.next[place] = after

    @property
    def results(self) -> list[Node]:
        return [*self.next.values(), *self.ys.values()]

    @property
    def places(self) -> list[tuple[Node, str]]:
        return [*self.next, *self.ys]


def _pulled(turn: Turn, g: Cotangents, wanted: set[Node], own: Op) -> tuple[dict[int, Node], dict[int, Node], dict[Node, Cotangent]]:
    """One turn in reverse: (stand-ins for the cotangents of results, for the masks of some, the cotangents of the turn's inputs).

    A carry has a cotangent if one arrives, at the end or from a later turn. It has a mask if each turn gives it one again: all are
    taken to have one, until a turn refutes it.
    """
    made, carries = [*turn.after, *turn.ys], turn.carries
    arriving = [k for k, u in enumerate(g) if u is not None and is_float(made[k].dtype)]
    pulled = carried_into([made[k] for k in arriving], carries, turn.after)
    us = {k: stand_in(made[k].tensor) for k in sorted({*pulled, *arriving})}
    sources = {x for x in turn.inputs if is_float(x.dtype)}
    masked = (
        {k for k in us if k < len(carries) or ((u := g[k]) is not None and u.mask is not None)}
        if _masks_matter(made, g, wanted, own)
        else set()
    )
    while True:
        masks = {k: stand_in(never(made[k]).tensor) for k in us if k in masked}
        seeds = [(made[k], Cotangent(u, masks.get(k))) for k, u in us.items()]
        found = pull_back_masked(seeds, sources, selecting=wanted | {carries[k] for k in masks if k < len(carries)})
        lost = {k for k in masked if k < len(carries) and carries[k] in found and found[carries[k]].mask is None}
        if not lost:
            asked = {*wanted, *carries}
            return us, masks, {x: c if x in asked else Cotangent(c.value, None) for x, c in found.items()}
        masked -= lost


def _mask_at_the_end(u: Cotangent | None, like: Node) -> Node:
    """Of the last carry: none of it where no cotangent arrives, all of it where one without a mask does."""
    if u is None:
        return never(like)
    return logical_not(never(like)) if u.mask is None else u.mask


def _masks_matter(made: Sequence[Node], g: Cotangents, wanted: set[Node], own: Op) -> bool:
    """Whether masks arrive or may arise in the body, and are of use there or outside."""
    nodes = list(everywhere(made))
    arise = any(u is not None and u.mask is not None for u in g)
    arise = arise or any(n.op.traits.masks or (n.op.traits.through and n.op is not own) for n in nodes)
    return arise and (bool(wanted) or any(n.op.elementwise and selects(n) and passes(n) for n in nodes))


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
    scan: MakeScan, g: Cotangents, wanted: Sequence[bool], inputs: Sequence[Node], *, length: Size, checkpoint: str | int | None, **how: Any
) -> list[Cotangent | None]:
    """The cotangents of the inputs, by the same loop in blocks."""
    made = lambda *xs: scan_in_blocks(scan, xs, block_length(length), length=length, **how)
    return vjp_of(made, g, wanted, inputs)
