"""Cholesky, LU with row exchanges, and triangular systems, one example in each lane: see `graphc.codegen.strategy.lanes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.codegen.strategy.lanes import Lanes, Number
from graphc.dtypes import int64

Arrays = Sequence[str]
TOGETHER = 4  # rows of an update: the row that is taken from them is loaded once for all


def cholesky(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str, reads: str) -> None:
    """u'u = a, tile by tile of the upper triangle of the area, where each element is met once; l = u' is stored opposite, beside it."""
    (n,), size = sizes, t.mul(sizes[0], sizes[0])
    a, out = [t.examples(array, first, last, size) for array in arrays[:2]]
    t.read(a, size, area)

    def rows(count: int) -> Callable[[Number, str], list[str]]:
        def several(i: Number, good: str) -> list[str]:
            """Rows i to i + count: their triangle at the diagonal, then what lies to the right of it."""
            own = [t.add(i, r) for r in range(count)]
            pairs = [(r, c) for r in range(count) for c in range(r, count)]
            u = _less_products(t, area, n, reads, own, own, pairs)
            inverses: list[str] = []
            for r in range(count):
                _eliminate(t, u, u, r, range(r, count))
                root = t.function("sqrt", u[r, r])
                fine = t.both(t.compare("ogt", u[r, r], t.number(0.0)), t.compare("olt", u[r, r], t.number(float("inf"))))
                good = t.both(good, fine)
                inverses.append(t.binary("fdiv", t.number(1.0), root))
                u |= {(r, c): root if c == r else t.binary("fmul", u[r, c], inverses[r]) for c in range(r, count)}
            _keep(t, area, n, own, own, u)

            def right(j: Number, width: int) -> None:
                columns = [t.add(j, c) for c in range(width)]
                x = _less_products(t, area, n, reads, own, columns, [(r, c) for r in range(count) for c in range(width)])
                for r in range(count):
                    _eliminate(t, x, u, r, range(width))
                    x |= {(r, c): t.binary("fmul", x[r, c], inverses[r]) for c in range(width)}
                _keep(t, area, n, own, columns, x)

            by_rows(t, t.add(i, count), n, right)
            return [good]

        return several

    whole = t.sub(n, t.rest(n, TOGETHER))
    (good,) = t.loop(0, whole, rows(TOGETHER), (t.mask, "splat (i1 true)"), step=TOGETHER)
    (good,) = t.loop(whole, n, rows(1), (t.mask, good))
    t.loop(0, n, lambda i: t.loop(t.add(i, 1), n, lambda j: t.store(t.number(0.0), t.place(area, t.mul(i, n)), j)))
    bad = t.emit(f"xor {t.mask} {good}, splat (i1 true)")
    spoil(t, area, size, bad)
    t.write(area, out, size)
    t.flags(bad, t.examples(arrays[2], first, last, 1, int64))


Tile = dict[tuple[int, int], str]


def _less_products(
    t: Lanes, area: str, n: Number, reads: str, rows: Sequence[Number], columns: Sequence[Number], pairs: Sequence[tuple[int, int]]
) -> Tile:
    """a[i, j] - sum of u[k, i] u[k, j] over the rows k above the first one, in registers."""

    def element(i: Number, j: Number) -> str:
        """Of the symmetric matrix that `a` stands for: its lower triangle ("L"), or the mean of both."""
        below = t.load(area, t.add(t.mul(j, n), i))
        if reads != "both" or i is j:
            return below
        return t.binary("fmul", t.binary("fadd", below, t.load(area, t.add(t.mul(i, n), j))), t.number(0.5))

    def row(k: Number, *totals: str) -> list[str]:
        source = t.place(area, t.mul(k, n))
        left = [t.negative(t.load(source, i)) for i in rows]
        right = [t.load(source, j) for j in columns]
        return [t.function("fma", left[r], right[c], total) for (r, c), total in zip(pairs, totals, strict=True)]

    start = [(t.vector, element(rows[r], columns[c])) for r, c in pairs]
    return dict(zip(pairs, t.loop(0, rows[0], row, *start), strict=True))


def _eliminate(t: Lanes, x: Tile, u: Tile, r: int, columns: Sequence[int]) -> None:
    """Row r of a tile less the rows of the tile above it."""
    for q in range(r):
        factor = t.negative(u[q, r])
        x |= {(r, c): t.function("fma", factor, x[q, c], x[r, c]) for c in columns}


def _keep(t: Lanes, area: str, n: Number, rows: Sequence[Number], columns: Sequence[Number], tile: Tile) -> None:
    """The elements of u, and those of l opposite."""
    for (r, c), value in tile.items():
        t.store(value, area, t.add(t.mul(rows[r], n), columns[c]))
        if rows[r] is not columns[c]:
            t.store(value, area, t.add(t.mul(columns[c], n), rows[r]))


def by_rows(t: Lanes, start: Number, stop: Number, body: Callable[[Number, int], None]) -> None:
    """body(i, count) for all rows: `TOGETHER` at a time, then one."""
    whole = t.sub(stop, t.rest(t.sub(stop, start), TOGETHER))
    t.loop(start, whole, lambda i: body(i, TOGETHER), step=TOGETHER)
    t.loop(whole, stop, lambda i: body(i, 1))


def update(t: Lanes, rows: Sequence[str], factors: Sequence[Sequence[str]], sources: Sequence[str], start: Number, stop: Number) -> None:
    """row[j] += sum of factor * source[j] for several rows and sources."""

    def element(j: Number) -> None:
        values = [t.load(source, j) for source in sources]
        for row, own in zip(rows, factors, strict=True):
            total = t.load(row, j)
            for factor, value in zip(own, values, strict=True):
                total = t.function("fma", factor, value, total)
            t.store(total, row, j)

    t.loop(start, stop, element)


def mirror(t: Lanes, area: str, n: Number, reads: str) -> None:
    """The symmetric matrix that `a` stands for: its lower triangle is also the upper one ("L"), or both are their mean."""

    def row(i: str) -> None:
        own = t.place(area, t.mul(i, n))

        def element(j: str) -> None:
            other = t.place(area, t.mul(j, n))
            value = t.load(own, j)
            if reads == "both":
                value = t.binary("fmul", t.binary("fadd", value, t.load(other, i)), t.number(0.5))
                t.store(value, own, j)
            t.store(value, other, i)

        t.loop(0, i, element)

    t.loop(0, n, row)


# -- LU -----------------------------------------------------------------------------------------------------------------------
def lu(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str) -> None:
    """Elimination with the largest pivot of each column; arrays: a, packed, the permutation, its sign."""
    m, n = sizes
    size = t.mul(m, n)
    a, out = [t.examples(array, first, last, size) for array in arrays[:2]]
    perm, sign = t.examples(arrays[2], first, last, m, int64), t.examples(arrays[3], first, last, 1)
    t.read(a, size, area)
    chosen = t.place(area, size)  # the pivot's row for each lane, and behind it which row of `a` each row is
    rows = t.emit(f"getelementptr {t.whole}, ptr {chosen}, i64 1")
    t.loop(0, m, lambda i: t.block.line(f"store {t.whole} {t.every(i)}, ptr {t.whole_at(rows, i)}, align 8"))

    def columns(count: int) -> Callable[[Number, str], list[str]]:
        def several(k: Number, parity: str) -> list[str]:
            """Columns k to k + count with exchanges of whole rows, the rows right of them, then all that is left by them at once."""
            own, after = [t.add(k, r) for r in range(count)], t.add(k, count)
            for r in range(count):
                moved = _pivot(t, area, chosen, rows, own[r], m, n)
                parity = t.choose(moved, t.negative(parity), parity)
                _column(t, area, own[r], after, m, n)
            sources = [t.place(area, t.mul(r, n)) for r in own]
            factors = [[t.negative(t.load(sources[r], own[q])) for q in range(r)] for r in range(count)]

            def right(j: Number) -> None:
                values = [t.load(source, j) for source in sources]
                for r in range(1, count):
                    for q in range(r):
                        values[r] = t.function("fma", factors[r][q], values[q], values[r])
                    t.store(values[r], sources[r], j)

            t.loop(after, n, right)

            def below(i: Number, height: int) -> None:
                targets = [t.place(area, t.mul(t.add(i, r), n)) for r in range(height)]
                update(t, targets, [[t.negative(t.load(target, r)) for r in own] for target in targets], sources, after, n)

            by_rows(t, after, m, below)
            return [parity]

        return several

    steps = t.least(m, n)
    whole = t.sub(steps, t.rest(steps, TOGETHER))
    (parity,) = t.loop(0, whole, columns(TOGETHER), (t.vector, t.number(1.0)), step=TOGETHER)
    (parity,) = t.loop(whole, steps, columns(1), (t.vector, parity))
    t.write(area, out, size)
    t.scattered(parity, sign, 0)

    def tell(i: str) -> None:
        found = t.emit(f"load {t.whole}, ptr {t.whole_at(rows, i)}, align 8")
        for lane, pointer in enumerate(perm):
            one = t.emit(f"extractelement {t.whole} {found}, i64 {lane}")
            t.block.line(f"store i64 {one}, ptr {t.emit(f'getelementptr i64, ptr {pointer}, i64 {i}')}, align 8")

    t.loop(0, m, tell)


def _column(t: Lanes, area: str, k: Number, after: Number, m: Number, n: Number) -> None:
    """Factors of the rows below the pivot k, and those rows less their multiples of its row up to column `after`."""
    row = t.place(area, t.mul(k, n))
    pivot = t.load(row, k)
    zero = t.compare("oeq", pivot, t.number(0.0))

    def below(i: Number, count: int) -> None:
        rows, factors = [t.place(area, t.mul(t.add(i, r), n)) for r in range(count)], []
        for own in rows:
            value = t.load(own, k)
            factor = t.choose(zero, value, t.binary("fdiv", value, pivot))
            t.store(factor, own, k)
            factors.append([t.negative(factor)])
        update(t, rows, factors, [row], t.add(k, 1), after)

    by_rows(t, t.add(k, 1), m, below)


def _pivot(t: Lanes, area: str, chosen: str, rows: str, k: Number, m: Number, n: Number) -> str:
    """Exchange row k of each lane with the first one that is largest in column k; where that is another one."""
    at = t.add(t.mul(k, n), k)
    here = t.function("fabs", t.load(area, at))
    here = t.choose(t.compare("uno", here, here), t.number(-1.0), here)

    def look(i: str, best: str, where: str) -> list[str]:
        value = t.function("fabs", t.load(area, t.add(t.mul(i, n), k)))
        more = t.compare("ogt", value, best)
        return [t.choose(more, value, best), t.choose(more, t.every(i), where, t.whole)]

    own = t.every(k)
    _, where = t.loop(t.add(k, 1), m, look, (t.vector, here), (t.whole, own))
    t.block.line(f"store {t.whole} {where}, ptr {chosen}, align 8")
    for lane in range(t.count):
        other = t.emit(f"load i64, ptr {t.emit(f'getelementptr i64, ptr {chosen}, i64 {lane}')}, align 8")

        def exchange(lane: int = lane, other: str = other) -> None:
            both = [t.emit(f"getelementptr {t.scalar}, ptr {t.place(area, t.mul(r, n))}, i64 {lane}") for r in (k, other)]

            def element(j: str) -> None:
                _exchange(t, [t.emit(f"getelementptr {t.vector}, ptr {row}, i64 {j}") for row in both], t.scalar)

            t.loop(0, n, element)
            _exchange(t, [t.emit(f"getelementptr i64, ptr {t.whole_at(rows, r)}, i64 {lane}") for r in (k, other)], "i64")

        t.when(t.emit(f"icmp ne i64 {other}, {k}"), exchange)
    return t.emit(f"icmp ne {t.whole} {where}, {own}")


def _exchange(t: Lanes, places: Sequence[str], kind: str) -> None:
    first, second = [t.emit(f"load {kind}, ptr {p}, align 4") for p in places]
    t.block.line(f"store {kind} {first}, ptr {places[1]}, align 4")
    t.block.line(f"store {kind} {second}, ptr {places[0]}, align 4")


# -- triangular systems -----------------------------------------------------------------------------------------------------------
def substitute(t: Lanes, a: str, x: str, n: Number, k: Number, *, lower: bool, trans: bool, unit: bool) -> None:
    """x = a^-1 x, or a'^-1 x, in the area x of n rows of k, from one triangle of the area a."""

    forward = lower != trans

    def factor(j: Number, i: Number) -> str:
        return t.negative(t.load(a, t.add(t.mul(i, n), j) if trans else t.add(t.mul(j, n), i)))

    def rows(count: int) -> Callable[[Number], None]:
        def several(i: Number) -> None:
            """`count` rows of x from i on, in the direction of the elimination, then those behind by all of them at once."""
            own = [t.add(i, r if forward else -r) for r in range(count)]
            places = [t.place(x, t.mul(r, k)) for r in own]
            for r in range(count):
                if not unit:
                    divided(places[r], t.load(a, t.add(t.mul(own[r], n), own[r])))
                for later in range(r + 1, count):
                    update(t, [places[later]], [[factor(own[later], own[r])]], [places[r]], 0, k)

            def others(j: Number, height: int) -> None:
                behind = [t.add(j, r) for r in range(height)]
                update(t, [t.place(x, t.mul(r, k)) for r in behind], [[factor(r, q) for q in own] for r in behind], places, 0, k)

            by_rows(t, *((t.add(i, count), n) if forward else (0, t.add(i, 1 - count))), others)

        return several

    def divided(row: str, pivot: str) -> None:
        t.loop(0, k, lambda c: t.store(t.binary("fdiv", t.load(row, c), pivot), row, c))

    rest = t.rest(n, TOGETHER)
    whole = t.sub(n, rest)
    if forward:
        t.loop(0, whole, rows(TOGETHER), step=TOGETHER)
        t.loop(whole, n, rows(1))
    else:
        t.loop(t.sub(n, 1), t.sub(rest, 1), rows(TOGETHER), step=-TOGETHER)
        t.loop(t.sub(rest, 1), -1, rows(1), step=-1)


