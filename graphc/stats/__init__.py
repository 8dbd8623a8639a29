"""Probability distributions under SciPy's names: `gx.stats.norm.logpdf(x, loc, scale)`, with derivatives.

    continuous    pdf, logpdf, cdf, logcdf, sf, logsf, ppf, isf, mean, median, var, std, entropy of x, shape parameters, loc, scale
    discrete      pmf, logpmf, cdf, logcdf, sf, logsf, ppf, mean, var, std, entropy of k, parameters, loc
    multivariate  dirichlet, multinomial, categorical, multivariate_normal, wishart: what each has

`gx.stats.gamma(2.0, scale=theta)` is a distribution with its parameters, `kl_divergence(p, q)` the divergence of two of them, and
`bijectors` has maps between all real numbers and what parameters may be, with their log-determinants.
"""

from graphc.stats import bijectors
from graphc.stats.counts import bernoulli, binom, geom, poisson
from graphc.stats.frozen import Frozen, kl_divergence
from graphc.stats.gaussian import multivariate_normal, wishart
from graphc.stats.half_line import chi2, expon, gamma, halfcauchy, halfnorm, invgamma, lognorm, pareto, weibull_min
from graphc.stats.intervals import beta, truncnorm, uniform
from graphc.stats.real_line import cauchy, gumbel_r, laplace, logistic, norm, t
from graphc.stats.simplex import categorical, dirichlet, multinomial

__all__ = [
    "Frozen", "bernoulli", "beta", "bijectors", "binom", "categorical", "cauchy", "chi2", "dirichlet", "expon", "gamma", "geom", "gumbel_r",
    "halfcauchy", "halfnorm", "invgamma", "kl_divergence", "laplace", "logistic", "lognorm", "multinomial", "multivariate_normal", "norm",
    "pareto", "poisson", "t", "truncnorm", "uniform", "weibull_min", "wishart",
]  # fmt: skip
