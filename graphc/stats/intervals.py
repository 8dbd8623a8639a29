"""Distributions over an interval."""

from __future__ import annotations

import math

from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import maximum, minimum, square
from graphc.ops.compare import where
from graphc.ops.elementwise import exp, log, xlogy
from graphc.ops.special.entropy import xlog1py
from graphc.ops.special.factorials import HALF_LOG_2PI, betaln
from graphc.ops.special.gamma import digamma
from graphc.ops.special.incomplete import betainc, log_less_digamma
from graphc.ops.special.normal import ndtr, ndtri
from graphc.stats.functions import log_between, stirling
from graphc.stats.parameters import POSITIVE, REAL
from graphc.stats.univariate import continuous

uniform = continuous(
    name="uniform", support="[0, 1]",
    doc="The uniform distribution over [loc, loc + scale]: scipy.stats.uniform.",
    logpdf=lambda z: 0.0 * z, pdf=lambda z: 1.0 + 0.0 * z, cdf=lambda z: z, sf=lambda z: 1 - z, ppf=lambda q: q, isf=lambda q: 1 - q,
    mean=lambda: 0.5, var=lambda: 1 / 12, entropy=lambda: 0.0,
    kl=lambda p, q: where((p.loc >= q.loc) & (p.loc + p.scale <= q.loc + q.scale), log(q.scale / p.scale), math.inf),
)  # fmt: skip


# -- beta -------------------------------------------------------------------------------------------------------------------------
def _beta_entropy(a: Node, b: Node) -> Node:
    """betaln(a, b) - (a - 1) digamma(a) - (b - 1) digamma(b) + (a + b - 2) digamma(a + b), where what is large cancels"""
    both = a + b
    logs = 0.5 * (log(a) + log(b)) - 1.5 * log(both) + HALF_LOG_2PI
    rest = stirling(a) + stirling(b) - stirling(both)
    return logs + rest + (a - 1) * log_less_digamma(a, a) + (b - 1) * log_less_digamma(b, b) - (both - 2) * log_less_digamma(both, both)


def _beta_divergence(a: Node, b: Node, c: Node, d: Node) -> Node:
    return betaln(c, d) - betaln(a, b) + (a - c) * digamma(a) + (b - d) * digamma(b) + (c - a + d - b) * digamma(a + b)


beta = continuous(
    name="beta", support="[0, 1]", shapes={"a": POSITIVE, "b": POSITIVE}, same=("loc", "scale"),
    doc="The beta distribution, z**(a - 1) (1 - z)**(b - 1) / B(a, b): scipy.stats.beta. By a and b, cdf and sf have first derivatives.",
    logpdf=lambda z, a, b: xlogy(a - 1, z) + xlog1py(b - 1, -z) - betaln(a, b),
    cdf=lambda z, a, b: betainc(a, b, z), sf=lambda z, a, b: betainc(b, a, 1 - z),
    mean=lambda a, b: a / (a + b), var=lambda a, b: a / (a + b) * (b / (a + b)) / (a + b + 1),
    entropy=_beta_entropy, kl=lambda p, q: _beta_divergence(p.a, p.b, q.a, q.b),
)  # fmt: skip


# -- truncated normal -----------------------------------------------------------------------------------------------------------------
def _edge(a: Node, b: Node) -> tuple[Node, Node]:
    """The truncated density at both ends, 0 at infinite ones."""
    whole = log_between(a, b)
    return exp(-0.5 * square(a) - HALF_LOG_2PI - whole), exp(-0.5 * square(b) - HALF_LOG_2PI - whole)


def _moment(a: Node, b: Node) -> Node:
    """a f(a) - b f(b), with 0 for inf * 0"""
    at_a, at_b = _edge(a, b)
    return where(size_of(a) == math.inf, 0.0, a * at_a) - where(size_of(b) == math.inf, 0.0, b * at_b)


def _truncnorm_mean(a: Node, b: Node) -> Node:
    at_a, at_b = _edge(a, b)
    return at_a - at_b


def _truncnorm_ppf(q: Node, a: Node, b: Node) -> Node:
    flip = a > 0  # the lower tail has the digits
    low, high, chance = where(flip, -b, a), where(flip, -a, b), where(flip, 1 - q, q)
    z = ndtri(ndtr(low) + chance * (ndtr(high) - ndtr(low)))
    return minimum(maximum(where(flip, -z, z), a), b)


truncnorm = continuous(
    name="truncnorm", support="[a, b]", shapes={"a": REAL, "b": REAL}, joint=lambda a, b: a < b, joint_text="in order, a < b",
    doc="The normal distribution, given that a <= z <= b: scipy.stats.truncnorm. a and b are of the standard variable and may be infinite; "
        "beyond 37 standard deviations ppf has no digits.",
    logpdf=lambda z, a, b: -0.5 * square(z) - HALF_LOG_2PI - log_between(a, b),
    cdf=lambda z, a, b: exp(log_between(a, z) - log_between(a, b)), sf=lambda z, a, b: exp(log_between(z, b) - log_between(a, b)),
    logcdf=lambda z, a, b: log_between(a, z) - log_between(a, b), logsf=lambda z, a, b: log_between(z, b) - log_between(a, b),
    ppf=_truncnorm_ppf, isf=lambda q, a, b: -_truncnorm_ppf(q, -b, -a),
    mean=_truncnorm_mean, var=lambda a, b: 1 + _moment(a, b) - square(_truncnorm_mean(a, b)),
    entropy=lambda a, b: 0.5 + HALF_LOG_2PI + log_between(a, b) + 0.5 * _moment(a, b),
)  # fmt: skip
