"""Stages that change gradients: clipping by value, by norm and by the norm of all, weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import tree
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import clip, maximum, sqrt
from graphc.ops.compare import isfinite, where
from graphc.ops.reductions import sum as total
from graphc.ops.registry import asarray
from graphc.ops.spread import astype
from graphc.optim.descent import COUNT, after, counted
from graphc.optim.leaves import each, fitted, flattened
from graphc.optim.optimizer import Optimizer
from graphc.optim.settings import Setting, needs_count, now, setting, to
from graphc.tree import Tree

NONFINITE = ("keep", "zero")
SMALLEST = float(np.finfo(np.float64).tiny)  # a limit of 0 and gradients of 0: 0 / SMALLEST


def global_norm(values: Tree) -> Node:
    """The square root of the sum of the squares of all elements of all leaves, a 0-d float64; 0 for a tree without leaves.

    Squares are added in float64, so that those of float32 neither overflow nor vanish. Raises ArgumentError for a leaf that is no array.

        norm = gx.optim.global_norm(gx.grad(loss, p))
    """
    leaves, _ = flattened("global_norm", "values", values)
    squares = [total(wide * wide) for wide in (astype(asarray(leaf), "float64") for leaf in leaves)]
    return sqrt(sum(squares[1:], squares[0])) if squares else asarray(0.0)


def clip_by_value(limit: Setting) -> Optimizer:
    """A stage of a chain: every element of the gradients between -limit and limit; nan stays nan, an infinity becomes the limit.

    limit: a number >= 0, a 0-d node or a schedule. Raises ArgumentError, ShapeError, DTypeError.
    """
    return _stage("clip_by_value", limit, lambda bound, grads: each(lambda g: (clip(g, -to(bound, g), to(bound, g)),), 1, grads)[0])


def clip_by_norm(max_norm: Setting, nonfinite: str = "keep") -> Optimizer:
    """A stage of a chain: the gradient g of each leaf times min(1, max_norm / ||g||): its direction stays.

    max_norm and nonfinite: as of `clip_by_global_norm`, of each leaf by itself.
    """

    def scaled(bound: float | Node, grads: Tree) -> Tree:
        return tree.map(lambda g: _scaled(bound, [g], nonfinite)[0], grads)

    return _stage("clip_by_norm", max_norm, scaled, nonfinite)


def clip_by_global_norm(max_norm: Setting, nonfinite: str = "keep") -> Optimizer:
    """A stage of a chain: all gradients times min(1, max_norm / norm) with the norm of all elements of all leaves, see `global_norm`.

    max_norm: a number >= 0, a 0-d node or a schedule. Where an element is nan or infinite the norm is, too: with nonfinite="keep" those
    elements stay nan (inf becomes nan) and the finite ones become 0 or nan; with "zero" every gradient is 0, so that such a step moves
    nothing but by momentum (to leave the state as well, see `apply_if_finite`). Raises ArgumentError, ShapeError, DTypeError.
    Source: section 10.11.1 of the textbook; Pascanu et al. (2013).

        opt = gx.optim.chain(gx.optim.clip_by_global_norm(1.0), gx.optim.adam(1e-3))
    """

    def scaled(bound: float | Node, grads: Tree) -> Tree:
        leaves, structure = tree.flatten(grads)
        return tree.unflatten(structure, _scaled(bound, leaves, nonfinite))

    return _stage("clip_by_global_norm", max_norm, scaled, nonfinite)


def _scaled(bound: float | Node, grads: list[Node], nonfinite: str) -> list[Node]:
    norm = global_norm(grads)
    factor = bound / maximum(norm, maximum(bound, SMALLEST))
    if nonfinite == "keep":
        return [g * to(factor, g) for g in grads]
    finite = isfinite(norm)
    return [where(finite, g * to(factor, g), 0.0) for g in grads]


def _stage(name: str, limit: Setting, clipped: Callable[[Any, Tree], Tree], nonfinite: str = "keep") -> Optimizer:
    bound = setting(f"{name}: the limit", limit)
    if nonfinite not in NONFINITE:
        fail(ArgumentError, f"{name}: nonfinite={nonfinite!r:.60}", hint="one of " + ", ".join(map(repr, NONFINITE)))

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        return clipped(now(name, bound, state.get(COUNT)), grads), after(state)

    return Optimizer(name, "gradients", lambda params: counted({}, needs_count(bound)), advance)


def add_decayed_weights(weight_decay: Setting, centre: Tree = None) -> Optimizer:
    """A stage of a chain: g + weight_decay p, the gradient of g's loss and weight_decay ||p||^2 / 2.

    centre: a tree like the parameters, c, for weight_decay (p - c): a Gaussian prior around c. In front of Adam this is not AdamW's
    decay, which its moments do not see. For a part of the parameters, see `masked`. Raises ArgumentError, ShapeError, DTypeError.

        opt = gx.optim.chain(gx.optim.masked(gx.optim.add_decayed_weights(1e-4), {"W": True, "b": False}), gx.optim.sgd(0.1))
    """
    decay = setting("add_decayed_weights: weight_decay", weight_decay)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        factor = now("add_decayed_weights", decay, state.get(COUNT))
        if centre is None:
            away = params
        else:
            away = tree.map(lambda p, c: p - c, params, _centre(centre, params))
        return each(lambda g, p: (g + to(factor, g) * p,), 1, grads, away)[0], after(state)

    return Optimizer("add_decayed_weights", "gradients", lambda params: counted({}, needs_count(decay)), advance)


def _centre(centre: Tree, params: Tree) -> Tree:
    """The leaves of `centre` beside those of the parameters, which may be a part of the tree: within `masked`, or frozen."""
    what, given = "add_decayed_weights", dict(zip(tree.paths(centre), tree.leaves(centre)))
    for path in tree.paths(params):
        if path not in given:
            fail(ArgumentError, f"{what}: centre has no leaf for params{path}", hint="the centre is a tree like the parameters")
    beside = tree.unflatten(tree.structure(params), [given[path] for path in tree.paths(params)])
    return fitted(what, "centre", beside, params, "the centre is a tree like the parameters, of their shapes")
