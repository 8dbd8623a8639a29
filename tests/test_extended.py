"""Decimal functions against mpmath, whole graphs in decimals against closed forms, and the report of `Function.audit`."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gx
from graphc.extended.evaluate import DECIMAL, Extended, context
from graphc.extended.functions import FUNCTIONS
from graphc.interp import evaluate
from graphc.user.audit import Audit, AuditRow

DIGITS = 60
POINTS = [0.0, 1e-300, 1e-30, 1e-8, 0.1, 0.5, 0.9999999, 1.0, 1.0000001, 1.5707963267948966, 3.0, 11.0, 29.9, 30.1, 700.0, 1e5, 1e22, 1e300]
SIGMOID = lambda x: 1 / (1 + mp.exp(-x))
REFERENCE: dict[str, Callable[..., Any]] = {
    "exp": mp.exp, "exp2": lambda x: mp.mpf(2) ** x, "expm1": mp.expm1, "log": mp.log, "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.log(2), "log10": mp.log10, "sigmoid": SIGMOID, "softplus": lambda x: mp.log1p(mp.exp(x)),
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)), "sigmoid_slope": lambda x: SIGMOID(x) * SIGMOID(-x),
    "tanh_slope": lambda x: mp.sech(x) ** 2, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "asinh": mp.asinh, "acosh": mp.acosh,
    "atanh": mp.atanh, "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan, "erf": mp.erf,
    "erfc": mp.erfc, "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "erf_slope": lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
}  # fmt: skip
PAIRS: dict[str, Callable[..., Any]] = {
    "pow": lambda x, y: mp.mpf(x) ** y, "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))), "atan2": mp.atan2,
    "logaddexp2": lambda x, y: max(x, y) + mp.log1p(mp.mpf(2) ** -abs(x - y)) / mp.log(2), "hypot": lambda x, y: mp.sqrt(x * x + y * y),
    "fmod": lambda x, y: x - y * mp.sign(x / y) * mp.floor(abs(x / y)),
}  # fmt: skip


def assert_near(got: Decimal, reference: Callable[..., Any], *args: float) -> None:
    """A relative error of 1e-58 at the most, judged in 500 digits."""
    with mp.workdps(800):
        try:
            true = reference(*[mp.mpf(a) for a in args])
        except (ValueError, ZeroDivisionError):
            return
        if isinstance(true, mp.mpc) or mp.isnan(true):
            assert got.is_nan(), (args, got)
        elif mp.isinf(true) or not true:
            assert got == (Decimal(0) if not true else Decimal("Infinity").copy_sign(Decimal(1 if true > 0 else -1))), (args, got)
        elif abs(mp.log10(abs(true))) < 1e6:
            assert abs(mp.mpf(str(got)) - true) <= abs(true) * mp.mpf(10) ** (2 - DIGITS), (args, got, mp.nstr(true, 30))


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_functions(name: str) -> None:
    grows = name in ("cosh", "sinh", "exp2", "expm1", "exp", "tanh_slope", "sigmoid_slope", "erf_slope", "erfc", "tanh", "sigmoid", "erf")
    points = [p for p in POINTS if p <= 1e5 or not (grows or name.startswith(("log_s", "soft")))]
    with decimal.localcontext(context(DIGITS)):
        for x in [s * p for p in points for s in (1, -1)]:
            if name.startswith("log") and name not in ("log1p", "log_sigmoid") and x <= 0:
                continue
            assert_near(FUNCTIONS[name](Decimal(x)), REFERENCE[name], x)


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_functions_of_two(name: str) -> None:
    few = [0.3, 1.0, 2.0, 7.25, 600.0, 1e-20]
    with decimal.localcontext(context(DIGITS)):
        for x in [s * p for p in few for s in (1, -1)]:
            for y in [s * p for p in few for s in (1, -1)]:
                if name == "pow" and x < 0 and y != int(y):
                    assert FUNCTIONS[name](Decimal(x), Decimal(y)).is_nan()
                else:
                    assert_near(FUNCTIONS[name](Decimal(x), Decimal(y)), PAIRS[name], x, y)


def test_every_function_has_a_reference_here() -> None:
    assert set(FUNCTIONS) == set(REFERENCE) | set(PAIRS)


@pytest.mark.parametrize("name", sorted(set(DECIMAL) - {"div", "select"}))
def test_special_values(name: str) -> None:
    """Nan of nan for every function; nothing raises at infinities and zeros of either sign."""
    function = DECIMAL[name]
    special = [Decimal("Infinity"), Decimal("-Infinity"), Decimal(0), Decimal("-0"), Decimal(1)]
    if name in ("and", "or", "xor", "not"):
        return
    with decimal.localcontext(context(DIGITS)):
        for first in special:
            for second in special if function.nin > 1 else special[:1]:
                function(*[first, second, first][: function.nin])
        nans = function(*[Decimal("NaN")] * function.nin)
        assert nans in (False, True) if isinstance(nans, bool) else nans.is_nan()


# -- graphs -------------------------------------------------------------------------------------------------------------------
def test_the_same_graph_as_the_interpreter() -> None:
    """Every structural op that is evaluated in decimals, and a loop, a branch, integers on the way: rounded, the interpreter's values."""
    x, w = gx.tensor("x", (3, 4)), gx.tensor("w", (4, 2))
    i = gx.tensor("i", (3,), "int64")
    running, rows = gx.scan(lambda c, row: (gx.tanh(c * row), c + row), gx.zeros(4), x)
    outputs = [
        gx.softmax(x @ w), gx.cumsum(x, axis=1), gx.cumprod(x, axis=0), gx.take_along_axis(x, (i % 4)[:, None], axis=1), gx.var(x, axis=0),
        gx.pad(x, 1)[:, 2], gx.concatenate([x, x[::-1]]), gx.max(x, axis=1), gx.argmax(x, axis=0), gx.floor(x * 3), gx.round(x * 5),
        x.astype("int64") // 2, gx.where(x > 0, gx.sqrt(x), -x), running, rows, gx.mod(x, 0.7), gx.arctan2(x[0], x[1]),
        gx.cond(gx.sum(x) > 0, lambda v: gx.exp(v), lambda v: -v, x[0, 0]), x.at[i % 3].add(1.5), gx.clip(x, -0.5, 0.5),
        gx.while_loop(lambda v: v < 50, lambda v: v * 3, gx.abs(x[0, 1]) + 1),
    ]  # fmt: skip
    draw = np.random.default_rng(2)
    env = {x: draw.normal(size=(3, 4)), w: draw.normal(size=(4, 2)), i: np.array([5, 1, 2])}
    nodes = [*outputs, *gx.grad(gx.sum(outputs[0] ** 2) + gx.sum(outputs[2]), [x, w])]
    f = gx.function([x, w, i], nodes)
    report = f.audit(*env.values())
    assert not report.rounded
    for row, node, expected in zip(report.results, nodes, evaluate(nodes, env), strict=True):
        assert row.ulps < 200 and row.type == str(node.type)
        assert np.allclose(float(row.true), expected[row.where], rtol=1e-12, atol=1e-15)


