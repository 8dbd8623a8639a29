"""Few seeds for a derivative with many zeros: columns that no element of the result shares are computed as one.

    d out[e] / d x[j] is 0 for most (e, j), as out[e] depends on a few x[j]. Columns j and k that meet in no e get one colour;
    a seed with 1 at all x[j] of a colour gives all their columns at once: a diagonal takes 1 seed, a tridiagonal matrix 3.

The pattern is that of the graph, not of its values: it comes from evaluating the batched tangents with "depends" for numbers.
The zeros so known are exact, whatever the values elsewhere: no inf * 0 enters them. Curtis, Powell and Reid, "On the estimation
of sparse Jacobian matrices", 1974.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.dtypes import is_float
from graphc.ir import Node, toposort
from graphc.ops.create import zeros
from graphc.ops.indexing import SCATTER, gather, scatter
from graphc.ops.registry import constant
from graphc.ops.shape import reshape
from graphc.types import Shape

FEWEST = 8  # seeds; a smaller identity matrix costs nothing
GAIN = 4  # seeds for each colour at least: stores to places from a list cost more than stores in a row
MOST = 1 << 20  # elements of one node's pattern
MOST_WORK = 1 << 24  # elements of all patterns: some 50 ms


def patterns(results: Sequence[Node], basis: Node) -> list[np.ndarray] | None:
    """For each result, an array of its shape: whether an element depends on its lane of `basis`, the identity. None: not known.

    `results` are linear in `basis` and have its leading axis.
    """
    if not all(isinstance(s, int) for s in basis.shape):
        return None
    n = int(basis.shape[0])
    if n < FEWEST or n * n > MOST:
        return None
    known: dict[Node, np.ndarray] = {basis: np.eye(n, dtype=bool).reshape(basis.shape)}
    work = 0
    for node in toposort(results, stop=[basis]):
        if node is basis or not any(i in known for i in node.inputs):
            continue
        if isinstance(node.type, tuple) or not isinstance(node.size, int) or node.size > MOST or work > MOST_WORK:
            return None  # of a node of several outputs nothing is known: the result is dense
        work += node.size
        found = _pattern(node, known)
        if found is None or found.shape != node.shape:
            return None
        known[node] = found
    return [known[r] for r in results] if all(r in known for r in results) else None


def _pattern(node: Node, known: Mapping[Node, np.ndarray]) -> np.ndarray | None:
    op = node.op
    if op.elementwise:
        parts = [known[i] for i in node.inputs if i in known]
        return np.logical_or.reduce(parts) if len(parts) > 1 else parts[0]
    # `linear_in` names no operands that are linear together; a reduction of tangents is a sum
    if op.ref is None or op.regions or not (op.linear_in or op.traits.moves or op.traits.reduces or op is SCATTER):
        return None
    operands = []
    for i in node.inputs:
        if i in known:
            operands.append(known[i].astype(i.dtype))
        elif not is_float(i.dtype):
            if i.op.traits.leaf != "constant":
                return None  # where it goes depends on values
            operands.append(i.attrs["value"].array)
        elif isinstance(i.size, int):
            operands.append(np.full(i.shape, len(op.linear_in) > 1, i.dtype))  # the other factor of a product is 1, another addend 0
        else:
            return None
    found: np.ndarray = op.ref(*operands, **node.attrs) != 0
    return found


def colours(found: Sequence[np.ndarray]) -> np.ndarray | None:
    """A number for each lane, so that lanes of one number share no element; None where that saves too little."""
    n = len(found[0])
    rows = np.concatenate([p.reshape(n, -1) for p in found], axis=1)
    most = n // GAIN
    if rows.size == 0 or rows.sum(axis=0).max() > most:
        return None
    used = np.zeros((most, rows.shape[1]), bool)
    result = np.zeros(n, np.int64)
    for j, row in enumerate(rows):
        free = np.flatnonzero(~(used & row).any(axis=1))
        if not free.size:
            return None
        result[j] = free[0]
        used[free[0]] |= row
    return result


def expanded(lanes: Node, pattern: np.ndarray, colour: np.ndarray, shape: Shape, last: bool) -> Node:
    """The result of every seed from those of the colours' seeds: 0 outside of the pattern. `last`: the seeds' axes come last."""
    n, size = len(pattern), pattern[0].size
    j, e = np.nonzero(pattern.reshape(n, size))
    source, target = colour[j] * size + e, e * n + j if last else j * size + e
    order = np.argsort(target)
    source, target = source[order], target[order]
    values = gather(reshape(lanes, (-1,)), constant(source), axes=(0,))
    places = [constant(p) for p in np.unravel_index(target, [int(s) for s in shape])]
    return scatter(zeros(shape, lanes.dtype), values, *places, axes=tuple(range(len(shape))), batch=0, mode="set")
