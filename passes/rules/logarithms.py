"""The logarithm of a positive expression, in whatever way it was spelled: logarithms, roots and powers ask for it.

    log(x * exp(a) * (1 + exp(b))**3)      ->  a + 3 softplus(b) + log(x)
    log(exp(a) - exp(b))                   ->  a + log1mexp(b - a)
    sqrt(1 + exp(x))                       ->  exp(0.5 * softplus(x))

What may overflow or vanish is never formed. An expression is opened a few levels deep; what is not known to be positive stays under a
logarithm of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property

from graphc.ir import Node, Op, make
from graphc.ops.elementwise import (
    LOG2E,
    LOG10E,
    exp,
    log,
    logaddexp,
    sigmoid_slope,
    softplus,
    tanh_slope,
)  # fmt: skip
from graphc.ops.registry import CONSTANT, OPS
from graphc.ops.special.hyperbolic import log1mexp, log_cosh, sech
from graphc.ops.spread import BROADCAST
from graphc.passes.rewriting.match import hole, params
from graphc.passes.rewriting.rule import AnyRule, Local
from graphc.passes.rules.forms import filled, fraction, gap, multiplied, product, scaled
from graphc.passes.rules.stability import LN2
from graphc.records import dataclass

EXP, EXPM1, SIGMOID, SINH, COSH, TANH = (OPS[n] for n in ("exp", "expm1", "sigmoid", "sinh", "cosh", "tanh"))
ADD, SUBTRACT, NEGATIVE, MULTIPLY, DIVIDE = (OPS[n] for n in ("add", "subtract", "negative", "multiply", "divide"))
SQUARE, ROOT, POWER, RECIPROCAL = (OPS[n] for n in ("square", "sqrt", "power", "reciprocal"))
DEEPEST = 4
x, y = hole("x"), hole("y")


# -- logarithms ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Log:
    """The logarithm of an expression. positive: it is never negative, whatever its operands; opened: exponentials are gone from it.

    Nothing is built before somebody asks for the value: most expressions that are looked at are none.
    """

    build: Callable[[], Node]
    positive: bool = True
    opened: bool = True

    @cached_property
    def value(self) -> Node:
        return self.build()


POSITIVE: dict[Op, Callable[[Node], Node]] = {
    EXP: lambda u: u,
    SIGMOID: lambda u: -softplus(-u),
    COSH: log_cosh,
    sech(0.0).op: lambda u: -log_cosh(u),
    tanh_slope(0.0).op: lambda u: -2 * log_cosh(u),
    sigmoid_slope(0.0).op: lambda u: -softplus(u) - softplus(-u),
}
SIGNED: dict[Op, Callable[[Node], Node]] = {
    EXPM1: lambda u: u + log1mexp(-u),
    SINH: lambda u: u + log1mexp(-2 * u) - LN2,
    TANH: lambda u: log1mexp(-2 * u) - softplus(-2 * u),
}


FACTORED = frozenset((MULTIPLY, DIVIDE, RECIPROCAL, SQUARE, ROOT, POWER))
ROOTS = frozenset((*POSITIVE, ADD, MULTIPLY, DIVIDE))  # what a root or a fractional power is opened over


_NONE: dict[int, int] = {}  # serials of sums and products that have no such logarithm, looked at from this depth on
REMEMBERED = 10**6


def logarithm(x: Node, depth: int = 0) -> Log | None:
    """log(x), without the exponentials in x; None where x is not known to be positive and is no function of SIGNED either."""
    op = x.op
    if op in POSITIVE:
        return Log(lambda: POSITIVE[op](x.inputs[0]))
    if op in SIGNED:
        return Log(lambda: SIGNED[op](x.inputs[0]), positive=False)
    if op is CONSTANT or op is BROADCAST:
        number = fraction(x)
        if number is not None:
            return Log(lambda: filled(math.log(number), x), opened=False) if number > 0 else None
        inner = logarithm(x.inputs[0], depth + 1) if op is BROADCAST else None
        return None if inner is None else Log(lambda: make(BROADCAST, (inner.value,), params(x)), inner.positive, inner.opened)
    if depth > DEEPEST or _NONE.get(x.serial, DEEPEST + 1) <= depth:
        return None
    made = None
    if op is ADD or op is SUBTRACT:
        made = _log_of_sum(x, depth)
    elif op in FACTORED and _promises(x):
        made = _log_of_product(x, depth)
    if made is None:
        if len(_NONE) > REMEMBERED:
            _NONE.clear()
        _NONE[x.serial] = depth
    return made


def _promises(x: Node) -> bool:
    """Whether there may be an exponential among the factors: a look at three levels."""
    level = x.inputs
    for _ in range(3):
        if any([i.op in POSITIVE or i.op is ADD for i in level]):
            return True
        level = tuple([j for i in level if i.op in FACTORED for j in i.inputs])
    return False


def _log_of_sum(x: Node, depth: int) -> Log | None:
    first = logarithm(x.inputs[0], depth + 1)
    second = logarithm(x.inputs[1], depth + 1) if first is not None and first.positive else None
    if first is None or second is None or not second.positive or not (first.opened or second.opened):
        return None
    if x.op is ADD:
        return Log(lambda: _log_add(first, second))
    if not first.opened:  # c - exp(u): a constant next to 1 has a form of its own
        low = fraction(x.inputs[0])
        return Log(lambda: log1mexp(second.value) if low == 1 else first.value + log1mexp(second.value - first.value), positive=False)
    return Log(lambda: first.value + log1mexp(gap(second.value, first.value)), positive=False)


def _log_add(a: Log, b: Log) -> Node:
    """log(e**a + e**b)."""
    if not b.opened:
        a, b = b, a
    if a.opened:
        return logaddexp(a.value, b.value)
    known = fraction(a.value)
    return softplus(b.value) if known == 0 else softplus(b.value - a.value) + a.value


def _log_of_product(x: Node, depth: int) -> Log | None:
    """The sum of the logarithms of the factors; those that are not known stay one product under one logarithm."""
    found = product(x, ROOTS)
    if found.negative:
        return None
    known: list[tuple[Log, Fraction]] = []
    rest: dict[Node, Fraction] = {}
    for factor, p in found.powers.items():
        part = logarithm(factor, depth + 1) if factor is not x else None
        if part is None or not part.positive or not part.opened:
            rest[factor] = p
        else:
            known.append((part, p))
    numbers = [(fraction(f), p) for f, p in rest.items()]
    if not known:
        return None
    if all(c is not None and c > 0 for c, _ in numbers):
        plus = math.fsum([float(p) * math.log(c) for c, p in numbers if c is not None])
        return Log(lambda: _total(known) + plus if plus else _total(known))
    if not all(p.denominator == 1 for _, p in numbers):
        return None
    return Log(lambda: _total(known) + log(_some(multiplied(rest))), positive=False)


def _total(terms: Sequence[tuple[Log, Fraction]]) -> Node:
    parts = [scaled(part.value, p) for part, p in terms]
    made = parts[0]
    for part in parts[1:]:
        made = made + part
    return made


def _some(x: Node | None) -> Node:
    assert x is not None
    return x


def log_of_exponentials(node: Node) -> Node | None:
    """log(expression of exponentials) -> its logarithm, in which none of them overflows, vanishes or cancels."""
    (x,) = node.inputs
    if x.op is EXP or x.op in POSITIVE:
        return None  # there are rules for these
    found = logarithm(x)
    return None if found is None or not found.opened else found.value


def log1p_of_exponentials(node: Node) -> Node | None:
    """log1p(P) -> softplus(log P), log1p(-P) -> log(1 - e**log P), where P is a product or quotient with exponentials."""
    (x,) = node.inputs
    negative = x.op is NEGATIVE
    inner = x.inputs[0] if negative else x
    found = logarithm(inner) if inner.op in (MULTIPLY, DIVIDE, ADD, POWER, ROOT) else None
    if found is None or not (found.opened and found.positive):
        return None
    return log1mexp(found.value) if negative else softplus(found.value)


def _in_base(scale: float) -> Callable[[Node], Node | None]:
    def function(node: Node) -> Node | None:
        """log2(expression of exponentials) -> its logarithm times 1 / log(2), and so for log10."""
        (x,) = node.inputs
        found = logarithm(x)
        return None if found is None or not found.opened else found.value * scale

    return function


def terms_of(x: Node) -> list[Log] | None:
    """The logarithms of the terms of a sum of two to four positive terms, with exponentials among them."""
    todo, found = [x], list[Log]()
    while todo:
        x = todo.pop()
        if x.op is ADD and len(found) + len(todo) < 4:
            todo += [x.inputs[1], x.inputs[0]]
            continue
        term = logarithm(x)
        if term is None or not term.positive:
            return None
        found.append(term)
    return found if len(found) > 1 and any(t.opened for t in found) else None


def added(logs: Sequence[Log]) -> Node:
    """The logarithm of the sum."""
    total = logs[0]
    for t in logs[1:]:
        made = _log_add(total, t)
        total = known(made)
    return total.value


def known(value: Node) -> Log:
    """The logarithm of something positive."""
    return Log(lambda: value)


# -- roots and powers ---------------------------------------------------------------------------------------------------------
def power_of_exponentials(node: Node) -> Node | None:
    """P**c -> exp(c log P), where P overflows or vanishes long before the power does: roots, negative and fractional powers."""
    x = node.inputs[0]
    c = Fraction(1, 2) if node.op is ROOT else fraction(node.inputs[1])
    if c is not None and (c == 0 or (c >= 1 and x.op is not EXP)):
        return None
    found = logarithm(x)
    if found is None or not (found.opened and found.positive):
        return None
    return exp(found.value * node.inputs[1] if c is None else scaled(found.value, c))


_UNDER_LOG = ("multiply", "divide", "add", "subtract", "expm1", "sinh", "tanh", "sqrt", "power", "square", "broadcast")
_UNDER_ROOT = ("exp", "sigmoid", "cosh", "add", "multiply", "divide")

LOGARITHMS: tuple[AnyRule, ...] = (
    Local("root of exponentials", "sqrt", power_of_exponentials, floats="stable", inputs=_UNDER_ROOT),
    Local("power of exponentials", "power", power_of_exponentials, floats="stable", inputs=_UNDER_ROOT),
    Local("logarithm of exponentials", "log", log_of_exponentials, floats="stable", inputs=_UNDER_LOG),
    Local("log1p of exponentials", "log1p", log1p_of_exponentials, floats="stable", inputs=(*_UNDER_LOG, "negative")),
    Local("logarithm of exponentials, base 2", "log2", _in_base(LOG2E), floats="stable"),
    Local("logarithm of exponentials, base 10", "log10", _in_base(LOG10E), floats="stable"),
)
