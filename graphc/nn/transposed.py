"""Transposed convolutions: from places to elements, with the arguments of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dims import Size
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.geometry import Place, layout_of, spread
from graphc.nn.labels import (
    INNER,
    OUTER,
    SPACE,
    biased,
    group_count,
    image_labels,
    in_groups,
    promoted,
    ranked,
    relation_of,
    ungrouped,
    weight_in_groups,
    weight_sizes,
)
from graphc.ops.convolve import convolution
from graphc.ops.registry import ArrayLike, asarray
from graphc.types import as_size, same_size

Numbers = int | Sequence[int]


def conv_transpose(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Numbers | Sequence[Sequence[int]] = 0,
    output_padding: Numbers = 0, groups: int = 1, dilation: Numbers = 1, *, output_size: Sequence[Size] | None = None,
    layout: str = "NCHW", flip: bool = False,
) -> Node:  # fmt: skip
    """The gradient of `conv` with respect to its input: out[n, c, y..] = bias[c] + the sum of input[n, f, i..] * weight[f, c, p, ..]
    over all f, i, p with stride * i + dilation * p - padding = y.

    Arguments as torch has them: `weight` is that of the convolution whose transpose this is, (channels, out channels / groups, *kernel), in
    layout "NHWC" (*kernel, out channels / groups, channels). An axis of n places becomes
    (n - 1) * stride - padding before - padding after + dilation * (kernel - 1) + 1 + output_padding elements; `output_size`, one for each
    axis of space, says that itself, since several sizes have as many places. Raises ShapeError, DTypeError, ArgumentError.
    """
    given = asarray(weight)
    return _transposed("conv_transpose", given.ndim - 2, input, given, bias, stride, padding, output_padding, groups, dilation,
                       output_size, layout, flip)  # fmt: skip


def conv_transpose1d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Numbers | Sequence[Sequence[int]] = 0,
    output_padding: Numbers = 0, groups: int = 1, dilation: Numbers = 1, *, output_size: Sequence[Size] | None = None,
    layout: str = "NCL", flip: bool = False,
) -> Node:  # fmt: skip
    """`conv_transpose` of input (batch, channels, length) with weight (channels, out channels / groups, kernel)."""
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
                       flip)  # fmt: skip


def conv_transpose2d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Numbers | Sequence[Sequence[int]] = 0,
    output_padding: Numbers = 0, groups: int = 1, dilation: Numbers = 1, *, output_size: Sequence[Size] | None = None,
    layout: str = "NCHW", flip: bool = False,
) -> Node:  # fmt: skip
    """`conv_transpose` of input (batch, channels, height, width) with weight (channels, out channels / groups, *kernel)."""
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
                       flip)  # fmt: skip


def conv_transpose3d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Numbers | Sequence[Sequence[int]] = 0,
    output_padding: Numbers = 0, groups: int = 1, dilation: Numbers = 1, *, output_size: Sequence[Size] | None = None,
    layout: str = "NCDHW", flip: bool = False,
) -> Node:  # fmt: skip
    """`conv_transpose` of input (batch, channels, depth, height, width) with weight (channels, out channels / groups, *kernel)."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
                       flip)  # fmt: skip


def _transposed(
    what: str, rank: int, input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, stride: Numbers,
    padding: Numbers | Sequence[Sequence[int]], output_padding: Numbers, groups: int, dilation: Numbers,
    output_size: Sequence[Size] | None, layout: str, flip: bool,
) -> Node:  # fmt: skip
    x, w = promoted(what, input, weight)
    lies = layout_of(what, x, ranked(what, w, rank), layout)
    inward, _, kernel = weight_sizes(w, lies)
    count = group_count(what, groups, inward, x, w)
    if not same_size(x.shape[lies.channel], inward):
        fail(ShapeError, f"{what}: {x.shape[lies.channel]} channels, but the weight takes {inward}", x, w)
    strides, dilations = spread(stride, rank, f"{what}: stride", x), spread(dilation, rank, f"{what}: dilation", x)
    extra = spread(output_padding, rank, f"{what}: output_padding", x, least=0)
    listed = list(padding) if isinstance(padding, (tuple, list)) else [padding] * rank
    pairs = [spread(p, 2, f"{what}: padding", x, least=0) for p in listed]
    if len(pairs) != rank:
        fail(ArgumentError, f"{what}: padding {padding!r} does not give a width or a pair for each of {rank} axes", x)
    sizes = [
        (x.shape[axis] - 1) * s - low - high + d * (k - 1) + 1 + more
        for axis, s, d, (low, high), k, more in zip(lies.space, strides, dilations, pairs, kernel, extra)
    ]
    if output_size is not None:
        if len(output_size) != rank:
            fail(ArgumentError, f"{what}: output_size {output_size!r} does not give a size for each of {rank} axes", x)
        sizes = [as_size(n) for n in output_size]
    for n in sizes:
        if not same_size(n if isinstance(n, int) and n < 0 else 0, 0):
            fail(ShapeError, f"{what}: the result would have the size {n}", x, w, hint="less padding")
    split = count != 1
    w, w_labels = weight_in_groups(w, lies, count)
    found = [Place(n, k, s, d, low, high) for n, k, s, d, (low, high) in zip(sizes, kernel, strides, dilations, pairs)]
    relations = [relation_of(k, p, flip) for k, p in enumerate(found)]
    extents = tuple([(SPACE + 3 * k, n) for k, n in enumerate(sizes)])
    spec = (image_labels(lies, split, OUTER, 1), w_labels, image_labels(lies, split, INNER, 0))
    out = convolution(in_groups(x, lies.channel, count), w, spec, relations, extents)
    return biased(what, ungrouped(out, lies.channel, split), bias, lies.channel)
