"""What the elementwise rows should give, from sources that are not graphc: mpmath for reals, Python for integers, NumPy for dtypes.

`REAL[name]` is an op at 40 digits, on mpmath numbers; its derivatives come from `derivative`. `INTEGER[name]` is the exact integer where
that differs from the real function, before it is wrapped to a width. A new elementwise op needs an entry of its own in `REAL`, see `real`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special

from graphc import scalars
from graphc.dtypes import bool_
from graphc.ops.spread import cast_array
from graphc.scalars import Scalar
from tests import special_rows
from tests.special_functions import SPECIAL, by_mpmath

DIGITS = 40


# -- reals ------------------------------------------------------------------------------------------------------------
def _floor_divide(x: Any, y: Any) -> Any:
    return mp.floor(x / y)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


REAL: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv, "negative": operator.neg,
    "floor_divide": _floor_divide, "mod": lambda x, y: x - y * _floor_divide(x, y), "power": mp.power, "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x, "sqrt": mp.sqrt, "rsqrt": lambda x: 1 / mp.sqrt(x), "abs": abs, "sign": mp.sign,
    "floor": mp.floor, "ceil": mp.ceil, "trunc": lambda x: mp.floor(x) if x > 0 else mp.ceil(x), "round": mp.nint,
    "maximum": max, "minimum": min, "relu": lambda x: max(x, 0), "clip": lambda x, low, high: min(max(x, low), high),
    "exp": mp.exp, "expm1": mp.expm1, "exp2": lambda x: mp.power(2, x), "log": mp.log, "log1p": mp.log1p, "log2": lambda x: mp.log(x, 2),
    "log10": mp.log10, "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), "xlogy": lambda x, y: x * mp.log(y),
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "arcsin": mp.asin, "arccos": mp.acos, "arctan": mp.atan, "arctan2": mp.atan2,
    "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "arcsinh": mp.asinh, "arccosh": mp.acosh, "arctanh": mp.atanh,
    "sigmoid": _sigmoid, "softplus": lambda x: mp.log1p(mp.exp(x)), "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "root_one_plus": lambda x: mp.sqrt(1 + x * x), "over_root_one_plus": lambda x: x / mp.sqrt(1 + x * x),
    "sech": mp.sech, "csch": mp.csch, "log_cosh": lambda x: mp.log(mp.cosh(x)), "over_expm1": lambda x: 1 / mp.expm1(x),
    "erf": mp.erf, "erfc": mp.erfc, **{name: f.exact for name, f in SPECIAL.items()},
    "log1mexp": lambda x: mp.log(-mp.expm1(x)),
    "tanh_slope": lambda x: mp.sech(x) ** 2, "sigmoid_slope": lambda x: _sigmoid(x) * _sigmoid(-x),
    "erf_slope": lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
    "arcsin_slope": lambda x: 1 / mp.sqrt((1 - x) * (1 + x)), "arctan_slope": lambda x: 1 / (1 + x * x),
    "arcsinh_slope": lambda x: 1 / mp.sqrt(1 + x * x), "arccosh_slope": lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),
    "arctanh_slope": lambda x: 1 / ((1 - x) * (1 + x)),
    "power_slope": lambda x, y: x**y * mp.log(x), "power_curve": lambda x, y: x**y * mp.log(x) ** 2,
    "arctan2_slope": lambda y, x: x / (x * x + y * y), "arctan2_curve": lambda y, x: (y * y - x * x) / (x * x + y * y) ** 2,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "cbrt_slope": lambda x: 1 / (3 * mp.cbrt(abs(x)) ** 2),
    "hypot": lambda x, y: mp.sqrt(x * x + y * y), "hypot_slope": lambda x, y: x / mp.sqrt(x * x + y * y),
    "logaddexp2": lambda x, y: mp.log(mp.power(2, x) + mp.power(2, y), 2),
    "fmod": lambda x, y: mp.sign(x) * mp.fmod(abs(x), abs(y)), "copysign": lambda x, y: abs(x) if y >= 0 else -abs(x),
    "nextafter": lambda x, y: x,  # its derivatives, and its value but for the last place, which tests/test_ufuncs.py looks at
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
    "greater_equal": operator.ge, "isnan": mp.isnan, "isinf": mp.isinf, "isfinite": lambda x: not (mp.isnan(x) or mp.isinf(x)),
    "logical_and": lambda x, y: bool(x) and bool(y), "logical_or": lambda x, y: bool(x) or bool(y), "logical_not": lambda x: not x,
    "logical_xor": lambda x, y: bool(x) != bool(y),
    **special_rows.EXACT,
}  # fmt: skip


# -- integers -----------------------------------------------------------------------------------------------------------
def _integer_power(x: int, y: int) -> int:
    if y >= 0:
        return pow(x, y, 1 << 64)  # of the widest dtype: what is wrapped to fewer bits later is the same
    return x ** (y % 2) if abs(x) == 1 else 0


def _shift(x: int, n: int, bits: int) -> int:
    return x << n if 0 <= n < bits else 0


def _unshift(x: int, n: int, bits: int) -> int:
    return x >> n if 0 <= n < bits else -(x < 0)


INTEGER: dict[str, Callable[..., int]] = {
    "floor_divide": lambda x, y: x // y if y else 0, "mod": lambda x, y: x % y if y else 0, "power": _integer_power,
    "reciprocal": lambda x: x if abs(x) == 1 else 0, "sign": lambda x: (x > 0) - (x < 0), "floor": int, "ceil": int, "trunc": int,
    "round": int, "bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor,
    "invert": lambda x: not x if isinstance(x, bool) else ~x, "bitwise_count": lambda x: abs(x).bit_count(), "gcd": math.gcd,
    "fmod": lambda x, y: (abs(x) % abs(y)) * (-1 if x < 0 else 1) if y else 0,
}  # fmt: skip
SHIFTS: dict[str, Callable[[int, int, int], int]] = {"left_shift": _shift, "right_shift": _unshift}


def real(name: str) -> Callable[..., Any]:
    """The op on mpmath numbers."""
    found = REAL.get(name)
    assert found, f"the op {name!r} has no oracle: add REAL[{name!r}], the function on mpmath numbers, to tests/oracle.py"
    return found


def values(name: str, arrays: Sequence[np.ndarray]) -> list[Any]:
    """The exact results for arrays of one dtype, in which the op computes: mpmath numbers, or ints to be wrapped."""
    kind, bits = arrays[0].dtype.kind, arrays[0].dtype.itemsize * 8
    rows = list(zip(*[a.ravel().tolist() for a in arrays]))
    if kind in "iu" and name in SHIFTS:
        return [SHIFTS[name](*row, bits) for row in rows]
    if kind in "iub" and name in INTEGER:
        return [INTEGER[name](*row) for row in rows]
    with mp.workdps(DIGITS):
        return [real(name)(*[mp.mpf(v) if kind == "f" else v for v in row]) for row in rows]


def derivative(name: str, point: Sequence[float], orders: Sequence[int]) -> float:
    """The partial derivative of these orders per argument, at a point that is no kink."""
    with mp.workdps(DIGITS):
        function = real(name)
        if len(point) == 1:
            return float(mp.diff(function, mp.mpf(point[0]), orders[0]))
        return float(mp.diff(function, tuple(map(mp.mpf, point)), tuple(orders)))


# -- NumPy and SciPy: dtypes, and values at nan, infinities and zeros -----------------------------------------------------
def _over_square(v: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """v / (x**2 + y**2), 0 at infinity."""
    far, r = np.isinf(np.maximum(abs(x), abs(y))), np.hypot(x, y)
    return np.where(far, x.dtype.type(0), v / r / r)


def hypot_slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x / hypot(x, y), 0 at the origin; infinite operands count as 1, finite ones beside them as 0; scaled, lest the root overflow."""
    far = np.isinf(x) | np.isinf(y)
    m = np.maximum(np.abs(x), np.abs(y))
    u, v = np.where(far, np.copysign(np.isinf(x), x), x / m), np.where(far, np.isinf(y), y / m)
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(m == 0, 0 * x, u / np.sqrt(u * u + v * v))).astype(x.dtype)


