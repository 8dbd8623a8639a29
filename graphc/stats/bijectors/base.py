"""What a bijector is, chains of them and inverses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.reductions import sum
from graphc.ops.registry import ArrayLike


class Bijector(ABC):
    """A smooth map with an inverse, and the logarithm of how it changes volumes.

        y = b.forward(x);   x = b.inverse(y);   b.log_det_jacobian(x)      log |det dy/dx|

    If y has the log-density p, then x = b.inverse(y) has p(b.forward(x)) + b.log_det_jacobian(x): a sampler or optimiser that knows no
    bounds works on x. Arrays may have any batch axes in front of the last `rank` axes, which are one value; log_det_jacobian has a number
    for each value. Floats; derivatives of every order.
    """

    rank: int = 0
    """How many of the last axes of x belong together: 0 for maps of single numbers, 1 of vectors."""
    rank_out: int = 0
    """How many of the last axes of forward(x) belong together."""
    takes: str = ""
    """What x is, where it obeys equations, so that not all of its coordinates are free."""
    gives: str = ""
    """The same of forward(x)."""

    @abstractmethod
    def forward(self, x: ArrayLike) -> Node:
        """y of x."""

    @abstractmethod
    def inverse(self, y: ArrayLike) -> Node:
        """x of y."""

    @abstractmethod
    def log_det_jacobian(self, x: ArrayLike) -> Node:
        """log |det d forward(x) / dx|, for each value one number. Of y in coordinates: where y obeys equations, of those that are free."""


FREE = "numbers that are all free"


def over_last(value: Node, axes: int) -> Node:
    """The sum over the last axes."""
    if value.ndim < axes:
        fail(ShapeError, f"a bijector of the last {axes} axes got {value.ndim} axes", value)
    return sum(value, tuple(range(-axes, 0))) if axes else value


@dataclass(frozen=True, eq=False)
class Chain(Bijector):
    """The composition that applies the last one first, see `chain`."""

    parts: tuple[Bijector, ...]

    def __post_init__(self) -> None:
        rank = change = 0
        for outer, inner in zip(self.parts, self.parts[1:]):
            if outer.takes != inner.gives:
                fail(ArgumentError, f"chain: {outer!r} takes {outer.takes or FREE}, {inner!r} gives {inner.gives or FREE}")
        object.__setattr__(self, "takes", self.parts[-1].takes)
        object.__setattr__(self, "gives", self.parts[0].gives)
        for part in reversed(self.parts):
            rank, change = max(rank, part.rank - change), change + part.rank_out - part.rank
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "rank_out", rank + change)

    def forward(self, x: ArrayLike) -> Node:
        for part in reversed(self.parts):
            x = part.forward(x)
        return x  # type: ignore[return-value]

    def inverse(self, y: ArrayLike) -> Node:
        for part in self.parts:
            y = part.inverse(y)
        return y  # type: ignore[return-value]

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        total, held = None, self.rank
        for part in reversed(self.parts):
            one = over_last(part.log_det_jacobian(x), held - part.rank)
            total = one if total is None else total + one
            x, held = part.forward(x), held - part.rank + part.rank_out
        assert total is not None
        return total


@dataclass(frozen=True, eq=False)
class Inverse(Bijector):
    """A bijector the other way round, see `inverse`."""

    of: Bijector

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", self.of.rank_out)
        object.__setattr__(self, "rank_out", self.of.rank)
        object.__setattr__(self, "takes", self.of.gives)
        object.__setattr__(self, "gives", self.of.takes)

    def forward(self, x: ArrayLike) -> Node:
        return self.of.inverse(x)

    def inverse(self, y: ArrayLike) -> Node:
        return self.of.forward(y)

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        return -self.of.log_det_jacobian(self.of.inverse(x))


def chain(*parts: Bijector) -> Bijector:
    """The composition of bijectors as mathematics writes it: chain(f, g).forward(x) = f.forward(g.forward(x)).

    After a map to what obeys equations (probabilities, matrices) only one that takes such values can follow. Raises ArgumentError.
    """
    if not parts or not all(isinstance(p, Bijector) for p in parts):
        fail(ArgumentError, "chain takes bijectors, one at least", *parts)
    return Chain(parts)


def inverse(b: Bijector) -> Bijector:
    """The bijector the other way round: inverse(exp).forward is the logarithm. Raises ArgumentError."""
    if not isinstance(b, Bijector):
        fail(ArgumentError, f"inverse takes a bijector, got {b!r:.60}")
    return b.of if isinstance(b, Inverse) else Inverse(b)
