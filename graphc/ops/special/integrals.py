"""Exponential, sine and cosine integrals, complete elliptic integrals, Lambert's W and Spence's function."""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.registry import ArrayLike
from graphc.ops.rows import elementwise
from graphc.ops.special import integrals_reference as reference
from graphc.ops.special.orders import Ordered, no_further, of_float, ordered, whole
from graphc.ops.special.reference import each
from graphc.scalars import Scalar

TABLES = 4  # orders of the derivatives that have tables


def _math(name: str) -> Callable[..., Scalar]:
    """emit: a function of `graphc.codegen.mathlib`."""
    return lambda s, x: s.math(name, x)


def _derivatives(name: str, of: str, doc: str, ref: Callable[[int], Callable[[float], float]], last: int | None = None) -> Ordered:
    """The family whose member n is the derivative n of something: each is the derivative of the one before."""

    def vjp(g: Node, out: Node, x: Node, n: int) -> Node:
        if n == last:
            no_further(of, x, n + 1)
        return g * family(n + 1, x)

    family = ordered(name, doc, ref=lambda n: each(ref(n)), vjp=vjp)
    return family


# -- exponential integrals ----------------------------------------------------------------------------------------------------
_expi_slope = _derivatives("expi_slope", "expi", "The derivative n of e**x / x, in one piece: no part of it overflows first.",
                           reference.quotient_of_exp)  # fmt: skip
exp1 = elementwise(
    "exp1", 1, "The exponential integral E1(x), of e**-t / t over t from x to infinity: inf at 0, nan below, e**-x / x for large x. Closed "
    "under differentiation: E1'(x) = -e**-x / x.",
    ref=each(reference.e1), vjp=lambda g, out, x: (g * _expi_slope(0, -x),), emit=_math("exp1"), costly=True, domain=(0.1, 6.0),
)  # fmt: skip
expi = elementwise(
    "expi", 1, "The exponential integral Ei(x), the principal value of that of e**t / t over t from -infinity to x: -inf at 0, -E1(-x) "
    "below. Closed under differentiation: Ei'(x) = e**x / x.",
    ref=each(reference.ei), vjp=lambda g, out, x: (g * _expi_slope(0, x),), emit=_math("expi"), costly=True, domain=(0.2, 6.0),
)  # fmt: skip

# -- sine and cosine integrals ----------------------------------------------------------------------------------------------------
_sinc_slope = _derivatives("sinc_slope", "sici", "The derivative n of sin(x) / x.", lambda n: reference.quotient(n, 0))
_cosc_slope = _derivatives("cosc_slope", "sici", "The derivative n of cos(x) / x.", lambda n: reference.quotient(n, 1))
si: Callable[..., Node] = elementwise(
    "si", 1, "The sine integral, of sin(t) / t over t from 0 to x: odd, pi/2 at inf. Closed under differentiation.",
    ref=each(reference.si), vjp=lambda g, out, x: (g * _sinc_slope(0, x),), emit=_math("si"), costly=True,
)  # fmt: skip
ci: Callable[..., Node] = elementwise(
    "ci", 1, "The cosine integral, gamma + log|x| + that of (cos(t) - 1) / t over t from 0 to x: -inf at 0, 0 at +-inf; for x < 0 the real "
    "part, as SciPy has it. Closed under differentiation.",
    ref=each(reference.ci), vjp=lambda g, out, x: (g * _cosc_slope(0, x),), emit=_math("ci"), costly=True, domain=(0.1, 9.0),
)  # fmt: skip


def sici(x: ArrayLike) -> tuple[Node, Node]:
    """(Si(x), Ci(x)), the sine and cosine integrals: of sin(t) / t over t from 0 to x, and gamma + log|x| + of (cos(t) - 1) / t.

    x a real array, any shape, float32 or float64; both results have its shape. Closed under differentiation: sin(x) / x, cos(x) / x.
    Where both are used they share their work.

        s, c = gx.special.sici(x)
    """
    node = of_float(x)
    return si(node), ci(node)


