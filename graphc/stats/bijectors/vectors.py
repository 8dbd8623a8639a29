"""Bijectors from vectors of all real numbers to increasing numbers, probabilities, Cholesky factors, covariances, correlations."""

from __future__ import annotations

import math

import numpy as np

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt, square
from graphc.ops.compare import where
from graphc.ops.create import arange, eye, zeros
from graphc.ops.diagonals import diagonal
from graphc.ops.differences import diff
from graphc.ops.elementwise import arcsinh, exp, log, log_sigmoid, tanh
from graphc.ops.indexing import take
from graphc.ops.joining import concatenate
from graphc.ops.linalg.systems import cholesky as factor_of
from graphc.ops.reductions import cumsum, sum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import reshape, swapaxes
from graphc.ops.slicing import flip
from graphc.ops.special.hyperbolic import log_cosh
from graphc.stats.bijectors.base import Bijector, chain
from graphc.stats.parameters import nodes
from graphc.types import same_size


def _vector(what: str, x: ArrayLike, axes: int = 1) -> Node:
    (node,) = nodes(what, [x])
    if node.ndim < axes:
        fail(ShapeError, f"{what}: {axes} axes or more are needed", node)
    return node


def _before(x: Node) -> Node:
    """The sums of all elements before each, along the last axis."""
    return cumsum(x, -1) - x


def _after(x: Node) -> Node:
    """The sums of each element and all behind it, along the last axis."""
    return flip(cumsum(flip(x, -1), -1), -1)


class _Ordered(Bijector):
    """Vectors to increasing vectors of the same size: y[0] = x[0], y[k] = y[k - 1] + e**x[k]; log det = sum of x[k] for k > 0."""

    rank = rank_out = 1

    def forward(self, x: ArrayLike) -> Node:
        node = _vector("ordered", x)
        return cumsum(concatenate([node[..., :1], exp(node[..., 1:])], -1), -1)

    def inverse(self, y: ArrayLike) -> Node:
        node = _vector("ordered", y)
        return concatenate([node[..., :1], log(diff(node, axis=-1))], -1)

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        return sum(_vector("ordered", x)[..., 1:], -1)


class _Simplex(Bijector):
    """Vectors of n - 1 numbers to n positive probabilities with the sum 1, by breaking a stick: of what is left, y[k] takes the fraction
    sigmoid(x[k] - log(n - 1 - k)), so that 0 goes to equal parts. log det is that of the first n - 1 probabilities.

    Stan Reference Manual, Unit simplex.
    """

    rank = rank_out = 1
    gives = "probabilities"

    def forward(self, x: ArrayLike) -> Node:
        node, left = self._sticks("simplex", x)
        taken = log_sigmoid(node) + _shifted(left)
        return exp(concatenate([taken, left[..., -1:] if node.shape[-1] != 0 else zeros((*node.shape[:-1], 1), node.dtype)], -1))

    def inverse(self, y: ArrayLike) -> Node:
        node = _vector("simplex", y)
        x = log(node[..., :-1]) - log(_after(node)[..., 1:])
        return x + self._shift(x)

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        node, left = self._sticks("simplex", x)
        return sum(log_sigmoid(node) + left, -1)

    def _shift(self, x: Node) -> Node:
        return log(_falling(x))

    def _sticks(self, what: str, x: ArrayLike) -> tuple[Node, Node]:
        """The logits of the fractions, and the logarithms of what is left behind each"""
        node = _vector(what, x)
        node = node - self._shift(node)
        return node, cumsum(log_sigmoid(-node), -1)


def _shifted(left: Node) -> Node:
    """What is left in front of each: 0 = log(1) first"""
    return concatenate([zeros((*left.shape[:-1], 1), left.dtype), left], -1)[..., :-1]


def _falling(x: Node) -> Node:
    """n, n - 1, .. 1 for the n elements of the last axis."""
    return asarray(x.shape[-1], x.dtype) - arange(x.shape[-1], dtype=x.dtype)


def _dimension(what: str, x: Node, strict: bool) -> int:
    """d of d (d + 1) / 2 numbers, strict: of d (d - 1) / 2."""
    count = x.shape[-1]
    if not isinstance(count, int):
        fail(ShapeError, f"{what}: the number of elements must be known", x)
    d = (math.isqrt(8 * count + 1) + (1 if strict else -1)) // 2
    if d * (d - 1 if strict else d + 1) // 2 != count or d < 1:
        fail(ShapeError, f"{what}: {count} elements fill no triangle of d (d {'-' if strict else '+'} 1) / 2", x)
    return d


