"""Vector math: every function that hardware lacks, as an expression in the primitives of the scalar language.

No libm: the code is inlined, fuses, and runs on any target; what occurs often in a module is called, see
`graphc.codegen.llvm.called`. Each row states the worst error in units of the last place over the whole domain (near a zero of f other
than 0 itself: of the larger of |f| and |x f'(x)|), tested against mpmath.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import lru_cache

import numpy as np

from graphc.codegen.mathlib import (
    bessel_i,
    bessel_j,
    bessel_k,
    dawson,
    elliptic,
    entropy,
    error,
    exponential,
    gamma,
    hurwitz,
    incomplete_beta,
    incomplete_gamma,
    integrals,
    inverse,
    inverse_error,
    lambert,
    logarithm,
    normal,
    polygamma,
    power,
    roots,
    scaled_error,
    trigonometric,
    zeta,
)
from graphc.codegen.mathlib.balanced import balanced
from graphc.dtypes import float32, float64
from graphc.records import dataclass
from graphc.scalars import Scalar, arg, order, replace_leaves, scalar
from graphc.target import Target


@dataclass(frozen=True)
class Function:
    """A function of mathlib. `build(*args, target)` gives it in primitives, for f32 and f64 arguments."""

    name: str
    arity: int
    build: Callable[..., Scalar]
    bound_ulp: dict[np.dtype, float]


def _row(name: str, f32: float, f64: float, build: Callable[..., Scalar], arity: int = 1) -> Function:
    return Function(name, arity, build, {float32: f32, float64: f64})


class Library(dict[str, Function]):
    """Functions by name. Of a family with a static order, as "jn_3" is of "jn", a member is made when it is asked for."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and _member(name) is not None)

    def __missing__(self, name: str) -> Function:
        found = _member(name)
        if found is None:
            raise KeyError(name)
        family, n = found
        return Function(name, 1, lambda x, target: FAMILIES[family](x, target, n), {})


@lru_cache(maxsize=1024)
def _member(name: str) -> tuple[str, int] | None:
    """(family, order)"""
    family, _, order = name.rpartition("_")
    return (family, int(order)) if order.isdigit() and family in FAMILIES else None


FAMILIES: dict[str, Callable[..., Scalar]] = {  # build(x, target, order)
    "cosc_slope": integrals.cosc_slope, "ellipe_slope": elliptic.ellipe_slope, "ellipk_slope": elliptic.ellipk_slope,
    "expi_slope": integrals.expi_slope, "sinc_slope": integrals.sinc_slope, "spence_slope": lambert.spence_slope,
    "lambertw_slope": lambert.lambertw_slope, "lambertw_lower_slope": lambert.lambertw_lower_slope,
    "polygamma": hurwitz.polygamma,
    "i0e_slope": bessel_i.i0e_slope, "iv": bessel_i.iv, "ive": bessel_i.ive, "jn": bessel_j.jn, "k0e_slope": bessel_k.k0e_slope,
}  # fmt: skip
MATH = Library({f.name: f for f in (
    _row("exp", 1.1, 1.0, exponential.exp),
    _row("exp2", 1.1, 1.1, exponential.exp2),
    _row("expm1", 1.6, 2.0, exponential.expm1),
    _row("sinh", 2.5, 2.5, exponential.sinh),
    _row("cosh", 1.5, 1.5, exponential.cosh),
    _row("tanh", 2.1, 2.1, exponential.tanh),
    _row("tanh_slope", 3.7, 3.5, exponential.tanh_slope),
    _row("sigmoid", 2.3, 2.2, exponential.sigmoid),
    _row("sigmoid_slope", 3.0, 2.8, exponential.sigmoid_slope),
    _row("log", 0.9, 0.9, logarithm.log),
    _row("log1p", 1.2, 0.9, logarithm.log1p),
    _row("log2", 0.51, 0.9, logarithm.log2),
    _row("log10", 0.51, 0.7, logarithm.log10),
    _row("softplus", 2.0, 2.0, logarithm.softplus),
    _row("log_sigmoid", 2.0, 2.0, logarithm.log_sigmoid),
    _row("logaddexp", 1.5, 1.5, logarithm.logaddexp, arity=2),
    _row("logaddexp2", 0.51, 1.6, logarithm.logaddexp2, arity=2),
    _row("asinh", 0.51, 1.6, logarithm.asinh),
    _row("acosh", 0.51, 2.2, logarithm.acosh),
    _row("atanh", 0.51, 1.8, logarithm.atanh),
    _row("sin", 1.3, 0.8, trigonometric.sin),
    _row("cos", 1.3, 0.8, trigonometric.cos),
    _row("tan", 0.51, 2.0, trigonometric.tan),
    _row("atan", 1.5, 1.6, inverse.atan),
    _row("atan2", 1.5, 1.7, inverse.atan2, arity=2),
    _row("asin", 2.4, 2.2, inverse.asin),
    _row("acos", 1.2, 1.2, inverse.acos),
    _row("erf", 1.1, 1.3, error.erf),
    _row("erf_slope", 2.8, 2.3, error.erf_slope),
    _row("erfc", 2.2, 4.0, error.erfc),
    _row("erfcx", 2.3, 2.3, scaled_error.erfcx),
    _row("erfcx_slope", 4.0, 4.0, scaled_error.erfcx_slope),
    _row("erfcx_curve", 4.0, 4.0, scaled_error.erfcx_curve),
    _row("erfcx_third", 4.0, 4.0, scaled_error.erfcx_third),
    *[_row(n, 4.0, 4.0, getattr(dawson, n)) for n in ("dawsn", "dawsn_slope", "dawsn_curve", "dawsn_third", "erfi", "erfi_slope")],
    *[_row(n, 4.0, 4.0, getattr(inverse_error, n)) for n in ("erfinv", "erfcinv", "erfcinv_slope", "ndtri", "ndtri_slope")],
    *[_row(n, 4.0, 4.0, getattr(normal, n)) for n in (
        "ndtr", "ndtr_slope", "log_ndtr", "log_ndtr_slope", "log_ndtr_curve", "log_ndtr_third")],
    *[_row(n, 4.0, 4.0, getattr(gamma, n)) for n in ("gamma", "gammaln", "digamma")],
    *[_row(n, 4.0, 4.0, getattr(polygamma, n)) for n in ("digamma_slope", "digamma_curve", "digamma_third")],
    _row("logit", 4.0, 4.0, entropy.logit),
    *[_row(n, 4.0, 4.0, getattr(entropy, n), arity=2) for n in ("log_ratio", "rel_entr", "kl_div")],
    _row("pow", 0.51, 0.65, power.pow, arity=2),
    _row("cbrt", 0.51, 0.51, roots.cbrt),
    _row("hypot", 0.51, 0.51, roots.hypot, arity=2),
    _row("fmod", 0.0, 0.0, power.fmod, arity=2),
    _row("riemann_zeta", 0.6, 4.0, zeta.riemann_zeta),
    _row("hurwitz_zeta", 0.6, 3.0, zeta.hurwitz_zeta, arity=2),
)})  # fmt: skip

