"""Random orders: permutations, by sorting random words of 64 bits."""

from __future__ import annotations

from graphc.dims import Dim
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops.indexing import take, take_along_axis
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import one_size
from graphc.ops.sorting import argsort
from graphc.random.keys import KeyLike, as_key, words
from graphc.types import normal_axis


def permutation(key: KeyLike, x: ArrayLike, axis: int = 0, independent: bool = False) -> Node:
    """A random order of 0 .. n - 1 for an int or size n; of an array the same elements in a random order along `axis`.

    All orders are equally likely, up to ties of 64-bit words (n**2 / 2**65). independent: every line along the axis in an order of its
    own, else whole slices keep together. Differentiable by x. Raises ShapeError, DTypeError.

        order = gx.random.permutation(key, x.shape[0])
    """
    if isinstance(x, (int, Dim, str)):
        count = one_size(x, "permutation: n")
        if isinstance(count, int) and count < 0:
            fail(ShapeError, f"permutation: n = {count} is negative")
        return argsort(words(as_key("permutation", key), (count,), 64))
    node = asarray(x)
    if not node.ndim:
        fail(ShapeError, "permutation: an array needs an axis", node, hint="an int or a size n stands for 0 .. n - 1")
    along = normal_axis(axis, node.ndim, "permutation", node)
    if independent:
        return take_along_axis(node, argsort(words(as_key("permutation", key), node.shape, 64), along), along)
    return take(node, permutation(key, node.shape[along]), along)


__all__ = ["permutation"]
