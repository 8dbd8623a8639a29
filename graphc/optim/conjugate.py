"""Steepest descent and nonlinear conjugate gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import maximum
from graphc.ops.compare import where
from graphc.ops.products import dot
from graphc.optim.directions import Aim, Descent, Move, alike, cautious
from graphc.optim.line_search import strong_wolfe
from graphc.optim.problem import Cost, Point


class Memory(NamedTuple):
    """The direction to go next, and the first length to try along it."""

    d: Node
    length: Node


def _first(point: Point) -> Memory:
    return Memory(-point.g, cautious(point))


def _aim(cost: Cost, point: Point, memory: Memory) -> Aim:
    return Aim(memory.d, memory.length)


def steepest_descent() -> Descent:
    """d = -g. With an exact search successive directions are orthogonal, and it zigzags; Goodfellow et al., section 8.6.2.

    The first length is that of the step before, scaled by the slopes. Its line search is `armijo` unless told otherwise.
    """

    def learn(memory: Memory, move: Move) -> Memory:
        d = -move.after.g
        return Memory(d, alike(memory.length, move, d))

    return Descent("armijo", _first, _aim, learn)


def fletcher_reeves(reset: int | None = None) -> Descent:
    """d = -g + b d_before with b = g.g / g_before.g_before. Fletcher and Reeves 1964; algorithm 8.9 with its beta_1 = 0.

    reset: every so many turns d is -g again; None: never but where d would not descend. Line search: `strong_wolfe` with c2 = 0.1.
    """
    return _conjugate("fletcher_reeves", lambda g, before: dot(g, g) / dot(before, before), reset)


def polak_ribiere(reset: int | None = None) -> Descent:
    """d = -g + b d_before with b = max(0, (g - g_before).g / g_before.g_before): forgets by itself. Polak and Ribiere 1969, the form
    called PR+. Options and line search as those of `fletcher_reeves`."""
    return _conjugate("polak_ribiere", lambda g, before: maximum(dot(g - before, g) / dot(before, before), 0.0), reset)


def _conjugate(name: str, ratio: Any, reset: int | None) -> Descent:
    if reset is not None and reset < 1:
        fail(ArgumentError, f"{name}: reset={reset}", hint="after how many turns it begins anew, at least 1")

    def learn(memory: Memory, move: Move) -> Memory:
        g = move.after.g
        d = -g + ratio(g, move.before.g) * move.d
        if reset is not None:
            d = where((move.turns + 1) % reset == 0, -g, d)
        return Memory(d, alike(memory.length, move, d))

    return Descent(strong_wolfe(c2=0.1), _first, _aim, learn)
