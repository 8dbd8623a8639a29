"""Dawson's integral and erfi."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.rows import elementwise
from graphc.ops.special import reference as r
from graphc.ops.special.error import held, of_math
from graphc.ops.special.reference import dawsn_derivative, each, exp_of_square

# f'' = -2x f' - 2f holds at every order, but its sum cancels where x is large
dawsn_third: Callable[..., Node] = elementwise(
    "dawsn_third", 1, "The third derivative of dawsn; its own derivative -2x dawsn'''(x) - 6 dawsn''(x) loses digits where x is large.",
    ref=each(dawsn_derivative(3)), emit=of_math("dawsn_third"), costly=True,
    vjp=lambda g, out, x: (g * (-2 * (held(x, out) * out) - 6 * dawsn_curve(x)),),
)  # fmt: skip
dawsn_curve: Callable[..., Node] = elementwise(
    "dawsn_curve", 1, "The second derivative of dawsn.", ref=each(dawsn_derivative(2)), emit=of_math("dawsn_curve"), costly=True,
    vjp=lambda g, out, x: (g * dawsn_third(x),),
)  # fmt: skip
dawsn_slope: Callable[..., Node] = elementwise(
    "dawsn_slope", 1, "The derivative of dawsn, 1 - 2x dawsn(x).", ref=each(dawsn_derivative(1)), emit=of_math("dawsn_slope"), costly=True,
    vjp=lambda g, out, x: (g * dawsn_curve(x),),
)  # fmt: skip
dawsn = elementwise(
    "dawsn", 1,
    "Dawson's integral, e**-x**2 times the integral of e**t**2 from 0 to x: odd, 1 / (2x) for large x, 0 at infinity. Closed under "
    "differentiation: its derivatives of order 1 to 3 are rows that keep their digits for all x.",
    ref=each(dawsn_derivative(0)), emit=of_math("dawsn"), vjp=lambda g, out, x: (g * dawsn_slope(x),), costly=True,
)  # fmt: skip
erfi_slope: Callable[..., Node] = elementwise(
    "erfi_slope", 1, "The derivative of erfi, 2 / sqrt(pi) * e**x**2.", ref=each(lambda x: 2 / math.sqrt(math.pi) * exp_of_square(x)),
    vjp=lambda g, out, x: (g * (2 * (x * out)),), emit=of_math("erfi_slope"), costly=True, domain=(-2.0, 2.0),
)  # fmt: skip
erfi = elementwise(
    "erfi", 1,
    "The imaginary error function -i erf(ix), 2 / sqrt(pi) times the integral of e**t**2 from 0 to x: odd, infinite from |x| = 26.64 on "
    "(float32: 9.40). Closed under differentiation: erfi' = 2 / sqrt(pi) e**x**2.",
    ref=each(r.erfi), emit=of_math("erfi"), vjp=lambda g, out, x: (g * erfi_slope(x),), costly=True, domain=(-2.0, 2.0),
)  # fmt: skip

__all__ = ["dawsn", "erfi"]
