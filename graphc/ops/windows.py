"""`window` and `fold`: the pieces of an array that a sliding window sees, and their sum back in place. Each is the other's transpose.

    window(x, fill)[.., i, .., p] = x[.., stride * i + dilation * p - pad, ..], and fill where that lies outside
    fold(g)[.., y, ..]            = the sum of g[.., i, .., p] over all i and p with stride * i + dilation * p - pad = y

A sliding axis keeps its place, where it counts the windows; the axes within windows come behind all others. Neither array of windows is
stored on the way to a reduction: pooling is one pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphc.dims import Size
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.operators import FUNCTIONS
from graphc.ops.convolve import Relation, every, from_long, inside, some_places, span, taps_per_phase
from graphc.ops.registry import asarray, number, structural
from graphc.ops.shape import lift
from graphc.ops.spread import broadcast_to, reduce
from graphc.scalars import Scalar, const_value, select
from graphc.traits import Traits
from graphc.types import Shape, TensorType, tensor_type


class Sliding(NamedTuple):
    """An axis along which a window slides: how many windows, how many elements each has, and y = stride * i + dilation * p - pad."""

    axis: int
    places: Size
    taps: Size
    stride: int = 1
    dilation: int = 1
    pad: Size = 0

    @property
    def relation(self) -> Relation:
        return Relation(0, 1, 2, self.stride, self.dilation, self.pad)


Slidings = tuple[Sliding, ...]


def _window_shape(shape: Shape, slidings: Slidings) -> Shape:
    places = {s.axis: s.places for s in slidings}
    return (*[places.get(k, n) for k, n in enumerate(shape)], *[s.taps for s in slidings])


def _checked(ndim: int, slidings: Slidings) -> Slidings:
    listed = tuple([Sliding(*s) for s in slidings])
    axes = [s.axis for s in listed]
    if len(set(axes)) != len(axes) or not all(0 <= a < ndim for a in axes):
        fail(ShapeError, f"window: the axes {axes} are not distinct axes of an array of rank {ndim}")
    if any(s.stride < 1 or s.dilation < 1 for s in listed):
        fail(ShapeError, "window: strides and dilations are at least 1")
    return listed


def _window_type(x: TensorType, fill: TensorType, slidings: Slidings) -> TensorType:
    if fill.shape or fill.dtype != x.dtype:
        fail(DTypeError, f"window: the fill must be a 0-d {x.dtype}, got {fill}")
    listed = _checked(x.ndim, slidings)
    if not all(some_places(s.places) for s in listed):
        fail(ShapeError, f"window: no window lies in {x}", hint="make the windows smaller")
    return tensor_type(x.dtype, _window_shape(x.shape, listed))


def _window_loop(node: Node) -> LoopForm:
    x, slidings = node.inputs[0], [Sliding(*s) for s in node.params[0]]

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        place, tests = list(at[: x.ndim]), []
        for s, p in zip(slidings, at[x.ndim :]):
            y = place[s.axis] = at[s.axis] * s.stride + p * s.dilation - s.pad
            highest = (s.places - 1) * s.stride + (s.taps - 1) * s.dilation - s.pad
            tests += inside(y, x.shape[s.axis], -s.pad, highest)
        mask = every(tests)
        found = read(0, place, mask)
        if mask is None:
            return found
        outside = read(1, ())
        if outside.op == "const" and str(const_value(outside)) in ("0", "0.0", "False"):
            return found  # a masked read is 0 already
        return select(mask, found, outside)

    return LoopForm(body, view=True)


def _spans(sizes: Sequence[int], slidings: Sequence[Sliding]) -> list[tuple[tuple[slice, ...], tuple[slice | int, ...]]]:
    """For every choice of taps that meets anything: where it lies in the array, and where in the windows."""
    found: list[tuple[tuple[slice, ...], tuple[slice | int, ...]]] = []
    for taps in itertools.product(*[range(int(s.taps)) for s in slidings]):
        pieces = [span(s.relation, sizes[s.axis], int(s.places), t) for s, t in zip(slidings, taps)]
        source, target = [slice(None)] * len(sizes), [slice(None)] * len(sizes)
        for s, piece in zip(slidings, pieces):
            if piece is not None:
                source[s.axis], target[s.axis] = piece
        if None not in pieces:
            found.append((tuple(source), (*target, *taps)))
    return found


def _window_ref(x: np.ndarray, fill: np.ndarray, slidings: Slidings) -> np.ndarray:
    listed = [Sliding(*s) for s in slidings]
    out = np.full([int(n) for n in _window_shape(x.shape, tuple(listed))], fill, x.dtype)
    for source, target in _spans(x.shape, listed):
        out[target] = x[source]
    return out


def _window_vjp(g: Node, out: Node, x: Node, fill: Node, slidings: Slidings) -> tuple[Node, Node | None]:
    inner = fold(g, slidings, tuple([x.shape[s[0]] for s in slidings]))
    if fill.op.traits.leaf == "constant":
        return inner, None
    outside = window(broadcast_to(asarray(False), x.shape), asarray(True), slidings)
    return inner, reduce(FUNCTIONS["where"](outside, g, 0), tuple(range(g.ndim)), "sum")


def _window_jvp(out: Node, inputs: Sequence[Node], tangents: Sequence[Node | None], slidings: Slidings) -> Node:
    (x, _), (tx, tv) = inputs, tangents
    zero = number(0, x.dtype)
    return window(broadcast_to(zero, x.shape) if tx is None else tx, zero if tv is None else tv, slidings)


def _window_batch(inputs: Sequence[Node], mapped: Sequence[bool], slidings: Slidings) -> Node:
    (x, fill), moved = inputs, tuple([Sliding(*s)._replace(axis=s[0] + 1) for s in slidings])
    if not mapped[1]:
        return window(x, fill, moved)
    x = lift(inputs, mapped)[0]
    inner = window(x, number(0, x.dtype), moved)
    mask = window(broadcast_to(asarray(True), x.shape[1:]), asarray(False), slidings)
    fills = FUNCTIONS["reshape"](fill, (fill.shape[0], *[1] * (inner.ndim - 1)))
    return FUNCTIONS["where"](broadcast_to(mask, inner.shape), inner, fills)  # type: ignore[no-any-return]


WINDOW = structural(
    "window", 2, "What windows that slide along axes see of x, a 0-d value beyond its ends; the axes within a window come last.",
    params=("slidings",), type_rule=_window_type, ref=_window_ref, loop=_window_loop, vjp=_window_vjp, jvp=_window_jvp,
    batch=_window_batch, traits=Traits(moves="fill"),
)  # fmt: skip


def window(x: Node, fill: Node, slidings: Sequence[Sliding]) -> Node:
    """The primitive: out[.., i, .., p] = x[.., stride * i + dilation * p - pad, ..], and the 0-d `fill` where that lies outside."""
    return make(WINDOW, (x, fill), (tuple([tuple(s) for s in slidings]),))


# -- fold -------------------------------------------------------------------------------------------------------------------
def _fold_type(g: TensorType, slidings: Slidings, sizes: Shape) -> TensorType:
    listed = _checked(g.ndim - len(slidings), slidings)
    whole = {s.axis: n for s, n in zip(listed, sizes, strict=True)}
    shape = tuple([whole.get(k, n) for k, n in enumerate(g.shape[: g.ndim - len(listed)])])
    if g.dtype.kind not in "fiu" or _window_shape(shape, listed) != g.shape:
        fail(ShapeError, f"fold: {g} is no array of the windows {slidings} over ({', '.join(map(str, sizes))})")
    return tensor_type(g.dtype, shape)


def _fold_loop(node: Node) -> LoopForm:
    """A loop over the taps that may meet an element; where windows do not overlap, that is one."""
    slidings = [Sliding(*s) for s in node.params[0]]
    lengths = [taps_per_phase(s.relation, s.taps) for s in slidings]
    kept = [k for k, n in enumerate(lengths) if n != 1]

    def body(read: Read, at: tuple[Size, ...], loops: tuple[Size, ...]) -> Scalar:
        place, taps, tests = list(at), [], []
        turn = dict(zip(kept, loops))
        for k, s in enumerate(slidings):
            i, p, of_place, of_tap = from_long(s.relation, at[s.axis], turn.get(k, 0), node.params[1][k], s.taps, s.places)
            place[s.axis] = i
            taps.append(p)
            tests += of_place + of_tap
        return read(0, [*place, *taps], every(tests))

    return LoopForm(body, tuple([lengths[k] for k in kept]), "sum" if kept else None)


def _fold_ref(g: np.ndarray, slidings: Slidings, sizes: tuple[int, ...]) -> np.ndarray:
    listed = [Sliding(*s) for s in slidings]
    whole = {s.axis: n for s, n in zip(listed, sizes)}
    out = np.zeros([whole.get(k, n) for k, n in enumerate(g.shape[: g.ndim - len(listed)])], g.dtype)
    for source, target in _spans(out.shape, listed):
        out[source] += g[target]
    return out


FOLD = structural(
    "fold", 1, "The sum of windows back in the places where they were seen: the transpose of window.", params=("slidings", "sizes"),
    type_rule=_fold_type, ref=_fold_ref, loop=_fold_loop, linear_in=(0,),
    vjp=lambda g, out, x, slidings, sizes: (window(g, number(0, g.dtype), slidings),),
    batch=lambda inputs, mapped, slidings, sizes: fold(inputs[0], [Sliding(*s)._replace(axis=s[0] + 1) for s in slidings], sizes),
)  # fmt: skip


def fold(g: Node, slidings: Sequence[Sliding], sizes: Shape) -> Node:
    """The primitive: out[.., y, ..] = the sum of g[.., i, .., p] with stride * i + dilation * p - pad = y; `sizes` of the sliding axes."""
    return make(FOLD, (g,), (tuple([tuple(s) for s in slidings]), sizes))
