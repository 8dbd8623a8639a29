"""Adam, AdamW and Lion: the direction from a running mean of gradients."""

from __future__ import annotations

from typing import Any

from graphc.ir import Node
from graphc.ops.arithmetic import maximum, sign, sqrt
from graphc.ops.spread import astype
from graphc.optim.adaptive import guarded
from graphc.optim.descent import COUNT, after, counted
from graphc.optim.leaves import each, zeros
from graphc.optim.optimizer import Optimizer
from graphc.optim.settings import Setting, is_zero, needs_count, now, number, setting, to
from graphc.tree import Tree


def adam(
    rate: Setting = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, *, amsgrad: bool = False
) -> Optimizer:
    """Adam, m' = b1 m + (1 - b1) g, v' = b2 v + (1 - b2) g^2, p' = p - rate M / (sqrt(V + eps_root) + eps) with the means corrected for
    their beginning at 0: M = m' / (1 - b1^t), V = v' / (1 - b2^t), t = 1, 2, ...

    eps outside the root is the common form; the textbook prints it inside: eps=0, eps_root=1e-8. rate: as in `sgd`; b1, b2 in [0, 1).
    amsgrad: the largest v' so far takes the place of v'. Slots: count, mean, square, with amsgrad largest. With eps = eps_root = 0 a
    parameter whose gradients were all 0 stays where it is. Raises ArgumentError, ShapeError, DTypeError.
    Source: Algorithm 8.7 of the textbook; Kingma and Ba (2015); Reddi et al. (2018).

        step = gx.function([x, y], loss, updates=gx.optim.adam(1e-3).updates(loss, p))
    """
    return _adam("adam", rate, b1, b2, eps, eps_root, 0.0, amsgrad)


def adamw(
    rate: Setting = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0, weight_decay: Setting = 1e-4,
    *, amsgrad: bool = False,
) -> Optimizer:  # fmt: skip
    """Adam with decoupled weight decay: its step and besides -rate weight_decay p, which the moments do not see.

    weight_decay: a number >= 0, a node or a schedule; for a part of the parameters only, see `masked`. All else as of `adam`.
    Raises ArgumentError, ShapeError, DTypeError. Source: Loshchilov and Hutter (2019), Algorithm 2.
    """
    return _adam("adamw", rate, b1, b2, eps, eps_root, weight_decay, amsgrad)


def _adam(name: str, rate: Setting, b1: float, b2: float, eps: float, eps_root: float, weight_decay: Setting, amsgrad: bool) -> Optimizer:
    r, decay = setting(f"{name}: the rate", rate), setting(f"{name}: weight_decay", weight_decay)
    b1, b2 = number(f"{name}: b1", b1, 0, 1, below=True), number(f"{name}: b2", b2, 0, 1, below=True)
    eps, eps_root = number(f"{name}: eps", eps), number(f"{name}: eps_root", eps_root)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        t = astype(state[COUNT] + 1, "float64")
        rate = now(name, r, state[COUNT])
        step, second = rate / (1 - b1**t), 1 / (1 - b2**t)  # two scalars: no division by them at each element
        shrink = None if is_zero(decay) else rate * now(name, decay, state[COUNT])

        def rule(p: Node, g: Node, m: Node, v: Node, *largest: Node) -> tuple[Node, ...]:
            mean, square = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * (g * g)
            top = maximum(largest[0], square) if largest else square
            corrected = to(second, p) * top
            root = sqrt(corrected + eps_root if eps_root else corrected) + eps
            base = p if shrink is None else p - to(shrink, p) * p
            return (base - to(step, p) * guarded(mean, root, top, eps + eps_root), mean, square, *([top] if largest else []))

        slots = ["mean", "square", *(["largest"] if amsgrad else [])]
        new, *made = each(rule, 1 + len(slots), params, grads, *(state[s] for s in slots))
        return new, after(state, **dict(zip(slots, made)))

    def begin(params: Tree) -> Tree:
        return counted({s: zeros(params) for s in ("mean", "square", *(["largest"] if amsgrad else []))}, True)

    return Optimizer(name, "descent", begin, advance)


def lion(rate: Setting = 1e-4, b1: float = 0.9, b2: float = 0.99, weight_decay: Setting = 0.0) -> Optimizer:
    """Lion, p' = p - rate (sign(b1 m + (1 - b1) g) + weight_decay p), m' = b2 m + (1 - b2) g: every step has the same size.

    rate, weight_decay: as in `adamw`; b1, b2 in [0, 1). Slot: mean, which begins at 0. Raises ArgumentError, ShapeError, DTypeError.
    Source: Chen et al. (2023), Algorithm 2.
    """
    r, decay = setting("lion: the rate", rate), setting("lion: weight_decay", weight_decay)
    b1, b2 = number("lion: b1", b1, 0, 1, below=True), number("lion: b2", b2, 0, 1, below=True)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        count = state.get(COUNT)
        step = now("lion", r, count)
        shrink = None if is_zero(decay) else step * now("lion", decay, count)

        def rule(p: Node, g: Node, m: Node) -> tuple[Node, Node]:
            base = p if shrink is None else p - to(shrink, p) * p
            return base - to(step, p) * sign(b1 * m + (1 - b1) * g), b2 * m + (1 - b2) * g

        new, mean = each(rule, 2, params, grads, state["mean"])
        return new, after(state, mean=mean)

    return Optimizer("lion", "descent", lambda params: counted({"mean": zeros(params)}, needs_count(r, decay)), advance)
