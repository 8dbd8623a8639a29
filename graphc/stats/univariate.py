"""Continuous distributions of one number: what a family states of its standard form, and SciPy's methods made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt, square
from graphc.ops.compare import where
from graphc.ops.elementwise import exp, log
from graphc.ops.registry import CONSTANT, ArrayLike, asarray
from graphc.stats import parameters
from graphc.stats.frozen import Frozen
from graphc.stats.functions import VANISHED, log_of
from graphc.stats.parameters import POSITIVE, REAL, Constraint, Values, all_of, bound, checked, nan_unless

Of = Callable[..., Any]
"""Of the standard variable z (or a probability q) and the shape parameters, or of these alone: Nodes, or a number."""


@dataclass(frozen=True)
class Standard:
    """A family at loc = 0 and scale = 1: one row of the table. What is left out follows from the rest, or has no closed form."""

    name: str
    doc: str
    support: str
    """An interval in mathematics' notation, of numbers and names of shape parameters: "[0, inf)". A closed end at infinity says that the
    formulas hold there, an open one anywhere that they do not."""
    logpdf: Of
    mean: Of
    var: Of
    entropy: Of | None
    shapes: Mapping[str, Constraint] = field(default_factory=dict)
    joint: Callable[..., Any] | None = None
    """A condition on several shape parameters, with `joint_text` in words."""
    joint_text: str = ""
    pdf: Of | None = None
    cdf: Of | None = None
    sf: Of | None = None
    logcdf: Of | None = None
    logsf: Of | None = None
    ppf: Of | None = None
    isf: Of | None = None
    symmetric: bool = False
    """Whether -z has the distribution of z: sf, logsf and isf follow."""
    kl: Callable[[Any, Any], Any] | None = None
    """D(p || q) of two records of shape parameters, loc and scale."""
    same: tuple[str, ...] = ()
    """The parameters that both distributions of kl have in common."""


@dataclass(frozen=True)
class _Place:
    """Where a function is taken: the standard variable, the shape parameters, the scale (None: 1), where all parameters are valid."""

    z: Node
    shapes: list[Node]
    scale: Node | None
    log_scale: Node | None
    """log(scale), of e**s again s."""


class Continuous:
    """A continuous distribution of one number, with SciPy's methods, parameters and their order.

    Every method takes the parameters after its argument, by place or by name: first the shape parameters, then loc = 0 and scale = 1;
    z = (x - loc) / scale has the standard form. They are nodes, arrays or numbers, broadcast, and may be symbolic in size; results have
    NumPy's promoted float dtype. `norm(loc, scale)` is the distribution with its parameters, see `Frozen`.

        gx.stats.norm.logpdf(x, loc, scale)      gx.stats.gamma.cdf(x, 2.0, scale=theta)      gx.stats.norm(0, sigma).entropy()

    Outside the support pdf is 0, logpdf -inf, and derivatives are 0. A parameter that is not valid (scale <= 0, ..) raises ArgumentError
    where it is a constant, and gives nan, as SciPy's, where a call knows it. All methods can be differentiated as the functions that they
    are made of. Raises ArgumentError for wrong parameters and for what has no closed form, ShapeError, DTypeError.
    """

    def __init__(self, row: Standard) -> None:
        self._row = row
        self.name = row.name
        self.__doc__ = row.doc
        low, high = row.support[1:-1].split(",")
        self._low, self._high = low.strip(), high.strip()
        self._names = (*row.shapes, "loc", "scale")

    def __repr__(self) -> str:
        return f"gx.stats.{self.name}"

    def __call__(self, *args: ArrayLike, **parameters: ArrayLike) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, self._bound("", args, parameters))

    # -- functions of x -------------------------------------------------------------------------------------------------------
    def logpdf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(pdf(x)), accurate where pdf underflows; -inf outside the support."""
        at = self._place("logpdf", x, args, parameters, logarithm=True)
        value = self._inside(at, self._row.logpdf(at.z, *at.shapes), -math.inf, -math.inf)
        return value if at.log_scale is None else value - at.log_scale

    def pdf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The density at x; 0 outside the support."""
        at = self._place("pdf", x, args, parameters)
        value = self._row.pdf(at.z, *at.shapes) if self._row.pdf else _exp(self._row.logpdf(at.z, *at.shapes))
        value = self._inside(at, value, 0.0, 0.0)
        return value if at.scale is None else value / at.scale

    def cdf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The probability of values <= x, accurate where it is small."""
        at = self._place("cdf", x, args, parameters)
        return self._inside(at, self._below(at), 0.0, 1.0)

    def sf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The probability of values > x, 1 - cdf(x), accurate where it is small."""
        at = self._place("sf", x, args, parameters)
        return self._inside(at, self._above(at), 1.0, 0.0)

    def logcdf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(cdf(x))."""
        at = self._place("logcdf", x, args, parameters)
        given = self._row.logcdf
        value = given(at.z, *at.shapes) if given else log_of(self._below(at), self._above(at))
        return self._inside(at, value, -math.inf, 0.0)

    def logsf(self, x: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """log(sf(x))."""
        at = self._place("logsf", x, args, parameters)
        row = self._row
        if row.logsf:
            value = row.logsf(at.z, *at.shapes)
        elif row.symmetric and row.logcdf:
            value = row.logcdf(-at.z, *at.shapes)
        else:
            value = log_of(self._above(at), self._below(at))
        return self._inside(at, value, 0.0, -math.inf)

    def ppf(self, q: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The inverse of cdf; nan unless 0 <= q <= 1."""
        return self._quantile("ppf", self._row.ppf, q, args, parameters)

    def isf(self, q: ArrayLike, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The inverse of sf; nan unless 0 <= q <= 1."""
        row = self._row
        lower = row.ppf
        mirrored = (lambda p, *shapes: -lower(p, *shapes)) if row.symmetric and lower else None
        return self._quantile("isf", row.isf or mirrored, q, args, parameters)

    # -- numbers ----------------------------------------------------------------------------------------------------------------
    def median(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """ppf(1/2)."""
        return self.ppf(0.5, *args, **parameters)

    def mean(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The expectation of x; inf or nan where there is none, as SciPy's."""
        shapes, loc, scale = self._numbers("mean", args, parameters)
        value = _times(scale, asarray(self._row.mean(*shapes), loc.dtype))
        return value + loc

    def var(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The expectation of (x - mean)**2; inf or nan where there is none, as SciPy's."""
        shapes, loc, scale = self._numbers("var", args, parameters)
        value = asarray(self._row.var(*shapes), loc.dtype)
        return value if scale is None else square(scale) * value

    def std(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """sqrt(var)."""
        return sqrt(self.var(*args, **parameters))

    def entropy(self, *args: ArrayLike, **parameters: ArrayLike) -> Node:
        """The differential entropy, the expectation of -logpdf(x), in nats."""
        if self._row.entropy is None:
            self._no("entropy")
        shapes, loc, scale = self._numbers("entropy", args, parameters)
        value = asarray(self._row.entropy(*shapes), loc.dtype)
        return value if scale is None else value + log(scale)

    def _divergence(self, p: Values, q: Values) -> Node:
        if self._row.kl is None:
            self._no("Kullback-Leibler divergence")
        for name in self._row.same:
            if p[name] is not q[name] and not _same_number(p[name], q[name]):
                fail(ArgumentError, f"kl_divergence: two {self.name} of one {name} are needed, got {p[name]!r:.40} and {q[name]!r:.40}")
        what, n = f"kl_divergence of {self.name}", len(self._names)
        found = parameters.nodes(what, [*p.values(), *q.values()])
        tests = [self._valid(what, half) for half in (found[:n], found[n:])]
        records = [SimpleNamespace(**dict(zip(self._names, half))) for half in (found[:n], found[n:])]
        return asarray(nan_unless(all_of(tests), self._row.kl(*records)), found[0].dtype)

    # -- parts --------------------------------------------------------------------------------------------------------------------
    def _no(self, what: str) -> NoReturn:
        fail(ArgumentError, f"the {what} of {self.name} has no closed form here", hint="scipy.stats has numerical ones for arrays")

    def _bound(self, method: str, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> Values:
        return bound(f"{self.name}.{method}".rstrip("."), self._names, {"loc": 0, "scale": 1}, args, given)

    def _valid(self, what: str, found: Sequence[Node]) -> Node | None:
        """Where the parameters are valid, in the order of their names; None where they are known to be."""
        kinds = [*self._row.shapes.values(), REAL, POSITIVE]
        tests = [checked(what, name, kind, v) for name, kind, v in zip(self._names, kinds, found)]
        if self._row.joint:
            together = Constraint(self._row.joint_text, lambda v: v)
            tests.append(checked(what, ", ".join(self._row.shapes), together, _folded(self._row.joint, found[: len(self._row.shapes)])))
        return all_of(tests)

    def _numbers(self, method: str, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> tuple[list[Node], Node, Node | None]:
        """The shape parameters, loc, and scale or None for 1; scale is nan where a parameter is not valid."""
        what, values = f"{self.name}.{method}", self._bound(method, args, given)
        found = parameters.nodes(what, [*values.values()])
        return found[:-2], found[-2], self._scale(what, values, found)

    def _scale(self, what: str, values: Values, found: Sequence[Node]) -> Node | None:
        test = self._valid(what, found)
        if test is None and _same_number(values["scale"], 1):
            return None
        return asarray(nan_unless(test, found[-1]), found[-1].dtype)

    def _place(
        self, method: str, x: ArrayLike, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike], logarithm: bool = False
    ) -> _Place:
        """logarithm: what is not valid makes log(scale) nan, which costs nothing at each element, and not the scale."""
        what, values = f"{self.name}.{method}", self._bound(method, args, given)
        point, *found = parameters.nodes(what, [x, *values.values()])
        scale, log_scale = self._scale(what, values, found), None
        if logarithm and scale is not None:
            log_scale = asarray(nan_unless(self._valid(what, found), log(found[-1])), point.dtype)
            scale = None if _same_number(values["scale"], 1) else found[-1]
        z = point if _same_number(values["loc"], 0) else point - found[-2]
        return _Place(z if scale is None else z / scale, found[:-2], scale, log_scale)

    def _inside(self, at: _Place, value: Any, below: float, above: float) -> Node:
        """The value inside the support, `below` and `above` outside; nan of nan."""
        open_low, open_high = self._row.support[0] == "(", self._row.support[-1] == ")"
        low, high = self._end(self._low, at.shapes), self._end(self._high, at.shapes)
        result = asarray(value, at.z.dtype)
        if open_high or self._high != "inf":
            result = where(at.z >= high if open_high else at.z > high, above, result)
        if open_low or self._low != "-inf":
            result = where(at.z <= low if open_low else at.z < low, below, result)
        return result

    def _end(self, text: str, shapes: Sequence[Node]) -> Any:
        names = list(self._row.shapes)
        return shapes[names.index(text)] if text in names else float(text)

    def _below(self, at: _Place) -> Any:
        if self._row.cdf is None:
            self._no("cdf")
        return self._row.cdf(at.z, *at.shapes)

    def _above(self, at: _Place) -> Any:
        row = self._row
        if row.sf:
            return row.sf(at.z, *at.shapes)
        if row.symmetric and row.cdf:
            return row.cdf(-at.z, *at.shapes)
        return 1 - self._below(at)

    def _quantile(self, method: str, inverse: Of | None, q: ArrayLike, args: Sequence[ArrayLike], given: Mapping[str, ArrayLike]) -> Node:
        if inverse is None:
            self._no(method)
        what, values = f"{self.name}.{method}", self._bound(method, args, given)
        chance, *found = parameters.nodes(what, [q, *values.values()])
        z = _times(self._scale(what, values, found), inverse(chance, *found[:-2]))
        x = z if _same_number(values["loc"], 0) else z + found[-2]
        return where((chance < 0) | (chance > 1), math.nan, x)


def _exp(value: Any) -> Any:
    """e**value; where that has vanished its derivatives are 0, whatever those of value are."""
    return exp(where(value < -VANISHED, -math.inf, value)) if isinstance(value, Node) else math.exp(value)


def _times(scale: Node | None, value: Node) -> Node:
    return value if scale is None else scale * value


def _same_number(value: ArrayLike, other: ArrayLike) -> bool:
    """Whether both are the same Python number: of arrays and nodes it is not asked."""
    return isinstance(value, (int, float)) and isinstance(other, (int, float)) and value == other


def _folded(test: Callable[..., Any], operands: Sequence[Node]) -> Node:
    """A test of several parameters: a constant where they are."""
    arrays = [n.attrs["value"].array for n in operands if n.op is CONSTANT]
    return asarray(test(*arrays) if len(arrays) == len(operands) else test(*operands))


def continuous(**row: Any) -> Continuous:
    """The distribution of a row, see `Standard`."""
    return Continuous(Standard(**row))
