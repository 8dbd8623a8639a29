"""Methods that are a direction and a line search: x <- x + a d with d from what the method remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc.ir import Node
from graphc.ops.arithmetic import minimum
from graphc.ops.compare import isfinite, where
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.line_search import LineSearch, along
from graphc.optim.problem import RUNNING, Cost, Point, Result, Status, Turn, iterate, norm
from graphc.records import dataclass
from graphc.tree import Tree


class Aim(NamedTuple):
    """A direction, the length to try first along it, and how many products with, or copies of, the Hessian it took."""

    d: Node
    length: Node
    products: Any = 0


class Move(NamedTuple):
    """A step that was made: from where, to where, along what, how far along it; the number of the turn."""

    before: Point
    after: Point
    d: Node
    length: Node
    turns: Node


@dataclass(frozen=True)
class Descent:
    """A method: what it remembers at first, where it goes from a point, and what it remembers after a step."""

    search: str | LineSearch
    """The line search it takes unless told otherwise."""
    memory: Callable[[Point], Tree]
    aim: Callable[[Cost, Point, Tree], Aim]
    learn: Callable[[Tree, Move], Tree] = lambda memory, move: memory
    undamped: Callable[[Cost, Point, Tree], Aim] | None = None
    """Where it goes without a line search, if that differs from `aim`."""
    patience: Callable[[Point], Any] = lambda point: 1
    """After how many searches in a row that find nothing it gives up."""


def descend(cost: Cost, method: Descent, search: LineSearch, tol: Any, max_iterations: Any) -> Result:
    """The method from cost.start. A direction that does not descend gives way to -g, unless steps are taken in full."""
    full = search.rule == "full_step"
    aim = method.undamped if full and method.undamped else method.aim

    def turn(point: Point, state: tuple[Tree, Node], turns: Node) -> Turn:
        memory, failures = state
        d, length, products = aim(cost, point, memory)
        if not full:
            slope = dot(d, point.g)
            downhill = (slope < 0) & isfinite(slope)
            d = where(downhill, d, -point.g)
            length = where(downhill, length, cautious(point))
        found = along(cost, point, d, length, search)
        learnt = method.learn(memory, Move(point, found.point, d, found.length, turns))
        failures = where(found.fine, 0, failures + 1)
        why = Status.NOT_FINITE if full else Status.NO_DECREASE
        verdict = where(failures >= method.patience(point), int(why), RUNNING)
        return Turn(found.point, (learnt, failures), found.evaluations, products + found.products, verdict)

    begin = lambda point: (method.memory(point), asarray(0, "int64"))
    return iterate(cost, begin, turn, tol, max_iterations)


def cautious(point: Point) -> Node:
    """A first length along -g where nothing is known of the scale: a step of length 1 at most."""
    size = norm(point.g)
    return minimum(1.0, 1.0 / where(size > 0, size, 1.0))


def alike(memory: Node, move: Move, d: Node) -> Node:
    """The length along d that changes the cost to first order as much as the last step did: Nocedal and Wright, section 3.5."""
    before, now = dot(move.before.g, move.d), dot(move.after.g, d)
    length = move.length * before / where(now < 0, now, -1.0)
    return where((now < 0) & (length > 0), length, memory)
