"""Whole functions under canaries: no kernel writes outside its arrays, nothing that was not written reaches a result."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.runtime.executable import Executable
from graphc.dims import Size
from graphc.errors import CompileError
from graphc.options import Options, default_options, set_default_options
from graphc.passes.storage.memory import plan_memory
from graphc.program import Buffer, Launch, Program, copy_kernel
from graphc.verify.program import verify_program
from tests.test_memory import random_value


@pytest.fixture(autouse=True)
def canaries() -> Iterator[None]:
    before = default_options()
    set_default_options(replace(before, canaries=True))
    yield
    set_default_options(before)


SIZES = [(1, 1, 1), (3, 3, 3), (0, 4, 2), (2, 0, 5), (7, 9, 40), (64, 64, 64), (65, 300, 33), (130, 600, 17), (256, 255, 2100)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", [False, True])
def test_products(dtype: str, turned: bool) -> None:
    """Of sizes known only at the call and of known ones: packing stays in its scratch. The last sizes pay for strips of a."""
    rng = np.random.default_rng(1)

    def product(m: Size, k: Size, n: Size, threads: int) -> gx.Function:
        a, b = gx.tensor("a", (m, k), dtype), gx.tensor("b", (n, k) if turned else (k, n), dtype)
        return gx.function([a, b], gx.maximum((a @ (b.T if turned else b)) * 2, 0), threads=threads)

    known = {SIZES[4]: 1, SIZES[-2]: 2, SIZES[-1]: 1}
    for f in (product(*map(gx.dim, "mkn"), 1), product(*map(gx.dim, "mkn"), 2)):
        for m, k, n in SIZES:
            x = rng.normal(size=(m, k)).astype(dtype)
            y = rng.normal(size=(n, k) if turned else (k, n)).astype(dtype)
            want = np.maximum(x.astype("f8") @ (y.T if turned else y) * 2, 0)
            called = [f, product(m, k, n, known.pop((m, k, n)))] if (m, k, n) in known else [f]
            for g in called:
                np.testing.assert_allclose(g(x, y), want, rtol=0, atol=(2e-5 if dtype == "float32" else 1e-12) * (1 + k))


@pytest.mark.parametrize("seed", range(25))
def test_random_functions(seed: int) -> None:
    """The values of the memory tests, their gradients and their states, against the interpreter."""
    rng = random.Random(seed)
    rows = rng.choice([1, 2, 4, 5])
    x, index = gx.tensor("x", ("n", 4)), gx.tensor("i", ("n",), "int64")
    pool = [x, x * 2 + 1]
    for _ in range(4):
        pool.append(random_value(rng, pool, x, index))
    s = gx.shared(np.ones((rows, 4)), "s", shape=("n", 4))
    out = [pool[-1], pool[-2].sum(axis=0), gx.grad(gx.sum(gx.sin(pool[-1])), x, disconnected="zero")]
    X = np.random.default_rng(seed).normal(size=(rows, 4))
    chosen = np.random.default_rng(seed).integers(-rows, rows, rows)
    got = gx.function([x, index], out, updates={s: s + pool[-1]})(X, chosen)
    state = s.get_value()
    s.set_value(np.ones((rows, 4)))
    want = gx.function([x, index], out, updates={s: s + pool[-1]}, mode="interpret")(X, chosen)
    for a, b in zip([*got, state], [*want, s.get_value()], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [0, 1, 5, 1023, 5000])
def test_blocks_scans_and_reductions(size: int) -> None:
    x = gx.tensor("x", ("n",))
    y = x
    for _ in range(20):
        y = gx.sin(y) * 1.5 + x
    out = [y, gx.cumsum(gx.exp(x)) * 2, gx.softmax(x) if size else x, gx.sum(gx.tanh(x)), gx.grad(gx.sum(y * y), x)]
    f, g = gx.function([x], out), gx.function([x], out, mode="interpret")
    X = np.random.default_rng(0).normal(size=size)
    for a, b in zip(f(X), g(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("role", ["arena", "output"])
def test_a_kernel_that_writes_too_far_is_found_out(role: str) -> None:
    """A kernel of 20 elements on arrays of 4, which only a verifier would have refused."""
    x = gx.tensor("x", (20,))
    long = copy_kernel(np.dtype("float64"), (20,))
    short = Buffer(np.dtype("float64"), (4,), role)
    out = Buffer(np.dtype("float64"), (20,), "output", 0 if role == "arena" else 1)
    buffers = (Buffer(np.dtype("float64"), (20,), "input"), short, out)
    steps = (Launch(long, (0, 1)), Launch(long, (0, 2)))
    program = Program(buffers, steps, (x,), (), (), (2,) if role == "arena" else (1, 2), commit=2)
    run = Executable(plan_memory(program, apart=True), Options(canaries=True))
    with pytest.raises(CompileError, match="behind %1" if role == "arena" else "behind result 0"):
        run([np.ones(20)], [])


def test_every_executed_program_is_verified() -> None:
    """What runs is what the last pass made and the verifier saw: code generation adds nothing to it."""
    a, b = gx.tensor("a", ("m", "k")), gx.tensor("b", ("k", "n"))
    f = gx.function([a, b], a @ b)
    assert f._executable is not None and f._program is not None
    assert f._executable.program is f._program and any(k.scratch for k in f._program.kernels())
    verify_program(f._program)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_rows_in_order(dtype: str) -> None:
    """Scratch of records, positions and lanes: short and long rows, few and many, with zeros of both signs; places looked up."""
    x = gx.tensor("x", ("m", "n"), dtype)
    f = gx.function([x], [gx.sort(x), gx.argsort(x, 0), gx.topk(x, gx.dim("n") // 5)[1], gx.searchsorted(gx.sort(x, None), x)])
    for m, n in [(0, 4), (3, 0), (1, 1), (1, 5000), (17, 1), (33, 40), (37, 101), (5, 3000)]:
        value = np.random.default_rng(m + n).integers(-9, 9, (m, n)).astype(dtype)
        if dtype != "int16":
            value[::7] *= -1  # -0.0 in some rows alone
        rows, places, top, found = f(value)
        np.testing.assert_array_equal(rows, np.sort(value))
        np.testing.assert_array_equal(places, np.argsort(value, 0, kind="stable"))
        np.testing.assert_array_equal(np.take_along_axis(value, top, 1), -np.sort(-value.astype("float64"))[:, : n // 5])
        np.testing.assert_array_equal(found, np.searchsorted(np.sort(value, None), value))
