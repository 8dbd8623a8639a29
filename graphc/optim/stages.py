"""How stages are put together: chains, parts of a tree, steps that are left out, projections, averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ops.compare import isfinite, where
from graphc.ops.reductions import all as every
from graphc.ops.registry import asarray
from graphc.ops.spread import astype
from graphc.optim.descent import COUNT, after, counted
from graphc.optim.leaves import copies, each
from graphc.optim.optimizer import Kind, Optimizer
from graphc.optim.settings import number, to
from graphc.tree import Tree
from graphc.types import same_size

Mask: TypeAlias = Any
"""A tree of bools like the parameters, or like their upper levels; or a function of the path of a leaf, such as "['W']"."""


def chain(*stages: Optimizer) -> Optimizer:
    """The stages one after another: those that change gradients, one that makes a step, those that change what it has led to.

    The state is the tuple of theirs. A chain that makes no step is a stage of another. Raises ArgumentError for another order.

        opt = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(1e-3), gx.optim.polyak(0.999))
    """
    for s in stages:
        if not isinstance(s, Optimizer):
            fail(ArgumentError, f"chain: {s!r:.60} is no stage", hint="gx.optim.sgd(0.1), gx.optim.clip_by_value(1.0), ...")
    kinds = [s.kind for s in stages]
    order: tuple[Kind, ...] = ("gradients", "descent", "parameters")
    if not stages or kinds != sorted(kinds, key=order.index) or kinds.count("descent") > 1 or {*kinds} == {"gradients", "parameters"}:
        shown = ", ".join(s.name for s in stages) or "nothing"
        hint = "first what changes gradients, then one method that makes a step, then what changes parameters"
        fail(ArgumentError, f"chain: {shown} is no order of stages", hint=hint)
    step = kinds.index("descent") if "descent" in kinds else None
    kind: Kind = kinds[0] if step is None else "descent"

    def advance(values: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        made = []
        for s, before in zip(stages, state):
            values, new = s.advance(values, before, params, ahead)
            made.append(new)
        return values, tuple(made)

    inner = None if step is None else stages[step]
    interim = None
    if inner is not None and inner.interim is not None:
        there = inner.interim
        interim = lambda state, params: there(state[step], params)
    begin = lambda params: tuple(s.begin(params) for s in stages)
    return Optimizer("chain", kind, begin, advance, interim, None if inner is None else inner.trains)


def masked(stage: Optimizer, mask: Mask) -> Optimizer:
    """The stage on the leaves where the mask is True only. Others pass as they are: a method that makes steps leaves them where they are,
    and they have no slots and need no gradient.

    mask: a tree of bools like the parameters, or like their upper levels ({"trunk": False, "head": True}), or a function of the path of a
    leaf (lambda path: path.endswith("['W']")). Raises ArgumentError where it says nothing of a leaf, or no bool.
    """
    if not isinstance(stage, Optimizer):
        fail(ArgumentError, f"masked: {stage!r:.60} is no stage", hint="masked(gx.optim.sgd(0.1), mask)")
    name = f"masked {stage.name}"

    def chosen(params: Tree) -> list[bool]:
        return _chosen(name, mask, params)

    def part(values: Tree, params: Tree) -> Tree:
        """The tree with None for what the mask leaves out."""
        leaves, structure = tree.flatten(values)
        return tree.unflatten(structure, [v if m else None for v, m in zip(leaves, chosen(params))])

    def merged(whole: Tree, inner: Tree, params: Tree) -> Tree:
        leaves, structure = tree.flatten(whole)
        new = iter(tree.leaves(inner))
        return tree.unflatten(structure, [next(new) if m else v for v, m in zip(leaves, chosen(params))])

    def advance(values: Tree, state: Tree, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        new, made = stage.advance(part(values, params), state, part(params, params), ahead)
        return merged(params if stage.kind == "descent" else values, new, params), made

    def trains(params: Tree) -> list[bool]:
        inner = iter(stage.trains(part(params, params)) if stage.trains is not None else [True] * sum(chosen(params)))
        return [m and next(inner) for m in chosen(params)]

    interim = None
    if (there := stage.interim) is not None:
        interim = lambda state, params: merged(params, there(state, part(params, params)), params)
    return Optimizer(name, stage.kind, lambda params: stage.begin(part(params, params)), advance, interim, trains)


def freeze(stage: Optimizer, frozen: Mask) -> Optimizer:
    """`masked` with the mask turned round: where `frozen` is True parameters keep every bit.

    opt = gx.optim.freeze(gx.optim.adam(1e-3), {"trunk": True, "head": False})
    """
    if callable(frozen):
        return masked(stage, lambda path: not _bool("freeze", frozen(path), path))
    paths = tree.paths(frozen)
    leaves, structure = tree.flatten(frozen)
    return masked(stage, tree.unflatten(structure, [not _bool("freeze", m, path) for m, path in zip(leaves, paths)]))


def _chosen(what: str, mask: Mask, params: Tree) -> list[bool]:
    """The mask at every leaf of the parameters."""
    paths = tree.paths(params)
    if callable(mask):
        return [_bool(what, mask(path), path) for path in paths]
    given = dict(zip(tree.paths(mask), tree.leaves(mask)))
    found = []
    for path in paths:
        above = [path] if path in given else [key for key in given if path.startswith(key) and (not key or path[len(key)] in "[.")]
        if not above:
            fail(ArgumentError, f"{what}: the mask says nothing of params{path}", hint=f"it has {', '.join(given) or 'no leaves'}")
        found.append(_bool(what, given[above[0]], path))
    return found


def _bool(what: str, value: Any, path: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        fail(ArgumentError, f"{what}: the mask is {value!r:.60} at {path or 'the root'}", hint="True or False")
    return bool(value)


def apply_if_finite(stage: Optimizer) -> Optimizer:
    """The stage where all gradients are finite; where one is nan or infinite, parameters and state stay as they are.

    State: {"inner": that of the stage, "skipped": how many updates were left out, int64}. Raises ArgumentError.
    """
    if not isinstance(stage, Optimizer) or stage.kind != "descent":
        fail(ArgumentError, f"apply_if_finite: {getattr(stage, 'name', stage)!r:.60} makes no step", hint="gx.optim.adam(1e-3), or a chain")

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        finite = asarray(True)
        for g in tree.leaves(grads):
            finite = finite & every(isfinite(g))
        new, inner = stage.advance(grads, state["inner"], params, ahead)
        kept = lambda a, b: a if a is b else where(finite, a, b)
        skipped = state["skipped"] + astype(~finite, "int64")
        return tree.map(kept, new, params), {"inner": tree.map(kept, inner, state["inner"]), "skipped": skipped}

    interim = None
    if (there := stage.interim) is not None:
        interim = lambda state, params: there(state["inner"], params)
    begin = lambda params: {"inner": stage.begin(params), "skipped": np.int64(0)}
    return replace(stage, name=f"apply_if_finite {stage.name}", begin=begin, advance=advance, interim=interim)


def project(function: Callable[..., Any]) -> Optimizer:
    """A last stage of a chain: what a step has led to is replaced by function(p) at each leaf, of the same shape and dtype.

    Projected gradient descent. For some leaves only, see `masked`. Raises ArgumentError, and ShapeError for another shape.

        longest = lambda w: w / gx.maximum(1, gx.linalg.norm(w, axis=0))         columns no longer than 1
        opt = gx.optim.chain(gx.optim.sgd(0.1), gx.optim.masked(gx.optim.project(longest), {"W": True, "b": False}))
    """
    if not callable(function):
        fail(ArgumentError, f"project: {function!r:.60} is no function of a parameter")

    def advance(new: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        made = tree.map(lambda p: astype(asarray(function(p)), p.dtype), new)
        for leaf, p, path in zip(tree.leaves(made), tree.leaves(params), tree.paths(params)):
            if leaf.ndim != p.ndim or not all(map(same_size, leaf.shape, p.shape)):
                fail(ShapeError, f"project: the function gives params{path} another shape", leaf, p)
        return made, state

    return Optimizer("project", "parameters", lambda params: {}, advance)


def polyak(decay: float | None = None) -> Optimizer:
    """A last stage of a chain that keeps an average A of the parameters after each update t = 1, 2, ..., and does not change them.

    decay=None: the mean of all, A = sum of p(1) .. p(t) over t. A decay d in [0, 1): A' = d A + (1 - d) p', which begins at the
    parameters that `init` saw. State: average, a tree like the parameters, and for the mean count. Raises ArgumentError.
    Source: equation 8.39 and section 8.7.3 of the textbook; Polyak and Juditsky (1992).

        pairs = gx.optim.chain(gx.optim.sgd(0.1), gx.optim.polyak()).updates(loss, p)
        step = gx.function([x, y], loss, updates=pairs)
        better = gx.get_values(pairs.state[1]["average"])
    """
    d = None if decay is None else number("polyak: decay", decay, 0, 1, below=True)

    def advance(new: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        share = 1 / astype(state[COUNT] + 1, "float64") if d is None else 1 - d
        rule = lambda p, a: ((1 - to(share, p)) * a + to(share, p) * p,) if d is None else (d * a + (1 - d) * p,)
        (average,) = each(rule, 1, new, state["average"])
        return new, after(state, average=average)

    return Optimizer("polyak", "parameters", lambda params: counted({"average": copies(params)}, d is None), advance)
