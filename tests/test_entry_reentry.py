"""Python code that runs while a call is under way: callbacks of weak references, finalisers, an interpreter out of memory.

What crashes when it is wrong runs in a process of its own.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from tests.test_entry import is_native

ROOT = Path(__file__).parent.parent


def run(text: str) -> str:
    """The output of a fresh process; it must end well."""
    program = (
        "import gc, os, signal, sys, threading, time, weakref\nimport numpy as np\nimport graphc as gx\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who starts the tests in the background may have it ignored
    ) + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-3000:]}"
    return done.stdout


def alone(test: Callable[[], None]) -> Callable[[], None]:
    """The test in a process of its own: where it fails it may crash."""

    @functools.wraps(test)
    def there() -> None:
        run(f"from {test.__module__} import {test.__name__}\n{test.__name__}.__wrapped__()")

    return there


class Thieves:
    """Arrays that take memory as soon as it is freed: NumPy hands a block of the same size out again at once."""

    def __init__(self, size: int) -> None:
        self.size, self.arrays = size, []

    def take(self) -> None:
        self.arrays += [np.full(self.size, 99.0) for _ in range(20)]


def watched_spare(f: gx.Function, args: list[np.ndarray], callback: object) -> weakref.ref[np.ndarray]:
    """Leave a result that nobody holds but the function, with a weak reference whose callback runs when the function drops it."""
    f(*args)
    result = f(*args)
    watch = weakref.ref(result, callback)  # type: ignore[call-overload]
    del result
    assert watch() is not None
    return watch  # type: ignore[no-any-return]


@alone
def test_a_callback_frees_the_argument_of_the_call() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], x + 1)
    assert is_native(f)
    X, thieves, ran = np.arange(8.0), Thieves(8), []

    def callback(_: object) -> None:
        X.resize((4096,), refcheck=False)
        thieves.take()
        ran.append(1)

    watch = watched_spare(f, [X], callback)
    np.testing.assert_array_equal(f(X), np.arange(8.0) + 1)
    assert ran == [1] and watch() is None


@alone
def test_a_callback_replaces_the_state_of_the_call() -> None:
    s, x = gx.shared(np.arange(8.0), "s"), gx.vector("x", 8)
    f = gx.function([x], x + s, updates={s: s + 1})
    thieves, ran = Thieves(8), []

    def callback(_: object) -> None:
        s.set_value(np.full(8, 50.0))
        thieves.take()
        ran.append(1)

    watch = watched_spare(f, [np.zeros(8)], callback)
    np.testing.assert_array_equal(f(np.zeros(8)), np.arange(8.0) + 2)  # two calls came before
    assert ran == [1] and watch() is None
    np.testing.assert_array_equal(s.get_value(), 50)  # the callback came after the call
    assert all((t == 99).all() for t in thieves.arrays)


@alone
def test_a_callback_calls_the_function_and_makes_its_arena_anew() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], gx.sum(gx.cumsum(x)[::-1] * gx.cumsum(x * 2)))
    assert f.memory(n=64)["arena"] > 0
    want = lambda v: np.sum(np.cumsum(v)[::-1] * np.cumsum(v * 2))
    X, thieves, inner = np.arange(64.0), Thieves(f.memory(n=64)["arena"] // 8), []

    def callback(_: object) -> None:
        inner.append(float(f(np.arange(4000.0))))  # a larger one
        thieves.take()

    watch = watched_spare(f, [X], callback)
    assert f(X) == want(X)
    assert inner == [want(np.arange(4000.0))] and watch() is None
    assert all((t == 99).all() for t in thieves.arrays)


@alone
def test_a_callback_changes_containers_that_are_passed() -> None:
    x = gx.vector("x", "n")
    f = gx.function({"p": [x]}, {"a": x + 1, "b": [x * 2]})
    box, thieves, ran = [np.arange(8.0)], Thieves(8), []

    def callback(_: object) -> None:
        box.clear()
        thieves.take()
        ran.append(1)

    f(box)
    watch = weakref.ref(f(box)["a"], callback)
    got = f(box)
    np.testing.assert_array_equal(got["a"], np.arange(8.0) + 1)
    np.testing.assert_array_equal(got["b"][0], np.arange(8.0) * 2)
    assert ran == [1] and watch() is None


@alone
def test_a_callback_that_raises_is_reported_and_the_call_goes_on() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], x + 1)
    seen: list[object] = []
    sys.unraisablehook = lambda info: seen.append(info.exc_type)
    watch = watched_spare(f, [np.zeros(3)], lambda _: 1 / 0)
    np.testing.assert_array_equal(f(np.zeros(3)), 1)
    assert seen == [ZeroDivisionError] and watch() is None


@alone
def test_what_is_dropped_is_dropped_when_the_call_fails_too() -> None:
    x, i = gx.vector("x", "n"), gx.vector("i", "k", "int64")
    f = gx.function([x, i], x[i])
    X, ran = np.arange(4.0), []
    watch = watched_spare(f, [X, np.array([1, 2])], ran.append)
    for _ in range(3):
        with pytest.raises(gx.IndexOutOfRange):
            f(X, np.array([1, 9]))
    assert watch() is None and len(ran) == 1
    np.testing.assert_array_equal(f(X, np.array([3, 0])), [3, 0])


MEMORY = """
import _testcapi
x, i = gx.vector("x", 3), gx.vector("i", "k", "int64")
many = {f"k{k}": x[k % 3] + k for k in range(12)}  # small dicts come from a list of free ones
f = gx.function({"x": x, "i": i}, (x + 1, [x * 2, {"a": x[i], "b": (None, gx.sum(x)), **many}], {}))
X, I = np.arange(3.0), np.array([2, 0])
held = []
warm = [f(X, I) for _ in range(5)]  # from now on the function keeps two arrays for each output
del warm
def counts():
    return [sys.getrefcount(o) for o in (X, I, X.dtype, None, np.ndarray, "a", "b")]
