"""Losses that are -log of a density of real targets: Gaussian by precision, heteroscedastic, full covariance, mixtures; and a KL.

`reduction` as in `graphc.nn.losses`. Written with multiplications by a precision and logarithms only, as numerical care asks for.
"""

from __future__ import annotations

import math

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.nn.parameters import floats, together
from graphc.nn.residuals import paired, reduced, residual
from graphc.ops.arithmetic import abs, maximum, square
from graphc.ops.compare import where
from graphc.ops.diagonals import diagonal
from graphc.ops.elementwise import expm1, log, softplus
from graphc.ops.linalg.systems import solve_triangular
from graphc.ops.reductions import log_softmax, logsumexp
from graphc.ops.reductions import sum as total
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import expand_dims, squeeze
from graphc.types import same_size

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def gaussian_nll(mean: ArrayLike, target: ArrayLike, precision: ArrayLike = 1.0, reduction: str = "mean") -> Node:
    """precision (target - mean)**2 / 2 - log(precision) / 2 + log(2 pi) / 2, elementwise: -log N(target; mean, 1 / precision).

    precision: positive, a number or broadcast against the targets; of a constant one the best is 1 / (mean squared residual). A network's
    output becomes one by softplus: `heteroscedastic_nll`. Raises ShapeError, DTypeError, ArgumentError.
    """
    what = "gaussian_nll"
    m, y, beta = together(what, mean, target, precision)
    return reduced(what, 0.5 * (beta * square(residual(what, m, y)) - log(beta)) + HALF_LOG_TAU, reduction)


def heteroscedastic_nll(mean: ArrayLike, raw: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """`gaussian_nll` with precision = softplus(raw), whose logarithm is finite for every raw: log(softplus(a)) -> a as a -> -inf.

    mean and raw: the two heads of a network. Raises ShapeError, DTypeError, ArgumentError.
    """
    what = "heteroscedastic_nll"
    a, m, y = together(what, raw, mean, target)
    # below -37, log1p(e**a) is e**a to the last bit of a double
    logarithm = where(a < -37, a, log(softplus(maximum(a, -37))))
    return reduced(what, 0.5 * (softplus(a) * square(residual(what, m, y)) - logarithm) + HALF_LOG_TAU, reduction)


def multivariate_gaussian_nll(mean: ArrayLike, target: ArrayLike, cholesky: ArrayLike, reduction: str = "mean") -> Node:
    """|L^-1 (target - mean)|**2 / 2 + sum(log|diag(L)|) + d log(2 pi) / 2: -log N(target; mean, L L').

    mean, target: (.., d). cholesky: L, (d, d) or (.., d, d), lower triangular (what is above the diagonal is not read); of a covariance
    B B' it is gx.linalg.cholesky(B @ B.T). One number for each vector. Raises ShapeError, DTypeError, ArgumentError.
    """
    what = "multivariate_gaussian_nll"
    r, factor = residual(what, mean, target), floats(what, cholesky)
    if r.ndim < 1 or factor.ndim < 2 or not all(same_size(n, r.shape[-1]) for n in factor.shape[-2:]):
        fail(ShapeError, f"{what}: the factor of vectors of {r.shape[-1] if r.ndim else 1} is a square matrix of that size", r, factor)
    z = squeeze(solve_triangular(factor, expand_dims(r, -1), lower=True), -1)
    size = total(log(abs(diagonal(factor, 0, -2, -1))), axis=-1)
    return reduced(what, 0.5 * total(square(z), axis=-1) + size + asarray(r.shape[-1], r.dtype) * HALF_LOG_TAU, reduction)


def mixture_density_nll(logits: ArrayLike, means: ArrayLike, precisions: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """-log of the sum over k of softmax(logits)[k] * the product over d of N(target[d]; means[k, d], 1 / precisions[k, d]).

    logits: (.., K), means: (.., K, d), target: (.., d), precisions: positive, broadcast against means: (.., K, d), or (.., K, 1) for
    round components. In the log domain throughout, so that far components underflow to nothing. Raises ShapeError, DTypeError,
    ArgumentError. (Bishop 1994)
    """
    what = "mixture_density_nll"
    a, m, beta, y = together(what, logits, means, precisions, target)
    if m.ndim < 2 or a.ndim != m.ndim - 1 or not same_size(a.shape[-1], m.shape[-2]):
        fail(ShapeError, f"{what}: needs logits (.., components) and means (.., components, d)", a, m)
    if y.ndim != m.ndim - 1 or not same_size(y.shape[-1], m.shape[-1]):
        fail(ShapeError, f"{what}: needs targets (.., d) and means (.., components, d)", y, m)
    if beta.ndim not in (0, m.ndim):
        fail(ShapeError, f"{what}: precisions have {beta.ndim} axes, not those of the means", beta, m)
    terms = log(beta) - beta * square(m - expand_dims(y, -2))
    joint = log_softmax(a) + total(0.5 * terms - HALF_LOG_TAU, axis=-1)
    return reduced(what, -logsumexp(joint, axis=-1), reduction)


def gaussian_kl(mean: ArrayLike, log_variance: ArrayLike, reduction: str = "mean") -> Node:
    """KL(N(mean, e**v) | N(0, 1)) = (e**v + mean**2 - 1 - v) / 2, elementwise, v = log_variance: what a VAE pays for its code."""
    what = "gaussian_kl"
    m, v = paired(what, mean, log_variance)
    return reduced(what, 0.5 * (expm1(v) - v + square(m)), reduction)


__all__ = ["gaussian_kl", "gaussian_nll", "heteroscedastic_nll", "mixture_density_nll", "multivariate_gaussian_nll"]
