"""What a block of a kernel is: the same kernel over a part of what its loops run over.

    flat    out[i0, i1] = f(x[i0, i1]) for i0 in n, i1 in 33       ->    out[i0] = f(x[i0]) for i0 in length
    flat    out[i0, i1] = x[i0, i1] + b[i1] for i0 in n, i1 in m   ->    out[i0] = x[i0] + b'[i0] for i0 in length, b' spread over n, m
    rows    m[i0] = max over r of x[i0, r] * b[r] for i0 in n      ->    the same for i0 in length

A flat kernel reads and writes every array at the element its loops are at; its arrays are taken as vectors of all their elements.
Those that it only reads may have some of its axes alone, as biases and scales do: somebody spreads these over all of them.
One by rows reads and writes every array along its leading loop at the row this is at, and the rest of each row, as well as arrays
that have nothing to do with that loop, as it likes: reductions of rows, biases, gathers inside a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Dim, Size, Symbol
from graphc.program import Axis, Kernel, Operand, Stage, Store, loop_index
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass(frozen=True)
class Form:
    """`kernel` does a part of the `total` units; `along[k]`: operand k has as many, of `inner[k]` elements each.

    Where a flat kernel takes operands as if they were spread over its extents, these are `sides`, and operand k has the axes spread[k].
    """

    kernel: Kernel
    total: Size
    along: tuple[bool, ...]
    inner: tuple[int, ...]
    flat: bool  # each element is read before it is written, and none behind it
    elements: bool  # it might be taken by elements
    sides: tuple[Size, ...] = ()
    spread: tuple[tuple[int, ...], ...] = ()

    @property
    def widest(self) -> int:
        """Elements of a unit of the largest array."""
        return max([n for n, along in zip(self.inner, self.along, strict=True) if along], default=1)


def element_form(kernel: Kernel, length: Size, smallest: int = 0) -> Form | None:
    """The kernel over flat arrays of this length, if it writes each at the element its loops are at, and reads each there, at some of
    its loops, or has one element of it.

    None, too, where there are no more than `smallest` elements.
    """
    if kernel.kind != "loops" or not kernel.axes or any(s.axes or s.reduce or s.scan for s in kernel.stages):
        return None
    extents = tuple([a.extent for a in kernel.axes])
    total = dims.product(extents)
    if isinstance(total, int) and total <= smallest:
        return None
    if not _sets(kernel) or _computes_with(kernel, {s for a in kernel.axes for s in dims.symbols(a.index)}):
        return None
    every = tuple(range(len(extents)))
    has: list[tuple[int, ...] | None] = [None] * len(kernel.operands)
    for slot, at in _places(kernel):
        axes = _axes(at, kernel.operands[slot].shape, extents)
        if axes is None or has[slot] not in (None, axes) or (axes != every and kernel.operands[slot].written):
            return None
        has[slot] = axes
    along = tuple([axes == every for axes in has])
    spread = tuple([() if full else axes or () for full, axes in zip(along, has, strict=True)])
    here = (sc.index(loop_index(0)),)

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op != "load" or not has[s.param[0]]:
            return None
        return sc.load(s.param[0], here, s.dtype, args[-1] if s.param[1] else None)

    def stage(s: Stage) -> Stage:
        return replace(s, body=sc.replace_leaves(s.body, leaf), stores=tuple([Store(store.slot, here) for store in s.stores]))

    operands = [replace(o, shape=(length,)) if axes else o for o, axes in zip(kernel.operands, has, strict=True)]
    flat = Kernel((Axis(loop_index(0), length),), tuple([stage(s) for s in kernel.stages]), tuple(operands))
    sides = (extents, spread) if any(spread) else ()
    return Form(flat, total, along, (1,) * len(operands), True, True, *sides)


def row_form(kernel: Kernel, length: Dim) -> Form | None:
    """The kernel over so many rows, if it takes the rows of its leading loop one by one, each of a known number of elements."""
    if kernel.kind != "loops" or not kernel.axes or kernel.code is not None or kernel.scratch or not _sets(kernel):
        return None
    lead = kernel.axes[0]
    own = dims.symbols(lead.index)
    inside = [a.extent for a in kernel.all_axes()[1:]]
    if any(own & dims.symbols(extent) for extent in inside) or _computes_with(kernel, own):
        return None
    along: list[bool | None] = [None] * len(kernel.operands)
    for slot, at in _places(kernel):
        mine = _by_row(at, kernel.operands[slot], lead)
        if mine is None or along[slot] not in (None, mine):
            return None
        along[slot] = mine
    rows = [_row(o) if mine else 1 for o, mine in zip(kernel.operands, along, strict=True)]
    if not all(isinstance(row, int) and row > 0 for row in rows):
        return None
    total = lead.extent
    inner = tuple([row for row in rows if isinstance(row, int)])
    form = element_form(kernel, length * max(inner))
    if form is not None and not form.sides:  # loops over all elements are one loop
        whole = {n for n, mine in zip(inner, along, strict=True) if mine}
        if len(whole) == 1 and form.along == tuple(map(bool, along)):
            return replace(form, total=total, inner=inner)
    operands = [_part(o, length) if mine else o for o, mine in zip(kernel.operands, along, strict=True)]
    made = replace(kernel, axes=(Axis(lead.index, length), *kernel.axes[1:]), operands=tuple(operands))
    return Form(made, total, tuple(map(bool, along)), inner, False, form is not None)


def _sets(kernel: Kernel) -> bool:
    """Whether all that it stores is new."""
    return all(store.mode == "set" for stage in kernel.stages for store in stage.stores)


def _computes_with(kernel: Kernel, symbols: set[Symbol] | frozenset[Symbol]) -> bool:
    """Whether it uses the indices of these loops for anything but to say where it reads and writes."""
    values = [s for s in kernel.parts if s.op not in ("load", "local")]
    used = [s.body for s in kernel.stages] + [s.factor for s in kernel.stages if s.factor is not None]
    used += [a for v in values for a in v.args] + [s.args[-1] for s in kernel.parts if s.op == "load" and s.param[1]]
    return any(s.op == "index" and dims.symbols(s.param) & symbols for s in used)


def _places(kernel: Kernel) -> list[tuple[int, Sequence[Scalar]]]:
    """The operand and the index of everything that it loads and stores."""
    loads = [(s.param[0], s.args[:-1] if s.param[1] else s.args) for s in kernel.parts if s.op == "load"]
    return [*loads, *[(store.slot, store.at) for stage in kernel.stages for store in stage.stores]]


def _axes(at: Sequence[Scalar], shape: Sequence[Size], extents: Sequence[Size]) -> tuple[int, ...] | None:
    """The loops whose index an index is, in their order, in an array of their extents but for literal ones.

    () for one element, wherever the loops are; None for any other index.
    """
    names = {loop_index(p): p for p in range(len(extents))}
    symbols = {s for index in names for s in dims.symbols(index)}
    apart = [i.op == "const" or (i.op == "index" and not symbols & dims.symbols(i.param)) for i, n in zip(at, shape, strict=True) if n != 1]
    if all(apart):
        return ()
    inner = [(names.get(i.param) if i.op == "index" else None, size) for i, size in zip(at, shape, strict=True) if size != 1]
    axes = tuple([p for p, _ in inner if p is not None])
    alike = len(axes) == len(inner) and list(axes) == sorted(set(axes)) and all(size == extents[p] for p, (_, size) in zip(axes, inner))
    return axes if alike else None


def _leading(operand: Operand) -> int:
    """The first axis that is not a literal one."""
    return next((k for k, s in enumerate(operand.shape) if s != 1), len(operand.shape))


def _by_row(at: Sequence[Scalar], operand: Operand, lead: Axis) -> bool | None:
    """True for an element of the row that the loop is at, False for one that has nothing to do with that loop, else None."""
    own = dims.symbols(lead.index)
    moved = [k for k, i in enumerate(at) if i.op == "index" and dims.symbols(i.param) & own]
    if not moved:
        return False
    first = _leading(operand)
    mine = moved == [first] and at[first].param == lead.index and operand.shape[first] == lead.extent
    return True if mine else None


def _row(operand: Operand) -> Size:
    """The elements of a row."""
    return dims.product(operand.shape[_leading(operand) + 1 :])


def _part(operand: Operand, length: Dim) -> Operand:
    first = _leading(operand)
    return replace(operand, shape=(*operand.shape[:first], length, *operand.shape[first + 1 :]))
