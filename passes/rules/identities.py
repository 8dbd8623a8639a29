"""Functions written by hand, and identities between them: hyperbolic inverses, half angles, the point (1, x), tails of erfc."""

from __future__ import annotations

import numpy as np

from graphc.ir import Node
from graphc.ops.arithmetic import reciprocal, sqrt, square
from graphc.ops.compare import where
from graphc.ops.elementwise import (
    arccosh,
    arcsinh,
    arcsinh_slope,
    arctan,
    arctan_slope,
    arctanh,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    expm1,
    log,
    log1p,
    power,
    sigmoid,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
    tanh_slope,
)  # fmt: skip
from graphc.ops.special.error import erfcx
from graphc.ops.special.hyperbolic import csch, over_root_one_plus, root_one_plus
from graphc.ops.ufuncs import hypot
from graphc.passes.rewriting.match import Number, hole, number
from graphc.passes.rewriting.rule import AnyRule, Local, Rule

x, y, c = hole("x"), hole("y"), number("c")

IDENTITIES: tuple[AnyRule, ...] = (
    # the point (1, x)
    Rule("root of 1 + x**2", sqrt(1 + square(x)), root_one_plus(x), floats="stable"),
    Rule("reciprocal of root of 1 + x**2", reciprocal(root_one_plus(x)), arcsinh_slope(x)),
    Rule("x over root of 1 + x**2", x / root_one_plus(x), over_root_one_plus(x), floats="stable"),
    Rule("reciprocal of 1 + x**2", reciprocal(1 + square(x)), arctan_slope(x)),
    Rule("over 1 + x**2", square(x) / (1 + square(x)), square(over_root_one_plus(x)), floats="stable", dearer="no overflow"),
    Rule("1 - its square", 1 - square(over_root_one_plus(x)), arctan_slope(x), floats="stable"),
    Rule("its square - 1", square(over_root_one_plus(x)) - 1, -arctan_slope(x), floats="stable"),
    Rule("hypot", sqrt(square(x) + square(y)), hypot(x, y), floats="stable", dearer="no overflow"),
    Rule("sine of arctan", sin(arctan(x)), over_root_one_plus(x), floats="stable"),
    Rule("tangent of half of arctan", x / (1 + root_one_plus(x)), over_root_one_plus(x) / (1 + arcsinh_slope(x)), floats="stable",
         dearer="a value at infinity"),
    Rule("cosine of arctan", cos(arctan(x)), arcsinh_slope(x), floats="stable"),
    # hyperbolic inverses by hand
    Rule("arcsinh", log(x + root_one_plus(x)), arcsinh(x), floats="stable"),
    Rule("arccosh", log(x + sqrt(square(x) - 1)), arccosh(x), floats="stable"),
    Rule("arctanh", log((1 + x) / (1 - x)), 2 * arctanh(x), floats="stable"),
    # angles
    Rule("sine over 1 + cosine", sin(x) / (1 + cos(x)), tan(0.5 * x), floats="stable"),
    Rule("1 - cosine over sine", (2 * square(sin(0.5 * x))) / sin(x), tan(0.5 * x), floats="stable"),
    Rule("cosine of double", square(cos(x)) - square(sin(x)), cos(2 * x), floats="stable"),
    Rule("minus cosine of double", square(sin(x)) - square(cos(x)), -cos(2 * x), floats="stable"),
    # hyperbolic functions of one argument
    Rule("cosh over sinh", cosh(x) / sinh(x), reciprocal(tanh(x)), floats="stable"),
    Rule("times cosh over sinh", (y * cosh(x)) / sinh(x), y / tanh(x), floats="stable"),
    Rule("sinh over 1 + cosh", sinh(x) / (1 + cosh(x)), tanh(0.5 * x), floats="stable"),
    Rule("cosh - 1 over sinh", (2 * square(sinh(0.5 * x))) / sinh(x), tanh(0.5 * x), floats="stable"),
    Rule("softplus less its argument", softplus(x) - x, softplus(-x), floats="stable"),
    Rule("argument less its softplus", x - softplus(x), -softplus(-x), floats="stable"),
    Rule("softplus of the negative, and it", softplus(-x) + x, softplus(x), floats="stable"),
    Rule("log1p of -sigmoid**2", log1p(-square(sigmoid(x))), log1p(sigmoid(x)) - softplus(x), floats="stable",
         dearer="digits where it is 1"),
    Rule("reciprocal of sinh", reciprocal(sinh(x)), csch(x)),
    Rule("cosh - sinh", cosh(x) - sinh(x), exp(-x), floats="stable"),
    Rule("sinh - cosh", sinh(x) - cosh(x), -exp(-x), floats="stable"),
    Rule("cosh + sinh", cosh(x) + sinh(x), exp(x), floats="stable"),
    Rule("cosh**2 - sinh**2", square(cosh(x)) - square(sinh(x)), 1 + (x - x), floats="stable"),
    Rule("sigmoid - 1/2", sigmoid(x) - 0.5, 0.5 * tanh(0.5 * x), floats="stable"),
    Rule("1/2 - sigmoid", 0.5 - sigmoid(x), -0.5 * tanh(0.5 * x), floats="stable"),
    Rule("exp less its tangent", exp(x) - (1 + x), expm1(x) - x, floats="stable", dearer="digits near 0"),
    # tails
    Rule("erfcx", exp(square(x)) * erfc(x), erfcx(x), floats="stable"),
    Rule("erfcx by division", erfc(x) / exp(-square(x)), erfcx(x), floats="stable"),
    Rule("erfcx of a root", exp(x) * erfc(sqrt(x)), erfcx(sqrt(x)), floats="stable"),
    Rule("over erfc", exp(-square(x)) / erfc(x), reciprocal(erfcx(x)), floats="stable"),
)  # fmt: skip


