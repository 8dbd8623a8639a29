"""Random orders, by sorting random words; choices."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import int64, to_float, uint64
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.compare import stop_gradient
from graphc.ops.create import iota
from graphc.ops.draws import discrete_draw
from graphc.ops.elementwise import log
from graphc.ops.indexing import take, take_along_axis
from graphc.ops.reductions import cumsum
from graphc.ops.registry import ArrayLike, asarray, number
from graphc.ops.searching import searchsorted
from graphc.ops.shape import known_shape, one_size, reshape
from graphc.ops.sorting import argsort, sort
from graphc.ops.spread import astype
from graphc.random.continuous import gumbel, unit
from graphc.random.integers import randint
from graphc.random.keys import KeyLike, as_key, words
from graphc.random.parameters import known_value, probabilities
from graphc.types import Shape, normal_axis, same_size

PLACE_BITS = 20


def permutation(key: KeyLike, x: ArrayLike, axis: int = 0, independent: bool = False) -> Node:
    """A random order of 0 .. n - 1 for an int or size n; of an array the same elements in a random order along `axis`.

    All orders are equally likely, up to ties of 44 random bits, n**2 / 2**45 of them. independent: every line along the axis in an order of
    its own, else whole slices keep together. Differentiable by x. Raises ShapeError, DTypeError.

        order = gx.random.permutation(key, x.shape[0])
    """
    if isinstance(x, (int, Dim, str)):
        count = one_size(x, "permutation: n")
        if isinstance(count, int) and count < 0:
            fail(ShapeError, f"permutation: n = {count} is negative")
        return _order(words(as_key("permutation", key), (count,), 64), 0)
    node = asarray(x)
    if not node.ndim:
        fail(ShapeError, "permutation: an array needs an axis", node, hint="an int or a size n stands for 0 .. n - 1")
    along = normal_axis(axis, node.ndim, "permutation", node)
    if independent:
        return take_along_axis(node, _order(words(as_key("permutation", key), node.shape, 64), along), along)
    return take(node, permutation(key, node.shape[along]), along)


def _order(bits: Node, axis: int) -> Node:
    """The places along an axis in the order of the upper 44 of 64 bits, ties in the order of the places.

    Where places fit in the other 20 bits, both are sorted as one number: a million in 0.6 of the time.
    """
    count = bits.shape[axis]
    if not isinstance(count, int) or count > 1 << PLACE_BITS:
        return argsort(bits >> PLACE_BITS, axis)
    below = number((1 << PLACE_BITS) - 1, uint64)
    return astype(sort((bits & ~below) | astype(iota(bits.shape, axis), uint64), axis) & below, int64)


def choice(key: KeyLike, a: ArrayLike, shape: object = (), replace: bool = True, p: ArrayLike | None = None, axis: int = 0) -> Node:
    """Elements of 0 .. a - 1 (a an int or a size), or slices of an array a along `axis`, drawn with or without replacement.

    shape: of the draws, which takes the place of the axis. p: the probability of each element, summing to 1 (what only a call knows counts
    in proportion); None: all alike. Without replacement the first of a weighted random order, in which each next element is drawn in
    proportion to p among those that are left: the largest of log(p) + Gumbel draws. Differentiable by a, not by p: NotDifferentiableError.
    Raises ArgumentError (known probabilities that are none; more draws than elements, or than elements with p > 0), ShapeError, DTypeError.

        rows = gx.random.choice(key, x, (32,), replace=False)

    Efraimidis and Spirakis (2006), Weighted random sampling with a reservoir.
    """
    node = None if isinstance(a, (int, Dim, str)) else asarray(a)
    if node is not None and not node.ndim:
        fail(ShapeError, "choice: an array needs an axis", node, hint="an int or a size n stands for 0 .. n - 1")
    along = 0 if node is None else normal_axis(axis, node.ndim, "choice", node)
    count = one_size(a, "choice: a") if node is None else node.shape[along]
    sizes = known_shape(shape, "choice")
    weights = None if p is None else probabilities("choice", "p", p, to_float(asarray(p).dtype))
    if weights is not None and (weights.ndim != 1 or not same_size(weights.shape[0], count)):
        fail(ShapeError, f"choice: p is {weights.tensor}, for {count} elements", weights)
    _check_count(count, dims.product(sizes), replace, weights)
    if replace:
        place = _with_replacement(key, count, sizes, weights)
    else:
        place = reshape(_in_order(key, count, weights)[: dims.product(sizes)], sizes)
    return place if node is None else take(node, place, along)


def _check_count(count: Size, wanted: Size, replace: bool, weights: Node | None) -> None:
    if not isinstance(count, int) or not isinstance(wanted, int) or wanted == 0:
        return
    if count == 0:
        fail(ArgumentError, "choice: there is no element to draw")
    known = None if weights is None else known_value(weights)
    possible = count if known is None else int(np.count_nonzero(known))
    if not replace and wanted > possible:
        fail(ArgumentError, f"choice: {wanted} draws without replacement, of {possible} elements" + " with p > 0" * (known is not None))


def _with_replacement(key: KeyLike, count: Size, sizes: Shape, weights: Node | None) -> Node:
    if weights is None:
        return randint(key, sizes, 0, asarray(count))
    below = cumsum(stop_gradient(weights))
    u = 1 - unit(as_key("choice", key), sizes, weights.dtype)  # in (0, 1]: an element without probability is never found
    return discrete_draw(searchsorted(below, u * below[-1]), weights)


def _in_order(key: KeyLike, count: Size, weights: Node | None) -> Node:
    """All elements, in the order in which they are drawn."""
    if weights is None:
        return permutation(key, count)
    return discrete_draw(argsort(-(log(stop_gradient(weights)) + gumbel(key, (count,), weights.dtype))), weights)


__all__ = ["choice", "permutation"]
