"""Distributions that begin at a point."""

from __future__ import annotations

import math

from graphc.ir import Node
from graphc.ops.arithmetic import square
from graphc.ops.compare import where
from graphc.ops.elementwise import arctan, arctan2, erf, erfc, exp, expm1, log, log1p, power, tan, xlogy
from graphc.ops.special.entropy import kl_div
from graphc.ops.special.factorials import HALF_LOG_2PI
from graphc.ops.special.gamma import digamma, gammaln
from graphc.ops.special.gamma import gamma as gamma_function
from graphc.ops.special.hyperbolic import log1mexp
from graphc.ops.special.incomplete import gamma_density, gammainc, gammaincc, log_less_digamma
from graphc.ops.special.normal import erfinv, log_ndtr, ndtr, ndtri
from graphc.stats.functions import ROOT_HALF, decay, decay_left, log1p_square, log_poisson, stirling
from graphc.stats.parameters import POSITIVE
from graphc.stats.real_line import EULER, LOG_2
from graphc.stats.univariate import continuous

expon = continuous(
    name="expon", support="[0, inf]",
    doc="The exponential distribution, e**-z: scipy.stats.expon.",
    logpdf=lambda z: -z, cdf=lambda z: decay_left(z), sf=lambda z: decay(z), logcdf=lambda z: log1mexp(-z), logsf=lambda z: -z,
    ppf=lambda q: -log1p(-q), isf=lambda q: -log(q), mean=lambda: 1.0, var=lambda: 1.0, entropy=lambda: 1.0,
    kl=lambda p, q: where(p.loc >= q.loc, kl_div(1.0, p.scale / q.scale) + (p.loc - q.loc) / q.scale, math.inf),
)  # fmt: skip


# -- gamma and what is made of it ---------------------------------------------------------------------------------------------------
def _gamma_logpdf(z: Node, a: Node) -> Node:
    plain = a < 2  # beyond, z**(a - 1) e**-z / gamma(a) is the chance of a - 1 events, of which z are expected
    return where(plain, xlogy(a - 1, z) - z - gammaln(a), log_poisson(where(plain, 1.0, a - 1), z))


def _gamma_entropy(a: Node) -> Node:
    """a + gammaln(a) + (1 - a) digamma(a), where what is large cancels"""
    return 0.5 * log(a) + HALF_LOG_2PI + stirling(a) + (a - 1) * log_less_digamma(a, a)


def gamma_divergence(a: Node, b: Node, ratio: Node) -> Node:
    """D(p || q) of the shapes a, b where p's scale is `ratio` times q's."""
    return a * kl_div(1.0, ratio) + (a - b) * (digamma(a) + log(ratio)) + gammaln(b) - gammaln(a)


gamma = continuous(
    name="gamma", support="[0, inf)", shapes={"a": POSITIVE}, same=("loc",),
    doc="The gamma distribution, z**(a - 1) e**-z / gamma(a): scipy.stats.gamma. logpdf keeps its digits for large a; cdf, sf have "
        "the first derivative by a.",
    logpdf=_gamma_logpdf, pdf=lambda z, a: gamma_density(a, z),
    cdf=lambda z, a: gammainc(a, z), sf=lambda z, a: gammaincc(a, z),
    mean=lambda a: a, var=lambda a: a, entropy=_gamma_entropy, kl=lambda p, q: gamma_divergence(p.a, q.a, p.scale / q.scale),
)  # fmt: skip

chi2 = continuous(
    name="chi2", support="[0, inf)", shapes={"df": POSITIVE}, same=("loc",),
    doc="The distribution of a sum of df squares of standard normals, a gamma distribution of a = df / 2 and scale 2: scipy.stats.chi2.",
    logpdf=lambda z, df: _gamma_logpdf(0.5 * z, 0.5 * df) - LOG_2, pdf=lambda z, df: 0.5 * gamma_density(0.5 * df, 0.5 * z),
    cdf=lambda z, df: gammainc(0.5 * df, 0.5 * z), sf=lambda z, df: gammaincc(0.5 * df, 0.5 * z),
    mean=lambda df: df, var=lambda df: 2 * df, entropy=lambda df: _gamma_entropy(0.5 * df) + LOG_2,
    kl=lambda p, q: gamma_divergence(0.5 * p.df, 0.5 * q.df, p.scale / q.scale),
)  # fmt: skip

invgamma = continuous(
    name="invgamma", support="(0, inf)", shapes={"a": POSITIVE}, same=("loc",),
    doc="The distribution of 1 / x for x of a gamma distribution, z**(-a - 1) e**(-1 / z) / gamma(a): scipy.stats.invgamma.",
    logpdf=lambda z, a: _gamma_logpdf(1 / z, a) - 2 * log(z),
    cdf=lambda z, a: gammaincc(a, 1 / z), sf=lambda z, a: gammainc(a, 1 / z),
    mean=lambda a: where(a > 1, 1 / (a - 1), math.inf), var=lambda a: where(a > 2, 1 / (square(a - 1) * (a - 2)), math.inf),
    entropy=lambda a: -1.5 * log(a) + HALF_LOG_2PI + stirling(a) + (a + 1) * log_less_digamma(a, a),
    kl=lambda p, q: gamma_divergence(p.a, q.a, q.scale / p.scale),
)  # fmt: skip


# -- powers ---------------------------------------------------------------------------------------------------------------------------
def _weibull_var(c: Node) -> Node:
    """gamma(1 + 2 / c) - gamma(1 + 1 / c)**2, which nearly cancel for large c"""
    mean = gammaln(1 + 1 / c)
    return exp(2 * mean) * expm1(gammaln(1 + 2 / c) - 2 * mean)


