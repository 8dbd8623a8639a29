"""Random draws as nodes of the graph, from a counter-based generator: no state in a draw, the same numbers on any number of threads.

    k1, k2 = gx.random.split(gx.random.key(0))          JAX's spelling: the same key gives the same draw
    z = gx.random.normal(k1, (1000,))

    rng = gx.random.default_rng(0)                      NumPy's spelling: state that compiled functions advance by themselves
    x = mu + sigma * rng.standard_normal(mu.shape)

Draws by a formula have derivatives by their parameters. Discrete draws have none: a gradient through one raises, and `score_function`
estimates that of the mean. Philox4x32-10 makes the bits, see `graphc.ops.philox`.
"""

from graphc.random.continuous import cauchy, exponential, gumbel, laplace, logistic, normal, uniform
from graphc.random.counts import binomial, geometric, multinomial, poisson
from graphc.random.discrete import bernoulli, categorical
from graphc.random.estimators import score_function
from graphc.random.gammas import beta, chisquare, dirichlet, gamma, loggamma, student_t
from graphc.random.generator import Generator, default_rng
from graphc.random.integers import randint
from graphc.random.keys import bits, fold_in, key, split
from graphc.random.orders import choice, permutation
from graphc.random.transformed import lognormal, pareto, rayleigh, truncated_normal, weibull_min
from graphc.random.vectors import multivariate_normal, orthogonal

__all__ = [
    "Generator", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare", "choice", "default_rng", "dirichlet",
    "exponential", "fold_in", "gamma", "geometric", "gumbel", "key", "laplace", "loggamma", "logistic", "lognormal", "multinomial",
    "multivariate_normal", "normal", "orthogonal", "pareto", "permutation", "poisson", "randint", "rayleigh", "score_function", "split",
    "student_t", "truncated_normal", "uniform", "weibull_min",
]  # fmt: skip
