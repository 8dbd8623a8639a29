"""Comparisons, logic, bits, tests for special values; `where` and `stop_gradient`. Beside those two nothing here is differentiable."""

from __future__ import annotations

import math

import numpy as np

from graphc import scalars
from graphc.dtypes import bool_, promote
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, make
from graphc.loopform import LoopForm
from graphc.ops.masked import Masked, lifted
from graphc.ops.registry import ArrayLike, asarray, structural
from graphc.ops.rows import PUBLIC, elementwise, fit, weak_dtype
from graphc.ops.spread import astype, broadcast_to
from graphc.traits import Traits
from graphc.types import TensorType, same_size, tensor_type


def zeros_as(x: Node) -> Node:
    """0 in the dtype and shape of x: the derivative of what is piecewise constant."""
    return broadcast_to(asarray(0.0, x.dtype), x.shape)


# -- comparisons: ordered, but `not_equal` is true where an operand is nan ------------------------------------------
equal = elementwise("equal", 2, "x == y.", ref=np.equal, vjp=None, emit=lambda s, x, y: x.eq(y), dtype="compare", commutative=True)
not_equal = elementwise(
    "not_equal", 2, "x != y, true where either is nan.", ref=np.not_equal, vjp=None, emit=lambda s, x, y: x.ne(y), dtype="compare",
    commutative=True,
)  # fmt: skip
less = elementwise("less", 2, "x < y.", ref=np.less, vjp=None, emit=lambda s, x, y: x < y, dtype="compare")
less_equal = elementwise("less_equal", 2, "x <= y.", ref=np.less_equal, vjp=None, emit=lambda s, x, y: x <= y, dtype="compare")
greater = elementwise("greater", 2, "x > y.", ref=np.greater, vjp=None, emit=lambda s, x, y: x > y, dtype="compare")
greater_equal = elementwise("greater_equal", 2, "x >= y.", ref=np.greater_equal, vjp=None, emit=lambda s, x, y: x >= y, dtype="compare")

# -- logic: operands that are not bool count as x != 0 ----------------------------------------------------------------
logical_and = elementwise(
    "logical_and", 2, "True where both are nonzero.", ref=np.logical_and, vjp=None, emit=lambda s, x, y: x & y, dtype="logical",
    commutative=True,
)  # fmt: skip
logical_or = elementwise(
    "logical_or", 2, "True where either is nonzero.", ref=np.logical_or, vjp=None, emit=lambda s, x, y: x | y, dtype="logical",
    commutative=True,
)  # fmt: skip
logical_xor = elementwise(
    "logical_xor", 2, "True where just one is nonzero.", ref=np.logical_xor, vjp=None, emit=lambda s, x, y: x ^ y, dtype="logical",
    commutative=True,
)  # fmt: skip
logical_not = elementwise("logical_not", 1, "True where x is zero.", ref=np.logical_not, vjp=None, emit=lambda s, x: ~x, dtype="logical")

# -- bits ---------------------------------------------------------------------------------------------------------------
bitwise_and = elementwise(
    "bitwise_and", 2, "x & y, bit by bit.", ref=np.bitwise_and, vjp=None, emit=lambda s, x, y: x & y, dtype="same", kinds="iub",
    commutative=True,
)  # fmt: skip
bitwise_or = elementwise(
    "bitwise_or", 2, "x | y, bit by bit.", ref=np.bitwise_or, vjp=None, emit=lambda s, x, y: x | y, dtype="same", kinds="iub",
    commutative=True,
)  # fmt: skip
bitwise_xor = elementwise(
    "bitwise_xor", 2, "x ^ y, bit by bit.", ref=np.bitwise_xor, vjp=None, emit=lambda s, x, y: x ^ y, dtype="same", kinds="iub",
    commutative=True,
)  # fmt: skip
invert = elementwise(
    "invert", 1, "~x: every bit flipped; not x for bool.", ref=np.invert, vjp=None, emit=lambda s, x: ~x, dtype="same", kinds="iub",
)  # fmt: skip
left_shift = elementwise(
    "left_shift", 2, "x * 2**n, wrapping; 0 where n is negative or reaches the width.", ref=np.left_shift, vjp=None,
    emit=lambda s, x, n: s.shift_left(x, n), dtype="number", kinds="iu", domain=((-40, 40), (0, 9)),
)  # fmt: skip
right_shift = elementwise(
    "right_shift", 2, "floor(x / 2**n); 0, or -1 for x < 0, where n is negative or reaches the width.", ref=np.right_shift, vjp=None,
    emit=lambda s, x, n: s.shift_right(x, n, arithmetic=x.dtype.kind == "i"), dtype="number", kinds="iu", domain=((-40, 40), (0, 9)),
)  # fmt: skip

