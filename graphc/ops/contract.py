"""`contract`: the one two-operand einsum behind matmul, dot, outer, tensordot and einsum.

    contract(a, b; spec)[out] = sum over the labels that are not in out of a[a labels] * b[b labels]

A spec is `(a, b, out)`: for each array a tuple of labels, small ints, one per axis and each at most once. Every
label of a is in b or out, and the same for b, so a label has one of four roles: batch (in all three), m (a and out),
n (b and out), k (a and b: summed). The derivative, batching and transpose folding are edits of the spec.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence

import numpy as np

from graphc.dims import Size
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm, Read
from graphc.ops.registry import structural
from graphc.records import dataclass
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type

Labels = tuple[int, ...]
Spec = tuple[Labels, Labels, Labels]


@dataclass(frozen=True)
class Roles:
    """The labels of a spec by role, each in the order of `out` (k: the order of a)."""

    batch: Labels
    m: Labels
    n: Labels
    k: Labels


@functools.lru_cache(maxsize=1024)
def roles(spec: Spec) -> Roles:
    """batch: in a, b and out; m: in a and out; n: in b and out; k: in a and b, summed."""
    a, b, out = spec
    return Roles(
        batch=tuple(x for x in out if x in a and x in b),
        m=tuple(x for x in out if x not in b),
        n=tuple(x for x in out if x not in a),
        k=tuple(x for x in a if x not in out),
    )


def axes_of(labels: Sequence[Hashable], wanted: Sequence[Hashable]) -> tuple[int, ...]:
    """The axis of each wanted label in an array with these labels."""
    return tuple(labels.index(x) for x in wanted)


def label_sizes(spec: Spec, a: TensorType | Node, b: TensorType | Node) -> dict[int, Size]:
    """The size of each label; of two sizes that are taken to be equal the one that is an int."""
    sizes: dict[int, Size] = {}
    for labels, x in zip(spec, (a, b)):
        for label, size in zip(labels, x.shape):
            if not isinstance(sizes.get(label), int):
                sizes[label] = size
    return sizes


@functools.lru_cache(maxsize=1024)
def canonical(spec: Spec) -> Spec:
    """The labels renumbered by first appearance in a, then b: equal contractions are one node."""
    number: dict[int, int] = {}
    for label in spec[0] + spec[1]:
        number.setdefault(label, len(number))
    a, b, out = (tuple(number[x] for x in labels) for labels in spec)
    return (a, b, out)


@functools.lru_cache(maxsize=1024)
def _shared(spec: Spec) -> tuple[tuple[int, int], ...]:
    """The axes of a and of b that have the same label; ShapeError for a spec that is none."""
    la, lb, out = spec
    if any(len(set(x)) != len(x) for x in spec):
        fail(ShapeError, f"contract: a label of {spec} is in one array twice")
    if not (set(la) <= {*lb, *out} and set(lb) <= {*la, *out} and set(out) <= {*la, *lb}):
        fail(ShapeError, f"contract: a label of {spec} is in one array only")
    return tuple((i, lb.index(label)) for i, label in enumerate(la) if label in lb)


def _contract_type(a: TensorType, b: TensorType, spec: Spec) -> TensorType:
    shared = _shared(spec)
    if len(spec[0]) != a.ndim or len(spec[1]) != b.ndim:
        fail(ShapeError, f"contract: spec {spec} does not label the axes of {a} and {b}")
    if a.dtype != b.dtype or a.dtype.kind not in "fiu":
        fail(DTypeError, f"contract: needs two arrays of one number dtype, got {a} and {b}")
    for i, j in shared:
        if not same_size(a.shape[i], b.shape[j]):
            fail(ShapeError, f"contract: sizes {a.shape[i]} and {b.shape[j]} differ, in {a} and {b}")
    sizes = label_sizes(spec, a, b)
    return tensor_type(a.dtype, tuple(sizes[x] for x in spec[2]))


def _contract_loop(node: Node) -> LoopForm:
    spec: Spec = node.params[0]
    summed = roles(spec).k
    sizes = label_sizes(spec, *node.inputs)

    def body(read: Read, at: tuple[Size, ...], r: tuple[Size, ...]) -> Scalar:
        place = dict(zip(spec[2] + summed, at + r))
        return read(0, [place[x] for x in spec[0]]) * read(1, [place[x] for x in spec[1]])

    return LoopForm(body, tuple(sizes[x] for x in summed), "sum" if summed else None)


def _contract_ref(a: np.ndarray, b: np.ndarray, spec: Spec) -> np.ndarray:
    """By one (batched) matrix product of transposed views, so that floats take NumPy's fast path."""
    la, lb, out = spec
    role = roles(spec)
    sizes = dict(zip(la + lb, a.shape + b.shape))
    grouped = [[sizes[x] for x in group] for group in (role.batch, role.m, role.n, role.k)]
    batch, m, n, k = (int(np.prod(group, dtype=np.int64)) for group in grouped)
    left = a.transpose(axes_of(la, role.batch + role.m + role.k)).reshape(batch, m, k)
    right = b.transpose(axes_of(lb, role.batch + role.k + role.n)).reshape(batch, k, n)
    with np.errstate(all="ignore"):
        product: np.ndarray = left @ right if role.k else left * right
    product = product.reshape([*grouped[0], *grouped[1], *grouped[2]])
    return product.transpose(axes_of(role.batch + role.m + role.n, out))


