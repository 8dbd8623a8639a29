"""The metric of a sampler: an estimate of the covariance of what is sampled, by which momenta and proposals are scaled.

A momentum p has the density N(0, inverse of the covariance), so that a velocity is covariance p and all directions move alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphc.dims import Size
from graphc.ir import Node
from graphc.linalg import cholesky, solve_triangular
from graphc.ops.arithmetic import sqrt
from graphc.ops.create import eye, ones, zeros
from graphc.ops.products import outer
from graphc.ops.spread import astype


class Metric(NamedTuple):
    """A covariance, (n,) where it is diagonal and (n, n) where it is dense, and its factor: the roots, or the lower Cholesky factor."""

    covariance: Node
    factor: Node

    def velocity(self, p: Node) -> Node:
        """covariance p."""
        return self.covariance @ p if self.covariance.ndim == 2 else self.covariance * p

    def momentum(self, z: Node) -> Node:
        """A momentum of standard normal numbers z: inverse transpose of the factor, times z."""
        return solve_triangular(self.factor, z, trans=1, lower=True) if self.factor.ndim == 2 else z / self.factor

    def spread(self, z: Node) -> Node:
        """A displacement with this covariance of standard normal numbers z: the factor times z."""
        return self.factor @ z if self.factor.ndim == 2 else self.factor * z

    def kinetic(self, p: Node) -> Node:
        """p' covariance p / 2."""
        return (p * self.velocity(p)).sum() / 2


def unit(n: Size, dtype: np.dtype, dense: bool) -> Metric:
    """The metric of n standard normal numbers."""
    one = eye(n, dtype=dtype) if dense else ones((n,), dtype)
    return Metric(one, one)


class Welford(NamedTuple):
    """Running moments of positions: how many, their mean, the sum of squared (or of products of) deviations; B. P. Welford (1962)."""

    seen: Node
    mean: Node
    squares: Node

    def add(self, x: Node) -> Welford:
        seen = self.seen + 1
        before = x - self.mean
        mean = self.mean + before / astype(seen, x.dtype)
        after = x - mean
        return Welford(seen, mean, self.squares + (outer(after, before) if self.squares.ndim == 2 else after * before))

    def metric(self) -> Metric:
        """The covariance drawn towards a small multiple of one, as Stan does: n / (n + 5) S + 5 / (n + 5) / 1000."""
        count = astype(self.seen, self.mean.dtype)
        small = 1e-3 * (5 / (count + 5))
        covariance = self.squares / (count - 1) * (count / (count + 5))
        if covariance.ndim == 2:
            covariance = covariance + small * eye(covariance.shape[0], dtype=covariance.dtype)
            return Metric(covariance, cholesky(covariance))
        return Metric(covariance + small, sqrt(covariance + small))


def no_moments(n: Size, dtype: np.dtype, dense: bool) -> Welford:
    """The moments of no position."""
    return Welford(zeros((), "int64"), zeros((n,), dtype), zeros((n, n) if dense else (n,), dtype))
