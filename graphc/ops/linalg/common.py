"""What the ops of linear algebra share: operands as users give them, types, matrices without an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import float64, int64, is_float, promote
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.loopform import Routine
from graphc.ops.compare import zeros_as
from graphc.ops.create import eye, tril
from graphc.ops.products import matmul
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import swapaxes
from graphc.ops.spread import broadcast
from graphc.types import Shape, TensorType, broadcast_shapes, same_size, tensor_type

Parts = Sequence["Node | None"]


# -- operands -----------------------------------------------------------------------------------------------------------
def floats(what: str, *values: ArrayLike) -> list[Node]:
    """The operands in their common float dtype; whole numbers and booleans are float64."""
    dtypes = [weak_dtype(v, what) for v in values]
    found = promote(*dtypes)
    if found.kind == "O":
        fail(DTypeError, f"{what}: {found} is no dtype of numbers")
    dtype = found if is_float(found) else float64
    return [asarray(v, dtype) for v in values]


def matrices(what: str, value: ArrayLike) -> Node:
    """A float array of matrices. Raises ShapeError, DTypeError."""
    (node,) = floats(what, value)
    if node.ndim < 2:
        fail(ShapeError, f"{what}: a matrix has two axes or more, this has {node.ndim}", node)
    return node


def square(what: str, value: ArrayLike) -> Node:
    """A float array of square matrices. Raises ShapeError, DTypeError."""
    node = matrices(what, value)
    if not same_size(*node.shape[-2:]):
        fail(ShapeError, f"{what}: the matrix is not square, {node.shape[-2]} x {node.shape[-1]}", node)
    return node


def on_batch(what: str, *nodes: Node, core: int = 2) -> list[Node]:
    """The operands with the same batch axes in front of their last `core`, by NumPy's broadcasting."""
    batch = broadcast_shapes([n.shape[: n.ndim - core] for n in nodes], what, nodes)
    return [spread_batch(n, batch, core) for n in nodes]


def spread_batch(node: Node, batch: Shape, core: int = 2) -> Node:
    """The node repeated over the batch axes; literal ones among its own stretch."""
    own = node.shape[: node.ndim - core]
    if own == batch:
        return node
    offset = len(batch) - len(own)
    kept = [k for k, size in enumerate(own) if not (size == 1 and batch[offset + k] != 1)]
    squeezed = node.reshape((*[own[k] for k in kept], *node.shape[node.ndim - core :])) if len(kept) < len(own) else node
    axes = (*[offset + k for k in kept], *range(len(batch), len(batch) + core))
    return broadcast(squeezed, (*batch, *node.shape[node.ndim - core :]), axes)


def choice(what: str, name: str, value: object, among: Sequence[object]) -> Any:
    """The value of an argument that is one of a few. Raises ArgumentError."""
    if value not in among:
        fail(ArgumentError, f"{what}: {name}={value!r}", hint="one of " + ", ".join(repr(a) for a in among))
    return value


def raises(what: str, on_error: str) -> bool:
    """Whether a matrix without an answer is an error of the call. Raises ArgumentError."""
    return bool(choice(what, "on_error", on_error, ("raise", "nan")) == "raise")


def alike(a: Size, b: Size) -> bool:
    """Whether two sizes are known to be equal: the choice between two formulas, of which both hold for equal sizes."""
    return a == b or dims.equal(a, b) is True


def least(m: Size, n: Size) -> Size:
    """min(m, n)."""
    return m if alike(m, n) else dims.minimum(m, n)


# -- types ----------------------------------------------------------------------------------------------------------------
def float_matrix(what: str, *types: TensorType) -> None:
    """Raise unless these are float matrices of one dtype over the same batch."""
    first = types[0]
    for t in types:
        if not is_float(t.dtype) or t.dtype != first.dtype:
            fail(DTypeError, f"{what}: floats of one dtype are needed, got {', '.join(map(str, types))}")
        if t.ndim < 2 or t.ndim != first.ndim or not all(map(same_size, t.shape[:-2], first.shape[:-2])):
            fail(ShapeError, f"{what}: matrices over one batch are needed, got {', '.join(map(str, types))}")


