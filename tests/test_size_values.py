"""Sizes as values are exact or an error: none wraps in int64, by the native entry, the Python path or the interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.interp import evaluate
from graphc.ir import Node

n, m = gx.dim("n"), gx.dim("m")
BIG = 10**9
FORMULAS: dict[str, Callable[[int, int], int]] = {
    "n * n * BIG * BIG": lambda n, m: n * n * BIG * BIG,
    "n * m * BIG - m": lambda n, m: n * m * BIG - m,
    "(BIG * n * BIG * n) // (BIG * BIG)": lambda n, m: (BIG * n * BIG * n) // (BIG * BIG),
    "n * BIG * BIG - n * BIG * BIG + m": lambda n, m: m,
    "(n * n * BIG * BIG - 5) % (m + 3)": lambda n, m: (n * n * BIG * BIG - 5) % (m + 3),
    "(n - 7) * BIG * BIG * 8": lambda n, m: (n - 7) * BIG * BIG * 8,
    "n + m": lambda n, m: n + m,
}


def paths(inputs: Sequence[Node], output: Node) -> list[Callable[[list[np.ndarray]], np.ndarray]]:
    """The native entry, the Python path (lists are its business), the interpreter."""
    f = gx.function(list(inputs), output)
    return [lambda a: f(*a), lambda a: f(*[v.tolist() for v in a]), lambda a: evaluate([output], dict(zip(inputs, a)))[0]]


@pytest.mark.parametrize("name", FORMULAS)
def test_exact_or_an_error(name: str) -> None:
    formula = FORMULAS[name]
    x, y = gx.tensor("x", ("n",)), gx.tensor("y", ("m",))
    size = eval(name, {"n": n, "m": m, "BIG": BIG})
    for run in paths([x, y], gx.asarray(size) + 0):
        for a, b in itertools.product([0, 1, 2, 3, 4, 9, 10], [1, 2, 11]):
            true = formula(a, b)
            try:
                got = run([np.zeros(a), np.zeros(b)])
            except gx.ShapeError as error:
                assert "which no int64 holds" in str(error) and "BIG" not in str(error)
                assert abs(true) >= 2**63 or "//" in name or "%" in name  # an operand of // or % is a size too
            else:
                assert int(got) == true, (a, b)


def test_each_path_decides_alike() -> None:
    x = gx.tensor("x", ("n",))
    native, python, oracle = paths([x], gx.asarray(n * n * BIG * BIG))
    assert int(native([np.zeros(3)])) == int(python([np.zeros(3)])) == int(oracle([np.zeros(3)])) == 9 * BIG * BIG
    for run in (native, python, oracle):
        with pytest.raises(gx.ShapeError, match=r"the size 1000000000000000000\*n\*\*2 is 16000000000000000000, which no int64 holds"):
            run([np.zeros(4)])


def test_a_size_that_is_passed_as_such() -> None:
    f = gx.function([n], gx.asarray(n * 2))
    assert int(f(2**61)) == 2**62
    with pytest.raises(gx.ShapeError, match="no int64"):
        f(2**62)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sum_of_what_is_repeated(dtype: str) -> None:
    """A number repeated 1e20 times is never written out; its sum is the number times the sizes, as floats."""
    x, y = gx.tensor("x", ("n",), dtype), gx.tensor("y", (), dtype)
    f = gx.function([x, y], gx.sum(gx.broadcast_to(y, (n * BIG, n * BIG))))
    for size in (0, 1, 3, 4, 10, 1000):
        np.testing.assert_allclose(f(np.zeros(size, dtype), 3.0), 3.0 * (size * 1e9) ** 2, rtol=4 * np.finfo(dtype).eps)
    static = gx.function([y], gx.sum(gx.broadcast_to(y, (10 * BIG, 10 * BIG))))
    np.testing.assert_allclose(static(3.0), 3e20, rtol=4 * np.finfo(dtype).eps)


def test_bounds_of_sizes() -> None:
    assert dims.safe_up_to([n]) == dims.MAX_INT64 == dims.safe_up_to([])
    assert dims.safe_up_to([n - 2**63]) == -1 and dims.safe_up_to([n + 1 - 2**63]) == 0
    assert dims.safe_up_to([n * n]) == 3037000499  # the root of 2**63
    assert dims.safe_up_to([n * m, 4 * n]) == 3037000499 and dims.safe_up_to([4 * n]) == 2**61 - 1
    assert dims.safe_up_to([(n * n - 5) // 8]) == 3037000499
    (symbol,) = dims.symbols(n)
    for size, value, fits in [(n * n, 3037000499, True), (n * n, 3037000500, False), (n - 5, 0, True), ((n * n) // 8, 2**32, False)]:
        assert dims.fits_int64(size, {symbol: value}) is fits
