"""Logarithms and exponentials of pairs in either type: what powers and factorials need, whose logarithms are large."""

from __future__ import annotations

from graphc.codegen.mathlib.coefficients import LOG_F32
from graphc.codegen.mathlib.exponential import LOG2, reduce, square_part
from graphc.codegen.mathlib.kit import Pair, fast_two_sum, poly, two_product, two_sum
from graphc.codegen.mathlib.logarithm import split
from graphc.codegen.mathlib.power import log_pair as log_pair_wide
from graphc.dtypes import float64
from graphc.scalars import Scalar, fma
from graphc.target import Target


def log_pair(x: Scalar, target: Target) -> Pair:
    """log(x) for finite x > 0 as a pair: to 2**-66, of f32 to 2**-30 absolutely, f - f^2 / 2 with the square as a pair"""
    if x.dtype == float64:
        return log_pair_wide(x, target)
    whole, e = split(x)
    f = whole - 1.0
    high, low = LOG2[x.dtype]
    square, rest = two_product(f, f, target)
    top, tail = fast_two_sum(f, square * -0.5)
    tail = tail + fma(square * f, poly(f, LOG_F32), rest * -0.5)
    total, part = two_sum(e * high, top)
    return fast_two_sum(total, part + fma(e, low, tail))


def exp_of_pair(p: Pair) -> tuple[Scalar, Scalar, Scalar]:
    """(y, n, n as a float) with exp(high + low) = y 2**n, for a high part within the range of `reduce`; y about 1"""
    high, low = fast_two_sum(*p)
    r, n, whole = reduce(high)
    total, rest = fast_two_sum(r.like(1.0), r)
    square = square_part(r)
    return total + (rest + fma(low, total + square, square)), n, whole  # low is no small part of an ulp where high is large
