"""Products whose tasks share what they pack: right for every layout, size and offset, and the same bits however they are run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import graphc.ops  # noqa: F401
from graphc.codegen.compile import write_module
from graphc.codegen.runtime.executable import Executable
from graphc.codegen.runtime.parallel_loops import Threads
from graphc.codegen.strategy import contract, operands, product_scratch, rounds
from graphc.codegen.target import host, named
from graphc.operators import FUNCTIONS as F
from graphc.ops.registry import tensor
from graphc.options import Options
from graphc.target import Measured, Target
from tests.test_contract_kernels import array, program

OFFSETS = (0, 16, 32, 48)  # bytes behind a line
WIDTHS = {"x86-64": 16, "x86-64-v3": 32, "x86-64-v4": 64}
SHAPES = [(40, 300, 96), (33, 257, 51), (32, 32, 32), (77, 600, 19), (64, 1, 64), (35, 40, 1)]
NONE = [(0, 40, 33), (40, 0, 33), (40, 33, 0)]


@pytest.fixture
def small_sizes_share(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    share_small_sizes(monkeypatch)
    yield
    forget()


def share_small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What large products do, done by small ones: rounds of two panels, blocks of few rows."""
    for module, name, value in (
        (contract, "SHARED_BYTES", 1), (contract, "SHARED_ROWS", 5), (operands, "STRIP_PANELS", 1),
        (rounds, "GROUP_BYTES", 100_000), (rounds, "TASK_ROWS", 8), (rounds, "FEW_ROWS", 8), (rounds, "TASK_PANELS", 1),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    forget()


def forget() -> None:
    for cached in (contract.packing_pays, contract.copied_once, contract.shared_pays, product_scratch._planned):
        cached.cache_clear()


def at_offset(x: np.ndarray, offset: int) -> np.ndarray:
    """The same array, so many bytes behind a line."""
    raw = np.empty(x.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    moved = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    moved[...] = x
    return moved


def compiled(dtype: str, shape: Sequence[int] | None, a_t: bool, b_t: bool, target: Target, threads: int = 1) -> Executable:
    """a @ b, and something of it that waits until the sum is done; for sizes known when called without a shape. No work is too small."""
    target = replace(target, measured=replace(target.measured, threads=0.0))
    m, k, n = ("m", "k", "n") if shape is None else shape
    a, b = tensor("a", (k, m) if a_t else (m, k), dtype), tensor("b", (n, k) if b_t else (k, n), dtype)
    out = (a.T if a_t else a) @ (b.T if b_t else b)
    return Executable(program((a, b), (out, F["maximum"](out * 2.0, 0.0)), target), Options(target=target, threads=threads))


@cache
def operand(dtype: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    return array(np.random.default_rng(seed), shape, dtype)


def check(run: Executable, dtype: str, shape: tuple[int, int, int], a_t: bool, b_t: bool, offset: int = 16) -> list[np.ndarray]:
    """The results, within k roundings of products and sums."""
    m, k, n = shape
    x, y = operand(dtype, (m, k), 1), operand(dtype, (k, n), 2)
    given = [at_offset(x.T if a_t else x, 16), at_offset(y.T if b_t else y, offset)]
    got = run(given, [])
    want, eps = x.astype("f8") @ y, np.finfo(dtype).eps
    bound = (k + 2) * eps * (abs(x).astype("f8") @ abs(y))
    assert (abs(got[0] - want) <= bound).all(), shape
    np.testing.assert_array_equal(got[1], np.maximum(got[0] * np.asarray(2, dtype), 0))
    return got


@pytest.mark.usefixtures("small_sizes_share")
@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_every_layout(name: str, turned: tuple[bool, bool]) -> None:
    """For each kind of vectors; what threads take in any order is done once, whatever they are."""
    if WIDTHS[name] > host().vector_bytes:
        pytest.skip("vectors wider than this machine has")
    dtype = "float64" if turned[0] != turned[1] else "float32"
    runs = [compiled(dtype, None, *turned, named(name), threads) for threads in (1, 3)]
    for shape in SHAPES + NONE:
        one, several = (check(run, dtype, shape, *turned) for run in runs)
        for x, y in zip(one, several, strict=True):
            np.testing.assert_array_equal(x, y)
    for shape in SHAPES[:2]:
        check(compiled(dtype, shape, *turned, named(name), 2), dtype, shape, *turned)


@pytest.mark.usefixtures("small_sizes_share")
def test_more_axes() -> None:
    """Batches are rounds of their own; two summed axes are blocks of k one after the other."""
    rng = np.random.default_rng(5)
    for spec, *shapes in [("bik,bkj->bij", (3, 40, 300), (3, 300, 60)), ("ikl,lkj->ij", (50, 6, 300), (300, 6, 70))]:
        x, y = (array(rng, s, "float64") for s in shapes)
        a, b = (tensor(name, s, "float64") for name, s in zip("ab", shapes, strict=True))
        want = np.einsum(spec, x, y)
        bound = np.einsum(spec, abs(x), abs(y)) * 2000 * np.finfo("f8").eps
        results = [Executable(program((a, b), (F["einsum"](spec, a, b),)), Options(threads=t))([x, y], [])[0] for t in (1, 3)]
        assert (abs(results[0] - want) <= bound).all()
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_measured_never_changes_a_bit(dtype: str, known: bool) -> None:
    """On lines or across them, in place or copied, on any number of threads."""
    for shape in ((65, 300, 98 if dtype == "float32" else 96), (33, 300, 40)):  # rows of b lie on lines in f64 alone; strips of one row
        results = []
        for crossing, threads in ((1.0, 1), (2.0, 1), (2.0, 3)):
            target = replace(host(), measured=Measured(crossing=crossing, packing=4.0))
            run = compiled(dtype, shape if known else None, False, False, target, threads)
            for offset in OFFSETS:
                results.append(check(run, dtype, shape, False, False, offset)[0])
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


def test_copies_are_made_where_measurement_says() -> None:
    """A machine that does not mind crossing lines has no code for it; one that does asks where b lies."""
    for crossing, shared in ((1.0, False), (1.4, True)):
        target = replace(named("x86-64-v4"), measured=Measured(crossing=crossing))
        a, b = tensor("a", (64, 784), "float32"), tensor("b", (784, 256), "float32")
        made = program((a, b), (a @ b,), target)
        (kernel,) = made.kernels()
        assert bool(kernel.shared) is shared
        waits = ["pool.await" in write_module(made, Options(target=target), threads=Threads(most, True, 0.0)) for most in (1, 2)]
        assert waits == [False, shared]  # one thread alone never waits


def test_few_columns_are_not_shared_where_there_is_little_to_do() -> None:
    """One vector of b for a column of a: its loads are not worth the code of rounds, but where threads are."""
    target = replace(named("x86-64-v4"), measured=Measured(crossing=1.4))
    for k, shared in ((128, False), (1 << 14, True)):
        made = program((a := tensor("a", (64, k), "float32"), b := tensor("b", (k, 10), "float32")), (a @ b,), target)
        assert ("pool.await" in write_module(made, Options(target=target), threads=Threads(2, True, 0.0))) is shared


def test_products_that_differ_in_steps_have_one_epilogue() -> None:
    """Layers of several widths: what follows the sums is one function, which takes the distance of rows."""
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=(24, 40)), *[rng.normal(size=(40, n)) for n in (96, 48, 144)], *[rng.normal(size=n) for n in (96, 48, 144)]]
    x, w1, w2, w3, c1, c2, c3 = nodes = [tensor(f"x{k}", a.shape, "float64") for k, a in enumerate(arrays)]
    made = program(nodes, [F["tanh"](x @ w + c) for w, c in ((w1, c1), (w2, c2), (w3, c3))], host())
    text = write_module(made, Options(target=host()))
    assert len({line.split("(")[0] for line in text.split("\n") if "call void @" in line and ".finish." in line}) == 1
    for got, w, c in zip(Executable(made, Options(target=host()))(arrays, []), arrays[1:4], arrays[4:], strict=True):
        np.testing.assert_allclose(got, np.tanh(arrays[0] @ w + c), rtol=1e-13, atol=1e-13)


@pytest.mark.usefixtures("small_sizes_share")
def test_many_short_rounds() -> None:
    """Threads that are always at each other's heels: what one does not wait for, it would miss."""
    shape = (40, 256 * 20, 96)
    alone, several = (compiled("float64", shape, False, False, host(), threads) for threads in (1, 2))
    want = check(alone, "float64", shape, False, False)
    for _ in range(6):
        for x, y in zip(check(several, "float64", shape, False, False), want, strict=True):
            np.testing.assert_array_equal(x, y)


def whatever_memory_held() -> None:
    """Two calls of each size, the second in memory full of large numbers, or of small ones."""
    share_small_sizes(pytest.MonkeyPatch())
    for threads in (1, 2):
        run = compiled("float64", None, False, False, host(), threads)
        for shape in SHAPES[:2]:
            for pattern in (0x80, 0x7F):
                check(run, "float64", shape, False, False)
                assert run.spare
                for arena in run.spare:
                    arena.view(np.uint8)[...] = pattern
                check(run, "float64", shape, False, False)


def test_words_of_progress_begin_at_0_in_every_call() -> None:
    """Where small numbers are left over a task waits for ever, so this is a process of its own, of at most 30 seconds of work."""
    text = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (30, 30))\n"
    text += "from graphc import calibration; calibration.enabled = False\n"
    text += "from tests.test_products_together import whatever_memory_held; whatever_memory_held()"
    subprocess.run([sys.executable, "-c", text], cwd=Path(__file__).parents[1], check=True)
