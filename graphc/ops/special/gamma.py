"""gamma, gammaln, digamma and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.rows import elementwise
from graphc.ops.special import reference as r
from graphc.ops.special.error import of_math
from graphc.ops.special.polygamma import polygamma
from graphc.ops.special.reference import each

digamma_third: Callable[..., Node] = elementwise(
    "digamma_third", 1, "The third derivative of digamma, the polygamma function of order 3.", ref=each(r.polygamma(3)),
    emit=of_math("digamma_third"), vjp=lambda g, out, x: (g * polygamma(4, x),), costly=True, domain=(0.3, 4.0),
)  # fmt: skip
digamma_curve: Callable[..., Node] = elementwise(
    "digamma_curve", 1, "The second derivative of digamma, the polygamma function of order 2.", ref=each(r.polygamma(2)), costly=True,
    emit=of_math("digamma_curve"), vjp=lambda g, out, x: (g * digamma_third(x),), domain=(0.3, 4.0),
)  # fmt: skip
digamma_slope: Callable[..., Node] = elementwise(
    "digamma_slope", 1, "The derivative of digamma, the trigamma function; inf at 0 and the negative integers.", ref=each(r.polygamma(1)),
    emit=of_math("digamma_slope"), vjp=lambda g, out, x: (g * digamma_curve(x),), costly=True, domain=(0.3, 4.0),
)  # fmt: skip
digamma: Callable[..., Node] = elementwise(
    "digamma", 1,
    "The derivative of log(gamma(x)), accurate at its zero 1.4616 and near its poles; -inf at 0, inf at -0, nan at the negative integers. "
    "Its derivatives of orders 1 to 3 are rows: it is closed under differentiation to order 3.",
    ref=each(r.digamma), emit=of_math("digamma"), vjp=lambda g, out, x: (g * digamma_slope(x),), costly=True, domain=(1.6, 5.0),
)  # fmt: skip
gammaln = elementwise(
    "gammaln", 1,
    "log|gamma(x)|, exactly 0 at 1 and 2; inf at 0 and the negative integers. Closed under differentiation to order 4: digamma(x).",
    ref=each(r.gammaln), emit=of_math("gammaln"), vjp=lambda g, out, x: (g * digamma(x),), costly=True, domain=(0.3, 5.0),
)  # fmt: skip


def _gamma_vjp(g: Node, out: Node, x: Node) -> tuple[Node]:
    """g gamma(x) digamma(x); of inf for large x any positive digamma, as its derivatives have both signs, and inf - inf is nan."""
    return (g * (out * digamma(where((out == math.inf) & (x > 1), 3.0, x))),)


gamma = elementwise(
    "gamma", 1,
    "The gamma function, (x - 1)! at whole numbers: infinite at 0 with its sign, nan at the negative integers, inf from 171.62 on "
    "(float32: 35.04). Closed under differentiation to order 4: gamma(x) digamma(x).",
    ref=each(r.gamma), emit=of_math("gamma"), vjp=_gamma_vjp, costly=True, domain=(0.3, 5.0),
)  # fmt: skip

__all__ = ["digamma", "gamma", "gammaln"]
