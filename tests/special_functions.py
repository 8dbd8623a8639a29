"""The special functions as mpmath has them, with what SciPy gives at zeros, infinities and nan, where they are sampled, and derivatives.

A row of `graphc/ops/special` and its function in `codegen/mathlib` are tested through the entry of their name here: values in units of the
last place (tests.ulp), dtypes and special values (tests.oracle), derivatives over the whole range (tests.test_tails).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special

from tests import piecewise_tables as tables

INF = math.inf
Exact = Callable[..., Any]
Range = tuple[float, float]


@dataclass(frozen=True)
class Special:
    """One function. `exact` takes finite mpmath numbers other than 0 of its domain."""

    exact: Exact
    ranges: tuple[Range, ...]
    """Where it is sampled closely."""
    numpy: Callable[..., Any] | None = None
    """SciPy's function; where there is none, `limits` are the values at -inf and inf."""
    limits: Range = (math.nan, math.nan)
    derivatives: Exact | None = None
    """Of one argument: the derivatives of orders 1 to 4."""
    orders: int = 3
    """How many orders keep their digits over the whole range."""
    domain: Range = (-INF, INF)
    ends: Range = (math.nan, math.nan)
    """Its values at finite ends of the domain."""
    below: float = math.nan
    """Its value below the domain."""
    arity: int = 1
    scale: Exact | None = None
    """What the error is measured by where it has zeros that no one can hit."""

    def of_arrays(self) -> Callable[..., Any]:
        """The function on arrays: of mpmath where they are finite and not 0, elsewhere SciPy's."""
        if self.numpy is None:
            return by_mpmath(self.inside, *self.limits)

        def f(*arrays: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                found = np.asarray(self.numpy(*arrays))
            regular = np.all([np.isfinite(a) & (a != 0) for a in arrays], axis=0)
            for i in np.flatnonzero(regular) if found.dtype.kind == "f" and arrays[0].dtype.kind == "f" else ():
                with mp.workdps(40):
                    value = float(self.inside(*[mp.mpf(float(a.flat[i])) for a in arrays]))
                    found.flat[i] = value or found.flat[i] * 0  # mpmath has no signed zero
            return found

        return f

    def inside(self, *x: Any) -> Any:
        """The exact function, and what it is at the ends of its domain and outside."""
        low, high = self.domain
        if self.arity > 1 or low < x[0] < high:
            return self.exact(*x)
        return mp.mpf(self.ends[0] if x[0] == low else self.ends[1] if x[0] == high else self.below if x[0] < low else math.nan)


def by_mpmath(f: Exact, low: float, high: float) -> Callable[..., Any]:
    """A function of mpmath on the elements of an array, `low` at -inf and `high` at inf."""

    def of_number(x: float) -> float:
        if math.isfinite(x):
            with mp.workdps(40):
                return float(f(mp.mpf(x)))
        return x if math.isnan(x) else low if x < 0 else high

    return lambda x: np.array([of_number(v) for v in np.asarray(x).ravel().tolist()]).astype(x.dtype).reshape(x.shape)


def _clipped(f: Exact, bound: float) -> Exact:
    """f with its argument kept within bounds beyond which the result overflows, or is 0 or 1."""
    return lambda x: f(min(max(x, -bound), bound))


# -- gaussians -------------------------------------------------------------------------------------------------------------------
def _erfi_derivatives(x: Any) -> tuple[Any, ...]:
    g = 2 / mp.sqrt(mp.pi) * mp.exp(min(x * x, 4000))
    return g, 2 * x * g, (4 * x * x + 2) * g, (8 * x**3 + 12 * x) * g, (16 * x**4 + 48 * x * x + 12) * g


def _density(x: Any) -> tuple[Any, ...]:
    g = mp.exp(-min(x * x, mp.mpf(10) ** 9) / 2) / mp.sqrt(2 * mp.pi)
    return g, -x * g, (x * x - 1) * g, -(x**3 - 3 * x) * g, (x**4 - 6 * x * x + 3) * g


def _log_ndtr(x: Any) -> Any:
    if x > 0:
        return mp.log1p(-mp.erfc(min(x, mp.mpf(100)) / mp.sqrt(2)) / 2)
    return -x * x / 2 + mp.log(tables.mills(-x))


# -- inverses ---------------------------------------------------------------------------------------------------------------------
def _ndtri(x: Any) -> Any:
    return -mp.sqrt(2) * tables.erfcinv(2 * x)


def _inverse_derivatives(y: Any, s: Any, k: int) -> tuple[Any, ...]:
    """Of y' = s = c e**(k y**2 / 2), orders 1 to 5."""
    if k == 2:
        return s, 2 * y * s**2, 2 * s**3 * (1 + 4 * y * y), (28 * y + 48 * y**3) * s**4, (28 + 368 * y * y + 384 * y**4) * s**5
    return s, y * s**2, s**3 * (1 + 2 * y * y), (7 * y + 6 * y**3) * s**4, (7 + 46 * y * y + 24 * y**4) * s**5


def _erfinv_derivatives(x: Any) -> tuple[Any, ...]:
    y = tables.erfinv(x)
    return _inverse_derivatives(y, mp.sqrt(mp.pi) / 2 * mp.exp(y * y), 2)


def _erfcinv_derivatives(x: Any) -> tuple[Any, ...]:
    y = tables.erfcinv(x)
    return _inverse_derivatives(y, -mp.sqrt(mp.pi) / 2 * mp.exp(y * y), 2)


def _ndtri_derivatives(x: Any) -> tuple[Any, ...]:
    y = _ndtri(x)
    return _inverse_derivatives(y, mp.sqrt(2 * mp.pi) * mp.exp(y * y / 2), 1)


# -- the gamma function ---------------------------------------------------------------------------------------------------------------
def _gamma(x: Any) -> Any:
    if x == mp.floor(x) and x <= 0:
        return mp.nan
    return mp.gamma(x) if abs(x) < 1000 else mp.inf if x > 0 else mp.mpf(0)


def _gammaln(x: Any) -> Any:
    if x > 0:
        return mp.loggamma(x)
    if x == mp.floor(x):
        return mp.inf
    return mp.log(mp.pi / abs(mp.sinpi(x))) - mp.loggamma(1 - x)


def _digamma(x: Any) -> Any:
    return mp.nan if x == mp.floor(x) and x <= 0 else mp.digamma(x)


def _polygamma(k: int) -> Exact:
    """By the reflection below 0, by the leading terms at both ends, where mpmath takes long."""

    def f(x: Any) -> Any:
        if x <= 0 and x == mp.floor(x):
            return mp.inf if k % 2 else mp.nan
        if x < -0.5:
            s, c = mp.sinpi(x), mp.cospi(x)
            turned = ((mp.pi / s) ** 2, -2 * mp.pi**3 * c / s**3, 2 * mp.pi**4 * (1 + 2 * c * c) / s**4,
                      -8 * mp.pi**5 * c * (2 + c * c) / s**5)[k - 1]  # fmt: skip
            return turned + (-1) ** k * f(1 - x)
        if x < 0.01:
            return (-1) ** (k + 1) * mp.factorial(k) / x ** (k + 1) + f(1 + x)
        if x < 1000:
            return mp.psi(k, x)
        total = mp.factorial(k - 1) / x**k + mp.factorial(k) / (2 * x ** (k + 1))
        for n in range(1, 14):
            total += mp.bernoulli(2 * n) * mp.factorial(2 * n + k - 1) / mp.factorial(2 * n) / x ** (2 * n + k)
        return (-1) ** (k + 1) * total

    return f


def _digamma_derivatives(x: Any) -> tuple[Any, ...]:
    return tuple(_polygamma(k)(x) for k in (1, 2, 3, 4))


def _gamma_derivatives(x: Any) -> tuple[Any, ...]:
    g, p = _gamma(x), [_digamma(x), *_digamma_derivatives(x)]
    b1, b2 = p[0], p[0] ** 2 + p[1]
    b3 = p[0] ** 3 + 3 * p[0] * p[1] + p[2]
    b4 = p[0] ** 4 + 6 * p[0] ** 2 * p[1] + 3 * p[1] ** 2 + 4 * p[0] * p[2] + p[3]
    return g * b1, g * b2, g * b3, g * b4


def _at_ends(k: int) -> Callable[..., Any]:
    """Of the derivative k of digamma, at zeros and infinities; elsewhere mpmath's counts."""

    def f(x: np.ndarray) -> np.ndarray:
        zero = np.copysign(INF, -x) if k == 2 else INF
        far = np.where(x > 0, math.copysign(0.0, (-1) ** (k + 1)), np.nan)
        return np.where(np.isnan(x), x, np.where(x == 0, zero, far)).astype(x.dtype)

    return f


def _times(slope: Exact) -> Exact:
    """|x f'(x)|"""
    return lambda x: 0 if x == mp.floor(x) and x <= 0 else abs(x * slope(x))


# -- entropies ---------------------------------------------------------------------------------------------------------------------
def _logit(x: Any) -> Any:
    return mp.log(x) - mp.log1p(-x)


def _rel_entr(x: Any, y: Any) -> Any:
    if x > 0 and y > 0:
        return x * mp.log(x / y)
    return mp.mpf(0) if x == 0 and y >= 0 else mp.inf


def _kl_div(x: Any, y: Any) -> Any:
    if x > 0 and y > 0:
        with mp.workprec(3 * mp.mp.prec):
            return x * mp.log(x / y) - x + y
    return y if x == 0 and y >= 0 else mp.inf


def _dawsn_curve(x: np.ndarray) -> np.ndarray:
    """With the sign of zero, -4x."""
    return np.where(x == 0, -x, by_mpmath(tables.dawsn_derivative(2), *_dawson_limits(2))(x))


def _dawson_limits(k: int) -> Range:
    """Zeros with the signs of (-1)**k k! / (2 x**(k + 1))."""
    return math.copysign(0.0, -1.0), math.copysign(0.0, (-1.0) ** k)


_RANGES = ((-6, 12), (-1, 1), (0, 8), (-27, 27))
_DAWSON = ((-16, 16), (-1, 1), (0, 3), (10, 100))
_UNIT = ((-1, 1), (-0.1, 0.1), (0.9, 1.0))
_PAIRS = ((0, 3), (0.5, 1), (0, 100))


def _positive_log(x: Any, y: Any) -> Any:
    return mp.log(x) - mp.log(y) if x > 0 and y > 0 else mp.nan


SPECIAL: dict[str, Special] = {
    **{
        name: Special(
            tables.erfcx_derivative(k), _RANGES, scipy.special.erfcx if k == 0 else None, ((-1) ** k * INF, (-1) ** k * 0.0),
            lambda x, k=k: tuple(tables.erfcx_derivative(k + n)(x) for n in (1, 2, 3, 4)), 3 - k,
        )
        for k, name in enumerate(("erfcx", "erfcx_slope", "erfcx_curve", "erfcx_third"))
    },
    **{
        name: Special(
            tables.dawsn_derivative(k), _DAWSON, (scipy.special.dawsn, None, _dawsn_curve, None)[k], _dawson_limits(k),
            lambda x, k=k: tuple(tables.dawsn_derivative(k + n)(x) for n in (1, 2, 3, 4)), 3 - k,
            scale=lambda x, k=k: abs(x * tables.dawsn_derivative(k + 1)(x)) if k else 0,
        )
        for k, name in enumerate(("dawsn", "dawsn_slope", "dawsn_curve", "dawsn_third"))
    },
    "erfi": Special(_clipped(mp.erfi, 60), ((-27, 27), (-1, 1), (-9.5, 9.5)), scipy.special.erfi, derivatives=_erfi_derivatives),
    "erfi_slope": Special(lambda x: _erfi_derivatives(x)[0], ((-27, 27), (-1, 1), (-9.5, 9.5)), None, (INF, INF),
                          lambda x: _erfi_derivatives(x)[1:]),
    "ndtr": Special(_clipped(lambda x: mp.erfc(-x / mp.sqrt(2)) / 2, 100), ((-38, 9), (-2, 2), (-14, 6)), scipy.special.ndtr,
                    derivatives=_density),
    "ndtr_slope": Special(lambda x: _density(x)[0], ((-38, 38), (-2, 2), (-14, 14)), None, (0.0, 0.0), lambda x: _density(x)[1:]),
    "log_ndtr": Special(_log_ndtr, ((-40, 38), (-2, 2), (-14, 14)), scipy.special.log_ndtr, derivatives=tables.log_ndtr_derivatives),
    **{
        f"log_ndtr_{name}": Special(
            lambda x, k=k: tables.log_ndtr_derivatives(x)[k - 1], ((-40, 38), (-2, 2), (-14, 14)), None,
            ((INF, 0), (-1, -0.0), (0, 0))[k - 1],
            lambda x, k=k: (tables.log_ndtr_derivatives(x) + (mp.mpf(0),) * 3)[k : k + 4], 3 - k,
        )
        for k, name in ((1, "slope"), (2, "curve"), (3, "third"))
    },
    "erfinv": Special(tables.erfinv, _UNIT, lambda x: np.where(x == 0, x, scipy.special.erfinv(x)), derivatives=_erfinv_derivatives,
                      domain=(-1, 1), ends=(-INF, INF)),
    "erfcinv": Special(tables.erfcinv, ((0, 2), (0.9, 1.1), (0, 0.01)), lambda x: scipy.special.erfcinv(x) + 0.0,
                       derivatives=_erfcinv_derivatives, domain=(0, 2), ends=(INF, -INF)),
    "erfcinv_slope": Special(lambda x: _erfcinv_derivatives(x)[0], ((0, 2), (0.9, 1.1), (0, 0.01)), None, (math.nan, math.nan),
                             lambda x: _erfcinv_derivatives(x)[1:], orders=2, domain=(0, 2), ends=(-INF, -INF)),
    "ndtri": Special(_ndtri, ((0, 1), (0.4, 0.6), (0, 0.01)), scipy.special.ndtri, derivatives=_ndtri_derivatives, domain=(0, 1),
                     ends=(-INF, INF)),
    "ndtri_slope": Special(lambda x: _ndtri_derivatives(x)[0], ((0, 1), (0.4, 0.6), (0, 0.01)), None, (math.nan, math.nan),
                           lambda x: _ndtri_derivatives(x)[1:], orders=2, domain=(0, 1), ends=(INF, INF)),
    "gamma": Special(_gamma, ((-5, 5), (0, 40), (-40, 0), (-180, 180)), scipy.special.gamma, derivatives=_gamma_derivatives),
    "gammaln": Special(_gammaln, ((-5, 5), (0.5, 2.5), (0, 40), (-40, 0)), scipy.special.gammaln, scale=_times(_digamma),
                       derivatives=lambda x: (_digamma(x), *_digamma_derivatives(x)[:3])),
    "digamma": Special(_digamma, ((-5, 5), (1.4, 1.5), (0, 40), (-40, 0)), scipy.special.digamma, scale=_times(_polygamma(1)),
                       derivatives=_digamma_derivatives),
    **{
        f"digamma_{name}": Special(
            _polygamma(k), ((-5, 5), (0.3, 2), (0, 40), (-40, 0)), _at_ends(k), scale=_times(_polygamma(k + 1)) if k == 2 else None,
            derivatives=lambda x, k=k: _digamma_derivatives(x)[k:] + (mp.mpf(0),) * k, orders=3 - k,
        )
        for k, name in ((1, "slope"), (2, "curve"), (3, "third"))
    },
    "logit": Special(_logit, ((0, 1), (0.4, 0.6), (0, 0.01)), scipy.special.logit, domain=(0, 1), ends=(-INF, INF),
                     derivatives=lambda x: (1 / (x * (1 - x)), (2 * x - 1) / (x * (1 - x)) ** 2, 2 / x**3 + 2 / (1 - x) ** 3,
                                            6 / (1 - x) ** 4 - 6 / x**4)),
    "entr": Special(lambda x: -x * mp.log(x), ((0, 3), (0.9, 1.1)), scipy.special.entr, domain=(0, INF), below=-INF,
                    derivatives=lambda x: (-1 - mp.log(x), -1 / x, x**-2, -2 * x**-3)),
    "xlog1py": Special(lambda x, y: x * (mp.log1p(y) if y > -1 else -mp.inf if y == -1 else mp.nan), ((-3, 3),),
                       scipy.special.xlog1py, arity=2),
    "log_ratio": Special(_positive_log, _PAIRS, lambda x, y: np.log(x) - np.log(y), arity=2, scale=lambda x, y: 0),
    "relative_gap": Special(lambda x, y: (y - x) / y, _PAIRS, lambda x, y: (y - x) / np.where((x == 0) & (y == 0), 1, y), arity=2),
    "rel_entr": Special(_rel_entr, _PAIRS, scipy.special.rel_entr, arity=2),
    "kl_div": Special(_kl_div, _PAIRS, scipy.special.kl_div, arity=2),
}  # fmt: skip
