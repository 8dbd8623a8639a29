"""Distributions over all real numbers."""

from __future__ import annotations

import math

from graphc.control.custom import custom_jvp
from graphc.derivatives.forward import jvp
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import sqrt, square
from graphc.ops.compare import where
from graphc.ops.elementwise import arctan2, exp, expm1, log, log1p, log_sigmoid, sigmoid, tan
from graphc.ops.special.entropy import kl_div, logit
from graphc.ops.special.factorials import HALF_LOG_2PI, betaln
from graphc.ops.special.gamma import gamma as gamma_function
from graphc.ops.special.hyperbolic import log1mexp
from graphc.ops.special.incomplete import betainc, log_less_digamma
from graphc.ops.special.normal import log_ndtr, ndtr, ndtr_slope, ndtri
from graphc.stats.functions import decay, decay_left, log1p_square
from graphc.stats.parameters import POSITIVE
from graphc.stats.univariate import continuous

EULER = 0.5772156649015328606
LOG_2, LOG_PI = math.log(2), math.log(math.pi)

norm = continuous(
    name="norm", support="[-inf, inf]", symmetric=True,
    doc="The normal distribution, e**(-z**2 / 2) / sqrt(2 pi): scipy.stats.norm. Tails by log_ndtr: logsf(40) is -804.6.",
    logpdf=lambda z: -0.5 * square(z) - HALF_LOG_2PI, pdf=ndtr_slope, cdf=ndtr, logcdf=log_ndtr, ppf=ndtri,
    mean=lambda: 0.0, var=lambda: 1.0, entropy=lambda: 0.5 + HALF_LOG_2PI,
    kl=lambda p, q: 0.5 * (kl_div(1.0, square(p.scale / q.scale)) + square((p.loc - q.loc) / q.scale)),
)  # fmt: skip

laplace = continuous(
    name="laplace", support="[-inf, inf]", symmetric=True,
    doc="The Laplace distribution, e**-|z| / 2: scipy.stats.laplace.",
    logpdf=lambda z: -size_of(z) - LOG_2,
    cdf=lambda z: where(z < 0, 0.5 * exp(z), 1 - 0.5 * exp(-z)),
    logcdf=lambda z: where(z < 0, z - LOG_2, log1p(-0.5 * exp(-z))),
    ppf=lambda q: where(q < 0.5, log(2 * q), -log(2 * (1 - q))),
    mean=lambda: 0.0, var=lambda: 2.0, entropy=lambda: 1 + LOG_2,
    kl=lambda p, q: (kl_div(1.0, p.scale / q.scale) + (p.scale * expm1(-size_of(p.loc - q.loc) / p.scale) + size_of(p.loc - q.loc))
                     / q.scale),
)  # fmt: skip


def _cauchy_ppf(q: Node) -> Node:
    """-cot(pi q), of the side that is nearer: at q = 0 it is -inf, at 1 inf"""
    near = size_of(q - 0.5) < 0.25
    side = where(q < 0.5, q, 1 - q)
    far = where(side == 0, math.inf, 1 / tan(math.pi * side))
    return where(near, tan(math.pi * (q - 0.5)), where(q < 0.5, -far, far))


cauchy = continuous(
    name="cauchy", support="[-inf, inf]", symmetric=True,
    doc="The Cauchy distribution, 1 / (pi (1 + z**2)): scipy.stats.cauchy. It has no mean: mean, var are nan.",
    logpdf=lambda z: -LOG_PI - log1p_square(z),
    cdf=lambda z: arctan2(1.0, -z) / math.pi, ppf=_cauchy_ppf,
    mean=lambda: math.nan, var=lambda: math.nan, entropy=lambda: math.log(4 * math.pi),
    kl=lambda p, q: log1p((square(p.scale - q.scale) + square(p.loc - q.loc)) / (4 * p.scale * q.scale)),
)  # fmt: skip

