"""The derivative of a softmax from the softmax alone, so that its exponentials need not be kept beside it."""

from __future__ import annotations

from fractions import Fraction

from graphc.ir import Node, make
from graphc.ops.arithmetic import reciprocal
from graphc.ops.elementwise import exp
from graphc.ops.registry import OPS
from graphc.ops.spread import BROADCAST, REDUCE
from graphc.passes.rewriting.match import hole, params
from graphc.passes.rewriting.rule import AnyRule, Local
from graphc.passes.rules.forms import multiplied, product

SUBTRACT, EXP, RECIPROCAL = OPS["subtract"], exp(hole("x")).op, reciprocal(hole("x")).op


def softmax_slope(node: Node) -> Node | None:
    """(g r - sum(g e r r)) e -> p (g - sum(g p)), p = e r, r = 1 / sum(e): what the chain rule makes of exp(v) / sum(exp(v))."""
    for gap, e in (node.inputs, node.inputs[::-1]):
        if gap.op is SUBTRACT and e.op is EXP and gap.inputs[1].op is BROADCAST and _is_sum(gap.inputs[1].inputs[0]):
            return _from_softmax(gap.inputs[0], gap.inputs[1], e)
    return None


def _is_sum(node: Node) -> bool:
    return node.op is REDUCE and params(node)[1] == "sum"


def _from_softmax(near: Node, mean: Node, e: Node) -> Node | None:
    """p (g - sum(g p)) where near = g r and mean = sum(g e r r), None where they are not."""
    total = mean.inputs[0]
    factors, summed = product(near), product(total.inputs[0])
    r = next((x for x in factors.powers if x.op is BROADCAST and x.params == mean.params and _is_inverse(x.inputs[0], e, total)), None)
    if r is None or factors.negative != summed.negative:
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
    return p * (g - make(BROADCAST, (make(REDUCE, (g * p,), params(total)),), params(mean)))


def _is_inverse(node: Node, e: Node, total: Node) -> bool:
    """Whether a node is 1 / sum(e), over the axes of another sum."""
    return node.op is RECIPROCAL and _is_sum(node.inputs[0]) and node.inputs[0].inputs[0] is e and node.inputs[0].params == total.params


LATE: tuple[AnyRule, ...] = (Local("slope of a softmax", "multiply", softmax_slope, floats="reassoc", inputs=("subtract", "exp")),)
