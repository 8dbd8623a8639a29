"""Calls of activations and losses of `gx.nn`: operands that belong together, of one or of several examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.ir import Node
from tests.fuzz.draw import Draw

Call = tuple[Sequence[Any], dict[str, Any]]
REDUCTIONS = ("mean", "sum", "none")


def _reduced(d: Draw, *operands: Any) -> Call:
    return operands, {"reduction": d.rng.choice(REDUCTIONS)}


def _scores(d: Draw) -> Node:
    """(.., classes)"""
    return d.floats(*d.shape(0, 2), d.rng.choice((2, 3)))


def _shares(d: Draw, *shape: int) -> Node:
    """Probabilities over the last axis, some of them 0."""
    made = d.values.exponential(size=shape) * (d.values.random(shape) < 0.8) + 1e-9
    return d.variable((made / made.sum(-1, keepdims=True)).astype(d.dtype))


def _pair(d: Draw) -> Call:
    shape = d.shape()
    return _reduced(d, d.floats(*shape), d.floats(*shape))


def _labelled(d: Draw) -> Call:
    scores = _scores(d)
    *lead, classes = d.known(scores).shape
    return _reduced(d, scores, d.integers(0, classes, *lead))


def _with_shares(d: Draw) -> Call:
    scores = _scores(d)
    return _reduced(d, scores, _shares(d, *d.known(scores).shape))


def _signed(d: Draw) -> Call:
    shape = d.shape()
    return _reduced(d, d.floats(*shape), d.variable(d.values.choice(np.array([-1.0, 1.0]), shape).astype(d.dtype)))


def _binary(d: Draw) -> Call:
    shape = d.shape()
    return _reduced(d, d.floats(*shape), d.variable(d.values.choice(np.array([0.0, 0.3, 1.0]), shape).astype(d.dtype)))


def _probable(d: Draw) -> Call:
    shape = d.shape()
    p = d.variable(d.values.uniform(0.05, 0.95, shape).astype(d.dtype))
    return _reduced(d, p, d.variable(d.values.choice(np.array([0.0, 0.3, 1.0]), shape).astype(d.dtype)))


def _triple(d: Draw) -> Call:
    shape = d.shape()
    return _reduced(d, *[d.floats(*shape) for _ in range(3)])


def _precise(d: Draw) -> Call:
    shape = d.shape()
    return _reduced(d, d.floats(*shape), d.floats(*shape), d.positive(*shape))


def _mixture(d: Draw) -> Call:
    lead, k, n = d.shape(0, 1), d.rng.choice((1, 2, 3)), d.rng.choice((1, 2))
    return _reduced(d, d.floats(*lead, k), d.floats(*lead, k, n), d.positive(*lead, k, d.rng.choice((1, n))), d.floats(*lead, n))


def _correlated(d: Draw) -> Call:
    lead, n = d.shape(0, 1), d.rng.choice((1, 2, 3))
    factor = d.variable((np.tril(d.values.standard_normal((n, n))) + 2 * np.eye(n)).astype(d.dtype))
    return _reduced(d, d.floats(*lead, n), d.floats(*lead, n), factor)


def _pieces(d: Draw) -> Call:
    return (d.floats(*d.shape(0, 2), 4), d.rng.choice((1, 2, 4))), {}


def _slopes(d: Draw) -> Call:
    x = d.floats(*d.shape(1, 3))
    return (x, d.floats(d.known(x).shape[-1])), {}


def _lengths(d: Draw) -> Call:
    return (d.integers(0, 5, d.rng.choice((1, 2, 3))), 4), {}


def _attended(d: Draw) -> Call:
    lead, (s, t, n, v) = d.shape(0, 2), [d.rng.choice((1, 2, 3)) for _ in range(4)]
    causal = d.rng.random() < 0.4
    return (d.floats(*lead, s, n), d.floats(*lead, s if causal else t, n), d.floats(*lead, s if causal else t, v)), {"causal": causal}


LOSSES: dict[str, Callable[[Draw], Call]] = {
    **{f"nn.{name}": _pair for name in ("squared_error", "absolute_error", "huber", "gaussian_kl")},
    "nn.cross_entropy": lambda d: _labelled(d) if d.rng.random() < 0.5 else _with_shares(d),
    "nn.kl_divergence": _with_shares, "nn.multiclass_hinge": _labelled, "nn.hinge": _signed, "nn.binary_cross_entropy": _binary,
    "nn.bernoulli_nll": _probable, "nn.heteroscedastic_nll": _triple, "nn.gaussian_nll": _precise, "nn.mixture_density_nll": _mixture,
    "nn.multivariate_gaussian_nll": _correlated, "nn.maxout": _pieces, "nn.prelu": _slopes, "nn.padding_mask": _lengths,
    "nn.attention": _attended,
}  # fmt: skip
