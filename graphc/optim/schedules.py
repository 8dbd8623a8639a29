"""Schedules: the rate as a function of k, the number of updates so far, 0 at the first one.

A schedule is any function of a 0-d node; these take numbers as well, so that `schedule(100).eval()` shows a value. Counts of steps are
whole numbers. All raise ArgumentError for a number that is none, or out of its range.

    opt = gx.optim.sgd(gx.optim.schedules.warmup(100, gx.optim.schedules.cosine(0.1, 10_000)))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import minimum
from graphc.ops.compare import where
from graphc.ops.elementwise import cos, power
from graphc.ops.registry import asarray
from graphc.ops.spread import astype
from graphc.optim.settings import Schedule, now, number, setting

__all__ = [
    "Schedule", "constant", "cosine", "exponential", "inverse_time", "join", "linear", "piecewise", "warmup",
]  # fmt: skip


def constant(value: float) -> Schedule:
    """value at every k."""
    x = number("constant: the value", value)
    return lambda k: asarray(x, np.dtype("float64"))


def linear(start: float, end: float, steps: int) -> Schedule:
    """From `start` in a straight line to `end` at k = steps, `end` from there: (1 - s) start + s end with s = min(k / steps, 1).

    The textbook's decay, equation 8.14, with an end of about 1 % of the start.
    """
    a, b, n = number("linear: start", start), number("linear: end", end), _steps("linear", steps)

    def schedule(k: Any) -> Node:
        part = minimum(_float(k) / n, 1.0)
        return a * (1 - part) + b * part

    return schedule


def exponential(start: float, factor: float, steps: int = 1, *, staircase: bool = False) -> Schedule:
    """start factor^(k / steps); staircase: with k / steps rounded down."""
    a, f, n = number("exponential: start", start), number("exponential: factor", factor, above=True), _steps("exponential", steps)
    return lambda k: a * power(f, (_float(k) // n) if staircase else _float(k) / n)


def inverse_time(start: float, rate: float, steps: int = 1) -> Schedule:
    """start / (1 + rate k / steps): the sum over all k is infinite, that of squares is not (Robbins and Monro, 1951; 8.12, 8.13)."""
    a, r, n = number("inverse_time: start", start), number("inverse_time: rate", rate), _steps("inverse_time", steps)
    return lambda k: a / (1 + r * (_float(k) / n))


def cosine(start: float, steps: int, end: float = 0.0) -> Schedule:
    """Half a wave from `start` to `end` at k = steps, `end` from there: end + (start - end) (1 + cos(pi min(k / steps, 1))) / 2."""
    a, b, n = number("cosine: start", start), number("cosine: end", end), _steps("cosine", steps)
    return lambda k: b + (a - b) * 0.5 * (1 + cos(math.pi * minimum(_float(k) / n, 1.0)))


def piecewise(values: Sequence[float], boundaries: Sequence[int]) -> Schedule:
    """values[j] for boundaries[j - 1] <= k < boundaries[j]: one value more than there are rising boundaries."""
    return join([constant(v) for v in _listed("piecewise: values", values)], boundaries)


def warmup(steps: int, schedule: Any) -> Schedule:
    """For k < steps the fraction (k + 1) / (steps + 1) of what the schedule begins with, then the schedule from its beginning.

    schedule: a function of k, or a number.
    """
    n, then = _steps("warmup", steps), setting("warmup: the schedule", schedule)
    first = lambda k: now("warmup", then, asarray(np.int64(0))) * ((_float(k) + 1) / (n + 1))
    return join([first, lambda k: now("warmup", then, k)], [n])


def join(schedules: Sequence[Any], boundaries: Sequence[int]) -> Schedule:
    """schedules[0] until k = boundaries[0], then schedules[1] of k - boundaries[0], and so on: one more than there are boundaries.

    Each is a function of k or a number; boundaries are whole numbers that rise.
    """
    parts = [setting(f"join: schedule {j}", s) for j, s in enumerate(_listed("join: schedules", schedules))]
    ends = [_steps(f"join: boundary {j}:", b) for j, b in enumerate(_listed("join: boundaries", boundaries))]
    if len(parts) != len(ends) + 1:
        fail(ArgumentError, f"join: {len(parts)} parts and {len(ends)} boundaries", hint="one part more than boundaries")
    if any(b <= a for a, b in itertools.pairwise(ends)):
        fail(ArgumentError, f"join: the boundaries {ends} do not rise")

    def schedule(k: Any) -> Node:
        count = asarray(k)
        value = now("join", parts[0], count)
        for part, begin in zip(parts[1:], ends):
            value = where(count < begin, value, now("join", part, count - begin))
        return asarray(value, np.dtype("float64")) if isinstance(value, float) else value

    return schedule


def _float(k: Any) -> Node:
    return astype(asarray(k), "float64")


def _steps(what: str, value: Any) -> int:
    """A whole number of 1 or more."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        fail(ArgumentError, f"{what} steps is {value!r:.60}", hint="a whole number, 1 or more")
    return int(value)


def _listed(what: str, values: Any) -> list[Any]:
    if isinstance(values, (str, Mapping)) or not isinstance(values, (Sequence, np.ndarray)):
        fail(ArgumentError, f"{what} is a list, got {values!r:.60}")
    return list(values)
