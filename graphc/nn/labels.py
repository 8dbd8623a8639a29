"""The labels of images and weights, and what convolutions of all kinds do to their operands before and to the result after."""

from __future__ import annotations

from graphc.dims import Size
from graphc.dtypes import promote
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.nn.geometry import Layout, Place
from graphc.operators import FUNCTIONS
from graphc.ops.convolve import Relation
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import reshape
from graphc.ops.spread import astype
from graphc.types import same_size, whole_number

BATCH, GROUP, INNER, OUTER, SPACE = 0, 1, 2, 3, 4  # labels; of axis k of space: SPACE + 3 k for the long side, then place and tap


def promoted(what: str, input: ArrayLike, weight: ArrayLike) -> tuple[Node, Node]:
    x, w = asarray(input), asarray(weight)
    dtype = promote(x.dtype, w.dtype)
    if dtype.kind not in "fiu":
        fail(DTypeError, f"{what}: needs arrays of numbers", x, w)
    return astype(x, dtype), astype(w, dtype)


def ranked(what: str, w: Node, rank: int) -> int:
    if rank < 1 or w.ndim != rank + 2:
        wanted = "at least 3" if rank < 1 else str(rank + 2)
        fail(ShapeError, f"{what}: the weight has {w.ndim} axes, not {wanted}", w)
    return rank


def group_count(what: str, groups: object, channels: Size, x: Node, w: Node) -> int:
    count = whole_number(groups, f"{what}: groups", x)
    if count < 1 or (isinstance(channels, int) and channels % count):
        fail(ShapeError, f"{what}: {channels} channels of the weight do not make {count} groups", x, w)
    return count


def group_label(split: bool) -> tuple[int, ...]:
    return (GROUP,) if split else ()


def weight_sizes(w: Node, lies: Layout) -> tuple[Size, Size, tuple[Size, ...]]:
    """Of a weight: the channels that are in groups, those of one group on the other side, the sizes of the kernel."""
    if lies.channels_first:
        return w.shape[0], w.shape[1], w.shape[2:]
    return w.shape[-1], w.shape[-2], w.shape[:-2]


def weight_in_groups(w: Node, lies: Layout, groups: int) -> tuple[Node, tuple[int, ...]]:
    """The weight with its channels as groups of channels, and its labels."""
    many, each, kernel = weight_sizes(w, lies)
    split = groups != 1
    grouped = (groups, many // groups) if split else (many,)
    taps = [SPACE + 3 * k + 2 for k in range(len(kernel))]
    if lies.channels_first:
        labels, shape = (*group_label(split), OUTER, INNER, *taps), (*grouped, each, *kernel)
    else:
        labels, shape = (*taps, INNER, *group_label(split), OUTER), (*kernel, each, *grouped)
    return reshape(w, shape) if split else w, labels


def image_labels(lies: Layout, split: bool, channel: int, side: int) -> tuple[int, ...]:
    """The labels of an array of images: `side` 0 for the long side of the relations, 1 for the places."""
    space = [SPACE + 3 * k + side for k in range(len(lies.space))]
    channels = [*group_label(split), channel]
    inner = [*channels, *space] if lies.channels_first else [*space, *channels]
    return tuple([BATCH, *inner] if lies.batch else inner)


def relation_of(k: int, place: Place, flip: bool) -> Relation:
    """y = stride * i + dilation * p - pad; turned over, tap p is the one at the other end."""
    labels = (SPACE + 3 * k, SPACE + 3 * k + 1, SPACE + 3 * k + 2)
    if flip:
        return Relation(*labels, place.stride, -place.dilation, place.before - (place.reach - 1))
    return Relation(*labels, place.stride, place.dilation, place.before)


def in_groups(x: Node, axis: int, groups: int) -> Node:
    """The channels as groups of channels."""
    if groups == 1:
        return x
    n = x.shape[axis]
    each = n // groups if isinstance(n, int) else FUNCTIONS["shape"](x)[axis] // groups
    return reshape(x, (*x.shape[:axis], groups, each, *x.shape[axis + 1 :]))


def ungrouped(out: Node, axis: int, split: bool) -> Node:
    if not split:
        return out
    return reshape(out, (*out.shape[:axis], out.shape[axis] * out.shape[axis + 1], *out.shape[axis + 2 :]))


def biased(what: str, out: Node, bias: ArrayLike | None, axis: int) -> Node:
    """out + bias along the axis of channels."""
    if bias is None:
        return out
    shift = asarray(bias)
    if shift.ndim != 1 or not same_size(shift.shape[0], out.shape[axis]):
        fail(ShapeError, f"{what}: the bias should have the shape ({out.shape[axis]},)", shift)
    return out + reshape(astype(shift, out.dtype), (shift.shape[0], *[1] * (out.ndim - 1 - axis)))
