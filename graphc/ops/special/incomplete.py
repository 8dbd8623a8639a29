"""The incomplete gamma and beta functions: values, first derivatives by the parameters, derivatives of all orders by the argument."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.elementwise import log, log1p
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.special import incomplete_reference as reference
from graphc.ops.special.gamma import digamma
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
log_less_digamma = several(
    "log_less_digamma", 2, "log(x) - digamma(a), which does not cancel where a is large.", ref=reference.log_less_digamma,
    vjp=lambda g, out, a, x: (-(g * polygamma(1, a)), g / x),
)  # fmt: skip


def _density_vjp(g: Node, out: Node, a: Node, x: Node) -> tuple[Node, Node]:
    """At x = 0 the derivative by x is that of x**(a - 1) - x**a."""
    at_0 = where(a == 1, -1.0, where(a == 2, 1.0, where(a > 2, 0.0, where(a > 1, asarray(math.inf, a.dtype), -math.inf))))
    by_x = where(x == 0, at_0, out * _held((a - 1 - x) / where(x == 0, 1.0, x), out))
    return g * (out * _held(log_less_digamma(a, x), out)), g * by_x


gamma_density = several(
    "gamma_density", 2, "x**(a - 1) e**-x / gamma(a), the derivative of gammainc(a, x) by x.", ref=reference.gamma_density,
    vjp=_density_vjp,
)  # fmt: skip


def _slope_vjp(g: Node, out: Node, a: Node, x: Node) -> tuple[None, Node]:
    density = gamma_density(a, x)
    return None, g * (density * _held(log_less_digamma(a, x), density))


gammainc_slope = several(
    "gammainc_slope", 2, "The derivative of gammainc(a, x) by a.", ref=reference.gammainc_slope, vjp=_slope_vjp,
    refuses=(_second("gammainc and gammaincc", "a"),),
)  # fmt: skip
_lower = several(
    "gammainc", 2, "The regularised lower incomplete gamma function.", ref=reference.gammainc,
    vjp=lambda g, out, a, x: (g * gammainc_slope(a, x), g * gamma_density(a, x)),
)  # fmt: skip
_upper = several(
    "gammaincc", 2, "The regularised upper incomplete gamma function.", ref=reference.gammaincc,
    vjp=lambda g, out, a, x: (-(g * gammainc_slope(a, x)), -(g * gamma_density(a, x))),
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


# -- beta -------------------------------------------------------------------------------------------------------------------
def _beta_scores(a: Node, b: Node, x: Node, density: Node) -> tuple[Node, Node]:
    """The logarithmic derivatives of the density by a and by b; 0 where it has vanished"""
    both = digamma(a + b)
    return _held(log(x) - (digamma(a) - both), density), _held(log1p(-x) - (digamma(b) - both), density)


def _beta_density_vjp(g: Node, out: Node, a: Node, b: Node, x: Node) -> tuple[Node, Node, Node]:
    by_a, by_b = _beta_scores(a, b, x, out)
    by_x = _held((a - 1) / x - (b - 1) / (1 - x), out)
    return g * (out * by_a), g * (out * by_b), g * (out * by_x)


_beta_density = several(
    "beta_density", 3, "x**(a - 1) (1 - x)**(b - 1) / B(a, b), the derivative of betainc by x.", ref=reference.beta_density,
    vjp=_beta_density_vjp,
)  # fmt: skip


def _beta_slope_vjp(which: int) -> Callable[..., tuple[None, None, Node]]:
    def vjp(g: Node, out: Node, a: Node, b: Node, x: Node) -> tuple[None, None, Node]:
        density = _beta_density(a, b, x)
        return None, None, g * (density * _beta_scores(a, b, x, density)[which])

    return vjp


_REFUSED = _second("betainc", "a and b")
_beta_slope_a = several(
    "betainc_slope_a", 3, "The derivative of betainc(a, b, x) by a.", ref=reference.betainc_slope_a, vjp=_beta_slope_vjp(0),
    refuses=(_REFUSED, _REFUSED),
)  # fmt: skip
_beta_slope_b = several(
    "betainc_slope_b", 3, "The derivative of betainc(a, b, x) by b.", ref=reference.betainc_slope_b, vjp=_beta_slope_vjp(1),
    refuses=(_REFUSED, _REFUSED),
)  # fmt: skip
_betainc = several(
    "betainc", 3, "The regularised incomplete beta function.", ref=reference.betainc,
    vjp=lambda g, out, a, b, x: (g * _beta_slope_a(a, b, x), g * _beta_slope_b(a, b, x), g * _beta_density(a, b, x)),
)  # fmt: skip


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Node:
    """The regularised incomplete beta function, the integral of t**(a - 1) (1 - t)**(b - 1) / B(a, b) over t from 0 to x.

    Real arrays that broadcast, float32 or float64, a >= 0, b >= 0 and 0 <= x <= 1, else nan; 0 at x = 0, 1 at x = 1; of a = 0 or b = inf
    it is 1, of b = 0 or a = inf 0. Within 8 units in the last place (float32: 0.6); beyond the mean a / (a + b), where it is 1 less the
    other side, of 1. By x it is closed under differentiation. By a and by b there are the first derivatives, and their derivatives by x;
    of order 2 by a and b NotDifferentiableError. Where a parameter is far below 1 the derivative by the other one, small as that, has its
    error relative to 1; so have values near 0 where b is, beyond the mean. Raises ShapeError, DTypeError.

        gx.special.betainc(a, b, x)
    """
    return _betainc(a, b, x)


__all__ = ["betainc", "gammainc", "gammaincc"]
