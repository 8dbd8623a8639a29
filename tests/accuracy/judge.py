"""Digits lost by an expression: of its value and its first two derivatives, point by point.

The error is measured in eps max(|t|, |x t'|) for a true value t with derivative t' by x: what half an ulp in x does to the result is the
expression's own and not counted. An error below the smallest normal number is none, and beyond the largest number there are no digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.interp import evaluate
from graphc.ir import Graph
from graphc.passes.simplify import simplify
from tests.accuracy.expressions import Tree, node, text
from tests.accuracy.truth import derivatives, in_floats

MAGNITUDES = {
    "float64": [1e-300, 1e-160, 1e-30, 1e-17, 1.3e-8, 1e-5, 1.2e-3, 0.11, 0.37, 0.9, 1 + 1e-9, 1.7, 3.1415926, 5.2, 11.3, 20.2, 38.0, 101.3,
                352.1, 720.5, 1.3e4, 1e8, 1e17, 1e160, 1e300],
    "float32": [1e-37, 1e-20, 1e-10, 1e-6, 1.1e-3, 0.37, 0.99999, 1.7, 5.2, 9.3, 17.2, 43.1, 91.7, 1.3e4, 1e10, 1e20, 1e37],
}  # fmt: skip
LOST = 2.0  # digits; less is what a few roundings of a few operations explain
ALL = 99.0  # a nan or an infinity for a number, or a number for an infinity


def points(dtype: str) -> np.ndarray:
    return np.array([s * m for m in MAGNITUDES[dtype] for s in (1, -1)], dtype)


@dataclass(frozen=True)
class Loss:
    """The worst of one expression: digits lost, in which derivative, at which x, what came out and what is true."""

    digits: float
    order: int = 0
    x: float = 0.0
    got: float = 0.0
    true: float = 0.0

    @property
    def kept(self) -> bool:
        return self.digits <= LOST

    def __str__(self) -> str:
        shown = "all" if self.digits >= ALL else f"{self.digits:.1f}"
        return f"{shown:>5}  order {self.order}  x = {self.x:<12.6g} {self.got:<12.5g} for {self.true:<12.5g}"


@dataclass(frozen=True)
class Verdict:
    """One expression: by the chain rule in floats, as written, and by graphc."""

    tree: Tree
    dtype: str
    written: Loss
    compiled: Loss

    @property
    def text(self) -> str:
        return text(self.tree)


def by_graphc(tree: Tree, x: np.ndarray) -> list[np.ndarray]:
    """Value, first and second derivative, after all passes over the graph, by the interpreter."""
    leaf = gx.tensor("x", (len(x),), x.dtype.name)
    value = node(tree, leaf)
    first = gx.grad(gx.sum(value), leaf)
    second = gx.grad(gx.sum(first), leaf, disconnected="zero")
    return evaluate(simplify(Graph((leaf,), (value, first, second))).outputs, {leaf: x})


def judge(tree: Tree, dtype: str) -> Verdict | None:
    """None where the expression has no value anywhere, or is not differentiable in graphc."""
    x = points(dtype)
    truth = [exact(tree, float(v)) for v in x]
    if not any(truth):
        return None
    try:
        compiled = by_graphc(tree, x)
    except GraphcError:
        return None
    return Verdict(tree, dtype, worst(x, in_floats(tree, x), truth), worst(x, compiled, truth))


@lru_cache(maxsize=4096)
def exact(tree: Tree, x: float) -> Sequence[Any] | None:
    return derivatives(tree, x)


def worst(x: np.ndarray, found: Sequence[np.ndarray], truth: Sequence[Sequence[Any] | None]) -> Loss:
    """The largest loss over points and orders; of equal ones the first in the lowest order."""
    most = Loss(0.0)
    for order, values in enumerate(found):
        for at, value, true in zip(x, values, truth):
            if true is None or not in_range(at, true, order, values.dtype):
                continue
            digits = lost(float(at), float(value), true[order], true[order + 1], values.dtype)
            if digits > most.digits + 1e-9:
                most = Loss(digits, order, float(at), float(value), float(true[order]))
    return most


def in_range(at: float, true: Sequence[Any], order: int, dtype: np.dtype) -> bool:
    """A derivative is asked for where the function and its lower derivatives are numbers of the dtype."""
    most = mp.mpf(float(np.finfo(dtype).max)) / 8
    return all(abs(t) < most for t in true[:order])


def lost(x: float, value: float, true: Any, slope: Any, dtype: np.dtype) -> float:
    """Digits."""
    info = np.finfo(dtype)
    most, tiny, eps = float(info.max), float(info.tiny), float(info.eps)
    if abs(true) > most / 4 or eps * abs(x * slope) > abs(true):  # half an ulp in x leaves no digit
        return 0.0
    if not math.isfinite(value):
        return ALL
    scale = max(abs(true), abs(x * slope), mp.mpf(tiny) / eps)
    error = abs(mp.mpf(value) - true) / (scale * eps)
    return min(max(0.0, float(mp.log10(error))), -math.log10(eps)) if error > 1 else 0.0
