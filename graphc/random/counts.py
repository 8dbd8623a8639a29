"""Numbers of events: Poisson, binomial, multinomial, geometric. int64, and without derivatives, see `graphc.random.discrete`.

Of means from 10 on transformed rejection, below it the sum of probabilities up to a uniform number: all in rounds over all elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.control.scan import scan
from graphc.control.tracing import turn_index
from graphc.control.while_loop import while_loop
from graphc.dtypes import float64, int64
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import clip, floor, maximum, minimum, sqrt
from graphc.ops.compare import stop_gradient, where
from graphc.ops.draws import discrete_draw
from graphc.ops.elementwise import exp, log, log1p
from graphc.ops.indexing import take
from graphc.ops.reductions import any as any_of
from graphc.ops.reductions import cumsum
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.shape import moveaxis
from graphc.ops.slicing import flip
from graphc.ops.special.entropy import kl_div
from graphc.ops.spread import astype, broadcast_to
from graphc.random.continuous import exponential, unit
from graphc.random.gammas import batch_shape
from graphc.random.keys import KeyLike, as_key, fold_in
from graphc.random.parameters import PROBABILITY, Wanted, parameter, probabilities, shape_of
from graphc.random.rejection import BOOST, Round, rejected

FEW = 10.0  # the mean from which on the rejections below are valid
MOST = 2.0**62
COUNT: Wanted = ("a whole number from 0 to 2**53", lambda v: (v >= 0) & (v == np.floor(v)) & (v <= 2.0**53))
POSITIVE_PROBABILITY: Wanted = ("greater than 0 and at most 1", lambda v: (v > 0) & (v <= 1))
RATE: Wanted = ("from 0 to 2**62", lambda v: (v >= 0) & (v <= MOST))
# log(k!) - k log(k) + k for k < 10
_FIRST = np.array([0.0, *[math.lgamma(k + 1.0) - k * math.log(k) + k for k in range(1, 10)]])


def _rest(k: Node) -> Node:
    """log(k!) - k log(k) + k for whole numbers k >= 0, by Stirling's series from 10 on: probabilities of large counts keep their digits."""
    few = k < 10
    n = where(few, 10.0, k)
    inverse = 1 / n
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    return where(few, take(asarray(_FIRST), astype(clip(k, 0, 9), int64)), 0.5 * log(2 * math.pi * n) + series)


# -- Poisson ----------------------------------------------------------------------------------------------------------------
def poisson(key: KeyLike, lam: ArrayLike, shape: object = None) -> Node:
    """Poisson with mean lam: k with probability lam**k e**-lam / k!. An int64; -1 where lam is nan or outside [0, 2**62].

    From lam = 10 on the transformed rejection PTRS of Hormann (1993), The transformed rejection method for generating Poisson random
    variables. A derivative by lam raises NotDifferentiableError. Raises ArgumentError (a known lam out of range), DTypeError, ShapeError.

        clicks = gx.random.poisson(key, gx.exp(x @ w))
    """
    rate = parameter("poisson", "lam", lam, float64, RATE)
    mean = broadcast_to(stop_gradient(rate), shape_of("poisson", shape, [rate]))
    stream = as_key("poisson", key)
    good = (mean >= 0) & (mean <= MOST)
    small = where(good & (mean < FEW), mean, 0.0)
    counted = _by_steps(unit(stream, mean.shape, float64, BOOST), exp(-small), lambda k: small / k, small)
    drawn = _poisson_ptrs(stream, mean, good & (mean >= FEW))
    return discrete_draw(astype(where(good, where(mean < FEW, counted, drawn), -1.0), int64), rate)


