"""A size that meets an array of a small integer dtype is exact or an error, as NumPy's `int8 array + 300` is: it never wraps.

In both orders, under jit, in the interpreter and in native code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Graph, Node
from graphc.passes.simplify import simplify
from graphc.verify.graph import size_assumptions

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
SIZES = [0, 1, 127, 128, 255, 256, 300, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40]
n = gx.dim("n")
FORMS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "a + n": (operator.add, operator.add), "n + a": (lambda a, n: n + a, lambda a, n: n + a),
    "a * n": (operator.mul, operator.mul), "n - a": (lambda a, n: n - a, lambda a, n: n - a),
    "a // n": (operator.floordiv, operator.floordiv), "n % a": (lambda a, n: n % a, lambda a, n: n % a),
    "maximum(a, n)": (gx.maximum, np.maximum), "n & a": (lambda a, n: n & a, lambda a, n: n & a),
    "where(a > 1, a, n)": (lambda a, n: gx.where(a > 1, a, n), lambda a, n: np.where(a > 1, a, np.full_like(a, n))),
    "full_like(a, n)": (gx.full_like, lambda a, n: np.full_like(a, n)),
}  # fmt: skip


def outcome(run: Callable[[], np.ndarray]) -> Any:
    """The values and their dtype, None for an error."""
    try:
        with np.errstate(all="ignore"):
            made = run()
    except (OverflowError, gx.ShapeError, gx.DTypeError):
        return None
    return made.dtype.name, made.tolist()


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("form", FORMS)
def test_exact_or_an_error(form: str, dtype: str) -> None:
    """What NumPy says of the number n, which is an error where the dtype does not hold it."""
    ours, numpys = FORMS[form]
    x, a = gx.tensor("x", (3,), dtype), np.array([1, 2, 100], dtype)
    out = ours(x, n)
    compiled = gx.function([x, n], out)
    for size in [s for s in SIZES if s or "//" not in form]:
        wanted = outcome(lambda size=size: numpys(a, size))
        assert outcome(lambda size=size: compiled(a, size)) == wanted, size
        assert outcome(lambda size=size: evaluate([out], {x: a, n: size})[0]) == wanted, size
        assert (wanted is None) == (size > np.iinfo(dtype).max)


@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_under_jit(dtype: str) -> None:
    @gx.jit
    def both(x: Node) -> tuple[Node, Node]:
        return x + x.shape[0], x.shape[0] + x

    top = int(np.iinfo(dtype).max)
    for size in (0, 1, top):
        for got in both(np.zeros(size, dtype)):
            assert got.dtype == dtype and got.tolist() == [size] * size
    with pytest.raises((gx.ShapeError, gx.DTypeError), match=f"{top + 1}.* (which no {dtype} holds|out of range for {dtype})"):
        both(np.zeros(top + 1, dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_comparisons_are_exact(dtype: str) -> None:
    """A size need not fit in what it is compared with."""
    x, a = gx.tensor("x", (3,), dtype), np.array([0, 1, 100], dtype)
    outs = [x < n, n < x, x == n, n >= x, x != n - 5 if dtype != "uint64" else x != n]
    compiled = gx.function([x, n], outs)
    for size in (0, 1, 100, 127, 128, 300, 2**40):
        moved = size - 5 if dtype != "uint64" else size
        wanted = [a < size, size < a, a == size, size >= a, a.astype(object) != moved]
        for got in (compiled(a, size), evaluate(outs, {x: a, n: size})):
            for g, w in zip(got, wanted):
                np.testing.assert_array_equal(g, np.asarray(w, bool))


def test_a_negative_size_in_an_unsigned_dtype() -> None:
    x = gx.tensor("x", (2,), "uint8")
    f = gx.function([x, n], x + (n - 5))
    assert f(np.zeros(2, np.uint8), 7).tolist() == [2, 2]
    with pytest.raises(gx.ShapeError, match="the size n - 5 is -2, which no uint8 holds"):
        f(np.zeros(2, np.uint8), 3)


def test_what_surely_fits_is_not_asked() -> None:
    """n % 100 is an int8 whatever n is: no check is left for the call. A size that surely is none fails where it is written."""
    assert not size_assumptions([gx.asarray(n % 100, "int8")])
    assert size_assumptions([gx.asarray(n % 200, "int8")])
    assert not size_assumptions([gx.asarray(n, "int64") + gx.asarray(n, "uint64").astype("int64")])
    with pytest.raises(gx.DTypeError, match="out of range for int8"):
        gx.asarray(n + 128, "int8")


def test_passes_keep_the_check() -> None:
    """The check is the user's: rewriting away what the size is used for does not take it back."""
    x = gx.tensor("x", (), "int8")
    out = (x + n) - n
    graph = simplify(Graph((x,), (out,)))
    assert graph.outputs[0].dtype == np.int8
    with pytest.raises(gx.ShapeError, match="which no int8 holds"):
        gx.function([x, n], out)(np.int8(1), 300)


def test_an_explicit_cast_wraps() -> None:
    assert int(gx.function([n], gx.asarray(n).astype("int8"))(300)) == 300 - 256
