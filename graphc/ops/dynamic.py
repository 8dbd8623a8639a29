"""Stretches of an array that begin where data say, taken out or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import int64
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.at import at, fitted
from graphc.ops.compare import where
from graphc.ops.create import iota
from graphc.ops.indexing import gather, scatter
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis, permute, reshape
from graphc.ops.slicing import along
from graphc.ops.spread import astype, broadcast_to
from graphc.types import as_shape, same_size


def dynamic_slice(x: ArrayLike, start_indices: Sequence[ArrayLike] | ArrayLike, slice_sizes: Sequence[Size]) -> Node:
    """`slice_sizes` elements along each axis, from `start_indices` on: x[s0 : s0 + n0, s1 : s1 + n1, ...].

    start_indices: an integer for each axis, or a vector of them; nodes, numbers or sizes. A negative one counts from the end, and one
    that leaves too few elements is moved so that there are enough, as in JAX. Its derivative is 0 outside of the slice.
    Raises ShapeError, DTypeError.

        gx.dynamic_slice(x, (i, 0), (4, x.shape[1]))
    """
    node, sizes = asarray(x), as_shape(slice_sizes)
    for k, start in enumerate(_starts(node, start_indices, sizes, "dynamic_slice")):
        if isinstance(start, Node):
            node = moveaxis(gather(node, start + iota((sizes[k],), 0), axes=(k,)), 0, k)
        else:
            node = along(node, k, start, sizes[k])
    return node


def dynamic_update_slice(x: ArrayLike, update: ArrayLike, start_indices: Sequence[ArrayLike] | ArrayLike) -> Node:
    """x with the elements from `start_indices` on, along each axis, replaced by `update`, which has the dtype and number of axes of x.

    start_indices: as in `dynamic_slice`. Raises ShapeError, DTypeError.
    """
    node = asarray(x)
    part = fitted(update, node, "dynamic_update_slice")
    starts = _starts(node, start_indices, part.shape, "dynamic_update_slice")
    given = [k for k, s in enumerate(starts) if isinstance(s, Node)]
    fixed = tuple([slice(None) if isinstance(s, Node) else slice(s, s + n) for s, n in zip(starts, part.shape)])
    whole = at(node)[fixed]
    if not given:
        return whole.set(part)
    index = []
    for j, k in enumerate(given):
        grid = [part.shape[k] if i == j else 1 for i in range(len(given))]
        index.append(broadcast_to(reshape(starts[k] + iota((part.shape[k],), 0), grid), tuple([part.shape[i] for i in given])))
    moved = permute(part, (*given, *[k for k in range(node.ndim) if k not in given]))
    done = scatter(node[fixed], moved, *index, axes=tuple(given), mode="set")
    return done if done.shape == node.shape else whole.set(done)


def _starts(x: Node, starts: Any, sizes: Sequence[Size], what: str) -> list[Size | Node]:
    """Where the slice begins along each axis: a size, or a 0-d node; within [0, n - size]."""
    listed = list(starts) if isinstance(starts, (tuple, list)) else list(asarray(starts))
    if len(listed) != x.ndim or len(sizes) != x.ndim:
        fail(ShapeError, f"{what}: {len(listed)} starts and {len(sizes)} sizes for {x.ndim} axes", x)
    found: list[Size | Node] = []
    for k, (start, n, size) in enumerate(zip(listed, x.shape, sizes)):
        room = n - size
        if not same_size(dims.maximum(room, 0), room):
            fail(ShapeError, f"{what}: {size} elements along axis {k} of size {n}", x)
        node = asarray(start)
        if node.ndim or node.dtype.kind not in "iu":
            fail(DTypeError, f"{what}: a start is a 0-d integer", node)
        fixed: Size | None = start if isinstance(start, Dim) else int(node.params[0].array) if node.op.name == "constant" else None
        if room == 0:
            found.append(0)
        elif fixed is not None:
            first = fixed + n if dims.less_equal(fixed, -1) is True else fixed
            found.append(dims.minimum(dims.maximum(first, 0), room))
        else:
            index = astype(node, int64)
            found.append(FUNCTIONS["clip"](where(index < 0, index + n, index) if node.dtype.kind == "i" else index, 0, room))
    return found


__all__ = ["dynamic_slice", "dynamic_update_slice"]
