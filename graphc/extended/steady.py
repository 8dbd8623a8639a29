"""What the special functions in decimals are made of: precision until digits stand still, sums of series, constants.

`steady` is the strategy of Ziv: a formula that cancels is evaluated with more and more digits until two evaluations agree, so that no
formula here needs an analysis of what it loses. What it must know is which of its series converges to the precision of the context.
"""

from __future__ import annotations

import decimal
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from graphc.extended.functions import GUARD, NAN, ONE, ZERO, more, pi, size

MORE = (GUARD, 40, 120, 400, 1400, 5000)  # digits beyond those wanted, one after the other


def digits() -> int:
    """The precision of the context."""
    return decimal.getcontext().prec


def steady(f: Callable[..., Decimal]) -> Callable[..., Decimal]:
    """f as exactly as the context has it; nan of nan."""

    def found(*args: Any) -> Decimal:
        if any(isinstance(a, Decimal) and a.is_nan() for a in args):
            return NAN
        wanted, before = digits(), NAN
        for extra in MORE:
            with decimal.localcontext() as context:
                context.prec = wanted + extra
                value = f(*args)
                if not value.is_finite():
                    break
                near = value == before if not value else abs(value - before) <= abs(value).scaleb(-wanted - 2)
            if near and value:  # 0 is all that cancels where digits are too few
                break
            before = value
        return +value

    return found


def summed(first: Decimal, ratio: Callable[[int], Decimal], share: Callable[[int], Decimal] | None = None) -> Decimal:
    """The sum of share(k) t_k over k >= 0, t_0 = first, t_k = t_(k-1) ratio(k), until terms that shrink are nothing beside it."""
    total, term, k, end = ZERO, first, 0, digits() + 3
    while term:
        part = term if share is None else term * share(k)
        total += part
        k += 1
        factor = ratio(k)
        if part and size(part) < size(total) - end and abs(factor) < 1:
            break
        term *= factor
    return total


def sine_and_cosine_of_pi(x: Decimal) -> tuple[Decimal, Decimal]:
    """sin(pi x) and cos(pi x): the distance from a whole number is exact, and so are their zeros."""
    with more(size(x)):
        doubled = (2 * x).to_integral_value(decimal.ROUND_HALF_EVEN)
        rest, quarter = x - doubled / 2, int(doubled % 4)
    u = pi(digits()) * rest
    sine = summed(u, lambda k: -u * u / (2 * k * (2 * k + 1)))
    cosine = summed(ONE, lambda k: -u * u / ((2 * k - 1) * 2 * k))
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[quarter]


@lru_cache(maxsize=64)
def euler(precision: int) -> Decimal:
    """Euler's constant by Brent and McMillan: sums of (n**k / k!)**2 (H_k - log n) and (n**k / k!)**2, apart by exp(-4n)."""
    with decimal.localcontext() as context:
        context.prec = 2 * precision + 2 * GUARD
        n = int(precision * 0.6) + 4
        term, harmonic, above, below = ONE, ZERO, ZERO, ZERO
        for k in range(1, 5 * n):
            above, below = above + term * harmonic, below + term
            term *= Decimal(n * n) / (k * k)
            harmonic += ONE / k
        return above / below - Decimal(n).ln()


@cache
def _tangents(count: int) -> list[int]:
    """The tangent numbers T_1 to T_count, by Brent and Harvey."""
    t = [0, 1]
    for k in range(2, count + 1):
        t.append((k - 1) * t[k - 1])
    for k in range(2, count + 1):
        for j in range(k, count + 1):
            t[j] = (j - k) * t[j - 1] + (j - k + 2) * t[j]
    return t


def bernoulli() -> Iterator[Decimal]:
    """B_2, B_4, .."""
    count = 32
    for k in itertools.count(1):
        count = count if k <= count else 2 * count
        yield Decimal((-1) ** (k - 1) * 2 * k * _tangents(count)[k]) / (4**k * (4**k - 1))
