"""The sign of a zero: native code, the interpreter and NumPy agree, or differ as documented.

A sum whose terms are all -0.0 is 0.0, as NumPy's is: it starts from 0.0. But an axis of literal size 1 is dropped, so that its sum is
its element, and sum(-x) is made -sum(x), which is -0.0 where that is 0.0.
A running sum is taken in order and starts from 0.0, where NumPy's starts from the first element.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node
from graphc.ops import spread
from graphc.ops.cumulate import cumulate, recur

REDUCTIONS: dict[str, Callable[[Node], Node]] = {
    **{name: (lambda x, name=name: getattr(gx, name)(x, axis=-1))
       for name in ("sum", "prod", "max", "min", "mean", "cumsum", "cumprod", "var", "std", "norm", "softmax", "logsumexp")},
    **{f"cumulate {c} {r} {e}": (lambda x, c=c, r=r, e=e: cumulate(x, x.ndim - 1, c, r, e))
       for c, r, e in itertools.product(("sum", "prod", "max"), (False, True), (False, True))},
    "sup": lambda x: spread.reduce(x, (x.ndim - 1,), "sup"),
    "recur": lambda x: recur(gx.ones_like(x), x, x.ndim - 1), "recur down": lambda x: recur(-gx.ones_like(x), x, x.ndim - 1, True),
    "recur before": lambda x: recur(-gx.ones_like(x), x, x.ndim - 1, False, True),
    "scatter": lambda x: gx.zeros((2,), x.dtype).at[np.zeros(3, int)].add(gx.sum(x) * gx.ones((3,), x.dtype)),
    "scatter on -0": lambda x: (-gx.zeros((2,), x.dtype)).at[np.zeros(3, int)].add(gx.max(x) * gx.ones((3,), x.dtype)),
    "dot": lambda x: gx.sum(x * gx.ones_like(x), axis=-1), "matvec": lambda x: x @ gx.ones((x.shape[-1],), x.dtype),
    "matmul": lambda x: x[None] @ gx.ones((x.shape[-1], 5), x.dtype) if x.ndim == 1 else x @ gx.ones((x.shape[-1], 5), x.dtype),
    "rows": lambda x: gx.sum(x.T, axis=0),
}  # fmt: skip
SUMS = ("sum", "mean", "var", "std", "dot", "matvec", "matmul", "rows", "scatter")
RUNNING = ("cumulate sum False False", "cumulate sum True False")
EXTREMES = ("max", "min", "sup", "scatter on -0", "cumulate max")  # of 0.0 and -0.0 either may be first, as in NumPy


def arrays(dtype: str, size: int, name: str = "") -> list[np.ndarray]:
    mixed = np.where(np.arange(size) % 2, 0.0, -0.0).astype(dtype)
    rows = [np.full(size, -0.0, dtype), np.zeros(size, dtype), *[mixed] * (not name.startswith(EXTREMES))]
    return [v for a in rows for v in (a, np.stack([a, a, a]))]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_native_code_and_the_interpreter_agree(name: str, dtype: str, symbolic: bool) -> None:
    f = REDUCTIONS[name]
    made: dict[tuple[Any, ...], tuple[Node, list[gx.Function]]] = {}
    for size in (1, 2, 9) if symbolic else (0, 1, 40):
        if size == 0 and name in ("max", "min", "scatter on -0"):
            continue
        for a in arrays(dtype, size, name):
            shape = (*a.shape[:-1], "n") if symbolic else a.shape
            if shape not in made:
                x = gx.tensor("x", shape, dtype)
                made[shape] = x, [gx.function([x], f(x), mode=mode) for mode in ("none", "default")]
            x, compiled = made[shape]
            (wanted,) = evaluate([f(x)], {x: a})
            for g in compiled:
                got = g(a)
                np.testing.assert_array_equal(got, wanted)
                free = size == 1 and not symbolic and name in ("cumsum", *SUMS, *RUNNING)
                assert free or (np.signbit(got) == np.signbit(wanted))[~np.isnan(wanted)].all(), (a, got, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_as_numpy_or_as_documented(dtype: str) -> None:
    same = lambda a, b: np.array_equal(np.signbit(a), np.signbit(b))
    for size in (1, 2, 9):
        for a in arrays(dtype, size, "max"):
            x = gx.tensor("x", (*a.shape[:-1], "n"), dtype)
            names = ("sum", "prod", "max", "min", "mean", "cumprod", "cumsum")
            got = dict(zip(names, gx.function([x], [getattr(gx, name)(x, axis=-1) for name in names])(a)))
            for name in names[:-1]:
                assert same(got[name], getattr(np, name)(a, axis=-1)), (name, a)
            assert same(got["cumsum"], np.cumsum(a, axis=-1) + 0.0)


def test_a_product_over_nothing_is_positive_zero() -> None:
    a, b = gx.tensor("a", (2, "k")), gx.tensor("b", ("k", 3))
    assert not np.signbit(gx.function([a, b], a @ b)(np.zeros((2, 0)), np.zeros((0, 3)))).any()
    c, d = gx.tensor("c", (2, 0)), gx.tensor("d", (0, 3))
    assert not np.signbit(gx.function([c, d], c @ d)(np.zeros((2, 0)), np.zeros((0, 3)))).any()
