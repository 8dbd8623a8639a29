"""`default_rng`: NumPy's spelling of random draws, with state that compiled functions advance by themselves."""

from __future__ import annotations

from graphc.ir import Node
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import reshape
from graphc.random import continuous, discrete, orders
from graphc.random.keys import Source
from graphc.random.parameters import NOT_NEGATIVE, float_dtype, parameter, shape_of


class Generator(Source):
    """Draws under the names of `numpy.random.Generator`. Made by `default_rng`.

    state: a shared uint64[2], the seed and the number of calls so far that have drawn. Every compiled function in whose graph a draw is
    counts it on by one at each call that succeeds; others leave it. A draw is a node: used twice it is one draw, in derivatives and in
    what is computed again too. Each call of a method is another draw; in the body of a loop, or under `vmap`, it is another one in each
    turn and lane. Two functions compiled from the same draw share it; a function that is called twice on nodes draws once for both. A
    copy or pickle goes on from the same place; with node.eval the state stays.

    size: the shape of the draw, ints and symbolic sizes, by default that of the parameters. dtype: float64 unless the parameters are
    float32 arrays, or as given. Parameters may be nodes. What is known when the graph is built and is no parameter of the distribution
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
        found = float_dtype("normal", dtype, loc, scale)
        center, width = parameter("normal", "loc", loc, found), parameter("normal", "scale", scale, found, NOT_NEGATIVE)
        z = continuous.normal(self, shape_of("normal", size, [center, width]), found)
        return center + width * z

    def standard_exponential(self, size: object = None, dtype: object = "float64") -> Node:
        """Exponential with mean 1."""
        return continuous.exponential(self, () if size is None else size, dtype)

    def exponential(self, scale: ArrayLike = 1.0, size: object = None, dtype: object = None) -> Node:
        """Exponential with mean `scale`, see `gx.random.exponential`."""
        found = float_dtype("exponential", dtype, scale)
        width = parameter("exponential", "scale", scale, found, NOT_NEGATIVE)
        return continuous.exponential(self, shape_of("exponential", size, [width]), found) * width

    def bernoulli(self, p: ArrayLike = 0.5, size: object = None) -> Node:
        """True with probability p, see `gx.random.bernoulli`. NumPy has it as binomial(1, p)."""
        return discrete.bernoulli(self, p, size)

    def categorical(self, logits: ArrayLike, size: object = None, axis: int = -1) -> Node:
        """A class with probability softmax(logits), see `gx.random.categorical`. NumPy has it as choice(n, p=p)."""
        return discrete.categorical(self, logits, axis, size)

    def permutation(self, x: ArrayLike, axis: int = 0) -> Node:
        """0 .. x - 1, or the slices of x along an axis, in a random order, see `gx.random.permutation`."""
        return orders.permutation(self, x, axis)

    def permuted(self, x: ArrayLike, axis: int | None = None) -> Node:
        """The elements of x in a random order along the axis, each line in an order of its own; of all elements where axis is None."""
        if axis is None:
            node = asarray(x)
            return orders.permutation(self, reshape(node, (node.size,))).reshape(node.shape)
        return orders.permutation(self, x, axis, independent=True)


def default_rng(seed: object = 0) -> Generator:
    """Random draws with state, after `numpy.random.default_rng`: see `Generator`.

        rng = gx.random.default_rng(0)
        f = gx.function([x], x + rng.normal(0.0, 0.1, x.shape))
        f(X), f(X)                                            # two draws: every call advances the state by itself

    seed: an integer from 0 to 2**64 - 1. Without one it is 0: what a program draws is the same each time it runs. Raises ArgumentError,
    DTypeError.
    """
    return Generator(seed)
