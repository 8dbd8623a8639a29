"""Products of a few steps of k, written along rows: the bits of tiles, whatever the layout, the target, the threads and the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import lcm

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc.codegen.loops.loopir import Call, walk
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy.contract import SHORT, SHORT_BYTES, SWEEP_ROWS, SWEEP_VECTORS, Product, mostly_writes, tile_shape
from graphc.codegen.target import host, named
from graphc.ir import Node
from graphc.operators import FUNCTIONS as F
from graphc.ops.einsum import einsum
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.target import Target
from tests.test_contract_kernels import array, program

DTYPES = ["float32", "float64", "int32"]
FORMS = {"ik,kj->ij": ("mk", "kn"), "ki,kj->ij": ("km", "kn"), "bik,bkj->bij": ("bmk", "bkn"), "bik,kj->bij": ("bmk", "kn")}
ROWS = lcm(tile_shape(host())[0], tile_shape(named("x86-64"))[0])
SIZES = [((SWEEP_ROWS // ROWS + 1) * ROWS, 2, SWEEP_VECTORS * 16), (17 * ROWS, 3, 501), (2 * ROWS, SHORT, 259)]


def inputs(m: object, k: int, n: object, dtype: str) -> dict[str, Node]:
    sizes = {"m": m, "k": k, "n": n, "b": 3}
    return {axes: tensor(axes, tuple(sizes[x] for x in axes), dtype) for axes in ("mk", "km", "kn", "bmk", "bkn")}


def results(given: dict[str, Node]) -> list[Node]:
    return [einsum(form, *[given[axes] for axes in pair]) for form, pair in FORMS.items()]


def values(m: int, k: int, n: int, dtype: str) -> list[np.ndarray]:
    """With zeros of either sign, nan and infinity among them."""
    rng = np.random.default_rng([m, k, n])
    sizes = {"m": m, "k": k, "n": n, "b": 3}
    made = [array(rng, [sizes[x] for x in axes], dtype) for axes in inputs(1, k, 1, dtype)]
    if np.dtype(dtype).kind == "f":
        for x in made:
            x.reshape(-1)[:2] = -0.0, 0.0
        made[2][:, 5], made[2][0, 7], made[2][:, 9], made[2][:, n - 1] = -0.0, np.inf, 0.0, np.nan
    return made


def short(outputs: Sequence[Node], given: dict[str, Node]) -> list[bool]:
    """Whether each product of a program is written along rows."""
    kernels = program(tuple(given.values()), tuple(outputs)).kernels()
    plans = [s.params for kernel in kernels for s in walk(lower(kernel, host())) if isinstance(s, Call)]
    return [mostly_writes(p) for p in plans if isinstance(p, Product)]


def run(given: dict[str, Node], arrays: list[np.ndarray], target: Target, threads: int = 1, fma: bool = True) -> list[np.ndarray]:
    options = Options(target=target, threads=threads, fma=fma)
    return list(Executable(program(tuple(given.values()), tuple(results(given)), target), options)(arrays, []))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_are_those_of_tiles(dtype: str, sizes: tuple[int, int, int]) -> None:
    """Columns that are known only when called are computed by tiles."""
    m, k, n = sizes
    arrays = values(m, k, n, dtype)
    given, unknown = inputs(m, k, n, dtype), inputs(m, k, "n", dtype)
    assert any(short(results(given), given)) and not any(short(results(unknown), unknown))
    for got, want in zip(run(given, arrays, host()), run(unknown, arrays, host()), strict=True):
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got, want)
        assert np.dtype(dtype).kind != "f" or (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()
    mk, kn = (arrays[list(given).index(axes)].astype("f8") for axes in ("mk", "kn"))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(run(given, arrays, host())[0], mk @ kn, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neither_threads_nor_offsets_nor_the_place_in_a_batch_change_bits(dtype: str) -> None:
    m, k, n = SIZES[1]
    arrays = values(m, k, n, dtype)
    wants = run(inputs(m, k, n, dtype), arrays, host())
    shifted = []
    for x in arrays:
        room = np.zeros(x.nbytes + 128, np.uint8)
        room[20 : 20 + x.nbytes] = x.reshape(-1).view(np.uint8)
        shifted.append(room[20 : 20 + x.nbytes].view(dtype).reshape(x.shape))
    given = inputs(m, k, n, dtype)
    assert any(short(results(given), given))
    for got, want in zip(run(given, shifted, host(), threads=3), wants, strict=True):
        np.testing.assert_array_equal(got, want)
    batched, kn = arrays[list(given).index("bmk")], arrays[list(given).index("kn")]
    for one, want in zip(batched, wants[3], strict=True):
        alone = [one if axes == "mk" else kn if axes == "kn" else x for axes, x in zip(given, arrays, strict=True)]
        np.testing.assert_array_equal(run(given, alone, host())[0], want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_roundings_on_request_and_where_there_is_no_other_way(dtype: str) -> None:
    m, k, n = SIZES[2]
    arrays = values(m, k, n, dtype)
    given = inputs(m, k, n, dtype)
    mk, kn = (arrays[list(given).index(axes)] for axes in ("mk", "kn"))
    want = np.zeros((m, n), dtype)
    with np.errstate(invalid="ignore"):
        for step in range(k):
            want += mk[:, step, None] * kn[step]
    np.testing.assert_array_equal(run(given, arrays, host(), fma=False)[0], want)
    baseline = named("x86-64") if host().triple.startswith("x86_64") else replace(host(), has_fma=False)
    np.testing.assert_array_equal(run(given, arrays, baseline)[0], want)
    if host().has_fma:
        assert (run(given, arrays, host())[0] != want)[~np.isnan(want)].any()


def test_other_rows_are_left_to_tiles() -> None:
    """Few of them, those of a lower tile, more steps of k, few columns, a larger matrix, and an epilogue."""
    m, k, n = SIZES[0]
    for other in ((SWEEP_ROWS, k, n), (m + 1, k, n), (m, SHORT + 1, n), (m, k, 20), (m, k, SHORT_BYTES)):
        given = inputs(*other, "float32")
        assert not any(short(results(given)[:1], given)), other
    given = inputs(m, k, n, "float32")
    assert short(results(given)[:1], given) == [True]
    assert short([F["maximum"](results(given)[0], 0.0)], given) == [False]
