"""Smooth invertible maps from all real numbers to what parameters may be, with log-determinants of their Jacobians.

b = gx.stats.bijectors.interval(0, 10)
theta = b.forward(x)                                              # between 0 and 10
target = log_posterior(theta) + gx.sum(b.log_det_jacobian(x))     # the log-density of x

numbers     exp (positive), softplus (positive), sigmoid (0 to 1), interval(low, high), affine(loc, scale)
vectors     ordered (increasing), simplex (probabilities), affine(loc, scale_tril=l)
matrices    cholesky (lower triangles), covariance (positive definite), correlation_cholesky (factors of correlations)
of others   chain(f, g), inverse(f)
"""

from graphc.stats.bijectors.base import Bijector, chain, inverse
from graphc.stats.bijectors.numbers import affine, exp, interval, sigmoid, softplus
from graphc.stats.bijectors.vectors import cholesky, correlation_cholesky, covariance, ordered, simplex

__all__ = [
    "Bijector", "affine", "chain", "cholesky", "correlation_cholesky", "covariance", "exp", "interval", "inverse", "ordered", "sigmoid",
    "simplex", "softplus",
]  # fmt: skip