def _log_erfc(x: Node, c: Number = 1.0) -> Node:
    """log(c erfc(x)): half of erfc is near 1 on the left, where the other half is what is missing."""
    far = x > 0.5
    left = where(far, 0.0, x)
    tail = log(erfcx(where(far, x, 1.0))) - square(x)
    if c == 1:
        return where(far, tail, log1p(-erf(left)))
    with np.errstate(all="ignore"):  # nan, of a negative number
        plus = float(np.log(np.float64(c)))
    return where(far, tail + plus, log1p(-0.5 * erfc(-left)) if c == 0.5 else log1p(-erf(left)) + plus)


def _log_of_multiple(x: Node, c: Number) -> Node:
    return _log_erfc(x, float(c))


def _log_of_share(x: Node, c: Number) -> Node:
    with np.errstate(all="ignore"):
        return _log_erfc(x, float(1 / np.float64(c)))


def log_of_erfc(node: Node) -> Node | None:
    """log(erfc(x)) -> log(erfcx(x)) - x**2 where x > 1/2, for erfc vanishes from x = 27 on (float32: 10), log1p(-erf(x)) elsewhere."""
    return _log_erfc(node.inputs[0].inputs[0])


TAILS: tuple[AnyRule, ...] = (
    Local("log of erfc", "log", log_of_erfc, floats="stable", only=("erfc",), dearer="digits in the tail"),
    Rule("log of multiple of erfc", log(c * erfc(x)), _log_of_multiple, floats="stable", dearer="digits in the tail"),
    Rule("log of erfc over", log(erfc(x) / c), _log_of_share, floats="stable", dearer="digits in the tail"),
)

# the derivatives of the left sides keep their digits, those of the right ones do not: after `grad` only
LATE: tuple[AnyRule, ...] = (
    Rule("root of 1 + x**2, less 1", root_one_plus(x) - 1, x * (x / (root_one_plus(x) + 1)), floats="stable"),
    Rule("1 less root of 1 + x**2", 1 - root_one_plus(x), -(x * (x / (root_one_plus(x) + 1))), floats="stable", dearer="digits near 0"),
    Rule("1 - sigmoid**2", 1 - square(sigmoid(x)), sigmoid(-x) * (1 + sigmoid(x)), floats="stable"),
    Rule("1 - tanh**4", 1 - square(square(tanh(x))), tanh_slope(x) * (1 + square(tanh(x))), floats="stable"),
    Rule("1 - tanh**4 by power", 1 - power(tanh(x), 4), tanh_slope(x) * (1 + square(tanh(x))), floats="stable"),
)
