"""What the modules of graphc.codegen.mathlib.tables hold, by name: F32 and F64, a table each."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
from scipy import special

from graphc.dtypes import float32, float64
from tests import piecewise_bessel, piecewise_integrals
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


def _erf() -> Spec:
    """From 1/4 on, where the relative error counts."""
    least = mp.erf(mp.mpf(1) / 4)
    return Spec("erf(x), on 0..4", mp.erf, 0, 4, 4, 4, size=lambda x: max(mp.erf(x), least), bits={float32: 25}, even=True)


def _erfc() -> Spec:
    """To the end of the subnormal results of f32, so that no quotient is needed."""
    return Spec("exp(x^2) erfc(x), on 0..15", erfcx, 0, 15, 1, 2, bits={float32: 26})


def _ndtr() -> Spec:
    return Spec("exp(x^2 / 2) ndtr(-x), on 0..15", lambda x: erfcx(x / mp.sqrt(2)) / 2, 0, 15, 1, 2, bits={float32: 26})


def _erfcx(k: int) -> Spec:
    f, name = erfcx_derivative(k), "exp(x^2) erfc(x)" + (f", its derivative {k}" if k else "")
    return Spec(f"{name}, on 0..7; x^{k + 1} times it, over 1 / x^2, beyond", f, 0, 7, 1, 2, (Extra(over_power(f, k + 1), 0, 1 / 49),))


# -- Dawson's integral and its derivatives ----------------------------------------------------------------------------------
def dawsn(x: mp.mpf) -> mp.mpf:
    return dawsn_derivative(0)(x)


def dawsn_derivative(k: int) -> Real:
    """By the recurrence f'' = -2x f' - 2f, with digits for what it cancels; by the asymptotic series where erfi is beyond all bounds."""

    def f(x: mp.mpf) -> mp.mpf:
        if abs(x) > 60:
            total, term, n = mp.mpf(0), mp.mpf(1) / 2, 0  # the n-th term of D is (2n - 1)!! / (2 (2 x^2)^n x)
            while n < 60 and abs(term) > mp.eps * abs(total):
                total += term
                term *= -mp.mpf(2 * n + 1) * (2 * n + k + 1) * (2 * n + k + 2) / ((2 * n + 1) * (2 * n + 2)) / (-2 * x * x)
                n += 1
            return (-1) ** k * mp.factorial(k) * total / x ** (k + 1)
        with mp.workdps(mp.mp.dps + 20):
            before = mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)
            last = 1 - 2 * x * before
            for n in range(1, k):
                before, last = last, -2 * x * last - 2 * n * before
            return +(last if k else before)

    return f


def _dawsn(k: int) -> Spec:
    f, odd = dawsn_derivative(k), k % 2 == 0
    near = (lambda x: f(x) / x) if odd else f
    name = "Dawson's integral" + (f", its derivative {k}" if k else "")
    parts = "over x, " if odd else ""

    def size(x: mp.mpf) -> mp.mpf:
        return max(abs(f(x)), abs(x * dawsn_derivative(k + 1)(x))) / (x if odd else 1)

    return Spec(f"{name}, {parts}on 0..15; x^{k + 1} times it, over 1 / x^2, beyond", near, 0, 15, 1, 2,
                (Extra(over_power(f, k + 1), 0, 1 / 225),), size=size)  # fmt: skip


# -- inverses of the error functions ---------------------------------------------------------------------------------------------
def erfcinv(x: mp.mpf) -> mp.mpf:
    """By Newton's method for log(erfc), from SciPy's or where x is beyond its range from a rough one."""
    if x == 1:
        return mp.mpf(0)
    if x > 1:
        return -erfcinv(2 - x)
    if x > mp.mpf("0.5"):
        return erfinv(1 - x)
    with mp.workdps(mp.mp.dps + 10):
        wanted = mp.log(x)
        y = mp.mpf(float(special.erfcinv(float(x)))) if x > mp.mpf(10) ** -300 else mp.sqrt(-wanted)
        for _ in range(60):
            value = mp.erfc(y)
            step = (mp.log(value) - wanted) * value * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
            y += step
            if abs(step) < abs(y) * mp.sqrt(mp.eps):
                break
        return +y


