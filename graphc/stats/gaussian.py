"""multivariate_normal by covariance, diagonal or Cholesky factor, and wishart, the distribution of covariances."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt, square
from graphc.ops.create import eye
from graphc.ops.diagonals import diagonal
from graphc.ops.elementwise import exp, log
from graphc.ops.linalg.systems import cholesky as cholesky_of
from graphc.ops.linalg.systems import solve_triangular
from graphc.ops.reductions import sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, reshape
from graphc.ops.special.entropy import kl_div
from graphc.ops.special.factorials import multigammaln
from graphc.ops.special.gamma import digamma
from graphc.stats.frozen import Frozen
from graphc.stats.functions import whitened
from graphc.stats.parameters import POSITIVE, Constraint, Values, checked, nan_unless, of_one_dtype
from graphc.types import same_size

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class _Factor:
    """The root of a covariance: a lower triangle (.., d, d), or the standard deviations (.., d) or () of independent parts."""

    root: Node
    full: bool

    def whitened(self, x: Node) -> Node:
        """l^-1 x of the vectors in the last axis."""
        return whitened(self.root, x) if self.full else x / self.root

    def log_det(self, d: Node) -> Node:
        """log det l, of d dimensions."""
        if self.full:
            return sum(log(diagonal(self.root, 0, -2, -1)), -1)
        return d * log(self.root) if self.root.ndim == 0 else sum(log(self.root), -1)


class _MultivariateNormal:
    """The normal distribution of vectors: scipy.stats.multivariate_normal.

        gx.stats.multivariate_normal.logpdf(x, mean, cov)      gx.stats.multivariate_normal.logpdf(x, mean, cholesky=l)

    x: (.., d); mean: (d,) or (.., d), None for 0. cov is a matrix (d, d) or a batch (.., d, d) of them, a vector (d,) of the diagonal, or a
    number that stands for all of it. In place of cov `cholesky` gives its factor, a lower triangle with a positive diagonal; what is above
    it is not read. Vectors that broadcast against the batch. All by one triangular solve, no inverse.

    A matrix that is not positive definite is LinAlgError at the call, or nan with on_error="nan"; a diagonal or number that is not > 0
    raises ArgumentError where it is constant, else gives nan. Raises ArgumentError for cov and cholesky both, ShapeError, DTypeError.
    """

    name = "multivariate_normal"

    def __repr__(self) -> str:
        return "gx.stats.multivariate_normal"

    def __call__(self, mean: ArrayLike | None = None, cov: ArrayLike = 1, *, cholesky: ArrayLike | None = None) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, {"mean": mean, "cov": cov, "cholesky": cholesky})  # type: ignore[dict-item]

    def logpdf(
        self, x: ArrayLike, mean: ArrayLike | None = None, cov: ArrayLike = 1, *, cholesky: ArrayLike | None = None, on_error: str = "raise"
    ) -> Node:
        """-|l^-1 (x - mean)|**2 / 2 - log det l - d log(2 pi) / 2 with l l' = cov: (..)"""
        what = "multivariate_normal.logpdf"
        point, center, root = _joined(what, x, 0 if mean is None else mean, cov, cholesky)
        factor, away = _factor(what, root, cholesky is not None, on_error), point - center
        d = _dimension(what, away, factor)
        return -0.5 * _total(square(factor.whitened(away))) - (factor.log_det(d) + 0.5 * LOG_2PI * d)

    def pdf(
        self, x: ArrayLike, mean: ArrayLike | None = None, cov: ArrayLike = 1, *, cholesky: ArrayLike | None = None, on_error: str = "raise"
    ) -> Node:
        """e**logpdf: (..)"""
        return exp(self.logpdf(x, mean, cov, cholesky=cholesky, on_error=on_error))

    def entropy(
        self, mean: ArrayLike | None = None, cov: ArrayLike = 1, *, cholesky: ArrayLike | None = None, on_error: str = "raise"
    ) -> Node:
        """log det l + d (1 + log(2 pi)) / 2, in nats: (..)"""
        what = "multivariate_normal.entropy"
        center, root = _joined(what, 0 if mean is None else mean, cov, cholesky)
        factor = _factor(what, root, cholesky is not None, on_error)
        d = _dimension(what, center, factor)
        return factor.log_det(d) + 0.5 * (1 + LOG_2PI) * d

    def _divergence(self, p: Values, q: Values) -> Node:
        what = "kl_divergence of multivariate_normal"
        m, a = _joined(what, 0 if p["mean"] is None else p["mean"], p["cov"], p["cholesky"])
        n, b = _joined(what, 0 if q["mean"] is None else q["mean"], q["cov"], q["cholesky"])
        first, second = _factor(what, a, p["cholesky"] is not None, "raise"), _factor(what, b, q["cholesky"] is not None, "raise")
        away = m - n
        if not (first.full or second.full):
            ratio = square(first.root / second.root)
            parts = kl_div(1.0, ratio) + square(second.whitened(away))
            return 0.5 * _total(parts)
        size = (first if first.full else second).root.shape[-1]
        d = asarray(size, a.dtype)
        roots = [f.root if f.full else expand_dims(f.root, -1) * eye(size, dtype=f.root.dtype) for f in (first, second)]
        mixed = solve_triangular(roots[1], roots[0], lower=True)
        away = away if away.ndim else away + 0.0 * diagonal(roots[0], 0, -2, -1)
        shift = _Factor(roots[1], True).whitened(away)
        logs = second.log_det(d) - first.log_det(d)
        return 0.5 * (sum(square(mixed), (-2, -1)) + sum(square(shift), -1) - d) + logs


