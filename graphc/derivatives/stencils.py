"""Derivatives in which an element of the result depends on few elements of x, each in its own place: rows instead of a matrix.

    out = x[1:] * x[:-1]:    d out[e] / d x  is  x[e] at column e + 1, x[e + 1] at column e

A row is a value of the result's shape and, for each element, the number of the seed it belongs to. Elementwise ops act on
values, ops that move elements on both; a sum joins rows that belong to the same seeds. No row is multiplied by zeros and
ones, and what is no part of any row is exactly 0, whatever the values elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graphc.derivatives.entries import Entries
from graphc.derivatives.patterns import MOST, fixed_index
from graphc.errors import IndexOutOfRange
from graphc.ir import Node, make, origin, toposort
from graphc.ops.compare import where
from graphc.ops.create import ones, zeros
from graphc.ops.indexing import gather
from graphc.ops.registry import constant
from graphc.ops.shape import reshape
from graphc.ops.slicing import along


class Row(NamedTuple):
    """d value of an element / d x at `lane`; -1: none, and the value there is 0 if `clean`, else anything."""

    value: Node
    lane: np.ndarray
    clean: bool


Parts = list[tuple[int, Row]]  # (position among the inputs, row): rows of one result's row


def rows_of(results: Sequence[Node], seed: Node, most: int) -> list[list[Row]] | None:
    """The rows of each result; `results` are linear in `seed`. None where there is no such form, or it would have over `most` rows.

    Rows are patterns of one lane an element that carry their numbers along; where there are none, see `patterns_of`.
    """
    n = seed.size
    if not isinstance(n, int) or n > MOST:
        return None
    known = {seed: [Row(ones(seed.shape, seed.dtype), np.arange(n).reshape([int(s) for s in seed.shape]), True)]}
    for node in toposort(results, stop=[seed]):
        if node is seed or not any(i in known for i in node.inputs):
            continue
        if isinstance(node.type, tuple) or not isinstance(node.size, int) or node.size > MOST:
            return None  # of a node of several outputs nothing is known
        with origin(node.site):
            rows = _through(node, known)
        if rows is None or len(rows) > most:
            return None
        known[node] = rows
    found = [known.get(r, []) for r in results]
    values = set(toposort([row.value for rows in found for row in rows], stop=[seed]))
    return None if seed in values else found  # an op that is not linear as it is written


def _through(node: Node, known: Mapping[Node, list[Row]]) -> list[Row] | None:
    if node.op.elementwise:
        depend = [k for k, i in enumerate(node.inputs) if i in known]
        return [_joined(node, parts, depend) for parts in _aligned([(k, row) for k in depend for row in known[node.inputs[k]]])]
    if node.op.traits.moves == "join":
        return _put_together(node, known)
    if node.op.traits.moves not in ("view", "data", "fill") or node.inputs[0] not in known or any(i in known for i in node.inputs[1:]):
        return None
    rest = [np.asarray(-1) if node.op.traits.moves == "fill" else fixed_index(i) for i in node.inputs[1:]]  # pad: nothing is there
    if any(r is None for r in rest):
        return None  # where it reads depends on values
    assert node.op.ref is not None
    rows = known[node.inputs[0]]
    try:
        lanes = [node.op.ref(row.lane, *rest, **node.attrs) for row in rows]
    except IndexOutOfRange:
        return None  # it is an error at the call
    values = [make(node.op, (row.value, *node.inputs[1:]), node.params) for row in rows]
    return [Row(value, lane, row.clean) for value, lane, row in zip(values, lanes, rows)]


def _put_together(node: Node, known: Mapping[Node, list[Row]]) -> list[Row]:
    """Row k of a join is that of the rows k of its operands, where they have so many."""
    assert node.op.ref is not None
    rows: list[Row] = []
    for k in range(max(len(known.get(i, ())) for i in node.inputs)):
        parts = [known[i][k] if k < len(known.get(i, ())) else _nothing(i) for i in node.inputs]
        lane = node.op.ref(*[row.lane for row in parts], **node.attrs)
        rows.append(Row(make(node.op, tuple([row.value for row in parts]), node.params), lane, all([row.clean for row in parts])))
    return rows


def _nothing(x: Node) -> Row:
    """A row of no seed."""
    return Row(zeros(x.shape, x.dtype), np.full([int(s) for s in x.shape], -1), True)


def _aligned(rows: Parts) -> list[Parts]:
    """Rows of different inputs that belong to the same seeds, wherever both belong to one."""
    groups: list[Parts] = []
    for k, row in rows:
        for group in groups:
            if all(k != other and _agree(row.lane, r.lane) for other, r in group):
                group.append((k, row))
                break
        else:
            groups.append([(k, row)])
    return groups


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(((a == b) | (a < 0) | (b < 0)).all())


def _joined(node: Node, parts: Parts, depend: Sequence[int]) -> Row:
    """An elementwise op of one row for each of some inputs, 0 for the others of those that depend on the seeds."""
    lane = np.maximum.reduce([row.lane for _, row in parts])
    clean = bool((lane >= 0).all()) or (all(row.clean for _, row in parts) and node.op.traits.keeps_zeros)
    if len(parts) == 1 < len(depend) and node.op.vjp is not None:
        ((k, row),) = parts
        value = node.op.vjp(row.value, node, *node.inputs, **node.attrs)[k]  # linear and diagonal: the vjp is the op, without the zeros
        return Row(zeros(node.shape, node.dtype) if value is None else value, lane, clean)
    inputs = [zeros(i.shape, i.dtype) if k in depend else i for k, i in enumerate(node.inputs)]
    for k, row in parts:
        covered = row.clean or bool(((lane < 0) | (row.lane >= 0)).all())
        inputs[k] = row.value if covered else where(constant(row.lane >= 0), row.value, 0)
    return Row(make(node.op, tuple(inputs), node.params), lane, clean)


def entries_of(rows: Sequence[Row]) -> Entries:
    """The numbers of the rows, with their places."""
    entries = []
    for row in rows:
        lane = row.lane.ravel()
        e = np.flatnonzero(lane >= 0)
        if e.size:
            flat = reshape(row.value, (-1,))
            gapless = e[-1] - e[0] + 1 == e.size
            entries.append((along(flat, 0, int(e[0]), e.size) if gapless else gather(flat, constant(e), axes=(0,)), e, lane[e]))
    return entries
