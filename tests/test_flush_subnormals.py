"""Functions that take subnormal numbers for zero, and nobody else does: not NumPy, not other functions, not callbacks, not handlers."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.codegen import jit as native
from graphc.codegen.compile import write_module
from graphc.codegen.target import host, named
from graphc.errors import ArgumentError, IndexOutOfRange
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from graphc.options import Options, default_options, set_default_options
from tests.test_interrupts import FOREVER, alarm, interrupt
from tests.test_kernels import ROWS

SMALL = 1e-300  # its square is no normal number, nor is it zero times 1e-10
MODES = host().triple.startswith(("x86_64", "aarch64", "arm64"))
pytestmark = pytest.mark.skipif(not MODES, reason="no such mode on this processor")


def kept() -> bool:
    """Whether NumPy, in this thread, makes subnormal numbers and takes them as they are."""
    tiny = np.full(64, SMALL) * 1e-10
    return bool((tiny > 0).all() and (tiny * 1e20 > 0).all())


def both(build: Callable[..., Any], **options: Any) -> tuple[gx.Function, gx.Function]:
    x = gx.tensor("x", ("n",))
    f = gx.function([x], build(x), **options)
    return f, gx.flush_subnormals(f)


@pytest.fixture(autouse=True)
def never_leaks() -> Iterator[None]:
    assert kept()
    yield
    assert kept()


def test_results_and_arguments_become_zero_inside_the_call_alone() -> None:
    f, g = both(lambda x: (x * 1e-10, (x * 1e-10) * 1e10, gx.exp(-x * 1e303), x + x))
    given = np.array([SMALL, -SMALL, 5e-324, 2.0, 0.71, np.inf, np.nan])
    usual, flushed = f(given), g(given)
    assert (usual[0][:2] != 0).all() and usual[3][2] == 1e-323
    wanted = np.where(np.abs(given) < 1e-290, np.copysign(0.0, given), given)
    np.testing.assert_array_equal(flushed[0], wanted * 1e-10)
    assert np.signbit(flushed[0][1])
    np.testing.assert_array_equal(flushed[1], wanted * 1e-10 * 1e10)
    np.testing.assert_array_equal(flushed[3], [2 * SMALL, -2 * SMALL, 0.0, 4.0, 1.42, np.inf, np.nan])
    for k in range(4):  # what meets no such number has the same bits
        np.testing.assert_array_equal(usual[k][3:], flushed[k][3:])
    assert g is gx.flush_subnormals(g) and g.flush_subnormals and not f.flush_subnormals
    assert "subnormal numbers: taken for zero" in g.explain() and "subnormal numbers" not in f.explain()


@pytest.mark.parametrize("path", ["entry", "out", "canaries"])
def test_every_way_of_calling(path: str) -> None:
    x = gx.tensor("x", (4,))
    given = np.full(4, SMALL)
    if path == "canaries":
        before = default_options()
        set_default_options(Options(canaries=True))
        try:
            g = gx.function([x], x * 1e-10, flush_subnormals=True)
        finally:
            set_default_options(before)
    else:
        g = gx.function([x], x * 1e-10, flush_subnormals=True)
    if path == "out":
        target = np.ones(4)
        g(given, out=target)
        np.testing.assert_array_equal(target, np.zeros(4))
    np.testing.assert_array_equal(g(given), np.zeros(4))


def test_workers_flush_for_the_task_alone(measured: Callable[..., None]) -> None:
    measured(threads=0.0)
    f, g = both(lambda x: x * 1e-10 + 0.0, threads=4)
    given = np.full(300_000, SMALL)
    for _ in range(5):
        assert not g(given).any() and f(given).all()
    one = gx.function([x := gx.tensor("x", ("n",))], gx.sum(gx.sin(x * 1e300)) + x * 1e-10, threads=1, flush_subnormals=True)
    many = gx.function([x], gx.sum(gx.sin(x * 1e300)) + x * 1e-10, threads=4, flush_subnormals=True)
    assert one(given).tobytes() == many(given).tobytes()


def test_callbacks_have_the_callers_mode_and_what_follows_them_has_not() -> None:
    seen: list[bool] = []
    plain, flushed = both(lambda x: x * 1e-10)

    def look(a: np.ndarray) -> np.ndarray:
        seen.append(kept() and bool(plain(a).all()) and not flushed(a).any() and kept())
        return a

    call = gx.callback(look, lambda a: a)
    f = gx.flush_subnormals(both(lambda x: call(call(x) + 0.0) * 1e-10)[0])
    assert not f(np.full(3, SMALL)).any() and seen == [True, True]

    def fails(a: np.ndarray) -> np.ndarray:
        assert kept()
        raise KeyError("ours")

    g = both(lambda x: gx.callback(fails, lambda a: a)(x * 1e-10) * 2)[1]
    with pytest.raises(KeyError, match="ours"):
        g(np.full(3, SMALL))
    assert kept()


def test_a_failed_check_and_an_interrupt_leave_the_callers_mode() -> None:
    x, i = gx.tensor("x", ("n",)), gx.scalar("i", "int64")
    f = gx.function([x, i], (x * 1e-10)[i], flush_subnormals=True)
    with pytest.raises(IndexOutOfRange):
        f(np.full(3, SMALL), 7)
    assert kept() and f(np.full(3, SMALL), 1) == 0
    end, seen = gx.scalar("end"), list[bool]()
    turns = gx.while_loop(lambda c: c < end, lambda c: c + 1.0 + end * 1e-320, 0.0)
    g = gx.function([end], turns, flush_subnormals=True)

    def handler() -> None:
        seen.append(kept())
        interrupt()

    with pytest.raises(KeyboardInterrupt), alarm(handler):
        g(FOREVER)
    assert kept() and seen == [True] and g(3.0) == 3


def test_state_is_shared_with_the_function_that_was_given() -> None:
    s = gx.shared(np.full(2, 1.0), "s")
    step = gx.function([], s * 2.0, updates={s: s * SMALL * 1e-10})
    fast = gx.flush_subnormals(step)
    np.testing.assert_array_equal(fast(), [2.0, 2.0])
    assert not s.get_value().any()
    s.set_value(np.ones(2))
    step()
    assert s.get_value().all()
    again = pickle.loads(pickle.dumps(fast))
    copied = copy.deepcopy(fast)
    for f in (again, copied):
        assert f.flush_subnormals and not f().any()
    assert s.get_value().all()  # theirs, not ours


def small(x: Any) -> Any:
    return x * 1e-10


class Model:
    scale = 1e-10

    @gx.jit
    def small(self, x: Any) -> Any:
        return x * self.scale

    @gx.jit(flush_subnormals=True)
    def none(self, x: Any) -> Any:
        return x * self.scale


def test_traced_functions_and_methods() -> None:
    given = np.full(3, SMALL)
    model = Model()
    assert model.small(given).all() and not model.none(given).any()
    assert not gx.flush_subnormals(model.small)(given).any()
    assert not gx.flush_subnormals(Model.small)(model, given).any()
    f = gx.jit(small)
    assert f(given).all() and not gx.flush_subnormals(f)(given).any() and f(given).all()
    assert gx.flush_subnormals(Model.none) is Model.none


@pytest.mark.parametrize("what", [np.exp, lambda x: x, 3, None])
def test_what_is_not_compiled_is_refused(what: Any) -> None:
    with pytest.raises(ArgumentError, match="is not compiled"):
        gx.flush_subnormals(what)


@pytest.mark.parametrize("make", [gx.function, gx.jit])
def test_the_option_is_a_boolean(make: Any) -> None:
    x = gx.scalar("x")
    with pytest.raises(ArgumentError, match="flush_subnormals is True or False"):
        make(*(([x], x) if make is gx.function else (lambda v: v,)), flush_subnormals=1)


def test_other_processors() -> None:
    """On AArch64 the mode is a bit of FPCR; one that has none computes as it does."""
    program = gx.function([x := gx.tensor("x", (8,))], x * 2)._native().program
    for name, instruction in {"aarch64": "msr\tFPCR", "x86-64": "ldmxcsr"}.items():
        target = named(name)
        text = {flush: write_module(program, Options(target=target, flush_subnormals=flush)) for flush in (False, True)}
        assert instruction in native.assembly(text[True], target)
        assert instruction not in native.assembly(text[False], target)


# -- elementwise functions ----------------------------------------------------------------------------------------------------
SLICE = ("cbrt", "exp", "log", "log1p", "sqrt", "tanh", "sin", "gammaln", "erfc", "expm1", "sign", "power", "hypot", "arctan2", "logaddexp")


def check_functions(names: Any, dtype: str) -> None:
    """Of subnormal arguments the result is that of one of them, or of zeros in their places; all others as ever."""
    info = np.finfo(dtype)
    tiny = float(info.tiny)
    low = np.array([info.smallest_subnormal, tiny * 1e-3, tiny * (1 - 2.0**-20)], dtype)
    pool = np.concatenate([low, -low, np.array([0.0, -0.0, 1, -1, 0.5, -3, 1e10, np.inf, np.nan], dtype)])
    arguments = [gx.tensor(f"x{k}", ("n",), dtype) for k in range(2)]
    for arity in (1, 2):
        listed = [n for n in names if OPS[n].arity == arity]
        if not listed:
            continue
        made = [PUBLIC[n](*arguments[:arity]) for n in listed]
        f = gx.function(arguments[:arity], made)
        points = np.array(list(itertools.product(pool, repeat=arity)), dtype)
        flushed = gx.flush_subnormals(f)(*points.T.copy())
        good = [np.zeros(len(points), bool) for _ in listed]
        for chosen in itertools.product((False, True), repeat=arity):
            put = np.where((np.abs(points) < tiny) & np.array(chosen), np.copysign(0, points), points).astype(dtype)
            for k, (a, b) in enumerate(zip(f(*put.T.copy()), flushed, strict=True)):
                with np.errstate(all="ignore"):
                    good[k] |= (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= 4 * np.spacing(np.abs(a)))
                    good[k] |= (np.abs(a) < 2 * tiny) & (np.abs(b) < 2 * tiny)
        for name, fine in zip(listed, good, strict=True):
            assert fine.all(), (name, dtype, points[~fine][:3])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_subnormal_numbers(dtype: str) -> None:
    check_functions(SLICE, dtype)
    check_functions(["cbrt"], dtype)  # alone, LLVM would ask for the class of its argument where it says `x != 0`


if __name__ == "__main__":  # python -m tests.test_flush_subnormals: all elementwise functions
    warnings.simplefilter("ignore")
    for each in sorted(ROWS):
        for kind, arity in itertools.product(("float32", "float64"), (1, 2)):
            if OPS[each].arity == arity:
                try:
                    result = PUBLIC[each](*[gx.tensor("x", ("n",), kind)] * arity)
                except gx.DTypeError:
                    continue
                if result.dtype.kind == "f":
                    check_functions([each], kind)
