"""Sums of squares about what is known only when all is summed, by chunks that are read once.

    u = f(sum(e)),  q = sum((e - u)**2)        of a chunk of n elements, m the mean of the first quarter of them:
                                               r = sum(e - m),  v = sum((e - m)**2)
                                               and in the end sum(e) = sum over chunks of r + n*m
                                                              q = sum over chunks of v + d*(2*r + n*d),  d = m - u

Identities for any m, so that its rounding costs nothing. The mean of a quarter lies no further from that of all than the square root of
three times their variance, whatever they are: v is at most four times what it would be about the mean, and terms cancel no more than
that. So q is as accurate as by two sweeps about u (compare Chan, Golub, LeVeque: Algorithms for computing the sample variance, whose
means of chunks would have to be summed first), and sum(e) more than one after the other. The quarter is in the cache when its turn comes
again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphc import dims
from graphc import scalars as sc
from graphc.passes.fusion.chunks import Nest
from graphc.program import Axis, Kernel
from graphc.records import dataclass
from graphc.scalars import Scalar

PARTS = 4  # a larger one makes the first sweep shorter, and the bound worse


@dataclass(frozen=True)
class Centred:
    """Stage `stage` sums squares about `centre`, a value per outer point, of what stage `total` of an earlier nest sums."""

    stage: int
    total: int
    centre: Scalar


def centred(kernel: Kernel, number: int, before: Nest) -> Centred | None:
    """What a stage sums, if that is as above."""
    stage = kernel.stages[number]
    square = stage.combine == "sum" and stage.scan is None and stage.body.op == "mul" and stage.body.args[0] is stage.body.args[1]
    difference = stage.body.args[0] if square else None
    if difference is None or difference.op != "sub" or difference.dtype.kind != "f":
        return None
    element, centre = difference.args
    if not _per_point(kernel, centre, before):
        element, centre = centre, element
    totals = [
        j for j in before.stages
        if (s := kernel.stages[j]).combine == "sum" and s.scan is None and s.body is element and s.dtype == stage.dtype == element.dtype
    ]  # fmt: skip
    alone = not any(s.op == "local" and kernel.stages[s.param].axes for s in sc.order((element,)))  # it is asked for in two nests
    return Centred(number, totals[0], centre) if totals and alone and _per_point(kernel, centre, before) else None


def _per_point(kernel: Kernel, value: Scalar, nest: Nest) -> bool:
    """Whether a value is one of the outer point: it reads nothing at the indices of the nest."""
    inner = frozenset[dims.Symbol]().union(*[dims.symbols(axis.index) for axis in nest.over])
    return not any(
        (s.op == "index" and dims.symbols(s.param) & inner) or (s.op == "local" and kernel.stages[s.param].axes) for s in sc.order((value,))
    )


def first_part(chunk: Sequence[Axis]) -> tuple[Axis, ...]:
    """The first quarter of the elements of a chunk, or some more."""
    return (Axis(chunk[0].index, dims.floordiv(chunk[0].extent + (PARTS - 1), PARTS)), *chunk[1:])


def shift(total: Scalar, count: Scalar) -> Scalar:
    """The mean; 0 where there is none, so that infinities come out as they would."""
    mean = total / count
    return sc.select(abs(mean) < math.inf, mean, 0.0)


def about(centre: Scalar, mean: Scalar, count: Scalar, rest: Scalar, squares: Scalar) -> Scalar:
    """What a chunk adds to the sum of squares about `centre`."""
    d = mean - centre
    return squares + d * (rest + rest + count * d)


def count(axes: Sequence[Axis], dtype: np.dtype) -> Scalar:
    """How many elements there are."""
    return sc.index(dims.product([a.extent for a in axes])).cast(dtype)
