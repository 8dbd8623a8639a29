"""Orthogonal factorisations by reflections (Householder), one example in each lane: see `graphc.codegen.strategy.lanes`.

A reflection 1 - tau v v' takes a column to a multiple of the first unit vector; v begins with 1, and what follows it lies where the
zeros come to be. Several of them are 1 - V t V' with an upper triangle t, so that a row is loaded once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.codegen.strategy.elimination import TOGETHER, Arrays, Tile, by_rows, spoil
from graphc.codegen.strategy.lanes import Lanes, Number

RANGE = {8: (-960, 1000, 600), 4: (-100, 120, 100)}  # sums of squares from 2**, to 2** tell a length; columns beyond are scaled by 2**


def upper(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str) -> None:
    """arrays: a, r. Sizes m, n."""
    m, n = sizes
    t.read(t.examples(arrays[0], first, last, t.mul(m, n)), t.mul(m, n), area)
    bad = _not_finite(t, area, t.mul(m, n))
    rows = _reduce(t, area, m, n, t.place(area, t.mul(m, n)))
    _write_upper(t, area, t.examples(arrays[1], first, last, t.mul(rows, n)), rows, n, bad)


def qr(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str) -> None:
    """arrays: a, q, r. Sizes m, n, k: the columns of q. The area holds a, then q, then the triangles t."""
    m, n, k = sizes
    q = t.place(area, t.mul(m, n))
    triangles = t.place(q, t.mul(m, k))
    t.read(t.examples(arrays[0], first, last, t.mul(m, n)), t.mul(m, n), area)
    bad = _not_finite(t, area, t.mul(m, n))
    steps = _reduce(t, area, m, n, triangles)
    size = t.mul(m, k)
    t.loop(0, size, lambda e: t.store(t.number(0.0), q, e))
    t.loop(0, k, lambda i: t.store(t.number(1.0), q, t.add(t.mul(i, k), i)))

    def panel(count: int) -> Callable[[Number], None]:
        def several(i: Number) -> None:
            """Reflections i down to i - count + 1 of the columns that they change."""
            start = t.add(i, 1 - count)
            triangle = {(p, c): t.load(triangles, t.add(t.mul(start, TOGETHER), TOGETHER * p + c)) for p, c in _above(count)}
            _apply(t, area, n, m, start, triangle, count, q, k, start, k, back=False)

        return several

    rest = t.rest(steps, TOGETHER)
    t.loop(t.sub(steps, 1), t.sub(t.sub(steps, rest), 1), panel(1), step=-1)
    t.loop(t.sub(t.sub(steps, rest), 1), -1, panel(TOGETHER), step=-TOGETHER)
    spoil(t, q, size, bad)
    t.write(q, t.examples(arrays[1], first, last, size), size)
    _write_upper(t, area, t.examples(arrays[2], first, last, t.mul(k, n)), k, n, bad)


def _not_finite(t: Lanes, area: str, size: Number) -> str:
    """The lanes where an element is nan or infinite: a sum of zeros tells."""
    zero = t.number(0.0)
    (check,) = t.loop(0, size, lambda e, sum: [t.binary("fadd", sum, t.binary("fmul", t.load(area, e), zero))], (t.vector, zero))
    return t.compare("uno", check, check)


def _above(count: int) -> list[tuple[int, int]]:
    return [(p, c) for c in range(count) for p in range(c + 1)]


def _reduce(t: Lanes, area: str, m: Number, n: Number, triangles: str) -> Number:
    """r in the upper triangle of the area, the vectors v below it; how many there are."""
    steps = t.least(m, n)

    def panel(count: int) -> Callable[[Number], None]:
        def several(k: Number) -> None:
            taus = [_reflection(t, area, m, n, t.add(k, r), t.add(k, count)) for r in range(count)]
            triangle = _triangle(t, area, m, n, k, taus)
            for (p, c), value in triangle.items():
                t.store(value, triangles, t.add(t.mul(k, TOGETHER), TOGETHER * p + c))
            _apply(t, area, n, m, k, triangle, count, area, n, t.add(k, count), n, back=True)

        return several

    whole = t.sub(steps, t.rest(steps, TOGETHER))
    t.loop(0, whole, panel(TOGETHER), step=TOGETHER)
    t.loop(whole, steps, panel(1))
    return steps


def _reflection(t: Lanes, area: str, m: Number, n: Number, k: Number, after: Number) -> str:
    """Column k becomes r[k, k] and v, and the columns up to `after` are reflected; tau.

    beta = -sign(alpha) |x|, tau = (beta - alpha) / beta, v = x / (alpha - beta), as LAPACK: none where there is nothing below alpha.
    """
    at, one, zero = t.add(t.mul(k, n), k), t.number(1.0), t.number(0.0)
    below = t.add(k, 1)

    def seen(i: Number, most: str, sum: str) -> list[str]:
        value = t.load(area, t.add(t.mul(i, n), k))
        return [t.function("maxnum", most, t.function("fabs", value)), t.function("fma", value, value, sum)]

    def squares() -> tuple[str, str]:
        alpha = t.load(area, at)
        most, sum = t.loop(below, m, seen, (t.vector, zero), (t.vector, zero))
        return t.compare("oeq", most, zero), t.function("fma", alpha, alpha, sum)

    least, greatest, power = RANGE[t.dtype.itemsize]
    flat, sum = squares()
    tiny, huge = t.compare("olt", sum, t.number(2.0**least)), t.compare("ogt", sum, t.number(2.0**greatest))
    scale = t.choose(tiny, t.number(2.0**power), t.choose(huge, t.number(2.0**-power), one))
    other = t.choose(tiny, t.number(2.0**-power), t.choose(huge, t.number(2.0**power), one))

    def scaled() -> list[str]:
        def element(i: Number) -> None:
            own = t.place(area, t.add(t.mul(i, n), k))
            t.store(t.binary("fmul", t.load(own), scale), own)

        t.loop(k, m, element)
        return [squares()[1]]

    (sum,) = t.when(t.some(t.emit(f"or {t.mask} {tiny}, {huge}")), scaled, (t.vector, sum))
    alpha = t.load(area, at)
    beta = t.negative(t.function("copysign", t.function("sqrt", sum), alpha))
    tau = t.choose(flat, zero, t.binary("fdiv", t.binary("fsub", beta, alpha), t.choose(flat, one, beta)))
    head = t.choose(flat, one, t.binary("fsub", alpha, beta))
    t.store(t.binary("fmul", t.choose(flat, alpha, beta), other), area, at)

    def vector(i: Number) -> None:
        own = t.place(area, t.add(t.mul(i, n), k))
        t.store(t.binary("fdiv", t.load(own), head), own)

    t.loop(below, m, vector)
    _apply(t, area, n, m, k, {(0, 0): tau}, 1, area, n, below, after, back=True)
    return tau


def _triangle(t: Lanes, area: str, m: Number, n: Number, k: Number, taus: Sequence[str]) -> Tile:
    """t of the reflections k, k + 1, ..: column c is tau[c], and above it -tau[c] t V'v[c]."""
    count = len(taus)
    pairs = [(p, c) for p, c in _above(count) if p < c]
    dots = dict.fromkeys(pairs, t.number(0.0))
    for r in range(1, count):  # rows in which v[r] begins: the earlier ones go on there
        v = [t.load(area, t.add(t.mul(t.add(k, r), n), t.add(k, q))) for q in range(r)]
        for p, c in pairs:
            if c == r:
                dots[p, c] = t.binary("fadd", dots[p, c], v[p])
            elif c < r:
                dots[p, c] = t.function("fma", v[p], v[c], dots[p, c])

    def row(i: Number, *sums: str) -> list[str]:
        v = [t.load(area, t.add(t.mul(i, n), t.add(k, q))) for q in range(count)]
        return [t.function("fma", v[p], v[c], sum) for (p, c), sum in zip(pairs, sums, strict=True)]

    if pairs:
        made = t.loop(t.add(k, count), m, row, *[(t.vector, dots[pair]) for pair in pairs])
        dots = dict(zip(pairs, made, strict=True))
    triangle: Tile = {}
    for c, tau in enumerate(taus):
        minus = t.negative(tau)
        for p in range(c):
            total = t.binary("fmul", triangle[p, p], dots[p, c])
            for q in range(p + 1, c):
                total = t.function("fma", triangle[p, q], dots[q, c], total)
            triangle[p, c] = t.binary("fmul", minus, total)
        triangle[c, c] = tau
    return triangle


