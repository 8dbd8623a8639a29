"""What the tables of the exponential, sine and cosine integrals, of elliptic integrals, of Lambert's W and of Spence's function hold."""

from __future__ import annotations

import mpmath as mp

from tests.fit_piecewise import Extra, Real, Spec

SMALL = mp.mpf(10) ** -30  # where a function of 1/x has its limit, nearly


def _inverses(f: Real, last: int) -> tuple[Extra, ...]:
    """two pieces over 1/x up to 1 / last, of equal length"""

    def of_inverse(w: mp.mpf) -> mp.mpf:
        return f(1 / max(w, SMALL))

    return Extra(of_inverse, 0, 0.5 / last), Extra(of_inverse, 0.5 / last, 1 / last)


# -- exponential integrals ----------------------------------------------------------------------------------------------------
def _asymptotic(x: mp.mpf, sign: int) -> mp.mpf:
    """the sum of k! (sign / x)**k, x > 100"""
    total, term = mp.mpf(0), mp.mpf(1)
    for k in range(90):
        total += term
        term *= sign * (k + 1) / x
    return total


def e1_scaled(x: mp.mpf) -> mp.mpf:
    return _asymptotic(x, -1) / x if x > 150 else mp.exp(x) * mp.e1(x)


def ei_scaled(x: mp.mpf) -> mp.mpf:
    return _asymptotic(x, 1) / x if x > 150 else mp.exp(-x) * mp.ei(x)


def e1_series(x: mp.mpf) -> mp.mpf:
    """(E1(x) + log x + gamma) / x"""
    return mp.fsum((-x) ** (k - 1) / (k * mp.factorial(k)) for k in range(1, 50))