gc.disable()
before, outcomes = counts(), {MemoryError: 0, tuple: 0}
for turn in range(20):
    for start in range(1, 60):
        got = kind = None
        _testcapi.set_nomemory(start, start + 1 + turn % 2)
        try:
            got = f(X, I)
        except MemoryError:
            kind = MemoryError
        finally:
            _testcapi.remove_mem_hooks()
        if kind is None:
            kind = tuple
            assert got[0].tolist() == [1, 2, 3] and got[1][0].tolist() == [0, 2, 4]
            assert got[1][1]["a"].tolist() == [2, 0] and got[1][1]["b"][1] == 3
            assert [float(got[1][1][f"k{k}"]) for k in range(12)] == [k % 3 + k for k in range(12)] and len(got[1][1]) == 14
        outcomes[kind] += 1
        if turn % 3:
            held.append(got)  # so that arrays are made
    got = None
    del held[:]
after = counts()
assert all(abs(a - b) < 20 for a, b in zip(after, before)), (before, after)
assert min(outcomes.values()) > 50, outcomes
print("done")
"""


def test_an_interpreter_out_of_memory() -> None:
    """Each allocation of a call fails in turn: a right answer or MemoryError, and nothing is lost."""
    pytest.importorskip("_testcapi")
    assert run(MEMORY) == "done\n"


# -- functions that the cycle collector takes away ----------------------------------------------------------------------------
CYCLE = """
x = gx.vector("x", "n")
X, called = np.arange(3.0), []

class Last:
    # calls the function when the cycle goes: before its parts are emptied, or by a weak reference to what the collector does not know
    def __init__(self, f):
        self.f = f
    def __del__(self):
        called.append(("finaliser", self.f(X).tolist()))

