"""Products leave a loop: before it what only rows of arrays need, behind it what no later turn needs.

    hoist    h' = tanh(h @ U + x @ W)           X = xs @ W          h' = tanh(h @ U + x), x a row of X
    sink     y = h @ V, in every turn           h in every turn     ys = hs @ V
             g' = g + outer(a, b)               a, b in every turn  g + product of all a and b, summed over the turns

One large product has several times the speed of many small ones, and fills threads. The reverse loop of a recurrent network is full of
sums of outer products. A loop whose user asks for little memory (`checkpoint`) keeps its products. Functions of a few numbers of a row
are hoisted as well: vectors of them are computed at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc import dims
from graphc.derivatives.batch import batch
from graphc.derivatives.user_trees import is_zeros
from graphc.dims import Size
from graphc.ir import Node
from graphc.ir import replace as replaced
from graphc.ops.contract import CONTRACT, contract
from graphc.ops.create import iota
from graphc.ops.outputs import GET
from graphc.ops.registry import OPS
from graphc.ops.spread import REDUCE, reduce
from graphc.passes.loops.opened import Carry, OpenScan, Row, close_scan, depends, open_scan, stand_in

ADD, SUBTRACT = OPS["add"], OPS["subtract"]
FEW = 16  # elements of a row: functions of so few fill a vector only together with those of other rows
KEPT = 4  # times the bytes of ys: what may be kept instead, for a product to leave the loop
TYPICAL = 64  # a size that nobody knows


def moved(node: Node) -> tuple[Node, ...] | None:
    """The outputs of a scan that has lost products; None where it has none to lose."""
    scan = open_scan(node)
    if scan.frugal or scan.length == 0:
        return None
    hoisted = hoist(scan)
    sunk = sink(hoisted or scan)
    if sunk is not None:
        return sunk
    return None if hoisted is None else close_scan(hoisted)


# -- before the loop ----------------------------------------------------------------------------------------------------
def hoist(scan: OpenScan) -> OpenScan | None:
    """The loop with rows of what is computed before it; None where nothing is."""
    order = scan.order()
    carried = depends(order, [c.leaf for c in scan.carries])
    rows = depends(order, [scan.turn, *[r.leaf for r in scan.rows]])
    found = [n for n in order if n in rows and n not in carried and n.inputs and _worth(n)]
    found = [n for n in found if not any(m.op.regions or m.op.traits.checked for m in scan.order([n]))]
    if not found or not scan.carries:
        return None
    arrays = batch(found, _lanes(scan), scan.length)
    leaves = [stand_in(_free(scan) + k, n.tensor) for k, n in enumerate(found)]
    made = scan.with_results(replaced(scan.results, dict(zip(found, leaves))))
    return replace(made, rows=(*scan.rows, *[Row(array, leaf) for (array, _), leaf in zip(arrays, leaves)]))


def _worth(node: Node) -> bool:
    """Whether a value is better computed for all turns at once: a product, or a function of few numbers."""
    few = isinstance(node.tensor.size, int) and node.tensor.size <= FEW if not isinstance(node.type, tuple) else False
    return node.op is CONTRACT or (few and node.op.elementwise and node.op.costly and not node.op.traits.instruction)


def _lanes(scan: OpenScan) -> dict[Node, Node]:
    return {scan.turn: iota((scan.length,), 0)} | {r.leaf: r.array for r in scan.rows}


def _free(scan: OpenScan) -> int:
    """The number of the first stand-in that is not in use."""
    return max([-int(leaf.params[1]) for leaf in scan.over])


# -- behind the loop ----------------------------------------------------------------------------------------------------
def sink(scan: OpenScan) -> tuple[Node, ...] | None:
    """The outputs of the loop, products of which come behind it; None where none does."""
    order = scan.order()
    changing = depends(order, scan.over)
    nexts = set(scan.order([c.next for c in scan.carries]))
    sums = {k: found for k, c in enumerate(scan.carries) if (found := _accumulated(scan, c, order)) is not None}
    products = [k for k, term in sums.items() if term.op is CONTRACT and all(i in changing for i in term.inputs)]
    late = {k: cut for k, y in enumerate(scan.ys) if (cut := _late(scan, y, nexts)) is not None}
    wanted = [i for k in products for i in sums[k].inputs] + [i for cut in late.values() for i in cut]
    saved = list(dict.fromkeys([i for i in wanted if i in changing]))
    stacked = {*saved, *[y for k, y in enumerate(scan.ys) if k not in late], *[r.leaf for r in scan.rows]}
    behind = {*products, *[k for k, term in sums.items() if _summand(term) in stacked]}  # the terms are at hand there
    if not behind and not late:
        return None
    count = len(scan.carries)
    kept = [k for k in range(count) if k not in behind]
    ys = [y for k, y in enumerate(scan.ys) if k not in late]
    saved = list(dict.fromkeys([*saved, *[_summand(sums[k]) for k in sorted(behind) if k not in products]]))
    closed = close_scan(replace(scan, carries=tuple([scan.carries[k] for k in kept]), ys=(*ys, *saved)))
    lanes = dict(zip(saved, closed[len(kept) + len(ys) :]))
    inside, rows = iter(closed[: len(kept)]), iter(closed[len(kept) : len(kept) + len(ys)])
    lasts = [_summed(scan.carries[k], sums[k], lanes) if k in behind else next(inside) for k in range(count)]
    outside = iter(batch([scan.ys[k] for k in sorted(late)], lanes, scan.length))
    return (*lasts, *[next(outside)[0] if k in late else next(rows) for k in range(len(scan.ys))])


def _accumulated(scan: OpenScan, carry: Carry, order: Sequence[Node]) -> Node | None:
    """The term that a carry adds or subtracts in every turn, if that is all that happens to it and nobody else reads it."""
    total = carry.next
    if total.op is not ADD and total.op is not SUBTRACT:
        return None
    a, b = total.inputs
    term = b if a is carry.leaf else a if b is carry.leaf and total.op is ADD else None
    readers = [n for n in order if any(i is carry.leaf for i in n.inputs)]
    results = [r for r in scan.results if r is total or r is carry.leaf]
    alone = len(readers) == 1 and len(results) == 1 and not any(i is total for n in order for i in n.inputs)
    return term if alone and term is not carry.leaf else None


def _summand(term: Node) -> Node:
    """What a term is a sum of, along axes; the term itself where it is no sum."""
    return term.inputs[0] if term.op is REDUCE and term.attrs["combine"] == "sum" else term


def _summed(carry: Carry, term: Node, lanes: dict[Node, Node]) -> Node:
    """What the carry begins as + the sum of its terms over the turns: the turn becomes an axis that is summed."""
    if term.op is CONTRACT and term not in lanes:
        (la, lb, out), (a, b) = term.params[0], term.inputs
        turn = max((*la, *lb), default=-1) + 1
        every = contract(lanes[a], lanes[b], ((turn, *la), (turn, *lb), out))
    else:
        axes = term.attrs["axes"] if _summand(term) is not term else ()
        every = reduce(lanes[_summand(term)], (0, *[a + 1 for a in axes]), "sum")
    if carry.next.op is SUBTRACT:
        return carry.init - every
    return every if is_zeros(carry.init) else carry.init + every


def _late(scan: OpenScan, y: Node, nexts: Collection[Node]) -> list[Node] | None:
    """What must be kept of each turn to compute the rows y behind the loop; None where y is better computed in it."""
    over, changing = set(scan.over), depends(scan.order([y]), scan.over)
    # one of several outputs is kept, not all of them
    known = {n for n in scan.order([y]) if n in nexts or n in over or (n.op is GET and n.inputs[0] in nexts)}
    late = [n for n in scan.order([y]) if n in changing and n not in known]
    products = [n for n in late if n.op is CONTRACT and not all(i in changing for i in n.inputs)]
    if not products or any(n.op.regions or n.op.traits.checked for n in late):
        return None
    inside = set(late)
    cut = list(dict.fromkeys([i for n in late for i in n.inputs if i in changing and i not in inside]))
    return cut if sum(map(_bytes, cut)) <= KEPT * _bytes(y) else None


def _bytes(node: Node) -> int:
    size: Size = node.size
    return node.dtype.itemsize * dims.evaluate(size, dict.fromkeys(dims.symbols(size), TYPICAL))
