"""Sums of squares about what is known only when all is summed, by chunks that are read once.

    u = f(sum(e)),  q = sum((e - u)**2)        of a chunk of n elements, while it is in the cache:
                                               m = sum(e) / n,  r = sum(e - m),  v = sum((e - m)**2)
                                               and in the end q = sum over chunks of v + d*(2*r + n*d),  d = m - u

An identity for any m, so that its rounding costs nothing: r makes up for it. As m is near the mean of the chunk all terms that matter
are positive, and q is as accurate as by two sweeps about u (Chan, Golub, LeVeque: Algorithms for computing the sample variance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphc import dims
from graphc import scalars as sc
from graphc.passes.fusion.chunks import Nest
from graphc.program import Kernel
from graphc.scalars import Scalar


@dataclass(frozen=True)
class Centred:
    """Stage `stage` sums the squares of `element` about `centre`, a value per outer point; stage `total` of an earlier nest sums it."""

    stage: int
    total: int
    element: Scalar
    centre: Scalar


def centred_nests(kernel: Kernel, parts: Sequence[Nest]) -> dict[int, tuple[int, tuple[Centred, ...]]]:
    """Nest -> the next one over the same axes, where all that this one does is sums of squares of what the first one sums."""
    found: dict[int, tuple[int, tuple[Centred, ...]]] = {}
    loops = [number for number, nest in enumerate(parts) if nest.over]
    taken: set[int] = set()
    for first, second in pairwise(loops):
        if first in taken or parts[first].over != parts[second].over:
            continue
        listed = [_centred(kernel, k, parts[first]) for k in parts[second].stages]
        if all(c is not None for c in listed):
            found[first] = second, tuple([c for c in listed if c is not None])
            taken.add(second)
    return found


def _centred(kernel: Kernel, number: int, before: Nest) -> Centred | None:
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
    return Centred(number, totals[0], element, centre) if totals and _per_point(kernel, centre, before) else None


def _per_point(kernel: Kernel, value: Scalar, nest: Nest) -> bool:
    """Whether a value is one of the outer point: it reads nothing at the indices of the nest."""
    inner = frozenset[dims.Symbol]().union(*[dims.symbols(axis.index) for axis in nest.over])
    return not any(
        (s.op == "index" and dims.symbols(s.param) & inner) or (s.op == "local" and kernel.stages[s.param].axes) for s in sc.order((value,))
    )


def about(centre: Scalar, total: Scalar, rest: Scalar, squares: Scalar, count: Scalar) -> Scalar:
    """What a chunk adds to the sum of squares about `centre`."""
    d = total / count - centre
    return squares + d * (rest + rest + count * d)
