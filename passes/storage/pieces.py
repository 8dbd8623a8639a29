"""The pieces in which a run goes through its arrays: elements that lie side by side, whatever axes an array has.

sides (n, m), 4096 elements      m <= 4096: 4096 // m rows, or what is left of n       else: a row's next 4096, or what is left of it

x[n, m]    from row * m + column on                b[m]    from column on                c[n, 1]    from row on
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.dims import Dim, Size
from graphc.program import Axis, Kernel, Operand, Stage, Store, loop_index, point
from graphc.records import dataclass


@dataclass(frozen=True)
class Piece:
    """What one of `count` turns is at: along each of the `sides` so many elements, from `starts` on."""

    sides: tuple[Size, ...]
    count: Size
    starts: tuple[Size, ...]
    lengths: tuple[Size, ...]

    def first(self, axes: Sequence[int]) -> Size:
        """Where it begins in an array of some of the sides."""
        at: Size = 0
        for p in axes:
            at = at * self.sides[p] + self.starts[p]
        return at


def piece_of(sides: Sequence[Size], most: Size, turn: Dim) -> Piece:
    """The piece of at most so many elements that a turn is at. Where it has more than one of an axis, it has all of those behind.

    So its elements lie side by side in an array of all sides, and of any of them: turns that follow each other are neighbours.
    """
    starts: list[Size] = []
    lengths: list[Size] = []
    count: Size = 1
    rest: Size = turn
    for p, side in reversed([*enumerate(sides)]):
        across = dims.floordiv(side + (most - 1), most)
        at = rest * most
        if p:  # an empty axis has a turn, of nothing
            across = dims.maximum(1, across)
            at, rest = dims.mod(rest, across) * most, dims.floordiv(rest, across)
        starts.append(at)
        lengths.append(dims.minimum(most, side - at))
        count = across * count
        most = dims.floordiv(most, dims.maximum(1, dims.minimum(side, most)))
    return Piece(tuple(sides), count, tuple(starts[::-1]), tuple(lengths[::-1]))


def spread_kernel(dtype: np.dtype, axes: Sequence[int], lengths: Sequence[Size]) -> Kernel:
    """out[i0, i1, ..] = x[those of `axes`], for every point of so many along each side."""
    loops = tuple([Axis(loop_index(p), length) for p, length in enumerate(lengths)])
    every = point(loops)
    read = sc.load(0, tuple([every[p] for p in axes]), dtype)
    operands = Operand(dtype, tuple([lengths[p] for p in axes])), Operand(dtype, tuple(lengths), True)
    return Kernel(loops, (Stage((), read, dtype, stores=(Store(1, every),)),), operands)
