"""Pooling: a reduction over windows that slide. Names and arguments are those of torch.nn.functional; paddings as for `conv`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.geometry import Layout, Place, Widths, layout_of, places, spread
from graphc.operators import FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray, number
from graphc.ops.shape import at_most
from graphc.ops.spread import astype, broadcast, broadcast_to, reduce
from graphc.ops.windows import Sliding, window

Numbers = int | Sequence[int]


def max_pool(
    input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, dilation: Numbers = 1,
    ceil_mode: bool = False, *, layout: str = "NCHW",
) -> Node:  # fmt: skip
    """out[n, c, i..] = the largest of input[n, c, stride * i + dilation * p - padding, ..] over the places p.. of a window.

    Of axes that a window of `kernel_size` (one number, or one for each axis of space) covers; stride: None for kernel_size. Padding, as for
    `conv`, is never the largest (it is -inf); a nan is. ceil_mode: a last window that ends beyond the axis counts if it begins inside.
    The derivative goes to the largest element, in equal parts to several equal ones, as that of `gx.max`. The batch axis may be missing
    where kernel_size is a sequence. Integers may be pooled too. Raises ShapeError (with m, f, s and p), ArgumentError.

    >>> gx.nn.max_pool(gx.asarray([[[5.0, 9, 4]]]), 3).eval()
    array([[[9.]]])
    """
    return _max("max_pool", _rank(kernel_size, input), input, kernel_size, stride, padding, dilation, ceil_mode, layout)


def avg_pool(
    input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, layout: str = "NCHW",
) -> Node:  # fmt: skip
    """out[n, c, i..] = the mean of input[n, c, stride * i + p - padding, ..] over the places p.. of a window.

    Zeros of the padding count, unless `count_include_pad` is False; what ceil_mode adds behind the padding never does. Other arguments as
    those of `max_pool`. Raises ShapeError, ArgumentError, DTypeError for integers.
    """
    return _average("avg_pool", _rank(kernel_size, input), input, kernel_size, stride, padding, ceil_mode, count_include_pad, layout)


def lp_pool(
    input: ArrayLike, norm_type: float, kernel_size: Numbers, stride: Numbers | None = None, ceil_mode: bool = False, *,
    layout: str = "NCHW",
) -> Node:  # fmt: skip
    """out[n, c, i..] = (the sum of |input[n, c, stride * i + p, ..]| ** norm_type over a window) ** (1 / norm_type).

    norm_type: any p > 0, or inf. A window that ceil_mode adds is the norm of the elements that it has (torch scales it up as if it had
    all). The derivative of a window of zeros is 0. Raises ShapeError, ArgumentError, DTypeError for integers.
    """
    what = "lp_pool"
    x, lies, found = _pooled(what, _rank(kernel_size, input), input, kernel_size, stride, 0, 1, ceil_mode, layout)
    _floats(what, x)
    if isinstance(norm_type, bool) or not isinstance(norm_type, (int, float)) or not norm_type > 0:
        fail(ArgumentError, f"{what}: norm_type must be a positive number, got {norm_type!r}", x)
    out = _windows(x, lies, found, number(0, x.dtype))
    for _ in found:  # the norm of norms
        out = FUNCTIONS["norm"](out, norm_type, axis=-1)
    return out


def adaptive_avg_pool(input: ArrayLike, output_size: Numbers, *, layout: str = "NCHW") -> Node:
    """As many means along each axis of space as `output_size` says: window i of o over m elements is floor(i m / o) .. ceil((i + 1) m / o).

    One number, or one for each axis of space; the sizes of the input may be symbolic: any image becomes as many numbers. 1: the mean over
    space. Raises ShapeError, ArgumentError, DTypeError for integers.
    """
    return _adaptive_average("adaptive_avg_pool", _rank(output_size, input), input, output_size, layout)


def adaptive_max_pool(input: ArrayLike, output_size: Numbers, *, layout: str = "NCHW") -> Node:
    """The largest element of each window of `adaptive_avg_pool`; nan and equal elements as in `max_pool`."""
    return _adaptive_max("adaptive_max_pool", _rank(output_size, input), input, output_size, layout)


# -- the same with the number of axes in the name ---------------------------------------------------------------------------
def max_pool1d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, dilation: Numbers = 1,
               ceil_mode: bool = False, *, layout: str = "NCL") -> Node:  # fmt: skip
    """`max_pool` along one axis of (batch, channels, length) or (channels, length)."""
    return _max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, layout)


def max_pool2d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, dilation: Numbers = 1,
               ceil_mode: bool = False, *, layout: str = "NCHW") -> Node:  # fmt: skip
    """`max_pool` along two axes of (batch, channels, height, width) or (channels, height, width)."""
    return _max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, layout)


def max_pool3d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, dilation: Numbers = 1,
               ceil_mode: bool = False, *, layout: str = "NCDHW") -> Node:  # fmt: skip
    """`max_pool` along three axes of (batch, channels, depth, height, width), or without the batch."""
    return _max("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, layout)


def avg_pool1d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, *, layout: str = "NCL") -> Node:  # fmt: skip
    """`avg_pool` along one axis of (batch, channels, length) or (channels, length)."""
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, layout)


def avg_pool2d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, *, layout: str = "NCHW") -> Node:  # fmt: skip
    """`avg_pool` along two axes of (batch, channels, height, width) or (channels, height, width)."""
    return _average("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, layout)


def avg_pool3d(input: ArrayLike, kernel_size: Numbers, stride: Numbers | None = None, padding: Widths = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, *, layout: str = "NCDHW") -> Node:  # fmt: skip
    """`avg_pool` along three axes of (batch, channels, depth, height, width), or without the batch."""
    return _average("avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, layout)


def adaptive_avg_pool2d(input: ArrayLike, output_size: Numbers, *, layout: str = "NCHW") -> Node:
    """`adaptive_avg_pool` along two axes of (batch, channels, height, width) or (channels, height, width)."""
    return _adaptive_average("adaptive_avg_pool2d", 2, input, output_size, layout)


def adaptive_max_pool2d(input: ArrayLike, output_size: Numbers, *, layout: str = "NCHW") -> Node:
    """`adaptive_max_pool` along two axes of (batch, channels, height, width) or (channels, height, width)."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, layout)