def _total(parts: Node) -> Node:
    """The sum over the last axis; a number is a vector of one."""
    return sum(parts, -1) if parts.ndim else parts


def _joined(what: str, *values: ArrayLike | None) -> list[Node]:
    """The values in one dtype; the last two are cov and its factor, of which one is taken."""
    *others, cov, factor = values
    if factor is not None and not (isinstance(cov, (int, float)) and cov == 1):
        fail(ArgumentError, f"{what} takes cov or cholesky, not both")
    return of_one_dtype(what, [v for v in (*others, cov if factor is None else factor) if v is not None])


def _factor(what: str, value: Node, is_factor: bool, on_error: str) -> _Factor:
    if is_factor and value.ndim < 2:
        fail(ShapeError, f"{what}: the factor is a matrix", value)
    if value.ndim >= 2:
        if not same_size(value.shape[-1], value.shape[-2]):
            fail(ShapeError, f"{what}: a square matrix is needed", value)
        return _Factor(value if is_factor else cholesky_of(value, on_error=on_error), True)
    test = checked(what, "cov", POSITIVE, value)
    return _Factor(sqrt(asarray(nan_unless(test, value))), False)


def _dimension(what: str, x: Node, factor: _Factor) -> Node:
    """d of the vectors in the last axis."""
    root = factor.root
    if x.ndim and root.ndim and not same_size(x.shape[-1], root.shape[-1]):
        fail(ShapeError, f"{what}: vectors of {x.shape[-1]} and a covariance of {root.shape[-1]} do not fit", x, root)
    if root.ndim == 0 and x.ndim == 0:
        return asarray(1.0, root.dtype)
    return asarray(root.shape[-1] if root.ndim else x.shape[-1], root.dtype)


class _Wishart:
    """The distribution of positive definite matrices that a sum of df squares x x' of normal vectors has: scipy.stats.wishart.

        gx.stats.wishart.logpdf(x, df, scale)

    x, scale: (.., p, p), of a known size p; df: (..), above p - 1: ArgumentError for constants, else nan. Matrices that are not positive
    definite are LinAlgError at the call, or nan with on_error="nan". Raises ShapeError, DTypeError.
    """

    name = "wishart"

    def __repr__(self) -> str:
        return "gx.stats.wishart"

    def __call__(self, df: ArrayLike, scale: ArrayLike) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, {"df": df, "scale": scale})

    def logpdf(self, x: ArrayLike, df: ArrayLike, scale: ArrayLike, *, on_error: str = "raise") -> Node:
        """(df - p - 1) / 2 log det x - tr(scale^-1 x) / 2 - df / 2 log det(2 scale) - log of the multivariate gamma of df / 2: (..)"""
        matrix, count, root, p = self._of("logpdf", x, df, scale, on_error)
        factor = cholesky_of(matrix, on_error=on_error)
        trace = sum(square(solve_triangular(root, factor, lower=True)), (-2, -1))
        return (
            (count - p - 1) * _half_log_det(factor)
            - 0.5 * trace
            - count * (_half_log_det(root) + 0.5 * p * math.log(2))
            - multigammaln(0.5 * count, p)
        )

    def pdf(self, x: ArrayLike, df: ArrayLike, scale: ArrayLike, *, on_error: str = "raise") -> Node:
        """e**logpdf: (..)"""
        return exp(self.logpdf(x, df, scale, on_error=on_error))

    def mean(self, df: ArrayLike, scale: ArrayLike) -> Node:
        """df scale: (.., p, p)"""
        matrix = asarray(scale)
        _, count, _, _ = self._of("mean", matrix, df, matrix, "nan")
        return reshape(count, (*count.shape, 1, 1)) * matrix

    def entropy(self, df: ArrayLike, scale: ArrayLike, *, on_error: str = "raise") -> Node:
        """The differential entropy in nats: (..)"""
        _, count, root, p = self._of("entropy", scale, df, scale, on_error)
        slopes = digamma(0.5 * count)
        for j in range(1, p):
            slopes = slopes + digamma(0.5 * (count - j))
        rest = 0.5 * p * (p + 1) * math.log(2) + multigammaln(0.5 * count, p) - 0.5 * (count - p - 1) * slopes
        return (p + 1) * _half_log_det(root) + rest + 0.5 * p * count

    def _of(self, method: str, x: ArrayLike, df: ArrayLike, scale: ArrayLike, on_error: str) -> tuple[Node, Node, Node, int]:
        what = f"wishart.{method}"
        matrix, shape, count = of_one_dtype(what, [x, scale, df])
        p = shape.shape[-1] if shape.ndim > 1 else None
        if not isinstance(p, int) or not all(v.shape[-2:] == (p, p) for v in (matrix, shape)):
            fail(ShapeError, f"{what}: square matrices of one known size are needed", matrix, shape)
        enough = Constraint(f"above {p - 1}", lambda v: v > p - 1)
        valid = asarray(nan_unless(checked(what, "df", enough, count), count))
        return matrix, valid, cholesky_of(shape, on_error=on_error), p

    def _divergence(self, p: Values, q: Values) -> Node:
        fail(ArgumentError, "the Kullback-Leibler divergence of wishart has no closed form here")


def _half_log_det(root: Node) -> Node:
    return sum(log(diagonal(root, 0, -2, -1)), -1)


multivariate_normal, wishart = _MultivariateNormal(), _Wishart()
