"""Bijectors of single numbers, and affine maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops import elementwise as e
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.create import tril
from graphc.ops.diagonals import diagonal
from graphc.ops.reductions import sum
from graphc.ops.registry import CONSTANT, ArrayLike, asarray
from graphc.ops.shape import expand_dims
from graphc.ops.special.entropy import logit
from graphc.ops.special.hyperbolic import log1mexp
from graphc.stats.bijectors.base import Bijector, chain
from graphc.stats.functions import whitened
from graphc.stats.parameters import Constraint, checked, nodes, of_one_dtype


@dataclass(frozen=True, eq=False, repr=False)
class Elementwise(Bijector):
    """A bijector of every element by itself."""

    name: str
    map: Callable[[Node], Node]
    back: Callable[[Node], Node]
    log_slope: Callable[[Node], Node]

    def __repr__(self) -> str:
        return f"gx.stats.bijectors.{self.name}"

    def forward(self, x: ArrayLike) -> Node:
        return self.map(self._float(x))

    def inverse(self, y: ArrayLike) -> Node:
        return self.back(self._float(y))

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        return self.log_slope(self._float(x))

    def _float(self, x: ArrayLike) -> Node:
        return nodes(self.name, [x])[0]


exp = Elementwise("exp", e.exp, e.log, lambda x: x)
softplus = Elementwise("softplus", e.softplus, lambda y: y + log1mexp(-y), e.log_sigmoid)
sigmoid = Elementwise("sigmoid", e.sigmoid, logit, lambda x: e.log_sigmoid(x) + e.log_sigmoid(-x))


@dataclass(frozen=True, eq=False)
class Affine(Bijector):
    """loc + scale x, see `affine`."""

    loc: ArrayLike
    scale: ArrayLike

    def forward(self, x: ArrayLike) -> Node:
        point, loc, scale = self._with(x)
        return loc + scale * point

    def inverse(self, y: ArrayLike) -> Node:
        point, loc, scale = self._with(y)
        return (point - loc) / scale

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        point, loc, scale = self._with(x)
        return e.log(size_of(scale)) + 0.0 * (point + loc)

    def _with(self, x: ArrayLike) -> list[Node]:
        return nodes("affine", [x, self.loc, self.scale])


@dataclass(frozen=True, eq=False)
class AffineVectors(Bijector):
    """loc + l x of vectors, see `affine`."""

    loc: ArrayLike
    scale_tril: ArrayLike
    rank = rank_out = 1

    def forward(self, x: ArrayLike) -> Node:
        point, loc, root = self._with(x)
        return loc + sum(root * expand_dims(point, -2), -1)

    def inverse(self, y: ArrayLike) -> Node:
        point, loc, root = self._with(y)
        return whitened(root, point - loc)

    def log_det_jacobian(self, x: ArrayLike) -> Node:
        point, loc, root = self._with(x)
        return sum(e.log(size_of(diagonal(root, 0, -2, -1))) + 0.0 * (point + loc), -1)

    def _with(self, x: ArrayLike) -> tuple[Node, Node, Node]:
        point, loc, root = of_one_dtype("affine", [x, self.loc, self.scale_tril])
        return point, loc, tril(root)


NOT_0 = Constraint("not 0", lambda v: v != 0)


def affine(loc: ArrayLike = 0, scale: ArrayLike | None = None, *, scale_tril: ArrayLike | None = None) -> Bijector:
    """loc + scale x of numbers, or loc + l x of vectors with a lower triangle scale_tril = l (d, d), whose upper part is not read.

    log_det_jacobian: log|scale|, or the sum of log|l[i, i]|. Raises ArgumentError for both and for a constant scale of 0, ShapeError.
    """
    if scale_tril is not None:
        if scale is not None:
            fail(ArgumentError, "affine takes scale or scale_tril, not both")
        if asarray(scale_tril).ndim < 2:
            fail(ShapeError, "affine: scale_tril is a matrix", asarray(scale_tril))
        return AffineVectors(loc, scale_tril)
    scale = 1 if scale is None else scale
    checked("affine", "scale", NOT_0, asarray(scale))
    return Affine(loc, scale)


def interval(low: ArrayLike, high: ArrayLike) -> Bijector:
    """All numbers to those between low and high: low + (high - low) sigmoid(x). Bounds broadcast against x.

    Raises ArgumentError unless constant bounds are in order, and finite: above one bound it is chain(affine(low), exp).
    """
    lower, upper = asarray(low), asarray(high)
    if lower.op is CONSTANT and upper.op is CONSTANT:
        width = np.asarray(upper.attrs["value"].array - lower.attrs["value"].array)
        if not (np.isfinite(width) & (width > 0)).all():
            fail(ArgumentError, "interval: finite bounds with low < high are needed", lower, upper, hint="chain(affine(low), exp)")
        return chain(Affine(low, width.item() if width.ndim == 0 else width), sigmoid)
    return chain(Affine(low, upper - lower), sigmoid)
