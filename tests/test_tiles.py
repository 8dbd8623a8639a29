"""Tiles, sweeps, dot products and packing as each named target has them: run where this processor can, and looked at as assembly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc.codegen import jit
from graphc.codegen.compile import write_module
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy import contract
from graphc.codegen.target import host, named
from graphc.ir import Node
from graphc.operators import FUNCTIONS as F
from graphc.ops.einsum import einsum
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.target import Target
from tests.test_contract_kernels import array, program
from tests.test_targets import inner_loops

NEEDS = {"x86-64": "sse2", "x86-64-v3": "avx2", "x86-64-v4": "avx512vl"}
DTYPES = ["float32", "float64"]
# every residue of rows by tiles and of columns by vectors is met somewhere; k crosses a block, and is shorter than a vector
SIZES = [
    (1, 1, 1),
    (2, 3, 5),
    (3, 17, 31),
    (5, 300, 33),
    (7, 8, 16),
    (9, 5, 129),
    (13, 64, 48),
    (6, 2, 97),
    (31, 9, 10),
    (1, 100, 70),
    (0, 4, 3),
]
FORMS = {"ik,kj->ij": "{mk} {kn}", "ki,jk->ij": "{km} {nk}", "ik,jk->ij": "{mk} {nk}", "ik,k->i": "{mk} {k}", "k,kj->j": "{k} {kn}",
         "bik,bkj->bij": "{bmk} {bkn}"}  # fmt: skip


def runnable(name: str) -> Target:
    """The named target; skips where this processor lacks what it has."""
    if not host().triple.startswith("x86_64") or f"+{NEEDS[name]}" not in host().features.split(","):
        pytest.skip(f"this processor has no {NEEDS[name]}")
    return named(name)


@pytest.fixture
def always_sweeps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few rows are passed over however small the matrix is."""
    for name, size in {"SWEEP_BYTES": 1, "SWEEP_VECTORS": 1, "FAR_BYTES": 1 << 12}.items():
        monkeypatch.setattr(contract, name, size)
    contract.sweeps_pay.cache_clear()
    yield
    contract.sweeps_pay.cache_clear()


def operands(m: object, k: object, n: object, dtype: str) -> dict[str, Node]:
    """By the axes of each."""
    sizes = {"m": m, "k": k, "n": n, "b": 3}
    return {axes: tensor(axes, tuple(sizes[x] for x in axes), dtype) for axes in ("mk", "km", "kn", "nk", "k", "bmk", "bkn")}


def compiled(m: object, k: object, n: object, dtype: str, target: Target) -> tuple[Executable, list[str]]:
    """All forms of a product in one program, and the axes of its arguments; the last result has an epilogue."""
    given = operands(m, k, n, dtype)
    results = [einsum(form, *[given[axes[1:-1]] for axes in pair.split()]) for form, pair in FORMS.items()]
    outputs = (*results, F["maximum"](results[0], 0.0))
    return Executable(program(tuple(given.values()), outputs, target), Options(target=target, threads=1)), list(given)


def check(run: Executable, names: list[str], m: int, k: int, n: int, dtype: str) -> list[np.ndarray]:
    """The results, which are those of NumPy in double up to the rounding of k products and sums."""
    rng = np.random.default_rng([m, k, n])
    sizes = {"m": m, "k": k, "n": n, "b": 3}
    arrays = {axes: array(rng, [sizes[x] for x in axes], dtype) for axes in names}
    got = run([arrays[axes] for axes in names], [])
    for result, (form, pair) in zip(got, FORMS.items(), strict=False):
        x, y = (arrays[axes[1:-1]] for axes in pair.split())
        want = np.einsum(form, x.astype("f8"), y.astype("f8"))
        bound = (k + 2) * np.finfo(dtype).eps * np.einsum(form, abs(x).astype("f8"), abs(y).astype("f8"))
        assert result.shape == want.shape and (abs(result - want) <= bound).all(), (form, m, k, n)
    np.testing.assert_array_equal(got[-1], np.maximum(got[0], 0))
    return got


@pytest.mark.parametrize(("name", "dtype"), [("x86-64", "float64"), ("x86-64-v3", "float32"), ("x86-64-v4", "float64")])
def test_edges_of_tiles_on_each_target(name: str, dtype: str) -> None:
    target = runnable(name)
    run, names = compiled("m", "k", "n", dtype, target)
    for m, k, n in SIZES:
        check(run, names, m, k, n, dtype)
    for m, k, n in (SIZES[3], (9, 20, 3)):
        check(*compiled(m, k, n, dtype, target), m, k, n, dtype)


