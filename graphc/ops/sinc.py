"""`sinc` and all of its derivatives: one op with an order.

    sinc(x)      = sin(pi x) / (pi x), 1 at 0
    its k-th derivative = pi**k * integral over t from 0 to 1 of t**k cos(pi x t + k pi/2)

Near 0 that is a power series; elsewhere x s_k = pi**(k-1) sin(pi x + k pi/2) - k s_(k-1), by which each order follows from the one before.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from graphc import scalars
from graphc.dtypes import float64, is_float
from graphc.errors import DTypeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.spread import astype
from graphc.scalars import Scalar
from graphc.types import TensorType

PI = math.pi


def _near(order: int) -> float:
    """Below this |pi x| the series is used: where the steps from order to order, by k / |pi x|, begin to lose more than it does."""
    return max(1.5, order / math.e + 0.7) if order else 0.0


def _coefficients(order: int, dtype: np.dtype) -> list[float]:
    """Of u**k, u**(k+2), .. with u = pi x and k = order % 2: (-1)**((m + order)/2) pi**order / (m! (m + order + 1))."""
    if order == 0:
        return [1.0]  # at 0 alone
    last, eps, found = _near(order), float(np.finfo(dtype).eps), []
    for m in range(order % 2, 400, 2):
        found.append((-1) ** ((m + order) // 2) * PI**order / (math.factorial(m) * (m + order + 1)))
        if abs(found[-1]) * last**m < eps / 8 * abs(found[0]):
            break
    return found


def _emit(s: ModuleType, x: Scalar, order: int) -> Scalar:
    u = x * PI
    r = x - s.unary("rint", x * 0.5) * 2.0  # in -1..1, exact
    inside = s.unary("abs", r) <= 0.5
    folded = s.select(inside, r, s.copysign(x.like(1.0), r) - r) * PI
    sine = s.math("sin", folded)
    value = sine / u
    if order == 0:
        return s.select(x.eq(0.0), 1.0, value)  # type: ignore[no-any-return]
    cosine = s.math("cos", folded)
    turned = (sine, s.select(inside, cosine, -cosine))
    for k in range(1, order + 1):
        part = turned[k % 2] * (PI ** (k - 1) * (1, 1, -1, -1)[k % 4])
        value = (part - value * float(k)) / x
    square, series = u * u, None
    for c in reversed(_coefficients(order, x.dtype)):
        series = x.like(c) if series is None else s.fma(series, square, c)
    assert series is not None
    return s.select(s.unary("abs", u) < _near(order), series * u if order % 2 else series, value)  # type: ignore[no-any-return]


def _sinc_ref(x: np.ndarray, order: int) -> Any:
    """The same in NumPy, in double."""
    wide = x.astype(float64)
    u, r = wide * PI, wide - np.rint(wide * 0.5) * 2
    inside = np.abs(r) <= 0.5
    folded = np.where(inside, r, np.copysign(1.0, r) - r) * PI
    sine, cosine = np.sin(folded), np.where(inside, np.cos(folded), -np.cos(folded))
    value = sine / u
    for k in range(1, order + 1):
        value = ((sine, cosine)[k % 2] * (PI ** (k - 1) * (1, 1, -1, -1)[k % 4]) - k * value) / wide
    series = np.zeros_like(wide)
    for c in reversed(_coefficients(order, np.dtype(float64))):
        series = series * (u * u) + c
    series = series * u if order % 2 else series
    return np.where(np.abs(u) < _near(order) if order else wide == 0, series, value).astype(x.dtype)


def _sinc_type(x: TensorType, order: int) -> TensorType:
    if not is_float(x.dtype):
        fail(DTypeError, f"sinc: needs floats, got {x}")
    return x


SINC: Op = structural(
    "sinc", 1, "The derivative of sin(pi x) / (pi x) of order `order`; order 0 is the function.", params=("order",), type_rule=_sinc_type,
    ref=_sinc_ref, vjp=lambda g, out, x, order: (g * make(SINC, (x,), (order + 1,)),), elementwise=True, costly=True,
    loop=lambda node: LoopForm(lambda read, at, r: _emit(scalars, read(0, at), node.params[0])),
    batch=lambda inputs, mapped, order: make(SINC, (inputs[0],), (order,)),
)  # fmt: skip


def sinc(x: ArrayLike) -> Node:
    """sin(pi x) / (pi x), 1 at 0 and exactly 0 at the other integers; nan at infinity, as in NumPy. Integers and bool give float64.

    Derivatives of every order are finite, at 0 too: they come from a power series there.
    """
    node = asarray(x)
    return make(SINC, (node if is_float(node.dtype) else astype(node, float64),), (0,))


__all__ = ["sinc"]
