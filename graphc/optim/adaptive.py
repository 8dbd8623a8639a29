"""A rate of its own for every parameter, from the sizes of its gradients: AdaGrad, AdaDelta, RMSProp, delta-bar-delta."""

from __future__ import annotations

from typing import Any

from graphc.ir import Node
from graphc.ops.arithmetic import sign, sqrt
from graphc.ops.compare import where
from graphc.optim.descent import COUNT, after, counted, look_ahead, moved
from graphc.optim.leaves import each, full, zeros
from graphc.optim.optimizer import Optimizer
from graphc.optim.settings import Setting, is_zero, needs_count, now, number, setting, to
from graphc.tree import Tree


def adagrad(rate: Setting, eps: float = 1e-7, initial: float = 0.0) -> Optimizer:
    """AdaGrad, r' = r + g^2, p' = p - rate g / (eps + sqrt(r')): along a constant gradient steps shrink as 1 / sqrt(t).

    rate: as in `sgd`; eps >= 0; initial >= 0: where r, the slot `square`, begins. With eps = 0 a parameter whose gradients were all 0
    stays where it is. Raises ArgumentError, ShapeError, DTypeError. Source: Algorithm 8.4 of the textbook; Duchi et al. (2011).

        opt = gx.optim.adagrad(0.1)
    """
    factor, eps, initial = setting("adagrad: the rate", rate), number("adagrad: eps", eps), number("adagrad: initial", initial)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        step = now("adagrad", factor, state.get(COUNT))

        def rule(p: Node, g: Node, r: Node) -> tuple[Node, Node]:
            square = r + g * g
            return p - to(step, p) * guarded(g, eps + sqrt(square), square, eps), square

        new, square = each(rule, 2, params, grads, state["square"])
        return new, after(state, square=square)

    return Optimizer("adagrad", "descent", lambda params: counted({"square": full(params, initial)}, needs_count(factor)), advance)


def guarded(g: Node, root: Node, square: Node, eps: float) -> Node:
    """g / root; with eps = 0, where the mean square of all gradients is 0, and so is g: 0 instead of 0 / 0."""
    return g / root if eps > 0 else where(square == 0, 0.0, g / root)


def rmsprop(rate: Setting, decay: float = 0.9, eps: float = 1e-6, momentum: Setting = 0.0, nesterov: bool = False) -> Optimizer:
    """RMSProp, r' = d r + (1 - d) g^2, u = rate g / sqrt(eps + r'), p' = p - u; with momentum a: v' = a v - u, p' = p + v'.

    nesterov: the gradient is taken at p + a v, as in `gx.optim.nesterov`, whose two forms these are. rate, momentum: as there; decay: d
    in [0, 1); eps >= 0 (the textbook's form with Nesterov has none: eps=0, and a parameter whose gradients were all 0 stays where it
    is). Slots: square, with momentum velocity. Raises ArgumentError, ShapeError, DTypeError.
    Source: Algorithms 8.5 and 8.6 of the textbook; Hinton (2012).
    """
    factor, keep = setting("rmsprop: the rate", rate), setting("rmsprop: momentum", momentum, 0, 1, below=True)
    d, eps, heavy = number("rmsprop: decay", decay, 0, 1, below=True), number("rmsprop: eps", eps), nesterov or not is_zero(keep)

    def interim(state: Any, params: Tree) -> Tree:
        return look_ahead(now("rmsprop", keep, state.get(COUNT)), params, state["velocity"])

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        count = state.get(COUNT)
        step, a = now("rmsprop", factor, count), now("rmsprop", keep, count)

        def scaled(p: Node, g: Node, r: Node) -> tuple[Node, Node]:
            square = d * r + (1 - d) * (g * g)
            return to(step, p) * guarded(g, sqrt(eps + square), square, eps), square

        def light(p: Node, g: Node, r: Node) -> tuple[Node, Node]:
            u, square = scaled(p, g, r)
            return p - u, square

        def with_velocity(p: Node, g: Node, r: Node, v: Node) -> tuple[Node, Node, Node]:
            u, square = scaled(p, g, r)
            new, velocity = moved(p, u, v, to(a, p), nesterov and not ahead)
            return new, square, velocity

        if not heavy:
            new, square = each(light, 2, params, grads, state["square"])
            return new, after(state, square=square)
        new, square, velocity = each(with_velocity, 3, params, grads, state["square"], state["velocity"])
        return new, after(state, square=square, velocity=velocity)

    names = ["square", *(["velocity"] if heavy else [])]
    begin = lambda params: counted({name: zeros(params) for name in names}, needs_count(factor, keep))
    return Optimizer("rmsprop", "descent", begin, advance, interim if nesterov else None)


