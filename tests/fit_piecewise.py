"""Fit the tables of graphc.codegen.mathlib.tables: polynomials of the pieces of a range, by interpolation at Chebyshev points.

    python -m tests.fit_piecewise NAME...          print the module codegen/mathlib/tables/NAME.py, for each
    python -m tests.fit_piecewise --write NAME...  write it
    python -m tests.fit_piecewise --write          all of them

`TABLES` of tests.piecewise_tables states which function of which variable each holds. The degree is the least that reaches the
accuracy wanted, 4 bits more than the type has, on points between those of the fit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mpmath as mp
import numpy as np

from graphc.codegen.mathlib.piecewise import Table
from graphc.dtypes import float32, float64

DIGITS = 45
FOLDER = Path(__file__).parent.parent / "codegen" / "mathlib" / "tables"
Real = Callable[[mp.mpf], mp.mpf]
REGISTER = 64  # bytes: tables fill whole ones


@dataclass(frozen=True)
class Extra:
    """A piece behind the others: its function of its own variable, from low to high."""

    f: Real
    low: float
    high: float


@dataclass(frozen=True)
class Spec:
    """A table: f on [low, high], which are the ends of pieces; an octave of x + offset has 2**split pieces."""

    what: str
    f: Real
    low: float
    high: float
    offset: float
    split: int
    extra: tuple[Extra, ...] = ()
    size: Real | None = None
    """What the error is relative to; of f itself if there is nothing else."""
    bits: dict[np.dtype, int] = field(default_factory=lambda: {float32: 28, float64: 57})
    even: bool = False
    """Whether the centres are moved to where f is all but a number of the type, so that its rounding is no error (S. Gal, 1986)."""


def pieces(spec: Spec) -> Iterator[tuple[Real, mp.mpf, mp.mpf, mp.mpf]]:
    """(f, low, high, centre) of each piece."""
    t, stop = mp.mpf(spec.low) + mp.mpf(spec.offset), mp.mpf(spec.high) + mp.mpf(spec.offset)
    while t < stop:
        step = mp.mpf(2) ** (mp.frexp(t)[1] - 1 - spec.split)
        low = t - mp.mpf(spec.offset)
        yield spec.f, low, low + step, low + step / 2
        t += step
    for e in spec.extra:
        yield e.f, mp.mpf(e.low), mp.mpf(e.high), (mp.mpf(e.low) + mp.mpf(e.high)) / 2


def even(f: Real, centre: mp.mpf, dtype: np.dtype) -> mp.mpf:
    """A number of the type near the centre at which f has the least rounding error: among those around where f is one of its numbers."""
    exact = mp.mpf(float(dtype.type(float(f(centre)))))
    start = dtype.type(float(mp.findroot(lambda x: f(x) - exact, centre)))
    nearby = [float(start + dtype.type(k) * np.spacing(start)) for k in range(-150, 151)]
    return min(map(mp.mpf, nearby), key=lambda c: abs(f(c) - float(dtype.type(float(f(c))))))


def chebyshev(f: Real, low: mp.mpf, high: mp.mpf, count: int) -> tuple[list[mp.mpf], list[mp.mpf]]:
    """The points of interpolation and the values there."""
    middle, half = (low + high) / 2, (high - low) / 2 * mp.mpf("1.0001")
    points = [middle + half * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    return points, [f(x) for x in points]


def interpolate(points: list[mp.mpf], values: list[mp.mpf], centre: mp.mpf) -> list[mp.mpf]:
    """The coefficients, lowest first, in powers of x - centre: Newton's divided differences, multiplied out."""
    n, d = len(points), list(values)
    for k in range(1, n):
        for i in range(n - 1, k - 1, -1):
            d[i] = (d[i] - d[i - 1]) / (points[i] - points[i - k])
    c = [d[-1]]
    for k in range(n - 2, -1, -1):
        shift = points[k] - centre
        c = [(c[i - 1] if i else mp.mpf(0)) - (shift * c[i] if i < len(c) else 0) for i in range(len(c) + 1)]
        c[0] += d[k]
    return c


def horner(c: list[mp.mpf], u: mp.mpf) -> mp.mpf:
    total = mp.mpf(0)
    for v in reversed(c):
        total = total * u + v
    return total


