"""The zeta functions of Riemann and Hurwitz."""

from __future__ import annotations

import math

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike
from graphc.ops.special import zeta_reference as reference
from graphc.ops.special.operands import several
from graphc.ops.special.polygamma import HIGHEST, polygamma

_BY_ORDER = "zeta: derivatives by x, the order, have no code; those by q exist"
_riemann = several(
    "riemann_zeta", 1, "Riemann's zeta function.", ref=reference.riemann_zeta, vjp=lambda g, out, s: (None,), refuses=(_BY_ORDER,),
)  # fmt: skip


def _vjp(g: Node, out: Node, s: Node, q: Node) -> tuple[None, Node]:
    """-s zeta(s + 1, q), and nan where zeta(s, q) is"""
    return None, g * (where(s < 1, math.nan, -s) * _hurwitz(s + 1, q))


_hurwitz = several("hurwitz_zeta", 2, "Hurwitz's zeta function.", ref=reference.hurwitz_zeta, vjp=_vjp, refuses=(_BY_ORDER,))


def zeta(x: ArrayLike, q: ArrayLike | None = None) -> Node:
    """Riemann's zeta function of x, the sum of n**-x over n >= 1, or Hurwitz's of x and q, the sum of (q + k)**-x over k >= 0.

    Without q: x any real array, float32 or float64; the continued function below 1, inf at 1, 0 at -2, -4, .., 1 at inf, nan at -inf.
    Within 4 units in the last place (float32: 0.6), also next to its zeros.

    With q: real arrays that broadcast; inf for x = 1, nan for x < 1, inf at q = 0, -1, ..; at other q < 0 nan unless x is whole. Within 3
    units in the last place (float32: 0.6) for q > 0; below 0, of an odd x, of the larger one of the two sums that cancel. Closed under
    differentiation in q: -x zeta(x + 1, q). Of an order x known when the graph is built, whole and in 2..61, it is
    polygamma(x - 1, q) / (x - 1)! up to a sign.

    By x there are no derivatives: NotDifferentiableError. Raises ShapeError, DTypeError.

        gx.special.zeta(x)
        gx.special.zeta(2.5, q)
    """
    if q is None:
        return _riemann(x)
    if isinstance(x, (int, float)) and not isinstance(x, bool) and x == x // 1 and 2 <= x <= HIGHEST + 1:
        s = int(x)
        factor: float = (-1.0) ** s / math.factorial(s - 1)
        return polygamma(s - 1, q) * factor
    return _hurwitz(x, q)


__all__ = ["zeta"]
