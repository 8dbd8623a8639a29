"""segment_sum, segment_max, segment_min and segment_mean against a loop over the segments; ids outside, empty segments, ties."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import origin
from tests.derivatives import check_derivatives


def looped(data: np.ndarray, ids: np.ndarray, count: int, what: str) -> np.ndarray:
    """One segment after the other."""
    if what == "sum":
        empty: object = 0
    elif what == "mean":
        empty = np.nan
    elif data.dtype.kind == "f":
        empty = -np.inf if what == "max" else np.inf
    else:
        empty = np.iinfo(data.dtype).min if what == "max" else np.iinfo(data.dtype).max
    rows = [getattr(np, what)(data[ids == k], axis=0) if (ids == k).any() else np.full(data.shape[1:], empty) for k in range(count)]
    return np.array(rows).reshape(count, *data.shape[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64"])
def test_segments(dtype: str) -> None:
    x, i, board = gx.tensor("x", ("n", 2), dtype), gx.tensor("i", ("n",), "int32"), gx.tensor("board", ("k",))
    names = ("sum", "max", "min", "mean")
    f = gx.function([x, i, board], [getattr(gx, f"segment_{name}")(x, i, board.shape[0]) for name in names])
    for n, k in [(0, 3), (1, 1), (3, 3), (30, 7), (5, 0)]:
        rng = np.random.default_rng(n)
        data, ids = rng.integers(0, 9, (n, 2)).astype(dtype), rng.integers(-2, k + 2, n).astype("int32")
        for name, found in zip(names, f(data, ids, np.zeros(k))):
            np.testing.assert_allclose(found, looped(data, ids, k, name), rtol=1e-6, err_msg=f"{name} {n} {k}")
            assert found.dtype == (data.dtype if name != "mean" else "float32" if dtype == "float32" else "float64")


def test_constant_ids_and_truth_values() -> None:
    x = gx.tensor("x", (4,))
    ids = np.array([0, 3, 0, 1])
    f = gx.function([x], [gx.segment_sum(x, ids), gx.segment_sum(x > 2, ids), gx.segment_max(x, ids, 2)])
    total, count, most = f(np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(total, [4, 4, 0, 2])
    np.testing.assert_array_equal(count, [1, 1, 0, 0])
    np.testing.assert_array_equal(most, [3, 4])


def test_derivatives() -> None:
    ids, value = np.array([2, 0, 2, 5, 0]), np.random.default_rng(0).standard_normal((5, 2))
    check_derivatives(lambda x: gx.segment_sum(gx.sin(x), ids, 3) ** 2, value)
    check_derivatives(lambda x: gx.segment_mean(x**2, ids, 3)[::2] * gx.segment_sum(x, ids, 2), value)
    check_derivatives(lambda x: gx.segment_max(x**3, ids, 3)[::2] * gx.segment_min(gx.exp(x), ids, 1), value)
    x = gx.tensor("x", (4,))
    g = gx.function([x], gx.grad(gx.sum(gx.segment_max(x, np.array([1, 1, 0, 1]), 2)), x))
    np.testing.assert_allclose(g(np.array([3.0, 3.0, 1.0, 2.0])), [0.5, 0.5, 1, 0])


def test_lanes() -> None:
    x, ids = gx.tensor("x", (3, 4)), np.array([1, 0, 1, 7])
    f = gx.function([x], [gx.vmap(lambda a: gx.segment_sum(a, ids, 2))(x), gx.vmap(lambda a: gx.segment_min(a, ids, 2))(x)])
    value = np.random.default_rng(0).standard_normal((3, 4))
    for found, name in zip(f(value), ("sum", "min")):
        np.testing.assert_allclose(found, looped(value.T, ids, 2, name).T)


with origin(("train.py", 9)):
    X, I = gx.tensor("x", ("n", 2)), gx.tensor("i", ("n",), "int64")  # noqa: E741
REFUSED = {
    "unknown": (lambda: gx.segment_sum(X, I), ArgumentError, "segment_sum: how many segments there are only the values tell"),
    "negative": (lambda: gx.segment_mean(X, I, -1), ArgumentError, "segment_mean: num_segments must be an int or a size"),
    "floats": (lambda: gx.segment_max(X, X[:, 0], 3), DTypeError, "segment_max: the numbers of segments must be integers"),
    "too few": (lambda: gx.segment_min(X, X.astype("int64"), 3), ShapeError, "segment_min: needs a number for each row"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        call()
