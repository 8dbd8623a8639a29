"""Arrays from sizes and numbers: iota, and what follows from it."""

from __future__ import annotations

import math

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import as_dtype, bool_, float64, int64, promote, to_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm
from graphc.operators import FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray, number, structural
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import at_most, in_dtype, known_shape, reshape
from graphc.ops.spread import astype, broadcast, broadcast_to
from graphc.scalars import index
from graphc.types import Shape, TensorType, broadcast_shapes, normal_axis, tensor_type, whole_number


def _iota_type(shape: Shape, axis: int, dtype: np.dtype) -> TensorType:
    for size in shape:
        if not at_most(0, size):
            fail(ShapeError, f"arange: the size {size} is negative")
    return tensor_type(dtype, shape)


def _iota_ref(shape: tuple[int, ...], axis: int, dtype: np.dtype) -> np.ndarray:
    counted = np.arange(shape[axis]).astype(dtype)
    return np.broadcast_to(counted.reshape([-1 if k == axis else 1 for k in range(len(shape))]), shape)


IOTA = structural(
    "iota", 0, "The index of each element along `axis`.", params=("shape", "axis", "dtype"), type_rule=_iota_type, ref=_iota_ref,
    loop=lambda node: LoopForm(lambda read, at, r: index(at[node.params[1]]).cast(node.dtype), view=True),
)  # fmt: skip


def iota(shape: Shape, axis: int, dtype: np.dtype = int64) -> Node:
    """The primitive: an array of `shape` whose elements are their own index along `axis`."""
    return make(IOTA, (), (shape, axis, dtype))


# -- filled arrays --------------------------------------------------------------------------------------------------
def full(shape: object, fill_value: ArrayLike, dtype: object = None) -> Node:
    """An array of `shape` filled with `fill_value` (a number, or an array or node that broadcasts to the shape)."""
    value = asarray(fill_value) if dtype is None else in_dtype(fill_value, as_dtype(dtype))
    return broadcast_to(value, known_shape(shape, "full"))


def zeros(shape: object, dtype: object = float64) -> Node:
    """An array of zeros. `shape`: sizes, which may be symbolic."""
    return broadcast_to(number(0, as_dtype(dtype)), known_shape(shape, "zeros"))


def ones(shape: object, dtype: object = float64) -> Node:
    """An array of ones. `shape`: sizes, which may be symbolic."""
    return broadcast_to(number(1, as_dtype(dtype)), known_shape(shape, "ones"))


def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: object = None) -> Node:
    """An array of the shape of x, and its dtype unless `dtype` is given, filled with `fill_value`."""
    node = asarray(x)
    return full(node.shape, fill_value, node.dtype if dtype is None else dtype)


def zeros_like(x: ArrayLike, dtype: object = None) -> Node:
    """Zeros in the shape of x, and its dtype unless `dtype` is given."""
    node = asarray(x)
    return zeros(node.shape, node.dtype if dtype is None else dtype)


def ones_like(x: ArrayLike, dtype: object = None) -> Node:
    """Ones in the shape of x, and its dtype unless `dtype` is given."""
    node = asarray(x)
    return ones(node.shape, node.dtype if dtype is None else dtype)


# -- ranges -----------------------------------------------------------------------------------------------------------
Number = int | float | Dim


def _plain(value: object, what: str) -> Number:
    """A number or a Dim, no array and no node: what a size can be computed from."""
    if isinstance(value, Dim) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "iuf":
        return value.item()  # type: ignore[no-any-return]
    shown = value if isinstance(value, Node) else repr(value)
    fail(ArgumentError, f"{what} takes numbers and sizes", shown, hint="a size cannot come from a value; use a Dim such as x.shape[0]")


def arange(start: object, stop: object = None, step: object = 1, dtype: object = None) -> Node:
    """start, start + step, ... up to, not including, `stop`; `arange(n)` counts from 0. Ints and Dims give int64, floats float64.

    `arange(n - 1)` of a symbolic n has the size n - 1; that it is not negative is checked when the function is called.
    """
    first, last, by = (_plain(v, "arange") for v in ((start, stop, step) if stop is not None else (0, start, step)))
    if isinstance(by, (int, float)) and by == 0:
        fail(ArgumentError, "arange: the step is 0")
    if isinstance(first, float) or isinstance(last, float) or isinstance(by, float):
        if isinstance(first, Dim) or isinstance(last, Dim) or isinstance(by, Dim):
            fail(ArgumentError, "arange takes either floats or symbolic sizes", hint="arange(n) * step + start")
        if not math.isfinite((last - first) / by):
            fail(ArgumentError, f"arange: from {first} to {last} by {by} is no finite number of steps")
        count: Size = max(0, math.ceil((last - first) / by))
        wanted = float64 if dtype is None else as_dtype(dtype)
        by = (first + by) - first  # as NumPy, which takes the step from the first two elements
    else:
        wanted = int64 if dtype is None else as_dtype(dtype)
        count = _count(first, last, by)
    if wanted == bool_:
        fail(DTypeError, "arange has no bool form", hint="compare an integer arange")
    steps = iota((count,), 0, wanted)
    scaled = steps if isinstance(by, (int, float)) and by == 1 else steps * by
    return scaled if isinstance(first, (int, float)) and first == 0 else scaled + first


def _count(start: Size, stop: Size, step: Size) -> Size:
    """How many of start, start + step, ... lie before stop."""
    down = isinstance(step, int) and step < 0
    length, by = (start - stop, -step) if down else (stop - start, step)
    if dims.less_equal(length, 0):
        return 0
    return dims.floordiv(length + by - 1, by)