# -- what they are ----------------------------------------------------------------------------------------------------------
def _max(
    what: str, rank: int, input: ArrayLike, kernel_size: Numbers, stride: Numbers | None, padding: Widths, dilation: Numbers,
    ceil_mode: bool, layout: str,
) -> Node:  # fmt: skip
    x, lies, found = _pooled(what, rank, input, kernel_size, stride, padding, dilation, ceil_mode, layout)
    if x.dtype.kind not in "fiu":
        fail(DTypeError, f"{what}: needs an array of numbers", x)
    return _over_windows(x, lies, found, _least(x.dtype), "max")


def _average(
    what: str, rank: int, input: ArrayLike, kernel_size: Numbers, stride: Numbers | None, padding: Widths, ceil_mode: bool,
    count_include_pad: bool, layout: str,
) -> Node:  # fmt: skip
    x, lies, found = _pooled(what, rank, input, kernel_size, stride, padding, 1, ceil_mode, layout)
    _floats(what, x)
    total = _over_windows(x, lies, found, number(0, x.dtype), "sum")
    given = places(what, x, [x.shape[k] for k in lies.space], [p.taps for p in found], [p.stride for p in found], padding, 1, "floor")
    for axis, place, plain in zip(lies.space, found, given):
        total = total / _counted(total, axis, place, plain, count_include_pad)
    return total


def _counted(total: Node, axis: int, place: Place, plain: Place, count_include_pad: bool) -> Node:
    """How many elements of one axis each window has, beside the sums."""
    if count_include_pad:  # an axis longer by its padding; what the last window has more is not counted
        whole = Place(place.size + plain.before + plain.after, place.taps, place.stride, 1, 0, place.after - plain.after)
    else:
        whole = place
    if whole.before == 0 and whole.after == 0:
        return asarray(place.taps, total.dtype)
    ones = broadcast_to(number(1, total.dtype), (whole.size,))
    counts = reduce(window(ones, number(0, total.dtype), [_sliding(0, whole)]), (1,), "sum")
    return broadcast(counts, total.shape, (axis,))


def _adaptive_average(what: str, rank: int, input: ArrayLike, output_size: Numbers, layout: str) -> Node:
    x, lies, counts = _adaptive(what, rank, input, output_size, layout)
    _floats(what, x)
    if (found := _even(x, lies, counts)) is not None:
        total = _over_windows(x, lies, found, number(0, x.dtype), "sum")
        return total / asarray(dims.product([p.taps for p in found]), x.dtype)
    for axis, count in zip(lies.space, counts):
        at, inside, length = _adaptive_windows(x.shape[axis], count)
        pieces = FUNCTIONS["where"](_beside(inside, x.ndim, axis), FUNCTIONS["take"](x, at, axis=axis), number(0, x.dtype))
        x = reduce(pieces, (axis + 1,), "sum") / broadcast(astype(length, x.dtype), (*x.shape[:axis], count, *x.shape[axis + 1 :]), (axis,))
    return x


def _adaptive_max(what: str, rank: int, input: ArrayLike, output_size: Numbers, layout: str) -> Node:
    x, lies, counts = _adaptive(what, rank, input, output_size, layout)
    if x.dtype.kind not in "fiu":
        fail(DTypeError, f"{what}: needs an array of numbers", x)
    if (found := _even(x, lies, counts)) is not None:
        return _over_windows(x, lies, found, _least(x.dtype), "max")
    for axis, count in zip(lies.space, counts):
        at, inside, _ = _adaptive_windows(x.shape[axis], count)
        pieces = FUNCTIONS["where"](_beside(inside, x.ndim, axis), FUNCTIONS["take"](x, at, axis=axis), _least(x.dtype))
        x = reduce(pieces, (axis + 1,), "max")
    return x