def zero_pivots(t: Lanes, area: str, n: Number) -> str:
    """Where the diagonal has a zero."""

    def element(i: str, found: str) -> list[str]:
        zero = t.compare("oeq", t.load(area, t.add(t.mul(i, n), i)), t.number(0.0))
        return [t.emit(f"or {t.mask} {found}, {zero}")]

    return t.loop(0, n, element, (t.mask, "zeroinitializer"))[0]


def spoil(t: Lanes, area: str, count: Number, bad: str) -> None:
    """nan in the lanes that have no answer."""

    def all_of_it() -> None:
        t.loop(0, count, lambda e: t.store(t.choose(bad, t.number(float("nan")), t.load(area, e)), area, e))

    t.when(t.some(bad), all_of_it)


def triangular(
    t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str, lower: bool, trans: bool, unit: bool
) -> None:
    """arrays: a, b, x, whether there is none."""
    n, k = sizes
    square, size = t.mul(n, n), t.mul(n, k)
    x = t.place(area, square)
    t.read(t.examples(arrays[0], first, last, square), square, area)
    t.read(t.examples(arrays[1], first, last, size), size, x)
    substitute(t, area, x, n, k, lower=lower, trans=trans, unit=unit)
    bad = "zeroinitializer" if unit else zero_pivots(t, area, n)
    if not unit:
        spoil(t, x, size, bad)
    t.write(x, t.examples(arrays[2], first, last, size), size)
    t.flags(bad, t.examples(arrays[3], first, last, 1, int64))


