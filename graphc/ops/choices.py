"""Choices among several: select, piecewise; a function over axes one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.dtypes import bool_, promote
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import Axis
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import expand_dims, in_dtype
from graphc.ops.spread import astype
from graphc.types import normal_axis


def select(condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0) -> Node:
    """Of the first condition that is true the choice, else `default`, elementwise; NumPy's broadcasting and promotion.

    The derivative with respect to a choice that is not taken is exactly 0, as for `where`. Raises DTypeError for a condition that is not
    bool, ArgumentError for lists of different or no length, ShapeError.
    """
    conditions, choices = [asarray(c) for c in _listed(condlist, "select")], _listed(choicelist, "select")
    if len(conditions) != len(choices) or not conditions:
        fail(
            ArgumentError, f"select: {len(conditions)} conditions and {len(choices)} choices; as many of each are needed, and one at least"
        )
    for c in conditions:
        if c.dtype != bool_:
            fail(DTypeError, "select: a condition must be bool", c, hint="compare: c != 0")
    dtype = promote(*[weak_dtype(v, "select") for v in (*choices, default)])
    result = in_dtype(default, dtype)
    for c, choice in zip(conditions[::-1], choices[::-1]):
        result = where(c, in_dtype(choice, dtype), result)
    return result


def _listed(values: object, what: str) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        fail(ArgumentError, f"{what} takes lists of conditions and of what is chosen, got {values!r:.60}")
    return list(values)


def piecewise(x: ArrayLike, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Node:
    """funclist[i](x, *args, **kw) where condlist[i] is true, of several the last; else the one function more, or 0. In the dtype of x.

    A number stands for itself. Every function is called once, with the whole x, and counts only where its condition holds: its value and
    its derivative have no influence elsewhere, nan included. Raises ArgumentError, ShapeError.
    """
    node, functions = asarray(x), _listed(funclist, "piecewise")
    conditions = [astype(asarray(c), bool_) for c in _conditions(condlist, node)]
    if len(functions) not in (len(conditions), len(conditions) + 1):
        n = len(conditions)
        fail(ArgumentError, f"piecewise: {n} condition{'s' * (n != 1)}, for {n} or {n + 1} functions, got {len(functions)}", node)
    values = [astype(asarray(f(node, *args, **kw) if callable(f) else f), node.dtype) for f in functions]
    result = where(asarray(False), node, values[len(conditions)] if len(values) > len(conditions) else 0)
    for c, value in zip(conditions, values):
        result = where(c, value, result)
    return result


def _conditions(condlist: Any, x: Node) -> list[Any]:
    """A list of conditions; one alone may stand without a list."""
    if isinstance(condlist, (list, tuple)):
        single = bool(condlist) and x.ndim != 0 and all(isinstance(c, (bool, np.bool_)) for c in condlist)
        return [condlist] if single else list(condlist)
    node = asarray(condlist)
    return [node] if node.ndim <= x.ndim else list(node)


def apply_over_axes(func: Callable[..., ArrayLike], a: ArrayLike, axes: Axis) -> Node:
    """func(a, axis) for each of `axes`, one after the other; axes that it drops come back with size 1.

    apply_over_axes(gx.sum, a, (0, 2)) = gx.sum(a, (0, 2), keepdims=True). Raises ShapeError.
    """
    node = asarray(a)
    rank = node.ndim
    if not callable(func):
        fail(ArgumentError, f"apply_over_axes takes a function of an array and an axis, got {func!r:.60}", node)
    for axis in axes if isinstance(axes, (tuple, list)) else (axes,):
        place = normal_axis(axis, rank, "apply_over_axes", node)
        result = asarray(func(node, place))
        result = expand_dims(result, place) if result.ndim == rank - 1 else result
        if result.ndim != rank:
            fail(ShapeError, f"apply_over_axes: the function gave {result.ndim} axes of {rank}", node, result)
        node = result
    return node


__all__ = ["apply_over_axes", "piecewise", "select"]
