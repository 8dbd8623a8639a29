"""`apply_along_axis`: a function of vectors, mapped over all other axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.derivatives.batch import vmap
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS, NUMPY_FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis
from graphc.types import normal_axis


def apply_along_axis(func1d: Callable[..., ArrayLike], axis: int, arr: ArrayLike, *args: Any, **kwargs: Any) -> Node:
    """func1d(v, *args, **kwargs) of every vector v of `arr` along `axis`; what it gives, of any shape, takes the place of that axis.

    func1d is called once, with a node for a vector, and mapped by `vmap`. Raises ShapeError, ArgumentError.
    """
    node = asarray(arr)
    if not callable(func1d):
        fail(ArgumentError, f"apply_along_axis takes a function of vectors, got {func1d!r:.60}", node)
    if node.ndim == 0:
        fail(ShapeError, "apply_along_axis needs at least one axis", node)
    place = normal_axis(axis, node.ndim, "apply_along_axis", node)

    def mapped(v: ArrayLike) -> Node:
        return asarray(func1d(v, *args, **kwargs))

    f: Callable[..., Any] = mapped
    for _ in range(node.ndim - 1):
        f = vmap(f)
    result = f(moveaxis(node, place, -1))
    outer = node.ndim - 1
    inner = result.ndim - outer
    return moveaxis(result, tuple(range(outer, outer + inner)), tuple(range(place, place + inner))) if inner else result


FUNCTIONS["apply_along_axis"] = NUMPY_FUNCTIONS[np.apply_along_axis] = apply_along_axis
