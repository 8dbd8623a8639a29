"""What the modules of graphc.codegen.mathlib.tables hold, by name: F32 and F64, a table each."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from tests import piecewise_bessel
from tests.fit_piecewise import Extra, Spec

Real = Callable[[mp.mpf], mp.mpf]


# -- exp(x^2) erfc(x) and its derivatives ---------------------------------------------------------------------------------
def erfcx(x: mp.mpf) -> mp.mpf:
    """By its definition, or beyond all that overflows by the confluent function that it is."""
    if x < -100:
        return mp.inf
    return mp.exp(x * x) * mp.erfc(x) if x < 40 else mp.hyperu(mp.mpf(1) / 2, mp.mpf(1) / 2, x * x) / mp.sqrt(mp.pi)


def erfcx_derivative(k: int) -> Real:
    """The k-th derivative, (-2)**k k! times the scaled k-fold integral of erfc, which is a confluent function too."""

    def f(x: mp.mpf) -> mp.mpf:
        if k == 0 or x < -100:
            return erfcx(x) * (-1 if k % 2 and x < -100 else 1)
        if x > 3:
            scale = (-1) ** k * mp.factorial(k) / mp.sqrt(mp.pi)
            return scale * mp.hyperu(mp.mpf(k + 1) / 2, mp.mpf(1) / 2, x * x)
        before, last = erfcx(x), 2 * x * erfcx(x) - 2 / mp.sqrt(mp.pi)
        for n in range(1, k):
            before, last = last, 2 * n * before + 2 * x * last
        return last

    return f


def over_power(f: Real, power: int) -> Real:
    """x**power f(x) over z = 1 / x**2."""
    return lambda z: f(1 / mp.sqrt(z)) / mp.sqrt(z) ** power


def _erfcx(k: int) -> Spec:
    f, name = erfcx_derivative(k), "exp(x^2) erfc(x)" + (f", its derivative {k}" if k else "")
    return Spec(f"{name}, on 0..7; x^{k + 1} times it, over 1 / x^2, beyond", f, 0, 7, 1, 2, (Extra(over_power(f, k + 1), 0, 1 / 49),))


TABLES: dict[str, Spec] = {
    "erfcx": _erfcx(0), "erfcx_slope": _erfcx(1), "erfcx_curve": _erfcx(2), "erfcx_third": _erfcx(3),
    **piecewise_bessel.TABLES,
}  # fmt: skip