def cycle(k):
    f = gx.function([x], x + k % 5)  # five objects to compile, fifty functions
    f(X)
    array = np.zeros(3)  # no part of what the collector looks at: its callbacks run while the cycle is being emptied
    def callback(_, f=f, k=k):
        try:
            called.append(("callback", f(X).tolist()))
        except Exception as error:
            called.append(("callback", type(error).__name__))
    keep.append(weakref.ref(array, callback))
    f.itself, f.array, f.last = f, array, Last(f)
    f.first = [array, f]

gc.freeze()  # the modules are no garbage: each collection looks through what the cycles are made of
keep = []
for k in range(50):
    cycle(k)
    KEEP
    gc.collect()
gc.collect()
"""


@pytest.mark.parametrize("where", ["outside", "inside", "no entry"])
def test_a_function_called_while_the_collector_takes_it_away(where: str) -> None:
    """`keep` holds the callback, and so the function, from outside or from within the cycle."""
    text = CYCLE.replace("KEEP", "pass" if where != "inside" else "keep[0].__callback__.__defaults__[0].keep = keep; keep = []")
    if where == "no entry":
        text = text.replace("gx.function([x], x + k % 5)", "gx.function([x], {1: x + k % 5})")  # not a key that it builds
        text = text.replace("self.f(X)", "self.f(X)[1]")
    if where != "inside":
        text = text.replace("def callback(_, f=f, k=k)", "def callback(_, f=weakref.proxy(f), k=k)")
    assert run(text + "print(len([c for c in called if c[0] == 'finaliser' and c[1][1] - c[1][0] == 1]))") == "50\n"


def test_a_function_called_by_the_collector_while_it_is_emptied() -> None:
    """A callback outside the cycle finds the function in the collector's own list."""
    text = """
    x = gx.vector("x", "n")
    X, called, keep = np.arange(3.0), [], []
    place = {}
    gc.freeze()
    def callback(_):
        import ctypes
        f = ctypes.cast(place["f"], ctypes.py_object).value  # it is still there in memory: the cycle is being emptied
        try:
            called.append(f(X).tolist())
        except Exception as error:
            called.append(type(error).__name__)
    for k in range(30):
        f = gx.function([x], x + k % 5)
        f(X)
        array = np.zeros(3)
        keep.append(weakref.ref(array, callback))
        place["f"] = id(f)
        f.itself, f.array = f, array
        holder = [f, array]
        f.holder = holder
        holder.append(holder)
        del f, array, holder
        gc.collect()
    print(len(called))
    """
    assert run(text) == "30\n"


def test_a_function_called_at_the_very_end() -> None:
    text = """
    x = gx.vector("x", "n")
    class Last:
        def __init__(self):
            self.f = gx.function([x], x + 1)
            self.X = np.ones(3)
        def __del__(self, write=os.write):
            if self.f(self.X)[0] == 2:
                write(1, b"right")
    sys.kept = Last()
    """
    assert run(text) == "right"


def test_a_function_that_its_finaliser_saves() -> None:
    text = """
    x = gx.vector("x", "n")
    saved = []
    class Saviour:
        def __init__(self, f):
            self.f = f
        def __del__(self):
            saved.append(self.f)
    f = gx.function([x], x + 1)
    f.saviour = Saviour(f)
    del f
    gc.collect()
    for _ in range(100):
        assert saved[0](np.ones(3)).tolist() == [2, 2, 2]
    f = saved.pop()
    f.saviour = Saviour(f)
    del f
    gc.collect()  # once more
    assert saved[0](np.ones(3)).tolist() == [2, 2, 2]
    print(len(saved))
    """
    assert run(text) == "1\n"


