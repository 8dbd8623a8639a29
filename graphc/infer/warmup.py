"""Fitting a sampler to its density: the step size by dual averaging, the metric by the moments of what was drawn.

As in Stan: an initial stretch that only finds a step size, windows of 25, 50, 100, ... draws each of which gives a metric, a last stretch
for the step size again (Stan Reference Manual, "HMC algorithm parameters"; Hoffman and Gelman, 2014, section 3.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphc.control.switch import cond
from graphc.infer.kernels import Density, Kernel, Point
from graphc.infer.metric import Metric, Welford, no_moments
from graphc.ir import Node
from graphc.ops.arithmetic import sqrt
from graphc.ops.elementwise import exp, log
from graphc.ops.registry import asarray

FIRST, WINDOW, LAST = 75, 25, 50  # draws of a warm-up of 150 or more; shorter ones have 15 %, 75 % and 10 %
SHRINKAGE, DELAY, FORGETTING = 0.05, 10.0, 0.75  # of dual averaging: gamma, t0, kappa


def windows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each draw of a warm-up: whether the metric sees it, and whether a window ends with it."""
    first, window, last = (FIRST, WINDOW, LAST) if count >= FIRST + WINDOW + LAST else (int(0.15 * count), 0, int(0.1 * count))
    begin, end = first, count - last
    seen, ends = np.zeros(count, bool), np.zeros(count, bool)
    if count < 20:
        return seen, ends
    seen[begin:end] = True
    while begin < end:
        after = begin + window
        if not window or after + 2 * window > end:  # what is left is no whole window of twice the size: it belongs to this one
            after = end
        ends[after - 1] = True
        begin, window = after, 2 * window
    return seen, ends


class StepSize(NamedTuple):
    """Dual averaging of the logarithm of a step size (Nesterov, 2009): the value tried, the mean of those tried, the mean error."""

    step: Node
    mean: Node
    error: Node
    centre: Node
    tried: Node

    def after(self, acceptance: Node, target: float) -> StepSize:
        tried = self.tried + 1
        error = self.error + (target - acceptance - self.error) / (tried + DELAY)
        step = self.centre - sqrt(tried) / SHRINKAGE * error
        weight = tried**-FORGETTING
        return StepSize(step, self.mean + weight * (step - self.mean), error, self.centre, tried)


def begin(step: Node) -> StepSize:
    """Dual averaging that begins with this step size, and is drawn towards ten times as much."""
    nothing = 0 * step
    return StepSize(log(step), nothing, nothing, log(10 * step), nothing)


class Fit(NamedTuple):
    """What the warm-up knows: the point of the chain, the step size, the metric, and the moments of this window."""

    point: Point
    size: StepSize
    metric: Metric
    moments: Welford
    diverged: Node
    evaluations: Node


def warm_up(kernel: Kernel, density: Density, at: Fit, key: Node, seen: Node, ends: Node, dense: bool) -> Fit:
    """One draw of the warm-up. seen: the metric sees it; ends: a window ends with it."""
    turn = kernel.turn(density, at.metric, at.point, exp(at.size.step), key)
    point, size = turn.point, at.size.after(turn.acceptance, kernel.target)
    moments = cond(seen, lambda m: m.add(point.position), lambda m: m, at.moments)
    fresh = no_moments(point.position.shape[0], point.position.dtype, dense)

    def anew() -> tuple[StepSize, Metric, Welford]:
        metric = moments.metric()
        return begin(kernel.first_step(density, metric, point, key)), metric, fresh

    size, metric, moments = cond(ends, anew, lambda: (size, at.metric, moments))
    return Fit(point, size, metric, moments, at.diverged + asarray(turn.diverged).astype("int64"), at.evaluations + turn.evaluations)
