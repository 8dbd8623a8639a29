"""Identities of arithmetic, logic and choice. What changes a derivative at a kink is in `LATE`: after `grad` only."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from operator import is_

import numpy as np

from graphc.ir import Node, make
from graphc.ops.arithmetic import abs, floor_divide, maximum, minimum, mod, negative, reciprocal, relu, sqrt, square
from graphc.ops.compare import SELECT, logical_and, logical_not, logical_or, logical_xor, stop_gradient, where
from graphc.ops.elementwise import exp, log, power, power_curve, power_slope, unless_origin
from graphc.ops.registry import DIM
from graphc.ops.shape import RESHAPE
from graphc.ops.spread import BROADCAST, CAST, REDUCE, astype
from graphc.passes.rewriting.match import Number, hole, number, params
from graphc.passes.rewriting.rule import AnyRule, Local, Rule

x, y = hole("x"), hole("y")
i, j = hole("i", "int64"), hole("j", "int64")
m, p = hole("m", "bool"), hole("p", "bool")
c, d = number("c"), number("d")


# -- conditions ---------------------------------------------------------------------------------------------------
def is_negative(c: Number) -> bool:
    """c < 0, in a dtype that has its negative."""
    return bool(c < 0) and c.dtype.kind == "f"


def adds_exactly(c: Number, d: Number) -> bool:
    """c + d without rounding and without cancellation: no small number that the user added is lost."""
    if c.dtype.kind != "f":
        return True
    if not np.isfinite(c) or not np.isfinite(d) or (c < 0) != (d < 0):
        return False
    total = float(c.dtype.type(float(c) + float(d)))
    return math.isfinite(total) and total - float(c) == float(d) and total - float(d) == float(c)


def multiplies_exactly(c: Number, d: Number) -> bool:
    """c * d without rounding, overflow or underflow."""
    return c.dtype.kind != "f" or _exact_product(float(c), float(d), c.dtype)


@lru_cache(maxsize=1024)
def _exact_product(c: float, d: float, dtype: np.dtype) -> bool:
    if not math.isfinite(c) or not math.isfinite(d) or c == 0 or d == 0:
        return False
    (a, n), (b, k) = c.as_integer_ratio(), d.as_integer_ratio()
    with np.errstate(over="ignore", under="ignore"):
        product = float(dtype.type(c) * dtype.type(d))
    return math.isfinite(product) and product != 0 and product.as_integer_ratio() == _reduced(a * b, n * k)


def _reduced(a: int, n: int) -> tuple[int, int]:
    common = math.gcd(a, n)
    return a // common, n // common


def power_of_two(c: Number) -> bool:
    """A float c = +-2**k, neither huge nor tiny."""
    return c.dtype.kind == "f" and math.frexp(c := float(c))[0] in (0.5, -0.5) and 1e-30 < math.fabs(c) < 1e30


def both_powers_of_two(c: Number, d: Number) -> bool:
    return power_of_two(c) and power_of_two(d)


def is_float(x: Node) -> bool:
    return x.dtype.kind == "f"


def is_signed(x: Node) -> bool:
    return x.dtype.kind != "u"


def wrapping(f: Callable[[Number, Number], Number], a: Number, b: Number) -> Number:
    with np.errstate(over="ignore"):
        return f(a, b)


# -- rules on parameters ------------------------------------------------------------------------------------------
def cast_of_cast(node: Node) -> Node | None:
    """cast(cast(x, wide), dtype) -> cast(x, dtype), where `wide` holds every value of x."""
    (inner,) = node.inputs
    (x,) = inner.inputs
    from_, wide = x.dtype, inner.dtype
    lossless = np.can_cast(from_, wide) and not (from_.kind in "iu" and wide.kind == "f" and from_.itemsize >= wide.itemsize)
    return astype(x, node.dtype) if lossless and (wide.kind != "b" or from_.kind == "b") else None


def choice_under_choice(node: Node) -> Node | None:
    """where(m, f(where(m, a, b)), g(where(m, c, d))) -> where(m, f(a), g(d)): f, g elementwise, m or its negation below.

    f and g are cheap: the exponentials of a masked softmax, which its derivative reads under the mask, would be computed a second time.
    """
    mask, taken, other = node.inputs
    new = _Assuming(mask, True).of(taken), _Assuming(mask, False).of(other)
    return None if new[0] is taken and new[1] is other else make(SELECT, (mask, *new))


class _Assuming:
    """Expressions where `mask` is known to have a value; looked through as far as the masks of derivatives reach, a few levels."""

    LEVELS, NODES = 6, 24

    def __init__(self, mask: Node, value: bool) -> None:
        self.mask, self.value, self.left = mask, value, self.NODES
        self.seen: dict[Node, Node] = {}

    def of(self, node: Node, level: int = 0) -> Node:
        if node in self.seen:
            return self.seen[node]
        if level > self.LEVELS or not node.inputs or not self.left:
            return node
        self.left -= 1
        self.seen[node] = made = self._made(node, level)
        return made

    def _made(self, node: Node, level: int) -> Node:
        if node.op is SELECT and (known := _implied(self.mask, self.value, node.inputs[0])) is not None:
            return self.of(node.inputs[1 if known else 2], level)
        if node.op is BROADCAST:  # both repeated in the same way
            if self.mask.op is not BROADCAST or self.mask.params != node.params or self.mask.inputs[0].shape != node.inputs[0].shape:
                return node
            inner = _Assuming(self.mask.inputs[0], self.value).of(node.inputs[0], level)
            return node if inner is node.inputs[0] else make(BROADCAST, (inner,), params(node))
        if not node.op.elementwise or (node.op.costly and not node.op.traits.instruction):
            return node
        inputs = tuple([self.of(i, level + 1) for i in node.inputs])
        return node if all(map(is_, inputs, node.inputs)) else make(node.op, inputs, node.params)


def _implied(mask: Node, value: bool, other: Node) -> bool | None:
    """What `other` is where `mask` is `value`; None where that is not known."""
    if other is mask:
        return value
    opposite = (other.op is NOT and other.inputs[0] is mask) or (mask.op is NOT and mask.inputs[0] is other)
    if not opposite and {other.op, mask.op} == {EQUAL, DIFFERENT}:
        opposite = set(other.inputs) == set(mask.inputs)
    return not value if opposite else None


def division_by_repeated(node: Node) -> Node | None:
    """x / broadcast(y) -> x * broadcast(1 / y), where 1 / y neither overflows nor underflows: y a root, a size, a sum of exponentials."""
    x, divisor = node.inputs
    if divisor.op is not BROADCAST or not _moderate(divisor.inputs[0]):
        return None
    return x * make(BROADCAST, (1 / divisor.inputs[0],), params(divisor))


def _moderate(y: Node) -> bool:
    y = y.inputs[0] if y.op is RESHAPE else y  # without its axes of size 1
    below = y.inputs[0].op if y.inputs else None
    return y.op is SQRT or (y.op is CAST and below is DIM) or (y.op is REDUCE and params(y)[1] == "sum" and below is EXP)


def unrepeated(y: Node) -> bool:
    """Whether a division by y is one per element anyway."""
    return y.op is not BROADCAST and is_float(y)


NOT, EQUAL, DIFFERENT, SQRT, EXP = logical_not(m).op, (x == y).op, (x != y).op, sqrt(x).op, exp(x).op

ALGEBRA: tuple[AnyRule, ...] = (
    # signs
    Rule("minus minus", negative(negative(x)), x),
    Rule("subtract a negative", x - (-y), x + y),
    Rule("add a negative", x + (-y), x - y),
    Rule("add a negative number", x + c, lambda x, c: x - (-c), where=is_negative),
    Rule("subtract a negative number", x - c, lambda x, c: x + (-c), where=is_negative),
    Rule("product of negatives", (-x) * (-y), x * y),
    Rule("negative number factor", (-x) * c, lambda x, c: x * (-c), where=lambda c: c.dtype.kind == "f"),
    Rule("sign out of a product", (-x) * y, -(x * y)),
    Rule("quotient of negatives", (-x) / (-y), x / y),
    Rule("sign out of a numerator", (-x) / y, -(x / y)),
    Rule("sign out of a denominator", x / (-y), -(x / y)),
    Rule("negative of a multiple", -(x * c), lambda x, c: x * (-c), where=lambda c: c.dtype.kind == "f"),
    Rule("negative of a difference", -(i - j), j - i),  # of floats 0 would change its sign; so for the next two
    Rule("abs of negative", abs(-x), abs(x), where=is_signed),
    Rule("abs of abs", abs(abs(x)), abs(x)),
    Rule("relu of relu", relu(relu(x)), relu(x)),
    Rule("abs of square", abs(square(x)), square(x), where=is_float),  # of integers it may have wrapped
    # neutral elements
    Rule("x + 0", x + -0.0, x),
    Rule("i + 0", i + 0, i),
    Rule("x - 0", x - 0, x),
    Rule("0 - i", 0 - i, -i),
    Rule("x * 1", x * 1, x),
    Rule("x * -1", x * -1, -x),
    Rule("x / 1", x / 1, x),
    Rule("x / -1", x / -1, -x),
    Rule("i * 0", i * 0, 0),
    Rule("i - i", i - i, 0),
    Rule("i // 1", floor_divide(i, 1), i),
    Rule("i % 1", mod(i, 1), 0),
    # powers
    Rule("square", x * x, square(x)),
    Rule("square of negative", square(-x), square(x)),
    Rule("square of abs", square(abs(x)), square(x)),
    Rule("x**0", power(x, 0), 1),
    Rule("x**1", power(x, 1), x),
    Rule("x**2", power(x, 2), square(x)),
    Rule("x**-1", power(x, -1), reciprocal(x)),
    Rule("slope of a power", power_slope(x, y), power(x, y) * log(unless_origin(x, y)), floats="reassoc"),  # the same bits; not before grad
    Rule("curve of a power", power_curve(x, y), power_slope(x, y) * log(unless_origin(x, y)), floats="reassoc"),
    Rule("x**0.5", power(x, 0.5), sqrt(x), floats="reassoc"),  # at -inf and -0 the power is inf and 0
    Rule("x**-2", power(x, -2), reciprocal(square(x)), where=is_float, floats="reassoc"),
    Rule("x**4", power(x, 4), square(square(x)), where=is_float, floats="reassoc"),
    # quotients
    Rule("1 / x", 1 / x, reciprocal(x)),
    Rule("times reciprocal", x * reciprocal(y), x / y, where=unrepeated, floats="stable"),
    Rule("reciprocal of reciprocal", reciprocal(reciprocal(x)), x, where=is_float, floats="stable"),
    Rule("reciprocal of quotient", reciprocal(x / y), y / x, floats="stable"),
    Rule("divide by a reciprocal", x / reciprocal(y), x * y, floats="stable"),
    # numbers gather, where nothing is rounded; cancellation (x + c) - c is left alone, it may be meant
    Rule("scaling by powers of two", (x * c) * d, lambda x, c, d: x * (c * d), where=both_powers_of_two, floats="stable"),
    Rule("numbers of a product", (x * c) * d, lambda x, c, d: x * wrapping(np.multiply, c, d), where=multiplies_exactly, floats="reassoc"),
    Rule("numbers of a sum", (x + c) + d, lambda x, c, d: x + wrapping(np.add, c, d), where=adds_exactly, floats="reassoc"),
    Rule("numbers of a difference", (x - c) - d, lambda x, c, d: x - wrapping(np.add, c, d), where=adds_exactly, floats="reassoc"),
    Rule("halving a double", (x * c) / c, x, where=power_of_two, floats="stable"),
    # choice
    Rule("choice between equals", where(m, x, x), x),
    Rule("choice by constant, true", where(True, x, y), x),
    Rule("choice by constant, false", where(False, x, y), y),
    Rule("choice by negation", where(logical_not(m), x, y), where(m, y, x)),
    Rule("sum of choices", where(m, x, 0) + where(m, y, 0), where(m, x + y, 0)),
    Rule("choice of both", where(m, x, 0) + where(m, 0, y), where(m, x, y), floats="reassoc"),  # 0 + -0
    Rule("maximum of equals", maximum(x, x), x),
    Rule("minimum of equals", minimum(x, x), x),
    # logic
    Rule("not not", logical_not(logical_not(m)), m),
    Rule("invert of bool", ~m, logical_not(m)),
    Rule("and of bools", logical_and(m, p), m & p),
    Rule("or of bools", logical_or(m, p), m | p),
    Rule("xor of bools", logical_xor(m, p), m ^ p),
    Rule("m & m", m & m, m),
    Rule("m | m", m | m, m),
    Rule("m & true", m & True, m),
    Rule("m & false", m & False, False),
    Rule("m | true", m | True, True),
    Rule("m | false", m | False, m),
    Rule("absorb, and", m & (m | p), m),
    Rule("absorb, or", m | (m & p), m),
    Rule("implied, and", m & (m & p), m & p),
    Rule("implied, or", m | (m | p), m | p),
    Rule("m & not m", m & logical_not(m), False),
    Rule("m | not m", m | logical_not(m), True),
    Rule("i & i", i & i, i),
    Rule("i | i", i | i, i),
    Rule("i ^ i", i ^ i, 0),
    # comparisons
    Rule("i == i", i == i, True),
    Rule("i != i", i != i, False),
    Rule("x < x", x < x, False),
    Rule("x > x", x > x, False),
    Rule("i <= i", i <= i, True),
    Rule("i >= i", i >= i, True),
    Rule("not i < j", logical_not(i < j), i >= j),
    Rule("not i <= j", logical_not(i <= j), i > j),
    Rule("not i > j", logical_not(i > j), i <= j),
    Rule("not i >= j", logical_not(i >= j), i < j),
    Rule("not equal", logical_not(x == y), x != y),
    Rule("not different", logical_not(x != y), x == y),
    # types
    Rule("mask as numbers, positive", m.astype("float64") > 0, m),
    Rule("mask as numbers, not 0", m.astype("float64") != 0, m),
    Local("cast of cast", "cast", cast_of_cast, inputs=("cast",)),
)

LATE: tuple[AnyRule, ...] = (
    Rule("constant for good", stop_gradient(x), x),
    Local("choice known from above", "select", choice_under_choice),  # a second `where` may guard a derivative: not before grad
    Rule("constant for good, bool", stop_gradient(m), m),
    Rule("root guarded at 0", where(x == 0, 0, sqrt(x)), sqrt(x), floats="reassoc"),  # sqrt(-0) is -0
    Rule("log guarded at 0", where(x == 0, -math.inf, log(x)), log(x)),
    Local("division by what is repeated", "divide", division_by_repeated, floats="reassoc", inputs=("broadcast",)),
    Rule("sign out of a sum", (-x) - y, -(x + y), floats="reassoc"),  # -0 - -0
    Rule("divide by a power of two", x / c, lambda x, c: x * (1 / c), where=power_of_two),
    Rule("maximum of numbers", maximum(maximum(x, c), d), lambda x, c, d: maximum(x, np.maximum(c, d))),
    Rule("minimum of numbers", minimum(minimum(x, c), d), lambda x, c, d: minimum(x, np.minimum(c, d))),
)