# -- children of fork ---------------------------------------------------------------------------------------------------------
FORK = """
import warnings
warnings.simplefilter("ignore")
gx.cache.enabled = False
def child(work):
    # whether a child of fork does this, soon
    number = os.fork()
    if number == 0:
        os._exit(0 if work() else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (done := os.waitpid(number, os.WNOHANG))[0]:
            return done[1] == 0
        time.sleep(0.01)
    os.kill(number, 9)
    os.waitpid(number, 0)
    return False
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


@needs_fork
def test_fork_while_another_thread_compiles() -> None:
    text = """
    from graphc.codegen import jit
    from graphc.codegen.target import host
    x = gx.vector("x", "n")
    body = "\\n".join(f"  %v{k + 1} = add i64 %v{k}, {k * k}" for k in range(5000))
    long = f"define i64 @f(i64 %v0) {{\\n{body}\\n  ret i64 %v5000\\n}}\\n"
    gx.function([x], x + 1)
    inside, stop = threading.Event(), False
    def busy():
        while not stop:
            with jit._LOCK:
                inside.set()
                jit.compile_module(long, host())
            time.sleep(0.05)  # locks are not fair: whoever waits for this one gets it now
    other = threading.Thread(target=busy, daemon=True)
    other.start()
    good = []
    for k in range(4):
        assert inside.wait(20)
        inside.clear()
        good.append(child(lambda: gx.function([x], x * k + 1)(np.ones(3))[0] == k + 1))
    stop = True
    other.join()
    print(good)
    """
    assert run(FORK + textwrap.dedent(text)) == "[True, True, True, True]\n"


@needs_fork
def test_fork_while_another_thread_traces() -> None:
    text = """
    inside, leave = threading.Event(), threading.Event()
    @gx.jit
    def f(x):
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            leave.wait()
        return x + 1
    other = threading.Thread(target=lambda: f(np.ones(3)))
    other.start()
    assert inside.wait(20)
    print(child(lambda: f(np.ones(3))[0] == 2))
    leave.set()
    other.join()
    """
    assert run(FORK + textwrap.dedent(text)) == "True\n"


@needs_fork
@pytest.mark.parametrize("lock", ["graphc.ir._NODES.lock", "gx.cache._lock", "target._LOCK", "target._TURNS", "held(s)"])
def test_fork_while_another_thread_holds_a_lock(lock: str) -> None:
    text = f"""
    from graphc.codegen import target
    from graphc.user.state import hold
    import contextlib, graphc.ir
    x = gx.vector("x", "n")
    s = gx.shared(np.zeros(3), "s")
    gx.function([x], x + 1)
    inside = threading.Event()
    @contextlib.contextmanager
    def held(s):
        kept = hold([s])
        yield
    def busy():
        with {lock}:
            inside.set()
            time.sleep(0.5)
    other = threading.Thread(target=busy)
    other.start()
    assert inside.wait(20)
    def work():
        nodes = [gx.vector("x", "n") + k for k in range(20)]
        del nodes
        gx.cache.enabled = True
        f = gx.function([x], x * 3 + s, updates={{s: s + 1}})
        return f([1.0, 1.0, 1.0])[0] == 3 and s.get_value()[0] == 1
    print(child(work))
    other.join()
    """
    assert run(FORK + textwrap.dedent(text)) == "True\n"


@needs_fork
def test_fork_while_another_thread_uses_the_arena() -> None:
    """The child's calls are native: who used the arena is not there any more."""
    text = """
    from tests.test_entry import natively
    x = gx.vector("x", "n")
    f = gx.function([x], gx.cumsum(x)[::-1] + gx.sum(x))
    X = np.ones(4_000_000)
    assert f.memory(n=len(X))["arena"] > 0
    f(X)
    stop, good = False, []
    def busy():
        while not stop:
            f(X)
    def work():
        native = natively(f, np.ones(5))  # fails if Python code runs
        return native[0] == 10
    other = threading.Thread(target=busy)
    other.start()
    for k in range(8):
        time.sleep(0.003 * k)
        good.append(child(work))
    stop = True
    other.join()
    print(all(good), len(good))
    """
    assert run(FORK + textwrap.dedent(text)) == "True 8\n"


