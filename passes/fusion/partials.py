"""What stands between a kernel and the launches of chunks that it becomes: launches while they are built, and what chunks leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import NamedTuple

from graphc.dims import Size, Symbol
from graphc.passes.fusion.chunks import Grid
from graphc.passes.fusion.stages import Slots
from graphc.program import Axis, Stage
from graphc.records import dataclass
from graphc.scalars import Scalar


@dataclass
class Draft(Slots):
    """A launch while it is being built."""

    stages: list[Stage] = field(default_factory=list)
    number: dict[int, tuple[int, tuple[Scalar, ...]]] = field(default_factory=dict)  # old stage -> new one, and the index of its local

    def add(self, stage: Stage) -> int:
        self.stages.append(stage)
        return len(self.stages) - 1


@dataclass(frozen=True)
class Shift:
    """Of sums about a number of each chunk: the buffers of these numbers and of the sums, the difference of an element in the chunks'
    launch, and for sums of squares what these are to be about in the end."""

    mean: int
    rest: int
    difference: Scalar
    centre: Scalar | None = None


@dataclass(frozen=True)
class Scale:
    """Of sums of exponentials of how far elements lie below a chunk's largest: the buffer of these, and the largest of all in the end."""

    most: int
    largest: Scalar


@dataclass(frozen=True)
class Partial:
    """What the chunks left of the reduction `stage`: combined values, and for positions those of the values."""

    stage: int
    values: int
    positions: int | None = None
    about: Shift | Scale | None = None


@dataclass(frozen=True)
class Chunk:
    """The launch of chunks while it is being built: its loops, where their index lies in the whole, and where their results go."""

    draft: Draft
    axes: tuple[Axis, ...]
    moved: dict[Symbol, Size]
    shape: tuple[Size, ...]
    at: tuple[Scalar, ...]
    nest: int


class Open(NamedTuple):
    """Chunks whose results are to be combined."""

    grid: Grid
    partials: Sequence[Partial]
