"""What the functions of vector math are written with: bits of floats, polynomials, sums and products without error.

Everything is branch-free; a case that is too dear to compute always goes through `rare`. FMA is written where it is
meant. Steps that must be exact take the target: without FMA, the same product is split into halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps

import numpy as np

from graphc.dtypes import bool_, float32, float64, int32, int64
from graphc.records import dataclass
from graphc.scalars import Operand, Scalar, arg, const_value, fma, scalar, select
from graphc.target import Target


@dataclass(frozen=True)
class Format:
    """The facts of a float type."""

    dtype: np.dtype
    integer: np.dtype
    bits: int  # of the fraction
    bias: int
    tiny: float  # the smallest normal number

    @property
    def magic(self) -> float:
        """Adding it rounds to an integer, which then stands in the low bits of the sum."""
        return 1.5 * 2.0**self.bits

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.bits


_FORMATS = {
    float32: Format(float32, int32, 23, 127, 2.0**-126),
    float64: Format(float64, int64, 52, 1023, 2.0**-1022),
}


def format_of(x: Scalar) -> Format:
    """The format of the floats that x is one of."""
    return _FORMATS[x.dtype]


def bits(x: Scalar) -> Scalar:
    """The bits of a float as a signed integer."""
    return x.bitcast(format_of(x).integer)


def sign_of(x: Scalar) -> Scalar:
    """True where the sign bit is set."""
    return bits(x) < 0


def poly(x: Scalar, coefficients: Sequence[Operand]) -> Scalar:
    """c0 + x (c1 + x (c2 + ...)): Horner's scheme; out-of-order execution makes cleverer ones pointless over arrays."""
    total = x.like(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total


def power_of_two(n: Scalar) -> Scalar:
    """2.0**n for an integer n in the range of normal numbers."""
    f = _FORMATS[float32 if n.dtype == int32 else float64]
    return ((n + f.bias) << f.bits).bitcast(f.dtype)


def scale(y: Scalar, n: Scalar, target: Target, whole: Scalar | None = None) -> Scalar:
    """y * 2**n for |n| up to twice the exponent range, rounded once; `whole` is n as a float, where that is at hand."""
    if target.has_ldexp:
        return scalar("ldexp", (y, n.cast(y.dtype) if whole is None else whole), y.dtype)
    half = scalar("ashr", (n, n.like(1)), n.dtype)
    return y * power_of_two(half) * power_of_two(n - half)


def nearest(x: Scalar, factor: float) -> tuple[Scalar, Scalar]:
    """x * factor rounded to an integer: as an integer, and as a float. Right below 2**22 (2**51); nan stays nan."""
    f = format_of(x)
    t = fma(x, factor, f.magic)
    return bits(t) - bits(t.like(f.magic)), t - f.magic


def clamp(x: Scalar, low: float | None = None, high: float | None = None) -> Scalar:
    """x between bounds on both sides of 0; nan stays nan. Of -y as -(y between bounds), for FMA negates at no cost."""
    if x.op == "neg":
        return -clamp(x.args[0], None if high is None else -high, None if low is None else -low)
    side = _side(x)
    if low is not None and side < 1:
        x = select(x < low, low, x)
    return x if high is None or side < 0 else select(x > high, high, x)


def _side(x: Scalar, depth: int = 3) -> int:
    """1 where x is never below 0, -1 where it is never above, as far as its form shows; else 0."""
    if x.op == "const":
        return 1 if const_value(x) >= 0 else -1
    if x.op in ("abs", "sqrt") or (x.op == "mul" and x.args[0] is x.args[1]):
        return 1
    if depth and x.op in ("neg", "mul"):
        product = -1 if x.op == "neg" else 1
        for a in x.args:
            product *= _side(a, depth - 1)
        return product
    return 0


def negative_size(x: Scalar) -> Scalar:
    """-|x|; of -y as of y, so that what is made of it is one value for both"""
    return -abs(x.args[0] if x.op == "neg" else x)


def twice(x: Scalar) -> Scalar:
    """2x; of y / 2 as y, so that what is made of it meets what is made of y.

    Where y / 2 is subnormal, and rounded, 2 (y / 2) is not y: what is made of it must come to y / 2 there, rounded, as tanh(y / 2) does.
    Of other products with constants it is not the same number, and a function that is called would have other bits than one written out.
    """
    if x.op == "neg":
        return -twice(x.args[0])
    for factor, rest in (x.args, x.args[::-1]) if x.op == "mul" else ():
        if factor.op == "const" and abs(const_value(factor)) == 0.5:
            return rest if const_value(factor) > 0 else -rest
    return x * 2.0


# -- pairs (high, low) whose exact sum is the value -------------------------------------------------------------------
Pair = tuple[Scalar, Scalar]


def two_sum(a: Scalar, b: Scalar) -> Pair:
    """a + b exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def fast_two_sum(a: Scalar, b: Scalar) -> Pair:
    """a + b exactly, where |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Scalar, b: Scalar, target: Target) -> Pair:
    """a * b exactly, barring underflow."""
    product = a * b
    if target.has_fma:
        return product, fma(a, b, -product)
    (ah, al), (bh, bl) = _halves(a), _halves(b)
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def _halves(x: Scalar) -> Pair:
    """x as a number of half the bits and the rest."""
    f = format_of(x)
    high = (bits(x) & -(1 << f.bits // 2 + 1)).bitcast(f.dtype)
    return high, x - high


def add_pairs(a: Pair, b: Pair) -> Pair:
    """a + b, where |a| >= |b| or a = 0."""
    high, low = fast_two_sum(a[0], b[0])
    return high, low + (a[1] + b[1])


def multiply_pairs(a: Pair, b: Pair, target: Target) -> Pair:
    """a * b; relative error about 2**-102, the low part may exceed half an ulp of the high one."""
    high, low = two_product(a[0], b[0], target)
    return high, fma(a[0], b[1], fma(a[1], b[0], low))


def remainder(a: Scalar, b: Scalar, q: Scalar, target: Target) -> Scalar:
    """a - q b exactly, where q is about a / b."""
    if target.has_fma:
        return fma(-q, b, a)
    product, error = two_product(q, b, target)
    return (a - product) - error


# -- rare cases ------------------------------------------------------------------------------------------------------
def rare(wanted: Scalar, usual: Scalar, slow: Callable[..., Scalar], *inputs: Scalar, op: str = "rare") -> Scalar:
    """select(wanted, slow(*inputs), usual), where `slow` is its own function, called only when a lane wants it.

    A Scalar with the op "rare", the args (wanted, usual, *inputs), and as its `param` the root of the slow function
    over `arg(k)`, already made of primitives. Emission branches, so it ends the basic block it is in.
    """
    assert wanted.dtype == bool_
    body = slow(*[arg(k, x.dtype) for k, x in enumerate(inputs)])
    assert body.dtype == usual.dtype
    return scalar(op, (wanted, usual, *inputs), usual.dtype, body)


def detour(wanted: Scalar, usual: Scalar, slow: Callable[..., Scalar], *inputs: Scalar) -> Scalar:
    """The same where `slow` is not so rare that its lanes could be taken one by one: it computes all of them."""
    return rare(wanted, usual, slow, *inputs, op="detour")


# -- sums --------------------------------------------------------------------------------------------------------------
Columns = tuple[tuple[float, ...], ...]


def summed(columns: Columns, term: Callable[..., Scalar], *inputs: Scalar) -> Scalar:
    """The sum over k of term(*inputs, *[column[k] for column in columns]), in order: a loop in a function of its own.

    A Scalar with the op "summed", the inputs as args, and as its `param` (columns, the root of a term over `arg(k)`), already made of
    primitives without branches of their own. All are of one dtype.
    """
    dtype = inputs[0].dtype
    body = term(*[arg(k, dtype) for k in range(len(inputs) + len(columns))])
    assert body.dtype == dtype and {x.dtype for x in inputs} == {dtype} and len({len(c) for c in columns}) == 1
    return scalar("summed", inputs, dtype, (columns, body))


# -- long functions ----------------------------------------------------------------------------------------------------
def outlined(build: Callable[..., Scalar]) -> Callable[..., Scalar]:
    """The function of vector math `build(*inputs, target)`, but as a call of one copy: for a body too long for each kernel to have its own.

    Its value is a Scalar with the op "outlined", the inputs as args, and as its `param` the root of the body over `arg(k)`.
    """

    @lru_cache(maxsize=8)
    def body(dtypes: tuple[np.dtype, ...], target: Target) -> Scalar:
        return build(*[arg(k, dtype) for k, dtype in enumerate(dtypes)], target)

    @wraps(build)
    def called(*inputs: Scalar | Target) -> Scalar:
        args, target = [x for x in inputs if isinstance(x, Scalar)], inputs[-1]
        assert isinstance(target, Target)
        root = body(tuple([x.dtype for x in args]), target)
        return scalar("outlined", tuple(args), root.dtype, root)

    return called
