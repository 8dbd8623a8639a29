"""Calls of functions of many arrays: the same as of few, through loops."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from contextlib import suppress

import numpy as np
import pytest

import graphc as gx
from graphc.codegen.runtime import executable
from tests.test_entry import is_native, natively


@pytest.fixture
def looped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few arrays are treated as many."""
    monkeypatch.setattr(executable, "FEW_ARRAYS", -1)


def test_a_hundred_inputs_and_results() -> None:
    inputs = [gx.tensor(f"x{k}", (k % 3 + 1, "n"), ("float64", "float32")[k % 2]) for k in range(100)]
    f = gx.function(inputs, [gx.sin(x) if k % 2 else x * x for k, x in enumerate(inputs)])
    assert is_native(f) and "entry.take" in f.llvm
    for n in (3, 0, 1):
        arrays = [np.arange(x.shape[0] * n, dtype=x.dtype).reshape(x.shape[0], n) + k for k, x in enumerate(inputs)]
        held = [natively(f, *arrays) for _ in range(3)]  # none is written over while somebody has it
        for results in held:
            assert type(results) is list
            for k, (x, y) in enumerate(zip(arrays, results, strict=True)):
                np.testing.assert_allclose(y, np.sin(x) if k % 2 else x * x, rtol=1e-6)
                assert y.dtype == x.dtype and y.flags.owndata


def mixed() -> gx.Function:
    a, c, b, k = gx.tensor("a", ("n", 3)), gx.scalar("c"), gx.tensor("b", (4,), "float32"), gx.tensor("k", ("n",), "int64")
    return gx.function([a, c, (b, {"k": k})], (a * c, gx.sum(a), b + 1, k + 1))


@pytest.mark.usefixtures("looped")
def test_numbers_containers_and_sizes() -> None:
    f = mixed()
    b = np.arange(4, dtype="f4")
    for n in (2, 5):
        a, k = np.random.default_rng(n).standard_normal((n, 3)), np.arange(n)
        for c in (2.5, np.float64(2.5), np.array(2.5), 2):
            ac, total, b1, k1 = natively(f, a, c, (b, {"k": k}))
            np.testing.assert_array_equal(ac, a * float(c))
            np.testing.assert_allclose(total, a.sum())
            np.testing.assert_array_equal(b1, b + 1)
            np.testing.assert_array_equal(k1, k + 1)


@pytest.mark.usefixtures("looped")
def test_what_does_not_fit_goes_the_other_way() -> None:
    f = mixed()
    a, b, k = np.ones((2, 3)), np.arange(4, dtype="f4"), np.arange(2)
    good = f(a, 1.0, (b, {"k": k}))
    for other in (
        (a.astype("f4"), 1.0, (b, {"k": k})),
        (np.asfortranarray(a), 1.0, (b, {"k": k})),
        (a.tolist(), 1, (b, {"k": k})),
        (np.ones((2, 6))[:, ::2], 1.0, (b, {"k": k})),
        (a, 1.0, (b, {"k": k.astype(">i8")})),
    ):
        for x, y in zip(f(*other), good, strict=True):
            np.testing.assert_array_equal(x, y)
    out = tuple(np.empty_like(x) for x in good)
    assert f(a, 1.0, (b, {"k": k}), out=out) is out
    np.testing.assert_array_equal(out[3], k + 1)
    for wrong in (
        (np.ones((2, 4)), 1.0, (b, {"k": k})),
        (a, 1.0, (b[:3], {"k": k})),
        (a, 1.0, (b, {"k": np.arange(3)})),
        (a[0], 1.0, (b, {"k": k})),
    ):
        with pytest.raises(gx.ShapeError):
            f(*wrong)
    with pytest.raises(TypeError):
        f(a, 1.0, (b.astype("f8"), {"k": k}))
    with pytest.raises(TypeError):
        f(a, 1.0)


@pytest.mark.usefixtures("looped")
def test_state_and_arguments_that_lie_in_it() -> None:
    s, x = gx.shared(np.arange(6.0), "s"), gx.tensor("x", (3,))
    f = gx.function([x], [gx.sum(x) + 0 * s[0]], updates={s: s + gx.concatenate([x, x[::-1]])})
    (total,) = natively(f, np.ones(3))
    assert total == 3 and s.get_value().tolist() == [1, 2, 3, 4, 5, 6]
    (total,) = f(s.value[1:4])
    assert total == 9 and s.get_value().tolist() == [3, 5, 7, 8, 8, 8]
    g = gx.function([], updates={s: s * 2})
    assert natively(g) is None and s.get_value().tolist() == [6, 10, 14, 16, 16, 16]


@pytest.mark.usefixtures("looped")
def test_an_index_out_of_range_leaves_nothing_behind() -> None:
    x, i = gx.tensor("x", ("n",)), gx.tensor("i", (2,), "int64")
    f = gx.function([(x, i)], [x + 1, gx.take(x, i)])
    data, bad = np.arange(5.0), np.array([1, 7])
    f((data, np.array([1, 2])))
    before = sys.getrefcount(data), sys.getrefcount(bad)
    for _ in range(20):
        with pytest.raises(gx.IndexOutOfRange, match="7"):
            f((data, bad))
    gc.collect()
    assert (sys.getrefcount(data), sys.getrefcount(bad)) == before


@pytest.mark.usefixtures("looped")
def test_long_calls_hold_what_others_might_drop() -> None:
    """A list is emptied by another thread while native code works without the global lock on what was in it."""
    xs = [gx.tensor(f"x{k}", ("n",)) for k in range(3)]
    f = gx.function([xs], [gx.sum(gx.sin(gx.exp(gx.sin(x)))) for x in xs], threads=1)
    n, given = 200_000, list[np.ndarray]()

    def emptied() -> None:
        for _ in range(60):
            given[:] = [None] * 3  # type: ignore[list-item]
            given[:] = [np.full(n, k + 1.0) for k in range(3)]

    given[:] = [np.full(n, k + 1.0) for k in range(3)]
    wanted = [n * np.sin(np.exp(np.sin(k + 1.0))) for k in range(3)]
    thread = threading.Thread(target=emptied)
    thread.start()
    while thread.is_alive():
        listed = list(given)
        if listed[0] is not None:
            del listed
            with suppress(TypeError, ValueError, gx.GraphcError):  # of a list that was empty
                np.testing.assert_allclose(f(given), wanted, rtol=1e-12)
    thread.join()
    watched = [weakref.ref(x) for x in given]
    f(given)
    given.clear()
    gc.collect()
    assert [w() for w in watched] == [None] * 3
