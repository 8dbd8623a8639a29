"""A series cut to a polynomial that is as good as the numbers of a dtype near the point of expansion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

import numpy as np

from graphc.ir import Node
from graphc.ops.arithmetic import square
from graphc.passes.rules.forms import filled
from graphc.passes.rules.power_series import Laurent
from graphc.records import dataclass

CAPS = (0.5, 0.5, 1.0, 1.0, 2.0)  # of the radius, by how many leading terms cancel
LONGEST = (16, 20, 30, 36, 36)  # polynomials
DEEPEST_CANCELLATION = len(CAPS) - 1
EVEN = Decimal("1e-25")  # beside its neighbour: the coefficient of an odd power in an even function


@dataclass(frozen=True)
class NearPolynomial:
    """sum(terms[k] * u**(step k)), for |u| < radius."""

    radius: float
    step: int
    terms: list[float]

    @staticmethod
    def of(series: Laurent, depth: int, reach: float, dtype: np.dtype) -> NearPolynomial | None:
        """As wide as its length and the numbers of the dtype allow; derivatives of two orders keep their digits too."""
        most = max(abs(t) for t in series.terms[:4])
        shares = [t / most for t in series.terms]
        step = 2 if all(abs(s) <= abs(shares[k]) * EVEN for k, s in enumerate(shares[1:]) if k % 2 == 0) else 1
        eps, radius = Decimal(float(np.finfo(dtype).eps)) / 16, min(CAPS[depth], reach)
        while radius > 1 / 64:
            terms = _shortened(shares, Decimal(radius), eps)
            if terms is not None and len(terms[::step]) <= LONGEST[depth]:
                return NearPolynomial(radius, step, [float(t * most) for t in terms[::step]])
            radius = math.floor(radius * 0.875 * 64) / 64
        return None

    def value(self, u: Node) -> Node:
        """By Horner's scheme."""
        at = square(u) if self.step == 2 else u
        made = filled(self.terms[-1], u)
        for c in reversed(self.terms[:-1]):
            made = made * at + c
        return made


def _shortened(terms: Sequence[Decimal], radius: Decimal, eps: Decimal) -> list[Decimal] | None:
    """A shorter polynomial for |u| < radius, by Chebyshev polynomials taken off its end; None where the series does not suffice."""
    scaled = [t * radius**k for k, t in enumerate(terms)]
    length = next((n for n in range(len(scaled), 0, -1) if abs(scaled[n - 1]) * n * n > eps), 1)
    if length > len(scaled) - 4 or sum(abs(t) for t in scaled) > 8:
        return None
    scaled = scaled[:length]
    while len(scaled) > 2:
        n = len(scaled) - 1
        last = scaled[n] / 2 ** (n - 1)
        if abs(last) * n**3 > eps:
            break
        for k, c in _chebyshev(n):
            scaled[k] -= last * c
        scaled.pop()
    return [t / radius**k for k, t in enumerate(scaled)]


@lru_cache(maxsize=128)
def _chebyshev(n: int) -> tuple[tuple[int, int], ...]:
    """(k, coefficient of u**k) of T_n(u), n > 0."""
    made = [(n - 2 * j, (-1) ** j * n * math.factorial(n - j - 1) * 2 ** (n - 2 * j) // (2 * math.factorial(j) * math.factorial(n - 2 * j)))
            for j in range(n // 2 + 1)]  # fmt: skip
    return tuple(made)