# -- interrupts ---------------------------------------------------------------------------------------------------------------
INTERRUPTS = """
from tests.test_entry import natively
from graphc.user.state import hold
x = gx.vector("x", "n")
s, t = gx.shared(np.zeros(3), "s"), gx.shared(np.zeros(()), "t")
f = gx.function([x], gx.cumsum(x)[::-1] + gx.sum(x) + s[0] + t, updates={s: s + 1, t: t + 1})
X = np.arange(3.0)
f(X)

def fine():
    # nobody waits for anybody, state is as one call after the other leaves it, and calls are native
    assert not s.queue and not t.queue
    assert s.cell.address == s.value.ctypes.data and t.cell.address == t.value.ctypes.data
    n = t.get_value()
    assert (s.get_value() == n).all(), (s.get_value(), n)
    done = []
    other = threading.Thread(target=lambda: done.append(f([0.0, 1.0, 2.0])))
    other.start()
    other.join(20)
    assert done and done[0].tolist() == [6 + 2 * n, 4 + 2 * n, 3 + 2 * n], done
    assert natively(f, X).tolist() == [8 + 2 * n, 6 + 2 * n, 5 + 2 * n]
    return n

def slow():
    f([0.0, 1.0, 2.0])  # a list: the Python path

def read():
    s.get_value()

def write():
    n = t.get_value()
    gx.set_values([s, t], [np.full(3, n + 5), n + 5])
"""


@pytest.mark.parametrize("work", ["slow", "read", "write"])
def test_an_interrupt_at_any_instruction(work: str) -> None:
    """KeyboardInterrupt before each line and instruction in turn of what takes and gives back state and arena."""
    text = f"""
    def interrupt(count):
        left = [count]
        def trace(frame, event, argument):
            if not frame.f_code.co_filename.endswith(("state.py", "function.py", "context.py", "executable.py")):
                return None
            frame.f_trace_opcodes = True  # 3.12 tells of lines only
            if event in ("opcode", "line"):
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt
            return trace
        sys.settrace(trace)
        try:
            {work}()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False
    k = 1
    while interrupt(k):
        fine()
        k += 1
    print(k > 15)
    """
    assert run(INTERRUPTS + textwrap.dedent(text)) == "True\n"


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no timers")
def test_interrupts_whose_tracebacks_are_kept() -> None:
    """As an interactive session keeps the last one: what is locked must not depend on it."""
    text = """
    import random, signal
    rng, kept = random.Random(0), []
    def alarm(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, alarm)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 6e-4))
            while True:
                rng.choice((slow, read, write))()
        except KeyboardInterrupt as error:
            kept.append(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
        fine()
    print(len(kept) > 100)
    """
    assert run(INTERRUPTS + textwrap.dedent(text)) == "True\n"


def test_an_interrupt_while_another_thread_has_the_state() -> None:
    text = """
    import _thread
    held, leave = threading.Event(), threading.Event()
    def holder():
        mine = hold([s])
        held.set()
        leave.wait()
        del mine
    other = threading.Thread(target=holder, daemon=True)
    other.start()
    held.wait()
    kept = []
    for work in (slow, read, write):
        try:
            threading.Timer(0.1, _thread.interrupt_main).start()  # on a busy machine it may ring before work begins
            work()
        except KeyboardInterrupt as error:
            kept.append(error)
    leave.set()
    other.join()
    fine()
    print(len(kept))
    """
    assert run(INTERRUPTS + textwrap.dedent(text)) == "3\n"


def test_a_finaliser_uses_state_while_its_thread_waits_for_it() -> None:
    text = """
    import signal
    held = threading.Event()
    def holder():
        mine = hold([s])
        held.set()
        time.sleep(0.3)
        del mine
    def alarm(*_):
        read()  # on top of a call that waits
    signal.signal(signal.SIGALRM, alarm)
    other = threading.Thread(target=holder)
    other.start()
    held.wait()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    slow()
    other.join()
    print(fine())
    """
    assert run(INTERRUPTS + textwrap.dedent(text)) == "2.0\n"


def test_state_cannot_be_resized() -> None:
    s = gx.shared(np.zeros(3), "s")
    with pytest.raises(ValueError):
        s.value.resize((1000,))