# ops that NumPy has not: the SciPy function, or the NumPy expression, that defines them
OTHERS: dict[str, Callable[..., Any]] = {
    "rsqrt": lambda x: 1 / np.sqrt(x), "sigmoid": scipy.special.expit, "log_sigmoid": scipy.special.log_expit,
    "softplus": lambda x: np.logaddexp(x, 0), "xlogy": scipy.special.xlogy, "erf": scipy.special.erf, "erfc": scipy.special.erfc,
    "relu": lambda x: np.maximum(x, np.zeros_like(x)), "clip": np.clip, "round": lambda x: np.round(x),
    "tanh_slope": lambda x: 4 * scipy.special.expit(2 * x) * scipy.special.expit(-2 * x),
    "sigmoid_slope": lambda x: scipy.special.expit(x) * scipy.special.expit(-x),
    "erf_slope": lambda x: np.exp(-x * x) * float(2 / np.sqrt(np.pi)),
    "root_one_plus": lambda x: np.hypot(np.ones_like(x), x), "over_root_one_plus": lambda x: np.sin(np.arctan(x)),
    "csch": lambda x: 1 / np.sinh(x),
    "sech": by_mpmath(mp.sech, 0.0, 0.0), "log_cosh": by_mpmath(lambda x: mp.log(mp.cosh(x)), math.inf, math.inf),
    "over_expm1": lambda x: 1 / np.expm1(x),
    "log1mexp": lambda x: np.where(x > -0.7, np.log(-np.expm1(x)), np.log1p(-np.exp(x))),
    "arcsin_slope": lambda x: 1 / np.sqrt((1 - x) * (1 + x)), "arctan_slope": lambda x: 1 / (1 + x * x),
    "arcsinh_slope": lambda x: 1 / np.hypot(1, x), "arccosh_slope": lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    "arctanh_slope": lambda x: 1 / ((1 - x) * (1 + x)),
    **special_rows.NUMPY,
    **{name: f.of_arrays() for name, f in SPECIAL.items()},
    "cbrt_slope": lambda x: 1 / (3 * np.cbrt(x) ** 2), "hypot_slope": hypot_slope,
    "power_slope": lambda x, y: np.where((x == 0) & (y >= 0), x**y * 0, x**y * np.log(x)),
    "power_curve": lambda x, y: np.where((x == 0) & (y >= 0), x**y * 0, x**y * np.log(x) * np.log(x)),
    "arctan2_slope": lambda y, x: _over_square(x, y, x),
    "arctan2_curve": lambda y, x: _over_square(y - x, y, x) * _over_square(y + x, y, x),
}  # fmt: skip
# ... and the NumPy function whose dtypes theirs follow
DTYPES_OF: dict[str, Callable[..., Any]] = {
    "rsqrt": np.sqrt, "sigmoid": np.exp, "log_sigmoid": np.exp, "softplus": np.exp, "xlogy": np.arctan2, "erf": np.exp, "erfc": np.exp,
    **{f"{name}_slope": np.exp for name in ("tanh", "sigmoid", "erf", "arcsin", "arctan", "arcsinh", "arccosh", "arctanh")},
    **dict.fromkeys(special_rows.EXACT, np.exp),
    **{name: np.arctan2 if f.arity == 2 else np.exp for name, f in SPECIAL.items()},
    "cbrt_slope": np.cbrt, "hypot_slope": np.hypot, 
    **dict.fromkeys(("sech", "csch", "log_cosh", "over_expm1", "log1mexp", "root_one_plus", "over_root_one_plus"), np.exp),
    **dict.fromkeys(("power_slope", "power_curve", "arctan2_slope", "arctan2_curve"), np.arctan2),
    "relu": np.square, "clip": lambda x, low, high: np.maximum(np.maximum(x, low), high), "round": np.floor,
}  # fmt: skip


