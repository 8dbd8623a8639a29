"""Views of views, broadcasts pushed towards the outputs, reductions of what is repeated.

In normal form a broadcast reads an array without axes of literal size 1 and repeats it along at least one axis, what only adds or
drops such axes is a reshape, and elementwise ops come before both: so that the other tables see operands, not views of them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import int64, is_float
from graphc.ir import Node, make
from graphc.ops.compare import where
from graphc.ops.create import IOTA, iota
from graphc.ops.indexing import gather
from graphc.ops.ranges import within
from graphc.ops.registry import OPS, asarray
from graphc.ops.shape import RESHAPE, permute, reshape
from graphc.ops.slicing import cut, reverse
from graphc.ops.spread import BROADCAST, CAST, astype, broadcast, reduce
from graphc.passes.rewriting.match import params, splat
from graphc.passes.rewriting.rule import AnyRule, Local
from graphc.types import Shape

Axes = tuple[int, ...]
ADD, EQUAL, LESS = OPS["add"], OPS["equal"], OPS["less"]


def squeezed(shape: Sequence[Size]) -> Shape:
    """The sizes that are not literally 1."""
    return tuple([s for s in shape if s != 1])


# -- elementwise ops come before broadcasts and reshapes ------------------------------------------------------------
def broadcast_last(node: Node) -> Node | None:
    """f(broadcast(x), broadcast(y)) -> broadcast(f(x, y)), for alike broadcasts and scalars."""
    if not node.op.elementwise:
        return None
    common: Node | None = None
    for i in node.inputs:
        if i.op is not BROADCAST:
            return None
        if i.inputs[0].ndim:
            if common is None:
                common = i
            elif params(i) != params(common) or i.inputs[0].shape != common.inputs[0].shape:
                return None
    if common is None:
        return broadcast(make(node.op, tuple([i.inputs[0] for i in node.inputs]), params(node)), node.shape, ())
    small = common.inputs[0].shape
    inputs = [i.inputs[0] if i.inputs[0].ndim else broadcast(i.inputs[0], small, ()) for i in node.inputs]
    return broadcast(make(node.op, tuple(inputs), params(node)), node.shape, params(common)[1])


def reshape_last(node: Node) -> Node | None:
    """f(reshape(x), reshape(y)) -> reshape(f(x, y)), for alike reshapes and scalars."""
    if not node.op.elementwise:
        return None
    source: Shape | None = None
    for i in node.inputs:
        if i.op is RESHAPE and (source is None or source == i.inputs[0].shape):
            source = i.inputs[0].shape
        elif i.op is not BROADCAST or i.inputs[0].ndim:
            return None
    if source is None:
        return None
    inputs = [i.inputs[0] if i.op is RESHAPE else broadcast(i.inputs[0], source, ()) for i in node.inputs]
    return reshape(make(node.op, tuple(inputs), params(node)), node.shape)


# -- views of views -------------------------------------------------------------------------------------------------
def broadcast_of_broadcast(node: Node) -> Node:
    """broadcast(broadcast(x)) -> broadcast(x)."""
    (inner,), (shape, axes) = node.inputs, params(node)
    return broadcast(inner.inputs[0], shape, tuple([axes[a] for a in params(inner)[1]]))


def broadcast_of_ones(node: Node) -> Node | None:
    """broadcast(x) -> broadcast(squeeze(x)), where x has axes of size 1; -> reshape(x) where nothing is repeated."""
    (x,), (shape, axes) = node.inputs, params(node)
    named = tuple([a for size, a in zip(x.shape, axes) if size != 1])
    if squeezed(x.shape) == squeezed(node.shape):
        return reshape(x, shape)
    return None if len(named) == x.ndim else broadcast(reshape(x, squeezed(x.shape)), shape, named)


def broadcast_of_iota(node: Node) -> Node | None:
    """broadcast(iota) -> iota: nothing to read."""
    (inner,), (shape, axes) = node.inputs, params(node)
    _, counted, dtype = params(inner)
    a = axes[counted]
    return iota(shape, a, dtype) if inner.shape[counted] == shape[a] else None


def reshape_of_iota(node: Node) -> Node | None:
    """reshape(iota) -> iota, where axes of size 1 come and go."""
    (inner,) = node.inputs
    _, counted, dtype = params(inner)
    if inner.shape[counted] == 1 or squeezed(inner.shape) != squeezed(node.shape):
        return None
    moved = dict(zip(_not_one(inner.shape), _not_one(node.shape)))
    return iota(node.shape, moved[counted], dtype)


def reshape_of_reshape(node: Node) -> Node:
    """reshape(reshape(x)) -> reshape(x)."""
    return reshape(node.inputs[0].inputs[0], node.shape)


def reshape_of_broadcast(node: Node) -> Node | None:
    """reshape(broadcast(x)) -> broadcast(x), where axes of size 1 come and go, or x is a scalar."""
    (inner,) = node.inputs
    (x,) = inner.inputs
    if not x.ndim:
        return broadcast(x, node.shape, ())
    if squeezed(inner.shape) != squeezed(node.shape) or len(squeezed(x.shape)) != x.ndim:
        return None
    moved = dict(zip(_not_one(inner.shape), _not_one(node.shape)))
    return broadcast(x, node.shape, tuple([moved[a] for a in params(inner)[1]]))


def _not_one(shape: Shape) -> list[int]:
    return [k for k, size in enumerate(shape) if size != 1]


def transpose_of_transpose(node: Node) -> Node:
    """transpose(transpose(x, a), b) -> transpose(x, a[b])."""
    (inner,), (axes,) = node.inputs, params(node)
    return permute(inner.inputs[0], tuple([params(inner)[0][a] for a in axes]))


def transpose_of_ones(node: Node) -> Node | None:
    """transpose(x) -> reshape(x), where the axes that are not of size 1 keep their order."""
    (x,), (axes,) = node.inputs, params(node)
    moved = [a for a in axes if x.shape[a] != 1]
    return reshape(x, node.shape) if moved == sorted(moved) else None


def transpose_of_broadcast(node: Node) -> Node:
    """transpose(broadcast(x)) -> broadcast(transpose(x))."""
    (inner,), (axes,) = node.inputs, params(node)
    places = [axes.index(a) for a in params(inner)[1]]
    order = sorted(range(len(places)), key=places.__getitem__)
    return broadcast(permute(inner.inputs[0], tuple(order)), node.shape, tuple(sorted(places)))


def slice_of_slice(node: Node) -> Node:
    """x[a : : s][b : : t] -> x[a + b*s : : s*t], on each axis."""
    (inner,), (starts, sizes, steps) = node.inputs, params(node)
    first, _, by = params(inner)
    starts = tuple([a + b * s for a, b, s in zip(first, starts, by)])
    return cut(inner.inputs[0], starts, sizes, tuple([s * t for s, t in zip(by, steps)]))


def slice_of_broadcast(node: Node) -> Node:
    """broadcast(x)[s] -> broadcast(x[s])."""
    (inner,), parts = node.inputs, params(node)
    (x,), (_, axes) = inner.inputs, params(inner)
    stretched = [size == 1 and inner.shape[a] != 1 for size, a in zip(x.shape, axes)]
    whole = (0, 1, 1)  # of an axis of size 1
    small = [[whole[k] if one else part[a] for a, one in zip(axes, stretched)] for k, part in enumerate(parts)]
    return broadcast(cut(x, *map(tuple, small)), node.shape, axes)


def slice_of_pad(node: Node) -> Node | None:
    """pad(x, before)[a : a + n] -> x[a - before : ...], where nothing padded is left."""
    (inner,), (starts, sizes, steps) = node.inputs, params(node)
    before, _, between = params(inner)
    (x, _) = inner.inputs
    first = tuple([a - b for a, b in zip(starts, before)])
    ends = [a + (n - 1) * s + 1 for a, n, s in zip(first, sizes, steps)]
    if any(g != 0 for g in between) or not all(dims.less_equal(0, a) and dims.less_equal(e, n) for a, e, n in zip(first, ends, x.shape)):
        return None
    return x if sizes == x.shape else cut(x, first, sizes, steps)


def reverse_of_reverse(node: Node) -> Node:
    """reverse(reverse(x, a), b) -> reverse(x, a ^ b)."""
    (inner,) = node.inputs
    return reverse(inner.inputs[0], tuple(sorted(set(params(node)[0]) ^ set(params(inner)[0]))))


# -- reductions -------------------------------------------------------------------------------------------------------
def reduce_of_ones(node: Node) -> Node | None:
    """reduce(x, axes) -> reduce(squeeze(x), axes), for axes of size 1."""
    (x,), (axes, combine) = node.inputs, params(node)
    ones = [a for a in axes if x.shape[a] == 1]
    if not ones:
        return None
    kept = [k for k in range(x.ndim) if k not in ones]
    small = reshape(x, tuple([x.shape[k] for k in kept]))
    return reduce(small, tuple([kept.index(a) for a in axes if a not in ones]), combine)


def _merged(node: Node) -> Node | None:
    """reduce(reduce(x, a), b) -> reduce(x, a + b), of one kind."""
    (inner,), (axes, combine) = node.inputs, params(node)
    first, kind = params(inner)
    if kind != combine:
        return None
    kept = [k for k in range(inner.inputs[0].ndim) if k not in first]
    return reduce(inner.inputs[0], tuple(sorted([*first, *[kept[a] for a in axes]])), combine)


def _reorders(node: Node) -> bool:
    return params(node)[1] in ("sum", "prod") and node.dtype.kind == "f"


def extreme_of_extremes(node: Node) -> Node | None:
    """max(max(x, a), b) -> max(x, a + b); so for min, any, all, and sums and products of integers."""
    return None if _reorders(node) else _merged(node)


def sum_of_sums(node: Node) -> Node | None:
    """sum(sum(x, a), b) -> sum(x, a + b); so for products."""
    return _merged(node) if _reorders(node) else None


def reduce_of_reshape(node: Node) -> Node | None:
    """reduce(reshape(x), all axes) -> reduce(x, all axes), unless the reshape only drops axes of size 1."""
    (inner,), (axes, combine) = node.inputs, params(node)
    (x,) = inner.inputs
    if len(axes) != inner.ndim or squeezed(x.shape) == inner.shape:
        return None
    return reduce(x, tuple(range(x.ndim)), combine)


def max_to_sup(node: Node) -> Node | None:
    """max(x) -> sup(x), of floats: its axes were checked not to be empty at the entry. So it is the shift of a logsumexp beside it."""
    (x,), (axes, combine) = node.inputs, params(node)
    return reduce(x, axes, "sup") if combine == "max" and is_float(node.dtype) else None


def _split(node: Node) -> tuple[Node, Axes, list[Size], Axes]:
    """Of a reduction of broadcast(x): x, its reduced axes, the sizes that are repeated and reduced, where the rest of x goes."""
    (inner,), (reduced, _) = node.inputs, params(node)
    (x,), (shape, axes) = inner.inputs, params(inner)
    named = {a for size, a in zip(x.shape, axes) if size != 1 or shape[a] == 1}  # two sizes may be equal by assumption
    inside = tuple([k for k, a in enumerate(axes) if a in reduced])
    repeated = [shape[a] for a in reduced if a not in named]
    kept = [a for a in range(inner.ndim) if a not in reduced]
    return x, inside, repeated, tuple([kept.index(a) for a in axes if a not in reduced])


def reduce_of_broadcast(node: Node) -> Node | None:
    """reduce(broadcast(x)) -> broadcast(reduce(x)), where only axes of x are reduced, or max, min, any, all of repeated elements."""
    x, inside, repeated, places = _split(node)
    combine = str(params(node)[1])
    if repeated and (combine in ("sum", "prod") or not all([isinstance(n, int) and n > 0 for n in repeated])):
        return None
    return broadcast(reduce(x, inside, combine), node.shape, places)


def sum_of_broadcast(node: Node) -> Node | None:
    """sum(broadcast(x)) -> n * broadcast(sum(x)), n elements being repeated."""
    x, inside, repeated, places = _split(node)
    if not repeated or params(node)[1] != "sum" or (node.dtype.kind != "f" and node.dtype.itemsize < 8):
        return None
    total = broadcast(reduce(x, inside, "sum"), node.shape, places)
    if not is_float(node.dtype):
        count = dims.product(repeated)
        return total * asarray(count, node.dtype) if isinstance(count, Dim) or count < 2**63 else None
    factors = [asarray(n, node.dtype) for n in repeated]  # one by one: the size of an axis is an int64, the product need not be
    return total * functools.reduce(operator.mul, factors)


def sum_of_negative(node: Node) -> Node | None:
    """sum(-x) -> -sum(x)."""
    return -reduce(node.inputs[0].inputs[0], *params(node)) if params(node)[1] == "sum" else None


def sum_of_one_hot(node: Node) -> Node | None:
    """sum over axis a of where(iota(a) == i, g, 0) -> where(0 <= i < n, g, 0), where i and g do not vary along a, of size n."""
    (chosen,), (axes, combine) = node.inputs, params(node)
    hit, g, zero = chosen.inputs
    if combine != "sum" or hit.op is not EQUAL or splat(zero) != 0 or g.op is not BROADCAST:
        return None
    for counter, index in (hit.inputs, hit.inputs[::-1]):
        if counter.op is IOTA and index.op is BROADCAST:
            a = params(counter)[1]
            n = chosen.shape[a]
            still = a not in params(index)[1] and a not in params(g)[1]
            if still and a in axes and _holds(index.dtype, n):
                kept = [k for k in range(chosen.ndim) if k != a]
                rest, at = _without(g, kept), _without(index, kept)
                if not within(_bare(at), n):
                    at = astype(at, int64)
                    rest = where((at >= 0) & (at < n), rest, 0)
                return reduce(rest, tuple([kept.index(k) for k in axes if k != a]), "sum")
    return None


def _without(x: Node, kept: Sequence[int]) -> Node:
    """A broadcast without the axes that are not kept, along which it does not vary."""
    return broadcast(x.inputs[0], tuple([x.shape[k] for k in kept]), tuple([kept.index(k) for k in params(x)[1]]))


def _holds(dtype: np.dtype, n: Size) -> bool:
    """Whether positions in an axis of this size do not wrap in an integer dtype."""
    return n - 1 <= np.iinfo(dtype).max if isinstance(n, int) else dtype.itemsize >= 4


def _bare(index: Node) -> Node:
    """The index without what only moves or widens it."""
    while index.op in (RESHAPE, BROADCAST) or (index.op is CAST and index.inputs[0].dtype.kind in "iu"):
        index = index.inputs[0]
    return index


def gather_at_ones(node: Node) -> Node | None:
    """gather(x, i) -> reshape(gather(x, squeeze(i))), for axes of size 1 that the indices bring."""
    (x, *indices), (axes, batch) = node.inputs, params(node)
    shape = indices[0].shape
    small = shape[:batch] + squeezed(shape[batch:])
    if len(small) == len(shape):
        return None
    return reshape(gather(x, *[reshape(i, small) for i in indices], axes=axes, batch=batch), node.shape)


def gather_of_elementwise(node: Node) -> Node | None:
    """gather(f(x, broadcast(y)), i) -> f(gather(x, i), broadcast(y)), f cheap, y not varying where is gathered, fewer elements then."""
    (x, *indices), (axes, batch) = node.inputs, params(node)
    if not x.op.elementwise or x.op.costly:
        return None
    varying = [i for i in x.inputs if i.op is not BROADCAST or not set(axes).isdisjoint(params(i)[1])]
    fewer = dims.less_equal(dims.product(indices[0].shape[batch:]), dims.product(x.shape[a] for a in axes))
    if len(set(varying)) != 1 or not fewer:
        return None
    rest = [k for k in range(x.ndim) if k >= batch and k not in axes]
    place = {k: k for k in range(batch)} | {k: indices[0].ndim + at for at, k in enumerate(rest)}

    def chosen(operand: Node) -> Node:
        if operand is varying[0]:
            return gather(operand, *indices, axes=axes, batch=batch)
        return broadcast(operand.inputs[0], node.shape, tuple([place[k] for k in params(operand)[1]]))

    return make(x.op, tuple(map(chosen, x.inputs)), x.params)


SHAPES: tuple[AnyRule, ...] = (
    Local("broadcast after elementwise", None, broadcast_last, only=("broadcast",)),
    Local("reshape after elementwise", None, reshape_last, inputs=("reshape",), only=("reshape", "broadcast")),
    Local("broadcast of broadcast", "broadcast", broadcast_of_broadcast, inputs=("broadcast",)),
    Local("broadcast of ones", "broadcast", broadcast_of_ones),
    Local("broadcast of iota", "broadcast", broadcast_of_iota, inputs=("iota",)),
    Local("reshape of iota", "reshape", reshape_of_iota, inputs=("iota",)),
    Local("reshape of reshape", "reshape", reshape_of_reshape, inputs=("reshape",)),
    Local("reshape of broadcast", "reshape", reshape_of_broadcast, inputs=("broadcast",)),
    Local("transpose of transpose", "transpose", transpose_of_transpose, inputs=("transpose",)),
    Local("transpose of ones", "transpose", transpose_of_ones),
    Local("transpose of broadcast", "transpose", transpose_of_broadcast, inputs=("broadcast",)),
    Local("slice of slice", "slice", slice_of_slice, inputs=("slice",)),
    Local("slice of broadcast", "slice", slice_of_broadcast, inputs=("broadcast",)),
    Local("slice of pad", "slice", slice_of_pad, inputs=("pad",)),
    Local("reverse of reverse", "reverse", reverse_of_reverse, inputs=("reverse",)),
    Local("reduce of ones", "reduce", reduce_of_ones),
    Local("extreme of extremes", "reduce", extreme_of_extremes, inputs=("reduce",)),
    Local("reduce of broadcast", "reduce", reduce_of_broadcast, inputs=("broadcast",)),
    Local("reduce of reshape", "reduce", reduce_of_reshape, inputs=("reshape",)),
    Local("sum of one-hot", "reduce", sum_of_one_hot, inputs=("select",)),
    Local("sum of sums", "reduce", sum_of_sums, floats="reassoc", inputs=("reduce",)),
    Local("sum of broadcast", "reduce", sum_of_broadcast, floats="reassoc", inputs=("broadcast",)),
    Local("sum of negative", "reduce", sum_of_negative, floats="reassoc", inputs=("negative",)),
)

LATE: tuple[AnyRule, ...] = (
    Local("extreme that was checked", "reduce", max_to_sup),
    Local("gather at ones", "gather", gather_at_ones),
    Local("gather of elementwise", "gather", gather_of_elementwise),
)
