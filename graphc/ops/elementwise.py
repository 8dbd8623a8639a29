"""Functions of analysis, elementwise: powers, exponentials, logarithms, circular and hyperbolic functions, sigmoids, erf.

A derivative of every order comes from these rows, so each rule is written to be finite wherever its function is, and infinite where the
derivative is: log and sqrt at 0, arccos at 1. The public functions of the two tables below this one are re-exported here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphc.dtypes import is_float
from graphc.ir import Node
from graphc.ops.arithmetic import *  # noqa: F403
from graphc.ops.arithmetic import reciprocal, square
from graphc.ops.compare import *  # noqa: F403
from graphc.ops.compare import isfinite, isinf, where, zeros_as
from graphc.ops.registry import CONSTANT
from graphc.ops.rows import elementwise
from graphc.ops.spread import BROADCAST, CAST
from graphc.scalars import TOGETHER, Scalar

LN2, LOG2E, LOG10E = math.log(2.0), 1 / math.log(2.0), 1 / math.log(10.0)


def _math(name: str) -> Callable[..., Scalar]:
    """emit: a function of `graphc.codegen.mathlib`."""
    return lambda s, *args: s.math(name, *args)


# -- power ----------------------------------------------------------------------------------------------------------------
def splat_value(x: Node) -> float | None:
    """The number that a node made of one constant number holds everywhere, else None."""
    leaf = x
    while leaf.op is BROADCAST or (leaf.op is CAST and is_float(leaf.dtype)):
        leaf = leaf.inputs[0]
    if leaf.op is not CONSTANT:
        return None
    array: np.ndarray = leaf.params[0].array
    return float(array.reshape(())) if array.size == 1 else None


def _power_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node | None]:
    """(g y x**(y-1), g x**y log x), with x**0 constant in x, and 0**y constant in y where y >= 0."""
    exponent = splat_value(y)
    if exponent is not None:
        return _constant_power_vjp(g, x, exponent), None
    flat = (y == 0) & ~isfinite(reciprocal(x))  # elsewhere y x**(y-1) is right as it stands, also for d/dy of it at y = 0
    dx = g * (y * power(where(flat, 1.0, x), y - 1))
    base = splat_value(x)
    return dx, g * (out * log(x) if base is not None and base > 0 else power_slope(x, y))


def unless_origin(x: Node, y: Node) -> Node:
    """x, but 1 where 0**y is constant in y: the log of it makes a derivative by y."""
    return where((x == 0) & (y >= 0), 1.0, x)


def _power_slope_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    return g * (power(x, y - 1) + y * power_slope(x, y - 1)), g * power_curve(x, y)


def _power_curve_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    return g * (2 * power_slope(x, y - 1) + y * power_curve(x, y - 1)), g * (out * log(unless_origin(x, y)))


def _power_slope_ref(x: np.ndarray, y: np.ndarray) -> Any:
    return np.power(x, y) * np.log(np.where((x == 0) & (y >= 0), x.dtype.type(1), x))


def _power_curve_ref(x: np.ndarray, y: np.ndarray) -> Any:
    return _power_slope_ref(x, y) * np.log(np.where((x == 0) & (y >= 0), x.dtype.type(1), x))


def _emit_power_log(k: int) -> Callable[..., Scalar]:
    def emit(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
        value, log_x = s.math("pow", x, y), s.math("log", s.select(x.eq(0.0) & (y >= 0.0), 1.0, x))
        for _ in range(k):
            value = value * log_x
        return value  # type: ignore[no-any-return]

    return emit


def _constant_power_vjp(g: Node, x: Node, y: float) -> Node:
    if y == 0:
        return zeros_as(x)
    if y == 1:
        return g
    return g * (y * (x if y == 2 else power(x, y - 1)))


def _power_ref(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind != "i":
        return np.power(x, y)
    parity = np.where(y % 2 == 0, 1, x)
    return np.where(y < 0, np.where((x == 1) | (x == -1), parity, 0), np.power(x, np.maximum(y, 0))).astype(x.dtype)


# exact but for x**3, which has two roundings
_SHORT_POWERS: dict[float | None, Callable[[Scalar], Scalar]] = {
    0.0: lambda x: x.like(1.0), 1.0: lambda x: x, 2.0: lambda x: x * x, 3.0: lambda x: x * x * x, -1.0: lambda x: 1.0 / x,
}  # fmt: skip


def _emit_power(s: ModuleType, x: Scalar, y: Scalar) -> Scalar:
    exponent = s.const_value(y) if y.op == "const" else None
    if x.dtype.kind != "f":
        return _emit_integer_power(s, x, y, exponent)
    if exponent in _SHORT_POWERS:
        return _SHORT_POWERS[exponent](x)
    return s.math("pow", x, y)  # type: ignore[no-any-return]


def _emit_integer_power(s: ModuleType, x: Scalar, y: Scalar, exponent: int | None) -> Scalar:
    """Square and multiply, unrolled over the bits that the exponent may have."""
    signed = x.dtype.kind == "i"
    bits = x.dtype.itemsize * 8 - signed if exponent is None else max(exponent, 0).bit_length()
    result, factor = x.like(1), x
    for k in range(bits):
        odd = (s.shift_right(y, k, arithmetic=False) & 1).ne(0)
        result = s.select(odd, result * factor, result) if exponent is None else result * factor if exponent >> k & 1 else result
        factor = factor * factor if k + 1 < bits else factor
    if not signed or (exponent is not None and exponent >= 0):
        return result
    inverse = s.select(x.eq(1) | (x.eq(-1) & (y & 1).ne(0)), x, s.select(x.eq(-1), x.like(1), 0))
    return s.select(y < 0, inverse, result)  # type: ignore[no-any-return]


power = elementwise(
    "power", 2,
    "x**y: nan for x < 0 unless y is an integer; x**0 is 1 with derivative 0. Integers wrap; unlike NumPy, which raises, their "
    "x**-n is 1 / x**n rounded towards 0: x**-1 is 1, -1, else 0, and 0 for x = 0.",
    ref=_power_ref, vjp=_power_vjp, emit=_emit_power, dtype="number", costly=True, domain=((0.2, 3.0), (-3.0, 3.0)),
)  # fmt: skip

# The derivative of x**y log x by x, written with these products, loses x**y / x where x**y has underflowed or overflowed.
power_slope: Callable[..., Node] = elementwise(
    "power_slope", 2, "The derivative of x**y by y, x**y log x; 0 where x = 0 and y >= 0.", ref=_power_slope_ref, costly=True,
    vjp=_power_slope_vjp, emit=_emit_power_log(1), domain=((0.2, 3.0), (-3.0, 3.0)),
)  # fmt: skip
power_curve: Callable[..., Node] = elementwise(
    "power_curve", 2, "The second derivative of x**y by y, x**y log(x)**2; 0 where x = 0 and y >= 0.", ref=_power_curve_ref, costly=True,
    vjp=_power_curve_vjp, emit=_emit_power_log(2), domain=((0.2, 3.0), (-3.0, 3.0)),
)  # fmt: skip

# -- exponentials and logarithms ------------------------------------------------------------------------------------------
exp = elementwise("exp", 1, "e**x.", ref=np.exp, vjp=lambda g, out, x: (g * out,), emit=_math("exp"), costly=True,
                  together=TOGETHER["exp"])  # fmt: skip
expm1 = elementwise(
    "expm1", 1, "e**x - 1, accurate near 0.", ref=np.expm1, emit=_math("expm1"), costly=True, vjp=lambda g, out, x: (g * exp(x),),
    together=TOGETHER["expm1"],
)  # fmt: skip  # not out + 1, which loses all digits for x << 0
exp2 = elementwise("exp2", 1, "2**x.", ref=np.exp2, vjp=lambda g, out, x: (g * (out * LN2),), emit=_math("exp2"), costly=True)
log = elementwise(
    "log", 1, "The natural logarithm; -inf at 0, nan for x < 0.", ref=np.log, vjp=lambda g, out, x: (g / x,), emit=_math("log"),
    costly=True, domain=(0.1, 4.0),
)  # fmt: skip
log1p = elementwise(
    "log1p", 1, "log(1 + x), accurate near 0.", ref=np.log1p, vjp=lambda g, out, x: (g / (1 + x),), emit=_math("log1p"), costly=True,
    domain=(-0.9, 4.0),
)  # fmt: skip
log2 = elementwise(
    "log2", 1, "The logarithm to base 2.", ref=np.log2, vjp=lambda g, out, x: (g / x * LOG2E,), emit=_math("log2"), costly=True,
    domain=(0.1, 4.0),
)  # fmt: skip
log10 = elementwise(
    "log10", 1, "The logarithm to base 10.", ref=np.log10, vjp=lambda g, out, x: (g / x * LOG10E,), emit=_math("log10"), costly=True,
    domain=(0.1, 4.0),
)  # fmt: skip


def _logaddexp_vjp(g: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """g sigmoid(x - y), g sigmoid(y - x); 1/2 each where both are the same infinity."""
    gap = where((x == y) & isinf(x), 0.0, x - y)
    return g * sigmoid(gap), g * sigmoid(-gap)


logaddexp = elementwise(
    "logaddexp", 2, "log(e**x + e**y), never overflowing.", ref=np.logaddexp, vjp=_logaddexp_vjp, emit=_math("logaddexp"), commutative=True,
    costly=True,
)  # fmt: skip


def _xlogy_ref(x: np.ndarray, y: np.ndarray) -> Any:
    return np.where((x == 0) & ~np.isnan(y), x.dtype.type(0), x * np.log(y))


xlogy = elementwise(
    "xlogy", 2, "x log y, 0 where x = 0; at x = y = 0 its derivative with respect to y is 0.", ref=_xlogy_ref, costly=True,
    vjp=lambda g, out, x, y: (g * log(y), g * (x / where((x == 0) & (y == 0), 1.0, y))),
    emit=lambda s, x, y: s.select(x.eq(0.0) & y.eq(y), x.like(0.0), x * s.math("log", y)), domain=((-4.0, 4.0), (0.1, 4.0)),
)  # fmt: skip


# -- slopes -----------------------------------------------------------------------------------------------------------------
# Derivatives that neither `out` nor x alone can give without losing a tail: 1 - tanh(x)**2 is 0 from x = 19 on, 1 + x*x overflows
# long before its root does, and the derivative 2x of (1 - x) * (1 + x) cancels. Their derivatives are products with themselves.
def _wide_root(s: ModuleType, x: Scalar) -> Scalar:
    """sqrt(1 + x*x), |x| where that is nearer than rounding: no overflow."""
    size = s.unary("abs", x)
    far = size > (2.0**13 if x.dtype.itemsize == 4 else 2.0**28)
    return s.select(far, size, s.sqrt(x * x + 1.0))  # type: ignore[no-any-return]


def _held(x: Node, out: Node) -> Node:
    """x, 0 where a slope `out` has vanished: the product of the two is 0 at infinity, not nan."""
    return where(out == 0, 0.0, x)


def _logistic_ref(x: np.ndarray) -> Any:
    e = np.exp(-np.abs(x))
    return e / np.square(1 + e)


def _sech2_ref(x: np.ndarray) -> Any:
    e = np.exp(-2 * np.abs(x))
    return 4 * e / np.square(1 + e)


tanh_slope: Callable[..., Node] = elementwise(
    "tanh_slope", 1, "The derivative of tanh, 1 / cosh(x)**2: even, accurate in both tails.", ref=_sech2_ref, emit=_math("tanh_slope"),
    vjp=lambda g, out, x: (g * (-2 * (out * tanh(x))),), costly=True, together=TOGETHER["tanh_slope"],
)  # fmt: skip
sigmoid_slope = elementwise(
    "sigmoid_slope", 1, "The derivative of sigmoid, sigmoid(x) * sigmoid(-x): even, accurate in both tails.", ref=_logistic_ref,
    vjp=lambda g, out, x: (-(g * (out * tanh(0.5 * x))),), emit=_math("sigmoid_slope"), costly=True,
    together=TOGETHER["sigmoid_slope"],
)  # fmt: skip
arcsin_slope = elementwise(
    "arcsin_slope", 1, "The derivative of arcsin, 1 / sqrt(1 - x**2).", ref=lambda x: 1 / np.sqrt((1 - x) * (1 + x)), costly=True,
    vjp=lambda g, out, x: (g * ((x * out) * (out * out)),), emit=lambda s, x: 1.0 / s.sqrt((1.0 - x) * (1.0 + x)), domain=(-0.9, 0.9),
)  # fmt: skip
arctan_slope = elementwise(
    "arctan_slope", 1, "The derivative of arctan, 1 / (1 + x**2).", ref=lambda x: 1 / (1 + x * x), costly=True,
    vjp=lambda g, out, x: (g * (-2 * ((_held(x, out) * out) * out)),), emit=lambda s, x: 1.0 / (x * x + 1.0),
)  # fmt: skip
arcsinh_slope = elementwise(
    "arcsinh_slope", 1, "The derivative of arcsinh, 1 / sqrt(1 + x**2), which does not overflow on the way.", costly=True,
    ref=lambda x: 1 / np.hypot(np.ones_like(x), x), vjp=lambda g, out, x: (-(g * ((_held(x, out) * out) * (out * out))),),
    emit=lambda s, x: 1.0 / _wide_root(s, x),
)  # fmt: skip
arccosh_slope = elementwise(
    "arccosh_slope", 1, "The derivative of arccosh, 1 / sqrt(x**2 - 1); nan for x < 1.",
    ref=lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    vjp=lambda g, out, x: (-(g * ((_held(x, out) * out) * (out * out))),), costly=True, domain=(1.1, 5.0),
    emit=lambda s, x: 1.0 / (s.sqrt(x - 1.0) * s.sqrt(x + 1.0)),
)  # fmt: skip
arctanh_slope = elementwise(
    "arctanh_slope", 1, "The derivative of arctanh, 1 / (1 - x**2).", ref=lambda x: 1 / ((1 - x) * (1 + x)), costly=True,
    vjp=lambda g, out, x: (g * (2 * ((x * out) * out)),), emit=lambda s, x: 1.0 / ((1.0 - x) * (1.0 + x)), domain=(-0.9, 0.9),
)  # fmt: skip
erf_slope = elementwise(
    "erf_slope", 1, "The derivative of erf, 2 / sqrt(pi) * e**-x**2.",
    ref=lambda x: x.dtype.type(2 / math.sqrt(math.pi)) * np.exp(-(x * x)),
    vjp=lambda g, out, x: (g * where(out == 0, 0.0, -2 * (x * out)),), emit=_math("erf_slope"), costly=True,
    together=TOGETHER["erf_slope"],
)  # fmt: skip  # where: from |x| = 28 on, for -2x overflows beyond half the largest number

# -- circular functions -----------------------------------------------------------------------------------------------------
sin = elementwise("sin", 1, "The sine of x radians.", ref=np.sin, vjp=lambda g, out, x: (g * cos(x),), emit=_math("sin"), costly=True,
                  together=TOGETHER["sin"])  # fmt: skip
cos: Callable[..., Node] = elementwise(
    "cos", 1, "The cosine of x radians.", ref=np.cos, vjp=lambda g, out, x: (-(g * sin(x)),), emit=_math("cos"), costly=True,
    together=TOGETHER["cos"],
)  # fmt: skip
tan = elementwise(
    "tan", 1, "The tangent of x radians.", ref=np.tan, vjp=lambda g, out, x: (g * (1 + out * out),), emit=_math("tan"), costly=True,
    domain=(-1.3, 1.3),
)  # fmt: skip
arcsin = elementwise(
    "arcsin", 1, "The angle in [-pi/2, pi/2] whose sine is x.", ref=np.arcsin, emit=_math("asin"), costly=True, domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (g * arcsin_slope(x),),
)  # fmt: skip
arccos = elementwise(
    "arccos", 1, "The angle in [0, pi] whose cosine is x.", ref=np.arccos, emit=_math("acos"), costly=True, domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (-(g * arcsin_slope(x)),),
)  # fmt: skip
arctan = elementwise(
    "arctan", 1, "The angle in [-pi/2, pi/2] whose tangent is x.", ref=np.arctan, vjp=lambda g, out, x: (g * arctan_slope(x),),
    emit=_math("atan"), costly=True,
)  # fmt: skip


# With 1/z = p - iq for z = x + iy, p is the derivative by y, -q that by x, and q**2 - p**2 and -2pq are the derivatives of p. As
# products of these all orders keep their digits where x or y is far smaller than the other, and overflow no sooner than they must.
def _inverse(s: ModuleType, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """p = x / (x**2 + y**2), q = y / (x**2 + y**2), by the larger operand m, as the squares may overflow; 0 at infinity."""
    m = s.maximum(s.unary("abs", x), s.unary("abs", y))
    u, v = x / m, y / m
    r, far = m * (u * u + v * v), m.eq(math.inf)
    return s.select(far, 0.0, u / r), s.select(far, 0.0, v / r)


def _inverse_ref(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m = np.maximum(np.abs(x), np.abs(y))
    u, v = x / m, y / m
    r, far, zero = m * (u * u + v * v), np.isinf(m), x.dtype.type(0)
    return np.where(far, zero, u / r), np.where(far, zero, v / r)


def _emit_arctan2_curve(s: ModuleType, y: Scalar, x: Scalar) -> Scalar:
    p, q = _inverse(s, x, y)
    return (q - p) * (q + p)


def _arctan2_curve_ref(y: np.ndarray, x: np.ndarray) -> Any:
    p, q = _inverse_ref(x, y)
    return (q - p) * (q + p)


def _arctan2_curve_vjp(g: Node, out: Node, y: Node, x: Node) -> tuple[Node, Node]:
    p, q = arctan2_slope(y, x), arctan2_slope(x, y)
    return g * (2 * q * (3 * square(p) - square(q))), g * (2 * p * (square(p) - 3 * square(q)))


arctan2_slope: Callable[..., Node] = elementwise(
    "arctan2_slope", 2, "The derivative of arctan2(y, x) by y, x / (x**2 + y**2).", ref=lambda y, x: _inverse_ref(x, y)[0], costly=True,
    vjp=lambda g, out, y, x: (g * (-2 * (out * arctan2_slope(x, y))), g * arctan2_curve(y, x)), domain=((0.3, 3.0), (0.3, 3.0)),
    emit=lambda s, y, x: _inverse(s, x, y)[0], instruction=True,
)  # fmt: skip
arctan2_curve: Callable[..., Node] = elementwise(
    "arctan2_curve", 2, "The derivative of arctan2_slope(y, x) by x, (y**2 - x**2) / (x**2 + y**2)**2.", ref=_arctan2_curve_ref,
    vjp=_arctan2_curve_vjp, emit=_emit_arctan2_curve, costly=True, domain=((0.3, 3.0), (0.3, 3.0)), instruction=True,
)  # fmt: skip
arctan2 = elementwise(
    "arctan2", 2, "arctan2(y, x): the angle in [-pi, pi] of the point (x, y).", ref=np.arctan2, emit=_math("atan2"), costly=True,
    vjp=lambda g, out, y, x: (g * arctan2_slope(y, x), -(g * arctan2_slope(x, y))),
)  # fmt: skip

# -- hyperbolic functions ---------------------------------------------------------------------------------------------------
sinh = elementwise("sinh", 1, "(e**x - e**-x) / 2.", ref=np.sinh, vjp=lambda g, out, x: (g * cosh(x),), emit=_math("sinh"), costly=True,
                   together=TOGETHER["sinh"])  # fmt: skip
cosh: Callable[..., Node] = elementwise(
    "cosh", 1, "(e**x + e**-x) / 2.", ref=np.cosh, vjp=lambda g, out, x: (g * sinh(x),), emit=_math("cosh"), costly=True,
    together=TOGETHER["cosh"],
)  # fmt: skip
tanh: Callable[..., Node] = elementwise(
    "tanh", 1, "sinh(x) / cosh(x): odd, saturating.", ref=np.tanh, emit=_math("tanh"), costly=True,
    vjp=lambda g, out, x: (g * tanh_slope(x),), together=TOGETHER["tanh"],
)  # fmt: skip
arcsinh = elementwise(
    "arcsinh", 1, "The inverse of sinh.", ref=np.arcsinh, vjp=lambda g, out, x: (g * arcsinh_slope(x),), emit=_math("asinh"), costly=True,
)  # fmt: skip
arccosh = elementwise(
    "arccosh", 1, "The inverse of cosh, >= 0; nan for x < 1.", ref=np.arccosh, emit=_math("acosh"), costly=True, domain=(1.1, 5.0),
    vjp=lambda g, out, x: (g * arccosh_slope(x),),
)  # fmt: skip
arctanh = elementwise(
    "arctanh", 1, "The inverse of tanh; nan for |x| > 1.", ref=np.arctanh, vjp=lambda g, out, x: (g * arctanh_slope(x),),
    emit=_math("atanh"), costly=True, domain=(-0.9, 0.9),
)  # fmt: skip


# -- sigmoids ---------------------------------------------------------------------------------------------------------------
def _sigmoid_ref(x: np.ndarray) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _softplus_ref(x: np.ndarray) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


sigmoid = elementwise(
    "sigmoid", 1, "1 / (1 + e**-x), accurate in both tails.", ref=_sigmoid_ref, vjp=lambda g, out, x: (g * sigmoid_slope(x),),
    emit=_math("sigmoid"), costly=True, together=TOGETHER["sigmoid"],
)  # fmt: skip
softplus = elementwise(
    "softplus", 1, "log(1 + e**x), never overflowing.", ref=_softplus_ref, vjp=lambda g, out, x: (g * sigmoid(x),), emit=_math("softplus"),
    costly=True, together=TOGETHER["softplus"],
)  # fmt: skip
log_sigmoid = elementwise(
    "log_sigmoid", 1, "log(sigmoid(x)) = -softplus(-x).", ref=lambda x: -_softplus_ref(-x), vjp=lambda g, out, x: (g * sigmoid(-x),),
    emit=_math("log_sigmoid"), costly=True,
)  # fmt: skip


# -- the error function -----------------------------------------------------------------------------------------------------
def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], Any]:
    """A function of the standard library on every element, computed in double."""
    return lambda x: np.array([function(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


erf = elementwise(
    "erf", 1, "2 / sqrt(pi) times the integral of e**-t**2 from 0 to x.", ref=_each(math.erf), vjp=lambda g, out, x: (g * erf_slope(x),),
    emit=_math("erf"), costly=True,
)  # fmt: skip
erfc = elementwise(
    "erfc", 1, "1 - erf(x), accurate for large x.", ref=_each(math.erfc), vjp=lambda g, out, x: (-(g * erf_slope(x)),), emit=_math("erfc"),
    costly=True, together=TOGETHER["erfc"],
)  # fmt: skip

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1",
    "log", "log10", "log1p", "log2", "log_sigmoid", "logaddexp", "power", "sigmoid", "sin", "sinh", "softplus", "tan", "tanh", "xlogy",
]  # fmt: skip
