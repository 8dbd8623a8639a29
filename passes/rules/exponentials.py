"""Exponentials in products and quotients, and under sums: exponents are combined before anything is raised to them.

    exp(a) * x / exp(b)                    ->  x * exp(a - b)
    sigmoid(x) * exp(-x)                   ->  sigmoid(-x)
    2 exp(a) / (exp(a) + 3 exp(b))         ->  2 sigmoid(-(b - a + log 3))

A factor that may overflow or vanish is never formed; exponents are sums in which what cancels is gone (`forms.linear`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction

from graphc.ir import Node, Op, make
from graphc.ops.arithmetic import reciprocal, square
from graphc.ops.elementwise import (
    cosh,
    exp,
    expm1,
    sigmoid,
    sigmoid_slope,
    sinh,
    softplus,
    tanh,
)  # fmt: skip
from graphc.ops.registry import OPS
from graphc.ops.special.hyperbolic import csch, log_cosh, over_expm1, sech
from graphc.passes.rewriting.match import hole
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.forms import TERMS, Linear, built, combined, filled, fraction, gap, linear, multiplied, product, ratio_of, scaled
from graphc.passes.rules.logarithms import Log, added, known, logarithm, terms_of

EXP, EXPM1, SIGMOID, SINH, COSH, TANH = (OPS[n] for n in ("exp", "expm1", "sigmoid", "sinh", "cosh", "tanh"))
ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE = (OPS[n] for n in ("add", "subtract", "negative", "multiply", "divide"))
SQUARE, ROOT, POWER, RECIPROCAL = (OPS[n] for n in ("square", "sqrt", "power", "reciprocal"))
SECH = sech(0.0).op
x, y = hole("x"), hole("y")


# -- products and quotients ---------------------------------------------------------------------------------------------------
# f(u) e**(d u) = sign f(-u): (d, sign)
MIRRORED: dict[Op, tuple[int, int]] = {SIGMOID: (-1, 1), EXPM1: (-1, -1), over_expm1(0.0).op: (1, -1)}


# what becomes part of the exponent beside another exponential; of sinh(u) = tanh(u) cosh(u) the latter
SWALLOWED: dict[Op, Callable[[Node], Node]] = {
    SIGMOID: lambda u: -softplus(-u),
    COSH: log_cosh,
    SINH: log_cosh,
    SECH: lambda u: -log_cosh(u),
}
OPENED = frozenset((MULTIPLY, DIVIDE, NEGATIVE, SQUARE, RECIPROCAL))


RAISED = frozenset((EXP, *MIRRORED, *SWALLOWED))
GATHERED = frozenset((EXP, SIGMOID))  # what roots and powers are opened over


class _Exponents:
    """A product in which exponentials are gathered: e**exponent times powers of other factors."""

    def __init__(self, node: Node) -> None:
        found = product(node, GATHERED)
        self.negative = found.negative
        self.rest = dict(found.powers)
        self.exponent: Linear = {}
        self.terms: list[tuple[Node, Fraction]] = []  # as they were written: nothing is forgotten where all cancels
        for x in [x for x in self.rest if x.op is EXP]:
            self.add(x.inputs[0], self.rest.pop(x))
        self.pair: Node | None = None  # u of a factor cosh(u), of which e**u + e**-u is made with the exponent
        self.changed = len(self.terms) > 1

    def add(self, u: Node, p: Fraction) -> None:
        self.terms.append((u, p))
        self.exponent = combined(self.exponent, linear(u), p)

    def mirror(self) -> None:
        """sigmoid(u) e**-u -> sigmoid(-u), sigmoid(u) / sigmoid(-u) -> e**u; so for the other functions of MIRRORED."""
        for x in [x for x in self.rest if x.op in MIRRORED]:
            p, u = self.rest.get(x), x.inputs[0]
            if p is None:
                continue
            against = [y for y, q in self.rest.items() if y.op is x.op and q * p < 0 and not combined(linear(y.inputs[0]), linear(u), 1)]
            if against and p.denominator == self.rest[against[0]].denominator == 1:
                self._move(x, against[0], min(p, -self.rest[against[0]], key=math.fabs), u)
                continue
            with_it = [y for y in self.rest if x.op is SIGMOID is y.op and not combined(linear(y.inputs[0]), linear(u), 1)]
            if with_it and p == self.rest[with_it[0]] == 1:  # sigmoid(u) sigmoid(-u)
                del self.rest[x], self.rest[with_it[0]]
                self.rest[sigmoid_slope(u)] = Fraction(1)
                self.changed = True
                continue
            ratio = ratio_of(self.exponent, linear(u)) if self.terms else None
            if ratio is not None and ratio * p * MIRRORED[x.op][0] > 0 and ratio.denominator == p.denominator == 1:
                self._move(x, make(x.op, (-u,)), min(abs(p), abs(ratio)) * (1 if p > 0 else -1), u)

    def _move(self, x: Node, other: Node, count: Fraction, u: Node) -> None:
        """f(u)**count -> (sign e**(-d u) f(-u))**count."""
        for y, change in ((x, -count), (other, count)):
            self.rest[y] = self.rest.get(y, Fraction(0)) + change
            if not self.rest[y]:
                del self.rest[y]
        direction, sign = MIRRORED[x.op]
        self.add(u, -direction * count)
        self.negative ^= sign < 0 and bool(count.numerator % 2)
        self.changed = True

    def swallow(self) -> None:
        """e**a sigmoid(u) -> e**(a - softplus(-u)): one may be huge where the other is tiny."""
        if not self.exponent:
            return
        for x in [x for x in self.rest if x.op in SWALLOWED]:
            p, u = self.rest.pop(x), x.inputs[0]
            if x.op is SINH:
                self.rest[tanh(u)] = p
            self.changed = True
            if x.op in (SINH, COSH) and p == 1 and self.pair is None:
                self.pair = u
            else:
                self.add(SWALLOWED[x.op](u), p)

    def built(self, like: Node) -> Node | None:
        made = multiplied(self.rest)
        kept = {x for f in self.rest if f.op in MIRRORED for x in linear(f.inputs[0])}
        if self.terms and not (not self.exponent and _variables(self.terms) <= kept):
            raised = self._raised(like, kept)
            made = raised if made is None else made * raised
        return made if made is None or not self.negative else -made

    def _raised(self, like: Node, kept: Collection[Node | None]) -> Node:
        if self.pair is None:
            return exp(_sum(self.terms, self.exponent, like, kept))
        ends = []
        for sign in (1, -1):
            exponent = combined(self.exponent, linear(self.pair), sign)
            ends.append(exp(_sum([*self.terms, (self.pair, Fraction(sign))], exponent, like, {*kept, *linear(self.pair)})))
        return 0.5 * (ends[0] + ends[1])


def _variables(terms: Sequence[tuple[Node, Fraction]]) -> set[Node | None]:
    return {x for u, _ in terms for x in linear(u) if x is not None}


def _sum(terms: Sequence[tuple[Node, Fraction]], exponent: Linear, like: Node, kept: Collection[Node | None] = ()) -> Node:
    """The exponent; as it was written where a variable would be forgotten, for nan - nan is nan, or a number rounded."""
    made = built(exponent, like) if _variables(terms) <= {*exponent, *kept} else None
    if made is not None and made.type is like.type:
        return made
    total: Node | None = None
    for u, p in terms:
        part = scaled(u, p)
        total = part if total is None else total + part
    assert total is not None
    return total


def exponentials_of_product(node: Node) -> Node | None:
    """exp(a) * x / exp(b) -> x * exp(a - b), with sigmoids and expm1 by their symmetry."""
    if not _nearby(node):
        return None
    gathered = _Exponents(node)
    gathered.mirror()
    gathered.swallow()
    return gathered.built(node) if gathered.changed else None


def _nearby(node: Node) -> bool:
    """Whether two of the factors that `product` finds are exponentials: asked of every product, so without their powers."""
    first: Node | None = None
    todo, opened = [node], 0
    while todo:
        x = todo.pop()
        op, opened = x.op, opened + 1
        if opened <= TERMS and op in OPENED:
            todo += x.inputs[::-1]
            continue
        if op in (ROOT, POWER) and x.inputs[0].op in GATHERED:
            x = x.inputs[0]
        if x.op in RAISED:
            if first is not None and x is not first:
                return True
            first = x
    return False


# -- quotients by sums --------------------------------------------------------------------------------------------------------
def quotient_by_sum(node: Node) -> Node | None:
    """x e**a / (e**b + e**c) -> x sigmoid(a - log(e**(b + c - a))) where a is b or c, or x e**(a - log(e**b + e**c)).

    A numerator that is a sum of exponentials too is divided term by term.
    """
    above, below = (None, node.inputs[0]) if node.op is RECIPROCAL else node.inputs
    if below.op is SQUARE:
        part = quotient_by_sum(reciprocal(below.inputs[0]) if above is None else above / below.inputs[0])
        return None if part is None else square(part) if above is None else part / below.inputs[0]
    logs = terms_of(below)
    if logs is None:
        return None
    if above is not None and above.op in (ADD, SUBTRACT) and all((t := logarithm(i)) and t.opened and t.positive for i in above.inputs):
        first, second = above.inputs
        made = _tanh(above, logs) if above.op is SUBTRACT else None
        parts = first / below, second / below
        return made if made is not None else parts[0] + parts[1] if above.op is ADD else parts[0] - parts[1]
    gathered = _Exponents(filled(1.0, node) if above is None else above)
    exponent = _sum(gathered.terms, gathered.exponent, node) if gathered.terms else filled(0.0, node)
    rest = multiplied(gathered.rest)
    made = _share(exponent, logs)
    made = made if rest is None or fraction(rest) == 1 else rest * made
    return -made if gathered.negative else made


def _share(exponent: Node, logs: Sequence[Log]) -> Node:
    """e**exponent / sum(e**logs)."""
    for k, own in enumerate(logs):
        left = combined(linear(exponent), linear(own.value))
        if set(left) <= {None}:  # the numerator is one of the terms, but for a factor
            others = [known(gap(t.value, exponent)) for j, t in enumerate(logs) if j != k]
            factor, total = math.exp(float(left.get(None, 0))), added(others)
            shift = float(left.get(None, 0))
            made = sigmoid(-(total + shift if shift else total))
            return made if factor == 1 else made * factor
    return exp(exponent - added(logs))


def _tanh(above: Node, logs: Sequence[Log]) -> Node | None:
    """(e**a - e**b) / (e**a + e**b) -> tanh((a - b) / 2)."""
    first, second = (logarithm(i) for i in above.inputs)
    if first is None or second is None or len(logs) != 2:
        return None
    same = [combined(linear(a.value), linear(b.value)) for a, b in ((first, logs[0]), (second, logs[1]))]
    crossed = [combined(linear(a.value), linear(b.value)) for a, b in ((first, logs[1]), (second, logs[0]))]
    return tanh(0.5 * gap(first.value, second.value)) if not any(same) or not any(crossed) else None


_FACTOR = ("exp", "expm1", "sigmoid", "over_expm1", "sinh", "cosh", "sech", "multiply", "divide", "negative", "square", "reciprocal")

EXPONENTIALS: tuple[AnyRule, ...] = (
    Local("product with exponentials", "multiply", exponentials_of_product, floats="stable", inputs=_FACTOR),
    Local("quotient with exponentials", "divide", exponentials_of_product, floats="stable", inputs=_FACTOR),
    Local("quotient by a sum of exponentials", "divide", quotient_by_sum, floats="stable", inputs=("add", "square")),
    Local("reciprocal of a sum of exponentials", "reciprocal", quotient_by_sum, floats="stable", inputs=("add", "square")),
    Rule("over sinh", y / sinh(x), y * csch(x), floats="stable"),
    Rule("over cosh", y / cosh(x), y * sech(x), floats="stable"),
    Rule("over expm1", y / expm1(x), y * over_expm1(x), floats="stable"),
    Rule("over sigmoid", y / sigmoid(x), y * (1 + exp(-x)), floats="stable"),
)
