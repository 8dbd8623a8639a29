"""Axes cut into blocks: what the packed copies of a convolution cover at a time.

(c: 64, p: 3, q: 3), at most 256      ->   chunks of 22 of c, each with all of p and q: 198 steps
(n: 32, y: 56, x: 56), at most 256    ->   loops over n; chunks of 4 of y, each with all of x: 224 steps
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc import dims
from graphc.codegen.strategy.contract import stride
from graphc.dims import Size
from graphc.program import Axis
from graphc.records import dataclass


@dataclass(frozen=True)
class Cut:
    """Loops over `outer`, then over chunks of `axis`, each of which takes all of `inner`; without an axis one block of one element."""

    outer: tuple[Axis, ...]
    axis: Axis | None
    chunk: int
    inner: tuple[Axis, ...]

    @property
    def steps(self) -> int:
        """Elements of one step along the axis that is cut."""
        return math.prod([x.extent for x in self.inner if isinstance(x.extent, int)])

    @property
    def most(self) -> int:
        """Elements that a block has at most."""
        return self.chunk * self.steps

    @property
    def blocks(self) -> Size:
        """How many chunks there are, for one place of the outer loops."""
        if self.axis is None:
            return 1
        extent = self.axis.extent
        return -(-extent // self.chunk) if isinstance(extent, int) else dims.floordiv(extent + (self.chunk - 1), self.chunk)

    @property
    def whole(self) -> bool:
        """Whether every chunk is known to be as long as the others."""
        return self.axis is None or (isinstance(self.axis.extent, int) and self.axis.extent % self.chunk == 0)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes, outermost first."""
        return (*self.outer, *(() if self.axis is None else (self.axis,)), *self.inner)

    @property
    def inside(self) -> tuple[Axis, ...]:
        """The axes of one block."""
        return (*(() if self.axis is None else (self.axis,)), *self.inner)

    def count(self, start: Size) -> Size:
        """Steps of the chunk that begins at `start`."""
        if self.axis is None:
            return 1
        return self.chunk if self.whole else dims.minimum(self.chunk, self.axis.extent - start)

    def stride(self, offset: Size) -> Size | None:
        """The step of an offset along a block counted through as a whole; None where it does not move evenly."""
        return common_stride(self.inside, offset)


def common_stride(axes: Sequence[Axis], offset: Size) -> Size | None:
    """The step of an offset along axes that are counted through as one, the last innermost; 0 for none; None where it is not even."""
    step: Size = 0
    whole: Size = 0
    for k, x in enumerate(reversed(axes)):
        here = stride(offset, x)
        if here is None or (k and here != whole):
            return None
        step = here if k == 0 else step
        whole = here * x.extent
    return step


def cut(axes: Sequence[Axis], most: int, lanes: int = 1) -> Cut:
    """Blocks of at most `most` elements, as equal as can be; of whole vectors of so many lanes, as nearly as can be."""
    inner: tuple[Axis, ...] = ()
    steps = 1
    for k in range(len(axes) - 1, -1, -1):
        extent = axes[k].extent
        if not isinstance(extent, int):
            return Cut(tuple(axes[:k]), axes[k], max(most // steps, 1), inner)
        if k == 0 or steps * extent > most:
            return Cut(tuple(axes[:k]), axes[k], _chunk(extent, max(most // steps, 1), steps, lanes), inner)
        inner, steps = (axes[k], *inner), steps * extent
    return Cut((), None, 1, ())


def _chunk(extent: int, largest: int, steps: int, lanes: int) -> int:
    """As long a chunk as fills the fewest vectors in all."""
    best, least = 1, None
    for parts in range(-(-extent // largest), extent + 1) if extent else ():
        chunk = -(-extent // parts)
        vectors = extent // chunk * -(-chunk * steps // lanes) + -(-(extent % chunk) * steps // lanes)
        if least is None or vectors < least:
            best, least = chunk, vectors
        if parts > 4 * -(-extent // largest):
            break
    return best