weibull_min = continuous(
    name="weibull_min", support="[0, inf)", shapes={"c": POSITIVE}, same=("loc",),
    doc="The Weibull distribution, c z**(c - 1) e**-z**c: scipy.stats.weibull_min.",
    logpdf=lambda z, c: log(c) + xlogy(c - 1, z) - power(z, c),
    cdf=lambda z, c: decay_left(power(z, c)), sf=lambda z, c: decay(power(z, c)),
    logcdf=lambda z, c: log1mexp(-power(z, c)), logsf=lambda z, c: -power(z, c),
    ppf=lambda q, c: power(-log1p(-q), 1 / c), isf=lambda q, c: power(-log(q), 1 / c),
    mean=lambda c: gamma_function(1 + 1 / c), var=_weibull_var, entropy=lambda c: EULER * (1 - 1 / c) - log(c) + 1,
    kl=lambda p, q: (log(p.c / q.c) - p.c * log(p.scale) + q.c * log(q.scale) + (p.c - q.c) * (log(p.scale) - EULER / p.c) - 1
                     + power(p.scale / q.scale, q.c) * gamma_function(1 + q.c / p.c)),
)  # fmt: skip

pareto = continuous(
    name="pareto", support="[1, inf]", shapes={"b": POSITIVE}, same=("loc",),
    doc="The Pareto distribution, b / z**(b + 1) for z >= 1: scipy.stats.pareto.",
    logpdf=lambda z, b: log(b) - (b + 1) * log(z),
    cdf=lambda z, b: decay_left(b * log(z)), sf=lambda z, b: decay(b * log(z)),
    logcdf=lambda z, b: log1mexp(-b * log(z)), logsf=lambda z, b: -b * log(z),
    ppf=lambda q, b: exp(-log1p(-q) / b), isf=lambda q, b: exp(-log(q) / b),
    mean=lambda b: where(b > 1, b / (b - 1), math.inf), var=lambda b: where(b > 2, b / (square(b - 1) * (b - 2)), math.inf),
    entropy=lambda b: 1 + 1 / b - log(b),
    kl=lambda p, q: where(p.scale >= q.scale, kl_div(1.0, q.b / p.b) + q.b * log(p.scale / q.scale), math.inf),
)  # fmt: skip

# -- of normal and Cauchy variables -----------------------------------------------------------------------------------------------------
lognorm = continuous(
    name="lognorm", support="(0, inf]", shapes={"s": POSITIVE}, same=("loc",),
    doc="The distribution of e**x for normal x of standard deviation s: scipy.stats.lognorm. log(scale) is the mean of x.",
    logpdf=lambda z, s: -0.5 * square(log(z) / s) - HALF_LOG_2PI - log(s) - log(z),
    cdf=lambda z, s: ndtr(log(z) / s), sf=lambda z, s: ndtr(-log(z) / s),
    logcdf=lambda z, s: log_ndtr(log(z) / s), logsf=lambda z, s: log_ndtr(-log(z) / s),
    ppf=lambda q, s: exp(s * ndtri(q)), isf=lambda q, s: exp(-s * ndtri(q)),
    mean=lambda s: exp(0.5 * square(s)), var=lambda s: expm1(square(s)) * exp(square(s)), entropy=lambda s: 0.5 + HALF_LOG_2PI + log(s),
    kl=lambda p, q: 0.5 * (kl_div(1.0, square(p.s / q.s)) + square(log(p.scale / q.scale) / q.s)),
)  # fmt: skip

halfnorm = continuous(
    name="halfnorm", support="[0, inf]", same=("loc",),
    doc="The distribution of |x| for normal x, sqrt(2 / pi) e**(-z**2 / 2): scipy.stats.halfnorm.",
    logpdf=lambda z: LOG_2 - HALF_LOG_2PI - 0.5 * square(z),
    cdf=lambda z: erf(ROOT_HALF * z), sf=lambda z: erfc(ROOT_HALF * z), logsf=lambda z: LOG_2 + log_ndtr(-z),
    ppf=lambda q: erfinv(q) / ROOT_HALF, isf=lambda q: -ndtri(0.5 * q),
    mean=lambda: math.sqrt(2 / math.pi), var=lambda: 1 - 2 / math.pi, entropy=lambda: 0.5 + HALF_LOG_2PI - LOG_2,
    kl=lambda p, q: 0.5 * kl_div(1.0, square(p.scale / q.scale)),
)  # fmt: skip


def _halfcauchy_ppf(q: Node) -> Node:
    low = q < 0.5
    far = where(low, 0.5, 0.5 * (1 - q))
    return where(low, tan(0.5 * math.pi * q), where(far == 0, math.inf, 1 / tan(math.pi * far)))


halfcauchy = continuous(
    name="halfcauchy", support="[0, inf]",
    doc="The distribution of |x| for Cauchy x, 2 / (pi (1 + z**2)): scipy.stats.halfcauchy. mean and var are inf.",
    logpdf=lambda z: math.log(2 / math.pi) - log1p_square(z),
    cdf=lambda z: arctan(z) * (2 / math.pi), sf=lambda z: arctan2(1.0, z) * (2 / math.pi),
    ppf=_halfcauchy_ppf, isf=lambda q: where(q == 0, math.inf, where(q < 0.5, 1 / tan(0.5 * math.pi * q), tan(0.5 * math.pi * (1 - q)))),
    mean=lambda: math.inf, var=lambda: math.inf, entropy=lambda: math.log(2 * math.pi),
)  # fmt: skip
