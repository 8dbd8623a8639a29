"""`LoopForm`: how a structural op computes one element, as data that fusion can substitute and codegen can schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from graphc.dims import Size
from graphc.records import dataclass
from graphc.scalars import Scalar

Index = Sequence["Size | Scalar"]


class Read(Protocol):
    """`read(k, index)`: the element of input k at one index per axis, a size expression over loop axes or an i64 Scalar.

    Where `mask` is false nothing is read and the value is 0: the only way to mention an index that may lie outside.
    """

    def __call__(self, k: int, index: Index, mask: Scalar | None = None) -> Scalar: ...


@dataclass(frozen=True)
class LoopForm:
    """out[i...] = combine over r in reduce of body(read, i, r); no combine: out[i...] = body(read, i, ()).

    combine: None | "sum" | "prod" | "max" | "min" | "any" | "all" | "argmax" | "argmin".
    An arg combine returns the (row-major) position in the reduced axes of the first extreme; nan wins.
    """

    body: Callable[[Read, tuple[Size, ...], tuple[Size, ...]], Scalar]
    reduce: tuple[Size, ...] = ()
    combine: str | None = None
    view: bool = False  # only moves data: an index map of one input, never worth a buffer of its own


@dataclass(frozen=True)
class Routine:
    """What an op does for each example of a batch, as a procedure that codegen knows by name.

    It takes the inputs `reads` of the op and gives its outputs; `operations` are those of one example. It serves where every size is at
    most `most`, and of few examples at most `alone`.
    """

    name: str
    params: tuple[str | bool, ...]
    dtype: np.dtype
    batch: Size
    sizes: tuple[Size, ...]
    reads: tuple[int, ...]
    operations: Size
    most: int = 64
    alone: int = 48
