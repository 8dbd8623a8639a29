"""What can be proved of the values of an index, so that no check or wrap of it is emitted."""

from __future__ import annotations

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import bool_, int64
from graphc.ir import Node
from graphc.traits import Selects


def _source(node: Node) -> Node:
    """Where the values of `node` come from: past ops that only move them and integer casts that keep them."""
    while node.inputs:
        keeps = node.op.name == "cast" and np.can_cast(node.inputs[0].dtype, node.dtype, "safe")
        if not node.op.traits.picks and not keeps:
            break
        node = node.inputs[0]
    return node


def _value(node: Node) -> Size | None:
    """The one integer that all elements are, where that is known."""
    node = _source(node)
    if node.op.name == "size":
        size: Size = node.params[0]
        return size
    if node.op.name == "constant" and node.dtype.kind in "iu":
        array = node.params[0].array
        return int(array.flat[0]) if array.size and (array == array.flat[0]).all() else None
    if node.op.name in ("add", "subtract"):
        a, b = [_source(i) for i in node.inputs]
        if all(i.op.name in ("size", "constant") for i in (a, b)):
            left, right = _value(a), _value(b)
            if left is None or right is None:
                return None
            found = left + right if node.op.name == "add" else left - right
            return found if _fits(found, (left, right), node.dtype) else None
    return None


def _extent(iota: Node) -> Size:
    """How far an iota counts."""
    size: Size = iota.attrs["shape"][iota.attrs["axis"]]
    return size


def _fits(found: Size, operands: tuple[Size, Size], dtype: np.dtype) -> bool:
    """Whether a sum does not wrap around in its dtype: sizes are far below 2**62."""
    if isinstance(found, int):
        return bool(np.iinfo(dtype).min <= found <= np.iinfo(dtype).max)
    return dtype == int64 and all(abs(k) < 1 << 62 for k in operands if isinstance(k, int))


def _sorted_from(node: Node) -> Size | None:
    """The size of the axis of which a sort tells positions."""
    source = node.inputs[0] if node.op.name == "get" else node
    return source.inputs[0].shape[source.attrs["axis"]] if source.op.name == "sort" and node.params[0] == 1 else None


def _stretch(node: Node) -> tuple[Node, Size] | None:
    """(start, length) of an index that is a clipped start and the elements after it: start + 0, 1, .., length - 1."""
    if node.op.name == "add" and node.dtype == int64:
        a, b = [_source(i) for i in node.inputs]
        for first, count in ((a, b), (b, a)):
            if first.op.name == "clip" and count.op.name == "iota":
                return first, _extent(count)
    return None


def never_negative(index: Node, n: Size) -> bool:
    """True where every element is provably >= 0, unless the axis of size n that it indexes is empty."""
    node = _source(index)
    if node.dtype.kind in "ub" or node.op.name == "arg_reduce" or _sorted_from(node) is not None:
        return True
    if node.op.name == "iota":
        return node.dtype == int64 or dims.less_equal(_extent(node) - 1, np.iinfo(node.dtype).max) is True
    if node.op.name == "constant":
        return not (node.params[0].array < 0).any()
    if node.op.name == "size":
        return dims.lower_bound(node.params[0]) is not None and dims.less_equal(0, node.params[0]) is True
    if (stretch := _stretch(node)) is not None:
        return never_negative(stretch[0], n)
    if node.op.name == "mod":
        divisor = _value(node.inputs[1])
        return divisor is not None and dims.less_equal(0, divisor) is True
    if node.op.name == "clip":
        low, high = _value(node.inputs[1]), _value(node.inputs[2])
        if low is None or high is None or dims.less_equal(0, low) is not True:
            return False
        return dims.less_equal(0, high) is True or dims.less_equal(n, high + 1) is True  # where low > high, clip gives high
    return False