@pytest.mark.parametrize(("name", "dtype"), [("x86-64", "float32"), ("x86-64-v3", "float64"), ("x86-64-v4", "float32")])
def test_sweeps_on_each_target(name: str, dtype: str, always_sweeps: None) -> None:
    """Each number of rows; sums are added up in one order, so a place in a batch, and whether sizes are known, make no difference."""
    target = runnable(name)

    def executable(*shapes: tuple[object, ...]) -> Executable:
        a, b, aa, bb = (tensor(f"x{k}", shape, dtype) for k, shape in enumerate(shapes))
        return Executable(program((a, b, aa, bb), (a @ b, F["maximum"](a @ b, 0.0), aa @ bb), target), Options(target=target, threads=1))

    run = executable(("m", "k"), ("k", "n"), (3, "m", "k"), (3, "k", "n"))
    for m in (1, 2, 5, 8, 11, 16, 17):
        k, n = ((64, 100), (131, 333))[m % 2]
        rng = np.random.default_rng(m)
        y, z = (array(rng, shape, dtype) for shape in ((3, k, n), (3, m, k)))
        got = run([z[1].copy(), y[1].copy(), z, y], [])
        want, bound = z.astype("f8") @ y, (k + 2) * np.finfo(dtype).eps * (abs(z).astype("f8") @ abs(y))
        assert (abs(got[2] - want) <= bound).all(), m
        np.testing.assert_array_equal(got[0], got[2][1])
        np.testing.assert_array_equal(got[1], np.maximum(got[0], 0))
        if m in (1, 11):
            for one, other in zip(executable((m, k), (k, n), (3, m, k), (3, k, n))([z[1].copy(), y[1].copy(), z, y], []), got, strict=True):
                np.testing.assert_array_equal(one, other)


@cache
def assembly(name: str, dtype: str) -> str:
    """Of large products of each form, of one row, two and eight."""
    size, target = 2048, named(name)
    given = operands(size, size, size, dtype)
    few = [tensor(f"few{m}", (m, size), dtype) for m in (1, 2, 8)]
    outputs = [given["mk"] @ given["kn"], given["mk"] @ given["k"], *[x @ given["kn"] for x in few], *[x @ given["nk"].T for x in few]]
    made = program((given["mk"], given["kn"], given["nk"], given["k"], *few), tuple(outputs), target)
    return jit.assembly(write_module(made, Options(target=target)), target)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*NEEDS, "aarch64"])
def test_inner_loops_multiply_vectors_and_keep_sums_in_registers(name: str, dtype: str) -> None:
    """Of tiles, sweeps and dot products; a loop is an inner one if it multiplies at least four times."""
    target = named(name)
    register = {64: r"%zmm", 32: r"%ymm", 16: r"%xmm"}[target.vector_bytes]
    vector = rf"v?(fmadd\w*|mul)p[sd]\s.*{register}" if name != "aarch64" else r"fmla\s+v\d+\.(4s|2d)"
    scalar = r"v?(fmadd\w*|mul)s[sd]\s" if name != "aarch64" else r"(fmadd|fmul)\s+[sd]\d"
    seen = set()
    for stem in ("tile", "sweep", "dots"):
        for function, loops in inner_loops(assembly(name, dtype), f"{stem}.{dtype}").items():
            for loop in loops:
                if sum(bool(re.match(vector, x)) for x in loop) < 4:
                    continue
                seen.add(function)
                spilled = r"(16|32|64)-byte (Spill|Reload)" if stem == "sweep" else r"Spill|Reload"  # pointers to its rows of b may be
                assert not [x for x in loop if re.search(spilled, x)], function
                assert not [x for x in loop if re.match(scalar, x) or re.match(r"(call|bl)\b", x)], function
    assert {x.split(".")[0] for x in seen} == {"tile", "sweep", "dots"}
    assert any(x.startswith(f"sweep.{dtype}.1") for x in seen) and len(seen) >= 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_foreign_is_called_on_aarch64(dtype: str) -> None:
    """Only functions of the module itself."""
    text = assembly("aarch64", dtype)
    called = set(re.findall(r"^\s+bl\s+(\S+)", text, re.M))
    assert called and called <= set(re.findall(r"^([\w.]+):", text, re.M))
