"""`pad` in every mode, against NumPy's: all small widths and sizes, known and symbolic, and the derivatives that follow."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import graphc as gx
from tests.derivatives import check_derivatives

MODES: list[tuple[str, dict[str, Any]]] = [
    ("constant", {"constant_values": ((1, 2), (3, 4))}),
    ("edge", {}),
    ("reflect", {}),
    ("symmetric", {}),
    ("reflect", {"reflect_type": "odd"}),
    ("symmetric", {"reflect_type": "odd"}),
    ("wrap", {}),
    ("linear_ramp", {"end_values": (5, -3)}),
    ("maximum", {}),
    ("minimum", {"stat_length": 2}),
    ("mean", {"stat_length": ((1, 2), (2, 9))}),
    ("median", {}),
]
NAMES = ["-".join([mode, *map(str, options.values())]) for mode, options in MODES]


def expected(x: np.ndarray, widths: Any, mode: str, options: dict[str, Any]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.pad(x, widths, mode=mode, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(("mode", "options"), MODES, ids=NAMES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_values(mode: str, options: dict[str, Any], dtype: str) -> None:
    cases = []
    for shape in ((1, 3), (3, 2)):
        x = (np.arange(np.prod(shape)).reshape(shape) ** 2 % 7 - 2).astype(dtype)
        for low, high in itertools.product((0, 1, 5), repeat=2):
            cases.append((x, ((low, high), (high, low))))
    nodes = [gx.like(x, f"x{k}") for k, (x, _) in enumerate(cases)]
    f = gx.function(nodes, [gx.pad(node, widths, mode, **options) for node, (_, widths) in zip(nodes, cases)])
    for got, (x, widths) in zip(f(*[x for x, _ in cases]), cases):
        want = expected(x, widths, mode, options)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=(r := 1e-6 if dtype == "float32" else 1e-14), atol=3 * r, err_msg=f"{x.shape} {widths}")


@pytest.mark.parametrize(("mode", "options"), MODES, ids=NAMES)
def test_symbolic_sizes(mode: str, options: dict[str, Any]) -> None:
    """One function for every size, those shorter than what is mirrored among them; a width may be a size too."""
    n, m = gx.dim("n"), gx.dim("m")
    x, w = gx.matrix("x", (n, 3)), gx.vector("w", m)
    f = gx.function([x, w], gx.pad(x, ((2, m), (1, 0)), mode, **options))
    for rows, width in itertools.product((1, 2, 3, 7), (0, 1, 2, 4)):
        value = np.random.default_rng(rows).normal(size=(rows, 3))
        np.testing.assert_allclose(f(value, np.zeros(width)), expected(value, ((2, width), (1, 0)), mode, options), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("mode", "options"), MODES, ids=NAMES)
def test_derivatives(mode: str, options: dict[str, Any]) -> None:
    def padded(x: object) -> object:
        return (gx if isinstance(x, gx.Node) else np).pad(x, ((2, 1), (1, 4)), mode=mode, **options)  # type: ignore[attr-defined]

    check_derivatives(padded, [(2, 3)])


def test_values_of_the_pads_have_derivatives() -> None:
    x, a = gx.vector("x", 3), gx.scalar("a")
    for mode, keyword in (("constant", "constant_values"), ("linear_ramp", "end_values")):
        slope = gx.grad(gx.sum(gx.pad(x, (2, 0), mode, **{keyword: a})), a)
        assert slope.eval({x: np.ones(3), a: 2.0}) == {"constant": 2.0, "linear_ramp": 1.5}[mode]


def test_mistakes(golden: Any) -> None:
    x, empty = gx.matrix("x", (2, 3)), gx.vector("e", 0)
    lines = []
    for call in (
        lambda: gx.pad(x, 1, "mirror"),
        lambda: gx.pad(x, 1, sum),
        lambda: gx.pad(x, 1, "edge", constant_values=1),
        lambda: gx.pad(x, 1, "reflect", reflect_type="strange"),
        lambda: gx.pad(x, 1, "mean", stat_length=0),
        lambda: gx.pad(x, 1, constant_values=((1, 2), (3, 4), (5, 6))),
        lambda: gx.pad(x, 1, constant_values=x),
        lambda: gx.pad(x, ((1, 2), (1, 2, 3))),
        lambda: gx.pad(empty, 1, "wrap"),
    ):
        with pytest.raises(gx.GraphcError) as error:
            call()  # type: ignore[no-untyped-call]
        lines.append(f"{type(error.value).__name__}: {error.value}")
    golden("errors_padding", "\n".join(lines))
    n = gx.vector("n", "n")
    with pytest.raises(gx.IndexOutOfRange):
        gx.function([n], gx.pad(n, 1, "reflect"))(np.zeros(0))
