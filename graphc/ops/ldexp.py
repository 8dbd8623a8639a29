"""`ldexp`: a float times a power of two, with one rounding; what `frexp` undoes."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from graphc import scalars
from graphc.dtypes import float64, int32, int64, is_float, is_integer, to_float
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.rows import PUBLIC, fit
from graphc.ops.spread import astype
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size


def _ldexp_type(x: TensorType, n: TensorType) -> TensorType:
    if not is_float(x.dtype) or n.dtype != int64:
        fail(DTypeError, f"ldexp: needs a float and an int64, got {x} and {n}")
    if len(x.shape) != len(n.shape) or not all(map(same_size, x.shape, n.shape)):
        fail(ShapeError, f"ldexp: shapes {x} and {n} differ")
    return x


def _emit(s: ModuleType, x: Scalar, n: Scalar) -> Scalar:
    """Twice a step towards n, of numbers that lose nothing on the way: downwards a step ends above what a last factor makes subnormal."""
    whole, bits, bias = (int64, 52, 1023) if x.dtype == float64 else (int32, 23, 127)
    down = bias - 1 - (bits + 1)  # a factor 2**-down leaves no subnormal number that the last factor does not make 0
    n = s.select(n < -4 * bias, -4 * bias, s.select(n > 4 * bias, n.like(4 * bias), n)).cast(whole)
    for _ in range(2):
        low, high = n < -(bias - 1), n > bias
        x = s.select(low, x * 2.0**-down, s.select(high, x * 2.0**bias, x))
        n = s.select(low, n + down, s.select(high, n - bias, n))
    n = s.select(n < -(bias - 1), n.like(-(bias - 1)), s.select(n > bias, n.like(bias), n))
    power: Scalar = s.shift_left(n + bias, bits)
    return x * power.bitcast(x.dtype)


LDEXP: Op = structural(
    "ldexp", 2, "x * 2**n, rounded once, for a float x and an int64 n.", type_rule=_ldexp_type, elementwise=True, linear_in=(0,),
    ref=lambda x, n: np.ldexp(x, np.clip(n, -5000, 5000).astype(int32)), vjp=lambda g, out, x, n: (make(LDEXP, (g, n)), None),
    loop=lambda node: LoopForm(lambda read, at, r: _emit(scalars, read(0, at), read(1, at))), traits=Traits(keeps_zeros=True),
)  # fmt: skip


def ldexp(x1: ArrayLike, x2: ArrayLike) -> Node:
    """x1 * 2**x2 for an integer x2, with one rounding: ldexp(*frexp(x)) is x. NumPy's broadcasting; integers x1 count as floats.

    The derivative by x1 is 2**x2. Raises DTypeError for an x2 of floats, ShapeError.
    """
    x, n = asarray(x1), asarray(x2)
    if not is_integer(n.dtype) and n.dtype.kind != "b":
        fail(DTypeError, "ldexp: the exponents must be integers", n, hint="x * gx.exp2(y) for any power")
    dtype = to_float(x.dtype) if not isinstance(x1, (int, float)) or isinstance(x1, np.generic) else float64
    exponent = astype(n, int64) if n.dtype != np.uint64 else astype(PUBLIC["minimum"](n, 5000), int64)
    return make(LDEXP, tuple(fit([astype(x, dtype), exponent], None, "ldexp")))


PUBLIC["ldexp"] = ldexp

__all__ = ["ldexp"]