def float_square(what: str, *types: TensorType) -> None:
    """Raise unless these are float matrices over the same batch, the first of them square."""
    float_matrix(what, *types)
    if not same_size(*types[0].shape[-2:]):
        fail(ShapeError, f"{what}: the matrix is not square: {types[0]}")


def counts(x: TensorType, core: int = 2) -> TensorType:
    """The type of one whole number for each example: whether its answer is none."""
    return tensor_type(int64, x.shape[: x.ndim - core])


def routine_of(
    node: Node, name: str, params: tuple[str | bool, ...], sizes: tuple[Size, ...], reads: tuple[int, ...], work: Size
) -> Routine:
    """A native procedure over the batch of the first input; `work`: operations for each example."""
    x = node.inputs[0]
    return Routine(name, params, x.dtype, dims.product(x.shape[:-2]), sizes, reads, work)


def eliminated(routine: Routine) -> Routine:
    """A routine of elimination, which serves large matrices, too, though one of them takes one lane of a vector.

    One system, n = 100: 86 us, by LAPACK 71; n = 512: 22 ms and 4.1, and 100 by NumPy's arrays, which give no factors but column by column.
    """
    most = 512 if routine.batch == 1 else 256
    return replace(routine, most=most, alone=most)


# -- references -------------------------------------------------------------------------------------------------------------
def guarded(function: Callable[..., Any], arrays: Sequence[np.ndarray], made: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """What a function of NumPy's gives for the arrays, one for each shape of `made` behind the batch, and whether it gave none.

    A matrix for which it raises LinAlgError, or that is not finite, has nan everywhere, and 1 in the last result; 0 elsewhere.
    """
    batch, dtype = arrays[0].shape[:-2], arrays[0].dtype
    finite = np.logical_and.reduce([np.isfinite(a).all((-1, -2)) for a in arrays])
    given = arrays if finite.all() else [np.where(finite[..., None, None], a, np.eye(*a.shape[-2:], dtype=dtype)) for a in arrays]
    failed = np.where(finite, 0, 1)
    try:
        results = _listed(function(*given), dtype)
    except np.linalg.LinAlgError:
        results = [np.zeros((*batch, *shape), dtype) for shape in made]
        for at in np.ndindex(*batch):
            try:
                for result, found in zip(results, _listed(function(*[a[at] for a in given]), dtype), strict=True):
                    result[at] = found
            except np.linalg.LinAlgError:
                failed[at] = 1
    return [*[nan_where(failed, r) for r in results], failed]


def _listed(found: Any, dtype: np.dtype) -> list[np.ndarray]:
    return [np.asarray(f, dtype) for f in (found if isinstance(found, tuple) else (found,))]


def nan_where(failed: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The results, nan everywhere in the examples that failed."""
    if not np.any(failed):
        return x
    return np.where(failed.reshape(failed.shape + (1,) * (x.ndim - failed.ndim)) != 0, np.asarray(np.nan, x.dtype), x)


# -- pieces of derivatives ----------------------------------------------------------------------------------------------------
def transposed(x: Node) -> Node:
    """The matrices transposed."""
    return swapaxes(x, -1, -2)


def symmetric(x: Node) -> Node:
    """(x + x') / 2."""
    return (x + transposed(x)) * 0.5


def columns(x: Node, v: Node) -> Node:
    """Column j of x times v[j]."""
    return x * v[..., None, :]


def symmetric_part(a: np.ndarray, reads: str) -> np.ndarray:
    """What a factorisation of symmetric matrices takes `a` for: "L": its lower triangle tells, "both": (a + a') / 2."""
    return (a + a.swapaxes(-1, -2)) / 2 if reads == "both" else a


def to_read(s: Node, reads: str) -> Node:
    """The cotangent of `a` from that of the symmetric matrix it is taken for."""
    return symmetric(s) if reads == "both" else tril(s + transposed(s)) - s * eye(s.shape[-1], dtype=s.dtype)


def product(*factors: Node) -> Node:
    """The matrix product of several, from left to right."""
    result = factors[0]
    for f in factors[1:]:
        result = matmul(result, f)
    return result


def zeros_if_none(g: Node | None, like: Node) -> Node:
    """The cotangent, zeros where there is none."""
    return zeros_as(like) if g is None else g
