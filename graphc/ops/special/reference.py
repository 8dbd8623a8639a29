"""What the special functions mean, in Python's doubles, a number at a time: slow, and by other methods than native code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

ROOT_PI = math.sqrt(math.pi)


def each(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of numbers on every element of arrays, computed in double; an overflow is an infinity as the function says."""

    def of_arrays(*arrays: np.ndarray) -> Any:
        first = arrays[0]
        found = [function(*row) for row in zip(*[a.ravel().tolist() for a in arrays])]
        return np.array(found, np.float64).astype(first.dtype).reshape(first.shape)

    return of_arrays


def exp_of_square(x: float) -> float:
    """e**x**2, the square without its rounding error."""
    if abs(x) > 27:
        return math.inf
    high = float(np.float32(x))
    return math.exp(high * high) * math.exp((x - high) * (x + high))


def erfcx_derivative(k: int) -> Callable[[float], float]:
    """The k-th derivative of e**x**2 erfc(x), (-2)**k k! e_k(x).

    For x > 1/2 the ratios r_n = e_n / e_(n-1), e_(-1) = 2 / sqrt(pi), by their continued fraction r_n = 1 / (2x + 2 (n + 1) r_(n+1)),
    elsewhere by the recurrence of the derivatives.
    """

    def at(x: float) -> float:
        if x != x:
            return x
        if x <= 0.5:
            before, last = exp_of_square(x) * math.erfc(x), 0.0
            last = 2 * x * before - 2 / ROOT_PI
            for n in range(1, k):
                before, last = last, 2 * n * before + 2 * x * last
            return last if k else before
        ratio, total = 0.0, (-2.0) ** k * math.factorial(k) * 2 / ROOT_PI
        for n in range(20 + int(200 / (x * x)), -1, -1):
            ratio = 1 / (2 * x + 2 * (n + 1) * ratio)
            if n <= k:
                total *= ratio
        return total

    return at
