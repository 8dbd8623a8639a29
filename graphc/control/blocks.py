"""A scan cut into blocks, for the memory of its reverse derivative: a scan over blocks, each of which is a scan.

    scan(f, c, xs) of 10,000 turns   ->   scan of 100 blocks, checkpoint="full": keeps the carry at the head of each block
                                              scan of 100 turns, which the reverse run of a block runs again, and keeps what it reads

At any time there are the heads of all blocks and what one block keeps: O(sqrt(length)). Every turn is computed as before: the numbers
are the same. Where blocks do not divide the length, what is left is a scan of its own, at the end that comes last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphc import dims
from graphc.control.bodies import Turn
from graphc.control.tracing import stand_in
from graphc.dims import Size
from graphc.ir import Node
from graphc.ops.joining import concat
from graphc.ops.shape import reshape
from graphc.ops.slicing import along
from graphc.region import Region
from graphc.types import tensor_type

MakeScan = Callable[..., tuple[Node, ...]]  # `graphc.control.scan.scan_node`
POWERS = (8, 64, 512, 4096)  # block lengths for a length that is not known: one of them, or what is left of the length by one of them


def block_length(length: Size) -> Size:
    """About the root of the length; for one that is not known, between a third of its root and the root, up to 4096**2."""
    if isinstance(length, int):
        return max(math.isqrt(length), 1)
    found: Size = 1
    for power in POWERS:
        found = dims.maximum(found, dims.minimum(power, length // power))
    return found


def scan_in_blocks(
    scan: MakeScan, operands: Sequence[Node], block: Size, *,
    length: Size, carries: int, sequences: int, reverse: bool, unroll: int, body: Region,
) -> tuple[Node, ...]:  # fmt: skip
    """The outputs of the scan of `body` over `operands`, run in blocks of `block` turns."""
    count = dims.floordiv(length, block)
    rest = length - count * block
    first, begin = (rest, 0) if reverse else (0, count * block)  # the first row of the blocks, and of what is left
    rows = carries + sequences
    how = {"carries": carries, "sequences": sequences, "reverse": reverse, "unroll": unroll}
    inits, xs, captured = operands[:carries], operands[carries:rows], operands[rows:]

    def turns(start: Node | Size, begin: Sequence[Node], xs: Sequence[Node], captured: Sequence[Node], n: Size) -> tuple[Node, ...]:
        turn = Turn.of(body, carries, sequences)
        made = body(turn.index + start, *turn.carries, *turn.rows, *captured)
        return scan(made, (turn.index, *turn.carries, *turn.rows), (*begin, *xs), length=n, checkpoint=None, **how)

    index, *heads = [stand_in(t) for t in body.types[: 1 + carries]]
    blocks = [stand_in(tensor_type(x.dtype, (block, *x.shape[1:]))) for x in xs]
    held = [stand_in(x.tensor) for x in captured]
    inner = turns(index * block + first, heads, blocks, held, block)
    cut = [reshape(along(x, 0, first, count * block), (count, block, *x.shape[1:])) for x in xs]
    over, given = (index, *heads, *blocks, *held), (*inits, *cut, *captured)
    made = scan(inner, over, given, length=count, checkpoint="full", **how)
    last = made[:carries]
    ys = [reshape(y, (count * block, *y.shape[2:])) for y in made[carries:]]
    if rest == 0:
        return (*last, *ys)
    left = turns(begin, last, [along(x, 0, begin, rest) for x in xs], captured, rest)
    return (*left[:carries], *[concat([b, a] if reverse else [a, b], 0) for a, b in zip(ys, left[carries:])])
