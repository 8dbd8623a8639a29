"""The mechanisms of `passes/rules`, each on spellings of its class, against mpmath: value and two derivatives over the whole range.

Digits are counted as `python -m tests.accuracy` counts them, at fewer points: what half an ulp in x does to the result is not counted.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.accuracy.expressions import Tree, held_out, strata, text
from tests.accuracy.formulas import parse
from tests.accuracy.judge import Verdict, by_graphc, exact, lost, points, worst
from tests.accuracy.truth import derivatives

FEW = {
    "float64": np.array(
        [-720.5, -38.0, -1.7, -0.37, -1.2e-3, -1e-17, 1e-30, 1.3e-8, 0.11, 0.9, 3.1, 11.3, 101.3, 352.1, 1.3e4, 1e8, 1e160]
    ),
    "float32": np.array([-88.9, -9.3, -0.37, -1e-6, 1e-20, 1.1e-3, 0.9, 5.2, 43.1, 1.3e4, 1e20], "float32"),
}
SQ, ROOT = ("square", "x"), ("sqrt", ("+", ("square", "x"), 1.0))


def _e(c: float) -> Tree:
    return ("exp", ("*", c, "x"))


KEPT: dict[str, list[Tree]] = {
    "products and quotients of exponentials": [
        ("*", _e(1.0), _e(-2.0)), ("/", ("*", "x", _e(1.0)), _e(3.0)), ("*", ("sigmoid", "x"), _e(-1.0)), ("/", ("exp", SQ),
        ("square", ("exp", "x"))),
        ("/", ("sigmoid", "x"), ("sigmoid", ("negative", "x"))), ("*", ("cosh", "x"), _e(-1.0)), ("/", _e(1.0), ("expm1", "x")),
        ("/", 1.0, ("cosh", "x")), ("square", ("/", _e(0.5), _e(-2.0))),
    ],
    "quotients by sums": [
        ("/", _e(1.0), ("+", ("*", 2.0, _e(1.0)), ("*", 3.0, _e(-1.0)))), ("/", 2.0, ("+", 3.0, _e(1.0))), ("/", _e(1.0),
        ("square", ("+", 1.0, _e(1.0)))),
        ("/", ("-", _e(1.0), _e(-2.0)), ("+", _e(1.0), _e(-2.0))), ("/", 1.0, ("sinh", "x")),
    ],
    "roots and powers": [
        ("sqrt", ("+", 1.0, _e(1.0))), ("**", ("+", 1.0, _e(-1.0)), -0.5), ("sqrt", ("sigmoid", "x")), ("**", ("sigmoid", "x"), 0.5),
        ("sqrt", ("*", _e(1.0), _e(-3.0))), ("sqrt", ("cosh", "x")),
    ],
    "logarithms": [
        ("log", ("/", ("+", _e(1.0), ("*", 2.0, _e(-1.0))), 5.0)), ("log", ("+", 3.0, _e(1.0))), ("log", ("*", _e(1.0),
        ("**", ("sigmoid", "x"), 3.0))),
        ("log", ("sqrt", ("+", _e(1.0), _e(2.0)))), ("log", ("-", _e(2.0), _e(1.0))), ("log", ("sinh", "x")), ("log", ("tanh", "x")),
        ("log1p", ("*", 3.0, _e(1.0))), ("log", ("erfc", "x")), ("log", ("/", ("+", _e(1.0), _e(-1.0)), 2.0)),
    ],
    "differences at a shift": [
        ("-", (f, ("+", "x", 1.0)), (f, "x")) for f in ("exp", "log", "sqrt", "reciprocal", "square", "sin", "cos", "sinh", "cosh",
        "tanh", "arctan", "softplus")
    ] + [("-", ("**", ("+", "x", 0.5), c), ("**", "x", c)) for c in (3.0, 4.0, -0.5)],
    "differences of what is related": [
        ("-", _e(2.0), _e(1.0)), ("-", ("cos", ("*", 2.0, "x")), ("cos", "x")), ("-", ("/", "x", ("+", "x", 1.0)), 1.0),
        ("-", 1.0, ("/", SQ, ("+", 1.0, SQ))),
        ("-", ROOT, "x"), ("-", "x", ROOT), ("log", ("/", "x", ("+", "x", 1.0))),
    ],
    "powers near 1": [("**", ("+", 1.0, ("/", "x", 1e6)), 1e6), ("-", ("**", ("+", 1.0, "x"), 10.0), 1.0)],
    "identities": [
        ("log", ("+", "x", ROOT)), ("/", "x", ROOT), ROOT, ("-", ROOT, 1.0), ("/", SQ, ("+", 1.0, SQ)), ("sin", ("arctan", "x")),
        ("cos", ("arctan", "x")),
        ("/", ("sin", "x"), ("+", 1.0, ("cos", "x"))), ("-", ("cosh", "x"), ("sinh", "x")), ("-", ("sigmoid", "x"), 0.5),
        ("*", ("exp", SQ), ("erfc", "x")),
        ("sqrt", ("-", 1.0, ("square", ("tanh", "x")))), ("log", ("/", ("+", 1.0, "x"), ("-", 1.0, "x"))),
        ("*", ("-", 1.0, ("tanh", "x")), ("+", 1.0, ("tanh", "x"))), ("-", 1.0, ("**", ("tanh", "x"), 4.0)),
    ],
    "cancellation at a point": [parse(f) for f in (
        "tan(x) - sin(x)", "exp(x) - 1 - x", "1/x - 1/tan(x)", "1/tanh(x) - 1/x", "log(x)/(x - 1)", "(sin(x) - x*cos(x))/x**3",
        "log(cos(x))", "1 - x + x*log(x)", "x**3/(exp(x) - 1)", "log(1 + x) - x + x**2/2",
    )],
    "gaps and tails": [parse(f) for f in (
        "arcsinh(x + 1) - arcsinh(x)", "arccosh(x + 1) - arccosh(x)", "1/sqrt(x) - 1/sqrt(x + 1)", "2**x - 1", "x/(1 + sqrt(1 + x**2))",
        "1 - sigmoid(x)**2", "log(0.5*(1 + erf(x/1.4142135623730951)))", "sinh(x)/(1 + cosh(x))", "x + log(1 + exp(-x))",
        "x**3/x**1.5", "x**3*x**0.5/x**2", "sqrt(x)/x",
    )],
    "removable 0/0": [
        *[("/", (f, "x"), "x") for f in ("sin", "sinh", "tan", "tanh", "arctan", "arcsin", "arcsinh", "arctanh", "erf", "expm1", "log1p")],
        ("/", "x", ("-", _e(1.0), 1.0)), ("/", ("-", 1.0, ("cos", "x")), SQ), ("/", ("-", ("cosh", "x"), 1.0), SQ),
        ("/", ("-", 1.0, ("cos", "x")), "x"),
        ("-", "x", ("sin", "x")), ("-", ("exp", "x"), ("+", 1.0, "x")), ("-", "x", ("log1p", "x")), ("-", "x", ("tanh", "x")),
    ],
}  # fmt: skip


def judged(tree: Tree, dtype: str) -> Verdict:
    x = FEW[dtype]
    truth = [exact(tree, float(v)) for v in x]
    assert any(truth)
    found = worst(x, by_graphc(tree, x), truth)
    return Verdict(tree, dtype, found, found)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", KEPT)
def test_digits_are_kept(name: str, dtype: str) -> None:
    losses = [f"{v.text}: {v.compiled}" for v in (judged(t, dtype) for t in KEPT[name]) if not v.compiled.kept]
    assert not losses, "\n".join(losses)


# -- the command --------------------------------------------------------------------------------------------------------------
def test_losses_are_counted() -> None:
    """A loss is of digits of the result, none below the normal numbers or beyond the range, none that the conditioning explains."""
    kind = np.dtype("float64")
    assert lost(1.0, 1.0, 1, 1, kind) == 0 and lost(1.0, float("nan"), 1, 1, kind) == 99 and lost(1.0, 1.0, 1e400, 1, kind) == 0
    assert 5.9 < lost(1.0, 1.0 + 2.3e-10, 1, 0, kind) < 6.1
    assert lost(1.0, 1e-310, 0, 0, kind) == 0 and lost(1e8, 1.0, 1 + 1e-9, 1, kind) == 0


def test_truth_is_right() -> None:
    """The chain rule in high precision against differences of mpmath, where doubles have nothing left too."""
    import mpmath as mp

    for tree, f, x in [
        (("log", ("-", ("exp", "x"), 1.0)), lambda v: mp.log(mp.expm1(v)), 1e-30),
        (("-", 1.0, ("tanh", "x")), lambda v: 1 - mp.tanh(v), 352.1),
        (("**", ("arctan", "x"), 1.5), lambda v: mp.atan(v) ** 1.5, 0.37),
        (("/", ("erfc", "x"), ("sigmoid", "x")), lambda v: mp.erfc(v) * (1 + mp.exp(-v)), 5.2),
    ]:
        found = derivatives(tree, x)
        assert found is not None
        with mp.workdps(900):
            at, h = mp.mpf(x), mp.mpf(x) * mp.mpf(10) ** -60
            true = [f(at), (f(at + h) - f(at - h)) / (2 * h), (f(at + h) - 2 * f(at) + f(at - h)) / (h * h)]
            assert all(abs(a - b) <= abs(b) * mp.mpf(10) ** -18 for a, b in zip(found, true))


def test_the_enumeration_is_wide_and_the_same_everywhere() -> None:
    trees = [t for found in strata(0.1).values() for t in found]
    assert len({text(t) for t in trees}) == len(trees) > 300 and text(trees[0]) == "log(x + sqrt(square(x) + 1))"
    assert 0.4 < sum(map(held_out, trees)) / len(trees) < 0.6 and len(points("float64")) == 50
