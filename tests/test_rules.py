"""Every rule of every table is proved: exact ones bit by bit, stable ones against mpmath, all by their own claim of honesty."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.create import iota
from graphc.ops.indexing import gather
from graphc.ops.special.hyperbolic import over_expm1
from graphc.ops.spread import broadcast
from graphc.passes.prepare import PREPARE
from graphc.passes.rewriting.match import HOLE
from graphc.passes.rewriting.rewrite import Table, rewrite
from graphc.passes.rewriting.rule import HONESTY, Glance, Local, Rule, template
from graphc.passes.simplify import SIMPLIFY

EVERY = list(dict.fromkeys([*PREPARE.rules, *SIMPLIFY.rules]))
RULES = [rule for rule in EVERY if isinstance(rule, Rule)]
LOCALS = [rule for rule in EVERY if isinstance(rule, Local)]

# -- what the holes are filled with -----------------------------------------------------------------------------------
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.7, -1e-3, 1e30, -1e30, math.inf, -math.inf, math.nan, "tiny", "-tiny", "max"]
WHOLE = [0, 1, -1, 2, 7, 12, -100, -128, 127]
NUMBERS = [2.0, -0.5, 0.25, 3.0, -1.5, 0.0, -4.0]
ORDINARY = [-2.3, -0.7, -0.1, 0.2, 0.9, 1.7, 4.0]
EXTREME = [1e-20, -1e-20, 1e-9, -1e-9, 1e-5, 30.0, -30.0, 60.0, -60.0, 200.0, -200.0, 1000.0, -1000.0]
VECTORS = [  # rows along the axis that a lifted rule takes; the last ones are what naive formulas overflow or cancel on
    [0.3, -1.2, 0.7, 2.0], [1.0, 1.0, 1.0, 1.0], [-3.0, 0.5, 0.0, 1e-3], [1000.0, 999.0, -5.0, 0.0], [-900.0, -901.0, -1000.0, -950.0],
    [1e8, 1e8 + 4, 1e8 - 4, 1e8], [4096.0, 4097.0, 4095.0, 4096.0],
]  # fmt: skip


def holes(rule: Rule) -> list[Node]:
    sides = [s for s in (rule.before, rule.after) if isinstance(s, Node)]
    return [n for n in toposort(sides) if n.op is HOLE]


def lifted(rule: Rule) -> bool:
    return any(h.ndim for h in holes(rule))


def dtypes(rule: Rule) -> list[str]:
    kinds = {h.params[1] for h in holes(rule)} - {"number"}
    if kinds <= {"b"}:
        return ["float64"]
    return ["int8", "uint16", "int64"] if "iu" in kinds else ["float32", "float64"]


def values(name: str, dtype: np.dtype, kind: str) -> list[Any]:
    if kind == "b":
        return [False, True]
    if dtype.kind != "f":
        return [v for v in WHOLE if dtype.kind == "i" or v >= 0]
    info = np.finfo(dtype)
    named = {"tiny": info.smallest_subnormal, "-tiny": -3 * info.smallest_subnormal, "max": info.max}
    return [named.get(v, v) if isinstance(v, str) else v for v in SPECIAL]


def literals(rule: Rule) -> list[float]:
    """The numbers in a rule, where what it says may be another thing than around them."""
    sides = [s for s in (rule.before, rule.after) if isinstance(s, Node)]
    arrays = [n.params[0].array for n in toposort(sides) if n.op.name == "constant"]  # type: ignore[union-attr]
    return sorted({float(a.flat[0]) for a in arrays if a.size == 1 and a.dtype.kind in "fiu"} - {0.0})


def fill(
    rule: Rule, dtype: np.dtype, pick: Callable[[Node], list[Any]], numbers_from: Sequence[float] = tuple(NUMBERS)
) -> Iterator[tuple[dict[str, Any], dict[Node, np.ndarray]]]:
    """Bindings of the holes to variables (to numbers, for `number` holes), with arrays for the variables: every combination."""
    found = holes(rule)
    numbers = [h for h in found if h.params[1] == "number"]
    arrays = [h for h in found if h.params[1] != "number"]
    grid = np.array(list(itertools.product(*[pick(h) for h in arrays])), object).reshape(-1, len(arrays))
    for chosen in itertools.product(numbers_from, repeat=len(numbers)):
        bound: dict[str, Any] = {str(h.params[0]): dtype.type(v) for h, v in zip(numbers, chosen)}
        env: dict[Node, np.ndarray] = {}
        for k, h in enumerate(arrays):
            own = np.dtype(bool) if h.params[1] == "b" else dtype
            leaf = gx.tensor(str(h.params[0]), (len(grid),), own)
            with np.errstate(over="ignore"):
                env[leaf] = grid[:, k].astype(own)
            bound[str(h.params[0])] = leaf
        yield bound, env


def fill_lifted(rule: Rule, dtype: np.dtype) -> Iterator[tuple[dict[str, Any], dict[Node, np.ndarray]]]:
    rows = np.array([r for r in VECTORS if dtype == np.float64 or max(map(abs, r)) < 1e7]).astype(dtype)
    for chosen in (3.0, 0.25):
        bound: dict[str, Any] = {"axes": (1,), "shape": rows.shape}
        env: dict[Node, np.ndarray] = {}
        for h in holes(rule):
            name, kind = h.params[:2]
            if kind == "number":
                bound[name] = dtype.type(chosen)
                continue
            leaf = gx.tensor(name, rows.shape if h.ndim else rows.shape[:1], dtype)
            env[leaf] = rows if h.ndim else np.linspace(0.5, 3.0, len(rows)).astype(dtype)
            bound[name] = leaf
        yield bound, env


def both(rule: Rule, bound: dict[str, Any]) -> tuple[Node, Node] | None:
    """(before, what the rule makes of it), None where its condition does not hold."""
    before = template(rule.before)(bound)
    if not rule.holds(bound):
        assert rule.apply(before) is None
        return None
    assert Table([rule], HONESTY).candidates(before) == (rule,), "the glance turns away what matches"
    after = rule.apply(before)
    assert after is not None, f"{rule.name} does not match itself"
    assert after.type is before.type
    return before, after


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind != "f":
        return a == b
    return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))


def cases(floats: str) -> list[Any]:
    return [pytest.param(r, d, id=f"{r.name}-{d}") for r in RULES if r.floats == floats for d in dtypes(r)]


def test_no_two_rules_of_a_table_have_one_pattern() -> None:
    """The second would never be reached, and what it was meant for would have none."""
    for table in (PREPARE.rules, SIMPLIFY.rules):
        seen: set[tuple[int, object]] = set()
        for rule in dict.fromkeys(table):
            if isinstance(rule, Rule):
                assert not seen & {(id(rule.before), None), (id(rule.before), rule.where)}, rule.name
                seen.add((id(rule.before), rule.where))


# -- exact ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rule", "dtype"), cases("exact"))
def test_exact(rule: Rule, dtype: str) -> None:
    held = 0
    kind = np.dtype(dtype)
    for bound, env in fill(rule, kind, lambda h: values(str(h.params[0]), kind, str(h.params[1]))):
        pair = both(rule, bound)
        if pair is None:
            continue
        held += 1
        a, b = evaluate(pair, env)
        bad = np.flatnonzero(~same_bits(a, b))
        assert not bad.size, f"{[v[bad[0]] for v in env.values()]} {bound}: {a[bad[0]]} became {b[bad[0]]}"
    assert held


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "uint8"])
def test_on_integers(dtype: str) -> None:
    """Rules whose ops take integers too are exact there, whatever they claim: integers wrap alike in any order."""
    kind = np.dtype(dtype)
    fired = 0
    for rule in RULES:
        if lifted(rule) or not any("f" in str(h.params[1]) for h in holes(rule)):
            continue
        for bound, env in fill(rule, kind, lambda h: values(str(h.params[0]), kind, str(h.params[1])), (0, 1, 2, 3)):
            try:
                before = template(rule.before)(bound)
            except gx.DTypeError:  # such as x * -1 of unsigned integers
                continue
            after = rule.apply(before) if before.op is rule.before.op else None
            if after is not None and before.dtype == kind:
                fired += 1
                a, b = evaluate([before, after], env)
                assert (a == b).all(), f"{rule.name}: {list(env.values())} {bound}: {a} became {b}"
    assert fired > 20


# -- reassoc ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rule", "dtype"), cases("reassoc"))
def test_reassoc(rule: Rule, dtype: str) -> None:
    """Equal up to rounding for ordinary numbers, nan where the original is nan."""
    kind, held = np.dtype(dtype), 0
    for bound, env in fill(rule, kind, lambda h: [*ORDINARY, 0.0, -0.0, math.nan, *literals(rule)]):
        pair = both(rule, bound)
        if pair is not None:
            held += 1
            np.testing.assert_allclose(*evaluate(pair, env), rtol=16 * np.finfo(kind).eps, atol=0)
    assert held


# -- stable -----------------------------------------------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def thousand_digits() -> Iterator[None]:
    """1 - tanh(1000)**2 keeps its digits; only here, for every other test of the process would pay for them."""
    with mp.workdps(1000):
        yield


def _real(f: Callable[..., Any]) -> Callable[..., Any]:
    def real(*args: Any) -> Any:
        try:
            result = f(*[mp.mpf(a) if not isinstance(a, bool) else a for a in args])
        except (ZeroDivisionError, ValueError):
            return mp.nan
        return result if isinstance(result, (bool, mp.mpf)) else mp.nan if isinstance(result, mp.mpc) else mp.mpf(result)

    return np.frompyfunc(real, f.__code__.co_argcount if hasattr(f, "__code__") else 1, 1)


_erf, _erfc = functools.cache(mp.erf), functools.cache(mp.erfc)  # 20 ms each, and wanted many times of the same points
TRUTH: dict[str, Any] = {name: _real(f) for name, f in {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y, "divide": lambda x, y: x / y,
    "negative": lambda x: -x, "abs": lambda x: abs(x), "square": lambda x: x * x, "reciprocal": lambda x: 1 / x, "power": lambda x, y: x**y,
    "sqrt": lambda x: mp.sqrt(x), "exp": lambda x: mp.exp(x), "expm1": lambda x: mp.expm1(x), "log": lambda x: mp.log(x) if x else -mp.inf,
    "log1p": lambda x: mp.log1p(x), "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "softplus": lambda x: mp.log1p(mp.exp(x)),
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)), "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), "sinh": lambda x: mp.sinh(x),
    "cosh": lambda x: mp.cosh(x), "tanh": lambda x: mp.tanh(x),
    "erf": _erf, "erfc": _erfc, "sin": lambda x: mp.sin(x),
    "cos": lambda x: mp.cos(x), "maximum": lambda x, y: max(x, y), "isinf": lambda x: mp.isinf(x), "isfinite": lambda x: mp.isfinite(x),
    "tan": lambda x: mp.tan(x), "arctan": lambda x: mp.atan(x), "arcsinh": lambda x: mp.asinh(x), "arctanh": lambda x: mp.atanh(x),
    "arccosh": lambda x: mp.acosh(x), "erfcx": lambda x: mp.exp(x * x) * _erfc(x), "arctan_slope": lambda x: 1 / (1 + x * x),
    "arcsinh_slope": lambda x: 1 / mp.sqrt(1 + x * x), "root_one_plus": lambda x: mp.sqrt(1 + x * x), "hypot": lambda x, y: mp.hypot(x, y),
    "over_root_one_plus": lambda x: x / mp.sqrt(1 + x * x),
    "sech": lambda x: mp.sech(x), "csch": lambda x: mp.csch(x),
    "log_cosh": lambda x: mp.log(mp.cosh(x)), "over_expm1": lambda x: 1 / mp.expm1(x),
    "log1mexp": lambda x: mp.log(-mp.expm1(x)),
    "tanh_slope": lambda x: mp.sech(x) ** 2, "sigmoid_slope": lambda x: 1 / (2 + mp.exp(x) + mp.exp(-x)),
    "equal": lambda x, y: x == y, "greater": lambda x, y: x > y, "less": lambda x, y: x < y,
}.items()}  # fmt: skip
FOLDS = {
    "sum": lambda x, a: np.add.reduce(x, axis=a),
    "max": lambda x, a: np.maximum.reduce(x, axis=a),
    "sup": lambda x, a: np.maximum.reduce(x, axis=a),
    "prod": lambda x, a: np.multiply.reduce(x, axis=a),
}


def truth(node: Node, env: dict[Node, np.ndarray]) -> np.ndarray:
    """The value of `node` in high precision, for the given floats."""
    found: dict[Node, Any] = {}
    for n in toposort([node]):
        args = [found[i] for i in n.inputs]
        if n in env or n.op.name == "constant":
            array = env[n] if n in env else n.params[0].array  # type: ignore[union-attr]
            found[n] = np.array([mp.mpf(float(v)) for v in np.ravel(array)], object).reshape(np.shape(array))
        elif n.op.name == "select":
            found[n] = np.where(args[0].astype(bool), args[1], args[2])
        elif n.op.name == "reduce":
            found[n] = np.asarray(FOLDS[str(n.params[1])](args[0], n.params[0]), object)
        elif n.op.name in ("stop_gradient", "cast"):
            found[n] = args[0]
        elif n.op.name in TRUTH:
            found[n] = np.asarray(TRUTH[n.op.name](*args), object)
        else:
            found[n] = n.op.ref(*args, **n.attrs)  # type: ignore[misc]
    return found[node]


def errors(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Absolute error where the truth is finite in the dtype, inf for a wrong nan or infinity; 0 where there is no truth."""
    info = np.finfo(got.dtype)
    result = []
    for a, t in zip(np.ravel(got), np.ravel(true)):
        if mp.isnan(t):
            result.append(mp.mpf(0))
        elif abs(t) > info.max:
            result.append(mp.mpf(0) if abs(a) >= info.max / 2 else mp.inf)
        elif not np.isfinite(a):
            result.append(mp.inf)
        else:
            result.append(max(abs(mp.mpf(float(a)) - t) - mp.mpf(float(info.tiny)), mp.mpf(0)))
    return np.array(result, object)


