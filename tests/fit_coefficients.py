"""Fit the polynomials of graphc.codegen.mathlib: minimax by Remez exchange in 50 digits, for the final relative error.

    python -m tests.fit_coefficients          print the file codegen/mathlib/coefficients.py
    python -m tests.fit_coefficients NAME...  fit these and say how good they are

Each row states which function P(x) stands for, and by what the error P - f is multiplied to become the relative error
of the mathematical function it serves. The low coefficients, whose rounding shows, are rounded to the type one after the
other and the others fitted again, where that helps (around 0, where x, x^2, ... all vanish, it may not converge).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mpmath as mp
import numpy as np

mp.mp.dps = 50
Real = Callable[[mp.mpf], mp.mpf]
TINY = mp.mpf(10) ** -14


@dataclass(frozen=True)
class Fit:
    """P(x) ~ f(x) on [low, high], the error weighted by `weight`; `what` is the line of documentation."""

    what: str
    f: Real
    weight: Real
    low: mp.mpf
    high: mp.mpf
    degree: int
    dtype: type[np.floating]


def horner(coefficients: Sequence[object], x: mp.mpf) -> mp.mpf:
    total = mp.mpf(0)
    for c in coefficients[::-1]:
        total = total * x + c
    return total


def remez(fit: Fit, fixed: list[mp.mpf]) -> tuple[list[mp.mpf], mp.mpf]:
    """The minimax coefficients above those already `fixed`, and the largest weighted error on the grid."""
    powers = range(len(fixed), fit.degree + 1)
    n = len(powers)
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    grid = [fit.low] + [middle - half * mp.cos(mp.pi * (2 * i + 1) / 800) for i in range(400)] + [fit.high]
    grid = [x for x in grid if x != 0]
    target = [fit.f(x) - horner(fixed, x) for x in grid]
    weights = [fit.weight(x) for x in grid]
    picked = [round((1 - mp.cos(mp.pi * i / n)) / 2 * (len(grid) - 1)) for i in range(n + 1)]
    best: tuple[list[mp.mpf], mp.mpf] | None = None
    for _ in range(25):
        rows = mp.matrix(n + 1, n + 1)
        right = mp.matrix(n + 1, 1)
        for i, k in enumerate(picked):
            for j, p in enumerate(powers):
                rows[i, j] = grid[k] ** p * weights[k]
            rows[i, n], right[i] = (-1) ** i, target[k] * weights[k]
        solution = mp.lu_solve(rows, right)
        c, level = [solution[j] for j in range(n)], abs(solution[n])
        shape = [mp.mpf(0)] * len(fixed) + c
        error = [(horner(shape, x) - t) * w for x, t, w in zip(grid, target, weights)]
        worst = max(map(abs, error))
        if best is None or worst < best[1]:
            best = (c, worst)
        extrema = _alternating(error)
        if len(extrema) < n + 1 or worst < level * mp.mpf("1.0005"):
            break
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
        picked = extrema
    assert best is not None
    return best


def _alternating(error: list[mp.mpf]) -> list[int]:
    """The position of the extremum of each run of one sign."""
    found, current = [], 0
    for i in range(1, len(error)):
        if error[i] * error[current] < 0:
            found.append(current)
            current = i
        elif abs(error[i]) > abs(error[current]):
            current = i
    return [*found, current]


def solve(fit: Fit) -> tuple[float, ...]:
    """Coefficients, lowest first, each a value of the type; the best of refitting after none to three roundings."""
    found = [_rounded(fit, refits) for refits in range(4)]
    return min(found, key=lambda c: quality(fit, c))


def _rounded(fit: Fit, refits: int) -> tuple[float, ...]:
    done: list[mp.mpf] = []
    c: list[mp.mpf] = []
    for k in range(fit.degree + 1):
        c = remez(fit, done)[0] if k <= refits else c[1:]
        done.append(mp.mpf(float(fit.dtype(float(c[0])))))
    return tuple(map(float, done))


def quality(fit: Fit, coefficients: tuple[float, ...], points: int = 400) -> float:
    """The largest weighted error of rounded coefficients, as a power of two."""
    xs = [fit.low + (fit.high - fit.low) * (mp.mpf(i) + mp.mpf("0.37")) / points for i in range(points)]
    worst = max(abs((horner(coefficients, x) - fit.f(x)) * fit.weight(x)) for x in xs)
    return float(mp.log(worst, 2)) if mp.isfinite(worst) else 0.0


def _near_zero(f: Real, series: Real, bound: float = 1e-9) -> Real:
    """f, but its series where f would cancel."""
    return lambda x: series(x) if abs(x) < bound else f(x)


_HALF_LOG2 = mp.log(2) / 2 * mp.mpf("1.0002")
_EXP = _near_zero(lambda r: (mp.expm1(r) - r) / r**2, lambda r: mp.mpf(1) / 2 + r / 6 + r * r / 24)
_LOG = _near_zero(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, lambda f: mp.mpf(1) / 3 - f / 4 + f * f / 5)
_LOG2ND = _near_zero(lambda f: (mp.log1p(f) - f) / f**2, lambda f: -mp.mpf(1) / 2 + f / 3 - f * f / 4)
_ATANH = _near_zero(lambda z: (2 * mp.atanh(mp.sqrt(z)) - 2 * mp.sqrt(z)) / (z * mp.sqrt(z)), lambda z: mp.mpf(2) / 3 + z * 2 / 5)
_ATANH5 = _near_zero(lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1 - z / 3) / z**2, lambda z: mp.mpf(1) / 5 + z / 7 + z * z / 9, 1e-7)
_SIN = _near_zero(lambda z: (mp.sin(mp.sqrt(z)) - mp.sqrt(z)) / (z * mp.sqrt(z)), lambda z: -mp.mpf(1) / 6 + z / 120)
_COS = _near_zero(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, lambda z: mp.mpf(1) / 24 - z / 720)
_ATAN = _near_zero(lambda z: (mp.atan(mp.sqrt(z)) - mp.sqrt(z)) / (z * mp.sqrt(z)), lambda z: -mp.mpf(1) / 3 + z / 5)
_ASIN = _near_zero(lambda z: (mp.asin(mp.sqrt(z)) - mp.sqrt(z)) / (z * mp.sqrt(z)), lambda z: mp.mpf(1) / 6 + z * 3 / 40)
_ERF = _near_zero(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, lambda z: 2 / mp.sqrt(mp.pi) * (1 - z / 3) - 1)
_EIGHTH = (mp.pi / 4) ** 2 * mp.mpf("1.001")
_QUARTER = (mp.pi / 2) ** 2 * mp.mpf("1.001")
_SINH_ROOT2 = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0005")


def _erfcx(k: int) -> Real:
    """(1 + 2x) exp(x^2) erfc(x) over q = (x - k) / (x + k), which maps 0..inf to -1..1."""

    def f(q: mp.mpf) -> mp.mpf:
        x = k * (1 + q) / (1 - q)
        if x > 25:
            total = mp.mpf(1)
            for j in range(20, 0, -1):
                total = 1 - total * (2 * j - 1) / (2 * x * x)
            return (1 + 2 * x) / (x * mp.sqrt(mp.pi)) * total
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

    return f


def _square(z: mp.mpf) -> mp.mpf:
    return z * z


def _same(z: mp.mpf) -> mp.mpf:
    return z


def _row(what: str, f: Real, weight: Real, low: object, high: object, degree: int, dtype: type[np.floating]) -> Fit:
    return Fit(what, f, weight, mp.mpf(low), mp.mpf(high), degree, dtype)


_E = "exp(r) = 1 + r + r^2 P(r), |r| <= log(2)/2"
_L = "log(1+f) = 2s + s z P(z), s = f/(2+f), z = s^2, 1+f in sqrt(1/2)..sqrt(2)"
_C = "cos(r) = 1 - z/2 + z^2 P(z), z = r^2, |r| <= pi/4"
_S = "sin(r) = r + r z P(z), z = r^2, |r| <= pi/4"
_A = "asin(t) = t + t z P(z), z = t^2 <= 1/4"
f32, f64 = np.float32, np.float64


def _log_erfc(x: mp.mpf) -> mp.mpf:
    return -mp.log(mp.erfc(x))


def _erfc_share(x: mp.mpf) -> mp.mpf:
    return mp.erfc(x) / mp.erf(x)


_LOW = mp.findroot(mp.digamma, mp.mpf("-2.61"))  # |gamma| is least there, between -3 and -2, and its logarithm small


def _log_gamma(x: mp.mpf) -> mp.mpf:
    return mp.log(abs(mp.gamma(x)))


_GAMMALN_LOW = _near_zero(
    lambda d: (_log_gamma(_LOW + d) - _log_gamma(_LOW)) / d**2, lambda d: mp.psi(1, _LOW) / 2 + mp.psi(2, _LOW) / 6 * d
)


def _low(degree: int, dtype: type[np.floating]) -> Fit:
    weight = lambda d: d * d / _log_gamma(_LOW)
    return _row(
        "gammaln(x0 + d) = gammaln(x0) + d^2 P(d), |d| <= 1/32, x0 = -2.61..", _GAMMALN_LOW, weight, "-0.03126", "0.03126", degree, dtype
    )


FITS: dict[str, Fit] = {
    "EXP_F32": _row(_E, _EXP, lambda r: r * r / mp.exp(r), -_HALF_LOG2, _HALF_LOG2, 4, f32),
    "EXP_F64": _row(_E, _EXP, lambda r: r * r / mp.exp(r), -_HALF_LOG2, _HALF_LOG2, 9, f64),
    "EXP_SHORT": _row(_E, _EXP, lambda r: r * r / mp.exp(r), -_HALF_LOG2, _HALF_LOG2, 5, f64),
    "LOG_F32": _row(
        "log(1+f) = f - f^2/2 + f^3 P(f), |f| <= 1/3", _LOG, lambda f: f * f, -mp.mpf(1) / 3 - 1e-6, mp.mpf(1) / 3 + 1e-6, 7, f32
    ),
    "LOG_F64": _row(_L, _ATANH, _same, TINY, _SINH_ROOT2, 6, f64),
    "LOG_SHORT": _row("log(1+f) = f + f^2 P(f), |f| <= 1/3", _LOG2ND, lambda f: f * f / mp.log1p(f), "-0.333334", "0.333334", 11, f64),
    "LOG_TAIL": _row("atanh(s) = s (1 + z/3 + z^2 P(z)), z = s^2", _ATANH5, _square, TINY, _SINH_ROOT2, 6, f64),
    "SIN_F64": _row(_S, _SIN, _same, TINY, _EIGHTH, 5, f64),
    "COS_F64": _row(_C, _COS, _square, TINY, _EIGHTH, 5, f64),
    "SIN_F32": _row(_S, _SIN, _same, TINY, _EIGHTH, 2, f32),
    "COS_F32": _row(_C, _COS, _square, TINY, _EIGHTH, 2, f32),
    "SIN_SHORT": _row(_S, _SIN, _same, TINY, _EIGHTH, 3, f64),
    "COS_SHORT": _row(_C, _COS, _square, TINY, _EIGHTH, 2, f64),
    "SIN_WIDE": _row("sin(r) = r (1 + z P(z)), z = r^2, |r| <= pi/2", _SIN, _same, TINY, _QUARTER, 3, f64),
    "ATAN_F32": _row("atan(t) = t + t z P(z), z = t^2 <= 1", _ATAN, _same, TINY, mp.mpf("1.0005"), 8, f32),
    "ATAN_F64": _row("atan(t) = t + t z P(z), z = t^2, |t| <= tan(pi/8)", _ATAN, _same, TINY, "0.17166", 10, f64),
    "ASIN_F32": _row(_A, _ASIN, _same, TINY, mp.mpf("0.25"), 5, f32),
    "ASIN_F64": _row(_A, _ASIN, _same, TINY, mp.mpf("0.25"), 12, f64),
    "ERF_NEAR_F32": _row("erf(x) = x + x P(x^2), |x| < 1", _ERF, lambda z: mp.mpf(1), TINY, 1, 7, f32),
    "ERF_LEAST_F32": _row("erf(x) = x + x P(x^2), |x| < 1/4", _ERF, lambda z: mp.mpf(1), TINY, mp.mpf("0.0626"), 3, f32),
    "ERF_NEAR_F64": _row("erf(x) = x + x P(x^2), |x| <= 1/2", _ERF, _same, TINY, mp.mpf("0.2501"), 10, f64),
    "ERF_FAR_F32": _row(
        "erf(x) = 1 - exp(-P(x)), 1 <= x <= 4", lambda a: -mp.log(mp.erfc(a)), lambda a: mp.erfc(a) / mp.erf(a), "0.99", 4, 8, f32
    ),
    "GAMMALN_LOW_F32": _low(5, f32),
    "GAMMALN_LOW_F64": _low(11, f64),
    "ERFC_F64": _row(
        "erfc(x) = exp(-x^2) P(q) / (1 + 2x), q = (x-4)/(x+4), x <= 28", _erfcx(4), lambda q: 1 / _erfcx(4)(q), -1, "0.755", 22, f64
    ),
}

_HEAD = '''"""Minimax coefficients, lowest first. Written by `python -m tests.fit_coefficients`, where each fit is stated; do not edit."""

from __future__ import annotations
'''


def table() -> str:
    """The text of codegen/mathlib/coefficients.py."""
    parts = [_HEAD]
    for name, fit in FITS.items():
        c = solve(fit)
        rows = "".join(f"    {x!r},\n" for x in c)
        parts.append(f"# {fit.what}; relative error 2^{quality(fit, c):.1f}\n{name} = (\n{rows})\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1:]:
        for name in sys.argv[1:]:
            c = solve(FITS[name])
            print(name, f"2^{quality(FITS[name], c):.2f}", *c, sep="\n  ")
    else:
        print(table(), end="")
