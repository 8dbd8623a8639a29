"""Expressions as sums and products: what an identity needs to know of its operands, whatever way they were spelled.

    linear(2*x - (y + 1))        {x: 2, y: -1, None: -1}       a sum of multiples; None stands for 1
    gap(x + 1, x)                1                             a - b, of which what both have is gone
    product(a * exp(x) / y)      {a: 1, exp(x): 1, y: -1}      factors with their powers, and the numbers

Only a few nodes are looked at, so that time stays linear; what lies deeper is one term. Coefficients are exact fractions: what would be
rounded when it is built again is declined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from functools import lru_cache

import numpy as np

from graphc.ir import Node
from graphc.ops.arithmetic import reciprocal, sqrt, square
from graphc.ops.elementwise import power
from graphc.ops.registry import CONSTANT, OPS, constant
from graphc.ops.spread import BROADCAST, broadcast
from graphc.passes.rewriting.match import splat
from graphc.records import dataclass

Linear = dict["Node | None", Fraction]
ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE = (OPS[name] for name in ("add", "subtract", "negative", "multiply", "divide"))
TERMS = 12  # nodes that are opened on the way
ONE = Fraction(1)
LONGEST = 24  # bits of a coefficient that is exact in every dtype


def fraction(node: Node) -> Fraction | None:
    """The finite number that fills an array of floats."""
    if node.op is not CONSTANT and node.op is not BROADCAST:
        return None  # nearly all that is asked
    value = splat(node) if node.dtype.kind == "f" else None
    return None if value is None else _exact(float(value))


@lru_cache(maxsize=1024)
def _exact(value: float) -> Fraction | None:
    return Fraction(value) if math.isfinite(value) else None


def linear(node: Node) -> Linear:
    """The node as a sum of multiples of others and of 1, without those that cancel."""
    terms: Linear = {}
    todo: list[tuple[Node, Fraction]] = [(node, ONE)]
    opened = 0
    while todo:
        x, times = todo.pop()
        opened += 1
        number = fraction(x)
        if number is not None:
            terms[None] = terms.get(None, Fraction(0)) + times * number
            continue
        for part, factor in _parts(x) if opened <= TERMS else ((x, None),):
            if factor is None:
                terms[x] = terms.get(x, Fraction(0)) + times
            else:
                todo.append((part, times * factor))
    return {x: c for x, c in terms.items() if c}


def _parts(x: Node) -> Iterator[tuple[Node, Fraction | None]]:
    """What x is a sum of multiples of; x itself with None where it is no such sum."""
    op = x.op
    if op is ADD or op is SUBTRACT:
        yield x.inputs[1], ONE if op is ADD else -ONE
        yield x.inputs[0], ONE
    elif op is NEGATIVE:
        yield x.inputs[0], -ONE
    elif op is MULTIPLY or op is DIVIDE:
        a, b = x.inputs
        number = fraction(b)
        if op is MULTIPLY and number is None:
            number, a = fraction(a), b
        if number is None or (op is DIVIDE and not number):
            yield x, None
        else:
            yield a, number if op is MULTIPLY else 1 / number
    else:
        yield x, None


def multiple(x: Node) -> tuple[Node, float]:
    """(f, c) of x = c f, c rounded, as far as one looks."""
    times = 1.0
    for _ in range(TERMS):
        (first, factor), *others = _parts(x)
        if factor is None or others:
            break
        x, times = first, times * float(factor)
    return x, times


def opens(x: Node) -> bool:
    """Whether `linear` looks into x: it is a sum of multiples of others."""
    _, factor = next(_parts(x))
    return factor is not None


def combined(a: Linear, b: Linear, times: int | Fraction = -1) -> Linear:
    """a + times * b."""
    made = dict(a)
    for x, c in b.items():
        made[x] = made.get(x, Fraction(0)) + times * c
    return {x: c for x, c in made.items() if c}


def ratio_of(a: Linear, b: Linear) -> Fraction | None:
    """a / b where a is a multiple of b."""
    if not a or set(a) != set(b):
        return None
    ratios = {a[x] / b[x] for x in a}
    return ratios.pop() if len(ratios) == 1 else None


def shift(a: Node, b: Node) -> float | None:
    """The number a - b, where the two are the same but for it; not 0."""
    left = combined(linear(a), linear(b))
    return float(left[None]) if len(left) == 1 and None in left and _short(left[None], a.dtype) else None


def _short(c: Fraction, dtype: np.dtype) -> bool:
    """Whether the number is one of the dtype."""
    try:
        value = dtype.type(float(c))
    except OverflowError:
        return False
    return bool(np.isfinite(value)) and Fraction(float(value)) == c


def built(terms: Mapping[Node | None, Fraction], like: Node) -> Node | None:
    """The sum as an expression of the type of `like`, in the order of its terms; None where a coefficient would be rounded."""
    if not all(_short(c, like.dtype) for c in terms.values()):
        return None
    made: Node | None = None
    for x, c in sorted(terms.items(), key=lambda item: item[0] is None):
        part = filled(float(abs(c)), like) if x is None else x if abs(c) == 1 else x * float(abs(c))
        made = (part if c > 0 else -part) if made is None else made + part if c > 0 else made - part
    return filled(0.0, like) if made is None else made


def filled(value: float, like: Node) -> Node:
    """An array of the type of `like` filled with a number."""
    return broadcast(constant(np.asarray(value, like.dtype)), like.shape, ())


def gap(a: Node, b: Node) -> Node:
    """a - b, without what is in both."""
    left = combined(linear(a), linear(b))
    made = built(left, a) if len(left) <= max(len(linear(a)), len(linear(b))) else None
    return a - b if made is None or made.type is not a.type else made


@dataclass
class Product:
    """sign * product of x**p: the factors in the order in which they were met; numbers are factors as they were written."""

    powers: dict[Node, Fraction] = field(default_factory=dict)
    negative: bool = False


SQUARE, ROOT, RECIPROCAL, POWER = (OPS[name] for name in ("square", "sqrt", "reciprocal", "power"))


def product(node: Node, positive: frozenset[object] = frozenset()) -> Product:
    """The factors of a node and their powers; roots are opened only over a factor whose op is in `positive`."""
    made = Product()
    todo: list[tuple[Node, Fraction]] = [(node, ONE)]
    opened = 0
    while todo:
        x, p = todo.pop()
        opened += 1
        op = x.op
        if opened > TERMS:
            pass
        elif op is MULTIPLY or op is DIVIDE:
            todo += [(x.inputs[1], p if op is MULTIPLY else -p), (x.inputs[0], p)]
            continue
        elif op is NEGATIVE and p.denominator == 1:
            made.negative ^= bool(p.numerator % 2)
            todo.append((x.inputs[0], p))
            continue
        elif op is RECIPROCAL:
            todo.append((x.inputs[0], -p))
            continue
        elif op is SQUARE and p.denominator == 1:
            todo.append((x.inputs[0], 2 * p))
            continue
        elif op in (ROOT, POWER, SQUARE) and x.inputs[0].op in positive:
            c = Fraction(1, 2) if op is ROOT else Fraction(2) if op is SQUARE else fraction(x.inputs[1])
            if c is not None:
                todo.append((x.inputs[0], c * p))
                continue
        made.powers[x] = made.powers.get(x, Fraction(0)) + p
    return made


# -- building -----------------------------------------------------------------------------------------------------------------
def scaled(x: Node, p: Fraction) -> Node:
    """p x."""
    return x if p == 1 else -x if p == -1 else x * float(p)


def multiplied(powers: Mapping[Node, Fraction]) -> Node | None:
    """The product of powers, in the order of the factors; None for no factor."""
    above = [_raised(x, p) for x, p in powers.items() if p > 0]
    below = [_raised(x, -p) for x, p in powers.items() if p < 0]
    top, bottom = _chain(above), _chain(below)
    if top is None:
        return None if bottom is None else reciprocal(bottom)
    return top if bottom is None else top / bottom


def _raised(x: Node, p: Fraction) -> Node:
    return x if p == 1 else square(x) if p == 2 else sqrt(x) if p == Fraction(1, 2) else power(x, float(p))


def _chain(factors: Sequence[Node]) -> Node | None:
    made: Node | None = None
    for x in factors:
        made = x if made is None else made * x
    return made
