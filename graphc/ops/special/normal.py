"""The normal distribution, and the inverses of it and of the error functions."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.arithmetic import square
from graphc.ops.compare import where
from graphc.ops.elementwise import exp
from graphc.ops.rows import elementwise
from graphc.ops.special import reference as r
from graphc.ops.special.error import held, of_math
from graphc.ops.special.reference import each

HALF_ROOT_PI = math.sqrt(math.pi) / 2

# -- ndtr -----------------------------------------------------------------------------------------------------------------------
ndtr_slope: Callable[..., Node] = elementwise(
    "ndtr_slope", 1, "The derivative of ndtr, the normal density e**(-x**2 / 2) / sqrt(2 pi).", ref=each(r.normal_density), costly=True,
    emit=of_math("ndtr_slope"), vjp=lambda g, out, x: (-(g * (held(x, out) * out)),),
)  # fmt: skip
ndtr = elementwise(
    "ndtr", 1,
    "The standard normal distribution function, erfc(-x / sqrt(2)) / 2: accurate in its lower tail, 0 at -inf, 1 at inf. Closed under "
    "differentiation: its derivative is the density f, f' = -x f.",
    ref=each(r.ndtr), emit=of_math("ndtr"), vjp=lambda g, out, x: (g * ndtr_slope(x),), costly=True, domain=(-4.0, 4.0),
)  # fmt: skip


# -- log_ndtr: with m the first derivative m' = -m (x + m), whose sum cancels where x << 0 -------------------------------------------
def _log_ndtr_fourth(out: Node, x: Node) -> Node:
    m, curve = log_ndtr_slope(x), log_ndtr_curve(x)
    y = where(out == 0, 0.0, x)  # there m may be inf
    total = where(out == 0, 0.0, m)
    return -(out * (y + total)) - 2 * (curve * (1 + curve)) - total * out


log_ndtr_third: Callable[..., Node] = elementwise(
    "log_ndtr_third", 1, "The third derivative of log_ndtr; its own derivative loses digits where x << 0.", costly=True, domain=(-4.0, 0.5),
    ref=each(r.log_ndtr_derivative(3)), emit=of_math("log_ndtr_third"), vjp=lambda g, out, x: (g * _log_ndtr_fourth(out, x),),
)  # fmt: skip
log_ndtr_curve: Callable[..., Node] = elementwise(
    "log_ndtr_curve", 1, "The second derivative of log_ndtr, -m (x + m) with m the first; -1 at -inf.", costly=True,
    ref=each(r.log_ndtr_derivative(2)), emit=of_math("log_ndtr_curve"), vjp=lambda g, out, x: (g * log_ndtr_third(x),),
)  # fmt: skip
log_ndtr_slope: Callable[..., Node] = elementwise(
    "log_ndtr_slope", 1, "The derivative of log_ndtr, the density over ndtr: -x for x << 0.", costly=True,
    ref=each(r.log_ndtr_derivative(1)), emit=of_math("log_ndtr_slope"), vjp=lambda g, out, x: (g * log_ndtr_curve(x),),
)  # fmt: skip
log_ndtr = elementwise(
    "log_ndtr", 1,
    "log(ndtr(x)), accurate in both tails: -x**2 / 2 - log(-x sqrt(2 pi)) for x << 0, -ndtr(-x) for x >> 0; -inf at -inf. Closed under "
    "differentiation: its derivatives of order 1 to 3 are rows that keep their digits for all x.",
    ref=each(r.log_ndtr), emit=of_math("log_ndtr"), vjp=lambda g, out, x: (g * log_ndtr_slope(x),), costly=True,
)  # fmt: skip

# -- inverses: y' = c e**y**2, so y'' = 2 y y'**2 ---------------------------------------------------------------------------------------
erfinv = elementwise(
    "erfinv", 1,
    "The inverse of erf on [-1, 1]: infinite at its ends, with infinite derivatives, nan outside. Closed under differentiation: y' = "
    "sqrt(pi) / 2 e**y**2.",
    ref=each(r.erfinv), emit=of_math("erfinv"), vjp=lambda g, out, x: (g * (HALF_ROOT_PI * exp(square(out))),), costly=True,
    domain=(-0.95, 0.95),
)  # fmt: skip
erfcinv_slope: Callable[..., Node] = elementwise(
    "erfcinv_slope", 1, "The derivative of erfcinv, -sqrt(pi) / 2 e**y**2 with y = erfcinv(x): accurate near 0, where y is large.",
    ref=each(r.erfcinv_slope), emit=of_math("erfcinv_slope"), costly=True, domain=(0.1, 1.9),
    vjp=lambda g, out, x: (g * ((2 * (erfcinv(x) * out)) * out),),
)  # fmt: skip
erfcinv: Callable[..., Node] = elementwise(
    "erfcinv", 1,
    "The inverse of erfc on [0, 2]: inf at 0, -inf at 2, with infinite derivatives, nan outside; accurate down to the smallest x. Closed "
    "under differentiation: y' = -sqrt(pi) / 2 e**y**2.",
    ref=each(r.erfcinv), emit=of_math("erfcinv"), vjp=lambda g, out, x: (g * erfcinv_slope(x),), costly=True, domain=(0.1, 1.9),
)  # fmt: skip
ndtri_slope: Callable[..., Node] = elementwise(
    "ndtri_slope", 1, "The derivative of ndtri, sqrt(2 pi) e**(y**2 / 2) with y = ndtri(x): accurate near 0, where y is large.",
    ref=each(r.ndtri_slope), emit=of_math("ndtri_slope"), costly=True,
    vjp=lambda g, out, x: (g * ((ndtri(x) * out) * out),), domain=(0.05, 0.95),
)  # fmt: skip
ndtri: Callable[..., Node] = elementwise(
    "ndtri", 1,
    "The inverse of ndtr on [0, 1]: -inf at 0, inf at 1, with infinite derivatives, nan outside; accurate down to the smallest x. Closed "
    "under differentiation: y' = sqrt(2 pi) e**(y**2 / 2).",
    ref=each(r.ndtri), emit=of_math("ndtri"), vjp=lambda g, out, x: (g * ndtri_slope(x),), costly=True, domain=(0.05, 0.95),
)  # fmt: skip

__all__ = ["erfcinv", "erfinv", "log_ndtr", "ndtr", "ndtri"]
