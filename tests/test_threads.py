"""Several threads: the same bits for any number of them, scratch of their own, and a pool that survives what processes do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import jit
from graphc.codegen.runtime.pool import _Pool
from graphc.codegen.runtime.pool_text import EXITED, pool_text
from graphc.codegen.target import host as jit_host
from graphc.codegen.target import named
from graphc.errors import ArgumentError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def any_work_is_worth_it(measured: Callable[..., None]) -> Iterator[None]:
    measured(threads=0.0)
    before = gx.get_num_threads()
    yield
    gx.set_num_threads(before)


def softmax_layer(x: gx.Node, w: gx.Node) -> gx.Node:
    return gx.softmax(gx.tanh(x @ w) + 1.0, axis=-1)


def moments(x: gx.Node, w: gx.Node) -> gx.Node:
    return (x - gx.mean(x, axis=0)) / gx.sqrt(gx.var(x, axis=0) + 1e-3) + gx.sum(w)


def gradient(x: gx.Node, w: gx.Node) -> gx.Node:
    return gx.grad(gx.sum(gx.square(softmax_layer(x, w)) * gx.sin(x[:, : w.shape[1]])), w)


def running(x: gx.Node, w: gx.Node) -> gx.Node:
    return gx.cumsum(gx.exp(-x * x), axis=0) + gx.cumsum(x, axis=1)


@pytest.mark.parametrize("build", [softmax_layer, moments, gradient, running], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "columns"), [((0, 1, 7), 5), ((129,), 33), ((64,), 300)])
def test_same_bits_for_any_number_of_threads(build: Callable[..., gx.Node], dtype: str, rows: tuple[int, ...], columns: int) -> None:
    rng = np.random.default_rng(0)
    x = gx.tensor("x", ("m", columns), dtype)
    w = gx.tensor("w", (columns, min(columns, 20)), dtype)
    weights = rng.normal(size=(columns, min(columns, 20))).astype(dtype)
    y = build(x, w)
    one, *several = [gx.function([x, w], y, threads=threads) for threads in (1, 2, 3, 8)]
    for m in rows:
        array = rng.normal(size=(m, columns)).astype(dtype)
        wanted = one(array, weights)
        for f in several:
            for _ in range(3):
                np.testing.assert_array_equal(f(array, weights), wanted)


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 4099])
def test_elementwise_in_chunks(n: int) -> None:
    x = gx.tensor("x", ("n",), "float32")
    y, z = gx.function([x], (x * 2 + 1, gx.exp(x)), threads=3)(X := np.linspace(-3, 3, n).astype("float32"))
    np.testing.assert_allclose(y, X * 2 + 1, rtol=1e-6)
    np.testing.assert_allclose(z, np.exp(X), rtol=3e-7)


def test_rows_have_scratch_of_their_own() -> None:
    x = gx.tensor("x", ("m", "n"))
    f = gx.function([x], gx.softmax(gx.tanh(x), axis=-1), threads=4)
    assert "scratch" in f.program and ".task" in f.llvm
    alone = gx.function([x], gx.softmax(gx.tanh(x), axis=-1), threads=1)
    assert f.memory(m=10, n=800)["arena"] == 4 * alone.memory(m=10, n=800)["arena"] > 0
    X = np.random.default_rng(1).normal(size=(500, 800))
    e = np.exp(np.tanh(X))
    for _ in range(5):
        np.testing.assert_allclose(f(X), e / e.sum(axis=1, keepdims=True), rtol=1e-13)


def test_state_updates() -> None:
    s = gx.shared(np.arange(1000.0))
    x = gx.tensor("x", (1000,))
    f = gx.function([x], s * x, updates={s: s + x}, threads=3)
    for k in range(4):
        np.testing.assert_array_equal(f(np.ones(1000)), np.arange(1000.0) + k)


def test_small_programs_know_nothing_of_threads(measured: Callable[..., None]) -> None:
    measured()
    x = gx.tensor("x", (64, 10))
    assert "pool.run" not in gx.function([x], gx.softmax(x, axis=-1), threads=4).llvm
    n = gx.tensor("n", ("n",))
    assert "pool.run" in gx.function([n], gx.exp(n), threads=4).llvm
    assert "pool.run" not in gx.function([n], gx.exp(n), threads=1).llvm


def test_set_num_threads() -> None:
    gx.set_num_threads(3)
    assert gx.get_num_threads() == 3
    for wrong in (0, -1, 65, 1.5, True, "2"):
        with pytest.raises(ArgumentError, match="threads must be an int from 1 to 64"):
            gx.set_num_threads(wrong)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="threads must be an int from 1 to 64"):
            gx.function([], gx.asarray(1.0), threads=wrong)  # type: ignore[arg-type]
    assert gx.get_num_threads() == 3


def test_the_limit_is_read_at_each_call() -> None:
    gx.set_num_threads(4)
    x = gx.tensor("x", ("n",))
    f = gx.function([x], gx.exp(x))
    X = np.linspace(-1, 1, 10_000)
    for threads in (4, 1, 2):
        gx.set_num_threads(threads)
        np.testing.assert_allclose(f(X), np.exp(X), rtol=1e-15)


WORKERS_SEEN = """
import ctypes, time
from graphc.codegen.runtime import pool, pool_text
pool_text.SPIN = 1 << 40  # who has ended a job sees the next one, however late it comes
kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
run = ctypes.CFUNCTYPE(None, kind, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(pool.symbols()[pool_text.RUN])
seen, done = set(), []
@kind
def task(context, lo, hi, worker):
    seen.add(worker)
    done.extend(range(lo, hi))
    time.sleep(0.002)
run(task, None, 40, 1, 5)
for threads in (2, 3, 4, 2):
    seen.clear()
    done.clear()
    run(task, None, 60, 1, threads)
    assert sorted(done) == list(range(60))
    assert seen <= set(range(threads)), (threads, seen)
print("fine")
"""


def test_no_more_workers_than_were_asked_for() -> None:
    """Scratch is set aside for as many threads as the call may have: workers of an earlier call that are awake stay out."""
    done = subprocess.run([sys.executable, "-c", WORKERS_SEEN], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "fine\n", done.stderr[-500:]


def test_calls_from_several_python_threads() -> None:
    x = gx.tensor("x", ("m", 300))
    f = gx.function([x], gx.softmax(gx.sin(x), axis=-1), threads=3)
    inputs = [np.random.default_rng(k).normal(size=(50 + k, 300)) for k in range(8)]
    wanted = [f(X) for X in inputs]
    wrong: list[int] = []

    def call(k: int) -> None:
        for _ in range(200):
            if not np.array_equal(f(inputs[k]), wanted[k]):
                wrong.append(k)

    workers = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


@pytest.mark.parametrize("target", ["x86-64", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_the_pool_compiles_for_every_target(target: str) -> None:
    assert "pool.run" in jit.assembly(pool_text(named(target)), named(target))


MODE = """
    target triple = "TRIPLE"
    declare void @llvm.x86.sse.stmxcsr(ptr)
    declare void @llvm.x86.sse.ldmxcsr(ptr)
    define i64 @exchange(i64 %mode) {
      %word = alloca i32, align 4
      call void @llvm.x86.sse.stmxcsr(ptr %word)
      %old = load i32, ptr %word, align 4
      %new = trunc i64 %mode to i32
      store i32 %new, ptr %word, align 4
      call void @llvm.x86.sse.ldmxcsr(ptr %word)
      %wide = zext i32 %old to i64
      ret i64 %wide
    }
"""
X86 = jit_host().triple.startswith("x86_64")


@pytest.mark.skipif(not X86, reason="sets a register of x86")
@pytest.mark.parametrize("mode", [0x8040, 0x2000, 0x4000, 0x6000, 0xE040], ids=["denormals are zero", "down", "up", "to zero", "both"])
def test_workers_compute_in_the_callers_mode(mode: int) -> None:
    """The same bits for any number of threads, and the caller's own: denormals, rounding; and back again afterwards."""
    code = jit.load(jit.compile_module(textwrap.dedent(MODE).replace("TRIPLE", jit_host().triple), jit_host()))
    exchange = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("exchange"))
    x = gx.tensor("x", ("n",))
    one, many = (gx.function([x], (x * 0.1 + 0.7, x * 3e-308), threads=threads) for threads in (1, 4))
    X = np.linspace(1e-10, 0.7, 400_000)

    def inside(f: gx.Function) -> list[bytes]:
        plain = exchange(0x1F80)
        exchange(plain | mode)
        try:
            return [y.tobytes() for y in f(X)]
        finally:
            exchange(plain)

    usual = [y.tobytes() for y in one(X)]
    wanted = inside(one)
    assert wanted != usual  # the mode matters
    for _ in range(5):
        assert [y.tobytes() for y in many(X)] == usual
        assert inside(many) == wanted


