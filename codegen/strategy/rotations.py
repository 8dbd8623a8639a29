"""Symmetric eigenvalues by rotations (Jacobi), one example in each lane: see `graphc.codegen.strategy.lanes`.

Each rotation takes one pair of rows and columns to where their element is 0; a few rounds of all pairs leave a diagonal, to the last
bits. It is the method whose steps are the same for all lanes: a lane that is done turns by no angle.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.codegen.strategy.elimination import Arrays, mirror
from graphc.codegen.strategy.lanes import Lanes, Number
from graphc.dtypes import int64

ROUNDS = 40  # most matrices take 6 to 9


def eigh(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str, reads: str) -> None:
    """arrays: a, eigenvalues, eigenvectors, whether there are none. The area holds a, then the vectors as rows.

    Rows of a are one element longer than they need: else the columns of n = 32, which are written too, would share a few sets of the cache.
    """
    (n,), size = sizes, t.mul(sizes[0], sizes[0])
    pitch = t.add(n, 1)
    vectors = t.place(area, t.mul(n, pitch))
    t.read(t.examples(arrays[0], first, last, size), size, vectors)
    mirror(t, vectors, n, reads)
    largest, check = t.loop(0, size, lambda e, most, sum: _seen(t, t.load(vectors, e), most, sum), *[(t.vector, t.number(0.0))] * 2)

    def row_of(i: str) -> None:
        own, given = t.place(area, t.mul(i, pitch)), t.place(vectors, t.mul(i, n))
        t.loop(0, n, lambda j: t.store(t.load(given, j), own, j))

    t.loop(0, n, row_of)
    bad = t.compare("uno", check, check)
    t.loop(0, size, lambda e: t.store(t.number(0.0), vectors, e))
    t.loop(0, n, lambda i: t.store(t.number(1.0), vectors, t.add(t.mul(i, n), i)))
    spacing = 2.0**-53 if t.dtype.itemsize == 8 else 2.0**-24
    floor = t.binary("fmul", largest, t.number(spacing / 8))

    def round_of_all(_: str) -> str:
        def row(p: str, found: str) -> list[str]:
            def pair(q: str, found: str) -> list[str]:
                return [t.emit(f"or {t.mask} {found}, {_rotate(t, area, vectors, n, pitch, p, q, floor, spacing)}")]

            return t.loop(t.add(p, 1), n, pair, (t.mask, found))

        return t.some(t.loop(0, n, row, (t.mask, "zeroinitializer"))[0])

    t.repeat(ROUNDS, round_of_all)
    _sort(t, area, vectors, n, pitch)
    nan = t.number(float("nan"))
    values = t.examples(arrays[1], first, last, n)
    t.loop(0, n, lambda i: t.scattered(t.choose(bad, nan, t.load(area, t.add(t.mul(i, pitch), i))), values, i))

    def turn(i: str) -> None:
        own = t.place(vectors, t.mul(i, n))
        t.store(t.choose(bad, nan, t.load(own, i)), own, i)

        def swap(j: str) -> None:
            other = t.place(vectors, t.mul(j, n))
            here, there = t.load(own, j), t.load(other, i)
            t.store(t.choose(bad, nan, there), own, j)
            t.store(t.choose(bad, nan, here), other, i)

        t.loop(0, i, swap)

    t.loop(0, n, turn)
    t.write(vectors, t.examples(arrays[2], first, last, size), size)
    t.flags(bad, t.examples(arrays[3], first, last, 1, int64))


def _seen(t: Lanes, value: str, most: str, sum: str) -> list[str]:
    """(the largest size so far, a sum that is nan where an element is not finite)."""
    return [t.function("maxnum", most, t.function("fabs", value)), t.binary("fadd", sum, t.binary("fmul", value, t.number(0.0)))]


def _rotate(t: Lanes, area: str, vectors: str, n: Number, pitch: Number, p: str, q: str, floor: str, spacing: float) -> str:
    """Make element (p, q) zero in every lane where it is not small; where that is.

    With tan(2 angle) = 2 a[p, q] / (a[q, q] - a[p, p]) of the smaller angle: t = sign(h) / (|h| + sqrt(1 + h^2)), h = cot(2 angle).
    """
    row, other = t.place(area, t.mul(p, pitch)), t.place(area, t.mul(q, pitch))
    app, aqq, apq = t.load(row, p), t.load(other, q), t.load(row, q)
    size = t.function("fabs", apq)
    beside = t.binary("fmul", t.binary("fadd", t.function("fabs", app), t.function("fabs", aqq)), t.number(spacing / 2))
    needed = t.both(t.compare("ogt", size, floor), t.compare("ogt", size, beside))

    def rotation() -> None:
        one, half = t.number(1.0), t.binary("fmul", t.binary("fsub", aqq, app), t.number(0.5))
        h = t.binary("fdiv", half, t.choose(needed, apq, one))
        long = t.binary("fadd", t.function("fabs", h), t.function("sqrt", t.function("fma", h, h, one)))
        tangent = t.choose(needed, t.function("copysign", t.binary("fdiv", one, long), h), t.number(0.0))
        c = t.binary("fdiv", one, t.function("sqrt", t.function("fma", tangent, tangent, one)))
        s = t.binary("fmul", tangent, c)
        minus = t.negative(s)

        def turned(x: str, y: str) -> tuple[str, str]:
            return t.function("fma", c, x, t.binary("fmul", minus, y)), t.function("fma", s, x, t.binary("fmul", c, y))

        first, second = t.place(vectors, t.mul(p, n)), t.place(vectors, t.mul(q, n))

        def element(j: str) -> None:
            x, y = turned(t.load(row, j), t.load(other, j))
            column = t.place(area, t.mul(j, pitch))
            for value, own, k in ((x, row, p), (y, other, q)):
                t.store(value, own, j)
                t.store(value, column, k)
            x, y = turned(t.load(first, j), t.load(second, j))
            t.store(x, first, j)
            t.store(y, second, j)

        t.loop(0, n, element)
        t.store(t.function("fma", t.negative(tangent), apq, app), row, p)
        t.store(t.function("fma", tangent, apq, aqq), other, q)
        left = t.choose(needed, t.number(0.0), apq)
        t.store(left, row, q)
        t.store(left, other, p)

    t.when(t.some(needed), rotation)
    return needed


def _sort(t: Lanes, area: str, vectors: str, n: Number, pitch: Number) -> None:
    """Eigenvalues ascending, vectors with them."""

    def value(i: Number) -> str:
        return t.place(area, t.add(t.mul(i, pitch), i))

    def row(i: str) -> None:
        def pair(j: str) -> None:
            here, there = value(i), value(j)
            x, y = t.load(here), t.load(there)
            wrong = t.compare("ogt", x, y)

            def exchange() -> None:
                t.store(t.choose(wrong, y, x), here)
                t.store(t.choose(wrong, x, y), there)
                first, second = t.place(vectors, t.mul(i, n)), t.place(vectors, t.mul(j, n))

                def element(k: str) -> None:
                    a, b = t.load(first, k), t.load(second, k)
                    t.store(t.choose(wrong, b, a), first, k)
                    t.store(t.choose(wrong, a, b), second, k)

                t.loop(0, n, element)

            t.when(t.some(wrong), exchange)

        t.loop(t.add(i, 1), n, pair)

    t.loop(0, n, row)
