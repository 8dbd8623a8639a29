"""logit, entropies and divergences of single probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphc.ir import Node
from graphc.ops.compare import where
from graphc.ops.elementwise import log, log1p
from graphc.ops.rows import elementwise
from graphc.ops.special import reference as r
from graphc.ops.special.error import of_math
from graphc.ops.special.reference import each
from graphc.scalars import Scalar

_POSITIVE = ((0.1, 4.0), (0.1, 4.0))


def _of_two(name: str) -> Callable[..., Scalar]:
    return lambda s, x, y: s.math(name, x, y)


def _logit_ref(x: np.ndarray) -> Any:
    near = (x > 0.25) & (x < 0.75)
    middle = np.where(near, x, x.dtype.type(0.5))
    return np.where(near, np.log1p((2 * middle - 1) / (1 - middle)), np.log(x) - np.log1p(-x))


logit = elementwise(
    "logit", 1,
    "log(x / (1 - x)), the inverse of expit: accurate near 0, 1/2 and 1; -inf at 0, inf at 1, nan outside [0, 1]. Closed under "
    "differentiation: 1 / x + 1 / (1 - x).",
    ref=_logit_ref, emit=of_math("logit"), vjp=lambda g, out, x: (g * (1 / x + 1 / (1 - x)),), costly=True, domain=(0.05, 0.95),
)  # fmt: skip


# -- x log x -------------------------------------------------------------------------------------------------------------------------
def _emit_entr(s: ModuleType, x: Scalar) -> Scalar:
    value = -(x * s.math("log", s.select(x > 0.0, x, 1.0)))
    return s.select(x > 0.0, value, s.select(x.eq(0.0), 0.0, s.select(x < 0.0, x.like(-math.inf), x)))  # type: ignore[no-any-return]


def _entr_ref(x: np.ndarray) -> Any:
    return np.where(x > 0, -x * np.log(x), np.where(x == 0, x.dtype.type(0), np.where(x < 0, x.dtype.type(-np.inf), x)))


entr = elementwise(
    "entr", 1,
    "-x log(x), 0 at 0, -inf for x < 0. Closed under differentiation: -1 - log(x), which is inf at 0 and nan for x < 0.",
    ref=_entr_ref, emit=_emit_entr, vjp=lambda g, out, x: (g * (-1 - log(x)),), costly=True, domain=(0.1, 4.0),
)  # fmt: skip


def _xlog1py_ref(x: np.ndarray, y: np.ndarray) -> Any:
    return np.where((x == 0) & ~np.isnan(y), x.dtype.type(0), x * np.log1p(y))


xlog1py = elementwise(
    "xlog1py", 2,
    "x log(1 + y), 0 where x = 0; at x = 0, y = -1 its derivative with respect to y is 0. Closed under differentiation: log(1 + y) and "
    "x / (1 + y).",
    ref=_xlog1py_ref, costly=True, domain=((-4.0, 4.0), (-0.9, 4.0)),
    vjp=lambda g, out, x, y: (g * log1p(y), g * (x / where((x == 0) & (y == -1), 1.0, 1 + y))),
    emit=lambda s, x, y: s.select(x.eq(0.0) & y.eq(y), x.like(0.0), x * s.math("log1p", y)),
)  # fmt: skip


def _not_0(x: Node, y: Node) -> Node:
    """y, 1 where both are 0: there x / y counts as 0."""
    return where((x == 0) & (y == 0), 1.0, y)


# -- x log(x / y) ----------------------------------------------------------------------------------------------------------------------
log_ratio: Callable[..., Node] = elementwise(
    "log_ratio", 2, "log(x / y) of positive numbers, by log1p((x - y) / y) where x is nearly y; the quotient may leave the range.",
    ref=each(r.log_ratio), emit=_of_two("log_ratio"), vjp=lambda g, out, x, y: (g / x, -(g / y)), costly=True, domain=_POSITIVE,
)  # fmt: skip
rel_entr = elementwise(
    "rel_entr", 2,
    "x log(x / y) for x, y > 0, 0 for x = 0 and y >= 0, else inf. Closed under differentiation: 1 + log(x / y) and -x / y.",
    ref=each(r.rel_entr), emit=_of_two("rel_entr"), costly=True, domain=_POSITIVE,
    vjp=lambda g, out, x, y: (g * (1 + log_ratio(x, y)), -(g * (x / _not_0(x, y)))),
)  # fmt: skip
relative_gap: Callable[..., Node] = elementwise(
    "relative_gap", 2, "(y - x) / y, the derivative of kl_div by y; 0 at x = y = 0.", costly=True, domain=_POSITIVE,
    ref=lambda x, y: (y - x) / np.where((x == 0) & (y == 0), x.dtype.type(1), y),
    emit=lambda s, x, y: (y - x) / s.select(x.eq(0.0) & y.eq(0.0), 1.0, y),
    vjp=lambda g, out, x, y: (-(g / _not_0(x, y)), g * ((x / _not_0(x, y)) / _not_0(x, y))),
)  # fmt: skip
kl_div = elementwise(
    "kl_div", 2,
    "x log(x / y) - x + y for x, y > 0, accurate where x is nearly y; y for x = 0 and y >= 0, else inf. Closed under differentiation: "
    "log(x / y) and (y - x) / y.",
    ref=each(r.kl_div), emit=_of_two("kl_div"), costly=True, domain=_POSITIVE,
    vjp=lambda g, out, x, y: (g * log_ratio(x, y), g * relative_gap(x, y)),
)  # fmt: skip

__all__ = ["entr", "kl_div", "logit", "rel_entr", "xlog1py"]
