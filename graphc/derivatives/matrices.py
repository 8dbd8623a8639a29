"""Derivative objects made of the two sweeps: Hessian-vector products, Jacobians, Hessians. Seeds are batched, never looped over."""

from __future__ import annotations

from collections.abc import Sequence

from graphc import dims, tree
from graphc.derivatives import stencils
from graphc.derivatives.batch import batch, lift
from graphc.derivatives.colours import coloured
from graphc.derivatives.entries import Entries, dense
from graphc.derivatives.forward import push_forward
from graphc.derivatives.grad import grad, pull_back, reached_from, readied
from graphc.derivatives.patterns import patterns_of
from graphc.derivatives.user_trees import floats_of, nodes_of, seeds_of, zeros_like
from graphc.dims import Size
from graphc.errors import ArgumentError, DisconnectedError, fail
from graphc.ir import Node
from graphc.ops.create import iota
from graphc.ops.derived import derived
from graphc.ops.registry import INPUT, variable
from graphc.ops.shape import moveaxis, reshape
from graphc.ops.spread import astype
from graphc.tree import Tree

FEWEST = 8  # seeds; a smaller identity matrix costs nothing
GAIN = 4  # seeds for each row or colour at least: stores to places from a list cost more than stores in a row


def hvp(cost: Node, wrt: Tree, v: Tree, *, consider_constant: Tree = ()) -> Tree:
    """H v with H = d^2 cost / d wrt^2: a tree like `wrt`, by the forward sweep over the gradient.

    v: a tree like `wrt`, None for zeros; it is not differentiated. Costs a few times the gradient in time and memory, whatever the
    size of wrt. Raises what `grad` raises.
    """
    sources = floats_of("hvp", "wrt", wrt)
    seeds = {node: t for node, t in zip(sources.nodes, seeds_of("hvp", "v", v, sources)) if t is not None}
    gradient = tree.leaves(grad(cost, wrt, consider_constant=consider_constant))
    constant = set(nodes_of("hvp", "consider_constant", consider_constant).nodes)
    ready = readied(gradient, sources.nodes, constant)
    pushed = push_forward(ready, seeds, constant)
    found = [zeros_like(node) if t is None else t for node, t in zip(sources.nodes, pushed)]
    return sources.unflatten(derived(found, [cost], set(sources.nodes)))


def jacobian(outputs: Tree, wrt: Tree, *, mode: str | None = None, consider_constant: Tree = ()) -> Tree:
    """J[i..., j...] = d output[i...] / d wrt[j...], of shape output.shape + wrt.shape: for trees a tree like `outputs` of trees like `wrt`.

    mode: "reverse" (a cotangent per output element), "forward" (a tangent per wrt element), or None: forward where all sizes are known
    and wrt has the fewer elements. All seeds go in one batch; where sizes are known and each output depends on few elements of wrt, few
    seeds do, and the entries that are 0 by structure are exactly 0 (see `patterns`). Raises what `grad` raises.
    """
    out, sources = floats_of("jacobian", "outputs", outputs), floats_of("jacobian", "wrt", wrt)
    if mode not in (None, "reverse", "forward"):
        fail(ArgumentError, f"jacobian: mode={mode!r}", hint='it is "reverse", "forward" or None')
    reached = reached_from(out.nodes)
    lost = [(node, path) for node, path in zip(sources.nodes, sources.paths) if node not in reached]
    if lost:
        fail(DisconnectedError, f"jacobian: the outputs do not depend on {', '.join(p for _, p in lost)}", *[node for node, _ in lost])
    constant = set(nodes_of("jacobian", "consider_constant", consider_constant).nodes)
    ready = readied(out.nodes, sources.nodes, constant)
    if mode is None:
        inner, outer = (sum(node.size for node in nodes) for nodes in (sources.nodes, out.nodes))
        mode = "forward" if isinstance(inner, int) and isinstance(outer, int) and inner < outer else "reverse"
    blocks = _columns(ready, sources.nodes, constant) if mode == "forward" else [_rows(node, sources.nodes, constant) for node in ready]
    return out.unflatten([sources.unflatten(derived(row, [node], set(sources.nodes))) for node, row in zip(out.nodes, blocks)])


