"""Steps along the gradient, with and without momentum: Algorithms 8.1 to 8.3 of Goodfellow, Bengio and Courville (2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import tree
from graphc.ir import Node
from graphc.optim.leaves import each, zeros
from graphc.optim.optimizer import Optimizer
from graphc.optim.settings import Setting, needs_count, now, setting, to
from graphc.tree import Tree

COUNT = "count"  # of the updates so far, int64


def counted(slots: dict[str, Tree], counts: bool) -> dict[str, Tree]:
    """A state of these slots, with the count of updates where something needs it."""
    return {COUNT: np.int64(0), **slots} if counts else slots


def after(state: dict[str, Tree], **slots: Tree) -> dict[str, Tree]:
    """The state with these slots new, and the count one further."""
    return {**state, **slots, **({COUNT: state[COUNT] + 1} if COUNT in state else {})}


def sgd(rate: Setting) -> Optimizer:
    """Gradient descent, p' = p - r g.

    rate: r, a number >= 0, a 0-d node, state, or a schedule: a function of the number of updates so far.
    Raises ArgumentError, ShapeError, DTypeError.

        opt = gx.optim.sgd(gx.optim.schedules.linear(0.1, 0.001, 200))
    """
    r = setting("sgd: the rate", rate)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        factor = now("sgd", r, state.get(COUNT))
        (new,) = each(lambda p, g: (p - to(factor, p) * g,), 1, params, grads)
        return new, after(state)

    return Optimizer("sgd", "descent", lambda params: counted({}, needs_count(r)), advance)


def momentum(rate: Setting, momentum: Setting = 0.9) -> Optimizer:
    """Descent with momentum, v' = a v - r g, p' = p + v'; v begins at 0. Along a constant gradient the step grows to r g / (1 - a).

    rate: r as in `sgd`; momentum: a in [0, 1), or a node or schedule. Slot: velocity. Raises ArgumentError, ShapeError, DTypeError.
    Source: Algorithm 8.2 of the textbook; Polyak (1964).
    """
    return _with_velocity("momentum", rate, momentum, nesterov=False)


def nesterov(rate: Setting, momentum: Setting = 0.9) -> Optimizer:
    """Nesterov's momentum, v' = a v - r g(p + a v), p' = p + v': the gradient is taken ahead.

    `updates(loss, p)` puts p + a v in place of p in the gradient. `update`, and `updates` of given gradients, take these at the
    parameters, which are then the points ahead, x = p + a v: v' = a v - r g(x), x' = x + a v' - r g(x). Settings and slot as of
    `momentum`, whose momentum should then be a number: with a schedule the two forms differ where a changes.
    Raises ArgumentError, ShapeError, DTypeError. Source: Algorithm 8.3 of the textbook; Sutskever et al. (2013).
    """
    return _with_velocity("nesterov", rate, momentum, nesterov=True)


def _with_velocity(name: str, rate: Setting, momentum: Setting, nesterov: bool) -> Optimizer:
    r, a = setting(f"{name}: the rate", rate), setting(f"{name}: momentum", momentum, 0, 1, below=True)

    def interim(state: Any, params: Tree) -> Tree:
        factor = now(name, a, state.get(COUNT))
        return look_ahead(factor, params, state["velocity"])

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        count = state.get(COUNT)
        factor, keep = now(name, r, count), now(name, a, count)
        rule = lambda p, g, v: moved(p, to(factor, p) * g, v, to(keep, p), nesterov and not ahead)
        new, velocity = each(rule, 2, params, grads, state["velocity"])
        return new, after(state, velocity=velocity)

    begin = lambda params: counted({"velocity": zeros(params)}, needs_count(r, a))
    return Optimizer(name, "descent", begin, advance, interim if nesterov else None)


def look_ahead(keep: float | Node, params: Tree, velocity: Tree) -> Tree:
    """p + a v."""
    return tree.map(lambda p, v: p + to(keep, p) * v, params, velocity)


def moved(p: Node, step: Node, v: Node, keep: float | Node, rewritten: bool) -> tuple[Node, Node]:
    """(p + v', v') with v' = a v - step; of points ahead, `rewritten`, (p + a v' - step, v')."""
    new = keep * v - step
    return (p + (keep * new - step) if rewritten else p + new), new
