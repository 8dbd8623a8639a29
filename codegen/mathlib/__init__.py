"""Vector math: every function that hardware lacks, as an expression in the primitives of the scalar language.

No libm: the code is inlined, fuses, and runs on any target. Each row states the worst error in units of the last place
over the whole domain (near a zero of f other than 0 itself: of the larger of |f| and |x f'(x)|), tested against mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codegen.mathlib import error, exponential, inverse, logarithm, power, trigonometric
from graphc.dtypes import float32, float64
from graphc.scalar import Scalar, order, scalar
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


MATH: dict[str, Function] = {f.name: f for f in (
    _row("exp", 1.0, 1.0, exponential.exp),
    _row("exp2", 1.5, 1.5, exponential.exp2),
    _row("expm1", 2.5, 2.5, exponential.expm1),
    _row("sinh", 4.0, 4.0, exponential.sinh),
    _row("cosh", 4.0, 4.0, exponential.cosh),
    _row("tanh", 2.5, 2.5, exponential.tanh),
    _row("sigmoid", 2.5, 2.5, exponential.sigmoid),
    _row("log", 1.0, 1.0, logarithm.log),
    _row("log1p", 1.5, 1.5, logarithm.log1p),
    _row("log2", 4.0, 4.0, logarithm.log2),
    _row("log10", 4.0, 4.0, logarithm.log10),
    _row("softplus", 4.0, 4.0, logarithm.softplus),
    _row("log_sigmoid", 4.0, 4.0, logarithm.log_sigmoid),
    _row("logaddexp", 4.0, 4.0, logarithm.logaddexp, arity=2),
    _row("asinh", 4.0, 4.0, logarithm.asinh),
    _row("acosh", 4.0, 4.0, logarithm.acosh),
    _row("atanh", 4.0, 4.0, logarithm.atanh),
    _row("sin", 1.0, 1.0, trigonometric.sin),
    _row("cos", 1.0, 1.0, trigonometric.cos),
    _row("tan", 4.0, 4.0, trigonometric.tan),
    _row("atan", 4.0, 4.0, inverse.atan),
    _row("atan2", 4.0, 4.0, inverse.atan2, arity=2),
    _row("asin", 4.0, 4.0, inverse.asin),
    _row("acos", 4.0, 4.0, inverse.acos),
    _row("erf", 1.5, 1.5, error.erf),
    _row("erfc", 4.0, 4.0, error.erfc),
    _row("pow", 1.0, 1.0, power.pow, arity=2),
    _row("fmod", 0.0, 0.0, power.fmod, arity=2),
)}  # fmt: skip


def expand(root: Scalar, target: Target) -> Scalar:
    """`root` with every function of `MATH` in it written out in primitives."""
    new: dict[int, Scalar] = {}
    for s in order((root,)):
        args = tuple([new[id(a)] for a in s.args])
        if s.op in MATH:
            new[id(s)] = MATH[s.op].build(*args, target)
        else:
            new[id(s)] = s if all(a is b for a, b in zip(args, s.args)) else scalar(s.op, args, s.dtype, s.param)
    return new[id(root)]
