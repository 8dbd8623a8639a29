"""Differences f(a) - f(b) by identities in a - b, which is known where the formula says it: a shift, or what both have in common.

    sqrt(x + 1) - sqrt(x)       ->  1 / (sqrt(x + 1) + sqrt(x))
    sin(x + 0.1) - sin(x)       ->  2 sin(0.05) * cos(x + 0.05)
    exp(2 * x) - exp(x)         ->  exp(x) * expm1(x)
    x / (x + 1) - 1             ->  -1 / (x + 1)

A function has one row, f(b + h) - f(b) for a number h > 0, or for any gap h(x). The difference is then a product or a quotient, of which
all derivatives keep their digits too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from graphc.ir import Node, Op
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import reciprocal, sqrt, square
from graphc.ops.compare import SELECT, isinf, where
from graphc.ops.elementwise import (
    LOG2E,
    LOG10E,
    arcsinh,
    arctan,
    arctan2,
    cos,
    cosh,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    power,
    sigmoid,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
)  # fmt: skip
from graphc.ops.registry import OPS
from graphc.ops.special.hyperbolic import root_one_plus, sech
from graphc.passes.rewriting.match import hole
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.algebra import is_float
from graphc.passes.rules.forms import Linear, built, combined, fraction, gap, linear, shift
from graphc.records import dataclass

ADD, SUBTRACT, DIVIDE, RECIPROCAL, ERF, ERFC = (OPS[name] for name in ("add", "subtract", "divide", "reciprocal", "erf", "erfc"))
ROOT_ONE_PLUS = root_one_plus(0.0).op
POWER, ROOT, SQUARE = (OPS[name] for name in ("power", "sqrt", "square"))
x = hole("x")
NEAR_ENOUGH = 4.0  # h / b does not overflow for a normal b
WIDE_ENOUGH = 0.1  # for two tails to be apart


@dataclass(frozen=True)
class Pair:
    """f(a) - f(b), a = b + h."""

    above: Node  # f(a)
    below: Node  # f(b)
    a: Node
    b: Node

    def middle(self) -> Node:
        """(a + b) / 2."""
        made = built({x: c / 2 for x, c in combined(linear(self.a), linear(self.b), 1).items()}, self.a)
        return 0.5 * (self.a + self.b) if made is None else made


def _log1p_of_ratio(h: float, b: Node) -> Node:
    """log((b + h) / b), nan where b < 0."""
    ratio = h / b
    inside = log1p(ratio) if h <= NEAR_ENOUGH else where(isinf(ratio), math.log(h) - log(b), log1p(ratio))
    return where(b < 0, sqrt(b), inside)


def _arcs(p: Pair, h: float, root_a: Node, root_b: Node) -> Node:
    """arcsinh(h / (root(b) a / (a + b) + root(a) b / (a + b))), for a and b of one sign: sinh of the difference, nothing of it squared."""
    total = p.a + p.b
    return arcsinh(h / (root_b * (p.a / total) + root_a * (p.b / total)))


def _arcsinh_gap(p: Pair, h: float) -> Node:
    apart = (p.b < 0) & (p.a > 0)  # no cancellation, and a + b may be 0
    near = Pair(p.above, p.below, where(apart, 1.0 + h, p.a), where(apart, 1.0, p.b))
    plain = arcsinh(where(apart, p.a, 0.0)) - arcsinh(where(apart, p.b, 0.0))
    return where(apart, plain, _arcs(near, h, root_one_plus(near.a), root_one_plus(near.b)))


def _arccosh_gap(p: Pair, h: float) -> Node:
    return _arcs(p, h, *[sqrt(x - 1) * sqrt(x + 1) for x in (p.a, p.b)])


def _erf_gap(p: Pair, h: float) -> Node:
    """erf(a) - erf(b) by the tail of the side on which both are."""
    if h < WIDE_ENOUGH:
        return p.above - p.below
    right = p.middle() > 0
    return erfc(where(right, p.b, -p.a)) - erfc(where(right, p.a, -p.b))


# f(b + h) - f(b) for a number h > 0
SHIFTED: dict[Op, Callable[[Pair, float], Node]] = {
    exp(0.0).op: lambda p, h: p.below * math.expm1(h),
    expm1(0.0).op: lambda p, h: exp(p.b) * math.expm1(h),
    exp2(0.0).op: lambda p, h: p.below * math.expm1(h * math.log(2)),
    log(1.0).op: lambda p, h: _log1p_of_ratio(h, p.b),
    log1p(0.0).op: lambda p, h: _log1p_of_ratio(h, 1 + p.b),
    log2(1.0).op: lambda p, h: _log1p_of_ratio(h, p.b) * LOG2E,
    log10(1.0).op: lambda p, h: _log1p_of_ratio(h, p.b) * LOG10E,
    ROOT: lambda p, h: h / (p.above + p.below),
    RECIPROCAL: lambda p, h: -((h * p.above) * p.below),
    SQUARE: lambda p, h: h * (p.a + p.b),
    sin(0.0).op: lambda p, h: (2 * math.sin(h / 2)) * cos(p.middle()),
    cos(0.0).op: lambda p, h: (-2 * math.sin(h / 2)) * sin(p.middle()),
    tan(0.0).op: lambda p, h: math.sin(h) / (cos(p.a) * cos(p.b)),
    sinh(0.0).op: lambda p, h: (2 * math.sinh(h / 2)) * cosh(p.middle()),
    cosh(0.0).op: lambda p, h: (2 * math.sinh(h / 2)) * sinh(p.middle()),
    tanh(0.0).op: lambda p, h: math.sinh(h) * (sech(p.a) * sech(p.b)),
    sigmoid(0.0).op: lambda p, h: (0.5 * math.sinh(h / 2)) * (sech(0.5 * p.a) * sech(0.5 * p.b)),
    softplus(0.0).op: lambda p, h: log1p(math.expm1(h) * sigmoid(p.b)),
    arctan(0.0).op: lambda p, h: arctan2(h, 1 + p.a * p.b),
    arcsinh(0.0).op: _arcsinh_gap,
    OPS["arccosh"]: _arccosh_gap,
    ERF: _erf_gap,
    ERFC: lambda p, h: -_erf_gap(p, h),
}
LARGEST = 20.0  # of a shift: beyond it nothing cancels, and its own exponential may overflow


def _roots(p: Pair, d: Node) -> Node:
    total = p.above + p.below
    nothing = total == 0
    return where(nothing, 0.0, d / where(nothing, 1.0, total))


# f(a) - f(b) for a and b that have a part in common, or are multiples of one variable; d = a - b
RELATED: dict[Op, Callable[[Pair, Node], Node]] = {
    ROOT: _roots,
    SQUARE: lambda p, d: d * (p.a + p.b),
    sin(0.0).op: lambda p, d: 2 * (sin(0.5 * d) * cos(p.middle())),
    cos(0.0).op: lambda p, d: -2 * (sin(0.5 * d) * sin(p.middle())),
    cosh(0.0).op: lambda p, d: 2 * (sinh(0.5 * d) * sinh(p.middle())),
}


def difference(node: Node) -> Node | None:
    """f(a) - f(b) -> an expression in a - b, see SHIFTED and RELATED."""
    above, below = node.inputs
    if above.op is not below.op:
        return _of_logarithms(above, below) if above.op in ONE_ADDED and below.op in ONE_ADDED else None
    if above.op is RECIPROCAL and above.inputs[0].op is below.inputs[0].op in SHIFTED:  # 1 / u - 1 / v = (v - u) / u / v
        gone = difference(below.inputs[0] - above.inputs[0])
        return None if gone is None else (gone * above) * below
    if above.op in (ERF, ERFC) and abs(shift(above.inputs[0], below.inputs[0]) or 0.0) < WIDE_ENOUGH:
        return None
    if above.op is POWER or above.op is DIVIDE:
        return _of_powers(above, below) if above.op is POWER else _of_quotients(above, below)
    row = SHIFTED.get(above.op)
    if row is None:
        return None
    pair = Pair(above, below, above.inputs[0], below.inputs[0])
    h = shift(pair.a, pair.b)
    if h is not None and abs(h) <= LARGEST:
        return row(pair, h) if h > 0 else -row(Pair(below, above, pair.b, pair.a), -h)
    related = RELATED.get(above.op)
    return related(pair, gap(pair.a, pair.b)) if h is None and related is not None and _related(pair) else None


def _related(p: Pair) -> bool:
    """Whether the gap is simpler than its ends."""
    a, b = linear(p.a), linear(p.b)
    left = combined(a, b)
    if not left or (None in left and len(left) == 1):
        return False
    return len(left) < max(len(a), len(b)) or (len(a) == len(b) == 1 and set(a) == set(b))


ONE_ADDED: dict[Op, int] = {log(1.0).op: 0, log1p(0.0).op: 1}


def _of_logarithms(above: Node, below: Node) -> Node | None:
    """log(a) - log1p(b) and the reverse, for a shift of a and 1 + b."""
    a, b = above.inputs[0], below.inputs[0]
    left = combined(combined(linear(a), linear(b)), {None: Fraction(ONE_ADDED[above.op] - ONE_ADDED[below.op])}, 1)
    if len(left) != 1 or None not in left or abs(left[None]) > LARGEST:
        return None
    h = float(left[None])
    low = below if h > 0 else above
    made = _log1p_of_ratio(math.fabs(h), low.inputs[0] if ONE_ADDED[low.op] == 0 else 1 + low.inputs[0])
    return made if h > 0 else -made


def _of_powers(above: Node, below: Node) -> Node | None:
    """a**c - b**c for a number c and a shift h = a - b."""
    c, h = fraction(above.inputs[1]), shift(above.inputs[0], below.inputs[0])
    if c is None or c != fraction(below.inputs[1]) or h is None or abs(h) > LARGEST:
        return None
    if h < 0:
        made = _of_powers(below, above)
        return None if made is None else -made
    a, b = above.inputs[0], below.inputs[0]
    if c == 3:
        return h * (square(a) + (a * b + square(b)))
    if c == 4:
        return h * ((a + b) * (square(a) + square(b)))
    if c.denominator == 1:
        return None
    return -(above * expm1(float(c) * log1p(-h / a))) if c > 0 else below * expm1(float(c) * log1p(h / b))


def _of_quotients(above: Node, below: Node) -> Node | None:
    """c / a - c / b -> -(h c / a) / b for a shift h = a - b."""
    (c, a), (other, b) = above.inputs, below.inputs
    h = shift(a, b) if c is other or (fraction(c) is not None and fraction(c) == fraction(other)) else None
    return None if h is None else -((h * above) / b)


def quotient_less_one(node: Node) -> Node | None:
    """u / v - 1 -> h / v for a shift h = u - v, 1 - u / v -> -h / v."""
    first, second = node.inputs
    number, quotient = (second, first) if fraction(second) == 1 else (first, second)
    if fraction(number) != 1 or quotient.op is not DIVIDE:
        return None
    u, v = quotient.inputs
    h = shift(u, v)
    return None if h is None else (h if quotient is first else -h) / v


def power_less_one(node: Node) -> Node | None:
    """(1 + u)**c - 1 -> expm1(c log1p(u)) where |u| < 1/2, and the negative of it."""
    first, second = node.inputs
    number, raised = (second, first) if fraction(second) == 1 else (first, second)
    base = fraction(raised.inputs[0]) if fraction(number) == 1 and raised.op is POWER and raised.inputs[1].op is not SELECT else None
    if base is not None and base > 0:
        made = _exponential_less_one(float(base), raised)
        return made if raised is first else -made
    found = _one_plus(raised) if fraction(number) == 1 and raised.op is POWER else None
    if found is None:
        return None
    u, c = found
    near = size_of(u) < 0.5
    far = power(where(near, 2.0, raised.inputs[0]), raised.inputs[1]) - 1
    made = where(near, expm1(float(c) * log1p(where(near, u, 0.0))), far)
    return made if raised is first else -made


def _exponential_less_one(base: float, raised: Node) -> Node:
    """base**x - 1 -> expm1(x log(base)) where that is less than 1/2; the power of what is larger has more digits."""
    u = raised.inputs[1] * math.log(base)
    near = size_of(u) < 0.5
    far = power(raised.inputs[0], where(near, 1.0, raised.inputs[1])) - 1
    return where(near, expm1(where(near, u, 0.0)), far)


def _one_plus(raised: Node) -> tuple[Node, Fraction] | None:
    """(u, c) of (1 + u)**c."""
    base, exponent = raised.inputs
    c = fraction(exponent)
    if c is None or base.op not in (ADD, SUBTRACT):
        return None
    one, u = base.inputs if fraction(base.inputs[0]) == 1 else base.inputs[::-1]
    if fraction(one) != 1 or (base.op is SUBTRACT and one is not base.inputs[0]):
        return None
    return (u if base.op is ADD else -u), c


def root_less_main_term(node: Node) -> Node | None:
    """sqrt(v**2 + w) - v -> w / (sqrt(v**2 + w) + v) where v > 0."""
    root, v = node.inputs
    negative = root.op not in (ROOT, ROOT_ONE_PLUS)
    if negative:
        root, v = v, root
    if root.op is ROOT_ONE_PLUS and root.inputs[0] is v:
        inside: Linear = {square(v): Fraction(1), None: Fraction(1)}
    elif root.op is ROOT:
        inside = linear(root.inputs[0])
    else:
        return None
    main = next((s for s, c in inside.items() if s is not None and s.op is SQUARE and s.inputs[0] is v and c == 1), None)
    rest = None if main is None else built({x: c for x, c in inside.items() if x is not main}, v)
    if rest is None or len(inside) < 2:
        return None
    positive = v > 0
    total = root + where(positive, v, -v)
    made = where(positive, rest / total, total)
    return -made if negative else made


def logarithm_of_ratio(node: Node) -> Node | None:
    """log(u / v) -> log1p(h / v) for a shift h = u - v."""
    (quotient,) = node.inputs
    u, v = quotient.inputs
    h = shift(u, v)
    if h is None or abs(h) > NEAR_ENOUGH:
        return None
    return log1p(h / v) if h > 0 else -log1p(-h / u)


def power_near_one(node: Node) -> Node | None:
    """(1 + u)**c -> exp(c log1p(u)) where |u| < 1/2, for a large number c: it magnifies the rounding of the sum."""
    found = _one_plus(node)
    if found is None or math.fabs(found[1]) < MAGNIFYING:
        return None
    u, c = found
    near = size_of(u) < 0.5
    raised = power(where(near, 1.0, node.inputs[0]), node.inputs[1])
    return where(near, exp(float(c) * log1p(where(near, u, 0.0))), raised)


MAGNIFYING = 32
_FUNCTIONS = tuple(sorted({op.name for op in SHIFTED} | {"power", "divide"}))

DIFFERENCES: tuple[AnyRule, ...] = (
    Local("difference of one function", "subtract", difference, floats="stable", only=_FUNCTIONS),
    Local("quotient less 1", "subtract", quotient_less_one, floats="stable", inputs=("divide",)),
    Local("power less 1", "subtract", power_less_one, floats="stable", inputs=("power",), dearer="digits near 1"),
    Local("root less its main term", "subtract", root_less_main_term, floats="stable", inputs=("sqrt", "root_one_plus")),
    Local("power near 1", "power", power_near_one, floats="stable", inputs=("add", "subtract"), dearer="digits near 1"),
    Local("logarithm of a ratio", "log", logarithm_of_ratio, floats="stable", inputs=("divide",)),
)


def difference_of_exponentials(node: Node) -> Node | None:
    """e**a - e**b -> e**b (e**(a - b) - 1) where a is the larger multiple of b, else +-e**max(a, b) (1 - e**-|a - b|)."""
    p, q = (i.inputs[0] for i in node.inputs)
    d, a, b = gap(p, q), linear(p), linear(q)
    if len(a) == len(b) == 1 and set(a) == set(b) and None not in a:
        (first_times,), (second_times,) = a.values(), b.values()
        if first_times * second_times > 0:
            return exp(q) * expm1(d) if abs(first_times) > abs(second_times) else -(exp(p) * expm1(-d))
    first = d >= 0
    return where(first, 1.0, -1.0) * (exp(where(first, p, q)) * -expm1(where(first, -d, d)))


def difference_of_sigmoids(node: Node) -> Node | None:
    """sigmoid(a) - sigmoid(b) -> +-sigmoid(max(a, b)) sigmoid(-min(a, b)) (1 - e**-|a - b|), for a and b that have a part in common."""
    above, below = node.inputs
    pair = Pair(above, below, above.inputs[0], below.inputs[0])
    if not _related(pair):
        return None
    d = gap(pair.a, pair.b)
    first = d >= 0
    most, least = where(first, pair.a, pair.b), where(first, pair.b, pair.a)
    return where(first, 1.0, -1.0) * ((sigmoid(most) * sigmoid(-least)) * -expm1(where(first, -d, d)))


# the derivatives of what these replace keep their digits, those of the results do not: after `grad` only
LATE: tuple[AnyRule, ...] = (
    Local("difference of exponentials", "subtract", difference_of_exponentials, floats="stable", only=("exp",)),
    Local(
        "difference of sigmoids of what is related",
        "subtract",
        difference_of_sigmoids,
        floats="stable",
        only=("sigmoid",),
        dearer="digits in the tails",
    ),
    Rule("1 less a reciprocal", 1 - reciprocal(1 + x), reciprocal(1 + reciprocal(x)), where=is_float, floats="stable"),
    Rule("reciprocal less 1", reciprocal(1 + x) - 1, -reciprocal(1 + reciprocal(x)), where=is_float, floats="stable"),
)
