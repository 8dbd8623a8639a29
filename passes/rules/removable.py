"""Cancellation at a point, by the power series there: 0/0, inf - inf, and differences whose leading terms are the same.

    sin(x) / x                    ->  where(|x| < 1/2, 1 - x**2 / 6 + .., sin(x) / x)
    exp(x) - 1 - x                ->  where(|x| < 1, x**2 / 2 + .., expm1(x) - x)
    1 / tanh(x) - 1 / x           ->  where(|x| < 1, x / 3 - .., 1 / tanh(x) - 1 / x)
    log(x) / (x - 1)              ->  where(|x - 1| < .3, 1 - (x - 1) / 2 + .., log(x) / (x - 1))

An expression of one variable is expanded at 0, where a logarithm or a power has the argument 1, and where a line in it crosses 0. Where
the expansion shows that leading terms cancel, or that the limit at the point is a number though the parts have none, the series is used
near the point: the value there is the limit, and derivatives of all orders, which divide by higher powers, are those of the series.

Arithmetic alone (x / x, (x + c) - c) is what the user meant it to be: a function or a division by a sum must take part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from graphc.ir import Node, Op, make
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import square
from graphc.ops.compare import SELECT, where
from graphc.ops.elementwise import power as raised
from graphc.ops.elementwise import sin, sinh
from graphc.ops.registry import OPS
from graphc.passes.rewriting.match import hole
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.forms import fraction, linear
from graphc.passes.rules.near_polynomial import DEEPEST_CANCELLATION, NearPolynomial
from graphc.passes.rules.power_series import (
    EXPANSIONS,
    POLES,
    Laurent,
    applied,
    decimals,
    number,
    over,
    plus,
    power,
    times,
    variable,
)

ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE = (OPS[name] for name in ("add", "subtract", "negative", "multiply", "divide"))
SQUARE, ROOT, RECIPROCAL, POWER, LOG, ABS, EXP = (OPS[name] for name in ("square", "sqrt", "reciprocal", "power", "log", "abs", "exp"))
LESS, GREATER, EQUAL, ISINF = (OPS[name] for name in ("less", "greater", "equal", "isinf"))
FUNCTIONS = frozenset((*EXPANSIONS, *POLES))
ARITHMETIC = frozenset((ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE, SQUARE, RECIPROCAL))
OPENED = FUNCTIONS | ARITHMETIC | {ROOT, POWER, SELECT}
REMEMBERED = 10**6
LARGEST, SMALL = 48, 12  # nodes of an expression, of its leaf and of the argument of a function
CHOICES, DEEPEST = 6, 2  # of them, and within each other: either branch of each is expanded
FEW, MANY = 8, 60  # terms for a first look, and for the series that is used
ABOUT = 1e-6  # as near two forms of one function are in their first terms, which polynomials do not have to the last digit
x = hole("x")


# -- the expression -----------------------------------------------------------------------------------------------------------
_MIXED: set[int] = set()  # serials of nodes of several variables, or too large: so is what is built on them


def _collected(root: Node, stop: Node | None) -> tuple[Node, list[Node]] | None:
    """The one variable of an expression, and the nodes above it, root first; None where there are more, or too many nodes."""
    leaf, found, todo = stop, list[Node](), [root]
    most, remembered = (LARGEST, _MIXED) if stop is None else (SMALL, set[int]())
    seen, choices = {root}, 0
    while todo:
        node = todo.pop()
        if node is leaf:
            continue
        op = node.op
        if op in OPENED and node.serial not in remembered:
            found.append(node)
            choices += op is SELECT
            if len(found) <= most and choices <= CHOICES:
                for i in node.inputs[1:] if op is SELECT else node.inputs:
                    if i not in seen:
                        seen.add(i)
                        todo.append(i)
                continue
        elif fraction(node) is not None:
            continue
        elif leaf is None and op not in OPENED:
            leaf = node
            continue
        remembered.add(root.serial)
        return None
    return None if leaf is None else (leaf, found)


_PLAIN: set[tuple[object, float]] = set()  # structures in which nothing cancels at a point: layers of a network are alike


def _structure(v: Node, found: Sequence[Node]) -> object:
    """What the series of an expression depend on, which alike expressions of other variables share; None with choices, which ask more."""
    place = {v: -1} | {node: k for k, node in enumerate(found)}
    listed: list[object] = []
    for node in found:
        if node.op is SELECT:
            return None
        listed += [node.op, node.params, *[place[i] if i in place else (fraction(i),) for i in node.inputs]]
    return tuple(listed)


def _variables(root: Node) -> Iterator[tuple[Node, list[Node]]]:
    """What the expression is a function of: its leaf, or the argument of a function in its first levels."""
    whole = _collected(root, None)
    if whole is not None:
        yield whole
    arguments = [n.inputs[0] for i in root.inputs for n in (i, *i.inputs) if n.op in FUNCTIONS]
    for v in dict.fromkeys(arguments):
        if v.op in ARITHMETIC and (found := _collected(root, v)) is not None:
            yield found


def _points(v: Node, found: Sequence[Node]) -> list[float]:
    """Where leading terms may cancel: 0, zeros of lines, 1 under a logarithm or a power."""
    points = [0.0]
    for node in found:
        if node.op in (ADD, SUBTRACT) and len(line := linear(node)) == 2 and v in line and None in line:
            points.append(-float(line[None] / line[v]))
        elif node.op in (LOG, ROOT, POWER) and node.inputs[0] is v:
            points.append(1.0)
    return list(dict.fromkeys([p for p in points if abs(p) < 1e6]))


@dataclass
class _Expansion:
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
        inner = _Expansion(self.v, self.at, self.count, {**self.assumed, condition: value})
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


# -- what is made of it -------------------------------------------------------------------------------------------------------
def removable(node: Node) -> Node | None:
    """An expression that cancels at a point -> where(near it, its power series, the expression)."""
    if len(_MIXED) + len(_PLAIN) > REMEMBERED:
        _MIXED.clear()
        _PLAIN.clear()
    for v, found in _variables(node):
        if v.type is not node.type:
            continue
        structure = _structure(v, found)
        for at in _points(v, found):
            if (structure, at) in _PLAIN:
                continue
            with decimals():
                if _cancels(node, _Expansion(v, at, FEW)):
                    full = _Expansion(v, at, MANY)
                    series = full.of(node)
                    made = None if series is None else _near_and_far(node, full, series)
                    if made is not None:
                        return made
                elif structure is not None:
                    _PLAIN.add((structure, at))
    return None


def _cancels(node: Node, e: _Expansion) -> bool:
    """Whether the first terms of the operands are lost in the result, or the result has a limit though they have none."""
    made = e.of(node)
    if made is None or not made.terms or not e.works:
        return False
    parts = [p for p in (e.of(i) for i in node.inputs) if p is not None]
    if not all(p.terms for p in parts):
        return False
    if node.op is LOG:
        return made.order > 0 and any(parts[0].terms[1:]) and node.inputs[0].op is not ADD
    first, last = parts[0].order, parts[-1].order
    if node.op not in (ADD, SUBTRACT) and made.order < 0:
        return False  # a pole
    if node.op is ADD or node.op is SUBTRACT:
        return made.order > min(first, last) and not all(i.op is EXP for i in node.inputs)  # for which there are forms of their own
    return first * last < 0 if node.op is MULTIPLY else first * last > 0


def _near_and_far(node: Node, e: _Expansion, series: Laurent) -> Node | None:
    poles = max([-p.order for p in e.known.values() if p is not None])
    depth = min(max(e.cancelled + max(poles, 0), *[abs(p.order) for p in map(e.of, node.inputs) if p is not None], 1), DEEPEST_CANCELLATION)
    if series.order < -1 or series.order > 6:
        return None
    shape = NearPolynomial.of(series, depth, e.reach, node.dtype)
    if shape is None:
        return None
    centred = e.v - e.at if e.at else e.v
    near = size_of(centred) < shape.radius
    u = where(near, centred, 0.0 if series.order >= 0 else shape.radius)
    far = _Rebuilt(e, where(near, e.at + shape.radius, e.v), shape.radius).of(node)
    return where(near, _raised(u, series.order, shape.value(u)), far)


def _raised(u: Node, order: int, value: Node) -> Node:
    """u**order * value."""
    if order <= 0:
        return value if order == 0 else value / u
    factor = u if order == 1 else square(u) if order == 2 else square(u) * u if order == 3 else raised(u, order)
    return factor * value


@dataclass
class _Rebuilt:
    """The expression over another variable; of a choice between two forms of one function the far one, within what is not used."""

    e: _Expansion
    guard: Node
    radius: float
    made: dict[Node, Node] = field(default_factory=dict)
    gone: set[Node] = field(default_factory=set)  # conditions that do not hold outside

    def of(self, node: Node) -> Node:
        if node is self.e.v:
            return self.guard
        if node not in self.made:
            self.made[node] = self._built(node)
        return self.made[node]

    def _built(self, node: Node) -> Node:
        if node.op is SELECT and (node.inputs[0] in self.gone or self.e.same.get(node, math.inf) <= self.radius):
            self.gone.add(node.inputs[0])
            return self.of(node.inputs[2])
        if (node.op not in OPENED and node.op not in (LESS, GREATER, EQUAL, ISINF, ABS)) or fraction(node) is not None:
            return node
        return make(node.op, tuple([self.of(i) for i in node.inputs]), node.params)


_TERMS = tuple(sorted(op.name for op in OPENED - {NEGATIVE}))
_POLAR = ("reciprocal", "divide", "csch", "over_expm1", "power", "select")

REMOVABLE: tuple[AnyRule, ...] = (
    Rule("1 - cos over x**2", (2 * square(sin(0.5 * x))) / square(x), 0.5 * square(sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cos - 1 over x**2", (-2 * square(sin(0.5 * x))) / square(x), -0.5 * square(sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cosh - 1 over x**2", (2 * square(sinh(0.5 * x))) / square(x), 0.5 * square(sinh(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("1 - cos over x", (2 * square(sin(0.5 * x))) / x, sin(0.5 * x) * (sin(0.5 * x) / (0.5 * x)), floats="stable"),
    Rule("cos - 1 over x", (-2 * square(sin(0.5 * x))) / x, -(sin(0.5 * x) * (sin(0.5 * x) / (0.5 * x))), floats="stable"),
    Rule("cosh - 1 over x", (2 * square(sinh(0.5 * x))) / x, sinh(0.5 * x) * (sinh(0.5 * x) / (0.5 * x)), floats="stable"),
    Local("quotient that is 0 / 0 at a point", "divide", removable, floats="stable", inputs=_TERMS, dearer="a value there"),
    Local("product that is 0 inf at a point", "multiply", removable, floats="stable", inputs=_POLAR, dearer="a value there"),
    Local("difference that vanishes at a point", "subtract", removable, floats="stable", inputs=_TERMS, dearer="digits near it"),
    Local("sum that vanishes at a point", "add", removable, floats="stable", inputs=_TERMS, dearer="digits near it"),
    Local("logarithm near 1", "log", removable, floats="stable", inputs=_TERMS),
)  # fmt: skip
