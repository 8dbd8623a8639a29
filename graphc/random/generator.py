"""`default_rng`: NumPy's spelling of random draws, with state that compiled functions advance by themselves."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.elementwise import exp, expm1
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import reshape
from graphc.random import continuous, counts, discrete, gammas, integers, orders, transformed, vectors
from graphc.random.keys import Source
from graphc.random.parameters import NOT_NEGATIVE, POSITIVE, float_dtype, parameter, shape_of


class Generator(Source):
    """Draws under the names of `numpy.random.Generator`. Made by `default_rng`.

    state: a shared uint64[2], the seed and the number of calls so far that have drawn. Every compiled function in whose graph a draw is
    counts it on by one at each call that succeeds; others leave it. A draw is a node: used twice it is one draw, in derivatives and in
    what is computed again too. Each call of a method is another draw; in the body of a loop, or under `vmap`, it is another one in each
    turn and lane. Two functions compiled from the same draw share it; a function that is called twice on nodes draws once for both. A
    copy or pickle goes on from the same place; with node.eval the state stays.

    size: the shape of the draw, ints and symbolic sizes, by default that of the parameters. dtype: float64 unless the parameters are
    float32 arrays, or as given. In the functions of a `custom_vjp` draw with a key that is an argument: they are called more than once.
    Parameters may be nodes. What is known when the graph is built and is no parameter of the distribution
    raises ArgumentError. Every function of `gx.random` takes an rng in place of a key: `gx.random.gumbel(rng, (3,))`.
    """

    def random(self, size: object = None, dtype: object = "float64") -> Node:
        """Uniform in [0, 1)."""
        return continuous.uniform(self, () if size is None else size, dtype)

    def uniform(self, low: ArrayLike = 0.0, high: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """Uniform in [low, high), see `gx.random.uniform`."""
        found = float_dtype("uniform", dtype, low, high)
        ends = [parameter("uniform", name, v, found) for name, v in (("low", low), ("high", high))]
        return continuous.uniform(self, shape_of("uniform", size, ends), found, *ends)

    def standard_normal(self, size: object = None, dtype: object = "float64") -> Node:
        """Normal with mean 0 and variance 1."""
        return continuous.normal(self, () if size is None else size, dtype)

    def normal(self, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """loc + scale * z with a standard normal z: the derivatives are 1 and z. See `gx.random.normal`."""
        return self._placed("normal", continuous.normal, loc, scale, size, dtype)

    def standard_exponential(self, size: object = None, dtype: object = "float64") -> Node:
        """Exponential with mean 1."""
        return continuous.exponential(self, () if size is None else size, dtype)

    def exponential(self, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """Exponential with mean `scale`, see `gx.random.exponential`."""
        found = float_dtype("exponential", dtype, scale)
        width = parameter("exponential", "scale", scale, found, NOT_NEGATIVE)
        return continuous.exponential(self, shape_of("exponential", size, [width]), found) * width

    def gumbel(self, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """loc + scale * (a standard Gumbel draw), see `gx.random.gumbel`."""
        return self._placed("gumbel", continuous.gumbel, loc, scale, size, dtype)

    def laplace(self, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """loc + scale * (a standard Laplace draw), see `gx.random.laplace`."""
        return self._placed("laplace", continuous.laplace, loc, scale, size, dtype)

    def logistic(self, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """loc + scale * (a standard logistic draw), see `gx.random.logistic`."""
        return self._placed("logistic", continuous.logistic, loc, scale, size, dtype)

    def standard_cauchy(self, size: object = None, dtype: object = "float64") -> Node:
        """Standard Cauchy, see `gx.random.cauchy`."""
        return continuous.cauchy(self, () if size is None else size, dtype)

    def lognormal(self, mean: ArrayLike = 0.0, sigma: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """e**normal(mean, sigma)."""
        return exp(self.normal(mean, sigma, size, dtype))

    def rayleigh(self, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """Rayleigh, see `gx.random.rayleigh`."""
        return transformed.rayleigh(self, scale, size, dtype)

    def weibull(self, a: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Weibull of shape a and scale 1, see `gx.random.weibull_min`."""
        return transformed.weibull_min(self, 1.0, a, size, dtype)

    def pareto(self, a: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Pareto of the second kind (Lomax), as NumPy's: a draw of `gx.random.pareto` less 1, and with all digits near 0."""
        found = float_dtype("pareto", dtype, a)
        power = parameter("pareto", "a", a, found, POSITIVE)
        return expm1(continuous.exponential(self, shape_of("pareto", size, [power]), found) / power)

    def truncated_normal(self, lower: ArrayLike, upper: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Standard normal given that it lies in [lower, upper], see `gx.random.truncated_normal`."""
        return transformed.truncated_normal(self, lower, upper, size, dtype)

    def standard_gamma(self, shape: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Gamma of this shape and scale 1, see `gx.random.gamma`."""
        return gammas.gamma(self, shape, size, dtype)

    def gamma(self, shape: ArrayLike, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """scale * (a gamma draw of this shape), see `gx.random.gamma`."""
        found = float_dtype("gamma", dtype, shape, scale)
        form, width = parameter("gamma", "shape", shape, found, POSITIVE), parameter("gamma", "scale", scale, found, NOT_NEGATIVE)
        return gammas.gamma(self, form, shape_of("gamma", size, [form, width]), found) * width

    def chisquare(self, df: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Chi-square with df degrees of freedom, see `gx.random.chisquare`."""
        return gammas.chisquare(self, df, size, dtype)

    def beta(self, a: ArrayLike, b: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Beta, see `gx.random.beta`."""
        return gammas.beta(self, a, b, size, dtype)

    def dirichlet(self, alpha: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Dirichlet, see `gx.random.dirichlet`."""
        return gammas.dirichlet(self, alpha, size, dtype)

    def standard_t(self, df: ArrayLike, size: object = None, dtype: object = None) -> Node:
        """Student's t with df degrees of freedom, see `gx.random.student_t`."""
        return gammas.student_t(self, df, size, dtype)

    def multivariate_normal(
        self, mean: ArrayLike, cov: ArrayLike, size: object = None, dtype: object = None, method: str = "cholesky"
    ) -> Node:
        """Normal vectors of this mean and covariance, see `gx.random.multivariate_normal`."""
        return vectors.multivariate_normal(self, mean, cov, size, dtype, method)

    def orthogonal(self, n: object, size: object = (), dtype: object = "float64") -> Node:
        """Uniformly distributed orthogonal matrices, see `gx.random.orthogonal`."""
        return vectors.orthogonal(self, n, size, dtype)

    # -- discrete ---------------------------------------------------------------------------------------------------------------
    def integers(
        self, low: ArrayLike, high: ArrayLike | None = None, size: object = None, dtype: object = "int64", endpoint: bool = False
    ) -> Node:
        """Uniform integers in [low, high), of [0, low) without a high; with `endpoint` high itself too. See `gx.random.randint`."""
        return integers.between(self, 0 if high is None else low, low if high is None else high, size, dtype, endpoint)

    def bernoulli(self, p: ArrayLike = 0.5, size: object = None) -> Node:
        """True with probability p, see `gx.random.bernoulli`. NumPy has it as binomial(1, p)."""
        return discrete.bernoulli(self, p, size)

    def categorical(self, logits: ArrayLike, size: object = None, axis: int = -1) -> Node:
        """A class with probability softmax(logits), see `gx.random.categorical`. NumPy has it as choice(n, p=p)."""
        return discrete.categorical(self, logits, axis, size)

    def poisson(self, lam: ArrayLike = 1.0, size: object = None) -> Node:
        """Poisson with mean lam, see `gx.random.poisson`."""
        return counts.poisson(self, lam, size)

    def binomial(self, n: ArrayLike, p: ArrayLike, size: object = None) -> Node:
        """The number of successes of n trials, see `gx.random.binomial`."""
        return counts.binomial(self, n, p, size)

    def multinomial(self, n: ArrayLike, pvals: ArrayLike, size: object = None) -> Node:
        """How often each class comes in n trials, see `gx.random.multinomial`."""
        return counts.multinomial(self, n, pvals, size)

    def geometric(self, p: ArrayLike, size: object = None) -> Node:
        """The number of trials up to the first success, see `gx.random.geometric`."""
        return counts.geometric(self, p, size)

    def choice(self, a: ArrayLike, size: object = None, replace: bool = True, p: ArrayLike | None = None, axis: int = 0) -> Node:
        """Elements of 0 .. a - 1 or slices of an array, with or without replacement, see `gx.random.choice`."""
        return orders.choice(self, a, () if size is None else size, replace, p, axis)

    def permutation(self, x: ArrayLike, axis: int = 0) -> Node:
        """0 .. x - 1, or the slices of x along an axis, in a random order, see `gx.random.permutation`."""
        return orders.permutation(self, x, axis)

    def shuffle(self, x: ArrayLike, axis: int = 0) -> Node:
        """The slices of an array in a random order, as a new node: NumPy's works in place, and nodes do not change."""
        return orders.permutation(self, asarray(x), axis)

    def permuted(self, x: ArrayLike, axis: int | None = None) -> Node:
        """The elements of x in a random order along the axis, each line in an order of its own; of all elements where axis is None."""
        if axis is None:
            node = asarray(x)
            return orders.permutation(self, reshape(node, (node.size,))).reshape(node.shape)
        return orders.permutation(self, x, axis, independent=True)

    def _placed(self, what: str, draw: Callable[..., Node], loc: ArrayLike, scale: ArrayLike, size: object, dtype: object) -> Node:
        """loc + scale * (a standard draw)"""
        found = float_dtype(what, dtype, loc, scale)
        center, width = parameter(what, "loc", loc, found), parameter(what, "scale", scale, found, NOT_NEGATIVE)
        return center + width * draw(self, shape_of(what, size, [center, width]), found)


def default_rng(seed: object = 0) -> Generator:
    """Random draws with state, after `numpy.random.default_rng`: see `Generator`.

        rng = gx.random.default_rng(0)
        f = gx.function([x], x + rng.normal(0.0, 0.1, x.shape))
        f(X), f(X)                                            # two draws: every call advances the state by itself

    seed: an integer from 0 to 2**64 - 1. Without one it is 0: what a program draws is the same each time it runs. Raises ArgumentError,
    DTypeError.
    """
    return Generator(seed)
