"""`x[key]`: NumPy's keys taken apart into a slice, a reversal, a gather and new axes."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import bool_
from graphc.errors import ArgumentError, IndexOutOfRange, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.indexing import as_index, gather, reached, wrap
from graphc.ops.registry import ArrayLike, asarray, constant, flat
from graphc.ops.shape import permute, reshape
from graphc.ops.slicing import cut, reverse
from graphc.ops.spread import broadcast_to
from graphc.records import dataclass
from graphc.types import Shape, broadcast_shapes, same_size


@dataclass(frozen=True)
class Selection:
    """A key against an array: the steps that select, in order. `keys.apply` does them, `at` undoes them."""

    starts: Shape  # 1. a slice of every axis
    sizes: Shape
    steps: tuple[int, ...]
    reversed: tuple[int, ...]  # 2. the order along these axes turned
    kept: Shape  # 3. the shape without the axes of size 1 that integers selected from
    axes: tuple[int, ...]  # 4. a gather along these axes of that, with these indices of one shape
    indices: tuple[Node, ...]
    batch: int
    place: int  # 5. where its index axes go in the result
    result: Shape  # 6. the shape with new axes of size 1
    inside: Node | None = None  # which indices lie inside, where those that do not were moved there

    @property
    def where(self) -> int:
        """How many axes the indices have."""
        return self.indices[0].ndim if self.indices else 0


def getitem(x: ArrayLike, key: Any) -> Node:
    """`x[key]`, by NumPy's rules: integers, slices with steps of either sign, None, ..., integer arrays or nodes, and constant boolean
    arrays (their True elements), alone or mixed.

    Bounds may be symbolic sizes. A position that is out of range is IndexOutOfRange: at build where it is a constant, at the call
    otherwise. On an axis of symbolic size n, `x[1:]` and `x[:-1]` have the size n - 1 (that it is not negative is checked at the
    call, where NumPy would give an empty array), `x[:5]` and `x[-5:]` have min(5, n), and a bound that is itself symbolic is taken
    as it is: `x[k:k+5]` has the size 5, checked at the call. A boolean node selects a number of elements that only its values tell:
    it gives a `Masked`, which has element-wise operators and reductions.
    """
    node = asarray(x)
    if has_mask(key):
        return FUNCTIONS["masked"](node, key)  # type: ignore[no-any-return]
    return apply(node, select(node, key))


def has_mask(key: Any) -> bool:
    """True where a boolean node, whose values are not known, is part of the key."""
    return any([isinstance(e, Node) and e.dtype == bool_ and e.op.name != "constant" for e in (key if isinstance(key, tuple) else (key,))])


def base(x: Node, s: Selection) -> Node:
    """Steps 1 to 3: what the gather selects from."""
    return reshape(reverse(cut(x, s.starts, s.sizes, s.steps), s.reversed), s.kept)


def placed(s: Selection, ndim: int) -> tuple[int, ...]:
    """The axes, as a gather leaves them, in the order of the result."""
    k = s.where
    return (*range(k, k + s.place), *range(k), *range(k + s.place, ndim))


def apply(x: Node, s: Selection) -> Node:
    """All steps of a selection."""
    y = base(x, s)
    if s.indices:
        y = gather(y, *s.indices, axes=s.axes, batch=s.batch)
        y = permute(y, placed(s, y.ndim))
    return reshape(y, s.result)


# -- taking a key apart -------------------------------------------------------------------------------------------------
def select(x: Node, key: Any, mode: str = "raise") -> Selection:
    """The selection that `key` is for x. mode: "raise", "clip" to move positions that are out of range inside, "fill" to say also which."""
    starts: list[Size] = []
    sizes: list[Size] = []
    steps: list[int] = []
    turned: list[int] = []
    kept: list[Size] = []
    slots: list[str] = []  # what each entry of the key leaves in the result: "new", "kept", or "point" for an index
    gathered: list[tuple[int, Node]] = []
    inside: list[Node] = []
    axis = 0
    for entry in _entries(x, key):
        if entry is None:
            slots.append("new")
            continue
        if isinstance(entry, bool):  # as an axis of size 1 of which the one element, or none, is selected
            slots.append("point")
            gathered.append((len(kept), constant(np.zeros(int(entry), np.int64))))
            kept.append(1)
            continue
        n = x.shape[axis]
        start: Size = 0
        size, step, turn = n, 1, False
        if isinstance(entry, slice):
            start, size, step, turn = _range(entry, n, x)
            slots.append("kept")
            kept.append(size)
        elif isinstance(entry, Node) or mode != "raise":
            slots.append("point")
            at = asarray(entry)
            if mode == "raise":
                gathered.append((len(kept), wrap(at, n, "getitem", axis, x)))
            else:
                moved, within = reached(at, n)
                gathered.append((len(kept), moved))
                inside.append(within)
            kept.append(n)
        else:
            start, size = _position(entry, n, axis, x), 1
            slots.append("point")
        starts.append(start)
        sizes.append(size)
        steps.append(step)
        turned += [axis] * turn
        axis += 1
    indices = [i for _, i in gathered]
    where = broadcast_shapes([i.shape for i in indices], "getitem", indices)
    axes = tuple([a for a, _ in gathered])
    first, final = _layout(slots, bool(gathered))
    shape = _result(final, [n for k, n in enumerate(kept) if k not in axes], where)
    batch = 0
    if len(axes) > 1 and axes[0] == 0 and _is_range(indices[0], kept[0], where):
        # x[arange(n), i]: an index per row is a batch of selections, not two data-dependent indices
        axes, indices, batch = axes[1:], indices[1:], 1
    spread = tuple([broadcast_to(i, where) for i in indices])
    found = _all_inside(inside, where) if inside and mode == "fill" else None
    return Selection(tuple(starts), tuple(sizes), tuple(steps), tuple(turned), tuple(kept), axes, spread, batch, first, shape, found)


def _all_inside(inside: list[Node], where: Shape) -> Node:
    if all([i.op.name == "constant" for i in inside]):
        known = functools.reduce(np.logical_and, [i.params[0].array for i in inside])
        return constant(np.broadcast_to(known, [int(n) for n in where]))
    return broadcast_to(functools.reduce(operator.and_, inside), where)


def _entries(x: Node, key: Any) -> list[Any]:
    """The key as a list of None, int, Dim, slice and integer nodes that names every axis of x."""
    listed = _flat(list(key) if isinstance(key, tuple) else [key], x)
    dots = [k for k, e in enumerate(listed) if e is Ellipsis]
    missing = x.ndim - sum([e is not None and e is not Ellipsis and not isinstance(e, bool) for e in listed])
    if missing < 0:
        fail(IndexOutOfRange, f"getitem: {x.ndim - missing} indices for {x.ndim} axes", x)
    if len(dots) > 1:
        fail(ArgumentError, "getitem: only one ... can stand for the remaining axes", x)
    place = dots[0] if dots else len(listed)
    listed[place : place + 1] = [slice(None)] * missing
    return [_entry(e, x) for e in listed]


def _flat(listed: list[Any], x: Node) -> list[Any]:
    """The key with the positions of the True elements, an array for each axis, in place of each constant boolean array."""
    if not any([isinstance(e, (bool, np.bool_, np.ndarray, list)) or (isinstance(e, Node) and e.dtype == bool_) for e in listed]):
        return listed
    found: list[Any] = []
    axis = 0
    after = sum([_axes_of(e) for e in listed])
    for e in listed:
        mask = _mask(e)
        if mask is None:
            found.append(e)
            axis = x.ndim - after if e is Ellipsis else axis
        elif mask.ndim == 0:
            found.append(bool(mask))
        else:
            sizes = x.shape[axis : axis + mask.ndim]
            if len(sizes) < mask.ndim or not all([same_size(n, k) for n, k in zip(sizes, mask.shape)]):
                fail(IndexOutOfRange, f"getitem: a boolean mask of shape {mask.shape} for axes of sizes ({dims.format_shape(sizes)})", x)
            found += list(np.nonzero(mask))
        after -= _axes_of(e)
        axis += _axes_of(e)
    return found


def _mask(entry: Any) -> np.ndarray | None:
    """The values of a constant boolean array, None for any other entry."""
    if isinstance(entry, Node):
        return entry.params[0].array if entry.dtype == bool_ and entry.op.name == "constant" else None
    if isinstance(entry, (bool, np.bool_, np.ndarray, list)) and not _holds_nodes(entry):
        array = np.asarray(entry)
        return array if array.dtype == bool_ else None
    return None


def _holds_nodes(entry: Any) -> bool:
    return isinstance(entry, list) and any([isinstance(e, (Node, Dim)) for e in flat(entry)])


def _axes_of(entry: Any) -> int:
    """How many axes of the array an entry of a key is for."""
    if entry is None or entry is Ellipsis:
        return 0
    mask = _mask(entry)
    return 1 if mask is None else mask.ndim


def _entry(entry: Any, x: Node) -> Any:
    if entry is None or isinstance(entry, (bool, slice, Dim)):
        return entry
    if isinstance(entry, (int, np.integer)):
        return int(entry)
    if not isinstance(entry, (Node, np.ndarray, list, tuple)):
        fail(ArgumentError, f"getitem: {entry!r:.60} is no index", x, hint="integers, slices, None, ..., integer arrays and nodes")
    node = as_index(entry, "getitem")
    if node.ndim == 0 and node.op.name == "constant":
        return int(node.params[0].array)
    return node.params[0] if node.op.name == "size" else node


def _position(entry: int | Dim, n: Size, axis: int, x: Node) -> Size:
    position = n + entry if _from_end(entry) else entry
    if dims.less_equal(0, position) is False or dims.less_equal(position + 1, n) is False:
        fail(IndexOutOfRange, f"getitem: index {entry} is out of range for axis {axis} of size {n}", x)
    return position


def _from_end(bound: Size) -> bool:
    """True for what counts from the end: a number or size that is provably negative."""
    return dims.less_equal(bound, -1) is True


def _bound(value: object, x: Node) -> Size | None:
    if value is None or isinstance(value, Dim):
        return value
    if isinstance(value, Node):
        if value.op.name == "size":
            size: Size = value.params[0]
            return size
        fail(ArgumentError, "getitem: the bound of a slice cannot come from a value", value,
             hint="gx.dynamic_slice(x, starts, sizes) selects a stretch of known length")  # fmt: skip
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        fail(ArgumentError, f"getitem: the bound of a slice is an integer or a Dim, got {value!r:.60}", x)


def _range(entry: slice, n: Size, x: Node) -> tuple[Size, Size, int, bool]:
    """A slice of an axis of size n as (start, size, step, turned): `size` elements from `start` in step > 0, then turned round."""
    start, stop, step = [_bound(v, x) for v in (entry.start, entry.stop, entry.step)]
    step = 1 if step is None else step
    if isinstance(step, Dim) or step == 0:
        fail(ArgumentError, f"getitem: the step of a slice is a nonzero integer, got {step}", x)
    if isinstance(n, int) and not isinstance(start, Dim) and not isinstance(stop, Dim):
        static = range(*slice(start, stop, step).indices(n))
        return (min(static[0], static[-1]) if static else 0), len(static), abs(step), step < 0
    if start is None:
        first = 0 if step > 0 else n - 1
    elif _from_end(start):
        first = n - dims.minimum(-start, n) if step > 0 else n + start
    else:
        first = dims.minimum(start, n - 1) if step < 0 and isinstance(start, int) else start
    if stop is None:
        last = n if step > 0 else -1
    elif _from_end(stop):
        last = n + stop
    else:
        last = dims.minimum(stop, n) if step > 0 and isinstance(stop, int) else stop
    length, by = (last - first, step) if step > 0 else (first - last, -step)
    if dims.less_equal(length, 0):
        return 0, 0, by, step < 0
    size = dims.floordiv(length + by - 1, by)
    return (first if step > 0 else first - (size - 1) * by), size, by, step < 0


# -- where the axes go ----------------------------------------------------------------------------------------------------
def _layout(slots: list[str], gathers: bool) -> tuple[int, list[str]]:
    """(number of kept axes before the index axes, the slots of the result with "where" for those).

    NumPy's rule: index axes stand where the indices stood if these were next to each other, integers counting as indices; else first.
    """
    if not gathers:
        return 0, [s for s in slots if s != "point"]
    points = [k for k, s in enumerate(slots) if s == "point"]
    start = points[0] if points[-1] - points[0] + 1 == len(points) else 0
    before = [s for s in slots[:start] if s != "point"]
    return before.count("kept"), [*before, "where", *[s for s in slots[start:] if s != "point"]]


def _result(slots: list[str], rest: list[Size], where: Shape) -> Shape:
    left = iter(rest)
    shape: list[Size] = []
    for slot in slots:
        shape += where if slot == "where" else [1 if slot == "new" else next(left)]
    return tuple(shape)


def _is_range(index: Node, n: Size, where: Shape) -> bool:
    """True for 0, 1, ..., n - 1 along the first axis of all indices."""
    if not where or index.ndim != len(where) or dims.equal(where[0], n) is not True:
        return False
    if dims.equal(index.shape[0], n) is not True or any([m != 1 for m in index.shape[1:]]):
        return False
    source = index.inputs[0] if index.op.name == "reshape" else index
    if source.op.name == "constant":
        return isinstance(n, int) and bool((source.params[0].array.ravel() == np.arange(n)).all())
    return source.op.name == "iota" and source.ndim == 1
