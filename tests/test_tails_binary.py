"""The derivatives of every row of two operands, orders 1 to 3, each and mixed, against mpmath over the whole range of the dtype.

Points: both operands of every order of magnitude and of both signs, equal and nearly equal ones, small whole numbers, the subnormal
and the largest numbers. The bound is that of `test_tails`, with what a rounding of either operand makes of the result:

    |got - exact| <= ULPS * eps * (|t| + |x t_x| + |y t_y|) + tiny,    t a partial derivative.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests.test_tails import DIGITS, check, slope_derivatives, surely

WORDS = ["".join(w) for k in (1, 2, 3) for w in itertools.product("xy", repeat=k)]
Partial = Callable[[Any, Any, int, int], Any]  # x, y, order in x, order in y


def _falling(y: Any, k: int) -> Any:
    """y (y - 1) .. (y - k + 1)."""
    return mp.fprod(y - i for i in range(k))


def _power(x: Any, y: Any, i: int, j: int) -> Any:
    """x**(y - i) p(log x), where p = log**j and each derivative by x makes (y - k) p + p' of it."""
    if x < 0:  # of whole exponents, where there is no derivative by y
        return _falling(y, i) * x ** int(y - i) if j == 0 and y == int(y) else mp.nan
    p = [mp.mpf(0)] * j + [mp.mpf(1)]
    for k in range(i):
        p = [(y - k) * c + (n + 1) * d for n, (c, d) in enumerate(zip(p, [*p[1:], mp.mpf(0)]))]
    log = mp.log(x)
    return mp.exp((y - i) * log) * sum(c * log**k for k, c in enumerate(p))


def _divide(x: Any, y: Any, i: int, j: int) -> Any:
    return (-1) ** j * mp.factorial(j) * (x, 1)[i] / y ** (j + 1) if i < 2 else 0


def _xlogy(x: Any, y: Any, i: int, j: int) -> Any:
    if i > 1:
        return 0
    return (x, 1)[i] * (mp.log(y) if j == 0 else (-1) ** (j - 1) * mp.factorial(j - 1) / y**j)


def _xlog1py(x: Any, y: Any, i: int, j: int) -> Any:
    return mp.log1p(y) if (i, j) == (1, 0) else _xlogy(x, 1 + y, i, j)


def _relative_gap(x: Any, y: Any, i: int, j: int) -> Any:
    """Of 1 - x / y."""
    return -_divide(x, y, i, j)


def _log_ratio(x: Any, y: Any, i: int, j: int) -> Any:
    """Of log(x) - log(y)."""
    if i and j:
        return 0
    n = i + j
    return (-1) ** (n - 1) * mp.factorial(n - 1) * (x**-n if i else -(y**-n))


def _divergence(x: Any, y: Any, i: int, j: int, constant: int) -> Any:
    """Of x log(x / y), or of that less x - y."""
    if j == 0:
        return mp.log(x / y) + constant if i == 1 else _log_ratio(x, y, i - 1, 0)
    if i > 1:
        return 0
    if i == 1:
        return _log_ratio(x, y, 0, j)
    return (1 - constant) * (j == 1) + x * _log_ratio(x, y, 0, j)


def _arctan2(y: Any, x: Any, j: int, i: int) -> Any:
    """The imaginary part of derivatives of log(x + iy): i**j (-1)**(n-1) (n-1)! conj(z)**n / |z|**2n."""
    n, power = i + j, mp.mpc(1)
    for _ in range(n):
        power *= mp.mpc(x, -y)
    turned = (power.imag, power.real, -power.imag, -power.real)[j % 4]
    return (-1) ** (n - 1) * mp.factorial(n - 1) * turned / (x * x + y * y) ** n


def _logaddexp(x: Any, y: Any, i: int, j: int) -> Any:
    d = x - y
    if i + j == 1:
        return 1 / (1 + mp.exp(-d if i else d))
    return (-1) ** j * (1 / (2 + mp.exp(d) + mp.exp(-d)) if i + j == 2 else slope_derivatives(d)[i + j - 3])


def _logaddexp2(x: Any, y: Any, i: int, j: int) -> Any:
    return _logaddexp(x * mp.log(2), y * mp.log(2), i, j) * mp.log(2) ** (i + j - 1)


