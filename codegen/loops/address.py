"""Linear addresses: every load and store of a kernel at one element offset.

    load(slot, i, j) of an operand (n, m)   ->   fetch(slot, dynamic part + i*m + j)

The static part is a polynomial of loop indices and sizes, the dynamic one is what only the data tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Dim, Size, Symbol
from graphc.dtypes import int64
from graphc.loopform import Routine
from graphc.program import Axis, Kernel, Put, ScalarCode, Stage
from graphc.records import dataclass
from graphc.scalars import Scalar

Placed = tuple[int, "Scalar | None", Size, str]  # a store: slot, dynamic and static offset, mode


@dataclass(frozen=True)
class Loaded:
    """A kernel whose loads and stores have linear offsets. stores[k] are those of stage k."""

    axes: tuple[Axis, ...]
    stages: tuple[Stage, ...]
    stores: tuple[tuple[Placed, ...], ...]
    code: ScalarCode | None = None  # stores of scalar code have one index, the offset
    routine: Routine | None = None


def address(at: Sequence[Scalar], shape: Sequence[Size]) -> tuple[Scalar | None, Size]:
    """The element offset of an index in a contiguous array: a data-dependent part, and a polynomial of loop indices."""
    dynamic: Scalar | None = None
    static: Size = 0
    stride: Size = 1
    for i, size in zip(reversed(at), reversed(shape), strict=True):
        if i.op == "index" or i.op == "const":
            static = i.param * stride + static
        else:
            part = i * sc.index(stride) if stride != 1 else i
            dynamic = part if dynamic is None else dynamic + part
        stride = size * stride
    return dynamic, static


def linear(kernel: Kernel) -> Loaded:
    """load(slot, i, j) -> fetch(slot, dynamic + static)."""
    shapes = [o.shape for o in kernel.operands]

    def leaf(s: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if s.op == "local":
            return sc.local(s.param, (), s.dtype)  # the loops of the nest are at its element
        if s.op != "load":
            return None
        slot, masked = s.param
        dynamic, static = address(args[:-1] if masked else args, shapes[slot])
        return fetch(slot, dynamic, static, s.dtype, args[-1] if masked else None)

    stages, stores = [], []
    moved = sc.replaced(kernel.parts, leaf)
    for stage in kernel.stages:
        factor = None if stage.factor is None else moved[stage.factor]
        stages.append(Stage(stage.axes, moved[stage.body], stage.dtype, stage.reduce, stage.combine, (), stage.scan, stage.nest, factor))
        placed = []
        for store in stage.stores:
            at = [moved[i] for i in store.at]
            placed.append((store.slot, *address(at, shapes[store.slot]), store.mode))
        stores.append(tuple(placed))
    code = None if kernel.code is None else _code(kernel.code, shapes, moved.__getitem__)
    return Loaded(kernel.axes, tuple(stages), tuple(stores), code, kernel.routine)


def _code(code: ScalarCode, shapes: Sequence[Sequence[Size]], moved: Callable[[Scalar], Scalar]) -> ScalarCode:
    """Scalar code with linear offsets: its stores are where the loops alone say."""

    def stored(put: Put) -> tuple[Put]:
        dynamic, static = address(tuple(map(moved, put.at)), shapes[put.slot])
        offset = sc.index(static) if dynamic is None else dynamic + sc.index(static)
        return (Put(put.slot, (offset,), moved(put.value)),)

    return code.mapped(moved, stored)


def fetch(slot: int, dynamic: Scalar | None, static: Size, dtype: np.dtype, mask: Scalar | None = None) -> Scalar:
    """The lowered load: args are the dynamic offset and the mask where there are any."""
    args = (() if dynamic is None else (dynamic,)) + (() if mask is None else (mask,))
    return sc.scalar("fetch", args, dtype, (slot, static, dynamic is not None, mask is not None))


def replace_indices(s: Scalar, sizes: dict[dims.Symbol, Size], offset: Callable[[Size], Size] | None = None) -> Scalar:
    """A lowered Scalar with axes replaced, in offsets too, or these by `offset`."""

    def leaf(x: Scalar, args: tuple[Scalar, ...]) -> Scalar | None:
        if x.op == "fetch":
            slot, static, dynamic, masked = x.param
            moved = offset(static) if offset else dims.substitute(static, sizes) if isinstance(static, Dim) else static
            return sc.scalar("fetch", args, x.dtype, (slot, moved, dynamic, masked))
        return None

    return sc.replace_leaves(s, leaf, sizes)


def size_scalar(size: Size) -> Scalar:
    """A size expression taken apart into Scalars, for indices that are not affine in the lanes."""
    if isinstance(size, int):
        return sc.const(size, int64)
    total: Scalar | None = None
    for monomial, coefficient in size.terms:
        product = None if coefficient == 1 and monomial else sc.const(coefficient, int64)
        for atom, power in monomial:
            if isinstance(atom, Symbol):
                part = sc.index(dims.of_symbol(atom))
            else:
                a, b = (size_scalar(x) for x in atom.args)
                part = sc.scalar(atom.fn, (a, b), int64)
            for _ in range(power):
                product = part if product is None else product * part
        assert product is not None
        total = product if total is None else total + product
    assert total is not None
    return total
