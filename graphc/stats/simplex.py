"""Distributions of and over probabilities that sum to one: dirichlet, multinomial, categorical. The last axis holds the classes."""

from __future__ import annotations

import math

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import clip, floor, square
from graphc.ops.compare import where
from graphc.ops.create import eye
from graphc.ops.elementwise import exp, log, xlogy
from graphc.ops.indexing import take_along_axis
from graphc.ops.reductions import all as every
from graphc.ops.reductions import any as some
from graphc.ops.reductions import log_softmax, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, reshape
from graphc.ops.special.entropy import entr, rel_entr
from graphc.ops.special.gamma import digamma, gammaln
from graphc.stats.frozen import Frozen
from graphc.stats.parameters import COUNT, POSITIVE, Constraint, Values, all_of, checked, nan_unless, nodes, of_one_dtype
from graphc.types import same_size


def _sums_to_one(p: Node | np.ndarray) -> Node | np.ndarray:
    """Whether the rows have no negative element and the sum 1, up to the root of the precision."""
    if isinstance(p, np.ndarray):
        return np.all(p >= 0, -1) & (abs(np.sum(p, -1) - 1) <= _limit(p.dtype))  # type: ignore[no-any-return]
    return every(p >= 0, -1) & (size_of(sum(p, -1) - 1) <= _limit(p.dtype))


def _limit(dtype: np.dtype) -> float:
    return math.sqrt(float(np.finfo(dtype).eps))


def _no_chance(valid: Node) -> Node:
    """-inf, nan where a parameter is."""
    return where(valid == valid, -math.inf, valid)


PROBABILITIES = Constraint("not negative with the sum 1 along the last axis", _sums_to_one)


def _vectors(what: str, *values: Node) -> None:
    """Raises ShapeError unless all have a last axis, of one size."""
    for v in values:
        if v.ndim == 0 or not same_size(v.shape[-1], values[0].shape[-1]):
            fail(ShapeError, f"{what}: arrays with a last axis of one size are needed", *values)


def _outer(p: Node) -> Node:
    return expand_dims(p, -1) * expand_dims(p, -2)


def _spread(p: Node) -> Node:
    """diag(p) - p p'"""
    return expand_dims(p, -1) * eye(p.shape[-1], dtype=p.dtype) - _outer(p)


class _Dirichlet:
    """The Dirichlet distribution over probabilities x, proportional to the product of x[i]**(alpha[i] - 1): scipy.stats.dirichlet.

        gx.stats.dirichlet.logpdf(x, alpha)

    x and alpha: (.., n), with batches in front that broadcast; where SciPy takes a batch of x as columns, here the last axis is that of
    the classes. logpdf is -inf where x is negative or does not sum to 1 (up to the root of the precision). alpha > 0: ArgumentError for
    constants, else nan. Raises ShapeError, DTypeError.
    """

    name = "dirichlet"

    def __repr__(self) -> str:
        return "gx.stats.dirichlet"

    def __call__(self, alpha: ArrayLike) -> Frozen:
        """The distribution with this parameter."""
        return Frozen(self, {"alpha": alpha})

    def logpdf(self, x: ArrayLike, alpha: ArrayLike) -> Node:
        """log of the density at x: (..)"""
        point, a = nodes("dirichlet.logpdf", [x, alpha])
        _vectors("dirichlet.logpdf", point, a)
        a = self._valid("logpdf", a)
        outside = some(point < 0, -1) | (size_of(sum(point, -1) - 1) > _limit(point.dtype))
        return where(outside, _no_chance(sum(a, -1)), sum(xlogy(a - 1, point), -1) - self._log_norm(a))

    def pdf(self, x: ArrayLike, alpha: ArrayLike) -> Node:
        """The density at x: (..)"""
        return exp(self.logpdf(x, alpha))

    def mean(self, alpha: ArrayLike) -> Node:
        """alpha / sum(alpha): (.., n)"""
        a = self._of("mean", alpha)
        return a / sum(a, -1, keepdims=True)

    def var(self, alpha: ArrayLike) -> Node:
        """m (1 - m) / (sum(alpha) + 1) with m the mean: (.., n)"""
        a = self._of("var", alpha)
        total = sum(a, -1, keepdims=True)
        return a * (total - a) / (square(total) * (total + 1))

    def cov(self, alpha: ArrayLike) -> Node:
        """(diag(m) - m m') / (sum(alpha) + 1) with m the mean: (.., n, n)"""
        a = self._of("cov", alpha)
        total = sum(a, -1, keepdims=True)
        return _spread(a / total) / expand_dims(total + 1, -1)

    def entropy(self, alpha: ArrayLike) -> Node:
        """The differential entropy in nats: (..)"""
        a = self._of("entropy", alpha)
        total = sum(a, -1)
        n = asarray(a.shape[-1], a.dtype)
        return self._log_norm(a) + (total - n) * digamma(total) - sum((a - 1) * digamma(a), -1)

    def _log_norm(self, a: Node) -> Node:
        return sum(gammaln(a), -1) - gammaln(sum(a, -1))

    def _valid(self, method: str, a: Node) -> Node:
        return asarray(nan_unless(checked(f"dirichlet.{method}", "alpha", POSITIVE, a), a))

    def _of(self, method: str, alpha: ArrayLike) -> Node:
        (a,) = nodes(f"dirichlet.{method}", [alpha])
        _vectors(f"dirichlet.{method}", a)
        return self._valid(method, a)

    def _divergence(self, p: Values, q: Values) -> Node:
        a, b = nodes("kl_divergence of dirichlet", [p["alpha"], q["alpha"]])
        _vectors("kl_divergence of dirichlet", a, b)
        a, b = self._valid("kl_divergence", a), self._valid("kl_divergence", b)
        gap = digamma(a) - expand_dims(digamma(sum(a, -1)), -1)
        return self._log_norm(b) - self._log_norm(a) + sum((a - b) * gap, -1)