# -- elliptic integrals -------------------------------------------------------------------------------------------------------------
_ellipk_slope = _derivatives("ellipk_slope", "ellipk", "The derivative n >= 1 of ellipk.", lambda n: reference.elliptic("k", n), TABLES)
_ellipe_slope = _derivatives("ellipe_slope", "ellipe", "The derivative n >= 1 of ellipe.", lambda n: reference.elliptic("e", n), TABLES)
ellipk = elementwise(
    "ellipk", 1, "The complete elliptic integral of the first kind of the parameter m, of 1 / sqrt(1 - m sin(t)**2) over t from 0 to pi/2: "
    "inf at 1, nan beyond, 0 at -inf. Derivatives up to order 4; NotDifferentiableError beyond.",
    ref=each(reference.elliptic("k", 0)), vjp=lambda g, out, m: (g * _ellipk_slope(1, m),), emit=_math("ellipk"), costly=True,
    domain=(-3.0, 0.9),
)  # fmt: skip
ellipe = elementwise(
    "ellipe", 1, "The complete elliptic integral of the second kind of the parameter m, of sqrt(1 - m sin(t)**2) over t from 0 to pi/2: 1 "
    "at 1, nan beyond, inf at -inf. Derivatives up to order 4; NotDifferentiableError beyond.",
    ref=each(reference.elliptic("e", 0)), vjp=lambda g, out, m: (g * _ellipe_slope(1, m),), emit=_math("ellipe"), costly=True,
    domain=(-3.0, 0.9),
)  # fmt: skip


# -- Lambert's W ------------------------------------------------------------------------------------------------------------------------
_lambertw_slope = _derivatives("lambertw_slope", "lambertw", "The derivative n >= 1 of W_0.", lambda n: reference.lambertw_slope(0, n))
_lower_slope = _derivatives("lambertw_lower_slope", "lambertw", "The derivative n >= 1 of W_-1.",
                            lambda n: reference.lambertw_slope(-1, n))  # fmt: skip
_lambertw = elementwise(
    "lambertw", 1, "The branch 0 of Lambert's W.", ref=each(reference.lambertw(0)), vjp=lambda g, out, z: (g * _lambertw_slope(1, z),),
    emit=_math("lambertw"), costly=True, domain=(-0.3, 5.0),
)  # fmt: skip
_lower = elementwise(
    "lambertw_lower", 1, "The branch -1 of Lambert's W.", ref=each(reference.lambertw(-1)), vjp=lambda g, out, z: (g * _lower_slope(1, z),),
    emit=_math("lambertw_lower"), costly=True, domain=(-0.35, -0.05),
)  # fmt: skip


def lambertw(z: ArrayLike, k: int = 0) -> Node:
    """Lambert's W, the real solution w of w e**w = z: for k = 0 the one >= -1, z >= -1/e; for k = -1 the one <= -1, -1/e <= z < 0.

    nan where there is no real solution (SciPy's is complex there); the result is real. z a real array, any shape, float32 or float64; k
    known when the graph is built. Right up to the branch point -1/e. Closed under differentiation: W' = W / (z (1 + W)), infinite at -1/e.
    Raises ArgumentError for other branches.

        w = gx.special.lambertw(z)
    """
    if k not in (0, -1):
        fail(ArgumentError, f"lambertw: the branch must be 0 or -1, the real ones, got {k!r}")
    return _lower(z) if whole(k, "lambertw", -1, 0) else _lambertw(z)


# -- Spence's function -------------------------------------------------------------------------------------------------------------------
_spence_slope = _derivatives("spence_slope", "spence", "The derivative n >= 1 of spence.", reference.spence, TABLES)
spence = elementwise(
    "spence", 1, "Spence's function, minus the integral of log(t) / (t - 1) over t from 1 to z, Li2(1 - z): pi**2 / 6 at 0, nan below, "
    "-inf at inf. Its derivative is log(z) / (1 - z); derivatives up to order 4, NotDifferentiableError beyond.",
    ref=each(reference.spence(0)), vjp=lambda g, out, z: (g * _spence_slope(1, z),), emit=_math("spence"), costly=True, domain=(0.1, 6.0),
)  # fmt: skip

__all__ = ["ellipe", "ellipk", "exp1", "expi", "lambertw", "sici", "spence"]
