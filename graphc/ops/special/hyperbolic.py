"""Rows that a formula with exponentials becomes where its parts overflow or cancel, closed under differentiation.

    sech(x) = 1 / cosh(x), csch(x) = 1 / sinh(x), log_cosh(x) = log(cosh(x)), log1mexp(x) = log(1 - e**x), over_expm1(x) = 1 / (e**x - 1),
    root_one_plus(x) = sqrt(1 + x**2), over_root_one_plus(x) = x / sqrt(1 + x**2)

Nobody writes these names: rules put them where the formulas stand, as they do with `tanh_slope`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphc.ir import Node
from graphc.ops.arithmetic import square
from graphc.ops.elementwise import arcsinh_slope, tanh
from graphc.ops.rows import elementwise
from graphc.scalars import Scalar

LN2 = math.log(2.0)
FLAT = 20.0  # from here on log(cosh(x)) = x - log(2) in f64


def _emit_log_cosh(s: ModuleType, x: Scalar) -> Scalar:
    """cosh(x) = 1 + 2 sinh(x/2)**2, and beyond FLAT a straight line."""
    size = s.unary("abs", x)
    near = s.minimum(size, FLAT)
    half = s.math("sinh", near * 0.5)
    return s.math("log1p", (half + half) * half) + (size - near)  # type: ignore[no-any-return]


def _log_cosh_ref(x: np.ndarray) -> Any:
    size = np.abs(x)
    near = np.minimum(size, x.dtype.type(FLAT))
    return np.log1p(2 * np.square(np.sinh(near / 2))) + np.where(size == near, x.dtype.type(0), size - near)


def _emit_log1mexp(s: ModuleType, x: Scalar) -> Scalar:
    return s.select(x > -LN2, s.math("log", -s.math("expm1", x)), s.math("log1p", -s.math("exp", x)))  # type: ignore[no-any-return]


def _log1mexp_ref(x: np.ndarray) -> Any:
    return np.where(x > -LN2, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


sech: Callable[..., Node] = elementwise(
    "sech", 1, "1 / cosh(x): even, 0 where cosh overflows, and so are its derivatives.", ref=lambda x: 1 / np.cosh(x), costly=True,
    vjp=lambda g, out, x: (-(g * (out * tanh(x))),), emit=lambda s, x: 1.0 / s.math("cosh", x),
)  # fmt: skip
csch: Callable[..., Node] = elementwise(
    "csch", 1, "1 / sinh(x): odd, 0 where sinh overflows, and so are its derivatives.", ref=lambda x: 1 / np.sinh(x), costly=True,
    vjp=lambda g, out, x: (-(g * (out / tanh(x))),), emit=lambda s, x: 1.0 / s.math("sinh", x), domain=(0.2, 4.0),
)  # fmt: skip
log_cosh: Callable[..., Node] = elementwise(
    "log_cosh", 1, "log(cosh(x)), never overflowing, with all its digits near 0.", ref=_log_cosh_ref, emit=_emit_log_cosh, costly=True,
    vjp=lambda g, out, x: (g * tanh(x),),
)  # fmt: skip
over_expm1: Callable[..., Node] = elementwise(
    "over_expm1", 1, "1 / (e**x - 1), whose derivative is its product with its value at -x.", ref=lambda x: 1 / np.expm1(x), costly=True,
    vjp=lambda g, out, x: (g * (out * over_expm1(-x)),), emit=lambda s, x: 1.0 / s.math("expm1", x), domain=(0.2, 4.0),
)  # fmt: skip
log1mexp: Callable[..., Node] = elementwise(
    "log1mexp", 1, "log(1 - e**x) for x <= 0: by expm1 where e**x is near 1, by log1p where it is small; nan for x > 0.",
    ref=_log1mexp_ref, vjp=lambda g, out, x: (-(g * over_expm1(-x)),), emit=_emit_log1mexp, costly=True, domain=(-4.0, -0.1),
)  # fmt: skip


# -- of the point (1, x): its distance and its sine -------------------------------------------------------------------------
def _far(x: Scalar) -> Any:
    """Where 1 + x*x is x*x to the last digit."""
    return abs(x) > (2.0**13 if x.dtype.itemsize == 4 else 2.0**28)


root_one_plus: Callable[..., Node] = elementwise(
    "root_one_plus", 1, "sqrt(1 + x**2), which does not overflow before x does.", ref=lambda x: np.hypot(np.ones_like(x), x), costly=True,
    vjp=lambda g, out, x: (g * over_root_one_plus(x),), emit=lambda s, x: s.select(_far(x), abs(x), s.sqrt(x * x + 1.0)),
)  # fmt: skip
over_root_one_plus: Callable[..., Node] = elementwise(
    "over_root_one_plus", 1, "x / sqrt(1 + x**2): odd, 1 at inf.", costly=True,
    ref=lambda x: np.where(np.isinf(x), np.sign(x), x / np.hypot(np.ones_like(x), x)),
    vjp=lambda g, out, x: (g * (arcsinh_slope(x) * square(arcsinh_slope(x))),),
    emit=lambda s, x: s.select(_far(x), s.copysign(x.like(1.0), x), x / s.sqrt(x * x + 1.0)),
)  # fmt: skip

__all__: list[str] = []
