"""What a kernel's strategy keeps beside: the packed copies of products.

    contract k(a, b, c)   ->   contract k(a, b, c), scratch u8[98304], shared i64[12], shared u8[2162688]

A stack need not have a megabyte left: threads are often given small ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from graphc.codegen.loops.fma import fuse_multiply_add
from graphc.codegen.loops.loopir import Block, Call
from graphc.codegen.loops.lower import lower
from graphc.codegen.strategy.door import Strategy
from graphc.codegen.strategy.table import STRATEGIES
from graphc.codegen.target import host
from graphc.dims import Size
from graphc.dtypes import int64, uint8
from graphc.options import Options
from graphc.program import Kernel
from graphc.target import Target

Pieces = tuple[tuple[np.dtype, Size], ...]


def scratch_of(kernel: Kernel, options: Options) -> tuple[Pieces, Pieces]:
    """The dtype and the elements of each piece of scratch that the code of a kernel needs: each thread's own, what they share."""
    if not _has_strategy(kernel):
        return (), ()
    body = fuse_multiply_add(kernel) if options.fma else kernel
    first = next(iter(lowered(body, options.target or host()).body), None)  # nothing has no loops
    if not isinstance(first, Call) or not isinstance(first.strategy, Strategy):
        return (), ()
    nbytes, (words, together) = first.strategy.scratch(first.params), first.strategy.shared(first.params)
    return ((uint8, nbytes),) if nbytes != 0 else (), ((int64, words), (uint8, together)) if words != 0 else ()


def lowered(kernel: Kernel, target: Target) -> Block:
    """The loops of a kernel; where a strategy may take it, they are made once, for its scratch and for its code."""
    return _planned(replace(kernel, scratch=(), shared=()), target) if _has_strategy(kernel) else lower(kernel, target)


def _has_strategy(kernel: Kernel) -> bool:
    return any(row.accepts(kernel) for row in STRATEGIES.values())


@lru_cache(maxsize=64)
def _planned(kernel: Kernel, target: Target) -> Block:
    return lower(kernel, target)
