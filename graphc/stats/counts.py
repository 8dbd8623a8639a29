"""Distributions of whole numbers: SciPy's methods of a row, and the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import ceil, floor, maximum, sqrt, square
from graphc.ops.compare import where
from graphc.ops.elementwise import exp, expm1, log, log1p, xlogy
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.special.entropy import entr, kl_div, rel_entr, xlog1py
from graphc.ops.special.factorials import betaln
from graphc.ops.special.hyperbolic import log1mexp
from graphc.ops.special.incomplete import betainc, gammainc, gammaincc
from graphc.stats import parameters
from graphc.stats.frozen import Frozen
from graphc.stats.functions import log_of, log_poisson
from graphc.stats.parameters import CHANCE, COUNT, NOT_NEGATIVE, PROBABILITY, REAL, Constraint, Values, all_of, bound, checked, nan_unless
from graphc.stats.univariate import Of


@dataclass(frozen=True)
class Counted:
    """A family at loc = 0: one row of the table. What is left out follows from the rest, or has no closed form."""

    name: str
    doc: str
    shapes: Mapping[str, Constraint]
    logpmf: Of
    cdf: Of
    sf: Of
    mean: Of
    var: Of
    low: int = 0
    high: str | float = math.inf
    """The last number, or the name of the parameter that is it."""
    entropy: Of | None = None
    logsf: Of | None = None
    logcdf: Of | None = None
    ppf: Of | None = None
    kl: Any = None
    """D(p || q) of two records of parameters."""
    same: tuple[str, ...] = ()
    """The parameters that both distributions of kl have in common."""


class Discrete:
    """A distribution of whole numbers, with SciPy's methods, parameters and their order.

    Every method takes the parameters after its argument, by place or by name: first those of the family, then loc = 0. They are nodes,
    arrays or numbers, broadcast, and may be symbolic in size. Results have the promoted dtype of the floats among them, float64 without
    any: counts of int64 do not widen float32. `poisson(mu)` is the distribution with its parameters, see `Frozen`.

        gx.stats.poisson.logpmf(k, mu)      gx.stats.binom.cdf(3, n, p)      gx.stats.bernoulli(p).entropy()

    Where k is not whole or outside the support pmf is 0, logpmf -inf. A parameter that is not valid (p outside [0, 1], ..) raises
    ArgumentError where it is a constant, and gives nan, as SciPy's, where a call knows it. Raises ArgumentError for wrong parameters and
    for what has no closed form, ShapeError, DTypeError.
    """

    def __init__(self, row: Counted) -> None:
        self._row = row
        self.name = row.name
        self.__doc__ = row.doc
        self._names = (*row.shapes, "loc")

    def __repr__(self) -> str:
        return f"gx.stats.{self.name}"

    def __call__(self, *args: ArrayLike, **parameters: ArrayLike) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, self._bound("", args, parameters))

    # -- functions of k -------------------------------------------------------------------------------------------------------
    def logpmf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(pmf(k)); -inf where k is not whole or outside the support."""
        n, shapes = self._place("logpmf", k, args, parameters)
        value = where(self._outside(n, shapes), -math.inf, self._row.logpmf(n, *shapes))
        return where(floor(n) < n, -math.inf, value)

    def pmf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The probability of k."""
        return exp(self.logpmf(k, *args, **parameters))

    def cdf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The probability of numbers <= k."""
        n, shapes = self._steps("cdf", k, args, parameters)
        return self._inside(n, shapes, self._row.cdf(n, *shapes), 0.0, 1.0)

    def sf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The probability of numbers > k."""
        n, shapes = self._steps("sf", k, args, parameters)
        return self._inside(n, shapes, self._row.sf(n, *shapes), 1.0, 0.0)

    def logcdf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(cdf(k))."""
        n, shapes = self._steps("logcdf", k, args, parameters)
        row = self._row
        value = row.logcdf(n, *shapes) if row.logcdf else log_of(row.cdf(n, *shapes), row.sf(n, *shapes))
        return self._inside(n, shapes, value, -math.inf, 0.0)

    def logsf(self, k: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(sf(k))."""
        n, shapes = self._steps("logsf", k, args, parameters)
        row = self._row
        value = row.logsf(n, *shapes) if row.logsf else log_of(row.sf(n, *shapes), row.cdf(n, *shapes))
        return self._inside(n, shapes, value, 0.0, -math.inf)

    def ppf(self, q: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The least k with cdf(k) >= q, and low - 1 for q = 0; nan unless 0 <= q <= 1. Its derivatives are 0."""
        if self._row.ppf is None:
            self._no("ppf")
        chance, *found = self._operands("ppf", q, args, parameters)
        k = where(chance == 0, self._row.low - 1.0, self._row.ppf(chance, *found[:-1]))
        return where((chance >= 0) & (chance <= 1), k + found[-1], math.nan)

    # -- numbers ----------------------------------------------------------------------------------------------------------------
    def mean(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The expectation of k."""
        *shapes, loc = self._operands("mean", None, args, parameters)
        return self._row.mean(*shapes) + loc  # type: ignore[no-any-return]

    def var(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The expectation of (k - mean)**2."""
        *shapes, loc = self._operands("var", None, args, parameters)
        return self._row.var(*shapes) + 0.0 * loc  # type: ignore[no-any-return]

    def std(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """sqrt(var)."""
        return sqrt(self.var(*args, **parameters))

    def entropy(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The expectation of -logpmf(k), in nats."""
        if self._row.entropy is None:
            self._no("entropy")
        *shapes, loc = self._operands("entropy", None, args, parameters)
        return self._row.entropy(*shapes) + 0.0 * loc  # type: ignore[no-any-return]

    def _divergence(self, p: Values, q: Values) -> Node:
        for name in (*self._row.same, "loc"):
            if p[name] is not q[name] and not (isinstance(p[name], (int, float)) and p[name] == q[name]):
                fail(ArgumentError, f"kl_divergence: two {self.name} of one {name} are needed, got {p[name]!r:.40} and {q[name]!r:.40}")
        what, n = f"kl_divergence of {self.name}", len(self._names)
        found = parameters.nodes(what, [*p.values(), *q.values()], by_floats=True)
        records = [SimpleNamespace(**dict(zip(self._names, half))) for half in (found[:n], found[n:])]
        tests = [self._valid(what, half) for half in (found[:n], found[n:])]
        return asarray(nan_unless(all_of(tests), self._row.kl(*records)))

    # -- parts --------------------------------------------------------------------------------------------------------------------
    def _no(self, what: str) -> NoReturn:
        fail(ArgumentError, f"the {what} of {self.name} has no closed form here", hint="scipy.stats has numerical ones for arrays")

    def _bound(self, method: str, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> Values:
        return bound(f"{self.name}.{method}".rstrip("."), self._names, {"loc": 0}, args, given)

    def _valid(self, what: str, found: Sequence[Node]) -> Node | None:
        kinds = [*self._row.shapes.values(), REAL]
        return all_of([checked(what, name, kind, v) for name, kind, v in zip(self._names, kinds, found)])

    def _operands(self, method: str, k: ArrayLike | None, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> list[Node]:
        """k, if there is one, the parameters, and loc, which is nan where a parameter is not valid."""
        what, values = f"{self.name}.{method}", self._bound(method, args, given)
        first = [] if k is None else [k]
        found = parameters.nodes(what, [*first, *values.values()], by_floats=True)
        test = self._valid(what, found[len(first) :])
        return [*found[:-1], asarray(nan_unless(test, found[-1]), found[-1].dtype)]

    def _place(self, method: str, k: ArrayLike, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> tuple[Node, list[Node]]:
        n, *shapes, loc = self._operands(method, k, args, given)
        return n - loc, shapes

    def _steps(self, method: str, k: ArrayLike, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> tuple[Node, list[Node]]:
        n, shapes = self._place(method, k, args, given)
        return floor(n), shapes

    def _last(self, shapes: Sequence[Node]) -> Any:
        high = self._row.high
        return shapes[list(self._row.shapes).index(high)] if isinstance(high, str) else high

    def _outside(self, n: Node, shapes: Sequence[Node]) -> Node:
        last: ArrayLike = self._last(shapes)
        return (n < self._row.low) | (n > last) | (n == math.inf)

    def _inside(self, n: Node, shapes: Sequence[Node], value: Any, below: float, above: float) -> Node:
        return where(n < self._row.low, below, where(n >= self._last(shapes), above, value))


# -- the rows -------------------------------------------------------------------------------------------------------------------------
def _bernoulli_divergence(p: Node, q: Node) -> Node:
    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)


def _geom_ppf(q: Node, p: Node) -> Node:
    """ceil of the real solution, and one less where rounding went past a whole number that was enough"""
    rate = log1p(-p)
    k = maximum(ceil(log1p(-q) / where(p == 1, -1.0, rate)), 1.0)
    enough = (k > 1) & (-expm1((k - 1) * rate) >= q)
    return where(p == 1, 1.0, where(enough, k - 1, k))


bernoulli = Discrete(Counted(
    name="bernoulli", shapes={"p": PROBABILITY}, high=1,
    doc="1 with probability p, else 0: scipy.stats.bernoulli.",
    logpmf=lambda k, p: xlogy(k, p) + xlog1py(1 - k, -p), cdf=lambda k, p: 1 - p + 0 * k, sf=lambda k, p: p + 0 * k,
    logcdf=lambda k, p: log1p(-p) + 0 * k, logsf=lambda k, p: log(p) + 0 * k,
    ppf=lambda q, p: where(q <= 1 - p, 0.0, 1.0),
    mean=lambda p: p, var=lambda p: p * (1 - p), entropy=lambda p: entr(p) + entr(1 - p), kl=lambda p, q: _bernoulli_divergence(p.p, q.p),
))  # fmt: skip

binom = Discrete(Counted(
    name="binom", shapes={"n": COUNT, "p": PROBABILITY}, high="n",
    doc="The number of successes in n trials of probability p each: scipy.stats.binom. cdf, sf by the incomplete beta function.",
    logpmf=lambda k, n, p: xlogy(k, p) + xlog1py(n - k, -p) - log1p(n) - betaln(n - k + 1, k + 1),
    cdf=lambda k, n, p: betainc(n - k, k + 1, 1 - p), sf=lambda k, n, p: betainc(k + 1, n - k, p),
    mean=lambda n, p: n * p, var=lambda n, p: n * p * (1 - p), kl=lambda p, q: p.n * _bernoulli_divergence(p.p, q.p), same=("n",),
))  # fmt: skip

poisson = Discrete(Counted(
    name="poisson", shapes={"mu": NOT_NEGATIVE},
    doc="The Poisson distribution, mu**k e**-mu / k!: scipy.stats.poisson. logpmf keeps its digits for large mu and k.",
    logpmf=log_poisson, cdf=lambda k, mu: gammaincc(k + 1, mu), sf=lambda k, mu: gammainc(k + 1, mu),
    mean=lambda mu: mu, var=lambda mu: mu, kl=lambda p, q: kl_div(p.mu, q.mu),
))  # fmt: skip

geom = Discrete(Counted(
    name="geom", shapes={"p": CHANCE}, low=1,
    doc="The number of trials up to the first success of probability p, (1 - p)**(k - 1) p for k >= 1: scipy.stats.geom.",
    logpmf=lambda k, p: xlog1py(k - 1, -p) + log(p),
    cdf=lambda k, p: -expm1(k * log1p(-p)), sf=lambda k, p: exp(k * log1p(-p)),
    logsf=lambda k, p: k * log1p(-p), logcdf=lambda k, p: log1mexp(k * log1p(-p)), ppf=_geom_ppf,
    mean=lambda p: 1 / p, var=lambda p: (1 - p) / square(p), entropy=lambda p: (entr(p) + entr(1 - p)) / p,
    kl=lambda p, q: _bernoulli_divergence(p.p, q.p) / p.p,
))  # fmt: skip