logistic = continuous(
    name="logistic", support="[-inf, inf]", symmetric=True,
    doc="The logistic distribution, e**-z / (1 + e**-z)**2, whose cdf is the sigmoid: scipy.stats.logistic.",
    logpdf=lambda z: log_sigmoid(z) + log_sigmoid(-z), pdf=lambda z: sigmoid(z) * sigmoid(-z),
    cdf=sigmoid, logcdf=log_sigmoid, ppf=logit, mean=lambda: 0.0, var=lambda: math.pi**2 / 3, entropy=lambda: 2.0,
)  # fmt: skip

gumbel_r = continuous(
    name="gumbel_r", support="(-inf, inf]",
    doc="The right-skewed Gumbel distribution, e**-(z + e**-z), of maxima: scipy.stats.gumbel_r.",
    logpdf=lambda z: -z - exp(-z), cdf=lambda z: decay(exp(-z)), sf=lambda z: decay_left(exp(-z)),
    logcdf=lambda z: -exp(-z), logsf=lambda z: where(z > 40, -z, log1mexp(-exp(-z))),
    ppf=lambda q: -log(-log(q)), isf=lambda q: -log(-log1p(-q)),
    mean=lambda: EULER, var=lambda: math.pi**2 / 6, entropy=lambda: 1 + EULER,
    kl=lambda p, q: (log(q.scale / p.scale) + EULER * (p.scale / q.scale - 1) - 1 + (p.loc - q.loc) / q.scale
                     + exp((q.loc - p.loc) / q.scale) * gamma_function(1 + p.scale / q.scale)),
)  # fmt: skip


# -- Student's t -------------------------------------------------------------------------------------------------------------------
def _t_logpdf(z: Node, df: Node) -> Node:
    return -0.5 * (df + 1) * log1p_square(z / sqrt(df)) - 0.5 * log(df) - betaln(0.5, 0.5 * df)


def _t_entropy(df: Node) -> Node:
    """(df + 1) / 2 (digamma((df + 1) / 2) - digamma(df / 2)) + log(sqrt(df) B(1 / 2, df / 2))"""
    gap = log1p(1 / df) - log_less_digamma(0.5 * (df + 1), 0.5 * (df + 1)) + log_less_digamma(0.5 * df, 0.5 * df)
    return 0.5 * (df + 1) * gap + 0.5 * log(df) + betaln(0.5, 0.5 * df)


def _t_tail(z: Node, df: Node) -> Node:
    """The probability beyond |z|: half the incomplete beta function at df / (df + z**2)."""
    return 0.5 * betainc(0.5 * df, 0.5, 1 / (1 + square(z / sqrt(df))))


@custom_jvp
def _t_cdf(z: Node, df: Node) -> Node:
    """Its derivative by z is the density, which the chain of the incomplete beta function has as 0 inf at z = 0."""
    tail = _t_tail(z, df)
    return where(z < 0, tail, 1 - tail)


def _t_cdf_jvp(primals: tuple[Node, Node], tangents: tuple[Node, Node]) -> tuple[Node, Node]:
    z, df = primals
    by_df = jvp(_t_tail(z, df), df, tangents[1])
    return _t_cdf(z, df), exp(_t_logpdf(z, df)) * tangents[0] + where(z == 0, 0.0, where(z < 0, by_df, -by_df))


_t_cdf.defjvp(_t_cdf_jvp)
t = continuous(
    name="t", support="[-inf, inf]", symmetric=True, shapes={"df": POSITIVE},
    doc="Student's distribution of df degrees of freedom, proportional to (1 + z**2 / df)**(-(df + 1) / 2): scipy.stats.t. Its cdf has "
        "derivatives of every order by x, of the first by df.",
    logpdf=_t_logpdf, cdf=_t_cdf, entropy=_t_entropy,
    mean=lambda df: where(df > 1, 0.0, math.inf),
    var=lambda df: where(df > 2, df / (df - 2), where(df > 1, math.inf, math.nan)),
)  # fmt: skip
