"""Errors of the vector math in units of the last place, against mpmath.

python -m tests.ulp                     every function, 20,000 samples a piece
python -m tests.ulp exp sin -n 100000   some functions, more samples
python -m tests.ulp --target x86-64     code for another target than this machine
python -m tests.ulp --stride 1 exp      all 2**32 floats against NumPy's f64 (functions of one argument); 16: every 16th

`python -m tests.ulp_table` writes the table beside other libraries.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence

import mpmath as mp
import numpy as np
import scipy.special as special

from graphc.codegen.mathlib import MATH
from graphc.codegen.target import host, named
from graphc.dtypes import float32, float64
from graphc.scalars import math
from graphc.target import Target
from tests import oracle, special_rows
from tests.special_functions import SPECIAL
from tests.special_reference import Reference
from tests.vector import Vectorised

PRECISION = 220  # bits


def _nan_below(f: Callable[..., mp.mpf], low: float, high: float = float("inf")) -> Callable[..., mp.mpf]:
    return lambda x: f(x) if low <= x <= high else mp.nan


def _logaddexp(a: mp.mpf, b: mp.mpf) -> mp.mpf:
    return max(a, b) + mp.log1p(mp.exp(-abs(a - b)))


def _softplus(x: mp.mpf) -> mp.mpf:
    return max(x, 0) + mp.log1p(mp.exp(max(-abs(x), -2000)))


def _pow(x: mp.mpf, y: mp.mpf) -> mp.mpf:
    if y == 0:
        return mp.mpf(1)
    if x == 0:
        return mp.mpf(0) if y > 0 else mp.inf
    size = mp.exp(min(max(y * mp.log(abs(x)), -4000), 4000))
    if x > 0:
        return size
    if y != mp.floor(y):
        return mp.nan
    return -size if mp.floor(y) % 2 else size


def _cbrt(x: mp.mpf) -> mp.mpf:
    return mp.sign(x) * mp.cbrt(abs(x))


def _fmod(x: mp.mpf, y: mp.mpf) -> mp.mpf:
    with mp.workprec(2300):
        return mp.sign(x) * mp.fmod(abs(x), abs(y)) if y else mp.nan


def _clipped(f: Callable[..., mp.mpf], bound: float) -> Callable[..., mp.mpf]:
    """f with its argument kept within bounds beyond which the result overflows or is 0 anyway."""
    return lambda x: f(min(max(x, -bound), bound))


def _precisely(f: Callable[..., mp.mpf]) -> Callable[..., mp.mpf]:
    def at(x: mp.mpf) -> mp.mpf:
        with mp.workprec(1400 if abs(x) > 1e6 else PRECISION):
            return f(x)

    return at


REFERENCES: dict[str, Reference] = {
    "exp": Reference(_clipped(mp.exp, 2000), np.exp, ((-104, 89), (-1, 1), (-746, 710))),
    "exp2": Reference(_clipped(lambda x: mp.mpf(2) ** x, 2000), np.exp2, ((-151, 129), (-1, 1), (-1076, 1025))),
    "expm1": Reference(_clipped(mp.expm1, 2000), np.expm1, ((-40, 89), (-1, 1), (-0.4, 0.4), (-50, 710))),
    "sinh": Reference(_clipped(mp.sinh, 2000), np.sinh, ((-90, 90), (-1, 1), (-711, 711))),
    "cosh": Reference(_clipped(mp.cosh, 2000), np.cosh, ((-90, 90), (-1, 1), (-711, 711))),
    "tanh": Reference(_clipped(mp.tanh, 2000), np.tanh, ((-20, 20), (-1, 1), (-0.3, 0.3))),
    "tanh_slope": Reference(
        lambda x: mp.sech(min(abs(x), 2000)) ** 2, oracle.OTHERS["tanh_slope"], ((-20, 20), (-1, 1), (-55, -40), (350, 380)),
    ),
    "sigmoid": Reference(lambda x: 1 / (1 + mp.exp(-max(min(x, 2000), -2000))), special.expit, ((-110, 40), (-3, 3), (-750, -700))),
    "sigmoid_slope": Reference(
        lambda x: 1 / (2 + mp.exp(min(abs(x), 2000)) + mp.exp(-min(abs(x), 2000))), oracle.OTHERS["sigmoid_slope"],
        ((-110, 110), (-3, 3), (-750, -700), (700, 750)),
    ),
    "log": Reference(_nan_below(mp.log, 0), np.log, ((0.5, 2), (0.99, 1.01), (0, 100))),
    "log1p": Reference(_nan_below(mp.log1p, -1), np.log1p, ((-1, 1), (-0.01, 0.01), (0, 100), (-0.5, 0.6))),
    "log2": Reference(_nan_below(lambda x: mp.log(x) / mp.log(2), 0), np.log2, ((0.5, 2), (0.99, 1.01), (0, 100))),
    "log10": Reference(_nan_below(mp.log10, 0), np.log10, ((0.5, 2), (0.99, 1.01), (0, 100))),
    "softplus": Reference(_softplus, lambda x: np.logaddexp(np.zeros_like(x), x), ((-110, 40), (-3, 3), (-750, 0))),
    "log_sigmoid": Reference(lambda x: -_softplus(-x), special.log_expit, ((-40, 110), (-3, 3), (0, 750))),
    "logaddexp": Reference(_logaddexp, np.logaddexp, ((-3, 3), (-100, 100)), scale=lambda a, b: max(abs(a), abs(b))),
    "logaddexp2": Reference(
        lambda a, b: max(a, b) + mp.log1p(mp.mpf(2) ** -abs(a - b)) / mp.log(2), np.logaddexp2, ((-3, 3), (-100, 100)),
        scale=lambda a, b: max(abs(a), abs(b)),
    ),
    "asinh": Reference(mp.asinh, np.arcsinh, ((-3, 3), (-0.1, 0.1), (-100, 100))),
    "acosh": Reference(_nan_below(mp.acosh, 1), np.arccosh, ((1, 1.1), (1, 3), (0, 100))),
    "atanh": Reference(_nan_below(mp.atanh, -1, 1), np.arctanh, ((-1, 1), (-0.1, 0.1), (0.9, 1.1))),
    "sin": Reference(_precisely(mp.sin), np.sin, ((-4, 4), (-1e3, 1e3), (-1e6, 1e6), (1e11, 1e13))),
    "cos": Reference(_precisely(mp.cos), np.cos, ((-4, 4), (-1e3, 1e3), (-1e6, 1e6), (1e11, 1e13))),
    "tan": Reference(_precisely(mp.tan), np.tan, ((-4, 4), (-1e3, 1e3), (-1e6, 1e6), (1e11, 1e13))),
    "atan": Reference(mp.atan, np.arctan, ((-3, 3), (-0.5, 0.5), (-100, 100))),
    "atan2": Reference(mp.atan2, np.arctan2, ((-3, 3), (-100, 100))),
    "asin": Reference(_nan_below(mp.asin, -1, 1), np.arcsin, ((-1, 1), (-0.1, 0.1), (0.9, 1.1))),
    "acos": Reference(_nan_below(mp.acos, -1, 1), np.arccos, ((-1, 1), (-0.1, 0.1), (0.9, 1.1))),
    "erf": Reference(_clipped(mp.erf, 30), special.erf, ((-6.5, 6.5), (-1, 1), (-0.05, 0.05))),
    "erf_slope": Reference(
        lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-(min(abs(x), 2000) ** 2)), oracle.OTHERS["erf_slope"],
        ((-6, 6), (-1, 1), (8, 11), (-28, -20)),
    ),
    "erfc": Reference(_clipped(mp.erfc, 40), special.erfc, ((-6, 11), (-1, 1), (5, 28))),
    **{name: Reference(f.inside, f.of_arrays(), f.ranges, f.scale) for name, f in SPECIAL.items() if name in MATH},
    "pow": Reference(_pow, np.power, ((0, 3), (-20, 20), (0, 200), (0.9, 1.1))),
    "cbrt": Reference(_cbrt, np.cbrt, ((-8, 8), (-1e3, 1e3), (1e10, 1e11))),
    "hypot": Reference(lambda x, y: mp.sqrt(x * x + y * y), np.hypot, ((-3, 3), (-1e3, 1e3), (0.99, 1.01))),
    "fmod": Reference(_fmod, np.fmod, ((-3, 3), (-1000, 1000))),
    **special_rows.REFERENCES,
}  # fmt: skip


def samples(name: str, dtype: np.dtype, count: int, seed: int = 0) -> list[np.ndarray]:
    """Arguments: from the function's ranges, of every exponent, near integers and multiples of pi/4, and special ones."""
    rng = np.random.default_rng([seed, *name.encode()])
    arity, ranges = MATH[name].arity, REFERENCES[name].ranges
    count //= REFERENCES[name].share
    bits = rng.integers(0, 2**63, (arity, count // 3), dtype=np.uint64) * 2 + rng.integers(0, 2, (arity, count // 3), dtype=np.uint64)
    anywhere = bits.view(np.float64) if dtype == float64 else (bits >> np.uint64(32)).astype(np.uint32).view(np.float32)
    each = max(1, count // 2 // len(ranges))
    parts = [anywhere.astype(dtype)]
    for low, high in ranges:
        mixed = [ranges[rng.integers(len(ranges))] if k else (low, high) for k in range(arity)]
        parts.append(np.array([rng.uniform(a, b, each) for a, b in mixed]).astype(dtype))
    steps = rng.integers(-200, 200, (arity, count // 12)) * rng.choice([np.pi / 4, 1.0, 0.5, np.log(2) / 2], (arity, count // 12))
    near = steps.astype(dtype)
    parts.append(near)
    parts.append(np.nextafter(near, rng.choice([-np.inf, np.inf], near.shape).astype(dtype)))
    edges = special_values(dtype)
    grid = np.array(np.meshgrid(*[edges] * arity)).reshape(arity, -1)[:, :: REFERENCES[name].share if arity > 1 else 1]
    return list(np.concatenate([*parts, grid], axis=1))


def special_values(dtype: np.dtype) -> np.ndarray:
    """Zeros, infinities, nan, subnormal, extreme and exactly representable numbers."""
    info = np.finfo(dtype)
    positive = [
        0.0,
        float(info.smallest_subnormal),
        float(info.tiny) / 2,
        float(info.tiny),
        1e-20,
        0.25,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        8.0,
        1e10,
    ]
    positive += [float(info.max), float(info.max) / 2, 2.0**23, 2.0**24 + 2, 2.0**52, np.inf]
    return np.array([*positive, *[-v for v in positive], np.nan], dtype)


def regular(arguments: Sequence[np.ndarray]) -> np.ndarray:
    """Where all arguments are finite and not 0: what mpmath answers for."""
    return np.asarray(np.all([np.isfinite(a) & (a != 0) for a in arguments], axis=0))


def exact_values(name: str, arguments: Sequence[np.ndarray]) -> list[tuple[mp.mpf, mp.mpf]]:
    """The function of regular arguments, and what its error is measured by."""
    return _exact_values(name, tuple(zip(*[a.tolist() for a in arguments])))


@functools.lru_cache(maxsize=1)  # several ways to compute a function are measured one after the other
def _exact_values(name: str, rows: tuple[tuple[float, ...], ...]) -> list[tuple[mp.mpf, mp.mpf]]:
    reference, found = REFERENCES[name], []
    with mp.workprec(PRECISION):
        for row in rows:
            x = [mp.mpf(v) for v in row]
            exact = reference.exact(*x)
            found.append((mp.mpf(exact.real), abs(exact) if reference.scale is None else max(abs(exact), reference.scale(*x))))
    return found


def distances(got: np.ndarray, exact: Sequence[tuple[mp.mpf, mp.mpf]]) -> np.ndarray:
    """How far results are from exact values, in ulps."""
    with mp.workprec(PRECISION):
        return np.array([_ulps(float(y), value, measure, got.dtype) for y, (value, measure) in zip(got, exact)])


def errors(name: str, arguments: list[np.ndarray], got: np.ndarray) -> np.ndarray:
    """The error of each result in ulps; inf where a special value or a zero's sign is wrong."""
    finite = regular(arguments)
    with np.errstate(all="ignore"):
        expected = REFERENCES[name].numpy(*[a[~finite] for a in arguments]).astype(got.dtype)
    result = np.zeros(len(got))
    result[~finite] = _special_errors(got[~finite], expected)
    result[finite] = distances(got[finite], exact_values(name, [a[finite] for a in arguments]))
    return result


def _special_errors(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    same = (got == expected) & (np.signbit(got) == np.signbit(expected)) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(all="ignore"):
        close = np.abs(got - expected) <= 4 * np.spacing(np.abs(expected))
    return np.where(same | (close & (expected != 0)), 0.0, np.inf)


def _ulps(got: float, exact: mp.mpf, measure: mp.mpf, dtype: np.dtype) -> float:
    info = np.finfo(dtype)
    if mp.isnan(exact) or np.isnan(got):
        return 0.0 if mp.isnan(exact) and np.isnan(got) else float("inf")
    top = mp.mpf(2) ** info.maxexp
    if abs(exact) >= top or np.isinf(got):  # overflow: the largest number counts as one ulp below
        got_mp = mp.sign(got) * top if np.isinf(got) else mp.mpf(got)
        exact = mp.sign(exact) * min(abs(exact), top)
        return float(abs(got_mp - exact) / mp.mpf(2) ** (info.maxexp - info.nmant - 1))
    exponent = max(mp.frexp(measure)[1] - 1 if measure else info.minexp, info.minexp)
    return float(abs(mp.mpf(got) - exact) / mp.mpf(2) ** (exponent - info.nmant))


def compiled(names: list[str], target: Target | None = None, lanes: int | None = None) -> Vectorised:
    """The functions over arrays, as "exp.float32" and so on."""
    bodies = {}
    for name in names:
        for dtype in (float32, float64):
            bodies[f"{name}.{dtype.name}"] = (lambda *x, name=name: math(name, *x), (dtype,) * MATH[name].arity)
    return Vectorised(bodies, target, lanes)


def worst(name: str, dtype: np.dtype, functions: Vectorised, count: int, seed: int = 0) -> tuple[float, tuple[float, ...], float]:
    """The largest error, where it is, and the result there."""
    arguments = samples(name, dtype, count, seed)
    got = functions[f"{name}.{dtype.name}"](*arguments)
    error = errors(name, arguments, got)
    i = int(np.argmax(error))
    return float(error[i]), tuple(float(a[i]) for a in arguments), float(got[i])


def every_float32(name: str, functions: Vectorised, stride: int) -> tuple[float, float]:
    """The largest error over all f32 (every `stride`-th), against NumPy in f64; and where."""
    top, where = 0.0, 0.0
    block = stride << 20
    for start in range(0, 2**32, block):
        x = np.arange(start, min(start + block, 2**32), stride).astype(np.uint32).view(np.float32)
        got = functions[f"{name}.float32"](x).astype(np.float64)
        with np.errstate(all="ignore"):
            exact = REFERENCES[name].numpy(x.astype(np.float64))
            unit = np.spacing(np.maximum(np.abs(exact), np.finfo(np.float32).tiny).astype(np.float32)).astype(np.float64)
            error = np.where(np.isfinite(exact) & (np.abs(exact) < np.finfo(np.float32).max), np.abs(got - exact) / unit, 0)
            error = np.where(np.isnan(error) | (np.isnan(got) != np.isnan(exact)), np.inf, error)
        if error.max() > top:
            top, where = float(error.max()), float(x[error.argmax()])
    return top, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-n", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target")
    parser.add_argument("--stride", type=int)
    options = parser.parse_args()
    names = options.names or list(MATH)
    functions = compiled(names, named(options.target) if options.target else host())
    for name in names:
        for dtype in (float32, float64):
            if options.stride:
                if dtype == float32 and MATH[name].arity == 1:
                    error, at = every_float32(name, functions, options.stride)
                    print(f"{name:12} float32  {error:6.3f} ulp at {at!r} ({float(at).hex()})", flush=True)
                continue
            error, where, got = worst(name, dtype, functions, options.n, options.seed)
            bound = MATH[name].bound_ulp[dtype]
            mark = "" if error <= bound else f"  above {bound}"
            print(f"{name:12} {dtype.name}  {error:6.3f} ulp at {', '.join(map(repr, where))} -> {got!r}{mark}", flush=True)


if __name__ == "__main__":
    main()
