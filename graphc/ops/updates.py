"""Updates that multiply, or keep the smaller or the larger: what `scatter` is to adding up, with derivatives of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.dtypes import int64
from graphc.ir import Node, make
from graphc.operators import FUNCTIONS
from graphc.ops.create import iota, zeros
from graphc.ops.cumulate import recur
from graphc.ops.indexing import Axes, checked_from, gather, scatter, update_batch, updated, updated_type
from graphc.ops.registry import asarray, constant, number, structural
from graphc.ops.shape import reshape
from graphc.ops.slicing import along
from graphc.ops.spread import astype, broadcast_to
from graphc.traits import Traits

UFUNCS = {"multiply": np.multiply, "min": np.minimum, "max": np.maximum}


def _ref(x: np.ndarray, updates: np.ndarray, *indices: np.ndarray, axes: Axes, batch: int, mode: str) -> np.ndarray:
    return updated(UFUNCS[mode], x, updates, indices, axes, batch)


# -- the smaller and the larger -----------------------------------------------------------------------------------------
def _ties(out: Node, x: Node, updates: Node, indices: Sequence[Node], axes: Axes, batch: int) -> tuple[Node, Node]:
    """Which of the elements, and which of the updates, are what the result has at their place."""
    return x == out, updates == gather(out, *indices, axes=axes, batch=batch)


def _shared(out: Node, held: Node, given: Node, indices: Sequence[Node], axes: Axes, batch: int) -> Node:
    """How many share a place of the result."""
    return scatter(astype(held, out.dtype), astype(given, out.dtype), *indices, axes=axes, batch=batch, mode="add")


# -- products -------------------------------------------------------------------------------------------------------------
def _others(x: Node, updates: Node, indices: Sequence[Node], axes: Axes, batch: int) -> Node:
    """For each update the product of the element and of all the other updates at its place: right with any number of zeros, at every order.

    The updates are put in the order of their places; before each of them, and after it, runs the product of its neighbours there.
    """
    lead, count = indices[0].ndim, dims.product(indices[0].shape)
    sizes = [*x.shape[:batch], *[x.shape[a] for a in axes]]
    grids = [iota(indices[0].shape, k) for k in range(batch)]
    flat: Node = broadcast_to(number(0, int64), indices[0].shape)
    for place, size in zip([*grids, *indices], sizes):
        flat = flat * asarray(size) + astype(place, int64)
    order = _order(reshape(flat, (count,)), indices, batch)
    places = gather(reshape(flat, (count,)), order, axes=(0,))
    rows = (count, *updates.shape[lead:])
    factors = gather(reshape(updates, rows), order, axes=(0,))
    elements = gather(reshape(gather(x, *indices, axes=axes, batch=batch), rows), order, axes=(0,))
    same = places == _moved(places, 1)
    first = _beside(~(same & (iota((count,), 0) > 0)), factors)
    last = _beside(~((places == _moved(places, -1)) & (iota((count,), 0) < asarray(count) - 1)), factors)
    where = FUNCTIONS["where"]
    before = recur(where(first, 0, _moved(factors, 1)), where(first, elements, 0), 0, False, False)
    after = recur(where(last, 0, _moved(factors, -1)), where(last, number(1, x.dtype), 0), 0, True, False)
    others = scatter(zeros(factors.shape, x.dtype), before * after, order, axes=(0,), mode="set")
    return reshape(others, updates.shape)


def _order(places: Node, indices: Sequence[Node], batch: int) -> Node:
    """The positions of the places from the lowest to the highest, of equal ones from the first to the last."""
    known = [i.attrs["value"].array.ravel() for i in indices if i.op.name == "constant"]
    if len(known) == len(indices):
        lead = [np.ravel(k) for k in np.indices(indices[0].attrs["value"].array.shape)[:batch]]
        return constant(np.lexsort([*lead, *known]), int64)
    return astype(FUNCTIONS["argsort"](places), int64)


def _moved(x: Node, by: int) -> Node:
    """x with every row one further on, or one further back; the row that comes in may be any."""
    n = x.shape[0]
    if n == 0 or n == 1:
        return x
    keep = along(x, 0, 0, 1) if by > 0 else along(x, 0, n - 1, 1)
    rest: Size = n - 1
    parts = [keep, along(x, 0, 0, rest)] if by > 0 else [along(x, 0, 1, rest), keep]
    return FUNCTIONS["concatenate"](parts, 0)  # type: ignore[no-any-return]


def _beside(rows: Node, like: Node) -> Node:
    return broadcast_to(reshape(rows, (rows.shape[0], *[1] * (like.ndim - 1))), like.shape)


# -- the row --------------------------------------------------------------------------------------------------------------
def _vjp(g: Node, out: Node, x: Node, updates: Node, *indices: Node, axes: Axes, batch: int, mode: str) -> list[Node | None]:
    none: list[Node | None] = [None] * len(indices)
    if mode == "multiply":
        others = _others(x, updates, indices, axes, batch)
        whole = update(g, updates, *indices, axes=axes, batch=batch, mode=mode)
        return [whole, gather(g, *indices, axes=axes, batch=batch) * others, *none]
    held, given = _ties(out, x, updates, indices, axes, batch)
    share = g / _shared(out, held, given, indices, axes, batch)
    return [share * astype(held, x.dtype), gather(share, *indices, axes=axes, batch=batch) * astype(given, x.dtype), *none]


def _jvp(out: Node, inputs: Sequence[Node], tangents: Sequence[Node | None], axes: Axes, batch: int, mode: str) -> Node:
    (x, updates, *indices), tx, tu = inputs, tangents[0], tangents[1]
    tx = zeros(x.shape, x.dtype) if tx is None else tx
    if mode == "multiply":
        whole = update(tx, updates, *indices, axes=axes, batch=batch, mode=mode)
        if tu is None:
            return whole
        return scatter(whole, tu * _others(x, updates, indices, axes, batch), *indices, axes=axes, batch=batch, mode="add")
    held, given = _ties(out, x, updates, indices, axes, batch)
    count = _shared(out, held, given, indices, axes, batch)
    tu = zeros(updates.shape, x.dtype) if tu is None else tu
    parts = scatter(tx * astype(held, x.dtype), tu * astype(given, x.dtype), *indices, axes=axes, batch=batch, mode="add")
    return parts / count


def _batch(inputs: Sequence[Node], mapped: Sequence[bool], axes: Axes, batch: int, mode: str) -> Node:
    return update_batch(UPDATE, inputs, mapped, axes, batch, mode)


def _masks(out: Node, x: Node, updates: Node, *indices: Node, axes: Axes, batch: int, mode: str) -> list[Node | None]:
    none: list[Node | None] = [None] * len(indices)
    return [None, None, *none] if mode == "multiply" else [*_ties(out, x, updates, indices, axes, batch), *none]


UPDATE = structural(
    "update", None, "x with the elements that `gather` would select combined with `updates`, one after the other: multiply, min, max. nan "
    "wins; ties share the derivative.",
    params=("axes", "batch", "mode"), type_rule=updated_type, ref=_ref, vjp=_vjp, jvp=_jvp, batch=_batch,
    traits=Traits(kernel="scatter", by_address=(0, 1), checked=checked_from(2), masks=_masks),
)  # fmt: skip


def update(x: Node, updates: Node, *indices: Node, axes: Axes, batch: int = 0, mode: str = "multiply") -> Node:
    """The primitive: mode "multiply", "min" or "max"."""
    return make(UPDATE, (x, updates, *indices), (axes, batch, mode))