class Fitter:
    """The pieces of a spec, with their values at points that serve every degree tried."""

    def __init__(self, spec: Spec, dtype: np.dtype) -> None:
        self.spec, self.dtype = spec, dtype
        self.pieces = [
            (f, low, high, even(f, c, dtype) if spec.even else mp.mpf(float(dtype.type(float(c))))) for f, low, high, c in pieces(spec)
        ]
        self._checks = [self._between(p) for p in self.pieces]

    def _between(self, piece: tuple[Real, mp.mpf, mp.mpf, mp.mpf]) -> list[tuple[mp.mpf, mp.mpf, mp.mpf]]:
        f, low, high, _ = piece
        found = []
        for k in range(12):
            x = low + (high - low) * (mp.mpf(k) + mp.mpf("0.43")) / 12
            y = f(x)
            found.append((x, y, abs(y) if self.spec.size is None or f is not self.spec.f else abs(self.spec.size(x))))
        return found

    def fit(self, degree: int) -> tuple[list[list[mp.mpf]], float]:
        """The coefficients of each piece, and the largest error as a power of two."""
        rows, worst = [], mp.mpf(0)
        for (f, low, high, centre), checks in zip(self.pieces, self._checks):
            c = interpolate(*chebyshev(f, low, high, degree + 1), centre)
            worst = max(worst, *[abs(horner(c, x - centre) - y) / size for x, y, size in checks])
            rows.append(c)
        return rows, float(mp.log(worst, 2)) if worst else -999.0

    def best(self) -> tuple[list[list[mp.mpf]], float]:
        wanted = -self.spec.bits[self.dtype]
        for degree in range(3, 26):
            rows, error = self.fit(degree)
            if error <= wanted:
                return rows, error
        raise ValueError(f"{self.spec.what}: 2^{error:.1f} with degree 25")


def solve(spec: Spec, dtype: np.dtype) -> tuple[Table, float]:
    """The table of a spec in a dtype, and its relative error as a power of two."""
    with mp.workdps(DIGITS):
        fitter = Fitter(spec, dtype)
        coefficients, error = fitter.best()
        centres = [p[3] for p in fitter.pieces]
        count = max(REGISTER // dtype.itemsize, 1 << (len(centres) - 1).bit_length())
        width = max(map(len, coefficients))
        start = mp.mpf(spec.low) + mp.mpf(spec.offset)
        exponent = int(mp.frexp(start)[1]) - 1
        first = (
            (exponent + (127 if dtype == float32 else 1023) << spec.split) + int(mp.ldexp(start, spec.split - exponent)) - (1 << spec.split)
        )

        def rounded(values: list[mp.mpf]) -> tuple[float, ...]:
            return tuple([float(dtype.type(float(v))) for v in values] + [0.0] * (count - len(values)))

        rows = tuple(rounded([c[k] if k < len(c) else mp.mpf(0) for c in coefficients]) for k in range(width))
        near = len(centres) - len(spec.extra)
        return Table(dtype, float(spec.offset), spec.split, first, near, rounded(centres), rows), error


HEAD = '''"""{what}

Written by `python -m tests.fit_piecewise`, where it is stated; do not edit.
"""

# fmt: off
from graphc.codegen.mathlib.piecewise import Table
from graphc.dtypes import {dtypes}

'''


def packed(values: tuple[float, ...]) -> str:
    """The numbers of a tuple in lines of at most 140 characters."""
    lines, line = [], "    "
    for v in values:
        text = f"{v!r}, "
        if len(line) + len(text) > 138:
            lines.append(line.rstrip())
            line = "    "
        line += text
    return "\n".join([*lines, line.rstrip()])


def module(spec: Spec) -> str:
    """The text of a module of tables."""
    text = HEAD.format(what=spec.what, dtypes=", ".join(dtype.name for dtype in spec.bits))
    for dtype in spec.bits:
        table, error = solve(spec, dtype)
        rows = "".join(f"    (\n{packed(row)}\n    ),\n" for row in table.rows)
        facts = f"{dtype.name}, {table.offset!r}, {table.split}, {table.first}, {table.near}"
        text += f"# {table.near + len(spec.extra)} pieces of degree {len(table.rows) - 1}, relative error 2^{error:.1f}\n"
        name = "F32" if dtype == float32 else "F64"
        text += f"{name} = Table(\n    {facts},\n    (\n{packed(table.centres)}\n    ), (\n{rows}    ),\n)\n"
    return text + "# fmt: on\n"


def main(arguments: list[str]) -> None:
    from tests.piecewise_tables import TABLES  # what it states is made of the classes above

    names = [a for a in arguments if not a.startswith("-")] or list(TABLES)
    for name in names:
        text = module(TABLES[name])
        if "--write" in arguments:
            (FOLDER / f"{name}.py").write_text(text, encoding="utf-8")
            print(name, len(text), flush=True)
        else:
            print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
