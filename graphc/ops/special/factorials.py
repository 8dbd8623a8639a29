"""What is made of gamma: beta, binomials, factorials. Compositions of rows, so they are differentiated as what they are made of."""

from __future__ import annotations

import math

import numpy as np

from graphc.dtypes import to_float
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import floor, maximum, minimum
from graphc.ops.arithmetic import round as nearest
from graphc.ops.compare import stop_gradient, where
from graphc.ops.elementwise import log, log1p
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import fit
from graphc.ops.special.gamma import digamma, gamma, gammaln
from graphc.ops.special.incomplete_reference import beta_large
from graphc.ops.special.operands import several
from graphc.ops.spread import astype

LARGE = 10.0  # from here on Stirling's series has all digits
SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)  # of log(gamma(x)), in odd powers of 1 / x
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _floats(what: str, *values: ArrayLike) -> list[Node]:
    """The operands as floats of one type and shape."""
    nodes = [asarray(v) for v in values]
    dtype = to_float(np.result_type(*[n.dtype for n in nodes]))
    return fit(nodes, dtype, what)


def stirling_rest(x: Node) -> Node:
    """log(gamma(x)) - (x - 1/2) log(x) + x - log(2 pi) / 2 for x >= LARGE"""
    inverse = 1 / x
    square = inverse * inverse
    total = inverse * 0.0
    for c in reversed(SERIES):
        total = total * square + c
    return total * inverse


def betaln(a: ArrayLike, b: ArrayLike) -> Node:
    """log|beta(a, b)|, symmetric. Where an operand is large the differences of its logarithms are taken before they are rounded.

    Closed under differentiation: digamma(a) - digamma(a + b). Raises ShapeError, DTypeError.
    """
    x, y = _floats("betaln", a, b)
    less, more = minimum(x, y), maximum(x, y)
    both, one = less >= LARGE, more >= LARGE
    p, q = where(both, less, LARGE), where(one, more, LARGE)  # as they are where they are used
    shift = where(one & (less > -LARGE), less, 1.0)
    plain = gammaln(less) + (gammaln(more) - gammaln(less + more))
    beside = gammaln(less) - (q - 0.5) * log1p(shift / q) - shift * (log(q + shift) - 1) + (stirling_rest(q) - stirling_rest(q + shift))
    h = p / q
    rests = stirling_rest(p) + stirling_rest(q) - stirling_rest(p + q)
    far = HALF_LOG_2PI - 0.5 * log(q) + rests + (p - 0.5) * log(h / (1 + h)) - q * log1p(h)
    return where(both, far, where(one & (less > 0), beside, plain))


def _beta_large_vjp(g: Node, out: Node, a: Node, b: Node) -> tuple[Node, Node]:
    both = digamma(a + b)
    return g * (out * (digamma(a) - both)), g * (out * (digamma(b) - both))


_beta_large = several("beta_large", 2, "B(a, b) of positive operands whose sum is at least 4.", ref=beta_large, vjp=_beta_large_vjp)


def beta(a: ArrayLike, b: ArrayLike) -> Node:
    """gamma(a) gamma(b) / gamma(a + b), symmetric; of large positive operands by Stirling's formula in pairs, within 5 units in
    the last place.

    Closed under differentiation: beta(a, b) (digamma(a) - digamma(a + b)). Raises ShapeError, DTypeError.
    """
    x, y = _floats("beta", a, b)
    near = (x + y < 25) | (minimum(x, y) <= 0)
    s, t = where(near, x, 1.0), where(near, y, 1.0)
    u, v = where(near, 4.0, x), where(near, 4.0, y)
    return where(near, gamma(maximum(s, t)) / gamma(s + t) * gamma(minimum(s, t)), _beta_large(u, v))


def _whole(value: Node, *operands: Node) -> Node:
    """value, rounded where the operands are whole numbers and it is small enough to be exact; its derivatives are as without."""
    limit = 2.0 ** (np.finfo(value.dtype).nmant - 4)
    exact = size_of(value) < limit
    for x in operands:
        exact = exact & (floor(x) == x)
    return where(exact, value + stop_gradient(nearest(value) - value), value)


def binom(n: ArrayLike, k: ArrayLike) -> Node:
    """1 / ((n + 1) beta(n - k + 1, k + 1)), the binomial coefficient of reals: exact where n and k are whole and the result is not huge.

    0 for whole k < 0 or k > n >= 0. Closed under differentiation as beta is. Raises ShapeError, DTypeError.
    """
    x, y = _floats("binom", n, k)
    outside = (floor(y) == y) & ((y < 0) | ((y > x) & (x >= 0) & (floor(x) == x)))
    y = where(outside, 0.0, y)
    value = _whole(1 / ((x + 1) * beta(x - y + 1, y + 1)), x, y)
    return where(outside, 0.0, value)


def comb(N: ArrayLike, k: ArrayLike, *, exact: bool = False, repetition: bool = False) -> Node:
    """The number of ways to take k of N things, with `repetition` any number of times each; 0 where k > N, k < 0 or N < 0.

    Exact where the result is below 2**48 (float32: 2**19). Raises ArgumentError for exact=True, which needs Python's integers.
    """
    _inexact("comb", exact)
    x, y = _floats("comb", N, k)
    if repetition:
        x = x + y - 1
    inside = (y <= x) & (y >= 0) & (x >= 0)
    return where(inside, binom(where(inside, x, 0.0), where(inside, y, 0.0)), 0.0)


def factorial(n: ArrayLike, exact: bool = False) -> Node:
    """n! = gamma(n + 1), 0 for n < 0; exact for whole n where the result is below 2**48 (float32: 2**19).

    Its derivative is gamma(n + 1) digamma(n + 1). Raises ArgumentError for exact=True, which needs Python's integers.
    """
    _inexact("factorial", exact)
    x = asarray(n)
    x = astype(x, to_float(x.dtype))
    negative = x < 0
    y = where(negative, 0.0, x)
    return where(negative, 0.0, _whole(gamma(y + 1), y))


def _inexact(what: str, exact: bool) -> None:
    if exact:
        fail(ArgumentError, f"{what}: exact=True gives Python's integers", hint=f"scipy.special.{what} takes numbers; leave exact away")


def multigammaln(a: ArrayLike, d: int) -> Node:
    """log of the multivariate gamma function, d (d - 1) / 4 log(pi) + sum of gammaln(a - j / 2) for j < d, where a > (d - 1) / 2.

    nan elsewhere, where SciPy raises. Closed under differentiation as gammaln is. Raises ArgumentError unless d is a whole number > 0.
    """
    if not isinstance(d, int) or d < 1:
        fail(ArgumentError, f"multigammaln: the dimension is a whole number > 0, not {d!r}")
    x = asarray(a)
    x = astype(x, to_float(x.dtype))
    inside = x > 0.5 * (d - 1)
    y = where(inside, x, 0.5 * d)
    total = gammaln(y) + d * (d - 1) / 4 * math.log(math.pi)
    for j in range(1, d):
        total = total + gammaln(y - j / 2)
    return where(inside, total, math.nan)


__all__ = ["beta", "betaln", "binom", "comb", "factorial", "multigammaln"]
