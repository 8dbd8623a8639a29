"""What several distributions are made of, in forms that keep their digits."""

from __future__ import annotations

import math

from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import maximum, minimum, square
from graphc.ops.compare import where
from graphc.ops.elementwise import erf, exp, expm1, log, log1p, xlogy
from graphc.ops.linalg.systems import solve_triangular
from graphc.ops.shape import expand_dims, reshape, swapaxes
from graphc.ops.special.entropy import kl_div
from graphc.ops.special.factorials import HALF_LOG_2PI, LARGE, stirling_rest
from graphc.ops.special.gamma import gammaln
from graphc.ops.special.hyperbolic import log1mexp
from graphc.ops.special.normal import log_ndtr

ROOT_HALF = math.sqrt(0.5)
VANISHED = 800.0  # e**-VANISHED is 0 in both dtypes
FAR = 2.0**30  # from here on 1 + x**2 is x**2 in both dtypes


def stirling(x: Node) -> Node:
    """gammaln(x) - (x - 1/2) log(x) + x - log(2 pi) / 2 for x > 0: what Stirling's formula leaves, 1 / (12 x) for large x."""
    small = gammaln(x) - (x - 0.5) * log(x) + x - HALF_LOG_2PI
    return where(x < LARGE, small, stirling_rest(maximum(x, LARGE)))


def log_poisson(k: Node, mu: Node) -> Node:
    """k log(mu) - mu - gammaln(k + 1) for real k >= 0, by the deviance of k from mu where k is large: the three terms would cancel.

    C. Loader, Fast and Accurate Computation of Binomial Probabilities (2000).
    """
    near = k < LARGE
    few, many = where(near, k, 1.0), where(near, LARGE, k)
    small = xlogy(few, mu) - mu - gammaln(few + 1)
    large = -kl_div(many, mu) - HALF_LOG_2PI - 0.5 * log(many) - stirling_rest(many)
    return where(near, small, large)


def log1p_square(x: Node) -> Node:
    """log(1 + x**2), also where x**2 overflows."""
    far = size_of(x) > FAR
    return where(far, 2 * log(size_of(where(far, x, 1.0))), log1p(square(where(far, 1.0, x))))


def log_between(low: Node, high: Node) -> Node:
    """log(ndtr(high) - ndtr(low)) for low <= high, in both tails: the lower one is taken, by symmetry."""
    flip = low > 0
    a, b = where(flip, -high, low), where(flip, -low, high)
    across = (a < 0) & (b > 0)
    top = log_ndtr(b)
    tail = top + log1mexp(log_ndtr(a) - top)
    middle = log(0.5 * (erf(ROOT_HALF * b) - erf(ROOT_HALF * a)))
    return where(across, middle, where(a == b, -math.inf, tail))


def decay(u: Node) -> Node:
    """e**-u for u >= 0, with derivatives 0, not 0 inf, where it has vanished"""
    return exp(-minimum(u, VANISHED))


def decay_left(u: Node) -> Node:
    """1 - e**-u for u >= 0, with derivatives 0 where it is 1"""
    return -expm1(-minimum(u, VANISHED))


def log_of(value: Node, rest: Node) -> Node:
    """log(value) of a probability, where rest = 1 - value."""
    return where(value < 0.5, log(value), log1p(-rest))


def whitened(root: Node, x: Node) -> Node:
    """l^-1 x of a lower triangle (.., d, d) and the vectors in the last axis of x; of one matrix with all vectors as columns."""
    if x.ndim == 1:
        x = reshape(x, (*[1] * (root.ndim - 2), x.shape[0]))
    if root.ndim > 2:
        return solve_triangular(root, expand_dims(x, -1), lower=True)[..., 0]
    if x.ndim == 1:
        return solve_triangular(root, x, lower=True)
    columns = swapaxes(reshape(x, (-1, x.shape[-1])), 0, 1)
    return reshape(swapaxes(solve_triangular(root, columns, lower=True), 0, 1), x.shape)
