"""Nests whose reductions an earlier nest over the same elements can do as well, before it is known what they are about.

u = max(e);  s = sum(exp(e - u))     u = mean(e);  s = sum((e - u)**2)     both of one reading of e, see `rescaled` and `centred`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from graphc.passes.fusion.centred import Centred, centred
from graphc.passes.fusion.chunks import Nest
from graphc.passes.fusion.rescaled import Rescaled, Values, rescaled
from graphc.program import Kernel

Ahead = Mapping[int, tuple[int, tuple[Centred | Rescaled, ...]]]


def done_ahead(kernel: Kernel, parts: Sequence[Nest], private: Collection[int]) -> Ahead:
    """Nest -> the next one over the same axes, where all that this one does can be had from what the first one reads."""
    found: dict[int, tuple[int, tuple[Centred | Rescaled, ...]]] = {}
    values = Values(kernel, private)
    loops = [number for number, nest in enumerate(parts) if nest.over]
    taken: set[int] = set()
    for first, second in pairwise(loops):
        if first in taken or parts[first].over != parts[second].over:
            continue
        listed = [centred(kernel, k, parts[first]) or rescaled(values, k, parts[first]) for k in parts[second].stages]
        if all(c is not None for c in listed):
            found[first] = second, tuple([c for c in listed if c is not None])
            taken.add(second)
    return found
