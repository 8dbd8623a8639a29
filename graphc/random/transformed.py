"""Draws that are functions of uniform, normal and exponential ones. All are differentiable by their parameters, to any order."""

from __future__ import annotations

import numpy as np

from graphc.dtypes import float64
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import clip, sqrt
from graphc.ops.compare import where
from graphc.ops.elementwise import exp
from graphc.ops.registry import ArrayLike
from graphc.ops.special.normal import ndtr, ndtri
from graphc.ops.spread import astype
from graphc.random.continuous import exponential, normal, unit
from graphc.random.keys import KeyLike, as_key
from graphc.random.parameters import NOT_NEGATIVE, POSITIVE, Wanted, float_dtype, known_value, parameter, shape_of

NUMBER: Wanted = ("a number", lambda v: ~np.isnan(v))


def truncated_normal(key: KeyLike, lower: ArrayLike, upper: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Standard normal, given that it lies in [lower, upper]: ndtri(ndtr(lower) + u (ndtr(upper) - ndtr(lower))), in the nearer tail.

    Computed in float64. The ends may be infinite; where both are farther out than 37 on one side the draw is the nearer one. nan where
    lower > upper. Raises ArgumentError (known ends the wrong way round), DTypeError, ShapeError.

        w = 0.02 * gx.random.truncated_normal(key, -2.0, 2.0, (784, 10))
    """
    found = float_dtype("truncated_normal", dtype, lower, upper)
    low, high = (parameter("truncated_normal", name, v, float64, NUMBER) for name, v in (("lower", lower), ("upper", upper)))
    below, above = known_value(low), known_value(high)
    if below is not None and above is not None and not np.all(below <= above):
        fail(ArgumentError, f"truncated_normal: lower {below} is greater than upper {above}")
    sizes = shape_of("truncated_normal", shape, [low, high])
    turned = low > 0  # the part above 0 is drawn as its mirror image, whose distribution function has all digits
    a, b = where(turned, -high, low), where(turned, -low, high)
    u = unit(as_key("truncated_normal", key), sizes, float64)
    begin = ndtr(a)
    drawn = ndtri(begin + (u + 2.0**-54) * (ndtr(b) - begin))
    inside = where(low <= high, clip(where(turned, -drawn, drawn), low, high), np.nan)
    return astype(inside, found)


def lognormal(key: KeyLike, sigma: ArrayLike = 1.0, shape: object = None, dtype: object = None) -> Node:
    """e**(sigma z) of a standard normal z. Raises ArgumentError (a known sigma below 0), DTypeError, ShapeError."""
    found = float_dtype("lognormal", dtype, sigma)
    width = parameter("lognormal", "sigma", sigma, found, NOT_NEGATIVE)
    return exp(width * normal(key, shape_of("lognormal", shape, [width]), found))


def rayleigh(key: KeyLike, scale: ArrayLike = 1.0, shape: object = None, dtype: object = None) -> Node:
    """Rayleigh, density x / scale**2 e**(-x**2 / (2 scale**2)): scale sqrt(2 e) of an exponential e. Raises as `lognormal`."""
    found = float_dtype("rayleigh", dtype, scale)
    width = parameter("rayleigh", "scale", scale, found, NOT_NEGATIVE)
    return width * sqrt(2 * exponential(key, shape_of("rayleigh", shape, [width]), found))


def weibull_min(key: KeyLike, scale: ArrayLike, concentration: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Weibull, distribution function 1 - e**-(x / scale)**concentration: scale e**(1 / concentration) of an exponential e.

    scale: 0 or more; concentration: greater than 0. Raises ArgumentError, DTypeError, ShapeError.
    """
    found = float_dtype("weibull_min", dtype, scale, concentration)
    width = parameter("weibull_min", "scale", scale, found, NOT_NEGATIVE)
    power = parameter("weibull_min", "concentration", concentration, found, POSITIVE)
    return width * exponential(key, shape_of("weibull_min", shape, [width, power]), found) ** (1 / power)


def pareto(key: KeyLike, b: ArrayLike, shape: object = None, dtype: object = None) -> Node:
    """Pareto, density b x**-(b + 1) for x >= 1: e**(e / b) of an exponential e. b: greater than 0. Raises as `weibull_min`."""
    found = float_dtype("pareto", dtype, b)
    power = parameter("pareto", "b", b, found, POSITIVE)
    return exp(exponential(key, shape_of("pareto", shape, [power]), found) / power)


__all__ = ["lognormal", "pareto", "rayleigh", "truncated_normal", "weibull_min"]
