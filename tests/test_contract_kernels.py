"""Products in native code: every layout, size and epilogue against NumPy in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc import dims, shared
from graphc.codegen.loops.loopir import Call, walk
from graphc.codegen.loops.lower import lower
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.strategy.contract import even_split
from graphc.codegen.target import host, named
from graphc.ir import Graph, Node
from graphc.operators import FUNCTIONS as F
from graphc.ops.contract import contract
from graphc.ops.create import iota
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.program import Program
from graphc.target import Target
from graphc.user.function import function
from tests.stages import ready

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


def program(inputs: Sequence[Node], outputs: Sequence[Node], target: Target | None = None) -> Program:
    return ready(Graph(tuple(inputs), tuple(outputs)), Options(verify=True, target=target))


def executable(inputs: Sequence[Node], outputs: Sequence[Node]) -> Executable:
    return Executable(program(inputs, outputs))


def is_product(made: Program) -> bool:
    """Whether some kernel runs as a tiled product rather than as plain loops."""
    return any(isinstance(s, Call) for kernel in made.kernels() for s in walk(lower(kernel, host())))


def array(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(-5 if np.dtype(dtype).kind == "i" else 0, 6, shape).astype(dtype)


def close(got: np.ndarray, want: np.ndarray, dtype: str, scale: float = 1.0) -> None:
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * (1.0 + scale))
    else:
        np.testing.assert_array_equal(got, want)


# -- layouts and sizes ----------------------------------------------------------------------------------------------
SIZES = [
    (1, 1, 1), (8, 16, 48), (7, 5, 3), (9, 17, 49), (33, 65, 17), (130, 300, 95), (1, 40, 200), (2, 9, 130), (64, 3, 10),
    (0, 3, 4), (3, 0, 4), (3, 4, 0), (17, 257, 1), (5, 513, 50),
]  # fmt: skip


@cache
def symbolic(dtype: str, a_t: bool, b_t: bool, out_t: bool) -> Executable:
    a = tensor("a", ("k", "m") if a_t else ("m", "k"), dtype)
    b = tensor("b", ("n", "k") if b_t else ("k", "n"), dtype)
    out = (a.T if a_t else a) @ (b.T if b_t else b)
    return executable((a, b), (out.T if out_t else out,))


@pytest.mark.parametrize("out_t", [False, True])
@pytest.mark.parametrize("b_t", [False, True])
@pytest.mark.parametrize("a_t", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_layouts_at_sizes_known_when_called(dtype: str, a_t: bool, b_t: bool, out_t: bool) -> None:
    run = symbolic(dtype, a_t, b_t, out_t)
    rng = np.random.default_rng(1)
    for m, k, n in SIZES:
        a, b = array(rng, (k, m) if a_t else (m, k), dtype), array(rng, (n, k) if b_t else (k, n), dtype)
        wide = np.float64 if np.dtype(dtype).kind == "f" else dtype
        want = (a.T if a_t else a).astype(wide) @ (b.T if b_t else b).astype(wide)
        (got,) = run([a, b], [])
        assert got.dtype == np.dtype(dtype)
        close(got, want.T if out_t else want, dtype, np.sqrt(k))


STATIC = [
    (1, 1, 1), (16, 16, 16), (33, 65, 17), (100, 30, 100), (13, 300, 50), (150, 20, 97), (2, 30, 200), (4, 0, 5), (0, 4, 5), (40, 520, 33),
]  # fmt: skip


@pytest.mark.parametrize("sizes", STATIC)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_at_sizes_known_when_compiled(dtype: str, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    rng = np.random.default_rng(2)
    plain, turned = array(rng, (m, k), dtype), array(rng, (n, k), dtype)
    a, b, c = tensor("a", (m, k), dtype), tensor("b", (n, k), dtype), tensor("c", (k, m), dtype)
    run = executable((a, b, c), (a @ b.T, (b @ a.T) * 2.0, c.T @ b.T))
    want = plain.astype("f8") @ turned.T
    for got, right in zip(run([plain, turned, plain.T.copy()], []), (want, want.T * 2.0, want), strict=True):
        close(got, right, dtype, 2 * np.sqrt(k))


def test_a_product_is_a_product() -> None:
    a, b = tensor("a", ("m", "k"), "float32"), tensor("b", ("n", "k"), "float32")
    for outputs in ((a @ b.T,), (F["tanh"](a @ b.T),), ((a @ b.T).T,)):
        assert is_product(program((a, b), outputs))


@pytest.mark.parametrize("target", ["x86-64", "x86-64-v3", "aarch64"])
def test_other_targets_are_written(target: str) -> None:
    from graphc.codegen import jit
    from graphc.codegen.compile import write_module

    a, b = tensor("a", ("m", "k"), "float32"), tensor("b", ("n", "k"), "float32")
    text = write_module(program((a, b), (F["maximum"](a @ b.T, 0.0),), named(target)), Options(target=named(target)))
    code = jit.assembly(text, named(target))
    assert "fmaf" not in code  # no call of the C library where FMA is missing


@pytest.mark.parametrize("vector_bytes", [32, 16])
def test_narrower_machines(vector_bytes: int) -> None:
    """The tiles of AVX2 and of SSE2, run here."""
    target = replace(host(), vector_bytes=vector_bytes, registers=16, has_fma=vector_bytes == 32)
    rng = np.random.default_rng(9)
    for dtype in ("float32", "float64"):
        a, b = tensor("a", ("m", "k"), dtype), tensor("b", ("n", "k"), dtype)
        run = Executable(program((a, b), (a @ b.T, F["maximum"](b @ a.T, 0.0), a.T @ a), target), Options(target=target))
        for m, k, n in [(1, 9, 40), (3, 50, 11), (23, 300, 61), (100, 7, 5)]:
            x, y = array(rng, (m, k), dtype), array(rng, (n, k), dtype)
            want = x.astype("f8") @ y.T
            for got, right in zip(run([x, y], []), (want, np.maximum(want.T, 0), x.T.astype("f8") @ x), strict=True):
                close(got, right, dtype, np.sqrt(max(k, m)))


# -- epilogues ------------------------------------------------------------------------------------------------------
EPILOGUES: dict[str, Callable[[Node, Node, Node], Node]] = {
    "bias and relu": lambda y, row, full: F["maximum"](y + row, 0.0),
    "tanh": lambda y, row, full: F["tanh"](y + row),
    "another product's worth": lambda y, row, full: full - y * 0.5,
    "transposed operand": lambda y, row, full: y * (full.T).T + row,
    "comparison": lambda y, row, full: y > row,
    "wider": lambda y, row, full: (y + row).astype("float64"),
    "position": lambda y, row, full: y * F["arange"](full.shape[1]).astype("float32"),
}
REFERENCES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "bias and relu": lambda y, row, full: np.maximum(y + row, 0.0),
    "tanh": lambda y, row, full: np.tanh(y + row),
    "another product's worth": lambda y, row, full: full - y * 0.5,
    "transposed operand": lambda y, row, full: y * full + row,
    "comparison": lambda y, row, full: y > row,
    "wider": lambda y, row, full: y + row,
    "position": lambda y, row, full: y * np.arange(full.shape[1]),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues(name: str, known: bool) -> None:
    rng = np.random.default_rng(3)
    cases = [(20, 30, 50), (9, 300, 65), (140, 270, 20)]
    run: Executable | None = None
    for m, k, n in cases:
        a, b, row, full = (array(rng, s, "float32") for s in ((m, k), (k, n), (n,), (m, n)))
        if run is None or known:
            sizes: tuple[object, ...] = (m, k, n) if known else ("m", "k", "n")
            shapes = ((sizes[0], sizes[1]), (sizes[1], sizes[2]), (sizes[2],), (sizes[0], sizes[2]))
            inputs = [tensor(x, s, "float32") for x, s in zip("abcd", shapes, strict=True)]
            run = executable(inputs, (EPILOGUES[name](inputs[0] @ inputs[1], inputs[2], inputs[3]),))
        (got,) = run([a, b, row, full], [])
        want = REFERENCES[name](a.astype("f8") @ b, row, full)
        if got.dtype == bool:
            assert (got != want).mean() < 1e-3
        else:
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-3 if name == "position" else 3e-5 * np.sqrt(k))


def test_the_product_and_what_follows_are_both_stored() -> None:
    a, b = tensor("a", ("m", "k"), "float64"), tensor("b", ("k", "n"), "float64")
    y = a @ b
    run = executable((a, b), (y, F["maximum"](y, 0.0), (y + 1.0).T))
    rng = np.random.default_rng(4)
    for m, k, n in [(5, 7, 9), (30, 400, 31), (0, 4, 2), (3, 0, 5)]:
        x, w = array(rng, (m, k), "float64"), array(rng, (k, n), "float64")
        want = x @ w
        for got, right in zip(run([x, w], []), (want, np.maximum(want, 0), (want + 1).T), strict=True):
            close(got, right, "float64", np.sqrt(k))


def test_nothing_to_sum_gives_the_epilogue_of_zero() -> None:
    a, b = tensor("a", ("m", "k"), "float32"), tensor("b", ("k", "n"), "float32")
    run = executable((a, b), (a @ b + 3.0,))
    np.testing.assert_array_equal(run([np.ones((10, 0), "f4"), np.ones((0, 60), "f4")], [])[0], np.full((10, 60), 3.0))


def test_nan_and_infinity_pass() -> None:
    a, b = tensor("a", ("m", "k"), "float32"), tensor("b", ("k", "n"), "float32")
    x, w = np.ones((11, 5), "f4"), np.ones((5, 21), "f4")
    x[10, 2], w[4, 20], w[0, 3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(executable((a, b), (a @ b,))([x, w], [])[0], x @ w)


# -- operands that are views ----------------------------------------------------------------------------------------
VIEWS: dict[str, tuple[Callable[[Node], Node], Callable[[np.ndarray], np.ndarray]]] = {
    "every other row": (lambda x: x[::2], lambda x: x[::2]),
    "columns from 3": (lambda x: x[:, 3:], lambda x: x[:, 3:]),
    "every third column": (lambda x: x[:, ::3], lambda x: x[:, ::3]),
    "backwards": (lambda x: x[:, ::-1], lambda x: x[:, ::-1]),
    "transposed and cut": (lambda x: x.T[2:, ::2], lambda x: x.T[2:, ::2]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_strided_operands(name: str) -> None:
    on_node, on_array = VIEWS[name]
    rng = np.random.default_rng(5)
    big = array(rng, (41, 77), "float32")
    view = on_array(big)
    left, right = array(rng, (19, view.shape[0]), "float32"), array(rng, (view.shape[1], 23), "float32")
    x, a, b = tensor("x", big.shape, "float32"), tensor("a", left.shape, "float32"), tensor("b", right.shape, "float32")
    run = executable((x, a, b), (a @ on_node(x), on_node(x) @ b))
    got = run([big, left, right], [])
    close(got[0], left.astype("f8") @ view, "float32", 10)
    close(got[1], view.astype("f8") @ right, "float32", 10)


def test_few_rows_and_a_strided_operand() -> None:
    """Nothing of b lies next to each other, and k takes several blocks."""
    rng = np.random.default_rng(10)
    big = array(rng, (700, 400), "float32")
    for rows in (1, 2, 3):
        left = array(rng, (rows, 700), "float32")
        x, a = tensor("x", big.shape, "float32"), tensor("a", left.shape, "float32")
        got = executable((x, a), (a @ x[:, ::3], (x.T[::2] @ a.T), a[0] @ x[:, ::2]))([big, left], [])
        for out, want in zip(got, (left @ big[:, ::3], big.T[::2] @ left.T, left[0] @ big[:, ::2]), strict=True):
            close(out, want, "float32", 200)


def test_a_value_updated_in_place_by_a_product_with_itself() -> None:
    """w[j, i] <- sum over r, q of w[j, i] * b[j, q, r]: the operand is read where the result is written."""
    w = shared(np.full((6, 40), 2.0), "w")
    b = tensor("b", (6, 25, 24), "float64")
    spread = F["broadcast_to"](w[:, :, None, None], (6, 40, 24, 25))
    step = function([b], [], updates=[(w, contract(spread, b, ((0, 1, 2, 3), (0, 3, 2), (0, 1))))])
    value = array(np.random.default_rng(11), (6, 25, 24), "float64")
    step(value)
    close(w.get_value(), 2.0 * value.sum(axis=(1, 2))[:, None] * np.ones((6, 40)), "float64", 100)


# -- more axes ------------------------------------------------------------------------------------------------------
SPECS = [
    "bij,bjk->bik", "bij,bkj->bki", "ij,bjk->bik", "bij,jk->bik", "bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk", "abij,jk->abik",
    "ijk,jkl->il", "ijk,kjl->il", "ijk,kjl->li", "ab,cd->abcd", "ij,ij->", "bi,bi->b", "ij,j->i", "ij,i->j", "bij,bj->bi",
    "bij,bjk->ikb", "ijab,kab->kij", "ij,jk->k", "ijk,j->ik", "bi,bj->bij",
]  # fmt: skip
EXTENTS = dict(a=3, b=4, c=5, d=6, h=2, i=11, j=9, k=13, l=21, q=10)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("spec", SPECS)
def test_einsum(spec: str, known: bool) -> None:
    rng = np.random.default_rng(6)
    left, right = spec.split("->")[0].split(",")
    x, y = (array(rng, [EXTENTS[c] for c in s], "float64") for s in (left, right))
    shapes = [[EXTENTS[c] if known else f"{c}{c}" for c in s] for s in (left, right)]
    a, b = tensor("a", tuple(shapes[0]), "float64"), tensor("b", tuple(shapes[1]), "float64")
    made = F["einsum"](spec, a, b)
    (got,) = executable((a, b), (made + 1.0,))([x, y], [])
    close(got, np.einsum(spec, x, y) + 1.0, "float64", 100.0)


def test_an_empty_second_summed_axis() -> None:
    a, b = tensor("a", ("p", "q", "r"), "float32"), tensor("b", ("r", "q", "s"), "float32")
    node = contract(a, b, ((0, 1, 2), (2, 1, 3), (0, 3)))
    run = executable((a, b), (node,))
    for q, r in [(0, 5), (5, 0), (3, 300), (300, 3)]:
        rng = np.random.default_rng(7)
        x, y = array(rng, (4, q, r), "float32"), array(rng, (r, q, 6), "float32")
        close(run([x, y], [])[0], np.einsum("pqr,rqs->ps", x.astype("f8"), y), "float32", 30)


def test_a_matrix_with_itself() -> None:
    x = tensor("x", ("n", 30), "float32")
    value = array(np.random.default_rng(8), (50, 30), "float32")
    got = executable((x,), (x @ x.T, x.T @ x))([value], [])
    close(got[0], value.astype("f8") @ value.T, "float32", 6)
    close(got[1], value.T.astype("f8") @ value, "float32", 8)


def test_results_do_not_depend_on_neighbours_in_memory() -> None:
    """Tails are masked: nothing outside the operands is used, nothing outside the result is written."""
    a, b = tensor("a", ("m", "k"), "float32"), tensor("b", ("k", "n"), "float32")
    run = executable((a, b), (a @ b,))
    for m, k, n in [(5, 3, 21), (13, 300, 50), (1, 7, 1)]:
        guarded = np.full(m * k + k * n + 64, np.nan, "f4")
        x, w = guarded[16 : 16 + m * k].reshape(m, k), guarded[32 + m * k : 32 + m * k + k * n].reshape(k, n)
        x[...], w[...] = 1.0, 2.0
        np.testing.assert_array_equal(run([x, w], [])[0], np.full((m, n), 2.0 * k))


def test_even_split() -> None:
    assert even_split(100, 8) == [8] * 9 + [7] * 4 and even_split(0, 8) == [] and even_split(7, 8) == [7]
    assert dims.equal(dims.mod(dims.dim("m"), 1), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_roundings_on_request(dtype: str) -> None:
    """Without fused multiply-adds the sum is the one that a loop over k writes, to the bit."""
    rng = np.random.default_rng(13)
    x, y = array(rng, (16, 100), dtype), array(rng, (100, 48), dtype)
    a, b = tensor("a", x.shape, dtype), tensor("b", y.shape, dtype)
    want = np.zeros((16, 48), dtype)
    for k in range(100):
        want += x[:, k, None] * y[k]
    made = program((a, b), (a @ b,))
    np.testing.assert_array_equal(Executable(made, Options(fma=False))([x, y], [])[0], want)
    if host().has_fma:
        assert (Executable(made)([x, y], [])[0] != want).any()


LARGE = [(300, 700, 1600), (517, 1100, 1003), (256, 1024, 1024), (257, 2049, 513)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("a_t", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_strips_and_panels_of_large_products(dtype: str, a_t: bool, known: bool) -> None:
    """Every element within k * eps * |a| |b|, with and without something that follows, and where the sums wait on the stack."""
    rng = np.random.default_rng(14)
    run: Executable | None = None
    for m, k, n in LARGE[:2] if known else LARGE:
        x, y, r = array(rng, (k, m) if a_t else (m, k), dtype), array(rng, (k, n), dtype), array(rng, (m, n), dtype)
        if known or run is None:
            sm, sk, sn = (m, k, n) if known else ("m", "k", "n")
            a, b, c = tensor("a", (sk, sm) if a_t else (sm, sk), dtype), tensor("b", (sk, sn), dtype), tensor("c", (sm, sn), dtype)
            z = (a.T if a_t else a) @ b
            run = executable((a, b, c), (z, F["maximum"](z, 0.0) * 2.0, z - c, (z > 1.0)))
        left = (x.T if a_t else x).astype("f8")
        want, size = left @ y.astype("f8"), abs(left) @ abs(y.astype("f8"))
        bound = size * (k + 2) * np.finfo(dtype).eps
        plain, positive, moved, above = run([x, y, r], [])
        assert (abs(plain - want) <= bound).all()
        np.testing.assert_array_equal(positive, np.maximum(plain, 0) * 2)
        np.testing.assert_array_equal(moved, plain - r)
        np.testing.assert_array_equal(above, plain > 1)


def test_each_way_of_waiting_for_the_last_block() -> None:
    """Sums wait in the result; on the stack where it is of another type, or may be memory that the epilogue reads."""
    rng = np.random.default_rng(15)
    x, y, r = array(rng, (300, 600), "float32"), array(rng, (600, 1800), "float32"), array(rng, (300, 1800), "float32")
    a, b, c = (tensor(name, v.shape, "float32") for name, v in zip("abc", (x, y, r), strict=True))
    want = x.astype("f8") @ y
    bound = abs(x).astype("f8") @ abs(y) * 602 * np.finfo("f4").eps
    for follow, back in [
        (lambda z: F["maximum"](z, 0.0), lambda v: np.maximum(v, 0)),
        (lambda z: z.astype("float64"), lambda v: v),
        (lambda z: z + c, lambda v: v + r),
        (lambda z: (z + 1.0).T, lambda v: (v + 1).T),
    ]:
        (got,) = executable((a, b, c), (follow(a @ b),))([x, y, r], [])
        limit = bound + abs(want) * 1e-6 + 1e-5
        assert (abs(got - back(want)) <= (limit.T if got.shape != want.shape else limit)).all()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_few_columns(dtype: str, columns: int, known: bool) -> None:
    """Rows of a matrix that lie along k: lanes run along k, and the few columns are copied to do so too."""
    rng = np.random.default_rng(16)
    run: Executable | None = None
    for m, k in [(1, 1), (5, 3), (0, 7), (7, 0), (33, 2048), (130, 2049), (9, 5000)]:
        x, y, r = array(rng, (m, k), dtype), array(rng, (k, columns), dtype), array(rng, (columns,), dtype)
        if known or run is None:
            sizes = (m, k) if known else ("m", "k")
            a, b, c = tensor("a", sizes, dtype), tensor("b", (sizes[1], columns), dtype), tensor("c", (columns,), dtype)
            run = executable((a, b, c), (a @ b, F["maximum"](a @ b + c, 0), (b.T @ a.T)))
        wide = np.float64 if dtype.startswith("f") else dtype
        want = x.astype(wide) @ y.astype(wide)
        size = abs(x).astype(wide) @ abs(y).astype(wide) + abs(r)
        eps = np.finfo(dtype).eps if dtype.startswith("f") else 0
        for got, right, scale in zip(run([x, y, r], []), (want, np.maximum(want + r, 0), want.T), (size, size, size.T), strict=True):
            assert got.shape == right.shape and (abs(got - right) <= scale * (k + 2) * eps).all()


@pytest.mark.parametrize("known", [True, False])
def test_an_epilogue_that_reads_the_number_of_its_matrix(known: bool) -> None:
    """The index of a loop around the product is a value in what follows it, the same in all lanes; so are row and column."""
    a, b = (tensor(name, shape if known else (*"p", *names)) for name, shape, names in (("a", (3, 9, 5), "mk"), ("b", (3, 5, 21), "kn")))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 9, 5)), rng.normal(size=(3, 5, 21))
    out = a @ b
    for axis in range(3):
        made = program((a, b), (out * iota(out.shape, axis).astype("float64"),))
        assert len(made.kernels()) == 1 and is_product(made)
        (got,) = executable((a, b), (out * iota(out.shape, axis).astype("float64"),))([x, y], [])
        close(got, (x @ y) * np.indices((3, 9, 21))[axis], "float64")
