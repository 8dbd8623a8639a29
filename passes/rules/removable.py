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
from dataclasses import field

from graphc.ir import Node, make
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import square
from graphc.ops.compare import SELECT, where
from graphc.ops.elementwise import exp, sin, sinh
from graphc.ops.elementwise import power as raised
from graphc.passes.rewriting.match import hole
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.expansion import (
    ABS,
    ADD,
    ARITHMETIC,
    EQUAL,
    FEW,
    FUNCTIONS,
    GREATER,
    ISINF,
    LESS,
    LOG,
    MANY,
    MULTIPLY,
    NEGATIVE,
    OPENED,
    POWER,
    ROOT,
    SUBTRACT,
    Expansion,
    is_plain,
)
from graphc.passes.rules.forms import fraction, linear, opens
from graphc.passes.rules.near_polynomial import DEEPEST_CANCELLATION, NearPolynomial
from graphc.passes.rules.power_series import Laurent, decimals
from graphc.records import dataclass

EXP = exp(hole("x")).op
REMEMBERED = 10**6
LARGEST, SMALL = 48, 12  # nodes of an expression, of its leaf and of the argument of a function
CHOICES = 6  # of them: either branch of each is expanded
x = hole("x")


# -- the expression -----------------------------------------------------------------------------------------------------------
_MIXED: set[int] = set()  # serials of nodes of several variables, or too large: so is what is built on them


def _collected(root: Node, stop: Node | None) -> tuple[Node, list[Node]] | None:
    """The one variable of an expression, and the nodes above it, root first; None where there are more, or too many nodes."""
    leaf, found, todo = stop, list[Node](), [root]
    most, remembered, oldest = (LARGEST, _MIXED, -1) if stop is None else (SMALL, set[int](), stop.serial)
    seen, choices, fits = {root}, 0, root.serial not in remembered
    while todo and fits:
        node = todo.pop()
        found.append(node)
        choices += node.op is SELECT
        fits = len(found) <= most and choices <= CHOICES
        for i in node.inputs[node.op is SELECT :] if fits else ():
            if i is leaf or i in seen:
                continue
            seen.add(i)
            op = i.op
            if op in OPENED and i.serial > oldest and i.serial not in remembered:  # what is older than the leaf is made of others
                todo.append(i)
            elif leaf is None and op not in OPENED and fraction(i) is None:
                leaf = i
            elif op in OPENED or fraction(i) is None:
                fits = False
                break
    if not fits:
        remembered.add(root.serial)
        return None
    return None if leaf is None else (leaf, found)


_PLAIN: set[tuple[object, float]] = set()  # structures in which nothing cancels at a point: layers of a network are alike


def _structure(v: Node, found: Sequence[Node]) -> tuple[object, ...]:
    """What the series of an expression without choices depend on, which alike expressions of other variables share."""
    place = {v: -1} | {node: k for k, node in enumerate(found)}
    listed: list[object] = []
    for node in found:
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
        if node.op is ADD or node.op is SUBTRACT:
            if any([i is v or opens(i) for i in node.inputs]) and len(line := linear(node)) == 2 and v in line and None in line:
                points.append(-float(line[None] / line[v]))
        elif node.op in (LOG, ROOT, POWER) and node.inputs[0] is v:
            points.append(1.0)
    return list(dict.fromkeys([p for p in points if abs(p) < 1e6]))


# -- what is made of it -------------------------------------------------------------------------------------------------------
def removable(node: Node) -> Node | None:
    """An expression that cancels at a point -> where(near it, its power series, the expression)."""
    if len(_MIXED) + len(_PLAIN) > REMEMBERED:
        _MIXED.clear()
        _PLAIN.clear()
    for v, found in _variables(node):
        if v.type is not node.type:
            continue
        choices = any([n.op is SELECT for n in found])
        for at in _points(v, found):
            if not choices and is_plain(node, v, at):
                continue
            structure = None if choices else _structure(v, found)
            if (structure, at) in _PLAIN:
                continue
            with decimals():
                if _cancels(node, Expansion(v, at, FEW)):
                    full = Expansion(v, at, MANY)
                    series = full.of(node)
                    made = None if series is None else _near_and_far(node, full, series)
                    if made is not None:
                        return made
                elif structure is not None:
                    _PLAIN.add((structure, at))
    return None


def _cancels(node: Node, e: Expansion) -> bool:
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


def _near_and_far(node: Node, e: Expansion, series: Laurent) -> Node | None:
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

    e: Expansion
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