def scale(node: Node, env: dict[Node, np.ndarray]) -> np.ndarray:
    """What rounding is relative to: the value, or the terms if it is a sum or a difference, which nobody can round better."""
    while node.op.name in ("negative", "select", "broadcast"):
        node = node.inputs[-1]
    sizes = [np.abs(truth(node, env))]
    if node.op.name == "sigmoid":  # of a difference, whose rounding the exponential magnifies
        sizes[0] = sizes[0] * (1 + np.abs(truth(node.inputs[0], env)))
    if node.op.name in ("add", "subtract", "softplus"):
        sizes += [np.abs(truth(i, env)) for i in node.inputs]
    return np.ravel(np.maximum.reduce(np.broadcast_arrays(*sizes)))


# rules whose left side is as good as the right one, but its derivatives are not: see tests/test_mechanisms.py
FOR_DERIVATIVES = ("over sinh", "x over root of 1 + x**2", "sine of arctan", "cosh - 1 over x")


@pytest.mark.parametrize(("rule", "dtype"), cases("stable"))
def test_stable(rule: Rule, dtype: str) -> None:
    """Nowhere less accurate than rounding explains, or than the original; somewhere better."""
    kind, held, better = np.dtype(dtype), 0, False
    eps = mp.mpf(float(np.finfo(kind).eps))
    count = len([h for h in holes(rule) if h.params[1] != "number"])
    calm = {n.op.name for n in toposort([rule.before])}.isdisjoint(
        ("exp", "expm1", "sinh", "cosh", "tanh", "sigmoid", "sin", "cos", "erf", "erfc")
    )
    far = [float(np.finfo(kind).max / 3), float(np.sqrt(np.finfo(kind).max) / 3), float(np.finfo(kind).tiny * 1.25)] if calm else []
    few = [0.7, 4.0, -30.0, 1000.0, -1000.0]  # for each of several holes
    points = [*ORDINARY, *EXTREME, *far, 0.0, *literals(rule)] if count == 1 else few if count > 2 else [*few, *ORDINARY[::2], 1e-20, 200.0]
    for bound, env in fill_lifted(rule, kind) if lifted(rule) else fill(rule, kind, lambda h: points):
        pair = both(rule, bound)
        if pair is None:
            continue
        held += 1
        before, after = evaluate(pair, env)
        true = truth(pair[0], env)
        was, now = errors(before, true), errors(after, true)
        size = np.array([s if mp.isfinite(s) else mp.mpf(0) for s in scale(pair[1], env)], object)
        allowed = np.maximum(16 * eps * size, was)
        bad = np.flatnonzero(now > allowed)
        assert not bad.size, (
            f"{[np.ravel(v)[bad[0] % v.size] for v in env.values()]} {bound}: {before.flat[bad[0]]} became {after.flat[bad[0]]}"
        )
        better |= bool((was > now).any())
    assert held
    assert better or rule.name in FOR_DERIVATIVES, "no point where it helps"


