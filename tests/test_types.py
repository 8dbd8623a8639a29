"""Dtypes and shapes: NumPy's promotion for every pair, weak Python numbers, broadcasting with symbolic sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.dtypes import SHORT, as_dtype, is_float, is_integer, promote, to_float
from graphc.errors import DTypeError, ShapeError
from graphc.types import as_shape, as_size, assumed_sizes, broadcast_shapes, normal_axes, normal_axis, same_size, tensor_type

DTYPES = list(SHORT)
N, M = dims.dim("n"), dims.dim("m")
UFUNCS = ["add", "multiply", "maximum"]


# -- dtypes -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("a", DTYPES, ids=str)
def test_promotion_is_numpys(a: np.dtype) -> None:
    for b in DTYPES:
        assert promote(a, b) == np.result_type(a, b)
    for b, c in itertools.product(DTYPES, DTYPES):
        assert promote(a, b, c) == np.result_type(a, b, c)


@pytest.mark.parametrize("a", DTYPES, ids=str)
@pytest.mark.parametrize("number", [3, 2.5], ids=["int", "float"])
def test_python_numbers_are_weak(a: np.dtype, number: int | float) -> None:
    assert promote(a, number) == promote(number, a) == np.result_type(a, number)


@pytest.mark.parametrize("name", UFUNCS)
def test_nodes_promote_as_arrays(name: str) -> None:
    ours, numpys = getattr(gx, name), getattr(np, name)
    for a, b in itertools.product(DTYPES, DTYPES):
        if a == b == np.bool_:
            continue  # NumPy has a logical add for bools, ours counts
        assert ours(gx.tensor("x", (2,), a), gx.tensor("y", (2,), b)).dtype == numpys(np.zeros(2, a), np.zeros(2, b)).dtype, (a, b)
    for a, number in itertools.product(DTYPES[1:], (1, 1.5)):
        assert ours(gx.tensor("x", (2,), a), number).dtype == numpys(np.zeros(2, a), number).dtype


def test_numpy_scalars_and_bools_are_not_weak() -> None:
    x = gx.tensor("x", (2,), "float32")
    assert (x + np.float64(1)).dtype == np.float64
    assert (x + 1.0).dtype == np.float32
    assert (gx.tensor("i", (2,), "int8") + True).dtype == np.int8


def test_number_out_of_range() -> None:
    with pytest.raises(DTypeError, match="300 is out of range for int8; hint: cast"):
        gx.tensor("i", (2,), "int8") + 300
    with pytest.raises(DTypeError, match="-1 is out of range for uint8"):
        gx.tensor("i", (2,), "uint8") + -1


def test_sizes_are_weak_integers() -> None:
    for dtype in DTYPES[1:]:
        x = gx.tensor("x", (N,), dtype)
        assert (x * N).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_to_float(dtype: np.dtype) -> None:
    """NumPy's float functions go by size; without float16 the small ones are float32."""
    wanted = np.sqrt(np.ones(1, dtype)).dtype
    assert to_float(dtype) == (np.float32 if wanted == np.float16 else wanted)
    assert is_float(dtype) == np.issubdtype(dtype, np.floating)
    assert is_integer(dtype) == np.issubdtype(dtype, np.integer)


def test_names_of_dtypes() -> None:
    assert as_dtype("f4") is as_dtype(np.float32) is as_dtype(">f4") is as_dtype(np.dtype("float32"))
    assert as_dtype(float) == np.float64 and as_dtype(int) == np.int64 and as_dtype(bool) == np.bool_
    for wrong in ("float16", complex, object, "datetime64[s]", "U3", "no"):
        with pytest.raises(DTypeError):
            as_dtype(wrong)


