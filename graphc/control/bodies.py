"""What the rules of all ops with bodies share: a body called on stand-ins, and what a new body reads of them.

The rules of an op are in a file of their own, below the one that has its row; so they are handed what makes a node of the op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphc.control.tracing import stand_in
from graphc.derivatives.batch import lift
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import Cotangent, passes, pull_back_masked
from graphc.dims import Size
from graphc.dtypes import int64, is_float
from graphc.ir import Node, replace, toposort
from graphc.ops.compare import where
from graphc.ops.indexing import take
from graphc.ops.reductions import cumsum
from graphc.ops.reductions import sum as sum_of
from graphc.ops.registry import asarray
from graphc.ops.shape import reshape
from graphc.ops.spread import astype, broadcast_to
from graphc.records import dataclass
from graphc.region import Region, everywhere
from graphc.types import tensor_type

Pair = tuple[Node, Node]  # a stand-in in a body, and the operand that it stands for


def opened(body: Region) -> tuple[list[Node], list[Node]]:
    """(new variables, the body called on them)."""
    xs = [stand_in(t) for t in body.types]
    return xs, body(*xs)


def read_of(pairs: Iterable[Pair], results: Sequence[Node]) -> list[Pair]:
    """The pairs whose stand-in the results read."""
    read = set(toposort(results))
    return [pair for pair in pairs if pair[0] in read]


@dataclass(frozen=True)
class Turn:
    """One turn of a loop on stand-ins: `after` are the carries that it gives, `ys` the rows."""

    index: Node
    carries: list[Node]
    rows: list[Node]
    captured: list[Node]
    after: list[Node]
    ys: list[Node]

    @classmethod
    def of(cls, body: Region, carries: int, sequences: int = 0) -> Turn:
        """The body of a loop with so many carries and sequences, called on new variables."""
        (index, *xs), made = opened(body)
        rows = carries + sequences
        return cls(index, xs[:carries], xs[carries:rows], xs[rows:], made[:carries], made[carries:])

    @property
    def inputs(self) -> list[Node]:
        """The stand-ins of the op's operands, in their order."""
        return [*self.carries, *self.rows, *self.captured]


def carried_into(seeds: Iterable[Node], carries: Sequence[Node], after: Sequence[Node]) -> list[int]:
    """The carries on which a derivative arrives that starts at `seeds`, in this turn or in an earlier one."""
    place = {node: k for k, node in enumerate(carries) if is_float(node.dtype)}
    found: set[int] = set()
    seen: set[Node] = set()
    stack = list(seeds)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        k = place.get(node)
        if k is not None:
            found.add(k)
            stack.append(after[k])
        elif passes(node):
            stack += node.inputs
    return sorted(found)


def carried_along(turn: Turn, tangents: Sequence[Node | None]) -> tuple[dict[int, Node], list[Node | None]]:
    """(stand-ins for the tangents of those inputs that have one, by number; the tangents of the results, None where there is none).

    A carry has a tangent if it begins with one, or gets one in a turn.
    """
    moving = {k: stand_in(x.tensor) for k, x in enumerate(turn.inputs) if tangents[k] is not None}
    while True:
        pushed = push_forward([*turn.after, *turn.ys], {turn.inputs[k]: dx for k, dx in moving.items()})
        more = [k for k in range(len(turn.carries)) if pushed[k] is not None and k not in moving]
        if not more:
            return dict(sorted(moving.items())), pushed
        moving |= {k: stand_in(turn.carries[k].tensor) for k in more}


def never(x: Node) -> Node:
    """The mask of a cotangent of x that is 0 everywhere."""
    return broadcast_to(asarray(False), x.shape)


def loop_reads(body: Region, carries: int, k: int, also: Sequence[Node] = ()) -> list[int]:
    """The operands of a loop on which its output k depends, over all turns; `also`: what decides how many turns there are."""
    operand = {x: i for i, x in enumerate(body.inputs[1:])}
    found = {k} if k < carries else set()
    seen: set[Node] = set()
    stack = [*body.outputs[k : k + 1], *also]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        stack += node.inputs
        i = operand.get(node)
        if i is not None:
            found.add(i)
            stack += body.outputs[i : i + 1] if i < carries else ()
    return sorted(found)


def plain_vjp(rule: Callable[..., Sequence[Cotangent | None]]) -> Callable[..., list[Node | None]]:
    """The vjp of an op by its rule for `Traits.through`, without masks."""

    def vjp(g: Sequence[Node | None], out: Sequence[Node], *inputs: Node, **params: Any) -> list[Node | None]:
        found = rule([None if u is None else Cotangent(u, None) for u in g], [False] * len(inputs), out, *inputs, **params)
        return [None if cotangent is None else cotangent.value for cotangent in found]

    return vjp


def vjp_of(
    f: Callable[..., Sequence[Node]], g: Sequence[Cotangent | None], wanted: Sequence[bool], inputs: Sequence[Node]
) -> list[Cotangent | None]:
    """The cotangents of `inputs` for those of the values f(*inputs), where f makes nodes of nodes; None where none arrives.

    For an op whose derivative is that of another form of it. f is called on stand-ins, as one input may be made of another.
    """
    xs = [stand_in(x.tensor) for x in inputs]
    given: dict[Node, Node] = dict(zip(xs, inputs))
    seeds = []
    for y, u in zip(f(*xs), g):
        if u is not None and is_float(u.value.dtype):
            seed = Cotangent(stand_in(u.value.tensor), None if u.mask is None else stand_in(u.mask.tensor))
            seeds.append((y, seed))
            given |= {x: v for x, v in zip(seed, u) if x is not None and v is not None}
    found = pull_back_masked(seeds, {x for x in xs if is_float(x.dtype)}, selecting={x for x, is_wanted in zip(xs, wanted) if is_wanted})
    parts = [part for x in xs if x in found for part in found[x] if part is not None]
    settled = dict(zip(parts, replace(parts, given)))
    return [Cotangent(settled[c.value], None if c.mask is None else settled[c.mask]) if (c := found.get(x)) else None for x in xs]


def lifted(found: Iterable[tuple[Node, bool]], size: Size) -> list[Node]:
    """What `batch` gave, with lanes for all."""
    return [node if is_mapped else lift(node, size) for node, is_mapped in found]


def with_lanes(x: Node, size: Size) -> Node:
    """A stand-in for what x stands for, in all lanes."""
    return stand_in(tensor_type(x.dtype, (size, *x.shape)))


def along_lanes(mask: Node, y: Node) -> Node:
    """A boolean of each lane beside the elements of y, which has the lanes first."""
    return reshape(mask, (mask.shape[0], *[1] * (y.ndim - 1)))


def may_fail(results: Sequence[Node]) -> bool:
    """Whether a body may fail, or not end, on values that it is not meant for: it looks something up, or holds a loop or a call."""
    return any(n.op.traits.checked is not None or bool(n.op.regions) for n in everywhere(results))


def of_some_lanes(mask: Node, lanes: Iterable[Node]) -> dict[Node, Node]:
    """Values with lanes as the lanes of the mask see them; the others repeat the first of these, which there must be."""
    first = sum_of(astype(cumsum(astype(mask, int64)) == 0, int64))  # how many lanes come before
    return {x: where(along_lanes(mask, x), x, take(x, first, axis=0)) for x in lanes}
