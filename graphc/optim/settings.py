"""Rates and other settings of an optimiser: a number, a node, state, or a schedule, a function of the number of updates so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.registry import asarray
from graphc.ops.spread import astype

Schedule: TypeAlias = Callable[[Node], Any]
"""From the number of updates so far, a 0-d int64 node that is 0 at the first one, to a number."""
Setting: TypeAlias = float | Node | Schedule


def number(what: str, value: Any, low: float = 0.0, high: float = math.inf, *, above: bool = False, below: bool = False) -> float:
    """`value` as a finite float of the range low to high; ArgumentError otherwise. above, below: the ends are not among the values."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        fail(ArgumentError, f"{what} is a number, got {value!r:.60}")
    x = float(value)
    inside = (low < x if above else low <= x) and (x < high if below else x <= high)
    if not inside or not math.isfinite(x):
        bounds = f"{'above' if above else 'from'} {low:g}" + (
            "" if high == math.inf else f" and {'below' if below else 'at most'} {high:g}"
        )
        fail(ArgumentError, f"{what} is {value!r}", hint=f"a finite number {bounds}")
    return x


def setting(what: str, value: Any, low: float = 0.0, high: float = math.inf, *, below: bool = False) -> Setting:
    """`value` where it is a number of the range, a 0-d node of numbers, or a function; ArgumentError, ShapeError, DTypeError otherwise."""
    if isinstance(value, Node):
        return _scalar(what, value)
    if callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return number(what, value, low, high, below=below)


def is_zero(value: Setting) -> bool:
    """Whether a setting is the number 0, so that what it multiplies is left out."""
    return isinstance(value, float) and value == 0


def needs_count(*settings: Setting) -> bool:
    """Whether one of the settings is a schedule."""
    return any(callable(s) and not isinstance(s, Node) for s in settings)


def now(what: str, value: Setting, count: Node | None) -> float | Node:
    """A setting at this update: the number it is, or a 0-d float node."""
    if isinstance(value, (float, Node)):
        return value
    assert count is not None
    found, name = value(count), f"{what}: what the schedule gives"
    return _scalar(name, found) if isinstance(found, Node) else number(name, found)


def _scalar(what: str, value: Node) -> Node:
    node = asarray(value)
    if node.ndim:
        fail(ShapeError, f"{what} is one number", node, hint="a 0-d node")
    if node.dtype.kind == "b":
        fail(DTypeError, f"{what} is a number", node)
    return node if is_float(node.dtype) else astype(node, "float64")


def to(value: float | Node, p: Node) -> float | Node:
    """A scalar as a factor of an array like p, whose dtype the product keeps."""
    return astype(value, p.dtype) if isinstance(value, Node) else value