def erfinv(x: mp.mpf) -> mp.mpf:
    if x == 0 or abs(x) >= mp.mpf("0.6"):
        return mp.sign(x) * erfcinv(1 - abs(x)) if x else x
    y = mp.mpf(float(special.erfinv(float(x)))) if abs(x) > 1e-300 else x * mp.sqrt(mp.pi) / 2
    for _ in range(60):
        step = (mp.erf(y) - x) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
        y -= step
        if abs(step) <= abs(y) * mp.sqrt(mp.eps):
            break
    return y


def _erfinv_over_x(v: mp.mpf) -> mp.mpf:
    """erfinv(x) / x over v = sqrt(-log(1 - x^2))"""
    if v == 0:
        return mp.sqrt(mp.pi) / 2
    with mp.workdps(mp.mp.dps + 20):
        t = mp.exp(-v * v)  # (1 - x)(1 + x)
        x = mp.sqrt(-mp.expm1(-v * v))
        return +((erfcinv(t / (1 + x)) if x > 0.6 else erfinv(x)) / x)


def _divergence(d: mp.mpf) -> mp.mpf:
    """((1 + d) log(1 + d) - d) / d^2"""
    if abs(d) < mp.mpf(10) ** -8:
        return mp.mpf(1) / 2 - d / 6 + d * d / 12 - d**3 / 20 + d**4 / 30
    return ((1 + d) * mp.log1p(d) - d) / d**2


# -- the normal distribution -------------------------------------------------------------------------------------------------------
def mills(a: mp.mpf) -> mp.mpf:
    """ndtr(-a) exp(a^2 / 2)"""
    return erfcx(a / mp.sqrt(2)) / 2


def log_ndtr_derivatives(x: mp.mpf) -> tuple[mp.mpf, ...]:
    """Orders 1 to 4 by m' = -m (x + m), or for x < 0 by those of the logarithm of Mills' ratio."""
    if x > 0:
        x = min(x, mp.mpf(1000))
        m = mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) / (1 - mp.erfc(x / mp.sqrt(2)) / 2)
        second = -m * (x + m)
        third = -second * (x + m) - m * (1 + second)
        return m, second, third, -third * (x + m) - 2 * second * (1 + second) - m * third
    with mp.workdps(mp.mp.dps + 10):
        r = [erfcx_derivative(k)(-x / mp.sqrt(2)) / mp.sqrt(2) ** k for k in range(5)]
        a, b, c, d = (v / r[0] for v in r[1:])
        return +(-x - a), +(-1 + b - a * a), -(c - 3 * b * a + 2 * a**3), d - 4 * c * a - 3 * b * b + 12 * b * a * a - 6 * a**4


def _log_ndtr(k: int) -> Spec:
    def f(a: mp.mpf) -> mp.mpf:
        return log_ndtr_derivatives(-a)[k - 1]

    return Spec(f"the derivative {k} of log(ndtr(-a)) on -2..13; over its limit, over 1 / a^2, beyond", f, -2, 13, 3, 2,
                (Extra(over_power(f, (-1, 0, 3)[k - 1]), 0, 1 / 169),))  # fmt: skip


# -- the gamma function ---------------------------------------------------------------------------------------------------------------
def _gammaln_over_zeros(x: mp.mpf) -> mp.mpf:
    """log(gamma(x)) / ((x - 1)(x - 2)); at the zeros the derivative"""
    for zero, other in ((1, -1), (2, 1)):
        if abs(x - zero) < mp.mpf(10) ** -18:
            return mp.digamma(zero) / other
    return mp.loggamma(x) / ((x - 1) * (x - 2))


