"""A symmetric matrix known by its products with vectors, and what methods on it give."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from graphc import tree
from graphc.control.tracing import leaves_of
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.optim.problem import point_of
from graphc.records import dataclass
from graphc.substitute import substitute
from graphc.tree import Tree


class Status(IntEnum):
    """Why a Krylov method ended."""

    CONVERGED = 0
    """The residual is at most tol * |b|."""
    ITERATIONS = 1
    """As many products as were allowed."""
    NEGATIVE_CURVATURE = 2
    """`cg` met a direction p with p.A p <= 0: A is not positive definite. x is the iterate before, or lies on the boundary along p."""
    BOUNDARY = 3
    """The path of `cg` left the ball of the given radius; x is where it did."""
    NOT_FINITE = 4
    """A product is nan or infinite; x is the iterate before."""


RUNNING = -1


class Solution(NamedTuple):
    """What `cg` and `minres` give: nodes; `x` a tree like b."""

    x: Tree
    residual_norm: Node
    """|b - A x|, as the recurrence has it."""
    direction: Tree
    """The last direction p that was multiplied; one of negative curvature where the status says so."""
    curvature: Node
    """p.A p of that direction."""
    iterations: Node
    """Products with A, int64."""
    status: Node
    """A `Status`, int64."""


@dataclass(frozen=True)
class Operator:
    """A symmetric matrix as its product with a vector, and how vectors are trees."""

    apply: Callable[[Node], Node]
    start: Node
    unravel: Callable[[Node], Tree]

    @property
    def eps(self) -> float:
        """The rounding of one operation."""
        return float(np.finfo(self.start.dtype).eps)


def operator_of(what: str, A: Callable[[Tree], Tree], b: Tree, name: str = "b") -> Operator:
    """A as a function of a vector, by its graph over a variable; `start` is b as a vector."""
    t, start, unravel = point_of(what, b, name)
    if not callable(A):
        fail(ArgumentError, f"{what}: {A!r:.60} is no function", hint="for a matrix: lambda v: A @ v")
    given = unravel(t)
    made = leaves_of(what, "A(v)", A(given))
    wanted = leaves_of(what, "v", given)
    if made.structure != wanted.structure:
        fail(ArgumentError, f"{what}: A(v) and v differ {made.structure.difference(wanted.structure)}")
    for have, want, path in zip(made.nodes, wanted.nodes, made.paths):
        if have.shape != want.shape:
            fail(ShapeError, f"{what}: {path} is {have.tensor}, v there {want.tensor}", have, want)
    product = tree.ravel([n.astype(start.dtype) for n in made.nodes])[0]
    return Operator(lambda v: substitute(product, {t: v}), start, unravel)
