"""Elementwise kernels by pieces: which ones can be, over what, and which pieces there are.

all       y[i, j]        row * m + column ..      the elements of a piece lie side by side: it is some rows, or a part of one
row       c[i, 0]        row ..
column    b[j]           column ..
none      a[0]           as it is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Dim, Size
from graphc.program import Axis, Kernel, Stage, Store, loop_counter, loop_index, loop_length, loop_sides
from graphc.scalars import Scalar

LINE = 64  # bytes between rows, so that those of a power of two do not meet in the same sets of the cache


@dataclass(frozen=True)
class Pointwise:
    """A kernel over the elements of arrays taken flat: `kernel` on a part of all the `total`.

    along[k] says what operand k has an element for: each of them, each "row" or "column" of `sides`, the numbers of both, or "none".
    """

    kernel: Kernel
    total: Size
    along: tuple[str, ...]
    sides: tuple[Size, Size] | None


@dataclass(frozen=True)
class Piece:
    """What one of `count` turns is at: of each kind of operand how many elements, and from which on."""

    count: Size
    part: Mapping[str, tuple[Size, Size]]
    lengths: tuple[tuple[Dim, Size], ...]


def piece_of(total: Size, sides: tuple[Size, Size] | None, size: int, depth: int) -> Piece:
    """Blocks of at most `size` elements: some whole rows, or pieces of one that are as equal as whole lines are."""
    counter, length = loop_counter(depth), loop_length(depth)
    if sides is None:
        blocks = dims.floordiv(total + (size - 1), size)
        return Piece(blocks, {"all": (length, size * counter)}, ((length, dims.minimum(size, total - size * counter)),))
    (n, m), (rows, columns) = sides, loop_sides(depth)
    across = dims.maximum(1, dims.floordiv(m + (size - 1), size))
    even = dims.floordiv(dims.floordiv(m + (across - 1), across) + (LINE - 1), LINE) * LINE
    wide = dims.maximum(1, dims.minimum(m, even))
    across = dims.maximum(1, dims.floordiv(m + (wide - 1), wide))
    high = dims.maximum(1, dims.floordiv(size, wide))
    row, column = dims.floordiv(counter, across) * high, dims.mod(counter, across) * wide
    here, there = dims.minimum(high, n - row), dims.minimum(wide, m - column)
    part: dict[str, tuple[Size, Size]] = {"all": (length, row * m + column), "row": (rows, row), "column": (columns, column)}
    return Piece(dims.floordiv(n + (high - 1), high) * across, part, ((length, here * there), (rows, here), (columns, there)))


def pointwise(kernel: Kernel, depth: int, least: int) -> Pointwise | None:
    """The kernel over pieces of more than `least` elements of all its arrays, inside so many loops; None where it is no such kernel.

    It reads and writes each at the element its loops are at, or reads one for its row or column.
    """
    if kernel.kind != "loops" or any(s.axes or s.reduce or s.scan for s in kernel.stages):
        return None
    extents = tuple([a.extent for a in kernel.axes])
    total = dims.product(extents)
    if isinstance(total, int) and total <= least:
        return None
    axes = {s for a in kernel.axes for s in dims.symbols(a.index)}
    places = [(s.param[0], s.args[:-1] if s.param[1] else s.args) for s in kernel.parts if s.op == "load"]
    stores = [store for stage in kernel.stages for store in stage.stores]
    if any(store.mode != "set" for store in stores):
        return None
    found: dict[int, tuple[int, int]] = {}  # operand -> the first of the axes that it has, and the one behind them
    for slot, at in places + [(store.slot, store.at) for store in stores]:
        own = _own(at, kernel.operands[slot].shape, extents)
        if own is None or found.setdefault(slot, own) != own or (kernel.operands[slot].written and own != (0, len(extents))):
            return None
    along = [_along(found.get(k, (0, 0)), len(extents)) for k in range(len(kernel.operands))]
    cuts = {first or behind for first, behind in found.values() if 0 < behind - first < len(extents)}
    if None in along or len(cuts) > 1:
        return None
    values = [s for s in kernel.parts if s.op not in ("load", "local")]
    roots = [stage.body for stage in kernel.stages]
    if any(s.op == "index" and dims.symbols(s.param) & axes for s in [*roots, *(a for v in values for a in v.args)]):
        return None  # it computes with its position
    if any(s.op == "load" and s.param[1] and s.args[-1].op == "index" for s in kernel.parts):
        return None
    named = tuple([a for a in along if a is not None])
    flat = _flat(kernel, named, bool(cuts), depth)
    sides = [(dims.product(extents[:cut]), dims.product(extents[cut:])) for cut in cuts]
    return Pointwise(flat, total, named, sides[0] if sides else None)


def _along(own: tuple[int, int], axes: int) -> str | None:
    """What an operand with the axes from own[0] to own[1] of so many has an element for; None where these are in the middle."""
    first, behind = own
    if behind == first:
        return "none"
    return "all" if (first, behind) == (0, axes) else "row" if first == 0 else "column" if behind == axes else None


def _flat(kernel: Kernel, along: Sequence[str], sides: bool, depth: int) -> Kernel:
    """The kernel over one piece of everything."""
    length, (rows, columns) = loop_length(depth), loop_sides(depth)
    here, there = Axis(loop_index(0), rows if sides else length), Axis(loop_index(1), columns)
    of = {"all": (here, there) if sides else (here,), "row": (here,), "column": (there,)}
    at = {what: tuple([sc.index(a.index) for a in axes]) for what, axes in of.items()}

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load" or along[s.param[0]] == "none":
            return None
        return sc.load(s.param[0], at[along[s.param[0]]], s.dtype, args[-1] if s.param[1] else None)

    def stage(s: Stage) -> Stage:
        return replace(s, body=sc.replace_leaves(s.body, leaf), stores=tuple([Store(store.slot, at["all"]) for store in s.stores]))

    shapes = {what: tuple([a.extent for a in axes]) for what, axes in of.items()}
    operands = [replace(o, shape=shapes.get(what, o.shape)) for o, what in zip(kernel.operands, along, strict=True)]
    return Kernel(of["all"], tuple([stage(s) for s in kernel.stages]), tuple(operands))


def _own(at: Sequence[Scalar], shape: Sequence[Size], extents: Sequence[Size]) -> tuple[int, int] | None:
    """Which of the loops an index is that of, in an array of their extents but for literal ones: neighbours, the first and that behind."""
    inner = [(i, s) for i, s in zip(at, shape, strict=True) if s != 1]
    if not inner:
        return 0, 0
    names = [loop_index(p) for p in range(len(extents))]
    if any(i.op != "index" or i.param not in names for i, _ in inner):
        return None
    first = names.index(inner[0][0].param)
    behind = first + len(inner)
    alike = [i.param for i, _ in inner] == names[first:behind] and tuple([s for _, s in inner]) == tuple(extents[first:behind])
    return (first, behind) if alike else None
