"""Arrays of positions, to index with: of triangles, diagonals, grids of rows and columns; between flat positions and one for each axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.errors import ArgumentError, IndexOutOfRange, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.compare import where
from graphc.ops.create import arange, tri
from graphc.ops.indexing import as_index
from graphc.ops.registry import ArrayLike, asarray, constant
from graphc.ops.selecting import nonzero
from graphc.ops.shape import reshape
from graphc.ops.spread import astype
from graphc.types import Shape, as_shape, sequence, whole_number

Pair = tuple[Node, Node]


def ix_(*args: ArrayLike) -> tuple[Node, ...]:
    """Vectors of positions shaped for the grid of all their combinations: x[ix_([0, 2], [1, 3])] is rows 0 and 2 of columns 1 and 3.

    Constant boolean vectors stand for the positions of their True elements. Raises ShapeError, DTypeError, ArgumentError.
    """
    found: list[Node] = []
    for k, value in enumerate(args):
        node = asarray(np.asarray(value, np.int64) if isinstance(value, (list, tuple)) and not len(value) else value)
        if node.ndim != 1:
            fail(ShapeError, f"ix_: argument {k} has {node.ndim} axes, a vector is needed", node)
        index = nonzero(node)[0] if node.dtype == bool_ else as_index(node, "ix_")
        found.append(reshape(index, tuple([index.shape[0] if j == k else 1 for j in range(len(args))])))
    return tuple(found)


# -- triangles and diagonals ------------------------------------------------------------------------------------------------
def tril_indices(n: Size, k: int = 0, m: Size | None = None) -> Pair:
    """(rows, columns) of the elements of an (n, m) matrix with column <= row + k, by rows. n may be symbolic where m is left out."""
    return _triangle(n, whole_number(k, "tril_indices: k"), m, "tril_indices", True)


def triu_indices(n: Size, k: int = 0, m: Size | None = None) -> Pair:
    """(rows, columns) of the elements of an (n, m) matrix with column >= row + k, by rows. n may be symbolic where m is left out."""
    return _triangle(n, whole_number(k, "triu_indices: k"), m, "triu_indices", False)


def tril_indices_from(arr: ArrayLike, k: int = 0) -> Pair:
    """`tril_indices` for a matrix of the shape of `arr`."""
    return tril_indices(*_matrix(arr, k, "tril_indices_from"))


def triu_indices_from(arr: ArrayLike, k: int = 0) -> Pair:
    """`triu_indices` for a matrix of the shape of `arr`."""
    return triu_indices(*_matrix(arr, k, "triu_indices_from"))


def _matrix(arr: ArrayLike, k: int, what: str) -> tuple[Size, int, Size]:
    node = asarray(arr)
    if node.ndim != 2:
        fail(ShapeError, f"{what} needs a matrix", node)
    return node.shape[0], k, node.shape[1]


def _triangle(n: Size, k: int, m: Size | None, what: str, lower: bool) -> Pair:
    rows, columns = as_shape((n, n if m is None else m))
    if isinstance(rows, int) and isinstance(columns, int):
        known = (np.tril_indices if lower else np.triu_indices)(rows, k, columns)
        return constant(known[0], int64), constant(known[1], int64)
    if rows != columns:
        fail(ArgumentError, f"{what}: how many elements of ({rows}, {columns}) there are is no formula of the sizes",
             hint="gx.nonzero(gx.tri(n, m, k), size=...) takes a size; gx.tril and gx.triu keep the shape")  # fmt: skip
    p = k if lower else k - 1
    below = tri(rows, columns, p, bool_)
    count = rows * rows - _triangular(dims.maximum(rows - 1 - p, 0)) if p >= 0 else _triangular(dims.maximum(rows + p, 0))
    i, j = nonzero(below if lower else ~below, size=count if lower else rows * rows - count)
    return i, j


def _triangular(n: Size) -> Size:
    """1 + 2 + ... + n."""
    return dims.floordiv(n * (n + 1), 2)


def diag_indices(n: Size, ndim: int = 2) -> tuple[Node, ...]:
    """The positions of the main diagonal of an array of `ndim` axes of size n, which may be symbolic."""
    return (arange(n),) * whole_number(ndim, "diag_indices: ndim")


def diag_indices_from(arr: ArrayLike) -> tuple[Node, ...]:
    """`diag_indices` for `arr`, whose axes, two or more, must have one size. Raises ShapeError."""
    node = asarray(arr)
    if node.ndim < 2 or any([dims.equal(s, node.shape[0]) is not True for s in node.shape]):
        fail(ShapeError, "diag_indices_from needs two or more axes of one size", node)
    return diag_indices(node.shape[0], node.ndim)


# -- between flat positions and one for each axis -----------------------------------------------------------------------------
def unravel_index(indices: ArrayLike, shape: object) -> tuple[Node, ...]:
    """The positions along each axis of `shape` of positions in the array raveled: unravel_index(7, (3, 4)) is (1, 3).

    sizes may be symbolic. A constant out of range is IndexOutOfRange; of any other the position along the first axis is then out of range,
    and found to be so where it is used.
    """
    index, sizes = as_index(indices, "unravel_index"), as_shape(shape)
    if not sizes:
        fail(ShapeError, "unravel_index: a shape without axes has no positions", index)
    _known_inside(index, dims.product(sizes), "unravel_index", "an array")
    flat, found = astype(index, int64), list[Node]()
    for k in range(len(sizes) - 1, 0, -1):
        found.append(flat % asarray(sizes[k]))
        flat = flat // asarray(sizes[k])
    return (flat, *found[::-1])


def ravel_multi_index(multi_index: Sequence[ArrayLike], dims: object, mode: str | Sequence[str] = "raise") -> Node:
    """The positions in an array of shape `dims`, raveled, of positions along each axis: ravel_multi_index((1, 3), (3, 4)) is 7.

    mode, for all axes or each: "raise" IndexOutOfRange for a constant out of range, any other gives the number of elements, which is out
    of range; "clip" takes the nearest position inside; "wrap" counts modulo the size. Raises ShapeError, ArgumentError.
    """
    return _raveled(multi_index, as_shape(dims), mode)


def _raveled(multi_index: Sequence[ArrayLike], shape: Shape, mode: str | Sequence[str]) -> Node:
    listed = [as_index(i, "ravel_multi_index") for i in sequence(multi_index, "ravel_multi_index: multi_index")]
    modes = [mode] * len(shape) if isinstance(mode, str) else list(mode)
    if len(listed) != len(shape) or len(modes) != len(shape):
        fail(ShapeError, f"ravel_multi_index: {len(listed)} positions and {len(modes)} modes for {len(shape)} axes", *listed)
    flat, outside = asarray(np.int64(0)), asarray(False)
    for k, (index, n, how) in enumerate(zip(listed, shape, modes)):
        place = astype(index, int64)
        if how == "raise":
            _known_inside(index, n, "ravel_multi_index", f"axis {k}")
            outside = outside | (place < 0) | (place >= n)
        elif how == "clip":
            place = FUNCTIONS["clip"](place, 0, n - 1)
        elif how == "wrap":
            place = place % asarray(n)
        else:
            fail(ArgumentError, f"ravel_multi_index: mode is 'raise', 'clip' or 'wrap', got {how!r:.60}")
        flat = flat * asarray(n) + place
    return where(outside, asarray(dims.product(shape)), flat) if "raise" in modes else flat


def _known_inside(index: Node, n: Size, what: str, of: str) -> None:
    if index.op.name == "constant" and isinstance(n, int):
        array: np.ndarray = index.params[0].array
        bad = array[(array < 0) | (array >= n)]
        if bad.size:
            fail(IndexOutOfRange, f"{what}: index {bad.flat[0]} is out of range for {of} of size {n}", index)


__all__ = [
    "diag_indices", "diag_indices_from", "ix_", "ravel_multi_index", "tril_indices", "tril_indices_from", "triu_indices",
    "triu_indices_from", "unravel_index",
]  # fmt: skip
