"""einsum: any sum of products that subscripts spell, as products of two operands in the order that costs least."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from graphc.dims import Size
from graphc.dtypes import promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS
from graphc.ops.einsum_order import best_order, given_order
from graphc.ops.products import Names, arranged, common_sizes, drop_ones, ellipsis, pairwise, summed
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.spread import astype
from graphc.types import same_size

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the order of their codes: those of lists of numbers
OPTIMIZE = (True, False, "optimal", "greedy")


def einsum(subscripts: str | ArrayLike, *operands: Any, optimize: object = True) -> Node:
    """The sum of products that `subscripts` spells: einsum("ij,jk->ik", a, b)[i, k] = sum over j of a[i, j] * b[j, k].

    One label per axis, `...` for any further axes, which broadcast; a label that is repeated within an operand takes
    the diagonal; without `->` the output has the labels that occur once, in alphabetical order, after the axes of `...`. A literal 1
    broadcasts. Instead of a text each operand may be followed by a list of its labels, numbers from 0 to 51 and Ellipsis, and the last
    by that of the output: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    Several operands are multiplied two at a time, in the order that costs least; optimize=["einsum_path", (0, 1), ...] states another,
    as `numpy.einsum_path` gives it. Of one operand it is a view wherever nothing is summed. Raises ShapeError, ArgumentError.
    """
    text, listed = _spelled(subscripts, operands)
    nodes = [asarray(x) for x in listed]
    inputs, out = _parse(text, nodes)
    dtype = promote(*[x.dtype for x in nodes])
    terms = [_diagonal(x, labels) for x, labels in zip(nodes, inputs)]
    sizes = common_sizes(f"einsum {text!r}", terms)
    terms = [drop_ones(astype(x, dtype), labels, sizes) for x, labels in terms]
    if len(terms) == 1:
        ((x, labels),) = terms
        return arranged(summed(x, labels, out), tuple(k for k in labels if k in out), out)
    for i, j in _order([labels for _, labels in terms], out, sizes, optimize):
        (b, right), (a, left) = terms.pop(j), terms.pop(i)
        needed = set(out).union(*[labels for _, labels in terms])
        target = tuple(k for k in dict.fromkeys(left + right) if k in needed) if terms else out
        terms.append((pairwise("einsum", a, b, left, right, target), target))
    return terms[0][0]


def _order(labels: Sequence[Names], out: Names, sizes: dict[str, Size], optimize: object) -> list[tuple[int, int]]:
    if isinstance(optimize, (list, tuple)) and optimize and isinstance(optimize[0], str) and optimize[0] == "einsum_path":
        steps = given_order(optimize[1:], len(labels))
        if steps is None:
            fail(ArgumentError, f"einsum: {optimize!r:.100} is no order of {len(labels)} operands")
        return steps
    listed = optimize if isinstance(optimize, (list, tuple)) else (optimize,)  # NumPy's ("greedy", memory limit)
    if not listed or not any([isinstance(listed[0], type(known)) and listed[0] == known for known in OPTIMIZE]):
        fail(ArgumentError, f"einsum: optimize is True, False, 'greedy', 'optimal' or an order, got {optimize!r:.60}")
    return best_order(labels, out, sizes)


# -- subscripts -----------------------------------------------------------------------------------------------------------
def _spelled(subscripts: object, operands: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The subscripts as text, and the operands: einsum(a, [0, 1], b, [1, 2]) -> "AB,BC", (a, b)."""
    if isinstance(subscripts, str):
        return subscripts, operands
    everything = [subscripts, *operands]
    if len(everything) < 2 or not all([isinstance(labels, (list, tuple)) for labels in everything[1::2]]):
        fail(ArgumentError, "einsum: first come the subscripts, such as 'ij,jk->ik', or operands and lists of their labels take turns")
    pairs = len(everything) // 2
    text = ",".join([_sublist(labels) for labels in everything[1 : 2 * pairs : 2]])
    if len(everything) % 2:
        if not isinstance(everything[-1], (list, tuple)):
            fail(ArgumentError, "einsum: the last operand lacks the list of its labels")
        text += "->" + _sublist(everything[-1])
    return text, everything[0 : 2 * pairs : 2]


def _sublist(labels: Sequence[Any]) -> str:
    found = []
    for label in labels:
        try:
            number = -1 if label is Ellipsis else operator.index(label)
        except TypeError:
            number = -2
        if label is not Ellipsis and not 0 <= number < len(LETTERS):
            fail(ArgumentError, f"einsum: the labels of a list are integers from 0 to {len(LETTERS) - 1} and ..., got {label!r:.60}")
        found.append("..." if label is Ellipsis else LETTERS[number])
    return "".join(found)


def _parse(subscripts: str, nodes: Sequence[Node]) -> tuple[list[Names], Names]:
    """The labels of each operand and of the output."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if not nodes or len(parts) != len(nodes):
        fail(ArgumentError, f"einsum: {subscripts!r} has {len(parts)} operands, got {len(nodes)}")
    inputs = [_labels(subscripts, part, x) for part, x in zip(parts, nodes)]
    extra = ellipsis(max([sum(name.startswith("...") for name in labels) for labels in inputs]))
    every = [name for labels in inputs for name in labels]
    if not arrow:
        once = sorted(name for name in set(every) if every.count(name) == 1 and not name.startswith("..."))
        return inputs, (*extra, *once)
    head, dots, tail = right.partition("...")
    if extra and not dots:
        fail(ArgumentError, f"einsum: the output of {subscripts!r} lacks the '...' of the operands")
    out = (*head, *(extra if dots else ()), *tail)
    wrong = [name for name in out if name not in every or out.count(name) > 1]
    if wrong:
        how = "twice" if wrong[0] in every else "which no operand has"
        fail(ArgumentError, f"einsum: the output of {subscripts!r} has {wrong[0]!r} {how}")
    return inputs, out


def _labels(subscripts: str, part: str, x: Node) -> Names:
    head, dots, tail = part.partition("...")
    if not all(c.isascii() and c.isalpha() for c in head + tail):
        fail(ArgumentError, f"einsum: {part!r} in {subscripts!r}: labels are letters, '...' occurs once")
    count = x.ndim - len(head) - len(tail)
    if count < 0 or (count and not dots):
        fail(ShapeError, f"einsum: {part!r} in {subscripts!r} does not label {x.ndim} axes", x)
    return (*head, *ellipsis(count), *tail)


def _diagonal(x: Node, labels: Names) -> tuple[Node, Names]:
    """x with each repeated label reduced to one axis: "iij" -> the diagonal of the first two axes."""
    while len(set(labels)) < len(labels):
        name = next(name for name in labels if labels.count(name) > 1)
        i, j = [k for k, other in enumerate(labels) if other == name][:2]
        if not same_size(x.shape[i], x.shape[j]):
            fail(ShapeError, f"einsum: the sizes of {name} differ, {x.shape[i]} and {x.shape[j]}", x)
        x = FUNCTIONS["diagonal"](x, 0, i, j)
        labels = tuple(other for k, other in enumerate(labels) if k not in (i, j)) + (name,)
    return x, labels


__all__ = ["einsum"]
