"""Declarations of input variables by rank. `tensor`, of any rank, is in `graphc.ops.registry`."""

from __future__ import annotations

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import tensor


def scalar(name: str, dtype: object = "float64") -> Node:
    """A new 0-d input variable."""
    return tensor(name, (), dtype)


def vector(name: str, n: object = None, dtype: object = "float64") -> Node:
    """A new 1-d input variable of size n: an int, the name of a symbolic size, a Dim, or None for a fresh size."""
    return tensor(name, (n,), dtype)


def matrix(name: str, shape: object = (None, None), dtype: object = "float64") -> Node:
    """A new 2-d input variable; its two sizes as in `vector`."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        fail(ShapeError, f"matrix: the shape of {name!r} must be two sizes, got {shape!r}", hint="gx.tensor takes any number")
    return tensor(name, tuple(shape), dtype)
