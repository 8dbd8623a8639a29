"""Bessel functions of whole order. Derivatives are neighbouring orders; those of scaled ones have tables, as differences cancel."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir import Node
from graphc.ops.arithmetic import sign
from graphc.ops.compare import where
from graphc.ops.registry import ArrayLike
from graphc.ops.rows import elementwise
from graphc.ops.special import bessel_reference as reference
from graphc.ops.special.orders import no_further, of_float, ordered, whole
from graphc.ops.special.reference import each
from graphc.scalars import Scalar

TINY = 2.0**-40  # below, Y0 is nothing beside Y1 / x, and its derivatives overflow to the other side
TABLES = 4  # orders of the derivatives of the scaled functions that have tables
HIGHEST_I, HIGHEST_J = 36, 100  # beyond, the recurrences leave the range of f64


def _math(name: str) -> Callable[..., Scalar]:
    """emit: a function of `graphc.codegen.mathlib`."""
    return lambda s, x: s.math(name, x)


# -- I ------------------------------------------------------------------------------------------------------------------------
def _i(n: int, x: Node) -> Node:
    """I_n for any whole n"""
    n = abs(n)
    return i0(x) if n == 0 else i1(x) if n == 1 else _iv(n, x)


def _ie(n: int, x: Node) -> Node:
    n = abs(n)
    return i0e(x) if n == 0 else i1e(x) if n == 1 else _ive(n, x)


def _iv_vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == HIGHEST_I:
        no_further("iv", x, n)
    return g * (0.5 * (_i(n - 1, x) + _i(n + 1, x)))


def _ive_vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == HIGHEST_I:
        no_further("ive", x, n)
    return g * (0.5 * (_ie(n - 1, x) + _ie(n + 1, x)) - sign(x) * out)


_iv = ordered(
    "iv", "I_n(x), the modified Bessel function of the first kind, 2 <= n.", ref=reference.over(reference.iv), vjp=_iv_vjp,
)  # fmt: skip
_ive = ordered(
    "ive", "e**-|x| I_n(x), 2 <= n; its derivative loses digits where |x| is far beyond n**2.", ref=reference.over(reference.ive),
    vjp=_ive_vjp,
)  # fmt: skip


def _i0e_slope_vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == TABLES:
        no_further("i0e and i1e", x, n)
    return -(g * (sign(x) * _i0e_slope(n + 1, x)))


_i0e_slope = ordered(
    "i0e_slope", "The size of the derivative n of e**-|x| I0(x) for x != 0: the integral of e**(-|x| s) s**n / pi, s = 1 - cos t.",
    ref=reference.over(reference.i0e_slope), vjp=_i0e_slope_vjp,
)  # fmt: skip

i0: Callable[..., Node] = elementwise(
    "i0", 1, "The modified Bessel function of the first kind I0(x) = sum (x/2)**2k / k!**2: even, 1 at 0, inf at +-inf. Closed under "
    "differentiation: I0' = I1, I_n' = (I_(n-1) + I_(n+1)) / 2.",
    ref=each(reference.iv(0)), vjp=lambda g, out, x: (g * i1(x),), emit=_math("i0"), costly=True,
)  # fmt: skip
i1: Callable[..., Node] = elementwise(
    "i1", 1, "The modified Bessel function of the first kind I1(x) = I0'(x): odd, x/2 near 0. Closed under differentiation.",
    ref=each(reference.iv(1)), vjp=lambda g, out, x: (g * (0.5 * (i0(x) + _iv(2, x))),), emit=_math("i1"), costly=True,
)  # fmt: skip
i0e: Callable[..., Node] = elementwise(
    "i0e", 1, "e**-|x| I0(x): even, 1 at 0 with a kink, where its derivative is taken to be 0, 1 / sqrt(2 pi |x|) for large x. "
    "Derivatives up to order 4 by tables of their own, without a lost digit; NotDifferentiableError beyond.",
    ref=each(reference.ive(0)), vjp=lambda g, out, x: (-(g * (sign(x) * _i0e_slope(1, x))),), emit=_math("i0e"), costly=True,
)  # fmt: skip
i1e: Callable[..., Node] = elementwise(
    "i1e", 1, "e**-|x| I1(x): odd, x/2 near 0. Derivatives up to order 3 by tables of their own; NotDifferentiableError beyond.",
    ref=each(reference.ive(1)), vjp=lambda g, out, x: (g * (_i0e_slope(2, x) - _i0e_slope(1, x)),), emit=_math("i1e"), costly=True,
)  # fmt: skip


def iv(v: int, z: ArrayLike) -> Node:
    """I_v(z), the modified Bessel function of the first kind: the sum of (z/2)**(2k + v) / (k! (k + v)!).

    The order v is a whole number known when the graph is built, -36 <= v <= 36 (I_-v = I_v); z a real array, any shape, float32 or
    float64. Closed under differentiation in z up to order 36 of I. Raises ArgumentError for other orders.

        gx.special.iv(2, x)
    """
    return _i(whole(v, "iv", -HIGHEST_I, HIGHEST_I), of_float(z))


def ive(v: int, z: ArrayLike) -> Node:
    """e**-|z| I_v(z), scaled so that it does not overflow; see `iv` for the orders.

    v = 0 and 1 are `i0e` and `i1e`, whose derivatives keep all digits; that of higher orders,
    (ive(v-1) + ive(v+1)) / 2 - sign(z) ive(v), loses as many as z has beyond v**2.
    """
    return _ie(whole(v, "ive", -HIGHEST_I, HIGHEST_I), of_float(z))


# -- K ------------------------------------------------------------------------------------------------------------------------
def _k0e_slope_vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == TABLES:
        no_further("k0e and k1e", x, n)
    return -(g * _k0e_slope(n + 1, x))


_k0e_slope = ordered(
    "k0e_slope", "The size of the derivative n of e**x K0(x): the integral of e**(-x s) s**n, s = cosh t - 1.",
    ref=reference.over(reference.k0e_slope), vjp=_k0e_slope_vjp,
)  # fmt: skip
k0: Callable[..., Node] = elementwise(
    "k0", 1, "The modified Bessel function of the second kind K0(x): inf at 0, nan below, sqrt(pi / 2x) e**-x for large x. Closed under "
    "differentiation: K0' = -K1, K1' = -(K0 + K1 / x).",
    ref=each(reference.kv(0)), vjp=lambda g, out, x: (-(g * k1(x)),), emit=_math("k0"), costly=True, domain=(0.1, 6.0),
)  # fmt: skip
k1: Callable[..., Node] = elementwise(
    "k1", 1, "The modified Bessel function of the second kind K1(x): 1/x near 0, nan below. Closed under differentiation.",
    ref=each(reference.kv(1)), vjp=lambda g, out, x: (-(g * (k0(x) + out / x)),), emit=_math("k1"), costly=True, domain=(0.1, 6.0),
)  # fmt: skip
k0e: Callable[..., Node] = elementwise(
    "k0e", 1, "e**x K0(x), for x > 0. Derivatives up to order 4 by tables of their own; NotDifferentiableError beyond.",
    ref=each(reference.k_scaled(0)), vjp=lambda g, out, x: (-(g * _k0e_slope(1, x)),), emit=_math("k0e"), costly=True, domain=(0.1, 6.0),
)  # fmt: skip
k1e: Callable[..., Node] = elementwise(
    "k1e", 1, "e**x K1(x), for x > 0. Derivatives up to order 3 by tables of their own; NotDifferentiableError beyond.",
    ref=each(reference.k_scaled(1)), vjp=lambda g, out, x: (-(g * (_k0e_slope(1, x) + _k0e_slope(2, x))),), emit=_math("k1e"),
    costly=True, domain=(0.1, 6.0),
)  # fmt: skip


# -- J and Y --------------------------------------------------------------------------------------------------------------------
def _j(n: int, x: Node) -> Node:
    """J_n for any whole n"""
    if n < 0:
        return _j(-n, x) if n % 2 == 0 else -_j(-n, x)
    return j0(x) if n == 0 else j1(x) if n == 1 else _jn(n, x)


def _jn_vjp(g: Node, out: Node, x: Node, n: int) -> Node:
    if n == HIGHEST_J:
        no_further("jn", x, n)
    return g * (0.5 * (_j(n - 1, x) - _j(n + 1, x)))


_jn = ordered("jn", "J_n(x), the Bessel function of the first kind, 2 <= n.", ref=reference.over(reference.jn), vjp=_jn_vjp)
j0: Callable[..., Node] = elementwise(
    "j0", 1, "The Bessel function of the first kind J0(x) = sum (-1)**k (x/2)**2k / k!**2: even, 1 at 0, 0 at +-inf. Closed under "
    "differentiation: J0' = -J1, J_n' = (J_(n-1) - J_(n+1)) / 2.",
    ref=each(reference.jn(0)), vjp=lambda g, out, x: (-(g * j1(x)),), emit=_math("j0"), costly=True,
)  # fmt: skip
j1: Callable[..., Node] = elementwise(
    "j1", 1, "The Bessel function of the first kind J1(x) = -J0'(x): odd, x/2 near 0. Closed under differentiation.",
    ref=each(reference.jn(1)), vjp=lambda g, out, x: (g * (0.5 * (j0(x) - _jn(2, x))),), emit=_math("j1"), costly=True,
)  # fmt: skip
y0: Callable[..., Node] = elementwise(
    "y0", 1, "The Bessel function of the second kind Y0(x): -inf at 0, nan below, 0 at inf. Closed under differentiation: Y0' = -Y1, "
    "Y1' = Y0 - Y1 / x.",
    ref=each(reference.yn(0)), vjp=lambda g, out, x: (-(g * y1(x)),), emit=_math("y0"), costly=True, domain=(0.1, 9.0),
)  # fmt: skip
y1: Callable[..., Node] = elementwise(
    "y1", 1, "The Bessel function of the second kind Y1(x): -2 / (pi x) near 0, nan below, 0 at inf. Closed under differentiation.",
    ref=each(reference.yn(1)), vjp=lambda g, out, x: (g * (where(x < TINY, 0.0, y0(x)) - out / x),), emit=_math("y1"), costly=True,
    domain=(0.1, 9.0),
)  # fmt: skip


def jn(n: int, x: ArrayLike) -> Node:
    """J_n(x), the Bessel function of the first kind: the sum of (-1)**k (x/2)**(2k + n) / (k! (k + n)!).

    The order n is a whole number known when the graph is built, -100 <= n <= 100 (J_-n = (-1)**n J_n); x a real array, any shape,
    float32 or float64. Closed under differentiation in x up to order 100 of J. Raises ArgumentError for other orders.

        gx.special.jn(3, x)
    """
    return _j(whole(n, "jn", -HIGHEST_J, HIGHEST_J), of_float(x))


__all__ = ["i0", "i0e", "i1", "i1e", "iv", "ive", "j0", "j1", "jn", "k0", "k0e", "k1", "k1e", "y0", "y1"]
