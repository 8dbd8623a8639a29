"""Special functions in decimals against mpmath to 50 digits, over the whole range; in an audit nothing of them is left to floats."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.codegen.mathlib import FAMILIES as NATIVE_FAMILIES
from graphc.codegen.mathlib import MATH
from graphc.dtypes import float64
from graphc.extended import functions
from graphc.extended.evaluate import context
from graphc.extended.steady import bernoulli, euler, sine_and_cosine_of_pi
from graphc.extended.table import FAMILIES, FUNCTIONS
from tests import ulp
from tests.test_mathlib import INCOMPLETE

NEW = sorted(set(FUNCTIONS) - set(functions.FUNCTIONS))
COUNT = 5  # points a function; `python -m tests.ulp_table` has thousands of exact values, in floats
ENDS = mp.mpf(10) ** 400


def near(got: Decimal, true: Any) -> bool:
    """50 digits; what no float holds is infinite or 0 on both sides."""
    true = mp.mpf(mp.re(true))
    if mp.isnan(true) or got.is_nan():
        return bool(mp.isnan(true)) and got.is_nan()
    if abs(true) > ENDS:
        return abs(got) > Decimal("1e390") and (got > 0) == (true > 0)
    if abs(true) < 1 / ENDS:
        return abs(got) < Decimal("1e-390")
    return got.is_finite() and abs(mp.mpf(str(got)) - true) <= abs(true) * mp.mpf(10) ** -50


def test_there_is_one_for_every_function_of_vector_math() -> None:
    """But the incomplete functions of two and three arguments, which an audit evaluates in floats and says so."""
    assert set(MATH) - set(FUNCTIONS) <= INCOMPLETE
    assert set(NATIVE_FAMILIES) <= set(FAMILIES)


@pytest.mark.parametrize("name", NEW)
def test_functions(name: str) -> None:
    drawn = ulp.samples(name, float64, 200 * ulp.REFERENCES[name].share)
    drawn = [a[ulp.regular(drawn)] for a in drawn]
    with decimal.localcontext(context(60)):
        for i in np.random.default_rng(1).choice(len(drawn[0]), COUNT, replace=False):
            x = [float(a[i]) for a in drawn]
            with mp.workdps(75 if max(map(abs, x)) < 1e18 else 400):
                assert near(FUNCTIONS[name](*map(Decimal, x)), ulp.REFERENCES[name].exact(*map(mp.mpf, x))), x


def k0e_slope(n: int, x: Any) -> Any:
    """By the integral of exp(-x (cosh t - 1)) over t."""
    return mp.quad(lambda t: mp.exp(-x * (mp.cosh(t) - 1)) * (mp.cosh(t) - 1) ** n, [0, 0.5, 1, 2, 3, 4, 6, 8])


BASES: dict[str, Callable[[Any], Any]] = {  # f of which the family has the derivatives
    "i0e_slope": lambda x: mp.besseli(0, x) * mp.exp(-x),
    "expi_slope": lambda x: mp.exp(x) / x, "sinc_slope": lambda x: mp.sin(x) / x, "cosc_slope": lambda x: mp.cos(x) / x,
    "sinc": lambda x: mp.sinpi(x) / (mp.pi * x), "ellipk_slope": mp.ellipk, "ellipe_slope": mp.ellipe, "lambertw_slope": mp.lambertw,
    "lambertw_lower_slope": lambda x: mp.lambertw(x, -1), "spence_slope": lambda x: mp.polylog(2, 1 - x),
}  # fmt: skip
ORDERS: dict[str, Callable[[int, Any], Any]] = {
    "k0e_slope": k0e_slope, "polygamma": mp.psi, "jn": mp.besselj, "iv": mp.besseli, "ive": lambda n, x: mp.besseli(n, x) * mp.exp(-abs(x)),
}  # fmt: skip
POINTS = {
    "ellipk_slope": (-7.5, 0.2, 0.9375), "ellipe_slope": (-7.5, 0.2, 0.9375), "lambertw_lower_slope": (-0.36, -0.01),
    "jn": (-3.0, 0.5, 200.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    """The order 3 and another against mpmath's function, or against differences of the base in more digits."""
    sign = -1 if name == "i0e_slope" else 1
    with decimal.localcontext(context(60)), mp.workdps(75):
        for n in (3, 40) if name in ("polygamma", "jn", "iv", "ive") else (1, 3):
            for x in POINTS.get(name, (0.3, 2.5, 90.0)):
                true = ORDERS[name](n, mp.mpf(x)) if name in ORDERS else sign**n * mp.diff(BASES[name], mp.mpf(x), n)
                assert near(FAMILIES[name](n)(Decimal(x)), true), (n, x)


def test_constants() -> None:
    with decimal.localcontext(context(120)), mp.workdps(130):
        assert abs(mp.mpf(str(euler(120))) - mp.euler) < mp.mpf(10) ** -118
        for k, b in zip(range(1, 70), bernoulli()):
            assert abs(mp.mpf(str(b)) / mp.bernoulli(2 * k) - 1) < mp.mpf(10) ** -118
        assert [sine_and_cosine_of_pi(Decimal(x)) for x in (3, -0.5)] == [(0, -1), (-1, 0)]


def test_an_audit_knows_the_special_functions() -> None:
    """And the derivatives of those that stand alone."""
    x, s = gx.tensor("x", (2,)), gx.special
    one = [
        s.erf, s.erfc, s.erfcx, s.erfi, s.erfinv, s.erfcinv, s.ndtr, s.ndtri, s.log_ndtr, s.dawsn, s.gamma, s.gammaln, s.digamma, s.expit,
        s.logit, s.log_expit, s.entr, s.i0, s.i0e, s.i1, s.i1e, s.j0, s.j1, s.y0, s.y1, s.k0, s.k0e, s.k1, s.k1e, s.exp1, s.expi,
        s.lambertw, s.ellipk, s.ellipe, s.spence, s.sinc, s.softplus, s.factorial, lambda x: s.sici(x)[0], lambda x: s.sici(x)[1],
        lambda x: s.jn(3, x), lambda x: s.iv(2, x), lambda x: s.ive(2, x), lambda x: s.polygamma(4, x), lambda x: s.multigammaln(x + 2, 3),
    ]  # fmt: skip
    assert gx.function([x], s.gammainc(x, 2.0), mode="interpret").audit(np.array([0.3, 0.7])).rounded == ("gammainc",)
    two = [s.beta, s.betaln, s.binom, s.comb, s.rel_entr, s.kl_div, s.xlogy, s.xlog1py]
    values = [f(x) for f in one] + [f(x, x * x) for f in two]
    f = gx.function([x], [*values, *[gx.grad(gx.sum(v), x) for v in values]], mode="interpret")
    report = f.audit(np.array([0.3, 0.7]))
    assert report.rounded == ()
    assert report.worst < 64