# -- rules on parameters ------------------------------------------------------------------------------------------------------
x, y = gx.tensor("x", (3, 4)), gx.tensor("y", (4,))
w, one = gx.tensor("w", (4, 3)), gx.tensor("one", (3, 1))
i, k = gx.tensor("i", (3,), "int64"), gx.tensor("k", (4, 3), "int8")
rows = gx.tensor("rows", (3, "n"))
ROW = gx.broadcast_to(y, (3, 4))
SQUARE = x @ w + 9 * gx.eye(3)
INV, STACK = gx.linalg.inv(SQUARE), gx.stack([SQUARE, SQUARE.T + gx.eye(3)])
POSITIVE, SECOND = gx.assume(gx.exp(x), positive=True), gx.assume(gx.exp(w.T), positive=True)


def _one_hot(index: Node) -> Node:
    wrapped = gx.where(index < 0, index + 4, index)
    return gx.sum(gx.where(iota((3, 4), 1) == broadcast(wrapped, (3, 4), (0,)), broadcast(one[:, 0], (3, 4), (0,)), 0.0), axis=1)


def _by_hand() -> Node:
    return x - broadcast(gx.max(x, axis=1), (3, 4), (0,))


def softmax_slope(g: Node, e: Node, of: Node, power: int = 2, axis: int = 1) -> Node:
    """As the chain rule leaves it: (g r - sum(g e r**2)) e, r = 1 / sum(e)."""
    r = broadcast(gx.reciprocal(gx.sum(gx.exp(of), axis=1)), of.shape, (0,))
    return (g * r - broadcast(gx.sum(g * e * r * (r if power == 2 else 1), axis=axis), of.shape, (0,))) * e


