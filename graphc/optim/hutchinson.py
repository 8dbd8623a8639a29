"""Trace and diagonal of a matrix from its products with random vectors (Hutchinson)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc import tree
from graphc.control.tracing import leaves_of, size_of
from graphc.derivatives.batch import vmap
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import where
from graphc.ops.reductions import mean
from graphc.ops.reductions import sum as total
from graphc.ops.registry import asarray
from graphc.random.discrete import bernoulli
from graphc.random.keys import KeyLike, fold_in
from graphc.tree import Tree


class Estimate(NamedTuple):
    """A mean over probes and its standard error (nan of one probe): nodes, trees where the thing is one."""

    value: Tree
    standard_error: Tree


def probes(key: KeyLike, like: Tree, count: Any) -> Tree:
    """`count` vectors of random signs for each array of the tree `like` in front of its shape and in its dtype; leaf k is drawn with
    fold_in(key, k). Raises ArgumentError, DTypeError.

        gx.optim.krylov.probes(gx.random.key(0), w, 100)        for w of shape (n,): (100, n)
    """
    leaves = leaves_of("probes", "like", like)
    for node, path in zip(leaves.nodes, leaves.paths):
        if not is_float(node.dtype):
            fail(DTypeError, f"probes: {path} is {node.dtype}, not of floats", node)
    n = size_of("probes", "count", count)
    made = [
        where(bernoulli(fold_in(key, k), 0.5, (n, *node.shape)), asarray(1.0, node.dtype), asarray(-1.0, node.dtype))
        for k, node in enumerate(leaves.nodes)
    ]
    return tree.unflatten(leaves.structure, made)


def hutchinson_trace(A: Callable[[Tree], Tree], probes: Tree) -> Estimate:
    """The mean of z.A z over the probes z, whose expectation is the trace of A where their elements are independent with mean 0 and
    variance 1.

    A: a function v -> A v of trees. probes: a tree like v with the number of probes in front of every shape, random signs (the least
    variance) or normal numbers; all products are one batch. Hutchinson 1990. Raises ArgumentError, ShapeError, DTypeError.

        z = gx.optim.krylov.probes(key, w, 100)
        gx.optim.krylov.hutchinson_trace(lambda v: gx.hvp(cost, w, v), z).value
    """
    pairs = _multiplied("hutchinson_trace", A, probes)
    each = [total((z * az).reshape((z.shape[0], -1)), axis=1) for z, az in zip(*pairs[:2])]
    return _estimate(sum(each[1:], start=each[0]))


def hutchinson_diagonal(A: Callable[[Tree], Tree], probes: Tree) -> Estimate:
    """The mean of z * (A z) over the probes z, whose expectation is the diagonal of A for probes of random signs: trees like v.

    Off-diagonal elements are its noise: the variance of element i over one probe is the sum of A_ij ** 2 over j != i. Arguments and errors
    as those of `hutchinson_trace`. Bekas, Kokiopoulou and Saad 2007.
    """
    z, az, structure = _multiplied("hutchinson_diagonal", A, probes)
    found = [_estimate(p * q) for p, q in zip(z, az)]
    return Estimate(*(tree.unflatten(structure, [leaf[k] for leaf in found]) for k in (0, 1)))


def _multiplied(what: str, A: Callable[[Tree], Tree], probes: Tree) -> tuple[list[Node], list[Node], tree.TreeDef]:
    """The leaves of the probes, of their products, and their structure."""
    z = leaves_of(what, "probes", probes)
    if not callable(A):
        fail(ArgumentError, f"{what}: {A!r:.60} is no function", hint="for a matrix: lambda v: A @ v")
    for node, path in zip(z.nodes, z.paths):
        if not node.ndim:
            fail(ShapeError, f"{what}: {path} is one number", node, hint="the first axis is that of the probes")
    if not z.nodes:
        fail(ArgumentError, f"{what}: the probes hold no array")
    az = leaves_of(what, "A(probes)", vmap(A)(tree.unflatten(z.structure, z.nodes)))
    if az.structure != z.structure:
        fail(ArgumentError, f"{what}: A(v) and v differ {az.structure.difference(z.structure)}")
    for have, want, path in zip(az.nodes, z.nodes, az.paths):
        if have.shape != want.shape:
            fail(ShapeError, f"{what}: {path} is {have.tensor} over all probes, v there {want.tensor}", have, want)
    return list(z.nodes), list(az.nodes), z.structure


def _estimate(samples: Node) -> Estimate:
    """Mean and standard error along the first axis."""
    count = asarray(samples.shape[0], samples.dtype)
    centre = mean(samples, axis=0)
    spread = total((samples - centre) ** 2, axis=0) / where(count > 1, (count - 1) * count, float("nan"))
    return Estimate(centre, sqrt(spread))
