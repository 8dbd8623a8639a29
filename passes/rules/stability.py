"""Naive formulas and what computes the same without overflow, cancellation or a nan derivative.

Inputs are in normal form when a rule looks at them, so one spelling is stated: 1/(1 + exp(-x)) has become a sigmoid
before the log around it is seen, x**2 and x*x a square, x + -1 a difference, 1/x a reciprocal.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from graphc.dims import less_equal
from graphc.ir import Node, Op, make
from graphc.ops.arithmetic import abs, reciprocal, relu, sqrt, square
from graphc.ops.compare import SELECT, isfinite, isinf, stop_gradient, where
from graphc.ops.elementwise import (
    cos,
    cosh,
    erf,
    erfc,
    exp,
    expm1,
    log,
    log1p,
    log_sigmoid,
    logaddexp,
    power,
    sigmoid,
    sigmoid_slope,
    sin,
    sinh,
    softplus,
    tanh,
    tanh_slope,
)  # fmt: skip
from graphc.ops.reductions import log_softmax, logsumexp, mean, prod, softmax, sum, supremum, var
from graphc.ops.registry import OPS
from graphc.ops.running import logcumsumexp
from graphc.ops.shape import RESHAPE, TRANSPOSE
from graphc.ops.special.hyperbolic import log1mexp, log_cosh, over_expm1, sech
from graphc.ops.spread import BROADCAST, REDUCE
from graphc.passes.rewriting.match import Number, hole, number, params, size_value, splat, vector
from graphc.passes.rewriting.rule import AnyRule, Local, Rule
from graphc.passes.rules.algebra import multiplies_exactly
from graphc.passes.rules.forms import linear, multiple, opens

x, y, z = hole("x"), hole("y"), hole("z")
v, w = vector("v"), vector("w")
c, d = number("c"), number("d")
LN2 = math.log(2.0)


ADD, SUBTRACT, DIVIDE, EXP, MULTIPLY = (f.op for f in (x + y, x - y, x / y, exp(x), x * y))
POWER, ROOT, SIGMOID, SQUARE = (f.op for f in (x**y, sqrt(x), sigmoid(x), square(x)))
ABS = abs(x).op
SHIFT = (ADD, (x - y).op, (-x).op, BROADCAST, RESHAPE, stop_gradient(x).op)
SPREAD = (RESHAPE, BROADCAST, TRANSPOSE)
MAX_TERMS = 48


def unshifted(v: Node) -> bool:
    """Whether v is not x - max(x) already, in any spelling: the exponentials of that are safe as they are.

    It is when one of its terms is the maximum of what the others make: log(p) - max(a) is not, of which a is just a part.
    """
    terms = _terms(v)
    maxima = [t for t in terms if t.op is REDUCE and params(t)[1] in ("max", "sup")]
    return not any(len(terms) >= MAX_TERMS or _terms(m.inputs[0]) == terms - {m} for m in maxima)


def _terms(v: Node) -> set[Node]:
    """The nodes of which v is a sum or difference, but for numbers; what guards a maximum (where it is infinite) is not one."""
    terms: set[Node] = set()
    below, seen = [v], {v}
    while below and len(terms) < MAX_TERMS:
        node = below.pop()
        inputs = node.inputs if node.op in SHIFT else node.inputs[1:] if node.op is SELECT else ()
        below.extend([i for i in inputs if i not in seen])
        seen.update(inputs)
        if not inputs and splat(node) is None:
            terms.add(node)
    return terms


def positive(c: Number) -> bool:
    return bool(c > 0)


def even(c: Number) -> bool:
    """c = +-2, +-4, ...: x**c is |x|**c."""
    return bool(np.isfinite(c)) and c != 0 and float(c) % 2 == 0


def even_exactly(c: Number, d: Number) -> bool:
    return even(c) and fractional(d) and multiplies_exactly(c, d)


def odd(c: Number) -> bool:
    """c = 3, 5, ...: x**c has the sign of x."""
    return bool(np.isfinite(c)) and c > 1 and float(c) % 2 == 1


def fractional(c: Number) -> bool:
    """A power that is not smooth at 0; whole ones are, and have forms of their own."""
    return bool(np.isfinite(c)) and float(c) % 1 != 0


def at_least_two(c: Number) -> bool:
    """A power of a root that is smooth where the root is not."""
    return bool(np.isfinite(c)) and c >= 2


def nonzero(c: Number) -> bool:
    return bool(np.isfinite(c)) and c != 0


def maximum_by_hand(v: Node, x: Node) -> bool:
    """Whether x is the maximum of v, through which derivatives would go: that of `softmax` is held constant."""
    return x.op is REDUCE and params(x)[1] in ("max", "sup") and x.inputs[0] is v


def shifted_log_softmax(node: Node) -> Node | None:
    """(v - max(v)) - log(sum(exp(v - max(v)))) -> log_softmax(v): no derivative goes through the maximum."""
    return _SHIFTED[0].apply(node)


def shifted_softmax(node: Node) -> Node | None:
    """exp(v - max(v)) / sum(exp(v - max(v))) -> softmax(v): no derivative goes through the maximum."""
    return _SHIFTED[1].apply(node)


_SHIFTED = (
    Rule("shifted log-softmax", (v - x) - log(sum(exp(v - x))), log_softmax(v), where=maximum_by_hand),
    Rule("shifted softmax", exp(v - x) / sum(exp(v - x)), softmax(v), where=maximum_by_hand),
)


def square_of_root(node: Node) -> Node | None:
    """square(sqrt(x)) -> where(x < 0, sqrt(x), x), or x where that is never negative; so for a root guarded at 0, as a norm is."""
    (root,) = node.inputs
    if root.op is SELECT:
        zero, nothing, root = root.inputs
        if root.op is not ROOT or splat(nothing) != 0 or root.inputs[0].op is not SELECT:
            return None
        again, one, x = root.inputs[0].inputs
        if again is not zero or splat(one) is None or zero is not (x == 0):
            return None
    elif root.op is ROOT:
        (x,) = root.inputs
    else:
        return None
    return x if _sum_of(NEVER_NEGATIVE, x) else where(x < 0, sqrt(x), x)


def root_of_squares(node: Node) -> Node | None:
    """sqrt(t) -> where(t == 0, 0, sqrt(where(t == 0, 1, t))), t a sum of squares and sizes: the same value, derivative 0 at the origin."""
    t = node.inputs[0]
    if node.op is POWER:
        half = splat(node.inputs[1])
        if half is None or half != 0.5:
            return None
    if not _sum_of((SQUARE, ABS), t):
        return None
    zero = t == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, t)))


def power_of_size(node: Node) -> Node | None:
    """|x|**c -> where(x == 0, 0, |where(x == 0, 1, x)|**c) for a fractional c > 0: the same value, derivatives 0 at 0 as that of |x|."""
    size, exponent = node.inputs
    c = splat(exponent)
    if c is None or not fractional(c) or c < 0:
        return None
    (inner,) = size.inputs
    if inner.op is SELECT:
        return None  # guarded
    zero = inner == 0
    return where(zero, 0.0, power(abs(where(zero, 1.0, inner)), exponent))


NEVER_NEGATIVE = (SQUARE, ROOT, EXP, SIGMOID, ABS, relu(x).op, softplus(x).op, cosh(x).op)


def _sum_of(terms: Collection[Op], node: Node) -> bool:
    """A sum, over axes or of several terms, of results of `terms` or even powers, possibly scaled by a number > 0 or divided by a size."""
    todo, seen = [node], 0
    while todo:
        node, seen = todo.pop(), seen + 1
        op = node.op
        if op is ADD:
            todo.extend(node.inputs)
        elif op in SPREAD or (op is REDUCE and params(node)[1] == "sum") or (op is DIVIDE and _positive_number(node.inputs[1])):
            todo.append(node.inputs[0])
        elif op is MULTIPLY and any(map(_positive_number, node.inputs)):
            todo.extend([i for i in node.inputs if not _positive_number(i)])
        elif op not in terms and not (op is POWER and (c := splat(node.inputs[1])) is not None and even(c) and c > 0):
            return False
        if seen > 64:
            return False
    return True


def _positive_number(node: Node) -> bool:
    value = splat(node)
    if value is not None:
        return bool(value > 0)
    size = size_value(node)
    return size is not None and less_equal(0, size) is True


def weighted_logsumexp(v: Node, w: Node) -> Node:
    """m + log(sum(w * exp(v - m))), m = max(v) held constant."""
    m = supremum(v)
    m = stop_gradient(where(isfinite(m), m, 0.0))
    return m + log(sum(w * exp(v - m)))


def log_of_running_sum(node: Node) -> Node | None:
    """log(cumsum(exp(v))) -> logcumsumexp(v), by the running maximum."""
    axis, combine, reverse, exclusive = params(node.inputs[0])
    (inner,) = node.inputs[0].inputs
    if combine != "sum" or exclusive or inner.op is not EXP or not unshifted(inner.inputs[0]):
        return None
    return logcumsumexp(inner.inputs[0], axis, reverse)


def log_before_view(node: Node) -> Node | None:
    """log(view(x)) -> view(log(x)), x an exponential, a probability or a sigmoid: log(softmax(z)[k]) -> log(softmax(z))[k]."""
    views: list[Node] = []
    (x,) = node.inputs
    while x.op.traits.picks and len(views) < 8:
        views.append(x)
        x = x.inputs[0]
    if x.op not in (EXP, SIGMOID) and not (x.op in (DIVIDE, MULTIPLY) and any(i.op is EXP for i in x.inputs)):
        return None
    made = log(x)
    for view in reversed(views):
        made = make(view.op, (made, *view.inputs[1:]), view.params)
    return made


LIMITS: dict[Op, tuple[int, ...]] = {  # f(x) + s that has a rule below
    erf(x).op: (1, -1), tanh(x).op: (1, -1), erfc(x).op: (-1,), SIGMOID: (-1,), EXP: (-1,), cosh(x).op: (-1,), cos(x).op: (-1,),
}  # fmt: skip


def multiple_beside_its_limit(node: Node) -> Node | None:
    """c f(x) + c -> c (f(x) + 1), c f(x) - c -> c (f(x) - 1) for f as tanh and erf, of which other rules keep the digits."""
    a, b = node.inputs
    value, rest = (splat(b), a) if splat(b) is not None else (splat(a), b)
    if value is None or not opens(rest):
        return None  # a multiple of 1, at most
    f, c = multiple(rest)
    if f.op not in (ADD, SUBTRACT) and (f.op not in LIMITS or not math.isclose(math.fabs(c), math.fabs(value))):
        return None
    terms = linear(node)
    number = terms.pop(None, None)
    if number is None or len(terms) != 1:
        return None
    ((term, factor),) = terms.items()
    sign = 1 if factor == number else -1
    if term is None or factor in (1, -1) or factor not in (number, -number) or sign not in LIMITS.get(term.op, ()):
        return None
    return (term + sign) * float(factor)


STABILITY: tuple[AnyRule, ...] = (
    # exponentials and logarithms near 0 and 1
    Rule("expm1", exp(x) - 1, expm1(x), floats="stable", dearer="digits near 0"),
    Rule("expm1 of double", square(exp(x)) - 1, expm1(2 * x), floats="stable", dearer="digits near 0"),
    Rule("1 - exp**2", 1 - square(exp(x)), -expm1(2 * x), floats="stable", dearer="digits near 0"),
    Rule("1 - exp", 1 - exp(x), -expm1(x), floats="stable", dearer="digits near 0"),
    Rule("log1p", log(1 + x), log1p(x), floats="stable"),
    Rule("log1p of negative", log(1 - x), log1p(-x), floats="stable"),
    Local("log before a view", "log", log_before_view, inputs=tuple([op.name for op in OPS.values() if op.traits.picks])),
    Rule("log of exp", log(exp(x)), x, floats="stable"),
    Rule("log1p of expm1", log1p(expm1(x)), x, floats="stable"),
    Rule("log of 1 - exp", log(-expm1(x)), log1mexp(x), floats="stable", dearer="digits on both sides"),
    Rule("reciprocal of exp", reciprocal(exp(x)), exp(-x), floats="stable"),
    Rule("log of reciprocal", log(reciprocal(x)), -log(x), floats="stable"),
    Rule("log of square", log(square(x)), 2 * log(abs(x)), floats="stable"),
    Rule("abs of exp", abs(exp(x)), exp(x)),
    # products and quotients of exponentials under a log
    Rule("log of exp times", log(exp(x) * y), x + log(y), floats="stable"),
    Rule("log of exp over", log(exp(x) / y), x - log(y), floats="stable"),
    Rule("log of over exp", log(x / exp(y)), log(x) - y, floats="stable"),
    Rule("log of sigmoid times", log(sigmoid(x) * y), log(y) - softplus(-x), floats="stable"),
    Rule("log of prod of exp", log(prod(exp(v))), sum(v), floats="stable"),
    Rule("logaddexp", log(exp(x) + exp(y)), logaddexp(x, y), floats="stable"),
    Rule("log of cosh by exp", log((exp(x) + exp(-x)) / 2), log_cosh(x), floats="stable"),
    Rule("log of cosh by half exp", log((exp(x) + exp(-x)) * 0.5), log_cosh(x), floats="stable"),
    Rule("logaddexp over", log((exp(x) + exp(y)) / z), logaddexp(x, y) - log(z), floats="stable"),
    Rule("logaddexp times", log((exp(x) + exp(y)) * c), lambda x, y, c: logaddexp(x, y) + np.log(c), where=positive, floats="stable"),
    # hyperbolic functions by exponentials
    Rule("sinh", exp(x) - exp(-x), 2 * sinh(x), floats="stable"),
    Rule("minus sinh", exp(-x) - exp(x), -2 * sinh(x), floats="stable"),
    Rule("cosh", exp(x) + exp(-x), 2 * cosh(x), floats="reassoc"),
    Rule("tanh", sinh(x) / cosh(x), tanh(x), floats="stable"),
    Rule("tanh by exp", (2 * sinh(x)) / (exp(x) + exp(-x)), tanh(x), floats="stable"),
    Rule("tanh by expm1", expm1(x) / (1 + exp(x)), tanh(0.5 * x), floats="stable"),
    Rule("tanh by sigmoid", 2 * sigmoid(x) - 1, tanh(0.5 * x), floats="stable"),
    Rule("minus tanh by sigmoid", 1 - 2 * sigmoid(x), -tanh(0.5 * x), floats="stable"),
    Rule("1 + tanh", 1 + tanh(x), 2 * sigmoid(2 * x), floats="stable"),
    Rule("1 - tanh", 1 - tanh(x), 2 * sigmoid(-2 * x), floats="stable"),
    Rule("tanh - 1", tanh(x) - 1, -2 * sigmoid(-2 * x), floats="stable"),
    Rule("-1 - tanh", -1 - tanh(x), -2 * sigmoid(2 * x), floats="stable"),
    Rule("1 + tanh, times", y * tanh(x) + y, y * (2 * sigmoid(2 * x)), floats="stable"),
    Rule("1 - tanh, times", y - y * tanh(x), y * (2 * sigmoid(-2 * x)), floats="stable"),
    Rule("tanh - 1, times", y * tanh(x) - y, y * (-2 * sigmoid(-2 * x)), floats="stable"),
    Rule("1 - tanh**2", 1 - square(tanh(x)), tanh_slope(x), floats="stable"),
    Rule("tanh**2 - 1", square(tanh(x)) - 1, -tanh_slope(x), floats="stable"),
    Rule("over cosh**2", y / square(cosh(x)), y * tanh_slope(x), floats="stable"),
    Rule("reciprocal of cosh**2", reciprocal(square(cosh(x))), tanh_slope(x), floats="stable"),
    Rule("cosh**-2", power(cosh(x), -2), tanh_slope(x), floats="stable"),
    Rule("reciprocal of cosh", reciprocal(cosh(x)), sech(x)),
    Rule("reciprocal of expm1", reciprocal(expm1(x)), over_expm1(x)),
    Rule("root of tanh slope", sqrt(tanh_slope(x)), sech(x), floats="stable"),
    Rule("cosh - 1", cosh(x) - 1, 2 * square(sinh(0.5 * x)), floats="stable", dearer="digits near 0"),
    Rule("1 - cosh", 1 - cosh(x), -2 * square(sinh(0.5 * x)), floats="stable", dearer="digits near 0"),
    Rule("cosh**2 - 1", square(cosh(x)) - 1, square(sinh(x)), floats="stable", dearer="digits near 0"),
    Rule("1 - cosh**2", 1 - square(cosh(x)), -square(sinh(x)), floats="stable", dearer="digits near 0"),
    # sigmoids
    Rule("softplus", log1p(exp(x)), softplus(x), floats="stable"),
    Rule("sigmoid of negative", reciprocal(1 + exp(x)), sigmoid(-x), floats="stable"),
    Rule("sigmoid", exp(x) / (1 + exp(x)), sigmoid(x), floats="stable"),
    Rule("sigmoid of difference", exp(x) / (exp(x) + exp(y)), sigmoid(x - y), floats="stable"),
    Rule("times sigmoid of negative", x / (1 + exp(y)), x * sigmoid(-y), floats="stable"),
    Rule("1 - sigmoid", 1 - sigmoid(x), sigmoid(-x), floats="stable"),
    Rule("sigmoid - 1", sigmoid(x) - 1, -sigmoid(-x), floats="stable"),
    Rule("sigmoid slope", sigmoid(x) * sigmoid(-x), sigmoid_slope(x), floats="stable"),
    Rule("sigmoid - sigmoid**2", sigmoid(x) - square(sigmoid(x)), sigmoid_slope(x), floats="stable"),
    Rule("sigmoid**2 - sigmoid", square(sigmoid(x)) - sigmoid(x), -sigmoid_slope(x), floats="stable"),
    Rule("log of sigmoid slope", log(sigmoid_slope(x)), -softplus(x) - softplus(-x), floats="stable"),
    Rule("log of sigmoid", log(sigmoid(x)), -softplus(-x), floats="stable"),
    Rule("log1p of -sigmoid", log1p(-sigmoid(x)), -softplus(x), floats="stable"),
    Rule("log sigmoid", log_sigmoid(x), -softplus(-x)),
    Rule("reciprocal of sigmoid", reciprocal(sigmoid(x)), 1 + exp(-x), floats="stable"),
    Rule("product of tails of tanh", (2 * sigmoid(x)) * (2 * sigmoid(-x)), 4 * sigmoid_slope(x), floats="stable"),
    Rule("difference of sigmoids", sigmoid(x) - sigmoid(-x), tanh(0.5 * x), floats="stable"),
    Rule("minus difference of sigmoids", sigmoid(-x) - sigmoid(x), -tanh(0.5 * x), floats="stable"),
    Rule("difference times", y * sigmoid(x) - y * sigmoid(-x), y * tanh(0.5 * x), floats="stable"),
    Rule("minus difference times", y * sigmoid(-x) - y * sigmoid(x), -(y * tanh(0.5 * x)), floats="stable"),
    Rule("exp of -softplus", exp(-softplus(x)), sigmoid(-x), floats="stable"),
    Rule("log of cosh", log(cosh(x)), log_cosh(x), floats="stable", dearer="no overflow"),
    Rule("log of 1 - tanh**2", log(tanh_slope(x)), -2 * log_cosh(x), floats="stable"),
    Rule("log1p of -tanh**2", log1p(-square(tanh(x))), -2 * log_cosh(x), floats="stable"),
    Local("multiple beside its limit, sum", "add", multiple_beside_its_limit, floats="stable", inputs=("multiply", "divide", "negative")),
    Local("multiple beside its limit", "subtract", multiple_beside_its_limit, floats="stable", inputs=("multiply", "divide", "negative")),
    # the error function
    Rule("erfc", 1 - erf(x), erfc(x), floats="stable", dearer="digits in the tail"),
    Rule("erfc of negative", 1 + erf(x), erfc(-x), floats="stable", dearer="digits in the tail"),
    Rule("-1 - erf", -1 - erf(x), -erfc(-x), floats="stable", dearer="digits in the tail"),
    Rule("erf - 1", erf(x) - 1, -erfc(x), floats="stable", dearer="digits in the tail"),
    Rule("erfc of negative, times", y * erf(x) + y, y * erfc(-x), floats="stable", dearer="digits in the tail"),
    Rule("erfc, times", y - y * erf(x), y * erfc(x), floats="stable", dearer="digits in the tail"),
    Rule("minus erfc, times", y * erf(x) - y, -(y * erfc(x)), floats="stable", dearer="digits in the tail"),
    Rule("erf", 1 - erfc(x), erf(x), floats="stable"),
    Rule("erfc - 1", erfc(x) - 1, -erf(x), floats="stable"),
    # softmax and its logarithms
    Rule("softmax", exp(v) / sum(exp(v)), softmax(v), where=unshifted, floats="stable"),
    Rule("softmax by reciprocal", exp(v) * reciprocal(sum(exp(v))), softmax(v), where=unshifted, floats="stable"),
    Rule("log-sum-exp", log(sum(exp(v))), logsumexp(v), where=unshifted, floats="stable"),
    Rule("log-mean-exp", log(sum(exp(v)) / x), logsumexp(v) - log(x), where=unshifted, floats="stable"),
    Rule("log of multiple of sum-exp", log(c * sum(exp(v))), lambda v, axes, c: logsumexp(v, axes) + np.log(c),
         where=lambda v, c: unshifted(v) and positive(c), floats="stable"),
    Rule("log of weighted sum-exp", log(sum(w * exp(v))), weighted_logsumexp(v, w), where=unshifted, floats="stable"),
    Rule("log of weighted sum-exp over", log(sum(w * exp(v)) / x), weighted_logsumexp(v, w) - log(x), where=unshifted, floats="stable"),
    Rule("expectation under softmax", sum(w * exp(v)) / sum(exp(v)), sum(w * softmax(v)), where=unshifted, floats="stable"),
    Local("log of cumsum-exp", "log", log_of_running_sum, floats="stable", inputs=("cumulate",)),
    Rule("log(1 + sum-exp)", log1p(sum(exp(v))), softplus(logsumexp(v)), where=unshifted, floats="stable"),
    Rule("log-softmax", v - logsumexp(v), log_softmax(v), floats="stable"),
    Rule("exp of log-softmax", exp(log_softmax(v)), softmax(v), floats="stable"),
    # powers of powers: smooth at 0 where their parts are not
    Rule("abs", sqrt(square(x)), abs(x), floats="stable"),
    Rule("abs by power", square(x) ** 0.5, abs(x), floats="stable"),
    Rule("root of an even power", sqrt(power(x, c)), lambda x, c: power(abs(x), c / 2), where=even, floats="stable"),
    Rule("root of an odd power", sqrt(power(x, c)), lambda x, c: where(x < 0, sqrt(x), power(x, c / 2)), where=odd, floats="stable",
         dearer="no overflow, and smooth at 0"),
    Rule("power of a square", power(square(x), c), lambda x, c: power(abs(x), 2 * c), where=fractional, floats="stable"),
    Rule("power of an even power", power(power(x, c), d), lambda x, c, d: power(abs(x), c * d), where=even_exactly, floats="stable"),
    Rule("power of a root", power(sqrt(x), c), lambda x, c: where(x < 0, sqrt(x), power(x, c / 2)), where=at_least_two, floats="stable",
         dearer="no overflow, and smooth at 0"),
    Rule("square of a half power", square(power(x, 0.5)), where(x < 0, power(x, 0.5), x), floats="stable"),
    Local("square of root", "square", square_of_root, floats="stable", inputs=("sqrt", "select")),
    Rule("exp of log", exp(log(x)), where(x < 0, sqrt(x), x), floats="stable"),
    Rule("exp of a multiple of log", exp(c * log(x)), lambda x, c: where(x < 0, sqrt(x), power(x, c)), where=nonzero, floats="stable",
         dearer="no overflow, and smooth at 0"),
    # cancellation
    Rule("variance", mean(square(v)) - square(mean(v)), var(v), floats="stable"),
    Rule("sqrt(1 + x) - 1", sqrt(1 + x) - 1, where(isinf(x), sqrt(1 + x), x / (sqrt(1 + x) + 1)), floats="stable", dearer="digits near 0"),
    Rule("1 - sqrt(1 + x)", 1 - sqrt(1 + x), where(isinf(x), -sqrt(1 + x), -x / (sqrt(1 + x) + 1)), floats="stable",
         dearer="digits near 0"),
    Rule("sqrt(1 - x) - 1", sqrt(1 - x) - 1, where(isinf(x), sqrt(1 - x), -x / (sqrt(1 - x) + 1)), floats="stable", dearer="digits near 0"),
    Rule("1 - sqrt(1 - x)", 1 - sqrt(1 - x), where(isinf(x), -sqrt(1 - x), x / (sqrt(1 - x) + 1)), floats="stable", dearer="digits near 0"),
    Rule("difference of roots", sqrt(1 + x) - sqrt(x), reciprocal(sqrt(1 + x) + sqrt(x)), floats="stable"),
    Rule("1 - cos", 1 - cos(x), 2 * square(sin(0.5 * x)), floats="stable"),
    Rule("cos - 1", cos(x) - 1, -2 * square(sin(0.5 * x)), floats="stable"),
    Rule("1 - sin**2", 1 - square(sin(x)), square(cos(x)), floats="stable"),
    Rule("sin**2 - 1", square(sin(x)) - 1, -square(cos(x)), floats="stable"),
    Rule("1 - cos**2", 1 - square(cos(x)), square(sin(x)), floats="stable"),
    Rule("cos**2 - 1", square(cos(x)) - 1, -square(sin(x)), floats="stable"),
)  # fmt: skip

ORIGIN: tuple[AnyRule, ...] = (  # before grad only: the value is the same, the derivative at the origin is 0 instead of nan
    Local("root of squares", "sqrt", root_of_squares),
    Local("power of a size", "power", power_of_size, inputs=("abs",)),
    Local("root of squares by power", "power", root_of_squares, floats="stable"),
    Local("log-softmax of what is shifted", "subtract", shifted_log_softmax, floats="stable", inputs=("subtract",)),
    Local("softmax of what is shifted", "divide", shifted_softmax, floats="stable", inputs=("exp",)),
)