PROLOGUE = """
    import os, sys, threading, time
    import numpy as np
    import graphc as gx
    gx.set_num_threads(3)
    x = gx.tensor("x", ("n",))
    f = gx.function([x], gx.exp(x))
    X = np.linspace(-1, 1, 200_000)
    f(X)
"""


def run(text: str) -> str:
    """The output of a fresh process."""
    program = textwrap.dedent(PROLOGUE) + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_of_fork_starts_workers_of_its_own() -> None:
    text = """
    import warnings
    warnings.simplefilter("ignore")
    for _ in range(20):
        child = os.fork()
        if child == 0:
            good = all(np.allclose(f(X), np.exp(X)) for _ in range(20))
            os._exit(0 if good else 1)
        assert all(np.allclose(f(X), np.exp(X)) for _ in range(5))
        assert os.waitpid(child, 0)[1] == 0
    print("done")
    """
    assert run(text) == "done\n"


def test_fork_while_another_thread_is_inside_a_call() -> None:
    text = """
    import warnings
    warnings.simplefilter("ignore")
    stop = False
    def busy():
        while not stop:
            f(X)
    t = threading.Thread(target=busy)
    t.start()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            os._exit(0 if np.allclose(f(X), np.exp(X)) else 1)
        assert os.waitpid(child, 0)[1] == 0
    stop = True
    t.join()
    print("done")
    """
    assert run(text) == "done\n"


