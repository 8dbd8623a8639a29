"""NumPy's elementwise functions that are formulas of the rows: angles, signs, parts of complex numbers, comparisons with a tolerance.

Fused, such a formula costs what a row would; its derivatives are those of its rows.
"""

from __future__ import annotations

import math

import numpy as np

from graphc import dims
from graphc.dtypes import bool_, float64, is_float, is_integer, promote, to_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as size_of
from graphc.ops.arithmetic import maximum, minimum, sign
from graphc.ops.arithmetic import round as nearest
from graphc.ops.compare import isfinite, isinf, isnan, where, zeros_as
from graphc.ops.elementwise import power
from graphc.ops.reductions import all as every
from graphc.ops.reductions import any as some
from graphc.ops.registry import ArrayLike, asarray
from graphc.ops.rows import fit, weak_dtype
from graphc.ops.shape import expand_dims, in_dtype, ravel
from graphc.ops.spread import astype, broadcast_to
from graphc.ops.ufuncs import copysign, gcd, nextafter


def _floats(x: ArrayLike) -> Node:
    """x in the dtype in which functions of floats take it."""
    number = isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic))
    return asarray(x, float64) if number else astype(asarray(x), to_float(asarray(x).dtype))


# -- angles -------------------------------------------------------------------------------------------------------------
def deg2rad(x: ArrayLike) -> Node:
    """x * (pi / 180): degrees in radians. Integers give floats. Raises DTypeError."""
    return _floats(x) * (math.pi / 180)


def rad2deg(x: ArrayLike) -> Node:
    """x * (180 / pi): radians in degrees. Integers give floats. Raises DTypeError."""
    return _floats(x) * (180 / math.pi)


def radians(x: ArrayLike) -> Node:
    """x * (pi / 180), as `deg2rad`."""
    return deg2rad(x)


def degrees(x: ArrayLike) -> Node:
    """x * (180 / pi), as `rad2deg`."""
    return rad2deg(x)


def angle(z: ArrayLike, deg: bool = False) -> Node:
    """The angle of a real number: 0, or pi (180 in degrees) where the sign bit is set; nan for nan. Its derivative is 0."""
    node = _floats(z if asarray(z).dtype != bool_ else astype(asarray(z), "int64"))
    return where(signbit(node), 180.0 if deg else math.pi, zeros_as(node) * sign(node))


# -- signs ----------------------------------------------------------------------------------------------------------------
def positive(x: ArrayLike) -> Node:
    """x. Raises DTypeError for bool, as NumPy."""
    node = asarray(x)
    if node.dtype == bool_:
        fail(DTypeError, "positive: not defined for bool", node, hint="cast with .astype")
    return node


def fabs(x: ArrayLike) -> Node:
    """|x| as a float; its derivative at 0 is 0."""
    return size_of(_floats(x))


def rint(x: ArrayLike) -> Node:
    """The nearest integer, half to even, as a float. Its derivative is 0. See `round` for decimals and for integers that stay."""
    return nearest(_floats(x))


def signbit(x: ArrayLike) -> Node:
    """True where the sign bit is set: of negative numbers, -0.0, -inf, and of the nan that have it."""
    node = asarray(x)
    return node < 0 if is_integer(node.dtype) or node.dtype == bool_ else copysign(1.0, node) < 0


def heaviside(x1: ArrayLike, x2: ArrayLike) -> Node:
    """The step function: 0 for x1 < 0, x2 for x1 = 0, 1 for x1 > 0, nan for nan. Its derivative by x1 is 0, by x2 1 where x1 = 0."""
    x, y = [_floats(v) for v in _promoted(x1, x2)]
    return where(x == 0, y, 0.5 * (sign(x) + 1))


def _promoted(*operands: ArrayLike) -> list[Node]:
    """The operands in their common dtype; Python numbers are weak."""
    dtype = promote(*[weak_dtype(v) for v in operands])
    return [in_dtype(v, dtype) for v in operands]


def fmax(x1: ArrayLike, x2: ArrayLike) -> Node:
    """The larger of x1 and x2, the other one where one is nan; a tie splits the derivative evenly. `maximum` gives nan there."""
    x, y = _promoted(x1, x2)
    return maximum(x, y) if not is_float(x.dtype) else where(isnan(x), y, where(isnan(y), x, maximum(x, y)))


def fmin(x1: ArrayLike, x2: ArrayLike) -> Node:
    """The smaller of x1 and x2, the other one where one is nan; a tie splits the derivative evenly. `minimum` gives nan there."""
    x, y = _promoted(x1, x2)
    return minimum(x, y) if not is_float(x.dtype) else where(isnan(x), y, where(isnan(y), x, minimum(x, y)))


# -- powers and neighbours ----------------------------------------------------------------------------------------------
def float_power(x1: ArrayLike, x2: ArrayLike) -> Node:
    """x1**x2 computed in float64, whatever the dtypes; nan for x1 < 0 unless x2 is an integer."""
    return power(asarray(x1, float64), asarray(x2, float64))


def spacing(x: ArrayLike) -> Node:
    """From x to the next float away from 0, with the sign of x (both zeros: positive); nan at infinity. Its derivative is 0."""
    node = _floats(x)
    return nextafter(node, where(node < 0, asarray(-math.inf, node.dtype), math.inf)) - node


