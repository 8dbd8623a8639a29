"""x = q pi/2 + r for |x| too large to subtract multiples of pi/2 in floats: the method of Payne and Hanek.

x = m 2**k with an integer m < 2**53. In x * 2/pi only the quotient modulo 4 matters, so the bits of 2/pi that
contribute whole multiples of 4 are skipped, and the product of m with the next 224 bits, in 32-bit limbs, gives the
quotient's last two bits and 128 bits of its fraction. At most 62 leading bits of the fraction are equal for any f64.
"""

from __future__ import annotations

from itertools import pairwise

from graphc.codegen.mathlib.kit import Pair, bits, fast_two_sum, two_product
from graphc.dtypes import float64, int64
from graphc.scalars import Scalar, lookup, shift_right
from graphc.target import Target

# The first 1248 bits of 2/pi in words of 32, after two words of zeros for the bits before the point.
_DIGITS = (
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73ee88235f5"
    "2ebb4484e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d"
    "7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc20"
)
TWO_OVER_PI = (0.0, 0.0, *[float(int(_DIGITS[k : k + 8], 16)) for k in range(0, len(_DIGITS), 8)])
_WORD = 0xFFFFFFFF
PIO2 = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)


def quotient_and_fraction(size: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(q mod 4, f, g) with size * 2/pi = q + (f + g) and |f| <= 1/2, for f64 `size` >= 2**20; q is an i64."""
    pattern = bits(size)
    exponent = shift_right(pattern, 52) - 1075
    mantissa = (pattern & ((1 << 52) - 1)) | (1 << 52)
    start = exponent + 62  # the first bit wanted: exponent - 2, after 64 zeros
    word, shift = shift_right(start, 5), start & 31
    words = [lookup(TWO_OVER_PI, word + k, float64).cast(int64) for k in range(8)]
    limbs = [shift_right((a << 32) | b, shift.like(32) - shift, arithmetic=False) & _WORD for a, b in pairwise(words)]
    high, low = shift_right(mantissa, 32), mantissa & _WORD
    with_low, with_high = [low * limb for limb in limbs], [high * limb for limb in limbs]
    columns: list[Scalar] = []
    carry = mantissa.like(0)
    for k in range(4, -1, -1):
        total = (with_low[k] & _WORD) + _upper(with_low[k + 1]) + (with_high[k + 1] & _WORD) + _upper(with_high[k + 2]) + carry
        columns.insert(0, total & _WORD)
        carry = _upper(total)
    first, second = (columns[0] << 32) | columns[1], (columns[2] << 32) | columns[3]
    fraction = (first << 2) | shift_right(second, 62, arithmetic=False)  # signed: above 1/2 it belongs to the next quotient
    rest = (second << 2) | shift_right(columns[4], 30, arithmetic=False)
    quotient = (shift_right(columns[0], 30, arithmetic=False) - shift_right(fraction, 63)) & 3
    top = shift_right(fraction, 32).cast(float64) * 2.0**-32
    middle = (fraction & _WORD).cast(float64) * 2.0**-64
    bottom = _upper(rest).cast(float64) * 2.0**-96 + (rest & _WORD).cast(float64) * 2.0**-128
    f, g = fast_two_sum(top, middle)
    return quotient, *fast_two_sum(f, g + bottom)


def _upper(x: Scalar) -> Scalar:
    return shift_right(x, 32, arithmetic=False)


def reduce_huge(size: Scalar, target: Target) -> tuple[Scalar, Pair]:
    """(q mod 4, r as a pair) with size = q pi/2 + r, |r| <= pi/4"""
    quotient, f, g = quotient_and_fraction(size)
    high, low = two_product(f, f.like(PIO2[0]), target)
    return quotient, fast_two_sum(high, low + (f * PIO2[1] + g * PIO2[0]))
