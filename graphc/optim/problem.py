"""What a minimiser sees: a cost over one vector with its derivatives, and the loop that its turns are put in.

The user's function is called once, on a variable; its value, gradient and products with the Hessian are graphs over that variable, which
each place of a loop takes with its own point put in. So nothing is differentiated twice, a draw in the function is one draw for the whole
minimisation, and what does not depend on the point is computed once, outside.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from graphc import tree
from graphc.control.tracing import leaves_of, stand_in
from graphc.control.while_loop import while_loop
from graphc.derivatives.grad import grad
from graphc.derivatives.matrices import hessian, hvp, jacobian
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.compare import isfinite, where
from graphc.ops.products import dot
from graphc.ops.reductions import sum as total
from graphc.ops.registry import asarray
from graphc.ops.shape import reshape
from graphc.records import dataclass
from graphc.substitute import substitute
from graphc.tree import Tree


class Status(IntEnum):
    """Why a minimisation ended: what `Result.status` holds."""

    CONVERGED = 0
    """The norm of the gradient is at most `tol`."""
    ITERATIONS = 1
    """`max_iterations` were made."""
    NO_DECREASE = 2
    """No step lowers the cost: the line search found none, or the trust region shrank to nothing. Rounding does not allow a smaller
    gradient, or the gradient is not that of the cost."""
    NOT_FINITE = 3
    """Cost or gradient at x0 is nan or infinite, or a full step led to such a point or could not be solved for, or a trust
    region met a Hessian that is not finite; x is the point before."""


RUNNING = -1  # the status of a loop that goes on


class Result(NamedTuple):
    """What `minimize` and `least_squares` give: nodes of the graph, `x` a tree like x0."""

    x: Tree
    """The last point."""
    fun: Node
    """The cost there."""
    grad_norm: Node
    """The Euclidean norm of the gradient there."""
    iterations: Node
    """Turns of the outer loop, int64."""
    evaluations: Node
    """How often the cost was computed with its gradient, int64; the first point counts."""
    products: Node
    """How many Hessian-vector products, or whole Hessians or Jacobians, were computed, int64."""
    status: Node
    """A `Status`, int64."""
    success: Node
    """Whether the status is CONVERGED."""


class Point(NamedTuple):
    """A point, the cost and its gradient there."""

    x: Node
    f: Node
    g: Node


class Turn(NamedTuple):
    """What one turn of a method gives: where it is now, what it carries on, what it computed, and a `Status` if it cannot go on."""

    point: Point
    memory: Tree
    evaluations: Any
    products: Any
    verdict: Any = RUNNING


@dataclass(frozen=True)
class Cost:
    """A scalar function of a vector, as graphs over the variable `x`, of which `start` is the first value."""

    x: Node
    value: Node
    start: Node
    unravel: Callable[[Node], Tree]
    residuals: Node | None = None
    """Where the cost is half the sum of squares of these."""

    @property
    def eps(self) -> float:
        """The rounding of one operation."""
        return float(np.finfo(self.x.dtype).eps)

    @cached_property
    def gradient(self) -> Node:
        return grad(self.value, self.x)  # type: ignore[no-any-return]

    @cached_property
    def _product(self) -> tuple[Node, Node]:
        t = stand_in(self.x.tensor, "t")
        return t, hvp(self.value, self.x, t)

    def at(self, x: Node) -> Point:
        """The cost and its gradient at x."""
        f, g = substitute((self.value, self.gradient), {self.x: x})
        return Point(x, f, g)

    def product(self, x: Node) -> Callable[[Node], Node]:
        """v -> H(x) v; what depends on x alone is a part of the graph around the call."""
        t, hv = self._product
        here = substitute(hv, {self.x: x})
        return lambda v: substitute(here, {t: v})

    def hessian(self, x: Node) -> Node:
        """The matrix of second derivatives, (n, n)."""
        return substitute(self._hessian, {self.x: x})  # type: ignore[no-any-return]

    @cached_property
    def _hessian(self) -> Node:
        return hessian(self.value, self.x)  # type: ignore[no-any-return]

    def normal(self, x: Node) -> Node:
        """J'J of the residuals, (n, n): the Hessian without what the curvature of the residuals adds."""
        j = substitute(self._jacobian, {self.x: x})
        return j.T @ j  # type: ignore[no-any-return]

    @cached_property
    def _jacobian(self) -> Node:
        assert self.residuals is not None
        return jacobian(self.residuals, self.x)  # type: ignore[no-any-return]


