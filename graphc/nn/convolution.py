"""Convolutions and locally connected layers: labels and relations for `graphc.ops.convolve`.

Names and arguments are those of torch.nn.functional (`input, weight, bias, stride, padding, dilation, groups`); paddings by name, pairs of
widths and the layout NHWC are those of JAX and TensorFlow. As in all of them the kernel is not turned over: `flip=True` does that.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import ShapeError, fail
from graphc.ir import Node
from graphc.nn.geometry import Widths, layout_of, padded, places
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
from graphc.operators import FUNCTIONS
from graphc.ops.convolve import convolution
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.spread import astype
from graphc.types import same_size

Numbers = int | Sequence[int]


def conv(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1,
    groups: int = 1, *, layout: str = "NCHW", padding_mode: str = "zeros", flip: bool = False, remainder: str = "floor",
) -> Node:  # fmt: skip
    """out[n, f, i..] = bias[f] + sum over c, p.. of input[n, c, stride * i + dilation * p - padding, ..] * weight[f, c, p, ..].

    As many axes of space as the weight has; `conv1d`, `conv2d` and `conv3d` say how many they expect.

    layout "NCHW": input (batch, channels, *space), weight (out channels, channels / groups, *kernel), as in torch. "NHWC": input
    (batch, *space, channels), weight (*kernel, channels / groups, out channels), as in JAX and TensorFlow. The batch axis may be missing.
    groups: channels in so many groups, each of which sees its own; as many as there are channels: depthwise.
    padding: a width, one for each axis, or a pair (before, after) for each axis; "valid" (none), "same" (as many places as elements,
    divided by the stride and rounded up; an odd one goes behind), "full" (wherever the kernel meets an element). Widths may be symbolic.
    padding_mode: what is there: "zeros" (read nowhere: no padded copy), "reflect", "edge" (torch: "replicate") or "circular", which copy.
    flip: a true convolution, the kernel turned over. remainder: "floor" leaves out elements behind the last whole step, "error" refuses
    them. Any sizes may be symbolic.

    A place beyond the ends is a zero: where a weight is infinite, its product there may be nan. f32, f64 and integers, promoted;
    derivatives of every order are convolutions again. Raises ShapeError (with m, f, s and p: the sizes of input, kernel, stride and
    padding), DTypeError, ArgumentError.

    >>> gx.nn.conv(gx.asarray([[5.0, 6, 6, 2, 5, 6, 5]]), gx.asarray([[[1.0, -1, 1]]]), stride=2).eval()
    array([[5., 9., 4.]])
    """
    given = asarray(weight)
    return _conv("conv", given.ndim - 2, input, given, bias, stride, padding, dilation, groups, layout, padding_mode, flip, remainder)


def conv1d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1,
    groups: int = 1, *, layout: str = "NCL", padding_mode: str = "zeros", flip: bool = False, remainder: str = "floor",
) -> Node:  # fmt: skip
    """`conv` of input (batch, channels, length) with weight (out channels, channels / groups, kernel); layout "NLC": channels last."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, layout, padding_mode, flip, remainder)


def conv2d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1,
    groups: int = 1, *, layout: str = "NCHW", padding_mode: str = "zeros", flip: bool = False, remainder: str = "floor",
) -> Node:  # fmt: skip
    """`conv` of input (batch, channels, height, width) with weight (out channels, channels / groups, *kernel); "NHWC": channels last."""
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, layout, padding_mode, flip, remainder)


def conv3d(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1,
    groups: int = 1, *, layout: str = "NCDHW", padding_mode: str = "zeros", flip: bool = False, remainder: str = "floor",
) -> Node:  # fmt: skip
    """`conv` of input (batch, channels, depth, height, width); layout "NDHWC": channels last."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, layout, padding_mode, flip, remainder)


def _conv(
    what: str, rank: int, input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, stride: Numbers, padding: Widths, dilation: Numbers,
    groups: int, layout: str, padding_mode: str, flip: bool, remainder: str,
) -> Node:  # fmt: skip
    x, w = promoted(what, input, weight)
    lies = layout_of(what, x, ranked(what, w, rank), layout)
    outward, inward, kernel = weight_sizes(w, lies)
    count = group_count(what, groups, outward, x, w)
    if not same_size(x.shape[lies.channel], inward * count):
        fail(ShapeError, f"{what}: {x.shape[lies.channel]} channels, but the weight takes {inward * count}", x, w)
    found = places(what, x, [x.shape[k] for k in lies.space], kernel, stride, padding, dilation, remainder)
    x, found = padded(what, x, lies.space, found, padding_mode)
    split = count != 1
    x_labels, out_labels = image_labels(lies, split, INNER, 0), image_labels(lies, split, OUTER, 1)
    w, w_labels = weight_in_groups(w, lies, count)
    relations = [relation_of(k, p, flip) for k, p in enumerate(found)]
    extents = tuple([(SPACE + 3 * k + 1, p.count) for k, p in enumerate(found)])
    out = convolution(in_groups(x, lies.channel, count), w, (x_labels, w_labels, out_labels), relations, extents)
    return biased(what, ungrouped(out, lies.channel, split), bias, lies.channel)


def locally_connected(
    input: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, stride: Numbers = 1, padding: Widths = 0, dilation: Numbers = 1,
    *, layout: str = "NCHW", remainder: str = "floor",
) -> Node:  # fmt: skip
    """A convolution whose weights are not shared between places:

    out[n, f, i..] = bias[f] + the sum over c, p.. of input[n, c, stride * i + dilation * p - padding, ..] * weight[f, i.., c, p..].

    weight: (out channels, *places, channels, *kernel), in either layout; bias: (out channels,) or (out channels, *places). Arguments as
    those of `conv`. A weight that is the same at all places gives `conv`. Raises ShapeError, DTypeError, ArgumentError.
    """
    what = "locally_connected"
    x, w = promoted(what, input, weight)
    rank = (w.ndim - 2) // 2
    if w.ndim < 4 or w.ndim % 2:
        fail(ShapeError, f"{what}: a weight has the axes (out channels, *places, channels, *kernel), not {w.ndim} axes", w)
    lies = layout_of(what, x, rank, layout)
    found = places(what, x, [x.shape[k] for k in lies.space], w.shape[rank + 2 :], stride, padding, dilation, remainder)
    counts = tuple([p.count for p in found])
    if not all(same_size(a, b) for a, b in zip((*counts, x.shape[lies.channel]), w.shape[1 : rank + 2])):
        wanted = (w.shape[0], *counts, x.shape[lies.channel], *w.shape[rank + 2 :])
        fail(ShapeError, f"{what}: the weight should have the shape ({', '.join(map(str, wanted))})", x, w)
    space = [SPACE + 3 * k for k in range(rank)]
    w_labels = (OUTER, *[k + 1 for k in space], INNER, *[k + 2 for k in space])
    relations = [relation_of(k, p, False) for k, p in enumerate(found)]
    out = convolution(x, w, (image_labels(lies, False, INNER, 0), w_labels, image_labels(lies, False, OUTER, 1)), relations)
    if bias is None or asarray(bias).ndim == 1:
        return biased(what, out, bias, lies.channel)
    shift = asarray(bias)
    if not lies.channels_first:
        shift = FUNCTIONS["moveaxis"](shift, 0, -1)
    return out + astype(shift, out.dtype)
