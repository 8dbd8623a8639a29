"""The power series of an expression of one variable at a point, and what it shows: leading terms that cancel, parts that have none.

exp(x) - 1 - x at 0        u**2 / 2 + u**3 / 6 + ..       cancelled: 2
"""

from __future__ import annotations

import math
from dataclasses import field
from decimal import Decimal

import numpy as np

from graphc.ir import Node, Op
from graphc.ops.compare import SELECT
from graphc.ops.registry import OPS
from graphc.passes.rules.forms import fraction, linear
from graphc.passes.rules.power_series import EXPANSIONS, POLES, Laurent, applied, number, over, plus, power, times, variable
from graphc.records import dataclass

ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE = (OPS[name] for name in ("add", "subtract", "negative", "multiply", "divide"))
SQUARE, ROOT, RECIPROCAL, POWER, LOG, ABS = (OPS[name] for name in ("square", "sqrt", "reciprocal", "power", "log", "abs"))
LESS, GREATER, EQUAL, ISINF = (OPS[name] for name in ("less", "greater", "equal", "isinf"))
FUNCTIONS = frozenset((*EXPANSIONS, *POLES))
ARITHMETIC = frozenset((ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE, SQUARE, RECIPROCAL))
OPENED = FUNCTIONS | ARITHMETIC | {ROOT, POWER, SELECT}
FEW, MANY = 8, 60  # terms for a first look, and for the series that is used
DEEPEST = 2  # choices within each other: either branch of each is expanded
ABOUT = 1e-6  # as near two forms of one function are in their first terms, which polynomials do not have to the last digit


@dataclass
class Expansion:
    """Series of the nodes of an expression at a point."""

    v: Node
    at: float
    count: int
    assumed: dict[Node, bool] = field(default_factory=dict)  # conditions
    known: dict[Node, Laurent | None] = field(default_factory=dict)
    cancelled: int = 0  # the most leading terms that went in one sum
    works: bool = False  # whether a function, or a division by a sum, takes part
    reach: float = math.inf  # as far as the branches taken are
    same: dict[Node, float] = field(default_factory=dict)  # choices between two forms of one function, up to which distance

    def of(self, node: Node) -> Laurent | None:
        """The series of a node; None where it has none."""
        if node not in self.known:
            self.known[node] = self._made(node)
        return self.known[node]

    def _made(self, node: Node) -> Laurent | None:
        if node is self.v:
            return variable(self.at, self.count)
        value = fraction(node)
        if value is not None:
            return number(float(value), self.count)
        op = node.op
        if op not in OPENED:
            return None  # in a condition
        if op is SELECT:
            return self._chosen(node)
        if op is POWER:
            c = fraction(node.inputs[1])
            self.works |= c is not None and c.denominator != 1
            inner = self.of(node.inputs[0])
            return None if c is None or inner is None else power(inner, float(c))
        parts = [self.of(i) for i in node.inputs]
        first, last = parts[0], parts[-1]
        if first is None or last is None:
            return None
        if op in FUNCTIONS or op is ROOT:
            self.works = True
            return power(first, 0.5) if op is ROOT else applied(op, first)
        if op is ADD or op is SUBTRACT:
            total = plus(first, last, 1 if op is ADD else -1)
            if first.terms and last.terms:
                self.cancelled = max(self.cancelled, total.order - min(first.order, last.order))
            return total
        if op is MULTIPLY or op is SQUARE:
            return times(first, last)
        if op is NEGATIVE:
            return Laurent(first.order, [-t for t in first.terms])
        self.works |= not last.order and any(last.terms[1:])
        return over(number(1.0, self.count) if op is RECIPROCAL else first, last)

    def _chosen(self, node: Node) -> Laurent | None:
        """The branch taken around the point; either, where both are the same function to the last digit."""
        condition, taken, other = node.inputs
        if condition in self.assumed:
            return self.of(taken if self.assumed[condition] else other)
        holds, reach = self._holds(condition) if len(self.assumed) < DEEPEST else (None, 0.0)
        if holds is None:
            return None
        if not holds:
            self.reach = min(self.reach, reach)
            return self._under(condition, False, other)
        near, far = self._under(condition, True, taken), self._under(condition, False, other)
        if near is not None and far is not None and reach < math.inf and _agree(near, far, reach, node.dtype):
            self.same[node] = reach
            return far
        self.reach = min(self.reach, reach)
        return near

    def _under(self, condition: Node, value: bool, branch: Node) -> Laurent | None:
        inner = Expansion(self.v, self.at, self.count, {**self.assumed, condition: value})
        made = inner.of(branch)
        self.cancelled, self.works, self.reach = (
            max(self.cancelled, inner.cancelled),
            self.works | inner.works,
            min(self.reach, inner.reach),
        )
        self.same |= inner.same
        return made

    def _holds(self, condition: Node) -> tuple[bool | None, float]:
        """What a condition is around the point (at the point itself it may be something else), and how far."""
        op = condition.op
        if op is ISINF:
            return False, math.inf
        limit = fraction(condition.inputs[1]) if op in (LESS, GREATER, EQUAL) else None
        if limit is None:
            return None, 0.0
        inside = condition.inputs[0]
        line = linear(inside.inputs[0] if inside.op is ABS else inside)
        if set(line) - {None} != {self.v}:
            return self._holds_for_series(op, inside, Decimal(float(limit)))
        slope, here = abs(float(line[self.v])), float(line[self.v]) * self.at + float(line.get(None, 0))
        if op is EQUAL:
            return (False, math.inf if here == limit else abs(here - float(limit)) / slope)
        here = abs(here) if inside.op is ABS else here
        return (here < limit if op is LESS else here > limit) if here != limit else None, abs(here - float(limit)) / slope

    def _holds_for_series(self, op: Op, inside: Node, limit: Decimal) -> tuple[bool | None, float]:
        """For what is no line: as far as its terms together stay below the distance of the first from the limit."""
        series = self.of(inside)
        terms = None if series is None else series.plain()
        if not terms or terms[0] == limit:
            return None, 0.0
        for reach in (1.0, 0.5, 0.25, 0.125, 0.0625):
            if sum(abs(t) * Decimal(reach) ** k for k, t in enumerate(terms) if k) < abs(terms[0] - limit):
                return (False if op is EQUAL else terms[0] < limit if op is LESS else terms[0] > limit), reach
        return None, 0.0


