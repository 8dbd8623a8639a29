"""Functions of one argument by tables of polynomials, of one degree, a piece of the range each.

    value(x) = c0[i] + u (c1[i] + u (c2[i] + ..)),  u = x - centres[i]

The number i of a piece is made of the exponent and of the top bits of the fraction of x + offset, so pieces are as long as their
distance from -offset demands; where x + offset stays between two powers of two, they are of equal length. Behind them there may be
pieces of other functions or variables, chosen by the caller: a series in 1 / x**2 beyond the last. A table fills whole registers, of
which its lookups are instructions where there is one that picks elements by a vector of indices.

The tables are written by `python -m tests.fit_piecewise`.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from graphc.codegen.mathlib.kit import bits, format_of, poly
from graphc.dtypes import float32
from graphc.records import dataclass
from graphc.scalars import Scalar, lookup, select, shift_right


@dataclass(frozen=True)
class Table:
    """Polynomials of pieces: `rows[k][i]` is the coefficient of u**k in the piece i. Padded to a power of two."""

    dtype: np.dtype
    offset: float
    split: int
    """Bits of the fraction of x + offset in the number of a piece: an octave has 2**split pieces."""
    first: int
    """What these bits with the exponent are for the first piece."""
    near: int
    """How many pieces are chosen by x; others follow."""
    centres: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]

    @property
    def size(self) -> int:
        return len(self.centres)

    @property
    def end(self) -> float:
        """Where the pieces end that are chosen by x."""
        bias = 127 if self.dtype == float32 else 1023
        octave, part = divmod(self.first + self.near, 1 << self.split)
        return (1 + part / (1 << self.split)) * 2.0 ** (octave - bias) - self.offset

    def index(self, x: Scalar) -> Scalar:
        """The number of the piece of x; for nan, and for an x outside, that of some piece."""
        f = format_of(x)
        i = shift_right(bits(x + self.offset), f.bits - self.split)
        start = self.first % self.size
        return (i - start if start else i) & (self.size - 1)

    def polynomial(self, u: Scalar, i: Scalar, start: int = 0) -> Scalar:
        """c_start + u (c_(start+1) + ..) of the piece i"""
        return poly(u, [lookup(row, i, self.dtype) for row in self.rows[start:]])

    def local(self, x: Scalar, i: Scalar) -> Scalar:
        """u: the distance from the middle of the piece i."""
        return x - lookup(self.centres, i, self.dtype)

    def value(self, x: Scalar) -> Scalar:
        """The function at an x between the ends of the first pieces."""
        i = self.index(x)
        return self.polynomial(self.local(x, i), i)

    def value_or(self, x: Scalar, beyond: Scalar, variable: Scalar, piece: int = 0) -> Scalar:
        """The same, but where `beyond` the piece `near + piece` at `variable`."""
        i = select(beyond, self.near + piece, self.index(x))
        return self.polynomial(self.local(select(beyond, variable, x), i), i)


def table(module: ModuleType, x: Scalar) -> Table:
    """The table of a module of graphc.codegen.mathlib.tables for the type of x."""
    return module.F32 if x.dtype == float32 else module.F64  # type: ignore[no-any-return]
