"""A loop or a branch taken apart: its body over stand-ins, with what it captures in place; and put together again.

    SCAN(c0, xs, w; body = @1 * @3 + @2)   opened:   carry (c0, c, c * w + x),  row (xs, x)     closed: the same node

Opened, a body is an ordinary stretch of graph, whose invariant parts are the very nodes that lie outside of it. Closed, the largest
expressions that do not change from turn to turn are captured: so invariant work leaves every loop that is looked at. Values that are
found without arithmetic (views, constants, what only repeats another) are made inside, where they cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc.control.scan import SCAN
from graphc.dims import Size
from graphc.ir import Node, make, origin, toposort
from graphc.ops.outputs import outputs
from graphc.ops.registry import INPUT
from graphc.records import dataclass
from graphc.region import bind, is_free
from graphc.types import TensorType


def stand_in(k: int, type: TensorType) -> Node:
    """The variable that stands for input k of the body that is open: one body is open at a time, so one set of them does."""
    with origin(("", 0)):
        return make(INPUT, (), ("opened", -1 - k, type.dtype, type.shape))


@dataclass(frozen=True)
class Carry:
    """What goes from turn to turn: it begins as `init`, is `leaf` in a turn, and `next` after it."""

    init: Node
    leaf: Node
    next: Node


@dataclass(frozen=True)
class Row:
    """`leaf` is a row of `array` in each turn."""

    array: Node
    leaf: Node


@dataclass(frozen=True)
class OpenScan:
    """A scan taken apart; `ys` are the rows that a turn gives, `captured` what the body reads from outside."""

    node: Node
    turn: Node
    carries: tuple[Carry, ...]
    rows: tuple[Row, ...]
    ys: tuple[Node, ...]
    captured: tuple[Node, ...]

    @property
    def length(self) -> Size:
        return self.node.attrs["length"]  # type: ignore[no-any-return]

    @property
    def reverse(self) -> bool:
        return self.node.attrs["reverse"]  # type: ignore[no-any-return]

    @property
    def frugal(self) -> bool:
        """Whether its user wants it to keep little."""
        return self.node.attrs["checkpoint"] is not None

    @property
    def over(self) -> tuple[Node, ...]:
        """What changes from turn to turn."""
        return (self.turn, *[c.leaf for c in self.carries], *[r.leaf for r in self.rows])

    @property
    def results(self) -> tuple[Node, ...]:
        """What a turn gives: the next carries, the ys."""
        return (*[c.next for c in self.carries], *self.ys)

    def order(self, roots: Sequence[Node] | None = None) -> list[Node]:
        """The nodes of the body, of all results or of `roots`; what is captured is not entered."""
        return toposort(self.results if roots is None else roots, stop=(*self.over, *self.captured))

    def with_results(self, results: Sequence[Node]) -> OpenScan:
        """The same loop with other results."""
        carries = [replace(c, next=n) for c, n in zip(self.carries, results)]
        return replace(self, carries=tuple(carries), ys=tuple(results[len(carries) :]))


def open_scan(node: Node, inputs: Sequence[Node] | None = None, first: int = 0) -> OpenScan:
    """The loop of a scan node, or of one with these inputs, with stand-ins from number `first` on."""
    params = node.attrs
    given = node.inputs if inputs is None else tuple(inputs)
    n, m, body = params["carries"], params["sequences"], params["body"]
    leaves = [stand_in(first + k, t) for k, t in enumerate(body.types[: 1 + n + m])]
    captured = given[n + m :]
    made = body(*leaves, *captured)
    carries = tuple([Carry(*parts) for parts in zip(given[:n], leaves[1 : 1 + n], made[:n])])
    rows = tuple([Row(*parts) for parts in zip(given[n : n + m], leaves[1 + n :])])
    return OpenScan(node, leaves[0], carries, rows, tuple(made[n:]), captured)


def close_scan(scan: OpenScan) -> tuple[Node, ...]:
    """The outputs of the node of an opened scan."""
    over, params = scan.over, scan.node.attrs
    captured = invariants(scan.results, over, scan.captured)
    body = bind(scan.results, [*over, *captured])
    operands = (*[c.init for c in scan.carries], *[r.array for r in scan.rows], *captured)
    params |= {"carries": len(scan.carries), "sequences": len(scan.rows), "body": body}
    with origin(scan.node.site):
        return outputs(make(SCAN, operands, tuple(params[name] for name in SCAN.params)))


def invariants(results: Sequence[Node], over: Collection[Node], captured: Collection[Node]) -> list[Node]:
    """What a body captures: the largest expressions that do not depend on `over`, as far as they take arithmetic.

    A lookup that is checked stays where it is, as a loop without turns does not fail; so does a loop in the loop.
    """
    changes, given = set(over), set(captured)
    order = toposort(results, stop=(*over, *captured))
    inside = set(over)
    for node in order:
        stays = node.op.traits.checked is not None or bool(node.op.regions)
        if node not in given and (stays or any([i in inside for i in node.inputs])):
            inside.add(node)
    waiting = [r for r in results if r not in inside][::-1]
    for node in reversed(order):
        if node in inside and node not in changes:
            waiting += [i for i in node.inputs if i not in inside]
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if _costs_nothing(node):
            waiting += node.inputs[::-1]
        else:
            found[node] = None
    return list(found)


def _costs_nothing(node: Node) -> bool:
    """Whether the node is as well made in every turn as kept: a constant, or all elements of another value, moved about or repeated."""
    traits = node.op.traits
    if not node.inputs:
        return not is_free(node)
    if traits.moves not in ("same", "view"):
        return False
    return traits.repeats or traits.relabels or node.size == node.inputs[0].size


def depends(order: Sequence[Node], on: Collection[Node]) -> set[Node]:
    """The nodes of an order that depend on some of its leaves, these included."""
    found = set(on)
    for node in order:
        if node not in found and any([i in found for i in node.inputs]):
            found.add(node)
    return found