def lu_solve(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str, trans: bool) -> None:
    """arrays: packed, the permutation, b, x, whether there is none."""
    n, k = sizes
    square, size = t.mul(n, n), t.mul(n, k)
    x = t.place(area, square)
    t.read(t.examples(arrays[0], first, last, square), square, area)
    perm = t.examples(arrays[1], first, last, n, int64)
    b, out = [t.examples(array, first, last, size) for array in arrays[2:4]]

    def rows_of(matrices: Sequence[str], i: str) -> list[str]:
        found = []
        for pointer, matrix in zip(perm, matrices):
            row = t.emit(f"load i64, ptr {t.emit(f'getelementptr i64, ptr {pointer}, i64 {i}')}, align 8")
            found.append(t.emit(f"getelementptr {t.scalar}, ptr {matrix}, i64 {t.mul(row, k)}"))
        return found

    bad = zero_pivots(t, area, n)
    if trans:
        t.read(b, size, x)
        substitute(t, area, x, n, k, lower=False, trans=True, unit=False)
        substitute(t, area, x, n, k, lower=True, trans=True, unit=True)
        spoil(t, x, size, bad)

        def put(i: str) -> None:
            t.write(t.place(x, t.mul(i, k)), rows_of(out, i), k)

        t.loop(0, n, put)
    else:

        def take(i: str) -> None:
            t.read(rows_of(b, i), k, t.place(x, t.mul(i, k)))

        t.loop(0, n, take)
        substitute(t, area, x, n, k, lower=True, trans=False, unit=True)
        substitute(t, area, x, n, k, lower=False, trans=False, unit=False)
        spoil(t, x, size, bad)
        t.write(x, out, size)
    t.flags(bad, t.examples(arrays[4], first, last, 1, int64))


