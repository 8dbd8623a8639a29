"""The incomplete gamma functions: values, first derivatives by the parameter, derivatives of all orders by the argument."""

from __future__ import annotations

import math

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.special import incomplete_reference as reference
from graphc.ops.special.operands import several
from graphc.ops.special.polygamma import polygamma


def _second(function: str, argument: str) -> str:
    return (
        f"{function}: derivatives by {argument} exist up to order 1, and of these by the other operands; order 2 by {argument} has no code"
    )


def _held(factor: Node, value: Node) -> Node:
    """factor, 0 where `value` has vanished: their product is 0 there, not nan"""
    return where(value == 0, 0.0, factor)


# -- gamma ------------------------------------------------------------------------------------------------------------------
_log_less_digamma = several(
    "log_less_digamma", 2, "log(x) - digamma(a), which does not cancel where a is large.", ref=reference.log_less_digamma,
    vjp=lambda g, out, a, x: (-(g * polygamma(1, a)), g / x),
)  # fmt: skip


def _density_vjp(g: Node, out: Node, a: Node, x: Node) -> tuple[Node, Node]:
    """At x = 0 the derivative by x is that of x**(a - 1) - x**a."""
    at_0 = where(a == 1, -1.0, where(a == 2, 1.0, where(a > 2, 0.0, where(a > 1, asarray(math.inf, a.dtype), -math.inf))))
    by_x = where(x == 0, at_0, out * _held((a - 1 - x) / where(x == 0, 1.0, x), out))
    return g * (out * _held(_log_less_digamma(a, x), out)), g * by_x


_density = several(
    "gamma_density", 2, "x**(a - 1) e**-x / gamma(a), the derivative of gammainc(a, x) by x.", ref=reference.gamma_density,
    vjp=_density_vjp,
)  # fmt: skip


def _slope_vjp(g: Node, out: Node, a: Node, x: Node) -> tuple[None, Node]:
    density = _density(a, x)
    return None, g * (density * _held(_log_less_digamma(a, x), density))


_slope = several(
    "gammainc_slope", 2, "The derivative of gammainc(a, x) by a.", ref=reference.gammainc_slope, vjp=_slope_vjp,
    refuses=(_second("gammainc and gammaincc", "a"),),
)  # fmt: skip
_lower = several(
    "gammainc", 2, "The regularised lower incomplete gamma function.", ref=reference.gammainc,
    vjp=lambda g, out, a, x: (g * _slope(a, x), g * _density(a, x)),
)  # fmt: skip
_upper = several(
    "gammaincc", 2, "The regularised upper incomplete gamma function.", ref=reference.gammaincc,
    vjp=lambda g, out, a, x: (-(g * _slope(a, x)), -(g * _density(a, x))),
)  # fmt: skip


def gammainc(a: ArrayLike, x: ArrayLike) -> Node:
    """The regularised lower incomplete gamma function, the integral of t**(a - 1) e**-t / gamma(a) over t from 0 to x.

    Real arrays that broadcast, float32 or float64, a >= 0 and x >= 0, else nan; 0 at x = 0, 1 at x = inf and at a = 0, nan where both are
    0 or inf. Within 5 units in the last place (float32: 0.6), for a = 1e10 as for a = 1, in both tails. By x it is closed under
    differentiation: x**(a - 1) e**-x / gamma(a). By a there is the first derivative, as accurate, and its derivatives by x; of order 2 by a
    NotDifferentiableError. Raises ShapeError, DTypeError.

        gx.special.gammainc(a, x)
    """
    return _lower(a, x)


def gammaincc(a: ArrayLike, x: ArrayLike) -> Node:
    """The regularised upper incomplete gamma function, 1 - gammainc(a, x) without cancelling: see there for domain and derivatives.

    gx.special.gammaincc(a, x)
    """
    return _upper(a, x)


__all__ = ["gammainc", "gammaincc"]
