"""Slice, reverse and pad: the affine index maps of one input. A slice is the transpose of a pad, and the other way round."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray, number, structural
from graphc.ops.shape import Axes, at_most, lift
from graphc.ops.spread import broadcast_to, reduce
from graphc.scalars import Scalar, const_value, index, select
from graphc.traits import Traits
from graphc.types import TensorType, normal_axes, tensor_type

Sizes = tuple[Size, ...]


# -- slice ----------------------------------------------------------------------------------------------------------
def _slice_type(x: TensorType, starts: Sizes, sizes: Sizes, steps: Sizes) -> TensorType:
    for n, start, size, step in zip(x.shape, starts, sizes, steps):
        if start == 0 and step == 1 and size == n:
            continue
        end = start + size if step == 1 else start + (size - 1) * step + 1
        if not (at_most(0, size) and at_most(0, start) and at_most(end, n)):
            fail(ShapeError, f"slice: {size} elements from {start} on in steps of {step} do not lie in an axis of size {n}: {x}")
    return tensor_type(x.dtype, sizes)


def _slice_loop(node: Node) -> LoopForm:
    starts, _, steps = node.params

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return read(0, [start + i * step for i, start, step in zip(at, starts, steps)])

    return LoopForm(body, view=True)


def _slice_ref(x: np.ndarray, starts: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> np.ndarray:
    return x[tuple([slice(a, a + n * s, s) if n else slice(0, 0) for a, n, s in zip(starts, sizes, steps)])]


def _slice_vjp(g: Node, out: Node, x: Node, starts: Sizes, sizes: Sizes, steps: Sizes) -> tuple[Node]:
    after = tuple([n - (a + (m - 1) * s + 1) for n, a, m, s in zip(x.shape, starts, sizes, steps)])
    return (pad_with(g, number(0, g.dtype), starts, after, tuple([s - 1 for s in steps])),)


def _slice_piece(node: Node) -> Size | None:
    """Rows of a leading axis, of which those before it are cut to one."""
    offset: Size = 0
    inside = False  # the axes before are cut to more than one
    for n, start, size, step in zip(node.inputs[0].shape, *node.params):
        if (step != 1 and size != 1) or (inside and (start != 0 or size != n)):
            return None
        inside = inside or size != 1
        offset = offset * n + start
    return offset


SLICE = structural(
    "slice", 1, "out[i] = x[starts + i * steps] for i < sizes, an axis each; steps > 0.", params=("starts", "sizes", "steps"),
    type_rule=_slice_type, ref=_slice_ref, loop=_slice_loop, vjp=_slice_vjp, linear_in=(0,),
    batch=lambda inputs, mapped, starts, sizes, steps: cut(inputs[0], (0, *starts), (inputs[0].shape[0], *sizes), (1, *steps)),
    traits=Traits(moves="view", piece=_slice_piece),
)  # fmt: skip


def cut(x: Node, starts: Sizes, sizes: Sizes, steps: Sizes | None = None) -> Node:
    """The primitive slice: `sizes` elements from `starts` on in `steps` > 0, for each axis."""
    steps = steps or (1,) * x.ndim
    whole = all([a == 0 and s == 1 for a, s in zip(starts, steps)]) and sizes == x.shape
    return x if whole else make(SLICE, (x,), (starts, sizes, steps))


def along(x: Node, axis: int, start: Size, size: Size) -> Node:
    """`size` elements of x from `start` on along one axis, everything along the others."""
    return cut(x, (0,) * axis + (start,) + (0,) * (x.ndim - axis - 1), (*x.shape[:axis], size, *x.shape[axis + 1 :]))


# -- reverse --------------------------------------------------------------------------------------------------------
def _reverse_loop(node: Node) -> LoopForm:
    axes = node.params[0]

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return read(0, [n - 1 - i if k in axes else i for k, (i, n) in enumerate(zip(at, node.shape))])

    return LoopForm(body, view=True)


REVERSE = structural(
    "reverse", 1, "The elements along `axes` in opposite order.", params=("axes",), type_rule=lambda x, axes: x,
    ref=lambda x, axes: np.flip(x, axes), loop=_reverse_loop, linear_in=(0,), vjp=lambda g, out, x, axes: (reverse(g, axes),),
    batch=lambda inputs, mapped, axes: reverse(inputs[0], tuple([a + 1 for a in axes])), traits=Traits(moves="view"),
)  # fmt: skip


def reverse(x: Node, axes: tuple[int, ...]) -> Node:
    """The primitive: x with the elements along `axes` (sorted, non-negative) in opposite order."""
    return make(REVERSE, (x,), (axes,)) if axes else x


def flip(x: ArrayLike, axis: Axes = None) -> Node:
    """x with the order of the elements along `axis` (None: every axis) reversed."""
    node = asarray(x)
    return reverse(node, normal_axes(axis, node.ndim, "flip", node))


# -- pad ------------------------------------------------------------------------------------------------------------
def _pad_type(x: TensorType, value: TensorType, before: Sizes, after: Sizes, between: Sizes) -> TensorType:
    if value.shape or value.dtype != x.dtype:
        fail(DTypeError, f"pad: the value must be a 0-d {x.dtype}, got {value}")
    for sizes in (before, after, between):
        for size in sizes:
            if dims.less_equal(size, -1):
                fail(ShapeError, f"pad: a width cannot be negative: {size}")
    shape = tuple([n + lo + hi + (n - 1) * gap for n, lo, hi, gap in zip(x.shape, before, after, between)])
    for n in shape:
        if not at_most(0, n):
            fail(ShapeError, f"pad: the size {n} is negative: {x}")
    return tensor_type(x.dtype, shape)


def _pad_loop(node: Node) -> LoopForm:
    x, (before, after, between) = node.inputs[0], node.params

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        mask: Scalar | None = None
        source: list[Size] = []
        for i, n, lo, hi, gap in zip(at, x.shape, before, after, between):
            offset = i - lo
            position = dims.floordiv(offset, gap + 1)
            source.append(position)
            tests = []
            if lo != 0:
                tests.append(index(offset) >= 0)
            if hi != 0:
                tests.append(index(position) < index(n))
            if gap != 0:
                tests.append(index(dims.mod(offset, gap + 1)).eq(0))
            for test in tests:
                mask = test if mask is None else mask & test
        inside = read(0, source, mask)
        if mask is None:
            return inside
        outside = read(1, ())
        if outside.op == "const" and str(const_value(outside)) in ("0", "0.0", "False"):
            return inside  # a masked read is 0 already
        return select(mask, inside, outside)

    return LoopForm(body)


def _pad_ref(x: np.ndarray, value: np.ndarray, before: Sequence[int], after: Sequence[int], between: Sequence[int]) -> np.ndarray:
    shape = [n + lo + hi + (n - 1) * gap for n, lo, hi, gap in zip(x.shape, before, after, between)]
    out = np.full(shape, value, x.dtype)
    if x.size:
        out[tuple([slice(lo, lo + (n - 1) * (gap + 1) + 1, gap + 1) for n, lo, gap in zip(x.shape, before, between)])] = x
    return out


def _pad_vjp(g: Node, out: Node, x: Node, value: Node, before: Sizes, after: Sizes, between: Sizes) -> tuple[Node, Node | None]:
    inner = cut(g, before, x.shape, tuple([gap + 1 for gap in between]))
    if value.op.traits.leaf == "constant":
        return inner, None
    # not sum(g) - sum(inner), which cancels
    outside = pad_with(broadcast_to(asarray(False), x.shape), asarray(True), before, after, between)
    return inner, reduce(FUNCTIONS["where"](outside, g, 0), tuple(range(g.ndim)), "sum")


def _pad_jvp(out: Node, inputs: Sequence[Node], tangents: Sequence[Node | None], before: Sizes, after: Sizes, between: Sizes) -> Node:
    (x, _), (tx, tv) = inputs, tangents
    zero = number(0, x.dtype)
    return pad_with(broadcast_to(zero, x.shape) if tx is None else tx, zero if tv is None else tv, before, after, between)


def _pad_batch(inputs: Sequence[Node], mapped: Sequence[bool], before: Sizes, after: Sizes, between: Sizes) -> Node:
    (x, value), zero = inputs, (0,)
    if not mapped[1]:
        return pad_with(x, value, zero + before, zero + after, zero + between)
    x = lift(inputs, mapped)[0]
    inside = broadcast_to(asarray(True), x.shape[1:])
    inner = pad_with(x, number(0, x.dtype), zero + before, zero + after, zero + between)
    mask = pad_with(inside, asarray(False), before, after, between)
    values = FUNCTIONS["reshape"](value, (value.shape[0], *[1] * (x.ndim - 1)))
    return FUNCTIONS["where"](broadcast_to(mask, inner.shape), inner, values)  # type: ignore[no-any-return]


PAD = structural(
    "pad", 2, "x with before, after and, between any two neighbours, `between` copies of a 0-d value along each axis.",
    params=("before", "after", "between"), type_rule=_pad_type, ref=_pad_ref, loop=_pad_loop, vjp=_pad_vjp, jvp=_pad_jvp, batch=_pad_batch,
    traits=Traits(moves="fill"),
)  # fmt: skip


def pad_with(x: Node, value: Node, before: Sizes, after: Sizes, between: Sizes | None = None) -> Node:
    """The primitive pad: n elements along an axis become before + n + (n - 1) * between + after.

    An empty axis of unknown size follows the same formula, so a pad undoes the size of a slice with steps also where n is 0.
    """
    between = between or (0,) * x.ndim
    if all([w == 0 for widths in (before, after, between) for w in widths]):
        return x
    return make(PAD, (x, value), (before, after, between))


def pad_widths(pad_width: object, node: Node) -> list[tuple[Size, Size]]:
    """NumPy's forms of pad_width as the widths before and after, per axis."""
    if isinstance(pad_width, np.ndarray):
        pad_width = pad_width.tolist()
    rows = list(pad_width) if isinstance(pad_width, (tuple, list)) else [pad_width]
    if not any(isinstance(row, (tuple, list)) for row in rows):
        rows = [rows]
    pairs = [list(row) if isinstance(row, (tuple, list)) else [row] for row in rows]
    pairs = [pair * 2 if len(pair) == 1 else pair for pair in pairs]
    pairs = pairs * node.ndim if len(pairs) == 1 else pairs
    if len(pairs) != node.ndim or any(len(pair) != 2 for pair in pairs):
        fail(ShapeError, f"pad: pad_width {pad_width!r} does not give a pair for each of {node.ndim} axes", node)
    return [(_width(low, node), _width(high, node)) for low, high in pairs]


def _width(width: object, node: Node) -> Size:
    if isinstance(width, Dim):
        return width
    try:
        value = operator.index(width)  # type: ignore[arg-type]
    except TypeError:
        fail(ArgumentError, f"pad: a width is an integer or a Dim, got {width!r}", node)
    if value < 0:
        fail(ShapeError, f"pad: a width cannot be negative: {value}", node)
    return value


__all__ = ["flip"]
