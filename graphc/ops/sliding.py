"""NumPy's convolve and correlate: one array slides along another."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, float32, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.convolve import Relation, convolution
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import at_most
from graphc.ops.spread import astype


def convolve(a: ArrayLike, v: ArrayLike, mode: str = "full") -> Node:
    """out[k] = sum over m of a[m] * v[k - m], of two 1-d arrays of n and m elements.

    mode: "full", all n + m - 1 places where they meet; "same", the max(n, m) in the middle; "valid", the max(n, m) - min(n, m) + 1
    where one lies within the other. Dtypes are promoted; integers wrap, bool gives bool. Raises ShapeError, ArgumentError.

    >>> gx.convolve(gx.asarray([1, 2, 3]), [0, 1, 2]).eval()
    array([0, 1, 4, 7, 6])
    """
    x, y = _checked("convolve", a, v)
    start, count = _places(x.shape[0], y.shape[0], mode, "convolve", x)
    return _slid(x, y, Relation(0, 1, 2, 1, -1, -start), count)


def correlate(a: ArrayLike, v: ArrayLike, mode: str = "valid") -> Node:
    """out[k] = sum over m of a[m + k] * v[m], of two 1-d arrays; k from -(len(v) - 1) on for mode "full", see `convolve`.

    Raises ShapeError, ArgumentError.

    >>> gx.correlate(gx.asarray([1, 2, 3]), [0, 1, 2], "full").eval()
    array([2, 5, 8, 3, 0])
    """
    x, y = _checked("correlate", a, v)
    n, m = x.shape[0], y.shape[0]
    start, count = _places(n, m, mode, "correlate", x)
    if mode == "same":  # where v is longer NumPy turns the two round, and the middle with them
        turned = dims.minimum(dims.maximum(m - n, 0), 1)
        start = start + turned * (n + m - 1 - count - 2 * start)
    return _slid(x, y, Relation(0, 1, 2, 1, 1, m - 1 - start), count)


def _checked(what: str, a: ArrayLike, v: ArrayLike) -> tuple[Node, Node]:
    x, y = asarray(a), asarray(v)
    for one in (x, y):
        if one.ndim > 1:
            fail(ShapeError, f"{what}: needs 1-d arrays", one, hint="gx.nn.conv2d slides along more axes")
        if one.ndim == 1 and not at_most(1, one.shape[0]):
            fail(ShapeError, f"{what}: an array is empty", one)
    dtype = promote(x.dtype, y.dtype)
    return tuple([astype(one if one.ndim else one[None], dtype) for one in (x, y)])  # type: ignore[return-value]


def _places(n: Size, m: Size, mode: str, what: str, x: Node) -> tuple[Size, Size]:
    """The first of all the places where two arrays meet that is wanted, and how many are."""
    less, more = dims.minimum(n, m), dims.maximum(n, m)
    if mode == "full":
        return 0, n + m - 1
    if mode == "same":
        return dims.floordiv(less - 1, 2), more
    if mode == "valid":
        return less - 1, more - less + 1
    fail(ArgumentError, f"{what}: mode {mode!r} is none of 'full', 'same', 'valid'", x)


def _slid(x: Node, y: Node, relation: Relation, count: Size) -> Node:
    if x.dtype == bool_:  # as for other products, see `pairwise`
        return _slid(astype(x, float32), astype(y, float32), relation, count) != np.float32(0)
    return convolution(x, y, ((0,), (2,), (1,)), [relation], ((1, count),))


__all__ = ["convolve", "correlate"]
