"""Where buffers lie at each step: the views in force there, and what loops around have swapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from graphc.dims import Dim, Size
from graphc.program import Loop, Program, Step
from graphc.records import dataclass


@dataclass(frozen=True)
class Placing:
    """Where buffers lie at a place among the steps."""

    views: Mapping[int, Size] = field(default_factory=dict)  # a placed alias -> its offset in elements
    swaps: Mapping[int, tuple[int, Dim]] = field(default_factory=dict)  # a carried buffer -> its partner, in odd turns of this counter
    parallel: bool = False  # whether other threads may be at other turns

    def inside(self, program: Program, step: Step) -> Placing:
        """For the inner lists of a step."""
        match step:
            case Loop():
                swaps = {b: (partner, step.counter) for old, new in program.swapped(step) for b, partner in ((old, new), (new, old))}
                parallel = self.parallel or step.parallel
                return replace(self, swaps={**self.swaps, **swaps}, parallel=parallel) if swaps or parallel is not self.parallel else self
            case _:
                return self


def placings(program: Program) -> list[Placing]:
    """For every step, by its number."""
    found: list[Placing] = []

    def visit(steps: Sequence[Step], placing: Placing) -> None:
        together: dict[int, Size] | None = None  # of views one after the other, which all launches behind see: blocks have thousands
        for step in steps:
            if not step.placed:
                together = None
            elif together is None:
                together = {**placing.views, **dict(step.placed)}
                placing = replace(placing, views=together)
            else:
                together.update(step.placed)
            found.append(placing)
            for inside in step.inner:
                visit(inside, placing.inside(program, step))

    visit(program.steps, Placing())
    return found
