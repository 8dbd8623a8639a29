"""Random functions with state: updates and outputs of several calls, natively and by the interpreter.

States are swapped, reshaped into each other, read after they are replaced, returned, and given as arguments.
"""

from __future__ import annotations

import argparse
import random
import sys

import numpy as np

import graphc as gx
from graphc import dims
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.user.state import Shared
from tests.fuzz.compare import Case
from tests.fuzz.graphs import build, make_steps, make_values

CALLS = 3
SHAPES = ((3, 4), (3, 4), (4, 3), (12,), (4,), (), (2, 3, 4), (4, 3, 2))


class StateCase(Case):
    """A random graph over arguments and state. `check` raises AssertionError where native code and interpreter differ."""

    def __init__(self, seed: int, count: int = 10) -> None:
        rng = random.Random(seed)
        self.seed = seed
        wide = rng.choice(("float64", "float32"))
        rows = rng.choice((3, "n"))
        self.arguments = [
            gx.tensor("x", (3, 4), wide),
            gx.tensor("w", (rows, 4), wide),
            gx.tensor("i", (3,), "int64"),
            gx.scalar("lr", wide),
        ]
        values = np.random.default_rng(seed)
        listed = [gx.shared(values.standard_normal(shape).astype(wide), f"s{k}") for k, shape in enumerate(SHAPES)]
        self.state: list[Shared] = [*listed, gx.shared(values.integers(0, 5, 4), "c"), gx.shared(values.integers(0, 2, (3, 4)) > 0, "m")]
        self.inputs = [*self.arguments, *self.state]
        self.steps = make_steps(rng, rng.randint(1, count))
        self.rows = rng.choice((1, 3, 17, 0)) if rows == "n" else 3
        self.values = make_values(self.arguments, seed, self.rows) + [s.get_value() for s in self.state]
        nodes = build(self.inputs, self.steps)
        self.updates = {s: self.replacement(rng, s, nodes) for s in self.state if rng.random() < 0.7}
        pool = [*nodes, *self.state, *self.updates.values()]
        self.results = [rng.choice(pool) for _ in range(rng.randint(0, 4))]

    def replacement(self, rng: random.Random, s: Shared, nodes: list[Node]) -> Node:
        """A new value: something of that shape as it is, or reordered, or mixed with the old one."""
        fitting = [n for n in (*nodes, *self.inputs) if n.dtype == s.dtype and dims.equal(n.size, s.size)]
        new = rng.choice(fitting[-4:] if rng.random() < 0.5 else fitting)
        if rng.random() < 0.3 and new.ndim > 1:
            new = new.T
        new = new.reshape(s.shape) if new.shape != s.shape else new
        if s.dtype.kind != "f":
            return new
        how = rng.randrange(4)
        if how == 0:
            return 0.5 * s + gx.tanh(new)
        if how == 1 and s.ndim == 2 and s.shape[0] == 3:
            return s - 0.1 * (s @ s.T) @ gx.tanh(new)
        return gx.tanh(new) if how == 2 else new

    def check(self) -> None:
        self.functions = [gx.function(self.arguments, self.results, updates=self.updates, mode=mode) for mode in self.modes]
        n = len(self.arguments)
        for call in range(CALLS):
            new = self.call(f"call {call}", by_name=call % 2 == 0)
            if new is None:
                return
            own, self.values[0] = self.values[0], self.values[n]
            self.call(f"call {call} with state as argument", shared=True)
            self.values[0] = own
            self.values[n:] = [new.get(s, v) for s, v in zip(self.state, self.values[n:], strict=True)]

    def call(self, what: str, by_name: bool = False, shared: bool = False) -> dict[Shared, np.ndarray] | None:
        """Compare one call with these values; the new state, or None where the interpreter refuses: an extreme of an empty axis."""
        wanted, n = [*self.results, *self.updates.values()], len(self.arguments)
        try:
            reference = evaluate(wanted, dict(zip(self.inputs, self.values, strict=True)))
        except gx.ShapeError:
            return None
        room = self.tolerances(wanted, reference)
        for f in self.functions:
            gx.set_values(self.state, self.values[n:])
            given = [self.state[0].value if shared else self.values[0], *self.values[1:n]]
            got = f(*given[:-1], lr=given[-1]) if by_name else f(*given)  # names take the Python path
            have = [*got, *(s.get_value() for s in self.updates)]
            for k in range(len(wanted)):
                self.compare(f"{f.mode}, {what}, value {k}", reference[k], have[k], room[k])
        return dict(zip(self.updates, reference[len(self.results) :], strict=True))


def failure(seed: int, count: int = 10) -> str | None:
    """The message of a failing case, None where all agree."""
    try:
        StateCase(seed, count).check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> int:
    """python -m tests.fuzz.state --examples N --seed S: fuzz, and show the failures."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.state", description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10, help="longest graph, in steps")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.examples):
        message = failure(seed, options.steps)
        if message is not None:
            failed += 1
            print(f"seed {seed}: {message}", flush=True)
    print(f"{options.examples - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
