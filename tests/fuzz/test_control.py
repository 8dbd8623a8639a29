"""A short run of the fuzzer of loops and branches in the test suite, and the seeds that once failed."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.control import KINDS, Step, draw, failure

FOUND = {
    14: "a view of one output of several was measured by all of them",
    174: "rows behind a loop that are cut at one output of a loop in it",
}


@pytest.mark.parametrize("seed", [*range(20), *FOUND])
def test_random_programs(seed: int) -> None:
    message = failure(seed)
    assert message is None, f"seed {seed}: {message}"


def test_every_kind_of_step_is_drawn() -> None:
    seen: set[str] = set()

    def look(steps: tuple[Step, ...]) -> None:
        for step in steps:
            seen.add(step.kind)
            for body in step.bodies:
                look(body)

    for seed in range(20):
        look(draw(random.Random(seed)))
    assert seen == set(KINDS)