def single_softmax_slope(g: Node, e: Node, sign: int = 1) -> Node:
    """Of one row, which the sums have lost."""
    r = broadcast(gx.reshape(gx.reciprocal(gx.sum(e, axis=1)), ()), (1, 4), ())
    return (broadcast(gx.sum(gx.reshape(-(g * e * r * r) if sign == 1 else g * e * r * r, (4,)), axis=0), (1, 4), ()) + g * r) * e


EXAMPLES: dict[str, Callable[[], Node]] = {
    "slope of a softmax": lambda: (
        softmax_slope(w.T, gx.exp(x), x) + softmax_slope(-(y * w.T), gx.exp(x), x) + gx.sum(single_softmax_slope(w.T[:1], gx.exp(x[:1])))
    ),
    "fold": lambda: gx.asarray(np.arange(3.0)) * gx.asarray(np.ones(3)),
    "choice known from above": lambda: gx.where(
        x > 0, gx.sqrt(gx.where(x > 0, x, 1.0)) * gx.where(gx.logical_not(x > 0), 5.0, x), gx.where(x > 0, 1.0, x)
    ),
    "division by what is repeated": lambda: (
        x / gx.sqrt(gx.sum(x * x, axis=1, keepdims=True)) + x[:1] / broadcast(gx.reshape(gx.sum(gx.exp(x[:1]), axis=1), ()), (1, 4), ())
    ),
    "log before a view": lambda: gx.log(gx.sigmoid(w).T[1:]),
    "product with exponentials": lambda: (
        (y * gx.exp(x)) * gx.exp(-2 * x + w.T)
        + gx.sigmoid(x) * gx.exp(-x)
        + gx.exp(-x) * gx.cosh(w.T)
        - gx.expm1(x) * gx.exp(-x) * gx.exp(y)
    ),
    "quotient with exponentials": lambda: (
        gx.exp(x) / (2 * gx.exp(y))
        + gx.sigmoid(x) / gx.sigmoid(-x)
        + gx.exp(x) * y / gx.expm1(x)
        + gx.exp(x) / gx.sinh(2 * y)
        + gx.square(gx.exp(x)) / gx.exp(x * 3)
    ),
    "quotient by a sum of exponentials": lambda: (
        gx.exp(x) / (2 * gx.exp(x) + gx.exp(y))
        + y / (3 + gx.exp(x))
        + gx.exp(-x) / gx.square(1 + gx.exp(x))
        + (gx.exp(x) - gx.exp(y)) / (gx.exp(x) + gx.exp(y))
        + (gx.exp(x) + 2 * gx.exp(y)) / (1 + gx.exp(x))
        + gx.exp(y) / (gx.exp(x) + 1 + gx.exp(-x))
    ),
    "reciprocal of a sum of exponentials": lambda: gx.reciprocal(2 + gx.exp(x)) + gx.reciprocal(gx.square(gx.exp(x) + gx.exp(y))),
    "root of exponentials": lambda: gx.sqrt(gx.exp(x)) + gx.sqrt(1 + gx.exp(x)) + gx.sqrt(gx.sigmoid(x) * gx.exp(y)) + gx.sqrt(gx.cosh(x)),
    "power of exponentials": lambda: gx.exp(x) ** 1.5 + (1 + gx.exp(x)) ** -0.5 + gx.sigmoid(x) ** y + gx.exp(x) ** y,
    "logarithm of exponentials": lambda: (
        gx.log(gx.square(y) * gx.exp(x) * (2 + gx.exp(-x)) ** 3)
        + gx.log(gx.exp(gx.abs(x)) - 1)
        + gx.log(gx.exp(y + gx.abs(x)) - gx.exp(y))
        + gx.log(gx.tanh(gx.abs(x)))
        + gx.log(gx.sinh(gx.abs(x)) / gx.sigmoid(y))
        + gx.log(3 - gx.exp(-gx.abs(y)))
    ),
    "log1p of exponentials": lambda: gx.log1p(3 * gx.exp(x)) + gx.log1p(-(gx.exp(-gx.abs(x)) * gx.sigmoid(y))),
    "logarithm of exponentials, base 2": lambda: gx.log2(1 + gx.exp(x)) + gx.log2(gx.exp(x)),
    "logarithm of exponentials, base 10": lambda: gx.log10(gx.exp(x) / gx.sigmoid(y)),
    "multiple beside its limit, sum": lambda: 0.5 * gx.erf(x) + 0.5,
    "multiple beside its limit": lambda: 3 * gx.tanh(x) - 3,
    "log of erfc": lambda: gx.log(gx.erfc(x)),
    "difference of one function": lambda: (
        sum(
            [
                f(gx.abs(x) + 1.5) - f(gx.abs(x)) + f(gx.abs(x)) - f(gx.abs(x) + 0.25)
                for f in (
                    gx.exp,
                    gx.expm1,
                    gx.exp2,
                    gx.log,
                    gx.log1p,
                    gx.log2,
                    gx.log10,
                    gx.sqrt,
                    gx.reciprocal,
                    gx.square,
                    gx.sin,
                    gx.cos,
                    gx.tan,
                    gx.sinh,
                    gx.cosh,
                    gx.tanh,
                    gx.sigmoid,
                    gx.softplus,
                    gx.arctan,
                    lambda v: v**3,
                    lambda v: v**4,
                    lambda v: v**1.5,
                    lambda v: v**-0.5,
                    lambda v: y / v,
                )
            ],
            start=x,
        )
        + gx.exp(x)
        - gx.exp(y)
        + gx.exp(2 * x)
        - gx.exp(x)
        + gx.sqrt(4 + x)
        - gx.sqrt(5 - x)
        + gx.cos(2 * x)
        - gx.cos(x)
        + gx.sin(x + y)
        - gx.sin(x)
        + gx.log(5 + x)
        - gx.log1p(5 + x)
        + gx.log(gx.abs(x) + 9)
        - gx.log(gx.abs(x))
    ),
    "difference of exponentials": lambda: (gx.exp(x) - gx.exp(y)) + (gx.exp(2 * x) - gx.exp(x)) - (gx.exp(x) - gx.exp(3 * x)),
    "quotient less 1": lambda: (x / (x + 1) - 1) * (1 - (x + 2) / x),
    "power less 1": lambda: ((1 + x) ** 4 - 1) * (1 - (1 - x) ** 3),
    "root less its main term": lambda: (gx.sqrt(gx.square(x) + 3) - x) * (x - gx.sqrt(gx.square(x) + gx.square(y))),
    "power near 1": lambda: (1 + x) ** 40 + (1 - x / 100) ** -50,
    "logarithm of a ratio": lambda: gx.log((4 + x) / (5 + x)) + gx.log((7 + x) / (5 + x)),
    "quotient that is 0 / 0 at a point": lambda: sum(
        [
            f(x * 0.3) / x + x / f(0.2 * x)
            for f in (gx.sin, gx.sinh, gx.tan, gx.tanh, gx.arctan, gx.arctanh, gx.arcsin, gx.arcsinh, gx.erf, gx.expm1, gx.log1p)
        ],
        start=x,
    ),
    "product that is 0 inf at a point": lambda: x * over_expm1(x) + x * over_expm1(-2 * x),
    "sum that vanishes at a point": lambda: (gx.cos(x) + (gx.square(x) * 0.5 - 1.0)) + (1 / gx.tan(2 * x) + -0.5 / x),
    "logarithm near 1": lambda: gx.log(gx.cos(x)) + gx.log(gx.tanh(x * y) / (x * y)),
    "difference that vanishes at a point": lambda: sum(
        [
            f(x * 0.3) - x * 0.3 - (x * 0.2 - f(x * 0.2))
            for f in (gx.sin, gx.sinh, gx.tan, gx.tanh, gx.arctan, gx.arctanh, gx.arcsin, gx.arcsinh, gx.expm1, gx.log1p)
        ],
        start=x,
    ),
    "log of cumsum-exp": lambda: gx.log(gx.cumsum(gx.exp(x), axis=1)),
    "power of a size": lambda: gx.abs(x) ** 1.5 + gx.abs(y) ** 0.3,
    "quotient of powers": lambda: x**3 / gx.abs(y) ** 1.5 + gx.abs(x) ** 3.5 / gx.abs(x) ** 1.5 + (2 * gx.sqrt(x)) / x,
    "product of powers": lambda: (gx.abs(x) ** -1.5) * (3 * gx.abs(x)) + gx.sqrt(gx.abs(x)) * (y / gx.abs(x)),
    "difference of sigmoids of what is related": lambda: gx.sigmoid(2 * x) - gx.sigmoid(x) + gx.sigmoid(x + y) - gx.sigmoid(y),
    "cast of cast": lambda: k.astype("int32").astype("float32"),
    "root of squares": lambda: gx.sqrt(gx.sum(gx.square(x), axis=1) + 2 * gx.square(gx.sum(x, axis=1))),
    "square of root": lambda: gx.square(gx.sqrt(gx.abs(x))) + gx.square(gx.sqrt(gx.abs(x) - 0.25)) + gx.square(gx.norm(x, axis=1))[:, None],
    "log-softmax of what is shifted": lambda: _by_hand() - broadcast(gx.log(gx.sum(gx.exp(_by_hand()), axis=1)), (3, 4), (0,)),
    "softmax of what is shifted": lambda: gx.exp(_by_hand()) / broadcast(gx.sum(gx.exp(_by_hand()), axis=1), (3, 4), (0,)),
    "root of squares by power": lambda: gx.sum(gx.square(x), axis=1) ** 0.5,
    "broadcast after elementwise": lambda: gx.exp(ROW) * gx.broadcast_to(2.0, (3, 4)),
    "reshape after elementwise": lambda: gx.exp(gx.reshape(x, (2, 6))) * 2,
    "broadcast of broadcast": lambda: gx.broadcast_to(ROW, (2, 3, 4)),
    "broadcast of iota": lambda: gx.broadcast_to(gx.arange(4), (3, 4)),
    "reshape of iota": lambda: gx.arange(4)[:, None],
    "broadcast of ones": lambda: gx.broadcast_to(one, (3, 4)),
    "reshape of reshape": lambda: gx.reshape(gx.reshape(x, (2, 6)), (6, 2)),
    "reshape of broadcast": lambda: ROW[:, None, :],
    "transpose of transpose": lambda: gx.exp(gx.transpose(gx.transpose(gx.reshape(x, (2, 3, 2)), (1, 2, 0)), (1, 0, 2))),
    "transpose of ones": lambda: one.T,
    "transpose of broadcast": lambda: gx.broadcast_to(w, (2, 4, 3)).transpose((2, 0, 1)),
    "slice of slice": lambda: w[1:][::2],
    "slice of broadcast": lambda: ROW[1:, ::2],
    "slice of pad": lambda: gx.pad(x, ((0, 2), (1, 1)))[1:3, 1:4:2],
    "reverse of reverse": lambda: gx.flip(gx.flip(x, 0), (0, 1)),
    "reduce of ones": lambda: gx.sum(one, axis=1),
    "extreme of extremes": lambda: gx.max(gx.max(gx.reshape(x, (2, 3, 2)), axis=1), axis=1),
    "reduce of broadcast": lambda: gx.max(ROW, axis=0) * gx.max(ROW, axis=1)[0],
    "reduce of reshape": lambda: gx.sum(gx.reshape(x, (2, 6))),
    "gather of elementwise": lambda: gather(x - broadcast(y[:3], (3, 4), (0,)), i % 4, axes=(1,), batch=1),
    "extreme that was checked": lambda: gx.max(rows, axis=1),
    "gather at ones": lambda: gx.take_along_axis(x, (i % 4)[:, None], axis=1),
    "sum of one-hot": lambda: _one_hot(i),
    "sum of sums": lambda: gx.sum(gx.sum(gx.reshape(x, (2, 3, 2)), axis=1), axis=1),
    "sum of broadcast": lambda: gx.sum(ROW, axis=0) + gx.sum(ROW),
    "sum of negative": lambda: gx.sum(-x, axis=1),
    "transpose in product": lambda: w.T @ x.T,
    "transpose of product": lambda: (x @ w).T,
    "pad in convolution": lambda: gx.nn.conv1d(gx.pad(x[None], ((0, 0), (0, 0), (2, 1))), gx.stack([x, x])[:, :, :2], stride=2),
    "transpose in convolution": lambda: gx.nn.conv1d(gx.transpose(x[None], (0, 2, 1)), gx.transpose(gx.stack([x[:2], x[1:]]), (0, 2, 1))),
    "sign out of product": lambda: -x @ w + x @ -w - (-x) @ -w,
    "slice of concat": lambda: gx.concatenate([x, w.T, x[:2]])[2:7:1, 1:] + gx.concatenate([x, gx.stack([y] * 7)])[4:9:2, :3][0, 0],
    "slice of elementwise": lambda: (gx.exp(-gx.stack([y, w[:, 0], x[0]])) * 2.0)[1],
    "concat of slices": lambda: gx.concatenate([y[:1], w[1:2, 0], w[2:, 0], y[:0], y[:2], y[2:]]),
    "concat of concat": lambda: gx.concatenate([gx.concatenate([x, w.T], axis=1), x], axis=1),
    "product without a sum": lambda: gx.outer(y, one[:, 0]),
    "inverse in product": lambda: (
        gx.sum(INV @ x)
        + gx.sum(INV @ x[:, 0])
        + gx.sum(w[0, :] @ INV)
        + gx.sum(w @ INV)
        + gx.sum(INV.T @ x)
        + gx.sum(gx.linalg.inv(STACK) @ (STACK + 1))
    ),
    "log of determinant": lambda: gx.log(gx.linalg.det(SQUARE @ SQUARE.T)) + gx.sum(gx.log(gx.linalg.det(STACK))),
    "abs of positive": lambda: gx.abs(gx.assume(gx.exp(x), positive=True)),
    "sign of positive": lambda: gx.sign(gx.assume(gx.exp(x), positive=True)),
    "log of positive": lambda: (
        gx.log(POSITIVE**3.5)
        + gx.log(gx.square(POSITIVE))
        + gx.log(gx.sqrt(POSITIVE))
        + gx.log(POSITIVE * POSITIVE)
        + gx.log(POSITIVE / SECOND)
    ),
}


