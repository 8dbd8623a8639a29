"""Quasi-Newton methods: an inverse Hessian learnt from all steps so far (BFGS), or made of the last few (L-BFGS)."""

from __future__ import annotations

from typing import NamedTuple

from graphc.control.scan import scan
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.create import arange, eye, zeros
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.directions import Aim, Descent, Move, cautious
from graphc.optim.problem import Cost, Point, norm


def _changes(move: Move) -> tuple[Node, Node, Node, Node]:
    """(s, y, 1 / s.y, whether s.y is positive beyond rounding, without which the step teaches nothing)"""
    s, y = move.after.x - move.before.x, move.after.g - move.before.g
    sy = dot(s, y)
    positive = sy > 1e-10 * norm(s) * norm(y)
    return s, y, 1.0 / where(positive, sy, 1.0), positive


class Dense(NamedTuple):
    """The inverse of the Hessian as it is known, and the first length to try."""

    inverse: Node
    length: Node


def bfgs() -> Descent:
    """d = -M g, with M <- (I - r s y') M (I - r y s') + r s s' and r = 1 / s.y after each step s that changed the gradient by y.

    Before its first update M is scaled to (s.y / y.y) I. Where s.y is not positive M stays. Memory and time of a step: n * n. Nocedal and
    Wright, algorithm 6.1. Line search: `strong_wolfe`.
    """

    def first(point: Point) -> Dense:
        return Dense(eye(point.x.size, dtype=point.x.dtype), cautious(point))

    def aim(cost: Cost, point: Point, memory: Dense) -> Aim:
        return Aim(-(memory.inverse @ point.g), memory.length)

    def learn(memory: Dense, move: Move) -> Dense:
        s, y, r, positive = _changes(move)
        yy = dot(y, y)
        scale = where(move.turns == 0, 1.0 / (r * where(yy > 0, yy, 1.0)), 1.0)
        my = scale * (memory.inverse @ y)
        a, b = where(positive, r * (1.0 + r * dot(y, my)), 0.0), where(positive, -r, 0.0)
        m = memory.inverse * where(positive, scale, 1.0)
        updated = m + s[:, None] * (a * s + b * my)[None, :] + (b * my)[:, None] * s[None, :]
        return Dense(updated, asarray(1.0, move.d.dtype))

    return Descent("strong_wolfe", first, aim, learn)


class Recent(NamedTuple):
    """The last steps s and changes y of the gradient in rows, 1 / s.y of each (0: none yet), how many there were, s.y / y.y of the last,
    and the first length to try. Row k mod m holds step k."""

    s: Node
    y: Node
    r: Node
    steps: Node
    scale: Node
    length: Node


def l_bfgs(history: int = 10) -> Descent:
    """As `bfgs`, with M made of the last `history` steps alone: memory and time of a step history * n. Nocedal and Wright, algorithms 7.4
    (the product M g by two loops over the history) and 7.5. Line search: `strong_wolfe`. Raises ArgumentError."""
    if history < 1:
        fail(ArgumentError, f"l_bfgs: history={history}", hint="it remembers at least one step")

    def first(point: Point) -> Recent:
        x, one = point.x, asarray(1.0, point.x.dtype)
        rows = zeros((history, x.size), x.dtype)
        return Recent(rows, rows, zeros((history,), x.dtype), asarray(0, "int64"), one, cautious(point))

    def learn(memory: Recent, move: Move) -> Recent:
        s, y, r, positive = _changes(move)
        row = memory.steps % history  # where nothing is learnt, what is there is written again

        def put(rows: Node, new: Node) -> Node:
            return rows.at[row].set(where(positive, new, rows[row]))

        scale = where(positive, 1.0 / (r * dot(y, y)), memory.scale)
        return Recent(
            put(memory.s, s), put(memory.y, y), put(memory.r, r), memory.steps + positive.astype("int64"), scale, asarray(1.0, move.d.dtype)
        )

    return Descent("strong_wolfe", first, lambda cost, point, memory: Aim(-_product(memory, point.g, history), memory.length), learn)


def _product(memory: Recent, g: Node, history: int) -> Node:
    """M g: from the newest step to the oldest, and back."""

    def newest_first(q: Node, k: Node) -> tuple[Node, Node]:
        row = (memory.steps + (history - 1) - k) % history
        a = memory.r[row] * dot(memory.s[row], q)
        return q - a * memory.y[row], a

    def oldest_first(z: Node, ka: tuple[Node, Node]) -> tuple[Node, None]:
        k, a = ka
        row = (memory.steps + (history - 1) - k) % history
        return z + (a - memory.r[row] * dot(memory.y[row], z)) * memory.s[row], None

    q, a = scan(newest_first, g, arange(history))
    return scan(oldest_first, memory.scale * q, (arange(history), a), reverse=True)[0]  # type: ignore[no-any-return]
