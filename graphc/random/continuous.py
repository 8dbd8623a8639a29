"""Draws by a formula: one random word an element, and the inverse of a distribution function.

Keys and arguments are those of `jax.random`. A draw is a function of its key, its shape and its parameters alone: the same key gives
the same numbers again, and the first elements of a longer draw, in C order, are those of a shorter one.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.dtypes import float64, int32, int64
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.elementwise import log, tan
from graphc.ops.registry import ArrayLike
from graphc.ops.shape import known_shape
from graphc.ops.special.entropy import logit
from graphc.ops.special.normal import ndtri
from graphc.ops.spread import astype
from graphc.random.keys import KeyLike, as_key, words
from graphc.random.parameters import float_dtype, known_value, parameter
from graphc.types import Shape


def unit(key: Node, shape: Shape, dtype: np.dtype, high: ArrayLike = 0) -> Node:
    """Uniform in [0, 1): multiples of 2**-53, or of 2**-24."""
    return unit_of(words(key, shape, word_bits(dtype), high), dtype)


def word_bits(dtype: np.dtype) -> int:
    """Of the words that make numbers of a float dtype."""
    return 8 * dtype.itemsize


def unit_of(word: Node, dtype: np.dtype) -> Node:
    """Uniform in [0, 1), of random words."""
    if dtype == float64:
        return astype(word >> 11, float64) * 2.0**-53
    return astype(astype(word >> 8, int32), dtype) * 2.0**-24


def half(key: Node, shape: Shape, dtype: np.dtype, high: ArrayLike = 0) -> tuple[Node, Node]:
    """(a fair coin, uniform in (0, 1/2]), independent of each other: a distribution function and its complement with all digits.

    The smallest number is 2**-65, or 2**-33: nothing is clipped.
    """
    return half_of(words(key, shape, word_bits(dtype), high), dtype)


def half_of(word: Node, dtype: np.dtype) -> tuple[Node, Node]:
    """(a fair coin, uniform in (0, 1/2]), of random words."""
    small = (astype(astype(word >> 1, int64 if dtype == float64 else int32), dtype) + 0.5) * 2.0 ** -word_bits(dtype)
    return word & 1 == 1, small


def uniform(key: KeyLike, shape: object = (), dtype: object = None, minval: ArrayLike = 0.0, maxval: ArrayLike = 1.0) -> Node:
    """Uniform in [minval, maxval): minval + u (maxval - minval) with a u in [0, 1) of 53 (24) bits, which may round up to maxval.

    shape: sizes, also symbolic, to which the ends broadcast. dtype: float64 unless the ends are float32 arrays, or as given. Differentiable
    by the ends. Raises ArgumentError (ends that are not finite, or the wrong way round), DTypeError, ShapeError.

        x = gx.random.uniform(gx.random.key(0), ("n", 3), minval=-1.0)
    """
    found = float_dtype("uniform", dtype, minval, maxval)
    finite = ("finite", np.isfinite)
    low, high = (parameter("uniform", name, v, found, finite) for name, v in (("minval", minval), ("maxval", maxval)))
    below, above = known_value(low), known_value(high)
    if below is not None and above is not None and not np.all(below <= above):
        fail(ArgumentError, f"uniform: minval {below} is greater than maxval {above}")
    u = unit(as_key("uniform", key), known_shape(shape, "uniform"), found)
    if below is not None and above is not None and not np.any(below) and np.all(above == 1):
        return u
    return u * (high - low) + low


def normal(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Standard normal, density e**(-x**2 / 2) / sqrt(2 pi), by the inverse distribution function of a word of 64 (32) bits.

    Both tails are exact, to |x| = 9.2 (6.3). mu + sigma * normal(...) has the derivatives 1 and normal(...). Raises DTypeError, ShapeError.

        z = gx.random.normal(gx.random.key(0), x.shape, "float32")
    """
    sign, small = half(as_key("normal", key), known_shape(shape, "normal"), float_dtype("normal", dtype))
    z = ndtri(small)
    return where(sign, -z, z)


def exponential(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Exponential with mean 1, density e**-x for x > 0: -log(u), with all digits near 0 and in the tail. Raises DTypeError, ShapeError."""
    return _exponential(as_key("exponential", key), known_shape(shape, "exponential"), float_dtype("exponential", dtype))


def _exponential(key: Node, shape: Shape, dtype: np.dtype) -> Node:
    """-log(u) of u = small or 1 - small. One logarithm, of u rounded; what u lost in rounding is its own share of -log to first order."""
    upper, small = half(key, shape, dtype)
    rest = 1 - small
    return where(upper, 0, small - (1 - rest)) - log(where(upper, small, rest))


def gumbel(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Standard Gumbel, distribution function e**(-e**-x): -log of an exponential draw. Raises DTypeError, ShapeError.

    The position of the largest of logits + gumbel(...) is a draw from softmax(logits), see `categorical`.
    """
    return -log(_exponential(as_key("gumbel", key), known_shape(shape, "gumbel"), float_dtype("gumbel", dtype)))


def laplace(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Standard Laplace, density e**-|x| / 2. Raises DTypeError, ShapeError."""
    sign, small = half(as_key("laplace", key), known_shape(shape, "laplace"), float_dtype("laplace", dtype))
    size = log(2 * small)
    return where(sign, -size, size)


def logistic(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Standard logistic, distribution function 1 / (1 + e**-x). Raises DTypeError, ShapeError."""
    sign, small = half(as_key("logistic", key), known_shape(shape, "logistic"), float_dtype("logistic", dtype))
    size = logit(small)
    return where(sign, -size, size)


def cauchy(key: KeyLike, shape: object = (), dtype: object = "float64") -> Node:
    """Standard Cauchy, density 1 / (pi (1 + x**2)). Raises DTypeError, ShapeError."""
    sign, small = half(as_key("cauchy", key), known_shape(shape, "cauchy"), float_dtype("cauchy", dtype))
    size = 1 / tan(math.pi * small)
    return where(sign, size, -size)


__all__ = ["cauchy", "exponential", "gumbel", "laplace", "logistic", "normal", "uniform"]