# -- sizes --------------------------------------------------------------------------------------------------------------
def test_what_a_size_is() -> None:
    assert as_shape(("n", 3, N + 1)) == (N, 3, N + 1)
    assert as_shape(3) == (3,) and as_shape("n") == (N,) and as_shape(N) == (N,)
    assert as_shape(np.array([2, 3])) == (2, 3) and all(type(s) is int for s in as_shape(np.array([2, 3])))
    fresh = as_shape((None, None))
    assert dims.equal(*fresh) is None
    for wrong in (-1, True, 1.0, "two words", np.bool_(True), [1], 1j):
        with pytest.raises((ShapeError, ValueError)):
            as_size(wrong)


def test_types_read_well() -> None:
    assert repr(tensor_type(np.dtype("float32"), (N, 64))) == "f32[n, 64]"
    assert repr(tensor_type(np.dtype("bool"), ())) == "bool[]"
    assert tensor_type(np.dtype("int8"), (N, 2 * M)).size == 2 * N * M


# -- broadcasting -------------------------------------------------------------------------------------------------------
STATIC = [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (4, 1, 3), (0,), (2, 0), (1, 1, 1)]


def test_static_shapes_broadcast_as_numpys() -> None:
    for shapes in itertools.chain(itertools.product(STATIC, STATIC), itertools.product(STATIC, STATIC[:6], STATIC[:6])):
        try:
            wanted = np.broadcast_shapes(*shapes)
        except ValueError:
            with pytest.raises(ShapeError):
                broadcast_shapes(shapes, "test")
        else:
            assert broadcast_shapes(shapes, "test") == wanted, shapes


@pytest.mark.parametrize(
    ("shapes", "wanted", "assumed"),
    [
        ([(N,), (N,)], (N,), []),
        ([(N,), (1,)], (N,), []),
        ([(1, 3), (N, 1)], (N, 3), []),
        ([(N,), ()], (N,), []),
        ([(N, 3), (3,)], (N, 3), []),
        ([(N,), (M,)], (N,), [(N, M)]),
        ([(N,), (3,)], (3,), [(N, 3)]),  # what is known wins
        ([(3,), (N,)], (3,), [(3, N)]),
        ([(N + 1,), (1,)], (N + 1,), []),
        ([(N,), (M,), (3,)], (3,), [(N, M), (N, 3)]),
        ([(N + M,), (M + N,)], (N + M,), []),
        ([(2 * N,), (4,)], (4,), [(2 * N, 4)]),
    ],
)
def test_symbolic_shapes_broadcast(shapes: list[tuple[dims.Size, ...]], wanted: tuple[dims.Size, ...], assumed: list[object]) -> None:
    with assumed_sizes() as noted:
        assert broadcast_shapes(shapes, "test") == wanted
    assert noted == assumed


@pytest.mark.parametrize("shapes", [[(N,), (N + 1,)], [(2 * N,), (3,)], [(N + 4,), (3,)], [(N, 3), (N, 4)]])
def test_provably_different_sizes_fail(shapes: list[tuple[dims.Size, ...]]) -> None:
    with pytest.raises(ShapeError, match=r"test: sizes .* and .* do not broadcast"):
        broadcast_shapes(shapes, "test")


def test_assumptions_are_noted_only_inside() -> None:
    assert same_size(N, M)
    with assumed_sizes() as outer:
        same_size(N, M)
        with assumed_sizes() as inner:
            same_size(N, 5)
        same_size(M, 5)
        same_size(N, N)
        assert not same_size(N, N + 1)
    assert outer == [(N, M), (M, 5)] and inner == [(N, 5)]


def test_axes() -> None:
    assert normal_axis(-1, 3, "f") == 2 and normal_axis(np.int64(1), 3, "f") == 1
    assert normal_axes(None, 3, "f") == (0, 1, 2) and normal_axes((-1, 0), 3, "f") == (0, 2) and normal_axes(1, 3, "f") == (1,)
    for axes in (3, -4, (0, 0), (0, -3), 1.5, ("a",)):
        with pytest.raises(ShapeError):
            normal_axes(axes, 3, "f")
