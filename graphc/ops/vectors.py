"""Products of vectors: cross, and NumPy's vecdot, matvec, vecmat over broadcast leading axes."""

from __future__ import annotations

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.einsum import einsum
from graphc.ops.joining import stack
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis
from graphc.types import normal_axis


def cross(a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Node:
    """The vector product of the vectors along an axis of each: (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0). NumPy's broadcasting.

    Vectors of two components have 0 as their third; of two such the third component alone is returned. Raises ShapeError.
    """
    places = (axis, axis, axis) if axis is not None else (axisa, axisb, axisc)
    x, y = [_components(asarray(v), place) for v, place in zip((a, b), places)]
    (x0, x1, *x2), (y0, y1, *y2) = x, y
    third = x0 * y1 - x1 * y0
    if not x2 and not y2:
        return third
    first = x1 * y2[0] - x2[0] * y1 if x2 and y2 else x1 * y2[0] if y2 else -(x2[0] * y1)
    second = x2[0] * y0 - x0 * y2[0] if x2 and y2 else -(x0 * y2[0]) if y2 else x2[0] * y0
    return stack([first, second, third], axis=normal_axis(places[2], third.ndim + 1, "cross", third))


def _components(v: Node, axis: int) -> list[Node]:
    if v.ndim == 0:
        fail(ShapeError, "cross needs vectors", v)
    place = normal_axis(axis, v.ndim, "cross", v)
    if v.shape[place] not in (2, 3):
        fail(ShapeError, f"cross: vectors have 2 or 3 components, axis {place} has {v.shape[place]}", v)
    first = moveaxis(v, place, 0)
    return [FUNCTIONS["getitem"](first, k) for k in range(int(first.shape[0]))]


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Node:
    """sum(x1 * x2) along `axis`, over broadcast leading axes. Raises ShapeError."""
    a, b = asarray(x1), asarray(x2)
    if a.ndim == 0 or b.ndim == 0:
        fail(ShapeError, "vecdot needs at least one axis", a, b)
    return einsum("...i,...i->...", *[moveaxis(v, normal_axis(axis, v.ndim, "vecdot", v), -1) for v in (a, b)])


def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """sum over j of x1[.., i, j] x2[.., j], over broadcast leading axes. Raises ShapeError."""
    return einsum("...ij,...j->...i", *_ranked(x1, x2, 2, 1, "matvec"))


def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """sum over i of x1[.., i] x2[.., i, j], over broadcast leading axes. Raises ShapeError."""
    return einsum("...i,...ij->...j", *_ranked(x1, x2, 1, 2, "vecmat"))


def _ranked(x1: ArrayLike, x2: ArrayLike, first: int, second: int, what: str) -> tuple[Node, Node]:
    a, b = asarray(x1), asarray(x2)
    if a.ndim < first or b.ndim < second:
        fail(ShapeError, f"{what} needs at least {first} and {second} axes", a, b)
    return a, b


__all__ = ["cross", "matvec", "vecdot", "vecmat"]
