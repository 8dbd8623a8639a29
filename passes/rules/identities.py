"""Functions written by hand, and identities between them: hyperbolic inverses, half angles, the point (1, x), tails of erfc."""

from __future__ import annotations

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
    tan,
    tanh,
    tanh_slope,
)  # fmt: skip
from graphc.ops.special.error import erfcx
from graphc.ops.special.hyperbolic import csch, over_root_one_plus, root_one_plus
from graphc.ops.ufuncs import hypot
from graphc.passes.rewriting.match import hole, number
from graphc.passes.rewriting.rule import AnyRule, Local, Rule

x, y, c = hole("x"), hole("y"), number("c")

IDENTITIES: tuple[AnyRule, ...] = (
    # the point (1, x)
    Rule("root of 1 + x**2", sqrt(1 + square(x)), root_one_plus(x), floats="stable"),
    Rule("reciprocal of root of 1 + x**2", reciprocal(root_one_plus(x)), arcsinh_slope(x)),
    Rule("x over root of 1 + x**2", x / root_one_plus(x), over_root_one_plus(x), floats="stable"),
    Rule("reciprocal of 1 + x**2", reciprocal(1 + square(x)), arctan_slope(x)),
    Rule("over 1 + x**2", square(x) / (1 + square(x)), square(over_root_one_plus(x)), floats="stable"),
    Rule("1 - its square", 1 - square(over_root_one_plus(x)), arctan_slope(x), floats="stable"),
    Rule("its square - 1", square(over_root_one_plus(x)) - 1, -arctan_slope(x), floats="stable"),
    Rule("hypot", sqrt(square(x) + square(y)), hypot(x, y), floats="stable"),
    Rule("sine of arctan", sin(arctan(x)), over_root_one_plus(x), floats="stable"),
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
    Rule("reciprocal of sinh", reciprocal(sinh(x)), csch(x)),
    Rule("cosh - sinh", cosh(x) - sinh(x), exp(-x), floats="stable"),
    Rule("sinh - cosh", sinh(x) - cosh(x), -exp(-x), floats="stable"),
    Rule("cosh + sinh", cosh(x) + sinh(x), exp(x), floats="stable"),
    Rule("cosh**2 - sinh**2", square(cosh(x)) - square(sinh(x)), 1 + (x - x), floats="stable"),
    Rule("sigmoid - 1/2", sigmoid(x) - 0.5, 0.5 * tanh(0.5 * x), floats="stable"),
    Rule("1/2 - sigmoid", 0.5 - sigmoid(x), -0.5 * tanh(0.5 * x), floats="stable"),
    Rule("exp less its tangent", exp(x) - (1 + x), expm1(x) - x, floats="stable"),
    # tails
    Rule("erfcx", exp(square(x)) * erfc(x), erfcx(x), floats="stable"),
    Rule("erfcx by division", erfc(x) / exp(-square(x)), erfcx(x), floats="stable"),
    Rule("over erfc", exp(-square(x)) / erfc(x), reciprocal(erfcx(x)), floats="stable"),
)  # fmt: skip


def log_of_erfc(node: Node) -> Node | None:
    """log(erfc(x)) -> log(erfcx(x)) - x**2 where x > 1/2, for erfc vanishes from x = 27 on (float32: 10), log1p(-erf(x)) elsewhere."""
    x = node.inputs[0].inputs[0]
    far = x > 0.5
    return where(far, log(erfcx(where(far, x, 1.0))) - square(x), log1p(-erf(where(far, 0.0, x))))


TAILS: tuple[AnyRule, ...] = (Local("log of erfc", "log", log_of_erfc, floats="stable", only=("erfc",)),)

# the derivatives of the left sides keep their digits, those of the right ones do not: after `grad` only
LATE: tuple[AnyRule, ...] = (
    Rule("root of 1 + x**2, less 1", root_one_plus(x) - 1, x * (x / (root_one_plus(x) + 1)), floats="stable"),
    Rule("1 less root of 1 + x**2", 1 - root_one_plus(x), -(x * (x / (root_one_plus(x) + 1))), floats="stable"),
    Rule("1 - tanh**4", 1 - square(square(tanh(x))), tanh_slope(x) * (1 + square(tanh(x))), floats="stable"),
    Rule("1 - tanh**4 by power", 1 - power(tanh(x), 4), tanh_slope(x) * (1 + square(tanh(x))), floats="stable"),
)
