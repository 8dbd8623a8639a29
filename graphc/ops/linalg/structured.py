"""Matrices built of others: kron, block_diag, toeplitz, and the product of a chain of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from graphc.dtypes import promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.create import arange, zeros
from graphc.ops.einsum import einsum
from graphc.ops.indexing import take
from graphc.ops.joining import concatenate
from graphc.ops.linalg.common import spread_batch
from graphc.ops.registry import ArrayLike, asarray
from graphc.types import broadcast_shapes, same_size


def kron(a: ArrayLike, b: ArrayLike) -> Node:
    """The Kronecker product: blocks a[i, j] b. Of arrays with fewer axes than the other, ones are put in front. Raises DTypeError."""
    left, right = asarray(a), asarray(b)
    ndim = max(left.ndim, right.ndim)
    sizes = [(1,) * (ndim - x.ndim) + x.shape for x in (left, right)]
    spread_left = left.reshape([s for size in sizes[0] for s in (size, 1)])
    spread_right = right.reshape([s for size in sizes[1] for s in (1, size)])
    return (spread_left * spread_right).reshape([m * n for m, n in zip(*sizes)])


def block_diag(*arrs: ArrayLike) -> Node:
    """The matrix with the given ones along its diagonal, 0 elsewhere; vectors are rows, batch axes are broadcast. SciPy's.

    Raises ArgumentError.
    """
    if not arrs:
        fail(ArgumentError, "block_diag: no matrices are given")
    nodes = [asarray(x) for x in arrs]
    nodes = [x.reshape((1, x.shape[0]) if x.ndim == 1 else (1, 1)) if x.ndim < 2 else x for x in nodes]
    dtype = promote(*[x.dtype for x in nodes])
    batch = broadcast_shapes([x.shape[:-2] for x in nodes], "block_diag", nodes)
    nodes = [spread_batch(x.astype(dtype), batch) for x in nodes]
    rows = []
    for k, x in enumerate(nodes):
        padded = [zeros((*batch, x.shape[-2], y.shape[-1]), dtype) if j != k else x for j, y in enumerate(nodes)]
        rows.append(concatenate(padded, axis=-1) if len(padded) > 1 else x)
    return concatenate(rows, axis=-2) if len(rows) > 1 else rows[0]


def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Node:
    """The matrix of constant diagonals with first column c and first row r (None: c); r[0] is not read. SciPy's.

    toeplitz([1, 2, 3])  ->  [[1, 2, 3], [2, 1, 2], [3, 2, 1]].   Raises ShapeError.
    """
    column = asarray(c)
    row = column if r is None else asarray(r)
    for x in (column, row):
        if x.ndim != 1:
            fail(ShapeError, "toeplitz: the first column and row are vectors", x)
    column, row = _in_common_dtype(column, row)
    m, n = column.shape[0], row.shape[0]
    diagonals = concatenate([column[::-1], row[1:]])
    return take(diagonals, arange(n)[None, :] - arange(m)[:, None] + (m - 1))


def _in_common_dtype(*nodes: Node) -> list[Node]:
    """The vectors in their common dtype."""
    dtype = promote(*[x.dtype for x in nodes])
    return [x.astype(dtype) for x in nodes]


def multi_dot(arrays: Sequence[ArrayLike]) -> Node:
    """The product of two or more matrices in the order with the fewest multiplications; the first and the last may be vectors.

    Raises ShapeError, ArgumentError.
    """
    nodes = [asarray(x) for x in arrays]
    if len(nodes) < 2:
        fail(ArgumentError, f"multi_dot: two matrices or more are needed, got {len(nodes)}")
    for k, x in enumerate(nodes):
        if x.ndim != 2 and not (x.ndim == 1 and k in (0, len(nodes) - 1)):
            fail(ShapeError, f"multi_dot: factor {k} has {x.ndim} axes", x)
    for k, (a, b) in enumerate(itertools.pairwise(nodes)):
        if not same_size(a.shape[-1], b.shape[0]):
            fail(ShapeError, f"multi_dot: factor {k} has {a.shape[-1]} columns, factor {k + 1} {b.shape[0]} rows", a, b)
    labels = [chr(ord("a") + k) if k < 26 else chr(ord("A") + k - 26) for k in range(len(nodes) + 1)]
    if len(nodes) > 51:
        fail(ArgumentError, f"multi_dot: {len(nodes)} factors, 51 are the most", hint="multiply some of them first")
    terms = [labels[k] + labels[k + 1] for k in range(len(nodes))]
    if nodes[0].ndim == 1:
        terms[0] = labels[1]
    if nodes[-1].ndim == 1:
        terms[-1] = labels[-2]
    result = ("" if nodes[0].ndim == 1 else labels[0]) + ("" if nodes[-1].ndim == 1 else labels[-1])
    return einsum(",".join(terms) + "->" + result, *nodes)


__all__ = ["kron"]
