"""Concatenation, and what is made of it or undone by it: stack, split, tile, repeat, roll."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Dim, Size
from graphc.dtypes import int64, promote
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.registry import ArrayLike, asarray, number, structural
from graphc.ops.rows import weak_dtype
from graphc.ops.shape import expand_dims, in_dtype, known_shape, lift, ravel, reshape
from graphc.ops.slicing import along
from graphc.ops.spread import astype, broadcast, broadcast_to
from graphc.scalars import Scalar, index, select
from graphc.traits import Traits
from graphc.types import TensorType, normal_axis, same_size, tensor_type, whole_number


# -- concat ---------------------------------------------------------------------------------------------------------
def _concat_type(*inputs: TensorType, axis: int) -> TensorType:
    first, shape = inputs[0], list(inputs[0].shape)
    for x in inputs[1:]:
        if x.dtype != first.dtype:
            fail(DTypeError, f"concatenate: dtypes {first.dtype} and {x.dtype} differ")
        if x.ndim != first.ndim:
            fail(ShapeError, f"concatenate: {first} and {x} differ in the number of axes")
        for k, (n, m) in enumerate(zip(shape, x.shape)):
            if k != axis and not same_size(n, m):
                fail(ShapeError, f"concatenate: sizes {n} and {m} of axis {k} differ: {first} and {x}")
            if isinstance(n, Dim) and isinstance(m, int):
                shape[k] = m
    shape[axis] = sum([x.shape[axis] for x in inputs], start=0)
    return tensor_type(first.dtype, tuple(shape))


def _concat_loop(node: Node) -> LoopForm:
    (axis,) = node.params
    assert isinstance(axis, int)

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        i = index(at[axis])
        result: Scalar | None = None
        start: Size = 0
        for k, x in enumerate(node.inputs):
            end = start + x.shape[axis]
            tests = ([i >= index(start)] if k else []) + ([i < index(end)] if k < len(node.inputs) - 1 else [])
            mask = tests[0] & tests[1] if len(tests) == 2 else tests[0] if tests else None
            value = read(k, (*at[:axis], at[axis] - start, *at[axis + 1 :]), mask)
            result = value if result is None else select(i < index(start), result, value)
            start = end
        assert result is not None
        return result

    return LoopForm(body)


def _concat_starts(node: Node) -> list[tuple[Size, ...]]:
    (axis,) = node.params
    starts: list[tuple[Size, ...]] = []
    start: Size = 0
    for x in node.inputs:
        starts.append((0,) * axis + (start,) + (0,) * (node.ndim - axis - 1))
        start = start + x.shape[axis]
    return starts


def _concat_vjp(g: Node, out: Node, *inputs: Node, axis: int) -> list[Node]:
    parts: list[Node] = []
    start: Size = 0
    for x in inputs:
        parts.append(along(g, axis, start, x.shape[axis]))
        start = start + x.shape[axis]
    return parts


def _concat_jvp(out: Node, inputs: Sequence[Node], tangents: Sequence[Node | None], axis: int) -> Node:
    return concat([broadcast_to(number(0, x.dtype), x.shape) if t is None else t for x, t in zip(inputs, tangents)], axis)


CONCAT = structural(
    "concat", None, "The inputs one after the other along `axis`.", params=("axis",), type_rule=_concat_type,
    ref=lambda *inputs, axis: np.concatenate(inputs, axis), loop=_concat_loop, vjp=_concat_vjp, jvp=_concat_jvp,
    batch=lambda inputs, mapped, axis: concat(lift(inputs, mapped), axis + 1), traits=Traits(moves="join", starts=_concat_starts),
)  # fmt: skip


def concat(nodes: Sequence[Node], axis: int) -> Node:
    """The primitive: nodes of one dtype, one after the other along axis >= 0."""
    return nodes[0] if len(nodes) == 1 else make(CONCAT, tuple(nodes), (axis,))


def _listed(arrays: object, what: str) -> list[Node]:
    """The arrays of a sequence (or of a node or array, along its first axis) as nodes of one dtype."""
    if not isinstance(arrays, (tuple, list)):
        if not isinstance(arrays, (Node, np.ndarray)):
            fail(ArgumentError, f"{what} takes a sequence of arrays, got {arrays!r:.60}")
        arrays = list(arrays)
    if not arrays:
        fail(ArgumentError, f"{what} needs at least one array")
    dtype = promote(*[weak_dtype(a, what) for a in arrays])
    return [in_dtype(a, dtype) for a in arrays]


def concatenate(arrays: Sequence[ArrayLike] | Node, axis: int | None = 0) -> Node:
    """The arrays one after the other along an existing axis, promoted to one dtype; axis=None joins them raveled.

    Sizes along `axis` add up, symbolic ones too: n and m give m + n. Raises ShapeError where other sizes differ.
    """
    nodes = _listed(arrays, "concatenate")
    if axis is None:
        return concat([ravel(n) for n in nodes], 0)
    if nodes[0].ndim == 0:
        fail(ShapeError, "concatenate: 0-d arrays have no axis to join", *nodes[:2], hint="gx.stack")
    place = normal_axis(axis, nodes[0].ndim, "concatenate", nodes[0])
    for node in nodes:
        if node.ndim != nodes[0].ndim:
            fail(ShapeError, f"concatenate: {nodes[0].ndim} and {node.ndim} axes", nodes[0], node, hint="gx.stack joins along a new axis")
        for k, (n, m) in enumerate(zip(nodes[0].shape, node.shape)):
            if k != place and dims.equal(n, m) is False:
                fail(ShapeError, f"concatenate: sizes {n} and {m} of axis {k} differ", nodes[0], node)
    return concat(nodes, place)


def stack(arrays: Sequence[ArrayLike] | Node, axis: int = 0) -> Node:
    """The arrays, all of one shape, along a new axis. Numbers and nodes may be mixed: `stack([x, 1, y])`."""
    nodes = _listed(arrays, "stack")
    place = normal_axis(axis, nodes[0].ndim + 1, "stack", nodes[0])
    for node in nodes[1:]:
        if node.ndim != nodes[0].ndim or not all(map(same_size, node.shape, nodes[0].shape)):
            fail(ShapeError, "stack: the shapes differ", nodes[0], node, hint="gx.concatenate joins along an existing axis")
    return concat([expand_dims(n, place) for n in nodes], place)


def vstack(arrays: Sequence[ArrayLike] | Node) -> Node:
    """Rows below each other: `concatenate` along axis 0, vectors taken as rows."""
    nodes = _listed(arrays, "vstack")
    return concatenate([reshape(n, (1, *n.shape) if n.ndim else (1, 1)) if n.ndim < 2 else n for n in nodes], 0)


def hstack(arrays: Sequence[ArrayLike] | Node) -> Node:
    """Arrays side by side: `concatenate` along axis 1, vectors and numbers along axis 0."""
    nodes = [reshape(n, (1,)) if n.ndim == 0 else n for n in _listed(arrays, "hstack")]
    return concatenate(nodes, 0 if nodes[0].ndim == 1 else 1)


def column_stack(arrays: Sequence[ArrayLike] | Node) -> Node:
    """Arrays side by side, vectors taken as columns."""
    return concatenate([reshape(n, (n.size, 1)) if n.ndim < 2 else n for n in _listed(arrays, "column_stack")], 1)


# -- split ----------------------------------------------------------------------------------------------------------
def split(x: ArrayLike, indices_or_sections: object, axis: int = 0) -> list[Node]:
    """x cut along `axis`: into that many equal parts, or before the given positions, which may be symbolic sizes.

    A symbolic size that may not divide is checked when the function is called. Raises ShapeError.
    """
    node = asarray(x)
    place = normal_axis(axis, node.ndim, "split", node)
    n = node.shape[place]
    if isinstance(indices_or_sections, (int, np.integer)):
        count = _sections(indices_or_sections, node)
        part = dims.divide(n, count)
        if part is None and isinstance(n, int):
            fail(ShapeError, f"split: size {n} of axis {place} does not divide into {count} equal parts", node, hint="gx.array_split")
        if part is None:  # the reshape carries the check that n divides
            part = dims.floordiv(n, count)
            node = reshape(node, (*node.shape[:place], count * part, *node.shape[place + 1 :]))
        return [along(node, place, k * part, part) for k in range(count)]
    if not isinstance(indices_or_sections, (tuple, list, np.ndarray)):
        fail(ArgumentError, f"split: a number of parts or a sequence of positions, got {indices_or_sections!r:.60}", node)
    return [_between(node, place, a, b) for a, b in itertools.pairwise([0, *indices_or_sections, None])]


def array_split(x: ArrayLike, indices_or_sections: object, axis: int = 0) -> list[Node]:
    """As `split`, but a size that does not divide leaves the first parts one longer."""
    node = asarray(x)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(node, indices_or_sections, axis)
    count, n = _sections(indices_or_sections, node), node.shape[normal_axis(axis, node.ndim, "array_split", node)]
    # part k has (n + count - 1 - k) // count elements, and so ends at the sum of those up to k
    sizes = [dims.floordiv(n + count - 1 - k, count) for k in range(count)]
    place = normal_axis(axis, node.ndim, "array_split", node)
    parts: list[Node] = []
    start: Size = 0
    for size in sizes:
        parts.append(along(node, place, start, size))
        start = start + size
    return parts


MOST_PARTS = 1_000_000  # nodes of one call; more is a mistake, and would not end


def _sections(count: object, node: Node) -> int:
    value = operator.index(count)  # type: ignore[arg-type]
    if not 1 <= value <= MOST_PARTS:
        fail(ArgumentError, f"split: {value} parts; between 1 and {MOST_PARTS} can be made", node)
    return value


def _between(node: Node, axis: int, start: object, stop: object) -> Node:
    key = (slice(None),) * axis + (slice(start, stop),)
    return FUNCTIONS["getitem"](node, key)  # type: ignore[no-any-return]


# -- copies ---------------------------------------------------------------------------------------------------------
def tile(x: ArrayLike, reps: object) -> Node:
    """x repeated reps[k] times along axis k, as a whole; missing axes are added in front."""
    node = asarray(x)
    counts = known_shape(reps, "tile")
    rank = max(len(counts), node.ndim)
    counts = (1,) * (rank - len(counts)) + counts
    sizes = (1,) * (rank - node.ndim) + node.shape
    spread: list[Size] = []
    places: list[int] = []
    for count, size in zip(counts, sizes):
        if count != 1:
            spread.append(count)
        places.append(len(spread))
        spread.append(size)
    copies = broadcast(reshape(node, sizes), tuple(spread), tuple(places))
    return reshape(copies, tuple([count * size for count, size in zip(counts, sizes)]))


def repeat(x: ArrayLike, repeats: object, axis: int | None = None) -> Node:
    """Each element of x `repeats` times, next to each other, along `axis` (None: of the raveled x).

    repeats: an int or a symbolic size; or one int per element, where the size along the axis is an int.
    """
    node = ravel(x) if axis is None else asarray(x)
    place = normal_axis(0 if axis is None else axis, node.ndim, "repeat", node)
    n = node.shape[place]
    if isinstance(repeats, (tuple, list, np.ndarray)) and np.ndim(repeats):
        counts = np.asarray(repeats)
        if counts.dtype.kind not in "iu" or counts.shape not in ((1,), (n,)):
            fail(ShapeError, f"repeat: repeats must be one integer, or one for each of {n} elements", node)
        if counts.shape == (n,):
            return FUNCTIONS["take"](node, np.repeat(np.arange(len(counts)), counts), axis=place)  # type: ignore[no-any-return]
        repeats = int(counts[0])
    (count,) = known_shape(repeats, "repeat")
    shape = (*node.shape[: place + 1], count, *node.shape[place + 1 :])
    copies = broadcast(node, shape, tuple([k for k in range(len(shape)) if k != place + 1]))
    return reshape(copies, (*node.shape[:place], n * count, *node.shape[place + 1 :]))


def roll(x: ArrayLike, shift: object, axis: object = None) -> Node:
    """x with the elements along `axis` moved by `shift` places, those pushed out coming in at the other end; None: of the raveled x.

    shift: an int, a symbolic size, an integer node; or one for each axis of a tuple `axis`.
    """
    node = asarray(x)
    if axis is None:
        return reshape(roll(ravel(node), shift, 0), node.shape)
    axes = [normal_axis(a, node.ndim, "roll", node) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift]
    if len(shifts) != len(axes):
        if 1 not in (len(shifts), len(axes)):
            fail(ShapeError, f"roll: {len(shifts)} shifts for {len(axes)} axes", node)
        shifts, axes = shifts * (len(axes) if len(shifts) == 1 else 1), axes * (len(shifts) if len(axes) == 1 else 1)
    for by, place in zip(shifts, axes):
        node = _roll(node, by, place)
    return node


def _roll(x: Node, shift: object, axis: int) -> Node:
    n = x.shape[axis]
    if n == 0 or n == 1:
        return x
    if isinstance(shift, Node):
        if shift.ndim or shift.dtype.kind not in "iu":
            fail(DTypeError, "roll: a shift is one integer", shift)
        positions = FUNCTIONS["arange"](n) - astype(shift, int64)
        return FUNCTIONS["take"](x, FUNCTIONS["mod"](positions, n), axis=axis)  # type: ignore[no-any-return]
    by = shift if isinstance(shift, Dim) else whole_number(shift, "roll: a shift", x)
    low = dims.mod(by, dims.maximum(n, 1))
    if low == 0:
        return x
    return concat([along(x, axis, n - low, low), along(x, axis, 0, n - low)], axis)


__all__ = ["array_split", "column_stack", "concatenate", "hstack", "repeat", "roll", "split", "stack", "tile", "vstack"]