def _contract_vjp(g: Node, out: Node, a: Node, b: Node, spec: Spec) -> tuple[Node, Node]:
    la, lb, lo = spec
    return contract(g, b, (lo, lb, la)), contract(a, g, (la, lo, lb))


def _contract_batch(inputs: Sequence[Node], mapped: Sequence[bool], spec: Spec) -> Node:
    lead = max(spec[0] + spec[1], default=-1) + 1
    la, lb = ((lead, *labels) if is_mapped else labels for labels, is_mapped in zip(spec, mapped))
    return contract(inputs[0], inputs[1], (la, lb, (lead, *spec[2])))


CONTRACT = structural(
    "contract", 2, "The product of two arrays, summed over the labels that the output lacks.", params=("spec",),
    type_rule=_contract_type, ref=_contract_ref, vjp=_contract_vjp, batch=_contract_batch, loop=_contract_loop, linear_in=(0, 1),
    traits=Traits(kernel="contract", by_address=(0, 1)),
)  # fmt: skip


def contract(a: Node, b: Node, spec: Spec) -> Node:
    """The primitive: out[o...] = sum of a[...] * b[...] over the labels not in o. `spec` is (a labels, b labels, out labels).

    Both have one number dtype, which the result keeps (integers wrap). Raises ShapeError, DTypeError.
    """
    return make(CONTRACT, (a, b), (canonical(spec),))


# -- transposes as edits of the spec ------------------------------------------------------------------------------
def fold_operand(spec: Spec, k: int, axes: Sequence[int]) -> Spec:
    """The spec over x, where operand k was transpose(x, axes): contract(x.T, b; (ij, jk, ik)) -> contract(x, b; (ji, jk, ik))."""
    labels = [0] * len(axes)
    for position, axis in enumerate(axes):
        labels[axis] = spec[k][position]
    parts = list(spec)
    parts[k] = tuple(labels)
    return (parts[0], parts[1], parts[2])


def fold_output(spec: Spec, axes: Sequence[int]) -> Spec:
    """The spec whose output is transpose(out, axes)."""
    return (spec[0], spec[1], tuple(spec[2][a] for a in axes))


def fold_transpose(node: Node) -> Node:
    """A contract whose operands are transposes, or the transpose of a contract, as one contract; any other node itself."""
    if node.op.name == "transpose" and node.inputs[0].op is CONTRACT:
        a, b = node.inputs[0].inputs
        outer: Spec = node.inputs[0].params[0]
        return fold_transpose(contract(a, b, fold_output(outer, node.params[0])))
    if node.op is not CONTRACT:
        return node
    spec: Spec = node.params[0]
    operands = list(node.inputs)
    for k in (0, 1):
        while operands[k].op.name == "transpose":
            spec = fold_operand(spec, k, operands[k].params[0])
            operands[k] = operands[k].inputs[0]
    return node if all(x is y for x, y in zip(operands, node.inputs)) else contract(operands[0], operands[1], spec)