def within(index: Node, n: Size) -> bool:
    """True where every element is provably in [0, n): constants, positions, `% n`, `clip(0, n - 1)`."""
    node = _source(index)
    if node.op.name == "constant":
        array = node.params[0].array
        return not array.size or (array.min() >= 0 and dims.less_equal(int(array.max()) + 1, n) is True)
    if node.op.name == "iota":
        return never_negative(node, n) and dims.less_equal(_extent(node), n) is True
    if node.op.name == "size":
        return never_negative(node, n) and dims.less_equal(node.params[0] + 1, n) is True
    if (rows := _sorted_from(node)) is not None:
        return dims.less_equal(rows, n) is True
    if (stretch := _stretch(node)) is not None:
        first, extent = stretch
        high = _value(first.inputs[2])
        return never_negative(first, n) and high is not None and dims.less_equal(high + extent, n) is True
    if dims.less_equal(1, n) is not True:
        return False  # an empty axis has no valid index, whatever the arithmetic says
    if node.op.name == "arg_reduce":
        x = node.inputs[0]
        axes = node.attrs["axes"]
        return dims.less_equal(dims.product([x.shape[a] for a in axes]), n) is True
    if node.op.name == "mod":
        divisor = _value(node.inputs[1])
        return divisor is not None and dims.less_equal(1, divisor) is True and dims.less_equal(divisor, n) is True
    if node.op.name == "clip":
        high = _value(node.inputs[2])
        return never_negative(node, n) and high is not None and dims.less_equal(high + 1, n) is True
    return False


# -- indices that count from the end -------------------------------------------------------------------------------------
def _counted_from_end(index: Node, n: Size) -> Node | None:
    """i, where the index is `where(i < 0, i + n, i)`, see `indexing.wrap`."""
    if index.op.name != "select":
        return None
    negative, moved, i = index.inputs
    if negative.op.name != "less" or negative.inputs[0] is not i or _value(negative.inputs[1]) != 0 or moved.op.name != "add":
        return None
    added = [_value(other) for first, other in (moved.inputs, moved.inputs[::-1]) if first is i]
    return i if index.dtype == int64 and any([a is not None and dims.equal(a, n) is True for a in added]) else None


def origin(index: Node, axis: int, n: Size) -> Selects:
    """What to check of an index into an axis of size n: the whole numbers that it was made of, where they stand before they are counted
    from the end, stretched, reordered or cast. So they are read once and where the user has them, and nothing is stored for the check.
    """
    wraps, spread = False, list[Size]()
    while True:
        i = None if wraps else _counted_from_end(index, n)
        if i is not None:
            wraps = True
        elif index.op.name in ("reshape", "transpose", "reverse") or (
            index.op.name == "cast" and np.can_cast(index.inputs[0].dtype, index.dtype, "safe") and index.inputs[0].dtype != bool_
        ):
            i = index.inputs[0]
        elif index.op.name == "broadcast":
            i = index.inputs[0]
            kept = {a for m, a in zip(i.shape, index.attrs["axes"]) if m != 1}
            spread += [m for a, m in enumerate(index.shape) if a not in kept]
        else:
            more = [m for m in spread if not any([dims.equal(m, own) is True for own in index.shape])]
            return Selects(index, axis, n, wraps, dims.product(more))
        index = i


def selected_from(x: Node, axis: int) -> tuple[Node, int]:
    """The array and the axis of it as the user has them, of which `axis` of x is another view: for messages."""
    while True:
        match x.op.name:
            case "transpose":
                axis = x.attrs["axes"][axis]
            case "reshape":
                before = dims.product(x.shape[:axis])
                same = [k for k, m in enumerate(x.inputs[0].shape) if dims.equal(m, x.shape[axis]) is True]
                found = [k for k in same if dims.equal(dims.product(x.inputs[0].shape[:k]), before) is True]
                if not found:
                    return x, axis
                axis = found[-1]
            case "broadcast" if axis in x.attrs["axes"] and x.inputs[0].shape[x.attrs["axes"].index(axis)] != 1:
                axis = x.attrs["axes"].index(axis)
            case "slice" if dims.equal(x.shape[axis], x.inputs[0].shape[axis]) is True:
                pass
            case _:
                return x, axis
        x = x.inputs[0]