def linspace(start: ArrayLike, stop: ArrayLike, num: object = 50, endpoint: bool = True, dtype: object = None) -> Node:
    """`num` evenly spaced numbers from `start` to `stop`, both included unless `endpoint` is False: start + i * (stop - start)/(num - 1).

    start and stop may be arrays or nodes, which the new axis 0 is put before; `num` may be a symbolic size.
    """
    sizes = known_shape(num, "linspace")
    if len(sizes) != 1:
        fail(ArgumentError, f"linspace: num must be one size, got {num!r:.60}")
    (count,) = sizes
    compute = to_float(promote(weak_dtype(start), weak_dtype(stop)))
    first, last = in_dtype(start, compute), in_dtype(stop, compute)
    shape = broadcast_shapes([first.shape, last.shape], "linspace", [first, last])
    parts: Size = dims.maximum(count - 1, 1) if endpoint else dims.maximum(count, 1)
    whole = (count, *shape)
    steps = reshape(iota((count,), 0, compute), (count, *[1] * len(shape)))
    result = broadcast_to(steps * ((last - first) / parts) + first, whole)
    if endpoint and count != 1:  # the end is hit exactly, whatever the rounding; a single element is the start
        at_end = iota(whole, 0) == dims.maximum(count - 1, 1)
        result = FUNCTIONS["where"](at_end, last, result)
    return result if dtype is None else astype(result, dtype)


# -- patterns on two axes -------------------------------------------------------------------------------------------
def _grid(n: object, m: object, what: str) -> tuple[Shape, Node, Node]:
    shape = known_shape((n, n if m is None else m), what)
    return shape, iota(shape, 0), iota(shape, 1)


def eye(n: object, m: object = None, k: int = 0, dtype: object = float64) -> Node:
    """The (n, m) matrix with ones where column = row + k and zeros elsewhere."""
    _, row, column = _grid(n, m, "eye")
    return astype(column == (row + k if k else row), dtype)


def identity(n: object, dtype: object = float64) -> Node:
    """The (n, n) identity matrix."""
    return eye(n, dtype=dtype)


def tri(n: object, m: object = None, k: int = 0, dtype: object = float64) -> Node:
    """The (n, m) matrix with ones where column <= row + k and zeros elsewhere."""
    _, row, column = _grid(n, m, "tri")
    return astype(column <= (row + k if k else row), dtype)


def _below(x: Node, k: int, what: str) -> Node:
    if x.ndim < 2:
        fail(ShapeError, f"{what} needs at least 2 axes", x)
    return broadcast_to(tri(x.shape[-2], x.shape[-1], whole_number(k, f"{what}: k", x), bool_), x.shape)


def tril(x: ArrayLike, k: int = 0) -> Node:
    """x where column <= row + k on the last two axes, 0 elsewhere."""
    node = asarray(x)
    return FUNCTIONS["where"](_below(node, k, "tril"), node, zeros_like(node))  # type: ignore[no-any-return]


def triu(x: ArrayLike, k: int = 0) -> Node:
    """x where column >= row + k on the last two axes, 0 elsewhere."""
    node = asarray(x)
    return FUNCTIONS["where"](_below(node, whole_number(k, "triu: k", node) - 1, "triu"), zeros_like(node), node)  # type: ignore[no-any-return]


def meshgrid(*arrays: ArrayLike, indexing: str = "xy", sparse: bool = False) -> list[Node]:
    """Coordinate arrays of the grid over 1-d `arrays`: the k-th varies along axis k ("ij"), or with the first two axes exchanged ("xy").

    sparse=True keeps size 1 along the other axes.
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        fail(ArgumentError, f"meshgrid: indexing is 'xy' or 'ij', got {indexing!r}")
    nodes = [reshape(asarray(a), (-1,)) if asarray(a).ndim == 0 else asarray(a) for a in arrays]
    for node in nodes:
        if node.ndim != 1:
            fail(ShapeError, "meshgrid takes 1-d arrays", node)
    order = list(range(len(nodes)))
    if indexing == "xy" and len(nodes) > 1:
        order[0], order[1] = 1, 0
    whole = tuple([nodes[k].shape[0] for k in order])  # the exchange is its own inverse
    if sparse:
        return [reshape(n, tuple([n.shape[0] if a == order[k] else 1 for a in range(len(nodes))])) for k, n in enumerate(nodes)]
    return [broadcast(n, whole, (order[k],)) for k, n in enumerate(nodes)]


def one_hot(indices: ArrayLike, n: object, dtype: object = float64, axis: int = -1) -> Node:
    """1 where the position along the new axis of size n equals the index, 0 elsewhere; an index outside [0, n) gives zeros only.

    one_hot([0, 2], 3) = [[1, 0, 0], [0, 0, 1]].
    """
    node = asarray(indices)
    if node.dtype.kind not in "iu":
        fail(DTypeError, "one_hot: indices must be integers", node, hint="cast with .astype('int64')")
    place = normal_axis(axis, node.ndim + 1, "one_hot", node)
    sizes = known_shape(n, "one_hot")
    if len(sizes) != 1:
        fail(ArgumentError, f"one_hot: n must be one size, got {n!r:.60}", node)
    shape = (*node.shape[:place], *sizes, *node.shape[place:])
    spread = broadcast(astype(node, int64), shape, tuple([k for k in range(len(shape)) if k != place]))
    return astype(iota(shape, place) == spread, dtype)


__all__ = [
    "arange", "eye", "full", "full_like", "identity", "linspace", "meshgrid", "one_hot", "ones", "ones_like", "tri", "tril", "triu",
    "zeros", "zeros_like",
]  # fmt: skip
