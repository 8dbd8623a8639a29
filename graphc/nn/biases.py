"""Initial biases: those with which a layer begins where it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, fail
from graphc.nn.weights import floating

_INVERSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda y: y,
    "relu": lambda y: y,
    "exp": np.log,
    "softplus": lambda y: y + np.log(-np.expm1(-y)),
    "sigmoid": lambda y: np.log(y) - np.log1p(-y),
    "tanh": np.arctanh,
    "softmax": np.log,
}


def bias_for(target: Any, activation: str = "linear", dtype: Any = "float64") -> np.ndarray:
    """The bias b with activation(b) = target: what a layer gives as long as its weights do nothing.

    activation: "linear", "relu", "exp", "softplus", "sigmoid", "tanh", "softmax". The rules of the books: `bias_for(frequencies,
    "softmax")`, log(frequencies), begins a classifier with the entropy of the labels as its loss; `bias_for(0.1, "relu")` keeps rectifiers
    awake; `bias_for(1.0, "softplus")` is a precision of 1. (Gates that forget begin at 1: `init.lstm` does it.) Raises ArgumentError for
    an activation that is not listed and for a target outside its open range; the frequencies of softmax add up to 1.

    >>> gx.nn.init.bias_for([0.5, 0.25, 0.25], "softmax").round(4)
    array([-0.6931, -1.3863, -1.3863])
    """
    if activation not in _INVERSES:
        fail(ArgumentError, f"init.bias_for: no inverse of {activation!r}; there are {', '.join(_INVERSES)}")
    y = np.asarray(target, float)
    with np.errstate(all="ignore"):
        bias = _INVERSES[activation](y)
    if not np.isfinite(bias).all() or (activation == "relu" and (y < 0).any()):
        fail(ArgumentError, f"init.bias_for: {activation} never is {target!r:.60}")
    if activation == "softmax" and not np.isclose(y.sum(-1), 1, rtol=0, atol=1e-6).all():
        fail(ArgumentError, f"init.bias_for: the frequencies of softmax add up to {y.sum(-1)}, not to 1")
    return np.asarray(bias, floating(dtype))


__all__ = ["bias_for"]
