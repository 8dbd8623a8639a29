"""Programs with loops and branches drawn at random, three deep, natively against the interpreter; seeds that once failed are kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

import graphc as gx
from tests.loop_programs import both, numbers

KEPT = (5, 20, 2004, 2039)  # these are wrong where a nest may read what an earlier one of its kernel has replaced


class Drawn:
    """A program over x: (n, size), h: (size,) and an index i; `extra` are results beside the last one."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.size = self.random.choice(["m", 3, 70])
        self.x, self.h, self.i = gx.tensor("x", ("n", self.size)), gx.tensor("h", (self.size,)), gx.tensor("i", (), "int64")
        self.extra: list[Any] = []
        self.last = self.body([self.h, self.h * 2], 2, outermost=True)

    def vector(self, known: Sequence[Any], depth: int = 2) -> Any:
        """An expression over vectors of one size."""
        if depth == 0:
            return self.random.choice(known)
        v = lambda: self.vector(known, depth - 1)
        at = lambda: self.random.choice([0, -1, 2, gx.argmax(self.random.choice(known)), self.i % 3])
        kinds = [
            lambda: gx.tanh(v() + v()), lambda: v() * 0.5 - v(), lambda: gx.flip(v()), lambda: gx.cumsum(v()) * 0.3,
            lambda: gx.softmax(v()), lambda: gx.where(v() > v(), v(), v() * 0.1), lambda: v() - gx.mean(v()),
            lambda: gx.concatenate([v()[1:], v()[:1]]), lambda: v().at[at()].set(gx.sum(v()) * 0.1), lambda: v().at[at()].add(v()[at()]),
            lambda: gx.sin(v()) * v()[0], v, lambda: gx.tanh(v() * gx.max(v())),
        ]  # fmt: skip
        return self.random.choice(kinds)()

    def body(self, known: Sequence[Any], depth: int, outermost: bool = False) -> Any:
        """A vector from a loop, a branch or an expression."""
        kinds = ["scan", "scan", "while", "cond", "switch", "checkpoint", "map", "plain"] if depth else ["plain"]
        inner = lambda more: self.body([*known, *more], depth - 1)
        match self.random.choice(kinds):
            case "scan":
                return self.scan(known, depth, outermost)
            case "while":
                count, most = self.random.choice([0, 2, 4]), self.random.choice([None, 3, gx.dim("n")])
                holds = lambda v: (v[1] < count) & (gx.sum(v[0] * v[0]) < 1e6)
                return gx.while_loop(holds, lambda v: (inner([v[0]]), v[1] + 1), (self.vector(known, 1), 0), max_steps=most)[0]
            case "cond":
                return gx.cond(gx.sum(self.random.choice(known)) > 0, lambda: inner([]), lambda: self.random.choice(known))
            case "switch":
                return gx.switch(self.i, [lambda: self.random.choice(known), lambda: inner([]), lambda: inner([])])
            case "checkpoint":
                return gx.checkpoint(lambda a: inner([a]))(self.vector(known, 1))
            case "map":
                return gx.sum(gx.map(lambda row: inner([row]), self.x), axis=0)
            case _:
                return self.vector(known)

    def scan(self, known: Sequence[Any], depth: int, outermost: bool) -> Any:
        rows = self.random.choice([self.x, self.x[1:], self.x[::-1], gx.stack([self.vector(known), self.vector(known)]), None])
        length = None if rows is not None else self.random.choice([0, 1, 3])

        def turn(carry: Any, row: Any) -> Any:
            inside = [*known, *carry, *([] if row is None else [row])]
            one, other = self.body(inside, depth - 1), self.random.choice([carry[0], self.vector(inside, 1)])
            return (one, other), self.random.choice([carry[1], one, (carry[0], gx.sum(carry[1])), gx.turn_index()])

        start = self.random.choice(known), self.vector(known, 1)
        (one, other), ys = gx.scan(turn, start, rows, length=length, reverse=self.random.random() < 0.4)
        if outermost:
            self.extra += gx.tree.flatten(ys)[0]
        return one + other * 0.5


@pytest.mark.parametrize("seed", [*KEPT, *range(1000, 1010)])
def test_a_drawn_program(seed: int) -> None:
    drawn = Drawn(seed)
    results, inputs = [drawn.last, *drawn.extra], [drawn.x, drawn.h, drawn.i]
    try:
        results += gx.grad(gx.sum(drawn.last * drawn.last), [drawn.h, drawn.x], disconnected="zero")
    except gx.errors.NotDifferentiableError as error:
        assert "max_steps" in str(error)
    size = 4 if drawn.size == "m" else drawn.size
    for n, index in ((3, 1), (1, 2), (2, -1)):
        both(inputs, results, numbers(n, size, seed=seed), numbers(size, seed=seed + 1), index)
