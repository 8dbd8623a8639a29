"""Products of arrays, NumPy's names: matmul, dot, vdot, inner, outer, tensordot. All are `contract`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from graphc.dims import Dim, Size
from graphc.dtypes import bool_, float32, promote
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.contract import Spec, axes_of, contract, label_sizes, roles
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import permute, ravel, reshape
from graphc.ops.spread import astype, broadcast, reduce
from graphc.records import dataclass
from graphc.types import Shape, normal_axis, same_size

Names = tuple[str, ...]  # a label per axis: a letter, or "...0" for the last axis of an ellipsis


def matmul(x1: ArrayLike, x2: ArrayLike) -> Node:
    """out[..., i, j] = sum over k of x1[..., i, k] * x2[..., k, j]: the matrix product, as `x1 @ x2`.

    A vector on the left is a row, on the right a column, and its axis disappears; leading axes broadcast. Integers
    wrap, bool gives bool. Raises ShapeError when the inner sizes differ or an operand is 0-d.
    """
    a, b = asarray(x1), asarray(x2)
    if not a.ndim or not b.ndim:
        fail(ShapeError, "matmul: an operand is 0-d", a, b, hint="use x * y for a product with a scalar")
    axis = max(b.ndim - 2, 0)
    if not same_size(a.shape[-1], b.shape[axis]):
        _inner(a, a.ndim - 1, b, axis, "matmul")
    return pairwise("matmul", a, b, *_matmul_names(a.ndim, b.ndim))


@functools.lru_cache(maxsize=64)
def _matmul_names(a: int, b: int) -> tuple[Names, Names, Names]:
    left = (*ellipsis(a - 2), *("m" * (a > 1)), "k")
    right = (*ellipsis(b - 2), "k", *("n" * (b > 1)))
    return left, right, (*ellipsis(max(a, b) - 2), *("m" * (a > 1)), *("n" * (b > 1)))


def dot(a: ArrayLike, b: ArrayLike) -> Node:
    """out[i.., j.., l] = sum over k of a[i.., k] * b[j.., k, l]: last axis of a, second to last (or only) axis of b.

    Scalars multiply. Raises ShapeError when the summed sizes differ.
    """
    x, y = asarray(a), asarray(b)
    if not x.ndim or not y.ndim:
        return x * y
    return _sum_over("dot", x, y, (x.ndim - 1,), (max(y.ndim - 2, 0),))


def vdot(a: ArrayLike, b: ArrayLike) -> Node:
    """sum(a.ravel() * b.ravel()), 0-d. Raises ShapeError when the numbers of elements differ."""
    x, y = _raveled(a), _raveled(b)
    return _sum_over("vdot", x, y, (0,), (0,))


def inner(a: ArrayLike, b: ArrayLike) -> Node:
    """out[i.., j..] = sum over k of a[i.., k] * b[j.., k]. Scalars multiply. Raises ShapeError when the last sizes differ."""
    x, y = asarray(a), asarray(b)
    if not x.ndim or not y.ndim:
        return x * y
    return _sum_over("inner", x, y, (x.ndim - 1,), (y.ndim - 1,))


def outer(a: ArrayLike, b: ArrayLike) -> Node:
    """out[i, j] = a.ravel()[i] * b.ravel()[j]."""
    return _sum_over("outer", _raveled(a), _raveled(b), (), ())


def tensordot(a: ArrayLike, b: ArrayLike, axes: int | Sequence[int | Sequence[int]] = 2) -> Node:
    """The product summed over the paired axes: `axes` = (axes of a, axes of b), or n for a's last n with b's first n.

    The result has a's other axes, then b's. Raises ShapeError when paired sizes differ.
    """
    x, y = asarray(a), asarray(b)
    if isinstance(axes, (int, np.integer)):
        count = int(axes)
        if not 0 <= count <= min(x.ndim, y.ndim):
            fail(ShapeError, f"tensordot: cannot sum over {count} axes", x, y)
        return _sum_over("tensordot", x, y, tuple(range(x.ndim - count, x.ndim)), tuple(range(count)))
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        fail(ArgumentError, f"tensordot: axes must be an int or a pair, got {axes!r}")
    listed = [tuple(p) if isinstance(p, (tuple, list)) else (p,) for p in axes]
    for_a, for_b = (tuple(normal_axis(k, n.ndim, "tensordot", n) for k in part) for part, n in zip(listed, (x, y)))
    if len(for_a) != len(for_b) or len(set(for_a)) != len(for_a) or len(set(for_b)) != len(for_b):
        fail(ShapeError, f"tensordot: the axes {listed[0]} and {listed[1]} do not pair", x, y)
    return _sum_over("tensordot", x, y, for_a, for_b)


# -- two operands -------------------------------------------------------------------------------------------------
def pairwise(what: str, a: Node, b: Node, left: Names, right: Names, out: Names) -> Node:
    """One product of two labelled operands: promotes, drops literal ones that broadcast, sums what only one operand has."""
    if 1 in a.shape or 1 in b.shape:
        sizes = common_sizes(what, [(a, left), (b, right)])
        (a, left), (b, right) = drop_ones(a, left, sizes), drop_ones(b, right, sizes)
    plan = _plan(left, right, out)
    for i, j in plan.shared:
        if not same_size(a.shape[i], b.shape[j]):
            common_sizes(what, [(a, left), (b, right)])
    if a.dtype != b.dtype or a.dtype == bool_:
        dtype = promote(a.dtype, b.dtype)
        if dtype == bool_:  # a sum of ones in f32 never comes back to 0, and products of floats are the fast ones
            return pairwise(what, astype(a, float32), astype(b, float32), left, right, out) != 0
        a, b = astype(a, dtype), astype(b, dtype)
    if plan.alone[0] or plan.alone[1]:
        a, b = reduce(a, plan.alone[0], "sum"), reduce(b, plan.alone[1], "sum")
        return pairwise(what, a, b, _without(left, plan.alone[0]), _without(right, plan.alone[1]), out)
    if plan.product:
        return contract(a, b, plan.spec)
    size = label_sizes(plan.spec, a, b)
    shape = tuple(size[x] for x in plan.spec[2])
    return _stretched(a, left, out, shape) * _stretched(b, right, out, shape)


@dataclass(frozen=True)
class Plan:
    """What the labels alone say of a product."""

    shared: tuple[tuple[int, int], ...]  # the axes of a and b of one label
    alone: tuple[tuple[int, ...], tuple[int, ...]]  # the axes of a and of b that nobody else has: summed first
    spec: Spec  # what is to be contracted once nothing is alone
    product: bool  # False: elementwise, one operand at most stretches


@functools.lru_cache(maxsize=1024)
def _plan(left: Names, right: Names, out: Names) -> Plan:
    shared = tuple((i, right.index(name)) for i, name in enumerate(left) if name in right)
    alone_a = tuple(i for i, name in enumerate(left) if name not in right and name not in out)
    alone_b = tuple(j for j, name in enumerate(right) if name not in left and name not in out)
    number = {name: k for k, name in enumerate(dict.fromkeys(left + right))}
    la, lb, lo = (tuple(number[name] for name in names) for names in (left, right, out))
    role = roles((la, lb, lo))
    return Plan(shared, (alone_a, alone_b), (la, lb, lo), bool(role.k or (role.m and role.n)))


def _without(labels: Names, axes: tuple[int, ...]) -> Names:
    return tuple(name for k, name in enumerate(labels) if k not in axes)


def _stretched(x: Node, labels: Names, out: Names, shape: Shape) -> Node:
    return broadcast(arranged(x, labels, out), shape, tuple(k for k, name in enumerate(out) if name in labels))


def _sum_over(what: str, a: Node, b: Node, for_a: tuple[int, ...], for_b: tuple[int, ...]) -> Node:
    """The product summed over paired axes: a's other axes, then b's."""
    for i, j in zip(for_a, for_b):
        if not same_size(a.shape[i], b.shape[j]):
            _inner(a, i, b, j, what)
    left = tuple(f"a{k}" for k in range(a.ndim))
    paired = dict(zip(for_b, for_a))
    right = tuple(left[paired[k]] if k in paired else f"b{k}" for k in range(b.ndim))
    out = tuple(x for k, x in enumerate(left) if k not in for_a) + tuple(x for k, x in enumerate(right) if k not in for_b)
    return pairwise(what, a, b, left, right, out)


def _inner(a: Node, i: int, b: Node, j: int, what: str) -> NoReturn:
    p, q = a.shape[i], b.shape[j]
    hint = ""
    if isinstance(p, Dim) or isinstance(q, Dim):
        hint = f"declare {p} = {q}"
    elif what == "matmul" and b.ndim > 1 and b.shape[-1] == p:
        hint = "transpose the second operand: .mT"
    fail(ShapeError, f"{what}: inner sizes differ, {p} ({a.describe()}) and {q} ({b.describe()})", hint=hint)


def ellipsis(count: int) -> Names:
    return tuple(f"...{k}" for k in reversed(range(count)))


def _raveled(x: ArrayLike) -> Node:
    node = asarray(x)
    return node if node.ndim == 1 else ravel(node)


def common_sizes(what: str, terms: Sequence[tuple[Node, Names]]) -> dict[str, Size]:
    """The size of each label; a literal 1 yields to any other. ShapeError where two differ."""
    found: dict[str, tuple[Size, Node]] = {}
    for x, labels in terms:
        for name, size in zip(labels, x.shape):
            have, owner = found.get(name, (1, x))
            if size != 1 and have != 1 and not same_size(have, size):
                label = "the leading sizes" if name.startswith("...") else "sizes" if len(name) > 1 else f"the sizes of {name}"
                fail(ShapeError, f"{what}: {label} differ, {have} ({owner.describe()}) and {size} ({x.describe()})")
            if have == 1 or (isinstance(have, Dim) and isinstance(size, int) and size != 1):
                found[name] = (size, x)
    return {name: size for name, (size, _) in found.items()}


def drop_ones(x: Node, labels: Names, sizes: dict[str, Size]) -> tuple[Node, Names]:
    """x without the literal ones that broadcast against another operand."""
    kept = [k for k, name in enumerate(labels) if not (x.shape[k] == 1 and sizes[name] != 1)]
    if len(kept) == x.ndim:
        return x, labels
    return reshape(x, tuple(x.shape[k] for k in kept)), tuple(labels[k] for k in kept)


def summed(x: Node, labels: Names, needed: Names) -> Node:
    """x summed over the labels that nobody needs; bool stays bool."""
    return reduce(x, tuple(k for k, name in enumerate(labels) if name not in needed), "any" if x.dtype == bool_ else "sum")


def arranged(x: Node, labels: Names, out: Names) -> Node:
    """x with its axes in the order of `out`."""
    return permute(x, axes_of(labels, [k for k in out if k in labels]))


__all__ = ["dot", "inner", "matmul", "outer", "tensordot", "vdot"]