def _poisson_ptrs(key: Node, mean: Node, wanted: Node) -> Node:

    def attempt(turn: Round, lam: Node) -> tuple[Node, Node]:
        b = 0.931 + 2.53 * sqrt(lam)
        a = 0.02483 * b - 0.059
        u, v = turn.first(float64) - 0.5, 1 - turn.unit(float64)
        left = maximum(0.5 - size_of(u), 2.0**-54)
        k = floor((2 * a / left + b) * u + lam + 0.43)
        inside = maximum(k, 0.0)
        tested = log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (left * left) + b)) <= -kl_div(inside, lam) - _rest(inside)
        at_once = (left >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        return (k >= 0) & (at_once | (((left >= 0.013) | (v <= left)) & tested)), k

    return rejected(key, mean * 0, wanted, attempt, [where(wanted, mean, FEW)])


def _by_steps(u: Node, first: Node, ratio: Callable[[Node], Node], mean: Node) -> Node:
    """The number k of the probability p_k in whose part of [0, 1) u lies; p_0 is `first`, p_k is ratio(k) p_{k-1}."""

    def more(left: Node, p: Node, k: Node) -> Node:
        return (left >= p) & ((p > 2.0**-60) | (k < mean))  # what is left beyond is rounding

    def turn(state: tuple[Node, Node, Node]) -> tuple[Node, Node, Node]:
        left, p, k = state
        on = more(left, p, k)
        return where(on, left - p, left), where(on, p * ratio(k + 1), p), where(on, k + 1, k)

    _, _, count = while_loop(lambda state: any_of(more(*state)), turn, (u, broadcast_to(first, u.shape), u * 0))
    return count  # type: ignore[no-any-return]


# -- binomial -----------------------------------------------------------------------------------------------------------------
def binomial(key: KeyLike, n: ArrayLike, p: ArrayLike, shape: object = None) -> Node:
    """The number of successes of n trials of probability p: k with probability n! / (k! (n - k)!) p**k (1 - p)**(n - k).

    n: whole numbers up to 2**53, of an integer or float dtype. An int64; -1 where n or p is nan or out of range. From n min(p, 1 - p) = 10
    on the transformed rejection BTRS of Hormann (1993), The generation of binomial random variates. A derivative by p or n raises
    NotDifferentiableError. Raises ArgumentError (known parameters out of range), DTypeError, ShapeError.
    """
    trials, chance = parameter("binomial", "n", n, float64, COUNT), parameter("binomial", "p", p, float64, PROBABILITY)
    sizes = shape_of("binomial", shape, [trials, chance])
    drawn = _binomial(as_key("binomial", key), *[broadcast_to(stop_gradient(x), sizes) for x in (trials, chance)])
    return discrete_draw(astype(drawn, int64), trials, chance)


def _binomial(key: Node, n: Node, p: Node) -> Node:
    """Draws as floats, of floats of one shape."""
    good = (n >= 0) & (n <= 2.0**53) & (floor(n) == n) & (p >= 0) & (p <= 1)
    n, rare = where(good, n, 0.0), where(good, minimum(p, 1 - p), 0.0)
    few = n * rare < FEW
    chance = where(few, rare, 0.0)
    odds = chance / (1 - chance)
    counted = _by_steps(unit(key, n.shape, float64, BOOST), exp(n * log1p(-chance)), lambda k: (n - k + 1) / k * odds, n * chance)
    drawn = where(few, counted, _binomial_btrs(key, where(few, 40.0, n), where(few, 0.5, rare), good & ~few))
    return where(good, where(p > 0.5, n - drawn, drawn), -1.0)


def _binomial_btrs(key: Node, n: Node, p: Node, wanted: Node) -> Node:

    def attempt(turn: Round, n: Node, p: Node) -> tuple[Node, Node]:
        spread = sqrt(n * p * (1 - p))
        b = 1.15 + 2.53 * spread
        a = 0.0248 * b + 0.01 * p - 0.0873
        u, v = turn.first(float64) - 0.5, 1 - turn.unit(float64)
        left = maximum(0.5 - size_of(u), 2.0**-54)
        k = floor((2 * a / left + b) * u + n * p + 0.5)

        def log_probability(k: Node) -> Node:  # less what does not depend on k
            return -kl_div(k, n * p) - kl_div(n - k, n * (1 - p)) - _rest(k) - _rest(n - k)

        ratio = log_probability(clip(k, 0.0, n)) - log_probability(floor((n + 1) * p))
        tested = log(v * (2.83 + 5.1 / b) * spread / (a / (left * left) + b)) <= ratio
        return (k >= 0) & (k <= n) & (((left >= 0.07) & (v <= 0.92 - 4.2 / b)) | tested), k

    return rejected(key, n * 0, wanted, attempt, [n, p])


def multinomial(key: KeyLike, n: ArrayLike, p: ArrayLike, shape: object = None) -> Node:
    """How often each of k classes comes in n trials of probabilities p: a binomial draw for each class, of the trials that are left.

    p: (..., k), summing to 1 along the last axis (what only a call knows is divided by its sum). n: whole numbers, which broadcast with
    the shape of p before that. shape: of the draws without the last axis. An int64 of shape (*shape, k). A derivative by the parameters
    raises NotDifferentiableError. Raises ArgumentError (known probabilities that are none, or do not sum to 1), DTypeError, ShapeError.
    """
    trials, chances = parameter("multinomial", "n", n, float64, COUNT), probabilities("multinomial", "p", p, float64)
    common = broadcast_to(chances, (*shape_of("multinomial", None, [trials, chances[..., 0]]), chances.shape[-1]))
    sizes = batch_shape("multinomial", shape, common, 1)
    classes = chances.shape[-1]
    whole = stop_gradient(broadcast_to(chances, (*sizes, classes)))
    rest = flip(cumsum(flip(whole, -1), -1), -1)
    share = where(rest > 0, minimum(whole / where(rest > 0, rest, 1.0), 1.0), 0.0)
    stream = as_key("multinomial", key)

    def one(left: Node, chance: Node) -> tuple[Node, Node]:
        last = turn_index() == asarray(classes) - 1
        found = _binomial(fold_in(stream, turn_index()), left, where(last, 1.0, chance))
        return left - found, found

    _, counts = scan(one, broadcast_to(stop_gradient(trials), sizes), moveaxis(share, -1, 0))
    return discrete_draw(astype(moveaxis(counts, 0, -1), int64), trials, chances)


def geometric(key: KeyLike, p: ArrayLike, shape: object = None) -> Node:
    """The number of trials up to the first success, k = 1, 2, ... with probability p (1 - p)**(k - 1): 1 + floor(e / -log(1 - p)).

    An int64; -1 where p is nan or not in (0, 1]. A derivative by p raises NotDifferentiableError. Raises ArgumentError, DTypeError,
    ShapeError.
    """
    chance = parameter("geometric", "p", p, float64, POSITIVE_PROBABILITY)
    fixed = stop_gradient(chance)
    waited = floor(exponential(key, shape_of("geometric", shape, [chance])) / -log1p(-fixed)) + 1
    return discrete_draw(astype(where((fixed > 0) & (fixed <= 1), waited, -1.0), int64), chance)


__all__ = ["binomial", "geometric", "multinomial", "poisson"]