def _matrix(what: str, given: ArrayLike, strict: bool) -> Node:
    """The elements of a vector row by row in the lower triangle, zeros elsewhere."""
    x = _vector(what, given)
    d = _dimension(what, x, strict)
    rows, columns = np.tril_indices(d, -1 if strict else 0)
    places = np.full((d, d), len(rows))  # one behind the last: a zero
    places[rows, columns] = np.arange(len(rows))
    padded = concatenate([x, zeros((*x.shape[:-1], 1), x.dtype)], -1)
    return reshape(take(padded, places.ravel(), -1), (*x.shape[:-1], d, d))


def _elements(m: Node, strict: bool, right: int = 0) -> Node:
    """The lower triangle row by row; of each element the one that lies `right` places to the right."""
    d = m.shape[-1]
    if not isinstance(d, int) or not same_size(m.shape[-2], d):
        fail(ShapeError, "square matrices of a known size are needed", m)
    rows, columns = np.tril_indices(d, -1 if strict else 0)
    return take(reshape(m, (*m.shape[:-2], d * d)), rows * d + columns + right, -1)


class _Cholesky(Bijector):
    """Vectors of d (d + 1) / 2 numbers to lower triangles (d, d) with a positive diagonal, row by row; the diagonal is e**x.

    log det is that of the triangle's elements, the sum of the x of the diagonal.
    """

    rank, rank_out = 1, 2
    gives = "lower triangles"

    def forward(self, x: ArrayLike) -> Node:
        m = _matrix("cholesky", x, False)
        return where(eye(m.shape[-1], dtype="bool"), exp(m), m)

    def inverse(self, y: ArrayLike) -> Node:
        m = _vector("cholesky", y, 2)
        return _elements(where(eye(m.shape[-1], dtype="bool"), log(m), m), False)

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        node = _vector("cholesky", x)
        d = _dimension("cholesky", node, False)
        return sum(take(node, [i * (i + 3) // 2 for i in range(d)], -1), -1)


class _Squared(Bijector):
    """Lower triangles l with a positive diagonal to positive definite matrices l l'; log det is that of the lower triangle's elements,
    d log(2) + the sum of (d - i) log(l[i, i])."""

    rank = rank_out = 2
    takes, gives = "lower triangles", "positive definite matrices"

    def forward(self, x: ArrayLike) -> Node:
        node = _vector("squared", x, 2)
        return node @ swapaxes(node, -1, -2)

    def inverse(self, y: ArrayLike) -> Node:
        return factor_of(_vector("squared", y, 2))

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        logs = log(diagonal(_vector("squared", x, 2), 0, -2, -1))
        return sum(math.log(2) + _falling(logs) * logs, -1)


class _CorrelationCholesky(Bijector):
    """Vectors of d (d - 1) / 2 numbers to the Cholesky factors (d, d) of correlation matrices, whose rows have norm 1.

    z = tanh(x) are partial correlations, row by row; l[i, j] = z[i, j] prod(sqrt(1 - z[i, k]**2) for k < j) with z[i, i] = 1.
    log det is that of the elements below the diagonal. D. Lewandowski, D. Kurowicka, H. Joe, Generating random correlation matrices based
    on vines and extended onion method (2009); Stan Reference Manual, Cholesky factors of correlation matrices.
    """

    rank, rank_out = 1, 2
    gives = "factors of correlations"

    def forward(self, x: ArrayLike) -> Node:
        m = _matrix("correlation_cholesky", x, True)
        return exp(-_before(log_cosh(m))) * where(eye(m.shape[-1], dtype="bool"), 1.0, tanh(m))

    def inverse(self, y: ArrayLike) -> Node:
        m = _vector("correlation_cholesky", y, 2)
        return arcsinh(_elements(m, True) / sqrt(_elements(_after(square(m)), True, right=1)))

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        logs = log_cosh(_matrix("correlation_cholesky", x, True))
        below = np.tril(np.ones(logs.shape[-2:]), -1).astype(logs.dtype)
        return -sum((2 * logs + _before(logs)) * below, (-2, -1))


ordered, simplex, cholesky, correlation_cholesky = _Ordered(), _Simplex(), _Cholesky(), _CorrelationCholesky()
covariance = chain(_Squared(), cholesky)
