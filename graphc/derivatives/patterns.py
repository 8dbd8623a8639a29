"""Patterns: on which elements of a seed the elements of linear results depend, as compressed rows.

    y = x[1:] * a[:-1] + x[:-1]:    element e of y depends on x[e] and x[e + 1]: indptr 0 2 4 .., indices 0 1 | 1 2 | 2 3 ..

A pattern follows from the graph, not from its values: it holds whatever the values are, and an entry outside of it is exactly 0.
Elementwise ops unite the rows of their operands, ops that move elements move rows, sums unite the rows of what they add. Of an op of
which nothing is known every element depends on all that its operands depend on, so what is not known is too many, never too few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from graphc.errors import IndexOutOfRange
from graphc.ir import Node, toposort
from graphc.ops.contract import CONTRACT, label_sizes
from graphc.ops.create import IOTA
from graphc.ops.cumulate import CUMULATE, RECUR
from graphc.ops.derived import DERIVED
from graphc.ops.indexing import GATHER, SCATTER
from graphc.ops.outputs import GET
from graphc.records import dataclass

MOST = 1 << 20  # elements of a node, and entries of its pattern
MOST_WORK = 1 << 23  # entries of all patterns: some tenths of a second


@dataclass(frozen=True, eq=False)
class Pattern:
    """Element e of a result, counted in memory order, depends on the lanes indices[indptr[e]:indptr[e + 1]] of `n`, in rising order."""

    indptr: np.ndarray
    indices: np.ndarray
    n: int

    @property
    def size(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def counts(self) -> np.ndarray:
        """How many lanes each element depends on."""
        return np.diff(self.indptr)

    @cached_property
    def elements(self) -> np.ndarray:
        """For each entry of `indices` the element that it belongs to."""
        return np.repeat(np.arange(self.size), self.counts)


class TooMany(Exception):
    """A pattern would have more entries than it is worth."""


def patterns_of(results: Sequence[Node], seed: Node, most: int | None = None) -> list[Pattern] | None:
    """The pattern of each result; the results are linear in `seed`.

    None where a size is not known, where the patterns are very large, and where an element on the way depends on more than `most` lanes.
    """
    n = seed.size
    if not isinstance(n, int) or not all(map(_counted, (seed, *results))):
        return None
    known = {seed: Pattern(np.arange(n + 1), np.arange(n), n)}
    work = 0
    for node in toposort(results, stop=[seed]):
        if node is seed or not any(i in known for i in node.inputs):
            continue
        try:
            found = _through(node, known, n if most is None else most)
        except TooMany:
            return None
        work += len(found.indices)
        if work > MOST_WORK or (most is not None and found.counts.max(initial=0) > most):
            return None
        known[node] = found
    return [known.get(r) or _compressed(np.zeros(0, np.int64), int(r.size), n) for r in results]


def _through(node: Node, known: Mapping[Node, Pattern], most: int) -> Pattern:
    """The pattern of a node from those of its operands."""
    if isinstance(node.type, tuple):
        return _all_of(node, known, 1)  # `get` spreads it
    if not all(map(_counted, (node, *node.inputs))):
        raise TooMany
    size = int(node.size)
    if node.op is DERIVED and node.inputs[0] in known:
        return known[node.inputs[0]]  # the others are remembered, not read
    if node.op.elementwise and all(i.shape == node.shape for i in node.inputs):
        operands = list(dict.fromkeys([known[i] for i in node.inputs if i in known]))
        return operands[0] if len(operands) == 1 else _united([(p, np.arange(p.size), np.arange(p.size)) for p in operands], size, most)
    pairs = None if node.op.regions or node.op is GET else _pairs(node, known, most)
    if pairs is None:
        return _all_of(node, known, size)
    if node.op.traits.moves and len(pairs) == 1 and len(pairs[0][1]) == size and (pairs[0][1] == np.arange(size)).all():
        return _chosen(pairs[0][0], pairs[0][2])
    return _united(pairs, size, most)


Pairs = list[tuple[Pattern, np.ndarray, np.ndarray]]  # element [1][k] of the result reads element [2][k] of what has the pattern [0]


def _pairs(node: Node, known: Mapping[Node, Pattern], most: int) -> Pairs | None:
    """Which elements the result reads of which operand; None: that depends on values, or nothing is known of the op."""
    if node.op.traits.moves and node.op.ref is not None:
        return _moved(node, known)
    if node.op is SCATTER:
        return _scattered(node, known)
    if node.op is CONTRACT:
        return _contracted(node, known)
    x = node.inputs[0]
    if node.op.traits.reduces and "axes" in node.op.params and len(node.inputs) == 1:
        return [(known[x], _without(_numbers(node), x, node.attrs["axes"]), np.arange(int(x.size)))]
    if node.op in (CUMULATE, RECUR):  # an element reads others of its line: all of them at most
        axis = node.attrs["axis"]
        lines = np.arange(math.prod([int(s) for k, s in enumerate(node.shape) if k != axis]))
        shape = [1 if k == axis else int(s) for k, s in enumerate(node.shape)]
        line = np.broadcast_to(lines.reshape(shape), _sizes(node)).ravel()
        united = _united([(known[i], line, np.arange(len(line))) for i in node.inputs if i in known], len(lines), most)
        return [(united, np.arange(len(line)), line)]
    return None


def _moved(node: Node, known: Mapping[Node, Pattern]) -> Pairs | None:
    """An op that moves elements, applied to the numbers of the elements of all operands: result element -> operand element."""
    numbered, first, starts = [], 0, []
    for k, i in enumerate(node.inputs):
        starts.append(first)
        if node.op.traits.moves == "data" and k > 0:
            index = fixed_index(i)
            if index is None or i in known:
                return None
            numbered.append(index)
        else:
            numbered.append(first + _numbers(i))
            first += int(i.size)
    assert node.op.ref is not None
    try:
        source = np.asarray(node.op.ref(*numbered, **node.attrs)).ravel()
    except IndexOutOfRange:
        return None  # it is an error at the call
    pairs: Pairs = []
    for k, i in enumerate(node.inputs):
        if i in known:
            at = np.flatnonzero((source >= starts[k]) & (source < starts[k] + int(i.size)))
            pairs.append((known[i], at, source[at] - starts[k]))
    return pairs


def _scattered(node: Node, known: Mapping[Node, Pattern]) -> Pairs | None:
    x, updates, *indices = node.inputs
    fixed = [fixed_index(i) for i in indices]
    if any(f is None for f in fixed) or any(i in known for i in indices):
        return None
    numbers, size = _numbers(x), int(x.size)
    params = {"axes": node.attrs["axes"], "batch": node.attrs["batch"]}
    assert node.op.ref is not None and GATHER.ref is not None
    try:
        target = GATHER.ref(numbers, *fixed, **params).ravel()
        kept = node.op.ref(numbers, np.full(_sizes(updates), -1), *fixed, mode="set", **params).ravel()
    except IndexOutOfRange:
        return None
    stays = np.arange(size) if node.attrs["mode"] == "add" else np.flatnonzero(kept >= 0)
    pairs: Pairs = [(known[x], stays, stays)] if x in known else []
    if updates in known:  # of several updates to one place any may be seen
        pairs.append((known[updates], target, np.arange(int(updates.size))))
    return pairs


def _contracted(node: Node, known: Mapping[Node, Pattern]) -> Pairs | None:
    """Element (b, m, n) reads the elements (b, m, k) of the one operand and (b, k, n) of the other, for all k."""
    spec = node.attrs["spec"]
    sizes = {label: int(size) for label, size in label_sizes(spec, *node.inputs).items()}
    pairs: Pairs = []
    for labels, x in zip(spec, node.inputs):
        if x not in known:
            continue
        space = [*spec[2], *[label for label in labels if label not in spec[2]]]
        whole = [sizes[label] for label in space]
        if math.prod(whole) > MOST:
            raise TooMany
        order = sorted(range(len(labels)), key=lambda axis: space.index(labels[axis]))
        read = _numbers(x).transpose(order).reshape([sizes[label] if label in labels else 1 for label in space])
        written = _numbers(node).reshape([*_sizes(node), *[1] * (len(space) - node.ndim)])
        pairs.append((known[x], np.broadcast_to(written, whole).ravel(), np.broadcast_to(read, whole).ravel()))
    return pairs


def _all_of(node: Node, known: Mapping[Node, Pattern], size: int) -> Pattern:
    """Every element depends on all that the operands depend on."""
    operands = [known[i] for i in node.inputs if i in known]
    lanes = np.unique(np.concatenate([p.indices for p in operands]))
    if len(lanes) * size > MOST:
        raise TooMany
    return Pattern(np.arange(size + 1) * len(lanes), np.tile(lanes, size), operands[0].n)


def _chosen(pattern: Pattern, source: np.ndarray) -> Pattern:
    """Row k is row source[k] of the pattern."""
    counts = pattern.counts[source]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    if indptr[-1] > MOST:
        raise TooMany
    steps = np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts)
    return Pattern(indptr, pattern.indices[np.repeat(pattern.indptr[source], counts) + steps], pattern.n)


def _united(pairs: Pairs, size: int, most: int) -> Pattern:
    """Row e unites the rows that element e reads."""
    first = next((written[0] for _, written, _ in pairs if written.size), None)
    one = [p.indices[p.indptr[e] : p.indptr[e + 1]] for p, written, read in pairs for e in read[written == first][: most + 1]]
    if one and len(np.unique(np.concatenate(one))) > most:
        raise TooMany  # seen at one element, without a look at the others
    keys, n = [], 1
    for pattern, written, read in pairs:
        rows, n = _chosen(pattern, read), pattern.n
        keys.append(np.repeat(written, rows.counts) * n + rows.indices)
    merged = np.unique(np.concatenate(keys))
    if len(merged) > MOST:
        raise TooMany
    return _compressed(merged, size, n)


def _compressed(keys: np.ndarray, size: int, n: int) -> Pattern:
    """From the rising numbers element * n + lane."""
    elements, lanes = np.divmod(keys, n) if n else (keys, keys)
    return Pattern(np.searchsorted(elements, np.arange(size + 1)), lanes, n)


def fixed_index(index: Node) -> np.ndarray | None:
    """The array of integers that are the same at every call."""
    if index.op is IOTA and index.op.ref is not None:
        return np.asarray(index.op.ref(**index.attrs))
    return np.asarray(index.attrs["value"].array) if index.op.traits.leaf == "constant" else None


def _sizes(x: Node) -> list[int]:
    return [int(s) for s in x.shape]


def _counted(x: Node) -> bool:
    return isinstance(x.type, tuple) or (all(isinstance(s, int) for s in x.shape) and int(x.size) <= MOST)


def _numbers(x: Node) -> np.ndarray:
    """The elements' numbers, in their places."""
    return np.arange(int(x.size)).reshape(_sizes(x))


def _without(numbers: np.ndarray, x: Node, axes: Sequence[int]) -> np.ndarray:
    """The numbers of a result without `axes`, for each element of x that it combines."""
    shape = [1 if k in axes else int(s) for k, s in enumerate(x.shape)]
    return np.broadcast_to(numbers.reshape(shape), _sizes(x)).ravel()
