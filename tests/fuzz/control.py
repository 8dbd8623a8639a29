"""Random programs with loops and branches in each other, against their twins without: `python -m tests.fuzz.control --examples N`.

A program is a list of steps, and a step may hold programs of its own, as bodies. A step picks its operands by numbers from what is there:
vectors of one size, and arrays of rows. So any part of a program is a program, and one that fails can be shrunk.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from tests.twins import check

SIZES = (1, 2, 2, 3)
LENGTHS = (0, 1, 2, 3, 3)
CHECKPOINTS = (None, None, None, "full", "sqrt", 0, 200)
DEPTH = 3


@dataclass(frozen=True)
class Step:
    """One step: its kind, the numbers by which it chooses, the bodies inside of it."""

    kind: str
    picks: tuple[int, ...]
    bodies: tuple[tuple[Step, ...], ...] = ()


@dataclass
class Scope:
    """What a program can read: vectors, arrays of rows, and how many turns loops take that have no rows."""

    L: Any
    vectors: list[Any]
    rows: list[Any]
    turns: int

    def vector(self, n: int) -> Any:
        return self.vectors[-1 - n % len(self.vectors)]

    def inside(self, vectors: Sequence[Any]) -> Scope:
        """A body: what it is given comes last, so that it is picked first."""
        return Scope(self.L, [*self.vectors[-3:], *vectors], self.rows, self.turns)


def run(steps: Sequence[Step], scope: Scope, count: int = 1) -> list[Any]:
    """The last vectors after the steps."""
    here = Scope(scope.L, list(scope.vectors), list(scope.rows), scope.turns)
    for step in steps:
        KINDS[step.kind](here, step)
    return here.vectors[-count:]


# -- the kinds of steps ---------------------------------------------------------------------------------------------------
def _elementwise(s: Scope, step: Step) -> None:
    n, i, j = step.picks[:3]
    a, b = s.vector(i), s.vector(j)
    made: list[Callable[[], Any]] = [
        lambda: gx.sin(a) * b,
        lambda: gx.tanh(a + 0.5 * b),
        lambda: a / (1 + b * b),
        lambda: gx.where(a > b, a, gx.cos(b)),
        lambda: gx.where(a > 0.1, gx.sqrt(gx.where(a > 0.1, a, 1.0)), b * 0.5),
        lambda: gx.where(a > 0.0, gx.sqrt(a), b),  # its derivative is infinite, or nan, where it is not taken
        lambda: gx.relu(a) - 0.3 * b,
        lambda: gx.exp(-a * a) + gx.stop_gradient(b) * 0.1,
        lambda: gx.maximum(a, b) * 0.7,
    ]
    s.vectors.append(made[n % len(made)]())


def _mixed(s: Scope, step: Step) -> None:
    """Elements that meet: a product, a sum, an order, an element by number."""
    n, i, j = step.picks[:3]
    a, b = s.vector(i), s.vector(j)
    size = int(a.shape[0])
    made: list[Callable[[], Any]] = [
        lambda: gx.tanh(gx.outer(a, b) @ gx.cos(b)),
        lambda: gx.sin(gx.sum(a)) * b,
        lambda: gx.flip(a) + 0.2 * b,
        lambda: gx.cumsum(a) * 0.3,
        lambda: gx.take(a, gx.arange(size)[::-1]) * b,
        lambda: gx.softmax(a + b),
    ]
    s.vectors.append(made[n % len(made)]())


def _turn(s: Scope, step: Step) -> None:
    """The number of the turn, where there is one."""
    try:
        t = s.L.turn_index()
    except (gx.ArgumentError, IndexError):
        t = gx.asarray(1)
    s.vectors.append(s.vector(step.picks[0]) * gx.cos(0.4 * t + 0.1))


def _scan(s: Scope, step: Step) -> None:
    n, i, j, k, c = step.picks[:5]
    body, init = step.bodies[0], (s.vector(i), {"b": s.vector(j)}) if n % 2 else s.vector(i)
    counted = n % 3 == 0

    def f(carry: Any, row: Any) -> tuple[Any, Any]:
        state, count = carry if counted else (carry, None)
        given = [state[0], state[1]["b"]] if n % 2 else [state]
        made = run(body, s.inside([*given, *([] if row is None else [row])]), 2)
        new = (made[-1], {"b": made[0]}) if n % 2 else made[-1]
        return ((new, count + 1) if counted else new), (made[0] * 0.5 if k % 3 else None)

    xs = s.rows[k % len(s.rows)] if k % 4 else None
    carry, ys = s.L.scan(f, (init, 0) if counted else init, xs, None if xs is not None else s.turns, reverse=bool(j % 2),
                         checkpoint=CHECKPOINTS[c % len(CHECKPOINTS)])  # fmt: skip
    state, count = carry if counted else (carry, 1.0)
    s.vectors.append((state[0] + 0.5 * state[1]["b"] if n % 2 else state) * gx.cos(count * 1.0))
    if ys is not None:
        s.rows.append(ys)
        s.vectors.append(gx.sum(ys, axis=0) * 0.5)


def _map(s: Scope, step: Step) -> None:
    ys = s.L.map(lambda row: run(step.bodies[0], s.inside([row]))[0], s.rows[step.picks[0] % len(s.rows)])
    s.rows.append(ys)
    s.vectors.append(gx.tanh(gx.sum(ys, axis=0)))


def _fori(s: Scope, step: Step) -> None:
    n, i = step.picks[:2]
    begin = n % 3
    turn = lambda t, v: run(step.bodies[0], s.inside([v * gx.cos(t * 0.3)]))[0]
    s.vectors.append(s.L.fori_loop(begin, begin + s.turns, turn, s.vector(i)) if s.turns else s.vector(i))


def _while(s: Scope, step: Step) -> None:
    n, i, j = step.picks[:3]
    limit = 0.5 + (n % 5)
    goes_on = lambda v: gx.sum(v * v) < limit + gx.abs(gx.sum(s.vector(j)))
    s.vectors.append(s.L.while_loop(goes_on, lambda v: run(step.bodies[0], s.inside([v]))[0] * 1.1 + 0.2, s.vector(i), max_steps=(n % 4)))


def _cond(s: Scope, step: Step) -> None:
    n, i, j = step.picks[:3]
    yes, no = ((lambda v, body=body: run(body, s.inside([v]), 1)[0]) for body in step.bodies)
    s.vectors.append(s.L.cond(gx.sum(s.vector(i)) > (n % 7 - 3) * 0.3, yes, no, s.vector(j)))


def _switch(s: Scope, step: Step) -> None:
    n, i, j = step.picks[:3]
    index = gx.floor(gx.sum(s.vector(i)) * 2 + n % 3).astype("int64")
    branches = [(lambda v, body=body: {"r": run(body, s.inside([v]), 1)[0]}) for body in step.bodies]
    s.vectors.append(s.L.switch(index, branches, s.vector(j))["r"])


KINDS: dict[str, Callable[[Scope, Step], None]] = {
    "elementwise": _elementwise, "mixed": _mixed, "turn": _turn,
    "scan": _scan, "map": _map, "fori": _fori, "while": _while, "cond": _cond, "switch": _switch,
}  # fmt: skip
BODIES = {"scan": 1, "map": 1, "fori": 1, "while": 1, "cond": 2, "switch": 3}


# -- drawing, running, shrinking --------------------------------------------------------------------------------------------
def draw(rng: random.Random, depth: int = DEPTH) -> tuple[Step, ...]:
    """A random program: at the top with a loop or a branch in it."""
    steps = []
    for k in range(rng.randint(1, 3)):
        plain = depth == 0 or (rng.random() < 0.55 and not (k == 0 and depth == DEPTH))
        kind = rng.choice(("elementwise", "elementwise", "mixed", "turn")) if plain else rng.choice(tuple(BODIES) + ("scan", "scan"))
        bodies = tuple([draw(rng, depth - 1) for _ in range(BODIES.get(kind, 0))])
        steps.append(Step(kind, tuple([rng.randrange(1000) for _ in range(5)]), bodies))
    return tuple(steps)


def failure(seed: int, steps: Sequence[Step] | None = None) -> str | None:
    """What is wrong with the program of this seed, or with other steps on its data; None where nothing is."""
    rng = random.Random(seed)
    size, length = rng.choice(SIZES), rng.choice(LENGTHS)
    program = draw(rng) if steps is None else tuple(steps)
    numbers = np.random.default_rng(seed)
    arrays = [numbers.normal(size=size), numbers.normal(size=size), numbers.normal(size=(length, size))]
    native, lanes = seed % 4 == 0, seed % 3 == 0

    def whole(L: Any, a: Any, b: Any, rows: Any) -> Any:
        return run(program, Scope(L, [a, b], [rows, rows * 0.5 + a], length), 3)

    try:
        check(whole, *arrays, orders=2, lanes=lanes, native=native, rtol=1e-7)
    except Exception as reason:
        return f"{type(reason).__name__}: {reason}"
    return None


def shrink(seed: int) -> tuple[Step, ...]:
    """The smallest part of a failing program that still fails."""
    steps = draw(_after_sizes(seed))
    smaller = True
    while smaller:
        smaller = False
        for candidate in _parts(steps):
            if failure(seed, candidate) is not None:
                steps, smaller = candidate, True
                break
    return steps


def _after_sizes(seed: int) -> random.Random:
    rng = random.Random(seed)
    rng.choice(SIZES), rng.choice(LENGTHS)
    return rng


def _parts(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The program without one of its steps, or with a smaller body."""
    for k, step in enumerate(steps):
        yield steps[:k] + steps[k + 1 :]
        for body in step.bodies:
            yield steps[:k] + body + steps[k + 1 :]
        for place, body in enumerate(step.bodies):
            for part in _parts(body):
                bodies = (*step.bodies[:place], part, *step.bodies[place + 1 :])
                yield (*steps[:k], dataclasses.replace(step, bodies=bodies), *steps[k + 1 :])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.control", description=__doc__)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    gx.cache.enabled = False
    failed = 0
    for seed in range(options.seed, options.seed + options.examples):
        message = failure(seed)
        if message is not None:
            failed += 1
            steps = shrink(seed)
            print(f"seed {seed}: {failure(seed, steps) or message}\n  steps: {steps}", flush=True)
    print(f"{options.examples - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
