"""What the tables of the Bessel functions hold, for `tests.fit_piecewise`.

Beyond the last x of a table its pieces are functions of 1/x, which end at 0.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

from tests.fit_piecewise import Extra, Real, Spec

SMALL = mp.mpf(10) ** -30  # where a function of 1/x has its limit, nearly


def inverse(f: Real) -> Real:
    """w -> f(1/w)"""
    return lambda w: f(1 / max(w, SMALL))


def i0e(n: int) -> Real:
    """(-d/dx)**n of exp(-x) I0(x): 1/pi times the integral of exp(-x s) s**n, s = 1 - cos t, t from 0 to pi."""
    return lambda x: mp.fac2(2 * n - 1) / mp.factorial(n) * mp.hyp1f1(n + mp.mpf(0.5), n + 1, -2 * x)


def k_series(x: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """K0 and K1 for x < 80 by the series around 0, which mpmath takes hundreds of times as long for"""
    with mp.workprec(mp.mp.prec + 40 + int(3 * x)):
        z, t0, h = x * x / 4, mp.mpf(1), mp.mpf(0)
        i0 = i1 = s0 = s1 = mp.mpf(0)
        for k in range(20 + int(2.2 * x) + mp.mp.prec // 8):
            t1 = t0 / (k + 1)
            i0, i1, s0, s1 = i0 + t0, i1 + t1, s0 + t0 * h, s1 + t1 * (2 * h + mp.mpf(1) / (k + 1))
            t0, h = t1 * z / (k + 1), h + mp.mpf(1) / (k + 1)
        logarithm = mp.log(x / 2) + mp.euler
        return s0 - logarithm * i0, 1 / x + x / 2 * (logarithm * i1 - s1 / 2)


def k0e(n: int) -> Real:
    """(-d/dx)**n of exp(x) K0(x): the integral of exp(-x s) s**n, s = cosh t - 1, t from 0 on.

    By x f_(n+2) = (n + 1 - 2x) f_(n+1) + (2n + 1) f_n or the asymptotic series.
    """

    def f(x: mp.mpf) -> mp.mpf:
        if x < 80:
            with mp.workprec(mp.mp.prec + 60):
                k0, k1 = k_series(x)
                values = [mp.exp(x) * k0, mp.exp(x) * (k1 - k0)]
                for m in range(n):
                    values.append(((m + 1 - 2 * x) * values[-1] + (2 * m + 1) * values[-2]) / x)
                return values[n]
        term, total = mp.gamma(n + mp.mpf(0.5)) / mp.sqrt(2), mp.mpf(0)
        for k in range(100):
            total += term
            term *= -(k + mp.mpf(0.5)) * (n + k + mp.mpf(0.5)) / (2 * (k + 1) * x)
        return total / x ** (n + mp.mpf(0.5))

    return f


def powered(f: Real, power: float) -> Real:
    return lambda x: f(x) * x ** mp.mpf(power)


def _i1e_over(x: mp.mpf) -> mp.mpf:
    return mp.exp(-x) * mp.hyp0f1(2, x * x / 4) / 2


def _i1e(x: mp.mpf) -> mp.mpf:
    return _i1e_over(x) * x if x < 1000 else i0e(0)(x) - i0e(1)(x)


def _extras(f: Real, last: int) -> tuple[Extra, ...]:
    """two pieces over 1/x up to 1 / last, of equal length"""
    return Extra(inverse(f), 0, 0.5 / last), Extra(inverse(f), 0.5 / last, 1 / last)


def _scaled_i(what: str, f: Real, g: Real) -> Spec:
    return Spec(f"{what}; beyond 7 times a power of x, of 1/x", f, 0, 7, 1, 1, _extras(g, 7))


def _scaled_k(n: int) -> Spec:
    far, low = powered(k0e(n), n + 0.5), 1 if n == 0 else 0.5
    return Spec(f"the derivative {n} of exp(x) K0(x); beyond 8 times x**{n + 0.5}, of 1/x", k0e(n), low, 8, 0, 1, _extras(far, 8))


def _k1e(x: mp.mpf) -> mp.mpf:
    return k0e(0)(x) + k0e(1)(x)


def amplitude(order: int, part: int) -> Real:
    """P or Q with J + iY = sqrt(2 / (pi x)) (P + iQ) exp(i (x - order pi/2 - pi/4))"""

    def f(x: mp.mpf) -> mp.mpf:
        if x > 200:
            total, a = mp.mpf(0), mp.mpf(1)
            for k in range(24):
                total += a * ((-1) ** (k // 2) if k % 2 == part else 0)
                a *= (4 * order * order - (2 * k + 1) ** 2) / (8 * (k + 1) * x)
            return total
        phase = x - order * mp.pi / 2 - mp.pi / 4
        h = mp.mpc(mp.besselj(order, x), mp.bessely(order, x)) * mp.expj(-phase) * mp.sqrt(mp.pi * x / 2)
        return h.imag if part else h.real

    return f


def _near_y0(x: mp.mpf) -> mp.mpf:
    return mp.bessely(0, x) - 2 / mp.pi * (mp.log(x / 2) + mp.euler) * mp.besselj(0, x)


def _near_y1(x: mp.mpf) -> mp.mpf:
    """over x"""
    return (mp.bessely(1, x) - 2 / mp.pi * ((mp.log(x / 2) + mp.euler) * mp.besselj(1, x) - 1 / x)) / x


def _one(x: mp.mpf) -> mp.mpf:
    return mp.mpf(1)


def _oscillating(what: str, near: Real, order: int, part: int, size: Callable[[mp.mpf], mp.mpf] | None) -> Spec:
    name = "PQ"[part]
    far = amplitude(order, part)
    if part:
        far = powered(far, 1.0)
    return Spec(f"{what}; beyond 7 {name}{order} of 1/x", near, 0, 7, 1, 1, _extras(far, 7), size)


TABLES: dict[str, Spec] = {
    "i1e": _scaled_i("exp(-x) I1(x) / x", _i1e_over, powered(_i1e, 0.5)),
    **{f"i0e_{n}": _scaled_i(f"the derivative {n} of exp(-x) I0(x)", i0e(n), powered(i0e(n), n + 0.5)) for n in range(5)},
    "k1e": Spec("exp(x) K1(x); beyond 8 times sqrt(x), of 1/x", _k1e, 1, 8, 0, 1, _extras(powered(_k1e, 0.5), 8)),
    **{f"k0e_{n}": _scaled_k(n) for n in range(5)},
    "j0": _oscillating("J0(x)", lambda x: mp.besselj(0, x), 0, 0, _one),
    "y0": _oscillating("Y0(x) - 2/pi (log(x/2) + gamma) J0(x)", _near_y0, 0, 1, _one),
    "j1": _oscillating("J1(x) / x", lambda x: mp.besselj(1, x) / x, 1, 0, lambda x: mp.mpf(1) / 4),
    "y1": _oscillating("(Y1(x) - 2/pi ((log(x/2) + gamma) J1(x) - 1/x)) / x", _near_y1, 1, 1, lambda x: mp.mpf(1) / 4),
}  # fmt: skip
