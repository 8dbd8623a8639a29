"""The diagonal of two axes: taken out, summed, or laid into a matrix."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.errors import ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.create import iota
from graphc.ops.registry import ArrayLike, asarray, number, structural
from graphc.ops.slicing import pad_with
from graphc.ops.spread import broadcast, reduce
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import Shape, TensorType, normal_axis, tensor_type, whole_number


def _diagonal_type(x: TensorType, offset: int, row: int, column: int) -> TensorType:
    n, m = x.shape[row], x.shape[column]
    rows, columns = (n + min(offset, 0), m - max(offset, 0))
    size: Size = dims.maximum(dims.minimum(rows, columns), 0)
    return tensor_type(x.dtype, (*[s for k, s in enumerate(x.shape) if k not in (row, column)], size))


def _diagonal_loop(node: Node) -> LoopForm:
    offset, row, column = node.params
    assert isinstance(offset, int)

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        rest = iter(at[:-1])
        place = {row: at[-1] + max(-offset, 0), column: at[-1] + max(offset, 0)}
        return read(0, [place[k] if k in place else next(rest) for k in range(node.ndim + 1)])

    return LoopForm(body, view=True)


def _diagonal_vjp(g: Node, out: Node, x: Node, offset: int, row: int, column: int) -> tuple[Node]:
    """Each element back to its place: broadcast along one of its two axes and kept where column = row + offset."""
    size, shape = g.shape[-1], x.shape
    rest = tuple([k for k in range(x.ndim) if k not in (row, column)])
    axis = column if offset < 0 else row  # the one along which the diagonal starts at 0
    padded = pad_with(g, number(0, g.dtype), (0,) * g.ndim, (0,) * len(rest) + (shape[axis] - size,))
    order = sorted([*rest, axis])
    moved = FUNCTIONS["moveaxis"](padded, -1, order.index(axis))
    hit = iota(shape, column) == (iota(shape, row) + offset if offset else iota(shape, row))
    return (FUNCTIONS["where"](hit, broadcast(moved, shape, tuple(order)), number(0, g.dtype)),)


DIAGONAL = structural(
    "diagonal", 1, "The elements where column = row + offset of two axes, which disappear, as a new last axis.",
    params=("offset", "row", "column"), type_rule=_diagonal_type, loop=_diagonal_loop, vjp=_diagonal_vjp, linear_in=(0,),
    ref=lambda x, offset, row, column: np.diagonal(x, offset, row, column),
    batch=lambda inputs, mapped, offset, row, column: diagonal(inputs[0], offset, row + 1, column + 1), traits=Traits(moves="view"),
)  # fmt: skip


def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The elements x[..., i, ..., i + offset, ...] of two axes, as a new last axis. Raises ShapeError."""
    node = asarray(x)
    if node.ndim < 2:
        fail(ShapeError, "diagonal needs at least 2 axes", node)
    row, column = (normal_axis(a, node.ndim, "diagonal", node) for a in (axis1, axis2))
    if row == column:
        fail(ShapeError, "diagonal: axis1 and axis2 are the same", node)
    return make(DIAGONAL, (node,), (whole_number(offset, "diagonal: the offset", node), row, column))


def diag(x: ArrayLike, k: int = 0) -> Node:
    """A vector as the k-th diagonal of a square matrix of zeros; of a matrix, its k-th diagonal."""
    node = asarray(x)
    k = whole_number(k, "diag: k", node)
    if node.ndim == 2:
        return diagonal(node, k)
    if node.ndim != 1:
        fail(ShapeError, f"diag takes a vector or a matrix, got {node.ndim} axes", node)
    padded = pad_with(node, number(0, node.dtype), (0,), (abs(k),))
    shape: Shape = padded.shape * 2
    hit = iota(shape, 1) == (iota(shape, 0) + k if k else iota(shape, 0))
    return FUNCTIONS["where"](hit, broadcast(padded, shape, (1 if k < 0 else 0,)), number(0, node.dtype))  # type: ignore[no-any-return]


def trace(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The sum of a diagonal: sum_i x[i, i + offset]. Small integers and bool add up in 64 bits, as in `sum`."""
    chosen = diagonal(x, offset, axis1, axis2)
    if chosen.dtype.kind == "f":
        return reduce(chosen, (chosen.ndim - 1,), "sum")
    return FUNCTIONS["sum"](chosen, axis=-1)  # type: ignore[no-any-return]


__all__ = ["diag", "diagonal", "trace"]
