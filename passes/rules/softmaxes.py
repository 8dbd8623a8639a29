"""The derivative of a softmax from the softmax alone, so that its exponentials need not be kept beside it."""

from __future__ import annotations

from fractions import Fraction

from graphc.dims import Size
from graphc.ir import Node, make
from graphc.ops.arithmetic import reciprocal
from graphc.ops.elementwise import exp
from graphc.ops.registry import OPS
from graphc.ops.shape import RESHAPE
from graphc.ops.spread import BROADCAST, REDUCE
from graphc.passes.rewriting.match import hole, params
from graphc.passes.rewriting.rule import AnyRule, Local
from graphc.passes.rules.forms import multiplied, product

ADD, SUBTRACT, EXP, RECIPROCAL = OPS["add"], OPS["subtract"], exp(hole("x")).op, reciprocal(hole("x")).op


def softmax_slope(node: Node) -> Node | None:
    """(g r - sum(g e r r)) e -> p (g - sum(g p)), p = e r, r = 1 / sum(e): what the chain rule makes of exp(v) / sum(exp(v)).

    Axes of size 1 may have gone from r and from what is summed, and the sum may be added with its sign inside.
    """
    for gap, e in (node.inputs, node.inputs[::-1]):
        if e.op is not EXP or gap.op not in (ADD, SUBTRACT):
            continue
        for near, mean in (gap.inputs, gap.inputs[::-1]) if gap.op is ADD else (gap.inputs,):
            if mean.op is BROADCAST and _is_sum(mean.inputs[0]) and (made := _from_softmax(near, mean, e, gap.op is ADD)) is not None:
                return made
    return None


def _from_softmax(near: Node, mean: Node, e: Node, added: bool) -> Node | None:
    """p (g - sum(g p)) where near = g r and mean = sum(g e r r), or its negative where it is added; None where they are not."""
    total = mean.inputs[0]
    factors, summed = product(near), product(_unshaped(total.inputs[0]))
    r = next((x for x in factors.powers if x.op is BROADCAST and x.params == mean.params and _is_inverse(x.inputs[0], e, total)), None)
    if r is None or (factors.negative != summed.negative) != added:
        return None
    wanted = dict(factors.powers)
    wanted[e] = wanted.get(e, Fraction(0)) + 1
    wanted[r] += 1
    if wanted != summed.powers:
        return None
    rest = {x: p - int(x is r) for x, p in factors.powers.items()}
    g = multiplied({x: p for x, p in rest.items() if p})
    if g is None or g.type is not e.type:
        return None
    g, p = -g if factors.negative else g, e * r
    whole = g * p if total.inputs[0].op is not RESHAPE else make(RESHAPE, (g * p,), total.inputs[0].params)
    return p * (g - make(BROADCAST, (make(REDUCE, (whole,), params(total)),), params(mean)))


def _is_sum(node: Node) -> bool:
    return node.op is REDUCE and params(node)[1] == "sum"


def _unshaped(node: Node) -> Node:
    """Without a reshape that only drops axes of size 1, or puts some in."""
    plain = node.op is RESHAPE and _lengths(node.shape) == _lengths(node.inputs[0].shape)
    return node.inputs[0] if plain else node


def _is_inverse(node: Node, e: Node, total: Node) -> bool:
    """Whether a node is 1 / sum(e), over the axes of another sum but for those of size 1."""
    inverse = _unshaped(node)
    if inverse.op is not RECIPROCAL or not _is_sum(inverse.inputs[0]) or inverse.inputs[0].inputs[0] is not e:
        return False
    return node.shape == total.shape and _kept(inverse.inputs[0]) == _kept(total)


def _lengths(shape: tuple[Size, ...]) -> list[Size]:
    return [n for n in shape if not (isinstance(n, int) and n == 1)]


def _kept(reduction: Node) -> tuple[list[Size], list[bool]]:
    """The sizes other than 1 of what is reduced, and which of them stay."""
    shape = reduction.inputs[0].shape
    stays = [k not in params(reduction)[0] for k, n in enumerate(shape) if not (isinstance(n, int) and n == 1)]
    return _lengths(shape), stays


LATE: tuple[AnyRule, ...] = (Local("slope of a softmax", "multiply", softmax_slope, floats="reassoc", inputs=("exp",)),)
