"""A distribution with its parameters, as SciPy calls "frozen", and the divergence of two of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.stats.parameters import Values


class Distribution(Protocol):
    """What a frozen distribution is made of."""

    name: str

    def _divergence(self, p: Values, q: Values) -> Node: ...


@dataclass(frozen=True, eq=False)
class Frozen:
    """A distribution with its parameters: `gx.stats.norm(loc, scale).logpdf(x)` is `gx.stats.norm.logpdf(x, loc, scale)`.

    It has the methods of the distribution, without the parameters.
    """

    distribution: Distribution
    parameters: Values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(getattr(self.distribution, name), **self.parameters)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self.distribution) if not name.startswith("_")]


def kl_divergence(p: Frozen, q: Frozen) -> Node:
    """D(p || q), the expectation under p of log p(x) - log q(x), of two distributions of one family.

        gx.stats.kl_divergence(gx.stats.norm(mu, sigma), gx.stats.norm(0, 1))

    In closed form, elementwise over the parameters, which broadcast; inf where p has mass that q has not, nan where a parameter is not
    valid. Families whose support begins at `loc` (expon, pareto and uniform excepted) take one `loc` for both. Raises ArgumentError for
    different families, families without a closed form (t, logistic, halfcauchy, truncnorm) and constant parameters that are not valid.
    """
    for each in (p, q):
        if not isinstance(each, Frozen):
            fail(
                ArgumentError,
                f"kl_divergence takes distributions with their parameters, got {each!r:.60}",
                hint="gx.stats.norm(loc, scale)",
            )
    if p.distribution is not q.distribution:
        fail(ArgumentError, f"kl_divergence: {p.distribution.name} and {q.distribution.name} are different families",
             hint="estimate it: the mean of p.logpdf(x) - q.logpdf(x) over draws x of p")  # fmt: skip
    return p.distribution._divergence(p.parameters, q.parameters)