def test_fork_while_another_thread_works_on_state() -> None:
    text = """
    import warnings
    warnings.simplefilter("ignore")
    s = gx.shared(np.zeros(1_000_000))
    g = gx.function([], gx.sum(gx.exp(s)), updates={s: s + 1.0 / 1024})
    stop = False
    def busy():
        while not stop:
            g()
    t = threading.Thread(target=busy)
    t.start()
    for _ in range(20):
        time.sleep(0.003)
        child = os.fork()
        if child == 0:
            s.set_value(np.zeros(1_000_000))
            os._exit(0 if g() == 1_000_000 and s.get_value()[5] == 1.0 / 1024 else 1)
        assert os.waitpid(child, 0)[1] == 0
    stop = True
    t.join()
    print("done")
    """
    assert run(text) == "done\n"


def test_the_interpreter_ends_with_workers_spinning_parked_and_at_work() -> None:
    assert run("print('done')") == "done\n"
    assert run("time.sleep(0.05); print('done')") == "done\n"
    text = """
    def busy():
        while True:
            f(X)
    threading.Thread(target=busy, daemon=True).start()
    time.sleep(0.05)
    print("done", flush=True)
    """
    assert run(text) == "done\n"


def test_threads_with_small_stacks() -> None:
    text = """
    threading.stack_size(64 * 1024)
    a, b, c = gx.tensor("a", ("m", "k")), gx.tensor("b", ("k", "n")), gx.tensor("c", ("n", "k"))
    g = gx.function([a, b, c], (gx.tanh(a @ b), a @ c.T, a.T @ gx.exp(-a), gx.softmax(a, axis=-1)), threads=5)
    A, B, C = (np.random.default_rng(0).normal(size=s) * 0.1 for s in ((600, 700), (700, 1000), (1000, 700)))
    want = np.tanh(A @ B), A @ C.T, A.T @ np.exp(-A)
    got = []
    for _ in range(2):
        caller = threading.Thread(target=lambda: got.append(g(A, B, C)))
        caller.start()
        caller.join()
    assert all(np.allclose(x, y, rtol=1e-9, atol=1e-9) for r in got for x, y in zip(r, want))
    print("done")
    """
    assert run(text) == "done\n"


def test_a_call_at_exit_runs_by_itself() -> None:
    text = """
    import atexit
    atexit._run_exitfuncs()
    assert np.allclose(f(X), np.exp(X))
    print("done")
    """
    assert run(text) == "done\n"


def test_the_end_of_a_process_waits_for_workers_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at all where they are home; at most a second where one never comes."""
    count = ctypes.CFUNCTYPE(ctypes.c_int64)(lambda: 2)
    pool, slept = _Pool.__new__(_Pool), []
    pool.code = SimpleNamespace(address=lambda name: ctypes.cast(count, ctypes.c_void_p).value)  # type: ignore[assignment]
    clock = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * 0.3)
    monkeypatch.setattr(time, "sleep", slept.append)
    for exited, naps in ((2, 0), (1, 3)):
        pool.words = {EXITED: exited}  # type: ignore[assignment]
        slept.clear()
        pool.close()
        assert len(slept) == naps