@functools.lru_cache(maxsize=1)
def _hypot_orders(x: Any, y: Any) -> tuple[Any, dict[tuple[int, int], Any]]:
    """With c = x/h, s = y/h: (h, polynomials in c and s, of which a derivative of order n is one over h**(n - 1))."""
    h = mp.sqrt(x * x + y * y)
    c, s = x / h, y / h
    return h, {
        (1, 0): c, (0, 1): s, (2, 0): s * s, (1, 1): -c * s, (0, 2): c * c,
        (3, 0): -3 * c * s * s, (2, 1): s * (2 * c * c - s * s), (1, 2): c * (2 * s * s - c * c), (0, 3): -3 * s * c * c,
        (4, 0): 3 * s * s * (4 * c * c - s * s), (3, 1): 3 * c * s * (3 * s * s - 2 * c * c),
        (2, 2): 2 * c**4 - 11 * c * c * s * s + 2 * s**4, (1, 3): 3 * c * s * (3 * c * c - 2 * s * s),
        (0, 4): 3 * c * c * (4 * s * s - c * c),
    }  # fmt: skip


def _hypot(x: Any, y: Any, i: int, j: int) -> Any:
    h, orders = _hypot_orders(x, y)
    return orders.get((i, j), mp.nan) / h ** (i + j - 1)


def _chosen(x: Any, y: Any, i: int, j: int) -> Any:
    """Of the larger of two."""
    return mp.mpf(0.5 if x == y else ((x > y) if i else (y > x))) if i + j == 1 else 0


PARTIALS: dict[str, Partial] = {
    "add": lambda x, y, i, j: int(i + j == 1), "subtract": lambda x, y, i, j: (i - j) * (i + j == 1),
    "multiply": lambda x, y, i, j: (((x * y), x), (y, 1))[i][j] if i < 2 and j < 2 else 0,
    "divide": _divide, "floor_divide": lambda x, y, i, j: 0,
    "mod": lambda x, y, i, j: (1 if i else -mp.floor(x / y)) if i + j == 1 else 0,
    "maximum": _chosen, "minimum": lambda x, y, i, j: _chosen(-x, -y, i, j),
    "power": _power, "power_slope": lambda x, y, i, j: _power(x, y, i, j + 1), "power_curve": lambda x, y, i, j: _power(x, y, i, j + 2),
    "arctan2_slope": lambda y, x, j, i: _arctan2(y, x, j + 1, i), "arctan2_curve": lambda y, x, j, i: _arctan2(y, x, j + 1, i + 1),
    "xlog1py": _xlog1py, "relative_gap": _relative_gap, "log_ratio": _log_ratio,
    "rel_entr": lambda x, y, i, j: _divergence(x, y, i, j, 1), "kl_div": lambda x, y, i, j: _divergence(x, y, i, j, 0),
    "hypot": _hypot, "hypot_slope": lambda x, y, i, j: _hypot(x, y, i + 1, j), "logaddexp2": _logaddexp2,
    "fmod": lambda x, y, i, j: (1 if i else -mp.sign(x) * mp.sign(y) * mp.floor(abs(x) / abs(y))) if i + j == 1 else 0,
    "copysign": lambda x, y, i, j: mp.sign(x) * (1 if y >= 0 else -1) if (i, j) == (1, 0) else 0,
    "nextafter": lambda x, y, i, j: int((i, j) == (1, 0)),
    "xlogy": _xlogy, "arctan2": _arctan2, "logaddexp": _logaddexp,
}  # fmt: skip
DEPTH = {
    "power_slope": 1,
    "power_curve": 2,
    "arctan2_slope": 1,
    "arctan2_curve": 2,
    "hypot_slope": 1,
}  # orders of another row that these are themselves
BINARY = [n for n, op in OPS.items() if op.elementwise and op.arity == 2 and n in PUBLIC and op.vjp is not None and op.row is not None]


