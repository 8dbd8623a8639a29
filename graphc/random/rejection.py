"""Draws by rejection, in rounds over all elements: what is not accepted is tried again with other words, until nothing is left.

Round r reads the streams high = 2 r and 2 r + 1 of the key at the element's own index. So an element has the same value whatever the
others do: in any shape, on any number of threads, under `vmap`. It costs the turns of the unluckiest element, of which each is a pass over
the array: about six of a million gamma draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphc.control.custom import custom_jvp
from graphc.control.while_loop import while_loop
from graphc.dtypes import uint64
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import stop_gradient, where
from graphc.ops.draws import first_derivative
from graphc.ops.elementwise import exp, log, log1p
from graphc.ops.reductions import any as any_of
from graphc.ops.registry import number
from graphc.ops.special.gamma import digamma
from graphc.ops.special.incomplete import gamma_density, gammainc_slope
from graphc.ops.special.normal import ndtri
from graphc.random.continuous import half, unit

Attempt = Callable[[Node, Node], tuple[Node, Node]]  # (high of two streams) -> (what is accepted, values)

BOOST = 1 << 40  # `high` of what is drawn once beside the rounds
BY_SERIES = 1e-30  # below it gammainc(a, x) is x**a / gamma(a + 1) to the last digit


def rejected(start: Node, wanted: Node, attempt: Attempt) -> Node:
    """The first accepted value of each element where it is wanted, `start` where not."""

    def turn(state: tuple[Node, Node, Node]) -> tuple[Node, Node, Node]:
        high, left, values = state
        accepted, found = attempt(high, high + number(1, uint64))
        hit = left & accepted
        return high + number(2, uint64), left & ~hit, where(hit, found, values)

    _, _, values = while_loop(lambda state: any_of(state[1]), turn, (number(0, uint64), wanted, start))
    return values  # type: ignore[no-any-return]


def _marsaglia(key: Node, a: Node) -> Node:
    """Gamma draws of shape a >= 1, in a's own shape. Marsaglia and Tsang (2000), A simple method for generating gamma variables."""
    d = a - 1 / 3
    c = 1 / sqrt(9 * d)

    def attempt(first: Node, second: Node) -> tuple[Node, Node]:
        sign, small = half(key, a.shape, a.dtype, first)
        z = ndtri(small)
        x = where(sign, -z, z)
        u = 1 - unit(key, a.shape, a.dtype, second)
        move = c * x
        inside = move > -1
        more = where(inside, move * (3 + move * (3 + move)), 0.0)  # (1 + move)**3 - 1
        return inside & (log(u) < 0.5 * x * x + d * (log1p(more) - more)), d + d * more

    good = (a >= 1) & (a < np.inf)
    return rejected(where(good, a, np.nan), good, attempt)


def _drawn(key: Node, a: Node) -> tuple[Node, Node]:
    """Gamma draws of shape a > 0 and their logarithms: of a + 1 times u**(1/a) where a < 1; nan where a is not greater than 0."""
    fixed = stop_gradient(a)
    low = fixed < 1
    large = _marsaglia(key, where(low, where(fixed > 0, fixed + 1, np.nan), fixed))
    boost = where(low, log(1 - unit(key, a.shape, a.dtype, BOOST)) / fixed, 0.0)
    return where(low, large * exp(boost), large), log(large) + boost


@custom_jvp
def gamma_and_log(key: Node, a: Node) -> tuple[Node, Node]:
    """Gamma draws of scale 1, and their logarithms, which do not underflow for a small shape a."""
    return _drawn(key, a)


def _tangents(primals: tuple[Node, Node], tangents: tuple[Node, Node]) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
    """By the implicit function F(z(a), a) = u: dz = -(dF/da) / (dF/dz) da."""
    key, shape = primals
    z, logarithm = gamma_and_log(key, shape)
    a = first_derivative(shape)  # marked on both sides: either mode meets a mark first
    tiny = z < BY_SERIES
    inner = where(tiny, 1.0, z)
    density = gamma_density(a, inner)
    ratio = where(density > 0, -gammainc_slope(a, inner) / (where(density > 0, density, 1.0) * inner), 0.0)
    relative = first_derivative(where(tiny, (digamma(a + 1) - logarithm) / a, ratio))
    by_a = relative * tangents[1]
    return (z, logarithm), (z * by_a, by_a)


gamma_and_log.defjvp(_tangents)
