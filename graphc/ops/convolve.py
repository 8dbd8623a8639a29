"""`convolve`: `contract` with relations. Convolution, both of its gradients, and their gradients are this one op.

    convolve(a, b; spec, relations, extents)[out] = sum over the labels that are not in out of a[a labels] * b[b labels],
                                                    over those assignments that satisfy every relation

A relation (y, i, p, stride, dilation, pad) couples three labels: y = stride * i + dilation * p - pad. Where that lies outside of y, there
is no term. The forward map reads x at y and w at p and writes i; exchange the roles of the three arrays, and the same relations give the
gradient with respect to w (out has p) or x (out has y): the derivative, as that of `contract`, is an edit of the spec. A w with the label
i besides is not shared between places: a locally connected layer. `extents` are the sizes of labels that neither operand has.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphc import dims
from graphc.dims import Size
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.ops.contract import Spec, label_sizes
from graphc.ops.registry import structural
from graphc.ops.shape import at_most
from graphc.scalars import Scalar, index
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type


class Relation(NamedTuple):
    """y = stride * i + dilation * p - pad: `long`, `place` and `tap` are the labels y, i and p."""

    long: int
    place: int
    tap: int
    stride: int
    dilation: int
    pad: Size


Extents = tuple[tuple[int, Size], ...]


@functools.lru_cache(maxsize=1024)
def _checked(spec: Spec, labels: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int], ...]:
    """The axes of a and b of one label; ShapeError for a spec that is none, given the labels of the relations."""
    if any(len(set(x)) != len(x) for x in spec):
        fail(ShapeError, f"convolve: a label of {spec} is in one array twice")
    coupled = [x for triple in labels for x in triple]
    if len(set(coupled)) != len(coupled):
        fail(ShapeError, f"convolve: a label of {labels} is in two relations")
    for long, place, tap in labels:
        holders = [x for x in spec if long in x]
        if len(holders) != 1 or place in holders[0] or tap in holders[0] or not all(any(k in x for x in spec) for k in (place, tap)):
            fail(ShapeError, f"convolve: {long} = {place} and {tap} does not couple the arrays of {spec}")
    every = set().union(*spec)
    if any(sum(x in part for part in spec) < 2 for x in every - set(coupled)):
        fail(ShapeError, f"convolve: a label of {spec} is in one array only")
    return tuple((i, spec[1].index(x)) for i, x in enumerate(spec[0]) if x in spec[1])


def sizes_of(spec: Spec, a: TensorType | Node, b: TensorType | Node, extents: Extents) -> dict[int, Size]:
    """The size of each label."""
    return label_sizes(spec, a, b) | dict(extents)


def _convolve_type(a: TensorType, b: TensorType, spec: Spec, relations: tuple[Relation, ...], extents: Extents) -> TensorType:
    shared = _checked(spec, tuple((r[0], r[1], r[2]) for r in relations))
    if len(spec[0]) != a.ndim or len(spec[1]) != b.ndim:
        fail(ShapeError, f"convolve: spec {spec} does not label the axes of {a} and {b}")
    if a.dtype != b.dtype or a.dtype.kind not in "fiu":
        fail(DTypeError, f"convolve: needs two arrays of one number dtype, got {a} and {b}")
    for i, j in shared:
        if not same_size(a.shape[i], b.shape[j]):
            fail(ShapeError, f"convolve: sizes {a.shape[i]} and {b.shape[j]} differ, in {a} and {b}")
    if {x for x, _ in extents} != set(spec[2]) - set(spec[0]) - set(spec[1]):
        fail(ShapeError, f"convolve: {extents} are not the sizes of the labels of {spec} that no operand has")
    if any(r[3] < 1 or r[4] == 0 for r in relations):
        fail(ShapeError, f"convolve: a stride is at least 1 and a dilation is not 0, in {relations}")
    for r in relations:
        if (n := dict(extents).get(r[1])) is not None and not some_places(n):
            fail(ShapeError, f"convolve: {n} places, of {a} and {b}", hint="the kernel does not fit")
    sizes = sizes_of(spec, a, b, extents)
    return tensor_type(a.dtype, tuple(sizes[x] for x in spec[2]))


def some_places(n: Size) -> bool:
    """False where a kernel is known to fit nowhere; where only the call knows, it is checked then.

    A known 0, or a size by itself, is that of an array of places that somebody has, whose gradient this is.
    """
    return isinstance(n, int) or dims.as_symbol(n) is not None or at_most(1, n)


# -- loops ----------------------------------------------------------------------------------------------------------------
def inside(position: Size, size: Size, low: Size, high: Size) -> list[Scalar]:
    """The tests that 0 <= position < size, but for those that its least and greatest value make needless."""
    tests = []
    if dims.less_equal(0, low) is not True:
        tests.append(index(position) >= 0)
    if dims.less_equal(high, size - 1) is not True:
        tests.append(index(position) < index(size))
    return tests


def every(tests: Sequence[Scalar]) -> Scalar | None:
    """All of the tests at once; None for none."""
    return functools.reduce(lambda x, y: x & y, tests) if tests else None


def phased(r: Relation) -> bool:
    """Whether the taps of an element of the long side follow each other in steps of the stride: the others are not even looked at."""
    return r.stride > 1 and r.dilation == 1


def taps_per_phase(r: Relation, taps: Size) -> Size:
    """How many taps can meet one element of the long side."""
    return dims.floordiv(taps + (r.stride - 1), r.stride) if phased(r) else taps


def from_long(r: Relation, y: Size, loop: Size, long: Size, taps: Size, places: Size) -> tuple[Size, Size, list[Scalar], list[Scalar]]:
    """(i, p, tests of i, tests of p) for element y of a long side of that size, and the loop over the taps that may meet it."""
    shifted = y + r.pad
    if phased(r):
        first = dims.floordiv(shifted, r.stride)
        p, i = shifted - (first - loop) * r.stride, first - loop
        most = taps_per_phase(r, taps)
        uneven = not (isinstance(taps, int) and taps % r.stride == 0)
        of_place = inside(i, places, dims.floordiv(r.pad, r.stride) - (most - 1), dims.floordiv(long - 1 + r.pad, r.stride))
        return i, p, of_place, [index(p) < index(taps)] if uneven else []
    offset = shifted - loop * r.dilation
    i = dims.floordiv(offset, r.stride)
    divides = [index(dims.mod(offset, r.stride)).eq(0)] if r.stride > 1 else []
    return i, loop, [index(i) >= 0, index(i) < index(places), *divides], []


def _convolve_loop(node: Node) -> LoopForm:
    """One loop for each label that is summed, but for one of each relation, which follows from the other two."""
    spec, relations, extents = node.params
    sizes = sizes_of(spec, node.inputs[0], node.inputs[1], extents)
    rules = [Relation(*r) for r in relations]
    outward = [r for r in rules if r.long in spec[2]]
    follow = {r.place if r in outward else r.long for r in rules}
    summed = [x for x in dict.fromkeys(spec[0] + spec[1]) if x not in spec[2] and x not in follow]
    lengths = {r.tap: taps_per_phase(r, sizes[r.tap]) for r in outward}

    def body(read: Read, at: tuple[Size, ...], loops: tuple[Size, ...]) -> Scalar:
        place: dict[int, Size] = dict(zip((*spec[2], *summed), at + loops))
        tests: dict[int, list[Scalar]] = {}
        for r in rules:
            if r in outward:
                found = from_long(r, place[r.long], place[r.tap], sizes[r.long], sizes[r.tap], sizes[r.place])
                place[r.place], place[r.tap], tests[r.place], tests[r.tap] = found
            else:
                y = place[r.long] = place[r.place] * r.stride + place[r.tap] * r.dilation - r.pad
                reach = (sizes[r.tap] - 1) * r.dilation
                low, high = (reach, 0) if r.dilation < 0 else (0, reach)
                tests[r.long] = inside(y, sizes[r.long], low - r.pad, (sizes[r.place] - 1) * r.stride + high - r.pad)
        factors = [
            read(k, [place[x] for x in spec[k]], every([t for x in spec[k] for t in tests.get(x, [])]))
            for k in (0, 1)
        ]  # fmt: skip
        return factors[0] * factors[1]

    return LoopForm(body, tuple(lengths.get(x, sizes[x]) for x in summed), "sum" if summed else None)


# -- the meaning ----------------------------------------------------------------------------------------------------------
def span(r: Relation, long: int, places: int, tap: int) -> tuple[slice, slice] | None:
    """The elements of the long side that a tap meets, and the places where it does; None for none."""
    start = tap * r.dilation - int(r.pad)
    low = max(0, -(start // r.stride))
    high = min(places, (long - 1 - start) // r.stride + 1)
    if low >= high:
        return None
    first = start + low * r.stride
    return slice(first, first + (high - low - 1) * r.stride + 1, r.stride), slice(low, high)


def _convolve_ref(a: np.ndarray, b: np.ndarray, spec: Spec, relations: tuple[Relation, ...], extents: Extents) -> np.ndarray:
    """Tap by tap: the elements that one assignment of the taps couples are slices."""
    sizes: dict[int, int] = dict(zip(spec[0] + spec[1], a.shape + b.shape)) | dict(extents)
    rules = [Relation(*r) for r in relations]
    arrays = [a, b, np.zeros([sizes[x] for x in spec[2]], a.dtype)]
    merged = {r.long: r.place for r in rules}
    taken = {r.tap for r in rules}
    names = [[merged.get(x, x) for x in labels if x not in taken] for labels in spec]
    for taps in itertools.product(*[range(sizes[r.tap]) for r in rules]):
        spans = [span(r, sizes[r.long], sizes[r.place], t) for r, t in zip(rules, taps)]
        where: dict[int, int | slice] = {}
        for r, t, both in zip(rules, taps, spans):
            if both is not None:
                where |= {r.tap: t, r.long: both[0], r.place: both[1]}
        if None in spans:
            continue
        # the dots: also where nothing is left it is a view
        x, y, out = (array[(*[where.get(label, slice(None)) for label in labels], ...)] for array, labels in zip(arrays, spec))
        with np.errstate(all="ignore"):
            out += np.einsum(x, names[0], y, names[1], names[2], optimize=a.dtype.kind == "f")
    return arrays[2]


# -- derivatives ----------------------------------------------------------------------------------------------------------
def _convolve_vjp(g: Node, out: Node, a: Node, b: Node, spec: Spec, relations: tuple[Relation, ...], extents: Extents) -> tuple[Node, Node]:
    la, lb, lo = spec
    return _exchanged(g, b, (lo, lb, la), relations, a), _exchanged(a, g, (la, lo, lb), relations, b)


def _exchanged(a: Node, b: Node, spec: Spec, relations: tuple[Relation, ...], like: Node) -> Node:
    """The convolution of other roles, whose result has the shape of `like`."""
    missing = tuple((x, n) for x, n in zip(spec[2], like.shape) if x not in spec[0] and x not in spec[1])
    return convolution(a, b, spec, relations, missing)


def _convolve_batch(inputs: Sequence[Node], mapped: Sequence[bool], spec: Spec, relations: tuple[Relation, ...], extents: Extents) -> Node:
    lead = max(spec[0] + spec[1] + spec[2], default=-1) + 1
    la, lb = ((lead, *labels) if is_mapped else labels for labels, is_mapped in zip(spec, mapped))
    return convolution(inputs[0], inputs[1], (la, lb, (lead, *spec[2])), relations, extents)


CONVOLVE = structural(
    "convolve", 2, "The product of two arrays, summed over the labels that the output lacks, where the relations between labels hold.",
    params=("spec", "relations", "extents"), type_rule=_convolve_type, ref=_convolve_ref, vjp=_convolve_vjp, batch=_convolve_batch,
    loop=_convolve_loop, linear_in=(0, 1), traits=Traits(kernel="convolve", by_address=(0, 1)),
)  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _renumbered(spec: Spec, relations: tuple[Relation, ...], extents: Extents) -> tuple[Spec, tuple[Relation, ...], Extents]:
    """The labels by first appearance in a, b and out, the relations by their long side: equal convolutions are one node."""
    number: dict[int, int] = {}
    for label in spec[0] + spec[1] + spec[2]:
        number.setdefault(label, len(number))
    renumbered = [Relation(number[r[0]], number[r[1]], number[r[2]], *r[3:]) for r in relations]
    la, lb, lo = (tuple(number[x] for x in labels) for labels in spec)
    plain = tuple(tuple(r) for r in sorted(renumbered, key=lambda r: r.long))
    return (la, lb, lo), plain, tuple(sorted(((number[x], n) for x, n in extents), key=lambda e: e[0]))  # type: ignore[return-value]


def convolution(a: Node, b: Node, spec: Spec, relations: Sequence[Relation], extents: Extents = ()) -> Node:
    """The primitive: `contract` where y = stride * i + dilation * p - pad holds between the labels of each relation.

    out[f, i] = sum over c, p of x[c, y] * w[f, c, p]:
    convolution(x, w, ((0, 1), (4, 0, 3), (4, 2)), [Relation(1, 2, 3, stride, dilation, pad)], ((2, places),)).
    Both operands have one number dtype, which the result keeps (integers wrap). Raises ShapeError, DTypeError.
    """
    rules = tuple(relations)
    _checked(spec, tuple((r[0], r[1], r[2]) for r in rules))
    return make(CONVOLVE, (a, b), _renumbered(spec, rules, extents))