def cost_of(what: str, fun: Callable[[Tree], Any], x0: Tree) -> Cost:
    """The scalar function `fun` of a tree, over the vector of all its elements."""
    x, start, unravel = point_of(what, x0)
    value = _result(what, fun, unravel(x))
    if value.ndim:
        fail(ShapeError, f"{what}: the cost is {value.tensor}, not one number", value, hint="reduce it with gx.sum or gx.mean")
    return Cost(x, value.astype(x.dtype), start, unravel)


def squares_of(what: str, residuals: Callable[[Tree], Any], x0: Tree) -> Cost:
    """Half the sum of the squares of what `residuals` gives: one array or a tree of them."""
    x, start, unravel = point_of(what, x0)
    leaves = leaves_of(what, "residuals", residuals(unravel(x)))
    for node, path in zip(leaves.nodes, leaves.paths):
        if not is_float(node.dtype):
            fail(DTypeError, f"{what}: {path} is {node.dtype}, which has no derivative", node)
    r = tree.ravel([n.astype(x.dtype) for n in leaves.nodes])[0]
    return Cost(x, 0.5 * dot(r, r), start, unravel, r)


def point_of(what: str, x0: Tree, name: str = "x0") -> tuple[Node, Node, Callable[[Node], Tree]]:
    """A variable for the vector of all elements of a tree, their values, and the way back."""
    leaves = leaves_of(what, name, x0)
    for node, path in zip(leaves.nodes, leaves.paths):
        if not is_float(node.dtype):
            fail(DTypeError, f"{what}: {path} is {node.dtype}, which cannot be moved", node, hint="give floats: np.asarray(x0, float)")
    if not leaves.nodes:
        fail(ArgumentError, f"{what}: {name} holds no array")
    start, unravel = tree.ravel(tree.unflatten(leaves.structure, leaves.nodes))
    return stand_in(start.tensor, "x"), start, unravel


def _result(what: str, fun: Callable[[Tree], Any], x: Tree) -> Node:
    if not callable(fun):
        hint = "it takes x as a tree of nodes and gives the cost: lambda x: gx.sum(x**2)"
        fail(ArgumentError, f"{what}: {fun!r:.60} is no function", hint=hint)
    value = fun(x)
    node = leaves_of(what, "the cost", value).nodes
    if len(node) != 1:
        fail(ArgumentError, f"{what}: the function gives {len(node)} arrays, not the cost alone")
    if not is_float(node[0].dtype):
        fail(DTypeError, f"{what}: the cost is {node[0].dtype}, which has no derivative", node[0])
    return node[0]


def integer(n: Any) -> Node:
    """A number or a boolean as an int64, such as a status."""
    return asarray(n, "int64")


def norm(v: Node) -> Node:
    """The Euclidean length."""
    return sqrt(dot(v, v))


def whole(point: Point) -> Node:
    """Whether a point may be gone to: cost and gradient are finite."""
    return isfinite(point.f) & isfinite(total(point.g * 0.0))


def chosen(condition: Node, yes: Tree, no: Tree) -> Tree:
    """One of two trees."""
    return tree.map(lambda a, b: where(condition, a, b), yes, no)


def iterate(
    cost: Cost,
    memory: Callable[[Point], Tree],
    turn: Callable[[Point, Tree, Node], Turn],
    tol: Any,
    max_iterations: Any,
) -> Result:
    """Turns from cost.start until one of the reasons of `Status`; `turn` is given the point, what it carries, and its number."""
    enough = asarray(cost.eps**0.5 if tol is None else tol, cost.x.dtype)
    first = cost.at(cost.start)

    def status(point: Point, size: Node, turns: Node, verdict: Any) -> Node:
        ended = where(turns >= max_iterations, integer(Status.ITERATIONS), integer(RUNNING))
        ended = where(integer(verdict) == RUNNING, ended, integer(verdict))
        ended = where(size <= enough, integer(Status.CONVERGED), ended)
        return where(whole(point), ended, integer(Status.NOT_FINITE))

    def body(state: Any) -> Any:
        point, carried, _, turns, evaluations, products, _ = state
        made = turn(point, carried, turns)
        size = norm(made.point.g)
        turns = turns + 1
        counted = (turns, evaluations + made.evaluations, products + made.products)
        return made.point, made.memory, size, *counted, status(made.point, size, turns, made.verdict)

    size = norm(first.g)
    state = (first, memory(first), size, integer(0), integer(1), integer(0), status(first, size, integer(0), RUNNING))
    point, _, size, turns, evaluations, products, ended = while_loop(lambda s: s[-1] == RUNNING, body, state)
    x = cost.unravel(reshape(point.x, cost.start.shape))
    return Result(x, point.f, size, turns, evaluations, products, ended, ended == Status.CONVERGED)