def inverse(t: Lanes, arrays: Arrays, first: Number, last: Number, sizes: Sequence[Number], area: str, trans: bool) -> None:
    """arrays: packed, the permutation, x, whether there is none. Row i of the exchanged identity has its 1 in column perm[i]."""
    (n,), size = sizes, t.mul(sizes[0], sizes[0])
    x = t.place(area, size)
    t.read(t.examples(arrays[0], first, last, size), size, area)
    perm, out = t.examples(arrays[1], first, last, n, int64), t.examples(arrays[2], first, last, size)
    bad = zero_pivots(t, area, n)
    t.loop(0, size, lambda e: t.store(t.number(0.0), x, e))

    def one(i: Number) -> None:
        own = t.place(x, t.mul(i, n))
        for lane, pointer in enumerate(perm):
            column = t.emit(f"load i64, ptr {t.emit(f'getelementptr i64, ptr {pointer}, i64 {i}')}, align 8")
            at = t.emit(f"getelementptr {t.scalar}, ptr {t.place(own, i if trans else column)}, i64 {lane}")
            t.block.line(f"store {t.scalar} 1.0, ptr {at}, align {t.dtype.itemsize}")

    t.loop(0, n, one)
    if trans:
        substitute(t, area, x, n, n, lower=False, trans=True, unit=False)
        substitute(t, area, x, n, n, lower=True, trans=True, unit=True)
        spoil(t, x, size, bad)

        def put(i: Number) -> None:
            rows = []
            for pointer, matrix in zip(perm, out):
                row = t.emit(f"load i64, ptr {t.emit(f'getelementptr i64, ptr {pointer}, i64 {i}')}, align 8")
                rows.append(t.emit(f"getelementptr {t.scalar}, ptr {matrix}, i64 {t.mul(row, n)}"))
            t.write(t.place(x, t.mul(i, n)), rows, n)

        t.loop(0, n, put)
    else:
        substitute(t, area, x, n, n, lower=True, trans=False, unit=True)
        substitute(t, area, x, n, n, lower=False, trans=False, unit=False)
        spoil(t, x, size, bad)
        t.write(x, out, size)
    t.flags(bad, t.examples(arrays[3], first, last, 1, int64))
