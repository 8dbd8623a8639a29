"""One turn of a Markov chain: Metropolis' random walk, and Hamiltonian dynamics with a fixed number of steps.

A kernel moves a `Point` and says how likely its proposals were accepted. All scale their steps by a number and a metric, so one
warm-up serves them all; see `graphc.infer.warmup`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from graphc.control.counted import fori_loop
from graphc.control.while_loop import while_loop
from graphc.derivatives.grad import value_and_grad
from graphc.infer.metric import Metric
from graphc.ir import Node
from graphc.ops.arithmetic import minimum
from graphc.ops.compare import isfinite, where
from graphc.ops.elementwise import exp, log
from graphc.ops.registry import asarray
from graphc.random import fold_in, normal, uniform

Density = Callable[[Node], Node]  # of a vector: the logarithm of a density, up to a constant
DIVERGED = 1000.0  # an error of energy beyond which a trajectory says nothing, as in Stan


class Point(NamedTuple):
    """A position (n,), the log-density there, and its gradient (n,)."""

    position: Node
    log_density: Node
    gradient: Node


class Turn(NamedTuple):
    """Where a turn of the chain ended, the mean acceptance of its proposals, whether it diverged, and how many gradients it took."""

    point: Point
    acceptance: Node
    diverged: Node
    evaluations: Node


class Kernel(Protocol):
    """A rule that leaves the density invariant. target: the acceptance that the step size is fitted to."""

    @property
    def target(self) -> float: ...

    def start(self, density: Density, position: Node) -> Point: ...

    def first_step(self, density: Density, metric: Metric, point: Point, key: Node) -> Node: ...

    def turn(self, density: Density, metric: Metric, point: Point, step: Node, key: Node) -> Turn: ...


def evaluated(density: Density, position: Node) -> Point:
    """The point at a position."""
    return Point(position, *value_and_grad(density(position), position))


def leapfrog(density: Density, metric: Metric, point: Point, p: Node, step: Node) -> tuple[Point, Node]:
    """Half a step of the momentum, one of the position, half a step of the momentum: reversible, and keeps volume."""
    p = p + 0.5 * step * point.gradient
    after = evaluated(density, point.position + step * metric.velocity(p))
    return after, p + 0.5 * step * after.gradient


def energy(metric: Metric, point: Point, p: Node) -> Node:
    """The Hamiltonian, infinite where it is no number."""
    h = metric.kinetic(p) - point.log_density
    return where(isfinite(h), h, math.inf)


def momentum_of(metric: Metric, point: Point, key: Node) -> Node:
    """A momentum drawn afresh."""
    return metric.momentum(normal(key, point.position.shape, point.position.dtype))


def chosen(accepted: Node, new: Point, old: Point) -> Point:
    """The new point where it is accepted."""
    return Point(*[where(accepted, a, b) for a, b in zip(new, old)])


def reasonable_step(density: Density, metric: Metric, point: Point, key: Node) -> Node:
    """A step after which about .8 of a leapfrog step is accepted: doubled or halved until it is crossed (Hoffman and Gelman, 2014)."""
    p = momentum_of(metric, point, key)
    start = energy(metric, point, p)
    one = asarray(1.0, point.position.dtype)

    def gain(step: Node) -> Node:
        return start - energy(metric, *leapfrog(density, metric, point, p, step))

    up = gain(one) > math.log(0.8)
    factor = where(up, 2 * one, 0.5 * one)
    found: Node = while_loop(
        lambda step: ((gain(step) > math.log(0.8)) == up) & (step > 1e-10) & (step < 1e10), lambda step: step * factor, one, max_steps=64
    )
    return found


class Dynamics:
    """What all kernels share that follow the gradient."""

    def start(self, density: Density, position: Node) -> Point:
        return evaluated(density, position)

    def first_step(self, density: Density, metric: Metric, point: Point, key: Node) -> Node:
        return reasonable_step(density, metric, point, key)


@dataclass(frozen=True)
class Hamiltonian(Dynamics):
    """`steps` leapfrog steps with a new momentum, accepted by the change of energy. One step is Langevin dynamics.

    The size of several steps varies from turn to turn by a fifth, lest a trajectory be as long as a period (R. M. Neal, 2011, 3.2).
    """

    steps: int
    target: float

    def turn(self, density: Density, metric: Metric, point: Point, step: Node, key: Node) -> Turn:
        p = momentum_of(metric, point, fold_in(key, 0))
        choices = uniform(fold_in(key, 1), (2,), point.position.dtype)
        if self.steps == 1:
            after, end = leapfrog(density, metric, point, p, step)
        else:
            step = step * (0.8 + 0.4 * choices[1])
            after, end = fori_loop(0, self.steps, lambda _, at: leapfrog(density, metric, at[0], at[1], step), (point, p))
        change = energy(metric, after, end) - energy(metric, point, p)
        acceptance = minimum(exp(-change), 1.0)
        accepted = choices[0] < acceptance
        return Turn(chosen(accepted, after, point), acceptance, ~(change < DIVERGED), asarray(self.steps))


@dataclass(frozen=True)
class RandomWalk:
    """A normal step, accepted by the ratio of the densities; no gradient."""

    target: float

    def start(self, density: Density, position: Node) -> Point:
        return Point(position, density(position), 0 * position)

    def first_step(self, density: Density, metric: Metric, point: Point, key: Node) -> Node:
        return asarray(2.38, point.position.dtype) / asarray(point.position.shape[0], point.position.dtype) ** 0.5

    def turn(self, density: Density, metric: Metric, point: Point, step: Node, key: Node) -> Turn:
        n, dtype = point.position.shape, point.position.dtype
        position = point.position + step * metric.spread(normal(fold_in(key, 0), n, dtype))
        value = density(position)
        value = where(isfinite(value), value, -math.inf)
        acceptance = minimum(exp(value - point.log_density), 1.0)
        accepted = log(uniform(fold_in(key, 1), (), dtype)) < value - point.log_density
        after = Point(position, value, point.gradient)
        return Turn(chosen(accepted, after, point), acceptance, asarray(False), asarray(1))