class _Multinomial:
    """How often each class came in n draws of probabilities p: n! times the product of p[i]**x[i] / x[i]!: scipy.stats.multinomial.

        gx.stats.multinomial.logpmf(x, n, p)

    x, p: (.., k); n: (..). logpmf is -inf where x is negative, not whole or does not sum to n. n is whole and >= 0, p not negative with the
    sum 1: ArgumentError for constants, else nan. (SciPy takes the last p as what the others leave.) Raises ShapeError, DTypeError.
    """

    name = "multinomial"

    def __repr__(self) -> str:
        return "gx.stats.multinomial"

    def __call__(self, n: ArrayLike, p: ArrayLike) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, {"n": n, "p": p})

    def logpmf(self, x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Node:
        """log of the probability of the counts x: (..)"""
        many, chance = self._of("logpmf", n, p)
        counts = asarray(x).astype(chance.dtype)
        _vectors("multinomial.logpmf", counts, chance)
        value = gammaln(many + 1) + sum(xlogy(counts, chance) - gammaln(counts + 1), -1)
        impossible = some((counts < 0) | (floor(counts) < counts), -1) | (sum(counts, -1) != many)
        return where(impossible, _no_chance(many), value)

    def pmf(self, x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Node:
        """The probability of the counts x: (..)"""
        return exp(self.logpmf(x, n, p))

    def mean(self, n: ArrayLike, p: ArrayLike) -> Node:
        """n p: (.., k)"""
        many, chance = self._of("mean", n, p)
        return expand_dims(many, -1) * chance

    def cov(self, n: ArrayLike, p: ArrayLike) -> Node:
        """n (diag(p) - p p'): (.., k, k)"""
        many, chance = self._of("cov", n, p)
        return reshape(many, (*many.shape, 1, 1)) * _spread(chance)

    def _of(self, method: str, n: ArrayLike, p: ArrayLike) -> tuple[Node, Node]:
        what = f"multinomial.{method}"
        chance, many = of_one_dtype(what, [p, n], by_floats=True)
        _vectors(what, chance)
        test = all_of([checked(what, "n", COUNT, many), checked(what, "p", PROBABILITIES, chance)])
        return asarray(nan_unless(test, many)), chance

    def _divergence(self, p: Values, q: Values) -> Node:
        if p["n"] is not q["n"] and not (isinstance(p["n"], int) and p["n"] == q["n"]):
            fail(ArgumentError, "kl_divergence: two multinomial of one n are needed")
        (many, a), (_, b) = self._of("kl_divergence", p["n"], p["p"]), self._of("kl_divergence", q["n"], q["p"])
        return many * sum(rel_entr(a, b), -1)


class _Categorical:
    """One of n classes, by logits (log-probabilities up to a constant) or by probabilities `p`: (.., n).

        gx.stats.categorical.logpmf(k, logits)      gx.stats.categorical.entropy(p=p)

    k: integers (..) that broadcast against the rows; logpmf is -inf outside [0, n). Probabilities are not negative with the sum 1:
    ArgumentError for constants, else nan. Not in SciPy, where it is multinomial with n = 1. Raises ArgumentError unless one of logits and
    p is given, ShapeError, DTypeError.
    """

    name = "categorical"

    def __repr__(self) -> str:
        return "gx.stats.categorical"

    def __call__(self, logits: ArrayLike | None = None, *, p: ArrayLike | None = None) -> Frozen:
        """The distribution with these parameters."""
        self._log_chances("", logits, p)
        return Frozen(self, {"p": p} if logits is None else {"logits": logits})  # type: ignore[dict-item]

    def logpmf(self, k: ArrayLike, logits: ArrayLike | None = None, *, p: ArrayLike | None = None) -> Node:
        """log of the probability of class k: (..)"""
        rows, index = self._log_chances("logpmf", logits, p), asarray(k)
        if index.dtype.kind not in "iu":
            fail(DTypeError, f"categorical.logpmf: k are whole numbers of an integer dtype, not {index.dtype}", index)
        n, axes = rows.shape[-1], max(rows.ndim - 1, index.ndim)
        last = asarray(n) - 1
        place = clip(index.astype("int64"), 0, last)
        rows = reshape(rows, (*[1] * (axes + 1 - rows.ndim), *rows.shape))
        place = reshape(place, (*[1] * (axes - index.ndim), *index.shape, 1))
        return where((index < 0) | (index > last), -math.inf, take_along_axis(rows, place, -1)[..., 0])

    def pmf(self, k: ArrayLike, logits: ArrayLike | None = None, *, p: ArrayLike | None = None) -> Node:
        """The probability of class k: (..)"""
        return exp(self.logpmf(k, logits, p=p))

    def entropy(self, logits: ArrayLike | None = None, *, p: ArrayLike | None = None) -> Node:
        """-sum p log(p), in nats: (..)"""
        logs = self._log_chances("entropy", logits, p)
        return sum(entr(self._valid_p("entropy", p)), -1) if p is not None else -sum(_weighted(logs, logs), -1)

    def _log_chances(self, method: str, logits: ArrayLike | None, p: ArrayLike | None) -> Node:
        what = f"categorical.{method}".rstrip(".")
        if (logits is None) == (p is None):
            fail(ArgumentError, f"{what} takes logits or p, one of them")
        if p is not None:
            return log(self._valid_p(method, p))
        (rows,) = nodes(what, [logits])  # type: ignore[list-item]
        _vectors(what, rows)
        return log_softmax(rows, -1)

    def _valid_p(self, method: str, p: ArrayLike) -> Node:
        what = f"categorical.{method}".rstrip(".")
        (chance,) = nodes(what, [p])
        _vectors(what, chance)
        test = checked(what, "p", PROBABILITIES, chance)
        return chance if test is None else where(expand_dims(test, -1), chance, math.nan)

    def _divergence(self, p: Values, q: Values) -> Node:
        a, b = [self._log_chances("kl_divergence", v.get("logits"), v.get("p")) for v in (p, q)]
        _vectors("kl_divergence of categorical", a, b)
        return sum(_weighted(a, a - b), -1)


def _weighted(logs: Node, values: Node) -> Node:
    """e**logs values, 0 where e**logs is 0"""
    chance = exp(logs)
    return where(chance == 0, 0.0, chance * values)


dirichlet, multinomial, categorical = _Dirichlet(), _Multinomial(), _Categorical()
