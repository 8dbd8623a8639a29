"""Reshape and transpose, and the functions that rename, merge, split, add or drop axes without touching a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.spread import astype, broadcast, broadcast_to
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import Shape, TensorType, as_size, broadcast_shapes, normal_axes, normal_axis, same_size, tensor_type

Axes = int | Sequence[int] | None


def at_most(a: Size, b: Size) -> bool:
    """False only where a > b is provable; what is undecidable is checked when the function is called, see `same_size`."""
    if isinstance(a, int) and isinstance(b, int):
        return a <= b
    known = dims.less_equal(a, b)
    return same_size(dims.maximum(a, b), b) if known is None else known


def known_shape(shape: object, what: str) -> Shape:
    """The sizes of a result: ints, Dims and names of symbolic sizes, one or a sequence. `ShapeError` for what is none."""
    listed = shape if isinstance(shape, (tuple, list)) else (shape,)
    for size in listed:
        if size is None:
            fail(ShapeError, f"{what}: None is not a size here", hint="name the size: a string, a Dim, or x.shape[k]")
        if isinstance(size, Node):
            fail(ShapeError, f"{what}: a size cannot come from a value", size, hint="use an int, a Dim such as x.shape[0], or its name")
    return tuple([as_size(s) for s in listed])


def one_size(size: object, what: str) -> Size:
    """One size: an int, a Dim, or the name of a symbolic size. Raises ArgumentError, ShapeError."""
    sizes = known_shape(size, what)
    if len(sizes) != 1:
        fail(ArgumentError, f"{what} must be one size, got {size!r:.60}")
    return sizes[0]


def in_dtype(value: ArrayLike, dtype: np.dtype) -> Node:
    """Anything array-like as a node of `dtype`: Python numbers and sizes take it as they are, arrays and nodes are cast."""
    weak = isinstance(value, (int, float, Dim)) and not isinstance(value, (bool, np.generic))
    return astype(asarray(value, dtype if weak else None), dtype)


def lift(inputs: Sequence[Node], mapped: Sequence[bool]) -> list[Node]:
    """The inputs of a batch rule, all with the mapped leading axis: those without it are repeated along it."""
    size = next(x.shape[0] for x, m in zip(inputs, mapped) if m)
    return [x if m else broadcast(x, (size, *x.shape), tuple(range(1, x.ndim + 1))) for x, m in zip(inputs, mapped)]


# -- reshape ------------------------------------------------------------------------------------------------------
Group = tuple[list[int], list[int]]


def _groups(a: Shape, b: Shape) -> list[Group]:
    """Runs of axes of `a` and of `b` with equal products, as short as can be proved: (n, 6, 4) and (n, 2, 12) give n | 6, 4 : 2, 12."""
    groups: list[Group] = []
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and a[i] == 1:
            groups.append(([i], []))
            i += 1
            continue
        if j < len(b) and b[j] == 1:
            groups.append(([], [j]))
            j += 1
            continue
        ends = _first_run(a, b, i, j) or (len(a), len(b))
        groups.append((list(range(i, ends[0])), list(range(j, ends[1]))))
        i, j = ends
    return groups


def _first_run(a: Shape, b: Shape, i: int, j: int) -> tuple[int, int] | None:
    """The ends of the shortest runs from a[i] and b[j] on with provably equal products; None where there are none."""
    left: Size = 1
    right: Size = 1
    grow_left = grow_right = True
    while True:
        if grow_left:
            if i == len(a):
                return None
            left, i = left * a[i], i + 1
        if grow_right:
            if j == len(b):
                return None
            right, j = right * b[j], j + 1
        if left == right:
            return i, j
        if isinstance(left, int) and isinstance(right, int):
            grow_left = left < right
        elif dims.divide(right, left) is not None:
            grow_left = True
        elif dims.divide(left, right) is not None:
            grow_left = False
        else:
            return None
        grow_right = not grow_left


def _strides(sizes: Sequence[Size]) -> list[Size]:
    """Row-major strides; an empty axis counts as 1, as nothing is ever read then."""
    strides: list[Size] = [1]
    for size in sizes[:0:-1]:
        strides.append(strides[-1] * (size if size != 0 else 1))
    return strides[::-1]


def _reshaped_index(source: Shape, target: Shape, at: Sequence[Size]) -> list[Size]:
    """The index into `source` of the element that lies at index `at` of `target`."""
    index: list[Size] = [0] * len(source)
    for ins, outs in _groups(source, target):
        flat = sum([at[o] * stride for o, stride in zip(outs, _strides([target[o] for o in outs]))], start=0)
        for k, (axis, stride) in enumerate(zip(ins, _strides([source[i] for i in ins]))):
            if source[axis] != 1:
                whole = dims.floordiv(flat, stride)
                index[axis] = whole if k == 0 else dims.mod(whole, source[axis] if source[axis] != 0 else 1)
    return index


def only_splits(source: Shape, target: Shape) -> bool:
    """True where the index map of the reshape is affine: axes are split, or those of size 1 come and go."""
    return all(sum(source[i] != 1 for i in ins) <= 1 for ins, _ in _groups(source, target))


def _reshape_type(x: TensorType, shape: Shape) -> TensorType:
    if not same_size(x.size, dims.product(shape)):
        fail(ShapeError, f"reshape: {x} has {x.size} elements, ({dims.format_shape(shape)}) has {dims.product(shape)}")
    return tensor_type(x.dtype, shape)


def _reshape_loop(node: Node) -> LoopForm:
    source, target = node.inputs[0].shape, node.shape

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return read(0, _reshaped_index(source, target, at))

    return LoopForm(body, view=only_splits(source, target))


RESHAPE = structural(
    "reshape", 1, "The same elements in row-major order under another shape of as many.", params=("shape",),
    type_rule=_reshape_type, ref=lambda x, shape: x.reshape(shape), loop=_reshape_loop, linear_in=(0,),
    vjp=lambda g, out, x, shape: (_reshape(g, x.shape),),
    batch=lambda inputs, mapped, shape: _reshape(inputs[0], (inputs[0].shape[0], *shape)),
    traits=Traits(moves="view", relabels=True, affine=lambda node: only_splits(node.inputs[0].shape, node.shape)),
)  # fmt: skip


def _reshape(x: Node, shape: Shape) -> Node:
    return x if x.shape == shape else make(RESHAPE, (x,), (shape,))


def reshape(x: ArrayLike, shape: object, order: str = "C") -> Node:
    """The elements of x, in row-major order, under another shape. One size may be -1: what is left.

    Sizes may be symbolic: `reshape(x, (n, -1))` of `f32[n, 8, 8]` is `f32[n, 64]`. Raises ShapeError where the numbers of
    elements are provably different; where that depends on symbolic sizes it is checked when the function is called.
    """
    node = asarray(x)
    if not isinstance(order, str) or order != "C":
        fail(ArgumentError, f"reshape: order={order!r} is not supported", node, hint="transpose before and after")
    wanted = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    free = [k for k, s in enumerate(wanted) if isinstance(s, (int, np.integer)) and s == -1]
    if len(free) > 1:
        fail(ShapeError, "reshape: only one size can be -1", node)
    if not free:
        return _reshape(node, known_shape(wanted, "reshape"))
    before, after = known_shape(wanted[: free[0]], "reshape"), known_shape(wanted[free[0] + 1 :], "reshape")
    total, rest = node.size, dims.product((*before, *after))
    missing = dims.divide(total, rest) if rest != 0 else None
    if missing is None:
        if rest == 0 or (isinstance(total, int) and isinstance(rest, int)):
            fail(ShapeError, f"reshape: {total} elements do not divide into ({dims.format_shape((*before, -1, *after))})", node)
        missing = dims.floordiv(total, rest)  # the type rule notes that this must be exact
    return _reshape(node, (*before, missing, *after))


def ravel(x: ArrayLike) -> Node:
    """All elements as one axis, in row-major order."""
    node = asarray(x)
    return _reshape(node, (node.size,))


def flatten(x: ArrayLike) -> Node:
    """All elements as one axis, in row-major order; same as `ravel`, since nodes have no memory to share."""
    return ravel(x)


def expand_dims(x: ArrayLike, axis: int | Sequence[int]) -> Node:
    """x with axes of size 1 at the positions `axis` of the result."""
    node = asarray(x)
    listed = axis if isinstance(axis, (tuple, list)) else (axis,)
    new = normal_axes(listed, node.ndim + len(listed), "expand_dims", node)
    kept = iter(node.shape)
    return _reshape(node, tuple([1 if k in new else next(kept) for k in range(node.ndim + len(new))]))


def squeeze(x: ArrayLike, axis: Axes = None) -> Node:
    """x without the axes `axis`, which must have size 1; None: without every axis written as 1."""
    node = asarray(x)
    if axis is None:
        gone: tuple[int, ...] = tuple([k for k, size in enumerate(node.shape) if size == 1])
    else:
        gone = normal_axes(axis, node.ndim, "squeeze", node)
    for k in gone:
        if dims.equal(node.shape[k], 1) is False:
            fail(ShapeError, f"squeeze: axis {k} has size {node.shape[k]}, not 1", node)
    return _reshape(node, tuple([size for k, size in enumerate(node.shape) if k not in gone]))


# -- transpose ----------------------------------------------------------------------------------------------------
def _transpose_loop(node: Node) -> LoopForm:
    place = np.argsort(node.params[0])

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return read(0, [at[k] for k in place])

    return LoopForm(body, view=True)


TRANSPOSE = structural(
    "transpose", 1, "Axis k of the result is axis axes[k] of the input.", params=("axes",),
    type_rule=lambda x, axes: tensor_type(x.dtype, tuple([x.shape[a] for a in axes])),
    ref=lambda x, axes: x.transpose(axes), loop=_transpose_loop, linear_in=(0,),
    vjp=lambda g, out, x, axes: (permute(g, tuple([axes.index(k) for k in range(len(axes))])),),
    batch=lambda inputs, mapped, axes: permute(inputs[0], (0, *[a + 1 for a in axes])), traits=Traits(moves="view", permutes=True),
)  # fmt: skip


def permute(x: Node, axes: tuple[int, ...]) -> Node:
    """The primitive: axis k of the result is axis axes[k] >= 0 of x."""
    return x if axes == tuple(range(len(axes))) else make(TRANSPOSE, (x,), (axes,))


def transpose(x: ArrayLike, axes: Sequence[int] | None = None) -> Node:
    """Axis k of the result is axis axes[k] of x; None reverses the axes. Raises ShapeError."""
    node = asarray(x)
    if axes is None:
        return permute(node, tuple(range(node.ndim))[::-1])
    axes = axes if isinstance(axes, Iterable) else (axes,)
    listed = tuple([normal_axis(a, node.ndim, "transpose", node) for a in axes])
    if sorted(listed) != list(range(node.ndim)):
        fail(ShapeError, f"transpose: axes {tuple(axes)} do not name each of the {node.ndim} axes once", node)
    return permute(node, listed)


def swapaxes(x: ArrayLike, axis1: int, axis2: int) -> Node:
    """x with two axes exchanged."""
    node = asarray(x)
    a, b = (normal_axis(axis, node.ndim, "swapaxes", node) for axis in (axis1, axis2))
    order = list(range(node.ndim))
    order[a], order[b] = b, a
    return permute(node, tuple(order))


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Node:
    """x with the axes `source` moved to the positions `destination`; the others keep their order."""
    node = asarray(x)
    listed = [s if isinstance(s, (tuple, list)) else (s,) for s in (source, destination)]
    origin, target = ([normal_axis(a, node.ndim, "moveaxis", node) for a in axes] for axes in listed)
    if len(origin) != len(target) or len(set(origin)) != len(origin) or len(set(target)) != len(target):
        fail(ShapeError, f"moveaxis: source {source} and destination {destination} do not pair axes one to one", node)
    order = [k for k in range(node.ndim) if k not in origin]
    for place, axis in sorted(zip(target, origin)):
        order.insert(place, axis)
    return permute(node, tuple(order))


def broadcast_arrays(*arrays: ArrayLike) -> list[Node]:
    """The arrays stretched to one common shape."""
    nodes = [asarray(a) for a in arrays]
    shape = broadcast_shapes([n.shape for n in nodes], "broadcast_arrays", nodes)
    return [broadcast_to(n, shape) for n in nodes]


def shape(x: ArrayLike) -> Shape:
    """The sizes of x, ints and Dims."""
    return asarray(x).shape


def ndim(x: ArrayLike) -> int:
    """The number of axes of x."""
    return asarray(x).ndim


def size(x: ArrayLike, axis: int | None = None) -> Size:
    """The number of elements of x, or its size along `axis`: an int or a Dim."""
    node = asarray(x)
    return node.size if axis is None else node.shape[normal_axis(axis, node.ndim, "size", node)]


__all__ = ["broadcast_arrays", "expand_dims", "flatten", "moveaxis", "ravel", "reshape", "squeeze", "swapaxes", "transpose"]