def hessian(cost: Node, wrt: Tree, *, flat: bool = False, consider_constant: Tree = ()) -> Tree:
    """H[i..., j...] = d^2 cost / d wrt[i...] d wrt[j...]: for a tree a tree like `wrt` of trees like `wrt`.

    flat=True: one matrix over all elements, in the order of `tree.ravel(wrt)`. Forward over reverse, all seeds in one batch, or few where
    few entries can be other than 0, as in `jacobian`. For large wrt use `hvp`, which never makes n * n numbers. Raises what `grad` raises.
    """
    sources = floats_of("hessian", "wrt", wrt)
    constant = set(nodes_of("hessian", "consider_constant", consider_constant).nodes)
    gradient = readied(tree.leaves(grad(cost, wrt, consider_constant=consider_constant)), sources.nodes, constant)
    if not flat:
        blocks = _columns(gradient, sources.nodes, constant)
        return sources.unflatten([sources.unflatten(derived(row, [cost], set(sources.nodes))) for row in blocks])
    vector, unravel = tree.ravel(sources.nodes)
    v = variable(INPUT, "v", vector.dtype, vector.shape)
    pushed = push_forward(gradient, dict(zip(sources.nodes, unravel(v))), constant)
    product, _ = tree.ravel([zeros_like(node) if t is None else t for node, t in zip(sources.nodes, pushed)])
    return derived(_over_basis([product], v), [cost], set(sources.nodes))[0]  # row k is H e_k, which is column k: H is symmetric


def _rows(output: Node, wrt: Sequence[Node], constant: set[Node]) -> list[Node]:
    """The Jacobian of one output by reverse mode: each block of shape output.shape + leaf.shape."""
    u = variable(INPUT, "u", output.dtype, output.shape)
    found = pull_back([(output, u)], set(wrt), constant)
    return _over_basis([found[node] if node in found else zeros_like(node) for node in wrt], u)


def _columns(outputs: Sequence[Node], wrt: Sequence[Node], constant: set[Node]) -> list[list[Node]]:
    """The Jacobian of all outputs by forward mode: for each output a list of blocks, one per leaf of wrt."""
    blocks: list[list[Node]] = [[] for _ in outputs]
    for leaf in wrt:
        v = variable(INPUT, "v", leaf.dtype, leaf.shape)
        pushed = push_forward(outputs, {leaf: v}, constant)
        lanes = _over_basis([zeros_like(node) if t is None else t for node, t in zip(outputs, pushed)], v, last=True)
        for row, block in zip(blocks, lanes):
            row.append(block)
    return blocks


def _over_basis(results: Sequence[Node], seed: Node, last: bool = False) -> list[Node]:
    """The results, linear in `seed`, for every unit vector in its place: the axes of `seed` before (`last`: after) their own."""
    entries = _entries(results, seed, last)
    if entries is not None:
        return [dense(found, seed, node, last) for found, node in zip(entries, results)]
    size = dims.product(seed.shape)
    index = iota((size,), 0)
    unit = reshape(index, (size, 1)) == reshape(index, (1, size))
    basis = _reshaped(astype(unit, seed.dtype), (size, *seed.shape))
    whole = [node if is_mapped else lift(node, size) for node, is_mapped in batch(results, {seed: basis}, size)]
    shapes = [(*node.shape, *seed.shape) if last else (*seed.shape, *node.shape) for node in results]
    return [_reshaped(moveaxis(node, 0, -1) if last else node, shape) for node, shape in zip(whole, shapes)]


def _entries(results: Sequence[Node], seed: Node, last: bool) -> list[Entries] | None:
    """The entries of d results / d seed that can be other than 0, where they are few: by rows along stencils, else by coloured seeds."""
    n = seed.size
    if not isinstance(n, int) or n < FEWEST:
        return None
    rows = stencils.rows_of(results, seed, n // GAIN)
    if rows is not None:
        return [stencils.entries_of(r) for r in rows]
    found = patterns_of(results, seed, n // GAIN)
    return coloured(results, seed, found, n // GAIN, last) if found else None


def _reshaped(node: Node, shape: tuple[Size, ...]) -> Node:
    return node if node.shape == shape else reshape(node, shape)
