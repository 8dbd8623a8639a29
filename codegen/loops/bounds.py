"""Guards of sums as bounds of their loops: turns that have no term are not taken, and what is left needs no mask.

    for r in 56: t += x[i + r - 1] * g[r] if 0 <= i + r - 1 < 56   ->   for r in max(0, 1 - i)..min(56, 57 - i): t += x[i + r - 1] * g[r]

Only for sums whose guarded terms do not exist, as those of convolutions: elsewhere a masked load is a 0, whose product may be
nan.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import replace

from graphc import dims
from graphc.codegen.loops.address import fetch
from graphc.codegen.loops.loopir import Accumulate, Block, For, Statement, walk
from graphc.codegen.loops.prove_addresses import facts_of
from graphc.dims import Size, Symbol
from graphc.scalars import Scalar, order, replace_leaves

SHORTEST = 8  # turns: fewer are unrolled, and what is left of their masks costs as much


def bound_loops(block: Block) -> Block:
    """The loops with the guards that follow from how far each goes taken out of the sums inside.

    Short loops, which are unrolled, only where no mask at all is left. Depthwise 3 x 3 of 8 x 56 x 56 x 64, channels last: 6.6 -> 1.2 ms.
    """
    whole = _bounded(block, frozenset(), 1)
    sums = [s.value for s in walk(whole) if isinstance(s, Accumulate)]
    masked = any(x.op == "fetch" and x.param[3] for x in order(sums))
    found = _bounded(block, frozenset(), SHORTEST) if masked else whole
    assert isinstance(found, Block)
    return found


def _bounded(s: Statement, lanes: frozenset[Symbol], shortest: int) -> Statement:
    """A statement inside of vector loops over `lanes`: their loops go equally far in all lanes."""
    if isinstance(s, Block):
        return Block(tuple([_bounded(x, lanes, shortest) for x in s.body]))
    if not isinstance(s, For):
        return s
    symbol = dims.as_symbol(s.index)
    assert symbol is not None
    inside = lanes | {symbol} if s.kind == "vector" else lanes
    s = replace(s, body=Block(tuple([_bounded(x, inside, shortest) for x in s.body.body])))
    short = isinstance(s.extent, int) and s.extent < shortest
    sums = [x for x in walk(s.body) if not isinstance(x, (Block, For))]
    if short or s.parallel or len(sums) != 1 or not isinstance(sums[0], Accumulate) or sums[0].combine != "sum":
        return s
    moving = {*lanes, *[x for loop in walk(s.body) if isinstance(loop, For) for x in dims.symbols(loop.index)]}
    value, low, high = _without_tests(sums[0].value, symbol, moving)
    if value is sums[0].value:
        return s
    return replace(s, body=_with_sum(s.body, value), low=(*s.low, *low), high=(*s.high, *high))


def _with_sum(block: Block, value: Scalar) -> Block:
    """The loops with another value for the sum inside."""

    def changed(s: Statement) -> Statement:
        if isinstance(s, Accumulate):
            return replace(s, value=value)
        assert isinstance(s, (Block, For))
        return _with_sum(s, value) if isinstance(s, Block) else replace(s, body=_with_sum(s.body, value))

    return Block(tuple([changed(s) for s in block.body]))


def _without_tests(value: Scalar, symbol: Symbol, moving: set[Symbol]) -> tuple[Scalar, list[Size], list[Size]]:
    """The value without the tests that bound a loop, and its least and its first too great turns by each of them."""
    low: list[Size] = []
    high: list[Size] = []

    def bounds(test: Scalar) -> bool:
        found = facts_of(test)
        split = dims.affine(found[0], symbol) if len(found) == 1 else None
        if split is None or not isinstance(split[0], int) or split[0] == 0 or dims.symbols(split[1]) & moving:
            return False
        by, rest = split
        if by > 0:
            low.append(-dims.floordiv(rest, by))
        else:
            high.append(dims.floordiv(rest, -by) + 1)
        return True

    return without_tests(value, bounds), low, high


def without_tests(value: Scalar, needless: Callable[[Scalar], bool]) -> Scalar:
    """The value with its loads under those of their tests alone that are not needless; itself where all are needed."""

    def leaf(x: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if x.op != "fetch" or not x.param[3] or x.param[2]:
            return None
        tests = conjunction(x.args[-1])
        kept = [test for test in tests if not needless(test)]
        if len(kept) == len(tests):
            return x
        return fetch(x.param[0], None, x.param[1], x.dtype, functools.reduce(operator.and_, kept) if kept else None)

    return replace_leaves(value, leaf)


def conjunction(mask: Scalar) -> list[Scalar]:
    """The tests that must all hold."""
    return [test for part in mask.args for test in conjunction(part)] if mask.op == "and" else [mask]
