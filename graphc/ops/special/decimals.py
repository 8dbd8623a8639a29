"""Constants and sums in decimals, of which the references of special functions are made."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

DIGITS = 40  # of a sum, beyond those that cancel
PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651328230664709384"
)
GAMMA = Decimal(
    "0.57721566490153286060651209008240243104215933593992359880576723488486772677766467093694706329174674951463144724980708248096050"
)


def terms(first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """first (1 + ratio(1) (1 + ratio(2) (..))), until terms are small and get smaller."""
    total, term, k = Decimal(0), first, 0
    while term:
        total += term
        k += 1
        factor = ratio(k)
        term *= factor
        if abs(factor) < Decimal("0.5") and abs(term) < abs(total) * Decimal(10) ** -(DIGITS + 60):
            break
    return total


def precisely(f: Callable[[Decimal], Decimal]) -> Callable[[float], float]:
    """f in decimals with the digits that series of terms up to e**60 need; nan of nan."""

    def at(x: float) -> float:
        if x != x:
            return x
        with localcontext() as context:
            context.prec, context.Emin, context.Emax = DIGITS + 100, -(10**9), 10**9
            return float(f(Decimal(x)))

    return at