def test_audit_finds_what_is_lost() -> None:
    """log(1 + exp(x)) as written loses everything in the logarithm; as compiled nothing is lost."""
    x = gx.tensor("x", ("n",))
    y = gx.log(1 + gx.exp(x))
    report = gx.function([x], y).audit(np.array([0.5, -50.0, 800.0]))
    assert isinstance(report, Audit) and report.worst < 2
    worst = report.written[0]
    assert worst.op == "log" and worst.ulps == math.inf and worst.inherited < 1 and worst.where == (2,) and worst.value == math.inf
    assert worst.true == 800 + Decimal(0) or abs(worst.true - 800) < Decimal("1e-50")
    assert worst.line.startswith("test_extended.py:") and worst.lost == math.inf
    report = gx.function([x], y, mode="none").audit(np.array([0.5, -20.0]))
    assert 6 < report.written[0].lost < 9  # 1 + 2e-9 has rounded off so many
    with mp.workdps(100):
        assert abs(mp.mpf(str(report.results[0].true)) - mp.log1p(mp.exp(mp.mpf(-20)))) < mp.mpf(10) ** -58
    assert report.results[0].ulps == report.written[0].ulps
    text = str(report)
    assert "test_extended.py" in text and "as compiled" in text and "60 digits" in text


def test_digits_decide_what_is_seen() -> None:
    x = gx.tensor("x", ())
    f = gx.function([x], 1 - gx.tanh(x), mode="none")
    assert f.audit(100.0, digits=120).results[0].ulps > 1e15 and f.audit(100.0, digits=60).results[0].ulps == 0
    for digits in (7, True, 60.0):
        with pytest.raises(gx.ArgumentError, match="digits"):
            f.audit(1.0, digits=digits)


def test_audit_of_state_single_precision_and_what_is_not_known() -> None:
    state = gx.shared(np.float32(3.0), name="state")
    x = gx.tensor("x", ("n",), "float32")
    f = gx.function([x], [gx.sum(x) / state, gx.cumsum(x)[:0]], updates={state: state + gx.sum(x)})
    before = state.get_value()
    report = f.audit(np.arange(5, dtype="float32"))
    assert state.get_value() == before
    assert report.results[0].ulps <= 0.5 and abs(report.results[0].true - Decimal(10) / 3) < Decimal("1e-25")
    assert report.results[1].ulps == 0 and report.results[1].where == ()
    y = gx.tensor("y", ())
    g = gx.function([y], gx.frexp(y)[0] + gx.exp(y))
    assert g.audit(3.0).rounded == ("frexp",) and "frexp in float64" in str(g.audit(3.0))


def test_loops_and_branches_have_a_row_for_each_array() -> None:
    x = gx.tensor("x", (3,))
    last, rows = gx.scan(lambda c, v: (gx.tanh(c + v), c * v), gx.asarray(0.5), x)
    report = gx.function([x], [last, rows]).audit(np.array([0.1, 0.7, -2.0]))
    assert [r.op for r in report.written].count("scan") == 2 and report.worst < 3
    row = AuditRow("exp", "a.py:3", "f64[]", (), 1.0, Decimal(1), 50.0, 5.0)
    assert row.lost == pytest.approx(1.0) and "a.py:3" in str(row)


def test_wrong_values_are_infinitely_wrong() -> None:
    """A nan for a number, a number for an infinity; the same infinity is right."""
    x = gx.tensor("x", (4,))
    values = np.array([0.0, 800.0, -800.0, 1.0])
    report = gx.function([x], gx.exp(x) / gx.exp(x), mode="none").audit(values)
    assert report.results[0].ulps == math.inf and math.isnan(report.results[0].value)
    assert gx.function([x], gx.exp(x), mode="none").audit(values).results[0].ulps < 1
    assert Extended({}).rounded == set()