def lcm(x1: ArrayLike, x2: ArrayLike) -> Node:
    """|x1| / gcd(x1, x2) * |x2|, the least common multiple, wrapping; 0 where either is 0. Raises DTypeError for anything but integers."""
    x, y = _promoted(x1, x2)
    common = gcd(x, y)
    wide = [astype(v, f"uint{8 * v.dtype.itemsize}") for v in (size_of(x), size_of(y), common)]
    return astype(wide[0] // wide[2] * wide[1], x.dtype)  # by 0 it is 0


# -- what is complex, of reals ------------------------------------------------------------------------------------------
def real(val: ArrayLike) -> Node:
    """val: the real part of a real array."""
    return asarray(val)


def imag(val: ArrayLike) -> Node:
    """Zeros in the shape and dtype of val: the imaginary part of a real array. Its derivative is 0."""
    node = asarray(val)
    return zeros_as(node) if is_float(node.dtype) else broadcast_to(asarray(0, node.dtype), node.shape)


def conjugate(x: ArrayLike) -> Node:
    """x: the conjugate of a real array; bool becomes int8, as in NumPy."""
    node = asarray(x)
    return astype(node, "int8") if node.dtype == bool_ else node


def real_if_close(a: ArrayLike, tol: float = 100) -> Node:
    """a, which is real."""
    return asarray(a)


def iscomplex(x: ArrayLike) -> Node:
    """False everywhere: arrays here are real."""
    return broadcast_to(asarray(False), asarray(x).shape)


def isreal(x: ArrayLike) -> Node:
    """True everywhere: arrays here are real."""
    return broadcast_to(asarray(True), asarray(x).shape)


def iscomplexobj(x: ArrayLike) -> bool:
    """False: there are no complex dtypes here."""
    return False


def isrealobj(x: ArrayLike) -> bool:
    """True: there are no complex dtypes here."""
    return True


# -- special values -----------------------------------------------------------------------------------------------------
def isposinf(x: ArrayLike) -> Node:
    """True where x is inf; False for integers."""
    node = asarray(x)
    return node == math.inf if is_float(node.dtype) else isinf(node)


def isneginf(x: ArrayLike) -> Node:
    """True where x is -inf; False for integers."""
    node = asarray(x)
    return node == -math.inf if is_float(node.dtype) else isinf(node)


def nan_to_num(x: ArrayLike, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Node:
    """x with nan replaced by `nan`, inf by `posinf`, -inf by `neginf` (None: the largest and the lowest number of the dtype).

    The derivative is 0 where something was replaced. Integers stay. `copy` has no meaning here.
    """
    node = asarray(x)
    if not is_float(node.dtype):
        return node
    top = float(np.finfo(node.dtype).max)
    node = where(isnan(node), nan, node)
    node = where(node == math.inf, top if posinf is None else posinf, node)
    return where(node == -math.inf, -top if neginf is None else neginf, node)


# -- nearly equal, and equal as a whole -----------------------------------------------------------------------------------
def isclose(a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08, equal_nan: bool = False) -> Node:
    """|a - b| <= atol + rtol |b| elementwise, or a = b; an infinity is close to itself alone. equal_nan: nan is close to nan.

    NumPy's broadcasting. Raises ShapeError.
    """
    x, y = _promoted(a, b)
    dtype = y.dtype if is_float(y.dtype) else float64
    x, y = fit([x, y], dtype, "isclose")
    near = (size_of(x - y) <= in_dtype(atol, dtype) + in_dtype(rtol, dtype) * size_of(y)) & isfinite(y)
    close = near | (x == y)
    return close | (isnan(x) & isnan(y)) if equal_nan else close


def allclose(a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08, equal_nan: bool = False) -> Node:
    """all(isclose(a, b, rtol, atol, equal_nan)), a bool; True for empty arrays. Raises ShapeError."""
    return every(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Node:
    """Whether the shapes are the same and all elements equal, a bool.

    Shapes that are provably different give False. Symbolic sizes of which that cannot be known must be equal: the call checks it.
    """
    x, y = asarray(a1), asarray(a2)
    if x.ndim != y.ndim or any([dims.equal(n, m) is False for n, m in zip(x.shape, y.shape)]):
        return asarray(False)
    return every(_equal(x, y, equal_nan))


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Node:
    """Whether one array can be broadcast to the other and all elements are then equal, a bool."""
    x, y = asarray(a1), asarray(a2)
    try:
        return every(_equal(x, y, False))
    except ShapeError:
        return asarray(False)


def _equal(x: Node, y: Node, equal_nan: bool) -> Node:
    same = x == y
    return same | (isnan(x) & isnan(y)) if equal_nan else same


def isin(
    element: ArrayLike, test_elements: ArrayLike, assume_unique: bool = False, invert: bool = False, *, kind: str | None = None
) -> Node:
    """True where an element equals some test element; with `invert` where it equals none. Of the shape of `element`.

    Compares each with each, which is never stored. `assume_unique` and `kind` choose NumPy's method and have no meaning here.
    """
    if kind not in (None, "sort", "table"):
        fail(ArgumentError, f"isin: kind is None, 'sort' or 'table', got {kind!r}")
    x = asarray(element)
    found = some(expand_dims(x, x.ndim) == ravel(test_elements), axis=-1)
    return ~found if invert else found


def in1d(ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, invert: bool = False, *, kind: str | None = None) -> Node:
    """`isin` of the raveled ar1, the older function."""
    return isin(ravel(ar1), ar2, assume_unique, invert, kind=kind)


conj = conjugate

__all__ = [
    "allclose", "angle", "array_equal", "array_equiv", "conj", "conjugate", "deg2rad", "degrees", "fabs", "float_power", "fmax", "fmin",
    "heaviside", "imag", "in1d", "isclose", "iscomplex", "iscomplexobj", "isin", "isneginf", "isposinf", "isreal", "isrealobj", "lcm",
    "nan_to_num", "positive", "rad2deg", "radians", "real", "real_if_close", "rint", "signbit", "spacing",
]  # fmt: skip