def points(name: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of every order of magnitude, inside the domain."""
    info = np.finfo(dtype)
    low, high = np.log10(float(info.smallest_subnormal)) + 0.3, np.log10(float(info.max)) - 0.1
    sizes = [*10.0 ** np.linspace(low, high, 5), 1e-9, 0.5, 1.0, 2.0, 3.0, 7.3, 40.0, float(info.tiny), float(info.max)]
    listed = np.array([*sizes, *[-s for s in sizes]]).astype(dtype)
    near = [(v, v * (1 + d * info.eps)) for v in listed[::3] for d in (0, 1, -1, 2.0**9, 0.5 / info.eps)]
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = np.array([*itertools.product(listed, listed), *near]).astype(dtype)
    x, y = pairs[np.isfinite(pairs).all(axis=1)].T
    if name.startswith("power"):
        whole = (x < 0) & (y == np.round(y)) & (np.abs(y) < 64)
        return x[(x > 0) | whole], y[(x > 0) | whole]
    if name in ("log_ratio", "rel_entr", "kl_div", "relative_gap"):
        return x[(x > 0) & (y > 0)], y[(x > 0) & (y > 0)]
    low = {"xlogy": 0, "xlog1py": -1}.get(name, -np.inf)
    return x[y > low], y[y > low]


def derivatives(name: str, dtype: str, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """By each word of at most three letters, which says by which operand is differentiated, the first first."""
    leaves = {v: gx.tensor(v, ("n",), dtype) for v in "xy"}
    made = {"": PUBLIC[name](*leaves.values())}
    for word in WORDS:
        made[word] = gx.grad(gx.sum(made[word[:-1]]), leaves[word[-1]], disconnected="zero")
    return dict(zip(WORDS, gx.function(list(leaves.values()), [made[w] for w in WORDS])(x, y)))


def exact(name: str, x: Any, y: Any, i: int, j: int) -> Any:
    return mp.mpf(PARTIALS[name](x, y, i, j))


def _beyond(name: str, x: Any, y: Any, n: int, top: float) -> bool:
    """Whether a part of a derivative of order n leaves the range by itself, so that nothing is promised of the whole.

    power: sums of x**(y-n) by powers of y and of log x. arctan2: differences of products of p = x / (x**2 + y**2) and
    q = y / (x**2 + y**2). hypot: products of x/h and y/h, h = hypot(x, y), over h**(n-1). Of these, and of the quotient x / y, a
    subnormal one has lost digits already.
    """
    if name.startswith("power"):
        factor, rate = (1 + abs(y)) * (1 + abs(mp.log(abs(x)))), mp.log(abs(x))
        return n * mp.log(factor) + max((y - n) * rate, y * rate, 0) > mp.log(top)
    if name.startswith("hypot"):
        return (x * x + y * y) ** (mp.mpf(1 - n) / 2) > top / 8
    if name.startswith("arctan2"):
        p, q = [abs(v) / (x * x + y * y) for v in (x, y)]
        return (max(p, q) ** n > top / 8 or min(p, q) < 4 / top) if n > 2 else max(p, q) > top
    return name in ("divide", "relative_gap") and n > 1 and abs(x / y) < 4 / top


def _faults(name: str, dtype: str) -> list[str]:
    (x, y), faults, info = points(name, dtype), [], np.finfo(dtype)
    got, depth = derivatives(name, dtype, x, y), DEPTH.get(name, 0)
    for k, (a, b) in enumerate(zip(x.tolist(), y.tolist())):
        true = functools.cache(functools.partial(exact, name, mp.mpf(a), mp.mpf(b)))
        for word in [w for w in WORDS if len(w) + depth <= 3]:
            i, j, found = word.count("x"), word.count("y"), float(got[word][k])
            if surely(found, float(true(i, j)), info, len(word)):
                continue
            if mp.isnan(true(i, j)) or _beyond(name, mp.mpf(a), mp.mpf(b), len(word) + depth, float(info.max)):
                continue
            moved = sum(abs(v) for v in (a * true(i + 1, j), b * true(i, j + 1)) if not mp.isnan(v))
            if name.startswith("power"):  # whose derivative is made of x**(y - n), the exponent rounded
                moved += abs(true(i, j) * mp.log(abs(a)))
            fault = check(found, true(i, j), moved, info.dtype, len(word))
            faults += [f"{word} of {name} at {a!r}, {b!r}: {fault}"] * bool(fault)
    return faults


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_rows(name: str, dtype: str) -> None:
    assert name in PARTIALS, f"add the partial derivatives of {name!r} to tests/test_tails_binary.py"
    with mp.workdps(DIGITS):
        faults = _faults(name, dtype)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])
