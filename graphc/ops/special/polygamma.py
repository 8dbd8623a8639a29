"""polygamma, of a static order."""

from __future__ import annotations

from graphc.ir import Node
from graphc.ops.registry import ArrayLike
from graphc.ops.special.orders import no_further, of_float, ordered, whole
from graphc.ops.special.polygamma_reference import polygamma as reference
from graphc.ops.special.reference import each

HIGHEST = 60  # of what users ask for; derivatives of these go three orders further


def _vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == HIGHEST + 3:
        no_further("polygamma", x, n)
    return g * _polygamma(n + 1, x)


_polygamma = ordered(
    "polygamma", "The derivative n >= 1 of digamma.", ref=lambda n: each(reference(n)), vjp=_vjp,
)  # fmt: skip


def polygamma(n: int, x: ArrayLike) -> Node:
    """The derivative n of digamma: (-1)**(n + 1) n! times the sum of (x + k)**-(n + 1) over k >= 0.

    The order n is a whole number known when the graph is built, 1 <= n <= 60 (of order 0 it is `digamma`); x a real array, any shape,
    float32 or float64, of both signs; (-1)**(n + 1) inf at 0, -1, .., as SciPy has it, 0 at inf, nan at -inf. Closed under differentiation
    in x up to order 63. Raises ArgumentError for other orders.

        gx.special.polygamma(1, x)
    """
    return _polygamma(whole(n, "polygamma", 1, HIGHEST), of_float(x))


__all__ = ["polygamma"]