# -- parts --------------------------------------------------------------------------------------------------------------------
def _rank(sizes: Numbers, input: ArrayLike) -> int:
    return len(sizes) if isinstance(sizes, (tuple, list)) else max(asarray(input).ndim - 2, 1)


def _pooled(
    what: str, rank: int, input: ArrayLike, kernel_size: Numbers, stride: Numbers | None, padding: Widths, dilation: Numbers,
    ceil_mode: bool, layout: str,
) -> tuple[Node, Layout, list[Place]]:  # fmt: skip
    """The input, where its axes are, and the places of the windows."""
    x = asarray(input)
    lies = layout_of(what, x, rank, layout)
    taps = spread(kernel_size, rank, f"{what}: kernel_size", x)
    found = places(what, x, [x.shape[k] for k in lies.space], taps, taps if stride is None else stride, padding, dilation, "floor")
    if ceil_mode:
        found = [Place(p.size, p.taps, p.stride, p.dilation, p.before, p.after + _beyond(p)) for p in found]
    for p in found:
        for width in (p.before, p.after):
            if not isinstance(padding, str) and not at_most(width, p.reach - 1 + (p.stride if ceil_mode else 0)):
                fail(ShapeError, f"{what}: a window lies in the padding alone: {p.sizes}", x, hint="pad by less than the kernel")
    return x, lies, found


def _beyond(p: Place) -> Size:
    """How far a last window that begins inside of the axis and what lies before it reaches beyond the padding."""
    rest = p.size + p.before + p.after - p.reach
    windows = dims.floordiv(rest + (p.stride - 1), p.stride) + 1
    begins = dims.floordiv(p.size + p.before - 1, p.stride) + 1  # so many windows begin before the end of the axis
    count = dims.minimum(windows, begins)
    return dims.maximum((count - 1) * p.stride - rest, 0)


def _sliding(axis: int, p: Place) -> Sliding:
    return Sliding(axis, p.count, p.taps, p.stride, p.dilation, p.before)


def _windows(x: Node, lies: Layout, found: Sequence[Place], fill: Node) -> Node:
    return window(x, fill, [_sliding(axis, p) for axis, p in zip(lies.space, found)])


def _over_windows(x: Node, lies: Layout, found: Sequence[Place], fill: Node, combine: str) -> Node:
    return reduce(_windows(x, lies, found, fill), tuple(range(x.ndim, x.ndim + len(found))), combine)


def _least(dtype: np.dtype) -> Node:
    """What is never the largest."""
    return number(-np.inf if is_float(dtype) else int(np.iinfo(dtype).min), dtype)


def _floats(what: str, x: Node) -> None:
    if not is_float(x.dtype):
        fail(DTypeError, f"{what}: needs floats", x, hint="cast the array with .astype('float32')")


def _adaptive(what: str, rank: int, input: ArrayLike, output_size: Numbers, layout: str) -> tuple[Node, Layout, tuple[int, ...]]:
    x = asarray(input)
    lies = layout_of(what, x, rank, layout)
    if not all(at_most(1, x.shape[k]) for k in lies.space):
        fail(ShapeError, f"{what}: an axis of space is empty", x)
    return x, lies, spread(output_size, rank, f"{what}: output_size", x)


def _even(x: Node, lies: Layout, counts: Sequence[int]) -> list[Place] | None:
    """The windows where all are known to be equal and side by side; None otherwise."""
    sizes = [x.shape[k] for k in lies.space]
    if not all(dims.mod(n, c) == 0 for n, c in zip(sizes, counts)):
        return None
    steps = [dims.floordiv(n, c) for n, c in zip(sizes, counts)]
    if not all(isinstance(s, int) or c == 1 for s, c in zip(steps, counts)):
        return None
    return [Place(n, s, s if isinstance(s, int) else 1, 1, 0, 0) for n, s in zip(sizes, steps)]


def _adaptive_windows(size: Size, count: int) -> tuple[Node, Node, Node]:
    """(index of each element of each window, which of them there are, how many): all windows as long as the longest."""
    longest = dims.floordiv(size + (count - 1), count) + (0 if dims.mod(size, count) == 0 else 1)
    window_index = FUNCTIONS["arange"](count)
    n = asarray(size)
    first = window_index * n // count
    length = ((window_index + 1) * n + (count - 1)) // count - first
    at = first[:, None] + FUNCTIONS["arange"](longest)[None, :]
    return FUNCTIONS["minimum"](at, n - 1), at < (first + length)[:, None], length


def _beside(inside: Node, ndim: int, axis: int) -> Node:
    """(windows, elements) as axes `axis` and the one after it of an array with one axis more."""
    return FUNCTIONS["reshape"](inside, (*inside.shape, *[1] * (ndim - 1 - axis)))  # type: ignore[no-any-return]