# where the left side cancels: the right one is compared with mpmath in tests/test_mechanisms.py
CANCELLING = (
    "difference of one function",
    "difference of exponentials",
    "difference that vanishes at a point",
    "logarithm near 1",
    "sum that vanishes at a point",
    "quotient less 1",
    "power less 1",
    "root less its main term",
)


def test_every_rule_on_parameters_has_an_example() -> None:
    assert set(EXAMPLES) == {rule.name for rule in LOCALS}


def test_names_are_unique() -> None:
    assert len({rule.name for rule in EVERY}) == len(EVERY)


@pytest.mark.parametrize("rule", [pytest.param(r, id=r.name) for r in LOCALS])
def test_local(rule: Local) -> None:
    node = EXAMPLES[rule.name]()
    draw = np.random.default_rng(0)
    env = {n: draw.normal(size=n.shape) if n.dtype.kind == "f" else draw.integers(-3, 4, n.shape).astype(n.dtype)
           for n in (x, y, w, one, i, k)} | {rows: draw.normal(size=(3, 2))}  # fmt: skip
    fired = 0
    for n in toposort([node]):
        glance = Glance("", False, tuple([j.op.name for j in n.inputs]), ())
        made = rule.apply(n) if rule.root in (n.op.name, None) and rule.accepts(glance) else None
        if made is not None:
            fired += 1
            before, after = evaluate([n, made], env)
            if rule.floats == "exact" and {"contract", "convolve"}.isdisjoint((n.op.name, made.op.name)):
                assert same_bits(before, after).all()
            else:
                np.testing.assert_allclose(before, after, rtol=1e-13, atol=1e-13 if rule.name in CANCELLING else 0)
    assert fired, "the example does not contain the pattern"


# -- all together ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", [pytest.param(r, id=r.name) for r in RULES])
def test_both_sides_have_one_normal_form(rule: Rule) -> None:
    """What a rule says of an expression survives the company of the other rules."""
    table = PREPARE if any(r is rule for r in PREPARE.rules) else SIMPLIFY
    kind = np.dtype(dtypes(rule)[-1])
    for bound, _ in fill_lifted(rule, kind) if lifted(rule) else fill(rule, kind, lambda h: [1]):
        pair = both(rule, bound)
        if pair is not None:
            before, after = rewrite(pair, table)
            assert before is after