def adadelta(rate: Setting = 1.0, decay: float = 0.9, eps: float = 1e-6) -> Optimizer:
    """AdaDelta, r' = d r + (1 - d) g^2, u = g sqrt(s + eps) / sqrt(r' + eps), s' = d s + (1 - d) u^2, p' = p - rate u.

    rate: as in `sgd`; decay: d in [0, 1); eps > 0: the size of the first steps. Slots: square (r), moved (s), both begin at 0.
    Raises ArgumentError, ShapeError, DTypeError. Source: Zeiler (2012), Algorithm 1.
    """
    factor = setting("adadelta: the rate", rate)
    d, eps = number("adadelta: decay", decay, 0, 1, below=True), number("adadelta: eps", eps, above=True)

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        step = now("adadelta", factor, state.get(COUNT))

        def rule(p: Node, g: Node, r: Node, s: Node) -> tuple[Node, Node, Node]:
            square = d * r + (1 - d) * (g * g)
            u = g * sqrt((s + eps) / (square + eps))
            return p - to(step, p) * u, square, d * s + (1 - d) * (u * u)

        new, square, moves = each(rule, 3, params, grads, state["square"], state["moved"])
        return new, after(state, square=square, moved=moves)

    begin = lambda params: counted({"square": zeros(params), "moved": zeros(params)}, needs_count(factor))
    return Optimizer("adadelta", "descent", begin, advance)


def delta_bar_delta(rate: float, up: float = 0.01, down: float = 0.1, decay: float = 0.7) -> Optimizer:
    """Delta-bar-delta, a rate e for each parameter that grows while its gradient keeps its sign: p' = p - e' g, where with the mean
    m of the gradients before, m' = t m + (1 - t) g, the rate e' is e + up if m g > 0, e (1 - down) if m g < 0, and e otherwise.

    rate > 0: where each e begins; up >= 0; down and decay (t) in [0, 1). For gradients of the whole data: with minibatches signs flip
    by chance. Slots: rate, mean. Raises ArgumentError. Source: section 8.5 of the textbook; Jacobs (1988), equations 4 and 5.
    """
    start, up = number("delta_bar_delta: the rate", rate, above=True), number("delta_bar_delta: up", up)
    down = number("delta_bar_delta: down", down, 0, 1, below=True)
    t = number("delta_bar_delta: decay", decay, 0, 1, below=True)

    def rule(p: Node, g: Node, e: Node, m: Node) -> tuple[Node, Node, Node]:
        agree = sign(m) * sign(g)  # m * g would be 0 for small ones
        new = where(agree > 0, e + up, where(agree < 0, (1 - down) * e, e))
        return p - new * g, new, t * m + (1 - t) * g

    def advance(grads: Tree, state: Any, params: Tree, ahead: bool) -> tuple[Tree, Tree]:
        new, rates, mean = each(rule, 3, params, grads, state["rate"], state["mean"])
        return new, after(state, rate=rates, mean=mean)

    return Optimizer("delta_bar_delta", "descent", lambda params: {"rate": full(params, start), "mean": zeros(params)}, advance)