# -- special values; False for integers ---------------------------------------------------------------------------------
isnan = elementwise(
    "isnan", 1, "True where x is nan.", ref=np.isnan, vjp=None, dtype="compare",
    emit=lambda s, x: x.ne(x) if x.dtype.kind == "f" else s.const(False, bool_),
)  # fmt: skip
isinf = elementwise(
    "isinf", 1, "True where x is inf or -inf.", ref=np.isinf, vjp=None, dtype="compare",
    emit=lambda s, x: abs(x).eq(math.inf) if x.dtype.kind == "f" else s.const(False, bool_),
)  # fmt: skip
isfinite = elementwise(
    "isfinite", 1, "True where x is neither infinite nor nan.", ref=np.isfinite, vjp=None, dtype="compare",
    emit=lambda s, x: abs(x) < math.inf if x.dtype.kind == "f" else s.const(True, bool_),
)  # fmt: skip


# -- select -------------------------------------------------------------------------------------------------------------
def _select_type(c: TensorType, a: TensorType, b: TensorType) -> TensorType:
    if c.dtype != bool_ or a.dtype != b.dtype:
        fail(DTypeError, f"select: needs a bool and two values of one dtype, got {c}, {a}, {b}")
    for other in (c, b):
        if other.shape is not a.shape and not (len(other.shape) == len(a.shape) and all(map(same_size, a.shape, other.shape))):
            fail(ShapeError, f"select: shapes {a} and {other} differ")
    return tensor_type(a.dtype, a.shape)


SELECT = structural(
    "select", 3, "a where c, else b; the value and the derivative of the branch not taken have no influence, nan included.",
    type_rule=_select_type, ref=np.where, vjp=lambda g, out, c, a, b: (None, where(c, g, 0.0), where(c, 0.0, g)), elementwise=True,
    linear_in=(1, 2), loop=lambda node: LoopForm(lambda read, at, r: scalars.select(read(0, at), read(1, at), read(2, at))),
    traits=Traits(masks=lambda out, c, a, b: (None, c, logical_not(c)), keeps_zeros=True),
)  # fmt: skip


def where(c: ArrayLike, a: ArrayLike, b: ArrayLike) -> Node:
    """a where c, else b, elementwise, with NumPy's broadcasting and promotion of a and b; c counts as c != 0.

    The derivative with respect to the branch that is not taken is exactly 0, even where its own derivative is infinite or nan.
    Raises ShapeError, DTypeError.
    """
    if isinstance(a, Node) and isinstance(b, Node) and isinstance(c, Node) and a.type is b.type and c.dtype == bool_ and c.shape == a.shape:
        return make(SELECT, (c, a, b))
    if isinstance(a, Masked) or isinstance(b, Masked) or isinstance(c, Masked):
        return lifted(where, (c, a, b))  # type: ignore[return-value]
    dtype = promote(weak_dtype(a, "where"), weak_dtype(b, "where"))
    branches = [astype(asarray(v, dtype if is_weak(v) else None), dtype) for v in (a, b)]
    return make(SELECT, tuple(fit([astype(asarray(c), bool_), *branches], None, "where")))


def is_weak(value: object) -> bool:
    """True for Python numbers and sizes, which take the dtype of what they meet."""
    return not isinstance(value, Node) and not isinstance(weak_dtype(value), np.dtype)  # type: ignore[arg-type]


# -- stop_gradient --------------------------------------------------------------------------------------------------------
STOP_GRADIENT = structural(
    "stop_gradient", 1, "x, taken as a constant by differentiation.", type_rule=lambda x: x, ref=lambda x: x,
    vjp=lambda g, out, x: (zeros_as(x),), jvp=lambda out, inputs, tangents: None, elementwise=True,
    loop=lambda node: LoopForm(lambda read, at, r: read(0, at)), batch=lambda inputs, mapped: stop_gradient(inputs[0]),
    traits=Traits(moves="same", stops=True),
)  # fmt: skip


def stop_gradient(x: ArrayLike) -> Node:
    """x itself, with derivative 0 by definition: `grad` gives zeros through it, and does not call them disconnected."""
    return make(STOP_GRADIENT, (asarray(x),))


PUBLIC |= {"where": where, "stop_gradient": stop_gradient}

__all__ = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "equal", "greater", "greater_equal", "invert", "isfinite", "isinf", "isnan", "left_shift",
    "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal", "right_shift", "stop_gradient", "where",
]  # fmt: skip
