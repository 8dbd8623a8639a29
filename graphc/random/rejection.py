"""Draws by rejection, in rounds over many elements: what is not accepted is tried again with other words, until nothing is left.

Round r reads the streams high = 2 r and 2 r + 1 of the key at the element's own index. So an element has the same value whatever the
others do: in any shape, on any number of threads, under `vmap`. The first round is for all elements. Of many elements the few that are
left then are put side by side, and the rounds go on among them alone: a million gamma draws cost two rounds over all, instead of six.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc import dims
from graphc.control.custom import custom_jvp
from graphc.control.while_loop import while_loop
from graphc.dtypes import uint64
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import stop_gradient, where
from graphc.ops.draws import first_derivative
from graphc.ops.elementwise import exp, log, log1p
from graphc.ops.indexing import take
from graphc.ops.philox import random_words
from graphc.ops.reductions import any as any_of
from graphc.ops.registry import ArrayLike, number
from graphc.ops.selecting import flatnonzero
from graphc.ops.shape import reshape
from graphc.ops.special.gamma import digamma
from graphc.ops.special.incomplete import gamma_density, gammainc_slope
from graphc.ops.special.normal import ndtri
from graphc.ops.spread import astype, broadcast_to
from graphc.random.continuous import half_of, unit, unit_of, word_bits
from graphc.random.keys import places
from graphc.records import dataclass

BOOST = 1 << 40  # `high` of what is drawn once beside the rounds
BY_SERIES = 1e-30  # below it gammainc(a, x) is x**a / gamma(a + 1) to the last digit
FEW = 4096  # elements: of no more the rounds go over all
SHARE = 8  # of more, there is room for one element in so many: about the least that two rounds leave of any law;
GAMMA_SHARE = 16  # of gamma draws less is left of the first: at most 4.9 %, where the shape is 1


@dataclass(frozen=True)
class Round:
    """The words of one round for some elements."""

    key: Node
    index: Node
    high: ArrayLike

    def unit(self, dtype: np.dtype) -> Node:
        """Uniform in [0, 1), of the second stream."""
        high = self.high + number(1, uint64) if isinstance(self.high, Node) else 1
        return unit_of(random_words(self.key, high, self.index, word_bits(dtype)), dtype)

    def half(self, dtype: np.dtype) -> tuple[Node, Node]:
        """(a fair coin, uniform in (0, 1/2]), of the first stream."""
        return half_of(random_words(self.key, self.high, self.index, word_bits(dtype)), dtype)

    def first(self, dtype: np.dtype) -> Node:
        """Uniform in [0, 1), of the first stream."""
        return unit_of(random_words(self.key, self.high, self.index, word_bits(dtype)), dtype)


Attempt = Callable[..., tuple[Node, Node]]  # (round, *parameters) -> (what is accepted, values)


def rejected(key: Node, start: Node, wanted: Node, attempt: Attempt, parameters: Sequence[Node], share: int = SHARE) -> Node:
    """The first accepted value of each element where it is wanted, `start` where not: all in one shape. share: see `SHARE`."""
    index = broadcast_to(places(start.shape), start.shape)
    accepted, found = attempt(Round(key, index, 0), *parameters)
    values, left = where(wanted & accepted, found, start), wanted & ~accepted
    size = start.size
    if isinstance(size, int) and size <= FEW:
        return _rounds(key, index, values, left, attempt, parameters)
    return _among_few(key, values, left, attempt, parameters, share)


def _rounds(key: Node, index: Node, values: Node, wanted: Node, attempt: Attempt, parameters: Sequence[Node]) -> Node:
    """From the second round on, over all elements."""

    def turn(state: tuple[Node, Node, Node]) -> tuple[Node, Node, Node]:
        high, left, before = state
        accepted, found = attempt(Round(key, index, high), *parameters)
        return high + number(2, uint64), left & ~accepted, where(left & accepted, found, before)

    return while_loop(lambda state: any_of(state[1]), turn, (number(2, uint64), wanted, values))[2]  # type: ignore[no-any-return]


def _among_few(key: Node, values: Node, wanted: Node, attempt: Attempt, parameters: Sequence[Node], share: int) -> Node:
    """The same with those that are wanted side by side, as many as there is room for at a time."""
    size = values.size
    room = dims.floordiv(size, share) + 1
    flat = [reshape(broadcast_to(p, values.shape), (size,)) for p in parameters]

    def turn(state: tuple[Node, Node]) -> tuple[Node, Node]:
        before, left = state
        at = flatnonzero(left, size=room, fill_value=size)  # none: behind the end, where nothing is written
        there = at < size
        given = [take(p, at, mode="clip") for p in (before, *flat)]
        found = _rounds(key, astype(at, uint64), given[0], there, attempt, given[1:])
        return before.at[at].set(found, mode="drop"), left.at[at].set(False, mode="drop")

    state = (reshape(values, (size,)), reshape(wanted, (size,)))
    return reshape(while_loop(lambda state: any_of(state[1]), turn, state)[0], values.shape)


def _marsaglia(key: Node, a: Node) -> Node:
    """Gamma draws of shape a >= 1, in a's own shape. Marsaglia and Tsang (2000), A simple method for generating gamma variables."""

    def attempt(turn: Round, d: Node) -> tuple[Node, Node]:
        sign, small = turn.half(d.dtype)
        z = ndtri(small)
        x = where(sign, -z, z)
        u = 1 - turn.unit(d.dtype)
        move = x / sqrt(9 * d)
        inside = move > -1
        more = where(inside, move * (3 + move * (3 + move)), 0.0)  # (1 + move)**3 - 1
        return inside & (log(u) < 0.5 * x * x + d * (log1p(more) - more)), d + d * more

    good = (a >= 1) & (a < np.inf)
    return rejected(key, where(good, a, np.nan), good, attempt, [where(good, a, 1.0) - 1 / 3], GAMMA_SHARE)


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