def _agree(near: Laurent, far: Laurent, reach: float, dtype: np.dtype) -> bool:
    """Whether two series are the same to a few roundings within a distance; of short ones, whether they may be."""
    if near.order != far.order or not near.terms or not far.terms:
        return False
    apart = [float((a - b) * Decimal(reach) ** k) for k, (a, b) in enumerate(zip(near.terms, far.terms))]
    most = max(abs(float(b)) * reach**k for k, b in enumerate(far.terms))
    if len(apart) <= FEW:
        return max(map(abs, apart)) <= ABOUT * most
    errors = [abs(sum(t * u**k for k, t in enumerate(apart))) for u in (0.0, 0.2, -0.4, 0.6, -0.75, 0.9, -1.0, 1.0)]
    return max(errors) <= 16 * float(np.finfo(dtype).eps) * most


# -- a glance in floats -------------------------------------------------------------------------------------------------------
_VALUES: dict[tuple[int, float, int], float] = {}  # by the serials of the variable and of the node, and the point between them
REMEMBERED = 10**6


def is_plain(node: Node, v: Node, at: float) -> bool:
    """Whether the operands of a node without choices are, at a point, clearly no numbers that cancel, and no zeros beside poles."""
    if len(_VALUES) > REMEMBERED:
        _VALUES.clear()
    with np.errstate(all="ignore"):
        values = [_value(i, v, at) for i in node.inputs]
    if not all(map(math.isfinite, values)):
        return False
    if node.op is ADD or node.op is SUBTRACT:
        total = _total(node.op, *values)
        return total != 0 and math.isfinite(total)
    return node.op is MULTIPLY or (abs(values[0] - 1) > ABOUT if node.op is LOG else values[-1] != 0)


def _value(node: Node, v: Node, at: float) -> float:
    """The value of an expression of v, where that is `at`; nan where digits are lost on the way."""
    if node is v:
        return at
    key = (v.serial, at, node.serial)
    value = _VALUES.get(key)
    if value is None:
        value = _VALUES[key] = _computed(node, v, at)
    return value


def _computed(node: Node, v: Node, at: float) -> float:
    number = fraction(node)
    if number is not None:
        return float(number)
    given = [_value(i, v, at) for i in node.inputs]
    if (node.op is ADD or node.op is SUBTRACT) and not all([i is v or fraction(i) is not None for i in node.inputs]):
        return _total(node.op, *given)  # of what may have been rounded
    assert node.op.ref is not None
    return float(node.op.ref(*map(np.float64, given)))


def _total(op: Op, a: float, b: float) -> float:
    """a + b or a - b; nan where that is so small that the two may be said to cancel."""
    total = a + b if op is ADD else a - b
    return total if abs(total) > ABOUT * max(1.0, abs(a) + abs(b)) or a == b == 0 else math.nan
