"""Draws from separated values. They have no derivative by their parameters, and a gradient that would need one raises.

`score_function` gives the gradient of the mean of a cost of them; `stop_gradient(draw)` takes a draw as given.
"""

from __future__ import annotations

import numpy as np

from graphc.dtypes import float64, to_float
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.draws import discrete_draw
from graphc.ops.reductions import argmax
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import known_shape, moveaxis
from graphc.ops.spread import broadcast_to
from graphc.random.continuous import gumbel, unit
from graphc.random.keys import KeyLike, as_key
from graphc.random.parameters import PROBABILITY, Wanted, parameter, shape_of
from graphc.types import broadcast_shapes, normal_axis

LOGITS: Wanted = ("below infinity, and no nan", lambda v: v < np.inf)


def bernoulli(key: KeyLike, p: ArrayLike = 0.5, shape: object = None) -> Node:
    """True with probability p, else False: u < p with a uniform u of 53 bits, exactly never for p = 0 and always for p = 1.

    p: probabilities, which broadcast to the shape; by default the shape is theirs. False where p is nan. A derivative by p raises
    NotDifferentiableError. Raises ArgumentError (a known p outside [0, 1]), DTypeError, ShapeError.

        keep = gx.random.bernoulli(key, 0.9, x.shape)
    """
    chance = parameter("bernoulli", "p", p, float64, PROBABILITY)
    sizes = shape_of("bernoulli", shape, [chance])
    return discrete_draw(unit(as_key("bernoulli", key), sizes, float64) < broadcast_to(chance, sizes), chance)


def categorical(key: KeyLike, logits: ArrayLike, axis: int = -1, shape: object = None) -> Node:
    """A class k with probability softmax(logits)[k] along `axis`, an int64: the position of the largest of logits + Gumbel draws.

    logits: logarithms of probabilities up to a constant, -inf for a class that never comes. shape: of the draws, which ends in or
    broadcasts with the shape of the logits without `axis`; by default it is that. A derivative by the logits raises
    NotDifferentiableError. Raises ArgumentError (logits that are inf or nan), DTypeError, ShapeError.

        word = gx.random.categorical(key, scores / temperature)
    """
    values = asarray(logits) if not isinstance(logits, (list, tuple)) else asarray(np.asarray(logits))
    weights = parameter("categorical", "logits", values, to_float(values.dtype), LOGITS)
    if not weights.ndim:
        fail(ShapeError, "categorical: the logits need an axis of classes", weights)
    last = moveaxis(weights, normal_axis(axis, weights.ndim, "categorical", weights), -1)
    batch = last.shape[:-1]
    sizes = batch if shape is None else known_shape(shape, "categorical")
    if broadcast_shapes([sizes, batch], "categorical", [weights]) != sizes:
        fail(ShapeError, f"categorical: logits of {weights.tensor} do not broadcast to draws of shape {sizes}", weights)
    noise = gumbel(key, (*sizes, last.shape[-1]), weights.dtype)
    return discrete_draw(argmax(last + noise, -1), weights)


__all__ = ["bernoulli", "categorical"]
