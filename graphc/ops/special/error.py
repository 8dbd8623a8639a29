"""The error function's relatives. Each derivative is a row, or an expression of rows, that keeps its digits in the tails."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.rows import elementwise
from graphc.ops.special.reference import each, erfcx_derivative
from graphc.scalars import Scalar


def of_math(name: str) -> Callable[..., Scalar]:
    """emit: a function of `graphc.codegen.mathlib`."""
    return lambda s, x: s.math(name, x)


def held(x: Node, out: Node) -> Node:
    """x, 0 where `out` has vanished: the product of the two is 0 at infinity, not nan."""
    return where(out == 0, 0.0, x)


# -- erfcx: the recurrence f'' = 2x f' + 2f holds at every order, but its sum cancels where x is large ------------------------
erfcx_third: Callable[..., Node] = elementwise(
    "erfcx_third", 1, "The third derivative of erfcx; its own derivative 2x erfcx'''(x) + 6 erfcx''(x) loses digits where x is large.",
    ref=each(erfcx_derivative(3)), emit=of_math("erfcx_third"), costly=True, domain=(-2.0, 3.0),
    vjp=lambda g, out, x: (g * (2 * (held(x, out) * out) + 6 * erfcx_curve(x)),),
)  # fmt: skip
erfcx_curve: Callable[..., Node] = elementwise(
    "erfcx_curve", 1, "The second derivative of erfcx.", ref=each(erfcx_derivative(2)), emit=of_math("erfcx_curve"), costly=True,
    vjp=lambda g, out, x: (g * erfcx_third(x),), domain=(-2.0, 3.0),
)  # fmt: skip
erfcx_slope: Callable[..., Node] = elementwise(
    "erfcx_slope", 1, "The derivative of erfcx, 2x erfcx(x) - 2 / sqrt(pi).", ref=each(erfcx_derivative(1)), emit=of_math("erfcx_slope"),
    vjp=lambda g, out, x: (g * erfcx_curve(x),), costly=True, domain=(-2.0, 3.0),
)  # fmt: skip
erfcx = elementwise(
    "erfcx", 1,
    "e**x**2 erfc(x), the scaled complementary error function: 1 / (x sqrt(pi)) for large x, inf below -26.6 (float32: -9.38); 0 at inf, "
    "inf at -inf. Closed under differentiation: its derivatives of order 1 to 3 are rows that keep their digits for all x.",
    ref=each(erfcx_derivative(0)), emit=of_math("erfcx"), vjp=lambda g, out, x: (g * erfcx_slope(x),), costly=True, domain=(-2.0, 3.0),
)  # fmt: skip

__all__ = ["erfcx"]