# -- sine and cosine integrals ----------------------------------------------------------------------------------------------------
def auxiliary(x: mp.mpf, part: int) -> mp.mpf:
    """f or g: the integrals of sin t / (t + x) and cos t / (t + x) over t from 0 on"""
    if x > 120:
        total, term = mp.mpf(0), mp.mpf(1)
        for k in range(60):
            if k % 2 == part:
                total += term * (-1) ** (k // 2)
            term *= (k + 1) / x
        return total / x
    with mp.workprec(mp.mp.prec + 30):
        s, c = mp.pi / 2 - mp.si(x), mp.ci(x)
        return c * mp.sin(x) + s * mp.cos(x) if part == 0 else -c * mp.cos(x) + s * mp.sin(x)


def _si_over(x: mp.mpf) -> mp.mpf:
    return mp.si(x) / x if x > mp.mpf(10) ** -20 else mp.mpf(1)


def _ci_size(x: mp.mpf) -> mp.mpf:
    return max(abs(mp.ci(x)), abs(mp.cos(x)))


# -- elliptic integrals -------------------------------------------------------------------------------------------------------------
def _log_factor(t: mp.mpf, kind: str) -> mp.mpf:
    """What -log t is multiplied by in K(1 - t) or E(1 - t)"""
    return mp.ellipk(t) / mp.pi if kind == "k" else (mp.ellipk(t) - mp.ellipe(t)) / mp.pi


def _regular(kind: str) -> Real:
    """K(1 - t) or E(1 - t) without its logarithm"""

    def f(t: mp.mpf) -> mp.mpf:
        with mp.workprec(mp.mp.prec + 30):
            if t < mp.mpf(10) ** -25:
                return mp.log(16) / 2 if kind == "k" else mp.mpf(1)
            return (mp.ellipk if kind == "k" else mp.ellipe)(1 - t) + mp.log(t) * _log_factor(t, kind)

    return f


def elliptic(kind: str, n: int, m: mp.mpf) -> mp.mpf:
    """The derivative n of K or E, a hypergeometric function"""
    a = mp.mpf(1) / 2 if kind == "k" else -mp.mpf(1) / 2
    factor = mp.pi / 2 * mp.rf(a, n) * mp.rf(mp.mpf(1) / 2, n) / mp.factorial(n)
    return factor * mp.hyp2f1(a + n, mp.mpf(1) / 2 + n, n + 1, m)


def _elliptic(kind: str, n: int) -> Spec:
    def f(m: mp.mpf) -> mp.mpf:
        return elliptic(kind, n, m)

    return Spec(f"the derivative {n} of the complete elliptic integral {kind.upper()} on -1..1/2", f, -1, 0.5, 2, 3 if n else 2)


# -- W and Li2 ------------------------------------------------------------------------------------------------------------------------
def lambertw(z: mp.mpf, k: int = 0) -> mp.mpf:
    return mp.re(mp.lambertw(z, k))


def _w_of_log(k: int) -> Real:
    """W_0(exp(l)) or W_-1(-exp(-l))"""

    def f(l: mp.mpf) -> mp.mpf:  # noqa: E741
        w = l - mp.log(l) if l > 2 and k == 0 else mp.mpf(1) if k == 0 else -l - mp.log(l) - mp.mpf("0.3")
        for _ in range(60):
            step = (w + mp.log(w) - l) / (1 + 1 / w) if k == 0 else (w + mp.log(-w) + l) / (1 + 1 / w)
            w -= step
            if abs(step) < abs(w) * mp.eps * 4:
                break
        return w

    return f


def _w_of_root(k: int) -> Real:
    """W(z) / z over p = sqrt(2 (e z + 1)), for k = 0; W(z) for k = -1"""

    def f(p: mp.mpf) -> mp.mpf:
        with mp.workprec(2 * mp.mp.prec):
            z = (p * p / 2 - 1) / mp.e
            if abs(z) < mp.mpf(10) ** -30:
                return mp.mpf(1)
            if p < mp.mpf(10) ** -25:
                return mp.e if k == 0 else -mp.mpf(1)
            w = lambertw(z, k)
            return w / z if k == 0 else w

    return f


def spence(n: int, z: mp.mpf) -> mp.mpf:
    """Li2(1 - z), its derivative log z / (1 - z), and so on"""
    with mp.workprec(mp.mp.prec + 80):
        if n == 0:
            return mp.re(mp.polylog(2, 1 - z)) if z < 1.9 else -(mp.log(z) ** 2) / 2 - mp.re(mp.polylog(2, 1 - 1 / z))
        if abs(z - 1) < mp.mpf(2) ** -20:
            return mp.fsum(-((1 - z) ** (k - n + 1)) * mp.rf(k - n + 2, n - 1) * (-1) ** (n - 1) / (k + 1) for k in range(n - 1, n + 25))
        value = mp.log(z) / (1 - z)
        for k in range(1, n):
            value = (k * value + (-1) ** (k - 1) * mp.factorial(k - 1) / z**k) / (1 - z)
        return value


def _spence(n: int) -> Spec:
    if n:
        return Spec(f"the derivative {n} of Spence's function on 1/4..4", lambda z: spence(n, z), 0.25, 4, 0, 1)
    return Spec("Spence's function over 1 - z on 1/2..2", lambda z: spence(0, z) / (1 - z) if z != 1 else mp.mpf(1), 0.5, 2, 0, 2)


_K0, _K1 = _w_of_root(0), _w_of_root(-1)
TABLES: dict[str, Spec] = {
    "e1": Spec("exp(x) E1(x); beyond 8 times x, of 1/x", e1_scaled, 0.5, 8, 0, 1, _inverses(lambda x: x * e1_scaled(x), 8)),
    "ei": Spec("exp(-x) Ei(x); beyond 32 times x, of 1/x", ei_scaled, 1, 32, 0, 1, _inverses(lambda x: x * ei_scaled(x), 32)),
    "si": Spec("Si(x) / x; beyond 7 x**2 g(x), of 1/x", _si_over, 0, 7, 1, 1, _inverses(lambda x: x * x * auxiliary(x, 1), 7)),
    "ci": Spec("Ci(x); beyond 7 x f(x), of 1/x", mp.ci, 1, 7, 1, 1, _inverses(lambda x: x * auxiliary(x, 0), 7), _ci_size),
    **{f"ellip{kind}": Spec(
        f"{kind.upper()}(1 - t); below 1/8 without its logarithm", lambda t, kind=kind: elliptic(kind, 0, 1 - t), 0.125, 1, 0, 1,
        (Extra(_regular(kind), 0, 0.125),)) for kind in "ke"},
    **{f"ellip{kind}_{n}": _elliptic(kind, n) for kind in "ke" for n in (1, 2, 3, 4)},
    "lambertw": Spec(
        "W_0 over log z; below 5/4 over z, of p = sqrt(2 (e z + 1))", _w_of_log(0), 0, 1023, 1, 0,
        (Extra(_K0, 0, 0.5), Extra(_K0, 0.5, 1), Extra(_K0, 1, 1.5), Extra(_K0, 1.5, 2), Extra(_K0, 2, 2.5), Extra(_K0, 2.5, 3))),
    "lambertw_lower": Spec(
        "W_-1 over -log(-z); for z < -0.081 of p = sqrt(2 (e z + 1))", _w_of_log(-1), 2.5, 1025.5, -1.5, 0,
        (Extra(_K1, 0, 0.25), Extra(_K1, 0.25, 0.5), Extra(_K1, 0.5, 0.75), Extra(_K1, 0.75, 1.0), Extra(_K1, 1, 1.25))),
    **{f"spence_{n}": _spence(n) for n in range(5)},
}  # fmt: skip
