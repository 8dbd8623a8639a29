"""The no-U-turn sampler: a trajectory doubled until it turns back, one of its points drawn by its weight.

M. D. Hoffman and A. Gelman (2014), with multinomial weights and the generalised criterion of M. Betancourt (2017), and the trees built
by a loop, not by recursion: of the leaves of a subtree only one momentum a level is kept, as D. Phan, N. Pradhan and M. Jankowiak (2019)
describe. A subtree of 2**d leaves is checked at every leaf with an odd number against the beginnings of the subtrees that end there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from graphc.control.while_loop import while_loop
from graphc.infer.kernels import DIVERGED, Density, Dynamics, Point, Turn, chosen, energy, leapfrog, momentum_of
from graphc.infer.metric import Metric
from graphc.ir import Node
from graphc.ops.arithmetic import minimum
from graphc.ops.compare import where
from graphc.ops.create import zeros
from graphc.ops.elementwise import exp, logaddexp
from graphc.ops.registry import asarray
from graphc.ops.ufuncs import bitwise_count
from graphc.random import fold_in, uniform


class End(NamedTuple):
    """An end of a trajectory: where it is and its momentum."""

    point: Point
    momentum: Node


class Trajectory(NamedTuple):
    """All that is known of the points on the way so far.

    weight: the logarithm of the sum of their densities, relative to the beginning; momentum: the sum of their momenta.
    """

    left: End
    right: End
    proposal: Point
    weight: Node
    momentum: Node
    acceptance: Node
    leaves: Node
    depth: Node
    turned: Node
    diverged: Node


class Subtree(NamedTuple):
    """The leaves that a doubling has added so far. firsts, sums: by level, the momentum of the leaf where the open subtree of the level
    begins, and the sum of momenta up to it."""

    end: End
    proposal: Point
    weight: Node
    momentum: Node
    acceptance: Node
    leaves: Node
    turned: Node
    diverged: Node
    firsts: Node
    sums: Node


def turns_back(metric: Metric, left: Node, right: Node, total: Node) -> Node:
    """Whether a trajectory with these momenta at its ends, and this sum of all, begins to come back at one of them."""
    way = metric.velocity(total - 0.5 * (left + right))
    return ((left * way).sum() <= 0) | ((right * way).sum() <= 0)


@dataclass(frozen=True)
class NoUTurn(Dynamics):
    """A trajectory of 2**max_depth points at most."""

    max_depth: int
    target: float

    def turn(self, density: Density, metric: Metric, point: Point, step: Node, key: Node) -> Turn:
        dtype = point.position.dtype
        p = momentum_of(metric, point, fold_in(key, 0))
        start, no, end = energy(metric, point, p), asarray(False), End(point, p)
        nothing, none = asarray(0.0, dtype), asarray(0)
        alone = Trajectory(end, end, point, nothing, p, nothing, none, none, no, no)

        def goes_on(t: Trajectory) -> Node:
            return (t.depth < self.max_depth) & ~t.turned & ~t.diverged

        def doubled(t: Trajectory) -> Trajectory:
            choices = uniform(fold_in(key, t.depth + 1), (2,), dtype)
            right = choices[0] < 0.5
            begin = End(chosen(right, t.right.point, t.left.point), where(right, t.right.momentum, t.left.momentum))
            leaf_key = fold_in(fold_in(key, self.max_depth + 1), t.depth)
            more = self._subtree(density, metric, begin, where(right, step, -step), start, t.depth, leaf_key)
            whole = ~more.turned & ~more.diverged
            taken = whole & (choices[1] < exp(more.weight - t.weight))  # the new half is preferred: the chain moves further
            left = End(chosen(right, t.left.point, more.end.point), where(right, t.left.momentum, more.end.momentum))
            right_end = End(chosen(right, more.end.point, t.right.point), where(right, more.end.momentum, t.right.momentum))
            total = t.momentum + more.momentum
            return Trajectory(
                left, right_end, chosen(taken, more.proposal, t.proposal), logaddexp(t.weight, more.weight), total,
                t.acceptance + more.acceptance, t.leaves + more.leaves, t.depth + 1,
                more.turned | turns_back(metric, left.momentum, right_end.momentum, total), more.diverged,
            )  # fmt: skip

        t = while_loop(goes_on, doubled, alone)
        return Turn(t.proposal, t.acceptance / t.leaves.astype(dtype), t.diverged, t.leaves)

    def _subtree(self, density: Density, metric: Metric, begin: End, step: Node, start: Node, depth: Node, key: Node) -> Subtree:
        """2**depth leaves from `begin` on, fewer where they turn back or diverge."""
        dtype, n = begin.momentum.dtype, begin.momentum.shape[0]
        nothing, no, levels = asarray(0.0, dtype), asarray(False), zeros((max(self.max_depth, 1), n), dtype)
        empty = Subtree(begin, begin.point, nothing - math.inf, 0 * begin.momentum, nothing, asarray(0), no, no, levels, levels)
        size = asarray(1) << depth

        def goes_on(s: Subtree) -> Node:
            return (s.leaves < size) & ~s.turned & ~s.diverged

        def longer(s: Subtree) -> Subtree:
            point, p = leapfrog(density, metric, s.end.point, s.end.momentum, step)
            gain = start - energy(metric, point, p)
            weight, total = logaddexp(s.weight, gain), s.momentum + p
            taken = uniform(fold_in(key, s.leaves), (), dtype) < exp(gain - weight)
            k, odd = s.leaves, (s.leaves & 1) == 1
            level = bits(k >> 1)  # how many subtrees are open that began before this leaf: their firsts are kept below
            firsts = s.firsts.at[level].set(where(odd, s.firsts[level], p))
            sums = s.sums.at[level].set(where(odd, s.sums[level], total))
            closed = bits(k ^ (k + 1)) - 1  # how many subtrees end with this leaf
            lowest = level - closed + 1

            def checked(i: Node, _: Node) -> tuple[Node, Node]:
                return i - 1, turns_back(metric, firsts[i], p, total - sums[i] + firsts[i])

            _, turned = while_loop(lambda s: (s[0] >= lowest) & ~s[1], lambda s: checked(*s), (level, no))
            return Subtree(
                End(point, p), chosen(taken, point, s.proposal), weight, total, s.acceptance + minimum(exp(gain), 1.0), k + 1,
                turned, ~(gain > -DIVERGED), firsts, sums,
            )  # fmt: skip

        grown: Subtree = while_loop(goes_on, longer, empty)
        return grown


def bits(k: Node) -> Node:
    """How many bits of k are set."""
    return bitwise_count(k).astype("int64")
