"""Norms of vectors and matrices: NumPy's `norm` with every order, and what its newer names call."""

from __future__ import annotations

from graphc.dims import product
from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.ops import reductions
from graphc.ops.linalg.common import floats, matrices
from graphc.ops.linalg.orthogonal import singular_values
from graphc.ops.reductions import Axis, kept
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis
from graphc.types import normal_axis

Order = float | str | None


def norm(x: ArrayLike, ord: Order = None, axis: Axis = None, keepdims: bool = False) -> Node:
    """The vector norm sum(|x|**ord)**(1/ord) over `axis`, or a matrix norm where `axis` is a pair of axes.

    ord None: the 2-norm of all elements. Vectors: any p, inf, -inf, 0 (the number of nonzero elements). Matrices (2-d x, or a pair of
    axes): "fro", 1, -1 (columns), inf, -inf (rows), and of singular values 2 (the largest), -2 (the least), "nuc" (their sum). Every
    derivative at the origin is 0. Raises ShapeError, ArgumentError; at the call LinAlgError where singular values are not found.
    """
    node = asarray(x)
    pair = axis if isinstance(axis, (tuple, list)) else (0, 1) if axis is None and node.ndim == 2 and ord is not None else ()
    spectral = len(pair) == 2 and (ord == "nuc" or (not isinstance(ord, str) and ord in (2, -2)))
    if not spectral:
        return reductions.norm(node, ord, axis, keepdims)
    (node,) = floats("norm", node)
    axes = tuple([normal_axis(a, node.ndim, "norm", node) for a in pair])
    if axes[0] == axes[1]:
        fail(ShapeError, f"norm: an axis is listed twice: {axes}", node)
    s = singular_values(moveaxis(node, axes, (-2, -1)))
    made = reductions.sum(s, axis=-1) if ord == "nuc" else reductions.max(s, axis=-1) if ord == 2 else reductions.min(s, axis=-1)
    return kept(made, tuple(sorted(axes)), keepdims)


def vector_norm(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Node:
    """The norm over the axes as one vector, all of them for None: sum(|x|**ord)**(1/ord). Raises ShapeError, ArgumentError."""
    node = asarray(x)
    axes = range(node.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    listed = sorted([normal_axis(a, node.ndim, "vector_norm", node) for a in axes])
    if len(listed) == 1:
        return reductions.norm(node, ord, listed[0], keepdims)
    behind = moveaxis(node, listed, list(range(node.ndim - len(listed), node.ndim)))
    front = behind.shape[: node.ndim - len(listed)]
    flat = behind.reshape((*front, product([node.shape[a] for a in listed])))
    return kept(reductions.norm(flat, ord, -1), tuple(listed), keepdims)


def matrix_norm(x: ArrayLike, *, keepdims: bool = False, ord: Order = "fro") -> Node:
    """The norm of the matrices in the last two axes, see `norm`. Raises ShapeError, ArgumentError."""
    return norm(matrices("matrix_norm", x), ord, (-2, -1), keepdims)


__all__ = ["norm"]