def _apply(
    t: Lanes, area: str, n: Number, m: Number, k: Number, triangle: Tile, count: int, x: str, width: Number, start: Number, stop: Number,
    *, back: bool,
) -> None:  # fmt: skip
    """x -= V t V'x (back: t') in the columns start to stop of x, an area of m rows of `width`; V: the vectors k, k + 1, .. of the first."""
    top = [t.add(k, r) for r in range(count)]
    head = {(r, q): t.load(area, t.add(t.mul(top[r], n), top[q])) for r in range(count) for q in range(r)}

    def vectors(i: Number) -> list[str]:
        return [t.load(area, t.add(t.mul(i, n), q)) for q in top]

    def columns(j: Number, height: int) -> None:
        own = [t.add(j, c) for c in range(height)]
        places = [(q, c) for q in range(count) for c in range(height)]
        w: Tile = {(r, c): t.load(x, t.add(t.mul(top[r], width), own[c])) for r, c in places}
        begun = dict(w)
        for (r, q), v in head.items():
            w |= {(q, c): t.function("fma", v, begun[r, c], w[q, c]) for c in range(height)}

        def row(i: Number, *sums: str) -> list[str]:
            v, values = vectors(i), [t.load(x, t.add(t.mul(i, width), c)) for c in own]
            return [t.function("fma", v[q], values[c], sum) for (q, c), sum in zip(places, sums, strict=True)]

        below = t.add(k, count)
        w = dict(zip(places, t.loop(below, m, row, *[(t.vector, w[place]) for place in places]), strict=True))
        w = {(q, c): t.negative(_combined(t, triangle, w, q, c, count, back)) for q, c in places}
        for r, c in places:
            total = t.binary("fadd", begun[r, c], w[r, c])
            for q in range(r):
                total = t.function("fma", head[r, q], w[q, c], total)
            t.store(total, x, t.add(t.mul(top[r], width), own[c]))

        def less(i: Number) -> None:
            v = vectors(i)
            for c, column in enumerate(own):
                at = t.place(x, t.add(t.mul(i, width), column))
                total = t.load(at)
                for q in range(count):
                    total = t.function("fma", v[q], w[q, c], total)
                t.store(total, at)

        t.loop(below, m, less)

    by_rows(t, start, stop, columns)


def _combined(t: Lanes, triangle: Tile, w: Tile, q: int, c: int, count: int, back: bool) -> str:
    """Element (q, c) of t w, or t'w."""
    among = range(q + 1) if back else range(q, count)
    first, *others = [(triangle[(p, q) if back else (q, p)], w[p, c]) for p in among]
    total = t.binary("fmul", *first)
    for factor, value in others:
        total = t.function("fma", factor, value, total)
    return total


def _write_upper(t: Lanes, area: str, out: Sequence[str], rows: Number, n: Number, bad: str) -> None:
    def row(i: Number) -> None:
        own = t.place(area, t.mul(i, n))
        t.loop(0, t.least(i, n), lambda j: t.store(t.number(0.0), own, j))

    t.loop(0, rows, row)
    size = t.mul(rows, n)
    spoil(t, area, size, bad)
    t.write(area, out, size)