# families whose modules state the bounds themselves
for _module in (bessel_i, bessel_j, bessel_k, elliptic, integrals, lambert):
    MATH |= {name: _row(name, bounds[0], bounds[1], getattr(_module, name)) for name, bounds in _module.BOUNDS.items()}
MATH |= {name: _row(name, *bounds, getattr(incomplete_gamma, name), arity=2) for name, bounds in incomplete_gamma.BOUNDS.items()}
MATH["beta_large"] = _row("beta_large", 0.6, 5.0, incomplete_beta.beta_large, arity=2)
MATH |= {name: _row(name, *bounds, getattr(incomplete_beta, name), arity=3) for name, bounds in incomplete_beta.BOUNDS.items()}


Signature = tuple[str, tuple[np.dtype, ...]]


def signature(s: Scalar) -> Signature:
    """The function of `MATH` that a Scalar is, and the dtypes of its arguments."""
    return s.op, tuple([a.dtype for a in s.args])


def expand(root: Scalar, target: Target, serial: bool = False, called: Container[Signature] = ()) -> Scalar:
    """`root` with every function of `MATH` in it written out in primitives, but for those that are `called`.

    serial: for code that waits for them, see `balanced`.
    """
    new: dict[int, Scalar] = {}
    for s in order((root,)):
        args = tuple([new[id(a)] for a in s.args])
        if s.op not in MATH or (called and signature(s) in called):
            new[id(s)] = s if all(a is b for a, b in zip(args, s.args)) else scalar(s.op, args, s.dtype, s.param)
        elif serial:
            body = _serial(s.op, tuple([a.dtype for a in args]), target)
            new[id(s)] = replace_leaves(body, lambda leaf, _, args=args: args[leaf.param])  # type: ignore[misc]
        else:
            new[id(s)] = MATH[s.op].build(*args, target)
    return new[id(root)]


@lru_cache(maxsize=256)
def length(of: Signature, target: Target) -> int:
    """The number of primitives that a function of `MATH` is made of."""
    name, dtypes = of
    body = MATH[name].build(*[arg(k, dtype) for k, dtype in enumerate(dtypes)], target)
    return sum(s.op not in ("const", "arg") for s in order((body,)))


@lru_cache(maxsize=128)
def _serial(name: str, dtypes: tuple[np.dtype, ...], target: Target) -> Scalar:
    """A function of `arg`s, with little that waits for each other."""
    return balanced(MATH[name].build(*[arg(k, dtype) for k, dtype in enumerate(dtypes)], target))
