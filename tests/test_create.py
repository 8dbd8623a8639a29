"""New arrays: ranges, filled arrays, patterns, grids; and declarations of variables."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.interp import evaluate
from tests.ops_cases import check_loops, check_values, same

n, m = dims.dim("n"), dims.dim("m")


@pytest.mark.parametrize(
    "args",
    [(5,), (2, 7), (7, 2), (0, 10, 3), (10, 0, -3), (0,), (-3,), (1.5,), (0.1, 1.0, 0.1), (1, 0, -0.25), (np.int32(4),), (2.0, 2.0)],
)
def test_arange(args: tuple[float, ...]) -> None:
    node = gx.arange(*args)
    same(evaluate([node], {})[0], np.arange(*args).astype("int64" if np.arange(*args).dtype.kind == "i" else "float64"))
    check_loops([node], {})
    same(evaluate([gx.arange(*args, dtype="float32")], {})[0], np.arange(*args, dtype="float32"))


def test_arange_of_sizes() -> None:
    x = gx.tensor("x", ("n",))
    value = {x: np.zeros(7)}
    for node, want in [
        (gx.arange(n), np.arange(7)),
        (gx.arange(1, n), np.arange(1, 7)),
        (gx.arange(n - 2), np.arange(5)),
        (gx.arange(n, 0, -2), np.arange(7, 0, -2)),
        (gx.arange(0, 2 * n, 3), np.arange(0, 14, 3)),
        (gx.arange(n, n), np.arange(0)),
        (gx.arange(0, 10, n), np.arange(0, 10, 7)),
    ]:
        same(evaluate([node, x], value)[0], want)
    assert gx.arange(n - 1).shape == x[1:].shape


@pytest.mark.parametrize("args", [(0, 1), (2.5, -1, 7), (0, 1, 1), (3, 3, 4), (0, 1, 0), (0, 10, 11)])
@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace(args: tuple[float, ...], endpoint: bool) -> None:
    node = gx.linspace(*args, endpoint=endpoint)
    same(evaluate([node], {})[0], np.linspace(*args, endpoint=endpoint), rtol=1e-15)


def test_linspace_of_nodes_and_sizes() -> None:
    a, b = gx.vector("a", 2), gx.scalar("b")
    values = {a: np.array([1.0, -2.0]), b: np.array(4.0)}
    same(evaluate([gx.linspace(a, b, 5)], values)[0], np.linspace(values[a], 4.0, 5), rtol=1e-15)
    x = gx.tensor("x", ("n",))
    node = gx.linspace(0, 1, n)
    for size in (1, 2, 5):
        same(evaluate([node, x], {x: np.zeros(size)})[0], np.linspace(0, 1, size), rtol=1e-15)


def test_patterns() -> None:
    cases = [
        (gx.eye(3), np.eye(3)),
        (gx.eye(2, 4, 1, "int32"), np.eye(2, 4, 1, "int32")),
        (gx.eye(4, 2, -2), np.eye(4, 2, -2)),
        (gx.identity(3), np.identity(3)),
        (gx.tri(3, 5, 1), np.tri(3, 5, 1)),
        (gx.tri(3, k=-1, dtype=bool), np.tri(3, k=-1, dtype=bool)),
        (gx.zeros((2, 3)), np.zeros((2, 3))),
        (gx.zeros(3, bool), np.zeros(3, bool)),
        (gx.ones((2,), "int8"), np.ones(2, "int8")),
        (gx.full((2, 2), 3), np.full((2, 2), 3)),
        (gx.full(2, 1.5, "float32"), np.full(2, 1.5, "float32")),
        (gx.full((2, 3), [1, 2, 3]), np.full((2, 3), [1, 2, 3])),
        (gx.full((), True), np.full((), True)),
        (gx.zeros_like(np.ones((2, 2), "int16")), np.zeros((2, 2), "int16")),
        (gx.ones_like(3.0), np.ones_like(3.0)),
        (gx.full_like(np.ones(2, "float32"), 2), np.full(2, 2, "float32")),
        (gx.one_hot([0, 2, 5], 3, "int64"), np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]])),
        (gx.one_hot([[1]], 2, axis=0), np.array([[[0.0]], [[1.0]]])),
    ]
    for node, want in cases:
        same(evaluate([node], {})[0], want)
        check_loops([node], {})


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sparse", [False, True])
def test_meshgrid(indexing: str, sparse: bool) -> None:
    for shapes in ([(2,), (3,)], [(2,), (3,), (4,)], [(3,)], [(2,), ()]):
        check_values(lambda *xs: list(np.meshgrid(*xs, indexing=indexing, sparse=sparse)), shapes)


def test_declarations() -> None:
    assert gx.scalar("s", "float32").shape == () and gx.vector("v", "n").shape == (n,) and gx.matrix("A", (3, "m")).shape == (3, m)
    A = gx.matrix("A")
    assert isinstance(A.shape[0], gx.Dim) and not dims.equal(*A.shape)


def test_asarray_casts_what_it_is_given() -> None:
    """`dtype` holds for nodes, sizes, numbers and arrays alike, named or as a dtype; without it each keeps its own."""
    x = gx.tensor("x", (3,), "int32")
    assert gx.asarray(x) is x and gx.asarray(x, "int32") is x and gx.asarray(x, np.dtype("int32")) is x
    for dtype in ("float32", "float64", "int8", "bool"):
        for value in (x, gx.dim("n"), 1, 1.0, True, np.arange(3), [0, 1]):
            if not (isinstance(value, float) and dtype == "int8"):
                assert gx.asarray(value, dtype).dtype == gx.asarray(value, np.dtype(dtype)).dtype == np.dtype(dtype)
    np.testing.assert_array_equal(evaluate([gx.asarray(x, "float64") / 2], {x: np.array([1, 2, 3], "int32")})[0], [0.5, 1, 1.5])
    with pytest.raises(gx.DTypeError, match="not a dtype"):
        gx.asarray(x, "real")