def _stirling(w: mp.mpf) -> mp.mpf:
    """log(gamma(x)) - (x - 1/2)(log(x) - 1) at x = 1 / w"""
    x = 1 / w
    with mp.workdps(mp.mp.dps + 12):
        return +(mp.loggamma(x) - (x - mp.mpf(1) / 2) * (mp.log(x) - 1))


def digamma_zero() -> mp.mpf:
    return mp.findroot(mp.digamma, mp.mpf("1.4616321449683623"))


def _digamma_over_zero(x: mp.mpf) -> mp.mpf:
    zero = digamma_zero()
    return mp.digamma(x) / (x - zero) if abs(x - zero) > mp.mpf(10) ** -18 else mp.psi(1, zero)


def _digamma_far(w: mp.mpf) -> mp.mpf:
    with mp.workdps(mp.mp.dps + 12):
        return +((mp.digamma(1 / w) + mp.log(w)) / w)


def _polygamma(k: int) -> Spec:
    def far(w: mp.mpf) -> mp.mpf:
        return mp.psi(k, 1 / w) / w**k

    return Spec(f"the derivative {k} of digamma on 1/2..4; x^{k} times it, over 1 / x, beyond", lambda x: mp.psi(k, x), 0.5, 4, 0, 2,
                (Extra(far, 0, 0.25),))  # fmt: skip


def _zeta_without_pole(s: mp.mpf) -> mp.mpf:
    return (s - 1) * mp.zeta(s) if s != 1 else mp.mpf(1)


TABLES: dict[str, Spec] = {
    "zeta": Spec("(s - 1) zeta(s) on -1..54", _zeta_without_pole, -1, 54, 2, 2, bits={float64: 57}),
    "erf": _erf(), "erfc": _erfc(), "ndtr": _ndtr(),
    "erfcx": _erfcx(0), "erfcx_slope": _erfcx(1), "erfcx_curve": _erfcx(2), "erfcx_third": _erfcx(3),
    "dawsn": _dawsn(0), "dawsn_slope": _dawsn(1), "dawsn_curve": _dawsn(2), "dawsn_third": _dawsn(3),
    "erfinv": Spec("erfinv(x) / x over v = sqrt(-log(1 - x^2)) on 0..30", _erfinv_over_x, 0, 30, 2, 2),
    "divergence": Spec("((1 + d) log(1 + d) - d) / d^2 on -1/2..5/2", _divergence, -0.5, 2.5, 1.5, 3),
    "mills": Spec("Mills' ratio on -1..6; a times it, over 1 / a^2, beyond", mills, -1, 6, 2, 2, (Extra(over_power(mills, 1), 0, 1 / 36),)),
    "gamma": Spec("gamma(x) on 1/2..4; log(gamma(x)) - (x - 1/2)(log(x) - 1), over 1 / x, beyond", mp.gamma, 0.5, 4, 0, 2,
                  (Extra(_stirling, 0, 0.25),)),
    "gammaln": Spec("log(gamma(x)) / ((x - 1)(x - 2)) on 1/2..4; log(gamma(x)) - (x - 1/2)(log(x) - 1), over 1 / x, beyond",
                    _gammaln_over_zeros, 0.5, 4, 0, 2, (Extra(_stirling, 0, 0.25),)),
    "digamma": Spec("digamma(x) / (x - its zero) on 1/2..4; x (digamma(x) - log(x)), over 1 / x, beyond", _digamma_over_zero, 0.5, 4, 0, 2,
                    (Extra(_digamma_far, 0, 0.25),)),
    "digamma_slope": _polygamma(1), "digamma_curve": _polygamma(2), "digamma_third": _polygamma(3),
    "log_ndtr_slope": _log_ndtr(1), "log_ndtr_curve": _log_ndtr(2), "log_ndtr_third": _log_ndtr(3),
    **piecewise_bessel.TABLES,
    **piecewise_integrals.TABLES,
}  # fmt: skip