def numpy_function(name: str) -> Callable[..., Any]:
    """The function of NumPy or SciPy that the op should equal."""
    found = OTHERS.get(name) or getattr(np, name, None)
    assert found, f"the op {name!r} is not in NumPy: add OTHERS[{name!r}], and DTYPES_OF[{name!r}], to tests/oracle.py"
    return found


def numpy_dtype(name: str, arguments: Sequence[Any]) -> np.dtype | None:
    """The dtype NumPy gives, float16 widened to float32 as documented; None where NumPy raises TypeError."""
    try:
        with np.errstate(all="ignore"):
            result = (DTYPES_OF.get(name) or numpy_function(name))(*arguments)
    except TypeError:
        return None
    return np.dtype("float32") if result.dtype == np.float16 else np.asarray(result).dtype


# -- Scalars: the bodies of kernels, on arrays ------------------------------------------------------------------------------
def _guarded(divide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: np.where(y == 0, np.zeros_like(x), divide(x, y))


def _logical_shift(x: np.ndarray, n: np.ndarray) -> np.ndarray:
    unsigned = f"u{x.dtype.itemsize}"
    return np.right_shift(x.view(unsigned), n.view(unsigned)).view(x.dtype)


SCALAR_OPS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt,
    "copysign": np.copysign, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "min": np.minimum, "max": np.maximum,
    "floordiv": _guarded(np.floor_divide), "mod": _guarded(np.remainder), "fma": lambda x, y, z: x * y + z,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
    "shl": np.left_shift, "ashr": np.right_shift, "lshr": _logical_shift,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "select": np.where,
}  # fmt: skip
MATHLIB: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (np.exp, np.expm1, np.exp2, np.log, np.log1p, np.log2, np.log10, np.sin, np.cos, np.tan)},
    **{f.__name__: f for f in (np.sinh, np.cosh, np.tanh, np.logaddexp, np.logaddexp2, np.fmod, np.cbrt, np.hypot)},
    **{"a" + f.__name__[3:]: f for f in (np.arcsin, np.arccos, np.arctan, np.arctan2, np.arcsinh, np.arccosh, np.arctanh)},
    **{name: OTHERS[name] for name in SPECIAL},
    **{name: OTHERS[name] for name in ("tanh_slope", "sigmoid", "sigmoid_slope", "log_sigmoid", "softplus", "erf", "erf_slope", "erfc")},
    "pow": np.power, **special_rows.NUMPY,
}  # fmt: skip


def run_scalar(body: Scalar, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """The value of a body whose leaves are `arg(k)` and constants, on whole arrays."""
    done: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for s in scalars.order((body,)):
            inputs = [done[id(a)] for a in s.args]
            if s.op == "arg":
                result = arguments[s.param]
            elif s.op == "const":
                result = np.full(np.shape(arguments[0]), scalars.const_value(s), s.dtype)
            elif s.op == "cast":
                result = inputs[0] != 0 if s.dtype == bool_ else cast_array(inputs[0], s.dtype)
            elif s.op == "bitcast":
                result = inputs[0].view(s.dtype)
            else:
                result = (SCALAR_OPS.get(s.op) or MATHLIB[s.op])(*inputs)
            assert result.dtype == s.dtype, f"{s.op} gives {result.dtype}, declared {s.dtype}"
            done[id(s)] = result
    return done[id(body)]
